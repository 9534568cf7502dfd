/* SPDX-License-Identifier: BSD-2-Clause */
/* Wires in the keeper: it meets the other end (wire_meeting.h) and hands the link's memory to the
 * switch, which has no files to find it by.
 *
 *   the switch is ready     come to the path
 *   the other end is there  CHANNEL_WIRE_LINK for each queue, then the NIC is up
 *   it went away            the NIC is down; wait for it, with new memory
 *   the switch died         leave: a link lives no longer than the two that have its memory
 *
 * A wire has no device, no neighbours and no kernel routes. Its addresses are the host's for as long
 * as the NIC is configured; what is within their prefixes leaves by the wire, to the other end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keeper_internal.h"

int keeper__do_without_mux(struct keeper *keeper)
{
    struct mux_maps *maps = &keeper->maps;
    void *page = MAP_FAILED;

    maps->shared_fd = memfd_create("heartbeat", MFD_CLOEXEC);
    if (maps->shared_fd >= 0 && !ftruncate(maps->shared_fd, (off_t)sizeof(*maps->shared)))
        page = mmap(NULL, sizeof(*maps->shared), PROT_READ | PROT_WRITE, MAP_SHARED,
                    maps->shared_fd, 0);
    if (page == MAP_FAILED) {
        log_error("no memory for the heartbeat: %s", strerror(errno));
        return -1;
    }
    maps->shared = page;
    return 0;
}

int keeper__check_wire(const struct nic_spec *spec)
{
    char directory[WIRE_PATH_SIZE];
    size_t length = (size_t)(strrchr(spec->wire.path, '/') - spec->wire.path);

    memcpy(directory, spec->wire.path, length);
    directory[length] = '\0';
    if (!faccessat(AT_FDCWD, length ? directory : "/", W_OK | X_OK, AT_EACCESS))
        return 0;
    log_error("%s: no link can be made there: %s: %s; create the directory, or name another path",
              spec->device, length ? directory : "/", strerror(errno));
    return -1;
}

int keeper__open_wire(struct keeper *keeper, struct keeper_nic *nic)
{
    struct epoll_event event = {.events = EPOLLIN};
    int status;

    if (keeper__check_wire(&nic->spec))
        return -1;
    status = wire_meeting_init(&nic->meeting, nic->spec.wire.path, nic->spec.wire.queues);
    nic->meeting.abilities = nic->spec.wire.abilities;
    nic->meeting.ring_size = nic->spec.wire.ring_size;
    event.data.fd = nic->meeting.epoll_fd;
    if (!status && epoll_ctl(keeper->epoll_fd, EPOLL_CTL_ADD, nic->meeting.epoll_fd, &event))
        status = -errno;
    if (status) {
        log_error("%s: %s", nic->spec.device, strerror(-status));
        return -1;
    }
    nic->queue_count = nic->spec.wire.queues;
    nic->device.link.mtu = nic->spec.wire.mtu;
    memcpy(nic->device.link.name, nic->spec.device, sizeof(nic->spec.device));
    return 0;
}

static int send_addresses(struct keeper *keeper, const struct wire_spec *spec)
{
    for (uint32_t i = 0; i < spec->address_count; i++) {
        struct channel_address message = {
            .header = {.type = CHANNEL_ADDRESS, .size = sizeof(message)},
            .address = spec->addresses[i].ip,
            .present = 1,
        };
        int status = keeper__send_patiently(keeper, &message, NULL, 0);

        if (status)
            return status;
    }
    return 0;
}

int keeper__send_wire(struct keeper *keeper, struct keeper_nic *nic)
{
    const struct wire_spec *spec = &nic->spec.wire;
    struct channel_nic message = {
        .header = {.type = CHANNEL_NIC, .size = sizeof(message)},
        .driver = "wire",
        .index = nic->index,
        .mtu = spec->mtu,
        .queue_count = spec->queues,
    };
    struct channel_wire wire = {
        .header = {.type = CHANNEL_WIRE, .size = sizeof(wire)},
        .nic = nic->index,
        .loss = spec->impairment.loss,
        .reorder = spec->impairment.reorder,
        .duplicate = spec->impairment.duplicate,
        .corrupt = spec->impairment.corrupt,
        .rate = spec->impairment.rate,
        .delay_ns = spec->impairment.delay_ns,
        .seed = spec->impairment.seed,
    };
    int status;

    memcpy(message.name, nic->spec.device, sizeof(nic->spec.device));
    nic->device.link.up = false;
    status = keeper__send_patiently(keeper, &message, NULL, 0);
    if (!status)
        status = keeper__send_patiently(keeper, &wire, NULL, 0);
    if (!status)
        status = send_addresses(keeper, spec);
    nic->dirty = false;
    return status;
}

static int hand_link_over(struct keeper *keeper, const struct keeper_nic *nic)
{
    const struct wire_link *link = &nic->meeting.link;

    for (uint32_t queue = 0; queue < link->geometry.queues; queue++) {
        struct channel_wire_link message = {
            .header = {.type = CHANNEL_WIRE_LINK, .size = sizeof(message)},
            .nic = nic->index,
            .queue = queue,
            .end = link->geometry.end,
            .queues = link->geometry.queues,
            .ring_size = link->geometry.ring_size,
            .abilities = link->geometry.abilities,
        };
        const int fds[CHANNEL_WIRE_LINK_FDS] = {link->control, link->tx_data, link->rx_data,
                                                link->own_wake[queue], link->peer_wake[queue]};
        int status = keeper__send_patiently(keeper, &message, fds, CHANNEL_WIRE_LINK_FDS);

        if (status)
            return status;
    }
    return 0;
}

static void set_up(struct keeper *keeper, struct keeper_nic *nic, bool up)
{
    uint32_t abilities = nic->meeting.link.geometry.abilities;

    if (nic->device.link.up == up)
        return;
    if (up)
        log_notice("%s: link is up%s%s", nic->spec.device,
                   abilities & WIRE_CAN_SEGMENT ? ", large sends" : "",
                   abilities & WIRE_CAN_CHECKSUM ? ", checksum offload" : "");
    else
        log_notice("%s: link is down: its other end is away", nic->spec.device);
    nic->device.link.up = up;
    memcpy(nic->device.link.mac, nic->meeting.link.mac, WIRE_MAC_SIZE);
    nic->dirty = true;
    keeper->host.dirty = true;
    keeper->host.routes_dirty = true; /* the other end's address is another each time */
}

static void serve_wire(struct keeper *keeper, struct keeper_nic *nic, uint64_t now)
{
    struct wire_meeting *meeting = &nic->meeting;
    const char *problem = meeting->problem;
    enum wire_event event;

    if (!keeper->child.ready) {
        if (meeting->state != WIRE_AWAY)
            wire_meeting_drop(meeting);
        set_up(keeper, nic, false);
        return;
    }
    event = wire_meeting_step(meeting, now);
    if (meeting->problem && meeting->problem != problem)
        log_warning("%s: %s: %s", nic->spec.device, meeting->path, meeting->problem);
    if (event == WIRE_UP && hand_link_over(keeper, nic)) {
        wire_meeting_drop(meeting); /* a switch that does not read; the other end tries again */
        event = WIRE_DOWN;
    }
    if (event != WIRE_NOTHING)
        set_up(keeper, nic, event == WIRE_UP);
}

uint64_t keeper__serve_wires(struct keeper *keeper, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        struct keeper_nic *nic = &keeper->nics[i];

        if (!keeper__is_wire(nic) || !nic->meeting.path[0])
            continue;
        serve_wire(keeper, nic, now);
        if (keeper->child.ready && nic->meeting.due_ns < next)
            next = nic->meeting.due_ns;
    }
    return next;
}

void keeper__wire_broken(struct keeper *keeper, uint32_t index)
{
    struct keeper_nic *nic;

    if (index >= keeper->nic_count || !keeper__is_wire(&keeper->nics[index]))
        return;
    nic = &keeper->nics[index];
    wire_meeting_drop(&nic->meeting);
    nic->meeting.due_ns =
        keeper__now() + NS_PER_SEC; /* one that does it again is not served more often */
    set_up(keeper, nic, false);
}

static const struct wire_address *next_address(const struct keeper *keeper, uint32_t *nic,
                                               uint32_t *at)
{
    for (; *nic < keeper->nic_count; (*nic)++, *at = 0) {
        const struct keeper_nic *candidate = &keeper->nics[*nic];

        if (keeper__is_wire(candidate) && *at < candidate->spec.wire.address_count)
            return &candidate->spec.wire.addresses[(*at)++];
    }
    return NULL;
}

static bool shares_prefix(const struct channel_ip *a, const struct channel_ip *b, uint32_t bits)
{
    uint32_t bytes = bits / 8, rest = bits % 8;

    if (a->family != b->family || memcmp(a->bytes, b->bytes, bytes) != 0)
        return false;
    return !rest || !((a->bytes[bytes] ^ b->bytes[bytes]) >> (8 - rest));
}

bool keeper__wire_has(const struct keeper *keeper, const struct channel_ip *ip)
{
    const struct wire_address *address;
    uint32_t nic = 0, at = 0;

    while ((address = next_address(keeper, &nic, &at))) {
        if (shares_prefix(&address->ip, ip, ip->family == 4 ? 32 : 128))
            return true;
    }
    return false;
}

bool keeper__resolve_on_wire(const struct keeper *keeper, const struct channel_resolve *request,
                             struct channel_next_hop *answer)
{
    const struct wire_address *address, *best = NULL;
    uint32_t nic = 0, at = 0;

    if (keeper__wire_has(keeper, &request->destination)) {
        answer->kind = CHANNEL_HOP_LOCAL;
        return true;
    }
    while ((address = next_address(keeper, &nic, &at))) {
        if (!shares_prefix(&address->ip, &request->destination, address->prefix) ||
            (best && best->prefix >= address->prefix))
            continue;
        best = address;
        answer->nic = nic;
    }
    if (!best)
        return false;
    answer->kind = CHANNEL_HOP_NIC; /* the NIC may be down: then the switch drops it as that */
    answer->mtu = keeper->nics[answer->nic].device.link.mtu;
    memcpy(answer->mac, keeper->nics[answer->nic].meeting.link.peer_mac, WIRE_MAC_SIZE);
    return true;
}
