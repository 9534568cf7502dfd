/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keeper hears from the kernel by rtnetlink, or from whoever could pretend to be it: a buffer
 * of messages, each of which goes to every parser. */
#include "fuzz.h"

#include <assert.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

/* A message: its header, that of its kind, and attributes that hold 32 bits. */
struct attribute {
    struct nlattr header;
    uint32_t value;
};
#define ATTRIBUTE(kind, number)                                                                    \
    {                                                                                              \
        .header = {.nla_len = sizeof(struct attribute), .nla_type = (kind)}, .value = (number)     \
    }
#define MESSAGE(name, body, attributes)                                                            \
    struct name {                                                                                  \
        struct nlmsghdr header;                                                                    \
        struct body info;                                                                          \
        struct attribute list[attributes];                                                         \
    }
#define HEADER(name, type)                                                                         \
    {                                                                                              \
        .nlmsg_len = sizeof(struct name), .nlmsg_type = (type)                                     \
    }

static const MESSAGE(link_message, ifinfomsg, 4) link_message = {
    .header = HEADER(link_message, RTM_NEWLINK),
    .info = {.ifi_index = 7, .ifi_flags = 1},
    .list = {ATTRIBUTE(IFLA_IFNAME, 0x00316874), ATTRIBUTE(IFLA_MTU, 1500),
             ATTRIBUTE(IFLA_NUM_RX_QUEUES, 4), ATTRIBUTE(IFLA_LINKINFO, 0)},
};
static const MESSAGE(address_message, ifaddrmsg, 2) address_message = {
    .header = HEADER(address_message, RTM_NEWADDR),
    .info = {.ifa_family = 2, .ifa_index = 7},
    .list = {ATTRIBUTE(IFA_LOCAL, 0x0100000a), ATTRIBUTE(IFA_FLAGS, 0x80)},
};
static const MESSAGE(neighbor_message, ndmsg, 2) neighbor_message = {
    .header = HEADER(neighbor_message, RTM_NEWNEIGH),
    .info = {.ndm_family = 2, .ndm_ifindex = 7, .ndm_state = 2},
    .list = {ATTRIBUTE(NDA_DST, 0x0100000a), ATTRIBUTE(NDA_LLADDR, 2)},
};
static const MESSAGE(route_message, rtmsg, 4) route_message = {
    .header = HEADER(route_message, RTM_NEWROUTE),
    .info = {.rtm_family = 2, .rtm_type = RTN_UNICAST},
    .list = {ATTRIBUTE(RTA_OIF, 7), ATTRIBUTE(RTA_GATEWAY, 0x0100000a), ATTRIBUTE(RTA_METRICS, 0),
             ATTRIBUTE(RTA_VIA, 10)},
};

const struct fuzz_example fuzz_examples[] = {
    {&link_message, sizeof(link_message)},
    {&address_message, sizeof(address_message)},
    {&neighbor_message, sizeof(neighbor_message)},
    {&route_message, sizeof(route_message)},
    {NULL, 0},
};

static void on_link(void *context, const struct netlink_link *link, bool present)
{
    (void)context, (void)present;
    assert(memchr(link->name, 0, sizeof(link->name)) && memchr(link->kind, 0, sizeof(link->kind)));
}

static void check_ip(const struct channel_ip *ip)
{
    assert(ip->family == 4 || ip->family == 6);
}

static void on_address(void *context, const struct netlink_address *address, bool present)
{
    (void)context, (void)present;
    check_ip(&address->ip);
}

static void on_neighbor(void *context, const struct netlink_neighbor *neighbor, bool present)
{
    (void)context, (void)present;
    check_ip(&neighbor->ip);
}

static void on_routes(void *context)
{
    (void)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct netlink_events events = {on_link, on_address, on_neighbor, on_routes, NULL};
    /* Of its own, so that a sanitizer sees the end; and aligned, as what recv(2) fills is. */
    char *buffer = malloc(size ? size : 1);
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    int rest = (int)size;

    if (size)
        memcpy(buffer, data, size);
    /* libmnl takes a length above 2 GiB for a negative one; recv(2) never gives it so much. */
    while (mnl_nlmsg_ok(message, rest) && message->nlmsg_len <= INT32_MAX) {
        struct netlink_link link;
        struct netlink_address address;
        struct netlink_neighbor neighbor;
        struct netlink_route route;
        struct netlink_prefix prefix;

        netlink__parse_link(message, &link);
        netlink__parse_address(message, &address);
        netlink__parse_neighbor(message, &neighbor);
        if (netlink__parse_route(message, &route) && route.has_gateway)
            check_ip(&route.gateway);
        if (netlink__parse_prefix(message, &prefix)) {
            check_ip(&prefix.ip);
            assert(prefix.bits <= (prefix.ip.family == 4 ? 32 : 128));
        }
        netlink__is_plain_rule(message);
        netlink__dispatch(message, &events);
        message = mnl_nlmsg_next(message, &rest);
    }
    free(buffer);
    return 0;
}
