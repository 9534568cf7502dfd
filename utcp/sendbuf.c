/* SPDX-License-Identifier: BSD-2-Clause */
/* The send buffer: sendbuf.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sendbuf.h"

static void append(struct utcp_sendbuf *buffer, struct utcp_chunk *chunk)
{
    chunk->next = NULL;
    chunk->start = buffer->end;
    if (buffer->last)
        buffer->last->next = chunk;
    else
        buffer->first = chunk;
    buffer->last = chunk;
}

void utcp__sendbuf_release(struct utcp_sendbuf *buffer, struct utcp_pool *pool,
                           struct utcp_chunk *chunk)
{
    if (chunk->copied) {
        buffer->copied -= (uint32_t)chunk->size;
        utcp__pool_put(pool, chunk);
        return;
    }
    buffer->references--;
    if (chunk->release)
        chunk->release(chunk->owner);
    free(chunk);
}

static struct utcp_chunk *find(struct utcp_sendbuf *buffer, uint64_t offset)
{
    struct utcp_chunk *chunk = buffer->cursor;

    if (chunk == NULL || chunk->start > offset)
        chunk = buffer->first;
    while (chunk->start + chunk->size <= offset)
        chunk = chunk->next;
    return chunk;
}

void utcp__sendbuf_init(struct utcp_sendbuf *buffer)
{
    *buffer = (struct utcp_sendbuf){0};
}

void utcp__sendbuf_dispose(struct utcp_sendbuf *buffer, struct utcp_pool *pool)
{
    while (buffer->first)
        utcp__sendbuf_drop(buffer, pool);
    buffer->end = buffer->una;
}

size_t utcp__sendbuf_copy(struct utcp_sendbuf *buffer, struct utcp_pool *pool, const uint8_t *data,
                          size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct utcp_chunk *chunk = buffer->last;
        size_t part = size - done;

        if (chunk == NULL || !chunk->copied || chunk->size == CHUNK_COPY_MAX) {
            chunk = utcp__pool_get(pool, buffer->first ? CLAIM_ORDER : CLAIM_ESSENTIAL);
            if (chunk == NULL)
                break;
            *chunk = (struct utcp_chunk){.data = (uint8_t *)(chunk + 1), .copied = true};
            append(buffer, chunk);
        }
        if (part > CHUNK_COPY_MAX - chunk->size)
            part = CHUNK_COPY_MAX - chunk->size;
        memcpy((uint8_t *)(chunk + 1) + chunk->size, data + done, part);
        chunk->size += part;
        buffer->end += part;
        buffer->copied += (uint32_t)part;
        done += part;
    }
    return done;
}

bool utcp__sendbuf_refer(struct utcp_sendbuf *buffer, const uint8_t *data, size_t size,
                         void (*release)(void *owner), void *owner)
{
    struct utcp_chunk *chunk = malloc(sizeof(*chunk));

    assert(size > 0);
    if (chunk == NULL)
        return false;
    *chunk = (struct utcp_chunk){.data = data, .size = size, .release = release, .owner = owner};
    append(buffer, chunk);
    buffer->end += size;
    buffer->references++;
    return true;
}

void utcp__sendbuf_gather(struct utcp_sendbuf *buffer, uint64_t offset, uint8_t *to, uint32_t size,
                          const struct utcp_sink *sink)
{
    struct utcp_chunk *chunk;

    assert(offset >= buffer->una && offset + size <= buffer->end);
    for (chunk = find(buffer, offset);; chunk = chunk->next) {
        uint64_t within = offset - chunk->start;
        uint64_t part = chunk->size - within < size ? chunk->size - within : size;

        utcp__sendbuf_fill(sink, to, chunk->data + within, (uint32_t)part);
        to += part;
        offset += part;
        size -= (uint32_t)part;
        if (size == 0)
            break;
    }
    buffer->cursor = chunk;
}
