/* SPDX-License-Identifier: BSD-2-Clause */
/* connected.h */
#include "connected.h"

#include <errno.h>
#include <stdlib.h>

#define ELEMENTS_FIRST 256

static uint32_t *chain_of(const struct connected_table *table, const struct tuple *local,
                          const uint64_t remote[2], be16 remote_port)
{
    return &table
                ->heads[(uint32_t)flow_hash(&table->key, local, remote, remote_port) & table->mask];
}

/* As many chains as elements. Elements keep their numbers; only the chains are made anew. */
static int grow(struct connected_table *table)
{
    uint32_t capacity = table->capacity ? table->capacity * 2 : ELEMENTS_FIRST;
    struct connected *elements;
    uint32_t *heads;

    if (capacity > CONNECTED_MAX)
        return -ENOSPC;
    elements = reallocarray(table->elements, capacity, sizeof(*elements));
    if (!elements)
        return -ENOMEM;
    table->elements = elements;
    heads = malloc(capacity * sizeof(*heads));
    if (!heads)
        return -ENOMEM;
    memset(heads, 0xff, capacity * sizeof(*heads)); /* CONNECTED_NONE */
    free(table->heads);
    table->heads = heads;
    table->mask = capacity - 1;
    table->capacity = capacity;
    /* It grows when all are in use: none of them is a free one. */
    for (uint32_t i = 0; i < table->made; i++) {
        struct connected *element = &elements[i];
        uint32_t *head = chain_of(table, &element->local, element->remote, element->remote_port);

        element->chain = *head;
        *head = i;
    }
    return 0;
}

static int take_element(struct connected_table *table, uint32_t *taken)
{
    if (table->free != CONNECTED_NONE) {
        *taken = table->free;
        table->free = table->elements[*taken].chain;
        return 0;
    }
    if (table->made == table->capacity) {
        int status = grow(table);

        if (status)
            return status;
    }
    *taken = table->made++;
    return 0;
}

void connected_table_init(struct connected_table *table, const struct hash_key *key)
{
    *table = (struct connected_table){.free = CONNECTED_NONE, .key = *key};
}

void connected_table_dispose(struct connected_table *table)
{
    free(table->elements);
    free(table->heads);
    *table = (struct connected_table){.free = CONNECTED_NONE};
}

uint32_t connected_find(const struct connected_table *table, const struct packet_view *view)
{
    uint32_t at;

    if (!table->used)
        return CONNECTED_NONE;
    at = *chain_of(table, &view->local, view->remote, view->remote_port);
    while (at != CONNECTED_NONE) {
        const struct connected *element = &table->elements[at];

        if (tuple_equal(&element->local, &view->local) && element->remote[0] == view->remote[0] &&
            element->remote[1] == view->remote[1] && element->remote_port == view->remote_port)
            return at;
        at = element->chain;
    }
    return CONNECTED_NONE;
}

int connected_add(struct connected_table *table, const struct packet_view *view,
                  const struct owner *owner, uint32_t *first)
{
    uint32_t at, *head;
    int status = take_element(table, &at);

    if (status)
        return status;
    head = chain_of(table, &view->local, view->remote, view->remote_port);
    table->elements[at] = (struct connected){
        .local = view->local,
        .remote = {view->remote[0], view->remote[1]},
        .port = owner->port,
        .ring = (uint8_t)owner->ring,
        .chain = *head,
        .next = *first,
        .previous = CONNECTED_NONE,
        .remote_port = view->remote_port,
    };
    *head = at;
    if (*first != CONNECTED_NONE)
        table->elements[*first].previous = at;
    *first = at;
    table->used++;
    return 0;
}

void connected_remove(struct connected_table *table, uint32_t at, uint32_t *first)
{
    struct connected *element = &table->elements[at];
    uint32_t *link = chain_of(table, &element->local, element->remote, element->remote_port);

    while (*link != at)
        link = &table->elements[*link].chain;
    *link = element->chain;
    if (element->previous == CONNECTED_NONE)
        *first = element->next;
    else
        table->elements[element->previous].next = element->next;
    if (element->next != CONNECTED_NONE)
        table->elements[element->next].previous = element->previous;
    element->port = NULL;
    element->chain = table->free;
    table->free = at;
    table->used--;
}
