/* SPDX-License-Identifier: BSD-2-Clause */
/* Every header that goes over the wire, and every protocol number, in one place.
 *
 * The structs are packed and therefore may be laid over any byte; multi-byte fields are in network
 * order (`be16`, `be32`) and are read with ntohs()/ntohl(). Nothing here checks anything: whoever
 * lays a struct over bytes has measured them before. Shared by the switch, UTCP and the tests; the
 * eBPF programs use the kernel's own headers. */
#ifndef MULTISTACK_WIRE_H
#define MULTISTACK_WIRE_H

#include <assert.h>
#include <stdint.h>

typedef uint16_t be16;
typedef uint32_t be32;

#define WIRE_PACKED __attribute__((packed))

/* Ethernet II */
#define ETHER_ADDRESS_SIZE 6
#define ETHER_HEADER_SIZE  14
#define ETHER_MIN_SIZE     60 /* bytes, without the frame check sequence */
#define ETHER_TYPE_IPV4    0x0800
#define ETHER_TYPE_IPV6    0x86dd

struct wire_ether {
    uint8_t destination[ETHER_ADDRESS_SIZE];
    uint8_t source[ETHER_ADDRESS_SIZE];
    be16 type;
} WIRE_PACKED;
static_assert(sizeof(struct wire_ether) == ETHER_HEADER_SIZE, "IEEE 802.3");

/* IPv4, RFC 791 */
#define IPV4_HEADER_MIN      20
#define IPV4_HEADER_MAX      60
#define IPV4_DONT_FRAGMENT   0x4000 /* in fragment, host order */
#define IPV4_MORE_FRAGMENTS  0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff /* units of 8 bytes */
#define IP_PACKET_MAX        65535

struct wire_ipv4 {
    uint8_t version_ihl; /* version in the high nibble, header length in 32-bit words in the low */
    uint8_t tos;         /* DSCP (6 bits), ECN (2 bits), RFC 2474, RFC 3168 */
    be16 total_length;
    be16 id;
    be16 fragment; /* flags (3 bits), offset (13 bits) */
    uint8_t ttl;
    uint8_t protocol;
    be16 checksum;
    uint8_t source[4];
    uint8_t destination[4];
} WIRE_PACKED;
static_assert(sizeof(struct wire_ipv4) == IPV4_HEADER_MIN, "RFC 791");

#define IP_ECN_NOT 0 /* the two lowest bits of TOS and traffic class, RFC 3168 section 5 */
#define IP_ECN_1   1 /* ECT(1) */
#define IP_ECN_0   2 /* ECT(0) */
#define IP_ECN_CE  3

/* IPv6, RFC 8200 */
#define IPV6_HEADER_SIZE 40

struct wire_ipv6 {
    be32 version_class_flow; /* version 4 bits, traffic class 8, flow label 20 */
    be16 payload_length;
    uint8_t next_header;
    uint8_t hop_limit;
    uint8_t source[16];
    uint8_t destination[16];
} WIRE_PACKED;
static_assert(sizeof(struct wire_ipv6) == IPV6_HEADER_SIZE, "RFC 8200");

/* IPv6 extension headers that may be walked over, RFC 8200 section 4: the next header, then the length
 * in units of 8 bytes behind the first 8 */
#define IPV6_EXTENSION_MIN       8
#define IPV6_HOP_BY_HOP          0
#define IPV6_ROUTING             43
#define IPV6_FRAGMENT            44
#define IPV6_DESTINATION_OPTIONS 60

struct wire_fragment {
    uint8_t next_header;
    uint8_t reserved;
    be16 offset; /* bytes in the upper 13 bits, "more" in the lowest */
    be32 id;
} WIRE_PACKED;
static_assert(sizeof(struct wire_fragment) == IPV6_EXTENSION_MIN, "RFC 8200");

/* Numbers of the IANA protocol registry that this project names. */
#define IP_PROTOCOL_ICMP    1
#define IP_PROTOCOL_TCP     6
#define IP_PROTOCOL_IGMP    2
#define IP_PROTOCOL_UDP     17
#define IP_PROTOCOL_DCCP    33
#define IP_PROTOCOL_ICMPV6  58
#define IP_PROTOCOL_SCTP    132
#define IP_PROTOCOL_UDPLITE 136

/* TCP, RFC 9293 section 3.1 */
#define TCP_HEADER_MIN 20
#define TCP_HEADER_MAX 60

#define TCP_FIN       0x01
#define TCP_SYN       0x02
#define TCP_RST       0x04
#define TCP_PSH       0x08
#define TCP_ACK       0x10
#define TCP_URG       0x20
#define TCP_ECE       0x40 /* RFC 3168 */
#define TCP_CWR       0x80
#define TCP_AE        0x100 /* RFC 9768: the last bit of the byte before the flags, here above them */
#define TCP_ACE_SHIFT 6 /* AE, CWR and ECE as one number, the ACE field: RFC 9768 section 3.2.2 */

struct wire_tcp {
    be16 source_port;
    be16 destination_port;
    be32 sequence;
    be32 acknowledgment;
    uint8_t data_offset; /* header length in 32-bit words, in the high nibble */
    uint8_t flags;
    be16 window;
    be16 checksum;
    be16 urgent;
} WIRE_PACKED;
static_assert(sizeof(struct wire_tcp) == TCP_HEADER_MIN, "RFC 9293");

/* TCP option kinds and their whole lengths in bytes */
#define TCP_OPTION_END            0
#define TCP_OPTION_NOP            1
#define TCP_OPTION_MSS            2   /* RFC 9293 section 3.7.1 */
#define TCP_OPTION_WINDOW_SCALE   3   /* RFC 7323 section 2.2 */
#define TCP_OPTION_SACK_PERMITTED 4   /* RFC 2018 section 2 */
#define TCP_OPTION_SACK           5   /* RFC 2018 section 3 */
#define TCP_OPTION_TIMESTAMPS     8   /* RFC 7323 section 3.2 */
#define TCP_OPTION_USER_TIMEOUT   28  /* RFC 5482 section 2 */
#define TCP_OPTION_FAST_OPEN      34  /* RFC 7413 section 4.1.1 */
#define TCP_OPTION_ACCECN0        172 /* RFC 9768 section 3.2.3: ECT(0), CE, ECT(1) */
#define TCP_OPTION_ACCECN1        174 /* ECT(1), CE, ECT(0) */
#define TCP_OPTION_EXPERIMENTAL   254 /* RFC 4727, with an identifier: RFC 6994 */

#define TCP_OPTION_MSS_LENGTH            4
#define TCP_OPTION_WINDOW_SCALE_LENGTH   3
#define TCP_OPTION_SACK_PERMITTED_LENGTH 2
#define TCP_OPTION_TIMESTAMPS_LENGTH     10
#define TCP_OPTION_USER_TIMEOUT_LENGTH   4

/* UDP, RFC 768 */
#define UDP_HEADER_SIZE 8

struct wire_udp {
    be16 source_port;
    be16 destination_port;
    be16 length;
    be16 checksum;
} WIRE_PACKED;
static_assert(sizeof(struct wire_udp) == UDP_HEADER_SIZE, "RFC 768");

/* The fields of every protocol that has ports in its first four bytes (TCP, UDP, SCTP, DCCP …). */
struct wire_ports {
    be16 source_port;
    be16 destination_port;
} WIRE_PACKED;

/* ICMP errors, RFC 792, and ICMPv6 errors, RFC 4443: eight bytes, then the packet that caused them
 */
#define ICMP_HEADER_SIZE               8
#define ICMP_DESTINATION_UNREACHABLE   3
#define ICMP_FRAGMENTATION_NEEDED      4 /* code; next-hop MTU in the last 16 bits, RFC 1191 */
#define ICMP_TIME_EXCEEDED             11
#define ICMP_PARAMETER_PROBLEM         12
#define ICMPV6_DESTINATION_UNREACHABLE 1
#define ICMPV6_PACKET_TOO_BIG          2 /* MTU in `rest`, 32 bits, RFC 4443 section 3.2 */
#define ICMPV6_TIME_EXCEEDED           3
#define ICMPV6_PARAMETER_PROBLEM       4

struct wire_icmp {
    uint8_t type;
    uint8_t code;
    be16 checksum;
    be32 rest;
} WIRE_PACKED;
static_assert(sizeof(struct wire_icmp) == ICMP_HEADER_SIZE, "RFC 792");

#endif
