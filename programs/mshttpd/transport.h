/* SPDX-License-Identifier: BSD-2-Clause */
/* What the HTTP server asks of a TCP: one small table of operations, and two that fill it in, UTCP
 * in this process (transport_utcp.c) and the kernel's sockets (transport_kernel.c).
 *
 * All of it is non-blocking and belongs to one thread. The server gives the time away in step(),
 * which waits, hands what happened to the handler as one batch, and sends what the handler wrote.
 *
 * Events tell of a change, once: whoever reads or writes less than there is room for gets no second
 * event, and must remember. Errors are negative errno values. */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "file_cache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define TRANSPORT_LISTENERS_MAX 16

/* Part of each connection of the server, which owns its memory. */
struct transport_conn {
    union {
        struct utcp_conn *utcp;
        int fd;
    };
    /* UTCP: pieces of a large file that were read for this connection and are not acknowledged. */
    struct piece *pieces;
    unsigned piece_count, piece_limit;
    bool refill_wanted;
    TAILQ_ENTRY(transport_conn) refill_link;
};

enum transport_event_flags {
    TRANSPORT_ACCEPTABLE = 0x1, /* `conn` is NULL: a listener has connections */
    TRANSPORT_READABLE = 0x2,
    TRANSPORT_WRITABLE = 0x4, /* there is room again, or something was acknowledged */
    TRANSPORT_FINISHED = 0x8, /* the peer sends no more: behind what can be read comes the end */
    TRANSPORT_ERROR = 0x10,   /* the connection is dead; close it */
};

struct transport_event {
    struct transport_conn *conn;
    unsigned flags;
};

struct transport_handler {
    /* At most one event for each connection in a batch. */
    void (*events)(void *context, const struct transport_event *events, unsigned count);
    /* All listeners were handed over to others (`away`), or one has come back. */
    void (*handed_over)(void *context, bool away);
    /* Nothing comes to a listener for now, because of `error` (a negative errno), or (0) it does again.
     */
    void (*suspended)(void *context, const struct sockaddr *address, int error);
    /* struct ms_runtime_options */
    void (*guarded)(void *context, const struct sockaddr *address, int status);
    void *context;
};

struct transport_options {
    const char *control;    /* of the switch; NULL: the default (UTCP only) */
    const char *congestion; /* NULL: the default */
    unsigned connections_max;
    /* Limits of the stack, see struct utcp_config; 0: its defaults (UTCP only). */
    uint64_t memory_max, stall_max_us;
    uint32_t challenge_acks_max;
    uint32_t stack_flags; /* UTCP_NO_*, UTCP_ALWAYS_* (UTCP only) */
    uint64_t fast_open; /* connections whose request came with the SYN, and that are not sure yet */
    uint8_t fast_open_key[16]; /* of their cookies: all threads have the same (UTCP only) */
    int nic_cookies;           /* enum runtime_nic_cookies (UTCP only) */
    uint32_t busy_poll_us;     /* struct ms_runtime_options (UTCP only) */
    uint32_t wake_packets, wake_delay_us;
    bool shared;   /* listen where others listen, too */
    bool stays;    /* these are threads of the same server: leave() is not for them */
    bool takeover; /* succeed those who listen (UTCP only) */
};

struct transport;

struct transport_ops {
    /* Errors are told on standard error, with the hint that they need. */
    struct transport *(*open)(const struct transport_options *options,
                              const struct transport_handler *handler);
    void (*close)(struct transport *transport);

    /* All listeners together are one to the server. Returns 0 or an error; of what is not about the
     * address, standard error says more. */
    int (*listen)(struct transport *transport, const struct sockaddr *address, socklen_t size);
    void (*stop_listening)(struct transport *transport);
    /* Leaves new connections to the others that listen there: handed_over() follows. False: there
     * are none. NULL: it cannot be done. */
    bool (*leave)(struct transport *transport);

    /* Takes the next connection into *conn. -EAGAIN: there is none, an event will follow; others:
     * there is no means to take it (-EMFILE), an event may not follow. */
    int (*accept)(struct transport *transport, struct transport_conn *conn);

    /* Waits until something happens or `until` (µs) has come, and has it handled. 0, or an error
     * that ends the server. */
    int (*step)(struct transport *transport, uint64_t until);
    /* Ends step(); may be called by a signal handler. */
    void (*wake)(struct transport *transport);
    /* True when nothing that was written is still on its way: it is safe to end the process. */
    bool (*drained)(const struct transport *transport);

    /* As read(2): 0 is the end, -EAGAIN nothing yet. Less than `size`: that was all there is. */
    ptrdiff_t (*read)(struct transport *transport, struct transport_conn *conn, void *to,
                      size_t size);
    /* Sends `head` (by copy) and then `length` bytes of `file` from `offset` on (by reference;
     * `file` may be NULL). Returns how many bytes of both together were taken; when that is not
     * all, a TRANSPORT_WRITABLE will follow. -ENODATA: the file has become shorter. `last`: the
     * end of the connection follows at once, and may go with these bytes. */
    ptrdiff_t (*send)(struct transport *transport, struct transport_conn *conn, const void *head,
                      size_t head_size, struct file *file, uint64_t offset, uint64_t length,
                      bool last);
    /* So much is on its way that no more should be made: a TRANSPORT_WRITABLE will follow. */
    bool (*congested)(const struct transport_conn *conn);
    /* Bytes written and not acknowledged. */
    uint64_t (*outstanding)(const struct transport_conn *conn);
    void (*peer)(const struct transport_conn *conn, struct sockaddr_storage *address);

    void (*shutdown)(struct transport *transport, struct transport_conn *conn);
    /* What was written is still delivered. */
    void (*release)(struct transport *transport, struct transport_conn *conn);
    void (*abort)(struct transport *transport, struct transport_conn *conn);
};

/* What all transports begin with. */
struct transport {
    const struct transport_ops *ops;
    struct transport_handler handler;
    uint64_t now; /* µs of CLOCK_MONOTONIC, read once for each batch */
};

extern const struct transport_ops transport_kernel;
extern const struct transport_ops transport_utcp;

#endif
