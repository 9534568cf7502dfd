/* SPDX-License-Identifier: BSD-2-Clause */
/* work.h */
#include "work.h"

#include <stddef.h>
#include <time.h>

#define BUFFER_WORDS   512 /* 4 KiB: a round hashes one cache line of it */
#define ROUND_WORDS    8
#define MEASURE_ROUNDS 100000
#define MEASUREMENTS   5

static uint64_t buffer[BUFFER_WORDS];

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t work_do(uint64_t rounds, uint64_t seed)
{
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

    for (uint64_t round = 0; round < rounds; round++) {
        const uint64_t *words = &buffer[round * ROUND_WORDS % BUFFER_WORDS];

        for (size_t i = 0; i < ROUND_WORDS; i++) /* FNV-1a, by words */
            hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* The fastest of several: what was interrupted would make the work too little. */
uint64_t work_rounds(uint64_t us)
{
    uint64_t best = UINT64_MAX, sum = 0;

    if (!us)
        return 0;
    for (size_t i = 0; i < BUFFER_WORDS; i++)
        buffer[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < MEASUREMENTS; i++) {
        uint64_t began = cpu_ns(), took;

        sum = work_do(MEASURE_ROUNDS, sum);
        took = cpu_ns() - began;
        best = took < best ? took : best;
    }
    buffer[0] ^= sum & 1; /* the compiler may not leave it out */
    if (!best)
        best = 1;
    return us * 1000 * MEASURE_ROUNDS / best + 1;
}
