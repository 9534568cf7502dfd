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

/* What all packets of a generator have in common. */
struct packet_template {
    uint8_t bytes[FRAME_SIZE_MAX]; /* an Ethernet header, or none, then IP and TCP */
    uint32_t length;               /* of what is written: without the check sequence */
    uint32_t ip;                   /* where the IP header begins: 0 or ETHER_HEADER_SIZE */
    uint32_t tcp;                  /* where the TCP header begins */
    uint32_t payload;              /* bytes */
    uint8_t family;
    uint64_t ip_sum;  /* IPv4 header without its id */
    uint64_t tcp_sum; /* pseudo-header and segment without ports and sequence number */
};

/* The smallest frame that holds the headers of that family. */
uint32_t packet_size_min(uint8_t family);

/* `size` as the paper counts. `macs`: destination and source of the Ethernet header; NULL: the
 * packet begins with IP. */
void packet_template_init(struct packet_template *template, const struct endpoints *from,
                          const struct endpoints *to, uint32_t size, const uint8_t macs[2][6]);

void flow_init(struct flow *flow, uint16_t source_port, uint16_t destination_port);

/* Writes template->length bytes. `id` is the IPv4 identification. */
void packet_write(uint8_t *out, const struct packet_template *template, struct flow *flow,
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
