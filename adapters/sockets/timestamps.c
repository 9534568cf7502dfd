/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: SO_TIMESTAMPING, SO_TIMESTAMP, SO_TIMESTAMPNS, as the kernel's
 * Documentation/networking/timestamping has them for TCP. Times are of the host's clock.
 *
 * A send marks the last byte that it wrote. What is told of it goes to the error queue (notes.c): SCHED
 * and SND at one time, for between UTCP and the sink nothing queues, and ACK. The packet itself is not
 * given back, whether OPT_TSONLY says so or not; MSG_TRUNC tells those who did not ask for that.
 *
 * A read gives the time when the last byte that it took had come, or what was missing before it.
 * Stamps of hardware may be asked for, and never come: so it is where a device has none. */
#include <errno.h>
#include <string.h>
#include <sys/time.h>
#include <time.h> /* errqueue.h needs it */

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "internal.h"

#define OPT_ID_TCP (1 << 16) /* Linux 6.2 */
#define TX_FLAGS                                                                                   \
    (SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |          \
     SOF_TIMESTAMPING_TX_HARDWARE)
/* But for OPT_STATS, BIND_PHC: there is nothing behind them here. */
#define KNOWN_FLAGS                                                                                \
    (TX_FLAGS | SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RX_SOFTWARE |                      \
     SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_SYS_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE |   \
     SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_CMSG | SOF_TIMESTAMPING_OPT_TSONLY |           \
     SOF_TIMESTAMPING_OPT_PKTINFO | SOF_TIMESTAMPING_OPT_TX_SWHW | OPT_ID_TCP)

static struct timespec time_of(uint64_t us)
{
    return (struct timespec){.tv_sec = (time_t)(us / 1000000),
                             .tv_nsec = (long)(us % 1000000 * 1000)};
}

static bool wants_arrivals(const struct socket *socket)
{
    const struct socket_options *options = &socket->options;

    return options->timestamp || options->timestamp_ns ||
           (options->timestamping & SOF_TIMESTAMPING_RX_SOFTWARE &&
            options->timestamping & SOF_TIMESTAMPING_SOFTWARE);
}

void sockets__apply_timestamps(const struct socket *socket, struct utcp_conn *conn)
{
    utcp_set_option(conn, UTCP_OPTION_ARRIVAL_TIMES, wants_arrivals(socket));
}

/* ── The option ────────────────────────────────────────────────────────────────────────────── */

/* The numbers of OPT_ID count from what is not acknowledged, or not written yet. */
static int number_from_here(struct socket *socket, int flags)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (socket->kind != SOCKET_CONNECTS || !socket->conn)
        return -EINVAL;
    utcp_info(socket->conn, &info);
    socket->stamps_from = info.bytes_out;
    if (flags & OPT_ID_TCP)
        socket->stamps_from += utcp_unacknowledged(socket->conn);
    return 0;
}

int sockets__set_timestamping(struct socket *socket, const void *value, socklen_t length)
{
    int flags, added, status = 0;

    if (length < sizeof(flags))
        return -EINVAL;
    memcpy(&flags, value, sizeof(flags));
    added = flags & ~socket->options.timestamping;
    if (flags & ~KNOWN_FLAGS || (flags & OPT_ID_TCP && !(flags & SOF_TIMESTAMPING_OPT_ID)))
        return -EINVAL;
    if (added & SOF_TIMESTAMPING_OPT_ID)
        status = number_from_here(socket, flags);
    if (status)
        return status;
    socket->options.timestamping = flags;
    if (socket->conn)
        sockets__apply_timestamps(socket, socket->conn);
    return 0;
}

/* ── Out ───────────────────────────────────────────────────────────────────────────────────── */

void sockets__stamp_send(const struct sockets *sockets, struct socket *socket, int stamps)
{
    int flags = stamps < 0 ? socket->options.timestamping & TX_FLAGS : stamps;
    unsigned kinds =
        (flags & (SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE) ? UTCP_TIME_SENT : 0U) |
        (flags & SOF_TIMESTAMPING_TX_ACK ? UTCP_TIME_ACKNOWLEDGED : 0U);

    /* Where there are too many it goes without, as in Linux when the error queue is full. */
    if (kinds && socket->conn)
        utcp_mark_times(socket->conn, sockets__now(sockets), kinds, (uint32_t)flags);
}

static void note(struct socket *socket, const struct utcp_time *time, uint32_t what)
{
    int flags = socket->options.timestamping;
    struct sock_extended_err error = {
        .ee_errno = ENOMSG, .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = what};

    if (flags & SOF_TIMESTAMPING_OPT_ID)
        error.ee_data = (uint32_t)(time->end - socket->stamps_from - 1);
    sockets__note(socket, &error, flags & SOF_TIMESTAMPING_SOFTWARE ? time->at : NO_TIME,
                  !(flags & SOF_TIMESTAMPING_OPT_TSONLY));
}

void sockets__note_times(struct socket *socket)
{
    struct utcp_time time;

    while (socket->conn && utcp_take_times(socket->conn, &time, 1)) {
        if (time.kind == UTCP_TIME_ACKNOWLEDGED)
            note(socket, &time, SCM_TSTAMP_ACK);
        if (time.kind == UTCP_TIME_SENT && time.tag & SOF_TIMESTAMPING_TX_SCHED)
            note(socket, &time, SCM_TSTAMP_SCHED);
        if (time.kind == UTCP_TIME_SENT && time.tag & SOF_TIMESTAMPING_TX_SOFTWARE)
            note(socket, &time, SCM_TSTAMP_SND);
    }
}

int sockets__stamps_of(const struct msghdr *message, int *stamps)
{
    *stamps = -1;
    if (!message->msg_control || !message->msg_controllen)
        return 0;
    for (const struct cmsghdr *at = CMSG_FIRSTHDR(message); at;
         at = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, (struct cmsghdr *)(uintptr_t)at)) {
        uint32_t flags;

        if (at->cmsg_len < sizeof(*at))
            return -EINVAL;
        if (at->cmsg_level != SOL_SOCKET)
            continue;
        if (at->cmsg_type != SO_TIMESTAMPING || at->cmsg_len != CMSG_LEN(sizeof(flags)))
            return -EINVAL;
        memcpy(&flags, CMSG_DATA(at), sizeof(flags));
        if (flags & ~(uint32_t)TX_FLAGS)
            return -EINVAL;
        *stamps = (int)flags;
    }
    return 0;
}

/* ── In ────────────────────────────────────────────────────────────────────────────────────── */

void sockets__put_time(struct control *control, uint64_t at)
{
    struct scm_timestamping stamp = {.ts = {time_of(at)}};

    sockets__put_control(control, SOL_SOCKET, SCM_TIMESTAMPING, &stamp, sizeof(stamp));
}

void sockets__put_arrival(struct control *control, const struct socket *socket)
{
    uint64_t at = socket->conn ? utcp_arrived_at(socket->conn) : 0;
    struct timespec time = time_of(at);
    struct timeval coarse = {.tv_sec = time.tv_sec, .tv_usec = time.tv_nsec / 1000};

    if (!at)
        return;
    if (socket->options.timestamp_ns)
        sockets__put_control(control, SOL_SOCKET, SCM_TIMESTAMPNS, &time, sizeof(time));
    else if (socket->options.timestamp)
        sockets__put_control(control, SOL_SOCKET, SCM_TIMESTAMP, &coarse, sizeof(coarse));
    if (socket->options.timestamping & SOF_TIMESTAMPING_RX_SOFTWARE &&
        socket->options.timestamping & SOF_TIMESTAMPING_SOFTWARE)
        sockets__put_time(control, at);
}
