/* SPDX-License-Identifier: BSD-2-Clause */
/* nic/wire_driver.h
 *
 *   TX  reserve() gives private memory, where records are put together one behind the other; some at
 *       a time they go into the ring, in whole lines (wire_link.h says why). flush() takes the rest
 *       there and publishes the batch.
 *   RX  the other end may change what it wrote at any time. So the part of a frame that decides
 *       anything, its first HEAD_SIZE bytes at most, is copied into private memory, where it is
 *       parsed; the rest of a longer frame is a second piece that stays where it is.
 *
 * A link is a struct session. One that replaces another comes from the thread that hears the keeper
 * and is taken by the queue's owner in its next receive(); the owner alone unmaps sessions.
 *
 * Waiting: the other end's writes to our eventfd are edges, and that descriptor changes with each
 * link; so an epoll set of the queue's own stands between it and the worker. sleep() takes its
 * readiness back. The same set has a timer, where frames of ours are held for later. */
#include "nic/wire_driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "stats.h"
#include "wire.h"

#define HEAD_SIZE  256  /* bytes, header of the record included; more than any headers we parse */
#define STAGE_SIZE 2048 /* bytes of records that wait to be copied; the cache's nearest part */

struct session {
    struct wire_half half;
    int own_wake, peer_wake;
};

struct wire {
    struct session *session;   /* the owner's; NULL: no link yet */
    struct session *next;      /* from the thread that hears the keeper: atomic */
    struct impairer *impairer; /* NULL: a perfect wire */
    uint64_t now_ns;           /* of this round; impaired wires only */
    int wait_fd, timer_fd;
    bool asleep;
    bool broken;
    uint8_t *heads;     /* NIC_BATCH of HEAD_SIZE */
    uint8_t *stage;     /* STAGE_SIZE, and a frame of the longest kind */
    uint32_t staged;    /* bytes */
    uint32_t room_left; /* of the ring, less what is staged, and less what padding could take */
    struct nic_piece rest[NIC_BATCH];
};

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void free_session(struct session *session)
{
    if (!session)
        return;
    wire_half_unmap(&session->half);
    close(session->own_wake);
    close(session->peer_wake);
    free(session);
}

static void adopt(struct wire *wire)
{
    struct session *old = wire->session;
    struct session *next = __atomic_exchange_n(&wire->next, NULL, __ATOMIC_ACQUIRE);

    if (!next)
        return;
    if (old) /* the other end has this open file too, so closing alone would not do */
        epoll_ctl(wire->wait_fd, EPOLL_CTL_DEL, old->own_wake, NULL);
    wire->session = next;
    wire->asleep = false;
    wire->staged = wire->room_left = 0;
    __atomic_store_n(&wire->broken, false, __ATOMIC_RELAXED);
    free_session(old);
}

static void give_up(struct wire *wire)
{
    __atomic_store_n(&wire->broken, true, __ATOMIC_RELAXED);
}

static void wake_peer(const struct session *session)
{
    eventfd_write(session->peer_wake, 0); /* an edge, and cannot block (doc/protocol.md) */
}

/* ── receive ── */

/* Copies what decides anything. `shared` begins with the record's header. Whole cache lines: what is
 * behind the frame is never looked at. */
static void copy_head(uint8_t *head, const uint8_t *shared, uint32_t stride)
{
    wire_copy_line(head, shared);
    for (uint32_t at = RING_ALIGN; at < stride; at += RING_ALIGN)
        wire_copy_line(head + at, shared + at);
}

static uint32_t take_frame(struct wire *wire, uint32_t index, struct nic_frame *frame,
                           const uint8_t *shared, uint32_t length)
{
    uint8_t *head = wire->heads + (size_t)index * HEAD_SIZE;
    uint32_t whole = HEAD_SIZE - WIRE_HEADER_SIZE;

    *frame = (struct nic_frame){
        .data = head + WIRE_HEADER_SIZE, .head_length = length, .length = length};
    if (length <= whole) {
        copy_head(head, shared - WIRE_HEADER_SIZE, wire_stride(length));
        return length;
    }
    copy_head(head, shared - WIRE_HEADER_SIZE, HEAD_SIZE);
    frame->head_length = whole;
    wire->rest[index] = (struct nic_piece){shared + whole, length - whole};
    frame->pieces = &wire->rest[index];
    frame->piece_count = 1;
    return length;
}

static uint32_t wire_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct wire *wire = queue->driver;
    struct ring_consumer *rx;
    uint32_t count = 0;
    uint64_t bytes = 0;

    if (__atomic_load_n(&wire->next, __ATOMIC_RELAXED))
        adopt(wire);
    if (!wire->session || wire->broken)
        return 0;
    rx = &wire->session->half.rx;
    if (wire->asleep) {
        ring_consumer_wake(rx);
        wire->asleep = false;
    }
    if (!ring_consumer_refresh(rx)) {
        give_up(wire);
        return 0;
    }
    while (count < max) {
        const uint8_t *shared;
        uint32_t length;
        enum ring_next next = wire_next(rx, &length, &shared);

        if (next == RING_NEXT_EMPTY)
            break;
        if (next == RING_NEXT_BROKEN) {
            give_up(wire);
            break;
        }
        __builtin_prefetch(shared + (size_t)4 * RING_ALIGN);
        bytes += take_frame(wire, count, &frames[count], shared, length);
        count++;
    }
    stats_add(&queue->counters.rx_packets, count);
    stats_add(&queue->counters.rx_bytes, bytes);
    return count;
}

static void wire_release(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    if (ring_consumer_release(&wire->session->half.rx))
        wake_peer(wire->session);
}

/* ── transmit, a perfect wire ── */

/* What was staged goes into the ring, where there is room for it: reserve() saw to that. */
static void unstage(struct wire *wire)
{
    struct ring_producer *tx = &wire->session->half.tx;
    uint32_t at = 0;

    while (at < wire->staged) {
        struct wire_record *record = (struct wire_record *)(wire->stage + at);

        at += wire_stride(record->header);
        wire_put(tx, record);
    }
    wire->staged = 0;
}

/* Looks how much room there is. False: the other end is broken. */
static bool measure(struct wire *wire, uint32_t longest)
{
    struct ring_producer *tx = &wire->session->half.tx;
    uint32_t room;

    unstage(wire);
    if (!ring_producer_refresh(tx)) {
        give_up(wire);
        wire->room_left = 0;
        return false;
    }
    room = ring_producer_room(tx);
    wire->room_left = room > longest ? room - longest : 0;
    return true;
}

/* Frames of the longest kind that fit for sure; asks the other end's index only when it matters. */
static uint32_t wire_room(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;
    uint32_t longest = wire_stride(queue->nic->frame_max);

    if (!wire->session || wire->broken)
        return 0;
    if (wire->room_left < wire->session->half.tx.size / 2 && !measure(wire, longest))
        return 0;
    return wire->room_left / longest;
}

static uint8_t *wire_reserve_frame(struct nic_queue *queue, uint32_t length)
{
    struct wire *wire = queue->driver;
    uint32_t stride = wire_stride(length), longest = wire_stride(queue->nic->frame_max);

    if (length > queue->nic->frame_max || !wire->session || wire->broken)
        return NULL;
    if (wire->staged >= STAGE_SIZE)
        unstage(wire);
    if (wire->room_left < stride && (!measure(wire, longest) || wire->room_left < stride))
        return NULL;
    return wire->stage + wire->staged + WIRE_HEADER_SIZE;
}

static void wire_commit_frame(struct nic_queue *queue, uint32_t length,
                              const struct nic_offload *offload)
{
    struct wire *wire = queue->driver;
    struct wire_record *record = (struct wire_record *)(wire->stage + wire->staged);

    (void)offload; /* this driver has no capabilities */
    record->header = length;
    wire->staged += wire_stride(length);
    wire->room_left -= wire_stride(length);
    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
}

static void publish(struct wire *wire)
{
    if (ring_producer_publish(&wire->session->half.tx))
        wake_peer(wire->session);
}

static void wire_flush(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    if (!wire->session)
        return;
    unstage(wire);
    publish(wire);
}

/* ── transmit, an impaired one ── */

static uint32_t impaired_room(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    wire->now_ns = clock_ns();
    return wire->session && !wire->broken ? IMPAIR_ROOM : 0;
}

static uint8_t *impaired_reserve(struct nic_queue *queue, uint32_t length)
{
    struct wire *wire = queue->driver;

    return length > queue->nic->frame_max || !wire->session ? NULL : impair_reserve(wire->impairer);
}

static void impaired_commit(struct nic_queue *queue, uint32_t length,
                            const struct nic_offload *offload)
{
    struct wire *wire = queue->driver;

    (void)offload;
    impair_commit(wire->impairer, length, wire->now_ns);
    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
}

/* What is due goes into the ring, as far as there is room. */
static void impaired_flush(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;
    struct ring_producer *tx;
    const uint8_t *frame;
    uint32_t length;

    if (!wire->session || wire->broken || impair_due_ns(wire->impairer) == IMPAIR_NEVER)
        return;
    tx = &wire->session->half.tx;
    wire->now_ns = clock_ns();
    queue->tx_pending = false;
    while ((frame = impair_next(wire->impairer, wire->now_ns, &length))) {
        struct wire_record *record = (struct wire_record *)wire->stage;

        if (!wire_has_room(tx, length) && !ring_producer_refresh(tx)) {
            give_up(wire);
            return;
        }
        record->header = length;
        memcpy(record->frame, frame, length);
        if (!wire_put(tx, record)) {
            queue->tx_pending = true; /* the other end is slow */
            break;
        }
        impair_pop(wire->impairer);
    }
    publish(wire);
}

static uint32_t impaired_extras(const struct nic_queue *queue, struct nic_extra *extras)
{
    const struct wire *wire = queue->driver;
    const struct impair_counters *counters = impair_counters(wire->impairer);

    extras[0] = (struct nic_extra){"wire_lost", stats_read(&counters->lost)};
    extras[1] = (struct nic_extra){"wire_duplicated", stats_read(&counters->duplicated)};
    extras[2] = (struct nic_extra){"wire_reordered", stats_read(&counters->reordered)};
    extras[3] = (struct nic_extra){"wire_corrupted", stats_read(&counters->corrupted)};
    extras[4] = (struct nic_extra){"wire_overflowed", stats_read(&counters->overflowed)};
    return 5;
}

/* ── waiting ── */

static int wire_fd(const struct nic_queue *queue)
{
    return ((const struct wire *)queue->driver)->wait_fd;
}

/* An alarm for the frame that is due next. False: it is due now. */
static bool set_alarm(struct wire *wire)
{
    uint64_t due_ns = impair_due_ns(wire->impairer);
    struct itimerspec when = {0};

    if (due_ns == IMPAIR_NEVER)
        return true;
    if (due_ns <= clock_ns())
        return false;
    when.it_value.tv_sec = (time_t)(due_ns / 1000000000ULL);
    when.it_value.tv_nsec = (long)(due_ns % 1000000000ULL);
    timerfd_settime(wire->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    return true;
}

static bool wire_sleep(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;
    struct epoll_event taken[4];

    /* before looking, so that what comes later is an edge of its own */
    epoll_wait(wire->wait_fd, taken, sizeof(taken) / sizeof(taken[0]), 0);
    if (__atomic_load_n(&wire->next, __ATOMIC_RELAXED))
        return false;
    if (wire->impairer && !queue->tx_pending && !set_alarm(wire))
        return false;
    if (!wire->session || wire->broken)
        return true;
    /* Rings of ports may wait for a ring that was full: its reader wakes us when there is room. */
    if (!wire->impairer && !wire_room(queue) &&
        !ring_producer_wait(&wire->session->half.tx, queue->nic->frame_max))
        return false;
    wire->asleep = ring_consumer_sleep(&wire->session->half.rx);
    return wire->asleep;
}

/* ── opening and closing ── */

static void wire_close(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    if (!wire)
        return;
    free_session(__atomic_exchange_n(&wire->next, NULL, __ATOMIC_ACQUIRE));
    free_session(wire->session);
    impair_destroy(wire->impairer);
    if (wire->wait_fd >= 0)
        close(wire->wait_fd);
    if (wire->timer_fd >= 0)
        close(wire->timer_fd);
    free(wire->heads);
    free(wire->stage);
    free(wire);
    queue->driver = NULL;
}

const struct nic_ops wire_ops = {
    .name = "wire",
    .receive = wire_receive,
    .release = wire_release,
    .room = wire_room,
    .reserve = wire_reserve_frame,
    .commit = wire_commit_frame,
    .flush = wire_flush,
    .fd = wire_fd,
    .sleep = wire_sleep,
    .close = wire_close,
};

const struct nic_ops wire_impaired_ops = {
    .name = "wire",
    .receive = wire_receive,
    .release = wire_release,
    .room = impaired_room,
    .reserve = impaired_reserve,
    .commit = impaired_commit,
    .flush = impaired_flush,
    .fd = wire_fd,
    .sleep = wire_sleep,
    .extras = impaired_extras,
    .close = wire_close,
};

bool wire_is_broken(const struct nic_queue *queue)
{
    const struct wire *wire = queue->driver;

    return wire && __atomic_load_n(&wire->broken, __ATOMIC_RELAXED);
}

int wire_set_link(struct nic_queue *queue, const struct channel_wire_link *message,
                  const int fds[CHANNEL_WIRE_LINK_FDS])
{
    struct wire *wire = queue->driver;
    struct wire_geometry geometry = {
        .end = message->end, .queues = message->queues, .ring_size = message->ring_size};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct session *session = calloc(1, sizeof(*session));
    int status = -ENOMEM;

    if (session)
        status = wire_half_map(&session->half, &geometry, message->queue, fds[0], fds[1], fds[2]);
    for (uint32_t i = 0; i < 3; i++)
        close(fds[i]);
    if (!status) {
        session->own_wake = fds[3];
        session->peer_wake = fds[4];
        /* its count is 1: this is also what wakes an owner that sleeps */
        if (epoll_ctl(wire->wait_fd, EPOLL_CTL_ADD, fds[3], &event))
            status = -errno;
        else
            session = __atomic_exchange_n(&wire->next, session, __ATOMIC_ACQ_REL);
    } else {
        close(fds[3]);
        close(fds[4]);
        free(session);
        return status;
    }
    free_session(session); /* on failure ours, else one that its owner never saw */
    return status;
}

int wire_open(struct nic_queue *queue, const struct impairment *impairment)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    bool impaired = impairment_any(impairment);

    if (!wire)
        return -ENOMEM;
    queue->driver = wire;
    queue->ops = impaired ? &wire_impaired_ops : &wire_ops;
    queue->nic->frame_max = queue->nic->mtu + ETHER_HEADER_SIZE;
    wire->timer_fd = -1;
    wire->wait_fd = epoll_create1(EPOLL_CLOEXEC);
    wire->heads = aligned_alloc(RING_ALIGN, (size_t)NIC_BATCH * HEAD_SIZE);
    wire->stage = aligned_alloc(RING_ALIGN, STAGE_SIZE + wire_stride(queue->nic->frame_max));
    if (wire->wait_fd < 0 || !wire->heads || !wire->stage)
        goto failed;
    if (impaired) {
        wire->impairer = impair_create(impairment, queue->index);
        wire->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (!wire->impairer || wire->timer_fd < 0 ||
            epoll_ctl(wire->wait_fd, EPOLL_CTL_ADD, wire->timer_fd, &event))
            goto failed;
    }
    return 0;

failed:
    wire_close(queue);
    return -ENOMEM;
}
