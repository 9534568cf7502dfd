/* SPDX-License-Identifier: BSD-2-Clause */
/* NICs in the keeper: the mux on them for as long as the keeper lives, AF_XDP sockets for as long
 * as a switch does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper_internal.h"
#include "wire.h"
#include "xsk_open.h"

int keeper__check_nic(const struct nic_spec *spec, const struct device *device)
{
    uint32_t queues = spec->queues ? spec->queues : device->queues;

    if (spec->driver == NIC_DRIVER_PACKET)
        return 0;
    if (device->is_loopback) {
        log_error("%s: the afxdp driver is of no use on it; say packet:%s", spec->device,
                  spec->device);
        return -1;
    }
    if (queues > device->queues) {
        log_error("%s: receives with %u queues, not %u; say queues=%u or fewer, or give it more "
                  "(ethtool -L %s)",
                  spec->device, device->queues, queues, device->queues, spec->device);
        return -1;
    }
    if (device->is_bond && (spec->xdp == XDP_NATIVE || spec->copy == COPY_ZEROCOPY)) {
        log_error("%s: by native XDP a bond's frames come from the devices below, and the kernel "
                  "gives none of them to AF_XDP sockets of the bond; say xdp=auto, or packet:%s",
                  spec->device, spec->device);
        return -1;
    }
    if (queues > MUX_QUEUES_MAX) {
        log_error("%s: receives with %u queues and the mux serves %u; give it fewer (ethtool -L "
                  "%s combined %u)",
                  spec->device, queues, MUX_QUEUES_MAX, spec->device, MUX_QUEUES_MAX);
        return -1;
    }
    if (queues < device->queues)
        log_warning("%s: serving %u of %u queues: what the NIC spreads to the others does not "
                    "reach the stacks; steer it (ethtool -X) or leave queues= out",
                    spec->device, queues, device->queues);
    return 0;
}

/* Whether sockets are to prefer busy polling; says why not. Frames that come by generic XDP belong to no NAPI,
 * and nobody could poll for them. */
static void settle_busy_poll(struct keeper_nic *nic)
{
    uint32_t budget = nic->spec.busy_poll_budget;
    const char *why = NULL;
    int status;

    nic->busy_poll = false;
    if (!budget)
        return;
    status = xsk_try_busy_poll(budget);
    if (!nic->mux.native)
        why = "it takes native XDP (xdp=native)";
    else if (status)
        why = strerror(-status);
    if (why)
        log_warning("%s: no preferred busy polling: %s", nic->spec.device, why);
    else
        nic->busy_poll = true;
}

/* Interrupts wait for who polls only where that is certain to find something: without a NAPI (on a veth from
 * Linux 6.14) all frames would wait for gro_flush_timeout. No ring is mapped here any more: the process that
 * puts the settings back, a fork, would keep it for ever. */
void keeper__napi_told(struct keeper *keeper, const struct channel_napi *message)
{
    struct keeper_nic *nic;

    if (message->nic >= keeper->nic_count || !keeper->nics[message->nic].busy_poll)
        return;
    nic = &keeper->nics[message->nic];
    if (!message->found) {
        log_warning("%s: no preferred busy polling: its driver tells no NAPI of its frames",
                    nic->spec.device);
        nic->busy_poll = false;
        if (nic->napi.kind)
            host_settings_restore(&nic->napi);
        return;
    }
    if (!nic->napi.kind)
        host_settings_init_napi(&nic->napi, nic->spec.device, keeper->control.path,
                                keeper->netns_cookie);
    if (nic->napi.fd < 0)
        log_notice("%s: preferred busy polling", nic->spec.device);
    host_settings_apply(&nic->napi);
}

int keeper__open_nic(struct keeper *keeper, struct keeper_nic *nic)
{
    struct device device;
    int status;

    if (keeper__is_wire(nic))
        return keeper__open_wire(keeper, nic);
    if (keeper__is_packet(nic))
        return keeper__open_packet(keeper, nic);
    if (device_probe(&keeper->netlink, nic->spec.device, &device) ||
        keeper__check_nic(&nic->spec, &device))
        return -1;
    status = nic->gone ? mux_attach_again(&nic->mux, &keeper->maps, &device, &nic->spec)
                       : mux_attach(&nic->mux, &keeper->maps, &device, &nic->spec);
    if (status)
        return -1;
    nic->device = device;
    nic->queue_count = nic->spec.queues ? nic->spec.queues : device.queues;
    nic->bind_flags = 0;
    nic->gone = nic->returned = nic->displaced = false;
    nic->opened_at_ns = 0;
    settle_busy_poll(nic);
    return 0;
}

/* The kernel refuses whoever wants to put a program in the place of ours, but lets root detach it
 * (`bpftool link detach`). Meanwhile the host stack sees everything, and the placeholders swallow
 * what is claimed. The sockets stay in the mux's map. */
void keeper__watch_mux(struct keeper *keeper, struct keeper_nic *nic)
{
    struct netlink_link there;
    uint32_t occupant;

    if (mux_is_attached(&nic->mux))
        return;
    /* A device that goes takes it along, a moment before it is told. */
    if (netlink_get_link(&keeper->netlink, nic->spec.device, &there) ||
        there.ifindex != nic->device.link.ifindex)
        return;
    occupant = mux_occupant(&nic->device);
    if (occupant && nic->displaced)
        return;
    nic->displaced = occupant != 0;
    if (occupant) {
        log_warning(
            "%s: somebody took the mux off, and XDP program %u is there instead; stacks get "
            "no traffic by this NIC until it is gone",
            nic->spec.device, occupant);
        return;
    }
    log_limited(&nic->said, LOG_LEVEL_WARNING, "%s: somebody took the mux off; putting it on again",
                nic->spec.device);
    mux_attach_again(&nic->mux, &keeper->maps, &nic->device, &nic->spec);
}

/* A queue without a socket passes what is claimed to the host stack, where nobody answers it
 * (hostile.md, H4). The kernel tells nobody by rtnetlink, so this asks. */
bool keeper__queues_changed(struct keeper_nic *nic)
{
    uint32_t queues = device_count_queues(nic->spec.device);

    if (!queues || queues == nic->device.queues)
        return false;
    log_notice("%s: receives with %u queues now, %u before", nic->spec.device, queues,
               nic->device.queues);
    nic->device.queues = queues;
    if (queues > MUX_QUEUES_MAX)
        queues = MUX_QUEUES_MAX;
    if (nic->spec.queues && nic->spec.queues < queues)
        queues = nic->spec.queues;
    if (queues == nic->queue_count)
        return false;
    nic->queue_count = queues;
    nic->bind_flags = 0;
    return true;
}

void keeper__warn_of_hidden_tags(const struct device *device)
{
    if (device_hides_vlan_tags(device))
        log_notice(
            "%s: is a %s, where tags may stand beside frames all the same, unseen by XDP; where "
            "VLANs are in use, say packet:%s",
            device->link.name, device->link.kind, device->link.name);
}

/* By a packet socket tags are seen wherever they are. */
void keeper__keep_tags(struct keeper *keeper, struct keeper_nic *nic)
{
    if (keeper__is_wire(nic) || keeper__is_packet(nic))
        return;
    if (!nic->vlan.kind)
        host_settings_init_vlan(&nic->vlan, nic->spec.device, keeper->control.path,
                                keeper->netns_cookie);
    if (host_settings_are_wanted(&nic->vlan))
        host_settings_apply(&nic->vlan);
    keeper__warn_of_hidden_tags(&nic->device);
}

void keeper__close_nic(struct keeper_nic *nic)
{
    if (nic->meeting.path[0])
        wire_meeting_dispose(&nic->meeting);
    else if (keeper__is_packet(nic))
        tap_unload(&nic->tap);
    else if (!keeper__is_wire(nic))
        mux_detach(&nic->mux);
    if (nic->vlan.kind)
        host_settings_restore(&nic->vlan);
    if (nic->napi.kind)
        host_settings_restore(&nic->napi);
}

/* Frames come in chunks; without multi-buffer one chunk has to hold a whole one (hostile.md, H3).
 */
int keeper__check_mtu(const struct keeper_nic *nic)
{
    uint32_t sent_max = CHANNEL_FRAME_CHUNKS_MAX * XSK_CHUNK_SIZE - ETHER_HEADER_SIZE;

    if (keeper__is_packet(nic))
        return 0;
    if (nic->multi_buffer && !nic->spec.large && nic->device.link.mtu > sent_max)
        log_warning(
            "%s: without large sends stacks send packets of at most %u bytes, not of its MTU of %u",
            nic->spec.device, sent_max, nic->device.link.mtu);
    if (nic->multi_buffer || nic->device.link.mtu <= XSK_MTU_MAX)
        return 0;
    log_error("%s: its MTU of %u does not fit: without multi-buffer AF_XDP (Linux 6.6, and the "
              "driver) %d is the most; lower it (ip link set dev %s mtu %d) or say mode=copy",
              nic->spec.device, nic->device.link.mtu, XSK_MTU_MAX, nic->spec.device, XSK_MTU_MAX);
    return -1;
}

static void report_mode(const struct keeper_nic *nic)
{
    log_notice(
        "%s: afxdp, %u queue%s, %s XDP%s, %s mode%s%s%s, MTU %u", nic->spec.device,
        nic->queue_count, nic->queue_count == 1 ? "" : "s", nic->mux.native ? "native" : "generic",
        nic->spec.share ? " (shared through libxdp)" : "", nic->zero_copy ? "zero-copy" : "copy",
        nic->multi_buffer ? ", multi-buffer" : "", nic->large ? ", large sends" : "",
        nic->metadata ? ", checksum offload" : "", nic->device.link.mtu);
}

/* Whether a checksum that is left to the kernel is certain to be filled in. AF_XDP may forget it for
 * devices that send from pages (IFF_TX_SKB_NO_LINEAR), of which virtio_net is the one; newer kernels do not,
 * but one cannot tell them without sending. */
static bool may_leave_checksums(const struct device *device)
{
    return strcmp(device->driver, "virtio_net") != 0;
}

/* Chunks that a frame of the device's MTU takes in the TX ring. With large sends what is longer than a chunk
 * goes another way. */
static uint32_t chunks_wanted(const struct keeper_nic *nic)
{
    uint32_t frame = ETHER_HEADER_SIZE + nic->device.link.mtu + XSK_TX_METADATA_SIZE;
    uint32_t chunks = (frame + XSK_CHUNK_SIZE - 1) / XSK_CHUNK_SIZE;

    if (nic->spec.large)
        return 1;
    return chunks < CHANNEL_FRAME_CHUNKS_MAX ? chunks : CHANNEL_FRAME_CHUNKS_MAX;
}

bool keeper__outgrew_frames(const struct keeper_nic *nic)
{
    return nic->multi_buffer && chunks_wanted(nic) > nic->frame_chunks;
}

/* All of them or none: what one queue can, the NIC can. */
static bool open_large(const struct keeper_nic *nic, struct xsk *queues)
{
    for (uint32_t i = 0; i < nic->queue_count; i++) {
        queues[i].large_fd = xsk_open_large(nic->spec.device, nic->device.link.ifindex);
        if (queues[i].large_fd >= 0)
            continue;
        while (i--) {
            close(queues[i].large_fd);
            queues[i].large_fd = -1;
        }
        return false;
    }
    return true;
}

static int open_queues(struct keeper_nic *nic, struct xsk *queues)
{
    bool first = !nic->bind_flags;
    uint32_t chunks = chunks_wanted(nic);

    for (uint32_t i = 0; i < nic->queue_count; i++) {
        struct xsk_request request = {
            .device = nic->spec.device,
            .ifindex = nic->device.link.ifindex,
            .queue = i,
            .copy = nic->spec.copy,
            .metadata = chunks == 1 && may_leave_checksums(&nic->device),
            .native = nic->mux.native,
            .busy_poll_budget = nic->busy_poll ? nic->spec.busy_poll_budget : 0,
            .flags = nic->bind_flags,
        };

        if (xsk_open(&request, &queues[i]))
            return -1;
        nic->bind_flags = queues[i].flags;
        nic->zero_copy = queues[i].zero_copy;
        nic->multi_buffer = queues[i].multi_buffer;
        nic->metadata = queues[i].metadata;
        nic->frame_chunks = queues[i].multi_buffer ? chunks : 1;
        queues[i].message.frame_chunks = nic->frame_chunks;
    }
    nic->large = nic->spec.large && open_large(nic, queues);
    if (first && keeper__check_mtu(nic))
        return -1;
    if (first)
        report_mode(nic);
    return 0;
}

static int send_queues(struct keeper *keeper, struct keeper_nic *nic, struct xsk *queues)
{
    for (uint32_t i = 0; i < nic->queue_count; i++) {
        const int fds[3] = {queues[i].fd, queues[i].umem_fd, queues[i].large_fd};
        int status = mux_set_socket(&nic->mux, i, queues[i].fd);

        if (status) {
            log_error("%s: queue %u cannot be put into the mux: %s", nic->spec.device, i,
                      strerror(-status));
            return -1;
        }
        queues[i].message.nic = nic->index;
        if (keeper__send_patiently(keeper, &queues[i].message, fds, fds[2] < 0 ? 2 : 3))
            return -1;
    }
    return 0;
}

int keeper__prepare_nic(struct keeper_nic *nic)
{
    if (nic->gone || keeper__is_wire(nic) || keeper__is_packet(nic))
        return 0;
    nic->queues = calloc(MUX_QUEUES_MAX, sizeof(*nic->queues));
    if (!nic->queues) {
        log_error("%s: out of memory", nic->spec.device);
        return -1;
    }
    for (uint32_t i = 0; i < MUX_QUEUES_MAX; i++)
        nic->queues[i].fd = nic->queues[i].umem_fd = nic->queues[i].large_fd = -1;
    return open_queues(nic, nic->queues);
}

void keeper__release_queues(struct keeper_nic *nic)
{
    for (uint32_t i = 0; nic->queues && i < MUX_QUEUES_MAX; i++)
        xsk_close(&nic->queues[i]);
    free(nic->queues);
    nic->queues = NULL;
}

int keeper__send_nic(struct keeper *keeper, struct keeper_nic *nic)
{
    const struct netlink_link *link = &nic->device.link;
    struct channel_nic message = {
        .header = {.type = CHANNEL_NIC, .size = sizeof(message)},
        .driver = "afxdp",
        .index = nic->index,
        .ifindex = link->ifindex,
        .mtu = link->mtu,
        .up = link->up,
        .is_virtual = nic->device.is_virtual,
        .answers = nic->mux.answers,
        .queue_count = nic->queues ? nic->queue_count : 0,
        .verdict_cpus = mux_verdict_cpus(),
    };
    int verdicts, status;

    if (keeper__is_wire(nic))
        return keeper__send_wire(keeper, nic);
    if (keeper__is_packet(nic))
        return keeper__send_packet(keeper, nic);
    verdicts = mux_verdicts_fd(&nic->mux);
    memcpy(message.name, nic->spec.device, sizeof(nic->spec.device));
    snprintf(message.xdp_mode, sizeof(message.xdp_mode), "%s",
             nic->mux.native ? "native" : "generic");
    snprintf(message.copy_mode, sizeof(message.copy_mode), "%s",
             nic->zero_copy ? "zero-copy" : "copy");
    memcpy(message.mac, link->mac, 6);
    status = keeper__send_patiently(keeper, &message, &verdicts, 1);
    if (!status && nic->queues)
        status = send_queues(keeper, nic, nic->queues);
    nic->dirty = false;
    return status;
}
