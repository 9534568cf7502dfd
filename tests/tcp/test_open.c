/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening: RFC 9293 section 3.5, 3.10.7.1 to 3.10.7.3. */
#include "tcp_test.h"

TCP_TEST(a_syn_is_answered_and_the_connection_accepted)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_new(family, NULL);

        tcp_listen(t, 1);
        peer(t, .flags = SYN, .mss = 1400);
        expect(t, .flags = SYN | ACK, .ack = 1, .window = 65535);
        assert_int_equal(t->last.mss, family == 4 ? 1460 : 1440);
        assert_null(t->conn);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_non_null(t->conn);
        expect_nothing(t);
        expect_state(t, UTCP_ESTABLISHED);
        assert_int_equal(tcp_stats(t).connections_accepted, 1);
        tcp_free(t);
    }
}

TCP_TEST(a_listener_tells_of_connections_when_they_are_established)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_event events[4];

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(utcp_poll(t->stack, events, 4), 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_poll(t->stack, events, 4), 1);
    assert_ptr_equal(events[0].listener, t->listener);
    assert_ptr_equal(events[0].user, t);
    assert_int_equal(events[0].events, UTCP_ACCEPTABLE);
    tcp_free(t);
}

TCP_TEST(data_with_the_handshake_s_last_ack_are_taken)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK | FIN, .seq = 1, .ack = 1, .length = 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 12);
    assert_int_equal(tcp_events(t), UTCP_READABLE | UTCP_FINISHED);
    assert_int_equal(tcp_read(t, 0), 10);
    expect_state(t, UTCP_CLOSE_WAIT);
    tcp_free(t);
}

TCP_TEST(data_on_a_syn_are_left_for_later)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN, .length = 20);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 20);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 21);
    assert_int_equal(tcp_read(t, 0), 20);
    tcp_free(t);
}

TCP_TEST(a_syn_ack_is_sent_again_five_times_and_then_forgotten)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    for (unsigned i = 0; i < 5; i++)
        expect_after(t, SECOND << i, .flags = SYN | ACK, .ack = 1);
    silent_for(t, 31 * SECOND);
    assert_int_equal(tcp_stats(t).connections, 1);
    pass(t, 2 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(a_syn_that_comes_again_gets_its_syn_ack_again)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(tcp_stats(t).connections, 1);
    tcp_free(t);
}

TCP_TEST(connecting_sends_a_syn_and_acknowledges_the_answer)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_connected(family);

        assert_int_equal(tcp_stats(t).connections_opened, 1);
        tcp_free(t);
    }
}

TCP_TEST(a_syn_is_sent_again_with_back_off_until_the_time_is_out)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    for (unsigned i = 0; i < 6; i++)
        expect_after(t, SECOND << i, .flags = SYN);
    expect_after(t, MINUTE, .flags = SYN); /* RFC 9293 MUST-23: three minutes */
    silent_for(t, 59 * SECOND);
    pass(t, 2 * SECOND);
    assert_int_equal(tcp_events(t), UTCP_ERROR);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    assert_int_equal(tcp_stats(t).connections_failed, 1);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(a_rst_to_the_syn_refuses_the_connection)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = RST | ACK, .ack = 1);
    assert_int_equal(tcp_events(t), UTCP_ERROR);
    assert_int_equal(utcp_error(t->conn), -ECONNREFUSED);
    assert_int_equal(utcp_write(t->conn, t->now, "x", 1), -ECONNREFUSED);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_rst_without_our_sequence_number_does_not)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = RST);
    peer(t, .flags = RST | ACK, .ack = 2);
    peer(t, .flags = RST | ACK, .ack = 0);
    expect_nothing(t);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(a_wrong_ack_in_syn_sent_is_answered_by_rst)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 2);
    expect(t, .flags = RST, .seq = 2);
    peer(t, .flags = ACK, .seq = 7, .ack = 0);
    expect(t, .flags = RST, .seq = 0);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

/* A connection in TIME-WAIT that had the same port answers; our RST ends it, so another SYN is sent soon. */
TCP_TEST(a_wrong_ack_in_syn_sent_brings_another_syn_soon_but_once)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = ACK, .seq = 7, .ack = 1000);
    expect(t, .flags = RST, .seq = 1000);
    expect_after(t, 2 * MS, .flags = SYN);
    peer(t, .flags = ACK, .seq = 7, .ack = 1000);
    expect(t, .flags = RST, .seq = 1000);
    silent_for(t, 1900 * MS);
    peer(t, .flags = SYN | ACK, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(an_ack_without_syn_in_syn_sent_is_dropped)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = SYN | FIN);
    expect_nothing(t);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(both_ends_may_open_at_once)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_new(family, NULL);

        tcp_connect(t);
        expect(t, .flags = SYN);
        peer(t, .flags = SYN);
        expect(t, .flags = SYN | ACK, .ack = 1);
        expect_state(t, UTCP_SYN_RECEIVED);
        peer(t, .flags = SYN | ACK, .ack = 1);
        expect_state(t, UTCP_ESTABLISHED);
        assert_int_equal(tcp_events(t), UTCP_CONNECTED);
        tcp_free(t);
    }
}

TCP_TEST(a_simultaneous_open_may_also_end_with_a_bare_ack)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_SYN_RECEIVED, &seq, &ack);

    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(data_with_the_syn_ack_are_taken)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(tcp_read(t, 0), 100);
    tcp_free(t);
}

TCP_TEST(what_is_written_before_the_handshake_follows_it)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    tcp_write(t, 0, 100);
    expect_nothing(t);
    peer(t, .flags = SYN | ACK, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_full_backlog_drops_syns_where_there_are_no_cookies)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 2);
    utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_NEVER);
    for (uint16_t i = 0; i < 3; i++) {
        t->them.port = 40000 + i;
        t->iss_known = false;
        peer(t, .flags = SYN);
        if (i < 2)
            expect(t, .flags = SYN | ACK, .ack = 1);
        else
            expect_nothing(t);
    }
    assert_int_equal(tcp_stats(t).dropped_backlog, 1);
    tcp_free(t);
}

TCP_TEST(accepting_makes_room_in_the_backlog)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){0});
    t->them.port++;
    t->iss_known = false;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

TCP_TEST(closing_a_listener_resets_what_was_not_accepted)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 2);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    utcp_listener_close(t->listener);
    t->listener = NULL;
    expect(t, .flags = RST | ACK, .seq = 1, .ack = 1);
    assert_true(tcp_gone(t));
    peer(t, .flags = SYN);
    expect(t, .flags = RST | ACK, .seq = 0 - t->iss, .ack = 1);
    tcp_free(t);
}

TCP_TEST(a_segment_without_a_connection_gets_the_rst_of_the_rfc)
{
    struct tcp_test *t = tcp_new(4, NULL);

    t->iss_known = true;
    peer(t, .flags = ACK, .seq = 5, .ack = 77);
    expect(t, .flags = RST, .seq = 77);
    peer(t, .flags = SYN, .seq = 5);
    expect(t, .flags = RST | ACK, .ack = 6);
    peer(t, .flags = FIN, .seq = 5, .length = 10);
    expect(t, .flags = RST | ACK, .ack = 16);
    peer(t, .flags = RST, .seq = 5);
    peer(t, .flags = RST | ACK, .seq = 5, .ack = 1);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_no_connection, 5);
    tcp_free(t);
}

TCP_TEST(a_listener_answers_each_combination_of_flags_as_the_rfc_says)
{
    for (unsigned flags = 0; flags < 64; flags++) {
        struct tcp_test *t = tcp_new(4, NULL);

        tcp_listen(t, 4);
        t->iss_known = true;
        peer(t, .flags = flags, .ack = 99);
        if (flags & RST) {
            expect_nothing(t);
        } else if (flags & ACK) {
            expect(t, .flags = RST, .seq = 99);
        } else if ((flags & (SYN | FIN)) == SYN) {
            t->iss_known = false;
            expect(t, .flags = SYN | ACK, .ack = 1);
        }
        expect_nothing(t);
        tcp_free(t);
    }
}

TCP_TEST(initial_sequence_numbers_follow_a_clock_and_differ_by_endpoints)
{
    struct tcp_test *t = tcp_new(4, NULL);
    uint32_t first;

    tcp_listen(t, 8);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    first = t->iss;
    peer(t, .flags = RST, .seq = 1); /* back to LISTEN */
    assert_true(tcp_gone(t));
    pass(t, 4000);
    t->iss_known = false;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->iss - first, 1000); /* 4 µs each, RFC 6528 */
    first = t->iss;
    t->them.port++;
    t->iss_known = false;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_not_equal(t->iss, first);
    tcp_free(t);
}

TCP_TEST(secrets_make_sequence_numbers_differ)
{
    uint32_t seen[2];

    for (uint8_t i = 0; i < 2; i++) {
        struct utcp_config config = {.secret = {i}};
        struct tcp_test *t = tcp_new(4, &config);

        tcp_connect(t);
        expect(t, .flags = SYN);
        seen[i] = t->iss;
        tcp_free(t);
    }
    assert_int_not_equal(seen[0], seen[1]);
}

TCP_TEST(the_same_endpoints_cannot_connect_twice)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_conn *second;

    tcp_connect(t);
    assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &t->them, NULL, &second), -EADDRINUSE);
    tcp_free(t);
}

TCP_TEST(connecting_refuses_endpoints_that_make_no_sense)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_endpoint bad[6];
    struct utcp_conn *conn;

    for (int i = 0; i < 6; i++)
        bad[i] = t->them;
    bad[0].port = 0;
    bad[1].family = 6;
    bad[2].address[0] = 224;
    memset(bad[3].address, 255, 4);
    memset(bad[4].address, 0, 4);
    bad[5] = t->us;
    for (int i = 0; i < 6; i++)
        assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &bad[i], NULL, &conn), -EINVAL);
    tcp_free(t);
}

TCP_TEST(two_listeners_cannot_have_the_same_endpoint)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_listener *second;

    tcp_listen(t, 1);
    assert_int_equal(utcp_listen(t->stack, &t->us, 1, NULL, &second), -EADDRINUSE);
    tcp_free(t);
}

TCP_TEST(the_exact_address_comes_before_any_address)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_endpoint any = t->us;
    struct utcp_listener *wide;

    memset(any.address, 0, sizeof(any.address));
    assert_int_equal(utcp_listen(t->stack, &any, 4, NULL, &wide), 0);
    tcp_listen(t, 4);
    tcp_handshake(t, (struct seg){0});
    assert_null(utcp_accept(wide, t->now));
    utcp_listener_close(t->listener);
    t->listener = wide;
    t->conn = NULL;
    t->them.port++;
    t->iss_known = false;
    tcp_handshake(t, (struct seg){0});
    tcp_free(t);
}

TCP_TEST(a_different_syn_in_the_window_sends_a_half_open_connection_back_to_listen)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = SYN, .seq = 100);
    expect_nothing(t);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(a_wrong_ack_in_syn_received_gets_a_rst_and_changes_nothing)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 2);
    expect(t, .flags = RST, .seq = 2);
    peer(t, .flags = ACK, .seq = 1, .ack = 0);
    expect(t, .flags = RST, .seq = 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(a_connection_that_dies_before_it_is_accepted_is_not_offered)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_listener *listener;

    tcp_listen(t, 1);
    listener = t->listener;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    t->listener = NULL; /* so that the harness does not accept */
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = RST, .seq = 1);
    assert_null(utcp_accept(listener, t->now));
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(closing_in_syn_sent_forgets_the_connection)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    utcp_close(t->conn, t->now);
    expect_nothing(t);
    assert_true(tcp_gone(t));
    assert_int_equal(utcp_deadline(t->stack), UINT64_MAX);
    tcp_free(t);
}

TCP_TEST(shutting_down_before_the_handshake_sends_the_fin_after_it)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    tcp_write(t, 0, 10);
    utcp_shutdown(t->conn, t->now);
    peer(t, .flags = SYN | ACK, .ack = 1);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1, .length = 10);
    expect_state(t, UTCP_FIN_WAIT_1);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_is_answered_and_the_connection_accepted),
        cmocka_unit_test(a_listener_tells_of_connections_when_they_are_established),
        cmocka_unit_test(data_with_the_handshake_s_last_ack_are_taken),
        cmocka_unit_test(data_on_a_syn_are_left_for_later),
        cmocka_unit_test(a_syn_ack_is_sent_again_five_times_and_then_forgotten),
        cmocka_unit_test(a_syn_that_comes_again_gets_its_syn_ack_again),
        cmocka_unit_test(connecting_sends_a_syn_and_acknowledges_the_answer),
        cmocka_unit_test(a_syn_is_sent_again_with_back_off_until_the_time_is_out),
        cmocka_unit_test(a_rst_to_the_syn_refuses_the_connection),
        cmocka_unit_test(a_rst_without_our_sequence_number_does_not),
        cmocka_unit_test(a_wrong_ack_in_syn_sent_is_answered_by_rst),
        cmocka_unit_test(a_wrong_ack_in_syn_sent_brings_another_syn_soon_but_once),
        cmocka_unit_test(an_ack_without_syn_in_syn_sent_is_dropped),
        cmocka_unit_test(both_ends_may_open_at_once),
        cmocka_unit_test(a_simultaneous_open_may_also_end_with_a_bare_ack),
        cmocka_unit_test(data_with_the_syn_ack_are_taken),
        cmocka_unit_test(what_is_written_before_the_handshake_follows_it),
        cmocka_unit_test(a_full_backlog_drops_syns_where_there_are_no_cookies),
        cmocka_unit_test(accepting_makes_room_in_the_backlog),
        cmocka_unit_test(closing_a_listener_resets_what_was_not_accepted),
        cmocka_unit_test(a_segment_without_a_connection_gets_the_rst_of_the_rfc),
        cmocka_unit_test(a_listener_answers_each_combination_of_flags_as_the_rfc_says),
        cmocka_unit_test(initial_sequence_numbers_follow_a_clock_and_differ_by_endpoints),
        cmocka_unit_test(secrets_make_sequence_numbers_differ),
        cmocka_unit_test(the_same_endpoints_cannot_connect_twice),
        cmocka_unit_test(connecting_refuses_endpoints_that_make_no_sense),
        cmocka_unit_test(two_listeners_cannot_have_the_same_endpoint),
        cmocka_unit_test(the_exact_address_comes_before_any_address),
        cmocka_unit_test(a_different_syn_in_the_window_sends_a_half_open_connection_back_to_listen),
        cmocka_unit_test(a_wrong_ack_in_syn_received_gets_a_rst_and_changes_nothing),
        cmocka_unit_test(a_connection_that_dies_before_it_is_accepted_is_not_offered),
        cmocka_unit_test(closing_in_syn_sent_forgets_the_connection),
        cmocka_unit_test(shutting_down_before_the_handshake_sends_the_fin_after_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
