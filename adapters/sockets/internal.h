/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share; sockets.h has the theory. */
#ifndef MS_SOCKETS_INTERNAL_H
#define MS_SOCKETS_INTERNAL_H

#include "sockets.h"

#include <linux/tcp.h>

#define SOCKETS_MAX 65536
#define NEVER       UINT64_MAX

#define CONGESTION_NAME_SIZE 16 /* TCP_CA_NAME_MAX of Linux */

enum socket_kind {
    SOCKET_NEW, /* neither of the others yet */
    SOCKET_LISTENS,
    SOCKET_CONNECTS, /* has a connection, or had one */
    SOCKET_EPOLL,
};

/* The byte that is out of band: urgent.c. */
enum urgent {
    URGENT_NONE,
    URGENT_TOLD,  /* the peer says where it is; it may be here, or not yet */
    URGENT_TAKEN, /* recv(MSG_OOB) gave it, the stream was not read beyond it */
};

/* What a socket is told before there is a connection to tell it to, and what an accepted one takes
 * over from its listener. Times in the units of their options. */
struct socket_options {
    int reuse_address, reuse_port, keepalive, nodelay, cork, quickack, linger_on, linger_seconds;
    int keepalive_idle, keepalive_interval, keepalive_count; /* s, s, probes */
    int syn_count;                                           /* TCP_SYNCNT */
    int user_timeout;                                        /* ms */
    int receive_buffer, send_buffer; /* bytes as SO_RCVBUF tells them; 0: automatic */
    int window_clamp;                /* bytes; 0: none */
    int max_segment;                 /* bytes; 0: what the path has */
    int type_of_service, hop_limit, v6_only, low_water;
    int not_sent_low; /* TCP_NOTSENT_LOWAT, an unsigned number; 0: what the host said */
    int fast_open, fast_open_connect, fast_open_no_cookie; /* TCP_FASTOPEN…; the first: a limit */
    int zerocopy, tell_left;                               /* SO_ZEROCOPY, TCP_INQ */
    /* kept: nothing here depends on them */
    int mark, priority, free_bind, path_mtu_discovery, debug, dont_route, broadcast, urgent_inline,
        busy_poll, bind_no_port, no_check;
    int receive_errors;                        /* IP_RECVERR */
    uint64_t max_pacing;                       /* SO_MAX_PACING_RATE: bytes/s; UINT64_MAX: none */
    int fin_wait;                              /* TCP_LINGER2: s */
    int defer_accept;                          /* TCP_DEFER_ACCEPT: s, as the kernel rounds them */
    char congestion[CONGESTION_NAME_SIZE];     /* as it was asked for; "": the stack's */
    int timestamp, timestamp_ns, timestamping; /* SO_TIMESTAMP…; the last: SOF_… */
    uint64_t receive_timeout, send_timeout;    /* µs; 0: none */
};

struct watch;    /* readiness.c */
struct note;     /* notes.c */
struct deferral; /* defer.c */

struct socket {
    enum socket_kind kind;
    int family; /* AF_* */
    bool nonblocking, close_on_exec;
    struct utcp_endpoint local, remote; /* local.family 0: not bound */
    struct utcp_endpoint
        bound; /* `local`, as bind() left it: what remains when a connection is gone */

    struct utcp_listener *listeners[2]; /* the second: IPv4 beside an IPv6 wildcard */
    struct utcp_conn *ahead;            /* taken from the stack, not accepted yet: it can be seen */
    struct deferral *deferrals;         /* taken, and not to be seen yet */

    uint64_t heard_at; /* when something came that may be answered; 0: nothing has */

    int backlog; /* of a listener, as listen() was told */

    bool deferred; /* connected, says TCP_FASTOPEN_CONNECT; the first write does it */
    uint8_t fast_keys;
    uint8_t fast_key[2][UTCP_FAST_OPEN_KEY_SIZE];

    struct utcp_conn *conn; /* NULL when it has failed */
    bool connecting;        /* in the handshake */
    bool told;              /* connect() has told that it succeeded */
    bool finished;          /* the peer sends no more */
    bool shut_read, shut_write;
    bool write_blocked; /* the send buffer is full */
    bool more;          /* the last send said MSG_MORE */
    int error;          /* to be told once, by SO_ERROR or by whatever call comes first */
    int trouble_told;   /* by SO_ERROR, of utcp_trouble() */
    uint64_t cookie;    /* SO_COOKIE; 0: nobody has asked */

    uint32_t arrivals,
        departures; /* what edge-triggered epoll counts: news to read, room to write */
    struct socket_options options;
    struct watch *watches; /* of an epoll */
    struct note *notes;    /* the error queue: notes.c */
    uint32_t zerocopy_sends;
    uint64_t stamps_from; /* byte of the stream from which SOF_TIMESTAMPING_OPT_ID counts */

    uint64_t read; /* bytes of the stream that were */
    enum urgent urgent;
    uint64_t urgent_at; /* the byte of the stream that is out of band */
};

struct sockets {
    struct utcp *stack;
    uint32_t not_sent_low; /* of sockets that say nothing of it; 0: UTCP's default */
    struct sockets_host host;
    struct socket **table; /* by descriptor */
    uint32_t size;
    unsigned fast_open; /* SOCKETS_FAST_OPEN_* */
    unsigned quick_acks;
    uint64_t cookies;                /* the last that was given */
    const char *congestion;          /* of sockets that say nothing of it */
    int receive_buffer, send_buffer; /* that they tell of, the same */
};

static inline uint64_t sockets__now(const struct sockets *sockets)
{
    return sockets->host.now(sockets->host.context);
}

static inline void sockets__kick(const struct sockets *sockets)
{
    sockets->host.kick(sockets->host.context);
}

/* NULL: no such descriptor. */
struct socket *sockets__get(const struct sockets *sockets, int fd);
/* A descriptor for a new socket, or a negative errno. */
int sockets__new(struct sockets *sockets, enum socket_kind kind, struct socket **made);

/* The connection that accept() would take, which stays there until it does; NULL: none waits. */
struct utcp_conn *sockets__look_ahead(struct sockets *sockets, struct socket *socket);

/* Waits within a call that began at `since`: 0, -EAGAIN when the socket must not wait or has waited
 * for `timeout_us` (0: no limit). */
int sockets__wait(struct sockets *sockets, bool nonblocking, uint64_t since, uint64_t timeout_us);
/* The error that waits to be told, as a negative errno, and told it is; 0: none. */
int sockets__take_error(struct socket *socket);

/* Something is written. Where that is soon after something came, the two sides talk in turns: what comes
 * next is likely to be answered as well, and the answer brings the acknowledgment, so none at the start of
 * the connection is hurried any more. Linux calls it an interactive session. */
void sockets__answers(const struct sockets *sockets, const struct socket *socket);

/* What poll(2) would say now, POLL*. */
unsigned sockets__readiness(struct sockets *sockets, struct socket *socket);
/* A socket goes; nobody watches it any more. An epoll goes with its watches. */
void sockets__unwatch(struct sockets *sockets, const struct socket *socket);
void sockets__dispose_watches(struct socket *socket);

/* What TCP_INFO gives, tcp_info.c. Debian's header has no more than Linux 6.1 had. */
struct tcp_info_now {
    struct tcp_info before;
    uint32_t rcv_wnd;                         /* 6.2 */
    uint32_t rehash;                          /* 6.2: of the route's path; none here */
    uint16_t total_rto, total_rto_recoveries; /* 6.7 */
    uint32_t total_rto_time;                  /* 6.7: ms */
    /* Accurate ECN, 6.18 and later: packets that came marked, bytes of ours by what they arrived as, the peer's */
    uint32_t received_ce;
    uint32_t delivered_ect1_bytes, delivered_ect0_bytes, delivered_ce_bytes;
    uint32_t received_ect1_bytes, received_ect0_bytes, received_ce_bytes;
    uint32_t ecn_mode : 2;        /* enum tcp_info_ecn */
    uint32_t accecn_opt_seen : 2; /* 2: with counters */
    uint32_t : 28;                /* why it is not used, and more options: nothing here */
};

enum tcp_info_ecn { TCP_INFO_ECN_NONE, TCP_INFO_ECN_CLASSIC, TCP_INFO_ECN_ACCURATE };

/* What kernels to come, and programs built for them, may have behind it is zero. */
union sockets_tcp_info {
    struct tcp_info_now now;
    uint8_t room[512];
};

void sockets__tcp_info(const struct socket *socket, union sockets_tcp_info *info);

#define NO_TIME UINT64_MAX

struct sock_extended_err;
/* Goes to the error queue, with a time (µs) or NO_TIME; `cut`: a packet that is not given belongs to it. */
void sockets__note(struct socket *socket, const struct sock_extended_err *error, uint64_t at,
                   bool cut);
/* A send with MSG_ZEROCOPY was taken. */
void sockets__note_zerocopy(struct socket *socket);
void sockets__dispose_notes(struct socket *socket);

/* Control messages that a call gives. */
struct control {
    struct msghdr *message;
    size_t room, used; /* bytes of the caller's */
};

void sockets__put_control(struct control *control, int level, int type, const void *data,
                          size_t size);

/* ── timestamps.c ──────────────────────────────────────────────────────────────────────────── */

/* 0 or a negative errno. */
int sockets__set_timestamping(struct socket *socket, const void *value, socklen_t length);
void sockets__apply_timestamps(const struct socket *socket, struct utcp_conn *conn);
/* What a sendmsg(2) says of stamps: SOF_TIMESTAMPING_TX_*, or -1: what the socket says. 0 or an errno. */
int sockets__stamps_of(const struct msghdr *message, int *stamps);
/* Something was written; `stamps` as above. */
void sockets__stamp_send(const struct sockets *sockets, struct socket *socket, int stamps);
/* The connection has times to tell. */
void sockets__note_times(struct socket *socket);
void sockets__put_time(struct control *control, uint64_t at);
/* Of what was read last. */
void sockets__put_arrival(struct control *control, const struct socket *socket);

/* ── urgent.c ────────────────────────────────────────────────────────────────────────────────── */

/* UTCP has news of urgent data. */
void sockets__urgent_told(const struct sockets *sockets, struct socket *socket);
/* The out-of-band byte is the next of the stream. */
bool sockets__at_mark(const struct socket *socket);
/* And reads leave it out. */
bool sockets__skips_mark(const struct socket *socket);
/* Bytes from `offset` behind what is read next up to the mark, which may not have come yet; SIZE_MAX: it is not ahead. */
size_t sockets__up_to_mark(const struct socket *socket, size_t offset);
/* Bytes that one read could give. */
size_t sockets__readable_to_mark(const struct socket *socket);
/* recv(MSG_OOB) would give a byte. */
bool sockets__urgent_to_be_read(const struct socket *socket);
/* `size` bytes of the stream were read, no more than are there. */
void sockets__pass(const struct sockets *sockets, struct socket *socket, size_t size);
ssize_t sockets__receive_urgent(struct socket *socket, const struct iovec *pieces, size_t count,
                                int flags);

/* ── defer.c ───────────────────────────────────────────────────────────────────────────────── */

/* Takes a connection of the listener's that is not to be seen yet; false: it is to be seen. */
bool sockets__defer(const struct sockets *sockets, struct socket *socket, struct utcp_conn *conn);
/* One that is to be seen now, or NULL. */
struct utcp_conn *sockets__deferral_over(const struct sockets *sockets, struct socket *socket);
/* When the next will be because of the time. */
uint64_t sockets__next_deferral(const struct sockets *sockets);
void sockets__dispose_deferrals(const struct sockets *sockets, struct socket *socket);
int sockets__deferral_seconds(int seconds);

/* ── options.c ─────────────────────────────────────────────────────────────────────────────── */

/* Tells the connection what the options say. */
void sockets__apply_options(const struct sockets *sockets, const struct socket *socket,
                            struct utcp_conn *conn);
void sockets__apply_quick_acks(const struct sockets *sockets, const struct socket *socket,
                               struct utcp_conn *conn);
/* Once, when there is one. */
void sockets__apply_congestion(const struct socket *socket, struct utcp_conn *conn);
void sockets__apply_listener_options(const struct sockets *sockets, const struct socket *socket);

/* ── socket.c, transfer.c, for fastopen.c ──────────────────────────────────────────────────── */

/* SO_RCVLOWAT, but no more than can come. */
size_t sockets__low_water(const struct socket *socket);

/* 0 or a negative errno. */
int sockets__endpoint_of(const struct socket *socket, const struct sockaddr *address,
                         socklen_t length, struct utcp_endpoint *endpoint);
/* The SYN goes out with the next sockets__kick(). 0 or a negative errno. */
int sockets__begin_connecting(struct sockets *sockets, struct socket *socket,
                              const struct utcp_endpoint *remote);
/* Writes what the send buffer takes of `wanted` bytes, from `done` on; with MSG_EOR in `flags` a record
 * ends there, when all was taken. Returns how much, or an error. */
ssize_t sockets__put(struct sockets *sockets, struct socket *socket, const struct iovec *pieces,
                     size_t count, size_t done, size_t wanted, int flags);
/* Sends all, of which `done` bytes are sent already; returns how much of all. */
ssize_t sockets__send_rest(struct sockets *sockets, int fd, struct socket *socket,
                           const struct iovec *pieces, size_t count, int flags, size_t done);

/* ── fastopen.c ────────────────────────────────────────────────────────────────────────────── */

#define SOCKETS_DEFERRED 1

void sockets__fast_open_listener(const struct sockets *sockets, const struct socket *socket,
                                 struct utcp_listener *listener);
/* For TCP_FASTOPEN_CONNECT: SOCKETS_DEFERRED, or 0: it is connecting, or a negative errno. */
int sockets__connect_fast(struct sockets *sockets, struct socket *socket,
                          const struct utcp_endpoint *remote);
/* Whether this write connects; then it is this one that does it. */
bool sockets__sends_fast(const struct socket *socket, int flags);
ssize_t sockets__send_fast(struct sockets *sockets, int fd, struct socket *socket,
                           const struct iovec *pieces, size_t count, int flags,
                           const struct sockaddr *address, socklen_t length);
/* 0 or a negative errno. */
int sockets__may_set_fast_open(const struct sockets *sockets, const struct socket *socket,
                               int name);
int sockets__set_fast_open_key(struct sockets *sockets, struct socket *socket, const void *value,
                               socklen_t length);

#endif
