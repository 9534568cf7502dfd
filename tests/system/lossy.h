/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What lossy (the program) and lossy.bpf.c share. */
#ifndef MULTISTACK_LOSSY_H
#define MULTISTACK_LOSSY_H

#include <linux/types.h>

#define LOSSY_SCALE     10000 /* probabilities are in 1/10000 */
#define LOSSY_LINKS_MAX 8

/* A device of the wire: what arrives at it goes out at `out`, but for what is done to it. */
struct lossy_link {
    __u32 out;    /* ifindex */
    __u32 detour; /* ifindex of the slow lane; 0: there are no faults on this device */
    __u32 loss;
    __u32 duplicate;
    __u32 reorder;
    __u32 corrupt;
    __u64 random; /* state of the generator; the seed at first */
    __u64 passed; /* counters, packets; each fault is counted besides */
    __u64 lost;
    __u64 duplicated;
    __u64 reordered;
    __u64 corrupted;
};

#endif
