/* SPDX-License-Identifier: BSD-2-Clause */
/* latency.h */
#include "latency.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lane.h"

#define SECOND_NS     1000000000ULL
#define LOST_NS       SECOND_NS    /* what is not back by then is lost */
#define WARM_NS       10000000ULL  /* the same, while the way is being made */
#define PAUSE_NS      100000000ULL /* then it looks whether to stop */
#define RECEIVE_BATCH 16

/* A packet that the far end sends back, as a record of the wire. */
union reply {
    struct wire_record record;
    uint8_t bytes[(WIRE_HEADER_SIZE + FRAME_SIZE_MAX + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN];
} __attribute__((aligned(RING_ALIGN)));

/* Exchanges the ends of the frame in `reply`, and sends it. Without room, which one packet at a time
 * never meets, it is lost. */
static void send_back(struct lane *lane, union reply *reply, uint32_t length)
{
    struct end *end = &lane->inlets[0].end;
    struct wire_ether *ether = (struct wire_ether *)reply->record.frame;
    uint8_t mac[WIRE_MAC_SIZE];

    memcpy(mac, ether->destination, sizeof(mac));
    memcpy(ether->destination, ether->source, sizeof(mac));
    memcpy(ether->source, mac, sizeof(mac));
    packet_exchange_ends(reply->record.frame + ETHER_HEADER_SIZE);
    reply->record.header = length;
    if (!ring_producer_refresh(&end->half->tx))
        lane_break(lane);
    if (!lane->broken && wire_put(&end->half->tx, &reply->record) && wire_publish(&end->half->tx))
        eventfd_write(end->peer_wake, 0);
}

/* The far end's turn. False: nothing was there. */
static bool serve_wire(struct lane *lane)
{
    struct end *end = &lane->inlets[0].end;
    uint32_t wanted = lane->outlets[0].template->length + ETHER_HEADER_SIZE, length;
    union reply reply;
    const uint8_t *frame;
    enum ring_next next;
    bool worked = false;

    if (end->asleep)
        ring_consumer_wake(&end->half->rx);
    end->asleep = false;
    if (!ring_consumer_refresh(&end->half->rx))
        lane_break(lane);
    while (!lane->broken) {
        next = wire_next(&end->half->rx, &length, &frame);
        if (next == RING_NEXT_BROKEN)
            lane_break(lane);
        if (next != RING_NEXT_PACKET)
            break;
        worked = true;
        if (length != wanted) { /* not ours */
            lane_count(&lane->counters.bad, 1);
            continue;
        }
        memcpy(reply.record.frame, frame, length);
        send_back(lane, &reply, length);
    }
    if (worked && ring_consumer_release(&end->half->rx))
        eventfd_write(end->peer_wake, 0);
    return worked;
}

/* What has come back to the port. True: the packet with this sequence number is among it, and *now_ns
 * says when it was seen. */
static bool serve_port(struct lane *lane, uint32_t sequence, uint64_t *now_ns)
{
    const struct end *end = &lane->outlets[0].end;
    struct ms_packet packets[RECEIVE_BATCH];
    unsigned count = ms_receive(end->port, end->ring, packets, RECEIVE_BATCH);
    bool back = false;

    if (!count)
        return false;
    *now_ns = lane_clock();
    for (unsigned i = 0; i < count; i++) {
        struct packet_facts facts;

        if (!packet_verify(packets[i].data, packets[i].length,
                           packets[i].flags & MS_RX_CHECKSUM_PARTIAL, &facts)) {
            lane_count(&lane->counters.bad, 1);
        } else if (facts.sequence == sequence && !back) {
            back = true;
        } else if ((int32_t)(facts.sequence - lane->first_sequence) >= 0) {
            /* given up before, or twice */
            lane_count(&lane->counters.late, 1);
        }
    }
    ms_receive_done(end->port, end->ring);
    return back;
}

/* Sends one packet; false: the port's ring is full, or the switch away. */
static bool send_one(struct lane *lane)
{
    struct outlet *outlet = &lane->outlets[0];
    uint32_t length = outlet->template->length;
    uint8_t *place = ms_reserve(outlet->end.port, outlet->end.ring, length);

    if (!place)
        return false;
    packet_write(place, outlet->template, &outlet->flows[0], outlet->id++);
    ms_commit(outlet->end.port, outlet->end.ring, length, NULL);
    ms_flush(outlet->end.port, outlet->end.ring);
    return true;
}

/* Until one of the ends has something. An edge that was there before only costs one look more. */
static void sleep_until_work(struct lane *lane, uint64_t most_ns)
{
    struct epoll_event events[2];

    if (!end_sleeps(&lane->inlets[0].end, true, 0) || !end_sleeps(&lane->outlets[0].end, true, 0))
        return;
    lane_count(&lane->counters.sleeps, 1);
    epoll_wait(lane->epoll_fd, events, 2, (int)(most_ns / 1000000));
}

enum trip { TRIP_NOT_SENT, TRIP_LOST, TRIP_BACK };

static enum trip round_trip(struct lane *lane, uint64_t patience_ns, uint64_t *took_ns)
{
    uint32_t sequence = lane->outlets[0].flows[0].sequence;
    uint64_t began_ns = lane_clock(), now_ns = began_ns;

    if (!send_one(lane)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        return TRIP_NOT_SENT;
    }
    while (!lane->broken && now_ns - began_ns < patience_ns) {
        bool worked = serve_wire(lane);

        if (serve_port(lane, sequence, &now_ns)) {
            *took_ns = now_ns - began_ns;
            return TRIP_BACK;
        }
        now_ns = lane_clock();
        if (!worked && lane->poll_ns != UINT64_MAX)
            sleep_until_work(lane, patience_ns);
    }
    return TRIP_LOST;
}

static void record_round_trip(struct lane *lane)
{
    uint64_t bytes = lane->outlets[0].template->length + ETHER_HEADER_SIZE + FRAME_CHECK_SIZE;
    uint64_t took_ns = 0;
    enum trip trip = round_trip(lane, LOST_NS, &took_ns);

    if (trip == TRIP_NOT_SENT)
        return;
    lane_count(&lane->counters.sent, 1);
    lane_count(&lane->counters.sent_bytes, bytes);
    if (trip == TRIP_LOST) {
        lane_count(&lane->counters.lost, 1);
        return;
    }
    histogram_record(lane->round_trips, took_ns);
    lane_count(&lane->counters.received, 1);
    lane_count(&lane->counters.received_bytes, bytes);
}

static bool is_done(const struct lane *lane)
{
    return __atomic_load_n(lane->stop, __ATOMIC_RELAXED) || lane->broken ||
           (lane->count && lane->counters.sent >= lane->count);
}

/* Whoever polls goes on polling: a sleep would let his processor rest, and measure its waking. */
static void wait_until(const struct lane *lane, uint64_t due_ns)
{
    uint64_t now_ns = lane_clock();

    for (; now_ns < due_ns && !is_done(lane); now_ns = lane_clock()) {
        uint64_t left_ns = due_ns - now_ns;

        if (left_ns > PAUSE_NS)
            left_ns = PAUSE_NS;
        if (lane->poll_ns != UINT64_MAX)
            nanosleep(&(struct timespec){.tv_nsec = (long)left_ns}, NULL);
    }
}

/* The first packet asks for the way, and the switch may not know yet that the wire is up: nothing of
 * this is counted. */
static void make_way(struct lane *lane)
{
    const struct outlet *outlet = &lane->outlets[0];
    uint64_t took_ns, patience_ns = WARM_NS;

    do {
        if (patience_ns < LOST_NS)
            patience_ns *= 2; /* where processors are busy it may take long */
        lane->first_sequence = outlet->flows[0].sequence + outlet->template->payload;
    } while (!is_done(lane) && round_trip(lane, patience_ns, &took_ns) != TRIP_BACK);
}

void *latency_run(void *argument)
{
    struct lane *lane = argument;
    uint64_t pause_ns = lane->rate ? SECOND_NS / lane->rate : 0, due_ns;

    lane_pin(lane);
    make_way(lane);
    due_ns = lane_clock();
    while (!is_done(lane)) {
        uint64_t now_ns;

        record_round_trip(lane);
        if (!pause_ns)
            continue;
        /* not made up for: who is late goes on from now */
        due_ns += pause_ns;
        now_ns = lane_clock();
        if (due_ns < now_ns)
            due_ns = now_ns;
        wait_until(lane, due_ns);
    }
    return NULL;
}
