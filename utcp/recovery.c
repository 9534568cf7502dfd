/* SPDX-License-Identifier: BSD-2-Clause */
/* Loss recovery: fast retransmit (RFC 5681 section 3.2), limited transmit (RFC 3042), NewReno's
 * partial acknowledgments (RFC 6582, the "impatient" variant), and what follows a timeout (RFC 6298
 * section 5.4 to 5.6, go back to snd_una).
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

    utcp__control_lost(conn, conn->snd_max - conn->snd_una);
    recovery->recover = conn->snd_max;
    recovery->active = true;
    recovery->partial_seen = false;
    recovery->extra = 0;
    add_extra(conn, DUPLICATES_LOST * conn->mss);
    conn->fast_retransmits++;
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
    utcp__control_start(conn);
}

uint32_t utcp__recovery_window(const struct utcp_conn *conn)
{
    return conn->cc.cwnd + conn->recovery.extra;
}

bool utcp__recovery_acked(struct utcp_conn *conn, uint32_t acked, uint32_t in_flight,
                          uint64_t rtt_us)
{
    struct utcp_recovery *recovery = &conn->recovery;

    recovery->duplicates = 0;
    recovery->retransmit_due = false;
    utcp__control_acked(conn, acked, in_flight, rtt_us, recovery->active);
    if (recovery->active) {
        if (seq_before(conn->snd_una, recovery->recover))
            return partial(conn, acked);
        leave(conn);
        return true;
    }
    recovery->extra = 0;
    if (seq_before(recovery->recover, conn->snd_una))
        recovery->recover =
            conn->snd_una - 1; /* so that it does not fall behind by half a circle */
    return true;
}

void utcp__recovery_duplicate(struct utcp_conn *conn)
{
    struct utcp_recovery *recovery = &conn->recovery;

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

void utcp__recovery_resend(struct utcp_conn *conn)
{
    conn->recovery.active = false;
    conn->recovery.duplicates = 0;
    conn->recovery.extra = 0;
    conn->recovery.retransmit_due = false;
    conn->snd_nxt = conn->snd_una;
    conn->rtt.timed_at = 0;
    utcp__want_output(conn);
}

void utcp__recovery_timed_out(struct utcp_conn *conn)
{
    /* Only the first timeout says something new about the path (RFC 5681 section 3.1). */
    if (conn->retries <= 1)
        utcp__control_timed_out(conn, conn->snd_max - conn->snd_una);
    conn->cc.cwnd = conn->mss;
    conn->recovery.recover = conn->snd_max;
    utcp__recovery_resend(conn);
}
