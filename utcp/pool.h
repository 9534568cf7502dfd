/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffer memory of a stack: blocks of one size, counted against the stack's limit, with a store of
 * free ones so that the data path need not ask the allocator.
 *
 * A buffer's first block is `essential`: it is granted beyond the limit too. So every connection
 * can always move on, if slowly, and no set of connections can starve another to a stand-still. */
#ifndef UTCP_POOL_H
#define UTCP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#define POOL_BLOCK_SIZE 4096 /* bytes */

struct utcp_pool {
    uint64_t used;  /* bytes of blocks in buffers */
    uint64_t limit; /* bytes */
    void *free;     /* list through the first word of each free block */
    uint32_t free_count;
};

void utcp__pool_init(struct utcp_pool *pool, uint64_t limit);
void utcp__pool_dispose(struct utcp_pool *pool);

/* NULL: the limit is reached, or no memory is left. The block's bytes are undefined. */
void *utcp__pool_get(struct utcp_pool *pool, bool essential);
void utcp__pool_put(struct utcp_pool *pool, void *block);

#endif
