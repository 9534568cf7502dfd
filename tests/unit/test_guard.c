/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard's rules in the switch: who may set them, what is refused, when they go, and what the maps
 * say then. Where maps may be made (as root) they are the kernel's; elsewhere the rules alone are
 * looked at. What programs make of the maps: test_mux_guard.c. */
#include "guard_bench.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guard_rules.h"
#include "mux_maps.h"

static struct control_prefix prefix(const char *text, uint8_t length)
{
    struct control_prefix prefix = {.family = strchr(text, ':') ? 6 : 4, .length = length};

    assert_int_equal(inet_pton(prefix.family == 6 ? AF_INET6 : AF_INET, text, prefix.bytes), 1);
    return prefix;
}

static struct control_guard list(uint32_t binding, uint32_t kind, const char *text, uint8_t length)
{
    return (struct control_guard){.binding = binding,
                                  .action = CONTROL_GUARD_SET,
                                  .kind = kind,
                                  .prefix = prefix(text, length)};
}

static struct control_guard block(uint32_t binding, const char *text, uint8_t length)
{
    return list(binding, CONTROL_GUARD_BLOCK, text, length);
}

static struct control_guard limit(uint32_t binding, uint32_t kind, uint32_t rate)
{
    return (struct control_guard){
        .binding = binding, .action = CONTROL_GUARD_SET, .kind = kind, .rate = rate};
}

/* The n-th of many prefixes. */
static struct control_guard nth_block(uint32_t binding, uint32_t n)
{
    struct control_guard wish = block(binding, "10.0.0.0", 32);

    wish.prefix.bytes[1] = (uint8_t)(n >> 16);
    wish.prefix.bytes[2] = (uint8_t)(n >> 8);
    wish.prefix.bytes[3] = (uint8_t)n;
    return wish;
}

static bool entry_of(const struct bench *bench, uint32_t slot, const struct control_prefix *prefix,
                     struct guard_entry *entry)
{
    struct guard_prefix key = {.length = GUARD_PREFIX_HEAD + prefix->length,
                               .policy = bench->core->guard.places[slot].id,
                               .family = prefix->family};

    memcpy(key.address, prefix->bytes, sizeof(key.address));
    return bpf_map_lookup_elem(guard_bench_maps[CHANNEL_GUARD_PREFIXES], &key, entry) == 0;
}

static struct guard_policy policy_of(uint32_t slot)
{
    struct guard_policy policy = {0};

    assert_int_equal(bpf_map_lookup_elem(guard_bench_maps[CHANNEL_GUARD_POLICIES], &slot, &policy),
                     0);
    return policy;
}

/* ---- what rules come to */

static void a_rule_is_in_the_maps_until_it_is_removed(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false), slot;
    struct control_guard wish = block(binding, "192.0.2.0", 24);
    struct guard_entry entry;

    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_int_equal(ask(bench, &client, &wish), 0); /* twice is once */
    assert_int_equal(rules(bench), 1);
    slot = slot_of(bench, binding);
    assert_in_range(slot, 1, GUARD_POLICIES_MAX - 1);
    if (have_maps()) {
        assert_true(entry_of(bench, slot, &wish.prefix, &entry));
        assert_true(entry.block_until_ns == GUARD_FOR_EVER && entry.allow_until_ns == 0);
        assert_int_equal(policy_of(slot).flags, GUARD_HAS_LIST_V4);
        assert_int_equal(policy_of(slot).id, bench->core->guard.places[slot].id);
    }
    wish.action = CONTROL_GUARD_REMOVE;
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_int_equal(ask(bench, &client, &wish), -ENOENT);
    assert_int_equal(rules(bench), 0);
    assert_int_equal(slot_of(bench, binding), GUARD_NONE);
    if (have_maps()) {
        assert_false(entry_of(bench, slot, &wish.prefix, &entry));
        assert_int_equal(policy_of(slot).flags, 0);
    }
    leave(bench, &client);
}

static void limits_are_told_as_intervals(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    struct control_guard wish = limit(binding, CONTROL_GUARD_SYN_SOURCE, 10);

    wish.burst = 5;
    assert_int_equal(ask(bench, &client, &wish), 0);
    wish = limit(binding, CONTROL_GUARD_SYN, 1000);
    assert_int_equal(ask(bench, &client, &wish), 0);
    wish = limit(binding, CONTROL_GUARD_CONNECTIONS, CONTROL_GUARD_RATE_MAX);
    assert_int_equal(ask(bench, &client, &wish), 0);
    wish = limit(binding, CONTROL_GUARD_STRICT, 0);
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_int_equal(rules(bench), 4);
    if (have_maps()) {
        struct guard_policy policy = policy_of(slot_of(bench, binding));

        assert_int_equal(policy.flags, GUARD_HAS_LIMITS | GUARD_HAS_STRICT);
        assert_true(policy.strict_until_ns == GUARD_FOR_EVER);
        assert_int_equal(policy.limits[GUARD_LIMIT_SOURCE][0].interval_ns, SECOND / 10);
        assert_int_equal(policy.limits[GUARD_LIMIT_SOURCE][0].tolerance_ns, 4 * SECOND / 10);
        assert_int_equal(policy.limits[GUARD_LIMIT_SYN][0].interval_ns, SECOND / 1000);
        assert_int_equal(policy.limits[GUARD_LIMIT_SYN][0].tolerance_ns, 999 * SECOND / 1000);
        assert_int_equal(policy.limits[GUARD_LIMIT_CONNECTIONS][0].interval_ns,
                         SECOND / CONTROL_GUARD_RATE_MAX);
    }
    leave(bench, &client);
}

static void rules_go_with_their_binding_and_with_their_port(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t first = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    uint32_t second = bind_port(bench, &client, IP_PROTOCOL_TCP, 81, false), slot;
    struct control_guard wishes[] = {block(first, "192.0.2.1", 32), block(second, "192.0.2.1", 32)};
    struct guard_entry entry;

    assert_int_equal(ask(bench, &client, &wishes[0]), 0);
    assert_int_equal(ask(bench, &client, &wishes[1]), 0);
    slot = slot_of(bench, second);
    assert_int_not_equal(slot, slot_of(bench, first));
    assert_int_equal(binding_remove(bench->core, client.connection->port, first), 0);
    assert_int_equal(rules(bench), 1);
    leave(bench, &client); /* the process ends */
    assert_int_equal(rules(bench), 0);
    if (have_maps())
        assert_false(entry_of(bench, slot, &wishes[1].prefix, &entry));
    for (uint32_t i = 1; i < GUARD_POLICIES_MAX; i++)
        assert_false(bench->core->guard.places[i].used);
}

/* Several ports have the same 3-tuple: what one of them has set stays when another one goes. */
static void members_of_a_group_have_rules_together(void **state)
{
    struct bench *bench = *state;
    struct client one = come(bench, true, 1000), other = come(bench, true, 1000);
    uint32_t first = bind_port(bench, &one, IP_PROTOCOL_TCP, 80, true);
    uint32_t second = bind_port(bench, &other, IP_PROTOCOL_TCP, 80, true), slot;
    struct control_guard wish = block(first, "192.0.2.1", 32);
    struct control_guard rate = limit(first, CONTROL_GUARD_SYN, 1000);
    struct guard_entry entry;

    assert_int_equal(ask(bench, &one, &wish), 0);
    assert_int_equal(ask(bench, &one, &rate), 0);
    wish.binding = rate.binding = second;
    rate.rate = 10;
    assert_int_equal(ask(bench, &other, &wish), 0);
    assert_int_equal(ask(bench, &other, &rate), 0);
    assert_int_equal(rules(bench), 4);
    slot = slot_of(bench, first);
    if (have_maps())
        assert_int_equal(policy_of(slot).limits[GUARD_LIMIT_SYN][0].interval_ns, SECOND / 10);
    leave(bench, &other);
    assert_int_equal(rules(bench), 2);
    assert_int_equal(slot_of(bench, first), slot);
    if (have_maps()) {
        assert_true(entry_of(bench, slot, &wish.prefix, &entry));
        assert_int_equal(policy_of(slot).limits[GUARD_LIMIT_SYN][0].interval_ns, SECOND / 1000);
    }
    leave(bench, &one);
    assert_int_equal(rules(bench), 0);
}

/* The strictest first; behind it what is laxer and ends later, and no other (guard_maps.h). */
static void limits_of_several_stand_in_the_order_in_which_they_hold(void **state)
{
    struct bench *bench = *state;
    static const struct {
        uint32_t rate, burst;
        uint64_t seconds; /* 0: for ever */
    } limits[] = {{300, 0, 0},   {100, 0, 1000}, {200, 0, 2000}, {250, 0, 500}, {50, 0, 100},
                  {100, 9, 900}, {200, 0, 3000}, {400, 0, 0},    {280, 0, 4000}};
    static const struct {
        uint32_t rate, burst;
    } expected[GUARD_LIMIT_STEPS] = {{50, 50}, {100, 9}, {100, 100}, {200, 200}};
    struct client clients[sizeof(limits) / sizeof(limits[0])];
    uint64_t begin = core_clock();
    struct guard_policy policy;
    uint32_t slot = 0;

    for (uint32_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct control_guard wish;

        clients[i] = come(bench, true, 1000);
        wish = limit(bind_port(bench, &clients[i], IP_PROTOCOL_TCP, 80, true), CONTROL_GUARD_SYN,
                     limits[i].rate);
        wish.burst = limits[i].burst;
        wish.duration_ns = limits[i].seconds * SECOND;
        assert_int_equal(ask(bench, &clients[i], &wish), 0);
        slot = slot_of(bench, wish.binding);
    }
    if (!have_maps())
        skip();
    policy = policy_of(slot);
    for (uint32_t i = 0; i < GUARD_LIMIT_STEPS; i++) {
        const struct guard_limit *step = &policy.limits[GUARD_LIMIT_SYN][i];

        assert_int_equal(step->interval_ns, SECOND / expected[i].rate);
        assert_int_equal(step->tolerance_ns, step->interval_ns * (expected[i].burst - 1));
    }
    assert_true(policy.limits[GUARD_LIMIT_SYN][3].until_ns >= begin + 3000 * SECOND);
    guard_housekeep(bench->core, core_clock() + 1001 * SECOND); /* those that waited have places */
    policy = policy_of(slot);
    assert_int_equal(policy.limits[GUARD_LIMIT_SYN][0].interval_ns, SECOND / 200);
    assert_int_equal(policy.limits[GUARD_LIMIT_SYN][1].interval_ns, SECOND / 280);
    assert_int_equal(policy.limits[GUARD_LIMIT_SYN][2].interval_ns, SECOND / 300);
    assert_int_equal(policy.limits[GUARD_LIMIT_SYN][3].until_ns, 0);
    for (uint32_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        leave(bench, &clients[i]);
    assert_int_equal(rules(bench), 0);
}

static int bindings_map(void)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

    return bpf_map_create(BPF_MAP_TYPE_HASH, NULL, sizeof(struct mux_key), 4, 64, &options);
}

/* What the mux finds behind the range's key. */
static uint32_t policy_of_range(int map, uint16_t first)
{
    struct mux_key key = {.family = 4 | 6 << MUX_RANGE_SHIFT,
                          .protocol = IP_PROTOCOL_TCP,
                          .port = htons(first),
                          .address = {127, 0, 0, 1}};
    uint32_t policy = UINT32_MAX;

    assert_int_equal(bpf_map_lookup_elem(map, &key, &policy), 0);
    return policy;
}

static void a_range_has_rules_as_a_single_port(void **state)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple tuple = tuple_make(loopback, 4, IP_PROTOCOL_TCP, htons(16384));
    const struct binding_terms terms = {.port_count = 64};
    struct bench *bench = *state;
    int map = have_maps() ? bindings_map() : -1;
    struct client client = come(bench, true, 1000);
    struct control_guard wish;
    uint32_t binding;

    bench->worker->names.mux_map_fd = map;
    assert_int_equal(
        binding_add(bench->core, client.connection->port, &tuple, -1, &terms, &binding), 0);
    wish = block(binding, "192.0.2.1", 32);
    assert_int_equal(ask(bench, &client, &wish), 0);
    if (map >= 0)
        assert_int_equal(policy_of_range(map, 16384),
                         bench->core->guard.places[slot_of(bench, binding)].id);
    wish = limit(binding, CONTROL_GUARD_SYN, 100);
    assert_int_equal(ask(bench, &client, &wish), 0);
    wish.action = CONTROL_GUARD_FLUSH;
    wish.kind = wish.rate = 0;
    assert_int_equal(rules(bench), 2);
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_int_equal(rules(bench), 0);
    if (map >= 0)
        assert_int_equal(policy_of_range(map, 16384), 0);
    wish = block(binding, "192.0.2.1", 32);
    assert_int_equal(ask(bench, &client, &wish), 0);
    leave(bench, &client);
    assert_int_equal(rules(bench), 0);
    bench->worker->names.mux_map_fd = -1;
    if (map >= 0)
        close(map);
}

static void rules_end_by_time(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    uint64_t now_ns = core_clock();
    struct control_guard wish;

    for (uint32_t i = 0; i < 100; i++) {
        wish = nth_block(binding, i);
        wish.duration_ns = 100 * SECOND;
        assert_int_equal(ask(bench, &client, &wish), 0);
    }
    wish = block(binding, "192.0.2.1", 32);
    assert_int_equal(ask(bench, &client, &wish), 0);
    guard_housekeep(bench->core, now_ns + 99 * SECOND);
    assert_int_equal(rules(bench), 101);
    guard_housekeep(bench->core, now_ns + 102 * SECOND);
    assert_int_equal(rules(bench), 101 - GUARD_SWEPT_PER_TICK);
    guard_housekeep(bench->core, now_ns + 102 * SECOND);
    assert_int_equal(rules(bench), 1);
    wish.duration_ns = SECOND; /* set again, it has an end */
    assert_int_equal(ask(bench, &client, &wish), 0);
    guard_housekeep(bench->core, core_clock() + 2 * SECOND);
    assert_int_equal(rules(bench), 0);
    leave(bench, &client);
}

/* ---- who may */

static void only_its_own_bindings(void **state)
{
    struct bench *bench = *state;
    struct client owner = come(bench, true, 1000), sibling = come(bench, true, 1000);
    struct client stranger = come(bench, false, 1001), same = come(bench, false, 1000);
    struct client root = come(bench, false, 0);
    uint32_t binding = bind_port(bench, &owner, IP_PROTOCOL_TCP, 80, false);
    struct control_guard wish = block(binding, "192.0.2.1", 32);

    assert_int_equal(ask(bench, &sibling, &wish), -EPERM); /* a port speaks for itself alone */
    assert_int_equal(ask(bench, &stranger, &wish), -EPERM);
    wish.action = CONTROL_GUARD_REMOVE;
    assert_int_equal(ask(bench, &stranger, &wish), -EPERM);
    wish.action = CONTROL_GUARD_SET;
    assert_int_equal(rules(bench), 0);
    assert_int_equal(ask(bench, &same, &wish), 0);
    assert_int_equal(ask(bench, &root, &wish), 0);
    wish.binding = binding + NAMESPACE_BINDINGS_MAX; /* of an earlier or later use of the slot */
    assert_int_equal(ask(bench, &root, &wish), -ENOENT);
    wish.binding = UINT32_MAX;
    assert_int_equal(ask(bench, &root, &wish), -ENOENT);
    assert_int_equal(rules(bench), 1);
    leave(bench, &owner);
    assert_int_equal(rules(bench), 0);
}

static void rules_for_all_are_the_administrators(void **state)
{
    struct bench *bench = *state;
    struct client user = come(bench, true, 1000), root = come(bench, false, 0);
    struct control_guard wish = block(0, "192.0.2.0", 24);
    struct guard_entry entry;

    assert_int_equal(ask(bench, &user, &wish), -EPERM);
    assert_int_equal(bench->core->shared->guard, 0);
    assert_int_equal(ask(bench, &root, &wish), 0);
    assert_int_equal(bench->core->shared->guard, GUARD_HAS_LIST_V4);
    if (have_maps())
        assert_true(entry_of(bench, GUARD_EVERYWHERE, &wish.prefix, &entry));
    leave(bench, &root);
    leave(bench, &user);
    assert_int_equal(rules(bench), 1); /* nobody's end is theirs */
    root = come(bench, false, 0);
    wish = (struct control_guard){.action = CONTROL_GUARD_FLUSH};
    assert_int_equal(ask(bench, &root, &wish), 0);
    assert_int_equal(rules(bench), 0);
    assert_int_equal(bench->core->shared->guard, 0);
    leave(bench, &root);
}

static void administrators_may_be_a_group(void **state)
{
    struct bench *bench = *state;
    gid_t own = getegid();
    struct control_guard wish = block(0, "192.0.2.0", 24);
    struct client user;

    if (!own) /* 0 stands for no group */
        assert_int_equal(setegid(4242), 0);
    user = come(bench, true, 1000);
    bench->core->config.admin_gid = getegid() + 1; /* others */
    assert_int_equal(ask(bench, &user, &wish), -EPERM);
    bench->core->config.admin_gid = getegid(); /* as the socket tells of us */
    assert_int_equal(ask(bench, &user, &wish), 0);
    leave(bench, &user);
    assert_int_equal(setegid(own), 0);
}

/* A switch that is started anew finds what its predecessor has left: what is for all lives on, and
 * nothing else is in the maps. */
static void rules_for_all_outlive_the_switch(void **state)
{
    struct bench *bench = *state, *next;
    struct client owner = come(bench, true, 1000), root = come(bench, false, 0);
    uint32_t binding = bind_port(bench, &owner, IP_PROTOCOL_TCP, 80, false);
    struct control_guard wishes[] = {
        block(0, "192.0.2.0", 24),          list(0, CONTROL_GUARD_ALLOW, "2001:db8::", 32),
        limit(0, CONTROL_GUARD_SYN, 5000),  limit(0, CONTROL_GUARD_STRICT, 0),
        block(binding, "198.51.100.1", 32),
    };
    struct guard_prefix key;
    uint32_t keys = 0;

    wishes[0].duration_ns = 1000 * SECOND;
    wishes[2].burst = 70;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
        assert_int_equal(ask(bench, wishes[i].binding ? &owner : &root, &wishes[i]), 0);
    next = bench_open();
    guard_dispose(&bench->core->guard); /* dead; it takes nothing out */
    assert_int_equal(guard_bench_open(next), 0);
    assert_int_equal(rules(next), 4);
    assert_int_equal(next->core->shared->guard,
                     GUARD_HAS_LIST_V4 | GUARD_HAS_LIST_V6 | GUARD_HAS_LIMITS | GUARD_HAS_STRICT);
    for (const void *last = NULL;
         have_maps() && !bpf_map_get_next_key(guard_bench_maps[CHANNEL_GUARD_PREFIXES], last, &key);
         last = &key) {
        assert_int_equal(key.policy, GUARD_EVERYWHERE);
        keys++;
    }
    assert_int_equal(keys, have_maps() ? 2 : 0);
    for (uint32_t i = 0; i < next->core->guard.made; i++) {
        const struct guard_rule *rule = &next->core->guard.rules[i];

        if (rule->kind == CONTROL_GUARD_SYN)
            assert_true(rule->rate == 5000 && rule->burst == 70);
        if (rule->kind == CONTROL_GUARD_BLOCK)
            assert_in_range(rule->until_ns - core_clock(), 900 * SECOND, 1000 * SECOND);
    }
    guard_housekeep(next->core, core_clock() + 1001 * SECOND);
    assert_int_equal(rules(next), 3);
    bench_close(next);
    leave(bench, &root);
    leave(bench, &owner);
}

/* ---- hostile */

static void nonsense_is_refused(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    struct control_guard good = block(binding, "192.0.2.0", 24), wish;
    struct control_guard good_limit = limit(binding, CONTROL_GUARD_SYN, 10);

#define REFUSED(from, change)                                                                      \
    do {                                                                                           \
        wish = (from);                                                                             \
        change;                                                                                    \
        assert_int_equal(ask(bench, &client, &wish), -EINVAL);                                     \
    } while (0)
    REFUSED(good, wish.prefix.length = 33);
    REFUSED(good, wish.prefix.length = 255);
    REFUSED(good, wish.prefix.length = 16; wish.prefix.bytes[2] = 2); /* bits behind it */
    REFUSED(good, wish.prefix.bytes[4] = 1);                          /* IPv4 has four bytes */
    REFUSED(good, wish.prefix.family = 0);
    REFUSED(good, wish.prefix.family = 5);
    REFUSED(good, wish.prefix.zero = 1);
    REFUSED(good, wish.prefix.family = 6; wish.prefix.length = 129);
    REFUSED(good, wish.action = 0);
    REFUSED(good, wish.action = 4);
    REFUSED(good, wish.kind = 0);
    REFUSED(good, wish.kind = CONTROL_GUARD_KINDS);
    REFUSED(good, wish.kind = UINT32_MAX);
    REFUSED(good, wish.rate = 1);
    REFUSED(good, wish.burst = 1);
    REFUSED(good, wish.zero[1] = 1);
    REFUSED(good, wish.duration_ns = CONTROL_GUARD_DURATION_MAX + 1);
    REFUSED(good, wish.duration_ns = UINT64_MAX); /* now + that is the past */
    REFUSED(good, wish.action = CONTROL_GUARD_FLUSH);
    REFUSED(good, wish.action = CONTROL_GUARD_REMOVE; wish.duration_ns = 1);
    REFUSED(good_limit, wish.rate = 0);
    REFUSED(good_limit, wish.rate = CONTROL_GUARD_RATE_MAX + 1);
    REFUSED(good_limit, wish.burst = CONTROL_GUARD_RATE_MAX + 1);
    REFUSED(good_limit, wish.prefix = good.prefix);
    REFUSED(good_limit, wish.kind = CONTROL_GUARD_STRICT);
#undef REFUSED
    assert_int_equal(rules(bench), 0);
    good_limit.rate = good_limit.burst = CONTROL_GUARD_RATE_MAX;
    good_limit.duration_ns = CONTROL_GUARD_DURATION_MAX;
    assert_int_equal(ask(bench, &client, &good_limit), 0);
    leave(bench, &client);
}

static void rules_about_tcp_are_for_tcp(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_UDP, 53, false);
    struct control_guard wish = limit(binding, CONTROL_GUARD_SYN, 10);

    assert_int_equal(ask(bench, &client, &wish), -EPROTOTYPE);
    wish = limit(binding, CONTROL_GUARD_STRICT, 0);
    assert_int_equal(ask(bench, &client, &wish), -EPROTOTYPE);
    wish = block(binding, "192.0.2.1", 32);
    assert_int_equal(ask(bench, &client, &wish), 0);
    leave(bench, &client);
}

static void where_nobody_enforces_rules_there_are_none(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    struct control_guard wish = block(binding, "192.0.2.1", 32);

    bench->core->guard.ready = false;
    assert_int_equal(ask(bench, &client, &wish), -EOPNOTSUPP);
    leave(bench, &client);
}

static uint32_t set_many(struct bench *bench, const struct client *client, uint32_t binding,
                         uint32_t most)
{
    uint32_t count = 0;

    for (; count < most; count++) {
        struct control_guard wish = nth_block(binding, count);
        int status = ask(bench, client, &wish);

        if (status) {
            assert_int_equal(status, -ENOSPC);
            break;
        }
    }
    return count;
}

static void a_port_and_a_user_have_so_many(void **state)
{
    enum { PORTS = GUARD_RULES_PER_UID / GUARD_RULES_PER_PORT };
    struct bench *bench = *state;
    struct client clients[PORTS + 1], other = come(bench, true, 1001);
    uint32_t binding = bind_port(bench, &other, IP_PROTOCOL_TCP, 79, false);
    struct control_guard wish = block(binding, "192.0.2.1", 32);

    for (uint32_t i = 0; i <= PORTS; i++) {
        uint32_t own;

        clients[i] = come(bench, true, 1000);
        own = bind_port(bench, &clients[i], IP_PROTOCOL_TCP, (uint16_t)(80 + i), false);
        assert_int_equal(set_many(bench, &clients[i], own, GUARD_RULES_MAX),
                         i < PORTS ? GUARD_RULES_PER_PORT : 0);
    }
    assert_int_equal(ask(bench, &other, &wish), 0); /* another user has his own */
    assert_int_equal(rules(bench), GUARD_RULES_PER_UID + 1);
    leave(bench, &clients[0]);
    assert_int_equal(rules(bench), GUARD_RULES_PER_UID - GUARD_RULES_PER_PORT + 1);
    for (uint32_t i = 1; i <= PORTS; i++)
        leave(bench, &clients[i]);
    leave(bench, &other);
    assert_int_equal(rules(bench), 0);
}

static void a_user_has_so_many_bindings_with_rules(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t ids[2] = {0}, binding;
    struct control_guard wish;

    for (uint32_t i = 0; i <= GUARD_POLICIES_PER_UID; i++) {
        binding = bind_port(bench, &client, IP_PROTOCOL_TCP, (uint16_t)(1000 + i), false);
        wish = block(binding, "192.0.2.1", 32);
        assert_int_equal(ask(bench, &client, &wish), i < GUARD_POLICIES_PER_UID ? 0 : -ENOSPC);
        ids[0] = i ? ids[0] : bench->core->guard.places[1].id;
    }
    assert_int_equal(rules(bench), GUARD_POLICIES_PER_UID);
    leave(bench, &client);
    client = come(bench, true, 1000); /* the same slot has another id for its next user */
    binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    wish.binding = binding;
    assert_int_equal(ask(bench, &client, &wish), 0);
    ids[1] = bench->core->guard.places[slot_of(bench, binding)].id;
    assert_int_not_equal(ids[0], ids[1]);
    leave(bench, &client);
}

/* What ports have used up is not the administrator's, and the other way round. */
static void the_administrator_has_room_of_his_own(void **state)
{
    struct bench *bench = *state;
    struct client root = come(bench, false, 0), client;

    assert_int_equal(set_many(bench, &root, 0, GUARD_RULES_MAX), GUARD_RULES_EVERYWHERE);
    client = come(bench, true, 1000);
    assert_int_equal(
        set_many(bench, &client, bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false), 10), 10);
    leave(bench, &client);
    leave(bench, &root);
}

/* ---- told */

static void rules_are_listed_page_by_page(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false), seen = 0, pages = 0;
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query),
                                  .subject = CONTROL_SUBJECT_GUARD};
    _Alignas(struct control_records) uint8_t page[CONTROL_MESSAGE_MAX];
    const struct control_records *head = (const struct control_records *)page;

    assert_int_equal(set_many(bench, &client, binding, 300), 300);
    do {
        const struct control_guard_record *records =
            (const struct control_guard_record *)(head + 1);

        send_with_fds(client.fd, &query, sizeof(query), NULL, 0);
        serve(bench);
        assert_true(receive(client.fd, page, sizeof(page), NULL) > 0);
        assert_int_equal(head->record_size, sizeof(*records));
        for (uint32_t i = 0; i < head->count; i++, seen++) {
            const struct control_guard wish = nth_block(binding, seen);

            assert_memory_equal(&records[i].prefix, &wish.prefix, sizeof(wish.prefix));
            assert_int_equal(records[i].binding, binding);
            assert_int_equal(records[i].kind, CONTROL_GUARD_BLOCK);
            assert_int_equal(records[i].left_ns, 0);
            assert_int_equal(ntohs(records[i].address.port), 80);
        }
        query.cursor = head->cursor;
        pages++;
    } while (query.cursor);
    assert_int_equal(seen, 300);
    assert_true(pages > 1);
    leave(bench, &client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guard_bench_set_up, guard_bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_rule_is_in_the_maps_until_it_is_removed),
        TEST(limits_are_told_as_intervals),
        TEST(rules_go_with_their_binding_and_with_their_port),
        TEST(members_of_a_group_have_rules_together),
        TEST(limits_of_several_stand_in_the_order_in_which_they_hold),
        TEST(a_range_has_rules_as_a_single_port),
        TEST(rules_end_by_time),
        TEST(only_its_own_bindings),
        TEST(rules_for_all_are_the_administrators),
        TEST(administrators_may_be_a_group),
        TEST(rules_for_all_outlive_the_switch),
        TEST(nonsense_is_refused),
        TEST(rules_about_tcp_are_for_tcp),
        TEST(where_nobody_enforces_rules_there_are_none),
        TEST(a_port_and_a_user_have_so_many),
        TEST(a_user_has_so_many_bindings_with_rules),
        TEST(the_administrator_has_room_of_his_own),
        TEST(rules_are_listed_page_by_page),
    };

    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
