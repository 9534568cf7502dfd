/* SPDX-License-Identifier: BSD-2-Clause */
/* Windows that stay closed. A peer that answers every probe of its closed window is alive, and TCP must
 * not end the connection for that (RFC 9293 section 3.8.6.1, MUST-37); so whoever connects, asks for
 * something large and never reads it holds the send buffer for as long as it likes, with a packet a
 * minute. RFC 6429 says what may be done: those who manage the resources may end connections that
 * stall, by rules of their own. Those are
 *
 *   memory    while the stack's memory is pressed (pool.h), a connection that has stalled for
 *             stall_spared_us is ended, each when its next probe is due; until the pressure is over
 *   time      where the program sets stall_max_us, no stall is longer
 *
 * A connection stalls while its data do not fit the window and less than a segment of them gets
 * through: a byte taken now and then is no progress. That is looked at when a probe is due, at most a
 * minute after the last, so nothing is done for connections that go on. */
#include "utcp_internal.h"

/* The window keeps data back, and has no room for a segment. */
static bool held_back(const struct utcp_conn *conn)
{
    return conn->snd_wnd < conn->mss && conn->send.end - conn->send.una > conn->snd_wnd;
}

/* Since when, in µs. Where there is no memory to remember that, progress is any byte. */
static uint64_t stalled_since(struct utcp_conn *conn)
{
    struct utcp_more *more = utcp__more(conn);
    uint64_t now = conn->stack->now;

    if (more == NULL)
        return conn->waiting_since;
    /* A stall has a probe each minute at least: one that was seen longer ago is another. */
    if (more->stall_seen_at == 0 || now - more->stall_seen_at > 2 * UTCP_RTO_MAX ||
        conn->snd_una - more->stalled_una >= conn->mss) {
        more->stalled_at = conn->waiting_since;
        more->stalled_una = conn->snd_una;
    }
    more->stall_seen_at = now;
    return more->stalled_at;
}

bool utcp__stalled_too_long(struct utcp_conn *conn)
{
    struct utcp *stack = conn->stack;
    uint64_t stalled;

    if (!held_back(conn))
        return false;
    stalled = stack->now - stalled_since(conn);
    if (stack->stall_max_us && stalled >= stack->stall_max_us) {
        stack->stats.stalls_timed_out++;
        return true;
    }
    if (utcp__pool_pressed(&stack->pool) && stalled >= stack->stall_spared_us) {
        stack->stats.stalls_given_up++;
        return true;
    }
    return false;
}
