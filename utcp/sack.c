/* SPDX-License-Identifier: BSD-2-Clause */
/* The scoreboard: sack.h. What came by SACK is believed as far as it makes sense (RFC 2018 section
 * 8: until a timeout shows that the peer has thrown it away). */
#include <stdlib.h>
#include <string.h>

#include "steps.h"

#define MANY_FIRST 16

/* ── The array ─────────────────────────────────────────────────────────────────────────────── */

struct utcp_sent *utcp__sent(struct utcp_scoreboard *board, uint32_t index)
{
    return (board->many ? board->many : board->few) + board->first + index;
}

static uint32_t capacity_of(const struct utcp_scoreboard *board)
{
    return board->many ? board->capacity : UTCP_SENT_FEW;
}

/* Room for one more behind the last. */
static bool make_room(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;
    uint32_t capacity = capacity_of(board);
    struct utcp_sent *many;

    if (board->first + board->count < capacity)
        return true;
    if (board->first > capacity / 2 || (board->first && capacity == UTCP_SENT_MAX)) {
        struct utcp_sent *start = utcp__sent(board, 0);

        memmove(start - board->first, start, board->count * sizeof(*start));
        board->first = 0;
        return true;
    }
    if (capacity >= UTCP_SENT_MAX || utcp__pool_full(&conn->stack->pool))
        return false;
    capacity = max_u32(2 * capacity, MANY_FIRST);
    many = malloc(capacity * sizeof(*many));
    if (many == NULL)
        return false;
    memcpy(many, utcp__sent(board, 0), board->count * sizeof(*many));
    free(board->many);
    utcp__pool_count(&conn->stack->pool, board->capacity * sizeof(*many), capacity * sizeof(*many));
    board->many = many;
    board->capacity = capacity;
    board->first = 0;
    return true;
}

static void remove_ranges(struct utcp_scoreboard *board, uint32_t index, uint32_t count)
{
    struct utcp_sent *at = utcp__sent(board, index);

    memmove(at, at + count, (board->count - index - count) * sizeof(*at));
    board->count -= count;
}

/* Range `index` becomes two that meet at `seq`. */
static bool split(struct utcp_conn *conn, uint32_t index, uint32_t seq)
{
    struct utcp_scoreboard *board = &conn->board;
    struct utcp_sent *at;

    if (!make_room(conn))
        return false;
    at = utcp__sent(board, index);
    memmove(at + 1, at, (board->count - index) * sizeof(*at));
    board->count++;
    at[0].end = seq;
    at[1].start = seq;
    return true;
}

/* The first range that ends behind `seq`. */
static uint32_t find(struct utcp_scoreboard *board, uint32_t seq)
{
    uint32_t low = 0, high = board->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (seq_up_to(utcp__sent(board, middle)->end, seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void utcp__sack_emptied(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;

    board->first = board->count = 0;
    if (board->many == NULL)
        return;
    utcp__pool_count(&conn->stack->pool, board->capacity * sizeof(*board->many), 0);
    free(board->many);
    board->many = NULL;
    board->capacity = 0;
}

void utcp__sack_dispose(struct utcp_conn *conn)
{
    utcp__sack_emptied(conn);
    conn->board.sacked = conn->board.lost = 0;
}

/* ── Sending ───────────────────────────────────────────────────────────────────────────────── */

/* Whether what is sent now may go into a range of that time. The difference stays far below the
 * reordering window, which is a fourth of the least round-trip time; and nothing of another kind was
 * sent in between, for then the order would be wrong, by which losses are found. Only where ranges
 * become scarce, retransmissions are kept less exactly. */
static bool same_time(const struct utcp_conn *conn, uint64_t at, bool again)
{
    const struct utcp_scoreboard *board = &conn->board;
    uint64_t now = conn->stack->now;

    if (now == at)
        return true;
    if (again ? board->count < UTCP_SENT_MAX / 2 : at <= board->again_at)
        return false;
    return now - at <= conn->rack.min_rtt / 32;
}

/* No memory for one more: the last range grows, and what was known of it is forgotten. */
static void append_without_room(struct utcp_conn *conn, uint32_t end)
{
    struct utcp_scoreboard *board = &conn->board;
    struct utcp_sent *last = utcp__sent(board, board->count - 1);

    if (last->flags & SENT_SACKED)
        board->sacked -= last->end - last->start;
    if (last->flags & SENT_LOST)
        board->lost -= last->end - last->start;
    last->flags &= SENT_AGAIN;
    last->at = conn->stack->now;
    last->end = end;
}

void utcp__sack_append_any(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_scoreboard *board = &conn->board;
    uint64_t now = conn->stack->now;
    struct utcp_sent *last;

    last = board->count ? utcp__sent(board, board->count - 1) : NULL;
    if (last && last->flags == 0 && same_time(conn, last->at, false)) {
        last->end = end;
    } else if (make_room(conn)) {
        *utcp__sent(board, board->count++) =
            (struct utcp_sent){.at = now, .start = start, .end = end};
    } else {
        append_without_room(conn, end);
    }
}

static void again(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    struct utcp_scoreboard *board = &conn->board;
    uint64_t now = conn->stack->now;
    uint32_t i = find(board, start);

    board->again_at = now;
    while (i < board->count && seq_before(utcp__sent(board, i)->start, end)) {
        struct utcp_sent *at = utcp__sent(board, i), *before;

        /* Where no range can be split the whole counts as sent again: what was not is found out
         * later, as lost again. */
        if (at->flags & SENT_SACKED || (seq_before(at->start, start) && split(conn, i, start))) {
            i++;
            continue;
        }
        if (seq_before(end, at->end))
            split(conn, i, end);
        at = utcp__sent(board, i);
        if (at->flags & SENT_LOST)
            board->lost -= at->end - at->start;
        at->flags = SENT_AGAIN;
        at->at = now;
        before = i ? at - 1 : NULL;
        if (before && before->flags == SENT_AGAIN && same_time(conn, before->at, true)) {
            before->end = at->end;
            remove_ranges(board, i, 1);
        } else {
            i++;
        }
    }
}

void utcp__sack_sent(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    if (seq_before(start, conn->snd_max))
        again(conn, start, seq_before(end, conn->snd_max) ? end : conn->snd_max);
    if (seq_before(conn->snd_max, end))
        utcp__sack_append(conn, seq_before(start, conn->snd_max) ? conn->snd_max : start, end);
}

/* ── What arrived ──────────────────────────────────────────────────────────────────────────── */

static void deliver(struct utcp_conn *conn, const struct utcp_sent *sent, uint32_t end,
                    struct utcp_delivery *delivery)
{
    uint32_t bytes = end - sent->start;

    delivery->delivered += bytes;
    if (sent->flags & SENT_LOST)
        conn->board.lost -= bytes;
    if (!(sent->flags & SENT_AGAIN) && seq_up_to(end, conn->recovery.recover))
        delivery->original = true;
    utcp__rack_delivered(conn, sent, end, delivery);
}

/* One range, SACKed, instead of `count` from `index` on, and of neighbours that are. */
static void join_sacked(struct utcp_scoreboard *board, uint32_t index, uint32_t count)
{
    uint32_t end = utcp__sent(board, index + count - 1)->end;
    struct utcp_sent *at = utcp__sent(board, index);

    at->end = end;
    at->flags = SENT_SACKED;
    remove_ranges(board, index + 1, count - 1);
    if (index + 1 < board->count && at[1].flags & SENT_SACKED) {
        at->end = at[1].end;
        remove_ranges(board, index + 1, 1);
    }
    if (index && at[-1].flags & SENT_SACKED) {
        at[-1].end = at->end;
        remove_ranges(board, index, 1);
    }
}

static void take_block(struct utcp_conn *conn, uint32_t start, uint32_t end,
                       struct utcp_delivery *delivery)
{
    struct utcp_scoreboard *board = &conn->board;
    uint32_t first = find(board, start), i;

    if (first == board->count)
        return;
    if (seq_before(utcp__sent(board, first)->start, start) &&
        !(utcp__sent(board, first)->flags & SENT_SACKED)) {
        if (!split(conn, first, start)) {
            conn->stack->stats.sack_blocks_ignored++;
            return;
        }
        first++;
    }
    for (i = first; i < board->count && seq_before(utcp__sent(board, i)->start, end); i++) {
        struct utcp_sent *at = utcp__sent(board, i);

        if (at->flags & SENT_SACKED)
            continue;
        if (seq_before(end, at->end) && !split(conn, i, end)) {
            conn->stack->stats.sack_blocks_ignored++;
            break;
        }
        at = utcp__sent(board, i);
        deliver(conn, at, at->end, delivery);
        board->sacked += at->end - at->start;
        at->flags = SENT_SACKED;
        delivery->reported = true;
    }
    if (i > first)
        join_sacked(board, first, i - first);
}

/* RFC 2883 section 5: the first block is about what came twice when it lies below the
 * acknowledgment, or within the second. */
static bool is_duplicate(const struct utcp_segment *segment)
{
    const struct utcp_sack_block *block = segment->options.sack;

    return seq_up_to(block[0].end, segment->ack) ||
           (segment->options.sacks > 1 && seq_up_to(block[1].start, block[0].start) &&
            seq_up_to(block[0].end, block[1].end));
}

void utcp__sack_received(struct utcp_conn *conn, const struct utcp_segment *segment,
                         struct utcp_delivery *delivery)
{
    for (uint8_t i = 0; i < segment->options.sacks; i++) {
        const struct utcp_sack_block *block = &segment->options.sack[i];
        bool sound = seq_before(block->start, block->end) && seq_up_to(block->end, conn->snd_max);

        if (sound && i == 0 && is_duplicate(segment)) {
            if (seq_before(block->start, conn->snd_una - conn->snd_wnd_max)) {
                conn->stack->stats.sack_blocks_ignored++;
                continue;
            }
            UTCP_COUNT(conn, duplicates_told, 1);
            if (utcp__undo_duplicate(conn, block->start, block->end))
                delivery->duplicate = true;
        } else if (sound && !seq_before(block->start, segment->ack)) {
            take_block(conn, block->start, block->end, delivery);
        } else {
            conn->stack->stats.sack_blocks_ignored++;
        }
    }
}

void utcp__sack_acknowledged(struct utcp_conn *conn, struct utcp_delivery *delivery)
{
    struct utcp_scoreboard *board = &conn->board;

    while (board->count) {
        struct utcp_sent *at = utcp__sent(board, 0);
        uint32_t end = seq_before(conn->snd_una, at->end) ? conn->snd_una : at->end;

        if (!seq_before(at->start, conn->snd_una))
            break;
        if (at->flags & SENT_SACKED)
            board->sacked -= end - at->start;
        else
            deliver(conn, at, end, delivery);
        at->start = end;
        if (end != at->end)
            break;
        board->first++;
        board->count--;
    }
    if (board->count == 0)
        utcp__sack_emptied(conn);
}

/* ── Losses ────────────────────────────────────────────────────────────────────────────────── */

void utcp__sack_lose(struct utcp_conn *conn, struct utcp_sent *sent)
{
    struct utcp_scoreboard *board = &conn->board;

    if (sent->flags & (SENT_SACKED | SENT_LOST))
        return;
    sent->flags |= SENT_LOST;
    if (board->lost == 0 || seq_before(sent->start, board->lost_from))
        board->lost_from = sent->start;
    board->lost += sent->end - sent->start;
}

const struct utcp_sent *utcp__sack_first_lost(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;

    if (board->lost == 0)
        return NULL;
    for (uint32_t i = find(board, board->lost_from); i < board->count; i++) {
        const struct utcp_sent *at = utcp__sent(board, i);

        if (at->flags & SENT_LOST) {
            board->lost_from = at->start;
            return at;
        }
    }
    return NULL;
}

void utcp__sack_find_all(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;

    for (uint32_t i = 0; i < board->count; i++)
        utcp__sent(board, i)->flags &= (uint8_t)~SENT_LOST;
    board->lost = 0;
}

void utcp__sack_forget(struct utcp_conn *conn)
{
    struct utcp_scoreboard *board = &conn->board;

    for (uint32_t i = 0; i < board->count; i++)
        utcp__sent(board, i)->flags &= (uint8_t)~SENT_SACKED;
    board->sacked = 0;
}
