/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the guard needs to answer SYNs in a stack's place (guard_cookie.h), as the switch writes it. */
#ifndef MULTISTACK_GUARD_COOKIE_MAPS_H
#define MULTISTACK_GUARD_COOKIE_MAPS_H

#include <linux/types.h>

#define GUARD_COOKIE_TIMESTAMPS   0x1
#define GUARD_COOKIE_WINDOW_SCALE 0x2
#define GUARD_COOKIE_SACK         0x4
#define GUARD_COOKIE_ECN          0x8

#define GUARD_COOKIE_SCALE_MAX 14 /* RFC 7323 section 2.3 */

/* What is left to the stack may come in bursts of what it is left in so long. */
#define GUARD_COOKIE_LEFT_BURST_NS 10000000

/* The terms of a stack's listener: what its SYN-ACKs say. No padding. */
struct guard_cookie {
    __u64 key[2];    /* of syncookie.h */
    __u64 behind_us; /* what the clock of cookies is behind CLOCK_MONOTONIC */
    __u64 left_ns;   /* one SYN in so many ns is left to the stack to answer; 0: none is */
    __u16 mss;       /* to offer */
    __u16 window;    /* as it stands in the header; host order, both */
    __u8 window_scale;
    __u8 hop_limit; /* 0: nobody has given terms */
    __u8 dscp;
    __u8 options; /* GUARD_COOKIE_*: agreed on if the SYN asks for it */
};

#endif
