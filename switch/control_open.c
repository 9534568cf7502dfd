/* SPDX-License-Identifier: BSD-2-Clause */
/* control_open.h */
#include "control_open.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "core.h"
#include "siphash.h"

static bool size_fits(uint32_t size)
{
    return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0;
}

/* Names are for people's terminals: what does not print becomes a question mark. */
static void copy_name(char to[CONTROL_NAME_SIZE], const char from[CONTROL_NAME_SIZE])
{
    memset(to, 0, CONTROL_NAME_SIZE);
    for (uint32_t i = 0; i < CONTROL_NAME_SIZE - 1 && from[i]; i++)
        to[i] = (from[i] >= ' ' && from[i] <= '~') ? from[i] : '?';
}

/* Counts connections, which lie side by side, not ports, each of which would be a cache miss. */
static uint32_t ports_of_uid(const struct switch_core *core, uid_t uid)
{
    const struct control *control = &core->control;
    uint32_t count = 0;

    for (uint32_t i = 0; i < control->capacity; i++) {
        const struct connection *connection = &control->connections[i];

        count += (connection->port || connection->opening) && connection->uid == uid;
    }
    return count;
}

static int begin(struct switch_core *core, const struct connection *connection,
                 const struct control_port_open *wish, struct port **port)
{
    uint32_t size = core->config.ring_size_default;
    struct port_request request = {
        .ring_count = wish->ring_count,
        .rx_size = wish->rx_size ? wish->rx_size : size,
        .tx_size = wish->tx_size ? wish->tx_size : size,
        .merged_rx = wish->flags & CONTROL_PORT_MERGED_RX,
        .pid = connection->pid,
        .uid = connection->uid,
    };

    if (wish->ring_count < 1 || wish->ring_count > PORT_RINGS_MAX || !size_fits(request.rx_size) ||
        !size_fits(request.tx_size) ||
        (wish->flags & ~(uint32_t)(CONTROL_PORT_MERGED_RX | CONTROL_PORT_INSPECTED)))
        return -EINVAL;
    if (ports_of_uid(core, connection->uid) >= core->config.ports_per_uid_max)
        return -ENOSPC;
    copy_name(request.name, wish->name);
    request.inspected = wish->flags & CONTROL_PORT_INSPECTED;
    return port_begin(core, &request, port);
}

static void make_user_key(const struct switch_core *core, uid_t uid, uint8_t user_key[16])
{
    struct siphash_key key = siphash_key(core->config.secret);
    uint64_t halves[2];

    for (uint64_t i = 0; i < 2; i++)
        halves[i] = siphash_words(key, (const uint64_t[]){uid, i}, 2);
    memcpy(user_key, halves, sizeof(halves));
}

static bool answer(struct switch_core *core, struct connection *connection, uint32_t request,
                   int status)
{
    const struct port *port = connection->port;
    struct control_port_opened opened = {
        .header = {.type = CONTROL_PORT_OPENED,
                   .size = sizeof(opened),
                   .request = request,
                   .error = -status},
    };
    int fds[CONTROL_FDS_MAX];
    uint32_t fd_count = 0;

    if (status) {
        log_limited(&core->control.limit, LOG_LEVEL_NOTICE, "no port for process %d (user %u): %s",
                    (int)connection->pid, (unsigned)connection->uid, strerror(-status));
        return control_reply(core, connection, &opened, NULL, 0);
    }
    opened.port = port->number;
    opened.ring_count = port->ring_count;
    opened.rx_size = port->rx_size;
    opened.tx_size = port->tx_size;
    opened.region_size = port->region_size;
    opened.mtu = core_mtu(core);
    opened.offloads = CONTROL_OFFLOAD_CHECKSUM | CONTROL_OFFLOAD_SEGMENT;
    make_user_key(core, port->uid, opened.user_key);
    fds[fd_count++] = port->memory_fd;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        fds[fd_count++] = port->rings[i].rx_fd;
        fds[fd_count++] = port->rings[i].tx_fd;
    }
    return control_reply(core, connection, &opened, fds, fd_count);
}

/* While the port is made only the client's end is news. */
static int watch(struct switch_core *core, struct connection *connection, uint32_t events)
{
    struct event_tag tag = {
        .kind = EVENT_CONNECTION,
        .index = (uint16_t)(connection - core->control.connections),
        .generation = connection->generation,
    };

    return worker_rewatch(&core->workers[0], connection->fd, events, tag);
}

/* The port's memory is there, or there is none. */
static bool finish(struct switch_core *core, struct connection *connection, struct port *port)
{
    uint32_t request = port->request;
    int status = port->status;

    if (!status) {
        status = port_finish(core, port);
    } else {
        core->ports.opening--;
        port_free(core, port);
    }
    if (!status)
        connection->port = port;
    return answer(core, connection, request, status);
}

bool control_open_port(struct switch_core *core, struct connection *connection,
                       const struct control_port_open *wish)
{
    struct port *port;
    int status;

    if (connection->port) { /* one is all that a connection has */
        control_end(core, connection, DETACH_PROTOCOL);
        return false;
    }
    status = begin(core, connection, wish, &port);
    if (status)
        return answer(core, connection, wish->header.request, status);
    port->request = wish->header.request;
    if (!core->memory.running) {
        port->status = port_make(port);
        return finish(core, connection, port);
    }
    port->opener = (uint32_t)(connection - core->control.connections);
    port->opener_generation = connection->generation;
    connection->opening = true;
    watch(core, connection, EPOLLRDHUP);
    memory_thread_make(core, port);
    return true;
}

void control_port_made(struct switch_core *core, struct port *port)
{
    struct connection *connection = &core->control.connections[port->opener];

    if (connection->generation != port->opener_generation || !connection->opening) {
        core->ports.opening--;
        port_free(core, port);
        return;
    }
    connection->opening = false;
    /* Nobody would hear what comes next. */
    if (finish(core, connection, port) && watch(core, connection, EPOLLIN | EPOLLRDHUP))
        control_end(core, connection, DETACH_CLOSED);
}
