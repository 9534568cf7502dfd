/* SPDX-License-Identifier: BSD-2-Clause */
/* Window scale, RFC 7323 section 2: windows above 64 KiB when both SYNs carry the option. */
#include "syn.h"

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    (void)size;
    utcp__window_scale_parse(value, options);
}

static void negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
    conn->window_scale = conn->window_scale && peer->has_window_scale;
    conn->send_scale = conn->window_scale ? peer->window_scale : 0;
    if (!conn->window_scale)
        conn->receive_scale = 0;
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    (void)room;
    if (!(tcp_flags & TCP_SYN) || !conn->window_scale)
        return at;
    *at++ = TCP_OPTION_NOP;
    *at++ = TCP_OPTION_WINDOW_SCALE;
    *at++ = TCP_OPTION_WINDOW_SCALE_LENGTH;
    *at++ = conn->receive_scale;
    return at;
}

const struct utcp_option_module utcp__option_window_scale = {
    .name = "window scale",
    .kind = TCP_OPTION_WINDOW_SCALE,
    .length = TCP_OPTION_WINDOW_SCALE_LENGTH,
    .parse = parse,
    .negotiate = negotiate,
    .write = write,
};
