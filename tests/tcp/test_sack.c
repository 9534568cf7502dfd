/* SPDX-License-Identifier: BSD-2-Clause */
/* What a receiver tells by SACK: RFC 2018 section 4 (blocks and their order), RFC 2883 section 4
 * (what came twice). */
#include "tcp_test.h"

#define DATA(t, from, size) peer(t, .flags = ACK, .seq = (from), .ack = 1, .length = (size))

static void expect_blocks(const struct tcp_test *t, unsigned count, const uint32_t *edges)
{
    assert_int_equal(t->last.sacks, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(t->last.sack[i].start, edges[2 * i]);
        assert_int_equal(t->last.sack[i].end, edges[2 * i + 1]);
    }
}

#define BLOCKS(t, ...)                                                                             \
    expect_blocks(t, sizeof((uint32_t[]){__VA_ARGS__}) / 8, (uint32_t[]){__VA_ARGS__})

TCP_TEST(rfc2018_4_the_first_block_is_the_one_that_grew_last)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 101, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 101, 201);
    DATA(t, 301, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 301, 401, 101, 201);
    DATA(t, 501, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 501, 601, 301, 401, 101, 201);
    DATA(t, 201, 50); /* the oldest grows */
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 101, 251, 501, 601, 301, 401);
    DATA(t, 251, 50); /* two become one */
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 101, 401, 501, 601);
    tcp_free(t);
}

TCP_TEST(rfc2018_3_four_blocks_fit_and_three_with_timestamps)
{
    for (int timestamps = 0; timestamps < 2; timestamps++) {
        struct tcp_test *t = tcp_established_sack(timestamps ? 6 : 4, timestamps);

        for (uint32_t i = 1; i <= 6; i++) {
            DATA(t, 1 + 200 * i, 100);
            expect(t, .flags = ACK, .seq = 1, .ack = 1);
        }
        if (timestamps)
            BLOCKS(t, 1201, 1301, 1001, 1101, 801, 901);
        else
            BLOCKS(t, 1201, 1301, 1001, 1101, 801, 901, 601, 701);
        tcp_free(t);
    }
}

TCP_TEST(rfc2018_4_what_was_delivered_is_reported_no_more)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 101, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 301, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 1, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 201);
    BLOCKS(t, 301, 401);
    DATA(t, 201, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 401);
    assert_int_equal(t->last.sacks, 0);
    tcp_free(t);
}

TCP_TEST(rfc2018_2_without_permission_nothing_is_reported)
{
    struct tcp_test *t = tcp_established(4);

    DATA(t, 101, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.sacks, 0);
    DATA(t, 101, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.sacks, 0);
    tcp_free(t);
}

TCP_TEST(rfc2018_data_that_leave_room_carry_blocks_and_full_segments_none)
{
    struct tcp_test *t = tcp_established_sack(4, true);

    DATA(t, 101, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    tcp_write(t, 0, 1448 + 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1448);
    assert_int_equal(t->last.sacks, 0);
    expect(t, .flags = ACK, .seq = 1449, .ack = 1, .length = 100);
    BLOCKS(t, 101, 201);
    tcp_free(t);
}

TCP_TEST(rfc2883_4_1_1_a_segment_that_comes_again_is_reported_once)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 1, 500);
    pass(t, 50 * MS);
    expect(t, .flags = ACK, .seq = 1, .ack = 501);
    DATA(t, 1, 500);
    expect(t, .flags = ACK, .seq = 1, .ack = 501);
    BLOCKS(t, 1, 501);
    DATA(t, 501, 100);
    pass(t, 50 * MS);
    expect(t, .flags = ACK, .seq = 1, .ack = 601);
    assert_int_equal(t->last.sacks, 0);
    tcp_free(t);
}

TCP_TEST(rfc2883_4_1_2_a_duplicate_below_a_hole_comes_before_the_other_blocks)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 1, 100);
    DATA(t, 201, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 101);
    BLOCKS(t, 201, 301);
    DATA(t, 1, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 101);
    BLOCKS(t, 1, 101, 201, 301);
    tcp_free(t);
}

TCP_TEST(rfc2883_4_2_a_duplicate_within_a_block_is_followed_by_that_block)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 201, 300);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 601, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 301, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 301, 401, 201, 501, 601, 701);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(rfc2883_5_a_duplicate_in_part_is_reported_in_part)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 1, 100);
    DATA(t, 51, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 151);
    BLOCKS(t, 51, 101);
    tcp_free(t);
}

/* What came twice need not stand where the segment begins; the first of several is told. */
TCP_TEST(rfc2883_4_a_duplicate_amid_a_segment_is_reported)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    DATA(t, 201, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 401, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    DATA(t, 151, 100); /* the last half of it */
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 201, 251, 151, 301, 401, 501);
    DATA(t, 101, 500); /* both ranges */
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    BLOCKS(t, 151, 301, 101, 601);
    DATA(t, 1, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 601);
    DATA(t, 801, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 601);
    DATA(t, 501, 400); /* what was acknowledged comes first */
    expect(t, .flags = ACK, .seq = 1, .ack = 901);
    BLOCKS(t, 501, 601);
    tcp_free(t);
}

TCP_TEST(rfc2018_many_holes_are_bounded_and_reports_stay_true)
{
    struct tcp_test *t = tcp_established_sack(4, false);

    for (uint32_t i = 0; i < 400; i++) { /* more than the receive buffer keeps apart */
        DATA(t, 3 + 2 * i, 1);
        t->out_first = t->out_count = 0;
        pass(t, 0);
        t->out_first = t->out_count = 0;
    }
    DATA(t, 3, 1);
    pass(t, 0);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.sack[0].start, 3);
    assert_int_equal(t->last.sack[0].end, 4);
    assert_true(tcp_stats(t).dropped_memory > 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc2018_4_the_first_block_is_the_one_that_grew_last),
        cmocka_unit_test(rfc2018_3_four_blocks_fit_and_three_with_timestamps),
        cmocka_unit_test(rfc2018_4_what_was_delivered_is_reported_no_more),
        cmocka_unit_test(rfc2018_2_without_permission_nothing_is_reported),
        cmocka_unit_test(rfc2018_data_that_leave_room_carry_blocks_and_full_segments_none),
        cmocka_unit_test(rfc2883_4_1_1_a_segment_that_comes_again_is_reported_once),
        cmocka_unit_test(rfc2883_4_1_2_a_duplicate_below_a_hole_comes_before_the_other_blocks),
        cmocka_unit_test(rfc2883_4_2_a_duplicate_within_a_block_is_followed_by_that_block),
        cmocka_unit_test(rfc2883_5_a_duplicate_in_part_is_reported_in_part),
        cmocka_unit_test(rfc2883_4_a_duplicate_amid_a_segment_is_reported),
        cmocka_unit_test(rfc2018_many_holes_are_bounded_and_reports_stay_true),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
