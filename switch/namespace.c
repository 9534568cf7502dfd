/* SPDX-License-Identifier: BSD-2-Clause */
/* namespace.h: changes, in both tables. */
#include "namespace.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>

#include "mux_maps.h"

static struct mux_key mux_key_of(const struct tuple *tuple)
{
    struct control_address address = tuple_to_address(tuple);
    struct mux_key key = {
        .family = address.family, .protocol = address.protocol, .port = address.port};

    memcpy(key.address, address.bytes, sizeof(key.address));
    return key;
}

static int claim(const struct namespace_table *table, const struct tuple *tuple)
{
    struct mux_key key = mux_key_of(tuple);
    __u32 value = 1;
    int status;

    if (table->mux_map_fd < 0)
        return 0;
    status = bpf_map_update_elem(table->mux_map_fd, &key, &value, BPF_ANY);
    return status == -E2BIG ? -ENOSPC : status;
}

static void disclaim(const struct namespace_table *table, const struct tuple *tuple)
{
    struct mux_key key = mux_key_of(tuple);

    /* Fails only when the element is not there, which is what is wanted. */
    if (table->mux_map_fd >= 0)
        bpf_map_delete_elem(table->mux_map_fd, &key);
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
    return 0;
}

void namespace_dispose(struct namespace_table *table)
{
    tuple_table_dispose(&table->bindings);
    tuple_table_dispose(&table->addresses);
}

int namespace_add(struct namespace_table *table, const struct tuple *tuple, struct port *port,
                  uint32_t binding)
{
    int status = tuple_table_add(&table->bindings, tuple, port, binding);

    if (status)
        return status == -EEXIST ? -EADDRINUSE : status;
    status = claim(table, tuple);
    if (status)
        tuple_table_remove(&table->bindings, tuple);
    table->version++;
    return status;
}

void namespace_remove(struct namespace_table *table, const struct tuple *tuple)
{
    disclaim(table, tuple);
    tuple_table_remove(&table->bindings, tuple);
    table->version++;
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
