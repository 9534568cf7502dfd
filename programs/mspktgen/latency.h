/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a packet takes round: from a port through the switch to the far end of a wire, and back.
 * One lane has both ends (its first outlet is the port's, its first inlet the wire's), and one packet
 * is under way at a time.
 *
 *   clock ─► port ─► switch ─► wire ─► the same packet with its ends exchanged
 *   clock ◄─ port ◄─ switch ◄─ wire ◄──┘
 *
 * What is recorded is the time between the two readings of the clock: twice through the switch, and
 * our own work at both ends, but not the check of what came back. A lane that sleeps waits on the
 * descriptors of both ends, so a round trip is four wake-ups: the switch's, ours, and again. */
#ifndef MULTISTACK_LATENCY_H
#define MULTISTACK_LATENCY_H

/* In place of lane_run(), for a lane with `round_trips`: until *stop, or until as many packets as its
 * `count` were sent; what is under way then is still waited for. */
void *latency_run(void *lane);

#endif
