/* SPDX-License-Identifier: BSD-2-Clause */
/* capture_packet.h */
#include "capture_packet.h"

#include "checksum.h"
#include "wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define TCP_CHECKSUM 16 /* where the field stands in the header */
#define UDP_CHECKSUM 6

static uint16_t load_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static bool parse_v4(const uint8_t *packet, size_t size, uint32_t at, struct capture_view *view)
{
    uint32_t header;

    if (size < at + IPV4_HEADER_MIN)
        return false;
    header = (packet[at] & 15u) * 4;
    view->end = at + load_16(packet + at + 2);
    if (header < IPV4_HEADER_MIN || view->end < at + header)
        return false;
    view->family = 4;
    view->protocol = packet[at + 9];
    view->source = at + 12;
    view->destination = at + 16;
    if (!(load_16(packet + at + 6) & 0x3fff)) /* no fragment */
        view->transport = at + header;
    return true;
}

static bool parse_v6(const uint8_t *packet, size_t size, uint32_t at, struct capture_view *view)
{
    if (size < at + IPV6_HEADER_SIZE)
        return false;
    view->end = at + IPV6_HEADER_SIZE + load_16(packet + at + 4);
    view->family = 6;
    view->protocol = packet[at + 6];
    view->source = at + 8;
    view->destination = at + 24;
    view->transport = at + IPV6_HEADER_SIZE;
    return true;
}

static void parse_transport(const uint8_t *packet, size_t size, struct capture_view *view)
{
    uint32_t header = view->protocol == IP_PROTOCOL_TCP ? TCP_HEADER_MIN : 8;

    if (view->protocol != IP_PROTOCOL_TCP && view->protocol != IP_PROTOCOL_UDP)
        return;
    if (!view->transport || size < view->transport + header || view->end < view->transport + header)
        return;
    view->has_ports = true;
    view->source_port = load_16(packet + view->transport);
    view->destination_port = load_16(packet + view->transport + 2);
    if (view->protocol == IP_PROTOCOL_TCP)
        view->tcp_flags = packet[view->transport + 13];
}

void capture_parse(const uint8_t *packet, size_t size, bool ethernet, struct capture_view *view)
{
    uint32_t at = ethernet ? ETHER_HEADER_SIZE : 0;
    uint8_t version;

    *view = (struct capture_view){.family = 0};
    if (size <= at)
        return;
    version = packet[at] >> 4;
    if (ethernet && load_16(packet + 12) != (version == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6))
        return;
    if ((version == 4 && parse_v4(packet, size, at, view)) ||
        (version == 6 && parse_v6(packet, size, at, view)))
        parse_transport(packet, size, view);
}

void capture_fill_checksum(uint8_t *packet, size_t size, const struct capture_view *view,
                           uint8_t flags)
{
    size_t address_size = view->family == 4 ? 4 : 16;
    uint32_t length = view->end - view->transport;
    uint16_t field, pseudo_field;
    uint64_t pseudo;
    uint8_t *at;

    if (!view->has_ports || view->end > size ||
        !(flags & (CAPTURE_CHECKSUM_LEFT | CAPTURE_CHECKSUM_PARTIAL)))
        return;
    at = packet + view->transport +
         (view->protocol == IP_PROTOCOL_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
    pseudo = checksum_pseudo_header(packet + view->source, packet + view->destination, address_size,
                                    view->protocol, length);
    pseudo_field = checksum_fold(pseudo);
    memcpy(&field, at, sizeof(field));
    if (!(flags & CAPTURE_CHECKSUM_LEFT) && field != pseudo_field)
        return;
    memset(at, 0, sizeof(field));
    field = checksum_finish(checksum_add(pseudo, packet + view->transport, length));
    if (!field && view->protocol == IP_PROTOCOL_UDP)
        field = 0xffff; /* 0 says that there is none: RFC 768 */
    memcpy(at, &field, sizeof(field));
}

const char *capture_flags(uint8_t tcp_flags, char text[CAPTURE_FLAGS_SIZE])
{
    static const char letters[] = "FSRP.UEW"; /* from the lowest bit on */
    uint32_t used = 0;

    for (uint32_t bit = 0; bit < 8; bit++) {
        if (tcp_flags >> bit & 1)
            text[used++] = letters[bit];
    }
    text[used] = '\0';
    return text;
}

const char *capture_line(const uint8_t *packet, const struct capture_view *view,
                         char line[CAPTURE_LINE_SIZE])
{
    int family = view->family == 4 ? AF_INET : AF_INET6;
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], flags[CAPTURE_FLAGS_SIZE];

    if (!view->family)
        return "not IP";
    inet_ntop(family, packet + view->source, source, sizeof(source));
    inet_ntop(family, packet + view->destination, destination, sizeof(destination));
    if (!view->has_ports)
        snprintf(line, CAPTURE_LINE_SIZE, "%s > %s protocol %u", source, destination,
                 view->protocol);
    else if (view->protocol == IP_PROTOCOL_UDP)
        snprintf(line, CAPTURE_LINE_SIZE, "%s.%u > %s.%u UDP", source, view->source_port,
                 destination, view->destination_port);
    else
        snprintf(line, CAPTURE_LINE_SIZE, "%s.%u > %s.%u TCP [%s]", source, view->source_port,
                 destination, view->destination_port, capture_flags(view->tcp_flags, flags));
    return line;
}
