/* SPDX-License-Identifier: BSD-2-Clause */
/* The histogram of durations: its buckets, its error bound, merging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"

#define SAMPLES 20000

static const double percents[] = {0.001, 1, 10, 50, 90, 99, 99.9, 99.999, 100};

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Of sorted samples, by counting: the least that `percent` of them do not exceed. */
static uint64_t exact(const uint64_t *samples, uint32_t count, double percent)
{
    uint32_t at = 0;

    while ((double)(at + 1) * 100 < percent * count)
        at++;
    return samples[at];
}

static void nothing_recorded_is_zero(void **state)
{
    static struct histogram histogram, other;

    (void)state;
    histogram_merge(&histogram, &other);
    assert_int_equal(histogram.count, 0);
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal(histogram_percentile(&histogram, 100), 0);
    assert_true(histogram_mean(&histogram) == 0);
}

/* Around each power of two, where buckets change their width: with one greater value above, a
 * percentile is the value or above it by less than 1 in 128. */
static void each_value_is_kept_within_the_bound(void **state)
{
    static struct histogram histogram;

    (void)state;
    for (uint32_t power = 0; power < HISTOGRAM_BITS; power++) {
        for (int64_t off = -2; off <= 2; off++) {
            uint64_t value = (uint64_t)((int64_t)(1ULL << power) + off), got;

            if ((int64_t)value < 0 || value >> HISTOGRAM_BITS)
                continue;
            memset(&histogram, 0, sizeof(histogram));
            histogram_record(&histogram, value);
            histogram_record(&histogram, UINT64_MAX / 2);
            got = histogram_percentile(&histogram, 50);
            assert_true(got >= value);
            assert_true((got - value) * HISTOGRAM_STEPS <= value);
            if (value < HISTOGRAM_STEPS)
                assert_int_equal(got, value);
        }
    }
}

static void percentiles_of_many_are_those_of_a_sort(void **state)
{
    static struct histogram histogram;
    static uint64_t samples[SAMPLES];
    double sum = 0;

    (void)state;
    srandom(7);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        samples[i] = (uint64_t)random() >> (random() % 31); /* of all magnitudes */
        sum += (double)samples[i];
        histogram_record(&histogram, samples[i]);
    }
    qsort(samples, SAMPLES, sizeof(*samples), compare);
    for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
        uint64_t want = exact(samples, SAMPLES, percents[i]);
        uint64_t got = histogram_percentile(&histogram, percents[i]);

        assert_true(got >= want);
        assert_true((got - want) * HISTOGRAM_STEPS <= want);
    }
    assert_int_equal(histogram.count, SAMPLES);
    assert_int_equal(histogram.least, samples[0]);
    assert_int_equal(histogram.most, samples[SAMPLES - 1]);
    assert_int_equal(histogram_percentile(&histogram, 100), samples[SAMPLES - 1]);
    assert_true(histogram_mean(&histogram) == sum / SAMPLES);
}

static void what_is_beyond_the_last_bucket_counts_there(void **state)
{
    static struct histogram histogram;

    (void)state;
    histogram_record(&histogram, 1);
    histogram_record(&histogram, UINT64_MAX);
    histogram_record(&histogram, 1ULL << HISTOGRAM_BITS);
    assert_int_equal(histogram_percentile(&histogram, 33), 1);
    assert_true(histogram_percentile(&histogram, 60) == UINT64_MAX);
    assert_true(histogram_percentile(&histogram, 100) == UINT64_MAX);
}

static void a_merge_is_as_if_one_had_recorded_all(void **state)
{
    static struct histogram all, parts[2];

    (void)state;
    srandom(9);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t sample = (uint64_t)random() >> (random() % 31);

        histogram_record(&all, sample);
        histogram_record(&parts[sample % 3 == 0], sample);
    }
    histogram_merge(&parts[0], &parts[1]);
    assert_memory_equal(&parts[0], &all, sizeof(all));
    memset(&parts[1], 0, sizeof(parts[1]));
    histogram_merge(&parts[0], &parts[1]);
    histogram_merge(&parts[1], &parts[0]);
    assert_memory_equal(&parts[0], &all, sizeof(all));
    assert_memory_equal(&parts[1], &all, sizeof(all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_recorded_is_zero),
        cmocka_unit_test(each_value_is_kept_within_the_bound),
        cmocka_unit_test(percentiles_of_many_are_those_of_a_sort),
        cmocka_unit_test(what_is_beyond_the_last_bucket_counts_there),
        cmocka_unit_test(a_merge_is_as_if_one_had_recorded_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
