/* SPDX-License-Identifier: BSD-2-Clause */
/* protocols.h */
#include "protocols.h"

#include <errno.h>
#include <sys/socket.h>

#define GROUPS_MAX 256 /* of one process, that are looked at */

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59 /* Linux 4.13 */
#endif

/* Never by policy: the host stack lives by them, or they are no transport at all. Numbers of the IANA
 * registry. */
static bool is_the_hosts(uint8_t protocol)
{
    switch (protocol) {
    case IPV6_HOP_BY_HOP:
    case IP_PROTOCOL_ICMP:
    case IP_PROTOCOL_IGMP:
    case 4: /* IP in IP */
    case IP_PROTOCOL_TCP:
    case IP_PROTOCOL_UDP:
    case 41: /* IPv6 in IP */
    case IPV6_ROUTING:
    case IPV6_FRAGMENT:
    case 50: /* ESP */
    case 51: /* AH */
    case IP_PROTOCOL_ICMPV6:
    case 59: /* no next header */
    case IPV6_DESTINATION_OPTIONS:
    case 89:  /* OSPF */
    case 103: /* PIM */
    case 108: /* IPComp */
    case 112: /* VRRP */
    case 135: /* mobility */
    case 139: /* HIP */
    case 140: /* shim6 */
    case 255: return true;
    default: return false;
    }
}

static void set(uint64_t bits[4], uint8_t protocol)
{
    bits[protocol / 64] |= 1ULL << (protocol % 64);
}

void protocols_init(struct protocols *protocols)
{
    *protocols = (struct protocols){.rule_count = 0};
    set(protocols->ported, IP_PROTOCOL_TCP);
    set(protocols->ported, IP_PROTOCOL_UDP);
    set(protocols->ported, IP_PROTOCOL_DCCP);
    set(protocols->ported, IP_PROTOCOL_SCTP);
    set(protocols->ported, IP_PROTOCOL_UDPLITE);
    set(protocols->placed, IP_PROTOCOL_UDPLITE);
}

int protocols_add(struct protocols *protocols, const struct channel_protocol *rule)
{
    if (rule->protocol > UINT8_MAX || rule->who > CHANNEL_WHO_GROUP)
        return -EINVAL;
    if (protocols->rule_count == CHANNEL_PROTOCOLS_MAX)
        return -ENOSPC;
    protocols->rules[protocols->rule_count++] = *rule;
    if (rule->has_ports)
        set(protocols->ported, (uint8_t)rule->protocol);
    if (rule->in_kernel)
        set(protocols->placed, (uint8_t)rule->protocol);
    return 0;
}

bool protocols_is_member(int fd, uint32_t group)
{
    gid_t groups[GROUPS_MAX];
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.gid == group)
        return true;
    size = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
        return false;
    for (uint32_t i = 0; i < size / sizeof(groups[0]); i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

int protocols_allow(const struct protocols *protocols, uint8_t protocol, uint32_t uid, int fd)
{
    if (is_the_hosts(protocol))
        return -EPROTONOSUPPORT;
    if (protocols->placed[protocol / 64] >> (protocol % 64) & 1)
        return -EDESTADDRREQ;
    if (uid == 0)
        return 0;
    for (uint32_t i = 0; i < protocols->rule_count; i++) {
        const struct channel_protocol *rule = &protocols->rules[i];

        if (rule->protocol != protocol)
            continue;
        if (rule->who == CHANNEL_WHO_ANYBODY ||
            (rule->who == CHANNEL_WHO_USER && rule->id == uid) ||
            (rule->who == CHANNEL_WHO_GROUP && protocols_is_member(fd, rule->id)))
            return 0;
    }
    return -EACCES;
}
