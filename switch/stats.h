/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of the switch, and the names that they have everywhere (common/reasons.h). A counter
 * belongs to one worker, which adds to it without atomics; queries read it. */
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

const char *drop_reason_name(enum drop_reason reason);
const char *detach_reason_name(enum detach_reason reason);
const char *detach_reason_text(enum detach_reason reason);

#endif
