/* SPDX-License-Identifier: BSD-2-Clause */
/* Fast open, RFC 7413 section 4.1.1: the option is a cookie, or, when it is empty, asks for one. What
 * is done with it: ../fastopen.c.
 *
 * Before it had a number of its own it was an experimental option (RFC 6994), which some hosts still
 * send and some networks still let through where they drop the other: it is taken, and answered in
 * kind. */
#include <string.h>

#include "options.h"
#include "utcp_internal.h"

#define MAGIC      0xf989 /* of the experiment */
#define MAGIC_SIZE 2

/* RFC 7413 section 4.1.1: 4 to 16 bytes, an even number of them. Others are as if not there. */
static bool valid_size(uint32_t size)
{
    return size == 0 ||
           (size >= UTCP_COOKIE_MIN && size <= UTCP_COOKIE_MAX && size % UTCP_COOKIE_STEP == 0);
}

static void take(const uint8_t *value, uint32_t size, bool experimental,
                 struct utcp_segment_options *options)
{
    if (options->has_fast_open || !valid_size(size))
        return;
    options->has_fast_open = true;
    options->fast_open_experimental = experimental;
    options->cookie = value;
    options->cookie_size = (uint8_t)size;
}

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    take(value, size, false, options);
}

static void parse_experimental(const uint8_t *value, uint32_t size,
                               struct utcp_segment_options *options)
{
    if (size >= MAGIC_SIZE && (value[0] << 8 | value[1]) == MAGIC)
        take(value + MAGIC_SIZE, size - MAGIC_SIZE, true, options);
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    uint8_t cookie[UTCP_COOKIE_MAX], size, *start = at;

    (void)room;
    if (!(tcp_flags & TCP_SYN) || !utcp__fast_open_option(conn, tcp_flags, cookie, &size))
        return at;
    if (conn->fast.experimental) {
        *at++ = TCP_OPTION_EXPERIMENTAL;
        *at++ = (uint8_t)(2 + MAGIC_SIZE + size);
        *at++ = MAGIC >> 8;
        *at++ = MAGIC & 0xff;
    } else {
        *at++ = TCP_OPTION_FAST_OPEN;
        *at++ = (uint8_t)(2 + size);
    }
    memcpy(at, cookie, size);
    at += size;
    while ((at - start) % 4)
        *at++ = TCP_OPTION_NOP;
    return at;
}

const struct utcp_option_module utcp__option_fast_open = {
    .name = "fast open",
    .kind = TCP_OPTION_FAST_OPEN,
    .parse = parse,
    .write = write,
};

const struct utcp_option_module utcp__option_fast_open_experimental = {
    .name = "fast open (experimental)",
    .kind = TCP_OPTION_EXPERIMENTAL,
    .parse = parse_experimental,
};
