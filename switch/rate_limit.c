/* SPDX-License-Identifier: BSD-2-Clause */
/* rate_limit.h */
#include "rate_limit.h"

#include <errno.h>
#include <stddef.h>

/* A bucket that is full: of a rate in units a second. */
static int64_t burst_of(uint64_t rate)
{
    uint64_t burst = rate * RATE_BURST_NS;

    return burst < (uint64_t)RATE_UNIT ? RATE_UNIT : (int64_t)burst;
}

static bool in_range(uint64_t rate, uint64_t min, uint64_t max)
{
    return rate == 0 || (rate >= min && rate <= max);
}

int port_rates_add(struct port_rates *rates, const struct channel_port_rate *rule)
{
    if ((rule->who != CHANNEL_WHO_ANYBODY && rule->who != CHANNEL_WHO_USER) ||
        !in_range(rule->packets_s, PORT_PACKETS_MIN, PORT_PACKETS_MAX) ||
        !in_range(rule->bits_s, PORT_BITS_MIN, PORT_BITS_MAX))
        return -EINVAL;
    if (rates->count == CHANNEL_PORT_RATES_MAX)
        return -ENOSPC;
    rates->rules[rates->count++] = *rule;
    return 0;
}

bool port_rates_limit(const struct port_rates *rates, uint32_t uid, uint32_t ring_count,
                      struct rate_limit *limit)
{
    const struct channel_port_rate *found = NULL;

    *limit = (struct rate_limit){.packets_s = 0};
    for (uint32_t i = 0; i < rates->count; i++) {
        const struct channel_port_rate *rule = &rates->rules[i];

        if (rule->who == CHANNEL_WHO_USER ? rule->id == uid : !found)
            found = rule;
    }
    if (!found || (!found->packets_s && !found->bits_s))
        return false;
    limit->packets_s = found->packets_s / ring_count;
    limit->bytes_s = found->bits_s / 8 / ring_count;
    limit->packets = burst_of(limit->packets_s);
    limit->bytes = burst_of(limit->bytes_s);
    return true;
}

static void fill(int64_t *bucket, uint64_t rate, uint64_t passed_ns)
{
    int64_t burst = burst_of(rate);
    /* from a deep debt it may take longer than a burst to come back, but what is added must fit */
    uint64_t longest = (uint64_t)(burst - *bucket) / (rate ? rate : 1) + 1;

    *bucket += (int64_t)(rate * (passed_ns < longest ? passed_ns : longest));
    if (*bucket > burst)
        *bucket = burst;
}

void rate_limit_fill(struct rate_limit *limit, uint64_t now_ns)
{
    uint64_t passed = now_ns > limit->filled_ns ? now_ns - limit->filled_ns : 0;

    limit->filled_ns = now_ns;
    if (limit->packets_s)
        fill(&limit->packets, limit->packets_s, passed);
    if (limit->bytes_s)
        fill(&limit->bytes, limit->bytes_s, passed);
}

/* ns until the bucket has one whole unit. */
static uint64_t wait_for(int64_t bucket, uint64_t rate)
{
    if (!rate || bucket >= RATE_UNIT)
        return 0;
    return ((uint64_t)(RATE_UNIT - bucket) + rate - 1) / rate;
}

uint64_t rate_limit_due(const struct rate_limit *limit, uint64_t now_ns)
{
    uint64_t packets = wait_for(limit->packets, limit->packets_s);
    uint64_t bytes = wait_for(limit->bytes, limit->bytes_s);
    uint64_t due = now_ns + (packets > bytes ? packets : bytes);

    return (due / RATE_TICK_NS + 1) * RATE_TICK_NS;
}
