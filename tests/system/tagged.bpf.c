/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Gives each frame that leaves a device the VLAN tag 5, as a VLAN device does: beside the frame, for the
 * hardware, or whoever plays it, to put in (test_nic_upper.sh). */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char tagged_license[] SEC("license") = "Dual BSD/GPL";

SEC("tc")
int tagged(struct __sk_buff *frame)
{
    bpf_skb_vlan_push(frame, bpf_htons(ETH_P_8021Q), 5);
    return TC_ACT_OK;
}
