/* SPDX-License-Identifier: BSD-2-Clause */
/* port_fixture.h */
#include "port_fixture.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PATIENCE_MS 10000

int port_fixture_open(void **state, unsigned rings)
{
    static struct fixture fixture;
    struct ms_port_options options = {.size = sizeof(options), .rings = rings};

    fixture.fake = fake_switch_new();
    options.control_path = fixture.fake->path;
    *state = &fixture;
    return ms_port_open(&fixture.port, &options);
}

int port_fixture_close(void **state)
{
    struct fixture *fixture = *state;

    ms_port_close(fixture->port);
    fake_switch_free(fixture->fake);
    return 0;
}

struct ms_port_info port_info(const struct ms_port *port)
{
    struct ms_port_info info = {.size = sizeof(info)};

    ms_port_info(port, &info);
    return info;
}

void port_hear(struct ms_port *port)
{
    struct pollfd wanted = {.fd = ms_port_fd(port), .events = POLLIN};

    assert_int_equal(poll(&wanted, 1, PATIENCE_MS), 1);
    ms_dispatch(port);
}

void port_await_connected(struct ms_port *port, bool connected)
{
    while (port_info(port).connected != connected)
        port_hear(port);
}

void port_await_generation(struct ms_port *port, unsigned generation)
{
    while (!port_info(port).connected || port_info(port).generation < generation)
        port_hear(port);
}

int port_wait(struct ms_port *port, int timeout_ms)
{
    int status;

    do
        status = ms_wait(port, timeout_ms);
    while (status == -EINTR);
    return status;
}
