/* SPDX-License-Identifier: BSD-2-Clause */
/* lane.h */
#include "lane.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "ring_near.h"

#define SEND_BATCH    256
#define SEND_BYTES    196608 /* of a batch: more are out of the nearer caches before they are read */
#define RECEIVE_BATCH 256
#define RECEIVE_MOST                                                                               \
    1024 /* packets: more than are sent in a round, or a wire that is full stays so */
#define ENOUGH      256 /* packets after which the other direction has its turn … */
#define VISITS      32  /* … or ends looked at: of many, most have nothing yet */
#define SLEEP_MS    100 /* then it looks whether to stop */
#define FRAME_EXTRA (ETHER_HEADER_SIZE + FRAME_CHECK_SIZE) /* of a frame around its packet */

uint64_t lane_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* ── sending ── */

static struct flow *next_flow(struct outlet *outlet)
{
    if (outlet->turn == 0) {
        outlet->turn = outlet->burst;
        if (++outlet->flow >= outlet->flow_count)
            outlet->flow = 0;
    }
    outlet->turn--;
    return &outlet->flows[outlet->flow];
}

/* Packets are made in memory that stays in the cache, and copied past it (stream.h); for the wire where they are to
 * lie, if that is to be written as usual (ring_near.h). */
#define MADE_SIZE sizeof(((struct packet_template *)0)->words)

static struct flow *make(struct outlet *outlet, uint8_t *made)
{
    struct flow *flow = next_flow(outlet);

    packet_write(made, outlet->template, flow, outlet->id++);
    return flow;
}

/* There is no room for it: it will be made again. */
static void take_back(struct outlet *outlet, struct flow *flow)
{
    flow->sequence -= outlet->template->payload;
    outlet->turn++;
    outlet->id--;
}

static uint32_t send_to_port(struct outlet *outlet, uint32_t most)
{
    _Alignas(RING_ALIGN) uint8_t made[MADE_SIZE];
    const struct end *end = &outlet->end;
    uint32_t sent;

    for (sent = 0; sent < most; sent++) {
        struct flow *flow = make(outlet, made);

        if (!ms_send(end->port, end->ring, made, outlet->template->length, NULL)) {
            take_back(outlet, flow);
            break;
        }
    }
    if (sent)
        ms_flush(end->port, end->ring);
    return sent;
}

/* Into the wire. False: there was no room at the last look. */
static bool put_in_wire(struct outlet *outlet, uint8_t *made)
{
    const uint32_t length = ETHER_HEADER_SIZE + outlet->template->length;
    struct ring_producer *tx = &outlet->end.half->tx;
    struct flow *flow;
    uint8_t *place;

    if (ring_near_begin(tx, length)) {
        place = wire_reserve(tx, length);
        if (!place)
            return false;
        make(outlet, place);
        wire_commit(tx, length);
        return true;
    }
    flow = make(outlet, made);
    if (wire_put(tx, (const struct wire_record *)made))
        return true;
    take_back(outlet, flow);
    return false;
}

static uint32_t send_to_wire(struct lane *lane, struct outlet *outlet, uint32_t most)
{
    _Alignas(RING_ALIGN) uint8_t made[MADE_SIZE];
    struct ring_producer *tx = &outlet->end.half->tx;
    uint32_t sent;

    for (sent = 0; sent < most; sent++) {
        if (put_in_wire(outlet, made))
            continue;
        ring_near_look(tx);
        if (!ring_producer_refresh(tx)) {
            lane_break(lane);
            return 0;
        }
        if (!put_in_wire(outlet, made))
            break;
    }
    ring_near_look(tx);
    if (wire_publish(tx))
        eventfd_write(outlet->end.peer_wake, 0);
    return sent;
}

/* How many packets the rate allows by now; the lane's outlets share it. */
static uint32_t allowance(const struct lane *lane, uint64_t now_ns, uint64_t began_ns)
{
    uint64_t most = SEND_BATCH;

    if (lane->count && lane->count - lane->counters.sent < most)
        most = lane->count - lane->counters.sent;
    if (lane->rate) {
        uint64_t due = (uint64_t)((double)(now_ns - began_ns) * 1e-9 * (double)lane->rate);

        if (due <= lane->counters.sent)
            return 0;
        if (due - lane->counters.sent < most)
            most = due - lane->counters.sent;
    }
    return (uint32_t)most;
}

static uint32_t send_by(struct lane *lane, struct outlet *outlet, uint32_t most)
{
    uint32_t sent;

    if ((uint64_t)most * outlet->template->length > SEND_BYTES)
        most = 1 + SEND_BYTES / outlet->template->length;
    sent = outlet->end.port ? send_to_port(outlet, most) : send_to_wire(lane, outlet, most);
    lane_count(&lane->counters.sent, sent);
    lane_count(&lane->counters.sent_bytes,
               (uint64_t)sent * (outlet->template->length + FRAME_EXTRA));
    return sent;
}

/* A round goes on where the one before ended. Were all of many outlets filled before anything is
 * received, packets would wait for us as long, and the rings between would be full or empty in turns. */
static uint32_t send_round(struct lane *lane, uint64_t now_ns, uint64_t began_ns)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < lane->outlet_count && i < VISITS && total < ENOUGH; i++) {
        uint32_t most = allowance(lane, now_ns, began_ns), sent;

        if (!most)
            break;
        if (lane->next_outlet >= lane->outlet_count)
            lane->next_outlet = 0;
        sent = send_by(lane, &lane->outlets[lane->next_outlet++], most);
        lane->quiet_outlets = sent ? 0 : lane->quiet_outlets + 1;
        total += sent;
    }
    return total;
}

/* ── receiving ── */

static void look_at(struct lane *lane, const uint8_t *packet, uint32_t length, bool partial)
{
    struct packet_facts facts;

    if (!packet_verify(packet, length, partial, &facts)) {
        lane_count(&lane->counters.bad, 1);
        return;
    }
    tracker_note(&lane->tracker, &facts);
    __atomic_store_n(&lane->counters.lost, lane->tracker.lost, __ATOMIC_RELAXED);
    __atomic_store_n(&lane->counters.late, lane->tracker.late, __ATOMIC_RELAXED);
}

static uint32_t receive_from_port(struct lane *lane, struct inlet *inlet, uint64_t *bytes)
{
    struct ms_packet packets[RECEIVE_BATCH];
    uint32_t received = ms_receive(inlet->end.port, inlet->end.ring, packets, RECEIVE_BATCH);

    if (!received)
        return 0;
    for (uint32_t i = 0; i < received; i++) {
        *bytes += packets[i].length + FRAME_EXTRA;
        if (lane->verify)
            look_at(lane, packets[i].data, packets[i].length,
                    packets[i].flags & MS_RX_CHECKSUM_PARTIAL);
    }
    ms_receive_done(inlet->end.port, inlet->end.ring);
    return received;
}

/* The other end can change a frame while we look: so what is looked at is a copy. */
static void look_at_frame(struct lane *lane, const uint8_t *frame, uint32_t length)
{
    uint8_t copy[FRAME_SIZE_MAX];

    if (length < ETHER_HEADER_SIZE || length > sizeof(copy)) {
        lane_count(&lane->counters.bad, 1);
        return;
    }
    memcpy(copy, frame, length);
    look_at(lane, copy + ETHER_HEADER_SIZE, length - ETHER_HEADER_SIZE, false);
}

static uint32_t receive_from_wire(struct lane *lane, struct inlet *inlet, uint64_t *bytes)
{
    struct ring_consumer *rx = &inlet->end.half->rx;
    uint32_t received = 0, length;
    const uint8_t *frame;
    enum ring_next next = RING_NEXT_EMPTY;

    if (inlet->end.asleep) {
        ring_consumer_wake(rx);
        inlet->end.asleep = false;
    }
    if (!ring_consumer_refresh(rx)) {
        lane_break(lane);
        return 0;
    }
    while (received < RECEIVE_BATCH) {
        next = wire_next(rx, &length, &frame);
        if (next != RING_NEXT_PACKET)
            break;
        *bytes += length + FRAME_CHECK_SIZE;
        if (lane->verify)
            look_at_frame(lane, frame, length);
        received++;
    }
    if (next == RING_NEXT_BROKEN)
        lane_break(lane);
    if (ring_consumer_release(rx))
        eventfd_write(inlet->end.peer_wake, 0);
    return received;
}

static uint32_t receive_round(struct lane *lane)
{
    uint32_t most = lane->inlet_count < VISITS ? lane->inlet_count : VISITS;
    uint32_t total = 0;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < most && total < RECEIVE_MOST; i++) {
        struct inlet *inlet;
        uint32_t received;

        if (lane->next_inlet >= lane->inlet_count)
            lane->next_inlet = 0;
        inlet = &lane->inlets[lane->next_inlet++];
        received = inlet->end.port ? receive_from_port(lane, inlet, &bytes)
                                   : receive_from_wire(lane, inlet, &bytes);
        lane->quiet_inlets = received ? 0 : lane->quiet_inlets + 1;
        total += received;
        if (received == RECEIVE_BATCH && !inlet->end.port)
            most++; /* it has more */
    }
    if (total) {
        lane_count(&lane->counters.received, total);
        lane_count(&lane->counters.received_bytes, bytes);
    }
    return total;
}

/* Whether all ends were looked at since one of them had something to do. */
static bool is_quiet(const struct lane *lane, bool may_send)
{
    return lane->quiet_inlets >= lane->inlet_count &&
           (!may_send || lane->quiet_outlets >= lane->outlet_count);
}

/* ── sleeping ── */

bool end_sleeps(struct end *end, bool receives, uint32_t for_room)
{
    if (end->port)
        return ms_ring_wait(end->port, end->ring, for_room);
    if (receives) {
        end->asleep = ring_consumer_sleep(&end->half->rx);
        if (!end->asleep)
            return false;
    }
    return !for_room || ring_producer_wait(&end->half->tx, for_room);
}

static void sleep_until_work(struct lane *lane, bool waits_for_room)
{
    struct epoll_event events[64];

    /* edges that came before the look do not count */
    while (epoll_wait(lane->epoll_fd, events, 64, 0) == 64)
        ;
    for (uint32_t i = 0; i < lane->inlet_count; i++) {
        if (!end_sleeps(&lane->inlets[i].end, true, 0))
            return;
    }
    for (uint32_t i = 0; waits_for_room && i < lane->outlet_count; i++) {
        if (!end_sleeps(&lane->outlets[i].end, false, lane->outlets[i].template->length))
            return;
    }
    lane_count(&lane->counters.sleeps, 1);
    epoll_wait(lane->epoll_fd, events, 64, SLEEP_MS);
}

/* Until the rate allows the next packet, or an inlet has something. */
static void sleep_until_due(struct lane *lane, uint64_t now_ns, uint64_t began_ns)
{
    uint64_t due_ns =
        began_ns + (uint64_t)((double)(lane->counters.sent + 1) * 1e9 / (double)lane->rate);
    struct timespec pause = {0};

    if (due_ns <= now_ns)
        return;
    pause.tv_nsec = due_ns - now_ns > 1000000 ? 1000000 : (long)(due_ns - now_ns);
    nanosleep(&pause, NULL);
}

static void idle(struct lane *lane, uint64_t now_ns, uint64_t began_ns)
{
    bool sends = lane->outlet_count && (!lane->count || lane->counters.sent < lane->count);
    bool waits = sends && allowance(lane, now_ns, began_ns) == 0;

    if (waits)
        sleep_until_due(lane, now_ns, began_ns);
    else
        sleep_until_work(lane, sends);
}

static int watch(const struct lane *lane, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    if (fd < 0)
        return fd;
    return epoll_ctl(lane->epoll_fd, EPOLL_CTL_ADD, fd, &event) && errno != EEXIST ? -errno : 0;
}

int lane_init(struct lane *lane)
{
    int status = 0;

    if (lane->verify && !lane->round_trips && !lane->tracker.flows)
        status = tracker_init(&lane->tracker);
    lane->broken = false;
    lane->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (lane->epoll_fd < 0)
        status = -errno;
    for (uint32_t i = 0; i < lane->outlet_count && !status; i++)
        status = watch(lane, lane->outlets[i].end.fd);
    for (uint32_t i = 0; i < lane->inlet_count && !status; i++)
        status = watch(lane, lane->inlets[i].end.fd);
    return status;
}

void lane_dispose(struct lane *lane)
{
    if (lane->epoll_fd >= 0)
        close(lane->epoll_fd);
    lane->epoll_fd = -1;
    tracker_dispose(&lane->tracker);
    free(lane->round_trips);
    lane->round_trips = NULL;
}

void lane_pin(const struct lane *lane)
{
    cpu_set_t cpus;

    if (lane->cpu < 0)
        return;
    CPU_ZERO(&cpus);
    CPU_SET(lane->cpu, &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

static bool is_done(const struct lane *lane)
{
    if (__atomic_load_n(lane->stop, __ATOMIC_RELAXED) || lane->broken)
        return true;
    return lane->count && lane->counters.sent >= lane->count && !lane->inlet_count;
}

void *lane_run(void *argument)
{
    struct lane *lane = argument;
    uint64_t began_ns = lane_clock(), now_ns = began_ns, worked_ns = began_ns;

    /* a lane that goes on behaves as if it had sent all the while */
    if (lane->rate)
        began_ns -= (uint64_t)((double)lane->counters.sent / (double)lane->rate * 1e9);
    lane_pin(lane);
    while (!is_done(lane)) {
        uint32_t sent = send_round(lane, now_ns, began_ns), received;
        uint64_t between_ns = lane_clock();

        if (sent)
            lane_count(&lane->counters.send_ns, between_ns - now_ns);
        received = receive_round(lane);
        now_ns = lane_clock();
        if (received)
            lane_count(&lane->counters.receive_ns, now_ns - between_ns);
        if (sent || received || !is_quiet(lane, allowance(lane, now_ns, began_ns) != 0))
            worked_ns = now_ns;
        else if (now_ns - worked_ns >= lane->poll_ns)
            idle(lane, now_ns, began_ns);
    }
    return NULL;
}
