/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a producer does better to store a long packet as usual, or past its cache (stream.h).
 *
 * That depends on what it cannot choose: whether its processor and the consumer's have a cache in common. Two
 * virtual ones do at one time and do not a minute later, as their host moves them. Where they have one, packets
 * stored as usual are there sooner; where they have none, each of their lines is waited for, and past the cache
 * 1,024 bytes were three times as fast through a port's ring and a wire's, whatever the size of the rings and
 * the number of ports.
 *
 * So it is tried: now and then the producer measures how long it takes to read the one line that the consumer
 * writes for each batch, its index. From a cache in common that takes 20 to 50 ns, from another processor's 80 to
 * 160; where it takes next to nothing the line was here already, which says nothing. What most of the last
 * trials said is done. (The time in which a packet of several lines is stored does not tell the two apart: the
 * lines come beside each other, and how many depends on where they were; 160 to 340 ns far away, up to 240 near.)
 *
 * Packets of a line or three go past the cache without a trial. */
#ifndef MULTISTACK_RING_NEAR_H
#define MULTISTACK_RING_NEAR_H

#include "ring.h"

#include <time.h>

#define RING_NEAR_LEAST      192 /* bytes of packet */
#define RING_NEAR_EVERY      256 /* such packets between two trials, at least */
#define RING_NEAR_TRIES      4   /* of which each may find that the line is here … */
#define RING_NEAR_LOOKS      16  /* … or that the consumer has not moved: full rings stay cheap */
#define RING_NEAR_CACHED_NS  14  /* the line was here: not a trial */
#define RING_NEAR_NS         60  /* it came from a cache in common, at most */
#define RING_NEAR_SCORE_MOST 8

static inline uint64_t ring_near_clock(void)
{
    struct timespec now;

    ring_fence();
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* Nothing was learnt: it is tried again, but not for ever (the consumer may run on this processor). */
static inline void ring_near_miss(struct ring_producer *ring, uint32_t tries)
{
    ring->near_turn += RING_NEAR_EVERY / tries;
    if (ring->near_turn >= 2 * RING_NEAR_EVERY)
        ring->near_turn = 0;
}

/* The consumer's line took so much longer to read than one that is here. */
static inline void ring_near_note(struct ring_producer *ring, uint64_t ns)
{
    if (ns <= RING_NEAR_CACHED_NS) {
        ring_near_miss(ring, RING_NEAR_TRIES);
        return;
    }
    ring->near_turn = 0;
    if (ns > RING_NEAR_NS)
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
static inline bool ring_near_has_choice(uint32_t length)
{
    return length >= RING_NEAR_LEAST;
}

/* Whether the next packet, of `length` bytes, is to be stored as usual. */
static inline bool ring_near_begin(struct ring_producer *ring, uint32_t length)
{
    if (!ring_near_has_choice(length))
        return false;
    ring->near_turn++;
    return !ring_is_far(ring);
}

/* Whether the next ring_near_look() is a trial: then the consumer's line is not to be asked for. */
static inline bool ring_near_is_due(const struct ring_producer *ring)
{
    return __builtin_expect(ring->near_turn >= RING_NEAR_EVERY, 0);
}

static __attribute__((noinline, unused)) void ring_near_try(struct ring_producer *ring)
{
    uint64_t first, second, third;
    uint32_t head;

    first = ring_near_clock();
    head = ring_load_acquire(&ring->control->head);
    second = ring_near_clock();
    (void)ring_load_acquire(&ring->control->head);
    third = ring_near_clock();
    if (head == ring->head)
        ring_near_miss(ring, RING_NEAR_LOOKS);
    else
        ring_near_note(ring,
                       second - first > third - second ? second - first - (third - second) : 0);
}

/* Before a batch is shown, and before ring_producer_refresh(): those read the consumer's line, and where that
 * has just been done there is nothing to learn. */
static inline void ring_near_look(struct ring_producer *ring)
{
    if (ring_near_is_due(ring))
        ring_near_try(ring);
}

#endif
