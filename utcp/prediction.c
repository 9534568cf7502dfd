/* SPDX-License-Identifier: BSD-2-Clause */
/* Header prediction. Of a connection that has nothing to repair, nearly every segment is the next one in
 * order, or acknowledges more, or both, and has nothing else to say (Van Jacobson, 1990). For such a
 * segment most questions of the steps in input.c have one answer, which a few comparisons give at once;
 * what is left to do is done here, in the order of those steps, with nothing in between that could only
 * find that it has nothing to do.
 *
 * It is a short cut, and no second TCP: whatever is not as predicted goes the long way, which has then
 * seen nothing of it, and test_prediction compares the two, byte by byte of their state, after each
 * packet. So whoever changes what an in-order segment or an acknowledgment does changes it here, too.
 *
 * The packet has the form that nearly all have: no IP options or extension headers, no mark of congestion,
 * of the flags ACK and at most PSH, and of the options none, or, if that was negotiated, a timestamp as
 * RFC 7323 appendix A has it. Then it is known for the steps of RFC 9293 section 3.10.7.4,
 *
 *   first     that the sequence number is the next, what is there fits the window, and the timestamp is not
 *             too old; so nothing is trimmed and nothing answered
 *   second …  that it is neither RST nor SYN, nor URG
 *   fifth     that the acknowledgment is one of what was sent, but not of our FIN, and that there are
 *             data or it is new, so that the segment is no duplicate. Where it is new, by utcp__calm(): that
 *             nothing is lost, was sent again, SACKed or probed for, so that all that is in flight was sent
 *             in its order, once; loss recovery then has nothing to find. Where it is not: that nobody waits
 *             for what that says (a probe that is out, a timeout)
 *   seventh   that data are still taken, by somebody; that no echo of congestion is to be taken back
 *   eighth    that there is no FIN, neither here nor known from before
 *
 * and that nobody traces the connection, or wants to know when its bytes left or came (times.c). */
#include <arpa/inet.h>
#include <string.h>

#include "checksum.h"
#include "options/options.h"
#include "steps.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* What nearly every segment goes through is written so that the compiler needs no stack for it: a function
 * that finds out, calls nothing and ends by calling one that acts. */
#define inlined static inline __attribute__((always_inline))
#define apart   static __attribute__((noinline))

/* ── Form ──────────────────────────────────────────────────────────────────────────────────── */

inlined uint64_t word64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Of the first eight bytes, in one comparison: the version, a header without options, no fragment; and of ECN
 * neither CE nor what differs from it in one bit, ECT(1), for which the long way is good enough. */
inlined bool starts_ipv4(const uint8_t *data)
{
    static const uint8_t mask[8] = {0xff, 1, 0, 0, 0, 0, 0x3f, 0xff}, form[8] = {0x45};

    return (word64(data) & word64(mask)) == word64(form);
}

static_assert((IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET) == 0x3fff && (IP_ECN_CE & 1),
              "in starts_ipv4()");

inlined const struct wire_tcp *read_ipv4(const uint8_t *data, size_t length, uint32_t *left)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;
    uint32_t total = ntohs(ip->total_length);

    *left = total - IPV4_HEADER_MIN;
    return total <= length && ip->protocol == IP_PROTOCOL_TCP && checksum_ipv4_good(data)
               ? (const struct wire_tcp *)(data + IPV4_HEADER_MIN)
               : NULL;
}

inlined const struct wire_tcp *read_ipv6(const uint8_t *data, size_t length, uint32_t *left)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;

    *left = ntohs(ip->payload_length);
    return *left <= length - IPV6_HEADER_SIZE && ip->next_header == IP_PROTOCOL_TCP &&
                   (data[1] >> 4 & 3) != IP_ECN_CE
               ? (const struct wire_tcp *)(data + IPV6_HEADER_SIZE)
               : NULL;
}

/* NULL: it has another form, or is not sound. The fixed header of TCP can be read, and what it says is
 * behind the IP header are *left bytes, which may be fewer, or less than nothing. */
inlined const struct wire_tcp *read_ip(const uint8_t *data, size_t length, uint32_t *left)
{
    if (likely(length >= IPV4_HEADER_MIN + TCP_HEADER_MIN && starts_ipv4(data)))
        return read_ipv4(data, length, left);
    if (length >= IPV6_HEADER_SIZE + TCP_HEADER_MIN && data[0] >> 4 == 6)
        return read_ipv6(data, length, left);
    return NULL;
}

/* A header of so many bytes, and ACK, perhaps PSH: in one comparison. */
inlined bool has_form(const struct wire_tcp *tcp, uint32_t header)
{
    be16 form;

    memcpy(&form, &tcp->data_offset, sizeof(form));
    return (form & htons((uint16_t)~TCP_PSH)) == htons((uint16_t)(header / 4 << 12 | TCP_ACK));
}

static_assert(offsetof(struct wire_tcp, flags) == offsetof(struct wire_tcp, data_offset) + 1,
              "in has_form()");

inlined const uint8_t *options(const struct wire_tcp *tcp)
{
    return (const uint8_t *)(tcp + 1);
}

/* Of a segment with timestamps. */
inlined uint32_t ts_value(const struct wire_tcp *tcp)
{
    return utcp__get_be32(options(tcp) + 4);
}

inlined uint32_t ts_echo(const struct wire_tcp *tcp)
{
    return utcp__get_be32(options(tcp) + 8);
}

/* ── Whose it is ───────────────────────────────────────────────────────────────────────────── */

inlined uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* In both headers: of the peer's endpoint, and of ours. */
inlined uint32_t ports(const struct utcp_conn *conn)
{
    return htonl((uint32_t)conn->remote.port << 16 | conn->local.port);
}

inlined bool is_for_ipv4(const struct utcp_conn *conn, const uint8_t *data)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;

    return ((word(ip->source) ^ word(conn->remote.address)) |
            (word(ip->destination) ^ word(conn->local.address)) |
            (word(data + IPV4_HEADER_MIN) ^ ports(conn)) | (conn->local.family ^ 4u)) == 0;
}

inlined bool is_for_ipv6(const struct utcp_conn *conn, const uint8_t *data)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;

    return word(data + IPV6_HEADER_SIZE) == ports(conn) &&
           memcmp(ip->source, conn->remote.address, 16) == 0 &&
           memcmp(ip->destination, conn->local.address, 16) == 0 && conn->local.family == 6;
}

/* ── Fifth: ACK ────────────────────────────────────────────────────────────────────────────── */

/* The oldest in flight. */
inlined struct utcp_sent *oldest(struct utcp_scoreboard *board)
{
    return (board->many ? board->many : board->few) + board->first;
}

/* The oldest range is acknowledged, and perhaps more are. Returns when the last of them was sent. */
apart uint64_t take_ranges(struct utcp_conn *conn, uint32_t una)
{
    struct utcp_scoreboard *board = &conn->board;
    uint64_t now = conn->stack->now, at;
    struct utcp_sent *sent;

    do {
        sent = oldest(board);
        at = sent->at;
        utcp__rack_measured(conn, now - at);
        if (seq_before(una, sent->end)) {
            sent->start = una;
            return at;
        }
        board->first++;
    } while (--board->count && sent->end != una);
    if (board->count == 0)
        utcp__sack_emptied(conn);
    return at;
}

/* As utcp__sack_acknowledged() and what it calls, for what was sent in its order. */
inlined void take_delivered(struct utcp_conn *conn, uint32_t una, uint64_t now)
{
    struct utcp_sent *sent = oldest(&conn->board);
    struct utcp_rack *rack = &conn->rack;
    uint64_t at = sent->at;

    if (likely(seq_before(una, sent->end))) {
        sent->start = una;
        utcp__rack_measured(conn, now - at);
    } else {
        at = take_ranges(conn, una);
    }
    rack->sent_at = at;
    rack->fack = rack->end = una;
    rack->rtt = (uint32_t)(now - at);
    rack->measured = true;
}

/* All that was sent is acknowledged. */
inlined void stop_timers(struct utcp_conn *conn, uint64_t now)
{
    bool waits = conn->send.una != conn->send.end || (conn->fin_queued && !conn->fin_acked);

    conn->waiting_since = waits ? now + !now : 0;
    if (unlikely(waits && conn->user_timeout_ms))
        utcp__timer_set(conn, TIMER_USER, conn->waiting_since + conn->user_timeout_ms * UTCP_MS);
    else
        conn->deadline[TIMER_USER] = TIMER_IDLE;
    conn->deadline[TIMER_RETRANSMIT] = TIMER_IDLE;
    if (conn->sack) {
        conn->rack.timer_probes = false;
        conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    }
}

/* Retransmission, user timeout, tail loss probe: utcp__timers_update() and utcp__probe_schedule(). A probe
 * is never due behind the retransmission, so that the wheel is to know of it alone. */
inlined void restart_timers(struct utcp_conn *conn, uint64_t now)
{
    const struct utcp_rtt *rtt = &conn->rtt;
    uint64_t timeout, probe;

    if (unlikely(conn->snd_una == conn->snd_max)) {
        stop_timers(conn, now);
        return;
    }
    conn->waiting_since = now + !now;
    if (unlikely(conn->user_timeout_ms))
        utcp__timer_set(conn, TIMER_USER, conn->waiting_since + conn->user_timeout_ms * UTCP_MS);
    timeout = probe = now + (unlikely(rtt->backoff) ? utcp__rtt_timeout(rtt) : rtt->rto);
    conn->deadline[TIMER_RETRANSMIT] = timeout;
    if (likely(conn->sack && conn->snd_wnd)) {
        probe = utcp__probe_at(conn, now, timeout);
        conn->rack.timer_probes = true;
        conn->deadline[TIMER_LOSS] = probe;
    } else if (conn->sack) {
        conn->rack.timer_probes = false;
        conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    }
    if (unlikely(probe >> WHEEL_TICK_BITS < conn->wheel_timer.tick))
        utcp__wheel_start(&conn->stack->wheel, &conn->wheel_timer, probe);
}

/* The window of a segment that acknowledges something new: of utcp__update_window()'s conditions one is
 * left, for segments that overtook this one. */
inlined void take_window(struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint16_t field)
{
    uint32_t window = (uint32_t)field << conn->send_scale;

    if (unlikely(seq_before(seq, conn->snd_wl1)))
        return;
    conn->snd_wl1 = seq;
    conn->snd_wl2 = ack;
    if (window != conn->snd_wnd)
        utcp__change_window(conn, window);
}

/* Urgent data, or a writer, wait for room. */
apart void tell_waiting(struct utcp_conn *conn)
{
    conn->urgent_out = conn->urgent_out && seq_before(conn->snd_una, conn->snd_up);
    if (conn->write_blocked)
        utcp__send_room_event(conn);
}

/* It is new, and the connection is calm; `echo` is the timestamp that it echoes, or 0. Congestion control
 * comes last, for it is the one that is always called: little of what was worked out here has to outlive
 * that. */
apart void act_on_ack(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t next,
                      uint32_t echo)
{
    struct utcp *stack = conn->stack;
    uint64_t now = stack->now;
    uint32_t ack = ntohl(tcp->acknowledgment), bytes = ack - conn->snd_una;
    struct utcp_cc_ack *told = &stack->told;
    uint64_t rtt_us = utcp__take_rtt(conn, ack, echo);

    told->now = now;
    told->acked = bytes;
    told->in_flight = conn->snd_max - conn->snd_una;
    told->rtt_us = rtt_us;
    told->srtt_us = conn->rtt.srtt;
    if (likely(rtt_us))
        conn->rtt.backoff = 0;
    conn->snd_una = ack;
    utcp__sendbuf_advance(&conn->send, &stack->pool, bytes);
    if (conn->sack)
        take_delivered(conn, ack, now);
    conn->soft_error = 0;
    restart_timers(conn, now);
    if (unlikely(conn->send.una == conn->send.end))
        utcp__event(conn, UTCP_SENT);
    utcp__queue_output(conn);
    take_window(conn, next, ack, ntohs(tcp->window));
    told->grow = utcp__window_was_used(conn, told->in_flight);
    utcp__control_count(conn, told, told->grow);
    utcp__control_tell(conn, told);
    if (unlikely(conn->urgent_out || conn->write_blocked))
        tell_waiting(conn);
}

/* ── Seventh: text ─────────────────────────────────────────────────────────────────────────── */

/* Something about it is rare. */
apart void store(struct utcp_conn *conn, const struct wire_tcp *tcp, const uint8_t *payload,
                 uint32_t length)
{
    struct utcp_segment segment; /* no more of it than that is looked at */

    segment.seq = ntohl(tcp->sequence);
    segment.ecn = IP_ECN_NOT; /* which of those without a mark does not matter */
    segment.flags = TCP_ACK;
    segment.length = length;
    segment.payload = payload;
    segment.options.ts_echo = conn->timestamps ? ts_echo(tcp) : 0;
    utcp__take_text(conn, &segment);
}

/* It needs a new block, or a round trip is measured by it, or it is larger than all before, or among the
 * first, which are acknowledged at once, or the timer wheel is to be told of the delayed acknowledgment. */
inlined bool is_rare(const struct utcp_conn *conn, uint32_t length, const uint8_t *place,
                     uint64_t delayed)
{
    const struct utcp_pool *pool = &conn->stack->pool;

    return length > conn->segment_seen || conn->quick_acks || conn->drs.sample_due ||
           delayed >> WHEEL_TICK_BITS < conn->wheel_timer.tick || utcp__pool_tight(pool) ||
           (!place && !utcp__recvbuf_can_append(&conn->receive, pool, length));
}

inlined void take_text(struct utcp_conn *conn, const struct wire_tcp *tcp, const uint8_t *payload,
                       uint32_t length, uint64_t now)
{
    uint8_t *place = utcp__recvbuf_place(&conn->receive, length);
    uint32_t unacked = conn->segments_unacked + (length == conn->segment_seen);
    uint64_t delayed = now + UTCP_DELAYED_ACK;

    if (unlikely(is_rare(conn, length, place, delayed))) {
        store(conn, tcp, payload, length);
        return;
    }
    conn->data_at = (uint32_t)(now >> 10);
    conn->duplicate_acks_due = 0;
    conn->segments_unacked = (uint8_t)min_u32(unacked, UINT8_MAX);
    if (unacked >= 2) {
        conn->ack_now = true;
        utcp__queue_output(conn);
    } else if (!utcp__timer_runs(conn, TIMER_ACK)) {
        conn->deadline[TIMER_ACK] = delayed;
    }
    utcp__queue_event(conn, UTCP_READABLE);
    if (likely(place)) {
        conn->receive.next += length;
        memcpy(place, payload, length);
    } else {
        utcp__recvbuf_append(&conn->receive, &conn->stack->pool, payload, length);
    }
}

/* ── All of it ─────────────────────────────────────────────────────────────────────────────── */

/* Data may come, to be read. */
inlined bool receives(const struct utcp_conn *conn)
{
    return conn->state >= UTCP_ESTABLISHED && conn->state <= UTCP_FIN_WAIT_2 &&
           !conn->peer_fin_known && !utcp__orphan(conn);
}

static_assert(UTCP_ESTABLISHED + 1 == UTCP_FIN_WAIT_1 && UTCP_FIN_WAIT_1 + 1 == UTCP_FIN_WAIT_2,
              "in receives()");

/* The acknowledgment of `acked` new bytes, at least one, and none of them our FIN. */
inlined bool acknowledges(const struct utcp_conn *conn, uint32_t acked)
{
    return !conn->restless && acked - 1 < conn->snd_max - conn->snd_una &&
           acked <= conn->send.end - conn->send.una;
}

/* What every segment says. */
inlined void take_headers(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t next,
                          bool stamped)
{
    uint64_t now = conn->stack->now;

    conn->stack->usual_in++;
    if (stamped && seq_up_to(next, conn->last_ack)) {
        conn->ts_recent = ts_value(tcp);
        conn->ts_recent_at = now;
    }
    conn->heard_at = now;
    conn->probes = 0;
    conn->ecn.echoed = false;
}

apart void act_on_text(struct utcp_conn *conn, const struct wire_tcp *tcp, const uint8_t *payload,
                       uint32_t length, uint32_t next)
{
    if (unlikely(conn->retries) && !utcp__orphan(conn) &&
        (conn->snd_wnd == 0 || utcp__in_flight(conn) == 0))
        conn->retries = 0;
    utcp__update_window(conn, next, conn->snd_una, ntohs(tcp->window));
    take_text(conn, tcp, payload, length, conn->stack->now);
}

apart void act_on_both(struct utcp_conn *conn, const struct wire_tcp *tcp, const uint8_t *payload,
                       uint32_t length, uint32_t next, uint32_t echo)
{
    act_on_ack(conn, tcp, next, echo);
    take_text(conn, tcp, payload, length, conn->stack->now);
}

/* The segment has the usual form, and a header of so many bytes; `left` bytes in all. */
inlined bool take(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t header,
                  uint32_t left)
{
    uint32_t next = utcp__rcv_nxt(conn), acked = ntohl(tcp->acknowledgment) - conn->snd_una;
    uint32_t length = left - header;
    bool stamped = header > TCP_HEADER_MIN;

    if (ntohl(tcp->sequence) != next || conn->ecn.ce || (int32_t)length < 0 || conn->traced ||
        conn->timed || conn->arrivals)
        return false;
    if (length == 0) {
        if (!acknowledges(conn, acked))
            return false;
        conn->segments_in[0]++;
        take_headers(conn, tcp, next, stamped);
        act_on_ack(conn, tcp, next, stamped ? ts_echo(tcp) : 0);
        return true;
    }
    if (!receives(conn) || (int32_t)(conn->rcv_adv - next - length) < 0 ||
        (acked ? !acknowledges(conn, acked) : conn->rack.probe_out || conn->recovery.after_timeout))
        return false;
    conn->segments_in[1]++;
    take_headers(conn, tcp, next, stamped);
    if (acked)
        act_on_both(conn, tcp, (const uint8_t *)tcp + header, length, next,
                    stamped ? ts_echo(tcp) : 0);
    else
        act_on_text(conn, tcp, (const uint8_t *)tcp + header, length, next);
    return true;
}

inlined bool predicted(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t left)
{
    if (unlikely(!conn->timestamps))
        return has_form(tcp, TCP_HEADER_MIN) && take(conn, tcp, TCP_HEADER_MIN, left);
    return has_form(tcp, TCP_HEADER_MIN + UTCP_OPTIONS_USUAL) &&
           (int32_t)(left - TCP_HEADER_MIN - UTCP_OPTIONS_USUAL) >= 0 &&
           word(options(tcp)) == htonl(UTCP_TIMESTAMPS_USUAL) &&
           (int32_t)(ts_value(tcp) - conn->ts_recent) >= 0 &&
           take(conn, tcp, TCP_HEADER_MIN + UTCP_OPTIONS_USUAL, left);
}

/* Not the same connection as before, or the checksum is to be looked at. */
apart bool look_closer(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    struct utcp_endpoint local, remote;
    struct utcp_conn *conn;
    uint32_t left;
    const struct wire_tcp *tcp = read_ip(data, length, &left);

    if (tcp == NULL || (tcp->flags & ~TCP_PSH) != TCP_ACK || (int32_t)(left - TCP_HEADER_MIN) < 0 ||
        !utcp__packet_checksum_right(data, (const uint8_t *)tcp, left, flags))
        return false;
    utcp__packet_endpoints(data, &local, &remote);
    conn = utcp__find(stack, &local, &remote);
    return conn && predicted(conn, tcp, left);
}

apart void take_any(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    if (stack->long_way || !look_closer(stack, data, length, flags))
        utcp__input_any(stack, data, length, flags);
}

/* Of the connection of the packet before, perhaps. */
apart void take_ipv6(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    struct utcp_conn *conn = stack->recent;
    const struct wire_tcp *tcp;
    uint32_t left;

    if (length < IPV6_HEADER_SIZE + TCP_HEADER_MIN || data[0] >> 4 != 6 || conn == NULL ||
        stack->long_way || !(flags & UTCP_INPUT_CHECKSUM_OK) || !is_for_ipv6(conn, data) ||
        (tcp = read_ipv6(data, length, &left)) == NULL)
        take_any(stack, data, length, flags);
    else if (!predicted(conn, tcp, left))
        utcp__input_any(stack, data, length, flags);
}

void utcp_input(struct utcp *stack, uint64_t now, const void *data, size_t length, unsigned flags)
{
    struct utcp_conn *conn = stack->recent;
    const struct wire_tcp *tcp;
    uint32_t left;

    utcp__set_now(stack, now);
    stack->stats.packets_in++;
    if (unlikely(length < IPV4_HEADER_MIN + TCP_HEADER_MIN || !starts_ipv4(data)))
        take_ipv6(stack, data, length, flags);
    else if (unlikely(conn == NULL || stack->long_way || !(flags & UTCP_INPUT_CHECKSUM_OK) ||
                      !is_for_ipv4(conn, data) || (tcp = read_ipv4(data, length, &left)) == NULL))
        take_any(stack, data, length, flags);
    else if (!predicted(conn, tcp, left))
        utcp__input_any(stack, data, length, flags);
}
