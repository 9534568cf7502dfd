/* SPDX-License-Identifier: BSD-2-Clause */
/* Header prediction (input.c) is a short cut and no second TCP: the same traffic, with it and without,
 * leaves the same state behind after every single packet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulator.h"
#include "utcp_internal.h"

#define MINUTE UINT64_C(60000000)

/* ── State, without what differs from run to run ───────────────────────────────────────────── */

/* Where memory lies. What is there is looked at below. */
static const struct hidden {
    size_t offset, size;
} pointers[] = {
    {offsetof(struct utcp_conn, chain), sizeof(void *)},
    {offsetof(struct utcp_conn, stack), sizeof(void *)},
    {offsetof(struct utcp_conn, receive.blocks), sizeof(void *)},
    {offsetof(struct utcp_conn, receive.pending.at), sizeof(void *)},
    {offsetof(struct utcp_conn, output_link), sizeof(struct list)},
    {offsetof(struct utcp_conn, link), sizeof(struct list)},
    {offsetof(struct utcp_conn, user), sizeof(void *)},
    {offsetof(struct utcp_conn, send.first), 3 * sizeof(void *)},
    {offsetof(struct utcp_conn, wheel_timer.link), sizeof(struct list)},
    {offsetof(struct utcp_conn, listener), sizeof(void *)},
    {offsetof(struct utcp_conn, control.rate), sizeof(void *)},
    {offsetof(struct utcp_conn, cc.ops), sizeof(void *)},
    {offsetof(struct utcp_conn, board.many), sizeof(void *)},
    {offsetof(struct utcp_conn, undo.resent), sizeof(void *)},
    {offsetof(struct utcp_conn, scattered_link), sizeof(struct list)},
    {offsetof(struct utcp_conn, all_link), sizeof(struct list)},
    {offsetof(struct utcp_conn, fast_queue), sizeof(void *)},
    {offsetof(struct utcp_conn, more), sizeof(void *)},
};

/* FNV-1a. */
static uint64_t digest(uint64_t sum, const void *data, size_t size)
{
    const uint8_t *at = data;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t digest_scoreboard(uint64_t sum, const struct utcp_conn *conn)
{
    const struct utcp_scoreboard *board = &conn->board;
    const struct utcp_sent *sent = (board->many ? board->many : board->few) + board->first;

    return digest(sum, sent, board->count * sizeof(*sent));
}

struct snapshot {
    uint8_t conn[sizeof(struct utcp_conn)]; /* the first */
    uint64_t behind;                        /* what its pointers lead to */
    uint64_t stack;
};

static void take_snapshot(const struct utcp *stack, struct snapshot *snapshot)
{
    const struct utcp_conn *conn = list_member(stack->all.next, struct utcp_conn, all_link);
    const struct utcp_ranges *pending = &conn->receive.pending;
    bool lists[2];

    *snapshot = (struct snapshot){0};
    snapshot->stack = digest(0, &stack->stats, sizeof(stack->stats));
    snapshot->stack = digest(snapshot->stack, &stack->pool.used, sizeof(stack->pool.used));
    snapshot->stack = digest(snapshot->stack, &stack->reply_count, sizeof(stack->reply_count));
    snapshot->stack = digest(snapshot->stack, stack->wheel.occupied, sizeof(stack->wheel.occupied));
    if (list_empty(&stack->all))
        return;
    memcpy(snapshot->conn, conn, sizeof(*conn));
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
        memset(snapshot->conn + pointers[i].offset, 0, pointers[i].size);
    /* What is left of `few` when `many` are used, or ranges are gone, is nobody's. */
    memset(snapshot->conn + offsetof(struct utcp_conn, board.few), 0, sizeof(conn->board.few));
    lists[0] = list_empty(&conn->output_link);
    lists[1] = list_empty(&conn->link);
    snapshot->behind = digest(0, lists, sizeof(lists));
    snapshot->behind = digest_scoreboard(snapshot->behind, conn);
    if (conn->more)
        snapshot->behind = digest(snapshot->behind, conn->more, sizeof(*conn->more));
    if (pending->count)
        snapshot->behind =
            digest(snapshot->behind, pending->at, pending->count * sizeof(pending->at[0]));
}

/* ── Two runs ──────────────────────────────────────────────────────────────────────────────── */

#define SNAPSHOTS_MAX 4000

struct recording {
    struct snapshot *at;
    unsigned count;
};

static void record(void *context, const struct utcp *stack)
{
    struct recording *recording = context;

    if (recording->count < SNAPSHOTS_MAX)
        take_snapshot(stack, &recording->at[recording->count++]);
}

static struct recording run(struct sim_config config, bool long_way, uint64_t *usual, uint64_t *all)
{
    struct recording recording = {calloc(SNAPSHOTS_MAX, sizeof(struct snapshot)), 0};
    struct sim *sim;

    assert_non_null(recording.at);
    config.watch = record;
    config.watch_context = &recording;
    sim = sim_new(&config);
    *usual = *all = 0;
    for (int i = 0; i < 2; i++)
        sim_stack(sim, i)->long_way = long_way;
    assert_true(sim_run(sim, 120 * MINUTE));
    for (int i = 0; i < 2; i++) {
        *usual += sim_stack(sim, i)->usual_in;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_stream_is_predicted),
        cmocka_unit_test(data_both_ways_are_predicted),
        cmocka_unit_test(a_bad_wire_makes_no_difference),
        cmocka_unit_test(every_congestion_control_sees_the_same),
        cmocka_unit_test(narrow_windows_and_little_memory_make_no_difference),
        cmocka_unit_test(merged_segments_make_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
