/* SPDX-License-Identifier: BSD-2-Clause */
/* What a port may send in a second, on the bench: time moves when the test says so. Also who is woken,
 * and how often. */
#include "switch_bench.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TICK_NS RATE_TICK_NS
#define USER    1234

static void set_rate(struct bench *bench, uint64_t packets_s, uint64_t bits_s)
{
    const struct channel_port_rate everybody = {
        .who = CHANNEL_WHO_ANYBODY, .packets_s = packets_s, .bits_s = bits_s};

    bench->core->port_rates.count = 0;
    assert_int_equal(port_rates_add(&bench->core->port_rates, &everybody), 0);
}

/* An application that sends from a port number of its own. */
struct sender {
    struct bench_app app;
    uint8_t packet[2048];
    struct ring_record record;
};

static struct sender sender_open(struct bench *bench, uint16_t number, uint32_t payload)
{
    struct bench_packet packet = bench_to_peer;
    struct sender sender = {.app = bench_app_open(bench, false, 0)};

    packet.source_port = number;
    packet.payload = payload;
    bench_bind(bench, &sender.app, IP_PROTOCOL_TCP, "0.0.0.0", number);
    sender.record.length = bench_packet(sender.packet, &packet);
    return sender;
}

static void fill(struct sender *sender)
{
    uint32_t stride = ring_record_stride(sender->record.length);

    assert_true(ring_producer_refresh(&sender->app.tx));
    while (ring_producer_room(&sender->app.tx) > 2 * stride)
        bench_send(&sender->app, &sender->record, sender->packet);
}

static uint64_t sent(const struct sender *sender)
{
    return sender->app.port->rings[0].traffic.tx_packets;
}

/* Lets `ns` go by in ticks of `step_ns`, the senders always having something. */
static void pass(struct bench *bench, uint64_t ns, uint64_t step_ns, struct sender *senders,
                 uint32_t count)
{
    for (uint64_t end = bench->worker->now_ns + ns; bench->worker->now_ns < end;) {
        bench->worker->now_ns += step_ns;
        for (uint32_t i = 0; i < count; i++)
            fill(&senders[i]);
        while (worker_round(bench->worker)) {
            bench->tx_count = 0;
            bench->tx_room = BENCH_FRAMES_MAX;
        }
        bench->tx_count = 0;
        bench->tx_room = BENCH_FRAMES_MAX;
    }
}

static void packets_a_second_are_kept(void **state)
{
    static const uint64_t steps[] = {10000, TICK_NS, 7 * TICK_NS};
    struct bench *bench = *state;

    bench_resolve(bench);
    set_rate(bench, 20000, 0);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct sender sender = sender_open(bench, 4000, 100);

        pass(bench, 1000000000, steps[i], &sender, 1);
        /* a second's worth, and at most the burst of 10 ms on top */
        assert_in_range(sent(&sender), 20000 - 20000 / 100, 20000 + 20000 / 100);
        assert_true(sender.app.port->rings[0].tx_limited > 0);
        for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++)
            assert_int_equal(bench_ring_drops(&sender.app, reason), 0);
        bench_app_close(bench, &sender.app);
    }
}

static void bits_a_second_are_kept_as_the_wire_counts_them(void **state)
{
    static const uint32_t payloads[] = {10, 1460};
    struct bench *bench = *state;

    bench_resolve(bench);
    set_rate(bench, 0, 80000000);
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        struct sender sender = sender_open(bench, 4000, payloads[i]);
        uint64_t bytes;

        pass(bench, 1000000000, TICK_NS, &sender, 1);
        bytes = sent(&sender) * (sender.record.length + 38);
        assert_in_range(bytes, 10000000 - 100000, 10000000 + 100000 + 2000);
        bench_app_close(bench, &sender.app);
    }
}

static void a_large_send_costs_as_many_packets_as_it_is_cut_into(void **state)
{
    struct bench *bench = *state;
    struct bench_packet packet = bench_to_peer;
    static uint8_t bytes[65536];
    struct ring_record record = {.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
                                 .segment_size = 1000,
                                 .checksum_start = IPV4_HEADER_MIN,
                                 .checksum_offset = 16};
    struct bench_app app;

    bench_resolve(bench);
    set_rate(bench, 1000, 0); /* a burst is 10 packets */
    app = bench_app_open(bench, false, 256 * 1024);
    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    packet.payload = 30000;
    record.length = bench_packet(bytes, &packet);
    for (int i = 0; i < 3; i++)
        bench_send(&app, &record, bytes);
    while (worker_round(bench->worker))
        ;
    /* ten were allowed, so one record began, and made 30 packets … */
    assert_int_equal(bench->tx_count, 30);
    /* … and what was sent too much is owed: 20 packets, 20 ms, and one for the next */
    bench->worker->now_ns += 20 * TICK_NS;
    assert_false(worker_round(bench->worker));
    assert_int_equal(bench->tx_count, 30);
    bench->worker->now_ns += 2 * TICK_NS;
    while (worker_round(bench->worker))
        ;
    assert_int_equal(bench->tx_count, 60);
    bench_app_close(bench, &app);
}

static void a_limited_port_does_not_touch_the_others(void **state)
{
    const struct channel_port_rate user = {.who = CHANNEL_WHO_USER, .id = USER, .packets_s = 1000};
    struct bench *bench = *state;
    struct sender senders[2];
    uint64_t before;

    bench_resolve(bench);
    assert_int_equal(port_rates_add(&bench->core->port_rates, &user), 0);
    senders[0] = sender_open(bench, 4000, 100);
    senders[1] = sender_open(bench, 4001, 100);
    assert_false(senders[0].app.port->rings[0].limited);
    senders[0].app.port->rings[0].limited =
        port_rates_limit(&bench->core->port_rates, USER, 1, &senders[0].app.port->rings[0].limit);
    assert_true(senders[0].app.port->rings[0].limited);
    pass(bench, 100 * TICK_NS, TICK_NS, senders, 2);
    assert_in_range(sent(&senders[0]), 99, 111);
    /* all that fits into the other's ring, each time */
    assert_true(sent(&senders[1]) > 100 * 200);
    before = sent(&senders[1]);
    fill(&senders[1]);
    while (worker_round(bench->worker))
        ;
    assert_true(sent(&senders[1]) > before);
    assert_int_equal(senders[1].app.port->rings[0].tx_limited, 0);
    bench_app_close(bench, &senders[0].app);
    assert_int_equal(bench->worker->held_count, 0);
    bench_app_close(bench, &senders[1].app);
}

static void a_held_ring_costs_no_turn_and_wakes_nobody(void **state)
{
    struct bench *bench = *state;
    struct sender sender;
    struct port_ring *ring;

    bench_resolve(bench);
    set_rate(bench, 1000, 0);
    sender = sender_open(bench, 4000, 100);
    ring = &sender.app.port->rings[0];
    fill(&sender);
    while (worker_round(bench->worker))
        ;
    assert_int_equal(sent(&sender), 10);
    assert_true(ring->held);
    assert_false(ring->active);
    assert_int_equal(bench->worker->active_count, 0);
    assert_int_equal(ring->tx_limited, 1);
    assert_in_range(bench->worker->held_until_ns, bench->worker->now_ns + 1,
                    bench->worker->now_ns + 2 * TICK_NS);
    /* the application goes on: it need not, and does not, wake anybody */
    assert_false(bench_send(&sender.app, &sender.record, sender.packet));
    worker_activate(bench->worker, ring); /* and if it does, nothing comes of it */
    assert_false(worker_round(bench->worker));
    assert_int_equal(sent(&sender), 10);
    bench->worker->now_ns = bench->worker->held_until_ns;
    assert_true(worker_round(bench->worker));
    assert_in_range(sent(&sender), 11, 12);
    bench_app_close(bench, &sender.app);
    assert_int_equal(bench->worker->held_count, 0);
}

static void rings_divide_what_their_port_may_send(void **state)
{
    struct rate_limit limit;
    struct bench *bench = *state;

    assert_false(port_rates_limit(&bench->core->port_rates, 0, 4, &limit));
    set_rate(bench, 1000, 1000000);
    assert_true(port_rates_limit(&bench->core->port_rates, 0, 4, &limit));
    assert_int_equal(limit.packets_s, 250);
    assert_int_equal(limit.bytes_s, 31250);
    /* the extremes do not run over */
    set_rate(bench, PORT_PACKETS_MAX, PORT_BITS_MAX);
    assert_true(port_rates_limit(&bench->core->port_rates, 0, 1, &limit));
    rate_limit_take(&limit, 1000000, 100000000);
    rate_limit_fill(&limit, UINT64_MAX / 2);
    assert_int_equal(rate_limit_packets(&limit), PORT_PACKETS_MAX / 100);
    assert_int_equal(rate_limit_bytes(&limit), PORT_BITS_MAX / 800);
    set_rate(bench, PORT_PACKETS_MIN, PORT_BITS_MIN);
    assert_true(port_rates_limit(&bench->core->port_rates, 0, PORT_RINGS_MAX, &limit));
    assert_true(limit.packets_s > 0 && limit.bytes_s > 0);
}

static void a_rate_out_of_range_is_refused(void **state)
{
    static const struct channel_port_rate wrong[] = {
        {.who = CHANNEL_WHO_ANYBODY, .packets_s = PORT_PACKETS_MIN - 1},
        {.who = CHANNEL_WHO_ANYBODY, .packets_s = PORT_PACKETS_MAX + 1},
        {.who = CHANNEL_WHO_ANYBODY, .bits_s = PORT_BITS_MIN - 1},
        {.who = CHANNEL_WHO_ANYBODY, .bits_s = UINT64_MAX},
        {.who = CHANNEL_WHO_GROUP, .bits_s = PORT_BITS_MIN},
    };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(port_rates_add(&bench->core->port_rates, &wrong[i]), -EINVAL);
    assert_int_equal(bench->core->port_rates.count, 0);
}

/* ---- wake-ups */

/* Edges of a descriptor so far, as an edge-triggered epoll tells them. */
static bool woken(int epoll)
{
    struct epoll_event event;

    return epoll_wait(epoll, &event, 1, 0) == 1;
}

static int watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    assert_true(epoll >= 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
    woken(epoll); /* it begins readable */
    return epoll;
}

static void a_receiver_is_woken_once_for_each_sleep(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    int epoll = watch(app.port->rings[0].rx_fd);
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);
    struct ring_record record;
    uint32_t wakes = 0;

    for (int i = 0; i < 100; i++) { /* it is busy */
        bench_arrive(bench, bytes, length);
        worker_round(bench->worker);
        wakes += woken(epoll);
        assert_non_null(bench_receive(&app, &record));
    }
    assert_int_equal(wakes, 0);
    assert_null(bench_receive(&app, &record));
    for (int sleep = 0; sleep < 5; sleep++) {
        assert_true(ring_consumer_sleep(&app.rx));
        for (int i = 0; i < 20; i++) { /* it is slow to rise */
            bench_arrive(bench, bytes, length);
            worker_round(bench->worker);
            wakes += woken(epoll);
        }
        ring_consumer_wake(&app.rx);
        while (bench_receive(&app, &record))
            ;
    }
    assert_int_equal(wakes, 5);
    close(epoll);
    bench_app_close(bench, &app);
}

static void a_switch_is_woken_once_for_each_sleep(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct port_ring *ring = &app.port->rings[0];
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    uint32_t wakes = 0;

    bench_resolve(bench);
    for (int i = 0; i < 100; i++) { /* it is busy */
        wakes += bench_send(&app, &record, bytes);
        worker_round(bench->worker);
    }
    assert_int_equal(wakes, 0);
    for (int sleep = 0; sleep < 5; sleep++) {
        while (ring->active) /* it is parked when it had nothing for a while */
            worker_round(bench->worker);
        for (int i = 0; i < 20; i++)
            wakes += bench_send(&app, &record, bytes);
        worker_activate(bench->worker, ring);
        worker_round(bench->worker);
    }
    assert_int_equal(wakes, 5);
    assert_int_equal(bench->tx_count, 200);
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(packets_a_second_are_kept),
        BENCH_TEST(bits_a_second_are_kept_as_the_wire_counts_them),
        BENCH_TEST(a_large_send_costs_as_many_packets_as_it_is_cut_into),
        BENCH_TEST(a_limited_port_does_not_touch_the_others),
        BENCH_TEST(a_held_ring_costs_no_turn_and_wakes_nobody),
        BENCH_TEST(rings_divide_what_their_port_may_send),
        BENCH_TEST(a_rate_out_of_range_is_refused),
        BENCH_TEST(a_receiver_is_woken_once_for_each_sleep),
        BENCH_TEST(a_switch_is_woken_once_for_each_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
