/* SPDX-License-Identifier: BSD-2-Clause */
/* guard_rules.h: what the rules of a policy come to, in the maps that the programs at the NICs read
 * (bpf/guard_maps.h). */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "guard_rules.h"

static const struct guard_rule *next_rule(const struct guard *guard, const struct guard_rule *rule,
                                          uint32_t slot)
{
    uint32_t index = rule ? rule->next : guard->places[slot].first_rule;

    return index == GUARD_NONE ? NULL : &guard->rules[index];
}

static void raise(__u64 *until_ns, uint64_t by_ns)
{
    if (by_ns > *until_ns)
        *until_ns = by_ns;
}

static int update(const struct guard *guard, uint32_t map, const void *key, const void *value)
{
    return guard->fds[map] < 0 ? 0 : bpf_map_update_elem(guard->fds[map], key, value, BPF_ANY);
}

/* And to the workers, where the switch judges as well. */
static int tell_prefix(struct switch_core *core, const struct guard_prefix *key,
                       const struct guard_entry *entry)
{
    const struct change change = {.kind = CHANGE_GUARD_PREFIX,
                                  .guard_prefix = {.key = *key, .entry = *entry}};

    return core->guard.buckets ? core_change(core, &change) : 0;
}

/* Which lengths are on lists: the workers ask for those alone. */
static void add_length(struct guard_judged *judged, const struct guard_rule *rule)
{
    uint32_t length = rule->prefix.length;

    if (rule->kind != CONTROL_GUARD_BLOCK && rule->kind != CONTROL_GUARD_ALLOW)
        return;
    if (rule->prefix.family == 4)
        judged->lengths4 |= 1ULL << length;
    else
        judged->lengths6[length / 64] |= 1ULL << length % 64;
}

static int tell_policy(struct switch_core *core, uint32_t slot, const struct guard_policy *policy)
{
    struct change change = {.kind = CHANGE_GUARD_POLICY, .guard_policy = {.policy = *policy}};

    if (!core->guard.buckets)
        return 0;
    for (const struct guard_rule *rule = next_rule(&core->guard, NULL, slot); rule;
         rule = next_rule(&core->guard, rule, slot))
        add_length(&change.guard_policy, rule);
    return core_change(core, &change);
}

int guard__write_id(struct switch_core *core, uint32_t slot, uint32_t id)
{
    const struct guard_place *place = &core->guard.places[slot];
    const struct change change = {.kind = CHANGE_GUARD_ID, .tuple = place->tuple, .guard_id = id};
    int status = core->guard.buckets ? core_change(core, &change) : 0;

    return status ? status
                  : namespace_set_policy(&core->workers[0].names, &place->tuple, place->port_count,
                                         id);
}

int guard__write_prefix(struct switch_core *core, uint32_t slot,
                        const struct control_prefix *prefix)
{
    const struct guard *guard = &core->guard;
    struct guard_prefix key = {
        .length = GUARD_PREFIX_HEAD + prefix->length,
        .policy = guard->places[slot].id,
        .family = prefix->family,
    };
    struct guard_entry entry = {.length = prefix->length};

    memcpy(key.address, prefix->bytes, sizeof(key.address));
    for (const struct guard_rule *rule = next_rule(guard, NULL, slot); rule;
         rule = next_rule(guard, rule, slot)) {
        if (memcmp(&rule->prefix, prefix, sizeof(*prefix)) != 0)
            continue;
        if (rule->kind == CONTROL_GUARD_ALLOW)
            raise(&entry.allow_until_ns, rule->until_ns);
        else if (rule->kind == CONTROL_GUARD_BLOCK)
            raise(&entry.block_until_ns, rule->until_ns);
    }
    if (entry.allow_until_ns || entry.block_until_ns) {
        int status = update(guard, CHANNEL_GUARD_PREFIXES, &key, &entry);

        return status ? status : tell_prefix(core, &key, &entry);
    }
    tell_prefix(core, &key, &entry); /* that takes no memory of the first worker's */
    if (guard->fds[CHANNEL_GUARD_PREFIXES] >= 0)
        bpf_map_delete_elem(guard->fds[CHANNEL_GUARD_PREFIXES], &key);
    return 0;
}

static_assert(CONTROL_GUARD_SYN - CONTROL_GUARD_SYN_SOURCE ==
                      GUARD_LIMIT_SYN - GUARD_LIMIT_SOURCE &&
                  CONTROL_GUARD_CONNECTIONS - CONTROL_GUARD_SYN_SOURCE ==
                      GUARD_LIMIT_CONNECTIONS - GUARD_LIMIT_SOURCE,
              "limits are in the same order");

/* The lowest rate counts, of equal rates the smallest burst. */
static bool is_stricter(const struct guard_limit *one, const struct guard_limit *other)
{
    return one->interval_ns > other->interval_ns ||
           (one->interval_ns == other->interval_ns && one->tolerance_ns < other->tolerance_ns);
}

static struct guard_limit limit_of(const struct guard_rule *rule)
{
    struct guard_limit limit = {.interval_ns = 1000000000 / rule->rate, .until_ns = rule->until_ns};

    limit.tolerance_ns = limit.interval_ns * (rule->burst - 1);
    return limit;
}

/* The strictest that ends after `after_ns`, and of those that are as strict the one that lasts
 * longest. Without any: all zero. */
static struct guard_limit strictest(const struct guard *guard, uint32_t slot, uint32_t kind,
                                    uint64_t after_ns)
{
    struct guard_limit best = {0};

    for (const struct guard_rule *rule = next_rule(guard, NULL, slot); rule;
         rule = next_rule(guard, rule, slot)) {
        struct guard_limit limit;

        if (rule->kind != kind || rule->until_ns <= after_ns)
            continue;
        limit = limit_of(rule);
        if (!best.until_ns || is_stricter(&limit, &best) ||
            (!is_stricter(&best, &limit) && limit.until_ns > best.until_ns))
            best = limit;
    }
    return best;
}

static void add_limits(const struct guard *guard, uint32_t slot, struct guard_policy *policy)
{
    for (uint32_t kind = 0; kind < GUARD_LIMIT_COUNT; kind++) {
        uint64_t after_ns = 0;

        for (uint32_t i = 0; i < GUARD_LIMIT_STEPS; i++) {
            policy->limits[kind][i] =
                strictest(guard, slot, CONTROL_GUARD_SYN_SOURCE + kind, after_ns);
            after_ns = policy->limits[kind][i].until_ns;
            if (!after_ns)
                break;
        }
    }
}

static void add_rule(struct guard_policy *policy, const struct guard_rule *rule)
{
    switch (rule->kind) {
    case CONTROL_GUARD_BLOCK:
    case CONTROL_GUARD_ALLOW:
        policy->flags |= rule->prefix.family == 4 ? GUARD_HAS_LIST_V4 : GUARD_HAS_LIST_V6;
        break;
    case CONTROL_GUARD_STRICT:
        policy->flags |= GUARD_HAS_STRICT;
        raise(&policy->strict_until_ns, rule->until_ns);
        break;
    case CONTROL_GUARD_COOKIES:
    case CONTROL_GUARD_COOKIES_ALWAYS:
    case CONTROL_GUARD_COOKIES_NEVER: break;           /* they are looked at together */
    default: policy->flags |= GUARD_HAS_LIMITS; break; /* add_limits() */
    }
}

int guard__write_policy(struct switch_core *core, uint32_t slot)
{
    const struct guard *guard = &core->guard;
    struct guard_policy policy = {.id = guard->places[slot].id};
    struct guard_cookie terms;
    int status = 0;

    for (const struct guard_rule *rule = next_rule(guard, NULL, slot); rule;
         rule = next_rule(guard, rule, slot))
        add_rule(&policy, rule);
    if (policy.flags & GUARD_HAS_LIMITS)
        add_limits(guard, slot, &policy);
    if (slot != GUARD_EVERYWHERE && guard__cookies_wanted(core, slot, &terms)) {
        policy.flags |= GUARD_HAS_COOKIES;
        status = update(guard, CHANNEL_GUARD_COOKIES, &slot, &terms);
    }
    if (!status)
        status = update(guard, CHANNEL_GUARD_POLICIES, &slot, &policy);
    if (!status)
        status = tell_policy(core, slot, &policy);
    if (!status)
        core->guard.places[slot].flags = policy.flags;
    if (!status && slot == GUARD_EVERYWHERE)
        __atomic_store_n(&core->shared->guard, policy.flags, __ATOMIC_RELEASE);
    return status;
}

static struct guard_counts counted_by_workers(const struct switch_core *core, uint32_t slot)
{
    struct guard_counts sum = {{0}};

    for (uint32_t worker = 0; worker < core->worker_count; worker++) {
        const struct guard_counts *counts = &core->guard.store->counts[worker][slot];

        for (uint32_t i = 0; i < GUARD_COUNTS_MAX; i++)
            sum.count[i] += __atomic_load_n(&counts->count[i], __ATOMIC_RELAXED);
    }
    return sum;
}

int guard__write_new(const struct switch_core *core, uint32_t slot)
{
    const struct guard *guard = &core->guard;
    const struct guard_budget budget = {{0}};
    int status = update(guard, CHANNEL_GUARD_BUDGETS, &slot, &budget);

    memset(guard->counts, 0, guard->cpus * sizeof(*guard->counts));
    if (guard->buckets)
        guard_judge_fill(guard->buckets, slot);
    guard->store->counted_before[slot] = counted_by_workers(core, slot);
    return status ? status : update(guard, CHANNEL_GUARD_COUNTS, &slot, guard->counts);
}

bool guard_read_counts(const struct switch_core *core, uint32_t slot, struct guard_counts *sum)
{
    const struct guard *guard = &core->guard;
    bool maps = guard->fds[CHANNEL_GUARD_COUNTS] >= 0 &&
                !bpf_map_lookup_elem(guard->fds[CHANNEL_GUARD_COUNTS], &slot, guard->counts);

    if (!maps && !guard->buckets)
        return false;
    *sum = counted_by_workers(core, slot);
    for (uint32_t i = 0; i < GUARD_COUNTS_MAX; i++) {
        sum->count[i] -= guard->store->counted_before[slot].count[i];
        for (uint32_t cpu = 0; maps && cpu < guard->cpus; cpu++)
            sum->count[i] += guard->counts[cpu].count[i];
    }
    return true;
}

/* ---- what an earlier switch has left */

/* All keys, before any is deleted: of a trie, what follows a key that is gone begins anew. */
static struct guard_prefix *read_keys(int fd, uint32_t *count)
{
    struct guard_prefix *keys = calloc(GUARD_PREFIXES_MAX, sizeof(*keys));

    *count = 0;
    while (keys && *count < GUARD_PREFIXES_MAX &&
           !bpf_map_get_next_key(fd, *count ? &keys[*count - 1] : NULL, &keys[*count]))
        ++*count;
    return keys;
}

int guard__clear_maps(const struct switch_core *core)
{
    int fd = core->guard.fds[CHANNEL_GUARD_PREFIXES];
    struct guard_prefix *keys;
    uint32_t count;

    if (fd < 0) /* in tests */
        return 0;
    keys = read_keys(fd, &count);
    if (!keys)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        bpf_map_delete_elem(fd, &keys[i]);
    free(keys);
    return 0;
}
