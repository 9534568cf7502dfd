/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: fast open (RFC 7413), as tcp(7) has it.
 *
 *   sendto(MSG_FASTOPEN)   connects and sends in one. With a cookie of the server the SYN takes what
 *                          fits; who does not wait is told how much that was, or, without a cookie,
 *                          -EINPROGRESS, and has sent nothing.
 *   TCP_FASTOPEN_CONNECT   connect() does nothing, where there is a cookie, and the first write is as
 *                          that sendto(): for programs that shall not be changed in more than a line.
 *   TCP_FASTOPEN           of a listener: how many connections may be open early. */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define KEY_SIZE UTCP_FAST_OPEN_KEY_SIZE

void sockets_set_fast_open(struct sockets *sockets, unsigned settings)
{
    sockets->fast_open = settings;
}

/* ── Listeners ─────────────────────────────────────────────────────────────────────────────── */

void sockets__fast_open_listener(const struct sockets *sockets, const struct socket *socket,
                                 struct utcp_listener *listener)
{
    unsigned settings = sockets->fast_open;
    int limit = socket->options.fast_open;

    if (!limit && settings & SOCKETS_FAST_OPEN_EVERY_LISTENER)
        limit = socket->backlog;
    if (!(settings & SOCKETS_FAST_OPEN_SERVER))
        limit = 0;
    utcp_listener_set_option(listener, UTCP_OPTION_FAST_OPEN, (uint64_t)limit);
    utcp_listener_set_option(listener, UTCP_OPTION_FAST_OPEN_NO_COOKIE,
                             socket->options.fast_open_no_cookie ||
                                 settings & SOCKETS_FAST_OPEN_SERVER_NO_COOKIE);
    if (socket->fast_keys)
        utcp_listener_set_fast_open_keys(listener, socket->fast_key[0],
                                         socket->fast_keys > 1 ? socket->fast_key[1] : NULL);
}

/* ── Clients ───────────────────────────────────────────────────────────────────────────────── */

/* Begins to connect; its SYN has not gone out yet. */
static int begin(struct sockets *sockets, struct socket *socket, const struct utcp_endpoint *remote)
{
    bool no_cookie = socket->options.fast_open_no_cookie ||
                     sockets->fast_open & SOCKETS_FAST_OPEN_CLIENT_NO_COOKIE;
    int status = sockets__begin_connecting(sockets, socket, remote);

    if (!status)
        utcp_set_option(socket->conn,
                        no_cookie ? UTCP_OPTION_FAST_OPEN_NO_COOKIE : UTCP_OPTION_FAST_OPEN, 1);
    return status;
}

int sockets__connect_fast(struct sockets *sockets, struct socket *socket,
                          const struct utcp_endpoint *remote)
{
    int status = begin(sockets, socket, remote);

    if (status || !utcp_syn_room(socket->conn))
        return status;
    /* The first write makes it again, from the same port. */
    utcp_close(socket->conn, sockets__now(sockets));
    socket->conn = NULL;
    socket->connecting = false;
    socket->kind = SOCKET_NEW;
    socket->deferred = true;
    return SOCKETS_DEFERRED;
}

ssize_t sockets__send_fast(struct sockets *sockets, int fd, struct socket *socket,
                           const struct iovec *pieces, size_t count, int flags,
                           const struct sockaddr *address, socklen_t length)
{
    bool nonblocking = socket->nonblocking || flags & MSG_DONTWAIT;
    struct utcp_endpoint remote = socket->remote;
    uint64_t since = sockets__now(sockets);
    size_t wanted = 0, room;
    ssize_t done = 0;
    int status = 0;

    if (!socket->deferred)
        status = sockets__endpoint_of(socket, address, length, &remote);
    if (!status)
        status = begin(sockets, socket, &remote);
    if (status)
        return status;
    socket->deferred = false;
    for (size_t i = 0; i < count; i++)
        wanted += pieces[i].iov_len;
    room = utcp_syn_room(socket->conn);
    if (room && wanted)
        done = sockets__put(sockets, socket, pieces, count, 0, wanted < room ? wanted : room,
                            wanted <= room ? flags : 0);
    sockets__kick(sockets);
    if (nonblocking)
        return done > 0 ? done : -EINPROGRESS;
    while (socket->connecting) {
        status = sockets__wait(sockets, false, since, socket->options.send_timeout);
        if (status)
            return done > 0 ? done : status == -EAGAIN ? -EINPROGRESS : status;
        if (sockets__get(sockets, fd) != socket)
            return -EBADF;
    }
    if (socket->error)
        return sockets__take_error(socket);
    socket->told = true;
    if (done < (ssize_t)wanted) { /* the rest answers the SYN-ACK */
        socket->heard_at = sockets__now(sockets);
        sockets__answers(sockets, socket);
    }
    return sockets__send_rest(sockets, fd, socket, pieces, count, flags,
                              done > 0 ? (size_t)done : 0);
}

bool sockets__sends_fast(const struct socket *socket, int flags)
{
    return socket->deferred || (flags & MSG_FASTOPEN && socket->kind == SOCKET_NEW);
}

/* ── Options ───────────────────────────────────────────────────────────────────────────────── */

static int set_keys(struct socket *socket, const void *value, socklen_t length)
{
    if (length != KEY_SIZE && length != sizeof(socket->fast_key))
        return -EINVAL;
    memcpy(socket->fast_key, value, length);
    socket->fast_keys = (uint8_t)(length / KEY_SIZE);
    return 0;
}

int sockets__may_set_fast_open(const struct sockets *sockets, const struct socket *socket, int name)
{
    if (name == TCP_FASTOPEN_CONNECT && !(sockets->fast_open & SOCKETS_FAST_OPEN_CLIENT))
        return -EOPNOTSUPP;
    if (socket->kind == SOCKET_NEW && !socket->deferred)
        return 0;
    return name != TCP_FASTOPEN_CONNECT && socket->kind == SOCKET_LISTENS ? 0 : -EINVAL;
}

int sockets__set_fast_open_key(struct sockets *sockets, struct socket *socket, const void *value,
                               socklen_t length)
{
    int status = sockets__may_set_fast_open(sockets, socket, TCP_FASTOPEN_KEY);

    if (!status)
        status = set_keys(socket, value, length);
    if (!status)
        sockets__apply_listener_options(sockets, socket);
    return status;
}
