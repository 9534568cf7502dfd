/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keeper asks of the kernel's network, and hears from it, by rtnetlink (libmnl).
 *
 * Two sockets: one hears notifications and is never written to, the other asks and gets answers, so
 * that neither waits behind the other. Messages become the small structs below in netlink_parse.c,
 * which touches no socket and is tested with canned messages. */
#ifndef MULTISTACK_NETLINK_H
#define MULTISTACK_NETLINK_H

#include <linux/if.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"

struct netlink_link {
    uint32_t ifindex;
    uint32_t parent; /* ifindex of the device below (a VLAN's, a veth's peer); 0: none */
    uint32_t mtu;
    uint32_t rx_queues; /* that the driver may have; it may use fewer */
    bool up;            /* administratively and with carrier */
    bool has_mac;
    uint8_t mac[6];
    char name[IFNAMSIZ];
    char kind[16]; /* "veth", "vlan", …; "": hardware, or what passes for it */
};

struct netlink_address {
    struct channel_ip ip;
    uint32_t ifindex;
    bool usable; /* false: still being checked for duplicates, or a duplicate */
};

struct netlink_neighbor {
    struct channel_ip ip;
    uint32_t ifindex;
    bool valid;     /* has a MAC that may be used */
    bool confirmed; /* and the kernel need not be asked to look again */
    uint8_t mac[6];
};

struct netlink_route {
    uint32_t ifindex;
    uint32_t mtu; /* of the route; 0: the device's */
    uint8_t type; /* RTN_* */
    bool has_gateway;
    struct channel_ip gateway;
};

/* A line of a routing table. */
struct netlink_prefix {
    struct channel_ip ip;
    uint8_t bits;
    bool several; /* ways, by hash, source or type of service */
    struct netlink_route route;
};

/* Who is told what. Any may be called any number of times for one thing; each says how things are
 * now. */
struct netlink_events {
    void (*link)(void *context, const struct netlink_link *link, bool present);
    void (*address)(void *context, const struct netlink_address *address, bool present);
    void (*neighbor)(void *context, const struct netlink_neighbor *neighbor, bool present);
    void (*routes)(void *context); /* routes or rules changed */
    void *context;
};

struct mnl_socket;

struct netlink {
    struct mnl_socket *notifications;
    struct mnl_socket *requests;
    struct netlink_events events;
    uint32_t sequence;
};

/* Each of these returns 0, or a negative errno. */

int netlink_open(struct netlink *netlink, const struct netlink_events *events);
void netlink_close(struct netlink *netlink);
/* The descriptor that becomes readable with notifications. */
int netlink_fd(const struct netlink *netlink);
/* Hands over what has arrived, at most a bounded batch. -ENOBUFS: the kernel dropped some, so
 * netlink_dump() must say everything again. */
int netlink_read(struct netlink *netlink);
/* Reports every link and every address of the host. What it does not report is not there. */
int netlink_dump(struct netlink *netlink);

int netlink_get_link(struct netlink *netlink, const char *name, struct netlink_link *link);
/* The route from `source` to `destination`, as the kernel would take it for a packet of this host;
 * through the device `ifindex`, or any (0). */
int netlink_get_route(struct netlink *netlink, const struct channel_ip *destination,
                      const struct channel_ip *source, uint32_t ifindex,
                      struct netlink_route *route);
/* The kernel's routes of a family (4 or 6), all tables, on a socket of its own. `take` says false when it
 * has had enough: -E2BIG. */
int netlink_list_routes(uint8_t family, bool (*take)(void *, const struct netlink_prefix *),
                        void *context);
/* Whether rules choose a table by anything but the three that every host has. */
int netlink_has_policy(uint8_t family, bool *policy);
/* -ENOENT: the kernel knows nothing of it. */
int netlink_get_neighbor(struct netlink *netlink, const struct channel_ip *ip, uint32_t ifindex,
                         struct netlink_neighbor *neighbor);
/* Has the kernel look for a neighbour (ARP, ND) as if it had a packet for it. A notification will
 * say what it found. */
int netlink_ask_neighbor(struct netlink *netlink, const struct channel_ip *ip, uint32_t ifindex);

/* netlink_parse.c. False where the message is not understood or not of interest. */
bool netlink__parse_link(const struct nlmsghdr *message, struct netlink_link *link);
bool netlink__parse_address(const struct nlmsghdr *message, struct netlink_address *address);
bool netlink__parse_neighbor(const struct nlmsghdr *message, struct netlink_neighbor *neighbor);
bool netlink__parse_route(const struct nlmsghdr *message, struct netlink_route *route);
bool netlink__parse_prefix(const struct nlmsghdr *message, struct netlink_prefix *prefix);
/* Whether a rule is one of the three. */
bool netlink__is_plain_rule(const struct nlmsghdr *message);
/* Tells `events` what one notification (or one line of a dump) says. */
void netlink__dispatch(const struct nlmsghdr *message, const struct netlink_events *events);

#endif
