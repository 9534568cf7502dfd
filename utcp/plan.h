/* SPDX-License-Identifier: BSD-2-Clause */
/* The segment that a connection sends next: plan.c decides on it, output.c builds and accounts for it. */
#ifndef UTCP_PLAN_H
#define UTCP_PLAN_H

#include "utcp_internal.h"

enum plan_kind {
    PLAN_NOTHING,
    PLAN_SYN,
    PLAN_DATA,      /* at snd_nxt: new, or again after a timeout; a FIN may be its all */
    PLAN_RESEND,    /* at snd_una, by fast retransmit */
    PLAN_PROBE,     /* a byte beyond the window */
    PLAN_KEEPALIVE, /* a sequence number that the peer has acknowledged */
    PLAN_DUPLICATE, /* an ACK that tells of a segment out of order */
    PLAN_ACK,
    PLAN_MTU_PROBE, /* new data in a larger packet than the path is known to pass */
    PLAN_FLIP,      /* an ACK of what came before ECN's echo changed */
};

struct plan {
    enum plan_kind kind;
    uint32_t seq, length;
    uint8_t flags;
    bool new_data;
    bool paced; /* there would be data, but not now */
    bool last;  /* when this is sent it is certain that there is nothing more to plan */

    /* What it was sent with: next to come in, and the window as it stands in the header. */
    uint32_t ack;
    uint16_t window;
};

/* Bytes in the send buffer. */
static inline uint64_t utcp__buffered(const struct utcp_conn *conn)
{
    return conn->send.end - conn->send.una;
}

/* Bytes written and not sent (again) yet. */
static inline uint64_t utcp__unsent(const struct utcp_conn *conn)
{
    uint32_t in_flight = utcp__in_flight(conn);

    return utcp__buffered(conn) > in_flight ? utcp__buffered(conn) - in_flight : 0;
}

/* What to send now; nothing is changed but what was due and turned out to be idle. */
void utcp__plan(struct utcp_conn *conn, struct plan *plan);
/* Data wait for a window or for a cork to be taken off, and nothing is on its way that would bring news. */
bool utcp__blocked(const struct utcp_conn *conn);

#endif
