/* SPDX-License-Identifier: BSD-2-Clause */
/* What an impaired wire does to the frames that one end sends: loses, corrupts, duplicates and
 * reorders some, and carries the others at a rate and with a delay.
 *
 *   commit ─► lost? ─► corrupted? ─► reordered? ─► duplicated? ─► rate ─► delay ─► next
 *                                      │    ▲
 *                                      └held┘
 *
 * Which frames: decided by the seed, the queue and the frame's number in it alone, so the same seed
 * does the same to the same frames however fast they come. A reordered frame is held until one to
 * REORDER_MOST others have passed it, or until IMPAIR_HOLD_NS is over: the last frame of a
 * conversation has nobody to pass it.
 *
 * When: in virtual time, that of the caller. The rate is that of a line: 24 bytes of preamble, check
 * sequence and gap go with each frame. In front of the line a buffer takes what comes faster, for
 * IMPAIR_BUFFER_NS or 64 KiB, whichever is more; what does not fit is dropped, as a device does.
 *
 * A large send (struct nic_offload) passes whole where only time is at stake, and takes as much of it as its
 * segments would. What picks single frames needs those: then the wire takes no large sends
 * (impairment_cuts()). Nor does it at a low rate, where one would arrive as a lump that no line brings.
 *
 * All of it happens in private memory, before a frame lies where the other end can read it. */
#ifndef MULTISTACK_NIC_WIRE_IMPAIR_H
#define MULTISTACK_NIC_WIRE_IMPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "nic.h"
#include "wire_link.h"

#define IMPAIR_CERTAIN      UINT32_MAX /* a probability of 1; 0 is never */
#define IMPAIR_NEVER        UINT64_MAX
#define IMPAIR_FRAME_MAX    9280 /* bytes: WIRE_MTU_MAX and an Ethernet header */
#define IMPAIR_ROOM         256
#define IMPAIR_HOLD_NS      5000000ULL
#define IMPAIR_BUFFER_NS    50000000ULL
#define IMPAIR_REORDER_MOST 8
#define IMPAIR_WHOLE_RATE   1000000000ULL /* bits/s: 64 KB take half a millisecond */

struct impairment {
    uint64_t rate;     /* bits per second; 0: no limit */
    uint64_t delay_ns; /* one way */
    uint64_t seed;
    uint32_t loss, reorder, duplicate, corrupt; /* in IMPAIR_CERTAIN */
};

struct impair_counters {
    uint64_t lost, reordered, duplicated, corrupted;
    uint64_t overflowed; /* no room in front of the line */
};

struct impairer;

static inline bool impairment_any(const struct impairment *what)
{
    return what->rate || what->delay_ns || what->loss || what->reorder || what->duplicate ||
           what->corrupt;
}

/* Whether frames have to be single ones, their checksums filled in. */
static inline bool impairment_cuts(const struct impairment *what)
{
    return what->loss || what->reorder || what->duplicate || what->corrupt ||
           (what->rate && what->rate < IMPAIR_WHOLE_RATE);
}

/* A frame at the far end, and what was left to whoever takes it. */
struct impair_frame {
    const uint8_t *bytes;
    uint32_t length;
    uint16_t segment_size; /* 0: nothing to cut */
    bool checksum_partial;
};

/* NULL: no memory. */
struct impairer *impair_create(const struct impairment *what, uint32_t queue);
void impair_destroy(struct impairer *impairer);

/* Where the next frame is to be written: IMPAIR_FRAME_MAX bytes, or WIRE_LARGE_FRAME_MAX where the
 * impairment does not cut; the same until it is committed. */
uint8_t *impair_reserve(struct impairer *impairer);
/* `offload`: NULL, or, where the impairment does not cut, what is left to the other end. */
void impair_commit(struct impairer *impairer, uint32_t length, const struct nic_offload *offload,
                   uint64_t now_ns);

/* The next frame that has arrived at the far end by now. False: none has. It stays until impair_pop(). */
bool impair_next(struct impairer *impairer, uint64_t now_ns, struct impair_frame *frame);
void impair_pop(struct impairer *impairer);
/* Those on their way are lost: they were for a far end that is gone. */
void impair_cut_line(struct impairer *impairer);
/* When the next one will, or IMPAIR_NEVER. */
uint64_t impair_due_ns(const struct impairer *impairer);

const struct impair_counters *impair_counters(const struct impairer *impairer);

#endif
