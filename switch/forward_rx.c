/* SPDX-License-Identifier: BSD-2-Clause */
/* From a NIC to the ports. In passes over the batch, so that the memory that a pass needs was asked
 * for by the one before: frames, then the namespace, then the rings. */
#include <arpa/inet.h>

#include "core.h"
#include "forward.h"
#include "handover.h"

/* Packets come in runs to one 3-tuple, and what was found for the first of a run is found for all of it. */
struct rx_batch {
    struct nic_frame frames[NIC_BATCH];
    struct packet_view views[NIC_BATCH];
    uint8_t reasons[NIC_BATCH]; /* enum drop_reason */
    uint8_t firsts[NIC_BATCH];  /* of the packet's run: what follows is known of that one alone */
    uint64_t hashes[NIC_BATCH];
    struct owner owners[NIC_BATCH];
    struct port_ring *rings[NIC_BATCH]; /* of this worker; NULL: deliver() finds it */
    uint32_t count;
};
static_assert(NIC_BATCH <= UINT8_MAX, "packets of a batch are counted in bytes");

static enum drop_reason parse_frame(const struct nic_frame *frame, struct packet_view *view)
{
    const struct wire_ether *ether = (const struct wire_ether *)frame->data;
    enum drop_reason reason;

    if (frame->head_length < ETHER_HEADER_SIZE)
        return DROP_RX_UNPARSED;
    if (ether->type == htons(ETHER_TYPE_IPV4) &&
        packet_parse_plain(frame->data + ETHER_HEADER_SIZE, frame->head_length - ETHER_HEADER_SIZE,
                           frame->length - ETHER_HEADER_SIZE, view))
        return DROP_NONE;
    reason = packet_parse(frame->data + ETHER_HEADER_SIZE, frame->head_length - ETHER_HEADER_SIZE,
                          frame->length - ETHER_HEADER_SIZE, view);
    if (reason != DROP_NONE)
        return reason;
    if (ntohs(ether->type) != (view->family == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6))
        return DROP_RX_UNPARSED;
    return DROP_NONE;
}

/* The passes are functions of their own so that each has the registers to itself. */
static __attribute__((noinline)) void parse_batch(const struct worker *worker,
                                                  struct rx_batch *batch)
{
    const struct tuple_table *bindings = &worker->names.bindings;
    const uint32_t count = batch->count;
    const struct tuple *before = NULL;
    uint8_t first = 0;

    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(batch->frames[i].data);
    for (uint32_t i = 0; i < count; i++) {
        struct packet_view *view = &batch->views[i];

        batch->reasons[i] = (uint8_t)parse_frame(&batch->frames[i], view);
        if (batch->reasons[i] != DROP_NONE)
            continue;
        protocols_fit(&worker->core->protocols, view);
        if (!before || !tuple_equal(before, &view->local)) {
            before = &view->local;
            first = (uint8_t)i;
            batch->hashes[i] = tuple_hash(&bindings->key, &view->local);
            tuple_table_prefetch(bindings, batch->hashes[i]);
        }
        batch->firsts[i] = first;
    }
}

static struct owner find_owner(struct worker *worker, const struct nic *nic,
                               const struct packet_view *view, uint64_t hash)
{
    const struct namespace_table *names = &worker->names;
    struct owner owner = {.port = NULL};

    /* 127.0.0.1 and ::1 are this host's, and nobody's on a wire */
    if (packet_is_loopback(view) && !nic->is_loopback)
        return owner;
    owner = namespace_owner(names, view, hash);
    if (!owner.port && crew_catch_up(worker)) /* bound just now */
        owner = namespace_owner(names, view, hash);
    if (owner.port) {
        __builtin_prefetch(owner.port);
        __builtin_prefetch(&owner.port->rings[owner.ring ? owner.ring - 1 : 0].rx);
    }
    return owner;
}

/* Who gets each packet; then the place in his ring. */
static __attribute__((noinline)) void find_owners(struct worker *worker, const struct nic *nic,
                                                  struct rx_batch *batch)
{
    const uint32_t count = batch->count;
    uint8_t found[NIC_BATCH];
    uint32_t found_count = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t first;

        if (batch->reasons[i] != DROP_NONE)
            continue;
        first = batch->firsts[i];
        if (first != i && !batch->owners[first].by_flow) {
            batch->reasons[i] = batch->reasons[first];
            continue;
        }
        batch->firsts[i] = (uint8_t)i;
        batch->owners[i] = find_owner(worker, nic, &batch->views[i], batch->hashes[first]);
        if (batch->owners[i].port)
            found[found_count++] = (uint8_t)i;
        else
            batch->reasons[i] = DROP_RX_NOT_BOUND;
    }
    for (uint32_t i = 0; i < found_count; i++)
        batch->rings[found[i]] = deliver_prefetch(worker, &batch->owners[found[i]]);
}

static enum drop_reason deliver_frame(struct worker *worker, const struct nic *nic,
                                      const struct nic_frame *frame, const struct packet_view *view,
                                      const struct owner *owner, uint16_t flags)
{
    struct delivery delivery = {.frame = frame,
                                .offset = ETHER_HEADER_SIZE,
                                .view = view,
                                .ring = owner->ring,
                                .flags = flags,
                                .stays = true};

    if (frame->segment_size && view->protocol == IP_PROTOCOL_TCP &&
        view->length > (uint32_t)view->headers + frame->segment_size) {
        delivery.segment_size = frame->segment_size;
    } else if (view->length > nic->mtu) {
        /* Only merging makes it longer than the wire carries; and only TCP can be cut again. */
        if (view->protocol != IP_PROTOCOL_TCP || nic->mtu <= view->headers)
            return DROP_RX_TOO_BIG;
        delivery.segment_size = (uint16_t)(nic->mtu - view->headers);
    }
    deliver(worker, owner->port, &delivery); /* counts at the port */
    return DROP_NONE;
}

/* A datagram that was put together: longer than the MTU, and not to be cut. */
static enum drop_reason deliver_datagram(struct worker *worker, struct worker_queue *queue,
                                         const struct nic_frame *frame, struct packet_view *view,
                                         uint16_t flags)
{
    const struct namespace_table *names = &worker->names;
    struct delivery delivery = {.frame = frame, .view = view, .flags = flags};
    uint64_t hash;
    struct owner owner;

    protocols_fit(&worker->core->protocols, view);
    hash = tuple_hash(&names->bindings.key, &view->local);
    owner = namespace_owner(names, view, hash);
    if (!owner.port && crew_catch_up(worker)) /* bound just now */
        owner = namespace_owner(names, view, hash);
    if (!owner.port)
        return DROP_RX_NOT_BOUND;
    if (guard_judge_is_on(worker, queue) && !guard_judge_lets(worker, queue, frame, 0, view))
        return DROP_NONE; /* it has counted */
    delivery.ring = owner.ring;
    deliver(worker, owner.port, &delivery);
    return DROP_NONE;
}

/* It is kept until its datagram is whole, which then goes the way of a packet. */
void forward_fragment(struct worker *worker, struct worker_queue *queue,
                      const struct nic_frame *frame, uint32_t offset, uint16_t flags)
{
    struct nic_frame whole = {.data = NULL};
    struct packet_view view;
    enum drop_reason reason = fragments_take(&worker->fragments, frame, offset, worker->now_ns,
                                             &queue->drops, &whole.data, &whole.length);

    if (reason == DROP_NONE && whole.data) {
        whole.head_length = whole.length;
        reason = packet_parse(whole.data, whole.length, whole.length, &view);
        if (reason == DROP_NONE)
            reason = deliver_datagram(worker, queue, &whole, &view, flags);
    }
    if (reason != DROP_NONE)
        stats_drop(&queue->drops, reason);
}

/* To the worker that puts its datagram together. */
static void take_fragment(struct worker *worker, struct worker_queue *queue,
                          const struct nic_frame *frame)
{
    const struct nic *nic = queue->queue->nic;
    uint16_t flags = nic->is_virtual || frame->checksum_partial ? RECORD_CHECKSUM_PARTIAL : 0;
    uint32_t owner = worker->index, length;
    enum drop_reason reason = DROP_NONE;
    uint64_t hash;

    if (worker->core->worker_count > 1) {
        reason = fragments_hash(&worker->core->key, frame, ETHER_HEADER_SIZE, &hash, &length);
        if (reason == DROP_NONE)
            owner = (uint32_t)((hash >> 32) * worker->core->worker_count >> 32);
    }
    if (owner == worker->index) {
        forward_fragment(worker, queue, frame, ETHER_HEADER_SIZE, flags);
        return;
    }
    reason = handover_fragment(worker, owner, nic->index, frame, length, flags);
    if (reason != DROP_NONE)
        stats_drop(&queue->drops, reason);
}

/* Whether it needs neither cutting nor putting together. */
static inline bool is_simple(const struct nic_frame *frame, const struct packet_view *view,
                             uint32_t mtu)
{
    return (frame->piece_count | frame->segment_size) == 0 && view->length <= mtu;
}

/* Whether it is that but for a second piece, as long frames of a wire have. */
static inline bool is_in_two(const struct nic_frame *frame, const struct packet_view *view,
                             uint32_t mtu)
{
    return frame->piece_count == 1 && frame->segment_size == 0 && view->length <= mtu;
}

uint32_t forward_receive(struct worker *worker, struct worker_queue *queue)
{
    const struct nic_ops *ops = queue->queue->ops;
    const struct nic *nic = queue->queue->nic;
    const uint32_t mtu = nic->mtu;
    const bool is_virtual = nic->is_virtual;
    struct rx_batch batch;
    bool judged;

    batch.count = ops->receive(queue->queue, batch.frames, NIC_BATCH);
    if (!batch.count)
        return 0;
    parse_batch(worker, &batch);
    find_owners(worker, nic, &batch);
    judged = guard_judge_is_on(worker, queue);
    for (uint32_t i = 0; i < batch.count; i++) {
        const struct nic_frame *frame = &batch.frames[i];
        const struct packet_view *view = &batch.views[i];
        enum drop_reason reason = batch.reasons[i];
        uint16_t flags = is_virtual || frame->checksum_partial ? RECORD_CHECKSUM_PARTIAL : 0;
        struct port_ring *ring;

        if (reason == DROP_RX_FRAGMENT_BAD) {
            take_fragment(worker, queue, frame);
            continue;
        }
        if (reason == DROP_NONE) {
            if (judged && !guard_judge_lets(worker, queue, frame, ETHER_HEADER_SIZE, view))
                continue;
            ring = batch.rings[batch.firsts[i]];
            if (ring && is_simple(frame, view, mtu) &&
                deliver_simple(worker, ring, frame->data + ETHER_HEADER_SIZE, view->length, flags))
                continue;
            if (ring && is_in_two(frame, view, mtu) &&
                deliver_in_two(worker, ring, frame, view->length, flags))
                continue;
            reason = deliver_frame(worker, nic, frame, view, &batch.owners[batch.firsts[i]], flags);
        }
        if (reason != DROP_NONE)
            stats_drop(&queue->drops, reason);
    }
    deliver_publish(worker);
    ops->release(queue->queue);
    return batch.count;
}
