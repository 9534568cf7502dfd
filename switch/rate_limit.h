/* SPDX-License-Identifier: BSD-2-Clause */
/* How much a port may send (--port-rate): packets and bytes in a second, two token buckets.
 *
 * A port's rate is divided by its rings, each of which has a bucket pair of its own: a ring belongs to
 * one worker, so no worker has to ask another, and together they never send more than the port may. A
 * port that sends by one of R rings alone so gets 1/R of its rate.
 *
 * A bucket holds what may be sent in RATE_BURST_NS, or one packet if that is less. Time fills it, by
 * the clock that the worker reads once in a round. Bytes are paid as they take time on the wire,
 * header, check sequence and gap included; packets as frames, so a large send costs as many as it is
 * cut into. What the last record of a turn was longer than what was left, is owed. So in any time t a
 * ring sends at most rate * t + burst, and one record. */
#ifndef MULTISTACK_SWITCH_RATE_LIMIT_H
#define MULTISTACK_SWITCH_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"

#define RATE_BURST_NS 10000000ULL /* 10 ms */
#define RATE_TICK_NS  1000000ULL  /* rings go on at multiples of it, several at a time */
#define RATE_UNIT     1000000000LL

/* So that a sixteenth of it is a rate still, and a burst, in RATE_UNITs, fits into 64 bits. */
#define PORT_PACKETS_MIN 100ULL
#define PORT_PACKETS_MAX 1000000000ULL
#define PORT_BITS_MIN    10000ULL
#define PORT_BITS_MAX    1000000000000ULL

/* One ring's. A rate of 0: no limit. */
struct rate_limit {
    uint64_t packets_s, bytes_s;
    int64_t packets, bytes; /* that it may send, in parts of 1/RATE_UNIT; below 0: owed */
    uint64_t filled_ns;     /* up to when */
    uint32_t more_frames;   /* sent in this turn, beyond one for each record */
};

/* What the keeper said: a rate for each port of some users, and one for all others. */
struct port_rates {
    struct channel_port_rate rules[CHANNEL_PORT_RATES_MAX];
    uint32_t count;
};

/* -EINVAL or -ENOSPC: a message that makes no sense. */
int port_rates_add(struct port_rates *rates, const struct channel_port_rate *rule);

/* The limit of one of `ring_count` rings of a port of the user, its buckets full. False: there is
 * none. */
bool port_rates_limit(const struct port_rates *rates, uint32_t uid, uint32_t ring_count,
                      struct rate_limit *limit);

void rate_limit_fill(struct rate_limit *limit, uint64_t now_ns);

/* When the ring may go on that may not send now; at least the next tick. */
uint64_t rate_limit_due(const struct rate_limit *limit, uint64_t now_ns);

static inline bool rate_limit_allows(const struct rate_limit *limit)
{
    return (!limit->packets_s || limit->packets >= RATE_UNIT) &&
           (!limit->bytes_s || limit->bytes >= RATE_UNIT);
}

/* Packets and bytes of which it may send all; where rate_limit_allows(). */
static inline uint32_t rate_limit_packets(const struct rate_limit *limit)
{
    return limit->packets_s ? (uint32_t)(limit->packets / RATE_UNIT) : UINT32_MAX;
}

static inline uint64_t rate_limit_bytes(const struct rate_limit *limit)
{
    return limit->bytes_s ? (uint64_t)(limit->bytes / RATE_UNIT) : UINT64_MAX;
}

/* Pays for a turn. */
static inline void rate_limit_take(struct rate_limit *limit, uint32_t records, int64_t bytes)
{
    if (limit->packets_s)
        limit->packets -= (int64_t)(records + limit->more_frames) * RATE_UNIT;
    if (limit->bytes_s)
        limit->bytes -= bytes * RATE_UNIT;
    limit->more_frames = 0;
}

#endif
