/* SPDX-License-Identifier: BSD-2-Clause */
/* control.h: what the switch says without having been asked just now. */
#include "control.h"

#include "control_protocol.h"
#include "core.h"

void control_send_event(struct switch_core *core, struct connection *connection, uint32_t kind,
                        uint32_t value)
{
    struct control_event event = {
        .header = {.type = CONTROL_EVENT, .size = sizeof(event)}, .kind = kind, .value = value};

    control_reply(core, connection, &event, NULL, 0);
}

void control_send_bound(struct switch_core *core, const struct binding *binding)
{
    struct connection *connection = control_connection_of(core, binding->port);
    struct control_bound bound = {
        .header = {.type = CONTROL_BOUND, .size = sizeof(bound), .request = binding->request},
        .address = tuple_to_address(&binding->tuple),
        .binding = binding->number,
    };

    if (connection)
        control_reply(core, connection, &bound, NULL, 0);
}

void control_send_binding_event(struct switch_core *core, const struct binding *binding,
                                uint32_t kind, uint32_t detail)
{
    struct connection *connection = control_connection_of(core, binding->port);
    struct control_event event = {
        .header = {.type = CONTROL_EVENT, .size = sizeof(event)},
        .kind = kind,
        .value = binding->number,
        .detail = detail,
    };

    if (connection)
        control_reply(core, connection, &event, NULL, 0);
}

void control_announce_mtu(struct switch_core *core, uint32_t mtu)
{
    for (uint32_t i = 0; i < core->control.capacity; i++) {
        struct connection *connection = &core->control.connections[i];

        if (connection->fd >= 0 && connection->port)
            control_send_event(core, connection, CONTROL_EVENT_MTU, mtu);
    }
}
