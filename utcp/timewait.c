/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections in TIME-WAIT that nobody holds, which are most of those that a server has whose answers end
 * with its FIN. What there is left to do for one is so little that its struct utcp_conn, eight times as
 * large, goes when nothing is left to say but the last acknowledgment, and what remains is an entry of a table
 * (timewait_table.h), of which that acknowledgment is built: the numbers that a segment is judged by, and
 * what an answer is made of. A connection that its program still holds, or that is traced, or has more to
 * say, stays whole until that is over, and so does one for which there is no memory.
 *
 * What a segment for such an entry meets are the steps of input.c, as far as they can do something in
 * TIME-WAIT: all is acknowledged, nothing is taken, so what is left are answers, a FIN that comes again,
 * and the ways out. On the wire there is no difference, which test_timewait shows by the two side by side.
 * Answers are among the replies of the stack (struct utcp_reply), one for all that came before the next
 * output; they are made when they leave. */
#include "build.h"
#include "options/options.h"
#include "utcp_internal.h"

/* Ends are at ticks of the wheel, as those of all other timers: programs are not woken for each. */
static uint64_t at_tick(uint64_t us)
{
    const uint64_t tick = UINT64_C(1) << WHEEL_TICK_BITS;

    return us > UINT64_MAX - tick ? us : (us + tick - 1) & ~(tick - 1);
}

/* ── Out of a connection, and back ─────────────────────────────────────────────────────────── */

static inline __attribute__((always_inline)) void keep(const struct utcp_conn *restrict conn,
                                                       struct utcp_time_wait *restrict wait)
{
    uint32_t next = utcp__rcv_nxt(conn);
    uint32_t window = utcp__window(conn, next) >> conn->receive_scale;
    uint32_t marks =
        conn->accurate ? UTCP_ACE_INITIAL + conn->ecn.marked_in : conn->ecn.on && conn->ce;

    wait->snd_nxt = conn->snd_max;
    wait->rcv_nxt = next;
    wait->snd_wnd_max = conn->snd_wnd_max;
    wait->irs = conn->irs;
    wait->rcv_adv = conn->rcv_adv;
    wait->ts_recent = conn->ts_recent;
    wait->ts_offset = conn->ts_offset;
    wait->iss = conn->iss;
    wait->challenge_until = conn->challenge_until;
    wait->ts_recent_at = (uint32_t)(conn->ts_recent_at / UTCP_SECOND);
    wait->challenges = conn->challenges;
    wait->bytes_in_high = (uint16_t)(conn->receive.next >> 32);
    wait->bytes_out_high = (uint16_t)(conn->send.una >> 32);
    wait->window = (uint16_t)min_u32(window, UINT16_MAX);
    wait->ip_id = conn->ip_id;
    wait->receive_scale = conn->receive_scale;
    wait->dscp = conn->dscp;
    wait->hop_limit = conn->hop_limit;
    wait->timestamps = conn->timestamps;
    wait->sack = conn->sack;
    wait->ace = marks & 7;
    wait->accurate = conn->accurate;
    wait->knocked = conn->knocked;
    wait->duplicate_due = false;
    wait->answer_due = false;
    wait->duplicate = (struct utcp_sack_block){0};
}

/* It has nothing more to say than an ACK like most, if that. */
static bool is_through(const struct utcp_conn *conn)
{
    return conn->state == UTCP_TIME_WAIT && utcp__orphan(conn) && !conn->traced &&
           !conn->report.duplicate_due && !conn->duplicate_acks_due && conn->ecn.flips == 0 &&
           !conn->timeout_due;
}

/* An entry in its stead; NULL: there is no place. Inlined where it is said last. */
static inline __attribute__((always_inline)) struct utcp_time_wait *replace(struct utcp_conn *conn)
{
    struct utcp *stack = conn->stack;
    struct utcp_time_wait *wait;

    wait = utcp__waits_add(&stack->waits, &conn->local, &conn->remote, conn->hash,
                           at_tick(conn->deadline[TIMER_LIFE]));
    if (wait == NULL)
        return NULL;
    keep(conn, wait);
    utcp__conn_replaced(conn);
    return wait;
}

bool utcp__time_wait_take(struct utcp_conn *conn)
{
    return is_through(conn) && !conn->ack_now && conn->last_ack == utcp__rcv_nxt(conn) &&
           replace(conn);
}

void utcp__time_wait_show(const struct utcp *stack, const struct utcp_time_wait *wait,
                          struct utcp_conn *conn)
{
    *conn = (struct utcp_conn){
        .stack = (struct utcp *)stack,
        .local = wait->local,
        .remote = wait->remote,
        .hash = wait->hash,
        .state = UTCP_TIME_WAIT,
        .timestamps = wait->timestamps,
        .sack = wait->sack,
        .snd_una = wait->snd_nxt,
        .snd_nxt = wait->snd_nxt,
        .snd_max = wait->snd_nxt,
        .snd_wnd_max = wait->snd_wnd_max,
        .iss = wait->iss,
        .irs = wait->irs,
        .rcv_adv = wait->rcv_adv,
        .last_ack = wait->rcv_nxt,
        .ts_recent = wait->ts_recent,
        .ts_offset = wait->ts_offset,
        .ts_recent_at = wait->ts_recent_at * UTCP_SECOND,
        .receive_scale = wait->receive_scale,
        .peer_fin_taken = true,
        .fin_queued = true,
        .fin_acked = true,
        .ip_id = wait->ip_id,
        .dscp = wait->dscp,
        .hop_limit = wait->hop_limit,
        .report = {.duplicate_due = wait->duplicate_due, .duplicate = wait->duplicate},
        .cc = {.ops = stack->congestion},
    };
    /* The SYN and the FIN are no bytes. */
    conn->receive.next = (uint64_t)wait->bytes_in_high << 32 | (wait->rcv_nxt - wait->irs - 2);
    conn->receive.read = conn->receive.next;
    conn->send.una = (uint64_t)wait->bytes_out_high << 32 | (wait->snd_nxt - wait->iss - 2);
    conn->send.end = conn->send.una;
}

/* ── The end ───────────────────────────────────────────────────────────────────────────────── */

/* Not inlined: it needs a stack, and mostly there is nobody to tell. */
static __attribute__((noinline)) void remove_and_tell(struct utcp *stack,
                                                      struct utcp_time_wait *wait)
{
    const struct utcp_endpoint local = wait->local, remote = wait->remote;

    utcp__waits_remove(&stack->waits, wait);
    stack->gone(stack->gone_context, &local, &remote);
}

static inline void end(struct utcp *stack, struct utcp_time_wait *wait)
{
    PROBE_STATE(wait, UTCP_TIME_WAIT, UTCP_CLOSED);
    stack->stats.time_wait--;
    stack->connections--;
    if (stack->gone)
        remove_and_tell(stack, wait);
    else
        utcp__waits_remove(&stack->waits, wait);
}

void utcp__time_wait_end(struct utcp *stack, struct utcp_time_wait *wait)
{
    end(stack, wait);
}

void utcp__time_wait_expire(struct utcp *stack)
{
    while (stack->waits.due <= stack->now)
        end(stack, utcp__waits_first(&stack->waits));
}

/* ── Answers ───────────────────────────────────────────────────────────────────────────────── */

static void answer(struct utcp *stack, struct utcp_time_wait *wait)
{
    struct utcp_reply *reply;

    if (wait->answer_due || (reply = utcp__reply_place(stack)) == NULL)
        return;
    *reply = (struct utcp_reply){.time_wait = true, .number = wait->number};
    wait->answer_due = true;
}

static void challenge(struct utcp *stack, struct utcp_time_wait *wait)
{
    if (utcp__challenge_allowed(stack, &wait->challenge_until, &wait->challenges))
        answer(stack, wait);
}

/* It was sent as `wait` says. */
static void answered(struct utcp_time_wait *wait)
{
    uint32_t edge = wait->rcv_nxt + ((uint32_t)wait->window << wait->receive_scale);

    wait->answer_due = false;
    wait->duplicate_due = false;
    wait->ip_id++;
    if (seq_before(wait->rcv_adv, edge))
        wait->rcv_adv = edge;
}

/* An ACK without anything to tell but that, of an entry that is `usual`: of IPv4, with timestamps. Inlined, where
 * the compiler knows it. */
static inline __attribute__((always_inline)) void
build(struct utcp *stack, const struct utcp_time_wait *wait, uint8_t *packet, uint32_t length,
      struct utcp_offload *offload, const bool usual)
{
    const uint8_t family = usual ? 4 : wait->local.family;
    const bool stamped = usual || wait->timestamps;
    const struct utcp_outgoing outgoing = {
        .local = &wait->local,
        .remote = &wait->remote,
        .seq = wait->snd_nxt,
        .ack = wait->rcv_nxt,
        .window = wait->window,
        .ip_id = wait->ip_id,
        .flags = (uint16_t)(TCP_ACK | wait->ace << TCP_ACE_SHIFT),
        .dscp = wait->dscp,
        .hop_limit = wait->hop_limit,
        .options_length = stamped ? UTCP_OPTIONS_USUAL : 0,
    };
    uint8_t *at = utcp__packet_build(packet, &outgoing);

    if (stamped)
        utcp__timestamps_put(at, (uint32_t)stack->now_ms + wait->ts_offset, wait->ts_recent);
    if (stack->offloads & UTCP_OFFLOAD_CHECKSUM)
        utcp__packet_offload(family, offload);
    else
        utcp__packet_checksum(packet, family, length);
}

/* Says the last, and puts an entry in the connection's stead. */
static inline __attribute__((always_inline)) enum utcp_last_words
say(struct utcp_conn *conn, const struct utcp_sink *sink, const bool usual)
{
    struct utcp *stack = conn->stack;
    struct utcp_offload offload = {0};
    uint32_t length = usual ? utcp__packet_headers(4) + UTCP_OPTIONS_USUAL
                            : utcp__packet_headers(conn->local.family) + utcp__options_size(conn);
    uint8_t *packet = sink->reserve(sink->context, length);
    struct utcp_time_wait *wait;

    if (packet == NULL)
        return LAST_WORDS_FULL;
    wait = replace(conn);
    if (wait == NULL)
        return LAST_WORDS_OTHERS;
    build(stack, wait, packet, length, &offload, usual);
    sink->commit(sink->context, length, &offload);
    stack->stats.packets_out++;
    answered(wait);
    return LAST_WORDS_SAID;
}

static __attribute__((noinline)) enum utcp_last_words say_any(struct utcp_conn *conn,
                                                              const struct utcp_sink *sink)
{
    return say(conn, sink, false);
}

enum utcp_last_words utcp__time_wait_last_words(struct utcp_conn *conn,
                                                const struct utcp_sink *sink)
{
    if (!conn->ack_now || !is_through(conn))
        return LAST_WORDS_OTHERS;
    if (conn->local.family == 4 && conn->timestamps)
        return say(conn, sink, true);
    return say_any(conn, sink);
}

bool utcp__time_wait_answer(struct utcp *stack, struct utcp_reply *reply)
{
    const struct utcp_time_wait *wait = utcp__waits_at(&stack->waits, reply->number);
    struct utcp_conn shown;

    if (wait == NULL || !wait->answer_due)
        return false;
    utcp__time_wait_show(stack, wait, &shown);
    reply->local = wait->local;
    reply->remote = wait->remote;
    reply->seq = wait->snd_nxt;
    reply->ack = wait->rcv_nxt;
    reply->window = wait->window;
    reply->flags = (uint16_t)(TCP_ACK | wait->ace << TCP_ACE_SHIFT);
    reply->dscp = wait->dscp;
    reply->hop_limit = wait->hop_limit;
    reply->ip_id = wait->ip_id;
    reply->options_length = utcp__options_write(&shown, TCP_ACK, UTCP_OPTIONS_MAX, reply->options);
    return true;
}

void utcp__time_wait_answered(struct utcp *stack, const struct utcp_reply *reply)
{
    answered(utcp__waits_at(&stack->waits, reply->number));
}

/* ── Segments ──────────────────────────────────────────────────────────────────────────────── */

/* RFC 2883: the sequence numbers from start up to end came again. */
static void note_duplicate(struct utcp_time_wait *wait, uint32_t start, uint32_t end)
{
    if (!wait->sack || start == end)
        return;
    wait->duplicate = (struct utcp_sack_block){start, end};
    wait->duplicate_due = true;
}

static bool refuse(struct utcp *stack, struct utcp_time_wait *wait,
                   const struct utcp_segment *segment)
{
    uint32_t next = wait->rcv_nxt, end = segment->seq + segment->length;

    UTCP_DROP(stack, NULL, dropped_unacceptable);
    if (segment->length && seq_before(segment->seq, next))
        note_duplicate(wait, segment->seq, seq_before(end, next) ? end : next);
    if (utcp__segment_size(segment))
        answer(stack, wait);
    else
        challenge(stack, wait);
    return false;
}

static bool timestamp_good(struct utcp *stack, struct utcp_time_wait *wait,
                           const struct utcp_segment *segment)
{
    uint64_t age = stack->now - wait->ts_recent_at * UTCP_SECOND;

    if (!wait->timestamps || segment->flags & TCP_RST)
        return true;
    if (!segment->options.has_timestamps) {
        UTCP_DROP(stack, NULL, dropped_unacceptable);
        return false;
    }
    return utcp__too_old(segment, wait->ts_recent, age) ? refuse(stack, wait, segment) : true;
}

static bool ack_possible(const struct utcp_time_wait *wait, const struct utcp_segment *segment)
{
    return utcp__ack_possible(segment->ack, wait->snd_nxt, wait->snd_nxt, wait->snd_wnd_max);
}

static void note_timestamp(struct utcp *stack, struct utcp_time_wait *wait,
                           const struct utcp_segment *segment)
{
    if (!wait->timestamps || !segment->options.has_timestamps || segment->flags & TCP_RST ||
        !seq_up_to(segment->seq, wait->rcv_nxt) ||
        (segment->flags & TCP_ACK && !ack_possible(wait, segment)))
        return;
    wait->ts_recent = segment->options.ts_value;
    wait->ts_recent_at = (uint32_t)(stack->now / UTCP_SECOND);
}

/* What came before is told, what lies beyond the window is answered. */
static void trim(struct utcp *stack, struct utcp_time_wait *wait, struct utcp_segment *segment)
{
    uint32_t next = wait->rcv_nxt, old = 0, room;

    if (segment->flags & TCP_SYN)
        return;
    if (seq_before(segment->seq, next)) {
        old = min_u32(next - segment->seq, segment->length);
        note_duplicate(wait, segment->seq, segment->seq + old);
        answer(stack, wait);
    }
    segment->seq += old;
    segment->length -= old;
    room = seq_before(segment->seq, wait->rcv_adv) ? wait->rcv_adv - segment->seq : 0;
    if (segment->length > room)
        answer(stack, wait);
}

/* First: the sequence number. The peer's FIN, when it comes again, starts the time anew. */
static bool step_sequence(struct utcp *stack, struct utcp_time_wait *wait,
                          struct utcp_segment *segment)
{
    if (!timestamp_good(stack, wait, segment))
        return false;
    if (!utcp__in_window(segment, wait->rcv_nxt, wait->rcv_adv)) {
        if (segment->flags & TCP_RST) {
            UTCP_DROP(stack, NULL, dropped_unacceptable);
            return false;
        }
        if (segment->flags & TCP_FIN && segment->seq + utcp__segment_size(segment) == wait->rcv_nxt)
            utcp__waits_put_off(&stack->waits, wait, at_tick(stack->now + stack->time_wait_us));
        return refuse(stack, wait, segment);
    }
    note_timestamp(stack, wait, segment);
    if (wait->accurate && segment->ecn == IP_ECN_CE)
        wait->ace = (wait->ace + 1) & 7;
    trim(stack, wait, segment);
    return true;
}

/* Second, RST; fourth, SYN; fifth, ACK. Then there is nothing more to do. */
static void steps(struct utcp *stack, struct utcp_time_wait *wait, struct utcp_segment *segment)
{
    if (!step_sequence(stack, wait, segment))
        return;
    if (segment->flags &
        TCP_RST) { /* RFC 1337, and why one is believed: input.c, ends_time_wait() */
        if (wait->knocked && segment->seq == wait->rcv_nxt)
            utcp__time_wait_end(stack, wait);
        return;
    }
    if (!(segment->flags & TCP_SYN) && segment->flags & TCP_ACK && ack_possible(wait, segment))
        return;
    UTCP_DROP(stack, NULL, dropped_unacceptable);
    if (segment->flags & (TCP_SYN | TCP_ACK)) /* RFC 5961 sections 4.2 and 5.2 */
        challenge(stack, wait);
}

/* While cookies come from elsewhere: true when the segment is done with. */
static bool cookie_settles(struct utcp *stack, struct utcp_time_wait *wait,
                           struct utcp_listener *listener, const struct utcp_segment *segment)
{
    struct utcp_conn shown;

    utcp__time_wait_show(stack, wait, &shown);
    switch (utcp__cookie_displaces(&shown, segment)) {
    case UTCP_COOKIE_REFUSED: return true;
    case UTCP_COOKIE_DISPLACES:
        utcp__time_wait_end(stack, wait);
        utcp__input_listen(stack, listener, segment, 0);
        return true;
    default: return false;
    }
}

void utcp__time_wait_input(struct utcp *stack, struct utcp_time_wait *wait,
                           struct utcp_segment *segment)
{
    struct utcp_listener *listener = utcp__find_listener(stack, &wait->local);
    uint32_t end = wait->snd_nxt;

    if (listener && utcp__newer_syn(segment, wait->rcv_nxt, wait->timestamps, wait->ts_recent)) {
        utcp__time_wait_end(stack, wait);
        utcp__input_listen(stack, listener, segment, end);
        return;
    }
    if (listener && stack->cookies_elsewhere && cookie_settles(stack, wait, listener, segment))
        return;
    wait->knocked |= listener && (segment->flags & (TCP_SYN | TCP_RST)) == TCP_SYN;
    steps(stack, wait, segment);
}
