/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a producer does better to store a packet as usual, or past its cache (stream.h).
 *
 * That depends on what it cannot choose: whether its processor and the consumer's have a cache in common. Two
 * virtual ones do at one time and do not a minute later, as their host moves them. 1,518 bytes through a port's
 * ring and a wire's, of 1 MiB each, in millions a second:
 *
 *                                    a cache in common   none
 *   both stores as usual                    13              1
 *   both past the cache                      4              3
 *   DPDK's memif, which stores as usual      8 to 10        1
 *
 * So it is tried: one packet of some is stored as usual between two looks at the clock, with fences, so that all
 * its lines have come from wherever they were; and what most of the last trials said is done. It pays where a ring
 * is larger than what the consumer keeps in a cache of its own (its second-level cache holds all of a smaller one,
 * and each line is taken back out of there: 3 against 3 with 256 KiB), and for packets of some lines. Others go
 * past the cache without a trial. */
#ifndef MULTISTACK_RING_NEAR_H
#define MULTISTACK_RING_NEAR_H

#include "ring.h"

#include <time.h>

#define RING_NEAR_SIZE_LEAST (1024 * 1024) /* bytes of ring */
#define RING_NEAR_LEAST      192           /* bytes of packet */
#define RING_NEAR_NS         50            /* that a packet takes at most … */
#define RING_NEAR_LINE_NS    10            /* … and each of its lines; far away it is 37 */
#define RING_NEAR_EVERY      256 /* packets: one is tried while they are stored as usual … */
#define RING_FAR_EVERY       256 /* … and while they are not */
#define RING_NEAR_SCORE_MOST 8

static inline uint64_t ring_near_clock(void)
{
    struct timespec now;

    ring_fence();
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* A packet of `length` bytes took so long to store. */
static inline void ring_near_note(struct ring_producer *ring, uint32_t length, uint64_t ns)
{
    if (ns > RING_NEAR_NS + (uint64_t)length * RING_NEAR_LINE_NS / RING_ALIGN)
        ring->near_score -= ring->near_score > 0;
    else
        ring->near_score += ring->near_score < RING_NEAR_SCORE_MOST;
}

/* Whether most trials took long. */
static inline bool ring_is_far(const struct ring_producer *ring)
{
    return ring->near_score < RING_NEAR_SCORE_MOST / 2;
}

/* Whether there is a choice, for packets of `length` bytes. */
static inline bool ring_near_has_choice(const struct ring_producer *ring, uint32_t length)
{
    return length >= RING_NEAR_LEAST && ring->size >= RING_NEAR_SIZE_LEAST;
}

/* Whether the next packet, of `length` bytes, is to be stored as usual, and then ring_near_end() called. */
static inline bool ring_near_begin(struct ring_producer *ring, uint32_t length)
{
    bool far;

    if (!ring_near_has_choice(ring, length))
        return false;
    far = ring_is_far(ring);
    ring->trial_ns = 0;
    if (__builtin_expect(++ring->near_turn >= (far ? RING_FAR_EVERY : RING_NEAR_EVERY), 0)) {
        ring->near_turn = 0;
        ring->trial_ns = ring_near_clock();
        return true;
    }
    return !far;
}

static inline void ring_near_end(struct ring_producer *ring, uint32_t length)
{
    if (__builtin_expect(ring->trial_ns != 0, 0)) {
        ring_near_note(ring, length, ring_near_clock() - ring->trial_ns);
        ring->trial_ns = 0;
    }
}

#endif
