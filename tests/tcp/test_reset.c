/* SPDX-License-Identifier: BSD-2-Clause */
/* What is not acceptable: RST, SYN and ACK that are wrong or forged (RFC 5961), and all flags in all
 * states. */
#include "tcp_test.h"

static const enum utcp_state synchronized[] = {
    UTCP_ESTABLISHED, UTCP_FIN_WAIT_1, UTCP_FIN_WAIT_2, UTCP_CLOSE_WAIT,
    UTCP_CLOSING,     UTCP_LAST_ACK,   UTCP_TIME_WAIT,
};

#define STATES (sizeof(synchronized) / sizeof(synchronized[0]))

/* Sequence number of a segment of ours without data. */
static uint32_t our_next(enum utcp_state state)
{
    return state == UTCP_ESTABLISHED || state == UTCP_CLOSE_WAIT || state == UTCP_SYN_RECEIVED ? 1
                                                                                               : 2;
}

TCP_TEST(a_rst_with_the_exact_sequence_number_ends_the_connection)
{
    static const int errors[] = {-ECONNRESET, -ECONNRESET, -ECONNRESET, -ECONNRESET, 0, 0, 0};

    for (unsigned i = 0; i < STATES - 1; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

        peer(t, .flags = RST, .seq = seq);
        expect_nothing(t);
        assert_true(tcp_gone(t));
        assert_int_equal(utcp_error(t->conn), errors[i]);
        assert_int_equal(tcp_events(t), errors[i] ? UTCP_ERROR : 0);
        assert_int_equal(tcp_stats(t).resets_in, 1);
        tcp_free(t);
    }
}

TCP_TEST(a_rst_elsewhere_in_the_window_is_challenged)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

        peer(t, .flags = RST, .seq = seq + 1);
        expect(t, .flags = ACK, .seq = our_next(synchronized[i]), .ack = seq);
        expect_state(t, synchronized[i]);
        tcp_free(t);
    }
}

TCP_TEST(a_rst_outside_of_the_window_is_dropped_silently)
{
    for (unsigned i = 0; i < STATES; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

        peer(t, .flags = RST, .seq = seq - 1);
        peer(t, .flags = RST, .seq = seq + 70000);
        peer(t, .flags = RST | ACK, .seq = seq + 0x80000000, .ack = ack);
        expect_nothing(t);
        expect_state(t, synchronized[i]);
        tcp_free(t);
    }
}

TCP_TEST(a_syn_in_the_window_is_challenged)
{
    for (unsigned i = 0; i < STATES - 1; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

        peer(t, .flags = SYN, .seq = seq);
        expect(t, .flags = ACK, .seq = our_next(synchronized[i]), .ack = seq);
        peer(t, .flags = SYN | ACK, .seq = seq + 10, .ack = ack);
        expect(t, .flags = ACK, .seq = our_next(synchronized[i]), .ack = seq);
        expect_state(t, synchronized[i]);
        tcp_free(t);
    }
}

TCP_TEST(challenges_are_limited_for_each_connection)
{
    struct tcp_test *t = tcp_established(4);

    for (int i = 0; i < 10; i++) {
        peer(t, .flags = RST, .seq = 2);
        expect(t, .flags = ACK, .seq = 1, .ack = 1);
    }
    for (int i = 0; i < 10; i++)
        peer(t, .flags = SYN, .seq = 5);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).challenge_acks, 10);
    silent_for(t, 5 * SECOND);
    peer(t, .flags = RST, .seq = 2);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_free(t);
}

TCP_TEST(an_ack_of_what_was_never_sent_is_challenged)
{
    for (unsigned i = 0; i < STATES - 1; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);
        uint32_t next = our_next(synchronized[i]);

        peer(t, .flags = ACK, .seq = seq, .ack = next + 1);
        expect(t, .flags = ACK, .seq = next, .ack = seq);
        peer(t, .flags = ACK, .seq = seq, .ack = next + 0x7fffffff, .length = 10);
        expect(t, .flags = ACK, .seq = next, .ack = seq);
        assert_int_equal(utcp_readable(t->conn), 0);
        expect_state(t, synchronized[i]);
        tcp_free(t);
    }
}

TCP_TEST(an_ack_from_before_any_window_is_challenged)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1 - 65536, .length = 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_readable(t->conn), 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 - 65535, .length = 10); /* old, but it may be */
    assert_int_equal(utcp_readable(t->conn), 10);
    tcp_free(t);
}

TCP_TEST(a_segment_without_ack_is_dropped)
{
    for (unsigned i = 0; i < STATES; i++) {
        uint32_t seq, ack;
        struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

        peer(t, .flags = 0, .seq = seq, .length = 10);
        peer(t, .flags = FIN, .seq = seq);
        peer(t, .flags = URG | PSH | FIN, .seq = seq);
        expect_nothing(t);
        expect_state(t, synchronized[i]);
        tcp_free(t);
    }
}

TCP_TEST(storms_of_bare_acks_outside_of_the_window_are_answered_within_limits)
{
    struct tcp_test *t = tcp_established(4);
    unsigned answers = 0;

    for (int i = 0; i < 1000; i++) {
        peer(t, .flags = ACK, .seq = 100000, .ack = 1);
        pass(t, 0);
        answers += t->out_count;
        t->out_count = t->out_first = 0;
    }
    assert_int_equal(answers, 10);
    tcp_free(t);
}

TCP_TEST(data_outside_of_the_window_are_always_answered)
{
    struct tcp_test *t = tcp_established(4);

    for (int i = 0; i < 100; i++) {
        peer(t, .flags = ACK, .seq = 100000, .ack = 1, .length = 1);
        expect(t, .flags = ACK, .seq = 1, .ack = 1);
    }
    tcp_free(t);
}

TCP_TEST(a_rst_to_a_half_open_connection_that_came_in_is_forgotten)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = RST, .seq = 1);
    assert_true(tcp_gone(t));
    assert_int_equal(tcp_stats(t).connections_failed, 0);
    peer(t, .flags = SYN); /* the backlog of one is free again */
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

TCP_TEST(a_rst_in_a_simultaneous_open_refuses)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_SYN_RECEIVED, &seq, &ack);

    peer(t, .flags = RST, .seq = 1);
    assert_int_equal(utcp_error(t->conn), -ECONNREFUSED);
    tcp_free(t);
}

TCP_TEST(after_a_reset_what_had_come_is_read_and_then_calls_say_why)
{
    struct tcp_test *t = tcp_established(4);
    char byte;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    peer(t, .flags = RST, .seq = 11);
    assert_int_equal(tcp_read(t, 0), 10);
    assert_int_equal(utcp_read(t->conn, t->now, &byte, 1), -ECONNRESET);
    assert_int_equal(utcp_write(t->conn, t->now, &byte, 1), -ECONNRESET);
    assert_int_equal(utcp_write_ref(t->conn, t->now, &byte, 1, NULL, NULL), -ECONNRESET);
    utcp_shutdown(t->conn, t->now);
    utcp_set_option(t->conn, UTCP_OPTION_KEEPALIVE_US, SECOND);
    silent_for(t, MINUTE);
    utcp_close(t->conn, t->now);
    expect_nothing(t);
    tcp_free(t);
}

/* Where a state may lead when one segment in order comes, by its flags. */
static enum utcp_state next_state(enum utcp_state state, unsigned flags)
{
    if (flags & RST)
        return state == UTCP_TIME_WAIT ? state : UTCP_CLOSED;
    if (flags & SYN || !(flags & ACK) || !(flags & FIN))
        return state;
    switch (state) {
    case UTCP_ESTABLISHED: return UTCP_CLOSE_WAIT;
    case UTCP_FIN_WAIT_1: return UTCP_CLOSING; /* the FIN is not acknowledged here */
    case UTCP_FIN_WAIT_2: return UTCP_TIME_WAIT;
    default: return state;
    }
}

TCP_TEST(every_combination_of_flags_does_in_every_state_what_the_rfc_says)
{
    for (unsigned i = 0; i < STATES; i++) {
        for (unsigned flags = 0; flags < 256; flags++) {
            uint32_t seq, ack;
            struct tcp_test *t = tcp_in_state(flags & 1 ? 4 : 6, synchronized[i], &seq, &ack);
            enum utcp_state expected = next_state(synchronized[i], flags);
            bool answer = !(flags & RST) && (flags & SYN || expected != synchronized[i]);

            peer(t, .flags = flags, .seq = seq, .ack = ack);
            pass(t, 0);
            /* In TIME-WAIT a SYN may also open anew; one without ACK at rcv_nxt is not newer. */
            if (expected == UTCP_CLOSED)
                assert_true(tcp_gone(t));
            else
                expect_state(t, expected);
            assert_int_equal(t->out_count, answer);
            if (answer)
                assert_int_equal(t->out[0].flags, ACK);
            tcp_free(t);
        }
    }
}

TCP_TEST(rubbish_with_every_flag_far_out_of_the_window_changes_no_state)
{
    for (unsigned i = 0; i < STATES; i++) {
        for (unsigned flags = 0; flags < 64; flags++) {
            uint32_t seq, ack;
            struct tcp_test *t = tcp_in_state(4, synchronized[i], &seq, &ack);

            peer(t, .flags = flags, .seq = seq - 0x40000000, .ack = ack + 0x40000000, .length = 7);
            pass(t, 0);
            expect_state(t, synchronized[i]);
            assert_int_equal(t->out_count, !(flags & RST));
            tcp_free(t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rst_with_the_exact_sequence_number_ends_the_connection),
        cmocka_unit_test(a_rst_elsewhere_in_the_window_is_challenged),
        cmocka_unit_test(a_rst_outside_of_the_window_is_dropped_silently),
        cmocka_unit_test(a_syn_in_the_window_is_challenged),
        cmocka_unit_test(challenges_are_limited_for_each_connection),
        cmocka_unit_test(an_ack_of_what_was_never_sent_is_challenged),
        cmocka_unit_test(an_ack_from_before_any_window_is_challenged),
        cmocka_unit_test(a_segment_without_ack_is_dropped),
        cmocka_unit_test(storms_of_bare_acks_outside_of_the_window_are_answered_within_limits),
        cmocka_unit_test(data_outside_of_the_window_are_always_answered),
        cmocka_unit_test(a_rst_to_a_half_open_connection_that_came_in_is_forgotten),
        cmocka_unit_test(a_rst_in_a_simultaneous_open_refuses),
        cmocka_unit_test(after_a_reset_what_had_come_is_read_and_then_calls_say_why),
        cmocka_unit_test(every_combination_of_flags_does_in_every_state_what_the_rfc_says),
        cmocka_unit_test(rubbish_with_every_flag_far_out_of_the_window_changes_no_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
