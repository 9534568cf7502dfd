/* SPDX-License-Identifier: BSD-2-Clause */
/* The module of doc/congestion.md, cut out of it and compiled (congestion_example.c), does what the
 * text says: a link that is full, and next to nothing in its queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dumbbell.h"

extern const struct utcp_cc_ops vegas_module;

static void run(unsigned flows, struct dumbbell_result *result, uint64_t *capacity)
{
    struct dumbbell config = {
        .seed = 1,
        .rate = 100000000,
        .queue = 250000,
        .module = &vegas_module,
        .flows = flows,
        .measure_from_us = 2000000,
        .end_us = 8000000,
    };

    for (unsigned i = 0; i < flows; i++)
        config.flow[i] = (struct dumbbell_flow){
            .congestion = "vegas", .rtt_us = 20000, .start_us = UINT64_C(100000) * i};
    dumbbell_run(&config, result);
    *capacity = dumbbell_capacity(&config);
}

static void it_fills_the_link_and_not_the_queue(void **state)
{
    struct dumbbell_result result;
    uint64_t capacity;

    (void)state;
    run(1, &result, &capacity);
    assert_string_equal(result.info[0].congestion, "vegas");
    assert_true(result.bytes[0] > capacity / 100 * 95);
    assert_in_range(result.queue_us, 0, 1500);
    assert_int_equal(result.dropped, 0);
}

static void two_of_them_fill_it_as_well(void **state)
{
    struct dumbbell_result result;
    uint64_t capacity;

    (void)state;
    run(2, &result, &capacity);
    assert_true(result.bytes[0] + result.bytes[1] > capacity / 100 * 95);
    assert_true(result.bytes[0] > capacity / 10 && result.bytes[1] > capacity / 10);
}

/* A program's own module is the default of its stack, and has a name like any. */
static void it_can_be_had_by_name_or_by_default(void **state)
{
    struct utcp_config config = {.size = sizeof(config), .congestion_module = &vegas_module};

    (void)state;
    utcp_free(utcp_new(&config, 0));
    config.congestion = "vegas";
    utcp_free(utcp_new(&config, 0));
    config.congestion = "cubic";
    utcp_free(utcp_new(&config, 0));
    config.congestion = "warp";
    assert_null(utcp_new(&config, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fills_the_link_and_not_the_queue),
        cmocka_unit_test(two_of_them_fill_it_as_well),
        cmocka_unit_test(it_can_be_had_by_name_or_by_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
