/* SPDX-License-Identifier: BSD-2-Clause */
/* Captures: copies of what passes a NIC or a port, for `multistack capture`.
 *
 *      NIC ──► worker ──► port                        multistack capture
 *                │ copy, cut at the snap length            ▲  filter, pcapng
 *                └────────► ring of that worker ───────────┘  (common/capture_format.h)
 *
 * A capture is a port that binds nothing, with one ring for each worker, and all that is true of ports is
 * true of it: how its memory is made and freed, that it ends with its connection, that whoever writes
 * nonsense into it is cut off, that a full ring loses its own packets and holds nobody up. Filters run in
 * the capturing process: the switch runs no program of anybody's, and what a filter costs, its owner pays.
 *
 * Cost without a capture: a look at worker->tap_count in a batch, and one at ring->captured in a ring's
 * turn. A NIC costs nothing at all: while somebody looks at it, other operations stand in its queue, which
 * copy and then call the driver's.
 *
 * What is seen. Of a NIC: what the mux claimed, and what stacks send; the host's own traffic is
 * tcpdump(1)'s to show. Of a port: what was put into its rings, and what its stack put there, also where
 * the switch then drops it, and as it stands there when it has been served (a stack that changes it
 * meanwhile deceives the observer, not the switch; the NIC has what was sent). */
#ifndef MULTISTACK_SWITCH_CAPTURE_H
#define MULTISTACK_SWITCH_CAPTURE_H

#include "channel.h"
#include "control_protocol.h"
#include "nic.h"

#define CAPTURE_SOURCES_MAX 32 /* of one capture; a power of two */
#define CAPTURE_TAPS_MAX    64 /* sources of all captures */

struct change;
struct connection;
struct port;
struct port_ring;
struct switch_core;
struct worker;

/* Written by one worker each, and read by the first. */
struct capture_counters {
    uint64_t captured, dropped;
    uint64_t pad[6]; /* a cache line for each */
};

struct capture_source {
    uint32_t kind; /* CONTROL_CAPTURE_* */
    uint32_t id;
    char name[CONTROL_NAME_SIZE];
    struct port *target; /* NULL: a NIC, or a port that is gone */
    struct capture_counters counters[CHANNEL_WORKERS_MAX];
};

/* Of a port that captures. The first worker's, but for the counters. */
struct capture {
    uint32_t snap;
    uint32_t source_count;
    struct capture_source sources[CAPTURE_SOURCES_MAX];
};

/* A source, as a worker sees it. */
struct capture_tap {
    struct port_ring *to; /* this worker's ring of the capture */
    struct capture_counters *counters;
    struct port *target; /* NULL: a NIC */
    uint32_t nic;
    uint32_t snap;
    uint16_t source;
};

/* What stands in a queue's place of operations while its NIC is looked at. */
struct capture_nic {
    struct nic_ops ops;          /* the queue's are these: so it is found from them */
    const struct nic_ops *inner; /* the driver's; NULL: not looked at */
    struct worker *worker;
    const uint8_t *reserved; /* the frame that will be committed next */
};

/* ── control ── */

/* CONTROL_CAPTURE of a connection with a port. 0, or an error of struct control_capture. */
int capture_begin(struct switch_core *core, const struct connection *connection,
                  const struct control_capture *wish, uint32_t *source);
/* A port closes: one that captures, or was captured, whose captures are then told. */
void capture_port_gone(struct switch_core *core, const struct port *port);
void capture_describe(const struct port *port, uint32_t source,
                      struct control_capture_record *record);

/* ── each worker, between two rounds ── */

/* CHANGE_CAPTURE */
void capture_attach(struct worker *worker, const struct change *change);
/* The port is leaving: nobody looks at it any more, nor does it at anything. */
void capture_detach(struct worker *worker, const struct port *port);

/* ── data path ── */

/* Out of the way of the packets of others: inlined, they would take the compiler's registers. */

/* What was put into rings that are looked at, before it is published. Returns the new worker->touched: the
 * captures' rings have come into that list. */
__attribute__((cold, noinline)) struct port_ring *capture_received(struct worker *worker);
/* What was taken out of the ring, since its head stood at `before`. */
__attribute__((cold, noinline)) void capture_sent(struct worker *worker, struct port_ring *ring,
                                                  uint32_t before);

#endif
