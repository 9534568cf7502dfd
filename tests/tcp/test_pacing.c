/* SPDX-License-Identifier: BSD-2-Clause */
/* Pacing: segments leave at the pacing rate, everything else at once. */
#include "tcp_test.h"

#define RTT (100 * MS)
#define MSS 1460

/* Active, so that the handshake takes a round trip; paced, unless `flags` is 0. */
static struct tcp_test *connected(uint32_t flags, uint32_t offloads)
{
    struct tcp_test *t = tcp_new(
        4, &(struct utcp_config){.flags = flags | UTCP_NO_TIMESTAMPS, .offloads = offloads});

    tcp_connect(t);
    expect(t, .flags = SYN);
    pass(t, RTT);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    return t;
}

static unsigned drain(struct tcp_test *t)
{
    unsigned count = t->out_count;

    t->out_first = t->out_count = 0;
    return count;
}

/* Ten segments in a round trip of 100 ms, at twice the rate of slow start: one in 5 ms. */
TCP_TEST(the_first_window_is_spread_over_half_of_the_round_trip)
{
    struct tcp_test *t = connected(UTCP_PACE, 0);

    assert_int_equal(tcp_info(t).pacing_rate, 292001);
    tcp_write(t, 0, 10 * MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    silent_for(t, 3 * MS); /* one millisecond of credit */
    pass(t, 2 * MS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    expect_after(t, 4 * MS, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    pass(t, 20 * MS);
    assert_in_range(drain(t), 3, 5);
    pass(t, 20 * MS);
    drain(t);
    assert_int_equal(tcp_info(t).in_flight, 10 * MSS);
    tcp_free(t);
}

TCP_TEST(without_it_the_window_leaves_at_once)
{
    struct tcp_test *t = connected(0, 0);

    assert_int_equal(tcp_info(t).pacing_rate, 0);
    tcp_write(t, 0, 10 * MSS);
    pass(t, 0);
    assert_int_equal(drain(t), 10);
    tcp_free(t);
}

TCP_TEST(it_can_be_chosen_for_a_connection_and_given_up)
{
    struct tcp_test *t = connected(0, 0);

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_PACING, 1), 0);
    tcp_write(t, 0, 10 * MSS);
    pass(t, 0);
    assert_int_equal(drain(t), 1);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_PACING, 0), 0);
    pass(t, 0);
    assert_int_equal(drain(t), 9);
    tcp_free(t);
}

TCP_TEST(acknowledgments_and_retransmissions_do_not_wait)
{
    struct tcp_test *t = connected(UTCP_PACE, 0);

    tcp_write(t, 0, 20 * MSS);
    pass(t, 60 * MS);
    assert_int_equal(drain(t), 10);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS); /* two more may leave, the second later */
    pass(t, 0);
    assert_int_equal(drain(t), 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS, .length = MSS);
    peer(t, .flags = ACK, .seq = 1 + MSS, .ack = 1 + MSS, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 11 * MSS, .ack = 1 + 2 * MSS);
    for (int i = 0; i < 3; i++)
        peer(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1 + 2 * MSS, .length = MSS);
    tcp_free(t);
}

/* What is cut later is as large as a millisecond at the pacing rate, at least two segments. */
TCP_TEST(large_packets_are_no_bursts)
{
    struct tcp_test *t = connected(UTCP_PACE, UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT);

    tcp_write(t, 0, 10 * MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    pass(t, 60 * MS);
    while (t->out_count) {
        assert_in_range(t->out[t->out_first].length, MSS, 2 * MSS);
        t->out_first++;
        t->out_count--;
    }
    t->out_first = 0;
    tcp_free(t);
}

/* An event loop that is late does not lower the rate, but may not make a burst of all it missed. */
TCP_TEST(who_comes_late_makes_up_for_little)
{
    struct tcp_test *t = connected(UTCP_PACE, 0);

    tcp_write(t, 0, 10 * MSS);
    pass(t, 0);
    assert_int_equal(drain(t), 1);
    t->now += 40 * MS;
    utcp_advance(t->stack, t->now);
    pass(t, 0);
    assert_int_equal(drain(t), 1);
    tcp_free(t);
}

/* Grows the window to 60 segments, then is silent for three retransmission timeouts. */
static uint32_t window_after_a_pause(uint32_t flags)
{
    struct tcp_test *t = connected(flags, 0);
    uint32_t sent = 0, window;

    while (tcp_info(t).cwnd < 60 * MSS) {
        while (utcp_unacknowledged(t->conn) < 60 * MSS) {
            tcp_write(t, sent, 10 * MSS);
            sent += 10 * MSS;
        }
        pass(t, RTT);
        drain(t);
        peer(t, .flags = ACK, .seq = 1,
             .ack = 1 + (uint32_t)tcp_info(t).bytes_out + tcp_info(t).in_flight);
    }
    while (utcp_unacknowledged(t->conn)) {
        pass(t, RTT);
        drain(t);
        peer(t, .flags = ACK, .seq = 1,
             .ack = 1 + (uint32_t)tcp_info(t).bytes_out + tcp_info(t).in_flight);
    }
    assert_true(tcp_info(t).cwnd >= 60 * MSS);
    pass(t, 2 * tcp_info(t).rto_us + RTT / 2); /* the last was sent RTT before its ACK */
    tcp_write(t, sent, MSS);
    pass(t, 0);
    assert_int_equal(drain(t), 1);
    window = tcp_info(t).cwnd;
    tcp_free(t);
    return window;
}

TCP_TEST(after_a_pause_a_paced_window_fades_and_a_burst_is_cut_off)
{
    assert_int_equal(window_after_a_pause(0), 10 * MSS);
    assert_in_range(window_after_a_pause(UTCP_PACE), 10 * MSS + 1, 20 * MSS);
}

TCP_TEST(bbr_paces_from_its_first_segment)
{
    struct tcp_test *t = connected(0, 0);

    assert_int_equal(utcp_set_congestion(t->conn, "bbr"), 0);
    assert_true(tcp_info(t).pacing_rate > 0);
    tcp_write(t, 0, 10 * MSS);
    pass(t, 0);
    assert_in_range(drain(t), 1, 9);
    pass(t, 50 * MS);
    drain(t);
    assert_int_equal(tcp_info(t).in_flight, 10 * MSS);
    assert_int_equal(utcp_set_congestion(t->conn, "cubic"), 0);
    assert_int_equal(tcp_info(t).pacing_rate, 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_window_is_spread_over_half_of_the_round_trip),
        cmocka_unit_test(without_it_the_window_leaves_at_once),
        cmocka_unit_test(it_can_be_chosen_for_a_connection_and_given_up),
        cmocka_unit_test(acknowledgments_and_retransmissions_do_not_wait),
        cmocka_unit_test(large_packets_are_no_bursts),
        cmocka_unit_test(who_comes_late_makes_up_for_little),
        cmocka_unit_test(after_a_pause_a_paced_window_fades_and_a_burst_is_cut_off),
        cmocka_unit_test(bbr_paces_from_its_first_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
