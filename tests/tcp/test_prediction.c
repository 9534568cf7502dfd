/* SPDX-License-Identifier: BSD-2-Clause */
/* Header prediction (prediction.c) is a short cut and no second TCP: the same traffic, with it and without,
 * leaves the same state behind after every single packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checksum.h"
#include "simulator.h"
#include "snapshot.h"

#define MINUTE UINT64_C(60000000)

/* ── Two runs ──────────────────────────────────────────────────────────────────────────────── */

#define SNAPSHOTS_MAX 4000

struct recording {
    struct snapshot *at;
    unsigned count;
    struct sim *sim;
    bool options; /* are set on connections as soon as they are there */
};

/* Timers that are rare, and each kind of data. */
static void set_options(struct utcp_conn *conn)
{
    if (conn->user_timeout_ms)
        return;
    utcp_set_option(conn, UTCP_OPTION_USER_TIMEOUT_US, 600 * UTCP_SECOND);
    utcp_set_option(conn, UTCP_OPTION_KEEPALIVE_US, UTCP_SECOND);
    utcp_set_option(conn, UTCP_OPTION_QUICK_ACKS, 3);
    utcp_set_option(conn, UTCP_OPTION_SEND_BUFFER, 20000);
    utcp_set_option(conn, UTCP_OPTION_NOT_SENT_LOW, 4000);
}

static void record(void *context, const struct utcp *stack)
{
    struct recording *recording = context;

    for (int i = 0; i < 2 && recording->options; i++)
        if (sim_app(recording->sim, i)->conn && !sim_app(recording->sim, i)->closed)
            set_options(sim_app(recording->sim, i)->conn);
    if (recording->count < SNAPSHOTS_MAX)
        take_snapshot(stack, &recording->at[recording->count++]);
}

static bool options_set;

static struct recording run(struct sim_config config, bool long_way, uint64_t *usual, uint64_t *all)
{
    struct recording recording = {.at = calloc(SNAPSHOTS_MAX, sizeof(struct snapshot)),
                                  .options = options_set};
    struct sim *sim;

    assert_non_null(recording.at);
    config.watch = record;
    config.watch_context = &recording;
    sim = recording.sim = sim_new(&config);
    *usual = *all = 0;
    for (int i = 0; i < 2; i++)
        if (long_way)
            sim_stack(sim, i)->predict = PREDICT_NOTHING;
    /* The simulator's readers that pause, or take little, do not all hear of the end. */
    assert_true(sim_run(sim, 120 * MINUTE) || config.app[1].read_pause_us ||
                config.app[1].read_size);
    for (int i = 0; i < 2; i++) {
        *usual += sim_stack(sim, i)->stats.packets_in - sim_stack(sim, i)->long_in;
        *all += sim_stack(sim, i)->stats.packets_in;
    }
    sim_free(sim);
    return recording;
}

static void assert_same(const struct recording *a, const struct recording *b)
{
    assert_int_equal(a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        for (size_t k = 0; k < sizeof(a->at[i].conn); k++)
            if (a->at[i].conn[k] != b->at[i].conn[k])
                fail_msg("packet %u: struct utcp_conn differs at byte %zu", i, k);
        assert_int_equal(a->at[i].behind, b->at[i].behind);
        assert_int_equal(a->at[i].stack, b->at[i].stack);
    }
}

/* Returns how many percent of all packets were as predicted. */
static unsigned compare(struct sim_config config, unsigned seeds)
{
    uint64_t usual = 0, all = 0;

    for (config.seed = 1; config.seed <= seeds; config.seed++) {
        uint64_t some_usual, some, none, as_many;
        struct recording way = run(config, false, &some_usual, &some);
        struct recording long_way = run(config, true, &none, &as_many);

        assert_int_equal(none, 0);
        assert_int_equal(some, as_many);
        assert_same(&way, &long_way);
        free(way.at);
        free(long_way.at);
        usual += some_usual;
        all += some;
    }
    return all ? (unsigned)(100 * usual / all) : 0;
}

static struct sim_config plain(uint64_t from_0, uint64_t from_1)
{
    return (struct sim_config){
        .family = 4,
        .link = {{.delay_us = 1000, .rate = 20000, .queue_us = 5000},
                 {.delay_us = 1000, .rate = 20000, .queue_us = 5000}},
        .app = {{.to_send = from_0, .to_receive = from_1},
                {.to_send = from_1, .to_receive = from_0}},
    };
}

static const struct sim_link bad = {
    .loss = 30,
    .reorder = 50,
    .duplicate = 30,
    .corrupt = 10,
    .delay_us = 3000,
    .rate = 5000,
    .queue_us = 20000,
};

/* ── Traffic ───────────────────────────────────────────────────────────────────────────────── */

static void a_clean_stream_is_predicted(void **state)
{
    struct sim_config config = plain(1000000, 0);

    (void)state;
    assert_in_range(compare(config, 1), 95, 100);
    config.family = 6;
    assert_in_range(compare(config, 1), 95, 100);
    config.stack[1].flags = UTCP_NO_TIMESTAMPS;
    assert_in_range(compare(config, 1), 95, 100);
    config.stack[0].flags = UTCP_NO_SACK;
    assert_in_range(compare(config, 1), 95, 100);
}

/* As long as the peer's count of marks stands still; each 64 KiB an option goes the long way. */
static void accurate_ecn_is_predicted(void **state)
{
    struct sim_config config = plain(1000000, 0);

    (void)state;
    config.stack[0].flags = UTCP_ASK_ACCURATE_ECN;
    assert_in_range(compare(config, 1), 90, 100);
    config.family = 6;
    assert_in_range(compare(config, 1), 90, 100);
    config.stack[1].flags = UTCP_NO_TIMESTAMPS;
    assert_in_range(compare(config, 1), 90, 100);
    config.family = 4;
    config.link[0].mark = 30;
    assert_in_range(compare(config, 3), 60, 100);
    config.link[0] = config.link[1] = bad;
    config.link[0].mark = config.link[1].mark = 100;
    compare(config, 10);
}

static void data_both_ways_are_predicted(void **state)
{
    (void)state;
    assert_in_range(compare(plain(500000, 500000), 2), 90, 100);
}

static void a_bad_wire_makes_no_difference(void **state)
{
    struct sim_config config = plain(200000, 100000);

    (void)state;
    config.link[0] = config.link[1] = bad;
    assert_in_range(compare(config, 10), 10, 100);
    config.family = 6;
    compare(config, 5);
    config.stack[0].flags = UTCP_NO_SACK;
    compare(config, 5);
    config.stack[1].flags = UTCP_NO_TIMESTAMPS | UTCP_NO_WINDOW_SCALE;
    compare(config, 5);
}

static void every_congestion_control_sees_the_same(void **state)
{
    struct sim_config config = plain(200000, 200000);

    (void)state;
    config.link[0] = config.link[1] = bad;
    for (unsigned i = 0; utcp_congestion_name(i); i++) {
        config.stack[0].congestion = config.stack[1].congestion = utcp_congestion_name(i);
        config.stack[0].flags = config.stack[1].flags = i % 2 ? UTCP_ASK_ECN : UTCP_PACE;
        compare(config, 3);
        config.stack[0].flags = config.stack[1].flags = UTCP_ASK_ACCURATE_ECN;
        compare(config, 3);
    }
}

static void narrow_windows_and_little_memory_make_no_difference(void **state)
{
    struct sim_config config = plain(30000, 30000);

    (void)state;
    config.link[0] = config.link[1] = bad;
    config.stack[0].receive_buffer_max = config.stack[1].receive_buffer_max = 5000;
    config.app[0].read_pause_us = 500000;
    config.app[1].write_size = 37;
    compare(config, 5);
    config.stack[0].memory_max = config.stack[1].memory_max = 1;
    compare(config, 5);
}

static void merged_segments_make_no_difference(void **state)
{
    struct sim_config config = plain(200000, 200000);

    (void)state;
    for (int i = 0; i < 2; i++)
        config.stack[i].offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    config.link[0] = config.link[1] = bad;
    compare(config, 5);
}

/* As from a switch; else each packet's checksum is looked at, which is another way in. */
static void checksums_that_were_verified_make_no_difference(void **state)
{
    struct sim_config config = plain(500000, 500000);

    (void)state;
    config.link[0].verified = config.link[1].verified = true;
    assert_in_range(compare(config, 2), 90, 100);
    config.app[1].to_send = config.app[0].to_receive = 0;
    assert_in_range(compare(config, 1), 95, 100);
    config.family = 6;
    assert_in_range(compare(config, 1), 95, 100);
    config.stack[1].flags = UTCP_NO_TIMESTAMPS;
    assert_in_range(compare(config, 1), 95, 100);
    config = plain(200000, 100000);
    config.link[0] = config.link[1] = bad;
    config.link[0].verified = config.link[1].verified = true;
    compare(config, 10);
    for (int i = 0; i < 2; i++)
        config.stack[i].offloads = UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT;
    compare(config, 5);
}

static void ends_and_options_make_no_difference(void **state)
{
    struct sim_config config = plain(60000, 60000);

    (void)state;
    options_set = true;
    config.link[0] = config.link[1] = bad;
    config.link[0].verified = true;
    for (int i = 0; i < 12; i++) {
        config.app[0].close = (enum sim_close)(i % 3);
        config.app[1].close = (enum sim_close)(i / 3 % 2); /* who waits for the other is not */
        config.app[i % 2].by_reference = i & 4;
        config.app[1].read_size = i & 2 ? 700 : 0;
        config.app[0].write_size = i & 1 ? 1000 : 0;
        config.app[1].read_pause_us = i & 8 ? 3000000 : 0; /* keep-alive probes meanwhile */
        config.fast_open = i == 5;
        compare(config, 2);
    }
    options_set = false;
}

/* A request and a response: what opens such a connection and what closes it is most of it. */
static struct sim_config brief(void)
{
    struct sim_config config = plain(100, 1024);

    config.app[0].close = SIM_WAIT_FOR_PEER;
    config.app[1].close = SIM_CLOSE;
    config.link[0].verified = config.link[1].verified = true;
    return config;
}

static void the_ends_of_a_server_s_connection_are_predicted(void **state)
{
    struct sim_config config = brief();

    (void)state;
    /* Two of what the server gets, which is half of all: the SYN is not. */
    assert_in_range(compare(config, 1), 30, 50);
    config.link[0].verified = false;
    assert_in_range(compare(config, 1), 30, 50);
    config.family = 6;
    assert_in_range(compare(config, 1), 30, 50);
}

static void what_is_odd_at_the_ends_makes_no_difference(void **state)
{
    static const uint32_t flags[] = {
        0,         UTCP_NO_TIMESTAMPS,      UTCP_NO_SACK,       UTCP_NO_WINDOW_SCALE, UTCP_ASK_ECN,
        UTCP_PACE, UTCP_ALWAYS_SYN_COOKIES, UTCP_NO_SYN_COOKIES};
    static const uint64_t requests[] = {0, 1, 100, 600, 1448, 5000, 70000};
    static const uint64_t responses[] = {0, 1, 1024, 3000, 40000};
    const unsigned kinds = sizeof(flags) / sizeof(flags[0]);

    (void)state;
    for (unsigned i = 0; i < 210; i++) {
        struct sim_config config = brief();

        config.app[0].to_send = config.app[1].to_receive = requests[i % 7];
        config.app[1].to_send = config.app[0].to_receive = responses[i % 5];
        config.app[0].close = (enum sim_close)(i % 3); /* who waits for the other is not */
        config.app[1].close = (enum sim_close)(i / 3 % 2);
        config.app[1].read_pause_us = i % 16 == 9 ? 300000 : 0;
        config.stack[0].flags = flags[i % kinds];
        config.stack[1].flags = i % 4 ? flags[i / kinds % kinds] : flags[i % kinds];
        config.stack[1].congestion = utcp_congestion_name(i % 4);
        config.stack[1].receive_buffer_max = i % 11 == 5 ? 400 : 0;
        config.stack[1].time_wait_us = i % 13 ? 1000 : 0;
        config.family = i % 6 ? 4 : 6;
        config.fast_open = i % 17 == 3;
        if (i % 3)
            config.link[0] = config.link[1] = bad;
        config.link[0].verified = config.link[1].verified = i % 5;
        config.start = i % 7 ? 0 : sim_start_for_iss(&config, UINT32_MAX - i);
        compare(config, 4);
    }
}

/* Sequence numbers, and a clock, that begin anew; and a clock that begins with 0. */
static void wrapped_numbers_make_no_difference(void **state)
{
    struct sim_config config = plain(300000, 100000);

    (void)state;
    config.link[0].verified = true;
    config.start = sim_start_for_iss(&config, UINT32_MAX - 100000);
    compare(config, 2);
    config.link[0] = config.link[1] = bad;
    config.start = sim_start_for_iss(&config, UINT32_MAX - 50000);
    compare(config, 3);
    config.start = 0;
    compare(config, 3);
}

/* ── Connections side by side ──────────────────────────────────────────────────────────────── */

/* Of two stacks with some connections between them. What is done with which, and which packet arrives when,
 * follows from a seed. */
#define SIDE_BY_SIDE 5
#define WIRE         64
#define STEPS        8000
#define FIRST_PORT   1000
#define FIRST_TIMED  (SIDE_BY_SIDE - 2) /* neither has options, the last is traced, too */

struct end {
    struct utcp *stack;
    struct utcp_conn *conn[SIDE_BY_SIDE];
    struct utcp_listener *listener;
    uint8_t packet[WIRE][2048]; /* that it has sent */
    uint32_t length[WIRE];
    unsigned head, tail;
};

struct pair {
    struct end end[2];
    uint64_t now, random, digest;
    uint32_t done; /* steps */
};

static uint32_t random_below(struct pair *pair, uint32_t limit)
{
    pair->random = pair->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(pair->random >> 33) % limit;
}

static uint8_t *reserve(void *context, uint32_t length)
{
    struct end *end = context;

    assert_true(length <= sizeof(end->packet[0]));
    return end->tail - end->head == WIRE ? NULL : end->packet[end->tail % WIRE];
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct end *end = context;

    (void)offload;
    end->length[end->tail++ % WIRE] = length;
}

/* Congestion was met, if the packet may say so. */
static void mark(uint8_t *packet)
{
    if (packet[0] >> 4 == 6 && (packet[1] >> 4 & 3) == IP_ECN_0) {
        packet[1] |= IP_ECN_CE << 4;
    } else if (packet[0] >> 4 == 4 && (packet[1] & 3) == IP_ECN_0) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        ip->tos |= IP_ECN_CE;
        ip->checksum = 0;
        ip->checksum = checksum_ipv4_make(ip);
    }
}

/* What a trace tells counts, too: of the first, which has options, and of the last, which has none. */
static bool is_traced(void *context, const struct utcp_endpoint *local,
                      const struct utcp_endpoint *remote)
{
    uint16_t port = local->port == 80 ? remote->port : local->port;

    (void)context;
    return port == FIRST_PORT || port == FIRST_PORT + SIDE_BY_SIDE - 1;
}

static void traced(void *context, const struct utcp_trace_event *event)
{
    struct pair *pair = context;

    pair->digest = digest(pair->digest, &event->kind, sizeof(event->kind));
}

/* One packet from `from` arrives, or is lost on the way; all that the other end then knows is summed up. */
static void pass(struct pair *pair, int from)
{
    struct end *end = &pair->end[from];
    struct utcp *to = pair->end[!from].stack;
    unsigned at = end->head % WIRE;

    if (end->head == end->tail)
        return;
    end->head++;
    if (random_below(pair, 200) == 0)
        return;
    if (random_below(pair, 50) == 0)
        mark(end->packet[at]);
    utcp_input(to, pair->now, end->packet[at], end->length[at],
               random_below(pair, 2) ? UTCP_INPUT_CHECKSUM_OK : UTCP_INPUT_CHECKSUM_PARTIAL);
    list_for_each_safe (link, after, &to->all) {
        struct snapshot snapshot = {0};

        take_connection(list_member(link, struct utcp_conn, all_link), &snapshot);
        pair->digest = digest(pair->digest, &snapshot, sizeof(snapshot));
    }
}

/* The program lets go of a connection, whatever is still to be read. */
static void let_go(struct pair *pair, struct utcp_conn **conn)
{
    if (pair->done > STEPS / 2 && random_below(pair, 100) == 0) {
        utcp_close(*conn, pair->now);
        *conn = NULL;
    }
}

/* Some of it is urgent, and of some, of the last connections, it is told when it left and arrived. */
static void write_some(struct pair *pair, struct utcp_conn *conn, bool timed, const uint8_t *data,
                       uint32_t size)
{
    utcp_write(conn, pair->now, data, size);
    if (random_below(pair, 40) == 0)
        utcp_mark_urgent(conn, pair->now);
    if (timed && random_below(pair, 4) == 0)
        utcp_mark_times(conn, pair->now, UTCP_TIME_SENT | UTCP_TIME_ACKNOWLEDGED, pair->done);
}

static void take_times(struct pair *pair, struct utcp_conn *conn)
{
    struct utcp_time times[16] = {0};
    unsigned count = utcp_take_times(conn, times, sizeof(times) / sizeof(times[0]));

    for (unsigned i = 0; i < count; i++) {
        const uint64_t time[] = {times[i].kind, times[i].tag, times[i].at, times[i].end};

        pair->digest = digest(pair->digest, time, sizeof(time));
    }
}

static void step(struct pair *pair)
{
    static uint8_t data[8000];
    int which = (int)random_below(pair, 2);
    struct end *end = &pair->end[which];
    const struct utcp_sink sink = {reserve, commit, end};
    uint32_t k = random_below(pair, SIDE_BY_SIDE);
    struct utcp_conn **conn = &end->conn[k];
    uint32_t most = pair->done++ < STEPS / 8 ? 300 : sizeof(data);
    uint32_t what = random_below(pair, 8), size = 1 + random_below(pair, most);

    if (*conn && what == 0)
        write_some(pair, *conn, k >= FIRST_TIMED && pair->done > STEPS / 2, data, size);
    else if (*conn && what == 1)
        utcp_read(*conn, pair->now, data, size);
    else if (what == 2)
        utcp_advance(end->stack, pair->now += random_below(pair, 20000));
    else if (what <= 4)
        utcp_output(end->stack, pair->now, &sink);
    else
        pass(pair, which);
    if (*conn)
        take_times(pair, *conn);
    if (*conn)
        let_go(pair, conn);
}

static void settle(struct pair *pair)
{
    for (int rounds = 0; rounds < 10; rounds++) {
        for (int i = 0; i < 2; i++) {
            const struct utcp_sink sink = {reserve, commit, &pair->end[i]};

            utcp_output(pair->end[i].stack, pair->now, &sink);
        }
        for (int i = 0; i < 2; i++)
            while (pair->end[i].head != pair->end[i].tail)
                pass(pair, i);
    }
}

static bool all_accepted(const struct end *end)
{
    for (int k = 0; k < SIDE_BY_SIDE; k++)
        if (end->conn[k] == NULL)
            return false;
    return true;
}

static void open_pair(struct pair *pair, uint64_t seed, bool long_way)
{
    struct utcp_config config = {.size = sizeof(config),
                                 .secret = "side by side",
                                 .flags = seed % 4 < 2 ? UTCP_ASK_ECN : 0,
                                 .memory_max = seed % 3 ? 0 : 60000,
                                 .receive_buffer_max = seed % 4 ? 0 : 3000,
                                 .congestion = seed % 5 ? NULL : "dctcp"};
    uint8_t family = seed % 2 ? 4 : 6;
    const struct utcp_tracer tracer = {.wanted = is_traced, .event = traced, .context = pair};
    struct utcp_endpoint from = {.family = family, .address = {10, 0, 0, 1}};
    struct utcp_endpoint to = {.family = family, .port = 80, .address = {10, 0, 0, 2}};

    for (int i = 0; i < 2; i++) {
        config.offloads = i ? UTCP_OFFLOAD_CHECKSUM : 0;
        pair->end[i].stack = utcp_new(&config, pair->now);
        if (long_way)
            pair->end[i].stack->predict = PREDICT_NOTHING;
        utcp_set_tracer(pair->end[i].stack, &tracer);
    }
    assert_int_equal(utcp_listen(pair->end[1].stack, &to, 10, NULL, &pair->end[1].listener), 0);
    for (int k = 0; k < SIDE_BY_SIDE; k++) {
        from.port = (uint16_t)(FIRST_PORT + k);
        assert_int_equal(
            utcp_connect(pair->end[0].stack, pair->now, &from, &to, NULL, &pair->end[0].conn[k]),
            0);
    }
    while (!all_accepted(&pair->end[1])) {
        struct utcp_conn *conn;

        settle(pair);
        pair->now += UTCP_SECOND; /* a SYN may be lost */
        for (int i = 0; i < 2; i++)
            utcp_advance(pair->end[i].stack, pair->now);
        while ((conn = utcp_accept(pair->end[1].listener, pair->now)) != NULL)
            for (int k = 0; k < SIDE_BY_SIDE; k++)
                if (conn->remote.port == FIRST_PORT + k)
                    pair->end[1].conn[k] = conn;
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < SIDE_BY_SIDE / 2; k++)
            set_options(pair->end[i].conn[k]);
}

static uint64_t side_by_side(uint64_t seed, bool long_way, uint64_t *usual)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    uint64_t sum;

    assert_non_null(pair);
    pair->random = seed;
    pair->now = UTCP_SECOND;
    open_pair(pair, seed, long_way);
    for (int i = 0; i < STEPS; i++)
        step(pair);
    sum = pair->digest;
    *usual = 0;
    for (int i = 0; i < 2; i++)
        *usual += pair->end[i].stack->stats.packets_in - pair->end[i].stack->long_in;
    for (int i = 0; i < 2; i++)
        utcp_free(pair->end[i].stack);
    free(pair);
    return sum;
}

static void connections_side_by_side_make_no_difference(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t usual, none, sum = side_by_side(seed, false, &usual);

        assert_int_equal(sum, side_by_side(seed, true, &none));
        assert_int_equal(none, 0);
        assert_in_range(usual, 100, STEPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stream_is_predicted),
        cmocka_unit_test(accurate_ecn_is_predicted),
        cmocka_unit_test(data_both_ways_are_predicted),
        cmocka_unit_test(a_bad_wire_makes_no_difference),
        cmocka_unit_test(every_congestion_control_sees_the_same),
        cmocka_unit_test(narrow_windows_and_little_memory_make_no_difference),
        cmocka_unit_test(merged_segments_make_no_difference),
        cmocka_unit_test(checksums_that_were_verified_make_no_difference),
        cmocka_unit_test(ends_and_options_make_no_difference),
        cmocka_unit_test(the_ends_of_a_server_s_connection_are_predicted),
        cmocka_unit_test(what_is_odd_at_the_ends_makes_no_difference),
        cmocka_unit_test(wrapped_numbers_make_no_difference),
        cmocka_unit_test(connections_side_by_side_make_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
