/* SPDX-License-Identifier: BSD-2-Clause */
/* How large buffers become, what an idle connection keeps, and what happens when memory is scarce:
 * memory.c, pool.h. */
#include "dumbbell.h"
#include "tcp_test.h"

#define MSS   1460
#define BLOCK 4096

/* ── Right-sizing ──────────────────────────────────────────────────────────────────────────── */

TCP_TEST(default_settings_fill_one_gbit_over_100_ms)
{
    static const char *const controls[] = {"cubic", "newreno"};

    for (unsigned i = 0; i < 2; i++) {
        struct dumbbell config = {
            .seed = 1,
            .rate = 1000000000,
            .queue = 12500000,
            .default_buffers = true,
            .flows = 1,
            .flow = {{.congestion = controls[i], .rtt_us = 100 * MS}},
            .measure_from_us = 3 * SECOND,
            .end_us = 4 * SECOND,
        };
        struct dumbbell_result result;

        dumbbell_run(&config, &result);
        print_message("%s: %.1f %% of the link\n", controls[i],
                      100.0 * (double)result.bytes[0] / (double)dumbbell_capacity(&config));
        assert_true(result.bytes[0] >= dumbbell_capacity(&config) / 100 * 95);
    }
}

static struct tcp_test *with(const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(4, config);

    t->many = true;
    tcp_listen(t, 1000);
    tcp_handshake(t, (struct seg){.mss = MSS, .scale = 1});
    return t;
}

static void forget_output(struct tcp_test *t)
{
    t->out_first = t->out_count = 0;
}

/* `count` full segments at once, from `offset` on. */
static void segments(struct tcp_test *t, uint32_t offset, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        peer(t, .flags = ACK, .seq = 1 + offset + i * MSS, .ack = 1, .length = MSS);
    forget_output(t);
}

TCP_TEST(the_window_is_twice_what_is_taken_in_a_round_trip)
{
    struct tcp_test *t = with(NULL);
    uint32_t offset = 0;

    assert_in_range(tcp_info(t).receive_window, 60000, 65536);
    for (int i = 0; i < 20; i++) {
        segments(t, offset, 40);
        offset += tcp_read(t, offset);
        pass(t, MS); /* the round-trip time of the handshake was none */
        forget_output(t);
    }
    assert_int_equal(offset, 20 * 40 * MSS);
    assert_in_range(tcp_info(t).receive_window, 2 * 40 * MSS - 4096, 4 * (40 * MSS + 4096));
    tcp_free(t);
}

TCP_TEST(a_slow_path_keeps_a_narrow_window)
{
    struct tcp_test *t = with(NULL);
    uint32_t offset = 0;

    for (int i = 0; i < 2000; i++) {
        segments(t, offset, 1);
        offset += tcp_read(t, offset);
        pass(t, 2 * MS);
        forget_output(t);
    }
    assert_true(tcp_info(t).receive_window <= 65536); /* after almost 3 MB */
    tcp_free(t);
}

/* The only round trip that a receiver can time is that of an echo. */
TCP_TEST(timestamps_tell_a_receiver_the_round_trip_time)
{
    struct tcp_test *t = tcp_established_timestamps(4);
    uint32_t offset = 0, echo = 0;

    for (int round = 0; round < 40; round++) { /* 40 segments in each 20 ms, evenly */
        for (int i = 0; i < 40; i++) {
            peer(t, .flags = ACK, .seq = 1 + offset, .ack = 1, .length = 1400, .ts_echo = echo);
            offset += tcp_read(t, offset);
            if (t->out_count) /* what we sent last is echoed 20 ms later */
                echo = t->out[t->out_first + t->out_count - 1].ts_value - 20;
            forget_output(t);
            pass(t, 500);
        }
    }
    assert_in_range(tcp_info(t).receive_buffer, 2 * 38 * 1400, 4 * 44 * 1400);
    tcp_free(t);
}

TCP_TEST(who_does_not_read_holds_no_more_than_the_limit)
{
    struct utcp_config config = {.receive_buffer_max = 200000};
    struct tcp_test *t = with(&config);

    for (uint32_t offset = 0; offset < 1000000; offset += MSS) {
        peer(t, .flags = ACK, .seq = 1 + offset, .ack = 1, .length = MSS);
        forget_output(t);
        assert_true(tcp_stats(t).memory_used <= 65536 + 2 * BLOCK);
    }
    assert_in_range(utcp_readable(t->conn), 64512, 65536);
    assert_true(tcp_info(t).receive_window < 1024); /* told in steps of a scale */
    tcp_free(t);
}

/* A byte in a segment, each in a block of its own: what they cost is bounded by the window. */
TCP_TEST(tiny_scattered_segments_cost_no_more_than_the_window)
{
    struct utcp_config config = {0};
    struct tcp_test *t = with(&config);

    for (uint32_t i = 0; i < 60000; i += 2) {
        peer(t, .flags = ACK, .seq = 3 + i, .ack = 1, .length = 1);
        forget_output(t);
    }
    assert_true(tcp_info(t).out_of_order_bytes <= 256);
    assert_true(tcp_stats(t).memory_used <= 65536 + 2 * BLOCK + 256 * 16);
    tcp_free(t);
}

/* ── Idle ──────────────────────────────────────────────────────────────────────────────────── */

TCP_TEST(an_idle_connection_holds_no_buffers)
{
    struct tcp_test *t = with(NULL);

    assert_int_equal(tcp_stats(t).memory_used, 0);
    tcp_write(t, 0, 20000);
    segments(t, MSS, 20);
    segments(t, 0, 1);
    assert_true(tcp_stats(t).memory_used > 40000);
    assert_int_equal(tcp_read(t, 0), 21 * MSS);
    assert_true(tcp_stats(t).memory_used > 20000); /* not acknowledged */
    for (int i = 0; i < 10; i++) {                 /* by and by all of it is sent */
        pass(t, MS);
        peer(t, .flags = ACK, .seq = 1 + 21 * MSS, .ack = 1 + 2000 * (i + 1));
        forget_output(t);
    }
    assert_true(tcp_stats(t).memory_used < 2000); /* no data */
    pass(t, 1100 * MS);
    assert_int_equal(tcp_stats(t).memory_used, 0);
    forget_output(t);
    assert_true(utcp_deadline(t->stack) == UINT64_MAX); /* and nothing more is to be done */
    tcp_free(t);
}

TCP_TEST(a_busy_connection_keeps_what_leads_to_its_blocks)
{
    struct tcp_test *t = with(NULL);

    for (uint32_t i = 0; i < 50; i++) {
        segments(t, i * MSS, 1);
        assert_int_equal(tcp_read(t, i * MSS), MSS);
        pass(t, 100 * MS);
        forget_output(t);
        assert_true(tcp_stats(t).memory_used < BLOCK);
        /* The first block needs nothing that would lead to it. */
        assert_int_equal(tcp_stats(t).memory_used > 0, (i + 1) * MSS > BLOCK);
    }
    pass(t, 1000 * MS);
    assert_int_equal(tcp_stats(t).memory_used, 0);
    tcp_free(t);
}

/* ── At the stack's limit ──────────────────────────────────────────────────────────────────── */

#define LIMIT UINT64_C(1048576)

/* One of several connections of a test. */
struct remote {
    uint16_t port;
    uint32_t iss;
    struct utcp_conn *conn;
};

static struct remote save(const struct tcp_test *t)
{
    return (struct remote){t->them.port, t->iss, t->conn};
}

static void use(struct tcp_test *t, const struct remote *remote)
{
    t->them.port = remote->port;
    t->iss = remote->iss;
    t->conn = remote->conn;
    forget_output(t);
}

static struct remote another(struct tcp_test *t)
{
    static uint16_t port = 1000;

    t->them.port = ++port;
    t->iss_known = false;
    t->conn = NULL;
    forget_output(t);
    tcp_handshake(t, (struct seg){.mss = MSS});
    return save(t);
}

/* Connections that nobody reads, until so much memory is in use. */
static void fill(struct tcp_test *t, uint64_t used)
{
    while (tcp_stats(t).memory_used < used) {
        another(t);
        for (unsigned i = 0; i < 44 && tcp_stats(t).memory_used < used; i++)
            segments(t, i * MSS, 1);
    }
}

TCP_TEST(when_memory_is_scarce_windows_grow_no_more_and_none_shrinks)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    struct remote reader = save(t);
    uint32_t offset = 0, window, edge;

    fill(t, LIMIT / 8 * 6 + 2 * BLOCK); /* pressed */
    use(t, &reader);
    for (int i = 0; i < 20; i++) {
        edge = offset + tcp_info(t).receive_window;
        segments(t, offset, 40);
        assert_true(offset + 40 * MSS + tcp_info(t).receive_window >= edge);
        offset += tcp_read(t, offset);
        pass(t, MS);
        forget_output(t);
    }
    window = tcp_info(t).receive_window;
    assert_in_range(window, 60000, 65536);
    assert_int_equal(tcp_stats(t).dropped_memory, 0);
    tcp_free(t);
}

TCP_TEST(when_memory_is_tight_data_out_of_order_are_given_up)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    struct remote scattered = save(t), late;
    uint32_t window;

    segments(t, MSS, 20);
    window = tcp_info(t).receive_window;
    assert_int_equal(tcp_info(t).out_of_order_bytes, 20 * MSS);
    fill(t, LIMIT / 8 * 7 + 1);
    late = another(t);
    segments(t, 0, 1); /* any data that come now have the others' given up */
    assert_int_equal(tcp_stats(t).out_of_order_given_up, 20 * MSS);
    assert_int_equal(tcp_stats(t).dropped_memory, 0);
    segments(t, 2 * MSS, 4);
    fill(t, LIMIT / 8 * 7 + 1);
    use(t, &late);
    segments(t, 30 * MSS, 4); /* nor are new ones taken */
    assert_int_equal(tcp_info(t).out_of_order_bytes, 4 * MSS);
    assert_int_equal(tcp_stats(t).dropped_memory, 4);

    use(t, &scattered);
    assert_int_equal(tcp_info(t).out_of_order_bytes, 0);
    assert_int_equal(tcp_info(t).receive_window, window); /* what was told holds */
    for (unsigned i = 0; i < 21; i++) {                   /* and the data, when they come again */
        segments(t, i * MSS, 1);
        assert_int_equal(tcp_read(t, i * MSS), MSS);
    }
    tcp_free(t);
}

TCP_TEST(at_the_limit_no_connection_begins_and_all_that_are_there_go_on)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    struct remote old = save(t), reader;
    struct utcp_endpoint server = {.family = 4, .port = 7, .address = {198, 51, 100, 9}};
    struct utcp_endpoint local = t->us;
    struct utcp_conn *conn;

    reader = another(t);
    while (tcp_stats(t).memory_used < LIMIT) {
        fill(t, tcp_stats(t).memory_used + BLOCK);
        if (tcp_stats(t).dropped_memory)
            break;
    }
    t->them.port = 999;
    peer(t, .flags = SYN, .mss = MSS);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_syn_memory, 1);
    local.port = 1234;
    assert_int_equal(utcp_connect(t->stack, t->now, &local, &server, NULL, &conn), -ENOBUFS);

    use(t, &old); /* both ways, a block at a time */
    for (unsigned i = 0; i < 50; i++) {
        tcp_write(t, i * 1000, 1000);
        expect(t, .flags = ACK | PSH, .seq = 1 + i * 1000, .ack = 1 + i * 1024, .length = 1000);
        peer(t, .flags = ACK, .seq = 1 + i * 1024, .ack = 1 + (i + 1) * 1000, .length = 1024);
        forget_output(t);
        assert_int_equal(tcp_read(t, i * 1024), 1024);
    }
    expect_state(t, UTCP_ESTABLISHED);

    use(t, &reader);
    assert_int_equal(utcp_error(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(what_is_read_makes_room_for_new_connections)
{
    struct utcp_config config = {.memory_max = 16 * BLOCK};
    struct tcp_test *t = with(&config);
    struct remote full = save(t);

    segments(t, 0, 44);
    while (tcp_stats(t).memory_used < 16 * BLOCK) { /* by what is granted beyond the limit */
        another(t);
        segments(t, 0, 1);
    }
    use(t, &full);
    t->them.port = 999;
    peer(t, .flags = SYN, .mss = MSS);
    assert_int_equal(tcp_stats(t).dropped_syn_memory, 1);
    use(t, &full);
    assert_true(tcp_read(t, 0) > 10 * BLOCK);
    another(t);
    assert_int_equal(tcp_stats(t).dropped_syn_memory, 1);
    tcp_free(t);
}

/* Peers that take nothing, with applications that write what they can. */
TCP_TEST(windows_that_never_open_cost_no_more_than_the_limit)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    struct remote other = save(t);
    struct remote stalled[20];
    static uint8_t data[1 << 20];

    for (int i = 0; i < 20; i++) {
        stalled[i] = another(t);
        utcp_set_option(t->conn, UTCP_OPTION_USER_TIMEOUT_US, MINUTE);
    }
    for (int i = 0; i < 20; i++) {
        use(t, &stalled[i]);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .window = NO_WINDOW);
        while (utcp_write(t->conn, t->now, data, sizeof(data)) > 0)
            continue;
        assert_true(utcp_unacknowledged(t->conn) > 0); /* a block at least */
    }
    assert_true(tcp_stats(t).memory_used <= LIMIT + 20 * BLOCK);
    use(t, &other);
    tcp_write(t, 0, 1000);
    expect(t, .flags = ACK | PSH, .seq = 1, .ack = 1, .length = 1000);
    peer(t, .flags = ACK, .seq = 1, .ack = 1001);
    for (int i = 0; i < 61; i++) { /* probes, and in the end the applications' patience */
        pass(t, SECOND);
        forget_output(t);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(utcp_error(stalled[i].conn), -ETIMEDOUT);
    assert_int_equal(utcp_error(other.conn), 0);
    assert_int_equal(tcp_stats(t).memory_used, 0);
    tcp_free(t);
}

/* A byte that nobody reads has a block, from each of a thousand: beyond the limit by one block each. */
TCP_TEST(a_byte_on_each_of_many_connections_is_bounded)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    unsigned opened = 0;

    while (tcp_stats(t).memory_used < LIMIT) {
        another(t);
        peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 1);
        opened++;
    }
    assert_in_range(opened, LIMIT / BLOCK - 3, LIMIT / BLOCK);
    for (unsigned i = 0; i < 100; i++) { /* they are told so by silence */
        t->them.port = (uint16_t)(60000 + i);
        forget_output(t);
        peer(t, .flags = SYN);
        expect_nothing(t);
    }
    assert_int_equal(tcp_stats(t).dropped_syn_memory, 100);
    assert_true(tcp_stats(t).memory_used < LIMIT + BLOCK);
    tcp_free(t);
}

/* Thousands of holes on each of many connections. */
TCP_TEST(data_out_of_order_on_many_connections_are_bounded)
{
    struct utcp_config config = {.memory_max = LIMIT};
    struct tcp_test *t = with(&config);
    struct remote victim = save(t);

    for (int i = 0; i < 200; i++) {
        another(t);
        for (uint32_t at = 0; at < 60000; at += 4000) {
            peer(t, .flags = ACK, .seq = 3 + at, .ack = 1, .length = 1);
            forget_output(t);
        }
        assert_true(tcp_stats(t).memory_used <= LIMIT / 8 * 7 + 20 * BLOCK);
    }
    assert_true(tcp_stats(t).out_of_order_given_up > 0);
    use(t, &victim); /* data in order have their place all the time */
    segments(t, 0, 20);
    assert_int_equal(tcp_read(t, 0), 20 * MSS);
    another(t);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_settings_fill_one_gbit_over_100_ms),
        cmocka_unit_test(the_window_is_twice_what_is_taken_in_a_round_trip),
        cmocka_unit_test(a_slow_path_keeps_a_narrow_window),
        cmocka_unit_test(timestamps_tell_a_receiver_the_round_trip_time),
        cmocka_unit_test(who_does_not_read_holds_no_more_than_the_limit),
        cmocka_unit_test(tiny_scattered_segments_cost_no_more_than_the_window),
        cmocka_unit_test(an_idle_connection_holds_no_buffers),
        cmocka_unit_test(a_busy_connection_keeps_what_leads_to_its_blocks),
        cmocka_unit_test(when_memory_is_scarce_windows_grow_no_more_and_none_shrinks),
        cmocka_unit_test(when_memory_is_tight_data_out_of_order_are_given_up),
        cmocka_unit_test(at_the_limit_no_connection_begins_and_all_that_are_there_go_on),
        cmocka_unit_test(what_is_read_makes_room_for_new_connections),
        cmocka_unit_test(windows_that_never_open_cost_no_more_than_the_limit),
        cmocka_unit_test(a_byte_on_each_of_many_connections_is_bounded),
        cmocka_unit_test(data_out_of_order_on_many_connections_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
