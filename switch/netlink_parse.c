/* SPDX-License-Identifier: BSD-2-Clause */
/* rtnetlink messages to the structs of netlink.h. Attributes come from the kernel, yet their sizes
 * are checked: a wrong one is our misunderstanding, and must not become a wrong read. */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink.h"

#define NUD_USABLE    (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)
#define NUD_CONFIRMED (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP)

struct attributes {
    const struct nlattr **table;
    uint16_t max;
};

static int keep_attribute(const struct nlattr *attribute, void *data)
{
    struct attributes *attributes = data;
    uint16_t type = mnl_attr_get_type(attribute);

    if (type <= attributes->max)
        attributes->table[type] = attribute;
    return MNL_CB_OK;
}

static bool holds_header(const struct nlmsghdr *message, size_t size)
{
    return message->nlmsg_len >= NLMSG_HDRLEN + size;
}

static uint32_t get_u32(const struct nlattr *attribute, uint32_t otherwise)
{
    return attribute && mnl_attr_get_payload_len(attribute) >= 4 ? mnl_attr_get_u32(attribute)
                                                                 : otherwise;
}

static bool get_mac(const struct nlattr *attribute, uint8_t mac[6])
{
    if (!attribute || mnl_attr_get_payload_len(attribute) != 6)
        return false;
    memcpy(mac, mnl_attr_get_payload(attribute), 6);
    return true;
}

static void get_text(const struct nlattr *attribute, char *to, size_t size)
{
    size_t length = mnl_attr_get_payload_len(attribute);

    if (length >= size)
        length = size - 1;
    memcpy(to, mnl_attr_get_payload(attribute), length);
    to[length] = '\0';
}

/* The family is told by the address's length: a gateway may be of the other one (RTA_VIA). */
static bool get_ip(const void *bytes, size_t length, struct channel_ip *ip)
{
    if (length != 4 && length != 16)
        return false;
    *ip = (struct channel_ip){.family = length == 4 ? 4 : 6};
    memcpy(ip->bytes, bytes, length);
    return true;
}

static bool get_ip_attribute(const struct nlattr *attribute, struct channel_ip *ip)
{
    return attribute &&
           get_ip(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), ip);
}

static void get_kind(const struct nlattr *info, struct netlink_link *link)
{
    const struct nlattr *table[IFLA_INFO_KIND + 1] = {0};
    struct attributes attributes = {table, IFLA_INFO_KIND};

    mnl_attr_parse_nested(info, keep_attribute, &attributes);
    if (table[IFLA_INFO_KIND])
        get_text(table[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
}

bool netlink__parse_link(const struct nlmsghdr *message, struct netlink_link *link)
{
    const struct nlattr *table[IFLA_MAX + 1] = {0};
    struct attributes attributes = {table, IFLA_MAX};
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);

    /* AF_BRIDGE sends notifications of its own about the same devices. */
    if (!holds_header(message, sizeof(*info)) || info->ifi_family != AF_UNSPEC ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    *link = (struct netlink_link){
        .ifindex = (uint32_t)info->ifi_index,
        .parent = get_u32(table[IFLA_LINK], 0),
        .mtu = get_u32(table[IFLA_MTU], 0),
        .rx_queues = get_u32(table[IFLA_NUM_RX_QUEUES], 1),
        .up = (info->ifi_flags & (IFF_UP | IFF_LOWER_UP)) == (IFF_UP | IFF_LOWER_UP),
    };
    if (!table[IFLA_IFNAME])
        return false;
    get_text(table[IFLA_IFNAME], link->name, sizeof(link->name));
    link->has_mac = get_mac(table[IFLA_ADDRESS], link->mac);
    if (table[IFLA_LINKINFO])
        get_kind(table[IFLA_LINKINFO], link);
    return true;
}

bool netlink__parse_address(const struct nlmsghdr *message, struct netlink_address *address)
{
    const struct nlattr *table[IFA_MAX + 1] = {0};
    struct attributes attributes = {table, IFA_MAX};
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    uint32_t flags;

    if (!holds_header(message, sizeof(*info)) ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    *address = (struct netlink_address){.ifindex = info->ifa_index};
    flags = get_u32(table[IFA_FLAGS], info->ifa_flags);
    address->usable = !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) || flags & IFA_F_OPTIMISTIC;
    /* On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL, where there is one, is ours.
     */
    return get_ip_attribute(table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS], &address->ip);
}

bool netlink__parse_neighbor(const struct nlmsghdr *message, struct netlink_neighbor *neighbor)
{
    const struct nlattr *table[NDA_MAX + 1] = {0};
    struct attributes attributes = {table, NDA_MAX};
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);

    if (!holds_header(message, sizeof(*info)) ||
        (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    *neighbor = (struct netlink_neighbor){.ifindex = (uint32_t)info->ndm_ifindex};
    neighbor->valid = get_mac(table[NDA_LLADDR], neighbor->mac) && info->ndm_state & NUD_USABLE;
    neighbor->confirmed = neighbor->valid && info->ndm_state & NUD_CONFIRMED;
    return get_ip_attribute(table[NDA_DST], &neighbor->ip);
}

static uint32_t get_route_mtu(const struct nlattr *metrics)
{
    const struct nlattr *table[RTAX_MAX + 1] = {0};
    struct attributes attributes = {table, RTAX_MAX};

    mnl_attr_parse_nested(metrics, keep_attribute, &attributes);
    return get_u32(table[RTAX_MTU], 0);
}

bool netlink__parse_route(const struct nlmsghdr *message, struct netlink_route *route)
{
    const struct nlattr *table[RTA_MAX + 1] = {0};
    struct attributes attributes = {table, RTA_MAX};
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);

    if (!holds_header(message, sizeof(*info)) ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    *route = (struct netlink_route){
        .type = info->rtm_type,
        .ifindex = get_u32(table[RTA_OIF], 0),
    };
    if (table[RTA_METRICS])
        route->mtu = get_route_mtu(table[RTA_METRICS]);
    if (table[RTA_GATEWAY]) {
        route->has_gateway = get_ip_attribute(table[RTA_GATEWAY], &route->gateway);
        return route->has_gateway;
    }
    if (table[RTA_VIA]) {
        const struct rtvia *via = mnl_attr_get_payload(table[RTA_VIA]);
        size_t length = mnl_attr_get_payload_len(table[RTA_VIA]);

        route->has_gateway = length > sizeof(*via) &&
                             get_ip(via->rtvia_addr, length - sizeof(*via), &route->gateway);
        return route->has_gateway;
    }
    return true;
}

bool netlink__parse_prefix(const struct nlmsghdr *message, struct netlink_prefix *prefix)
{
    const struct nlattr *table[RTA_MAX + 1] = {0};
    struct attributes attributes = {table, RTA_MAX};
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);

    if (message->nlmsg_type != RTM_NEWROUTE || !holds_header(message, sizeof(*info)) ||
        (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) ||
        info->rtm_dst_len > (info->rtm_family == AF_INET ? 32 : 128) ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    *prefix = (struct netlink_prefix){
        .ip.family = info->rtm_family == AF_INET ? 4 : 6,
        .bits = info->rtm_dst_len,
        .several = table[RTA_MULTIPATH] || table[RTA_NH_ID] || info->rtm_src_len || info->rtm_tos,
    };
    if (table[RTA_DST] && !get_ip_attribute(table[RTA_DST], &prefix->ip))
        return false;
    if (!netlink__parse_route(message, &prefix->route))
        prefix->several = true; /* a gateway that is not understood is none to rely on */
    return true;
}

bool netlink__is_plain_rule(const struct nlmsghdr *message)
{
    const struct nlattr *table[FRA_MAX + 1] = {0};
    struct attributes attributes = {table, FRA_MAX};
    const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
    uint32_t priority;

    if (message->nlmsg_type != RTM_NEWRULE || !holds_header(message, sizeof(*info)) ||
        mnl_attr_parse(message, sizeof(*info), keep_attribute, &attributes) < 0)
        return false;
    priority = get_u32(table[FRA_PRIORITY], 0);
    return info->action == FR_ACT_TO_TBL && !info->src_len && !info->dst_len && !info->tos &&
           ((priority == 0 && info->table == RT_TABLE_LOCAL) ||
            (priority == 32766 && info->table == RT_TABLE_MAIN) ||
            (priority == 32767 && info->table == RT_TABLE_DEFAULT));
}

void netlink__dispatch(const struct nlmsghdr *message, const struct netlink_events *events)
{
    struct netlink_link link;
    struct netlink_address address;
    struct netlink_neighbor neighbor;

    switch (message->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        if (netlink__parse_link(message, &link))
            events->link(events->context, &link, message->nlmsg_type == RTM_NEWLINK);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        if (netlink__parse_address(message, &address))
            events->address(events->context, &address, message->nlmsg_type == RTM_NEWADDR);
        break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        if (netlink__parse_neighbor(message, &neighbor))
            events->neighbor(events->context, &neighbor, message->nlmsg_type == RTM_NEWNEIGH);
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
    case RTM_NEWRULE:
    case RTM_DELRULE: events->routes(events->context); break;
    }
}
