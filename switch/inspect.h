/* SPDX-License-Identifier: BSD-2-Clause */
/* CONTROL_INSPECT: somebody wants to know what the stack of a port is doing. The switch knows no TCP and
 * does not want to: it hands a socket of the one who asks on to the port's process, and they talk without
 * it. Nothing of that waits, and a port's process that does not read is not cut off for it. */
#ifndef MULTISTACK_SWITCH_INSPECT_H
#define MULTISTACK_SWITCH_INSPECT_H

#include <stdint.h>

#define INSPECT_WINDOW_NS 1000000000ULL
#define INSPECT_MOST      16 /* of one port in that time */

struct connection;
struct switch_core;

/* `fd` stays the caller's. 0, or an error of struct control_inspect. */
int inspect_forward(struct switch_core *core, const struct connection *asker, uint32_t number,
                    int fd);

#endif
