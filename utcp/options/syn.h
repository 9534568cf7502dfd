/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of the usual SYN: MSS, SACK permitted, timestamps, a NOP, window scale. Most hosts send these, in the
 * order in which we and Linux do, so they are read and written as words. Inline, where a SYN or SYN-ACK goes the
 * usual way; options.c has what all others need. */
#ifndef UTCP_SYN_OPTIONS_H
#define UTCP_SYN_OPTIONS_H

#include "options.h"
#include "utcp_internal.h"

#define UTCP_OPTIONS_SYN 20 /* bytes */

/* These words tell of them, but for the values. */
#define SYN_MSS        ((uint32_t)TCP_OPTION_MSS << 24 | (uint32_t)TCP_OPTION_MSS_LENGTH << 16)
#define SYN_TIMESTAMPS (UTCP_TIMESTAMPS_USUAL & 0xffff)
#define SYN_SACK                                                                                   \
    ((uint32_t)TCP_OPTION_SACK_PERMITTED << 24 | (uint32_t)TCP_OPTION_SACK_PERMITTED_LENGTH << 16)
#define SYN_SCALE                                                                                  \
    ((uint32_t)TCP_OPTION_NOP << 24 | (uint32_t)TCP_OPTION_WINDOW_SCALE << 16 |                    \
     (uint32_t)TCP_OPTION_WINDOW_SCALE_LENGTH << 8)

/* Whether `size` bytes of options are these. */
static inline bool utcp__syn_options_are(const uint8_t *at, uint32_t size)
{
    return size == UTCP_OPTIONS_SYN && utcp__get_be32(at + 4) == (SYN_SACK | SYN_TIMESTAMPS) &&
           (utcp__get_be32(at) & 0xffff0000) == SYN_MSS &&
           (utcp__get_be32(at + 16) & 0xffffff00) == SYN_SCALE;
}

/* What a module does with its option, and where it stands, the usual SYN's does without asking it. */

static inline void utcp__mss_parse(const uint8_t *value, struct utcp_segment_options *options)
{
    options->mss = (uint16_t)(value[0] << 8 | value[1]);
    options->has_mss = options->mss != 0;
}

static inline void utcp__timestamps_parse(const uint8_t *value,
                                          struct utcp_segment_options *options)
{
    options->has_timestamps = true;
    options->ts_value = utcp__get_be32(value);
    options->ts_echo = utcp__get_be32(value + 4);
}

#define WINDOW_SCALE_MAX 14 /* RFC 7323 section 2.3: a greater one counts as this */

static inline void utcp__window_scale_parse(const uint8_t *value,
                                            struct utcp_segment_options *options)
{
    options->has_window_scale = true;
    options->window_scale = value[0] > WINDOW_SCALE_MAX ? WINDOW_SCALE_MAX : value[0];
}

static inline void utcp__mss_take(struct utcp_conn *conn, uint16_t mss)
{
    conn->peer_mss = mss < UTCP_MSS_MIN ? UTCP_MSS_MIN : mss;
}

static inline void utcp__timestamps_take(struct utcp_conn *conn, uint32_t value)
{
    conn->ts_recent = value;
    conn->ts_recent_at = conn->stack->now;
}

/* Whether a SYN of the connection has these and no others. */
static inline bool utcp__syn_options_due(const struct utcp_conn *conn)
{
    return conn->sack && conn->timestamps && conn->window_scale && !conn->timeout_told &&
           !conn->accurate && conn->fast.option == FAST_OPTION_NONE;
}

/* Writes them. */
static inline void utcp__syn_options_put(const struct utcp_conn *conn, uint8_t tcp_flags,
                                         uint8_t *at)
{
    at = utcp__put_be32(at, SYN_MSS | conn->receive_mss);
    at = utcp__put_be32(at, SYN_SACK | SYN_TIMESTAMPS);
    at = utcp__put_be32(at, utcp__timestamp_now(conn));
    at = utcp__put_be32(at, tcp_flags & TCP_ACK ? conn->ts_recent : 0);
    utcp__put_be32(at, SYN_SCALE | conn->receive_scale);
}

#endif
