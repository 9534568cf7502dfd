/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker sleeps on: descriptors in its epoll set, and beside it those on which waiting costs. The worker
 * really goes round and sleeps here, until a queue of the test's has it stop. */
#include "switch_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60 /* what has not come by then never comes */

struct watched {
    struct nic_queue queue;
    struct switch_core *core;
    int fd;
    bool may_sleep;
    unsigned heard, wanted; /* times that it was told that fd is readable */
    unsigned rounds_after;  /* still to go then */
    time_t until;
};

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static uint32_t watched_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct watched *watched = queue->driver;

    (void)frames, (void)max;
    watched->heard += queue->readable;
    queue->readable = false;
    if (seconds() > watched->until || (watched->heard >= watched->wanted && !watched->rounds_after))
        watched->core->stop = true;
    else if (watched->heard >= watched->wanted)
        watched->rounds_after--;
    return 0;
}

static uint32_t watched_room(struct nic_queue *queue)
{
    (void)queue;
    return 0;
}

static void watched_nothing(struct nic_queue *queue)
{
    (void)queue;
}

static int watched_fd(const struct nic_queue *queue)
{
    return ((const struct watched *)queue->driver)->fd;
}

static bool watched_sleep(struct nic_queue *queue)
{
    return ((const struct watched *)queue->driver)->may_sleep;
}

#define WATCHED_OPS                                                                                \
    .name = "watched", .receive = watched_receive, .room = watched_room, .flush = watched_nothing, \
    .fd = watched_fd, .sleep = watched_sleep, .close = watched_nothing

static const struct nic_ops in_set = {WATCHED_OPS};
static const struct nic_ops beside = {WATCHED_OPS, .waiting_costs = true};

/* A queue of the bench's NIC; the worker goes round until it was heard of once. */
static struct watched *watch(struct bench *bench, const struct nic_ops *ops, int fd)
{
    struct watched *watched = calloc(1, sizeof(*watched));

    *watched = (struct watched){.core = bench->core,
                                .fd = fd,
                                .may_sleep = true,
                                .wanted = 1,
                                .until = seconds() + PATIENCE_S};
    watched->queue = (struct nic_queue){.ops = ops, .nic = bench->nic, .driver = watched};
    worker_add_queue(bench->worker, &watched->queue);
    return watched;
}

/* Whether the descriptor is in the worker's epoll set. */
static bool is_in_set(const struct worker *worker, int fd)
{
    char path[64], line[256];
    bool is = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", worker->epoll_fd);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        is |= strncmp(line, "tfd:", 4) == 0 && strtol(line + 4, NULL, 10) == fd;
    fclose(file);
    return is;
}

static void a_frame_ends_a_sleep(struct bench *bench, const struct nic_ops *ops)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    struct watched *watched = watch(bench, ops, fd);

    worker_run(bench->worker);
    assert_int_equal(watched->heard, 1);
    assert_true(bench->worker->queues[1].watched);
    assert_int_equal(is_in_set(bench->worker, fd), !ops->waiting_costs);
    close(fd);
    free(watched);
}

static void a_frame_ends_a_sleep_on_the_set(void **state)
{
    a_frame_ends_a_sleep(*state, &in_set);
}

static void a_frame_ends_a_sleep_beside_the_set(void **state)
{
    a_frame_ends_a_sleep(*state, &beside);
}

/* With frames on both a worker hears of both. */
static void neither_way_hides_the_other(void **state)
{
    struct bench *bench = *state;
    int fds[2] = {eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC)};
    struct watched *first = watch(bench, &beside, fds[0]);
    struct watched *second = watch(bench, &in_set, fds[1]);

    first->wanted = second->wanted = 3;
    worker_run(bench->worker);
    assert_true(first->heard > 0);
    assert_true(second->heard > 0);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    free(first);
    free(second);
}

/* Or it would wake the worker for ever. */
static void who_reports_an_error_is_heard_once(struct bench *bench, const struct nic_ops *ops,
                                               bool sleeps)
{
    struct watched *watched;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[1]);
    watched = watch(bench, ops, ends[0]);
    watched->may_sleep = sleeps;
    watched->rounds_after = 5;
    worker_run(bench->worker);
    assert_int_equal(watched->heard, 1);
    assert_false(bench->worker->queues[1].watched);
    assert_false(is_in_set(bench->worker, ends[0]));
    close(ends[0]);
    free(watched);
}

static void an_error_in_the_set_is_heard_once(void **state)
{
    who_reports_an_error_is_heard_once(*state, &in_set, true);
}

static void an_error_beside_the_set_is_heard_once(void **state)
{
    who_reports_an_error_is_heard_once(*state, &beside, true);
}

static void who_never_sleeps_hears_of_errors(void **state)
{
    who_reports_an_error_is_heard_once(*state, &beside, false);
}

/* A NIC that is full, and has room at the moment in which the worker asks it to be woken. */
static bool room_comes(struct nic_queue *queue)
{
    struct bench *bench = queue->driver;

    bench->tx_room = 1;
    return true;
}

static void stop_when_sent(struct nic_queue *queue)
{
    struct bench *bench = queue->driver;

    bench->core->stop = bench->tx_count > 1;
}

static void a_worker_does_not_sleep_beside_room_for_what_waits(void **state)
{
    struct bench *bench = *state;
    struct nic_queue *queue = bench->worker->queues[0].queue;
    const struct nic_ops *usual = queue->ops;
    struct nic_ops ops = *usual;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, BENCH_MTU);
    assert_int_equal(bench->tx_count, 1);
    bench->tx_room = 0;
    bench_send(&app, &record, bytes);
    ops.sleep = room_comes;
    ops.flush = stop_when_sent;
    queue->ops = &ops;
    worker_run(bench->worker);
    assert_int_equal(bench->tx_count, 2);
    assert_int_equal(bench->worker->sleeps, 0);
    queue->ops = usual;
    bench_app_close(bench, &app);
}

static int set_up(void **state)
{
    *state = bench_open();
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    bench->worker->queue_count = 1; /* what the test has added is its own */
    bench_close(bench);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_frame_ends_a_sleep_on_the_set),
        TEST(a_frame_ends_a_sleep_beside_the_set),
        TEST(neither_way_hides_the_other),
        TEST(an_error_in_the_set_is_heard_once),
        TEST(an_error_beside_the_set_is_heard_once),
        TEST(who_never_sleeps_hears_of_errors),
        TEST(a_worker_does_not_sleep_beside_room_for_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
