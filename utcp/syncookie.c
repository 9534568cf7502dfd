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
 * The cookie, of 32 bits:
 *
 *     place(endpoints) + the SYN's sequence number
 *         + minute << 24                                              when: modulo 256
 *         + (seal(endpoints, SYN's sequence number, minute, options) + MSS) modulo 2^24
 *
 * place() and seal() are keyed hashes. Without them nobody can tell which eighth bit is what; of the 2^32
 * numbers 16 are good at a time: 8 sizes of segments, 2 minutes. What seals is new each minute, so a
 * cookie is good for one to two minutes. As the minutes are in its highest bits, and the client's numbers
 * in all, sequence numbers of connections that follow one another tend upwards as others do.
 *
 * The options are sealed, too: who answers without the timestamp that was sent, or with another, has no
 * cookie. The timestamp that carries them is at most 63 ms older than the clock's, never newer: those
 * that follow it do not go backwards (PAWS, RFC 7323 section 5).
 *
 * An ACK that comes when no cookie is about is answered without a hash: listener->cookies_until. The
 * limits of cookies are theirs everywhere: the first segment of the client that arrives must be the one
 * behind the SYN; whoever sees a handshake can repeat its ACK, within the two minutes and after the
 * connection has gone; and a SYN-ACK is not sent again but for another SYN. */
#include <string.h>

#include "options/options.h"
#include "utcp_internal.h"

#define MINUTE       (60 * UTCP_SECOND)
#define MINUTES_GOOD 2 /* this one, and the one before */

#define SEAL_BITS 24
#define SEAL_MASK ((UINT32_C(1) << SEAL_BITS) - 1)

/* In the timestamp. */
#define SCALE_MASK   0xfU
#define SCALE_NONE   0xfU
#define OPTION_SACK  0x10U
#define OPTION_ECN   0x20U
#define OPTIONS_MASK 0x3fU
#define TIMESTAMPS   0x40U /* in no timestamp, but sealed: there is one */

/* Of segments, options not counted: what Ethernet, tunnels over it, PPPoE and jumbo frames carry. The
 * greatest that the peer's is not below. */
static const uint16_t sizes[] = {UTCP_MSS_MIN, 536, 1220, 1360, 1440, 1452, 1460, 8940};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint64_t minute_of(const struct utcp *stack)
{
    return stack->now / MINUTE;
}

static uint32_t size_index(uint16_t mss)
{
    uint32_t index = SIZES - 1;

    while (index && sizes[index] > mss)
        index--;
    return index;
}

static uint32_t place(const struct utcp *stack, const struct utcp_segment *segment)
{
    return (uint32_t)utcp__endpoints_hash(stack, &segment->local, &segment->remote, 'p');
}

static uint32_t seal(const struct utcp *stack, const struct utcp_segment *segment, uint32_t irs,
                     uint64_t minute, uint8_t options)
{
    const uint64_t input[] = {
        utcp__endpoints_hash(stack, &segment->local, &segment->remote, 'k'),
        minute,
        (uint64_t)irs << 8 | options,
    };

    return (uint32_t)siphash(stack->key, input, sizeof(input)) & SEAL_MASK;
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
        conn->window_scale = conn->sack = conn->ecn.on = false;
        return 0;
    }
    return (uint8_t)(TIMESTAMPS | (conn->window_scale ? conn->send_scale : SCALE_NONE) |
                     (conn->sack ? OPTION_SACK : 0) | (conn->ecn.on ? OPTION_ECN : 0));
}

/* Sets the clock of timestamps back to the last time with these low bits. */
static void put_options(struct utcp_conn *conn, uint8_t options)
{
    conn->ts_offset -= (utcp__timestamp_now(conn) - options) & OPTIONS_MASK;
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
    conn.iss = place(stack, segment) + segment->seq + (uint32_t)(minute << SEAL_BITS) +
               ((seal(stack, segment, segment->seq, minute, options) + size_index(conn.peer_mss)) &
                SEAL_MASK);
    *reply = (struct utcp_reply){
        .local = segment->local,
        .remote = segment->remote,
        .seq = conn.iss,
        .ack = segment->seq + 1,
        .window = (uint16_t)min_u32(conn.receive_limit, UINT16_MAX),
        .dscp = conn.dscp,
        .hop_limit = conn.hop_limit,
        .flags = TCP_SYN | TCP_ACK | utcp__ecn_flags(&conn, TCP_SYN | TCP_ACK, false),
    };
    reply->options_length = utcp__options_write(&conn, TCP_SYN | TCP_ACK, 0, reply->options);
    listener->cookies_until = (minute + MINUTES_GOOD) * MINUTE;
}

/* ── The ACK ───────────────────────────────────────────────────────────────────────────────── */

/* The SYN that was answered, or as much of it as matters. False: none was. */
static bool recall(const struct utcp *stack, const struct utcp_segment *segment,
                   struct utcp_segment *syn)
{
    const struct utcp_segment_options *told = &segment->options;
    uint32_t irs = segment->seq - 1;
    uint32_t rest = segment->ack - 1 - place(stack, segment) - irs;
    uint64_t minute = minute_of(stack);
    uint32_t age = ((uint32_t)minute - (rest >> SEAL_BITS)) & 0xff, size;
    uint8_t options =
        told->has_timestamps ? (uint8_t)(TIMESTAMPS | (told->ts_echo & OPTIONS_MASK)) : 0;

    if (age >= MINUTES_GOOD || age > minute)
        return false;
    size = (rest - seal(stack, segment, irs, minute - age, options)) & SEAL_MASK;
    if (size >= SIZES)
        return false;
    *syn = (struct utcp_segment){
        .local = segment->local,
        .remote = segment->remote,
        .seq = irs,
        .window = segment->window,
        .flags = TCP_SYN | (options & OPTION_ECN ? TCP_ECE | TCP_CWR : 0),
        .options = {.has_mss = true,
                    .mss = sizes[size],
                    .has_timestamps = told->has_timestamps,
                    .ts_value = told->ts_value,
                    .has_window_scale = options && (options & SCALE_MASK) != SCALE_NONE,
                    .window_scale = options & SCALE_MASK,
                    .sack_permitted = options & OPTION_SACK},
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
    conn = utcp__conn_new(stack, &segment->local, &segment->remote);
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
