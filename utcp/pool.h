/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffer memory of a stack: blocks of one size, counted against the stack's limit, with a store of
 * free ones so that the data path need not ask the allocator. What leads to the blocks (rings,
 * ranges, scoreboards) is counted with them, for a peer can make us keep that, too.
 *
 * What happens when memory becomes scarce, in this order:
 *
 *   over 6/8 of the limit   pressed: windows and send buffers stop growing; each may keep what it has
 *   over 7/8                tight: data out of order are not kept, and those of the connections that
 *                           have held them for the longest are given up
 *   at the limit            full: no new connections; data in order are dropped and come again,
 *                           writers wait
 *
 * A buffer's first block is essential: it is granted beyond the limit too. So every connection can
 * always move on, if slowly, no set of connections can starve another to a stand-still, and what
 * the limit is exceeded by is two blocks for each connection at most. */
#ifndef UTCP_POOL_H
#define UTCP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#define POOL_BLOCK_SIZE 4096 /* bytes */
#define POOL_STORE_MAX  1024 /* free blocks kept for later: 4 MiB */

struct utcp_pool {
    uint64_t used;  /* bytes of blocks in buffers, and of what leads to them */
    uint64_t limit; /* bytes */
    uint64_t tight; /* used beyond this: 7/8 of the limit */
    void *free;     /* list through the first word of each free block */
    uint32_t free_count;
};

void utcp__pool_init(struct utcp_pool *pool, uint64_t limit);
void utcp__pool_dispose(struct utcp_pool *pool);

enum utcp_claim {
    CLAIM_ORDER,     /* data in order: up to the limit */
    CLAIM_SCATTERED, /* out of order: while it is not tight */
    CLAIM_ESSENTIAL, /* always */
};

/* NULL: the claim is not granted, or no memory is left. The block's bytes are undefined. */
void *utcp__pool_get(struct utcp_pool *pool, enum utcp_claim claim);
/* One of the store's, where it was asked before that there is one and that it is granted. */
static inline void *utcp__pool_get_stored(struct utcp_pool *pool)
{
    void *block = pool->free;

    pool->free = *(void **)block;
    pool->free_count--;
    pool->used += POOL_BLOCK_SIZE;
    return block;
}
/* Given back, where the store has room. */
static inline void utcp__pool_store(struct utcp_pool *pool, void *block)
{
    pool->used -= POOL_BLOCK_SIZE;
    *(void **)block = pool->free;
    pool->free = block;
    pool->free_count++;
}

void utcp__pool_put(struct utcp_pool *pool, void *block);

/* Something of `before` bytes has `after` bytes now. */
static inline void utcp__pool_count(struct utcp_pool *pool, uint64_t before, uint64_t after)
{
    pool->used += after - before;
}

static inline bool utcp__pool_pressed(const struct utcp_pool *pool)
{
    return pool->used > pool->limit - pool->limit / 4;
}

static inline bool utcp__pool_tight(const struct utcp_pool *pool)
{
    return pool->used > pool->tight;
}

static inline bool utcp__pool_full(const struct utcp_pool *pool)
{
    return pool->used >= pool->limit;
}

#endif
