/* SPDX-License-Identifier: BSD-2-Clause */
/* A 3-tuple <protocol, address, port> as the switch computes with it, and a table keyed by it.
 *
 * A tuple is `struct control_address` in three machine words, so that comparing is three
 * instructions and hashing two multiplications. The table is open addressing with linear probing
 * and deletion by shifting back: a look-up touches one cache line nearly always, and there are no
 * tombstones that would make it slower with time. It is at most half full. A table of 65,536 entries is
 * 8 MiB, and nearly every look-up at random waits for memory, unless it was asked for in time
 * (tuple_table_prefetch()); doc/performance.md says what is left of that. The hash is keyed:
 * applications choose what they bind, and nobody shall choose collisions. */
#ifndef MULTISTACK_SWITCH_TUPLE_H
#define MULTISTACK_SWITCH_TUPLE_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "control_protocol.h"
#include "keyed_hash.h"
#include "wire.h"

struct tuple {
    uint64_t low, high; /* the address as it lies in memory; IPv4: the first four bytes */
    uint32_t rest;      /* port (network order), family, protocol, as they lie in memory */
};

static inline struct tuple tuple_from_address(const struct control_address *address)
{
    struct tuple tuple;

    memcpy(&tuple.low, address->bytes, 8);
    memcpy(&tuple.high, address->bytes + 8, 8);
    memcpy(&tuple.rest, (const uint8_t *)address + 16, 4);
    return tuple;
}

static inline struct control_address tuple_to_address(const struct tuple *tuple)
{
    struct control_address address;

    memcpy(address.bytes, &tuple->low, 8);
    memcpy(address.bytes + 8, &tuple->high, 8);
    memcpy((uint8_t *)&address + 16, &tuple->rest, 4);
    return address;
}

/* The words of an address of 4 or 16 bytes, as `family` says. */
static inline void tuple_load_address(uint64_t words[2], const uint8_t *address, uint8_t family)
{
    if (family == 4) {
        uint32_t word;

        memcpy(&word, address, 4);
        /* as it lies in memory: in the first half of the first word */
        words[0] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : (uint64_t)word << 32;
        words[1] = 0;
    } else {
        memcpy(words, address, 16);
    }
}

/* Put together in a register: stored in parts and loaded whole, it would have to wait for the store
 * buffer, for each packet. */
static inline uint32_t tuple_rest(uint8_t family, uint8_t protocol, be16 port)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return port | (uint32_t)family << 16 | (uint32_t)protocol << 24;
    return (uint32_t)port << 16 | (uint32_t)family << 8 | protocol;
}

static inline uint8_t tuple_protocol(const struct tuple *tuple)
{
    return (uint8_t)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? tuple->rest >> 24 : tuple->rest);
}

static inline be16 tuple_port(const struct tuple *tuple)
{
    return (be16)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? tuple->rest : tuple->rest >> 16);
}

/* `address` points to 4 or 16 bytes, as `family` says. */
static inline struct tuple tuple_make(const uint8_t *address, uint8_t family, uint8_t protocol,
                                      be16 port)
{
    uint64_t words[2];

    tuple_load_address(words, address, family);
    return (struct tuple){words[0], words[1], tuple_rest(family, protocol, port)};
}

/* The same protocol and port at the wildcard address. */
static inline struct tuple tuple_wildcard(const struct tuple *tuple)
{
    return (struct tuple){0, 0, tuple->rest};
}

/* The same with the last `bits` bits of the port (as a number) zero. */
static inline struct tuple tuple_mask_port(const struct tuple *tuple, uint32_t bits)
{
    const be16 mask = htons((uint16_t)(0xffffu << bits));

    return (struct tuple){tuple->low, tuple->high, tuple->rest & tuple_rest(0xff, 0xff, mask)};
}

/* The address alone, which is how the table of the host's addresses is keyed. */
static inline struct tuple tuple_address_only(const struct tuple *tuple)
{
    return (struct tuple){tuple->low, tuple->high, tuple->rest & tuple_rest(0xff, 0, 0)};
}

static inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
    return ((a->low ^ b->low) | (a->high ^ b->high) | (a->rest ^ b->rest)) == 0;
}

static inline bool tuple_is_wildcard(const struct tuple *tuple)
{
    return (tuple->low | tuple->high) == 0;
}

static inline uint64_t tuple_hash(const struct hash_key *key, const struct tuple *tuple)
{
    return hash_words(key, tuple->low, tuple->high, tuple->rest);
}

#define TUPLE_NUMBER_MAX 0xfffffff
#define TUPLE_DETAIL_MAX 15

/* Two to a cache line, so that a probe never touches two lines: that is why it holds the tuple's words
 * and not the struct, which has a gap. */
struct tuple_slot {
    uint64_t low, high;
    uint32_t rest;
    uint32_t number : 28; /* the user's */
    uint32_t detail : 4;  /* the user's as well; 0 to begin with */
    void *value;          /* NULL: the slot is empty */
};

static inline bool tuple_slot_has(const struct tuple_slot *slot, const struct tuple *tuple)
{
    return ((slot->low ^ tuple->low) | (slot->high ^ tuple->high) | (slot->rest ^ tuple->rest)) ==
           0;
}

struct tuple_table {
    struct tuple_slot *slots;
    uint32_t mask;
    uint32_t used;
    uint32_t limit; /* on `used` */
    struct hash_key key;
};

/* `limit`: entries at most. 0 or -ENOMEM. */
int tuple_table_init(struct tuple_table *table, const struct hash_key *key, uint32_t limit);
void tuple_table_dispose(struct tuple_table *table);

/* `value` is not NULL, `number` at most TUPLE_NUMBER_MAX. 0, -EEXIST, -ENOSPC (the limit), -ENOMEM.
 * Grows where needed: not for the data path. */
int tuple_table_add(struct tuple_table *table, const struct tuple *tuple, void *value,
                    uint32_t number);
/* False: it was not there. */
bool tuple_table_remove(struct tuple_table *table, const struct tuple *tuple);

static inline const struct tuple_slot *
tuple_table_find_hashed(const struct tuple_table *table, const struct tuple *tuple, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & table->mask;

    /* ends: the table is never more than half full */
    for (;; at = (at + 1) & table->mask) {
        const struct tuple_slot *slot = &table->slots[at];

        if (!slot->value)
            return NULL;
        if (tuple_slot_has(slot, tuple))
            return slot;
    }
}

static inline const struct tuple_slot *tuple_table_find(const struct tuple_table *table,
                                                        const struct tuple *tuple)
{
    return tuple_table_find_hashed(table, tuple, tuple_hash(&table->key, tuple));
}

/* More than the caches next to a processor hold: slots are worth asking for in time. */
static inline bool tuple_table_is_large(const struct tuple_table *table)
{
    return table->mask * sizeof(struct tuple_slot) > 256 * 1024;
}

static inline void tuple_table_prefetch(const struct tuple_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->slots[(uint32_t)hash & table->mask]);
}

#endif
