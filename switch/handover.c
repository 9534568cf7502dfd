/* SPDX-License-Identifier: BSD-2-Clause */
/* handover.h */
#include "handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define LANE_SIZE      (512 * 1024)  /* bytes: the longest packet must fit twice */
#define RELAY_SIZE     (1024 * 1024) /* and the longest frame */
#define TAKE_BUDGET    256           /* packets of one lane, or frames of one relay, in a round */
#define LANE_TURN      16            /* packets of one lane before the next one's turn */
#define RELAY_PATIENCE 100000000ULL  /* ns without progress, as of forward_tx.c */
#define NIC_OF(relay)  ((relay)->target->queue->nic)

/* One direction between two sides of the switch; each end on lines of its own. */
struct pipe_ends {
    struct ring_control control;
    struct ring_producer out __attribute__((aligned(128)));
    struct ring_consumer in __attribute__((aligned(128)));
    uint8_t *data;
};

struct lane {
    struct pipe_ends ends;
    struct worker *to;
    bool dirty; /* the producer's: something to publish */
};

struct relay {
    struct pipe_ends ends;
    struct nic_queue proxy; /* the sender's */
    struct worker *owner;   /* of the target */
    struct worker_queue *target;
    uint64_t stuck_since_ns; /* the owner's */
};

/* What stands before a packet or a fragment in a lane. */
struct lane_head {
    bool is_fragment;
    uint8_t ring;
    uint16_t flags; /* of the record */
    uint16_t segment_size;
    uint16_t slot;
    uint32_t port; /* number */
    uint32_t
        nic; /* by which a fragment came; a packet says `slot`, `port`, `ring`, `view` instead */
    uint32_t length;
    struct packet_view view;
};

/* What stands before a frame in a relay. */
struct relay_head {
    struct nic_offload offload;
    bool offloaded;
};

static int open_ends(struct pipe_ends *ends, uint32_t size)
{
    ends->data = aligned_alloc(64, size); /* becomes memory as it is used */
    if (!ends->data)
        return -ENOMEM;
    ring_producer_init(&ends->out, &ends->control, ends->data, size);
    ring_consumer_init(&ends->in, &ends->control, ends->data, size);
    return 0;
}

static void *allocate(size_t size)
{
    void *memory = aligned_alloc(128, (size + 127) & ~(size_t)127);

    if (memory)
        memset(memory, 0, size);
    return memory;
}

static enum drop_reason hand_over(struct worker *worker, struct lane *lane,
                                  const struct lane_head *head, const struct nic_frame *frame,
                                  uint32_t offset)
{
    struct ring_record record = {.length = (uint32_t)sizeof(*head) + head->length};
    uint8_t *place = ring_producer_reserve(&lane->ends.out, record.length);

    if (!place) {
        ring_producer_refresh(&lane->ends.out);
        place = ring_producer_reserve(&lane->ends.out, record.length);
    }
    if (!place)
        return DROP_RX_HANDOVER_FULL;
    memcpy(place, head, sizeof(*head));
    frame_gather(place + sizeof(*head), frame, offset, head->length);
    ring_producer_commit(&lane->ends.out, &record);
    lane->dirty = true;
    worker->lanes_dirty = true;
    stats_add(&worker->handed_over, 1);
    return DROP_NONE;
}

enum drop_reason handover_packet(struct worker *worker, const struct port_ring *ring,
                                 const struct delivery *delivery)
{
    const struct lane_head head = {
        .ring = ring->index,
        .flags = delivery->flags,
        .segment_size = delivery->segment_size,
        .slot = (uint16_t)ring->port->slot,
        .port = ring->port->number,
        .length = delivery->view->length,
        .view = *delivery->view,
    };

    return hand_over(worker, worker->lanes_out[ring->worker->index], &head, delivery->frame,
                     delivery->offset);
}

enum drop_reason handover_fragment(struct worker *worker, uint32_t to, uint32_t nic,
                                   const struct nic_frame *frame, uint32_t length, uint16_t flags)
{
    const struct lane_head head = {
        .is_fragment = true, .flags = flags, .nic = nic, .length = length};

    return hand_over(worker, worker->lanes_out[to], &head, frame, ETHER_HEADER_SIZE);
}

void handover_publish(struct worker *worker)
{
    if (!worker->lanes_dirty)
        return;
    worker->lanes_dirty = false;
    for (uint32_t i = 0; i < worker->core->worker_count; i++) {
        struct lane *lane = worker->lanes_out[i];

        if (!lane || !lane->dirty)
            continue;
        lane->dirty = false;
        ring_producer_publish(&lane->ends.out);
        worker_wake(lane->to);
    }
}

static void deliver_packet(struct worker *worker, const struct lane_head *head,
                           const struct nic_frame *frame)
{
    const struct delivery delivery = {.frame = frame,
                                      .view = &head->view,
                                      .flags = head->flags,
                                      .segment_size = head->segment_size};
    struct port *port = worker->ports[head->slot];

    if (port && port->number == head->port)
        deliver_to_ring(worker, &port->rings[head->ring], &delivery);
    else
        stats_add(&worker->handed_over_late, 1);
}

static void deliver_one(struct worker *worker, const uint8_t *bytes)
{
    struct lane_head head;
    struct nic_frame frame;

    memcpy(&head, bytes, sizeof(head));
    frame = (struct nic_frame){
        .data = bytes + sizeof(head), .head_length = head.length, .length = head.length};
    if (head.is_fragment) /* every worker has a queue of every NIC, or a relay */
        forward_fragment(worker, worker_queue_of(worker, head.nic), &frame, 0, head.flags);
    else
        deliver_packet(worker, &head, &frame);
}

static uint32_t take_lane(struct worker *worker, struct lane *lane)
{
    uint32_t taken = 0;
    struct ring_record record;
    const uint8_t *bytes;

    while (taken < LANE_TURN &&
           ring_consumer_next(&lane->ends.in, &record, &bytes) == RING_NEXT_PACKET) {
        deliver_one(worker, bytes);
        taken++;
    }
    ring_consumer_release(&lane->ends.in);
    return taken;
}

/* All lanes, by turns: of fragments that came in several of them, those that belong together wait at
 * about the same place, and the table of datagrams is small. */
static uint32_t take_lanes(struct worker *worker)
{
    uint32_t taken = 0, before = 0;

    for (uint32_t i = 0; i < worker->lane_count; i++)
        ring_consumer_refresh(&worker->lanes_in[i]->ends.in);
    for (uint32_t turn = 0; turn < TAKE_BUDGET / LANE_TURN; turn++, before = taken) {
        for (uint32_t i = 0; i < worker->lane_count; i++)
            taken += take_lane(worker, worker->lanes_in[i]);
        if (taken == before)
            break;
    }
    return taken;
}

/* False: the NIC has no room. */
static bool send_one(struct relay *relay, const uint8_t *bytes, uint32_t length)
{
    struct nic_queue *queue = relay->target->queue;
    struct relay_head head;
    uint8_t *frame;

    memcpy(&head, bytes, sizeof(head));
    length -= (uint32_t)sizeof(head);
    frame = queue->ops->reserve(queue, length);
    if (!frame)
        return false;
    memcpy(frame, bytes + sizeof(head), length);
    queue->ops->commit(queue, length, head.offloaded ? &head.offload : NULL);
    return true;
}

static bool lost_patience(const struct worker *worker, struct relay *relay)
{
    if (!relay->stuck_since_ns)
        relay->stuck_since_ns = worker->now_ns;
    return worker->now_ns - relay->stuck_since_ns > RELAY_PATIENCE;
}

static uint32_t take_relay(struct worker *worker, struct relay *relay)
{
    struct ring_consumer *in = &relay->ends.in;
    struct nic_queue *queue = relay->target->queue;
    uint32_t taken = 0;

    ring_consumer_refresh(in);
    while (taken < TAKE_BUDGET) {
        uint32_t before = in->head;
        struct ring_record record;
        const uint8_t *bytes;

        if (ring_consumer_next(in, &record, &bytes) != RING_NEXT_PACKET)
            break;
        if (send_one(relay, bytes, record.length)) {
            relay->stuck_since_ns = 0;
        } else if (lost_patience(worker, relay)) {
            stats_drop(&relay->target->drops, DROP_TX_NIC_FULL);
        } else {
            in->head = before;
            break;
        }
        taken++;
    }
    if (taken)
        queue->ops->flush(queue);
    ring_consumer_release(in);
    return taken;
}

uint32_t handover_take(struct worker *worker)
{
    uint32_t taken = take_lanes(worker);

    if (taken)
        deliver_publish(worker);
    for (uint32_t i = 0; i < worker->relay_count; i++)
        taken += take_relay(worker, worker->relays_in[i]);
    return taken;
}

static bool holds_news(const struct ring_consumer *in)
{
    return ring_load_acquire(&in->control->tail) != in->tail;
}

bool handover_waits(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->lane_count; i++) {
        const struct ring_consumer *in = &worker->lanes_in[i]->ends.in;

        if (holds_news(in) || in->head != in->tail)
            return true;
    }
    for (uint32_t i = 0; i < worker->relay_count; i++) {
        if (holds_news(&worker->relays_in[i]->ends.in))
            return true;
    }
    return false;
}

bool handover_is_stuck(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->relay_count; i++) {
        const struct ring_consumer *in = &worker->relays_in[i]->ends.in;

        if (in->head != in->tail)
            return true;
    }
    return false;
}

/* The relay as the sender's queue. It is polled for nothing: what it sends another worker sends. */

static uint32_t relay_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    (void)queue, (void)frames, (void)max;
    return 0;
}

static void relay_release(struct nic_queue *queue)
{
    (void)queue;
}

static uint32_t relay_room(struct nic_queue *queue)
{
    struct relay *relay = queue->driver;
    uint32_t wire = ETHER_HEADER_SIZE + queue->nic->mtu;
    uint32_t longest = wire > queue->nic->large_min ? wire : queue->nic->large_min;
    uint32_t stride = ring_record_stride((uint32_t)sizeof(struct relay_head) + longest);
    uint32_t frames; /* one less, for the end of the ring */

    ring_producer_refresh(&relay->ends.out);
    frames = ring_producer_room(&relay->ends.out) / stride;
    return frames ? frames - 1 : 0;
}

static uint8_t *relay_reserve(struct nic_queue *queue, uint32_t length)
{
    struct relay *relay = queue->driver;
    uint8_t *place;

    if (length > queue->nic->frame_max)
        return NULL;
    place = ring_producer_reserve(&relay->ends.out, (uint32_t)sizeof(struct relay_head) + length);
    return place ? place + sizeof(struct relay_head) : NULL;
}

static void relay_commit(struct nic_queue *queue, uint32_t length,
                         const struct nic_offload *offload)
{
    struct relay *relay = queue->driver;
    struct ring_producer *out = &relay->ends.out;
    const struct ring_record record = {.length = (uint32_t)sizeof(struct relay_head) + length};
    struct relay_head head = {.offloaded = offload != NULL};

    if (offload)
        head.offload = *offload;
    memcpy(out->data + (out->tail & (out->size - 1)) + sizeof(struct ring_record), &head,
           sizeof(head));
    ring_producer_commit(out, &record);
}

static void relay_flush(struct nic_queue *queue)
{
    struct relay *relay = queue->driver;

    if (relay->ends.out.published == relay->ends.out.tail)
        return;
    ring_producer_publish(&relay->ends.out);
    worker_wake(relay->owner);
}

static int relay_fd(const struct nic_queue *queue)
{
    (void)queue;
    return -1;
}

static bool relay_sleep(struct nic_queue *queue)
{
    (void)queue;
    return true;
}

static void relay_close(struct nic_queue *queue)
{
    (void)queue; /* handover_dispose() frees it */
}

static const struct nic_ops relay_ops = {
    .name = "relay",
    .receive = relay_receive,
    .release = relay_release,
    .room = relay_room,
    .reserve = relay_reserve,
    .commit = relay_commit,
    .flush = relay_flush,
    .fd = relay_fd,
    .sleep = relay_sleep,
    .close = relay_close,
};

const struct nic_queue *handover_queue(const struct nic_queue *queue)
{
    const struct relay *relay = queue->driver;

    return queue->ops == &relay_ops ? relay->target->queue : queue;
}

static struct worker_queue *find_queue(struct switch_core *core, const struct nic_queue *queue,
                                       struct worker **owner)
{
    for (uint32_t i = 0; i < core->worker_count; i++) {
        for (uint32_t at = 0; at < core->workers[i].queue_count; at++) {
            *owner = &core->workers[i];
            if (core->workers[i].queues[at].queue == queue)
                return &core->workers[i].queues[at];
        }
    }
    return NULL;
}

static bool has_queue_of(const struct worker *worker, const struct nic *nic)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        if (worker->queues[i].queue->nic == nic)
            return true;
    }
    return false;
}

static int add_relay(struct switch_core *core, struct worker *worker, struct nic *nic)
{
    struct relay *relay = allocate(sizeof(*relay));

    if (!relay || open_ends(&relay->ends, RELAY_SIZE)) {
        free(relay);
        return -ENOMEM;
    }
    relay->target = find_queue(core, &nic->queues[worker->index % nic->queue_count], &relay->owner);
    relay->proxy = (struct nic_queue){.ops = &relay_ops, .nic = nic, .driver = relay};
    relay->owner->relays_in[relay->owner->relay_count++] = relay;
    worker_add_queue(worker, &relay->proxy);
    /* nothing comes from it, so there is nothing to poll for */
    worker->queues[worker->queue_count - 1].watched = true;
    return 0;
}

static int add_lane(struct worker *from, struct worker *to)
{
    struct lane *lane = allocate(sizeof(*lane));

    if (!lane || open_ends(&lane->ends, LANE_SIZE)) {
        free(lane);
        return -ENOMEM;
    }
    lane->to = to;
    from->lanes_out[to->index] = lane;
    to->lanes_in[to->lane_count++] = lane;
    return 0;
}

int handover_init(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->worker_count; i++) {
        for (uint32_t other = 0; other < core->worker_count; other++) {
            if (other != i && add_lane(&core->workers[i], &core->workers[other]))
                return -ENOMEM;
        }
        for (uint32_t nic = 0; nic < core->nic_count; nic++) {
            if (core->nics[nic].queue_count && core->worker_count > 1 &&
                !has_queue_of(&core->workers[i], &core->nics[nic]) &&
                add_relay(core, &core->workers[i], &core->nics[nic]))
                return -ENOMEM;
        }
    }
    return 0;
}

void handover_dispose(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];

        /* its proxies stand behind its own queues */
        while (worker->queue_count &&
               worker->queues[worker->queue_count - 1].queue->ops == &relay_ops)
            worker->queue_count--;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];

        while (worker->lane_count) {
            struct lane *lane = worker->lanes_in[--worker->lane_count];

            free(lane->ends.data);
            free(lane);
        }
        while (worker->relay_count) {
            struct relay *relay = worker->relays_in[--worker->relay_count];

            free(relay->ends.data);
            free(relay);
        }
    }
}
