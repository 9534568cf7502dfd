/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet, parsed once into a checked view: code behind it sees the meaning and measures nothing
 * again.
 *
 * packet_parse() is for what comes from a NIC and asks only what is needed to deliver it;
 * validate_packet() (validate.h) is for what an application sends, and asks everything. */
#ifndef MULTISTACK_SWITCH_PACKET_H
#define MULTISTACK_SWITCH_PACKET_H

#include <arpa/inet.h>
#include <endian.h>

#include "checksum.h"
#include "stats.h"
#include "tuple.h"

struct packet_view {
    struct tuple local; /* the 3-tuple on this host: destination when received, source when sent;
                            * of an ICMP error: the quoted source */
    uint64_t remote[2]; /* the other end's address, as struct tuple has it */
    be16 remote_port;   /* 0 where the quoted packet has none */
    uint32_t length;    /* of the IP packet, bytes, as its header says */
    uint16_t headers;   /* bytes of IP and transport header; ICMP: of the IP header alone */
    uint8_t family;     /* 4 or 6 */
    uint8_t protocol;   /* of the packet itself: ICMP errors say ICMP */
    uint8_t transport;  /* byte where the transport header starts */
};

/* The network layer, checked: lengths agree with each other, not with what there is. */
struct packet_network {
    const uint8_t *source, *destination;
    uint32_t header; /* bytes of IP header and IPv6 extension headers */
    uint32_t length; /* of the packet, as its header says; at least `header` */
    uint8_t family;
    uint8_t protocol; /* of what follows the headers */
    /* a fragment (RFC 791, RFC 8200 section 4.5), or a packet with a fragment header that is whole
     * (RFC 6946) */
    bool fragmented;
    bool more;
    uint32_t offset; /* of the fragment's payload in the datagram's, bytes */
    uint32_t id;
    uint16_t fragment_header; /* IPv6: where it starts, and where the byte is that announces it */
    uint16_t announced_at;
};

/* Of an IPv6 packet at most PACKET_EXTENSIONS_MAX extension headers of PACKET_EXTENSION_BYTES_MAX
 * bytes together are walked: what the mux walks, too. The walk ends behind the header of a fragment
 * that is not the first. DROP_NONE or DROP_RX_UNPARSED. */
enum drop_reason packet_parse_network(const uint8_t *bytes, uint32_t available,
                                      struct packet_network *network);

#define PACKET_EXTENSIONS_MAX      6
#define PACKET_EXTENSION_BYTES_MAX 160

/* Parses the IP packet that starts at `bytes`, of which `available` bytes are contiguous and
 * `length` are there in all (there may be padding behind the packet). DROP_NONE: *view is set.
 * DROP_RX_FRAGMENT_BAD: a fragment, which fragments.h is for. */
enum drop_reason packet_parse(const uint8_t *bytes, uint32_t available, uint32_t length,
                              struct packet_view *view);

/* packet_parse() for what nearly all packets are: IPv4 without options, whole, with TCP or UDP. False:
 * it is something else, or something is wrong with it; packet_parse() says what. */
static inline bool packet_parse_plain(const uint8_t *bytes, uint32_t available, uint32_t length,
                                      struct packet_view *view)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)bytes;
    const uint8_t *transport = bytes + IPV4_HEADER_MIN;
    const struct wire_ports *ports = (const struct wire_ports *)transport;
    uint32_t total, header;

    if (available < IPV4_HEADER_MIN + UDP_HEADER_SIZE || ip->version_ihl != 0x45 ||
        (ip->fragment & htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)))
        return false;
    total = ntohs(ip->total_length);
    if (total > length || !checksum_ipv4_good(bytes))
        return false;
    if (available > total)
        available = total; /* Ethernet padding is not the packet's (W3) */
    if (ip->protocol == IP_PROTOCOL_TCP && available >= IPV4_HEADER_MIN + TCP_HEADER_MIN) {
        header = (((const struct wire_tcp *)transport)->data_offset >> 4) * 4u;
        if (header < TCP_HEADER_MIN || IPV4_HEADER_MIN + header > available)
            return false;
    } else if (ip->protocol == IP_PROTOCOL_UDP && available >= IPV4_HEADER_MIN + UDP_HEADER_SIZE) {
        uint32_t said = ntohs(((const struct wire_udp *)transport)->length);

        header = UDP_HEADER_SIZE;
        if (said < UDP_HEADER_SIZE || said > total - IPV4_HEADER_MIN)
            return false;
    } else {
        return false;
    }
    view->family = 4;
    view->protocol = ip->protocol;
    view->transport = IPV4_HEADER_MIN;
    view->length = total;
    view->headers = (uint16_t)(IPV4_HEADER_MIN + header);
    view->local = tuple_make(ip->destination, 4, ip->protocol, ports->destination_port);
    tuple_load_address(view->remote, ip->source, 4);
    view->remote_port = ports->source_port;
    return true;
}

static inline uint8_t packet_address_size(const struct packet_view *view)
{
    return view->family == 4 ? 4 : 16;
}

/* Whether its address on this host is one that no wire can bring: 127.0.0.0/8 or ::1. */
static inline bool packet_is_loopback(const struct packet_view *view)
{
    if (view->family == 4)
        return *(const uint8_t *)&view->local.low == 127;
    return view->local.low == 0 && view->local.high == htobe64(1);
}

/* The sum of the packet's pseudo-header over a transport part of `length` bytes. */
uint64_t packet_pseudo_header(const uint8_t *bytes, const struct packet_view *view,
                              uint32_t length);

/* Whether we know how to fill in its transport checksum. */
static inline bool packet_has_checksum(const struct packet_view *view)
{
    return view->protocol == IP_PROTOCOL_TCP || view->protocol == IP_PROTOCOL_UDP;
}

/* Where the transport checksum stands, bytes from the start of the packet; TCP and UDP alone. */
static inline uint32_t packet_checksum_offset(const struct packet_view *view)
{
    return view->transport + (view->protocol == IP_PROTOCOL_TCP ? 16u : 6u);
}

/* Computes and stores the transport checksum of a whole packet (TCP or UDP). */
void packet_fill_checksum(uint8_t *bytes, const struct packet_view *view);

/* A hash of the connection that is the same for all of its packets in one direction, and for the
 * ICMP errors about it. Its low half spreads flows over the ports that share a 3-tuple, its high
 * half over the rings of a port, so that the one choice says nothing about the other. The two
 * addresses go in by different words of the key: whoever chooses both must not choose their sum. */
static inline uint64_t flow_hash(const struct hash_key *key, const struct tuple *local,
                                 const uint64_t remote[2], be16 remote_port)
{
    uint64_t here = hash_fold(local->low ^ key->word[2], local->high ^ key->word[3]);
    uint64_t hash =
        hash_words(key, remote[0], remote[1], here ^ ((uint64_t)remote_port << 32 | local->rest));

    return hash_mix(hash);
}

/* What spreads flows over rings. */
static inline uint32_t packet_flow_hash(const struct hash_key *key, const struct packet_view *view)
{
    return (uint32_t)(flow_hash(key, &view->local, view->remote, view->remote_port) >> 32);
}

#endif
