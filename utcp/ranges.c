/* SPDX-License-Identifier: BSD-2-Clause */
/* A bounded set of numbers as sorted ranges: ranges.h. */
#include <stdlib.h>
#include <string.h>

#include "ranges.h"

#define CAPACITY_FIRST 8

/* The first range that ends at `value` or after it: O(log n). */
static uint32_t first_ending_from(const struct utcp_ranges *ranges, uint64_t value)
{
    uint32_t low = 0, high = ranges->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ranges->at[middle].end < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_at(struct utcp_ranges *ranges, uint32_t index, uint32_t count)
{
    for (uint32_t i = index; i < index + count; i++)
        ranges->size -= (uint32_t)(ranges->at[i].end - ranges->at[i].start);
    memmove(ranges->at + index, ranges->at + index + count,
            (ranges->count - index - count) * sizeof(*ranges->at));
    ranges->count = (uint16_t)(ranges->count - count);
}

static bool grow(struct utcp_ranges *ranges)
{
    uint32_t capacity = ranges->capacity ? 2 * ranges->capacity : CAPACITY_FIRST;
    struct utcp_range *at;

    if (ranges->count < ranges->capacity)
        return true;
    at = realloc(ranges->at, capacity * sizeof(*at));
    if (at == NULL)
        return false;
    ranges->at = at;
    ranges->capacity = (uint16_t)capacity;
    return true;
}

void utcp__ranges_init(struct utcp_ranges *ranges)
{
    *ranges = (struct utcp_ranges){0};
}

void utcp__ranges_dispose(struct utcp_ranges *ranges)
{
    free(ranges->at);
    utcp__ranges_init(ranges);
}

bool utcp__ranges_add(struct utcp_ranges *ranges, uint64_t start, uint64_t end, uint32_t limit)
{
    uint32_t first = first_ending_from(ranges, start), last = first;

    while (last < ranges->count && ranges->at[last].start <= end)
        last++;
    if (last > first) { /* it touches [first, last): they become one */
        if (ranges->at[first].start < start)
            start = ranges->at[first].start;
        if (ranges->at[last - 1].end > end)
            end = ranges->at[last - 1].end;
        remove_at(ranges, first + 1, last - first - 1);
        ranges->size -= (uint32_t)(ranges->at[first].end - ranges->at[first].start);
    } else {
        if (ranges->count >= limit) {
            if (first == ranges->count)
                return false;
            remove_at(ranges, ranges->count - 1, 1);
        }
        if (!grow(ranges))
            return false;
        memmove(ranges->at + first + 1, ranges->at + first,
                (ranges->count - first) * sizeof(*ranges->at));
        ranges->count++;
    }
    ranges->at[first] = (struct utcp_range){start, end};
    ranges->size += (uint32_t)(end - start);
    return true;
}

void utcp__ranges_drop_below(struct utcp_ranges *ranges, uint64_t end)
{
    uint32_t kept = first_ending_from(ranges, end);

    while (kept < ranges->count && ranges->at[kept].end <= end)
        kept++;
    if (kept)
        remove_at(ranges, 0, kept);
    if (ranges->count && ranges->at[0].start < end) {
        ranges->size -= (uint32_t)(end - ranges->at[0].start);
        ranges->at[0].start = end;
    }
}

bool utcp__ranges_gap(const struct utcp_ranges *ranges, uint64_t from, uint64_t end,
                      struct utcp_range *gap)
{
    uint32_t next = first_ending_from(ranges, from + 1);

    if (next < ranges->count && ranges->at[next].start <= from)
        from = ranges->at[next++].end;
    if (from >= end)
        return false;
    gap->start = from;
    gap->end = next < ranges->count && ranges->at[next].start < end ? ranges->at[next].start : end;
    return true;
}

bool utcp__ranges_meet(const struct utcp_ranges *ranges, uint64_t from, uint64_t end,
                       struct utcp_range *range)
{
    uint32_t at = first_ending_from(ranges, from + 1);

    if (at == ranges->count || ranges->at[at].start >= end)
        return false;
    range->start = ranges->at[at].start < from ? from : ranges->at[at].start;
    range->end = ranges->at[at].end < end ? ranges->at[at].end : end;
    return true;
}

bool utcp__ranges_find(const struct utcp_ranges *ranges, uint64_t number, struct utcp_range *range)
{
    uint32_t at = first_ending_from(ranges, number + 1);

    if (at == ranges->count || ranges->at[at].start > number)
        return false;
    *range = ranges->at[at];
    return true;
}
