/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that are filled with tuples which somebody has chosen, without knowing the key: no look-up
 * may get long. The chosen ones are of three kinds: regular (all ports, addresses that differ in a few
 * bits, high or low), those that cancel out in simple combinations of their parts, and those that
 * collide under a key which is not the table's. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "connected.h"
#include "packet.h"
#include "tuple.h"

#define KEYS  100
#define COUNT 16384u /* elements in a table */

/* Of as many balls in as many bins the fullest one has 8 or 9; a table with linear probing that is
 * half full has runs of 50 to 100. */
#define CHAIN_MAX 16
#define PROBE_MAX 200

static uint64_t step(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15; /* splitmix64: numbers of no pattern */
    uint64_t z = *state;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static struct hash_key key_of(uint64_t number)
{
    struct hash_key key;

    for (int i = 0; i < 4; i++)
        key.word[i] = step(&number);
    return key;
}

/* ── Flows ───────────────────────────────────────────────────────────────────────────────────── */

typedef struct packet_view (*flow_choice)(uint32_t number);

static struct packet_view flow(uint64_t local_low, uint64_t local_high, uint16_t local_port,
                               uint64_t remote_low, uint64_t remote_high, uint16_t remote_port)
{
    uint8_t family = local_high || remote_high ? 6 : 4;

    return (struct packet_view){
        .local = {local_low, local_high, tuple_rest(family, IP_PROTOCOL_TCP, htons(local_port))},
        .remote = {remote_low, remote_high},
        .remote_port = htons(remote_port)};
}

static struct packet_view ports_in_turn(uint32_t number)
{
    return flow(0x0100000a, 0, 80, 0x0200000a, 0, (uint16_t)number);
}

static struct packet_view addresses_in_turn(uint32_t number)
{
    return flow(0x0100000a, 0, 80, htonl(0x0a000000 + number), 0, 1024);
}

static struct packet_view high_bits(uint32_t number)
{
    return flow(1, 1, 80, (uint64_t)number << 48, 7, 1024);
}

static struct packet_view high_bits_of_the_other_half(uint32_t number)
{
    return flow(1, 1, 80, 7, (uint64_t)number << 50, 1024);
}

/* One's own address and the other's differ together. */
static struct packet_view sums_that_are_equal(uint32_t number)
{
    return flow(0xfe80 ^ (uint64_t)number << 20, 1, 80, 0xabcd ^ (uint64_t)number << 20, 2, 1024);
}

static struct packet_view halves_that_are_equal(uint32_t number)
{
    return flow(1, 1, 80, (uint64_t)number << 32, (uint64_t)number << 32, 1024);
}

/* Address and port differ together. */
static struct packet_view ports_that_cancel(uint32_t number)
{
    return flow((uint64_t)number << 32, 1, 80, 1, 1, ntohs((uint16_t)number));
}

static uint32_t longest_chain(const struct connected_table *table)
{
    uint32_t longest = 0;

    for (uint32_t i = 0; i <= table->mask; i++) {
        uint32_t length = 0;

        for (uint32_t at = table->heads[i]; at != CONNECTED_NONE; at = table->elements[at].chain)
            length++;
        longest = length > longest ? length : longest;
    }
    return longest;
}

static uint32_t chain_with(const struct packet_view *views, uint32_t count,
                           const struct hash_key *key)
{
    const struct owner owner = {.port = (struct port *)&owner};
    struct connected_table table;
    uint32_t first = CONNECTED_NONE, longest;

    connected_table_init(&table, key);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(connected_add(&table, &views[i], &owner, &first), 0);
    for (uint32_t i = 0; i < count; i += 37)
        assert_true(connected_find(&table, &views[i]) != CONNECTED_NONE);
    longest = longest_chain(&table);
    connected_table_dispose(&table);
    return longest;
}

static void chosen_flows_make_no_long_chains(void **state)
{
    static const flow_choice choices[] = {
        ports_in_turn,       addresses_in_turn,     high_bits,         high_bits_of_the_other_half,
        sums_that_are_equal, halves_that_are_equal, ports_that_cancel,
    };
    static struct packet_view views[COUNT];

    (void)state;
    for (unsigned i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        for (uint32_t number = 0; number < COUNT; number++)
            views[number] = choices[i](number);
        for (unsigned k = 0; k < KEYS; k++) {
            struct hash_key key = key_of(k);

            assert_in_range(chain_with(views, COUNT, &key), 1, CHAIN_MAX);
        }
    }
}

static void flows_that_collide_under_another_key_are_spread(void **state)
{
    struct hash_key known = key_of(1000), other = key_of(1001);
    static struct packet_view views[1024];
    uint64_t random = 1;
    uint32_t count = 0;

    (void)state;
    while (count < 1024) {
        struct packet_view view =
            flow(0x0100000a, 0, 80, (uint32_t)step(&random), 0, (uint16_t)step(&random));

        if ((flow_hash(&known, &view.local, view.remote, view.remote_port) & 1023) == 0)
            views[count++] = view;
    }
    assert_int_equal(chain_with(views, count, &known), 1024); /* so it is without a secret */
    assert_in_range(chain_with(views, count, &other), 1, CHAIN_MAX);
}

/* ── Bindings ────────────────────────────────────────────────────────────────────────────────── */

static uint32_t longest_probe(const struct tuple_table *table)
{
    uint32_t longest = 0;

    for (uint32_t at = 0; at <= table->mask; at++) {
        const struct tuple_slot *slot = &table->slots[at];
        struct tuple tuple = {slot->low, slot->high, slot->rest};
        uint32_t away = (at - (uint32_t)tuple_hash(&table->key, &tuple)) & table->mask;

        if (slot->value && away > longest)
            longest = away;
    }
    return longest;
}

static uint32_t probe_with(const struct tuple *tuples, uint32_t count, const struct hash_key *key)
{
    struct tuple_table table;
    uint32_t longest;

    assert_int_equal(tuple_table_init(&table, key, count), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(tuple_table_add(&table, &tuples[i], &table, i), 0);
    longest = longest_probe(&table);
    tuple_table_dispose(&table);
    return longest;
}

static void chosen_bindings_make_no_long_probes(void **state)
{
    static struct tuple tuples[5][COUNT];
    uint32_t rest = tuple_rest(6, IP_PROTOCOL_TCP, htons(80));

    (void)state;
    for (uint32_t i = 0; i < COUNT; i++) {
        tuples[0][i] = (struct tuple){0x0100000a, 0, tuple_rest(4, IP_PROTOCOL_TCP, (be16)i)};
        tuples[1][i] =
            (struct tuple){0x0100000a, 0, tuple_rest(4, IP_PROTOCOL_TCP, htons((uint16_t)i))};
        tuples[2][i] = (struct tuple){1, (uint64_t)i << 50, rest};
        tuples[3][i] = (struct tuple){(uint64_t)i << 32, (uint64_t)i << 32, rest};
        tuples[4][i] = (struct tuple){i, 1, tuple_rest(6, IP_PROTOCOL_TCP, (be16)i)};
    }
    for (unsigned k = 0; k < KEYS; k++) {
        struct hash_key key = key_of(k);

        for (unsigned i = 0; i < 5; i++) {
            uint32_t probe = probe_with(tuples[i], COUNT, &key);

            if (probe > PROBE_MAX)
                print_message("key %u, choice %u: %u\n", k, i, probe);
            assert_in_range(probe, 0, PROBE_MAX);
        }
    }
}

static void bindings_that_collide_under_another_key_are_spread(void **state)
{
    struct hash_key known = key_of(1000), other = key_of(1001);
    static struct tuple tuples[1024];
    uint64_t random = 1;
    uint32_t count = 0;

    (void)state;
    while (count < 1024) {
        struct tuple tuple = {step(&random), step(&random),
                              tuple_rest(6, IP_PROTOCOL_TCP, (be16)step(&random))};

        if ((tuple_hash(&known, &tuple) & 4095) == 0)
            tuples[count++] = tuple;
    }
    assert_in_range(probe_with(tuples, count, &known), 1000, 1024);
    assert_in_range(probe_with(tuples, count, &other), 0, PROBE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen_flows_make_no_long_chains),
        cmocka_unit_test(flows_that_collide_under_another_key_are_spread),
        cmocka_unit_test(chosen_bindings_make_no_long_probes),
        cmocka_unit_test(bindings_that_collide_under_another_key_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
