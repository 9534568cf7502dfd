/* SPDX-License-Identifier: BSD-2-Clause */
/* Packetization-layer path MTU discovery (RFC 4821): which packets pass, found out by packets. ICMP
 * (icmp.c) says it sooner where it comes through; where a router or a tunnel drops what is too large
 * and says nothing, full segments vanish, again and again, while handshake and small ones pass.
 *
 *   black hole   a full segment has timed out three times: the path MTU falls to a size that
 *                nearly every path has, after five times to the least there is; what is in flight is cut
 *                anew by the retransmission that follows
 *   search       a packet larger than the path MTU, of new data, with more behind it. Acknowledged: so
 *                much passes. Lost alone: so much does not, and that is no congestion (section 7.6.2);
 *                its data go again in segments that pass. First the size from before is tried (the
 *                timeouts may have had another reason), or one that ICMP has told of, then the middle
 *                between what passes and what does not, until they are close together
 *   again        ten minutes later, for paths change; that goes for what ICMP has lowered, too, and for
 *                what another connection has found out (path.c)
 *
 * One probe is out at a time, and one begins in a round trip at most. While nothing is searched for,
 * which is nearly always, none of this is asked about: the search goes on from where round trips
 * are counted (info.c), from timeouts and from losses. */
#include "options/options.h"
#include "utcp_internal.h"

#define TIMEOUTS_BASE  3 /* in a row, until full segments are taken to vanish */
#define TIMEOUTS_FLOOR 5
#define BASE_IPV4      1024 /* RFC 4821 section 7.2 */
#define CLOSE_ENOUGH   8    /* bytes between what passes and what does not */
#define FOLLOWERS      4    /* segments behind a probe, by which its loss shows */
#define SEARCH_AGAIN   (600 * UTCP_SECOND)
#define AFTER_TIMEOUT  (10 * UTCP_SECOND) /* until the next probe, when one ended in a timeout */

static bool is_on(const struct utcp_conn *conn)
{
    return !(conn->stack->flags & UTCP_NO_MTU_PROBING);
}

/* The largest packet worth trying. */
static uint32_t most(const struct utcp_conn *conn)
{
    uint32_t payload = conn->peer_mss;

    if (conn->mss_max)
        payload = min_u32(payload, conn->mss_max);
    return min_u32(conn->stack->mtu, payload + utcp__packet_headers(conn->local.family));
}

static void wait_for(struct utcp_conn *conn, uint64_t us)
{
    conn->more->mtu.next_at = conn->stack->now + us;
}

static void forget_probe(struct utcp_mtu_search *mtu)
{
    mtu->probe = 0;
    mtu->too_large = false;
    mtu->start = mtu->end = 0;
}

/* What passes and what does not are known anew. */
static void narrowed(struct utcp_conn *conn)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;

    if (mtu->high >= mtu->low + CLOSE_ENOUGH)
        return;
    wait_for(conn, SEARCH_AGAIN);
    if (mtu->high < most(conn))
        utcp__path_searched(conn, mtu->low);
}

static void set_path_mtu(struct utcp_conn *conn, uint32_t mtu)
{
    conn->path_mtu = (uint16_t)mtu;
    utcp__conn_update_mss(conn);
}

/* ── What says that packets are too large ──────────────────────────────────────────────────── */

bool utcp__mtu_too_large(struct utcp_conn *conn, uint32_t seq)
{
    struct utcp_mtu_search *mtu = conn->more ? &conn->more->mtu : NULL;

    if (mtu == NULL || !mtu->too_large || seq_before(seq, mtu->start) || !seq_before(seq, mtu->end))
        return false;
    forget_probe(mtu);
    return true;
}

static void look_for_black_hole(struct utcp_conn *conn)
{
    bool v4 = conn->local.family == 4;
    uint32_t base = v4 ? BASE_IPV4 : UTCP_MTU_MIN_IPV6, first;
    struct utcp_more *more;

    if (!is_on(conn) || conn->retries < TIMEOUTS_BASE)
        return;
    if (v4 && conn->retries >= TIMEOUTS_FLOOR)
        base = UTCP_MTU_MIN_IPV4;
    first = min_u32(conn->snd_max - conn->snd_una, conn->mss);
    if (base >= conn->path_mtu || first + utcp__options_size(conn) <= utcp__mss_for_mtu(conn, base))
        return;
    more = utcp__more(conn);
    if (more == NULL)
        return;
    more->mtu.low = (uint16_t)base;
    more->mtu.high = (uint16_t)max_u32(more->mtu.high, conn->path_mtu);
    more->mtu.high_first = true;
    more->mtu.next_at = 0;
    set_path_mtu(conn, base);
    conn->stack->stats.mtu_black_holes++;
    if (conn->retries < TIMEOUTS_FLOOR)
        utcp__path_suspected(conn, base);
}

bool utcp__mtu_timed_out(struct utcp_conn *conn)
{
    struct utcp_more *more = conn->more;

    if (utcp__mtu_too_large(conn, conn->snd_una)) {
        utcp__recovery_resend(conn);
        return true;
    }
    if (more && more->mtu.probe) { /* for whichever reason */
        forget_probe(&more->mtu);
        wait_for(conn, AFTER_TIMEOUT);
    }
    look_for_black_hole(conn);
    return false;
}

void utcp__mtu_lowered(struct utcp_conn *conn)
{
    struct utcp_more *more = is_on(conn) ? utcp__more(conn) : NULL;

    if (more == NULL)
        return;
    forget_probe(&more->mtu);
    more->mtu.low = more->mtu.high = conn->path_mtu;
    wait_for(conn, SEARCH_AGAIN);
}

void utcp__mtu_told(struct utcp_conn *conn, uint32_t mtu, uint64_t again_at)
{
    struct utcp_more *more = utcp__more(conn);

    set_path_mtu(conn, mtu);
    if (more == NULL)
        return;
    forget_probe(&more->mtu);
    more->mtu.low = more->mtu.high = conn->path_mtu;
    more->mtu.next_at = again_at;
    if (conn->snd_max - conn->snd_una > conn->mss) {
        more->mtu.too_large = true;
        more->mtu.start = conn->snd_una;
        more->mtu.end = conn->snd_max;
    }
}

bool utcp__mtu_refused(struct utcp_conn *conn, uint32_t seq, uint32_t mtu)
{
    struct utcp_mtu_search *search = conn->more ? &conn->more->mtu : NULL;

    if (search == NULL || search->probe == 0 || seq_before(seq, search->start) ||
        !seq_before(seq, search->end) || (mtu && mtu < search->low))
        return false;
    search->high_first = mtu && mtu < search->probe;
    search->high = search->high_first ? (uint16_t)mtu : search->probe - 1;
    search->probe = 0; /* where it was is still known: its loss will show */
    conn->stack->stats.mtu_probes_lost++;
    narrowed(conn);
    return true;
}

/* ── Probes ────────────────────────────────────────────────────────────────────────────────── */

static void passed(struct utcp_conn *conn)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;

    mtu->low = mtu->probe;
    forget_probe(mtu);
    set_path_mtu(conn, mtu->low);
    utcp__path_passed(conn, mtu->low);
    narrowed(conn);
}

static void failed(struct utcp_conn *conn)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;

    if (mtu->probe == 0)
        return;
    mtu->high = mtu->probe - 1;
    mtu->probe = 0;
    conn->stack->stats.mtu_probes_lost++;
    narrowed(conn);
}

void utcp__mtu_round(struct utcp_conn *conn)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;

    if (mtu->end != mtu->start) {
        if (seq_before(conn->snd_una, mtu->end))
            return;
        if (mtu->probe && conn->segments_retransmitted == mtu->retransmitted)
            passed(conn);
        forget_probe(mtu); /* if something was sent again, it may have been that */
    }
    if (conn->stack->now < mtu->next_at || !is_on(conn))
        return;
    if (mtu->high < mtu->low + CLOSE_ENOUGH) { /* the time is over */
        mtu->high = (uint16_t)most(conn);
        mtu->high_first = true;
    }
    mtu->high = (uint16_t)min_u32(mtu->high, most(conn));
    if (mtu->high < mtu->low + CLOSE_ENOUGH) {
        mtu->high = 0;
        return;
    }
    conn->probe_due |= UTCP_PROBE_MTU;
    utcp__want_output(conn);
}

/* Nothing is to be repaired, and the next to be sent is new. */
static bool calm(const struct utcp_conn *conn)
{
    return conn->state >= UTCP_ESTABLISHED && conn->snd_nxt == conn->snd_max &&
           !conn->recovery.active && !conn->recovery.after_timeout && conn->board.sacked == 0 &&
           conn->board.lost == 0 && conn->recovery.duplicates == 0 && !conn->cork &&
           !conn->urgent_out && !conn->more->records;
}

enum utcp_mtu_turn utcp__mtu_turn(struct utcp_conn *conn, uint32_t *length)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;
    uint32_t size = mtu->high_first ? mtu->high : (mtu->low + mtu->high + 1U) / 2;
    uint32_t payload = utcp__mss_for_mtu(conn, size) - utcp__options_size(conn);
    uint32_t needed = payload + FOLLOWERS * conn->mss, flight = utcp__in_flight(conn);
    uint64_t buffered = conn->send.end - conn->send.una;

    *length = payload;
    if (mtu->end != mtu->start || payload <= conn->mss || size > most(conn) || !calm(conn) ||
        buffered < flight + needed || conn->snd_wnd < flight + needed || conn->cc.cwnd < needed ||
        !utcp__pacing_allows(conn))
        return MTU_NOT_NOW;
    return conn->cc.cwnd < flight + payload ? MTU_WAIT : MTU_SEND;
}

void utcp__mtu_probe_sent(struct utcp_conn *conn, uint32_t seq, uint32_t length)
{
    struct utcp_mtu_search *mtu = &conn->more->mtu;

    mtu->probe =
        (uint16_t)(length + utcp__options_size(conn) + utcp__packet_headers(conn->local.family));
    mtu->high_first = false;
    mtu->start = seq;
    mtu->end = seq + length;
    mtu->retransmitted = conn->segments_retransmitted;
    conn->segments_out[1]--; /* it was counted as what it would be cut into */
    conn->stack->stats.mtu_probes++;
}

/* ── Losses ────────────────────────────────────────────────────────────────────────────────── */

/* With SACK: of all that is lost, for the first time, nothing lies outside of the probe. */
static bool nothing_else_lost(struct utcp_conn *conn)
{
    const struct utcp_mtu_search *mtu = &conn->more->mtu;

    for (uint32_t i = 0; i < conn->board.count; i++) {
        const struct utcp_sent *sent = utcp__sent(&conn->board, i);

        if (sent->flags & SENT_LOST &&
            (sent->flags & SENT_AGAIN || seq_before(sent->start, mtu->start) ||
             seq_before(mtu->end, sent->end)))
            return false;
    }
    return true;
}

bool utcp__mtu_probe_lost(struct utcp_conn *conn)
{
    const struct utcp_mtu_search *mtu = conn->more ? &conn->more->mtu : NULL;

    if (mtu == NULL || mtu->start == mtu->end)
        return false;
    if (conn->sack ? !nothing_else_lost(conn) : conn->snd_una != mtu->start)
        return false;
    failed(conn);
    return true;
}
