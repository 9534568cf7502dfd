/* SPDX-License-Identifier: BSD-2-Clause */
/* Explicit congestion notification, RFC 3168: routers mark packets instead of dropping them, the
 * receiver echoes the mark, the sender's congestion control reacts as to a loss that cost nothing.
 *
 * Both SYNs settle whether it is used. Only new data are sent as capable (ECT(0)): retransmissions,
 * probes and acknowledgments are not (section 6.1.4 to 6.1.6). There are two ways to echo:
 *
 *   RFC 3168   after a mark, ECE is on all ACKs until the sender answers by CWR: once a round trip
 *   RFC 8257   ECE says of exactly the bytes that an ACK acknowledges whether they were marked; when
 *              that changes, what came before is acknowledged first, by an ACK of its own (a flip).
 *              It cannot be negotiated: it is used where the own congestion control asks for it */
#include "utcp_internal.h"

static bool wanted(const struct utcp_conn *conn)
{
    return !(conn->stack->flags & UTCP_NO_ECN) &&
           (conn->stack->flags & UTCP_ASK_ECN || conn->cc.ops->wants_ecn);
}

void utcp__ecn_negotiate(struct utcp_conn *conn, uint8_t peer_flags)
{
    uint8_t setup = peer_flags & (TCP_ECE | TCP_CWR);

    if (peer_flags & TCP_ACK)
        conn->ecn.on = conn->ecn.asked && setup == TCP_ECE;
    else
        conn->ecn.on = setup == (TCP_ECE | TCP_CWR) && !(conn->stack->flags & UTCP_NO_ECN);
    conn->ecn.recover = conn->iss;
}

/* A SYN that was lost may have been lost for its ECN bits: the next has none (section 6.1.1.1). */
static uint8_t syn_flags(struct utcp_conn *conn, uint8_t flags)
{
    if (flags & TCP_ACK)
        return conn->ecn.on ? TCP_ECE : 0;
    conn->ecn.asked = wanted(conn) && conn->retries == 0;
    return conn->ecn.asked ? TCP_ECE | TCP_CWR : 0;
}

uint8_t utcp__ecn_more_flags(struct utcp_conn *conn, uint8_t flags, bool new_data)
{
    uint8_t more = 0;

    if (flags & TCP_SYN)
        return syn_flags(conn, flags);
    if (conn->ce != (conn->ecn.flips & 1)) /* before the first flip it was the other way */
        more |= TCP_ECE;
    if (new_data && conn->ecn.cwr_due)
        more |= TCP_CWR;
    return more;
}

/* Acknowledges what came before the change on its own. When there are too many changes in a batch,
 * the newest two undo each other. */
static void flip(struct utcp_conn *conn)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t next = utcp__rcv_nxt(conn);
    uint32_t before = ecn->flips ? ecn->flip_at[ecn->flips - 1] : conn->last_ack;

    conn->ce = !conn->ce;
    if (ecn->flips ? before == next : !seq_before(before, next)) {
        if (ecn->flips) /* nothing lies between two changes */
            ecn->flips--;
        return;
    }
    if (ecn->flips == UTCP_ECN_FLIPS)
        ecn->flips--;
    else
        ecn->flip_at[ecn->flips++] = next;
    utcp__want_output(conn);
}

void utcp__ecn_received(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    struct utcp_ecn *ecn = &conn->ecn;
    bool marked = segment->ecn == IP_ECN_CE;

    ecn->marked_in += marked;
    if (conn->cc.ops->wants_ecn) {
        if (marked != conn->ce)
            flip(conn);
        return;
    }
    if (segment->flags & TCP_CWR)
        conn->ce = false;
    if (marked && !conn->ce) {
        conn->ce = true;
        conn->ack_now = true; /* the sooner it is known, the better */
        utcp__want_output(conn);
    }
}

void utcp__ecn_acknowledged(struct utcp_conn *conn, uint32_t in_flight)
{
    struct utcp_ecn *ecn = &conn->ecn;

    if (ecn->on && ecn->echoed && seq_before(ecn->recover, conn->snd_una) && !conn->recovery.active)
        utcp__control_marked(conn, in_flight);
}

void utcp__ecn_reduced(struct utcp_conn *conn)
{
    conn->ecn.recover = conn->snd_max;
    conn->ecn.cwr_due = conn->ecn.on;
}
