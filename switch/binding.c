/* SPDX-License-Identifier: BSD-2-Clause */
/* port.h: bindings, from their claim to their end. */
#include <errno.h>
#include <unistd.h>

#include "core.h"

static struct binding *binding_by_number(struct port_table *table, const struct port *port,
                                         uint32_t number)
{
    struct binding *binding = &table->bindings[number % NAMESPACE_BINDINGS_MAX];

    return binding->port == port && binding->number == number ? binding : NULL;
}

int binding_add(struct switch_core *core, struct port *port, const struct tuple *tuple,
                int placeholder_fd, uint32_t *number)
{
    struct port_table *table = &core->ports;
    uint32_t slot = table->free_binding;
    struct binding *binding;
    int status;

    if (slot == BINDING_NONE) {
        if (table->bindings_made == NAMESPACE_BINDINGS_MAX)
            return -ENOSPC;
        slot = table->bindings_made;
    }
    binding = &table->bindings[slot];
    /* The slot's number moves on with each use, so that an old one is not mistaken for a new one. */
    if (binding->number == 0)
        binding->number = slot;
    status = namespace_add(&core->names, tuple, port, binding->number + NAMESPACE_BINDINGS_MAX);
    if (status)
        return status;
    if (slot == table->bindings_made)
        table->bindings_made++;
    else
        table->free_binding = binding->next;
    binding->number += NAMESPACE_BINDINGS_MAX;
    binding->tuple = *tuple;
    binding->port = port;
    binding->placeholder_fd = placeholder_fd;
    binding->previous = BINDING_NONE;
    binding->next = port->first_binding;
    if (binding->next != BINDING_NONE)
        table->bindings[binding->next].previous = slot;
    port->first_binding = slot;
    port->binding_count++;
    table->binding_count++;
    *number = binding->number;
    return 0;
}

void binding_close(struct switch_core *core, struct binding *binding)
{
    struct port_table *table = &core->ports;
    uint32_t slot = (uint32_t)(binding - table->bindings);
    struct port *port = binding->port;

    namespace_remove(&core->names, &binding->tuple, port);
    if (binding->previous == BINDING_NONE)
        port->first_binding = binding->next;
    else
        table->bindings[binding->previous].next = binding->next;
    if (binding->next != BINDING_NONE)
        table->bindings[binding->next].previous = binding->previous;
    close(binding->placeholder_fd);
    binding->placeholder_fd = -1;
    binding->port = NULL;
    binding->next = table->free_binding;
    table->free_binding = slot;
    port->binding_count--;
    table->binding_count--;
}

int binding_remove(struct switch_core *core, struct port *port, uint32_t number)
{
    struct binding *binding = binding_by_number(&core->ports, port, number);

    if (!binding)
        return -ENOENT;
    binding_close(core, binding);
    return 0;
}
