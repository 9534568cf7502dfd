/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of a stack and its connections without what differs from run to run, for tests that compare two ways
 * to the same end. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <string.h>

#include "utcp_internal.h"

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

/* The same of what is only told. */
static const size_t pointers_told[] = {
    offsetof(struct utcp_more, records),
    offsetof(struct utcp_more, times),
    offsetof(struct utcp_more, arrivals),
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

static uint64_t digest_told(uint64_t sum, const struct utcp_more *more)
{
    uint8_t copy[sizeof(*more)];

    memcpy(copy, more, sizeof(copy));
    for (size_t i = 0; i < sizeof(pointers_told) / sizeof(pointers_told[0]); i++)
        memset(copy + pointers_told[i], 0, sizeof(void *));
    return digest(sum, copy, sizeof(copy));
}

struct snapshot {
    uint8_t conn[sizeof(struct utcp_conn)]; /* the first */
    uint64_t behind;                        /* what its pointers lead to */
    uint64_t stack;
};

static void take_connection(const struct utcp_conn *conn, struct snapshot *snapshot)
{
    const struct utcp_ranges *pending = &conn->receive.pending;
    bool lists[2];

    memcpy(snapshot->conn, conn, sizeof(*conn));
    if (conn->accurate) /* else there is none: what is there are numbers */
        memset(snapshot->conn + offsetof(struct utcp_conn, ecn.bytes), 0, sizeof(conn->ecn.bytes));
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
        memset(snapshot->conn + pointers[i].offset, 0, pointers[i].size);
    /* What is left of `few` when `many` are used, or ranges are gone, is nobody's. */
    memset(snapshot->conn + offsetof(struct utcp_conn, board.few), 0, sizeof(conn->board.few));
    lists[0] = list_empty(&conn->output_link);
    lists[1] = list_empty(&conn->link);
    snapshot->behind = digest(0, lists, sizeof(lists));
    snapshot->behind = digest_scoreboard(snapshot->behind, conn);
    if (conn->more)
        snapshot->behind = digest_told(snapshot->behind, conn->more);
    if (conn->accurate && conn->ecn.bytes)
        snapshot->behind =
            digest(snapshot->behind, conn->ecn.bytes, offsetof(struct utcp_ecn_bytes, told));
    if (pending->count)
        snapshot->behind =
            digest(snapshot->behind, pending->at, pending->count * sizeof(pending->at[0]));
}

static void take_snapshot(const struct utcp *stack, struct snapshot *snapshot)
{
    const struct utcp_conn *conn = list_member(stack->all.next, struct utcp_conn, all_link);

    *snapshot = (struct snapshot){0};
    snapshot->stack = digest(0, &stack->stats, sizeof(stack->stats));
    snapshot->stack = digest(snapshot->stack, &stack->pool.used, sizeof(stack->pool.used));
    snapshot->stack = digest(snapshot->stack, &stack->reply_count, sizeof(stack->reply_count));
    snapshot->stack = digest(snapshot->stack, stack->wheel.occupied, sizeof(stack->wheel.occupied));
    if (!list_empty(&stack->all))
        take_connection(conn, snapshot);
}

#endif
