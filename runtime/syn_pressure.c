/* SPDX-License-Identifier: BSD-2-Clause */
/* syn_pressure.h */
#include "syn_pressure.h"

#define BUCKET_US   100000
#define SYNS_LEAST  32 /* within BUCKET_US: fewer are nothing, whatever they cost */
#define LEARN_LEAST 256
#define PRICE_LEAST 200
#define PRICE_MOST  100000
#define HOLD_FIRST  2000000
#define HOLD_MOST   64000000
#define CALM_FOR    3000000
#define ENDS_BELOW  8 /* one part in so many of the share */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void syn_price_init(struct syn_price *price)
{
    price->ns = SYN_PRESSURE_PRICE_NS;
}

/* One sample may be far too high, where somebody else had the core meanwhile. */
void syn_price_learn(struct syn_price *price, uint64_t packets, uint64_t syns, uint64_t busy_us)
{
    uint64_t sample;

    if (packets < LEARN_LEAST || syns > packets || syns < packets - packets / 4)
        return;
    sample = least(busy_us * 1000 / packets, price->ns * 4);
    if (sample < PRICE_LEAST)
        sample = PRICE_LEAST;
    price->ns = least((price->ns * 3 + sample) / 4, PRICE_MOST);
}

/* Of a core, for SYNs: ps in a µs. */
static uint64_t share(const struct syn_price *price, unsigned percent)
{
    uint64_t given = (uint64_t)percent * 10000, floor = SYNS_LEAST * price->ns * 1000 / BUCKET_US;

    return given > floor ? given : floor;
}

static uint64_t cost(const struct syn_price *price, uint64_t syns)
{
    return least(syns, UINT32_MAX) * price->ns * 1000;
}

bool syn_pressure_rises(struct syn_pressure *pressure, uint64_t now, uint64_t syns,
                        const struct syn_price *price, unsigned percent)
{
    uint64_t each = share(price, percent), room = each * BUCKET_US;
    uint64_t drained = least(now - pressure->drained_at, BUCKET_US) * each;

    pressure->level_ps -= least(drained, pressure->level_ps);
    pressure->level_ps += cost(price, syns - pressure->syns);
    pressure->drained_at = now;
    pressure->syns = syns;
    if (pressure->level_ps < room)
        return false;
    pressure->level_ps = room;
    return true;
}

uint32_t syn_pressure_left(const struct syn_price *price, unsigned percent)
{
    return percent ? (uint32_t)(share(price, percent) * 1000 / price->ns) : 0;
}

bool syn_pressure_begun(struct syn_pressure *pressure, uint64_t now, uint64_t answered)
{
    bool again = pressure->hold && now - pressure->ended_at < CALM_FOR;

    pressure->hold = again ? least(pressure->hold * 2, HOLD_MOST) : HOLD_FIRST;
    pressure->ends_at = now + pressure->hold;
    pressure->answered = answered;
    pressure->looked_at = now;
    return !again;
}

bool syn_pressure_falls(struct syn_pressure *pressure, uint64_t now, uint64_t answered,
                        const struct syn_price *price, unsigned percent)
{
    /* The count begins anew where another switch has come. */
    uint64_t count = answered < pressure->answered ? answered : answered - pressure->answered;
    uint64_t elapsed = now - pressure->looked_at;

    if (!elapsed)
        return false;
    pressure->answered = answered;
    pressure->looked_at = now;
    if (cost(price, count) * ENDS_BELOW >= share(price, percent) * elapsed)
        pressure->ends_at = now + pressure->hold;
    return now >= pressure->ends_at;
}

void syn_pressure_ended(struct syn_pressure *pressure, uint64_t now)
{
    pressure->ended_at = now;
    pressure->level_ps = 0;
    pressure->drained_at = now;
}

uint64_t syn_pressure_calm_at(const struct syn_pressure *pressure)
{
    return pressure->hold ? pressure->ended_at + CALM_FOR : UINT64_MAX;
}
