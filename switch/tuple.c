/* SPDX-License-Identifier: BSD-2-Clause */
/* tuple.h: the table, where it changes. */
#include "tuple.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "huge_map.h"

static_assert(sizeof(struct tuple_slot) == 32, "two to a cache line");

#define SLOTS_FIRST 64

/* A large table is in huge pages where the kernel gives them: probes at random would miss the
 * processor's table of pages as well. */
static struct tuple_slot *allocate_slots(uint32_t count)
{
    size_t size = count * sizeof(struct tuple_slot);
    bool huge = size >= HUGE_PAGE_SIZE;
    void *slots = aligned_alloc(huge ? HUGE_PAGE_SIZE : 64, size);

    if (slots && huge)
        madvise(slots, size, MADV_HUGEPAGE);
    if (slots)
        memset(slots, 0, size);
    return slots;
}

static struct tuple tuple_of(const struct tuple_slot *slot)
{
    return (struct tuple){slot->low, slot->high, slot->rest};
}

static uint32_t find_place(const struct tuple_table *table, const struct tuple *tuple)
{
    uint32_t at = (uint32_t)tuple_hash(&table->key, tuple) & table->mask;

    while (table->slots[at].value && !tuple_slot_has(&table->slots[at], tuple))
        at = (at + 1) & table->mask;
    return at;
}

static int grow(struct tuple_table *table)
{
    struct tuple_table bigger = *table;
    uint32_t count = table->mask + 1;

    bigger.slots = allocate_slots(count * 2);
    if (!bigger.slots)
        return -ENOMEM;
    bigger.mask = count * 2 - 1;
    for (uint32_t i = 0; i < count; i++) {
        struct tuple tuple = tuple_of(&table->slots[i]);

        if (table->slots[i].value)
            bigger.slots[find_place(&bigger, &tuple)] = table->slots[i];
    }
    free(table->slots);
    *table = bigger;
    return 0;
}

/* Closes the gap at `hole`: whatever behind it could have stood in it moves there. */
static void shift_back(struct tuple_table *table, uint32_t hole)
{
    uint32_t at = hole;

    for (;;) {
        struct tuple tuple;
        uint32_t home;

        at = (at + 1) & table->mask;
        if (!table->slots[at].value)
            break;
        tuple = tuple_of(&table->slots[at]);
        home = (uint32_t)tuple_hash(&table->key, &tuple) & table->mask;
        if (((at - home) & table->mask) < ((at - hole) & table->mask))
            continue; /* its home lies behind the hole */
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole] = (struct tuple_slot){.value = NULL};
}

int tuple_table_init(struct tuple_table *table, const struct hash_key *key, uint32_t limit)
{
    *table = (struct tuple_table){.mask = SLOTS_FIRST - 1, .limit = limit, .key = *key};
    table->slots = allocate_slots(SLOTS_FIRST);
    return table->slots ? 0 : -ENOMEM;
}

void tuple_table_dispose(struct tuple_table *table)
{
    free(table->slots);
    *table = (struct tuple_table){.slots = NULL};
}

int tuple_table_add(struct tuple_table *table, const struct tuple *tuple, void *value,
                    uint32_t number)
{
    uint32_t place = find_place(table, tuple);

    assert(value && number <= TUPLE_NUMBER_MAX);
    if (table->slots[place].value)
        return -EEXIST;
    if (table->used >= table->limit)
        return -ENOSPC;
    if ((table->used + 1) * 2 > table->mask) {
        int status = grow(table);

        if (status)
            return status;
        place = find_place(table, tuple);
    }
    table->slots[place] = (struct tuple_slot){.low = tuple->low,
                                              .high = tuple->high,
                                              .rest = tuple->rest,
                                              .number = number & TUPLE_NUMBER_MAX,
                                              .value = value};
    table->used++;
    return 0;
}

bool tuple_table_remove(struct tuple_table *table, const struct tuple *tuple)
{
    uint32_t place = find_place(table, tuple);

    if (!table->slots[place].value)
        return false;
    shift_back(table, place);
    table->used--;
    return true;
}
