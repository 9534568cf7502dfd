/* SPDX-License-Identifier: BSD-2-Clause */
/* Pacing: each packet has an earliest departure, which the packets before it have put off by as much
 * as they take at the pacing rate. What may not leave yet waits for TIMER_PACE.
 *
 * The timer wheel's tick is 256 µs, and a busy event loop is late by more; a connection that is
 * called late makes up for at most CREDIT, so that the rate is kept on average and no burst is
 * longer than that. The rate is the congestion control's, or, where pacing was asked for and the
 * control has none, the window in a round trip, with room for the window to grow; never above
 * UTCP_OPTION_PACING_MOST. */
#include "utcp_internal.h"

#define CREDIT     UINT64_C(1000000) /* ns */
#define BURST_US   1000              /* most of what a packet that is cut later may take */
#define GAIN_SLOW  200 /* percent: in slow start; the window doubles in a round trip */
#define GAIN_AVOID 120

/* 0: as fast as it can be. */
static uint64_t rate_wanted(const struct utcp_conn *conn)
{
    const struct utcp_cc *cc = &conn->cc;

    if (cc->pacing_rate)
        return cc->pacing_rate;
    if (!conn->pacing || conn->rtt.srtt == 0)
        return 0;
    return (uint64_t)cc->cwnd * (cc->cwnd < cc->ssthresh / 2 ? GAIN_SLOW : GAIN_AVOID) * 10000 /
               conn->rtt.srtt +
           1;
}

uint64_t utcp__pacing_rate(const struct utcp_conn *conn)
{
    uint64_t rate = rate_wanted(conn),
             most = conn->pacing && conn->more ? conn->more->pacing_most : 0;

    return most && (!rate || rate > most) ? most : rate;
}

bool utcp__pacing_allows(const struct utcp_conn *conn)
{
    return conn->pace_at <= conn->stack->now * 1000 || utcp__pacing_rate(conn) == 0;
}

uint32_t utcp__pacing_burst(const struct utcp_conn *conn)
{
    uint64_t rate = utcp__pacing_rate(conn), bytes = rate / (1000000 / BURST_US);

    if (rate == 0 || bytes > UTCP_SEGMENT_LARGE_MAX)
        return UTCP_SEGMENT_LARGE_MAX;
    return max_u32((uint32_t)bytes, 2 * conn->mss);
}

void utcp__pacing_sent(struct utcp_conn *conn, uint32_t bytes)
{
    uint64_t rate = utcp__pacing_rate(conn), now = conn->stack->now * 1000;
    uint64_t earliest = now > CREDIT ? now - CREDIT : 0;

    if (rate == 0 || bytes == 0)
        return;
    if (conn->pace_at < earliest)
        conn->pace_at = earliest;
    conn->pace_at += bytes * UINT64_C(1000000000) / rate;
}

void utcp__pacing_wait(struct utcp_conn *conn)
{
    utcp__timer_set(conn, TIMER_PACE, conn->pace_at / 1000 + 1);
}
