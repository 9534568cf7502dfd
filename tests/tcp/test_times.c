/* SPDX-License-Identifier: BSD-2-Clause */
/* When bytes left and arrived: utcp_mark_times(), utcp_arrived_at(). */
#include "tcp_test.h"

#define BOTH (UTCP_TIME_SENT | UTCP_TIME_ACKNOWLEDGED)

static int mark(struct tcp_test *t, unsigned kinds, uint32_t tag)
{
    return utcp_mark_times(t->conn, t->now, kinds, tag);
}

static void expect_time(struct tcp_test *t, enum utcp_time_kind kind, uint32_t tag, uint64_t at,
                        uint64_t end)
{
    struct utcp_time time = {0};

    assert_int_equal(utcp_take_times(t->conn, &time, 1), 1);
    assert_int_equal(time.kind, kind);
    assert_int_equal(time.tag, tag);
    assert_int_equal(time.at, at);
    assert_int_equal(time.end, end);
}

static void expect_no_time(struct tcp_test *t)
{
    struct utcp_time time;

    assert_int_equal(utcp_take_times(t->conn, &time, 1), 0);
}

TCP_TEST(the_time_of_a_byte_is_when_its_segment_left_and_was_acknowledged)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t sent;

    assert_int_equal(mark(t, BOTH, 1), -EINVAL); /* there is no byte */
    tcp_write(t, 0, 2000);
    assert_int_equal(mark(t, 0, 1), -EINVAL);
    assert_int_equal(mark(t, 4, 1), -EINVAL);
    assert_int_equal(mark(t, BOTH, 7), 0);
    expect_no_time(t);
    pass(t, 0);
    sent = t->now;
    assert_int_equal(tcp_events(t) & UTCP_TIMES, UTCP_TIMES);
    expect_time(t, UTCP_TIME_SENT, 7, sent, 2000);
    pass(t, 10 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1461);
    expect_no_time(t);
    pass(t, 10 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 2001);
    assert_int_equal(tcp_events(t) & UTCP_TIMES, UTCP_TIMES);
    expect_time(t, UTCP_TIME_ACKNOWLEDGED, 7, sent + 20 * MS, 2000);
    expect_no_time(t);
    tcp_free(t);
}

/* A segment that is lost has left when it left first. */
TCP_TEST(what_is_sent_again_has_the_time_of_the_first)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t sent;

    tcp_write(t, 0, 100);
    assert_int_equal(mark(t, UTCP_TIME_SENT, 1), 0);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    sent = t->now;
    pass(t, 2 * SECOND);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect_time(t, UTCP_TIME_SENT, 1, sent, 100);
    expect_no_time(t);
    tcp_free(t);
}

/* Only the acknowledgment was asked for of the first; both leave in one segment. */
TCP_TEST(times_come_in_their_order_and_only_those_asked_for)
{
    struct tcp_test *t = tcp_established(6);

    tcp_write(t, 0, 100);
    assert_int_equal(mark(t, UTCP_TIME_ACKNOWLEDGED, 1), 0);
    tcp_write(t, 100, 100);
    assert_int_equal(mark(t, BOTH, 2), 0);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 200);
    expect_time(t, UTCP_TIME_SENT, 2, t->now, 200);
    peer(t, .flags = ACK, .seq = 1, .ack = 201);
    expect_time(t, UTCP_TIME_ACKNOWLEDGED, 1, t->now, 100);
    expect_time(t, UTCP_TIME_ACKNOWLEDGED, 2, t->now, 200);
    expect_no_time(t);
    tcp_free(t);
}

TCP_TEST(a_mark_that_comes_late_is_told_at_once)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(mark(t, BOTH, 3), 0);
    expect_time(t, UTCP_TIME_SENT, 3, t->now, 100);
    utcp_shutdown(t->conn, t->now);
    expect(t, .flags = ACK | FIN, .seq = 101, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 102);
    expect_time(t, UTCP_TIME_ACKNOWLEDGED, 3, t->now, 100);
    tcp_free(t);
}

/* What there is no room for is refused when it is asked for, and nothing is lost of what was not. */
TCP_TEST(marks_and_what_they_tell_are_limited)
{
    struct tcp_test *t = tcp_established(4);
    unsigned marks = 0, told = 0;
    struct utcp_time time;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    do {
        tcp_write(t, marks, 1);
    } while (mark(t, BOTH, marks) == 0 && ++marks < 100000);
    assert_int_equal(marks, 256);
    assert_int_equal(mark(t, BOTH, marks), -ENOBUFS);
    for (uint32_t i = marks + 1, end = 1; i < 4000;
         i++) { /* they are told, and nobody takes them */
        peer(t, .flags = ACK, .seq = 1, .ack = end, .window = 4000);
        pass(t, 0);
        end = 1 + i;
        peer(t, .flags = ACK, .seq = 1, .ack = end);
        tcp_write(t, i, 1);
        marks += mark(t, BOTH, marks) == 0;
        t->out_first = t->out_count = 0;
    }
    pass(t, 0);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 4001);
    while (utcp_take_times(t->conn, &time, 1))
        told++;
    assert_in_range(marks, 257, 512);
    assert_int_equal(told, 2 * marks);
    utcp_abort(t->conn, t->now);
    t->conn = NULL;
    assert_int_equal(tcp_stats(t).memory_used, 0);
    tcp_free(t);
}

static void read_bytes(struct tcp_test *t, size_t size)
{
    uint8_t data[2000];

    assert_int_equal(utcp_read(t->conn, t->now, data, size), size);
}

TCP_TEST(what_is_read_has_the_time_when_it_came)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t first, second;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_ARRIVAL_TIMES, 1), 0);
    pass(t, 10 * MS);
    first = t->now;
    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 201, .ack = 1, .length = 100);
    pass(t, 10 * MS);
    second = t->now;
    peer(t, .flags = ACK, .seq = 301, .ack = 1, .length = 100);
    pass(t, 10 * MS);
    read_bytes(t, 100);
    assert_int_equal(utcp_arrived_at(t->conn), 0); /* nobody asked then */
    read_bytes(t, 1);
    assert_int_equal(utcp_arrived_at(t->conn), first);
    read_bytes(t, 199);
    assert_int_equal(utcp_arrived_at(t->conn), first);
    read_bytes(t, 1);
    assert_int_equal(utcp_arrived_at(t->conn), second);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_ARRIVAL_TIMES, 0), 0);
    assert_int_equal(utcp_arrived_at(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(what_waited_for_a_hole_came_when_the_hole_was_filled)
{
    struct tcp_test *t = tcp_established(4);

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_ARRIVAL_TIMES, 1), 0);
    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    pass(t, 10 * MS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    read_bytes(t, 200);
    assert_int_equal(utcp_arrived_at(t->conn), t->now);
    tcp_free(t);
}

/* So many that earlier ones have the time of later ones; never the other way round. */
TCP_TEST(arrivals_are_limited_in_number)
{
    struct tcp_test *t = tcp_established(4);
    uint64_t start = t->now, at = 0;

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_ARRIVAL_TIMES, 1), 0);
    for (uint32_t i = 0; i < 600; i++) {
        peer(t, .flags = ACK, .seq = 1 + i, .ack = 1, .length = 1);
        pass(t, MS);
        t->out_first = t->out_count = 0;
    }
    for (uint32_t i = 0; i < 600; i++) {
        read_bytes(t, 1);
        assert_in_range(utcp_arrived_at(t->conn), start + i * MS, start + 600 * MS);
        assert_true(utcp_arrived_at(t->conn) >= at);
        at = utcp_arrived_at(t->conn);
    }
    assert_int_equal(at, start + 599 * MS);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_of_a_byte_is_when_its_segment_left_and_was_acknowledged),
        cmocka_unit_test(what_is_sent_again_has_the_time_of_the_first),
        cmocka_unit_test(times_come_in_their_order_and_only_those_asked_for),
        cmocka_unit_test(a_mark_that_comes_late_is_told_at_once),
        cmocka_unit_test(marks_and_what_they_tell_are_limited),
        cmocka_unit_test(what_is_read_has_the_time_when_it_came),
        cmocka_unit_test(what_waited_for_a_hole_came_when_the_hole_was_filled),
        cmocka_unit_test(arrivals_are_limited_in_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
