/* SPDX-License-Identifier: BSD-2-Clause */
/* Congestion controls that come with the library, one file each with a line in the table of
 * congestion.c. Their interface is utcp_congestion.h; control.c calls it. */
#ifndef UTCP_CONGESTION_MODULES_H
#define UTCP_CONGESTION_MODULES_H

#include "utcp_congestion.h"

extern const struct utcp_cc_ops utcp__cubic, utcp__newreno, utcp__dctcp, utcp__bbr;

/* By index; NULL: there are not so many. */
const struct utcp_cc_ops *utcp__congestion_module(unsigned index);
/* By name; NULL names the default. NULL: unknown. */
const struct utcp_cc_ops *utcp__congestion_find(const char *name);

/* The initial window for segments of `mss` bytes: RFC 6928 section 2. */
uint32_t utcp__initial_window(uint32_t mss);

/* `part` of `whole` bytes in thousandths, but no less than two segments: what a loss leaves of a
 * window (RFC 5681 section 3.1, equation 4). */
static inline uint32_t utcp__reduced(const struct utcp_cc *cc, uint32_t whole, uint32_t thousandths)
{
    uint32_t reduced = (uint32_t)((uint64_t)whole * thousandths / 1000);

    return reduced > 2 * cc->mss ? reduced : 2 * cc->mss;
}

/* ── Slow start with HyStart++ (RFC 9406) ──────────────────────────────────────────────────── */

struct utcp_hystart {
    uint32_t last_min_rtt, min_rtt; /* of the last round and this one, µs; UINT32_MAX: none */
    uint32_t baseline;              /* min_rtt when conservative slow start began */
    uint8_t samples;                /* in this round, up to SAMPLES - 1 */
    uint8_t rounds; /* of conservative slow start, this one included; 0: not in it */
};

void utcp__hystart_init(struct utcp_hystart *hystart);
/* Opens cwnd for an acknowledgment below ssthresh; ends slow start by setting ssthresh. */
void utcp__hystart_acked(struct utcp_hystart *hystart, struct utcp_cc *cc,
                         const struct utcp_cc_ack *ack);

#endif
