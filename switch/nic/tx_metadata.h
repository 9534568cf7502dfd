/* SPDX-License-Identifier: BSD-2-Clause */
/* What an AF_XDP socket may say before a frame that it sends: that the transport checksum is still to
 * be filled in (Linux 6.11, Documentation/networking/xsk-tx-metadata.rst). Debian 12's headers do not
 * know it. In copy mode the kernel makes it an skb's CHECKSUM_PARTIAL, so any device will do. */
#ifndef MULTISTACK_NIC_TX_METADATA_H
#define MULTISTACK_NIC_TX_METADATA_H

#include <assert.h>
#include <stdint.h>

#include "nic.h"

/* In the options of a descriptor. */
#ifndef XDP_TX_METADATA
#define XDP_TX_METADATA (1U << 1)
#endif

/* Where frames begin in their chunks; the metadata ends there. Aligned for copying. */
#define TX_METADATA_OFFSET 64

#define TX_METADATA_CHECKSUM (1U << 1)

struct tx_metadata {
    uint64_t flags;
    uint16_t checksum_start;  /* bytes from the start of the frame */
    uint16_t checksum_offset; /* from there to the field */
    uint32_t unused;
    uint64_t launch_time;
};

static_assert(sizeof(struct tx_metadata) == 24, "as struct xsk_tx_metadata of the kernel");
static_assert(sizeof(struct tx_metadata) <= TX_METADATA_OFFSET, "it stands before the frame");

/* `frame` is where the frame begins. */
static inline void tx_metadata_write(uint8_t *frame, const struct nic_offload *offload)
{
    struct tx_metadata *metadata = (struct tx_metadata *)frame - 1;

    *metadata = (struct tx_metadata){
        .flags = TX_METADATA_CHECKSUM,
        .checksum_start = offload->checksum_start,
        .checksum_offset = offload->checksum_offset,
    };
}

#endif
