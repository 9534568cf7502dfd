/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole transfers between two stacks over bad wires: every byte arrives once, in order, unchanged,
 * and both ends close. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "simulator.h"

#define MINUTE UINT64_C(60000000)

static struct sim_config plain(void)
{
    struct sim_config config = {
        .seed = 1,
        .family = 4,
        .link = {{.delay_us = 1000, .rate = 20000, .queue_us = 5000},
                 {.delay_us = 1000, .rate = 20000, .queue_us = 5000}},
        .app = {{.to_send = 2000000, .to_receive = 1000000},
                {.to_send = 1000000, .to_receive = 2000000}},
    };

    return config;
}

static void assert_nothing_left(struct sim *sim, int side)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(sim_stack(sim, side), &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.time_wait, 0);
}

/* Runs to the end, checks, and returns the virtual time it took. */
static uint64_t transfer(const struct sim_config *config)
{
    struct sim *sim = sim_new(config);
    bool closed = sim_run(sim, 120 * MINUTE);
    uint64_t time = sim_now(sim) - config->start;

    for (int i = 0; i < 2; i++) {
        struct sim_app *app = sim_app(sim, i);

        if (!closed || app->failed || app->received != app->to_receive)
            print_message("seed %lu side %d: closed %d error %d sent %lu received %lu\n",
                          (unsigned long)config->seed, i, app->closed, app->error,
                          (unsigned long)app->sent, (unsigned long)app->received);
        assert_int_equal(app->error, 0);
        assert_true(app->closed);
        assert_int_equal(app->received, app->to_receive);
        assert_int_equal(app->released, app->referred);
        assert_nothing_left(sim, i);
    }
    sim_free(sim);
    return time;
}

static void a_clean_wire_carries_both_directions(void **state)
{
    struct sim_config config = plain();

    (void)state;
    transfer(&config);
}

struct writer {
    struct sim *sim;
    uint64_t most_unsent, most_in_flight; /* bytes */
};

static void look_at_writer(void *context, const struct utcp *stack)
{
    struct writer *writer = context;
    struct utcp_info info = {.size = sizeof(info)};

    if (stack != sim_stack(writer->sim, 0) || !sim_app(writer->sim, 0)->conn)
        return;
    utcp_info(sim_app(writer->sim, 0)->conn, &info);
    if (info.unsent > writer->most_unsent)
        writer->most_unsent = info.unsent;
    if (info.in_flight > writer->most_in_flight)
        writer->most_in_flight = info.in_flight;
}

/* 1 Gbit/s over 40 ms: 5 MB are on the way. Of what was never sent it takes a few packets to go on at once. */
static void who_writes_whenever_there_is_room_fills_the_link_with_little_that_waits(void **state)
{
    struct writer writer = {0};
    struct sim_config config = {
        .seed = 1,
        .family = 4,
        .stack = {{.time_wait_us = 1000}, {.time_wait_us = 1000}},
        .link = {{.delay_us = 20000, .rate = 125000, .queue_us = 5000},
                 {.delay_us = 20000, .rate = 125000, .queue_us = 5000}},
        .app = {{.to_send = 100000000}, {.to_receive = 100000000}},
        .watch = look_at_writer,
        .watch_context = &writer,
    };
    uint64_t took;

    (void)state;
    writer.sim = sim_new(&config);
    assert_true(sim_run(writer.sim, MINUTE));
    took = sim_now(writer.sim);
    assert_int_equal(sim_app(writer.sim, 1)->received, config.app[0].to_send);
    sim_free(writer.sim);
    print_message("%ju ms, %ju bytes in flight, %ju unsent\n", (uintmax_t)took / 1000,
                  (uintmax_t)writer.most_in_flight, (uintmax_t)writer.most_unsent);
    assert_in_range(writer.most_in_flight, 4500000, 7000000);
    assert_in_range(writer.most_unsent, 1, 256 * 1024 + 65000);
    assert_true(took <= MINUTE / 40); /* 0.8 s, and slow start */
}

static void for_seeds(struct sim_config config, unsigned count)
{
    for (unsigned seed = 1; seed <= count; seed++) {
        config.seed = seed;
        transfer(&config);
    }
}

static void set_links(struct sim_config *config, struct sim_link link)
{
    config->link[0] = config->link[1] = link;
}

static void set_sizes(struct sim_config *config, uint64_t from_0, uint64_t from_1)
{
    config->app[0].to_send = config->app[1].to_receive = from_0;
    config->app[1].to_send = config->app[0].to_receive = from_1;
}

static void ipv6_carries_both_directions(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.family = 6;
    transfer(&config);
}

static void losses_are_repaired(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 400000, 300000);
    config.link[0].loss = config.link[1].loss = 50;
    for_seeds(config, 10);
}

static void heavy_losses_are_repaired(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 40000, 30000);
    config.link[0].loss = config.link[1].loss = 200;
    for_seeds(config, 20);
}

static void reordering_does_no_harm(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.link[0].reorder = config.link[1].reorder = 100;
    for_seeds(config, 5);
}

static void duplicates_do_no_harm(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.link[0].duplicate = config.link[1].duplicate = 200;
    for_seeds(config, 5);
}

static void corrupted_packets_are_repaired(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 400000, 400000);
    config.link[0].corrupt = config.link[1].corrupt = 50;
    for_seeds(config, 10);
}

static const struct sim_link bad = {
    .loss = 30,
    .reorder = 50,
    .duplicate = 30,
    .corrupt = 10,
    .delay_us = 3000,
    .rate = 5000,
    .queue_us = 20000,
};

static void everything_at_once(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 200000, 200000);
    set_links(&config, bad);
    for_seeds(config, 20);
    config.family = 6;
    for_seeds(config, 10);
}

static void everything_at_once_without_options(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 200000, 200000);
    set_links(&config, bad);
    config.stack[0].flags = UTCP_NO_TIMESTAMPS | UTCP_NO_WINDOW_SCALE;
    for_seeds(config, 10);
    config.stack[1].flags = UTCP_NO_TIMESTAMPS;
    for_seeds(config, 10);
}

static void large_segments_are_cut(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[0].offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    config.link[0].cut = true;
    config.link[0].loss = 10;
    for_seeds(config, 5);
}

static void merged_segments_are_taken_whole(void **state)
{
    struct sim_config config = plain();

    (void)state;
    for (int i = 0; i < 2; i++)
        config.stack[i].offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    set_links(&config, bad);
    for_seeds(config, 10);
}

static void references_are_released_once(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_links(&config, bad);
    set_sizes(&config, 500000, 500000);
    config.app[0].by_reference = config.app[1].by_reference = true;
    for_seeds(config, 10);
}

static void records_arrive_as_what_they_are(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[0].offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    set_links(&config, bad);
    set_sizes(&config, 300000, 300000);
    for (int i = 0; i < 2; i++) {
        config.app[i].by_record = true;
        config.app[i].write_size = i ? 333 : 5000;
    }
    for_seeds(config, 10);
}

static void a_slow_reader_closes_the_window(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[1].receive_buffer_max = 20000;
    config.app[1].read_pause_us = 2000000;
    set_sizes(&config, 300000, 1000);
    transfer(&config);
    set_links(&config, bad);
    for_seeds(config, 5);
}

static void two_slow_readers_do_not_deadlock(void **state)
{
    struct sim_config config = plain();

    (void)state;
    for (int i = 0; i < 2; i++) {
        config.stack[i].receive_buffer_max = 10000;
        config.app[i].read_pause_us = 700000 + 300000 * (unsigned)i;
        config.app[i].read_size = 5000;
    }
    set_links(&config, bad);
    set_sizes(&config, 100000, 100000);
    for_seeds(config, 10);
}

static void tiny_windows_work(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[0].receive_buffer_max = config.stack[1].receive_buffer_max = 100;
    set_sizes(&config, 5000, 5000);
    for_seeds(config, 3);
    set_links(&config, bad);
    for_seeds(config, 5);
}

static void tiny_send_buffers_and_writes_work(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[0].send_buffer_max = config.stack[1].send_buffer_max = 1000;
    config.app[0].write_size = 37;
    config.app[1].write_size = 501;
    set_sizes(&config, 30000, 30000);
    set_links(&config, bad);
    for_seeds(config, 5);
}

static void a_full_sink_only_delays(void **state)
{
    struct sim_config config = plain();

    (void)state;
    for (int i = 0; i < 2; i++) {
        config.link[i] = (struct sim_link){.delay_us = 500, .rate = 1000, .queue_us = 1};
        config.stack[i].offloads = i ? 0 : UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    }
    set_sizes(&config, 300000, 300000);
    for_seeds(config, 3);
}

static void little_memory_only_delays(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.stack[0].memory_max = config.stack[1].memory_max = 1;
    set_sizes(&config, 100000, 100000);
    set_links(&config, bad);
    for_seeds(config, 5);
}

static void sequence_numbers_wrap(void **state)
{
    static const uint32_t first[] = {0xffffffff, 0xfffffffe, 0xfffff000,
                                     0xffff0000, 0x7fffffff, 0x7ffff000};
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 300000, 100000);
    set_links(&config, bad);
    for (unsigned i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        config.start = sim_start_for_iss(&config, first[i]);
        for_seeds(config, 2);
    }
}

static void both_may_open_at_once(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.both_connect = true;
    set_sizes(&config, 50000, 50000);
    transfer(&config);
    set_links(&config, bad);
    for_seeds(config, 20);
}

static uint64_t opened_fast(const struct sim_config *config)
{
    struct utcp_stats stats = {.size = sizeof(stats)};
    struct sim *sim = sim_new(config);

    assert_true(sim_run(sim, MINUTE));
    utcp_stats(sim_stack(sim, 1), &stats);
    sim_free(sim);
    return stats.fast_opens_in;
}

/* Over good wires and bad, in both roles, and with all that a client says in its SYN. */
static void data_may_go_with_the_syn(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.fast_open = true;
    assert_int_equal(opened_fast(&config), 1);
    for (int pass = 0; pass < 4; pass++) {
        set_links(&config, plain().link[0]);
        set_sizes(&config, pass ? 100000 : 100, 100000);
        config.family = pass == 2 ? 6 : 4;
        config.stack[0].flags = pass == 3 ? UTCP_NO_SACK | UTCP_NO_TIMESTAMPS : 0;
        transfer(&config);
        set_links(&config, bad);
        for_seeds(config, 20);
        config.link[0].loss = config.link[1].loss = 200;
        for_seeds(config, 20);
    }
    config.both_connect = true;
    set_links(&config, bad);
    for_seeds(config, 20);
    config.both_connect = false;
    for (int way = 0; way < 8; way++) {
        config.app[0].close = (enum sim_close)(way / 3);
        config.app[1].close = (enum sim_close)(way % 3);
        set_sizes(&config, 1000, 10000);
        for_seeds(config, 10);
    }
}

/* Every pair of ways to close, over a good wire and a bad one. */
static void every_order_of_closing_ends(void **state)
{
    (void)state;
    for (int way = 0; way < 9; way++) {
        struct sim_config config = plain();

        config.app[0].close = (enum sim_close)(way / 3);
        config.app[1].close = (enum sim_close)(way % 3);
        if (way == 8) /* both would wait for the other */
            continue;
        set_sizes(&config, 20000, 10000);
        transfer(&config);
        set_links(&config, bad);
        for_seeds(config, 10);
    }
}

static void nothing_to_say_is_fine(void **state)
{
    struct sim_config config = plain();

    (void)state;
    set_sizes(&config, 0, 0);
    transfer(&config);
    set_links(&config, bad);
    for_seeds(config, 10);
}

/* A path narrower than both ends think: found by ICMP. */
static void a_narrow_path_is_found(void **state)
{
    struct sim_config config = plain();

    (void)state;
    config.link[0].mtu = 1300;
    set_sizes(&config, 200000, 1000);
    transfer(&config);
    config.family = 6;
    transfer(&config);
}

/* What either end knew of its connection last. */
struct seen {
    struct sim *sim;
    struct utcp_info end[2];
};

static void see_connection(void *context, const struct utcp_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn, &info);
    if (info.ecn_accurate) /* what is left of it in TIME-WAIT does not know */
        *(struct utcp_info *)context = info;
}

/* Also when its program has closed it. */
static void see(void *context, const struct utcp *stack)
{
    struct seen *seen = context;
    uint64_t cursor = 0;

    do
        cursor =
            utcp_scan(stack, cursor, see_connection, &seen->end[stack == sim_stack(seen->sim, 1)]);
    while (cursor);
}

/* RFC 9768: what one has received marked is what the other is told, by packets and by bytes, in both directions at
 * once, and however segments are cut. */
static void marks_are_counted_alike_at_both_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_config config = plain();
        struct seen seen = {0};

        set_sizes(&config, 2000000, seed % 2 ? 1000000 : 0);
        config.seed = seed;
        config.stack[0].flags = UTCP_ASK_ACCURATE_ECN;
        config.stack[0].congestion = config.stack[1].congestion = utcp_congestion_name(seed % 4);
        config.stack[0].offloads = config.stack[1].offloads =
            seed % 3 ? UTCP_OFFLOAD_SEGMENT | UTCP_OFFLOAD_CHECKSUM : 0;
        config.link[0].cut = config.link[1].cut = true;
        config.link[0].mark = 50 + 10 * (unsigned)seed;
        config.link[1].mark = seed % 4 ? 100 : 0;
        config.link[0].rate = config.link[1].rate = 20000;
        config.watch = see;
        config.watch_context = &seen;
        seen.sim = sim_new(&config);
        assert_true(sim_run(seen.sim, 120 * MINUTE));
        for (int i = 0; i < 2; i++) {
            const struct utcp_info *to = &seen.end[i], *from = &seen.end[!i];

            assert_true(to->ecn_accurate && from->ecn_accurate);
            /* Nobody is there any more for what the last acknowledgments tell. */
            assert_in_range(to->ecn_marked_in - from->ecn_marked_told, 0, 4);
            assert_in_range(to->ecn_ce_in + 4 * 1460 - from->ecn_ce_told, 0, 8 * 1460);
            if (config.link[!i].mark && from->bytes_out > 100000)
                assert_true(to->ecn_marked_in > 0 && from->ecn_reductions > 0);
        }
        sim_free(seen.sim);
    }
}

static void marks_and_everything_else_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct sim_config config = plain();

        config.seed = seed;
        config.stack[0].flags = seed % 3 ? UTCP_ASK_ACCURATE_ECN : UTCP_ASK_ECN;
        config.stack[1].flags = seed % 4 ? 0 : UTCP_NO_ACCURATE_ECN;
        config.link[0] = config.link[1] = (struct sim_link){.loss = 20,
                                                            .reorder = 50,
                                                            .duplicate = 20,
                                                            .corrupt = 5,
                                                            .mark = 200,
                                                            .delay_us = 1000,
                                                            .rate = 20000,
                                                            .queue_us = 5000};
        set_sizes(&config, 300000, 300000);
        transfer(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_wire_carries_both_directions),
        cmocka_unit_test(who_writes_whenever_there_is_room_fills_the_link_with_little_that_waits),
        cmocka_unit_test(ipv6_carries_both_directions),
        cmocka_unit_test(losses_are_repaired),
        cmocka_unit_test(heavy_losses_are_repaired),
        cmocka_unit_test(reordering_does_no_harm),
        cmocka_unit_test(duplicates_do_no_harm),
        cmocka_unit_test(corrupted_packets_are_repaired),
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(everything_at_once_without_options),
        cmocka_unit_test(large_segments_are_cut),
        cmocka_unit_test(merged_segments_are_taken_whole),
        cmocka_unit_test(references_are_released_once),
        cmocka_unit_test(records_arrive_as_what_they_are),
        cmocka_unit_test(a_slow_reader_closes_the_window),
        cmocka_unit_test(two_slow_readers_do_not_deadlock),
        cmocka_unit_test(tiny_windows_work),
        cmocka_unit_test(tiny_send_buffers_and_writes_work),
        cmocka_unit_test(a_full_sink_only_delays),
        cmocka_unit_test(little_memory_only_delays),
        cmocka_unit_test(sequence_numbers_wrap),
        cmocka_unit_test(both_may_open_at_once),
        cmocka_unit_test(data_may_go_with_the_syn),
        cmocka_unit_test(every_order_of_closing_ends),
        cmocka_unit_test(nothing_to_say_is_fine),
        cmocka_unit_test(a_narrow_path_is_found),
        cmocka_unit_test(marks_are_counted_alike_at_both_ends),
        cmocka_unit_test(marks_and_everything_else_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
