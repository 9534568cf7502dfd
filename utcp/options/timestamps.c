/* SPDX-License-Identifier: BSD-2-Clause */
/* Timestamps, RFC 7323 section 3: round-trip times that retransmissions do not spoil, and the
 * protection against wrapped sequence numbers (PAWS, input.c).
 *
 * The clock ticks in milliseconds. Each pair of endpoints has its own offset (section 5.4), the
 * same for connections that follow one another, so that time goes on between them (RFC 6191). */
#include <string.h>

#include "syn.h"

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    (void)size;
    utcp__timestamps_parse(value, options);
}

bool utcp__timestamps_alone(const uint8_t *at, uint32_t size, struct utcp_segment_options *options)
{
    if (size != UTCP_OPTIONS_USUAL || utcp__get_be32(at) != UTCP_TIMESTAMPS_USUAL)
        return false;
    utcp__timestamps_parse(at + 4, options);
    return true;
}

static void negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
    conn->timestamps = conn->timestamps && peer->has_timestamps;
    if (conn->timestamps)
        utcp__timestamps_take(conn, peer->ts_value);
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    (void)room;
    if (!conn->timestamps)
        return at;
    if (!(tcp_flags & TCP_SYN) || !conn->sack) { /* SACK-permitted stands there otherwise */
        *at++ = TCP_OPTION_NOP;
        *at++ = TCP_OPTION_NOP;
    }
    *at++ = TCP_OPTION_TIMESTAMPS;
    *at++ = TCP_OPTION_TIMESTAMPS_LENGTH;
    at = utcp__put_be32(at, utcp__timestamp_now(conn));
    return utcp__put_be32(at, tcp_flags & TCP_ACK ? conn->ts_recent : 0);
}

const struct utcp_option_module utcp__option_timestamps = {
    .name = "timestamps",
    .kind = TCP_OPTION_TIMESTAMPS,
    .length = TCP_OPTION_TIMESTAMPS_LENGTH,
    .parse = parse,
    .negotiate = negotiate,
    .write = write,
};
