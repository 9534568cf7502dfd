/* SPDX-License-Identifier: BSD-2-Clause */
/* What the long way of a segment (input.c) and header prediction (prediction.c) have in common. Inline,
 * where both need no more than a part of it. */
#ifndef UTCP_STEPS_H
#define UTCP_STEPS_H

#include "utcp_internal.h"

/* ── state.c ───────────────────────────────────────────────────────────────────────────────── */

/* `orphan`: utcp__orphan(), where that is known. */
static inline __attribute__((always_inline)) void utcp__time_wait_begin(struct utcp_conn *conn,
                                                                        bool orphan)
{
    struct utcp *stack = conn->stack;

    utcp__conn_enter(conn, UTCP_TIME_WAIT);
    utcp__time_wait_timer(conn, orphan);
    conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    conn->deadline[TIMER_RETRANSMIT] = TIMER_IDLE;
    conn->deadline[TIMER_USER] = TIMER_IDLE;
    utcp__sendbuf_dispose(&conn->send, &stack->pool);
    if (orphan) {
        utcp__recvbuf_dispose(&conn->receive, &stack->pool);
        list_append(&stack->time_wait, &conn->link);
    }
}

/* ── stack.c: utcp__want_output() and utcp__event() ────────────────────────────────────────── */

static inline void utcp__queue_output(struct utcp_conn *conn)
{
    if (list_empty(&conn->output_link) && conn->in_table)
        list_append(&conn->stack->output, &conn->output_link);
}

static inline void utcp__queue_event(struct utcp_conn *conn, uint32_t events)
{
    conn->events |= events;
    if (conn->owned && list_empty(&conn->link))
        list_append(&conn->stack->events, &conn->link);
}

/* What an echoed timestamp says: a round-trip time in milliseconds, as µs, or 0. `clock` is what a segment
 * would say now, `echo` 0 where the connection has no timestamps. */
static inline uint64_t utcp__echoed(uint32_t clock, uint32_t echo)
{
    uint32_t age = clock - echo;

    if (echo == 0 || age > UTCP_RTO_MAX / UTCP_MS) /* no clock of ours said that */
        return 0;
    return age ? age * UTCP_MS : 1;
}

static inline uint64_t utcp__echoed_rtt(const struct utcp_conn *conn, uint32_t echo)
{
    return utcp__echoed(utcp__timestamp_now(conn), echo);
}

/* A round-trip time that the acknowledgment of new data up to `ack` tells, or 0. The timed segment was
 * sent once only (Karn); else the echoed timestamp says which copy is answered, in milliseconds. While
 * one is being timed, and of a calm connection, which always times one, until the next is, timestamps are
 * for congestion control alone: the smoothed time is made for one sample in a round trip (RFC 6298 section
 * 3, RFC 7323 appendix G). */
static inline uint64_t utcp__take_rtt(struct utcp_conn *conn, uint32_t ack, uint32_t echo)
{
    struct utcp_rtt *rtt = &conn->rtt;
    uint64_t sample;

    if (rtt->timed_at && !seq_before(ack, rtt->timed_seq)) {
        sample = conn->stack->now - rtt->timed_at;
        rtt->timed_at = 0;
        if (!conn->sack) /* the scoreboard measures more often */
            utcp__rack_measured(conn, sample ? sample : 1);
        sample = sample < UTCP_RTO_MAX ? sample + !sample : UTCP_RTO_MAX;
    } else {
        sample = utcp__echoed_rtt(conn, echo);
        if (rtt->timed_at || sample == 0 || !conn->restless)
            return sample;
    }
    utcp__rtt_sample(rtt, sample);
    return sample;
}

/* The peer's window is another one. */
static inline void utcp__change_window(struct utcp_conn *conn, uint32_t window)
{
    utcp__queue_output(conn);
    /* An open window ends probing, and what was learnt by it is no sign of a bad path. */
    if (__builtin_expect(conn->snd_wnd == 0, 0) && window && utcp__in_flight(conn) == 0) {
        conn->rtt.backoff = 0;
        utcp__timer_stop(conn, TIMER_RETRANSMIT);
    }
    conn->restless |= window == 0;
    conn->snd_wnd = window;
    conn->snd_wnd_max = max_u32(conn->snd_wnd_max, window);
}

/* `field` is the window as it stands in the header of a segment with this sequence number and this
 * acknowledgment. */
static inline void utcp__update_window(struct utcp_conn *conn, uint32_t seq, uint32_t ack,
                                       uint16_t field)
{
    uint32_t window = (uint32_t)field << conn->send_scale;

    if (!seq_before(conn->snd_wl1, seq) && !(conn->snd_wl1 == seq && seq_up_to(conn->snd_wl2, ack)))
        return;
    conn->snd_wl1 = seq;
    conn->snd_wl2 = ack;
    if (window != conn->snd_wnd)
        utcp__change_window(conn, window);
}

/* ── control.c: utcp__control_acked() ──────────────────────────────────────────────────────── */

/* What lies behind snd_una is kept near it: it must not fall behind by half a circle. */
void utcp__keep_near(struct utcp_conn *conn);
/* The module wants to know rates. */
void utcp__control_tell_rate(struct utcp_conn *conn, const struct utcp_cc_ack *ack);

/* Whether the sender had used the window, so that there is a reason to open it (RFC 7661). In slow
 * start a flight may double it: what counts is the largest within the round trip, for while one is
 * acknowledged step by step less and less of it is out. */
static inline bool utcp__window_used(const struct utcp_conn *conn, uint32_t flight_max,
                                     uint32_t in_flight)
{
    if (conn->cc.cwnd < conn->cc.ssthresh)
        return conn->cc.cwnd / 2 < flight_max;
    return in_flight + 2 * conn->mss > conn->cc.cwnd;
}

static inline bool utcp__window_was_used(const struct utcp_conn *conn, uint32_t in_flight)
{
    return utcp__window_used(conn, max_u32(conn->control.flight_max, in_flight), in_flight);
}

/* Once in a while is often enough. */
static inline bool utcp__near(uint32_t round_end, uint32_t next_end)
{
    return (round_end ^ next_end) >> 28 == 0;
}

/* A round trip is over; info.c's part of that. */
static inline void utcp__count_known_round(struct utcp_conn *conn, struct utcp_more *more,
                                           bool window_used)
{
    uint64_t now = conn->stack->now, delivered = conn->control.delivered, took;

    if (more->round_at) {
        took = now - more->round_at;
        if (took >= conn->rack.min_rtt) {
            more->last_round_us = took;
            more->last_round_bytes = delivered - more->round_from;
            more->last_round_limited = !window_used;
        } else if (conn->snd_una == conn->snd_max) { /* the rest of the same flight */
            more->last_round_us += took;
            more->last_round_bytes += delivered - more->round_from;
        } else { /* acknowledgments that lie close together do not make a path fast */
            return;
        }
    }
    more->round_at = now;
    more->round_from = delivered;
}

/* So much was delivered, as *ack says, whose rounds are counted here. */
static inline void utcp__control_count(struct utcp_conn *conn, struct utcp_cc_ack *ack,
                                       uint32_t acked, uint32_t in_flight, bool used)
{
    struct utcp_control *control = &conn->control;

    ack->delivered = control->delivered += acked;
    /* Round trips are counted by sequence numbers: one is over when what was sent last in it is
     * acknowledged. */
    ack->round = !seq_before(conn->snd_una, control->round_end);
    if (ack->round) {
        if (!utcp__near(control->round_end, conn->snd_max))
            utcp__keep_near(conn);
        control->round_end = conn->snd_max;
        control->flight_max = in_flight;
        utcp__count_round(conn, used);
    } else if (control->flight_max < in_flight) {
        control->flight_max = in_flight;
    }
}

/* The module, which wants to know no rates. */
static inline void utcp__control_call(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    cc->ops->acked(cc, ack);
    if (__builtin_expect(
            cc->cwnd < cc->mss || cc->cwnd > UTCP_CC_CWND_MAX || cc->ssthresh < cc->mss, 0))
        utcp__control_clamp(cc);
}

static inline void utcp__control_tell(struct utcp_conn *conn, const struct utcp_cc_ack *ack)
{
    struct utcp_cc *cc = &conn->cc;

    if (conn->control.rate)
        utcp__control_tell_rate(conn, ack);
    else
        utcp__control_call(cc, ack);
}

/* ── rack.c ────────────────────────────────────────────────────────────────────────────────── */

#define UTCP_ACK_DELAY_MAX (200 * UTCP_MS) /* TLP.max_ack_delay: the longest in use */

#define UTCP_PATIENCE_MAX 3 /* 16 round trips */

#define UTCP_MIN_RTT_FOR (60 * UTCP_SECOND) /* a path that became longer is believed after this */

/* A round-trip time, as exact as the clock. */
static inline void utcp__rack_measure(struct utcp_rack *rack, uint64_t now, uint64_t rtt_us)
{
    if (rtt_us == 0 || rtt_us > UTCP_RTO_MAX)
        return;
    if (rack->min_rtt && rtt_us > rack->min_rtt && now - rack->min_rtt_at < UTCP_MIN_RTT_FOR)
        return;
    rack->min_rtt = (uint32_t)rtt_us;
    rack->min_rtt_at = now;
}

/* When a tail loss probe is due, something being in flight (RFC 8985 section 7.2): not behind the
 * retransmission `timeout`. Two round trips are the RFC's; where probes turn out to have been needless it is more
 * (utcp__probe_acked()). */
static inline uint64_t utcp__probe_at(const struct utcp_conn *conn, uint64_t now, uint64_t timeout)
{
    uint64_t when = now + ((uint64_t)conn->rtt.srtt << (conn->rack.patience + 1));

    if (conn->rtt.srtt == 0)
        when += UTCP_SECOND;
    else if (conn->snd_max - conn->snd_una <= conn->mss)
        when += UTCP_ACK_DELAY_MAX;
    return when < timeout ? when : timeout;
}

/* RFC 8985 section 7.2 asks for a probe where nothing is being repaired. But of the few segments of a narrow
 * window all that could tell of a lost retransmission may be lost as well, or their acknowledgments, and
 * then there is nothing left but a timeout, on short paths a thousand round trips away. So a recovery may
 * probe, too. After a timeout the timer's backoff rules (RFC 6298). `calm`: utcp__calm(), and something is in
 * flight. */
static inline bool utcp__may_probe(const struct utcp_conn *conn, bool calm)
{
    const struct utcp_rack *rack = &conn->rack;

    if (!calm &&
        (conn->snd_una == conn->snd_max || conn->snd_wnd == 0 || conn->recovery.after_timeout))
        return false;
    return !rack->probe_out && rack->measured; /* section 7.3 */
}

/* With SACK: something was sent or acknowledged. */
static inline __attribute__((always_inline)) void utcp__schedule_probe(struct utcp_conn *conn,
                                                                       const bool calm)
{
    struct utcp_rack *rack = &conn->rack;

    if (!rack->timer_probes && utcp__timer_runs(conn, TIMER_LOSS))
        return; /* the reordering window comes first */
    if (!utcp__may_probe(conn, calm)) {
        if (rack->timer_probes)
            utcp__timer_stop(conn, TIMER_LOSS);
        rack->timer_probes = false;
        return;
    }
    rack->timer_probes = true;
    utcp__timer_set(conn, TIMER_LOSS,
                    utcp__probe_at(conn, conn->stack->now, conn->deadline[TIMER_RETRANSMIT]));
}

/* ── state.c, input.c: the handshake is done ───────────────────────────────────────────────── */

/* utcp__conn_acceptable() and utcp__conn_established(). */
static inline void utcp__become_acceptable(struct utcp_conn *conn)
{
    list_remove(&conn->link);
    list_append(&conn->listener->ready, &conn->link);
    conn->acceptable = true;
    conn->listener->acceptable++;
    utcp__listener_event(conn->listener, UTCP_ACCEPTABLE);
    conn->stack->stats.connections_accepted++;
}

static inline __attribute__((always_inline)) void
utcp__become_established(struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint32_t window)
{
    struct utcp *stack = conn->stack;
    uint64_t now = stack->now;
    bool open_early = conn->fast_queue;

    utcp__conn_set_state(conn, UTCP_ESTABLISHED);
    conn->snd_wnd = conn->snd_wnd_max = window;
    conn->snd_wl1 = seq;
    conn->snd_wl2 = ack;
    if (open_early)
        utcp__fast_open_leave(conn, false);
    else
        utcp__recovery_start(conn);
    if (conn->retries && conn->rtt.srtt == 0)
        conn->rtt.rto = UTCP_RTO_AFTER_SYN;
    conn->retries = 0;
    conn->rtt.backoff = 0;
    conn->sent_at = now;
    conn->data_at = (uint32_t)(now >> 10);
    conn->drs.round_at = (uint32_t)now;
    conn->drs.rtt = conn->rtt.srtt & INT32_MAX;
    utcp__timers_update(conn);
    if (conn->listener && !open_early) {
        utcp__become_acceptable(conn);
    } else if (!conn->passive) {
        utcp__queue_event(conn, UTCP_CONNECTED);
        stack->stats.connections_opened++;
    }
    if (conn->fin_queued)
        utcp__conn_finish(conn);
    /* Of most there is nothing yet that could be amiss. */
    if (!open_early && conn->snd_una == conn->snd_max && !conn->more && !conn->soft_error &&
        conn->snd_wnd && conn->rtt.srtt)
        conn->restless = false;
    else
        utcp__settle(conn);
    utcp__conn_compare(conn);
    utcp__queue_output(conn);
}

/* In SYN-RECEIVED: our SYN is acknowledged. */
static inline __attribute__((always_inline)) void
utcp__establish(struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint32_t window)
{
    if (conn->retries == 0 && conn->rtt.timed_at)
        utcp__rtt_sample(&conn->rtt, conn->stack->now - conn->rtt.timed_at);
    conn->rtt.timed_at = 0;
    conn->snd_una = conn->iss + 1;
    if (!conn->passive)
        utcp__fast_open_settle(conn, ack);
    conn->syn_due = false;
    utcp__count_timeouts_over(conn);
    utcp__become_established(conn, seq, ack, window);
}

/* So much came in order: an ACK for each second full segment, for the others within the delay (RFC 9293 section
 * 3.8.6.3). A merged segment counts as what it was made of. */
static inline void utcp__acknowledge_later(struct utcp_conn *conn, uint32_t bytes)
{
    uint32_t segments;

    if (bytes > conn->segment_seen)
        conn->segment_seen = (uint16_t)min_u32(bytes, conn->receive_mss);
    segments = bytes / conn->segment_seen;
    conn->segments_unacked = (uint8_t)min_u32(conn->segments_unacked + segments, UINT8_MAX);
    if (conn->quick_acks || conn->segments_unacked >= 2) {
        conn->quick_acks -= conn->quick_acks && !conn->ack_now;
        conn->ack_now = true;
        utcp__queue_output(conn);
        return;
    }
    if (utcp__timer_runs(conn, TIMER_ACK))
        return;
    conn->deadline[TIMER_ACK] = conn->stack->now + UTCP_DELAYED_ACK;
    /* Else utcp_output() does it, if what it sends has not acknowledged them then. */
    if (list_empty(&conn->output_link))
        utcp__timer_place(conn, conn->deadline[TIMER_ACK]);
}

/* ── input.c, for prediction.c ─────────────────────────────────────────────────────────────── */

/* Data within the window, from a connection that takes them. */
void utcp__take_text(struct utcp_conn *conn, struct utcp_segment *segment);
/* Whether a segment without SACK's blocks acknowledges all that an orphan had to say, its FIN included, and
 * nothing was to be repaired; then what is left to do, but for the state that it leads to. What could be learnt from
 * it of the path and of its congestion is of no use any more. */
static inline bool utcp__is_the_last(const struct utcp_conn *conn, uint32_t ack)
{
    return conn->fin_queued && ack == conn->snd_max && ack != conn->snd_una && utcp__orphan(conn) &&
           !conn->restless && !conn->fin_acked && !conn->traced && !conn->more &&
           utcp__in_flight(conn) > conn->send.end - conn->send.una;
}

static inline void utcp__last_acknowledged(struct utcp_conn *conn)
{
    utcp__sendbuf_acknowledge(&conn->send, &conn->stack->pool, conn->send.end - conn->send.una);
    conn->snd_una = conn->small_end = conn->snd_max;
    conn->urgent_out = false;
    conn->rtt.timed_at = 0;
    conn->rack.fack = conn->snd_max;
    if (conn->sack)
        utcp__sack_dispose(conn);
    conn->waiting_since = 0;
    conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    conn->deadline[TIMER_RETRANSMIT] = TIMER_IDLE;
    conn->deadline[TIMER_USER] = TIMER_IDLE;
    utcp__queue_output(conn);
    conn->fin_acked = true;
}

/* sack.c: the scoreboard has no ranges any more. */
void utcp__sack_emptied(struct utcp_conn *conn);
/* A packet, the long way. */
void utcp__input_any(struct utcp *stack, const void *data, size_t length, unsigned flags);
/* The same from where utcp__packet_parse_sound() goes on. */
void utcp__input_sound(struct utcp *stack, const uint8_t *data, const struct wire_tcp *tcp,
                       uint32_t length);

#endif
