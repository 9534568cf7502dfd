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
#include "prediction.h"
#include "checksum.h"

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
    return total <= (uint32_t)length && ip->protocol == IP_PROTOCOL_TCP && checksum_ipv4_good(data)
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

/* ── Whose it is ───────────────────────────────────────────────────────────────────────────── */

/* Of an IPv4 connection; `uncommon` says which are others. */
inlined bool is_for_ipv4(const struct utcp_conn *conn, const uint8_t *data)
{
    const struct wire_ipv4 *ip = (const struct wire_ipv4 *)data;

    return ((word(ip->source) ^ word(conn->remote.address)) |
            (word(ip->destination) ^ word(conn->local.address)) |
            (word(data + IPV4_HEADER_MIN) ^ conn->ports)) == 0;
}

inlined bool is_for_ipv6(const struct utcp_conn *conn, const uint8_t *data)
{
    const struct wire_ipv6 *ip = (const struct wire_ipv6 *)data;

    return word(data + IPV6_HEADER_SIZE) == conn->ports &&
           memcmp(ip->source, conn->remote.address, 16) == 0 &&
           memcmp(ip->destination, conn->local.address, 16) == 0 && conn->local.family == 6;
}

/* ── Fifth: ACK ────────────────────────────────────────────────────────────────────────────── */

/* The oldest in flight. */
inlined struct utcp_sent *oldest(struct utcp_scoreboard *board)
{
    return (board->many ? board->many : board->few) + board->first;
}

/* The ranges of the scoreboard up to `una`, as utcp__sack_acknowledged() and what it calls do it, for what was
 * sent in its order. Of a range that was begun already no byte can have been faster than its first. The
 * memory of a scoreboard that is empty then is left to the caller. */
inlined void take_ranges(struct utcp_conn *conn, uint32_t una, uint64_t now)
{
    struct utcp_scoreboard *board = &conn->board;
    struct utcp_sent *sent = oldest(board);
    struct utcp_rack *rack = &conn->rack;
    uint64_t at;

    for (;; sent++) {
        at = sent->at;
        if (unlikely(at != rack->sent_at)) {
            rack->sent_at = at;
            utcp__rack_measure(rack, now, now - at);
        }
        if (likely(seq_before(una, sent->end))) {
            sent->start = una;
            break;
        }
        board->first++;
        board->count--;
        if (likely(sent->end == una))
            break;
    }
    rack->fack = rack->end = una;
    rack->rtt = (uint32_t)(now - at);
}

/* All that was sent is acknowledged. */
inlined void stop_timers(struct utcp_conn *conn, uint64_t now)
{
    bool waits = conn->send.una != conn->send.end || (conn->fin_queued && !conn->fin_acked);

    conn->waiting_since = waits ? now : 0;
    if (unlikely(waits && conn->user_timeout_ms))
        utcp__timer_set(conn, TIMER_USER, now + conn->user_timeout_ms * UTCP_MS);
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
    uint64_t timeout, probe;

    if (conn->snd_una == conn->snd_max) {
        stop_timers(conn, now);
        return;
    }
    conn->waiting_since = now;
    if (conn->user_timeout_ms)
        utcp__timer_set(conn, TIMER_USER, now + conn->user_timeout_ms * UTCP_MS);
    timeout = probe = now + conn->rtt.rto; /* calm, it has no back-off */
    conn->deadline[TIMER_RETRANSMIT] = timeout;
    if (conn->sack && conn->snd_wnd) {
        probe = utcp__probe_at(conn, now, timeout);
        conn->rack.timer_probes = true;
        conn->deadline[TIMER_LOSS] = probe;
    } else if (conn->sack) {
        conn->rack.timer_probes = false;
        conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    }
    if (probe >> WHEEL_TICK_BITS < conn->wheel_timer.tick)
        utcp__wheel_start(&conn->stack->wheel, &conn->wheel_timer, probe);
}

/* Urgent data, or a writer, wait for room. */
apart void tell_waiting(struct utcp_conn *conn)
{
    conn->urgent_out = conn->urgent_out && seq_before(conn->snd_una, conn->snd_up);
    if (conn->write_blocked)
        utcp__send_room_event(conn);
}

/* Of so many new bytes, and the connection is calm; `echo` is the timestamp that it echoes, or 0, `field` the
 * window as it stands in the header. */
apart void act_on_ack(struct utcp_conn *conn, uint32_t acked, uint32_t next, uint32_t echo,
                      uint16_t field)
{
    struct utcp *stack = conn->stack;
    struct utcp_cc_ack *told = &stack->told;
    uint32_t ack = conn->snd_una + acked, in_flight = conn->snd_max - conn->snd_una;

    told->acked = acked;
    told->in_flight = in_flight;
    told->rtt_us = utcp__take_rtt(conn, ack, echo);
    told->srtt_us = conn->rtt.srtt;
    told->grow = utcp__window_was_used(conn, in_flight);
    conn->snd_una = ack;
    utcp__sendbuf_advance(&conn->send, &stack->pool, acked);
    if (conn->sack)
        take_ranges(conn, ack, stack->now);
    if (conn->sack && conn->board.count == 0)
        utcp__sack_emptied(conn);
    utcp__control_count(conn, told, acked, in_flight, told->grow);
    restart_timers(conn, stack->now);
    if (conn->send.una == conn->send.end)
        utcp__event(conn, UTCP_SENT);
    utcp__want_output(conn);
    utcp__update_window(conn, next, ack, ntohs(field));
    utcp__control_tell(conn, told);
    tell_waiting(conn);
}

/* The end of a common one for which `rare` says that there is more to do, or somebody waits for room. */
apart void finish_rare(struct utcp_conn *conn, const struct utcp_cc_ack *told)
{
    struct utcp *stack = conn->stack;

    stack->rare = false;
    utcp__sendbuf_advance(&conn->send, &stack->pool, 0);
    if (conn->board.count == 0)
        utcp__sack_emptied(conn);
    if (conn->deadline[TIMER_LOSS] >> WHEEL_TICK_BITS < conn->wheel_timer.tick)
        utcp__wheel_start(&stack->wheel, &conn->wheel_timer, conn->deadline[TIMER_LOSS]);
    conn->cc.ops->acked(&conn->cc, told);
    tell_waiting(conn);
}

/* The same, but as a rule it is that a round trip is over. */
apart void finish_ack(struct utcp_conn *conn, struct utcp_cc_ack *told)
{
    struct utcp_control *control = &conn->control;

    conn->unfinished = false;
    if (!seq_before(conn->snd_una, control->round_end)) {
        told->round = true;
        control->round_end = conn->snd_max;
        control->flight_max = told->in_flight;
        utcp__count_known_round(conn, conn->more, told->grow);
    }
    if (unlikely(conn->stack->rare || conn->urgent_out || conn->write_blocked))
        finish_rare(conn, told);
    else
        conn->cc.ops->acked(&conn->cc, told);
}

/* What the timed segment tells: utcp__take_rtt(). */
inlined uint64_t take_sample(struct utcp_rtt *rtt, uint64_t now)
{
    uint64_t sample = now - rtt->timed_at;

    sample = sample < UTCP_RTO_MAX ? sample + !sample : UTCP_RTO_MAX;
    rtt->timed_at = 0;
    utcp__rtt_sample(rtt, sample);
    return sample;
}

/* As long as chunks are copies, and the store has room. */
inlined void take_buffer(struct utcp_conn *conn, struct utcp_pool *pool, uint32_t acked)
{
    struct utcp_chunk *first = conn->send.first;
    uint64_t una = conn->send.una + acked;

    conn->send.una = una;
    while (first->start + first->size <= una) {
        if (never(!first->copied || pool->free_count >= POOL_STORE_MAX)) {
            conn->unfinished = conn->stack->rare = true;
            break;
        }
        first = utcp__sendbuf_drop_copied(&conn->send, first, pool);
        if (unlikely(first == NULL))
            break;
    }
}

/* All is acknowledged that was sent. */
inlined void take_last(struct utcp_conn *conn, uint64_t now)
{
    bool waits = conn->send.una != conn->send.end;

    conn->waiting_since = waits ? now : 0;
    conn->deadline[TIMER_RETRANSMIT] = TIMER_IDLE;
    conn->rack.timer_probes = false;
    conn->deadline[TIMER_LOSS] = TIMER_IDLE;
    if (!waits)
        utcp__queue_event(conn, UTCP_SENT);
    conn->board.first = 0;
    if (conn->board.many)
        conn->unfinished = conn->stack->rare = true;
}

inlined void restart_common_timers(struct utcp_conn *conn, uint64_t now, uint32_t left,
                                   const bool timed)
{
    uint64_t timeout = now + conn->rtt.rto, probe;

    /* Acknowledgments come in bursts: one at this time has done it already. */
    if (!timed && conn->waiting_since == now && conn->deadline[TIMER_RETRANSMIT] == timeout &&
        left > conn->mss && conn->rack.timer_probes)
        return;
    conn->waiting_since = now;
    probe = now + ((uint64_t)conn->rtt.srtt << (conn->rack.patience + 1)); /* utcp__probe_at() */
    conn->deadline[TIMER_RETRANSMIT] = timeout;
    if (unlikely(left <= conn->mss))
        probe += UTCP_ACK_DELAY_MAX;
    if (unlikely(probe > timeout))
        probe = timeout;
    conn->rack.timer_probes = true;
    conn->deadline[TIMER_LOSS] = probe;
    if (never(probe >> WHEEL_TICK_BITS < conn->wheel_timer.tick))
        conn->unfinished = conn->stack->rare = true;
}

/* The window of one that is not overtaken; calm, it had not been closed. */
inlined void take_common_window(struct utcp_conn *conn, uint32_t next, uint32_t ack, uint16_t field)
{
    uint32_t window = (uint32_t)ntohs(field) << conn->send_scale;

    conn->snd_wl1 = next;
    conn->snd_wl2 = ack;
    conn->snd_wnd = window;
    if (unlikely(window - 1 >= conn->snd_wnd_max)) { /* 0, or wider than ever */
        conn->snd_wnd_max = max_u32(conn->snd_wnd_max, window);
        conn->restless |= window == 0;
    }
}

/* Whether the end of a round trip takes more than a few lines. */
inlined bool round_is_rare(const struct utcp_conn *conn)
{
    return conn->more == NULL || conn->more->mtu.high ||
           !utcp__near(conn->control.round_end, conn->snd_max);
}

/* Of a common connection (utcp__conn_compare()), as nearly all are: act_on_ack() without what is known to be
 * otherwise, and a function that calls but one other, at its end, and so has nothing to save for it. What is
 * rare is found out before anything is done, or left to finish_ack(). `timed`: it is what the timed segment
 * waited for. */
inlined void take_common_ack(struct utcp_conn *conn, uint32_t acked, uint32_t next, uint32_t echo,
                             uint16_t field, const bool timed)
{
    struct utcp *stack = conn->stack;
    struct utcp_control *control = &conn->control;
    struct utcp_cc_ack *told = &stack->told;
    uint32_t ack = conn->snd_una + acked, in_flight = conn->snd_max - conn->snd_una;

    if (unlikely(!seq_before(ack, control->round_end)))
        conn->unfinished = true;
    if (unlikely(control->flight_max < in_flight))
        control->flight_max = in_flight;
    take_common_window(conn, next, ack, field);
    told->rtt_us = timed ? take_sample(&conn->rtt, stack->now)
                         : utcp__echoed((uint32_t)stack->now_ms + conn->ts_offset, echo);
    told->srtt_us = conn->rtt.srtt;
    told->in_flight = in_flight;
    told->acked = acked;
    told->round = false;
    told->grow = utcp__window_used(conn, control->flight_max, in_flight);
    told->delivered = control->delivered += acked;
    conn->snd_una = ack;
    take_buffer(conn, &stack->pool, acked);
    take_ranges(conn, ack, stack->now);
    if (unlikely(ack == conn->snd_max))
        take_last(conn, stack->now);
    else
        restart_common_timers(conn, stack->now, conn->snd_max - ack, timed);
    utcp__queue_output(conn);
    if (unlikely(conn->unfinished || conn->urgent_out || conn->write_blocked))
        finish_ack(conn, told);
    else
        conn->cc.ops->acked(&conn->cc, told);
}

apart void act_on_timed_ack(struct utcp_conn *conn, uint32_t acked, uint32_t next, uint32_t echo,
                            uint16_t field)
{
    take_common_ack(conn, acked, next, echo, field, true);
}

apart void act_on_common_ack(struct utcp_conn *conn, uint32_t acked, uint32_t next, uint32_t echo,
                             uint32_t field)
{
    uint32_t ack = conn->snd_una + acked;

    if (never(seq_before(next, conn->snd_wl1)) ||
        (unlikely(!seq_before(ack, conn->control.round_end)) && never(round_is_rare(conn))))
        act_on_ack(conn, acked, next, echo, (uint16_t)field);
    else if (unlikely(conn->rtt.timed_at && !seq_before(ack, conn->rtt.timed_seq)))
        act_on_timed_ack(conn, acked, next, echo, (uint16_t)field);
    else
        take_common_ack(conn, acked, next, echo, (uint16_t)field, false);
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
    return !conn->restless && acked <= conn->send.end - conn->send.una &&
           acked - 1 < conn->snd_max - conn->snd_una;
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
    act_on_ack(conn, ntohl(tcp->acknowledgment) - conn->snd_una, next, echo, tcp->window);
    take_text(conn, tcp, payload, length, conn->stack->now);
}

/* The segment has the usual form, and a header of so many bytes; `left` bytes in all. */
inlined bool take(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t header,
                  uint32_t left, const bool accurate)
{
    uint32_t next = utcp__rcv_nxt(conn), acked = ntohl(tcp->acknowledgment) - conn->snd_una;
    bool stamped = header > TCP_HEADER_MIN;
    uint32_t length = left - header, stamp = stamped ? ts_value(tcp) : 0;

    if (ntohl(tcp->sequence) != next || (int32_t)length < 0 || conn->ce || conn->traced ||
        conn->timed || conn->arrivals || (!accurate && conn->accurate))
        return false;
    if (length == 0) {
        if (!acknowledges(conn, acked))
            return false;
        conn->segments_in[0]++;
        take_headers(conn, conn->stack->now, next, stamped, stamp);
        act_on_ack(conn, acked, next, stamped ? ts_echo(tcp) : 0, tcp->window);
        return true;
    }
    if (!receives(conn) || (int32_t)(conn->rcv_adv - next - length) < 0 ||
        (acked ? !acknowledges(conn, acked) : conn->rack.probe_out || conn->recovery.after_timeout))
        return false;
    conn->segments_in[1]++;
    take_headers(conn, conn->stack->now, next, stamped, stamp);
    utcp__probes_answered(conn);
    if (acked)
        act_on_both(conn, tcp, (const uint8_t *)tcp + header, length, next,
                    stamped ? ts_echo(tcp) : 0);
    else
        act_on_text(conn, tcp, (const uint8_t *)tcp + header, length, next);
    return true;
}

/* How it came; TCP's header is behind one of IP that has no options. */
inlined uint8_t ecn_of(const struct utcp_conn *conn, const struct wire_tcp *tcp)
{
    const uint8_t *at = (const uint8_t *)tcp;

    return conn->local.family == 4 ? (at - IPV4_HEADER_MIN)[1] & 3
                                   : (at - IPV6_HEADER_SIZE)[1] >> 4 & 3;
}

/* With Accurate ECN, where the peer has counted no more marks than before, and cannot have gone round; what the
 * segment came as is counted. */
apart bool take_accurate(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t left)
{
    uint32_t header = conn->timestamps ? STAMPED : TCP_HEADER_MIN;
    uint32_t acked = ntohl(tcp->acknowledgment) - conn->snd_una, length = left - header;
    uint8_t ace = conn->ecn.told & 7;

    if (!has_form(tcp, header, (uint16_t)(TCP_ACK | ace << TCP_ACE_SHIFT)) || (int32_t)length < 0 ||
        (!conn->ecn.option_seen && acked > 7u * conn->mss))
        return false;
    if (conn->timestamps && (word(options(tcp)) != htonl(UTCP_TIMESTAMPS_USUAL) ||
                             (int32_t)(ts_value(tcp) - conn->ts_recent) < 0))
        return false;
    if (!take(conn, tcp, header, left, true))
        return false;
    conn->ecn.ace = ace & 7;
    if (length)
        utcp__accurate_text(conn, ecn_of(conn, tcp), length);
    return true;
}

/* A segment that neither opens nor closes the connection. */
apart void take_between(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left)
{
    if (conn->timestamps ? is_stamped(tcp, (int32_t)(left - STAMPED)) &&
                               (int32_t)(ts_value(tcp) - conn->ts_recent) >= 0 &&
                               take(conn, tcp, STAMPED, left, false)
                         : has_form(tcp, TCP_HEADER_MIN, TCP_ACK) &&
                               take(conn, tcp, TCP_HEADER_MIN, left, false))
        return;
    if (!conn->accurate || !take_accurate(conn, tcp, left))
        utcp__input_sound(conn->stack, data, tcp, left);
}

inlined void take_for(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                      uint32_t left)
{
    if (conn->state == UTCP_SYN_RECEIVED)
        utcp__take_opening(conn, data, tcp, left);
    else if (tcp->flags & TCP_FIN)
        utcp__take_closing(conn, data, tcp, left);
    else
        take_between(conn, data, tcp, left);
}

/* `tcp` is all that read_ip() found, with a checksum that is right. */
apart void look_closer(struct utcp *stack, const uint8_t *data, const struct wire_tcp *tcp,
                       uint32_t left)
{
    struct utcp_endpoint local, remote;
    struct utcp_conn *conn;

    utcp__packet_endpoints(data, &local, &remote);
    conn = utcp__find(stack, &local, &remote);
    if (conn)
        take_for(conn, data, tcp, left);
    else
        utcp__input_sound(stack, data, tcp, left);
}

inlined void take_sound(struct utcp *stack, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left)
{
    if ((tcp->flags & ~(TCP_PSH | TCP_FIN | TCP_ECE | TCP_CWR)) == TCP_ACK)
        look_closer(stack, data, tcp, left);
    else
        utcp__input_sound(stack, data, tcp, left);
}

/* The checksum is to be looked at. */
apart void take_unchecked(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags,
                          const struct wire_tcp *tcp, uint32_t left)
{
    if (utcp__packet_checksum_right(data, (const uint8_t *)tcp, left, flags))
        take_sound(stack, data, tcp, left);
    else
        utcp__input_any(stack, data, length, flags);
}

/* Not the same connection as before, or the checksum is to be looked at. */
apart void take_any(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    uint32_t left;
    const struct wire_tcp *tcp =
        stack->predict == PREDICT_NOTHING ? NULL : read_ip(data, length, &left);

    if (tcp == NULL || (int32_t)(left - TCP_HEADER_MIN) < 0)
        utcp__input_any(stack, data, length, flags);
    else if (flags & UTCP_INPUT_CHECKSUM_OK)
        take_sound(stack, data, tcp, left);
    else
        take_unchecked(stack, data, length, flags, tcp, left);
}

/* Another version of IP, or of another form. */
apart void take_ipv6(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    struct utcp_conn *conn = stack->recent;
    const struct wire_tcp *tcp;
    uint32_t left;

    if (length < IPV6_HEADER_SIZE + TCP_HEADER_MIN || data[0] >> 4 != 6 ||
        flags != stack->predict || !is_for_ipv6(conn, data) ||
        (tcp = read_ipv6(data, length, &left)) == NULL)
        take_any(stack, data, length, flags);
    else if ((int32_t)(left - TCP_HEADER_MIN) < 0)
        utcp__input_any(stack, data, length, flags);
    else
        take_for(conn, data, tcp, left);
}

/* As utcp_input() has found, of the connection of the packet before, if that is one of IPv4. */
apart void take_unusual(struct utcp *stack, const uint8_t *data, size_t length, unsigned flags)
{
    const struct wire_tcp *tcp = (const struct wire_tcp *)(data + IPV4_HEADER_MIN);
    struct utcp_conn *conn = stack->recent;
    uint32_t left = (uint32_t)length - IPV4_HEADER_MIN;

    if (conn->local.family != 4)
        take_any(stack, data, length, flags);
    else if ((int32_t)(left - TCP_HEADER_MIN) < 0)
        utcp__input_any(stack, data, length, flags);
    else if (!conn->unusual)
        utcp__input_sound(stack, data, tcp, left);
    else
        take_for(conn, data, tcp, left);
}

/* `length` bytes of text, in order, of a connection with nothing unusual. */
apart void take_common_text(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t length,
                            uint32_t next)
{
    uint32_t acked = ntohl(tcp->acknowledgment) - conn->snd_una;
    const uint8_t *payload = (const uint8_t *)tcp + STAMPED;

    if (unlikely(!receives(conn) || (int32_t)(conn->rcv_adv - next - length) < 0 ||
                 (acked && acked > conn->snd_max - conn->snd_una))) {
        utcp__input_any(conn->stack, (const uint8_t *)tcp - IPV4_HEADER_MIN,
                        length + STAMPED + IPV4_HEADER_MIN, UTCP_INPUT_CHECKSUM_OK);
        return;
    }
    conn->segments_in[1]++;
    take_headers(conn, conn->stack->now, next, true, ts_value(tcp));
    if (unlikely(acked)) {
        act_on_both(conn, tcp, payload, length, next, ts_echo(tcp));
        return;
    }
    utcp__update_window(conn, next, conn->snd_una, ntohs(tcp->window));
    take_text(conn, tcp, payload, length, conn->stack->now);
}

/* An IPv4 packet of a connection with nothing unusual, `text` bytes behind a header with timestamps; fewer than
 * 0, and it is shorter. False: it is not as predicted. */
inlined bool take_common(struct utcp *stack, struct utcp_conn *conn, const struct wire_tcp *tcp,
                         int32_t text)
{
    uint32_t next = conn->irs + 1 + (uint32_t)conn->receive.next, stamp, acked;

    if (!is_stamped(tcp, text))
        return false;
    stamp = ts_value(tcp);
    if ((int32_t)(stamp - conn->ts_recent) < 0 || ntohl(tcp->sequence) != next)
        return false;
    if (text) {
        take_common_text(conn, tcp, (uint32_t)text, next);
        return true;
    }
    acked = ntohl(tcp->acknowledgment) - conn->snd_una;
    if (acked - 1 >= conn->snd_max - conn->snd_una)
        return false;
    conn->segments_in[0]++;
    take_headers(conn, stack->now, next, true, stamp);
    act_on_common_ack(conn, acked, next, ts_echo(tcp), tcp->window);
    return true;
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
    else if (unlikely(flags != stack->predict || !is_for_ipv4(conn, data) ||
                      (tcp = read_ipv4(data, length, &left)) == NULL))
        take_any(stack, data, length, flags);
    else if (unlikely(conn->unusual || !take_common(stack, conn, tcp, (int32_t)(left - STAMPED))))
        take_unusual(stack, data, left + IPV4_HEADER_MIN, UTCP_INPUT_CHECKSUM_OK);
}
