/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* bpf/guard_cookie.h by itself, for test_guard_cookie.c: every frame is taken for a SYN to one binding. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IPV4_FRAGMENT_BITS 0x3fff /* as in classify.h */
#define AT_IP              ETH_HLEN
#define AT_IPV4            (AT_IP + sizeof(struct iphdr))
#define AT_IPV6            (AT_IP + sizeof(struct ipv6hdr))

#include "guard_cookie.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct guard_cookie);
} terms SEC(".maps");

__u32 way;

SEC("xdp.frags")
int answer(struct xdp_md *ctx)
{
    const struct guard_cookie *given;
    struct ethhdr ether;
    __u32 zero = 0;

    given = bpf_map_lookup_elem(&terms, &zero);
    if (!given || bpf_xdp_load_bytes(ctx, 0, &ether, sizeof(ether)))
        return XDP_ABORTED;
    switch (guard_answer(ctx, given, ether.h_proto == bpf_htons(ETH_P_IP) ? 4 : 6, way,
                         bpf_ktime_get_ns())) {
    case GUARD_ANSWER_SENT: return XDP_TX;
    case GUARD_ANSWER_DAMAGED: return XDP_DROP;
    default: return XDP_PASS;
    }
}

char program_license[] SEC("license") = "Dual BSD/GPL";
