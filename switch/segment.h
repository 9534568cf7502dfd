/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting a TCP packet into segments in software, where no device does it: what a stack sent as one
 * record (RECORD_SEGMENT), and what arrived merged for a stack that takes no merged packets. */
#ifndef MULTISTACK_SWITCH_SEGMENT_H
#define MULTISTACK_SWITCH_SEGMENT_H

#include "packet.h"

struct segment_cursor {
    const uint8_t *whole;           /* the packet, contiguous and private */
    const struct packet_view *view; /* of it */
    uint32_t size;                  /* bytes of payload of each segment but the last */
    uint32_t offset;                /* of the next one in the payload */
    uint32_t index;
};

/* Bytes of the next segment, headers included; 0: that was all. */
static inline uint32_t segment_next_length(const struct segment_cursor *cursor)
{
    uint32_t left = cursor->view->length - (uint32_t)cursor->view->headers - cursor->offset;

    return left ? cursor->view->headers + (left < cursor->size ? left : cursor->size) : 0;
}

/* Writes the next segment to `out`, segment_next_length() bytes: sequence number, lengths, IP
 * identification and flags its own (PSH and FIN on the last alone, CWR on the first alone, RFC 3168
 * section 6.1.2). The TCP checksum is complete, or with `partial` the sum of the pseudo-header. */
void segment_write(struct segment_cursor *cursor, uint8_t *out, bool partial);

#endif
