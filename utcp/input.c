/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments that come in. The steps for a connection past SYN-SENT are those of RFC 9293 section
 * 3.10.7.4, in its order, each a function: sequence number (with PAWS), RST, SYN, ACK, text, FIN.
 * (Its third, security, has been without meaning for decades.) A step returns false when the segment ends there. */
#include <errno.h>

#include "options/options.h"
#include "steps.h"

static void acknowledge_now(struct utcp_conn *conn)
{
    conn->ack_now = true;
    utcp__want_output(conn);
}

/* Answers what was not acceptable. What occupies sequence numbers is answered always (the peer
 * waits for it), a bare ACK within limits: two ends that disagree would go on forever. */
static bool refuse(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    uint32_t next = utcp__rcv_nxt(conn), end = segment->seq + segment->length;
    bool syn_ack = (segment->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK);

    UTCP_DROP(conn->stack, conn, dropped_unacceptable);
    /* Whatever its flags say of ECN: who sends it reads our ACK as that of a SYN-ACK (RFC 9768 table 4). */
    if (conn->accurate && syn_ack && segment->seq == conn->irs && !conn->passive)
        utcp__accurate_reflect(conn, segment);
    if (segment->length && seq_before(segment->seq, next)) /* RFC 2883 section 4 */
        utcp__sack_duplicate(conn, segment->seq, seq_before(end, next) ? end : next);
    if (utcp__segment_size(segment))
        acknowledge_now(conn);
    else
        utcp__challenge_ack(conn);
    return false;
}

/* ── First: sequence number ────────────────────────────────────────────────────────────────── */

static bool ack_is_possible(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    return utcp__ack_possible(segment->ack, conn->snd_una, conn->snd_max, conn->snd_wnd_max);
}

/* RFC 7323 section 4.3: only what covers the last ACK moves TS.Recent, so that segments out of
 * order cannot poison it; nor may one that is about to be refused for its acknowledgment, or whoever
 * guesses a sequence number stops the connection with a time from the future. */
static void note_timestamp(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    if (!seq_up_to(segment->seq, conn->last_ack) ||
        (segment->flags & TCP_ACK && !ack_is_possible(conn, segment)))
        return;
    conn->ts_recent = segment->options.ts_value;
    conn->ts_recent_at = conn->stack->now;
}

static bool check_timestamp(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    if (!conn->timestamps || segment->flags & TCP_RST)
        return true;
    if (!segment->options.has_timestamps) { /* RFC 7323 section 3.2 */
        UTCP_DROP(conn->stack, conn, dropped_unacceptable);
        return false;
    }
    if (utcp__too_old(segment, conn->ts_recent, conn->stack->now - conn->ts_recent_at))
        return refuse(conn, segment);
    return true;
}

/* Cuts off what was received already, and what lies beyond the window. */
static void trim(struct utcp_conn *conn, struct utcp_segment *segment)
{
    uint32_t next = utcp__rcv_nxt(conn), room;

    if (segment->flags & TCP_SYN) /* the SYN step deals with it */
        return;
    if (seq_before(segment->seq, next)) {
        uint32_t old = min_u32(next - segment->seq, segment->length);

        utcp__sack_duplicate(conn, segment->seq, segment->seq + old);
        segment->payload += old;
        segment->length -= old;
        segment->seq += old;
        acknowledge_now(conn); /* the peer sends what we have */
    }
    room = seq_before(segment->seq, conn->rcv_adv) ? conn->rcv_adv - segment->seq : 0;
    if (segment->length > room) {
        segment->length = room;
        segment->flags &= (uint16_t)~TCP_FIN;
        acknowledge_now(conn); /* a window probe wants an answer */
    }
}

/* In TIME-WAIT the peer's FIN, when it comes again, starts the time anew. */
static void time_wait_again(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    if (conn->state == UTCP_TIME_WAIT && segment->flags & TCP_FIN &&
        segment->seq + utcp__segment_size(segment) == utcp__rcv_nxt(conn))
        utcp__timer_life(conn);
}

static bool step_sequence(struct utcp_conn *conn, struct utcp_segment *segment)
{
    if (!check_timestamp(conn, segment))
        return false;
    if (!utcp__in_window(segment, utcp__rcv_nxt(conn), conn->rcv_adv)) {
        if (segment->flags & TCP_RST) {
            UTCP_DROP(conn->stack, conn, dropped_unacceptable);
            return false;
        }
        if (conn->state == UTCP_SYN_RECEIVED && segment->flags & TCP_SYN &&
            segment->seq == conn->irs)
            return true; /* step_syn() knows it */
        time_wait_again(conn, segment);
        return refuse(conn, segment);
    }
    if (conn->timestamps && segment->options.has_timestamps && !(segment->flags & TCP_RST))
        note_timestamp(conn, segment);
    trim(conn, segment);
    return true;
}

/* ── Second: RST ───────────────────────────────────────────────────────────────────────────── */

/* RFC 1337: an old segment that wanders about is answered by an ACK, the peer, which has forgotten the
 * connection, answers that by a RST, and were it believed, other old segments could get into the next
 * connection. It is believed where the ACK was the answer to a SYN: the peer is there, wants this
 * connection no more, and its SYN, no newer than ours by RFC 6191, would be refused until the time is
 * over. So it is with a host that was started again, or another one behind the same address. */
static bool ends_time_wait(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    return conn->knocked && segment->seq == utcp__rcv_nxt(conn);
}

/* RFC 5961 section 3.2: only the exact sequence number ends the connection; a guess within the
 * window is asked to prove itself. */
static bool step_reset(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    if (!(segment->flags & TCP_RST))
        return true;
    if (conn->state == UTCP_TIME_WAIT) {
        if (ends_time_wait(conn, segment))
            utcp__conn_end(conn, 0);
        return false;
    }
    if (segment->seq != utcp__rcv_nxt(conn)) {
        UTCP_DROP(conn->stack, conn, dropped_unacceptable);
        utcp__challenge_ack(conn);
        return false;
    }
    conn->stack->stats.resets_in++;
    switch (conn->state) {
    case UTCP_SYN_RECEIVED:
        if (conn->fast_queue)
            utcp__conn_end(conn, -ECONNRESET);
        else
            utcp__conn_end(conn, conn->passive ? 0 : -ECONNREFUSED);
        break;
    case UTCP_CLOSING:
    case UTCP_LAST_ACK:
        utcp__conn_end(conn, conn->send.una == conn->send.end ? 0 : -ECONNRESET);
        break;
    default: utcp__conn_end(conn, -ECONNRESET); break;
    }
    return false;
}

/* ── Fourth: SYN ───────────────────────────────────────────────────────────────────────────── */

static bool step_syn(struct utcp_conn *conn, struct utcp_segment *segment)
{
    if (!(segment->flags & TCP_SYN))
        return true;
    if (conn->state == UTCP_SYN_RECEIVED && segment->seq == conn->irs) {
        if (segment->flags & TCP_ACK) { /* of a simultaneous open: without the SYN it is in order */
            segment->flags &= (uint16_t) ~(TCP_SYN | TCP_FIN);
            segment->length = 0;
            segment->seq++;
            segment->window >>= conn->send_scale; /* a SYN's is not scaled */
            return true;
        }
        if (!utcp__ecn_syn_again(conn, segment)) {
            utcp__conn_reset(conn, -ECONNRESET);
            return false;
        }
        conn->syn_due = !conn->held; /* the peer has not seen our SYN-ACK */
        utcp__want_output(conn);
        return false;
    }
    UTCP_DROP(conn->stack, conn, dropped_unacceptable);
    if (conn->state == UTCP_SYN_RECEIVED && conn->passive) {
        utcp__conn_end(conn, 0); /* back to LISTEN */
        return false;
    }
    utcp__challenge_ack(conn); /* RFC 5961 section 4.2 */
    return false;
}

/* ── Fifth: ACK ────────────────────────────────────────────────────────────────────────────── */

static bool acknowledges_syn(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    if (seq_before(conn->iss, segment->ack) && !seq_before(conn->snd_max, segment->ack))
        return true;
    UTCP_DROP(conn->stack, conn, dropped_unacceptable);
    utcp__reply(conn->stack, &conn->local, &conn->remote, TCP_RST, segment->ack, 0);
    return false;
}

/* The timestamp that it echoes; 0: none. */
static uint32_t echo_of(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    return conn->timestamps ? segment->options.ts_echo : 0;
}

/* Our FIN is acknowledged. */
static void fin_acknowledged(struct utcp_conn *conn)
{
    conn->fin_acked = true;
    switch (conn->state) {
    case UTCP_FIN_WAIT_1: utcp__conn_set_state(conn, UTCP_FIN_WAIT_2); break;
    case UTCP_CLOSING: utcp__conn_time_wait(conn); break;
    case UTCP_LAST_ACK: utcp__conn_end(conn, 0); break;
    default: break;
    }
}

/* Data, or the FIN, were acknowledged for the first time. */
static void acknowledged(struct utcp_conn *conn, const struct utcp_segment *segment,
                         struct utcp_delivery *delivery)
{
    uint32_t bytes = segment->ack - conn->snd_una;
    uint64_t left = conn->send.end - conn->send.una;
    bool fin = conn->fin_queued && !conn->fin_acked && bytes > left, keep_timer;
    /* What tells of a duplicate echoes what came before an ACK that was lost. */
    uint32_t echo = delivery->duplicate ? 0 : echo_of(conn, segment);
    uint64_t rtt_us = utcp__take_rtt(conn, segment->ack, echo);
    uint64_t deadline = conn->deadline[TIMER_RETRANSMIT];

    delivery->rtt_us = rtt_us;
    delivery->advanced = true;

    utcp__sendbuf_acknowledge(&conn->send, &conn->stack->pool, bytes - fin);
    if (conn->timed)
        utcp__times_acknowledged(conn);
    conn->snd_una = segment->ack;
    if (seq_before(conn->snd_nxt, conn->snd_una))
        conn->snd_nxt = conn->snd_una;
    conn->urgent_out = conn->urgent_out && seq_before(conn->snd_una, conn->snd_up);
    if (conn->sack)
        utcp__sack_acknowledged(conn, delivery);
    keep_timer = !utcp__recovery_acked(conn, bytes, delivery);
    utcp__ecn_acknowledged(conn, delivery->flight);
    if (conn->more)
        utcp__count_timeouts_over(conn);
    conn->retries = 0;
    if (rtt_us) /* Karn: until something was measured, the longer timeout stands */
        conn->rtt.backoff = 0;
    conn->soft_error = 0;
    utcp__timers_update(conn);
    utcp__probe_schedule(conn);
    if (keep_timer && deadline != TIMER_IDLE && utcp__in_flight(conn) > 0)
        utcp__timer_set(conn, TIMER_RETRANSMIT, deadline);
    if (conn->write_blocked)
        utcp__send_room_event(conn);
    if (left && conn->send.una == conn->send.end)
        utcp__event(conn, UTCP_SENT);
    utcp__want_output(conn);
    utcp__settle(conn);
    if (fin)
        fin_acknowledged(conn);
}

/* RFC 5681 section 2, but for its last condition, that the window be the same: Linux lets its window
 * grow with every segment that arrives, in order or not, and would never be seen to lose one. A
 * window that doubles is what its reader's progress looks like, and no duplicate. */
static bool is_duplicate(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    uint64_t window = (uint64_t)segment->window << conn->send_scale;

    return segment->ack == conn->snd_una && utcp__in_flight(conn) > 0 && segment->length == 0 &&
           !(segment->flags & TCP_FIN) && conn->snd_wnd > 0 && window >= conn->snd_wnd &&
           window < 2 * (uint64_t)conn->snd_wnd;
}

/* A peer that answers probes of its closed window is alive (RFC 9293 section 3.8.6.1); only for a
 * connection that nobody waits for, patience has an end. */
static void heard(struct utcp_conn *conn)
{
    conn->heard_at = conn->stack->now;
    utcp__probes_answered(conn);
    if (!utcp__orphan(conn) && (conn->snd_wnd == 0 || utcp__in_flight(conn) == 0))
        conn->retries = 0;
}

/* What is known before the acknowledgment is looked at. */
static struct utcp_delivery delivery_of(const struct utcp_conn *conn,
                                        const struct utcp_segment *segment)
{
    return (struct utcp_delivery){
        .flight = utcp__pipe(conn),
        .fack = conn->rack.fack,
        .ts_echo = segment->options.ts_echo,
        .has_echo = echo_of(conn, segment) != 0,
    };
}

/* Where acknowledgments overtake each other, one from before snd_una still tells what has arrived
 * beyond it: receivers report a range as long as there is room for it, but not for ever. */
static void take_old_blocks(struct utcp_conn *conn, const struct utcp_segment *segment,
                            struct utcp_delivery *delivery)
{
    utcp__sack_received(conn, segment, delivery);
    if (delivery->reported || delivery->duplicate)
        utcp__recovery_sacked(conn, delivery);
}

/* Whether the segment may tell of marks. */
static bool echoes_marks(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    return conn->accurate ? utcp__accurate_noted(conn, segment) : segment->flags & TCP_ECE;
}

static bool take_acknowledgment(struct utcp_conn *conn, struct utcp_segment *segment)
{
    struct utcp_delivery delivery;

    if (!(segment->flags & TCP_ACK)) {
        UTCP_DROP(conn->stack, conn, dropped_unacceptable);
        return false;
    }
    if (conn->state == UTCP_SYN_RECEIVED) {
        if (!acknowledges_syn(conn, segment))
            return false;
        if (conn->accurate)
            utcp__accurate_confirmed(conn, segment);
        utcp__establish(conn, segment->seq, segment->ack,
                        (uint32_t)segment->window << conn->send_scale);
        if (conn->snd_una == conn->snd_max && segment->ack == conn->snd_una &&
            segment->options.sacks == 0) { /* that was all that it has to say */
            heard(conn);
            conn->ecn.echoed = echoes_marks(conn, segment);
            return true;
        }
    }
    if (!ack_is_possible(conn, segment)) {
        UTCP_DROP(conn->stack, conn, dropped_unacceptable);
        utcp__challenge_ack(conn);
        return false;
    }
    if (segment->options.sacks == 0 && utcp__is_the_last(conn, segment->ack)) {
        heard(conn);
        utcp__last_acknowledged(conn);
        fin_acknowledged(conn);
        return conn->state != UTCP_CLOSED;
    }
    delivery = delivery_of(conn, segment);
    heard(conn);
    conn->ecn.echoed = echoes_marks(conn, segment);
    if (seq_before(segment->ack, conn->snd_una)) { /* old, and so is its window */
        if (conn->sack && segment->options.sacks)
            take_old_blocks(conn, segment, &delivery);
        return true;
    }
    if (conn->sack)
        utcp__sack_received(conn, segment, &delivery);
    else if (is_duplicate(conn, segment))
        utcp__recovery_duplicate(conn);
    if (segment->ack != conn->snd_una)
        acknowledged(conn, segment, &delivery);
    else if (conn->sack)
        utcp__recovery_sacked(conn, &delivery);
    if (conn->state == UTCP_CLOSED || conn->state == UTCP_TIME_WAIT)
        return conn->state != UTCP_CLOSED;
    utcp__update_window(conn, segment->seq, segment->ack, segment->window);
    return true;
}

static bool step_ack(struct utcp_conn *conn, struct utcp_segment *segment)
{
    bool goes_on = take_acknowledgment(conn, segment);

    conn->ecn.echoed = false;
    return goes_on;
}

/* ── Sixth: URG ────────────────────────────────────────────────────────────────────────────── */

/* And what options have to say that is not about sequence numbers. */
static bool step_urgent(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    bool receiving = conn->state == UTCP_ESTABLISHED || conn->state == UTCP_FIN_WAIT_1 ||
                     conn->state == UTCP_FIN_WAIT_2;

    if (segment->flags & TCP_URG && receiving && !conn->peer_fin_taken)
        utcp__urgent_received(conn, segment->urgent_end);
    if (segment->options.later)
        utcp__options_received(conn, &segment->options);
    return true;
}

/* ── Seventh: text ─────────────────────────────────────────────────────────────────────────── */

/* Data behind the peer's FIN are none. */
static void cut_at_fin(const struct utcp_conn *conn, struct utcp_segment *segment)
{
    uint32_t fin = conn->peer_fin;

    if (conn->peer_fin_known && seq_before(fin, segment->seq + segment->length))
        segment->length = seq_before(segment->seq, fin) ? fin - segment->seq : 0;
}

/* What of the data was there already, the first of it that lies together (RFC 2883 section 4). */
static void report_duplicate(struct utcp_conn *conn, uint64_t offset,
                             const struct utcp_segment *segment)
{
    const struct utcp_sack_report *report = &conn->report;
    struct utcp_range range;

    if (conn->receive.pending.count == 0 ||
        !utcp__ranges_meet(&conn->receive.pending, offset, offset + segment->length, &range))
        return;
    /* One is told, the first: trim() may have found it. */
    if (!report->duplicate_due || report->duplicate.end != segment->seq)
        utcp__sack_duplicate(conn, segment->seq + (uint32_t)(range.start - offset),
                             segment->seq + (uint32_t)(range.end - offset));
}

/* There are more `bytes` to read; `holes`: there were some, whether they are filled or not. */
static void stored_in_order(struct utcp_conn *conn, const struct utcp_segment *segment,
                            uint32_t bytes, bool holes)
{
    conn->duplicate_acks_due = 0; /* this batch has more to tell than that */
    if (holes)
        acknowledge_now(conn);
    else
        utcp__acknowledge_later(conn, bytes);
    if (conn->drs.sample_due)
        utcp__memory_echo(conn, utcp__echoed_rtt(conn, echo_of(conn, segment)));
    if (conn->arrivals)
        utcp__arrived(conn);
    utcp__event(conn, UTCP_READABLE);
}

static void store(struct utcp_conn *conn, struct utcp_segment *segment)
{
    struct utcp_recvbuf *receive = &conn->receive;
    uint64_t before = receive->next;
    uint64_t offset = before + (segment->seq - utcp__rcv_nxt(conn));
    bool holes = receive->pending.count > 0;
    uint32_t stored;

    cut_at_fin(conn, segment);
    if (segment->length == 0)
        return;
    report_duplicate(conn, offset, segment);
    if (utcp__pool_tight(&conn->stack->pool))
        utcp__memory_reclaim(conn);
    stored =
        utcp__recvbuf_put(receive, &conn->stack->pool, offset, segment->payload, segment->length);
    if (stored < segment->length) {
        UTCP_DROP(conn->stack, conn, dropped_memory);
        segment->flags &= (uint16_t)~TCP_FIN;
        acknowledge_now(conn);
    }
    if (receive->next == before) { /* a hole is before it: RFC 5681 section 4.2 */
        if (conn->duplicate_acks_due < UINT8_MAX)
            conn->duplicate_acks_due++;
        UTCP_COUNT(conn, out_of_order, 1);
        utcp__sack_arrived(conn, offset);
        utcp__memory_scattered(conn);
        utcp__want_output(conn);
        return;
    }
    if (holes) {
        utcp__sack_advanced(conn);
        utcp__memory_scattered(conn);
    }
    stored_in_order(conn, segment, (uint32_t)(receive->next - before), holes);
}

/* The peer may have more to say. */
static bool receives(const struct utcp_conn *conn)
{
    return conn->state == UTCP_ESTABLISHED || conn->state == UTCP_FIN_WAIT_1 ||
           conn->state == UTCP_FIN_WAIT_2;
}

void utcp__take_text(struct utcp_conn *conn, struct utcp_segment *segment)
{
    if (conn->ecn.on)
        utcp__ecn_received(conn, segment);
    conn->data_at = (uint32_t)(conn->stack->now >> 10);
    store(conn, segment);
}

/* False: the connection has been reset. */
static bool step_text(struct utcp_conn *conn, struct utcp_segment *segment)
{
    if (!(receives(conn) || conn->fast_queue) || segment->length == 0)
        return true;
    /* Nobody will read it: RFC 2525 section 2.17. The connection is gone, and so the answer is that of CLOSED
     * (RFC 9293 section 3.10.7.1), with the one sequence number that the peer is sure to believe (RFC 5961). */
    if (utcp__orphan(conn)) {
        utcp__reply(conn->stack, &conn->local, &conn->remote, TCP_RST, segment->ack, 0);
        utcp__conn_end(conn, -ECONNRESET);
        return false;
    }
    utcp__take_text(conn, segment);
    return true;
}

/* ── Eighth: FIN ───────────────────────────────────────────────────────────────────────────── */

static void take_fin(struct utcp_conn *conn)
{
    conn->peer_fin_taken = true;
    acknowledge_now(conn);
    utcp__event(conn, UTCP_READABLE | UTCP_FINISHED);
    switch (conn->state) {
    case UTCP_ESTABLISHED: utcp__conn_set_state(conn, UTCP_CLOSE_WAIT); break;
    case UTCP_FIN_WAIT_1: utcp__conn_set_state(conn, UTCP_CLOSING); break;
    case UTCP_FIN_WAIT_2: utcp__conn_time_wait(conn); break;
    default: break;
    }
}

/* The FIN counts when all data before it are there; until then its place is remembered. */
static void step_fin(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    uint32_t next = utcp__rcv_nxt(conn);

    if (conn->peer_fin_taken)
        return;
    if (segment->flags & TCP_FIN && !conn->peer_fin_known) {
        conn->peer_fin = segment->seq + segment->length;
        /* `next` may have moved beyond the segment by what was pending behind it. */
        conn->peer_fin_known = !seq_before(conn->peer_fin, next);
        if (conn->peer_fin_known && conn->peer_fin != next && segment->length == 0 &&
            conn->duplicate_acks_due < UINT8_MAX) {
            conn->duplicate_acks_due++;
            utcp__want_output(conn);
        }
    }
    if (conn->peer_fin_known && conn->peer_fin == next)
        take_fin(conn);
}

/* ── Entry points ──────────────────────────────────────────────────────────────────────────── */

void utcp__input_text(struct utcp_conn *conn, struct utcp_segment *segment)
{
    uint32_t room = seq_before(segment->seq, conn->rcv_adv) ? conn->rcv_adv - segment->seq : 0;

    if (segment->length > room) { /* more than fits the window that our SYN told */
        segment->length = room;
        segment->flags &= (uint16_t)~TCP_FIN;
    }
    if (step_urgent(conn, segment) && step_text(conn, segment))
        step_fin(conn, segment);
}

void utcp__input_synchronized(struct utcp_conn *conn, struct utcp_segment *segment)
{
    if (step_sequence(conn, segment) && step_reset(conn, segment) && step_syn(conn, segment) &&
        step_ack(conn, segment) && step_urgent(conn, segment) && step_text(conn, segment))
        step_fin(conn, segment);
}

/* ── Any segment ───────────────────────────────────────────────────────────────────────────── */

static bool newer_than_time_wait(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    return conn->state == UTCP_TIME_WAIT &&
           utcp__newer_syn(segment, utcp__rcv_nxt(conn), conn->timestamps, conn->ts_recent);
}

static inline __attribute__((always_inline)) void input_segment(struct utcp *stack,
                                                                struct utcp_segment *segment)
{
    struct utcp_conn *conn = utcp__find_for(stack, segment);
    struct utcp_listener *listener = NULL;
    struct utcp_time_wait *waiting;
    uint32_t iss_after = 0;

    if (conn == NULL && (waiting = utcp__waits_find(&stack->waits, &segment->local,
                                                    &segment->remote, segment->hash)) != NULL) {
        utcp__time_wait_input(stack, waiting, segment);
        return;
    }
    /* Whoever has a connection, or had one, was asked when it began. */
    if (conn == NULL && !utcp__addresses_allowed(&segment->remote, &segment->local)) {
        UTCP_DROP(stack, NULL, dropped_bad_address);
        return;
    }
    if (conn == NULL || conn->state == UTCP_TIME_WAIT)
        listener = utcp__find_listener(stack, &segment->local);
    if (conn && listener && newer_than_time_wait(conn, segment)) {
        iss_after = conn->snd_max;
        utcp__conn_end(conn, 0);
        conn = NULL;
    }
    if (conn && stack->cookies_elsewhere) {
        enum utcp_cookie_verdict verdict = utcp__cookie_displaces(conn, segment);

        if (verdict == UTCP_COOKIE_REFUSED)
            return;
        if (verdict == UTCP_COOKIE_DISPLACES) {
            utcp__conn_end(conn, conn->state == UTCP_TIME_WAIT ? 0 : -ECONNRESET);
            conn = NULL;
            listener = utcp__find_listener(stack, &segment->local);
        }
    }
    if (conn) {
        conn->segments_in[segment->length > 0]++;
        if (conn->traced)
            utcp__trace_received(conn, segment);
        conn->knocked |= listener && (segment->flags & (TCP_SYN | TCP_RST)) == TCP_SYN;
        if (conn->state == UTCP_SYN_SENT)
            utcp__input_syn_sent(conn, segment);
        else
            utcp__input_synchronized(conn, segment);
    } else if (listener) {
        utcp__input_listen(stack, listener, segment, iss_after);
    } else {
        UTCP_DROP(stack, NULL, dropped_no_connection);
        utcp__reply_reset(stack, segment);
    }
}

void utcp__input_sound(struct utcp *stack, const uint8_t *data, const struct wire_tcp *tcp,
                       uint32_t length)
{
    struct utcp_segment segment;

    stack->long_in++;
    if (utcp__packet_parse_sound(data, tcp, length, &segment))
        input_segment(stack, &segment);
    else
        UTCP_DROP(stack, NULL, dropped_malformed);
    utcp__reap(stack);
}

void utcp__input_any(struct utcp *stack, const void *data, size_t length, unsigned flags)
{
    struct utcp_packet packet;

    stack->long_in++;
    utcp__packet_parse(data, length, flags, &packet);
    switch (packet.kind) {
    case PACKET_TCP: input_segment(stack, &packet.segment); break;
    case PACKET_ICMP_ERROR: utcp__input_icmp(stack, &packet.error); break;
    case PACKET_MALFORMED: UTCP_DROP(stack, NULL, dropped_malformed); break;
    case PACKET_BAD_CHECKSUM: UTCP_DROP(stack, NULL, dropped_checksum); break;
    case PACKET_OTHER: UTCP_DROP(stack, NULL, dropped_not_tcp); break;
    }
    utcp__reap(stack);
}
