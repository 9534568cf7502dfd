/* SPDX-License-Identifier: BSD-2-Clause */
/* Header prediction for the two ends of a server's connection, where there is little between them: the segment
 * that completes the handshake, mostly with the request, and the one that acknowledges the response and closes
 * the other direction, too. Theory of operation, and what is known of their form: prediction.c. What is left
 * of the steps of RFC 9293 section 3.10.7.4 is done by the functions of the long way (input.c). Whether a cookie
 * says that the peer has begun anew need not be asked of what is predicted here: utcp__cookie_displaces() does not of
 * a segment with the next sequence number that acknowledges what was sent. */
#include "prediction.h"

/* RFC 7323 section 5.3 R1, where the connection is not so old that it would not matter. */
inlined bool is_stale(const struct utcp_conn *conn, const struct wire_tcp *tcp)
{
    return (int32_t)(ts_value(tcp) - conn->ts_recent) < 0;
}

/* Something about the first text is rare. */
apart void take_rare_text(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t next,
                          uint32_t length)
{
    struct utcp_segment text; /* no more of it than that is looked at */

    text.seq = next;
    text.ecn = IP_ECN_NOT; /* which of those without a mark does not matter */
    text.flags = TCP_ACK;
    text.length = length;
    text.payload = (const uint8_t *)tcp + STAMPED;
    text.options.ts_echo = ts_echo(tcp);
    utcp__take_text(conn, &text);
}

/* The first text of all, in order: utcp__take_text(), where nothing about it is rare. */
inlined void take_first_text(struct utcp_conn *conn, const struct wire_tcp *tcp, uint32_t next,
                             uint32_t length)
{
    struct utcp_pool *pool = &conn->stack->pool;
    const uint8_t *payload = (const uint8_t *)tcp + STAMPED;

    if (likely(utcp__recvbuf_first(&conn->receive, length) && !utcp__pool_tight(pool) &&
               !conn->ecn.on && utcp__recvbuf_put_first(&conn->receive, pool, payload, length))) {
        conn->data_at = (uint32_t)(conn->stack->now >> 10);
        conn->duplicate_acks_due = 0;
        utcp__acknowledge_later(conn, length);
        utcp__queue_event(conn, UTCP_READABLE);
    } else {
        take_rare_text(conn, tcp, next, length);
    }
}

/* In SYN-RECEIVED a connection that came by a listener, and not by fast open, has sent its SYN and nothing else,
 * and the peer's SYN is all that came. So of the steps there are: first the sequence number, which is the next,
 * fifth the acknowledgment of our SYN, seventh the text, which the window has room for. No program holds it yet, to
 * ask for times (times.c). */
void utcp__take_opening(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left)
{
    uint32_t next = conn->irs + 1, una = conn->iss + 1, length = left - STAMPED;

    if (!conn->timestamps || !is_stamped(tcp, (int32_t)length) || ntohl(tcp->sequence) != next ||
        ntohl(tcp->acknowledgment) != una || conn->snd_max != una || is_stale(conn, tcp) ||
        conn->traced || conn->ce || !conn->listener || conn->fast_queue ||
        (int32_t)(conn->rcv_adv - next - length) < 0) {
        utcp__input_sound(conn->stack, data, tcp, left);
        return;
    }
    conn->segments_in[length > 0]++;
    take_headers(conn, conn->stack->now, next, true, ts_value(tcp));
    utcp__establish(conn, next, una, (uint32_t)ntohs(tcp->window) << conn->send_scale);
    if (length)
        take_first_text(conn, tcp, next, length);
}

/* The FIN of a peer that acknowledges ours, and all that nobody waits for any more. First it has the next sequence
 * number, fifth utcp__is_the_last(), eighth the FIN leads to TIME-WAIT: with our FIN not acknowledged, and the peer's
 * not known, the state is FIN-WAIT-1. Calm, the connection has no probes that this would answer; with nothing that is
 * only told, nobody has asked for times; and of congestion there is no more to say without text. */
void utcp__take_closing(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left)
{
    uint32_t next = utcp__rcv_nxt(conn);

    if (!conn->timestamps || left != STAMPED || !is_stamped_with(tcp, 0, TCP_ACK | TCP_FIN) ||
        ntohl(tcp->sequence) != next || is_stale(conn, tcp) || conn->peer_fin_known ||
        !utcp__is_the_last(conn, ntohl(tcp->acknowledgment))) {
        utcp__input_sound(conn->stack, data, tcp, left);
        return;
    }
    conn->segments_in[0]++;
    take_headers(conn, conn->stack->now, next, true, ts_value(tcp));
    utcp__last_acknowledged(conn);
    utcp__conn_enter(conn, UTCP_FIN_WAIT_2); /* for no time at all: it needs no timer */
    conn->peer_fin = next;
    conn->peer_fin_known = conn->peer_fin_taken = true;
    conn->ack_now = true;
    utcp__queue_event(conn, UTCP_READABLE | UTCP_FINISHED);
    utcp__time_wait_begin(conn, true);
}
