/* SPDX-License-Identifier: BSD-2-Clause */
/* port_fixture.h */
#include "port_fixture.h"

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
