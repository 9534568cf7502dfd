/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns which 3-tuple <protocol, local address, local port>, and which addresses are the host's.
 *
 * The kernel has decided every conflict already, when the placeholder was bound (design.md, D2);
 * here is what the data path looks up. Each binding stands in two tables: in this one, which knows
 * the port, and in the eBPF map mux_bindings, which only knows that it is claimed. It enters this
 * one first and leaves it last, so that what the mux redirects finds its owner. The mux also has a
 * word of what is bound at all (`bound` of struct mux_shared), so that it need not look up the rest.
 *
 * A look-up goes from the specific to the general:
 *
 *   exact address ─► one port                        done: this is nearly every packet
 *        │      └──► a group ─► connected binding    where the group has any
 *        │                 └──► the flow's member    by a stable hash (owner_group.h)
 *   wildcard address, the same, where the address is the host's
 *
 * Ranges of ports come last, and only where there are any: they never overlap with single bindings
 * (range.h), so the order means nothing but who pays. There is a table for each size, keyed by the
 * first port, which masking gives; `range_sizes` says which of them are not empty. A range has one
 * owner, and flows cannot be connected to it.
 *
 * A connected binding of the wildcard address comes before an exact 3-tuple: the latter's group says
 * that there may be one (`overlaid`).
 *
 * A binding to the wildcard address means the host's own addresses and nothing else. `version` moves
 * with every change of 3-tuples: it is what caches of a look-up compare.
 *
 * Who may join whom is not asked here (binding.c): each function makes one change, which its plain
 * arguments say wholly, and fails only for want of memory or room, or when it is no change. */
#ifndef MULTISTACK_SWITCH_NAMESPACE_H
#define MULTISTACK_SWITCH_NAMESPACE_H

#include "owner_group.h"

#define NAMESPACE_BINDINGS_MAX  65536
#define NAMESPACE_ADDRESSES_MAX 4096

/* Sizes of ranges: 2^6 to 2^14 ports. */
#define NAMESPACE_RANGE_BITS_MIN 6
#define NAMESPACE_RANGE_BITS_MAX 14
#define NAMESPACE_RANGE_SIZES    (NAMESPACE_RANGE_BITS_MAX - NAMESPACE_RANGE_BITS_MIN + 1)
#define NAMESPACE_RANGES_MAX     4096 /* of one size */

struct mux_shared;
struct port;

struct namespace_table {
    struct tuple_table bindings; /* tuple → struct port or owner_group; number of the binding, and
                                  * as detail the ring, as in struct owner */
    struct connected_table connected;
    struct tuple_table addresses; /* the host's */
    uint32_t version;
    int mux_map_fd;                /* -1: none */
    struct mux_shared *mux_shared; /* where the mux reads what is bound at all; NULL: none */
    uint32_t bound_counts[256][4]; /* 3-tuples by protocol; exact, wildcard, the same of IPv6 */
    uint32_t range_sizes;          /* bit n: ranges[n] has an element */
    uint32_t range_counts[256][2]; /* by protocol; of IPv4, of IPv6 */
    struct tuple_table ranges[NAMESPACE_RANGE_SIZES]; /* of 2^(n + 6) ports: first port → port */
};

/* `mux_map_fd` is the map mux_bindings, or -1; it stays the caller's. 0 or -ENOMEM. */
int namespace_init(struct namespace_table *table, const struct hash_key *key, int mux_map_fd);
void namespace_dispose(struct namespace_table *table);

/* The only owner there is; `member` says port, ring and binding. 0, -EADDRINUSE, -ENOSPC, -ENOMEM, or
 * what bpf(2) said; then neither table has it. */
int namespace_add(struct namespace_table *table, const struct tuple *tuple,
                  const struct owner_member *member);
/* A member, be it the first or one more; `member` says port, ring, seed, binding and state. Errors as
 * namespace_add(), -EADDRINUSE where the port is a member already. */
int namespace_join(struct namespace_table *table, const struct tuple *tuple,
                   const struct owner_member *member);
/* The port is an owner no more; its connected bindings of this 3-tuple go as well. */
void namespace_remove(struct namespace_table *table, const struct tuple *tuple,
                      const struct port *port);
/* 0 or -ENOMEM. */
int namespace_set_state(struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port, enum member_state state);
/* Copies the owners of a 3-tuple; returns how many. */
uint32_t namespace_members(const struct namespace_table *table, const struct tuple *tuple,
                           struct owner_member members[OWNER_MEMBERS_MAX]);

/* The guard's rules for a 3-tuple that somebody has, or for a range (`port_count` more than 1): the id of
 * its policy (bpf/guard_maps.h), 0: none any more. Of the table that writes the mux's map. 0 or what
 * bpf(2) said. */
int namespace_set_policy(struct namespace_table *table, const struct tuple *tuple,
                         uint32_t port_count, uint32_t policy);

/* A range of `port_count` ports (a power of two, 64 to 16,384) from that of `tuple` on, which is a
 * multiple of it. Errors as namespace_add(). */
int namespace_add_range(struct namespace_table *table, const struct tuple *tuple,
                        uint32_t port_count, const struct owner_member *member);
void namespace_remove_range(struct namespace_table *table, const struct tuple *tuple,
                            uint32_t port_count, const struct port *port);
/* The range that `tuple` lies in, of its address or of the wildcard address; NULL: none. */
const struct tuple_slot *namespace__find_range(const struct namespace_table *table,
                                               const struct tuple *tuple);

/* The flow of `view` (local, remote, remote_port) belongs to `port`, a member of the 3-tuple `tuple`
 * (which may be the wildcard address). Twice is once. 0, -ENOENT (it is no member), -EADDRINUSE (the
 * flow is another's), -ENOSPC, -ENOMEM. */
int namespace_connect(struct namespace_table *table, const struct tuple *tuple, struct port *port,
                      const struct packet_view *view);
/* -ENOENT: it was not there. */
int namespace_disconnect(struct namespace_table *table, const struct tuple *tuple,
                         const struct port *port, const struct packet_view *view);

/* An address of the host (port and protocol are ignored) comes or goes. */
int namespace_set_address(struct namespace_table *table, const struct tuple *address, bool present);
bool namespace_is_local(const struct namespace_table *table, const struct tuple *address);

/* Who gets a packet that a group owns. */
struct owner namespace__group_owner(const struct namespace_table *table,
                                    const struct owner_group *group,
                                    const struct packet_view *view);

static inline struct owner namespace__slot_owner(const struct namespace_table *table,
                                                 const struct tuple_slot *slot,
                                                 const struct packet_view *view)
{
    const struct owner_group *group = owner_group_of(slot->value);
    struct owner owner;

    if (__builtin_expect(group == NULL, 1))
        return (struct owner){.port = slot->value, .ring = slot->detail};
    owner = namespace__group_owner(table, group, view);
    return (struct owner){.port = owner.port, .ring = owner.ring, .by_flow = 1};
}

/* A range of the wildcard address means the host's addresses, as a single binding does. */
static inline struct owner namespace__range_owner(const struct namespace_table *table,
                                                  const struct packet_view *view)
{
    const struct tuple_slot *slot = namespace__find_range(table, &view->local);

    if (!slot || ((slot->low | slot->high) == 0 && !namespace_is_local(table, &view->local)))
        return (struct owner){.port = NULL};
    return (struct owner){.port = slot->value, .ring = slot->detail};
}

/* Who receives the packet of `view`. `hash` is tuple_hash() of view->local. */
static inline struct owner namespace_owner(const struct namespace_table *table,
                                           const struct packet_view *view, uint64_t hash)
{
    const struct tuple_slot *slot = tuple_table_find_hashed(&table->bindings, &view->local, hash);
    struct tuple wildcard;

    if (slot)
        return namespace__slot_owner(table, slot, view);
    wildcard = tuple_wildcard(&view->local);
    slot = tuple_table_find(&table->bindings, &wildcard);
    if (!slot && table->range_sizes)
        return namespace__range_owner(table, view);
    if (!slot || !namespace_is_local(table, &view->local))
        return (struct owner){.port = NULL};
    return namespace__slot_owner(table, slot, view);
}

/* Whether `port` may send from `tuple`, whatever the destination: it is an owner, and the address is
 * the host's. */
bool namespace_may_send(const struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port);
/* The ring, as in struct owner, that the binding from which `port` sends from `tuple` belongs to. */
uint32_t namespace_ring(const struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port);
/* Whether it may send the packet of `view` because the flow is connected to it. */
bool namespace_may_send_connected(const struct namespace_table *table,
                                  const struct packet_view *view, const struct port *port);

#endif
