/* SPDX-License-Identifier: BSD-2-Clause */
/* The send buffer: what the application wrote and the peer has not acknowledged, as a queue of
 * chunks. A chunk holds a copy (in a block of the stack's pool) or refers to the application's own
 * memory, which is released exactly once, when the chunk goes. Bytes are named by their offset in
 * the stream (0 is the first after the SYN). */
#ifndef UTCP_SENDBUF_H
#define UTCP_SENDBUF_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pool.h"
#include "utcp.h"

struct utcp_chunk {
    struct utcp_chunk *next;
    const uint8_t *data;
    uint64_t start; /* offset of its first byte */
    uint64_t size;  /* bytes */
    void (*release)(void *owner);
    void *owner;
    bool copied; /* the chunk is a block, with the bytes behind this header */
};

#define CHUNK_COPY_MAX (POOL_BLOCK_SIZE - sizeof(struct utcp_chunk))

struct utcp_sendbuf {
    struct utcp_chunk *first, *last;
    struct utcp_chunk *cursor; /* where the last bytes were taken from: the next ones are near */
    uint64_t una;              /* offset of the first byte that is not acknowledged */
    uint64_t end;              /* offset behind the last byte */
    uint32_t copied;           /* bytes of chunks that are copies: below the limit of 2^29 */
    uint32_t references;       /* chunks that are not */
};

void utcp__sendbuf_init(struct utcp_sendbuf *buffer);
void utcp__sendbuf_dispose(struct utcp_sendbuf *buffer, struct utcp_pool *pool);

/* Appends a copy; returns how many bytes, fewer when memory ran out. */
size_t utcp__sendbuf_copy(struct utcp_sendbuf *buffer, struct utcp_pool *pool, const uint8_t *data,
                          size_t size);

/* Appends a reference to `size` > 0 bytes. False: out of memory, and nothing is released. */
bool utcp__sendbuf_refer(struct utcp_sendbuf *buffer, const uint8_t *data, size_t size,
                         void (*release)(void *owner), void *owner);

static inline void utcp__sendbuf_fill(const struct utcp_sink *sink, uint8_t *to,
                                      const uint8_t *from, uint32_t size)
{
    if (sink->fill)
        sink->fill(sink->context, to, from, size);
    else
        memcpy(to, from, size);
}

/* Copies bytes of the buffer, one at least, to `to`, in a packet reserved in `sink`, in the way it wants them
 * copied. All of them must be in the buffer. */
void utcp__sendbuf_gather(struct utcp_sendbuf *buffer, uint64_t offset, uint8_t *to, uint32_t size,
                          const struct utcp_sink *sink);
static inline void utcp__sendbuf_get(struct utcp_sendbuf *buffer, uint64_t offset, uint8_t *to,
                                     uint32_t size, const struct utcp_sink *sink)
{
    struct utcp_chunk *chunk = buffer->cursor ? buffer->cursor : buffer->first;

    if (offset >= chunk->start && offset + size <= chunk->start + chunk->size) {
        buffer->cursor = chunk;
        utcp__sendbuf_fill(sink, to, chunk->data + (offset - chunk->start), size);
    } else {
        utcp__sendbuf_gather(buffer, offset, to, size, sink);
    }
}

/* A chunk is acknowledged, and has left the queue. */
void utcp__sendbuf_release(struct utcp_sendbuf *buffer, struct utcp_pool *pool,
                           struct utcp_chunk *chunk);

/* Takes the first away; returns what is first then. */
static inline struct utcp_chunk *utcp__sendbuf_unlink(struct utcp_sendbuf *buffer,
                                                      struct utcp_chunk *first)
{
    struct utcp_chunk *next = first->next;

    buffer->first = next;
    if (next == NULL)
        buffer->last = NULL;
    if (buffer->cursor == first)
        buffer->cursor = NULL;
    return next;
}

/* The same of a copy, where the pool's store has room for its block. */
static inline struct utcp_chunk *utcp__sendbuf_drop_copied(struct utcp_sendbuf *buffer,
                                                           struct utcp_chunk *first,
                                                           struct utcp_pool *pool)
{
    struct utcp_chunk *next = utcp__sendbuf_unlink(buffer, first);

    buffer->copied -= (uint32_t)first->size;
    utcp__pool_store(pool, first);
    return next;
}

static inline struct utcp_chunk *utcp__sendbuf_drop(struct utcp_sendbuf *buffer,
                                                    struct utcp_pool *pool)
{
    struct utcp_chunk *chunk = buffer->first, *next;

    if (chunk->copied && pool->free_count < POOL_STORE_MAX)
        return utcp__sendbuf_drop_copied(buffer, chunk, pool);
    next = utcp__sendbuf_unlink(buffer, chunk);
    utcp__sendbuf_release(buffer, pool, chunk);
    return next;
}

/* The first `size` bytes are acknowledged; there are as many. */
static inline void utcp__sendbuf_advance(struct utcp_sendbuf *buffer, struct utcp_pool *pool,
                                         uint64_t size)
{
    struct utcp_chunk *first = buffer->first;
    uint64_t una = buffer->una + size;

    buffer->una = una;
    while (first && first->start + first->size <= una)
        first = utcp__sendbuf_drop(buffer, pool);
}

static inline void utcp__sendbuf_acknowledge(struct utcp_sendbuf *buffer, struct utcp_pool *pool,
                                             uint64_t size)
{
    assert(size <= buffer->end - buffer->una);
    utcp__sendbuf_advance(buffer, pool, size);
}

#endif
