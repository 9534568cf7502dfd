/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: poll and epoll. A wait looks at all its descriptors each time that something has
 * happened: right for tens of them, which is what scripts and tests have. */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

/* One descriptor that an epoll watches. */
struct watch {
    struct watch *next;
    struct socket *socket;
    struct epoll_event wanted;
    uint32_t arrivals, departures; /* of the socket when it was last reported: EPOLLET */
    bool reported, disabled;       /* EPOLLET, EPOLLONESHOT */
};

static unsigned connection_readiness(const struct socket *socket)
{
    bool dead = !socket->conn || utcp_error(socket->conn) != 0;
    unsigned ready = socket->error || socket->notes ? POLLERR : 0;

    if (dead)
        return ready | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP;
    if (socket->connecting)
        return ready;
    if (socket->finished || socket->shut_read)
        ready |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (utcp_readable(socket->conn) >= sockets__low_water(socket) + sockets__skips_mark(socket))
        ready |= POLLIN | POLLRDNORM;
    if (sockets__urgent_to_be_read(socket))
        ready |= POLLPRI;
    if (!socket->write_blocked || socket->shut_write)
        ready |= POLLOUT | POLLWRNORM;
    if ((socket->finished || socket->shut_read) && socket->shut_write)
        ready |= POLLHUP;
    return ready;
}

/* One that was not connected, or is not any more: what shutdown(2) has said of it holds all the same. */
static unsigned new_readiness(const struct socket *socket)
{
    return POLLOUT | POLLWRNORM | (socket->deferred ? 0 : POLLHUP) | (socket->error ? POLLERR : 0) |
           (socket->shut_read ? POLLIN | POLLRDNORM | POLLRDHUP : 0);
}

unsigned sockets__readiness(struct sockets *sockets, struct socket *socket)
{
    switch (socket->kind) {
    case SOCKET_NEW: return new_readiness(socket);
    case SOCKET_CONNECTS: return connection_readiness(socket);
    case SOCKET_EPOLL: return 0;
    case SOCKET_LISTENS: break;
    }
    return sockets__look_ahead(sockets, socket) ? POLLIN | POLLRDNORM : 0;
}

/* Until `count_ready` says that there is something, or the time is over; `timeout_ms` as poll(2). */
static int wait_for_any(struct sockets *sockets, int timeout_ms,
                        int (*count_ready)(struct sockets *sockets, void *context), void *context)
{
    uint64_t since = sockets__now(sockets);
    uint64_t limit = timeout_ms > 0 ? (uint64_t)timeout_ms * 1000 : 0;

    for (;;) {
        int count = count_ready(sockets, context), status;

        if (count)
            return count;
        status = sockets__wait(sockets, timeout_ms == 0, since, limit);
        if (status)
            return status == -EAGAIN ? 0 : status;
    }
}

/* ── poll ──────────────────────────────────────────────────────────────────────────────────── */

struct poll_call {
    struct pollfd *fds;
    nfds_t count;
};

static int poll_ready(struct sockets *sockets, void *context)
{
    const struct poll_call *call = context;
    int ready = 0;

    for (nfds_t i = 0; i < call->count; i++) {
        struct pollfd *fd = &call->fds[i];
        struct socket *socket = sockets__get(sockets, fd->fd);
        unsigned now = socket ? sockets__readiness(sockets, socket) : POLLNVAL;

        fd->revents = 0;
        if (fd->fd < 0)
            continue;
        fd->revents = (short)(now & ((unsigned short)fd->events | POLLERR | POLLHUP | POLLNVAL));
        ready += fd->revents != 0;
    }
    return ready;
}

int sockets_poll(struct sockets *sockets, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct poll_call call = {fds, count};

    return wait_for_any(sockets, timeout_ms, poll_ready, &call);
}

/* ── epoll ─────────────────────────────────────────────────────────────────────────────────── */

int sockets_epoll_create(struct sockets *sockets)
{
    struct socket *socket = NULL;

    return sockets__new(sockets, SOCKET_EPOLL, &socket);
}

static struct watch **find(struct socket *epoll, const struct socket *socket)
{
    struct watch **at = &epoll->watches;

    while (*at && (*at)->socket != socket)
        at = &(*at)->next;
    return at;
}

void sockets__unwatch(struct sockets *sockets, const struct socket *socket)
{
    for (uint32_t i = 0; i < sockets->size; i++) {
        struct watch **at, *gone;

        if (!sockets->table[i] || sockets->table[i]->kind != SOCKET_EPOLL)
            continue;
        at = find(sockets->table[i], socket);
        gone = *at;
        if (gone)
            *at = gone->next;
        free(gone);
    }
}

void sockets__dispose_watches(struct socket *socket)
{
    while (socket->watches) {
        struct watch *next = socket->watches->next;

        free(socket->watches);
        socket->watches = next;
    }
}

int sockets_epoll_ctl(struct sockets *sockets, int epoll_fd, int operation, int fd,
                      const struct epoll_event *event)
{
    struct socket *epoll = sockets__get(sockets, epoll_fd), *socket = sockets__get(sockets, fd);
    struct watch **at, *watch;

    if (!epoll || !socket)
        return -EBADF;
    if (epoll->kind != SOCKET_EPOLL || socket->kind == SOCKET_EPOLL)
        return -EINVAL;
    if (operation != EPOLL_CTL_DEL && !event)
        return -EFAULT;
    at = find(epoll, socket);
    watch = *at;
    switch (operation) {
    case EPOLL_CTL_ADD:
        if (watch)
            return -EEXIST;
        watch = calloc(1, sizeof(*watch));
        if (!watch)
            return -ENOMEM;
        *watch = (struct watch){.socket = socket, .wanted = *event};
        *at = watch;
        return 0;
    case EPOLL_CTL_MOD:
        if (!watch)
            return -ENOENT;
        watch->wanted = *event;
        watch->reported = watch->disabled = false;
        return 0;
    case EPOLL_CTL_DEL:
        if (!watch)
            return -ENOENT;
        *at = watch->next;
        free(watch);
        return 0;
    default: return -EINVAL;
    }
}

/* What is to be reported of one descriptor now, EPOLL*; these are the POLL* of the same names. */
static uint32_t report(struct sockets *sockets, struct watch *watch)
{
    struct socket *socket = watch->socket;
    uint32_t ready =
        sockets__readiness(sockets, socket) & (watch->wanted.events | EPOLLERR | EPOLLHUP);
    bool news = !watch->reported || watch->arrivals != socket->arrivals ||
                watch->departures != socket->departures;

    if (watch->disabled || !ready || (watch->wanted.events & EPOLLET && !news))
        return 0;
    watch->reported = true;
    watch->arrivals = socket->arrivals;
    watch->departures = socket->departures;
    watch->disabled = watch->wanted.events & EPOLLONESHOT;
    return ready;
}

struct epoll_call {
    struct socket *epoll;
    struct epoll_event *events;
    int max;
};

static int epoll_ready(struct sockets *sockets, void *context)
{
    const struct epoll_call *call = context;
    int count = 0;

    for (struct watch *watch = call->epoll->watches; watch && count < call->max;
         watch = watch->next) {
        uint32_t ready = report(sockets, watch);

        if (ready)
            call->events[count++] = (struct epoll_event){ready, watch->wanted.data};
    }
    return count;
}

int sockets_epoll_wait(struct sockets *sockets, int epoll_fd, struct epoll_event *events, int max,
                       int timeout_ms)
{
    struct epoll_call call = {sockets__get(sockets, epoll_fd), events, max};

    if (!call.epoll)
        return -EBADF;
    if (call.epoll->kind != SOCKET_EPOLL || max <= 0)
        return -EINVAL;
    return wait_for_any(sockets, timeout_ms, epoll_ready, &call);
}
