/* SPDX-License-Identifier: BSD-2-Clause */
/* What many peers do to a stack together: the limits that are those of all its connections. */
#include "tcp_test.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_challenges_at_one_connection_takes_none_from_another),
        cmocka_unit_test(a_limit_for_all_connections_holds_and_differs_from_second_to_second),
        cmocka_unit_test(nobody_can_tell_the_limit_of_the_next_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
