/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring remembers of the packet that it sent last what everything about its successor depends on, as
 * long as that is of the same flow: source and destination address, protocol, source port. Then it is
 * known that the port may send from there, and where the packet goes. What may differ from
 * packet to packet of a flow is checked of each: length, IPv4 header checksum, TCP header length.
 *
 * This is no second opinion on what is valid: a packet that is not like its predecessor, for whatever
 * reason, goes the ordinary way (validate.h), which alone drops packets. IPv4 with TCP, without
 * options, as nearly all packets are; others always go the ordinary way. */
#ifndef MULTISTACK_SWITCH_SENT_FLOW_H
#define MULTISTACK_SWITCH_SENT_FLOW_H

#include "checksum.h"
#include "next_hop.h"
#include "port.h"

#define SENT_FLOW_BLOCKS 3 /* of 16 bytes: what is looked at */
#define SENT_FLOW_LENGTH (IPV4_HEADER_MIN + TCP_HEADER_MIN)

/* The first bytes of a packet, in registers. */
typedef uint64_t sent_block __attribute__((vector_size(16), aligned(1), may_alias));

/* A word of a header from its bytes, as they lie in memory. */
#define SENT_FLOW_WORD(a, b, c, d, e, f, g, h)                                                     \
    (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__                                                     \
         ? ((uint64_t)(h) << 56 | (uint64_t)(g) << 48 | (uint64_t)(f) << 40 |                      \
            (uint64_t)(e) << 32 | (uint64_t)(d) << 24 | (uint64_t)(c) << 16 | (uint64_t)(b) << 8 | \
            (uint64_t)(a))                                                                         \
         : ((uint64_t)(a) << 56 | (uint64_t)(b) << 48 | (uint64_t)(c) << 40 |                      \
            (uint64_t)(d) << 32 | (uint64_t)(e) << 24 | (uint64_t)(f) << 16 | (uint64_t)(g) << 8 | \
            (uint64_t)(h)))

/* Version and header length, flags and fragment offset · TTL, protocol, source · destination, source
 * port. The TTL need not be the same, but it must not be 0, and it never changes. */
#define SENT_FLOW_MASK0 SENT_FLOW_WORD(0xff, 0, 0, 0, 0, 0, 0xff, 0xff)
#define SENT_FLOW_MASK1 SENT_FLOW_WORD(0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff)
#define SENT_FLOW_MASK2 SENT_FLOW_WORD(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0)

/* A packet has gone to a NIC, whole, from an address and port that belong to the ring's port: `head`
 * is what was validated, `view` what it says. */
static inline void sent_flow_note(struct sent_flow *flow, uint32_t names_version,
                                  const struct packet_view *view, const uint8_t *head)
{
    uint64_t words[3];

    flow->known = view->family == 4 && view->protocol == IP_PROTOCOL_TCP;
    if (!flow->known)
        return;
    memcpy(words, head, sizeof(words));
    flow->words[0] = words[0] & SENT_FLOW_MASK0;
    flow->words[1] = words[1] & SENT_FLOW_MASK1;
    flow->words[2] = words[2] & SENT_FLOW_MASK2;
    flow->local = view->local.low;
    flow->remote = view->remote[0];
    flow->names_version = names_version;
}

/* Whether what was noted still holds, and `hop` is the way of this flow. */
static inline bool sent_flow_holds(const struct sent_flow *flow, uint32_t names_version,
                                   const struct next_hop *hop, uint64_t now_ns)
{
    return flow->known && flow->names_version == names_version && hop &&
           hop->state == NEXT_HOP_READY && hop->family == 4 && hop->source[0] == flow->local &&
           hop->destination[0] == flow->remote && now_ns < hop->ask_at_ns;
}

/* Whether a packet of `length` bytes is like the one noted. */
static inline bool sent_flow_is_like(const struct sent_flow *flow, sent_block first,
                                     sent_block second, sent_block third, uint32_t length)
{
    uint64_t differs = ((first[0] & SENT_FLOW_MASK0) ^ flow->words[0]) |
                       ((first[1] & SENT_FLOW_MASK1) ^ flow->words[1]) |
                       ((second[0] & SENT_FLOW_MASK2) ^ flow->words[2]);
    uint64_t last = second[0];
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    uint32_t said = ntohs((uint16_t)(little ? first[0] >> 16 : first[0] >> 32));
    uint32_t header = (uint32_t)(little ? third[0] >> 4 : third[0] >> 60) & 15;
    uint64_t sum;

    /* RFC 1071: words of 32 bits fold to the same */
    last = little ? last & 0xffffffff : last >> 32;
    sum = (first[0] & 0xffffffff) + (first[0] >> 32) + (first[1] & 0xffffffff) + (first[1] >> 32) +
          last;
    return differs == 0 && said == length && checksum_finish(sum) == 0 &&
           header >= TCP_HEADER_MIN / 4 && IPV4_HEADER_MIN + header * 4 <= length;
}

#endif
