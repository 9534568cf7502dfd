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
 *              It cannot be negotiated: it is used where the own congestion control asks for it
 *   RFC 9768   marks are counted, and the count is told: accecn.c. A host that has it asks for it by a flag
 *              more, so that a host without it sees the SYN of RFC 3168 */
#include "utcp_internal.h"

static bool wanted(const struct utcp_conn *conn)
{
    return !(conn->stack->flags & UTCP_NO_ECN) &&
           (conn->stack->flags & (UTCP_ASK_ECN | UTCP_ASK_ACCURATE_ECN) || conn->cc.ops->wants_ecn);
}

static bool accurate_wanted(const struct utcp_conn *conn)
{
    return (conn->stack->flags & (UTCP_ASK_ACCURATE_ECN | UTCP_NO_ACCURATE_ECN)) ==
           UTCP_ASK_ACCURATE_ECN;
}

/* RFC 9768 table 2, and section 3.1.3: whatever a SYN asks for that is not known is Accurate ECN. Where both
 * sides have opened at once, our own SYN has told how much of that there may be. */
static void take_syn(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t flags = conn->stack->flags;
    uint8_t ace = utcp__ace(syn->flags), classic = TCP_ECE | TCP_CWR;
    bool met = conn->state == UTCP_SYN_SENT;

    if (ace == 0 || flags & UTCP_NO_ECN || (met && !ecn->asked && !ecn->asked_accurate))
        return;
    if (ace != UTCP_ACE_CLASSIC && !(flags & UTCP_NO_ACCURATE_ECN) && (!met || ecn->asked_accurate))
        utcp__accurate_begin(conn, syn);
    else
        ecn->on = ecn->capable = (syn->flags & classic) == classic;
}

/* The same table; a reserved answer means that Accurate ECN is agreed to. */
static void take_syn_ack(struct utcp_conn *conn, const struct utcp_segment *syn_ack)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint8_t ace = utcp__ace(syn_ack->flags);

    if (!ecn->asked_accurate)
        ecn->on = ecn->capable = ecn->asked && (syn_ack->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
    else if (ace == utcp__ace(TCP_ECE))
        ecn->on = ecn->capable = true;
    else if (ace != 0 &&
             ace != utcp__ace(TCP_AE | TCP_CWR | TCP_ECE)) /* none, or an echo of ours */
        utcp__accurate_answered(conn, syn_ack);
}

void utcp__ecn_negotiate(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    if (syn->flags & TCP_ACK)
        take_syn_ack(conn, syn);
    else
        take_syn(conn, syn);
    conn->ecn.recover = conn->iss;
}

/* RFC 9768 section 3.1.5: two SYNs that ask for different kinds of ECN leave the two ends with one each. */
bool utcp__ecn_syn_again(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    uint8_t ace = utcp__ace(syn->flags);

    if (conn->accurate)
        return utcp__accurate_again(conn, syn);
    return !conn->ecn.on || ace == 0 || ace == UTCP_ACE_CLASSIC ||
           conn->stack->flags & UTCP_NO_ACCURATE_ECN;
}

/* A SYN that was lost may have been lost for its ECN bits: the next has none (section 6.1.1.1), or, of Accurate
 * ECN, the one after it (RFC 9768 section 3.1.4.1). */
static uint16_t syn_flags(struct utcp_conn *conn, uint8_t flags)
{
    struct utcp_ecn *ecn = &conn->ecn;

    if (flags & TCP_ACK)
        return conn->accurate ? utcp__accurate_syn_ack(conn) : ecn->on ? TCP_ECE : 0;
    if (!wanted(conn) || conn->retries > accurate_wanted(conn)) {
        ecn->asked = false;
        return 0;
    }
    if (accurate_wanted(conn)) {
        ecn->asked_accurate = true; /* a SYN-ACK may answer that one yet */
        return TCP_AE | TCP_CWR | TCP_ECE;
    }
    ecn->asked = true;
    return TCP_CWR | TCP_ECE;
}

uint16_t utcp__ecn_more_flags(struct utcp_conn *conn, uint8_t flags, bool new_data)
{
    uint16_t more = 0;

    if (flags & TCP_SYN)
        return syn_flags(conn, flags);
    if (conn->accurate)
        return utcp__accurate_flags(conn);
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
    /* prediction.c fills in no more of a segment than is looked at, this with it. */
    /* cppcheck-suppress ctuuninitvar */
    bool marked = segment->ecn == IP_ECN_CE;

    if (conn->accurate) /* counted that already */
        return;
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
    bool marked = conn->accurate ? ecn->reaction_due : ecn->echoed;

    ecn->reaction_due = false;
    if (ecn->on && marked && seq_before(ecn->recover, conn->snd_una) && !conn->recovery.active)
        utcp__control_marked(conn, in_flight);
}

void utcp__ecn_reduced(struct utcp_conn *conn)
{
    conn->ecn.recover = conn->snd_max;
    conn->ecn.cwr_due = conn->ecn.on && !conn->accurate;
}
