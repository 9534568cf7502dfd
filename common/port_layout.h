/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory that the switch and one application share: one region per port.
 *
 *   memfd, created, sized, prefaulted and sealed (SHRINK, GROW, SEAL) by the switch, mapped by both
 *
 *   0            ┌──────────────────────────────┐
 *                │ struct port_region           │ one page; the switch writes it once, before it
 * hands │                              │ the region over, and never reads it again rings_offset
 * ├──────────────────────────────┤ │ struct ring_control  RX, 0   │ four cache lines: who writes
 * which is said below │ struct ring_control  TX, 0   │ │ struct ring_control  RX, 1 … │ data_offset
 * ├──────────────────────────────┤ page-aligned │ RX data of ring 0: rx_size   │ records, written
 * by the switch │ TX data of ring 0: tx_size   │ records, written by the application │ RX data of
 * ring 1 …          │ └──────────────────────────────┘
 *
 * A ring is one direction of one queue pair: a byte ring of records with a single producer and a
 * single consumer. A record is a 16-byte header and the packet right behind it, rounded up to a
 * cache line: a minimum-size packet (46 bytes of IP) with its header fills exactly one line,
 * records of 64 KB go through the same ring, and what lies beside each other in time lies beside
 * each other in memory. There are no descriptors and no free lists: a consumer gives memory back by
 * moving `head`.
 *
 *   data:   │ rec │ rec │ rec │ rec │ … free … │
 *             ▲                   ▲
 *             head (consumer)     tail (producer)
 *
 * Positions are 32-bit byte counts that run freely; `position & (size - 1)` is the place. A record
 * never wraps: where the end of the ring is too near, the producer puts a RECORD_PAD there, whose
 * `length` reaches from behind its header to the end. tail - head is never above size, and always a
 * multiple of RING_ALIGN.
 *
 * Trust. For RX the application believes the switch. For TX the switch believes nothing: it keeps
 * `head` privately (the shared one is output only), reads `tail` once per round, checks the
 * distance, reads each header once into a private copy, checks it, copies the packet, and validates
 * the copy. The same code would do for a hostile switch, with one exception: nothing protects an
 * application from a switch that lies about packets.
 *
 * Waking. Each side may sleep, and says so in its own line: `consumer_sleeps` asks the producer for
 * a write to the ring's eventfd after the next publication, or, of an RX ring, after `wake_packets`
 * packets or `wake_delay_us`, whichever comes first; `producer_waits` asks the consumer for
 * one after it has freed half of the ring. Setting such a flag and then looking again, and
 * publishing and then reading the other's flag, are each separated by a full fence; see ring.h. */
#ifndef MULTISTACK_PORT_LAYOUT_H
#define MULTISTACK_PORT_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_REGION_MAGIC   0x4b54534d /* "MSTK" */
#define PORT_REGION_VERSION 1

#define RING_ALIGN        64         /* bytes; a cache line */
#define RING_SIZE_MIN     (8 * 1024) /* two packets of a wire's usual MTU and more */
#define RING_SIZE_MAX     (64 * 1024 * 1024)
#define RING_SIZE_DEFAULT (512 * 1024)
#define PORT_RINGS_MAX    16
#define PORT_PAGE_SIZE    4096

#define WAKE_DELAY_MOST_US 100000

/* Record flags. Those in RECORD_TX_FLAGS may be set by an application, the others are ignored
 * there. */
#define RECORD_PAD 0x0001 /* not a packet: skip to the end of the ring */
#define RECORD_CHECKSUM_PARTIAL                                                                    \
    0x0002 /* TX: fill in the checksum at checksum_start + checksum_offset.                        \
            * RX: the transport checksum may hold the pseudo-header sum alone,                     \
            * because the sender sits on this machine (design.md, section 7) */
#define RECORD_SEGMENT                                                                             \
    0x0004 /* TX: cut into segments of segment_size bytes of payload.                              \
            * RX: merged from several segments of at most that size */
#define RECORD_TX_FLAGS (RECORD_PAD | RECORD_CHECKSUM_PARTIAL | RECORD_SEGMENT)

struct ring_record {
    uint32_t length; /* bytes of the packet (or padding) behind this header */
    uint16_t flags;
    uint16_t segment_size; /* bytes of transport payload; with RECORD_SEGMENT, else 0 */
    uint16_t
        checksum_start; /* byte of the packet where the sum begins; with RECORD_CHECKSUM_PARTIAL */
    uint16_t checksum_offset; /* from checksum_start to the checksum field */
    uint32_t reserved;        /* 0 */
};
static_assert(sizeof(struct ring_record) == 16,
              "a minimum packet and its header are one cache line");

/* One line for each writer, and an empty one behind each so that the processor's pair-wise prefetch
 * does not make the two sides fight over neighbouring lines. */
struct ring_control {
    /* written by the producer */
    uint32_t tail;           /* bytes published so far */
    uint32_t producer_waits; /* 1: wake me when there is room */
    uint8_t producer_line[120];
    /* written by the consumer */
    uint32_t head;            /* bytes consumed so far */
    uint32_t consumer_sleeps; /* 1: wake me when something is published */
    uint32_t wake_packets;    /* RX: … after so many packets; 0: whatever their number */
    uint32_t wake_delay_us;   /* RX: … or after so long, at most WAKE_DELAY_MOST_US; 0: at once */
    uint32_t consumer_cpu; /* the processor that it ran on lately, counted from 1; 0: not known */
    uint8_t consumer_line[108];
};
static_assert(sizeof(struct ring_control) == 256, "two pairs of cache lines");
static_assert(offsetof(struct ring_control, head) == 128, "the sides do not share a line");

struct port_region {
    uint32_t magic;
    uint32_t version;
    uint32_t ring_count; /* queue pairs, 1 to PORT_RINGS_MAX */
    uint32_t rx_size;    /* bytes of data of each RX ring; a power of two */
    uint32_t tx_size;
    uint32_t rings_offset; /* bytes from the start of the region */
    uint64_t data_offset;
    uint64_t region_size;
};

/* Where things are, computed by both sides from the same four numbers. */
static inline uint64_t port_layout_rings_offset(void)
{
    return PORT_PAGE_SIZE;
}

static inline uint64_t port_layout_data_offset(uint32_t ring_count)
{
    uint64_t end = port_layout_rings_offset() + 2ULL * ring_count * sizeof(struct ring_control);

    return (end + PORT_PAGE_SIZE - 1) & ~(uint64_t)(PORT_PAGE_SIZE - 1);
}

static inline uint64_t port_layout_region_size(uint32_t ring_count, uint32_t rx_size,
                                               uint32_t tx_size)
{
    return port_layout_data_offset(ring_count) +
           (uint64_t)ring_count * ((uint64_t)rx_size + tx_size);
}

static inline uint64_t port_layout_rx_control(uint32_t ring)
{
    return port_layout_rings_offset() + 2ULL * ring * sizeof(struct ring_control);
}

static inline uint64_t port_layout_tx_control(uint32_t ring)
{
    return port_layout_rx_control(ring) + sizeof(struct ring_control);
}

static inline uint64_t port_layout_rx_data(uint32_t ring_count, uint32_t rx_size, uint32_t tx_size,
                                           uint32_t ring)
{
    return port_layout_data_offset(ring_count) + (uint64_t)ring * ((uint64_t)rx_size + tx_size);
}

static inline uint64_t port_layout_tx_data(uint32_t ring_count, uint32_t rx_size, uint32_t tx_size,
                                           uint32_t ring)
{
    return port_layout_rx_data(ring_count, rx_size, tx_size, ring) + rx_size;
}

/* Bytes of ring that a packet of `length` bytes takes. */
static inline uint32_t ring_record_stride(uint32_t length)
{
    return (uint32_t)((sizeof(struct ring_record) + (uint64_t)length + RING_ALIGN - 1) &
                      ~(uint64_t)(RING_ALIGN - 1));
}

#endif
