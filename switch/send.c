/* SPDX-License-Identifier: BSD-2-Clause */
/* send.h: where a packet goes that may go. */
#include "send.h"

#include "checksum.h"
#include "core.h"
#include "forward.h"
#include "segment.h"
#include "validate.h"

static struct worker_queue *queue_of_loopback(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        if (worker->queues[i].queue->nic->is_loopback)
            return &worker->queues[i];
    }
    return NULL;
}

struct worker_queue *send_likely_queue(struct worker *worker, const struct port_ring *ring)
{
    struct worker_queue *queue = NULL;

    if (ring->hop && ring->hop->state == NEXT_HOP_LOCAL)
        return queue_of_loopback(worker); /* another NIC that is full is none of its business */
    if (ring->hop && ring->hop->state == NEXT_HOP_READY)
        queue = worker_queue_of(worker, ring->hop->nic);
    if (!queue && worker->queue_count)
        queue = &worker->queues[0];
    return queue;
}

/* Frames that go another way than those that `room` counts. */
static bool is_large(const struct nic *nic, uint32_t length)
{
    return nic->capabilities && length > nic->large_min;
}

uint8_t *send_reserve(struct worker_queue *queue, uint32_t length)
{
    const struct nic *nic = queue->queue->nic;
    bool large = is_large(nic, length);
    uint8_t *frame;

    if (length > nic->frame_max || (!large && !queue->room))
        return NULL;
    frame = queue->queue->ops->reserve(queue->queue, length);
    if (!frame && !large)
        queue->room = 0;
    return frame;
}

bool send_goes_whole(const struct worker_queue *queue, const struct ring_record *record)
{
    if (!(record->flags & RECORD_SEGMENT))
        return true;
    return (queue->queue->nic->capabilities & NIC_CAN_SEGMENT) &&
           is_large(queue->queue->nic, ETHER_HEADER_SIZE + record->length);
}

/* Bytes. A NIC that settles has the packet copied by the kernel, later: to refer to it saves a copy, whatever
 * its length. One that does not copies it at once either way, and has a way of its own for long ones. */
#define REFER_UNSETTLED_MIN 8192

bool send_may_refer(const struct worker_queue *queue, const struct ring_record *record)
{
    /* another worker's queue (handover.c) has not what its NIC has */
    return queue->queue->nic->capabilities & NIC_CAN_REFER && queue->queue->ops->commit_referring &&
           (queue->queue->ops->settle || record->length >= REFER_UNSETTLED_MIN) &&
           is_large(queue->queue->nic, ETHER_HEADER_SIZE + record->length) &&
           record->flags & (RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL);
}

/* Copies what has been left in the port's memory. */
static void gather(struct outgoing *out)
{
    if (!out->rest)
        return;
    memcpy(out->packet + WORKER_HEAD_SIZE, out->rest, out->view.length - WORKER_HEAD_SIZE);
    out->rest = NULL;
}

bool send_has_room(struct worker_queue *queue, const struct ring_record *record)
{
    uint32_t length = ETHER_HEADER_SIZE + record->length;
    bool whole = send_goes_whole(queue, record);

    if (!whole) {
        length = 1; /* any of those that count */
        /* large sends may have taken some of what they need (a wire has one ring for both) */
        if (queue->queue->nic->capabilities & NIC_CAN_SEGMENT)
            queue->room = queue->queue->ops->room(queue->queue);
    }
    if (!is_large(queue->queue->nic, length) && validate_frame_bound(record) > queue->room)
        return false;
    /* What no frame holds needs no room: it will be dropped. A NIC that sends in two ways may have
     * none in one of them, for the sake of order. */
    return !queue->queue->nic->capabilities || length > queue->queue->nic->frame_max ||
           send_reserve(queue, length);
}

static void commit(struct worker_queue *queue, uint32_t length, const struct nic_offload *offload)
{
    queue->queue->ops->commit(queue->queue, length, offload);
    if (is_large(queue->queue->nic, length))
        queue->stuck_since_ns = 0; /* it takes these again */
    else
        queue->room--;
}

/* Leaves the transport checksum, and the cutting into segments, to others behind this. */
static void make_partial(struct outgoing *out)
{
    uint16_t partial = checksum_fold(packet_pseudo_header(
        out->packet, &out->view, out->view.length - (uint32_t)out->view.transport));

    memcpy(out->packet + packet_checksum_offset(&out->view), &partial, sizeof(partial));
}

static struct nic_offload offload_of(const struct outgoing *out, bool segmented)
{
    const struct packet_view *view = &out->view;
    const struct wire_tcp *tcp = (const struct wire_tcp *)(out->head + view->transport);

    return (struct nic_offload){
        .segment_size = segmented ? out->record.segment_size : 0,
        .header_length = (uint16_t)(ETHER_HEADER_SIZE + view->headers),
        .checksum_start = (uint16_t)(ETHER_HEADER_SIZE + view->transport),
        .checksum_offset = (uint16_t)(packet_checksum_offset(view) - view->transport),
        .family = view->family,
        .congestion_reduced = segmented && (tcp->flags & TCP_CWR),
    };
}

static enum drop_reason send_segments(struct worker_queue *queue, const struct next_hop *hop,
                                      struct outgoing *out)
{
    struct segment_cursor cursor = {
        .whole = out->packet, .view = &out->view, .size = out->record.segment_size};
    uint32_t length;

    while ((length = segment_next_length(&cursor)) != 0) {
        uint8_t *frame = send_reserve(queue, ETHER_HEADER_SIZE + length);

        if (!frame)
            return DROP_TX_NIC_FULL;
        send_write_ether(frame, hop, queue->queue->nic);
        segment_write(&cursor, frame + ETHER_HEADER_SIZE, false);
        commit(queue, ETHER_HEADER_SIZE + length, NULL);
        out->frames++;
    }
    return DROP_NONE;
}

/* The longest IP packet that `out` puts on the wire. */
static uint32_t wire_length(const struct outgoing *out, bool segmented)
{
    return segmented ? (uint32_t)out->view.headers + out->record.segment_size : out->view.length;
}

/* Bytes of a large send that cost as much time as a frame: of 64 KB, as much as eight. Rings take
 * turns by that, so that one that sends large has no more of the worker's time than others. */
#define LARGE_COST 8192

static void commit_referring(struct worker_queue *queue, const struct outgoing *out,
                             const struct nic_offload *offload)
{
    queue->queue->ops->commit_referring(queue->queue, ETHER_HEADER_SIZE + WORKER_HEAD_SIZE,
                                        out->rest, out->view.length - WORKER_HEAD_SIZE, offload);
    if (queue->queue->ops->settle)
        queue->refers = out->ring->refers = true;
    queue->stuck_since_ns = 0;
}

/* In one frame: of the packet's length, or longer where the NIC cuts it. */
static enum drop_reason send_whole(struct worker_queue *queue, const struct next_hop *hop,
                                   struct outgoing *out, bool segmented)
{
    const struct nic *nic = queue->queue->nic;
    uint32_t length = ETHER_HEADER_SIZE + out->view.length;
    bool partial = segmented || (out->record.flags & RECORD_CHECKSUM_PARTIAL);
    uint32_t able = is_large(nic, length) ? NIC_CAN_CHECKSUM : NIC_CAN_CHECKSUM_ANY;
    bool offloaded = partial && nic->capabilities & able;
    struct nic_offload offload;
    uint8_t *frame = out->packet - ETHER_HEADER_SIZE;

    if (!offloaded || out->queue != queue)
        gather(out);
    if (offloaded) {
        make_partial(out);
        offload = offload_of(out, segmented);
    } else if (partial) {
        packet_fill_checksum(out->packet, &out->view);
    }
    if (out->queue != queue) {
        frame = send_reserve(queue, length);
        if (!frame)
            return DROP_TX_NIC_FULL;
        memcpy(frame + ETHER_HEADER_SIZE, out->packet, out->view.length);
    }
    send_write_ether(frame, hop, nic);
    if (out->rest)
        commit_referring(queue, out, &offload);
    else
        commit(queue, length, offloaded ? &offload : NULL);
    out->frames += segmented ? 1 + length / LARGE_COST : 1;
    return DROP_NONE;
}

static enum drop_reason send_to_nic(struct worker *worker, const struct next_hop *hop,
                                    struct outgoing *out)
{
    struct worker_queue *queue = worker_queue_of(worker, hop->nic);
    bool segmented = validate_frame_count(&out->view, &out->record) > 1;
    uint32_t mtu = hop->mtu;

    if (!queue || !queue->queue->nic->up)
        return DROP_TX_NIC_DOWN;
    if (mtu > queue->queue->nic->frame_max - ETHER_HEADER_SIZE)
        mtu = queue->queue->nic->frame_max - ETHER_HEADER_SIZE;
    if (wire_length(out, segmented) > mtu) {
        gather(out);
        deliver_too_big(worker, out->ring->port, out->packet, &out->view, mtu);
        return DROP_TX_TOO_BIG;
    }
    if (segmented && !send_goes_whole(queue, &out->record)) {
        gather(out);
        return send_segments(queue, hop, out);
    }
    return send_whole(queue, hop, out, segmented);
}

/* To the host's own stack, through lo, where nothing has to be cut, and whose MAC address is zero. */
static enum drop_reason send_to_host(struct worker *worker, struct outgoing *out, bool segmented)
{
    const struct next_hop hop = {.family = out->view.family};
    struct worker_queue *queue = queue_of_loopback(worker);

    if (!queue)
        return DROP_TX_LOCAL;
    if (!queue->queue->nic->up)
        return DROP_TX_NIC_DOWN;
    return send_whole(queue, &hop, out, segmented);
}

/* To another stack on this host, or to the sender itself, or to the host's stack. A checksum that was
 * left to the switch becomes that of the pseudo-header, which the receiver takes: nothing can have
 * damaged the packet in between. */
static enum drop_reason send_locally(struct worker *worker, struct outgoing *out)
{
    const struct namespace_table *names = &worker->names;
    struct nic_frame frame = {
        .data = out->packet, .head_length = out->view.length, .length = out->view.length};
    bool segmented = validate_frame_count(&out->view, &out->record) > 1;
    struct packet_view view; /* as the receiver sees it */
    struct delivery delivery = {.frame = &frame, .view = &view, .flags = RECORD_CHECKSUM_PARTIAL};
    struct owner owner = {.port = NULL};

    gather(out);
    if (packet_parse(out->packet, out->view.length, out->view.length, &view) == DROP_NONE) {
        protocols_fit(&worker->core->protocols, &view);
        owner = namespace_owner(names, &view, tuple_hash(&names->bindings.key, &view.local));
    }
    if (!owner.port)
        return send_to_host(worker, out, segmented);
    if (segmented)
        delivery.segment_size = out->record.segment_size;
    if (segmented || (out->record.flags & RECORD_CHECKSUM_PARTIAL))
        make_partial(out);
    delivery.ring = owner.ring;
    deliver(worker, owner.port, &delivery);
    out->frames++;
    return DROP_NONE;
}

static enum drop_reason park(struct worker *worker, struct next_hop *hop, struct outgoing *out)
{
    if (validate_frame_count(&out->view, &out->record) > 1)
        return DROP_TX_UNRESOLVED; /* too long to keep; TCP sends it again */
    gather(out);
    if (out->record.flags & RECORD_CHECKSUM_PARTIAL)
        packet_fill_checksum(out->packet, &out->view);
    if (!parking_add(&worker->parking, hop, out->ring, out->packet, &out->view, worker->now_ns))
        return DROP_TX_UNRESOLVED;
    return DROP_NONE;
}

/* A NIC that goes down takes its routes and neighbours with it. The operator is to hear of the cause,
 * not that there is no route. */
static bool nic_is_down(const struct worker *worker, const struct next_hop *hop)
{
    return hop->by_nic && hop->nic < worker->core->nic_count && !worker->core->nics[hop->nic].up;
}

enum drop_reason send_by_hop(struct worker *worker, struct next_hop *hop, struct outgoing *out)
{
    switch ((enum next_hop_state)hop->state) {
    case NEXT_HOP_READY: return send_to_nic(worker, hop, out);
    case NEXT_HOP_LOCAL: return send_locally(worker, out);
    case NEXT_HOP_UNREACHABLE:
        return nic_is_down(worker, hop) ? DROP_TX_NIC_DOWN : DROP_TX_NO_ROUTE;
    case NEXT_HOP_RESOLVING:
        if (nic_is_down(worker, hop))
            return DROP_TX_NIC_DOWN;
        break;
    case NEXT_HOP_FREE:
    case NEXT_HOP_ASKED: break;
    }
    return park(worker, hop, out);
}
