/* SPDX-License-Identifier: BSD-2-Clause */
/* Records (MSG_EOR): no segment goes across the end of one. */
#include "tcp_test.h"

#define MSS 1460

static void expect_data(struct tcp_test *t, uint32_t seq, uint32_t length, bool push)
{
    expect(t, .flags = ACK, .seq = seq, .ack = 1, .length = length);
    assert_int_equal((t->last.flags & PSH) != 0, push);
}

static void record(struct tcp_test *t, uint32_t offset, uint32_t size)
{
    assert_int_equal(tcp_write_record(t, offset, size), size);
}

static struct tcp_test *cutting(void)
{
    struct tcp_test *t = tcp_new(4, &(struct utcp_config){.offloads = UTCP_OFFLOAD_SEGMENT});

    tcp_listen(t, 1);
    tcp_peer(t, (struct seg){.flags = SYN, .mss = MSS, .sack_permitted = true});
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    return t;
}

/* The first record has joined what was written before it; nothing joins a record that has ended. */
TCP_TEST(what_follows_a_record_is_not_in_its_segment)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    record(t, 100, 200);
    tcp_write(t, 300, 400);
    expect_data(t, 1, 300, true);
    expect_nothing(t); /* the last is less than a segment, and waits (Nagle) */
    peer(t, .flags = ACK, .seq = 1, .ack = 301);
    expect_data(t, 301, 400, true);
    tcp_free(t);
}

/* Small as they are: none of them can become more, so it makes no sense to wait. */
TCP_TEST(records_that_something_follows_leave_at_once)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 0; i < 5; i++)
        record(t, 400 * i, 400);
    for (uint32_t i = 0; i < 4; i++)
        expect_data(t, 1 + 400 * i, 400, true);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 4 * 400);
    expect_data(t, 1 + 4 * 400, 400, true);
    tcp_free(t);
}

TCP_TEST(a_record_of_several_segments_ends_in_one_of_its_own)
{
    struct tcp_test *t = tcp_established(4);

    record(t, 0, 2 * MSS + 100);
    tcp_write(t, 2 * MSS + 100, 2 * MSS);
    expect_data(t, 1, MSS, false);
    expect_data(t, 1 + MSS, MSS, false);
    expect_data(t, 1 + 2 * MSS, 100, true);
    expect_data(t, 101 + 2 * MSS, MSS, false);
    expect_data(t, 101 + 3 * MSS, MSS, true);
    tcp_free(t);
}

TCP_TEST(a_large_send_ends_with_the_record)
{
    struct tcp_test *t = cutting();

    record(t, 0, 3 * MSS + 100);
    tcp_write(t, 3 * MSS + 100, 5 * MSS);
    expect_data(t, 1, 3 * MSS + 100, true);
    expect_data(t, 101 + 3 * MSS, 5 * MSS, true);
    tcp_free(t);
}

TCP_TEST(the_last_segment_of_the_last_record_has_the_fin)
{
    struct tcp_test *t = tcp_established(4);

    record(t, 0, 100);
    record(t, 100, 100);
    utcp_shutdown(t->conn, t->now);
    expect_data(t, 1, 100, true);
    expect(t, .flags = ACK | FIN, .seq = 101, .ack = 1, .length = 100);
    tcp_free(t);
}

static void three_records_are_lost(struct tcp_test *t)
{
    for (uint32_t i = 0; i < 4; i++)
        record(t, 100 * i, 100);
    tcp_write(t, 400, MSS);
    for (uint32_t i = 0; i < 4; i++)
        expect_data(t, 1 + 100 * i, 100, true);
    expect_data(t, 401, MSS, true);
}

TCP_TEST(what_is_sent_again_keeps_to_records_without_sack)
{
    struct tcp_test *t = tcp_established(4);

    three_records_are_lost(t);
    pass(t, 2 * SECOND);
    expect_data(t, 1, 100, true);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    expect_data(t, 101, 100, true);
    expect_data(t, 201, 100, true);
    tcp_free(t);
}

TCP_TEST(what_is_sent_again_keeps_to_records_with_sack)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    three_records_are_lost(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .sacks = 1, .sack = {{301, 401 + MSS}});
    pass(t, MS); /* the reordering window */
    for (uint32_t i = 0; i < 3; i++)
        expect_data(t, 1 + 100 * i, 100, true);
    tcp_free(t);
}

TCP_TEST(records_written_before_the_handshake_are_kept_apart)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    record(t, 0, 100);
    record(t, 100, 100);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = MSS);
    expect_data(t, 1, 100, true);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    expect_data(t, 101, 100, true);
    tcp_free(t);
}

TCP_TEST(records_are_limited_in_number)
{
    const uint32_t most = 4096;
    struct tcp_test *t = tcp_established(4);
    uint8_t byte = 0;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    tcp_events(t);
    for (uint32_t i = 0; i < most; i++)
        record(t, i, 1);
    assert_int_equal(utcp_write_record(t->conn, t->now, &byte, 1), -EAGAIN);
    assert_int_equal(tcp_events(t) & UTCP_WRITABLE, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 100);
    pass(t, 0);
    assert_int_equal(t->out_count, 100);
    while (t->out_count)
        expect(t, .flags = ACK, .seq = t->out[t->out_first].seq, .ack = 1, .length = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 3);
    assert_int_equal(tcp_events(t) & UTCP_WRITABLE, UTCP_WRITABLE);
    record(t, most, 1);
    record(t, most + 1, 1);
    assert_int_equal(utcp_write_record(t->conn, t->now, &byte, 1), -EAGAIN);
    utcp_abort(t->conn, t->now);
    t->conn = NULL;
    assert_int_equal(tcp_stats(t).memory_used, 0);
    tcp_free(t);
}

/* Half of it was taken: the rest, with the end, is written later. */
TCP_TEST(a_record_that_was_cut_short_has_no_end_yet)
{
    struct tcp_test *t = tcp_established(4);
    const uint32_t size = 100000;
    ptrdiff_t taken;

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_SEND_BUFFER, 1000), 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    taken = tcp_write_record(t, 0, size);
    assert_in_range(taken, 1, size - 1);
    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_SEND_BUFFER, 0), 0);
    tcp_write(t, (uint32_t)taken, 4 * MSS - (uint32_t)taken % MSS);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    pass(t, 0);
    assert_true(t->out_count > 0);
    for (uint32_t seq = 1; t->out_count; seq += MSS) /* nothing ends where it was cut */
        expect(t, .flags = ACK, .seq = seq, .ack = 1, .length = MSS);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_a_record_is_not_in_its_segment),
        cmocka_unit_test(records_that_something_follows_leave_at_once),
        cmocka_unit_test(a_record_of_several_segments_ends_in_one_of_its_own),
        cmocka_unit_test(a_large_send_ends_with_the_record),
        cmocka_unit_test(the_last_segment_of_the_last_record_has_the_fin),
        cmocka_unit_test(what_is_sent_again_keeps_to_records_without_sack),
        cmocka_unit_test(what_is_sent_again_keeps_to_records_with_sack),
        cmocka_unit_test(records_written_before_the_handshake_are_kept_apart),
        cmocka_unit_test(records_are_limited_in_number),
        cmocka_unit_test(a_record_that_was_cut_short_has_no_end_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
