/* SPDX-License-Identifier: BSD-2-Clause */
/* Sharing a 3-tuple and handing it over: what the switch says about it, and what the application
 * says. The rules are the switch's (switch/sharing.h tells the story); here is only remembered what
 * must be said again to a switch that was restarted. */
#include "port_internal.h"

#include <errno.h>
#include <string.h>

static struct binding *binding_by_number(struct ms_port *port, uint32_t number)
{
    for (unsigned i = 0; i < port->binding_count; i++)
        if (port->bindings[i].state == BINDING_CLAIMED && port->bindings[i].number == number)
            return &port->bindings[i];
    return NULL;
}

/* A later event makes an earlier one that nobody has taken yet void. */
static void add_event(struct ms_port *port, struct binding *binding, enum ms_event_kind kind)
{
    if (!binding->events)
        port->events++;
    binding->events = (uint8_t)(1 << kind);
}

void handover__event(struct ms_port *port, const struct control_event *event)
{
    struct binding *binding = binding_by_number(port, event->value);

    if (!binding)
        return; /* given back meanwhile */
    switch (event->kind) {
    case CONTROL_EVENT_HANDOVER: add_event(port, binding, MS_EVENT_HANDOVER); break;
    case CONTROL_EVENT_DRAINED:
        binding->draining = true;
        add_event(port, binding, MS_EVENT_DRAINED);
        break;
    case CONTROL_EVENT_RESUME:
        binding->draining = false;
        add_event(port, binding, MS_EVENT_RESUME);
        break;
    case CONTROL_EVENT_MEMBERS: binding->members = event->detail; break;
    }
}

int handover__let_in(struct ms_port *port, const struct control_address *address)
{
    struct control_share share = {.header = {.type = CONTROL_SHARE, .size = sizeof(share)},
                                  .address = *address};

    return session__ask(port, &share.header);
}

int ms_drain(struct ms_port *port, int handle)
{
    struct binding *binding = binding__find(port, handle);
    struct control_drain drain = {.header = {.type = CONTROL_DRAIN, .size = sizeof(drain)}};
    int error = -ENOTCONN;

    if (!binding)
        return -ENOENT;
    if (binding->state == BINDING_CLAIMED) {
        drain.binding = binding->number;
        error = session__ask(port, &drain.header);
    }
    /* Without an answer it may have drained or not: the next switch is told that it has, and says
     * when there is nobody else. */
    if (error == -ENOTCONN || error == -ETIMEDOUT)
        error = 0;
    if (!error)
        binding->draining = true;
    return error;
}

bool ms_next_event(struct ms_port *port, struct ms_event *event)
{
    for (unsigned i = 0; port->events && i < port->binding_count; i++) {
        struct binding *binding = &port->bindings[i];
        struct ms_event found = {.size = event->size, .binding = (int)i};

        if (!binding->events)
            continue;
        found.kind = __builtin_ctz(binding->events);
        binding->events = 0;
        port->events--;
        memcpy(event, &found, event->size < sizeof(found) ? event->size : sizeof(found));
        return true;
    }
    return false;
}
