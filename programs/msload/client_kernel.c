/* SPDX-License-Identifier: BSD-2-Clause */
/* client.h on the kernel's sockets, by epoll. */
#include "cli.h"
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH 256

struct kernel_client {
    struct client base;
    struct client_options options;
    int epoll, wake;
};

static char wake_mark; /* its address is the event's */

static struct kernel_client *client_of(struct client *client)
{
    return (struct kernel_client *)client;
}

static void read_clock(struct client *client)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    client->now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    client->now = client->now_ns / 1000;
}

static void kernel_client_close(struct client *base)
{
    struct kernel_client *client = client_of(base);

    if (client->epoll >= 0)
        close(client->epoll);
    if (client->wake >= 0)
        close(client->wake);
    free(client);
}

static struct client *kernel_client_open(const struct client_options *options)
{
    struct kernel_client *client = calloc(1, sizeof(*client));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &wake_mark};

    if (!client) {
        cli_error("%s", strerror(ENOMEM));
        return NULL;
    }
    client->base.ops = &client_kernel;
    client->options = *options;
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    client->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client->epoll < 0 || client->wake < 0 ||
        epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->wake, &event) != 0) {
        cli_error("epoll: %s", strerror(errno));
        kernel_client_close(&client->base);
        return NULL;
    }
    read_clock(&client->base);
    return &client->base;
}

static int prepare(const struct kernel_client *client, int fd)
{
    const char *name = client->options.congestion;
    int one = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        (name && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) != 0))
        return -errno;
    return 0;
}

static int kernel_client_connect(struct client *base, struct client_conn *conn,
                                 const struct sockaddr *to, socklen_t size)
{
    struct kernel_client *client = client_of(base);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = conn};
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? -errno : prepare(client, fd);

    /* First the connection: a socket that is none yet would report a hang-up. */
    if (!error && connect(fd, to, size) != 0 && errno != EINPROGRESS)
        error = -errno;
    if (!error && epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        error = -errno;
    if (error) {
        if (fd >= 0)
            close(fd);
        return error;
    }
    conn->fd = fd;
    return 0;
}

static ptrdiff_t kernel_client_send(struct client *base, struct client_conn *conn, const void *data,
                                    size_t size)
{
    ssize_t taken = send(conn->fd, data, size, MSG_NOSIGNAL);

    (void)base;
    return taken < 0 ? -errno : taken;
}

static ptrdiff_t kernel_client_read(struct client *base, struct client_conn *conn, void *to,
                                    size_t size)
{
    ssize_t got = recv(conn->fd, to, size, 0);

    (void)base;
    return got < 0 ? -errno : got;
}

static void kernel_client_release(struct client *base, struct client_conn *conn)
{
    (void)base;
    close(conn->fd);
}

static void kernel_client_abort(struct client *base, struct client_conn *conn)
{
    const struct linger reset = {.l_onoff = 1};

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    kernel_client_release(base, conn);
}

static struct client_event event_of(const struct epoll_event *ready)
{
    struct client_event event = {.conn = ready->data.ptr};
    socklen_t size = sizeof(event.error);

    if (ready->events & EPOLLOUT)
        event.flags |= CLIENT_CONNECTED;
    if (ready->events & EPOLLIN)
        event.flags |= CLIENT_READABLE;
    if (ready->events & EPOLLRDHUP)
        event.flags |= CLIENT_READABLE | CLIENT_FINISHED;
    if (ready->events & EPOLLERR) {
        event.flags |= CLIENT_ERROR;
        if (getsockopt(event.conn->fd, SOL_SOCKET, SO_ERROR, &event.error, &size) != 0)
            event.error = errno;
        event.error = -event.error;
    }
    return event;
}

static int kernel_client_step(struct client *base, uint64_t until)
{
    struct kernel_client *client = client_of(base);
    struct epoll_event ready[BATCH];
    struct client_event events[BATCH];
    unsigned count = 0;
    struct timespec left = {0};
    int found;

    if (until > base->now) {
        left.tv_sec = (time_t)((until - base->now) / 1000000);
        left.tv_nsec = (long)((until - base->now) % 1000000) * 1000;
    }
    /* epoll_wait() knows milliseconds only: an open loop would begin its requests late. */
    found = epoll_pwait2(client->epoll, ready, BATCH, until == UINT64_MAX ? NULL : &left, NULL);
    read_clock(base);
    if (found < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < found; i++) {
        if (ready[i].data.ptr != &wake_mark)
            events[count++] = event_of(&ready[i]);
    }
    client->options.events(client->options.context, events, count);
    return 0;
}

static void kernel_client_wake(struct client *base)
{
    int error = errno;

    eventfd_write(client_of(base)->wake, 1); /* full means that it is awake already */
    errno = error;
}

const struct client_ops client_kernel = {
    .open = kernel_client_open,
    .close = kernel_client_close,
    .connect = kernel_client_connect,
    .send = kernel_client_send,
    .read = kernel_client_read,
    .release = kernel_client_release,
    .abort = kernel_client_abort,
    .step = kernel_client_step,
    .wake = kernel_client_wake,
};
