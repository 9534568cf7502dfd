/* SPDX-License-Identifier: BSD-2-Clause */
/* A histogram of durations in fixed memory, log-linear: below HISTOGRAM_STEPS ns each value has a
 * bucket of its own, and above it every power of two is cut into HISTOGRAM_STEPS buckets of equal
 * width.
 *
 *   0 1 2 … 127 │ 128 129 … 255 │ 256 258 … 510 │ 512 516 … 1020 │ …
 *   width 1     │ 1             │ 2             │ 4              │
 *
 * So a bucket is never wider than its least value / HISTOGRAM_STEPS. A percentile is the greatest
 * value of its bucket, or the greatest recorded if that is less: never below the exact one, and above
 * it by less than 1 in 128 (0.8 %). Count, least, greatest and mean are exact.
 *
 * Recording is a few instructions; a histogram belongs to one thread. */
#ifndef MULTISTACK_HISTOGRAM_H
#define MULTISTACK_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 7
#define HISTOGRAM_STEPS     (1U << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BITS      40 /* 18 minutes; what is longer counts in the last bucket */
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_BITS - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count;
    uint64_t sum;         /* ns; of 584 years it has room */
    uint64_t least, most; /* ns; 0 while nothing is recorded */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* An empty histogram is all zero. */
void histogram_record(struct histogram *histogram, uint64_t ns);

/* The same value `times` times. */
void histogram_record_times(struct histogram *histogram, uint64_t ns, uint64_t times);

/* As if `histogram` had recorded what `other` did. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The least value (as exact as said above, in ns) that `percent` of all that was recorded do not
 * exceed; 0 when nothing was. `percent`: above 0, up to 100, which is the greatest, exactly. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

double histogram_mean(const struct histogram *histogram); /* ns; 0 when nothing was recorded */

#endif
