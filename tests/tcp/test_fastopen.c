/* SPDX-License-Identifier: BSD-2-Clause */
/* Fast open, RFC 7413: the server against a script; the client is in
 * test_fastopen_client.c, both against the kernel in tests/system/test_fastopen.sh. */
#include "tcp_test.h"

#define COOKIE 8 /* bytes of ours */

static const uint8_t key[] = {0xf7, 0x63, 0xbf, 0xa0, 0x81, 0x3d, 0x80, 0xed,
                              0x30, 0x1d, 0x64, 0xcd, 0x90, 0x4a, 0xbc, 0xce};
static const uint8_t other_key[16] = {1, 2, 3};

static struct tcp_test *server(uint8_t family, unsigned limit)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_listen(t, 64);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN, limit), 0);
    return t;
}

/* A client from another port. */
static void next_client(struct tcp_test *t)
{
    t->them.port++;
    t->iss_known = false;
    t->conn = NULL;
}

static struct seg syn_with(const uint8_t *cookie, uint32_t length)
{
    struct seg syn = {.flags = SYN, .mss = 1460, .length = length, .fast_open = 1 + COOKIE};

    memcpy(syn.cookie, cookie, COOKIE);
    return syn;
}

/* Asks for a cookie on a connection of its own, and begins the next one. */
static void get_cookie(struct tcp_test *t, uint8_t cookie[COOKIE])
{
    peer(t, .flags = SYN, .mss = 1460, .fast_open = 1);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_false(t->last.experimental);
    memcpy(cookie, t->last.cookie, COOKIE);
    peer(t, .flags = RST, .seq = 1);
    next_client(t);
}

/* A connection whose SYN brought `length` bytes, its SYN-ACK not acknowledged yet. */
static void open_early(struct tcp_test *t, uint32_t length)
{
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, length));
    expect(t, .flags = SYN | ACK, .ack = 1 + length);
    assert_int_equal(t->last.fast_open, 0);
    assert_non_null(t->conn);
    expect_state(t, UTCP_SYN_RECEIVED);
}

TCP_TEST(data_with_a_syn_are_delivered_and_answered_before_the_handshake_is_done)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = server(family, 8);

        open_early(t, 100);
        assert_true(tcp_events(t) & UTCP_READABLE);
        assert_int_equal(tcp_read(t, 0), 100);
        assert_true(tcp_info(t).syn_data);
        tcp_write(t, 0, 3000);
        expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 1460 - (family == 6) * 20);
        expect(t, .flags = ACK, .seq = 1461 - (family == 6) * 20, .ack = 101,
               .length = 1460 - (family == 6) * 20);
        expect(t, .flags = ACK, .seq = 2921 - (family == 6) * 40, .ack = 101,
               .length = 80 + (family == 6) * 40);
        expect_nothing(t);
        peer(t, .flags = ACK, .seq = 101, .ack = 3001);
        expect_state(t, UTCP_ESTABLISHED);
        assert_true(tcp_events(t) & UTCP_SENT);
        peer(t, .flags = ACK, .seq = 101, .ack = 3001, .length = 10);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 3001, .ack = 111);
        assert_int_equal(tcp_read(t, 100), 10);
        assert_int_equal(tcp_stats(t).fast_opens_in, 1);
        tcp_free(t);
    }
}

TCP_TEST(the_answer_goes_out_with_the_syn_ack)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, 10));
    assert_non_null(t->conn);
    assert_int_equal(tcp_read(t, 0), 10);
    tcp_write(t, 0, 20);
    expect(t, .flags = SYN | ACK, .ack = 11);
    expect(t, .flags = ACK, .seq = 1, .ack = 11, .length = 20);
    silent_for(t, 900 * MS);
    tcp_free(t);
}

TCP_TEST(a_cookie_is_the_one_that_linux_makes_of_the_key)
{
    static const uint8_t expected[COOKIE] = {0x00, 0xab, 0xaa, 0xab, 0xe8, 0xe9, 0x54, 0xc2};
    struct tcp_test *t = tcp_new(4, NULL);
    uint8_t cookie[COOKIE];

    memcpy(t->us.address, (uint8_t[]){192, 168, 0, 2}, 4);
    memcpy(t->them.address, (uint8_t[]){10, 248, 0, 2}, 4);
    tcp_listen(t, 8);
    assert_int_equal(utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN, 8), 0);
    assert_int_equal(utcp_set_fast_open_keys(t->stack, key, NULL), 0);
    get_cookie(t, cookie);
    assert_memory_equal(cookie, expected, COOKIE);
    tcp_free(t);
}

TCP_TEST(without_being_asked_for_it_a_listener_takes_no_data_and_gives_no_cookies)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 8);
    peer(t, .flags = SYN, .mss = 1460, .fast_open = 1, .length = 10);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 0);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(data_without_the_option_are_left_for_later)
{
    struct tcp_test *t = server(4, 8);

    peer(t, .flags = SYN, .mss = 1460, .length = 10);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 0);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(a_wrong_cookie_is_answered_by_a_right_one)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    cookie[3] ^= 1;
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 1);
    cookie[3] ^= 1;
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_memory_equal(t->last.cookie, cookie, COOKIE);
    assert_null(t->conn);
    expect_after(t, SECOND, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_int_equal(tcp_stats(t).fast_open_bad_cookies, 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    assert_non_null(t->conn);
    assert_int_equal(tcp_read(t, 0), 10);
    assert_false(tcp_info(t).syn_data);
    tcp_free(t);
}

TCP_TEST(cookies_of_odd_sizes_are_as_none)
{
    static const uint8_t sizes[] = {1, 2, 3, 5, 7, 15};
    struct tcp_test *t = server(4, 8);

    for (unsigned i = 0; i < sizeof(sizes); i++) {
        peer(t, .flags = SYN, .mss = 1460, .length = 10, .fast_open = (uint8_t)(1 + sizes[i]));
        expect(t, .flags = SYN | ACK, .ack = 1);
        assert_int_equal(t->last.fast_open, 0);
        next_client(t);
    }
    peer(t, .flags = SYN, .mss = 1460, .length = 10, .fast_open = 1 + 16);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    tcp_free(t);
}

/* The right one, but for its length. */
TCP_TEST(a_cookie_that_goes_on_behind_its_end_is_none)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];
    struct seg syn;

    get_cookie(t, cookie);
    syn = syn_with(cookie, 10);
    syn.fast_open = 1 + 2 * COOKIE;
    tcp_peer(t, syn);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(a_cookie_is_good_for_its_address_alone)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    t->them.address[3]++;
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(the_experimental_option_is_answered_in_kind)
{
    struct tcp_test *t = server(4, 8);
    struct seg syn;

    peer(t, .flags = SYN, .mss = 1460, .fast_open = 1, .experimental = true);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_true(t->last.experimental);
    syn = syn_with(t->last.cookie, 10);
    syn.experimental = true;
    next_client(t);
    tcp_peer(t, syn);
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_non_null(t->conn);
    tcp_free(t);
}

TCP_TEST(a_cookie_of_the_previous_key_is_taken_and_renewed)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE], renewed[COOKIE];

    assert_int_equal(utcp_listener_set_fast_open_keys(t->listener, key, NULL), 0);
    get_cookie(t, cookie);
    assert_int_equal(utcp_listener_set_fast_open_keys(t->listener, other_key, key), 0);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    memcpy(renewed, t->last.cookie, COOKIE);
    assert_memory_not_equal(renewed, cookie, COOKIE);
    next_client(t);
    assert_int_equal(utcp_listener_set_fast_open_keys(t->listener, other_key, NULL), 0);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 1);
    next_client(t);
    tcp_peer(t, syn_with(renewed, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_int_equal(utcp_listener_set_fast_open_keys(t->listener, NULL, NULL), -EINVAL);
    assert_int_equal(utcp_set_fast_open_keys(t->stack, NULL, NULL), -EINVAL);
    tcp_free(t);
}

TCP_TEST(without_cookies_data_are_taken_from_everybody)
{
    struct tcp_test *t = server(4, 8);

    utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN_NO_COOKIE, 1);
    peer(t, .flags = SYN, .mss = 1460, .length = 10);
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_non_null(t->conn);
    next_client(t);
    peer(t, .flags = SYN, .mss = 1460); /* nothing to take early */
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_null(t->conn);
    tcp_free(t);
}

TCP_TEST(a_syn_with_a_cookie_but_no_data_opens_early_as_well)
{
    struct tcp_test *t = server(4, 8);

    open_early(t, 0);
    assert_false(tcp_info(t).syn_data);
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(beyond_the_limit_syns_are_taken_without_their_data)
{
    struct tcp_test *t = server(4, 1);
    struct utcp_conn *first;
    uint8_t cookie[COOKIE];
    uint32_t iss;

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    first = t->conn;
    iss = t->iss;
    next_client(t);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_null(t->conn);
    assert_int_equal(tcp_stats(t).fast_open_overflows, 1);
    t->them.port--;
    t->conn = first;
    t->iss = iss;
    peer(t, .flags = ACK, .seq = 11, .ack = 1); /* it is done: the next may come */
    expect_state(t, UTCP_ESTABLISHED);
    t->them.port++;
    next_client(t);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    tcp_free(t);
}

TCP_TEST(a_child_that_was_reset_keeps_its_place_for_a_while)
{
    struct tcp_test *t = server(4, 1);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    peer(t, .flags = RST, .seq = 11);
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    utcp_close(t->conn, t->now);
    pass(t, 59 * SECOND);
    next_client(t);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = RST, .seq = 1);
    pass(t, 62 * SECOND);
    next_client(t);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    tcp_free(t);
}

/* Spoofed SYNs: cookies that were guessed, and one that was stolen, from ports without end. */
TCP_TEST(a_flood_takes_no_more_than_the_limit)
{
    struct tcp_test *t = tcp_new(4, NULL);
    uint8_t stolen[COOKIE], guessed[COOKIE];
    struct utcp_stats stats;

    tcp_listen(t, 2000);
    utcp_listener_set_option(t->listener, UTCP_OPTION_FAST_OPEN, 16);
    get_cookie(t, stolen);
    for (uint32_t i = 0; i < 1000; i++) {
        memcpy(guessed, stolen, COOKIE);
        memcpy(guessed, &i, i % 2 ? sizeof(i) : 0);
        t->them.port = (uint16_t)(1024 + i);
        t->iss_known = false;
        t->conn = (void *)1; /* nobody accepts */
        tcp_peer(t, syn_with(guessed, 1000));
        t->out_first = t->out_count = 0;
        if (i % 4 == 0)
            peer(t, .flags = RST, .seq = 1001);
        pass(t, 0);
        t->out_first = t->out_count = 0;
    }
    stats = tcp_stats(t);
    assert_int_equal(stats.fast_opens_in, 16);
    assert_in_range(stats.fast_open_bad_cookies + stats.fast_open_overflows, 984, 984);
    assert_int_equal(stats.connections_accepted, 16);
    t->conn = NULL;
    tcp_free(t);
}

TCP_TEST(until_the_handshake_is_done_only_the_syn_ack_is_sent_again)
{
    struct tcp_test *t = server(4, 8);

    open_early(t, 100);
    tcp_write(t, 0, 500);
    expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 500);
    for (unsigned i = 0; i < 3; i++)
        expect_after(t, SECOND << i, .flags = SYN | ACK, .ack = 101);
    peer(t, .flags = ACK, .seq = 101, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    expect_after(t, 3 * SECOND, .flags = ACK, .seq = 1, .ack = 101, .length = 500);
    peer(t, .flags = ACK, .seq = 101, .ack = 501);
    silent_for(t, 10 * SECOND);
    tcp_free(t);
}

TCP_TEST(data_sent_early_that_were_lost_are_found_by_sack)
{
    struct tcp_test *t = server(4, 8);
    struct seg syn;
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    syn = syn_with(cookie, 100);
    syn.sack_permitted = true;
    tcp_peer(t, syn);
    expect(t, .flags = SYN | ACK, .ack = 101);
    tcp_write(t, 0, 1460 * 4);
    for (uint32_t i = 0; i < 4; i++)
        expect(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 101, .length = 1460);
    pass(t, 20 * MS);
    peer(t, .flags = ACK, .seq = 101, .ack = 1, .sacks = 1, .sack = {{1461, 5841}});
    expect_state(t, UTCP_ESTABLISHED);
    expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 1460);
    peer(t, .flags = ACK, .seq = 101, .ack = 5841);
    silent_for(t, SECOND);
    tcp_free(t);
}

TCP_TEST(a_syn_that_comes_again_gets_the_same_answer_and_its_data_count_once)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, 100));
    expect(t, .flags = SYN | ACK, .ack = 101);
    tcp_peer(t, syn_with(cookie, 100));
    expect(t, .flags = SYN | ACK, .ack = 101);
    peer(t, .flags = SYN, .mss = 1460); /* as a client sends it again */
    expect(t, .flags = SYN | ACK, .ack = 101);
    expect_nothing(t);
    assert_int_equal(tcp_read(t, 0), 100);
    peer(t, .flags = ACK, .seq = 101, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

/* With the ACK of the handshake, in the form that header prediction looks for. */
TCP_TEST(data_of_the_syn_that_come_again_count_once)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];
    struct seg syn;

    get_cookie(t, cookie);
    syn = syn_with(cookie, 100);
    syn.timestamps = true;
    syn.ts_value = 1;
    tcp_peer(t, syn);
    expect(t, .flags = SYN | ACK, .ack = 101);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100, .timestamps = true, .ts_value = 2,
         .ts_echo = t->last.ts_value);
    assert_int_equal(tcp_read(t, 0), 100);
    expect_state(t, UTCP_SYN_RECEIVED); /* what is old to the last byte is no answer */
    tcp_free(t);
}

TCP_TEST(a_child_nobody_answers_for_is_given_up)
{
    struct tcp_test *t = server(4, 1);

    open_early(t, 100);
    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 10);
    for (unsigned i = 0; i < 5; i++)
        expect_after(t, SECOND << i, .flags = SYN | ACK, .ack = 101);
    silent_for(t, 33 * SECOND);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    assert_int_equal(tcp_read(t, 0), 100);
    assert_true(tcp_gone(t));
    utcp_close(t->conn, t->now);
    next_client(t);
    open_early(t, 100); /* its place is free */
    tcp_free(t);
}

TCP_TEST(a_fin_follows_the_answer_at_once)
{
    struct tcp_test *t = server(4, 8);

    open_early(t, 100);
    assert_int_equal(tcp_read(t, 0), 100);
    tcp_write(t, 0, 50);
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 101, .length = 50);
    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 52);
    expect(t, .flags = ACK, .seq = 52, .ack = 102);
    assert_int_equal(tcp_stats(t).time_wait, 1);
    tcp_free(t);
}

TCP_TEST(closing_with_data_unread_resets)
{
    struct tcp_test *t = server(4, 8);

    open_early(t, 100);
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    expect(t, .flags = RST | ACK, .seq = 1, .ack = 101);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(what_came_before_a_reset_is_there_for_who_accepts)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    t->conn = (void *)1; /* not accepted */
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    peer(t, .flags = RST, .seq = 11);
    assert_true(tcp_gone(t));
    t->conn = utcp_accept(t->listener, t->now);
    assert_non_null(t->conn);
    assert_true(tcp_events(t) & UTCP_ERROR);
    assert_int_equal(tcp_read(t, 0), 10);
    assert_int_equal(utcp_read(t->conn, t->now, cookie, 1), -ECONNRESET);
    utcp_close(t->conn, t->now);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_listener_that_goes_resets_its_children_but_those_accepted)
{
    for (int accepted = 0; accepted < 2; accepted++) {
        struct tcp_test *t = server(4, 8);
        uint8_t cookie[COOKIE];

        get_cookie(t, cookie);
        t->conn = accepted ? NULL : (void *)1;
        tcp_peer(t, syn_with(cookie, 10));
        expect(t, .flags = SYN | ACK, .ack = 11);
        utcp_listener_close(t->listener);
        t->listener = NULL;
        if (accepted) {
            peer(t, .flags = ACK, .seq = 11, .ack = 1);
            expect_state(t, UTCP_ESTABLISHED);
            assert_int_equal(tcp_read(t, 0), 10);
        } else {
            expect(t, .flags = RST | ACK, .seq = 1, .ack = 11);
            assert_true(tcp_gone(t));
            t->conn = NULL;
        }
        tcp_free(t);
    }
}

TCP_TEST(a_listener_that_goes_frees_those_that_ended_before_they_were_accepted)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    t->conn = (void *)1;
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    peer(t, .flags = RST, .seq = 11);
    utcp_listener_close(t->listener);
    t->listener = NULL;
    t->conn = NULL;
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_syn_with_data_takes_the_place_of_a_connection_in_time_wait)
{
    struct tcp_test *t = server(4, 8);
    uint8_t cookie[COOKIE];

    get_cookie(t, cookie);
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_int_equal(tcp_read(t, 0), 10);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 11);
    peer(t, .flags = FIN | ACK, .seq = 11, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 12);
    t->conn = NULL;
    t->isn += 100;
    t->iss_known = false;
    tcp_peer(t, syn_with(cookie, 10));
    expect(t, .flags = SYN | ACK, .ack = 11);
    assert_non_null(t->conn);
    assert_int_equal(tcp_stats(t).time_wait, 0);
    tcp_free(t);
}

TCP_TEST(icmp_errors_end_what_is_not_established)
{
    struct tcp_test *t = server(4, 8);

    open_early(t, 10);
    tcp_unreachable(t, 1, 0);
    assert_int_equal(utcp_error(t->conn), -EHOSTUNREACH);
    assert_int_equal(tcp_read(t, 0), 10);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_with_a_syn_are_delivered_and_answered_before_the_handshake_is_done),
        cmocka_unit_test(the_answer_goes_out_with_the_syn_ack),
        cmocka_unit_test(a_cookie_is_the_one_that_linux_makes_of_the_key),
        cmocka_unit_test(without_being_asked_for_it_a_listener_takes_no_data_and_gives_no_cookies),
        cmocka_unit_test(data_without_the_option_are_left_for_later),
        cmocka_unit_test(a_wrong_cookie_is_answered_by_a_right_one),
        cmocka_unit_test(cookies_of_odd_sizes_are_as_none),
        cmocka_unit_test(a_cookie_that_goes_on_behind_its_end_is_none),
        cmocka_unit_test(a_cookie_is_good_for_its_address_alone),
        cmocka_unit_test(the_experimental_option_is_answered_in_kind),
        cmocka_unit_test(a_cookie_of_the_previous_key_is_taken_and_renewed),
        cmocka_unit_test(without_cookies_data_are_taken_from_everybody),
        cmocka_unit_test(a_syn_with_a_cookie_but_no_data_opens_early_as_well),
        cmocka_unit_test(beyond_the_limit_syns_are_taken_without_their_data),
        cmocka_unit_test(a_child_that_was_reset_keeps_its_place_for_a_while),
        cmocka_unit_test(a_flood_takes_no_more_than_the_limit),
        cmocka_unit_test(until_the_handshake_is_done_only_the_syn_ack_is_sent_again),
        cmocka_unit_test(data_sent_early_that_were_lost_are_found_by_sack),
        cmocka_unit_test(a_syn_that_comes_again_gets_the_same_answer_and_its_data_count_once),
        cmocka_unit_test(data_of_the_syn_that_come_again_count_once),
        cmocka_unit_test(a_child_nobody_answers_for_is_given_up),
        cmocka_unit_test(a_fin_follows_the_answer_at_once),
        cmocka_unit_test(closing_with_data_unread_resets),
        cmocka_unit_test(what_came_before_a_reset_is_there_for_who_accepts),
        cmocka_unit_test(a_listener_that_goes_resets_its_children_but_those_accepted),
        cmocka_unit_test(a_listener_that_goes_frees_those_that_ended_before_they_were_accepted),
        cmocka_unit_test(a_syn_with_data_takes_the_place_of_a_connection_in_time_wait),
        cmocka_unit_test(icmp_errors_end_what_is_not_established),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
