/* SPDX-License-Identifier: BSD-2-Clause */
/* SYN cookies, RFC 4987 section 3.6: what a flood of SYNs costs, what of a handshake survives without
 * memory, and who can make a connection of it. */
#include "faults.h"
#include "tcp_test.h"

#define HALF_OPEN_FOR (63 * SECOND) /* five times, and nobody answered */

/* Another client: nothing of its is known. */
static void client(struct tcp_test *t, uint16_t port)
{
    t->them.port = port;
    t->iss_known = false;
}

/* A listener whose backlog strangers have filled, who will never answer. */
static struct tcp_test *flooded(uint8_t family, unsigned backlog)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_listen(t, backlog);
    for (unsigned i = 0; i < backlog; i++) {
        client(t, (uint16_t)(50000 + i));
        peer(t, .flags = SYN);
        expect(t, .flags = SYN | ACK, .ack = 1);
    }
    assert_int_equal(tcp_stats(t).syn_cookies_sent, 0);
    client(t, 40000);
    return t;
}

static struct tcp_test *always(uint8_t family, unsigned backlog)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_listen(t, backlog);
    assert_int_equal(
        utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS), 0);
    return t;
}

/* A cookie for a client without timestamps. */
static void ask(struct tcp_test *t, uint16_t port)
{
    client(t, port);
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
}

/* ── What a flood costs ────────────────────────────────────────────────────────────────────── */

TCP_TEST(a_flood_is_answered_and_leaves_nothing_behind)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = flooded(family, 4);
        long before = faults_live();

        for (uint16_t i = 0; i < 2000; i++) {
            client(t, 1024 + i);
            peer(t, .flags = SYN, .mss = 1460, .scale = 8, .timestamps = true, .ts_value = i);
            expect(t, .flags = SYN | ACK, .ack = 1, .window = 65535);
        }
        assert_int_equal(faults_live(), before);
        assert_int_equal(tcp_stats(t).connections, 4);
        assert_int_equal(tcp_stats(t).syn_cookies_sent, 2000);
        assert_int_equal(tcp_stats(t).dropped_backlog, 0);
        tcp_free(t);
    }
}

TCP_TEST(when_the_flood_is_over_connections_are_kept_again)
{
    struct tcp_test *t = flooded(4, 1);

    ask(t, 40000);
    assert_int_equal(tcp_stats(t).syn_cookies_sent, 1);
    client(t, 50000); /* who gets the SYN-ACK again and again */
    pass(t, HALF_OPEN_FOR + SECOND);
    assert_int_equal(t->out_count, 5);
    t->out_first = t->out_count = 0;
    ask(t, 40001);
    assert_int_equal(tcp_stats(t).syn_cookies_sent, 1);
    assert_int_equal(tcp_stats(t).connections, 1);
    tcp_free(t);
}

TCP_TEST(a_syn_that_comes_again_gets_the_same_cookie)
{
    struct tcp_test *t = flooded(4, 1);

    ask(t, 40000);
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

/* ── What survives ─────────────────────────────────────────────────────────────────────────── */

TCP_TEST(an_ack_with_a_cookie_makes_a_connection)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = flooded(family, 3);

        /* Without timestamps there is no place for these: they are not agreed on. */
        peer(t, .flags = SYN | ECE | CWR, .mss = 1400, .scale = 8, .sack_permitted = true);
        expect(t, .flags = SYN | ACK, .ack = 1, .window = 65535);
        assert_int_equal(t->last.mss, family == 4 ? 1460 : 1440);
        assert_int_equal(t->last.scale, 0);
        assert_false(t->last.timestamps || t->last.sack_permitted);
        assert_null(t->conn);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 5000);
        assert_non_null(t->conn);
        expect_nothing(t);
        expect_state(t, UTCP_ESTABLISHED);
        assert_int_equal(tcp_info(t).mss, 1360);
        assert_int_equal(tcp_info(t).send_window, 5000);
        assert_int_equal(tcp_stats(t).syn_cookies_accepted, 1);
        assert_int_equal(tcp_stats(t).connections_accepted, 1);
        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        peer(t, .flags = ACK, .seq = 1, .ack = 101, .length = 50);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 101, .ack = 51);
        tcp_free(t);
    }
}

/* One handshake of a client that has it all, as Linux has. */
static void agree(uint8_t family, uint8_t scale, bool sack, bool ecn, uint32_t later)
{
    struct tcp_test *t = flooded(family, 1);
    struct seg answer;
    struct utcp_info info;

    pass(t, later);
    t->out_first = t->out_count = 0;
    peer(t, .flags = SYN | (ecn ? ECE | CWR : 0), .mss = 1460, .scale = scale,
         .sack_permitted = sack, .timestamps = true, .ts_value = 0xfffffff0);
    expect(t, .flags = SYN | ACK | (ecn ? ECE : 0), .ack = 1, .window = 65535);
    answer = t->last;
    assert_true(answer.timestamps);
    assert_int_equal(answer.ts_echo, 0xfffffff0);
    assert_int_equal(answer.sack_permitted, sack);
    assert_int_equal(answer.scale != 0, scale != 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 500, .timestamps = true, .ts_value = 1,
         .ts_echo = answer.ts_value);
    assert_non_null(t->conn);
    info = tcp_info(t);
    assert_true(info.timestamps);
    assert_int_equal(info.window_scale, scale != 0);
    assert_int_equal(info.send_scale, scale ? scale - 1 : 0);
    assert_int_equal(info.receive_scale, scale ? answer.scale - 1 : 0);
    assert_int_equal(info.send_window, 500U << info.send_scale);
    assert_int_equal(info.sack, sack);
    assert_int_equal(info.ecn, ecn);
    assert_int_equal(info.mss, (family == 4 ? 1460 : 1440) - 12);
    /* The clock of timestamps does not go back, nor has it been ahead. */
    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    assert_in_range(t->last.ts_value - answer.ts_value, 0, 63);
    assert_int_equal(t->last.ts_echo, 1);
    tcp_free(t);
}

TCP_TEST(scale_sack_and_ecn_are_kept_by_the_timestamp)
{
    for (uint8_t scale = 0; scale <= 15; scale++)
        for (unsigned bits = 0; bits < 8; bits++)
            agree(bits & 4 ? 6 : 4, scale, bits & 1, bits & 2, 7 * MS * scale);
}

TCP_TEST(a_segment_is_never_larger_than_the_peer_takes)
{
    static const uint16_t told[] = {0,    1,    88,   535,  536,  537,  1219, 1220,
                                    1359, 1400, 1440, 1451, 1452, 1460, 8959, 65535};

    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        const struct utcp_config config = {.mtu = 65535};
        struct tcp_test *t = tcp_new(4, &config);
        uint16_t mss = told[i] == 0 ? 536 : told[i] < 88 ? 88 : told[i];

        tcp_listen(t, 1);
        utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
        peer(t, .flags = SYN, .mss = told[i]);
        expect(t, .flags = SYN | ACK, .ack = 1);
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_in_range(tcp_info(t).mss, mss < 536 ? 88 : 536, mss);
        if (mss <= 1460)
            assert_in_range(tcp_info(t).mss, mss < 536 ? 88 : mss * 4 / 10, mss);
        tcp_free(t);
    }
}

TCP_TEST(what_was_set_for_the_listener_holds)
{
    struct tcp_test *t = always(4, 1);

    utcp_listener_set_option(t->listener, UTCP_OPTION_MAX_SEGMENT, 700);
    utcp_listener_set_option(t->listener, UTCP_OPTION_RECEIVE_BUFFER, 9000);
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1, .window = 9000);
    assert_int_equal(t->last.mss, 700);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 9001);
    expect(t, .flags = ACK, .seq = 1, .ack = 9001, .window = NO_WINDOW);
    assert_int_equal(tcp_info(t).mss, 700);
    tcp_free(t);
}

TCP_TEST(data_and_fin_with_the_ack_are_taken)
{
    struct tcp_test *t = flooded(4, 1);

    ask(t, 40000);
    peer(t, .flags = ACK | FIN, .seq = 1, .ack = 1, .length = 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 12);
    assert_int_equal(tcp_events(t), UTCP_READABLE | UTCP_FINISHED);
    assert_int_equal(tcp_read(t, 0), 10);
    expect_state(t, UTCP_CLOSE_WAIT);
    tcp_free(t);
}

TCP_TEST(where_the_ack_was_lost_the_first_data_do)
{
    struct tcp_test *t = flooded(4, 1);

    ask(t, 40000);
    silent_for(t, 900 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 200);
    assert_non_null(t->conn);
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(tcp_read(t, 0), 200);
    tcp_free(t);
}

TCP_TEST(behind_a_connection_in_time_wait_a_new_one_begins_above)
{
    uint32_t seq, ack, end;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    end = t->iss + ack;
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
    t->iss_known = false;
    peer(t, .flags = SYN, .seq = 100000, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 100001);
    assert_true((int32_t)(t->iss - end) > 0);
    assert_int_equal(tcp_stats(t).syn_cookies_sent, 0);
    tcp_free(t);
}

/* ── Who cannot ────────────────────────────────────────────────────────────────────────────── */

static void expect_refusal(struct tcp_test *t, uint32_t ack)
{
    expect(t, .flags = RST, .seq = ack);
    assert_null(t->conn);
}

TCP_TEST(a_cookie_is_good_for_one_to_two_minutes)
{
    /* The test's clock begins 40 s into a minute. */
    static const uint64_t asked[] = {0, 19 * SECOND, 20 * SECOND};
    static const uint64_t good[] = {80 * SECOND, 61 * SECOND, 120 * SECOND};

    for (int i = 0; i < 3; i++) {
        for (int late = 0; late < 2; late++) {
            struct tcp_test *t = always(4, 2);
            uint32_t iss;

            pass(t, asked[i]);
            ask(t, 40000);
            iss = t->iss;
            pass(t, good[i] - 1);
            ask(t, 40001); /* so that cookies are looked at */
            pass(t, (unsigned)late);
            client(t, 40000);
            t->iss = iss;
            t->iss_known = true;
            peer(t, .flags = ACK, .seq = 1, .ack = 1);
            assert_int_equal(t->conn != NULL, !late);
            if (late)
                expect_refusal(t, 1);
            assert_int_equal(tcp_stats(t).syn_cookies_failed, late);
            tcp_free(t);
        }
    }
}

TCP_TEST(what_is_not_exactly_the_cookie_is_refused)
{
    struct tcp_test *t = always(4, 2);
    struct seg answer;
    uint64_t failed = 0;

    peer(t, .flags = SYN, .mss = 1460, .scale = 8, .timestamps = true, .ts_value = 1);
    expect(t, .flags = SYN | ACK, .ack = 1);
    answer = t->last;
    for (int32_t off = -20; off <= 20; off++) {
        if (off == 0)
            continue;
        peer(t, .flags = ACK, .seq = 1 + (uint32_t)off, .ack = 1, .timestamps = true, .ts_value = 2,
             .ts_echo = answer.ts_value);
        expect_refusal(t, 1);
        failed++;
    }
    /* 1460 is the seventh size: its neighbours differ by the size alone, the others are none. */
    for (int32_t off = 2; off <= 40; off++) {
        peer(t, .flags = ACK, .seq = 1, .ack = 1 + (uint32_t)off, .timestamps = true, .ts_value = 2,
             .ts_echo = answer.ts_value);
        expect_refusal(t, 1 + (uint32_t)off);
        failed++;
    }
    /* Options that were not agreed on; no options. */
    for (uint32_t bit = 1; bit < 64; bit <<= 1) {
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = true, .ts_value = 2,
             .ts_echo = answer.ts_value ^ bit);
        expect_refusal(t, 1);
        failed++;
    }
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_refusal(t, 1);
    t->them.port++;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = true, .ts_value = 2,
         .ts_echo = answer.ts_value);
    expect_refusal(t, 1);
    t->them.address[3]++;
    t->them.port--;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = true, .ts_value = 2,
         .ts_echo = answer.ts_value);
    expect_refusal(t, 1);
    t->them.address[3]--;
    assert_int_equal(tcp_stats(t).syn_cookies_failed, failed + 3);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .timestamps = true, .ts_value = 2,
         .ts_echo = answer.ts_value);
    assert_non_null(t->conn);
    tcp_free(t);
}

TCP_TEST(guesses_are_refused)
{
    struct tcp_test *t = always(4, 2);
    uint32_t random = 1;
    const uint32_t tries = 50000;

    ask(t, 40000);
    for (uint32_t i = 0; i < tries; i++) {
        random = random * 1664525 + 1013904223;
        peer(t, .flags = ACK, .seq = i, .ack = random ^ random >> 16);
        expect_refusal(t, random ^ random >> 16);
    }
    assert_int_equal(tcp_stats(t).syn_cookies_failed, tries);
    assert_int_equal(tcp_stats(t).connections, 0);
    tcp_free(t);
}

TCP_TEST(without_cookies_about_nothing_is_tried)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 77);
    expect(t, .flags = RST, .seq = 77);
    assert_int_equal(tcp_stats(t).syn_cookies_failed, 0);
    utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
    ask(t, 40000);
    pass(t, 2 * MINUTE);
    peer(t, .flags = ACK, .seq = 1, .ack = 77);
    expect_refusal(t, 77);
    assert_int_equal(tcp_stats(t).syn_cookies_failed, 0);
    tcp_free(t);
}

TCP_TEST(an_ack_that_comes_twice_makes_one_connection)
{
    struct tcp_test *t = always(4, 4);

    ask(t, 40000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 20);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 20);
    expect(t, .flags = ACK, .seq = 1, .ack = 21);
    assert_int_equal(tcp_stats(t).connections, 1);
    assert_int_equal(tcp_stats(t).syn_cookies_accepted, 1);
    assert_int_equal(tcp_read(t, 0), 20);
    /* Whoever saw it can repeat it, when all is over, as long as the cookie is good: nothing is kept
     * that would tell. */
    peer(t, .flags = RST, .seq = 21);
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 20);
    assert_non_null(t->conn);
    tcp_free(t);
}

TCP_TEST(resets_and_syn_acks_bring_no_cookie)
{
    struct tcp_test *t = always(4, 4);

    ask(t, 40000);
    peer(t, .flags = RST, .seq = 1);
    peer(t, .flags = RST | ACK, .seq = 1, .ack = 1);
    expect_nothing(t);
    peer(t, .flags = SYN | ACK, .seq = 0, .ack = 1);
    expect_refusal(t, 1);
    assert_int_equal(tcp_stats(t).syn_cookies_failed, 0);
    peer(t, .flags = FIN, .seq = 1);
    expect_nothing(t);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(what_comes_behind_a_lost_first_segment_is_no_cookie)
{
    struct tcp_test *t = always(4, 4);

    ask(t, 40000);
    peer(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect_refusal(t, 1);
    tcp_free(t);
}

TCP_TEST(another_start_has_other_cookies)
{
    struct tcp_test *t = always(4, 4), *other;
    const struct utcp_config config = {.secret = {1}};

    ask(t, 40000);
    other = tcp_new(4, &config);
    tcp_listen(other, 4);
    utcp_listener_set_option(other->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
    ask(other, 40000);
    assert_true(other->iss != t->iss);
    other->iss = t->iss;
    peer(other, .flags = ACK, .seq = 1, .ack = 1);
    assert_null(other->conn);
    tcp_free(other);
    tcp_free(t);
}

/* ── Limits ────────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(where_nobody_accepts_no_connection_is_made)
{
    struct tcp_test *t = always(4, 1);
    uint32_t iss;

    ask(t, 40000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1); /* accepted; from here on nobody does */
    assert_non_null(t->conn);
    ask(t, 40001);
    iss = t->iss;
    ask(t, 40002);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(tcp_stats(t).connections, 2);
    client(t, 40001); /* the second to answer finds no place, and is not told so */
    t->iss = iss;
    t->iss_known = true;
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).connections, 2);
    assert_int_equal(tcp_stats(t).dropped_backlog, 1);
    client(t, 40003); /* nor does a SYN get a promise */
    peer(t, .flags = SYN);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_backlog, 2);
    client(t, 40001); /* when there is room, it comes again */
    t->iss_known = true;
    assert_non_null(utcp_accept(t->listener, t->now));
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 5);
    assert_int_equal(tcp_stats(t).connections, 3);
    tcp_free(t);
}

TCP_TEST(half_open_connections_and_cookies_together_are_bounded)
{
    struct tcp_test *t = flooded(4, 3);
    uint32_t iss[8];

    t->conn = (struct utcp_conn *)t; /* so that none is accepted */
    for (uint16_t i = 0; i < 8; i++) {
        ask(t, 40000 + i);
        iss[i] = t->iss;
    }
    for (uint16_t i = 0; i < 8; i++) {
        client(t, 40000 + i);
        t->iss = iss[i];
        t->iss_known = true;
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        expect_nothing(t);
    }
    assert_int_equal(tcp_stats(t).connections, 6);
    assert_int_equal(tcp_stats(t).syn_cookies_accepted, 3);
    assert_int_equal(tcp_stats(t).dropped_backlog, 5);
    tcp_free(t);
}

TCP_TEST(without_memory_for_it_no_connection_is_made)
{
    const struct utcp_config config = {.connections_max = 1};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    ask(t, 40001);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_memory, 1);
    assert_int_equal(tcp_stats(t).syn_cookies_accepted, 0);
    tcp_free(t);
}

/* ── Who wants them ────────────────────────────────────────────────────────────────────────── */

/* Cookies that two SYNs get from a listener with a backlog of one. */
static uint64_t cookies_of(uint32_t flags, uint64_t listener)
{
    const struct utcp_config config = {.flags = flags};
    struct tcp_test *t = tcp_new(4, &config);
    uint64_t cookies;

    tcp_listen(t, 1);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, listener), 0);
    for (uint16_t i = 0; i < 2; i++) {
        client(t, 40000 + i);
        peer(t, .flags = SYN);
        pass(t, 0);
    }
    cookies = tcp_stats(t).syn_cookies_sent;
    assert_int_equal(tcp_stats(t).dropped_backlog, cookies == 0);
    tcp_free(t);
    return cookies;
}

TCP_TEST(stack_and_listener_say_when)
{
    struct tcp_test *t = tcp_new(4, NULL);

    assert_int_equal(cookies_of(0, UTCP_SYN_COOKIES_AS_STACK), 1);
    assert_int_equal(cookies_of(UTCP_NO_SYN_COOKIES, UTCP_SYN_COOKIES_AS_STACK), 0);
    assert_int_equal(cookies_of(UTCP_ALWAYS_SYN_COOKIES, UTCP_SYN_COOKIES_AS_STACK), 2);
    for (uint32_t flags = 0; flags <= UTCP_NO_SYN_COOKIES; flags += UTCP_NO_SYN_COOKIES) {
        assert_int_equal(cookies_of(flags, UTCP_SYN_COOKIES_WHEN_FULL), 1);
        assert_int_equal(cookies_of(flags, UTCP_SYN_COOKIES_ALWAYS), 2);
        assert_int_equal(cookies_of(flags, UTCP_SYN_COOKIES_NEVER), 0);
    }
    tcp_listen(t, 1);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, 4), -EINVAL);
    tcp_free(t);
}

TCP_TEST(a_listener_that_holds_or_ignores_syns_gives_no_cookies)
{
    struct tcp_test *t = flooded(4, 1);

    utcp_listener_set_mode(t->listener, UTCP_LISTEN_HOLD);
    peer(t, .flags = SYN);
    expect_nothing(t);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_IGNORE);
    peer(t, .flags = SYN);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_backlog, 1);
    assert_int_equal(tcp_stats(t).dropped_ignored, 1);
    tcp_free(t);
}

TCP_TEST(a_cookie_that_was_given_is_honoured_while_the_listener_ignores_syns)
{
    struct tcp_test *t = always(4, 1);

    ask(t, 40000);
    utcp_listener_set_mode(t->listener, UTCP_LISTEN_IGNORE);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_is_answered_and_leaves_nothing_behind),
        cmocka_unit_test(when_the_flood_is_over_connections_are_kept_again),
        cmocka_unit_test(a_syn_that_comes_again_gets_the_same_cookie),
        cmocka_unit_test(an_ack_with_a_cookie_makes_a_connection),
        cmocka_unit_test(scale_sack_and_ecn_are_kept_by_the_timestamp),
        cmocka_unit_test(a_segment_is_never_larger_than_the_peer_takes),
        cmocka_unit_test(what_was_set_for_the_listener_holds),
        cmocka_unit_test(data_and_fin_with_the_ack_are_taken),
        cmocka_unit_test(where_the_ack_was_lost_the_first_data_do),
        cmocka_unit_test(behind_a_connection_in_time_wait_a_new_one_begins_above),
        cmocka_unit_test(a_cookie_is_good_for_one_to_two_minutes),
        cmocka_unit_test(what_is_not_exactly_the_cookie_is_refused),
        cmocka_unit_test(guesses_are_refused),
        cmocka_unit_test(without_cookies_about_nothing_is_tried),
        cmocka_unit_test(an_ack_that_comes_twice_makes_one_connection),
        cmocka_unit_test(resets_and_syn_acks_bring_no_cookie),
        cmocka_unit_test(what_comes_behind_a_lost_first_segment_is_no_cookie),
        cmocka_unit_test(another_start_has_other_cookies),
        cmocka_unit_test(where_nobody_accepts_no_connection_is_made),
        cmocka_unit_test(half_open_connections_and_cookies_together_are_bounded),
        cmocka_unit_test(without_memory_for_it_no_connection_is_made),
        cmocka_unit_test(stack_and_listener_say_when),
        cmocka_unit_test(a_listener_that_holds_or_ignores_syns_gives_no_cookies),
        cmocka_unit_test(a_cookie_that_was_given_is_honoured_while_the_listener_ignores_syns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
