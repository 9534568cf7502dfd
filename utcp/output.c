/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments that go out. For each connection on the output list, again and again until nothing is
 * left: plan() decides on one segment by predicates, emit() builds it in the sink, account() moves
 * the connection's numbers on. Nothing is accounted for that did not go out, so a full sink only
 * means to go on here the next time. */
#include <string.h>

#include "options/options.h"
#include "utcp_internal.h"

#define QUANTUM 64 /* packets until the next connection has its turn */

enum plan_kind {
    PLAN_NOTHING,
    PLAN_SYN,
    PLAN_DATA,      /* at snd_nxt: new, or again after a timeout; a FIN may be its all */
    PLAN_RESEND,    /* at snd_una, by fast retransmit */
    PLAN_PROBE,     /* a byte beyond the window */
    PLAN_KEEPALIVE, /* a sequence number that the peer has acknowledged */
    PLAN_DUPLICATE, /* an ACK that tells of a segment out of order */
    PLAN_ACK,
    PLAN_MTU_PROBE, /* new data in a larger packet than the path is known to pass */
    PLAN_FLIP,      /* an ACK of what came before ECN's echo changed */
};

struct plan {
    enum plan_kind kind;
    uint32_t seq, length;
    uint8_t flags;
    bool new_data;
    bool paced; /* there would be data, but not now */
};

enum progress { PROGRESS_DONE, PROGRESS_MORE, PROGRESS_FULL };

/* ── Predicates ────────────────────────────────────────────────────────────────────────────── */

static uint64_t buffered(const struct utcp_conn *conn)
{
    return conn->send.end - conn->send.una;
}

/* Bytes written and not sent (again) yet. */
static uint64_t unsent(const struct utcp_conn *conn)
{
    uint32_t in_flight = utcp__in_flight(conn);

    return buffered(conn) > in_flight ? buffered(conn) - in_flight : 0;
}

static bool fin_unsent(const struct utcp_conn *conn)
{
    return conn->fin_queued && !conn->fin_acked && utcp__in_flight(conn) <= buffered(conn);
}

static uint32_t room(uint32_t limit, uint32_t in_flight)
{
    return limit > in_flight ? limit - in_flight : 0;
}

/* Nagle's algorithm in Minshall's form: only one segment that is not full may be on its way. What
 * a program writes in one go leaves at once, tail and all; what it writes in drips is gathered.
 * (RFC 9293 section 3.7.4) */
static bool may_send_small(const struct utcp_conn *conn)
{
    if (conn->fin_queued || seq_before(conn->snd_nxt, conn->snd_max))
        return true; /* no more will come to fill it up, or it was sent before */
    if (conn->cork)
        return false;
    return conn->nodelay || utcp__in_flight(conn) == 0 || seq_up_to(conn->small_end, conn->snd_una);
}

/* And no single segment behind: it would leave without PSH, and a receiver that merges would wait. */
static uint32_t half_window(const struct utcp_conn *conn, uint32_t window)
{
    uint32_t half = window / 2 / conn->mss * conn->mss, all = room(window, utcp__pipe(conn));

    return half > conn->mss && all / conn->mss == half / conn->mss + 1 ? all : half;
}

/* Most payload of one packet. Half a window at most: a receiver that merges segments acknowledges
 * once for each packet, and two acknowledgments a round trip keep the clock going. In the first slow
 * start there is no clock to keep yet: the window grows by bytes, however few the acknowledgments, and
 * a short response leaves in as few packets as it can, if UTCP_HALF_WINDOWS does not say otherwise. */
static uint32_t packet_max(const struct utcp_conn *conn)
{
    uint32_t window = min_u32(utcp__recovery_window(conn), conn->snd_wnd_max), segments;

    /* Whoever cuts packets knows nothing of urgent pointers. */
    if (!(conn->stack->offloads & UTCP_OFFLOAD_SEGMENT) || conn->urgent_out)
        return conn->mss;
    if (conn->cc.ssthresh < UTCP_CC_CWND_MAX)
        window /= 2;
    else if (conn->stack->flags & UTCP_HALF_WINDOWS)
        window = half_window(conn, window);
    segments = min_u32(utcp__pacing_burst(conn) - 60 - UTCP_OPTIONS_MAX, window) / conn->mss;
    return segments ? segments * conn->mss : conn->mss;
}

/* How much to send at snd_nxt now: as much as the window, the congestion window and the packet
 * allow, in full segments, except for a tail that may_send_small() lets go (RFC 9293 section
 * 3.8.6.2.1). */
static uint32_t sendable(struct utcp_conn *conn)
{
    uint32_t in_flight = utcp__in_flight(conn), window = room(conn->snd_wnd, in_flight);
    uint32_t congestion = room(utcp__recovery_window(conn), utcp__pipe(conn));
    uint64_t left = unsent(conn);
    uint32_t length = packet_max(conn), record = UINT32_MAX;

    if (conn->more && conn->more->records)
        record = utcp__record_left(conn, conn->snd_nxt);
    if (length > left)
        length = (uint32_t)left;
    if (length > record)
        length = record;
    if (length > window)
        length = window;
    if (length > congestion)
        length = congestion / conn->mss * conn->mss;
    if (length == left ? may_send_small(conn) : length == record)
        return length;
    if (length >= conn->mss)
        return length / conn->mss * conn->mss;
    /* Less than a segment. Not the last of the data: the window is narrow, and worth filling only
     * when the peer's buffer is so small. */
    return length < left && length == window && length >= conn->snd_wnd_max / 2 ? length : 0;
}

/* Data wait for a window and nothing is on its way that would bring news of it. */
static bool blocked_by_window(const struct utcp_conn *conn)
{
    return unsent(conn) > 0 && utcp__in_flight(conn) == 0 && conn->snd_wnd < conn->mss &&
           conn->snd_wnd < unsent(conn);
}

/* The furthest right edge that the buffer has room for and the window field can tell. */
static uint32_t furthest_edge(const struct utcp_conn *conn)
{
    uint64_t unread = conn->receive.next - conn->receive.read;
    uint32_t free = unread < conn->receive_limit ? (uint32_t)(conn->receive_limit - unread) : 0;

    return utcp__rcv_nxt(conn) + min_u32(free, UINT32_C(65535) << conn->receive_scale);
}

/* RFC 9293 section 3.8.6.2.2: the edge never goes back, and forward only in steps worth sending. */
uint32_t utcp__window_edge(const struct utcp_conn *conn)
{
    uint32_t edge = furthest_edge(conn), next = utcp__rcv_nxt(conn);
    uint32_t step = min_u32(conn->receive_limit / 2, conn->receive_mss);

    if (seq_before(conn->rcv_adv + step, edge) || conn->rcv_adv + step == edge)
        return edge;
    return seq_before(conn->rcv_adv, next) ? next : conn->rcv_adv;
}

/* The reader has made so much room that the peer should know. While it sees at least half of the
 * buffer open, it can wait for the next ACK. */
bool utcp__window_to_update(const struct utcp_conn *conn)
{
    uint32_t edge, next, open, half = conn->receive_limit / 2, step;

    if (!utcp__synchronized(conn) || conn->peer_fin_taken)
        return false;
    edge = furthest_edge(conn);
    if (!seq_before(conn->rcv_adv, edge))
        return false;
    next = utcp__rcv_nxt(conn);
    open = seq_before(next, conn->rcv_adv) ? conn->rcv_adv - next : 0;
    step = open < half ? min_u32(half, 2 * conn->receive_mss) : half;
    return edge - conn->rcv_adv >= step;
}

uint32_t utcp__ack_sequence(const struct utcp_conn *conn)
{
    uint32_t edge = conn->snd_una + conn->snd_wnd;

    return utcp__synchronized(conn) && seq_before(edge, conn->snd_max) ? edge : conn->snd_max;
}

/* ── Planning ──────────────────────────────────────────────────────────────────────────────── */

static bool plan_syn(const struct utcp_conn *conn, struct plan *plan)
{
    if (!conn->syn_due)
        return false;
    *plan = (struct plan){PLAN_SYN, conn->iss, 0,
                          conn->state == UTCP_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK};
    if (conn->state == UTCP_SYN_SENT && conn->fast.data_allowed) {
        uint32_t room = utcp__fast_open_room(conn);

        plan->length = buffered(conn) < room ? (uint32_t)buffered(conn) : room;
    }
    return true;
}

/* What is sent again from `seq` on, `size` sequence numbers or a segment of them; the last of all may
 * be the FIN's. */
static void plan_again(const struct utcp_conn *conn, uint32_t seq, uint32_t size, struct plan *plan)
{
    uint64_t data = buffered(conn) - (seq - conn->snd_una);
    bool fin = size > data;
    uint32_t length = min_u32(fin ? (uint32_t)data : size, conn->mss);

    *plan = (struct plan){PLAN_RESEND, seq, length, TCP_ACK};
    if (length && length == data)
        plan->flags |= TCP_PSH;
    if (fin && length == data)
        plan->flags |= TCP_FIN;
}

/* RFC 8985 section 7.3: new data, or the last segment again, which may have been a FIN alone; cwnd is
 * not asked. A window that shrank has no room for the last: the peer would not take it. In a recovery
 * what waits to be sent again goes first; and where the peer has the last segment, what tells most is
 * the first that it has not. */
static bool plan_tail_probe(struct utcp_conn *conn, struct plan *plan)
{
    uint32_t window = room(conn->snd_wnd, utcp__in_flight(conn));
    uint32_t length = min_u32(conn->mss, window), flight = conn->snd_max - conn->snd_una, size;
    const struct utcp_sent *again;

    if (!conn->rack.probe_due || flight == 0 || conn->snd_wnd < flight || conn->board.count == 0)
        return false;
    again = utcp__sack_first_lost(conn);
    if (again) {
        plan_again(conn, again->start, again->end - again->start, plan);
        return true;
    }
    if (length > unsent(conn))
        length = (uint32_t)unsent(conn);
    if (length && conn->snd_nxt == conn->snd_max) {
        *plan = (struct plan){PLAN_DATA, conn->snd_nxt, length, TCP_ACK};
        if (length == unsent(conn))
            plan->flags |= TCP_PSH;
        plan->new_data = true;
        return true;
    }
    again = utcp__sent(&conn->board, conn->board.count - 1);
    if (again->flags & SENT_SACKED) {
        again = utcp__sent(&conn->board, 0);
        plan_again(conn, again->start, again->end - again->start, plan);
        return true;
    }
    size = min_u32(again->end - again->start, conn->mss + (flight > buffered(conn)));
    plan_again(conn, conn->snd_max - size, size, plan);
    return true;
}

/* What was found lost, as far as the window lets it; after a timeout the first of it at once. */
static bool plan_lost(struct utcp_conn *conn, struct plan *plan)
{
    const struct utcp_sent *lost = utcp__sack_first_lost(conn);
    uint32_t window = conn->snd_una + conn->snd_wnd;

    if (lost == NULL || conn->undo.frto == FRTO_SECOND)
        return false;
    if (lost->start != conn->snd_una &&
        seq_before(window, lost->start + min_u32(lost->end - lost->start, conn->mss)))
        return false;
    plan_again(conn, lost->start, lost->end - lost->start, plan);
    if (conn->recovery.retransmit_due)
        return true;
    if (room(utcp__recovery_window(conn), utcp__pipe(conn)) < plan->length) {
        plan->kind = PLAN_NOTHING;
        return false;
    }
    if (!utcp__pacing_allows(conn)) {
        plan->kind = PLAN_NOTHING;
        plan->paced = true;
        return false;
    }
    return true;
}

static bool plan_resend(struct utcp_conn *conn, struct plan *plan)
{
    uint32_t flight = conn->snd_max - conn->snd_una;
    uint64_t data = buffered(conn) < flight ? buffered(conn) : flight;
    uint32_t length = data < conn->mss ? (uint32_t)data : conn->mss;
    bool fin =
        conn->fin_queued && !conn->fin_acked && flight > buffered(conn) && length == buffered(conn);

    if (conn->sack)
        return plan_tail_probe(conn, plan) || plan_lost(conn, plan);
    if (!conn->recovery.retransmit_due || length + fin == 0)
        return false;
    *plan = (struct plan){PLAN_RESEND, conn->snd_una, length, TCP_ACK};
    if (length && length == buffered(conn))
        plan->flags |= TCP_PSH;
    if (fin)
        plan->flags |= TCP_FIN;
    return true;
}

static bool plan_data(struct utcp_conn *conn, struct plan *plan)
{
    uint32_t length;
    bool fin = fin_unsent(conn);

    if (unsent(conn) == 0 && !fin)
        return false; /* as always at last */
    length = sendable(conn);
    fin = fin && length == unsent(conn);
    if (length == 0 && !fin)
        return false;
    if (length && !utcp__pacing_allows(conn)) {
        plan->paced = true;
        return false;
    }
    *plan = (struct plan){PLAN_DATA, conn->snd_nxt, length, TCP_ACK};
    plan->new_data = length && conn->snd_nxt == conn->snd_max;
    if (fin)
        plan->flags |= TCP_FIN;
    /* Also where it will be cut: the peer need not wait for more to merge it with. */
    if (length && (length == unsent(conn) || length > conn->mss))
        plan->flags |= TCP_PSH;
    return true;
}

/* Data wait for the cork to be taken off. */
static bool blocked_by_cork(const struct utcp_conn *conn)
{
    return conn->cork && unsent(conn) > 0 && utcp__in_flight(conn) == 0 &&
           conn->snd_wnd >= unsent(conn);
}

/* A cork holds for so long only: tcp(7). */
static bool plan_uncorked(const struct utcp_conn *conn, struct plan *plan)
{
    if (!(conn->probe_due & UTCP_PROBE_WINDOW) || !blocked_by_cork(conn))
        return false;
    *plan = (struct plan){PLAN_DATA, conn->snd_nxt, min_u32((uint32_t)unsent(conn), conn->mss),
                          TCP_ACK | TCP_PSH};
    return true;
}

/* RFC 9293 section 3.8.6.1. When the window is open after all, but too narrow for sendable(), this
 * is the override timeout of section 3.8.6.2.1: what fits is sent. */
static bool plan_probe(const struct utcp_conn *conn, struct plan *plan)
{
    if (!(conn->probe_due & UTCP_PROBE_WINDOW) || !blocked_by_window(conn))
        return false;
    if (conn->snd_wnd)
        *plan = (struct plan){PLAN_DATA, conn->snd_nxt, conn->snd_wnd, TCP_ACK};
    else
        *plan = (struct plan){PLAN_PROBE, conn->snd_nxt, 1, TCP_ACK};
    return true;
}

/* True: a probe of the path is sent, or nothing new until there is room for it. */
static bool plan_mtu_probe(struct utcp_conn *conn, struct plan *plan)
{
    uint32_t length;
    enum utcp_mtu_turn turn;

    if (!(conn->probe_due & UTCP_PROBE_MTU))
        return false;
    turn = utcp__mtu_turn(conn, &length);
    if (turn == MTU_NOT_NOW)
        conn->probe_due &= (uint8_t)~UTCP_PROBE_MTU;
    else if (turn == MTU_SEND)
        *plan = (struct plan){PLAN_MTU_PROBE, conn->snd_nxt, length, TCP_ACK, .new_data = true};
    return turn != MTU_NOT_NOW;
}

/* There may be something else to send than what comes next. */
static bool out_of_turn(const struct utcp_conn *conn)
{
    return conn->board.lost || conn->rack.probe_due || conn->recovery.retransmit_due ||
           conn->probe_due;
}

/* True: what is planned is planned, be it nothing. */
static bool plan_out_of_turn(struct utcp_conn *conn, struct plan *plan)
{
    return plan_resend(conn, plan) || plan_probe(conn, plan) || plan_uncorked(conn, plan) ||
           plan_mtu_probe(conn, plan);
}

/* Nothing goes across the end of a record (records.c). */
static void keep_to_record(struct utcp_conn *conn, struct plan *plan)
{
    uint32_t left = utcp__record_left(conn, plan->seq);

    if (plan->length > left) {
        plan->length = left;
        plan->flags &= (uint8_t)~TCP_FIN;
    }
    if (plan->length == left && !(plan->flags & TCP_SYN))
        plan->flags |= TCP_PSH;
}

static void plan(struct utcp_conn *conn, struct plan *plan)
{
    *plan = (struct plan){0};
    if (!utcp__synchronized(conn)) {
        if (plan_syn(conn, plan))
            return;
        if (!utcp__transfers(conn)) {
            if (conn->ack_now && conn->state == UTCP_SYN_RECEIVED)
                *plan = (struct plan){PLAN_ACK, conn->snd_max, 0, TCP_ACK};
            return;
        }
    }
    if (conn->ecn.flips) {
        *plan = (struct plan){PLAN_FLIP, utcp__ack_sequence(conn), 0, TCP_ACK};
        return;
    }
    if (conn->duplicate_acks_due || conn->report.duplicate_due) {
        *plan = (struct plan){PLAN_DUPLICATE, utcp__ack_sequence(conn), 0, TCP_ACK};
        return;
    }
    if (out_of_turn(conn) && plan_out_of_turn(conn, plan)) {
        if (plan->kind != PLAN_NOTHING)
            return;
    } else if (plan_data(conn, plan)) {
        return;
    }
    if (conn->keepalive_due)
        *plan = (struct plan){PLAN_KEEPALIVE, conn->snd_una - 1, 0, TCP_ACK};
    else if (conn->ack_now || utcp__window_to_update(conn))
        *plan = (struct plan){PLAN_ACK, utcp__ack_sequence(conn), 0, TCP_ACK, .paced = plan->paced};
}

/* ── Sending ───────────────────────────────────────────────────────────────────────────────── */

static uint16_t window_field(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t ack)
{
    uint32_t window;

    if (tcp_flags & TCP_SYN) /* not scaled, RFC 7323 section 2.2 */
        return (uint16_t)min_u32(conn->receive_limit, UINT16_MAX);
    window = (utcp__window_edge(conn) - ack) >> conn->receive_scale;
    return (uint16_t)min_u32(window, UINT16_MAX);
}

static uint8_t *reserve(const struct utcp_sink *sink, uint32_t length)
{
    return sink->reserve(sink->context, length);
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

/* Builds the planned segment in the sink and sends it. False: the sink is full. */
static bool emit(struct utcp_conn *conn, struct plan *plan, uint16_t *window,
                 const struct utcp_sink *sink)
{
    struct utcp *stack = conn->stack;
    struct utcp_offload offload = {0};
    uint8_t options[UTCP_OPTIONS_MAX], *packet, *at;
    uint8_t options_length =
        utcp__options_write(conn, plan->flags, options_room(conn, plan->length), options);
    uint32_t headers = utcp__packet_headers(conn->local.family) + options_length;
    uint32_t ack = plan->kind == PLAN_FLIP ? conn->ecn.flip_at[0] : utcp__rcv_nxt(conn);
    struct utcp_outgoing outgoing;
    uint32_t segments;

    packet = reserve(sink, headers + plan->length);
    if (packet == NULL && plan->length > conn->mss &&
        plan->kind != PLAN_MTU_PROBE) { /* perhaps there is room for less */
        plan->length = conn->mss;
        plan->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        packet = reserve(sink, headers + plan->length);
    }
    if (packet == NULL)
        return false;
    *window = window_field(conn, plan->flags, ack);
    outgoing = (struct utcp_outgoing){
        .local = &conn->local,
        .remote = &conn->remote,
        .seq = plan->seq,
        .ack = plan->flags & TCP_ACK ? ack : 0,
        .window = *window,
        .ip_id = conn->ip_id,
        .flags = plan->flags | utcp__ecn_flags(conn, plan->flags, plan->new_data),
        .ecn = conn->ecn.on && plan->new_data ? IP_ECN_0 : IP_ECN_NOT,
        .dscp = conn->dscp,
        .hop_limit = conn->hop_limit,
        .options_length = options_length,
        .length = plan->length,
    };
    if (conn->urgent_out && (outgoing.urgent = utcp__urgent_pointer(conn, plan->seq)))
        outgoing.flags |= TCP_URG;
    segments = segments_of(conn, plan->length);
    conn->ip_id += (uint16_t)segments;
    if (!(plan->flags & TCP_SYN) && plan->length + TCP_OPTION_USER_TIMEOUT_LENGTH <= conn->mss)
        conn->timeout_due = false; /* there was room to tell it */
    at = utcp__packet_build(packet, &outgoing);
    if (options_length == UTCP_OPTIONS_USUAL) /* a size that the compiler knows */
        memcpy(at, options, UTCP_OPTIONS_USUAL);
    else
        memcpy(at, options, options_length);
    if (plan->length)
        utcp__sendbuf_get(&conn->send, conn->send.una + (plan->seq - conn->snd_una),
                          at + options_length, plan->length);
    if (plan->length > conn->mss && plan->kind != PLAN_MTU_PROBE)
        offload.segment_size = conn->mss;
    utcp__packet_checksum(packet, &outgoing,
                          stack->offloads & UTCP_OFFLOAD_CHECKSUM || offload.segment_size,
                          &offload);
    sink->commit(sink->context, headers + plan->length, &offload);
    utcp__ecn_sent(conn, outgoing.flags);
    if (conn->traced)
        utcp__trace_sent(conn, &outgoing);
    stack->stats.packets_out++;
    conn->segments_out[plan->length > 0] += segments;
    return true;
}

/* Whatever goes out tells the peer what has come in. */
static void account_ack(struct utcp_conn *conn, uint16_t window)
{
    uint32_t next = utcp__rcv_nxt(conn);
    uint32_t edge = next + ((uint32_t)window << conn->receive_scale);

    conn->ack_now = false;
    conn->report.duplicate_due = false;
    conn->segments_unacked = 0;
    conn->last_ack = next;
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

/* Sequence numbers went out. */
static void account_sequence(struct utcp_conn *conn, const struct plan *plan)
{
    uint64_t now = conn->stack->now;
    uint32_t end = plan->seq + plan->length + !!(plan->flags & TCP_SYN) + !!(plan->flags & TCP_FIN);
    bool first_in_flight = utcp__in_flight(conn) == 0;

    if (conn->more && conn->snd_una == conn->snd_max)
        utcp__count_flight(conn);
    utcp__pacing_sent(conn, plan->length);
    conn->prr.out += plan->length;
    if (conn->control.rate && plan->new_data)
        utcp__rate_sent(conn, end, conn->snd_una == conn->snd_max);
    if (seq_before(plan->seq, conn->snd_max)) {
        if (conn->control.rate)
            utcp__rate_resent(conn, plan->seq, end);
        PROBE_RETRANSMIT(conn, plan->seq, plan->length);
        conn->segments_retransmitted += segments_of(conn, plan->length);
        UTCP_COUNT(conn, bytes_retransmitted, plan->length);
        conn->stack->stats.segments_retransmitted++;
        conn->rtt.timed_at = 0; /* Karn */
        utcp__undo_resent(conn, plan->seq, end);
    } else if (conn->rtt.timed_at == 0) {
        conn->rtt.timed_at = now ? now : 1;
        conn->rtt.timed_seq = end;
    }
    if (conn->sack && plan->kind != PLAN_SYN)
        utcp__sack_sent(conn, plan->seq, end);
    if (plan->kind == PLAN_DATA || plan->kind == PLAN_SYN)
        conn->snd_nxt = end;
    if (seq_before(conn->snd_max, end))
        conn->snd_max = end;
    if (conn->timed)
        utcp__times_sent(conn);
    if (plan->length % conn->mss && !of_the_syn(conn, end))
        conn->small_end = end;
    conn->sent_at = now;
    if (first_in_flight || !utcp__timer_runs(conn, TIMER_RETRANSMIT))
        utcp__timer_set(conn, TIMER_RETRANSMIT, now + utcp__rtt_timeout(&conn->rtt));
}

/* The acknowledgment of what came before ECN's echo changed: there is more to acknowledge. */
static void account_flip(struct utcp_conn *conn, uint16_t window)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t edge = ecn->flip_at[0] + ((uint32_t)window << conn->receive_scale);

    if (seq_before(conn->rcv_adv, edge))
        conn->rcv_adv = edge;

    conn->last_ack = ecn->flip_at[0];
    ecn->flips--;
    memmove(ecn->flip_at, ecn->flip_at + 1, ecn->flips * sizeof(ecn->flip_at[0]));
}

static void account_probe(struct utcp_conn *conn, const struct plan *plan)
{
    bool fin = plan->flags & TCP_FIN;

    if (conn->rack.probe_due)
        utcp__probe_sent(conn, plan->seq + plan->length + fin, plan->kind == PLAN_RESEND);
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

static void account_syn(struct utcp_conn *conn, const struct plan *plan)
{
    conn->syn_due = false;
    if (conn->fast_queue)
        account_child_syn(conn);
    else
        account_sequence(conn, plan);
    conn->fast.sent += (uint16_t)plan->length;
    utcp__timer_set(conn, TIMER_RETRANSMIT, conn->stack->now + utcp__rtt_timeout(&conn->rtt));
    utcp__timers_update(conn, false);
}

static void account(struct utcp_conn *conn, const struct plan *plan, uint16_t window)
{
    if (plan->kind == PLAN_FLIP) {
        account_flip(conn, window);
        return;
    }
    switch (plan->kind) {
    case PLAN_SYN: account_syn(conn, plan); break;
    case PLAN_RESEND:
        conn->recovery.retransmit_due = false;
        account_sequence(conn, plan);
        if (conn->sack && plan->seq == conn->snd_una)
            utcp__timer_set(conn, TIMER_RETRANSMIT,
                            conn->stack->now + utcp__rtt_timeout(&conn->rtt));
        account_probe(conn, plan);
        break;
    case PLAN_PROBE:
    case PLAN_DATA:
        conn->probe_due = 0;
        account_sequence(conn, plan);
        account_probe(conn, plan);
        break;
    case PLAN_MTU_PROBE:
        conn->probe_due = 0;
        account_sequence(conn, plan);
        conn->snd_nxt = conn->snd_max;
        utcp__mtu_probe_sent(conn, plan->seq, plan->length);
        account_probe(conn, plan);
        break;
    case PLAN_KEEPALIVE: conn->keepalive_due = false; break;
    case PLAN_DUPLICATE: conn->duplicate_acks_due -= conn->duplicate_acks_due > 0; break;
    case PLAN_ACK:
    case PLAN_FLIP:
    case PLAN_NOTHING: break;
    }
    if (plan->flags & TCP_SYN)
        conn->rcv_adv = utcp__rcv_nxt(conn) + window;
    else
        account_ack(conn, window);
}

static enum progress output_conn(struct utcp_conn *conn, const struct utcp_sink *sink)
{
    utcp__control_before_output(conn);
    for (int packets = 0; packets < QUANTUM; packets++) {
        struct plan next;
        uint16_t window;

        plan(conn, &next);
        if (next.length && conn->more && conn->more->records)
            keep_to_record(conn, &next);
        if (next.kind != PLAN_NOTHING) {
            if (!emit(conn, &next, &window, sink))
                return PROGRESS_FULL;
            account(conn, &next, window);
            if (next.kind != PLAN_ACK) /* which is planned where there is nothing else */
                continue;
        }
        if (next.paced)
            utcp__pacing_wait(conn);
        else if (conn->control.rate && unsent(conn) == 0 && utcp__in_flight(conn) < conn->cc.cwnd)
            utcp__rate_limited(conn);
        conn->probe_due &= UTCP_PROBE_MTU;
        conn->recovery.retransmit_due = false;
        conn->rack.probe_due = false;
        utcp__busy_update(conn);
        if (conn->write_blocked && conn->more && conn->more->not_sent_low)
            utcp__send_room_event(conn);
        if (unsent(conn) && utcp__synchronized(conn) &&
            (blocked_by_window(conn) || blocked_by_cork(conn)) &&
            !utcp__timer_runs(conn, TIMER_RETRANSMIT))
            utcp__timer_set(conn, TIMER_RETRANSMIT,
                            conn->stack->now + utcp__rtt_timeout(&conn->rtt));
        return PROGRESS_DONE;
    }
    return PROGRESS_MORE;
}

/* Not inlined, so that what connections send is (packet.c has room in one caller for that). */
static __attribute__((noinline)) bool emit_reply(struct utcp *stack, const struct utcp_reply *reply,
                                                 const struct utcp_sink *sink)
{
    struct utcp_outgoing outgoing = {
        .local = &reply->local,
        .remote = &reply->remote,
        .seq = reply->seq,
        .ack = reply->ack,
        .window = reply->window,
        .ip_id = reply->ip_id,
        .flags = reply->flags,
        .dscp = reply->dscp,
        .hop_limit = reply->hop_limit ? reply->hop_limit : UTCP_HOP_LIMIT,
        .options_length = reply->options_length,
    };
    struct utcp_offload offload = {0};
    uint32_t length = utcp__packet_headers(reply->local.family) + reply->options_length;
    uint8_t *packet = reserve(sink, length);

    if (packet == NULL)
        return false;
    memcpy(utcp__packet_build(packet, &outgoing), reply->options, reply->options_length);
    utcp__packet_checksum(packet, &outgoing, stack->offloads & UTCP_OFFLOAD_CHECKSUM, &offload);
    sink->commit(sink->context, length, &offload);
    stack->stats.packets_out++;
    if (reply->time_wait)
        utcp__time_wait_answered(stack, reply);
    else if (reply->flags & TCP_RST)
        stack->stats.resets_out++;
    else
        stack->stats.syn_cookies_sent++;
    return true;
}

static bool output_replies(struct utcp *stack, const struct utcp_sink *sink)
{
    while (stack->reply_count) {
        struct utcp_reply *reply = &stack->replies[stack->reply_first];
        bool due = !reply->time_wait || utcp__time_wait_answer(stack, reply);

        if (due && !emit_reply(stack, reply, sink))
            return false;
        stack->reply_first = (stack->reply_first + 1) % UTCP_REPLIES_MAX;
        stack->reply_count--;
    }
    return true;
}

bool utcp_output_wanted(const struct utcp *stack)
{
    return stack->reply_count || !list_empty(&stack->output);
}

bool utcp_output(struct utcp *stack, uint64_t now, const struct utcp_sink *sink)
{
    if (now > stack->now)
        stack->now = now;
    if (!output_replies(stack, sink))
        return false;
    while (!list_empty(&stack->output)) {
        struct list *link = stack->output.next;
        struct utcp_conn *conn = list_member(link, struct utcp_conn, output_link);

        switch (output_conn(conn, sink)) {
        case PROGRESS_FULL: return false;
        case PROGRESS_MORE:
            list_remove(link);
            list_append(&stack->output, link);
            break;
        case PROGRESS_DONE:
            list_remove(link);
            if (conn->state == UTCP_TIME_WAIT)
                utcp__time_wait_take(conn);
            break;
        }
    }
    return true;
}
