/* SPDX-License-Identifier: BSD-2-Clause */
/* A port that is open at a fake switch, for the tests of what a port says to it; and how they wait. */
#ifndef PORT_FIXTURE_H
#define PORT_FIXTURE_H

#include "fake_switch.h"
#include "multistack.h"

struct fixture {
    struct fake_switch *fake;
    struct ms_port *port;
    int binding; /* the test's, if it likes */
};

/* A port with so many rings; the state of cmocka's tests. */
int port_fixture_open(void **state, unsigned rings);
int port_fixture_close(void **state);

struct ms_port_info port_info(const struct ms_port *port);

/* Sleeps until the port has something to hear, and hears it, as an event loop does. Fails when nothing comes. */
void port_hear(struct ms_port *port);
/* Until the port is (or is not) connected. */
void port_await_connected(struct ms_port *port, bool connected);
/* Until it is connected, for at least so many times. */
void port_await_generation(struct ms_port *port, unsigned generation);

/* ms_wait(), again when it was interrupted: a process that is stopped and continued need not handle a signal for
 * that (signal(7)). */
int port_wait(struct ms_port *port, int timeout_ms);

#endif
