/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard in the switch, for NICs without a program in front: rules are set at the control socket, packets
 * come from the NIC, and what reaches the ring says what the guard let through. What rules mean is tried
 * on the programs (test_mux_guard.c); here, that the switch's tables say the same. */
#include "guard_bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "forward.h"
#include "guard_rules.h"

#define FIN 0x01
#define SYN 0x02
#define ACK 0x10

struct judged {
    struct bench *bench;
    struct bench_app app; /* TCP and UDP port 80 of the wildcard address, TCP port 81 */
    struct client root;
};

static uint32_t number_of(struct bench *bench, uint8_t protocol, uint16_t port)
{
    for (uint32_t i = 0; i < bench->core->ports.bindings_made; i++) {
        const struct binding *binding = &bench->core->ports.bindings[i];

        if (binding->port && tuple_protocol(&binding->tuple) == protocol &&
            tuple_port(&binding->tuple) == htons(port))
            return binding->number;
    }
    fail();
    return 0;
}

static int set_up(void **state)
{
    static struct judged judged;
    void *bench;

    assert_int_equal(guard_bench_set_up(&bench), 0);
    judged.bench = bench;
    judged.bench->nic->judged = true;
    judged.bench->worker->now_ns = core_clock();
    assert_int_equal(guard_judge_nics(judged.bench->core), 0);
    judged.app = bench_app_open(judged.bench, false, 0);
    bench_bind(judged.bench, &judged.app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench_bind(judged.bench, &judged.app, IP_PROTOCOL_UDP, "0.0.0.0", 80);
    bench_bind(judged.bench, &judged.app, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    bench_bind(judged.bench, &judged.app, IP_PROTOCOL_TCP, "::", 80);
    judged.root = come(judged.bench, false, 0);
    *state = &judged;
    return 0;
}

static int tear_down(void **state)
{
    struct judged *judged = *state;
    void *bench = judged->bench;

    leave(judged->bench, &judged->root);
    bench_app_close(judged->bench, &judged->app);
    return guard_bench_tear_down(&bench);
}

static int rule(struct judged *judged, struct control_guard wish)
{
    if (!wish.action)
        wish.action = CONTROL_GUARD_SET;
    return ask(judged->bench, &judged->root, &wish);
}

static struct control_guard list(uint32_t binding, uint32_t kind, const char *text, uint8_t length)
{
    struct control_guard wish = {.binding = binding,
                                 .kind = kind,
                                 .prefix = {.family = strchr(text, ':') ? 6 : 4, .length = length}};

    assert_int_equal(
        inet_pton(wish.prefix.family == 6 ? AF_INET6 : AF_INET, text, wish.prefix.bytes), 1);
    return wish;
}

static struct control_guard limit(uint32_t binding, uint32_t kind, uint32_t rate, uint32_t burst)
{
    return (struct control_guard){.binding = binding, .kind = kind, .rate = rate, .burst = burst};
}

/* Whether the packet came to the application. */
static bool comes(struct judged *judged, const void *packet, uint32_t length)
{
    struct ring_record record;

    bench_arrive(judged->bench, packet, length);
    forward_receive(judged->bench->worker, &judged->bench->worker->queues[0]);
    return bench_receive(&judged->app, &record) != NULL;
}

static bool tcp_comes(struct judged *judged, const char *source, uint16_t port, uint8_t flags)
{
    struct bench_packet packet = bench_from_peer;
    uint8_t bytes[256];

    packet.source = source;
    packet.destination = strchr(source, ':') ? BENCH_HOST6 : BENCH_HOST4;
    packet.source_port = 4000;
    packet.destination_port = port;
    packet.flags = flags;
    packet.payload = 0;
    return comes(judged, bytes, bench_packet(bytes, &packet));
}

static uint64_t counted(const struct judged *judged, uint32_t binding, enum mux_verdict verdict)
{
    struct guard_counts sum;
    uint32_t slot = binding ? slot_of(judged->bench, binding) : GUARD_EVERYWHERE;

    assert_true(guard_read_counts(judged->bench->core, slot, &sum));
    return sum.count[verdict - MUX_GUARD_FIRST];
}

static uint64_t counted_at_nic(const struct judged *judged, enum mux_verdict verdict)
{
    return judged->bench->worker->queues[0].refused.count[verdict - MUX_GUARD_FIRST];
}

/* ---- lists */

static void a_blocked_source_reaches_no_binding_but_others(void **state)
{
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);

    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_int_equal(rule(judged, list(binding, CONTROL_GUARD_BLOCK, BENCH_PEER4, 32)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, SYN));
    assert_true(tcp_comes(judged, BENCH_PEER4, 81, ACK));
    assert_true(tcp_comes(judged, "10.0.0.3", 80, ACK));
    assert_int_equal(counted(judged, binding, MUX_GUARD_BLOCKED), 2);
    assert_int_equal(counted_at_nic(judged, MUX_GUARD_BLOCKED), 2);
    assert_int_equal(bench_nic_drops(judged->bench, DROP_RX_NOT_BOUND), 0);
    judged->bench->nic->judged = false; /* a program in front has judged it already */
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    judged->bench->nic->judged = true;
    assert_int_equal(
        rule(judged, (struct control_guard){.binding = binding, .action = CONTROL_GUARD_FLUSH}), 0);
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_false(guard_judge_is_on(judged->bench->worker, &judged->bench->worker->queues[0]));
}

static void rules_for_all_are_for_all_bindings(void **state)
{
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);

    assert_int_equal(rule(judged, list(0, CONTROL_GUARD_BLOCK, "10.0.0.0", 24)), 0);
    assert_int_equal(rule(judged, list(binding, CONTROL_GUARD_ALLOW, BENCH_PEER4, 32)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_false(tcp_comes(judged, BENCH_PEER4, 81, ACK));
    assert_true(tcp_comes(judged, BENCH_PEER6, 80, ACK));
    assert_int_equal(counted(judged, 0, MUX_GUARD_BLOCKED), 2);
    assert_int_equal(rule(judged, list(0, CONTROL_GUARD_ALLOW, BENCH_PEER4, 32)), 0);
    assert_true(tcp_comes(judged, BENCH_PEER4, 81, ACK));
    assert_false(tcp_comes(judged, "10.0.0.3", 81, ACK));
}

struct prefix {
    uint8_t address[16];
    uint32_t length;
    bool allow;
};

static bool holds(const struct prefix *prefix, const uint8_t address[16])
{
    for (uint32_t bit = 0; bit < prefix->length; bit++) {
        if ((prefix->address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1)
            return false;
    }
    return true;
}

/* Nested prefixes of all lengths, and addresses that differ from them by single bits. */
static void the_longest_prefix_decides(void **state)
{
    enum { PREFIXES = 200, TRIES = 2000 };
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);

    struct prefix prefixes[PREFIXES];

    srandom(2);
    for (uint32_t i = 0; i < judged->bench->core->ports.bindings_made; i++) {
        if (tuple_to_address(&judged->bench->core->ports.bindings[i].tuple).family == 6)
            binding = judged->bench->core->ports.bindings[i].number;
    }
    for (uint32_t i = 0; i < PREFIXES; i++) {
        struct control_guard wish = {.binding = binding, .prefix = {.family = 6}};

        prefixes[i] = (struct prefix){.address = {0xfd, [15] = 2}, .length = i < 129 ? i : i - 128};
        if (i >= 129) /* a neighbour of the others */
            prefixes[i].address[(prefixes[i].length - 1) / 8] ^=
                (uint8_t)(0x80 >> (prefixes[i].length - 1) % 8);
        for (uint32_t bit = prefixes[i].length; bit < 128; bit++)
            prefixes[i].address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        prefixes[i].allow = random() & 1;
        wish.kind = prefixes[i].allow ? CONTROL_GUARD_ALLOW : CONTROL_GUARD_BLOCK;
        memcpy(wish.prefix.bytes, prefixes[i].address, 16);
        wish.prefix.length = (uint8_t)prefixes[i].length;
        assert_int_equal(rule(judged, wish), 0);
    }
    for (uint32_t i = 0; i < TRIES; i++) {
        uint8_t address[16] = {0xfd, [15] = 2};
        uint32_t bit = (uint32_t)random() % 128;
        const struct prefix *longest = NULL;
        char text[INET6_ADDRSTRLEN];

        if (i)
            address[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
        for (uint32_t at = 0; at < PREFIXES; at++) {
            if (holds(&prefixes[at], address) &&
                (!longest || prefixes[at].length > longest->length))
                longest = &prefixes[at];
        }
        inet_ntop(AF_INET6, address, text, sizeof(text));
        if (address[0] == 0xff) /* a group sends nothing */
            continue;
        if (tcp_comes(judged, text, 80, ACK) != (!longest || longest->allow))
            fail_msg("%s", text);
    }
}

static void a_rule_that_has_ended_hides_nothing(void **state)
{
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);
    struct control_guard wish = list(binding, CONTROL_GUARD_ALLOW, BENCH_PEER4, 32);

    wish.duration_ns = 10 * SECOND;
    assert_int_equal(rule(judged, wish), 0);
    assert_int_equal(rule(judged, list(binding, CONTROL_GUARD_BLOCK, "10.0.0.0", 8)), 0);
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    judged->bench->worker->now_ns += 11 * SECOND;
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    guard_housekeep(judged->bench->core, core_clock() + 11 * SECOND);
    assert_int_equal(rules(judged->bench), 1);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
}

/* Who has the exact address is not judged by what is said of the wildcard. */
static void a_policy_is_that_of_the_owner(void **state)
{
    struct judged *judged = *state;
    uint32_t wildcard = number_of(judged->bench, IP_PROTOCOL_TCP, 80);
    struct bench_app other = bench_app_open(judged->bench, false, 0);
    struct ring_record record;

    bench_bind(judged->bench, &other, IP_PROTOCOL_TCP, BENCH_HOST4, 80);
    assert_int_equal(rule(judged, list(wildcard, CONTROL_GUARD_BLOCK, "0.0.0.0", 0)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK)); /* to the other */
    assert_non_null(bench_receive(&other, &record));
    bench_app_close(judged->bench, &other);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_int_equal(counted(judged, wildcard, MUX_GUARD_BLOCKED), 1);
    assert_true(tcp_comes(judged, BENCH_PEER4, 81, ACK));
}

static void a_range_is_judged_whole(void **state)
{
    struct judged *judged = *state;
    struct tuple tuple = {.rest = tuple_rest(4, IP_PROTOCOL_TCP, htons(16384))};
    const struct binding_terms terms = {.port_count = 64};
    uint32_t binding;

    assert_int_equal(
        binding_add(judged->bench->core, judged->app.port, &tuple, -1, &terms, &binding), 0);
    assert_true(tcp_comes(judged, BENCH_PEER4, 16400, ACK));
    assert_int_equal(rule(judged, list(binding, CONTROL_GUARD_BLOCK, BENCH_PEER4, 32)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 16384, ACK));
    assert_false(tcp_comes(judged, BENCH_PEER4, 16447, ACK));
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    assert_int_equal(counted(judged, binding, MUX_GUARD_BLOCKED), 2);
}

/* A datagram of two fragments, and an error about a segment of the binding. */
static void fragments_and_errors_are_judged(void **state)
{
    struct judged *judged = *state;
    struct bench_packet packet = {BENCH_PEER4, BENCH_HOST4,     4000,
                                  80,          IP_PROTOCOL_UDP, .payload = 64};
    uint8_t whole[256], part[256];
    struct wire_ipv4 *ip = (struct wire_ipv4 *)part;
    uint32_t length = bench_packet(whole, &packet);

    for (int blocked = 0; blocked < 2; blocked++) {
        memcpy(part, whole, IPV4_HEADER_MIN + 32);
        ip->id = htons((uint16_t)(7 + blocked));
        ip->total_length = htons(IPV4_HEADER_MIN + 32);
        ip->fragment = htons(IPV4_MORE_FRAGMENTS);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
        assert_false(comes(judged, part, IPV4_HEADER_MIN + 32));
        memcpy(part + IPV4_HEADER_MIN, whole + IPV4_HEADER_MIN + 32, length - IPV4_HEADER_MIN - 32);
        ip->total_length = htons((uint16_t)(length - 32));
        ip->fragment = htons(32 / 8);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
        assert_int_equal(comes(judged, part, length - 32), !blocked);
        if (!blocked)
            assert_int_equal(rule(judged, list(number_of(judged->bench, IP_PROTOCOL_UDP, 80),
                                               CONTROL_GUARD_BLOCK, BENCH_PEER4, 32)),
                             0);
    }
    assert_int_equal(counted_at_nic(judged, MUX_GUARD_BLOCKED), 1);
}

/* ---- TCP */

static void flags_that_no_tcp_sends_are_dropped_where_that_is_asked(void **state)
{
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);

    assert_true(tcp_comes(judged, BENCH_PEER4, 80, SYN | FIN));
    assert_int_equal(rule(judged, limit(binding, CONTROL_GUARD_STRICT, 0, 0)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, SYN | FIN));
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, 0));
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, FIN | ACK));
    assert_true(tcp_comes(judged, BENCH_PEER4, 81, SYN | FIN));
    assert_int_equal(counted(judged, binding, MUX_GUARD_MALFORMED), 2);
}

static uint32_t syns_that_come(struct judged *judged, const char *source, uint32_t count)
{
    uint32_t came = 0;

    for (uint32_t i = 0; i < count; i++)
        came += tcp_comes(judged, source, 80, SYN);
    return came;
}

static void limits_are_those_of_the_programs(void **state)
{
    struct judged *judged = *state;
    uint32_t binding = number_of(judged->bench, IP_PROTOCOL_TCP, 80);

    assert_int_equal(rule(judged, limit(binding, CONTROL_GUARD_SYN_SOURCE, 1, 2)), 0);
    assert_int_equal(syns_that_come(judged, BENCH_PEER4, 10), 2);
    assert_int_equal(syns_that_come(judged, "10.0.0.3", 10), 2);
    assert_true(tcp_comes(judged, BENCH_PEER4, 80, ACK)); /* opens nothing */
    assert_int_equal(counted(judged, binding, MUX_GUARD_SYN_SOURCE), 16);
    judged->bench->worker->now_ns += 1 * SECOND;
    assert_int_equal(syns_that_come(judged, BENCH_PEER4, 10), 1); /* it fills again */
    assert_int_equal(rule(judged, limit(binding, CONTROL_GUARD_SYN, 10, 3)), 0);
    judged->bench->worker->now_ns += 100 * SECOND;
    assert_int_equal(syns_that_come(judged, BENCH_PEER4, 10), 2);
    assert_int_equal(syns_that_come(judged, "10.0.0.3", 10), 1); /* of all together three */
    assert_int_equal(rule(judged, list(binding, CONTROL_GUARD_ALLOW, "10.0.0.9", 32)), 0);
    assert_int_equal(syns_that_come(judged, "10.0.0.9", 10), 10);
    assert_int_equal(
        rule(judged, (struct control_guard){.binding = binding, .action = CONTROL_GUARD_FLUSH}), 0);
    assert_int_equal(rule(judged, limit(binding, CONTROL_GUARD_CONNECTIONS, 10, 4)), 0);
    assert_int_equal(syns_that_come(judged, BENCH_PEER4, 10), 4);
    assert_int_equal(counted(judged, binding, MUX_GUARD_CONNECTIONS),
                     6); /* a new 3-tuple's count */
}

/* Two ports share a 3-tuple: the limit of one has ended and is not taken out yet, the other's is
 * the same. */
static void a_limit_that_has_ended_does_not_stand_for_another(void **state)
{
    const struct binding_terms shared = {.shared = true};
    struct judged *judged = *state;
    struct bench_app other = bench_app_open(judged->bench, false, 0);
    struct tuple tuple =
        tuple_make((const uint8_t[16]){10, 0, 0, 1}, 4, IP_PROTOCOL_TCP, htons(80));
    struct control_guard wish;
    uint32_t first, second;

    assert_int_equal(
        binding_add(judged->bench->core, judged->app.port, &tuple, -1, &shared, &first), 0);
    assert_int_equal(binding_add(judged->bench->core, other.port, &tuple, -1, &shared, &second), 0);
    assert_int_equal(rule(judged, limit(first, CONTROL_GUARD_SYN, 1, 2)), 0);
    wish = limit(second, CONTROL_GUARD_SYN, 1, 2);
    wish.duration_ns = 100 * SECOND;
    assert_int_equal(rule(judged, wish), 0);
    judged->bench->worker->now_ns += 200 * SECOND;
    syns_that_come(judged, BENCH_PEER4, 5);
    assert_int_equal(counted(judged, first, MUX_GUARD_SYN), 3);
    bench_app_close(judged->bench, &other);
}

static void an_ipv6_source_is_its_64(void **state)
{
    struct judged *judged = *state;

    assert_int_equal(rule(judged, limit(0, CONTROL_GUARD_SYN_SOURCE, 1, 2)), 0);
    assert_int_equal(syns_that_come(judged, "fd00::2", 2), 2);
    assert_int_equal(syns_that_come(judged, "fd00::3", 2), 0);
    assert_int_equal(syns_that_come(judged, "fd00:0:0:1::3", 3), 2);
    assert_int_equal(counted(judged, 0, MUX_GUARD_SYN_SOURCE), 3);
}

/* Whoever was full longest ago makes room; nothing grows, and who comes new has his share. */
static void a_flood_of_sources_fills_no_more_than_the_table(void **state)
{
    struct judged *judged = *state;
    struct guard_buckets *buckets = judged->bench->core->guard.buckets;
    uint32_t held = 0, came = 0;

    assert_int_equal(rule(judged, limit(0, CONTROL_GUARD_SYN_SOURCE, 1, 1)), 0);
    for (uint32_t i = 0; i < 2 * GUARD_SOURCES_MAX; i++) {
        char text[INET_ADDRSTRLEN];

        snprintf(text, sizeof(text), "11.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        came += tcp_comes(judged, text, 80, SYN);
    }
    for (uint32_t i = 0; i < GUARD_SOURCES_MAX; i++)
        held += buckets->sources[i].tag != 0;
    assert_int_equal(came, 2 * GUARD_SOURCES_MAX);
    assert_in_range(held, GUARD_SOURCES_MAX * 9 / 10, GUARD_SOURCES_MAX);
    assert_int_equal(syns_that_come(judged, "11.0.255.255", 1), 0); /* the last is known */
}

/* Counters and rules are the next switch's as well: it finds them in the store. */
static void counters_outlive_the_switch(void **state)
{
    struct judged *judged = *state;
    struct bench *next;
    struct guard_counts sum;

    assert_int_equal(rule(judged, list(0, CONTROL_GUARD_BLOCK, BENCH_PEER4, 32)), 0);
    assert_false(tcp_comes(judged, BENCH_PEER4, 80, ACK));
    next = bench_open();
    assert_int_equal(guard_bench_open(next), 0);
    assert_int_equal(guard_judge_nics(next->core), 0);
    assert_int_equal(rules(next), 1);
    assert_int_equal(next->worker->judge->armed, 1);
    assert_true(guard_read_counts(next->core, GUARD_EVERYWHERE, &sum));
    assert_int_equal(sum.count[MUX_GUARD_BLOCKED - MUX_GUARD_FIRST], 1);
    bench_close(next);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_blocked_source_reaches_no_binding_but_others),
        TEST(rules_for_all_are_for_all_bindings),
        TEST(the_longest_prefix_decides),
        TEST(a_rule_that_has_ended_hides_nothing),
        TEST(a_policy_is_that_of_the_owner),
        TEST(a_range_is_judged_whole),
        TEST(fragments_and_errors_are_judged),
        TEST(flags_that_no_tcp_sends_are_dropped_where_that_is_asked),
        TEST(limits_are_those_of_the_programs),
        TEST(a_limit_that_has_ended_does_not_stand_for_another),
        TEST(an_ipv6_source_is_its_64),
        TEST(a_flood_of_sources_fills_no_more_than_the_table),
        TEST(counters_outlive_the_switch),
    };

    return cmocka_run_group_tests_name("guard_judge", tests, NULL, NULL);
}
