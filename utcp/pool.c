/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffer memory of a stack: pool.h. */
#include <stdlib.h>

#include "pool.h"

void utcp__pool_init(struct utcp_pool *pool, uint64_t limit)
{
    *pool = (struct utcp_pool){.limit = limit, .tight = limit - limit / 8};
}

void utcp__pool_dispose(struct utcp_pool *pool)
{
    while (pool->free) {
        void *block = pool->free;

        pool->free = *(void **)block;
        free(block);
    }
    pool->free_count = 0;
}

static bool grants(const struct utcp_pool *pool, enum utcp_claim claim)
{
    switch (claim) {
    case CLAIM_ESSENTIAL: return true;
    case CLAIM_SCATTERED:
        if (utcp__pool_tight(pool))
            return false;
        break;
    case CLAIM_ORDER: break;
    }
    return pool->used + POOL_BLOCK_SIZE <= pool->limit;
}

void *utcp__pool_get(struct utcp_pool *pool, enum utcp_claim claim)
{
    void *block;

    if (!grants(pool, claim))
        return NULL;
    if (pool->free)
        return utcp__pool_get_stored(pool);
    block = malloc(POOL_BLOCK_SIZE);
    if (block)
        pool->used += POOL_BLOCK_SIZE;
    return block;
}

void utcp__pool_put(struct utcp_pool *pool, void *block)
{
    if (pool->free_count < POOL_STORE_MAX) {
        utcp__pool_store(pool, block);
        return;
    }
    pool->used -= POOL_BLOCK_SIZE;
    free(block);
}
