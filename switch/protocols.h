/* SPDX-License-Identifier: BSD-2-Clause */
/* What a protocol number means here: whether it has ports, and who may bind it where no kernel socket
 * can say so (design.md, D2).
 *
 *   TCP, UDP, UDP-Lite       the kernel knows them: a placeholder decides, never this policy
 *   SCTP, DCCP, others       where the kernel does not know it: root, and whom [protocols] of the
 *                            configuration names for it
 *   what the host itself     nobody: IP's own control protocols, extension headers, tunnels and
 *   needs                    security of the kernel's, routing
 *
 * A protocol with ports has them in its first four bytes and is bound by <protocol, address, port>.
 * One without is bound whole, <protocol, address>: its 3-tuple has port 0. Filled before the switch
 * serves anybody, and only read from then on. */
#ifndef MULTISTACK_SWITCH_PROTOCOLS_H
#define MULTISTACK_SWITCH_PROTOCOLS_H

#include "channel.h"
#include "packet.h"

struct protocols {
    uint64_t ported[4]; /* bits by number: has ports */
    uint64_t placed[4]; /* the kernel knows it: needs a placeholder */
    struct channel_protocol rules[CHANNEL_PROTOCOLS_MAX];
    uint32_t rule_count;
};

void protocols_init(struct protocols *protocols);
/* -EINVAL or -ENOSPC: a message that makes no sense. */
int protocols_add(struct protocols *protocols, const struct channel_protocol *rule);

static inline bool protocols_have_ports(const struct protocols *protocols, uint8_t protocol)
{
    return protocols->ported[protocol / 64] >> (protocol % 64) & 1;
}

/* Groups as SO_PEERCRED and SO_PEERGROUPS tell them: those that the process at the other end of the Unix
 * socket `fd` had at connect(2). */
bool protocols_is_member(int fd, uint32_t group);

/* Whether the process at the other end of the Unix socket `fd`, whose user is `uid`, may bind the
 * protocol without a placeholder. 0, -EPROTONOSUPPORT (nobody may), -EDESTADDRREQ (with a placeholder
 * only), -EACCES. */
int protocols_allow(const struct protocols *protocols, uint8_t protocol, uint32_t uid, int fd);

/* Makes the ports of a view 0 where its protocol has none. */
static inline void protocols_fit(const struct protocols *protocols, struct packet_view *view)
{
    uint8_t protocol = tuple_protocol(&view->local);

    if (protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP ||
        protocols_have_ports(protocols, protocol))
        return;
    view->local.rest &= tuple_rest(0xff, 0xff, 0);
    view->remote_port = 0;
}

#endif
