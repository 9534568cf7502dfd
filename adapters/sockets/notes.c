/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: what recvmsg(2) gives beside data. Control messages: TCP_INQ's count. The error queue
 * (MSG_ERRQUEUE): notes that what was sent with MSG_ZEROCOPY may be used again, and when what was sent
 * had left and arrived (timestamps.c).
 *
 * A send copies, whatever its flags: the note says so (SO_EE_CODE_ZEROCOPY_COPIED, as for the kernel
 * where a device can't do without a copy) and is there at once. So programs that are written for
 * zero-copy work unchanged, and learn that it gains them nothing. Notes whose numbers follow each other
 * become one, as the kernel's do. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/errqueue.h>
#include <linux/tcp.h>

#include "internal.h"

#define NOTES_MAX 256 /* for a socket whose program does not fetch them */

struct note {
    struct note *next;
    struct sock_extended_err error;
    uint64_t at; /* µs, or NO_TIME */
    bool cut;
};

/* What comes with an IP_RECVERR or IPV6_RECVERR: whom the error is from, here nobody. */
struct report4 {
    struct sock_extended_err error;
    struct sockaddr_in from;
};

struct report6 {
    struct sock_extended_err error;
    struct sockaddr_in6 from;
};

void sockets__note(struct socket *socket, const struct sock_extended_err *error, uint64_t at,
                   bool cut)
{
    struct note **end = &socket->notes, *note;
    unsigned count = 0;

    for (; *end; end = &(*end)->next)
        count++;
    note = count < NOTES_MAX ? calloc(1, sizeof(*note)) : NULL;
    if (!note)
        return;
    *note = (struct note){.error = *error, .at = at, .cut = cut};
    *end = note;
    socket->arrivals++;
}

static struct note *last(const struct socket *socket)
{
    struct note *note = socket->notes;

    while (note && note->next)
        note = note->next;
    return note;
}

void sockets__note_zerocopy(struct socket *socket)
{
    uint32_t number = socket->zerocopy_sends++;
    struct note *before = last(socket);

    if (before && before->error.ee_origin == SO_EE_ORIGIN_ZEROCOPY &&
        before->error.ee_data + 1 == number)
        before->error.ee_data = number;
    else
        sockets__note(socket,
                      &(struct sock_extended_err){.ee_origin = SO_EE_ORIGIN_ZEROCOPY,
                                                  .ee_code = SO_EE_CODE_ZEROCOPY_COPIED,
                                                  .ee_info = number,
                                                  .ee_data = number},
                      NO_TIME, false);
    socket->arrivals++;
}

void sockets__dispose_notes(struct socket *socket)
{
    while (socket->notes) {
        struct note *next = socket->notes->next;

        free(socket->notes);
        socket->notes = next;
    }
}

/* ── Control messages ──────────────────────────────────────────────────────────────────────── */

void sockets__put_control(struct control *control, int level, int type, const void *data,
                          size_t size)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    uint8_t *at = (uint8_t *)control->message->msg_control + control->used;

    if (control->room - control->used < CMSG_SPACE(size)) {
        control->message->msg_flags |= MSG_CTRUNC;
        return;
    }
    memset(at, 0, CMSG_SPACE(size));
    memcpy(at, &header, sizeof(header));
    memcpy(at + CMSG_LEN(0), data, size);
    control->used += CMSG_SPACE(size);
}

static void put_report(struct control *control, const struct socket *socket,
                       const struct sock_extended_err *error)
{
    struct report4 report4 = {.error = *error};
    struct report6 report6 = {.error = *error};

    if (socket->family == AF_INET)
        sockets__put_control(control, IPPROTO_IP, IP_RECVERR, &report4, sizeof(report4));
    else
        sockets__put_control(control, IPPROTO_IPV6, IPV6_RECVERR, &report6, sizeof(report6));
}

static void take_note(struct socket *socket, struct control *control)
{
    struct note *note = socket->notes;

    control->message->msg_flags |= MSG_ERRQUEUE | (note->cut ? MSG_TRUNC : 0);
    if (note->at != NO_TIME)
        sockets__put_time(control, note->at);
    put_report(control, socket, &note->error);
    socket->notes = note->next;
    free(note);
}

/* tcp(7), TCP_INQ: what is left to be read; where the peer has ended, one more, for the end itself. */
static void put_left(struct control *control, const struct socket *socket)
{
    int left = socket->conn ? (int)utcp_readable(socket->conn) : 0;

    if (left == 0 && socket->finished)
        left = 1;
    sockets__put_control(control, IPPROTO_TCP, TCP_CM_INQ, &left, sizeof(left));
}

/* `took`: something was read. */
static void put_beside(struct control *control, const struct socket *socket, bool took)
{
    if (socket->options.tell_left)
        put_left(control, socket);
    if (took)
        sockets__put_arrival(control, socket);
}

ssize_t sockets_receive_message(struct sockets *sockets, int fd, struct msghdr *message, int flags)
{
    struct socket *socket = sockets__get(sockets, fd);
    struct control control = {.message = message,
                              .room = message->msg_control ? message->msg_controllen : 0};
    ssize_t done = 0;

    if (!socket)
        return -EBADF;
    if (!(flags & MSG_ERRQUEUE))
        done = sockets_receive(sockets, fd, message->msg_iov, message->msg_iovlen, flags);
    else if (!socket->notes)
        done = -EAGAIN;
    if (done < 0)
        return done;
    message->msg_flags = flags & MSG_OOB;
    message->msg_namelen = 0; /* a connection's data come from its peer */
    if (flags & MSG_ERRQUEUE)
        take_note(socket, &control);
    else if (sockets__get(sockets, fd) == socket)
        put_beside(&control, socket, done > 0 && !(flags & MSG_PEEK));
    message->msg_controllen = control.used;
    return done;
}
