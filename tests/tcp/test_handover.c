/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack does for a listener that is handed over: hold SYNs, ignore them, tell its
 * connections. */
#include "tcp_test.h"

TCP_TEST(a_syn_that_is_held_is_answered_when_it_is_let_go)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_HOLD);
    peer(t, .flags = SYN);
    peer(t, .flags = SYN); /* the peer has waited */
    silent_for(t, 2 * SECOND);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_IGNORE);
    pass(t, 0);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(a_syn_is_ignored_without_a_word)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_IGNORE);
    peer(t, .flags = SYN);
    silent_for(t, 10 * SECOND);
    assert_int_equal(tcp_stats(t).dropped_ignored, 1);
    assert_int_equal(tcp_stats(t).connections, 0);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_ANSWER);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

TCP_TEST(connections_that_were_begun_go_on_in_each_mode)
{
    for (int mode = UTCP_LISTEN_HOLD; mode <= UTCP_LISTEN_IGNORE; mode++) {
        struct tcp_test *t = tcp_new(4, NULL);

        tcp_listen(t, 4);
        peer(t, .flags = SYN);
        expect(t, .flags = SYN | ACK, .ack = 1);
        utcp_listener_set_mode(t->listener, (enum utcp_listen_mode)mode);
        peer(t, .flags = SYN); /* the answer was lost */
        expect(t, .flags = SYN | ACK, .ack = 1);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        expect_state(t, UTCP_ESTABLISHED);
        tcp_free(t);
    }
}

TCP_TEST(a_held_connection_goes_with_its_listener)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_HOLD);
    peer(t, .flags = SYN);
    utcp_listener_close(t->listener);
    t->listener = NULL;
    assert_int_equal(tcp_stats(t).connections, 0);
    tcp_free(t);
}

struct seen {
    unsigned count;
    enum utcp_state state;
    struct utcp_endpoint local, remote;
};

static void see(void *context, const struct utcp_endpoint *local,
                const struct utcp_endpoint *remote, enum utcp_state state)
{
    struct seen *seen = context;

    seen->count++;
    seen->local = *local;
    seen->remote = *remote;
    seen->state = state;
}

TCP_TEST(every_connection_is_told_whoever_holds_it)
{
    static const enum utcp_state states[] = {UTCP_SYN_RECEIVED, UTCP_ESTABLISHED, UTCP_FIN_WAIT_2,
                                             UTCP_CLOSE_WAIT, UTCP_TIME_WAIT};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, states[i], &seq, &ack);
        struct seen seen = {0};

        utcp_for_each(t->stack, see, &seen);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.state, states[i]);
        assert_int_equal(utcp_state_between(t->stack, &t->us, &t->them), states[i]);
        assert_int_equal(utcp_state_between(t->stack, &t->them, &t->us), UTCP_CLOSED);
        assert_memory_equal(&seen.local, &t->us, sizeof(t->us));
        assert_memory_equal(&seen.remote, &t->them, sizeof(t->them));
        tcp_free(t);
    }
}

TCP_TEST(time_wait_can_be_made_short)
{
    struct tcp_test *t;
    uint32_t seq, ack;

    t = tcp_in_state(4, UTCP_FIN_WAIT_2, &seq, &ack);
    utcp_set_time_wait(t->stack, 200 * MS);
    peer(t, .flags = FIN | ACK, .seq = seq, .ack = ack);
    expect(t, .flags = ACK, .seq = ack, .ack = seq + 1);
    assert_false(tcp_gone(t));
    pass(t, 300 * MS);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_that_is_held_is_answered_when_it_is_let_go),
        cmocka_unit_test(a_syn_is_ignored_without_a_word),
        cmocka_unit_test(connections_that_were_begun_go_on_in_each_mode),
        cmocka_unit_test(a_held_connection_goes_with_its_listener),
        cmocka_unit_test(every_connection_is_told_whoever_holds_it),
        cmocka_unit_test(time_wait_can_be_made_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
