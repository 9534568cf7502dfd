/* SPDX-License-Identifier: BSD-2-Clause */
/* Options: MSS (RFC 9293 section 3.7.1), window scale and timestamps with PAWS (RFC 7323), and
 * options that make no sense. */
#include "tcp_test.h"

static struct tcp_test *listening(const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(4, config);

    tcp_listen(t, 8);
    return t;
}

TCP_TEST(our_syn_offers_all_options)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    assert_int_equal(t->last.mss, 1460);
    assert_int_equal(t->last.scale, 10 + 1);
    assert_true(t->last.timestamps);
    assert_int_equal(t->last.ts_echo, 0);
    assert_true(t->last.sack_permitted);
    tcp_free(t);
}

TCP_TEST(our_syn_ack_answers_only_what_was_offered)
{
    struct tcp_test *t = listening(NULL);

    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.mss, 1460);
    assert_int_equal(t->last.scale, 0);
    assert_false(t->last.timestamps);
    assert_false(t->last.sack_permitted);
    t->them.port++;
    t->iss_known = false;
    peer(t, .flags = SYN, .scale = 3, .timestamps = true, .ts_value = 77, .sack_permitted = true);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.scale, 10 + 1);
    assert_true(t->last.timestamps);
    assert_int_equal(t->last.ts_echo, 77);
    assert_true(t->last.sack_permitted);
    tcp_free(t);
}

TCP_TEST(options_that_are_switched_off_are_neither_offered_nor_taken)
{
    struct utcp_config config = {.flags = UTCP_NO_TIMESTAMPS | UTCP_NO_WINDOW_SCALE | UTCP_NO_SACK};
    struct tcp_test *t = listening(&config);

    peer(t, .flags = SYN, .scale = 3, .timestamps = true, .sack_permitted = true);
    expect(t, .flags = SYN | ACK, .ack = 1);
    assert_int_equal(t->last.scale, 0);
    assert_false(t->last.sack_permitted);
    assert_false(t->last.timestamps);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_false(tcp_info(t).window_scale);
    assert_false(tcp_info(t).timestamps);
    tcp_free(t);
}

TCP_TEST(a_syn_s_window_is_not_scaled_and_the_next_is)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 1, .scale = 4 + 1, .window = 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .window = 65535 >> 10);
    assert_int_equal(tcp_info(t).send_window, 1000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = 1000);
    assert_int_equal(tcp_info(t).send_window, 16000);
    tcp_free(t);
}

TCP_TEST(a_scale_above_14_counts_as_14)
{
    struct tcp_test *t = listening(NULL);

    tcp_handshake(t, (struct seg){.scale = 200 + 1});
    assert_int_equal(tcp_info(t).send_scale, 14);
    tcp_free(t);
}

TCP_TEST(a_scale_outside_of_a_syn_is_ignored)
{
    struct tcp_test *t = listening(NULL);

    tcp_handshake(t, (struct seg){.scale = 2 + 1});
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .scale = 9 + 1, .window = 100);
    assert_int_equal(tcp_info(t).send_scale, 2);
    assert_int_equal(tcp_info(t).send_window, 400);
    tcp_free(t);
}

TCP_TEST(a_tiny_mss_is_lifted_to_a_floor)
{
    static const uint16_t tiny[] = {1, 8, 48, 87};

    for (unsigned i = 0; i < 4; i++) {
        struct tcp_test *t = listening(NULL);

        tcp_handshake(t, (struct seg){.mss = tiny[i]});
        assert_int_equal(tcp_info(t).mss, 88);
        tcp_free(t);
    }
}

TCP_TEST(an_mss_of_zero_is_none)
{
    static const uint8_t zero[] = {2, 4, 0, 0};
    struct tcp_test *t = listening(NULL);

    tcp_handshake(t, (struct seg){.options = zero, .options_length = 4});
    assert_int_equal(tcp_info(t).mss, 536);
    tcp_free(t);
}

TCP_TEST(a_huge_mss_is_cut_to_our_path)
{
    struct tcp_test *t = listening(NULL);

    tcp_handshake(t, (struct seg){.mss = 65535});
    assert_int_equal(tcp_info(t).mss, 1460);
    tcp_free(t);
}

TCP_TEST(timestamps_take_their_room_from_every_segment)
{
    struct tcp_test *t = tcp_established_timestamps(4);

    assert_int_equal(tcp_info(t).mss, 1448);
    tcp_write(t, 0, 1500);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1448);
    assert_true(t->last.timestamps);
    assert_int_equal(t->last.ts_echo, t->peer_ts + (uint32_t)(t->now / MS));
    tcp_free(t);
}

TCP_TEST(our_timestamps_tick_in_milliseconds)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t first;

    tcp_write(t, 0, 10);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    first = t->last.ts_value;
    pass(t, 123 * MS);
    t->out_first = t->out_count = 0;
    peer(t, .flags = ACK, .seq = 1, .ack = 11);
    tcp_write(t, 10, 10);
    expect(t, .flags = ACK, .seq = 11, .ack = 1, .length = 10);
    assert_int_equal(t->last.ts_value - first, 123);
    tcp_free(t);
}

/* The timestamp of the SYN-ACK of a stack with that secret, and that key unless it is NULL. */
static uint32_t clock_of(uint8_t secret, const uint8_t *key, uint32_t *iss)
{
    struct utcp_config config = {.secret = {secret}};
    struct tcp_test *t = tcp_new(4, &config);
    uint32_t value;

    if (key)
        utcp_set_cookie_key(t->stack, key);
    tcp_listen(t, 1);
    peer(t, .flags = SYN, .mss = 1460, .timestamps = true, .ts_value = 1);
    expect(t, .flags = SYN | ACK, .ack = 1);
    value = t->last.ts_value;
    *iss = t->iss;
    tcp_free(t);
    return value;
}

/* So that a peer in TIME-WAIT takes the one for the successor of the other (RFC 6191). */
TCP_TEST(stacks_with_the_same_key_have_the_same_clock)
{
    static const uint8_t key[UTCP_COOKIE_KEY_SIZE] = {1}, other[UTCP_COOKIE_KEY_SIZE] = {2};
    uint32_t iss[2], unused, value = clock_of(1, key, &iss[0]);

    assert_int_equal(clock_of(2, key, &iss[1]), value);
    assert_int_not_equal(iss[0], iss[1]); /* that is the secret's */
    assert_int_not_equal(clock_of(1, other, &unused), value);
    assert_int_not_equal(clock_of(1, NULL, &unused), clock_of(2, NULL, &unused));
}

TCP_TEST(paws_drops_an_old_segment_and_answers)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t now = t->peer_ts + (uint32_t)(t->now / MS);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .timestamps = true,
         .ts_value = now - 1);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(utcp_readable(t->conn), 0);
    assert_int_equal(tcp_stats(t).dropped_unacceptable, 1);
    tcp_free(t);
}

TCP_TEST(paws_believes_a_rst)
{
    struct tcp_test *t = tcp_established_timestamps(4);

    peer(t, .flags = RST, .seq = 1, .timestamps = true, .ts_value = 0);
    assert_int_equal(utcp_error(t->conn), -ECONNRESET);
    tcp_free(t);
}

/* RFC 7323 section 3.2 */
TCP_TEST(a_rst_has_the_timestamps_of_its_connection)
{
    struct tcp_test *t = tcp_established_timestamps(4);

    utcp_abort(t->conn, t->now);
    expect(t, .flags = RST | ACK, .seq = 1, .ack = 1);
    assert_true(t->last.timestamps);
    assert_int_equal(t->last.ts_echo, t->peer_ts + (uint32_t)(t->now / MS));
    tcp_free(t);
}

TCP_TEST(paws_forgets_after_24_days)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t now = t->peer_ts + (uint32_t)(t->now / MS);

    silent_for(t, UINT64_C(25) * 24 * 3600 * SECOND);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .timestamps = true,
         .ts_value = now - 1);
    assert_int_equal(utcp_readable(t->conn), 10);
    tcp_free(t);
}

TCP_TEST(a_segment_out_of_order_does_not_move_the_timestamp)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t now = t->peer_ts + (uint32_t)(t->now / MS);

    peer(t, .flags = ACK, .seq = 101, .ack = 1, .length = 10, .timestamps = true,
         .ts_value = now + 1000000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.ts_echo, now);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 111);
    assert_int_equal(t->last.ts_echo, now);
    tcp_free(t);
}

/* Else all that the peer sends from now on would be old. */
TCP_TEST(a_segment_with_an_impossible_acknowledgment_does_not_move_the_timestamp)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t now = t->peer_ts + (uint32_t)(t->now / MS);

    peer(t, .flags = ACK | FIN, .seq = 1, .ack = 9999, .timestamps = true,
         .ts_value = now + 1000000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_int_equal(t->last.ts_echo, now);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    assert_int_equal(utcp_readable(t->conn), 100);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 101);
    tcp_free(t);
}

TCP_TEST(the_echo_is_of_the_first_segment_that_is_not_acknowledged)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t now = t->peer_ts + (uint32_t)(t->now / MS);

    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .timestamps = true,
         .ts_value = now + 5);
    peer(t, .flags = ACK, .seq = 11, .ack = 1, .length = 10, .timestamps = true,
         .ts_value = now + 9);
    expect_after(t, 40 * MS, .flags = ACK, .seq = 1, .ack = 21);
    assert_int_equal(t->last.ts_echo, now + 5);
    tcp_free(t);
}

TCP_TEST(a_segment_without_the_negotiated_timestamp_is_dropped)
{
    struct tcp_test *t = tcp_established_timestamps(4);

    t->peer_timestamps = false;
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
    expect_nothing(t);
    assert_int_equal(utcp_readable(t->conn), 0);
    assert_int_equal(tcp_stats(t).dropped_unacceptable, 1);
    tcp_free(t);
}

TCP_TEST(an_echo_that_we_never_sent_measures_nothing)
{
    static const uint32_t wrong[] = {0, 1, 0x7fffffff, (uint32_t)-100000};

    for (unsigned i = 0; i < 4; i++) {
        struct tcp_test *t = tcp_established_timestamps(4);
        uint64_t rto = tcp_info(t).rto_us;

        tcp_write(t, 0, 10);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
        expect_after(t, rto, .flags = ACK, .seq = 1, .ack = 1, .length = 10);
        t->peer_timestamps = false;
        peer(t, .flags = ACK, .seq = 1, .ack = 11, .timestamps = true,
             .ts_value = t->peer_ts + (uint32_t)(t->now / MS),
             .ts_echo = i ? t->last.ts_value + wrong[i] : 0);
        assert_true(tcp_info(t).srtt_us <= 1);
        tcp_free(t);
    }
}

/* The segment is kept, the rest of its options are not. */
TCP_TEST(options_that_make_no_sense_end_the_walk_and_not_the_segment)
{
    static const struct {
        uint8_t bytes[12];
        uint8_t length;
        uint16_t mss;
    } cases[] = {
        {{2, 0, 5, 220, 2, 4, 5, 220}, 8, 536},                /* length 0 */
        {{2, 1, 5, 220, 2, 4, 5, 220}, 8, 536},                /* length 1 */
        {{2, 4, 2, 88, 3, 9, 1, 1}, 8, 600},                   /* beyond the end */
        {{2, 4, 2, 88, 2, 4, 5, 180}, 8, 600},                 /* twice: the first counts */
        {{2, 3, 5, 1, 2, 4, 2, 88}, 8, 600},                   /* wrong length: ignored */
        {{1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 2, 88}, 12, 600},      /* NOPs */
        {{0, 0, 0, 0, 2, 4, 2, 88}, 8, 536},                   /* end means end */
        {{254, 4, 1, 1, 2, 4, 2, 88}, 8, 600},                 /* unknown */
        {{1, 1, 1, 2}, 4, 536},                                /* kind without length */
        {{2, 255, 1, 1}, 4, 536},                              /* far beyond the end */
        {{8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 3, 3}, 12, 536 - 12}, /* last one cut short */
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tcp_test *t = listening(NULL);

        peer(t, .flags = SYN, .options = cases[i].bytes, .options_length = cases[i].length);
        expect(t, .flags = SYN | ACK, .ack = 1);
        t->peer_timestamps = t->last.timestamps;
        t->peer_ts = 10;
        peer(t, .flags = ACK, .seq = 1, .ack = 1);
        assert_int_equal(tcp_info(t).mss, cases[i].mss);
        tcp_free(t);
    }
}

TCP_TEST(forty_nops_are_fine)
{
    uint8_t nops[40];
    struct tcp_test *t = listening(NULL);

    memset(nops, 1, sizeof(nops));
    tcp_handshake(t, (struct seg){.options = nops, .options_length = 40});
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 10, .options = nops, .options_length = 40);
    assert_int_equal(utcp_readable(t->conn), 10);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_syn_offers_all_options),
        cmocka_unit_test(our_syn_ack_answers_only_what_was_offered),
        cmocka_unit_test(options_that_are_switched_off_are_neither_offered_nor_taken),
        cmocka_unit_test(a_syn_s_window_is_not_scaled_and_the_next_is),
        cmocka_unit_test(a_scale_above_14_counts_as_14),
        cmocka_unit_test(a_scale_outside_of_a_syn_is_ignored),
        cmocka_unit_test(a_tiny_mss_is_lifted_to_a_floor),
        cmocka_unit_test(an_mss_of_zero_is_none),
        cmocka_unit_test(a_huge_mss_is_cut_to_our_path),
        cmocka_unit_test(timestamps_take_their_room_from_every_segment),
        cmocka_unit_test(our_timestamps_tick_in_milliseconds),
        cmocka_unit_test(stacks_with_the_same_key_have_the_same_clock),
        cmocka_unit_test(paws_drops_an_old_segment_and_answers),
        cmocka_unit_test(paws_believes_a_rst),
        cmocka_unit_test(a_rst_has_the_timestamps_of_its_connection),
        cmocka_unit_test(paws_forgets_after_24_days),
        cmocka_unit_test(a_segment_out_of_order_does_not_move_the_timestamp),
        cmocka_unit_test(a_segment_with_an_impossible_acknowledgment_does_not_move_the_timestamp),
        cmocka_unit_test(the_echo_is_of_the_first_segment_that_is_not_acknowledged),
        cmocka_unit_test(a_segment_without_the_negotiated_timestamp_is_dropped),
        cmocka_unit_test(an_echo_that_we_never_sent_measures_nothing),
        cmocka_unit_test(options_that_make_no_sense_end_the_walk_and_not_the_segment),
        cmocka_unit_test(forty_nops_are_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
