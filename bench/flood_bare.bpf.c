/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The least that an XDP program can do with a frame of a flood (bench/flood_cost): drop it, or send it
 * back to where it came from as it is. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

char bare_license[] SEC("license") = "Dual BSD/GPL";

SEC("xdp/drop")
int bare_drop(struct xdp_md *context)
{
    (void)context;
    return XDP_DROP;
}

SEC("xdp/back")
int bare_back(struct xdp_md *context)
{
    struct ethhdr *ether = (struct ethhdr *)(long)context->data;
    __u8 mac[ETH_ALEN];

    if ((void *)(ether + 1) > (void *)(long)context->data_end)
        return XDP_DROP;
    __builtin_memcpy(mac, ether->h_source, ETH_ALEN);
    __builtin_memcpy(ether->h_source, ether->h_dest, ETH_ALEN);
    __builtin_memcpy(ether->h_dest, mac, ETH_ALEN);
    return XDP_TX;
}
