/* SPDX-License-Identifier: BSD-2-Clause */
/* One end of the control socket (common/control_protocol.h): connect, send a message, receive a
 * checked one. Knows no order of messages: that is session.c's (for ports) and the operator's
 * command's (for queries), which share this file.
 *
 * Errors are negative errno values. */
#ifndef MULTISTACK_CONTROL_CLIENT_H
#define MULTISTACK_CONTROL_CLIENT_H

#include "control_protocol.h"

#include <stdbool.h>
#include <stdint.h>

/* A message as received, with the descriptors that came with it. */
struct control_message {
    union {
        struct control_header header;
        struct control_welcome welcome;
        struct control_port_opened port_opened;
        struct control_bound bound;
        struct control_unbound unbound;
        struct control_records records;
        struct control_event event;
        struct control_connected connected;
        struct control_guarded guarded;
        struct control_captured captured;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    };
    int fds[CONTROL_FDS_MAX];
    uint32_t fd_count;
};

/* `path`, or what the environment says, or the default. */
const char *control_client__path(const char *path);

/* Connects to the switch; the socket does not block. Errors: -ENOENT, -ECONNREFUSED, -EACCES,
 * -EAGAIN (its queue is full, try again), -ENAMETOOLONG, -EMFILE … */
int control_client__connect(const char *path);

/* Sends one message, and `passed_fd` with it unless that is -1. Errors: -EAGAIN (try again when
 * writable), -EPIPE, -ECONNRESET … */
int control_client__send(int socket_fd, const void *message, int passed_fd);

/* Sends HELLO. */
int control_client__hello(int socket_fd, uint32_t request);

/* Receives one message whose size fits its type. The descriptors in it are the caller's to close
 * (control_client__close_fds) unless it fails. Errors: -EAGAIN (none is there), -ECONNRESET (the
 * switch closed), -EPROTO (what came is not a message of the switch's), -EMFILE (descriptors were
 * lost because this process has too many). */
int control_client__receive(int socket_fd, struct control_message *message);

void control_client__close_fds(struct control_message *message);

/* What a WELCOME says: 0, or why not. */
int control_client__check_welcome(const struct control_message *message);

/* Waits for the socket: `events` as poll(2), `deadline_ms` as control_client__now_ms(). Errors:
 * -ETIMEDOUT. */
int control_client__wait(int socket_fd, short events, int64_t deadline_ms);

/* CLOCK_MONOTONIC in milliseconds. */
int64_t control_client__now_ms(void);

#endif
