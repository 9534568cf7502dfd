/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack and a connection tell about themselves. */
#include <stdlib.h>
#include <string.h>

#include "steps.h"

const char *utcp_state_name(enum utcp_state state)
{
    static const char *const names[] = {
        [UTCP_CLOSED] = "CLOSED",           [UTCP_LISTEN] = "LISTEN",
        [UTCP_SYN_SENT] = "SYN-SENT",       [UTCP_SYN_RECEIVED] = "SYN-RECEIVED",
        [UTCP_ESTABLISHED] = "ESTABLISHED", [UTCP_FIN_WAIT_1] = "FIN-WAIT-1",
        [UTCP_FIN_WAIT_2] = "FIN-WAIT-2",   [UTCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [UTCP_CLOSING] = "CLOSING",         [UTCP_LAST_ACK] = "LAST-ACK",
        [UTCP_TIME_WAIT] = "TIME-WAIT",
    };

    if ((unsigned)state >= sizeof(names) / sizeof(names[0]))
        return "?";
    return names[state];
}

/* Copies as much of a struct as the caller knows; its first field keeps the caller's size. */
static void give(void *to, const void *from, size_t known, size_t size)
{
    if (size > known)
        size = known;
    if (size > sizeof(size_t))
        memcpy((uint8_t *)to + sizeof(size_t), (const uint8_t *)from + sizeof(size_t),
               size - sizeof(size_t));
}

void utcp_stats(const struct utcp *stack, struct utcp_stats *stats)
{
    struct utcp_stats now = stack->stats;

    now.connections = stack->connections;
    now.memory_used = stack->pool.used;
    now.memory_max = stack->pool.limit;
    give(stats, &now, sizeof(now), stats->size);
}

/* ── Counting ──────────────────────────────────────────────────────────────────────────────── */

/* Who sends less is not looked at for how fast it could. */
#define ROUNDS_FROM 10240 /* bytes */

struct utcp_more *utcp__more(struct utcp_conn *conn)
{
    struct utcp_more *more = conn->more;

    if (more)
        return more;
    conn->more = calloc(1, sizeof(*more));
    return conn->more;
}

void utcp__count_reordered(struct utcp_conn *conn, uint32_t distance)
{
    struct utcp_more *more = utcp__more(conn);

    if (more == NULL)
        return;
    more->reordered++;
    more->reordering_distance = max_u32(more->reordering_distance, distance);
}

static uint32_t now_ms(const struct utcp_conn *conn)
{
    return (uint32_t)(conn->stack->now / UTCP_MS);
}

void utcp__count_timeout(struct utcp_conn *conn)
{
    struct utcp_more *more = utcp__more(conn);

    if (more == NULL)
        return;
    more->timeouts++;
    if (more->timeout_since)
        return;
    more->timeout_since = now_ms(conn) ? now_ms(conn) : 1;
    more->timeout_recoveries++;
}

void utcp__count_timeouts_over(struct utcp_conn *conn)
{
    struct utcp_more *more = conn->more;

    if (more == NULL || more->timeout_since == 0)
        return;
    more->timeout_ms += now_ms(conn) - more->timeout_since;
    more->timeout_since = 0;
}

void utcp__count_flight(struct utcp_conn *conn)
{
    struct utcp_more *more = conn->more;

    if (more == NULL)
        return;
    more->round_at = conn->stack->now ? conn->stack->now : 1;
    more->round_from = conn->control.delivered;
}

void utcp__count_round(struct utcp_conn *conn, bool window_used)
{
    struct utcp_more *more = conn->more;

    if (more == NULL && conn->control.delivered >= ROUNDS_FROM)
        more = utcp__more(conn);
    if (more == NULL)
        return;
    if (more->mtu.high)
        utcp__mtu_round(conn);
    utcp__count_known_round(conn, more, window_used);
}

/* ── Connections ───────────────────────────────────────────────────────────────────────────── */

/* Sent and not acknowledged; a SYN or FIN beside data does not count. */
static uint32_t outstanding(const struct utcp_conn *conn)
{
    uint32_t bytes = conn->snd_max - conn->snd_una;
    uint64_t data = conn->send.end - conn->send.una;

    return utcp__transfers(conn) && data && bytes > data ? (uint32_t)data : bytes;
}

/* The scoreboard is bounded, and nobody asks for each packet. */
static uint32_t outstanding_again(const struct utcp_conn *conn)
{
    const struct utcp_scoreboard *board = &conn->board;
    uint32_t sum = 0;

    if (!conn->sack) {
        if (seq_before(conn->snd_nxt, conn->snd_max))
            return utcp__in_flight(conn);
        return conn->recovery.active ? min_u32(conn->mss, outstanding(conn)) : 0;
    }
    for (uint32_t i = 0; i < board->count; i++) {
        const struct utcp_sent *sent = (board->many ? board->many : board->few) + board->first + i;

        if (sent->flags == SENT_AGAIN)
            sum += sent->end - sent->start;
    }
    return sum;
}

/* Where snd_max stands in the stream. */
static uint64_t sent_once(const struct utcp_conn *conn)
{
    uint64_t end = conn->send.una + (conn->snd_max - conn->snd_una);

    if (!utcp__transfers(conn))
        return conn->send.una;
    return end < conn->send.end ? end : conn->send.end;
}

static uint64_t timeout_time(const struct utcp_conn *conn)
{
    uint32_t ms = conn->more->timeout_ms;

    if (conn->more->timeout_since)
        ms += now_ms(conn) - conn->more->timeout_since;
    return ms * UTCP_MS;
}

static uint64_t ago(const struct utcp_conn *conn, bool ever, uint64_t when)
{
    return ever ? conn->stack->now - when : UINT64_MAX;
}

/* Of a connection in TIME-WAIT that nobody holds it is not known (timewait.c). */
static bool knows_times(const struct utcp_conn *conn)
{
    return utcp__synchronized(conn) && conn->in_table;
}

static uint64_t data_ago(const struct utcp_conn *conn)
{
    uint32_t ticks = (uint32_t)(conn->stack->now >> 10) - conn->data_at;

    return knows_times(conn) ? (uint64_t)ticks << 10 : UINT64_MAX;
}

static void fill_more(const struct utcp_conn *conn, struct utcp_info *info)
{
    const struct utcp_more *more = conn->more;

    info->bytes_retransmitted = more->bytes_retransmitted;
    info->bytes_delivered_marked = more->delivered_marked;
    info->fast_retransmits = more->fast_retransmits;
    info->spurious_recoveries = more->spurious;
    info->tail_probes = more->probes;
    info->duplicates_reported = more->duplicates_told;
    info->timeouts = more->timeouts;
    info->timeout_recoveries = more->timeout_recoveries;
    info->timeout_time_us = timeout_time(conn);
    info->out_of_order_in = more->out_of_order;
    info->reordered = more->reordered;
    info->reordering_bytes = more->reordering_distance;
    if (more->last_round_us)
        info->delivery_rate = more->last_round_bytes * UTCP_SECOND / more->last_round_us;
    info->delivery_rate_limited = more->last_round_limited;
}

static void fill_sender(const struct utcp_conn *conn, struct utcp_info *info)
{
    info->path_mtu = conn->path_mtu;
    info->outstanding = outstanding(conn);
    info->outstanding_again = outstanding_again(conn);
    info->unsent = conn->send.end - sent_once(conn);
    info->bytes_sent = sent_once(conn) + info->bytes_retransmitted;
    info->segments_out = conn->segments_out[0] + conn->segments_out[1];
    info->segments_retransmitted = conn->segments_retransmitted;
    info->data_segments_out = conn->segments_out[1];
    info->reduced = seq_before(conn->snd_una, conn->ecn.recover);
    info->backoff = conn->rtt.backoff;
    info->retries = conn->retries;
    info->keepalive_probes = conn->probes;
    info->window_limited_us = utcp__busy_time(conn, LIMIT_WINDOW);
    info->buffer_limited_us = utcp__busy_time(conn, LIMIT_BUFFER);
    info->busy_us =
        utcp__busy_time(conn, LIMIT_NETWORK) + info->window_limited_us + info->buffer_limited_us;
    info->data_sent_ago_us = ago(conn, knows_times(conn), conn->sent_at);
}

static void fill_rates(const struct utcp_conn *conn, struct utcp_info *info)
{
    const struct utcp_control *control = &conn->control;

    info->bytes_delivered = control->delivered;
    info->pacing_rate = utcp__pacing_rate(conn);
    if (control->rate)
        info->delivery_rate = utcp__rate_last(control->rate, &info->delivery_rate_limited);
    /* Without data that were acknowledged the handshake's is the only one. */
    info->min_rtt_us = conn->rack.min_rtt ? conn->rack.min_rtt : conn->rtt.srtt;
}

static void fill_receiver(const struct utcp_conn *conn, struct utcp_info *info)
{
    uint32_t next = utcp__rcv_nxt(conn);

    info->receive_window = seq_before(next, conn->rcv_adv) ? conn->rcv_adv - next : 0;
    info->segments_in = conn->segments_in[0] + conn->segments_in[1];
    info->data_segments_in = conn->segments_in[1];
    info->out_of_order_bytes = (uint32_t)conn->receive.pending.size;
    info->receive_segment = conn->segment_seen;
    info->receive_buffer = conn->receive_limit;
    info->receive_buffer_max = conn->receive_max;
    info->receive_round_us = conn->drs.rtt;
    info->readable = conn->receive.next - conn->receive.read;
    info->delayed_ack_us = UTCP_DELAYED_ACK;
    info->data_received_ago_us = data_ago(conn);
    info->heard_ago_us = ago(conn, conn->segments_in[0] + conn->segments_in[1], conn->heard_at);
}

static void fill_accurate(const struct utcp_conn *conn, struct utcp_info *info)
{
    const struct utcp_ecn_bytes *bytes = conn->ecn.bytes;
    const uint64_t initial[] = UTCP_ECN_BYTES_INITIAL;

    info->ecn_accurate = true;
    info->ecn_options = conn->ecn.option_seen && !conn->ecn.option_void;
    info->ecn_marked_told = conn->ecn.told - UTCP_ACE_INITIAL;
    if (bytes == NULL)
        return;
    info->ecn_ect0_in = bytes->in[IP_ECN_0] - initial[IP_ECN_0];
    info->ecn_ect1_in = bytes->in[IP_ECN_1] - initial[IP_ECN_1];
    info->ecn_ce_in = bytes->in[IP_ECN_CE];
    info->ecn_ect0_told = bytes->out[IP_ECN_0] - initial[IP_ECN_0];
    info->ecn_ect1_told = bytes->out[IP_ECN_1] - initial[IP_ECN_1];
    info->ecn_ce_told = bytes->out[IP_ECN_CE];
}

void utcp_info(const struct utcp_conn *conn, struct utcp_info *info)
{
    struct utcp_info now = {
        .state = (enum utcp_state)conn->state,
        .local = conn->local,
        .remote = conn->remote,
        .congestion = conn->cc.ops->name,
        .mss = conn->mss,
        .receive_mss = conn->receive_mss,
        .syn_data = conn->fast.data_taken,
        .syn_data_bytes = conn->fast.data_taken ? conn->fast.sent : 0,
        .fast_open_failure = (enum utcp_fast_open_failure)conn->fast.failure,
        .send_window = conn->snd_wnd,
        .send_scale = conn->send_scale,
        .receive_scale = conn->receive_scale,
        .timestamps = conn->timestamps,
        .window_scale = conn->window_scale,
        .sack = conn->sack,
        .ecn = conn->ecn.on,
        .ecn_marked_in = conn->ecn.marked_in,
        .ecn_reductions = conn->ecn.reductions,
        .cwnd = conn->cc.cwnd,
        .ssthresh = conn->cc.ssthresh,
        .in_flight = utcp__pipe(conn),
        .sacked = conn->board.sacked,
        .lost = conn->board.lost,
        .recovering = conn->recovery.active,
        .after_timeout = conn->recovery.after_timeout,
        .reordering = conn->rack.reordering,
        .srtt_us = conn->rtt.srtt,
        .rttvar_us = conn->rtt.rttvar,
        .rto_us = utcp__rtt_timeout(&conn->rtt),
        .bytes_in = conn->receive.next,
        .bytes_out = conn->send.una,
    };

    if (conn->more)
        fill_more(conn, &now);
    if (conn->accurate)
        fill_accurate(conn, &now);
    fill_sender(conn, &now);
    fill_rates(conn, &now);
    fill_receiver(conn, &now);
    give(info, &now, sizeof(now), info->size);
}

/* The cursor counts with its bits in reverse order: when the table doubles, the connections of a place
 * are at that place and at the one with one more high bit, and both come, or came, together. */
static uint64_t next_place(uint64_t place, uint64_t mask)
{
    uint64_t bit = (mask >> 1) + 1;

    while (place & bit) {
        place &= ~bit;
        bit >>= 1;
    }
    return place | bit;
}

/* utcp_scan()'s visitor, for utcp__waits_visit(). */
struct scan {
    void (*visit)(void *context, const struct utcp_conn *conn);
    void *context;
    const struct utcp *stack;
};

static void scan_waiting(void *context, const struct utcp_time_wait *wait)
{
    const struct scan *scan = context;
    struct utcp_conn conn;

    utcp__time_wait_show(scan->stack, wait, &conn);
    scan->visit(scan->context, &conn);
}

/* In a cursor: the rest is about the table of TIME-WAIT, which comes after the other. Connections go
 * from that to this, and never back. */
#define CURSOR_WAITING (UINT64_C(1) << 63)

static uint64_t scan_waits(const struct scan *scan, uint64_t place)
{
    const struct utcp_time_waits *waits = &scan->stack->waits;
    uint64_t mask = waits->index_size - UINT64_C(1), next;

    if (waits->count == 0)
        return 0;
    utcp__waits_visit(waits, place & mask, scan_waiting, (void *)scan);
    next = next_place(place & mask, mask);
    return next ? next | CURSOR_WAITING : 0;
}

uint64_t utcp_scan(const struct utcp *stack, uint64_t cursor,
                   void (*visit)(void *context, const struct utcp_conn *conn), void *context)
{
    const struct scan scan = {visit, context, stack};
    uint64_t mask = stack->table_size - 1, place = cursor & mask, next;

    if (cursor & CURSOR_WAITING)
        return scan_waits(&scan, cursor & ~CURSOR_WAITING);
    for (const struct utcp_conn *conn = stack->table[place]; conn; conn = conn->chain)
        visit(context, conn);
    next = next_place(place, mask);
    return next || stack->waits.count == 0 ? next : CURSOR_WAITING;
}
