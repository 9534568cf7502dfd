/* SPDX-License-Identifier: BSD-2-Clause */
/* CONTROL_PORT_OPEN: what a client may wish for, and what it gets. Its memory is made by the memory
 * thread; the connection waits for that, and for nothing else. */
#ifndef MULTISTACK_SWITCH_CONTROL_OPEN_H
#define MULTISTACK_SWITCH_CONTROL_OPEN_H

#include <stdbool.h>

#include "control_protocol.h"

struct connection;
struct port;
struct switch_core;

/* A message of the right size. False: the connection is closed. */
bool control_open_port(struct switch_core *core, struct connection *connection,
                       const struct control_port_open *wish);
/* The memory of a port is made, or is not (port->status): the port begins and the client is
 * answered, or all of it goes, if the client did. */
void control_port_made(struct switch_core *core, struct port *port);

#endif
