/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection sends next, by predicates: one segment, or nothing. */
#include "plan.h"

/* ── Predicates ────────────────────────────────────────────────────────────────────────────── */

static bool fin_unsent(const struct utcp_conn *conn)
{
    return conn->fin_queued && !conn->fin_acked && utcp__in_flight(conn) <= utcp__buffered(conn);
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
    if (!(conn->stack->offloads & UTCP_OFFLOAD_SEGMENT) || conn->urgent_out || conn->uncut)
        return conn->mss;
    if (conn->cc.ssthresh < UTCP_CC_CWND_MAX)
        window /= 2;
    else if (conn->stack->flags & UTCP_HALF_WINDOWS)
        window = half_window(conn, window);
    segments = min_u32(utcp__pacing_burst(conn) - 60 - UTCP_OPTIONS_MAX, window) / conn->mss;
    return segments ? segments * conn->mss : conn->mss;
}

/* How much of what is `left` to send at snd_nxt now: as much as the window, the congestion window and the packet
 * allow, in full segments, except for a tail that may_send_small() lets go (RFC 9293 section
 * 3.8.6.2.1). */
static uint32_t sendable(struct utcp_conn *conn, uint64_t left)
{
    uint32_t in_flight = utcp__in_flight(conn), pipe = utcp__pipe(conn), window, congestion, length;
    uint32_t record = UINT32_MAX;
    bool records = conn->more && conn->more->records;

    if (left == 0)
        return 0; /* a FIN alone, or nothing */
    if (left <= conn->mss && in_flight + left <= conn->snd_wnd &&
        pipe + left <= utcp__recovery_window(conn) && !records) /* mostly */
        return left == conn->mss || may_send_small(conn) ? (uint32_t)left : 0;
    window = room(conn->snd_wnd, in_flight);
    congestion = room(utcp__recovery_window(conn), pipe);
    if (window == 0 || congestion == 0)
        return 0;
    length = left <= conn->mss ? conn->mss : packet_max(conn);
    if (records)
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
    return utcp__unsent(conn) > 0 && utcp__in_flight(conn) == 0 && conn->snd_wnd < conn->mss &&
           conn->snd_wnd < utcp__unsent(conn);
}

/* Bytes behind rcv_nxt that the buffer has room for and the window field can tell. */
static uint32_t open_window(const struct utcp_conn *conn)
{
    uint64_t unread = conn->receive.next - conn->receive.read;
    uint32_t free = unread < conn->receive_limit ? (uint32_t)(conn->receive_limit - unread) : 0;

    return min_u32(free, UINT32_C(65535) << conn->receive_scale);
}

/* RFC 9293 section 3.8.6.2.2: the edge never goes back, and forward only in steps worth sending. */
uint32_t utcp__window(const struct utcp_conn *conn, uint32_t next)
{
    uint32_t open = open_window(conn), told = conn->rcv_adv - next;
    uint32_t step = min_u32(conn->receive_limit / 2, conn->receive_mss);

    if (seq_up_to(told + step, open))
        return open;
    return seq_before(told, 0) ? 0 : told;
}

/* While the peer sees at least half of the buffer open, it can wait for the next ACK. */
bool utcp__window_is_wider(const struct utcp_conn *conn)
{
    uint32_t open, told, half = conn->receive_limit / 2, step;

    if (!utcp__synchronized(conn) || conn->peer_fin_taken)
        return false;
    open = open_window(conn);
    told = conn->rcv_adv - utcp__rcv_nxt(conn);
    if (!seq_before(told, open))
        return false;
    step = half;
    if (seq_before(told, 0) || told < half)
        step = min_u32(half, 2 * conn->receive_mss);
    return open - told >= step;
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

        plan->length = utcp__buffered(conn) < room ? (uint32_t)utcp__buffered(conn) : room;
    }
    return true;
}

/* What is sent again from `seq` on, `size` sequence numbers or a segment of them; the last of all may
 * be the FIN's. */
static void plan_again(const struct utcp_conn *conn, uint32_t seq, uint32_t size, struct plan *plan)
{
    uint64_t data = utcp__buffered(conn) - (seq - conn->snd_una);
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
    if (length > utcp__unsent(conn))
        length = (uint32_t)utcp__unsent(conn);
    if (length && conn->snd_nxt == conn->snd_max) {
        *plan = (struct plan){PLAN_DATA, conn->snd_nxt, length, TCP_ACK};
        if (length == utcp__unsent(conn))
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
    size = min_u32(again->end - again->start, conn->mss + (flight > utcp__buffered(conn)));
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
    uint64_t data = utcp__buffered(conn) < flight ? utcp__buffered(conn) : flight;
    uint32_t length = data < conn->mss ? (uint32_t)data : conn->mss;
    bool fin = conn->fin_queued && !conn->fin_acked && flight > utcp__buffered(conn) &&
               length == utcp__buffered(conn);

    if (conn->sack)
        return plan_tail_probe(conn, plan) || plan_lost(conn, plan);
    if (!conn->recovery.retransmit_due || length + fin == 0)
        return false;
    *plan = (struct plan){PLAN_RESEND, conn->snd_una, length, TCP_ACK};
    if (length && length == utcp__buffered(conn))
        plan->flags |= TCP_PSH;
    if (fin)
        plan->flags |= TCP_FIN;
    return true;
}

static bool plan_data(struct utcp_conn *conn, struct plan *plan)
{
    uint64_t unsent = utcp__unsent(conn);
    uint32_t length;
    bool fin = fin_unsent(conn);

    if (unsent == 0 && !fin)
        return false; /* as always at last */
    length = sendable(conn, unsent);
    fin = fin && length == unsent;
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
    if (length && (length == unsent || length > conn->mss))
        plan->flags |= TCP_PSH;
    /* Whatever carries data tells all that an ACK could tell. */
    plan->last = length == unsent && (fin || !conn->fin_queued) && !conn->keepalive_due;
    return true;
}

/* Data wait for the cork to be taken off. */
static bool blocked_by_cork(const struct utcp_conn *conn)
{
    return conn->cork && utcp__unsent(conn) > 0 && utcp__in_flight(conn) == 0 &&
           conn->snd_wnd >= utcp__unsent(conn);
}

/* A cork holds for so long only: tcp(7). */
static bool plan_uncorked(const struct utcp_conn *conn, struct plan *plan)
{
    if (!(conn->probe_due & UTCP_PROBE_WINDOW) || !blocked_by_cork(conn))
        return false;
    *plan = (struct plan){PLAN_DATA, conn->snd_nxt,
                          min_u32((uint32_t)utcp__unsent(conn), conn->mss), TCP_ACK | TCP_PSH};
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
        plan->last = false;
    }
    if (plan->length == left && !(plan->flags & TCP_SYN))
        plan->flags |= TCP_PSH;
}

static void plan_next(struct utcp_conn *conn, struct plan *plan)
{
    bool due;

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
        *plan = (struct plan){conn->accurate ? PLAN_ACK : PLAN_FLIP, utcp__ack_sequence(conn), 0,
                              TCP_ACK};
        return;
    }
    if (conn->duplicate_acks_due || conn->report.duplicate_due) {
        *plan = (struct plan){PLAN_DUPLICATE, utcp__ack_sequence(conn), 0, TCP_ACK};
        return;
    }
    due = out_of_turn(conn);
    if (due && plan_out_of_turn(conn, plan)) {
        if (plan->kind != PLAN_NOTHING)
            return;
    } else if (plan_data(conn, plan)) {
        plan->last &= !due;
        return;
    }
    if (conn->keepalive_due)
        *plan = (struct plan){PLAN_KEEPALIVE, conn->snd_una - 1, 0, TCP_ACK};
    else if (conn->ack_now || utcp__window_to_update(conn))
        *plan = (struct plan){PLAN_ACK, utcp__ack_sequence(conn), 0,
                              TCP_ACK,  .paced = plan->paced,     .last = true};
}

void utcp__plan(struct utcp_conn *conn, struct plan *plan)
{
    plan_next(conn, plan);
    if (plan->length && conn->more && conn->more->records)
        keep_to_record(conn, plan);
}

bool utcp__blocked(const struct utcp_conn *conn)
{
    return utcp__unsent(conn) && utcp__synchronized(conn) &&
           (blocked_by_window(conn) || blocked_by_cork(conn));
}
