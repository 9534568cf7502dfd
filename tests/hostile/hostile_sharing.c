/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes that want what is somebody else's by way of sharing: another's binding, another's flows,
 * more connected bindings than there are, rings that there are not; and those that do not play their part in a hand-over. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Another port's binding: numbers go up, and ours is the last that was made. */
static uint32_t foreign(const struct raw_port *port)
{
    return port->binding ? port->binding - 1 : 65536;
}

static void send_flows(struct raw_port *port, uint32_t binding, uint32_t first, uint32_t count)
{
    struct {
        struct control_connect head;
        struct control_flow flows[CONTROL_FLOWS_MAX];
    } request = {.head = {.binding = binding, .count = count}};
    size_t size = sizeof(request.head) + count * sizeof(struct control_flow);

    request.head.header =
        (struct control_header){CONTROL_CONNECT, (uint32_t)size, ++port->request, 0};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t remote = htonl(0x0a000000 + (first + i) / 60000);

        request.flows[i].remote_port = htons((uint16_t)(1 + (first + i) % 60000));
        memcpy(request.flows[i].local, &address.sin_addr, 4);
        memcpy(request.flows[i].remote, &remote, 4);
    }
    raw_send(port, &request, size, NULL, 0);
}

static struct raw_outcome connect_foreign_binding(struct raw_port *port)
{
    send_flows(port, foreign(port), 0, 1);
    return raw_outcome(port);
}

static struct raw_outcome connect_foreign_address(struct raw_port *port)
{
    address.sin_addr.s_addr = htonl(ntohl(address.sin_addr.s_addr) + 1);
    send_flows(port, port->binding, 0, 1);
    return raw_outcome(port);
}

static struct raw_outcome connect_absurd_count(struct raw_port *port)
{
    struct control_connect request = {
        .header = {CONTROL_CONNECT, sizeof(request), ++port->request, 0},
        .binding = port->binding,
        .count = UINT32_MAX,
    };

    raw_send(port, &request, sizeof(request), NULL, 0);
    return raw_outcome(port);
}

/* A million of them, one message after the other. */
static struct raw_outcome connect_flood(struct raw_port *port)
{
    struct raw_outcome outcome = {.fate = RAW_ALIVE};
    uint32_t sent = 0;

    while (outcome.fate == RAW_ALIVE && sent < 1000000) {
        send_flows(port, port->binding, sent, CONTROL_FLOWS_MAX);
        sent += CONTROL_FLOWS_MAX;
        outcome = raw_outcome(port);
    }
    snprintf(more, sizeof(more), " flows=%u", sent);
    return outcome;
}

static void send_drain(struct raw_port *port, uint32_t binding)
{
    struct control_drain request = {.header = {CONTROL_DRAIN, sizeof(request), ++port->request, 0},
                                    .binding = binding};

    raw_send(port, &request, sizeof(request), NULL, 0);
}

static struct raw_outcome drain_foreign_binding(struct raw_port *port)
{
    send_drain(port, foreign(port));
    return raw_outcome(port);
}

static struct raw_outcome drain_to_nobody(struct raw_port *port)
{
    send_drain(port, port->binding);
    return raw_outcome(port);
}

static void send_share(struct raw_port *port, int protocol, const struct sockaddr_in *wanted)
{
    struct control_share request = {
        .header = {CONTROL_SHARE, sizeof(request), ++port->request, 0},
        .address = {.family = 4, .protocol = (uint8_t)protocol, .port = wanted->sin_port}};

    memcpy(request.address.bytes, &wanted->sin_addr, 4);
    raw_send(port, &request, sizeof(request), NULL, 0);
}

/* The server's, which listens on port 80 of all addresses. */
static struct sockaddr_in victim(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80)};
}

static struct raw_outcome share_foreign_binding(struct raw_port *port)
{
    struct sockaddr_in wanted = victim();

    send_share(port, IPPROTO_TCP, &wanted);
    return raw_outcome(port);
}

static void send_takeover(struct raw_port *port, int protocol, const struct sockaddr_in *wanted,
                          int fd, uint32_t flags)
{
    struct control_bind bind = {
        .header = {CONTROL_BIND, sizeof(bind), ++port->request, 0},
        .address = {.family = 4, .protocol = (uint8_t)protocol, .port = wanted->sin_port},
        .flags = flags,
        .port_count = 1,
        .members = UINT32_MAX,
        .connected = UINT32_MAX,
    };

    memcpy(bind.address.bytes, &wanted->sin_addr, 4);
    raw_send(port, &bind, sizeof(bind), &fd, 1);
}

/* Of a ring that the port has not, with a socket that is right. */
static struct raw_outcome bind_to_ring(struct raw_port *port, uint32_t flags, uint16_t ring)
{
    struct sockaddr_in wanted = address;
    int fd = raw_placeholder(IPPROTO_UDP, &wanted);
    struct control_bind bind = {
        .header = {CONTROL_BIND, sizeof(bind), ++port->request, 0},
        .address = {.family = 4, .protocol = IPPROTO_UDP, .port = wanted.sin_port},
        .flags = flags,
        .port_count = 1,
        .ring = ring,
    };

    memcpy(bind.address.bytes, &wanted.sin_addr, 4);
    raw_send(port, &bind, sizeof(bind), &fd, 1);
    return raw_outcome(port);
}

static struct raw_outcome bind_absent_ring(struct raw_port *port)
{
    return bind_to_ring(port, CONTROL_BIND_RING, 1);
}

static struct raw_outcome bind_absurd_ring(struct raw_port *port)
{
    return bind_to_ring(port, CONTROL_BIND_RING, UINT16_MAX);
}

static struct raw_outcome bind_ring_unannounced(struct raw_port *port)
{
    return bind_to_ring(port, 0, 1);
}

/* With a socket that reserves something else. */
static struct raw_outcome takeover_without_placeholder(struct raw_port *port)
{
    struct sockaddr_in wanted = victim(), other = address;
    int yes = 1, fd = raw_placeholder(IPPROTO_TCP, &other);

    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    send_takeover(port, IPPROTO_TCP, &wanted, fd, CONTROL_BIND_TAKEOVER);
    return raw_outcome(port);
}

static struct raw_outcome drained_without_placeholder(struct raw_port *port)
{
    struct sockaddr_in wanted = victim(), other = address;
    int fd = raw_placeholder(IPPROTO_TCP, &other);

    send_takeover(port, IPPROTO_TCP, &wanted, fd, CONTROL_BIND_DRAINING);
    return raw_outcome(port);
}

/* Was told that there is a successor, and says nothing. The successor gets the binding all the same;
 * its port is a second one of ours. */
static struct raw_outcome handover_unanswered(struct raw_port *port)
{
    struct raw_port successor = opened();
    struct sockaddr_in wanted = port->bound;
    struct raw_outcome outcome;
    int64_t began = control_client__now_ms();
    int yes = 1, fd;

    send_share(&successor, IPPROTO_UDP, &wanted);
    outcome = raw_outcome(&successor);
    if (outcome.fate != RAW_ALIVE)
        return outcome;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&wanted, sizeof(wanted)) < 0)
        raw_fail("bind beside the owner", EADDRINUSE);
    send_takeover(&successor, IPPROTO_UDP, &wanted, fd, CONTROL_BIND_TAKEOVER);
    outcome = raw_outcome(&successor);
    snprintf(more, sizeof(more), " seconds=%jd",
             (intmax_t)((control_client__now_ms() - began) / 1000));
    raw_close(&successor);
    return outcome;
}

const struct mode sharing_modes[] = {
    MODE(bound, connect_foreign_binding),
    MODE(bound, connect_foreign_address),
    MODE(bound, connect_absurd_count),
    MODE(bound, connect_flood),
    MODE(bound, drain_foreign_binding),
    MODE(bound, drain_to_nobody),
    MODE(opened, share_foreign_binding),
    MODE(opened, takeover_without_placeholder),
    MODE(opened, drained_without_placeholder),
    MODE(bound, handover_unanswered),
    MODE(opened, bind_absent_ring),
    MODE(opened, bind_absurd_ring),
    MODE(opened, bind_ring_unannounced),
    {0},
};
