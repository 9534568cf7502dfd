/* SPDX-License-Identifier: BSD-2-Clause */
/* How a connection begins, changes its state and ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "options/options.h"
#include "steps.h"
#include "syncookie.h"

#define BIT(state) (1u << (state))

/* Where each state may lead: RFC 9293 figure 5, with the end by reset or timeout from everywhere.
 */
const uint16_t utcp__successors[] = {
    [UTCP_CLOSED] = BIT(UTCP_SYN_SENT) | BIT(UTCP_SYN_RECEIVED),
    [UTCP_LISTEN] = 0, /* listeners are no connections here */
    [UTCP_SYN_SENT] = BIT(UTCP_ESTABLISHED) | BIT(UTCP_SYN_RECEIVED) | BIT(UTCP_CLOSED),
    [UTCP_SYN_RECEIVED] = BIT(UTCP_ESTABLISHED) | BIT(UTCP_CLOSED),
    [UTCP_ESTABLISHED] = BIT(UTCP_FIN_WAIT_1) | BIT(UTCP_CLOSE_WAIT) | BIT(UTCP_CLOSED),
    [UTCP_FIN_WAIT_1] = BIT(UTCP_FIN_WAIT_2) | BIT(UTCP_CLOSING) | BIT(UTCP_CLOSED),
    [UTCP_FIN_WAIT_2] = BIT(UTCP_TIME_WAIT) | BIT(UTCP_CLOSED),
    [UTCP_CLOSE_WAIT] = BIT(UTCP_LAST_ACK) | BIT(UTCP_CLOSED),
    [UTCP_CLOSING] = BIT(UTCP_TIME_WAIT) | BIT(UTCP_CLOSED),
    [UTCP_LAST_ACK] = BIT(UTCP_CLOSED),
    [UTCP_TIME_WAIT] = BIT(UTCP_CLOSED),
};

uint32_t utcp__mss_for_mtu(const struct utcp_conn *conn, uint32_t mtu)
{
    return mtu - utcp__packet_headers(conn->local.family);
}

/* Makes room for one more connection, that of the oldest one in TIME-WAIT. Rare, and what it calls needs a stack:
 * not inlined. */
static __attribute__((noinline)) bool make_room(struct utcp *stack)
{
    if (stack->waits.count)
        utcp__time_wait_end(stack, utcp__waits_first(&stack->waits));
    else if (!list_empty(&stack->time_wait))
        utcp__conn_end(list_member(stack->time_wait.next, struct utcp_conn, link), 0);
    else
        return false;
    return true;
}

/* Takes an unaccepted connection from its listener. */
static void leave_listener(struct utcp_conn *conn)
{
    if (conn->listener == NULL)
        return;
    list_remove(&conn->link);
    utcp__listener_lost(conn);
}

void utcp__listener_lost(struct utcp_conn *conn)
{
    conn->listener->pending--;
    conn->listener->acceptable -= conn->acceptable;
    conn->acceptable = false;
    conn->listener = NULL;
}

/* RFC 9293 section 3.10.5: whom a RST is owed. */
static bool peer_needs_reset(const struct utcp_conn *conn)
{
    switch (conn->state) {
    case UTCP_SYN_RECEIVED:
    case UTCP_ESTABLISHED:
    case UTCP_FIN_WAIT_1:
    case UTCP_FIN_WAIT_2:
    case UTCP_CLOSE_WAIT: return true;
    default: return false;
    }
}

void utcp__trace_state(struct utcp_conn *conn, enum utcp_state state)
{
    utcp__trace(conn, (struct utcp_trace_event){.kind = UTCP_TRACE_STATE,
                                                .from = (enum utcp_state)conn->state,
                                                .to = state});
}

/* Of `family`. */
static void prepare(struct utcp_conn *conn, struct utcp *stack, uint8_t family)
{
    *conn = (struct utcp_conn){
        .stack = stack,
        .local.family = family,
        .restless = true,
        .uncommon = true,
    };
    for (int timer = 0; timer < TIMERS; timer++)
        conn->deadline[timer] = TIMER_IDLE;
    utcp__sendbuf_init(&conn->send);
    utcp__recvbuf_init(&conn->receive);
    utcp__rtt_init(&conn->rtt);
    conn->cc.ops = stack->congestion;
    conn->pacing = stack->flags & UTCP_PACE;
    conn->window_scale = !(stack->flags & UTCP_NO_WINDOW_SCALE);
    conn->receive_scale = conn->window_scale ? stack->receive_scale : 0;
    conn->timestamps = !(stack->flags & UTCP_NO_TIMESTAMPS);
    conn->sack = !(stack->flags & UTCP_NO_SACK);
    conn->keepalive_interval_ms = UTCP_KEEPALIVE_INTERVAL / UTCP_MS;
    conn->hop_limit = UTCP_HOP_LIMIT;
    conn->probes_max = UTCP_KEEPALIVE_PROBES;
    conn->receive_max = stack->receive_max;
    conn->receive_limit = min_u32(UTCP_WINDOW_INITIAL, stack->receive_max);
    conn->path_mtu = (uint16_t)stack->mtu;
    conn->receive_mss = (uint16_t)utcp__mss_for_mtu(conn, stack->mtu);
    conn->peer_mss = family == 4 ? UTCP_MSS_DEFAULT_IPV4 : UTCP_MSS_DEFAULT_IPV6;
    conn->segment_seen = UTCP_MSS_DEFAULT_IPV4;
    utcp__conn_update_mss(conn);
}

void utcp__conn_prepare(struct utcp *stack)
{
    prepare(&stack->fresh[0], stack, 4);
    prepare(&stack->fresh[1], stack, 6);
}

static inline __attribute__((always_inline)) void init(struct utcp_conn *conn, struct utcp *stack,
                                                       const struct utcp_endpoint *local,
                                                       const struct utcp_endpoint *remote)
{
    uint64_t ends = utcp__cookie_ends(stack, local, remote);

    memcpy(conn, &stack->fresh[local->family != 4], sizeof(*conn));
    conn->local = *local;
    conn->remote = *remote;
    conn->ports = htonl((uint32_t)remote->port << 16 | local->port);
    conn->ts_offset = syncookie_timestamp_offset(ends);
    /* RFC 6528's F, to which utcp__conn_choose_iss() adds the clock: SipHash-2-4 by one key, of which half is
     * told to the peer and nobody else, within SipHash-1-3 by another. Whoever has the cookies' key knows `ends`,
     * and of this no more than anybody. */
    conn->iss = (uint32_t)siphash_table(stack->key, &ends, 1);
    list_init(&conn->output_link);
    list_init(&conn->link);
    list_init(&conn->all_link);
    list_init(&conn->scattered_link);
    utcp__wheel_timer_init(&conn->wheel_timer);
    conn->heard_at = stack->now;
}

void utcp__conn_init(struct utcp_conn *conn, struct utcp *stack, const struct utcp_endpoint *local,
                     const struct utcp_endpoint *remote)
{
    init(conn, stack, local, remote);
}

/* Structures of connections that are gone are kept for those that come: the allocator takes 90 instructions to
 * take one back and give it out again. Not where it looks for those that are used after that. */
#if defined(__SANITIZE_ADDRESS__)
#define SPARES_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SPARES_MAX 0
#endif
#endif
#ifndef SPARES_MAX
#define SPARES_MAX 64
#endif

static struct utcp_conn *take_memory(struct utcp *stack)
{
    struct utcp_conn *conn = stack->spares;

    if (conn == NULL)
        return malloc(sizeof(*conn)); /* calloc() goes past glibc's cache of what was freed last */
    stack->spares = conn->chain;
    stack->spare_count--;
    return conn;
}

static void give_memory(struct utcp *stack, struct utcp_conn *conn)
{
    if ((int)stack->spare_count >= SPARES_MAX) {
        free(conn);
        return;
    }
    conn->chain = stack->spares;
    stack->spares = conn;
    stack->spare_count++;
}

void utcp__spares_free(struct utcp *stack)
{
    while (stack->spares)
        free(take_memory(stack));
}

struct utcp_conn *utcp__conn_new(struct utcp *stack, const struct utcp_endpoint *local,
                                 const struct utcp_endpoint *remote, uint32_t hash)
{
    struct utcp_conn *conn;

    if (utcp__pool_full(&stack->pool) ||
        (stack->connections >= stack->connections_max && !make_room(stack)))
        return NULL;
    conn = take_memory(stack);
    if (conn == NULL)
        return NULL;
    init(conn, stack, local, remote);
    if (stack->paths)
        utcp__path_begin(conn);
    list_append(&stack->all, &conn->all_link);
    utcp__table_add(conn, hash);
    if (stack->tracer.event)
        utcp__trace_begin(conn);
    return conn;
}

/* What only some connections have. */
static void free_more(struct utcp_conn *conn)
{
    utcp__records_dispose(conn);
    utcp__times_dispose(conn);
    free(conn->more);
}

void utcp__conn_free(struct utcp_conn *conn)
{
    /* The analyzer does not follow that utcp__reap() finds none twice: its list is left here.
     * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    struct utcp *stack = conn->stack;

    utcp__fast_open_leave(conn, false);
    list_remove(&conn->all_link);
    list_remove(&conn->link);
    if (!list_empty(&conn->scattered_link))
        list_remove(&conn->scattered_link);
    if (conn->send.first)
        utcp__sendbuf_dispose(&conn->send, &stack->pool);
    utcp__recvbuf_dispose(&conn->receive, &stack->pool);
    if (conn->board.many)
        utcp__sack_dispose(conn);
    if (conn->undo.resent)
        utcp__undo_dispose(conn);
    if (conn->control.rate)
        utcp__rate_free(conn->control.rate);
    if (conn->accurate)
        free(conn->ecn.bytes);
    if (conn->more)
        free_more(conn);
    give_memory(stack, conn);
}

void utcp__reap(struct utcp *stack)
{
    while (!list_empty(&stack->dead))
        utcp__conn_free(list_member(stack->dead.next, struct utcp_conn, link));
}

/* RFC 6528: a clock that ticks every 4 µs, from an origin that is secret for each pair of
 * endpoints. `after` (0: none) is the end of an earlier connection's sequence numbers, above which
 * a new one begins (RFC 9293 section 3.4.1). */
void utcp__conn_choose_iss(struct utcp_conn *conn, uint32_t after)
{
    conn->iss += (uint32_t)(conn->stack->now / 4);
    if (after && seq_up_to(conn->iss, after))
        conn->iss = after + 65537;
    conn->snd_una = conn->snd_nxt = conn->snd_max = conn->iss;
    conn->small_end = conn->iss;
}

/* What fits a packet and suits the peer, less the options of every segment (RFC 6691). */
void utcp__conn_update_mss(struct utcp_conn *conn)
{
    uint32_t mss = min_u32(conn->peer_mss, utcp__mss_for_mtu(conn, conn->path_mtu));

    if (conn->mss_max)
        mss = min_u32(mss, conn->mss_max);
    conn->mss = (uint16_t)(mss - utcp__options_size(conn));
    conn->cc.mss = conn->mss;
    if (utcp__synchronized(conn))
        utcp__control_clamp(&conn->cc);
}

void utcp__conn_acceptable(struct utcp_conn *conn)
{
    utcp__become_acceptable(conn);
}

void utcp__conn_established(struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint32_t window)
{
    utcp__become_established(conn, seq, ack, window);
}

void utcp__conn_finish(struct utcp_conn *conn)
{
    conn->fin_queued = true;
    if (conn->state == UTCP_ESTABLISHED)
        utcp__conn_set_state(conn, UTCP_FIN_WAIT_1);
    else if (conn->state == UTCP_CLOSE_WAIT)
        utcp__conn_set_state(conn, UTCP_LAST_ACK);
    utcp__wait_for_peer(conn);
    utcp__want_output(conn);
}

void utcp__conn_time_wait(struct utcp_conn *conn)
{
    utcp__time_wait_begin(conn, utcp__orphan(conn));
}

void utcp__conn_replaced(struct utcp_conn *conn)
{
    utcp__table_leave(conn);
    utcp__wheel_stop(&conn->stack->wheel, &conn->wheel_timer);
    list_remove(&conn->output_link);
    utcp__conn_free(conn);
}

/* It could have been accepted, and what the peer sent before is worth reading: it waits for that. */
static bool stays_acceptable(const struct utcp_conn *conn, int error)
{
    return error && conn->listener && utcp__transfers(conn) &&
           conn->receive.next > conn->receive.read;
}

void utcp__conn_end(struct utcp_conn *conn, int error)
{
    struct utcp *stack = conn->stack;
    bool stays = stays_acceptable(conn, error);

    if (conn->state == UTCP_CLOSED && !conn->in_table)
        return;
    utcp__fast_open_ended(conn, error);
    if (error && !conn->passive && conn->state <= UTCP_SYN_RECEIVED)
        stack->stats.connections_failed++;
    utcp__table_remove(conn);
    utcp__wheel_stop(&stack->wheel, &conn->wheel_timer);
    for (int timer = 0; timer < TIMERS; timer++)
        conn->deadline[timer] = TIMER_IDLE;
    list_remove(&conn->output_link);
    list_remove(&conn->scattered_link);
    utcp__fast_open_leave(conn, error == -ECONNRESET);
    if (!stays)
        leave_listener(conn);
    if (!conn->owned && !stays) /* else its events are still to be told of, or it of itself */
        list_remove(&conn->link);
    if (conn->state != UTCP_CLOSED)
        utcp__conn_set_state(conn, UTCP_CLOSED);
    utcp__sendbuf_dispose(&conn->send, &stack->pool);
    utcp__sack_dispose(conn);
    utcp__undo_dispose(conn);
    if (!conn->owned && !stays)
        utcp__recvbuf_dispose(&conn->receive, &stack->pool);
    conn->error = (int16_t)error;
    if (!conn->owned && !stays) {
        list_append(&stack->dead, &conn->link);
    } else if (error) {
        conn->events = 0; /* what it told of is void */
        utcp__event(conn, UTCP_ERROR);
    }
}

void utcp__conn_reset(struct utcp_conn *conn, int error)
{
    struct utcp_reply *reply = peer_needs_reset(conn) ? utcp__reply_place(conn->stack) : NULL;

    if (reply) {
        *reply = (struct utcp_reply){.local = conn->local,
                                     .remote = conn->remote,
                                     .seq = utcp__ack_sequence(conn),
                                     .ack = utcp__rcv_nxt(conn),
                                     .flags = TCP_RST | TCP_ACK};
        /* RFC 7323 section 3.2: the timestamps SHOULD be in a RST as well */
        reply->options_length = (uint8_t)(utcp__option_timestamps.write(
                                              conn, TCP_ACK, UTCP_OPTIONS_MAX, reply->options) -
                                          reply->options);
    }
    utcp__conn_end(conn, error);
}
