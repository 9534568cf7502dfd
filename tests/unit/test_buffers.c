/* SPDX-License-Identifier: BSD-2-Clause */
/* Receive buffer, send buffer and the pool of blocks below them, against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "recvbuf.h"
#include "sendbuf.h"

#define STREAM 200000
#define WINDOW 30000

static uint8_t stream[STREAM];

static void fill_stream(void)
{
    srand(3);
    for (int i = 0; i < STREAM; i++)
        stream[i] = (uint8_t)rand();
}

/* A sink that copies payload in a way of its own. */
static uint32_t filled;

static void fill(void *context, uint8_t *to, const uint8_t *from, uint32_t length)
{
    assert_ptr_equal(context, &filled);
    memcpy(to, from, length);
    filled += length;
}

static const struct utcp_sink sinks[2] = {{0}, {.context = &filled, .fill = fill}};

static int read_some(struct utcp_recvbuf *buffer, struct utcp_pool *pool)
{
    const uint8_t *data;
    size_t size = utcp__recvbuf_peek(buffer, &data);

    if (size == 0)
        return 0;
    size = 1 + (size_t)rand() % size;
    assert_memory_equal(data, stream + buffer->read, size);
    utcp__recvbuf_consume(buffer, pool, size);
    return (int)size;
}

/* Segments in random order within the window, some with other bytes where they overlap what is
 * there: what is read is the first copy of each byte. */
/* Bytes of what leads to blocks. */
static uint64_t leading(const struct utcp_recvbuf *buffer)
{
    return utcp__recvbuf_ring_bytes(buffer) +
           buffer->pending.capacity * sizeof(*buffer->pending.at);
}

static void scattered_segments_come_out_as_the_stream(void **state)
{
    (void)state;
    fill_stream();
    for (int round = 0; round < 10; round++) {
        struct utcp_recvbuf buffer;
        struct utcp_pool pool;
        static bool there[STREAM];

        memset(there, false, sizeof(there));
        utcp__pool_init(&pool, round < 5 ? 1 << 30 : 20000);
        utcp__recvbuf_init(&buffer);
        while (buffer.read < STREAM) {
            uint64_t limit = buffer.read + WINDOW < STREAM ? buffer.read + WINDOW : STREAM;
            uint64_t offset = buffer.next + (rand() % 3 ? (uint64_t)rand() % WINDOW : 0);
            uint32_t size = 1 + (uint32_t)rand() % 3000, stored;
            uint8_t copy[3000];

            if (offset >= limit) {
                read_some(&buffer, &pool);
                continue;
            }
            if (size > limit - offset)
                size = (uint32_t)(limit - offset);
            for (uint32_t i = 0; i < size; i++) /* a second copy is a wrong one */
                copy[i] = (uint8_t)(stream[offset + i] ^ there[offset + i]);
            stored = utcp__recvbuf_put(&buffer, &pool, offset, copy, size);
            for (uint32_t i = 0; i < stored; i++)
                there[offset + i] = true;
            if (rand() % 2)
                read_some(&buffer, &pool);
            if (round >= 5) /* beyond the limit only what lets the stream move on is granted */
                assert_true(pool.used <= 20000 + POOL_BLOCK_SIZE + leading(&buffer));
        }
        utcp__recvbuf_trim(&buffer, &pool);
        assert_true(pool.used == 0);
        utcp__recvbuf_dispose(&buffer, &pool);
        utcp__pool_dispose(&pool);
    }
}

static void an_empty_receive_buffer_holds_no_block(void **state)
{
    struct utcp_recvbuf buffer;
    struct utcp_pool pool;

    (void)state;
    utcp__pool_init(&pool, 1 << 20);
    utcp__recvbuf_init(&buffer);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(utcp__recvbuf_put(&buffer, &pool, buffer.next, stream + buffer.next, 100),
                         100);
        assert_true(pool.used > 0 && pool.used <= 2 * POOL_BLOCK_SIZE + leading(&buffer));
        while (read_some(&buffer, &pool))
            continue;
        assert_true(pool.used == leading(&buffer));
    }
    utcp__recvbuf_trim(&buffer, &pool);
    assert_true(pool.used == 0);
    utcp__recvbuf_dispose(&buffer, &pool);
    utcp__pool_dispose(&pool);
}

static int releases;

static void release(void *owner)
{
    assert_ptr_equal(owner, stream);
    releases++;
}

static void what_was_written_and_referred_to_can_be_had_until_it_is_acknowledged(void **state)
{
    struct utcp_sendbuf buffer;
    struct utcp_pool pool;
    int referred = 0;

    (void)state;
    fill_stream();
    releases = 0;
    utcp__pool_init(&pool, 1 << 20);
    utcp__sendbuf_init(&buffer);
    while (buffer.una < STREAM) {
        uint32_t size = 1 + (uint32_t)rand() % 9000;
        uint8_t copy[9000];

        if (size > STREAM - buffer.end)
            size = (uint32_t)(STREAM - buffer.end);
        if (size && rand() % 3) {
            utcp__sendbuf_copy(&buffer, &pool, stream + buffer.end, size);
        } else if (size) {
            utcp__sendbuf_refer(&buffer, stream + buffer.end, size, release, stream);
            referred++;
        }
        for (int i = 0; i < 5 && buffer.end > buffer.una; i++) {
            uint64_t offset = buffer.una + (uint64_t)rand() % (buffer.end - buffer.una);
            uint32_t part = (uint32_t)rand() % sizeof(copy);

            if (part > buffer.end - offset)
                part = (uint32_t)(buffer.end - offset);
            filled = 0;
            utcp__sendbuf_get(&buffer, offset, copy, part, &sinks[i % 2]);
            assert_memory_equal(copy, stream + offset, part);
            assert_int_equal(filled, i % 2 ? part : 0);
        }
        utcp__sendbuf_acknowledge(&buffer, &pool, (uint64_t)rand() % (buffer.end - buffer.una + 1));
        assert_int_equal(releases, referred - (int)buffer.references);
    }
    assert_int_equal(releases, referred);
    assert_true(pool.used == 0 && buffer.copied == 0);
    utcp__sendbuf_dispose(&buffer, &pool);
    utcp__pool_dispose(&pool);
}

static void disposing_of_a_send_buffer_releases_what_is_left(void **state)
{
    struct utcp_sendbuf buffer;
    struct utcp_pool pool;

    (void)state;
    releases = 0;
    utcp__pool_init(&pool, 1 << 20);
    utcp__sendbuf_init(&buffer);
    for (int i = 0; i < 5; i++) {
        utcp__sendbuf_refer(&buffer, stream, 10, release, stream);
        utcp__sendbuf_copy(&buffer, &pool, stream, 10);
    }
    utcp__sendbuf_dispose(&buffer, &pool);
    assert_int_equal(releases, 5);
    assert_true(pool.used == 0);
    utcp__pool_dispose(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scattered_segments_come_out_as_the_stream),
        cmocka_unit_test(an_empty_receive_buffer_holds_no_block),
        cmocka_unit_test(what_was_written_and_referred_to_can_be_had_until_it_is_acknowledged),
        cmocka_unit_test(disposing_of_a_send_buffer_releases_what_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
