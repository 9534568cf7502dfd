/* SPDX-License-Identifier: BSD-2-Clause */
/* Congestion controls by themselves: what each makes of acknowledgments and losses, without a
 * connection. Numbers are those of the RFCs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "congestion/congestion.h"

#define MSS     1000
#define SEGMENT MSS
#define MS      UINT64_C(1000)
#define SECOND  (1000 * MS)

struct flow {
    struct utcp_cc cc;
    uint64_t now, rtt, delivered, queue;
    bool recovering;
};

static struct flow flow_new(const struct utcp_cc_ops *ops, uint32_t segments, uint64_t rtt)
{
    struct flow flow = {.now = SECOND, .rtt = rtt};

    flow.cc = (struct utcp_cc){
        .ops = ops, .cwnd = segments * SEGMENT, .ssthresh = UTCP_CC_CWND_MAX, .mss = MSS};
    ops->init(&flow.cc, 0, flow.now);
    return flow;
}

/* One acknowledgment of `bytes`. */
static void ack(struct flow *flow, uint32_t bytes, bool round, bool grow)
{
    struct utcp_cc_ack one = {
        .now = flow->now,
        .acked = bytes,
        .in_flight = flow->cc.cwnd,
        .rtt_us = flow->rtt,
        .srtt_us = flow->rtt,
        .round = round,
        .grow = grow,
        .delivered = flow->delivered += bytes,
        .rate = flow->cc.cwnd * SECOND / flow->rtt,
    };

    flow->cc.ops->acked(&flow->cc, &one);
}

/* A round trip in which the whole window is acknowledged, in at most 64 steps. */
static void round_trip(struct flow *flow)
{
    uint32_t left = flow->cc.cwnd, step = left / 64 > 2 * MSS ? left / 64 : 2 * MSS;

    for (uint32_t i = 0; left; i++) {
        uint32_t bytes = left < step ? left : step;

        ack(flow, bytes, i == 0, true);
        left -= bytes;
    }
    flow->now += flow->rtt;
}

static void lose(struct flow *flow)
{
    flow->cc.ops->lost(&flow->cc, flow->cc.cwnd, flow->now);
}

static void run_until(struct flow *flow, uint64_t when)
{
    while (flow->now < when)
        round_trip(flow);
}

static void assert_about(uint64_t value, uint64_t expected, unsigned thousandths)
{
    assert_in_range(value, expected - expected * thousandths / 1000,
                    expected + expected * thousandths / 1000);
}

/* RFC 9438 section 4.2: K = cbrt(w_max (1 - beta) / C) seconds until the window is back. */
static void cubic_comes_back_to_where_the_loss_was(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 1000, 100 * MS);
    uint64_t lost_at;

    (void)state;
    lose(&flow);
    lost_at = flow.now;
    assert_int_equal(flow.cc.cwnd, 700 * SEGMENT);
    assert_int_equal(flow.cc.ssthresh, 700 * SEGMENT);
    run_until(&flow, lost_at + 9086 * MS / 2); /* K is 9.086 s; at half of it, 7/8 of the way */
    assert_about(flow.cc.cwnd, 962500, 5);
    run_until(&flow, lost_at + 9086 * MS);
    assert_about(flow.cc.cwnd, 1000000, 5);
    run_until(&flow, lost_at + 2 * 9086 * MS); /* and beyond, the same curve upside down */
    assert_about(flow.cc.cwnd, 1300000, 10);
}

static void cubic_makes_room_for_others(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 1000, 100 * MS);
    uint64_t lost_at;

    (void)state;
    lose(&flow);
    lose(&flow); /* at 700, below the last loss: the next goal is 700 * (1 + 0.7) / 2 */
    lost_at = flow.now;
    assert_int_equal(flow.cc.cwnd, 490 * SEGMENT);
    run_until(&flow, lost_at + 6300 * MS); /* cbrt((595 - 490) / 0.4) = 6.4 s */
    assert_about(flow.cc.cwnd, 595000, 5);
}

/* RFC 9438 section 4.3: on a short path it is no slower than NewReno, alpha 0.53 until the window
 * is back at the old place, 1 from there. */
static void cubic_is_no_slower_than_newreno(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 100, 2 * MS);
    uint32_t before;

    (void)state;
    lose(&flow);
    before = flow.cc.cwnd;
    for (int i = 0; i < 40; i++)
        round_trip(&flow);
    assert_about(flow.cc.cwnd - before, 40 * 529, 60);
    for (int i = 0; i < 40; i++)
        round_trip(&flow);
    before = flow.cc.cwnd;
    for (int i = 0; i < 10; i++)
        round_trip(&flow);
    assert_about(flow.cc.cwnd - before, 10 * SEGMENT, 60);
}

static void cubic_does_not_count_time_without_data(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 1000, 100 * MS);
    uint32_t before;

    (void)state;
    lose(&flow);
    for (int i = 0; i < 10; i++)
        round_trip(&flow);
    before = flow.cc.cwnd;
    for (int i = 0; i < 1000; i++) { /* little is written for 100 s */
        flow.now += flow.rtt;
        ack(&flow, SEGMENT, true, false);
    }
    assert_int_equal(flow.cc.cwnd, before);
    round_trip(&flow);
    assert_true(flow.cc.cwnd - before < before / 10);
}

static void undone_losses_leave_no_trace(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 1000, 100 * MS);

    (void)state;
    lose(&flow);
    flow.cc.cwnd = 1000 * SEGMENT; /* what control.c gives back */
    flow.cc.ssthresh = UTCP_CC_CWND_MAX;
    flow.cc.ops->undo(&flow.cc);
    flow.cc.ssthresh = 1;
    round_trip(&flow);
    assert_about(flow.cc.cwnd, 1000000, 5);
    lose(&flow); /* and the next is a first one: no fast convergence */
    run_until(&flow, flow.now + 9086 * MS);
    assert_about(flow.cc.cwnd, 1000000, 10);
}

static void newreno_opens_by_a_segment_a_round_trip(void **state)
{
    struct flow flow = flow_new(&utcp__newreno, 100, 20 * MS);

    (void)state;
    lose(&flow);
    assert_int_equal(flow.cc.cwnd, 50 * SEGMENT);
    for (int i = 0; i < 50; i++)
        round_trip(&flow);
    assert_about(flow.cc.cwnd, 100000, 10);
    flow.cc.ops->timed_out(&flow.cc, 3 * SEGMENT, flow.now);
    assert_int_equal(flow.cc.ssthresh, 2 * SEGMENT); /* never less */
}

/* The widest windows and the longest times: nothing runs over. */
static void no_number_runs_over(void **state)
{
    const struct utcp_cc_ops *ops;

    (void)state;
    for (unsigned i = 0; (ops = utcp__congestion_module(i)) != NULL; i++) {
        struct flow flow = flow_new(ops, 1, 100 * SECOND);

        flow.cc.cwnd = UTCP_CC_CWND_MAX;
        lose(&flow);
        for (int round = 0; round < 2000; round++) {
            round_trip(&flow);
            assert_in_range(flow.cc.cwnd, MSS, UINT64_C(2) * UTCP_CC_CWND_MAX);
            if (flow.cc.cwnd > UTCP_CC_CWND_MAX)
                flow.cc.cwnd = UTCP_CC_CWND_MAX;
            if (round % 500 == 499)
                flow.cc.ops->timed_out(&flow.cc, flow.cc.cwnd, flow.now);
        }
        assert_true(ops->own_window || flow.cc.cwnd > UTCP_CC_CWND_MAX / 100);
    }
}

/* ── HyStart++ ─────────────────────────────────────────────────────────────────────────────── */

static void slow_start_doubles_while_nothing_queues(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 20, 50 * MS);

    (void)state;
    for (int i = 0; i < 5; i++)
        round_trip(&flow);
    assert_int_equal(flow.cc.cwnd, 20 * 32 * SEGMENT);
}

static void slow_start_ends_when_round_trips_grow(void **state)
{
    struct flow flow = flow_new(&utcp__newreno, 20, 50 * MS);
    uint32_t before;

    (void)state;
    for (int i = 0; i < 3; i++)
        round_trip(&flow);
    flow.rtt = 60 * MS; /* more than 50 / 8 above */
    round_trip(&flow);  /* notices at the eighth of its samples */
    before = flow.cc.cwnd;
    round_trip(&flow); /* a quarter of the speed */
    assert_about(flow.cc.cwnd, (uint64_t)before * 5 / 4, 10);
    for (int i = 0; i < 3; i++)
        round_trip(&flow);
    assert_int_equal(flow.cc.ssthresh, UTCP_CC_CWND_MAX);
    round_trip(&flow);
    assert_true(flow.cc.ssthresh < UTCP_CC_CWND_MAX);
    assert_about(flow.cc.cwnd, flow.cc.ssthresh, 10);
}

static void slow_start_goes_on_after_a_false_alarm(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 20, 50 * MS);
    uint32_t before;

    (void)state;
    for (int i = 0; i < 3; i++)
        round_trip(&flow);
    flow.rtt = 60 * MS;
    round_trip(&flow);
    flow.rtt = 50 * MS;
    round_trip(&flow);
    before = flow.cc.cwnd;
    round_trip(&flow);
    assert_int_equal(flow.cc.cwnd, 2 * before);
}

static void small_growth_of_round_trips_is_noise(void **state)
{
    struct flow flow = flow_new(&utcp__cubic, 20, 5 * MS);

    (void)state;
    for (int i = 0; i < 5; i++) {
        round_trip(&flow);
        flow.rtt += 3 * MS;
    }
    assert_int_equal(flow.cc.cwnd, 20 * 32 * SEGMENT);
}

/* ── BBR ───────────────────────────────────────────────────────────────────────────────────── */

#define PATH_RATE (UINT64_C(10) * 1000 * 1000) /* bytes/s */
#define PATH_RTT  (20 * MS)
#define PATH_BDP  200000

/* A round trip over a path with a deep queue: what is more than its product of bandwidth and delay
 * waits. */
static void path_round_trip(struct flow *flow)
{
    uint64_t sent = flow->cc.pacing_rate * PATH_RTT / SECOND;
    uint32_t window =
        (uint32_t)(sent + flow->queue < flow->cc.cwnd ? sent + flow->queue : flow->cc.cwnd);
    uint32_t step, left;
    struct utcp_cc_ack one = {
        .in_flight = window, .recovering = flow->recovering, .grow = !flow->recovering};

    window = window > MSS ? window : MSS;
    flow->queue = window > PATH_BDP ? window - PATH_BDP : 0;
    left = window;
    step = window / 16 > MSS ? window / 16 : MSS;
    flow->rtt = window > PATH_BDP ? window * SECOND / PATH_RATE : PATH_RTT;
    one.rate = (uint64_t)window * SECOND / flow->rtt;
    for (bool first = true; left; first = false) {
        one.acked = left < step ? left : step;
        left -= one.acked;
        flow->now += flow->rtt * one.acked / window;
        one.now = flow->now;
        one.rtt_us = one.srtt_us = flow->rtt;
        one.round = first;
        one.in_flight = window; /* what is acknowledged is replaced */
        one.delivered = flow->delivered += one.acked;
        flow->cc.ops->acked(&flow->cc, &one);
    }
}

static struct flow bbr_flow(void)
{
    struct flow flow = flow_new(&utcp__bbr, 10, PATH_RTT);

    for (int i = 0; i < 40; i++)
        path_round_trip(&flow);
    return flow;
}

static void bbr_finds_bandwidth_and_delay(void **state)
{
    struct flow flow = bbr_flow();
    uint64_t least = UINT64_MAX, most = 0, sum = 0;

    (void)state;
    assert_about(flow.cc.cwnd, 2 * PATH_BDP + 3 * MSS, 30);
    for (int i = 0; i < 80; i++) {
        path_round_trip(&flow);
        sum += flow.cc.pacing_rate;
        least = flow.cc.pacing_rate < least ? flow.cc.pacing_rate : least;
        most = flow.cc.pacing_rate > most ? flow.cc.pacing_rate : most;
    }
    assert_about(sum / 80, PATH_RATE, 80);
    assert_about(least, PATH_RATE * 3 / 4, 80); /* it probes, and drains what that left */
    assert_about(most, PATH_RATE * 5 / 4, 80);
}

static void bbr_measures_the_delay_anew(void **state)
{
    struct flow flow = bbr_flow();
    unsigned narrow = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) { /* more than 10 s at an ever longer delay */
        path_round_trip(&flow);
        narrow += flow.cc.cwnd == 4 * MSS;
    }
    assert_in_range(narrow, 0, 60);
    assert_about(flow.cc.cwnd, 2 * PATH_BDP + 3 * MSS, 50);
}

/* snd_una stands at a hole, and so do round trips, while there are many more to fill. */
static void bbr_does_not_stay_narrow_until_losses_are_repaired(void **state)
{
    struct flow flow = bbr_flow();
    unsigned narrow = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) { /* 20 s at a longer delay */
        struct utcp_cc_ack ack = {.now = flow.now += 10 * MS,
                                  .acked = MSS,
                                  .in_flight = 2 * MSS,
                                  .rtt_us = 2 * PATH_RTT,
                                  .srtt_us = 2 * PATH_RTT,
                                  .rate = PATH_RATE,
                                  .delivered = flow.delivered += MSS,
                                  .round = flow.cc.cwnd > 4 * MSS,
                                  .recovering = true};

        flow.cc.ops->acked(&flow.cc, &ack);
        narrow += flow.cc.cwnd == 4 * MSS;
    }
    assert_in_range(narrow, 20, 60);
}

static void bbr_s_window_survives_a_loss(void **state)
{
    struct flow flow = bbr_flow();
    uint32_t before = flow.cc.cwnd;

    (void)state;
    flow.cc.ops->lost(&flow.cc, 50 * SEGMENT, flow.now);
    assert_int_equal(flow.cc.cwnd, 50 * SEGMENT);
    path_round_trip(&flow); /* not recovering any more */
    assert_about(flow.cc.cwnd, before, 50);
    flow.cc.ops->timed_out(&flow.cc, 50 * SEGMENT, flow.now);
    flow.cc.cwnd = MSS;
    path_round_trip(&flow);
    assert_about(flow.cc.cwnd, before, 50);
}

/* As many packets as arrive, for a round trip; with losses in each there would be no other growth. */
static void bbr_s_window_grows_in_a_long_recovery(void **state)
{
    struct flow flow = bbr_flow();
    uint32_t before = flow.cc.cwnd;

    (void)state;
    flow.cc.ops->lost(&flow.cc, 50 * SEGMENT, flow.now);
    flow.recovering = true;
    path_round_trip(&flow);
    assert_in_range(flow.cc.cwnd, 50 * SEGMENT, 54 * SEGMENT);
    for (int i = 0; i < 5; i++)
        path_round_trip(&flow);
    assert_about(flow.cc.cwnd, before, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cubic_comes_back_to_where_the_loss_was),
        cmocka_unit_test(cubic_makes_room_for_others),
        cmocka_unit_test(cubic_is_no_slower_than_newreno),
        cmocka_unit_test(cubic_does_not_count_time_without_data),
        cmocka_unit_test(undone_losses_leave_no_trace),
        cmocka_unit_test(newreno_opens_by_a_segment_a_round_trip),
        cmocka_unit_test(no_number_runs_over),
        cmocka_unit_test(slow_start_doubles_while_nothing_queues),
        cmocka_unit_test(slow_start_ends_when_round_trips_grow),
        cmocka_unit_test(slow_start_goes_on_after_a_false_alarm),
        cmocka_unit_test(small_growth_of_round_trips_is_noise),
        cmocka_unit_test(bbr_finds_bandwidth_and_delay),
        cmocka_unit_test(bbr_measures_the_delay_anew),
        cmocka_unit_test(bbr_does_not_stay_narrow_until_losses_are_repaired),
        cmocka_unit_test(bbr_s_window_survives_a_loss),
        cmocka_unit_test(bbr_s_window_grows_in_a_long_recovery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
