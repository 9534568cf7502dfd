/* SPDX-License-Identifier: BSD-2-Clause */
/* nic/wire_driver.h
 *
 *   TX  reserve() gives private memory, where records are put together one behind the other; some at
 *       a time they go into the ring, in whole lines (wire_link.h says why). flush() takes the rest
 *       there and publishes the batch. A frame of several lines is put together in the ring itself, which no
 *       other can write, while it is better stored as usual (ring_near.h); and a large send is always, for
 *       copying it once more would cost more than everything else about it. Its payload comes there
 *       straight from the port (commit_referring()), past this processor's cache.
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

#include "checksum.h"
#include "ring_near.h"
#include "stats.h"
#include "validate.h"
#include "wire.h"

#define HEAD_SIZE  256 /* bytes, header of the record included; more than any headers we parse */
#define AHEAD      4096 /* bytes that are asked for before they are looked at, where frames are long */
#define STAGE_SIZE 2048 /* bytes of records that wait to be copied; the cache's nearest part */

struct session {
    struct wire_half half;
    int own_wake, peer_wake;
    uint32_t abilities; /* enum wire_ability, agreed: what may come */
    uint32_t leaves;    /* and what we leave to the other end */
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
    uint8_t *stage;     /* STAGE_SIZE, and a frame of the longest kind that is no large send */
    uint32_t staged;    /* bytes */
    bool direct;        /* the frame reserved last lies in the ring, not on the stage */
    uint32_t longest;   /* bytes of ring of such a frame */
    uint32_t room_left; /* of the ring, less what is staged, and less what padding could take */
    uint32_t wanted;    /* bytes of a large send that found no room; 0: there was none */
    uint32_t may_leave; /* enum wire_ability: what the impairment allows */
    uint64_t tx_large, rx_large;
    uint64_t rx_unusable; /* whose marks do not hold */
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
    wire->staged = wire->room_left = wire->wanted = 0;
    if (wire->impairer)
        impair_cut_line(wire->impairer);
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

/* Copies what decides anything. `record` begins with its header. Whole cache lines: what is behind the
 * frame is never looked at. */
static void copy_head(uint8_t *head, const uint8_t *record, uint32_t stride)
{
    wire_copy_line(head, record);
    for (uint32_t at = RING_ALIGN; at < stride; at += RING_ALIGN)
        wire_copy_line(head + at, record + at);
}

/* The frame is `length` bytes from `skip` on in the record. */
static inline void take_frame(struct wire *wire, uint32_t index, struct nic_frame *frame,
                              const uint8_t *record, uint32_t skip, uint32_t length)
{
    struct ring_consumer *rx = &wire->session->half.rx;
    uint8_t *head = wire->heads + (size_t)index * HEAD_SIZE;
    uint32_t whole = HEAD_SIZE - skip;

    *frame = (struct nic_frame){.data = head + skip, .head_length = length, .length = length};
    if (length <= whole) {
        copy_head(head, record, wire_stride(length + skip - WIRE_HEADER_SIZE));
        return;
    }
    ring_consumer_ask(rx, rx->head - wire_stride(length + skip - WIRE_HEADER_SIZE), AHEAD);
    copy_head(head, record, HEAD_SIZE);
    frame->head_length = whole;
    wire->rest[index] = (struct nic_piece){record + HEAD_SIZE, length - whole};
    frame->pieces = &wire->rest[index];
    frame->piece_count = 1;
}

/* Something was left to us. What was not agreed breaks the link. */
static bool may_be_left(const struct wire *wire, uint32_t header)
{
    uint32_t abilities = wire->session->abilities;
    uint32_t behind = header & WIRE_LENGTH_MASK;

    if (header & WIRE_RECORD_UNKNOWN)
        return false;
    if (header & WIRE_RECORD_LARGE)
        return (abilities & WIRE_CAN_SEGMENT) && !(header & WIRE_RECORD_PARTIAL) &&
               behind >= sizeof(struct wire_marks);
    return abilities & WIRE_CAN_CHECKSUM;
}

/* A large send. False: its marks do not hold, and it is counted. Of them only how to cut matters, and that within
 * bounds: not into thousands of segments, nor into such as would not fit a packet of ours. */
static bool take_large(const struct nic_queue *queue, uint32_t index, struct nic_frame *frame,
                       const uint8_t *record, uint32_t header)
{
    struct wire *wire = queue->driver;
    uint32_t length = (header & WIRE_LENGTH_MASK) - (uint32_t)sizeof(struct wire_marks);
    uint32_t skip = WIRE_HEADER_SIZE + (uint32_t)sizeof(struct wire_marks);
    struct wire_marks marks;

    take_frame(wire, index, frame, record, skip, length);
    memcpy(&marks, wire->heads + (size_t)index * HEAD_SIZE + WIRE_HEADER_SIZE, sizeof(marks));
    if (marks.zero || length > WIRE_LARGE_FRAME_MAX || marks.segment_size < VALIDATE_SEGMENT_MIN ||
        marks.segment_size + (uint32_t)(IPV4_HEADER_MIN + TCP_HEADER_MIN) > queue->nic->mtu) {
        stats_add(&wire->rx_unusable, 1);
        return false;
    }
    frame->segment_size = marks.segment_size;
    stats_add(&wire->rx_large, 1);
    return true;
}

static bool take_marked(const struct nic_queue *queue, uint32_t index, struct nic_frame *frame,
                        const uint8_t *record, uint32_t header)
{
    if (!(header & WIRE_RECORD_LARGE))
        take_frame(queue->driver, index, frame, record, WIRE_HEADER_SIZE,
                   header & WIRE_LENGTH_MASK);
    else if (!take_large(queue, index, frame, record, header))
        return false;
    frame->checksum_partial = true;
    return true;
}

static void wire_release(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    if (ring_consumer_release(&wire->session->half.rx))
        wake_peer(wire->session);
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
    for (uint32_t looked = 0; looked < max; looked++) {
        const uint8_t *record;
        uint32_t header;
        enum ring_next next = wire_next_marked(rx, &header, &record);

        if (next == RING_NEXT_EMPTY)
            break;
        if (next == RING_NEXT_BROKEN) {
            give_up(wire);
            break;
        }
        __builtin_prefetch(record + (size_t)4 * RING_ALIGN);
        if (__builtin_expect(!(header & ~WIRE_LENGTH_MASK), 1)) {
            take_frame(wire, count, &frames[count], record, WIRE_HEADER_SIZE, header);
        } else if (!may_be_left(wire, header)) {
            give_up(wire);
            break;
        } else if (!take_marked(queue, count, &frames[count], record, header)) {
            continue;
        }
        bytes += frames[count].length;
        count++;
    }
    if (!count) /* nobody else will, and what was unusable takes room */
        wire_release(queue);
    stats_add(&queue->counters.rx_packets, count);
    stats_add(&queue->counters.rx_bytes, bytes);
    return count;
}

/* ── transmit, a perfect wire ── */

/* What was staged goes into the ring, where there is room for it: reserve() saw to that. */
static void unstage(struct wire *wire)
{
    struct ring_producer *tx = &wire->session->half.tx;
    uint32_t at = 0;

    while (at < wire->staged) {
        struct wire_record *record = (struct wire_record *)(wire->stage + at);

        at += wire_stride(record->header & WIRE_LENGTH_MASK);
        wire_put(tx, record);
    }
    wire->staged = 0;
}

/* As far as was known at the last look. */
static void note_room(struct wire *wire)
{
    uint32_t room = ring_producer_room(&wire->session->half.tx);

    wire->room_left = room > wire->longest ? room - wire->longest : 0;
}

/* Looks how much room there is. False: the other end is broken. */
static bool measure(struct wire *wire)
{
    unstage(wire);
    ring_near_look(&wire->session->half.tx);
    if (!ring_producer_refresh(&wire->session->half.tx)) {
        give_up(wire);
        wire->room_left = 0;
        return false;
    }
    note_room(wire);
    return true;
}

/* Frames of the longest kind that fit for sure; asks the other end's index only when it matters. */
static uint32_t wire_room(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;

    if (!wire->session || wire->broken)
        return 0;
    if (wire->room_left < wire->session->half.tx.size / 2 && !measure(wire))
        return 0;
    return wire->room_left / wire->longest;
}

/* The longest frame that is no large send. */
static uint32_t plain_max(const struct nic_queue *queue)
{
    return ETHER_HEADER_SIZE + queue->nic->mtu;
}

static bool takes_large(const struct wire *wire, uint32_t length)
{
    return length <= WIRE_LARGE_FRAME_MAX && (wire->session->leaves & WIRE_CAN_SEGMENT);
}

/* In the ring, behind all that was staged. */
static uint8_t *reserve_large(struct wire *wire, uint32_t length)
{
    struct ring_producer *tx = &wire->session->half.tx;
    uint32_t behind = (uint32_t)sizeof(struct wire_marks) + length;
    uint8_t *place;

    unstage(wire);
    if (!wire_has_room(tx, behind) && !measure(wire))
        return NULL;
    place = wire_reserve(tx, behind);
    note_room(wire); /* less what was padded */
    wire->wanted = place ? 0 : behind;
    return place ? place + WIRE_HEADER_SIZE + sizeof(struct wire_marks) : NULL;
}

/* In the ring as well, for it is to be stored as usual. There is room: padding was reckoned with. */
static uint8_t *reserve_direct(struct wire *wire, uint32_t length)
{
    uint8_t *place;

    unstage(wire);
    place = wire_reserve(&wire->session->half.tx, length);
    return place ? place + WIRE_HEADER_SIZE : NULL;
}

static uint8_t *wire_reserve_frame(struct nic_queue *queue, uint32_t length)
{
    struct wire *wire = queue->driver;
    uint32_t stride = wire_stride(length);

    if (!wire->session || wire->broken)
        return NULL;
    if (length > plain_max(queue))
        return takes_large(wire, length) ? reserve_large(wire, length) : NULL;
    if (wire->staged >= STAGE_SIZE)
        unstage(wire);
    if (wire->room_left < stride && (!measure(wire) || wire->room_left < stride))
        return NULL;
    wire->direct = ring_near_begin(&wire->session->half.tx, length);
    if (wire->direct)
        return reserve_direct(wire, length);
    return wire->stage + wire->staged + WIRE_HEADER_SIZE;
}

/* The other end would take the frame for finished: so it is finished here. */
static void fill_checksum(uint8_t *frame, uint32_t length, const struct nic_offload *offload)
{
    uint32_t start = offload->checksum_start;
    uint16_t checksum = checksum_finish(checksum_add(0, frame + start, length - start));

    if (!checksum)
        checksum = 0xffff; /* of the same worth, and for UDP not the same */
    memcpy(frame + start + offload->checksum_offset, &checksum, sizeof(checksum));
}

static void commit_large(struct wire *wire, uint32_t length, const struct nic_offload *offload)
{
    struct ring_producer *tx = &wire->session->half.tx;
    struct wire_record *record = (struct wire_record *)(tx->data + (tx->tail & (tx->size - 1)));
    const struct wire_marks marks = {.segment_size = offload ? offload->segment_size : 0};
    uint32_t behind = (uint32_t)sizeof(marks) + length;

    record->header = behind | WIRE_RECORD_LARGE;
    memcpy(record->frame, &marks, sizeof(marks));
    wire_commit(tx, behind);
    note_room(wire);
    stats_add(&wire->tx_large, 1);
}

static void wire_commit_frame(struct nic_queue *queue, uint32_t length,
                              const struct nic_offload *offload)
{
    struct wire *wire = queue->driver;
    struct ring_producer *tx = &wire->session->half.tx;
    struct wire_record *record = (struct wire_record *)(wire->stage + wire->staged);
    uint32_t header = length;

    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
    if (length > plain_max(queue)) {
        commit_large(wire, length, offload);
        return;
    }
    if (wire->direct)
        record = (struct wire_record *)(tx->data + (tx->tail & (tx->size - 1)));
    if (offload) {
        if (wire->session->leaves & WIRE_CAN_CHECKSUM)
            header |= WIRE_RECORD_PARTIAL;
        else
            fill_checksum(record->frame, length, offload);
    }
    record->header = header;
    if (wire->direct) {
        wire_commit(tx, length);
    } else {
        wire->staged += wire_stride(length);
    }
    wire->room_left -= wire_stride(length);
}

/* The head lies in the ring, and the rest goes there now, straight from where it was written. */
static void wire_commit_referring(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                                  uint32_t rest_length, const struct nic_offload *offload)
{
    const struct wire *wire = queue->driver;
    const struct ring_producer *tx = &wire->session->half.tx;
    uint8_t *frame =
        tx->data + (tx->tail & (tx->size - 1)) + WIRE_HEADER_SIZE + sizeof(struct wire_marks);

    stream_copy(frame + head, rest, rest_length);
    wire_commit_frame(queue, head + rest_length, offload);
}

static void publish(struct wire *wire)
{
    ring_near_look(&wire->session->half.tx);
    if (wire_publish(&wire->session->half.tx))
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

    if (!wire->session || (length > plain_max(queue) && !takes_large(wire, length)))
        return NULL;
    return impair_reserve(wire->impairer);
}

static void impaired_commit(struct nic_queue *queue, uint32_t length,
                            const struct nic_offload *offload)
{
    struct wire *wire = queue->driver;

    if (offload && !(wire->session->leaves & WIRE_CAN_CHECKSUM)) {
        fill_checksum(impair_reserve(wire->impairer), length, offload);
        offload = NULL;
    }
    impair_commit(wire->impairer, length, offload, wire->now_ns);
    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
}

static void impaired_commit_referring(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                                      uint32_t rest_length, const struct nic_offload *offload)
{
    struct wire *wire = queue->driver;

    memcpy(impair_reserve(wire->impairer) + head, rest, rest_length);
    impaired_commit(queue, head + rest_length, offload);
}

/* Into the ring. False: no room. */
static bool put_frame(struct wire *wire, const struct impair_frame *frame)
{
    struct wire_record *record = (struct wire_record *)wire->stage;
    const struct nic_offload offload = {.segment_size = frame->segment_size};
    uint8_t *place;

    if (!frame->segment_size) {
        record->header = frame->length | (frame->checksum_partial ? WIRE_RECORD_PARTIAL : 0);
        memcpy(record->frame, frame->bytes, frame->length);
        return wire_put(&wire->session->half.tx, record);
    }
    place = reserve_large(wire, frame->length);
    if (!place)
        return false;
    stream_copy(place, frame->bytes, frame->length);
    commit_large(wire, frame->length, &offload);
    return true;
}

/* What is due goes into the ring, as far as there is room. */
static void impaired_flush(struct nic_queue *queue)
{
    struct wire *wire = queue->driver;
    struct ring_producer *tx;
    struct impair_frame frame;

    if (!wire->session || wire->broken || impair_due_ns(wire->impairer) == IMPAIR_NEVER)
        return;
    tx = &wire->session->half.tx;
    wire->now_ns = clock_ns();
    queue->tx_pending = false;
    while (impair_next(wire->impairer, wire->now_ns, &frame)) {
        if (!wire_has_room(tx, frame.length) && !ring_producer_refresh(tx)) {
            give_up(wire);
            return;
        }
        if (!put_frame(wire, &frame)) {
            queue->tx_pending = true; /* the other end is slow */
            break;
        }
        impair_pop(wire->impairer);
    }
    publish(wire);
}

static uint32_t wire_extras(const struct nic_queue *queue, struct nic_extra *extras)
{
    const struct wire *wire = queue->driver;

    extras[0] = (struct nic_extra){"wire_tx_large", stats_read(&wire->tx_large)};
    extras[1] = (struct nic_extra){"wire_rx_large", stats_read(&wire->rx_large)};
    extras[2] = (struct nic_extra){"wire_rx_unusable", stats_read(&wire->rx_unusable)};
    return 3;
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
    return 5 + wire_extras(queue, extras + 5);
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
    if (!wire->impairer && (wire->wanted || !wire_room(queue)) &&
        !ring_producer_wait(&wire->session->half.tx,
                            wire->wanted ? wire->wanted : plain_max(queue))) {
        wire->wanted = 0;
        return false;
    }
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
    .commit_referring = wire_commit_referring,
    .flush = wire_flush,
    .fd = wire_fd,
    .sleep = wire_sleep,
    .extras = wire_extras,
    .close = wire_close,
};

const struct nic_ops wire_impaired_ops = {
    .name = "wire",
    .receive = wire_receive,
    .release = wire_release,
    .room = impaired_room,
    .reserve = impaired_reserve,
    .commit = impaired_commit,
    .commit_referring = impaired_commit_referring,
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

/* What the switch may leave to the NIC. */
static void set_capabilities(struct nic *nic, uint32_t leaves)
{
    nic->large_min = ETHER_HEADER_SIZE + nic->mtu;
    nic->frame_max = leaves & WIRE_CAN_SEGMENT ? WIRE_LARGE_FRAME_MAX : nic->large_min;
    nic->capabilities = 0;
    if (leaves & WIRE_CAN_CHECKSUM)
        nic->capabilities |= NIC_CAN_CHECKSUM | NIC_CAN_CHECKSUM_ANY;
    if (leaves & WIRE_CAN_SEGMENT)
        nic->capabilities |= NIC_CAN_SEGMENT | NIC_CAN_REFER;
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
        session->abilities = wire_abilities_fit(message->abilities, message->ring_size);
        session->leaves = session->abilities & wire->may_leave;
        set_capabilities(queue->nic, session->leaves);
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
    set_capabilities(queue->nic, 0);
    wire->longest = wire_stride(plain_max(queue));
    wire->may_leave = impairment_cuts(impairment) ? 0 : WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT;
    wire->timer_fd = -1;
    wire->wait_fd = epoll_create1(EPOLL_CLOEXEC);
    wire->heads = aligned_alloc(RING_ALIGN, (size_t)NIC_BATCH * HEAD_SIZE);
    wire->stage = aligned_alloc(RING_ALIGN, STAGE_SIZE + wire->longest);
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
