/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What groups.bpf.c writes into its ring: copies of datagrams that the host stack delivered to a
 * placeholder. */
#ifndef MULTISTACK_GROUPS_H
#define MULTISTACK_GROUPS_H

#include <linux/types.h>

#define GROUPS_RING_SIZE  (1024 * 1024) /* bytes; a power of two, whole pages */
#define GROUPS_PACKET_MAX 65536

struct group_record {
    __u64 cookie; /* of the placeholder (SO_COOKIE) */
    __u64 lost;   /* datagrams that found no room so far, of all placeholders */
    __u32 ifindex;
    __u32 length; /* of the IP packet that follows */
};

#endif
