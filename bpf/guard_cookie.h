/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* SYNs answered at the NIC: the frame with the SYN becomes the frame with the SYN-ACK, and goes back
 * where it came from (XDP_TX). Nothing is kept. The SYN-ACK is, byte by byte, what the stack would have
 * sent (utcp/syncookie.c), so the stack takes the connection over when the client's ACK comes to it
 * like any packet.
 *
 *   SYN ─► whole, alone, unhurt? ─► options ─► cookie (syncookie.h) ─► headers, checksums ─► XDP_TX
 *               │                                  ▲
 *               └─► to the stack             terms of the binding
 *
 * What is not a plain SYN is left to the stack, which is no worse off than without: IPv6 extension
 * headers, fragments, frames in several buffers, frames to a group's MAC address. Checksums of a SYN
 * without data are verified as the stack would. Of one with data (fast open, RFC 7413) only IPv4's is:
 * the data are left for the client to send again, and who cares about the rest of the packet will know
 * by the ACK, whose checksum the stack verifies.
 *
 * Nobody asks here whether there is a connection between these endpoints: utcp__cookie_displaces(). Nor
 * can ACKs be verified here: that of a connection looks like that of a handshake, and which connections
 * there are is known to the stack alone. A flood of ACKs costs the stack two short hashes and a RST each.
 *
 * The answer goes to the MAC address that the SYN came from, whatever the routing table says of its
 * source: that is where the client's packets come from. */
#ifndef MULTISTACK_GUARD_COOKIE_H
#define MULTISTACK_GUARD_COOKIE_H

#include "guard_cookie_maps.h"
#include "syncookie.h"

enum guard_answer {
    GUARD_ANSWER_NONE,    /* not ours to answer; the frame is as it was */
    GUARD_ANSWER_SENT,    /* the frame is a SYN-ACK now: XDP_TX */
    GUARD_ANSWER_DAMAGED, /* a checksum is wrong */
};

/* How the frame goes back: by the kernel's own way, on which it completes a checksum that it knows to be
 * partial, as the SYN's was. */
#define GUARD_WAY_GENERIC 0x1

#define IPV4_DONT_BIT 0x4000 /* fragment */

#define GUARD_SYN_OPTIONS_MAX  40
#define GUARD_SYN_OPTIONS_ROOM 64 /* a power of two: an index is masked by it less one */
#define GUARD_USUAL_OPTIONS    20
#define GUARD_REPLY_OPTIONS    20 /* MSS, SACK permitted, timestamps, window scale */

/* RFC 9293 section 3.7.1 */
#define GUARD_MSS_DEFAULT_V4 536
#define GUARD_MSS_DEFAULT_V6 1220

#define GUARD_FLAGS_SYN     0x02
#define GUARD_FLAGS_ACK     0x10
#define GUARD_FLAGS_ECE     0x40
#define GUARD_FLAGS_ECN     0xc0 /* ECE and CWR: RFC 3168 section 6.1.1 */
#define GUARD_FLAGS_OPENING 0x17 /* ACK, RST, SYN, FIN: of these a SYN has one */

struct guard_reply {
    struct tcphdr tcp;
    __u8 options[GUARD_REPLY_OPTIONS];
};

/* A SYN, what is agreed on, and the answer. */
struct guard_syn {
    __u8 bytes[GUARD_SYN_OPTIONS_ROOM];
    __u32 size, at;  /* of and in them */
    __u32 seen;      /* bits by kind */
    __u32 timestamp; /* as it lies in the packet */
    __u16 mss;
    __u8 window_scale;
    __u8 has;     /* GUARD_COOKIE_* */
    __u32 way;    /* GUARD_WAY_* */
    __u64 now_ns; /* CLOCK_MONOTONIC */
    struct tcphdr tcp;
    union {
        struct iphdr ip4;
        struct ipv6hdr ip6;
    };
    __u32 offset, length; /* of the segment */
    __u64 addresses;      /* their sum */
    uint64_t ends;        /* syncookie.h */
    struct guard_reply reply;
};

/* The program's own stack is small. One for each processor: programs do not nest on one. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct guard_syn);
} guard_syns SEC(".maps");

struct guard_walk {
    struct guard_syn *syn;
};

/* One option, as utcp__options_parse() takes it: of one that comes twice the first counts, one of a
 * wrong length is skipped, and where they make no sense the walk ends. */
static long guard_take_option(__u64 index, void *context)
{
    struct guard_syn *syn = ((struct guard_walk *)context)->syn;
    __u32 at = syn->at, left = syn->size - at, length;
    const __u32 mask = GUARD_SYN_OPTIONS_ROOM - 1;
    __u8 kind;

    (void)index;
    if (at >= syn->size)
        return 1;
    kind = syn->bytes[at & mask];
    if (kind == 0)
        return 1;
    if (kind == 1) {
        syn->at = at + 1;
        return 0;
    }
    if (left < 2)
        return 1;
    length = syn->bytes[(at + 1) & mask];
    if (length < 2 || length > left)
        return 1;
    syn->at = at + length;
    if (kind > 8 || syn->seen & 1u << kind)
        return 0;
    if (kind == 2 && length == 4) {
        syn->mss = (__u16)(syn->bytes[(at + 2) & mask] << 8 | syn->bytes[(at + 3) & mask]);
    } else if (kind == 3 && length == 3) {
        __u8 scale = syn->bytes[(at + 2) & mask];

        syn->has |= GUARD_COOKIE_WINDOW_SCALE;
        syn->window_scale = scale > GUARD_COOKIE_SCALE_MAX ? GUARD_COOKIE_SCALE_MAX : scale;
    } else if (kind == 4 && length == 2) {
        syn->has |= GUARD_COOKIE_SACK;
    } else if (kind == 8 && length == 10) {
        __u8 *value = (__u8 *)&syn->timestamp;

        syn->has |= GUARD_COOKIE_TIMESTAMPS;
        for (int i = 0; i < 4; i++)
            value[i] = syn->bytes[(at + 2 + i) & mask];
    } else {
        return 0;
    }
    syn->seen |= 1u << kind;
    return 0;
}

/* The options as Linux sends them, and with them most of who comes: MSS, SACK permitted, timestamps, NOP,
 * window scale. Each has its place then, and there is nothing to walk over. False: others, or in another
 * order. */
static __always_inline bool guard_take_usual_options(struct guard_syn *syn)
{
    static const __u8 usual[] = {2, 4, 0, 0, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3};
    const __u8 *bytes = syn->bytes;
    __u8 scale = bytes[19];

    if (syn->size != GUARD_USUAL_OPTIONS)
        return false;
#pragma unroll
    for (__u32 i = 0; i < sizeof(usual); i++)
        if (usual[i] && bytes[i] != usual[i])
            return false;
    syn->mss = (__u16)(bytes[2] << 8 | bytes[3]);
    __builtin_memcpy(&syn->timestamp, bytes + 8, sizeof(syn->timestamp));
    syn->window_scale = scale > GUARD_COOKIE_SCALE_MAX ? GUARD_COOKIE_SCALE_MAX : scale;
    syn->has = GUARD_COOKIE_SACK | GUARD_COOKIE_TIMESTAMPS | GUARD_COOKIE_WINDOW_SCALE;
    return true;
}

static __always_inline __u16 guard_fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)sum;
}

typedef __u32 __attribute__((may_alias)) guard_word;

/* A sum over memory as it lies (common/checksum.h). `size`: a multiple of four that the compiler knows. */
static __always_inline __u64 guard_sum(const void *data, __u32 size)
{
    const guard_word *word = data;
    __u64 sum = 0;

    for (__u32 i = 0; i < size / 4; i++)
        sum += word[i];
    return sum;
}

static __always_inline __u64 guard_pseudo_sum(__u64 addresses, __u32 length)
{
    return addresses + bpf_htons(IPPROTO_TCP) + bpf_htons((__u16)length);
}

/* At constant offsets, where a look at the frame costs nothing and a call does. False: it ends before. */
static __always_inline bool guard_load(struct xdp_md *ctx, __u32 offset, void *to, __u32 size)
{
    const __u8 *data = (const __u8 *)(long)ctx->data;

    if (data + offset + size > (const __u8 *)(long)ctx->data_end)
        return false;
    __builtin_memcpy(to, data + offset, size);
    return true;
}

static __always_inline bool guard_store(struct xdp_md *ctx, __u32 offset, const void *from,
                                        __u32 size)
{
    __u8 *data = (__u8 *)(long)ctx->data;

    if (data + offset + size > (__u8 *)(long)ctx->data_end)
        return false;
    __builtin_memcpy(data + offset, from, size);
    return true;
}

/* A whole TCP header at `offset`, which is a constant, its options read into *syn. */
static __always_inline bool guard_read_syn(struct xdp_md *ctx, struct guard_syn *syn, __u32 offset)
{
    const __u32 length = syn->length;
    struct tcphdr *tcp = &syn->tcp;
    __u32 size;

    syn->offset = offset;
    if (length < sizeof(*tcp) || length > 0xffff || !guard_load(ctx, offset, tcp, sizeof(*tcp)))
        return false;
    if ((((const __u8 *)tcp)[13] & GUARD_FLAGS_OPENING) != GUARD_FLAGS_SYN || !tcp->source ||
        tcp->doff < 5 || tcp->doff * 4u > length)
        return false;
    size = tcp->doff * 4u - sizeof(*tcp);
    if (size == GUARD_USUAL_OPTIONS) {
        syn->size = GUARD_USUAL_OPTIONS;
        return guard_load(ctx, offset + sizeof(*tcp), syn->bytes, GUARD_USUAL_OPTIONS);
    }
    /* Verifiers before Linux 6.8 learn nothing from "not 0", which the compiler would make of this. */
    asm volatile("" : "+r"(size));
    if (size >= 4 && bpf_xdp_load_bytes(ctx, offset + sizeof(*tcp), syn->bytes, size))
        return false;
    syn->size = size;
    return true;
}

/* The field may hold the pseudo-header's sum alone, where a peer on this machine leaves the rest to a
 * NIC that is not there. */
static __always_inline bool guard_is_partial(const struct tcphdr *tcp, __u64 pseudo)
{
    return tcp->check == guard_fold(pseudo);
}

static __always_inline bool guard_checksum_right(const struct guard_syn *syn, __u64 pseudo)
{
    __u64 sum = pseudo + guard_sum(&syn->tcp, sizeof(syn->tcp)) +
                guard_sum(syn->bytes, GUARD_SYN_OPTIONS_MAX);

    return guard_is_partial(&syn->tcp, pseudo) || guard_fold(sum) == 0xffff;
}

/* What both want and the cookie has room for: without timestamps nothing but the MSS. Returns what goes
 * into the timestamp. */
static __always_inline __u8 guard_agree(struct guard_syn *syn, const struct guard_cookie *terms,
                                        __u8 flags)
{
    if ((flags & GUARD_FLAGS_ECN) == GUARD_FLAGS_ECN)
        syn->has |= GUARD_COOKIE_ECN;
    syn->has &= terms->options;
    if (!(syn->has & GUARD_COOKIE_TIMESTAMPS)) {
        syn->has = 0;
        return 0;
    }
    return (
        __u8)(SYNCOOKIE_TIMESTAMPS |
              (syn->has & GUARD_COOKIE_WINDOW_SCALE ? syn->window_scale : SYNCOOKIE_SCALE_NONE) |
              (syn->has & GUARD_COOKIE_SACK ? SYNCOOKIE_SACK : 0) |
              (syn->has & GUARD_COOKIE_ECN ? SYNCOOKIE_ECN : 0));
}

/* In the order of utcp/options/options.c. Returns their size. */
static __always_inline __u32 guard_put_options(__u8 *at, const struct guard_syn *syn,
                                               const struct guard_cookie *terms, __u32 timestamp)
{
    __be32 value = bpf_htonl(timestamp);
    bool sack = syn->has & GUARD_COOKIE_SACK;

    at[0] = 2;
    at[1] = 4;
    at[2] = (__u8)(terms->mss >> 8);
    at[3] = (__u8)terms->mss;
    if (!(syn->has & GUARD_COOKIE_TIMESTAMPS))
        return 4;
    at[4] = sack ? 4 : 1;
    at[5] = sack ? 2 : 1;
    at[6] = 8;
    at[7] = 10;
    __builtin_memcpy(at + 8, &value, 4);
    __builtin_memcpy(at + 12, &syn->timestamp, 4);
    if (!(syn->has & GUARD_COOKIE_WINDOW_SCALE))
        return 16;
    at[16] = 1;
    at[17] = 3;
    at[18] = 3;
    at[19] = terms->window_scale;
    return 20;
}

/* Fills syn->reply in but for its checksum; returns its size. */
static __always_inline __u32 guard_make_reply(struct guard_syn *syn,
                                              const struct guard_cookie *terms)
{
    const __u64 ends = syn->ends;
    const struct tcphdr *tcp = &syn->tcp;
    struct guard_reply *reply = &syn->reply;
    __u64 now_us = syn->now_ns / 1000 - terms->behind_us;
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    __u8 flags = ((const __u8 *)tcp)[13];
    __u32 irs = bpf_ntohl(tcp->seq), timestamp, size;
    __u8 options = guard_agree(syn, terms, flags);

    __builtin_memset(reply, 0, sizeof(*reply));
    timestamp = syncookie_timestamp((__u32)(now_us / 1000) + syncookie_timestamp_offset(ends),
                                    options & SYNCOOKIE_OPTIONS_MASK);
    size = sizeof(*tcp) + guard_put_options(reply->options, syn, terms, timestamp);
    reply->tcp.source = tcp->dest;
    reply->tcp.dest = tcp->source;
    reply->tcp.seq =
        bpf_htonl(syncookie_make(key, ends, irs, now_us / SYNCOOKIE_MINUTE_US, options, syn->mss));
    reply->tcp.ack_seq = bpf_htonl(irs + 1);
    reply->tcp.doff = size / 4;
    ((__u8 *)&reply->tcp)[13] =
        GUARD_FLAGS_SYN | GUARD_FLAGS_ACK | (syn->has & GUARD_COOKIE_ECN ? GUARD_FLAGS_ECE : 0);
    reply->tcp.window = bpf_htons(terms->window);
    return size;
}

/* Cuts the frame to the reply, or makes it longer, and writes it behind the IP header. `partial`: the
 * kernel fills in the rest of the checksum, in the same place as of the SYN. */
static __always_inline bool guard_put_reply(struct xdp_md *ctx, struct guard_syn *syn, __u32 size,
                                            bool partial)
{
    __u64 pseudo = guard_pseudo_sum(syn->addresses, size);
    struct guard_reply *reply = &syn->reply;
    int change;

    reply->tcp.check = partial ? guard_fold(pseudo)
                               : (__u16)~guard_fold(pseudo + guard_sum(reply, sizeof(*reply)));
    change = (int)(syn->offset + size) - (int)(ctx->data_end - ctx->data);
    if (change && bpf_xdp_adjust_tail(ctx, change))
        return false;
    if (size == sizeof(*reply))
        return syn->offset == AT_IPV4 ? guard_store(ctx, AT_IPV4, reply, sizeof(*reply))
                                      : guard_store(ctx, AT_IPV6, reply, sizeof(*reply));
    if (size < sizeof(reply->tcp) || size > sizeof(*reply)) /* for the verifier */
        return false;
    return !bpf_xdp_store_bytes(ctx, syn->offset, reply, size);
}

/* One station's frame to another, in one buffer. */
static __always_inline bool guard_frame_is_plain(struct xdp_md *ctx)
{
    const struct ethhdr *ether = (const struct ethhdr *)(long)ctx->data;
    const void *end = (const void *)(long)ctx->data_end;

    return (const void *)(ether + 1) <= end && !(ether->h_dest[0] & 1) &&
           !(ether->h_source[0] & 1) &&
           (__u64)(ctx->data_end - ctx->data) == bpf_xdp_get_buff_len(ctx);
}

/* The last step: the frame's answer has another direction and another IP header. */
static __always_inline int guard_put_headers(struct xdp_md *ctx, const void *ip, __u32 size)
{
    struct ethhdr *ether = (struct ethhdr *)(long)ctx->data, before;

    if ((void *)(ether + 1) > (void *)(long)ctx->data_end)
        return GUARD_ANSWER_DAMAGED;
    before = *ether;
    __builtin_memcpy(ether->h_dest, before.h_source, ETH_ALEN);
    __builtin_memcpy(ether->h_source, before.h_dest, ETH_ALEN);
    return guard_store(ctx, AT_IP, ip, size) ? GUARD_ANSWER_SENT : GUARD_ANSWER_DAMAGED;
}

/* From the TCP header on: options in, and the answer's TCP header out, before which only the IP header
 * is missing. Returns the answer's size; 0: it cannot be answered; or GUARD_ANSWER_DAMAGED below 0. */
static __noinline int guard_turn_tcp(struct xdp_md *ctx, struct guard_syn *syn,
                                     const struct guard_cookie *terms)
{
    __u64 pseudo = guard_pseudo_sum(syn->addresses, syn->length);
    struct guard_walk walk = {syn};
    __u32 size;
    bool partial;

    if (syn->length == syn->tcp.doff * 4u && !guard_checksum_right(syn, pseudo))
        return -GUARD_ANSWER_DAMAGED;
    if (!guard_take_usual_options(syn))
        bpf_loop(GUARD_SYN_OPTIONS_MAX, guard_take_option, &walk, 0);
    if (!syn->mss)
        syn->mss = syn->offset == AT_IPV4 ? GUARD_MSS_DEFAULT_V4 : GUARD_MSS_DEFAULT_V6;
    size = guard_make_reply(syn, terms);
    partial = syn->way & GUARD_WAY_GENERIC && guard_is_partial(&syn->tcp, pseudo);
    return guard_put_reply(ctx, syn, size, partial) ? (int)size : 0;
}

static __noinline int guard_read_v4(struct xdp_md *ctx, struct guard_syn *syn,
                                    const struct guard_cookie *terms)
{
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    const struct iphdr *ip = &syn->ip4;

    if (!guard_load(ctx, AT_IP, &syn->ip4, sizeof(*ip)) || ip->ihl != 5 ||
        ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS) || ip->protocol != IPPROTO_TCP)
        return GUARD_ANSWER_NONE;
    syn->length = bpf_ntohs(ip->tot_len) - sizeof(*ip);
    syn->addresses = guard_sum(&ip->saddr, 8);
    if (!guard_read_syn(ctx, syn, AT_IPV4))
        return GUARD_ANSWER_NONE;
    if (guard_fold(guard_sum(ip, sizeof(*ip))) != 0xffff)
        return GUARD_ANSWER_DAMAGED;
    syn->ends = syncookie_ends_v4(key, ip->daddr, ip->saddr, bpf_ntohs(syn->tcp.dest),
                                  bpf_ntohs(syn->tcp.source));
    return GUARD_ANSWER_SENT;
}

static __noinline int guard_read_v6(struct xdp_md *ctx, struct guard_syn *syn,
                                    const struct guard_cookie *terms)
{
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    const struct ipv6hdr *ip = &syn->ip6;
    uint64_t words[4];

    if (!guard_load(ctx, AT_IP, &syn->ip6, sizeof(*ip)) || ip->nexthdr != IPPROTO_TCP)
        return GUARD_ANSWER_NONE;
    syn->length = bpf_ntohs(ip->payload_len);
    syn->addresses = guard_sum(&ip->saddr, 32);
    if (!guard_read_syn(ctx, syn, AT_IPV6))
        return GUARD_ANSWER_NONE;
    __builtin_memcpy(words, &ip->saddr, sizeof(words)); /* the client's two, then ours */
    syn->ends = syncookie_ends_v6(key, words + 2, words, bpf_ntohs(syn->tcp.dest),
                                  bpf_ntohs(syn->tcp.source));
    return GUARD_ANSWER_SENT;
}

static __noinline int guard_put_v4(struct xdp_md *ctx, struct guard_syn *syn,
                                   const struct guard_cookie *terms, __u32 size)
{
    struct iphdr *ip = &syn->ip4;
    __be32 client = ip->saddr;

    ip->tos = (__u8)(terms->dscp << 2);
    ip->tot_len = bpf_htons((__u16)(sizeof(*ip) + size));
    ip->id = 0;
    ip->frag_off = bpf_htons(IPV4_DONT_BIT); /* RFC 1191 */
    ip->ttl = terms->hop_limit;
    ip->saddr = ip->daddr;
    ip->daddr = client;
    ip->check = 0;
    ip->check = (__u16)~guard_fold(guard_sum(ip, sizeof(*ip)));
    return guard_put_headers(ctx, ip, sizeof(*ip));
}

static __noinline int guard_put_v6(struct xdp_md *ctx, struct guard_syn *syn,
                                   const struct guard_cookie *terms, __u32 size)
{
    struct ipv6hdr *ip = &syn->ip6;
    struct in6_addr client = ip->saddr;

    ip->priority = terms->dscp >> 2;
    ip->flow_lbl[0] = (__u8)(terms->dscp << 6);
    ip->flow_lbl[1] = ip->flow_lbl[2] = 0;
    ip->payload_len = bpf_htons((__u16)size);
    ip->hop_limit = terms->hop_limit;
    ip->saddr = ip->daddr;
    ip->daddr = client;
    return guard_put_headers(ctx, ip, sizeof(*ip));
}

/* A frame that was claimed and is, as far as that was looked at, a TCP segment of this family. `way`:
 * GUARD_WAY_*. `now_ns`: CLOCK_MONOTONIC. */
static __always_inline int guard_answer(struct xdp_md *ctx, const struct guard_cookie *terms,
                                        __u32 family, __u32 way, __u64 now_ns)
{
    __u32 zero = 0;
    struct guard_syn *syn = bpf_map_lookup_elem(&guard_syns, &zero);
    int done;

    if (!syn || !terms->hop_limit || !guard_frame_is_plain(ctx))
        return GUARD_ANSWER_NONE;
    /* The checksum takes all of the options; all else is written before it is read. */
    __builtin_memset(syn->bytes, 0, sizeof(syn->bytes));
    syn->size = syn->at = syn->seen = syn->timestamp = 0;
    syn->mss = 0;
    syn->window_scale = syn->has = 0;
    syn->way = way;
    syn->now_ns = now_ns;
    done = family == 4 ? guard_read_v4(ctx, syn, terms) : guard_read_v6(ctx, syn, terms);
    if (done != GUARD_ANSWER_SENT)
        return done;
    done = guard_turn_tcp(ctx, syn, terms);
    if (done <= 0)
        return -done;
    /* Not `family`, which the verifier knows: that of Linux 6.1 loses track of it behind bpf_loop(), takes what
     * follows here for the same whatever it was, and removes the other way as one that nothing goes. */
    return syn->offset == AT_IPV4 ? guard_put_v4(ctx, syn, terms, (__u32)done)
                                  : guard_put_v6(ctx, syn, terms, (__u32)done);
}

#endif
