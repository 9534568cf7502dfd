/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a ring: what goes in comes out in order, and a hostile peer is noticed. */
#include "ring_near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE RING_SIZE_MIN

struct pair {
    struct ring_control *control;
    uint8_t *data;
    struct ring_producer producer;
    struct ring_consumer consumer;
};

static int set_up(void **state)
{
    struct pair *pair = calloc(1, sizeof(*pair));

    pair->control = aligned_alloc(RING_ALIGN, sizeof(*pair->control));
    pair->data = aligned_alloc(RING_ALIGN, SIZE);
    memset(pair->control, 0, sizeof(*pair->control));
    memset(pair->data, 0, SIZE);
    ring_producer_init(&pair->producer, pair->control, pair->data, SIZE);
    ring_consumer_init(&pair->consumer, pair->control, pair->data, SIZE);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;

    free(pair->data);
    free(pair->control);
    free(pair);
    return 0;
}

/* Puts one packet whose bytes are all `fill`. */
static bool put(struct pair *pair, uint32_t length, uint8_t fill)
{
    struct ring_record record = {.length = length};
    uint8_t *packet;

    assert_true(ring_producer_refresh(&pair->producer));
    packet = ring_producer_reserve(&pair->producer, length);
    if (!packet)
        return false;
    memset(packet, fill, length);
    ring_producer_commit(&pair->producer, &record);
    ring_producer_publish(&pair->producer);
    return true;
}

static void expect(struct pair *pair, uint32_t length, uint8_t fill)
{
    struct ring_record record;
    const uint8_t *packet = NULL;

    assert_true(ring_consumer_refresh(&pair->consumer));
    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_PACKET);
    assert_int_equal(record.length, length);
    for (uint32_t at = 0; at < length; at++)
        assert_int_equal(packet[at], fill);
    ring_consumer_release(&pair->consumer);
}

/* Where a record of that length is streamed to. */
static uint8_t *place_of(struct pair *pair, uint32_t length)
{
    uint8_t *place;

    assert_true(ring_producer_refresh(&pair->producer));
    place = ring_producer_place(&pair->producer, length);
    assert_non_null(place);
    memset(place, 0xee, ring_record_stride(length));
    return place;
}

/* It is published, and read as ring_producer_commit() would have left it, with zeroes behind. */
static void expect_streamed(struct pair *pair, const uint8_t *place,
                            const struct ring_record *given, const uint8_t *packet)
{
    uint32_t end = given->length + (uint32_t)sizeof(*given);
    struct ring_record record;
    const uint8_t *bytes;

    ring_producer_keep(&pair->producer, given->length);
    stream_fence();
    ring_producer_publish(&pair->producer);
    assert_true(ring_consumer_refresh(&pair->consumer));
    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &bytes), RING_NEXT_PACKET);
    assert_memory_equal(&record, given, sizeof(record));
    assert_memory_equal(bytes, packet, given->length);
    for (uint32_t at = end; at < ring_record_stride(given->length); at++)
        assert_int_equal(place[at], 0);
    ring_consumer_release(&pair->consumer);
}

/* Of each length. */
static void stream_all_lengths(struct pair *pair, bool settled)
{
    uint8_t packet[300];

    for (uint32_t at = 0; at < sizeof(packet); at++)
        packet[at] = (uint8_t)(at + 1);
    for (uint32_t length = 1; length <= sizeof(packet); length++) {
        const struct ring_record given = {.length = length,
                                          .flags = RECORD_SEGMENT,
                                          .segment_size = 1448,
                                          .checksum_start = 20,
                                          .checksum_offset = 16};
        uint8_t *exact = malloc(length), *place; /* so that AddressSanitizer sees its end */
        uint64_t words[2];

        memcpy(exact, packet, length);
        ring_header_words(&given, words);
        place = place_of(pair, length);
        if (settled) {
            ring_stream_settled(place, words, exact, length);
        } else {
            ring_stream_record(place, &given, exact);
        }
        free(exact);
        expect_streamed(pair, place, &given, packet);
    }
}

static void a_record_past_the_cache_is_a_record_as_any(void **state)
{
    stream_all_lengths(*state, false);
    stream_all_lengths(*state, true);
}

/* In any pieces: what they come in is not seen. */
static void a_record_is_streamed_in_pieces(void **state)
{
    struct pair *pair = *state;
    uint8_t packet[700];
    uint32_t seed = 1;

    for (uint32_t i = 0; i < sizeof(packet); i++)
        packet[i] = (uint8_t)(i * 5 + i / 256);
    for (uint32_t length = 1; length <= sizeof(packet); length++) {
        const struct ring_record given = {
            .length = length, .flags = RECORD_SEGMENT, .segment_size = (uint16_t)length};
        struct stream_lines lines;
        uint8_t *place = place_of(pair, length);

        ring_stream_begin(&lines, place, &given);
        for (uint32_t at = 0, part; at < length; at += part) {
            seed = seed * 1103515245 + 12345;
            part = seed >> 16 & (seed & 0x40000000 ? 255 : 31);
            if (part > length - at)
                part = length - at;
            stream_add(&lines, packet + at, part);
        }
        stream_end(&lines);
        expect_streamed(pair, place, &given, packet);
    }
}

/* How many of `count` packets are stored as usual. */
static uint32_t usual_of(struct ring_producer *ring, uint32_t count, uint32_t length)
{
    uint32_t usual = 0;

    while (count--)
        usual += ring_near_begin(ring, length);
    return usual;
}

/* By how long the consumer's line took; where it was here, nothing is learnt. */
static void the_last_trials_decide_how_packets_are_stored(void **state)
{
    struct pair *pair = *state;
    struct ring_producer *ring = &pair->producer;
    const uint64_t soon = RING_NEAR_NS, late = RING_NEAR_NS + 1;
    uint32_t turns = 0;

    assert_int_equal(usual_of(ring, 100, 1514), 100);
    while (!ring_is_far(ring)) {
        ring_near_note(ring, late);
        assert_true(++turns <= RING_NEAR_SCORE_MOST);
    }
    for (uint32_t i = 0; i < 100; i++)
        ring_near_note(ring, late);
    assert_int_equal(usual_of(ring, 100, 1514), 0);
    for (uint32_t i = 0; i < 100; i++)
        ring_near_note(ring, RING_NEAR_CACHED_NS);
    assert_int_equal(usual_of(ring, 100, 1514), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(ring_is_far(ring));
        ring_near_note(ring, soon);
    }
    assert_int_equal(usual_of(ring, 100, 1514), 100);
    for (uint32_t i = 0; i < 100; i++)
        ring_near_note(ring, soon);
    ring_near_note(ring, late); /* one alone, we were interrupted perhaps */
    assert_int_equal(usual_of(ring, 100, 1514), 100);
}

/* Once for so many long packets, and never for short ones, for which there is no choice. */
static void a_batch_of_long_packets_has_a_trial_now_and_then(void **state)
{
    struct pair *pair = *state;
    struct ring_producer *ring = &pair->producer;

    assert_int_equal(usual_of(ring, 2 * RING_NEAR_EVERY, RING_NEAR_LEAST - 1), 0);
    assert_false(ring_near_is_due(ring));
    usual_of(ring, RING_NEAR_EVERY - 1, RING_NEAR_LEAST);
    ring_near_look(ring);
    assert_int_equal(ring->near_turn, RING_NEAR_EVERY - 1);
    usual_of(ring, 1, RING_NEAR_LEAST);
    assert_true(ring_near_is_due(ring));
    for (uint32_t i = 0; i < RING_NEAR_LOOKS; i++) { /* the consumer does not move */
        assert_true(ring_near_is_due(ring));
        ring_near_look(ring);
    }
    assert_int_equal(ring->near_turn, 0);
    ring->near_turn = RING_NEAR_EVERY;
    ring_store_relaxed(&pair->control->head, ring->head + RING_ALIGN);
    ring_near_look(ring);
    assert_int_not_equal(ring->near_turn, RING_NEAR_EVERY);

    ring->near_turn = RING_NEAR_EVERY;
    for (uint32_t i = 1; i < RING_NEAR_TRIES; i++) {
        ring_near_note(ring, RING_NEAR_CACHED_NS);
        assert_true(ring_near_is_due(ring)); /* there will be a better moment */
    }
    ring_near_note(ring, RING_NEAR_CACHED_NS);
    assert_int_equal(ring->near_turn, 0); /* not for ever */
    usual_of(ring, RING_NEAR_EVERY, RING_NEAR_LEAST);
    ring_near_note(ring, RING_NEAR_NS);
    assert_int_equal(ring->near_turn, 0);
}

/* No line twice, and none that was not published. */
static void lines_are_asked_for_once(void **state)
{
    struct pair *pair = *state;
    struct ring_consumer *ring = &pair->consumer;

    ring->head = ring->released = ring->asked = 0u - 128;
    ring->tail = 1024;
    ring_consumer_ask(ring, ring->head, 512);
    assert_int_equal(ring->asked, 384);
    ring_consumer_ask(ring, ring->head, 512);
    assert_int_equal(ring->asked, 384);
    ring_consumer_ask(ring, 640, 4096); /* what was stepped over is not asked for */
    assert_int_equal(ring->asked, 1024);
    ring_consumer_ask(ring, 1024, 4096);
    assert_int_equal(ring->asked, 1024);
}

static void packets_come_out_in_order_across_the_end_of_the_ring(void **state)
{
    struct pair *pair = *state;
    uint8_t in = 0, out = 0;

    /* Lengths without a common divisor, for long enough that positions pass 2^32. */
    pair->producer.tail = pair->producer.published = pair->producer.head = 0u - SIZE;
    pair->control->tail = pair->control->head = 0u - SIZE;
    pair->consumer.head = pair->consumer.released = pair->consumer.tail = 0u - SIZE;
    for (uint32_t round = 0; round < 10000; round++) {
        uint32_t length = 1 + (round * 977) % ring_packet_max(SIZE);

        while (!put(pair, length, in))
            fail_msg("a drained ring must take any packet up to its maximum");
        in++;
        expect(pair, length, out++);
    }
}

static void a_full_ring_takes_no_more_and_loses_nothing(void **state)
{
    struct pair *pair = *state;
    uint32_t count = 0;

    while (put(pair, 46, (uint8_t)count))
        count++;
    assert_int_equal(count, SIZE / RING_ALIGN);
    for (uint32_t at = 0; at < count; at++)
        expect(pair, 46, (uint8_t)at);
    assert_true(put(pair, 46, 1));
}

static void a_sleeper_is_woken_once(void **state)
{
    struct pair *pair = *state;
    struct ring_record record = {.length = 1};

    assert_true(ring_consumer_sleep(&pair->consumer));
    assert_non_null(ring_producer_reserve(&pair->producer, 1));
    ring_producer_commit(&pair->producer, &record);
    assert_true(ring_producer_publish(&pair->producer));
    assert_non_null(ring_producer_reserve(&pair->producer, 1));
    ring_producer_commit(&pair->producer, &record);
    assert_false(ring_producer_publish(&pair->producer));
    assert_false(ring_consumer_sleep(&pair->consumer)); /* there is something: no sleep */
    expect(pair, 1, 0);
    expect(pair, 1, 0);
    assert_true(ring_consumer_sleep(&pair->consumer));
}

/* Steps over one record of 1,000 bytes. True: the producer is to be woken. */
static bool give_one_back(struct pair *pair)
{
    struct ring_record record;
    const uint8_t *packet = NULL;

    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_PACKET);
    return ring_consumer_release(&pair->consumer);
}

static void a_waiting_producer_is_woken_once_when_half_of_the_ring_is_free(void **state)
{
    struct pair *pair = *state;
    uint32_t woken = 0;

    while (put(pair, 1000, 0))
        ;
    assert_true(ring_producer_wait(&pair->producer, 1000));
    assert_true(ring_consumer_refresh(&pair->consumer));
    while (pair->consumer.tail - pair->consumer.head > SIZE / 2 + ring_record_stride(1000))
        assert_false(give_one_back(pair));
    while (pair->consumer.tail != pair->consumer.head)
        woken += give_one_back(pair);
    assert_int_equal(woken, 1);
    assert_false(ring_producer_wait(&pair->producer, 1000));
}

static void impossible_indices_are_noticed(void **state)
{
    struct pair *pair = *state;
    static const uint32_t tails[] = {1, 63, SIZE + RING_ALIGN, 0x80000000u, 0u - RING_ALIGN};

    for (size_t at = 0; at < sizeof(tails) / sizeof(tails[0]); at++) {
        pair->control->tail = tails[at];
        assert_false(ring_consumer_refresh(&pair->consumer));
    }
    pair->control->tail = 4 * RING_ALIGN;
    assert_true(ring_consumer_refresh(&pair->consumer));
    pair->control->tail = 2 * RING_ALIGN; /* backwards, though within the ring */
    assert_false(ring_consumer_refresh(&pair->consumer));

    pair->control->head = RING_ALIGN; /* consumed what was never published */
    assert_false(ring_producer_refresh(&pair->producer));
}

static void records_that_reach_too_far_are_noticed(void **state)
{
    struct pair *pair = *state;
    struct ring_record *shared = (struct ring_record *)pair->data, record;
    const uint8_t *packet = NULL;
    static const uint32_t lengths[] = {49, 64, 1000, SIZE, 0x7fffffff, 0xfffffff0, 0xffffffff};

    pair->control->tail = RING_ALIGN;
    assert_true(ring_consumer_refresh(&pair->consumer));
    for (size_t at = 0; at < sizeof(lengths) / sizeof(lengths[0]); at++) {
        *shared = (struct ring_record){.length = lengths[at]};
        assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_BROKEN);
        *shared = (struct ring_record){.length = lengths[at], .flags = RECORD_PAD};
        assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_BROKEN);
    }
    *shared = (struct ring_record){.length = 48, .flags = RECORD_PAD}; /* a pad not at the end */
    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_BROKEN);
    *shared = (struct ring_record){.length = 48};
    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_PACKET);
    assert_int_equal(ring_consumer_next(&pair->consumer, &record, &packet), RING_NEXT_EMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        RING_TEST(a_record_past_the_cache_is_a_record_as_any),
        RING_TEST(a_record_is_streamed_in_pieces),
        RING_TEST(the_last_trials_decide_how_packets_are_stored),
        RING_TEST(a_batch_of_long_packets_has_a_trial_now_and_then),
        RING_TEST(lines_are_asked_for_once),
        RING_TEST(packets_come_out_in_order_across_the_end_of_the_ring),
        RING_TEST(a_full_ring_takes_no_more_and_loses_nothing),
        RING_TEST(a_sleeper_is_woken_once),
        RING_TEST(a_waiting_producer_is_woken_once_when_half_of_the_ring_is_free),
        RING_TEST(impossible_indices_are_noticed),
        RING_TEST(records_that_reach_too_far_are_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
