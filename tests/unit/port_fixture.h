/* SPDX-License-Identifier: BSD-2-Clause */
/* A port that is open at a fake switch, for the tests of what a port says to it. */
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

#endif
