/* SPDX-License-Identifier: BSD-2-Clause */
/* The second half of the way out: a packet that was copied out of the application's reach, was
 * validated, and whose next hop is known (or asked for), goes
 *
 *   to a NIC, whole or in segments · to a port of this host · to the parking place · or nowhere
 *
 * forward_tx.c is the first half. */
#ifndef MULTISTACK_SWITCH_SEND_H
#define MULTISTACK_SWITCH_SEND_H

#include <arpa/inet.h>

#include "packet.h"
#include "worker.h"

/* A packet on its way out: the worker's private copy. */
struct outgoing {
    struct port_ring *ring;
    struct ring_record record;
    struct packet_view view;
    const uint8_t *head; /* a second copy of its headers, which is what is validated */
    uint8_t *packet;     /* its bytes, behind ETHER_HEADER_SIZE bytes of room */
    const uint8_t
        *rest; /* what follows the first WORKER_HEAD_SIZE of them and has not been copied, still
                                 * in the port's memory; NULL: it is all there */
    struct worker_queue *queue; /* whose reserved frame that is; NULL: scratch memory */
    uint32_t frames;            /* that it became so far; a large send counts by what it costs */
};

/* The queue that a ring's next packet most likely leaves by; NULL: there is none. */
struct worker_queue *send_likely_queue(struct worker *worker, const struct port_ring *ring);

/* A frame of the queue's NIC, not visible to any application; NULL: no room in this round, or
 * longer than the NIC's frames are. */
uint8_t *send_reserve(struct worker_queue *queue, uint32_t length);

/* Whether the queue's NIC takes the record in one frame. */
bool send_goes_whole(const struct worker_queue *queue, const struct ring_record *record);

/* Whether the payload of a record that goes whole may stay where it is until the NIC has taken it. */
bool send_may_refer(const struct worker_queue *queue, const struct ring_record *record);

/* Whether the queue has room for all frames of the record, as far as they are known before it is
 * looked into. */
bool send_has_room(struct worker_queue *queue, const struct ring_record *record);

/* The Ethernet header of a frame. */
static inline void send_write_ether(uint8_t *frame, const struct next_hop *hop,
                                    const struct nic *nic)
{
    struct wire_ether *ether = (struct wire_ether *)frame;

    memcpy(ether->destination, hop->mac, ETHER_ADDRESS_SIZE);
    memcpy(ether->source, nic->mac, ETHER_ADDRESS_SIZE);
    ether->type = htons(hop->family == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6);
}

/* Sends, delivers, parks or drops. DROP_NONE with out->frames of 0: parked. */
enum drop_reason send_by_hop(struct worker *worker, struct next_hop *hop, struct outgoing *out);

#endif
