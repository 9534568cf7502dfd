/* SPDX-License-Identifier: BSD-2-Clause */
/* 3-tuples with several owners: who gets which flow, what moves when a member comes or goes, and
 * connected bindings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "namespace.h"

#define FLOWS 10000

static const struct hash_key key = {{1, 0x9e3779b97f4a7c15, 3, 0xbf58476d1ce4e5b9}};

/* A port is only an address to the namespace. */
static struct port *port_number(uintptr_t number)
{
    return (struct port *)(number * 64);
}

static struct tuple at(const char *address)
{
    uint8_t bytes[16] = {0};

    assert_int_equal(inet_pton(AF_INET, address, bytes), 1);
    return tuple_make(bytes, 4, IP_PROTOCOL_TCP, htons(80));
}

static struct packet_view flow(const char *local, uint32_t number)
{
    struct packet_view view = {.local = at(local), .remote_port = (be16)(1024 + number)};
    uint32_t remote = htonl(0x0a000100 + number % 7);

    tuple_load_address(view.remote, (const uint8_t *)&remote, 4);
    return view;
}

static int add(struct namespace_table *table, const struct tuple *tuple, struct port *port,
               uint32_t binding)
{
    const struct owner_member member = {.port = port, .binding = binding};

    return namespace_add(table, tuple, &member);
}

static struct port *owner(const struct namespace_table *table, const struct packet_view *view)
{
    return namespace_owner(table, view, tuple_hash(&table->bindings.key, &view->local)).port;
}

static int setup(void **state)
{
    struct namespace_table *table = malloc(sizeof(*table));
    struct tuple host = at("10.0.0.1");

    assert_non_null(table);
    assert_int_equal(namespace_init(table, &key, -1), 0);
    assert_int_equal(namespace_set_address(table, &host, true), 0);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    namespace_dispose(*state);
    free(*state);
    return 0;
}

static void join(struct namespace_table *table, const char *address, uintptr_t number,
                 enum member_state member_state)
{
    struct owner_member member = {.port = port_number(number),
                                  .seed = 1000 + number,
                                  .binding = (uint32_t)number,
                                  .state = (uint8_t)member_state};
    struct tuple tuple = at(address);

    assert_int_equal(namespace_join(table, &tuple, &member), 0);
}

static void leave(struct namespace_table *table, const char *address, uintptr_t number)
{
    struct tuple tuple = at(address);

    namespace_remove(table, &tuple, port_number(number));
}

static void owners(const struct namespace_table *table, struct port *found[FLOWS])
{
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct packet_view view = flow("10.0.0.1", i);

        found[i] = owner(table, &view);
    }
}

static void members_get_equal_shares(void **state)
{
    struct namespace_table *table = *state;
    static struct port *found[FLOWS];
    uint32_t counts[6] = {0};

    for (uintptr_t i = 1; i <= 5; i++)
        join(table, "0.0.0.0", i, MEMBER_ACTIVE);
    owners(table, found);
    for (uint32_t i = 0; i < FLOWS; i++) {
        assert_non_null(found[i]);
        counts[(uintptr_t)found[i] / 64]++;
    }
    for (uint32_t i = 1; i <= 5; i++) /* of 1,024 buckets: within a quarter */
        assert_in_range(counts[i], FLOWS / 5 * 3 / 4, FLOWS / 5 * 5 / 4);
}

static void a_member_that_comes_takes_only_what_it_gets(void **state)
{
    struct namespace_table *table = *state;
    static struct port *before[FLOWS], *after[FLOWS];
    uint32_t moved = 0;

    for (uintptr_t i = 1; i <= 4; i++)
        join(table, "10.0.0.1", i, MEMBER_ACTIVE);
    owners(table, before);
    join(table, "10.0.0.1", 5, MEMBER_ACTIVE);
    owners(table, after);
    for (uint32_t i = 0; i < FLOWS; i++) {
        if (after[i] != before[i])
            assert_ptr_equal(after[i], port_number(5));
        moved += after[i] != before[i];
    }
    assert_in_range(moved, FLOWS / 5 * 3 / 4, FLOWS / 5 * 5 / 4);
    leave(table, "10.0.0.1", 5);
    owners(table, after);
    assert_memory_equal(after, before, sizeof(after));
}

static void a_member_that_goes_moves_its_own_flows_alone(void **state)
{
    struct namespace_table *table = *state;
    static struct port *before[FLOWS], *after[FLOWS];

    for (uintptr_t i = 1; i <= 4; i++)
        join(table, "10.0.0.1", i, MEMBER_ACTIVE);
    owners(table, before);
    leave(table, "10.0.0.1", 2);
    owners(table, after);
    for (uint32_t i = 0; i < FLOWS; i++) {
        if (before[i] == port_number(2))
            assert_ptr_not_equal(after[i], port_number(2));
        else
            assert_ptr_equal(after[i], before[i]);
    }
}

static void the_order_of_coming_does_not_matter(void **state)
{
    struct namespace_table *table = *state;
    static struct port *before[FLOWS], *after[FLOWS];

    for (uintptr_t i = 1; i <= 7; i++)
        join(table, "10.0.0.1", i, MEMBER_ACTIVE);
    owners(table, before);
    for (uintptr_t i = 1; i <= 7; i++)
        leave(table, "10.0.0.1", i);
    for (uintptr_t i = 7; i >= 1; i--)
        join(table, "10.0.0.1", i * 3 % 7 + 1, MEMBER_ACTIVE);
    owners(table, after);
    assert_memory_equal(after, before, sizeof(after));
}

static void only_active_members_get_new_flows(void **state)
{
    struct namespace_table *table = *state;
    struct packet_view view = flow("10.0.0.1", 1);
    struct tuple tuple = at("10.0.0.1");

    join(table, "10.0.0.1", 1, MEMBER_ACTIVE);
    join(table, "10.0.0.1", 2, MEMBER_WAITING);
    assert_ptr_equal(owner(table, &view), port_number(1));
    assert_int_equal(namespace_set_state(table, &tuple, port_number(1), MEMBER_DRAINING), 0);
    assert_null(owner(table, &view));
    assert_int_equal(namespace_set_state(table, &tuple, port_number(2), MEMBER_ACTIVE), 0);
    assert_ptr_equal(owner(table, &view), port_number(2));
    for (uintptr_t i = 1; i <= 2; i++)
        assert_true(namespace_may_send(table, &tuple, port_number(i)));
    assert_false(namespace_may_send(table, &tuple, port_number(3)));
    leave(table, "10.0.0.1", 2);
    assert_null(owner(table, &view));
    leave(table, "10.0.0.1", 1);
    assert_int_equal(table->bindings.used, 0);
}

static void a_port_joins_once_and_members_are_limited(void **state)
{
    struct namespace_table *table = *state;
    struct tuple tuple = at("10.0.0.1");
    struct owner_member member = {.port = port_number(1), .seed = 1};

    for (uintptr_t i = 1; i <= OWNER_MEMBERS_MAX; i++)
        join(table, "10.0.0.1", i, MEMBER_ACTIVE);
    assert_int_equal(namespace_join(table, &tuple, &member), -EADDRINUSE);
    member.port = port_number(OWNER_MEMBERS_MAX + 1);
    assert_int_equal(namespace_join(table, &tuple, &member), -ENOSPC);
    assert_int_equal(add(table, &tuple, port_number(99), 1), -EADDRINUSE);
}

static void a_connected_binding_comes_before_its_group(void **state)
{
    struct namespace_table *table = *state;
    struct tuple tuple = at("10.0.0.1");
    struct packet_view view = flow("10.0.0.1", 1), other = flow("10.0.0.1", 2);

    assert_int_equal(add(table, &tuple, port_number(1), 1), 0);
    join(table, "10.0.0.1", 2, MEMBER_WAITING);
    assert_int_equal(namespace_connect(table, &tuple, port_number(2), &view), 0);
    assert_int_equal(namespace_connect(table, &tuple, port_number(2), &view),
                     0); /* twice is once */
    assert_int_equal(namespace_connect(table, &tuple, port_number(1), &view), -EADDRINUSE);
    assert_int_equal(namespace_connect(table, &tuple, port_number(3), &other), -ENOENT);
    assert_ptr_equal(owner(table, &view), port_number(2));
    assert_ptr_equal(owner(table, &other), port_number(1));
    assert_int_equal(namespace_disconnect(table, &tuple, port_number(1), &view), -ENOENT);
    assert_int_equal(namespace_disconnect(table, &tuple, port_number(2), &view), 0);
    assert_int_equal(namespace_disconnect(table, &tuple, port_number(2), &view), -ENOENT);
    assert_ptr_equal(owner(table, &view), port_number(1));
    assert_int_equal(table->connected.used, 0);
}

static void a_connected_binding_of_the_wildcard_comes_before_an_exact_one(void **state)
{
    struct namespace_table *table = *state;
    struct tuple any = at("0.0.0.0"), exact = at("10.0.0.1");
    struct packet_view view = flow("10.0.0.1", 1), later = flow("10.0.0.1", 2),
                       free_one = flow("10.0.0.1", 3);

    assert_int_equal(add(table, &any, port_number(1), 1), 0);
    assert_int_equal(namespace_connect(table, &any, port_number(1), &view), 0);
    assert_int_equal(add(table, &exact, port_number(2), 2), 0);
    assert_int_equal(namespace_connect(table, &any, port_number(1), &later), 0);
    assert_ptr_equal(owner(table, &view), port_number(1));
    assert_ptr_equal(owner(table, &later), port_number(1));
    assert_ptr_equal(owner(table, &free_one), port_number(2));
    assert_false(namespace_may_send(table, &exact, port_number(1)));
    assert_true(namespace_may_send_connected(table, &view, port_number(1)));
    assert_false(namespace_may_send_connected(table, &view, port_number(2)));
    assert_false(namespace_may_send_connected(table, &free_one, port_number(1)));
    namespace_remove(table, &any, port_number(1));
    assert_ptr_equal(owner(table, &view), port_number(2));
}

static uint32_t ring(const struct namespace_table *table, const struct packet_view *view)
{
    return namespace_owner(table, view, tuple_hash(&table->bindings.key, &view->local)).ring;
}

static void the_ring_of_a_binding_is_its_own_among_others_and_alone(void **state)
{
    struct namespace_table *table = *state;
    struct tuple tuple = at("10.0.0.1"), any = at("0.0.0.0");
    const struct owner_member first = {.port = port_number(1), .binding = 1, .ring = 3};
    const struct owner_member second = {.port = port_number(2), .seed = 7, .ring = 5};
    const struct owner_member third = {.port = port_number(3), .binding = 3, .ring = 9};
    struct packet_view view = flow("10.0.0.1", 1), other = flow("10.0.0.1", 2);

    assert_int_equal(namespace_add(table, &tuple, &first), 0);
    assert_int_equal(ring(table, &view), 3);
    assert_int_equal(namespace_connect(table, &tuple, port_number(1), &view), 0);
    assert_int_equal(namespace_join(table, &tuple, &second), 0);
    assert_int_equal(ring(table, &view), 3);
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct packet_view each = flow("10.0.0.1", i);

        assert_int_equal(ring(table, &each), owner(table, &each) == port_number(1) ? 3 : 5);
    }
    assert_int_equal(namespace_ring(table, &tuple, port_number(1)), 3);
    assert_int_equal(namespace_ring(table, &tuple, port_number(2)), 5);
    assert_int_equal(namespace_ring(table, &tuple, port_number(3)), 0);
    namespace_remove(table, &tuple, port_number(2));
    assert_int_equal(namespace_disconnect(table, &tuple, port_number(1), &view), 0);
    assert_null(owner_group_of(tuple_table_find(&table->bindings, &tuple)->value));
    assert_int_equal(ring(table, &view), 3);
    /* a flow of the wildcard's over the exact one */
    assert_int_equal(namespace_add(table, &any, &third), 0);
    assert_int_equal(namespace_connect(table, &any, port_number(3), &view), 0);
    assert_int_equal(ring(table, &view), 9);
    assert_int_equal(ring(table, &other), 3);
    namespace_remove(table, &tuple, port_number(1));
    assert_int_equal(ring(table, &other), 9);
    assert_int_equal(namespace_ring(table, &tuple, port_number(3)), 9);
    assert_int_equal(namespace_ring(table, &tuple, port_number(1)), 0);
}

static void connected_bindings_go_with_their_member(void **state)
{
    struct namespace_table *table = *state;
    struct tuple tuple = at("10.0.0.1");

    join(table, "10.0.0.1", 1, MEMBER_DRAINING);
    join(table, "10.0.0.1", 2, MEMBER_ACTIVE);
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct packet_view view = flow("10.0.0.1", i);

        assert_int_equal(namespace_connect(table, &tuple, port_number(1 + i % 2), &view), 0);
    }
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct packet_view view = flow("10.0.0.1", i);

        assert_ptr_equal(owner(table, &view), port_number(1 + i % 2));
    }
    leave(table, "10.0.0.1", 1);
    assert_int_equal(table->connected.used, FLOWS / 2);
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct packet_view view = flow("10.0.0.1", i);

        assert_ptr_equal(owner(table, &view), port_number(2));
    }
    leave(table, "10.0.0.1", 2);
    assert_int_equal(table->connected.used, 0);
}

static void connected_bindings_agree_with_a_list_through_random_changes(void **state)
{
    struct namespace_table *table = *state;
    struct tuple tuple = at("10.0.0.1");
    static uint8_t oracle[3000]; /* the port, or 0 */
    uint32_t random = 1, used = 0;

    memset(oracle, 0, sizeof(oracle));
    for (uintptr_t i = 1; i <= 3; i++)
        join(table, "10.0.0.1", i, MEMBER_DRAINING);
    for (uint32_t step = 0; step < 100000; step++) {
        uint32_t which, port;
        struct packet_view view;

        random = random * 1664525 + 1013904223;
        which = (random >> 8) % 3000;
        port = (random >> 28) % 3 + 1;
        view = flow("10.0.0.1", which);
        if (random >> 31) {
            assert_int_equal(namespace_connect(table, &tuple, port_number(port), &view),
                             oracle[which] && oracle[which] != port ? -EADDRINUSE : 0);
            used += !oracle[which];
            if (!oracle[which])
                oracle[which] = (uint8_t)port;
        } else {
            bool there = oracle[which] == port;

            assert_int_equal(namespace_disconnect(table, &tuple, port_number(port), &view),
                             there ? 0 : -ENOENT);
            used -= there;
            if (there)
                oracle[which] = 0;
        }
        assert_int_equal(table->connected.used, used);
        assert_ptr_equal(owner(table, &view), oracle[which] ? port_number(oracle[which]) : NULL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(members_get_equal_shares),
        TEST(a_member_that_comes_takes_only_what_it_gets),
        TEST(a_member_that_goes_moves_its_own_flows_alone),
        TEST(the_order_of_coming_does_not_matter),
        TEST(only_active_members_get_new_flows),
        TEST(a_port_joins_once_and_members_are_limited),
        TEST(a_connected_binding_comes_before_its_group),
        TEST(a_connected_binding_of_the_wildcard_comes_before_an_exact_one),
        TEST(the_ring_of_a_binding_is_its_own_among_others_and_alone),
        TEST(connected_bindings_go_with_their_member),
        TEST(connected_bindings_agree_with_a_list_through_random_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
