/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket: who may have a port, and what it binds (common/control_protocol.h).
 *
 *   AWAIT_HELLO ── HELLO ──► READY ── PORT_OPEN ──► READY with a port
 *        │                     │                       │
 *        └── deadline, a message that does not fit, a client that does not read, the end ──► closed
 *
 *   state          taken                       also
 *   AWAIT_HELLO    HELLO                       closed after CONTROL_HELLO_NS
 *   READY          PORT_OPEN once, QUERY,
 *                  INSPECT, GUARD
 *   OPENING        nothing                     until the memory is there (memory_thread.h); what
 *                                              comes stays in the socket
 *   with a port    BIND, UNBIND, QUERY,        events may be sent at any time
 *                  SHARE, CONNECT, DRAIN,
 *                  INSPECT, GUARD, CAPTURE
 *
 * Whatever does not fit closes the connection, and every descriptor that came with it. Nothing here
 * waits: a reply that the socket cannot take closes the connection too, so there is no queue of
 * replies to bound. Identity is what the kernel says (SO_PEERCRED). */
#ifndef MULTISTACK_SWITCH_CONTROL_H
#define MULTISTACK_SWITCH_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "log.h"
#include "reasons.h"

#define CONTROL_HELLO_NS          (5 * 1000000000ULL) /* to say hello */
#define CONTROL_ACCEPTS_PER_TURN  16
#define CONTROL_MESSAGES_PER_TURN 16
#define CONTROL_SPARE_CONNECTIONS 64  /* beyond one for each port: for queries */
#define CONTROL_ROOT_CONNECTIONS  8   /* of those, for root alone */
#define CONTROL_SPARE_PER_UID     16  /* beyond one for each port that a user may open */
#define CONTROL_AUDITS_PER_TICK   256 /* placeholders checked again in each housekeeping */

struct binding;
struct port;
struct switch_core;

struct connection {
    int fd; /* -1: the slot is free */
    uint32_t generation;
    bool greeted;
    pid_t pid;
    uid_t uid;
    uint64_t deadline_ns; /* to say hello */
    bool opening;         /* its port is being made; nothing is read meanwhile */
    bool news_wait;       /* addresses came or went that it was not told of (suspension.h) */
    struct port *port;
};

struct control {
    int listen_fd;
    int spare_fd; /* given up for a moment when there are no descriptors left */
    bool deaf;    /* nothing could be accepted; the listener is not watched for a moment */
    struct connection *connections;
    uint32_t capacity;
    uint32_t count;
    uint32_t audit_next; /* binding to check again */
    uint32_t news_next;  /* connection whose news_wait is looked at next */
    struct log_limit limit;
};

/* Takes `listen_fd` (non-blocking; -1: none) over. 0 or a negative errno. */
int control_init(struct switch_core *core, int listen_fd);
/* Closes all connections and with them all ports. */
void control_dispose(struct switch_core *core);

/* Event handlers; the first worker calls them. */
void control_accept(struct switch_core *core);
void control_serve(struct switch_core *core, uint32_t index, uint32_t generation, uint32_t events);

/* Takes a connection on, as accept() gives it; tests use one end of a socket pair. The descriptor is
 * taken over. */
void control_adopt(struct switch_core *core, int fd);

/* For the files that answer requests. control_reply(): false: the client does not read, and the
 * connection is closed. control_end(): closes it, with its port. */
bool control_reply(struct switch_core *core, struct connection *connection, const void *message,
                   const int *fds, uint32_t fd_count);
void control_end(struct switch_core *core, struct connection *connection,
                 enum detach_reason reason);

/* Whether the client is root or of the administrators' group (--admin-group). */
bool control_is_administrator(const struct switch_core *core, const struct connection *connection);

/* Whose port it is. */
struct connection *control_connection_of(const struct switch_core *core, const struct port *port);

/* Closes the ports that the data path found broken. */
void control_reap(struct switch_core *core);
/* What is due by time: hellos that did not come, placeholders to check again. */
void control_housekeep(struct switch_core *core);
/* The answer to a BIND that had to wait; and CONTROL_EVENT_*, to the binding's port. A client that
 * does not read is cut off. */
void control_send_bound(struct switch_core *core, const struct binding *binding);
void control_send_binding_event(struct switch_core *core, const struct binding *binding,
                                uint32_t kind, uint32_t detail);
/* CONTROL_EVENT_* without more than a number. The connection may be closed behind it. */
void control_send_event(struct switch_core *core, struct connection *connection, uint32_t kind,
                        uint32_t value);
/* Tells every port the smallest MTU. */
void control_announce_mtu(struct switch_core *core, uint32_t mtu);

#endif
