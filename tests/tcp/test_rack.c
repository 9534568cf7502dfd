/* SPDX-License-Identifier: BSD-2-Clause */
/* A sender with SACK: its scoreboard (RFC 2018 sections 5 and 8), RACK-TLP (RFC 8985), PRR (RFC
 * 9937), and what is undone (RFC 2883, 3522, 4015, 5682). */
#include "tcp_test.h"

#define MSS 1460
#define RTT (100 * MS)

/* Sequence number of segment n, counted from 0. */
#define AT(n) (1 + MSS * (uint32_t)(n))

#define SACK(t, n, from, to)                                                                       \
    peer(t, .flags = ACK, .seq = 1, .ack = AT(n), .sacks = 1, .sack = {{AT(from), AT(to)}})
#define ACKED(t, n) peer(t, .flags = ACK, .seq = 1, .ack = AT(n))
#define SENT(t, n)  expect(t, .flags = ACK, .seq = AT(n), .ack = 1, .length = MSS)

/* A round-trip time of 100 ms was measured by segment 0; the segments 1 to 10 were sent at once, a
 * round trip ago, and `more` wait for a window. */
static struct tcp_test *begin(uint32_t more)
{
    struct tcp_test *t = tcp_new(4, NULL);

    t->peer_sack = true;
    tcp_listen(t, 8);
    peer(t, .flags = SYN, .mss = MSS);
    expect(t, .flags = SYN | ACK, .ack = 1);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    pass(t, RTT);
    ACKED(t, 1);
    assert_int_equal(tcp_info(t).min_rtt_us, RTT);
    tcp_write(t, MSS, (10 + more) * MSS);
    for (uint32_t i = 1; i <= 10; i++)
        SENT(t, i);
    expect_nothing(t);
    pass(t, RTT);
    expect_nothing(t);
    return t;
}

TCP_TEST(rfc8985_6_2_what_was_sent_before_what_arrived_is_lost_after_the_reordering_window)
{
    struct tcp_test *t = begin(0);

    SACK(t, 1, 2, 3);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).sacked, MSS);
    expect_after(t, RTT / 4, .flags = ACK, .seq = AT(1), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).fast_retransmits, 1);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

TCP_TEST(rfc8985_6_2_with_three_segments_sacked_it_is_lost_at_once)
{
    struct tcp_test *t = begin(0);

    SACK(t, 1, 2, 4);
    expect_nothing(t);
    SACK(t, 1, 2, 5);
    SENT(t, 1);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(rfc8985_6_2_what_comes_late_but_in_the_window_is_not_sent_again)
{
    struct tcp_test *t = begin(0);

    SACK(t, 1, 2, 3);
    pass(t, RTT / 8);
    ACKED(t, 3);
    assert_true(tcp_info(t).reordering);
    SACK(t, 3, 4, 8); /* now three do not suffice */
    expect_nothing(t);
    expect_after(t, RTT / 4, .flags = ACK, .seq = AT(3), .ack = 1, .length = MSS);
    tcp_free(t);
}

TCP_TEST(rfc8985_6_2_several_holes_are_repaired_in_one_round_trip)
{
    struct tcp_test *t = begin(0);

    peer(t, .flags = ACK, .seq = 1, .ack = AT(1), .sacks = 3,
         .sack = {{AT(8), AT(11)}, {AT(5), AT(7)}, {AT(2), AT(4)}});
    SENT(t, 1);
    SENT(t, 4);
    SENT(t, 7);
    expect_nothing(t);
    pass(t, RTT);
    ACKED(t, 11);
    assert_int_equal(tcp_info(t).segments_retransmitted, 3);
    assert_int_equal(tcp_info(t).timeouts, 0);
    assert_int_equal(tcp_info(t).sacked, 0);
    assert_int_equal(tcp_info(t).cwnd, tcp_info(t).ssthresh);
    tcp_free(t);
}

TCP_TEST(rfc8985_6_2_a_lost_retransmission_is_found)
{
    struct tcp_test *t = begin(20);

    SACK(t, 1, 2, 9);
    SENT(t, 1);
    pass(t, 10 * MS);
    t->out_first = t->out_count = 0;
    SACK(t, 1, 2, 11); /* lets new data go: they leave later than the retransmission */
    pass(t, RTT);
    t->out_first = t->out_count = 0;
    assert_true(tcp_info(t).in_flight > 2 * MSS);
    SACK(t, 1, 2, 15); /* … and arrive, so that is lost */
    SENT(t, 1);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

TCP_TEST(rfc8985_7_a_lost_tail_is_probed_for_after_two_round_trips)
{
    struct tcp_test *t = begin(0);

    expect_after(t, RTT, .flags = ACK, .seq = AT(10), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).tail_probes, 1);
    expect_nothing(t);
    pass(t, RTT);
    SACK(t, 1, 10, 11); /* all but the last had been lost */
    SENT(t, 1);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

TCP_TEST(rfc8985_7_3_new_data_are_a_better_probe)
{
    struct tcp_test *t = begin(5);

    expect_after(t, RTT, .flags = ACK, .seq = AT(11), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).segments_retransmitted, 0);
    tcp_free(t);
}

/* The segment that was sent last is the FIN. */
TCP_TEST(rfc8985_7_3_a_fin_alone_is_probed_with_alone)
{
    struct tcp_test *t = begin(0);

    utcp_shutdown(t->conn, t->now);
    expect(t, .flags = ACK | FIN, .seq = AT(11), .ack = 1);
    expect_after(t, 2 * RTT, .flags = ACK | FIN, .seq = AT(11), .ack = 1);
    assert_int_equal(tcp_info(t).tail_probes, 1);
    expect_nothing(t);
    tcp_free(t);
}

/* The retransmission is lost, and so is what left behind it, or its acknowledgments. */
TCP_TEST(rfc8985_7_3_a_recovery_probes_with_new_data)
{
    struct tcp_test *t = begin(30);
    uint32_t next;

    SACK(t, 1, 2, 11); /* nothing but 1 is missing */
    pass(t, 0);
    next = 11 + t->out_count - 1;
    SENT(t, 1);
    t->out_first = t->out_count = 0;
    expect_after(t, 2 * RTT, .flags = ACK, .seq = AT(next), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).tail_probes, 1);
    expect_nothing(t);
    SACK(t, 1, 2, next + 1); /* all but the retransmission came */
    SENT(t, 1);
    assert_int_equal(tcp_info(t).timeouts, 0);
    assert_int_equal(tcp_info(t).segments_retransmitted, 2);
    assert_int_equal(tcp_info(t).fast_retransmits, 1);
    tcp_free(t);
}

/* Nothing new to send, and the peer has the last segment: what it has not is asked with. */
TCP_TEST(rfc8985_7_3_a_recovery_probes_once_with_the_first_that_is_missing)
{
    struct tcp_test *t = begin(0);

    SACK(t, 1, 2, 11);
    SENT(t, 1);
    expect_nothing(t);
    expect_after(t, 2 * RTT, .flags = ACK, .seq = AT(1), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).tail_probes, 1);
    pass(t, RTT); /* no second one */
    expect_nothing(t);
    ACKED(t, 11);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

/* The second condition: nothing was measured since the last one. */
TCP_TEST(rfc8985_7_3_no_probe_before_another_round_trip_was_measured)
{
    struct tcp_test *t = begin(0);

    ACKED(t, 11);
    tcp_write(t, 11 * MSS, MSS);
    SENT(t, 11);
    pass(t, 400 * MS);
    SENT(t, 11);
    assert_int_equal(tcp_info(t).tail_probes, 1);
    ACKED(t, 12); /* of which copy nobody knows */
    tcp_write(t, 12 * MSS, 2 * MSS);
    SENT(t, 12);
    SENT(t, 13);
    pass(t, 2 * RTT + 50 * MS);
    expect_nothing(t);
    ACKED(t, 14);
    tcp_write(t, 14 * MSS, 2 * MSS);
    SENT(t, 14);
    SENT(t, 15);
    pass(t, 3 * RTT);
    SENT(t, 15);
    assert_int_equal(tcp_info(t).tail_probes, 2);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

TCP_TEST(rfc8985_7_4_a_loss_that_the_probe_repaired_reduces_the_window)
{
    struct tcp_test *t = begin(0);
    uint32_t cwnd;

    ACKED(t, 10);
    expect_nothing(t);
    cwnd = tcp_info(t).cwnd;
    pass(t, 400 * MS);
    SENT(t, 10); /* a single segment waits for a delayed acknowledgment as well */
    assert_int_equal(tcp_info(t).tail_probes, 1);
    tcp_write(t, 11 * MSS, MSS);
    SENT(t, 11);
    pass(t, RTT);
    ACKED(t, 12);
    assert_true(tcp_info(t).cwnd < cwnd);
    tcp_free(t);
}

TCP_TEST(rfc8985_7_4_a_probe_that_came_twice_does_not)
{
    struct tcp_test *t = begin(0);
    uint32_t cwnd;

    ACKED(t, 10);
    cwnd = tcp_info(t).cwnd;
    pass(t, 400 * MS);
    SENT(t, 10);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(10), AT(11)}});
    assert_int_equal(tcp_info(t).duplicates_reported, 1);
    assert_true(tcp_info(t).cwnd >= cwnd);
    tcp_free(t);
}

/* Two segments from n on, which are acknowledged a round trip later. */
static void send_two(struct tcp_test *t, uint32_t n)
{
    tcp_write(t, n * MSS, 2 * MSS);
    SENT(t, n);
    SENT(t, n + 1);
}

TCP_TEST(after_a_needless_probe_the_next_one_waits_longer)
{
    struct tcp_test *t = begin(0);

    expect_after(t, RTT, .flags = ACK, .seq = AT(10), .ack = 1, .length = MSS);
    pass(t, RTT / 2);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(10), AT(11)}});
    assert_int_equal(tcp_info(t).duplicates_reported, 1);
    send_two(t, 11);
    pass(t, RTT);
    ACKED(t, 13); /* a round trip is measured */
    send_two(t, 13);
    pass(t, 2 * RTT + RTT / 2);
    expect_nothing(t);
    expect_after(t, RTT / 2, .flags = ACK, .seq = AT(14), .ack = 1,
                 .length = MSS); /* RTO: not later */
    assert_int_equal(tcp_info(t).tail_probes, 2);
    pass(t, RTT);
    ACKED(t, 15); /* which says nothing of a duplicate: it was missing */
    send_two(t, 15);
    pass(t, RTT);
    ACKED(t, 17);
    send_two(t, 17);
    pass(t, RTT);
    expect_nothing(t);
    expect_after(t, RTT, .flags = ACK, .seq = AT(18), .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).tail_probes, 3);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

/* All is acknowledged in the moment of a probe, and new data leave in it as well. */
TCP_TEST(what_leaves_in_the_moment_of_a_retransmission_is_recovered)
{
    struct tcp_test *t = begin(0);

    expect_after(t, RTT, .flags = ACK, .seq = AT(10), .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(10), AT(11)}});
    send_two(t, 11);
    pass(t, RTT);
    ACKED(t, 13);
    send_two(t, 13);
    pass(t, RTT);
    ACKED(t, 15);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).timeouts, 0);
    tcp_free(t);
}

TCP_TEST(rfc9937_6_2_the_window_follows_what_is_delivered)
{
    struct tcp_test *t = begin(20);
    uint32_t sent = 0;

    SACK(t, 1, 2, 5);
    SENT(t, 1);
    for (uint32_t n = 6; n <= 11; n++) {
        SACK(t, 1, 2, n);
        pass(t, 0);
        assert_true(t->out_count <= 1);
        sent += t->out_count;
        t->out_first = t->out_count = 0;
    }
    assert_in_range(sent, 2, 4); /* about one for two */
    ACKED(t, 11);
    assert_int_equal(tcp_info(t).cwnd, tcp_info(t).ssthresh);
    tcp_free(t);
}

TCP_TEST(rfc2018_blocks_that_make_no_sense_are_ignored)
{
    struct tcp_test *t = begin(0);
    static const uint32_t bad[][2] = {
        {AT(5), AT(4)},                            /* reversed */
        {AT(5), AT(5)},                            /* empty */
        {AT(9), AT(12)},                           /* beyond what was sent */
        {AT(12), AT(13)},                          /* all of it */
        {AT(0) - 1, AT(3)},                        /* across the acknowledgment */
        {AT(3) + 0x80000000u, AT(4) + 0x80000000u} /* from the other half of the circle */
    };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        peer(t, .flags = ACK, .seq = 1, .ack = AT(1), .sacks = 1, .sack = {{bad[i][0], bad[i][1]}});
    assert_int_equal(tcp_info(t).sacked, 0);
    assert_int_equal(tcp_stats(t).sack_blocks_ignored, 6);
    tcp_free(t);
}

TCP_TEST(rfc2018_blocks_without_negotiation_are_ignored)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 10 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        SENT(t, i);
    SACK(t, 0, 1, 10);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).sacked, 0);
    tcp_free(t);
}

/* The acknowledgment that came last was sent first. */
TCP_TEST(rfc2018_5_blocks_of_an_acknowledgment_that_was_overtaken_count)
{
    struct tcp_test *t = begin(0);

    ACKED(t, 3);
    expect_nothing(t);
    SACK(t, 1, 6, 11);
    SENT(t, 3);
    SENT(t, 4);
    SENT(t, 5);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).sacked, 5 * MSS);
    SACK(t, 1, 2, 4); /* the part beyond snd_una */
    assert_int_equal(tcp_info(t).sacked, 6 * MSS);
    SACK(t, 1, 1, 3); /* nothing is */
    assert_int_equal(tcp_info(t).sacked, 6 * MSS);
    SACK(t, 3, 7, 9); /* known already */
    expect_nothing(t);
    assert_int_equal(tcp_info(t).sacked, 6 * MSS);
    tcp_free(t);
}

/* And its window does not, nor does it count as a duplicate. */
TCP_TEST(an_acknowledgment_that_was_overtaken_says_nothing_else)
{
    struct tcp_test *t = begin(20);

    ACKED(t, 3);
    pass(t, 0);
    t->out_first = t->out_count = 0;
    for (int i = 0; i < 5; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = AT(2), .window = 1);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    assert_int_equal(tcp_info(t).send_window, 65535);
    tcp_free(t);
}

TCP_TEST(rfc2018_8_a_peer_that_threw_data_away_gets_them_again_after_a_timeout)
{
    struct tcp_test *t = begin(0);

    SACK(t, 1, 5, 11);
    SENT(t, 1);
    SENT(t, 2);
    SENT(t, 3);
    SENT(t, 4);
    expect_nothing(t);
    ACKED(t, 5); /* and no further, though it had told of all the rest */
    pass(t, SECOND);
    assert_true(t->out_count >= 1);
    assert_int_equal(t->out[t->out_first].seq, AT(5));
    assert_int_equal(tcp_info(t).sacked, 0);
    t->out_first = t->out_count = 0;
    ACKED(t, 6);
    SENT(t, 6);
    tcp_free(t);
}

TCP_TEST(cve_2019_11478_a_scoreboard_of_crumbs_is_bounded)
{
    struct utcp_config config = {.congestion = "newreno"};
    struct tcp_test *t = tcp_new(4, &config);
    uint32_t end;

    t->peer_sack = true;
    tcp_listen(t, 8);
    peer(t, .flags = SYN, .mss = MSS, .scale = 8);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, 10 * MSS);
    pass(t, 0);
    end = 10 * MSS;
    for (uint32_t at = 3; at + 1 < end; at += 2) /* every other byte */
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{at, at + 1}});
    assert_true(tcp_info(t).sacked <= 2048);
    assert_true(tcp_stats(t).sack_blocks_ignored > 1000);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + end);
    assert_int_equal(tcp_info(t).sacked, 0);
    assert_int_equal(tcp_info(t).in_flight, 0);
    tcp_free(t);
}

TCP_TEST(rfc2883_a_recovery_whose_retransmissions_all_came_twice_is_undone)
{
    struct tcp_test *t = begin(0);
    uint32_t cwnd = tcp_info(t).cwnd;

    SACK(t, 1, 2, 5);
    SENT(t, 1);
    assert_true(tcp_info(t).cwnd < cwnd);
    ACKED(t, 5); /* the original was late */
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(1), AT(2)}});
    assert_true(tcp_info(t).cwnd >= cwnd);
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    tcp_free(t);
}

TCP_TEST(rfc2883_what_the_network_doubled_is_no_reason_to_undo)
{
    struct tcp_test *t = begin(0);
    uint32_t cwnd;

    SACK(t, 1, 2, 5);
    SENT(t, 1);
    ACKED(t, 5);
    cwnd = tcp_info(t).cwnd;
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(7), AT(8)}});
    assert_int_equal(tcp_info(t).duplicates_reported, 1);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    /* The same again with the one that was sent again. */
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(1), AT(2)}});
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    assert_true(tcp_info(t).cwnd > cwnd);
    tcp_free(t);
}

TCP_TEST(rfc2883_what_came_twice_twice_stands_for_itself_alone)
{
    struct tcp_test *t = begin(0);

    peer(t, .flags = ACK, .seq = 1, .ack = AT(1), .sacks = 2,
         .sack = {{AT(6), AT(11)}, {AT(2), AT(5)}});
    SENT(t, 1);
    SENT(t, 5);
    for (int i = 0; i < 2; i++) /* the retransmission, and its double */
        peer(t, .flags = ACK, .seq = 1, .ack = AT(5), .sacks = 2,
             .sack = {{AT(1), AT(2)}, {AT(6), AT(11)}});
    assert_int_equal(tcp_info(t).duplicates_reported, 2);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1, .sack = {{AT(5), AT(6)}});
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    tcp_free(t);
}

TCP_TEST(rfc8985_6_2_what_the_network_doubled_is_no_reason_to_wait_longer)
{
    for (int doubled = 0; doubled < 2; doubled++) {
        struct tcp_test *t = begin(10);
        uint32_t told = doubled ? 7 : 3;

        SACK(t, 1, 2, 3);
        ACKED(t, 3); /* reordering */
        SACK(t, 3, 4, 8);
        pass(t, RTT / 4 + MS);
        t->out_first = t->out_count = 0; /* among them segment 3 again */
        assert_int_equal(tcp_info(t).segments_retransmitted, 1);
        peer(t, .flags = ACK, .seq = 1, .ack = AT(11), .sacks = 1,
             .sack = {{AT(told), AT(told + 1)}});
        pass(t, RTT * 3 / 4 - MS);
        t->out_first = t->out_count = 0;
        SACK(t, 11, 12, 16);
        pass(t, RTT * 3 / 8);
        assert_int_equal(tcp_info(t).segments_retransmitted, doubled ? 2 : 1);
        tcp_free(t);
    }
}

TCP_TEST(rfc3522_a_timestamp_from_before_the_retransmission_undoes_a_timeout)
{
    for (int sack = 0; sack < 2; sack++) {
        struct tcp_test *t = sack ? tcp_established_sack(4, true) : tcp_established_timestamps(4);
        uint32_t value, cwnd = tcp_info(t).cwnd, rto;

        tcp_write(t, 0, 5 * 1448);
        for (uint32_t i = 0; i < 5; i++)
            expect(t, .flags = ACK, .seq = 1 + 1448 * i, .ack = 1, .length = 1448);
        value = t->last.ts_value;
        rto = (uint32_t)tcp_info(t).rto_us;
        while (tcp_info(t).timeouts == 0) {
            pass(t, rto / 4);
            t->out_first = t->out_count = 0;
        }
        assert_int_equal(tcp_info(t).cwnd, 1448);
        t->peer_timestamps = false;
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + 2 * 1448, .timestamps = true,
             .ts_value = t->peer_ts + (uint32_t)(t->now / MS), .ts_echo = value);
        assert_int_equal(tcp_info(t).spurious_recoveries, 1);
        assert_true(tcp_info(t).cwnd >= cwnd);
        assert_int_equal(tcp_info(t).in_flight, 3 * 1448);
        expect_nothing(t);
        tcp_free(t);
    }
}

/* The data had arrived, and all their acknowledgments were lost. What answers the retransmission echoes
 * the originals, and the time between is the timer's. */
TCP_TEST(rfc6298_3_what_tells_of_a_duplicate_measures_nothing)
{
    struct tcp_test *t = tcp_established_sack(4, true);
    uint64_t srtt = tcp_info(t).srtt_us;
    uint32_t value;

    tcp_write(t, 0, 2 * 1448);
    pass(t, 0);
    value = t->out[t->out_first].ts_value;
    while (tcp_info(t).timeouts == 0)
        pass(t, 50 * MS);
    t->out_first = t->out_count = 0;
    t->peer_timestamps = false;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 2 * 1448, .sacks = 1, .sack = {{1, 1 + 1448}},
         .timestamps = true, .ts_value = t->peer_ts + (uint32_t)(t->now / MS), .ts_echo = value);
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    assert_int_equal(tcp_info(t).srtt_us, srtt);
    tcp_free(t);
}

TCP_TEST(rfc3522_the_timestamp_of_the_retransmission_undoes_nothing)
{
    struct tcp_test *t = tcp_established_sack(4, true);

    tcp_write(t, 0, 5 * 1448);
    while (tcp_info(t).timeouts == 0) {
        t->out_first = t->out_count = 0;
        pass(t, 100 * MS);
    }
    t->peer_timestamps = false;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 1448, .timestamps = true,
         .ts_value = t->peer_ts + (uint32_t)(t->now / MS),
         .ts_echo = t->out[t->out_first + t->out_count - 1].ts_value);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

/* With timestamps; segments of 1448 bytes. */
static void report(struct tcp_test *t, uint32_t ack, uint32_t from, uint32_t to, uint32_t echo)
{
    pass(t, 0);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 1448 * ack, .sacks = from < to,
         .sack = {{1 + 1448 * from, 1 + 1448 * to}}, .timestamps = true,
         .ts_value = t->peer_ts + (uint32_t)(t->now / MS), .ts_echo = echo);
    pass(t, 0);
}

/* When segment n went out, by its timestamp. */
static uint32_t stamp_of(const struct tcp_test *t, uint32_t n)
{
    for (unsigned i = 0; i < t->out_count; i++)
        if (t->out[t->out_first + i].seq == 1 + 1448 * n)
            return t->out[t->out_first + i].ts_value;
    fail_msg("segment %u was not sent", n);
    return 0;
}

/* The segment behind the last that was sent. */
static uint32_t next_of(const struct tcp_test *t)
{
    return (t->out[t->out_first + t->out_count - 1].seq - 1) / 1448 + 1;
}

TCP_TEST(rfc3522_what_an_earlier_recovery_sent_again_tells_nothing_of_this_one)
{
    struct tcp_test *t = tcp_established_sack(4, true);
    uint32_t first, again, later, last, end, behind;

    tcp_write(t, 0, 60 * 1448);
    pass(t, 0);
    first = stamp_of(t, 0);
    t->peer_timestamps = false;
    pass(t, RTT);
    report(t, 0, 1, 11, first); /* 10 was a probe; segment 0 is lost, and sent again */
    again = stamp_of(t, 0);
    end = next_of(t);
    assert_true(end > 13);
    pass(t, RTT);
    report(t, 0, 12, end, first); /* and so is 11, while 0 is under way */
    later = stamp_of(t, 11);
    behind = next_of(t);
    assert_true(behind > end + 2);
    pass(t, MS);
    report(t, 11, 12, end, again); /* the end of this recovery */
    assert_false(tcp_info(t).recovering);
    pass(t, RTT / 2);
    report(t, 11, end + 1, behind, again); /* and another begins, while 11 is under way */
    pass(t, RTT / 4);
    last = stamp_of(t, end);
    assert_true(tcp_info(t).recovering);
    assert_int_equal(tcp_info(t).segments_retransmitted, 3);
    pass(t, MS);
    report(t, end, end + 1, behind, later); /* what 11 brought, no news of the other */
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    pass(t, RTT);
    report(t, behind, 0, 0, last);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

/* Until a timeout has sent segment 1 again, and its acknowledgment has come. */
static struct tcp_test *after_timeout(void)
{
    struct tcp_test *t = begin(10);

    while (tcp_info(t).timeouts == 0) {
        t->out_first = t->out_count = 0;
        pass(t, 50 * MS);
    }
    t->out_first = t->out_count = 0;
    ACKED(t, 2);
    return t;
}

TCP_TEST(rfc5682_3_1_originals_that_arrive_show_that_the_timeout_was_spurious)
{
    struct tcp_test *t = after_timeout();

    SENT(t, 12); /* 11 was the probe */
    SENT(t, 13);
    expect_nothing(t);
    ACKED(t, 3);
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    assert_true(tcp_info(t).cwnd >= 10 * MSS);
    assert_int_equal(tcp_info(t).lost, 0);
    tcp_free(t);
}

TCP_TEST(rfc5682_3_1_otherwise_recovery_goes_on)
{
    struct tcp_test *t = after_timeout();

    SENT(t, 12);
    SENT(t, 13);
    expect_nothing(t);
    pass(t, RTT);
    SACK(t, 2, 12, 13);
    SENT(t, 2);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

TCP_TEST(a_fin_that_was_lost_is_found_and_sent_again)
{
    struct tcp_test *t = begin(0);

    utcp_shutdown(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = AT(11), .ack = 1);
    pass(t, RTT);
    t->out_first = t->out_count = 0;
    ACKED(t, 11);
    pass(t, 2 * SECOND);
    assert_true(t->out_count > 0);
    assert_int_equal(t->out[t->out_first].flags & FIN, FIN);
    assert_int_equal(t->out[t->out_first].seq, AT(11));
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11) + 1);
    expect_state(t, UTCP_FIN_WAIT_2);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            rfc8985_6_2_what_was_sent_before_what_arrived_is_lost_after_the_reordering_window),
        cmocka_unit_test(rfc8985_6_2_with_three_segments_sacked_it_is_lost_at_once),
        cmocka_unit_test(rfc8985_6_2_what_comes_late_but_in_the_window_is_not_sent_again),
        cmocka_unit_test(rfc8985_6_2_several_holes_are_repaired_in_one_round_trip),
        cmocka_unit_test(rfc8985_6_2_a_lost_retransmission_is_found),
        cmocka_unit_test(rfc8985_7_a_lost_tail_is_probed_for_after_two_round_trips),
        cmocka_unit_test(rfc8985_7_3_new_data_are_a_better_probe),
        cmocka_unit_test(rfc8985_7_3_a_fin_alone_is_probed_with_alone),
        cmocka_unit_test(rfc8985_7_3_a_recovery_probes_with_new_data),
        cmocka_unit_test(rfc8985_7_3_a_recovery_probes_once_with_the_first_that_is_missing),
        cmocka_unit_test(rfc8985_7_3_no_probe_before_another_round_trip_was_measured),
        cmocka_unit_test(rfc8985_7_4_a_loss_that_the_probe_repaired_reduces_the_window),
        cmocka_unit_test(rfc8985_7_4_a_probe_that_came_twice_does_not),
        cmocka_unit_test(after_a_needless_probe_the_next_one_waits_longer),
        cmocka_unit_test(what_leaves_in_the_moment_of_a_retransmission_is_recovered),
        cmocka_unit_test(rfc9937_6_2_the_window_follows_what_is_delivered),
        cmocka_unit_test(rfc2018_blocks_that_make_no_sense_are_ignored),
        cmocka_unit_test(rfc2018_blocks_without_negotiation_are_ignored),
        cmocka_unit_test(rfc2018_5_blocks_of_an_acknowledgment_that_was_overtaken_count),
        cmocka_unit_test(an_acknowledgment_that_was_overtaken_says_nothing_else),
        cmocka_unit_test(rfc2018_8_a_peer_that_threw_data_away_gets_them_again_after_a_timeout),
        cmocka_unit_test(cve_2019_11478_a_scoreboard_of_crumbs_is_bounded),
        cmocka_unit_test(rfc2883_a_recovery_whose_retransmissions_all_came_twice_is_undone),
        cmocka_unit_test(rfc2883_what_the_network_doubled_is_no_reason_to_undo),
        cmocka_unit_test(rfc2883_what_came_twice_twice_stands_for_itself_alone),
        cmocka_unit_test(rfc8985_6_2_what_the_network_doubled_is_no_reason_to_wait_longer),
        cmocka_unit_test(rfc3522_a_timestamp_from_before_the_retransmission_undoes_a_timeout),
        cmocka_unit_test(rfc6298_3_what_tells_of_a_duplicate_measures_nothing),
        cmocka_unit_test(rfc3522_the_timestamp_of_the_retransmission_undoes_nothing),
        cmocka_unit_test(rfc3522_what_an_earlier_recovery_sent_again_tells_nothing_of_this_one),
        cmocka_unit_test(rfc5682_3_1_originals_that_arrive_show_that_the_timeout_was_spurious),
        cmocka_unit_test(rfc5682_3_1_otherwise_recovery_goes_on),
        cmocka_unit_test(a_fin_that_was_lost_is_found_and_sent_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
