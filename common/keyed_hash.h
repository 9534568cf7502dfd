/* SPDX-License-Identifier: BSD-2-Clause */
/* A keyed hash by multiplication, for tables that strangers fill: of two or three words it takes a tenth of the
 * instructions of SipHash.
 *
 * What it promises is less. Two inputs that differ collide if two products with unknown factors fold to the same
 * number: whoever chooses them without the key, and without seeing any value, has nothing to aim by. That no choice is
 * better than chance nobody has proved, though. And it is no pseudo-random function: a few values that are seen give
 * the key away. So it is for places in tables, of which nothing leaves the process; what goes onto the wire is made by
 * SipHash (siphash.h). How long a look-up takes says nothing either that could be heard across a network, as
 * long as chains are short. unit/test_hash_flooding and tcp/test_attack fill tables with what was chosen. */
#ifndef MULTISTACK_KEYED_HASH_H
#define MULTISTACK_KEYED_HASH_H

#include <stdint.h>

struct hash_key {
    uint64_t word[4];
};

/* A 64 x 64 multiplication whose halves are folded together: each input bit reaches each output
 * bit, and with an unknown key nobody can aim. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_words(const struct hash_key *key, uint64_t a, uint64_t b, uint64_t c)
{
    return hash_fold(hash_fold(a ^ key->word[0], b ^ key->word[1]) ^ c ^ key->word[2],
                     key->word[3]);
}

/* Consecutive inputs leave hash_words() as multiples of one number that the key has chosen: well
 * spread over many places of a table, but one key in forty puts 64 consecutive ports on two thirds of
 * a circle. Where the hash divides into few shares it is mixed once more, by a fixed bijection
 * (MurmurHash3's finaliser). */
static inline uint64_t hash_mix(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ hash >> 33;
}

#endif
