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
    nic->queue_count = 1;
    nic->gone = nic->returned = false;
    return 0;
}

void keeper__prepare_host(struct keeper *keeper)
{
    host_settings_init(&keeper->settings, keeper->control.path, keeper->netns_cookie);
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].device.is_loopback)
            host_settings_apply(&keeper->settings);
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
        .queue_count = nic->gone ? 0 : 1,
        .verdict_cpus = mux_verdict_cpus(),
    };
    struct channel_packet packet = {.header = {.type = CHANNEL_PACKET, .size = sizeof(packet)},
                                    .nic = nic->index};
    int verdicts = tap_verdicts_fd(&nic->tap);
    int fd = -1, status = 0;

    if (!nic->gone) {
        fd = tap_open_socket(&nic->tap, nic->spec.device, link->ifindex);
        status = fd < 0 ? -1 : 0;
    }
    memcpy(message.name, nic->spec.device, sizeof(nic->spec.device));
    memcpy(message.mac, link->mac, 6);
    if (!status)
        status = keeper__send_patiently(keeper, &message, &verdicts, 1);
    if (!status && !nic->gone)
        status = keeper__send_patiently(keeper, &packet, &fd, 1);
    nic->dirty = false;
    if (fd >= 0)
        close(fd); /* the switch has it now, and alone: it must end when it does */
    return status;
}
