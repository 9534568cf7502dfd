/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of option modules and the walks over it: options.h. */
#include <assert.h>

#include "options.h"
#include "utcp_internal.h"

/* In the order in which they are written, which is that of Linux: a middlebox has seen it before. */
static const struct utcp_option_module *const modules[] = {
    &utcp__option_mss,          &utcp__option_sack_permitted, &utcp__option_timestamps,
    &utcp__option_window_scale, &utcp__option_fast_open,      &utcp__option_fast_open_experimental,
    &utcp__option_user_timeout, &utcp__option_sack, /* the last: it takes what room there is */
};

#define MODULES (sizeof(modules) / sizeof(modules[0]))

/* ── The usual SYN's ───────────────────────────────────────────────────────────────────────── */

/* MSS, SACK permitted, timestamps, a NOP, window scale: what most hosts send, in the order in which we
 * and Linux do. These words tell of it, but for the values. */
#define SYN_USUAL      20
#define SYN_MSS        ((uint32_t)TCP_OPTION_MSS << 24 | (uint32_t)TCP_OPTION_MSS_LENGTH << 16)
#define SYN_TIMESTAMPS (UTCP_TIMESTAMPS_USUAL & 0xffff)
#define SYN_SACK                                                                                   \
    ((uint32_t)TCP_OPTION_SACK_PERMITTED << 24 | (uint32_t)TCP_OPTION_SACK_PERMITTED_LENGTH << 16)
#define SYN_SCALE                                                                                  \
    ((uint32_t)TCP_OPTION_NOP << 24 | (uint32_t)TCP_OPTION_WINDOW_SCALE << 16 |                    \
     (uint32_t)TCP_OPTION_WINDOW_SCALE_LENGTH << 8)

/* False: these are others. */
static bool usual_syn(const uint8_t *at, uint32_t size, struct utcp_segment_options *options)
{
    if (size != SYN_USUAL || utcp__get_be32(at + 4) != (SYN_SACK | SYN_TIMESTAMPS) ||
        (utcp__get_be32(at) & 0xffff0000) != SYN_MSS ||
        (utcp__get_be32(at + 16) & 0xffffff00) != SYN_SCALE)
        return false;
    utcp__option_mss.parse(at + 2, 2, options);
    utcp__option_sack_permitted.parse(at + 6, 0, options);
    utcp__option_timestamps.parse(at + 8, 8, options);
    utcp__option_window_scale.parse(at + 19, 1, options);
    return true;
}

/* False: more is to be written, or less. */
static bool write_usual_syn(const struct utcp_conn *conn, uint8_t tcp_flags, uint8_t *at)
{
    if (!conn->sack || !conn->timestamps || !conn->window_scale || conn->timeout_told ||
        conn->fast.option != FAST_OPTION_NONE)
        return false;
    at = utcp__put_be32(at, SYN_MSS | conn->receive_mss);
    at = utcp__put_be32(at, SYN_SACK | SYN_TIMESTAMPS);
    at = utcp__put_be32(at, utcp__timestamp_now(conn));
    at = utcp__put_be32(at, tcp_flags & TCP_ACK ? conn->ts_recent : 0);
    utcp__put_be32(at, SYN_SCALE | conn->receive_scale);
    return true;
}

/* ── Any ───────────────────────────────────────────────────────────────────────────────────── */

void utcp__options_parse(const uint8_t *at, uint32_t size, struct utcp_segment_options *options)
{
    const uint8_t *end = at + size;
    uint32_t seen = 0; /* bit by index of the module */

    *options = (struct utcp_segment_options){0};
    if (utcp__timestamps_alone(at, size, options) || usual_syn(at, size, options))
        return; /* nearly every segment */
    while (at < end && *at != TCP_OPTION_END) {
        if (*at == TCP_OPTION_NOP) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at)
            return;
        for (unsigned i = 0; i < MODULES; i++) {
            if (at[0] != modules[i]->kind || seen & 1u << i ||
                (modules[i]->length && at[1] != modules[i]->length))
                continue;
            seen |= 1u << i;
            modules[i]->parse(at + 2, at[1] - 2u, options);
            break;
        }
        at += at[1];
    }
}

void utcp__options_negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
#pragma GCC unroll 16
    for (unsigned i = 0; i < MODULES; i++) /* unrolled, the compiler knows whom it calls */
        if (modules[i]->negotiate)
            modules[i]->negotiate(conn, peer);
}

void utcp__options_received(struct utcp_conn *conn, const struct utcp_segment_options *options)
{
    for (unsigned i = 0; i < MODULES; i++)
        if (modules[i]->received)
            modules[i]->received(conn, options);
}

bool utcp__options_wanted(const struct utcp_conn *conn)
{
    return conn->report.count || conn->report.duplicate_due || conn->timeout_due;
}

/* Not inlined: what it saves and restores is more than all that usual segments need. */
static __attribute__((noinline)) uint8_t write_all(const struct utcp_conn *conn, uint8_t tcp_flags,
                                                   uint32_t room, uint8_t *at)
{
    uint8_t *end = at;

    for (unsigned i = 0; i < MODULES; i++)
        end = modules[i]->write(conn, tcp_flags, room - min_u32(room, (uint32_t)(end - at)), end);
    assert(end - at <= UTCP_OPTIONS_MAX && (end - at) % 4 == 0);
    return (uint8_t)(end - at);
}

uint8_t utcp__options_write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room,
                            uint8_t *at)
{
    if ((tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN && write_usual_syn(conn, tcp_flags, at))
        return SYN_USUAL;
    if (tcp_flags & TCP_SYN || utcp__options_wanted(conn))
        return write_all(conn, tcp_flags, room, at);
    /* Nearly every segment: only timestamps have something to write. */
    return (uint8_t)(utcp__option_timestamps.write(conn, tcp_flags, room, at) - at);
}

uint8_t utcp__options_size(const struct utcp_conn *conn)
{
    return conn->timestamps ? UTCP_OPTIONS_USUAL : 0; /* all others wait for room */
}
