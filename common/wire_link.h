/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory of a wire: a link in shared memory between two switches, or a switch and a generator
 * (doc/protocol.md draws it, wire_meeting.h tells how two ends find each other).
 *
 *   control   one ring_control for each direction and queue; both ends write
 *   data 0    the rings that end 0 writes, one for each queue; end 1 has it without the right to write
 *   data 1    the same of end 1
 *
 * Each is a memfd, sealed against shrinking. That nobody but its sender can write a frame is what
 * lets a switch put a frame together and validate it right in the ring.
 *
 * Positions, flags and wake-ups are those of ring.h. A record is a header of four bytes and the
 * Ethernet frame, without its check sequence, behind it: the smallest frame (60 bytes) and its
 * header fill exactly one cache line.
 *
 *   0          4
 *   ├──────────┼──────────────────── … ──┬ ─ ─ ┐
 *   │ length,  │ Ethernet frame          │ to the next multiple of 64
 *   │ flags    │                         │     │
 *   └──────────┴──────────────────── … ──┴ ─ ─ ┘
 *
 * What an end may leave to the other, as a driver leaves it to a device (ethtool(8): tx, tso):
 *
 *   PARTIAL  the transport checksum, which is then the sum of the pseudo-header, as in RECORD_CHECKSUM_PARTIAL.
 *            A flag alone, so it takes no room.
 *   LARGE    and to cut: a TCP packet of up to 64 KB. Four bytes of marks come before its frame, and
 *            `length` counts them:
 *
 *   0          4              6        8
 *   ├──────────┼──────────────┼────────┼──────────────────── … ──┬ ─ ─ ┐
 *   │ length,  │ payload of   │ zero   │ Ethernet frame          │     │
 *   │ LARGE    │ each segment │        │                         │     │
 *   └──────────┴──────────────┴────────┴──────────────────── … ──┴ ─ ─ ┘
 *
 * Where its headers end is not said: whoever receives it may not believe that, and finds it anyway.
 *
 * Each end says what may be left to it in `control`, in the line of the ring that it writes for queue 0
 * (struct wire_abilities), before the other looks there: end 0 before the OFFER, end 1 before the
 * ACCEPT. Nothing there, or another version: nothing may be left to it. What both say is agreed for
 * as long as the link lives. A record that says more breaks the link.
 *
 * Neither end believes the other: indices are checked as in ring.h, and a record's header is read
 * once. What is broken means that the link is down. */
#ifndef MULTISTACK_WIRE_LINK_H
#define MULTISTACK_WIRE_LINK_H

#include "ring.h"

/* Bytes of each direction and queue. Waking the other end takes 50 us and more, and in that time a wire at
 * 20 Gbit/s carries 128 KB: a ring holds some such times, so that neither end runs empty, or full, while the
 * other one wakes. (In 256 KB there is room for seven large sends of 32 KB, and both processors sleep part of the
 * time.) The default; whoever has long frames and both processors awake does better with more (stream.h). */
#define WIRE_RING_SIZE     (1024 * 1024)
#define WIRE_QUEUES_MAX    16
#define WIRE_RING_SIZE_MIN (64 * 1024)
#define WIRE_RING_SIZE_MAX (16 * 1024 * 1024)
#define WIRE_MTU_DEFAULT   1500 /* bytes of IP packet */
#define WIRE_MTU_MIN       576
#define WIRE_MTU_MAX       9216

#define WIRE_HEADER_SIZE    4
#define WIRE_RECORD_PAD     0x80000000u /* no frame: skip to the end of the ring */
#define WIRE_RECORD_PARTIAL 0x40000000u
#define WIRE_RECORD_LARGE   0x20000000u /* PARTIAL goes without saying, and is not set */
#define WIRE_RECORD_UNKNOWN 0x1ffc0000u /* not set */
#define WIRE_LENGTH_MASK    0x0003ffffu /* bytes behind the header */

struct wire_marks {
    uint16_t segment_size; /* bytes of TCP payload of each segment but the last */
    uint16_t zero;
};
static_assert(sizeof(struct wire_marks) == 4, "the frame lies as in any other record, modulo 4");

#define WIRE_LARGE_FRAME_MAX (14 + 65535) /* Ethernet header, longest IP packet */
/* A ring holds at least two of the longest records: one always fits, wherever its end is. */
#define WIRE_LARGE_RING_MIN (256 * 1024)

enum wire_ability {
    WIRE_CAN_CHECKSUM = 0x1, /* takes PARTIAL */
    WIRE_CAN_SEGMENT = 0x2,  /* takes LARGE; not without the other */
};

#define WIRE_ABILITIES_VERSION 1
#define WIRE_ABILITIES_PLACE   64 /* in producer_line: far from what changes */

struct wire_abilities {
    uint32_t version;
    uint32_t bits; /* enum wire_ability; those that are not known do not count */
};

/* What both ends agree on. */
struct wire_geometry {
    uint32_t end; /* ours: 0 or 1 */
    uint32_t queues;
    uint32_t ring_size; /* bytes, a power of two */
    uint32_t abilities; /* enum wire_ability, of both ends */
};

/* What remains of `abilities` in rings of that size. */
static inline uint32_t wire_abilities_fit(uint32_t abilities, uint32_t ring_size)
{
    if (!(abilities & WIRE_CAN_CHECKSUM))
        return 0;
    if (ring_size < WIRE_LARGE_RING_MIN)
        return WIRE_CAN_CHECKSUM;
    return abilities & (WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT);
}

static inline uint64_t wire_control_size(uint32_t queues)
{
    uint64_t size = 2ULL * queues * sizeof(struct ring_control);

    return (size + PORT_PAGE_SIZE - 1) & ~(uint64_t)(PORT_PAGE_SIZE - 1);
}

/* The control of the ring that `end` writes for `queue`. */
static inline uint64_t wire_control_offset(const struct wire_geometry *geometry, uint32_t end,
                                           uint32_t queue)
{
    return ((uint64_t)end * geometry->queues + queue) * sizeof(struct ring_control);
}

/* Where `end` says what it is able to. */
static inline uint64_t wire_abilities_offset(const struct wire_geometry *geometry, uint32_t end)
{
    return wire_control_offset(geometry, end, 0) + offsetof(struct ring_control, producer_line) +
           WIRE_ABILITIES_PLACE;
}

static inline uint64_t wire_data_size(const struct wire_geometry *geometry)
{
    return (uint64_t)geometry->queues * geometry->ring_size;
}

/* Bytes of ring that a frame of `length` bytes takes. */
static inline uint32_t wire_stride(uint32_t length)
{
    return (length + WIRE_HEADER_SIZE + RING_ALIGN - 1) & ~(uint32_t)(RING_ALIGN - 1);
}

/* Frames are put together in private memory, as whole records, and then copied line by line, past the
 * cache (stream.h). So nothing is ever patched in the ring, but for the header of a record of a thousand
 * lines, which is put together where it is to lie. */
struct wire_record {
    uint32_t header;
    uint8_t frame[];
};

typedef uint64_t wire_piece __attribute__((vector_size(16), may_alias));

static inline void wire_copy_line(uint8_t *to, const uint8_t *from)
{
    wire_piece *out = (wire_piece *)to;
    const wire_piece *in = (const wire_piece *)from;
    const wire_piece a = in[0], b = in[1], c = in[2], d = in[3];

    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* Whether a frame of `length` bytes fits, as far as was known at the last refresh. */
static inline bool wire_has_room(const struct ring_producer *ring, uint32_t length)
{
    uint32_t stride = wire_stride(length);
    uint32_t to_end = ring->size - (ring->tail & (ring->size - 1));

    return ring_producer_room(ring) >= (stride > to_end ? to_end + stride : stride);
}

/* Where a record with `length` bytes behind its header (at most half of the ring) may
 * be written, its header too, or NULL: no room. */
static inline uint8_t *wire_reserve(struct ring_producer *ring, uint32_t length)
{
    uint32_t stride = wire_stride(length);
    uint32_t place = ring->tail & (ring->size - 1);
    uint32_t to_end = ring->size - place;

    if (!wire_has_room(ring, length))
        return NULL;
    if (stride > to_end) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has data */
        *(uint32_t *)(ring->data + place) = (to_end - WIRE_HEADER_SIZE) | WIRE_RECORD_PAD;
        ring->tail += to_end;
        place = 0;
    }
    return ring->data + place;
}

/* Closes the record reserved last. */
static inline void wire_commit(struct ring_producer *ring, uint32_t length)
{
    ring->tail += wire_stride(length);
}

/* Puts a record into the ring that lies in private memory, aligned to a line and up to the end of its
 * last line, with its header, past the cache (stream.h). False: no room. */
static inline bool wire_put(struct ring_producer *ring, const struct wire_record *record)
{
    uint32_t length = record->header & WIRE_LENGTH_MASK;
    uint32_t stride = wire_stride(length);
    uint8_t *place = wire_reserve(ring, length);

    if (!place)
        return false;
    stream_to_end(place, (const uint8_t *)record, stride);
    wire_commit(ring, length);
    return true;
}

/* Makes everything committed visible. True: the other end sleeps, and is to be woken. */
static inline bool wire_publish(struct ring_producer *ring)
{
    stream_fence();
    return ring_producer_publish(ring);
}

/* Steps over one record: *header is private, and what is behind it stays in memory that the other end
 * can go on changing. *record is where its header lies. Flags are left to the caller. */
static inline enum ring_next wire_next_marked(struct ring_consumer *ring, uint32_t *header,
                                              const uint8_t **record)
{
    for (int pads = 0; pads < 2; pads++) {
        uint32_t ready = ring->tail - ring->head;
        uint32_t place = ring->head & (ring->size - 1);
        uint32_t to_end = ring->size - place;
        uint32_t stride;

        if (ready == 0)
            return RING_NEXT_EMPTY;
        *header = *(const volatile uint32_t *)(ring->data + place);
        stride = wire_stride(*header & WIRE_LENGTH_MASK);
        if (stride > ready || stride > to_end)
            return RING_NEXT_BROKEN;
        ring->head += stride;
        if (*header & WIRE_RECORD_PAD) {
            if (stride != to_end)
                return RING_NEXT_BROKEN;
            continue; /* a frame or nothing follows */
        }
        *record = ring->data + place;
        return RING_NEXT_PACKET;
    }
    return RING_NEXT_BROKEN;
}

/* The same for an end to which nothing may be left: *length is private, the frame stays there. */
static inline enum ring_next wire_next(struct ring_consumer *ring, uint32_t *length,
                                       const uint8_t **frame)
{
    const uint8_t *record;
    enum ring_next next = wire_next_marked(ring, length, &record);

    if (next != RING_NEXT_PACKET)
        return next;
    *frame = record + WIRE_HEADER_SIZE;
    return *length & ~WIRE_LENGTH_MASK ? RING_NEXT_BROKEN : RING_NEXT_PACKET;
}

#endif
