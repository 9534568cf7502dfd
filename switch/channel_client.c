/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keeper says (channel.h), and what becomes of it. The keeper is trusted; a message that
 * does not fit is a bug of ours, and the switch ends rather than guess. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core.h"
#include "handover.h"
#include "log.h"
#include "nic/afxdp.h"
#include "nic/packet_driver.h"
#include "nic/wire_driver.h"
#include "placeholder.h"
#include "suspension.h"

#define MESSAGES_PER_TURN 64

union channel_message {
    struct channel_header header;
    struct channel_config config;
    struct channel_nic nic;
    struct channel_queue queue;
    struct channel_address address;
    struct channel_next_hop next_hop;
    struct channel_neighbor neighbor;
    struct channel_link link;
    struct channel_protocol protocol;
    struct channel_wire wire;
    struct channel_wire_link wire_link;
    struct channel_packet packet;
    struct channel_port_rate port_rate;
    struct channel_guard guard;
    struct channel_range_answer range_answer;
    uint8_t bytes[CHANNEL_MESSAGE_MAX];
};

struct received {
    union channel_message message;
    int fds[CHANNEL_FDS_MAX];
    uint32_t fd_count;
};

/* What each message must look like. */
static const struct {
    uint32_t size;
    uint32_t fds;
    uint32_t fds_without_mux;
} shapes[] = {
    [CHANNEL_CONFIG] = {sizeof(struct channel_config), 4, 2},
    [CHANNEL_NIC] = {sizeof(struct channel_nic), 1, 0},
    [CHANNEL_QUEUE] = {sizeof(struct channel_queue), 3, 2}, /* without large sends: 2 */
    [CHANNEL_ADDRESS] = {sizeof(struct channel_address), 0, 0},
    [CHANNEL_START] = {sizeof(struct channel_plain), 0, 0},
    [CHANNEL_NEXT_HOP] = {sizeof(struct channel_next_hop), 0, 0},
    [CHANNEL_NEIGHBOR] = {sizeof(struct channel_neighbor), 0, 0},
    [CHANNEL_ROUTES_CHANGED] = {sizeof(struct channel_plain), 0, 0},
    [CHANNEL_LINK] = {sizeof(struct channel_link), 0, 0},
    [CHANNEL_STOP] = {sizeof(struct channel_plain), 0, 0},
    [CHANNEL_GROUPS] = {sizeof(struct channel_plain), 2, 2},
    [CHANNEL_PROTOCOL] = {sizeof(struct channel_protocol), 0, 0},
    [CHANNEL_WIRE] = {sizeof(struct channel_wire), 0, 0},
    [CHANNEL_WIRE_LINK] = {sizeof(struct channel_wire_link), CHANNEL_WIRE_LINK_FDS,
                           CHANNEL_WIRE_LINK_FDS},
    [CHANNEL_PACKET] = {sizeof(struct channel_packet), 1, 1},
    [CHANNEL_PORT_RATE] = {sizeof(struct channel_port_rate), 0, 0},
    [CHANNEL_GUARD] = {sizeof(struct channel_guard), CHANNEL_GUARD_FDS, 1},
    [CHANNEL_RANGE_ANSWER] = {sizeof(struct channel_range_answer), 0, 0},
};

static const struct nic_ops *const drivers[] = {&afxdp_ops, &packet_ops, &wire_ops};

static const struct nic_ops *find_driver(const char *name)
{
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (!strcmp(name, drivers[i]->name))
            return drivers[i];
    }
    return NULL;
}

static void take_fds(struct msghdr *msg, struct received *received)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
        return;
    received->fd_count = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(received->fds, CMSG_DATA(cmsg), received->fd_count * sizeof(int));
}

/* 1: a message that fits; 0: none now (with MSG_DONTWAIT) or the keeper is gone (*gone). */
static int receive(int channel_fd, struct received *received, int flags, bool *gone)
{
    struct iovec piece = {.iov_base = &received->message, .iov_len = sizeof(received->message)};
    _Alignas(struct cmsghdr) char ancillary[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = ancillary,
        .msg_controllen = sizeof(ancillary),
    };
    const struct channel_header *header = &received->message.header;
    ssize_t size;

    received->fd_count = 0;
    do
        size = recvmsg(channel_fd, &msg, flags | MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN)
        return 0;
    *gone = true;
    if (size <= 0)
        return 0;
    take_fds(&msg, received);
    if ((size_t)size < sizeof(*header) || header->size != (size_t)size ||
        header->type >= sizeof(shapes) / sizeof(shapes[0]) ||
        shapes[header->type].size != header->size ||
        (shapes[header->type].fds != received->fd_count &&
         shapes[header->type].fds_without_mux != received->fd_count) ||
        (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        log_error("the keeper's message %u of %zd bytes with %u descriptors makes no sense",
                  (size_t)size < sizeof(*header) ? 0 : header->type, size, received->fd_count);
        return 0;
    }
    *gone = false;
    return 1;
}

/* Descriptors: listening socket, map of bindings, shared state of the mux, silencer; or where no NIC
 * has a mux, listening socket and a page that looks like the mux's shared state. */
static int take_config(struct switch_core *core, const struct received *received)
{
    struct event_tag tag = {.kind = EVENT_CHANNEL};
    bool mux = received->fd_count == 4;
    int shared_fd = received->fds[mux ? 2 : 1];
    void *shared;
    int status;

    if (core->worker_count)
        return -EEXIST;
    core->config = received->message.config;
    status = core_init(core, core->channel_fd, received->fds[0], mux ? received->fds[1] : -1);
    if (status)
        return status;
    shared =
        mmap(NULL, sizeof(struct mux_shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
    if (shared == MAP_FAILED)
        return -errno;
    close(shared_fd);
    core_share(core, shared);
    core->silencer_fd = mux ? received->fds[3] : PLACEHOLDER_UNHEARD;
    return worker_watch(&core->workers[0], core->channel_fd, EPOLLIN, tag);
}

static int take_nic(struct switch_core *core, const struct received *received)
{
    const struct channel_nic *message = &received->message.nic;
    const struct nic_ops *ops = find_driver(message->driver);
    struct nic *nic = &core->nics[core->nic_count];

    if (!ops || !core->worker_count || core->nic_count == SWITCH_NICS_MAX ||
        message->index != core->nic_count || message->queue_count > WORKER_QUEUES_MAX)
        return -EINVAL;
    *nic = (struct nic){
        .ops = ops,
        .index = message->index,
        .ifindex = message->ifindex,
        .mtu = message->mtu,
        .up = message->up,
        .is_virtual = message->is_virtual,
        .answers = message->answers,
        .is_loopback = message->is_loopback,
        .verdicts_fd = received->fd_count ? received->fds[0] : -1,
        .verdict_cpus = message->verdict_cpus,
        .judged = !message->verdict_cpus,
    };
    memcpy(nic->name, message->name, sizeof(nic->name) - 1);
    memcpy(nic->xdp_mode, message->xdp_mode, sizeof(nic->xdp_mode) - 1);
    memcpy(nic->copy_mode, message->copy_mode, sizeof(nic->copy_mode) - 1);
    memcpy(nic->mac, message->mac, sizeof(nic->mac));
    nic->queue_wanted = message->queue_count;
    /* none: its device is away, and another switch will be given it when it is back */
    nic->queues = calloc(message->queue_count + 1, sizeof(struct nic_queue));
    if (!nic->queues)
        return -ENOMEM;
    core->nic_count++;
    return nic->judged ? guard_judge_nics(core) : 0;
}

/* The maps, and memory for what outlives the switch; or that alone, where no program asks them. */
static int take_guard(struct switch_core *core, const struct received *received)
{
    int fds[CHANNEL_GUARD_FDS];
    bool maps = received->fd_count == CHANNEL_GUARD_FDS;

    if (!core->worker_count || core->guard.places)
        return -EINVAL;
    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++)
        fds[i] = maps ? received->fds[i] : -1;
    fds[CHANNEL_GUARD_STORE] = received->fds[received->fd_count - 1];
    return guard_open(core, &received->message.guard, fds);
}

static int take_queue(struct switch_core *core, const struct received *received)
{
    const struct channel_queue *message = &received->message.queue;
    const struct afxdp_descriptors descriptors = {
        .xsk = received->fds[0],
        .umem = received->fds[1],
        .large = received->fd_count == 3 ? received->fds[2] : -1,
    };
    struct worker *worker = &core->workers[(message->nic + message->queue) % core->worker_count];
    struct nic_queue *queue;
    struct nic *nic;
    int status;

    if (message->nic >= core->nic_count || worker->queue_count == WORKER_QUEUES_MAX)
        return -EINVAL;
    nic = &core->nics[message->nic];
    if (message->queue != nic->queue_count)
        return -EINVAL;
    queue = &nic->queues[message->queue];
    *queue = (struct nic_queue){.ops = nic->ops, .nic = nic, .index = message->queue};
    status = afxdp_open(queue, message, &descriptors);
    if (status) {
        log_error("%s: queue %u cannot be used: %s", nic->name, message->queue, strerror(-status));
        return status;
    }
    nic->queue_count++;
    worker_add_queue(worker, queue);
    return 0;
}

static int take_packet(struct switch_core *core, const struct received *received)
{
    const struct channel_packet *message = &received->message.packet;
    struct nic_queue *queue;
    struct worker *worker;
    struct nic *nic;
    int status;

    if (message->nic >= core->nic_count)
        return -EINVAL;
    nic = &core->nics[message->nic];
    worker = &core->workers[(message->nic + message->queue) % core->worker_count];
    if (nic->ops != &packet_ops || message->queue != nic->queue_count ||
        message->queue >= nic->queue_wanted || worker->queue_count == WORKER_QUEUES_MAX)
        return -EINVAL;
    queue = &nic->queues[message->queue];
    *queue = (struct nic_queue){.ops = nic->ops, .nic = nic, .index = message->queue};
    status = packet_open(queue, received->fds[0]);
    if (status)
        return status;
    nic->queue_count++;
    worker_add_queue(worker, queue);
    return 0;
}

/* A wire's queues, whose other end may come at any time. */
static int take_wire(struct switch_core *core, const struct channel_wire *message)
{
    const struct impairment impairment = {
        .rate = message->rate,
        .delay_ns = message->delay_ns,
        .seed = message->seed,
        .loss = message->loss,
        .reorder = message->reorder,
        .duplicate = message->duplicate,
        .corrupt = message->corrupt,
    };
    struct nic *nic;

    if (message->nic >= core->nic_count || core->nics[message->nic].ops != &wire_ops ||
        core->nics[message->nic].queue_count)
        return -EINVAL;
    nic = &core->nics[message->nic];
    for (uint32_t i = 0; i < nic->queue_wanted; i++) {
        struct worker *worker = &core->workers[(nic->index + i) % core->worker_count];
        struct nic_queue *queue = &nic->queues[i];
        int status;

        if (worker->queue_count == WORKER_QUEUES_MAX)
            return -ENOSPC;
        *queue = (struct nic_queue){.nic = nic, .index = i};
        status = wire_open(queue, &impairment);
        if (status)
            return status;
        nic->queue_count++;
        worker_add_queue(worker, queue);
    }
    return 0;
}

static void take_wire_link(struct switch_core *core, const struct received *received)
{
    const struct channel_wire_link *message = &received->message.wire_link;
    const struct nic *nic = &core->nics[message->nic];
    int status = -EINVAL;

    if (message->nic < core->nic_count && nic->ops == &wire_ops &&
        message->queue < nic->queue_count)
        status = wire_set_link(&nic->queues[message->queue], message, received->fds);
    else
        for (uint32_t i = 0; i < received->fd_count; i++)
            close(received->fds[i]);
    if (status)
        log_error("wire %u: queue %u of the link cannot be used: %s", message->nic, message->queue,
                  strerror(-status));
}

static int take_protocol(struct switch_core *core, const struct channel_protocol *message)
{
    int status = core->worker_count ? protocols_add(&core->protocols, message) : -EINVAL;

    if (!status && message->has_ports)
        core->shared->bound[message->protocol] |= MUX_BOUND_PORTS;
    return status;
}

static void take_address(struct switch_core *core, const struct channel_address *message)
{
    const struct change change = {
        .kind = CHANGE_ADDRESS,
        .tuple = tuple_make(message->address.bytes, (uint8_t)message->address.family, 0, 0),
        .present = message->present,
    };

    if (core_change(core, &change))
        log_warning("more than %d addresses on this host; one is left out",
                    NAMESPACE_ADDRESSES_MAX);
    suspension_tell(core, &change.tuple);
}

static void take_neighbor(struct switch_core *core, const struct channel_neighbor *message)
{
    struct change change = {.kind = CHANGE_NEIGHBOR, .neighbor = *message};

    for (change.nic = 0; change.nic < core->nic_count; change.nic++) {
        if (core->nics[change.nic].ifindex == message->ifindex)
            core_change(core, &change);
    }
}

static void take_next_hop(struct switch_core *core, const struct channel_next_hop *message)
{
    const struct change change = {.kind = CHANGE_NEXT_HOP, .next_hop = *message};

    core_change(core, &change);
}

static void doubt_next_hops(struct switch_core *core)
{
    const struct change change = {.kind = CHANGE_ROUTES};

    core_change(core, &change);
}

static void take_link(struct switch_core *core, const struct channel_link *message)
{
    uint32_t before = core_mtu(core);
    struct nic *nic;

    if (message->nic >= core->nic_count)
        return;
    nic = &core->nics[message->nic];
    nic->mtu = message->mtu;
    nic->up = message->up;
    memcpy(nic->mac, message->mac, sizeof(nic->mac));
    doubt_next_hops(core);
    if (core_mtu(core) != before)
        control_announce_mtu(core, core_mtu(core));
}

/* Until START: 0, 1 when that was it, or a negative errno. */
static int take_setup(struct switch_core *core, const struct received *received)
{
    int status;

    switch (received->message.header.type) {
    case CHANNEL_CONFIG: return take_config(core, received);
    case CHANNEL_NIC: return take_nic(core, received);
    case CHANNEL_QUEUE: return take_queue(core, received);
    case CHANNEL_PACKET: return take_packet(core, received);
    case CHANNEL_WIRE: return take_wire(core, &received->message.wire);
    case CHANNEL_ADDRESS:
        if (!core->worker_count)
            return -EINVAL;
        take_address(core, &received->message.address);
        return 0;
    case CHANNEL_GROUPS:
        return core->worker_count ? groups_open(core, received->fds[0], received->fds[1]) : -EINVAL;
    case CHANNEL_PROTOCOL: return take_protocol(core, &received->message.protocol);
    case CHANNEL_PORT_RATE:
        return core->worker_count ? port_rates_add(&core->port_rates, &received->message.port_rate)
                                  : -EINVAL;
    case CHANNEL_GUARD: return take_guard(core, received);
    case CHANNEL_START:
        if (!core->worker_count)
            return -EINVAL;
        status = handover_init(core);
        return status ? status : 1;
    case CHANNEL_LINK: take_link(core, &received->message.link); return 0;
    default: return -EINVAL;
    }
}

int core_set_up(struct switch_core *core)
{
    for (;;) {
        struct received received;
        bool gone = false;
        int status;

        if (!receive(core->channel_fd, &received, 0, &gone))
            return -EPIPE;
        status = take_setup(core, &received);
        if (status < 0)
            log_error("set-up, message %u: %s", received.message.header.type, strerror(-status));
        if (status)
            return status < 0 ? status : 0;
    }
}

int core_say_ready(struct switch_core *core)
{
    struct channel_plain ready = {.header = {.type = CHANNEL_READY, .size = sizeof(ready)}};

    if (send(core->channel_fd, &ready, sizeof(ready), MSG_NOSIGNAL) == (ssize_t)sizeof(ready))
        return 0;
    return -errno;
}

static void stop(struct switch_core *core, int status)
{
    core->status = status;
    __atomic_store_n(&core->stop, true, __ATOMIC_RELAXED);
}

static void take_message(struct switch_core *core, const struct received *received)
{
    const union channel_message *message = &received->message;

    switch (message->header.type) {
    case CHANNEL_ADDRESS: take_address(core, &message->address); break;
    case CHANNEL_NEXT_HOP: take_next_hop(core, &message->next_hop); break;
    case CHANNEL_NEIGHBOR: take_neighbor(core, &message->neighbor); break;
    case CHANNEL_RANGE_ANSWER: range_answered(core, &message->range_answer); break;
    case CHANNEL_ROUTES_CHANGED: doubt_next_hops(core); break;
    case CHANNEL_LINK:
        crew_pause(core);
        take_link(core, &message->link);
        crew_resume(core);
        break;
    case CHANNEL_WIRE_LINK:
        crew_pause(core);
        take_wire_link(core, received);
        crew_resume(core);
        break;
    case CHANNEL_STOP: stop(core, 0); break;
    default:
        log_error("the keeper's message %u comes too late", message->header.type);
        stop(core, 1);
        break;
    }
}

void core_report_wires(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->nic_count; i++) {
        struct channel_wire_broken message = {
            .header = {.type = CHANNEL_WIRE_BROKEN, .size = sizeof(message)}, .nic = i};
        struct nic *nic = &core->nics[i];

        for (uint32_t at = 0; nic->ops == &wire_ops && nic->up && at < nic->queue_count; at++) {
            if (!wire_is_broken(&nic->queues[at]))
                continue;
            log_warning("%s: the other end broke the rules of the ring; the link is down",
                        nic->name);
            crew_pause(core);
            nic->up = false; /* until the keeper says that it is up, again or anew */
            crew_resume(core);
            send(core->channel_fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}

void core_hear_keeper(struct switch_core *core)
{
    for (uint32_t i = 0; i < MESSAGES_PER_TURN && !core_stops(core); i++) {
        struct received received;
        bool gone = false;

        if (receive(core->channel_fd, &received, MSG_DONTWAIT, &gone))
            take_message(core, &received);
        else if (gone)
            stop(core, 1); /* without the keeper there is nobody to ask, and the NIC is going */
        else
            return;
    }
}

void core_report_napi(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->nic_count; i++) {
        struct channel_napi message = {.header = {.type = CHANNEL_NAPI, .size = sizeof(message)},
                                       .nic = i};
        struct nic *nic = &core->nics[i];

        for (uint32_t at = 0; nic->ops == &afxdp_ops && at < nic->queue_count; at++) {
            enum afxdp_napi napi = afxdp_look_for_napi(&nic->queues[at]);

            if (napi == AFXDP_NAPI_NOTHING_NEW)
                continue;
            message.found = napi == AFXDP_NAPI_FOUND;
            send(core->channel_fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
    }
}
