/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection with something to send waited for, as times: which of network, peer and
 * application makes a transfer slow. Looked at when all was sent that may be sent, so once for a batch
 * of packets, and written only when it changes. */
#include "utcp_internal.h"

/* The peer's window or the network. */
enum utcp_limit utcp__held_by(const struct utcp_conn *conn, uint64_t unsent)
{
    uint32_t wanted = unsent < conn->mss ? (uint32_t)unsent : conn->mss;

    if (utcp__synchronized(conn) && conn->snd_wnd < utcp__in_flight(conn) + wanted &&
        utcp__pipe(conn) + wanted <= utcp__recovery_window(conn))
        return LIMIT_WINDOW;
    return LIMIT_NETWORK;
}

static uint64_t *time_under(struct utcp_conn *conn, enum utcp_limit limit)
{
    struct utcp_more *more;

    if (limit == LIMIT_NETWORK)
        return &conn->busy_us;
    more = utcp__more(conn);
    return more ? &more->limited_us[limit - LIMIT_WINDOW] : NULL;
}

void utcp__busy_changed(struct utcp_conn *conn, enum utcp_limit limit)
{
    if (conn->limit != LIMIT_NOTHING_TO_SEND) {
        uint64_t *time = time_under(conn, conn->limit);

        if (time)
            *time += conn->stack->now - conn->busy_since;
    }
    conn->busy_since = conn->stack->now;
    conn->limit = limit;
}

uint64_t utcp__busy_time(const struct utcp_conn *conn, enum utcp_limit limit)
{
    uint64_t before = conn->busy_us;

    if (limit != LIMIT_NETWORK)
        before = conn->more ? conn->more->limited_us[limit - LIMIT_WINDOW] : 0;
    return before + (conn->limit == limit ? conn->stack->now - conn->busy_since : 0);
}
