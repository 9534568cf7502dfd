/* SPDX-License-Identifier: BSD-2-Clause */
/* The HTTP server: connections over a transport, files from a cache.
 *
 * ── What happens when ──────────────────────────────────────────────────────────────────────────
 *
 *   server_run()          the loop: transport->step(), then timers and whoever was put off
 *   └ server_events()     the batch of events of a step
 *     ├ accept            connections are taken from a pool; none is allocated for a request
 *     └ connection_run()  (connection.c) read → http_parse() → response_build() → send, as long as
 *                         there is something to do and it is this connection's turn
 *
 * A connection has no buffer of its own. What is read goes to the server's scratch memory and is
 * parsed there; only when a turn ends with half a request, or with half a response header unsent,
 * is the rest put into a buffer of the pool. So an idle connection costs its struct alone.
 *
 * ── A connection's life ────────────────────────────────────────────────────────────────────────
 *
 *   PHASE_HEAD ──► PHASE_BODY, PHASE_CHUNKS ──► PHASE_HEAD …      (bodies are skipped: nothing that
 *        │                    │                                   is served here has use for one)
 *        └─── closing ────────┴──► PHASE_LINGER ──► released
 *
 * Responses leave in the order of the requests, because the next request is not parsed before the
 * response to the last has been handed to the transport whole.
 *
 * ── Limits (hostile.md A2) ─────────────────────────────────────────────────────────────────────
 *
 *   header 10 s from the first byte (or from accepting) to the last; body 60 s, 1 MiB; idle 60 s;
 *   a peer that takes nothing for 30 to 60 s is cut off (all of these are options);
 *   REQUESTS_PER_TURN requests, or BYTES_PER_TURN bytes, until the next connection has its turn; what
 *   is unacknowledged is bounded by transport->congested(). When connections_max are served and more
 *   want to be, who has kept a place for longest without using it gives way (make_room()). */
#ifndef SERVER_H
#define SERVER_H

#include "access_log.h"
#include "file_cache.h"
#include "http_parser.h"
#include "transport.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/queue.h>

#define BUFFER_SIZE   16384
#define RESPONSE_MAX  4096 /* bytes of a response without its file */
#define RESPONSE_NAME "mshttpd"

static_assert(BUFFER_SIZE > HTTP_HEAD_MAX, "a head and one byte fit");

enum timer {
    TIMER_HEADER,
    TIMER_BODY,
    TIMER_IDLE,
    TIMER_WRITE,
    TIMER_LINGER,
    TIMERS,
    TIMER_NONE = TIMERS,
};

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_CHUNKS, PHASE_LINGER };

struct connection {
    struct transport_conn transport; /* first: an event's `conn` is the connection */
    struct server *server;
    TAILQ_ENTRY(connection) timer_link;
    TAILQ_ENTRY(connection) later_link; /* on `later`, when put_off */
    uint64_t since;                     /* µs: when the timer was started */
    uint64_t mark;                      /* outstanding bytes when the peer was looked at last */
    uint8_t timer, phase;
    bool put_off;
    bool may_read; /* the transport has said so, and no read has come back short since */
    bool finished; /* the peer's end is behind what can be read */
    bool ended;    /* the end has been read */
    bool progress; /* the timer is to start anew, should it run already */
    bool closing;  /* after what is to be sent */
    bool linger;   /* the peer may still be sending: wait for it before closing */

    char *input; /* a buffer of the pool, or NULL: none, or the scratch memory during a turn */
    char *data;  /* in it */
    uint32_t data_size;
    struct http_parser parser;
    union {
        uint64_t left; /* of the body */
        struct http_chunks chunks;
    } body;

    /* What is still to be handed to the transport. */
    char *head_buffer; /* of the pool, or NULL as above */
    const char *head;
    uint32_t head_size;
    struct file *file;
    uint64_t offset, length;
};

TAILQ_HEAD(connection_list, connection);

/* Memory of one size, taken and given back without malloc(). */
struct pool {
    void *free;
    size_t size;
};

struct server {
    struct transport *transport;
    const struct transport_ops *ops;
    struct file_cache *files;
    struct access_log *log; /* or NULL */
    unsigned connections, connections_max;
    uint64_t timeouts[TIMERS]; /* µs */
    bool accept_pending;       /* a listener may have connections that were not taken */
    uint64_t accept_retry;
    bool stopping;
    uint64_t through_until; /* µs: `leaving`, and nothing left; UINT64_MAX: there is */
    bool leaving; /* others have the listeners: connections end with their next response */
    struct connection_list timers[TIMERS];
    struct connection_list later; /* had their turn and have more to do */
    struct pool connection_pool, buffer_pool;

    uint64_t work_rounds, work_result; /* work.h */
    uint64_t date_until;               /* µs: when `begin` is to be made anew */
    uint32_t begin_size;
    char begin[128]; /* "HTTP/1.1 200 OK", Server and Date, lines with their CRLF */
    char scratch[BUFFER_SIZE];
    char response[RESPONSE_MAX];
};

struct server_options {
    const char *root;
    unsigned connections_max;
    uint64_t header_timeout, body_timeout, idle_timeout; /* s */
    uint64_t write_timeout; /* s without any progress, looked at twice */
    const char *access_log; /* path, "-", or NULL */
    uint64_t work_rounds;   /* of computation for each request, work.h */
};

/* Opens the root and the log; errors are told on standard error. `server` is large and zero. */
bool server_init(struct server *server, const struct server_options *options);

/* Ends what is left, and frees all but the struct. */
void server_dispose(struct server *server);

/* The handler for server->transport, which the caller opens between server_init() and server_run().
 */
void server_events(void *server, const struct transport_event *events, unsigned count);

/* The handler of a hand-over. */
void server_handed_over(void *server, bool away);
void server_suspended(void *server, const struct sockaddr *address, int error);
void server_guarded(void *server, const struct sockaddr *address, int status);

/* Serves until *stop is set (and the transport woken), then finishes what is in flight; or until all
 * listeners were handed over and no connection is left. 0, or a negative errno. */
int server_run(struct server *server, const atomic_bool *stop);

/* ── Between server.c and connection.c ───────────────────────────────────────────────────────── */

void connection_begin(struct connection *connection);
void connection_event(struct connection *connection, unsigned flags);
void connection_run(struct connection *connection);
void connection_timeout(struct connection *connection);
/* Ends it, whatever it waits for: its place is wanted. */
void connection_give_way(struct connection *connection);
/* The server goes down: true when there is nothing to be finished. Whose first request has not come yet is
 * not idle: it is on its way. */
bool connection_is_idle(const struct connection *connection);
void connection_end(struct connection *connection);

void *server_buffer(struct server *server);
void server_free_buffer(struct server *server, void *buffer);
void server_free_connection(struct server *server, struct connection *connection);
void server_put_off(struct server *server, struct connection *connection);
void server_start_timer(struct server *server, struct connection *connection, enum timer timer);

/* ── response.c ──────────────────────────────────────────────────────────────────────────────── */

struct response {
    uint16_t status;
    uint32_t size;           /* bytes in server->response: the head, and the body of an error */
    uint32_t body;           /* how many of these are the body */
    struct file *file;       /* the body, a reference that is the caller's; or NULL */
    uint64_t offset, length; /* … and which part of it */
};

/* Answers a request whose head lies at `data`. `keep_alive`: the connection goes on afterwards. */
void response_build(struct server *server, const struct http_request *request, const char *data,
                    bool keep_alive, struct response *response);

/* Answers with a status alone. `request` may be NULL: it was not understood. */
void response_build_status(struct server *server, const struct http_request *request,
                           uint16_t status, bool keep_alive, struct response *response);

/* Brings server->begin up to date. */
void response_set_date(struct server *server, uint64_t now);

#endif
