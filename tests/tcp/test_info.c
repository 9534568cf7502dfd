/* SPDX-License-Identifier: BSD-2-Clause */
/* What utcp_info() tells: each number by the traffic that moves it, and by traffic that does not. */
#include "tcp_test.h"

#define MSS     1460
#define RTT     (100 * MS)
#define AT(n)   (1 + MSS * (uint32_t)(n))
#define NO_TIME UINT64_MAX

/* All that may be sent is. */
static void forget_what_was_sent(struct tcp_test *t)
{
    pass(t, 0);
    t->out_first = t->out_count = 0;
}

/* ── Sending ───────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(bytes_and_segments_are_counted_by_kind)
{
    struct tcp_test *t = tcp_established(4);
    struct utcp_info info = tcp_info(t);

    assert_int_equal(info.segments_in, 2); /* SYN, ACK */
    assert_int_equal(info.segments_out, 1);
    assert_int_equal(info.data_segments_in, 0);
    assert_int_equal(info.data_segments_out, 0);
    assert_int_equal(info.bytes_sent, 0);
    assert_int_equal(info.path_mtu, 1500);
    tcp_write(t, 0, 2 * MSS);
    forget_what_was_sent(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    info = tcp_info(t);
    assert_int_equal(info.bytes_sent, 2 * MSS);
    assert_int_equal(info.bytes_out, 0);
    assert_int_equal(info.outstanding, 2 * MSS);
    assert_int_equal(info.data_segments_out, 2);
    assert_int_equal(info.data_segments_in, 1);
    assert_int_equal(info.segments_in, 3);
    assert_int_equal(info.readable, 10);
    peer(t, .flags = ACK, .seq = 11, .ack = AT(2));
    info = tcp_info(t);
    assert_int_equal(info.bytes_out, 2 * MSS);
    assert_int_equal(info.bytes_delivered, 2 * MSS);
    assert_int_equal(info.bytes_delivered_marked, 0);
    assert_int_equal(info.bytes_retransmitted, 0);
    assert_int_equal(info.outstanding, 0);
    tcp_free(t);
}

TCP_TEST(a_large_send_counts_as_what_it_is_cut_into)
{
    struct utcp_config config = {.offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = MSS});
    tcp_write(t, 0, 3 * MSS + 1);
    forget_what_was_sent(t);
    assert_int_equal(tcp_info(t).data_segments_out, 4);
    assert_true(tcp_stats(t).packets_out < 4);
    tcp_free(t);
}

TCP_TEST(neither_syn_nor_fin_are_bytes)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_info info;

    tcp_connect(t);
    expect(t, .flags = SYN);
    info = tcp_info(t);
    assert_int_equal(info.outstanding, 1);
    assert_int_equal(info.bytes_sent, 0);
    assert_int_equal(info.unsent, 0);
    tcp_write(t, 0, 100);
    assert_int_equal(tcp_info(t).unsent, 100);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = MSS);
    utcp_shutdown(t->conn, t->now);
    pass(t, 0);
    info = tcp_info(t);
    assert_int_equal(info.bytes_sent, 100);
    assert_int_equal(info.outstanding, 100);
    assert_int_equal(info.unsent, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    info = tcp_info(t);
    assert_int_equal(info.outstanding, 1);
    assert_int_equal(info.bytes_out, 100);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(a_connection_that_was_reset_does_not_claim_that_its_data_arrived)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    peer(t, .flags = ACK, .seq = 1, .ack = 401);
    peer(t, .flags = RST, .seq = 1);
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    assert_int_equal(tcp_info(t).bytes_out, 400);
    assert_int_equal(utcp_unacknowledged(t->conn), 0);
    tcp_free(t);
}

/* A round-trip time is known, and segments 1 to `count` are in flight. */
static struct tcp_test *in_flight(bool sack, uint32_t count)
{
    struct tcp_test *t = sack ? tcp_established_sack(4, false) : tcp_established(4);

    tcp_write(t, 0, MSS);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(1));
    tcp_write(t, MSS, count * MSS);
    forget_what_was_sent(t);
    return t;
}

TCP_TEST(what_is_sent_again_is_counted_and_known_until_it_arrives)
{
    struct tcp_test *t = in_flight(true, 8);
    struct utcp_info info;

    peer(t, .flags = ACK, .seq = 1, .ack = AT(1), .sacks = 1, .sack = {{AT(3), AT(9)}});
    expect(t, .flags = ACK, .seq = AT(1), .ack = 1, .length = MSS);
    expect(t, .flags = ACK, .seq = AT(2), .ack = 1, .length = MSS);
    info = tcp_info(t);
    assert_int_equal(info.segments_retransmitted, 2);
    assert_int_equal(info.bytes_retransmitted, 2 * MSS);
    assert_int_equal(info.bytes_sent, 11 * MSS);
    assert_int_equal(info.outstanding, 8 * MSS);
    assert_int_equal(info.outstanding_again, 2 * MSS);
    assert_int_equal(info.bytes_delivered, 7 * MSS);
    assert_int_equal(info.bytes_out, MSS);
    assert_true(info.recovering);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(9));
    assert_int_equal(tcp_info(t).outstanding_again, 0);
    assert_int_equal(tcp_info(t).bytes_sent, 11 * MSS);
    tcp_free(t);
}

TCP_TEST(without_sack_a_timeout_sends_again_from_the_first)
{
    struct tcp_test *t = in_flight(false, 2);
    struct utcp_info info;

    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = AT(1), .ack = 1, .length = MSS);
    info = tcp_info(t);
    assert_int_equal(info.outstanding_again, MSS);
    assert_int_equal(info.outstanding, 2 * MSS);
    assert_int_equal(info.min_rtt_us, RTT);
    tcp_free(t);
}

TCP_TEST(timeouts_in_a_row_are_one_recovery_that_lasts_until_something_arrives)
{
    struct tcp_test *t = in_flight(true, 1);
    uint64_t first;
    struct utcp_info info;

    while (tcp_info(t).timeouts == 0)
        pass(t, MS);
    first = t->now;
    assert_int_equal(tcp_info(t).backoff, 1);
    while (tcp_info(t).timeouts == 1)
        pass(t, MS);
    info = tcp_info(t);
    assert_int_equal(info.timeout_recoveries, 1);
    assert_int_equal(info.retries, 2);
    assert_int_equal(info.backoff, 2);
    assert_in_range(info.timeout_time_us, t->now - first - 2 * MS, t->now - first + 2 * MS);
    pass(t, 20 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(2));
    first = tcp_info(t).timeout_time_us - (t->now - first);
    assert_true((int64_t)first >= -2000 && (int64_t)first <= 2000);
    info = tcp_info(t);
    assert_int_equal(info.retries, 0);
    pass(t, SECOND);
    assert_int_equal(tcp_info(t).timeout_time_us, info.timeout_time_us);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(a_syn_that_times_out_counts_as_well)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    expect_after(t, SECOND, .flags = SYN);
    assert_int_equal(tcp_info(t).timeout_recoveries, 1);
    pass(t, 50 * MS);
    peer(t, .flags = SYN | ACK, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_in_range(tcp_info(t).timeout_time_us, 48 * MS, 52 * MS);
    tcp_free(t);
}

TCP_TEST(reordering_is_counted_with_its_distance)
{
    struct tcp_test *t = in_flight(true, 6);
    struct utcp_info info;

    peer(t, .flags = ACK, .seq = 1, .ack = AT(1), .sacks = 1, .sack = {{AT(4), AT(5)}});
    assert_int_equal(tcp_info(t).reordered, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(2), .sacks = 1, .sack = {{AT(4), AT(5)}});
    info = tcp_info(t);
    assert_int_equal(info.reordered, 1);
    assert_int_equal(info.reordering_bytes, 4 * MSS);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(marks_that_the_peer_echoes_are_counted_by_bytes)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    peer(t, .flags = SYN | ECE | CWR, .mss = MSS);
    expect(t, .flags = SYN | ACK | ECE, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, 4 * MSS);
    forget_what_was_sent(t);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(1));
    assert_false(tcp_info(t).reduced);
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = AT(3));
    assert_int_equal(tcp_info(t).bytes_delivered_marked, 2 * MSS);
    assert_true(tcp_info(t).reduced);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(4));
    assert_int_equal(tcp_info(t).bytes_delivered_marked, 2 * MSS);
    assert_false(tcp_info(t).reduced);
    tcp_free(t);
}

/* ── Rates and times ───────────────────────────────────────────────────────────────────────── */

TCP_TEST(a_delivery_rate_is_that_of_the_last_round_trip)
{
    struct tcp_test *t = in_flight(true, 10);
    struct utcp_info info;

    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(11));
    assert_int_equal(tcp_info(t).delivery_rate, 0); /* of so little nobody knows */
    pass(t, SECOND);
    tcp_write(t, 11 * MSS, 10 * MSS);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(16));
    peer(t, .flags = ACK, .seq = 1, .ack = AT(21));
    info = tcp_info(t);
    assert_int_equal(info.min_rtt_us, RTT);
    assert_int_equal(info.delivery_rate, 10 * MSS * 10);
    assert_false(info.delivery_rate_limited);
    forget_what_was_sent(t);
    pass(t, 10 * SECOND);
    tcp_write(t, 21 * MSS, 100);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(21) + 100);
    info = tcp_info(t);
    assert_int_equal(info.delivery_rate, 1000);
    assert_true(info.delivery_rate_limited);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(a_control_that_measures_rates_has_them_told)
{
    struct utcp_config config = {.congestion = "bbr"};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = MSS});
    tcp_write(t, 0, 4 * MSS);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(1));
    assert_int_equal(tcp_info(t).delivery_rate, MSS * 10);
    forget_what_was_sent(t);
    tcp_free(t);
}

/* What is SACKed has been delivered, and is not measured again when the hole is filled. */
TCP_TEST(rates_do_not_wait_for_holes)
{
    struct utcp_config config = {.congestion = "bbr"};
    struct tcp_test *t = tcp_new(4, &config);

    t->peer_sack = true;
    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = MSS});
    tcp_write(t, 0, 3 * MSS);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(0), .sacks = 1, .sack = {{AT(1), AT(3)}});
    assert_int_equal(tcp_info(t).delivery_rate, 2 * MSS * 10);
    pass(t, RTT);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(3));
    assert_int_equal(tcp_info(t).delivery_rate, 2 * MSS * 10);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(nobody_is_busy_who_has_nothing_to_send)
{
    struct tcp_test *t = tcp_established(4);

    pass(t, SECOND);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    pass(t, SECOND);
    assert_int_equal(tcp_info(t).busy_us, 0);
    tcp_write(t, 0, 100);
    pass(t, RTT);
    assert_in_range(tcp_info(t).busy_us, RTT, RTT + MS);
    peer(t, .flags = ACK, .seq = 11, .ack = 101);
    pass(t, SECOND);
    assert_in_range(tcp_info(t).busy_us, RTT, RTT + MS);
    assert_int_equal(tcp_info(t).window_limited_us, 0);
    assert_int_equal(tcp_info(t).buffer_limited_us, 0);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(a_window_that_holds_data_back_is_told_from_the_network)
{
    struct tcp_test *t = tcp_established(4);
    struct utcp_info info;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 2 * MSS);
    tcp_write(t, 0, 4 * MSS);
    pass(t, RTT);
    forget_what_was_sent(t);
    peer(t, .flags = ACK, .seq = 1, .ack = AT(2), .window = 65535);
    pass(t, RTT / 2);
    info = tcp_info(t);
    assert_in_range(info.window_limited_us, RTT, RTT + MS);
    assert_in_range(info.busy_us, RTT + RTT / 2, RTT + RTT / 2 + MS);
    tcp_write(t, 4 * MSS, 20 * MSS); /* more than cwnd, less than the window */
    pass(t, RTT / 2);
    assert_int_equal(tcp_info(t).window_limited_us, info.window_limited_us);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(a_buffer_that_is_all_sent_while_a_writer_waits_is_told)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_SEND_BUFFER, 2 * MSS);
    tcp_write(t, 0, 2 * MSS);
    pass(t, MS);
    assert_int_equal(utcp_write(t->conn, t->now, "more", 4), -EAGAIN);
    pass(t, 3 * MS);
    assert_in_range(tcp_info(t).buffer_limited_us, 3 * MS, 4 * MS);
    assert_int_equal(tcp_info(t).window_limited_us, 0);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(how_long_ago_things_happened)
{
    struct tcp_test *t = tcp_established(4);
    struct utcp_info info = tcp_info(t);

    assert_int_equal(info.data_sent_ago_us, 0); /* counted from the handshake on */
    assert_in_range(info.data_received_ago_us, 0, 1024);
    pass(t, MS);
    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    pass(t, 2 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    pass(t, 3 * MS);
    peer(t, .flags = ACK, .seq = 11, .ack = 11);
    pass(t, 4 * MS);
    info = tcp_info(t);
    assert_int_equal(info.data_sent_ago_us, 9 * MS);
    assert_in_range(info.data_received_ago_us, 6 * MS, 8 * MS); /* kept in 1024 µs */
    assert_int_equal(info.heard_ago_us, 4 * MS);
    assert_int_equal(info.delayed_ack_us, 40 * MS);
    tcp_free(t);
}

/* ── Receiving ─────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(what_comes_too_early_is_counted)
{
    struct tcp_test *t = tcp_established(4);
    struct utcp_info info;

    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 301, .ack = 1, .length = 100);
    info = tcp_info(t);
    assert_int_equal(info.out_of_order_in, 2);
    assert_int_equal(info.out_of_order_bytes, 200);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(tcp_info(t).out_of_order_in, 2);
    assert_int_equal(tcp_info(t).data_segments_in, 3);
    forget_what_was_sent(t);
    tcp_free(t);
}

TCP_TEST(what_the_receive_window_follows)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t seq = 1, echo = 0;

    for (unsigned i = 0; i < 200; i++, seq += 1024) {
        peer(t, .flags = ACK, .seq = seq, .ack = 1, .length = 1024, .ts_echo = echo);
        tcp_read(t, seq - 1);
        pass(t, MS);
        if (t->out_count) /* 40 ms later it is echoed */
            echo = t->out[t->out_first + t->out_count - 1].ts_value - 40;
        forget_what_was_sent(t);
    }
    assert_in_range(tcp_info(t).receive_round_us, 39 * MS, 42 * MS);
    assert_in_range(tcp_info(t).receive_buffer, 2 * 40 * 1024, 4 * 42 * 1024);
    assert_int_equal(tcp_info(t).receive_segment, 1024);
    assert_int_equal(tcp_info(t).receive_buffer_max, 32 << 20);
    tcp_free(t);
}

/* ── All of them ───────────────────────────────────────────────────────────────────────────── */

struct seen {
    unsigned times[4096];
};

static void see(void *context, const struct utcp_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn, &info);
    ((struct seen *)context)->times[info.remote.port]++;
}

static void open_more(struct tcp_test *t, uint16_t *next, unsigned count)
{
    while (count--) {
        struct utcp_endpoint to = t->them;
        struct utcp_conn *conn;

        to.port = (*next)++;
        assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &to, NULL, &conn), 0);
    }
}

TCP_TEST(a_scan_visits_each_connection_once_also_while_the_table_grows)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct seen seen = {{0}};
    uint64_t cursor = 0;
    uint16_t next = 1;
    unsigned steps = 0;

    open_more(t, &next, 50);
    do {
        cursor = utcp_scan(t->stack, cursor, see, &seen);
        if (steps == 5 || steps == 40 || steps == 41)
            open_more(t, &next, 300);
    } while (cursor && ++steps < 10000);
    assert_int_equal(cursor, 0);
    for (unsigned i = 1; i <= 50; i++)
        assert_int_equal(seen.times[i], 1);
    for (unsigned i = 51; i < next; i++)
        assert_true(seen.times[i] <= 1);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_visits_each_connection_once_also_while_the_table_grows),
        cmocka_unit_test(bytes_and_segments_are_counted_by_kind),
        cmocka_unit_test(a_large_send_counts_as_what_it_is_cut_into),
        cmocka_unit_test(neither_syn_nor_fin_are_bytes),
        cmocka_unit_test(a_connection_that_was_reset_does_not_claim_that_its_data_arrived),
        cmocka_unit_test(what_is_sent_again_is_counted_and_known_until_it_arrives),
        cmocka_unit_test(without_sack_a_timeout_sends_again_from_the_first),
        cmocka_unit_test(timeouts_in_a_row_are_one_recovery_that_lasts_until_something_arrives),
        cmocka_unit_test(a_syn_that_times_out_counts_as_well),
        cmocka_unit_test(reordering_is_counted_with_its_distance),
        cmocka_unit_test(marks_that_the_peer_echoes_are_counted_by_bytes),
        cmocka_unit_test(a_delivery_rate_is_that_of_the_last_round_trip),
        cmocka_unit_test(a_control_that_measures_rates_has_them_told),
        cmocka_unit_test(rates_do_not_wait_for_holes),
        cmocka_unit_test(nobody_is_busy_who_has_nothing_to_send),
        cmocka_unit_test(a_window_that_holds_data_back_is_told_from_the_network),
        cmocka_unit_test(a_buffer_that_is_all_sent_while_a_writer_waits_is_told),
        cmocka_unit_test(how_long_ago_things_happened),
        cmocka_unit_test(what_comes_too_early_is_counted),
        cmocka_unit_test(what_the_receive_window_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
