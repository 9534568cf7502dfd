/* SPDX-License-Identifier: BSD-2-Clause */
/* Traces of single connections, for a callback of the program's (utcp.h). A connection that is traced has a
 * flag beside its state, where each segment looks anyway; all else is here, off the path. */
#include "utcp_internal.h"

void utcp_set_tracer(struct utcp *stack, const struct utcp_tracer *tracer)
{
    stack->tracer = tracer ? *tracer : (struct utcp_tracer){0};
    if (stack->tracer.event)
        return;
    list_for_each_safe (link, after, &stack->all)
        list_member(link, struct utcp_conn, all_link)->traced = false;
}

void utcp_trace(struct utcp_conn *conn, bool on)
{
    conn->traced = on && conn->stack->tracer.event;
}

void utcp__trace_begin(struct utcp_conn *conn)
{
    const struct utcp_tracer *tracer = &conn->stack->tracer;

    conn->traced = tracer->wanted && tracer->wanted(tracer->context, &conn->local, &conn->remote);
}

void utcp__trace(const struct utcp_conn *conn, struct utcp_trace_event event)
{
    const struct utcp_tracer *tracer = &conn->stack->tracer;

    event.now = conn->stack->now;
    event.conn = conn;
    tracer->event(tracer->context, &event);
}

void utcp__trace_received(const struct utcp_conn *conn, const struct utcp_segment *segment)
{
    bool first = conn->state <= UTCP_SYN_SENT && segment->flags & TCP_SYN; /* irs is not known */
    uint8_t scale = segment->flags & TCP_SYN ? 0 : conn->send_scale;

    utcp__trace(conn, (struct utcp_trace_event){
                          .kind = UTCP_TRACE_RECEIVED,
                          .seq = first ? 0 : segment->seq - conn->irs,
                          .ack = segment->flags & TCP_ACK ? segment->ack - conn->iss : 0,
                          .window = (uint32_t)segment->window << scale,
                          .length = segment->length,
                          .flags = (uint8_t)segment->flags,
                          .ae = segment->flags & TCP_AE,
                      });
}

void utcp__trace_sent(const struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint16_t window,
                      uint32_t length, uint16_t flags)
{
    uint8_t scale = flags & TCP_SYN ? 0 : conn->receive_scale;

    utcp__trace(conn, (struct utcp_trace_event){
                          .kind = UTCP_TRACE_SENT,
                          .seq = seq - conn->iss,
                          .ack = flags & TCP_ACK ? ack - conn->irs : 0,
                          .window = (uint32_t)window << scale,
                          .length = length,
                          .flags = (uint8_t)flags,
                          .ae = flags & TCP_AE,
                          .again = length && seq_before(seq, conn->snd_max),
                      });
}
