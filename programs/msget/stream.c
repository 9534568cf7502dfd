/* SPDX-License-Identifier: BSD-2-Clause */
#include "stream.h"

#include "cli.h"
#include "runtime.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stream {
    struct stream_options options;
    /* UTCP */
    struct ms_runtime *runtime;
    struct ms_runtime_listener *listener;
    struct utcp_conn *conn;
    uint32_t events; /* UTCP_* since they were looked at */
    bool failed;     /* nothing is worth waiting for any more */
    /* kernel */
    int fd;
};

/* ── UTCP ─────────────────────────────────────────────────────────────────────────────────────── */

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct stream *stream = context;

    for (unsigned i = 0; i < count; i++)
        stream->events |= events[i].events;
}

/* Lets the stack work until one of `wanted` has happened. */
static int await(struct stream *stream, uint32_t wanted)
{
    uint64_t until = runtime_now(stream->runtime) + (uint64_t)stream->options.timeout_ms * 1000;
    bool more = true;
    int error;

    for (;;) {
        if (!more) {
            error = runtime_wait(stream->runtime, until);
            if (error)
                return error;
        }
        more = runtime_step(stream->runtime);
        if (stream->events & (wanted | UTCP_ERROR))
            break;
        if (runtime_now(stream->runtime) >= until)
            return -ETIMEDOUT;
    }
    stream->events &= ~wanted;
    return stream->events & UTCP_ERROR && stream->conn ? utcp_error(stream->conn) : 0;
}

static int utcp_stream_connect(struct stream *stream, const struct sockaddr *address,
                               socklen_t length)
{
    int error = runtime_connect(stream->runtime, address, length, stream, &stream->conn);

    return error ? error : await(stream, UTCP_CONNECTED);
}

static int utcp_stream_accept(struct stream *stream, const struct sockaddr *address,
                              socklen_t length, void (*ready)(void))
{
    int error = runtime_listen(stream->runtime, address, length, 8, stream, &stream->listener);

    if (error)
        return error;
    ready();
    while (!stream->conn) {
        error = await(stream, UTCP_ACCEPTABLE);
        if (error && error != -ETIMEDOUT)
            return error;
        stream->conn =
            utcp_accept(runtime_listener(stream->listener), runtime_now(stream->runtime));
    }
    utcp_set_user(stream->conn, stream);
    return 0;
}

static ptrdiff_t utcp_stream_read(struct stream *stream, void *to, size_t size)
{
    for (;;) {
        ptrdiff_t got = utcp_read(stream->conn, runtime_now(stream->runtime), to, size);
        int error;

        /* What comes meanwhile is taken out of the ring, which is smaller than the window. */
        if (got > 0)
            runtime_step(stream->runtime);
        if (got != -EAGAIN)
            return got;
        error = await(stream, UTCP_READABLE | UTCP_FINISHED);
        if (error)
            return error;
    }
}

/* As utcp_write(). */
static ptrdiff_t take(struct stream *stream, const uint8_t *data, size_t size)
{
    uint64_t now = runtime_now(stream->runtime);
    int error;

    if (!stream->options.by_reference)
        return utcp_write(stream->conn, now, data, size);
    error = utcp_write_ref(stream->conn, now, data, size, NULL, NULL);
    return error ? error : (ptrdiff_t)size;
}

static int utcp_stream_write(struct stream *stream, const uint8_t *data, size_t size)
{
    while (size) {
        ptrdiff_t taken = take(stream, data, size);
        int error = 0;

        if (taken == -EAGAIN)
            error = await(stream, UTCP_WRITABLE);
        else if (taken < 0)
            return (int)taken;
        else
            runtime_step(stream->runtime);
        if (error)
            return error;
        if (taken > 0) {
            data += taken;
            size -= (size_t)taken;
        }
    }
    return 0;
}

static void utcp_stream_info(const struct stream *stream, struct stream_info *info)
{
    struct utcp_info all = {.size = sizeof(all)};

    utcp_info(stream->conn, &all);
    *info = (struct stream_info){.timestamps = all.timestamps,
                                 .window_scale = all.window_scale,
                                 .sack = all.sack,
                                 .ecn = all.ecn,
                                 .ecn_accurate = all.ecn_accurate,
                                 .ecn_marked_in = all.ecn_marked_in,
                                 .ecn_marked_told = all.ecn_marked_told,
                                 .ecn_ce_in = all.ecn_ce_in,
                                 .ecn_ce_told = all.ecn_ce_told,
                                 .retransmitted = all.segments_retransmitted,
                                 .timeouts = all.timeouts,
                                 .spurious = all.spurious_recoveries,
                                 .rtt_us = all.srtt_us};
}

/* Until the stack has nothing left but connections in TIME-WAIT. */
static void utcp_stream_close(struct stream *stream)
{
    struct utcp *stack = runtime_stack(stream->runtime);
    uint64_t until = runtime_now(stream->runtime) + (uint64_t)stream->options.timeout_ms * 1000;
    struct utcp_stats stats = {.size = sizeof(stats)};

    if (stream->conn && stream->failed) {
        utcp_abort(stream->conn, runtime_now(stream->runtime));
        runtime_step(stream->runtime);
    } else if (stream->conn) {
        utcp_close(stream->conn, runtime_now(stream->runtime));
        for (;;) {
            bool busy = runtime_step(stream->runtime);

            /* asked before each sleep: the last step may have ended it all */
            utcp_stats(stack, &stats);
            if (stats.connections <= stats.time_wait || runtime_now(stream->runtime) >= until ||
                (!busy && runtime_wait(stream->runtime, until) != 0))
                break;
        }
    }
    runtime_close(stream->runtime);
}

/* ── Kernel ───────────────────────────────────────────────────────────────────────────────────── */

static int await_fd(const struct stream *stream, int fd, short events)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    int found;

    do
        found = poll(&wanted, 1, stream->options.timeout_ms);
    while (found < 0 && errno == EINTR);
    return found < 0 ? -errno : found == 0 ? -ETIMEDOUT : 0;
}

/* Of a listener as well: its connections have the same. */
static int kernel_stream_choose(const struct stream *stream, int fd)
{
    const char *name = stream->options.congestion;

    if (name && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) != 0)
        return -errno;
    return 0;
}

static int kernel_stream_connect(struct stream *stream, const struct sockaddr *address,
                                 socklen_t length)
{
    int error;
    socklen_t size = sizeof(error);

    stream->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (stream->fd < 0)
        return -errno;
    error = kernel_stream_choose(stream, stream->fd);
    if (error)
        return error;
    if (connect(stream->fd, address, length) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return -errno;
    error = await_fd(stream, stream->fd, POLLOUT);
    if (error)
        return error;
    if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    return -error;
}

static int kernel_stream_accept(struct stream *stream, const struct sockaddr *address,
                                socklen_t length, void (*ready)(void))
{
    int listener = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, error = 0;

    if (listener < 0)
        return -errno;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        (address->sa_family == AF_INET6 &&
         setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0) ||
        bind(listener, address, length) != 0 || listen(listener, 8) != 0)
        error = -errno;
    if (!error)
        error = kernel_stream_choose(stream, listener);
    if (!error) {
        ready();
        do
            stream->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        while (stream->fd < 0 && errno == EINTR);
        if (stream->fd < 0)
            error = -errno;
    }
    close(listener);
    return error;
}

static ptrdiff_t kernel_stream_read(struct stream *stream, void *to, size_t size)
{
    for (;;) {
        ssize_t got = recv(stream->fd, to, size, 0);
        int error;

        if (got >= 0)
            return got;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        error = await_fd(stream, stream->fd, POLLIN);
        if (error)
            return error;
    }
}

static int kernel_stream_write(struct stream *stream, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t taken = send(stream->fd, data, size, MSG_NOSIGNAL);
        int error = 0;

        if (taken > 0) {
            data += taken;
            size -= (size_t)taken;
        } else if (errno == EAGAIN) {
            error = await_fd(stream, stream->fd, POLLOUT);
        } else if (errno != EINTR) {
            error = -errno;
        }
        if (error)
            return error;
    }
    return 0;
}

static void kernel_stream_info(const struct stream *stream, struct stream_info *info)
{
    struct tcp_info all = {0};
    socklen_t size = sizeof(all);

    getsockopt(stream->fd, IPPROTO_TCP, TCP_INFO, &all, &size);
    *info = (struct stream_info){.timestamps = all.tcpi_options & TCPI_OPT_TIMESTAMPS,
                                 .window_scale = all.tcpi_options & TCPI_OPT_WSCALE,
                                 .sack = all.tcpi_options & TCPI_OPT_SACK,
                                 .ecn = all.tcpi_options & TCPI_OPT_ECN,
                                 .retransmitted = all.tcpi_total_retrans,
                                 .rtt_us = all.tcpi_rtt};
}

/* ── Entry points ─────────────────────────────────────────────────────────────────────────────── */

int stream_open(struct stream **opened, const struct stream_options *options)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    struct ms_runtime_options runtime = {.control_path = options->control,
                                         .name = options->name,
                                         .congestion = options->congestion,
                                         .stack_flags = options->stack_flags,
                                         .events = on_events,
                                         .context = stream};
    int error = 0;

    if (!stream)
        return -ENOMEM;
    stream->options = *options;
    stream->fd = -1;
    if (!options->kernel)
        error = runtime_open(&stream->runtime, &runtime);
    if (error) {
        cli_switch_error(options->control, error);
        free(stream);
        return error;
    }
    *opened = stream;
    return 0;
}

/* Remembers that there was an error. */
static ptrdiff_t result(struct stream *stream, ptrdiff_t value)
{
    stream->failed |= value < 0;
    return value;
}

int stream_connect(struct stream *stream, const struct sockaddr *address, socklen_t length)
{
    return (int)result(stream, stream->options.kernel
                                   ? kernel_stream_connect(stream, address, length)
                                   : utcp_stream_connect(stream, address, length));
}

int stream_accept(struct stream *stream, const struct sockaddr *address, socklen_t length,
                  void (*ready)(void))
{
    return (int)result(stream, stream->options.kernel
                                   ? kernel_stream_accept(stream, address, length, ready)
                                   : utcp_stream_accept(stream, address, length, ready));
}

ptrdiff_t stream_read(struct stream *stream, void *to, size_t size)
{
    return result(stream, stream->options.kernel ? kernel_stream_read(stream, to, size)
                                                 : utcp_stream_read(stream, to, size));
}

int stream_write(struct stream *stream, const void *data, size_t size)
{
    return (int)result(stream, stream->options.kernel ? kernel_stream_write(stream, data, size)
                                                      : utcp_stream_write(stream, data, size));
}

int stream_finish(struct stream *stream)
{
    if (stream->options.kernel)
        return shutdown(stream->fd, SHUT_WR) == 0 ? 0 : -errno;
    utcp_shutdown(stream->conn, runtime_now(stream->runtime));
    runtime_step(stream->runtime);
    return 0;
}

void stream_info(const struct stream *stream, struct stream_info *info)
{
    *info = (struct stream_info){0};
    if (!stream->options.kernel && stream->conn)
        utcp_stream_info(stream, info);
    else if (stream->fd >= 0)
        kernel_stream_info(stream, info);
}

void stream_close(struct stream *stream)
{
    if (!stream->options.kernel)
        utcp_stream_close(stream);
    else if (stream->fd >= 0)
        close(stream->fd);
    free(stream);
}
