/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of ports: bindings without a placeholder, whose ports the switch's keeper holds. */
#include "port_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* What there is no socket for is asked of the switch, and what it would refuse is refused here. */
static int make_wish(const struct ms_port *port, int protocol, const struct sockaddr *address,
                     socklen_t length, unsigned port_count, struct binding *wish)
{
    int error;

    if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
        return -EPROTONOSUPPORT;
    error = placeholder__address(protocol, address, length, &wish->address);
    if (error)
        return error;
    if (port_count < CONTROL_RANGE_PORTS_MIN || port_count > CONTROL_RANGE_PORTS_MAX ||
        (port_count & (port_count - 1)) || ntohs(wish->address.port) % port_count)
        return -EINVAL;
    wish->port_count = port_count;
    return port->session.state == SESSION_READY ? 0 : -ENOTCONN;
}

/* It is not the application's, whatever the switch will say. */
static void give_up(struct ms_port *port, int handle)
{
    if (binding__find(port, handle))
        ms_unbind(port, handle);
}

int ms_bind_range(struct ms_port *port, int protocol, const struct sockaddr *address,
                  socklen_t length, unsigned port_count, const struct ms_bind_options *options)
{
    struct binding wish;
    int handle, error = binding__options(port, options, &wish);

    if (!error && (wish.shared || wish.takeover))
        error = -EINVAL;
    if (!error)
        error = make_wish(port, protocol, address, length, port_count, &wish);
    if (error)
        return error;
    handle = binding__enter(port, &wish);
    if (handle < 0)
        return handle;
    session__await_binding(port, (unsigned)handle);
    switch (port->bindings[handle].state) {
    case BINDING_CLAIMED: return handle;
    case BINDING_REFUSED: error = port->bindings[handle].error; break;
    case BINDING_CLAIMING: error = -ETIMEDOUT; break;
    default: error = -ENOTCONN; break;
    }
    give_up(port, handle);
    return error;
}
