/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP on a TCP in this process: UTCP on a port of the switch, by the runtime.
 *
 * A file that is in memory is handed over by reference, and its entry held until all of it is
 * acknowledged. A large file is read piece by piece (file_cache.h says why it is not mapped): a piece
 * is a buffer that is read, handed over by reference, and comes back when it is acknowledged, which is
 * also when the next is read. Two pieces are on their way at first, and more when the stack has sent
 * all it was given: then the path takes more than that. */
#include "cli.h"
#include "runtime.h"
#include "transport.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define BACKLOG      4096
#define PIECE_SIZE   (256 * 1024)
#define PIECES_FIRST 2
#define PIECES_MOST  32           /* for each connection: below the stack's limit of references */
#define PIECES_KEPT  64           /* free buffers that are not given back to the system */
#define CONGESTED    (256 * 1024) /* unacknowledged bytes */
#define EVENTS_MAX   256

struct piece {
    struct utcp_transport *transport;
    struct transport_conn *conn;   /* that it was read for; NULL: it is closed */
    struct piece *next, *previous; /* of the connection's; `next` also on the free list */
    uint8_t data[PIECE_SIZE];
};

struct utcp_transport {
    struct transport base;
    struct ms_runtime *runtime;
    unsigned listener_count, next_listener;
    unsigned away_count; /* listeners handed over */
    unsigned bind_flags;
    uint64_t fast_open;
    bool stays; /* struct transport_options */
    struct ms_runtime_listener *listeners[TRANSPORT_LISTENERS_MAX];
    struct piece *free_pieces;
    unsigned free_count;
    /* Connections that got a piece back, and may read another. */
    TAILQ_HEAD(refill_list, transport_conn) refill;
    bool more; /* the runtime has work to do: no time to sleep */
};

static struct utcp_transport *transport_of(struct transport *transport)
{
    return (struct utcp_transport *)transport;
}

/* ── Pieces of large files ────────────────────────────────────────────────────────────────────── */

static struct piece *take_piece(struct utcp_transport *transport, struct transport_conn *conn)
{
    struct piece *piece = transport->free_pieces;

    if (piece) {
        transport->free_pieces = piece->next;
        transport->free_count--;
    } else {
        piece = malloc(sizeof(*piece));
        if (!piece)
            return NULL;
    }
    piece->transport = transport;
    piece->conn = conn;
    piece->previous = NULL;
    piece->next = conn->pieces;
    if (piece->next)
        piece->next->previous = piece;
    conn->pieces = piece;
    conn->piece_count++;
    return piece;
}

static void free_piece(struct piece *piece)
{
    struct utcp_transport *transport = piece->transport;
    struct transport_conn *conn = piece->conn;

    if (conn) {
        *(piece->previous ? &piece->previous->next : &conn->pieces) = piece->next;
        if (piece->next)
            piece->next->previous = piece->previous;
        conn->piece_count--;
    }
    if (transport->free_count >= PIECES_KEPT) {
        free(piece);
        return;
    }
    piece->next = transport->free_pieces;
    transport->free_pieces = piece;
    transport->free_count++;
}

/* From within the stack, which must not be called here: the connection gets its turn later. */
static void piece_released(void *owner)
{
    struct piece *piece = owner;
    struct transport_conn *conn = piece->conn;

    if (conn && !conn->refill_wanted) {
        conn->refill_wanted = true;
        TAILQ_INSERT_TAIL(&piece->transport->refill, conn, refill_link);
    }
    free_piece(piece);
}

static void file_released(void *owner)
{
    file_release(owner);
}

/* ── Events ───────────────────────────────────────────────────────────────────────────────────── */

static unsigned flags_of(uint32_t events)
{
    unsigned flags = 0;

    if (events & UTCP_ACCEPTABLE)
        flags |= TRANSPORT_ACCEPTABLE;
    if (events & UTCP_READABLE)
        flags |= TRANSPORT_READABLE;
    if (events & (UTCP_WRITABLE | UTCP_SENT))
        flags |= TRANSPORT_WRITABLE;
    if (events & UTCP_FINISHED)
        flags |= TRANSPORT_FINISHED;
    if (events & UTCP_ERROR)
        flags |= TRANSPORT_ERROR;
    return flags;
}

static void utcp_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct utcp_transport *transport = context;
    struct transport *base = &transport->base;
    struct transport_event translated[EVENTS_MAX];

    base->now = runtime_now(transport->runtime);
    for (unsigned done = 0; done < count;) {
        unsigned step = count - done < EVENTS_MAX ? count - done : EVENTS_MAX;

        for (unsigned i = 0; i < step; i++) {
            const struct utcp_event *event = &events[done + i];

            translated[i] = (struct transport_event){.conn = event->listener ? NULL : event->user,
                                                     .flags = flags_of(event->events)};
        }
        base->handler.events(base->handler.context, translated, step);
        done += step;
    }
}

/* The server hears of it when the last one goes, and when the first comes back. */
static void handed_over(void *context, struct ms_runtime_listener *listener, bool away)
{
    struct utcp_transport *transport = context;
    const struct transport_handler *handler = &transport->base.handler;
    bool was_away = transport->away_count == transport->listener_count;

    (void)listener;
    if (away)
        transport->away_count++;
    else
        transport->away_count--;
    if (was_away != (transport->away_count == transport->listener_count))
        handler->handed_over(handler->context, !was_away);
}

static void suspended(void *context, struct ms_runtime_listener *listener, int error)
{
    struct utcp_transport *transport = context;
    const struct transport_handler *handler = &transport->base.handler;
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    if (runtime_listener_address(listener, (struct sockaddr *)&address, &length) == 0)
        handler->suspended(handler->context, (const struct sockaddr *)&address, error);
}

static void guarded(void *context, struct ms_runtime_listener *listener, int status)
{
    struct utcp_transport *transport = context;
    const struct transport_handler *handler = &transport->base.handler;
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    if (runtime_listener_address(listener, (struct sockaddr *)&address, &length) == 0)
        handler->guarded(handler->context, (const struct sockaddr *)&address, status);
}

/* Each that is on the list now, once. */
static void refill(struct utcp_transport *transport)
{
    struct transport *base = &transport->base;
    struct transport_conn *last = TAILQ_LAST(&transport->refill, refill_list), *conn;

    while ((conn = TAILQ_FIRST(&transport->refill))) {
        struct transport_event event = {.conn = conn, .flags = TRANSPORT_WRITABLE};

        TAILQ_REMOVE(&transport->refill, conn, refill_link);
        conn->refill_wanted = false;
        base->handler.events(base->handler.context, &event, 1);
        if (conn == last)
            return;
    }
}

/* ── Opening and listening ────────────────────────────────────────────────────────────────────── */

struct count {
    const char *name;
    uint64_t value;
};

/* Silent when all are zero. */
static void tell(const char *what, const struct count *counts, size_t count)
{
    char text[512] = "";

    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);

        if (counts[i].value)
            snprintf(text + used, sizeof(text) - used, "%s %s=%" PRIu64, used ? "," : "",
                     counts[i].name, counts[i].value);
    }
    if (*text)
        fprintf(stderr, "mshttpd: utcp %s:%s\n", what, text);
}

/* Says at the end what the stack had to throw away, by reason, and what it did against floods, stalls
 * and broken paths. */
static void report(const struct utcp *stack)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(stack, &stats);
    const struct count drops[] = {
        {"malformed", stats.dropped_malformed},
        {"checksum", stats.dropped_checksum},
        {"not_tcp", stats.dropped_not_tcp},
        {"bad_address", stats.dropped_bad_address},
        {"no_connection", stats.dropped_no_connection},
        {"unacceptable", stats.dropped_unacceptable},
        {"backlog", stats.dropped_backlog},
        {"syn_cookies_failed", stats.syn_cookies_failed},
        {"memory", stats.dropped_memory},
    };
    const struct count defences[] = {
        {"syn_cookies_sent", stats.syn_cookies_sent},
        {"syn_cookies_accepted", stats.syn_cookies_accepted},
        {"challenge_acks", stats.challenge_acks},
        {"challenges_withheld", stats.challenges_withheld},
        {"challenges_over_limit", stats.challenges_over_limit},
        {"stalls_timed_out", stats.stalls_timed_out},
        {"stalls_given_up", stats.stalls_given_up},
        {"mtu_black_holes", stats.mtu_black_holes},
    };

    tell("dropped", drops, sizeof(drops) / sizeof(drops[0]));
    tell("defended", defences, sizeof(defences) / sizeof(defences[0]));
}

static void transport_close(struct transport *base)
{
    struct utcp_transport *transport = transport_of(base);
    struct piece *piece;

    if (transport->runtime)
        report(runtime_stack(transport->runtime));
    runtime_close(transport->runtime);
    while ((piece = transport->free_pieces)) {
        transport->free_pieces = piece->next;
        free(piece);
    }
    free(transport);
}

static void explain_open(const struct transport_options *options, int error)
{
    if (error == -ENOPROTOOPT) {
        cli_no_such_congestion(options->congestion, utcp_congestion_name);
        return;
    }
    cli_switch_error(options->control, error);
    cli_hint("`--stack kernel` serves without a switch");
}

static struct transport *transport_open(const struct transport_options *options,
                                        const struct transport_handler *handler)
{
    struct utcp_transport *transport = calloc(1, sizeof(*transport));
    struct ms_runtime_options runtime_options = {.control_path = options->control,
                                                 .name = "mshttpd",
                                                 .congestion = options->congestion,
                                                 .connections_max = options->connections_max,
                                                 .memory_max = options->memory_max,
                                                 .stall_max_us = options->stall_max_us,
                                                 .challenge_acks_max = options->challenge_acks_max,
                                                 .stack_flags = options->stack_flags,
                                                 .busy_poll_us = options->busy_poll_us,
                                                 .wake_packets = options->wake_packets,
                                                 .wake_delay_us = options->wake_delay_us,
                                                 .events = utcp_events,
                                                 .handed_over = handed_over,
                                                 .suspended = suspended,
                                                 .guarded = guarded,
                                                 .nic_cookies =
                                                     (enum runtime_nic_cookies)options->nic_cookies,
                                                 .context = transport};
    int error;

    if (!transport) {
        cli_error("%s", strerror(ENOMEM));
        return NULL;
    }
    /* Connections in TIME-WAIT, and those that are closing, count as well. */
    runtime_options.connections_max += runtime_options.connections_max / 2 + 1024;
    transport->base = (struct transport){.ops = &transport_utcp, .handler = *handler};
    transport->bind_flags =
        (options->shared ? MS_BIND_SHARED : 0U) | (options->takeover ? MS_BIND_TAKEOVER : 0U);
    transport->stays = options->stays;
    TAILQ_INIT(&transport->refill);
    error = runtime_open(&transport->runtime, &runtime_options);
    if (error) {
        explain_open(options, error);
        transport_close(&transport->base);
        return NULL;
    }
    transport->fast_open = options->fast_open;
    utcp_set_fast_open_keys(runtime_stack(transport->runtime), options->fast_open_key, NULL);
    transport->base.now = runtime_now(transport->runtime);
    return &transport->base;
}

static int transport_listen(struct transport *base, const struct sockaddr *address, socklen_t size)
{
    struct utcp_transport *transport = transport_of(base);
    struct ms_runtime_listener *listener;
    int error;

    if (transport->listener_count == TRANSPORT_LISTENERS_MAX)
        return -ENOSPC;
    error =
        runtime_listen_with(transport->runtime, address, size, BACKLOG, NULL, transport->bind_flags,
                            &transport->listeners[transport->listener_count]);
    if (error)
        return error;
    listener = transport->listeners[transport->listener_count++];
    return transport->fast_open
               ? utcp_listener_set_option(runtime_listener(listener), UTCP_OPTION_FAST_OPEN,
                                          transport->fast_open)
               : 0;
}

/* The bindings stay: they are those of the connections, too. */
static void transport_stop_listening(struct transport *base)
{
    struct utcp_transport *transport = transport_of(base);

    while (transport->listener_count)
        runtime_listener_stop(transport->listeners[--transport->listener_count]);
}

static bool transport_leave(struct transport *base)
{
    struct utcp_transport *transport = transport_of(base);
    bool left = false;

    if (!(transport->bind_flags & MS_BIND_SHARED) || transport->stays)
        return false;
    for (unsigned i = 0; i < transport->listener_count; i++)
        left |= runtime_listener_drain(transport->listeners[i]) == 0;
    return left;
}

static int transport_accept(struct transport *base, struct transport_conn *conn)
{
    struct utcp_transport *transport = transport_of(base);
    uint64_t now = runtime_now(transport->runtime);

    for (unsigned i = 0; i < transport->listener_count; i++) {
        unsigned turn = transport->next_listener++ % transport->listener_count;
        struct utcp_conn *accepted = utcp_accept(runtime_listener(transport->listeners[turn]), now);

        if (!accepted)
            continue;
        *conn = (struct transport_conn){.utcp = accepted, .piece_limit = PIECES_FIRST};
        utcp_set_user(accepted, conn);
        /* All of an answer is written before it is sent: there is nothing to be gathered. */
        utcp_set_option(accepted, UTCP_OPTION_NODELAY, 1);
        return 0;
    }
    return -EAGAIN;
}

/* ── The loop ────────────────────────────────────────────────────────────────────────────────────── */

static int transport_step(struct transport *base, uint64_t until)
{
    struct utcp_transport *transport = transport_of(base);
    int error = 0;

    if (!transport->more && TAILQ_EMPTY(&transport->refill))
        error = runtime_wait(transport->runtime, until);
    transport->more = runtime_step(transport->runtime);
    base->now = runtime_now(transport->runtime);
    refill(transport);
    return error;
}

static void transport_wake(struct transport *base)
{
    runtime_wake(transport_of(base)->runtime);
}

static bool transport_drained(const struct transport *base)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(runtime_stack(((const struct utcp_transport *)base)->runtime), &stats);
    return stats.connections <= stats.time_wait;
}

/* ── Connections ──────────────────────────────────────────────────────────────────────────────── */

static ptrdiff_t transport_read(struct transport *base, struct transport_conn *conn, void *to,
                                size_t size)
{
    return utcp_read(conn->utcp, runtime_now(transport_of(base)->runtime), to, size);
}

static ptrdiff_t send_memory(const struct transport_conn *conn, uint64_t now, struct file *file,
                             uint64_t offset, uint64_t length)
{
    int error;

    file_hold(file);
    error = utcp_write_ref(conn->utcp, now, file->data + offset, length, file_released, file);
    if (error) {
        file_release(file);
        return error;
    }
    return (ptrdiff_t)length;
}

/* All of [offset, offset + length), or an error. */
static int read_piece(const struct file *file, uint64_t offset, size_t length, uint8_t *to)
{
    while (length) {
        ssize_t got = pread(file->fd, to, length, (off_t)offset);

        if (got == 0)
            return -ENODATA;
        if (got < 0) {
            if (errno != EINTR)
                return -errno;
            continue;
        }
        to += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

/* A connection that has sent all it was given could have sent more. */
static void widen(struct transport_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (conn->piece_count == 0 || conn->piece_limit >= PIECES_MOST)
        return;
    utcp_info(conn->utcp, &info);
    if (info.in_flight + info.mss >= utcp_unacknowledged(conn->utcp))
        conn->piece_limit *= 2;
}

static ptrdiff_t send_pieces(struct utcp_transport *transport, struct transport_conn *conn,
                             uint64_t now, const struct file *file, uint64_t offset,
                             uint64_t length, bool is_end)
{
    uint64_t sent = 0;
    int error = 0;

    widen(conn);
    while (sent < length && conn->piece_count < conn->piece_limit) {
        size_t size = length - sent < PIECE_SIZE ? length - sent : PIECE_SIZE;
        struct piece *piece = take_piece(transport, conn);

        if (!piece)
            return -ENOMEM;
        error = read_piece(file, offset + sent, size, piece->data);
        if (!error)
            error = utcp_write_ref(conn->utcp, now, piece->data, size, piece_released, piece);
        if (error) {
            free_piece(piece);
            break;
        }
        sent += size;
    }
    /* Full segments only, as long as there is more of the file. */
    utcp_set_option(conn->utcp, UTCP_OPTION_CORK, !is_end || sent < length);
    if (error && (error != -EAGAIN || !sent))
        return error;
    return sent ? (ptrdiff_t)sent : -EAGAIN;
}

static ptrdiff_t transport_send(struct transport *base, struct transport_conn *conn,
                                const void *head, size_t head_size, struct file *file,
                                uint64_t offset, uint64_t length, bool last)
{
    struct utcp_transport *transport = transport_of(base);
    uint64_t now = runtime_now(transport->runtime);
    ptrdiff_t taken = 0, more;

    (void)last; /* nothing leaves before the end of the batch */

    if (head_size) {
        taken = utcp_write(conn->utcp, now, head, head_size);
        if (taken < 0 || (size_t)taken < head_size)
            return taken;
    }
    if (!length)
        return taken;
    if (file->data)
        more = send_memory(conn, now, file, offset, length);
    else
        more =
            send_pieces(transport, conn, now, file, offset, length, offset + length == file->size);
    if (more == -EAGAIN)
        return taken ? taken : -EAGAIN;
    return more < 0 ? more : taken + more;
}

static bool transport_congested(const struct transport_conn *conn)
{
    return utcp_unacknowledged(conn->utcp) > CONGESTED;
}

static uint64_t transport_outstanding(const struct transport_conn *conn)
{
    return utcp_unacknowledged(conn->utcp);
}

static void transport_peer(const struct transport_conn *conn, struct sockaddr_storage *address)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn->utcp, &info);
    runtime_sockaddr(&info.remote, address);
}

static void transport_shutdown(struct transport *base, struct transport_conn *conn)
{
    utcp_shutdown(conn->utcp, runtime_now(transport_of(base)->runtime));
}

/* Pieces that are still on their way come back to nobody. */
static void forget(struct utcp_transport *transport, struct transport_conn *conn)
{
    for (struct piece *piece = conn->pieces; piece; piece = piece->next)
        piece->conn = NULL;
    conn->pieces = NULL;
    if (conn->refill_wanted)
        TAILQ_REMOVE(&transport->refill, conn, refill_link);
}

static void transport_release(struct transport *base, struct transport_conn *conn)
{
    struct utcp_transport *transport = transport_of(base);

    forget(transport, conn);
    utcp_close(conn->utcp, runtime_now(transport->runtime));
}

static void transport_abort(struct transport *base, struct transport_conn *conn)
{
    struct utcp_transport *transport = transport_of(base);

    forget(transport, conn);
    utcp_abort(conn->utcp, runtime_now(transport->runtime));
}

const struct transport_ops transport_utcp = {
    .open = transport_open,
    .close = transport_close,
    .listen = transport_listen,
    .stop_listening = transport_stop_listening,
    .leave = transport_leave,
    .accept = transport_accept,
    .step = transport_step,
    .wake = transport_wake,
    .drained = transport_drained,
    .read = transport_read,
    .send = transport_send,
    .congested = transport_congested,
    .outstanding = transport_outstanding,
    .peer = transport_peer,
    .shutdown = transport_shutdown,
    .release = transport_release,
    .abort = transport_abort,
};
