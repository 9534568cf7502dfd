/* SPDX-License-Identifier: BSD-2-Clause */
/* The n-th allocation of the switch fails, for each n that there is: a clean error, nothing is left
 * behind, and the same thing works at the next try. The linker leads every call here (--wrap). */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "switch_bench.h"

#define FAULTS_MAX 4096 /* far more than any of these allocates */

static unsigned countdown; /* 0: nothing fails */
static long live;          /* allocations that were not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static bool fails(void)
{
    if (!countdown || --countdown)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory, const void *old)
{
    live += memory && !old;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size), NULL);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size), NULL);
}

void *__wrap_realloc(void *old, size_t size)
{
    bool had = old;

    return fails() ? NULL : counted(__real_realloc(old, size), had ? &live : NULL);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    bool had = old;

    return fails() ? NULL : counted(__real_reallocarray(old, count, size), had ? &live : NULL);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size), NULL);
}

void __wrap_free(void *memory)
{
    live -= memory != NULL;
    __real_free(memory);
}

static unsigned open_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* Runs `scenario` on a new bench each time, with the n-th of its allocations failing. */
static void each_fails(int (*scenario)(struct bench *bench), unsigned at_least)
{
    for (unsigned n = 1; n < FAULTS_MAX; n++) {
        long live_before = live;
        unsigned fds_before = open_fds();
        struct bench *bench = bench_open();
        int status;
        bool failed;

        countdown = n;
        status = scenario(bench);
        failed = !countdown;
        countdown = 0;
        if (failed)
            assert_true(status == 0 || status == -ENOMEM || status == -ENOSPC);
        else
            assert_int_equal(status, 0);
        assert_int_equal(bench->core->ports.count, 0);
        assert_int_equal(scenario(bench), 0);
        bench_close(bench);
        if (live != live_before)
            fail_msg("allocation %u: %ld are left behind", n, live - live_before);
        if (open_fds() != fds_before)
            fail_msg("allocation %u: %u descriptors, not %u", n, open_fds(), fds_before);
        if (!failed) {
            assert_true(n > at_least);
            return;
        }
    }
    fail_msg("there is no end to it");
}

static int open_port(struct bench *bench, struct port **port)
{
    const struct port_request request = {
        .name = "app", .ring_count = 2, .rx_size = RING_SIZE_MIN, .tx_size = RING_SIZE_MIN};

    return port_open(bench->core, &request, port);
}

static int open_and_close(struct bench *bench)
{
    struct port *port = NULL;
    int status = open_port(bench, &port);

    if (!status)
        port_close(bench->core, port);
    return status;
}

static void test_a_port(void **state)
{
    (void)state;
    each_fails(open_and_close, 1);
}

/* So many bindings that the tables grow. */
static int bind_many(struct bench *bench)
{
    const struct binding_terms terms = {.cookie = 0};
    const uint8_t any[16] = {0};
    struct port *port = NULL;
    int status = open_port(bench, &port);

    if (status)
        return status;
    for (unsigned i = 1; !status && i <= 300; i++) {
        struct tuple tuple = tuple_make(any, 4, IP_PROTOCOL_TCP, htons((uint16_t)i));
        int placeholder = dup(bench->keeper);
        uint32_t number;

        status = binding_add(bench->core, port, &tuple, placeholder, &terms, &number);
        if (status) /* it is still ours */
            close(placeholder);
    }
    port_close(bench->core, port);
    return status;
}

static void test_bindings(void **state)
{
    (void)state;
    each_fails(bind_many, 1);
}

/* A core of its own: what is there after a failure is disposed of as after a success. */
static int set_up_core(struct bench *bench)
{
    struct switch_core *core = __real_calloc(1, sizeof(*core));
    int status;

    core->config = bench->core->config;
    status = core_init(core, -1, -1, -1);
    core_dispose(core);
    __real_free(core);
    return status;
}

static void test_a_core(void **state)
{
    (void)state;
    each_fails(set_up_core, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port),
        cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_a_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
