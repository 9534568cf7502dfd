/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The lab's bad wire: loses, doubles, reorders, corrupts and marks packets.
 *
 * A tc program, because the test machines have no netem. It stands at the receiving side of both
 * devices, c0 and s0, of a bridge in the wire's namespace. What it does not drop goes on to the
 * bridge, but
 *
 *   c0 ──► late ──► c0 ──► bridge ──► s0     a packet that is to be reordered: a rate limit on
 *                                            `late` holds it back while others overtake it
 *   c0 ──► again ──► c0 ──► bridge ──► s0    the second copy of a packet
 *
 * and the same for s0. `late` and `again` are ifb(4) devices: what is sent to them is received once
 * more by the device that it came from, and is not seen by this program again. It must be such a
 * device: the kernel marks packets that a program redirects, across veths and namespaces, and generic
 * XDP programs are not shown packets with the mark; ifb takes it off.
 *
 * Faults befall IP alone: ARP has no checksum, so that a corrupted one would make the lab useless
 * and not show anything. Each decision is drawn from a generator with a seed, so that one seed
 * gives one sequence of faults. The order of packets is the machine's. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lossy.h"

char lossy_license[] SEC("license") = "Dual BSD/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, LOSSY_LINKS_MAX);
    __type(key, __u32); /* ifindex */
    __type(value, struct lossy_link);
} lossy_links SEC(".maps");

/* SplitMix64 (Steele, Lea, Flood, 2014). Two CPUs may draw the same number: no harm. */
static __u64 draw(struct lossy_link *link)
{
    __u64 z = link->random += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static int happens(struct lossy_link *link, __u32 probability)
{
    return probability != 0 && draw(link) % LOSSY_SCALE < probability;
}

/* Inverts one bit behind the Ethernet header. */
static void corrupt(struct __sk_buff *skb, struct lossy_link *link)
{
    __u64 number = draw(link);
    __u32 offset;
    __u8 byte;

    if (skb->len <= ETH_HLEN)
        return;
    offset = ETH_HLEN + (__u32)(number >> 8) % (skb->len - ETH_HLEN);
    if (bpf_skb_load_bytes(skb, offset, &byte, 1) != 0)
        return;
    byte ^= 1 << (number & 7);
    if (bpf_skb_store_bytes(skb, offset, &byte, 1, 0) == 0)
        __sync_fetch_and_add(&link->corrupted, 1);
}

SEC("tc")
int lossy(struct __sk_buff *skb)
{
    __u32 device = skb->ifindex;
    struct lossy_link *link = bpf_map_lookup_elem(&lossy_links, &device);

    if (link == NULL ||
        (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6)))
        return TC_ACT_OK;
    __sync_fetch_and_add(&link->packets, 1);
    if (happens(link, link->loss)) {
        __sync_fetch_and_add(&link->lost, 1);
        return TC_ACT_SHOT;
    }
    /* As a router that is short of room: what is ECN-capable is marked. */
    if (happens(link, link->mark) && bpf_skb_ecn_set_ce(skb) == 1)
        __sync_fetch_and_add(&link->marked, 1);
    if (happens(link, link->duplicate) && bpf_clone_redirect(skb, link->again, 0) == 0)
        __sync_fetch_and_add(&link->duplicated, 1);
    if (happens(link, link->corrupt))
        corrupt(skb, link);
    if (happens(link, link->reorder)) {
        __sync_fetch_and_add(&link->reordered, 1);
        return bpf_redirect(link->late, 0);
    }
    return TC_ACT_OK;
}
