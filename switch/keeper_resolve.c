/* SPDX-License-Identifier: BSD-2-Clause */
/* Next hops: the kernel's answer to the switch's question.
 *
 * Route first, as the kernel would choose it for a packet of this host with that source; then the
 * neighbour, the gateway's or the destination's own. A neighbour that is not known or not confirmed
 * lately is asked for by the kernel (NTF_USE, as if the kernel had sent it a packet itself), and a
 * notification will bring what it found. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "keeper_internal.h"

static const struct keeper_nic *find_nic(const struct keeper *keeper, uint32_t ifindex)
{
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].device.link.ifindex == ifindex && !keeper->nics[i].gone &&
            !keeper__is_wire(&keeper->nics[i]))
            return &keeper->nics[i];
    }
    return NULL;
}

/* Groups have no neighbour: their MAC follows from the address (RFC 1112 section 6.4, RFC 2464
 * section 7). */
static void map_group(const struct netlink_route *route, struct channel_next_hop *answer)
{
    const uint8_t *ip = answer->destination.bytes;

    if (route->type == RTN_BROADCAST) {
        memset(answer->mac, 0xff, 6);
    } else if (answer->destination.family == 4) {
        const uint8_t mac[6] = {0x01, 0x00, 0x5e, ip[1] & 0x7f, ip[2], ip[3]};

        memcpy(answer->mac, mac, 6);
    } else {
        const uint8_t mac[6] = {0x33, 0x33, ip[12], ip[13], ip[14], ip[15]};

        memcpy(answer->mac, mac, 6);
    }
    answer->kind = CHANNEL_HOP_NIC;
}

static void find_mac(struct keeper *keeper, uint32_t ifindex, struct channel_next_hop *answer)
{
    struct netlink_neighbor neighbor = {0};
    int status = netlink_get_neighbor(&keeper->netlink, &answer->gateway, ifindex, &neighbor);

    if (status)
        neighbor.valid = neighbor.confirmed = false;
    answer->kind = neighbor.valid ? CHANNEL_HOP_NIC : CHANNEL_HOP_RESOLVING;
    memcpy(answer->mac, neighbor.mac, 6);
    if (!neighbor.confirmed) {
        status = netlink_ask_neighbor(&keeper->netlink, &answer->gateway, ifindex);
        if (status)
            log_debug("the kernel does not look for a neighbour: %s", strerror(-status));
    }
}

static bool ip_is_sane(const struct channel_ip *ip)
{
    return ip->family == 4 || ip->family == 6;
}

/* A link-local destination (RFC 4291 section 2.5.6) means something only on one link: the one that
 * the source, which is link-local too, belongs to. */
static uint32_t link_of(const struct keeper *keeper, const struct channel_resolve *request)
{
    const uint8_t *ip = request->destination.bytes;

    if (request->destination.family != 6 || ip[0] != 0xfe || (ip[1] & 0xc0) != 0x80)
        return 0;
    for (uint32_t i = 0; i < keeper->host.address_count; i++) {
        const struct keeper_address *address = &keeper->host.addresses[i];

        if (address->present && address->ip.family == 6 &&
            !memcmp(address->ip.bytes, request->source.bytes, 16))
            return address->ifindex;
    }
    return 0;
}

void keeper__resolve(struct keeper *keeper, const struct channel_resolve *request,
                     struct channel_next_hop *answer)
{
    struct netlink_route route;
    const struct keeper_nic *nic;

    *answer = (struct channel_next_hop){
        .header = {.type = CHANNEL_NEXT_HOP, .size = sizeof(*answer)},
        .destination = request->destination,
        .source = request->source,
        .gateway = request->destination,
        .kind = CHANNEL_HOP_UNREACHABLE,
    };
    if (!ip_is_sane(&request->destination) ||
        request->source.family != request->destination.family ||
        keeper__resolve_on_wire(keeper, request, answer) ||
        netlink_get_route(&keeper->netlink, &request->destination, &request->source,
                          link_of(keeper, request), &route))
        return;
    if (route.type == RTN_LOCAL) {
        answer->kind = CHANNEL_HOP_LOCAL;
        return;
    }
    if (route.type != RTN_UNICAST && route.type != RTN_BROADCAST && route.type != RTN_MULTICAST)
        return; /* blackhole, prohibit, unreachable */
    nic = find_nic(keeper, route.ifindex);
    if (!nic) {
        answer->kind = CHANNEL_HOP_OTHER;
        return;
    }
    answer->nic = nic->index;
    answer->mtu = nic->device.link.mtu;
    if (route.mtu && route.mtu < answer->mtu)
        answer->mtu = route.mtu;
    if (route.has_gateway)
        answer->gateway = route.gateway;
    if (route.type == RTN_UNICAST) {
        find_mac(keeper, route.ifindex, answer);
        if (answer->kind == CHANNEL_HOP_NIC)
            answer->prefix = keeper__reach(keeper, &request->destination, &route);
    } else
        map_group(&route, answer);
}
