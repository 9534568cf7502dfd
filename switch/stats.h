/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of the switch, and the names that they have everywhere (common/reasons.h). A counter
 * belongs to one worker, which alone adds to it; queries read it. */
#ifndef MULTISTACK_SWITCH_STATS_H
#define MULTISTACK_SWITCH_STATS_H

#include <stdint.h>

#include "reasons.h"

/* The packet passed every check. */
#define DROP_NONE DROP_REASON_COUNT

struct drop_counters {
    uint64_t count[DROP_REASON_COUNT];
};

struct traffic_counters {
    uint64_t rx_packets, rx_bytes; /* bytes of IP packet */
    uint64_t tx_packets, tx_bytes;
};

/* A counter's one writer adds to it while another thread may read it: no torn values, no order. */
static inline void stats_add(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, *counter + value, __ATOMIC_RELAXED);
}

static inline uint64_t stats_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void stats_drop(struct drop_counters *drops, enum drop_reason reason)
{
    stats_add(&drops->count[reason], 1);
}

/* Where several may write: the exception. */
static inline void stats_drop_shared(struct drop_counters *drops, enum drop_reason reason)
{
    __atomic_fetch_add(&drops->count[reason], 1, __ATOMIC_RELAXED);
}

const char *drop_reason_name(enum drop_reason reason);
const char *detach_reason_name(enum detach_reason reason);
const char *detach_reason_text(enum detach_reason reason);

#endif
