/* SPDX-License-Identifier: BSD-2-Clause */
/* The bounded set of ranges against a naive one: a flag for each number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ranges.h"

#define NUMBERS 400

static void assert_same(const struct utcp_ranges *ranges, const bool *set)
{
    uint32_t count = 0, size = 0;

    for (uint32_t i = 0; i < NUMBERS; i++) {
        if (!set[i])
            continue;
        if (i == 0 || !set[i - 1]) {
            assert_true(count < ranges->count);
            assert_true(ranges->at[count].start == i);
            count++;
        }
        if (i + 1 == NUMBERS || !set[i + 1])
            assert_true(ranges->at[count - 1].end == i + 1);
        size++;
    }
    assert_int_equal(ranges->count, count);
    assert_true(ranges->size == size);
}

static uint32_t runs_in(const bool *set)
{
    uint32_t runs = 0;

    for (uint32_t i = 0; i < NUMBERS; i++)
        runs += set[i] && (i == 0 || !set[i - 1]);
    return runs;
}

/* What utcp__ranges_add() promises, done by hand. */
static bool naive_add(bool *set, uint32_t start, uint32_t end, uint32_t limit)
{
    bool after[NUMBERS];
    uint32_t last = NUMBERS;

    memcpy(after, set, sizeof(after));
    memset(after + start, true, end - start);
    if (runs_in(after) > limit) {
        while (!after[last - 1])
            last--;
        if (last == end && (start == 0 || !set[start - 1]))
            return false; /* the new one is the highest */
        while (last && after[last - 1])
            after[--last] = false;
    }
    memcpy(set, after, sizeof(after));
    return true;
}

static void it_holds_what_flags_would(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 300; round++) {
        struct utcp_ranges ranges;
        bool set[NUMBERS] = {false};
        uint32_t limit = 1 + (uint32_t)rand() % 30;

        utcp__ranges_init(&ranges);
        for (int step = 0; step < 100; step++) {
            uint32_t start = (uint32_t)rand() % (NUMBERS - 20);
            uint32_t end = start + 1 + (uint32_t)rand() % (round % 2 ? 3 : 20);

            if (rand() % 10 == 0) {
                utcp__ranges_drop_below(&ranges, start / 4);
                memset(set, false, start / 4);
            } else {
                assert_int_equal(utcp__ranges_add(&ranges, start, end, limit),
                                 naive_add(set, start, end, limit));
            }
            assert_same(&ranges, set);
        }
        utcp__ranges_dispose(&ranges);
    }
}

static void gaps_are_found_one_after_the_other(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 500; round++) {
        struct utcp_ranges ranges;
        bool set[NUMBERS] = {false}, covered[NUMBERS];
        uint64_t from = (uint64_t)rand() % NUMBERS, end = from + (uint64_t)rand() % NUMBERS;
        struct utcp_range gap;

        utcp__ranges_init(&ranges);
        for (int i = 0; i < 10; i++) {
            uint32_t start = (uint32_t)rand() % (NUMBERS - 20), stop = start + 1 + rand() % 19u;

            utcp__ranges_add(&ranges, start, stop, 100);
            memset(set + start, true, stop - start);
        }
        if (end > NUMBERS)
            end = NUMBERS;
        memcpy(covered, set, sizeof(covered));
        for (uint64_t at = from; utcp__ranges_gap(&ranges, at, end, &gap); at = gap.end) {
            assert_true(gap.start >= at && gap.end > gap.start && gap.end <= end);
            for (uint64_t i = gap.start; i < gap.end; i++) {
                assert_false(covered[i]);
                covered[i] = true;
            }
        }
        for (uint64_t i = from; i < end; i++)
            assert_true(covered[i]);
        utcp__ranges_dispose(&ranges);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_flags_would),
        cmocka_unit_test(gaps_are_found_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
