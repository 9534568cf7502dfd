/* SPDX-License-Identifier: BSD-2-Clause */
/* Between a connection and its congestion control (utcp_congestion.h): what the module is told, and
 * when; what is asked of its answers. */
#include <errno.h>
#include <string.h>

#include "steps.h"

void utcp__control_clamp(struct utcp_cc *cc)
{
    cc->cwnd = min_u32(max_u32(cc->cwnd, cc->mss), UTCP_CC_CWND_MAX);
    cc->ssthresh = max_u32(cc->ssthresh, cc->mss);
}

static void init(struct utcp_conn *conn)
{
    struct utcp_cc *cc = &conn->cc;

    if (cc->ops->wants_rate && conn->control.rate == NULL)
        conn->control.rate = utcp__rate_new();
    if (cc->ops->wants_rate && conn->control.rate == NULL) /* no memory for its samples */
        cc->ops = utcp__congestion_find(NULL);
    cc->ops->init(cc, conn->rtt.srtt, conn->stack->now);
    utcp__control_clamp(cc);
}

void utcp__control_start(struct utcp_conn *conn)
{
    struct utcp_cc *cc = &conn->cc;

    cc->mss = conn->mss;
    cc->ssthresh = UTCP_CC_CWND_MAX;
    /* Losing SYNs again and again means a path in trouble. */
    cc->cwnd = conn->retries > 1 ? conn->mss : utcp__initial_window(conn->mss);
    cc->prior_cwnd = cc->cwnd;
    cc->prior_ssthresh = cc->ssthresh;
    conn->control.round_end = conn->snd_max;
    init(conn);
}

void utcp__control_choose(struct utcp_conn *conn, const struct utcp_cc_ops *ops)
{
    if (!ops->wants_rate) {
        utcp__rate_free(conn->control.rate);
        conn->control.rate = NULL;
    }
    conn->cc.ops = ops;
    if (!utcp__synchronized(conn))
        return;
    conn->cc.pacing_rate = 0;
    memset(conn->cc.priv, 0, sizeof(conn->cc.priv)); /* as of a new connection */
    init(conn);
    utcp__conn_compare(conn);
}

void utcp__keep_near(struct utcp_conn *conn)
{
    uint32_t una = conn->snd_una;

    if (seq_before(conn->small_end, una))
        conn->small_end = una;
    if (seq_before(conn->recovery.recover, una))
        conn->recovery.recover = una - 1;
    if (seq_before(conn->ecn.recover, una))
        conn->ecn.recover = una - 1;
}

void utcp__control_tell_rate(struct utcp_conn *conn, const struct utcp_cc_ack *ack)
{
    struct utcp_cc_ack with_rate = *ack;

    utcp__rate_acked(conn, &with_rate);
    utcp__control_call(&conn->cc, &with_rate);
}

void utcp__control_acked(struct utcp_conn *conn, uint32_t acked, uint32_t in_flight,
                         uint64_t rtt_us, bool recovering)
{
    bool used = utcp__window_was_used(conn, in_flight);
    struct utcp_cc_ack ack = {
        .now = conn->stack->now,
        .acked = acked,
        .in_flight = in_flight,
        .rtt_us = rtt_us,
        .srtt_us = conn->rtt.srtt,
        .recovering = recovering || seq_before(conn->snd_una, conn->recovery.recover),
        .grow = !recovering && used,
    };

    if (conn->ecn.on && conn->ecn.echoed) {
        ack.marked = conn->accurate ? utcp__accurate_marked(conn, acked) : acked;
        if (ack.marked)
            UTCP_COUNT(conn, delivered_marked, ack.marked);
    }
    utcp__control_count(conn, &ack, acked, in_flight, used);
    utcp__control_tell(conn, &ack);
}

static void remember(struct utcp_cc *cc)
{
    cc->prior_cwnd = cc->cwnd;
    cc->prior_ssthresh = cc->ssthresh;
}

/* What was in flight by permission of the window: recovery lets more be unacknowledged than is in
 * the network, and that must not make the next window wider. */
static uint32_t flight(const struct utcp_conn *conn, uint32_t in_flight)
{
    return min_u32(in_flight, conn->cc.cwnd);
}

void utcp__control_lost(struct utcp_conn *conn, uint32_t in_flight)
{
    remember(&conn->cc);
    conn->cc.ops->lost(&conn->cc, flight(conn, in_flight), conn->stack->now);
    utcp__control_clamp(&conn->cc);
    PROBE_REDUCE(conn, "loss");
    utcp__trace_reason(conn, UTCP_TRACE_REDUCED, "loss");
    utcp__ecn_reduced(conn);
}

void utcp__control_marked(struct utcp_conn *conn, uint32_t in_flight)
{
    const struct utcp_cc_ops *ops = conn->cc.ops;

    remember(&conn->cc);
    (ops->ecn ? ops->ecn : ops->lost)(&conn->cc, flight(conn, in_flight), conn->stack->now);
    utcp__control_clamp(&conn->cc);
    conn->ecn.reductions++;
    PROBE_REDUCE(conn, "mark");
    utcp__trace_reason(conn, UTCP_TRACE_REDUCED, "mark");
    utcp__ecn_reduced(conn);
}

/* For what a recovery was called for already, the window is not reduced again. */
void utcp__control_timed_out(struct utcp_conn *conn, uint32_t in_flight)
{
    if (conn->recovery.active && !conn->cc.ops->own_window)
        return;
    remember(&conn->cc);
    conn->cc.ops->timed_out(&conn->cc, flight(conn, in_flight), conn->stack->now);
    utcp__control_clamp(&conn->cc);
    PROBE_REDUCE(conn, "timeout");
    utcp__trace_reason(conn, UTCP_TRACE_REDUCED, "timeout");
    utcp__ecn_reduced(conn);
}

void utcp__control_undo(struct utcp_conn *conn)
{
    struct utcp_cc *cc = &conn->cc;

    cc->cwnd = max_u32(cc->cwnd, cc->prior_cwnd);
    cc->ssthresh = max_u32(cc->ssthresh, cc->prior_ssthresh);
    if (cc->ops->undo)
        cc->ops->undo(cc);
    utcp__control_clamp(cc);
    PROBE_UNDO(conn);
    utcp__trace_reason(conn, UTCP_TRACE_UNDONE, NULL);
}

/* RFC 5681 section 4.1: after a pause nobody knows what the path can bear, and what was known is a
 * burst now. Where the burst is paced, what was known fades (RFC 2861 section 3.1). */
static uint32_t window_after_idle(const struct utcp_conn *conn, uint64_t idle_us)
{
    uint32_t initial = utcp__initial_window(conn->mss), window = conn->cc.cwnd;

    if (utcp__pacing_rate(conn) == 0)
        return initial;
    for (; window > initial && idle_us > conn->rtt.rto; idle_us -= conn->rtt.rto)
        window /= 2;
    return max_u32(window, initial);
}

void utcp__control_before_output(struct utcp_conn *conn)
{
    struct utcp_cc *cc = &conn->cc;
    uint64_t idle_us;

    if (conn->snd_una != conn->snd_max || !utcp__synchronized(conn))
        return;
    idle_us = conn->stack->now - conn->sent_at;
    if (idle_us <= conn->rtt.rto)
        return;
    if (cc->ops->idle)
        cc->ops->idle(cc, idle_us, conn->stack->now);
    else
        cc->cwnd = min_u32(cc->cwnd, window_after_idle(conn, idle_us));
    utcp__control_clamp(cc);
}

/* ── The application's choice ──────────────────────────────────────────────────────────────── */

const struct utcp_cc_ops *utcp__control_find(const struct utcp *stack, const char *name)
{
    if (name && stack->congestion_module && strcmp(name, stack->congestion_module->name) == 0)
        return stack->congestion_module;
    return utcp__congestion_find(name);
}

int utcp_set_congestion(struct utcp_conn *conn, const char *name)
{
    const struct utcp_cc_ops *ops = utcp__control_find(conn->stack, name);

    if (ops == NULL)
        return -ENOENT;
    utcp__control_choose(conn, ops);
    return 0;
}
