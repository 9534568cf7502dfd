/* SPDX-License-Identifier: BSD-2-Clause */
/* netlink.h: the sockets. Requests wait for the kernel's answer, with a limit; the kernel answers
 * from within the request, so the limit only bounds waiting for the kernel's own lock. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink.h"

#define MESSAGE_SIZE        32768 /* bytes: what the kernel fills in dumps */
#define ANSWER_TIMEOUT_MS   500
#define NOTIFICATIONS_BATCH 64                /* messages for each netlink_read() */
#define NOTIFICATIONS_SPACE (4 * 1024 * 1024) /* bytes: a full table of routes flapping */

static const unsigned notification_groups[] = {
    RTNLGRP_LINK,       RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

static int open_socket(struct mnl_socket **opened)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    int one = 1;

    if (!socket)
        return -errno;
    /* The kernel then validates what we ask for, instead of ignoring what it does not know. */
    mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int error = errno;

        mnl_socket_close(socket);
        return -error;
    }
    *opened = socket;
    return 0;
}

int netlink_open(struct netlink *netlink, const struct netlink_events *events)
{
    int space = NOTIFICATIONS_SPACE;
    int status;

    *netlink = (struct netlink){.events = *events, .sequence = 1};
    status = open_socket(&netlink->requests);
    if (!status)
        status = open_socket(&netlink->notifications);
    if (status)
        goto failed;
    /* Beyond net.core.rmem_max where NET_ADMIN allows it; less space only means ENOBUFS earlier. */
    setsockopt(netlink_fd(netlink), SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof(space));
    for (size_t i = 0; i < sizeof(notification_groups) / sizeof(notification_groups[0]); i++) {
        int group = (int)notification_groups[i];

        if (mnl_socket_setsockopt(netlink->notifications, NETLINK_ADD_MEMBERSHIP, &group,
                                  sizeof(group)) < 0) {
            status = -errno;
            goto failed;
        }
    }
    return 0;

failed:
    netlink_close(netlink);
    return status;
}

void netlink_close(struct netlink *netlink)
{
    if (netlink->requests)
        mnl_socket_close(netlink->requests);
    if (netlink->notifications)
        mnl_socket_close(netlink->notifications);
    netlink->requests = netlink->notifications = NULL;
}

int netlink_fd(const struct netlink *netlink)
{
    return mnl_socket_get_fd(netlink->notifications);
}

static int dispatch_message(const struct nlmsghdr *message, void *data)
{
    netlink__dispatch(message, &((struct netlink *)data)->events);
    return MNL_CB_OK;
}

int netlink_read(struct netlink *netlink)
{
    _Alignas(struct nlmsghdr) char buffer[MESSAGE_SIZE];

    for (int i = 0; i < NOTIFICATIONS_BATCH; i++) {
        ssize_t size = recv(netlink_fd(netlink), buffer, sizeof(buffer), MSG_DONTWAIT);

        if (size < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        /* Sequence and port are not checked: notifications carry those of whoever caused them. */
        if (mnl_cb_run(buffer, (size_t)size, 0, 0, dispatch_message, netlink) < 0)
            return errno == ENOBUFS || errno == EINTR ? -ENOBUFS : -errno;
    }
    return 0;
}

/* Sends one request and runs `callback` over the answer until it is whole. */
static int ask(struct netlink *netlink, struct nlmsghdr *request, mnl_cb_t callback, void *data)
{
    _Alignas(struct nlmsghdr) char buffer[MESSAGE_SIZE];
    struct pollfd readable = {.fd = mnl_socket_get_fd(netlink->requests), .events = POLLIN};
    unsigned port = mnl_socket_get_portid(netlink->requests);
    int more = MNL_CB_OK;

    request->nlmsg_seq = ++netlink->sequence;
    if (mnl_socket_sendto(netlink->requests, request, request->nlmsg_len) < 0)
        return -errno;
    while (more == MNL_CB_OK) {
        ssize_t size;

        if (poll(&readable, 1, ANSWER_TIMEOUT_MS) <= 0)
            return -ETIMEDOUT;
        size = recv(readable.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (size < 0)
            return -errno;
        /* A late answer to a request that timed out. */
        if ((size_t)size >= sizeof(struct nlmsghdr) &&
            ((struct nlmsghdr *)buffer)->nlmsg_seq != netlink->sequence)
            continue;
        more = mnl_cb_run(buffer, (size_t)size, netlink->sequence, port, callback, data);
        if (more < 0)
            return -errno;
    }
    return 0;
}

static int dump(struct netlink *netlink, uint16_t type, size_t header_size)
{
    _Alignas(struct nlmsghdr) char buffer[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    mnl_nlmsg_put_extra_header(request, header_size); /* zeroed: AF_UNSPEC */
    return ask(netlink, request, dispatch_message, netlink);
}

int netlink_dump(struct netlink *netlink)
{
    int status = dump(netlink, RTM_GETLINK, sizeof(struct ifinfomsg));

    return status ? status : dump(netlink, RTM_GETADDR, sizeof(struct ifaddrmsg));
}

/* One answer, parsed by `parse` into `result`. Ends at the answer: there is no acknowledgement
 * behind it. */
struct single {
    bool (*parse)(const struct nlmsghdr *message, void *result);
    void *result;
    bool found;
};

static int take_single(const struct nlmsghdr *message, void *data)
{
    struct single *single = data;

    single->found = single->parse(message, single->result);
    return MNL_CB_STOP;
}

static int ask_single(struct netlink *netlink, struct nlmsghdr *request,
                      bool (*parse)(const struct nlmsghdr *, void *), void *result)
{
    struct single single = {.parse = parse, .result = result};
    int status = ask(netlink, request, take_single, &single);

    return status ? status : (single.found ? 0 : -EPROTO);
}

static bool parse_link(const struct nlmsghdr *message, void *result)
{
    return netlink__parse_link(message, result);
}

static bool parse_route(const struct nlmsghdr *message, void *result)
{
    return netlink__parse_route(message, result);
}

static bool parse_neighbor(const struct nlmsghdr *message, void *result)
{
    return netlink__parse_neighbor(message, result);
}

static uint8_t ip_family(const struct channel_ip *ip)
{
    return ip->family == 4 ? AF_INET : AF_INET6;
}

static size_t ip_size(const struct channel_ip *ip)
{
    return ip->family == 4 ? 4 : 16;
}

int netlink_get_link(struct netlink *netlink, const char *name, struct netlink_link *link)
{
    _Alignas(struct nlmsghdr) char buffer[512];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST;
    mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(request, IFLA_IFNAME, name);
    return ask_single(netlink, request, parse_link, link);
}

int netlink_get_route(struct netlink *netlink, const struct channel_ip *destination,
                      const struct channel_ip *source, uint32_t ifindex,
                      struct netlink_route *route)
{
    _Alignas(struct nlmsghdr) char buffer[512];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct rtmsg *header;

    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST;
    header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->rtm_family = ip_family(destination);
    header->rtm_dst_len = (uint8_t)(ip_size(destination) * 8);
    header->rtm_src_len = (uint8_t)(ip_size(source) * 8);
    mnl_attr_put(request, RTA_DST, ip_size(destination), destination->bytes);
    mnl_attr_put(request, RTA_SRC, ip_size(source), source->bytes);
    if (ifindex)
        mnl_attr_put_u32(request, RTA_OIF, ifindex);
    return ask_single(netlink, request, parse_route, route);
}

/* A socket of its own: what is left of a dump that is too long goes with it. */
static int dump_apart(uint16_t type, uint8_t family, size_t header_size, mnl_cb_t callback,
                      void *data)
{
    _Alignas(struct nlmsghdr) char buffer[256];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct netlink apart = {.sequence = 1};
    uint8_t *header;
    int status = open_socket(&apart.requests);

    if (status)
        return status;
    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header = mnl_nlmsg_put_extra_header(request, header_size);
    header[0] = family == 4 ? AF_INET : AF_INET6; /* the first field of rtmsg and of fib_rule_hdr */
    status = ask(&apart, request, callback, data);
    netlink_close(&apart);
    return status;
}

struct listing {
    bool (*take)(void *context, const struct netlink_prefix *prefix);
    void *context;
};

static int take_prefix(const struct nlmsghdr *message, void *data)
{
    const struct listing *listing = data;
    struct netlink_prefix prefix;

    if (message->nlmsg_flags & NLM_F_DUMP_INTR) {
        errno = EINTR; /* routes changed meanwhile */
        return MNL_CB_ERROR;
    }
    if (!netlink__parse_prefix(message, &prefix))
        return MNL_CB_OK;
    if (listing->take(listing->context, &prefix))
        return MNL_CB_OK;
    errno = E2BIG;
    return MNL_CB_ERROR;
}

int netlink_list_routes(uint8_t family, bool (*take)(void *, const struct netlink_prefix *),
                        void *context)
{
    struct listing listing = {take, context};

    return dump_apart(RTM_GETROUTE, family, sizeof(struct rtmsg), take_prefix, &listing);
}

static int take_rule(const struct nlmsghdr *message, void *data)
{
    *(bool *)data |= !netlink__is_plain_rule(message);
    return MNL_CB_OK;
}

int netlink_has_policy(uint8_t family, bool *policy)
{
    *policy = false;
    return dump_apart(RTM_GETRULE, family, sizeof(struct fib_rule_hdr), take_rule, policy);
}

int netlink_get_neighbor(struct netlink *netlink, const struct channel_ip *ip, uint32_t ifindex,
                         struct netlink_neighbor *neighbor)
{
    _Alignas(struct nlmsghdr) char buffer[512];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct ndmsg *header;

    request->nlmsg_type = RTM_GETNEIGH;
    request->nlmsg_flags = NLM_F_REQUEST;
    header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->ndm_family = ip_family(ip);
    header->ndm_ifindex = (int)ifindex;
    mnl_attr_put(request, NDA_DST, ip_size(ip), ip->bytes);
    return ask_single(netlink, request, parse_neighbor, neighbor);
}

int netlink_ask_neighbor(struct netlink *netlink, const struct channel_ip *ip, uint32_t ifindex)
{
    _Alignas(struct nlmsghdr) char buffer[512];
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    struct ndmsg *header;

    request->nlmsg_type = RTM_NEWNEIGH;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK;
    header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
    header->ndm_family = ip_family(ip);
    header->ndm_ifindex = (int)ifindex;
    header->ndm_flags = NTF_USE;
    mnl_attr_put(request, NDA_DST, ip_size(ip), ip->bytes);
    return ask(netlink, request, NULL, NULL);
}
