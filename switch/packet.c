/* SPDX-License-Identifier: BSD-2-Clause */
/* packet.h: parsing what comes from a NIC.
 *
 * The mux has looked at most of it before, but it is another program with another view, and the
 * `packet` and `wire` drivers come without it: nothing is taken for granted. */
#include "packet.h"

#include "checksum.h"
#include "quoted.h"

#define QUOTED_PORTS 4 /* bytes that an ICMP error must quote of the transport header, at least */

#define IPV6_FRAGMENT_OFFSET 0xfff8 /* bytes */
#define IPV6_FRAGMENT_MORE   0x0001

static_assert(IPV6_HEADER_SIZE + PACKET_EXTENSION_BYTES_MAX <= UINT8_MAX,
              "packet_view.transport holds it");

static enum drop_reason parse_ipv4(const uint8_t *bytes, uint32_t available,
                                   struct packet_network *network)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)bytes;
    uint32_t fragment;

    if (available < IPV4_HEADER_MIN || ip->version_ihl != 0x45)
        return DROP_RX_UNPARSED; /* options are the host stack's (hostile.md, W4) */
    *network = (struct packet_network){
        .source = ip->source,
        .destination = ip->destination,
        .header = IPV4_HEADER_MIN,
        .length = ntohs(ip->total_length),
        .family = 4,
        .protocol = ip->protocol,
    };
    fragment = ntohs(ip->fragment);
    if (fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)) {
        network->fragmented = true;
        network->more = fragment & IPV4_MORE_FRAGMENTS;
        network->offset = (fragment & IPV4_FRAGMENT_OFFSET) * 8;
        network->id = ip->id;
    }
    return network->length < network->header ? DROP_RX_UNPARSED : DROP_NONE;
}

/* One extension header, at network->header. False: it is none of those that are walked over. */
static bool take_extension(const uint8_t *extension, struct packet_network *network)
{
    const struct wire_fragment *fragment = (const struct wire_fragment *)extension;
    uint32_t size = (extension[1] + 1u) * 8;

    switch (network->protocol) {
    case IPV6_HOP_BY_HOP:
        if (network->header != IPV6_HEADER_SIZE)
            return false;
        break;
    case IPV6_ROUTING: /* type 0: RFC 5095; segments left: not for us */
        if (extension[2] == 0 || extension[3] != 0)
            return false;
        break;
    case IPV6_FRAGMENT:
        if (network->fragmented)
            return false;
        size = sizeof(*fragment);
        network->fragmented = true;
        network->more = ntohs(fragment->offset) & IPV6_FRAGMENT_MORE;
        network->offset = ntohs(fragment->offset) & IPV6_FRAGMENT_OFFSET;
        network->id = fragment->id;
        network->fragment_header = (uint16_t)network->header;
        break;
    }
    network->protocol = extension[0];
    network->header += size;
    return network->header <= IPV6_HEADER_SIZE + PACKET_EXTENSION_BYTES_MAX &&
           network->header <= network->length;
}

static bool is_walked(uint8_t protocol)
{
    return protocol == IPV6_HOP_BY_HOP || protocol == IPV6_ROUTING || protocol == IPV6_FRAGMENT ||
           protocol == IPV6_DESTINATION_OPTIONS;
}

static enum drop_reason parse_ipv6(const uint8_t *bytes, uint32_t available,
                                   struct packet_network *network)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)bytes;
    uint32_t announced_at = offsetof(struct wire_ipv6, next_header);

    if (available < IPV6_HEADER_SIZE)
        return DROP_RX_UNPARSED;
    *network = (struct packet_network){
        .source = ip->source,
        .destination = ip->destination,
        .header = IPV6_HEADER_SIZE,
        .length = IPV6_HEADER_SIZE + ntohs(ip->payload_length),
        .family = 6,
        .protocol = ip->next_header,
    };
    for (uint32_t i = 0; is_walked(network->protocol) && !network->offset; i++) {
        uint32_t at = network->header;

        if (!network->fragmented)
            network->announced_at = (uint16_t)announced_at;
        if (i == PACKET_EXTENSIONS_MAX || available < at + IPV6_EXTENSION_MIN ||
            !take_extension(bytes + at, network))
            return DROP_RX_UNPARSED;
        announced_at = at;
    }
    return network->header > available ? DROP_RX_UNPARSED : DROP_NONE;
}

enum drop_reason packet_parse_network(const uint8_t *bytes, uint32_t available,
                                      struct packet_network *network)
{
    if (available < 1)
        return DROP_RX_UNPARSED;
    switch (bytes[0] >> 4) {
    case 4: return parse_ipv4(bytes, available, network);
    case 6: return parse_ipv6(bytes, available, network);
    default: return DROP_RX_UNPARSED;
    }
}

static bool icmp_is_error(uint8_t family, uint8_t type)
{
    if (family == 4)
        return type == ICMP_DESTINATION_UNREACHABLE || type == ICMP_TIME_EXCEEDED ||
               type == ICMP_PARAMETER_PROBLEM;
    return type >= ICMPV6_DESTINATION_UNREACHABLE && type <= ICMPV6_PARAMETER_PROBLEM;
}

/* The quoted packet, which this address must have sent: otherwise it is nobody's. What the mux
 * claims passes here (quoted.h). */
static bool parse_quote(const uint8_t *bytes, uint32_t available,
                        const struct packet_network *outer, struct packet_network *quoted)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)bytes;
    bool good;

    if (packet_parse_network(bytes, available, quoted) != DROP_NONE ||
        quoted->family != outer->family || available < quoted->header + QUOTED_PORTS)
        return false;
    good = quoted->family == 4
               ? quoted_ipv4_is_good(ip->version_ihl, ntohs(ip->total_length), ntohs(ip->fragment))
               : !quoted->offset;
    return good && !memcmp(quoted->source, outer->destination, quoted->family == 4 ? 4 : 16);
}

/* An error is for whoever sent the packet that it quotes. */
static enum drop_reason parse_icmp(const uint8_t *bytes, uint32_t available,
                                   const struct packet_network *outer, struct packet_view *view)
{
    const struct wire_icmp *icmp = (const struct wire_icmp *)(bytes + outer->header);
    uint32_t quote = outer->header + ICMP_HEADER_SIZE;
    const struct wire_ports *ports;
    struct packet_network quoted;

    if (available < quote || !icmp_is_error(outer->family, icmp->type) ||
        !parse_quote(bytes + quote, available - quote, outer, &quoted))
        return DROP_RX_UNPARSED;
    ports = (const struct wire_ports *)(bytes + quote + quoted.header);
    view->local = tuple_make(quoted.source, quoted.family, quoted.protocol, ports->source_port);
    tuple_load_address(view->remote, quoted.destination, quoted.family);
    view->remote_port = ports->destination_port;
    view->headers = (uint16_t)outer->header;
    return DROP_NONE;
}

/* Headers of TCP and UDP must be there whole and say a length that fits. */
static enum drop_reason measure_transport(const uint8_t *bytes, uint32_t available,
                                          const struct packet_network *network, uint32_t *header)
{
    uint32_t length = network->length - network->header;

    available -= network->header;
    bytes += network->header;
    if (network->protocol == IP_PROTOCOL_TCP) {
        if (available < TCP_HEADER_MIN)
            return DROP_RX_UNPARSED;
        *header = (((const struct wire_tcp *)bytes)->data_offset >> 4) * 4u;
        if (*header < TCP_HEADER_MIN || *header > available)
            return DROP_RX_UNPARSED;
    } else if (network->protocol == IP_PROTOCOL_UDP) {
        uint32_t said;

        if (available < UDP_HEADER_SIZE)
            return DROP_RX_UNPARSED;
        said = ntohs(((const struct wire_udp *)bytes)->length);
        if (said < UDP_HEADER_SIZE || said > length)
            return DROP_RX_UNPARSED;
        *header = UDP_HEADER_SIZE;
    } else {
        if (available < sizeof(struct wire_ports))
            return DROP_RX_UNPARSED;
        *header = 0;
    }
    return DROP_NONE;
}

enum drop_reason packet_parse(const uint8_t *bytes, uint32_t available, uint32_t length,
                              struct packet_view *view)
{
    const struct wire_ports *ports;
    struct packet_network network;
    enum drop_reason reason = packet_parse_network(bytes, available, &network);
    uint32_t header;

    if (reason != DROP_NONE)
        return reason;
    if (network.length > length)
        return DROP_RX_UNPARSED;
    if (network.fragmented)
        return DROP_RX_FRAGMENT_BAD;
    if (network.family == 4 && !checksum_ipv4_good(bytes))
        return DROP_RX_BAD_HEADER_CHECKSUM;
    if (available > network.length)
        available = network.length; /* Ethernet padding is not the packet's (W3) */
    view->family = network.family;
    view->protocol = network.protocol;
    view->transport = (uint8_t)network.header;
    view->length = network.length;
    if (network.protocol == (network.family == 4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMPV6))
        return parse_icmp(bytes, available, &network, view);
    reason = measure_transport(bytes, available, &network, &header);
    if (reason != DROP_NONE)
        return reason;
    ports = (const struct wire_ports *)(bytes + network.header);
    view->local =
        tuple_make(network.destination, network.family, network.protocol, ports->destination_port);
    tuple_load_address(view->remote, network.source, network.family);
    view->remote_port = ports->source_port;
    view->headers = (uint16_t)(network.header + header);
    return DROP_NONE;
}

uint64_t packet_pseudo_header(const uint8_t *bytes, const struct packet_view *view, uint32_t length)
{
    if (view->family == 4) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)bytes;

        return checksum_pseudo_header(ip->source, ip->destination, 4, view->protocol, length);
    }
    return checksum_pseudo_header(((const struct wire_ipv6 *)bytes)->source,
                                  ((const struct wire_ipv6 *)bytes)->destination, 16,
                                  view->protocol, length);
}

void packet_fill_checksum(uint8_t *bytes, const struct packet_view *view)
{
    uint32_t length = view->length - (uint32_t)view->transport;
    uint8_t *field = bytes + packet_checksum_offset(view);
    uint16_t value;

    memset(field, 0, 2);
    value = checksum_finish(
        checksum_add(packet_pseudo_header(bytes, view, length), bytes + view->transport, length));
    /* 0 means "none" in UDP (RFC 768); its other spelling in one's complement does not */
    if (value == 0 && view->protocol == IP_PROTOCOL_UDP)
        value = 0xffff;
    memcpy(field, &value, 2);
}
