/* SPDX-License-Identifier: BSD-2-Clause */
/* NewReno: congestion avoidance of RFC 5681 section 3.1, slow start with HyStart++. The recovery
 * that the name stands for (RFC 6582) is in recovery.c. */
#include <assert.h>

#include "congestion.h"

struct newreno {
    struct utcp_hystart hystart;
    uint32_t acked; /* bytes since cwnd grew last, in congestion avoidance */
};

static_assert(sizeof(struct newreno) <= sizeof(((struct utcp_cc *)0)->priv), "private state");

static struct newreno *newreno(struct utcp_cc *cc)
{
    return (struct newreno *)cc->priv;
}

static void init(struct utcp_cc *cc, uint64_t srtt_us, uint64_t now)
{
    (void)srtt_us;
    (void)now;
    utcp__hystart_init(&newreno(cc)->hystart);
    newreno(cc)->acked = 0;
}

static void acked(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    if (cc->cwnd < cc->ssthresh) {
        utcp__hystart_acked(&newreno(cc)->hystart, cc, ack);
        return;
    }
    if (!ack->grow)
        return;
    newreno(cc)->acked += ack->acked;
    if (newreno(cc)->acked >= cc->cwnd) { /* a window's worth: one segment more */
        newreno(cc)->acked -= cc->cwnd;
        if (cc->cwnd + cc->mss <= UTCP_CC_CWND_MAX)
            cc->cwnd += cc->mss;
    }
}

static void timed_out(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    cc->ssthresh = utcp__reduced(cc, in_flight, 500);
    init(cc, 0, now);
}

static void lost(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    timed_out(cc, in_flight, now);
    cc->cwnd = cc->ssthresh;
}

const struct utcp_cc_ops utcp__newreno = {
    .name = "newreno",
    .in_range = true,
    .init = init,
    .acked = acked,
    .lost = lost,
    .timed_out = timed_out,
};
