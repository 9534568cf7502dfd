/* SPDX-License-Identifier: BSD-2-Clause */
/* change.h */
#include "change.h"

#include <errno.h>
#include <stdlib.h>

#include "capture.h"
#include "core.h"
#include "forward.h"
#include "log.h"

static void apply_neighbor(struct worker *worker, const struct change *change)
{
    struct next_hop *hop;
    uint32_t cursor = 0;

    while ((hop = next_hops_neighbor(&worker->hops, &change->neighbor, change->nic, &cursor)) !=
           NULL) {
        if (change->neighbor.valid)
            forward_unpark(worker, hop);
        else
            forward_give_up(worker, hop);
    }
}

static void apply_next_hop(struct worker *worker, const struct change *change)
{
    struct next_hop *hop = next_hops_answer(&worker->hops, &change->next_hop, worker->now_ns);

    if (hop)
        forward_unpark(worker, hop);
}

int change_apply(struct worker *worker, const struct change *change)
{
    struct namespace_table *names = &worker->names;
    const struct owner_member *member = &change->member;

    switch (change->kind) {
    case CHANGE_ADD: return namespace_add(names, &change->tuple, member);
    case CHANGE_JOIN: return namespace_join(names, &change->tuple, member);
    case CHANGE_REMOVE: namespace_remove(names, &change->tuple, member->port); break;
    case CHANGE_STATE:
        return namespace_set_state(names, &change->tuple, member->port,
                                   (enum member_state)member->state);
    case CHANGE_CONNECT:
        return namespace_connect(names, &change->tuple, member->port, &change->view);
    case CHANGE_DISCONNECT:
        return namespace_disconnect(names, &change->tuple, member->port, &change->view);
    case CHANGE_ADDRESS: return namespace_set_address(names, &change->tuple, change->present);
    case CHANGE_RANGE_ADD:
        return namespace_add_range(names, &change->tuple, change->port_count, member);
    case CHANGE_RANGE_REMOVE:
        namespace_remove_range(names, &change->tuple, change->port_count, member->port);
        break;
    case CHANGE_NEXT_HOP: apply_next_hop(worker, change); break;
    case CHANGE_NEIGHBOR: apply_neighbor(worker, change); break;
    case CHANGE_ROUTES: next_hops_doubt(&worker->hops); break;
    case CHANGE_PORT_JOIN: worker_join(worker, change->port); break;
    case CHANGE_PORT_LEAVE: worker_leave(worker, change->port); break;
    case CHANGE_CAPTURE: capture_attach(worker, change); break;
    case CHANGE_GUARD_POLICY: return guard_judge_set_policy(worker, &change->guard_policy);
    case CHANGE_GUARD_PREFIX:
        return guard_judge_set_prefix(worker, &change->guard_prefix.key,
                                      &change->guard_prefix.entry);
    case CHANGE_GUARD_ID: return guard_judge_refer(worker, &change->tuple, change->guard_id);
    case CHANGE_PAUSE: break; /* of the others */
    }
    return 0;
}

int core_change(struct switch_core *core, const struct change *change)
{
    struct change_entry *entry = NULL;
    int status;

    if (core->worker_count > 1) {
        entry = crew_entry_new(change);
        if (!entry) { /* some changes cannot be refused; so this is the end, and a new beginning */
            log_error("no memory for what the workers must be told");
            core->status = EXIT_FAILURE;
            core->stop = true;
            return -ENOMEM;
        }
    }
    status = change_apply(&core->workers[0], change);
    if (entry && !status)
        crew_post(core, entry);
    else
        free(entry);
    return status;
}
