/* SPDX-License-Identifier: BSD-2-Clause */
/* What is asked of each segment before it is believed, as questions about numbers: input.c asks them for a
 * connection, timewait.c for what is left of one. By utcp_internal.h, which includes this. */
#ifndef UTCP_ACCEPTABLE_H
#define UTCP_ACCEPTABLE_H

#define UTCP_PAWS_IDLE (24 * 24 * 3600 * UTCP_SECOND) /* RFC 7323 section 5.5 */

/* Sequence numbers are compared around the circle, RFC 9293 section 3.4. */
static inline bool seq_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool seq_up_to(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

/* Sequence numbers that a segment occupies. */
static inline uint32_t utcp__segment_size(const struct utcp_segment *segment)
{
    return segment->length + !!(segment->flags & TCP_SYN) + !!(segment->flags & TCP_FIN);
}

/* RFC 7323 section 5.3 R1. A value from before the peer's clock wrapped, after so long an idle time
 * that nobody can tell, is taken for new (section 5.5). */
static inline bool utcp__too_old(const struct utcp_segment *segment, uint32_t ts_recent,
                                 uint64_t age_us)
{
    return (int32_t)(segment->options.ts_value - ts_recent) < 0 && age_us < UTCP_PAWS_IDLE;
}

/* Any of the segment's sequence numbers lies in the window, or it has none and stands in it or at
 * one of its ends (a bare ACK that follows a full window of data, some of which was lost, stands at
 * the far one). With a window of zero what stands at its beginning is let in as well, for the sake
 * of its ACK, RST and FIN. */
static inline bool utcp__in_window(const struct utcp_segment *segment, uint32_t next, uint32_t edge)
{
    uint32_t size = utcp__segment_size(segment);

    if (segment->seq == next)
        return true;
    if (size == 0)
        return seq_before(next, segment->seq) && seq_up_to(segment->seq, edge);
    return seq_before(segment->seq, edge) && seq_before(next, segment->seq + size);
}

/* RFC 5961 section 5.2: neither of what was never sent, nor older than any window was wide. */
static inline bool utcp__ack_possible(uint32_t ack, uint32_t snd_una, uint32_t snd_max,
                                      uint32_t snd_wnd_max)
{
    return !seq_before(snd_max, ack) && !seq_before(ack, snd_una - snd_wnd_max);
}

/* RFC 6191: a SYN that is newer than the connection in TIME-WAIT, which may take its place. */
static inline bool utcp__newer_syn(const struct utcp_segment *segment, uint32_t rcv_nxt,
                                   bool timestamps, uint32_t ts_recent)
{
    if ((segment->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
        return false;
    if (timestamps && segment->options.has_timestamps && segment->options.ts_value != ts_recent)
        return (int32_t)(segment->options.ts_value - ts_recent) > 0;
    return seq_before(rcv_nxt, segment->seq);
}

#endif
