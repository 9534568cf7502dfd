/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools, timers, accepting, the loop, and the end of it. */
#include "server.h"

#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND         UINT64_C(1000000) /* µs */
#define ACCEPT_BATCH   256               /* connections taken until the others have their turn */
#define ACCEPT_RETRY   (SECOND / 10)     /* when there was no descriptor to be had */
#define FINISH_WITHIN  (10 * SECOND)     /* for what is in flight when the server goes down */
#define BEGIN_WITHIN   (5 * SECOND)      /* for a request that is on its way then, from accepting */
#define DELIVER_WITHIN (2 * SECOND)      /* for what is then still unacknowledged */
#define REST           (9 * SECOND)      /* of FINISH_WITHIN, when idle connections are ended */
#define LINGER         SECOND            /* the last acknowledgment may have to be sent again */

#define LINGER_WITHIN (2 * SECOND)

/* How long a connection is left in peace, in each of the things that it may be waiting for, while
 * newcomers find every place taken; and in which order they give way. */
static const struct {
    enum timer timer;
    uint64_t spared;
} gives_way[] = {
    {TIMER_LINGER, 0},        {TIMER_IDLE, SECOND},       {TIMER_HEADER, SECOND},
    {TIMER_BODY, 5 * SECOND}, {TIMER_WRITE, 10 * SECOND},
};

/* ── Pools ───────────────────────────────────────────────────────────────────────────────────── */

static void *pool_take(struct pool *pool)
{
    void *memory = pool->free;

    if (memory)
        memcpy(&pool->free, memory, sizeof(pool->free));
    else
        memory = malloc(pool->size);
    return memory;
}

static void pool_give(struct pool *pool, void *memory)
{
    memcpy(memory, &pool->free, sizeof(pool->free));
    pool->free = memory;
}

static void pool_dispose(struct pool *pool)
{
    while (pool->free)
        free(pool_take(pool));
}

void *server_buffer(struct server *server)
{
    return pool_take(&server->buffer_pool);
}

void server_free_buffer(struct server *server, void *buffer)
{
    pool_give(&server->buffer_pool, buffer);
}

void server_free_connection(struct server *server, struct connection *connection)
{
    TAILQ_REMOVE(&server->timers[connection->timer], connection, timer_link);
    if (connection->put_off)
        TAILQ_REMOVE(&server->later, connection, later_link);
    server->connections--;
    pool_give(&server->connection_pool, connection);
}

void server_put_off(struct server *server, struct connection *connection)
{
    if (!connection->put_off)
        TAILQ_INSERT_TAIL(&server->later, connection, later_link);
    connection->put_off = true;
}

/* ── Timers ──────────────────────────────────────────────────────────────────────────────────── */

/* Those of one kind last equally long, so each list is in order of time. */
void server_start_timer(struct server *server, struct connection *connection, enum timer timer)
{
    if (connection->timer != TIMER_NONE)
        TAILQ_REMOVE(&server->timers[connection->timer], connection, timer_link);
    connection->timer = (uint8_t)timer;
    connection->since = server->transport->now;
    TAILQ_INSERT_TAIL(&server->timers[timer], connection, timer_link);
}

static void run_timers(struct server *server)
{
    for (unsigned timer = 0; timer < TIMERS; timer++) {
        struct connection *first;

        while ((first = TAILQ_FIRST(&server->timers[timer])) &&
               server->transport->now - first->since >= server->timeouts[timer])
            connection_timeout(first);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ── Room for newcomers ──────────────────────────────────────────────────────────────────────── */

static bool is_full(const struct server *server)
{
    return server->connections >= server->connections_max;
}

/* Frees a place, if anybody has had one for long enough without using it: neither those who keep
 * connections idle nor those who send a request, or take a response, in drips (slowloris) shut the
 * others out. */
static bool make_room(struct server *server)
{
    for (size_t i = 0; i < sizeof(gives_way) / sizeof(*gives_way); i++) {
        struct connection *first = TAILQ_FIRST(&server->timers[gives_way[i].timer]);

        if (first && server->transport->now - first->since >= gives_way[i].spared) {
            connection_give_way(first);
            return true;
        }
    }
    return false;
}

/* When somebody will have to give way. */
static uint64_t next_room(const struct server *server)
{
    uint64_t when = UINT64_MAX;

    for (size_t i = 0; i < sizeof(gives_way) / sizeof(*gives_way); i++) {
        const struct connection *first = TAILQ_FIRST(&server->timers[gives_way[i].timer]);

        if (first)
            when = earlier(when, first->since + gives_way[i].spared);
    }
    return when;
}

/* When the loop has to go round again even if nothing happens. */
static uint64_t next_deadline(struct server *server)
{
    uint64_t deadline = UINT64_MAX;

    if (!TAILQ_EMPTY(&server->later))
        return server->transport->now;
    for (unsigned timer = 0; timer < TIMERS; timer++) {
        const struct connection *first = TAILQ_FIRST(&server->timers[timer]);

        if (first)
            deadline = earlier(deadline, first->since + server->timeouts[timer]);
    }
    if (server->accept_pending)
        deadline = earlier(deadline, is_full(server) ? next_room(server) : server->accept_retry);
    if (server->log)
        deadline = earlier(deadline, access_log_flush(server->log, server->transport->now));
    return deadline;
}

/* ── Accepting ───────────────────────────────────────────────────────────────────────────────── */

/* Takes one connection. What accept() says, or -EAGAIN when there may be no more. */
static int accept_one(struct server *server)
{
    struct connection *connection = pool_take(&server->connection_pool);
    int error;

    if (!connection)
        return -ENOMEM;
    memset(connection, 0, sizeof(*connection));
    connection->server = server;
    connection->timer = TIMER_NONE;
    error = server->ops->accept(server->transport, &connection->transport);
    if (error) {
        pool_give(&server->connection_pool, connection);
        return error;
    }
    server->connections++;
    connection_begin(connection);
    return 0;
}

static void accept_some(struct server *server)
{
    int error = 0;

    for (unsigned i = 0; i < ACCEPT_BATCH && !error; i++) {
        if (is_full(server)) {
            server->accept_pending = true; /* when one ends, the next is taken */
            return;
        }
        error = accept_one(server);
    }
    server->accept_pending = error != -EAGAIN;
    server->accept_retry = server->transport->now + (error ? ACCEPT_RETRY : 0);
}

/* Not while events are handed out: some may be about whoever gives way. */
static void accept_waiting(struct server *server)
{
    accept_some(server);
    for (unsigned i = 0; i < ACCEPT_BATCH && server->accept_pending && is_full(server); i++) {
        if (!make_room(server))
            return;
        accept_some(server);
    }
}

/* ── The loop ────────────────────────────────────────────────────────────────────────────────── */

static void run_later(struct server *server)
{
    struct connection_list later = TAILQ_HEAD_INITIALIZER(later);
    struct connection *connection;

    /* Those who are put off again come behind all others. */
    for (connection = TAILQ_FIRST(&server->later); connection;
         connection = TAILQ_NEXT(connection, later_link))
        connection->put_off = false;
    TAILQ_CONCAT(&later, &server->later, later_link);
    while ((connection = TAILQ_FIRST(&later))) {
        TAILQ_REMOVE(&later, connection, later_link);
        connection_run(connection);
    }
}

static int loop_once(struct server *server, uint64_t until)
{
    int error = server->ops->step(server->transport, earlier(until, next_deadline(server)));

    if (error)
        return error;
    response_set_date(server, server->transport->now);
    run_later(server);
    run_timers(server);
    if (server->accept_pending && server->transport->now >= server->accept_retry)
        accept_waiting(server);
    return 0;
}

void server_events(void *context, const struct transport_event *events, unsigned count)
{
    struct server *server = context;

    response_set_date(server, server->transport->now);
    for (unsigned i = 0; i < count; i++) {
        if (events[i].conn)
            connection_event((struct connection *)events[i].conn, events[i].flags);
        else
            accept_some(server);
    }
}

/* A connection that is idle may have its next request on the way: it is told to be the last with
 * that one's response, or ends by its timer. */
void server_handed_over(void *context, bool away)
{
    struct server *server = context;

    server->leaving = away;
    if (away)
        printf("mshttpd: handed over, %u connections are to be finished\n", server->connections);
    else
        printf("mshttpd: serving again, the successor is gone\n");
    fflush(stdout);
}

void server_guarded(void *context, const struct sockaddr *address, int status)
{
    char text[CLI_ENDPOINT_SIZE];

    (void)context;
    cli_endpoint_text(address, text);
    if (status > 0)
        printf("mshttpd: too many SYNs come to %s: they are answered at the NIC\n", text);
    else if (status == 0)
        printf("mshttpd: %s answers SYNs itself again\n", text);
    else
        printf("mshttpd: SYNs to %s cannot be answered at the NIC: %s\n", text,
               status == -EACCES ? "the switch was told not to" : strerror(-status));
    fflush(stdout);
}

void server_suspended(void *context, const struct sockaddr *address, int error)
{
    (void)context;
    cli_say_suspended(address, error);
}

/* ── The end ─────────────────────────────────────────────────────────────────────────────────── */

/* Calls `end` for those connections that `which` (NULL: all) names. */
static void end_connections(struct server *server,
                            bool (*which)(const struct connection *connection))
{
    for (unsigned timer = 0; timer < TIMERS; timer++) {
        struct connection *connection = TAILQ_FIRST(&server->timers[timer]), *next;

        for (; connection; connection = next) {
            next = TAILQ_NEXT(connection, timer_link);
            if (!which || which(connection))
                connection_end(connection);
        }
    }
}

/* Nothing is left, neither here nor in the transport. */
static bool is_through(const struct server *server)
{
    return !server->connections && !server->accept_pending &&
           server->ops->drained(server->transport);
}

/* The same for a while, after all listeners were handed over. */
static bool has_left(struct server *server)
{
    if (!server->leaving || !is_through(server))
        server->through_until = UINT64_MAX;
    else if (server->through_until == UINT64_MAX)
        server->through_until = server->transport->now + LINGER;
    return server->transport->now >= server->through_until;
}

/* What waits to be accepted is served, nothing comes in any more, and requests that are being
 * answered are answered to the end. */
static int go_down(struct server *server)
{
    uint64_t deadline;
    int error = 0;

    server->stopping = true;
    accept_some(server);
    deadline = server->transport->now + FINISH_WITHIN;
    /* Where others go on listening nobody needs to be turned away: neither who is on the way to us,
     * nor who is idle and may have sent the next request just now. */
    if (server->ops->leave && server->ops->leave(server->transport)) {
        while (!error && !has_left(server) && server->transport->now < deadline - REST)
            error = loop_once(server, earlier(server->through_until, deadline - REST));
    }
    server->accept_pending = false;
    server->ops->stop_listening(server->transport);
    end_connections(server, connection_is_idle);
    server->timeouts[TIMER_HEADER] = earlier(server->timeouts[TIMER_HEADER], BEGIN_WITHIN);
    while (!error && server->connections && server->transport->now < deadline)
        error = loop_once(server, deadline);
    end_connections(server, NULL);
    deadline = earlier(deadline, server->transport->now + DELIVER_WITHIN);
    while (!error && !server->ops->drained(server->transport) && server->transport->now < deadline)
        error = loop_once(server, deadline);
    return error;
}

bool server_init(struct server *server, const struct server_options *options)
{
    server->connections_max = options->connections_max;
    server->timeouts[TIMER_HEADER] = options->header_timeout * SECOND;
    server->timeouts[TIMER_BODY] = options->body_timeout * SECOND;
    server->timeouts[TIMER_IDLE] = options->idle_timeout * SECOND;
    server->timeouts[TIMER_WRITE] = options->write_timeout * SECOND;
    server->timeouts[TIMER_LINGER] = LINGER_WITHIN;
    server->through_until = UINT64_MAX;
    server->work_rounds = options->work_rounds;
    server->connection_pool.size = sizeof(struct connection);
    server->buffer_pool.size = BUFFER_SIZE;
    for (unsigned timer = 0; timer < TIMERS; timer++)
        TAILQ_INIT(&server->timers[timer]);
    TAILQ_INIT(&server->later);
    server->files = file_cache_open(options->root);
    if (!server->files) {
        cli_error("--root %s: %s", options->root, strerror(errno));
        cli_hint("it must be a folder that this user may enter");
        return false;
    }
    if (options->access_log && !(server->log = access_log_open(options->access_log))) {
        cli_error("--access-log %s: %s", options->access_log, strerror(errno));
        return false;
    }
    return true;
}

void server_dispose(struct server *server)
{
    if (server->files)
        file_cache_close(server->files);
    if (server->log)
        access_log_close(server->log);
    pool_dispose(&server->connection_pool);
    pool_dispose(&server->buffer_pool);
}

int server_run(struct server *server, const atomic_bool *stop)
{
    int error = 0;

    while (!error && !*stop && !has_left(server))
        error = loop_once(server, server->through_until);
    return error ? error : go_down(server);
}
