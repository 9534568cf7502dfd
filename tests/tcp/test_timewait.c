/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections in TIME-WAIT that nobody holds (timewait.c): that on the wire they are as those that are
 * held, what they cost, when they end, and who makes room. What TIME-WAIT asks of all is in test_close. */
#include "tcp_test.h"
#include "utcp_internal.h"

/* ── Beside a connection that is held ──────────────────────────────────────────────────────── */

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % limit;
}

static bool chance(uint32_t percent)
{
    return random_below(100) < percent;
}

/* What is drawn once for both. */
struct scene {
    uint8_t family;
    bool timestamps, sack, listens, crossed;
    int late; /* segments before the program closes it, or reads what came; 0: it does so at once */
    uint32_t scale, in, out, dscp;
};

static struct scene draw_scene(void)
{
    return (struct scene){
        .family = chance(50) ? 4 : 6,
        .timestamps = chance(60),
        .sack = chance(60),
        .listens = chance(70),
        .crossed = chance(30),
        .late = chance(30) ? (int)random_below(30) : 0,
        .scale = random_below(15),
        .in = random_below(8000),
        .out = random_below(1400),
        .dscp = random_below(64),
    };
}

/* A connection in TIME-WAIT whose program has closed it, or has only shut it down. */
static struct tcp_test *in_time_wait(const struct scene *scene, bool closed)
{
    struct tcp_test *t = tcp_new(scene->family, NULL);

    t->peer_timestamps = scene->timestamps;
    t->peer_sack = scene->sack;
    t->peer_ts = 0xfff00000;
    tcp_listen(t, 8);
    tcp_handshake(t, (struct seg){.mss = 1400, .scale = (uint8_t)scene->scale});
    utcp_set_option(t->conn, UTCP_OPTION_DSCP, scene->dscp);
    peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = scene->in);
    if (scene->in && !scene->late)
        tcp_read(t, 0);
    if (scene->out)
        tcp_write(t, 0, scene->out);
    if (closed)
        utcp_close(t->conn, t->now);
    else
        utcp_shutdown(t->conn, t->now);
    pass(t, 0);
    if (scene->crossed) {
        peer(t, .flags = FIN | ACK, .seq = 1 + scene->in, .ack = 1);
        pass(t, 0);
        peer(t, .flags = ACK, .seq = 2 + scene->in, .ack = 2 + scene->out);
    } else {
        peer(t, .flags = ACK, .seq = 1 + scene->in, .ack = 2 + scene->out);
        pass(t, 0);
        peer(t, .flags = FIN | ACK, .seq = 1 + scene->in, .ack = 2 + scene->out);
    }
    pass(t, 0);
    if (!scene->listens) {
        utcp_listener_close(t->listener);
        t->listener = NULL;
    }
    assert_int_equal(tcp_stats(t).time_wait, 1);
    assert_int_equal(t->stack->waits.count, closed);
    assert_int_equal(list_empty(&t->stack->all), closed);
    return t;
}

/* Numbers near those that matter, mostly. */
static uint32_t near(uint32_t number)
{
    switch (random_below(6)) {
    case 0: return number;
    case 1: return number + random_below(5) - 2;
    case 2: return number - random_below(3000);
    case 3: return number + random_below(70000);
    case 4: return number + (UINT32_C(1) << random_below(32));
    default: return number - 1;
    }
}

static struct seg draw_segment(const struct scene *scene, const struct tcp_test *t)
{
    static const unsigned flags[] = {ACK,       ACK,       FIN | ACK, FIN | ACK, RST,
                                     RST | ACK, SYN,       SYN,       SYN | ACK, FIN,
                                     0,         SYN | FIN, ACK | PSH, RST | SYN, URG | ACK};
    struct seg segment = {
        .flags = flags[random_below(sizeof(flags) / sizeof(flags[0]))],
        .seq = near(2 + scene->in),
        .ack = near(2 + scene->out),
        .length = chance(40) ? random_below(1400) : 0,
        .window = chance(10) ? NO_WINDOW : 1 + random_below(65535),
    };

    if (!(segment.flags & ACK))
        segment.ack = 0;
    if (segment.length && chance(60)) /* ends where something begins */
        segment.seq = 2 + scene->in - segment.length + random_below(3) - 1;
    if (scene->timestamps && chance(40)) {
        segment.timestamps = true;
        segment.ts_value = near(t->peer_ts + (uint32_t)(t->now / MS));
        segment.ts_echo = random_below(1 << 30);
    } else if (chance(10)) {
        static const uint8_t nothing[4] = {1, 1, 1, 1};

        segment.options = nothing;
        segment.options_length = chance(50) ? sizeof(nothing) : 0;
    }
    return segment;
}

static void assert_same(struct tcp_test *held, struct tcp_test *left)
{
    struct utcp_stats stats[2] = {tcp_stats(held), tcp_stats(left)};

    stats[1].memory_used = stats[0].memory_used; /* the program that holds one may read it yet */
    assert_int_equal(left->out_count, held->out_count);
    for (unsigned i = 0; i < held->out_count; i++)
        assert_memory_equal(&left->out[i], &held->out[i], sizeof(held->out[i]));
    assert_int_equal(left->packet_length, held->packet_length);
    assert_memory_equal(left->packet, held->packet, held->packet_length);
    assert_memory_equal(&stats[0], &stats[1], sizeof(stats[0]));
    held->out_count = held->out_first = left->out_count = left->out_first = 0;
}

static bool ended(struct tcp_test *t)
{
    return utcp_state_between(t->stack, &t->us, &t->them) != UTCP_TIME_WAIT;
}

static void compare(uint64_t seed)
{
    struct scene scene;
    struct tcp_test *held, *left;

    random_state = seed;
    scene = draw_scene();
    held = in_time_wait(&scene, false);
    left = in_time_wait(&scene, scene.late == 0);
    assert_same(held, left); /* the last acknowledgment, too */
    for (int i = 0; i < 100 && !ended(held); i++) {
        if (i && i == scene.late) {
            if (scene.in)
                tcp_read(held, 0);
            utcp_close(left->conn, left->now);
            left->conn = NULL;
            assert_int_equal(left->stack->waits.count, 1);
        }
        for (uint32_t batch = random_below(4); batch > 0 && !ended(held); batch--) {
            struct seg segment = draw_segment(&scene, held);

            tcp_peer(held, segment);
            tcp_peer(left, segment);
            assert_int_equal(ended(left), ended(held));
        }
        pass(held, 0);
        pass(left, 0);
        assert_same(held, left);
        if (chance(60)) {
            uint64_t time = (uint64_t)random_below(3000) * random_below(3000);

            pass(held, time);
            pass(left, time);
            assert_same(held, left);
        }
    }
    tcp_free(held);
    tcp_free(left);
}

TCP_TEST(on_the_wire_they_are_as_those_that_are_held)
{
    for (uint64_t seed = 1; seed <= 1500; seed++)
        compare(seed);
}

/* ── Many ──────────────────────────────────────────────────────────────────────────────────── */

static struct tcp_test *many_new(const struct utcp_config *config)
{
    struct tcp_test *t = tcp_new(4, config);

    tcp_listen(t, 64);
    return t;
}

/* From the peer's port `port`: opened, closed by us, into TIME-WAIT. Returns our initial number. */
static uint32_t one(struct tcp_test *t, uint16_t port)
{
    t->them.port = port;
    t->iss_known = false;
    t->conn = NULL;
    peer(t, .flags = SYN, .mss = 1460);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    return t->iss;
}

static enum utcp_state state_of(struct tcp_test *t, uint16_t port)
{
    struct utcp_endpoint them = t->them;

    them.port = port;
    return utcp_state_between(t->stack, &t->us, &them);
}

TCP_TEST(each_costs_two_cache_lines_and_what_finds_it)
{
    struct tcp_test *t = many_new(NULL);
    size_t memory;

    for (uint16_t i = 0; i < 3000; i++)
        one(t, (uint16_t)(1000 + i));
    assert_true(list_empty(&t->stack->all)); /* no struct utcp_conn is left */
    memory = utcp__waits_memory(&t->stack->waits);
    assert_int_equal(tcp_stats(t).time_wait, 3000);
    assert_true(memory < (size_t)3000 * (128 + 24));
    pass(t, 61 * SECOND);
    assert_true(tcp_gone(t));
    assert_true(utcp__waits_memory(&t->stack->waits) < 16384); /* a slab, and the list of them */
    tcp_free(t);
}

TCP_TEST(they_end_in_the_order_in_which_they_began)
{
    struct tcp_test *t = many_new(NULL);

    for (uint16_t i = 0; i < 10; i++) {
        one(t, (uint16_t)(1000 + i));
        pass(t, SECOND);
    }
    pass(t, 50 * SECOND - MS);
    for (uint16_t i = 0; i < 10; i++) {
        assert_int_equal(state_of(t, (uint16_t)(1000 + i)), UTCP_TIME_WAIT);
        pass(t, 2 * MS);
        assert_int_equal(state_of(t, (uint16_t)(1000 + i)), UTCP_CLOSED);
        assert_int_equal(tcp_stats(t).time_wait, 9 - i);
        pass(t, SECOND - 2 * MS);
    }
    assert_int_equal(utcp_deadline(t->stack) == UINT64_MAX, 1);
    tcp_free(t);
}

TCP_TEST(a_fin_that_comes_again_puts_one_behind_the_others)
{
    struct tcp_test *t = many_new(NULL);

    uint32_t iss;

    one(t, 1000);
    iss = one(t, 1001);
    one(t, 1002);
    pass(t, 30 * SECOND);
    t->them.port = 1001;
    t->iss = iss;
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    pass(t, 31 * SECOND);
    assert_int_equal(tcp_stats(t).time_wait, 1);
    assert_int_equal(state_of(t, 1001), UTCP_TIME_WAIT);
    pass(t, 30 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

/* As when a stack's connections are taken over, and back: handover.c. */
TCP_TEST(a_time_that_is_changed_holds_for_those_that_come_then)
{
    struct tcp_test *t = many_new(NULL);

    one(t, 1000);
    utcp_set_time_wait(t->stack, SECOND);
    one(t, 1001);
    utcp_set_time_wait(t->stack, 0);
    one(t, 1002);
    assert_int_equal(t->stack->waits.count, 3);
    pass(t, SECOND + MS);
    assert_int_equal(state_of(t, 1001), UTCP_CLOSED);
    assert_int_equal(tcp_stats(t).time_wait, 2);
    pass(t, 60 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

/* More different times at once than there are queues: what has no place stays as it is. */
TCP_TEST(times_that_only_shrink_are_kept_exactly)
{
    struct tcp_test *t = many_new(NULL);

    for (uint16_t i = 0; i < 10; i++) {
        utcp_set_time_wait(t->stack, (20 - i) * SECOND);
        one(t, (uint16_t)(1000 + i));
    }
    assert_int_equal(t->stack->waits.count, TIME_WAIT_QUEUES);
    pass(t, 10 * SECOND + MS);
    for (int i = 9; i >= 0; i--) {
        assert_int_equal(tcp_stats(t).time_wait, i + 1);
        pass(t, SECOND);
    }
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(at_the_limit_the_one_that_ends_first_makes_room)
{
    struct utcp_config config = {.connections_max = 3};
    struct tcp_test *t = many_new(&config);
    uint32_t iss = one(t, 1000);

    pass(t, SECOND);
    one(t, 1001);
    pass(t, SECOND);
    one(t, 1002);
    t->them.port = 1000;
    t->iss = iss;
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2); /* that is the last now */
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    one(t, 2000);
    assert_int_equal(state_of(t, 1001), UTCP_CLOSED);
    assert_int_equal(state_of(t, 1000), UTCP_TIME_WAIT);
    one(t, 2001);
    assert_int_equal(state_of(t, 1002), UTCP_CLOSED);
    assert_int_equal(tcp_stats(t).connections, 3);
    assert_int_equal(tcp_stats(t).dropped_memory, 0);
    tcp_free(t);
}

TCP_TEST(a_connection_that_is_held_is_let_go_later)
{
    uint32_t seq, ack;
    struct tcp_test *t = tcp_in_state(4, UTCP_TIME_WAIT, &seq, &ack);

    assert_int_equal(t->stack->waits.count, 0);
    pass(t, 40 * SECOND);
    utcp_close(t->conn, t->now);
    t->conn = NULL;
    assert_int_equal(t->stack->waits.count, 1);
    assert_true(list_empty(&t->stack->all));
    pass(t, 19 * SECOND);
    assert_false(tcp_gone(t));
    pass(t, 2 * SECOND);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(one_that_cannot_send_its_last_acknowledgment_stays_until_it_can)
{
    struct tcp_test *t = tcp_established(4);

    utcp_close(t->conn, t->now);
    expect(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
    t->sink_room = 0;
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
    pass(t, SECOND);
    assert_int_equal(t->stack->waits.count, 0);
    t->sink_room = UINT32_MAX;
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    assert_int_equal(t->stack->waits.count, 1);
    t->sink_room = 0;
    peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2); /* and neither is an answer lost */
    pass(t, SECOND);
    t->sink_room = UINT32_MAX;
    expect(t, .flags = ACK, .seq = 2, .ack = 2);
    expect_nothing(t);
    tcp_free(t);
}

static void count_gone(void *context, const struct utcp_endpoint *local,
                       const struct utcp_endpoint *remote)
{
    unsigned *gone = context;

    assert_int_equal(local->port, 80);
    assert_in_range(remote->port, 1000, 1002);
    ++*gone;
}

TCP_TEST(endpoints_are_in_use_until_the_time_is_over)
{
    unsigned gone = 0;
    struct utcp_config config = {.gone = count_gone, .gone_context = &gone};
    struct tcp_test *t = many_new(&config);
    struct utcp_conn *conn;

    for (uint16_t i = 0; i < 3; i++)
        one(t, (uint16_t)(1000 + i));
    assert_int_equal(gone, 0);
    assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &t->them, NULL, &conn), -EADDRINUSE);
    pass(t, 61 * SECOND);
    assert_int_equal(gone, 3);
    tcp_free(t);
}

TCP_TEST(answers_to_many_at_once_are_bounded)
{
    struct tcp_test *t = many_new(NULL);
    unsigned answers = 0;

    for (uint16_t i = 0; i < 2 * UTCP_REPLIES_MAX; i++)
        one(t, (uint16_t)(1000 + i));
    t->many = true;
    for (int again = 0; again < 3; again++) {
        for (uint16_t i = 0; i < 2 * UTCP_REPLIES_MAX; i++) {
            t->them.port = (uint16_t)(1000 + i);
            peer(t, .flags = FIN | ACK, .seq = 1, .ack = 2);
        }
    }
    assert_int_equal(t->stack->reply_count, UTCP_REPLIES_MAX);
    answers = (unsigned)tcp_stats(t).packets_out;
    pass(t, 0);
    assert_int_equal(tcp_stats(t).packets_out - answers, UTCP_REPLIES_MAX);
    assert_int_equal(tcp_stats(t).syn_cookies_sent, 0);
    tcp_free(t);
}

/* Its place may be another's by then. */
TCP_TEST(an_answer_to_one_that_has_ended_does_not_leave)
{
    struct tcp_test *t = many_new(NULL);

    one(t, 1000);
    peer(t, .flags = SYN, .seq = 0); /* no newer: to be answered */
    peer(t, .flags = RST, .seq = 2); /* who needs no answer */
    assert_int_equal(t->stack->reply_count, 1);
    assert_true(tcp_gone(t));
    expect_nothing(t);
    assert_int_equal(t->stack->reply_count, 0);
    tcp_free(t);
}

/* ── What is told of them ──────────────────────────────────────────────────────────────────── */

struct told {
    unsigned count[2]; /* in TIME-WAIT, else */
    struct utcp_info last;
};

static void tell(void *context, const struct utcp_conn *conn)
{
    struct told *told = context;

    told->last = (struct utcp_info){.size = sizeof(told->last)};
    utcp_info(conn, &told->last);
    told->count[told->last.state != UTCP_TIME_WAIT]++;
}

TCP_TEST(a_scan_visits_them_once)
{
    struct tcp_test *t = many_new(NULL);
    struct told told = {.count = {0}};
    uint64_t cursor = 0;

    for (uint16_t i = 0; i < 200; i++)
        one(t, (uint16_t)(1000 + i));
    for (uint16_t i = 0; i < 5; i++) {
        t->them.port = (uint16_t)(2000 + i);
        t->iss_known = false;
        peer(t, .flags = SYN);
        expect(t, .flags = SYN | ACK, .ack = 1);
    }
    do {
        cursor = utcp_scan(t->stack, cursor, tell, &told);
    } while (cursor);
    assert_int_equal(told.count[0], 200);
    assert_int_equal(told.count[1], 5);
    tcp_free(t);
}

TCP_TEST(what_is_known_of_one_is_told)
{
    struct scene scene = {.family = 4,
                          .timestamps = true,
                          .sack = true,
                          .in = 700,
                          .out = 900,
                          .listens = true,
                          .scale = 7};
    struct tcp_test *t = in_time_wait(&scene, true);
    struct told told = {.count = {0}};
    uint64_t cursor = 0;

    do {
        cursor = utcp_scan(t->stack, cursor, tell, &told);
    } while (cursor);
    assert_int_equal(told.count[0], 1);
    assert_memory_equal(&told.last.remote, &t->them, sizeof(t->them));
    assert_memory_equal(&told.last.local, &t->us, sizeof(t->us));
    assert_int_equal(told.last.bytes_in, 700);
    assert_int_equal(told.last.bytes_out, 900);
    assert_true(told.last.timestamps && told.last.sack);
    assert_true(told.last.heard_ago_us == UINT64_MAX && told.last.data_sent_ago_us == UINT64_MAX);
    assert_true(told.last.receive_window > 0);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_the_wire_they_are_as_those_that_are_held),
        cmocka_unit_test(each_costs_two_cache_lines_and_what_finds_it),
        cmocka_unit_test(they_end_in_the_order_in_which_they_began),
        cmocka_unit_test(a_fin_that_comes_again_puts_one_behind_the_others),
        cmocka_unit_test(a_time_that_is_changed_holds_for_those_that_come_then),
        cmocka_unit_test(times_that_only_shrink_are_kept_exactly),
        cmocka_unit_test(at_the_limit_the_one_that_ends_first_makes_room),
        cmocka_unit_test(a_connection_that_is_held_is_let_go_later),
        cmocka_unit_test(one_that_cannot_send_its_last_acknowledgment_stays_until_it_can),
        cmocka_unit_test(endpoints_are_in_use_until_the_time_is_over),
        cmocka_unit_test(answers_to_many_at_once_are_bounded),
        cmocka_unit_test(an_answer_to_one_that_has_ended_does_not_leave),
        cmocka_unit_test(a_scan_visits_them_once),
        cmocka_unit_test(what_is_known_of_one_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
