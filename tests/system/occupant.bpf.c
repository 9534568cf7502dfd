/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Somebody else's XDP program: passes everything. Tests attach it to a NIC before multistackd comes
 * (test_nic.sh). */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char occupant_license[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int occupant(struct xdp_md *context)
{
    (void)context;
    return XDP_PASS;
}
