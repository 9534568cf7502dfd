/* SPDX-License-Identifier: BSD-2-Clause */
/* What many peers do to a stack together: the limits that are those of all its connections. */
#include "tcp_test.h"
#include "utcp_internal.h"

/* A connection of a peer's, from port `port`, to be the one of the script. */
static void connection(struct tcp_test *t, uint16_t port)
{
    t->them.port = port;
    t->iss_known = false;
    t->conn = NULL;
    t->out_first = t->out_count = 0;
    tcp_handshake(t, (struct seg){.mss = 1460});
}

static void forged(struct tcp_test *t)
{
    peer(t, .flags = RST, .seq = 2);
    t->out_first = t->out_count = 0;
}

/* Forged segments for each of `connections`; how many were answered. */
static unsigned challenge(struct tcp_test *t, unsigned connections, unsigned each)
{
    uint64_t before = tcp_stats(t).challenge_acks;

    for (unsigned i = 0; i < connections; i++) {
        t->them.port = (uint16_t)(1000 + i);
        for (unsigned j = 0; j < each; j++)
            forged(t);
    }
    return (unsigned)(tcp_stats(t).challenge_acks - before);
}

static struct tcp_test *crowd(const struct utcp_config *config, unsigned connections)
{
    struct tcp_test *t = tcp_new(4, config);

    t->many = true;
    tcp_listen(t, 1000);
    for (unsigned i = 0; i < connections; i++)
        connection(t, (uint16_t)(1000 + i));
    return t;
}

/* CVE-2016-5696: what one connection gets says nothing about another. */
TCP_TEST(a_flood_of_challenges_at_one_connection_takes_none_from_another)
{
    struct tcp_test *t = crowd(NULL, 100);

    assert_int_equal(challenge(t, 99, 1000), 99 * 10);
    assert_int_equal(tcp_stats(t).challenges_withheld, 99 * 990);
    assert_int_equal(tcp_stats(t).challenges_over_limit, 0);
    t->them.port = 1099;
    for (int i = 0; i < 10; i++) {
        uint64_t before = tcp_stats(t).challenge_acks;

        forged(t);
        assert_int_equal(tcp_stats(t).challenge_acks, before + 1);
    }
    tcp_free(t);
}

TCP_TEST(a_limit_for_all_connections_holds_and_differs_from_second_to_second)
{
    struct utcp_config config = {.challenge_acks_max = 100};
    struct tcp_test *t = crowd(&config, 200);
    unsigned counts[12], different = 0, sum = 0;

    for (int i = 0; i < 12; i++) {
        counts[i] = challenge(t, 200, 1);
        assert_in_range(counts[i], 50, 150);
        assert_int_equal(challenge(t, 200, 1), 0); /* no more of them in this second */
        different += i && counts[i] != counts[i - 1];
        sum += counts[i];
        pass(t, SECOND);
    }
    assert_in_range(different, 8, 11);
    assert_in_range(sum, 12 * 70, 12 * 130);
    assert_int_equal(tcp_stats(t).challenges_over_limit + tcp_stats(t).challenge_acks +
                         tcp_stats(t).challenges_withheld,
                     12 * 400);
    tcp_free(t);
}

/* Two stacks with different secrets draw different numbers. */
TCP_TEST(nobody_can_tell_the_limit_of_the_next_second)
{
    unsigned same = 0;

    for (unsigned second = 0; second < 10; second++) {
        unsigned counts[2];

        for (uint8_t secret = 0; secret < 2; secret++) {
            struct utcp_config config = {.challenge_acks_max = 100, .secret = {secret}};
            struct tcp_test *t = crowd(&config, 200);

            pass(t, second * SECOND);
            counts[secret] = challenge(t, 200, 1);
            tcp_free(t);
        }
        same += counts[0] == counts[1];
    }
    assert_true(same < 4);
}

/* ── The table of connections ──────────────────────────────────────────────────────────────── */

#define FLOWS     8192
#define CHAIN_MAX 16 /* of as many balls in as many bins the fullest one has 8 or so */

struct pair {
    struct utcp_endpoint local, remote;
};

static struct utcp_endpoint endpoint(uint8_t family, uint64_t low, uint64_t high, uint16_t port)
{
    struct utcp_endpoint endpoint = {.family = family, .port = port};

    memcpy(endpoint.address, &low, 8);
    memcpy(endpoint.address + 8, &high, 8);
    return endpoint;
}

static struct pair ports_in_turn(uint16_t number)
{
    return (struct pair){endpoint(4, 0x0100000a, 0, (uint16_t)(1024 + number)),
                         endpoint(4, 0x0200000a, 0, 80)};
}

static struct pair addresses_in_turn(uint16_t number)
{
    return (struct pair){endpoint(4, 0x0100000a, 0, 80),
                         endpoint(4, 0x0200000a + ((uint32_t)number << 16), 0, 1024)};
}

static struct pair high_bits(uint16_t number)
{
    return (struct pair){endpoint(6, 0x20, 1, 80), endpoint(6, 0x20, (uint64_t)number << 48, 1024)};
}

/* The two addresses differ together. */
static struct pair sums_that_are_equal(uint16_t number)
{
    return (struct pair){endpoint(6, 0x20, (uint64_t)number << 20, 80),
                         endpoint(6, 0x21, (uint64_t)number << 20, 1024)};
}

/* And address and port. */
static struct pair ports_that_cancel(uint16_t number)
{
    return (struct pair){endpoint(6, 0x20, 1, 80),
                         endpoint(6, 0x20, number, (uint16_t)(1 + number))};
}

static void open_pair(struct utcp *stack, const struct pair *pair)
{
    struct utcp_conn *conn;

    assert_int_equal(utcp_connect(stack, SECOND, &pair->local, &pair->remote, NULL, &conn), 0);
}

static uint32_t longest_chain(const struct utcp *stack)
{
    uint32_t longest = 0;

    for (uint32_t i = 0; i < stack->table_size; i++) {
        uint32_t length = 0;

        for (const struct utcp_conn *conn = stack->table[i]; conn; conn = conn->chain)
            length++;
        longest = max_u32(longest, length);
    }
    return longest;
}

static struct utcp *with_secret(uint8_t secret)
{
    struct utcp_config config = {.size = sizeof(config), .secret = {secret, 1, 2, 3}};
    struct utcp *stack = utcp_new(&config, SECOND);

    assert_non_null(stack);
    return stack;
}

TCP_TEST(chosen_endpoints_make_no_long_chains)
{
    static struct pair (*const choices[])(uint16_t number) = {
        ports_in_turn, addresses_in_turn, high_bits, sums_that_are_equal, ports_that_cancel};

    for (unsigned i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        for (uint8_t secret = 0; secret < 4; secret++) {
            struct utcp *stack = with_secret(secret);

            for (uint16_t number = 0; number < FLOWS; number++) {
                struct pair pair = choices[i](number);

                open_pair(stack, &pair);
            }
            assert_int_equal(stack->connections, FLOWS);
            assert_in_range(longest_chain(stack), 1, CHAIN_MAX);
            utcp_free(stack);
        }
    }
}

/* Whoever knew the secret could do better. */
TCP_TEST(endpoints_that_collide_under_another_secret_are_spread)
{
    struct utcp *known = with_secret(1), *other = with_secret(2);
    static struct pair pairs[512];
    uint32_t number = 0;

    for (unsigned count = 0; count < 512; number++) {
        struct pair pair = {
            endpoint(4, 0x0100000a, 0, 80),
            endpoint(4, 0x0200000a + (number << 16), 0, (uint16_t)(1024 + (number >> 16)))};
        struct utcp_conn *conn;

        assert_int_equal(utcp_connect(known, SECOND, &pair.local, &pair.remote, NULL, &conn), 0);
        if ((conn->hash & 511) == 0)
            pairs[count++] = pair;
        else
            utcp_abort(conn, SECOND);
    }
    assert_int_equal(longest_chain(known), 512);
    for (unsigned i = 0; i < 512; i++)
        open_pair(other, &pairs[i]);
    assert_in_range(longest_chain(other), 1, CHAIN_MAX);
    utcp_free(known);
    utcp_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_challenges_at_one_connection_takes_none_from_another),
        cmocka_unit_test(a_limit_for_all_connections_holds_and_differs_from_second_to_second),
        cmocka_unit_test(nobody_can_tell_the_limit_of_the_next_second),
        cmocka_unit_test(chosen_endpoints_make_no_long_chains),
        cmocka_unit_test(endpoints_that_collide_under_another_secret_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
