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

/* Whether `fd` reserves `address`, in the network namespace that `netns_cookie` names, and stays
 * silent: locks a filter on it that drops everything where there is none. 0, or a negative errno:
 *   -ENOTSOCK, -EBADF          not a socket
 *   -EPROTONOSUPPORT           not TCP or UDP, or not over IPv4 or IPv6
 *   -EINVAL                    another protocol or address than was said, port 0, connected, IPv6
 *                              that takes IPv4 too, TCP that does not listen, or a filter that lets
 *                              something through
 *   -EXDEV                     of another network namespace
 *   -EADDRINUSE                shared with others: SO_REUSEADDR or SO_REUSEPORT */
int placeholder_verify(int fd, const struct control_address *address, uint64_t netns_cookie);

/* Whether it still does. */
bool placeholder_holds(int fd, const struct control_address *address);

#endif
