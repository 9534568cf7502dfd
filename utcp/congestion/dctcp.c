/* SPDX-License-Identifier: BSD-2-Clause */
/* DCTCP, RFC 8257, for networks whose switches mark packets as soon as a queue is more than a few
 * packets long, and where all senders do the same. What part of the bytes was marked, averaged over
 * windows (alpha), says how far to back off: a little from a short queue, by half at worst. It opens
 * the window as NewReno does, and takes a loss as NewReno does. */
#include <assert.h>

#include "congestion.h"

#define ONE        (UINT32_C(1) << 20) /* of alpha */
#define GAIN_SHIFT 4                   /* g = 1/16, section 3.3 */

struct dctcp {
    uint64_t acked, marked; /* bytes in this window */
    uint32_t alpha;
    uint32_t growth; /* bytes acknowledged since cwnd grew last */
};

static_assert(sizeof(struct dctcp) <= sizeof(((struct utcp_cc *)0)->priv), "private state");

static struct dctcp *dctcp(struct utcp_cc *cc)
{
    return (struct dctcp *)cc->priv;
}

static void init(struct utcp_cc *cc, uint64_t srtt_us, uint64_t now)
{
    (void)srtt_us;
    (void)now;
    *dctcp(cc) = (struct dctcp){.alpha = ONE}; /* at first a mark counts as a loss */
}

/* Section 3.3 step 6: alpha = (1 - g) alpha + g M. What a division would leave over is rounded away
 * from, so that alpha comes down to 0 when there are no marks. */
static void end_window(struct dctcp *state)
{
    uint32_t fraction = state->acked ? (uint32_t)(state->marked * ONE / state->acked) : 0;
    uint32_t fall = (state->alpha + (1u << GAIN_SHIFT) - 1) >> GAIN_SHIFT;

    state->alpha = state->alpha - fall + (fraction >> GAIN_SHIFT);
    if (state->alpha > ONE)
        state->alpha = ONE;
    state->acked = state->marked = 0;
}

static void open_window(struct utcp_cc *cc, uint32_t bytes)
{
    struct dctcp *state = dctcp(cc);

    if (cc->cwnd < cc->ssthresh) {
        cc->cwnd = bytes < UTCP_CC_CWND_MAX - cc->cwnd ? cc->cwnd + bytes : UTCP_CC_CWND_MAX;
        return;
    }
    state->growth += bytes;
    if (state->growth >= cc->cwnd) {
        state->growth -= cc->cwnd;
        cc->cwnd += cc->mss;
    }
}

static void acked(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct dctcp *state = dctcp(cc);

    if (ack->round)
        end_window(state);
    state->acked += ack->acked;
    state->marked += ack->marked;
    if (ack->grow && !ack->marked)
        open_window(cc, ack->acked);
}

static void ecn(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    uint32_t fall = (uint32_t)((uint64_t)cc->cwnd * dctcp(cc)->alpha / (2 * ONE));

    (void)in_flight;
    (void)now;
    cc->cwnd = cc->cwnd - fall > 2 * cc->mss ? cc->cwnd - fall : 2 * cc->mss;
    cc->ssthresh = cc->cwnd;
    dctcp(cc)->growth = 0;
}

static void timed_out(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    (void)now;
    cc->ssthresh = utcp__reduced(cc, in_flight, 500);
    dctcp(cc)->growth = 0;
}

static void lost(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    timed_out(cc, in_flight, now);
    cc->cwnd = cc->ssthresh;
}

const struct utcp_cc_ops utcp__dctcp = {
    .name = "dctcp",
    .wants_ecn = true,
    .init = init,
    .acked = acked,
    .lost = lost,
    .timed_out = timed_out,
    .ecn = ecn,
};
