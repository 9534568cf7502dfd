/* SPDX-License-Identifier: BSD-2-Clause */
/* How large a connection's buffers may be, and what is given back.
 *
 * The receive window follows dynamic right-sizing (Fisk and Feng, 2001): in each round trip the
 * bytes are counted that the application took. The sender can have had no more in flight than that,
 * so twice as much lets it go on as it does, and four times as much lets it double its congestion
 * window, for as long as the count grows. A slow reader, or a slow path, is never promised more than
 * it uses; what counts is what was taken, not what came. A window that was told is not taken back
 * (RFC 9293 section 3.8.6), so the limit of a connection only grows, until its application says
 * otherwise.
 *
 * The round trip is the sender's side's (the handshake's, at least), or, where there are timestamps,
 * that of one echo in each round, for who only receives sends nothing that could be timed. An echo
 * after a pause is as old as the pause, so the time at most doubles in a round. Rounds last a
 * millisecond at least: below that the turns of the application are what there is to wait for.
 *
 * What is done when the stack's memory becomes scarce is told in pool.h. */
#include "utcp_internal.h"

#define ROUND_MIN       UTCP_MS
#define ROUND_UNKNOWN   (100 * UTCP_MS)
#define UTCP_TRIM_AFTER UTCP_SECOND /* of idleness */
#define RECLAIMED_MAX   4           /* connections that give up data for one segment */

static void grow_window(struct utcp_conn *conn)
{
    const struct utcp_drs *drs = &conn->drs;
    bool growing = drs->seen / 5 * 4 > drs->before;
    uint64_t wanted = (uint64_t)drs->seen * (growing ? 4 : 2);

    if (wanted > conn->receive_max)
        wanted = conn->receive_max;
    if (wanted > conn->receive_limit && !utcp__pool_pressed(&conn->stack->pool))
        conn->receive_limit = (uint32_t)wanted;
}

void utcp__memory_taken(struct utcp_conn *conn, uint32_t bytes)
{
    struct utcp_drs *drs = &conn->drs;
    uint32_t now = (uint32_t)conn->stack->now, rtt = drs->rtt ? drs->rtt : ROUND_UNKNOWN;

    drs->seen += bytes;
    if (now - drs->round_at < max_u32(rtt, ROUND_MIN))
        return;
    grow_window(conn);
    drs->before = drs->seen;
    drs->seen = 0;
    drs->round_at = now;
    if (!conn->timestamps && conn->rtt.srtt)
        drs->rtt = conn->rtt.srtt & INT32_MAX;
    drs->sample_due = conn->timestamps;
}

void utcp__memory_echo(struct utcp_conn *conn, uint64_t rtt_us)
{
    struct utcp_drs *drs = &conn->drs;
    uint64_t most = 2 * (uint64_t)max_u32(drs->rtt, ROUND_MIN);

    if (rtt_us == 0)
        return;
    drs->sample_due = false;
    drs->rtt = (uint32_t)(drs->rtt == 0 || rtt_us < most ? rtt_us : most) & INT32_MAX;
}

void utcp__memory_scattered(struct utcp_conn *conn)
{
    if (conn->receive.pending.count == 0)
        list_remove(&conn->scattered_link);
    else if (list_empty(&conn->scattered_link))
        list_append(&conn->stack->scattered, &conn->scattered_link);
}

void utcp__memory_reclaim(struct utcp_conn *conn)
{
    struct utcp *stack = conn->stack;

    for (int i = 0; i < RECLAIMED_MAX && utcp__pool_tight(&stack->pool); i++) {
        struct list *link = stack->scattered.next;
        struct utcp_conn *loser = list_member(link, struct utcp_conn, scattered_link);

        if (link == &stack->scattered)
            return;
        list_remove(link);
        if (loser == conn) { /* perhaps its hole is being filled */
            list_append(&stack->scattered, link);
            continue;
        }
        stack->stats.out_of_order_given_up += utcp__recvbuf_forget(&loser->receive, &stack->pool);
        loser->report.count = 0; /* RFC 2018 section 8: what was told may be thrown away */
    }
}

void utcp__memory_all_read(struct utcp_conn *conn)
{
    if (utcp__recvbuf_leads(&conn->receive) && !utcp__timer_runs(conn, TIMER_TRIM) &&
        conn->in_table)
        utcp__timer_set(conn, TIMER_TRIM, conn->stack->now + UTCP_TRIM_AFTER);
}

void utcp__memory_trim(struct utcp_conn *conn)
{
    if (conn->stack->now - conn->heard_at < UTCP_TRIM_AFTER)
        utcp__timer_set(conn, TIMER_TRIM, conn->heard_at + UTCP_TRIM_AFTER);
    else
        utcp__recvbuf_trim(&conn->receive, &conn->stack->pool);
}
