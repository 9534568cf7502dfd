/* SPDX-License-Identifier: BSD-2-Clause */
/* misuse.h */
#include "misuse.h"

#include "core.h"
#include "suspension.h"

/* What validation says of a packet; TX_NOT_BOUND is looked at by itself. */
static const enum drop_reason reasons[] = {
    DROP_TX_BAD_LENGTH, DROP_TX_BAD_VERSION, DROP_TX_BAD_HEADER, DROP_TX_BAD_HEADER_CHECKSUM,
    DROP_TX_OPTIONS,    DROP_TX_FRAGMENT,    DROP_TX_BAD_OFFLOAD};

/* How many bindings are asked: a port with tens of thousands is not worth a stop of the traffic, and
 * gets the benefit of the doubt. */
#define BINDINGS_ASKED 1024

static bool may_have_suspended(const struct switch_core *core, const struct port *port)
{
    const struct binding *bindings = core->ports.bindings;

    if (port->binding_count > BINDINGS_ASKED)
        return true;
    for (uint32_t slot = port->first_binding; slot != BINDING_NONE; slot = bindings[slot].next) {
        if (suspension_holds(core, &bindings[slot].tuple))
            return true;
    }
    return false;
}

static uint64_t count_rejected(const struct port *port, uint64_t *not_bound, uint64_t *accepted)
{
    uint64_t rejected = 0;

    *not_bound = *accepted = 0;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        const struct port_ring *ring = &port->rings[i];

        for (size_t at = 0; at < sizeof(reasons) / sizeof(reasons[0]); at++)
            rejected += stats_read(&ring->drops.count[reasons[at]]);
        *not_bound += stats_read(&ring->drops.count[DROP_TX_NOT_BOUND]);
        *accepted += stats_read(&ring->traffic.tx_packets);
    }
    return rejected + *not_bound;
}

/* Whether a port has sent too much of it since it was judged last. */
static bool is_guilty(const struct switch_core *core, struct port *port)
{
    const struct misuse before = port->misuse;
    uint64_t not_bound, rejected;

    rejected = count_rejected(port, &not_bound, &port->misuse.accepted);
    port->misuse.rejected = rejected;
    port->misuse.not_bound = not_bound;
    rejected -= before.rejected;
    if (rejected < core->config.rejected_max)
        return false;
    if (may_have_suspended(core, port))
        rejected -= not_bound - before.not_bound;
    return rejected >= core->config.rejected_max &&
           rejected > port->misuse.accepted - before.accepted;
}

void misuse_housekeep(struct switch_core *core, uint64_t now_ns)
{
    bool broken = false;

    if (!core->config.rejected_max || now_ns < core->misuse_due_ns)
        return;
    core->misuse_due_ns = now_ns + MISUSE_WINDOW_NS;
    for (uint32_t slot = 0; slot < core->ports.capacity; slot++) {
        struct port *port = core->ports.slots[slot];

        if (!port || !is_guilty(core, port))
            continue;
        port_break(port, DETACH_REJECTED);
        broken = true;
    }
    if (broken)
        control_reap(core);
}
