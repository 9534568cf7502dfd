/* SPDX-License-Identifier: BSD-2-Clause */
/* histogram.h */
#include "histogram.h"

static uint32_t bucket_of(uint64_t ns)
{
    uint32_t power;

    if (ns < HISTOGRAM_STEPS)
        return (uint32_t)ns;
    if (ns >> HISTOGRAM_BITS)
        return HISTOGRAM_BUCKETS - 1;
    power = 63 - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
    /* the highest bit of the shifted value is the step from one row to the next */
    return power * HISTOGRAM_STEPS + (uint32_t)(ns >> power);
}

static uint64_t greatest_of(uint32_t bucket)
{
    uint32_t power = bucket < HISTOGRAM_STEPS ? 0 : bucket / HISTOGRAM_STEPS - 1;

    return ((uint64_t)(bucket - power * HISTOGRAM_STEPS + 1) << power) - 1;
}

void histogram_record_times(struct histogram *histogram, uint64_t ns, uint64_t times)
{
    if (!times)
        return;
    histogram->buckets[bucket_of(ns)] += times;
    if (!histogram->count || ns < histogram->least)
        histogram->least = ns;
    if (ns > histogram->most)
        histogram->most = ns;
    histogram->sum += ns * times;
    histogram->count += times;
}

void histogram_record(struct histogram *histogram, uint64_t ns)
{
    histogram_record_times(histogram, ns, 1);
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    if (!other->count)
        return;
    if (!histogram->count || other->least < histogram->least)
        histogram->least = other->least;
    if (other->most > histogram->most)
        histogram->most = other->most;
    histogram->count += other->count;
    histogram->sum += other->sum;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    double wanted = percent * (double)histogram->count; /* of hundredths */
    uint64_t seen = 0;

    if (percent >= 100)
        return histogram->most;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen && (double)seen * 100 >= wanted)
            return greatest_of(i) < histogram->most ? greatest_of(i) : histogram->most;
    }
    return histogram->most; /* the last bucket has no bound */
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}
