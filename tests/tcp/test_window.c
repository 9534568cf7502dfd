/* SPDX-License-Identifier: BSD-2-Clause */
/* Flow control: windows of both sides, probes, silly windows (RFC 9293 section 3.8.6). */
#include "tcp_test.h"

static struct tcp_test *with_buffer(uint32_t bytes)
{
    struct utcp_config config = {.receive_buffer_max = bytes};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 1460});
    return t;
}

TCP_TEST(must_1_a_window_of_half_the_field_is_not_a_negative_one)
{
    static const uint16_t windows[] = {0x8000, 0xffff};

    for (unsigned i = 0; i < 2; i++) {
        struct tcp_test *t = tcp_established(4);
        uint32_t sent = 0;

        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = windows[i]);
        assert_int_equal(tcp_info(t).send_window, windows[i]);
        tcp_write(t, 0, 100000);
        while (sent < 14600) { /* the congestion window lets them go */
            expect(t, .flags = ACK, .seq = 1 + sent, .ack = 1, .length = 1460);
            sent += 1460;
        }
        tcp_free(t);
    }
}

TCP_TEST(no_more_is_sent_than_the_window_allows)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 3000);
    tcp_write(t, 0, 10000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 2921, .window = 1460);
    expect(t, .flags = ACK, .seq = 2921, .ack = 1, .length = 1460);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_window_that_opens_lets_data_go)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    tcp_free(t);
}

TCP_TEST(a_closed_window_is_probed_with_back_off)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t rto = tcp_info(t).rto_us;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    for (unsigned i = 0; i < 5; i++) {
        expect_after(t, rto << i, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    }
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 65535);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = 100); /* no back-off left */
    tcp_free(t);
}

TCP_TEST(a_probe_that_is_taken_moves_on)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 2, .window = 500);
    expect(t, .flags = ACK, .seq = 2, .ack = 1, .length = 99);
    tcp_free(t);
}

TCP_TEST(answered_probes_go_on_for_ever)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    for (int i = 0; i < 100; i++) {
        pass(t, MINUTE);
        t->out_count = t->out_first = 0;
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    }
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(unanswered_probes_do_not)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    pass(t, 30 * MINUTE);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(a_user_timeout_ends_a_connection_whose_peer_closes_its_window)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 10 * SECOND);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    for (int i = 0; i < 11; i++) {
        assert_int_equal(utcp_error(t->conn), 0);
        pass(t, SECOND - 20 * MS * (i == 0));
        t->out_count = t->out_first = 0;
        if (i < 10)
            peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    }
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(duplicate_answers_to_probes_are_no_loss)
{
    struct tcp_test *t = tcp_established(4);
    uint32_t cwnd = tcp_info(t).cwnd;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 5000);
    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
    for (int i = 0; i < 10; i++)
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    assert_int_equal(tcp_info(t).cwnd, cwnd);
    tcp_free(t);
}

TCP_TEST(a_narrow_window_is_not_filled_with_crumbs)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 100);
    tcp_write(t, 0, 5000);
    expect_nothing(t); /* 100 is less than half of the widest window seen */
    expect_after(t, tcp_info(t).rto_us, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    tcp_free(t);
}

TCP_TEST(a_peer_with_a_tiny_buffer_gets_what_fits)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    t->now += 1;
    peer(t, .flags = SYN, .window = 100, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 100);
    tcp_write(t, 0, 250);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 101, .window = 100);
    expect(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    tcp_free(t);
}

TCP_TEST(a_window_that_shrinks_is_kept_to)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 20000);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    peer(t, .flags = ACK, .seq = 1, .ack = 1461, .window = 1460);
    expect_nothing(t);
    /* A bare ACK stands where the peer's window ends, not beyond it. */
    peer(t, .flags = ACK, .seq = 1, .ack = 1461, .window = 1460, .length = 3000);
    expect(t, .flags = ACK, .seq = 2921, .ack = 3001);
    tcp_free(t);
}

TCP_TEST(a_window_that_closes_over_data_in_flight_stops_them)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t rto = tcp_info(t).rto_us;

    tcp_write(t, 0, 3000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 2921, .ack = 1, .length = 80);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    silent_for(t, rto + MS); /* nothing fits: no retransmission but a probe */
    expect_after(t, 2 * rto - MS, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 65535);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    tcp_free(t);
}

TCP_TEST(old_segments_do_not_move_the_window)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 1, .ack = 101, .window = 5000, .length = 10);
    peer(t, .flags = ACK, .seq = 11, .ack = 50, .window = 100);
    assert_int_equal(tcp_info(t).send_window, 5000);
    tcp_free(t);
}

TCP_TEST(a_reader_that_sleeps_closes_the_window_and_opens_it_in_steps)
{
    struct tcp_test *t = with_buffer(8192);
    uint8_t data[8192];

    for (uint32_t i = 0; i < 4; i++) {
        peer(t, .flags = ACK, .seq = 1 + 2048 * i, .ack = 1, .length = 2048);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 2049 + 2048 * i,
                     .window = i < 3 ? 6144 - 2048 * i : NO_WINDOW);
    }
    assert_int_equal(utcp_read(t->conn, t->now, data, 1000), 1000);
    expect_nothing(t); /* less than a segment: not worth telling */
    assert_int_equal(utcp_read(t->conn, t->now, data, 2000), 2000);
    expect(t, .flags = ACK, .seq = 1, .ack = 8193, .window = 3000);
    assert_int_equal(utcp_read(t->conn, t->now, data, 8192), 5192);
    expect(t, .flags = ACK, .seq = 1, .ack = 8193, .window = 8192);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_window_probe_is_answered)
{
    struct tcp_test *t = with_buffer(1000);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 1001, .window = NO_WINDOW);
    peer(t, .flags = ACK, .seq = 1001, .ack = 1, .length = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1001, .window = NO_WINDOW);
    assert_int_equal(tcp_read(t, 0), 1000);
    tcp_free(t);
}

TCP_TEST(with_a_closed_window_acknowledgments_still_count)
{
    struct tcp_test *t = with_buffer(1000);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1001, .length = 100, .window = NO_WINDOW);
    peer(t, .flags = ACK, .seq = 1001, .ack = 101, .length = 50);
    assert_int_equal(utcp_unacknowledged(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(with_a_closed_window_a_fin_and_a_rst_still_count)
{
    struct tcp_test *t = with_buffer(1000);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    peer(t, .flags = FIN | ACK, .seq = 1001, .ack = 1);
    expect_state(t, UTCP_CLOSE_WAIT);
    tcp_free(t);
    t = with_buffer(1000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    peer(t, .flags = RST, .seq = 1001);
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    tcp_free(t);
}

TCP_TEST(the_window_s_right_edge_never_goes_back)
{
    struct tcp_test *t = with_buffer(10000);
    uint32_t edge = 0;

    for (uint32_t i = 0; i < 100; i++) {
        uint8_t data[97];

        peer(t, .flags = ACK, .seq = 1 + 100 * i, .ack = 1, .length = 100);
        utcp_read(t->conn, t->now, data, sizeof(data));
        pass(t, 50 * MS);
        while (t->out_count) {
            struct seg *seen = &t->out[t->out_first];

            assert_true(seen->ack + seen->window >= edge);
            edge = seen->ack + seen->window;
            t->out_first++;
            t->out_count--;
        }
        t->out_first = 0;
    }
    tcp_free(t);
}

/* The peer's window is 65,535 bytes: a packet has 22 segments at most, which fit half of it. */
#define MSS    1460
#define PACKET (22 * MSS)

TCP_TEST(what_waits_to_be_sent_is_limited_where_the_application_says_so)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_NOT_SENT_LOW, 4000);
    assert_int_equal(tcp_write_some(t, 0, 100000), PACKET);
    assert_int_equal(tcp_write_some(t, 0, 100000), -EAGAIN);
    pass(t, 0); /* ten of them leave, and what was begun is filled */
    assert_int_equal(tcp_info(t).unsent, 12 * MSS);
    assert_int_equal(tcp_write_some(t, PACKET, 100000), 10 * MSS);
    assert_int_equal(tcp_write_some(t, 0, 100000), -EAGAIN);
    tcp_events(t);
    for (uint32_t i = 2; i <= 10; i += 2) {
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + i * MSS);
        pass(t, 0);
        assert_int_equal(tcp_info(t).unsent, (22 - 2 * i) * MSS);
        assert_false(tcp_events(t) & UTCP_WRITABLE);
    }
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 11 * MSS);
    pass(t, 0);
    assert_int_equal(tcp_info(t).unsent, 0);
    assert_true(tcp_events(t) & UTCP_WRITABLE);
    t->out_first = t->out_count = 0;
    tcp_free(t);
}

/* The limit is looked at for each packet, and there is room again when a third is free. */
TCP_TEST(a_packet_that_was_begun_within_the_send_buffer_is_filled)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_SEND_BUFFER, 42000);
    assert_int_equal(tcp_write_some(t, 0, 100000), 2 * PACKET);
    pass(t, 0);
    assert_int_equal(tcp_write_some(t, 2 * PACKET, 100000), 10 * MSS);
    assert_int_equal(tcp_write_some(t, 0, 100000), -EAGAIN);
    tcp_events(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 10 * MSS);
    pass(t, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 30 * MSS);
    assert_false(tcp_events(t) & UTCP_WRITABLE);
    pass(t, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 45 * MSS); /* 13,140 bytes are left */
    assert_true(tcp_events(t) & UTCP_WRITABLE);
    t->out_first = t->out_count = 0;
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(must_1_a_window_of_half_the_field_is_not_a_negative_one),
        cmocka_unit_test(no_more_is_sent_than_the_window_allows),
        cmocka_unit_test(a_window_that_opens_lets_data_go),
        cmocka_unit_test(a_closed_window_is_probed_with_back_off),
        cmocka_unit_test(a_probe_that_is_taken_moves_on),
        cmocka_unit_test(answered_probes_go_on_for_ever),
        cmocka_unit_test(unanswered_probes_do_not),
        cmocka_unit_test(a_user_timeout_ends_a_connection_whose_peer_closes_its_window),
        cmocka_unit_test(duplicate_answers_to_probes_are_no_loss),
        cmocka_unit_test(a_narrow_window_is_not_filled_with_crumbs),
        cmocka_unit_test(a_peer_with_a_tiny_buffer_gets_what_fits),
        cmocka_unit_test(a_window_that_shrinks_is_kept_to),
        cmocka_unit_test(a_window_that_closes_over_data_in_flight_stops_them),
        cmocka_unit_test(old_segments_do_not_move_the_window),
        cmocka_unit_test(a_reader_that_sleeps_closes_the_window_and_opens_it_in_steps),
        cmocka_unit_test(a_window_probe_is_answered),
        cmocka_unit_test(with_a_closed_window_acknowledgments_still_count),
        cmocka_unit_test(with_a_closed_window_a_fin_and_a_rst_still_count),
        cmocka_unit_test(the_window_s_right_edge_never_goes_back),
        cmocka_unit_test(what_waits_to_be_sent_is_limited_where_the_application_says_so),
        cmocka_unit_test(a_packet_that_was_begun_within_the_send_buffer_is_filled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
