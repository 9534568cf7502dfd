/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The guard's tables as eBPF maps (guard_maps.h), for guard.h in the programs at the NICs. */
#ifndef MULTISTACK_GUARD_TABLES_H
#define MULTISTACK_GUARD_TABLES_H

#include "guard_cookie_maps.h"
#include "guard_maps.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, GUARD_POLICIES_MAX);
    __type(key, __u32);
    __type(value, struct guard_policy);
} guard_policies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, GUARD_PREFIXES_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct guard_prefix);
    __type(value, struct guard_entry);
} guard_prefixes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, GUARD_POLICIES_MAX);
    __type(key, __u32);
    __type(value, struct guard_budget);
} guard_budgets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, GUARD_SOURCES_MAX);
    __type(key, struct guard_source);
    __type(value, __u64);
} guard_sources SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, GUARD_POLICIES_MAX);
    __type(key, __u32);
    __type(value, struct guard_counts);
} guard_counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, GUARD_POLICIES_MAX);
    __type(key, __u32);
    __type(value, struct guard_cookie);
} guard_cookies SEC(".maps");

/* The verifier looks at the function once, not once for each time. */
#define guard_repeat(times, step, context) bpf_loop(times, step, context, 0)

static __always_inline __u64 guard_now(PACKET_CONTEXT *ctx)
{
    (void)ctx;
    return bpf_ktime_get_ns();
}

static __always_inline __u64 guard_now_coarse(PACKET_CONTEXT *ctx)
{
    (void)ctx;
    return bpf_ktime_get_coarse_ns();
}

static __always_inline const struct guard_policy *guard_policy_at(PACKET_CONTEXT *ctx, __u32 slot)
{
    (void)ctx;
    return bpf_map_lookup_elem(&guard_policies, &slot);
}

static __always_inline const struct guard_entry *guard_entry_of(PACKET_CONTEXT *ctx,
                                                                const struct guard_prefix *key)
{
    (void)ctx;
    return bpf_map_lookup_elem(&guard_prefixes, key);
}

static __always_inline struct guard_budget *guard_budget_at(PACKET_CONTEXT *ctx, __u32 slot)
{
    (void)ctx;
    return bpf_map_lookup_elem(&guard_budgets, &slot);
}

static __always_inline __u64 *guard_source_of(PACKET_CONTEXT *ctx, const struct guard_source *key)
{
    (void)ctx;
    return bpf_map_lookup_elem(&guard_sources, key);
}

static __always_inline void guard_source_begin(PACKET_CONTEXT *ctx, const struct guard_source *key,
                                               const __u64 *due_ns)
{
    (void)ctx;
    bpf_map_update_elem(&guard_sources, key, due_ns, BPF_ANY);
}

static __always_inline __u64 guard_due(const __u64 *due_ns)
{
    return *(const volatile __u64 *)due_ns;
}

static __always_inline void guard_count_at(PACKET_CONTEXT *ctx, __u32 slot, __u32 index)
{
    struct guard_counts *counts = bpf_map_lookup_elem(&guard_counts, &slot);

    (void)ctx;
    if (counts && index < GUARD_COUNTS_MAX)
        counts->count[index]++;
}

static __always_inline const struct guard_cookie *guard_terms_at(PACKET_CONTEXT *ctx, __u32 slot)
{
    (void)ctx;
    return bpf_map_lookup_elem(&guard_cookies, &slot);
}

#endif
