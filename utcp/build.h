/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers of packets that go out, and their checksums. Inline, so that what is known of a packet
 * (struct utcp_outgoing) stands in registers and nowhere else: of what a packet without payload takes, a third was
 * to write that down and to read it again. */
#ifndef UTCP_BUILD_H
#define UTCP_BUILD_H

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include "checksum.h"
#include "packet.h"

/* The IP header, of a packet with `length` bytes behind it. Returns the sum of its addresses. */
static inline uint64_t
utcp__packet_build_ipv6(uint8_t *packet, const struct utcp_outgoing *outgoing, uint32_t length)
{
    struct wire_ipv6 *ip = (struct wire_ipv6 *)packet;

    ip->version_class_flow =
        htonl(UINT32_C(6) << 28 | (uint32_t)outgoing->dscp << 22 | (uint32_t)outgoing->ecn << 20);
    ip->payload_length = htons((uint16_t)length);
    ip->next_header = IP_PROTOCOL_TCP;
    ip->hop_limit = outgoing->hop_limit;
    memcpy(ip->source, outgoing->local->address, sizeof(ip->source));
    memcpy(ip->destination, outgoing->remote->address, sizeof(ip->destination));
    return checksum_add(0, ip->source, sizeof(ip->source) + sizeof(ip->destination));
}

static inline uint64_t
utcp__packet_build_ipv4(uint8_t *packet, const struct utcp_outgoing *outgoing, uint32_t length)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    const be16 tos = htons((uint16_t)(0x4500 | outgoing->dscp << 2 | outgoing->ecn));
    const be16 total = htons((uint16_t)(IPV4_HEADER_MIN + length)), id = htons(outgoing->ip_id);
    const be16 ttl = htons((uint16_t)(outgoing->hop_limit << 8 | IP_PROTOCOL_TCP));
    uint32_t source, destination;
    uint64_t addresses;

    memcpy(&source, outgoing->local->address, sizeof(source));
    memcpy(&destination, outgoing->remote->address, sizeof(destination));
    addresses = (uint64_t)source + destination;
    memcpy(packet, &tos, sizeof(tos)); /* and the version */
    ip->total_length = total;
    ip->id = id;
    ip->fragment = htons(IPV4_DONT_FRAGMENT);                            /* RFC 1191 */
    memcpy(packet + offsetof(struct wire_ipv4, ttl), &ttl, sizeof(ttl)); /* and the protocol */
    ip->checksum = checksum_finish(addresses + tos + total + id + htons(IPV4_DONT_FRAGMENT) + ttl);
    memcpy(ip->source, &source, sizeof(source));
    memcpy(ip->destination, &destination, sizeof(destination));
    return addresses;
}

/* Writes the headers at `packet`; options (at the address returned), then payload follow. The checksum is the
 * pseudo-header's sum: whoever is to make the rest of it needs no more. */
static inline uint8_t *utcp__packet_build(uint8_t *packet, const struct utcp_outgoing *outgoing)
{
    uint32_t header = TCP_HEADER_MIN + outgoing->options_length, length = header + outgoing->length;
    struct wire_tcp *tcp;
    uint64_t addresses;

    if (outgoing->local->family == 4) {
        addresses = utcp__packet_build_ipv4(packet, outgoing, length);
        tcp = (struct wire_tcp *)(packet + IPV4_HEADER_MIN);
    } else {
        addresses = utcp__packet_build_ipv6(packet, outgoing, length);
        tcp = (struct wire_tcp *)(packet + IPV6_HEADER_SIZE);
    }
    tcp->source_port = htons(outgoing->local->port);
    tcp->destination_port = htons(outgoing->remote->port);
    tcp->sequence = htonl(outgoing->seq);
    tcp->acknowledgment = htonl(outgoing->ack);
    const be16 form = htons((uint16_t)(header / 4 << 12 | outgoing->flags));

    memcpy(&tcp->data_offset, &form, sizeof(form)); /* and the flags */
    tcp->window = htons(outgoing->window);
    tcp->checksum = checksum_fold(addresses + htons(IP_PROTOCOL_TCP) + htons((uint16_t)length));
    tcp->urgent = htons(outgoing->urgent);
    return (uint8_t *)(tcp + 1);
}

/* What is left of the checksum for whoever sends the packet. */
static inline void utcp__packet_offload(uint8_t family, struct utcp_offload *offload)
{
    offload->checksum = true;
    offload->checksum_start = (uint16_t)utcp__ip_header(family);
    offload->checksum_offset = offsetof(struct wire_tcp, checksum);
}

/* When all bytes of a packet of `length` stand: makes its checksum whole. */
void utcp__packet_checksum(uint8_t *packet, uint8_t family, uint32_t length);

#endif
