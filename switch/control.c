/* SPDX-License-Identifier: BSD-2-Clause */
/* control.h: connections, messages, answers. */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "control_open.h"
#include "control_protocol.h"
#include "core.h"
#include "inspect.h"
#include "pass_fds.h"
#include "placeholder.h"
#include "query.h"
#include "sharing.h"
#include "suspension.h"

#define REQUEST_FDS_MAX 2 /* room for more than the one that may come */

/* A request, with what came along. */
struct request {
    union {
        struct control_header header;
        struct control_hello hello;
        struct control_port_open port_open;
        struct control_bind bind;
        struct control_unbind unbind;
        struct control_query query;
        struct control_share share;
        struct control_connect connect;
        struct control_drain drain;
        struct control_inspect inspect;
        struct control_guard guard;
        struct control_capture capture;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    };
    uint32_t size;
    int fds[REQUEST_FDS_MAX];
    uint32_t fd_count;
};

static void close_fds(struct request *request)
{
    while (request->fd_count)
        close(request->fds[--request->fd_count]);
}

/* Why a connection ends is told in the log by its reason; the port's counter takes it too. */
void control_end(struct switch_core *core, struct connection *connection, enum detach_reason reason)
{
    struct control *control = &core->control;

    if (reason != DETACH_CLOSED)
        log_limited(&control->limit, LOG_LEVEL_NOTICE, "%s%s (process %d, user %u) is cut off: %s",
                    connection->port ? "port " : "a client",
                    connection->port ? connection->port->name : "", (int)connection->pid,
                    (unsigned)connection->uid, detach_reason_text(reason));
    if (connection->port) {
        core->detached[reason]++;
        port_close(core, connection->port);
    }
    worker_unwatch(&core->workers[0], connection->fd);
    close(connection->fd);
    connection->fd = -1;
    connection->port = NULL;
    connection->opening = false; /* control_port_made() finds another generation */
    connection->generation++;
    control->count--;
}

bool control_reply(struct switch_core *core, struct connection *connection, const void *message,
                   const int *fds, uint32_t fd_count)
{
    const struct control_header *header = message;
    ssize_t sent =
        pass_fds(connection->fd, message, header->size, fds, fd_count, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent == (ssize_t)header->size)
        return true;
    control_end(core, connection,
                sent < 0 && (errno == EAGAIN || errno == ENOBUFS) ? DETACH_UNREAD : DETACH_CLOSED);
    return false;
}

static struct control_header answer_header(const struct request *request, uint32_t type,
                                           uint32_t size, int status)
{
    return (struct control_header){.type = type,
                                   .size = size,
                                   .request = request->header.request,
                                   .error = status < 0 ? -status : 0};
}

/* Each handler returns false when the connection is closed. */

static bool handle_hello(struct switch_core *core, struct connection *connection,
                         const struct request *request)
{
    struct control_welcome welcome = {
        .magic = CONTROL_MAGIC,
        .version = CONTROL_VERSION,
        .features = CONTROL_FEATURES & request->hello.features,
        .instance = core->config.instance,
        .netns_cookie = core->config.netns_cookie,
    };
    bool known = request->hello.version == CONTROL_VERSION;

    if (request->hello.magic != CONTROL_MAGIC) {
        control_end(core, connection, DETACH_PROTOCOL);
        return false;
    }
    welcome.header =
        answer_header(request, CONTROL_WELCOME, sizeof(welcome), known ? 0 : -EPROTONOSUPPORT);
    if (!control_reply(core, connection, &welcome, NULL, 0))
        return false;
    if (!known) {
        control_end(core, connection, DETACH_CLOSED);
        return false;
    }
    connection->greeted = true;
    return true;
}

/* What the placeholder of this protocol is silenced with. */
static int silencer_of(const struct switch_core *core, uint8_t protocol)
{
    return core->groups.filter_fd >= 0 && placeholder_takes_datagrams(protocol)
               ? core->groups.filter_fd
               : core->silencer_fd;
}

/* Whether the address of an exact binding is this host's; the wildcard always is, and for groups the
 * kernel has let the placeholder be bound. */
static bool address_is_ours(const struct switch_core *core, const struct tuple *tuple)
{
    return tuple_is_wildcard(tuple) || groups_has_address(tuple) ||
           namespace_is_local(core_names(core), tuple);
}

/* A binding that was there before says how many others were; one that says nothing is new. */
static int bind_terms(const struct port *port, const struct request *request,
                      struct binding_terms *terms)
{
    const struct control_bind *wish = &request->bind;
    const uint32_t known =
        CONTROL_BIND_SHARED | CONTROL_BIND_TAKEOVER | CONTROL_BIND_DRAINING | CONTROL_BIND_RING;
    bool has_ring = wish->flags & CONTROL_BIND_RING;

    *terms = (struct binding_terms){
        .shared = wish->flags & CONTROL_BIND_SHARED,
        .takeover = wish->flags & CONTROL_BIND_TAKEOVER,
        .draining = wish->flags & CONTROL_BIND_DRAINING,
        .request = request->header.request,
        .expected_members = wish->members,
        .expected_connected = wish->connected,
    };
    if (port->capture || (wish->flags & ~known) || (terms->takeover && terms->draining) ||
        wish->ring >= (has_ring ? port->ring_count : 1))
        return -EINVAL;
    terms->ring = has_ring ? (uint8_t)(wish->ring + 1) : 0;
    if (request->fd_count)
        terms->cookie = placeholder_cookie(request->fds[0]);
    return 0;
}

/* The kernel's rule, for those whom the kernel does not know: a wildcard address and an exact one of
 * somebody else are in each other's way. */
static bool is_in_the_way(const struct binding *other, const struct port *port,
                          const struct tuple *tuple)
{
    return other->port && other->port != port && other->tuple.rest == tuple->rest &&
           (tuple_is_wildcard(tuple) || tuple_is_wildcard(&other->tuple) ||
            tuple_equal(tuple, &other->tuple));
}

/* Without a placeholder: a protocol that the kernel has no sockets of (protocols.h). */
static int bind_by_policy(struct switch_core *core, struct connection *connection,
                          const struct request *request, const struct binding_terms *terms,
                          uint32_t *number)
{
    const struct control_address *address = &request->bind.address;
    const struct port_table *ports = &core->ports;
    struct tuple tuple = tuple_from_address(address);
    int status =
        protocols_allow(&core->protocols, address->protocol, connection->uid, connection->fd);

    if (status)
        return status;
    if ((address->family != 4 && address->family != 6) ||
        protocols_have_ports(&core->protocols, address->protocol) != (address->port != 0) ||
        terms->shared || terms->takeover || terms->draining)
        return -EINVAL;
    if (!address_is_ours(core, &tuple) || groups_has_address(&tuple))
        return -EADDRNOTAVAIL;
    for (uint32_t i = 0; i < ports->bindings_made; i++) {
        if (is_in_the_way(&ports->bindings[i], connection->port, &tuple))
            return -EADDRINUSE;
    }
    return binding_add(core, connection->port, &tuple, -1, terms, number);
}

static int bind_tuple(struct switch_core *core, struct connection *connection,
                      struct request *request, struct binding_terms *terms, uint32_t *number)
{
    const struct control_address *address = &request->bind.address;
    struct tuple tuple = tuple_from_address(address);
    int status = bind_terms(connection->port, request, terms);

    if (!status && !request->fd_count)
        return bind_by_policy(core, connection, request, terms, number);
    if (!status)
        status = placeholder_verify(request->fds[0], address, core->config.netns_cookie,
                                    silencer_of(core, address->protocol),
                                    terms->shared || terms->takeover);
    if (status)
        return status;
    if (!address_is_ours(core, &tuple))
        return -EADDRNOTAVAIL;
    if (range_has(core, &tuple))
        return -EADDRINUSE;
    status = binding_add(core, connection->port, &tuple, request->fds[0], terms, number);
    if (!status)
        request->fd_count = 0; /* the binding has it now */
    return status;
}

/* The descriptors go first: whoever sees the end may bind anew at once what a placeholder held. */
static void end_for_protocol(struct switch_core *core, struct connection *connection,
                             struct request *request)
{
    close_fds(request);
    control_end(core, connection, DETACH_PROTOCOL);
}

/* All but HELLO, PORT_OPEN, QUERY, INSPECT and GUARD are about a port of the client's. */
static bool has_port(struct switch_core *core, struct connection *connection,
                     struct request *request)
{
    if (!connection->port)
        end_for_protocol(core, connection, request);
    return connection->port != NULL;
}

/* The answer comes later, where nothing is wrong with it (range.h). */
static bool handle_bind_range(struct switch_core *core, struct connection *connection,
                              struct request *request)
{
    struct control_bound bound = {.address = request->bind.address};
    struct binding_terms terms;
    int status = request->fd_count ? -EINVAL : bind_terms(connection->port, request, &terms);

    close_fds(request);
    if (!status)
        status = range_bind(core, connection, &request->bind, terms.ring);
    if (!status)
        return true;
    bound.header = answer_header(request, CONTROL_BOUND, sizeof(bound), status);
    return control_reply(core, connection, &bound, NULL, 0);
}

static bool handle_bind(struct switch_core *core, struct connection *connection,
                        struct request *request)
{
    struct control_bound bound = {.address = request->bind.address};
    struct binding_terms terms;
    int status;

    if (!has_port(core, connection, request))
        return false;
    if (request->bind.port_count != 1)
        return handle_bind_range(core, connection, request);
    status = bind_tuple(core, connection, request, &terms, &bound.binding);
    if (!status && terms.takeover)
        return true;    /* answered when it is the owner: control_send_bound() */
    close_fds(request); /* before the answer: whoever is refused may bind anew at once */
    bound.header = answer_header(request, CONTROL_BOUND, sizeof(bound), status);
    return control_reply(core, connection, &bound, NULL, 0);
}

static bool handle_share(struct switch_core *core, struct connection *connection,
                         struct request *request)
{
    struct tuple tuple = tuple_from_address(&request->share.address);
    struct control_shared shared = {0};
    int status;

    if (!has_port(core, connection, request))
        return false;
    status = sharing_let_in(core, &tuple, connection->uid);
    shared.header = answer_header(request, CONTROL_SHARED, sizeof(shared), status);
    return control_reply(core, connection, &shared, NULL, 0);
}

static bool handle_connect(struct switch_core *core, struct connection *connection,
                           struct request *request)
{
    const struct control_connect *wish = &request->connect;
    struct control_connected connected = {0};
    struct binding *binding;
    int status = -EINVAL;

    if (!has_port(core, connection, request))
        return false;
    if (wish->count < 1 || wish->count > CONTROL_FLOWS_MAX ||
        request->size != sizeof(*wish) + wish->count * sizeof(struct control_flow)) {
        end_for_protocol(core, connection, request);
        return false;
    }
    binding = binding_find(&core->ports, connection->port, wish->binding);
    if (!binding)
        status = -ENOENT;
    else if (binding->port_count > 1)
        status = -EOPNOTSUPP;
    else if (wish->remove <= 1 && !wish->zero)
        status = sharing_connect(core, binding, (const struct control_flow *)(wish + 1),
                                 wish->count, wish->remove, &connected.count);
    connected.header = answer_header(request, CONTROL_CONNECTED, sizeof(connected), status);
    return control_reply(core, connection, &connected, NULL, 0);
}

static bool handle_drain(struct switch_core *core, struct connection *connection,
                         struct request *request)
{
    struct control_drained drained = {0};
    struct binding *binding;
    int status = -ENOENT;

    if (!has_port(core, connection, request))
        return false;
    binding = binding_find(&core->ports, connection->port, request->drain.binding);
    if (binding)
        status = binding->port_count > 1 ? -EOPNOTSUPP : sharing_drain(core, binding);
    drained.header = answer_header(request, CONTROL_DRAINED, sizeof(drained), status);
    return control_reply(core, connection, &drained, NULL, 0);
}

static bool handle_unbind(struct switch_core *core, struct connection *connection,
                          struct request *request)
{
    struct control_unbound unbound = {0};
    int status;

    if (!has_port(core, connection, request))
        return false;
    status = binding_remove(core, connection->port, request->unbind.binding);
    unbound.header = answer_header(request, CONTROL_UNBOUND, sizeof(unbound), status);
    return control_reply(core, connection, &unbound, NULL, 0);
}

static bool handle_query(struct switch_core *core, struct connection *connection,
                         struct request *request)
{
    _Alignas(struct control_records) uint8_t page[CONTROL_MESSAGE_MAX];

    query_answer(core, &request->query, page);
    return control_reply(core, connection, page, NULL, 0);
}

static bool handle_inspect(struct switch_core *core, struct connection *connection,
                           struct request *request)
{
    struct control_inspected inspected = {0};
    int status = inspect_forward(core, connection, request->inspect.port, request->fds[0]);

    close_fds(request);
    inspected.header = answer_header(request, CONTROL_INSPECTED, sizeof(inspected), status);
    return control_reply(core, connection, &inspected, NULL, 0);
}

static bool handle_guard(struct switch_core *core, struct connection *connection,
                         const struct request *request)
{
    struct control_guarded guarded = {0};
    int status = guard_request(core, connection, &request->guard);

    if (!status)
        guarded.answered = guard_answered(core, &request->guard);
    guarded.header = answer_header(request, CONTROL_GUARDED, sizeof(guarded), status);
    return control_reply(core, connection, &guarded, NULL, 0);
}

static bool handle_capture(struct switch_core *core, struct connection *connection,
                           struct request *request)
{
    struct control_captured captured = {0};
    int status;

    if (!has_port(core, connection, request))
        return false;
    status = capture_begin(core, connection, &request->capture, &captured.source);
    captured.header = answer_header(request, CONTROL_CAPTURED, sizeof(captured), status);
    return control_reply(core, connection, &captured, NULL, 0);
}

/* What each request must look like; one that says how long it is is checked by its handler. */
static const struct {
    uint32_t size;
    uint32_t fd_count;
    bool is_least;
    bool fds_optional;
} request_shapes[] = {
    [CONTROL_HELLO] = {sizeof(struct control_hello), 0},
    [CONTROL_PORT_OPEN] = {sizeof(struct control_port_open), 0},
    [CONTROL_BIND] = {sizeof(struct control_bind), 1, .fds_optional = true},
    [CONTROL_UNBIND] = {sizeof(struct control_unbind), 0},
    [CONTROL_QUERY] = {sizeof(struct control_query), 0},
    [CONTROL_SHARE] = {sizeof(struct control_share), 0},
    [CONTROL_CONNECT] = {sizeof(struct control_connect), 0, true},
    [CONTROL_DRAIN] = {sizeof(struct control_drain), 0},
    [CONTROL_INSPECT] = {sizeof(struct control_inspect), 1},
    [CONTROL_GUARD] = {sizeof(struct control_guard), 0},
    [CONTROL_CAPTURE] = {sizeof(struct control_capture), 0},
};

static bool request_fits(const struct connection *connection, struct request *request)
{
    const struct control_header *header = &request->header;

    if (request->size < sizeof(*header) || header->size != request->size ||
        header->type >= sizeof(request_shapes) / sizeof(request_shapes[0]) || header->error != 0)
        return false;
    if (!request_shapes[header->type].size) /* what only the switch says */
        return false;
    if (request_shapes[header->type].is_least ? request_shapes[header->type].size > request->size
                                              : request_shapes[header->type].size != request->size)
        return false;
    if (request_shapes[header->type].fd_count != request->fd_count &&
        !(request_shapes[header->type].fds_optional && !request->fd_count))
        return false;
    return connection->greeted == (header->type != CONTROL_HELLO);
}

static bool handle_request(struct switch_core *core, struct connection *connection,
                           struct request *request)
{
    if (!request_fits(connection, request)) {
        end_for_protocol(core, connection, request);
        return false;
    }
    switch (request->header.type) {
    case CONTROL_HELLO: return handle_hello(core, connection, request);
    case CONTROL_PORT_OPEN: return control_open_port(core, connection, &request->port_open);
    case CONTROL_BIND: return handle_bind(core, connection, request);
    case CONTROL_UNBIND: return handle_unbind(core, connection, request);
    case CONTROL_SHARE: return handle_share(core, connection, request);
    case CONTROL_CONNECT: return handle_connect(core, connection, request);
    case CONTROL_DRAIN: return handle_drain(core, connection, request);
    case CONTROL_INSPECT: return handle_inspect(core, connection, request);
    case CONTROL_GUARD: return handle_guard(core, connection, request);
    case CONTROL_CAPTURE: return handle_capture(core, connection, request);
    default: return handle_query(core, connection, request);
    }
}

/* Takes the descriptors out of a message; what is too many the kernel has closed already. */
static void collect_fds(struct msghdr *msg, struct request *request)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        uint32_t count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        count = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (uint32_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (request->fd_count < REQUEST_FDS_MAX)
                request->fds[request->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

enum receive_result { RECEIVED, RECEIVED_NOTHING, RECEIVED_END, RECEIVED_NONSENSE };

static enum receive_result receive_request(const struct connection *connection,
                                           struct request *request)
{
    struct iovec piece = {.iov_base = request->bytes, .iov_len = sizeof(request->bytes)};
    _Alignas(struct cmsghdr) char ancillary[CMSG_SPACE(REQUEST_FDS_MAX * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = ancillary,
        .msg_controllen = sizeof(ancillary),
    };
    ssize_t size = recvmsg(connection->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    request->fd_count = 0;
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_END;
    collect_fds(&msg, request);
    request->size = (uint32_t)size;
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return RECEIVED_NONSENSE;
    /* An empty message looks like the end, and ends it as well. */
    return size == 0 ? RECEIVED_END : RECEIVED;
}

void control_serve(struct switch_core *core, uint32_t index, uint32_t generation, uint32_t events)
{
    struct connection *connection = &core->control.connections[index];
    struct request request; /* 8 KiB: received into, never cleared */
    bool open = true;

    if (connection->fd >= 0 && connection->generation == generation && connection->opening) {
        if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) /* it waits no more */
            control_end(core, connection, DETACH_CLOSED);
        return;
    }
    /* whatever else it is, receiving tells */
    for (uint32_t i = 0; open && !connection->opening && i < CONTROL_MESSAGES_PER_TURN; i++) {
        if (connection->fd < 0 || connection->generation != generation)
            return;
        open = false;
        switch (receive_request(connection, &request)) {
        case RECEIVED_NOTHING: break;
        case RECEIVED: open = handle_request(core, connection, &request); break;
        case RECEIVED_END: control_end(core, connection, DETACH_CLOSED); break;
        case RECEIVED_NONSENSE: end_for_protocol(core, connection, &request); break;
        }
        close_fds(&request);
        sharing_tell(core);
    }
}

static uint32_t connections_of_uid(const struct control *control, uid_t uid)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < control->capacity; i++)
        count += control->connections[i].fd >= 0 && control->connections[i].uid == uid;
    return count;
}

static bool may_connect(const struct switch_core *core, uid_t uid)
{
    const struct control *control = &core->control;

    if (uid == 0)
        return control->count < control->capacity;
    return control->count < control->capacity - CONTROL_ROOT_CONNECTIONS &&
           connections_of_uid(control, uid) <
               core->config.ports_per_uid_max + CONTROL_SPARE_PER_UID;
}

static void refuse(struct control *control, int fd, const char *why)
{
    log_limited(&control->limit, LOG_LEVEL_NOTICE, "a connection was refused: %s", why);
    close(fd);
}

void control_adopt(struct switch_core *core, int fd)
{
    struct control *control = &core->control;
    struct event_tag tag = {.kind = EVENT_CONNECTION};
    struct connection *connection;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
        refuse(control, fd, strerror(errno));
        return;
    }
    if (!may_connect(core, peer.uid)) {
        refuse(control, fd, "too many");
        return;
    }
    while (control->connections[tag.index].fd >= 0)
        tag.index++;
    connection = &control->connections[tag.index];
    tag.generation = connection->generation;
    if (worker_watch(&core->workers[0], fd, EPOLLIN | EPOLLRDHUP, tag)) {
        refuse(control, fd, strerror(errno));
        return;
    }
    *connection = (struct connection){
        .fd = fd,
        .generation = tag.generation,
        .pid = peer.pid,
        .uid = peer.uid,
        .deadline_ns = core->workers[0].now_ns + CONTROL_HELLO_NS,
    };
    control->count++;
}

/* A listener that cannot be served stays readable and would wake us without end. */
static void hear_listener(struct switch_core *core, bool hear)
{
    struct event_tag tag = {.kind = EVENT_LISTENER};

    if (core->control.deaf == !hear)
        return;
    if (!worker_rewatch(&core->workers[0], core->control.listen_fd, hear ? EPOLLIN : 0, tag))
        core->control.deaf = !hear;
}

/* Without a descriptor to accept with, the connection would wait for ever: accept it with the spare
 * one and turn it away. False: not even that. */
static bool turn_away(struct control *control)
{
    int fd, why;

    log_limited(&control->limit, LOG_LEVEL_WARNING,
                "a connection was refused: no file descriptor left");
    if (control->spare_fd >= 0)
        close(control->spare_fd);
    fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    why = errno;
    if (fd >= 0)
        close(fd);
    control->spare_fd = eventfd(0, EFD_CLOEXEC);
    errno = why;
    return fd >= 0;
}

/* Whether there may be another connection to accept. */
static bool accept_one(struct switch_core *core)
{
    struct control *control = &core->control;
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0) {
        control_adopt(core, fd);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    if (errno == EINTR || errno == ECONNABORTED)
        return true;
    if ((errno == EMFILE || errno == ENFILE) && turn_away(control))
        return true;
    if (errno == EAGAIN) /* who knocked has gone again */
        return false;
    log_limited(&control->limit, LOG_LEVEL_WARNING, "no connection can be accepted for now: %s",
                strerror(errno));
    hear_listener(core, false); /* until the housekeeping */
    return false;
}

void control_accept(struct switch_core *core)
{
    for (uint32_t i = 0; i < CONTROL_ACCEPTS_PER_TURN; i++) {
        if (!accept_one(core))
            return;
    }
}

bool control_is_administrator(const struct switch_core *core, const struct connection *connection)
{
    return connection->uid == 0 ||
           (core->config.admin_gid && protocols_is_member(connection->fd, core->config.admin_gid));
}

struct connection *control_connection_of(const struct switch_core *core, const struct port *port)
{
    for (uint32_t i = 0; i < core->control.capacity; i++) {
        struct connection *connection = &core->control.connections[i];

        if (connection->fd >= 0 && connection->port == port)
            return connection;
    }
    return NULL;
}

void control_reap(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->control.capacity; i++) {
        struct connection *connection = &core->control.connections[i];
        enum detach_reason reason;

        if (connection->fd < 0 || !connection->port || port_broken(connection->port) == DETACH_NONE)
            continue;
        reason = (enum detach_reason)connection->port->detach;
        control_send_event(core, connection, CONTROL_EVENT_DETACHED, reason);
        if (connection->fd >= 0)
            control_end(core, connection, reason);
    }
    sharing_tell(core);
}

/* The application has the placeholder too and can undo what it reserves, behind our back. */
static void audit_placeholders(struct switch_core *core)
{
    struct port_table *ports = &core->ports;
    bool broken = false;

    for (uint32_t i = 0; i < CONTROL_AUDITS_PER_TICK && i < ports->bindings_made; i++) {
        const struct binding *binding;
        struct control_address address;

        if (core->control.audit_next >= ports->bindings_made)
            core->control.audit_next = 0;
        binding = &ports->bindings[core->control.audit_next++];
        if (!binding->port || binding->placeholder_fd < 0)
            continue;
        address = tuple_to_address(&binding->tuple);
        if (placeholder_holds(binding->placeholder_fd, &address, core->silencer_fd,
                              binding->shared || binding->successor || binding->open_until_ns))
            continue;
        port_break(binding->port, DETACH_PLACEHOLDER);
        broken = true;
    }
    if (broken)
        control_reap(core);
}

void control_housekeep(struct switch_core *core)
{
    uint64_t now_ns = core->workers[0].now_ns;

    hear_listener(core, true);
    if (core->control.spare_fd < 0)
        core->control.spare_fd = eventfd(0, EFD_CLOEXEC);
    for (uint32_t i = 0; i < core->control.capacity; i++) {
        struct connection *connection = &core->control.connections[i];

        if (connection->fd >= 0 && !connection->greeted && now_ns >= connection->deadline_ns)
            control_end(core, connection, DETACH_PROTOCOL);
    }
    audit_placeholders(core);
    range_housekeep(core);
    misuse_housekeep(core, now_ns);
    sharing_housekeep(core, now_ns);
    suspension_housekeep(core);
    guard_housekeep(core, core_clock());
    sharing_tell(core);
}

int control_init(struct switch_core *core, int listen_fd)
{
    struct control *control = &core->control;
    struct event_tag tag = {.kind = EVENT_LISTENER};

    *control = (struct control){.listen_fd = listen_fd, .spare_fd = eventfd(0, EFD_CLOEXEC)};
    control->capacity = core->config.ports_max + CONTROL_SPARE_CONNECTIONS;
    control->connections = calloc(control->capacity, sizeof(struct connection));
    if (!control->connections) {
        if (control->spare_fd >= 0)
            close(control->spare_fd);
        control->spare_fd = -1;
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < control->capacity; i++)
        control->connections[i].fd = -1;
    return listen_fd < 0 ? 0 : worker_watch(&core->workers[0], listen_fd, EPOLLIN, tag);
}

void control_dispose(struct switch_core *core)
{
    struct control *control = &core->control;

    for (uint32_t i = 0; i < control->capacity && control->connections; i++) {
        if (control->connections[i].fd >= 0)
            control_end(core, &control->connections[i], DETACH_CLOSED);
    }
    free(control->connections);
    control->connections = NULL;
    control->capacity = 0;
    if (control->listen_fd >= 0)
        close(control->listen_fd);
    if (control->spare_fd >= 0)
        close(control->spare_fd);
    control->listen_fd = control->spare_fd = -1;
}
