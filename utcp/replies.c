/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments that no connection sends: RSTs, SYN cookies, the last ACKs of TIME-WAIT. They wait in a ring of
 * the stack's until the next output, where they go first. */
#include <string.h>

#include "build.h"
#include "utcp_internal.h"

struct utcp_reply *utcp__reply_place(struct utcp *stack)
{
    uint32_t index = (stack->reply_first + stack->reply_count) % UTCP_REPLIES_MAX;

    if (stack->reply_count == UTCP_REPLIES_MAX)
        return NULL;
    stack->reply_count++;
    return &stack->replies[index];
}

void utcp__reply(struct utcp *stack, const struct utcp_endpoint *local,
                 const struct utcp_endpoint *remote, uint8_t flags, uint32_t seq, uint32_t ack)
{
    struct utcp_reply *reply = utcp__reply_place(stack);

    if (reply)
        *reply = (struct utcp_reply){
            .local = *local, .remote = *remote, .seq = seq, .ack = ack, .flags = flags};
}

void utcp__reply_reset(struct utcp *stack, const struct utcp_segment *segment)
{
    uint32_t length = segment->length + !!(segment->flags & TCP_SYN) + !!(segment->flags & TCP_FIN);

    if (segment->flags & TCP_RST)
        return;
    if (segment->flags & TCP_ACK)
        utcp__reply(stack, &segment->local, &segment->remote, TCP_RST, segment->ack, 0);
    else
        utcp__reply(stack, &segment->local, &segment->remote, TCP_RST | TCP_ACK, 0,
                    segment->seq + length);
}

static bool emit_reply(struct utcp *stack, const struct utcp_reply *reply,
                       const struct utcp_sink *sink)
{
    struct utcp_outgoing outgoing = {
        .local = &reply->local,
        .remote = &reply->remote,
        .seq = reply->seq,
        .ack = reply->ack,
        .window = reply->window,
        .ip_id = reply->ip_id,
        .flags = reply->flags,
        .dscp = reply->dscp,
        .hop_limit = reply->hop_limit ? reply->hop_limit : UTCP_HOP_LIMIT,
        .options_length = reply->options_length,
    };
    struct utcp_offload offload = {0};
    uint32_t length = utcp__packet_headers(reply->local.family) + reply->options_length;
    uint8_t *packet = sink->reserve(sink->context, length);

    if (packet == NULL)
        return false;
    memcpy(utcp__packet_build(packet, &outgoing), reply->options, reply->options_length);
    if (stack->offloads & UTCP_OFFLOAD_CHECKSUM)
        utcp__packet_offload(reply->local.family, &offload);
    else
        utcp__packet_checksum(packet, reply->local.family, length);
    sink->commit(sink->context, length, &offload);
    stack->stats.packets_out++;
    if (reply->time_wait)
        utcp__time_wait_answered(stack, reply);
    else if (reply->flags & TCP_RST)
        stack->stats.resets_out++;
    else
        stack->stats.syn_cookies_sent++;
    return true;
}

bool utcp__output_replies(struct utcp *stack, const struct utcp_sink *sink)
{
    while (stack->reply_count) {
        struct utcp_reply *reply = &stack->replies[stack->reply_first];
        bool due = !reply->time_wait || utcp__time_wait_answer(stack, reply);

        if (due && !emit_reply(stack, reply, sink))
            return false;
        stack->reply_first = (stack->reply_first + 1) % UTCP_REPLIES_MAX;
        stack->reply_count--;
    }
    return true;
}
