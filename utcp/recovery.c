/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss recovery. With SACK: rack.c finds what is lost, here a recovery begins and ends, the window in
 * it is prr.c's, and undo.c may take it back; limited transmit (RFC 3042) is that what is SACKed no
 * longer counts as in flight.
 *
 * Without: fast retransmit (RFC 5681 section 3.2), limited transmit (RFC 3042), NewReno's
 * partial acknowledgments (RFC 6582, the "impatient" variant), and what follows a timeout (RFC 6298
 * section 5.4 to 5.6, go back to snd_una), unless it was spurious (undo.c).
 *
 * Duplicate acknowledgments say that segments left the network: `extra` counts them, and so much
 * may be in flight beyond cwnd. RFC 6582 inflates cwnd itself; keeping the two apart leaves cwnd to
 * the congestion control. */
#include "utcp_internal.h"

#define DUPLICATES_LOST 3

/* `extra` stands for segments in flight that have arrived: a receiver that sends more duplicates
 * than there were segments gains nothing (Savage et al., 1999). */
static void add_extra(struct utcp_conn *conn, uint32_t bytes)
{
    conn->recovery.extra = min_u32(conn->recovery.extra + bytes, conn->snd_max - conn->snd_una);
}

static void retransmit_first(struct utcp_conn *conn)
{
    conn->recovery.retransmit_due = true;
    utcp__want_output(conn);
}

static void enter(struct utcp_conn *conn)
{
    struct utcp_recovery *recovery = &conn->recovery;
    bool probe = utcp__mtu_probe_lost(conn);

    if (!probe)
        utcp__control_lost(conn, conn->snd_max - conn->snd_una);
    recovery->recover = conn->snd_max;
    recovery->active = true;
    recovery->partial_seen = false;
    recovery->extra = 0;
    utcp__undo_start(conn);
    conn->undo.possible = !probe; /* else there is nothing to undo */
    add_extra(conn, DUPLICATES_LOST * conn->mss);
    UTCP_COUNT(conn, fast_retransmits, 1);
    retransmit_first(conn);
}

/* All that was in flight when the loss was found has been acknowledged. RFC 6582 section 3.2 step
 * 3: no burst of what the acknowledgment frees. */
static void leave(struct utcp_conn *conn)
{
    uint32_t in_flight = conn->snd_max - conn->snd_una;

    conn->recovery.active = false;
    conn->recovery.extra = 0;
    if (conn->cc.ops->own_window)
        return;
    conn->cc.cwnd =
        min_u32(conn->cc.ssthresh, (in_flight > conn->mss ? in_flight : conn->mss) + conn->mss);
}

/* What now is first is lost as well. When there are many holes, one a round trip takes too long: only
 * the first partial acknowledgment starts the timer again (RFC 6582 section 4, "impatient"). */
static bool partial(struct utcp_conn *conn, uint32_t acked)
{
    struct utcp_recovery *recovery = &conn->recovery;
    bool first = !recovery->partial_seen;

    recovery->extra -= min_u32(recovery->extra, acked);
    if (acked >= conn->mss)
        add_extra(conn, conn->mss);
    recovery->partial_seen = true;
    retransmit_first(conn);
    return first;
}

void utcp__recovery_start(struct utcp_conn *conn)
{
    conn->recovery = (struct utcp_recovery){.recover = conn->iss};
    conn->rack = (struct utcp_rack){.end = conn->snd_una, .fack = conn->snd_una, .measured = true};
    utcp__control_start(conn);
}

/* What is younger than the last retransmission has none behind it, and what is yet to be sent is younger than
 * now. */
static bool sent_once(const struct utcp_conn *conn)
{
    const struct utcp_scoreboard *board = &conn->board;
    const struct utcp_sent *oldest = (board->many ? board->many : board->few) + board->first;

    if (board->sacked || board->lost || conn->rack.probe_out || !conn->rack.measured ||
        conn->rack.fack != conn->snd_una)
        return false;
    if (board->count == 0)
        return conn->snd_una == conn->snd_max && board->again_at < conn->stack->now;
    return oldest->flags == 0 && board->again_at < oldest->at;
}

bool utcp__calm(const struct utcp_conn *conn)
{
    const struct utcp_recovery *recovery = &conn->recovery;

    if (recovery->active || recovery->after_timeout || recovery->duplicates ||
        recovery->retransmit_due || conn->undo.possible)
        return false;
    if (conn->retries || conn->probes || conn->rtt.backoff || conn->rtt.srtt == 0 ||
        conn->soft_error || (conn->more && conn->more->timeout_since))
        return false;
    if (conn->state < UTCP_ESTABLISHED || conn->state == UTCP_TIME_WAIT || conn->snd_wnd == 0 ||
        conn->snd_nxt != conn->snd_max || seq_before(conn->snd_una, recovery->recover))
        return false;
    return conn->sack ? sent_once(conn) : recovery->extra == 0;
}

uint32_t utcp__recovery_window(const struct utcp_conn *conn)
{
    return conn->cc.cwnd + conn->recovery.extra;
}

/* ── With SACK ─────────────────────────────────────────────────────────────────────────────── */

/* RFC 8985: whatever is found lost begins a recovery, unless one is at work. */
static void enter_with_sack(struct utcp_conn *conn, uint32_t delivered, uint32_t advanced)
{
    struct utcp_recovery *recovery = &conn->recovery;

    if (recovery->active || recovery->after_timeout || conn->board.lost == 0 ||
        utcp__mtu_probe_lost(conn))
        return;
    utcp__control_lost(conn, conn->snd_max - conn->snd_una + advanced);
    recovery->recover = conn->snd_max;
    recovery->active = true;
    UTCP_COUNT(conn, fast_retransmits, 1);
    utcp__undo_start(conn);
    utcp__prr_start(conn, delivered, advanced);
}

static void leave_with_sack(struct utcp_conn *conn)
{
    struct utcp_recovery *recovery = &conn->recovery;

    if (recovery->active && !conn->cc.ops->own_window)
        conn->cc.cwnd = conn->cc.ssthresh; /* RFC 9937 section 6.3 */
    recovery->active = recovery->after_timeout = false;
    conn->undo.frto = FRTO_NONE;
    utcp__rack_recovered(conn);
}

static void process(struct utcp_conn *conn, uint32_t acked, const struct utcp_delivery *delivery)
{
    struct utcp_recovery *recovery = &conn->recovery;
    bool lost;

    if (delivery->delivered || acked)
        utcp__control_acked(conn, delivery->delivered, delivery->flight, delivery->rtt_us,
                            recovery->active || !delivery->advanced);
    if (delivery->duplicate)
        utcp__rack_duplicate(conn);
    if (conn->undo.possible)
        utcp__undo_acked(conn, delivery);
    if ((recovery->active || recovery->after_timeout) &&
        !seq_before(conn->snd_una, recovery->recover))
        leave_with_sack(conn);
    lost = utcp__rack_detect(conn);
    if (conn->board.lost)
        enter_with_sack(conn, delivery->delivered, acked);
    if (recovery->active && delivery->delivered)
        utcp__prr_acked(conn, delivery->delivered, delivery->advanced, lost);
    if (conn->rack.probe_out)
        utcp__probe_acked(conn, delivery);
}

void utcp__recovery_sacked(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_recovery *recovery = &conn->recovery;

    if (!delivery->reported && !delivery->duplicate && !conn->rack.probe_out &&
        !recovery->after_timeout)
        return;
    conn->restless = true;
    if (delivery->reported && recovery->duplicates < UINT16_MAX)
        recovery->duplicates++;
    process(conn, 0, delivery);
    utcp__probe_schedule(conn);
    utcp__want_output(conn);
}

void utcp__recovery_reordered(struct utcp_conn *conn)
{
    struct utcp_delivery nothing = {0};

    if (!utcp__rack_detect(conn)) {
        utcp__probe_schedule(conn);
        return;
    }
    conn->restless = true;
    enter_with_sack(conn, nothing.delivered, 0);
    if (conn->recovery.active)
        utcp__prr_acked(conn, 0, false, true);
    utcp__want_output(conn);
}

static void timed_out_with_sack(struct utcp_conn *conn)
{
    struct utcp_recovery *recovery = &conn->recovery;
    bool first = !recovery->active && !recovery->after_timeout;

    /* RFC 2018 section 8: had the peer kept what it told of, snd_una would lie behind it. */
    if (conn->board.count && utcp__sent(&conn->board, 0)->flags & SENT_SACKED)
        utcp__sack_forget(conn);
    utcp__rack_timed_out(conn);
    if (first)
        utcp__undo_start(conn);
    conn->undo.frto = first ? FRTO_FIRST : FRTO_NONE;
    recovery->active = false;
    recovery->after_timeout = true;
    recovery->duplicates = 0;
    recovery->retransmit_due = true; /* whatever else may be in flight */
    conn->rtt.timed_at = 0;
    utcp__want_output(conn);
}

/* ── Acknowledgments and their lack ────────────────────────────────────────────────────────── */

bool utcp__recovery_acked(struct utcp_conn *conn, uint32_t acked, struct utcp_delivery *delivery)
{
    struct utcp_recovery *recovery = &conn->recovery;

    recovery->duplicates = 0;
    recovery->retransmit_due = false;
    if (conn->sack) {
        process(conn, acked, delivery);
        return true;
    }
    utcp__control_acked(conn, acked, delivery->flight, delivery->rtt_us, recovery->active);
    if (utcp__undo_acked(conn, delivery))
        return true;
    if (!seq_before(conn->snd_una, recovery->recover))
        recovery->after_timeout = false;
    if (recovery->active) {
        if (seq_before(conn->snd_una, recovery->recover))
            return partial(conn, acked);
        leave(conn);
        return true;
    }
    if (conn->undo.frto != FRTO_SECOND)
        recovery->extra = 0;
    return true;
}

void utcp__recovery_duplicate(struct utcp_conn *conn)
{
    struct utcp_recovery *recovery = &conn->recovery;

    conn->restless = true;
    if (conn->undo.frto != FRTO_NONE) {
        utcp__undo_frto_duplicate(conn);
        return;
    }
    if (recovery->active) {
        add_extra(conn, conn->mss);
        utcp__want_output(conn);
        return;
    }
    if (recovery->duplicates < UINT16_MAX)
        recovery->duplicates++;
    if (recovery->duplicates < DUPLICATES_LOST) {
        add_extra(conn, conn->mss); /* limited transmit */
        utcp__want_output(conn);
        return;
    }
    /* Duplicates of what an earlier recovery or timeout sent twice are no sign of a loss. */
    if (recovery->duplicates == DUPLICATES_LOST && seq_before(recovery->recover, conn->snd_una))
        enter(conn);
}

/* Without SACK all is sent again, RFC 6298 section 5.4. */
static void go_back(struct utcp_conn *conn)
{
    conn->recovery.active = false;
    conn->recovery.duplicates = 0;
    conn->recovery.extra = 0;
    conn->recovery.retransmit_due = false;
    conn->snd_nxt = conn->snd_una;
    conn->rtt.timed_at = 0;
    utcp__want_output(conn);
}

void utcp__recovery_resend(struct utcp_conn *conn)
{
    conn->restless = true;
    conn->undo.possible = false;
    conn->undo.frto = FRTO_NONE;
    if (conn->sack) {
        for (uint32_t i = 0; i < conn->board.count; i++)
            utcp__sack_lose(conn, utcp__sent(&conn->board, i));
        conn->recovery.active = false;
        conn->recovery.after_timeout = true; /* no loss, and no reason for a smaller window */
        conn->recovery.recover = conn->snd_max;
        conn->recovery.retransmit_due = true;
        conn->rtt.timed_at = 0;
        utcp__want_output(conn);
        return;
    }
    go_back(conn);
}

void utcp__recovery_timed_out(struct utcp_conn *conn)
{
    bool first = !conn->recovery.active && !conn->recovery.after_timeout;

    conn->restless = true;
    /* Only the first timeout says something new about the path (RFC 5681 section 3.1). */
    if (conn->retries <= 1)
        utcp__control_timed_out(conn, conn->snd_max - conn->snd_una);
    conn->cc.cwnd = conn->mss;
    conn->recovery.recover = conn->snd_max;
    if (conn->sack) {
        timed_out_with_sack(conn);
        return;
    }
    if (first)
        utcp__undo_start(conn);
    conn->undo.frto = first ? FRTO_FIRST : FRTO_NONE;
    conn->recovery.after_timeout = true;
    go_back(conn);
}
