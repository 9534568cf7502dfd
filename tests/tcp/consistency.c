/* SPDX-License-Identifier: BSD-2-Clause */
/* What must hold between two calls into libutcp: consistency.h. */
#include <assert.h>

#include "consistency.h"
#include "utcp_internal.h"

static uint32_t list_length(const struct list *head)
{
    uint32_t length = 0;

    for (const struct list *link = head->next; link != head; link = link->next) {
        assert(link->next->previous == link);
        length++;
    }
    return length;
}

/* The scoreboard covers all that is unacknowledged, and its sums are right. */
static void assert_scoreboard(const struct utcp_conn *conn)
{
    const struct utcp_scoreboard *board = &conn->board;
    const struct utcp_sent *at = (board->many ? board->many : board->few) + board->first;
    uint32_t next = conn->snd_una, sacked = 0, lost = 0;

    assert(board->count <= UTCP_SENT_MAX);
    if (!conn->sack || !utcp__synchronized(conn))
        return;
    for (uint32_t i = 0; i < board->count; i++) {
        assert(at[i].start == next && seq_before(at[i].start, at[i].end));
        assert(!(at[i].flags & SENT_SACKED) || !(at[i].flags & SENT_LOST));
        next = at[i].end;
        sacked += at[i].flags & SENT_SACKED ? at[i].end - at[i].start : 0;
        lost += at[i].flags & SENT_LOST ? at[i].end - at[i].start : 0;
        assert(!(at[i].flags & SENT_LOST) || !seq_before(at[i].start, board->lost_from));
    }
    assert(next == conn->snd_max && sacked == board->sacked && lost == board->lost);
}

static void assert_sequences(const struct utcp_conn *conn)
{
    uint32_t flight = conn->snd_max - conn->snd_una;
    uint64_t buffered = conn->send.end - conn->send.una;

    assert(seq_up_to(conn->snd_una, conn->snd_nxt));
    assert(seq_up_to(conn->snd_nxt, conn->snd_max));
    assert(seq_up_to(conn->small_end, conn->snd_max));
    assert(conn->restless || utcp__calm(conn));
    if (!utcp__synchronized(conn) || conn->state == UTCP_TIME_WAIT)
        return;
    assert_scoreboard(conn);
    assert(flight <= buffered + (conn->fin_queued && !conn->fin_acked));
    assert(conn->snd_una == (uint32_t)(conn->iss + 1 + conn->send.una + conn->fin_acked));
    assert(seq_up_to(utcp__rcv_nxt(conn), conn->rcv_adv + 1));
    assert(conn->mss > 0 && conn->cc.cwnd >= conn->mss / 2 &&
           conn->recovery.extra <= UINT32_MAX / 2);
}

static void assert_states(const struct utcp_conn *conn)
{
    bool closing = conn->state == UTCP_FIN_WAIT_1 || conn->state == UTCP_CLOSING ||
                   conn->state == UTCP_LAST_ACK;
    bool peer_done = conn->state == UTCP_CLOSE_WAIT || conn->state == UTCP_LAST_ACK ||
                     conn->state == UTCP_CLOSING || conn->state == UTCP_TIME_WAIT;

    assert(conn->in_table == (conn->state != UTCP_CLOSED));
    assert(conn->owned || conn->in_table || conn->listener); /* else nobody would free it */
    assert(!conn->fast_queue || conn->state == UTCP_SYN_RECEIVED);
    if (conn->state != UTCP_CLOSED) {
        assert(conn->peer_fin_taken == peer_done);
        assert(!closing || (conn->fin_queued && !conn->fin_acked));
        /* utcp__take_closing(): between the handshake and TIME-WAIT no other state is like that. */
        assert(conn->state < UTCP_ESTABLISHED || !conn->fin_queued || conn->fin_acked || closing);
        assert(!conn->peer_fin_taken || conn->peer_fin_known);
    } else {
        assert(conn->send.una == conn->send.end);
        assert(conn->wheel_timer.tick == WHEEL_IDLE);
    }
    if (conn->listener)
        assert(!conn->owned && !list_empty(&conn->link));
    assert(!(conn->timed || conn->arrivals) || (conn->more && !conn->listener));
    if (conn->state == UTCP_TIME_WAIT || (conn->state == UTCP_FIN_WAIT_2 && utcp__orphan(conn)))
        assert(utcp__timer_runs(conn, TIMER_LIFE));
    if (conn->events && conn->owned)
        assert(!list_empty(&conn->link));
}

/* A connection that waits for something from the peer has a timer, or is about to send. */
static void assert_alive(const struct utcp_conn *conn)
{
    bool waits = conn->send.una != conn->send.end || (conn->fin_queued && !conn->fin_acked) ||
                 conn->state == UTCP_SYN_SENT || conn->state == UTCP_SYN_RECEIVED;

    if (conn->state == UTCP_CLOSED || conn->state == UTCP_TIME_WAIT || !waits || conn->cork)
        return;
    if (conn->held) { /* for the listener's owner, who has asked for it */
        assert(conn->listener && conn->state == UTCP_SYN_RECEIVED && !conn->syn_due);
        return;
    }
    assert(utcp__timer_runs(conn, TIMER_RETRANSMIT) || utcp__timer_runs(conn, TIMER_PACE) ||
           !list_empty(&conn->output_link));
}

/* Its place on the wheel is not behind its first timer's tick, or output finds it one. */
static void assert_timers(const struct utcp_conn *conn)
{
    const struct utcp_wheel_timer *place = &conn->wheel_timer;
    uint64_t next = conn->stack->wheel.hand + 1;

    for (int timer = 0; timer < TIMERS && list_empty(&conn->output_link); timer++) {
        uint64_t tick = (conn->deadline[timer] >> WHEEL_TICK_BITS) + 1;

        assert(!utcp__timer_runs(conn, timer) || place->tick <= tick || place->tick <= next);
    }
}

static uint64_t blocks_of(const struct utcp_conn *conn)
{
    uint64_t blocks = conn->receive.held;

    for (const struct utcp_chunk *chunk = conn->send.first; chunk; chunk = chunk->next)
        blocks += chunk->copied;
    return blocks;
}

static uint32_t open_early(const struct utcp *stack, const struct utcp_fast_queue *queue)
{
    uint32_t count = 0;

    for (struct list *link = stack->all.next; link != &stack->all; link = link->next)
        count += list_member(link, struct utcp_conn, all_link)->fast_queue == queue;
    return count;
}

/* What leads to blocks, and is counted with them. */
static uint64_t leading_of(const struct utcp_conn *conn)
{
    return utcp__recvbuf_ring_bytes(&conn->receive) +
           conn->receive.pending.capacity * sizeof(*conn->receive.pending.at) +
           conn->board.capacity * sizeof(*conn->board.many) + utcp__records_size(conn) +
           utcp__times_size(conn);
}

/* Each is found, stands in its queue's order, and the table counts and tells of what there is. */
static void assert_waits(const struct utcp *stack)
{
    const struct utcp_time_waits *waits = &stack->waits;
    uint32_t count = 0, used = 0;
    uint64_t due = UINT64_MAX;

    for (int i = 0; i < TIME_WAIT_QUEUES; i++) {
        const struct utcp_time_wait_queue *queue = &waits->queues[i];
        uint32_t previous = TIME_WAIT_NONE, number = queue->first;
        uint64_t expires = 0;

        while (number != TIME_WAIT_NONE) {
            const struct utcp_time_wait *wait = utcp__waits_at(waits, number);

            assert(wait && wait->number == number && wait->queue == i);
            assert(wait->previous == previous && wait->expires >= expires);
            assert(utcp__find_waiting(stack, &wait->local, &wait->remote) == wait);
            assert(utcp__look_up(stack, &wait->local, &wait->remote) == NULL);
            if (previous == TIME_WAIT_NONE)
                assert(queue->due == wait->expires);
            previous = number;
            expires = wait->expires;
            number = wait->next;
            count++;
        }
        assert(queue->last == previous && queue->end == expires);
        assert(queue->first != TIME_WAIT_NONE || queue->due == UINT64_MAX);
        due = queue->due < due ? queue->due : due;
    }
    for (uint32_t i = 0; i < waits->index_size; i++)
        used += waits->index[i].number != TIME_WAIT_NONE;
    assert(count == waits->count && used == count && waits->due == due);
}

void assert_consistent(const struct utcp *stack)
{
    uint64_t blocks = 0, leading = 0, time_wait = 0;
    uint32_t in_table = 0;

    assert(list_empty(&stack->dead));
    for (struct list *link = stack->all.next; link != &stack->all; link = link->next) {
        const struct utcp_conn *conn = list_member(link, struct utcp_conn, all_link);

        assert_states(conn);
        assert_alive(conn);
        assert_timers(conn);
        assert_sequences(conn);
        blocks += blocks_of(conn);
        leading += leading_of(conn);
        assert(conn->receive.pending.count == 0 || !list_empty(&conn->scattered_link) ||
               conn->state == UTCP_CLOSED);
        time_wait += conn->state == UTCP_TIME_WAIT;
        in_table += conn->in_table;
        if (conn->in_table)
            assert(utcp__look_up(stack, &conn->local, &conn->remote) == conn);
    }
    for (struct list *link = stack->listeners.next; link != &stack->listeners; link = link->next) {
        const struct utcp_listener *listener = list_member(link, struct utcp_listener, link);

        assert(listener->pending ==
               list_length(&listener->half_open) + list_length(&listener->ready));
        assert(listener->pending <= 2 * listener->backlog);
        assert(listener->acceptable == list_length(&listener->ready));
        assert(!listener->fast || listener->fast->pending == open_early(stack, listener->fast));
    }
    assert(stack->pool.used == blocks * POOL_BLOCK_SIZE + leading);
    assert_waits(stack);
    assert(stack->stats.time_wait == time_wait + stack->waits.count);
    assert(stack->connections == in_table + stack->waits.count);
    assert(stack->connections <= stack->connections_max);
    list_length(&stack->output);
}
