/* SPDX-License-Identifier: BSD-2-Clause */
/* HTTP on the kernel's sockets: epoll, edge-triggered and registered once for a connection, so that
 * a request on a standing connection costs an epoll_wait (shared by the batch), a recv and a
 * sendmsg.
 *
 * A small answer leaves by one sendmsg, header and body together, with the FIN where it is the last; a
 * large one begins with its header under MSG_MORE and goes on by sendfile. TCP_NODELAY is set on the
 * listener and inherited.
 */
#include "cli.h"
#include "transport.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096
#define BATCH   256

/* A socket that is listened on. */
struct listener {
    int fd;
    bool ready; /* not known to have no connection waiting */
};

struct kernel {
    struct transport base;
    int epoll;
    int wake;
    char congestion[16]; /* "": the system's */
    bool shared;         /* listeners have SO_REUSEPORT */
    int fast_open;       /* TCP_FASTOPEN */
    unsigned listener_count;
    unsigned next_listener; /* whose turn it is to be accepted from */
    struct listener listeners[TRANSPORT_LISTENERS_MAX];
};

/* What an epoll event carries besides a connection or a listener. */
static char wake_mark;

static struct kernel *kernel_of(struct transport *transport)
{
    return (struct kernel *)transport;
}

static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int watch(const struct kernel *kernel, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    return epoll_ctl(kernel->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* ── Opening and listening ───────────────────────────────────────────────────────────────────── */

static void kernel_stop_listening(struct transport *transport)
{
    struct kernel *kernel = kernel_of(transport);

    while (kernel->listener_count)
        close(kernel->listeners[--kernel->listener_count].fd);
}

static void kernel_close(struct transport *transport)
{
    struct kernel *kernel = kernel_of(transport);

    kernel_stop_listening(transport);
    if (kernel->wake >= 0)
        close(kernel->wake);
    if (kernel->epoll >= 0)
        close(kernel->epoll);
    free(kernel);
}

static int set_congestion(int fd, const char *name)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

/* Asked before there is any address that the answer could be confused with. */
static bool take_congestion(struct kernel *kernel, const char *name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

    if (fd < 0 || strlen(name) >= sizeof(kernel->congestion) || set_congestion(fd, name) != 0)
        error = fd >= 0 && errno == EPERM ? EPERM : ENOENT;
    if (fd >= 0)
        close(fd);
    if (error) {
        cli_error("--cc %s: %s", name,
                  error == EPERM ? strerror(error) : "no such congestion control");
        cli_hint("`sysctl net.ipv4.tcp_allowed_congestion_control` names those that are allowed");
        return false;
    }
    snprintf(kernel->congestion, sizeof(kernel->congestion), "%s", name);
    return true;
}

static struct transport *kernel_open(const struct transport_options *options,
                                     const struct transport_handler *handler)
{
    struct kernel *kernel = calloc(1, sizeof(*kernel));

    if (!kernel) {
        cli_error("%s", strerror(ENOMEM));
        return NULL;
    }
    kernel->base =
        (struct transport){.ops = &transport_kernel, .handler = *handler, .now = clock_us()};
    kernel->shared = options->shared;
    kernel->fast_open = (int)options->fast_open;
    kernel->epoll = epoll_create1(EPOLL_CLOEXEC);
    kernel->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (kernel->epoll < 0 || kernel->wake < 0 ||
        watch(kernel, kernel->wake, EPOLLIN | EPOLLET, &wake_mark) != 0) {
        cli_error("epoll: %s", strerror(errno));
        kernel_close(&kernel->base);
        return NULL;
    }
    if (options->congestion && !take_congestion(kernel, options->congestion)) {
        kernel_close(&kernel->base);
        return NULL;
    }
    return &kernel->base;
}

/* Options that accepted sockets inherit. */
static int prepare_listener(const struct kernel *kernel, int fd, int family)
{
    int one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        (kernel->shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0))
        return -errno;
    /* [::] means IPv6 alone, as with UTCP; 0.0.0.0 may be listened to beside it. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0)
        return -errno;
    if (*kernel->congestion && set_congestion(fd, kernel->congestion) != 0)
        return -errno;
    if (kernel->fast_open && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &kernel->fast_open,
                                        sizeof(kernel->fast_open)) != 0)
        return -errno;
    return 0;
}

static int kernel_listen(struct transport *transport, const struct sockaddr *address,
                         socklen_t size)
{
    struct kernel *kernel = kernel_of(transport);
    struct listener *listener = &kernel->listeners[kernel->listener_count];
    int error = 0, fd;

    if (kernel->listener_count == TRANSPORT_LISTENERS_MAX)
        return -ENOSPC;
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        error = -errno;
    if (!error)
        error = prepare_listener(kernel, fd, address->sa_family);
    if (!error && (bind(fd, address, size) != 0 || listen(fd, BACKLOG) != 0 ||
                   watch(kernel, fd, EPOLLIN | EPOLLET, listener) != 0))
        error = -errno;
    if (error) {
        if (fd >= 0)
            close(fd);
        return error;
    }
    *listener = (struct listener){.fd = fd};
    kernel->listener_count++;
    return 0;
}

/* Each listener that has something has its turn, so that none starves behind a busy one; who has nothing is
 * not asked, which would be a system call for each listener and connection. */
static int kernel_accept(struct transport *transport, struct transport_conn *conn)
{
    struct kernel *kernel = kernel_of(transport);
    int error = -EAGAIN;

    for (unsigned i = 0; i < kernel->listener_count; i++) {
        struct listener *listener =
            &kernel->listeners[kernel->next_listener++ % kernel->listener_count];
        int fd;

        if (!listener->ready)
            continue;
        do
            fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
        if (fd < 0) {
            if (errno == EAGAIN)
                listener->ready = false;
            else
                error = -errno;
            continue;
        }
        *conn = (struct transport_conn){.fd = fd};
        if (watch(kernel, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, conn) != 0) {
            error = -errno;
            close(fd);
            return error;
        }
        return 0;
    }
    return error;
}

static bool is_listener(const struct kernel *kernel, const void *what)
{
    return (uintptr_t)what - (uintptr_t)kernel->listeners < sizeof(kernel->listeners);
}

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────────── */

static unsigned flags_of(uint32_t events)
{
    unsigned flags = 0;

    if (events & EPOLLIN)
        flags |= TRANSPORT_READABLE;
    if (events & EPOLLOUT)
        flags |= TRANSPORT_WRITABLE;
    if (events & EPOLLRDHUP)
        flags |= TRANSPORT_READABLE | TRANSPORT_FINISHED;
    if (events & EPOLLERR)
        flags |= TRANSPORT_ERROR;
    return flags;
}

static int kernel_step(struct transport *transport, uint64_t until)
{
    struct kernel *kernel = kernel_of(transport);
    struct epoll_event ready[BATCH];
    struct transport_event events[BATCH];
    unsigned count = 0;
    int timeout = -1, found;

    if (until <= transport->now)
        timeout = 0;
    else if (until != UINT64_MAX) /* rounded up: to wake too early would be to wake twice */
        timeout = until - transport->now < 3600000000 ? (int)((until - transport->now) / 1000) + 1
                                                      : 3600000;
    found = epoll_wait(kernel->epoll, ready, BATCH, timeout);
    transport->now = clock_us();
    if (found < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < found; i++) {
        if (ready[i].data.ptr == &wake_mark)
            continue;
        if (is_listener(kernel, ready[i].data.ptr)) {
            ((struct listener *)ready[i].data.ptr)->ready = true;
            events[count++] = (struct transport_event){.flags = TRANSPORT_ACCEPTABLE};
        } else {
            events[count++] = (struct transport_event){.conn = ready[i].data.ptr,
                                                       .flags = flags_of(ready[i].events)};
        }
    }
    transport->handler.events(transport->handler.context, events, count);
    return 0;
}

static void kernel_wake(struct transport *transport)
{
    uint64_t one = 1;
    int error = errno;

    /* Full means that it is awake already. */
    if (write(kernel_of(transport)->wake, &one, sizeof(one)) < 0)
        errno = error;
}

/* The kernel delivers after the process has ended. */
static bool kernel_drained(const struct transport *transport)
{
    (void)transport;
    return true;
}

/* ── Connections ─────────────────────────────────────────────────────────────────────────────── */

static ptrdiff_t kernel_read(struct transport *transport, struct transport_conn *conn, void *to,
                             size_t size)
{
    ssize_t got = recv(conn->fd, to, size, 0);

    (void)transport;
    return got < 0 ? -errno : got;
}

/* Header, and a body that lies in memory, by one call. The last bytes wait for the FIN that comes next, and
 * leave in one packet with it. */
static ptrdiff_t send_memory(const struct transport_conn *conn, const void *head, size_t head_size,
                             const struct file *file, uint64_t offset, uint64_t length, bool last)
{
    struct iovec parts[2] = {{.iov_base = (void *)head, .iov_len = head_size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t sent;

    if (length) {
        parts[1] = (struct iovec){.iov_base = (void *)(file->data + offset), .iov_len = length};
        message.msg_iovlen = 2;
    }
    sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL | (last ? MSG_MORE : 0));
    return sent < 0 ? -errno : sent;
}

static ptrdiff_t send_from_disk(const struct transport_conn *conn, const struct file *file,
                                uint64_t offset, uint64_t length)
{
    uint64_t sent = 0;

    while (sent < length) {
        off_t from = (off_t)(offset + sent);
        ssize_t step = sendfile(conn->fd, file->fd, &from, length - sent);

        if (step == 0)
            return -ENODATA;
        if (step > 0)
            sent += (uint64_t)step;
        else if (errno != EINTR)
            return sent ? (ptrdiff_t)sent : -errno;
    }
    return (ptrdiff_t)sent;
}

static ptrdiff_t kernel_send(struct transport *transport, struct transport_conn *conn,
                             const void *head, size_t head_size, struct file *file, uint64_t offset,
                             uint64_t length, bool last)
{
    ptrdiff_t taken = 0, more;

    (void)transport;
    if (!length || file->data)
        return send_memory(conn, head, head_size, file, offset, length, last);
    if (head_size) {
        taken = send(conn->fd, head, head_size, MSG_NOSIGNAL | MSG_MORE);
        if (taken < 0)
            return -errno;
        if ((size_t)taken < head_size)
            return taken;
    }
    more = send_from_disk(conn, file, offset, length);
    if (more == -EAGAIN)
        return taken ? taken : -EAGAIN;
    return more < 0 ? more : taken + more;
}

/* The socket's own buffer is the limit. */
static bool kernel_congested(const struct transport_conn *conn)
{
    (void)conn;
    return false;
}

static uint64_t kernel_outstanding(const struct transport_conn *conn)
{
    int bytes = 0;

    return ioctl(conn->fd, SIOCOUTQ, &bytes) == 0 ? (uint64_t)bytes : 0;
}

static void kernel_peer(const struct transport_conn *conn, struct sockaddr_storage *address)
{
    socklen_t size = sizeof(*address);

    if (getpeername(conn->fd, (struct sockaddr *)address, &size) != 0)
        address->ss_family = AF_UNSPEC;
}

static void kernel_shutdown(struct transport *transport, struct transport_conn *conn)
{
    (void)transport;
    shutdown(conn->fd, SHUT_WR);
}

static void kernel_release(struct transport *transport, struct transport_conn *conn)
{
    (void)transport;
    close(conn->fd); /* and with it its place in the epoll */
}

static void kernel_abort(struct transport *transport, struct transport_conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    kernel_release(transport, conn);
}

const struct transport_ops transport_kernel = {
    .open = kernel_open,
    .close = kernel_close,
    .listen = kernel_listen,
    .stop_listening = kernel_stop_listening,
    .accept = kernel_accept,
    .step = kernel_step,
    .wake = kernel_wake,
    .drained = kernel_drained,
    .read = kernel_read,
    .send = kernel_send,
    .congested = kernel_congested,
    .outstanding = kernel_outstanding,
    .peer = kernel_peer,
    .shutdown = kernel_shutdown,
    .release = kernel_release,
    .abort = kernel_abort,
};
