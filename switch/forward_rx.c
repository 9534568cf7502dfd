/* SPDX-License-Identifier: BSD-2-Clause */
/* From a NIC to the ports. In passes over the batch, so that the memory that a pass needs was asked
 * for by the one before: frames, then the namespace, then the rings. */
#include <arpa/inet.h>

#include "core.h"
#include "forward.h"
#include "handover.h"

struct rx_batch {
    struct nic_frame frames[NIC_BATCH];
    struct packet_view views[NIC_BATCH];
    uint64_t hashes[NIC_BATCH];
    uint8_t reasons[NIC_BATCH]; /* enum drop_reason */
    struct owner owners[NIC_BATCH];
    struct port_ring *rings[NIC_BATCH]; /* of this worker; NULL: deliver() finds it */
    uint32_t count;
};

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

static void parse_batch(const struct worker *worker, struct rx_batch *batch)
{
    const struct tuple_table *bindings = &worker->names.bindings;

    for (uint32_t i = 0; i < batch->count; i++)
        __builtin_prefetch(batch->frames[i].data);
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->reasons[i] = (uint8_t)parse_frame(&batch->frames[i], &batch->views[i]);
        if (batch->reasons[i] != DROP_NONE)
            continue;
        protocols_fit(&worker->core->protocols, &batch->views[i]);
        batch->hashes[i] = tuple_hash(&bindings->key, &batch->views[i].local);
        tuple_table_prefetch(bindings, batch->hashes[i]);
    }
}

/* Who gets each packet; then the place in his ring. */
static void find_owners(struct worker *worker, struct rx_batch *batch)
{
    const struct namespace_table *names = &worker->names;

    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->reasons[i] != DROP_NONE)
            continue;
        batch->owners[i] = namespace_owner(names, &batch->views[i], batch->hashes[i]);
        if (!batch->owners[i].port && crew_catch_up(worker)) /* bound just now */
            batch->owners[i] = namespace_owner(names, &batch->views[i], batch->hashes[i]);
        if (!batch->owners[i].port) {
            batch->reasons[i] = DROP_RX_NOT_BOUND;
            continue;
        }
        __builtin_prefetch(batch->owners[i].port);
        __builtin_prefetch(&batch->owners[i]
                                .port->rings[batch->owners[i].ring ? batch->owners[i].ring - 1 : 0]
                                .rx);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (batch->reasons[i] == DROP_NONE)
            batch->rings[i] = deliver_prefetch(worker, &batch->owners[i]);
    }
}

static enum drop_reason deliver_frame(struct worker *worker, const struct nic *nic,
                                      const struct nic_frame *frame, const struct packet_view *view,
                                      const struct owner *owner, struct port_ring *ring)
{
    struct delivery delivery = {.frame = frame,
                                .offset = ETHER_HEADER_SIZE,
                                .view = view,
                                .ring = owner->ring,
                                .stays = true};
    uint16_t flags = nic->is_virtual || frame->checksum_partial ? RECORD_CHECKSUM_PARTIAL : 0;

    /* 127.0.0.1 and ::1 are this host's, and nobody's on a wire */
    if (packet_is_loopback(view) && !nic->is_loopback)
        return DROP_RX_NOT_BOUND;
    if (ring && !frame->piece_count && !frame->segment_size && view->length <= nic->mtu &&
        deliver_simple(worker, ring, frame->data + ETHER_HEADER_SIZE, view->length, flags))
        return DROP_NONE;
    delivery.flags = flags;
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

uint32_t forward_receive(struct worker *worker, struct worker_queue *queue)
{
    const struct nic_ops *ops = queue->queue->ops;
    struct rx_batch batch;
    bool judged;

    batch.count = ops->receive(queue->queue, batch.frames, NIC_BATCH);
    if (!batch.count)
        return 0;
    parse_batch(worker, &batch);
    find_owners(worker, &batch);
    judged = guard_judge_is_on(worker, queue);
    for (uint32_t i = 0; i < batch.count; i++) {
        enum drop_reason reason = batch.reasons[i];

        if (reason == DROP_RX_FRAGMENT_BAD) {
            take_fragment(worker, queue, &batch.frames[i]);
            continue;
        }
        if (reason == DROP_NONE && judged &&
            !guard_judge_lets(worker, queue, &batch.frames[i], ETHER_HEADER_SIZE, &batch.views[i]))
            continue;
        if (reason == DROP_NONE)
            reason = deliver_frame(worker, queue->queue->nic, &batch.frames[i], &batch.views[i],
                                   &batch.owners[i], batch.rings[i]);
        if (reason != DROP_NONE)
            stats_drop(&queue->drops, reason);
    }
    deliver_publish(worker);
    ops->release(queue->queue);
    return batch.count;
}
