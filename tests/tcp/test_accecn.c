/* SPDX-License-Identifier: BSD-2-Clause */
/* Accurate ECN, RFC 9768: negotiation, the ACE field, the option, and what is made of them. */
#include "tcp_test.h"

#define ACE(n)    (((unsigned)(n)&7) << TCP_ACE_SHIFT)
#define ASKING    (AE | CWR | ECE)
#define INITIAL   ACE(5)
#define TOLD(...) .accecn = 4, .accecn_field = {__VA_ARGS__}

static const struct utcp_config asking = {.flags = UTCP_ASK_ACCURATE_ECN};
static const struct utcp_config classic = {.flags = UTCP_ASK_ECN | UTCP_NO_ACCURATE_ECN};

/* Passive: a client asks, and is told that we have it. */
static struct tcp_test *asked(uint8_t family, const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(family, config);

    tcp_listen(t, 8);
    peer(t, .flags = SYN | ASKING, .mss = 1460);
    expect(t, .flags = SYN | ACK | ACE(2), .ack = 1);
    assert_int_equal(t->last.accecn, 4);
    return t;
}

/* Passive, agreed on; of the peer's segments the first that is not of the handshake was seen. */
static struct tcp_test *agreed(uint8_t family, const struct utcp_config *config)
{
    struct tcp_test *t = asked(family, config);

    peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1, TOLD(1, 0, 1));
    assert_true(tcp_info(t).ecn && tcp_info(t).ecn_accurate);
    return t;
}

/* Ten full segments of ours are on their way. */
static struct tcp_test *sending(const struct utcp_config *config)
{
    struct tcp_test *t = agreed(4, config);

    tcp_write(t, 0, 14600);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK | INITIAL, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    return t;
}

static void assert_capable(struct tcp_test *t, bool capable)
{
    tcp_write(t, 0, 100);
    pass(t, 0);
    expect(t, .flags = t->out[t->out_first].flags, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(t->last.ecn, capable ? IP_ECN_0 : IP_ECN_NOT);
}

/* ── Negotiation: section 3.1.1, table 2 ───────────────────────────────────────────────────── */

TCP_TEST(a_client_takes_what_the_server_has)
{
    static const struct {
        unsigned ace;
        bool ecn, accurate;
    } rows[] = {
        {0, false, false}, /* none */
        {1, true, false},  /* RFC 3168 */
        {2, true, true},   /* the SYN came as not capable, as it left */
        {3, true, true},   /* as ECT(1), … */
        {4, true, true},   /* … ECT(0), … */
        {5, true, true},   /* reserved, as is the Nonce's: section 3.1.3 */
        {6, true, true},   /* … marked */
        {7, false, false}, /* our flags, reflected by a host that does not know them */
    };

    for (unsigned i = 0; i < 8; i++) {
        struct tcp_test *t = tcp_new(i % 2 ? 4 : 6, &asking);

        tcp_connect(t);
        expect(t, .flags = SYN | ASKING);
        assert_int_equal(t->last.ecn, IP_ECN_NOT);
        assert_int_equal(t->last.accecn, 0); /* never on a SYN */
        peer(t, .flags = SYN | ACK | ACE(rows[i].ace), .ack = 1, .mss = 1460);
        expect(t, .flags = ACK | (rows[i].accurate ? ACE(2) : 0), .seq = 1, .ack = 1);
        assert_int_equal(tcp_info(t).ecn, rows[i].ecn);
        assert_int_equal(tcp_info(t).ecn_accurate, rows[i].accurate);
        /* Sent as not capable, and arrived as something else: it was mangled (section 3.2.2.3). */
        assert_capable(t, rows[i].ecn && rows[i].ace != 3 && rows[i].ace != 4 && rows[i].ace != 6);
        tcp_free(t);
    }
}

TCP_TEST(a_server_gives_what_the_client_asks_for)
{
    static const unsigned reflected[] = {2, 3, 4, 6}; /* by how the SYN came */

    for (unsigned ace = 0; ace < 8; ace++)
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            struct tcp_test *t = tcp_new(ecn % 2 ? 4 : 6, NULL);
            bool accurate = ace != 0 && ace != 3;

            tcp_listen(t, 8);
            peer(t, .flags = SYN | ACE(ace), .mss = 1460, .ecn = ecn);
            expect(t,
                   .flags = SYN | ACK |
                            (accurate   ? ACE(reflected[ecn])
                             : ace == 3 ? ACE(1)
                                        : 0),
                   .ack = 1);
            assert_int_equal(t->last.accecn, accurate ? 4 : 0);
            assert_int_equal(t->last.ecn, IP_ECN_NOT);
            peer(t, .flags = ACK | (accurate ? ACE(2) : 0), .seq = 1, .ack = 1);
            assert_int_equal(tcp_info(t).ecn_accurate, accurate);
            assert_int_equal(tcp_info(t).ecn, ace != 0);
            assert_int_equal(tcp_info(t).ecn_marked_in, 0); /* a SYN's does not count */
            tcp_free(t);
        }
}

TCP_TEST(it_can_be_refused_and_not_asked_for)
{
    struct tcp_test *t = tcp_new(4, &classic);

    tcp_connect(t);
    expect(t, .flags = SYN | ECE | CWR);
    peer(t, .flags = SYN | ACK | ECE, .ack = 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn && !tcp_info(t).ecn_accurate);
    tcp_free(t);
    t = tcp_new(4, &classic);
    tcp_listen(t, 8);
    peer(t, .flags = SYN | ASKING, .mss = 1460); /* as RFC 3168 knows it */
    expect(t, .flags = SYN | ACK | ECE, .ack = 1);
    tcp_free(t);
    t = tcp_new(4, &(struct utcp_config){.flags = UTCP_NO_ECN | UTCP_ASK_ACCURATE_ECN});
    tcp_connect(t);
    expect(t, .flags = SYN);
    tcp_free(t);
}

TCP_TEST(the_ack_tells_how_the_syn_ack_came)
{
    static const unsigned reflected[] = {2, 3, 4, 6};

    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        struct tcp_test *t = tcp_new(4, &asking);

        tcp_connect(t);
        expect(t, .flags = SYN | ASKING);
        tcp_write(t, 0, 100); /* which wait for it: section 3.2.2.1 */
        peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460, .ecn = ecn, TOLD(1, 0, 1));
        expect(t, .flags = ACK | ACE(reflected[ecn]), .seq = 1, .ack = 1);
        assert_int_equal(t->last.accecn, 4);
        assert_int_equal(t->last.accecn_field[0], 1);
        assert_int_equal(t->last.accecn_field[1], 0);
        assert_int_equal(t->last.accecn_field[2], 1);
        expect(t, .flags = ACK | ACE(ecn == IP_ECN_CE ? 6 : 5), .seq = 1, .ack = 1, .length = 100);
        assert_int_equal(t->last.accecn, 4); /* once more: the ACK may be lost */
        /* The SYN-ACK comes again, and is answered in the same way, but counts once. */
        peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ACE(6), .seq = 101, .ack = 1);
        peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ACE(6), .seq = 101, .ack = 1);
        assert_int_equal(tcp_info(t).ecn_marked_in, 1);
        /* A server that tries without flags at last is none without Accurate ECN: section 3.1.4.2. */
        peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460, .ecn = ecn);
        expect(t, .flags = ACK | ACE(reflected[ecn]), .seq = 101, .ack = 1);
        tcp_free(t);
    }
}

/* Section 3.2.2.1, table 4. */
TCP_TEST(the_ack_of_the_syn_ack_is_judged)
{
    for (unsigned ace = 0; ace < 8; ace++) {
        struct tcp_test *t = asked(4, NULL);

        peer(t, .flags = ACK | ACE(ace), .seq = 1, .ack = 1);
        assert_true(tcp_info(t).ecn_accurate);
        assert_int_equal(tcp_info(t).ecn_marked_told, ace == 6);
        assert_capable(t, ace == 1 || ace == 2 || ace == 5 || ace == 7);
        peer(t, .flags = ACK | ACE(7), .seq = 1, .ack = 101);
        assert_int_equal(tcp_info(t).ecn_marked_told, ace == 0 ? 0 : 2);
        assert_int_equal(tcp_info(t).ecn_reductions, ace != 0);
        tcp_free(t);
    }
}

TCP_TEST(data_that_complete_the_handshake_have_the_counter)
{
    struct tcp_test *t = asked(4, NULL);

    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1, .length = 10);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK | INITIAL, .seq = 1, .ack = 11, .length = 100);
    assert_int_equal(t->last.ecn, IP_ECN_0); /* 6 means no mangled SYN-ACK here */
    tcp_free(t);
}

/* Section 3.1.4.1: once more, and then not. */
TCP_TEST(a_syn_that_was_lost_asks_once_more)
{
    struct tcp_test *t = tcp_new(4, &asking);

    tcp_connect(t);
    expect(t, .flags = SYN | ASKING);
    expect_after(t, 1 * SECOND, .flags = SYN | ASKING);
    expect_after(t, 2 * SECOND, .flags = SYN);
    peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460); /* of the first */
    expect(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn_accurate);
    assert_capable(t, true); /* a client's may */
    tcp_free(t);
}

/* Section 3.2.3.2.2: first without the option, then without the flags, and then nothing is sent as capable. */
TCP_TEST(a_syn_ack_that_was_lost_tries_less)
{
    struct tcp_test *t = asked(4, NULL);

    expect_after(t, 1 * SECOND, .flags = SYN | ACK | ACE(2), .ack = 1);
    assert_int_equal(t->last.accecn, 0);
    expect_after(t, 2 * SECOND, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn_accurate);
    assert_capable(t, false);
    tcp_free(t);
}

TCP_TEST(a_syn_that_comes_again_is_reflected_anew)
{
    struct tcp_test *t = asked(4, NULL);

    peer(t, .flags = SYN | ASKING, .mss = 1460, .ecn = IP_ECN_CE);
    expect(t, .flags = SYN | ACK | ACE(6), .ack = 1);
    assert_int_equal(t->last.accecn, 0);
    peer(t, .flags = SYN, .mss = 1460); /* section 3.1.5: the mode stays, but nothing is capable */
    expect(t, .flags = SYN | ACK | ACE(2), .ack = 1);
    peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    assert_true(tcp_info(t).ecn_accurate);
    assert_capable(t, false);
    tcp_free(t);
}

TCP_TEST(a_syn_that_asks_for_the_other_kind_ends_the_handshake)
{
    static const unsigned first[] = {ASKING, ECE | CWR}, second[] = {ECE | CWR, ASKING};

    for (unsigned i = 0; i < 2; i++) {
        struct tcp_test *t = tcp_new(4, NULL);

        tcp_listen(t, 8);
        peer(t, .flags = SYN | first[i], .mss = 1460);
        expect(t, .flags = SYN | ACK | (i ? ECE : ACE(2)), .ack = 1);
        peer(t, .flags = SYN | second[i], .mss = 1460);
        expect(t, .flags = RST | ACK, .seq = 1, .ack = 1);
        assert_true(tcp_gone(t));
        tcp_free(t);
    }
}

TCP_TEST(both_open_at_once)
{
    struct tcp_test *t = tcp_new(4, &asking);

    tcp_connect(t);
    expect(t, .flags = SYN | ASKING);
    peer(t, .flags = SYN | ASKING, .mss = 1460, .ecn = IP_ECN_0);
    expect(t, .flags = SYN | ACK | ACE(4), .ack = 1);
    peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460);
    expect_state(t, UTCP_ESTABLISHED);
    assert_true(tcp_info(t).ecn_accurate);
    assert_int_equal(tcp_info(t).ecn_marked_told, 0);
    tcp_free(t);
    t = tcp_new(4, NULL); /* who has not asked has none */
    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = SYN | ASKING, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_false(tcp_info(t).ecn);
    tcp_free(t);
}

/* Section 5.1: the ACK tells, even where no timestamp does. */
TCP_TEST(syn_cookies_keep_it)
{
    for (unsigned i = 0; i < 6; i++) {
        bool stamped = i % 2, accurate = i < 4;
        struct tcp_test *t = tcp_new(4, &(struct utcp_config){.flags = UTCP_ALWAYS_SYN_COOKIES});
        uint32_t stamp;

        tcp_listen(t, 8);
        peer(t, .flags = SYN | (accurate ? ASKING : ECE | CWR), .mss = 1460, .timestamps = stamped,
             .ts_value = 1, .ecn = i / 2 == 1 ? IP_ECN_0 : IP_ECN_NOT);
        expect(t,
               .flags = SYN | ACK |
                        (i / 2 == 1 ? ACE(4)
                         : accurate ? ACE(2)
                         : stamped  ? ECE
                                    : 0),
               .ack = 1);
        stamp = t->last.ts_value;
        peer(t, .flags = ACK | (accurate ? ACE(2) : 0), .seq = 1, .ack = 1, .timestamps = stamped,
             .ts_value = 2, .ts_echo = stamp);
        assert_int_equal(tcp_info(t).ecn_accurate, accurate);
        assert_int_equal(tcp_info(t).ecn, accurate || stamped);
        tcp_free(t);
    }
}

/* ── Receiver: sections 3.2, 3.2.2.5.1 ─────────────────────────────────────────────────────── */

TCP_TEST(marks_are_counted_and_change_is_told_at_once)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = agreed(family, NULL);

        peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_0);
        expect_after(t, 40 * MS, .flags = ACK | INITIAL, .seq = 1, .ack = 11);
        peer(t, .flags = ACK | INITIAL, .seq = 11, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 21); /* it was not so before */
        peer(t, .flags = ACK | INITIAL, .seq = 21, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
        silent_for(t, 39 * MS);
        peer(t, .flags = ACK | INITIAL, .seq = 31, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
        expect(t, .flags = ACK | ACE(0), .seq = 1, .ack = 41); /* two */
        assert_int_equal(tcp_info(t).ecn_marked_in, 3);
        assert_int_equal(tcp_info(t).ecn_ce_in, 30);
        assert_int_equal(tcp_info(t).ecn_ect0_in, 10);
        peer(t, .flags = ACK | CWR, .seq = 41, .ack = 1, .length = 10, .ecn = IP_ECN_0);
        expect_after(t, 40 * MS, .flags = ACK | ACE(0), .seq = 1, .ack = 51);
        tcp_free(t);
    }
}

TCP_TEST(marked_acks_are_acknowledged_every_third)
{
    struct tcp_test *t = sending(NULL);

    for (uint32_t i = 1; i <= 6; i++) {
        peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1 + 1460 * i, .ecn = IP_ECN_CE);
        if (i % 3 == 0)
            expect(t, .flags = ACK | ACE(5 + i), .seq = 14601, .ack = 1);
        else
            expect_nothing(t);
    }
    assert_int_equal(tcp_info(t).ecn_marked_in, 6);
    assert_int_equal(tcp_info(t).ecn_ce_in, 0);
    tcp_free(t);
}

TCP_TEST(a_merged_segment_counts_as_what_it_was_made_of)
{
    struct tcp_test *t = agreed(4, NULL);

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 1448, .ecn = IP_ECN_0);
    peer(t, .flags = ACK | INITIAL, .seq = 1449, .ack = 1, .length = 5 * 1448, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(5 + 5), .seq = 1, .ack = 1 + 6 * 1448);
    assert_int_equal(tcp_info(t).ecn_marked_in, 5);
    assert_int_equal(tcp_info(t).ecn_ce_in, 5 * 1448);
    tcp_free(t);
}

TCP_TEST(cwr_is_not_sent_and_what_has_its_bit_is_not_cut)
{
    const struct utcp_config large = {.offloads = UTCP_OFFLOAD_SEGMENT | UTCP_OFFLOAD_CHECKSUM};
    struct tcp_test *t = agreed(4, &large);

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 11);
    tcp_write(t, 0, 2920); /* RFC 9768 section 3.3.4: who cuts takes CWR off all but the first */
    expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 11, .length = 1460);
    expect(t, .flags = ACK | ACE(6), .seq = 1461, .ack = 11, .length = 1460);
    peer(t, .flags = ACK | INITIAL, .seq = 11, .ack = 2921, .length = 10, .ecn = IP_ECN_CE);
    peer(t, .flags = ACK | INITIAL, .seq = 21, .ack = 2921, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(0), .seq = 2921, .ack = 31);
    tcp_write(t, 2920, 2920); /* 8: no CWR in it */
    expect(t, .flags = ACK | ACE(0), .seq = 2921, .ack = 31, .length = 2920);
    tcp_free(t);
}

/* ── Sender: sections 3.2.2.2, 3.2.2.5.2 ───────────────────────────────────────────────────── */

TCP_TEST(marks_reduce_the_window_once_a_round_trip)
{
    struct tcp_test *t = sending(NULL);

    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1461);
    assert_int_equal(tcp_info(t).cwnd, 7300);
    assert_int_equal(tcp_info(t).ecn_marked_told, 1);
    peer(t, .flags = ACK | ACE(8), .seq = 1, .ack = 1 + 4 * 1460); /* round the end */
    peer(t, .flags = ACK | ACE(9), .seq = 1, .ack = 14601);
    assert_int_equal(tcp_info(t).ecn_marked_told, 4);
    assert_int_equal(tcp_info(t).ecn_reductions, 1);
    tcp_write(t, 14600, 1460);
    expect(t, .flags = ACK | INITIAL, .seq = 14601, .ack = 1, .length = 1460);
    peer(t, .flags = ACK | ACE(10), .seq = 1, .ack = 16061);
    assert_int_equal(tcp_info(t).ecn_reductions, 2);
    tcp_free(t);
}

TCP_TEST(an_ack_that_was_overtaken_says_nothing)
{
    struct tcp_test *t = sending(NULL);

    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1 + 2 * 1460);
    peer(t, .flags = ACK | ACE(5), .seq = 1, .ack = 1 + 1460);     /* seven more? */
    peer(t, .flags = ACK | ACE(5), .seq = 1, .ack = 1 + 2 * 1460); /* nor without progress */
    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1 + 3 * 1460);
    assert_int_equal(tcp_info(t).ecn_marked_told, 1);
    tcp_free(t);
}

/* Ten at once, and 2 more than before: 2 or 10. */
static uint32_t told_by_ten(bool options, uint32_t marked_bytes, unsigned ahead)
{
    struct tcp_test *t = asked(4, NULL);
    uint32_t told;

    if (options)
        peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1, TOLD(1, 0, 1));
    else
        peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1); /* stripped: section 3.2.3.2.3 */
    tcp_write(t, 0, 14600);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK | INITIAL, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    if (marked_bytes)
        peer(t, .flags = ACK | ACE(5 + ahead), .seq = 1, .ack = 14601,
             TOLD(14601 - marked_bytes, marked_bytes, 1));
    else
        peer(t, .flags = ACK | ACE(5 + ahead), .seq = 1, .ack = 14601);
    told = (uint32_t)tcp_info(t).ecn_marked_told;
    tcp_free(t);
    return told;
}

TCP_TEST(a_count_that_may_have_gone_round_is_taken_for_the_most_without_options)
{
    assert_int_equal(told_by_ten(false, 0, 2), 10);
    assert_int_equal(told_by_ten(false, 0, 1), 9);
    assert_int_equal(told_by_ten(false, 0, 0), 0); /* eight, from nothing? */
    assert_int_equal(told_by_ten(true, 0, 2), 2);  /* it would have said more */
    assert_int_equal(told_by_ten(true, 2 * 1460, 2), 2);
    assert_int_equal(told_by_ten(true, 10 * 1460, 2), 10);
}

TCP_TEST(a_field_that_is_zeroed_is_not_believed)
{
    struct tcp_test *t = sending(NULL); /* section 3.2.2.4 */

    peer(t, .flags = ACK, .seq = 1, .ack = 1461);
    assert_int_equal(tcp_info(t).ecn_marked_told, 0);
    peer(t, .flags = ACK | ACE(1), .seq = 1, .ack = 2921);
    assert_int_equal(tcp_info(t).ecn_marked_told, 0);
    assert_int_equal(tcp_info(t).ecn_reductions, 0);
    while (t->out_count)
        expect(t, .flags = ACK | INITIAL, .seq = t->out[t->out_first].seq, .ack = 1,
               .length = t->out[t->out_first].length);
    tcp_write(t, 14600, 1460);
    expect(t, .flags = ACK | INITIAL, .seq = 14601, .ack = 1, .length = 1460);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    peer(t, .flags = ACK, .seq = 1, .ack = 16061, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(6), .seq = 16061, .ack = 11); /* the peer's are told as before */
    tcp_free(t);
}

TCP_TEST(marks_told_by_sack_alone_are_not_forgotten)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    t->peer_sack = true;
    peer(t, .flags = SYN | ASKING, .mss = 1460);
    expect(t, .flags = SYN | ACK | ACE(2), .ack = 1);
    pass(t, 40 * MS);
    peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    tcp_write(t, 0, 14600);
    for (uint32_t i = 0; i < 10; i++)
        expect(t, .flags = ACK | INITIAL, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    pass(t, 40 * MS);
    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1, .sacks = 1, .sack = {{1461, 2921}});
    assert_int_equal(tcp_info(t).ecn_marked_told, 1);
    peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 4381); /* it was late, and not lost */
    assert_int_equal(tcp_info(t).ecn_reductions, 1);
    tcp_free(t);
}

TCP_TEST(dctcp_hears_of_each_marked_byte)
{
    struct tcp_test *t = sending(&(struct utcp_config){.congestion = "dctcp"});

    peer(t, .flags = ACK | ACE(7), .seq = 1, .ack = 1 + 4 * 1460, TOLD(2921, 2 * 1460, 1));
    peer(t, .flags = ACK | ACE(7), .seq = 1, .ack = 14601);
    assert_int_equal(tcp_info(t).bytes_delivered_marked, 2 * 1460);
    assert_int_equal(tcp_info(t).ecn_ce_told, 2 * 1460);
    assert_int_equal(tcp_info(t).ecn_reductions, 1);
    tcp_free(t);
}

TCP_TEST(fast_open_has_it_too)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN, 8), 0);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN_NO_COOKIE, 1), 0);
    peer(t, .flags = SYN | ASKING, .mss = 1460, .length = 100, .ecn = IP_ECN_CE);
    expect(t, .flags = SYN | ACK | ACE(6), .ack = 101);
    tcp_write(t, 0, 1460);
    expect(t, .flags = ACK | INITIAL, .seq = 1, .ack = 101, .length = 1460);
    assert_int_equal(t->last.ecn, IP_ECN_0);
    peer(t, .flags = ACK | ACE(6), .seq = 101, .ack = 1461, .length = 10, TOLD(1, 1460, 1));
    assert_int_equal(tcp_info(t).ecn_marked_told, 1); /* no pure ACK: it is the counter */
    assert_int_equal(tcp_info(t).ecn_marked_in, 0);   /* a SYN does not count */
    assert_int_equal(tcp_info(t).ecn_ce_told, 1460);
    tcp_free(t);
}

TCP_TEST(time_wait_goes_on_counting)
{
    struct tcp_test *t = agreed(4, NULL);

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 11);
    tcp_read(t, 0);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK | ACE(6), .seq = 1, .ack = 11);
    peer(t, .flags = FIN | ACK | INITIAL, .seq = 11, .ack = 2);
    expect(t, .flags = ACK | ACE(6), .seq = 2, .ack = 12);
    peer(t, .flags = FIN | ACK | INITIAL, .seq = 11, .ack = 2);
    expect(t, .flags = ACK | ACE(6), .seq = 2, .ack = 12);
    t->conn = NULL;
    tcp_free(t);
}

/* ── The option: section 3.2.3 ─────────────────────────────────────────────────────────────── */

TCP_TEST(what_has_changed_is_told_twice_and_then_now_and_again)
{
    struct tcp_test *t = agreed(4, NULL);
    uint32_t sent = 0, told = 0;

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_CE);
    expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 11);
    assert_int_equal(t->last.accecn, 4); /* the first tells all */
    assert_int_equal(t->last.accecn_field[1], 10);
    peer(t, .flags = ACK | INITIAL, .seq = 11, .ack = 1, .length = 20, .ecn = IP_ECN_0);
    expect_after(t, 40 * MS, .flags = ACK | ACE(6), .seq = 1, .ack = 31);
    assert_int_equal(t->last.accecn, 3);
    assert_false(t->last.accecn_order1);
    assert_int_equal(t->last.accecn_field[0], 21);
    assert_int_equal(t->last.accecn_field[1], 10);
    for (uint32_t i = 0; i < 100; i++, sent += 1460) {
        peer(t, .flags = ACK | INITIAL, .seq = 31 + sent, .ack = 1, .length = 1460,
             .ecn = IP_ECN_0);
        tcp_read(t, i ? 30 + sent : 0);
        pass(t, 40 * MS);
        while (t->out_count) {
            expect(t, .flags = ACK | ACE(6), .seq = 1, .ack = 31 + sent + 1460);
            told += t->last.accecn > 0;
        }
    }
    assert_in_range(told, 2, 4); /* the second time, and then each 64 KiB */
    tcp_free(t);
}

TCP_TEST(ect_1_has_the_order_of_its_own)
{
    struct tcp_test *t = agreed(4, NULL);

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_1);
    expect_after(t, 40 * MS, .flags = ACK | INITIAL, .seq = 1, .ack = 11);
    assert_int_equal(t->last.accecn, 4);
    peer(t, .flags = ACK | INITIAL, .seq = 11, .ack = 1, .length = 10, .ecn = IP_ECN_1);
    expect_after(t, 40 * MS, .flags = ACK | INITIAL, .seq = 1, .ack = 21);
    assert_int_equal(t->last.accecn, 3);
    assert_true(t->last.accecn_order1);
    assert_int_equal(t->last.accecn_field[0], 21);
    tcp_free(t);
}

/* With timestamps two blocks and two fields are all that fits; with three fields SACK goes first. */
TCP_TEST(sack_goes_before_the_option)
{
    static const uint8_t marks[] = {IP_ECN_0, IP_ECN_0, IP_ECN_1};
    static const unsigned fields[] = {4, 3, 0}, blocks[] = {1, 2, 3};
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    t->peer_sack = t->peer_timestamps = true;
    peer(t, .flags = SYN | ASKING, .mss = 1460);
    expect(t, .flags = SYN | ACK | ACE(2), .ack = 1);
    assert_int_equal(t->last.accecn, 4);
    peer(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1);
    for (uint32_t i = 0; i < 3; i++) {
        peer(t, .flags = ACK | INITIAL, .seq = 1001 + 2000 * i, .ack = 1, .length = 1000,
             .ecn = marks[i]);
        expect(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1);
        assert_int_equal(t->last.accecn, i == 2 ? 3 : fields[i]);
        assert_int_equal(t->last.sacks, i == 2 ? 2 : blocks[i]);
    }
    /* Both have changed since the last that was sent. */
    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 10, .ecn = IP_ECN_0);
    expect(t, .flags = ACK | INITIAL, .seq = 1, .ack = 11);
    assert_true(t->last.sacks >= 2);
    tcp_free(t);
}

TCP_TEST(forms_of_any_length_are_read)
{
    /* Fields that are there; what is left over is padding. */
    static const uint8_t lengths[] = {2, 3, 5, 8, 10, 11, 14};

    for (unsigned i = 0; i < sizeof(lengths); i++) {
        struct tcp_test *t = sending(NULL);
        uint8_t option[16] = {TCP_OPTION_ACCECN1, lengths[i], 0, 0, 1, 0, 5, 180, 0, 0, 1};

        for (unsigned k = lengths[i]; k < sizeof(option); k++)
            option[k] = TCP_OPTION_NOP;
        peer(t, .flags = ACK | ACE(6), .seq = 1, .ack = 1461, .options = option,
             .options_length = sizeof(option));
        assert_int_equal(tcp_info(t).ecn_ce_told, 1460);
        assert_int_equal(tcp_info(t).ecn_marked_told, 1);
        tcp_free(t);
    }
}

TCP_TEST(an_option_that_was_zeroed_is_ignored)
{
    struct tcp_test *t = tcp_new(4, &asking);

    tcp_connect(t);
    expect(t, .flags = SYN | ASKING);
    peer(t, .flags = SYN | ACK | ACE(2), .ack = 1, .mss = 1460, TOLD(0, 0, 0));
    expect(t, .flags = ACK | ACE(2), .seq = 1, .ack = 1);
    assert_false(tcp_info(t).ecn_options);
    tcp_write(t, 0, 1460);
    expect(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1, .length = 1460);
    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 1461, TOLD(1, 1460, 1));
    assert_int_equal(tcp_info(t).ecn_ce_told, 0);
    assert_int_equal(tcp_info(t).ecn_reductions, 0);
    tcp_free(t);
}

/* Section 3.2.3.2.5: bytes were marked, and no packet. */
TCP_TEST(an_option_that_the_field_contradicts_ends_ecn)
{
    struct tcp_test *t = sending(NULL);

    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 2921, TOLD(1461, 1460, 1));
    tcp_write(t, 14600, 1460);
    while (t->out_count > 1)
        expect(t, .flags = ACK | INITIAL, .seq = t->out[t->out_first].seq, .ack = 1,
               .length = t->out[t->out_first].length);
    pass(t, 1);
    peer(t, .flags = ACK | INITIAL, .seq = 1, .ack = 14601, TOLD(13141, 1460, 1));
    pass(t, 1);
    assert_true(t->out_count > 0);
    expect(t, .flags = ACK | INITIAL, .seq = 14601, .ack = 1, .length = 1460);
    assert_int_equal(t->last.ecn, IP_ECN_NOT);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
        T(a_client_takes_what_the_server_has),
        T(a_server_gives_what_the_client_asks_for),
        T(it_can_be_refused_and_not_asked_for),
        T(the_ack_tells_how_the_syn_ack_came),
        T(the_ack_of_the_syn_ack_is_judged),
        T(data_that_complete_the_handshake_have_the_counter),
        T(a_syn_that_was_lost_asks_once_more),
        T(a_syn_ack_that_was_lost_tries_less),
        T(a_syn_that_comes_again_is_reflected_anew),
        T(a_syn_that_asks_for_the_other_kind_ends_the_handshake),
        T(both_open_at_once),
        T(syn_cookies_keep_it),
        T(marks_are_counted_and_change_is_told_at_once),
        T(marked_acks_are_acknowledged_every_third),
        T(a_merged_segment_counts_as_what_it_was_made_of),
        T(cwr_is_not_sent_and_what_has_its_bit_is_not_cut),
        T(marks_reduce_the_window_once_a_round_trip),
        T(an_ack_that_was_overtaken_says_nothing),
        T(a_count_that_may_have_gone_round_is_taken_for_the_most_without_options),
        T(a_field_that_is_zeroed_is_not_believed),
        T(marks_told_by_sack_alone_are_not_forgotten),
        T(dctcp_hears_of_each_marked_byte),
        T(fast_open_has_it_too),
        T(time_wait_goes_on_counting),
        T(what_has_changed_is_told_twice_and_then_now_and_again),
        T(ect_1_has_the_order_of_its_own),
        T(sack_goes_before_the_option),
        T(forms_of_any_length_are_read),
        T(an_option_that_was_zeroed_is_ignored),
        T(an_option_that_the_field_contradicts_ends_ecn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
