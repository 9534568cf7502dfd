/* SPDX-License-Identifier: BSD-2-Clause */
/* port.h: bindings, from their claim to their end. */
#include <errno.h>
#include <unistd.h>

#include "core.h"
#include "sharing.h"

struct binding *binding_find(struct port_table *table, const struct port *port, uint32_t number)
{
    struct binding *binding = &table->bindings[number % NAMESPACE_BINDINGS_MAX];

    return binding->port == port && binding->number == number ? binding : NULL;
}

/* A slot that is free; its number moves on with each use, so that an old one is not mistaken for a
 * new one. NULL: there is none. */
static struct binding *take_slot(struct port_table *table)
{
    uint32_t slot = table->free_binding;
    struct binding *binding;

    if (slot == BINDING_NONE && table->bindings_made == NAMESPACE_BINDINGS_MAX)
        return NULL;
    if (slot == BINDING_NONE)
        slot = table->bindings_made++;
    else
        table->free_binding = table->bindings[slot].next;
    binding = &table->bindings[slot];
    /* slot and generation; no generation is 0, so that no number is */
    binding->number = (binding->number + NAMESPACE_BINDINGS_MAX) & TUPLE_NUMBER_MAX;
    if (binding->number < NAMESPACE_BINDINGS_MAX)
        binding->number = NAMESPACE_BINDINGS_MAX;
    binding->number = (binding->number & ~(NAMESPACE_BINDINGS_MAX - 1)) | slot;
    return binding;
}

static void free_slot(struct port_table *table, struct binding *binding)
{
    binding->port = NULL;
    binding->next = table->free_binding;
    table->free_binding = (uint32_t)(binding - table->bindings);
}

static int enter(struct switch_core *core, const struct binding *binding)
{
    struct change change = {
        .kind = CHANGE_JOIN,
        .tuple = binding->tuple,
        .member = {.port = binding->port,
                   .seed = binding->shared ? binding->cookie : 0,
                   .binding = binding->number,
                   .state = binding->state,
                   .ring = binding->ring},
    };

    if (binding->port_count > 1) {
        change.kind = CHANGE_RANGE_ADD;
        change.port_count = binding->port_count;
        return core_change(core, &change);
    }
    /* Nothing is sent from a group's address, and what is sent to it comes another way (groups.h). */
    if (groups_has_address(&binding->tuple))
        return 0;
    if (!binding->shared && binding->state == MEMBER_ACTIVE &&
        !tuple_table_find(&core_names(core)->bindings, &binding->tuple))
        change.kind = CHANGE_ADD;
    return core_change(core, &change);
}

int binding_add(struct switch_core *core, struct port *port, const struct tuple *tuple,
                int placeholder_fd, const struct binding_terms *terms, uint32_t *number)
{
    struct port_table *table = &core->ports;
    int status = sharing_admit(core, tuple, port, terms);
    struct binding *binding;
    uint32_t slot;

    if (status)
        return status;
    binding = take_slot(table);
    if (!binding)
        return -ENOSPC;
    slot = (uint32_t)(binding - table->bindings);
    binding->tuple = *tuple;
    binding->port = port;
    binding->placeholder_fd = placeholder_fd;
    binding->ring = terms->ring;
    binding->port_count = terms->port_count ? terms->port_count : 1;
    binding->away_told = false;
    binding->guard_rules = 0;
    binding->state = (uint8_t)sharing_begin(core, binding, terms);
    status = groups_enter(core, binding);
    if (!status)
        status = enter(core, binding);
    if (status) {
        groups_leave(core, binding);
        free_slot(table, binding);
        return status;
    }
    binding->previous = BINDING_NONE;
    binding->next = port->first_binding;
    if (binding->next != BINDING_NONE)
        table->bindings[binding->next].previous = slot;
    port->first_binding = slot;
    port->binding_count++;
    table->binding_count++;
    *number = binding->number;
    if (binding->port_count > 1)
        range_enter(core, binding);
    sharing_settle(core, tuple);
    guard_adopt(core, binding);
    guard_owners_changed(core, tuple);
    return 0;
}

void binding_close(struct switch_core *core, struct binding *binding)
{
    struct port_table *table = &core->ports;
    struct port *port = binding->port;
    bool is_range = binding->port_count > 1;
    const struct change change = {.kind = is_range ? CHANGE_RANGE_REMOVE : CHANGE_REMOVE,
                                  .port_count = binding->port_count,
                                  .tuple = binding->tuple,
                                  .member = {.port = port}};

    groups_leave(core, binding);
    guard_forget(core, binding);
    core_change(core, &change);
    if (is_range)
        range_leave(core, binding);
    if (binding->previous == BINDING_NONE)
        port->first_binding = binding->next;
    else
        table->bindings[binding->previous].next = binding->next;
    if (binding->next != BINDING_NONE)
        table->bindings[binding->next].previous = binding->previous;
    if (binding->placeholder_fd >= 0)
        close(binding->placeholder_fd);
    binding->placeholder_fd = -1;
    port->connected_count -= binding->connected_count;
    port->binding_count--;
    table->binding_count--;
    free_slot(table, binding);
    sharing_left(core, binding);
    guard_owners_changed(core, &change.tuple);
}

int binding_remove(struct switch_core *core, struct port *port, uint32_t number)
{
    struct binding *binding = binding_find(&core->ports, port, number);

    if (!binding)
        return -ENOENT;
    binding_close(core, binding);
    return 0;
}
