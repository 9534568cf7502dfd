/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: data in and out. Every call is a scatter or gather of pieces; read(2) has one. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static size_t total(const struct iovec *pieces, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

/* Where the byte at `offset` of the pieces goes, and how many behind it lie together. */
static uint8_t *place(const struct iovec *pieces, size_t count, size_t offset, size_t *together)
{
    for (size_t i = 0; i < count; i++) {
        if (offset < pieces[i].iov_len) {
            *together = pieces[i].iov_len - offset;
            return (uint8_t *)pieces[i].iov_base + offset;
        }
        offset -= pieces[i].iov_len;
    }
    *together = 0;
    return NULL;
}

static bool any_null(const struct iovec *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!pieces[i].iov_base && pieces[i].iov_len)
            return true;
    }
    return false;
}

/* ── In ────────────────────────────────────────────────────────────────────────────────────── */

/* Takes what is there into the pieces from `done` on, up to the mark of urgent data. Returns how much. */
static size_t take(struct sockets *sockets, struct socket *socket, const struct iovec *pieces,
                   size_t count, size_t done, size_t wanted, int flags)
{
    size_t taken = 0, seen = 0; /* the latter: and left there */

    while (done + taken < wanted) {
        const uint8_t *data;
        size_t part = utcp_peek_at(socket->conn, seen, &data);
        size_t together = wanted - done - taken, mark = sockets__up_to_mark(socket, seen);
        uint8_t *to = NULL;

        if (!part || (mark == 0 && done + taken))
            break;
        if (mark == 0 && !socket->options.urgent_inline) {
            if (flags & MSG_PEEK)
                seen++;
            else
                sockets__pass(sockets, socket, 1);
            continue;
        }
        if (!(flags & MSG_TRUNC)) /* otherwise it is thrown away, tcp(7) */
            to = place(pieces, count, done + taken, &together);
        if (part > together)
            part = together;
        if (mark && part > mark)
            part = mark;
        if (to)
            memcpy(to, data, part);
        taken += part;
        if (flags & MSG_PEEK)
            seen += part;
        else
            sockets__pass(sockets, socket, part);
    }
    return taken;
}

/* Nothing is there to be read: will there be? 1: wait for it; 0: the end; or an error. */
static int prospects(struct socket *socket)
{
    if (socket->error)
        return sockets__take_error(socket);
    return !(socket->finished || socket->shut_read || utcp_error(socket->conn));
}

/* There is no connection: socket(7) has three answers. */
static int nothing_to_read(struct socket *socket)
{
    if (socket->kind == SOCKET_NEW && socket->error)
        return sockets__take_error(socket);
    return socket->kind == SOCKET_NEW && socket->shut_read ? 0 : -ENOTCONN;
}

size_t sockets__low_water(const struct socket *socket)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (socket->options.low_water <= 1 || !utcp_readable(socket->conn))
        return 1;
    utcp_info(socket->conn, &info); /* nothing more comes while the window is closed */
    return info.receive_window < info.receive_mss ? 1 : (size_t)socket->options.low_water;
}

/* Bytes after which a read need not wait for more. */
static size_t enough(const struct socket *socket, size_t wanted, int flags)
{
    size_t low = sockets__low_water(socket);

    return flags & MSG_WAITALL || low > wanted ? wanted : low;
}

ssize_t sockets_receive(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                        int flags)
{
    struct socket *socket = sockets__get(sockets, fd);
    uint64_t since = sockets__now(sockets);
    size_t done = 0, wanted = total(pieces, count);

    if (!socket)
        return -EBADF;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (flags & MSG_OOB)
        return sockets__receive_urgent(socket, pieces, count, flags);
    if (socket->deferred) /* nobody answers what was not said */
        return -EAGAIN;
    if (socket->kind != SOCKET_CONNECTS || !socket->conn)
        return nothing_to_read(socket);
    if (any_null(pieces, count) && !(flags & MSG_TRUNC))
        return -EFAULT;
    for (;;) {
        bool nonblocking = socket->nonblocking || flags & MSG_DONTWAIT;
        int status;

        if (flags & MSG_PEEK)
            done = 0; /* all of it is there still */
        done += take(sockets, socket, pieces, count, done, wanted, flags);
        if ((done || (!wanted && utcp_readable(socket->conn))) &&
            (done >= enough(socket, wanted, flags) ||
             sockets__up_to_mark(socket, flags & MSG_PEEK ? done : 0) == 0))
            break;
        status = done && socket->error ? 0 : prospects(socket); /* the error is for the next call */
        if (status == 1)
            status = sockets__wait(sockets, nonblocking, since, socket->options.receive_timeout);
        else if (status == 0)
            break;
        if (status && !done)
            return status;
        if (status)
            break;
        if (sockets__get(sockets, fd) != socket)
            return done ? (ssize_t)done : -EBADF;
    }
    sockets__kick(sockets);
    return (ssize_t)done;
}

/* ── Out ───────────────────────────────────────────────────────────────────────────────────── */

/* Whether data may be written: 0, -EAGAIN while the handshake lasts, or an error. */
static int may_send(struct socket *socket)
{
    if (socket->error)
        return sockets__take_error(socket);
    if (socket->kind != SOCKET_CONNECTS || socket->shut_write || !socket->conn ||
        utcp_error(socket->conn)) /* which was told before */
        return -EPIPE;
    return socket->connecting ? -EAGAIN : 0;
}

ssize_t sockets__put(struct sockets *sockets, struct socket *socket, const struct iovec *pieces,
                     size_t count, size_t done, size_t wanted, int flags)
{
    size_t put = 0;

    while (done + put < wanted) {
        size_t together;
        const uint8_t *from = place(pieces, count, done + put, &together);
        ptrdiff_t part;

        if (together > wanted - done - put)
            together = wanted - done - put;
        if (flags & MSG_EOR && done + put + together == wanted)
            part = utcp_write_record(socket->conn, sockets__now(sockets), from, together);
        else
            part = utcp_write(socket->conn, sockets__now(sockets), from, together);
        if (part == -EAGAIN)
            break;
        if (part < 0)
            return put ? (ssize_t)put : (part == -ENOTCONN ? -EPIPE : part);
        put += (size_t)part;
        if ((size_t)part < together)
            sockets__kick(sockets); /* what goes out may make room */
    }
    socket->write_blocked = done + put < wanted;
    return (ssize_t)put;
}

ssize_t sockets__send_rest(struct sockets *sockets, int fd, struct socket *socket,
                           const struct iovec *pieces, size_t count, int flags, size_t done)
{
    bool nonblocking = socket->nonblocking || flags & MSG_DONTWAIT;
    uint64_t since = sockets__now(sockets);
    size_t wanted = total(pieces, count);

    for (;;) {
        ssize_t status = may_send(socket);

        if (!status && done < wanted)
            status = sockets__put(sockets, socket, pieces, count, done, wanted, flags);
        if (status > 0)
            done += (size_t)status;
        if (status >= 0 && done == wanted)
            return (ssize_t)done;
        if (status < 0 && status != -EAGAIN)
            return done ? (ssize_t)done : status;
        sockets__kick(sockets);
        status = sockets__wait(sockets, nonblocking, since, socket->options.send_timeout);
        if (status)
            return done ? (ssize_t)done : status;
        if (sockets__get(sockets, fd) != socket)
            return done ? (ssize_t)done : -EBADF;
    }
}

/* MSG_MORE is a cork until the next call that goes without it. */
static void hold_back(struct socket *socket, bool more)
{
    if (more == socket->more || !socket->conn)
        return;
    socket->more = more;
    utcp_set_option(socket->conn, UTCP_OPTION_CORK, more || socket->options.cork);
}

/* What a name, or MSG_FASTOPEN, is good for: 0 or a negative errno. */
static int may_connect(const struct sockets *sockets, struct socket *socket, int flags,
                       const struct sockaddr *address, socklen_t length)
{
    if (!(flags & MSG_FASTOPEN)) /* a name is of no use, and does no harm */
        return 0;
    if (!(sockets->fast_open & SOCKETS_FAST_OPEN_CLIENT) ||
        (address && length >= sizeof(address->sa_family) && address->sa_family == AF_UNSPEC))
        return -EOPNOTSUPP;
    if (socket->kind == SOCKET_LISTENS || (socket->kind == SOCKET_CONNECTS && socket->told))
        return -EISCONN;
    if (socket->connecting)
        return socket->nonblocking ? -EALREADY : 0;
    socket->told = socket->kind == SOCKET_CONNECTS; /* as by connect() */
    return 0;
}

static ssize_t send_stamped(struct sockets *sockets, int fd, const struct iovec *pieces,
                            size_t count, int flags, const struct sockaddr *address,
                            socklen_t length, int stamps)
{
    struct socket *socket = sockets__get(sockets, fd);
    ssize_t done;

    if (!socket)
        return -EBADF;
    done = may_connect(sockets, socket, flags, address, length);
    if (done)
        return done;
    if (any_null(pieces, count))
        return -EFAULT;
    hold_back(socket, flags & MSG_MORE);
    if (sockets__sends_fast(socket, flags))
        done = sockets__send_fast(sockets, fd, socket, pieces, count, flags, address, length);
    else {
        sockets__answers(sockets, socket);
        done = sockets__send_rest(sockets, fd, socket, pieces, count, flags, 0);
    }
    if (done > 0 && flags & MSG_OOB && sockets__get(sockets, fd) == socket && socket->conn)
        utcp_mark_urgent(socket->conn, sockets__now(sockets));
    if (done > 0 && sockets__get(sockets, fd) == socket)
        sockets__stamp_send(sockets, socket, stamps);
    if (done > 0 && flags & MSG_ZEROCOPY && sockets__get(sockets, fd) == socket &&
        socket->options.zerocopy)
        sockets__note_zerocopy(socket);
    sockets__kick(sockets);
    return done;
}

ssize_t sockets_send_to(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                        int flags, const struct sockaddr *address, socklen_t length)
{
    return send_stamped(sockets, fd, pieces, count, flags, address, length, -1);
}

ssize_t sockets_send_message(struct sockets *sockets, int fd, const struct msghdr *message,
                             int flags)
{
    int stamps, status = sockets__stamps_of(message, &stamps);

    if (status)
        return status;
    return send_stamped(sockets, fd, message->msg_iov, message->msg_iovlen, flags,
                        message->msg_name, message->msg_namelen, stamps);
}

ssize_t sockets_send(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                     int flags)
{
    return sockets_send_to(sockets, fd, pieces, count, flags, NULL, 0);
}
