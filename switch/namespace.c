/* SPDX-License-Identifier: BSD-2-Clause */
/* namespace.h: changes, in both tables. */
#include "namespace.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>

#include "mux_maps.h"
#include "port_layout.h"

static_assert(MUX_BOUND_EXACT == 1 << 0 && MUX_BOUND_WILDCARD == 1 << 1, "bits of bound_counts");

static struct mux_key mux_key_of(const struct tuple *tuple)
{
    struct control_address address = tuple_to_address(tuple);
    struct mux_key key = {
        .family = address.family, .protocol = address.protocol, .port = address.port};

    memcpy(key.address, address.bytes, sizeof(key.address));
    return key;
}

/* One 3-tuple more or less of this kind: tells the mux whether there is any. */
static void count_bound(struct namespace_table *table, const struct tuple *tuple, bool more)
{
    struct mux_key key = mux_key_of(tuple);
    uint32_t kind = (tuple_is_wildcard(tuple) ? 1 : 0) + (key.family == 6 ? MUX_BOUND_IPV6 : 0);
    uint32_t *count = &table->bound_counts[key.protocol][kind];

    *count += more ? 1 : UINT32_MAX;
    if (!table->mux_shared)
        return;
    if (*count)
        __atomic_or_fetch(&table->mux_shared->bound[key.protocol], 1 << kind, __ATOMIC_RELEASE);
    else
        __atomic_and_fetch(&table->mux_shared->bound[key.protocol], ~(1 << kind), __ATOMIC_RELEASE);
}

static int tell_mux(const struct namespace_table *table, const struct mux_key *key)
{
    __u32 no_rules = 0;
    int status = 0;

    if (table->mux_map_fd >= 0)
        status = bpf_map_update_elem(table->mux_map_fd, key, &no_rules, BPF_ANY);
    return status == -E2BIG ? -ENOSPC : status;
}

static int claim(struct namespace_table *table, const struct tuple *tuple)
{
    struct mux_key key = mux_key_of(tuple);
    int status = tell_mux(table, &key);

    if (!status)
        count_bound(table, tuple, true);
    return status;
}

static void disclaim(struct namespace_table *table, const struct tuple *tuple)
{
    struct mux_key key = mux_key_of(tuple);

    count_bound(table, tuple, false);
    /* Fails only when the element is not there, which is what is wanted. */
    if (table->mux_map_fd >= 0)
        bpf_map_delete_elem(table->mux_map_fd, &key);
}

/* Makes a group of a single port. NULL: out of memory. */
static_assert(PORT_RINGS_MAX - 1 <= TUPLE_DETAIL_MAX, "a ring fits a slot");

static struct owner_group *group_at(struct namespace_table *table, struct tuple_slot *slot)
{
    struct owner_group *group = owner_group_of(slot->value);
    struct owner_member first = {.port = slot->value,
                                 .ring = (uint8_t)slot->detail,
                                 .binding = slot->number,
                                 .first_connected = CONNECTED_NONE};

    if (group)
        return group;
    group = owner_group_new(&first, &table->bindings.key);
    if (group)
        slot->value = owner_group_value(group);
    return group;
}

/* And the other way round, where nothing else is left. */
static void simplify(struct tuple_slot *slot)
{
    struct owner_group *group = owner_group_of(slot->value);

    if (!group || !owner_group_is_plain(group))
        return;
    slot->value = group->members[0].port;
    slot->number = group->members[0].binding;
    slot->detail = group->members[0].ring;
    owner_group_free(group);
}

static struct tuple_slot *slot_of(const struct namespace_table *table, const struct tuple *tuple)
{
    return (struct tuple_slot *)tuple_table_find(&table->bindings, tuple);
}

/* Whether the wildcard address of the same protocol and port has connected bindings. */
static bool is_overlaid(const struct namespace_table *table, const struct tuple *tuple)
{
    struct tuple wildcard = tuple_wildcard(tuple);
    const struct tuple_slot *slot;
    const struct owner_group *group;

    if (tuple_is_wildcard(tuple))
        return false;
    slot = tuple_table_find(&table->bindings, &wildcard);
    group = slot ? owner_group_of(slot->value) : NULL;
    return group && group->connected_count;
}

/* Enters a 3-tuple that nobody has. `value` as in a slot. */
static int enter(struct namespace_table *table, const struct tuple *tuple, void *value,
                 const struct owner_member *member)
{
    int status = tuple_table_add(&table->bindings, tuple, value, member->binding);

    if (status)
        return status == -EEXIST ? -EADDRINUSE : status;
    slot_of(table, tuple)->detail = member->ring;
    status = claim(table, tuple);
    if (status)
        tuple_table_remove(&table->bindings, tuple);
    table->version++;
    return status;
}

static int enter_group(struct namespace_table *table, const struct tuple *tuple,
                       const struct owner_member *member)
{
    struct owner_group *group = owner_group_new(member, &table->bindings.key);
    int status;

    if (!group)
        return -ENOMEM;
    group->overlaid = is_overlaid(table, tuple);
    status = enter(table, tuple, owner_group_value(group), member);
    if (status)
        owner_group_free(group);
    return status;
}

int namespace_init(struct namespace_table *table, const struct hash_key *key, int mux_map_fd)
{
    *table = (struct namespace_table){.mux_map_fd = mux_map_fd, .version = 1};
    if (tuple_table_init(&table->bindings, key, NAMESPACE_BINDINGS_MAX))
        return -ENOMEM;
    if (tuple_table_init(&table->addresses, key, NAMESPACE_ADDRESSES_MAX)) {
        tuple_table_dispose(&table->bindings);
        return -ENOMEM;
    }
    connected_table_init(&table->connected, key);
    return 0;
}

void namespace_dispose(struct namespace_table *table)
{
    for (uint32_t i = 0; table->bindings.slots && i <= table->bindings.mask; i++) {
        struct owner_group *group = owner_group_of(table->bindings.slots[i].value);

        if (group)
            owner_group_free(group);
    }
    tuple_table_dispose(&table->bindings);
    tuple_table_dispose(&table->addresses);
    for (uint32_t i = 0; i < NAMESPACE_RANGE_SIZES; i++)
        tuple_table_dispose(&table->ranges[i]);
    connected_table_dispose(&table->connected);
}

int namespace_add(struct namespace_table *table, const struct tuple *tuple,
                  const struct owner_member *member)
{
    const struct owner_member alone = {.port = member->port,
                                       .ring = member->ring,
                                       .binding = member->binding,
                                       .first_connected = CONNECTED_NONE};

    if (tuple_table_find(&table->bindings, tuple))
        return -EADDRINUSE;
    if (is_overlaid(table, tuple))
        return enter_group(table, tuple, &alone);
    return enter(table, tuple, member->port, &alone);
}

int namespace_join(struct namespace_table *table, const struct tuple *tuple,
                   const struct owner_member *member)
{
    struct owner_member entered = *member;
    struct tuple_slot *slot = slot_of(table, tuple);
    struct owner_group *group;
    int status;

    entered.connected_count = 0;
    entered.first_connected = CONNECTED_NONE;
    if (!slot)
        return enter_group(table, tuple, &entered);
    group = group_at(table, slot);
    if (!group)
        return -ENOMEM;
    status = owner_group_add(group, &entered, &table->bindings.key);
    simplify(slot);
    table->version++;
    return status == -EEXIST ? -EADDRINUSE : status;
}

/* Which of the tables. The size was checked where it came from. */
static uint32_t range_size_of(uint32_t port_count)
{
    uint32_t size = (uint32_t)__builtin_ctz(port_count) - NAMESPACE_RANGE_BITS_MIN;

    assert(port_count && !(port_count & (port_count - 1)) && size < NAMESPACE_RANGE_SIZES);
    return size;
}

static struct mux_key range_key_of(const struct tuple *tuple, uint32_t size)
{
    struct mux_key key = mux_key_of(tuple);

    key.family |= (uint8_t)((size + NAMESPACE_RANGE_BITS_MIN) << MUX_RANGE_SHIFT);
    return key;
}

int namespace_set_policy(struct namespace_table *table, const struct tuple *tuple,
                         uint32_t port_count, uint32_t policy)
{
    struct mux_key key =
        port_count > 1 ? range_key_of(tuple, range_size_of(port_count)) : mux_key_of(tuple);

    return table->mux_map_fd < 0 ? 0
                                 : bpf_map_update_elem(table->mux_map_fd, &key, &policy, BPF_EXIST);
}

/* One range more or less: what there is of them at all, to the mux. The protocol's bit comes last and
 * goes first. */
static void count_range(struct namespace_table *table, const struct tuple *tuple, bool more)
{
    struct control_address address = tuple_to_address(tuple);
    uint8_t bit = address.family == 6 ? MUX_BOUND_RANGE << MUX_BOUND_IPV6 : MUX_BOUND_RANGE;
    uint32_t *count = &table->range_counts[address.protocol][address.family == 6];
    struct mux_shared *shared = table->mux_shared;

    *count += more ? 1 : UINT32_MAX;
    if (!shared)
        return;
    if (!*count)
        __atomic_and_fetch(&shared->bound[address.protocol], (uint8_t)~bit, __ATOMIC_RELEASE);
    __atomic_store_n(&shared->range_sizes, table->range_sizes << NAMESPACE_RANGE_BITS_MIN,
                     __ATOMIC_RELEASE);
    if (*count)
        __atomic_or_fetch(&shared->bound[address.protocol], bit, __ATOMIC_RELEASE);
}

int namespace_add_range(struct namespace_table *table, const struct tuple *tuple,
                        uint32_t port_count, const struct owner_member *member)
{
    uint32_t size = range_size_of(port_count);
    struct tuple_table *ranges = &table->ranges[size];
    struct mux_key key = range_key_of(tuple, size);
    int status = 0;

    if (!ranges->slots)
        status = tuple_table_init(ranges, &table->bindings.key, NAMESPACE_RANGES_MAX);
    if (!status)
        status = tuple_table_add(ranges, tuple, member->port, member->binding);
    if (status)
        return status == -EEXIST ? -EADDRINUSE : status;
    ((struct tuple_slot *)tuple_table_find(ranges, tuple))->detail = member->ring;
    status = tell_mux(table, &key);
    if (status) {
        tuple_table_remove(ranges, tuple);
        return status;
    }
    table->range_sizes |= 1u << size;
    count_range(table, tuple, true);
    table->version++;
    return 0;
}

void namespace_remove_range(struct namespace_table *table, const struct tuple *tuple,
                            uint32_t port_count, const struct port *port)
{
    uint32_t size = range_size_of(port_count);
    struct tuple_table *ranges = &table->ranges[size];
    const struct tuple_slot *slot = ranges->slots ? tuple_table_find(ranges, tuple) : NULL;
    struct mux_key key = range_key_of(tuple, size);

    if (!slot || slot->value != port)
        return;
    if (table->mux_map_fd >= 0)
        bpf_map_delete_elem(table->mux_map_fd, &key);
    tuple_table_remove(ranges, tuple);
    if (!ranges->used)
        table->range_sizes &= ~(1u << size);
    count_range(table, tuple, false);
    table->version++;
}

const struct tuple_slot *namespace__find_range(const struct namespace_table *table,
                                               const struct tuple *tuple)
{
    for (uint32_t left = table->range_sizes; left; left &= left - 1) {
        uint32_t size = (uint32_t)__builtin_ctz(left);
        struct tuple first = tuple_mask_port(tuple, size + NAMESPACE_RANGE_BITS_MIN);
        const struct tuple_slot *slot = tuple_table_find(&table->ranges[size], &first);

        if (slot)
            return slot;
        first = tuple_wildcard(&first);
        slot = tuple_table_find(&table->ranges[size], &first);
        if (slot)
            return slot;
    }
    return NULL;
}

static void disconnect_all(struct namespace_table *table, struct owner_group *group,
                           struct owner_member *member)
{
    while (member->first_connected != CONNECTED_NONE)
        connected_remove(&table->connected, member->first_connected, &member->first_connected);
    group->connected_count -= member->connected_count;
    member->connected_count = 0;
}

void namespace_remove(struct namespace_table *table, const struct tuple *tuple,
                      const struct port *port)
{
    struct tuple_slot *slot = slot_of(table, tuple);
    struct owner_group *group = slot ? owner_group_of(slot->value) : NULL;
    struct owner_member *member = group ? owner_group_member(group, port) : NULL;

    if (!slot || (group ? !member : slot->value != port))
        return;
    table->version++;
    if (member)
        disconnect_all(table, group, member);
    if (group && group->count > 1) {
        owner_group_remove(group, port, &table->bindings.key);
        simplify(slot);
        return;
    }
    disclaim(table, tuple);
    if (group)
        owner_group_free(group);
    tuple_table_remove(&table->bindings, tuple);
}

int namespace_set_state(struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port, enum member_state state)
{
    struct tuple_slot *slot = slot_of(table, tuple);
    struct owner_group *group = slot ? group_at(table, slot) : NULL;
    int status;

    if (!group)
        return slot ? -ENOMEM : 0;
    status = owner_group_set_state(group, port, state, &table->bindings.key);
    simplify(slot);
    table->version++;
    return status;
}

uint32_t namespace_members(const struct namespace_table *table, const struct tuple *tuple,
                           struct owner_member members[OWNER_MEMBERS_MAX])
{
    const struct tuple_slot *slot = slot_of(table, tuple);
    const struct owner_group *group = slot ? owner_group_of(slot->value) : NULL;

    if (!slot)
        return 0;
    if (!group) {
        members[0] = (struct owner_member){.port = slot->value,
                                           .ring = (uint8_t)slot->detail,
                                           .binding = slot->number,
                                           .first_connected = CONNECTED_NONE};
        return 1;
    }
    memcpy(members, group->members, group->count * sizeof(*members));
    return group->count;
}

/* The exact 3-tuple of a flow that is connected to the wildcard address must know of it. */
static int overlay(struct namespace_table *table, const struct tuple *tuple,
                   const struct packet_view *view)
{
    struct tuple_slot *slot = tuple_is_wildcard(tuple) ? slot_of(table, &view->local) : NULL;
    struct owner_group *group;

    if (!slot)
        return 0;
    group = group_at(table, slot);
    if (!group)
        return -ENOMEM;
    group->overlaid = true;
    return 0;
}

int namespace_connect(struct namespace_table *table, const struct tuple *tuple, struct port *port,
                      const struct packet_view *view)
{
    struct tuple_slot *slot = slot_of(table, tuple);
    struct owner_group *group = slot ? group_at(table, slot) : NULL;
    struct owner_member *member;
    uint32_t known;
    int status;

    if (!group)
        return slot ? -ENOMEM : -ENOENT;
    member = owner_group_member(group, port);
    known = connected_find(&table->connected, view);
    if (!member)
        status = -ENOENT;
    else if (known != CONNECTED_NONE)
        status = table->connected.elements[known].port == port ? 0 : -EADDRINUSE;
    else
        status = overlay(table, tuple, view);
    if (!status && known == CONNECTED_NONE) {
        const struct owner owner = owner_of_member(member);

        status = connected_add(&table->connected, view, &owner, &member->first_connected);
        if (!status) {
            member->connected_count++;
            group->connected_count++;
        }
    }
    simplify(slot);
    return status;
}

int namespace_disconnect(struct namespace_table *table, const struct tuple *tuple,
                         const struct port *port, const struct packet_view *view)
{
    struct tuple_slot *slot = slot_of(table, tuple);
    struct owner_group *group = slot ? owner_group_of(slot->value) : NULL;
    struct owner_member *member = group ? owner_group_member(group, port) : NULL;
    uint32_t element = member ? connected_find(&table->connected, view) : CONNECTED_NONE;

    if (element == CONNECTED_NONE || table->connected.elements[element].port != port)
        return -ENOENT;
    connected_remove(&table->connected, element, &member->first_connected);
    member->connected_count--;
    group->connected_count--;
    simplify(slot);
    return 0;
}

int namespace_set_address(struct namespace_table *table, const struct tuple *address, bool present)
{
    struct tuple key = tuple_address_only(address);
    int status = 0;

    if (present)
        status = tuple_table_add(&table->addresses, &key, table, 0);
    else
        tuple_table_remove(&table->addresses, &key);
    table->version++;
    return status == -EEXIST ? 0 : status;
}

bool namespace_is_local(const struct namespace_table *table, const struct tuple *address)
{
    struct tuple key = tuple_address_only(address);

    return tuple_table_find(&table->addresses, &key) != NULL;
}

struct owner namespace__group_owner(const struct namespace_table *table,
                                    const struct owner_group *group, const struct packet_view *view)
{
    if (group->connected_count || group->overlaid) {
        uint32_t element = connected_find(&table->connected, view);

        if (element != CONNECTED_NONE)
            return (struct owner){.port = table->connected.elements[element].port,
                                  .ring = table->connected.elements[element].ring};
    }
    if (!group->spread)
        return group->sole;
    return owner_group_share(
        group, flow_hash(&table->bindings.key, &view->local, view->remote, view->remote_port));
}

/* The most specific one for an address; NULL: none. */
static const struct tuple_slot *slot_for(const struct namespace_table *table,
                                         const struct tuple *tuple)
{
    const struct tuple_slot *slot = tuple_table_find(&table->bindings, tuple);
    struct tuple wildcard = tuple_wildcard(tuple);

    if (!slot)
        slot = tuple_table_find(&table->bindings, &wildcard);
    return slot || !table->range_sizes ? slot : namespace__find_range(table, tuple);
}

bool namespace_may_send(const struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port)
{
    const struct tuple_slot *slot;
    const struct owner_group *group;

    if (tuple_is_wildcard(tuple) || !namespace_is_local(table, tuple))
        return false;
    slot = slot_for(table, tuple);
    if (!slot)
        return false;
    group = owner_group_of(slot->value);
    return group ? owner_group_member(group, port) != NULL : slot->value == port;
}

uint32_t namespace_ring(const struct namespace_table *table, const struct tuple *tuple,
                        const struct port *port)
{
    const struct tuple_slot *slot = slot_for(table, tuple);
    const struct owner_group *group = slot ? owner_group_of(slot->value) : NULL;
    const struct owner_member *member = group ? owner_group_member(group, port) : NULL;

    if (group)
        return member ? member->ring : 0;
    return slot && slot->value == port ? slot->detail : 0;
}

bool namespace_may_send_connected(const struct namespace_table *table,
                                  const struct packet_view *view, const struct port *port)
{
    uint32_t element = connected_find(&table->connected, view);

    return element != CONNECTED_NONE && table->connected.elements[element].port == port &&
           namespace_is_local(table, &view->local);
}
