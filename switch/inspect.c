/* SPDX-License-Identifier: BSD-2-Clause */
/* inspect.h */
#include "inspect.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core.h"
#include "pass_fds.h"

static struct port *find_port(const struct switch_core *core, uint32_t number)
{
    for (uint32_t slot = 0; slot < core->ports.capacity; slot++) {
        struct port *port = core->ports.slots[slot];

        if (port && port->number == number)
            return port;
    }
    return NULL;
}

/* What an application gets from us is a socket, whatever else somebody would like it to have. */
static bool is_unix_socket(int fd)
{
    int domain = -1;
    socklen_t size = sizeof(domain);

    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX;
}

static bool too_often(struct port *port, uint64_t now_ns)
{
    if (now_ns >= port->inspections_until_ns) {
        port->inspections_until_ns = now_ns + INSPECT_WINDOW_NS;
        port->inspections = 0;
    }
    return port->inspections++ >= INSPECT_MOST;
}

/* Not control_reply(): who asks must not get the port's process cut off by filling its socket. */
static int hand_on(const struct connection *owner, int fd)
{
    struct control_event event = {.header = {.type = CONTROL_EVENT, .size = sizeof(event)},
                                  .kind = CONTROL_EVENT_INSPECT};

    return pass_fds(owner->fd, &event, sizeof(event), &fd, 1, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                   (ssize_t)sizeof(event)
               ? 0
               : -EAGAIN;
}

int inspect_forward(struct switch_core *core, const struct connection *asker, uint32_t number,
                    int fd)
{
    struct port *port = find_port(core, number);
    const struct connection *owner = port ? control_connection_of(core, port) : NULL;

    if (!owner)
        return -ENOENT;
    if (asker->uid && asker->uid != port->uid)
        return -EACCES;
    if (!port->inspected)
        return -EOPNOTSUPP;
    if (!is_unix_socket(fd))
        return -EINVAL;
    if (too_often(port, core->workers[0].now_ns))
        return -EAGAIN;
    return hand_on(owner, fd);
}
