/* SPDX-License-Identifier: BSD-2-Clause */
/* The host as netlink tells it, passed on to the mux and the switch.
 *
 * Notifications only change the tables here and mark what changed; keeper__sync() then tells
 * whoever does not know. So a switch that is slow to read loses nothing: what it was not told stays
 * marked. Neighbours alone are passed on as they come, since their table is the kernel's; when one
 * does not get through, the switch is told instead to forget all that it resolved. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keeper_internal.h"

static bool same_ip(const struct channel_ip *a, const struct channel_ip *b)
{
    return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* 127.0.0.0/8 and ::1 are addresses of this host that no wire can bring. */
static bool ip_is_loopback(const struct channel_ip *ip)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    return ip->family == 4 ? ip->bytes[0] == 127 : !memcmp(ip->bytes, loopback6, 16);
}

static struct keeper_nic *find_nic(struct keeper *keeper, uint32_t ifindex)
{
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].device.link.ifindex == ifindex && !keeper->nics[i].gone &&
            !keeper__is_wire(&keeper->nics[i]))
            return &keeper->nics[i];
    }
    return NULL;
}

static void mark_nic(struct keeper *keeper, struct keeper_nic *nic)
{
    nic->dirty = true;
    keeper->host.dirty = true;
}

static void link_changed(struct keeper *keeper, struct keeper_nic *nic,
                         const struct netlink_link *link)
{
    struct netlink_link *known = &nic->device.link;

    if (known->mtu == link->mtu && known->up == link->up &&
        !memcmp(known->mac, link->mac, sizeof(known->mac)))
        return;
    if (known->up != link->up)
        log_limited(&nic->said, LOG_LEVEL_NOTICE, "%s: link is %s", nic->spec.device,
                    link->up ? "up" : "down");
    if (!keeper__is_packet(nic) && memcmp(known->mac, link->mac, sizeof(known->mac)) &&
        mux_set_mac(&nic->mux, link->mac))
        log_error("%s: the mux cannot be told the new MAC address", nic->spec.device);
    if (known->mtu != link->mtu) {
        known->mtu = link->mtu;
        keeper__check_mtu(nic); /* serving goes on: what fits still arrives */
    }
    known->up = link->up;
    memcpy(known->mac, link->mac, sizeof(known->mac));
    mark_nic(keeper, nic);
}

static void link_gone(struct keeper *keeper, struct keeper_nic *nic)
{
    log_warning("%s: the device is gone; serving it again as soon as it is back", nic->spec.device);
    nic->gone = true;
    nic->opened_at_ns = 0;
    nic->device.link.up = false;
    mark_nic(keeper, nic);
}

static void on_link(void *context, const struct netlink_link *link, bool present)
{
    struct keeper *keeper = context;
    struct keeper_nic *nic = find_nic(keeper, link->ifindex);

    keeper->look_at_ns = 0; /* what changes comes seldom alone */
    if (nic && present) {
        nic->seen = true;
        link_changed(keeper, nic, link);
    } else if (nic) {
        link_gone(keeper, nic);
    } else if (present) {
        for (uint32_t i = 0; i < keeper->nic_count; i++) {
            if (keeper->nics[i].gone && !strcmp(keeper->nics[i].spec.device, link->name))
                keeper->nics[i].returned = true;
        }
    }
}

static struct keeper_address *find_address(struct keeper_host *host, const struct channel_ip *ip,
                                           uint32_t ifindex)
{
    for (uint32_t i = 0; i < host->address_count; i++) {
        if (host->addresses[i].ifindex == ifindex && same_ip(&host->addresses[i].ip, ip))
            return &host->addresses[i];
    }
    return NULL;
}

static void set_present(struct keeper_host *host, struct keeper_address *address, bool present)
{
    if (address->present == present)
        return;
    address->present = present;
    address->dirty = true;
    host->dirty = true;
}

static void on_address(void *context, const struct netlink_address *told, bool present)
{
    struct keeper *keeper = context;
    struct keeper_host *host = &keeper->host;
    struct keeper_address *address = find_address(host, &told->ip, told->ifindex);

    present = present && told->usable;
    if (!address && !present)
        return;
    if (!address) {
        if (host->address_count == KEEPER_ADDRESSES_MAX) {
            log_limited(&host->full_limit, LOG_LEVEL_WARNING,
                        "this host has more than %d addresses; stacks cannot use the rest",
                        KEEPER_ADDRESSES_MAX);
            return;
        }
        address = &host->addresses[host->address_count++];
        *address = (struct keeper_address){.ip = told->ip, .ifindex = told->ifindex};
    }
    address->seen = true;
    set_present(host, address, present);
    host->routes_dirty = true;
}

static void on_neighbor(void *context, const struct netlink_neighbor *neighbor, bool present)
{
    struct keeper *keeper = context;
    struct channel_neighbor message = {
        .header = {.type = CHANNEL_NEIGHBOR, .size = sizeof(message)},
        .address = neighbor->ip,
        .ifindex = neighbor->ifindex,
        .valid = present && neighbor->valid,
    };

    if (!find_nic(keeper, neighbor->ifindex) || !keeper->child.ready)
        return;
    memcpy(message.mac, neighbor->mac, 6);
    if (keeper__send(keeper, &message, NULL, 0))
        keeper->host.routes_dirty = true;
}

static void on_routes(void *context)
{
    ((struct keeper *)context)->host.routes_dirty = true;
}

const struct netlink_events keeper__events = {
    .link = on_link,
    .address = on_address,
    .neighbor = on_neighbor,
    .routes = on_routes,
};

void keeper__dump_host(struct keeper *keeper)
{
    struct keeper_host *host = &keeper->host;
    int status;

    for (uint32_t i = 0; i < host->address_count; i++)
        host->addresses[i].seen = false;
    for (uint32_t i = 0; i < keeper->nic_count; i++)
        keeper->nics[i].seen = false;
    status = netlink_dump(&keeper->netlink);
    if (status) {
        log_warning("the kernel does not list links and addresses: %s", strerror(-status));
        return;
    }
    for (uint32_t i = 0; i < host->address_count; i++) {
        if (!host->addresses[i].seen)
            set_present(host, &host->addresses[i], false);
    }
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        struct keeper_nic *nic = &keeper->nics[i];
        struct netlink_link again;

        if (nic->seen || nic->gone || keeper__is_wire(nic))
            continue;
        link_gone(keeper, nic);
        /* its return was not told as that of one that is gone */
        nic->returned = !netlink_get_link(&keeper->netlink, nic->spec.device, &again);
    }
    host->routes_dirty = true;
}

static bool host_has(const struct keeper_host *host, const struct channel_ip *ip)
{
    for (uint32_t i = 0; i < host->address_count; i++) {
        if (host->addresses[i].present && same_ip(&host->addresses[i].ip, ip))
            return true;
    }
    return false;
}

/* What counts is whether any device has the address. */
static int sync_address(struct keeper *keeper, struct keeper_address *address)
{
    struct channel_address message = {
        .header = {.type = CHANNEL_ADDRESS, .size = sizeof(message)},
        .address = address->ip,
        .ifindex = address->ifindex,
        .present = host_has(&keeper->host, &address->ip),
    };
    int status;

    if (!ip_is_loopback(&address->ip) && keeper->maps.addresses >= 0) {
        status = mux_set_address(&keeper->maps, &address->ip, address->ifindex, message.present);
        if (status && status != -ENOENT)
            log_warning("the mux cannot be told an address: %s", strerror(-status));
    }
    message.present |= keeper__wire_has(keeper, &address->ip);
    if (keeper->child.channel >= 0) {
        status = keeper__send(keeper, &message, NULL, 0);
        if (status)
            return status;
    }
    address->dirty = false;
    return 0;
}

static int sync_nic(struct keeper *keeper, struct keeper_nic *nic)
{
    struct channel_link message = {
        .header = {.type = CHANNEL_LINK, .size = sizeof(message)},
        .nic = nic->index,
        .mtu = nic->device.link.mtu,
        .up = nic->device.link.up,
    };

    memcpy(message.mac, nic->device.link.mac, 6);
    if (keeper->child.channel >= 0 && keeper__send(keeper, &message, NULL, 0))
        return -EAGAIN;
    nic->dirty = false;
    return 0;
}

static void sync_state(struct keeper *keeper)
{
    struct keeper_host *host = &keeper->host;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].dirty && sync_nic(keeper, &keeper->nics[i]))
            return;
    }
    for (uint32_t i = 0; i < host->address_count; i++) {
        if (host->addresses[i].dirty && sync_address(keeper, &host->addresses[i]))
            return;
    }
    for (uint32_t i = 0; i < host->address_count; i++) {
        if (host->addresses[i].present)
            host->addresses[kept++] = host->addresses[i];
    }
    host->address_count = kept;
    host->dirty = false;
}

void keeper__sync(struct keeper *keeper)
{
    struct channel_plain routes = {
        .header = {.type = CHANNEL_ROUTES_CHANGED, .size = sizeof(routes)}};

    if (keeper->host.dirty)
        sync_state(keeper);
    if (keeper->host.routes_dirty && keeper->child.ready) {
        keeper__forget_reach(keeper);
        keeper->host.routes_dirty = keeper__send(keeper, &routes, NULL, 0) != 0;
    }
}

void keeper__forget_sync(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->host.address_count; i++)
        keeper->host.addresses[i].dirty = true;
    keeper->host.dirty = true;
}
