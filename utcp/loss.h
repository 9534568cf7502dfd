/* SPDX-License-Identifier: BSD-2-Clause */
/* What finds losses and repairs them. A part of utcp_internal.h, by which it is included. */
#ifndef UTCP_LOSS_H
#define UTCP_LOSS_H

/* ── recovery.c, rtt.c ─────────────────────────────────────────────────────────────────────── */

void utcp__recovery_start(struct utcp_conn *conn);
/* Whether there is nothing to repair, and nothing that the next acknowledgment would end: all that is in
 * flight was sent once, in its order, and nothing is known of it yet. As long as `restless` is false, it
 * is so, and header prediction need not ask. */
bool utcp__calm(const struct utcp_conn *conn);
/* Something may be at its end. */
static inline void utcp__settle(struct utcp_conn *conn)
{
    conn->restless = !utcp__calm(conn);
}
/* A segment came: keep-alive probes have their answer. */
static inline void utcp__probes_answered(struct utcp_conn *conn)
{
    if (__builtin_expect(conn->probes, 0)) {
        conn->probes = 0;
        utcp__settle(conn);
    }
}
/* `acked` bytes from the old snd_una on were acknowledged; snd_una is new. False: that is not worth
 * starting the retransmission timer again for. */
bool utcp__recovery_acked(struct utcp_conn *conn, uint32_t acked, struct utcp_delivery *delivery);
/* With SACK: an acknowledgment that did not move snd_una; its blocks were taken. */
void utcp__recovery_sacked(struct utcp_conn *conn, const struct utcp_delivery *delivery);
/* The reordering window is over: what was waited for is lost. */
void utcp__recovery_reordered(struct utcp_conn *conn);
void utcp__recovery_duplicate(struct utcp_conn *conn);
void utcp__recovery_timed_out(struct utcp_conn *conn);
/* Sends from snd_una on again, for another reason than congestion. */
void utcp__recovery_resend(struct utcp_conn *conn);
/* Bytes that may be in flight. */
uint32_t utcp__recovery_window(const struct utcp_conn *conn);

void utcp__rtt_init(struct utcp_rtt *rtt);
/* The timeout was too early: the round-trip time is `sample_us` (RFC 4015 section 3.3). */
void utcp__rtt_spurious(struct utcp_rtt *rtt, uint64_t sample_us);
void utcp__rtt_sample(struct utcp_rtt *rtt, uint64_t sample_us);
/* The retransmission timeout with its back-off. */
static inline uint64_t utcp__rtt_timeout(const struct utcp_rtt *rtt)
{
    uint64_t timeout = (uint64_t)rtt->rto << (rtt->backoff < 16 ? rtt->backoff : 16);

    return timeout < UTCP_RTO_MAX ? timeout : UTCP_RTO_MAX;
}

/* ── sack.c, rack.c, prr.c, undo.c ─────────────────────────────────────────────────────────── */

struct utcp_sent *utcp__sent(struct utcp_scoreboard *board, uint32_t index);
void utcp__sack_dispose(struct utcp_conn *conn);
/* New data, and not those that are in flight alone; snd_max is from before. */
void utcp__sack_append_any(struct utcp_conn *conn, uint32_t start, uint32_t end);
static inline void utcp__sack_append(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_scoreboard *board = &conn->board;

    if (board->count || board->many) {
        utcp__sack_append_any(conn, start, end);
        return;
    }
    board->few[0] = (struct utcp_sent){.at = conn->stack->now, .start = start, .end = end};
    board->first = 0;
    board->count = 1;
}
/* Goes out; snd_max is from before. */
void utcp__sack_sent(struct utcp_conn *conn, uint32_t start, uint32_t end);
/* The blocks of a segment whose acknowledgment is between snd_una and snd_max. */
void utcp__sack_received(struct utcp_conn *conn, const struct utcp_segment *segment,
                         struct utcp_delivery *delivery);
/* snd_una is new. */
void utcp__sack_acknowledged(struct utcp_conn *conn, struct utcp_delivery *delivery);
void utcp__sack_lose(struct utcp_conn *conn, struct utcp_sent *sent);
/* What is to be sent again first; NULL: nothing. */
const struct utcp_sent *utcp__sack_first_lost(struct utcp_conn *conn);
/* Nothing is lost after all. */
void utcp__sack_find_all(struct utcp_conn *conn);
/* The peer may have thrown away what it told of. */
void utcp__sack_forget(struct utcp_conn *conn);

/* A segment sent as `sent` says arrived, up to `end`. */
void utcp__rack_delivered(struct utcp_conn *conn, const struct utcp_sent *sent, uint32_t end,
                          const struct utcp_delivery *delivery);
/* A round-trip time, as exact as the clock. */
void utcp__rack_measured(struct utcp_conn *conn, uint64_t rtt_us);
/* D-SACK: the reordering window was too narrow. */
void utcp__rack_duplicate(struct utcp_conn *conn);
void utcp__rack_recovered(struct utcp_conn *conn);
/* Finds what is lost; true: something was found. */
bool utcp__rack_detect(struct utcp_conn *conn);
void utcp__rack_timed_out(struct utcp_conn *conn);
void utcp__loss_fires(struct utcp_conn *conn);
void utcp__probe_schedule(struct utcp_conn *conn);
void utcp__probe_sent(struct utcp_conn *conn, uint32_t end, bool again);
void utcp__probe_acked(struct utcp_conn *conn, const struct utcp_delivery *delivery);

void utcp__prr_start(struct utcp_conn *conn, uint32_t delivered, uint32_t advanced);
void utcp__prr_acked(struct utcp_conn *conn, uint32_t delivered, bool advanced, bool lost);

enum frto { FRTO_NONE, FRTO_FIRST, FRTO_SECOND };

void utcp__undo_start(struct utcp_conn *conn);
void utcp__undo_dispose(struct utcp_conn *conn);
void utcp__undo_resent(struct utcp_conn *conn, uint32_t start, uint32_t end);
/* These came twice, says the peer. False: they were not sent again, so the network has doubled them. */
bool utcp__undo_duplicate(struct utcp_conn *conn, uint32_t start, uint32_t end);
/* True: what was held for lost had not been, and all is as it was before. */
bool utcp__undo_acked(struct utcp_conn *conn, const struct utcp_delivery *delivery);
/* F-RTO is at work, without SACK, and a duplicate came: the timeout was right (RFC 5682 section 2.1,
 * steps 2a and 3a). */
void utcp__undo_frto_duplicate(struct utcp_conn *conn);

#endif
