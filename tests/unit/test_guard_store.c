/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of the guard that outlive a switch: which wait for their binding, whose it may be, what ends
 * them, and what a switch makes of memory that its predecessor has spoiled. */
#include "guard_bench.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard_rules.h"

static struct control_guard block(uint32_t binding, uint8_t last)
{
    return (struct control_guard){
        .binding = binding,
        .action = CONTROL_GUARD_SET,
        .kind = CONTROL_GUARD_BLOCK,
        .prefix = {.bytes = {192, 0, 2, last}, .family = 4, .length = 32},
    };
}

static struct control_guard limit(uint32_t binding, uint32_t rate)
{
    return (struct control_guard){.binding = binding,
                                  .action = CONTROL_GUARD_SET,
                                  .kind = CONTROL_GUARD_SYN,
                                  .rate = rate,
                                  .burst = 7};
}

static uint32_t rules_of(const struct bench *bench, uint32_t binding)
{
    return bench->core->ports.bindings[binding % NAMESPACE_BINDINGS_MAX].guard_rules;
}

/* The switch has died: it takes nothing out of what it shares with the next one. */
static struct bench *succeed(struct bench *bench)
{
    struct bench *next = bench_open();

    guard_dispose(&bench->core->guard);
    assert_int_equal(guard_bench_open(next), 0);
    return next;
}

/* A port of this process, as the client had it at the switch that died. */
static struct port *come_back(struct bench *next, uint32_t uid)
{
    struct port_request request = {.ring_count = 1, .uid = uid, .pid = getpid()};
    struct port *port;

    request.rx_size = request.tx_size = 65536;
    assert_int_equal(port_open(next->core, &request, &port), 0);
    return port;
}

static uint32_t bind_again(struct bench *next, struct port *port, uint16_t number, bool shared)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple tuple = tuple_make(loopback, 4, IP_PROTOCOL_TCP, htons(number));
    const struct binding_terms terms = {.shared = shared};
    uint32_t binding;

    assert_int_equal(binding_add(next->core, port, &tuple, -1, &terms, &binding), 0);
    return binding;
}

static void count_packets(uint32_t slot, uint64_t packets)
{
    struct guard_counts counts[1024] = {{{packets}}};

    assert_int_equal(
        bpf_map_update_elem(guard_bench_maps[CHANNEL_GUARD_COUNTS], &slot, counts, BPF_ANY), 0);
}

static void expect_in_maps(struct bench *next, uint32_t slot, const struct control_guard *wish,
                           uint64_t packets)
{
    struct guard_prefix key = {
        .length = GUARD_PREFIX_HEAD + 32, .policy = next->core->guard.places[slot].id, .family = 4};
    struct guard_policy policy;
    struct guard_counts sum;
    struct guard_entry entry;

    memcpy(key.address, wish->prefix.bytes, sizeof(key.address));
    assert_int_equal(bpf_map_lookup_elem(guard_bench_maps[CHANNEL_GUARD_PREFIXES], &key, &entry),
                     0);
    assert_in_range(entry.block_until_ns - core_clock(), 900 * SECOND, 1000 * SECOND);
    assert_int_equal(bpf_map_lookup_elem(guard_bench_maps[CHANNEL_GUARD_POLICIES], &slot, &policy),
                     0);
    assert_int_equal(policy.flags, GUARD_HAS_LIST_V4 | GUARD_HAS_LIMITS);
    assert_int_equal(policy.limits[GUARD_LIMIT_SYN][0].interval_ns, SECOND / 50);
    assert_true(guard_read_counts(next->core, slot, &sum));
    assert_int_equal(sum.count[0], packets);
}

static void what_was_set_by_hand_waits_for_its_binding(void **state)
{
    struct bench *bench = *state, *next;
    struct client owner = come(bench, true, 1000), hand = come(bench, false, 1000);
    uint32_t binding = bind_port(bench, &owner, IP_PROTOCOL_TCP, 80, false), slot;
    struct control_guard wishes[] = {block(binding, 1), limit(binding, 50), block(binding, 2)};
    struct guard_rule *rule;

    wishes[0].duration_ns = 1000 * SECOND;
    assert_int_equal(ask(bench, &hand, &wishes[0]), 0);
    assert_int_equal(ask(bench, &hand, &wishes[1]), 0);
    assert_int_equal(ask(bench, &owner, &wishes[2]), 0); /* the port's: it will present it again */
    slot = slot_of(bench, binding);
    if (have_maps())
        count_packets(slot, 4711);
    next = succeed(bench);
    assert_int_equal(rules(next), 2);
    binding = bind_again(next, come_back(next, 1000), 80, false);
    assert_int_equal(rules_of(next, binding), 2);
    assert_int_equal(slot_of(next, binding), slot);
    if (have_maps())
        expect_in_maps(next, slot, &wishes[0], 4711);
    for (uint32_t i = next->core->guard.places[slot].first_rule; i != GUARD_NONE; i = rule->next) {
        rule = &next->core->guard.rules[i];
        assert_true(rule->binding == binding && rule->kind != CONTROL_GUARD_STRICT);
        assert_true(rule->kind != CONTROL_GUARD_SYN || (rule->rate == 50 && rule->burst == 7));
    }
    guard_housekeep(next->core, core_clock() + 100 * SECOND);
    assert_int_equal(rules(next), 2); /* what came back stays */
    assert_int_equal(binding_remove(next->core, next->core->ports.slots[0], binding), 0);
    assert_int_equal(rules(next), 0);
    bench_close(next);
    leave(bench, &hand);
    leave(bench, &owner);
}

static void it_is_nobody_elses(void **state)
{
    struct bench *bench = *state, *next;
    struct client owner = come(bench, true, 1000), hand = come(bench, false, 1000);
    uint32_t first = bind_port(bench, &owner, IP_PROTOCOL_TCP, 80, false), binding;
    uint32_t second = bind_port(bench, &owner, IP_PROTOCOL_TCP, 81, false);
    uint32_t third = bind_port(bench, &owner, IP_PROTOCOL_TCP, 16384, false);
    struct control_guard wishes[] = {block(first, 1), block(second, 1), block(third, 1)};
    const struct binding_terms range = {.port_count = 64};
    struct tuple tuple = tuple_make((const uint8_t *)"\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 4,
                                    IP_PROTOCOL_TCP, htons(16384));
    struct port *port;

    assert_int_equal(ask(bench, &hand, &wishes[0]), 0);
    assert_int_equal(ask(bench, &hand, &wishes[1]), 0);
    assert_int_equal(ask(bench, &hand, &wishes[2]), 0);
    next = succeed(bench);
    assert_int_equal(rules(next), 3);
    binding = bind_again(next, come_back(next, 1001), 80, false); /* of another user */
    assert_int_equal(rules_of(next, binding), 0);
    assert_int_equal(slot_of(next, binding), GUARD_NONE);
    assert_int_equal(rules(next), 2);
    port = come_back(next, 1000); /* no single port any more */
    assert_int_equal(binding_add(next->core, port, &tuple, -1, &range, &binding), 0);
    assert_int_equal(rules_of(next, binding), 0);
    assert_int_equal(rules(next), 1);
    port->pid++; /* another process of the same */
    binding = bind_again(next, port, 81, false);
    assert_int_equal(rules_of(next, binding), 0);
    assert_int_equal(rules(next), 1);
    guard_housekeep(next->core, core_clock() + 59 * SECOND);
    assert_int_equal(rules(next), 1);
    guard_housekeep(next->core, core_clock() + 61 * SECOND);
    assert_int_equal(rules(next), 0);
    assert_int_equal(slot_of(next, binding), GUARD_NONE);
    bench_close(next);
    leave(bench, &hand);
    leave(bench, &owner);
}

/* Threads of a server share a 3-tuple: each has the rules of one again, not all of all. */
static void several_bindings_of_a_process_have_theirs(void **state)
{
    struct bench *bench = *state, *next;
    struct client one = come(bench, true, 1000), other = come(bench, true, 1000);
    struct client hand = come(bench, false, 1000);
    uint32_t first = bind_port(bench, &one, IP_PROTOCOL_TCP, 80, true);
    uint32_t second = bind_port(bench, &other, IP_PROTOCOL_TCP, 80, true);
    struct control_guard wishes[] = {block(first, 1), block(second, 1), block(second, 2)};
    struct bench *second_switch;
    uint32_t had[3];

    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ask(bench, &hand, &wishes[i]), 0);
    second_switch = succeed(bench);
    next = succeed(second_switch); /* it died as well, before anybody came */
    assert_int_equal(rules(next), 3);
    for (size_t i = 0; i < 3; i++) {
        uint32_t binding = bind_again(next, come_back(next, 1000), 80, true);

        had[i] = rules_of(next, binding);
    }
    assert_true(had[0] + had[1] == 3 && had[0] && had[1] && !had[2]);
    bench_close(next);
    bench_close(second_switch);
    leave(bench, &hand);
    leave(bench, &other);
    leave(bench, &one);
}

static void what_waits_ends_by_time_as_well(void **state)
{
    struct bench *bench = *state, *next;
    struct client owner = come(bench, true, 1000), hand = come(bench, false, 1000);
    uint32_t binding = bind_port(bench, &owner, IP_PROTOCOL_TCP, 80, false);
    struct control_guard wish = block(binding, 1);

    wish.duration_ns = 5 * SECOND;
    assert_int_equal(ask(bench, &hand, &wish), 0);
    next = succeed(bench);
    assert_int_equal(rules(next), 1);
    guard_housekeep(next->core, core_clock() + 6 * SECOND);
    assert_int_equal(rules(next), 0);
    bench_close(next);
    leave(bench, &hand);
    leave(bench, &owner);
}

/* ---- hostile: whoever had the switch may have written anything */

static void expect_lists_are_sound(const struct guard *guard)
{
    uint32_t listed = 0;

    for (uint32_t slot = 0; slot < GUARD_POLICIES_MAX; slot++) {
        for (uint32_t i = guard->places[slot].first_rule; i != GUARD_NONE;
             i = guard->rules[i].next) {
            assert_in_range(i, 0, guard->made - 1);
            assert_int_equal(guard->rules[i].slot, slot);
            assert_in_range(guard->rules[i].kind, CONTROL_GUARD_BLOCK, CONTROL_GUARD_KINDS - 1);
            assert_in_range(++listed, 1, guard->count);
        }
    }
    assert_int_equal(listed, guard->count);
}

static void spoiled_memory_harms_nobody(void **state)
{
    struct bench *bench = *state, *next;
    struct guard_store *store =
        mmap(NULL, sizeof(*store), PROT_READ | PROT_WRITE, MAP_SHARED, guard_bench_store, 0);
    uint32_t *words = (uint32_t *)store;

    assert_ptr_not_equal(store, MAP_FAILED);
    srandom(1);
    guard_dispose(&bench->core->guard);
    for (uint32_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof(*store) / sizeof(*words); i++)
            words[i] = (uint32_t)random() % (round == 0 ? UINT32_MAX : 8);
        store->made = round % 2 ? UINT32_MAX : GUARD_RULES_MAX;
        for (uint32_t i = 0; round >= 2 && i < GUARD_RULES_MAX; i++) { /* nearly right */
            store->rules[i].until_ns = GUARD_FOR_EVER;
            store->rules[i].slot %= round == 2 ? 3 : GUARD_POLICIES_MAX;
            store->rules[i].prefix = (struct control_prefix){
                .bytes = {(uint8_t)i, (uint8_t)(i >> 8)}, .family = 4, .length = 24};
            store->rules[i].kind = 1 + i % 2;
        }
        next = bench_open();
        assert_int_equal(guard_bench_open(next), 0);
        expect_lists_are_sound(&next->core->guard);
        bind_again(next, come_back(next, 1000), 80, false);
        guard_housekeep(next->core, core_clock() + 61 * SECOND);
        expect_lists_are_sound(&next->core->guard);
        for (uint32_t i = 0; i < next->core->guard.made; i++)
            assert_true(!next->core->guard.rules[i].kind || !next->core->guard.rules[i].slot);
        bench_close(next);
    }
    munmap(store, sizeof(*store));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guard_bench_set_up, guard_bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_set_by_hand_waits_for_its_binding),
        TEST(it_is_nobody_elses),
        TEST(several_bindings_of_a_process_have_theirs),
        TEST(what_waits_ends_by_time_as_well),
        TEST(spoiled_memory_harms_nobody),
    };

    return cmocka_run_group_tests_name("guard_store", tests, NULL, NULL);
}
