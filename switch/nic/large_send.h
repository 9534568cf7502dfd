/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending what is too long for AF_XDP (afxdp.c): a packet socket beside it (packet(7), PACKET_VNET_HDR),
 * bound to the same device by the keeper, receiving nothing. The device, or else the kernel, cuts each
 * frame at its segment size and fills in the checksums; on a veth it arrives whole. It goes through
 * the device's queueing discipline, as the host's own traffic does.
 *
 * A frame lies in one of a few private buffers until sendmmsg(2) has copied it, or its payload elsewhere
 * until large_send_settle(). What the kernel does
 * not take now (its buffer or the device's queue is full) stays, in order, and goes the next time, up
 * to LARGE_PATIENCE_NS; what it will never take (the device is down or away, or its MTU has shrunk)
 * is dropped and counted. */
#ifndef MULTISTACK_NIC_LARGE_SEND_H
#define MULTISTACK_NIC_LARGE_SEND_H

#include "nic.h"

#define LARGE_FRAME_MAX   (14 + 65535) /* Ethernet header, longest IP packet */
#define LARGE_PATIENCE_NS 100000000ULL

struct large_send; /* opaque; one for each queue that has the socket */

/* Takes over `fd`, also when it fails. 0 or -ENOMEM. */
int large_send_open(struct large_send **large, int fd);
void large_send_close(struct large_send *large);

/* A buffer of LARGE_FRAME_MAX bytes, the same until it is committed; NULL: all wait to be sent. */
uint8_t *large_send_reserve(struct large_send *large);
/* `offload`: NULL, or what remains to be done. */
void large_send_commit(struct large_send *large, uint32_t length,
                       const struct nic_offload *offload);
/* Of a frame of which `head` bytes are in the buffer, and `rest_length` more at `rest` until
 * large_send_settle(). */
void large_send_commit_referring(struct large_send *large, uint32_t head, const uint8_t *rest,
                                 uint32_t rest_length, const struct nic_offload *offload);
/* What waits and is elsewhere is copied into the buffers. */
void large_send_settle(struct large_send *large);
/* Frames committed and not sent yet. */
uint32_t large_send_waiting(const struct large_send *large);
/* Hands over what waits, in order, as far as the kernel takes it. */
void large_send_flush(struct large_send *large);
/* Drops what waits. */
void large_send_drop(struct large_send *large);

/* The counters, for nic_ops.extras; returns how many it wrote. */
uint32_t large_send_extras(const struct large_send *large, struct nic_extra *extras);

#endif
