/* SPDX-License-Identifier: BSD-2-Clause */
/* suspension.h: who is told, and when. */
#include "suspension.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "control_protocol.h"
#include "core.h"
#include "sharing.h"

/* The kernel lets bind groups and the wildcard whatever addresses the host has. */
static bool can_be_suspended(const struct tuple *tuple)
{
    return !tuple_is_wildcard(tuple) && !groups_has_address(tuple);
}

bool suspension_holds(const struct switch_core *core, const struct tuple *tuple)
{
    return can_be_suspended(tuple) && !namespace_is_local(core_names(core), tuple);
}

static bool is_news(const struct switch_core *core, const struct binding *binding)
{
    return binding->away_told != suspension_holds(core, &binding->tuple);
}

/* Marks all bindings that the port has at the address of `binding` as told. */
static void mark_told(struct port_table *table, const struct binding *binding)
{
    const struct tuple address = tuple_address_only(&binding->tuple);
    bool away = !binding->away_told;

    for (uint32_t i = binding->port->first_binding; i != BINDING_NONE;
         i = table->bindings[i].next) {
        struct tuple other = tuple_address_only(&table->bindings[i].tuple);

        if (tuple_equal(&other, &address))
            table->bindings[i].away_told = away;
    }
}

static bool has_room(const struct connection *connection)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof(memory);

    return getsockopt(connection->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0 &&
           memory[SK_MEMINFO_WMEM_ALLOC] < SUSPENSION_UNREAD_MAX;
}

/* The first binding of the port that there is news of, at `address` or (NULL) at any. */
static struct binding *find_news(struct switch_core *core, const struct port *port,
                                 const struct tuple *address)
{
    struct port_table *table = &core->ports;

    for (uint32_t i = port->first_binding; i != BINDING_NONE; i = table->bindings[i].next) {
        struct tuple at = tuple_address_only(&table->bindings[i].tuple);

        if ((!address || tuple_equal(&at, address)) && is_news(core, &table->bindings[i]))
            return &table->bindings[i];
    }
    return NULL;
}

static void tell(struct switch_core *core, struct connection *connection,
                 const struct tuple *address)
{
    struct binding *binding = find_news(core, connection->port, address);
    struct control_event event = {.header = {.type = CONTROL_EVENT, .size = sizeof(event)}};

    if (!binding)
        return;
    connection->news_wait = !has_room(connection);
    if (connection->news_wait)
        return;
    event.kind = binding->away_told ? CONTROL_EVENT_RESTORED : CONTROL_EVENT_SUSPENDED;
    event.value = binding->number;
    mark_told(&core->ports, binding);
    control_reply(core, connection, &event, NULL, 0);
}

void suspension_tell(struct switch_core *core, const struct tuple *address)
{
    const struct tuple key = tuple_address_only(address);

    for (uint32_t i = 0; i < core->control.capacity; i++) {
        struct connection *connection = &core->control.connections[i];

        /* one that waits already will hear of this, too */
        if (connection->fd >= 0 && connection->port && !connection->news_wait)
            tell(core, connection, &key);
    }
    sharing_tell(core);
}

void suspension_housekeep(struct switch_core *core)
{
    struct control *control = &core->control;
    uint32_t left = SUSPENSION_PER_TICK;

    for (uint32_t seen = 0; seen < control->capacity && left; seen++) {
        struct connection *connection = &control->connections[control->news_next];

        control->news_next = (control->news_next + 1) % control->capacity;
        if (connection->fd < 0 || !connection->port || !connection->news_wait)
            continue;
        left--;
        if (!has_room(connection))
            continue;
        tell(core, connection, NULL);
        connection->news_wait =
            connection->fd >= 0 && find_news(core, connection->port, NULL) != NULL;
    }
}
