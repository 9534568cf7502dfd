/* SPDX-License-Identifier: BSD-2-Clause */
/* What an impaired wire does to frames, in virtual time (switch/nic/wire_impair.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "nic/wire_impair.h"

#define FRAMES     2000
#define FRAME_SIZE 100
#define PERCENT    (IMPAIR_CERTAIN / 100)
#define FOR_EVER   (IMPAIR_NEVER - 1)

/* The numbers of the frames that arrived, in the order in which they did. */
struct arrivals {
    uint32_t numbers[3 * FRAMES];
    uint64_t times[3 * FRAMES];
    uint32_t count;
    uint32_t damaged;
};

static void send_frame(struct impairer *impairer, uint32_t number, uint64_t now_ns)
{
    uint8_t *frame = impair_reserve(impairer);

    memset(frame, 0, FRAME_SIZE);
    memcpy(frame, &number, sizeof(number)); /* in the Ethernet header, which is never damaged */
    impair_commit(impairer, FRAME_SIZE, NULL, now_ns);
}

static void collect(struct impairer *impairer, uint64_t now_ns, struct arrivals *arrivals)
{
    static const uint8_t good[FRAME_SIZE];
    struct impair_frame frame;

    while (impair_next(impairer, now_ns, &frame)) {
        assert_int_equal(frame.length, FRAME_SIZE);
        assert_false(frame.checksum_partial);
        assert_true(arrivals->count < 3 * FRAMES);
        memcpy(&arrivals->numbers[arrivals->count], frame.bytes, 4);
        arrivals->times[arrivals->count++] = now_ns;
        arrivals->damaged += memcmp(frame.bytes + 14, good, FRAME_SIZE - 14) != 0;
        impair_pop(impairer);
    }
}

/* Sends FRAMES frames, one each `step_ns`, in rounds of `batch`. */
static struct impair_counters carry(const struct impairment *what, uint32_t queue, uint32_t batch,
                                    uint64_t step_ns, struct arrivals *arrivals)
{
    struct impairer *impairer = impair_create(what, queue);
    struct impair_counters counters;

    assert_non_null(impairer);
    memset(arrivals, 0, sizeof(*arrivals));
    for (uint32_t i = 0; i < FRAMES; i++) {
        send_frame(impairer, i, i * step_ns);
        if (i % batch == 0)
            collect(impairer, i * step_ns, arrivals);
    }
    collect(impairer, FOR_EVER, arrivals);
    counters = *impair_counters(impairer);
    impair_destroy(impairer);
    return counters;
}

static void loss_takes_its_share_and_nothing_else(void **state)
{
    const struct impairment what = {.loss = 10 * PERCENT, .seed = 1};
    struct arrivals arrivals;
    struct impair_counters counters = carry(&what, 0, 1, 1000, &arrivals);

    (void)state;
    assert_in_range(counters.lost, FRAMES / 20, FRAMES / 5);
    assert_int_equal(arrivals.count, FRAMES - counters.lost);
    assert_int_equal(arrivals.damaged, 0);
    for (uint32_t i = 1; i < arrivals.count; i++)
        assert_true(arrivals.numbers[i] > arrivals.numbers[i - 1]);
}

static void the_same_seed_does_the_same_to_the_same_frames(void **state)
{
    const struct impairment what = {.loss = 5 * PERCENT,
                                    .reorder = 5 * PERCENT,
                                    .duplicate = 5 * PERCENT,
                                    .corrupt = 5 * PERCENT,
                                    .seed = 42};
    const struct impairment other = {.loss = 5 * PERCENT, .seed = 43};
    struct arrivals first, again;

    (void)state;
    carry(&what, 0, 1, 1000, &first);
    carry(&what, 0, 64, 10, &again); /* faster, and in batches */
    assert_int_equal(first.count, again.count);
    assert_memory_equal(first.numbers, again.numbers, sizeof(first.numbers));
    assert_int_equal(first.damaged, again.damaged);
    carry(&what, 1, 1, 1000, &again); /* another queue, other frames */
    assert_memory_not_equal(first.numbers, again.numbers, sizeof(first.numbers));
    carry(&other, 0, 1, 1000, &again);
    assert_memory_not_equal(first.numbers, again.numbers, sizeof(first.numbers));
}

static void reordered_frames_are_passed_by_eight_at_most(void **state)
{
    const struct impairment what = {.reorder = 10 * PERCENT, .seed = 3};
    struct arrivals arrivals;
    struct impair_counters counters = carry(&what, 0, 1, 1000, &arrivals);
    uint32_t late = 0;

    (void)state;
    assert_int_equal(arrivals.count, FRAMES);
    for (uint32_t i = 0; i < FRAMES; i++) {
        /* those that it lets pass, and others that are held at the same time */
        assert_true(arrivals.numbers[i] < i + 2 * IMPAIR_REORDER_MOST + 2);
        late += i && arrivals.numbers[i] < arrivals.numbers[i - 1];
    }
    assert_in_range(counters.reordered, FRAMES / 20, FRAMES / 5);
    assert_true(late > 0);
}

static void the_last_frame_is_not_held_for_ever(void **state)
{
    const struct impairment what = {.reorder = IMPAIR_CERTAIN};
    struct impairer *impairer = impair_create(&what, 0);
    struct impair_frame frame;

    (void)state;
    send_frame(impairer, 1, 1000);
    assert_false(impair_next(impairer, 1000, &frame));
    assert_int_equal(impair_due_ns(impairer), 1000 + IMPAIR_HOLD_NS);
    assert_false(impair_next(impairer, 999 + IMPAIR_HOLD_NS, &frame));
    assert_true(impair_next(impairer, 1000 + IMPAIR_HOLD_NS, &frame));
    impair_destroy(impairer);
}

static void certain_is_always_and_zero_is_never(void **state)
{
    struct impairment what = {.duplicate = IMPAIR_CERTAIN, .corrupt = IMPAIR_CERTAIN};
    struct arrivals arrivals;

    (void)state;
    carry(&what, 0, 1, 1000, &arrivals);
    assert_int_equal(arrivals.count, 2 * FRAMES);
    assert_int_equal(arrivals.damaged, 2 * FRAMES);
    what = (struct impairment){.loss = IMPAIR_CERTAIN};
    carry(&what, 0, 1, 1000, &arrivals);
    assert_int_equal(arrivals.count, 0);
    what = (struct impairment){.delay_ns = 1};
    carry(&what, 0, 1, 1000, &arrivals);
    assert_int_equal(arrivals.count, FRAMES);
    assert_int_equal(arrivals.damaged, 0);
}

static void delay_is_kept_to_the_nanosecond(void **state)
{
    const struct impairment what = {.delay_ns = 5000000};
    struct impairer *impairer = impair_create(&what, 0);
    struct impair_frame frame;

    (void)state;
    assert_int_equal(impair_due_ns(impairer), IMPAIR_NEVER);
    send_frame(impairer, 1, 100);
    send_frame(impairer, 2, 300);
    assert_int_equal(impair_due_ns(impairer), 5000100);
    assert_false(impair_next(impairer, 5000099, &frame));
    assert_true(impair_next(impairer, 5000100, &frame));
    impair_pop(impairer);
    assert_false(impair_next(impairer, 5000299, &frame));
    assert_true(impair_next(impairer, 5000300, &frame));
    impair_pop(impairer);
    assert_int_equal(impair_due_ns(impairer), IMPAIR_NEVER);
    impair_destroy(impairer);
}

/* 124 bytes on the line, with preamble, check sequence and gap. */
static void the_rate_is_that_of_a_line(void **state)
{
    const struct impairment what = {.rate = 124 * 8 * 1000}; /* a frame each millisecond */
    struct impairer *impairer = impair_create(&what, 0);
    struct arrivals arrivals = {0};

    (void)state;
    for (uint32_t i = 0; i < 10; i++)
        send_frame(impairer, i, 0);
    for (uint64_t ms = 0; ms <= 10; ms++) {
        collect(impairer, ms * 1000000, &arrivals);
        assert_int_equal(arrivals.count, ms);
    }
    impair_destroy(impairer);
}

static void what_the_buffer_before_the_line_does_not_hold_is_dropped(void **state)
{
    const struct impairment what = {.rate = 124 * 8 * 1000};
    struct arrivals arrivals;
    struct impair_counters counters = carry(&what, 0, FRAMES, 0, &arrivals);

    (void)state;
    assert_int_equal(arrivals.count + counters.overflowed, FRAMES);
    assert_in_range(arrivals.count, 65536 / 124, 65536 / 124 + 2); /* 64 KiB on the line */
}

/* The memory of the line is a ring: its end is passed several times. */
static void a_long_line_is_gone_round(void **state)
{
    const struct impairment what = {.delay_ns = 100};
    struct impairer *impairer = impair_create(&what, 0);
    struct impair_frame frame;
    uint32_t number;

    (void)state;
    for (uint32_t i = 0; i < 40000; i++) {
        memcpy(impair_reserve(impairer), &i, sizeof(i));
        impair_commit(impairer, 9001 + i % 200, NULL, i * 1000ULL);
        assert_true(impair_next(impairer, i * 1000ULL + 100, &frame));
        assert_int_equal(frame.length, 9001 + i % 200);
        memcpy(&number, frame.bytes, sizeof(number));
        assert_int_equal(number, i);
        impair_pop(impairer);
    }
    assert_int_equal(impair_counters(impairer)->overflowed, 0);
    impair_destroy(impairer);
}

/* It is on the line for as long as its 23 segments are, each with headers of its own. */
static void a_large_send_takes_as_long_as_its_segments(void **state)
{
    const struct impairment what = {.rate = 8000000000ULL, .delay_ns = 500}; /* a byte each ns */
    const struct nic_offload offload = {.segment_size = 1448, .header_length = 66};
    const uint32_t payload = 22 * 1448 + 100;
    const uint64_t takes_ns = payload + 23 * (66 + 24) + 500;
    struct impairer *impairer = impair_create(&what, 0);
    struct impair_frame frame;

    (void)state;
    assert_false(impairment_cuts(&what));
    memset(impair_reserve(impairer), 7, WIRE_LARGE_FRAME_MAX);
    impair_commit(impairer, 66 + payload, &offload, 1000);
    assert_false(impair_next(impairer, 999 + takes_ns, &frame));
    assert_true(impair_next(impairer, 1000 + takes_ns, &frame));
    assert_int_equal(frame.length, 66 + payload);
    assert_int_equal(frame.segment_size, 1448);
    assert_true(frame.checksum_partial);
    assert_int_equal(frame.bytes[66 + payload - 1], 7);
    impair_pop(impairer);
    send_frame(impairer, 1, 1000 + takes_ns);
    assert_true(impair_next(impairer, FOR_EVER, &frame));
    assert_int_equal(frame.segment_size, 0);
    assert_false(frame.checksum_partial);
    impair_destroy(impairer);
}

static void what_picks_single_frames_takes_no_large_sends(void **state)
{
    const struct impairment cut[] = {
        {.loss = 1}, {.reorder = 1}, {.duplicate = 1}, {.corrupt = 1}, {.rate = 100000000}};
    const struct impairment whole[] = {{.delay_ns = 1}, {.rate = IMPAIR_WHOLE_RATE}, {.seed = 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++)
        assert_true(impairment_cuts(&cut[i]));
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        assert_false(impairment_cuts(&whole[i]));
}

static void a_line_that_is_cut_brings_nothing_more(void **state)
{
    const struct impairment what = {.delay_ns = 1000, .reorder = IMPAIR_CERTAIN / 2};
    struct impairer *impairer = impair_create(&what, 0);
    struct arrivals arrivals = {0};

    (void)state;
    for (uint32_t i = 0; i < 50; i++)
        send_frame(impairer, i, i);
    impair_cut_line(impairer);
    assert_int_equal(impair_due_ns(impairer), IMPAIR_NEVER);
    send_frame(impairer, 99, 100);
    collect(impairer, FOR_EVER, &arrivals);
    assert_int_equal(arrivals.count, 1);
    assert_int_equal(arrivals.numbers[0], 99);
    impair_destroy(impairer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_takes_its_share_and_nothing_else),
        cmocka_unit_test(the_same_seed_does_the_same_to_the_same_frames),
        cmocka_unit_test(reordered_frames_are_passed_by_eight_at_most),
        cmocka_unit_test(the_last_frame_is_not_held_for_ever),
        cmocka_unit_test(certain_is_always_and_zero_is_never),
        cmocka_unit_test(delay_is_kept_to_the_nanosecond),
        cmocka_unit_test(the_rate_is_that_of_a_line),
        cmocka_unit_test(what_the_buffer_before_the_line_does_not_hold_is_dropped),
        cmocka_unit_test(a_long_line_is_gone_round),
        cmocka_unit_test(a_large_send_takes_as_long_as_its_segments),
        cmocka_unit_test(what_picks_single_frames_takes_no_large_sends),
        cmocka_unit_test(a_line_that_is_cut_brings_nothing_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
