/* SPDX-License-Identifier: BSD-2-Clause */
/* What changes while packets move, as a value that says it wholly.
 *
 * Everything that the data path reads is the worker's own. So each change is made by every worker to
 * its own copy, between two rounds: core_change() applies it to worker 0, which is the one that
 * decides and answers, and the others follow (crew.h). */
#ifndef MULTISTACK_SWITCH_CHANGE_H
#define MULTISTACK_SWITCH_CHANGE_H

#include "channel.h"
#include "guard_judge.h"
#include "namespace.h"

struct switch_core;
struct worker;

enum change_kind {
    /* of the namespace; each is the function of that name (namespace.h). None of these frees anything,
     * so they may be applied in the middle of a round */
    CHANGE_ADD,          /* tuple, member.port, member.ring, member.binding */
    CHANGE_JOIN,         /* tuple, member */
    CHANGE_REMOVE,       /* tuple, member.port */
    CHANGE_STATE,        /* tuple, member.port, member.state */
    CHANGE_CONNECT,      /* tuple, member.port, view */
    CHANGE_DISCONNECT,   /* tuple, member.port, view */
    CHANGE_ADDRESS,      /* tuple, present */
    CHANGE_RANGE_ADD,    /* tuple, port_count, member.port, member.ring, member.binding */
    CHANGE_RANGE_REMOVE, /* tuple, port_count, member.port */
    /* of what is known about next hops */
    CHANGE_NEXT_HOP, /* next_hop */
    CHANGE_NEIGHBOR, /* neighbor, nic */
    CHANGE_ROUTES,
    /* of ports */
    CHANGE_PORT_JOIN,  /* port: its rings join their workers */
    CHANGE_PORT_LEAVE, /* port: nobody refers to it any more */
    CHANGE_CAPTURE,    /* capture: one more source */
    /* of the guard, where the switch judges (guard_judge.h) */
    CHANGE_GUARD_POLICY, /* guard_policy */
    CHANGE_GUARD_PREFIX, /* guard_prefix */
    CHANGE_GUARD_ID,     /* tuple, guard_id */
    /* of the workers */
    CHANGE_PAUSE, /* pause: stand still until it is over (crew.h) */
};

struct change {
    enum change_kind kind;
    bool present;
    uint32_t nic;
    uint32_t port_count;
    struct tuple tuple;
    union {
        struct {
            struct owner_member member;
            struct packet_view view; /* local, remote, remote_port */
        };
        struct channel_next_hop next_hop;
        struct channel_neighbor neighbor;
        struct port *port;
        struct {
            struct port *port;   /* the capture's */
            struct port *target; /* NULL: a NIC */
            uint32_t nic, source, snap;
        } capture;
        struct guard_judged guard_policy;
        struct {
            struct guard_prefix key;
            struct guard_entry entry;
        } guard_prefix;
        uint32_t guard_id;
        uint64_t pause; /* its number */
    };
};

/* Makes the change to the worker's own copy. 0, or what the namespace's function says. */
int change_apply(struct worker *worker, const struct change *change);

/* Makes the change to all workers: to the first at once, to the others when they come round. 0,
 * -ENOMEM, or what change_apply() says; then nothing has changed. */
int core_change(struct switch_core *core, const struct change *change);

#endif
