/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments in LISTEN and SYN-SENT, RFC 9293 section 3.10.7.2 and 3.10.7.3. */
#include <errno.h>

#include "options/options.h"
#include "utcp_internal.h"

#define SYN_AGAIN (2 * UTCP_MS) /* after an ACK of something else */

void utcp__take_syn(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    conn->irs = segment->seq;
    conn->rcv_adv = conn->last_ack = segment->seq + 1;
    utcp__options_negotiate(conn, &segment->options);
    utcp__ecn_negotiate(conn, segment);
    utcp__conn_update_mss(conn);
    /* The window in a SYN is not scaled. */
    conn->snd_wnd = conn->snd_wnd_max = segment->window;
    conn->snd_wl1 = segment->seq;
    conn->heard_at = conn->stack->now;
}

/* A new connection has the defaults already. */
void utcp__listener_configure(const struct utcp_listener *listener, struct utcp_conn *conn)
{
    if (listener->max_segment)
        utcp_set_option(conn, UTCP_OPTION_MAX_SEGMENT, listener->max_segment);
    if (listener->receive_buffer)
        utcp_set_option(conn, UTCP_OPTION_RECEIVE_BUFFER, listener->receive_buffer);
    if (listener->hop_limit)
        utcp_set_option(conn, UTCP_OPTION_HOP_LIMIT, listener->hop_limit);
    if (listener->dscp)
        utcp_set_option(conn, UTCP_OPTION_DSCP, listener->dscp);
    if (listener->quick_acks)
        conn->quick_acks = listener->quick_acks;
}

void utcp__listener_adopt(struct utcp_listener *listener, struct utcp_conn *conn)
{
    conn->passive = true;
    conn->listener = listener;
    listener->pending++;
    list_append(&listener->half_open, &conn->link);
    utcp__listener_configure(listener, conn);
}

/* Whether the listener has no place for one more half-open connection. One that takes the place of
 * a connection in TIME-WAIT must begin above its sequence numbers, which no cookie does; there are not
 * more of those than there were connections. */
static bool is_full(const struct utcp_listener *listener, bool after_time_wait)
{
    return listener->pending >= listener->backlog * (after_time_wait ? UINT64_C(2) : 1);
}

/* A SYN that makes no connection. */
static bool turned_away(struct utcp_listener *listener, const struct utcp_segment *segment,
                        bool after_time_wait)
{
    bool full = is_full(listener, after_time_wait);
    bool cookie = utcp__cookies_wanted(listener, full) && !after_time_wait &&
                  listener->mode == UTCP_LISTEN_ANSWER;

    listener->overflows += full;
    /* When nobody accepts connections, a cookie would only make a promise that is not kept. */
    if (cookie && listener->acceptable < listener->backlog)
        utcp__cookie_send(listener, segment);
    else if (full)
        UTCP_DROP(listener->stack, NULL, dropped_backlog);
    else
        return false;
    return true;
}

/* `iss_after` (0: none) is the end of the sequence numbers of the connection in TIME-WAIT whose
 * place the new one takes. */
static void open_passively(struct utcp *stack, struct utcp_listener *listener,
                           const struct utcp_segment *segment, uint32_t iss_after)
{
    enum utcp_fast_verdict verdict;
    struct utcp_conn *conn;

    if (listener->mode == UTCP_LISTEN_IGNORE) {
        UTCP_DROP(stack, NULL, dropped_ignored);
        return;
    }
    if (turned_away(listener, segment, iss_after != 0))
        return;
    conn = utcp__conn_new(stack, &segment->local, &segment->remote, segment->hash);
    if (conn == NULL) {
        UTCP_DROP(stack, NULL, dropped_memory);
        UTCP_DROP(stack, NULL, dropped_syn_memory);
        return;
    }
    utcp__listener_adopt(listener, conn);
    utcp__conn_choose_iss(conn, iss_after);
    utcp__take_syn(conn, segment);
    conn->segments_in[segment->length > 0]++;
    if (conn->traced)
        utcp__trace_received(conn, segment);
    utcp__conn_enter(conn, UTCP_SYN_RECEIVED); /* which calls for no TIMER_LIFE */
    /* Without fast open, data on a SYN are not taken; the peer sends them again when it is
     * established. */
    verdict = utcp__fast_open_judge(listener, segment);
    if (verdict != FAST_PLAIN)
        utcp__fast_open_child(conn, segment, verdict);
    if (listener->mode == UTCP_LISTEN_HOLD)
        conn->held = true;
    else
        conn->syn_due = true;
    utcp__want_output(conn);
}

void utcp__input_listen(struct utcp *stack, struct utcp_listener *listener,
                        const struct utcp_segment *segment, uint32_t iss_after)
{
    /* First, a RST: nothing was sent that it could be about. */
    if (segment->flags & TCP_RST)
        return;
    /* Second, an ACK: of nothing that was sent, but for cookies. */
    if (segment->flags & TCP_ACK) {
        if (utcp__cookie_take(listener, segment))
            return;
        UTCP_DROP(stack, NULL, dropped_no_connection);
        utcp__reply_reset(stack, segment);
        return;
    }
    /* Third, a SYN; one with a FIN makes no sense and gets no answer. */
    if ((segment->flags & (TCP_SYN | TCP_FIN)) != TCP_SYN) {
        UTCP_DROP(stack, NULL, dropped_unacceptable);
        return;
    }
    open_passively(stack, listener, segment, iss_after);
}

/* SYN and SYN-ACK crossed or met: what was sent is acknowledged. */
static void syn_acknowledged(struct utcp_conn *conn, struct utcp_segment *segment)
{
    uint64_t now = conn->stack->now;

    conn->snd_una = conn->iss + 1;
    utcp__fast_open_answered(conn, segment);
    utcp__fast_open_settle(conn, segment->ack);
    if (conn->retries == 0 && conn->rtt.timed_at)
        utcp__rtt_sample(&conn->rtt, now - conn->rtt.timed_at);
    conn->rtt.timed_at = 0;
    conn->syn_due = false;
    utcp__count_timeouts_over(conn);
    utcp__conn_established(conn, segment->seq, segment->ack,
                           segment->window); /* which is not scaled */
    conn->ack_now = true;
}

/* A SYN-ACK that echoes a time when no SYN of this connection was sent answers an older one. */
static bool echoes_another(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    const struct utcp_segment_options *options = &segment->options;
    uint32_t age = utcp__timestamp_now(conn) - options->ts_echo; /* ms */
    uint64_t since = conn->stack->now - conn->waiting_since;

    return conn->timestamps && options->has_timestamps && options->ts_echo &&
           age > since / UTCP_MS + 1;
}

/* An ACK that is not of our SYN: as a rule of a connection in TIME-WAIT that had our port before. Where the
 * RST ends that one, another SYN is welcome at once; without it the peer's memory would cost a second. Only the
 * first time: whoever forges such ACKs is not to have SYNs for them. */
static void answered_for_another(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    uint64_t soon = conn->stack->now + SYN_AGAIN;

    UTCP_DROP(conn->stack, NULL, dropped_unacceptable);
    utcp__reply_reset(conn->stack, segment);
    if (!(segment->flags & TCP_RST) && conn->retries == 0 &&
        utcp__timer_runs(conn, TIMER_RETRANSMIT) && conn->deadline[TIMER_RETRANSMIT] > soon)
        utcp__timer_set(conn, TIMER_RETRANSMIT, soon);
}

void utcp__input_syn_sent(struct utcp_conn *conn, struct utcp_segment *segment)
{
    struct utcp *stack = conn->stack;
    bool acknowledges = segment->flags & TCP_ACK;

    /* First, the ACK: of our SYN, and nothing else. (Before the SYN has gone out, of nothing.) */
    if (acknowledges &&
        (seq_up_to(segment->ack, conn->iss) || seq_before(conn->snd_max, segment->ack))) {
        answered_for_another(conn, segment);
        return;
    }
    /* Second, a RST: believed when it knows our sequence number. */
    if (segment->flags & TCP_RST) {
        if (!acknowledges) {
            UTCP_DROP(stack, NULL, dropped_unacceptable);
            return;
        }
        stack->stats.resets_in++;
        utcp__conn_end(conn, -ECONNREFUSED);
        return;
    }
    /* Fourth, the SYN. Fifth, neither SYN nor RST: dropped. A server that answers data of the SYN
     * may be done with that, so a SYN-ACK may have a FIN; a SYN not. */
    if (!(segment->flags & TCP_SYN) || (segment->flags & TCP_FIN && !acknowledges)) {
        UTCP_DROP(stack, NULL, dropped_unacceptable);
        return;
    }
    if (acknowledges && echoes_another(conn, segment)) {
        UTCP_DROP(stack, NULL, dropped_unacceptable);
        utcp__reply_reset(stack, segment);
        return;
    }
    utcp__take_syn(conn, segment);
    conn->rcv_adv += min_u32(conn->receive_limit, UINT16_MAX); /* which our SYN told */
    if (!acknowledges) { /* both opened at once, RFC 9293 figure 7 */
        utcp__conn_set_state(conn, UTCP_SYN_RECEIVED);
        conn->syn_due = true;
        utcp__want_output(conn);
        return;
    }
    syn_acknowledged(conn, segment);
    segment->seq++;
    segment->flags &= (uint16_t)~TCP_SYN;
    utcp__input_text(conn, segment);
}
