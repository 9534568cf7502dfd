/* SPDX-License-Identifier: BSD-2-Clause */
/* Tracepoints (USDT, doc/tracing.md): where a debugger or a tracer may stop without knowing the code. Each is
 * one `nop` and a note that tells where it is and where its arguments are; whoever traces puts a breakpoint
 * there. None is on the way of a segment that changes nothing but numbers. Names and arguments stay as
 * they are; there may be more.
 *
 * `remote` and `local` are struct utcp_endpoint *, `conn` tells connections apart. */
#ifndef UTCP_PROBES_H
#define UTCP_PROBES_H

#ifdef UTCP_USDT

#include <sys/sdt.h>

/* conn, local, remote, from and to (enum utcp_state) */
#define PROBE_STATE(conn, from, to)                                                                \
    DTRACE_PROBE5(utcp, state, (conn), &(conn)->local, &(conn)->remote, (from), (to))
/* conn, remote, sequence number, bytes of payload */
#define PROBE_RETRANSMIT(conn, seq, length)                                                        \
    DTRACE_PROBE4(utcp, retransmit, (conn), &(conn)->remote, (seq), (length))
/* conn, remote, reason ("loss", "mark", "timeout"), cwnd and ssthresh after it, bytes */
#define PROBE_REDUCE(conn, reason)                                                                 \
    DTRACE_PROBE5(utcp, reduce, (conn), &(conn)->remote, (reason), (conn)->cc.cwnd,                \
                  (conn)->cc.ssthresh)
/* conn, remote, cwnd and ssthresh after it, bytes */
#define PROBE_UNDO(conn)                                                                           \
    DTRACE_PROBE4(utcp, undo, (conn), &(conn)->remote, (conn)->cc.cwnd, (conn)->cc.ssthresh)
/* conn, remote, timeouts in a row, the timeout that ran out in µs */
#define PROBE_TIMEOUT(conn, timeout_us)                                                            \
    DTRACE_PROBE4(utcp, timeout, (conn), &(conn)->remote, (conn)->retries, (timeout_us))
/* conn, remote, whether it sends again what was sent before */
#define PROBE_TAIL_PROBE(conn, again)                                                              \
    DTRACE_PROBE3(utcp, tail_probe, (conn), &(conn)->remote, (again))
/* conn or NULL, name of the counter in struct utcp_stats */
#define PROBE_DROP(conn, reason) DTRACE_PROBE2(utcp, drop, (conn), (reason))

#else

#define PROBE_STATE(conn, from, to)         ((void)0)
#define PROBE_RETRANSMIT(conn, seq, length) ((void)0)
#define PROBE_REDUCE(conn, reason)          ((void)0)
#define PROBE_UNDO(conn)                    ((void)0)
#define PROBE_TIMEOUT(conn, timeout_us)     ((void)0)
#define PROBE_TAIL_PROBE(conn, again)       ((void)0)
#define PROBE_DROP(conn, reason)            ((void)0)

#endif

/* A segment is dropped: counted, and told. `conn` may be NULL. */
#define UTCP_DROP(stack, conn, reason)                                                             \
    do {                                                                                           \
        (stack)->stats.reason++;                                                                   \
        PROBE_DROP((conn), #reason);                                                               \
        utcp__trace_reason((conn), UTCP_TRACE_DROPPED, #reason);                                   \
    } while (0)

#endif
