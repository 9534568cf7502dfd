/* SPDX-License-Identifier: BSD-2-Clause */
/* The NIC driver "packet": any device of the kernel's, through packet sockets (packet(7)) that the
 * keeper has opened and filtered (tap.bpf.c): a queue for each worker, among which the kernel spreads flows. */
#ifndef MULTISTACK_NIC_PACKET_DRIVER_H
#define MULTISTACK_NIC_PACKET_DRIVER_H

#include "nic.h"

extern const struct nic_ops packet_ops;

/* Makes `queue` one of the driver's. Takes over the descriptor, also when it fails. 0 or -ENOMEM. */
int packet_open(struct nic_queue *queue, int fd);

/* What one read of the socket gave: a header of PACKET_HEADER_SIZE bytes (struct virtio_net_hdr) and
 * the frame behind it. False: it is not one that a stack could be given. */
#define PACKET_HEADER_SIZE 10
bool packet_take_frame(const uint8_t *bytes, uint32_t length, struct nic_frame *frame);

#endif
