/* SPDX-License-Identifier: BSD-2-Clause */
/* Maximum segment size, RFC 9293 section 3.7.1, RFC 6691: each side tells in its SYN how large a
 * segment (without IP and TCP options) it can receive. */
#include "syn.h"

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    (void)size;
    utcp__mss_parse(value, options);
}

static void negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
    utcp__mss_take(conn, peer->has_mss              ? peer->mss
                         : conn->remote.family == 4 ? UTCP_MSS_DEFAULT_IPV4
                                                    : UTCP_MSS_DEFAULT_IPV6);
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    (void)room;
    if (!(tcp_flags & TCP_SYN))
        return at;
    *at++ = TCP_OPTION_MSS;
    *at++ = TCP_OPTION_MSS_LENGTH;
    *at++ = (uint8_t)(conn->receive_mss >> 8);
    *at++ = (uint8_t)conn->receive_mss;
    return at;
}

const struct utcp_option_module utcp__option_mss = {
    .name = "mss",
    .kind = TCP_OPTION_MSS,
    .length = TCP_OPTION_MSS_LENGTH,
    .parse = parse,
    .negotiate = negotiate,
    .write = write,
};
