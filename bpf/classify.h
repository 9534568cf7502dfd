/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What both programs ask of a frame: is it for a 3-tuple that a stack has bound? Included once by
 * each of them (mux.bpf.c, at the NIC; tap.bpf.c, at a packet socket), with how to get at the bytes:
 *
 *   PACKET_CONTEXT        the context's type
 *   packet_size(ctx)      bytes of the frame, from the Ethernet header on
 *   packet_load(ctx, offset, to, size)   0, or negative where the frame does not hold them
 *   packet_is_local()     true where the frames come from this host itself (lo): then its own and
 *                         the loopback addresses are good sources, and 127.0.0.1 and ::1 are
 *                         destinations that a wildcard binding means
 *
 * The comment at the head of mux.bpf.c tells the way through it. */
#ifndef MULTISTACK_CLASSIFY_H
#define MULTISTACK_CLASSIFY_H

#include "quoted.h"
#include "transport.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MUX_BINDINGS_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC); /* most hosts bind a handful: memory as it is used */
    __type(key, struct mux_key);
    __type(value, __u32);
} mux_bindings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, MUX_ADDRESSES_MAX);
    __type(key, struct mux_addr);
    __type(value, __u32);
} mux_addresses SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, struct mux_shared);
} mux_shared SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MUX_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} mux_verdicts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, MUX_FRAGMENTS_MAX);
    __type(key, struct mux_fragment);
    __type(value, struct mux_first);
} mux_fragments SEC(".maps");

#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, or an offset */
#define IPV4_MORE_BIT      0x2000
#define IPV4_OFFSET_BITS   0x1fff /* units of 8 bytes */
#define IPV6_MORE_BIT      0x0001
#define IPV6_OFFSET_BITS   0xfff8 /* bytes */
#define OPTIONS_MAX        8      /* of one extension header */

/* Offsets: constant, since options and extension headers pass. */
#define AT_IPV4 (AT_IP + sizeof(struct iphdr))
#define AT_IPV6 (AT_IP + sizeof(struct ipv6hdr))

/* RFC 792; <linux/icmp.h> drags the C library's headers in, which are not for this target. */
#define ICMP_DEST_UNREACH  3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

struct icmp_header { /* the same in RFC 4443 */
    __u8 type;
    __u8 code;
    __be16 checksum;
    __be32 rest;
};

struct frame {
    PACKET_CONTEXT *ctx;
    const __u8 *data;
    const __u8 *data_end; /* of the linear part */
};

static __always_inline bool holds(const struct frame *frame, __u32 length)
{
    return frame->data + length <= frame->data_end || packet_size(frame->ctx) >= length;
}

/* The `size` bytes at `offset`, or NULL where the frame does not hold them. `copy` takes them when
 * they are not in the linear part. */
static __always_inline const void *at(const struct frame *frame, __u32 offset, __u32 size,
                                      void *copy)
{
    if (frame->data + offset + size <= frame->data_end)
        return frame->data + offset;
    if (packet_load(frame->ctx, offset, copy, size))
        return NULL;
    return copy;
}

/* Sources that nobody may have: answering one is how reflectors are made (W8). The host stack drops
 * them as martians. */
static __always_inline bool ipv4_source_is_bad(__be32 source)
{
    __u32 first = bpf_ntohl(source) >> 24;

    return first == 0 || (first == 127 && !packet_is_local()) || first >= 224;
}

static __always_inline bool ip6_is_loopback(const __be32 *word)
{
    return word[0] == 0 && word[1] == 0 && word[2] == 0 && word[3] == bpf_htonl(1);
}

static __always_inline bool ipv6_source_is_bad(const struct in6_addr *source)
{
    const __be32 *word = source->in6_u.u6_addr32;

    if (source->in6_u.u6_addr8[0] == 0xff) /* multicast */
        return true;
    if (packet_is_local() && ip6_is_loopback(word))
        return false;
    /* ::/96 holds the unspecified, the loopback and the IPv4-compatible addresses; the other is the
     * IPv4-mapped ones, which are for interfaces of programs and not for the wire (RFC 4291). */
    return word[0] == 0 && word[1] == 0 && (word[2] == 0 || word[2] == bpf_htonl(0xffff));
}

/* Also says MUX_PASS_FRAGMENT, with *transport set. */
static __always_inline enum mux_verdict parse_ipv4(const struct frame *frame,
                                                   struct transport *transport)
{
    struct iphdr copy;
    const struct iphdr *ip = at(frame, AT_IP, sizeof(*ip), &copy);
    __u32 total;

    if (!ip || ip->version != 4 || ip->ihl != 5)
        return MUX_PASS_UNPARSED;
    total = bpf_ntohs(ip->tot_len);
    if (total < sizeof(*ip) || !holds(frame, AT_IP + total))
        return MUX_PASS_UNPARSED;
    if (ipv4_source_is_bad(ip->saddr) || (ip->saddr == ip->daddr && !packet_is_local()))
        return MUX_PASS_UNPARSED;
    transport->family = 4;
    transport->protocol = ip->protocol;
    transport->offset = AT_IPV4;
    transport->length = total - sizeof(*ip);
    __builtin_memcpy(transport->local, &ip->daddr, 4);
    return ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS) ? MUX_PASS_FRAGMENT : MUX_CLAIMED;
}

static __always_inline enum mux_verdict parse_ipv6(const struct frame *frame,
                                                   struct transport *transport)
{
    struct ipv6hdr copy;
    const struct ipv6hdr *ip = at(frame, AT_IP, sizeof(*ip), &copy);
    __u32 payload;

    if (!ip || ip->version != 6)
        return MUX_PASS_UNPARSED;
    payload = bpf_ntohs(ip->payload_len); /* 0 in jumbograms (RFC 2675): nothing fits into it */
    if (!holds(frame, AT_IPV6 + payload))
        return MUX_PASS_UNPARSED;
    if (ipv6_source_is_bad(&ip->saddr) ||
        (!__builtin_memcmp(&ip->saddr, &ip->daddr, sizeof(ip->saddr)) && !packet_is_local()))
        return MUX_PASS_UNPARSED;
    transport->family = 6;
    transport->protocol = ip->nexthdr;
    transport->offset = AT_IPV6;
    transport->length = payload;
    __builtin_memcpy(transport->local, &ip->daddr, 16);
    return MUX_CLAIMED;
}

/* The steps below take the offset as an argument that is a constant at every call, so that the
 * verifier sees constants. Each fills `port` and says MUX_CLAIMED, or why not. */

static __always_inline enum mux_verdict parse_tcp(const struct frame *frame, __u32 offset,
                                                  __u32 length, __be16 *port)
{
    struct tcphdr copy;
    const struct tcphdr *tcp = at(frame, offset, sizeof(*tcp), &copy);

    if (!tcp || tcp->doff < 5 || tcp->doff * 4u > length)
        return MUX_PASS_UNPARSED;
    *port = tcp->dest;
    return MUX_CLAIMED;
}

static __always_inline enum mux_verdict parse_udp(const struct frame *frame, __u32 offset,
                                                  __u32 length, __be16 *port)
{
    struct udphdr copy;
    const struct udphdr *udp = at(frame, offset, sizeof(*udp), &copy);

    if (!udp || bpf_ntohs(udp->len) < sizeof(*udp) || bpf_ntohs(udp->len) > length)
        return MUX_PASS_UNPARSED;
    *port = udp->dest;
    return MUX_CLAIMED;
}

static __always_inline bool icmp_is_error(__u8 family, __u8 type)
{
    if (family == 4)
        return type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
               type == ICMP_PARAMETERPROB;
    return type == ICMPV6_DEST_UNREACH || type == ICMPV6_PKT_TOOBIG || type == ICMPV6_TIME_EXCEED ||
           type == ICMPV6_PARAMPROB;
}

static __always_inline __u32 bound_bits(__u8 protocol)
{
    __u32 zero = 0;
    const struct mux_shared *shared = bpf_map_lookup_elem(&mux_shared, &zero);

    return shared ? *(const volatile __u8 *)&shared->bound[protocol] : 0;
}

/* Neither TCP nor UDP: where somebody has bound the protocol it has ports or it has none, which then
 * counts as port 0. At least four bytes are asked for in either case. */
static __always_inline enum mux_verdict fit_port(__u8 protocol, __be16 *port)
{
    __u32 bits = bound_bits(protocol);

    if (!(bits & ~MUX_BOUND_PORTS))
        return MUX_PASS_OTHER;
    if (!(bits & MUX_BOUND_PORTS))
        *port = 0;
    return MUX_CLAIMED;
}

static __always_inline enum mux_verdict parse_other(const struct frame *frame, __u32 offset,
                                                    const struct transport *transport, __be16 *port)
{
    __be16 copy[2];
    const __be16 *ports = at(frame, offset, sizeof(copy), copy);
    enum mux_verdict verdict;

    *port = ports ? ports[1] : 0;
    verdict = fit_port(transport->protocol, port);
    if (verdict == MUX_CLAIMED && (!ports || transport->length < sizeof(copy)))
        return MUX_PASS_UNPARSED;
    return verdict;
}

/* An error is for whoever sent the packet that it quotes: its source is the 3-tuple to look for.
 * The source address must be the address that the error came to; a quote of anything else was not
 * sent by us. What the switch would make nothing of is not claimed (quoted.h). Sets `protocol` to
 * the quoted packet's. */
static __always_inline enum mux_verdict parse_icmp_v4(const struct frame *frame,
                                                      struct transport *transport, __be16 *port)
{
    struct icmp_header icmp_copy;
    struct iphdr quoted_copy;
    __be16 ports_copy[QUOTED_BYTES / 2];
    const struct icmp_header *icmp = at(frame, AT_IPV4, sizeof(*icmp), &icmp_copy);
    const struct iphdr *quoted;
    const __be16 *ports;

    if (!icmp)
        return MUX_PASS_UNPARSED;
    if (!icmp_is_error(4, icmp->type))
        return MUX_PASS_OTHER;
    quoted = at(frame, AT_IPV4 + sizeof(*icmp), sizeof(*quoted), &quoted_copy);
    ports = at(frame, AT_IPV4 + sizeof(*icmp) + sizeof(*quoted), QUOTED_BYTES, ports_copy);
    if (!quoted || !ports || transport->length < sizeof(*icmp) + sizeof(*quoted) + QUOTED_BYTES ||
        !quoted_ipv4_is_good((__u8)(quoted->version << 4 | quoted->ihl), bpf_ntohs(quoted->tot_len),
                             bpf_ntohs(quoted->frag_off)) ||
        __builtin_memcmp(&quoted->saddr, transport->local, 4))
        return MUX_PASS_UNPARSED;
    transport->protocol = quoted->protocol;
    transport->headless = 1;
    *port = ports[0];
    if (transport->protocol == IPPROTO_TCP || transport->protocol == IPPROTO_UDP)
        return MUX_CLAIMED;
    return fit_port(transport->protocol, port);
}

static __always_inline enum mux_verdict parse_icmp_v6(const struct frame *frame,
                                                      struct transport *transport, __be16 *port)
{
    struct icmp_header icmp_copy;
    struct ipv6hdr quoted_copy;
    __be16 ports_copy[QUOTED_BYTES / 2];
    const struct icmp_header *icmp = at(frame, AT_IPV6, sizeof(*icmp), &icmp_copy);
    const struct ipv6hdr *quoted;
    const __be16 *ports;

    if (!icmp)
        return MUX_PASS_UNPARSED;
    if (!icmp_is_error(6, icmp->type))
        return MUX_PASS_OTHER;
    quoted = at(frame, AT_IPV6 + sizeof(*icmp), sizeof(*quoted), &quoted_copy);
    ports = at(frame, AT_IPV6 + sizeof(*icmp) + sizeof(*quoted), QUOTED_BYTES, ports_copy);
    if (!quoted || !ports || transport->length < sizeof(*icmp) + sizeof(*quoted) + QUOTED_BYTES ||
        quoted->version != 6 ||
        __builtin_memcmp(&quoted->saddr, transport->local, sizeof(quoted->saddr)))
        return MUX_PASS_UNPARSED;
    transport->protocol = quoted->nexthdr;
    transport->headless = 1;
    *port = ports[0];
    if (transport->protocol == IPPROTO_TCP || transport->protocol == IPPROTO_UDP)
        return MUX_CLAIMED;
    return fit_port(transport->protocol, port);
}

/* 127.0.0.0/8 and ::1 are not in mux_addresses: no wire can bring them. */
static __always_inline bool destination_is_loopback(const struct transport *transport)
{
    __be32 word[4];

    __builtin_memcpy(word, transport->local, sizeof(word));
    if (transport->family == 4)
        return transport->local[0] == 127;
    return ip6_is_loopback(word);
}

/* Ranges of ports, of each size that there is: the first port by masking. Changes the key, and says which
 * rules the range has. */
static __noinline int is_in_range(struct mux_key *exact, struct transport *transport)
{
    struct mux_key wildcard = {};
    __u32 zero = 0;
    const struct mux_shared *shared = bpf_map_lookup_elem(&mux_shared, &zero);
    const __u32 *bound;
    __u8 family;
    __u32 sizes;
    __u16 port;

    if (!shared || !exact || !transport)
        return 0;
    family = exact->family;
    port = bpf_ntohs(exact->port);
    sizes = *(const volatile __u32 *)&shared->range_sizes;
    wildcard.protocol = exact->protocol;
    for (int bits = MUX_RANGE_BITS_MIN; bits <= MUX_RANGE_BITS_MAX; bits++) {
        if (!(sizes >> bits & 1))
            continue;
        exact->family = wildcard.family = family | bits << MUX_RANGE_SHIFT;
        exact->port = wildcard.port = bpf_htons(port >> bits << bits);
        bound = bpf_map_lookup_elem(&mux_bindings, &wildcard);
        if (!bound)
            bound = bpf_map_lookup_elem(&mux_bindings, exact);
        if (!bound)
            continue;
        transport->policy = *bound;
        return 1;
    }
    return 0;
}

/* Exact address before wildcard (design.md, section 5). The address is looked up last, and what
 * nobody has bound of the protocol is not looked up: legacy traffic then costs one look-up where
 * stacks bind the wildcard address alone, and a wildcard binding still means this host's own
 * addresses and never what it forwards. */
static __always_inline enum mux_verdict claim(struct transport *transport, __be16 port)
{
    struct mux_key key = {
        .family = transport->family, .protocol = transport->protocol, .port = port};
    struct mux_addr address = {.family = transport->family};
    __u32 bits = bound_bits(transport->protocol);
    const __u32 *bound = NULL;

    if (transport->family == 6)
        bits >>= MUX_BOUND_IPV6;
    __builtin_memcpy(key.address, transport->local, sizeof(key.address));
    if (bits & MUX_BOUND_EXACT)
        bound = bpf_map_lookup_elem(&mux_bindings, &key);
    if (!bound && bits & MUX_BOUND_WILDCARD) {
        __builtin_memset(key.address, 0, sizeof(key.address));
        bound = bpf_map_lookup_elem(&mux_bindings, &key);
    }
    if (bound) {
        transport->policy = *bound;
    } else {
        if (!(bits & MUX_BOUND_RANGE))
            return MUX_PASS_UNCLAIMED;
        __builtin_memcpy(key.address, transport->local, sizeof(key.address));
        if (!is_in_range(&key, transport))
            return MUX_PASS_UNCLAIMED;
    }
    __builtin_memcpy(address.address, transport->local, sizeof(address.address));
    if (packet_is_local() && destination_is_loopback(transport))
        return MUX_CLAIMED;
    return bpf_map_lookup_elem(&mux_addresses, &address) ? MUX_CLAIMED : MUX_PASS_NOT_OURS;
}

/* ---- the slow way */

static __always_inline bool load(PACKET_CONTEXT *ctx, __u32 offset, void *to, __u32 size)
{
    return packet_load(ctx, offset, to, size) == 0;
}

/* The transport layer of a packet with extension headers or of a first fragment, whose UDP length
 * is that of the whole datagram. Errors in fragments and behind extension headers pass. */
static __noinline int claim_slowly(PACKET_CONTEXT *ctx, struct transport *transport, int fragment)
{
    struct tcphdr tcp;
    struct udphdr udp;
    __be16 ports[2];
    enum mux_verdict verdict = MUX_CLAIMED;
    __be16 port = 0;

    if (!transport)
        return MUX_PASS_UNPARSED;
    switch (transport->protocol) {
    case IPPROTO_TCP:
        if (!load(ctx, transport->offset, &tcp, sizeof(tcp)) || tcp.doff < 5 ||
            tcp.doff * 4u > transport->length)
            return MUX_PASS_UNPARSED;
        port = tcp.dest;
        break;
    case IPPROTO_UDP:
        if (!load(ctx, transport->offset, &udp, sizeof(udp)) || transport->length < sizeof(udp) ||
            bpf_ntohs(udp.len) < sizeof(udp) ||
            (!fragment && bpf_ntohs(udp.len) > transport->length))
            return MUX_PASS_UNPARSED;
        port = udp.dest;
        break;
    default:
        if (!load(ctx, transport->offset, ports, sizeof(ports)) ||
            transport->length < sizeof(ports))
            return bound_bits(transport->protocol) ? MUX_PASS_UNPARSED : MUX_PASS_OTHER;
        port = ports[1];
        verdict = fit_port(transport->protocol, &port);
        break;
    }
    return verdict == MUX_CLAIMED ? claim(transport, port) : verdict;
}

/* A first fragment: claimed, it claims the rest. */
static __always_inline enum mux_verdict
claim_first(PACKET_CONTEXT *ctx, struct transport *transport, const struct mux_fragment *key)
{
    struct mux_first first = {};
    enum mux_verdict verdict;

    if (transport->length % 8) /* RFC 791: what has more behind it is a multiple of 8 */
        return MUX_PASS_FRAGMENT;
    verdict = claim_slowly(ctx, transport, 1);
    if (verdict != MUX_CLAIMED)
        return verdict;
    first.seen_ns = bpf_ktime_get_ns();
    first.policy = transport->policy;
    return bpf_map_update_elem(&mux_fragments, key, &first, BPF_ANY) ? MUX_PASS_FRAGMENT
                                                                     : MUX_CLAIMED;
}

static __always_inline enum mux_verdict claim_later(struct transport *transport,
                                                    const struct mux_fragment *key)
{
    const struct mux_first *first = bpf_map_lookup_elem(&mux_fragments, key);

    if (!first || bpf_ktime_get_ns() - first->seen_ns >= MUX_FRAGMENT_TIMEOUT_NS)
        return MUX_PASS_FRAGMENT;
    transport->headless = 1;
    transport->policy = first->policy;
    return MUX_CLAIMED;
}

static __noinline int classify_fragment_v4(PACKET_CONTEXT *ctx, struct transport *transport)
{
    struct mux_fragment key = {.family = 4};
    struct iphdr ip;
    __u32 offset;

    if (!transport || !load(ctx, AT_IP, &ip, sizeof(ip)))
        return MUX_PASS_UNPARSED;
    __builtin_memcpy(key.source, &ip.saddr, 4);
    __builtin_memcpy(key.destination, &ip.daddr, 4);
    key.id = ip.id;
    key.protocol = ip.protocol;
    offset = bpf_ntohs(ip.frag_off) & IPV4_OFFSET_BITS;
    return offset ? claim_later(transport, &key) : claim_first(ctx, transport, &key);
}

/* The first two bytes of every extension header, and what follows in that of fragments (RFC 8200,
 * section 4.5) and of routing (section 4.4). */
struct extension {
    __u8 next;
    __u8 length; /* units of 8 bytes behind the first 8 */
    union {
        __be16 fragment;
        struct {
            __u8 routing_type;
            __u8 segments_left;
        };
    };
    __u32 id;
};

/* Options that a node may skip if it does not know them (RFC 8200 section 4.2: the highest two bits
 * are 00). What else there may be (jumbograms, home addresses) is the host's to judge. */
static __noinline int options_may_be_skipped(PACKET_CONTEXT *ctx, __u32 offset, __u32 end)
{
    for (int i = 0; i < OPTIONS_MAX && offset < end; i++) {
        __u8 option[2];

        if (!load(ctx, offset, option, 1) || option[0] & 0xc0)
            return 0;
        if (option[0] == 0) { /* Pad1 */
            offset++;
            continue;
        }
        if (!load(ctx, offset, option, 2))
            return 0;
        offset += 2 + option[1];
    }
    return offset == end;
}

/* Where a walk stands. */
struct walk {
    __u32 offset, end; /* bytes from the start of the frame */
    __u8 protocol;     /* what lies at `offset` */
    __u8 fragment;     /* 0: none; 1: first; 2: later, the walk ends there */
    __u8 has_fragment_header;
    __u32 id;
};

/* One step over the extension header at walk->offset. MUX_CLAIMED: go on. */
static __noinline int step(PACKET_CONTEXT *ctx, struct walk *walk, int number)
{
    struct extension extension;
    __u32 size;

    if (!walk || !load(ctx, walk->offset, &extension, sizeof(extension)))
        return MUX_PASS_UNPARSED;
    size = walk->protocol == IPPROTO_FRAGMENT ? 8 : (extension.length + 1) * 8;
    if (walk->offset + size > walk->end || walk->offset + size > AT_IPV6 + MUX_EXTENSION_BYTES_MAX)
        return MUX_PASS_UNPARSED;
    switch (walk->protocol) {
    case IPPROTO_HOPOPTS: /* the first or none at all */
    case IPPROTO_DSTOPTS:
        if ((walk->protocol == IPPROTO_HOPOPTS && number) ||
            !options_may_be_skipped(ctx, walk->offset + 2, walk->offset + size))
            return MUX_PASS_UNPARSED;
        break;
    case IPPROTO_ROUTING: /* type 0: RFC 5095; segments left: it is not for us */
        if (extension.routing_type == 0 || extension.segments_left)
            return MUX_PASS_UNPARSED;
        break;
    default: { /* IPPROTO_FRAGMENT */
        __u32 fragment = bpf_ntohs(extension.fragment);

        if (walk->has_fragment_header)
            return MUX_PASS_UNPARSED;
        walk->has_fragment_header = 1;
        /* neither more nor an offset: whole, as if without (RFC 6946) */
        walk->fragment = fragment & IPV6_OFFSET_BITS ? 2 : fragment & IPV6_MORE_BIT;
        walk->id = extension.id;
        break;
    }
    }
    walk->protocol = extension.next;
    walk->offset += size;
    return MUX_CLAIMED;
}

static __always_inline bool is_extension(__u8 protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
           protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT;
}

static __noinline int classify_extended(PACKET_CONTEXT *ctx, struct transport *transport)
{
    struct mux_fragment key = {.family = 6};
    struct walk walk = {};
    struct ipv6hdr ip;

    if (!transport || !load(ctx, AT_IP, &ip, sizeof(ip)))
        return MUX_PASS_UNPARSED;
    walk.protocol = ip.nexthdr;
    walk.offset = AT_IPV6;
    walk.end = AT_IPV6 + transport->length;
    for (int i = 0; i < MUX_EXTENSIONS_MAX && is_extension(walk.protocol) && walk.fragment != 2;
         i++) {
        int verdict = step(ctx, &walk, i);

        if (verdict != MUX_CLAIMED)
            return verdict;
    }
    __builtin_memcpy(key.source, &ip.saddr, 16);
    __builtin_memcpy(key.destination, &ip.daddr, 16);
    key.id = walk.id;
    if (walk.fragment == 2)
        return claim_later(transport, &key);
    if (is_extension(walk.protocol))
        return MUX_PASS_UNPARSED;
    transport->protocol = walk.protocol;
    transport->offset = walk.offset;
    transport->length = walk.end - walk.offset;
    return walk.fragment ? claim_first(ctx, transport, &key) : claim_slowly(ctx, transport, 0);
}

/* ---- the usual way. *transport is all zero before. */

static __always_inline enum mux_verdict classify_ipv4(const struct frame *frame,
                                                      struct transport *transport)
{
    enum mux_verdict verdict = parse_ipv4(frame, transport);
    __be16 port = 0;

    if (verdict == MUX_PASS_FRAGMENT)
        return classify_fragment_v4(frame->ctx, transport);
    if (verdict != MUX_CLAIMED)
        return verdict;
    switch (transport->protocol) {
    case IPPROTO_TCP: verdict = parse_tcp(frame, AT_IPV4, transport->length, &port); break;
    case IPPROTO_UDP: verdict = parse_udp(frame, AT_IPV4, transport->length, &port); break;
    case IPPROTO_ICMP: verdict = parse_icmp_v4(frame, transport, &port); break;
    default: verdict = parse_other(frame, AT_IPV4, transport, &port); break;
    }
    return verdict == MUX_CLAIMED ? claim(transport, port) : verdict;
}

static __always_inline enum mux_verdict classify_ipv6(const struct frame *frame,
                                                      struct transport *transport)
{
    enum mux_verdict verdict = parse_ipv6(frame, transport);
    __be16 port = 0;

    if (verdict != MUX_CLAIMED)
        return verdict;
    switch (transport->protocol) {
    case IPPROTO_TCP: verdict = parse_tcp(frame, AT_IPV6, transport->length, &port); break;
    case IPPROTO_UDP: verdict = parse_udp(frame, AT_IPV6, transport->length, &port); break;
    case IPPROTO_ICMPV6: verdict = parse_icmp_v6(frame, transport, &port); break;
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case IPPROTO_FRAGMENT: return classify_extended(frame->ctx, transport);
    default: verdict = parse_other(frame, AT_IPV6, transport, &port); break;
    }
    return verdict == MUX_CLAIMED ? claim(transport, port) : verdict;
}

/* By Ethernet type, in network order. What is behind a VLAN tag is the host's. */
static __always_inline enum mux_verdict classify_ip(const struct frame *frame, __be16 type,
                                                    struct transport *transport)
{
    switch (type) {
    case bpf_htons(ETH_P_IP): return classify_ipv4(frame, transport);
    case bpf_htons(ETH_P_IPV6): return classify_ipv6(frame, transport);
    case bpf_htons(ETH_P_8021Q):
    case bpf_htons(ETH_P_8021AD): return MUX_PASS_VLAN;
    default: return MUX_PASS_OTHER;
    }
}

/* The clock is read for claimed packets alone, and a coarse one (by ticks) will do: it may be behind the
 * heartbeat, which is told by the other. `everywhere`: whether the guard has rules for all. */
static __always_inline bool switch_is_alive(__u32 *everywhere)
{
    __u32 zero = 0;
    const struct mux_shared *shared = bpf_map_lookup_elem(&mux_shared, &zero);
    __u64 heartbeat, now;

    if (!shared)
        return false;
    heartbeat = *(const volatile __u64 *)&shared->heartbeat_ns;
    if (!heartbeat)
        return false;
    *everywhere = *(const volatile __u32 *)&shared->guard;
    now = bpf_ktime_get_coarse_ns();
    return now < heartbeat || now - heartbeat < MUX_HEARTBEAT_TIMEOUT_NS;
}

static __always_inline int conclude(enum mux_verdict verdict, int action)
{
    __u32 index = verdict;
    __u64 *counter = bpf_map_lookup_elem(&mux_verdicts, &index);

    if (counter)
        (*counter)++; /* per CPU, and XDP programs do not nest on one */
    return action;
}

#endif
