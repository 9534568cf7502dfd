/* SPDX-License-Identifier: BSD-2-Clause */
/* Sharing a 3-tuple and handing it over: what the switch says about it, and what the application
 * says. The rules are the switch's (switch/sharing.h tells the story); here is only remembered what
 * must be said again to a switch that was restarted. Also the events, those of suspended bindings
 * (switch/suspension.h) among them. */
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

/* Whether ms_next_event() has something to say of it: what came and went meanwhile is no news. */
static bool suspension_is_news(const struct binding *binding)
{
    return (binding->suspended != 0) != binding->suspended_told;
}

void handover__suspend(struct ms_port *port, struct binding *binding, int error)
{
    bool was_news = suspension_is_news(binding);

    binding->suspended = error;
    if (suspension_is_news(binding) && !was_news)
        port->events++;
    else if (!suspension_is_news(binding) && was_news)
        port->events--;
}

void handover__forget_events(struct ms_port *port, struct binding *binding)
{
    port->events -= (binding->events != 0) + suspension_is_news(binding);
    binding->events = 0;
    binding->suspended_told = binding->suspended != 0;
}

/* The event names one binding of the address, which may be on its way out here; it is about all. */
static void address_event(struct ms_port *port, uint32_t number, int error)
{
    const struct binding *named = NULL;

    for (unsigned i = 0; i < port->binding_count && !named; i++) {
        const struct binding *binding = &port->bindings[i];

        if ((binding->state == BINDING_CLAIMED || binding->state == BINDING_LEAVING ||
             binding->state == BINDING_UNBINDING) &&
            binding->number == number)
            named = binding;
    }
    for (unsigned i = 0; named && i < port->binding_count; i++) {
        struct binding *binding = &port->bindings[i];

        if (binding->state == BINDING_CLAIMED && binding->address.family == named->address.family &&
            !memcmp(binding->address.bytes, named->address.bytes, sizeof(named->address.bytes)))
            handover__suspend(port, binding, error);
    }
}

void handover__event(struct ms_port *port, const struct control_event *event)
{
    struct binding *binding = binding_by_number(port, event->value);

    if (event->kind == CONTROL_EVENT_SUSPENDED || event->kind == CONTROL_EVENT_RESTORED) {
        address_event(port, event->value,
                      event->kind == CONTROL_EVENT_SUSPENDED ? -EADDRNOTAVAIL : 0);
        return;
    }

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
    if (binding->port_count > 1)
        return -EOPNOTSUPP;
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

        if (binding->events) {
            found.kind = __builtin_ctz(binding->events);
            binding->events = 0;
        } else if (suspension_is_news(binding)) {
            found.kind = binding->suspended ? MS_EVENT_SUSPENDED : MS_EVENT_RESTORED;
            found.error = binding->suspended;
            binding->suspended_told = binding->suspended != 0;
        } else {
            continue;
        }
        port->events--;
        memcpy(event, &found, event->size < sizeof(found) ? event->size : sizeof(found));
        return true;
    }
    return false;
}
