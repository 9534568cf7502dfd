/* SPDX-License-Identifier: BSD-2-Clause */
/* The `afxdp` driver, the switch's half: frames through an AF_XDP socket that the keeper opened and
 * bound (switch/xsk_open.h). */
#ifndef MULTISTACK_NIC_AFXDP_H
#define MULTISTACK_NIC_AFXDP_H

#include "channel.h"
#include "nic.h"

extern const struct nic_ops afxdp_ops;

struct afxdp_descriptors {
    int xsk;   /* AF_XDP socket */
    int umem;  /* its packet memory */
    int large; /* packet socket for large sends (large_send.h); -1: none */
};

/* Maps the socket's rings and the packet memory, and gives the NIC its chunks. Takes the
 * descriptors over, in any case. Sets nic->frame_max, large_min and capabilities, from the first
 * queue on. 0 or a negative errno. */
int afxdp_open(struct nic_queue *queue, const struct channel_queue *message,
               const struct afxdp_descriptors *descriptors);

/* Whether the frames of a queue whose socket prefers busy polling belong to a NAPI: told once, when some have
 * come. Without one it is given up. For any thread. */
enum afxdp_napi { AFXDP_NAPI_NOTHING_NEW, AFXDP_NAPI_NONE, AFXDP_NAPI_FOUND };
enum afxdp_napi afxdp_look_for_napi(struct nic_queue *queue);

#endif
