/* SPDX-License-Identifier: BSD-2-Clause */
/* The generator's packets: TCP data segments, each made from scratch, right in every field, and the
 * other way round: what a received one says.
 *
 * A packet belongs to a flow, and a flow's sequence number moves on by the payload with each packet,
 * as TCP's does. So a receiver can tell from it what was lost and what came late. Both checksums are
 * exact: the sum of what stays the same is made once, and what moves is added to it.
 *
 * Sizes are those of the Ethernet frame with its check sequence, as the paper counts: 64 to 1,518,
 * and up to the MTU of the link. */
#ifndef MULTISTACK_MSPKTGEN_PACKET_H
#define MULTISTACK_MSPKTGEN_PACKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

#define FRAME_CHECK_SIZE 4 /* bytes of the Ethernet check sequence, which nobody here carries */
#define FRAME_SIZE_MIN   64
#define FRAME_SIZE_MAX   (9216 + ETHER_HEADER_SIZE + FRAME_CHECK_SIZE)

/* Where packets come from or go to: one address and a range of ports, host order. */
struct endpoints {
    uint8_t family; /* 4 or 6 */
    uint8_t bytes[16];
    uint16_t first, last;
};

struct flow {
    uint32_t sequence;
    uint16_t source_port, destination_port; /* network order */
    uint32_t sum;                           /* of the ports, as checksum_add() counts */
};

#define PACKET_AHEAD 18 /* bytes in front of the IP header in a wire's record */

/* What all packets of a generator have in common, as the record that goes into the ring: whatever
 * stands in front of the IP header (a wire's record header and an Ethernet header, or nothing), then
 * IP and TCP. What moves is 0 in it. */
struct packet_template {
    uint64_t words[(PACKET_AHEAD + FRAME_SIZE_MAX) / 8 + 8];
    uint32_t word_count;
    uint32_t length;  /* bytes of the IP packet */
    uint32_t ip;      /* where it begins: 0 or PACKET_AHEAD */
    uint32_t payload; /* bytes */
    uint64_t ip_sum;  /* IPv4 header without its id */
    uint64_t tcp_sum; /* pseudo-header and segment without ports and sequence number */
    uint8_t family;
};

/* The smallest frame that holds the headers of that family. */
uint32_t packet_size_min(uint8_t family);

/* `size` as the paper counts. `ahead`: PACKET_AHEAD bytes that stand in front of the IP header; NULL:
 * nothing does. */
void packet_template_init(struct packet_template *template, const struct endpoints *from,
                          const struct endpoints *to, uint32_t size, const void *ahead);

void flow_init(struct flow *flow, uint16_t source_port, uint16_t destination_port);

/* Writes the record, from front to back, by words, each once. `out` is aligned to 8 bytes, and may be written
 * up to the next multiple of 64 behind the record. `id` is the IPv4 identification. */
void packet_write(void *out, const struct packet_template *template, struct flow *flow,
                  uint16_t id);

/* Who sent a received packet to whom, in which place of the flow. */
struct packet_facts {
    uint64_t flow; /* a hash of addresses and ports */
    uint32_t sequence;
    uint32_t payload;
};

/* `ip`: begins with the IP header. False: not TCP, or a length or checksum is wrong. `partial`: a
 * checksum that holds the pseudo-header alone is right as well. */
bool packet_verify(const uint8_t *ip, uint32_t length, bool partial, struct packet_facts *facts);

/* Makes a verified or generated packet one from its receiver to its sender: addresses and ports change
 * places, the rest stays, and so do its checksums. */
void packet_exchange_ends(uint8_t *ip);

/* What became of the packets of many flows, by their sequence numbers. */
#define TRACKER_FLOWS 16384 /* flows that it can tell apart; a power of two */

struct tracker {
    struct {
        uint64_t flow;
        uint32_t next;
    } * flows;
    uint64_t lost, late, untracked;
};

/* 0 or -ENOMEM. */
int tracker_init(struct tracker *tracker);
void tracker_dispose(struct tracker *tracker);
/* A gap counts its packets as lost; one that comes after the gap that it left is late, and not lost
 * after all. */
void tracker_note(struct tracker *tracker, const struct packet_facts *facts);

#endif
