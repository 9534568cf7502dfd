/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss: timeouts (RFC 6298), fast retransmit and recovery (RFC 5681, 6582), limited transmit (RFC
 * 3042), windows. */
#include "tcp_test.h"

#define MSS 1460

/* A connection with a round-trip time of 100 ms measured, and 10 segments in flight. */
static struct tcp_test *in_flight(uint32_t segments)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 10 * MSS + 5 * MSS);
    for (uint32_t i = 0; i < segments; i++)
        expect(t, .flags = ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    return t;
}

static void duplicates(struct tcp_test *t, uint32_t ack, int count)
{
    for (int i = 0; i < count; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = ack);
}

TCP_TEST(the_initial_window_is_ten_segments)
{
    struct tcp_test *t = in_flight(10);

    expect_nothing(t);
    assert_int_equal(tcp_info(t).cwnd, 10 * MSS);
    assert_int_equal(tcp_info(t).in_flight, 10 * MSS);
    tcp_free(t);
}

TCP_TEST(slow_start_sends_two_for_each_acknowledged)
{
    struct tcp_test *t = in_flight(10);

    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + 10 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 11 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(dividing_acknowledgments_opens_the_window_no_faster)
{
    struct tcp_test *t = in_flight(10);

    for (uint32_t i = 1; i <= 20; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + i * MSS / 20);
    assert_int_equal(tcp_info(t).cwnd, 11 * MSS);
    tcp_free(t);
}

/* Writes and acknowledges all that the window lets out. */
static void acknowledge_a_window(struct tcp_test *t, uint32_t *sent)
{
    uint32_t window = tcp_info(t).cwnd;

    tcp_write(t, *sent, window);
    for (uint32_t at = 0; at < window; at += MSS)
        expect(t, .flags = ACK, .seq = 1 + *sent + at, .ack = 1, .length = MSS);
    *sent += window;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + *sent);
}

/* Who merges segments acknowledges once for a packet of up to 64 KiB. */
TCP_TEST(one_acknowledgment_opens_the_window_by_a_bounded_amount)
{
    struct tcp_test *t = tcp_new(4, NULL);
    uint32_t sent = 0;

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = MSS, .scale = 7 + 1});
    for (uint32_t segments = 10; segments < 80; segments *= 2) {
        assert_int_equal(tcp_info(t).cwnd, segments * MSS);
        acknowledge_a_window(t, &sent);
    }
    assert_int_equal(tcp_info(t).cwnd, 80 * MSS);
    acknowledge_a_window(t, &sent);
    assert_int_equal(tcp_info(t).cwnd, 80 * MSS + 65535);
    tcp_free(t);
}

/* One acknowledgment for each two segments of a flight that used the window: the last of them come when
 * less than half of it is out. */
TCP_TEST(a_flight_that_used_the_window_doubles_it_to_its_end)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 10 * MSS);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    for (uint32_t i = 2; i <= 10; i += 2)
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + i * MSS);
    assert_int_equal(tcp_info(t).cwnd, 20 * MSS);
    pass(t, MS);
    tcp_write(t, 10 * MSS, 10 * MSS); /* and what is half of it does not */
    for (uint32_t i = 10; i < 20; i++)
        expect(t, .flags = ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    for (uint32_t i = 12; i <= 20; i += 2)
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + i * MSS);
    assert_int_equal(tcp_info(t).cwnd, 20 * MSS);
    tcp_free(t);
}

TCP_TEST(a_connection_that_does_not_use_its_window_gets_no_wider_one)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 0; i < 50; i++) {
        tcp_write(t, i * 100, 100);
        expect(t, .flags = ACK, .seq = 1 + i * 100, .ack = 1, .length = 100);
        peer(t, .flags = ACK, .seq = 1, .ack = 101 + i * 100);
    }
    assert_int_equal(tcp_info(t).cwnd, 10 * MSS);
    tcp_free(t);
}

TCP_TEST(the_oldest_segment_is_sent_again_after_the_timeout_with_back_off)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established(family);
        uint64_t rto = tcp_info(t).rto_us;

        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        for (unsigned i = 0; i < 6; i++)
            expect_after(t, rto << i, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        assert_int_equal(tcp_info(t).timeouts, 6);
        assert_int_equal(tcp_stats(t).segments_retransmitted, 6);
        peer(t, .flags = ACK, .seq = 1, .ack = 101);
        silent_for(t, MINUTE);
        tcp_free(t);
    }
}

TCP_TEST(a_peer_that_has_vanished_is_given_up_after_fifteen_retransmissions)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    pass(t, 20 * MINUTE);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    assert_int_equal(tcp_events(t), UTCP_ERROR);
    assert_int_equal(t->out_count, 15); /* and no RST: nobody is there */
    assert_int_equal(t->out[14].flags & RST, 0);
    tcp_free(t);
}

TCP_TEST(a_timeout_closes_the_window_to_one_segment)
{
    struct tcp_test *t = in_flight(10);
    uint64_t rto = tcp_info(t).rto_us;

    expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).cwnd, MSS);
    assert_int_equal(tcp_info(t).ssthresh, 5 * MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1); /* a duplicate: no F-RTO */
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    tcp_free(t);
}

/* The first of ten segments was sent again after a timeout, and is acknowledged; two new ones follow
 * (RFC 5682 section 2.1 step 2b). */
static struct tcp_test *after_timeout(void)
{
    struct tcp_test *t = in_flight(10);

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + 10 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 11 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    return t;
}

TCP_TEST(rfc5682_2_1_a_second_acknowledgment_shows_that_the_timeout_was_spurious)
{
    struct tcp_test *t = after_timeout();

    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 2 * MSS);
    assert_int_equal(tcp_info(t).spurious_recoveries, 1);
    assert_true(tcp_info(t).cwnd >= 10 * MSS);
    assert_true(tcp_info(t).ssthresh > 100 * MSS); /* as before: slow start */
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 3 * MSS); /* nothing more is sent again */
    expect(t, .flags = ACK, .seq = 1 + 12 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 13 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).segments_retransmitted, 1);
    tcp_free(t);
}

TCP_TEST(rfc5682_2_1_a_duplicate_after_it_shows_that_it_was_not)
{
    struct tcp_test *t = after_timeout();

    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    assert_in_range(tcp_info(t).cwnd, MSS, 3 * MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 12 * MSS); /* nothing else was lost */
    expect(t, .flags = ACK, .seq = 1 + 12 * MSS, .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

/* Of what was sent again only a part is acknowledged: that may be of the original or of the copy. */
TCP_TEST(rfc5682_2_1_an_acknowledgment_of_a_part_says_nothing)
{
    struct tcp_test *t = in_flight(10);

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS / 2);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

TCP_TEST(rfc5682_2_1_not_after_the_second_timeout)
{
    struct tcp_test *t = after_timeout();

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 2 * MSS);
    expect(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 3 * MSS, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 3 * MSS);
    assert_int_equal(tcp_info(t).spurious_recoveries, 0);
    tcp_free(t);
}

TCP_TEST(rfc5682_2_1_not_without_new_data_to_send)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 5 * MSS);
    for (uint32_t i = 0; i < 5; i++)
        expect(t, .flags = i == 4 ? ACK | PSH : ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    tcp_free(t);
}

TCP_TEST(after_a_timeout_what_had_arrived_is_not_sent_again)
{
    struct tcp_test *t = in_flight(10);

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 10 * MSS); /* only the first was lost */
    expect(t, .flags = ACK, .seq = 1 + 10 * MSS, .ack = 1, .length = MSS);
    tcp_free(t);
}

TCP_TEST(a_second_timeout_does_not_halve_the_threshold_again)
{
    struct tcp_test *t = in_flight(10);
    uint64_t rto = tcp_info(t).rto_us;

    expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect_after(t, 2 * rto, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).ssthresh, 5 * MSS);
    tcp_free(t);
}

TCP_TEST(three_duplicates_send_the_first_segment_again)
{
    struct tcp_test *t = in_flight(10);

    duplicates(t, 1, 2);
    /* Limited transmit: each lets a new segment go. */
    expect(t, .flags = ACK, .seq = 1 + 10 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 11 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    duplicates(t, 1, 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).fast_retransmits, 1);
    assert_int_equal(tcp_info(t).ssthresh, 5 * MSS);
    tcp_free(t);
}

TCP_TEST(recovery_ends_when_all_is_acknowledged)
{
    struct tcp_test *t = in_flight(10);

    duplicates(t, 1, 3);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect_nothing(t);
    duplicates(t, 1, 6);
    expect(t, .flags = ACK, .seq = 1 + 10 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 11 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 12 * MSS, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + 13 * MSS, .ack = 1, .length = MSS);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 10 * MSS);
    assert_int_equal(tcp_info(t).cwnd, 5 * MSS);
    expect(t, .flags = ACK, .seq = 1 + 14 * MSS, .ack = 1, .length = MSS);
    tcp_free(t);
}

TCP_TEST(a_partial_acknowledgment_sends_the_next_hole)
{
    struct tcp_test *t = in_flight(10);

    duplicates(t, 1, 3);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 4 * MSS);
    expect(t, .flags = ACK, .seq = 1 + 4 * MSS, .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).fast_retransmits, 1);
    assert_int_equal(tcp_info(t).ssthresh, 5 * MSS);
    tcp_free(t);
}

TCP_TEST(after_a_timeout_duplicates_of_old_data_start_no_recovery)
{
    struct tcp_test *t = in_flight(10);

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 5 * MSS);
    t->out_count = t->out_first = 0;
    pass(t, 0);
    t->out_count = t->out_first = 0;
    duplicates(t, 1 + 5 * MSS, 5);
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    tcp_free(t);
}

TCP_TEST(what_is_no_duplicate_does_not_count_as_one)
{
    struct tcp_test *t = in_flight(10);

    for (uint32_t i = 0; i < 5; i++) { /* with data */
        peer(t, .flags = ACK, .seq = 1 + 10 * i, .ack = 1, .length = 10);
        peer(t, .flags = ACK, .seq = 51, .ack = 1, .window = 60000 - i); /* with another window */
    }
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    duplicates(t, 1, 3);
    tcp_free(t);
    t = tcp_established(4);
    duplicates(t, 1, 10); /* nothing in flight */
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(duplicates_may_come_with_a_growing_window)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 20000);
    tcp_write(t, 0, 5 * MSS);
    for (uint32_t i = 0; i < 5; i++)
        expect(t, .flags = ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    for (uint32_t i = 1; i <= 3; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 20000 + 2 * MSS * i);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    tcp_free(t);
}

TCP_TEST(a_reader_that_doubles_the_window_sends_no_duplicates)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 5000);
    tcp_write(t, 0, 2 * MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    for (uint32_t i = 1; i <= 3; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 5000 << i);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(only_the_first_partial_acknowledgment_starts_the_timer_again)
{
    struct tcp_test *t = in_flight(10);
    uint64_t rto = tcp_info(t).rto_us;

    duplicates(t, 1, 3);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + MSS);
    expect(t, .flags = ACK, .seq = 1 + MSS, .ack = 1, .length = MSS);
    silent_for(t, rto / 2);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 2 * MSS);
    expect(t, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    expect_after(t, rto - rto / 2, .flags = ACK, .seq = 1 + 2 * MSS, .ack = 1, .length = MSS);
    assert_int_equal(tcp_info(t).timeouts, 1);
    tcp_free(t);
}

TCP_TEST(spoofed_duplicates_open_the_window_no_further_than_the_flight)
{
    struct tcp_test *t = in_flight(10);

    utcp_set_option(t->conn, UTCP_OPTION_NODELAY, 1);
    duplicates(t, 1, 200);
    pass(t, 0);
    assert_true(tcp_info(t).in_flight <= 15 * MSS);
    tcp_free(t);
}

TCP_TEST(a_measured_round_trip_sets_the_timeout)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 0; i < 30; i++) {
        tcp_write(t, i * 100, 100);
        expect(t, .flags = ACK, .seq = 1 + i * 100, .ack = 1, .length = 100);
        pass(t, 300 * MS);
        t->out_first = t->out_count = 0;
        peer(t, .flags = ACK, .seq = 1, .ack = 101 + i * 100);
    }
    assert_in_range(tcp_info(t).srtt_us, 290 * MS, 310 * MS);
    assert_in_range(tcp_info(t).rto_us, 490 * MS, 560 * MS);
    tcp_free(t);
}

TCP_TEST(a_retransmitted_segment_is_not_measured)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t srtt = tcp_info(t).srtt_us, rto = tcp_info(t).rto_us;

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    pass(t, 10 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(tcp_info(t).srtt_us, srtt);
    tcp_free(t);
}

TCP_TEST(with_timestamps_it_is)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t value;
    uint64_t rto = tcp_info(t).rto_us;

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    value = t->last.ts_value;
    pass(t, 80 * MS);
    t->peer_timestamps = false;
    peer(t, .flags = ACK, .seq = 1, .ack = 101, .timestamps = true,
         .ts_value = t->peer_ts + (uint32_t)(t->now / MS), .ts_echo = value);
    assert_in_range(tcp_info(t).srtt_us, 1 * MS, 80 * MS);
    assert_true(tcp_info(t).srtt_us > 5 * MS);
    tcp_free(t);
}

TCP_TEST(a_syn_that_was_lost_makes_the_first_timeout_three_seconds)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    expect_after(t, SECOND, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = MSS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(tcp_info(t).rto_us, 3 * SECOND);
    tcp_free(t);
}

TCP_TEST(after_a_pause_the_window_begins_anew)
{
    struct tcp_test *t = in_flight(10);

    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 10 * MSS);
    for (uint32_t i = 10; i < 15; i++)
        expect(t, .flags = ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 15 * MSS);
    assert_true(tcp_info(t).cwnd > 10 * MSS);
    silent_for(t, MINUTE);
    tcp_write(t, 15 * MSS, 1);
    expect(t, .flags = ACK, .seq = 1 + 15 * MSS, .ack = 1, .length = 1);
    assert_int_equal(tcp_info(t).cwnd, 10 * MSS);
    tcp_free(t);
}

TCP_TEST(a_fin_lost_at_the_end_is_repaired_by_duplicates)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 4 * MSS);
    utcp_shutdown(t->conn, t->now);
    for (uint32_t i = 0; i < 4; i++)
        expect(t, .flags = i == 3 ? FIN | ACK : ACK, .seq = 1 + MSS * i, .ack = 1, .length = MSS);
    duplicates(t, 1, 3);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 3 * MSS);
    expect(t, .flags = FIN | ACK, .seq = 1 + 3 * MSS, .ack = 1, .length = MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 2 + 4 * MSS);
    expect_state(t, UTCP_FIN_WAIT_2);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_initial_window_is_ten_segments),
        cmocka_unit_test(slow_start_sends_two_for_each_acknowledged),
        cmocka_unit_test(dividing_acknowledgments_opens_the_window_no_faster),
        cmocka_unit_test(one_acknowledgment_opens_the_window_by_a_bounded_amount),
        cmocka_unit_test(a_flight_that_used_the_window_doubles_it_to_its_end),
        cmocka_unit_test(a_connection_that_does_not_use_its_window_gets_no_wider_one),
        cmocka_unit_test(the_oldest_segment_is_sent_again_after_the_timeout_with_back_off),
        cmocka_unit_test(a_peer_that_has_vanished_is_given_up_after_fifteen_retransmissions),
        cmocka_unit_test(a_timeout_closes_the_window_to_one_segment),
        cmocka_unit_test(rfc5682_2_1_a_second_acknowledgment_shows_that_the_timeout_was_spurious),
        cmocka_unit_test(rfc5682_2_1_a_duplicate_after_it_shows_that_it_was_not),
        cmocka_unit_test(rfc5682_2_1_an_acknowledgment_of_a_part_says_nothing),
        cmocka_unit_test(rfc5682_2_1_not_after_the_second_timeout),
        cmocka_unit_test(rfc5682_2_1_not_without_new_data_to_send),
        cmocka_unit_test(after_a_timeout_what_had_arrived_is_not_sent_again),
        cmocka_unit_test(a_second_timeout_does_not_halve_the_threshold_again),
        cmocka_unit_test(three_duplicates_send_the_first_segment_again),
        cmocka_unit_test(recovery_ends_when_all_is_acknowledged),
        cmocka_unit_test(a_partial_acknowledgment_sends_the_next_hole),
        cmocka_unit_test(after_a_timeout_duplicates_of_old_data_start_no_recovery),
        cmocka_unit_test(what_is_no_duplicate_does_not_count_as_one),
        cmocka_unit_test(duplicates_may_come_with_a_growing_window),
        cmocka_unit_test(a_reader_that_doubles_the_window_sends_no_duplicates),
        cmocka_unit_test(only_the_first_partial_acknowledgment_starts_the_timer_again),
        cmocka_unit_test(spoofed_duplicates_open_the_window_no_further_than_the_flight),
        cmocka_unit_test(a_measured_round_trip_sets_the_timeout),
        cmocka_unit_test(a_retransmitted_segment_is_not_measured),
        cmocka_unit_test(with_timestamps_it_is),
        cmocka_unit_test(a_syn_that_was_lost_makes_the_first_timeout_three_seconds),
        cmocka_unit_test(after_a_pause_the_window_begins_anew),
        cmocka_unit_test(a_fin_lost_at_the_end_is_repaired_by_duplicates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
