/* SPDX-License-Identifier: BSD-2-Clause */
/* libutcp: TCP (RFC 9293) as a library of state machines.
 *
 * It makes no system call, reads no clock and starts no thread. Packets, time and randomness come
 * in as arguments; packets, events and the next deadline come out. That makes it as good at home on
 * a MultiStack port as in a test that runs an hour of TCP in a millisecond.
 *
 *   utcp_input(stack, now, packet …)   once for each packet of a batch
 *   utcp_advance(stack, now)           timers that are due
 *   utcp_poll(stack, events, max)      what happened, connection by connection
 *       utcp_accept() utcp_read() utcp_write() utcp_close() …
 *   utcp_output(stack, now, sink)      all segments that are to be sent now, once for the batch
 *   utcp_deadline(stack)               when utcp_advance() is needed next
 *
 * Because output comes once, after all input and all the application's answers, acknowledgments
 * ride on data and a FIN on the last data, without any timer.
 *
 * Time is in microseconds of any clock that never goes back. Ports are in host order. Errors are
 * negative errno values. A stack and everything in it belong to one thread at a time; different
 * stacks share nothing. */
#ifndef UTCP_H
#define UTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the shared library exports. */
#define UTCP_API __attribute__((visibility("default")))

struct utcp;          /* a stack: connections, listeners, timers */
struct utcp_listener; /* a port (and address) that accepts */
struct utcp_conn;     /* a connection */
struct utcp_cc_ops;   /* a congestion control: utcp_congestion.h */

/* One end of a connection. The rest of an IPv4 address, and `zero`, are zero. */
struct utcp_endpoint {
    uint8_t family; /* 4 or 6 */
    uint8_t zero;
    uint16_t port;       /* host order */
    uint8_t address[16]; /* network order; IPv4 in the first four bytes */
};

/* ── The stack ───────────────────────────────────────────────────────────────────────────────── */

struct utcp_config {
    size_t size;        /* sizeof(struct utcp_config), so that the struct may grow */
    uint8_t secret[16]; /* random, and different at each start: keys sequence numbers, timestamps,
                           hash tables (RFC 6528) */
    uint32_t mtu;       /* bytes of IP packet; 0: 1500 */
    uint32_t offloads;  /* UTCP_OFFLOAD_* that the sink understands */
    uint32_t connections_max;    /* 0: 65536 */
    uint32_t receive_buffer_max; /* bytes per connection; 0: 32 MiB. The window begins with 64 KiB
                                    and grows with what the application takes in a round trip */
    uint32_t send_buffer_max;    /* bytes per connection; 0: 32 MiB. It begins with 256 KiB and
                                    grows with the congestion window */
    uint64_t memory_max;         /* bytes of buffers of all connections; 0: 1 GiB. Beyond three
                                    fourths of it windows grow no more, beyond seven eighths data
                                    out of order are not kept, and at it no connection begins;
                                    one that exists goes on, with a block of 4 KiB each way */
    const char *congestion;      /* a name of utcp_congestion_name(), or that of
                                    congestion_module; NULL: the module, or the default */
    uint64_t time_wait_us;       /* 2 MSL; 0: 60 s */
    uint32_t flags;              /* UTCP_NO_*, UTCP_ASK_*, UTCP_PACE, UTCP_HALF_WINDOWS */

    /* Called, when not NULL, at the moment when a pair of endpoints is in use no more: the
     * connection has ended, TIME-WAIT included, whoever closed it. For those who reserve something
     * for a connection, such as its port. It must not call into the stack. utcp_free() does not
     * call it. */
    void (*gone)(void *gone_context, const struct utcp_endpoint *local,
                 const struct utcp_endpoint *remote);
    void *gone_context;
    /* NULL, or a congestion control of the program's own (utcp_congestion.h), which must live as long
     * as the stack. */
    const struct utcp_cc_ops *congestion_module;
    /* Challenge ACKs (RFC 5961) of all connections in a second, about; 0: no limit but that of each
     * connection, ten in five seconds. The number differs from second to second, between half and one
     * and a half of this: who could count them would learn of connections of others (CVE-2016-5696). */
    uint32_t challenge_acks_max;
    /* Connections whose peer keeps its window closed over data (RFC 6429) are ended, with -ETIMEDOUT,
     * when that has lasted for stall_max_us (0: no limit, RFC 9293 MUST-37), or for stall_spared_us
     * (0: 60 s; UINT64_MAX: never) while more than three fourths of memory_max are used; both at the
     * next probe, which is due within a minute. */
    uint64_t stall_max_us, stall_spared_us;
};

#define UTCP_OFFLOAD_CHECKSUM 0x1 /* the sink fills in transport checksums */
#define UTCP_OFFLOAD_SEGMENT  0x2 /* the sink cuts packets of up to 64 KB at segment_size, and */
                                  /* fills in the checksums of those */

#define UTCP_NO_TIMESTAMPS      0x1 /* neither offer nor accept the option */
#define UTCP_NO_WINDOW_SCALE    0x2
#define UTCP_NO_SACK            0x4  /* neither offer nor accept the option (RFC 2018) */
#define UTCP_NO_ECN             0x10 /* neither ask for it nor accept it (RFC 3168) */
#define UTCP_PACE               0x40 /* UTCP_OPTION_PACING for every connection */
#define UTCP_NO_SYN_COOKIES     0x80 /* for listeners that do not say otherwise */
#define UTCP_ALWAYS_SYN_COOKIES 0x100
#define UTCP_NO_MTU_PROBING     0x200 /* only ICMP says which packets the path passes (RFC 4821) */
#define UTCP_ASK_ECN            0x20  /* ask for it; without either it is accepted from who asks */
/* The same of Accurate ECN (RFC 9768), which is asked for so that a peer that has but RFC 3168's takes that.
 * Of Linux's net.ipv4.tcp_ecn 0 is UTCP_NO_ECN, 1 to 5 are UTCP_NO_ACCURATE_ECN | UTCP_ASK_ECN,
 * UTCP_NO_ACCURATE_ECN, UTCP_ASK_ACCURATE_ECN, UTCP_ASK_ECN, and none of these. */
#define UTCP_NO_ACCURATE_ECN  0x800  /* neither ask for it nor accept it */
#define UTCP_ASK_ACCURATE_ECN 0x1000 /* goes before UTCP_ASK_ECN */
/* A packet that the sink cuts has half a congestion window at most from the start on, as Linux has it,
 * and not only after the first loss: more packets, and a steadier clock. */
#define UTCP_HALF_WINDOWS 0x400

/* NULL: out of memory, or an unknown congestion control. `config` is not kept. */
UTCP_API struct utcp *utcp_new(const struct utcp_config *config, uint64_t now);

/* Frees the stack and all in it, without a word to the peers. References are released. */
UTCP_API void utcp_free(struct utcp *stack);

/* What the sink can do has changed (the switch was restarted on another device, say); segments from
 * now on are made accordingly. */
UTCP_API void utcp_set_mtu(struct utcp *stack, uint32_t mtu);
UTCP_API void utcp_set_offloads(struct utcp *stack, uint32_t offloads);

/* UTCP_NO_*, UTCP_ASK_*, UTCP_PACE for connections from now on. */
UTCP_API void utcp_set_flags(struct utcp *stack, uint32_t flags);

/* How long connections that enter TIME-WAIT from now on stay there; 0: the default. */
UTCP_API void utcp_set_time_wait(struct utcp *stack, uint64_t time_wait_us);

/* Counters of a stack; they never go backwards. */
struct utcp_stats {
    size_t size; /* in: sizeof(struct utcp_stats) */
    uint64_t packets_in, packets_out;
    uint64_t segments_retransmitted;
    uint64_t dropped_malformed; /* headers inconsistent */
    uint64_t dropped_checksum;  /* transport checksum wrong */
    uint64_t dropped_not_tcp;
    uint64_t dropped_bad_address;   /* source or destination that no TCP may answer (W8) */
    uint64_t dropped_no_connection; /* answered by RST where RFC 9293 wants one */
    uint64_t dropped_unacceptable; /* outside of the window, PAWS, bad ACK; answered where wanted */
    uint64_t dropped_backlog;      /* SYN to a listener whose backlog was full */
    uint64_t dropped_memory;       /* a limit of memory was reached */
    uint64_t resets_in, resets_out;
    uint64_t challenge_acks; /* RFC 5961: answers to what may be forged */
    uint64_t connections_opened, connections_accepted, connections_failed;
    uint64_t connections;         /* existing now, TIME-WAIT included */
    uint64_t time_wait;           /* in TIME-WAIT now */
    uint64_t dropped_ignored;     /* SYN to a listener that ignores them */
    uint64_t sack_blocks_ignored; /* outside of what was sent, reversed, or one too many to keep */
    uint64_t fast_opens_in, fast_opens_out; /* with data in the SYN, taken by us, or by the peer */
    uint64_t fast_open_bad_cookies;         /* SYN to a listener with a cookie that is not ours */
    uint64_t fast_open_overflows;   /* SYN to a listener with as many open early as it allows */
    uint64_t dropped_syn_memory;    /* of dropped_memory: SYNs, at memory_max or connections_max */
    uint64_t out_of_order_given_up; /* bytes that had come, but memory was scarce */
    uint64_t memory_used;           /* bytes of buffers now, and of what leads to them */
    uint64_t memory_max;            /* what that may grow to */
    uint64_t syn_cookies_sent;      /* SYN-ACKs for which nothing was kept (RFC 4987) */
    uint64_t syn_cookies_accepted;  /* connections that came of them */
    uint64_t syn_cookies_failed;    /* ACKs while cookies were about that did not bring one */
    uint64_t challenges_withheld;   /* challenge ACKs that their connection had no more of */
    uint64_t challenges_over_limit; /* ... or the stack, by challenge_acks_max */
    uint64_t
        mtu_black_holes; /* times that full segments vanished, so that smaller ones were sent */
    uint64_t mtu_probes; /* packets sent to find out whether the path passes their size ... */
    uint64_t mtu_probes_lost;  /* ... and which of them it did not pass */
    uint64_t stalls_timed_out; /* connections ended by stall_max_us */
    uint64_t stalls_given_up;  /* ... by stall_spared_us, while memory was scarce */
    uint64_t mtu_remembered;   /* connections begun with a path MTU that another had found out */
};

UTCP_API void utcp_stats(const struct utcp *stack, struct utcp_stats *stats);

/* ── Packets and time ────────────────────────────────────────────────────────────────────────── */

#define UTCP_INPUT_CHECKSUM_PARTIAL                                                                \
    0x1                            /* the checksum field may hold the folded pseudo-header sum */
#define UTCP_INPUT_CHECKSUM_OK 0x2 /* somebody has verified it already */

/* Takes one IP packet (from its IP header on; `length` bytes may include link-layer padding). TCP
 * segments and ICMP errors about them have effect, anything else is counted. Keeps nothing of
 * `packet`. */
UTCP_API void utcp_input(struct utcp *stack, uint64_t now, const void *packet, size_t length,
                         unsigned flags);

/* What a packet asks of the sink; all zero where it is complete. */
struct utcp_offload {
    bool checksum; /* fill in the transport checksum; the field holds the pseudo-header sum */
    uint16_t segment_size;    /* not 0: cut the payload into segments of so many bytes */
    uint16_t checksum_start;  /* bytes from the IP header */
    uint16_t checksum_offset; /* bytes from checksum_start */
};

/* Where packets go. reserve() gives `length` bytes to write a packet into, or NULL when there is no
 * room: utcp_output() then stops, and goes on at the same place the next time. commit() sends the
 * packet reserved last, `length` bytes of it. Where a large packet finds no room, one of a single
 * segment is tried; so a sink needs room for one packet of the MTU to keep everything moving. fill()
 * may be NULL; otherwise it copies payload into the packet reserved last, in memcpy()'s place. */
struct utcp_sink {
    uint8_t *(*reserve)(void *context, uint32_t length);
    void (*commit)(void *context, uint32_t length, const struct utcp_offload *offload);
    void *context;
    void (*fill)(void *context, uint8_t *to, const uint8_t *from, uint32_t length);
};

/* Sends everything that is to be sent at `now`. True: all of it went out. False: the sink was full.
 */
UTCP_API bool utcp_output(struct utcp *stack, uint64_t now, const struct utcp_sink *sink);

/* True when utcp_output() has something to do. */
UTCP_API bool utcp_output_wanted(const struct utcp *stack);

/* Runs the timers that are due at `now`. */
UTCP_API void utcp_advance(struct utcp *stack, uint64_t now);

/* When utcp_advance() is needed next; UINT64_MAX: no timer runs. Never later than the first timer,
 * but may be earlier. */
UTCP_API uint64_t utcp_deadline(const struct utcp *stack);

/* ── Events ──────────────────────────────────────────────────────────────────────────────────── */

#define UTCP_ACCEPTABLE 0x01 /* a listener has connections to accept */
#define UTCP_CONNECTED  0x02 /* utcp_connect() succeeded */
#define UTCP_READABLE   0x04 /* data arrived, or the end of them */
#define UTCP_WRITABLE   0x08 /* there is room in the send buffer after a write was cut short */
#define UTCP_FINISHED   0x10 /* the peer has sent all it will (FIN); read to the end */
#define UTCP_SENT       0x20 /* all that was written has been acknowledged */
#define UTCP_ERROR      0x40 /* the connection is dead, utcp_error() says why; close it */
#define UTCP_TROUBLE    0x80 /* with UTCP_OPTION_REPORTS: not all is well, utcp_trouble() says more */
#define UTCP_URGENT     0x100 /* the peer calls data urgent: utcp_urgent() */
#define UTCP_TIMES      0x200 /* after utcp_mark_times(): utcp_take_times() has some */

struct utcp_event {
    struct utcp_conn *conn;         /* NULL for a listener */
    struct utcp_listener *listener; /* NULL for a connection */
    void *user;                     /* what utcp_set_user() or utcp_listen() was given */
    uint32_t events;                /* UTCP_* */
};

/* Takes up to `max` events, at most one for each connection or listener. An event tells of a
 * change; what it tells of may be over when it is read, and reading less than there is gives no
 * second event. */
UTCP_API unsigned utcp_poll(struct utcp *stack, struct utcp_event *events, unsigned max);

/* True when utcp_poll() has something to tell, as it may after utcp_output() as well: there is room in a send
 * buffer again. */
UTCP_API bool utcp_poll_wanted(const struct utcp *stack);

/* ── Connections ─────────────────────────────────────────────────────────────────────────────── */

/* Accepts connections to `local`, whose address may be all zero (any address of its family).
 * `backlog` limits the connections that are not accepted yet, half-open ones included; when it is used
 * up, as many again may come by SYN cookies (enum utcp_syn_cookies) or out of TIME-WAIT. Errors:
 * -EADDRINUSE, -EINVAL, -ENOMEM. The listener is the caller's until utcp_listener_close(). */
UTCP_API int utcp_listen(struct utcp *stack, const struct utcp_endpoint *local, unsigned backlog,
                         void *user, struct utcp_listener **listener);

enum utcp_listen_mode {
    UTCP_LISTEN_ANSWER, /* as it begins */
    UTCP_LISTEN_HOLD,   /* a SYN makes a connection, which is answered when the mode changes */
    UTCP_LISTEN_IGNORE, /* a SYN for no connection is dropped without a word */
};

/* What a listener does with SYNs, for those who hand it over to another stack: while it holds them no
 * peer waits for longer than that takes, and none is turned away. Connections that were begun go on
 * in each mode. */
UTCP_API void utcp_listener_set_mode(struct utcp_listener *listener, enum utcp_listen_mode mode);

/* Ends a listener; connections that were not accepted are reset. */
UTCP_API void utcp_listener_close(struct utcp_listener *listener);

/* The next connection, ready for use, or NULL. It is the caller's until utcp_close() or
 * utcp_abort(). */
UTCP_API struct utcp_conn *utcp_accept(struct utcp_listener *listener, uint64_t now);

/* Begins to connect. UTCP_CONNECTED or UTCP_ERROR will follow. Errors: -EADDRINUSE (the pair of
 * endpoints is in use), -EINVAL, -ENOMEM, -ENOBUFS (connections_max, or memory_max is used up). */
UTCP_API int utcp_connect(struct utcp *stack, uint64_t now, const struct utcp_endpoint *local,
                          const struct utcp_endpoint *remote, void *user, struct utcp_conn **conn);

UTCP_API void utcp_set_user(struct utcp_conn *conn, void *user);
UTCP_API void *utcp_user(const struct utcp_conn *conn);

/* Copies up to `size` bytes out of the receive buffer. 0: the peer has finished. -EAGAIN: nothing
 * there. Other errors: those of utcp_error(), after all that had come before. */
UTCP_API ptrdiff_t utcp_read(struct utcp_conn *conn, uint64_t now, void *buffer, size_t size);

/* The same without a copy: the bytes that are next, in place, valid until the next call on this
 * connection or utcp_input(); as many as lie together. Then utcp_consume() takes them. Returns as
 * utcp_read(). */
UTCP_API ptrdiff_t utcp_peek(struct utcp_conn *conn, const uint8_t **data);
UTCP_API void utcp_consume(struct utcp_conn *conn, uint64_t now, size_t size);
/* The same behind the next `offset` bytes, for who looks further ahead than what lies together. 0: nothing is there
 * (yet). */
UTCP_API size_t utcp_peek_at(const struct utcp_conn *conn, size_t offset, const uint8_t **data);

/* Bytes ready to be read. */
UTCP_API size_t utcp_readable(const struct utcp_conn *conn);

/* Copies up to `size` bytes into the send buffer. What is written before the handshake is done waits
 * for it. Returns how many, or -EAGAIN when the buffer is full, as many wait to be sent as
 * UTCP_OPTION_NOT_SENT_LOW says, or the stack's memory_max is reached
 * (in all three cases, and after a short count, UTCP_WRITABLE will follow), -EPIPE after utcp_shutdown(),
 * -ENOTCONN when the connection has ended in order, -ENOMEM, or utcp_error(). */
UTCP_API ptrdiff_t utcp_write(struct utcp_conn *conn, uint64_t now, const void *data, size_t size);

/* As utcp_write(); and where all of `data` was taken, it ends a record: no segment has bytes from before
 * its end and from behind it, be it sent for the first time or again, and the record's last segment has
 * PSH and leaves without waiting for what follows. It is still one stream, of which a peer may read
 * several records at once. -EAGAIN also when 4096 of them wait to be acknowledged. */
UTCP_API ptrdiff_t utcp_write_record(struct utcp_conn *conn, uint64_t now, const void *data,
                                     size_t size);

/* The same as utcp_write() without a copy: `data` is read when it is sent and when it is retransmitted, and must
 * not change before release(owner) is called, which happens exactly once: when all has been
 * acknowledged, or the connection ends. All of it is taken, or nothing; after an error release() is
 * not called. It counts as one against a limit of 64 references, not against the send buffer. Errors
 * as utcp_write(). release() may be NULL; it must not call into the stack. */
UTCP_API int utcp_write_ref(struct utcp_conn *conn, uint64_t now, const void *data, size_t size,
                            void (*release)(void *owner), void *owner);

/* Bytes written and not yet acknowledged. */
UTCP_API size_t utcp_unacknowledged(const struct utcp_conn *conn);

/* ── When bytes left and arrived ──
 *
 * For programs that measure, and Linux's SO_TIMESTAMPING. Times are those of the stack's clock. */

enum utcp_time_kind {
    UTCP_TIME_SENT = 1,         /* handed to the sink for the first time */
    UTCP_TIME_ACKNOWLEDGED = 2, /* with all bytes before it */
};

struct utcp_time {
    enum utcp_time_kind kind;
    uint32_t tag; /* as utcp_mark_times() was given it */
    uint64_t at;  /* µs */
    uint64_t end; /* bytes of the stream up to the marked one, that included */
};

/* Asks for times, UTCP_TIME_* or both together, of the byte written last; UTCP_TIMES tells when there
 * are some. Errors: -EINVAL (all that was written is acknowledged, or another kind), -ENOMEM, -ENOBUFS
 * (256 marks are not acknowledged, or hundreds of times were not taken). */
UTCP_API int utcp_mark_times(struct utcp_conn *conn, uint64_t now, unsigned kinds, uint32_t tag);
/* Takes up to `max` of them, the oldest first; returns how many. */
UTCP_API unsigned utcp_take_times(struct utcp_conn *conn, struct utcp_time *times, unsigned max);
/* With UTCP_OPTION_ARRIVAL_TIMES: when the byte that was read last came to be readable, that is when
 * nothing was missing before it any more; 0: not known, for it came before the option was set. Of 256
 * moments that are kept for what is not read; where there are more, later ones count for earlier. */
UTCP_API uint64_t utcp_arrived_at(const struct utcp_conn *conn);

/* No more data will be written: a FIN follows the last. */
UTCP_API void utcp_shutdown(struct utcp_conn *conn, uint64_t now);

/* The caller is done with the connection; the handle is void. What was written is still delivered,
 * then the connection ends in order. If data has arrived that nobody read, the peer gets a RST (RFC
 * 2525 section 2.17). */
UTCP_API void utcp_close(struct utcp_conn *conn, uint64_t now);

/* The same, but at once: a RST. */
UTCP_API void utcp_abort(struct utcp_conn *conn, uint64_t now);

/* 0, or why the connection is dead: -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EHOSTUNREACH … */
UTCP_API int utcp_error(const struct utcp_conn *conn);

/* What stands between the connection and its peer, without ending it: what the network said by ICMP since
 * anything was acknowledged (-EHOSTUNREACH, -ENETUNREACH, -ECONNREFUSED, -EPROTO), or -ETIMEDOUT after
 * three retransmissions without an answer (R1 of RFC 9293 section 3.8.3); 0: nothing. */
UTCP_API int utcp_trouble(const struct utcp_conn *conn);

/* Urgent data (RFC 9293 section 3.8.5) are read like any. Returns how many bytes, from what is read
 * next on, the peer calls urgent, those included that have not come yet; 0: none. */
UTCP_API size_t utcp_urgent(const struct utcp_conn *conn);

/* Tells the peer that all that was written up to now is urgent. New applications should not use this
 * (RFC 6093). Errors: -EINVAL (all of it has been acknowledged), -EMSGSIZE (2 GiB and more wait to be),
 * utcp_error(). */
UTCP_API int utcp_mark_urgent(struct utcp_conn *conn, uint64_t now);

enum utcp_option {
    UTCP_OPTION_NODELAY, /* 1: no Nagle algorithm (RFC 9293 section 3.7.4) */
    UTCP_OPTION_CORK, /* 1: send full segments only, until it is 0 again or as much time has passed
                         as a retransmission would take */
    UTCP_OPTION_KEEPALIVE_US, /* idle time before the first probe; 0: none (RFC 9293 section 3.8.4)
                               */
    UTCP_OPTION_USER_TIMEOUT_US, /* how long data may stay unacknowledged, and probes of keep-alive
                                    unanswered, whatever their number; 0: the stack's own limits */
    UTCP_OPTION_KEEPALIVE_INTERVAL_US, /* between probes that are not answered; 0: 75 s */
    UTCP_OPTION_KEEPALIVE_PROBES,      /* not answered, until it is given up; 0: 9 */
    UTCP_OPTION_SEND_BUFFER, /* bytes; 0: as many as the path needs. A write that begins below may go
                                beyond by as much as a packet has, so that what is sent is not in
                                crumbs. There is room again when a third of it is free */
    UTCP_OPTION_RECEIVE_BUFFER, /* bytes, below the stack's limit; 0: it grows up to that.
                                          A window that was told is not taken back */
    UTCP_OPTION_QUICK_ACKS, /* so many acknowledgments are not delayed, from now on, and one that waits
                                is not: while a peer is in slow start each of them lets it send more */
    UTCP_OPTION_MAX_SEGMENT, /* payload of a segment, both ways: before the SYN was sent; 0: what
                                the path has. Options count as payload, as in RFC 6691 */
    UTCP_OPTION_PACING,      /* 1: the window is spread over the round trip; 0: only where the
                                    congestion control says so */
    UTCP_OPTION_SYN_RETRIES, /* times that a SYN is sent again before connecting fails; 0: 7 */
    UTCP_OPTION_FAST_OPEN,   /* RFC 7413. Of a connection, right after utcp_connect(): 1: what is
                                    written before the next utcp_output() goes with the SYN as far as
                                    utcp_syn_room() says; 0: not. Of a listener: so many connections
                                    may be open early, before their handshakes are done; 0: none */
    UTCP_OPTION_FAST_OPEN_NO_COOKIE, /* 1: the same, but cookies are neither asked for nor wanted: for
                                    networks where nobody forges addresses */
    UTCP_OPTION_HOP_LIMIT,           /* of IPv6, time to live of IPv4; 0: 64 */
    UTCP_OPTION_DSCP,            /* differentiated services of what is sent, 0 to 63 (RFC 2474) */
    UTCP_OPTION_REPORTS,         /* 1: UTCP_TROUBLE is told */
    UTCP_OPTION_TELL_TIMEOUT_US, /* tells the peer that data may stay unacknowledged for so long (RFC
                                    5482), and takes the longer of both, 100 s to an hour, for
                                    UTCP_OPTION_USER_TIMEOUT_US when the peer tells its own, unless that
                                    is set; 0: neither */
    UTCP_OPTION_NOT_SENT_LOW, /* bytes: while as many wait to be sent for the first time, nothing is
                                    written; there is room when it is less than half. What waits is
                                    old by the time it leaves, and no more in the cache. 0: 256 KiB, and no
                                    limit where UTCP_OPTION_SEND_BUFFER has set one, or references
                                    wait. -ENOMEM */
    UTCP_OPTION_SYN_COOKIES,  /* of a listener: enum utcp_syn_cookies */
    UTCP_OPTION_ARRIVAL_TIMES, /* 1: utcp_arrived_at() knows of what comes from now on. -ENOMEM */
    UTCP_OPTION_FIN_WAIT_US, /* how long a peer whose data nobody would read may be silent between our
                                  FIN and its own, after utcp_close(); 0: 60 s. -ENOMEM */
    UTCP_OPTION_PACING_MOST, /* bytes/s that are not exceeded, for which UTCP_OPTION_PACING becomes 1; 0: no limit.
                                  -ENOMEM */
};

/* When a listener answers SYNs without keeping anything of them (RFC 4987 section 3.6): a flood of
 * SYNs from forged addresses fills its backlog, but who answers can connect all the same. MSS (as one of
 * eight sizes), window scale, SACK and ECN hold for such a connection, the last three if the peer has
 * timestamps. A SYN-ACK that is lost comes again when the peer sends its SYN again; but where the peer's
 * ACK is lost and it has nothing to say, neither end hears of the other. */
enum utcp_syn_cookies {
    UTCP_SYN_COOKIES_AS_STACK,  /* UTCP_NO_SYN_COOKIES, UTCP_ALWAYS_SYN_COOKIES, or: */
    UTCP_SYN_COOKIES_WHEN_FULL, /* when the backlog is used up */
    UTCP_SYN_COOKIES_ALWAYS,
    UTCP_SYN_COOKIES_NEVER, /* the SYN is dropped then */
};

/* ── SYN cookies from elsewhere ──
 *
 * Somebody who sees SYNs before the stack does, such as an eBPF program at the NIC, can answer them in
 * its place: cookies of the listener's terms (common/syncookie.h has the arithmetic) are taken as those
 * that the stack sends. */

#define UTCP_COOKIE_KEY_SIZE 16

/* What a SYN-ACK for a listener has to say, and the key. */
struct utcp_cookie_terms {
    size_t size; /* in: sizeof(struct utcp_cookie_terms) */
    uint8_t
        key[UTCP_COOKIE_KEY_SIZE]; /* of cookies and of the offsets of timestamps, nothing else */
    uint16_t mss;                  /* to offer */
    uint16_t window;               /* as it stands in the header */
    uint8_t window_scale;          /* to offer */
    uint8_t hop_limit, dscp;
    uint8_t options; /* UTCP_COOKIE_*: agreed on if the SYN asks for it; and but for the timestamps
                        themselves only with those */
};

#define UTCP_COOKIE_TIMESTAMPS   0x1
#define UTCP_COOKIE_WINDOW_SCALE 0x2
#define UTCP_COOKIE_SACK         0x4
#define UTCP_COOKIE_ECN          0x8

/* They hold until an option of the listener, the stack's flags or the MTU change. Fast open is not
 * for SYNs that somebody else answers. -EOPNOTSUPP: the listener wants no cookies, or no SYNs for now. */
UTCP_API int utcp_listener_cookie_terms(const struct utcp_listener *listener,
                                        struct utcp_cookie_terms *terms);

/* Others answer SYNs for the listener from now on, or (not `begun`) do so no more. Their clock is
 * `now`'s, but may be late by some milliseconds, never early: PAWS. */
UTCP_API void utcp_listener_cookies_elsewhere(struct utcp_listener *listener, uint64_t now,
                                              bool begun);

/* SYNs that found the listener's backlog used up, since it began to listen. */
UTCP_API uint64_t utcp_listener_overflows(const struct utcp_listener *listener);

/* The key of SYN cookies; without, the stack makes one from its secret. Stacks that share an address
 * share it, where somebody answers SYNs for all of them. For a stack that has no connections yet. */
UTCP_API void utcp_set_cookie_key(struct utcp *stack, const uint8_t key[UTCP_COOKIE_KEY_SIZE]);

/* Errors: -EINVAL. */
UTCP_API int utcp_set_option(struct utcp_conn *conn, enum utcp_option option, uint64_t value);

/* The name of a congestion control, counted from 0, the default; NULL: there are not so many. */
UTCP_API const char *utcp_congestion_name(unsigned index);

/* Chooses the connection's congestion control, before or after it is established: it goes on with
 * the window that there is. `name` as in struct utcp_config. Errors: -ENOENT (unknown). */
UTCP_API int utcp_set_congestion(struct utcp_conn *conn, const char *name);

/* For the connections that it will have, before their SYN is answered: UTCP_OPTION_MAX_SEGMENT,
 * UTCP_OPTION_RECEIVE_BUFFER, UTCP_OPTION_FAST_OPEN, UTCP_OPTION_FAST_OPEN_NO_COOKIE,
 * UTCP_OPTION_HOP_LIMIT, UTCP_OPTION_DSCP, UTCP_OPTION_QUICK_ACKS; and UTCP_OPTION_SYN_COOKIES. Others are
 * set on the connection. -EINVAL, -ENOMEM. */
UTCP_API int utcp_listener_set_option(struct utcp_listener *listener, enum utcp_option option,
                                      uint64_t value);

/* ── Fast open (RFC 7413) ────────────────────────────────────────────────────────────────────────
 *
 * Saves a round trip: a client's first data go with its SYN, and the server answers them before the
 * handshake is done. Both have to ask for it, by UTCP_OPTION_FAST_OPEN. The client needs a cookie from
 * an earlier connection to that address, which the stack remembers (of 256 servers or paths); without
 * one its SYN asks for one, and data go out as ever. A SYN may arrive twice, so what it carries must do
 * no harm when it is done twice.
 *
 * The server's connection is accepted when its SYN comes, in SYN-RECEIVED, and may be written to. Where
 * the limit is reached, or the cookie is wrong, all goes on without. Where a path has lost such SYNs
 * twice in a row, it is not tried there for four minutes, and twice as long with each further time. */

#define UTCP_FAST_OPEN_KEY_SIZE 16

/* Bytes that are written now and will go with the SYN, which has not been sent yet. 0: none, for lack
 * of a cookie, or because fast open was not asked for. */
UTCP_API size_t utcp_syn_room(const struct utcp_conn *conn);

/* The keys, of UTCP_FAST_OPEN_KEY_SIZE random bytes, of the cookies that listeners give: `key` for all
 * that are given from now on, `previous`, or NULL, for those that were given before and still are to
 * be accepted. Without, the stack makes one from its secret. Servers that share an address share keys;
 * a cookie is what Linux makes with the same key (TCP_FASTOPEN_KEY). -EINVAL. */
UTCP_API int utcp_set_fast_open_keys(struct utcp *stack, const uint8_t *key,
                                     const uint8_t *previous);
/* The same for one listener, instead of its stack's. -EINVAL, -ENOMEM. */
UTCP_API int utcp_listener_set_fast_open_keys(struct utcp_listener *listener, const uint8_t *key,
                                              const uint8_t *previous);

/* Forgets all cookies, and which paths failed: for who is on another network now. */
UTCP_API void utcp_forget_fast_open(struct utcp *stack);

/* Why a client's data did not go with its SYN. */
enum utcp_fast_open_failure {
    UTCP_FAST_OPEN_FINE, /* they did, or nobody asked for it */
    UTCP_FAST_OPEN_NO_COOKIE,
    UTCP_FAST_OPEN_DATA_NOT_ACKED,
    UTCP_FAST_OPEN_SYN_LOST,
};

/* The states of RFC 9293 section 3.3.2. */
enum utcp_state {
    UTCP_CLOSED,
    UTCP_LISTEN,
    UTCP_SYN_SENT,
    UTCP_SYN_RECEIVED,
    UTCP_ESTABLISHED,
    UTCP_FIN_WAIT_1,
    UTCP_FIN_WAIT_2,
    UTCP_CLOSE_WAIT,
    UTCP_CLOSING,
    UTCP_LAST_ACK,
    UTCP_TIME_WAIT,
};

UTCP_API const char *utcp_state_name(enum utcp_state state);

/* What is known of a connection. */
struct utcp_info {
    size_t size; /* in: sizeof(struct utcp_info) */
    enum utcp_state state;
    struct utcp_endpoint local, remote;
    const char *congestion;
    uint32_t mss;         /* bytes of payload that a full segment carries */
    uint32_t send_window; /* bytes, scaled */
    uint32_t receive_window;
    uint8_t send_scale, receive_scale;
    bool timestamps, window_scale;
    uint32_t cwnd, ssthresh; /* bytes */
    uint32_t in_flight;      /* bytes */
    uint64_t srtt_us, rttvar_us, rto_us;
    uint64_t bytes_in, bytes_out; /* of payload, in order, acknowledged */
    uint64_t segments_in, segments_out, segments_retransmitted;
    uint64_t fast_retransmits, timeouts;
    uint32_t out_of_order_bytes; /* waiting for a hole to be filled */
    bool ecn;                    /* is used (RFC 3168, or ecn_accurate) */
    uint64_t ecn_marked_in;      /* packets that came with a mark of congestion */
    uint64_t ecn_reductions;     /* of the window, for marks that the peer echoed */
    uint64_t pacing_rate;        /* bytes/s; 0: not paced */
    bool sack;                   /* is used (RFC 2018) */
    bool reordering;             /* the path was seen to change the order of segments (RFC 8985) */
    uint32_t sacked, lost; /* bytes that the peer has beyond a hole; that are to be sent again */
    uint64_t min_rtt_us;   /* 0: not known */
    uint64_t spurious_recoveries; /* undone: nothing had been lost */
    uint64_t tail_probes;         /* RFC 8985 section 7 */
    uint64_t duplicates_reported; /* by the peer (RFC 2883) */
    bool recovering;              /* fast recovery goes on (RFC 5681 section 3.2, RFC 6675) */
    bool after_timeout;           /* what was in flight at a timeout is not acknowledged yet */
    uint16_t receive_mss; /* bytes of payload that the peer was told to send, options counted */

    /* Sent. A large send counts as the segments that it is cut into. */
    uint16_t path_mtu;          /* bytes of IP packet */
    uint32_t outstanding;       /* bytes sent and not acknowledged, in whatever way; `in_flight` is
                                    those that are believed to be in the network */
    uint32_t outstanding_again; /* … of which were sent more than once, and are not lost again */
    uint64_t unsent;            /* bytes written and never sent */
    uint64_t bytes_sent;        /* of payload, what was sent again included */
    uint64_t bytes_retransmitted;
    uint64_t data_segments_out;      /* with payload, of segments_out */
    uint64_t bytes_delivered;        /* acknowledged, in whatever way */
    uint64_t bytes_delivered_marked; /* … with the peer's echo of congestion marks (ECN) */
    uint64_t delivery_rate; /* bytes/s, by the last sample; 0: none. Of a congestion control that
                                    wants rates, else that of the last whole round trip */
    bool delivery_rate_limited;  /* … for which the application had written too little */
    bool reduced;                /* the window was reduced within the last round trip */
    uint8_t backoff;             /* doublings that rto_us has in it */
    uint8_t retries;             /* timeouts in a row, of window probes too */
    uint8_t keepalive_probes;    /* not answered */
    uint32_t timeout_recoveries; /* times that one or more timeouts, SYNs' too, came in a row */
    uint64_t timeout_time_us;    /* from the first of those until something was acknowledged */
    uint32_t reordered;          /* ranges seen to arrive behind what was sent later */
    uint32_t reordering_bytes;   /* most from the beginning of one to the end of what had come */
    /* How long there was something to send or unacknowledged, and of that: how long the peer's window
     * held it back; how long the send buffer was all sent while a writer waited for room in it. */
    uint64_t busy_us, window_limited_us, buffer_limited_us;

    /* Received. A packet that was merged on its way counts as one segment. */
    uint64_t data_segments_in;   /* with payload, of segments_in */
    uint64_t out_of_order_in;    /* … that came before what precedes them */
    uint32_t receive_segment;    /* payload that is taken for a full segment of the peer's */
    uint32_t receive_buffer;     /* bytes that the receive window may have now */
    uint32_t receive_buffer_max; /* … and grow to */
    uint64_t receive_round_us;   /* the round-trip time that the receive window follows: by the
                                         echoes of timestamps, else srtt_us; 0: not known */
    uint64_t readable;           /* bytes */
    uint64_t delayed_ack_us;     /* most that an acknowledgment is delayed */

    /* Times ago, in µs; UINT64_MAX: never. Without data the connection's beginning counts. */
    uint64_t data_sent_ago_us, data_received_ago_us, heard_ago_us;

    /* Fast open */
    bool syn_data; /* data went with the SYN, and were taken: ours by the peer, or its by us */
    enum utcp_fast_open_failure fast_open_failure;
    uint16_t syn_data_bytes; /* of ours that the peer has taken with the SYN, at most */

    /* Accurate ECN (RFC 9768); all 0 without it. Then ecn_marked_in counts packets without payload, too. */
    bool ecn_accurate;        /* is used */
    bool ecn_options;         /* the peer's options arrive */
    uint64_t ecn_marked_told; /* packets of ours that met congestion, as the peer tells */
    /* Bytes of payload that came as ECT(0), as ECT(1), and marked; ours, as the peer's options tell, or
     * as was estimated where there were none. */
    uint64_t ecn_ect0_in, ecn_ect1_in, ecn_ce_in;
    uint64_t ecn_ect0_told, ecn_ect1_told, ecn_ce_told;
};

UTCP_API void utcp_info(const struct utcp_conn *conn, struct utcp_info *info);

/* The state of the connection between two endpoints, whoever holds it; UTCP_CLOSED: there is none. */
UTCP_API enum utcp_state utcp_state_between(const struct utcp *stack,
                                            const struct utcp_endpoint *local,
                                            const struct utcp_endpoint *remote);

/* Calls `visit` for each connection there is, whoever holds it, TIME-WAIT included. It must not call
 * into the stack. */
UTCP_API void utcp_for_each(const struct utcp *stack,
                            void (*visit)(void *context, const struct utcp_endpoint *local,
                                          const struct utcp_endpoint *remote,
                                          enum utcp_state state),
                            void *context);

/* The same a few at a time, for those who must not be away for long: visits the connections of one of
 * the stack's table's places, few or none, and returns where to go on, or 0 when that was the last. Begin
 * with a cursor of 0. Between the calls connections may come and go: one that lives all the while is
 * visited, and once, unless it enters TIME-WAIT meanwhile or the table of those shrinks. `visit` may call
 * utcp_info(), and nothing else of the stack; `conn` is good until it returns. Of a connection in TIME-WAIT
 * that nobody holds only endpoints, bytes, the window and options are told; all else is 0, or never was. */
UTCP_API uint64_t utcp_scan(const struct utcp *stack, uint64_t cursor,
                            void (*visit)(void *context, const struct utcp_conn *conn),
                            void *context);

/* ── Traces ──────────────────────────────────────────────────────────────────────────────────── */

enum utcp_trace_kind {
    UTCP_TRACE_STATE,    /* from, to */
    UTCP_TRACE_SENT,     /* a segment: seq, ack, window, length, flags */
    UTCP_TRACE_RECEIVED, /* the same, before it is looked at */
    UTCP_TRACE_DROPPED, /* the segment received last: reason, a counter's name in struct utcp_stats */
    UTCP_TRACE_REDUCED,    /* the congestion window was: reason is "loss", "mark" or "timeout" */
    UTCP_TRACE_UNDONE,     /* that was a mistake */
    UTCP_TRACE_TIMEOUT,    /* the retransmission timer ran out */
    UTCP_TRACE_TAIL_PROBE, /* RFC 8985 */
};

/* What does not belong to its kind is zero. */
struct utcp_trace_event {
    enum utcp_trace_kind kind;
    uint64_t now; /* µs of the stack's clock */
    const struct utcp_conn *conn;
    const char *reason;
    enum utcp_state from, to;
    uint32_t seq, ack; /* counted from the SYNs of each side, which are 0 */
    uint32_t window;   /* bytes, scaled */
    uint32_t length;   /* of payload; large sends and merged packets are one segment here */
    uint8_t flags;     /* TCP_* of the header */
    bool again;        /* sent before, in whole or in part */
    bool ae;           /* the flag before those: with CWR and ECE the ACE field of RFC 9768 */
};

struct utcp_tracer {
    /* Whether a connection that begins is traced; NULL: none is, but by utcp_trace(). */
    bool (*wanted)(void *context, const struct utcp_endpoint *local,
                   const struct utcp_endpoint *remote);
    /* Must not call into the stack, but for utcp_info() of the connection. */
    void (*event)(void *context, const struct utcp_trace_event *event);
    void *context;
};

/* NULL: no more events. `tracer` is copied. Who is not traced pays nothing for it. */
UTCP_API void utcp_set_tracer(struct utcp *stack, const struct utcp_tracer *tracer);
/* Begins or ends the trace of a connection. Without a tracer it has no effect. */
UTCP_API void utcp_trace(struct utcp_conn *conn, bool on);

#ifdef __cplusplus
}
#endif

#endif
