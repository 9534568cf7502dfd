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

#define IPV4_DONT_BIT 0x4000 /* fragment */

#define GUARD_SYN_OPTIONS_MAX  40
#define GUARD_SYN_OPTIONS_ROOM 64 /* a power of two: an index is masked by it less one */
#define GUARD_REPLY_OPTIONS    20 /* MSS, SACK permitted, timestamps, window scale */

/* RFC 9293 section 3.7.1 */
#define GUARD_MSS_DEFAULT_V4 536
#define GUARD_MSS_DEFAULT_V6 1220

#define GUARD_FLAGS_SYN     0x02
#define GUARD_FLAGS_ACK     0x10
#define GUARD_FLAGS_ECE     0x40
#define GUARD_FLAGS_ECN     0xc0 /* ECE and CWR: RFC 3168 section 6.1.1 */
#define GUARD_FLAGS_OPENING 0x17 /* ACK, RST, SYN, FIN: of these a SYN has one */

/* What a SYN says, and what is agreed on. */
struct guard_syn {
    __u8 bytes[GUARD_SYN_OPTIONS_ROOM];
    __u32 size, at;  /* of and in them */
    __u32 seen;      /* bits by kind */
    __u32 timestamp; /* as it lies in the packet */
    __u16 mss;
    __u8 window_scale;
    __u8 has; /* GUARD_COOKIE_* */
};

struct guard_reply {
    struct tcphdr tcp;
    __u8 options[GUARD_REPLY_OPTIONS];
};

/* One option, as utcp__options_parse() takes it: of one that comes twice the first counts, one of a
 * wrong length is skipped, and where they make no sense the walk ends. */
static long guard_take_option(__u64 index, void *context)
{
    struct guard_syn *syn = context;
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

static __always_inline __u16 guard_fold(__u64 sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)sum;
}

typedef __u16 __attribute__((may_alias)) guard_word;

/* A sum over memory as it lies (common/checksum.h). `size`: a multiple of four that the compiler knows. */
static __always_inline __u64 guard_sum(const void *data, __u32 size)
{
    const guard_word *word = data;
    __u64 sum = 0;

    for (__u32 i = 0; i < size / 2; i++)
        sum += word[i];
    return sum;
}

static __always_inline __u64 guard_pseudo_sum(__u64 addresses, __u32 length)
{
    return addresses + bpf_htons(IPPROTO_TCP) + bpf_htons((__u16)length);
}

/* A whole TCP header at `offset`, its options read into *syn. */
static __always_inline bool guard_read_syn(struct xdp_md *ctx, __u32 offset, __u32 length,
                                           struct tcphdr *tcp, struct guard_syn *syn)
{
    __u32 size;

    if (length < sizeof(*tcp) || length > 0xffff ||
        bpf_xdp_load_bytes(ctx, offset, tcp, sizeof(*tcp)))
        return false;
    if ((((const __u8 *)tcp)[13] & GUARD_FLAGS_OPENING) != GUARD_FLAGS_SYN || !tcp->source ||
        tcp->doff < 5 || tcp->doff * 4u > length)
        return false;
    size = tcp->doff * 4u - sizeof(*tcp);
    if (size && size <= GUARD_SYN_OPTIONS_MAX &&
        bpf_xdp_load_bytes(ctx, offset + sizeof(*tcp), syn->bytes, size))
        return false;
    syn->size = size;
    return true;
}

/* The field may hold the pseudo-header's sum alone, where a peer on this machine leaves the rest to a
 * NIC that is not there. */
static __always_inline bool guard_checksum_right(const struct tcphdr *tcp,
                                                 const struct guard_syn *syn, __u64 pseudo)
{
    __u64 sum =
        pseudo + guard_sum(tcp, sizeof(*tcp)) + guard_sum(syn->bytes, GUARD_SYN_OPTIONS_MAX);

    return tcp->check == guard_fold(pseudo) || guard_fold(sum) == 0xffff;
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

/* Fills *reply in but for its checksum; returns its size. */
static __noinline int guard_make_reply(struct guard_reply *reply, const struct tcphdr *tcp,
                                       struct guard_syn *syn, const struct guard_cookie *terms,
                                       __u64 ends)
{
    __u64 now_us = bpf_ktime_get_ns() / 1000 - terms->behind_us;
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    __u8 flags = ((const __u8 *)tcp)[13];
    __u32 irs = bpf_ntohl(tcp->seq), timestamp, size;
    __u8 options = guard_agree(syn, terms, flags);

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
    return (int)size;
}

/* Cuts the frame to the reply, or makes it longer, and writes it behind the IP header. */
static __always_inline bool guard_put_reply(struct xdp_md *ctx, __u32 offset,
                                            struct guard_reply *reply, __u32 size, __u64 addresses)
{
    __u64 sum = guard_pseudo_sum(addresses, size) + guard_sum(reply, sizeof(*reply));

    reply->tcp.check = (__u16)~guard_fold(sum);
    if (bpf_xdp_adjust_tail(ctx, (int)(offset + size) - (int)bpf_xdp_get_buff_len(ctx)))
        return false;
    if (size < sizeof(reply->tcp) || size > sizeof(*reply)) /* for the verifier */
        return false;
    return !bpf_xdp_store_bytes(ctx, offset, reply, size);
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
    return bpf_xdp_store_bytes(ctx, AT_IP, (void *)ip, size) ? GUARD_ANSWER_DAMAGED
                                                             : GUARD_ANSWER_SENT;
}

static __noinline int guard_answer_v4(struct xdp_md *ctx, const struct guard_cookie *terms)
{
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    struct guard_syn syn = {.mss = GUARD_MSS_DEFAULT_V4};
    struct guard_reply reply = {};
    struct iphdr ip, back;
    struct tcphdr tcp;
    __u64 addresses, ends;
    __u32 length, size;

    if (bpf_xdp_load_bytes(ctx, AT_IP, &ip, sizeof(ip)) || ip.ihl != 5 ||
        ip.frag_off & bpf_htons(IPV4_FRAGMENT_BITS) || ip.protocol != IPPROTO_TCP)
        return GUARD_ANSWER_NONE;
    length = bpf_ntohs(ip.tot_len) - sizeof(ip);
    if (!guard_read_syn(ctx, AT_IPV4, length, &tcp, &syn))
        return GUARD_ANSWER_NONE;
    if (guard_fold(guard_sum(&ip, sizeof(ip))) != 0xffff)
        return GUARD_ANSWER_DAMAGED;
    addresses = guard_sum(&ip.saddr, 8);
    if (length == tcp.doff * 4u &&
        !guard_checksum_right(&tcp, &syn, guard_pseudo_sum(addresses, length)))
        return GUARD_ANSWER_DAMAGED;
    bpf_loop(GUARD_SYN_OPTIONS_MAX, guard_take_option, &syn, 0);
    if (!syn.mss)
        syn.mss = GUARD_MSS_DEFAULT_V4;
    ends = syncookie_ends_v4(key, ip.daddr, ip.saddr, bpf_ntohs(tcp.dest), bpf_ntohs(tcp.source));
    size = (__u32)guard_make_reply(&reply, &tcp, &syn, terms, ends);
    if (!guard_put_reply(ctx, AT_IPV4, &reply, size, addresses))
        return GUARD_ANSWER_NONE;
    back = (struct iphdr){
        .version = 4,
        .ihl = 5,
        .tos = (__u8)(terms->dscp << 2),
        .tot_len = bpf_htons((__u16)(sizeof(back) + size)),
        .frag_off = bpf_htons(IPV4_DONT_BIT), /* RFC 1191 */
        .ttl = terms->hop_limit,
        .protocol = IPPROTO_TCP,
        .saddr = ip.daddr,
        .daddr = ip.saddr,
    };
    back.check = (__u16)~guard_fold(guard_sum(&back, sizeof(back)));
    return guard_put_headers(ctx, &back, sizeof(back));
}

static __noinline int guard_answer_v6(struct xdp_md *ctx, const struct guard_cookie *terms)
{
    struct siphash_key key = {{terms->key[0], terms->key[1]}};
    struct guard_syn syn = {.mss = GUARD_MSS_DEFAULT_V6};
    struct guard_reply reply = {};
    struct ipv6hdr ip, back;
    struct tcphdr tcp;
    __u64 addresses, ends;
    uint64_t words[4];
    __u32 length, size;

    if (bpf_xdp_load_bytes(ctx, AT_IP, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP)
        return GUARD_ANSWER_NONE;
    length = bpf_ntohs(ip.payload_len);
    if (!guard_read_syn(ctx, AT_IPV6, length, &tcp, &syn))
        return GUARD_ANSWER_NONE;
    addresses = guard_sum(&ip.saddr, 32);
    if (length == tcp.doff * 4u &&
        !guard_checksum_right(&tcp, &syn, guard_pseudo_sum(addresses, length)))
        return GUARD_ANSWER_DAMAGED;
    bpf_loop(GUARD_SYN_OPTIONS_MAX, guard_take_option, &syn, 0);
    if (!syn.mss)
        syn.mss = GUARD_MSS_DEFAULT_V6;
    __builtin_memcpy(words, &ip.saddr, sizeof(words)); /* the client's two, then ours */
    ends = syncookie_ends_v6(key, words + 2, words, bpf_ntohs(tcp.dest), bpf_ntohs(tcp.source));
    size = (__u32)guard_make_reply(&reply, &tcp, &syn, terms, ends);
    if (!guard_put_reply(ctx, AT_IPV6, &reply, size, addresses))
        return GUARD_ANSWER_NONE;
    back = (struct ipv6hdr){
        .version = 6,
        .priority = terms->dscp >> 2,
        .flow_lbl = {(__u8)(terms->dscp << 6)},
        .payload_len = bpf_htons((__u16)size),
        .nexthdr = IPPROTO_TCP,
        .hop_limit = terms->hop_limit,
        .saddr = ip.daddr,
        .daddr = ip.saddr,
    };
    return guard_put_headers(ctx, &back, sizeof(back));
}

/* A frame that was claimed and is, as far as that was looked at, a TCP segment of this family. */
static __always_inline int guard_answer(struct xdp_md *ctx, const struct guard_cookie *terms,
                                        __u32 family)
{
    if (!terms->hop_limit || !guard_frame_is_plain(ctx))
        return GUARD_ANSWER_NONE;
    return family == 4 ? guard_answer_v4(ctx, terms) : guard_answer_v6(ctx, terms);
}

#endif
