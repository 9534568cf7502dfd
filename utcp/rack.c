/* SPDX-License-Identifier: BSD-2-Clause */
/* RACK-TLP, RFC 8985: what was sent some time before something that was delivered is lost; and when
 * nothing is heard, a probe asks for news before the retransmission timer has to. */
#include "steps.h"

#define PERSIST         16 /* recoveries, section 6.2 step 4 */
#define DUPLICATES_LOST 3

static bool sent_before(const struct utcp_sent *sent, const struct utcp_rack *rack)
{
    /* Of what left at the same time the order is that of the sequence numbers, but not for what was
     * sent again among new data. */
    return sent->at < rack->sent_at || (sent->at == rack->sent_at && !(sent->flags & SENT_AGAIN) &&
                                        seq_before(sent->end, rack->end));
}

/* ── Section 6.2, steps 1 to 3 ─────────────────────────────────────────────────────────────── */

void utcp__rack_measured(struct utcp_conn *conn, uint64_t rtt_us)
{
    utcp__rack_measure(&conn->rack, conn->stack->now, rtt_us);
}

/* Of a segment that was sent more than once it is the first copy that arrived, if the answer echoes
 * an earlier timestamp, or came sooner than the path allows. */
static bool of_earlier_copy(const struct utcp_conn *conn, const struct utcp_sent *sent,
                            const struct utcp_delivery *delivery)
{
    uint32_t stamp = (uint32_t)(sent->at / UTCP_MS) + conn->ts_offset;

    if (delivery->has_echo && (int32_t)(delivery->ts_echo - stamp) < 0)
        return true;
    return conn->stack->now - sent->at < conn->rack.min_rtt;
}

static void reordered(struct utcp_conn *conn, uint32_t distance)
{
    conn->rack.reordering = true;
    utcp__count_reordered(conn, distance);
}

void utcp__rack_delivered(struct utcp_conn *conn, const struct utcp_sent *sent, uint32_t end,
                          const struct utcp_delivery *delivery)
{
    struct utcp_rack *rack = &conn->rack;

    if (seq_before(rack->fack, end))
        rack->fack = end;
    if (seq_before(end, delivery->fack) && !(sent->flags & SENT_AGAIN))
        reordered(conn, delivery->fack - sent->start);
    if (!(sent->flags & SENT_AGAIN)) {
        if (sent->at != rack->sent_at) /* else some of it was measured, and came sooner */
            utcp__rack_measured(conn, conn->stack->now - sent->at);
        rack->measured = true;
    } else if (of_earlier_copy(conn, sent, delivery)) {
        return;
    }
    if (sent->at < rack->sent_at || (sent->at == rack->sent_at && !seq_before(rack->end, end)))
        return;
    rack->sent_at = sent->at;
    rack->end = end;
    rack->rtt = (uint32_t)(conn->stack->now - sent->at);
}

/* ── Steps 4 and 5 ─────────────────────────────────────────────────────────────────────────── */

static uint64_t reordering_window(const struct utcp_conn *conn)
{
    const struct utcp_rack *rack = &conn->rack;
    bool many = conn->board.sacked > 2u * conn->mss || conn->recovery.duplicates >= DUPLICATES_LOST;
    uint64_t window = (uint64_t)rack->min_rtt * (rack->multiplier + 1u) / 4;

    if (!rack->reordering && (conn->recovery.active || conn->recovery.after_timeout || many))
        return 0;
    return window < conn->rtt.srtt ? window : conn->rtt.srtt;
}

void utcp__rack_duplicate(struct utcp_conn *conn)
{
    struct utcp_rack *rack = &conn->rack;

    if (rack->round_seen && seq_before(conn->snd_una, rack->round_end))
        return;
    rack->round_seen = true;
    rack->round_end = conn->snd_max;
    rack->persist = PERSIST;
    rack->multiplier += rack->multiplier < UINT8_MAX;
}

void utcp__rack_recovered(struct utcp_conn *conn)
{
    struct utcp_rack *rack = &conn->rack;

    if (rack->persist && --rack->persist == 0)
        rack->multiplier = 0;
}

bool utcp__rack_detect(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;
    struct utcp_rack *rack = &conn->rack;
    uint64_t now = conn->stack->now, wait = 0, last = 0;
    uint32_t lost = board->lost;

    for (uint32_t i = 0; i < board->count; i++) {
        struct utcp_sent *sent = utcp__sent(board, i);

        if (sent->flags & (SENT_SACKED | SENT_LOST))
            continue;
        if (!sent_before(sent, rack)) {
            /* What lies behind was sent later still, or sent again later than that. */
            if (!(sent->flags & SENT_AGAIN))
                break;
            continue;
        }
        if (wait == 0) /* which is rarely asked for */
            wait = rack->rtt + reordering_window(conn);
        if (sent->at + wait <= now)
            utcp__sack_lose(conn, sent);
        else if (sent->at + wait > last)
            last = sent->at + wait;
    }
    if (last) {
        rack->timer_probes = false;
        utcp__timer_set(conn, TIMER_LOSS, last);
    } else if (!rack->timer_probes) {
        utcp__timer_stop(conn, TIMER_LOSS);
    }
    return board->lost != lost;
}

/* Section 6.3. */
void utcp__rack_timed_out(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;
    uint64_t wait = conn->rack.rtt + reordering_window(conn);

    for (uint32_t i = 0; i < board->count; i++) {
        struct utcp_sent *sent = utcp__sent(board, i);

        if (i == 0 || sent->at + wait <= conn->stack->now)
            utcp__sack_lose(conn, sent);
    }
    conn->rack.probe_due = conn->rack.probe_out = false;
    utcp__timer_stop(conn, TIMER_LOSS);
}

/* ── Section 7: tail loss probe ────────────────────────────────────────────────────────────── */

void utcp__probe_schedule(struct utcp_conn *conn)
{
    if (conn->sack && utcp__synchronized(conn))
        utcp__schedule_probe(conn, false);
}

void utcp__loss_fires(struct utcp_conn *conn)
{
    if (!conn->rack.timer_probes) {
        utcp__recovery_reordered(conn);
        return;
    }
    conn->rack.timer_probes = false;
    conn->rack.probe_due = true;
    /* Only what comes of it, or does not, is a reason for the retransmission timer. */
    utcp__timer_set(conn, TIMER_RETRANSMIT, conn->stack->now + utcp__rtt_timeout(&conn->rtt));
    utcp__want_output(conn);
}

void utcp__probe_sent(struct utcp_conn *conn, uint32_t end, bool again)
{
    struct utcp_rack *rack = &conn->rack;
    bool recovering = conn->recovery.active;

    conn->restless = true;
    rack->probe_due = rack->measured = false;
    rack->probe_out = true;
    rack->probe_new = !again;
    rack->probe_again = again && !recovering; /* there the window was reduced already */
    rack->probe_end = recovering ? end : conn->snd_max;
    UTCP_COUNT(conn, probes, 1);
    PROBE_TAIL_PROBE(conn, again);
    utcp__trace_reason(conn, UTCP_TRACE_TAIL_PROBE, NULL);
}

/* Section 7.4.2. A probe that was a retransmission, and that alone repaired a loss, has hidden it:
 * the window is reduced all the same. One that came twice was needless: nothing was lost, the round trip was longer
 * than the ones before it. On a host that has more work than time that is the rule (its queues are part of the round
 * trip, and it takes one turn of a process or two), and each such probe makes more work still: two packets. So each
 * doubles the wait for the next, until a probe repairs something. */
void utcp__probe_acked(struct utcp_conn *conn, const struct utcp_delivery *delivery)
{
    struct utcp_rack *rack = &conn->rack;

    if (!rack->probe_out ||
        seq_before(rack->probe_new ? rack->fack : conn->snd_una, rack->probe_end))
        return;
    if (!rack->probe_again || delivery->duplicate) {
        rack->probe_out = false;
        if (rack->probe_again && rack->patience < UTCP_PATIENCE_MAX)
            rack->patience++;
    } else if (seq_before(rack->probe_end, conn->snd_una)) {
        rack->probe_out = false;
        rack->patience = 0;
        if (!conn->recovery.active && !conn->recovery.after_timeout)
            utcp__control_lost(conn, delivery->flight);
    } else if (!delivery->advanced && !delivery->reported) {
        rack->probe_out = false; /* both copies came, and the peer knows no D-SACK */
    }
}
