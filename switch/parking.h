/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that wait for the kernel to resolve where they go: few, and not for long. They were
 * copied and validated before. They point to their ring and their next hop: port_close() takes a
 * port's packets out, and an entry of the next hops that somebody waits for is not given away. */
#ifndef MULTISTACK_SWITCH_PARKING_H
#define MULTISTACK_SWITCH_PARKING_H

#include "packet.h"

#define PARKING_MAX         256 /* packets in all */
#define PARKING_PER_HOP     8
#define PARKING_PACKET_MAX  2048 /* bytes; longer ones are dropped */
#define PARKING_PATIENCE_NS (3 * 1000000000ULL)

struct next_hop;
struct port_ring;

struct parked_packet {
    struct next_hop *hop;
    struct port_ring *ring;
    uint64_t since_ns;
    struct packet_view view;
    uint32_t buffer; /* which of the parking's buffers */
};

/* In the order of arrival. */
struct parking {
    struct parked_packet packets[PARKING_MAX];
    uint32_t count;
    uint8_t (*buffers)[PARKING_PACKET_MAX];
    uint16_t free_buffers[PARKING_MAX];
};

int parking_init(struct parking *parking);
void parking_dispose(struct parking *parking);

/* Copies the packet. False: no room, or too long. */
bool parking_add(struct parking *parking, struct next_hop *hop, struct port_ring *ring,
                 const uint8_t *packet, const struct packet_view *view, uint64_t now_ns);

static inline const uint8_t *parking_bytes(const struct parking *parking,
                                           const struct parked_packet *packet)
{
    return parking->buffers[packet->buffer];
}

/* Takes the packet at `index` out, keeping the others' order. *packet's bytes are valid until the
 * next parking_add(). */
void parking_take(struct parking *parking, uint32_t index, struct parked_packet *packet);

#endif
