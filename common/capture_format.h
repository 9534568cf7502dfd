/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in the rings of a capture (CONTROL_CAPTURE): records as in any port's, each with this head
 * and, right behind it, as much of the packet as was asked for. */
#ifndef MULTISTACK_CAPTURE_FORMAT_H
#define MULTISTACK_CAPTURE_FORMAT_H

#include <assert.h>
#include <stdint.h>

struct capture_head {
    uint64_t time_ns; /* CLOCK_REALTIME, when the switch had it in hand */
    uint32_t length;  /* of the whole packet, bytes; fewer may follow */
    uint16_t source;  /* as CONTROL_CAPTURED said */
    uint8_t flags;    /* CAPTURE_* */
    uint8_t zero;
};
static_assert(sizeof(struct capture_head) == 16, "no padding");

/* From a NIC: to the network. From a port: from its stack. */
#define CAPTURE_OUTBOUND 0x1
/* The transport checksum is left to others behind this point. */
#define CAPTURE_CHECKSUM_LEFT 0x2
/* It may be the pseudo-header's sum alone: nobody has damaged the packet, and nobody fills it in. */
#define CAPTURE_CHECKSUM_PARTIAL 0x4

#endif
