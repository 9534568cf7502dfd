/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack may send (design.md, section 5): an allow-list, applied to a copy that the stack
 * cannot reach any more (hostile.md, P3, P9, P12).
 *
 * Whole IPv4 or IPv6 packets, whose lengths agree with each other, without options, extension
 * headers or fragments, with a TTL above zero; TCP and UDP with whole headers, other protocols with
 * at least four bytes, where their ports are if they have any; and offload fields that fit the packet
 * (TCP's and UDP's alone). Whose source the 3-tuple is, the caller asks the namespace. */
#ifndef MULTISTACK_SWITCH_VALIDATE_H
#define MULTISTACK_SWITCH_VALIDATE_H

#include "packet.h"
#include "port_layout.h"

/* A segment below this would make thousands of frames from one record (hostile.md, W14). */
#define VALIDATE_SEGMENT_MIN 48

/* `packet` holds record->length bytes, at least one. DROP_NONE: *view is set, with the source in
 * `local` and the destination in `remote`. */
enum drop_reason validate_packet(const uint8_t *packet, const struct ring_record *record,
                                 struct packet_view *view);

/* The frames that a valid packet becomes: 1, or its segments. */
uint32_t validate_frame_count(const struct packet_view *view, const struct ring_record *record);

/* The same from the record alone, before anything is known: an upper bound. */
uint32_t validate_frame_bound(const struct ring_record *record);

#endif
