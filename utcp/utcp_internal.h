/* SPDX-License-Identifier: BSD-2-Clause */
/* libutcp inside: theory of operation, and the structures.
 *
 * ── What happens when ──────────────────────────────────────────────────────────────────────────
 *
 * A stack (struct utcp) is entered with the time, which it keeps as `now` until the next entry. All
 * work is done in three kinds of call, none of which loops for longer than its input is:
 *
 *   utcp_input()    one packet: packet.c checks it, stack.c finds the connection, input.c (or
 *                   input_syn.c) takes it through the steps of RFC 9293 section 3.10.7 in their
 *                   order. Nothing is sent: the connection is only put on the stack's output list.
 *   utcp_advance()  timers that are due (timers.c), found by the wheel (wheel.c). Nothing is sent
 *                   here either.
 *   utcp_output()   the output list: segment by segment plan.c decides what each connection sends
 *                   (predicates), output.c builds it in place in the sink, and accounts for it.
 *
 * The application's calls (api.c) change a connection and put it on the output list. What the
 * application should know comes as bits in `events` and a place on the stack's event list.
 *
 * ── Files ──────────────────────────────────────────────────────────────────────────────────────
 *
 *   stack.c      stack, connection table, listeners, events, segments without a connection
 *   timewait.c   connections in TIME-WAIT that nobody holds, in timewait_table.c, a table of their own
 *   packet.c     headers: parse to a checked view; build.h: build options/   one file an option
 *   input.c      segments, in the RFC's order; prediction*.c most  congestion/ one file a control
 *   input_syn.c  segments in LISTEN and SYN-SENT                  icmp.c     errors about segments
 *   syncookie.c  handshakes that take no memory, when the backlog is full
 *   pacing.c     when segments may leave; rate.c how fast they are delivered; busy.c what holds them
 *   recovery.c   what an acknowledgment or its lack says about loss; rtt.c measures
 *   sack.c       scoreboard of what was sent; rack.c finds losses by time, and probes; prr.c paces
 *   undo.c       what was sent again in vain                  times.c    when bytes left and arrived
 *   urgent.c     how far what was sent is urgent              challenge.c  answers to what may be forged
 *   control.c    between a connection and its congestion control; ecn.c marks and their echo, accecn.c their count
 *   fastopen.c   data with the SYN; fastopen_cache.c: what a client remembers for it
 *   plan.c       what is to be sent, and when not                 timers.c   the timers
 *   output.c     sends it; replies.c: what no connection sends    conn.h     the connection
 *   state.c      how connections begin and end; utcp__conn_set_state() below moves their states
 *   api.c        read, write, close …                             info.c     what is known
 *   memory.c     how large buffers may be                     records.c  ends that no segment crosses
 *   stall.c      windows that stay closed                     mtu.c, path.c   which packets pass
 *   sendbuf.c, recvbuf.c, ranges.c, pool.c, wheel.c   values with their own unit tests
 *   probes.h     tracepoints, and trace.c traces of single connections (doc/tracing.md)
 *
 * ── Who owns a connection ──────────────────────────────────────────────────────────────────────
 *
 * From utcp_connect() or utcp_accept() on the application, until utcp_close() or utcp_abort();
 * before utcp_accept() its listener; after utcp_close() nobody (an orphan), and timers see to it
 * that it ends. A connection that reaches CLOSED leaves the table, the lists and its timers at once
 * and gives up its buffers. The struct itself goes when the owner lets go; without an owner it is
 * put on the list of the dead, which is emptied (utcp__reap()) when the call into the library that
 * ended it returns. So pointers are good in the application's hand and all through a call inside.
 * Of an orphan in TIME-WAIT that has said its last an entry of a table remains (timewait.c).
 *
 * ── Sequence numbers ───────────────────────────────────────────────────────────────────────────
 *
 *   snd_una ≤ snd_nxt ≤ snd_max. snd_nxt is what is sent next: without SACK, a retransmission timeout
 *   and a path MTU that shrank set it back to snd_una; with SACK the scoreboard says what is to be
 *   sent again (plan_lost() in plan.c). snd_max is the end of all that was ever sent.
 *   Buffers count in 64-bit offsets of the stream, 0 being the byte after the SYN; so the first
 *   byte of the send buffer is snd_una (when the SYN is acknowledged), and rcv_nxt is irs + 1 + the
 *   receive buffer's `next`, plus one when the FIN was taken.
 *
 * ── Memory ─────────────────────────────────────────────────────────────────────────────────────
 *
 * Limits: connections_max (beyond it the oldest TIME-WAIT makes room, else a SYN is dropped and
 * utcp_connect() fails), memory_max over all buffers (pool.h tells what is given up first when it
 * becomes scarce), the window and the send buffer's limit for each connection, 256 holes or more in a
 * receive buffer, 64 references in a send buffer, the backlog of a listener, 256 replies without a
 * connection for each output. Whatever is refused is counted. Buffers begin small and grow with what
 * a round trip of the connection carries (memory.c); an idle connection has none. */
#ifndef UTCP_INTERNAL_H
#define UTCP_INTERNAL_H

#include <assert.h>
#include <limits.h>

#include "congestion/congestion.h"
#include "fastopen_state.h"
#include "keyed_hash.h"
#include "list.h"
#include "packet.h"
#include "pool.h"
#include "probes.h"
#include "recvbuf.h"
#include "sack.h"
#include "sendbuf.h"
#include "siphash.h"
#include "timewait_table.h"
#include "utcp.h"
#include "wheel.h"

/* ── Constants ─────────────────────────────────────────────────────────────────────────────── */

#define UTCP_MS     UINT64_C(1000) /* µs */
#define UTCP_SECOND (1000 * UTCP_MS)

#define UTCP_HOP_LIMIT        64 /* also known as TTL */
#define UTCP_DSCP_MAX         63
#define UTCP_MTU_DEFAULT      1500
#define UTCP_MTU_MIN_IPV4     576  /* RFC 1191 allows 68; below this only forgers go */
#define UTCP_MTU_MIN_IPV6     1280 /* RFC 8200 section 5 */
#define UTCP_MSS_DEFAULT_IPV4 536  /* RFC 9293 section 3.7.1, MUST-15 */
#define UTCP_MSS_DEFAULT_IPV6 1220
/* Tiny segments are a way to make us work (CVE-2019-11479). Links that carry IP at all carry more. */
#define UTCP_MSS_MIN           88
#define UTCP_WINDOW_INITIAL    65536 /* bytes of receive buffer that a connection begins with */
#define UTCP_SEND_INITIAL      (256 * 1024) /* bytes of send buffer that a connection begins with */
#define UTCP_NOT_SENT_LOW      (256 * 1024) /* bytes that wait to be sent, unless told otherwise */
#define UTCP_SEND_PRESSED      (16 * 1024)  /* ... while memory is scarce */
#define UTCP_REFERENCES_MAX    64
#define UTCP_REPLIES_MAX       256
#define UTCP_SEGMENT_LARGE_MAX 65000 /* bytes of a packet that the sink cuts */

/* RFC 6298. Its minimum of one second is from the days of clocks with ticks of half a second;
 * 200 ms is above every delayed acknowledgment in use. */
#define UTCP_RTO_INITIAL   (1 * UTCP_SECOND)
#define UTCP_RTO_AFTER_SYN (3 * UTCP_SECOND) /* section 5.7 */
#define UTCP_RTO_MIN       (200 * UTCP_MS)
#define UTCP_RTO_MAX       (60 * UTCP_SECOND)

/* Retransmissions without an answer until the connection is given up (RFC 9293 section 3.8.3). */
#define UTCP_RETRIES_R1      3 /* from then on the application may know: UTCP_TROUBLE */
#define UTCP_RETRIES_SYN     7 /* 183 s: MUST-23 wants three minutes */
#define UTCP_RETRIES_SYN_ACK 5
#define UTCP_RETRIES_DATA    15 /* about 15 minutes */
#define UTCP_RETRIES_ORPHAN  8  /* nobody waits for it: about 100 s at the least RTO */

#define UTCP_DELAYED_ACK        (40 * UTCP_MS) /* RFC 9293 section 3.8.6.3: below 500 ms */
#define UTCP_FIN_WAIT_2_LIMIT   (60 * UTCP_SECOND)
#define UTCP_TIME_WAIT_DEFAULT  (60 * UTCP_SECOND)
#define UTCP_KEEPALIVE_INTERVAL (75 * UTCP_SECOND)
#define UTCP_KEEPALIVE_PROBES   9
#define UTCP_STALL_SPARED       (60 * UTCP_SECOND)

#include "acceptable.h"
#include "conn.h"

/* ── Structures ────────────────────────────────────────────────────────────────────────────── */

struct utcp_listener {
    struct utcp *stack;
    struct list link; /* on the stack's list */
    struct list event_link;
    struct list half_open, ready; /* connections that were not accepted */
    struct utcp_endpoint local;
    bool any_address;
    bool elsewhere;                       /* SYNs are answered by somebody else */
    uint8_t mode;                         /* enum utcp_listen_mode */
    uint8_t cookies;                      /* enum utcp_syn_cookies */
    unsigned backlog, pending;            /* limit, and length of both lists */
    unsigned acceptable;                  /* length of `ready` */
    uint64_t overflows;                   /* SYNs that found the backlog used up */
    uint64_t cookies_until;               /* before this an ACK may bring a cookie */
    uint64_t max_segment, receive_buffer; /* UTCP_OPTION_* for its connections; 0: not set */
    uint8_t dscp, hop_limit, quick_acks;  /* the same */
    struct utcp_fast_queue *fast;         /* NULL: no fast open */
    void *user;
    uint32_t events;
};

/* A segment that no connection sends. */
struct utcp_reply {
    struct utcp_endpoint local, remote;
    uint32_t seq, ack;
    uint32_t number; /* with time_wait: of the entry, from which the rest comes when it leaves */
    uint16_t window, ip_id, flags;
    uint8_t dscp, hop_limit; /* hop_limit 0: the usual one */
    bool time_wait;
    uint8_t options_length;
    uint8_t options[UTCP_OPTIONS_MAX];
};

#define PREDICT_NOTHING UINT_MAX /* for tests that compare */

struct utcp {
    uint64_t now, now_ms; /* µs, and rounded down: utcp__set_now() */
    struct siphash_key key;
    struct hash_key table_key;     /* of utcp__table_hash() */
    struct siphash_key cookie_key; /* of SYN cookies, and of the offsets of timestamps */
    struct {
        uint64_t word; /* 0: none */
        struct siphash_state state;
    } cookie_local; /* syncookie.c: what that key makes of a local end, the last that was asked for */
    const struct utcp_cc_ops *congestion, *congestion_module;
    uint32_t mtu, offloads, flags, connections_max, receive_max, send_max;
    uint64_t time_wait_us, stall_max_us, stall_spared_us;
    uint8_t receive_scale; /* what every connection offers */
    /* challenge.c: at most so many in a second (0: as many as there are), … */
    uint32_t challenges_max, challenges_left; /* … which are left of this one */
    uint64_t challenge_second;

    struct utcp_conn **table;
    uint32_t table_size;       /* a power of two */
    struct utcp_conn *recent;  /* that a segment came for; … */
    struct utcp_conn nobody;   /* … if any did: of no endpoints, and unusual */
    struct utcp_conn fresh[2]; /* of IPv4 and of IPv6, as each begins: utcp__conn_prepare() */
    unsigned predict; /* flags of a packet for prediction.c; PREDICT_NOTHING: no short ways */
    uint64_t long_in; /* packets that header prediction has left to others */
    bool rare;        /* prediction.c: not only a round trip is `unfinished` */
    struct utcp_cc_ack told; /* prediction.c: of an acknowledgment; what it does not set is 0 */
    uint32_t connections;    /* those in `table` and in `waits` */
    struct list all;         /* every struct utcp_conn */
    struct list output;      /* connections that may have something to send */
    struct list events;      /* connections with something to tell */
    struct list listener_events;
    struct list listeners;
    struct utcp_time_waits waits; /* in TIME-WAIT: timewait.c */
    struct list time_wait;        /* orphans that enter it, or stay whole; the oldest first */
    uint32_t cookies_elsewhere;   /* listeners whose SYNs somebody else answers */
    struct list scattered;        /* connections with data out of order, for the longest first */
    struct list dead;             /* to be freed before the call returns */
    struct utcp_conn *spares;     /* memory for connections, by `chain` */
    uint32_t spare_count;
    struct utcp_wheel wheel;
    struct utcp_pool pool;
    void (*gone)(void *gone_context, const struct utcp_endpoint *local,
                 const struct utcp_endpoint *remote); /* or NULL */
    void *gone_context;
    struct utcp_fast_keys fast_keys;
    struct utcp_fast_cache *fast_cache; /* NULL until a connection asks for fast open */
    struct utcp_paths *paths; /* path.c; NULL: all pass what the NIC does, as far as is known */
    struct utcp_reply replies[UTCP_REPLIES_MAX];
    uint32_t reply_first, reply_count;
    struct utcp_stats stats;
    struct utcp_tracer tracer; /* event NULL: there is none */
};

/* ── Small things ──────────────────────────────────────────────────────────────────────────── */

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Time does not go back. */
static inline void utcp__set_now(struct utcp *stack, uint64_t now)
{
    if (now <= stack->now)
        return;
    stack->now = now;
    stack->now_ms = now / UTCP_MS;
    stack->told.now = now;
}

static inline uint32_t utcp__timestamp_now(const struct utcp_conn *conn)
{
    return (uint32_t)conn->stack->now_ms + conn->ts_offset;
}

static inline uint32_t utcp__rcv_nxt(const struct utcp_conn *conn)
{
    return conn->irs + 1 + (uint32_t)conn->receive.next + conn->peer_fin_taken;
}

static inline uint32_t utcp__in_flight(const struct utcp_conn *conn)
{
    return conn->snd_nxt - conn->snd_una;
}

/* What is in the network, as far as one can tell (RFC 6675 section 4's pipe). */
static inline uint32_t utcp__pipe(const struct utcp_conn *conn)
{
    /* Nothing up to snd_nxt: what else was sent is a window probe, which counts for nothing. */
    if (!conn->sack || conn->state < UTCP_ESTABLISHED || utcp__in_flight(conn) == 0)
        return utcp__in_flight(conn);
    return conn->snd_max - conn->snd_una - conn->board.sacked - conn->board.lost;
}

/* SYN sent and acknowledged on both sides. */
static inline bool utcp__synchronized(const struct utcp_conn *conn)
{
    return conn->state >= UTCP_ESTABLISHED;
}

/* May send data and take them: that, or a child whose data came with its SYN. */
static inline bool utcp__transfers(const struct utcp_conn *conn)
{
    return conn->state >= UTCP_ESTABLISHED || conn->fast_queue;
}

/* Nobody will hear of it any more. */
static inline bool utcp__orphan(const struct utcp_conn *conn)
{
    return !conn->owned && conn->listener == NULL;
}

/* ── stack.c ───────────────────────────────────────────────────────────────────────────────── */

/* NULL: there is none. utcp__find() remembers what it found: segments come in bursts. */
struct utcp_conn *utcp__look_up(const struct utcp *stack, const struct utcp_endpoint *local,
                                const struct utcp_endpoint *remote);
struct utcp_conn *utcp__find(struct utcp *stack, const struct utcp_endpoint *local,
                             const struct utcp_endpoint *remote);
/* The same for a segment, whose hash it sets. */
struct utcp_conn *utcp__find_for(struct utcp *stack, struct utcp_segment *segment);
/* Where a connection stands in the tables, among others. Keyed, for strangers choose its input. */
uint32_t utcp__table_hash(const struct utcp *stack, const struct utcp_endpoint *local,
                          const struct utcp_endpoint *remote);
struct utcp_listener *utcp__find_listener(const struct utcp *stack,
                                          const struct utcp_endpoint *local);
/* `hash` is that of its endpoints. */
void utcp__table_add(struct utcp_conn *conn, uint32_t hash);
void utcp__table_remove(struct utcp_conn *conn);
/* The same, but its endpoints stay in use: there is an entry of `waits` for them. */
void utcp__table_leave(struct utcp_conn *conn);

/* 64 bits that nobody can guess and that are the same for the same endpoints; `purpose` tells uses
 * apart. */
uint64_t utcp__endpoints_hash(const struct utcp *stack, const struct utcp_endpoint *local,
                              const struct utcp_endpoint *remote, uint8_t purpose);

void utcp__want_output(struct utcp_conn *conn);
void utcp__event(struct utcp_conn *conn, uint32_t events);
void utcp__listener_event(struct utcp_listener *listener, uint32_t events);

/* ── input.c, input_syn.c, icmp.c ──────────────────────────────────────────────────────────── */

void utcp__input_listen(struct utcp *stack, struct utcp_listener *listener,
                        const struct utcp_segment *segment, uint32_t iss_after);
/* The peer's SYN is taken: its sequence numbers and options hold from now on. */
void utcp__take_syn(struct utcp_conn *conn, const struct utcp_segment *segment);
/* A new connection is the listener's, half open, with what was set for its connections. */
void utcp__listener_adopt(struct utcp_listener *listener, struct utcp_conn *conn);
void utcp__listener_configure(const struct utcp_listener *listener, struct utcp_conn *conn);
void utcp__input_syn_sent(struct utcp_conn *conn, struct utcp_segment *segment);
void utcp__input_synchronized(struct utcp_conn *conn, struct utcp_segment *segment);
/* The steps from the text on, for a segment whose SYN was taken and cut off. */
void utcp__input_text(struct utcp_conn *conn, struct utcp_segment *segment);
/* RFC 5961: an ACK that makes an honest peer repeat itself exactly; limited. */
void utcp__challenge_ack(struct utcp_conn *conn);
/* Whether one may be sent, which is counted: in a period that ends at *until (ms), *used were before. */
bool utcp__challenge_allowed(struct utcp *stack, uint32_t *until, uint8_t *used);
void utcp__input_icmp(struct utcp *stack, const struct utcp_icmp_error *error);

/* ── syncookie.c ───────────────────────────────────────────────────────────────────────────── */

void utcp__cookie_init(struct utcp *stack);
/* What the cookies' key makes of two endpoints (common/syncookie.h). */
uint64_t utcp__cookie_ends(struct utcp *stack, const struct utcp_endpoint *local,
                           const struct utcp_endpoint *remote);
/* Whether a SYN gets a cookie, now that the listener is full, or not full. */
bool utcp__cookies_wanted(const struct utcp_listener *listener, bool full);
/* Answers a SYN by a cookie, and keeps nothing of it. */
void utcp__cookie_send(struct utcp_listener *listener, const struct utcp_segment *segment);
/* An ACK for no connection. False: it brings no cookie of ours. */
bool utcp__cookie_take(struct utcp_listener *listener, const struct utcp_segment *segment);

enum utcp_cookie_verdict {
    UTCP_COOKIE_NONE,      /* it brings none, or that of its own connection */
    UTCP_COOKIE_REFUSED,   /* one that may be from before: answered by a RST */
    UTCP_COOKIE_DISPLACES, /* to be ended by the caller: utcp__cookie_take() takes the segment */
};

/* A segment for `conn`, while cookies come from elsewhere: who gave the cookie did not know that there
 * is a connection. Its bearer has answered a SYN-ACK, so it is the peer, and the peer has begun anew:
 * it lost its end of the connection, or the connection is in TIME-WAIT. A stack that sees the SYN would
 * have sent a challenge (RFC 5961 section 4.2), and heard so by a RST. */
enum utcp_cookie_verdict utcp__cookie_displaces(const struct utcp_conn *conn,
                                                const struct utcp_segment *segment);

/* ── fastopen.c ────────────────────────────────────────────────────────────────────────────── */

void utcp__fast_open_init(struct utcp *stack);
/* UTCP_OPTION_FAST_OPEN, UTCP_OPTION_FAST_OPEN_NO_COOKIE; 0 or a negative errno. */
int utcp__fast_open_set_listener(struct utcp_listener *listener, enum utcp_option option,
                                 uint64_t value);
int utcp__fast_open_ask(struct utcp_conn *conn, bool no_cookie);
void utcp__fast_open_forgo(struct utcp_conn *conn);
void utcp__fast_open_close(struct utcp_listener *listener);

/* What to do about a listener's SYN; then, when it has made a connection, do it. */
enum utcp_fast_verdict utcp__fast_open_judge(const struct utcp_listener *listener,
                                             const struct utcp_segment *segment);
void utcp__fast_open_child(struct utcp_conn *conn, const struct utcp_segment *syn,
                           enum utcp_fast_verdict verdict);
/* The child's handshake is done, or will never be. */
void utcp__fast_open_leave(struct utcp_conn *conn, bool reset);

/* Bytes of the buffer that the SYN may carry. */
uint32_t utcp__fast_open_room(const struct utcp_conn *conn);
/* The client's SYN is acknowledged up to `ack`: its data are, too, or will be sent again. */
void utcp__fast_open_settle(struct utcp_conn *conn, uint32_t ack);
/* The client's SYN-ACK came; `retries` are from before. */
void utcp__fast_open_answered(struct utcp_conn *conn, const struct utcp_segment *segment);
/* The connection ends; its retransmission timer has fired again. */
void utcp__fast_open_ended(struct utcp_conn *conn, int error);
void utcp__fast_open_timed_out(struct utcp_conn *conn);
/* Whether our SYN or SYN-ACK carries the option; the cookie's size 0: a request. */
bool utcp__fast_open_option(const struct utcp_conn *conn, uint8_t tcp_flags, uint8_t *cookie,
                            uint8_t *size);

/* ── api.c ─────────────────────────────────────────────────────────────────────────────────── */

/* Bytes of copied data that the send buffer may hold now. */
uint32_t utcp__send_limit(const struct utcp_conn *conn);
/* Tells a writer that waits of room, if there is any. */
void utcp__send_room_event(struct utcp_conn *conn);

/* ── memory.c ──────────────────────────────────────────────────────────────────────────────── */

/* The application took `bytes`. */
void utcp__memory_taken(struct utcp_conn *conn, uint32_t bytes);
/* A data segment echoes a timestamp of ours. */
void utcp__memory_echo(struct utcp_conn *conn, uint64_t rtt_us);
/* Data of this connection lie beyond a hole, or do no longer. */
void utcp__memory_scattered(struct utcp_conn *conn);
/* Memory is tight: gives up data out of order, not those of `conn`. */
void utcp__memory_reclaim(struct utcp_conn *conn);
/* All data that came were read: what led to them may go, when it stays so. */
void utcp__memory_all_read(struct utcp_conn *conn);
void utcp__memory_trim(struct utcp_conn *conn);

/* ── replies.c ─────────────────────────────────────────────────────────────────────────────── */

/* Queues a segment that belongs to no connection. When the queue is full it is lost, like any. */
struct utcp_reply *utcp__reply_place(struct utcp *stack); /* the next; NULL: it is full */
void utcp__reply(struct utcp *stack, const struct utcp_endpoint *local,
                 const struct utcp_endpoint *remote, uint8_t flags, uint32_t seq, uint32_t ack);
/* The RST that RFC 9293 section 3.10.7.1 answers a segment with; none to a RST. */
void utcp__reply_reset(struct utcp *stack, const struct utcp_segment *segment);
/* False: the sink is full, and some wait on. */
bool utcp__output_replies(struct utcp *stack, const struct utcp_sink *sink);

/* ── plan.c ────────────────────────────────────────────────────────────────────────────────── */

/* The window that could be told now, as right edge. */
uint32_t utcp__window(const struct utcp_conn *conn, uint32_t next);
bool utcp__window_is_wider(const struct utcp_conn *conn);
/* The reader has made so much room that the peer should know. */
static inline bool utcp__window_to_update(const struct utcp_conn *conn)
{
    int32_t told = (int32_t)(conn->rcv_adv - utcp__rcv_nxt(conn));

    /* Half of the buffer more than this there cannot be, and less is not worth it. */
    return told <= (int32_t)(conn->receive_limit - conn->receive_limit / 2) &&
           utcp__window_is_wider(conn);
}
/* The sequence number of a segment without data: the end of all that was sent, but not beyond the
 * window, which may have shrunk: there the peer would not accept it. */
uint32_t utcp__ack_sequence(const struct utcp_conn *conn);

/* ── control.c ─────────────────────────────────────────────────────────────────────────────── */

/* The connection is established. */
void utcp__control_start(struct utcp_conn *conn);
void utcp__control_choose(struct utcp_conn *conn, const struct utcp_cc_ops *ops);
/* Brings cwnd and ssthresh into their ranges. */
void utcp__control_clamp(struct utcp_cc *cc);
/* NULL: unknown. */
const struct utcp_cc_ops *utcp__control_find(const struct utcp *stack, const char *name);
/* `acked` bytes were delivered (acknowledged, or by SACK); snd_una is new, `in_flight` from before,
 * rtt_us a sample or 0. */
void utcp__control_acked(struct utcp_conn *conn, uint32_t acked, uint32_t in_flight,
                         uint64_t rtt_us, bool recovering);
/* The beginning of recovery, and of a timeout: the module reduces the window. */
void utcp__control_lost(struct utcp_conn *conn, uint32_t in_flight);
void utcp__control_timed_out(struct utcp_conn *conn, uint32_t in_flight);
/* The peer has echoed marks of congestion. */
void utcp__control_marked(struct utcp_conn *conn, uint32_t in_flight);
/* The last of these was a mistake. */
void utcp__control_undo(struct utcp_conn *conn);
void utcp__control_before_output(struct utcp_conn *conn);

/* ── ecn.c ─────────────────────────────────────────────────────────────────────────────────── */

/* The peer's SYN or SYN-ACK came. */
void utcp__ecn_negotiate(struct utcp_conn *conn, const struct utcp_segment *syn);
/* In SYN-RECEIVED it came again. False: it asks for something else, which ends the connection. */
bool utcp__ecn_syn_again(struct utcp_conn *conn, const struct utcp_segment *syn);
/* What ECN adds to a segment with `flags`; what came of it when it was sent. */
uint16_t utcp__ecn_more_flags(struct utcp_conn *conn, uint8_t flags, bool new_data);
static inline uint16_t utcp__ecn_flags(struct utcp_conn *conn, uint8_t flags, bool new_data)
{
    return flags & TCP_SYN || conn->ecn.on ? utcp__ecn_more_flags(conn, flags, new_data) : 0;
}
static inline void utcp__ecn_sent(struct utcp_conn *conn, uint16_t flags)
{
    if (flags & TCP_CWR)
        conn->ecn.cwr_due = false;
}
/* Data came; ECN is on. */
void utcp__ecn_received(struct utcp_conn *conn, const struct utcp_segment *segment);
/* New data were acknowledged, by a segment with or without ECE; `in_flight` from before. */
void utcp__ecn_acknowledged(struct utcp_conn *conn, uint32_t in_flight);
/* The window was reduced, for whatever reason. */
void utcp__ecn_reduced(struct utcp_conn *conn);

/* ── accecn.c ──────────────────────────────────────────────────────────────────────────────── */

static inline uint8_t utcp__ace(uint16_t flags)
{
    return (uint8_t)(flags >> TCP_ACE_SHIFT & 7);
}

/* The peer's SYN asks for it, or `syn` is a SYN-ACK that agrees to what ours has asked for. */
void utcp__accurate_begin(struct utcp_conn *conn, const struct utcp_segment *syn);
void utcp__accurate_answered(struct utcp_conn *conn, const struct utcp_segment *syn_ack);
/* The rest is for connections that are `accurate`. The SYN-ACK came (again): an ACK tells how. */
void utcp__accurate_reflect(struct utcp_conn *conn, const struct utcp_segment *syn_ack);
/* The SYN came again, as for utcp__ecn_syn_again(). */
bool utcp__accurate_again(struct utcp_conn *conn, const struct utcp_segment *syn);
/* In SYN-RECEIVED: our SYN is acknowledged by this. */
void utcp__accurate_confirmed(struct utcp_conn *conn, const struct utcp_segment *segment);
/* The flags of a SYN-ACK, and of what follows it. */
uint16_t utcp__accurate_syn_ack(struct utcp_conn *conn);
uint16_t utcp__accurate_flags(struct utcp_conn *conn);
/* An acceptable segment came, whose text is not taken yet: counts how it came, and notes what it tells. True: it
 * may tell of marks. */
bool utcp__accurate_noted(struct utcp_conn *conn, const struct utcp_segment *segment);
/* So much text came as IP_ECN_*, not CE, as far as utcp__accurate_noted() has not seen it. */
void utcp__accurate_text(struct utcp_conn *conn, uint8_t field, uint32_t length);
/* marked_in has changed. */
void utcp__accurate_counted(struct utcp_conn *conn);
/* How much of the `delivered` bytes was marked, as the segment that was noted last tells. */
uint32_t utcp__accurate_marked(struct utcp_conn *conn, uint32_t delivered);

/* ── pacing.c, rate.c ──────────────────────────────────────────────────────────────────────── */

/* Bytes per second; 0: not paced. */
uint64_t utcp__pacing_rate(const struct utcp_conn *conn);
bool utcp__pacing_allows(const struct utcp_conn *conn);
/* Most payload of a packet that is cut later. */
uint32_t utcp__pacing_burst(const struct utcp_conn *conn);
void utcp__pacing_sent(struct utcp_conn *conn, uint32_t bytes);
/* Calls for output when the next segment may leave. */
void utcp__pacing_wait(struct utcp_conn *conn);

/* NULL: out of memory. */
struct utcp_rate *utcp__rate_new(void);
void utcp__rate_free(struct utcp_rate *rate);
/* The rest is for connections that have one. New data up to `end` were sent. */
void utcp__rate_sent(struct utcp_conn *conn, uint32_t end, bool first_in_flight);
/* All that lies between was sent again. */
void utcp__rate_resent(struct utcp_conn *conn, uint32_t seq, uint32_t end);
/* The application has written too little to fill the window. */
void utcp__rate_limited(struct utcp_conn *conn);
/* Fills in what `ack` says of rates, and its rtt_us. */
void utcp__rate_acked(struct utcp_conn *conn, struct utcp_cc_ack *ack);

/* The last rate, bytes/s; 0: not known. */
uint64_t utcp__rate_last(const struct utcp_rate *rate, bool *limited);

/* ── options/sack.c ────────────────────────────────────────────────────────────────────────── */

/* Data out of order were stored at this offset. */
void utcp__sack_arrived(struct utcp_conn *conn, uint64_t offset);
/* A hole was filled. */
void utcp__sack_advanced(struct utcp_conn *conn);
/* These sequence numbers came again. */
void utcp__sack_duplicate(struct utcp_conn *conn, uint32_t start, uint32_t end);

/* How long something may stay unacknowledged, in ms; 0: the stack's own limit. */
void utcp__set_user_timeout(struct utcp_conn *conn, uint32_t ms);

/* ── urgent.c ──────────────────────────────────────────────────────────────────────────────── */

/* A segment with URG says that urgent data end here. */
void utcp__urgent_received(struct utcp_conn *conn, uint32_t end);
/* While urgent_in: something was read. */
void utcp__urgent_read(struct utcp_conn *conn);
/* While urgent_out: what a segment from `seq` on has as its urgent pointer; 0: it is not urgent. */
uint16_t utcp__urgent_pointer(const struct utcp_conn *conn, uint32_t seq);

#include "loss.h"

/* ── timers.c ──────────────────────────────────────────────────────────────────────────────── */

/* The connection's place on the wheel is not behind `when`. */
static inline void utcp__timer_place(struct utcp_conn *conn, uint64_t when)
{
    if (when >> WHEEL_TICK_BITS < conn->wheel_timer.tick)
        utcp__wheel_start(&conn->stack->wheel, &conn->wheel_timer, when);
}
static inline void utcp__timer_set(struct utcp_conn *conn, enum utcp_timer timer, uint64_t when)
{
    conn->deadline[timer] = when;
    utcp__timer_place(conn, when);
}
static inline void utcp__timer_stop(struct utcp_conn *conn, enum utcp_timer timer)
{
    conn->deadline[timer] = TIMER_IDLE;
}
static inline bool utcp__timer_runs(const struct utcp_conn *conn, enum utcp_timer timer)
{
    return conn->deadline[timer] != TIMER_IDLE;
}
/* RFC 9293 section 3.9.1.8: tells the application, if it wants to know, that not all is well. */
void utcp__trouble(struct utcp_conn *conn);
/* Something is written or sent that the peer has to acknowledge. */
static inline bool utcp__waits_for_peer(const struct utcp_conn *conn)
{
    if (!utcp__synchronized(conn))
        return true;
    return conn->send.una != conn->send.end || (conn->fin_queued && !conn->fin_acked);
}
/* That has begun: the peer is waited for from now on, if it was not before. */
static inline void utcp__wait_for_peer(struct utcp_conn *conn)
{
    if (conn->waiting_since)
        return;
    conn->waiting_since = conn->stack->now; /* which is never 0 */
    if (conn->user_timeout_ms)
        utcp__timer_set(conn, TIMER_USER, conn->waiting_since + conn->user_timeout_ms * UTCP_MS);
    else
        utcp__timer_stop(conn, TIMER_USER);
}
/* Something was acknowledged: brings retransmission and user timer in line. */
static inline void utcp__timers_update(struct utcp_conn *conn)
{
    if (utcp__in_flight(conn) > 0)
        utcp__timer_set(conn, TIMER_RETRANSMIT, conn->stack->now + utcp__rtt_timeout(&conn->rtt));
    else
        utcp__timer_stop(conn, TIMER_RETRANSMIT);
    conn->waiting_since = 0;
    if (utcp__waits_for_peer(conn))
        utcp__wait_for_peer(conn);
    else
        utcp__timer_stop(conn, TIMER_USER);
}
/* TIME-WAIT begins, or begins anew; of an orphan that is to say something utcp_output() goes on. */
static inline void utcp__time_wait_timer(struct utcp_conn *conn, bool orphan)
{
    uint64_t end = conn->stack->now + conn->stack->time_wait_us;

    if (orphan && !list_empty(&conn->output_link))
        conn->deadline[TIMER_LIFE] = end;
    else
        utcp__timer_set(conn, TIMER_LIFE, end);
}
/* Starts what the state calls for on TIMER_LIFE. */
void utcp__timer_life_start(struct utcp_conn *conn);
static inline void utcp__timer_life(struct utcp_conn *conn)
{
    if (conn->keepalive_ms || conn->state == UTCP_TIME_WAIT || conn->state == UTCP_FIN_WAIT_2)
        utcp__timer_life_start(conn);
    else
        conn->deadline[TIMER_LIFE] = TIMER_IDLE;
}

/* ── state.c ───────────────────────────────────────────────────────────────────────────────── */

/* A connection in CLOSED, in the table, with nobody owning it; `hash` is that of its endpoints there. NULL:
 * connections_max or memory. */
struct utcp_conn *utcp__conn_new(struct utcp *stack, const struct utcp_endpoint *local,
                                 const struct utcp_endpoint *remote, uint32_t hash);
/* The same in memory of the caller, neither in the table nor on a list. */
void utcp__conn_init(struct utcp_conn *conn, struct utcp *stack, const struct utcp_endpoint *local,
                     const struct utcp_endpoint *remote);
/* What it copies: to be made anew when the stack's options or its MTU change. */
void utcp__conn_prepare(struct utcp *stack);
void utcp__conn_free(struct utcp_conn *conn);
void utcp__spares_free(struct utcp *stack);
/* Is its listener's no more; it was taken from its list. */
void utcp__listener_lost(struct utcp_conn *conn);
void utcp__reap(struct utcp *stack);
extern const uint16_t utcp__successors[]; /* of each state, as bits */
__attribute__((cold, noinline)) void utcp__trace_state(struct utcp_conn *conn,
                                                       enum utcp_state state);
/* The one function that moves a state. Inline: of the state that it moves to, which is known where it is
 * called, most questions need not be asked. What TIMER_LIFE is to do then is left to the caller. */
static inline void utcp__conn_enter(struct utcp_conn *conn, enum utcp_state state)
{
    struct utcp *stack = conn->stack;

    assert(utcp__successors[conn->state] & 1u << state);
    if (state == UTCP_CLOSED && conn->state == UTCP_TIME_WAIT) /* which leads nowhere else */
        stack->stats.time_wait--;
    if (state == UTCP_TIME_WAIT)
        stack->stats.time_wait++;
    PROBE_STATE(conn, conn->state, (int)state);
    if (conn->traced)
        utcp__trace_state(conn, state);
    conn->state = (uint8_t)state;
    if (state == UTCP_TIME_WAIT || state == UTCP_CLOSED)
        conn->restless = true;
}
static inline void utcp__conn_set_state(struct utcp_conn *conn, enum utcp_state state)
{
    utcp__conn_enter(conn, state);
    if (state != UTCP_CLOSED)
        utcp__timer_life(conn);
}
/* Its listener may give it away. */
void utcp__conn_acceptable(struct utcp_conn *conn);
/* The peer's SYN and our own are done, by a segment with these numbers, whose window, in bytes, is the first
 * that may be sent into. */
void utcp__conn_established(struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint32_t window);
/* Ends the connection: out of the table, buffers released, the owner told. `error` is 0 for an
 * orderly end, after which the application may still read. */
void utcp__conn_end(struct utcp_conn *conn, int error);
/* The same with a RST to the peer, where the state wants one. */
void utcp__conn_reset(struct utcp_conn *conn, int error);
/* FIN queued: FIN-WAIT-1 or LAST-ACK. */
void utcp__conn_finish(struct utcp_conn *conn);
void utcp__conn_time_wait(struct utcp_conn *conn);
/* An entry of TIME-WAIT goes on in its stead: it is freed, and nobody is told. */
void utcp__conn_replaced(struct utcp_conn *conn);
void utcp__conn_update_mss(struct utcp_conn *conn);
/* Whether most are like it: IPv4 with timestamps and SACK; without a user timeout, or a congestion control that
 * wants to know rates or to be looked after. */
static inline void utcp__conn_compare(struct utcp_conn *conn)
{
    if (conn->local.family != 4 || !conn->timestamps || !conn->sack || !utcp__synchronized(conn) ||
        conn->control.rate || !conn->cc.ops->in_range || conn->user_timeout_ms)
        conn->uncommon = true;
    else
        conn->uncommon = false;
}
/* Payload of a packet of that size, options counted. */
uint32_t utcp__mss_for_mtu(const struct utcp_conn *conn, uint32_t mtu);
void utcp__conn_choose_iss(struct utcp_conn *conn, uint32_t after);

#include "timewait.h"
#include "told.h"

#endif
