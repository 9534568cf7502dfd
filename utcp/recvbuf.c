/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive buffer: recvbuf.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "recvbuf.h"

#define SLOTS_FIRST 4

static uint8_t **slot_of(const struct utcp_recvbuf *buffer, uint64_t offset)
{
    return &buffer->blocks[(offset / POOL_BLOCK_SIZE) & (buffer->slots - 1)];
}

/* Makes the ring long enough for everything from `read` up to `end`. */
static bool reach(struct utcp_recvbuf *buffer, uint64_t end)
{
    uint64_t first = buffer->read / POOL_BLOCK_SIZE;
    uint64_t needed = (end - 1) / POOL_BLOCK_SIZE - first + 1;
    uint32_t slots = buffer->slots ? buffer->slots : SLOTS_FIRST;
    uint8_t **blocks;

    if (needed <= buffer->slots)
        return true;
    while (slots < needed)
        slots *= 2;
    blocks = calloc(slots, sizeof(*blocks));
    if (blocks == NULL)
        return false;
    for (uint64_t n = first; n < first + buffer->slots; n++)
        blocks[n & (slots - 1)] = buffer->blocks[n & (buffer->slots - 1)];
    free(buffer->blocks);
    buffer->blocks = blocks;
    buffer->slots = slots;
    return true;
}

static void release_block(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset)
{
    uint8_t **slot = slot_of(buffer, offset);

    if (*slot == NULL)
        return;
    utcp__pool_put(pool, *slot);
    *slot = NULL;
    buffer->held--;
}

/* Copies bytes to their places. Returns how many; fewer when blocks ran out. */
static uint32_t copy_in(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset,
                        const uint8_t *data, uint32_t size)
{
    uint32_t done = 0;

    while (done < size) {
        uint64_t at = offset + done;
        uint32_t within = at % POOL_BLOCK_SIZE;
        uint32_t part = size - done;
        uint8_t **slot = slot_of(buffer, at);

        if (part > POOL_BLOCK_SIZE - within)
            part = POOL_BLOCK_SIZE - within;
        if (*slot == NULL) {
            /* Only the block that lets the stream move on is essential. */
            *slot = utcp__pool_get(pool, at == buffer->next && buffer->read == buffer->next);
            if (*slot == NULL)
                break;
            buffer->held++;
        }
        memcpy(*slot + within, data + done, part);
        done += part;
    }
    return done;
}

/* The same for bytes of which some are there already: those are not touched. Returns up to where
 * the bytes are there now, counted from `offset`. */
static uint32_t copy_gaps(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset,
                          const uint8_t *data, uint32_t size)
{
    uint64_t at = offset, end = offset + size;
    struct utcp_range gap;

    while (utcp__ranges_gap(&buffer->pending, at, end, &gap)) {
        uint32_t length = (uint32_t)(gap.end - gap.start);
        uint32_t done =
            copy_in(buffer, pool, gap.start, data + (uint32_t)(gap.start - offset), length);

        if (done < length)
            return (uint32_t)(gap.start + done - offset);
        at = gap.end;
    }
    return size;
}

/* What was pending and has no hole before it any more is ready. */
static void advance(struct utcp_recvbuf *buffer, uint64_t end)
{
    buffer->next = end;
    if (buffer->pending.count && buffer->pending.at[0].start <= end) {
        if (buffer->pending.at[0].end > end)
            buffer->next = buffer->pending.at[0].end;
        utcp__ranges_drop_below(&buffer->pending, buffer->next);
    }
}

void utcp__recvbuf_init(struct utcp_recvbuf *buffer)
{
    *buffer = (struct utcp_recvbuf){0};
    utcp__ranges_init(&buffer->pending);
}

void utcp__recvbuf_dispose(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    for (uint32_t i = 0; i < buffer->slots; i++)
        if (buffer->blocks[i])
            utcp__pool_put(pool, buffer->blocks[i]);
    free(buffer->blocks);
    utcp__ranges_dispose(&buffer->pending);
    buffer->blocks = NULL;
    buffer->slots = 0;
    buffer->held = 0;
    buffer->read = buffer->next;
}

uint32_t utcp__recvbuf_put(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset,
                           const uint8_t *data, uint32_t size)
{
    uint32_t stored;

    assert(offset >= buffer->next);
    if (size == 0 || !reach(buffer, offset + size))
        return 0;
    if (offset > buffer->next) {
        stored = copy_gaps(buffer, pool, offset, data, size);
        if (stored == 0 ||
            !utcp__ranges_add(&buffer->pending, offset, offset + stored, RECVBUF_RANGES_MAX))
            return 0;
        return stored;
    }
    stored = buffer->pending.count ? copy_gaps(buffer, pool, offset, data, size)
                                   : copy_in(buffer, pool, offset, data, size);
    if (stored)
        advance(buffer, offset + stored);
    return stored;
}

size_t utcp__recvbuf_peek(const struct utcp_recvbuf *buffer, const uint8_t **data)
{
    uint32_t within = buffer->read % POOL_BLOCK_SIZE;
    uint64_t ready = buffer->next - buffer->read;

    if (ready == 0)
        return 0;
    *data = *slot_of(buffer, buffer->read) + within;
    return ready < POOL_BLOCK_SIZE - within ? ready : POOL_BLOCK_SIZE - within;
}

void utcp__recvbuf_consume(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t size)
{
    uint64_t end = buffer->read + size;

    assert(size <= buffer->next - buffer->read);
    if (size == 0)
        return;
    for (uint64_t n = buffer->read / POOL_BLOCK_SIZE; n < end / POOL_BLOCK_SIZE; n++)
        release_block(buffer, pool, n * POOL_BLOCK_SIZE);
    buffer->read = end;
    /* Nothing is left: a half-used block goes back too. Bytes that were copied for a range that was
     * given up later can only lie in blocks that are found here or overwritten. */
    if (buffer->read == buffer->next && buffer->pending.count == 0 && buffer->held) {
        uint64_t n = end / POOL_BLOCK_SIZE; /* mostly it is this one, of perhaps thousands */

        while (buffer->held)
            release_block(buffer, pool, n++ * POOL_BLOCK_SIZE);
    }
}
