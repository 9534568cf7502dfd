/* SPDX-License-Identifier: BSD-2-Clause */
/* Data in order: acknowledging, Nagle's algorithm, out-of-order reassembly, large segments. */
#include "checksum.h"
#include "tcp_test.h"
#include "utcp_internal.h"

TCP_TEST(a_single_segment_is_acknowledged_within_the_delay)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established(family);

        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 101);
        assert_int_equal(tcp_events(t), UTCP_READABLE);
        assert_int_equal(tcp_read(t, 0), 100);
        expect_nothing(t);
        tcp_free(t);
    }
}

TCP_TEST(every_second_full_segment_is_acknowledged_at_once)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 2921);
    expect_nothing(t);
    silent_for(t, SECOND);
    tcp_free(t);
}

TCP_TEST(a_batch_of_segments_is_acknowledged_once)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 0; i < 10; i++)
        peer(t, .flags = ACK, .seq = 1 + 1460 * i, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 14601);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_peer_with_small_segments_is_acknowledged_every_second_too)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    peer(t, .flags = ACK, .seq = 1001, .ack = 1, .length = 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 2001);
    tcp_free(t);
}

TCP_TEST(a_merged_segment_is_taken_whole_and_acknowledged_at_once)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 14600);
    expect(t, .flags = ACK, .seq = 1, .ack = 14601);
    assert_int_equal(tcp_read(t, 0), 14600);
    tcp_free(t);
}

TCP_TEST(an_acknowledgment_rides_on_data)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 101, .length = 10);
    peer(t, .flags = ACK, .seq = 101, .ack = 11);
    silent_for(t, SECOND);
    tcp_free(t);
}

TCP_TEST(a_segment_out_of_order_gets_a_duplicate_ack_each)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 1; i < 4; i++)
        peer(t, .flags = ACK, .seq = 1 + 1000 * i, .ack = 1, .length = 1000);
    for (int i = 0; i < 3; i++)
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .window = 65535);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).out_of_order_bytes, 3000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 4001);
    assert_int_equal(tcp_read(t, 0), 4000);
    tcp_free(t);
}

TCP_TEST(what_fills_part_of_a_hole_is_acknowledged_at_once)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1001, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 101);
    tcp_free(t);
}

/* Quickly for a while, once for each batch, and then within the delay again. */
TCP_TEST(while_segments_are_lost_none_is_acknowledged_late)
{
    struct tcp_test *t = tcp_established(4);
    uint32_t next = 1;

    peer(t, .flags = ACK, .seq = next + 100, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = next);
    peer(t, .flags = ACK, .seq = next, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = next += 200);
    for (int i = 0; i < 16; i++, next += 200) {
        for (int half = 0; half < 2; half++)
            peer(t, .flags = ACK, .seq = next + 100 * half, .ack = 1, .length = 100);
        expect(t, .flags = ACK, .seq = 1, .ack = next + 200);
        expect_nothing(t);
    }
    peer(t, .flags = ACK, .seq = next, .ack = 1, .length = 100);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = next + 100);
    tcp_free(t);
}

TCP_TEST(old_data_are_acknowledged_again_and_not_taken_twice)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(tcp_read(t, 0), 100);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 101);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(utcp_readable(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(a_segment_that_begins_with_old_data_brings_its_new_ones)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 51, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 151);
    assert_int_equal(tcp_read(t, 0), 150);
    tcp_free(t);
}

TCP_TEST(the_first_copy_of_a_byte_wins)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 51, .ack = 1, .length = 200, .fill = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 150);
    expect(t, .flags = ACK, .seq = 1, .ack = 251);
    expect_nothing(t); /* duplicates that came before it are superseded */
    {
        uint8_t data[250];

        assert_int_equal(utcp_read(t->conn, t->now, data, sizeof(data)), 250);
        assert_int_equal(data[60], (uint8_t)((61 * 31) + 1));   /* from the second */
        assert_int_equal(data[110], (uint8_t)(111 * 31));       /* from the first */
        assert_int_equal(data[220], (uint8_t)((221 * 31) + 1)); /* from the second again */
        assert_int_equal(data[20], (uint8_t)(21 * 31));
    }
    tcp_free(t);
}

/* What lies over several ranges, and ends in one or where one begins, brings all of them. */
TCP_TEST(a_segment_over_several_holes_brings_what_lies_behind_them)
{
    static const uint32_t lengths[] = {250, 300, 350, 399, 400, 401, 450, 500, 600, 601, 650, 700};
    static const uint32_t ends[] = {300, 300, 350, 399, 500, 500, 500, 500, 700, 700, 700, 700};

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct tcp_test *t = tcp_established(4);

        for (uint32_t start = 200; start < 800; start += 200) { /* 200 to 300, 400 to 500, 600 … */
            peer(t, .flags = ACK, .seq = 1 + start, .ack = 1, .length = 100);
            expect(t, .flags = ACK, .seq = 1, .ack = 1);
        }
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = lengths[i]);
        expect(t, .flags = ACK, .seq = 1, .ack = 1 + ends[i]);
        assert_int_equal(tcp_read(t, 0), ends[i]);
        tcp_free(t);
    }
}

TCP_TEST(holes_are_bounded_and_the_farthest_is_given_up)
{
    struct tcp_test *t = tcp_established(4);

    for (uint32_t i = 0; i < 300; i++)
        peer(t, .flags = ACK, .seq = 3 + 4 * i, .ack = 1, .length = 1);
    assert_int_equal(tcp_info(t).out_of_order_bytes, 256);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1200);
    assert_int_equal(tcp_read(t, 0), 1200);
    tcp_free(t);
}

TCP_TEST(what_is_beyond_the_window_is_cut_off)
{
    struct utcp_config config = {.receive_buffer_max = 4000};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){0});
    assert_int_equal(tcp_info(t).receive_window, 4000);
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 1, .length = 5000);
    expect(t, .flags = ACK, .seq = 1, .ack = 4001, .window = NO_WINDOW);
    assert_int_equal(tcp_read(t, 0), 4000);
    expect_state(t, UTCP_ESTABLISHED);
    tcp_free(t);
}

TCP_TEST(what_is_wholly_outside_of_the_window_is_answered)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 100000, .ack = 1, .length = 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(tcp_stats(t).dropped_unacceptable, 1);
    tcp_free(t);
}

TCP_TEST(writing_sends_full_segments_and_the_rest)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 3000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 2921, .ack = 1, .length = 80);
    assert_true(t->last.flags & PSH);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(nagle_holds_a_second_small_segment_back)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    tcp_write(t, 10, 10);
    tcp_write(t, 20, 10);
    expect_nothing(t);
    peer(t, .flags = ACK, .seq = 1, .ack = 11);
    expect(t, .flags = ACK, .seq = 11, .ack = 1, .length = 20);
    tcp_free(t);
}

TCP_TEST(nagle_lets_full_segments_go)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    tcp_write(t, 10, 1500);
    expect(t, .flags = ACK, .seq = 11, .ack = 1, .length = 1460);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(without_delay_every_write_leaves)
{
    struct tcp_test *t = tcp_established(4);

    assert_int_equal(utcp_set_option(t->conn, UTCP_OPTION_NODELAY, 1), 0);
    for (uint32_t i = 0; i < 5; i++) {
        tcp_write(t, 10 * i, 10);
        expect(t, .flags = ACK, .seq = 1 + 10 * i, .ack = 1, .length = 10);
    }
    tcp_free(t);
}

TCP_TEST(corked_only_full_segments_leave)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_CORK, 1);
    tcp_write(t, 0, 10);
    expect_nothing(t);
    tcp_write(t, 10, 1460);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect_nothing(t);
    utcp_set_option(t->conn, UTCP_OPTION_CORK, 0);
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 10);
    tcp_free(t);
}

TCP_TEST(corked_data_leave_with_the_fin)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_option(t->conn, UTCP_OPTION_CORK, 1);
    tcp_write(t, 0, 10);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1, .length = 10);
    tcp_free(t);
}

TCP_TEST(the_peer_s_mss_is_kept_to)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 600});
    tcp_write(t, 0, 700);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 600);
    expect(t, .flags = ACK, .seq = 601, .ack = 1, .length = 100);
    tcp_free(t);
}

TCP_TEST(without_an_mss_option_the_default_holds)
{
    static const uint32_t mss[] = {536, 1220};

    for (uint8_t i = 0; i < 2; i++) {
        struct tcp_test *t = tcp_new((uint8_t)(4 + 2 * i), NULL);

        tcp_listen(t, 1);
        tcp_handshake(t, (struct seg){0});
        assert_int_equal(tcp_info(t).mss, mss[i]);
        tcp_free(t);
    }
}

TCP_TEST(a_sent_event_follows_the_last_acknowledgment)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    peer(t, .flags = ACK, .seq = 1, .ack = 51);
    assert_int_equal(tcp_events(t), 0);
    assert_int_equal(utcp_unacknowledged(t->conn), 50);
    peer(t, .flags = ACK, .seq = 1, .ack = 101);
    assert_int_equal(tcp_events(t), UTCP_SENT);
    assert_int_equal(utcp_unacknowledged(t->conn), 0);
    tcp_free(t);
}

static void count_release(void *owner)
{
    ++*(int *)owner;
}

TCP_TEST(a_reference_is_released_when_all_of_it_is_acknowledged)
{
    struct tcp_test *t = tcp_established(4);
    uint8_t data[2000];
    int released = 0;

    for (uint32_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)((1 + i) * 31 + ((1 + i) >> 8));
    assert_int_equal(utcp_write_ref(t->conn, t->now, data, sizeof(data), count_release, &released),
                     0);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 540);
    peer(t, .flags = ACK, .seq = 1, .ack = 2000);
    assert_int_equal(released, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 2001);
    assert_int_equal(released, 1);
    tcp_free(t);
    assert_int_equal(released, 1);
}

TCP_TEST(references_are_released_however_the_connection_ends)
{
    for (int way = 0; way < 4; way++) {
        struct tcp_test *t = tcp_established(4);
        int released = 0;

        utcp_write_ref(t->conn, t->now, "\x1f\x3e", 2, count_release, &released);
        utcp_write_ref(t->conn, t->now, "", 0, count_release, &released);
        assert_int_equal(released, 1); /* nothing to send: done with at once */
        if (way == 0)
            utcp_abort(t->conn, t->now);
        if (way == 1)
            peer(t, .flags = RST, .seq = 1);
        if (way == 2) {
            utcp_close(t->conn, t->now);
            pass(t, 60 * MINUTE);
        }
        if (way != 3)
            assert_int_equal(released, 2);
        tcp_free(t);
        assert_int_equal(released, 2);
    }
}

TCP_TEST(references_are_limited_in_number)
{
    struct tcp_test *t = tcp_established(4);
    int released = 0, count = 0;

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
    while (utcp_write_ref(t->conn, t->now, "x", 1, count_release, &released) == 0)
        count++;
    assert_int_equal(count, 64);
    assert_int_equal(utcp_write_ref(t->conn, t->now, "x", 1, NULL, NULL), -EAGAIN);
    utcp_abort(t->conn, t->now);
    assert_int_equal(released, 64);
    tcp_free(t);
}

TCP_TEST(a_full_send_buffer_says_again_and_then_writable)
{
    struct utcp_config config = {.send_buffer_max = 1000};
    struct tcp_test *t = tcp_new(4, &config);
    uint8_t data[2000];

    for (uint32_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)((1 + i) * 31 + ((1 + i) >> 8));
    tcp_listen(t, 1);
    tcp_handshake(t, (struct seg){.mss = 1460});
    assert_int_equal(utcp_write(t->conn, t->now, data, sizeof(data)), 1000);
    assert_int_equal(utcp_write(t->conn, t->now, data, 1), -EAGAIN);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1000);
    assert_int_equal(tcp_events(t), 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1001);
    assert_int_equal(tcp_events(t), UTCP_WRITABLE | UTCP_SENT);
    tcp_free(t);
}

TCP_TEST(reading_in_place_takes_what_is_consumed)
{
    struct tcp_test *t = tcp_established(4);
    const uint8_t *data;

    assert_int_equal(utcp_peek(t->conn, &data), -EAGAIN);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(utcp_peek(t->conn, &data), 100);
    assert_int_equal(data[0], 31);
    utcp_consume(t->conn, t->now, 30);
    assert_int_equal(utcp_readable(t->conn), 70);
    assert_int_equal(utcp_peek(t->conn, &data), 70);
    assert_int_equal(data[0], (uint8_t)(31 * 31));
    assert_int_equal(tcp_read(t, 30), 70);
    peer(t, .flags = FIN | ACK, .seq = 101, .ack = 1);
    assert_int_equal(utcp_peek(t->conn, &data), 0);
    tcp_free(t);
}

TCP_TEST(urgent_data_are_data)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK | URG, .seq = 1, .ack = 1, .length = 10, .urgent = 0);
    peer(t, .flags = ACK | URG, .seq = 11, .ack = 1, .length = 10, .urgent = 5);
    peer(t, .flags = ACK | URG, .seq = 21, .ack = 1, .length = 10, .urgent = 65535);
    peer(t, .flags = ACK | URG, .seq = 31, .ack = 1, .urgent = 1);
    assert_int_equal(tcp_read(t, 0), 30);
    tcp_free(t);
}

TCP_TEST(reserved_bits_are_ignored)
{
    struct tcp_test *t = tcp_established(4);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .reserved = 0xf);
    assert_int_equal(tcp_read(t, 0), 10);
    tcp_free(t);
}

TCP_TEST(large_segments_go_out_as_one_packet_when_the_sink_cuts)
{
    struct utcp_config config = {.offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT};
    struct tcp_test *t = tcp_new(4, &config);
    const struct wire_tcp *tcp = (const struct wire_tcp *)(t->packet + IPV4_HEADER_MIN);

    tcp_listen(t, 1);
    tcp_peer(t, (struct seg){.flags = SYN, .mss = 1460});
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_true(t->last_offload.checksum);
    assert_int_equal(t->last_offload.segment_size, 0);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, 10000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10000);
    assert_int_equal(t->last_offload.segment_size, 1460);
    assert_int_equal(t->last_offload.checksum_start, 20);
    assert_int_equal(t->last_offload.checksum_offset, 16);
    assert_int_equal(tcp->checksum,
                     checksum_fold(checksum_pseudo_header(t->us.address, t->them.address, 4,
                                                          IP_PROTOCOL_TCP, 10020)));
    tcp_free(t);
}

/* After the first loss; before, the window grows however few the acknowledgments. */
TCP_TEST(a_window_goes_out_as_two_packets_when_the_sink_cuts)
{
    struct utcp_config config = {.offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_peer(t, (struct seg){.flags = SYN, .mss = 1460});
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    t->conn->cc.ssthresh = 20 * 1460;
    tcp_write(t, 0, 10000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 5 * 1460);
    expect(t, .flags = ACK, .seq = 1 + 5 * 1460, .ack = 1, .length = 2700);
    tcp_free(t);
}

/* Under UTCP_HALF_WINDOWS also before, but for a segment that would be left alone. */
TCP_TEST(half_a_window_at_most_is_a_packet_where_it_was_asked_for)
{
    struct utcp_config config = {.offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT,
                                 .flags = UTCP_HALF_WINDOWS};
    struct tcp_test *t = tcp_new(4, &config);

    tcp_listen(t, 1);
    tcp_peer(t, (struct seg){.flags = SYN, .mss = 1460});
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, 30000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 5 * 1460);
    expect(t, .flags = ACK, .seq = 1 + 5 * 1460, .ack = 1, .length = 5 * 1460);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + 4 * 1460); /* cwnd 14, room for 8 */
    expect(t, .flags = ACK, .seq = 1 + 10 * 1460, .ack = 1, .length = 8 * 1460);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_full_sink_stops_output_which_goes_on_later)
{
    struct tcp_test *t = tcp_established(4);

    t->sink_room = 1;
    tcp_write(t, 0, 4000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1460);
    expect_nothing(t);
    assert_true(utcp_output_wanted(t->stack));
    t->sink_room = 10;
    expect(t, .flags = ACK, .seq = 1461, .ack = 1, .length = 1460);
    expect(t, .flags = ACK, .seq = 2921, .ack = 1, .length = 1080);
    expect_nothing(t);
    assert_false(utcp_output_wanted(t->stack));
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_segment_is_acknowledged_within_the_delay),
        cmocka_unit_test(every_second_full_segment_is_acknowledged_at_once),
        cmocka_unit_test(a_batch_of_segments_is_acknowledged_once),
        cmocka_unit_test(a_peer_with_small_segments_is_acknowledged_every_second_too),
        cmocka_unit_test(a_merged_segment_is_taken_whole_and_acknowledged_at_once),
        cmocka_unit_test(an_acknowledgment_rides_on_data),
        cmocka_unit_test(a_segment_out_of_order_gets_a_duplicate_ack_each),
        cmocka_unit_test(what_fills_part_of_a_hole_is_acknowledged_at_once),
        cmocka_unit_test(while_segments_are_lost_none_is_acknowledged_late),
        cmocka_unit_test(old_data_are_acknowledged_again_and_not_taken_twice),
        cmocka_unit_test(a_segment_that_begins_with_old_data_brings_its_new_ones),
        cmocka_unit_test(the_first_copy_of_a_byte_wins),
        cmocka_unit_test(a_segment_over_several_holes_brings_what_lies_behind_them),
        cmocka_unit_test(holes_are_bounded_and_the_farthest_is_given_up),
        cmocka_unit_test(what_is_beyond_the_window_is_cut_off),
        cmocka_unit_test(what_is_wholly_outside_of_the_window_is_answered),
        cmocka_unit_test(writing_sends_full_segments_and_the_rest),
        cmocka_unit_test(nagle_holds_a_second_small_segment_back),
        cmocka_unit_test(nagle_lets_full_segments_go),
        cmocka_unit_test(without_delay_every_write_leaves),
        cmocka_unit_test(corked_only_full_segments_leave),
        cmocka_unit_test(corked_data_leave_with_the_fin),
        cmocka_unit_test(the_peer_s_mss_is_kept_to),
        cmocka_unit_test(without_an_mss_option_the_default_holds),
        cmocka_unit_test(a_sent_event_follows_the_last_acknowledgment),
        cmocka_unit_test(a_reference_is_released_when_all_of_it_is_acknowledged),
        cmocka_unit_test(references_are_released_however_the_connection_ends),
        cmocka_unit_test(references_are_limited_in_number),
        cmocka_unit_test(a_full_send_buffer_says_again_and_then_writable),
        cmocka_unit_test(reading_in_place_takes_what_is_consumed),
        cmocka_unit_test(urgent_data_are_data),
        cmocka_unit_test(reserved_bits_are_ignored),
        cmocka_unit_test(large_segments_go_out_as_one_packet_when_the_sink_cuts),
        cmocka_unit_test(a_window_goes_out_as_two_packets_when_the_sink_cuts),
        cmocka_unit_test(half_a_window_at_most_is_a_packet_where_it_was_asked_for),
        cmocka_unit_test(a_full_sink_stops_output_which_goes_on_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
