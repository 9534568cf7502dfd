/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker: one thread's share of the switch. It owns NIC queues and rings of ports, and shares
 * neither, so the data path has no locks (design.md, D5). The first one runs in the main thread and
 * also serves the control socket and the channel; each other has a thread (crew.h). What a packet
 * needs of another worker, a ring or a queue of a NIC, it gets by being handed over (handover.h).
 *
 * The loop (worker.c):
 *
 *      ┌─► changes, what others handed over
 *      │
 *      ├─► receive from each NIC queue ─► serve each active ring ─► flush NICs, publish rings ─┐
 *      │                                                                                       │
 *      │        now and then: descriptors (control, channel, wake-ups), housekeeping           │
 *      │                                                                                       │
 *      └── work was done, or to go on looking pays (adaptive_poll.h) ◄─────────────────────────┤
 *                                                                                              │
 *          park every ring (consumer_sleeps), ask every NIC, ppoll ◄────── nothing to do ──────┘
 *
 * Descriptors are in an epoll set, but for those of AF_XDP sockets: as long as a socket is in one, the kernel
 * goes through the set's locks for every frame that it receives or has sent, though nobody sleeps. So they
 * are waited for beside the set, by ppoll(2), which puts them on the list of waiters for the time of the sleep.
 *
 * A ring is active or parked. Active: looked at each round. Parked: its consumer_sleeps flag is up
 * and its TX eventfd is in the epoll set, edge-triggered and never read; the scan does not see it,
 * so idle ports cost nothing. A ring without packets for RING_IDLE_ROUNDS rounds is parked even
 * while others are busy; while nobody is, and the worker polls, rings stay: they are what it looks at.
 * A ring that has sent all that its rate allows (rate_limit.h) is neither: it is held, and nobody looks
 * at it or is woken for it until it may send again. */
#ifndef MULTISTACK_SWITCH_WORKER_H
#define MULTISTACK_SWITCH_WORKER_H

#include <poll.h>
#include <pthread.h>

#include "adaptive_poll.h"
#include "capture.h"
#include "fragments.h"
#include "guard_maps.h"
#include "namespace.h"
#include "next_hop.h"
#include "nic.h"
#include "parking.h"
#include "port.h"

#define WORKER_QUEUES_MAX   256
#define WORKER_COPIES_MAX   64
#define RING_IDLE_ROUNDS    64
#define WORKER_RELAYS_MAX   (17 * CHANNEL_WORKERS_MAX) /* from each worker for each NIC */
#define RING_QUANTUM        8192 /* bytes on the wire that a ring may send in a turn */
#define ROUND_BUDGET        4096 /* packets sent before the NICs are looked at again */
#define ROUND_ENOUGH        64   /* packets for which another turn for each is no more worth it */
#define RINGS_BESIDE        16   /* rings looked at in a round while a NIC holds a turn up */
#define ROUND_PASSES        32   /* turns of each ring before the NICs are looked at again */
#define WORKER_HEAD_SIZE    112  /* the longest headers that a stack may send, and some */
#define WORKER_SCRATCH_SIZE (66 * 1024) /* the longest IP packet, with an Ethernet header */

/* What an epoll event is about: kept in its 64 bits of data, and never a pointer, so that an event
 * that was fetched before its object went away cannot reach it. */
enum event_kind {
    EVENT_CHANNEL,
    EVENT_LISTENER,
    EVENT_CONNECTION, /* index, generation */
    EVENT_RING,       /* index: slot of the port; generation: its number; ring */
    EVENT_GROUPS,
    EVENT_NIC,    /* index: of the worker's queue */
    EVENT_MEMORY, /* ports whose memory is made */
    EVENT_BELL,   /* another worker has something for this one */
};

struct event_tag {
    uint8_t kind;
    uint8_t ring;
    uint16_t index;
    uint32_t generation;
};
static_assert(sizeof(struct event_tag) == 8, "fits epoll_event.data");

/* A record that has its place in a ring and has yet to be written (deliver.c). */
struct packet_copy {
    uint8_t *to;
    const uint8_t *from;
    uint64_t header[2]; /* of the record (ring_header_words()) */
    uint32_t length;
    bool stream; /* past the cache */
    struct port_ring *ring;
};

/* The same of a packet in two pieces: as long frames come from a wire, their headers copied and the rest still where
 * it was sent from. */
struct packet_copy_in_two {
    uint8_t *to;
    const uint8_t *head, *rest;
    uint64_t header[2];
    uint32_t head_length, rest_length;
    struct port_ring *ring;
};

struct worker_queue {
    struct nic_queue *queue;
    uint32_t room;           /* frames that it may still be given in this round */
    uint64_t stuck_since_ns; /* a ring waits, and the NIC has taken nothing since; 0: not so */
    bool interrupted;        /* a ring's turn, for want of room, in this round */
    bool refers;  /* frames refer to memory of rings: settle() before those have it back */
    bool watched; /* its fd is in the epoll set, or among `sleepers` */
    struct drop_counters drops;
    struct guard_counts refused; /* by the switch's own guard (guard_judge.h) */
    struct capture_nic capture;  /* in use while a capture looks at the NIC */
};

struct change_entry;
struct guard_judge;
struct lane;
struct relay;

struct worker {
    struct switch_core *core;
    uint32_t index;
    int epoll_fd;
    uint64_t now_ns;              /* CLOCK_MONOTONIC, once per round */
    struct namespace_table names; /* its own copy; changes come by change.h */
    struct worker_queue queues[WORKER_QUEUES_MAX];
    uint32_t queue_count;
    /* What it sleeps on: the epoll set, and queues on which waiting costs (nic.h), by their numbers. */
    struct pollfd sleepers[1 + WORKER_QUEUES_MAX];
    uint16_t sleeper_queues[1 + WORKER_QUEUES_MAX];
    uint32_t sleeper_count;
    struct port **ports; /* by slot: those that it knows of */
    struct port_ring **active;
    uint32_t active_count, active_capacity;
    uint32_t active_first;   /* whose turn comes first */
    uint32_t beside_first;   /* … and of the others, while a full NIC holds that one up */
    struct port_ring **held; /* by their rates, not active */
    uint32_t held_count;
    uint64_t held_until_ns; /* of the first of them */
    uint32_t ring_count;    /* of all ports of this worker */
    struct packet_copy copies[WORKER_COPIES_MAX];
    uint32_t copy_count;
    struct packet_copy_in_two copies_in_two[NIC_BATCH];
    uint32_t copy_in_two_count;
    uint32_t cpu;               /* it runs on, counted from 1; 0: not known yet */
    bool streamed;              /* past the cache: stream_fence() before anything is shown */
    struct port_ring *touched;  /* received something in this batch */
    struct port_ring *deferred; /* whose owners are to be woken later (moderation.h) */
    uint64_t deferred_due_ns;   /* not later than the first of them */
    struct port_ring *served;   /* sent something in this round */
    struct capture_tap taps[CAPTURE_TAPS_MAX];
    uint32_t tap_count;        /* 0 nearly always: then captures cost a look at this */
    struct guard_judge *judge; /* NULL: it judges nothing */
    bool broken;               /* some port was broken in this round */
    bool tx_pending;           /* a NIC has not taken everything, or a ring waits for one */
    struct next_hops hops;
    struct parking parking;
    struct fragments fragments;
    _Alignas(16) uint8_t head[WORKER_HEAD_SIZE]; /* headers of the packet that is being sent */
    uint8_t *scratch;                            /* WORKER_SCRATCH_SIZE */
    uint8_t *scratch_cut;
    uint64_t polled_ns, housekept_ns;
    struct adaptive_poll poll;
    bool idle; /* nothing to do in the last round */
    /* with other workers (crew.h, handover.h) */
    pthread_t thread;
    bool has_thread;
    int bell_fd;                 /* worker_wake() */
    uint32_t asleep;             /* 1: ring the bell. Written by all */
    uint64_t beat_ns;            /* when it last went round; read by the first */
    struct change_entry *change; /* of the log, applied last */
    uint64_t changes_applied;    /* its number; read by the first */
    struct lane *lanes_out[CHANNEL_WORKERS_MAX], *lanes_in[CHANNEL_WORKERS_MAX];
    struct relay *relays_in[WORKER_RELAYS_MAX];
    uint32_t lane_count, relay_count; /* coming in */
    bool lanes_dirty;
    uint64_t handed_over, handed_over_late; /* packets and fragments to others; from others, for
                                             * ports gone */
    uint64_t sleeps;                        /* times that it found nothing to do */
};

int worker_init(struct worker *worker, struct switch_core *core, uint32_t index);
void worker_dispose(struct worker *worker);

/* Watches the ring's TX eventfd; any thread may call it. 0 or a negative errno. */
int worker_watch_ring(struct worker *worker, struct port_ring *ring);
/* The port exists from now on; those of its rings that are this worker's begin with a look at
 * them. */
void worker_join(struct worker *worker, struct port *port);
/* The worker forgets the port and its rings entirely. */
void worker_leave(struct worker *worker, struct port *port);

/* Whoever has just published something for the worker (with a fence behind it) wakes it if it
 * sleeps; any thread. */
void worker_ring(const struct worker *worker);
static inline void worker_wake(struct worker *worker)
{
    if (ring_flag_take(&worker->asleep))
        worker_ring(worker);
}

/* Stays on the processor that --cpus names for it. */
void worker_pin(const struct worker *worker);

/* Its queue of a NIC, be it only a relay to another worker's (handover.h). NULL: there is none. */
static inline struct worker_queue *worker_queue_of(struct worker *worker, uint32_t nic)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        if (worker->queues[i].queue->nic->index == nic)
            return &worker->queues[i];
    }
    return NULL;
}

void worker_add_queue(struct worker *worker, struct nic_queue *queue);
int worker_watch(struct worker *worker, int fd, uint32_t events, struct event_tag tag);
/* Other events than those it was watched for so far. */
int worker_rewatch(struct worker *worker, int fd, uint32_t events, struct event_tag tag);
void worker_unwatch(struct worker *worker, int fd);

/* A parked ring joins the round. */
void worker_activate(struct worker *worker, struct port_ring *ring);

/* An active ring, which its caller takes out of the round, waits until `until_ns`; worker_unhold() lets
 * those go on whose time has come. */
void worker_hold(struct worker *worker, struct port_ring *ring, uint64_t until_ns);
void worker_unhold(struct worker *worker);

/* One round: true when it found work. */
bool worker_round(struct worker *worker);
/* Until core->stop. */
void worker_run(struct worker *worker);

#endif
