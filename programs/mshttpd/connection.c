/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection: see server.h for its life. connection_run() is the table of contents: it takes
 * one step after another until there is nothing to do, or it is somebody else's turn. */
#include "server.h"

#include <errno.h>
#include <string.h>

#define REQUESTS_PER_TURN 32
#define BYTES_PER_TURN    (4 * 1024 * 1024) /* of a file, handed over at once */
#define BODY_MAX          (1024 * 1024)     /* bytes that are read only to be forgotten */

/* What a step of a connection came to. */
enum outcome {
    GO_ON,  /* there may be more to do */
    WAIT,   /* for an event */
    LATER,  /* there is more to do, but others come first */
    END,    /* in order */
    BROKEN, /* the connection is of no use any more */
};

/* ── Output ──────────────────────────────────────────────────────────────────────────────────── */

static bool has_output(const struct connection *connection)
{
    return connection->head_size || connection->length;
}

static void drop_output(struct connection *connection)
{
    if (connection->file)
        file_release(connection->file);
    connection->file = NULL;
    connection->length = 0;
    connection->head_size = 0;
}

static enum outcome push_output(struct connection *connection)
{
    struct server *server = connection->server;
    uint64_t length = connection->length < BYTES_PER_TURN ? connection->length : BYTES_PER_TURN;
    uint32_t head_size = connection->head_size;
    ptrdiff_t taken = server->ops->send(server->transport, &connection->transport, connection->head,
                                        head_size, connection->file, connection->offset, length,
                                        connection->closing && length == connection->length);

    if (taken == -EAGAIN)
        return WAIT;
    if (taken < 0)
        return BROKEN;
    connection->progress = true;
    if ((uint64_t)taken < head_size) {
        connection->head += taken;
        connection->head_size -= (uint32_t)taken;
        return WAIT;
    }
    connection->head_size = 0;
    taken -= head_size;
    connection->offset += (uint64_t)taken;
    connection->length -= (uint64_t)taken;
    if (connection->length == 0) {
        drop_output(connection);
        return GO_ON;
    }
    return (uint64_t)taken == length ? LATER : WAIT;
}

/* ── Responses ───────────────────────────────────────────────────────────────────────────────── */

static void log_response(struct connection *connection, const struct response *response,
                         const struct http_request *request)
{
    struct server *server = connection->server;
    struct sockaddr_storage peer;
    const char *line = "";
    size_t size = 0;

    server->ops->peer(&connection->transport, &peer);
    if (request) {
        line = connection->data + request->method_name.at;
        size = (size_t)(request->target.at + request->target.size - request->method_name.at) + 9;
    }
    access_log_add(server->log, &peer, line, size, response->status,
                   response->file ? response->length : response->body, server->transport->now);
}

static void send_response(struct connection *connection, const struct response *response,
                          const struct http_request *request)
{
    struct server *server = connection->server;

    assert(!has_output(connection));
    if (connection->head_buffer)
        server_free_buffer(server, connection->head_buffer);
    connection->head_buffer = NULL;
    connection->head = server->response;
    connection->head_size = response->size;
    connection->file = response->file;
    connection->offset = response->offset;
    connection->length = response->length;
    if (server->log)
        log_response(connection, response, request);
}

/* Refuses, and ends the connection: what the peer sends now has no meaning any more. */
static enum outcome refuse(struct connection *connection, const struct http_request *request,
                           uint16_t status)
{
    struct response response;

    response_build_status(connection->server, request, status, false, &response);
    send_response(connection, &response, request);
    connection->closing = true;
    connection->linger = true;
    return GO_ON;
}

static void consume(struct connection *connection, size_t size)
{
    connection->data += size;
    connection->data_size -= (uint32_t)size;
}

/* What follows the head of a request. */
static void begin_body(struct connection *connection, const struct http_request *request)
{
    connection->phase = PHASE_HEAD;
    if (request->chunked) {
        connection->phase = PHASE_CHUNKS;
        http_chunks_reset(&connection->body.chunks);
    } else if (request->content_length) {
        connection->phase = PHASE_BODY;
        connection->body.left = request->content_length;
    }
}

static enum outcome answer(struct connection *connection)
{
    /* The parser is wanted for the next request while this one is still looked at. */
    const struct http_request request = connection->parser.request;
    struct server *server = connection->server;
    bool has_body = request.chunked || request.content_length;
    bool keep_alive = request.keep_alive && !server->stopping && !server->leaving;
    struct response response;

    if (request.expects_other)
        return refuse(connection, &request, 417);
    if (request.content_length > BODY_MAX)
        return refuse(connection, &request, 413);
    /* Whoever waits for "100 Continue" is told the result instead, and need not send the body; so
     * nobody can know whether it will come (RFC 9110 section 10.1.1). */
    if (has_body && request.expects_continue) {
        keep_alive = false;
        connection->linger = true;
    }
    if (request.method == HTTP_UNKNOWN)
        response_build_status(server, &request, 501, keep_alive, &response);
    else if (request.method == HTTP_KNOWN)
        response_build_status(server, &request, 405, keep_alive, &response);
    else
        response_build(server, &request, connection->data, keep_alive, &response);
    send_response(connection, &response, &request);
    if (!keep_alive) {
        connection->closing = true;
        connection->linger |= has_body;
    }
    consume(connection, request.size);
    begin_body(connection, &request);
    http_parser_reset(&connection->parser);
    connection->progress = true;
    return GO_ON;
}

/* ── Input ───────────────────────────────────────────────────────────────────────────────────── */

/* Reads behind what is there already. */
static enum outcome read_more(struct connection *connection)
{
    struct server *server = connection->server;
    char *base = connection->input ? connection->input : server->scratch;
    size_t room;
    ptrdiff_t got;

    if (connection->ended)
        return END;
    if (!connection->may_read) {
        if (!connection->finished)
            return WAIT;
        connection->ended = true;
        return END;
    }
    if (connection->data_size && connection->data != base)
        memmove(base, connection->data, connection->data_size);
    connection->data = base;
    room = BUFFER_SIZE - connection->data_size;
    assert(room > 0);
    got = server->ops->read(server->transport, &connection->transport, base + connection->data_size,
                            room);
    if (got == -EAGAIN) {
        connection->may_read = false;
        return connection->finished ? GO_ON : WAIT;
    }
    if (got < 0)
        return BROKEN;
    if (got == 0) {
        connection->ended = true;
        return END;
    }
    connection->may_read = (size_t)got == room;
    connection->data_size += (uint32_t)got;
    return GO_ON;
}

static enum outcome take_head(struct connection *connection, unsigned *requests)
{
    if (connection->data_size) {
        if (*requests == 0)
            return LATER;
        switch (http_parse(&connection->parser, connection->data, connection->data_size)) {
        case HTTP_DONE: --*requests; return answer(connection);
        case HTTP_ERROR: return refuse(connection, NULL, connection->parser.status);
        case HTTP_MORE: break;
        }
    }
    return read_more(connection);
}

static enum outcome take_body(struct connection *connection)
{
    uint64_t left = connection->body.left;

    if (connection->data_size == 0)
        return read_more(connection);
    if (left > connection->data_size)
        left = connection->data_size;
    consume(connection, left);
    connection->body.left -= left;
    if (connection->body.left == 0)
        connection->phase = PHASE_HEAD;
    return GO_ON;
}

static enum outcome take_chunks(struct connection *connection)
{
    enum http_result result;
    size_t used;

    if (connection->data_size == 0)
        return read_more(connection);
    result =
        http_chunks_skip(&connection->body.chunks, connection->data, connection->data_size, &used);
    consume(connection, used);
    if (result == HTTP_DONE)
        connection->phase = PHASE_HEAD;
    /* The response has gone already; what is wrong with the body can only end the connection. */
    if (result == HTTP_ERROR || connection->body.chunks.total > BODY_MAX) {
        connection->closing = true;
        connection->linger = true;
    }
    return GO_ON;
}

/* Reads and forgets, so that a last response is not lost to the RST that unread data would bring
 * about (RFC 9112 section 9.6). */
static enum outcome take_rest(struct connection *connection)
{
    uint64_t left = connection->body.left;

    if (left < connection->data_size)
        return END;
    connection->body.left -= connection->data_size;
    connection->data_size = 0;
    return read_more(connection);
}

/* The last response has been handed over. */
static enum outcome finish(struct connection *connection)
{
    struct server *server = connection->server;

    if (connection->ended || !(connection->linger || connection->data_size || connection->may_read))
        return END;
    server->ops->shutdown(server->transport, &connection->transport);
    connection->phase = PHASE_LINGER;
    connection->body.left = BODY_MAX;
    return GO_ON;
}

static enum outcome take_step(struct connection *connection, unsigned *requests)
{
    if (has_output(connection))
        return push_output(connection);
    if (connection->phase == PHASE_LINGER)
        return take_rest(connection);
    if (connection->closing)
        return finish(connection);
    if (connection->server->ops->congested(&connection->transport))
        return WAIT;
    switch ((enum phase)connection->phase) {
    case PHASE_BODY: return take_body(connection);
    case PHASE_CHUNKS: return take_chunks(connection);
    default: return take_head(connection, requests);
    }
}

/* ── The end of a turn ───────────────────────────────────────────────────────────────────────── */

/* What lies in the server's memory must not stay there: others use it. False: no memory. */
static bool keep_rest(struct connection *connection)
{
    struct server *server = connection->server;

    if (connection->data_size == 0) {
        if (connection->input)
            server_free_buffer(server, connection->input);
        connection->input = NULL;
    } else if (!connection->input) {
        connection->input = server_buffer(server);
        if (!connection->input)
            return false;
        memcpy(connection->input, connection->data, connection->data_size);
        connection->data = connection->input;
    }
    if (connection->head_size == 0) {
        if (connection->head_buffer)
            server_free_buffer(server, connection->head_buffer);
        connection->head_buffer = NULL;
    } else if (!connection->head_buffer) {
        connection->head_buffer = server_buffer(server);
        if (!connection->head_buffer)
            return false;
        memcpy(connection->head_buffer, connection->head, connection->head_size);
        connection->head = connection->head_buffer;
    }
    return true;
}

static enum timer timer_for(const struct connection *connection)
{
    if (has_output(connection))
        return TIMER_WRITE;
    switch ((enum phase)connection->phase) {
    case PHASE_LINGER: return TIMER_LINGER;
    case PHASE_BODY:
    case PHASE_CHUNKS: return TIMER_BODY;
    case PHASE_HEAD: break;
    }
    if (connection->server->ops->congested(&connection->transport))
        return TIMER_WRITE;
    /* A first request must come as quickly as a head that has begun. */
    if (connection->data_size || (connection->timer == TIMER_HEADER && !connection->progress))
        return TIMER_HEADER;
    return TIMER_IDLE;
}

/* A timer that already runs for the same thing goes on, unless there was progress. */
static void keep_time(struct connection *connection)
{
    enum timer timer = timer_for(connection);

    if (timer != connection->timer || connection->progress) {
        connection->mark = UINT64_MAX;
        server_start_timer(connection->server, connection, timer);
    }
    connection->progress = false;
}

static void forget(struct connection *connection)
{
    struct server *server = connection->server;

    drop_output(connection);
    if (connection->input)
        server_free_buffer(server, connection->input);
    if (connection->head_buffer)
        server_free_buffer(server, connection->head_buffer);
    server_free_connection(server, connection);
}

static void abort_connection(struct connection *connection)
{
    connection->server->ops->abort(connection->server->transport, &connection->transport);
    forget(connection);
}

/* ── Entry points ────────────────────────────────────────────────────────────────────────────── */

void connection_end(struct connection *connection)
{
    connection->server->ops->release(connection->server->transport, &connection->transport);
    forget(connection);
}

bool connection_is_idle(const struct connection *connection)
{
    return connection->phase == PHASE_HEAD && connection->data_size == 0 &&
           !has_output(connection) && connection->timer != TIMER_HEADER;
}

/* Everything that this connection can do now, but no more than its turn. */
void connection_run(struct connection *connection)
{
    unsigned requests = REQUESTS_PER_TURN;
    enum outcome outcome;

    do
        outcome = take_step(connection, &requests);
    while (outcome == GO_ON);

    if (outcome == END) {
        connection_end(connection);
    } else if (outcome == BROKEN || !keep_rest(connection)) {
        abort_connection(connection);
    } else {
        if (outcome == LATER)
            server_put_off(connection->server, connection);
        keep_time(connection);
    }
}

void connection_begin(struct connection *connection)
{
    connection->mark = UINT64_MAX;
    server_start_timer(connection->server, connection, TIMER_HEADER);
}

void connection_event(struct connection *connection, unsigned flags)
{
    if (flags & TRANSPORT_ERROR) {
        abort_connection(connection);
        return;
    }
    if (flags & (TRANSPORT_READABLE | TRANSPORT_FINISHED))
        connection->may_read = true;
    if (flags & TRANSPORT_FINISHED)
        connection->finished = true;
    if (flags & TRANSPORT_WRITABLE && connection->timer == TIMER_WRITE)
        connection->progress = true;
    connection_run(connection);
}

void connection_timeout(struct connection *connection)
{
    struct server *server = connection->server;
    uint64_t outstanding;

    switch ((enum timer)connection->timer) {
    case TIMER_HEADER:
        if (connection->data_size == 0)
            break;
        refuse(connection, NULL, 408);
        connection_run(connection);
        return;
    case TIMER_IDLE:
    case TIMER_WRITE:
        /* As long as the peer acknowledges it may be slow. */
        outstanding = server->ops->outstanding(&connection->transport);
        if (outstanding == 0 && !has_output(connection))
            break;
        if (outstanding >= connection->mark) {
            abort_connection(connection);
            return;
        }
        connection->mark = outstanding;
        server_start_timer(server, connection, TIMER_WRITE);
        return;
    case TIMER_BODY: abort_connection(connection); return;
    default: break;
    }
    connection_end(connection);
}

void connection_give_way(struct connection *connection)
{
    if (has_output(connection) || connection->timer == TIMER_WRITE ||
        connection->timer == TIMER_BODY)
        abort_connection(connection);
    else
        connection_end(connection);
}
