/* SPDX-License-Identifier: BSD-2-Clause */
/* Fast open, RFC 7413: the client against a script. */
#include "tcp_test.h"

#define COOKIE 8 /* bytes of most cookies here */

static void fast_connect(struct tcp_test *t)
{
    tcp_connect(t);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_FAST_OPEN, 1), 0);
}

/* Ends the connection, and makes the next one of another port of ours. */
static void next_connection(struct tcp_test *t)
{
    utcp_abort(t->conn, t->now);
    pass(t, 0);
    t->out_first = t->out_count = 0;
    t->conn = NULL;
    t->us.port++;
    t->iss_known = false;
}

/* A stack that has a cookie of `size` bytes, 0xc0 and on, of a server with this MSS. */
static struct tcp_test *client(uint8_t size, uint16_t mss)
{
    struct tcp_test *t = tcp_new(4, NULL);
    struct seg answer = {.flags = SYN | ACK, .ack = 1, .mss = mss, .fast_open = 1 + size};

    for (uint8_t i = 0; i < size; i++)
        answer.cookie[i] = 0xc0 + i;
    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 0);
    expect(t, .flags = SYN);
    assert_int_equal(t->last.fast_open, 1);
    tcp_peer(t, answer);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(tcp_info(t).fast_open_failure, UTCP_FAST_OPEN_NO_COOKIE);
    next_connection(t);
    return t;
}

/* Sends a SYN with `length` bytes and a cookie as client() got it. */
static void send_syn(struct tcp_test *t, uint32_t length)
{
    fast_connect(t);
    tcp_write(t, 0, length);
    expect(t, .flags = SYN, .length = length);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_int_equal(t->last.cookie[COOKIE - 1], 0xc0 + COOKIE - 1);
}

TCP_TEST(a_cookie_lets_data_go_with_the_syn)
{
    struct tcp_test *t = client(COOKIE, 1460);

    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 1420);
    tcp_write(t, 0, 3000);
    expect(t, .flags = SYN, .length = 1420);
    assert_int_equal(t->last.fast_open, 1 + COOKIE);
    assert_int_equal(utcp_syn_room(t->conn), 0);
    expect_nothing(t);
    peer(t, .flags = SYN | ACK, .ack = 1421, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1421, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 2881, .ack = 1, .length = 120);
    peer(t, .flags = ACK, .seq = 1, .ack = 3001);
    assert_true(tcp_events(t) & UTCP_SENT);
    assert_true(tcp_info(t).syn_data);
    assert_int_equal(tcp_info(t).segments_retransmitted, 0);
    assert_int_equal(tcp_info(t).fast_open_failure, UTCP_FAST_OPEN_FINE);
    assert_int_equal(tcp_stats(t).fast_opens_out, 1);
    silent_for(t, 10 * SECOND);
    tcp_free(t);
}

TCP_TEST(all_acknowledged_is_told_with_the_handshake)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    pass(t, 30 * MS);
    peer(t, .flags = SYN | ACK, .ack = 101, .mss = 1460);
    expect(t, .flags = ACK, .seq = 101, .ack = 1);
    assert_int_equal(tcp_events(t), UTCP_CONNECTED | UTCP_SENT);
    assert_in_range(tcp_info(t).srtt_us, 30 * MS, 31 * MS);
    silent_for(t, 10 * SECOND);
    tcp_free(t);
}

TCP_TEST(what_the_syn_ack_leaves_is_sent_again_at_once)
{
    static const uint32_t taken[] = {0, 1, 99};

    for (unsigned i = 0; i < 3; i++) {
        struct tcp_test *t = client(COOKIE, 1460);

        send_syn(t, 100);
        peer(t, .flags = SYN | ACK, .ack = 1 + taken[i], .mss = 1460);
        expect(t, .flags = ACK, .seq = 1 + taken[i], .ack = 1, .length = 100 - taken[i]);
        peer(t, .flags = ACK, .seq = 1, .ack = 101);
        expect_nothing(t);
        assert_int_equal(tcp_info(t).syn_data, taken[i] > 0);
        assert_int_equal(tcp_info(t).segments_retransmitted, 1);
        assert_int_equal(tcp_info(t).fast_open_failure,
                         taken[i] ? UTCP_FAST_OPEN_FINE : UTCP_FAST_OPEN_DATA_NOT_ACKED);
        tcp_free(t);
    }
}

TCP_TEST(a_syn_ack_of_more_than_was_sent_is_refused)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    peer(t, .flags = SYN | ACK, .ack = 102, .mss = 1460);
    expect(t, .flags = RST, .seq = 102);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(a_syn_that_is_sent_again_has_neither_data_nor_the_option)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    expect_after(t, SECOND, .flags = SYN);
    assert_int_equal(t->last.fast_open, 0);
    expect_after(t, 2 * SECOND, .flags = SYN);
    assert_int_equal(t->last.fast_open, 0);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(tcp_info(t).fast_open_failure, UTCP_FAST_OPEN_SYN_LOST);
    tcp_free(t);
}

TCP_TEST(the_first_syn_may_have_arrived_after_all)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    expect_after(t, SECOND, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 101, .mss = 1460);
    expect(t, .flags = ACK, .seq = 101, .ack = 1);
    assert_true(tcp_info(t).syn_data);
    tcp_free(t);
}

TCP_TEST(an_answer_that_comes_with_the_syn_ack_is_read)
{
    struct tcp_test *t = client(COOKIE, 1460);
    char byte;

    send_syn(t, 100);
    peer(t, .flags = SYN | ACK | FIN, .ack = 101, .mss = 1460, .length = 300);
    expect(t, .flags = ACK, .seq = 101, .ack = 302);
    expect_state(t, UTCP_CLOSE_WAIT);
    assert_int_equal(tcp_read(t, 0), 300);
    assert_int_equal(utcp_read(t->conn, t->now, &byte, 1), 0);
    tcp_free(t);
}

TCP_TEST(a_path_that_lost_it_twice_is_left_alone_for_a_growing_time)
{
    struct tcp_test *t = client(COOKIE, 1460);
    uint64_t minutes = 4;

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned attempt = 0; attempt < (i ? 1 : 2); attempt++) {
            send_syn(t, 100);
            expect_after(t, SECOND, .flags = SYN);
            peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
            expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
            next_connection(t);
        }
        for (unsigned look = 0; look < 2; look++) {
            pass(t, look ? (minutes * 60 - 2) * SECOND : 0);
            fast_connect(t);
            assert_int_equal(utcp_syn_room(t->conn), 0);
            tcp_write(t, 0, 100);
            expect(t, .flags = SYN);
            assert_int_equal(t->last.fast_open, 0);
            next_connection(t);
        }
        t->them.port++; /* another service behind that address is tried still */
        send_syn(t, 100);
        next_connection(t);
        t->them.port--;
        pass(t, 3 * SECOND);
        minutes *= 2;
    }
    send_syn(t, 100); /* and when it gets through, all is as before */
    peer(t, .flags = SYN | ACK, .ack = 101, .mss = 1460);
    next_connection(t);
    send_syn(t, 100);
    expect_after(t, SECOND, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    next_connection(t);
    send_syn(t, 100);
    tcp_free(t);
}

TCP_TEST(refusals_and_silence_count_as_well)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    peer(t, .flags = RST | ACK, .ack = 1);
    assert_int_equal(utcp_error(t->conn), -ECONNREFUSED);
    next_connection(t);
    send_syn(t, 100);
    for (unsigned i = 0; i < 6; i++)
        expect_after(t, SECOND << i, .flags = SYN);
    expect_after(t, MINUTE, .flags = SYN);
    pass(t, 70 * SECOND);
    assert_int_equal(utcp_error(t->conn), -ETIMEDOUT);
    next_connection(t);
    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(so_does_silence_after_the_handshake)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    peer(t, .flags = SYN | ACK, .ack = 101, .mss = 1460);
    expect(t, .flags = ACK, .seq = 101, .ack = 1);
    tcp_write(t, 100, 100);
    expect(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    pass(t, 20 * SECOND);
    next_connection(t);
    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(a_segment_is_as_long_as_the_server_and_the_path_allow_without_options)
{
    struct tcp_test *t = client(COOKIE, 940);

    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 900);
    utcp_set_option(t->conn, UTCP_OPTION_MAX_SEGMENT, 600);
    assert_int_equal(utcp_syn_room(t->conn), 560);
    tcp_write(t, 0, 1000);
    expect(t, .flags = SYN, .length = 560);
    peer(t, .flags = SYN | ACK, .ack = 561, .mss = 10000);
    expect(t, .flags = ACK, .seq = 561, .ack = 1, .length = 440);
    next_connection(t);
    fast_connect(t);
    assert_int_equal(utcp_syn_room(t->conn), 1420);
    tcp_free(t);
}

TCP_TEST(cookies_of_wrong_sizes_are_not_kept)
{
    static const uint8_t sizes[] = {1, 2, 3, 5, 15};
    struct tcp_test *t = client(COOKIE, 1460);

    for (unsigned i = 0; i < sizeof(sizes); i++) {
        send_syn(t, 10); /* with the cookie from the beginning */
        peer(t, .flags = SYN | ACK, .ack = 11, .mss = 1460, .fast_open = (uint8_t)(1 + sizes[i]));
        next_connection(t);
    }
    tcp_free(t);
    for (uint8_t size = 4; size <= 16; size += 2) {
        t = client(size, 1460);
        fast_connect(t);
        tcp_write(t, 0, 10);
        expect(t, .flags = SYN, .length = 10);
        assert_int_equal(t->last.fast_open, 1 + size);
        tcp_free(t);
    }
}

TCP_TEST(a_cookie_that_nobody_asked_for_is_not_kept)
{
    struct tcp_test *t = tcp_new(4, NULL);

    for (unsigned no_cookie = 0; no_cookie < 2; no_cookie++) {
        tcp_connect(t);
        if (no_cookie)
            assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_FAST_OPEN_NO_COOKIE, 1), 0);
        tcp_write(t, 0, 10);
        expect(t, .flags = SYN, .length = no_cookie * 10);
        assert_int_equal(t->last.fast_open, 0);
        peer(t, .flags = SYN | ACK, .ack = 1 + no_cookie * 10, .mss = 1460,
             .fast_open = 1 + COOKIE);
        next_connection(t);
        fast_connect(t);
        assert_int_equal(utcp_syn_room(t->conn), 0);
        next_connection(t);
    }
    tcp_free(t);
}

TCP_TEST(a_server_without_the_option_is_asked_once_by_its_old_number)
{
    struct tcp_test *t = tcp_new(4, NULL);

    for (unsigned i = 0; i < 4; i++) {
        fast_connect(t);
        expect(t, .flags = SYN);
        assert_int_equal(t->last.fast_open, 1);
        assert_int_equal(t->last.experimental, i == 1);
        peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
        next_connection(t);
    }
    t->them.port++; /* of the server, not of the service */
    fast_connect(t);
    expect(t, .flags = SYN);
    assert_false(t->last.experimental);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460, .fast_open = 1 + COOKIE,
         .experimental = true);
    next_connection(t);
    fast_connect(t);
    tcp_write(t, 0, 10);
    expect(t, .flags = SYN, .length = 10);
    assert_true(t->last.experimental);
    tcp_free(t);
}

TCP_TEST(the_cookies_that_were_not_used_for_longest_make_room)
{
    struct tcp_test *t = client(COOKIE, 1460);

    for (unsigned i = 0; i < 300; i++) {
        t->them.address[3] = (uint8_t)(10 + i % 200);
        t->them.address[2] = (uint8_t)(i / 200);
        fast_connect(t);
        expect(t, .flags = SYN);
        peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460, .fast_open = 1 + COOKIE);
        next_connection(t);
    }
    for (int i = 299; i >= 0; i -= 299) {
        t->them.address[3] = (uint8_t)(10 + i % 200);
        t->them.address[2] = (uint8_t)(i / 200);
        fast_connect(t);
        assert_int_equal(utcp_syn_room(t->conn), i ? 1420 : 0);
        next_connection(t);
    }
    tcp_free(t);
}

TCP_TEST(both_may_open_fast_at_once_and_take_their_data_later)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    peer(t, .flags = SYN, .mss = 1460, .length = 50, .fast_open = 1 + COOKIE);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.fast_open, 0);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_state(t, UTCP_ESTABLISHED);
    peer(t, .flags = ACK, .seq = 1, .ack = 101, .length = 50);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 101, .ack = 51);
    tcp_free(t);
}

TCP_TEST(in_a_simultaneous_open_data_may_be_acknowledged_as_well)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = SYN | ACK, .ack = 101, .mss = 1460);
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(utcp_unacknowledged(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(a_syn_too_long_for_the_path_is_sent_again_without_its_data_at_once)
{
    struct tcp_test *t = client(COOKIE, 1460);

    fast_connect(t);
    tcp_write(t, 0, 1420);
    expect(t, .flags = SYN, .length = 1420);
    tcp_unreachable(t, ICMP_FRAGMENTATION_NEEDED, 1000);
    expect(t, .flags = SYN);
    assert_int_equal(t->last.fast_open, 0);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 960);
    expect(t, .flags = ACK, .seq = 961, .ack = 1, .length = 460);
    tcp_free(t);
}

TCP_TEST(it_can_be_asked_for_only_before_the_syn)
{
    struct tcp_test *t = client(COOKIE, 1460);

    send_syn(t, 100);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_FAST_OPEN, 1), -EINVAL);
    next_connection(t);
    fast_connect(t);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_FAST_OPEN, 0), 0);
    tcp_write(t, 0, 100);
    expect(t, .flags = SYN);
    assert_int_equal(t->last.fast_open, 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cookie_lets_data_go_with_the_syn),
        cmocka_unit_test(all_acknowledged_is_told_with_the_handshake),
        cmocka_unit_test(what_the_syn_ack_leaves_is_sent_again_at_once),
        cmocka_unit_test(a_syn_ack_of_more_than_was_sent_is_refused),
        cmocka_unit_test(a_syn_that_is_sent_again_has_neither_data_nor_the_option),
        cmocka_unit_test(the_first_syn_may_have_arrived_after_all),
        cmocka_unit_test(an_answer_that_comes_with_the_syn_ack_is_read),
        cmocka_unit_test(a_path_that_lost_it_twice_is_left_alone_for_a_growing_time),
        cmocka_unit_test(refusals_and_silence_count_as_well),
        cmocka_unit_test(so_does_silence_after_the_handshake),
        cmocka_unit_test(a_segment_is_as_long_as_the_server_and_the_path_allow_without_options),
        cmocka_unit_test(cookies_of_wrong_sizes_are_not_kept),
        cmocka_unit_test(a_cookie_that_nobody_asked_for_is_not_kept),
        cmocka_unit_test(a_server_without_the_option_is_asked_once_by_its_old_number),
        cmocka_unit_test(the_cookies_that_were_not_used_for_longest_make_room),
        cmocka_unit_test(both_may_open_fast_at_once_and_take_their_data_later),
        cmocka_unit_test(in_a_simultaneous_open_data_may_be_acknowledged_as_well),
        cmocka_unit_test(a_syn_too_long_for_the_path_is_sent_again_without_its_data_at_once),
        cmocka_unit_test(it_can_be_asked_for_only_before_the_syn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
