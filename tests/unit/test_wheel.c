/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer wheel against a naive one: an array that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wheel.h"

#define TIMERS 200
#define TICK   (UINT64_C(1) << WHEEL_TICK_BITS)

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return random_state >> 11;
}

/* Delays of every magnitude. */
static uint64_t random_delay(void)
{
    return next_random() & ((UINT64_C(1) << next_random() % 45) - 1);
}

struct naive {
    struct utcp_wheel_timer timer;
    uint64_t due; /* the tick's time; UINT64_MAX: not running */
};

static uint64_t due_time(uint64_t now, uint64_t when)
{
    uint64_t tick = (when + TICK - 1) / TICK * TICK, next = now / TICK * TICK + TICK;

    return tick > next ? tick : next;
}

static uint64_t first_due(const struct naive *timers)
{
    uint64_t first = UINT64_MAX;

    for (int i = 0; i < TIMERS; i++)
        if (timers[i].due < first)
            first = timers[i].due;
    return first;
}

static void run_against_naive(uint64_t seed, uint64_t now)
{
    static struct utcp_wheel wheel;
    static struct naive timers[TIMERS];

    random_state = seed;
    utcp__wheel_init(&wheel, now);
    for (int i = 0; i < TIMERS; i++) {
        utcp__wheel_timer_init(&timers[i].timer);
        timers[i].due = UINT64_MAX;
    }
    for (int step = 0; step < 5000; step++) {
        struct naive *one = &timers[next_random() % TIMERS];
        struct utcp_wheel_timer *due;
        uint64_t before = 0;

        if (next_random() % 4) {
            uint64_t when = now + random_delay();

            utcp__wheel_start(&wheel, &one->timer, when);
            one->due = due_time(now, when);
        } else {
            utcp__wheel_stop(&wheel, &one->timer);
            one->due = UINT64_MAX;
        }
        assert_true(utcp__wheel_next(&wheel) <= first_due(timers));
        if (next_random() % 3)
            continue;
        now = next_random() % 2 ? now + random_delay() / 16 : utcp__wheel_next(&wheel);
        if (now == UINT64_MAX)
            now = wheel.hand * TICK;
        while ((due = utcp__wheel_due(&wheel, now)) != NULL) {
            struct naive *naive = list_member(due, struct naive, timer);

            assert_true(naive->due <= now);
            assert_true(naive->due >= before);
            before = naive->due;
            naive->due = UINT64_MAX;
        }
        assert_true(first_due(timers) > now);
    }
}

static void it_runs_the_timers_that_an_array_would_in_their_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_against_naive(seed, seed * 0x123456789);
    run_against_naive(99, 0);
}

static void an_empty_wheel_needs_no_turning(void **state)
{
    static struct utcp_wheel wheel;

    (void)state;
    utcp__wheel_init(&wheel, 12345);
    assert_true(utcp__wheel_next(&wheel) == UINT64_MAX);
    assert_null(utcp__wheel_due(&wheel, UINT64_MAX / 2));
}

static void a_timer_far_away_is_not_lost(void **state)
{
    static struct utcp_wheel wheel;
    struct utcp_wheel_timer timer;
    uint64_t when = UINT64_MAX / TICK * TICK - TICK;

    (void)state;
    utcp__wheel_init(&wheel, 0);
    utcp__wheel_timer_init(&timer);
    utcp__wheel_start(&wheel, &timer, when);
    assert_null(utcp__wheel_due(&wheel, when - 2 * TICK));
    assert_ptr_equal(utcp__wheel_due(&wheel, when), &timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_runs_the_timers_that_an_array_would_in_their_order),
        cmocka_unit_test(an_empty_wheel_needs_no_turning),
        cmocka_unit_test(a_timer_far_away_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
