/* SPDX-License-Identifier: BSD-2-Clause */
/* Moderated wake-ups: on the bench, where time stands still, and with a consumer that really sleeps. */
#include "switch_bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "moderation.h"

#define US          1000ULL
#define RACE        30000 /* packets */
#define RACE_AHEAD  100   /* of them at a time: the ring is never full */
#define LOST_MS     20000 /* a wake-up that has not come by then never comes */
#define RACE_SLEEPS 100   /* at least: otherwise nothing was tried */

static void arrive(struct bench *bench, uint32_t packets)
{
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);

    while (packets--)
        bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
}

/* An application that sleeps and is to be woken after so many packets or so long. */
static struct bench_app sleeper(struct bench *bench, uint32_t packets, uint32_t delay_us)
{
    struct bench_app app = bench_server(bench);

    app.rx.control->wake_packets = packets;
    app.rx.control->wake_delay_us = delay_us;
    assert_true(ring_consumer_sleep(&app.rx));
    return app;
}

static bool was_woken(const struct bench_app *app)
{
    return !ring_load_relaxed(&app->rx.control->consumer_sleeps);
}

static void take_all(struct bench_app *app)
{
    struct ring_record record;

    while (bench_receive(app, &record))
        ;
    ring_consumer_give_back(&app->rx);
}

static void without_it_each_packet_wakes_at_once(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 10, 0);

    arrive(bench, 1);
    assert_true(was_woken(&app));
    assert_int_equal(moderation_due(bench->worker), UINT64_MAX);
    bench_app_close(bench, &app);
}

static void a_lone_packet_waits_for_the_delay_and_no_longer(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 10, 50);
    uint64_t began_ns = bench->worker->now_ns;

    arrive(bench, 1);
    assert_false(was_woken(&app));
    assert_int_equal(moderation_due(bench->worker), began_ns + 50 * US);
    bench->worker->now_ns = began_ns + 50 * US - 1;
    worker_round(bench->worker);
    assert_false(was_woken(&app));
    /* a later one does not make the first wait for longer */
    arrive(bench, 1);
    bench->worker->now_ns = began_ns + 50 * US;
    worker_round(bench->worker);
    assert_true(was_woken(&app));
    assert_int_equal(moderation_due(bench->worker), UINT64_MAX);
    bench_app_close(bench, &app);
}

static void enough_packets_wake_before_the_delay(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 3, 50);

    arrive(bench, 1);
    arrive(bench, 1);
    assert_false(was_woken(&app));
    arrive(bench, 1);
    assert_true(was_woken(&app));
    /* and they count from anew */
    take_all(&app);
    assert_true(ring_consumer_sleep(&app.rx));
    arrive(bench, 2);
    assert_false(was_woken(&app));
    bench->worker->now_ns += 50 * US;
    worker_round(bench->worker);
    assert_true(was_woken(&app));
    bench_app_close(bench, &app);
}

static void what_came_while_it_was_awake_does_not_count(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 3, 50);

    ring_consumer_wake(&app.rx);
    arrive(bench, 5);
    take_all(&app);
    assert_true(ring_consumer_sleep(&app.rx));
    arrive(bench, 2);
    assert_false(was_woken(&app));
    bench_app_close(bench, &app);
}

static void who_has_read_it_all_by_himself_is_left_asleep(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 0, 50);

    arrive(bench, 1);
    ring_consumer_wake(&app.rx);
    take_all(&app);
    assert_true(ring_consumer_sleep(&app.rx));
    bench->worker->now_ns += 50 * US;
    worker_round(bench->worker);
    assert_false(was_woken(&app));
    assert_int_equal(moderation_due(bench->worker), UINT64_MAX);
    bench_app_close(bench, &app);
}

static void half_a_ring_wakes(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 0, WAKE_DELAY_MOST_US);
    uint32_t packets = 0;

    while (!was_woken(&app)) {
        arrive(bench, 1);
        packets++;
        assert_true(packets <= BENCH_RING_SIZE / RING_ALIGN);
    }
    assert_true(app.port->rings[0].rx.published > BENCH_RING_SIZE / 2);
    assert_true(app.port->rings[0].rx.published <= BENCH_RING_SIZE / 2 + 4 * RING_ALIGN);
    bench_app_close(bench, &app);
}

/* The numbers are the application's to write, whatever it writes. */
static void an_absurd_delay_is_the_longest(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, UINT32_MAX, UINT32_MAX);

    arrive(bench, 1);
    assert_int_equal(moderation_due(bench->worker),
                     bench->worker->now_ns + WAKE_DELAY_MOST_US * US);
    bench_app_close(bench, &app);
}

static void a_port_may_go_while_it_is_to_be_woken(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = sleeper(bench, 0, 50);

    arrive(bench, 1);
    assert_true(app.port->rings[0].deferred);
    bench_app_close(bench, &app);
    assert_int_equal(moderation_due(bench->worker), UINT64_MAX);
    bench->worker->now_ns += 50 * US;
    worker_round(bench->worker);
}

/* Several wait, each for its own time, and the first of them is the next. */
static void each_has_its_own_time(void **state)
{
    struct bench *bench = *state;
    struct bench_app apps[3];
    const uint32_t delays[3] = {50, 10, 30}, order[3] = {1, 2, 0};
    uint64_t began_ns = bench->worker->now_ns;

    for (unsigned i = 0; i < 3; i++) {
        struct bench_packet packet = bench_from_peer;
        uint8_t bytes[2048];

        apps[i] = bench_app_open(bench, false, 0);
        bench_bind(bench, &apps[i], IP_PROTOCOL_TCP, "0.0.0.0", (uint16_t)(8000 + i));
        apps[i].rx.control->wake_delay_us = delays[i];
        assert_true(ring_consumer_sleep(&apps[i].rx));
        packet.destination_port = (uint16_t)(8000 + i);
        bench_arrive(bench, bytes, bench_packet(bytes, &packet));
    }
    worker_round(bench->worker);
    for (unsigned i = 0; i < 3; i++) {
        bench->worker->now_ns = began_ns + delays[order[i]] * US;
        assert_int_equal(moderation_due(bench->worker), bench->worker->now_ns);
        worker_round(bench->worker);
        for (unsigned j = 0; j < 3; j++)
            assert_int_equal(was_woken(&apps[order[j]]), j <= i);
    }
    for (unsigned i = 0; i < 3; i++)
        bench_app_close(bench, &apps[i]);
}

/* ---- two threads */

struct race {
    struct bench *bench;
    atomic_uint taken;
};

static void *run_worker(void *argument)
{
    struct race *race = argument;
    struct worker *worker = race->bench->worker;
    uint32_t random = 1, sent = 0;

    while (atomic_load(&race->taken) < RACE) {
        uint64_t until_ns;

        worker->now_ns = core_clock();
        random = random * 1664525 + 1013904223;
        if (sent < RACE && sent - atomic_load(&race->taken) < RACE_AHEAD) {
            arrive(race->bench, 1);
            sent++;
        }
        /* sometimes the other has the time to fall asleep, at other times it is just about to */
        until_ns = worker->now_ns + (random >> 16) % 64 * (random >> 30) * 100;
        do {
            worker->now_ns = core_clock();
            worker_round(worker);
        } while (worker->now_ns < until_ns);
    }
    return NULL;
}

/* Until the descriptor is readable, however often the process is stopped and continued meanwhile. */
static void await_wake_up(int epoll_fd)
{
    struct epoll_event event;
    int count;

    do
        count = epoll_wait(epoll_fd, &event, 1, LOST_MS);
    while (count < 0 && errno == EINTR);
    assert_int_equal(count, 1);
}

static void no_wake_up_is_lost(void **state)
{
    struct bench *bench = *state;
    struct race race = {.bench = bench};
    struct bench_app app = bench_server(bench);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll_fd = epoll_create1(0);
    uint32_t random = 2, sleeps = 0, taken = 0;
    pthread_t thread;

    /* the switch's own mapping, so that ThreadSanitizer sees both ends of it */
    ring_consumer_init(&app.rx, app.port->rings[0].rx.control, app.port->rings[0].rx.data,
                       BENCH_RING_SIZE);
    assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, app.port->rings[0].rx_fd, &event), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_worker, &race), 0);
    while (taken < RACE) {
        struct ring_record record;

        ring_consumer_wake(&app.rx);
        while (bench_receive(&app, &record))
            taken++;
        ring_consumer_give_back(&app.rx);
        atomic_store(&race.taken, taken);
        random = random * 1664525 + 1013904223;
        ring_store_relaxed(&app.rx.control->wake_packets, random >> 30);
        ring_store_relaxed(&app.rx.control->wake_delay_us, (random >> 20) % 32);
        if (taken < RACE && ring_consumer_sleep(&app.rx)) {
            await_wake_up(epoll_fd);
            sleeps++;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(sleeps >= RACE_SLEEPS);
    close(epoll_fd);
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(without_it_each_packet_wakes_at_once),
        BENCH_TEST(a_lone_packet_waits_for_the_delay_and_no_longer),
        BENCH_TEST(enough_packets_wake_before_the_delay),
        BENCH_TEST(what_came_while_it_was_awake_does_not_count),
        BENCH_TEST(who_has_read_it_all_by_himself_is_left_asleep),
        BENCH_TEST(half_a_ring_wakes),
        BENCH_TEST(an_absurd_delay_is_the_longest),
        BENCH_TEST(a_port_may_go_while_it_is_to_be_woken),
        BENCH_TEST(each_has_its_own_time),
        BENCH_TEST(no_wake_up_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
