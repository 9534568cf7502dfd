/* SPDX-License-Identifier: BSD-2-Clause */
/* common/adaptive_poll.h in virtual time: what a loop decides, and what it costs. */
#include "adaptive_poll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after those three */
#include <cmocka.h>

#define US       1000ULL
#define BOUND_US 50
#define LOOK_NS  200 /* a round without work */

struct world {
    struct adaptive_poll poll;
    uint64_t now_ns;
    uint64_t polled_ns; /* in all */
    uint64_t sleeps, hits;
    bool wanted; /* others want the core */
    uint64_t wake_ns;
};

static void begin(struct world *world, uint32_t bound_us)
{
    *world = (struct world){.now_ns = 1000 * US, .wake_ns = 60 * US};
    adaptive_poll_init(&world->poll, bound_us);
}

/* Nothing to do for `gap_ns`, then a packet. */
static void idle_for(struct world *world, uint64_t gap_ns)
{
    uint64_t until = world->now_ns + gap_ns;

    while (world->now_ns < until) {
        enum adaptive_poll_advice advice = adaptive_poll_idle(&world->poll, world->now_ns);

        if (advice == ADAPTIVE_POLL_OFFER && world->wanted) {
            world->now_ns += 100 * US; /* the other's turn */
            adaptive_poll_contended(&world->poll, world->now_ns);
            advice = ADAPTIVE_POLL_SLEEP;
        }
        if (advice == ADAPTIVE_POLL_SLEEP) {
            world->sleeps++;
            world->now_ns = (until > world->now_ns ? until : world->now_ns) + world->wake_ns;
            break;
        }
        world->now_ns += LOOK_NS;
        world->polled_ns += LOOK_NS;
        if (world->now_ns >= until)
            world->hits++;
    }
    adaptive_poll_worked(&world->poll, world->now_ns);
    world->now_ns += 2 * US; /* the work */
    adaptive_poll_worked(&world->poll, world->now_ns);
}

static void idle_times(struct world *world, unsigned count, uint64_t gap_ns)
{
    while (count--)
        idle_for(world, gap_ns);
}

static void forget_counts(struct world *world)
{
    world->polled_ns = world->sleeps = world->hits = 0;
}

static void test_never(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 0);
    idle_times(&world, 1000, 1 * US);
    assert_int_equal(world.polled_ns, 0);
    assert_int_equal(world.sleeps, 1000);
}

static void test_always(void **state)
{
    struct world world;

    (void)state;
    begin(&world, ADAPTIVE_POLL_ALWAYS);
    world.wanted = true;
    idle_times(&world, 10, 1000000 * US);
    assert_int_equal(world.sleeps, 0);
    assert_int_equal(world.hits, 10);
}

static void test_short_gaps_are_polled_through(void **state)
{
    struct world world;

    (void)state;
    begin(&world, BOUND_US);
    /* It has to find out: what it sleeps through always seems longer than the bound. */
    idle_times(&world, 20 * ADAPTIVE_POLL_DOUBTS, 10 * US);
    forget_counts(&world);
    idle_times(&world, 1000, 10 * US);
    assert_int_equal(world.hits, 1000);
    assert_int_equal(world.sleeps, 0);
}

static void test_long_gaps_are_slept_through(void **state)
{
    struct world world;

    (void)state;
    begin(&world, BOUND_US);
    idle_times(&world, 1000, 1000 * US);
    assert_int_equal(world.polled_ns, 0);
    assert_int_equal(world.sleeps, 1000);
}

/* Load comes and goes: within some ten idle times it has noticed. */
static void test_follows_the_load(void **state)
{
    struct world world;

    (void)state;
    begin(&world, BOUND_US);
    for (unsigned round = 0; round < 5; round++) {
        idle_times(&world, 20 * ADAPTIVE_POLL_DOUBTS, 5 * US);
        forget_counts(&world);
        idle_times(&world, 1000, 1000 * US);
        assert_in_range(world.polled_ns, 1, 12 * BOUND_US * US);
    }
}

/* Whatever the gaps are, polling takes no more than about what it saves. */
static void test_costs_what_it_saves(void **state)
{
    struct world world;

    (void)state;
    for (unsigned share = 0; share <= 10; share++) {
        uint64_t saved;

        begin(&world, BOUND_US);
        for (unsigned i = 0; i < 10000; i++)
            idle_for(&world, (i * 7 % 10) < share ? 20 * US : 500 * US);
        saved = world.hits * BOUND_US * US;
        assert_true(world.polled_ns <= saved + saved / 4 + world.sleeps * BOUND_US * US / 20);
    }
}

static void test_gap_just_above_the_bound(void **state)
{
    struct world world;

    (void)state;
    begin(&world, BOUND_US);
    idle_times(&world, 10000, (BOUND_US + 1) * US);
    /* it looks again and again, as it cannot know, but seldom */
    assert_in_range(world.polled_ns, 1, 10000 * BOUND_US * US / ADAPTIVE_POLL_DOUBTS);
}

static void test_leaves_the_core_to_others(void **state)
{
    struct world world;

    (void)state;
    begin(&world, BOUND_US);
    idle_times(&world, 20 * ADAPTIVE_POLL_DOUBTS, 10 * US);
    forget_counts(&world);
    world.wanted = true;
    idle_times(&world, 100000, 10 * US);                                  /* some 7 s */
    assert_in_range(world.polled_ns, 1, 50 * 2 * ADAPTIVE_POLL_FIRST_NS); /* until it offers */
    forget_counts(&world);
    world.wanted = false;
    idle_times(&world, 100000, 10 * US);
    assert_in_range(world.hits, 50000, 100000);
}

static void test_offers_the_core_while_it_polls(void **state)
{
    struct adaptive_poll poll;
    uint64_t now_ns = 5, offers = 0;

    (void)state;
    adaptive_poll_init(&poll, 1000);
    poll.hits = ADAPTIVE_POLL_ONE;
    for (; now_ns < 100 * US; now_ns += 100) {
        enum adaptive_poll_advice advice = adaptive_poll_idle(&poll, now_ns);

        if (now_ns <= 5 + ADAPTIVE_POLL_FIRST_NS)
            assert_int_equal(advice == ADAPTIVE_POLL_OFFER, now_ns == 5 + ADAPTIVE_POLL_FIRST_NS);
        assert_int_not_equal(advice, ADAPTIVE_POLL_SLEEP);
        offers += advice == ADAPTIVE_POLL_OFFER;
    }
    assert_int_equal(offers, 100 * US / ADAPTIVE_POLL_YIELD_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_always),
        cmocka_unit_test(test_short_gaps_are_polled_through),
        cmocka_unit_test(test_long_gaps_are_slept_through),
        cmocka_unit_test(test_follows_the_load),
        cmocka_unit_test(test_costs_what_it_saves),
        cmocka_unit_test(test_gap_just_above_the_bound),
        cmocka_unit_test(test_leaves_the_core_to_others),
        cmocka_unit_test(test_offers_the_core_while_it_polls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
