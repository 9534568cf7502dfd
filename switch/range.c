/* SPDX-License-Identifier: BSD-2-Clause */
/* range.h */
#include "range.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "control_protocol.h"
#include "core.h"

static_assert(RANGE_PORTS_MIN == CONTROL_RANGE_PORTS_MIN &&
                  RANGE_PORTS_MAX == CONTROL_RANGE_PORTS_MAX &&
                  RANGE_PORTS_MIN == 1 << NAMESPACE_RANGE_BITS_MIN &&
                  RANGE_PORTS_MAX == 1 << NAMESPACE_RANGE_BITS_MAX &&
                  RANGE_PORTS_MIN == 1 << MUX_RANGE_BITS_MIN &&
                  RANGE_PORTS_MAX == 1 << MUX_RANGE_BITS_MAX,
              "the same ranges for all");

static uint32_t unit_of(const struct tuple *tuple)
{
    return range_unit(tuple_protocol(tuple) == IP_PROTOCOL_UDP, ntohs(tuple_port(tuple)));
}

static bool has_ranges(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP;
}

bool range_has(const struct switch_core *core, const struct tuple *tuple)
{
    return has_ranges(tuple_protocol(tuple)) && core->ranges.taken[unit_of(tuple)];
}

static bool tell_keeper(const struct switch_core *core, const void *message, size_t size)
{
    return send(core->channel_fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

static bool release(struct switch_core *core, uint8_t protocol, uint32_t first, uint32_t port_count)
{
    const struct channel_range_release message = {
        .header = {.type = CHANNEL_RANGE_RELEASE, .size = sizeof(message)},
        .protocol = protocol,
        .first = first,
        .port_count = port_count,
    };
    uint32_t unit = range_unit(protocol == IP_PROTOCOL_UDP, first);
    bool told = tell_keeper(core, &message, sizeof(message));

    if (!told && !core->ranges.leaving[unit]) {
        core->ranges.leaving[unit] = (uint8_t)__builtin_ctz(port_count);
        core->ranges.leaving_count++;
    }
    return told;
}

void range_housekeep(struct switch_core *core)
{
    struct ranges *ranges = &core->ranges;

    for (uint32_t unit = 0; ranges->leaving_count && unit < RANGE_PROTOCOLS * RANGE_UNITS; unit++) {
        uint8_t bits = ranges->leaving[unit];
        bool is_udp = unit >= RANGE_UNITS;

        if (!bits)
            continue;
        ranges->leaving[unit] = 0;
        ranges->leaving_count--;
        if (!release(core, is_udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP,
                     unit % RANGE_UNITS * RANGE_PORTS_MIN, 1u << bits))
            return;
    }
}

static void mark(struct switch_core *core, const struct binding *binding, uint8_t taken)
{
    memset(core->ranges.taken + unit_of(&binding->tuple), taken,
           binding->port_count / RANGE_PORTS_MIN);
}

void range_enter(struct switch_core *core, const struct binding *binding)
{
    mark(core, binding, 1);
}

void range_leave(struct switch_core *core, const struct binding *binding)
{
    mark(core, binding, 0);
    release(core, tuple_protocol(&binding->tuple), ntohs(tuple_port(&binding->tuple)),
            binding->port_count);
}

static int check(const struct switch_core *core, const struct control_bind *wish)
{
    uint32_t first = ntohs(wish->address.port), count = wish->port_count;
    struct tuple tuple = tuple_from_address(&wish->address);

    if (!has_ranges(wish->address.protocol))
        return -EPROTONOSUPPORT;
    if (count < RANGE_PORTS_MIN || count > RANGE_PORTS_MAX || (count & (count - 1)) ||
        (first & (count - 1)) || (wish->flags & ~CONTROL_BIND_RING) || wish->members ||
        wish->connected || (wish->address.family != 4 && wish->address.family != 6))
        return -EINVAL;
    if (first && first < 1024) /* aligned, so no range runs past the last port */
        return -EACCES;
    if (groups_has_address(&tuple) ||
        (!tuple_is_wildcard(&tuple) && !namespace_is_local(core_names(core), &tuple)))
        return -EADDRNOTAVAIL;
    return 0;
}

/* A free place, where the user may have one more. */
static struct range_wait *take_wait(struct ranges *ranges, uid_t uid)
{
    struct range_wait *free_one = NULL;
    uint32_t own = 0;

    for (uint32_t i = 0; i < RANGE_WAITS_MAX; i++) {
        if (!ranges->waits[i].id)
            free_one = &ranges->waits[i];
        else
            own += ranges->waits[i].uid == uid;
    }
    return own < RANGE_WAITS_PER_UID ? free_one : NULL;
}

int range_bind(struct switch_core *core, const struct connection *connection,
               const struct control_bind *wish, uint8_t ring)
{
    struct ranges *ranges = &core->ranges;
    int status = check(core, wish);
    struct channel_range message = {
        .header = {.type = CHANNEL_RANGE, .size = sizeof(message)},
        .uid = connection->uid,
        .protocol = wish->address.protocol,
        .first = ntohs(wish->address.port),
        .port_count = wish->port_count,
    };
    struct range_wait *wait;

    if (status)
        return status;
    wait = take_wait(ranges, connection->uid);
    if (!wait)
        return -EBUSY;
    if (!++ranges->next_id)
        ranges->next_id = 1;
    message.id = ranges->next_id;
    if (!tell_keeper(core, &message, sizeof(message)))
        return -EBUSY;
    *wait = (struct range_wait){
        .id = message.id,
        .connection = (uint32_t)(connection - core->control.connections),
        .generation = connection->generation,
        .request = wish->header.request,
        .port_count = wish->port_count,
        .uid = connection->uid,
        .ring = ring,
        .tuple = tuple_from_address(&wish->address),
    };
    return 0;
}

/* Whether single bindings are in the way: those that the kernel knows nothing of, at addresses on a
 * wire. */
static bool is_occupied(const struct switch_core *core, const struct tuple *tuple,
                        uint32_t port_count)
{
    const struct port_table *ports = &core->ports;
    uint32_t first = ntohs(tuple_port(tuple));

    for (uint32_t i = 0; i < ports->bindings_made; i++) {
        const struct tuple *other = &ports->bindings[i].tuple;

        if (ports->bindings[i].port && tuple_protocol(other) == tuple_protocol(tuple) &&
            ntohs(tuple_port(other)) - first < port_count)
            return true;
    }
    return range_has(core, tuple);
}

static int enter(struct switch_core *core, struct port *port, const struct range_wait *wait,
                 uint32_t *number)
{
    const struct binding_terms terms = {.ring = wait->ring, .port_count = wait->port_count};

    if (is_occupied(core, &wait->tuple, wait->port_count))
        return -EADDRINUSE;
    return binding_add(core, port, &wait->tuple, -1, &terms, number);
}

void range_answered(struct switch_core *core, const struct channel_range_answer *answer)
{
    struct connection *connection;
    struct control_bound bound = {
        .header = {.type = CONTROL_BOUND, .size = sizeof(bound), .error = (int32_t)answer->error}};
    struct range_wait wait = {0};

    for (uint32_t i = 0; answer->id && i < RANGE_WAITS_MAX; i++) {
        if (core->ranges.waits[i].id != answer->id)
            continue;
        wait = core->ranges.waits[i];
        core->ranges.waits[i].id = 0;
    }
    if (!wait.id)
        return;
    wait.tuple.rest |= tuple_rest(0, 0, htons((uint16_t)answer->first));
    connection = &core->control.connections[wait.connection];
    if (connection->generation != wait.generation || connection->fd < 0 || !connection->port) {
        if (!answer->error)
            release(core, tuple_protocol(&wait.tuple), answer->first, wait.port_count);
        return;
    }
    bound.header.request = wait.request;
    if (!answer->error) {
        bound.header.error = -enter(core, connection->port, &wait, &bound.binding);
        if (bound.header.error)
            release(core, tuple_protocol(&wait.tuple), answer->first, wait.port_count);
    }
    bound.address = tuple_to_address(&wait.tuple);
    control_reply(core, connection, &bound, NULL, 0);
}
