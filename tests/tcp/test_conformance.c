/* SPDX-License-Identifier: BSD-2-Clause */
/* Requirements of RFC 9293 appendix B that no other file has a test for, by their numbers
 * (doc/rfc9293.md). */
#include "tcp_test.h"

/* ── Window, PUSH ──────────────────────────────────────────────────────────────────────────── */

TCP_TEST(must_60_a_cork_does_not_hold_for_ever)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_CORK, 1);
    tcp_write(t, 0, 10);
    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    tcp_free(t);
}

TCP_TEST(shld_16_in_a_window_that_shrank_old_data_are_sent_again)
{
    for (int sack = 0; sack < 2; sack++) {
        struct tcp_test *t = sack ? tcp_established_sack(4, false) : tcp_established(4);

        tcp_write(t, 0, 3 * 1460);
        for (uint32_t i = 0; i < 3; i++)
            expect(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 1460);
        while (t->out_count == 0)
            pass(t, 10 * MS);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
        peer(t, .flags = ACK, .seq = 1, .ack = 1461, .window = 1460);
        while (t->out_count == 0)
            pass(t, 10 * MS);
        expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
        tcp_free(t);
    }
}

TCP_TEST(shld_17_a_window_that_closed_over_data_times_nothing_out)
{
    for (int sack = 0; sack < 2; sack++) {
        struct tcp_test *t = sack ? tcp_established_sack(4, false) : tcp_established(4);

        tcp_write(t, 0, 2 * 1460);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
        expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
        for (int i = 0; i < 120; i++) {
            peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
            pass(t, MINUTE);
            t->out_count = t->out_first = 0;
        }
        expect_state(t, UTCP_ESTABLISHED);
        tcp_free(t);
    }
}

/* ── Options ───────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(must_5_and_6_unknown_options_in_any_segment_are_stepped_over)
{
    static const uint8_t unknown[] = {253, 6, 0xde, 0xad, 0xbe, 0xef, 254, 2};
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN, .options = unknown, .options_length = sizeof(unknown));
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .options = unknown,
         .options_length = sizeof(unknown));
    expect_state(t, UTCP_ESTABLISHED);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100, .options = unknown,
         .options_length = sizeof(unknown));
    assert_int_equal(tcp_read(t, 0), 100);
    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 1, .options = unknown,
         .options_length = sizeof(unknown));
    expect_state(t, UTCP_CLOSE_WAIT);
    peer(t, .flags = RST, .seq = 102, .options = unknown, .options_length = sizeof(unknown));
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    tcp_free(t);
}

TCP_TEST(must_64_options_may_stand_at_any_byte)
{
    for (unsigned shift = 0; shift < 4; shift++) {
        uint8_t options[20] = {0};
        struct tcp_test *t = tcp_new(4, NULL);

        memset(options, TCP_OPTION_NOP, sizeof(options));
        memcpy(options + shift, (uint8_t[]){2, 4, 700 >> 8, 700 & 255}, 4);
        memcpy(options + shift + 4, (uint8_t[]){8, 10, 0, 0, 0, 77, 0, 0, 0, 0}, 10);
        tcp_listen(t, 1);
        peer(t, .flags = SYN, .options = options, .options_length = sizeof(options));
        expect(t, .flags = SYN | ACK, .ack = 1);
        assert_int_equal(t->last.ts_echo, 77);
        t->peer_timestamps = true;
        t->peer_ts = 78;
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_int_equal(tcp_info(t).mss, 700 - 12);
        tcp_free(t);
    }
}

TCP_TEST(must_65_and_67_mss_stands_in_syns_alone_and_fits_the_mtu)
{
    static const uint16_t headers[] = {40, 60};

    for (unsigned i = 0; i < 2; i++) {
        struct utcp_config config = {.mtu = 1400};
        struct tcp_test *t = tcp_new((uint8_t)(4 + 2 * i), &config);

        tcp_listen(t, 1);
        peer(t, .flags = SYN, .mss = 1300);
        expect(t, .flags = SYN | ACK, .ack = 1);
        assert_int_equal(t->last.mss, 1400 - headers[i]);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        assert_int_equal(t->last.mss, 0);
        utcp_shutdown(t->conn, t->now);
        expect(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
        assert_int_equal(t->last.mss, 0);
        tcp_free(t);
    }
}

/* ── Opening and closing ───────────────────────────────────────────────────────────────────── */

TCP_TEST(must_41_and_42_listening_and_connecting_share_a_port)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_endpoint first = t->them;
    struct utcp_conn *active;

    tcp_connect(t); /* from the port on which it listens then */
    expect(t, .flags = SYN);
    active = t->conn;
    t->conn = NULL;
    tcp_listen(t, 2);
    t->them.port++;
    t->iss_known = false;
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    assert_ptr_not_equal(t->conn, active);
    expect_state(t, UTCP_ESTABLISHED);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    t->conn = active;
    utcp_listener_close(t->listener);
    t->listener = NULL;
    expect_state(t, UTCP_SYN_SENT);
    assert_int_equal(utcp_state_between(t->stack, &t->us, &first), UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(shld_2_a_rst_may_carry_data)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = RST | ACK, .seq = 1, .ack = 1, .length = 50);
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    assert_int_equal(utcp_readable(t->conn), 0);
    expect_nothing(t);
    tcp_free(t);
}

/* ── Urgent data ───────────────────────────────────────────────────────────────────────────── */

TCP_TEST(must_32_and_33_how_much_is_urgent_is_told)
{
    struct tcp_test *t = tcp_established(4);
    uint8_t buffer[100];

    tcp_events(t);
    peer(t, .flags = ACK | URG, .seq = 1, .ack = 1, .length = 10, .urgent = 15);
    assert_int_equal(tcp_events(t), UTCP_READABLE | UTCP_URGENT);
    assert_int_equal(utcp_urgent(t->conn), 15); /* five of them are not there yet */
    assert_int_equal(utcp_read(t->conn, t->now, buffer, 4), 4);
    assert_int_equal(utcp_urgent(t->conn), 11);
    peer(t, .flags = ACK | URG, .seq = 11, .ack = 1, .length = 10, .urgent = 5);
    assert_int_equal(tcp_events(t), UTCP_READABLE); /* that was known */
    peer(t, .flags = ACK | URG, .seq = 21, .ack = 1, .length = 10, .urgent = 1);
    assert_int_equal(tcp_events(t), UTCP_READABLE | UTCP_URGENT);
    assert_int_equal(utcp_read(t->conn, t->now, buffer, 16), 16);
    assert_int_equal(utcp_urgent(t->conn), 1);
    assert_int_equal(utcp_read(t->conn, t->now, buffer, 5), 5);
    assert_int_equal(utcp_urgent(t->conn), 0);
    peer(t, .flags = ACK | URG, .seq = 31, .ack = 1, .length = 1, .urgent = 0);
    assert_int_equal(utcp_urgent(t->conn), 5); /* all up to here, says the peer */
    tcp_free(t);
}

TCP_TEST(must_66_urg_counts_with_a_closed_window)
{
    struct utcp_config config = {.receive_buffer_max = 1000};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 1460});
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    pass(t, 50 * MS);
    expect(t, .flags = ACK, .seq = 1, .ack = 1001, .window = NO_WINDOW);
    tcp_events(t);
    peer(t, .flags = ACK | URG, .seq = 1001, .ack = 1, .urgent = 7);
    assert_int_equal(tcp_events(t), UTCP_URGENT);
    assert_int_equal(utcp_urgent(t->conn), 1007);
    tcp_free(t);
}

TCP_TEST(must_62_the_pointer_stands_behind_urgent_data)
{
    struct tcp_test *t = tcp_established(4);

    assert_int_equal(utcp_mark_urgent(t->conn, t->now), -EINVAL); /* nothing is written */
    tcp_write(t, 0, 1500);
    assert_int_equal(utcp_mark_urgent(t->conn, t->now), 0);
    tcp_write(t, 1500, 1460);
    expect(t, .flags = ACK | URG, .seq = 1, .ack = 1, .length = 1460);
    assert_int_equal(t->last.urgent, 1500);
    expect(t, .flags = ACK | URG, .seq = 1461, .ack = 1, .length = 1460);
    assert_int_equal(t->last.urgent, 40);
    expect(t, .flags = ACK, .seq = 2921, .ack = 1, .length = 40);
    assert_int_equal(t->last.urgent, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1461);
    expect_after(t, tcp_info(t).rto_us, .flags = ACK | URG, .seq = 1461, .ack = 1, .length = 1460);
    assert_int_equal(t->last.urgent, 40);
    peer(t, .flags = ACK, .seq = 1, .ack = 2961);
    tcp_write(t, 2960, 1);
    expect(t, .flags = ACK, .seq = 2961, .ack = 1, .length = 1);
    tcp_free(t);
}

TCP_TEST(must_31_urgent_data_may_be_long)
{
    struct utcp_config config = {.offloads = UTCP_OFFLOAD_SEGMENT};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 1460});
    tcp_write(t, 0, 100000);
    assert_int_equal(utcp_mark_urgent(t->conn, t->now), 0);
    for (uint32_t i = 0; i < 10; i++) { /* who cuts packets would copy the pointer */
        expect(t, .flags = ACK | URG, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
        assert_int_equal(t->last.urgent, 65535);
    }
    peer(t, .flags = ACK, .seq = 1, .ack = 14601, .window = NO_WINDOW);
    assert_int_equal(utcp_mark_urgent(t->conn, t->now), 0);
    expect(t, .flags = ACK | URG, .seq = 14601, .ack = 1); /* however closed the window */
    tcp_free(t);
}

/* ── What IP carries ───────────────────────────────────────────────────────────────────────── */

static void assert_header(const struct tcp_test *t, unsigned dscp, unsigned hop_limit)
{
    const uint8_t *packet = t->packet;

    if (t->family == 4) {
        assert_int_equal(packet[1] >> 2, dscp);
        assert_int_equal(packet[8], hop_limit);
    } else {
        assert_int_equal((packet[0] & 0xf) << 2 | packet[1] >> 6, dscp);
        assert_int_equal(packet[7], hop_limit);
    }
}

TCP_TEST(must_48_and_49_diffserv_and_hop_limit_can_be_set)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_new(family, NULL);

        tcp_listen(t, 1);
        assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_DSCP, 46), 0);
        assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_HOP_LIMIT, 7), 0);
        peer(t, .flags = SYN, .mss = 1400);
        expect(t, .flags = SYN | ACK, .ack = 1);
        assert_header(t, 46, 7);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        assert_header(t, 46, 7);
        assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_DSCP, 63), 0);
        assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_HOP_LIMIT, 255), 0);
        peer(t, .flags = ACK, .seq = 2, .ack = 101, .length = 1); /* a hole: an ACK */
        expect(t, .flags = ACK, .seq = 101, .ack = 1);
        assert_header(t, 63, 255);
        utcp_set_option(t->conn, UTCP_OPTION_DSCP, 0);
        utcp_set_option(t->conn, UTCP_OPTION_HOP_LIMIT, 0);
        utcp_shutdown(t->conn, t->now);
        expect(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
        assert_header(t, 0, 64);
        assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_DSCP, 64), -EINVAL);
        assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_HOP_LIMIT, 256), -EINVAL);
        tcp_free(t);
    }
}

/* ── Failures ──────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(shld_9_after_three_retransmissions_the_application_may_know)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t rto = tcp_info(t).rto_us;

    utcp_set_option(t->conn, UTCP_OPTION_REPORTS, 1);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(tcp_events(t), 0);
        assert_int_equal(utcp_trouble(t->conn), 0);
        expect_after(t, rto << i, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    }
    assert_int_equal(tcp_events(t), UTCP_TROUBLE);
    assert_int_equal(utcp_trouble(t->conn), -ETIMEDOUT);
    assert_int_equal(utcp_error(t->conn), 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(utcp_trouble(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(rfc5482_the_timeout_is_told_with_the_syn_and_after_the_handshake)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    utcp_set_option(t->conn, UTCP_OPTION_TELL_TIMEOUT_US, 200 * SECOND);
    expect(t, .flags = SYN);
    assert_int_equal(t->last.user_timeout, 200);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.user_timeout, 200);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(t->last.user_timeout, 0);
    utcp_set_option(t->conn, UTCP_OPTION_NODELAY, 1);
    utcp_set_option(t->conn, UTCP_OPTION_TELL_TIMEOUT_US, 40000 * SECOND); /* minutes, rounded up */
    tcp_write(t, 100, 1460 + 10);
    expect(t, .flags = ACK, .seq = 101, .ack = 1, .length = 1460);
    assert_int_equal(t->last.user_timeout, 0); /* it is full */
    expect(t, .flags = ACK, .seq = 1561, .ack = 1, .length = 10);
    assert_int_equal(t->last.user_timeout, 0x8000 | 667);
    assert_int_equal(
        utcp_set_option(t->conn, UTCP_OPTION_TELL_TIMEOUT_US, (32767 * 60 + 1) * SECOND), -EINVAL);
    tcp_free(t);
}

/* When a connection with this timeout of the peer's gives up; `own` was set, `told` told. */
static void assert_gives_up(uint64_t own, uint64_t told, uint16_t theirs, uint64_t after)
{
    const uint8_t option[4] = {28, 4, (uint8_t)(theirs >> 8), (uint8_t)theirs};
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, own);
    utcp_set_option(t->conn, UTCP_OPTION_TELL_TIMEOUT_US, told);
    tcp_write(t, 0, 10);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .options = option, .options_length = 4);
    pass(t, after - SECOND);
    assert_int_equal(utcp_error(t->conn), 0);
    pass(t, 2 * SECOND);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(rfc5482_3_1_the_longer_of_both_timeouts_holds_within_limits)
{
    assert_gives_up(0, 200 * SECOND, 300, 300 * SECOND);
    assert_gives_up(0, 300 * SECOND, 200, 300 * SECOND);
    assert_gives_up(0, 20 * SECOND, 30, 100 * SECOND);
    assert_gives_up(0, 20 * SECOND, 0x8000 | 3, 180 * SECOND);
    assert_gives_up(50 * SECOND, 200 * SECOND, 300, 50 * SECOND); /* the application's own */
    assert_gives_up(50 * SECOND, 0, 300, 50 * SECOND);            /* not asked for */
}

/* ── Congestion ────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(rfc6928_2_lost_syns_leave_a_small_window)
{
    for (unsigned lost = 0; lost < 3; lost++) {
        struct tcp_test *t = tcp_new(4, NULL);

        tcp_connect(t);
        expect(t, .flags = SYN);
        for (unsigned i = 0; i < lost; i++)
            expect_after(t, SECOND << i, .flags = SYN);
        peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
        expect(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_int_equal(tcp_info(t).cwnd, lost < 2 ? 14600 : 1460);
        tcp_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(must_60_a_cork_does_not_hold_for_ever),
        cmocka_unit_test(shld_16_in_a_window_that_shrank_old_data_are_sent_again),
        cmocka_unit_test(shld_17_a_window_that_closed_over_data_times_nothing_out),
        cmocka_unit_test(must_5_and_6_unknown_options_in_any_segment_are_stepped_over),
        cmocka_unit_test(must_64_options_may_stand_at_any_byte),
        cmocka_unit_test(must_65_and_67_mss_stands_in_syns_alone_and_fits_the_mtu),
        cmocka_unit_test(must_41_and_42_listening_and_connecting_share_a_port),
        cmocka_unit_test(shld_2_a_rst_may_carry_data),
        cmocka_unit_test(must_32_and_33_how_much_is_urgent_is_told),
        cmocka_unit_test(must_66_urg_counts_with_a_closed_window),
        cmocka_unit_test(must_62_the_pointer_stands_behind_urgent_data),
        cmocka_unit_test(must_31_urgent_data_may_be_long),
        cmocka_unit_test(must_48_and_49_diffserv_and_hop_limit_can_be_set),
        cmocka_unit_test(shld_9_after_three_retransmissions_the_application_may_know),
        cmocka_unit_test(rfc5482_the_timeout_is_told_with_the_syn_and_after_the_handshake),
        cmocka_unit_test(rfc5482_3_1_the_longer_of_both_timeouts_holds_within_limits),
        cmocka_unit_test(rfc6928_2_lost_syns_leave_a_small_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
