/* SPDX-License-Identifier: BSD-2-Clause */
/* The bindings of a port: each is a placeholder in the kernel, kept for the life of the binding,
 * and a claim at the switch, made again after each reconnection (session.c sends what the states
 * here ask for).
 *
 *                  BIND sent              BOUND
 *   ms_bind → WAITING ──────► CLAIMING ──────────► CLAIMED
 *                ▲    lost        │ │ refused         │ ms_unbind
 *                │◄───────────────┘ ▼                 ▼     UNBIND sent          UNBOUND
 *                └─────────────── REFUSED  ┌───► LEAVING ───────────► UNBINDING ───────► FREE
 *                   a while later          │
 *                 ms_unbind in CLAIMING: UNCLAIMED, until BOUND comes
 *
 * When the connection is lost, what the application still wants goes back to WAITING, the rest to
 * FREE: the switch forgets all bindings of a connection by itself. */
#include "port_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETURN_WITHIN_MS 1000
#define RETURN_LOOK_MS   50

static const struct binding free_one = {.state = BINDING_FREE,
                                        .placeholder = -1,
                                        .port_count = 1,
                                        .first_todo = FLOW_NONE,
                                        .last_todo = FLOW_NONE};

static void free_binding(struct ms_port *port, struct binding *binding)
{
    connected__drop(port, (unsigned)(binding - port->bindings));
    guard__drop(port, (unsigned)(binding - port->bindings));
    if (binding->placeholder >= 0)
        close(binding->placeholder);
    handover__forget_events(port, binding);
    *binding = free_one;
}

/* Whether the application has it (and not just the way out). */
static bool is_held(const struct binding *binding)
{
    return binding->state == BINDING_WAITING || binding->state == BINDING_CLAIMING ||
           binding->state == BINDING_CLAIMED || binding->state == BINDING_REFUSED;
}

struct binding *binding__find(const struct ms_port *port, int handle)
{
    if (handle < 0 || (unsigned)handle >= port->binding_count || !is_held(&port->bindings[handle]))
        return NULL;
    return &port->bindings[handle];
}

static struct binding *find_request(struct ms_port *port, uint32_t request)
{
    for (unsigned i = 0; i < port->binding_count; i++) {
        struct binding *binding = &port->bindings[i];

        if (binding->request == request &&
            (binding->state == BINDING_CLAIMING || binding->state == BINDING_UNCLAIMED ||
             binding->state == BINDING_UNBINDING))
            return binding;
    }
    return NULL;
}

/* A free place in the table, or a negative errno. */
static int find_place(struct ms_port *port)
{
    unsigned count = port->binding_count;
    struct binding *larger;

    for (unsigned i = 0; i < count; i++)
        if (port->bindings[i].state == BINDING_FREE)
            return (int)i;
    if (count > INT32_MAX / 2)
        return -ENOMEM;
    larger = reallocarray(port->bindings, count ? 2 * (size_t)count : 4, sizeof(*larger));
    if (!larger)
        return -ENOMEM;
    port->bindings = larger;
    port->binding_count = count ? 2 * count : 4;
    for (unsigned i = count; i < port->binding_count; i++)
        larger[i] = free_one;
    return (int)count;
}

/* The switch chooses where it was left to it, and there alone. */
static bool take_range(struct binding *binding, const struct control_bound *bound)
{
    uint32_t first = ntohs(bound->address.port);

    if (binding->port_count == 1 || bound->header.error)
        return true;
    if (!first || first % binding->port_count ||
        (binding->address.port && binding->address.port != bound->address.port))
        return false;
    binding->address.port = bound->address.port;
    return true;
}

bool binding__bound(struct ms_port *port, const struct control_bound *bound)
{
    struct binding *binding = find_request(port, bound->header.request);

    if (!binding || binding->state == BINDING_UNBINDING || !take_range(binding, bound))
        return false;
    binding->number = bound->binding;
    binding->error = -bound->header.error;
    if (binding->state == BINDING_UNCLAIMED) {
        binding->state = BINDING_LEAVING;
        if (binding->error)
            free_binding(port, binding);
    } else {
        binding->state = binding->error ? BINDING_REFUSED : BINDING_CLAIMED;
    }
    if (binding->state == BINDING_CLAIMED || binding->state == BINDING_REFUSED)
        handover__suspend(port, binding, binding->error);
    if (binding->state == BINDING_CLAIMED) {
        binding->takeover = false;
        binding->was_claimed = true;
        if (!binding->members)
            binding->members = 1;
    }
    return true;
}

bool binding__unbound(struct ms_port *port, const struct control_unbound *unbound)
{
    struct binding *binding = find_request(port, unbound->header.request);

    if (!binding || binding->state != BINDING_UNBINDING)
        return false;
    free_binding(port, binding); /* with an error too: then the switch has not got it */
    return true;
}

void binding__forget_claims(struct ms_port *port)
{
    connected__forget_claims(port);
    guard__forget_claims(port);
    for (unsigned i = 0; i < port->binding_count; i++) {
        struct binding *binding = &port->bindings[i];

        if (is_held(binding)) {
            binding->state = BINDING_WAITING;
            binding->error = 0;
        } else if (binding->state != BINDING_FREE) {
            free_binding(port, binding);
        }
    }
}

void binding__retry_refused(struct ms_port *port)
{
    for (unsigned i = 0; i < port->binding_count; i++)
        if (port->bindings[i].state == BINDING_REFUSED)
            port->bindings[i].state = BINDING_WAITING; /* `error` stays until the answer */
}

unsigned binding__count_waiting(const struct ms_port *port)
{
    unsigned count = 0;

    for (unsigned i = 0; i < port->binding_count; i++)
        count += is_held(&port->bindings[i]) && port->bindings[i].state != BINDING_CLAIMED;
    return count;
}

bool binding__any_refused(const struct ms_port *port)
{
    for (unsigned i = 0; i < port->binding_count; i++)
        if (port->bindings[i].state == BINDING_REFUSED)
            return true;
    return false;
}

int binding__first_error(const struct ms_port *port)
{
    for (unsigned i = 0; i < port->binding_count; i++)
        if (is_held(&port->bindings[i]) && port->bindings[i].error)
            return port->bindings[i].error;
    return 0;
}

void binding__dispose(struct ms_port *port)
{
    for (unsigned i = 0; i < port->binding_count; i++)
        free_binding(port, &port->bindings[i]);
    connected__dispose(port);
    guard__dispose(port);
    free(port->bindings);
}

/* Where somebody has the 3-tuple already and is to be succeeded, he has to let the placeholder in.
 * Where the kernel says that somebody has it and the switch knows nobody, it may be one who is about
 * to come back to a switch that was restarted. And who comes at the moment of a restart waits for
 * the switch. */
static int open_successor(struct ms_port *port, int protocol, const struct sockaddr *address,
                          socklen_t length, struct binding *wish)
{
    int64_t now = control_client__now_ms();
    int64_t deadline = now + RETURN_WITHIN_MS, back_by = now + port->timeout_ms;
    int error = placeholder__address(protocol, address, length, &wish->address);

    while (!error) {
        error = handover__let_in(port, &wish->address);
        wish->takeover = error == 0;
        if (error == -ENOTCONN && control_client__now_ms() < back_by) {
            error = 0;
            session__linger(port, RETURN_LOOK_MS);
            continue;
        }
        if (error && error != -ENOENT)
            return error;
        error = placeholder__open(protocol, address, length, wish->takeover || wish->shared,
                                  &wish->address);
        if (error != -EADDRINUSE || control_client__now_ms() >= deadline)
            return error;
        error = 0;
        session__linger(port, RETURN_LOOK_MS);
    }
    return error;
}

/* Of an application that was built when the struct ended with its flags, `ring` is not there. */
int binding__options(const struct ms_port *port, const struct ms_bind_options *options,
                     struct binding *wish)
{
    unsigned known = MS_BIND_SHARED | MS_BIND_TAKEOVER;

    *wish = free_one;
    if (!options)
        return 0;
    if (options->size >= sizeof(*options))
        known |= MS_BIND_RING;
    if (options->size < offsetof(struct ms_bind_options, ring) || (options->flags & ~known))
        return -EINVAL;
    wish->shared = options->flags & MS_BIND_SHARED;
    wish->takeover = options->flags & MS_BIND_TAKEOVER;
    wish->has_ring = options->flags & MS_BIND_RING;
    if (wish->has_ring && options->ring >= port->ring_count)
        return -EINVAL;
    wish->ring = wish->has_ring ? options->ring : 0;
    return 0;
}

/* The placeholder, or none where the kernel knows no such socket: then the switch alone decides. */
static int reserve(int protocol, const struct sockaddr *address, socklen_t length,
                   struct binding *wish)
{
    int fd = placeholder__open(protocol, address, length, wish->shared, &wish->address);

    wish->placeholder = fd == PLACEHOLDER_NONE ? -1 : fd;
    if (fd == PLACEHOLDER_NONE)
        return placeholder__address(protocol, address, length, &wish->address);
    return fd < 0 ? fd : 0;
}

int binding__enter(struct ms_port *port, struct binding *wish)
{
    int place = find_place(port);

    if (place < 0) {
        if (wish->placeholder >= 0)
            close(wish->placeholder);
        return place;
    }
    wish->state = BINDING_WAITING;
    port->bindings[place] = *wish;
    return place;
}

int ms_bind_with(struct ms_port *port, int protocol, const struct sockaddr *address,
                 socklen_t length, const struct ms_bind_options *options)
{
    struct binding wish, *binding;
    int place, error = binding__options(port, options, &wish);

    if (error)
        return error;
    if (wish.takeover) {
        wish.placeholder = open_successor(port, protocol, address, length, &wish);
        error = wish.placeholder == PLACEHOLDER_NONE ? -EPROTONOSUPPORT : wish.placeholder;
    } else {
        error = reserve(protocol, address, length, &wish);
    }
    if (error < 0)
        return error;
    place = binding__enter(port, &wish);
    if (place < 0)
        return place;
    session__await_binding(port, (unsigned)place);
    binding = &port->bindings[place];
    if (binding->state != BINDING_REFUSED)
        return place;
    error = binding->error;
    free_binding(port, binding);
    session__report_bindings(port);
    return error;
}

int ms_bind(struct ms_port *port, int protocol, const struct sockaddr *address, socklen_t length)
{
    return ms_bind_with(port, protocol, address, length, NULL);
}

int ms_unbind(struct ms_port *port, int handle)
{
    struct binding *binding = binding__find(port, handle);

    if (!binding)
        return -ENOENT;
    switch (binding->state) {
    case BINDING_CLAIMING:
    case BINDING_CLAIMED:
        binding->state = binding->state == BINDING_CLAIMED ? BINDING_LEAVING : BINDING_UNCLAIMED;
        if (binding->placeholder >= 0)
            close(binding->placeholder);
        binding->placeholder = -1;
        session__await_binding(port, (unsigned)handle);
        break;
    default: free_binding(port, binding); break; /* the switch does not know it */
    }
    session__report_bindings(port);
    return 0;
}

/* The kernel has the placeholder in the group, or no more. */
static int set_group(struct ms_port *port, int handle, const struct sockaddr *group,
                     socklen_t length, unsigned interface, bool in)
{
    const struct binding *binding = binding__find(port, handle);

    if (!binding)
        return -ENOENT;
    return binding->placeholder < 0
               ? -EOPNOTSUPP
               : placeholder__join(binding->placeholder, group, length, interface, in);
}

int ms_join_group(struct ms_port *port, int handle, const struct sockaddr *group, socklen_t length,
                  unsigned interface)
{
    return set_group(port, handle, group, length, interface, true);
}

int ms_leave_group(struct ms_port *port, int handle, const struct sockaddr *group, socklen_t length,
                   unsigned interface)
{
    return set_group(port, handle, group, length, interface, false);
}

/* As getsockname(2) would, of a binding that has no socket. */
static int describe(const struct control_address *bound, struct sockaddr *address,
                    socklen_t *length)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = bound->port};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = bound->port};
    socklen_t whole = bound->family == 4 ? sizeof(in) : sizeof(in6);

    memcpy(&in.sin_addr, bound->bytes, 4);
    memcpy(&in6.sin6_addr, bound->bytes, 16);
    memcpy(address, bound->family == 4 ? (const void *)&in : (const void *)&in6,
           *length < whole ? *length : whole);
    *length = whole;
    return 0;
}

int ms_binding_address(const struct ms_port *port, int handle, struct sockaddr *address,
                       socklen_t *length)
{
    const struct binding *binding = binding__find(port, handle);

    if (!binding)
        return -ENOENT;
    if (binding->placeholder < 0)
        return describe(&binding->address, address, length);
    return getsockname(binding->placeholder, address, length) < 0 ? -errno : 0;
}

/* connect(2) on a UDP socket sends nothing: it asks the kernel's routing and remembers the answer.
 */
int ms_source_address(const struct sockaddr *remote, socklen_t remote_length,
                      struct sockaddr_storage *local, socklen_t *local_length)
{
    int fd, error = 0;

    if (!remote || remote_length < sizeof(remote->sa_family))
        return -EINVAL;
    fd = socket(remote->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    *local_length = sizeof(*local);
    if (connect(fd, remote, remote_length) < 0 ||
        getsockname(fd, (struct sockaddr *)local, local_length) < 0)
        error = -errno;
    close(fd);
    if (error)
        return error;
    if (local->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)local)->sin6_port = 0;
    else if (local->ss_family == AF_INET)
        ((struct sockaddr_in *)local)->sin_port = 0;
    return 0;
}
