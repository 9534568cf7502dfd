/* SPDX-License-Identifier: BSD-2-Clause */
/* Urgent data, RFC 9293 section 3.8.5. They are data of the stream like any, and are read with it: what
 * is urgent is only known by where it ends, which a segment with URG tells even when the window is
 * closed. New applications should not use them (RFC 6093); some old ones do.
 *
 *   receiving   rcv_up is the end of what the peer calls urgent, as long as the application has not
 *               read up to it
 *   sending     snd_up, the same for what was written, as long as the peer has not acknowledged it:
 *               each segment that begins below carries URG and the distance to it */
#include <errno.h>

#include "utcp_internal.h"

#define POINTER_MAX 65535

/* The sequence number of what the application reads next. */
static uint32_t read_next(const struct utcp_conn *conn)
{
    return conn->irs + 1 + (uint32_t)conn->receive.read;
}

void utcp__urgent_received(struct utcp_conn *conn, uint32_t end)
{
    if (!seq_before(conn->urgent_in ? conn->rcv_up : read_next(conn), end))
        return;
    conn->rcv_up = end;
    conn->urgent_in = true;
    utcp__event(conn, UTCP_URGENT);
}

void utcp__urgent_read(struct utcp_conn *conn)
{
    if (seq_up_to(conn->rcv_up, read_next(conn)))
        conn->urgent_in = false;
}

uint16_t utcp__urgent_pointer(const struct utcp_conn *conn, uint32_t seq)
{
    return seq_before(seq, conn->snd_up) ? (uint16_t)min_u32(conn->snd_up - seq, POINTER_MAX) : 0;
}

size_t utcp_urgent(const struct utcp_conn *conn)
{
    return conn->urgent_in ? conn->rcv_up - read_next(conn) : 0;
}

int utcp_mark_urgent(struct utcp_conn *conn, uint64_t now)
{
    utcp__set_now(conn->stack, now);
    if (conn->error)
        return conn->error;
    if (conn->send.end - conn->send.una > INT32_MAX) /* no sequence number says so much */
        return -EMSGSIZE;
    if (conn->send.end == conn->send.una)
        return -EINVAL;
    conn->snd_up = conn->iss + 1 + (uint32_t)conn->send.end;
    conn->urgent_out = true;
    if (utcp__synchronized(conn))
        conn->ack_now = true; /* should nothing else leave that can tell of it */
    utcp__want_output(conn);
    return 0;
}
