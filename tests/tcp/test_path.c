/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known of a path's MTU is known to all connections over it. */
#include "simulator.h"
#include "tcp_test.h"

#define PORT 50000 /* the peer's, of the second connection */

/* One of several connections of a stack: what tcp_test.h keeps of the one that it is about. */
struct side {
    struct utcp_conn *conn;
    struct utcp_endpoint them;
    uint32_t iss;
};

static struct side side_of(const struct tcp_test *t)
{
    return (struct side){t->conn, t->them, t->iss};
}

static void about(struct tcp_test *t, struct side side)
{
    t->conn = side.conn;
    t->them = side.them;
    t->iss = side.iss;
    t->out_first = t->out_count = 0;
}

static uint32_t headers(const struct tcp_test *t)
{
    return t->family == 4 ? 40 : 60;
}

/* The next connection, by the listener, from another port. */
static void another(struct tcp_test *t, uint16_t port)
{
    t->them.port = port;
    t->conn = NULL;
    t->iss_known = false;
    tcp_handshake(t, (struct seg){.mss = (uint16_t)(1500 - headers(t))});
}

static struct tcp_test *with_listener(uint8_t family)
{
    struct tcp_test *t = tcp_new(family, NULL);

    t->many = true;
    tcp_listen(t, 100);
    another(t, 40000);
    return t;
}

/* A full segment goes out, and ICMP about it comes back. */
static void learn(struct tcp_test *t, uint32_t mtu)
{
    tcp_write(t, 0, tcp_info(t).mss);
    expect(t, .flags = ACK | PSH, .seq = 1, .ack = 1, .length = tcp_info(t).mss);
    tcp_too_big(t, mtu);
}

/* The same, and the rest arrives. */
static void learn_and_go_on(struct tcp_test *t, uint32_t mtu)
{
    uint32_t size = tcp_info(t).mss;

    learn(t, mtu);
    pass(t, 0);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + size);
}

static void reset(struct tcp_test *t)
{
    utcp_abort(t->conn, t->now);
    pass(t, 0);
    t->out_first = t->out_count = 0;
    t->conn = NULL;
}

/* ── Those that come after it ──────────────────────────────────────────────────────────────── */

TCP_TEST(rfc1191_5_2_the_next_connection_begins_with_what_icmp_told_the_one_before)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = with_listener(family);
        uint32_t less = 1400 - headers(t);

        learn(t, 1400);
        reset(t);
        another(t, PORT);
        assert_int_equal(t->last.mss,
                         1500 - headers(t)); /* our link's: it is about the way to us */
        assert_int_equal(tcp_info(t).path_mtu, 1400);
        assert_int_equal(tcp_stats(t).mtu_remembered, 1);
        tcp_write(t, 0, 2 * less);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = less);
        expect(t, .flags = ACK | PSH, .seq = 1 + less, .ack = 1, .length = less);
        tcp_free(t);
    }
}

TCP_TEST(so_does_one_that_we_open)
{
    struct tcp_test *t = with_listener(4);

    learn(t, 1400);
    reset(t);
    t->them.port = PORT;
    t->iss_known = false;
    tcp_connect(t);
    expect(t, .flags = SYN, .mss = 1460);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(tcp_info(t).mss, 1360);
    tcp_free(t);
}

TCP_TEST(another_path_is_another_matter)
{
    struct tcp_test *t = with_listener(4);

    learn(t, 1400);
    reset(t);
    t->them.address[3]++;
    another(t, PORT);
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    assert_int_equal(tcp_stats(t).mtu_remembered, 0);
    tcp_free(t);
}

TCP_TEST(rfc1191_6_3_it_is_forgotten_after_ten_minutes)
{
    struct tcp_test *t = with_listener(4);

    learn(t, 1400);
    reset(t);
    pass(t, 10 * MINUTE - SECOND);
    another(t, PORT);
    assert_int_equal(tcp_info(t).path_mtu, 1400);
    reset(t);
    pass(t, SECOND);
    another(t, PORT + 1);
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    tcp_free(t);
}

TCP_TEST(the_same_again_holds_ten_minutes_more)
{
    struct tcp_test *t = with_listener(4);

    learn(t, 1400);
    reset(t);
    pass(t, 6 * MINUTE);
    t->them.port = PORT;
    another(t, PORT);
    learn(t, 1300);
    reset(t);
    pass(t, 6 * MINUTE);
    another(t, PORT + 1);
    assert_int_equal(tcp_info(t).path_mtu, 1300);
    tcp_free(t);
}

TCP_TEST(rfc8201_4_it_has_the_floor_of_every_path_mtu)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = with_listener(family);

        learn(t, 68);
        reset(t);
        another(t, PORT);
        assert_int_equal(tcp_info(t).path_mtu, family == 4 ? 576 : 1280);
        tcp_free(t);
    }
}

/* Nothing that a stranger can send has an effect, neither on a connection nor on those to come. */
TCP_TEST(rfc8201_6_forged_messages_are_not_remembered)
{
    struct tcp_test *t = with_listener(4);
    uint8_t *sequence = t->packet + IPV4_HEADER_MIN + 4;

    tcp_write(t, 0, 1460);
    expect(t, .flags = ACK | PSH, .seq = 1, .ack = 1, .length = 1460);
    sequence[3]--; /* acknowledged */
    tcp_too_big(t, 600);
    sequence[2] += 6; /* not sent yet */
    tcp_too_big(t, 600);
    sequence[0] += 0x80;
    tcp_too_big(t, 600);
    sequence[0] -= 0x80;
    sequence[2] -= 6;
    sequence[3]++;
    t->packet[IPV4_HEADER_MIN + 3]++; /* another port: no connection of ours */
    tcp_too_big(t, 600);
    t->packet[IPV4_HEADER_MIN + 3]--;
    peer(t, .flags = ACK, .seq = 1, .ack = 1461);
    tcp_too_big(t, 600); /* nothing is in flight any more */
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    reset(t);
    another(t, PORT);
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    assert_int_equal(tcp_stats(t).mtu_remembered, 0);
    tcp_free(t);
}

static void address(struct tcp_test *t, unsigned number)
{
    t->them.address[2] = (uint8_t)(number >> 8);
    t->them.address[3] = (uint8_t)number;
}

/* A peer with many addresses: the table stays as large as it is, and what is used stays longest. */
TCP_TEST(the_table_is_bounded_and_what_was_not_used_for_longest_goes_first)
{
    struct tcp_test *t = with_listener(4);
    unsigned known = 0, recent = 0;

    address(t, 1);
    another(t, PORT);
    learn(t, 1400);
    reset(t);
    for (unsigned i = 2; i < 3000; i++) {
        address(t, i);
        another(t, PORT);
        learn(t, 1400);
        reset(t);
        pass(t, MS);
        if (i % 50)
            continue;
        address(t, 1); /* somebody goes on using this one */
        another(t, PORT + 1);
        assert_int_equal(tcp_info(t).path_mtu, 1400);
        reset(t);
    }
    for (unsigned i = 2; i < 3000; i++) {
        address(t, i);
        another(t, PORT);
        known += tcp_info(t).path_mtu == 1400;
        recent += i >= 2900 && tcp_info(t).path_mtu == 1400;
        reset(t);
    }
    assert_in_range(known, 300, 511);
    assert_in_range(recent, 90, 100);
    tcp_free(t);
}

/* A full stack's handshake that keeps nothing (RFC 4987) ends in a connection like any other. */
TCP_TEST(a_connection_by_a_cookie_begins_with_it_as_well)
{
    struct tcp_test *t = with_listener(4);

    learn(t, 1400);
    reset(t);
    assert_int_equal(
        utcp_listener_set_option(t->listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS), 0);
    another(t, PORT);
    assert_int_equal(tcp_stats(t).syn_cookies_accepted, 1);
    assert_int_equal(tcp_info(t).path_mtu, 1400);
    tcp_free(t);
}

/* ── Those that there are ──────────────────────────────────────────────────────────────────── */

/* Two connections, both with two full segments in flight; ICMP tells the second one of 1400. */
static struct tcp_test *two(struct side *first, bool sack)
{
    struct tcp_test *t = tcp_new(4, NULL);

    t->many = true;
    t->peer_sack = sack;
    tcp_listen(t, 100);
    another(t, 40000);
    tcp_write(t, 0, 4 * 1460);
    pass(t, 0);
    assert_int_equal(t->out_count, 4);
    *first = side_of(t);
    t->out_first = t->out_count = 0;
    another(t, PORT);
    learn(t, 1400);
    about(t, *first);
    return t;
}

TCP_TEST(rfc8201_5_2_other_connections_send_smaller_segments_from_then_on)
{
    struct side first;
    struct tcp_test *t = two(&first, false);

    assert_int_equal(tcp_info(t).path_mtu, 1400);
    assert_int_equal(tcp_info(t).mss, 1360);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 4 * 1460);
    tcp_write(t, 4 * 1460, 2720);
    expect(t, .flags = ACK, .seq = 1 + 4 * 1460, .ack = 1, .length = 1360);
    expect(t, .flags = ACK | PSH, .seq = 1 + 4 * 1460 + 1360, .ack = 1, .length = 1360);
    tcp_free(t);
}

/* Section 5.4: what was in flight goes again when the router tells of it as well, which the connection
 * has in part known already; and once. */
TCP_TEST(rfc8201_5_4_their_own_icmp_sends_what_was_in_flight_again)
{
    struct side first;
    struct tcp_test *t;
    uint8_t copy[40];
    uint32_t cwnd;

    for (unsigned sack = 0; sack < 2; sack++) {
        t = tcp_new(4, NULL);
        t->many = true;
        t->peer_sack = sack;
        tcp_listen(t, 100);
        another(t, 40000);
        tcp_write(t, 0, 2920);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
        expect(t, .flags = ACK | PSH, .seq = 1461, .ack = 1, .length = 1460);
        memcpy(copy, t->packet, sizeof(copy));
        first = side_of(t);
        another(t, PORT);
        learn(t, 1400);
        about(t, first);
        cwnd = tcp_info(t).cwnd;
        expect_nothing(t);
        memcpy(t->packet, copy, sizeof(copy));
        tcp_too_big(t, 1400);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1360);
        expect(t, .flags = ACK, .seq = 1361, .ack = 1, .length = 1360);
        expect(t, .flags = ACK | PSH, .seq = 2721, .ack = 1, .length = 200);
        memcpy(t->packet, copy, sizeof(copy));
        tcp_too_big(t, 1400);
        expect_nothing(t);
        assert_int_equal(tcp_info(t).cwnd, cwnd);
        tcp_free(t);
    }
}

/* A router tells so much in a second and no more: without ICMP it is a timeout, and still no sign of
 * congestion; but the next one is. */
TCP_TEST(what_was_in_flight_and_too_large_may_time_out_once)
{
    for (unsigned sack = 0; sack < 2; sack++) {
        struct side first;
        struct tcp_test *t = two(&first, sack);
        uint32_t cwnd = tcp_info(t).cwnd;

        while (t->out_count == 0)
            pass(t, 10 * MS);
        if (sack && t->out_count == 1) { /* a tail loss probe came first */
            expect(t, .flags = ACK | PSH, .seq = 1 + 3 * 1460 + 100, .ack = 1, .length = 1360);
            while (t->out_count == 0)
                pass(t, 10 * MS);
        }
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1360);
        expect(t, .flags = ACK, .seq = 1361, .ack = 1, .length = 1360);
        t->out_first = t->out_count = 0;
        assert_int_equal(tcp_info(t).cwnd, cwnd);
        while (t->out_count == 0)
            pass(t, 10 * MS);
        assert_true(tcp_info(t).cwnd < cwnd);
        tcp_free(t);
    }
}

TCP_TEST(its_loss_is_no_congestion_where_others_report_it)
{
    struct side first;
    struct tcp_test *t = two(&first, true);
    uint32_t cwnd = tcp_info(t).cwnd;

    tcp_write(t, 4 * 1460, 4 * 1360);
    pass(t, 0);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .sacks = 1,
         .sack = {{1 + 4 * 1460, 1 + 4 * 1460 + 4 * 1360}});
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1360);
    assert_int_equal(tcp_info(t).fast_retransmits, 0);
    assert_true(tcp_info(t).cwnd >= cwnd);
    tcp_free(t);
}

/* Thousands of connections to one address: none is forgotten, and no packet looks at all of them. */
TCP_TEST(all_connections_over_the_path_are_told_a_few_every_millisecond)
{
    struct utcp_config config = {.connections_max = 10000};
    struct tcp_test *t = tcp_new(4, &config);
    static struct utcp_conn *conns[6000];
    unsigned told = 0;

    t->many = true;
    tcp_listen(t, 100);
    for (unsigned i = 0; i < 6000; i++) {
        another(t, (uint16_t)(1000 + i));
        conns[i] = t->conn;
        if (i == 3000)
            learn_and_go_on(t, 1400); /* the table grows while it is walked */
    }
    pass(t, SECOND);
    for (unsigned i = 0; i < 6000; i++) {
        t->conn = conns[i];
        assert_int_equal(tcp_info(t).path_mtu, 1400);
    }
    another(t, 20000);
    learn_and_go_on(t, 1300);
    for (unsigned i = 0; i < 100; i++) { /* a peer that has it come as often as it can */
        another(t, (uint16_t)(20001 + i));
        learn_and_go_on(t, 1299 - i);
    }
    for (unsigned i = 0; i < 6000; i++) {
        t->conn = conns[i];
        told += tcp_info(t).path_mtu < 1400;
    }
    assert_in_range(told, 10, 200); /* of 6000 */
    pass(t, SECOND);
    for (unsigned i = 0; i < 6000; i++) {
        t->conn = conns[i];
        assert_int_equal(tcp_info(t).path_mtu, 1200);
    }
    assert_true(utcp_deadline(t->stack) > t->now + SECOND / 2); /* and that is all */
    tcp_free(t);
}

/* ── Searches ──────────────────────────────────────────────────────────────────────────────── */

/* One that begins with what is remembered searches upward itself when the time is over. */
TCP_TEST(rfc1191_6_3_a_connection_that_was_told_probes_after_ten_minutes)
{
    struct side first;
    struct tcp_test *t = two(&first, true);
    uint32_t sent = 4 * 1460, taken = sent, largest = 0;

    peer(t, .flags = ACK, .seq = 1, .ack = 1 + taken);
    pass(t, 10 * MINUTE - SECOND);
    for (unsigned round = 0; round < 40 && tcp_info(t).path_mtu < 1500; round++) {
        if (round < 8)
            assert_int_equal(tcp_info(t).path_mtu, 1400);
        tcp_write(t, sent, 20 * 1360);
        sent += 20 * 1360;
        pass(t, 100 * MS);
        while (t->out_count) {
            struct seg *seg = &t->out[t->out_first];

            if (seg->length > largest)
                largest = seg->length;
            taken = seg->seq + seg->length - 1;
            t->out_first++;
            t->out_count--;
            peer(t, .flags = ACK, .seq = 1, .ack = 1 + taken);
        }
        t->out_first = 0;
    }
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    assert_int_equal(largest, 1460);
    assert_int_equal(tcp_stats(t).mtu_probes, 1);
    tcp_free(t);
}

/* Full segments have vanished: a connection that begins then sends smaller ones, and looks at once whether
 * larger ones pass, for it may have been an outage. After a minute it is forgotten. */
TCP_TEST(rfc4821_5_2_a_black_hole_is_remembered_for_a_minute)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = with_listener(family);
        uint32_t base = family == 4 ? 1024 : 1280, taken = 0;

        tcp_write(t, 0, 10000);
        while (tcp_stats(t).mtu_black_holes == 0)
            pass(t, 10 * MS);
        reset(t);
        pass(t, 50 * SECOND);
        another(t, PORT);
        assert_int_equal(tcp_info(t).path_mtu, base);
        tcp_write(t, 0, 60000);
        for (unsigned round = 0; round < 5; round++) {
            pass(t, 100 * MS);
            while (t->out_count) {
                struct seg *seg = &t->out[t->out_first++];

                t->out_count--;
                taken = seg->seq + seg->length - 1;
                peer(t, .flags = ACK, .seq = 1, .ack = 1 + taken);
            }
            t->out_first = 0;
        }
        assert_int_equal(tcp_info(t).path_mtu, 1500);
        reset(t);
        another(t, PORT + 1); /* it was none */
        assert_int_equal(tcp_info(t).path_mtu, 1500);
        tcp_free(t);
    }
}

TCP_TEST(a_black_hole_that_nothing_confirms_is_forgotten_after_a_minute)
{
    struct tcp_test *t = with_listener(4);

    tcp_write(t, 0, 10000);
    while (tcp_stats(t).mtu_black_holes == 0)
        pass(t, 10 * MS);
    reset(t);
    pass(t, MINUTE);
    another(t, PORT);
    assert_int_equal(tcp_info(t).path_mtu, 1500);
    tcp_free(t);
}

/* What a search has found out holds for ten minutes. */
TCP_TEST(rfc4821_7_7_what_a_search_found_is_remembered)
{
    struct sim_config config = {
        .seed = 1,
        .family = 4,
        .link = {{.delay_us = 10000, .rate = 2000, .queue_us = 20000, .hole = 1400},
                 {.delay_us = 10000}},
        .app = {{.to_send = 10 << 20}, {.to_receive = 10 << 20}}};
    struct sim *sim = sim_new(&config);
    struct utcp_info info = {.size = sizeof(info)};
    struct utcp_endpoint local = {.family = 4, .port = 4001, .address = {192, 0, 2, 1}};
    struct utcp_endpoint remote = {.family = 4, .port = 80, .address = {192, 0, 2, 2}};
    struct utcp_conn *conn;

    assert_true(sim_run(sim, MINUTE));
    assert_int_equal(utcp_connect(sim_stack(sim, 0), sim_now(sim), &local, &remote, NULL, &conn),
                     0);
    utcp_info(conn, &info);
    assert_in_range(info.path_mtu, 1392, 1400);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc1191_5_2_the_next_connection_begins_with_what_icmp_told_the_one_before),
        cmocka_unit_test(so_does_one_that_we_open),
        cmocka_unit_test(another_path_is_another_matter),
        cmocka_unit_test(rfc1191_6_3_it_is_forgotten_after_ten_minutes),
        cmocka_unit_test(the_same_again_holds_ten_minutes_more),
        cmocka_unit_test(rfc8201_4_it_has_the_floor_of_every_path_mtu),
        cmocka_unit_test(rfc8201_6_forged_messages_are_not_remembered),
        cmocka_unit_test(the_table_is_bounded_and_what_was_not_used_for_longest_goes_first),
        cmocka_unit_test(a_connection_by_a_cookie_begins_with_it_as_well),
        cmocka_unit_test(rfc8201_5_2_other_connections_send_smaller_segments_from_then_on),
        cmocka_unit_test(rfc8201_5_4_their_own_icmp_sends_what_was_in_flight_again),
        cmocka_unit_test(what_was_in_flight_and_too_large_may_time_out_once),
        cmocka_unit_test(its_loss_is_no_congestion_where_others_report_it),
        cmocka_unit_test(all_connections_over_the_path_are_told_a_few_every_millisecond),
        cmocka_unit_test(rfc1191_6_3_a_connection_that_was_told_probes_after_ten_minutes),
        cmocka_unit_test(rfc4821_5_2_a_black_hole_is_remembered_for_a_minute),
        cmocka_unit_test(a_black_hole_that_nothing_confirms_is_forgotten_after_a_minute),
        cmocka_unit_test(rfc4821_7_7_what_a_search_found_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
