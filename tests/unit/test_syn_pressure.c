/* SPDX-License-Identifier: BSD-2-Clause */
/* runtime/syn_pressure.h in virtual time: floods of all rates, and when they are left to the NIC. */
#include "syn_pressure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after those three */
#include <cmocka.h>

#define CHECK_US 10000
#define LOOK_US  250000
#define SECOND   1000000
#define NEVER    UINT64_MAX
#define PERCENT  20 /* of a core: at 2 µs each 100,000 SYNs */
#define PRICE    2000

struct world {
    struct syn_pressure pressure;
    struct syn_price price;
    unsigned percent;
    uint64_t now;
    uint64_t syns, answered;
    bool asked;
    unsigned asks;
};

static void begin(struct world *world, unsigned percent)
{
    *world = (struct world){.now = 1000 * SECOND, .percent = percent};
    syn_price_init(&world->price);
    assert_int_equal(world->price.ns, SYN_PRESSURE_PRICE_NS);
    world->price.ns = PRICE;
}

static uint64_t left_in_a_check(const struct world *world)
{
    return (uint64_t)syn_pressure_left(&world->price, world->percent) * CHECK_US / SECOND;
}

/* One check of the runtime: SYNs at `rate`, of which the NIC answers what the stack does not want. True: it was told. */
static bool check(struct world *world, uint64_t rate)
{
    uint64_t come = rate * CHECK_US / SECOND;
    uint64_t left = come;
    bool rises;

    world->now += CHECK_US;
    if (world->asked && left > left_in_a_check(world))
        left = left_in_a_check(world);
    world->syns += left;
    world->answered += come - left;
    rises = syn_pressure_rises(&world->pressure, world->now, world->syns, &world->price,
                               world->percent);
    if (!world->asked && rises) {
        world->asked = true;
        world->asks++;
        return syn_pressure_begun(&world->pressure, world->now, world->answered);
    }
    if (world->asked && world->now >= world->pressure.looked_at + LOOK_US &&
        syn_pressure_falls(&world->pressure, world->now, world->answered, &world->price,
                           world->percent)) {
        world->asked = false;
        syn_pressure_ended(&world->pressure, world->now);
    }
    return false;
}

/* How long until it is asked (`asked`) or no longer; NEVER: not within a minute. */
static uint64_t until(struct world *world, uint64_t rate, bool asked)
{
    uint64_t begun = world->now;

    while (world->now - begun < 60 * SECOND) {
        check(world, rate);
        if (world->asked == asked)
            return world->now - begun;
    }
    return NEVER;
}

static void what_the_stack_can_answer_is_left_to_it(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    assert_int_equal(until(&world, 50000, true), NEVER);
    assert_int_equal(until(&world, 99000, true), NEVER);
    assert_in_range(until(&world, 120000, true), 200000, 2 * SECOND);
}

static void a_flood_that_takes_the_core_is_left_to_the_nic_soon(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    assert_in_range(until(&world, 500000, true), CHECK_US, 3 * CHECK_US);
}

/* Ten thousand clients that come back at the same moment are no flood. */
static void a_burst_passes(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    for (int i = 0; i < 10; i++) {
        check(&world, 9000 * (SECOND / CHECK_US));
        assert_false(world.asked);
        for (int j = 0; j < 10; j++)
            check(&world, 0);
    }
}

/* The NIC's count says that the flood goes on: there is no look at the stack's cost meanwhile. */
static void it_lasts_as_long_as_the_flood(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    until(&world, 400000, true);
    assert_int_equal(until(&world, 400000, false), NEVER);
    assert_int_equal(world.asks, 1);
    assert_in_range(until(&world, 0, false), 2 * SECOND - LOOK_US, 2 * SECOND + 2 * LOOK_US);
}

/* From an eighth beyond the share on it lasts; below that it ends, and hardly anything is the NIC's. */
static void it_ends_where_hardly_anything_is_beyond_the_share(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    assert_int_equal(until(&world, 99000, true), NEVER);
    until(&world, 400000, true);
    assert_int_equal(until(&world, 120000, false), NEVER);
    assert_in_range(until(&world, 105000, false), SECOND, 3 * SECOND);
    assert_int_equal(until(&world, 99000, true), NEVER);
}

/* At any rate the stack has its share of the SYNs, no more and no less, from the moment of asking on. */
static void the_stack_keeps_its_share_and_the_nic_has_the_rest(void **state)
{
    static const uint64_t rates[] = {110000, 150000, 400000, 2000000};

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        struct world world;
        uint64_t syns, answered;

        begin(&world, PERCENT);
        assert_int_not_equal(until(&world, rates[i], true), NEVER);
        syns = world.syns;
        answered = world.answered;
        for (int j = 0; j < 100; j++)
            check(&world, rates[i]);
        assert_int_equal(world.syns - syns, 100000);
        assert_int_equal(world.answered - answered, rates[i] - 100000);
    }
}

static void what_is_left_to_the_stack_follows_the_price(void **state)
{
    struct syn_price price = {.ns = 1000};

    (void)state;
    assert_int_equal(syn_pressure_left(&price, 10), 100000);
    assert_int_equal(syn_pressure_left(&price, 0), 0);
    price.ns = 500;
    assert_int_equal(syn_pressure_left(&price, 10), 200000);
    price.ns = 100000; /* the dearest there is, and the least share */
    assert_int_equal(syn_pressure_left(&price, 10), 1000);
    assert_int_equal(syn_pressure_left(&price, 1), 320);
}

/* A flood that pauses for as long as it takes is answered at the NIC for longer each time. */
static void who_comes_again_soon_is_the_same(void **state)
{
    struct world world;
    uint64_t held, last = 0;

    (void)state;
    begin(&world, PERCENT);
    for (int i = 0; i < 5; i++) {
        until(&world, 400000, true);
        held = until(&world, 0, false);
        assert_true(held > last + last / 2);
        last = held;
    }
    assert_true(syn_pressure_calm_at(&world.pressure) > world.now);
    world.now = syn_pressure_calm_at(&world.pressure);
    until(&world, 400000, true);
    assert_in_range(until(&world, 0, false), 2 * SECOND - LOOK_US, 2 * SECOND + 2 * LOOK_US);
}

static void it_is_told_once_for_each_flood(void **state)
{
    struct world world;
    unsigned told = 0;

    (void)state;
    begin(&world, PERCENT);
    assert_int_equal(syn_pressure_calm_at(&world.pressure), NEVER);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 100; j++)
            told += check(&world, 400000);
        until(&world, 0, false);
    }
    assert_int_equal(told, 1);
}

/* With no share at all: as soon as more SYNs find no room than could be chance. */
static void with_no_share_any_flood_is_left_to_the_nic(void **state)
{
    struct world world;

    (void)state;
    begin(&world, 0);
    assert_int_equal(until(&world, 200, true), NEVER);
    assert_in_range(until(&world, 1000, true), CHECK_US, 10 * CHECK_US);
    assert_int_equal(until(&world, 1000, false), NEVER);
    assert_true(until(&world, 0, false) <= 3 * SECOND);
}

/* On a machine where a SYN costs ten times as much, a tenth is too much. */
static void the_price_is_learnt_where_nearly_all_are_syns(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    syn_price_learn(&world.price, 100, 100, 2000);    /* too few */
    syn_price_learn(&world.price, 1000, 700, 20000);  /* too many others */
    syn_price_learn(&world.price, 1000, 1001, 20000); /* of another time */
    assert_int_equal(world.price.ns, 2000);
    for (int i = 0; i < 100; i++)
        syn_price_learn(&world.price, 1000, 800, 20000);
    assert_in_range(world.price.ns, 19990, 20000);
    assert_int_not_equal(until(&world, 15000, true), NEVER);
}

static void no_sample_moves_the_price_far(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    syn_price_learn(&world.price, 1000, 1000, SECOND); /* somebody else had the core */
    assert_true(world.price.ns <= 3500);
    for (int i = 0; i < 100; i++)
        syn_price_learn(&world.price, 1000, 1000, 1);
    assert_in_range(world.price.ns, 200, 210);
    for (int i = 0; i < 100; i++)
        syn_price_learn(&world.price, 256, 256, UINT32_MAX);
    assert_in_range(world.price.ns, 99000, 100000);
}

/* The next switch counts from 0. */
static void another_switch_counts_anew(void **state)
{
    struct world world;

    (void)state;
    begin(&world, PERCENT);
    until(&world, 400000, true);
    for (int i = 0; i < 100; i++)
        check(&world, 400000);
    world.answered = 0;
    assert_int_equal(until(&world, 400000, false), NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_stack_can_answer_is_left_to_it),
        cmocka_unit_test(a_flood_that_takes_the_core_is_left_to_the_nic_soon),
        cmocka_unit_test(a_burst_passes),
        cmocka_unit_test(it_lasts_as_long_as_the_flood),
        cmocka_unit_test(it_ends_where_hardly_anything_is_beyond_the_share),
        cmocka_unit_test(the_stack_keeps_its_share_and_the_nic_has_the_rest),
        cmocka_unit_test(what_is_left_to_the_stack_follows_the_price),
        cmocka_unit_test(who_comes_again_soon_is_the_same),
        cmocka_unit_test(it_is_told_once_for_each_flood),
        cmocka_unit_test(with_no_share_any_flood_is_left_to_the_nic),
        cmocka_unit_test(the_price_is_learnt_where_nearly_all_are_syns),
        cmocka_unit_test(no_sample_moves_the_price_far),
        cmocka_unit_test(another_switch_counts_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
