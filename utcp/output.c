/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments that go out. For each connection on the output list, again and again until nothing is
 * left: utcp__plan() decides on one segment (plan.c), emit() builds it in the sink, account() moves
 * the connection's numbers on. Nothing is accounted for that did not go out, so a full sink only
 * means to go on here the next time. */
#include <string.h>

#include "build.h"
#include "options/syn.h"
#include "plan.h"
#include "steps.h"

#define QUANTUM 64 /* packets until the next connection has its turn */

enum progress { PROGRESS_DONE, PROGRESS_MORE, PROGRESS_FULL, PROGRESS_GONE };

static uint16_t window_field(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t next,
                             uint32_t ack)
{
    uint32_t window;

    if (tcp_flags & TCP_SYN) /* not scaled, RFC 7323 section 2.2 */
        return (uint16_t)min_u32(conn->receive_limit, UINT16_MAX);
    window = (next + utcp__window(conn, next) - ack) >> conn->receive_scale;
    return (uint16_t)min_u32(window, UINT16_MAX);
}

/* What options may take, those of every segment included. */
static uint32_t options_room(const struct utcp_conn *conn, uint32_t length)
{
    uint32_t left;

    if (!utcp__options_wanted(conn))
        return 0;
    left = length < conn->mss ? conn->mss - length : 0;
    return min_u32(left + utcp__options_size(conn), UTCP_OPTIONS_MAX);
}

/* That a packet is, or is cut into. */
static uint32_t segments_of(const struct utcp_conn *conn, uint32_t length)
{
    return length <= conn->mss ? 1 : (length + conn->mss - 1) / conn->mss;
}

/* Room for the planned segment in the sink; NULL: it is full. Less than planned may have to do. */
static uint8_t *reserve(const struct utcp_conn *conn, struct plan *plan, uint32_t headers,
                        const struct utcp_sink *sink)
{
    uint8_t *packet = sink->reserve(sink->context, headers + plan->length);

    if (packet || plan->length <= conn->mss || plan->kind == PLAN_MTU_PROBE)
        return packet;
    plan->length = conn->mss;
    plan->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    plan->last = false;
    return sink->reserve(sink->context, headers + plan->length);
}

/* What is known of a segment where it is built. */
enum form {
    FORM_ANY,
    FORM_SYN,   /* a SYN-ACK that a listener's connection sends first */
    FORM_PLAIN, /* is_plain(), of a segment's size at most */
};

/* Nearly every connection, nearly always: it is as most are (utcp__conn_compare()), has nothing to repair, and
 * nothing that it sends has anything more to say than its data and timestamps. */
static bool is_plain(const struct utcp_conn *conn)
{
    return !conn->traced && !conn->timed && !conn->restless && !conn->uncommon && !conn->ecn.on &&
           !conn->urgent_out && !utcp__options_wanted(conn) &&
           conn->stack->predict != PREDICT_NOTHING;
}

/* Builds the planned segment in the sink and sends it. False: the sink is full. Inlined, for of a segment of one of
 * the usual forms the compiler knows most of it. Options that are usual then are written in their place, others
 * before there is one. */
static inline __attribute__((always_inline)) bool
emit(struct utcp_conn *conn, struct plan *plan, const struct utcp_sink *sink, const enum form form)
{
    struct utcp *stack = conn->stack;
    struct utcp_offload offload = {0};
    const bool plain = form == FORM_PLAIN, syn = form == FORM_SYN;
    const uint8_t family = plain ? 4 : conn->local.family;
    bool usual = plain || (syn ? utcp__syn_options_due(conn)
                               : !(plan->flags & TCP_SYN) && !utcp__options_wanted(conn));
    uint8_t options[UTCP_OPTIONS_MAX], *packet, *at;
    uint8_t options_length =
        !usual  ? utcp__options_write(conn, plan->flags, options_room(conn, plan->length), options)
        : syn   ? UTCP_OPTIONS_SYN
        : plain ? UTCP_OPTIONS_USUAL
                : utcp__options_size(conn);
    uint32_t headers = utcp__packet_headers(family) + options_length;
    uint32_t next, segments;
    struct utcp_outgoing outgoing;

    packet = plain ? sink->reserve(sink->context, headers + plan->length)
                   : reserve(conn, plan, headers, sink);
    if (packet == NULL)
        return false;
    next = utcp__rcv_nxt(conn);
    plan->ack = !plain && plan->kind == PLAN_FLIP ? conn->ecn.flip_at[0] : next;
    plan->window = window_field(conn, plain ? TCP_ACK : plan->flags, next, plan->ack);
    outgoing = (struct utcp_outgoing){
        .local = &conn->local,
        .remote = &conn->remote,
        .seq = plan->seq,
        .ack = plain || plan->flags & TCP_ACK ? plan->ack : 0,
        .window = plan->window,
        .ip_id = conn->ip_id,
        .flags = (uint16_t)(plan->flags |
                            (plain ? 0 : utcp__ecn_flags(conn, plan->flags, plan->new_data))),
        .ecn = !plain && conn->ecn.capable && plan->new_data ? IP_ECN_0 : IP_ECN_NOT,
        .dscp = conn->dscp,
        .hop_limit = conn->hop_limit,
        .options_length = options_length,
        .length = plan->length,
    };
    if (!plain && conn->urgent_out && (outgoing.urgent = utcp__urgent_pointer(conn, plan->seq)))
        outgoing.flags |= TCP_URG;
    at = utcp__packet_build(packet, &outgoing);
    if (!usual)
        memcpy(at, options, options_length);
    else if (syn)
        utcp__syn_options_put(conn, plan->flags, at);
    else if (plain || options_length)
        utcp__timestamps_put(at, utcp__timestamp_now(conn), conn->ts_recent);
    segments = plain ? 1 : segments_of(conn, plan->length);
    conn->ip_id += (uint16_t)segments;
    if (!plain && conn->options_due && !usual && !(plan->flags & TCP_SYN))
        utcp__options_sent(conn, options, options_length);
    if (plan->length)
        utcp__sendbuf_get(&conn->send, conn->send.una + (plan->seq - conn->snd_una),
                          at + options_length, plan->length, sink);
    if (segments > 1 && plan->kind != PLAN_MTU_PROBE)
        offload.segment_size = conn->mss;
    if (stack->offloads & UTCP_OFFLOAD_CHECKSUM || offload.segment_size)
        utcp__packet_offload(family, &offload);
    else
        utcp__packet_checksum(packet, family, headers + plan->length);
    sink->commit(sink->context, headers + plan->length, &offload);
    if (!plain)
        utcp__ecn_sent(conn, outgoing.flags);
    if (!plain && conn->traced)
        utcp__trace_sent(conn, plan->seq, outgoing.ack, plan->window, plan->length, outgoing.flags);
    stack->stats.packets_out++;
    conn->segments_out[plan->length > 0] += segments;
    return true;
}

/* Whatever goes out tells the peer what has come in. */
static void account_ack(struct utcp_conn *conn, const struct plan *plan)
{
    uint32_t edge = plan->ack + ((uint32_t)plan->window << conn->receive_scale);

    conn->ack_now = false;
    conn->report.duplicate_due = false;
    conn->segments_unacked = 0;
    conn->last_ack = plan->ack;
    utcp__timer_stop(conn, TIMER_ACK);
    if (seq_before(conn->rcv_adv, edge))
        conn->rcv_adv = edge;
}

/* What the SYN took of the data, and now goes again, is no drip of the program's (Nagle). */
static bool of_the_syn(const struct utcp_conn *conn, uint32_t end)
{
    return conn->fast.sent && conn->send.una < conn->fast.sent &&
           end == conn->iss + 1 + conn->fast.sent;
}

/* Sequence numbers up to `end` went out again, or some of them. */
static __attribute__((noinline)) void account_again(struct utcp_conn *conn, const struct plan *plan,
                                                    uint32_t end)
{
    if (conn->control.rate)
        utcp__rate_resent(conn, plan->seq, end);
    PROBE_RETRANSMIT(conn, plan->seq, plan->length);
    conn->segments_retransmitted += segments_of(conn, plan->length);
    UTCP_COUNT(conn, bytes_retransmitted, plan->length);
    conn->stack->stats.segments_retransmitted++;
    conn->rtt.timed_at = 0; /* Karn */
    conn->restless = true;
    utcp__undo_resent(conn, plan->seq, end);
}

/* Sequence numbers went out; `plain` as for emit(): they are new. */
static inline __attribute__((always_inline)) void
account_new(struct utcp_conn *conn, const struct plan *plan, const bool plain)
{
    uint64_t now = conn->stack->now;
    uint32_t end =
        plan->seq + plan->length + !!(plan->flags & TCP_FIN) + (!plain && plan->flags & TCP_SYN);
    bool first_in_flight = utcp__in_flight(conn) == 0;

    if (conn->more && conn->snd_una == conn->snd_max)
        utcp__count_flight(conn);
    if (conn->pacing || conn->cc.pacing_rate)
        utcp__pacing_sent(conn, plan->length);
    conn->prr.out += plan->length;
    if (!plain && conn->control.rate && plan->new_data)
        utcp__rate_sent(conn, end, conn->snd_una == conn->snd_max);
    if (!plain && seq_before(plan->seq, conn->snd_max)) {
        account_again(conn, plan, end);
    } else if (conn->rtt.timed_at == 0) {
        conn->rtt.timed_at = now; /* which is never 0 */
        conn->rtt.timed_seq = end;
    }
    if (plain)
        utcp__sack_append(conn, conn->snd_max, end);
    else if (conn->sack && plan->kind != PLAN_SYN)
        utcp__sack_sent(conn, plan->seq, end);
    if (plain || plan->kind == PLAN_DATA || plan->kind == PLAN_SYN)
        conn->snd_nxt = end;
    if (plain || seq_before(conn->snd_max, end))
        conn->snd_max = end;
    if (!plain && conn->timed)
        utcp__times_sent(conn);
    if (plan->length % conn->mss && !of_the_syn(conn, end))
        conn->small_end = end;
    conn->sent_at = now;
    if (first_in_flight || !utcp__timer_runs(conn, TIMER_RETRANSMIT))
        utcp__timer_set(conn, TIMER_RETRANSMIT, now + utcp__rtt_timeout(&conn->rtt));
}

static void account_sequence(struct utcp_conn *conn, const struct plan *plan)
{
    account_new(conn, plan, false);
}

/* The acknowledgment of what came before ECN's echo changed: there is more to acknowledge. */
static void account_flip(struct utcp_conn *conn, const struct plan *plan)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t edge = plan->ack + ((uint32_t)plan->window << conn->receive_scale);

    if (seq_before(conn->rcv_adv, edge))
        conn->rcv_adv = edge;

    conn->last_ack = plan->ack;
    ecn->flips--;
    memmove(ecn->flip_at, ecn->flip_at + 1, ecn->flips * sizeof(ecn->flip_at[0]));
}

static inline void account_probe(struct utcp_conn *conn, const struct plan *plan, const bool plain)
{
    if (conn->rack.probe_due)
        utcp__probe_sent(conn, plan->seq + plan->length + !!(plan->flags & TCP_FIN),
                         plan->kind == PLAN_RESEND);
    else if (plain)
        utcp__schedule_probe(conn, true);
    else
        utcp__probe_schedule(conn);
}

/* A child's SYN counts as acknowledged (fastopen.c): it takes no part in what else is in flight. */
static void account_child_syn(struct utcp_conn *conn)
{
    uint64_t now = conn->stack->now;

    if (conn->fast.answered) {
        conn->segments_retransmitted++;
        conn->stack->stats.segments_retransmitted++;
        conn->rtt.timed_at = 0;
    } else {
        conn->rtt.timed_at = now ? now : 1;
        conn->rtt.timed_seq = conn->iss + 1;
    }
    conn->fast.answered = true;
    conn->sent_at = now;
    conn->ack_now = false; /* it acknowledges the SYN's data */
    conn->segments_unacked = 0;
    conn->last_ack = utcp__rcv_nxt(conn);
    utcp__timer_stop(conn, TIMER_ACK);
}

static inline void account_syn(struct utcp_conn *conn, const struct plan *plan)
{
    uint64_t now = conn->stack->now;

    conn->syn_due = false;
    if (conn->fast_queue) {
        account_child_syn(conn);
    } else if (conn->snd_max == conn->iss && plan->length == 0 && !conn->timed && !conn->more) {
        conn->rtt.timed_at = now ? now : 1;
        conn->rtt.timed_seq = conn->snd_nxt = conn->snd_max = conn->iss + 1;
        conn->sent_at = now;
    } else {
        account_sequence(conn, plan);
    }
    conn->fast.sent += (uint16_t)plan->length;
    conn->deadline[TIMER_RETRANSMIT] = now + utcp__rtt_timeout(&conn->rtt);
    /* Earlier than that, at a tick before which no timer of data is that follow soon: the place stays what it is. */
    utcp__timer_place(conn, now + UTCP_RTO_MIN - (1 << WHEEL_TICK_BITS));
    utcp__wait_for_peer(conn);
    conn->rcv_adv = plan->ack + plan->window; /* which is not scaled */
}

/* A data segment, or the byte that probes a window. */
static void account_data(struct utcp_conn *conn, const struct plan *plan)
{
    conn->probe_due = 0;
    account_sequence(conn, plan);
    account_probe(conn, plan, false);
}

/* What is neither new data nor a plain ACK. */
static __attribute__((noinline)) void account_other(struct utcp_conn *conn, const struct plan *plan)
{
    switch (plan->kind) {
    case PLAN_SYN: account_syn(conn, plan); return;
    case PLAN_RESEND:
        conn->recovery.retransmit_due = false;
        account_sequence(conn, plan);
        if (conn->sack && plan->seq == conn->snd_una)
            utcp__timer_set(conn, TIMER_RETRANSMIT,
                            conn->stack->now + utcp__rtt_timeout(&conn->rtt));
        account_probe(conn, plan, false);
        break;
    case PLAN_PROBE:
        conn->restless = true;
        account_data(conn, plan);
        break;
    case PLAN_MTU_PROBE:
        conn->probe_due = 0;
        account_sequence(conn, plan);
        conn->snd_nxt = conn->snd_max;
        utcp__mtu_probe_sent(conn, plan->seq, plan->length);
        account_probe(conn, plan, false);
        break;
    case PLAN_KEEPALIVE: conn->keepalive_due = false; break;
    case PLAN_DUPLICATE: conn->duplicate_acks_due -= conn->duplicate_acks_due > 0; break;
    case PLAN_FLIP: account_flip(conn, plan); return;
    case PLAN_DATA:
    case PLAN_ACK:
    case PLAN_NOTHING: break;
    }
    account_ack(conn, plan);
}

static void account(struct utcp_conn *conn, const struct plan *plan)
{
    if (plan->kind == PLAN_DATA) {
        account_data(conn, plan);
    } else if (plan->kind != PLAN_ACK) {
        account_other(conn, plan);
        return;
    }
    account_ack(conn, plan);
}

static inline void account_plain(struct utcp_conn *conn, const struct plan *plan)
{
    if (plan->kind == PLAN_DATA) {
        conn->probe_due = 0;
        account_new(conn, plan, true);
        account_probe(conn, plan, true);
    }
    account_ack(conn, plan);
}

/* Sends the planned segment and accounts for it. False: the sink is full. */
static __attribute__((noinline)) bool send_any(struct utcp_conn *conn, struct plan *plan,
                                               const struct utcp_sink *sink)
{
    if (!emit(conn, plan, sink, FORM_ANY))
        return false;
    account(conn, plan);
    return true;
}

static inline bool send_planned(struct utcp_conn *conn, struct plan *plan,
                                const struct utcp_sink *sink)
{
    if ((plan->kind != PLAN_DATA && plan->kind != PLAN_ACK) || plan->length > conn->mss ||
        !is_plain(conn))
        return send_any(conn, plan, sink);
    if (!emit(conn, plan, sink, FORM_PLAIN))
        return false;
    account_plain(conn, plan);
    return true;
}

/* A listener's connection has its SYN-ACK to send, and nothing else: utcp__plan() would find that, and nothing
 * behind it. */
static bool says_syn_ack(const struct utcp_conn *conn)
{
    return conn->state == UTCP_SYN_RECEIVED && conn->passive && conn->syn_due && !conn->ack_now &&
           !conn->fast_queue && conn->stack->predict != PREDICT_NOTHING;
}

static __attribute__((noinline)) enum progress output_syn_ack(struct utcp_conn *conn,
                                                              const struct utcp_sink *sink)
{
    struct plan plan = {PLAN_SYN, conn->iss, 0, TCP_SYN | TCP_ACK};

    if (!emit(conn, &plan, sink, FORM_SYN))
        return PROGRESS_FULL;
    account_syn(conn, &plan);
    return PROGRESS_DONE;
}

static enum progress output_conn(struct utcp_conn *conn, const struct utcp_sink *sink)
{
    if (conn->state == UTCP_TIME_WAIT) {
        switch (utcp__time_wait_last_words(conn, sink)) {
        case LAST_WORDS_SAID: return PROGRESS_GONE;
        case LAST_WORDS_FULL: return PROGRESS_FULL;
        case LAST_WORDS_OTHERS: break;
        }
    }
    if (says_syn_ack(conn))
        return output_syn_ack(conn, sink);
    utcp__control_before_output(conn);
    for (int packets = 0; packets < QUANTUM; packets++) {
        struct plan next;

        utcp__plan(conn, &next);
        if (next.kind != PLAN_NOTHING) {
            if (!send_planned(conn, &next, sink))
                return PROGRESS_FULL;
            if (!next.last)
                continue;
        }
        if (next.paced)
            utcp__pacing_wait(conn);
        else if (conn->control.rate && utcp__unsent(conn) == 0 &&
                 utcp__in_flight(conn) < conn->cc.cwnd)
            utcp__rate_limited(conn);
        conn->probe_due &= UTCP_PROBE_MTU;
        conn->recovery.retransmit_due = false;
        conn->rack.probe_due = false;
        utcp__busy_update(conn);
        if (conn->write_blocked)
            utcp__send_room_event(conn);
        if (!utcp__timer_runs(conn, TIMER_RETRANSMIT) && utcp__blocked(conn))
            utcp__timer_set(conn, TIMER_RETRANSMIT,
                            conn->stack->now + utcp__rtt_timeout(&conn->rtt));
        if (utcp__timer_runs(conn, TIMER_ACK))
            utcp__timer_place(conn, conn->deadline[TIMER_ACK]);
        return PROGRESS_DONE;
    }
    return PROGRESS_MORE;
}

bool utcp_output_wanted(const struct utcp *stack)
{
    return stack->reply_count || !list_empty(&stack->output);
}

bool utcp_output(struct utcp *stack, uint64_t now, const struct utcp_sink *sink)
{
    utcp__set_now(stack, now);
    if (!utcp__output_replies(stack, sink))
        return false;
    while (!list_empty(&stack->output)) {
        struct list *link = stack->output.next;
        struct utcp_conn *conn = list_member(link, struct utcp_conn, output_link);

        switch (output_conn(conn, sink)) {
        case PROGRESS_FULL: return false;
        case PROGRESS_GONE: break;
        case PROGRESS_MORE:
            list_remove(link);
            list_append(&stack->output, link);
            break;
        case PROGRESS_DONE:
            list_remove(link);
            if (conn->state == UTCP_TIME_WAIT && !utcp__time_wait_take(conn))
                utcp__timer_set(conn, TIMER_LIFE, conn->deadline[TIMER_LIFE]);
            break;
        }
    }
    return true;
}
