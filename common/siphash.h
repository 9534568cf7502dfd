/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short inputs. Without the key nobody
 * can tell what a value will be, nor find inputs that collide; so it serves for hash tables that
 * strangers fill, and for initial sequence numbers (RFC 6528). The result for given bytes and key
 * is the same on every machine. */
#ifndef MULTISTACK_SIPHASH_H
#define MULTISTACK_SIPHASH_H

#ifdef __bpf__ /* the C library's headers are not for this target; calls and loops cost more than the rounds */
#define SIPHASH_INLINE static inline __attribute__((always_inline))
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
#else
#define SIPHASH_INLINE static inline
#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#endif

struct siphash_key {
    uint64_t word[2];
};

#ifndef __bpf__
static inline struct siphash_key siphash_key(const uint8_t bytes[16])
{
    struct siphash_key key;

    memcpy(key.word, bytes, sizeof(key.word));
    key.word[0] = le64toh(key.word[0]);
    key.word[1] = le64toh(key.word[1]);
    return key;
}
#endif

SIPHASH_INLINE uint64_t siphash__rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* In the midst of a hash: of the words so far. */
struct siphash_state {
    uint64_t v[4];
};

SIPHASH_INLINE struct siphash_state siphash__begin(struct siphash_key key)
{
    return (struct siphash_state){
        {key.word[0] ^ 0x736f6d6570736575, key.word[1] ^ 0x646f72616e646f6d,
         key.word[0] ^ 0x6c7967656e657261, key.word[1] ^ 0x7465646279746573}};
}

SIPHASH_INLINE void siphash__round(struct siphash_state *state)
{
    uint64_t *v = state->v;

    v[0] += v[1];
    v[1] = siphash__rotate(v[1], 13) ^ v[0];
    v[0] = siphash__rotate(v[0], 32);
    v[2] += v[3];
    v[3] = siphash__rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = siphash__rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = siphash__rotate(v[1], 17) ^ v[2];
    v[2] = siphash__rotate(v[2], 32);
}

SIPHASH_INLINE void siphash__absorb(struct siphash_state *state, uint64_t word)
{
    state->v[3] ^= word;
    siphash__round(state);
    siphash__round(state);
    state->v[0] ^= word;
}

SIPHASH_INLINE uint64_t siphash__end(struct siphash_state *state)
{
    state->v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        siphash__round(state);
    return state->v[0] ^ state->v[1] ^ state->v[2] ^ state->v[3];
}

/* Of `count` whole words: what siphash() gives for their bytes on a little-endian machine. */
SIPHASH_INLINE uint64_t siphash_words(struct siphash_key key, const uint64_t *words, unsigned count)
{
    struct siphash_state state = siphash__begin(key);

    for (unsigned i = 0; i < count; i++)
        siphash__absorb(&state, words[i]);
    siphash__absorb(&state, (uint64_t)(8 * count) << 56);
    return siphash__end(&state);
}

/* The same without the block that tells the length, two rounds less: for inputs that begin or end with what they
 * are, each of which has one length. */
SIPHASH_INLINE uint64_t siphash_fixed(struct siphash_key key, const uint64_t *words, unsigned count)
{
    struct siphash_state state = siphash__begin(key);

    for (unsigned i = 0; i < count; i++)
        siphash__absorb(&state, words[i]);
    return siphash__end(&state);
}

/* That of two words in two parts, where the first is often the same. */
SIPHASH_INLINE struct siphash_state siphash_first(struct siphash_key key, uint64_t word)
{
    struct siphash_state state = siphash__begin(key);

    siphash__absorb(&state, word);
    return state;
}

SIPHASH_INLINE uint64_t siphash_second(struct siphash_state state, uint64_t word)
{
    siphash__absorb(&state, word);
    return siphash__end(&state);
}

#ifndef __bpf__
static inline uint64_t siphash(struct siphash_key key, const void *data, size_t size)
{
    struct siphash_state state = siphash__begin(key);
    uint64_t last = (uint64_t)size << 56;
    const uint8_t *at = data;

    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        siphash__absorb(&state, le64toh(word));
    }
    for (size_t i = 0; i < size; i++)
        last |= (uint64_t)at[i] << (8 * i);
    siphash__absorb(&state, last);
    return siphash__end(&state);
}
#endif

/* SipHash-1-3 of `count` whole words: fewer rounds, where nobody sees the value (tables), or nobody who would
 * have to guess it sees the words either (sequence numbers, utcp/state.c). Not what siphash() gives. */
static inline uint64_t siphash_table(struct siphash_key key, const uint64_t *words, unsigned count)
{
    struct siphash_state state = siphash__begin(key);

    for (unsigned i = 0; i < count; i++) {
        state.v[3] ^= words[i];
        siphash__round(&state);
        state.v[0] ^= words[i];
    }
    state.v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        siphash__round(&state);
    return state.v[0] ^ state.v[1] ^ state.v[2] ^ state.v[3];
}

#endif
