/* SPDX-License-Identifier: BSD-2-Clause */
/* validate.h */
#include "validate.h"

#include "checksum.h"

#define IPV4_RESERVED_BIT 0x8000 /* RFC 791: must be zero */

/* IPv6 next headers that are not transport: hop-by-hop, routing, ESP, AH, destination options,
 * mobility, HIP, shim6 (IANA's list of extension headers). */
static bool is_extension_header(uint8_t next_header)
{
    switch (next_header) {
    case 0:
    case 43:
    case 50:
    case 51:
    case 60:
    case 135:
    case 139:
    case 140: return true;
    default: return false;
    }
}

#define IPV6_FRAGMENT_HEADER 44

static enum drop_reason validate_ipv4(const uint8_t *packet, uint32_t length,
                                      struct packet_view *view)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)packet;
    uint32_t fragment;

    if (length < IPV4_HEADER_MIN)
        return DROP_TX_BAD_LENGTH;
    if ((ip->version_ihl & 0x0f) < 5)
        return DROP_TX_BAD_HEADER;
    if ((ip->version_ihl & 0x0f) > 5)
        return DROP_TX_OPTIONS;
    if (ntohs(ip->total_length) != length)
        return DROP_TX_BAD_LENGTH;
    fragment = ntohs(ip->fragment);
    if (fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
        return DROP_TX_FRAGMENT;
    if (ip->ttl == 0 || (fragment & IPV4_RESERVED_BIT))
        return DROP_TX_BAD_HEADER;
    if (!checksum_ipv4_good(packet))
        return DROP_TX_BAD_HEADER_CHECKSUM;
    view->family = 4;
    view->protocol = ip->protocol;
    view->transport = IPV4_HEADER_MIN;
    tuple_load_address(view->remote, ip->destination, 4);
    return DROP_NONE;
}

static enum drop_reason validate_ipv6(const uint8_t *packet, uint32_t length,
                                      struct packet_view *view)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)packet;

    if (length < IPV6_HEADER_SIZE ||
        (uint32_t)IPV6_HEADER_SIZE + ntohs(ip->payload_length) != length)
        return DROP_TX_BAD_LENGTH;
    if (ip->hop_limit == 0)
        return DROP_TX_BAD_HEADER;
    if (ip->next_header == IPV6_FRAGMENT_HEADER)
        return DROP_TX_FRAGMENT;
    if (is_extension_header(ip->next_header))
        return DROP_TX_OPTIONS;
    view->family = 6;
    view->protocol = ip->next_header;
    view->transport = IPV6_HEADER_SIZE;
    tuple_load_address(view->remote, ip->destination, 6);
    return DROP_NONE;
}

static enum drop_reason validate_transport(const uint8_t *packet, struct packet_view *view)
{
    const uint8_t *transport = packet + view->transport;
    const struct wire_ports *ports = (const struct wire_ports *)transport;
    uint32_t length = view->length - (uint32_t)view->transport;
    uint32_t header;

    if (view->protocol == IP_PROTOCOL_TCP) {
        if (length < TCP_HEADER_MIN)
            return DROP_TX_BAD_LENGTH;
        header = (((const struct wire_tcp *)transport)->data_offset >> 4) * 4u;
        if (header < TCP_HEADER_MIN || header > length)
            return DROP_TX_BAD_LENGTH;
    } else if (view->protocol == IP_PROTOCOL_UDP) {
        if (length < UDP_HEADER_SIZE ||
            ntohs(((const struct wire_udp *)transport)->length) != length)
            return DROP_TX_BAD_LENGTH;
        header = UDP_HEADER_SIZE;
    } else {
        if (length < sizeof(*ports))
            return DROP_TX_BAD_LENGTH;
        header = 0; /* whatever it is, it is the stack's */
    }
    view->headers = (uint16_t)(view->transport + header);
    view->remote_port = ports->destination_port;
    view->local = tuple_make(packet + (view->family == 4 ? offsetof(struct wire_ipv4, source)
                                                         : offsetof(struct wire_ipv6, source)),
                             view->family, view->protocol, ports->source_port);
    return DROP_NONE;
}

static enum drop_reason validate_offload(const uint8_t *packet, const struct ring_record *record,
                                         const struct packet_view *view)
{
    const struct wire_tcp *tcp = (const struct wire_tcp *)(packet + view->transport);

    if ((record->flags & RECORD_CHECKSUM_PARTIAL) &&
        (!packet_has_checksum(view) || record->checksum_start != view->transport ||
         (uint32_t)record->checksum_start + record->checksum_offset !=
             packet_checksum_offset(view)))
        return DROP_TX_BAD_OFFLOAD;
    if (!(record->flags & RECORD_SEGMENT))
        return DROP_NONE;
    if (view->protocol != IP_PROTOCOL_TCP || record->segment_size < VALIDATE_SEGMENT_MIN ||
        (tcp->flags & (TCP_SYN | TCP_RST | TCP_URG)))
        return DROP_TX_BAD_OFFLOAD;
    return DROP_NONE;
}

enum drop_reason validate_packet(const uint8_t *packet, const struct ring_record *record,
                                 struct packet_view *view)
{
    enum drop_reason reason;

    if (record->length > IP_PACKET_MAX)
        return DROP_TX_BAD_LENGTH;
    switch (packet[0] >> 4) {
    case 4: reason = validate_ipv4(packet, record->length, view); break;
    case 6: reason = validate_ipv6(packet, record->length, view); break;
    default: reason = DROP_TX_BAD_VERSION; break;
    }
    if (reason != DROP_NONE)
        return reason;
    view->length = record->length;
    reason = validate_transport(packet, view);
    if (reason != DROP_NONE || !(record->flags & (RECORD_CHECKSUM_PARTIAL | RECORD_SEGMENT)))
        return reason;
    return validate_offload(packet, record, view);
}

uint32_t validate_frame_count(const struct packet_view *view, const struct ring_record *record)
{
    uint32_t payload = view->length - (uint32_t)view->headers;

    if (!(record->flags & RECORD_SEGMENT) || payload <= record->segment_size)
        return 1;
    return (payload + record->segment_size - 1) / record->segment_size;
}

uint32_t validate_frame_bound(const struct ring_record *record)
{
    if (!(record->flags & RECORD_SEGMENT) || record->segment_size < VALIDATE_SEGMENT_MIN ||
        record->length > IP_PACKET_MAX)
        return 1; /* or it will be dropped */
    return record->length / record->segment_size + 1;
}
