/* SPDX-License-Identifier: BSD-2-Clause */
/* What the load generator asks of a TCP: a small table of operations, filled in twice, by UTCP in this
 * process (client_utcp.c) and by the kernel's sockets (client_kernel.c). Non-blocking, and of one thread.
 *
 * Events tell of a change, once. Errors are negative errno values. Times are µs of CLOCK_MONOTONIC. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct utcp_conn;

/* Part of each session, which owns its memory. */
struct client_conn {
    union {
        struct utcp_conn *utcp;
        int fd;
    };
};

#define CLIENT_CONNECTED 0x1 /* or: there is room to send again */
#define CLIENT_READABLE  0x2
#define CLIENT_FINISHED  0x4 /* the peer sends no more: the end is behind what can be read */
#define CLIENT_ERROR     0x8 /* it is dead: `error` says why */

struct client_event {
    struct client_conn *conn;
    unsigned flags; /* CLIENT_* */
    int error;
};

struct client_options {
    const char *control;    /* of the switch; NULL: the default (UTCP only) */
    const char *congestion; /* NULL: the default */
    unsigned connections;   /* that there will be at once */
    uint32_t local_ports;   /* of a range, as struct ms_runtime_options has them (UTCP only) */
    void (*events)(void *context, const struct client_event *events, unsigned count);
    void *context;
};

struct client {
    const struct client_ops *ops;
    uint64_t now;    /* of the batch at hand */
    uint64_t now_ns; /* the same instant in ns, for what is measured */
};

struct client_ops {
    /* Errors are told on standard error, with the hint that they need. */
    struct client *(*open)(const struct client_options *options);
    void (*close)(struct client *client);
    /* Begins to connect. CLIENT_CONNECTED or CLIENT_ERROR will follow. */
    int (*connect)(struct client *client, struct client_conn *conn, const struct sockaddr *to,
                   socklen_t size);
    /* How many bytes were taken; a request is small, so usually all. */
    ptrdiff_t (*send)(struct client *client, struct client_conn *conn, const void *data,
                      size_t size);
    /* As read(2): 0 is the end, -EAGAIN nothing yet. */
    ptrdiff_t (*read)(struct client *client, struct client_conn *conn, void *to, size_t size);
    void (*release)(struct client *client, struct client_conn *conn); /* in order */
    void (*abort)(struct client *client, struct client_conn *conn);   /* by RST */
    /* Waits until something happens or `until` has come, and has it handled. 0, or an error that ends
     * it all. */
    int (*step)(struct client *client, uint64_t until);
    void (*wake)(struct client *client); /* any thread, and signal handlers */
};

extern const struct client_ops client_kernel, client_utcp;

#endif
