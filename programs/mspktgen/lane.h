/* SPDX-License-Identifier: BSD-2-Clause */
/* The threads of mspktgen. A lane is one thread with the ends that it serves: outlets, where packets
 * are made, and inlets, where they are counted. An end is one ring of a port, or one queue of a wire,
 * and belongs to one lane alone.
 *
 *   lane_run:   a burst into some outlets ─► what has come from some inlets ─► again, with the next
 *                 nothing done: poll for a while, then sleep until an end has something to do
 *
 * A lane writes its counters, others read them while it runs. */
#ifndef MULTISTACK_MSPKTGEN_LANE_H
#define MULTISTACK_MSPKTGEN_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "multistack.h"
#include "packet.h"
#include "wire_meeting.h"

/* One end: of a port, or of a wire (port is NULL). */
struct end {
    struct ms_port *port;
    unsigned ring;
    struct wire_half *half;
    int own_wake, peer_wake; /* of a wire */
    int fd;                  /* readable when there is something to do */
    bool asleep;             /* of a wire: asked to be woken */
};

struct outlet {
    struct end end;
    const struct packet_template *template;
    struct flow *flows;
    uint32_t flow_count, flow; /* how many, and whose turn it is */
    uint32_t turn;             /* packets that are left of it */
    uint32_t burst;            /* packets of a turn */
    uint16_t id;
};

struct inlet {
    struct end end;
};

/* What a lane has done; never goes back. */
struct lane_counters {
    uint64_t sent, sent_bytes; /* bytes of frames, with their check sequence */
    uint64_t received, received_bytes;
    uint64_t bad; /* did not verify */
    uint64_t lost, late;
    uint64_t send_ns, receive_ns; /* spent on it, by the clock */
    uint64_t sleeps;
};

struct lane {
    struct outlet *outlets;
    struct inlet *inlets;
    uint32_t outlet_count, inlet_count;
    uint32_t next_outlet, next_inlet;     /* where the next round begins */
    uint32_t quiet_outlets, quiet_inlets; /* looked at in a row that had nothing to do */
    uint64_t rate;    /* packets per second of all outlets; 0: as fast as it goes */
    uint64_t count;   /* packets to send; 0: without end */
    uint64_t poll_ns; /* before it sleeps; UINT64_MAX: never */
    int cpu;          /* where to run; -1: anywhere */
    bool verify;
    const bool *stop; /* set by another thread */
    int epoll_fd;
    struct tracker tracker;
    struct lane_counters counters;
    /* of latency_run() alone */
    struct histogram *round_trips; /* the lane's, for free() */
    uint32_t first_sequence;       /* of a packet that is recorded */
    bool broken;                   /* the other end of a wire broke the rules; lane_break() */
} __attribute__((aligned(128)));

uint64_t lane_clock(void); /* CLOCK_MONOTONIC, ns */

/* Of one of lane_counters: read by others while it grows. */
static inline void lane_count(uint64_t *counter, uint64_t more)
{
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

/* The main thread looks at it while the lane runs. */
static inline void lane_break(struct lane *lane)
{
    __atomic_store_n(&lane->broken, true, __ATOMIC_RELAXED);
}

/* Asks the end to wake us. False: it has something to do already. */
bool end_sleeps(struct end *end, bool receives, uint32_t for_room);

void lane_pin(const struct lane *lane); /* the calling thread, to the lane's processor */

/* 0 or a negative errno. */
int lane_init(struct lane *lane);
void lane_dispose(struct lane *lane);
/* Until *stop, or until all packets are sent and there is no inlet. A pthread's function: `lane` is
 * a struct lane *. */
void *lane_run(void *lane);

#endif
