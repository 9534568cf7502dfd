/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The guard's rules, as the switch writes them and the programs at the NIC read them (guard.h).
 *
 *   map             key                   value                  written by
 *   guard_policies  slot                  struct guard_policy    switch
 *   guard_prefixes  struct guard_prefix   struct guard_entry     switch; longest prefix match
 *   guard_budgets   slot                  struct guard_budget    programs; switch (clears)
 *   guard_sources   struct guard_source   __u64 ns               programs; the oldest make room
 *   guard_counts    slot                  struct guard_counts    programs, per CPU; switch (clears)
 *   guard_cookies   slot                  struct guard_cookie    switch; guard_cookie_maps.h
 *
 * A policy is the rules of one 3-tuple, or, in slot GUARD_EVERYWHERE, of all. A 3-tuple has its policy's
 * id as its value in mux_bindings (0: it has none); bits of `guard` in struct mux_shared say whether
 * there is one for all. So where there are no rules the guard costs no look-up. All maps are shared by
 * all NICs.
 *
 * An id is a slot and a generation. What is keyed by the id (prefixes, sources) and is left over from
 * the slot's last user belongs to another id, and is never found.
 *
 * What is read here may be half written: an element of an array is copied while programs read it. Each
 * field is judged by itself, so the worst is one packet judged by a rule and its successor. */
#ifndef MULTISTACK_GUARD_MAPS_H
#define MULTISTACK_GUARD_MAPS_H

#include <linux/types.h>

#define GUARD_POLICIES_MAX 1024 /* a power of two; slots */
#define GUARD_EVERYWHERE   0    /* the slot of the rules for all bindings, and their id */
#define GUARD_PREFIXES_MAX 20480
#define GUARD_SOURCES_MAX  32768

static inline __u32 guard_slot(__u32 policy)
{
    return policy & (GUARD_POLICIES_MAX - 1);
}

/* What a policy has. All zero: nothing, and then nobody refers to it. */
#define GUARD_HAS_LIST_V4 0x1
#define GUARD_HAS_LIST_V6 0x2
#define GUARD_HAS_STRICT  0x4
#define GUARD_HAS_LIMITS  0x8
#define GUARD_HAS_COOKIES 0x10

/* Limits of openings, that is of SYNs, in the order in which they are asked. */
enum guard_limit_kind {
    GUARD_LIMIT_SOURCE,      /* of one source: an IPv4 address, an IPv6 /64 */
    GUARD_LIMIT_SYN,         /* of all sources */
    GUARD_LIMIT_CONNECTIONS, /* of what goes on to the stack: behind whatever answers SYNs itself */
    GUARD_LIMIT_COUNT
};

#define GUARD_FOR_EVER (~0ULL)

/* A token bucket, told as a virtual time (GCRA): an opening moves it on by `interval_ns`, and it may
 * be `tolerance_ns` ahead of the clock. Times of an end are CLOCK_MONOTONIC; 0: there is none of it. */
struct guard_limit {
    __u64 interval_ns;
    __u64 tolerance_ns;
    __u64 until_ns;
};

/* Limits of one kind, of several bindings of the 3-tuple: the strictest first, each behind it laxer
 * and with a later end. The first one that has not ended holds, so what has ended hides nothing
 * until the switch takes it out. Of more than these the laxest wait for that. */
#define GUARD_LIMIT_STEPS 4

struct guard_policy {
    __u32 id;
    __u32 flags; /* GUARD_HAS_* */
    __u64 strict_until_ns;
    struct guard_limit limits[GUARD_LIMIT_COUNT][GUARD_LIMIT_STEPS];
};

/* The virtual times; that of GUARD_LIMIT_SOURCE is not used (guard_sources). */
struct guard_budget {
    __u64 due_ns[GUARD_LIMIT_COUNT];
    __u64 left_due_ns; /* of SYNs that are left to the stack to answer (guard_cookie_maps.h) */
};

/* Bits before the address. */
#define GUARD_PREFIX_HEAD 64

/* Addresses in the notation of mux_maps.h. */
struct guard_prefix {
    __u32 length; /* in bits, GUARD_PREFIX_HEAD and those of the prefix */
    __u32 policy; /* id */
    __u32 family; /* 4 or 6 */
    __u8 address[16];
};

/* CLOCK_MONOTONIC; 0: it is not on that list. */
struct guard_entry {
    __u64 allow_until_ns;
    __u64 block_until_ns;
    __u32 length; /* bits of the prefix alone */
    __u32 zero;
};

struct guard_source {
    __u32 policy; /* id */
    __u32 family;
    __u8 address[16]; /* of IPv6 the first 8 bytes; the rest is zero */
};

/* By enum mux_verdict, from MUX_GUARD_FIRST on. */
#define GUARD_COUNTS_MAX 16

struct guard_counts {
    __u64 count[GUARD_COUNTS_MAX];
};

#endif
