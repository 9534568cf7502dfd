/* SPDX-License-Identifier: BSD-2-Clause */
/* SYN cookies that somebody else sends, such as a program at the NIC: here a second stack of the same
 * secret, which the SYNs go to. Whoever sends them does not know which connections there are. */
#include "syncookie.h"
#include "tcp_test.h"
#include "utcp_internal.h"

static struct tcp_test *listening(uint8_t family)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_listen(t, 8);
    utcp_listener_cookies_elsewhere(t->listener, t->now, true);
    return t;
}

/* The SYN goes elsewhere: it is 0 in the numbers of both ends from now on. Returns the answer. */
static struct seg ask(struct tcp_test *t, uint32_t isn, bool timestamps, uint32_t ts_value)
{
    struct tcp_test *nic = tcp_new(t->family, NULL);
    struct seg answer;

    tcp_listen(nic, 8);
    utcp_listener_set_option(nic->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
    pass(nic, t->now - nic->now);
    nic->isn = isn;
    nic->them = t->them;
    peer(nic, .flags = SYN, .mss = 1460, .scale = timestamps ? 8 : 0, .timestamps = timestamps,
         .ts_value = ts_value);
    expect(nic, .flags = SYN | ACK, .ack = 1);
    answer = nic->last;
    t->isn = isn;
    t->iss = nic->iss;
    t->iss_known = true;
    tcp_free(nic);
    return answer;
}

/* The application has nothing to do with it yet. */
static void forget_conn(struct tcp_test *t)
{
    utcp_abort(t->conn, t->now);
    t->conn = NULL;
}

TCP_TEST(a_connection_is_taken_over)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = listening(family);
        struct seg answer;

        pass(t, 5 * MINUTE); /* it goes on until it is called off */
        answer = ask(t, 1000, true, 50);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 20, .timestamps = true, .ts_value = 51,
             .ts_echo = answer.ts_value);
        assert_non_null(t->conn);
        expect_state(t, UTCP_ESTABLISHED);
        assert_int_equal(tcp_read(t, 0), 20);
        assert_int_equal(tcp_info(t).send_scale, 7);
        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 21, .length = 100);
        assert_in_range(t->last.ts_value - answer.ts_value, 0, 63);
        assert_int_equal(tcp_stats(t).syn_cookies_sent, 0);
        assert_int_equal(tcp_stats(t).syn_cookies_accepted, 1);
        tcp_free(t);
    }
}

TCP_TEST(when_it_is_called_off_cookies_are_good_for_as_long_as_ever)
{
    for (int late = 0; late < 2; late++) {
        struct tcp_test *t = listening(4);

        ask(t, 1000, false, 0);
        utcp_listener_cookies_elsewhere(t->listener, t->now, false);
        pass(t, 80 * SECOND - 1 + (unsigned)late); /* the clock began 40 s into a minute */
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_int_equal(t->conn != NULL, !late);
        tcp_free(t);
    }
}

TCP_TEST(a_peer_that_begins_anew_takes_the_place_of_its_old_connection)
{
    for (int timestamps = 0; timestamps < 2; timestamps++) {
        struct tcp_test *t = listening(4);
        struct seg answer = ask(t, 1000, timestamps, 50);
        struct utcp_conn *old;
        uint32_t iss = t->iss;

        peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = timestamps, .ts_value = 51,
             .ts_echo = answer.ts_value);
        old = t->conn;
        assert_non_null(old);
        tcp_events(t);
        t->conn = NULL;
        pass(t, MINUTE);
        /* Both numbers are above those of before: the client's are, and minutes have gone. */
        answer = ask(t, 5000000, timestamps, 60050);
        assert_true((int32_t)(t->iss - iss) > 0);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 9, .timestamps = timestamps,
             .ts_value = 60051, .ts_echo = answer.ts_value);
        assert_non_null(t->conn);
        assert_ptr_not_equal(t->conn, old);
        assert_int_equal(utcp_error(old), -ECONNRESET);
        utcp_close(old, t->now);
        assert_int_equal(tcp_read(t, 0), 9);
        expect_state(t, UTCP_ESTABLISHED);
        tcp_free(t);
    }
}

TCP_TEST(a_cookie_from_before_the_connection_does_it_no_harm)
{
    for (int timestamps = 0; timestamps < 2; timestamps++) {
        struct tcp_test *t = listening(4);
        struct seg before = ask(t, 1000, timestamps, 50), answer;
        uint32_t iss = t->iss;

        answer = ask(t, 5000000, timestamps, 500);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = timestamps, .ts_value = 501,
             .ts_echo = answer.ts_value);
        assert_non_null(t->conn);
        t->isn = 1000;
        t->iss = iss;
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = timestamps, .ts_value = 51,
             .ts_echo = before.ts_value);
        expect(t, .flags = RST, .seq = 1); /* which is nothing to the client's connection */
        expect_state(t, UTCP_ESTABLISHED);
        tcp_free(t);
    }
}

TCP_TEST(the_ack_of_its_own_handshake_does_a_connection_no_harm)
{
    struct tcp_test *t = listening(4);

    ask(t, 1000, false, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 30);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 31);
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(tcp_stats(t).connections_accepted, 1);
    tcp_free(t);
}

TCP_TEST(behind_time_wait_a_newer_connection_begins)
{
    for (int newer = 0; newer < 2; newer++) {
        struct tcp_test *t = listening(4);

        ask(t, 1000, false, 0);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        utcp_close(t->conn, t->now);
        t->conn = NULL;
        expect(t, .flags = ACK | FIN, .seq = 1, .ack = 1);
        peer(t, .flags = ACK | FIN, .seq = 1, .ack = 2);
        expect(t, .flags = ACK, .seq = 2, .ack = 2);
        assert_int_equal(tcp_stats(t).time_wait, 1);
        pass(t, 25 * SECOND); /* into the next minute: our numbers go on by 2^24 at most */
        ask(t, newer ? 20000000 : 500, false, 0);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 7);
        if (newer)
            assert_int_equal(tcp_read(t, 0), 7);
        else /* it can try another port at once */
            expect(t, .flags = RST, .seq = 1);
        assert_int_equal(tcp_stats(t).time_wait, !newer);
        tcp_free(t);
    }
}

TCP_TEST(a_syn_that_came_before_the_change_is_no_obstacle)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    t->isn = 1000;
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1); /* and is lost */
    utcp_listener_cookies_elsewhere(t->listener, t->now, true);
    ask(t, 1000, false, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 7);
    assert_non_null(t->conn);
    assert_int_equal(tcp_read(t, 0), 7);
    tcp_free(t);
}

TCP_TEST(guesses_at_a_connection_find_nothing)
{
    struct tcp_test *t = listening(4);

    ask(t, 1000, false, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    t->many = true;
    for (uint32_t i = 1; i < 10000; i++) {
        peer(t, .flags = ACK, .seq = 1 + (i * 2654435761U), .ack = i * 2246822519U);
        t->out_first = t->out_count = 0;
    }
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(tcp_stats(t).syn_cookies_accepted, 1);
    forget_conn(t);
    tcp_free(t);
}

TCP_TEST(terms_say_what_a_syn_ack_says)
{
    struct utcp_cookie_terms terms = {.size = sizeof(terms)}, other = terms;
    struct tcp_test *t = tcp_new(6, &(struct utcp_config){.flags = UTCP_NO_SACK, .mtu = 1280});

    tcp_listen(t, 1);
    utcp_listener_set_option(t->listener, UTCP_OPTION_RECEIVE_BUFFER, 9000);
    utcp_listener_set_option(t->listener, UTCP_OPTION_DSCP, 46);
    assert_int_equal(utcp_listener_cookie_terms(t->listener, &terms), 0);
    assert_int_equal(terms.mss, 1220);
    assert_int_equal(terms.window, 9000);
    assert_int_equal(terms.window_scale, 10); /* 32 MiB */
    assert_int_equal(terms.hop_limit, 64);
    assert_int_equal(terms.dscp, 46);
    assert_int_equal(terms.options,
                     UTCP_COOKIE_TIMESTAMPS | UTCP_COOKIE_WINDOW_SCALE | UTCP_COOKIE_ECN);
    utcp_set_cookie_key(t->stack, (const uint8_t *)"0123456789abcdef");
    assert_int_equal(utcp_listener_cookie_terms(t->listener, &other), 0);
    assert_memory_equal(other.key, "0123456789abcdef", 16);
    assert_memory_not_equal(other.key, terms.key, 16);

    utcp_listener_set_mode(t->listener, UTCP_LISTEN_HOLD);
    assert_int_equal(utcp_listener_cookie_terms(t->listener, &terms), -EOPNOTSUPP);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_ANSWER);
    utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_NEVER);
    assert_int_equal(utcp_listener_cookie_terms(t->listener, &terms), -EOPNOTSUPP);
    tcp_free(t);
}

TCP_TEST(overflows_are_counted)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 2);
    t->many = true;
    for (uint16_t i = 0; i < 5; i++) {
        t->them.port = 50000 + i;
        peer(t, .flags = SYN, .mss = 1460);
    }
    assert_int_equal(utcp_listener_overflows(t->listener), 3);
    tcp_free(t);
}

static struct utcp_endpoint end_of(uint8_t host, uint16_t port)
{
    return (struct utcp_endpoint){.family = 4, .port = port, .address = {10, 0, 0, host}};
}

/* What the key makes of a local end is kept until another is asked for, or there is another key. */
TCP_TEST(both_make_the_same_of_two_ends_whatever_was_asked_before)
{
    struct tcp_test *t = tcp_new(4, NULL);
    uint32_t random = 1;

    for (int i = 0; i < 1000; i++) {
        uint8_t key[UTCP_COOKIE_KEY_SIZE] = {(uint8_t)i};
        struct utcp_endpoint local, remote;
        uint32_t here, there;

        random = random * 1664525 + 1013904223;
        local = end_of(random >> 24 & 1, random >> 25 & 1);
        remote = end_of(random >> 26 & 1, random >> 27 & 1);
        if (random >> 28 == 0)
            utcp_set_cookie_key(t->stack, key);
        memcpy(&here, local.address, sizeof(here));
        memcpy(&there, remote.address, sizeof(there));
        assert_int_equal(
            utcp__cookie_ends(t->stack, &local, &remote),
            syncookie_ends_v4(t->stack->cookie_key, here, there, local.port, remote.port));
    }
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_make_the_same_of_two_ends_whatever_was_asked_before),
        cmocka_unit_test(a_connection_is_taken_over),
        cmocka_unit_test(when_it_is_called_off_cookies_are_good_for_as_long_as_ever),
        cmocka_unit_test(a_peer_that_begins_anew_takes_the_place_of_its_old_connection),
        cmocka_unit_test(a_cookie_from_before_the_connection_does_it_no_harm),
        cmocka_unit_test(the_ack_of_its_own_handshake_does_a_connection_no_harm),
        cmocka_unit_test(behind_time_wait_a_newer_connection_begins),
        cmocka_unit_test(a_syn_that_came_before_the_change_is_no_obstacle),
        cmocka_unit_test(guesses_at_a_connection_find_nothing),
        cmocka_unit_test(terms_say_what_a_syn_ack_says),
        cmocka_unit_test(overflows_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
