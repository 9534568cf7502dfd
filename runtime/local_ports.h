/* SPDX-License-Identifier: BSD-2-Clause */
/* Local ports for outgoing connections, out of a range that is one binding (ms_bind_range()), so that a
 * connection costs no message to the switch.
 *
 * Which port is next follows RFC 6056, algorithm 4 (double hash): a keyed hash of the addresses and the
 * peer's port says where to begin, and one of several counters, chosen by another hash, how far from
 * there. So an outsider cannot tell the next port, and a pair of endpoints is used again as late as
 * possible. A port is free when the stack has no connection of these two endpoints, one in TIME-WAIT
 * counted; the same port may serve connections to several peers.
 *
 * A range is asked for at the first connection of its family, at the wildcard address; smaller ones
 * where that is too much; none where they are refused, and then again after a while. */
#ifndef MS_RUNTIME_LOCAL_PORTS_H
#define MS_RUNTIME_LOCAL_PORTS_H

#include "multistack.h"
#include "siphash.h"
#include "utcp.h"

#define LOCAL_PORTS_COUNTERS 64
#define LOCAL_PORTS_TRIES    256 /* ports looked at for one connection */

struct local_ports {
    unsigned wanted;           /* ports of a range; 0: none */
    struct siphash_key key[2]; /* F and G of RFC 6056 */
    uint16_t counters[LOCAL_PORTS_COUNTERS];
    struct local_range {
        int binding; /* -1: none */
        bool suspended;
        uint16_t first;
        unsigned count;
        uint64_t ask_at; /* refused: not before; UINT64_MAX: never again */
    } ranges[2];         /* IPv4, IPv6 */
};

/* 0 or -EIO. */
int local_ports_init(struct local_ports *ports, unsigned wanted);

/* Whether there are ports for connections of this family ("4" or "6"), asking for them where it has not
 * been done. */
bool local_ports_ready(struct local_ports *ports, struct ms_port *port, uint8_t family,
                       uint64_t now);
/* Connects from one of them: `local` has the address, and gets the port. Errors as utcp_connect();
 * -EADDRINUSE: none was free among those that were tried. */
int local_ports_connect(struct local_ports *ports, struct utcp *stack, uint64_t now,
                        struct utcp_endpoint *local, const struct utcp_endpoint *remote, void *user,
                        struct utcp_conn **conn);
/* What ms_next_event() said. False: it is not about a range. */
bool local_ports_event(struct local_ports *ports, const struct ms_event *event);

#endif
