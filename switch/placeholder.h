/* SPDX-License-Identifier: BSD-2-Clause */
/* Placeholders: the kernel sockets that reserve bindings (design.md, D2). The application bound it,
 * so the kernel has checked privilege and conflicts; the switch makes sure that it is what it should
 * be, and goes on making sure, since the application keeps a descriptor of it.
 *
 * Checked on a socket that somebody else holds too, so every answer may be old when it is read. What
 * may change for the worse afterwards, placeholder_holds() finds out later. */
#ifndef MULTISTACK_SWITCH_PLACEHOLDER_H
#define MULTISTACK_SWITCH_PLACEHOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "control_protocol.h"

/* Whether `fd` reserves `address`, in the network namespace that `netns_cookie` names; and makes it
 * silent where it is not: locks a filter on it that drops everything, and then has TCP listen.
 * `silencer_fd` is such a filter as a loaded program, or -1; where there is none a classic one is
 * tried, which newer kernels refuse on TCP sockets to all but CAP_NET_ADMIN. 0, or a negative errno:
 *   -ENOTSOCK, -EBADF          not a socket
 *   -EPROTONOSUPPORT           not TCP or UDP, or not over IPv4 or IPv6
 *   -EINVAL                    another protocol or address than was said, port 0, connected, or
 *                              IPv6 that takes IPv4 too, or a filter that lets something through
 *   -EPERM                     nobody here may silence it
 *   -EXDEV                     of another network namespace
 *   -EADDRINUSE                shared with others: SO_REUSEADDR, or SO_REUSEPORT without `shared`
 *   -EINVAL                    `shared`, and no SO_REUSEPORT: the kernel would let nobody join */
int placeholder_verify(int fd, const struct control_address *address, uint64_t netns_cookie,
                       int silencer_fd, bool shared);

/* For `silencer_fd`, where the switch has no NIC of the kernel's, only wires: the host stack hears
 * nothing of what is bound, so there is nothing to be silent about. Such a socket need not listen. */
#define PLACEHOLDER_UNHEARD (-2)

/* Whether it still does. `shared`: it may have SO_REUSEPORT. */
bool placeholder_holds(int fd, const struct control_address *address, int silencer_fd, bool shared);

/* What tells the socket from every other one as long as the host runs, and stays the same when it is
 * presented again; 0: the kernel does not say. */
/* Whether the kernel's sockets of this protocol take datagrams, also those to groups. */
bool placeholder_takes_datagrams(uint8_t protocol);

uint64_t placeholder_cookie(int fd);

/* Whether the kernel lets other sockets of the same user, which ask for it, be bound beside it. */
void placeholder_let_in(int fd, bool others);

#endif
