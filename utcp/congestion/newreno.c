/* SPDX-License-Identifier: BSD-2-Clause */
/* NewReno: slow start and congestion avoidance of RFC 5681 section 3.1. The recovery that the name
 * stands for (RFC 6582) is in recovery.c. */
#include <assert.h>

#include "congestion.h"

#define SLOW_START_SEGMENTS 8 /* most that one ACK opens the window by in slow start */

struct newreno {
    uint32_t acked; /* bytes since cwnd grew last, in congestion avoidance */
};

static_assert(sizeof(struct newreno) <= sizeof(((struct utcp_cc *)0)->priv), "private state");

static struct newreno *newreno(struct utcp_cc *cc)
{
    return (struct newreno *)cc->priv;
}

static void start(struct utcp_cc *cc)
{
    newreno(cc)->acked = 0;
}

/* Counting bytes, not acknowledgments (RFC 3465), so that dividing them gains a receiver nothing;
 * and a receiver that acknowledges once for a batch loses nothing. */
static void acked(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    uint32_t bytes = ack->acked;

    if (cc->cwnd < cc->ssthresh) {
        if (bytes > SLOW_START_SEGMENTS * cc->mss)
            bytes = SLOW_START_SEGMENTS * cc->mss;
        cc->cwnd += bytes;
        return;
    }
    newreno(cc)->acked += bytes;
    if (newreno(cc)->acked >= cc->cwnd) { /* a window's worth: one segment more */
        newreno(cc)->acked -= cc->cwnd;
        cc->cwnd += cc->mss;
    }
}

static void timed_out(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    (void)now;
    cc->ssthresh = in_flight / 2 > 2 * cc->mss ? in_flight / 2 : 2 * cc->mss;
    newreno(cc)->acked = 0;
}

static void lost(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    timed_out(cc, in_flight, now);
    cc->cwnd = cc->ssthresh;
}

const struct utcp_cc_ops utcp__newreno = {
    .name = "newreno",
    .start = start,
    .acked = acked,
    .lost = lost,
    .timed_out = timed_out,
};
