/* SPDX-License-Identifier: BSD-2-Clause */
/* The data path: packets from NICs to ports (forward_rx.c), from ports to NICs and to other ports
 * (forward_tx.c), and into a port's ring, which is the end of both (deliver.c).
 *
 * A batch at a time. A packet is copied once: from the NIC's frame into the receiver's ring, or from
 * the sender's ring into the NIC's frame, where the sender cannot reach it, and is validated there (of a
 * large send the headers; its payload is left to who takes the frame: nic.h).
 * Nothing here allocates, waits, or trusts shared memory. */
#ifndef MULTISTACK_SWITCH_FORWARD_H
#define MULTISTACK_SWITCH_FORWARD_H

#include "worker.h"

/* Takes a batch from a NIC queue and publishes what was delivered. Returns the frames taken. */
uint32_t forward_receive(struct worker *worker, struct worker_queue *queue);

/* A fragment on its way to its datagram, by this worker or handed over by another. The IP header
 * starts `offset` bytes into the frame; `queue` is this worker's of the NIC that it came by, where
 * drops are counted. `flags`: of the record, should it make the datagram whole. */
void forward_fragment(struct worker *worker, struct worker_queue *queue,
                      const struct nic_frame *frame, uint32_t offset, uint16_t flags);

/* Serves each active ring once, within its budget; flushes NICs, publishes rings. Not 0: there
 * was work. */
uint32_t forward_transmit(struct worker *worker);

/* The state of a next hop changed: what waits for it goes, or is dropped. */
void forward_unpark(struct worker *worker, struct next_hop *hop);
/* What waits for a neighbour that the kernel could not find is dropped. */
void forward_give_up(struct worker *worker, struct next_hop *hop);
/* What waits too long is dropped. */
void forward_expire(struct worker *worker);
/* What a port has parked is dropped: it closes. */
void forward_forget(struct worker *worker, const struct port *port);

/* A packet on its way into a port. */
struct delivery {
    const struct nic_frame *frame;
    uint32_t offset; /* where the IP packet starts in the frame's first piece */
    const struct packet_view *view;
    uint16_t flags;        /* of the record: RECORD_CHECKSUM_PARTIAL */
    uint32_t ring;         /* as in struct owner */
    uint16_t segment_size; /* not 0: merged from (or to be cut into) segments of that payload */
    bool stays;            /* the frame is there until deliver_publish(): it may be copied then */
};

/* `length` bytes of a frame from `offset` on, wherever they lie. */
void frame_gather(uint8_t *to, const struct nic_frame *frame, uint32_t offset, uint32_t length);

/* Copies a packet into the ring of `port` that its binding or its flow belongs to, to be published
 * with the batch.
 * A merged packet for a port that takes none (or whose ring cannot hold it) is cut. DROP_NONE, or
 * why not; the drop is counted at the port. Where another worker serves that ring, it gets the
 * packet. */
enum drop_reason deliver(struct worker *worker, struct port *port, const struct delivery *delivery);

/* Asks for the memory that the next packet for an owner is written to, which must be near already, and
 * returns the ring, for all packets of the batch that the owner has: NULL where the flow has to be known first, another
 * worker serves it, or its port is broken. */
struct port_ring *deliver_prefetch(const struct worker *worker, const struct owner *owner);

/* A packet in one piece that stays where it is until deliver_publish(), no longer than the MTU, into
 * a ring that deliver_prefetch() gave. False: deliver() has to look at it; nothing was done. */
bool deliver_simple(struct worker *worker, struct port_ring *ring, const uint8_t *packet,
                    uint32_t length, uint16_t flags);

/* The same of a packet in a frame of two pieces, the Ethernet header and more in the first; at most NIC_BATCH of them
 * until deliver_publish(). */
bool deliver_in_two(struct worker *worker, struct port_ring *ring, const struct nic_frame *frame,
                    uint32_t length, uint16_t flags);

/* As deliver(), into one ring, which is this worker's. */
enum drop_reason deliver_to_ring(struct worker *worker, struct port_ring *ring,
                                 const struct delivery *delivery);

/* Publishes each ring that deliver() touched, and wakes who sleeps. */
void deliver_publish(struct worker *worker);

/* Tells the sender of a packet, as a router would, that it is larger than `mtu` (RFC 1191, RFC
 * 8201). Limited in rate. */
void deliver_too_big(struct worker *worker, struct port *port, const uint8_t *packet,
                     const struct packet_view *view, uint32_t mtu);

#endif
