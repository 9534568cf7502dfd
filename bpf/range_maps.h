/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps of the ranges' programs (ranges.bpf.c), which the keeper fills.
 *
 *   map            key                     value         written by   read by
 *   range_units    range_unit(…)           __u8, taken   keeper       both programs
 *   range_mutes    range_mute(…)           socket        keeper       multistack_range_lookup */
#ifndef MULTISTACK_RANGE_MAPS_H
#define MULTISTACK_RANGE_MAPS_H

#include <linux/types.h>

#define RANGE_PORTS_MIN 64    /* of one range, and what all others are multiples of */
#define RANGE_PORTS_MAX 16384 /* of one range */
#define RANGE_UNITS     (65536 / RANGE_PORTS_MIN) /* of one protocol */

/* TCP and UDP have ranges. Ports in host order. */
#define RANGE_PROTOCOLS 2

/* Which unit of 64 ports a port belongs to. */
static inline __u32 range_unit(int is_udp, __u32 port)
{
    return (is_udp ? RANGE_UNITS : 0) + port / RANGE_PORTS_MIN % RANGE_UNITS;
}

#define RANGE_MUTES (RANGE_PROTOCOLS * 2)

static inline __u32 range_mute(int is_udp, int is_ipv6)
{
    return (is_udp ? 2 : 0) + (is_ipv6 ? 1 : 0);
}

#endif
