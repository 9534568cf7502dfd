/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of connections in TIME-WAIT: timewait_table.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "timewait_table.h"

#define INDEX_FIRST 64
#define SLABS_FIRST 8
#define CACHE_LINE  64

static_assert(sizeof(struct utcp_time_wait) <= 2 * CACHE_LINE, "two cache lines");
static_assert(TIME_WAIT_SLAB == 64, "a bit of `free` for each place");

/* ── Places ────────────────────────────────────────────────────────────────────────────────── */

static bool all_free(const struct utcp_time_wait_slab *slab)
{
    return slab->free == UINT64_MAX;
}

static void give_back(struct utcp_time_wait_slab *slab)
{
    free(slab->places);
    slab->places = NULL;
}

static bool more_slabs(struct utcp_time_waits *waits)
{
    uint32_t most = waits->slab_max ? 2 * waits->slab_max : SLABS_FIRST;
    struct utcp_time_wait_slab *slabs;

    if (waits->slab_count < waits->slab_max)
        return true;
    if (most > TIME_WAIT_NONE / TIME_WAIT_SLAB)
        return false;
    slabs = realloc(waits->slabs, most * sizeof(*slabs));
    if (slabs == NULL)
        return false;
    waits->slabs = slabs;
    waits->slab_max = most;
    return true;
}

static void push_roomy(struct utcp_time_waits *waits, uint32_t which)
{
    struct utcp_time_wait_slab *slab = &waits->slabs[which];

    if (waits->room != TIME_WAIT_NONE && all_free(&waits->slabs[waits->room]))
        give_back(&waits->slabs[waits->room]);
    slab->roomy = true;
    slab->next = waits->room;
    waits->room = which;
}

/* The slab that the next entry goes to, with memory. */
static struct utcp_time_wait_slab *slab_with_room(struct utcp_time_waits *waits)
{
    struct utcp_time_wait_slab *slab;

    if (waits->room == TIME_WAIT_NONE) {
        if (!more_slabs(waits))
            return NULL;
        waits->slabs[waits->slab_count] = (struct utcp_time_wait_slab){.free = UINT64_MAX};
        push_roomy(waits, waits->slab_count++);
    }
    slab = &waits->slabs[waits->room];
    if (slab->places == NULL)
        slab->places = aligned_alloc(CACHE_LINE, TIME_WAIT_SLAB * sizeof(*slab->places));
    return slab->places ? slab : NULL;
}

/* That of the slab with room. */
static struct utcp_time_wait *take_place(struct utcp_time_waits *waits)
{
    struct utcp_time_wait_slab *slab = &waits->slabs[waits->room];
    unsigned place = (unsigned)__builtin_ctzll(slab->free);
    struct utcp_time_wait *wait = &slab->places[place];

    wait->number = waits->room * TIME_WAIT_SLAB + place;
    slab->free &= slab->free - 1;
    if (slab->free == 0) {
        waits->room = slab->next;
        slab->roomy = false;
    }
    return wait;
}

/* `number` is that of an entry. */
static struct utcp_time_wait *entry(const struct utcp_time_waits *waits, uint32_t number)
{
    return &waits->slabs[number / TIME_WAIT_SLAB].places[number % TIME_WAIT_SLAB];
}

struct utcp_time_wait *utcp__waits_at(const struct utcp_time_waits *waits, uint32_t number)
{
    if (number / TIME_WAIT_SLAB >= waits->slab_count ||
        waits->slabs[number / TIME_WAIT_SLAB].free & UINT64_C(1) << (number % TIME_WAIT_SLAB))
        return NULL;
    return entry(waits, number);
}

/* ── Index ─────────────────────────────────────────────────────────────────────────────────── */

static void index_put(struct utcp_time_wait_place *index, uint32_t size,
                      struct utcp_time_wait_place what)
{
    uint32_t at = what.hash & (size - 1);

    while (index[at].number != TIME_WAIT_NONE)
        at = (at + 1) & (size - 1);
    index[at] = what;
}

/* False: no memory, and all is as it was. */
static bool index_resize(struct utcp_time_waits *waits, uint32_t size)
{
    struct utcp_time_wait_place *index = malloc(size * sizeof(*index));

    if (index == NULL)
        return false;
    memset(index, 0xff, size * sizeof(*index)); /* TIME_WAIT_NONE */
    for (uint32_t i = 0; i < waits->index_size; i++)
        if (waits->index[i].number != TIME_WAIT_NONE)
            index_put(index, size, waits->index[i]);
    free(waits->index);
    waits->index = index;
    waits->index_size = size;
    return true;
}

/* Three fourths of it are used, or there is none. */
static bool index_is_full(const struct utcp_time_waits *waits)
{
    return waits->count >= waits->index_size / 4 * 3;
}

/* Room for one more: three fourths are used at most, or, without memory, all but one. */
static bool index_ready(struct utcp_time_waits *waits)
{
    if (waits->index_size == 0)
        return index_resize(waits, INDEX_FIRST);
    if (!index_is_full(waits))
        return true;
    return (waits->index_size <= UINT32_MAX / 2 && index_resize(waits, 2 * waits->index_size)) ||
           waits->count + 1 < waits->index_size;
}

/* More than seven eighths of it are not used. */
static bool index_is_sparse(const struct utcp_time_waits *waits)
{
    return waits->index_size > INDEX_FIRST && waits->count < waits->index_size / 8;
}

/* What follows without a gap moves up where its own place allows: then no search ends too early. */
static void index_remove(struct utcp_time_waits *waits, const struct utcp_time_wait *wait)
{
    uint32_t mask = waits->index_size - 1, gap = wait->hash & mask, at;

    while (waits->index[gap].number != wait->number)
        gap = (gap + 1) & mask;
    for (at = (gap + 1) & mask; waits->index[at].number != TIME_WAIT_NONE; at = (at + 1) & mask) {
        uint32_t home = waits->index[at].hash & mask;

        if (((at - home) & mask) < ((at - gap) & mask))
            continue; /* it would stand before its place */
        waits->index[gap] = waits->index[at];
        gap = at;
    }
    waits->index[gap].number = TIME_WAIT_NONE;
}

static bool is_of(const struct utcp_time_wait *wait, const struct utcp_endpoint *local,
                  const struct utcp_endpoint *remote)
{
    return memcmp(&wait->remote, remote, sizeof(*remote)) == 0 &&
           memcmp(&wait->local, local, sizeof(*local)) == 0;
}

struct utcp_time_wait *utcp__waits_search(const struct utcp_time_waits *waits,
                                          const struct utcp_endpoint *local,
                                          const struct utcp_endpoint *remote, uint32_t hash)
{
    uint32_t mask = waits->index_size - 1;

    for (uint32_t at = hash & mask; waits->index[at].number != TIME_WAIT_NONE; at = (at + 1) & mask)
        if (waits->index[at].hash == hash &&
            is_of(entry(waits, waits->index[at].number), local, remote))
            return entry(waits, waits->index[at].number);
    return NULL;
}

void utcp__waits_visit(const struct utcp_time_waits *waits, uint64_t place,
                       void (*visit)(void *context, const struct utcp_time_wait *wait),
                       void *context)
{
    uint32_t mask = waits->index_size - 1, home = (uint32_t)place & mask;

    if (waits->count == 0)
        return;
    for (uint32_t at = home; waits->index[at].number != TIME_WAIT_NONE; at = (at + 1) & mask)
        if ((waits->index[at].hash & mask) == home)
            visit(context, entry(waits, waits->index[at].number));
}

/* ── Queues ────────────────────────────────────────────────────────────────────────────────── */

static void note_due(struct utcp_time_waits *waits)
{
    waits->due = UINT64_MAX;
    for (int i = 0; i < TIME_WAIT_QUEUES; i++)
        if (waits->queues[i].due < waits->due)
            waits->due = waits->queues[i].due;
}

/* The first queue whose last entry ends no later; TIME_WAIT_QUEUES: there is none. */
static unsigned queue_for(const struct utcp_time_waits *waits, uint64_t expires)
{
    unsigned which = 0;

    while (which < TIME_WAIT_QUEUES && waits->queues[which].end > expires)
        which++;
    return which;
}

static void join(struct utcp_time_waits *waits, unsigned which, struct utcp_time_wait *wait,
                 uint64_t expires)
{
    struct utcp_time_wait_queue *queue = &waits->queues[which];

    wait->queue = (uint8_t)which;
    wait->expires = expires;
    wait->next = TIME_WAIT_NONE;
    wait->previous = queue->last;
    if (queue->last != TIME_WAIT_NONE) {
        entry(waits, queue->last)->next = wait->number;
    } else {
        queue->first = wait->number;
        queue->due = expires;
        if (expires < waits->due)
            waits->due = expires;
    }
    queue->last = wait->number;
    queue->end = expires;
}

static inline void leave(struct utcp_time_waits *waits, const struct utcp_time_wait *wait)
{
    struct utcp_time_wait_queue *queue = &waits->queues[wait->queue];

    if (wait->next != TIME_WAIT_NONE) {
        entry(waits, wait->next)->previous = wait->previous;
    } else {
        queue->last = wait->previous;
        queue->end = queue->last == TIME_WAIT_NONE ? 0 : entry(waits, queue->last)->expires;
    }
    if (wait->previous != TIME_WAIT_NONE) {
        entry(waits, wait->previous)->next = wait->next;
        return;
    }
    queue->first = wait->next;
    queue->due = queue->first == TIME_WAIT_NONE ? UINT64_MAX : entry(waits, queue->first)->expires;
    note_due(waits);
}

void utcp__waits_put_off(struct utcp_time_waits *waits, struct utcp_time_wait *wait,
                         uint64_t expires)
{
    unsigned which = queue_for(waits, expires);

    if (which == TIME_WAIT_QUEUES) { /* later is harmless, earlier is not: behind the nearest */
        which = 0;
        for (unsigned i = 1; i < TIME_WAIT_QUEUES; i++)
            if (waits->queues[i].end < waits->queues[which].end)
                which = i;
        expires = waits->queues[which].end;
    }
    leave(waits, wait);
    join(waits, which, wait, expires);
}

struct utcp_time_wait *utcp__waits_first(const struct utcp_time_waits *waits)
{
    for (int i = 0; waits->count && i < TIME_WAIT_QUEUES; i++)
        if (waits->queues[i].due == waits->due)
            return entry(waits, waits->queues[i].first);
    return NULL;
}

/* ── All of it ─────────────────────────────────────────────────────────────────────────────── */

void utcp__waits_init(struct utcp_time_waits *waits)
{
    *waits = (struct utcp_time_waits){.room = TIME_WAIT_NONE, .due = UINT64_MAX};
    for (int i = 0; i < TIME_WAIT_QUEUES; i++)
        waits->queues[i] = (struct utcp_time_wait_queue){
            .first = TIME_WAIT_NONE, .last = TIME_WAIT_NONE, .due = UINT64_MAX};
}

void utcp__waits_dispose(struct utcp_time_waits *waits)
{
    for (uint32_t i = 0; i < waits->slab_count; i++)
        free(waits->slabs[i].places);
    free(waits->slabs);
    free(waits->index);
    utcp__waits_init(waits);
}

/* Adding and removing go through functions that call no others, but for what is rare, at their end: so they need
 * no stack. */

static inline struct utcp_time_wait *add(struct utcp_time_waits *waits, unsigned which,
                                         const struct utcp_endpoint *local,
                                         const struct utcp_endpoint *remote, uint32_t hash,
                                         uint64_t expires)
{
    struct utcp_time_wait *wait = take_place(waits);

    join(waits, which, wait, expires);
    index_put(waits->index, waits->index_size,
              (struct utcp_time_wait_place){.hash = hash, .number = wait->number});
    wait->local = *local;
    wait->remote = *remote;
    wait->hash = hash;
    waits->count++;
    return wait;
}

/* There is no place, or the index is to be made larger. */
static __attribute__((noinline)) struct utcp_time_wait *
add_with_memory(struct utcp_time_waits *waits, unsigned which, const struct utcp_endpoint *local,
                const struct utcp_endpoint *remote, uint32_t hash, uint64_t expires)
{
    if (!index_ready(waits) || !slab_with_room(waits))
        return NULL;
    return add(waits, which, local, remote, hash, expires);
}

struct utcp_time_wait *utcp__waits_add(struct utcp_time_waits *waits,
                                       const struct utcp_endpoint *local,
                                       const struct utcp_endpoint *remote, uint32_t hash,
                                       uint64_t expires)
{
    unsigned which = queue_for(waits, expires);

    if (which == TIME_WAIT_QUEUES)
        return NULL;
    if (index_is_full(waits) || waits->room == TIME_WAIT_NONE || !waits->slabs[waits->room].places)
        return add_with_memory(waits, which, local, remote, hash, expires);
    return add(waits, which, local, remote, hash, expires);
}

/* A place of that slab was freed. */
static __attribute__((noinline)) void tidy(struct utcp_time_waits *waits, uint32_t which)
{
    struct utcp_time_wait_slab *slab = &waits->slabs[which];

    if (!slab->roomy)
        push_roomy(waits, which);
    else if (all_free(slab) && waits->room != which)
        give_back(slab);
    if (index_is_sparse(waits))
        index_resize(waits, waits->index_size / 2);
}

void utcp__waits_remove(struct utcp_time_waits *waits, struct utcp_time_wait *wait)
{
    uint32_t which = wait->number / TIME_WAIT_SLAB;
    struct utcp_time_wait_slab *slab = &waits->slabs[which];

    index_remove(waits, wait);
    leave(waits, wait);
    waits->count--;
    slab->free |= UINT64_C(1) << (wait->number % TIME_WAIT_SLAB);
    if (!slab->roomy || (all_free(slab) && waits->room != which) || index_is_sparse(waits))
        tidy(waits, which);
}

size_t utcp__waits_memory(const struct utcp_time_waits *waits)
{
    size_t size =
        waits->slab_max * sizeof(*waits->slabs) + waits->index_size * sizeof(*waits->index);

    for (uint32_t i = 0; i < waits->slab_count; i++)
        if (waits->slabs[i].places)
            size += TIME_WAIT_SLAB * sizeof(*waits->slabs[i].places);
    return size;
}
