/* SPDX-License-Identifier: BSD-2-Clause */
/* A port: the shared memory and the rings of one application, as the switch keeps them.
 *
 * What decides anything stands in these private structs; the shared region (common/port_layout.h)
 * is read with suspicion (ring.h) and otherwise only written.
 *
 *   port_begin()     limits; port_make(), which takes long, memory and wake-up descriptors
 *   port_finish()    a number; each ring joins its worker
 *   binding_add()    a 3-tuple, with the placeholder that reserves it
 *   port_close()     all of it goes; its comment argues why nothing can still refer to it
 *
 * Waking the application. The RX eventfd of a ring is made with a count of 1 and is woken by writing
 * 0: for an edge-triggered epoll each write is an edge, whatever is written, and a write of 0 is the
 * only one that can never block. The application shares the open file, so it could take O_NONBLOCK
 * off and fill the counter: a write of 1 would then hang the switch (hostile.md, P10). */
#ifndef MULTISTACK_SWITCH_PORT_H
#define MULTISTACK_SWITCH_PORT_H

#include <sys/types.h>

#include "control_protocol.h"
#include "misuse.h"
#include "rate_limit.h"
#include "ring.h"
#include "stats.h"
#include "tuple.h"

#define PORT_MEMORY_MAX    (256ULL << 20) /* bytes of one port's region */
#define SWITCH_MEMORY_MAX  (4ULL << 30)   /* of all together */
#define BINDING_NONE       UINT32_MAX
#define PORT_ICMP_INTERVAL 5000000ULL /* ns between the ICMP errors made for one port … */
#define PORT_ICMP_BURST    50         /* … after so many at once */

struct capture;
struct next_hop;
struct port;
struct worker;

/* What a ring's last packet said and what followed from it (sent_flow.h). */
struct sent_flow {
    uint64_t words[3];      /* headers, as far as they are the same in each packet */
    uint64_t local, remote; /* IPv4 addresses, as struct tuple has them */
    uint32_t names_version; /* of the namespace then: the port was the owner of the source */
    bool known;
};

/* A queue pair, served by one worker: ring r of port p by worker (r + p) modulo their number. */
struct port_ring {
    /* packets in */
    struct ring_producer rx;
    struct port *port;
    struct port_ring *touched_next; /* in the worker's list of rings to publish */
    uint32_t batch_packets,
        batch_bytes; /* of this batch, written or to be; `traffic` has those before */
    bool far;        /* its owner runs on another processor than the worker, as far as it says */
    bool deferred;   /* its owner sleeps, and is woken at due_ns at the latest: moderation.h */
    uint64_t due_ns;
    uint64_t told_packets; /* of traffic.rx_packets, when the owner was awake last */
    struct port_ring *deferred_next, *deferred_previous;
    uint8_t index;
    /* packets out */
    bool active;  /* in the worker's round; otherwise the application will wake us */
    bool served;  /* in the worker's list of them */
    bool refers;  /* frames may refer to records of this round, so it does not have them back yet */
    bool in_turn; /* its turn was interrupted, and goes on */
    bool interrupted; /* by a full NIC, in this round */
    bool limited;     /* in the packets or bytes that it may send: `limit` */
    bool held;        /* out of the round until held_until_ns, for having sent all of that */
    int32_t credit;   /* bytes that it may send in its turn; below 0: owed (forward_tx.c) */
    uint32_t idle_rounds;
    struct ring_consumer tx;
    struct port_ring *served_next; /* in the worker's list of rings that were given room */
    struct next_hop *hop;          /* of the last packet; matched before it is used */
    struct tuple source;           /* was this port's when the namespace had source_version */
    uint32_t source_version;
    bool source_varies; /* it was another one's turn lately: look-ups are worth asking ahead for */
    bool captured;      /* somebody looks at what passes it (capture.h) */
    struct sent_flow flow;
    struct worker *worker; /* who serves it: the only one to touch what stands above and below */
    int rx_fd;             /* woken by us: packets, or room in the TX ring */
    int tx_fd;             /* woken by the application: packets */
    struct traffic_counters traffic;
    struct drop_counters drops;
    struct rate_limit limit; /* its share of the port's */
    uint64_t held_until_ns;
    uint64_t tx_limited; /* times that it was held with something to send */
} __attribute__((aligned(64)));

struct binding {
    struct tuple tuple;
    struct port *port; /* NULL: the slot is free */
    int placeholder_fd;
    uint32_t number;
    uint8_t ring;            /* as in struct owner */
    uint16_t port_count;     /* more than 1: of a range (range.h), from the tuple's port on */
    uint32_t next, previous; /* slots: of the port's list, or of the free ones */
    /* with others that have the same 3-tuple: sharing.h */
    uint8_t state;   /* enum member_state */
    uint8_t notices; /* SHARING_TELL_* */
    bool notices_listed;
    bool shared;    /* others may join */
    bool successor; /* its BIND is not answered yet */
    bool asked;     /* was told that a successor is there */
    bool away_told; /* its owner knows it as suspended (suspension.h) */
    uint32_t next_notice;
    uint32_t request;          /* of that BIND */
    uint32_t epoch;            /* successor: its number; drained: its successor's */
    uint32_t members_told;     /* CONTROL_EVENT_MEMBERS */
    uint32_t expected_members; /* what it had at the switch before this one */
    uint32_t expected_connected;
    uint32_t connected_count;
    uint32_t guard_rules;   /* that it has (guard_rules.h) */
    uint64_t cookie;        /* of its placeholder */
    uint64_t deadline_ns;   /* successor: others had their time; otherwise: no more waiting for the
                            * expected; 0: none */
    uint64_t open_until_ns; /* its placeholder lets others in until then; 0: it does not */
};

struct port {
    uint32_t ring_count;
    bool merged_rx;
    bool inspected; /* its process takes CONTROL_EVENT_INSPECT */
    uint8_t detach; /* enum detach_reason: set on the data path, the control half acts on it */
    uint32_t number;
    uint32_t slot;        /* in the table of ports */
    uint64_t icmp_due_ns; /* virtual time of the last ICMP error made for it */
    struct misuse misuse;
    uint64_t inspections_until_ns; /* end of the time in which they are counted */
    uint32_t inspections;
    struct capture *capture; /* it receives copies, and binds nothing; NULL: an ordinary port */
    /* for people, and for taking it apart */
    char name[CONTROL_NAME_SIZE];
    pid_t pid;
    uid_t uid;
    uint64_t opened_ns;
    uint32_t rx_size, tx_size;
    int memory_fd;
    uint8_t *region;
    uint64_t region_size;
    uint64_t huge_bytes; /* of the region, in huge pages as far as the kernel tells */
    uint32_t first_binding;
    uint32_t binding_count;
    uint32_t connected_count; /* connected bindings of all its bindings */
    uint32_t guard_rules;     /* of all its bindings */
    /* while its memory is being made or taken apart (memory_thread.h) */
    struct port *next;
    bool ending;
    int status;                         /* of port_make() */
    uint32_t opener, opener_generation; /* the connection that waits for it … */
    uint32_t request;                   /* … and what it called its request */
    struct port_ring rings[];
};

struct port_table {
    struct port **slots;
    uint32_t capacity;
    uint32_t count;
    uint32_t opening; /* begun and not finished */
    uint32_t next_number;
    uint64_t memory; /* bytes of all regions, with those that are being made */
    struct binding *bindings;
    uint32_t bindings_made; /* slots that were ever used */
    uint32_t binding_count;
    uint32_t free_binding;
    uint32_t first_notice; /* of the bindings with something to be told */
    uint32_t handovers;    /* so far: what `epoch` counts */
    uint64_t deadline_ns;  /* the first of all bindings'; UINT64_MAX: none */
};

struct switch_core;

int port_table_init(struct port_table *table, uint32_t capacity);
void port_table_dispose(struct port_table *table); /* every port is closed before */

struct port_request {
    char name[CONTROL_NAME_SIZE];
    uint32_t ring_count;
    uint32_t rx_size, tx_size; /* powers of two within the limits of port_layout.h */
    bool inspected;
    bool merged_rx;
    pid_t pid;
    uid_t uid;
};

/* The three steps of opening one. 0, -ENOSPC (ports or memory), -ENOMEM, or another negative errno.
 * port_begin(): is it allowed, and then it counts. port_make(): any thread; whatever it says,
 * port_finish() or port_free() follows. port_finish(): when it fails, nothing is left behind. */
int port_begin(struct switch_core *core, const struct port_request *request, struct port **port);
int port_make(struct port *port);
int port_finish(struct switch_core *core, struct port *port);
/* All of them at once, on the caller's thread. */
int port_open(struct switch_core *core, const struct port_request *request, struct port **port);
void port_close(struct switch_core *core, struct port *port);
/* The last of a port that was closed, when no worker refers to it, or that was never finished. */
void port_free(struct switch_core *core, struct port *port);
/* What port_free() leaves to the memory thread. */
void port_unmake(struct port *port);

/* What a binding is to be to others with the same 3-tuple; all zero: the only one. */
struct binding_terms {
    uint64_t cookie; /* of the placeholder */
    bool shared;
    bool takeover;
    bool draining;
    uint16_t port_count;       /* of a range; otherwise 0 */
    uint8_t ring;              /* as in struct owner, and one that the port has */
    uint32_t request;          /* takeover: of the BIND that is to be answered */
    uint32_t expected_members; /* see struct control_bind */
    uint32_t expected_connected;
};

/* Enters a binding whose placeholder was verified, or a range that the keeper holds. Takes `placeholder_fd` over on success. 0,
 * -EADDRINUSE, -EBUSY (a hand-over is under way), -ENOSPC, -ENOMEM, or what bpf(2) said. */
int binding_add(struct switch_core *core, struct port *port, const struct tuple *tuple,
                int placeholder_fd, const struct binding_terms *terms, uint32_t *number);
/* NULL: it is not one of this port's. */
struct binding *binding_find(struct port_table *table, const struct port *port, uint32_t number);
/* -ENOENT: it is not one of this port's. */
int binding_remove(struct switch_core *core, struct port *port, uint32_t number);
/* As binding_remove(), of a binding that is known to be one. */
void binding_close(struct switch_core *core, struct binding *binding);

/* The first reason counts. The port stops at once; control_reap() closes it. */
static inline void port_break(struct port *port, enum detach_reason reason)
{
    uint8_t none = DETACH_NONE;

    __atomic_compare_exchange_n(&port->detach, &none, (uint8_t)reason, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

static inline enum detach_reason port_broken(const struct port *port)
{
    return (enum detach_reason)__atomic_load_n(&port->detach, __ATOMIC_RELAXED);
}

/* Wakes whoever polls the ring's RX descriptor. Never blocks. */
void port_ring_wake(const struct port_ring *ring);

#endif
