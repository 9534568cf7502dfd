/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* groups: the filter on the placeholders of datagram protocols. Like the one on all others it drops
 * everything; before that it copies what was sent to a group, multicast or broadcast, for the switch.
 *
 * So the host stack itself decides who receives what (design.md, D2): whether this host is a member
 * of the group, on which interface, from which sources, whether the checksum is right; it puts
 * fragments together; it gives each of several sockets its own copy, legacy ones among them. The mux
 * passes groups like anything that is not the stacks' alone, at no cost.
 *
 *   frame → mux: pass → host stack: IGMP, MLD, UDP → each socket that binds the group or the wildcard
 *                                                      ├─ legacy program
 *                                                      └─ placeholder: this filter ─► ring ─► switch
 *
 * What was sent to this host alone and comes here nevertheless (the switch is away) is not copied. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h> /* the compiler's own */

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "groups.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, GROUPS_RING_SIZE);
} groups_ring SEC(".maps");

__u64 groups_lost = 0;

/* RFC 1112 section 4, RFC 4291 section 2.7; broadcasts are told by their frames. The length of the
 * packet, or 0. */
static __always_inline __u32 group_length(struct __sk_buff *skb)
{
    bool framed = skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_LOOPBACK;
    struct ipv6hdr ip6;
    struct iphdr ip;

    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
            return 0;
        return framed || (bpf_ntohl(ip.daddr) >> 28) == 0xe ? bpf_ntohs(ip.tot_len) : 0;
    }
    if (bpf_skb_load_bytes_relative(skb, 0, &ip6, sizeof(ip6), BPF_HDR_START_NET))
        return 0;
    return ip6.daddr.in6_u.u6_addr8[0] == 0xff ? sizeof(ip6) + bpf_ntohs(ip6.payload_len) : 0;
}

/* Records have few sizes, which the verifier wants to know. */
static __always_inline bool copy(struct __sk_buff *skb, __u32 length, const __u32 room)
{
    struct group_record *record = bpf_ringbuf_reserve(&groups_ring, sizeof(*record) + room, 0);

    if (!record)
        return false;
    record->cookie = bpf_get_socket_cookie(skb);
    record->lost = groups_lost;
    record->ifindex = skb->ifindex;
    record->length = length;
    /* What is known of the length already, said in the verifier's own terms. */
    asm volatile("" : "+r"(length));
    length = ((length - 1) & (room - 1)) + 1;
    if (bpf_skb_load_bytes_relative(skb, 0, record + 1, length, BPF_HDR_START_NET)) {
        bpf_ringbuf_discard(record, 0);
        return false;
    }
    bpf_ringbuf_submit(record, 0);
    return true;
}

SEC("socket")
int multistack_groups(struct __sk_buff *skb)
{
    __u32 length = group_length(skb);
    bool done;

    if (!length)
        return 0;
    if (length <= 256)
        done = copy(skb, length, 256);
    else if (length <= 2048)
        done = copy(skb, length, 2048);
    else if (length <= 16384)
        done = copy(skb, length, 16384);
    else
        done = copy(skb, length, GROUPS_PACKET_MAX);
    if (!done)
        __sync_fetch_and_add(&groups_lost, 1);
    return 0;
}

char groups_license[] SEC("license") = "Dual BSD/GPL";
