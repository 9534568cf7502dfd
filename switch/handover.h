/* SPDX-License-Identifier: BSD-2-Clause */
/* From worker to worker: what one has received and another's ring is to get, and what one has to
 * send by a NIC of which only another has a queue.
 *
 *   lane    from each worker to each other one: packets for rings of ports, and fragments of
 *           datagrams that the other puts together (fragments.h). A packet names its port by slot and
 *           number, so a port that has gone is not found, and nothing in a lane keeps one alive.
 *   relay   from each worker to a queue of each NIC of which it has none: finished frames. To the
 *           sender it is a nic_queue like any other, so a relay that is full holds rings back as a
 *           full NIC does; a NIC that is full leaves the frames in the relay.
 *
 * Both are byte rings (ring.h) with a single producer and a single consumer in memory that nobody
 * but the switch has: what comes out is as it was put in. A lane that is full drops
 * (rx_handover_full), for a receiver's ring that is full does so too. A worker publishes once for a
 * batch, and wakes the other where it sleeps (worker_wake()). */
#ifndef MULTISTACK_SWITCH_HANDOVER_H
#define MULTISTACK_SWITCH_HANDOVER_H

#include "forward.h"

struct switch_core;

/* Lanes and relays for all workers, once each has its queues. 0 or -ENOMEM; handover_dispose() takes
 * away what was made. */
int handover_init(struct switch_core *core);
void handover_dispose(struct switch_core *core);

/* Puts a packet into the lane to its ring's worker. DROP_NONE or DROP_RX_HANDOVER_FULL. */
enum drop_reason handover_packet(struct worker *worker, const struct port_ring *ring,
                                 const struct delivery *delivery);
/* Puts a fragment, an IP packet of `length` bytes behind the frame's Ethernet header, into the lane to
 * the worker of that index; forward_fragment() is called there. Errors as handover_packet(). */
enum drop_reason handover_fragment(struct worker *worker, uint32_t to, uint32_t nic,
                                   const struct nic_frame *frame, uint32_t length, uint16_t flags);
/* Publishes what these two put into lanes. */
void handover_publish(struct worker *worker);

/* Takes what others handed over: packets into rings, frames to NICs. Returns how many. */
uint32_t handover_take(struct worker *worker);
/* Whether there is something to take; for one who is about to sleep. */
bool handover_waits(const struct worker *worker);
/* Whether some NIC has not taken what others gave for it. */
bool handover_is_stuck(const struct worker *worker);
/* The queue of a NIC that a relay leads to; of any other queue, itself. */
const struct nic_queue *handover_queue(const struct nic_queue *queue);

#endif
