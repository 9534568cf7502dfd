/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns a 3-tuple when that is more than one port, or more than a port.
 *
 * A slot of the namespace holds a port (and says whether all is for one of its rings), and the data
 * path looks no further: that is the normal case. Where there is more to say it holds a group: several members that share the 3-tuple, members that
 * wait for it or that are on their way out, connected bindings. The lowest bit of the slot's value
 * tells one from the other.
 *
 *   member      unconnected packets     its connected bindings     may send
 *   ACTIVE      its share of the flows  yes                        yes
 *   WAITING     none (yet)              yes                        yes
 *   DRAINING    none (any more)         yes                        yes
 *
 * Shares. A flow belongs to one of OWNER_SPREAD buckets by a keyed hash of its 5-tuple, and a bucket
 * to the active member with the highest score (rendezvous hashing: the score is a keyed hash of the
 * bucket and the member's seed). So when a member leaves, only its own flows move, and when one
 * comes, only those that it gets: one in n. Neither the order of coming nor a restart of the switch
 * matters, for the key is the keeper's and the seed is the cookie of the placeholder socket. */
#ifndef MULTISTACK_SWITCH_OWNER_GROUP_H
#define MULTISTACK_SWITCH_OWNER_GROUP_H

#include "connected.h"

#define OWNER_MEMBERS_MAX 64
#define OWNER_SPREAD      1024

enum member_state { MEMBER_ACTIVE, MEMBER_WAITING, MEMBER_DRAINING };

struct owner_member {
    struct port *port;
    uint64_t seed;    /* 0: it never shares with another active member */
    uint32_t binding; /* number of its binding */
    uint8_t state;    /* enum member_state */
    uint8_t ring;     /* as in struct owner */
    uint32_t connected_count;
    uint32_t first_connected;
};

struct owner_group {
    struct owner sole; /* the one active member; nobody: there is none, or `spread` tells */
    uint8_t *spread;   /* member by bucket; NULL unless several are active */
    uint32_t connected_count;
    bool overlaid; /* there may be connected bindings of the wildcard address for this address */
    uint8_t count;
    struct owner_member *members;
};

/* A slot's value. */
static inline struct owner_group *owner_group_of(const void *value)
{
    return (uintptr_t)value & 1 ? (struct owner_group *)((uintptr_t)value - 1) : NULL;
}

static inline void *owner_group_value(const struct owner_group *group)
{
    return (void *)((uintptr_t)group | 1);
}

/* NULL: out of memory. */
struct owner_group *owner_group_new(const struct owner_member *first, const struct hash_key *key);
/* Without its connected bindings, which go before. */
void owner_group_free(struct owner_group *group);

/* NULL: it is no member. */
struct owner_member *owner_group_member(const struct owner_group *group, const struct port *port);

/* 0, -EEXIST (the port is a member), -ENOSPC, -ENOMEM. */
int owner_group_add(struct owner_group *group, const struct owner_member *member,
                    const struct hash_key *key);
void owner_group_remove(struct owner_group *group, const struct port *port,
                        const struct hash_key *key);
/* 0 or -ENOMEM; then nothing has changed. */
int owner_group_set_state(struct owner_group *group, const struct port *port,
                          enum member_state state, const struct hash_key *key);

/* True: nothing but a single port. */
bool owner_group_is_plain(const struct owner_group *group);

static inline struct owner owner_of_member(const struct owner_member *member)
{
    return (struct owner){.port = member->port, .ring = member->ring};
}

/* Who gets a packet of a flow that is not connected. `hash` is flow_hash(). */
static inline struct owner owner_group_share(const struct owner_group *group, uint64_t hash)
{
    if (!group->spread)
        return group->sole;
    return owner_of_member(&group->members[group->spread[hash % OWNER_SPREAD]]);
}

#endif
