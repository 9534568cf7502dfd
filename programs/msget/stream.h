/* SPDX-License-Identifier: BSD-2-Clause */
/* One TCP connection, with blocking calls, on UTCP or on the kernel's sockets: for programs that do
 * one thing after another. Errors are negative errno values; -ETIMEDOUT when nothing has moved for
 * `timeout_ms`. */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct stream;

struct stream_options {
    bool kernel;         /* else UTCP */
    const char *control; /* of the switch; NULL: the default */
    const char *name;    /* of the port */
    int timeout_ms;
    const char *congestion; /* by the stack's own name; NULL: its default */
    uint32_t stack_flags;   /* UTCP_NO_*, UTCP_ASK_*; the kernel's are for all, by sysctl(8) */
    /* What is written stays as it is until stream_close() and is not copied (utcp_write_ref()). UTCP alone. */
    bool by_reference;
};

/* What was agreed on, and what became of what was sent. */
struct stream_info {
    bool timestamps, window_scale, sack, ecn;
    /* RFC 9768, UTCP alone: packets that came marked, and ours, by the peer */
    bool ecn_accurate;
    uint64_t ecn_marked_in, ecn_marked_told;
    uint64_t ecn_ce_in, ecn_ce_told; /* bytes of payload */
    uint64_t retransmitted;          /* segments */
    uint64_t timeouts;               /* UTCP alone */
    uint64_t spurious;               /* recoveries that were undone, UTCP alone */
    uint64_t rtt_us;                 /* smoothed; 0: not known */
};

/* Opens the stack. When there is no switch, standard error says so. */
int stream_open(struct stream **stream, const struct stream_options *options);

/* Makes the one connection. stream_accept() calls `ready` when the listener stands. */
int stream_connect(struct stream *stream, const struct sockaddr *address, socklen_t length);
int stream_accept(struct stream *stream, const struct sockaddr *address, socklen_t length,
                  void (*ready)(void));

/* As read(2); blocks until there is something. */
ptrdiff_t stream_read(struct stream *stream, void *to, size_t size);
/* All of it, or an error. */
int stream_write(struct stream *stream, const void *data, size_t size);
/* The peer shall see the end of what was written. */
int stream_finish(struct stream *stream);

/* Of the connection that there is. */
void stream_info(const struct stream *stream, struct stream_info *info);

/* Ends the connection in order and waits until all is delivered (or the timeout); after an error just
 * ends it. Then frees. */
void stream_close(struct stream *stream);

#endif
