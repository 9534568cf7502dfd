/* SPDX-License-Identifier: BSD-2-Clause */
/* Explicit congestion notification: RFC 3168 section 6.1, RFC 8257 section 3. */
#include "tcp_test.h"

static const struct utcp_config asking = {.flags = UTCP_ASK_ECN};
static const struct utcp_config dctcp = {.congestion = "dctcp"};

/* Passive, with ECN; `config` may be NULL. */
static struct tcp_test *with_ecn(uint8_t family, const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(family, config);

    tcp_listen(t, 8);
    peer(t, .flags = SYN | ECE | CWR, .mss = 1460);
    expect(t, .flags = SYN | ACK | ECE, .ack = 1);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn);
    return t;
}

/* ── Negotiation, RFC 3168 section 6.1.1 ───────────────────────────────────────────────────── */

TCP_TEST(it_is_not_asked_for_by_default)
{
    struct tcp_test *t = tcp_connected(4);

    assert_false(tcp_info(t).ecn);
    tcp_free(t);
}

TCP_TEST(it_is_asked_for_and_agreed_on)
{
    struct tcp_test *t = tcp_new(4, &asking);

    tcp_connect(t);
    expect(t, .flags = SYN | ECE | CWR);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    peer(t, .flags = SYN | ACK | ECE, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    tcp_free(t);
}

TCP_TEST(a_peer_without_it_or_with_an_echo_of_our_flags_has_none)
{
    static const unsigned answers[] = {0, CWR, ECE | CWR};

    for (unsigned i = 0; i < 3; i++) {
        struct tcp_test *t = tcp_new(4, &asking);

        tcp_connect(t);
        expect(t, .flags = SYN | ECE | CWR);
        peer(t, .flags = SYN | ACK | answers[i], .ack = 1);
        expect(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_false(tcp_info(t).ecn);
        tcp_free(t);
    }
}

TCP_TEST(a_syn_that_was_lost_asks_no_more)
{
    struct tcp_test *t = tcp_new(4, &asking);

    tcp_connect(t);
    expect(t, .flags = SYN | ECE | CWR);
    expect_after(t, 1 * SECOND, .flags = SYN);
    peer(t, .flags = SYN | ACK | ECE, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_false(tcp_info(t).ecn);
    tcp_free(t);
}

TCP_TEST(it_can_be_switched_off)
{
    struct tcp_test *t = tcp_new(4, &(struct utcp_config){.flags = UTCP_NO_ECN});

    tcp_listen(t, 8);
    peer(t, .flags = SYN | ECE | CWR, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_false(tcp_info(t).ecn);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    tcp_free(t);
}

/* ── Sending ───────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(new_data_are_capable_and_nothing_else_is)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = with_ecn(family, NULL);

        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        assert_int_equal(t->last.ecn, IP_ECN_0);
        expect_after(t, 200 * MS, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        assert_int_equal(t->last.ecn, IP_ECN_NOT);
        peer(t, .flags = ACK, .seq = 1, .ack = 101, .length = 10);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 101, .ack = 11);
        assert_int_equal(t->last.ecn, IP_ECN_NOT);
        tcp_free(t);
    }
}

TCP_TEST(an_echo_halves_the_window_once_a_round_trip)
{
    struct tcp_test *t = with_ecn(4, NULL);
    uint32_t cwnd;

    tcp_write(t, 0, 14600);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 1461);
    assert_int_equal(tcp_info(t).cwnd, 7300);
    cwnd = tcp_info(t).cwnd;
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 2921);
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 14601);
    assert_in_range(tcp_info(t).cwnd, cwnd, 3 * cwnd);
    assert_int_equal(tcp_info(t).ecn_reductions, 1);
    /* The answer is on the first new data, and there alone. */
    tcp_write(t, 14600, 2920);
    expect(t, .flags = ACK | CWR, .seq = 14601, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 16061, .ack = 1, .length = 1460);
    /* An echo of what was sent since counts again. */
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 17521);
    assert_int_equal(tcp_info(t).ecn_reductions, 2);
    assert_int_equal(tcp_info(t).segments_retransmitted, 0);
    tcp_free(t);
}

TCP_TEST(a_loss_in_the_same_round_trip_is_the_same_congestion)
{
    struct tcp_test *t = with_ecn(4, NULL);

    tcp_write(t, 0, 14600);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    for (int i = 0; i < 3; i++)
        peer(t, .flags = ACK | ECE, .seq = 1, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 14601);
    assert_int_equal(tcp_info(t).ecn_reductions, 0);
    assert_int_equal(tcp_info(t).ssthresh, 7300);
    tcp_write(t, 14600, 1460); /* which is told as well */
    expect(t, .flags = ACK | CWR, .seq = 14601, .ack = 1, .length = 1460);
    tcp_free(t);
}

TCP_TEST(without_agreement_an_echo_means_nothing)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    peer(t, .flags = ACK | ECE, .seq = 1, .ack = 1461);
    assert_int_equal(tcp_info(t).ecn_reductions, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1461, .length = 10, .ecn = IP_ECN_CE);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1461, .ack = 11);
    tcp_free(t);
}

/* ── Receiving ─────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(a_mark_is_echoed_until_it_is_answered)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = with_ecn(family, NULL);

        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ECE, .seq = 1, .ack = 11); /* at once */
        peer(t, .flags = ACK, .seq = 11, .ack = 1, .length = 10, .ecn = IP_ECN_0);
        expect_after(t, 40 * MS, .flags = ACK | ECE, .seq = 1, .ack = 21);
        tcp_write(t, 0, 10);
        expect(t, .flags = ACK | ECE, .seq = 1, .ack = 21, .length = 10);
        peer(t, .flags = ACK | CWR, .seq = 21, .ack = 11, .length = 10, .ecn = IP_ECN_0);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 11, .ack = 31);
        peer(t, .flags = ACK | CWR, .seq = 31, .ack = 11, .length = 10, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ECE, .seq = 11, .ack = 41); /* both: the mark is newer */
        assert_int_equal(tcp_info(t).ecn_marked_in, 2);
        tcp_free(t);
    }
}

/* RFC 8257 section 3.2, figure 1: each change is preceded by an ACK of what came before. */
TCP_TEST(dctcp_s_echo_is_exact)
{
    struct tcp_test *t = with_ecn(4, &dctcp);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_0);
    peer(t, .flags = ACK, .seq = 11, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK, .seq = 1, .ack = 11);
    expect_after(t, 40 * MS, .flags = ACK | ECE, .seq = 1, .ack = 21);
    peer(t, .flags = ACK, .seq = 21, .ack = 1, .length = 10, .ecn = IP_ECN_0);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 31); /* nothing was owed before it */
    tcp_free(t);
}

/* All changes of a batch, which is answered only when it is over. */
TCP_TEST(dctcp_s_echo_is_exact_within_a_batch)
{
    static const uint8_t marks[] = {0, 0, 1, 1, 1, 0, 1, 0, 0};
    struct tcp_test *t = with_ecn(4, &dctcp);
    uint32_t end = 1, last = 1;

    for (unsigned i = 0; i < sizeof(marks); i++) {
        peer(t, .flags = ACK, .seq = end, .ack = 1, .length = 10,
             .ecn = marks[i] ? IP_ECN_CE : IP_ECN_0);
        end += 10;
    }
    for (unsigned i = 1; i < sizeof(marks); i++) {
        if (marks[i] == marks[i - 1])
            continue;
        last = 1 + 10 * i;
        expect(t, .flags = ACK | (marks[i - 1] ? ECE : 0), .seq = 1, .ack = last);
    }
    pass(t, 41 * MS);
    expect(t, .flags = ACK, .seq = 1, .ack = end);
    expect_nothing(t);
    tcp_free(t);
}

/* More changes than are remembered: what is echoed is still right at the end, and all is
 * acknowledged. */
TCP_TEST(many_changes_in_a_batch_are_bounded)
{
    struct tcp_test *t = with_ecn(4, &dctcp);
    unsigned acks = 0;

    for (unsigned i = 0; i < 101; i++)
        peer(t, .flags = ACK, .seq = 1 + 10 * i, .ack = 1, .length = 10,
             .ecn = i & 1 ? IP_ECN_0 : IP_ECN_CE);
    pass(t, 41 * MS);
    for (; t->out_count; acks++) {
        t->last = t->out[t->out_first++];
        t->out_count--;
    }
    t->out_first = 0;
    assert_in_range(acks, 1, 6);
    assert_int_equal(t->last.ack, 1011);
    assert_true(t->last.flags & ECE);
    tcp_free(t);
}

/* RFC 8257 section 3.3: alpha begins at 1 and follows the part of bytes that was marked. */
TCP_TEST(dctcp_backs_off_by_the_part_that_was_marked)
{
    struct tcp_test *t = with_ecn(4, &dctcp);
    uint32_t sent = 0, before, least = 0;

    for (unsigned round = 0; round < 80; round++) { /* one in eight is marked */
        uint32_t window = tcp_info(t).cwnd / 1460 * 1460;

        window = window < 58400 ? window : 58400;
        tcp_write(t, sent, window);
        sent += window;
        pass(t, 1 * MS);
        t->out_first = t->out_count = 0;
        before = tcp_info(t).cwnd;
        peer(t, .flags = ACK | (round % 8 ? 0 : ECE), .seq = 1, .ack = 1 + sent);
        if (tcp_info(t).cwnd < before)
            least = before - tcp_info(t).cwnd;
    }
    assert_int_equal(tcp_info(t).ecn_reductions, 10);
    assert_true(tcp_info(t).cwnd > 20 * 1460);
    assert_in_range(least, 1, tcp_info(t).cwnd / 8);
    tcp_free(t);
}

TCP_TEST(dctcp_asks_for_ecn)
{
    struct tcp_test *t = tcp_new(4, &dctcp);

    tcp_connect(t);
    expect(t, .flags = SYN | ECE | CWR);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_not_asked_for_by_default),
        cmocka_unit_test(it_is_asked_for_and_agreed_on),
        cmocka_unit_test(a_peer_without_it_or_with_an_echo_of_our_flags_has_none),
        cmocka_unit_test(a_syn_that_was_lost_asks_no_more),
        cmocka_unit_test(it_can_be_switched_off),
        cmocka_unit_test(new_data_are_capable_and_nothing_else_is),
        cmocka_unit_test(an_echo_halves_the_window_once_a_round_trip),
        cmocka_unit_test(a_loss_in_the_same_round_trip_is_the_same_congestion),
        cmocka_unit_test(without_agreement_an_echo_means_nothing),
        cmocka_unit_test(a_mark_is_echoed_until_it_is_answered),
        cmocka_unit_test(dctcp_s_echo_is_exact),
        cmocka_unit_test(dctcp_s_echo_is_exact_within_a_batch),
        cmocka_unit_test(many_changes_in_a_batch_are_bounded),
        cmocka_unit_test(dctcp_backs_off_by_the_part_that_was_marked),
        cmocka_unit_test(dctcp_asks_for_ecn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
