/* SPDX-License-Identifier: BSD-2-Clause */
/* Who decides whether SYNs are answered at the NIC, and by what terms: the rules of the guard that are
 * about SYN cookies. The answers themselves: test_guard_cookie.c. */
#include "guard_bench.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guard_rules.h"

static struct control_guard cookies(uint32_t binding, bool asks)
{
    return (struct control_guard){.binding = binding,
                                  .action = CONTROL_GUARD_SET,
                                  .kind = CONTROL_GUARD_COOKIES,
                                  .rate = asks,
                                  .cookie = {.key = {1, 2, 3},
                                             .mss = 1460,
                                             .window = 65535,
                                             .window_scale = 7,
                                             .hop_limit = 64,
                                             .options = 0xf}};
}

static struct control_guard choice(uint32_t binding, uint32_t kind)
{
    return (struct control_guard){.binding = binding, .action = CONTROL_GUARD_SET, .kind = kind};
}

static bool answered(const struct bench *bench, uint32_t binding)
{
    uint32_t slot = slot_of(bench, binding);

    return slot != GUARD_NONE && bench->core->guard.places[slot].flags & GUARD_HAS_COOKIES;
}

static void with_xdp(struct bench *bench)
{
    bench->core->nics[0].answers = true;
    bench->core->guard.may_ask = true;
}

static void syns_are_answered_while_the_stack_asks(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false), slot;
    struct control_guard wish = cookies(binding, false);
    struct guard_cookie terms;

    with_xdp(bench);
    assert_int_equal(ask(bench, &client, &wish), 0); /* it is ready */
    assert_false(answered(bench, binding));
    wish.rate = 1;
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_true(answered(bench, binding));
    assert_int_equal(rules(bench), 1);
    slot = slot_of(bench, binding);
    if (have_maps()) {
        assert_int_equal(
            bpf_map_lookup_elem(guard_bench_maps[CHANNEL_GUARD_COOKIES], &slot, &terms), 0);
        assert_memory_equal(terms.key, wish.cookie.key, 16);
        assert_int_equal(terms.mss, 1460);
        assert_int_equal(terms.hop_limit, 64);
        assert_int_equal(terms.options, 0xf);
    }
    wish.rate = 0;
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_false(answered(bench, binding));
    leave(bench, &client);
    assert_int_equal(rules(bench), 0);
    assert_int_equal(bench->core->guard.cookie_rules, 0);
}

static uint64_t left_ns(const struct bench *bench, uint32_t binding)
{
    struct guard_cookie terms = {.left_ns = 0};
    uint32_t slot = slot_of(bench, binding);

    assert_true(guard__cookies_wanted(bench->core, slot, &terms));
    return terms.left_ns;
}

/* Of several who ask the fewest count, of who is only ready none; and whoever says "always" means all. */
static void some_syns_are_left_to_the_stack(void **state)
{
    struct bench *bench = *state;
    struct client one = come(bench, true, 1000), other = come(bench, true, 1000);
    uint32_t first = bind_port(bench, &one, IP_PROTOCOL_TCP, 80, true);
    uint32_t second = bind_port(bench, &other, IP_PROTOCOL_TCP, 80, true);
    struct control_guard wish = cookies(first, true), next = cookies(second, false);
    struct control_guard always = choice(first, CONTROL_GUARD_COOKIES_ALWAYS);

    with_xdp(bench);
    wish.burst = 100000;
    assert_int_equal(ask(bench, &one, &wish), 0);
    assert_int_equal(ask(bench, &other, &next), 0);
    assert_int_equal(left_ns(bench, first), 10000);
    next.rate = 1;
    next.burst = 50000;
    assert_int_equal(ask(bench, &other, &next), 0);
    assert_int_equal(left_ns(bench, first), 20000);
    next.burst = 0;
    assert_int_equal(ask(bench, &other, &next), 0);
    assert_int_equal(left_ns(bench, first), 0);
    next.burst = 50000;
    assert_int_equal(ask(bench, &other, &next), 0);
    assert_int_equal(ask(bench, &one, &always), 0);
    assert_int_equal(left_ns(bench, first), 0);
    wish.burst = CONTROL_GUARD_RATE_MAX + 1;
    assert_int_equal(ask(bench, &one, &wish), -EINVAL);
}

static uint64_t told_of(struct bench *bench, const struct client *client,
                        const struct control_guard *wish)
{
    assert_int_equal(ask(bench, client, wish), 0);
    return guard_bench_answer.answered;
}

/* The sum over all processors, of this binding alone. */
static void the_stack_hears_how_many_were_answered(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false), slot;
    uint32_t other = bind_port(bench, &client, IP_PROTOCOL_TCP, 81, false);
    struct control_guard wish = cookies(binding, true),
                         strict = choice(binding, CONTROL_GUARD_STRICT);
    struct guard_counts *counts;

    with_xdp(bench);
    assert_int_equal(told_of(bench, &client, &wish), 0);
    if (!have_maps())
        skip();
    counts = calloc(bench->core->guard.cpus, sizeof(*counts));
    for (uint32_t cpu = 0; cpu < bench->core->guard.cpus; cpu++)
        counts[cpu].count[MUX_GUARD_COOKIE - MUX_GUARD_FIRST] = 1000 + cpu;
    slot = slot_of(bench, binding);
    assert_int_equal(
        bpf_map_update_elem(guard_bench_maps[CHANNEL_GUARD_COUNTS], &slot, counts, BPF_ANY), 0);
    free(counts);
    assert_true(told_of(bench, &client, &wish) >= 1000 * bench->core->guard.cpus);
    wish.rate = 0;
    assert_true(told_of(bench, &client, &wish) >= 1000);
    assert_int_equal(told_of(bench, &client, &strict), 0);
    wish.action = CONTROL_GUARD_REMOVE;
    wish.cookie = (struct control_cookie){.mss = 0};
    assert_int_equal(told_of(bench, &client, &wish), 0);
    wish = cookies(other, true);
    assert_int_equal(told_of(bench, &client, &wish), 0);
}

static void the_owner_or_the_administrator_decides_otherwise(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000), root = come(bench, false, 0);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    struct control_guard always = choice(binding, CONTROL_GUARD_COOKIES_ALWAYS);
    struct control_guard never = choice(binding, CONTROL_GUARD_COOKIES_NEVER);
    struct control_guard wish = cookies(binding, true);

    with_xdp(bench);
    assert_int_equal(ask(bench, &root, &always), 0);
    assert_false(answered(bench, binding)); /* nobody has told by which terms */
    assert_int_equal(ask(bench, &root, &wish), -EPERM);
    wish.rate = 0;
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_true(answered(bench, binding));
    assert_int_equal(ask(bench, &root, &never), 0);
    assert_false(answered(bench, binding));
    wish.rate = 1;
    assert_int_equal(ask(bench, &client, &wish), 0);
    assert_false(answered(bench, binding));
    never.action = CONTROL_GUARD_REMOVE;
    assert_int_equal(ask(bench, &root, &never), 0);
    assert_true(answered(bench, binding));
    bench->core->guard.may_ask = false;
    assert_int_equal(ask(bench, &client, &wish), -EACCES);
    always.binding = 0;
    assert_int_equal(ask(bench, &root, &always), -EINVAL);
}

static void all_owners_must_answer_alike(void **state)
{
    struct bench *bench = *state;
    struct client first = come(bench, true, 1000), second = come(bench, true, 1000);
    uint32_t one = bind_port(bench, &first, IP_PROTOCOL_TCP, 80, true), two;
    struct control_guard wish = cookies(one, true);

    with_xdp(bench);
    assert_int_equal(ask(bench, &first, &wish), 0);
    assert_true(answered(bench, one));
    two = bind_port(bench, &second, IP_PROTOCOL_TCP, 80, true); /* its ACKs are not the first's */
    assert_false(answered(bench, one));
    wish = cookies(two, false);
    wish.cookie.key[0]++;
    assert_int_equal(ask(bench, &second, &wish), 0);
    assert_false(answered(bench, one));
    wish.cookie.key[0]--;
    assert_int_equal(ask(bench, &second, &wish), 0);
    assert_true(answered(bench, one));
    wish.cookie.key[0]++;
    assert_int_equal(ask(bench, &second, &wish), 0);
    assert_false(answered(bench, one));
    leave(bench, &second);
    assert_true(answered(bench, one));
}

static void terms_that_make_no_sense_are_refused(void **state)
{
    struct bench *bench = *state;
    struct client client = come(bench, true, 1000);
    uint32_t binding = bind_port(bench, &client, IP_PROTOCOL_TCP, 80, false);
    uint32_t udp = bind_port(bench, &client, IP_PROTOCOL_UDP, 80, false);
    struct control_guard good = cookies(binding, true), wish = good;

#define REFUSED(change, error)                                                                     \
    wish = good;                                                                                   \
    change;                                                                                        \
    assert_int_equal(ask(bench, &client, &wish), error)

    REFUSED((void)0, -EOPNOTSUPP); /* no NIC has a program that could */
    with_xdp(bench);
    REFUSED(wish.rate = 2, -EINVAL);
    REFUSED(wish.burst = CONTROL_GUARD_RATE_MAX + 1, -EINVAL);
    REFUSED(wish.duration_ns = 1, -EINVAL);
    REFUSED(wish.cookie.mss = 87, -EINVAL);
    REFUSED(wish.cookie.window_scale = 15, -EINVAL);
    REFUSED(wish.cookie.hop_limit = 0, -EINVAL);
    REFUSED(wish.cookie.dscp = 64, -EINVAL);
    REFUSED(wish.cookie.options = 16, -EINVAL);
    REFUSED(wish.cookie.behind_us = CONTROL_COOKIE_BEHIND_MAX + 1, -EINVAL);
    REFUSED(wish.cookie.zero = 1, -EINVAL);
    REFUSED(wish.prefix.family = 4, -EINVAL);
    REFUSED(wish.action = CONTROL_GUARD_REMOVE, -EINVAL);
    REFUSED(wish.kind = CONTROL_GUARD_STRICT, -EINVAL);
    REFUSED(wish.binding = udp, -EPROTOTYPE);
#undef REFUSED
    assert_int_equal(rules(bench), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, guard_bench_set_up, guard_bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(syns_are_answered_while_the_stack_asks),
        TEST(some_syns_are_left_to_the_stack),
        TEST(the_stack_hears_how_many_were_answered),
        TEST(the_owner_or_the_administrator_decides_otherwise),
        TEST(all_owners_must_answer_alike),
        TEST(terms_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests_name("guard_answers", tests, NULL, NULL);
}
