/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: urgent data, as tcp(7) and socket(7) have them. To UTCP they are data of the stream, of which it tells
 * where those end that the peer calls urgent (RFC 9293 section 3.8.5). To sockets the last of these bytes is "out of
 * band":
 *
 *   SO_OOBINLINE   off: reads leave it out, and recv(MSG_OOB) gives it, once, until the stream is read beyond it.
 *                  On: it is read with the stream, as RFC 6093 section 6 recommends.
 *   the mark       is where it is. A read that has something ends there, whatever else there is, so that a program
 *                  finds it by SIOCATMARK.
 *
 * There is one mark at a time, the last; POLLPRI says that its byte is there. */
#include <errno.h>

#include "internal.h"

static bool is_there(const struct socket *socket)
{
    return socket->conn && utcp_readable(socket->conn) > socket->urgent_at - socket->read;
}

bool sockets__at_mark(const struct socket *socket)
{
    return socket->urgent != URGENT_NONE && socket->urgent_at == socket->read;
}

bool sockets__skips_mark(const struct socket *socket)
{
    return sockets__at_mark(socket) && !socket->options.urgent_inline;
}

size_t sockets__up_to_mark(const struct socket *socket, size_t offset)
{
    uint64_t from = socket->read + offset;

    return socket->urgent == URGENT_NONE || socket->urgent_at < from ? SIZE_MAX
                                                                     : socket->urgent_at - from;
}

size_t sockets__readable_to_mark(const struct socket *socket)
{
    size_t readable = socket->conn ? utcp_readable(socket->conn) : 0;
    size_t mark = sockets__up_to_mark(socket, 0);

    return !socket->options.urgent_inline && mark < readable ? mark : readable;
}

bool sockets__urgent_to_be_read(const struct socket *socket)
{
    return socket->urgent == URGENT_TOLD && is_there(socket);
}

void sockets__pass(const struct sockets *sockets, struct socket *socket, size_t size)
{
    utcp_consume(socket->conn, sockets__now(sockets), size);
    socket->read += size;
    if (socket->urgent != URGENT_NONE && socket->read > socket->urgent_at)
        socket->urgent = URGENT_NONE;
}

void sockets__urgent_told(const struct sockets *sockets, struct socket *socket)
{
    size_t urgent = socket->conn ? utcp_urgent(socket->conn) : 0;
    uint64_t at = socket->read + urgent - 1;

    if (!urgent || (socket->urgent != URGENT_NONE && at <= socket->urgent_at))
        return;
    /* The stream was read up to the last one: it goes, or it would be data now. */
    if (sockets__skips_mark(socket) && is_there(socket))
        sockets__pass(sockets, socket, 1);
    socket->urgent = URGENT_TOLD;
    socket->urgent_at = at;
    socket->arrivals++;
}

ssize_t sockets__receive_urgent(struct socket *socket, const struct iovec *pieces, size_t count,
                                int flags)
{
    const uint8_t *byte;

    if (socket->kind == SOCKET_LISTENS)
        return -ENOTCONN;
    if (socket->options.urgent_inline || socket->urgent != URGENT_TOLD)
        return -EINVAL;
    if (!is_there(socket)) /* it never waits, whether the socket may or not */
        return !socket->conn || socket->finished || socket->shut_read || utcp_error(socket->conn)
                   ? 0
                   : -EAGAIN;
    utcp_peek_at(socket->conn, socket->urgent_at - socket->read, &byte);
    if (!(flags & MSG_PEEK))
        socket->urgent = URGENT_TAKEN;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].iov_len) {
            if (!pieces[i].iov_base)
                return -EFAULT;
            *(uint8_t *)pieces[i].iov_base = *byte;
            return 1;
        }
    }
    return 0;
}
