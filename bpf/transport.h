/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef MULTISTACK_TRANSPORT_H
#define MULTISTACK_TRANSPORT_H

#include <linux/if_ether.h>
#include <linux/types.h>

#define AT_IP ETH_HLEN /* byte where the packet starts in its frame */

/* What the network layer says about the transport layer. */
struct transport {
    __u32 offset; /* bytes from the start of the frame */
    __u32 length; /* bytes that the IP header gives it: Ethernet padding is not in it (W3) */
    __u8 family;
    __u8 protocol;
    __u8 headless;  /* 1: a later fragment or an ICMP error: `offset` is not where its header is */
    __u32 policy;   /* of the binding that claimed it: guard_maps.h */
    __u8 local[16]; /* destination address, in the notation of mux_maps.h */
};

#endif
