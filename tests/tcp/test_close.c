/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing: RFC 9293 section 3.6, TIME-WAIT, half-closed connections, orphans. */
#include "tcp_test.h"

TCP_TEST(we_close_first)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(family, UTCP_TIME_WAIT, &seq, &ack);

        silent_for(t, 59 * SECOND);
        assert_int_equal(tcp_stats(t).time_wait, 1);
        pass(t, 2 * SECOND);
        assert_true(tcp_gone(t));
        expect_state(t, UTCP_CLOSED);
        assert_int_equal(utcp_error(t->conn), 0);
        tcp_free(t);
    }
}

TCP_TEST(the_peer_closes_first)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_LAST_ACK, &seq, &ack);

    peer(t, .flags = ACK, .seq = 2, .ack = 2);
    expect_nothing(t);
    assert_true(tcp_gone(t));
    assert_int_equal(utcp_error(t->conn), 0);
    assert_int_equal(utcp_deadline(t->stack) == UINT64_MAX, 1);
    tcp_free(t);
}

TCP_TEST(both_close_at_once)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_CLOSING, &seq, &ack);

    peer(t, .flags = ACK, .seq = 2, .ack = 2);
    expect_nothing(t);
    expect_state(t, UTCP_TIME_WAIT);
    tcp_free(t);
}

TCP_TEST(fin_and_its_ack_in_one_segment_go_straight_to_time_wait)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_1, &seq, &ack);

    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    expect_state(t, UTCP_TIME_WAIT);
    tcp_free(t);
}

TCP_TEST(the_fin_rides_on_the_last_data)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 2000);
    utcp_shutdown(t->conn, t->now);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect(t, .flags = FIN | ACK, .seq = 1461, .ack = 1, .length = 540);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 2002);
    expect_state(t, UTCP_FIN_WAIT_2);
    tcp_free(t);
}

TCP_TEST(the_ack_of_a_request_rides_on_its_answer_and_fin)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(tcp_read(t, 0), 100);
    tcp_write(t, 0, 50);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 101, .length = 50);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(half_closed_we_go_on_receiving)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_2, &seq, &ack);

    peer(t, .flags = ACK, .seq = 1, .ack = 2, .length = 1460);
    peer(t, .flags = ACK, .seq = 1461, .ack = 2, .length = 1460);
    expect(t, .flags = ACK, .seq = 2, .ack = 2921);
    assert_int_equal(tcp_read(t, 0), 2920);
    silent_for(t, 10 * MINUTE); /* somebody owns it: it may stay */
    assert_int_equal(utcp_write(t->conn, t->now, "x", 1), -EPIPE);
    tcp_free(t);
}

TCP_TEST(half_closed_by_the_peer_we_go_on_sending)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_CLOSE_WAIT, &seq, &ack);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 2, .length = 100);
    peer(t, .flags = ACK, .seq = 2, .ack = 101);
    assert_int_equal(tcp_events(t), UTCP_SENT);
    assert_int_equal(tcp_read(t, 0), 0);
    assert_int_equal(utcp_read(t->conn, t->now, &(char){0}, 1), 0);
    expect_state(t, UTCP_CLOSE_WAIT);
    tcp_free(t);
}

TCP_TEST(what_came_before_the_fin_can_be_read_after_it)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 1, .length = 500);
    expect(t, .flags = ACK, .seq = 1, .ack = 502);
    assert_int_equal(tcp_read(t, 0), 500);
    assert_int_equal(utcp_read(t->conn, t->now, &(char){0}, 1), 0);
    tcp_free(t);
}

TCP_TEST(a_fin_out_of_order_waits_for_the_data_before_it)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 102);
    expect_state(t, UTCP_CLOSE_WAIT);
    assert_int_equal(tcp_read(t, 0), 100);
    tcp_free(t);
}

TCP_TEST(a_fin_with_data_out_of_order_waits_too)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 1, .length = 50);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 152);
    assert_int_equal(tcp_read(t, 0), 150);
    tcp_free(t);
}

TCP_TEST(data_behind_the_fin_are_ignored)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 102, .ack = 1, .length = 50);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 102);
    assert_int_equal(tcp_read(t, 0), 100);
    tcp_free(t);
}

TCP_TEST(a_fin_is_sent_again)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_1, &seq, &ack);

    expect_after(t, tcp_info(t).rto_us, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 2);
    expect_state(t, UTCP_FIN_WAIT_2);
    tcp_free(t);
}

TCP_TEST(the_peer_s_fin_that_comes_again_is_acknowledged_again)
{
    static const enum utcp_state states[] = {UTCP_CLOSE_WAIT, UTCP_LAST_ACK, UTCP_CLOSING,
                                             UTCP_TIME_WAIT};

    for (unsigned i = 0; i < 4; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, states[i], &seq, &ack);

        peer(t, .flags = FIN | ACK, .seq = 1, .ack = ack);
        expect(t, .flags = ACK, .seq = states[i] == UTCP_CLOSE_WAIT ? 1 : 2, .ack = 2);
        expect_state(t, states[i]);
        tcp_free(t);
    }
}

TCP_TEST(a_fin_in_time_wait_starts_the_time_anew)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    silent_for(t, 50 * SECOND);
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    silent_for(t, 50 * SECOND);
    assert_false(tcp_gone(t));
    pass(t, 11 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(time_wait_lasts_as_long_as_configured)
{
    struct utcp_config config = {.time_wait_us = 5 * SECOND};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){0});
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    silent_for(t, 5 * SECOND - MS);
    assert_false(tcp_gone(t));
    pass(t, 2 * MS);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(a_rst_does_not_end_time_wait)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    peer(t, .flags = RST, .seq = 2);
    peer(t, .flags = RST | ACK, .seq = 2, .ack = 2);
    expect_nothing(t);
    expect_state(t, UTCP_TIME_WAIT);
    tcp_free(t);
}

/* The peer was started again, and its clock is behind: its SYN is answered as an old one would be. */
TCP_TEST(a_rst_after_a_refused_syn_ends_time_wait)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    utcp_close(t->conn, t->now);
    t->conn = NULL;
    peer(t, .flags = SYN, .seq = 0);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    peer(t, .flags = RST, .seq = 3); /* not quite */
    assert_int_equal(tcp_stats(t).time_wait, 1);
    peer(t, .flags = RST, .seq = 2);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).time_wait, 0);
    t->iss_known = false;
    peer(t, .flags = SYN, .seq = 0);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(a_newer_syn_takes_the_place_of_a_connection_in_time_wait)
{
    uint32_t seq, ack, old_end;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    utcp_close(t->conn, t->now);
    t->conn = NULL;
    old_end = t->iss + 2;
    t->isn += 1000; /* newer than what we received last */
    t->iss_known = false;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_true((int32_t)(t->iss - old_end) > 0); /* and so is ours */
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(tcp_stats(t).time_wait, 0);
    tcp_free(t);
}

TCP_TEST(an_older_syn_does_not)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    peer(t, .flags = SYN, .seq = 0);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    expect_state(t, UTCP_TIME_WAIT);
    tcp_free(t);
}

TCP_TEST(with_timestamps_the_clock_tells_which_syn_is_newer)
{
    for (int newer = 0; newer < 2; newer++) {
        struct tcp_test *t = tcp_established_timestamps(4);
        uint32_t last = t->peer_ts + (uint32_t)(t->now / MS);

        utcp_close(t->conn, t->now);
        t->conn = NULL;
        expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
        peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
        expect(t, .flags = ACK, .seq = 2, .ack = 2);
        t->peer_timestamps = false;
        if (newer) {
            t->isn -= 5000; /* its sequence number alone would say that it is old */
            t->iss_known = false;
            peer(t, .flags = SYN, .timestamps = true, .ts_value = last + 1);
            expect(t, .flags = SYN | ACK, .ack = 1);
        } else {
            peer(t, .flags = SYN, .seq = 5000, .timestamps = true, .ts_value = last - 1);
            expect(t, .flags = ACK, .seq = 2, .ack = 2);
        }
        tcp_free(t);
    }
}

TCP_TEST(an_orphan_does_not_stay_in_fin_wait_2)
{
    struct tcp_test *t = tcp_established(4);

    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 2);
    silent_for(t, 59 * SECOND);
    assert_false(tcp_gone(t));
    pass(t, 2 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(closing_in_fin_wait_2_starts_its_timer)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_2, &seq, &ack);

    silent_for(t, 10 * MINUTE);
    utcp_close(t->conn, t->now);
    silent_for(t, 61 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(how_long_fin_wait_2_lasts_can_be_chosen)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_2, &seq, &ack);

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_FIN_WAIT_US, 3 * SECOND), 0);
    silent_for(t, MINUTE); /* somebody owns it */
    utcp_close(t->conn, t->now);
    silent_for(t, 3 * SECOND - MS);
    assert_false(tcp_gone(t));
    pass(t, 2 * MS);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(an_orphan_whose_peer_has_vanished_is_given_up)
{
    static const enum utcp_state states[] = {UTCP_FIN_WAIT_1, UTCP_CLOSING, UTCP_LAST_ACK};

    for (unsigned i = 0; i < 3; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, states[i], &seq, &ack);

        utcp_close(t->conn, t->now);
        pass(t, 5 * MINUTE);
        assert_true(tcp_gone(t));
        assert_true(t->out_count >= 8);
        tcp_free(t);
    }
}

TCP_TEST(an_orphan_whose_peer_keeps_its_window_closed_is_given_up)
{
    struct tcp_test *t = tcp_established(4);
    int answers = 0;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_write(t, 0, 100);
    utcp_close(t->conn, t->now);
    while (!tcp_gone(t) && answers < 30) {
        pass(t, 61 * SECOND);
        if (t->out_count == 0)
            continue;
        t->out_count = t->out_first = 0;
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
        answers++;
    }
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(data_for_an_orphan_are_answered_by_rst)
{
    struct tcp_test *t = tcp_established(4);

    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 2, .length = 10);
    expect(t, .flags = RST, .seq = 2);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

/* RFC 5961 section 3.2: a peer believes a RST by the exact number alone. Which that is, its ACK says. */
TCP_TEST(a_rst_for_an_orphan_s_data_is_one_that_the_peer_believes)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10); /* both were lost */
    expect(t, .flags = RST, .seq = 1);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(closing_with_unread_data_resets)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    utcp_close(t->conn, t->now);
    expect(t, .flags = RST | ACK, .seq = 1, .ack = 11);
    expect_nothing(t);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(closing_after_the_end_of_a_connection_that_was_not_read_is_fine)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_FIN_WAIT_2, &seq, &ack);

    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2, .length = 10);
    expect(t, .flags = ACK, .seq = 2, .ack = 12);
    utcp_close(t->conn, t->now);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).time_wait, 1);
    tcp_free(t);
}

TCP_TEST(aborting_resets_where_the_rfc_wants_it)
{
    static const enum utcp_state states[] = {UTCP_SYN_SENT,   UTCP_SYN_RECEIVED, UTCP_ESTABLISHED,
                                             UTCP_FIN_WAIT_1, UTCP_FIN_WAIT_2,   UTCP_CLOSE_WAIT,
                                             UTCP_CLOSING,    UTCP_LAST_ACK,     UTCP_TIME_WAIT};
    static const bool resets[] = {false, true, true, true, true, true, false, false, false};

    for (unsigned i = 0; i < 9; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, states[i], &seq, &ack);
        uint32_t sent = states[i] >= UTCP_FIN_WAIT_1 && states[i] != UTCP_CLOSE_WAIT ? 2 : 1;

        utcp_abort(t->conn, t->now);
        if (resets[i])
            expect(t, .flags = RST | ACK, .seq = sent, .ack = seq);
        expect_nothing(t);
        assert_true(tcp_gone(t));
        assert_int_equal(utcp_deadline(t->stack) == UINT64_MAX, 1);
        tcp_free(t);
    }
}

TCP_TEST(references_are_released_when_a_connection_is_aborted)
{
    struct tcp_test *t = tcp_established(4);
    int released = 0;
    void (*release)(void *) = NULL;

    (void)release;
    assert_int_equal(utcp_write_ref(t->conn, t->now, "hello", 5, NULL, &released), 0);
    utcp_abort(t->conn, t->now);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(closing_twice_by_shutdown_sends_one_fin)
{
    struct tcp_test *t = tcp_established(4);

    utcp_shutdown(t->conn, t->now);
    utcp_shutdown(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    utcp_close(t->conn, t->now);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(old_data_in_close_wait_are_acknowledged_and_dropped)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_CLOSE_WAIT, &seq, &ack);

    peer(t, .flags = ACK, .seq = 2, .ack = 1, .length = 10); /* after its FIN */
    assert_int_equal(utcp_readable(t->conn), 0);
    expect_state(t, UTCP_CLOSE_WAIT);
    tcp_free(t);
}

TCP_TEST(time_wait_makes_room_when_connections_run_out)
{
    struct utcp_config config = {.connections_max = 1};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 4);
    tcp_handshake(t, (struct seg){0});
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    t->them.port++;
    t->iss_known = false;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(tcp_stats(t).time_wait, 0);
    t->them.port++;
    peer(t, .flags = SYN);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_memory, 1);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(we_close_first),
        cmocka_unit_test(the_peer_closes_first),
        cmocka_unit_test(both_close_at_once),
        cmocka_unit_test(fin_and_its_ack_in_one_segment_go_straight_to_time_wait),
        cmocka_unit_test(the_fin_rides_on_the_last_data),
        cmocka_unit_test(the_ack_of_a_request_rides_on_its_answer_and_fin),
        cmocka_unit_test(half_closed_we_go_on_receiving),
        cmocka_unit_test(half_closed_by_the_peer_we_go_on_sending),
        cmocka_unit_test(what_came_before_the_fin_can_be_read_after_it),
        cmocka_unit_test(a_fin_out_of_order_waits_for_the_data_before_it),
        cmocka_unit_test(a_fin_with_data_out_of_order_waits_too),
        cmocka_unit_test(data_behind_the_fin_are_ignored),
        cmocka_unit_test(a_fin_is_sent_again),
        cmocka_unit_test(the_peer_s_fin_that_comes_again_is_acknowledged_again),
        cmocka_unit_test(a_fin_in_time_wait_starts_the_time_anew),
        cmocka_unit_test(time_wait_lasts_as_long_as_configured),
        cmocka_unit_test(a_rst_does_not_end_time_wait),
        cmocka_unit_test(a_rst_after_a_refused_syn_ends_time_wait),
        cmocka_unit_test(a_newer_syn_takes_the_place_of_a_connection_in_time_wait),
        cmocka_unit_test(an_older_syn_does_not),
        cmocka_unit_test(with_timestamps_the_clock_tells_which_syn_is_newer),
        cmocka_unit_test(an_orphan_does_not_stay_in_fin_wait_2),
        cmocka_unit_test(closing_in_fin_wait_2_starts_its_timer),
        cmocka_unit_test(how_long_fin_wait_2_lasts_can_be_chosen),
        cmocka_unit_test(an_orphan_whose_peer_has_vanished_is_given_up),
        cmocka_unit_test(an_orphan_whose_peer_keeps_its_window_closed_is_given_up),
        cmocka_unit_test(data_for_an_orphan_are_answered_by_rst),
        cmocka_unit_test(a_rst_for_an_orphan_s_data_is_one_that_the_peer_believes),
        cmocka_unit_test(closing_with_unread_data_resets),
        cmocka_unit_test(closing_after_the_end_of_a_connection_that_was_not_read_is_fine),
        cmocka_unit_test(aborting_resets_where_the_rfc_wants_it),
        cmocka_unit_test(references_are_released_when_a_connection_is_aborted),
        cmocka_unit_test(closing_twice_by_shutdown_sends_one_fin),
        cmocka_unit_test(old_data_in_close_wait_are_acknowledged_and_dropped),
        cmocka_unit_test(time_wait_makes_room_when_connections_run_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
