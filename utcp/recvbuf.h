/* SPDX-License-Identifier: BSD-2-Clause */
/* The receive buffer: bytes of the stream by their offset (0 is the first after the SYN), from what
 * the application reads next up to the end of the window.
 *
 *        read            next                              read + capacity
 *   ──────┼───────────────┼─────────────────────────────────┼──────
 *   gone  │ ready         │ hole ░ pending ░ hole ░ pending  │ outside of the window
 *
 * A byte's place follows from its offset: blocks of the stack's pool stand for stretches of the
 * stream and are fetched when the first byte comes for them, so an idle connection holds none, and
 * memory is bounded by the window however small and scattered the segments are. What is there
 * beyond the first hole is kept in a bounded set of ranges. The first copy of a byte wins. */
#ifndef UTCP_RECVBUF_H
#define UTCP_RECVBUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pool.h"
#include "ranges.h"

/* Holes that are kept apart: in a narrow window, and in the widest. In between it is one for each two
 * blocks, so that a slow start that loses every second segment of a wide window wastes nothing. */
#define RECVBUF_RANGES_MAX  256
#define RECVBUF_RANGES_MOST 4096

struct utcp_recvbuf {
    union {
        uint8_t **blocks; /* a ring: the block of stretch n is blocks[n % slots] */
        uint8_t *block;   /* the ring itself, with one slot: a short request needs no other */
    };
    uint32_t slots; /* a power of two, or 0 */
    uint32_t held;  /* blocks that are there */
    uint64_t read;  /* offset of the byte that is read next */
    uint64_t next;  /* offset of the first byte that is missing */
    struct utcp_ranges pending;
};

void utcp__recvbuf_init(struct utcp_recvbuf *buffer);
/* Gives up all that it holds: what was ready counts as read. */
void utcp__recvbuf_clear(struct utcp_recvbuf *buffer, struct utcp_pool *pool);
/* Whether there is memory that leads to blocks: utcp__recvbuf_trim(). */
static inline bool utcp__recvbuf_leads(const struct utcp_recvbuf *buffer)
{
    return buffer->slots > 1 || buffer->pending.capacity;
}
static inline void utcp__recvbuf_dispose(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    if (buffer->held || utcp__recvbuf_leads(buffer))
        utcp__recvbuf_clear(buffer, pool);
    buffer->slots = 0;
}

/* Where the block for stretch `n` stands; there are slots. */
static inline uint8_t **utcp__recvbuf_slot(const struct utcp_recvbuf *buffer, uint64_t n)
{
    uint8_t **ring = buffer->slots == 1 ? (uint8_t **)&buffer->block : buffer->blocks;

    return &ring[n & (buffer->slots - 1)];
}

/* Bytes that the ring takes beside this structure. */
static inline uint64_t utcp__recvbuf_ring_bytes(const struct utcp_recvbuf *buffer)
{
    return buffer->slots > 1 ? buffer->slots * sizeof(*buffer->blocks) : 0;
}

/* Stores `size` bytes that belong at `offset`, which is not below `next`; the caller has cut them
 * to the window. Returns how many of them were stored or were there already; fewer than `size` when
 * memory or ranges ran out. */
uint32_t utcp__recvbuf_put(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t offset,
                           const uint8_t *data, uint32_t size);

/* Whether nothing is there, nor a ring, and `size` bytes at `next` fit one block: those of a short request. */
static inline bool utcp__recvbuf_first(const struct utcp_recvbuf *buffer, uint32_t size)
{
    return buffer->slots == 0 && buffer->next == buffer->read && !buffer->pending.count &&
           buffer->next % POOL_BLOCK_SIZE + size <= POOL_BLOCK_SIZE;
}

/* Then utcp__recvbuf_put() is this. */
static inline uint32_t utcp__recvbuf_put_first(struct utcp_recvbuf *buffer, struct utcp_pool *pool,
                                               const uint8_t *data, uint32_t size)
{
    uint8_t *block = utcp__pool_get(pool, CLAIM_ESSENTIAL);

    if (block == NULL)
        return 0;
    buffer->block = block;
    buffer->slots = buffer->held = 1;
    memcpy(block + buffer->next % POOL_BLOCK_SIZE, data, size);
    buffer->next += size;
    return size;
}

/* The same in parts, for bytes that belong at `next` where nothing is pending. Where they go, if that is
 * one block that is there; NULL: not so. Whoever copies them adds them to `next`. */
static inline uint8_t *utcp__recvbuf_place(const struct utcp_recvbuf *buffer, uint32_t size)
{
    uint32_t within = buffer->next % POOL_BLOCK_SIZE;
    uint8_t *block;

    /* Where a block begins it is not said that the ring is long enough for it. */
    if (buffer->pending.count || !buffer->slots || within == 0 || within + size > POOL_BLOCK_SIZE)
        return NULL;
    block = *utcp__recvbuf_slot(buffer, buffer->next / POOL_BLOCK_SIZE);
    return block ? block + within : NULL;
}

/* Whether utcp__recvbuf_append() can take them: no new ring is needed, and what blocks are missing are
 * granted and in the pool's store. */
static inline bool utcp__recvbuf_can_append(const struct utcp_recvbuf *buffer,
                                            const struct utcp_pool *pool, uint32_t size)
{
    uint64_t first = buffer->next / POOL_BLOCK_SIZE;
    uint64_t last = (buffer->next + size - 1) / POOL_BLOCK_SIZE, missing;

    if (buffer->pending.count || last - buffer->read / POOL_BLOCK_SIZE >= buffer->slots)
        return false;
    missing = last - first + (*utcp__recvbuf_slot(buffer, first) == NULL);
    return missing <= pool->free_count && pool->used + missing * POOL_BLOCK_SIZE <= pool->limit;
}
void utcp__recvbuf_append(struct utcp_recvbuf *buffer, struct utcp_pool *pool, const uint8_t *data,
                          uint32_t size);

/* The bytes that are ready from `read` on, as far as they lie together. */
size_t utcp__recvbuf_peek(const struct utcp_recvbuf *buffer, const uint8_t **data);
/* The same behind `offset` bytes that are ready. */
size_t utcp__recvbuf_peek_at(const struct utcp_recvbuf *buffer, uint64_t offset,
                             const uint8_t **data);

/* Gives up what is pending beyond the first hole; returns how many bytes that was. */
uint64_t utcp__recvbuf_forget(struct utcp_recvbuf *buffer, struct utcp_pool *pool);

/* Gives back what only leads to blocks, where there are none. */
void utcp__recvbuf_trim(struct utcp_recvbuf *buffer, struct utcp_pool *pool);

/* Gives up `size` bytes, no more than are ready. */
void utcp__recvbuf_consume(struct utcp_recvbuf *buffer, struct utcp_pool *pool, uint64_t size);

#endif
