/* SPDX-License-Identifier: BSD-2-Clause */
/* Retransmissions that were not needed, and the way back from them:
 *
 *   Eifel, RFC 3522     the first acknowledgment after a retransmission echoes a timestamp from
 *                       before it: the original has arrived
 *   D-SACK, RFC 2883    the receiver tells of everything that was sent again that it had it already
 *   F-RTO, RFC 5682     after a timeout, while two new segments are sent instead of more old ones,
 *                       something arrives that was sent once only
 *
 * Whichever it is, cwnd and ssthresh are what they were before (RFC 4015 section 3.2, whose RTO is
 * taken over as well), and what was held for lost is in flight again. */
#include "utcp_internal.h"

void utcp__undo_start(struct utcp_conn *conn)
{
    conn->undo = (struct utcp_undo){.marker = conn->snd_una, .possible = true};
}

void utcp__undo_resent(struct utcp_conn *conn, uint32_t bytes)
{
    struct utcp_undo *undo = &conn->undo;

    if (!undo->possible)
        return;
    if (!undo->sent)
        undo->timestamp = utcp__timestamp_now(conn);
    undo->sent = true;
    undo->again += bytes;
}

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
    conn->spurious++;
    utcp__want_output(conn);
}

void utcp__undo_duplicate(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_undo *undo = &conn->undo;

    if (!undo->possible || !undo->sent || seq_before(start, undo->marker))
        return;
    undo->again -= min_u32(undo->again, end - start);
}

/* RFC 3522 section 3.2: the first acknowledgment alone can tell. */
static bool eifel(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;

    if (!delivery->advanced || undo->judged || !undo->sent)
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

/* RFC 5682 section 3.1, the variant with SACK. True: the timeout was spurious. */
static bool frto(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;

    if (undo->frto == FRTO_FIRST) {
        bool onward = delivery->advanced && seq_before(conn->snd_una, conn->recovery.recover);

        undo->frto = onward && can_send_new(conn) ? FRTO_SECOND : FRTO_NONE;
        return false;
    }
    if (undo->frto == FRTO_SECOND) {
        undo->frto = FRTO_NONE;
        return delivery->original;
    }
    return false;
}

bool utcp__undo_acked(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_undo *undo = &conn->undo;
    bool recovering = conn->recovery.active || conn->recovery.after_timeout;
    bool spurious;

    if (!undo->possible)
        return false;
    spurious = undo->sent && undo->again == 0;
    if (recovering)
        spurious = eifel(conn, delivery) || frto(conn, delivery) || spurious;
    if (spurious)
        take_back(conn, delivery);
    return spurious;
}
