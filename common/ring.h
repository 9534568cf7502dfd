/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a ring (port_layout.h draws it). Used by both sides, for both directions.
 *
 * Producer: ring_producer_reserve() → write the packet → ring_producer_commit(), as often as
 * wanted, then ring_producer_publish() once for the batch; if it says so, wake the consumer.
 *
 * Who writes later takes ring_producer_place() and ring_producer_keep() instead. Where many rings are
 * published together, each is shown (ring_producer_show(), ring_consumer_give_back()), one fence
 * serves all, and then each is asked whether somebody sleeps (ring_producer_must_wake(),
 * ring_consumer_must_wake()): a fence costs as much as a packet.
 *
 * Consumer: ring_consumer_refresh() once for the batch, ring_consumer_next() for each record, then
 * ring_consumer_release() once; if it says so, wake the producer.
 *
 * Each end keeps its own position and the last one seen of the other in private memory. The other
 * side's index is checked on every read: a distance that no honest peer can cause makes the call
 * return false, and the owner of the ring gives the peer up. Nothing here loops over more than one
 * record. */
#ifndef MULTISTACK_RING_H
#define MULTISTACK_RING_H

#include "port_layout.h"
#include "stream.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define RING_COPY_INLINE 256 /* bytes; what is longer is left to memcpy(3) */

/* How far ahead a producer asks for cache lines: more than one line takes to come from another core
 * (100 ns), at some 10 ns for a small packet. */
#define RING_PREFETCH (16 * RING_ALIGN)

#define RING_NEAR_SCORE_FIRST 4 /* ring_near.h; the first trial decides */

struct ring_producer {
    struct ring_control *control; /* shared */
    uint8_t *data;                /* shared */
    uint32_t size;
    uint32_t tail;      /* where the next record goes; not yet visible to the consumer */
    uint32_t published; /* tail as the consumer knows it */
    uint32_t head;      /* the consumer's, as last read */
    uint32_t reserved;  /* length that the record at `tail` says already */

    /* How long packets are to be stored (ring_near.h). */
    uint32_t near_score; /* of the last trials */
    uint32_t near_turn;  /* such packets since the last one */
};

struct ring_consumer {
    struct ring_control *control;
    const uint8_t *data;
    uint32_t size;
    uint32_t head;     /* the next record to look at */
    uint32_t released; /* head as the producer knows it */
    uint32_t tail;     /* the producer's, as last read */
    uint32_t asked;    /* lines before it were asked for (ring_consumer_ask()) */
};

/* The orderings, all of them. C11 atomics on plain fields of the shared layout. */
static inline uint32_t ring_load_acquire(const uint32_t *field)
{
    /* pairs with ring_store_release: what the peer wrote before its index is visible after ours */
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static inline void ring_store_release(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

static inline uint32_t ring_load_relaxed(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static inline void ring_store_relaxed(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

/* Between our store and our load of what the peer stores: each side stores, fences, loads, so at
 * least one of the two sees the other's store (Dekker), and no wake-up is lost. */
static inline void ring_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* Asks for a cache line that will be written. __builtin_prefetch(…, 1) asks to read it instead where
 * the compiler may not take PREFETCHW for granted, which for x86-64 it may not; yet every processor
 * of that kind has it, or does nothing. */
static inline void ring_prefetch_write(const void *line)
{
#ifdef __x86_64__
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

static inline void ring_producer_init(struct ring_producer *ring, struct ring_control *control,
                                      void *data, uint32_t size)
{
    *ring = (struct ring_producer){
        .control = control, .data = data, .size = size, .near_score = RING_NEAR_SCORE_FIRST};
}

/* Reads how far the consumer is. False: its index is impossible, the peer is broken or hostile. */
static inline bool ring_producer_refresh(struct ring_producer *ring)
{
    uint32_t head = ring_load_acquire(&ring->control->head);

    if (ring->published - head > ring->size || ring->tail - head > ring->size ||
        (head & (RING_ALIGN - 1)))
        return false;
    ring->head = head;
    return true;
}

static inline uint32_t ring_producer_room(const struct ring_producer *ring)
{
    return ring->size - (ring->tail - ring->head);
}

/* The longest packet that a ring can always take: a record and the padding before it must fit at
 * once. */
static inline uint32_t ring_packet_max(uint32_t size)
{
    return size / 2 - (uint32_t)sizeof(struct ring_record);
}

/* The record that a packet of `length` bytes (at most ring_packet_max()) will be, header first, or
 * NULL when there is no room for it (refresh and try again). Puts a pad record first where the end
 * of the ring is too near. */
static inline uint8_t *ring_producer_place(struct ring_producer *ring, uint32_t length)
{
    uint32_t stride = ring_record_stride(length);
    uint32_t place = ring->tail & (ring->size - 1);
    uint32_t to_end = ring->size - place;

    if (stride > to_end) {
        struct ring_record *pad = (struct ring_record *)(ring->data + place);

        if (ring_producer_room(ring) < to_end + stride)
            return NULL;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has data */
        *pad = (struct ring_record){.length = to_end - (uint32_t)sizeof(*pad), .flags = RECORD_PAD};
        ring->tail += to_end;
        place = 0;
    } else if (ring_producer_room(ring) < stride) {
        return NULL;
    }
    return ring->data + place;
}

/* A record's header as it lies in memory. */
static inline void ring_header_words(const struct ring_record *record, uint64_t words[2])
{
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

    if (little) {
        words[0] =
            record->length | (uint64_t)record->flags << 32 | (uint64_t)record->segment_size << 48;
        words[1] = record->checksum_start | (uint64_t)record->checksum_offset << 16;
    } else {
        words[0] =
            (uint64_t)record->length << 32 | (uint64_t)record->flags << 16 | record->segment_size;
        words[1] = (uint64_t)record->checksum_start << 48 | (uint64_t)record->checksum_offset << 32;
    }
}

/* As two words out of registers, from front to back, each once. A header put together in memory
 * would be read back in another width than it was written in, and wait until all stores before it
 * have reached the cache, those into the rings of other cores among them (40 ns a packet); a
 * compiler left alone clears the header first and then goes back to its fields (see
 * ring_producer_reserve()). */
static inline void ring_write_words(uint8_t *place, const uint64_t words[2])
{
    __atomic_store_n((uint64_t *)place, words[0], __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)place + 1, words[1], __ATOMIC_RELAXED);
}

static inline void ring_write_header(uint8_t *place, const struct ring_record *record)
{
    uint64_t words[2];

    ring_header_words(record, words);
    ring_write_words(place, words);
}

/* A whole record, to where ring_producer_place() says, past the cache (stream.h). ring_producer_keep()
 * closes it; before it is shown comes stream_fence(). */
static inline void ring_stream_record(uint8_t *place, const struct ring_record *record,
                                      const uint8_t *packet)
{
    uint64_t words[2];

    ring_header_words(record, words);
    stream_word(place, words[0]);
    stream_word(place + 8, words[1]);
    stream_to_end(place + sizeof(*record), packet, record->length);
}

/* The same with the header as words, of a packet that was not written just now. */
static inline void ring_stream_settled(uint8_t *place, const uint64_t words[2],
                                       const uint8_t *packet, uint32_t length)
{
    stream_word(place, words[0]);
    stream_word(place + 8, words[1]);
    stream_settled_to_end(place + sizeof(struct ring_record), packet, length);
}

/* The same of a packet that is not in one piece: stream_add() for each, then stream_end(). */
static inline void ring_stream_begin(struct stream_lines *lines, uint8_t *place,
                                     const struct ring_record *record)
{
    uint64_t words[2];

    ring_header_words(record, words);
    stream_begin(lines, place, words);
}
static_assert(RING_ALIGN == STREAM_LINE, "records are whole lines");

/* As ring_producer_place(), where the packet is to be written. The record's header is written at
 * once, as that of a packet of just that length without any marks, and once more by
 * ring_producer_commit() where it turns out otherwise: a line that the other processor has just read
 * is written five times as fast from front to back as with its header last (8 and 37 ns). Whoever
 * writes the packet does well to do the same. */
static inline uint8_t *ring_producer_reserve(struct ring_producer *ring, uint32_t length)
{
    uint8_t *place = ring_producer_place(ring, length);

    if (!place)
        return NULL;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has data */
    ring_write_header(place, &(struct ring_record){.length = length});
    ring->reserved = length;
    /* The consumer has read these lines: have the next ones come back in time. */
    ring_prefetch_write(ring->data + ((ring->tail + RING_PREFETCH) & (ring->size - 1)));
    return place + sizeof(struct ring_record);
}

/* Closes the record reserved last. `record->length` may be less than was reserved. */
static inline void ring_producer_commit(struct ring_producer *ring,
                                        const struct ring_record *record)
{
    if (record->length != ring->reserved || record->flags)
        ring_write_header(ring->data + (ring->tail & (ring->size - 1)), record);
    ring->tail += ring_record_stride(record->length);
}

/* Copies front to back, each byte once. The consumer may look at the line on another core while it
 * is written: each store that comes back to a line costs its way there and back (30 ns measured), and
 * for a small packet a call costs more than the copy. */
static inline void ring_copy(uint8_t *to, const uint8_t *from, uint32_t length)
{
    if (length > RING_COPY_INLINE) {
        memcpy(to, from, length);
        return;
    }
    for (; length >= 16; length -= 16, to += 16, from += 16)
        memcpy(to, from, 16);
    if (length & 8) {
        memcpy(to, from, 8);
        to += 8;
        from += 8;
    }
    if (length & 4) {
        memcpy(to, from, 4);
        to += 4;
        from += 4;
    }
    if (length & 2) {
        memcpy(to, from, 2);
        to += 2;
        from += 2;
    }
    if (length & 1)
        *to = *from;
}

/* Closes the record that ring_producer_place() gave, which is written later: before it is shown. */
static inline void ring_producer_keep(struct ring_producer *ring, uint32_t length)
{
    ring->tail += ring_record_stride(length);
}

/* Takes a "wake me" flag down and says whether it was up. Whoever wakes takes the flag down, so
 * that one sleep costs one wake-up however many batches are published before the sleeper runs. */
static inline bool ring_flag_take(uint32_t *flag)
{
    return ring_load_relaxed(flag) != 0 && __atomic_exchange_n(flag, 0, __ATOMIC_RELAXED) != 0;
}

/* Makes everything committed visible. What follows, behind a ring_fence() after this and after the
 * same of other rings, is ring_producer_must_wake(). */
static inline void ring_producer_show(struct ring_producer *ring)
{
    ring->published = ring->tail;
    ring_store_release(&ring->control->tail, ring->tail);
}

/* True: the consumer sleeps, the caller must wake it. */
static inline bool ring_producer_must_wake(const struct ring_producer *ring)
{
    return ring_flag_take(&ring->control->consumer_sleeps);
}

/* Makes everything committed visible. True: the consumer sleeps, the caller must wake it. */
static inline bool ring_producer_publish(struct ring_producer *ring)
{
    if (ring->published == ring->tail)
        return false;
    ring_producer_show(ring);
    ring_fence();
    return ring_producer_must_wake(ring);
}

/* Asks to be woken when half of the ring is free. False: there is room for `length` bytes already. */
static inline bool ring_producer_wait(struct ring_producer *ring, uint32_t length)
{
    ring_store_relaxed(&ring->control->producer_waits, 1);
    ring_fence();
    if (ring_producer_refresh(ring) && ring_producer_room(ring) >= 2 * ring_record_stride(length)) {
        ring_store_relaxed(&ring->control->producer_waits, 0);
        return false;
    }
    return true;
}

static inline void ring_consumer_init(struct ring_consumer *ring, struct ring_control *control,
                                      const void *data, uint32_t size)
{
    *ring = (struct ring_consumer){.control = control, .data = data, .size = size};
}

/* Reads how far the producer is. False: its index is impossible, the peer is broken or hostile. */
static inline bool ring_consumer_refresh(struct ring_consumer *ring)
{
    uint32_t tail = ring_load_acquire(&ring->control->tail);

    if (tail - ring->released > ring->size || (tail & (RING_ALIGN - 1)) ||
        tail - ring->released < ring->tail - ring->released)
        return false;
    ring->tail = tail;
    return true;
}

/* Asks for the lines of what was published from the position `from` on, up to `distance` bytes of it, each
 * once: records of several lines are read at the pace at which lines come, not each record's first one
 * waited for, which alone says where the next record is. */
static inline void ring_consumer_ask(struct ring_consumer *ring, uint32_t from, uint32_t distance)
{
    uint32_t ready = ring->tail - from;
    uint32_t until = from + (ready < distance ? ready : distance);

    if ((int32_t)(ring->asked - from) < 0)
        ring->asked = from;
    for (; (int32_t)(until - ring->asked) > 0; ring->asked += RING_ALIGN)
        __builtin_prefetch(ring->data + (ring->asked & (ring->size - 1)), 0, 2);
}

enum ring_next {
    RING_NEXT_PACKET, /* *record and *packet are set */
    RING_NEXT_EMPTY,  /* nothing more was published at the last refresh */
    RING_NEXT_BROKEN, /* the record reaches beyond what was published */
};

/* Steps over one record. The header is read once into *record, which is the caller's to trust; the
 * packet stays in shared memory, where a hostile producer can go on changing it: copy, then check.
 */
static inline enum ring_next ring_consumer_next(struct ring_consumer *ring,
                                                struct ring_record *record, const uint8_t **packet)
{
    for (int pads = 0; pads < 2; pads++) {
        uint32_t ready = ring->tail - ring->head;
        uint32_t place = ring->head & (ring->size - 1);
        uint32_t to_end = ring->size - place;
        const volatile struct ring_record *shared =
            (const volatile struct ring_record *)(ring->data + place);
        uint32_t stride;

        if (ready == 0)
            return RING_NEXT_EMPTY;
        record->length = shared->length;
        record->flags = shared->flags;
        record->segment_size = shared->segment_size;
        record->checksum_start = shared->checksum_start;
        record->checksum_offset = shared->checksum_offset;
        record->reserved = 0;
        if (record->length > ready || record->length > to_end)
            return RING_NEXT_BROKEN;
        stride = ring_record_stride(record->length);
        if (stride > ready || stride > to_end)
            return RING_NEXT_BROKEN;
        if (record->flags & RECORD_PAD) {
            if (stride != to_end)
                return RING_NEXT_BROKEN;
            ring->head += stride;
            continue; /* a packet or nothing follows; two pads in a row are no honest producer's */
        }
        *packet = ring->data + place + sizeof(struct ring_record);
        ring->head += stride;
        return RING_NEXT_PACKET;
    }
    return RING_NEXT_BROKEN;
}

/* As ring_producer_show(), for what was stepped over. */
static inline void ring_consumer_give_back(struct ring_consumer *ring)
{
    ring->released = ring->head;
    ring_store_release(&ring->control->head, ring->head);
}

/* True: the producer waits, and half of the ring is free; the caller must wake it. It is not woken for
 * less: it would fill a batch's room and wait again, at a wake-up for each batch, which costs as much
 * as sending ten packets. Until then records are left in the ring, so this will be asked again. */
static inline bool ring_consumer_must_wake(const struct ring_consumer *ring)
{
    return ring->tail - ring->released <= ring->size / 2 &&
           ring_flag_take(&ring->control->producer_waits);
}

/* Gives everything stepped over back to the producer. True: the caller must wake it, as above. */
static inline bool ring_consumer_release(struct ring_consumer *ring)
{
    if (ring->released == ring->head)
        return false;
    ring_consumer_give_back(ring);
    ring_fence();
    return ring_consumer_must_wake(ring);
}

/* Says that this side is about to sleep. False: something was published meanwhile, do not sleep
 * (and the flag is down again). A broken index also makes it false: the next refresh reports it. */
static inline bool ring_consumer_sleep(struct ring_consumer *ring)
{
    ring_store_relaxed(&ring->control->consumer_sleeps, 1);
    ring_fence();
    if (ring_load_acquire(&ring->control->tail) != ring->head) {
        ring_store_relaxed(&ring->control->consumer_sleeps, 0);
        return false;
    }
    return true;
}

static inline void ring_consumer_wake(struct ring_consumer *ring)
{
    ring_store_relaxed(&ring->control->consumer_sleeps, 0);
}

#endif
