/* SPDX-License-Identifier: BSD-2-Clause */
/* Peers that keep their window closed: how long that may last (stall.c). */
#include "tcp_test.h"

#define MSS   1460
#define LIMIT (4 << 20) /* bytes of memory_max */
#define CROWD 20

/* A peer of many, with what is to be known of it while the script is another's. */
struct remote {
    uint16_t port;
    uint32_t iss, taken, written; /* bytes */
    struct utcp_conn *conn;
};

static void use(struct tcp_test *t, const struct remote *remote)
{
    t->them.port = remote->port;
    t->iss = remote->iss;
    t->iss_known = remote->conn != NULL;
    t->conn = remote->conn;
    t->out_first = t->out_count = 0;
}

static struct remote another(struct tcp_test *t, uint16_t port)
{
    use(t, &(struct remote){.port = port});
    tcp_handshake(t, (struct seg){.mss = MSS});
    return (struct remote){.port = port, .iss = t->iss, .conn = t->conn};
}

static struct tcp_test *begin(const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(4, config);

    t->many = true;
    tcp_listen(t, 1000);
    return t;
}

/* Says that it has `taken` so much, and how much more it would. */
static void answer(struct tcp_test *t, const struct remote *remote, uint32_t window)
{
    use(t, remote);
    peer(t, .flags = ACK, .seq = 1, .ack = 1 + remote->taken,
         .window = window ? window : NO_WINDOW);
    t->out_first = t->out_count = 0;
}

/* Closes the window before all that the application can write. */
static void stall(struct tcp_test *t, struct remote *remote)
{
    ptrdiff_t wrote;

    answer(t, remote, 0);
    while ((wrote = tcp_write_some(t, remote->written, 50000)) > 0)
        remote->written += (uint32_t)wrote;
}

static bool alive(const struct remote *remote)
{
    return utcp_error(remote->conn) == 0;
}

/* Seconds for which the connection lives, at most `limit`, with a peer that answers all probes and
 * takes `bytes` of them every `period` seconds. */
static uint64_t lives(struct tcp_test *t, struct remote *remote, uint64_t limit, uint64_t period,
                      uint32_t bytes)
{
    for (uint64_t second = 1; second <= limit; second++) {
        pass(t, SECOND);
        if (!alive(remote))
            return second;
        if (second % period == 0 && bytes > 1) {
            answer(t, remote, bytes);
            pass(t, SECOND);
        }
        if (second % period == 0)
            remote->taken += bytes;
        answer(t, remote, 0);
    }
    return limit;
}

TCP_TEST(rfc9293_must_37_a_window_may_be_closed_for_a_day)
{
    struct tcp_test *t = begin(NULL);
    struct remote remote = another(t, 1000);

    stall(t, &remote);
    assert_int_equal(lives(t, &remote, 24 * 3600, 3600, 0), 24 * 3600);
    assert_true(alive(&remote));
    assert_int_equal(tcp_stats(t).stalls_timed_out + tcp_stats(t).stalls_given_up, 0);
    tcp_free(t);
}

TCP_TEST(rfc6429_where_there_is_a_limit_a_stall_ends_with_it)
{
    struct utcp_config config = {.stall_max_us = 60 * MINUTE};
    struct tcp_test *t = begin(&config);
    struct remote remote = another(t, 1000), other = another(t, 1001);

    stall(t, &remote);
    assert_in_range(lives(t, &remote, 7200, 7200, 0), 3600, 3661);
    assert_int_equal(utcp_error(remote.conn), -ETIMEDOUT);
    assert_int_equal(tcp_stats(t).stalls_timed_out, 1);
    assert_true(alive(&other)); /* which has nothing to send */
    tcp_free(t);
}

TCP_TEST(a_byte_now_and_then_is_no_progress)
{
    struct utcp_config config = {.stall_max_us = 60 * MINUTE};
    struct tcp_test *t = begin(&config);
    struct remote remote = another(t, 1000);

    stall(t, &remote);
    assert_in_range(lives(t, &remote, 7200, 90, 1), 3600, 3661);
    assert_int_equal(tcp_stats(t).stalls_timed_out, 1);
    tcp_free(t);
}

TCP_TEST(a_segment_now_and_then_is)
{
    struct utcp_config config = {.stall_max_us = 60 * MINUTE};
    struct tcp_test *t = begin(&config);
    struct remote remote = another(t, 1000);

    stall(t, &remote);
    assert_int_equal(lives(t, &remote, 6 * 3600, 1800, MSS), 6 * 3600);
    assert_true(alive(&remote));
    tcp_free(t);
}

/* Each stall counts from its own beginning. */
TCP_TEST(stalls_do_not_add_up)
{
    struct utcp_config config = {.stall_max_us = 60 * MINUTE};
    struct tcp_test *t = begin(&config);
    struct remote remote = another(t, 1000);

    for (int i = 0; i < 10; i++) {
        answer(t, &remote, 0);
        tcp_write(t, remote.taken, 100);
        assert_int_equal(lives(t, &remote, 1800, 1800, 0), 1800);
        answer(t, &remote, 1000);
        pass(t, SECOND);
        remote.taken += 100;
        answer(t, &remote, 1000);
        pass(t, 10 * MINUTE);
    }
    assert_true(alive(&remote));
    tcp_free(t);
}

static unsigned alive_of(const struct remote *remotes)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CROWD; i++)
        count += alive(&remotes[i]);
    return count;
}

TCP_TEST(while_memory_is_scarce_stalls_are_ended_after_a_minute_until_it_is_not)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = begin(&config);
    struct remote remotes[CROWD], other = another(t, 999);
    unsigned seconds = 0;

    for (uint16_t i = 0; i < CROWD; i++)
        remotes[i] = another(t, (uint16_t)(1000 + i));
    for (unsigned i = 0; i < CROWD; i++)
        stall(t, &remotes[i]);
    assert_true(tcp_stats(t).memory_used > LIMIT / 4 * 3);
    while (tcp_stats(t).memory_used > LIMIT / 4 * 3) {
        assert_true(++seconds < 200);
        pass(t, SECOND);
        assert_true(seconds >= 60 || alive_of(remotes) == CROWD);
        for (unsigned i = 0; i < CROWD; i++)
            if (alive(&remotes[i]))
                answer(t, &remotes[i], 0);
    }
    assert_in_range(alive_of(remotes), 1, CROWD - 1);
    assert_int_equal(tcp_stats(t).stalls_given_up, CROWD - alive_of(remotes));
    seconds = alive_of(remotes);
    for (int i = 0; i < 600; i++) { /* there is room: whoever is left may stay */
        pass(t, SECOND);
        for (unsigned j = 0; j < CROWD; j++)
            if (alive(&remotes[j]))
                answer(t, &remotes[j], 0);
    }
    assert_int_equal(alive_of(remotes), seconds);
    assert_true(alive(&other));
    tcp_free(t);
}

TCP_TEST(who_wants_it_spares_them_always)
{
    struct utcp_config config = {.memory_max = LIMIT, .stall_spared_us = UINT64_MAX};
    struct tcp_test *t = begin(&config);
    struct remote remotes[CROWD];

    for (uint16_t i = 0; i < CROWD; i++) {
        remotes[i] = another(t, (uint16_t)(1000 + i));
        stall(t, &remotes[i]);
    }
    for (int i = 0; i < 3600; i++) {
        pass(t, SECOND);
        for (unsigned j = 0; j < CROWD; j++)
            answer(t, &remotes[j], 0);
    }
    assert_int_equal(alive_of(remotes), CROWD);
    tcp_free(t);
}

/* A window that shrank over data in flight: those are sent again and again, and never taken. */
TCP_TEST(a_window_that_shrank_over_what_was_sent_stalls_as_well)
{
    struct utcp_config config = {.stall_max_us = 60 * MINUTE};
    struct tcp_test *t = begin(&config);
    struct remote remote = another(t, 1000);

    use(t, &remote);
    tcp_write(t, 0, 10000);
    pass(t, 1);
    answer(t, &remote, 0);
    assert_in_range(lives(t, &remote, 7200, 7200, 0), 3600, 3661);
    assert_int_equal(tcp_stats(t).stalls_timed_out, 1);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc9293_must_37_a_window_may_be_closed_for_a_day),
        cmocka_unit_test(rfc6429_where_there_is_a_limit_a_stall_ends_with_it),
        cmocka_unit_test(a_byte_now_and_then_is_no_progress),
        cmocka_unit_test(a_segment_now_and_then_is),
        cmocka_unit_test(stalls_do_not_add_up),
        cmocka_unit_test(while_memory_is_scarce_stalls_are_ended_after_a_minute_until_it_is_not),
        cmocka_unit_test(who_wants_it_spares_them_always),
        cmocka_unit_test(a_window_that_shrank_over_what_was_sent_stalls_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
