/* SPDX-License-Identifier: BSD-2-Clause */
/* User timeout, RFC 5482: how long an end will wait for acknowledgments before it gives up, told to the
 * other, so that both wait for as long. It is off unless the application asks for it by
 * UTCP_OPTION_TELL_TIMEOUT; then the value goes with the SYN (where fast open leaves room for it) and
 * with the first segment after the handshake, or after it was changed, that is not full.
 *
 * A peer's value is taken while the application has set no timeout of its own (section 3.1): the larger
 * of both, but not below 100 seconds, which is RFC 9293's R2, nor above an hour: a peer cannot make us
 * keep what it has left behind for as long as it likes. */
#include "options.h"
#include "utcp_internal.h"

#define MINUTES 0x8000 /* the value is in minutes, not in seconds */
#define LEAST   100    /* s */
#define MOST    3600

static uint32_t seconds_of(uint16_t value)
{
    return value & MINUTES ? (value & ~MINUTES) * 60u : value;
}

uint16_t utcp__timeout_encode(uint64_t seconds)
{
    return (uint16_t)(seconds < MINUTES ? seconds : MINUTES | ((seconds + 59) / 60));
}

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    (void)size;
    options->user_timeout = (uint16_t)(value[0] << 8 | value[1]);
    options->later = true;
}

static void received(struct utcp_conn *conn, const struct utcp_segment_options *options)
{
    uint32_t theirs = seconds_of(options->user_timeout), ours = seconds_of(conn->timeout_told);

    if (theirs == 0 || ours == 0 || (conn->user_timeout_ms && !conn->timeout_adopted))
        return;
    utcp__set_user_timeout(conn, 1000 * min_u32(max_u32(max_u32(ours, theirs), LEAST), MOST));
    conn->timeout_adopted = true;
}

static void negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
    received(conn, peer);
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    bool syn = tcp_flags & TCP_SYN;

    if (conn->timeout_told == 0 || tcp_flags & TCP_RST ||
        (syn ? conn->fast.wanted : !conn->timeout_due || room < TCP_OPTION_USER_TIMEOUT_LENGTH))
        return at;
    *at++ = TCP_OPTION_USER_TIMEOUT;
    *at++ = TCP_OPTION_USER_TIMEOUT_LENGTH;
    *at++ = (uint8_t)(conn->timeout_told >> 8);
    *at++ = (uint8_t)conn->timeout_told;
    return at;
}

static void sent(struct utcp_conn *conn)
{
    conn->timeout_due = false;
}

static bool due(const struct utcp_conn *conn)
{
    return conn->timeout_due;
}

const struct utcp_option_module utcp__option_user_timeout = {
    .name = "user timeout",
    .kind = TCP_OPTION_USER_TIMEOUT,
    .length = TCP_OPTION_USER_TIMEOUT_LENGTH,
    .parse = parse,
    .negotiate = negotiate,
    .received = received,
    .write = write,
    .sent = sent,
    .due = due,
};
