/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, waiting on and closing a port. port_internal.h tells how the library is built. */
#include "port_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define OPEN_TIMEOUT_MS 3000
#define EVENTS_AT_ONCE  8

/* ── options ── */

/* Copies what the caller knows of a struct that may grow. The caller's may be the longer one, as
 * long as it asks nothing of what we do not know. */
static int copy_options(struct ms_port_options *options, const struct ms_port_options *given)
{
    const uint8_t *bytes = (const uint8_t *)given;
    size_t size;

    *options = (struct ms_port_options){0};
    if (!given)
        return 0;
    size = given->size;
    if (size < sizeof(size) || size > 4096)
        return -EINVAL;
    for (size_t i = sizeof(*options); i < size; i++)
        if (bytes[i])
            return -EINVAL;
    memcpy(options, given, size < sizeof(*options) ? size : sizeof(*options));
    return 0;
}

/* The next power of two in the bounds of a ring; 0 stays 0, the switch's default. */
static int round_ring_size(uint32_t bytes, uint32_t *size)
{
    if (bytes > RING_SIZE_MAX)
        return -EINVAL;
    *size = bytes ? RING_SIZE_MIN : 0;
    while (*size < bytes)
        *size *= 2;
    return 0;
}

static int take_options(struct ms_port *port, const struct ms_port_options *given)
{
    struct ms_port_options options;
    int error = copy_options(&options, given);

    if (!error)
        error = round_ring_size(options.rx_bytes, &port->rx_bytes);
    if (!error)
        error = round_ring_size(options.tx_bytes, &port->tx_bytes);
    if (error)
        return error;
    if (options.rings > PORT_RINGS_MAX ||
        (options.flags & ~(unsigned)(MS_PORT_MERGED_RX | MS_PORT_INSPECTED)) ||
        options.open_timeout_ms < 0 || (options.name && strlen(options.name) >= sizeof(port->name)))
        return -EINVAL;
    strncpy(port->name, options.name ? options.name : program_invocation_short_name,
            sizeof(port->name) - 1);
    port->ring_count = options.rings ? options.rings : 1;
    port->flags = options.flags;
    port->timeout_ms = options.open_timeout_ms ? options.open_timeout_ms : OPEN_TIMEOUT_MS;
    port->control_path = strdup(control_client__path(options.control_path));
    return port->control_path ? 0 : -ENOMEM;
}

/* ── waiting ── */

static int watch(struct ms_port *port, int fd, uint32_t events, uint32_t kind)
{
    struct epoll_event event = {.events = events, .data.u32 = kind};

    return epoll_ctl(port->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_descriptors(struct ms_port *port)
{
    int error;

    port->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    port->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    port->alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    port->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->epoll_fd < 0 || port->timer_fd < 0 || port->alarm_fd < 0 || port->news_fd < 0)
        return errno == ENOMEM ? -ENOMEM : -EMFILE;
    error = watch(port, port->timer_fd, EPOLLIN, SESSION_EVENT_TIMER);
    if (!error)
        error = watch(port, port->alarm_fd, EPOLLIN | EPOLLET, SESSION_EVENT_ALARM);
    return error;
}

/* Waits for events and handles them. Returns how many there were, or a negative errno. */
static int serve(struct ms_port *port, int timeout_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(port->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);

    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        switch (events[i].data.u32) {
        case SESSION_EVENT_CONTROL: session__control_handler(port); break;
        case SESSION_EVENT_TIMER: session__timer_handler(port); break;
        case SESSION_EVENT_ALARM: session__alarm_handler(port); break;
        case SESSION_EVENT_RING: break; /* has woken us, which is all it is for */
        }
    }
    return count;
}

static int time_left(int64_t deadline_ms)
{
    int64_t left = deadline_ms - control_client__now_ms();

    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* What a switch that is just being restarted answers; all else is final for ms_port_open(). */
static bool may_pass(int error)
{
    return error == -EAGAIN || error == -ECONNRESET || error == -EPIPE;
}

static int await_ready(struct ms_port *port)
{
    int64_t deadline = control_client__now_ms() + port->timeout_ms;

    session__connect(port);
    while (port->session.state != SESSION_READY) {
        int served, left = time_left(deadline);

        if (port->session.state == SESSION_AWAY && !may_pass(port->last_error))
            return port->last_error;
        if (left == 0)
            return -ETIMEDOUT;
        served = serve(port, left);
        if (served < 0 && served != -EINTR)
            return served;
    }
    return 0;
}

/* ── the interface ── */

int ms_port_open(struct ms_port **out, const struct ms_port_options *options)
{
    struct ms_port *port = calloc(1, sizeof(*port));
    int error;

    if (!port)
        return -ENOMEM;
    port->epoll_fd = port->timer_fd = port->alarm_fd = port->news_fd = port->session.fd = -1;
    pthread_mutex_init(&port->lock, NULL);
    error = take_options(port, options);
    if (!error)
        error = open_descriptors(port);
    if (!error)
        error = ring__init(port);
    if (!error)
        error = await_ready(port);
    if (error) {
        ms_port_close(port);
        return error;
    }
    *out = port;
    return 0;
}

void ms_port_close(struct ms_port *port)
{
    if (!port)
        return;
    if (port->session.state == SESSION_READY)
        ring__drain(port);
    session__end(port);
    binding__dispose(port);
    ring__dispose(port);
    for (int fd; (fd = ms_next_inspection(port)) >= 0;)
        close(fd);
    if (port->epoll_fd >= 0)
        close(port->epoll_fd);
    if (port->timer_fd >= 0)
        close(port->timer_fd);
    if (port->alarm_fd >= 0)
        close(port->alarm_fd);
    if (port->news_fd >= 0)
        close(port->news_fd);
    pthread_mutex_destroy(&port->lock);
    free(port->control_path);
    free(port);
}

void ms_port_info(const struct ms_port *port, struct ms_port_info *info)
{
    struct ms_port_info now = {
        .size = info->size,
        .connected = port->session.state == SESSION_READY,
        .port = port->number,
        .rings = port->ring_count,
        .rx_bytes = port->rx_size,
        .tx_bytes = port->tx_size,
        .mtu = port->mtu,
        .offloads = port->offloads,
        .generation = port->generation,
        .last_error = port->last_error,
        .bindings_waiting = binding__count_waiting(port),
        .detached = port->detached,
    };

    memcpy(now.user_key, port->user_key, sizeof(now.user_key));
    memcpy(info, &now, info->size < sizeof(now) ? info->size : sizeof(now));
}

int ms_next_inspection(struct ms_port *port)
{
    int fd;

    if (!port->inspection_count)
        return -EAGAIN;
    fd = port->inspections[0];
    port->inspection_count--;
    memmove(port->inspections, port->inspections + 1,
            port->inspection_count * sizeof(port->inspections[0]));
    return fd;
}

int ms_port_fd(const struct ms_port *port)
{
    return port->epoll_fd;
}

int ms_dispatch(struct ms_port *port)
{
    serve(port, 0);
    return 0;
}

int ms_wait(struct ms_port *port, int timeout_ms)
{
    int64_t deadline = timeout_ms < 0 ? 0 : control_client__now_ms() + timeout_ms;

    while (ms_ring_wait(port, 0, 0)) {
        int left = timeout_ms < 0 ? -1 : time_left(deadline);
        int served = serve(port, left);

        if (served < 0)
            return served;
        if (left == 0 && served == 0)
            return 0;
    }
    return 1;
}
