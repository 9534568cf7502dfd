/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded set of 64-bit numbers, kept as sorted ranges that neither overlap nor touch. */
#ifndef UTCP_RANGES_H
#define UTCP_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct utcp_range {
    uint64_t start, end; /* end: the first number that is not in it */
};

struct utcp_ranges {
    struct utcp_range *at;
    uint16_t count, capacity;
    uint32_t size; /* numbers in the set: the user sees to it that they are no more than fit */
};

void utcp__ranges_init(struct utcp_ranges *ranges);
void utcp__ranges_dispose(struct utcp_ranges *ranges);

/* Adds the numbers from `start` up to `end`. When that would make more than `limit` ranges, the
 * highest range is left out, be it an old one or the new one. False: nothing was added, because the
 * new one was the highest or memory ran out. */
bool utcp__ranges_add(struct utcp_ranges *ranges, uint64_t start, uint64_t end, uint32_t limit);

/* Takes out everything below `end`. */
void utcp__ranges_drop_below(struct utcp_ranges *ranges, uint64_t end);

/* The first stretch of [from, end) that is not in the set. False: all of it is. */
bool utcp__ranges_gap(const struct utcp_ranges *ranges, uint64_t from, uint64_t end,
                      struct utcp_range *gap);

/* The first stretch of [from, end) that is in the set. False: nothing of it is. */
bool utcp__ranges_meet(const struct utcp_ranges *ranges, uint64_t from, uint64_t end,
                       struct utcp_range *range);

/* The range that `number` is in; false: none. */
bool utcp__ranges_find(const struct utcp_ranges *ranges, uint64_t number, struct utcp_range *range);

#endif
