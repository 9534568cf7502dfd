/* SPDX-License-Identifier: BSD-2-Clause */
/* The namespace: the table against a naive oracle, and what a look-up means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "mux_maps.h"
#include "namespace.h"

static const struct hash_key key = {{1, 0x9e3779b97f4a7c15, 3, 0xbf58476d1ce4e5b9}};

/* A port is only an address to the namespace. */
static struct port *port_number(uintptr_t number)
{
    return (struct port *)(number * 64);
}

static struct tuple make(const char *address, uint8_t protocol, uint16_t port)
{
    uint8_t bytes[16] = {0};
    uint8_t family = 4;

    if (inet_pton(AF_INET, address, bytes) != 1) {
        assert_int_equal(inet_pton(AF_INET6, address, bytes), 1);
        family = 6;
    }
    return tuple_make(bytes, family, protocol, htons(port));
}

static int add(struct namespace_table *table, const struct tuple *tuple, struct port *port,
               uint32_t binding)
{
    const struct owner_member member = {.port = port, .binding = binding};

    return namespace_add(table, tuple, &member);
}

static struct port *owner(const struct namespace_table *table, const struct tuple *tuple)
{
    struct packet_view view = {.local = *tuple};

    return namespace_owner(table, &view, tuple_hash(&table->bindings.key, tuple)).port;
}

#define ORACLE_TUPLES 512

static void the_table_agrees_with_a_list_through_random_changes(void **state)
{
    static struct port *oracle[ORACLE_TUPLES];
    struct tuple_table table;
    uint32_t used = 0, random = 1;

    (void)state;
    assert_int_equal(tuple_table_init(&table, &key, 200), 0);
    for (uint32_t step = 0; step < 200000; step++) {
        uint32_t which;
        struct tuple tuple;
        const struct tuple_slot *slot;

        random = random * 1664525 + 1013904223;
        which = (random >> 8) % ORACLE_TUPLES;
        tuple = (struct tuple){which % 7, which / 7 % 5, which};
        switch ((random >> 28) % 3) {
        case 0: {
            int expected = oracle[which] ? -EEXIST : used == 200 ? -ENOSPC : 0;

            assert_int_equal(tuple_table_add(&table, &tuple, port_number(which + 1), which),
                             expected);
            if (!expected) {
                oracle[which] = port_number(which + 1);
                used++;
            }
            break;
        }
        case 1:
            assert_int_equal(tuple_table_remove(&table, &tuple), oracle[which] != NULL);
            used -= oracle[which] != NULL;
            oracle[which] = NULL;
            break;
        default:
            slot = tuple_table_find(&table, &tuple);
            assert_ptr_equal(slot ? slot->value : NULL, oracle[which]);
            if (slot)
                assert_int_equal(slot->number, which);
        }
        assert_int_equal(table.used, used);
    }
    tuple_table_dispose(&table);
}

static void exact_address_comes_before_wildcard(void **state)
{
    struct namespace_table table;
    struct tuple host = make("10.0.0.1", 0, 0), exact = make("10.0.0.1", 6, 80),
                 any = make("0.0.0.0", 6, 80), other = make("10.0.0.3", 0, 0),
                 at_other = make("10.0.0.3", 6, 80);

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    namespace_set_address(&table, &host, true);
    namespace_set_address(&table, &other, true);
    assert_int_equal(add(&table, &any, port_number(1), 1), 0);
    assert_int_equal(add(&table, &exact, port_number(2), 2), 0);
    assert_ptr_equal(owner(&table, &exact), port_number(2));
    assert_ptr_equal(owner(&table, &at_other), port_number(1));
    namespace_remove(&table, &exact, port_number(2));
    assert_ptr_equal(owner(&table, &exact), port_number(1));
    namespace_dispose(&table);
}

static void a_wildcard_means_the_hosts_addresses_as_they_come_and_go(void **state)
{
    struct namespace_table table;
    struct tuple any = make("::", 17, 53), at = make("fd00::1", 17, 53);

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    assert_int_equal(add(&table, &any, port_number(1), 1), 0);
    assert_null(owner(&table, &at));
    assert_int_equal(namespace_set_address(&table, &at, true), 0);
    assert_int_equal(namespace_set_address(&table, &at, true), 0); /* twice is once */
    assert_ptr_equal(owner(&table, &at), port_number(1));
    namespace_set_address(&table, &at, false);
    assert_null(owner(&table, &at));
    namespace_dispose(&table);
}

static void families_protocols_and_ports_are_apart(void **state)
{
    struct namespace_table table;
    struct tuple any4 = make("0.0.0.0", 6, 80), any6 = make("::", 6, 80),
                 udp = make("0.0.0.0", 17, 80), host = make("10.0.0.1", 0, 0),
                 at = make("10.0.0.1", 6, 80), at_udp = make("10.0.0.1", 17, 80),
                 at_81 = make("10.0.0.1", 6, 81);

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    namespace_set_address(&table, &host, true);
    assert_int_equal(add(&table, &any6, port_number(6), 1), 0);
    assert_null(owner(&table, &at));
    assert_int_equal(add(&table, &any4, port_number(4), 2), 0);
    assert_int_equal(add(&table, &udp, port_number(17), 3), 0);
    assert_int_equal(add(&table, &udp, port_number(18), 4), -EADDRINUSE);
    assert_ptr_equal(owner(&table, &at), port_number(4));
    assert_ptr_equal(owner(&table, &at_udp), port_number(17));
    assert_null(owner(&table, &at_81));
    namespace_dispose(&table);
}

static void a_port_sends_from_its_own_bindings_alone(void **state)
{
    struct namespace_table table;
    struct tuple host = make("10.0.0.1", 0, 0), any = make("0.0.0.0", 6, 80),
                 at = make("10.0.0.1", 6, 80), foreign = make("10.0.0.9", 6, 80),
                 gone = make("10.0.0.5", 6, 81);

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    namespace_set_address(&table, &host, true);
    add(&table, &any, port_number(1), 1);
    add(&table, &gone, port_number(1), 2);
    assert_true(namespace_may_send(&table, &at, port_number(1)));
    assert_false(namespace_may_send(&table, &at, port_number(2)));
    assert_false(namespace_may_send(&table, &foreign, port_number(1)));
    assert_false(namespace_may_send(&table, &any, port_number(1)));
    assert_false(namespace_may_send(&table, &gone, port_number(1))); /* not the host's any more */
    namespace_dispose(&table);
}

static void every_change_moves_the_version(void **state)
{
    struct namespace_table table;
    struct tuple any = make("0.0.0.0", 6, 80), host = make("10.0.0.1", 0, 0);
    uint32_t version;

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    version = table.version;
    add(&table, &any, port_number(1), 1);
    assert_int_not_equal(table.version, version);
    version = table.version;
    namespace_set_address(&table, &host, true);
    assert_int_not_equal(table.version, version);
    version = table.version;
    namespace_remove(&table, &any, port_number(1));
    assert_int_not_equal(table.version, version);
    namespace_dispose(&table);
}

static void it_holds_65536_bindings_and_says_when_it_is_full(void **state)
{
    struct namespace_table table;
    struct tuple tuple = make("0.0.0.0", 6, 0);

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    for (uint32_t i = 0; i < NAMESPACE_BINDINGS_MAX; i++) {
        tuple.low = i;
        assert_int_equal(add(&table, &tuple, port_number(1), i), 0);
    }
    tuple.low = NAMESPACE_BINDINGS_MAX;
    assert_int_equal(add(&table, &tuple, port_number(1), 0), -ENOSPC);
    for (uint32_t i = 0; i < NAMESPACE_BINDINGS_MAX; i++) {
        tuple.low = i;
        assert_ptr_equal(owner(&table, &tuple), port_number(1));
        namespace_remove(&table, &tuple, port_number(1));
    }
    assert_int_equal(table.bindings.used, 0);
    namespace_dispose(&table);
}

static int add_range(struct namespace_table *table, const struct tuple *tuple, uint32_t port_count,
                     struct port *port)
{
    const struct owner_member member = {.port = port, .binding = 9, .ring = 2};

    return namespace_add_range(table, tuple, port_count, &member);
}

static void a_range_is_one_element_for_all_of_its_ports(void **state)
{
    struct namespace_table table;
    struct tuple host = make("10.0.0.1", 6, 0), first = make("0.0.0.0", 6, 16384);
    struct tuple first6 = make("fd00::1", 6, 16384), single = make("10.0.0.1", 6, 80);
    struct mux_shared shared = {0};

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    table.mux_shared = &shared;
    assert_int_equal(namespace_set_address(&table, &host, true), 0);
    assert_int_equal(namespace_set_address(&table, &first6, true), 0);
    assert_int_equal(add_range(&table, &first, 64, port_number(1)), 0);
    assert_int_equal(add_range(&table, &first, 64, port_number(2)), -EADDRINUSE);
    assert_int_equal(add_range(&table, &first6, 4096, port_number(2)), 0);
    assert_int_equal(add(&table, &single, port_number(3), 1), 0);
    assert_int_equal(shared.range_sizes, 64 | 4096);
    assert_int_equal(shared.bound[6],
                     MUX_BOUND_EXACT | MUX_BOUND_RANGE | MUX_BOUND_RANGE << MUX_BOUND_IPV6);
    for (uint32_t port = 16300; port < 20600; port++) {
        struct tuple tuple = make("10.0.0.1", 6, (uint16_t)port);
        struct tuple tuple6 = make("fd00::1", 6, (uint16_t)port);
        struct tuple other = make("10.0.0.2", 6, (uint16_t)port);
        bool in = port >= 16384 && port < 16448, in6 = port >= 16384 && port < 20480;

        assert_ptr_equal(owner(&table, &tuple), in ? port_number(1) : NULL);
        assert_int_equal(namespace_may_send(&table, &tuple, port_number(1)), in);
        assert_int_equal(namespace_ring(&table, &tuple, port_number(1)), in ? 2 : 0);
        assert_false(namespace_may_send(&table, &tuple, port_number(2)));
        assert_ptr_equal(owner(&table, &tuple6), in6 ? port_number(2) : NULL);
        assert_int_equal(namespace_may_send(&table, &tuple6, port_number(2)), in6);
        assert_null(owner(&table, &other)); /* not an address of the host's */
    }
    assert_ptr_equal(owner(&table, &single), port_number(3));

    namespace_remove_range(&table, &first, 64, port_number(2)); /* not its own */
    assert_int_equal(shared.range_sizes, 64 | 4096);
    namespace_remove_range(&table, &first, 64, port_number(1));
    assert_int_equal(shared.range_sizes, 4096);
    namespace_remove_range(&table, &first6, 4096, port_number(2));
    assert_int_equal(shared.range_sizes, 0);
    assert_int_equal(shared.bound[6], MUX_BOUND_EXACT);
    first.low = host.low;
    assert_null(owner(&table, &first));
    namespace_dispose(&table);
}

static void ranges_of_each_size_agree_with_a_list(void **state)
{
    static uint8_t oracle[65536];
    struct namespace_table table;
    struct tuple host = make("10.0.0.1", 17, 0);
    uint32_t at = 64;

    (void)state;
    assert_int_equal(namespace_init(&table, &key, -1), 0);
    assert_int_equal(namespace_set_address(&table, &host, true), 0);
    for (uint32_t bits = 6; bits <= 14; bits++) {
        struct tuple first = make("10.0.0.1", 17, (uint16_t)(1u << bits));

        at = 1u << bits;
        assert_int_equal(add_range(&table, &first, at, port_number(bits)), 0);
        memset(oracle + at, (int)bits, at);
    }
    for (uint32_t port = 0; port < 65536; port++) {
        struct tuple tuple = make("10.0.0.1", 17, (uint16_t)port);

        assert_ptr_equal(owner(&table, &tuple), oracle[port] ? port_number(oracle[port]) : NULL);
    }
    namespace_dispose(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_a_list_through_random_changes),
        cmocka_unit_test(exact_address_comes_before_wildcard),
        cmocka_unit_test(a_wildcard_means_the_hosts_addresses_as_they_come_and_go),
        cmocka_unit_test(families_protocols_and_ports_are_apart),
        cmocka_unit_test(a_port_sends_from_its_own_bindings_alone),
        cmocka_unit_test(every_change_moves_the_version),
        cmocka_unit_test(it_holds_65536_bindings_and_says_when_it_is_full),
        cmocka_unit_test(a_range_is_one_element_for_all_of_its_ports),
        cmocka_unit_test(ranges_of_each_size_agree_with_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
