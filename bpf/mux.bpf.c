/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* mux: the XDP program that shares a NIC between the host stack and the switch.
 *
 * It decides one thing: is this frame for a 3-tuple <protocol, local address, local port> that a
 * stack has bound? Then it goes to the AF_XDP socket of its queue. Everything else passes to the
 * host stack, and so does everything that cannot be parsed whole, is not addressed to this host, is
 * a fragment, carries IP options or extension headers, or comes while no switch is there to take
 * it. In doubt the kernel gets the frame: it was there first and knows more.
 *
 *   frame → ether → ipv4/ipv6 → TCP, UDP             destination 3-tuple ─┐
 *                             → ICMP, ICMPv6 errors  quoted source 3-tuple ┤
 *                                                                          ▼
 *                          claim: bound? → an address of this host? → switch alive? → redirect
 *
 * Parsing is a cursor with self-checking steps: at() gives a header only when it lies wholly in the
 * frame. Every offset is a constant, because whatever would move one (options) passes.
 *
 * The program may be attached to a device with multi-buffer frames ("frags"): data..data_end is
 * then only the linear part, and at() copies what lies beyond it.
 *
 * Every verdict leaves through conclude(), which counts it. */
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h> /* the compiler's own */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "mux_maps.h"
#include "reasons.h"

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
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct mux_nic);
} mux_nic SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, MUX_QUEUES_MAX);
    __type(key, __u32);
    __type(value, __u32);
} mux_sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MUX_VERDICT_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} mux_verdicts SEC(".maps");

#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, or an offset */
#define IPV4_OFFSET_BITS   0x1fff
#define QUOTED_BYTES       8 /* of the transport header, RFC 792; ICMPv6 quotes more */

/* Offsets: constant, since options and extension headers pass. */
#define AT_IP   ETH_HLEN
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
    struct xdp_md *ctx;
    const __u8 *data;
    const __u8 *data_end; /* of the linear part */
};

/* What the network layer says about the transport layer. */
struct transport {
    __u32 offset; /* bytes from the start of the frame */
    __u32 length; /* bytes that the IP header gives it: Ethernet padding is not in it (W3) */
    __u8 family;
    __u8 protocol;
    __u8 local[16]; /* destination address, in the notation of mux_maps.h */
};

static __always_inline bool holds(const struct frame *frame, __u32 length)
{
    return frame->data + length <= frame->data_end || bpf_xdp_get_buff_len(frame->ctx) >= length;
}

/* The `size` bytes at `offset`, or NULL where the frame does not hold them. `copy` takes them when
 * they are not in the linear part. */
static __always_inline const void *at(const struct frame *frame, __u32 offset, __u32 size,
                                      void *copy)
{
    if (frame->data + offset + size <= frame->data_end)
        return frame->data + offset;
    if (bpf_xdp_load_bytes(frame->ctx, offset, copy, size))
        return NULL;
    return copy;
}

static __always_inline bool mac_is_ours(const __u8 *mac)
{
    __u32 zero = 0;
    const struct mux_nic *nic;

    if (mac[0] & 1) /* a group, broadcast too */
        return true;
    nic = bpf_map_lookup_elem(&mux_nic, &zero);
    return nic && mac[0] == nic->mac[0] && mac[1] == nic->mac[1] && mac[2] == nic->mac[2] &&
           mac[3] == nic->mac[3] && mac[4] == nic->mac[4] && mac[5] == nic->mac[5];
}

/* Sources that nobody may have: answering one is how reflectors are made (W8). The host stack drops
 * them as martians. */
static __always_inline bool ipv4_source_is_bad(__be32 source)
{
    __u32 first = bpf_ntohl(source) >> 24;

    return first == 0 || first == 127 || first >= 224;
}

static __always_inline bool ipv6_source_is_bad(const struct in6_addr *source)
{
    const __be32 *word = source->in6_u.u6_addr32;

    if (source->in6_u.u6_addr8[0] == 0xff) /* multicast */
        return true;
    /* ::/96 holds the unspecified, the loopback and the IPv4-compatible addresses; the other is the
     * IPv4-mapped ones, which are for interfaces of programs and not for the wire (RFC 4291). */
    return word[0] == 0 && word[1] == 0 && (word[2] == 0 || word[2] == bpf_htonl(0xffff));
}

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
    if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS))
        return MUX_PASS_FRAGMENT;
    if (ipv4_source_is_bad(ip->saddr) || ip->saddr == ip->daddr)
        return MUX_PASS_UNPARSED;
    transport->family = 4;
    transport->protocol = ip->protocol;
    transport->offset = AT_IPV4;
    transport->length = total - sizeof(*ip);
    __builtin_memcpy(transport->local, &ip->daddr, 4);
    return MUX_CLAIMED;
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
    switch (ip->nexthdr) {
    case IPPROTO_FRAGMENT: return MUX_PASS_FRAGMENT;
    case IPPROTO_HOPOPTS:
    case IPPROTO_ROUTING:
    case IPPROTO_DSTOPTS:
    case IPPROTO_AH: return MUX_PASS_UNPARSED;
    }
    if (ipv6_source_is_bad(&ip->saddr) ||
        !__builtin_memcmp(&ip->saddr, &ip->daddr, sizeof(ip->saddr)))
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

static __always_inline bool protocol_has_ports(__u8 protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* An error is for whoever sent the packet that it quotes: its source is the 3-tuple to look for.
 * The source address must be the address that the error came to; a quote of anything else was not
 * sent by us. Sets `protocol` to the quoted packet's. */
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
        quoted->version != 4 || quoted->ihl != 5 ||
        quoted->frag_off & bpf_htons(IPV4_OFFSET_BITS) ||
        __builtin_memcmp(&quoted->saddr, transport->local, 4))
        return MUX_PASS_UNPARSED;
    if (!protocol_has_ports(quoted->protocol))
        return MUX_PASS_OTHER;
    transport->protocol = quoted->protocol;
    *port = ports[0];
    return MUX_CLAIMED;
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
    if (!protocol_has_ports(quoted->nexthdr))
        return MUX_PASS_OTHER;
    transport->protocol = quoted->nexthdr;
    *port = ports[0];
    return MUX_CLAIMED;
}

/* Exact address before wildcard (design.md, section 5). The address is looked up last: legacy
 * traffic then costs two lookups, and a wildcard binding still means this host's own addresses and
 * never what it forwards. */
static __always_inline enum mux_verdict claim(const struct transport *transport, __be16 port)
{
    struct mux_key key = {
        .family = transport->family, .protocol = transport->protocol, .port = port};
    struct mux_addr address = {.family = transport->family};

    __builtin_memcpy(key.address, transport->local, sizeof(key.address));
    if (!bpf_map_lookup_elem(&mux_bindings, &key)) {
        __builtin_memset(key.address, 0, sizeof(key.address));
        if (!bpf_map_lookup_elem(&mux_bindings, &key))
            return MUX_PASS_UNCLAIMED;
    }
    __builtin_memcpy(address.address, transport->local, sizeof(address.address));
    return bpf_map_lookup_elem(&mux_addresses, &address) ? MUX_CLAIMED : MUX_PASS_NOT_OURS;
}

static __always_inline enum mux_verdict classify_ipv4(const struct frame *frame)
{
    struct transport transport = {};
    enum mux_verdict verdict = parse_ipv4(frame, &transport);
    __be16 port;

    if (verdict != MUX_CLAIMED)
        return verdict;
    switch (transport.protocol) {
    case IPPROTO_TCP: verdict = parse_tcp(frame, AT_IPV4, transport.length, &port); break;
    case IPPROTO_UDP: verdict = parse_udp(frame, AT_IPV4, transport.length, &port); break;
    case IPPROTO_ICMP: verdict = parse_icmp_v4(frame, &transport, &port); break;
    default: return MUX_PASS_OTHER;
    }
    return verdict == MUX_CLAIMED ? claim(&transport, port) : verdict;
}

static __always_inline enum mux_verdict classify_ipv6(const struct frame *frame)
{
    struct transport transport = {};
    enum mux_verdict verdict = parse_ipv6(frame, &transport);
    __be16 port;

    if (verdict != MUX_CLAIMED)
        return verdict;
    switch (transport.protocol) {
    case IPPROTO_TCP: verdict = parse_tcp(frame, AT_IPV6, transport.length, &port); break;
    case IPPROTO_UDP: verdict = parse_udp(frame, AT_IPV6, transport.length, &port); break;
    case IPPROTO_ICMPV6: verdict = parse_icmp_v6(frame, &transport, &port); break;
    default: return MUX_PASS_OTHER;
    }
    return verdict == MUX_CLAIMED ? claim(&transport, port) : verdict;
}

static __always_inline enum mux_verdict classify(const struct frame *frame)
{
    struct ethhdr copy;
    const struct ethhdr *ether = at(frame, 0, sizeof(*ether), &copy);

    if (!ether)
        return MUX_PASS_UNPARSED;
    if (!mac_is_ours(ether->h_dest))
        return MUX_PASS_NOT_OURS;
    switch (ether->h_proto) {
    case bpf_htons(ETH_P_IP): return classify_ipv4(frame);
    case bpf_htons(ETH_P_IPV6): return classify_ipv6(frame);
    default: return MUX_PASS_OTHER; /* VLAN tags too: what is behind them is the host's */
    }
}

/* The clock is read for claimed packets alone. */
static __always_inline bool switch_is_alive(void)
{
    __u32 zero = 0;
    const struct mux_shared *shared = bpf_map_lookup_elem(&mux_shared, &zero);
    __u64 heartbeat, now;

    if (!shared)
        return false;
    heartbeat = *(const volatile __u64 *)&shared->heartbeat_ns;
    if (!heartbeat)
        return false;
    now = bpf_ktime_get_ns();
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

SEC("xdp.frags")
int multistack_mux(struct xdp_md *ctx)
{
    struct frame frame = {
        .ctx = ctx,
        .data = (const __u8 *)(long)ctx->data,
        .data_end = (const __u8 *)(long)ctx->data_end,
    };
    enum mux_verdict verdict = classify(&frame);
    int action;

    if (verdict != MUX_CLAIMED)
        return conclude(verdict, XDP_PASS);
    if (!switch_is_alive())
        return conclude(MUX_PASS_NO_SWITCH, XDP_PASS);
    /* A queue without a socket (the switch is being started again) gives the fallback. */
    action = bpf_redirect_map(&mux_sockets, ctx->rx_queue_index, XDP_PASS);
    return conclude(action == XDP_REDIRECT ? MUX_CLAIMED : MUX_PASS_NO_SWITCH, action);
}

/* Only declares what the helpers above ask for: they are for GPL-compatible programs alone. */
char mux_license[] SEC("license") = "Dual BSD/GPL";
