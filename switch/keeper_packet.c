/* SPDX-License-Identifier: BSD-2-Clause */
/* NICs of the packet driver in the keeper, and lo, which is one of them.
 *
 * lo is served beside whatever is configured (unless `local = no`): by it the host's own programs
 * reach the stacks at the host's own addresses, and the stacks the host's servers.
 *
 *   curl ──► host stack ──► lo ──┬─► host stack: the placeholder swallows it
 *                                └─► tap: claimed ──► packet socket ──► switch ──► port
 *   port ──► switch ──► packet socket ──► lo ──► host stack ──► curl
 *
 * With several workers the kernel spreads flows over as many sockets (PACKET_FANOUT_HASH: by addresses and
 * ports, fragments by addresses). Which of them a flow comes by need not be its ring's worker: as between the
 * queues of a NIC, lanes take it there (handover.h). Each sends by its own.
 *
 * What the switch sends into lo has an own address of the host as its source, which the host stack
 * takes from lo only with some settings of that device (host_settings.h). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "keeper_internal.h"
#include "tap_load.h"

int keeper__open_packet(struct keeper *keeper, struct keeper_nic *nic)
{
    struct device device;

    if (device_probe(&keeper->netlink, nic->spec.device, &device))
        return -1;
    /* the program knows nothing of one device in particular: it serves the next of that name, too */
    if (!nic->tap.skeleton &&
        tap_load(&nic->tap, &keeper->maps, nic->spec.device, device.is_loopback))
        return -1;
    nic->device = device;
    nic->gone = nic->returned = false;
    return 0;
}

void keeper__prepare_host(struct keeper *keeper)
{
    host_settings_init(&keeper->settings, keeper->control.path, keeper->netns_cookie);
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].device.is_loopback)
            host_settings_apply(&keeper->settings);
        keeper__keep_tags(keeper, &keeper->nics[i]);
    }
}

void keeper__add_local(struct keeper *keeper)
{
    struct keeper_nic *nic = &keeper->nics[keeper->nic_count];

    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].device.is_loopback)
            return; /* it is configured */
    }
    *nic = (struct keeper_nic){.spec = {.driver = NIC_DRIVER_PACKET, .device = "lo"},
                               .index = keeper->nic_count};
    if (keeper__open_packet(keeper, nic))
        log_warning("programs of this host itself cannot reach the stacks: see above");
    else
        keeper->nic_count++;
}

/* One for each worker, so that each of them receives. */
static int open_sockets(struct keeper *keeper, struct keeper_nic *nic, int *fds)
{
    nic->queue_count = 0;
    nic->spread_later = false;
    if (nic->gone)
        return 0;
    nic->queue_count = tap_open_sockets(&nic->tap, &keeper->maps, &nic->device.link,
                                        keeper->config->workers, fds, &nic->spread_later);
    return nic->queue_count ? 0 : -1;
}

static int send_sockets(struct keeper *keeper, const struct keeper_nic *nic, const int *fds)
{
    struct channel_packet message = {.header = {.type = CHANNEL_PACKET, .size = sizeof(message)},
                                     .nic = nic->index};
    int status = 0;

    for (; !status && message.queue < nic->queue_count; message.queue++)
        status = keeper__send_patiently(keeper, &message, &fds[message.queue], 1);
    return status;
}

int keeper__send_packet(struct keeper *keeper, struct keeper_nic *nic)
{
    const struct netlink_link *link = &nic->device.link;
    struct channel_nic message = {
        .header = {.type = CHANNEL_NIC, .size = sizeof(message)},
        .driver = "packet",
        .index = nic->index,
        .ifindex = link->ifindex,
        .mtu = link->mtu,
        .up = link->up,
        .is_virtual = nic->device.is_virtual,
        .is_loopback = nic->device.is_loopback,
        .verdict_cpus = mux_verdict_cpus(),
    };
    int verdicts = tap_verdicts_fd(&nic->tap);
    int fds[CHANNEL_WORKERS_MAX];
    int status = open_sockets(keeper, nic, fds);

    message.queue_count = nic->queue_count;
    memcpy(message.name, nic->spec.device, sizeof(nic->spec.device));
    memcpy(message.mac, link->mac, 6);
    if (!status)
        status = keeper__send_patiently(keeper, &message, &verdicts, 1);
    if (!status)
        status = send_sockets(keeper, nic, fds);
    nic->dirty = false;
    for (uint32_t i = 0; i < nic->queue_count; i++)
        close(fds[i]); /* the switch has it now, and alone: it must end when it does */
    return status;
}

bool keeper__may_spread_now(const struct keeper_nic *nic)
{
    return nic->spread_later && !nic->gone && nic->device.link.up;
}
