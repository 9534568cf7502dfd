/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns which 3-tuple <protocol, local address, local port>, and which addresses are the host's.
 *
 * The kernel has decided every conflict already, when the placeholder was bound (design.md, D2);
 * here is what the data path looks up. Each binding stands in two tables: in this one, which knows
 * the port, and in the eBPF map mux_bindings, which only knows that it is claimed. It enters this
 * one first and leaves it last, so that what the mux redirects finds its owner.
 *
 * A binding to the wildcard address means the host's own addresses and nothing else; exact comes
 * before wildcard. `version` moves with every change: it is what caches of a look-up compare. */
#ifndef MULTISTACK_SWITCH_NAMESPACE_H
#define MULTISTACK_SWITCH_NAMESPACE_H

#include "tuple.h"

#define NAMESPACE_BINDINGS_MAX  65536
#define NAMESPACE_ADDRESSES_MAX 4096

struct port;

struct namespace_table {
    struct tuple_table bindings;  /* tuple → struct port, number of the binding */
    struct tuple_table addresses; /* the host's */
    uint32_t version;
    int mux_map_fd; /* -1: none */
};

/* `mux_map_fd` is the map mux_bindings, or -1; it stays the caller's. 0 or -ENOMEM. */
int namespace_init(struct namespace_table *table, const struct hash_key *key, int mux_map_fd);
void namespace_dispose(struct namespace_table *table);

/* 0, -EADDRINUSE, -ENOSPC, -ENOMEM, or what bpf(2) said; then neither table has it. */
int namespace_add(struct namespace_table *table, const struct tuple *tuple, struct port *port,
                  uint32_t binding);
void namespace_remove(struct namespace_table *table, const struct tuple *tuple);

/* An address of the host (port and protocol are ignored) comes or goes. */
int namespace_set_address(struct namespace_table *table, const struct tuple *address, bool present);
bool namespace_is_local(const struct namespace_table *table, const struct tuple *address);

/* Who receives what is addressed to `tuple`; NULL: nobody. `hash` is tuple_hash() of it. */
static inline struct port *namespace_owner(const struct namespace_table *table,
                                           const struct tuple *tuple, uint64_t hash)
{
    const struct tuple_slot *slot = tuple_table_find_hashed(&table->bindings, tuple, hash);
    struct tuple wildcard;

    if (slot)
        return slot->value;
    wildcard = tuple_wildcard(tuple);
    slot = tuple_table_find(&table->bindings, &wildcard);
    if (!slot || !namespace_is_local(table, tuple))
        return NULL;
    return slot->value;
}

/* Whether `port` may send from `tuple`: it owns it, and the address is the host's. */
static inline bool namespace_may_send(const struct namespace_table *table,
                                      const struct tuple *tuple, const struct port *port)
{
    return !tuple_is_wildcard(tuple) && namespace_is_local(table, tuple) &&
           namespace_owner(table, tuple, tuple_hash(&table->bindings.key, tuple)) == port;
}

#endif
