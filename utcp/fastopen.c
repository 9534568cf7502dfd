/* SPDX-License-Identifier: BSD-2-Clause */
/* Fast open, RFC 7413: data with the SYN, and an answer to them before the handshake is done.
 *
 *   client                                             server
 *     SYN, asks for a cookie  ────────────────────────▶  utcp__fast_open_judge(): FAST_COOKIE
 *     fastopen_cache.c keeps it  ◀────── SYN-ACK, cookie
 *   the next connection:
 *     SYN, cookie, data  ─────────────────────────────▶  FAST_TAKE: the child is accepted at once
 *     utcp__fast_open_answered()  ◀───── SYN-ACK of data
 *                                 ◀───── data
 *     ACK  ───────────────────────────────────────────▶  ESTABLISHED
 *
 * A cookie is a keyed hash of both addresses: who shows it has received what was sent to its address.
 * It is not bound to a port, a time or a process; whoever has the key can check it. The hash is
 * Linux's, so servers of both kinds behind one address can share a key.
 *
 * The server's child is in SYN-RECEIVED until its SYN-ACK is acknowledged, but takes part in all else
 * as if it were established (utcp__transfers()). For that its SYN counts as acknowledged from the
 * start: snd_una is iss + 1, and so the places of data in the buffer are what they are later. Until the
 * handshake is done nothing but the SYN-ACK is sent again.
 *
 * Children whose handshake is not done are counted, for each listener (struct utcp_fast_queue):
 * beyond the limit SYNs with data are taken without the data. Stolen cookies buy no more than that
 * (RFC 7413 section 5.1); nor does it help to reset each child at once, as a victim in whose name it
 * was asked for would do: its place stays taken for a minute at least. The count may outlive its
 * listener.
 *
 * The client's data stay in the send buffer. What the SYN-ACK does not acknowledge counts as never
 * sent, and so goes out with the ACK of the handshake. Only the first SYN has data or the option: if it
 * was lost, it may be for that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fastopen.h"
#include "options/options.h"
#include "utcp_internal.h"

#define RESET_PERIOD (60 * UTCP_SECOND) /* for which a child that was reset keeps its place */

/* ── Cookies ───────────────────────────────────────────────────────────────────────────────── */

static uint64_t cookie_of(struct siphash_key key, const struct utcp_endpoint *client,
                          const struct utcp_endpoint *server)
{
    size_t size = client->family == 4 ? 4 : 16;
    uint8_t input[2 * 16];

    memcpy(input, client->address, size);
    memcpy(input + size, server->address, size);
    return htole64(siphash(key, input, 2 * size));
}

static const struct utcp_fast_keys *keys_of(const struct utcp *stack,
                                            const struct utcp_fast_queue *queue)
{
    return queue && queue->keys.count ? &queue->keys : &stack->fast_keys;
}

static void set_keys(struct utcp_fast_keys *keys, const uint8_t *key, const uint8_t *previous)
{
    keys->count = previous ? 2 : 1;
    keys->key[0] = siphash_key(key);
    if (previous)
        keys->key[1] = siphash_key(previous);
}

/* Keys that nobody else has, from the stack's secret. */
void utcp__fast_open_init(struct utcp *stack)
{
    stack->fast_keys.count = 1;
    for (uint8_t i = 0; i < 2; i++) {
        const uint8_t purpose[] = {'f', i};

        stack->fast_keys.key[0].word[i] = siphash(stack->key, purpose, sizeof(purpose));
    }
}

/* ── The server ────────────────────────────────────────────────────────────────────────────── */

static struct utcp_fast_queue *queue_of(struct utcp_listener *listener)
{
    if (listener->fast == NULL) {
        listener->fast = calloc(1, sizeof(*listener->fast));
        if (listener->fast)
            listener->fast->users = 1;
    }
    return listener->fast;
}

static void let_go(struct utcp_fast_queue *queue)
{
    if (--queue->users == 0)
        free(queue);
}

int utcp__fast_open_set_listener(struct utcp_listener *listener, enum utcp_option option,
                                 uint64_t value)
{
    struct utcp_fast_queue *queue = queue_of(listener);

    if (queue == NULL)
        return -ENOMEM;
    if (option == UTCP_OPTION_FAST_OPEN)
        queue->limit = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    else
        queue->no_cookie = value != 0;
    return 0;
}

void utcp__fast_open_close(struct utcp_listener *listener)
{
    if (listener->fast)
        let_go(listener->fast);
    listener->fast = NULL;
}

/* Children that were reset, in this period and the one before. */
static uint32_t resets(struct utcp_fast_queue *queue, uint64_t now)
{
    uint64_t period = now / RESET_PERIOD;

    if (period != queue->period) {
        queue->resets[1] = period == queue->period + 1 ? queue->resets[0] : 0;
        queue->resets[0] = 0;
        queue->period = period;
    }
    return queue->resets[0] + queue->resets[1];
}

static bool has_room(struct utcp_fast_queue *queue, uint64_t now)
{
    return (uint64_t)queue->pending + resets(queue, now) < queue->limit;
}

/* Which of the keys made the cookie; -1: none. */
static int key_of(const struct utcp_listener *listener, const struct utcp_segment *segment)
{
    const struct utcp_fast_keys *keys = keys_of(listener->stack, listener->fast);
    uint64_t cookie;

    if (segment->options.cookie_size != sizeof(cookie))
        return -1;
    memcpy(&cookie, segment->options.cookie, sizeof(cookie));
    for (int i = 0; i < keys->count; i++)
        if (cookie_of(keys->key[i], &segment->remote, &segment->local) == cookie)
            return i;
    return -1;
}

enum utcp_fast_verdict utcp__fast_open_judge(const struct utcp_listener *listener,
                                             const struct utcp_segment *segment)
{
    struct utcp_fast_queue *queue = listener->fast;
    struct utcp *stack = listener->stack;

    if (queue == NULL || queue->limit == 0 || listener->mode != UTCP_LISTEN_ANSWER)
        return FAST_PLAIN;
    if (!segment->options.has_fast_open && !(queue->no_cookie && segment->length))
        return FAST_PLAIN;
    if (segment->options.has_fast_open && segment->options.cookie_size == 0 && !queue->no_cookie)
        return FAST_COOKIE;
    if (!has_room(queue, stack->now)) {
        stack->stats.fast_open_overflows++;
        return FAST_PLAIN;
    }
    if (queue->no_cookie)
        return FAST_TAKE;
    switch (key_of(listener, segment)) {
    case 0: return FAST_TAKE;
    case 1: return FAST_TAKE_AND_COOKIE; /* it will be of no use soon */
    default: stack->stats.fast_open_bad_cookies++; return FAST_COOKIE;
    }
}

/* The SYN's data are taken, as far as the window of the SYN-ACK goes. */
static void take_data(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    struct utcp_segment data = *syn;

    conn->rcv_adv += min_u32(conn->receive_limit, UINT16_MAX);
    data.seq++;
    data.flags &= (uint16_t)~TCP_SYN;
    utcp__input_text(conn, &data);
    conn->fast.data_taken = conn->receive.next > 0;
}

void utcp__fast_open_child(struct utcp_conn *conn, const struct utcp_segment *syn,
                           enum utcp_fast_verdict verdict)
{
    struct utcp_listener *listener = conn->listener;

    conn->fast.experimental = syn->options.fast_open_experimental;
    if (verdict == FAST_COOKIE || verdict == FAST_TAKE_AND_COOKIE)
        conn->fast.option = FAST_OPTION_COOKIE;
    if (verdict != FAST_TAKE && verdict != FAST_TAKE_AND_COOKIE)
        return;
    conn->fast_queue = listener->fast;
    listener->fast->users++;
    listener->fast->pending++;
    conn->snd_una = conn->snd_nxt = conn->snd_max = conn->small_end = conn->iss + 1;
    utcp__recovery_start(conn);
    take_data(conn, syn);
    conn->stack->stats.fast_opens_in += conn->fast.data_taken;
    utcp__conn_acceptable(conn);
}

void utcp__fast_open_leave(struct utcp_conn *conn, bool reset)
{
    struct utcp_fast_queue *queue = conn->fast_queue;

    if (queue == NULL)
        return;
    conn->fast_queue = NULL;
    queue->pending--;
    if (reset) {
        resets(queue, conn->stack->now);
        queue->resets[0]++;
    }
    let_go(queue);
}

/* ── The client ────────────────────────────────────────────────────────────────────────────── */

/* Whether the SYN is still to be sent, and what it carries can be changed. */
static bool before_syn(const struct utcp_conn *conn)
{
    return conn->state == UTCP_SYN_SENT && conn->snd_max == conn->iss;
}

int utcp__fast_open_ask(struct utcp_conn *conn, bool no_cookie)
{
    const struct fast_path *path;

    if (!before_syn(conn))
        return -EINVAL;
    if (!utcp__fast_cache_prepare(conn->stack))
        return -ENOMEM;
    conn->fast = (struct utcp_fast){0};
    if (utcp__fast_cache_failing(conn)) {
        conn->fast.failure = UTCP_FAST_OPEN_NO_COOKIE;
        return 0;
    }
    path = utcp__fast_cache_find(conn);
    conn->fast.option = FAST_OPTION_REQUEST;
    if (no_cookie) {
        conn->fast.option = FAST_OPTION_NONE;
        conn->fast.data_allowed = true;
        conn->peer_mss = conn->receive_mss; /* until it is known better */
    } else if (path && path->cookie_size) {
        conn->fast.option = FAST_OPTION_COOKIE;
        conn->fast.experimental = path->experimental;
        conn->fast.data_allowed = true;
    } else {
        conn->fast.experimental = path && path->tried == FAST_TRY_EXPERIMENTAL;
        conn->fast.failure = UTCP_FAST_OPEN_NO_COOKIE;
    }
    conn->fast.wanted = true;
    if (path && path->mss)
        conn->peer_mss = path->mss;
    utcp__conn_update_mss(conn);
    return 0;
}

void utcp__fast_open_forgo(struct utcp_conn *conn)
{
    if (before_syn(conn))
        conn->fast = (struct utcp_fast){0};
}

/* As much as a full segment has beside all the options there may be: some networks add to those of a
 * SYN. */
uint32_t utcp__fast_open_room(const struct utcp_conn *conn)
{
    uint32_t mss;

    if (!conn->fast.data_allowed || !before_syn(conn))
        return 0;
    if (conn->fast.option == FAST_OPTION_COOKIE && !utcp__fast_cache_find(conn))
        return 0; /* others were in need of its place meanwhile */
    mss = min_u32(conn->peer_mss, conn->path_mtu - utcp__packet_headers(conn->local.family));
    if (conn->mss_max)
        mss = min_u32(mss, conn->mss_max);
    return mss - UTCP_OPTIONS_MAX;
}

size_t utcp_syn_room(const struct utcp_conn *conn)
{
    return utcp__fast_open_room(conn);
}

/* Data of the SYN are acknowledged, or will be sent again. */
void utcp__fast_open_settle(struct utcp_conn *conn, uint32_t ack)
{
    uint32_t acked = ack - (conn->iss + 1);

    if (conn->fast.sent == 0)
        return;
    if (acked) {
        conn->fast.data_taken = true;
        conn->stack->stats.fast_opens_out++;
        conn->control.delivered += acked;
        utcp__sendbuf_acknowledge(&conn->send, &conn->stack->pool, acked);
        if (conn->timed)
            utcp__times_acknowledged(conn);
        if (conn->send.una == conn->send.end)
            utcp__event(conn, UTCP_SENT);
        if (conn->write_blocked) {
            conn->write_blocked = false;
            utcp__event(conn, UTCP_WRITABLE);
        }
    }
    if (acked < conn->fast.sent) {
        conn->segments_retransmitted++;
        UTCP_COUNT(conn, bytes_retransmitted, conn->fast.sent - acked);
        conn->stack->stats.segments_retransmitted++;
    }
    conn->snd_una = conn->snd_nxt = conn->snd_max = conn->small_end = ack;
}

void utcp__fast_open_answered(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    const struct utcp_segment_options *options = &segment->options;
    bool acked = segment->ack != conn->iss + 1;
    bool cookie =
        conn->fast.option != FAST_OPTION_NONE && options->has_fast_open && options->cookie_size > 0;

    if (!conn->fast.wanted)
        return;
    utcp__fast_cache_learn(conn, cookie ? options : NULL);
    if (acked || cookie)
        utcp__fast_cache_worked(conn);
    else if (conn->fast.sent || conn->retries)
        utcp__fast_cache_failed(conn, false);
    if (acked)
        conn->fast.failure = UTCP_FAST_OPEN_FINE;
    else if (conn->fast.sent)
        conn->fast.failure =
            conn->retries ? UTCP_FAST_OPEN_SYN_LOST : UTCP_FAST_OPEN_DATA_NOT_ACKED;
}

/* RFC 7413 section 4.1.3.1: no answer at all, a refusal, or an end before anything came. */
void utcp__fast_open_ended(struct utcp_conn *conn, int error)
{
    if (!conn->passive && conn->fast.wanted && error && conn->receive.next == 0 &&
        (conn->state == UTCP_SYN_SENT || conn->fast.sent))
        utcp__fast_cache_failed(conn, false);
}

void utcp__fast_open_timed_out(struct utcp_conn *conn)
{
    if (conn->state == UTCP_ESTABLISHED && conn->fast.sent && conn->receive.next == 0 &&
        conn->retries == UTCP_FAST_TIMEOUTS)
        utcp__fast_cache_failed(conn, true);
}

/* ── Both ──────────────────────────────────────────────────────────────────────────────────── */

bool utcp__fast_open_option(const struct utcp_conn *conn, uint8_t tcp_flags, uint8_t *cookie,
                            uint8_t *size)
{
    *size = 0;
    if (conn->fast.option == FAST_OPTION_NONE)
        return false;
    if (conn->passive) { /* not accepted yet, or a child */
        const struct utcp_fast_queue *queue =
            conn->listener ? conn->listener->fast : conn->fast_queue;
        uint64_t own = cookie_of(keys_of(conn->stack, queue)->key[0], &conn->remote, &conn->local);

        memcpy(cookie, &own, sizeof(own));
        *size = sizeof(own);
        return true;
    }
    if (!before_syn(conn) || tcp_flags & TCP_ACK)
        return false;
    if (conn->fast.option == FAST_OPTION_COOKIE) {
        const struct fast_path *path = utcp__fast_cache_find(conn);

        if (path) {
            memcpy(cookie, path->cookie, path->cookie_size);
            *size = path->cookie_size;
        }
    }
    return true;
}

void utcp_forget_fast_open(struct utcp *stack)
{
    utcp__fast_cache_free(stack);
}

int utcp_set_fast_open_keys(struct utcp *stack, const uint8_t *key, const uint8_t *previous)
{
    if (key == NULL)
        return -EINVAL;
    set_keys(&stack->fast_keys, key, previous);
    return 0;
}

int utcp_listener_set_fast_open_keys(struct utcp_listener *listener, const uint8_t *key,
                                     const uint8_t *previous)
{
    struct utcp_fast_queue *queue = queue_of(listener);

    if (key == NULL)
        return -EINVAL;
    if (queue == NULL)
        return -ENOMEM;
    set_keys(&queue->keys, key, previous);
    return 0;
}
