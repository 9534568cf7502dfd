/* SPDX-License-Identifier: BSD-2-Clause */
/* Retransmissions that were not needed, and the way back from them:
 *
 *   Eifel, RFC 3522     the first acknowledgment after a retransmission echoes a timestamp from
 *                       before it: the original has arrived
 *   D-SACK, RFC 2883    the receiver tells of everything that was sent again that it had it already.
 *                       Networks double packets, too: what was not sent again does not count
 *   F-RTO, RFC 5682     after a timeout, while two new segments are sent instead of more old ones,
 *                       something arrives that was sent once only: with SACK that shows by itself,
 *                       without it the second acknowledgment in a row has to advance
 *
 * Whichever it is, cwnd and ssthresh are what they were before (RFC 4015 section 3.2, whose RTO is
 * taken over as well), and what was held for lost is in flight again. */
#include <stdlib.h>
#include <string.h>

#include "utcp_internal.h"

#define RESENT_FIRST 8

/* ── What was sent again ───────────────────────────────────────────────────────────────────── */

static void forget_resent(struct utcp_resent *resent, uint16_t index)
{
    resent->count--;
    if (index < resent->earlier)
        resent->earlier--;
    memmove(resent->at + index, resent->at + index + 1,
            (resent->count - index) * sizeof(resent->at[0]));
}

/* Room for one more range; NULL: there is none. */
static struct utcp_resent *resent_room(struct utcp_undo *undo)
{
    struct utcp_resent *resent = undo->resent;
    uint16_t capacity = resent ? resent->capacity : 0;

    if (resent && resent->count < capacity)
        return resent;
    if (capacity == UTCP_RESENT_MAX && resent->earlier) {
        forget_resent(resent, 0);
        return resent;
    }
    if (capacity == UTCP_RESENT_MAX)
        return NULL;
    capacity = capacity ? 2 * capacity : RESENT_FIRST;
    resent = realloc(undo->resent, sizeof(*resent) + capacity * sizeof(resent->at[0]));
    if (resent == NULL)
        return NULL;
    if (undo->resent == NULL)
        *resent = (struct utcp_resent){0};
    resent->capacity = capacity;
    undo->resent = resent;
    return resent;
}

static void add_resent(struct utcp_undo *undo, uint32_t start, uint32_t end)
{
    struct utcp_resent *resent = undo->resent;

    if (resent && resent->count > resent->earlier && resent->at[resent->count - 1].end == start) {
        resent->at[resent->count - 1].end = end;
        return;
    }
    resent = resent_room(undo);
    if (resent)
        resent->at[resent->count++] = (struct utcp_sack_block){start, end};
    else if (undo->resent)
        undo->resent->incomplete = true;
}

/* [start, end), which lies within range `index`, is not in it any more. */
static void cut_resent(struct utcp_undo *undo, uint16_t index, uint32_t start, uint32_t end)
{
    struct utcp_sack_block *at = undo->resent->at + index;
    uint32_t behind = at->end;

    if (start == at->start && end == at->end) {
        forget_resent(undo->resent, index);
    } else if (start == at->start) {
        at->start = end;
    } else {
        at->end = start;
        /* What is left behind goes to the end, where it counts for this recovery: at worst it is not
         * undone. */
        if (end != behind)
            add_resent(undo, end, behind);
    }
}

void utcp__undo_dispose(struct utcp_conn *conn)
{
    free(conn->undo.resent);
    conn->undo.resent = NULL;
}

void utcp__undo_start(struct utcp_conn *conn)
{
    struct utcp_resent *resent = conn->undo.resent;

    /* D-SACKs of earlier retransmissions may still come. */
    if (resent) {
        resent->earlier = resent->count;
        resent->incomplete = false;
    }
    conn->undo = (struct utcp_undo){.resent = resent, .possible = true};
}

void utcp__undo_resent(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_undo *undo = &conn->undo;

    if (conn->sack)
        add_resent(undo, start, end);
    if (!undo->possible)
        return;
    if (!undo->sent && undo->resent)
        undo->resent->first = start;
    if (!undo->sent)
        undo->timestamp = utcp__timestamp_now(conn);
    undo->sent = true;
}

bool utcp__undo_duplicate(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_undo *undo = &conn->undo;
    /* Where memory ran out it may be, as far as one knows. */
    bool found = undo->resent ? undo->resent->incomplete : conn->segments_retransmitted > 0;

    for (uint16_t i = 0; undo->resent && i < undo->resent->count && seq_before(start, end);) {
        const struct utcp_sack_block *at = undo->resent->at + i;
        uint32_t from = seq_before(at->start, start) ? start : at->start;
        uint32_t to = seq_before(end, at->end) ? end : at->end;

        if (!seq_before(from, to)) {
            i++;
            continue;
        }
        /* Once for each byte, which was told of once. */
        if (from == start)
            start = to;
        else
            end = from;
        cut_resent(undo, i, from, to);
        found = true;
    }
    return found;
}

/* Everything that was sent again in this recovery had arrived before. */
static bool all_came_twice(const struct utcp_undo *undo)
{
    const struct utcp_resent *resent = undo->resent;

    return undo->sent && resent && !resent->incomplete && resent->count == resent->earlier;
}

/* ── Judging, and taking back ──────────────────────────────────────────────────────────────── */

static void take_back(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_recovery *recovery = &conn->recovery;

    utcp__control_undo(conn);
    utcp__sack_find_all(conn);
    if (recovery->after_timeout && delivery->rtt_us)
        utcp__rtt_spurious(&conn->rtt, delivery->rtt_us);
    recovery->active = recovery->after_timeout = false;
    recovery->extra = 0;
    recovery->retransmit_due = false;
    recovery->recover = conn->snd_una - 1;
    conn->snd_nxt = conn->snd_max;
    conn->undo.possible = false;
    conn->undo.frto = FRTO_NONE;
    UTCP_COUNT(conn, spurious, 1);
    utcp__want_output(conn);
}

/* Without SACK it was the first of all. */
static bool first_acknowledged(const struct utcp_conn *conn)
{
    const struct utcp_resent *resent = conn->undo.resent;

    return !conn->sack || (resent && seq_before(resent->first, conn->snd_una));
}

/* RFC 3522 section 3.2: the first acknowledgment of the first retransmission alone can tell. One that
 * ends below is about what was in flight before this recovery, and so is what it echoes. */
static bool eifel(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;

    if (!delivery->advanced || undo->judged || !undo->sent || !first_acknowledged(conn))
        return false;
    undo->judged = true;
    return delivery->has_echo && (int32_t)(delivery->ts_echo - undo->timestamp) < 0;
}

/* Two new segments could leave in place of old ones. */
static bool can_send_new(const struct utcp_conn *conn)
{
    uint64_t unsent = conn->send.end - conn->send.una - (conn->snd_max - conn->snd_una);

    return conn->send.end - conn->send.una > conn->snd_max - conn->snd_una && unsent >= conn->mss &&
           !conn->cork && conn->snd_wnd >= conn->snd_max - conn->snd_una + conn->mss;
}

/* Without SACK snd_nxt was set back: it goes to the end of all, and two segments may leave there,
 * whatever the window after a timeout. */
static void send_two_new(struct utcp_conn *conn)
{
    uint32_t most = conn->snd_max - conn->snd_una + 2U * conn->mss;

    conn->snd_nxt = conn->snd_max;
    conn->recovery.extra = most > conn->cc.cwnd ? most - conn->cc.cwnd : 0;
}

/* RFC 5682, section 3.1 with SACK and 2.1 without. True: the timeout was spurious. */
static bool frto(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;

    if (undo->frto == FRTO_FIRST) {
        bool onward = delivery->advanced && seq_before(conn->snd_una, conn->recovery.recover);

        /* Section 2.1 step 2: all that was sent again is acknowledged. */
        if (!conn->sack)
            onward = onward && undo->sent && conn->snd_nxt == conn->snd_una;
        undo->frto = onward && can_send_new(conn) ? FRTO_SECOND : FRTO_NONE;
        if (!conn->sack && undo->frto == FRTO_SECOND)
            send_two_new(conn);
        return false;
    }
    if (undo->frto == FRTO_SECOND) {
        undo->frto = FRTO_NONE;
        return conn->sack ? delivery->original : delivery->advanced;
    }
    return false;
}

void utcp__undo_frto_duplicate(struct utcp_conn *conn)
{
    bool second = conn->undo.frto == FRTO_SECOND;

    conn->undo.frto = FRTO_NONE;
    if (!second)
        return;
    conn->snd_nxt = conn->snd_una;
    conn->rtt.timed_at = 0;
    conn->recovery.extra = 0;
    conn->cc.cwnd = min_u32(conn->cc.cwnd, 3U * conn->mss);
    utcp__want_output(conn);
}

bool utcp__undo_acked(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;
    bool recovering = conn->recovery.active || conn->recovery.after_timeout;
    bool spurious;

    if (!undo->possible)
        return false;
    spurious = all_came_twice(undo);
    if (recovering)
        spurious = eifel(conn, delivery) || frto(conn, delivery) || spurious;
    if (spurious)
        take_back(conn, delivery);
    return spurious;
}
