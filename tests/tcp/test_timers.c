/* SPDX-License-Identifier: BSD-2-Clause */
/* Keep-alive, user timeout, limits of memory, deadlines. */
#include "tcp_test.h"

TCP_TEST(a_keepalive_probe_goes_out_after_the_idle_time)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, 600 * SECOND);
    expect_after(t, 600 * SECOND, .flags = ACK, .seq = 0, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    silent_for(t, 500 * SECOND);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(a_peer_that_answers_no_probe_is_given_up)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, 600 * SECOND);
    expect_after(t, 600 * SECOND, .flags = ACK, .seq = 0, .ack = 1);
    for (int i = 1; i < 9; i++)
        expect_after(t, 75 * SECOND, .flags = ACK, .seq = 0, .ack = 1);
    expect_after(t, 75 * SECOND, .flags = RST | ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(traffic_puts_the_probe_off)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, 10 * SECOND);
    for (uint32_t i = 0; i < 10; i++) {
        pass(t, 9 * SECOND);
        peer(t, .flags = ACK, .seq = 1 + i, .ack = 1, .length = 1);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 2 + i);
    }
    tcp_free(t);
}

TCP_TEST(keepalive_can_be_switched_off_again)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, 10 * SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, 0);
    silent_for(t, 100 * MINUTE);
    tcp_free(t);
}

TCP_TEST(without_options_an_idle_connection_is_silent_for_ever)
{
    struct tcp_test *t = tcp_established(4);

    silent_for(t, 100000 * MINUTE);
    assert_int_equal(utcp_deadline(t->stack) == UINT64_MAX, 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(a_peer_s_keepalive_is_answered)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 0, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 0, .ack = 1, .length = 1); /* the kind with a byte of garbage */
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_readable(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(the_user_timeout_ends_a_connection_that_makes_no_progress)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 5 * SECOND);
    silent_for(t, MINUTE); /* nothing to acknowledge: nothing to time */
    tcp_write(t, 0, 100);
    pass(t, 4900 * MS);
    assert_int_equal(utcp_error(t->conn), 0);
    pass(t, 200 * MS);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    /* who did not answer is not told, until he says something */
    assert_int_equal(t->out[t->out_count - 1].flags & RST, 0);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
    expect(t, .flags = RST, .seq = 1);
    tcp_free(t);
}

/* tcp(7): TCP_USER_TIMEOUT takes the place of the number of probes. */
TCP_TEST(the_user_timeout_says_how_long_a_peer_may_leave_probes_unanswered)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_INTERVAL_US, SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 3 * SECOND);
    expect_after(t, SECOND, .flags = ACK, .seq = 0, .ack = 1);
    expect_after(t, SECOND, .flags = ACK, .seq = 0, .ack = 1);
    expect_after(t, SECOND, .flags = RST | ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);

    t = tcp_established(4);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_INTERVAL_US, SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_PROBES, 1);
    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 5 * SECOND);
    pass(t, 4900 * MS);
    assert_int_equal(utcp_error(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(progress_puts_the_user_timeout_off)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 5 * SECOND);
    tcp_write(t, 0, 1000);
    for (uint32_t i = 1; i < 10; i++) {
        pass(t, 4 * SECOND);
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + i * 100);
    }
    assert_int_equal(utcp_error(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(the_user_timeout_holds_for_connecting)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 2 * SECOND);
    pass(t, 2100 * MS);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(a_user_timeout_set_late_counts_from_when_the_waiting_began)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    pass(t, 4 * SECOND);
    utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, 5 * SECOND);
    pass(t, 1100 * MS);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    tcp_free(t);
}

TCP_TEST(unknown_options_are_refused)
{
    struct tcp_test *t = tcp_established(4);

    assert_int_equal(utcp_set_option(t->conn, (enum utcp_option)99, 1), -EINVAL);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, UINT64_MAX), -EINVAL);
    tcp_free(t);
}

TCP_TEST(connections_are_limited_in_number)
{
    struct utcp_config config = {.connections_max = 3};
    struct tcp_test *t = tcp_new(4, &config);
    struct utcp_conn *conn[4];

    for (int i = 0; i < 4; i++) {
        t->them.port = (uint16_t)(1000 + i);
        assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &t->them, NULL, &conn[i]),
                         i < 3 ? 0 : -ENOBUFS);
    }
    utcp_abort(conn[0], t->now);
    assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &t->them, NULL, &conn[0]), 0);
    tcp_free(t);
}

TCP_TEST(two_thousand_connections_are_found_again)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct utcp_listener *listener;

    tcp_listen(t, 2000);
    listener = t->listener;
    t->listener = NULL;
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 2000; i++) {
            t->them.port = (uint16_t)(10000 + i);
            if (round == 0)
                peer(t, .flags = SYN);
            else
                peer(t, .flags = RST, .seq = 1);
            if (round == 0) {
                t->iss_known = false;
                expect(t, .flags = SYN | ACK, .ack = 1);
            }
        }
        assert_int_equal(tcp_stats(t).connections, round ? 0 : 2000);
    }
    t->listener = listener;
    tcp_free(t);
}

TCP_TEST(when_memory_has_run_out_the_first_block_of_each_buffer_is_still_granted)
{
    struct utcp_config config = {.memory_max = 1};
    struct tcp_test *t = tcp_new(4, &config);
    static uint8_t data[100000];

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 1460});
    assert_in_range(utcp_write(t->conn, t->now, data, sizeof(data)), 1000, 4096);
    assert_int_equal(utcp_write(t->conn, t->now, data, 1), -EAGAIN);
    for (uint32_t i = 0; i < 10; i++)
        peer(t, .flags = ACK, .seq = 1 + i * 1460, .ack = 1, .length = 1460);
    assert_in_range(utcp_readable(t->conn), 1460, 4096);
    assert_true(tcp_stats(t).dropped_memory > 0);
    assert_int_equal(tcp_read(t, 0) > 0, 1);
    tcp_free(t);
}

TCP_TEST(more_replies_than_the_queue_holds_are_lost_and_nothing_else)
{
    struct tcp_test *t = tcp_new(4, NULL);

    t->iss_known = true;
    for (uint32_t i = 0; i < 1000; i++)
        peer(t, .flags = ACK, .ack = i);
    pass(t, 0);
    assert_int_equal(t->out_count, 256);
    assert_int_equal(tcp_stats(t).resets_out, 256);
    tcp_free(t);
}

TCP_TEST(time_that_goes_back_does_no_harm)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    t->now -= 500 * SECOND;
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    utcp_advance(t->stack, t->now);
    expect_nothing(t);
    t->now += 500 * SECOND;
    silent_for(t, MINUTE);
    tcp_free(t);
}

TCP_TEST(an_unknown_congestion_control_is_refused)
{
    struct utcp_config config = {.size = sizeof(config), .congestion = "warp"};

    assert_null(utcp_new(&config, 0));
    config.congestion = "newreno";
    utcp_free(utcp_new(&config, 0));
}

TCP_TEST(every_congestion_control_that_is_listed_can_be_had)
{
    struct tcp_test *t = tcp_established(4);
    unsigned count = 0;

    for (const char *name; (name = utcp_congestion_name(count)) != NULL; count++) {
        assert_int_equal(utcp_set_congestion(t->conn, name), 0);
        assert_string_equal(tcp_info(t).congestion, name);
        assert_int_equal(tcp_info(t).cwnd, 14600); /* the window goes on as it is */
    }
    assert_true(count >= 2);
    assert_int_equal(utcp_set_congestion(t->conn, NULL), 0);
    assert_string_equal(tcp_info(t).congestion, utcp_congestion_name(0));
    assert_int_equal(utcp_set_congestion(t->conn, "warp"), -ENOENT);
    assert_string_equal(tcp_info(t).congestion, utcp_congestion_name(0));
    tcp_free(t);
}

TCP_TEST(an_older_program_s_smaller_structs_are_respected)
{
    struct tcp_test *t = tcp_established(4);
    struct utcp_info info;

    memset(&info, 0xee, sizeof(info));
    info.size = offsetof(struct utcp_info, mss);
    utcp_info(t->conn, &info);
    assert_int_equal(info.size, offsetof(struct utcp_info, mss));
    assert_int_equal(info.state, UTCP_ESTABLISHED);
    assert_int_equal(info.mss, 0xeeeeeeee);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keepalive_probe_goes_out_after_the_idle_time),
        cmocka_unit_test(a_peer_that_answers_no_probe_is_given_up),
        cmocka_unit_test(traffic_puts_the_probe_off),
        cmocka_unit_test(keepalive_can_be_switched_off_again),
        cmocka_unit_test(without_options_an_idle_connection_is_silent_for_ever),
        cmocka_unit_test(a_peer_s_keepalive_is_answered),
        cmocka_unit_test(the_user_timeout_ends_a_connection_that_makes_no_progress),
        cmocka_unit_test(the_user_timeout_says_how_long_a_peer_may_leave_probes_unanswered),
        cmocka_unit_test(progress_puts_the_user_timeout_off),
        cmocka_unit_test(the_user_timeout_holds_for_connecting),
        cmocka_unit_test(a_user_timeout_set_late_counts_from_when_the_waiting_began),
        cmocka_unit_test(unknown_options_are_refused),
        cmocka_unit_test(connections_are_limited_in_number),
        cmocka_unit_test(two_thousand_connections_are_found_again),
        cmocka_unit_test(when_memory_has_run_out_the_first_block_of_each_buffer_is_still_granted),
        cmocka_unit_test(more_replies_than_the_queue_holds_are_lost_and_nothing_else),
        cmocka_unit_test(time_that_goes_back_does_no_harm),
        cmocka_unit_test(an_unknown_congestion_control_is_refused),
        cmocka_unit_test(every_congestion_control_that_is_listed_can_be_had),
        cmocka_unit_test(an_older_program_s_smaller_structs_are_respected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
