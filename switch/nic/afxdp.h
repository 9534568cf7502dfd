/* SPDX-License-Identifier: BSD-2-Clause */
/* The `afxdp` driver, the switch's half: frames through an AF_XDP socket that the keeper opened and
 * bound (switch/xsk_open.h). */
#ifndef MULTISTACK_NIC_AFXDP_H
#define MULTISTACK_NIC_AFXDP_H

#include "channel.h"
#include "nic.h"

extern const struct nic_ops afxdp_ops;

/* Maps the socket's rings and the packet memory, and gives the NIC its chunks. Takes both
 * descriptors over, in any case. Sets nic->frame_max. 0 or a negative errno. */
int afxdp_open(struct nic_queue *queue, const struct channel_queue *message, int xsk_fd,
               int umem_fd);

#endif
