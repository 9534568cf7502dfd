/* SPDX-License-Identifier: BSD-2-Clause */
/* local_ports.h */
#include "local_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#define PORTS_MIN 64      /* the smallest range there is */
#define ASK_AGAIN 1000000 /* µs */

int local_ports_init(struct local_ports *ports, unsigned wanted)
{
    uint8_t random[sizeof(ports->counters) + 2 * 16];

    *ports = (struct local_ports){.wanted = wanted};
    for (unsigned i = 0; i < 2; i++)
        ports->ranges[i].binding = -1;
    if (!wanted)
        return 0;
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    memcpy(ports->counters, random, sizeof(ports->counters));
    for (unsigned i = 0; i < 2; i++)
        ports->key[i] = siphash_key(random + sizeof(ports->counters) + 16 * (size_t)i);
    return 0;
}

static struct local_range *range_of(struct local_ports *ports, uint8_t family)
{
    return &ports->ranges[family == 6];
}

/* Handle, or the error of ms_bind_range(). */
static int bind_any(struct ms_port *port, uint8_t family, unsigned count)
{
    const struct sockaddr_in in = {.sin_family = AF_INET};
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    return family == 6 ? ms_bind_range(port, IPPROTO_TCP, (const struct sockaddr *)&in6,
                                       sizeof(in6), count, NULL)
                       : ms_bind_range(port, IPPROTO_TCP, (const struct sockaddr *)&in, sizeof(in),
                                       count, NULL);
}

static uint16_t first_port(const struct ms_port *port, int binding)
{
    struct sockaddr_in6 name = {0};
    socklen_t length = sizeof(name);

    /* of both families the port is at the same place */
    if (ms_binding_address(port, binding, (struct sockaddr *)&name, &length) != 0)
        return 0;
    return ntohs(name.sin6_port);
}

/* Halves what is wanted as long as it is the amount that is refused. */
static void ask(struct local_ports *ports, struct ms_port *port, uint8_t family, uint64_t now)
{
    struct local_range *range = range_of(ports, family);
    unsigned count = ports->wanted;
    int binding = bind_any(port, family, count);

    while ((binding == -EADDRINUSE || binding == -EDQUOT) && count > PORTS_MIN) {
        count /= 2;
        binding = bind_any(port, family, count);
    }
    range->ask_at = now + ASK_AGAIN;
    /* a switch that knows no ranges, or a host that has none */
    if (binding == -EINVAL || binding == -EOPNOTSUPP)
        range->ask_at = UINT64_MAX;
    if (binding < 0)
        return;
    range->binding = binding;
    range->suspended = false;
    range->count = count;
    range->first = first_port(port, binding);
}

bool local_ports_ready(struct local_ports *ports, struct ms_port *port, uint8_t family,
                       uint64_t now)
{
    struct local_range *range = range_of(ports, family);

    if (!ports->wanted)
        return false;
    if (range->binding < 0 && now >= range->ask_at)
        ask(ports, port, family, now);
    return range->binding >= 0 && !range->suspended;
}

/* RFC 6056 section 3.3.4. */
static uint32_t hash_of(const struct local_ports *ports, unsigned which,
                        const struct utcp_endpoint *local, const struct utcp_endpoint *remote)
{
    uint8_t input[16 + 16 + 2];

    memcpy(input, local->address, 16);
    memcpy(input + 16, remote->address, 16);
    memcpy(input + 32, &remote->port, 2);
    return (uint32_t)siphash(ports->key[which], input, sizeof(input));
}

int local_ports_connect(struct local_ports *ports, struct utcp *stack, uint64_t now,
                        struct utcp_endpoint *local, const struct utcp_endpoint *remote, void *user,
                        struct utcp_conn **conn)
{
    const struct local_range *range = range_of(ports, local->family);
    uint32_t offset = hash_of(ports, 0, local, remote);
    uint16_t *counter = &ports->counters[hash_of(ports, 1, local, remote) % LOCAL_PORTS_COUNTERS];
    int error = -EADDRINUSE;

    for (unsigned i = 0; error == -EADDRINUSE && i < range->count && i < LOCAL_PORTS_TRIES; i++) {
        local->port = (uint16_t)(range->first + (offset + (*counter)++) % range->count);
        error = utcp_connect(stack, now, local, remote, user, conn);
    }
    return error;
}

bool local_ports_event(struct local_ports *ports, const struct ms_event *event)
{
    for (unsigned i = 0; i < 2; i++) {
        struct local_range *range = &ports->ranges[i];

        if (range->binding < 0 || range->binding != event->binding)
            continue;
        range->suspended = event->kind == MS_EVENT_SUSPENDED
                               ? true
                               : range->suspended && event->kind != MS_EVENT_RESTORED;
        return true;
    }
    return false;
}
