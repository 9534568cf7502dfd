/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two parts of header prediction have in common: prediction.c, for what comes while a connection lasts,
 * and prediction_ends.c, for what opens and closes it. */
#ifndef UTCP_PREDICTION_H
#define UTCP_PREDICTION_H

#include <arpa/inet.h>
#include <string.h>

#include "options/options.h"
#include "steps.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define never(x)    __builtin_expect_with_probability(!!(x), 0, 0.999)

/* What nearly every segment goes through is written so that the compiler needs no stack for it: a function
 * that finds out, calls nothing and ends by calling one that acts. */
#define inlined static inline __attribute__((always_inline))
#define apart   static __attribute__((noinline))

/* Bytes of a header with timestamps. */
#define STAMPED (TCP_HEADER_MIN + UTCP_OPTIONS_USUAL)

/* A header of so many bytes, and these flags, perhaps PSH: in one comparison. */
inlined bool has_form(const struct wire_tcp *tcp, uint32_t header, uint16_t flags)
{
    be16 form;

    memcpy(&form, &tcp->data_offset, sizeof(form));
    return (form & htons((uint16_t)~TCP_PSH)) == htons((uint16_t)(header / 4 << 12 | flags));
}

static_assert(offsetof(struct wire_tcp, flags) == offsetof(struct wire_tcp, data_offset) + 1,
              "in has_form()");

inlined const uint8_t *options(const struct wire_tcp *tcp)
{
    return (const uint8_t *)(tcp + 1);
}

/* Of a segment with timestamps. */
inlined uint32_t ts_value(const struct wire_tcp *tcp)
{
    return utcp__get_be32(options(tcp) + 4);
}

inlined uint32_t ts_echo(const struct wire_tcp *tcp)
{
    return utcp__get_be32(options(tcp) + 8);
}

inlined uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Of a header with timestamps, `text` bytes behind it, and these flags. */
inlined bool is_stamped_with(const struct wire_tcp *tcp, int32_t text, uint8_t flags)
{
    return has_form(tcp, STAMPED, flags) && text >= 0 &&
           word(options(tcp)) == htonl(UTCP_TIMESTAMPS_USUAL);
}

inlined bool is_stamped(const struct wire_tcp *tcp, int32_t text)
{
    return is_stamped_with(tcp, text, TCP_ACK);
}

/* What every segment says. */
inlined void take_headers(struct utcp_conn *conn, uint64_t now, uint32_t next, bool stamped,
                          uint32_t stamp)
{
    if (stamped && seq_up_to(next, conn->last_ack)) {
        conn->ts_recent = stamp;
        conn->ts_recent_at = now;
    }
    conn->heard_at = now;
}

/* ── prediction_ends.c ─────────────────────────────────────────────────────────────────────── */

/* A segment of `left` bytes, header included, in the packet at `data`, whose IP header is sound and bears no mark of
 * congestion, for a connection in SYN-RECEIVED, or any with FIN. What is not as predicted goes on to
 * utcp__input_sound(). */
void utcp__take_opening(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left);
void utcp__take_closing(struct utcp_conn *conn, const uint8_t *data, const struct wire_tcp *tcp,
                        uint32_t left);

#endif
