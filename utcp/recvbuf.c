/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive buffer: recvbuf.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "recvbuf.h"

#define SLOTS_FIRST 4

static uint8_t **slot_of(const struct utcp_recvbuf *buffer, uint64_t offset)
{
    return utcp__recvbuf_slot(buffer, offset / POOL_BLOCK_SIZE);
}

static void free_ring(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    if (buffer->slots > 1)
        free(buffer->blocks);
    utcp__pool_count(pool, utcp__recvbuf_ring_bytes(buffer), 0);
    buffer->blocks = NULL;
    buffer->slots = 0;
}

static uint64_t pending_bytes(const struct utcp_recvbuf *buffer)
{
    return buffer->pending.capacity * sizeof(*buffer->pending.at);
}

static void free_pending(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    utcp__pool_count(pool, pending_bytes(buffer), 0);
    utcp__ranges_dispose(&buffer->pending);
}

/* Makes the ring long enough for everything from `read` up to `end`. */
static bool reach(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t end)
{
    uint64_t first = buffer->read / POOL_BLOCK_SIZE;
    uint64_t needed = (end - 1) / POOL_BLOCK_SIZE - first + 1;
    uint32_t slots = SLOTS_FIRST;
    uint8_t **blocks;

    if (needed <= buffer->slots)
        return true;
    if (needed == 1) {
        buffer->block = NULL;
        buffer->slots = 1;
        return true;
    }
    while (slots < needed)
        slots *= 2;
    blocks = malloc(slots * sizeof(*blocks));
    if (blocks == NULL)
        return false;
    for (uint32_t i = 0; i < slots; i++)
        blocks[i] = NULL;
    for (uint64_t n = first; n < first + buffer->slots; n++)
        blocks[n & (slots - 1)] = *utcp__recvbuf_slot(buffer, n);
    if (buffer->slots > 1)
        free(buffer->blocks);
    utcp__pool_count(pool, utcp__recvbuf_ring_bytes(buffer), slots * sizeof(*blocks));
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

/* Only the block that lets the stream move on is essential. */
static enum utcp_claim claim_of(const struct utcp_recvbuf *buffer, uint64_t offset, uint64_t at)
{
    if (at == buffer->next && buffer->read == buffer->next)
        return CLAIM_ESSENTIAL;
    return offset > buffer->next ? CLAIM_SCATTERED : CLAIM_ORDER;
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
            *slot = utcp__pool_get(pool, claim_of(buffer, offset, at));
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
    const struct utcp_ranges *pending = &buffer->pending;

    /* It may reach over several ranges, and into the last of them. */
    for (uint32_t i = 0; i < pending->count && pending->at[i].start <= end; i++)
        if (pending->at[i].end > end)
            end = pending->at[i].end;
    buffer->next = end;
    if (pending->count)
        utcp__ranges_drop_below(&buffer->pending, end);
}

void utcp__recvbuf_init(struct utcp_recvbuf *buffer)
{
    *buffer = (struct utcp_recvbuf){0};
    utcp__ranges_init(&buffer->pending);
}

void utcp__recvbuf_clear(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    for (uint32_t i = 0; i < buffer->slots && buffer->held; i++) {
        uint8_t *block = *utcp__recvbuf_slot(buffer, i);

        if (block == NULL)
            continue;
        utcp__pool_put(pool, block);
        buffer->held--;
    }
    free_ring(buffer, pool);
    free_pending(buffer, pool);
    buffer->held = 0;
    buffer->read = buffer->next;
}

static uint32_t ranges_max(const struct utcp_recvbuf *buffer)
{
    uint32_t most = buffer->slots / 2;

    if (most < RECVBUF_RANGES_MAX)
        return RECVBUF_RANGES_MAX;
    return most < RECVBUF_RANGES_MOST ? most : RECVBUF_RANGES_MOST;
}

uint32_t utcp__recvbuf_put(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset,
                           const uint8_t *data, uint32_t size)
{
    uint32_t stored;

    assert(offset >= buffer->next);
    if (size == 0)
        return 0;
    if (offset == buffer->next && utcp__recvbuf_first(buffer, size))
        return utcp__recvbuf_put_first(buffer, pool, data, size);
    if (!reach(buffer, pool, offset + size))
        return 0;
    if (offset > buffer->next) {
        uint64_t before = pending_bytes(buffer);
        bool added;

        stored = copy_gaps(buffer, pool, offset, data, size);
        if (stored == 0)
            return 0;
        added = utcp__ranges_add(&buffer->pending, offset, offset + stored, ranges_max(buffer));
        utcp__pool_count(pool, before, pending_bytes(buffer));
        return added ? stored : 0;
    }
    stored = buffer->pending.count ? copy_gaps(buffer, pool, offset, data, size)
                                   : copy_in(buffer, pool, offset, data, size);
    if (stored)
        advance(buffer, offset + stored);
    return stored;
}

void utcp__recvbuf_append(struct utcp_recvbuf *buffer, struct utcp_pool *pool, const uint8_t *data,
                          uint32_t size)
{
    uint64_t at = buffer->next, end = at + size;

    buffer->next = end;
    while (at < end) {
        uint8_t **slot = slot_of(buffer, at);
        uint32_t within = at % POOL_BLOCK_SIZE, part = POOL_BLOCK_SIZE - within;

        if (part > end - at)
            part = (uint32_t)(end - at);
        if (*slot == NULL) {
            *slot = utcp__pool_get_stored(pool);
            buffer->held++;
        }
        memcpy(*slot + within, data, part);
        data += part;
        at += part;
    }
}

size_t utcp__recvbuf_peek_at(const struct utcp_recvbuf *buffer, uint64_t offset,
                             const uint8_t **data)
{
    uint64_t from = buffer->read + offset, ready = buffer->next - from;
    uint32_t within = from % POOL_BLOCK_SIZE;

    assert(from <= buffer->next);
    if (ready == 0)
        return 0;
    *data = *slot_of(buffer, from) + within;
    return ready < POOL_BLOCK_SIZE - within ? ready : POOL_BLOCK_SIZE - within;
}

size_t utcp__recvbuf_peek(const struct utcp_recvbuf *buffer, const uint8_t **data)
{
    return utcp__recvbuf_peek_at(buffer, 0, data);
}

void utcp__recvbuf_consume(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t size)
{
    uint64_t end = buffer->read + size;

    assert(size <= buffer->next - buffer->read);
    if (size == 0)
        return;
    if (buffer->slots == 1 && end == buffer->next && !buffer->pending.count) {
        buffer->read = end; /* the only block there may be */
        release_block(buffer, pool, 0);
        return;
    }
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

uint64_t utcp__recvbuf_forget(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    uint64_t size = buffer->pending.size, n = buffer->next / POOL_BLOCK_SIZE;
    uint64_t kept;

    free_pending(buffer, pool);
    if (buffer->next % POOL_BLOCK_SIZE && buffer->next > buffer->read)
        n++; /* its beginning is ready */
    kept = n - buffer->read / POOL_BLOCK_SIZE;
    while (buffer->held > kept)
        release_block(buffer, pool, n++ * POOL_BLOCK_SIZE);
    return size;
}

void utcp__recvbuf_trim(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    if (buffer->pending.count == 0)
        free_pending(buffer, pool);
    if (buffer->held == 0)
        free_ring(buffer, pool);
}
