/* SPDX-License-Identifier: BSD-2-Clause */
/* SYN cookies, RFC 4987 section 3.6 and appendix A: a handshake for which the server keeps nothing until
 * the client has answered.
 *
 *     SYN      ─────────────▶  utcp__cookie_send(): the backlog is full
 *                              the initial sequence number is the cookie; the low bits of the timestamp
 *     SYN-ACK  ◀─────────────  are the options
 *     ACK      ─────────────▶  utcp__cookie_take(): its acknowledgment, less one, is a cookie; its
 *                              sequence number, less one, the SYN's; its echoed timestamp the options.
 *                              The connection is made, and takes this ACK as if it had been there
 *
 * What the cookie is made of: common/syncookie.h. It can be made in the stack's place, at the NIC
 * (bpf/guard_cookie.h), by utcp_listener_cookie_terms(): the SYN does not come here then, and all that
 * follows is as if it had. Nobody there knows which connections there are, so a SYN between endpoints
 * that have one is answered as well; utcp__cookie_displaces() tells what becomes of that.
 *
 * An ACK that comes when no cookie is about is answered without a hash: listener->cookies_until. The
 * limits of cookies are theirs everywhere: the first segment of the client that arrives must be the one
 * behind the SYN; whoever sees a handshake can repeat its ACK, within the two minutes and after the
 * connection has gone; and a SYN-ACK is not sent again but for another SYN. */
#include <errno.h>
#include <string.h>

#include "options/options.h"
#include "syncookie.h"
#include "utcp_internal.h"

static const uint16_t sizes[] = {
#define SIZE(size) size,
    SYNCOOKIE_SIZES(SIZE)
#undef SIZE
};

static_assert(sizeof(sizes) / sizeof(sizes[0]) == SYNCOOKIE_SIZE_COUNT && UTCP_MSS_MIN == 88,
              "the least size is the least that a peer may have");

static uint64_t minute_of(const struct utcp *stack)
{
    return stack->now / SYNCOOKIE_MINUTE_US;
}

uint64_t utcp__cookie_ends(struct utcp *stack, const struct utcp_endpoint *local,
                           const struct utcp_endpoint *remote)
{
    if (local->family == 4) {
        uint32_t words[2];
        uint64_t word;

        memcpy(&words[0], local->address, sizeof(words[0]));
        memcpy(&words[1], remote->address, sizeof(words[1]));
        word = syncookie_local_v4(words[0], local->port);
        if (stack->cookie_local.word != word) {
            stack->cookie_local.word = word;
            stack->cookie_local.state = siphash_first(stack->cookie_key, word);
        }
        return siphash_second(stack->cookie_local.state,
                              syncookie_remote_v4(words[1], remote->port));
    }
    uint64_t words[2][2];

    memcpy(words[0], local->address, sizeof(words[0]));
    memcpy(words[1], remote->address, sizeof(words[1]));
    return syncookie_ends_v6(stack->cookie_key, words[0], words[1], local->port, remote->port);
}

static uint64_t ends_of(struct utcp *stack, const struct utcp_segment *segment)
{
    return utcp__cookie_ends(stack, &segment->local, &segment->remote);
}

/* ── The key ───────────────────────────────────────────────────────────────────────────────── */

void utcp__cookie_init(struct utcp *stack)
{
    for (int i = 0; i < 2; i++) {
        uint8_t input[] = "SYN cookies 0";

        input[sizeof(input) - 2] = (uint8_t)('0' + i);
        stack->cookie_key.word[i] = siphash(stack->key, input, sizeof(input));
    }
    stack->cookie_local.word = 0;
}

void utcp_set_cookie_key(struct utcp *stack, const uint8_t key[UTCP_COOKIE_KEY_SIZE])
{
    stack->cookie_key = siphash_key(key);
    stack->cookie_local.word = 0;
}

/* ── The SYN ───────────────────────────────────────────────────────────────────────────────── */

bool utcp__cookies_wanted(const struct utcp_listener *listener, bool full)
{
    uint32_t flags = listener->stack->flags;

    switch ((enum utcp_syn_cookies)listener->cookies) {
    case UTCP_SYN_COOKIES_ALWAYS: return true;
    case UTCP_SYN_COOKIES_NEVER: return false;
    case UTCP_SYN_COOKIES_AS_STACK:
        if (flags & (UTCP_NO_SYN_COOKIES | UTCP_ALWAYS_SYN_COOKIES))
            return !(flags & UTCP_NO_SYN_COOKIES);
        break;
    case UTCP_SYN_COOKIES_WHEN_FULL: break;
    }
    return full;
}

/* What was agreed on, as far as it can be kept; the rest is not agreed on. */
static uint8_t keep_options(struct utcp_conn *conn)
{
    if (!conn->timestamps) {
        conn->window_scale = conn->sack = false;
        conn->ecn.on = conn->accurate; /* of that the client's ACK will tell */
        return 0;
    }
    return (uint8_t)(SYNCOOKIE_TIMESTAMPS |
                     (conn->window_scale ? conn->send_scale : SYNCOOKIE_SCALE_NONE) |
                     (conn->sack ? SYNCOOKIE_SACK : 0) | (conn->ecn.on ? SYNCOOKIE_ECN : 0));
}

/* Sets the clock of timestamps back to the last time with these low bits. */
static void put_options(struct utcp_conn *conn, uint8_t options)
{
    uint32_t now = utcp__timestamp_now(conn);

    conn->ts_offset += syncookie_timestamp(now, options) - now;
}

/* From now on, for as long as one that was sent just now is good. */
static void cookies_about(struct utcp_listener *listener)
{
    uint64_t until = (minute_of(listener->stack) + SYNCOOKIE_MINUTES) * SYNCOOKIE_MINUTE_US;

    if (listener->cookies_until < until)
        listener->cookies_until = until;
}

void utcp__cookie_send(struct utcp_listener *listener, const struct utcp_segment *segment)
{
    struct utcp *stack = listener->stack;
    struct utcp_reply *reply = utcp__reply_place(stack);
    struct utcp_conn conn; /* that lives as long as this function: it knows what to say */
    uint64_t minute = minute_of(stack);
    uint8_t options;

    if (reply == NULL) {
        UTCP_DROP(stack, NULL, dropped_backlog);
        return;
    }
    utcp__conn_init(&conn, stack, &segment->local, &segment->remote);
    utcp__listener_configure(listener, &conn);
    utcp__take_syn(&conn, segment);
    options = keep_options(&conn);
    put_options(&conn, options);
    conn.iss = syncookie_make(stack->cookie_key, ends_of(stack, segment), segment->seq, minute,
                              options, conn.peer_mss);
    *reply = (struct utcp_reply){
        .local = segment->local,
        .remote = segment->remote,
        .seq = conn.iss,
        .ack = segment->seq + 1,
        .window = (uint16_t)min_u32(conn.receive_limit, UINT16_MAX),
        .dscp = conn.dscp,
        .hop_limit = conn.hop_limit,
        .flags = (uint16_t)(TCP_SYN | TCP_ACK | utcp__ecn_flags(&conn, TCP_SYN | TCP_ACK, false)),
    };
    reply->options_length = utcp__options_write(&conn, TCP_SYN | TCP_ACK, 0, reply->options);
    cookies_about(listener);
}

/* ── The ACK ───────────────────────────────────────────────────────────────────────────────── */

/* What the SYN asked for: RFC 9768 section 5.1. The ACE field of that ACK is never 0 or 1; without the flag that
 * is kept for RFC 3168's, for lack of a timestamp, the field alone tells. */
static uint16_t ecn_of(const struct utcp_segment *segment, uint8_t options)
{
    bool accurate = utcp__ace(segment->flags) > 1;

    if (options ? !(options & SYNCOOKIE_ECN) : !accurate)
        return 0;
    return TCP_ECE | TCP_CWR | (accurate ? TCP_AE : 0);
}

/* The SYN that was answered, or as much of it as matters. False: none was. */
static bool recall(struct utcp *stack, const struct utcp_segment *segment, struct utcp_segment *syn)
{
    const struct utcp_segment_options *told = &segment->options;
    uint32_t irs = segment->seq - 1;
    uint64_t ends = ends_of(stack, segment);
    uint32_t rest = segment->ack - 1 - syncookie_place(ends) - irs;
    uint64_t minute = minute_of(stack);
    uint32_t age = ((uint32_t)minute - (rest >> SYNCOOKIE_SEAL_BITS)) & 0xff, size;
    uint8_t options =
        told->has_timestamps
            ? (uint8_t)(SYNCOOKIE_TIMESTAMPS | (told->ts_echo & SYNCOOKIE_OPTIONS_MASK))
            : 0;

    if (age >= SYNCOOKIE_MINUTES || age > minute)
        return false;
    size = (rest - syncookie_seal(stack->cookie_key, ends, irs, minute - age, options)) &
           SYNCOOKIE_SEAL_MASK;
    if (size >= SYNCOOKIE_SIZE_COUNT)
        return false;
    *syn = (struct utcp_segment){
        .local = segment->local,
        .remote = segment->remote,
        .seq = irs,
        .window = segment->window,
        .flags = TCP_SYN | ecn_of(segment, options),
        .options = {.has_mss = true,
                    .mss = sizes[size],
                    .has_timestamps = told->has_timestamps,
                    .ts_value = told->ts_value,
                    .has_window_scale =
                        options && (options & SYNCOOKIE_SCALE_MASK) != SYNCOOKIE_SCALE_NONE,
                    .window_scale = options & SYNCOOKIE_SCALE_MASK,
                    .sack_permitted = options & SYNCOOKIE_SACK},
    };
    return true;
}

/* As if the SYN had come, and the SYN-ACK gone, just now. */
static void open_half(struct utcp_listener *listener, struct utcp_conn *conn,
                      const struct utcp_segment *syn, uint32_t iss)
{
    utcp__listener_adopt(listener, conn);
    /* They were agreed on, whatever the stack's flags say since. */
    conn->timestamps = conn->window_scale = conn->sack = true;
    conn->receive_scale = conn->stack->receive_scale;
    conn->iss = conn->snd_una = conn->small_end = iss;
    conn->snd_nxt = conn->snd_max = iss + 1;
    utcp__take_syn(conn, syn);
    conn->rcv_adv += min_u32(conn->receive_limit, UINT16_MAX);
    conn->segments_in[0]++;
    conn->segments_out[0]++;
    utcp__conn_set_state(conn, UTCP_SYN_RECEIVED);
}

bool utcp__cookie_take(struct utcp_listener *listener, const struct utcp_segment *segment)
{
    struct utcp *stack = listener->stack;
    struct utcp_segment syn, last = *segment;
    struct utcp_conn *conn;

    if (stack->now >= listener->cookies_until || segment->flags & TCP_SYN)
        return false;
    if (!recall(stack, segment, &syn)) {
        stack->stats.syn_cookies_failed++;
        return false;
    }
    /* The client believes itself connected: what it sends comes again, and so does its chance. */
    if (listener->acceptable >= listener->backlog ||
        listener->pending >= UINT64_C(2) * listener->backlog) {
        UTCP_DROP(stack, NULL, dropped_backlog);
        return true;
    }
    conn = utcp__conn_new(stack, &segment->local, &segment->remote, segment->hash);
    if (conn == NULL) {
        UTCP_DROP(stack, NULL, dropped_memory);
        return true;
    }
    open_half(listener, conn, &syn, segment->ack - 1);
    conn->segments_in[segment->length > 0]++;
    stack->stats.syn_cookies_accepted++;
    utcp__input_synchronized(conn, &last);
    assert(conn->state != UTCP_SYN_RECEIVED); /* all that its ACK has to be was asked for above */
    return true;
}

/* ── Cookies from elsewhere ────────────────────────────────────────────────────────────────── */

int utcp_listener_cookie_terms(const struct utcp_listener *listener,
                               struct utcp_cookie_terms *given)
{
    struct utcp *stack = listener->stack;
    struct utcp_cookie_terms terms = {.size = given->size};
    struct utcp_conn conn; /* as in utcp__cookie_send(): it knows what to say */

    if (listener->mode != UTCP_LISTEN_ANSWER || !utcp__cookies_wanted(listener, true))
        return -EOPNOTSUPP;
    utcp__conn_init(&conn, stack, &listener->local, &listener->local);
    utcp__listener_configure(listener, &conn);
    for (size_t i = 0; i < sizeof(terms.key); i++)
        terms.key[i] = (uint8_t)(stack->cookie_key.word[i / 8] >> (8 * (i % 8)));
    terms.mss = conn.receive_mss;
    terms.window = (uint16_t)min_u32(conn.receive_limit, UINT16_MAX);
    terms.window_scale = conn.receive_scale;
    terms.hop_limit = conn.hop_limit;
    terms.dscp = conn.dscp;
    terms.options = (uint8_t)((conn.timestamps ? UTCP_COOKIE_TIMESTAMPS : 0) |
                              (conn.window_scale ? UTCP_COOKIE_WINDOW_SCALE : 0) |
                              (conn.sack ? UTCP_COOKIE_SACK : 0) |
                              (stack->flags & UTCP_NO_ECN ? 0 : UTCP_COOKIE_ECN));
    memcpy(given, &terms, given->size < sizeof(terms) ? given->size : sizeof(terms));
    return 0;
}

void utcp_listener_cookies_elsewhere(struct utcp_listener *listener, uint64_t now, bool begun)
{
    struct utcp *stack = listener->stack;

    utcp__set_now(stack, now);
    stack->cookies_elsewhere += (uint32_t)begun - (uint32_t)listener->elsewhere;
    listener->elsewhere = begun;
    listener->cookies_until = 0;
    cookies_about(listener);
    if (begun)
        listener->cookies_until = UINT64_MAX;
}

uint64_t utcp_listener_overflows(const struct utcp_listener *listener)
{
    return listener->overflows;
}

/* Whether the SYN that was answered came after all that `conn` knows of its peer. Our own sequence
 * numbers must go on, too, for which timestamps stand in (RFC 9293 section 3.6.1, RFC 6191). */
static bool is_newer(const struct utcp_conn *conn, const struct utcp_segment *ack,
                     const struct utcp_segment *syn)
{
    if (conn->state == UTCP_SYN_RECEIVED && conn->irs == syn->seq)
        return true; /* the same, of which this stack and somebody else had word */
    if (conn->timestamps && ack->options.has_timestamps && ack->options.ts_value != conn->ts_recent)
        return (int32_t)(ack->options.ts_value - conn->ts_recent) > 0;
    return seq_before(utcp__rcv_nxt(conn), syn->seq) && seq_before(conn->snd_max, ack->ack - 1);
}

enum utcp_cookie_verdict utcp__cookie_displaces(const struct utcp_conn *conn,
                                                const struct utcp_segment *segment)
{
    struct utcp *stack = conn->stack;
    struct utcp_listener *listener;
    struct utcp_segment syn;

    if ((segment->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK ||
        conn->state == UTCP_SYN_SENT ||
        (segment->seq - 1 == conn->irs && segment->ack - 1 == conn->iss) ||
        (segment->seq - utcp__rcv_nxt(conn) < conn->rcv_adv - utcp__rcv_nxt(conn) + 1 &&
         segment->ack - conn->snd_una <= conn->snd_max - conn->snd_una))
        return UTCP_COOKIE_NONE;
    listener = utcp__find_listener(stack, &segment->local);
    if (listener == NULL || stack->now >= listener->cookies_until || !recall(stack, segment, &syn))
        return UTCP_COOKIE_NONE;
    if (!is_newer(conn, segment, &syn)) {
        utcp__reply_reset(stack, segment);
        return UTCP_COOKIE_REFUSED;
    }
    return UTCP_COOKIE_DISPLACES;
}
