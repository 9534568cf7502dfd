/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets, parsed once into a checked view (in) and built (out). Behind this file nobody looks at
 * raw headers: lengths are true, checksums are right. Whether TCP may talk to the addresses is asked where a
 * segment belongs to no connection that is known (utcp__addresses_allowed()). */
#ifndef UTCP_PACKET_H
#define UTCP_PACKET_H

#include "utcp.h"
#include "wire.h"

#define UTCP_OPTIONS_MAX 40 /* bytes, RFC 9293 section 3.1 */
#define UTCP_SACK_BLOCKS 4  /* that fit the options, RFC 2018 section 3 */

#define UTCP_ACCECN_FIELDS 3 /* RFC 9768 section 3.2.3 */

/* Sequence numbers from start up to, and without, end. */
struct utcp_sack_block {
    uint32_t start, end;
};

/* RFC 7413 section 4.1.1, bytes. */
#define UTCP_COOKIE_MIN  4
#define UTCP_COOKIE_MAX  16
#define UTCP_COOKIE_STEP 2

/* Words of a header, which may lie anywhere. What is put ends at what is returned. */
static inline uint32_t utcp__get_be32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint8_t *utcp__put_be32(uint8_t *at, uint32_t value)
{
    *at++ = (uint8_t)(value >> 24);
    *at++ = (uint8_t)(value >> 16);
    *at++ = (uint8_t)(value >> 8);
    *at++ = (uint8_t)value;
    return at;
}

/* Options of a segment, as far as they were there and well formed (options/). */
struct utcp_segment_options {
    bool has_mss, has_window_scale, has_timestamps, sack_permitted;
    bool usual_syn; /* these four, with a good MSS, and no others: options/syn.h */
    uint8_t sacks;  /* blocks */
    uint8_t window_scale;
    uint16_t mss;
    uint32_t ts_value, ts_echo;
    bool has_fast_open, fast_open_experimental;
    uint8_t cookie_size;   /* 0: asks for one */
    const uint8_t *cookie; /* in the segment */
    bool later;            /* one has something to say in any segment: `received` of its module */
    uint16_t user_timeout; /* as it came; 0: none */
    bool has_accecn, accecn_order1;
    uint8_t accecn_fields;               /* of … */
    uint32_t accecn[UTCP_ACCECN_FIELDS]; /* … as they came, in the order of their kind */
    struct utcp_sack_block sack[UTCP_SACK_BLOCKS]; /* so many are set: `sacks` */
};

/* A TCP segment that came in. */
struct utcp_segment {
    struct utcp_endpoint local, remote; /* as this stack sees it: local is the destination */
    uint32_t seq, ack;
    uint32_t urgent_end; /* with URG: the sequence number behind the urgent data */
    uint16_t window;     /* as it stands in the header, not scaled */
    uint8_t ecn;         /* IP_ECN_* */
    uint16_t flags;      /* TCP_* */
    uint32_t length;     /* bytes of payload; SYN and FIN do not count here */
    const uint8_t *payload;
    struct utcp_segment_options options;
    uint32_t hash; /* of its endpoints in the tables: utcp__find_for() */
};

/* An ICMP error about a segment of ours. */
struct utcp_icmp_error {
    struct utcp_endpoint local, remote; /* of the segment quoted in it */
    uint32_t seq;                       /* of the segment quoted in it */
    bool too_big;                       /* fragmentation needed, packet too big */
    uint32_t mtu;                       /* with too_big; 0: not told */
    int error;                          /* otherwise: a negative errno value, or 0: no matter */
    bool passing; /* … and it says nothing about the peer: RFC 9293 MUST-56 */
};

enum utcp_packet_kind {
    PACKET_TCP,
    PACKET_ICMP_ERROR,
    PACKET_MALFORMED,
    PACKET_BAD_CHECKSUM,
    PACKET_OTHER, /* whole and fine, but nothing for us */
};

struct utcp_packet {
    enum utcp_packet_kind kind;
    union {
        struct utcp_segment segment;  /* PACKET_TCP */
        struct utcp_icmp_error error; /* PACKET_ICMP_ERROR */
    };
};

/* `flags` as for utcp_input(). The view refers to the bytes of `data`. */
void utcp__packet_parse(const uint8_t *data, size_t length, unsigned flags,
                        struct utcp_packet *packet);

/* The rest of that for a packet whose IP header has been looked at: it has neither options nor extension
 * headers, TCP's checksum is right, and TCP_HEADER_MIN bytes or more, `length`, are there from `tcp` on. False:
 * it is malformed. */
bool utcp__packet_parse_sound(const uint8_t *data, const struct wire_tcp *tcp, uint32_t length,
                              struct utcp_segment *segment);

/* Of a packet without IP options or extension headers, `length` bytes from the TCP header at `tcp` on:
 * whether TCP's checksum is right as far as `flags` want it to be, and the endpoints, which are not checked. */
bool utcp__packet_checksum_right(const uint8_t *data, const uint8_t *tcp, uint32_t length,
                                 unsigned flags);
void utcp__packet_endpoints(const uint8_t *data, struct utcp_endpoint *local,
                            struct utcp_endpoint *remote);

/* What is to be sent. */
struct utcp_outgoing {
    const struct utcp_endpoint *local, *remote;
    uint32_t seq, ack;
    uint16_t window; /* as it is to stand in the header */
    uint16_t ip_id;  /* IPv4 */
    uint16_t flags;
    uint16_t urgent; /* the pointer, with URG */
    uint8_t ecn;     /* IP_ECN_* */
    uint8_t dscp, hop_limit;
    uint8_t options_length; /* a multiple of four */
    uint32_t length;        /* bytes of payload */
};

/* Bytes of the IP header, and of that and the TCP header, without options. */
static inline uint32_t utcp__ip_header(uint8_t family)
{
    return family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
}

static inline uint32_t utcp__packet_headers(uint8_t family)
{
    return utcp__ip_header(family) + TCP_HEADER_MIN;
}

/* Hostile.md W8: whether a segment may come from one to the other. That a host's own address comes as the
 * source is all right as long as it is not the very same end. */
bool utcp__addresses_allowed(const struct utcp_endpoint *source,
                             const struct utcp_endpoint *destination);
/* Whether TCP may talk to this address: not unspecified, multicast or broadcast. */
bool utcp__address_is_unicast(const struct utcp_endpoint *endpoint);
/* 127.0.0.0/8 or ::1, which talk to each other alone (RFC 1122 section 3.2.1.3). */
bool utcp__address_is_loopback(const struct utcp_endpoint *endpoint);

#endif
