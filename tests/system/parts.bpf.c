/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends first fragments of IPv4 by one queue, the others by the next, for the egress of a veth without a
 * queueing discipline: hashes of software leave ports aside where there is a fragment, those of hardware
 * often do not. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MORE_FRAGMENTS 0x2000
#define OFFSET_BITS    0x1fff

SEC("tc")
int parts(struct __sk_buff *skb)
{
    __be16 field = 0;
    __u32 at = sizeof(struct ethhdr) + __builtin_offsetof(struct iphdr, frag_off);

    if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, at, &field, sizeof(field)))
        return TC_ACT_OK;
    /* The hash takes what stands here for the queue by which the packet came, counted from 1. The other
     * end receives by the same queue, or, where it has no NAPI, by the one before, if there is one. */
    if (bpf_ntohs(field) & OFFSET_BITS)
        skb->queue_mapping = 3;
    else if (bpf_ntohs(field) & MORE_FRAGMENTS)
        skb->queue_mapping = 2;
    return TC_ACT_OK;
}

char parts_license[] SEC("license") = "Dual BSD/GPL";
