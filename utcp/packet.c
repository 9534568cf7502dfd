/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in and out: packet.h. Every length is checked before it is believed, every walk is
 * bounded. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "build.h"
#include "checksum.h"
#include "options/options.h"
#include "packet.h"

#define IPV6_EXTENSIONS_MAX      8 /* extension headers that are walked */
#define IPV6_HOP_BY_HOP          0
#define IPV6_ROUTING             43
#define IPV6_DESTINATION_OPTIONS 60

/* The IP layer of a packet, checked. */
struct ip_view {
    uint8_t family;
    uint8_t protocol;
    uint8_t ecn;
    const uint8_t *source, *destination;
    const uint8_t *payload;
    uint32_t length; /* bytes of payload, without link-layer padding */
};

static size_t address_size(uint8_t family)
{
    return family == 4 ? 4 : 16;
}

static bool is_zero(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return true;
}

static bool ipv6_extension(uint8_t protocol)
{
    return protocol == IPV6_HOP_BY_HOP || protocol == IPV6_ROUTING ||
           protocol == IPV6_DESTINATION_OPTIONS;
}

static bool header_checksum_right(const uint8_t *data, size_t header)
{
    if (header == IPV4_HEADER_MIN)
        return checksum_ipv4_good(data);
    return checksum_finish(checksum_add(0, data, header)) == 0;
}

/* Fragments are PACKET_OTHER: whoever put packets together does so before this. */
static enum utcp_packet_kind parse_ipv4(const uint8_t *data, size_t length, struct ip_view *view)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;
    size_t header, total;

    if (length < IPV4_HEADER_MIN)
        return PACKET_MALFORMED;
    header = (size_t)(ip->version_ihl & 0xf) * 4;
    total = ntohs(ip->total_length);
    if (header < IPV4_HEADER_MIN || header > total || total > length)
        return PACKET_MALFORMED;
    if (!header_checksum_right(data, header))
        return PACKET_BAD_CHECKSUM;
    if (ntohs(ip->fragment) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
        return PACKET_OTHER;
    *view = (struct ip_view){
        .family = 4,
        .protocol = ip->protocol,
        .ecn = ip->tos & 3,
        .source = ip->source,
        .destination = ip->destination,
        .payload = data + header,
        .length = (uint32_t)(total - header),
    };
    return PACKET_TCP;
}

static enum utcp_packet_kind parse_ipv6(const uint8_t *data, size_t length, struct ip_view *view)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;
    const uint8_t *at = data + IPV6_HEADER_SIZE;
    uint32_t left;
    uint8_t protocol;

    if (length < IPV6_HEADER_SIZE)
        return PACKET_MALFORMED;
    left = ntohs(ip->payload_length);
    if (left > length - IPV6_HEADER_SIZE)
        return PACKET_MALFORMED;
    protocol = ip->next_header;
    for (int i = 0; ipv6_extension(protocol); i++) {
        uint32_t size;

        if (i == IPV6_EXTENSIONS_MAX || left < 8)
            return PACKET_MALFORMED;
        size = ((uint32_t)at[1] + 1) * 8;
        if (size > left)
            return PACKET_MALFORMED;
        if (protocol == IPV6_ROUTING && at[3] != 0) /* segments left: it is for somebody else */
            return PACKET_OTHER;
        protocol = at[0];
        at += size;
        left -= size;
    }
    *view = (struct ip_view){
        .family = 6,
        .protocol = protocol,
        .ecn = data[1] >> 4 & 3, /* the traffic class is across two bytes */
        .source = ip->source,
        .destination = ip->destination,
        .payload = at,
        .length = left,
    };
    return PACKET_TCP;
}

static enum utcp_packet_kind parse_ip(const uint8_t *data, size_t length, struct ip_view *view)
{
    if (length < 1)
        return PACKET_MALFORMED;
    switch (data[0] >> 4) {
    case 4: return parse_ipv4(data, length, view);
    case 6: return parse_ipv6(data, length, view);
    default: return PACKET_MALFORMED;
    }
}

static bool checksum_right(const struct ip_view *ip, be16 field, unsigned flags)
{
    uint64_t pseudo;

    if (flags & UTCP_INPUT_CHECKSUM_OK)
        return true;
    pseudo = checksum_pseudo_header(ip->source, ip->destination, address_size(ip->family),
                                    ip->protocol, ip->length);
    /* A local peer leaves the rest of the sum to a NIC that is not there; its bytes have not left
     * this machine's memory. Looking for that first costs nothing. */
    if (flags & UTCP_INPUT_CHECKSUM_PARTIAL && field == checksum_fold(pseudo))
        return true;
    return checksum_finish(checksum_add(pseudo, ip->payload, ip->length)) == 0;
}

static inline __attribute__((always_inline)) void
set_endpoint(struct utcp_endpoint *end, uint8_t family, const uint8_t *address, be16 port)
{
    *end = (struct utcp_endpoint){.family = family, .port = ntohs(port)};
    if (family == 4) /* sizes that the compiler knows */
        memcpy(end->address, address, 4);
    else
        memcpy(end->address, address, 16);
}

static bool unicast_ipv4(uint32_t address) /* not of 0/8, 224/4, 255.255.255.255 */
{
    return address - (UINT32_C(1) << 24) < UINT32_C(223) << 24 ||
           (address >> 28 == 15 && address != UINT32_MAX);
}

static bool ipv4_allowed(const struct utcp_endpoint *source,
                         const struct utcp_endpoint *destination)
{
    uint32_t from = utcp__get_be32(source->address), to = utcp__get_be32(destination->address);

    return unicast_ipv4(from) && unicast_ipv4(to) && (from >> 24 == 127) == (to >> 24 == 127) &&
           (from != to || source->port != destination->port);
}

bool utcp__addresses_allowed(const struct utcp_endpoint *source,
                             const struct utcp_endpoint *destination)
{
    if (source->family == 4)
        return source->port != 0 && destination->port != 0 && ipv4_allowed(source, destination);
    return source->port != 0 && destination->port != 0 && utcp__address_is_unicast(source) &&
           utcp__address_is_unicast(destination) &&
           utcp__address_is_loopback(source) == utcp__address_is_loopback(destination) &&
           memcmp(source, destination, sizeof(*source)) != 0;
}

/* Inlined, where the compiler knows `family`. */
static inline __attribute__((always_inline)) enum utcp_packet_kind
parse_tcp(const struct ip_view *ip, uint8_t family, unsigned flags, struct utcp_segment *segment)
{
    const struct wire_tcp *tcp = (const struct wire_tcp *)ip->payload;
    uint32_t header;

    if (ip->length < TCP_HEADER_MIN)
        return PACKET_MALFORMED;
    header = (uint32_t)(tcp->data_offset >> 4) * 4;
    if (header < TCP_HEADER_MIN || header > ip->length)
        return PACKET_MALFORMED;
    if (!checksum_right(ip, tcp->checksum, flags))
        return PACKET_BAD_CHECKSUM;
    set_endpoint(&segment->remote, family, ip->source, tcp->source_port);
    set_endpoint(&segment->local, family, ip->destination, tcp->destination_port);
    segment->seq = ntohl(tcp->sequence);
    segment->ack = ntohl(tcp->acknowledgment);
    segment->window = ntohs(tcp->window);
    segment->flags = (uint16_t)((tcp->data_offset & 1) << 8 | tcp->flags);
    segment->urgent_end = segment->seq + ntohs(tcp->urgent);
    segment->ecn = ip->ecn;
    segment->payload = ip->payload + header;
    segment->length = ip->length - header;
    utcp__options_parse(ip->payload + TCP_HEADER_MIN, header - TCP_HEADER_MIN, &segment->options);
    return PACKET_TCP;
}

/* What was on its way for too long, or with a header that somebody did not understand. */
static void passing(bool exceeded, struct utcp_icmp_error *error)
{
    error->error = exceeded ? -EHOSTUNREACH : -EPROTO;
    error->passing = true;
}

/* What an ICMP error means to a connection that is being opened (RFC 9293 section 3.9.2.2). */
static void icmp4_meaning(const struct wire_icmp *icmp, struct utcp_icmp_error *error)
{
    error->error = 0;
    if (icmp->type != ICMP_DESTINATION_UNREACHABLE) {
        passing(icmp->type == ICMP_TIME_EXCEEDED, error);
        return;
    }
    if (icmp->code == ICMP_FRAGMENTATION_NEEDED) {
        error->too_big = true;
        error->mtu = ntohl(icmp->rest) & 0xffff;
        return;
    }
    if (icmp->code == 2 || icmp->code == 3) /* protocol, port */
        error->error = -ECONNREFUSED;
    else
        error->error = icmp->code == 0 ? -ENETUNREACH : -EHOSTUNREACH;
}

static void icmp6_meaning(const struct wire_icmp *icmp, struct utcp_icmp_error *error)
{
    error->error = 0;
    if (icmp->type == ICMPV6_PACKET_TOO_BIG) {
        error->too_big = true;
        error->mtu = ntohl(icmp->rest);
        return;
    }
    if (icmp->type == ICMPV6_DESTINATION_UNREACHABLE)
        error->error = icmp->code == 4   ? -ECONNREFUSED /* port */
                       : icmp->code == 0 ? -ENETUNREACH
                                         : -EHOSTUNREACH;
    else
        passing(icmp->type == ICMPV6_TIME_EXCEEDED, error);
}

/* The quoted packet is cut short, so its lengths and checksums cannot be checked; its ports and
 * sequence number must be there. */
static bool quoted_segment(uint8_t family, const uint8_t *data, uint32_t length,
                           struct utcp_icmp_error *error)
{
    const uint8_t *tcp, *source, *destination;

    if (family == 4) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;
        uint32_t header;

        if (length < IPV4_HEADER_MIN || ip->version_ihl >> 4 != 4)
            return false;
        header = (uint32_t)(ip->version_ihl & 0xf) * 4;
        if (header < IPV4_HEADER_MIN || length < header + 8 || ip->protocol != IP_PROTOCOL_TCP ||
            ntohs(ip->fragment) & IPV4_FRAGMENT_OFFSET)
            return false;
        tcp = data + header;
        source = ip->source;
        destination = ip->destination;
    } else {
        const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;

        /* UTCP sends no extension headers, so none is to be expected in a quotation. */
        if (length < IPV6_HEADER_SIZE + 8 || data[0] >> 4 != 6 ||
            ip->next_header != IP_PROTOCOL_TCP)
            return false;
        tcp = data + IPV6_HEADER_SIZE;
        source = ip->source;
        destination = ip->destination;
    }
    set_endpoint(&error->local, family, source, ((const struct wire_tcp *)tcp)->source_port);
    set_endpoint(&error->remote, family, destination,
                 ((const struct wire_tcp *)tcp)->destination_port);
    error->seq = utcp__get_be32(tcp + 4);
    return true;
}

static enum utcp_packet_kind parse_icmp(const struct ip_view *ip, unsigned flags,
                                        struct utcp_icmp_error *error)
{
    const struct wire_icmp *icmp = (const struct wire_icmp *)ip->payload;
    bool v4 = ip->family == 4;

    if (ip->length < ICMP_HEADER_SIZE)
        return PACKET_MALFORMED;
    if (v4 ? icmp->type != ICMP_DESTINATION_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED &&
                 icmp->type != ICMP_PARAMETER_PROBLEM
           : icmp->type < ICMPV6_DESTINATION_UNREACHABLE || icmp->type > ICMPV6_PARAMETER_PROBLEM)
        return PACKET_OTHER;
    if (v4 ? checksum_finish(checksum_add(0, ip->payload, ip->length)) != 0 &&
                 !(flags & UTCP_INPUT_CHECKSUM_OK)
           : !checksum_right(ip, icmp->checksum, flags))
        return PACKET_BAD_CHECKSUM;
    *error = (struct utcp_icmp_error){0};
    if (!quoted_segment(ip->family, ip->payload + ICMP_HEADER_SIZE, ip->length - ICMP_HEADER_SIZE,
                        error))
        return PACKET_OTHER;
    if (v4)
        icmp4_meaning(icmp, error);
    else
        icmp6_meaning(icmp, error);
    return PACKET_ICMP_ERROR;
}

bool utcp__address_is_unicast(const struct utcp_endpoint *end)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *at = end->address;

    if (end->family == 4)
        return unicast_ipv4(utcp__get_be32(at));
    /* ::, ff00::/8, ::ffff:0:0/96 */
    return at[0] != 0xff && !is_zero(at, 16) && memcmp(at, mapped, sizeof(mapped)) != 0;
}

bool utcp__address_is_loopback(const struct utcp_endpoint *end)
{
    if (end->family == 4)
        return end->address[0] == 127;
    return is_zero(end->address, 15) && end->address[15] == 1;
}

void utcp__packet_checksum(uint8_t *packet, uint8_t family, uint32_t length)
{
    uint32_t start = utcp__ip_header(family);
    be16 field = checksum_finish(checksum_add(0, packet + start, length - start));

    memcpy(packet + start + offsetof(struct wire_tcp, checksum), &field, sizeof(field));
}

/* ── The usual form ────────────────────────────────────────────────────────────────────────── */

/* Of a packet without IP options or extension headers. */
static inline struct ip_view plain_ip(const uint8_t *data, const uint8_t *tcp, uint32_t length)
{
    if (data[0] >> 4 == 4) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;

        return (struct ip_view){4,   IP_PROTOCOL_TCP, ip->tos & 3, ip->source, ip->destination,
                                tcp, length};
    }
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;

    return (struct ip_view){6,   IP_PROTOCOL_TCP, data[1] >> 4 & 3, ip->source, ip->destination,
                            tcp, length};
}

bool utcp__packet_parse_sound(const uint8_t *data, const struct wire_tcp *tcp, uint32_t length,
                              struct utcp_segment *segment)
{
    const struct ip_view ip = plain_ip(data, (const uint8_t *)tcp, length);

    if (ip.family == 4)
        return parse_tcp(&ip, 4, UTCP_INPUT_CHECKSUM_OK, segment) == PACKET_TCP;
    return parse_tcp(&ip, 6, UTCP_INPUT_CHECKSUM_OK, segment) == PACKET_TCP;
}

bool utcp__packet_checksum_right(const uint8_t *data, const uint8_t *tcp, uint32_t length,
                                 unsigned flags)
{
    const struct ip_view ip = plain_ip(data, tcp, length);

    return checksum_right(&ip, ((const struct wire_tcp *)tcp)->checksum, flags);
}

void utcp__packet_endpoints(const uint8_t *data, struct utcp_endpoint *local,
                            struct utcp_endpoint *remote)
{
    if (data[0] >> 4 == 4) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;
        const struct wire_tcp *tcp = (const struct wire_tcp *)(data + IPV4_HEADER_MIN);

        set_endpoint(remote, 4, ip->source, tcp->source_port);
        set_endpoint(local, 4, ip->destination, tcp->destination_port);
    } else {
        const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;
        const struct wire_tcp *tcp = (const struct wire_tcp *)(data + IPV6_HEADER_SIZE);

        set_endpoint(remote, 6, ip->source, tcp->source_port);
        set_endpoint(local, 6, ip->destination, tcp->destination_port);
    }
}

/* ── Any ───────────────────────────────────────────────────────────────────────────────────── */

void utcp__packet_parse(const uint8_t *data, size_t length, unsigned flags,
                        struct utcp_packet *packet)
{
    struct ip_view ip;

    packet->kind = parse_ip(data, length, &ip);
    if (packet->kind != PACKET_TCP)
        return;
    if (ip.protocol == IP_PROTOCOL_TCP)
        packet->kind = parse_tcp(&ip, ip.family, flags, &packet->segment);
    else if (ip.protocol == (ip.family == 4 ? IP_PROTOCOL_ICMP : IP_PROTOCOL_ICMPV6))
        packet->kind = parse_icmp(&ip, flags, &packet->error);
    else
        packet->kind = PACKET_OTHER;
}
