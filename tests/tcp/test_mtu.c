/* SPDX-License-Identifier: BSD-2-Clause */
/* Which packets the path passes, found out by packets (RFC 4821). */
#include "simulator.h"
#include "tcp_test.h"
#include "utcp_internal.h"

#define MSS   1460
#define MIB   (1024 * 1024)
#define HOLE  1400 /* bytes of packet: what is larger is lost without a word */
#define CLOSE 8    /* how close to that a search comes */

/* ── Two stacks over a path ────────────────────────────────────────────────────────────────── */

static struct sim_config path(uint8_t family)
{
    return (struct sim_config){
        .seed = 1,
        .family = family,
        .link = {{.delay_us = 10000, .rate = 2000, .queue_us = 20000}, {.delay_us = 10000}},
        .app = {{.to_send = 10 * MIB}, {.to_receive = 10 * MIB}}};
}

struct outcome {
    bool done;
    uint64_t took;
    uint16_t path_mtu; /* at the most, after the first second */
    struct utcp_stats stats;
};

static uint16_t path_mtu_of(const struct utcp *stack)
{
    const struct list *first = stack->all.next;

    return first == &stack->all ? 0 : list_member(first, struct utcp_conn, all_link)->path_mtu;
}

static struct outcome send_over(const struct sim_config *config, uint64_t limit)
{
    struct sim *sim = sim_new(config);
    uint64_t begin = sim_now(sim);
    struct outcome outcome = {.stats.size = sizeof(outcome.stats)};

    while (!outcome.done && sim_now(sim) < begin + limit) {
        outcome.done = sim_run(sim, 100 * MS);
        if (sim_app(sim, 0)->sent < 10 * MIB)
            outcome.path_mtu = path_mtu_of(sim_stack(sim, 0));
    }
    outcome.took = sim_now(sim) - begin;
    assert_int_equal(sim_app(sim, 1)->error, 0);
    utcp_stats(sim_stack(sim, 0), &outcome.stats);
    sim_free(sim);
    return outcome;
}

/* With SACK and without, with segmentation offload and without. */
static void each_kind(uint8_t family, void (*check)(const struct sim_config *config))
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct sim_config config = path(family);

        config.stack[0].flags = kind & 1 ? UTCP_NO_SACK : 0;
        config.stack[0].offloads = kind & 2 ? UTCP_OFFLOAD_SEGMENT : 0;
        config.link[0].cut = true;
        check(&config);
    }
}

static void check_black_hole(const struct sim_config *given)
{
    struct sim_config config = *given;
    struct outcome outcome;

    config.link[0].hole = HOLE;
    outcome = send_over(&config, MINUTE);
    assert_true(outcome.done);
    assert_int_equal(outcome.stats.mtu_black_holes, 1);
    assert_in_range(outcome.path_mtu, HOLE - CLOSE, HOLE);
    assert_in_range(outcome.stats.mtu_probes, 2, 12);
    assert_in_range(outcome.stats.mtu_probes_lost, 1, 10);
}

TCP_TEST(rfc4821_7_7_a_path_that_drops_what_is_large_is_found_out_and_searched)
{
    each_kind(4, check_black_hole);
}

TCP_TEST(rfc4821_7_7_with_ipv6_as_well)
{
    each_kind(6, check_black_hole);
}

TCP_TEST(without_probing_such_a_path_carries_nothing)
{
    struct sim_config config = path(4);
    struct outcome outcome;

    config.link[0].hole = HOLE;
    config.stack[0].flags = UTCP_NO_MTU_PROBING;
    outcome = send_over(&config, MINUTE);
    assert_false(outcome.done);
    assert_int_equal(outcome.stats.mtu_black_holes, 0);
}

static void check_icmp(const struct sim_config *given)
{
    struct sim_config config = *given;
    struct outcome outcome;

    config.link[0].mtu = HOLE;
    outcome = send_over(&config, MINUTE);
    assert_true(outcome.done);
    assert_int_equal(outcome.path_mtu, HOLE);
    assert_int_equal(outcome.stats.mtu_black_holes + outcome.stats.mtu_probes, 0);
}

TCP_TEST(where_icmp_comes_through_nothing_is_probed)
{
    each_kind(4, check_icmp);
    each_kind(6, check_icmp);
}

/* Losses that have nothing to do with size: three in a row may happen. */
TCP_TEST(a_path_that_loses_much_is_full_size_in_the_end)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct sim_config config = path(4);
        struct outcome outcome;

        config.seed = seed;
        config.link[0].loss = 50;
        config.link[1].loss = 50;
        config.app[0].to_send = config.app[1].to_receive = 2 * MIB;
        outcome = send_over(&config, 600 * SECOND);
        assert_true(outcome.done);
    }
}

/* An outage is taken for a black hole; the first probe shows that it was none. */
TCP_TEST(after_an_outage_the_first_probe_brings_all_back)
{
    struct sim_config config = path(4);
    struct sim *sim = sim_new(&config);
    struct utcp_stats stats = {.size = sizeof(stats)};

    assert_false(sim_run(sim, SECOND));
    sim_link(sim, 0)->hole = 1; /* nothing passes */
    assert_false(sim_run(sim, 4 * SECOND));
    assert_int_equal(path_mtu_of(sim_stack(sim, 0)), 1024);
    sim_link(sim, 0)->hole = 0;
    for (int i = 0; i < 50 && path_mtu_of(sim_stack(sim, 0)) != 1500; i++)
        assert_false(sim_run(sim, 100 * MS));
    assert_int_equal(path_mtu_of(sim_stack(sim, 0)), 1500);
    utcp_stats(sim_stack(sim, 0), &stats);
    assert_int_equal(stats.mtu_probes, 1);
    assert_int_equal(stats.mtu_probes_lost, 0);
    assert_true(sim_run(sim, MINUTE));
    sim_free(sim);
}

/* The path gets wider: that is seen ten minutes later. */
TCP_TEST(rfc4821_a_path_is_searched_again_after_ten_minutes)
{
    struct sim_config config = path(4);
    struct sim *sim;

    config.link[0].mtu = HOLE;
    config.link[0].rate = 10; /* 10 MiB take more than a quarter of an hour */
    config.link[0].queue_us = 1000000;
    sim = sim_new(&config);
    assert_false(sim_run(sim, 5 * MINUTE));
    assert_int_equal(path_mtu_of(sim_stack(sim, 0)), HOLE);
    sim_link(sim, 0)->mtu = 0;
    assert_false(sim_run(sim, 4 * MINUTE));
    assert_int_equal(path_mtu_of(sim_stack(sim, 0)), HOLE);
    assert_false(sim_run(sim, 3 * MINUTE));
    assert_int_equal(path_mtu_of(sim_stack(sim, 0)), 1500);
    sim_free(sim);
}

/* ── One stack against a script ────────────────────────────────────────────────────────────── */

#define SMALL (1024 - 40)

/* Full segments have timed out three times; since then all that is small is acknowledged, until a
 * probe is out, with so many segments behind it. Its sequence number. */
static uint32_t until_probe(struct tcp_test *t, unsigned behind)
{
    uint32_t taken = 1, probe = 0;
    unsigned followed = 0;

    tcp_write(t, 0, 200000);
    for (int i = 0; i < 2000 && tcp_stats(t).mtu_black_holes == 0; i++)
        pass(t, MS);
    t->out_first = t->out_count = 0;
    pass(t, 0);
    for (unsigned round = 0; round < 40 && followed < behind; round++) {
        uint32_t next = taken;

        if (t->out_count == 0)
            pass(t, 200 * MS);
        while (t->out_count) {
            struct seg *seg = &t->out[t->out_first];

            if (seg->length > SMALL && seg->seq >= 10 * MSS + 1 && !probe)
                probe = seg->seq;
            followed += probe && seg->seq > probe;
            if (!probe && seg->seq + seg->length > next)
                next = seg->seq + seg->length;
            t->out_first = (t->out_first + 1) % 512;
            t->out_count--;
        }
        pass(t, 10 * MS);
        taken = probe ? probe : next;
        if (followed < behind)
            peer(t, .flags = ACK, .seq = 1, .ack = taken);
    }
    assert_true(probe);
    return probe;
}

TCP_TEST(rfc4821_7_6_2_a_probe_that_is_lost_alone_is_no_congestion)
{
    struct tcp_test *t = tcp_established_sack(4, false);
    uint32_t probe = until_probe(t, 4), cwnd = tcp_info(t).cwnd;

    for (uint32_t i = 1; i <= 4; i++) {
        peer(t, .flags = ACK, .seq = 1, .ack = probe, .sacks = 1,
             .sack = {{probe + MSS, probe + MSS + i * SMALL}});
        pass(t, 3 * MS);
    }
    pass(t, 30 * MS);
    assert_int_equal(tcp_stats(t).mtu_probes, 1);
    assert_int_equal(tcp_stats(t).mtu_probes_lost, 1);
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    assert_true(tcp_info(t).cwnd >= cwnd);
    while (t->out_count && t->out[t->out_first].seq != probe) { /* new data may come first */
        t->out_first = (t->out_first + 1) % 512;
        t->out_count--;
    }
    expect(t, .flags = ACK, .seq = probe, .ack = 1, .length = SMALL);
    expect(t, .flags = ACK, .seq = probe + SMALL, .ack = 1, .length = MSS - SMALL);
    tcp_free(t);
}

TCP_TEST(nor_without_sack)
{
    struct tcp_test *t = tcp_established(4);
    uint32_t probe = until_probe(t, 4), threshold = tcp_info(t).ssthresh;

    for (uint32_t i = 1; i <= 3; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = probe);
    pass(t, 0);
    assert_int_equal(tcp_stats(t).mtu_probes_lost, 1);
    assert_int_equal(tcp_info(t).ssthresh, threshold);
    tcp_free(t);
}

/* Where more than the probe is lost, it is. */
TCP_TEST(what_is_lost_beside_a_probe_is_congestion)
{
    struct tcp_test *t = tcp_established_sack(4, false);
    uint32_t probe = until_probe(t, 4), cwnd = tcp_info(t).cwnd;

    peer(t, .flags = ACK, .seq = 1, .ack = probe, .sacks = 1,
         .sack = {{probe + MSS + SMALL, probe + MSS + 4 * SMALL}});
    pass(t, 100 * MS);
    assert_int_equal(tcp_info(t).fast_retransmits, 1);
    assert_true(tcp_info(t).cwnd < cwnd);
    tcp_free(t);
}

TCP_TEST(small_segments_that_time_out_are_no_black_hole)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 500);
    pass(t, MINUTE);
    assert_int_equal(tcp_stats(t).mtu_black_holes, 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4821_7_7_a_path_that_drops_what_is_large_is_found_out_and_searched),
        cmocka_unit_test(rfc4821_7_7_with_ipv6_as_well),
        cmocka_unit_test(without_probing_such_a_path_carries_nothing),
        cmocka_unit_test(where_icmp_comes_through_nothing_is_probed),
        cmocka_unit_test(a_path_that_loses_much_is_full_size_in_the_end),
        cmocka_unit_test(after_an_outage_the_first_probe_brings_all_back),
        cmocka_unit_test(rfc4821_a_path_is_searched_again_after_ten_minutes),
        cmocka_unit_test(rfc4821_7_6_2_a_probe_that_is_lost_alone_is_no_congestion),
        cmocka_unit_test(nor_without_sack),
        cmocka_unit_test(what_is_lost_beside_a_probe_is_congestion),
        cmocka_unit_test(small_segments_that_time_out_are_no_black_hole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
