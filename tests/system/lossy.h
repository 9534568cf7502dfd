/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What lossy (the program) and lossy.bpf.c share. */
#ifndef MULTISTACK_LOSSY_H
#define MULTISTACK_LOSSY_H

#include <linux/types.h>

#define LOSSY_SCALE     10000 /* probabilities are in 1/10000 */
#define LOSSY_LINKS_MAX 8

/* A device of the wire: what befalls the packets that it receives. */
struct lossy_link {
    __u32 late;  /* ifindex of the ifb(4) device for packets that are to be reordered */
    __u32 again; /* and of the one for second copies */
    __u32 loss;
    __u32 duplicate;
    __u32 reorder;
    __u32 corrupt;
    __u32 mark;
    __u32 unused;
    __u64 random;  /* state of the generator; the seed at first */
    __u64 packets; /* received; of these: */
    __u64 lost;
    __u64 duplicated;
    __u64 reordered;
    __u64 corrupted;
    __u64 marked;
};

#endif
