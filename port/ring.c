/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets in and out of the rings of a port. See port_internal.h for how a ring follows its port
 * over restarts of the switch, and common/ring.h for the two ends of a ring.
 *
 * Nobody reads the eventfds: they are in edge-triggered epolls, where each write makes an edge and
 * the count does not matter. That spares a system call for each wake-up. */
#include "port_internal.h"
#include "ring_near.h"
#include "wire.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static_assert(MS_TX_CHECKSUM == RECORD_CHECKSUM_PARTIAL && MS_TX_SEGMENT == RECORD_SEGMENT &&
                  MS_RX_CHECKSUM_PARTIAL == RECORD_CHECKSUM_PARTIAL &&
                  MS_RX_MERGED == RECORD_SEGMENT,
              "the library's flags are those of the records");

#define OFFLOAD_FLAGS (MS_TX_CHECKSUM | MS_TX_SEGMENT)

#define DRAIN_LOOKS    1000 /* at what is left when a port is closed */
#define DRAIN_PAUSE_NS 50000

static void watch(int epoll_fd, int fd, uint32_t events, uint32_t kind)
{
    struct epoll_event event = {.events = events, .data.u32 = kind};

    /* Fails only for want of memory; then the ring is served when something else wakes us. */
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* Where the RX eventfd of a ring belongs. */
static int watcher(const struct ms_port *port, const struct ring *ring)
{
    int own = atomic_load_explicit(&ring->own_fd, memory_order_relaxed);

    if (ring->set_fd >= 0)
        return ring->set_fd;
    return own >= 0 ? own : port->epoll_fd;
}

/* Has the ring's eventfd in a region told there. */
static void watch_ring(const struct ms_port *port, const struct ring *ring, int rx_fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = ring->set_data};

    if (ring->set_fd < 0)
        watch(watcher(port, ring), rx_fd, EPOLLIN | EPOLLET, SESSION_EVENT_RING);
    else
        epoll_ctl(ring->set_fd, EPOLL_CTL_ADD, rx_fd, &event);
}

int ring__init(struct ms_port *port)
{
    port->rings = aligned_alloc(alignof(struct ring), port->ring_count * sizeof(struct ring));
    if (!port->rings)
        return -ENOMEM;
    memset(port->rings, 0, port->ring_count * sizeof(struct ring));
    for (unsigned i = 0; i < port->ring_count; i++) {
        atomic_init(&port->rings[i].own_fd, -1);
        port->rings[i].set_fd = -1;
    }
    return 0;
}

void ring__dispose(struct ms_port *port)
{
    if (!port->rings)
        return;
    for (unsigned i = 0; i < port->ring_count; i++) {
        struct ring *ring = &port->rings[i];

        region__drop(ring->rx.region);
        region__drop(ring->tx.region);
        if (ring->own_fd >= 0)
            close(ring->own_fd);
    }
    free(port->rings);
}

void ring__switch_over(struct ms_port *port, struct region *region)
{
    struct region *old;

    pthread_mutex_lock(&port->lock);
    old = port->region;
    port->region = region;
    for (unsigned i = 0; i < port->ring_count; i++) {
        const struct ring *ring = &port->rings[i];

        /* The switch may have the eventfd open for longer than we do, so closing is not enough. */
        if (old)
            epoll_ctl(watcher(port, ring), EPOLL_CTL_DEL, old->rings[i].rx_fd, NULL);
        if (region)
            watch_ring(port, ring, region->rings[i].rx_fd);
    }
    atomic_store_explicit(&port->broken, false, memory_order_relaxed);
    /* release: a ring that sees the new number without the lock will take the lock */
    atomic_fetch_add_explicit(&port->epoch, 1, memory_order_release);
    pthread_mutex_unlock(&port->lock);
    eventfd_write(port->news_fd, 1);
    region__drop(old);
}

/* The region that is the port's now, counted, and the epoch it belongs to. */
static struct region *take_over(struct ms_port *port, unsigned *epoch)
{
    struct region *region;

    pthread_mutex_lock(&port->lock);
    region = region__use(port->region);
    *epoch = atomic_load_explicit(&port->epoch, memory_order_relaxed);
    pthread_mutex_unlock(&port->lock);
    return region;
}

/* An index in shared memory is impossible. The ring stands still until the session, which is
 * another thread's, has dropped the connection and opened a new one. */
static void give_up(struct ms_port *port, struct region **region)
{
    region__drop(*region);
    *region = NULL;
    if (!atomic_exchange_explicit(&port->broken, true, memory_order_relaxed))
        eventfd_write(port->alarm_fd, 1);
}

static void tell_moderation(const struct receiver *rx)
{
    struct ring_control *control = rx->ring.control;

    ring_store_relaxed(&control->wake_packets, rx->wake_packets);
    ring_store_relaxed(&control->wake_delay_us, rx->wake_delay_us);
}

/* Once for each life of the switch, and so kept out of the functions that run for each packet. */
static __attribute__((noinline)) bool receiver_follow(struct ms_port *port, unsigned index)
{
    struct receiver *rx = &port->rings[index].rx;
    struct region *old = rx->region;

    if (rx->lent)
        return false;
    rx->region = take_over(port, &rx->epoch);
    rx->asleep = false;
    if (rx->region) {
        ring_consumer_init(&rx->ring, region__rx_control(rx->region, index),
                           region__rx_data(rx->region, index), rx->region->rx_size);
        tell_moderation(rx);
        rx->cpu = 0;
    }
    region__drop(old);
    return rx->region != NULL;
}

static __attribute__((noinline)) bool sender_follow(struct ms_port *port, unsigned index)
{
    struct sender *tx = &port->rings[index].tx;
    struct region *old = tx->region;

    if (tx->reserved)
        return false;
    tx->region = take_over(port, &tx->epoch);
    if (tx->region)
        ring_producer_init(&tx->ring, region__tx_control(tx->region, index),
                           region__tx_data(tx->region, index), tx->region->tx_size);
    region__drop(old);
    return tx->region != NULL;
}

/* Whether the receiving half has memory to work on; follows the port first where it may. */
static inline bool receiver_ready(struct ms_port *port, unsigned index)
{
    struct receiver *rx = &port->rings[index].rx;

    if (__builtin_expect(rx->epoch == atomic_load_explicit(&port->epoch, memory_order_acquire), 1))
        return rx->region != NULL;
    return receiver_follow(port, index);
}

static inline bool sender_ready(struct ms_port *port, unsigned index)
{
    struct sender *tx = &port->rings[index].tx;

    if (__builtin_expect(tx->epoch == atomic_load_explicit(&port->epoch, memory_order_acquire), 1))
        return tx->region != NULL;
    return sender_follow(port, index);
}

/* A line that the switch reads is written only where something has changed. */
static inline void tell_cpu(struct receiver *rx)
{
    uint32_t cpu = (uint32_t)(sched_getcpu() + 1);

    if (__builtin_expect(cpu == rx->cpu, 1))
        return;
    rx->cpu = cpu;
    ring_store_relaxed(&rx->ring.control->consumer_cpu, cpu);
}

unsigned ms_receive(struct ms_port *port, unsigned index, struct ms_packet *packets, unsigned max)
{
    struct receiver *rx;
    uint64_t bytes = 0;
    unsigned count = 0;

    if (index >= port->ring_count || !receiver_ready(port, index))
        return 0;
    rx = &port->rings[index].rx;
    if (rx->asleep) {
        ring_consumer_wake(&rx->ring);
        rx->asleep = false;
    }
    if (!ring_consumer_refresh(&rx->ring)) {
        if (!rx->lent)
            give_up(port, &rx->region);
        return 0;
    }
    while (count < max) {
        struct ring_record record;
        enum ring_next next = ring_consumer_next(&rx->ring, &record, &packets[count].data);

        if (next == RING_NEXT_EMPTY)
            break;
        if (next == RING_NEXT_BROKEN) {
            if (count == 0 && !rx->lent)
                give_up(port, &rx->region);
            break;
        }
        packets[count].length = record.length;
        packets[count].flags = record.flags & (MS_RX_CHECKSUM_PARTIAL | MS_RX_MERGED);
        packets[count].segment_size = record.segment_size;
        bytes += record.length;
        count++;
    }
    if (count) {
        tell_cpu(rx);
        rx->lent = true;
        counter_add(&rx->packets, count);
        counter_add(&rx->bytes, bytes);
    }
    return count;
}

void ms_receive_done(struct ms_port *port, unsigned index)
{
    struct receiver *rx;

    if (index >= port->ring_count)
        return;
    rx = &port->rings[index].rx;
    rx->lent = false;
    /* No fence, and no look at who waits: the switch never waits for room in a port's ring. */
    if (receiver_ready(port, index) && rx->ring.released != rx->ring.head)
        ring_consumer_give_back(&rx->ring);
}

/* The room known is not enough: how far has the switch come? */
static __attribute__((noinline)) bool look_for_room(struct ms_port *port, struct sender *tx)
{
    ring_near_look(&tx->ring);
    if (ring_producer_refresh(&tx->ring))
        return true;
    give_up(port, &tx->region);
    return false;
}

/* The sender of a ring that takes a packet of that length; NULL: it takes none. */
static inline struct sender *sender_for(struct ms_port *port, unsigned index, uint32_t length)
{
    struct sender *tx;

    if (index >= port->ring_count || length == 0 || length > IP_PACKET_MAX)
        return NULL;
    tx = &port->rings[index].tx;
    tx->reserved = 0;
    return sender_ready(port, index) && length <= ring_packet_max(tx->ring.size) ? tx : NULL;
}

uint8_t *ms_reserve(struct ms_port *port, unsigned index, uint32_t length)
{
    struct sender *tx = sender_for(port, index, length);
    uint8_t *place;

    if (!tx)
        return NULL;
    place = ring_producer_reserve(&tx->ring, length);
    if (!place && look_for_room(port, tx)) {
        place = ring_producer_reserve(&tx->ring, length);
        if (!place)
            counter_add(&tx->full, 1);
    }
    if (place)
        tx->reserved = length;
    return place;
}

static struct ring_record record_of(uint32_t length, const struct ms_offload *offload)
{
    struct ring_record record = {.length = length};

    if (offload) {
        record.flags = offload->flags & OFFLOAD_FLAGS;
        record.segment_size = offload->segment_size;
        record.checksum_start = offload->checksum_start;
        record.checksum_offset = offload->checksum_offset;
    }
    return record;
}

static void count_sent(struct sender *tx, uint32_t length)
{
    counter_add(&tx->packets, 1);
    counter_add(&tx->bytes, length);
}

bool ms_send(struct ms_port *port, unsigned index, const void *packet, uint32_t length,
             const struct ms_offload *offload)
{
    struct sender *tx = sender_for(port, index, length);
    struct ring_record record;
    uint8_t *place;

    if (!tx)
        return false;
    place = ring_producer_place(&tx->ring, length);
    if (!place && look_for_room(port, tx)) {
        place = ring_producer_place(&tx->ring, length);
        if (!place)
            counter_add(&tx->full, 1);
    }
    if (!place)
        return false;
    record = record_of(length, offload);
    if (ring_near_begin(&tx->ring, length)) {
        ring_write_header(place, &record);
        ring_copy(place + sizeof(record), packet, length);
    } else {
        ring_stream_record(place, &record, packet);
        tx->streamed = true;
    }
    ring_producer_keep(&tx->ring, length);
    count_sent(tx, length);
    return true;
}

/* Less is copied before it is known where the switch runs. */
#define FILL_STREAM_LEAST 1024

void ms_fill(struct ms_port *port, unsigned index, uint8_t *to, const void *from, uint32_t length)
{
    struct sender *tx;

    if (length >= FILL_STREAM_LEAST && index < port->ring_count) {
        tx = &port->rings[index].tx;
        if (tx->cpu && tx->cpu != (uint32_t)(sched_getcpu() + 1)) {
            stream_copy(to, from, length);
            tx->streamed = true;
            return;
        }
    }
    memcpy(to, from, length);
}

void ms_commit(struct ms_port *port, unsigned index, uint32_t length,
               const struct ms_offload *offload)
{
    struct ring_record record;
    struct sender *tx;

    if (index >= port->ring_count)
        return;
    tx = &port->rings[index].tx;
    if (length == 0 || length > tx->reserved)
        return;
    record = record_of(length, offload);
    ring_producer_commit(&tx->ring, &record);
    tx->reserved = 0;
    count_sent(tx, length);
}

void ms_flush(struct ms_port *port, unsigned index)
{
    struct sender *tx;

    if (index >= port->ring_count || !sender_ready(port, index))
        return;
    tx = &port->rings[index].tx;
    if (tx->streamed)
        stream_fence();
    tx->streamed = false;
    ring_near_look(&tx->ring); /* before anything else of that line is */
    /* in the line that is read for that anyway */
    tx->cpu = ring_load_relaxed(&tx->ring.control->consumer_cpu);
    if (ring_producer_publish(&tx->ring)) {
        eventfd_write(tx->region->rings[index].tx_fd, 1);
        counter_add(&tx->wakeups, 1);
    }
}

void ring__drain(struct ms_port *port)
{
    const struct timespec pause = {.tv_nsec = DRAIN_PAUSE_NS};

    for (unsigned index = 0, looks = 0; index < port->ring_count; index++) {
        struct ring_producer *ring = &port->rings[index].tx.ring;

        ms_flush(port, index);
        while (port->rings[index].tx.region && ring_producer_refresh(ring) &&
               ring->head != ring->published && looks++ < DRAIN_LOOKS)
            nanosleep(&pause, NULL);
    }
}

bool ms_ring_wait(struct ms_port *port, unsigned index, uint32_t for_room)
{
    struct epoll_event taken[4];
    struct ring *ring;
    int own_fd;

    if (index >= port->ring_count)
        return true;
    ring = &port->rings[index];
    own_fd = atomic_load_explicit(&ring->own_fd, memory_order_relaxed);
    if (own_fd >= 0) /* before looking, so that what comes later is an edge of its own */
        epoll_wait(own_fd, taken, sizeof(taken) / sizeof(taken[0]), 0);
    if (receiver_ready(port, index)) {
        ring->rx.asleep = ring_consumer_sleep(&ring->rx.ring);
        if (!ring->rx.asleep)
            return false;
    }
    if (for_room && sender_ready(port, index)) {
        uint32_t most = ring_packet_max(ring->tx.ring.size);

        if (!ring_producer_wait(&ring->tx.ring, for_room < most ? for_room : most))
            return false;
    }
    return true;
}

int ms_ring_moderate(struct ms_port *port, unsigned index, unsigned packets, unsigned delay_us)
{
    struct receiver *rx;

    if (index >= port->ring_count || delay_us > WAKE_DELAY_MOST_US)
        return -EINVAL;
    rx = &port->rings[index].rx;
    rx->wake_packets = packets;
    rx->wake_delay_us = delay_us;
    if (receiver_ready(port, index))
        tell_moderation(rx);
    return 0;
}

int ms_ring_fd(const struct ms_port *constant, unsigned index)
{
    struct ms_port *port = (struct ms_port *)constant; /* const is about what the caller sees */
    struct ring *ring;
    int fd;

    if (index >= port->ring_count)
        return -EINVAL;
    ring = &port->rings[index];
    pthread_mutex_lock(&port->lock);
    fd = ring->set_fd >= 0 ? -EBUSY : ring->own_fd;
    if (fd == -1) {
        fd = epoll_create1(EPOLL_CLOEXEC);
        if (fd < 0) {
            fd = -errno;
        } else {
            watch(fd, port->news_fd, EPOLLIN | EPOLLET, SESSION_EVENT_RING);
            if (port->region) {
                int rx_fd = port->region->rings[index].rx_fd;

                epoll_ctl(port->epoll_fd, EPOLL_CTL_DEL, rx_fd, NULL);
                watch(fd, rx_fd, EPOLLIN | EPOLLET, SESSION_EVENT_RING);
            }
            ring->own_fd = fd;
        }
    }
    pthread_mutex_unlock(&port->lock);
    return fd;
}

int ms_ring_watch(struct ms_port *port, unsigned index, int epoll_fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = data};
    struct ring *ring;
    int error = 0;

    if (index >= port->ring_count)
        return -EINVAL;
    ring = &port->rings[index];
    pthread_mutex_lock(&port->lock);
    if (ring->set_fd >= 0 || ring->own_fd >= 0) {
        error = -EBUSY;
    } else if (port->region &&
               epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port->region->rings[index].rx_fd, &event)) {
        error = -errno;
    } else {
        if (port->region)
            epoll_ctl(port->epoll_fd, EPOLL_CTL_DEL, port->region->rings[index].rx_fd, NULL);
        ring->set_fd = epoll_fd;
        ring->set_data = data;
    }
    pthread_mutex_unlock(&port->lock);
    return error;
}

int ms_ring_stats(const struct ms_port *port, unsigned index, struct ms_ring_stats *stats)
{
    struct ms_ring_stats now = {.size = sizeof(now)};
    const struct ring *ring;
    size_t size = stats->size < sizeof(now) ? stats->size : sizeof(now);

    if (index >= port->ring_count)
        return -EINVAL;
    ring = &port->rings[index];
    now.size = stats->size;
    now.rx_packets = atomic_load_explicit(&ring->rx.packets, memory_order_relaxed);
    now.rx_bytes = atomic_load_explicit(&ring->rx.bytes, memory_order_relaxed);
    now.tx_packets = atomic_load_explicit(&ring->tx.packets, memory_order_relaxed);
    now.tx_bytes = atomic_load_explicit(&ring->tx.bytes, memory_order_relaxed);
    now.tx_full = atomic_load_explicit(&ring->tx.full, memory_order_relaxed);
    now.wakeups_sent = atomic_load_explicit(&ring->tx.wakeups, memory_order_relaxed);
    memcpy(stats, &now, size);
    return 0;
}
