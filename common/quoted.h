/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which quotes in ICMP errors (RFC 792, RFC 4443) have a receiver here: asked by the programs at the
 * NICs (bpf/classify.h), which claim such an error for a stack, and by the switch (switch/packet.c),
 * which delivers it. One condition for both: what the one claimed and the other dropped would reach
 * nobody, not even the host stack. */
#ifndef MULTISTACK_QUOTED_H
#define MULTISTACK_QUOTED_H

#include <linux/types.h>
#include <stdbool.h>

#define QUOTED_BYTES 8 /* of the transport header, RFC 792; ICMPv6 quotes more */

/* An IPv4 header without options, of the first or only part of a datagram, which has the transport
 * header. In host order: the first byte, and the fields with the length and with flags and offset. */
static inline bool quoted_ipv4_is_good(__u8 version_ihl, __u16 total_length, __u16 fragment)
{
    return version_ihl == 0x45 && total_length >= 20 && !(fragment & 0x1fff);
}

#endif
