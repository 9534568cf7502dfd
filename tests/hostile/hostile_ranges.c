/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes that ask for ranges of ports that nobody gives, or for all there are. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void send_range(struct raw_port *port, uint32_t first, uint32_t port_count, uint32_t flags)
{
    struct control_bind bind = {
        .header = {CONTROL_BIND, sizeof(bind), ++port->request, 0},
        .address = {.family = 4, .protocol = IPPROTO_TCP, .port = htons((uint16_t)first)},
        .flags = flags,
        .port_count = (uint16_t)port_count,
    };

    raw_send(port, &bind, sizeof(bind), NULL, 0);
}

static struct raw_outcome ask_range(struct raw_port *port, uint32_t first, uint32_t port_count)
{
    send_range(port, first, port_count, 0);
    return raw_outcome(port);
}

static struct raw_outcome range_of_nothing(struct raw_port *port)
{
    return ask_range(port, 16384, 0);
}

static struct raw_outcome range_odd_count(struct raw_port *port)
{
    return ask_range(port, 0, 1000);
}

static struct raw_outcome range_absurd_count(struct raw_port *port)
{
    return ask_range(port, 0, UINT16_MAX);
}

static struct raw_outcome range_unaligned(struct raw_port *port)
{
    return ask_range(port, 16385, 64);
}

/* Would end at port 66,047. */
static struct raw_outcome range_past_the_end(struct raw_port *port)
{
    return ask_range(port, 65024, 1024);
}

static struct raw_outcome range_privileged(struct raw_port *port)
{
    return ask_range(port, 512, 512);
}

/* What the host gives to connect(2). */
static struct raw_outcome range_of_the_hosts(struct raw_port *port)
{
    return ask_range(port, 32768, 64);
}

static struct raw_outcome range_shared(struct raw_port *port)
{
    send_range(port, 0, 64, CONTROL_BIND_SHARED);
    return raw_outcome(port);
}

static struct raw_outcome range_with_socket(struct raw_port *port)
{
    struct control_bind bind = {
        .header = {CONTROL_BIND, sizeof(bind), ++port->request, 0},
        .address = {.family = 4, .protocol = IPPROTO_TCP},
        .port_count = 64,
    };

    raw_send(port, &bind, sizeof(bind), &port->fd, 1);
    return raw_outcome(port);
}

/* All that there are, one after the other. */
static struct raw_outcome range_flood(struct raw_port *port)
{
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    for (uint32_t i = 0; outcome.fate == RAW_ALIVE && i < 1024; i++)
        outcome = ask_range(port, 0, 64);
    return outcome;
}

/* Without waiting for an answer, and away. */
static struct raw_outcome range_storm(struct raw_port *port)
{
    struct raw_outcome outcome;

    for (uint32_t i = 0; i < 64; i++)
        send_range(port, 0, 4096, 0);
    do
        outcome = raw_outcome(port);
    while (outcome.fate == RAW_ALIVE);
    return outcome;
}

const struct mode range_modes[] = {
    MODE(opened, range_of_nothing),   MODE(opened, range_odd_count),
    MODE(opened, range_absurd_count), MODE(opened, range_unaligned),
    MODE(opened, range_past_the_end), MODE(opened, range_privileged),
    MODE(opened, range_of_the_hosts), MODE(opened, range_shared),
    MODE(opened, range_with_socket),  MODE(opened, range_flood),
    MODE(opened, range_storm),        {0},
};
