/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: descriptors, names, connections that begin and end. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Acknowledgments at the start of a connection that are not delayed, as many as Linux has. */
#define QUICK_ACKS 16
#define SOON_US    40000 /* before a delayed acknowledgment would have gone */

/* What most hosts have in net.ipv4.tcp_rmem and tcp_wmem. */
#define RECEIVE_BUFFER 131072
#define SEND_BUFFER    16384

struct sockets *sockets_new(struct utcp *stack, const struct sockets_host *host)
{
    struct sockets *sockets = calloc(1, sizeof(*sockets));

    if (sockets)
        *sockets = (struct sockets){.stack = stack,
                                    .host = *host,
                                    .fast_open = SOCKETS_FAST_OPEN_CLIENT,
                                    .quick_acks = QUICK_ACKS,
                                    .congestion = utcp_congestion_name(0),
                                    .receive_buffer = RECEIVE_BUFFER,
                                    .send_buffer = SEND_BUFFER};
    return sockets;
}

void sockets_set_not_sent_low(struct sockets *sockets, uint32_t bytes)
{
    sockets->not_sent_low = bytes;
}

void sockets_set_congestion(struct sockets *sockets, const char *name)
{
    sockets->congestion = name;
}

void sockets_set_buffers(struct sockets *sockets, uint32_t receive, uint32_t send)
{
    sockets->receive_buffer = receive < INT32_MAX ? (int)receive : INT32_MAX;
    sockets->send_buffer = send < INT32_MAX ? (int)send : INT32_MAX;
}

void sockets_set_quick_acks(struct sockets *sockets, unsigned count)
{
    sockets->quick_acks = count;
}

void sockets_free(struct sockets *sockets)
{
    if (!sockets)
        return;
    for (uint32_t i = 0; i < sockets->size; i++) {
        struct socket *socket = sockets->table[i];

        if (!socket)
            continue;
        if (socket->conn)
            utcp_abort(socket->conn, sockets__now(sockets));
        socket->conn = NULL;
        sockets_close(sockets, (int)i);
    }
    free(sockets->table);
    free(sockets);
}

struct socket *sockets__get(const struct sockets *sockets, int fd)
{
    return fd >= 0 && (uint32_t)fd < sockets->size ? sockets->table[fd] : NULL;
}

bool sockets_owns(const struct sockets *sockets, int fd)
{
    return sockets__get(sockets, fd) != NULL;
}

/* Room for descriptor `fd`. */
static bool grow(struct sockets *sockets, int fd)
{
    uint32_t size = sockets->size ? sockets->size : 16;
    struct socket **table;

    if ((uint32_t)fd < sockets->size)
        return true;
    while ((uint32_t)fd >= size)
        size *= 2;
    table = size <= SOCKETS_MAX ? realloc(sockets->table, size * sizeof(struct socket *)) : NULL;
    if (!table)
        return false;
    memset(table + sockets->size, 0, (size - sockets->size) * sizeof(struct socket *));
    sockets->table = table;
    sockets->size = size;
    return true;
}

int sockets__new(struct sockets *sockets, enum socket_kind kind, struct socket **made)
{
    struct socket *socket = calloc(1, sizeof(*socket));
    int fd = socket ? sockets->host.take_number(sockets->host.context) : -ENOMEM;

    if (fd >= 0 && !grow(sockets, fd)) {
        sockets->host.give_number_back(sockets->host.context, fd);
        fd = -EMFILE;
    }
    if (fd < 0) {
        free(socket);
        return fd;
    }
    socket->kind = kind;
    sockets->table[fd] = socket;
    *made = socket;
    return fd;
}

/* ── What happens to them ──────────────────────────────────────────────────────────────────── */

void sockets__answers(const struct sockets *sockets, const struct socket *socket)
{
    if (socket->conn && socket->heard_at && sockets__now(sockets) - socket->heard_at < SOON_US)
        utcp_set_option(socket->conn, UTCP_OPTION_QUICK_ACKS, 0);
}

/* IP_RECVERR: what ICMP says is told at once, and not only when nothing else has helped. */
static void heard_of_trouble(struct socket *socket)
{
    int trouble = utcp_trouble(socket->conn);

    if (!trouble || trouble == -ETIMEDOUT)
        return;
    socket->error = -trouble;
    socket->arrivals++;
    socket->departures++;
}

/* Why the connection is dead. Who was only to answer yet, and is reset, is told as a pipe tells it. */
static int end_of(const struct socket *socket)
{
    int error = -utcp_error(socket->conn);

    return error == ECONNRESET && socket->finished && !socket->shut_write ? EPIPE : error;
}

static void conn_happened(const struct sockets *sockets, struct socket *socket, uint32_t events)
{
    if (events & UTCP_READABLE)
        socket->heard_at = sockets__now(sockets);
    if (events & UTCP_URGENT)
        sockets__urgent_told(sockets, socket);
    if (events & UTCP_CONNECTED) {
        socket->connecting = false;
        socket->departures++;
    }
    if (events & (UTCP_READABLE | UTCP_FINISHED))
        socket->arrivals++;
    if (events & UTCP_FINISHED)
        socket->finished = true;
    if (events & UTCP_TIMES)
        sockets__note_times(socket);
    if (events & UTCP_WRITABLE) {
        socket->write_blocked = false;
        socket->departures++;
    }
    if (events & UTCP_TROUBLE)
        heard_of_trouble(socket);
    if (events & UTCP_ERROR) {
        socket->error = end_of(socket);
        socket->connecting = false;
        socket->arrivals++;
        socket->departures++;
    }
}

void sockets_happened(struct sockets *sockets, const struct utcp_event *events, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct socket *socket = events[i].user;

        if (!socket)
            continue; /* closed */
        if (events[i].conn && socket->kind == SOCKET_CONNECTS)
            conn_happened(sockets, socket, events[i].events);
        else
            socket->arrivals++;
    }
}

int sockets__wait(struct sockets *sockets, bool nonblocking, uint64_t since, uint64_t timeout_us)
{
    uint64_t until = timeout_us ? since + timeout_us : NEVER, shown;

    if (nonblocking || sockets__now(sockets) >= until)
        return -EAGAIN;
    shown = sockets__next_deferral(sockets);
    if (shown < until)
        until = shown;
    return sockets->host.wait(sockets->host.context, until) ? 0 : -EINTR;
}

int sockets__take_error(struct socket *socket)
{
    int error = socket->error;

    socket->error = 0;
    return -error;
}

/* ── Names ─────────────────────────────────────────────────────────────────────────────────── */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int sockets__endpoint_of(const struct socket *socket, const struct sockaddr *address,
                         socklen_t length, struct utcp_endpoint *endpoint)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

    *endpoint = (struct utcp_endpoint){0};
    if (!address)
        return -EFAULT;
    if (length < sizeof(address->sa_family))
        return -EINVAL;
    if (address->sa_family != socket->family)
        return -EAFNOSUPPORT;
    if (length < (socket->family == AF_INET ? sizeof(*in) : sizeof(*in6)))
        return -EINVAL;
    if (socket->family == AF_INET) {
        endpoint->family = 4;
        endpoint->port = ntohs(in->sin_port);
        memcpy(endpoint->address, &in->sin_addr, 4);
        return 0;
    }
    endpoint->port = ntohs(in6->sin6_port);
    endpoint->family = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 4 : 6;
    if (endpoint->family == 4)
        memcpy(endpoint->address, in6->sin6_addr.s6_addr + sizeof(mapped), 4);
    else
        memcpy(endpoint->address, &in6->sin6_addr, sizeof(in6->sin6_addr));
    return 0;
}

/* Cuts it off where the caller has less room, as getsockname(2). */
static void give_name(const struct socket *socket, const struct utcp_endpoint *endpoint,
                      struct sockaddr *address, socklen_t *length)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    const void *from = socket->family == AF_INET ? (void *)&in : (void *)&in6;
    socklen_t size = socket->family == AF_INET ? sizeof(in) : sizeof(in6);

    if (!address || !length)
        return;
    memcpy(&in.sin_addr, endpoint->address, sizeof(in.sin_addr));
    if (endpoint->family == 4) {
        memcpy(in6.sin6_addr.s6_addr, mapped, sizeof(mapped));
        memcpy(in6.sin6_addr.s6_addr + sizeof(mapped), endpoint->address, 4);
    } else {
        memcpy(&in6.sin6_addr, endpoint->address, sizeof(in6.sin6_addr));
    }
    memcpy(address, from, *length < size ? *length : size);
    *length = size;
}

int sockets_getsockname(struct sockets *sockets, int fd, struct sockaddr *address,
                        socklen_t *length)
{
    const struct socket *socket = sockets__get(sockets, fd);

    if (!socket)
        return -EBADF;
    give_name(socket, &socket->local, address, length);
    return 0;
}

int sockets_getpeername(struct sockets *sockets, int fd, struct sockaddr *address,
                        socklen_t *length)
{
    const struct socket *socket = sockets__get(sockets, fd);

    if (!socket)
        return -EBADF;
    if (socket->kind != SOCKET_CONNECTS || socket->connecting || !socket->conn)
        return -ENOTCONN;
    give_name(socket, &socket->remote, address, length);
    return 0;
}

/* ── Beginning ─────────────────────────────────────────────────────────────────────────────── */

int sockets_socket(struct sockets *sockets, int domain, int type, int protocol)
{
    struct socket *socket = NULL;
    int fd;

    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
        return -ESOCKTNOSUPPORT;
    if (protocol && protocol != IPPROTO_TCP)
        return -EPROTONOSUPPORT;
    fd = sockets__new(sockets, SOCKET_NEW, &socket);
    if (fd < 0)
        return fd;
    socket->family = domain;
    socket->nonblocking = type & SOCK_NONBLOCK;
    socket->close_on_exec = type & SOCK_CLOEXEC;
    socket->options.path_mtu_discovery = IP_PMTUDISC_WANT;
    socket->options.quickack = 1;
    socket->options.max_pacing = UINT64_MAX;
    return fd;
}

static bool is_any(const struct utcp_endpoint *endpoint)
{
    static const uint8_t zero[16];

    return !memcmp(endpoint->address, zero, sizeof(zero));
}

/* Whether packets for one could be meant for the other. */
static bool overlap(const struct utcp_endpoint *a, const struct utcp_endpoint *b)
{
    if (a->port != b->port)
        return false;
    if (a->family !=
        b->family) /* IPv6's wildcard takes IPv4 as well; IPV6_V6ONLY is looked at by who asks */
        return is_any(a->family == 6 ? a : b);
    return is_any(a) || is_any(b) || !memcmp(a->address, b->address, sizeof(a->address));
}

/* Whether another socket keeps this one from the name: socket(7), SO_REUSEADDR, SO_REUSEPORT. A connection that
 * was accepted keeps its listener's. */
static bool taken_by_another(const struct sockets *sockets, const struct socket *socket,
                             const struct utcp_endpoint *local)
{
    for (uint32_t i = 0; i < sockets->size; i++) {
        const struct socket *other = sockets->table[i];

        if (!other || other == socket || !other->local.family || !overlap(&other->local, local))
            continue;
        if (other->local.family != local->family &&
            (other->local.family == 6 ? other : socket)->options.v6_only)
            continue;
        if (other->options.reuse_port && socket->options.reuse_port)
            continue;
        if (!other->options.reuse_address || !socket->options.reuse_address ||
            other->kind == SOCKET_LISTENS)
            return true;
    }
    return false;
}

int sockets_bind(struct sockets *sockets, int fd, const struct sockaddr *address, socklen_t length)
{
    struct socket *socket = sockets__get(sockets, fd);
    struct utcp_endpoint local;
    int status;

    if (!socket)
        return -EBADF;
    status = sockets__endpoint_of(socket, address, length, &local);
    if (status)
        return status;
    if (socket->local.family || socket->kind != SOCKET_NEW)
        return -EINVAL;
    if (!local.port) {
        const struct utcp_endpoint nobody = {.family = local.family};

        status = sockets->host.source(sockets->host.context, &nobody, &local);
    }
    if (!status && taken_by_another(sockets, socket, &local))
        status = -EADDRINUSE;
    if (!status)
        socket->local = socket->bound = local;
    return status;
}

int sockets_listen(struct sockets *sockets, int fd, int backlog)
{
    struct socket *socket = sockets__get(sockets, fd);
    unsigned room = backlog < 0 ? SOMAXCONN : (unsigned)backlog + 1;
    struct utcp_endpoint local4;
    int status;

    if (!socket)
        return -EBADF;
    if (socket->kind == SOCKET_LISTENS)
        return 0;
    if (socket->kind != SOCKET_NEW)
        return -EINVAL;
    if (!socket->local.family) { /* ip(7): a port that is free, on any address */
        socket->local.family = socket->family == AF_INET ? 4 : 6;
        status = sockets->host.source(sockets->host.context,
                                      &(struct utcp_endpoint){.family = socket->local.family},
                                      &socket->local);
        if (status)
            return status;
    }
    status = utcp_listen(sockets->stack, &socket->local, room, socket, &socket->listeners[0]);
    if (status)
        return status;
    local4 = (struct utcp_endpoint){.family = 4, .port = socket->local.port};
    if (socket->local.family == 6 && is_any(&socket->local) && !socket->options.v6_only &&
        utcp_listen(sockets->stack, &local4, room, socket, &socket->listeners[1]))
        socket->listeners[1] = NULL; /* somebody has it for IPv4 alone */
    socket->kind = SOCKET_LISTENS;
    socket->backlog = backlog < 0 ? SOMAXCONN : backlog;
    sockets__apply_listener_options(sockets, socket);
    return 0;
}

struct utcp_conn *sockets__look_ahead(struct sockets *sockets, struct socket *socket)
{
    struct utcp_conn *conn;

    for (int i = 0; i < 2 && !socket->ahead; i++) {
        while (socket->listeners[i] && !socket->ahead &&
               (conn = utcp_accept(socket->listeners[i], sockets__now(sockets))) != NULL) {
            if (!sockets__defer(sockets, socket, conn))
                socket->ahead = conn;
        }
    }
    if (!socket->ahead)
        socket->ahead = sockets__deferral_over(sockets, socket);
    return socket->ahead;
}

static void take_over(const struct sockets *sockets, const struct socket *from,
                      struct socket *socket, struct utcp_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn, &info);
    socket->family = from->family;
    socket->local = info.local;
    socket->remote = info.remote;
    socket->conn = conn;
    socket->told = true;
    socket->options = from->options;
    /* what has happened already is no news to the stack */
    socket->finished = !utcp_error(conn) && info.state != UTCP_SYN_RECEIVED &&
                       info.state != UTCP_ESTABLISHED && info.state != UTCP_FIN_WAIT_1 &&
                       info.state != UTCP_FIN_WAIT_2;
    socket->error = -utcp_error(conn);
    utcp_set_user(conn, socket);
    sockets__urgent_told(sockets, socket);
    sockets__apply_options(sockets, socket, conn);
    sockets__apply_congestion(socket, conn);
    sockets__apply_quick_acks(sockets, socket, conn);
}

int sockets_accept(struct sockets *sockets, int fd, struct sockaddr *address, socklen_t *length,
                   int flags)
{
    struct socket *socket = sockets__get(sockets, fd), *accepted = NULL;
    uint64_t since = sockets__now(sockets);
    int accepted_fd;

    if (!socket)
        return -EBADF;
    if (socket->kind != SOCKET_LISTENS)
        return -EINVAL;
    while (!sockets__look_ahead(sockets, socket)) {
        int status =
            sockets__wait(sockets, socket->nonblocking, since, socket->options.receive_timeout);

        if (status)
            return status;
        if (sockets__get(sockets, fd) != socket || socket->kind != SOCKET_LISTENS)
            return -EINVAL; /* closed, or shut down, meanwhile */
    }
    accepted_fd = sockets__new(sockets, SOCKET_CONNECTS, &accepted);
    if (accepted_fd < 0)
        return accepted_fd; /* the connection stays, for a better time */
    take_over(sockets, socket, accepted, socket->ahead);
    socket->ahead = NULL;
    accepted->nonblocking = flags & SOCK_NONBLOCK;
    accepted->close_on_exec = flags & SOCK_CLOEXEC;
    give_name(accepted, &accepted->remote, address, length);
    sockets__kick(sockets);
    return accepted_fd;
}

static enum utcp_state state_of(const struct socket *socket)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (!socket->conn)
        return UTCP_CLOSED;
    utcp_info(socket->conn, &info);
    return info.state;
}

static void stop_listening(struct sockets *sockets, struct socket *socket)
{
    if (socket->ahead)
        utcp_abort(socket->ahead, sockets__now(sockets));
    socket->ahead = NULL;
    sockets__dispose_deferrals(sockets, socket);
    for (int i = 0; i < 2; i++) {
        if (socket->listeners[i])
            utcp_listener_close(socket->listeners[i]);
        socket->listeners[i] = NULL;
    }
    socket->kind = SOCKET_NEW;
}

/* There is no connection any more: the socket may have another. */
static void disconnect(struct sockets *sockets, struct socket *socket)
{
    if (socket->conn)
        utcp_abort(socket->conn, sockets__now(sockets));
    socket->conn = NULL;
    socket->kind = SOCKET_NEW;
    socket->local = socket->bound;
    socket->connecting = socket->deferred = socket->told = false;
    socket->finished = socket->shut_read = socket->shut_write = socket->write_blocked = false;
    socket->read = 0;
    socket->urgent = URGENT_NONE;
    socket->arrivals++;
    socket->departures++;
}

/* The outcome of a connection attempt, when there is one. */
static int outcome(struct sockets *sockets, struct socket *socket)
{
    if (socket->told)
        return -EISCONN;
    if (socket->conn && !utcp_error(socket->conn)) {
        socket->told = true;
        return 0;
    }
    /* It may try again. Where the error was told to another call, this is all that is left to say. */
    disconnect(sockets, socket);
    return socket->error ? sockets__take_error(socket) : -ECONNABORTED;
}

/* connect(2) to AF_UNSPEC: an end at once, of whatever there is. */
static int dissolve(struct sockets *sockets, struct socket *socket)
{
    enum utcp_state state = state_of(socket);
    bool cut = state != UTCP_CLOSED && state != UTCP_TIME_WAIT && state != UTCP_CLOSING &&
               state != UTCP_LAST_ACK;

    if (socket->kind == SOCKET_LISTENS)
        stop_listening(sockets, socket);
    disconnect(sockets, socket);
    socket->error = cut ? ECONNRESET : 0;
    sockets__kick(sockets);
    return 0;
}

int sockets__begin_connecting(struct sockets *sockets, struct socket *socket,
                              const struct utcp_endpoint *remote)
{
    struct utcp_endpoint local = socket->local;
    int status = 0;

    if (!local.family || !local.port || is_any(&local))
        status = sockets->host.source(sockets->host.context, remote, &local);
    if (!status)
        status = utcp_connect(sockets->stack, sockets__now(sockets), &local, remote, socket,
                              &socket->conn);
    if (status)
        return status == -EADDRINUSE ? -EADDRNOTAVAIL : status;
    socket->local = local;
    socket->remote = *remote;
    socket->kind = SOCKET_CONNECTS;
    socket->connecting = true;
    socket->told = false;
    sockets__apply_options(sockets, socket, socket->conn);
    sockets__apply_congestion(socket, socket->conn);
    sockets__apply_quick_acks(sockets, socket, socket->conn);
    return 0;
}

int sockets_connect(struct sockets *sockets, int fd, const struct sockaddr *address,
                    socklen_t length)
{
    struct socket *socket = sockets__get(sockets, fd);
    uint64_t since = sockets__now(sockets);
    struct utcp_endpoint remote;
    int status;

    if (!socket)
        return -EBADF;
    if (address && length >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC)
        return dissolve(sockets, socket);
    if (socket->kind == SOCKET_LISTENS || socket->kind == SOCKET_EPOLL || socket->deferred)
        return -EISCONN;
    if (socket->kind == SOCKET_CONNECTS && !socket->connecting)
        return outcome(sockets, socket);
    if (socket->kind == SOCKET_CONNECTS && socket->nonblocking)
        return -EALREADY;
    if (socket->kind == SOCKET_NEW) {
        status = sockets__endpoint_of(socket, address, length, &remote);
        if (!status)
            status = socket->options.fast_open_connect
                         ? sockets__connect_fast(sockets, socket, &remote)
                         : sockets__begin_connecting(sockets, socket, &remote);
        if (status)
            return status == SOCKETS_DEFERRED ? 0 : status;
        sockets__kick(sockets);
        if (socket->nonblocking)
            return -EINPROGRESS;
    }
    while (socket->connecting) {
        status = sockets__wait(sockets, false, since, socket->options.send_timeout);
        if (status)
            return status == -EAGAIN ? -EINPROGRESS : status;
        if (sockets__get(sockets, fd) != socket)
            return -EBADF;
    }
    return outcome(sockets, socket);
}

/* ── Ending ────────────────────────────────────────────────────────────────────────────────── */

int sockets_shutdown(struct sockets *sockets, int fd, int how)
{
    struct socket *socket = sockets__get(sockets, fd);

    if (!socket)
        return -EBADF;
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (socket->kind == SOCKET_LISTENS) {
        if (how != SHUT_WR)
            stop_listening(sockets, socket);
        return 0;
    }
    if (state_of(socket) == UTCP_SYN_SENT) /* nobody is there yet to tell: the attempt is over */
        return dissolve(sockets, socket);
    if (how != SHUT_WR) {
        socket->shut_read = true;
        socket->arrivals++;
    }
    if (how != SHUT_RD) {
        socket->shut_write = true;
        socket->departures++;
    }
    if (state_of(socket) == UTCP_CLOSED || state_of(socket) == UTCP_TIME_WAIT)
        return -ENOTCONN;
    if (how != SHUT_RD)
        utcp_shutdown(socket->conn, sockets__now(sockets));
    sockets__kick(sockets);
    return 0;
}

/* SO_LINGER with a time: close() waits until the peer has acknowledged all, the FIN as well, or the time is over;
 * whether the socket is non-blocking makes no difference, socket(7). Where something was not read the connection is
 * reset, and there is nothing to wait for. */
static void linger(struct sockets *sockets, struct socket *socket)
{
    uint64_t since = sockets__now(sockets);
    uint64_t limit = (uint64_t)socket->options.linger_seconds * 1000000;
    enum utcp_state state;

    if (utcp_readable(socket->conn))
        return;
    utcp_shutdown(socket->conn, since);
    sockets__kick(sockets);
    while (state = state_of(socket),
           state == UTCP_FIN_WAIT_1 || state == UTCP_CLOSING || state == UTCP_LAST_ACK) {
        if (sockets__wait(sockets, false, since, limit))
            return;
    }
}

int sockets_close(struct sockets *sockets, int fd)
{
    struct socket *socket = sockets__get(sockets, fd);

    if (!socket)
        return -EBADF;
    sockets->table[fd] = NULL;
    sockets->host.give_number_back(sockets->host.context, fd);
    sockets__unwatch(sockets, socket);
    sockets__dispose_watches(socket);
    sockets__dispose_notes(socket);
    if (socket->kind == SOCKET_LISTENS)
        stop_listening(sockets, socket);
    if (socket->conn && socket->options.linger_on && socket->options.linger_seconds > 0)
        linger(sockets, socket);
    if (socket->conn && socket->options.linger_on && !socket->options.linger_seconds)
        utcp_abort(socket->conn, sockets__now(sockets));
    else if (socket->conn)
        utcp_close(socket->conn, sockets__now(sockets));
    free(socket);
    sockets__kick(sockets);
    return 0;
}
