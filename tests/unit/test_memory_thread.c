/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports whose memory another thread makes: what the client gets, and when; who goes meanwhile. The
 * answer is sent by memory_thread_serve() alone, so nothing here depends on how fast the thread is. */
#include "control_bench.h"
#include "huge_map.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static int set_up(void **state)
{
    struct bench *bench;

    control_bench_set_up(state);
    bench = *state;
    return memory_thread_start(bench->core);
}

static void wait_until_made(struct bench *bench)
{
    struct pollfd made = {.fd = bench->core->memory.made_fd, .events = POLLIN};

    assert_int_equal(poll(&made, 1, 30000), 1);
    memory_thread_serve(bench->core);
}

static void ask_for_port(struct bench *bench, int client, uint32_t ring_size)
{
    struct control_port_open request = {.header = HEADER(CONTROL_PORT_OPEN, request),
                                        .ring_count = 1,
                                        .rx_size = ring_size,
                                        .tx_size = ring_size};

    send_with_fds(client, &request, sizeof(request), NULL, 0);
    serve(bench);
}

static int answer(int client, uint32_t *fds)
{
    struct control_port_opened opened = {0};

    assert_int_equal(receive(client, &opened, sizeof(opened), fds), sizeof(opened));
    assert_int_equal(opened.header.type, CONTROL_PORT_OPENED);
    assert_int_equal(opened.header.request, 7);
    return opened.header.error;
}

static bool hears_nothing(int client)
{
    uint8_t bytes[CONTROL_MESSAGE_MAX];

    return receive(client, bytes, sizeof(bytes), NULL) < 0 && errno == EAGAIN;
}

/* As the worker does when epoll says that the other end is gone. */
static void hang_up(struct bench *bench, uint32_t index)
{
    control_serve(bench->core, index, bench->core->control.connections[index].generation,
                  EPOLLHUP | EPOLLRDHUP);
}

static void the_answer_comes_when_the_memory_is_there(void **state)
{
    struct bench *bench = *state;
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query),
                                  .subject = CONTROL_SUBJECT_PORTS};
    _Alignas(struct control_records) uint8_t page[CONTROL_MESSAGE_MAX];
    const struct control_records *records = (const struct control_records *)page;
    int client = greeted_client(bench);
    uint32_t fds;

    ask_for_port(bench, client, RING_SIZE_MIN);
    send_with_fds(client, &query, sizeof(query), NULL, 0);
    serve(bench);
    assert_true(hears_nothing(client));
    assert_int_equal(bench->core->ports.count, 0);
    assert_int_equal(bench->core->ports.opening, 1);

    wait_until_made(bench);
    assert_int_equal(answer(client, &fds), 0);
    assert_int_equal(fds, 3);
    assert_int_equal(bench->core->ports.count, 1);
    assert_int_equal(bench->core->ports.opening, 0);
    assert_true(hears_nothing(client));
    serve(bench); /* and now what it sent meanwhile */
    assert_true(receive(client, page, sizeof(page), NULL) > 0);
    assert_int_equal(records->count, 1);

    close(client);
    serve(bench);
    assert_int_equal(bench->core->ports.count, 0);
    assert_int_equal(bench->core->ports.memory, 0);
}

static void who_goes_meanwhile_leaves_nothing(void **state)
{
    struct bench *bench = *state;
    uint32_t before = open_descriptors();
    int client = greeted_client(bench), next;

    ask_for_port(bench, client, RING_SIZE_MIN);
    assert_true(bench->core->ports.memory > 0);
    close(client);
    hang_up(bench, 0);
    assert_int_equal(bench->core->control.count, 0);

    /* another one in the same place, which asks for nothing */
    next = greeted_client(bench);
    wait_until_made(bench);
    assert_true(hears_nothing(next));
    assert_int_equal(bench->core->ports.count, 0);
    assert_int_equal(bench->core->ports.opening, 0);
    assert_int_equal(bench->core->ports.memory, 0);

    close(next);
    serve(bench);
    memory_thread_stop(bench->core); /* it finishes what it has to do */
    assert_int_equal(open_descriptors(), before - 1);
}

static void a_port_in_the_making_counts(void **state)
{
    struct bench *bench = *state;
    int first = greeted_client(bench), second = greeted_client(bench);

    bench->core->config.ports_per_uid_max = 1;
    ask_for_port(bench, first, RING_SIZE_MIN);
    ask_for_port(bench, second, RING_SIZE_MIN);
    assert_int_equal(answer(second, NULL), ENOSPC);

    bench->core->config.ports_per_uid_max = 8;
    bench->core->ports.memory += SWITCH_MEMORY_MAX - bench->core->ports.memory;
    ask_for_port(bench, second, RING_SIZE_MIN);
    assert_int_equal(answer(second, NULL), ENOSPC);
    bench->core->ports.memory = port_layout_region_size(1, RING_SIZE_MIN, RING_SIZE_MIN);

    bench->core->ports.opening += bench->core->ports.capacity - 1;
    ask_for_port(bench, second, RING_SIZE_MIN);
    assert_int_equal(answer(second, NULL), ENOSPC);
    bench->core->ports.opening = 1;

    wait_until_made(bench);
    assert_int_equal(answer(first, NULL), 0);
    close(first);
    close(second);
    serve(bench);
    assert_int_equal(bench->core->ports.memory, 0);
}

static void what_cannot_be_made_is_said(void **state)
{
    struct bench *bench = *state;
    int client = greeted_client(bench);
    struct rlimit limit, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ask_for_port(bench, client, RING_SIZE_MIN);
    wait_until_made(bench);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(answer(client, NULL), EMFILE);
    assert_int_equal(bench->core->ports.opening, 0);
    assert_int_equal(bench->core->ports.memory, 0);

    ask_for_port(bench, client, RING_SIZE_MIN); /* and it may try again */
    wait_until_made(bench);
    assert_int_equal(answer(client, NULL), 0);
    close(client);
    serve(bench);
}

/* Whether there are huge pages is the host's affair; what is said must be possible. */
static void large_memory_is_aligned_whole_and_zero(void **state)
{
    struct bench *bench = *state;
    int client = greeted_client(bench);
    const struct port *port;
    unsigned char *there;
    uint64_t pages;

    ask_for_port(bench, client, 4 << 20);
    wait_until_made(bench);
    assert_int_equal(answer(client, NULL), 0);
    port = bench->core->ports.slots[0];
    assert_int_equal((uintptr_t)port->region % HUGE_PAGE_SIZE, 0);
    assert_true(port->huge_bytes == 0 || port->huge_bytes == 8 << 20);
    pages = port->region_size / PORT_PAGE_SIZE;
    there = malloc(pages);
    assert_int_equal(mincore(port->region, port->region_size, there), 0);
    for (uint64_t i = 0; i < pages; i++)
        assert_true(there[i] & 1);
    for (uint64_t i = sizeof(struct port_region); i < port->region_size; i++) {
        if (port->region[i])
            fail_msg("byte %lu is not zero", (unsigned long)i);
    }
    free(there);
    close(client);
    serve(bench);
}

static void the_switch_may_end_while_ports_are_made(void **state)
{
    struct bench *bench = *state;

    for (int i = 0; i < 3; i++) /* the tear-down does the rest */
        ask_for_port(bench, greeted_client(bench), RING_SIZE_MIN);
    assert_int_equal(bench->core->ports.opening, 3);
}

int main(void)
{
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, control_bench_tear_down)
    const struct CMUnitTest tests[] = {
        MEMORY_TEST(the_answer_comes_when_the_memory_is_there),
        MEMORY_TEST(who_goes_meanwhile_leaves_nothing),
        MEMORY_TEST(a_port_in_the_making_counts),
        MEMORY_TEST(what_cannot_be_made_is_said),
        MEMORY_TEST(large_memory_is_aligned_whole_and_zero),
        MEMORY_TEST(the_switch_may_end_while_ports_are_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
