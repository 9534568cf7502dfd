/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of option modules and the walks over it: options.h. */
#include <assert.h>
#include <string.h>

#include "syn.h"

/* In the order in which they are written, which is that of Linux: a middlebox has seen it before. */
static const struct utcp_option_module *const modules[] = {
    &utcp__option_mss,          &utcp__option_sack_permitted, &utcp__option_timestamps,
    &utcp__option_window_scale, &utcp__option_fast_open,      &utcp__option_fast_open_experimental,
    &utcp__option_user_timeout, &utcp__option_accecn0,        &utcp__option_accecn1,
    &utcp__option_sack, /* the last: it takes what room there is */
};

#define MODULES (sizeof(modules) / sizeof(modules[0]))

/* False: these are others than the usual SYN's. */
static bool usual_syn(const uint8_t *at, uint32_t size, struct utcp_segment_options *options)
{
    if (!utcp__syn_options_are(at, size))
        return false;
    utcp__mss_parse(at + 2, options);
    options->sack_permitted = true;
    utcp__timestamps_parse(at + 8, options);
    utcp__window_scale_parse(at + 19, options);
    options->usual_syn = options->has_mss;
    return true;
}

void utcp__options_parse(const uint8_t *at, uint32_t size, struct utcp_segment_options *options)
{
    const uint8_t *end = at + size;
    uint32_t seen = 0; /* bit by index of the module */

    /* All but the blocks: `sacks` tells how many are set. */
    memset(options, 0, offsetof(struct utcp_segment_options, sack));
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
    if (peer->usual_syn &&
        utcp__syn_options_due(conn)) { /* what is offered, the peer offers, too */
        utcp__mss_take(conn, peer->mss);
        utcp__timestamps_take(conn, peer->ts_value);
        conn->send_scale = peer->window_scale;
        return;
    }
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
    return conn->report.count || conn->report.duplicate_due || conn->options_due;
}

/* Not inlined: what it saves and restores is more than all that usual segments need. */
static __attribute__((noinline)) uint8_t write_all(const struct utcp_conn *conn, uint8_t tcp_flags,
                                                   uint32_t room, uint8_t *at)
{
    uint8_t *end = at;

    for (unsigned i = 0; i < MODULES; i++) {
        uint32_t left = room - min_u32(room, (uint32_t)(end - at));

        if (modules[i]->write)
            end = modules[i]->write(conn, tcp_flags, left, end);
    }
    assert(end - at <= UTCP_OPTIONS_MAX && (end - at) % 4 == 0);
    return (uint8_t)(end - at);
}

uint8_t utcp__options_write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room,
                            uint8_t *at)
{
    if ((tcp_flags & (TCP_SYN | TCP_RST)) == TCP_SYN && utcp__syn_options_due(conn)) {
        utcp__syn_options_put(conn, tcp_flags, at);
        return UTCP_OPTIONS_SYN;
    }
    if (tcp_flags & TCP_SYN) /* not shared with data that would be as important */
        return write_all(conn, tcp_flags, UTCP_OPTIONS_MAX, at);
    if (utcp__options_wanted(conn))
        return write_all(conn, tcp_flags, room, at);
    /* Nearly every segment: only timestamps have something to write. */
    return (uint8_t)(utcp__option_timestamps.write(conn, tcp_flags, room, at) - at);
}

void utcp__options_sent(struct utcp_conn *conn, const uint8_t *at, uint32_t size)
{
    const uint8_t *end = at + size;

    for (; at < end; at += *at == TCP_OPTION_NOP ? 1 : at[1]) /* our own, and so well formed */
        for (unsigned i = 0; i < MODULES; i++)
            if (modules[i]->sent && modules[i]->kind == *at)
                modules[i]->sent(conn);
    conn->options_due = false;
    for (unsigned i = 0; i < MODULES; i++)
        conn->options_due |= modules[i]->due && modules[i]->due(conn);
}

uint8_t utcp__options_size(const struct utcp_conn *conn)
{
    return conn->timestamps ? UTCP_OPTIONS_USUAL : 0; /* all others wait for room */
}
