/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands before each frame on a packet socket with PACKET_VNET_HDR (packet(7)): what is left to
 * the kernel or the device to do. */
#ifndef MULTISTACK_NIC_VNET_HEADER_H
#define MULTISTACK_NIC_VNET_HEADER_H

#include <linux/virtio_net.h>

#include "nic.h"

/* `offload`: NULL for a frame that is finished. */
static inline void vnet_header_write(struct virtio_net_hdr *header,
                                     const struct nic_offload *offload)
{
    *header = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
    if (!offload)
        return;
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = offload->checksum_start;
    header->csum_offset = offload->checksum_offset;
    if (!offload->segment_size)
        return;
    header->gso_type = offload->family == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    if (offload->congestion_reduced)
        header->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
    header->gso_size = offload->segment_size;
    header->hdr_len = offload->header_length;
}

#endif
