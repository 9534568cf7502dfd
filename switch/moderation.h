/* SPDX-License-Identifier: BSD-2-Clause */
/* Moderated wake-ups: a port may ask, ring by ring, to be woken only after so many packets or so many
 * microseconds, whichever comes first (ms_ring_moderate()). It costs that much latency, and spares it and
 * the switch a wake-up for each packet.
 *
 * The consumer writes the two numbers beside its consumer_sleeps (port_layout.h) and may change them at
 * any time. When something is published for one that sleeps, the worker either wakes it or puts the ring
 * on its list with the time at which the wait is over. The flag stays up meanwhile, so nobody's order of
 * steps changes: the consumer sets its flag, fences, looks at `tail`; the worker publishes, fences, looks
 * at the flag. Whatever was published before the consumer looked, it sees; what comes later finds the flag
 * up, and the ring on the list with it, or woken. A ring leaves the list only when it is woken, when its
 * time is over and the flag is down (its consumer is awake and will look again before it sleeps), or
 * when it has nothing unread. So no wake-up is lost, and none comes later than the delay, by the worker's
 * clock, after the first packet that waits for it.
 *
 * No system call for a ring that waits: the worker's own sleep ends in time (moderation_due()). */
#ifndef MULTISTACK_SWITCH_MODERATION_H
#define MULTISTACK_SWITCH_MODERATION_H

#include "worker.h"

/* For a ring of which something was published just now, with a fence behind it: wakes its owner, or has
 * him wait. */
void moderation_published(struct worker *worker, struct port_ring *ring);

/* Wakes those whose time has come. */
void moderation_run(struct worker *worker);

/* When moderation_run() is due next; UINT64_MAX: nobody waits. It may have less to do than it seems. */
static inline uint64_t moderation_due(const struct worker *worker)
{
    return worker->deferred ? worker->deferred_due_ns : UINT64_MAX;
}

/* The ring goes away. */
void moderation_leave(struct worker *worker, struct port_ring *ring);

#endif
