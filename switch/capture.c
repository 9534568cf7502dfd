/* SPDX-License-Identifier: BSD-2-Clause */
/* capture.h */
#include "capture.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "capture_format.h"
#include "core.h"
#include "forward.h"
#include "handover.h"

static_assert((CAPTURE_SOURCES_MAX & (CAPTURE_SOURCES_MAX - 1)) == 0, "query.c counts on it");

/* ── copies ── */

/* A batch has one time of receipt; what is sent has its own. */
static uint64_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* The record is the head and the packet's pieces, gathered into the ring as any packet in pieces is. */
static void copy(struct worker *worker, const struct capture_tap *tap,
                 const struct nic_frame *frame, struct capture_head head)
{
    struct nic_piece pieces[1 + NIC_FRAME_PIECES_MAX];
    const struct nic_frame whole = {
        .data = (const uint8_t *)&head,
        .head_length = sizeof(head),
        .length = (uint32_t)sizeof(head) + frame->length,
        .piece_count = 1 + frame->piece_count,
        .pieces = pieces,
    };
    uint32_t length = frame->length < tap->snap ? frame->length : tap->snap;
    struct packet_view view = {.length = (uint32_t)sizeof(head) + length};
    const struct delivery delivery = {.frame = &whole, .view = &view};
    enum drop_reason reason;

    head.length = frame->length;
    head.source = tap->source;
    pieces[0] = (struct nic_piece){.data = frame->data, .length = frame->head_length};
    for (uint32_t i = 0; i < frame->piece_count; i++)
        pieces[1 + i] = frame->pieces[i];
    reason = deliver_to_ring(worker, tap->to, &delivery);
    stats_add(reason == DROP_NONE ? &tap->counters->captured : &tap->counters->dropped, 1);
}

static void copy_to_all(struct worker *worker, const struct port *target, uint32_t nic,
                        const struct nic_frame *frame, const struct capture_head *head)
{
    for (uint32_t i = 0; i < worker->tap_count; i++) {
        const struct capture_tap *tap = &worker->taps[i];

        if (tap->target == target && (target || tap->nic == nic))
            copy(worker, tap, frame, *head);
    }
}

/* ── a NIC ── */

static struct capture_nic *look_of(const struct nic_queue *queue)
{
    return (struct capture_nic *)((uintptr_t)queue->ops - offsetof(struct capture_nic, ops));
}

static uint32_t receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct capture_nic *look = look_of(queue);
    uint32_t count = look->inner->receive(queue, frames, max);
    struct capture_head head = {.time_ns = count ? wall_clock() : 0};

    for (uint32_t i = 0; i < count; i++) {
        head.flags =
            queue->nic->is_virtual || frames[i].checksum_partial ? CAPTURE_CHECKSUM_PARTIAL : 0;
        copy_to_all(look->worker, NULL, queue->nic->index, &frames[i], &head);
    }
    return count;
}

static uint8_t *reserve(struct nic_queue *queue, uint32_t length)
{
    struct capture_nic *look = look_of(queue);
    uint8_t *frame = look->inner->reserve(queue, length);

    if (frame)
        look->reserved = frame;
    return frame;
}

static void copy_sent(struct nic_queue *queue, const struct nic_frame *frame, bool offloaded)
{
    const struct capture_head head = {
        .time_ns = wall_clock(),
        .flags = CAPTURE_OUTBOUND | (offloaded ? CAPTURE_CHECKSUM_LEFT : 0),
    };

    copy_to_all(look_of(queue)->worker, NULL, queue->nic->index, frame, &head);
}

static void commit(struct nic_queue *queue, uint32_t length, const struct nic_offload *offload)
{
    struct capture_nic *look = look_of(queue);
    const struct nic_frame frame = {
        .data = look->reserved, .head_length = length, .length = length};

    copy_sent(queue, &frame, offload);
    look->inner->commit(queue, length, offload);
}

/* The rest is the application's, who may write there between this look and the kernel's. */
static void commit_referring(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                             uint32_t rest_length, const struct nic_offload *offload)
{
    struct capture_nic *look = look_of(queue);
    const struct nic_piece piece = {.data = rest, .length = rest_length};
    const struct nic_frame frame = {.data = look->reserved,
                                    .head_length = head,
                                    .length = head + rest_length,
                                    .piece_count = 1,
                                    .pieces = &piece};

    copy_sent(queue, &frame, offload);
    look->inner->commit_referring(queue, head, rest, rest_length, offload);
}

static void look_at(struct worker *worker, struct worker_queue *own)
{
    struct capture_nic *look = &own->capture;

    if (look->inner)
        return;
    look->inner = own->queue->ops;
    look->worker = worker;
    look->ops = *look->inner;
    look->ops.receive = receive;
    look->ops.reserve = reserve;
    look->ops.commit = commit;
    if (look->inner->commit_referring)
        look->ops.commit_referring = commit_referring;
    own->queue->ops = &look->ops;
}

static void look_away(struct worker_queue *own)
{
    if (!own->capture.inner)
        return;
    own->queue->ops = own->capture.inner;
    own->capture.inner = NULL;
}

/* ── a port ── */

/* Records between two positions of a ring whose memory the application can write: bounded, and checked
 * as those of a TX ring are. */
static void copy_records(struct worker *worker, const struct port *target,
                         struct ring_consumer *from, bool outbound)
{
    struct capture_head head = {.time_ns = wall_clock()};
    struct ring_record record;
    const uint8_t *packet;

    while (ring_consumer_next(from, &record, &packet) == RING_NEXT_PACKET) {
        const struct nic_frame frame = {
            .data = packet, .head_length = record.length, .length = record.length};
        uint8_t partial = record.flags & RECORD_CHECKSUM_PARTIAL ? CAPTURE_CHECKSUM_PARTIAL : 0;

        head.flags = partial;
        if (outbound && (record.flags & (RECORD_CHECKSUM_PARTIAL | RECORD_SEGMENT)))
            head.flags = CAPTURE_CHECKSUM_LEFT;
        head.flags |= outbound ? CAPTURE_OUTBOUND : 0;
        copy_to_all(worker, target, 0, &frame, &head);
    }
}

struct port_ring *capture_received(struct worker *worker)
{
    /* copies touch the captures' rings, which come in front of these */
    for (struct port_ring *ring = worker->touched; ring; ring = ring->touched_next) {
        struct ring_consumer from = {
            .control = ring->rx.control,
            .data = ring->rx.data,
            .size = ring->rx.size,
            .head = ring->rx.published,
            .released = ring->rx.published,
            .tail = ring->rx.tail,
        };

        if (ring->captured)
            copy_records(worker, ring->port, &from, false);
    }
    return worker->touched;
}

void capture_sent(struct worker *worker, struct port_ring *ring, uint32_t before)
{
    struct ring_consumer from = ring->tx;

    from.tail = ring->tx.head;
    from.head = before;
    copy_records(worker, ring->port, &from, true);
}

/* ── coming and going ── */

static void mark_rings(const struct worker *worker, struct port *port, bool captured)
{
    for (uint32_t i = 0; i < port->ring_count; i++) {
        if (port->rings[i].worker == worker)
            port->rings[i].captured = captured;
    }
}

void capture_attach(struct worker *worker, const struct change *change)
{
    struct port *port = change->capture.port;
    struct capture_source *source = &port->capture->sources[change->capture.source];
    struct capture_tap *tap = &worker->taps[worker->tap_count++];
    struct port_ring *to = port->rings;

    while (to->worker != worker) /* there are as many as workers */
        to++;
    *tap = (struct capture_tap){
        .to = to,
        .counters = &source->counters[worker->index],
        .target = change->capture.target,
        .nic = change->capture.nic,
        .snap = change->capture.snap,
        .source = (uint16_t)change->capture.source,
    };
    if (tap->target) {
        mark_rings(worker, tap->target, true);
        return;
    }
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        struct worker_queue *own = &worker->queues[i];

        /* what goes by a relay is seen where it arrives */
        if (own->queue->nic->index == tap->nic && handover_queue(own->queue) == own->queue)
            look_at(worker, own);
    }
}

static bool is_looked_at(const struct worker *worker, const struct port *target, uint32_t nic)
{
    for (uint32_t i = 0; i < worker->tap_count; i++) {
        if (worker->taps[i].target == target && (target || worker->taps[i].nic == nic))
            return true;
    }
    return false;
}

void capture_detach(struct worker *worker, const struct port *port)
{
    uint32_t i = 0;

    while (i < worker->tap_count) {
        struct capture_tap gone = worker->taps[i];

        if (gone.to->port != port && gone.target != port) {
            i++;
            continue;
        }
        worker->taps[i] = worker->taps[--worker->tap_count];
        if (gone.target && !is_looked_at(worker, gone.target, 0))
            mark_rings(worker, gone.target, false);
    }
    for (i = 0; i < worker->queue_count; i++) {
        if (!is_looked_at(worker, NULL, worker->queues[i].queue->nic->index))
            look_away(&worker->queues[i]);
    }
}

/* ── control ── */

static int find_port(struct switch_core *core, const struct connection *connection,
                     struct capture_source *source)
{
    for (uint32_t slot = 0; slot < core->ports.capacity; slot++) {
        struct port *port = core->ports.slots[slot];

        if (!port || port->number != source->id)
            continue;
        if (port->uid != connection->uid && !control_is_administrator(core, connection))
            return -EACCES;
        if (port->capture || port == connection->port)
            return -EINVAL; /* copies of copies */
        source->target = port;
        memcpy(source->name, port->name, sizeof(source->name));
        return 0;
    }
    return -ENOENT;
}

static int find_nic(const struct switch_core *core, const struct connection *connection,
                    struct capture_source *source)
{
    if (!control_is_administrator(core, connection))
        return -EACCES;
    if (source->id >= core->nic_count)
        return -ENOENT;
    static_assert(sizeof(source->name) == sizeof(core->nics[0].name), "one is the other");
    memcpy(source->name, core->nics[source->id].name, sizeof(source->name));
    return 0;
}

/* Makes an ordinary port one that captures. */
static int make_capture(struct switch_core *core, struct port *port, uint32_t snap)
{
    uint32_t most = ring_packet_max(port->rx_size) - (uint32_t)sizeof(struct capture_head);

    if (port->capture)
        return 0;
    if (port->binding_count || port->ring_count != core->worker_count)
        return -EINVAL;
    port->capture = calloc(1, sizeof(*port->capture));
    if (!port->capture)
        return -ENOMEM;
    port->capture->snap = snap < most ? snap : most;
    core->capture_count++;
    return 0;
}

int capture_begin(struct switch_core *core, const struct connection *connection,
                  const struct control_capture *wish, uint32_t *number)
{
    struct port *port = connection->port;
    struct change change = {.kind = CHANGE_CAPTURE, .capture = {.port = port}};
    struct capture_source source = {.kind = wish->kind, .id = wish->id};
    int status = -EINVAL;

    if (wish->zero || !wish->snap)
        return -EINVAL;
    if (wish->kind == CONTROL_CAPTURE_PORT)
        status = find_port(core, connection, &source);
    else if (wish->kind == CONTROL_CAPTURE_NIC)
        status = find_nic(core, connection, &source);
    if (!status)
        status = make_capture(core, port, wish->snap);
    if (status)
        return status;
    if (port->capture->source_count == CAPTURE_SOURCES_MAX ||
        core->workers[0].tap_count == CAPTURE_TAPS_MAX)
        return -ENOSPC;
    change.capture.target = source.target;
    change.capture.nic = source.id;
    change.capture.snap = port->capture->snap;
    change.capture.source = port->capture->source_count;
    port->capture->sources[change.capture.source] = source;
    status = core_change(core, &change);
    if (status)
        return status;
    *number = port->capture->source_count++;
    return 0;
}

/* A connection that cannot be told is closed, and with it a port: hence no pointer is kept. */
static void tell(struct switch_core *core, uint32_t slot, uint32_t source)
{
    struct connection *connection = control_connection_of(core, core->ports.slots[slot]);

    if (connection)
        control_send_event(core, connection, CONTROL_EVENT_CAPTURE_GONE, source);
}

void capture_port_gone(struct switch_core *core, const struct port *port)
{
    if (port->capture)
        core->capture_count--;
    if (!core->capture_count)
        return;
    for (uint32_t place = 0; place < core->ports.capacity * CAPTURE_SOURCES_MAX; place++) {
        uint32_t slot = place / CAPTURE_SOURCES_MAX, number = place % CAPTURE_SOURCES_MAX;
        struct port *other = core->ports.slots[slot];

        if (!other || !other->capture || number >= other->capture->source_count) {
            place |= CAPTURE_SOURCES_MAX - 1;
            continue;
        }
        if (other->capture->sources[number].target != port)
            continue;
        other->capture->sources[number].target = NULL;
        tell(core, slot, number);
    }
}

void capture_describe(const struct port *port, uint32_t number,
                      struct control_capture_record *record)
{
    const struct capture_source *source = &port->capture->sources[number];

    memcpy(record->name, source->name, sizeof(record->name));
    record->port = port->number;
    record->source = number;
    record->kind = source->kind;
    record->id = source->id;
    for (uint32_t i = 0; i < CHANNEL_WORKERS_MAX; i++) {
        record->captured += stats_read(&source->counters[i].captured);
        record->dropped += stats_read(&source->counters[i].dropped);
    }
}
