/* SPDX-License-Identifier: BSD-2-Clause */
/* The `wire` driver, the switch's half: frames through memory that is shared with the other end of a
 * link (common/wire_link.h). The keeper finds the other end and hands the memory over, each time
 * that it comes (keeper_wire.c). */
#ifndef MULTISTACK_NIC_WIRE_DRIVER_H
#define MULTISTACK_NIC_WIRE_DRIVER_H

#include "channel.h"
#include "nic.h"
#include "nic/wire_impair.h"
#include "wire_meeting.h"

extern const struct nic_ops wire_ops;          /* a perfect wire */
extern const struct nic_ops wire_impaired_ops; /* one that loses, delays … what it is given */

/* Makes a queue that has no link yet. Sets queue->ops. 0 or a negative errno. */
int wire_open(struct nic_queue *queue, const struct impairment *impairment);

/* The link of a queue is up: from its owner's next round on frames go there. Any thread, while no worker
 * runs: what the NIC can (frame_max, capabilities) is what both ends agreed on this time. Takes all
 * descriptors over (CHANNEL_WIRE_LINK's), in any case. 0 or a negative errno. */
int wire_set_link(struct nic_queue *queue, const struct channel_wire_link *message,
                  const int fds[CHANNEL_WIRE_LINK_FDS]);

/* Whether the other end broke the rules since the last link; once true, the link is not used. */
bool wire_is_broken(const struct nic_queue *queue);

#endif
