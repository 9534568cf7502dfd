/* SPDX-License-Identifier: BSD-2-Clause */
/* Delivery rates, as in draft-cheng-iccrg-delivery-rate-estimation: how much was delivered between
 * the last delivery before a segment left and its own, over the longer of the times that sending
 * and acknowledging it took; so neither a burst of segments nor one of ACKs makes it too high.
 *
 * The draft keeps its numbers for every segment. Here they are kept for about every sixteenth of a
 * window (a mark), which is as good for a filter that looks for the highest rate of several round
 * trips, and costs a connection that wants rates a fixed 1.5 KB, others nothing. Of a
 * segment that was sent again nobody can tell which copy an ACK is for: its mark does not count. */
#include <stdlib.h>

#include "utcp_internal.h"

#define MARKS      32 /* a power of two */
#define PER_WINDOW 16

struct mark {
    uint64_t sent_at, first_sent_at; /* this segment; the one that the last ACK before it was for */
    uint64_t delivered, delivered_at; /* when it left */
    uint32_t end;
    bool limited; /* … by the application */
    bool again;   /* the segment was sent again */
};

struct utcp_rate {
    struct mark marks[MARKS];
    uint32_t first, count;
    uint64_t first_sent_at, delivered_at;
    uint64_t limited_until; /* until so much is delivered, the application had too little; 0: not */
    uint64_t last;          /* rate that was measured last; 0: none was */
    bool last_limited;
};

struct utcp_rate *utcp__rate_new(void)
{
    return calloc(1, sizeof(struct utcp_rate));
}

void utcp__rate_free(struct utcp_rate *rate)
{
    free(rate);
}

void utcp__rate_sent(struct utcp_conn *conn, uint32_t end, bool first_in_flight)
{
    struct utcp_rate *rate = conn->control.rate;
    uint64_t now = conn->stack->now;

    if (first_in_flight)
        rate->first_sent_at = rate->delivered_at = now;
    if (rate->count == MARKS)
        return;
    if (rate->count &&
        end - rate->marks[(rate->first + rate->count - 1) % MARKS].end < conn->cc.cwnd / PER_WINDOW)
        return;
    rate->marks[(rate->first + rate->count++) % MARKS] = (struct mark){
        .sent_at = now,
        .first_sent_at = rate->first_sent_at,
        .delivered = conn->control.delivered,
        .delivered_at = rate->delivered_at,
        .end = end,
        .limited = rate->limited_until != 0,
    };
}

void utcp__rate_resent(struct utcp_conn *conn, uint32_t seq, uint32_t end)
{
    struct utcp_rate *rate = conn->control.rate;

    for (uint32_t i = 0; i < rate->count; i++) {
        struct mark *mark = &rate->marks[(rate->first + i) % MARKS];

        if (seq_before(seq, mark->end) && seq_up_to(mark->end, end))
            mark->again = true;
    }
}

void utcp__rate_limited(struct utcp_conn *conn)
{
    uint64_t until = conn->control.delivered + (conn->snd_max - conn->snd_una);

    conn->control.rate->limited_until = until ? until : 1;
}

void utcp__rate_acked(struct utcp_conn *conn, struct utcp_cc_ack *ack)
{
    struct utcp_rate *rate = conn->control.rate;
    const struct mark *last = NULL;
    uint64_t sending, arriving, interval;
    /* What is SACKed has arrived as well. Were it to wait for the holes below it, every round trip with
     * a loss would seem to be two, and every rate late. */
    uint32_t arrived = conn->sack ? conn->rack.fack : conn->snd_una;

    ack->rtt_us = 0; /* timestamps are too coarse for what needs rates */
    rate->delivered_at = ack->now;
    if (ack->delivered > rate->limited_until)
        rate->limited_until = 0;
    while (rate->count && seq_up_to(rate->marks[rate->first].end, arrived)) {
        if (!rate->marks[rate->first].again)
            last = &rate->marks[rate->first];
        rate->first = (rate->first + 1) % MARKS;
        rate->count--;
    }
    if (last == NULL)
        return;
    rate->first_sent_at = last->sent_at;
    sending = last->sent_at - last->first_sent_at;
    arriving = ack->now - last->delivered_at;
    interval = sending > arriving ? sending : arriving;
    ack->rtt_us = ack->now > last->sent_at ? ack->now - last->sent_at : 1;
    if (ack->rtt_us > UTCP_RTO_MAX)
        ack->rtt_us = UTCP_RTO_MAX;
    ack->rate_limited = last->limited;
    if (interval == 0)
        return;
    ack->rate = (ack->delivered - last->delivered) * 1000000 / interval;
    rate->last = ack->rate;
    rate->last_limited = last->limited;
}

uint64_t utcp__rate_last(const struct utcp_rate *rate, bool *limited)
{
    *limited = rate->last_limited;
    return rate->last;
}
