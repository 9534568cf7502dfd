/* SPDX-License-Identifier: BSD-2-Clause */
/* capture_port.h */
#include "capture_port.h"

#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MS   10000 /* making the memory takes its time */
#define SOON_MS     1
#define NOTHING_NEW UINT64_MAX /* an event that only wakes */

/* ── which ── */

static bool add_source(struct capture_port *port, uint32_t kind, uint32_t id, const char *name)
{
    struct capture_source *source = &port->sources[port->source_count];

    if (port->source_count == CAPTURE_SOURCES) {
        cli_error("more than %d NICs or ports", CAPTURE_SOURCES);
        return false;
    }
    *source = (struct capture_source){.kind = kind, .id = id};
    memcpy(source->name, name, sizeof(source->name) - 1);
    port->source_count++;
    return true;
}

static bool add_nics(struct capture_port *port, const struct records *nics, const char *name)
{
    const struct control_nic_record *nic = nics->data;

    for (size_t i = 0; i < nics->count; i++) {
        if ((!name || strncmp(nic[i].name, name, sizeof(nic[i].name)) == 0) &&
            !add_source(port, CONTROL_CAPTURE_NIC, nic[i].index, nic[i].name))
            return false;
    }
    return true;
}

/* By its number, or all of that name. */
static bool add_ports(struct capture_port *port, const struct records *ports, const char *name)
{
    const struct control_port_record *other = ports->data;
    uint64_t number = 0;

    cli_number(name, 1, UINT32_MAX, &number);
    for (size_t i = 0; i < ports->count; i++) {
        if ((other[i].port == number ||
             (!number && strncmp(other[i].name, name, sizeof(other[i].name)) == 0)) &&
            !add_source(port, CONTROL_CAPTURE_PORT, other[i].port, other[i].name))
            return false;
    }
    return true;
}

static bool find_sources(struct capture_port *port, const struct capture_wish *wish)
{
    const char *name = wish->interface;
    struct records nics = {0}, ports = {0};
    bool found = query(wish->request, port->socket_fd, CONTROL_SUBJECT_NICS,
                       sizeof(struct control_nic_record), &nics) &&
                 query(wish->request, port->socket_fd, CONTROL_SUBJECT_PORTS,
                       sizeof(struct control_port_record), &ports) &&
                 add_nics(port, &nics, name) &&
                 (!name || port->source_count || add_ports(port, &ports, name));

    free(nics.data);
    free(ports.data);
    if (found && !port->source_count) {
        cli_error("%s: no such NIC or port of the switch", name ? name : "any");
        cli_hint("`multistack status` shows its NICs, `multistack ports` its ports");
        return false;
    }
    return found;
}

static bool count_workers(struct capture_port *port, const struct request *request)
{
    struct records records = {0};
    const struct control_status_record *status;

    if (!query(request, port->socket_fd, CONTROL_SUBJECT_STATUS, sizeof(*status), &records))
        return false;
    status = records.data;
    if (records.count)
        port->ring_count = status->workers;
    free(records.data);
    if (port->ring_count >= 1 && port->ring_count <= PORT_RINGS_MAX)
        return true;
    cli_error("a switch of %u workers cannot be captured", port->ring_count);
    return false;
}

/* ── the port ── */

/* The answer to a request; events that come before it say nothing that matters yet. */
static int answer(int fd, uint32_t type, struct control_message *message)
{
    int64_t deadline = control_client__now_ms() + ANSWER_MS;
    int error;

    for (;;) {
        error = control_client__receive(fd, message);
        if (error == -EAGAIN)
            error = control_client__wait(fd, POLLIN, deadline);
        else if (!error && message->header.type == type)
            return -message->header.error;
        else if (!error && message->header.type == CONTROL_EVENT)
            control_client__close_fds(message);
        else
            return error ? error : -EPROTO;
        if (error)
            return error;
    }
}

/* Compared with what follows from our own numbers, and not used. */
static bool memory_fits(const struct capture_port *port, const struct control_message *message,
                        const struct capture_wish *wish)
{
    const struct control_port_opened *opened = &message->port_opened;
    struct stat about;

    return message->fd_count == 1 + 2 * port->ring_count &&
           opened->ring_count == port->ring_count && opened->rx_size == wish->ring_size &&
           opened->tx_size == RING_SIZE_MIN &&
           opened->region_size ==
               port_layout_region_size(port->ring_count, wish->ring_size, RING_SIZE_MIN) &&
           fstat(message->fds[0], &about) == 0 && (uint64_t)about.st_size == opened->region_size;
}

static int take_memory(struct capture_port *port, struct control_message *message,
                       const struct capture_wish *wish)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = NOTHING_NEW};
    void *memory;

    if (!memory_fits(port, message, wish))
        return -EPROTO;
    port->memory_size = message->port_opened.region_size;
    memory = mmap(NULL, port->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0], 0);
    if (memory == MAP_FAILED)
        return -errno;
    port->memory = memory;
    port->number = message->port_opened.port;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        struct capture_ring *ring = &port->rings[i];

        ring_consumer_init(
            &ring->in, (struct ring_control *)(port->memory + port_layout_rx_control(i)),
            port->memory + port_layout_rx_data(port->ring_count, wish->ring_size, RING_SIZE_MIN, i),
            wish->ring_size);
        ring->fd = message->fds[1 + 2 * i];
        if (epoll_ctl(port->epoll_fd, EPOLL_CTL_ADD, ring->fd, &event))
            return -errno;
        message->fds[1 + 2 * i] = -1;
    }
    return 0;
}

static int open_port(struct capture_port *port, const struct capture_wish *wish)
{
    struct control_port_open open = {
        .header = {.type = CONTROL_PORT_OPEN, .size = sizeof(open), .request = 2},
        .name = "capture",
        .ring_count = port->ring_count,
        .rx_size = wish->ring_size,
        .tx_size = RING_SIZE_MIN,
    };
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = NOTHING_NEW};
    struct control_message message;
    int error = control_client__send(port->socket_fd, &open, -1);

    if (!error)
        error = answer(port->socket_fd, CONTROL_PORT_OPENED, &message);
    if (error)
        return error;
    error = take_memory(port, &message, wish);
    for (uint32_t i = 0; i < message.fd_count; i++) {
        if (message.fds[i] >= 0)
            close(message.fds[i]);
    }
    if (!error && epoll_ctl(port->epoll_fd, EPOLL_CTL_ADD, port->socket_fd, &event))
        error = -errno;
    return error;
}

static void say_refusal(const struct capture_source *source, int error)
{
    bool is_nic = source->kind == CONTROL_CAPTURE_NIC;

    cli_error("%s %s: %s", is_nic ? "NIC" : "port", source->name, strerror(-error));
    if (error == -EACCES)
        cli_hint(is_nic ? "all stacks' packets pass there: for root and the administrators' group "
                          "(multistackd --admin-group); `-i PORT` captures a port of your own"
                        : "it is another user's: for root and the administrators' group "
                          "(multistackd --admin-group)");
    else if (error == -ENOSPC)
        cli_hint("the switch has as many captures as it takes");
    else if (error == -ECONNRESET)
        cli_hint("does an older multistackd run there, which cannot capture?");
}

static bool begin_capture(struct capture_port *port, const struct capture_source *source,
                          uint32_t snap)
{
    struct control_capture capture = {
        .header = {.type = CONTROL_CAPTURE, .size = sizeof(capture), .request = 3},
        .kind = source->kind,
        .id = source->id,
        .snap = snap,
    };
    struct control_message message;
    int error = control_client__send(port->socket_fd, &capture, -1);

    if (!error)
        error = answer(port->socket_fd, CONTROL_CAPTURED, &message);
    if (!error && message.captured.source != (uint32_t)(source - port->sources))
        error = -EPROTO;
    if (error)
        say_refusal(source, error);
    return !error;
}

bool capture_port_open(struct capture_port *port, const struct capture_wish *wish)
{
    int error;

    *port = (struct capture_port){.epoll_fd = -1};
    for (uint32_t i = 0; i < PORT_RINGS_MAX; i++)
        port->rings[i].fd = -1;
    port->socket_fd = query_open(wish->request);
    if (port->socket_fd < 0 || !count_workers(port, wish->request) || !find_sources(port, wish))
        return false;
    port->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    error = port->epoll_fd < 0 ? -errno : open_port(port, wish);
    if (error) {
        cli_switch_error(wish->request->control, error);
        return false;
    }
    for (uint32_t i = 0; i < port->source_count; i++) {
        if (!begin_capture(port, &port->sources[i], wish->snap))
            return false;
    }
    return true;
}

void capture_port_close(struct capture_port *port)
{
    if (port->socket_fd >= 0)
        close(port->socket_fd);
    if (port->epoll_fd >= 0)
        close(port->epoll_fd);
    for (uint32_t i = 0; i < PORT_RINGS_MAX; i++) {
        if (port->rings[i].fd >= 0)
            close(port->rings[i].fd);
    }
    if (port->memory)
        munmap(port->memory, port->memory_size);
    port->socket_fd = port->epoll_fd = -1;
}

/* ── packets ── */

bool capture_port_look(struct capture_port *port)
{
    for (uint32_t i = 0; i < port->ring_count; i++) {
        if (!ring_consumer_refresh(&port->rings[i].in))
            return false;
    }
    return true;
}

/* Has the ring's next record in hand. What is no record of a capture is passed over. */
static bool peek(struct capture_port *port, struct capture_ring *ring)
{
    struct ring_record record;
    const uint8_t *bytes;

    while (!ring->has_next) {
        ring->before = ring->in.head;
        if (ring_consumer_next(&ring->in, &record, &bytes) != RING_NEXT_PACKET)
            return false;
        if (record.length < sizeof(ring->head))
            continue;
        memcpy(&ring->head, bytes, sizeof(ring->head));
        ring->packet = bytes + sizeof(ring->head);
        ring->captured = record.length - (uint32_t)sizeof(ring->head);
        ring->has_next = ring->head.source < port->source_count;
    }
    return true;
}

struct capture_ring *capture_port_next(struct capture_port *port)
{
    struct capture_ring *first = NULL;

    for (uint32_t i = 0; i < port->ring_count; i++) {
        struct capture_ring *ring = &port->rings[i];

        if (peek(port, ring) && (!first || ring->head.time_ns < first->head.time_ns))
            first = ring;
    }
    if (first)
        first->has_next = false;
    return first;
}

void capture_port_release(struct capture_port *port)
{
    for (uint32_t i = 0; i < port->ring_count; i++) {
        struct capture_ring *ring = &port->rings[i];

        if (ring->has_next) /* it was only looked at */
            ring->in.head = ring->before;
        ring->has_next = false;
        ring_consumer_release(&ring->in);
    }
}

/* ── waiting ── */

void capture_port_wait(struct capture_port *port, bool lately)
{
    struct epoll_event events[PORT_RINGS_MAX + 2];
    bool sleeps = true;

    for (uint32_t i = 0; !lately && i < port->ring_count; i++)
        sleeps &= ring_consumer_sleep(&port->rings[i].in);
    epoll_wait(port->epoll_fd, events, PORT_RINGS_MAX + 2, lately ? SOON_MS : (sleeps ? -1 : 0));
    for (uint32_t i = 0; !lately && i < port->ring_count; i++)
        ring_consumer_wake(&port->rings[i].in);
}

static void close_socket(struct capture_port *port)
{
    close(port->socket_fd);
    port->socket_fd = -1;
}

bool capture_port_hear(struct capture_port *port, int *error)
{
    struct control_message message;
    int status;

    *error = 0;
    while ((status = control_client__receive(port->socket_fd, &message)) == 0) {
        control_client__close_fds(&message);
        if (message.header.type == CONTROL_EVENT &&
            message.event.kind == CONTROL_EVENT_CAPTURE_GONE)
            port->gone++;
    }
    if (status != -EAGAIN) {
        *error = status;
        close_socket(port);
        return false;
    }
    return port->gone < port->source_count;
}
