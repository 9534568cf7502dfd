/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's timers. Each has a deadline; the connection's one place on the wheel is at the
 * first of them, or earlier: putting a deadline off, which happens with every acknowledgment, costs
 * nothing, and when the wheel calls too early the place is taken anew. */
#include <errno.h>

#include "utcp_internal.h"

static unsigned retries_max(const struct utcp_conn *conn)
{
    switch (conn->state) {
    case UTCP_SYN_SENT: return conn->syn_retries ? conn->syn_retries : UTCP_RETRIES_SYN;
    case UTCP_SYN_RECEIVED: return UTCP_RETRIES_SYN_ACK;
    default: return utcp__orphan(conn) ? UTCP_RETRIES_ORPHAN : UTCP_RETRIES_DATA;
    }
}

void utcp__trouble(struct utcp_conn *conn)
{
    if (conn->reports)
        utcp__event(conn, UTCP_TROUBLE);
}

/* RFC 9293 section 3.10.8: who has not answered is not told. But a peer that answers, and has no room, is there to be
 * told; and of one that was only asked whether it is there, nobody knows. */
static void give_up(struct utcp_conn *conn)
{
    int error = conn->soft_error ? conn->soft_error : -ETIMEDOUT;

    if (utcp__in_flight(conn) > 0)
        utcp__conn_end(conn, error);
    else
        utcp__conn_reset(conn, error);
}

/* tcp(7), TCP_USER_TIMEOUT: where it is set it says how long a peer may be silent, however many probes that are. */
static bool silent_too_long(const struct utcp_conn *conn)
{
    if (!conn->user_timeout_ms || conn->timeout_adopted)
        return conn->probes >= conn->probes_max;
    return conn->probes && conn->stack->now - conn->heard_at >= conn->user_timeout_ms * UTCP_MS;
}

/* Oldest unacknowledged segment, SYN, or window probe: RFC 6298 section 5, RFC 9293 section
 * 3.8.6.1. */
static void retransmit_fires(struct utcp_conn *conn)
{
    bool handshake = !utcp__synchronized(conn);

    if (conn->retries >= retries_max(conn) || (!handshake && utcp__stalled_too_long(conn))) {
        give_up(conn);
        return;
    }
    conn->retries++;
    conn->restless = true;
    if (conn->retries == UTCP_RETRIES_R1)
        utcp__trouble(conn);
    utcp__fast_open_timed_out(conn);
    if (handshake || utcp__in_flight(conn) > 0) {
        utcp__count_timeout(conn);
        PROBE_TIMEOUT(conn, utcp__rtt_timeout(&conn->rtt));
        utcp__trace_reason(conn, UTCP_TRACE_TIMEOUT, NULL);
    }
    if (handshake) {
        conn->syn_due = true;
        conn->rtt.timed_at = 0;
    } else if (utcp__in_flight(conn) > 0) {
        if (!utcp__mtu_timed_out(conn))
            utcp__recovery_timed_out(conn);
    } else {
        conn->probe_due |= UTCP_PROBE_WINDOW;
    }
    if (conn->rtt.backoff < UINT8_MAX)
        conn->rtt.backoff++;
    utcp__want_output(conn);
}

static void acknowledge_fires(struct utcp_conn *conn)
{
    conn->ack_now = true;
    utcp__want_output(conn);
}

/* RFC 9293 section 3.8.4. */
static void keepalive_fires(struct utcp_conn *conn)
{
    uint64_t now = conn->stack->now, idle = conn->keepalive_ms * UTCP_MS;

    if (conn->probes == 0 && (now < conn->heard_at + idle || conn->snd_una != conn->snd_max)) {
        utcp__timer_life(conn); /* not idle */
        return;
    }
    if (silent_too_long(conn)) {
        give_up(conn);
        return;
    }
    conn->probes++;
    conn->restless = true;
    conn->keepalive_due = true;
    utcp__timer_set(conn, TIMER_LIFE,
                    now + min_u32(conn->keepalive_ms, conn->keepalive_interval_ms) * UTCP_MS);
    utcp__want_output(conn);
}

static void life_fires(struct utcp_conn *conn)
{
    if (conn->state == UTCP_TIME_WAIT || (conn->state == UTCP_FIN_WAIT_2 && utcp__orphan(conn)))
        utcp__conn_end(conn, 0);
    else if (conn->keepalive_ms)
        keepalive_fires(conn);
}

/* Runs one timer of the connection that is due; false when there is none. None sets itself to a
 * time that is not in the future. */
static bool run_one(struct utcp_conn *conn)
{
    static void (*const fires[TIMERS])(struct utcp_conn * conn) = {
        [TIMER_LOSS] = utcp__loss_fires,  [TIMER_RETRANSMIT] = retransmit_fires,
        [TIMER_ACK] = acknowledge_fires,  [TIMER_LIFE] = life_fires,
        [TIMER_USER] = give_up,           [TIMER_PACE] = utcp__want_output,
        [TIMER_TRIM] = utcp__memory_trim,
    };

    for (int timer = 0; timer < TIMERS; timer++) {
        if (conn->deadline[timer] > conn->stack->now)
            continue;
        conn->deadline[timer] = TIMER_IDLE;
        fires[timer](conn);
        return true;
    }
    return false;
}

static uint64_t first_deadline(const struct utcp_conn *conn)
{
    uint64_t first = TIMER_IDLE;

    for (int timer = 0; timer < TIMERS; timer++)
        if (conn->deadline[timer] < first)
            first = conn->deadline[timer];
    return first;
}

static uint64_t fin_wait(const struct utcp_conn *conn)
{
    return conn->more && conn->more->fin_wait_ms ? conn->more->fin_wait_ms * UTCP_MS
                                                 : UTCP_FIN_WAIT_2_LIMIT;
}

void utcp__timer_life_start(struct utcp_conn *conn)
{
    uint64_t now = conn->stack->now;

    if (conn->state == UTCP_TIME_WAIT)
        utcp__time_wait_timer(conn, utcp__orphan(conn));
    else if (conn->state == UTCP_FIN_WAIT_2 && utcp__orphan(conn))
        utcp__timer_set(conn, TIMER_LIFE, now + fin_wait(conn));
    else if (conn->keepalive_ms && utcp__synchronized(conn)) {
        uint64_t idle = conn->keepalive_ms * UTCP_MS, from = conn->heard_at + idle;

        utcp__timer_set(conn, TIMER_LIFE, from > now ? from : now + idle);
    } else {
        utcp__timer_stop(conn, TIMER_LIFE);
    }
}

void utcp_advance(struct utcp *stack, uint64_t now)
{
    struct utcp_wheel_timer *due;

    utcp__set_now(stack, now);
    while ((due = utcp__wheel_due(&stack->wheel, stack->now)) != NULL) {
        struct utcp_conn *conn = list_member(due, struct utcp_conn, wheel_timer);

        while (conn->state != UTCP_CLOSED && run_one(conn))
            continue;
        if (conn->state != UTCP_CLOSED && first_deadline(conn) != TIMER_IDLE)
            utcp__wheel_start(&stack->wheel, &conn->wheel_timer, first_deadline(conn));
    }
    utcp__time_wait_expire(stack);
    if (stack->paths)
        utcp__paths_advance(stack);
    utcp__reap(stack);
}

uint64_t utcp_deadline(const struct utcp *stack)
{
    uint64_t next = utcp__wheel_next(&stack->wheel);
    uint64_t paths = stack->paths ? utcp__paths_deadline(stack) : UINT64_MAX;

    if (paths < next)
        next = paths;
    return next < stack->waits.due ? next : stack->waits.due;
}
