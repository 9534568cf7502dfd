/* SPDX-License-Identifier: BSD-2-Clause */
/* Into a port's ring: the end of each packet's way in. forward.h has the contract. */
#include "capture.h"
#include "checksum.h"
#include "core.h"
#include "forward.h"
#include "handover.h"
#include "moderation.h"
#include "ring_near.h"
#include "segment.h"

#define COPIES_AHEAD 12 /* cache lines that are on their way at a time */

struct port_ring *deliver_prefetch(const struct worker *worker, const struct owner *owner)
{
    struct port_ring *ring = &owner->port->rings[owner->ring ? owner->ring - 1 : 0];

    if ((!owner->ring && owner->port->ring_count != 1) || ring->worker != worker ||
        port_broken(owner->port) != DETACH_NONE)
        return NULL;
    ring_prefetch_write(ring->rx.data + (ring->rx.tail & (ring->rx.size - 1)));
    return ring;
}

static struct port_ring *ring_of(const struct worker *worker, struct port *port,
                                 const struct delivery *delivery)
{
    uint32_t hash;

    if (port->ring_count == 1)
        return &port->rings[0];
    if (delivery->ring)
        return &port->rings[delivery->ring - 1];
    hash = packet_flow_hash(&worker->core->key, delivery->view);
    /* scales the hash to the number of rings without dividing */
    return &port->rings[(uint64_t)hash * port->ring_count >> 32];
}

static void touch(struct worker *worker, struct port_ring *ring)
{
    ring->touched_next = worker->touched;
    worker->touched = ring;
    /* for deliver_publish(); the other side has both lines now */
    ring_prefetch_write(&ring->rx.control->tail);
    if (!ring_near_is_due(&ring->rx))
        __builtin_prefetch(&ring->rx.control->consumer_sleeps);
}

/* Looks at the consumer's index, because the room known is not enough. */
static bool refresh(struct worker *worker, struct port_ring *ring)
{
    ring_near_look(&ring->rx);
    if (ring_producer_refresh(&ring->rx))
        return true;
    port_break(ring->port, DETACH_RING_INDEX);
    worker->broken = true;
    return false;
}

static uint8_t *reserve(struct worker *worker, struct port_ring *ring, uint32_t length)
{
    uint8_t *place = ring_producer_reserve(&ring->rx, length);

    if (!place && refresh(worker, ring))
        place = ring_producer_reserve(&ring->rx, length);
    return place;
}

static uint8_t *reserve_record(struct worker *worker, struct port_ring *ring, uint32_t length)
{
    uint8_t *place = ring_producer_place(&ring->rx, length);

    if (!place && refresh(worker, ring))
        place = ring_producer_place(&ring->rx, length);
    return place;
}

static void count(struct worker *worker, struct port_ring *ring, uint32_t length)
{
    if (!ring->batch_packets++)
        touch(worker, ring);
    ring->batch_bytes += length;
}

static void commit(struct worker *worker, struct port_ring *ring, const struct ring_record *record)
{
    ring_producer_commit(&ring->rx, record);
    count(worker, ring, record->length);
}

/* Behind what is in `lines`, or, where that is NULL, to `to`. */
static inline void gather(uint8_t *to, struct stream_lines *lines, const struct nic_frame *frame,
                          uint32_t offset, uint32_t length)
{
    const uint8_t *from = frame->data;
    uint32_t size = frame->head_length;

    for (uint32_t next = 0;; next++) {
        if (offset < size) {
            uint32_t part = size - offset < length ? size - offset : length;

            if (lines) {
                stream_add(lines, from + offset, part);
            } else {
                memcpy(to, from + offset, part);
                to += part;
            }
            length -= part;
            offset = 0;
        } else {
            offset -= size;
        }
        if (!length || next == frame->piece_count)
            return;
        from = frame->pieces[next].data;
        size = frame->pieces[next].length;
    }
}

void frame_gather(uint8_t *to, const struct nic_frame *frame, uint32_t offset, uint32_t length)
{
    gather(to, NULL, frame, offset, length);
}

/* Fewer short records of one ring are no stream: their reader has them sooner from a cache than, line by line,
 * from memory (254 ports with one or two records each: 47 ns a packet to read instead of 31). A long one
 * is a stream by itself. */
#define STREAM_LEAST 8

/* Decides how it will be written, and asks for its first line if that is as usual and `wanted`. */
static inline void prepare_copy(struct packet_copy *copy, bool wanted)
{
    struct port_ring *ring = copy->ring;
    bool choice = ring_near_has_choice(copy->length);

    if (choice)
        ring->rx.near_turn++;
    copy->stream =
        ring->far && (choice ? ring_is_far(&ring->rx) : ring->batch_packets >= STREAM_LEAST);
    if (wanted && !copy->stream)
        ring_prefetch_write(copy->to);
}

/* Everything that was noted is written, one record after the other, each from front to back, with
 * its cache line asked for in time; or past the cache, where many are for another processor (stream.h). */
static void write_copies(struct worker *worker)
{
    struct packet_copy *copies = worker->copies;
    uint32_t count = worker->copy_count;

    worker->copy_count = 0;
    for (uint32_t i = 0; i < count && i < COPIES_AHEAD; i++) /* of others note_copy() has asked */
        prepare_copy(&copies[i], copies[i].ring->far);
    for (uint32_t i = 0; i < count; i++) {
        const struct packet_copy *copy = &copies[i];

        if (i + COPIES_AHEAD < count)
            prepare_copy(&copies[i + COPIES_AHEAD], true);
        if (copy->stream) {
            ring_stream_settled(copy->to, copy->header, copy->from, copy->length);
            worker->streamed = true;
            continue;
        }
        ring_write_words(copy->to, copy->header);
        ring_copy(copy->to + sizeof(struct ring_record), copy->from, copy->length);
    }
}

/* Notes what is to be written where. Were it written at once, all the other work on the next packets
 * would stand in the same queue of stores, behind lines that have yet to come from other cores; and
 * here it is known which lines will be needed. */
static inline void note_copy(struct worker *worker, struct port_ring *ring, uint8_t *to,
                             const uint8_t *from, const struct ring_record *record)
{
    struct packet_copy *copy = &worker->copies[worker->copy_count++];

    copy->to = to;
    copy->from = from;
    ring_header_words(record, copy->header);
    copy->length = record->length;
    copy->ring = ring;
    if (worker->copy_count <= COPIES_AHEAD && !ring->far)
        ring_prefetch_write(to);
    ring_producer_keep(&ring->rx, record->length);
    count(worker, ring, record->length);
    if (worker->copy_count == WORKER_COPIES_MAX)
        write_copies(worker);
}

/* NULL: there is no room, as far as is known, or never will be. */
static inline uint8_t *place_simply(struct port_ring *ring, uint32_t length)
{
    if (length > ring_packet_max(ring->rx.size))
        return NULL;
    return ring_producer_place(&ring->rx, length);
}

bool deliver_simple(struct worker *worker, struct port_ring *ring, const uint8_t *packet,
                    uint32_t length, uint16_t flags)
{
    const struct ring_record record = {.length = length, .flags = flags};
    uint8_t *to = place_simply(ring, length);

    if (!to)
        return false;
    note_copy(worker, ring, to, packet, &record);
    return true;
}

/* Whether a long record that is written by itself does. */
static bool goes_past_cache(struct port_ring *ring, uint32_t length)
{
    return ring->far && ring_near_has_choice(length) && !ring_near_begin(&ring->rx, length);
}

/* All of a record goes one way: a line that is stored as usual among those that go past the cache would be waited for
 * by all behind it. */
static void write_in_two(struct worker *worker, const struct packet_copy_in_two *copy)
{
    uint8_t *to = copy->to + sizeof(struct ring_record);
    struct stream_lines lines;

    if (goes_past_cache(copy->ring, copy->head_length + copy->rest_length)) {
        stream_begin(&lines, copy->to, copy->header);
        stream_add(&lines, copy->head, copy->head_length);
        stream_add(&lines, copy->rest, copy->rest_length);
        stream_end(&lines);
        worker->streamed = true;
        return;
    }
    ring_write_words(copy->to, copy->header);
    ring_copy(to, copy->head, copy->head_length);
    memcpy(to + copy->head_length, copy->rest, copy->rest_length);
}

static void write_copies_in_two(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->copy_in_two_count; i++)
        write_in_two(worker, &worker->copies_in_two[i]);
    worker->copy_in_two_count = 0;
}

bool deliver_in_two(struct worker *worker, struct port_ring *ring, const struct nic_frame *frame,
                    uint32_t length, uint16_t flags)
{
    const struct ring_record record = {.length = length, .flags = flags};
    const uint32_t head = frame->head_length - ETHER_HEADER_SIZE;
    struct packet_copy_in_two *copy;
    uint8_t *to;

    if (length <= head)
        return deliver_simple(worker, ring, frame->data + ETHER_HEADER_SIZE, length, flags);
    to = place_simply(ring, length);
    if (!to)
        return false;
    copy = &worker->copies_in_two[worker->copy_in_two_count++];
    *copy = (struct packet_copy_in_two){
        .to = to,
        .head = frame->data + ETHER_HEADER_SIZE,
        .rest = frame->pieces[0].data,
        .head_length = head,
        .rest_length = length - head,
        .ring = ring,
    };
    ring_header_words(&record, copy->header);
    ring_producer_keep(&ring->rx, length);
    count(worker, ring, length);
    return true;
}

/* Past the cache from its header on: a line that is stored as usual among those that are not would be waited
 * for by all behind it. */
static void stream_pieces(struct worker *worker, uint8_t *place, const struct ring_record *record,
                          const struct delivery *delivery)
{
    struct stream_lines lines;

    ring_stream_begin(&lines, place, record);
    gather(NULL, &lines, delivery->frame, delivery->offset, record->length);
    stream_end(&lines);
    worker->streamed = true;
}

static enum drop_reason deliver_pieces(struct worker *worker, struct port_ring *ring,
                                       const struct delivery *delivery,
                                       const struct ring_record *record)
{
    uint8_t *place = reserve_record(worker, ring, record->length);

    if (!place)
        return DROP_RX_PORT_FULL;
    if (goes_past_cache(ring, record->length)) {
        stream_pieces(worker, place, record, delivery);
    } else {
        ring_write_header(place, record);
        gather(place + sizeof(*record), NULL, delivery->frame, delivery->offset, record->length);
    }
    ring_producer_keep(&ring->rx, record->length);
    count(worker, ring, record->length);
    return DROP_NONE;
}

static enum drop_reason deliver_whole(struct worker *worker, struct port_ring *ring,
                                      const struct delivery *delivery)
{
    const struct ring_record record = {
        .length = delivery->view->length,
        .flags = (uint16_t)(delivery->flags | (delivery->segment_size ? RECORD_SEGMENT : 0)),
        .segment_size = delivery->segment_size,
    };
    uint8_t *to;

    if (delivery->frame->piece_count)
        return deliver_pieces(worker, ring, delivery, &record);
    to = reserve_record(worker, ring, record.length);
    if (!to)
        return DROP_RX_PORT_FULL;
    note_copy(worker, ring, to, delivery->frame->data + delivery->offset, &record);
    if (!delivery->stays)
        write_copies(worker);
    return DROP_NONE;
}

/* What the checksum of a merged packet is, so that its segments get one of the same worth. */
enum merged_checksum { MERGED_PARTIAL, MERGED_GOOD, MERGED_BAD };

static enum merged_checksum judge_checksum(const uint8_t *packet, const struct packet_view *view,
                                           bool may_be_partial)
{
    uint32_t length = view->length - (uint32_t)view->transport;
    uint64_t pseudo = packet_pseudo_header(packet, view, length);
    uint16_t field;

    memcpy(&field, packet + packet_checksum_offset(view), 2);
    if (may_be_partial && field == checksum_fold(pseudo))
        return MERGED_PARTIAL;
    return checksum_finish(checksum_add(pseudo, packet + view->transport, length)) ? MERGED_BAD
                                                                                   : MERGED_GOOD;
}

static enum drop_reason deliver_cut(struct worker *worker, struct port_ring *ring,
                                    const struct delivery *delivery)
{
    struct segment_cursor cursor = {.view = delivery->view, .size = delivery->segment_size};
    const uint8_t *whole = delivery->frame->data + delivery->offset;
    struct ring_record record = {.flags = delivery->flags};
    enum merged_checksum checksum;

    if (delivery->frame->piece_count) {
        frame_gather(worker->scratch_cut, delivery->frame, delivery->offset,
                     delivery->view->length);
        whole = worker->scratch_cut;
    }
    cursor.whole = whole;
    checksum = judge_checksum(whole, delivery->view, delivery->flags & RECORD_CHECKSUM_PARTIAL);
    if (checksum == MERGED_BAD)
        return DROP_RX_UNPARSED; /* segments made from it would look whole */
    while ((record.length = segment_next_length(&cursor)) != 0) {
        uint8_t *place = reserve(worker, ring, record.length);

        if (!place)
            return DROP_RX_PORT_FULL; /* TCP sends the rest again */
        segment_write(&cursor, place, checksum == MERGED_PARTIAL);
        commit(worker, ring, &record);
    }
    return DROP_NONE;
}

enum drop_reason deliver_to_ring(struct worker *worker, struct port_ring *ring,
                                 const struct delivery *delivery)
{
    struct port *port = ring->port;
    enum drop_reason reason;

    if (port_broken(port) != DETACH_NONE)
        reason = DROP_RX_NOT_BOUND;
    else if (delivery->segment_size &&
             (!port->merged_rx || delivery->view->length > ring_packet_max(port->rx_size)))
        reason = deliver_cut(worker, ring, delivery);
    else if (delivery->view->length > ring_packet_max(port->rx_size))
        reason = DROP_RX_TOO_BIG;
    else
        reason = deliver_whole(worker, ring, delivery);
    if (reason != DROP_NONE)
        stats_drop(&ring->drops, reason);
    return reason;
}

enum drop_reason deliver(struct worker *worker, struct port *port, const struct delivery *delivery)
{
    struct port_ring *ring = ring_of(worker, port, delivery);
    enum drop_reason reason;

    if (__builtin_expect(ring->worker == worker, 1))
        return deliver_to_ring(worker, ring, delivery);
    reason = handover_packet(worker, ring, delivery);
    if (reason != DROP_NONE)
        stats_drop_shared(&ring->drops, reason);
    return reason;
}

/* All indices, one fence, then all flags. */
void deliver_publish(struct worker *worker)
{
    struct port_ring *first = worker->touched;

    handover_publish(worker);
    if (!first)
        return;
    write_copies(worker);
    write_copies_in_two(worker);
    if (worker->streamed)
        stream_fence();
    worker->streamed = false;
    if (__builtin_expect(worker->tap_count != 0, 0))
        first = capture_received(worker);
    worker->touched = NULL;
    for (struct port_ring *ring = first; ring; ring = ring->touched_next) {
        ring_near_look(&ring->rx);
        ring_producer_show(&ring->rx);
    }
    ring_fence();
    for (struct port_ring *ring = first; ring; ring = ring->touched_next) {
        uint32_t cpu = ring_load_relaxed(&ring->rx.control->consumer_cpu);

        stats_add(&ring->traffic.rx_packets, ring->batch_packets);
        stats_add(&ring->traffic.rx_bytes, ring->batch_bytes);
        ring->batch_packets = ring->batch_bytes = 0;
        ring->far = cpu && worker->cpu && cpu != worker->cpu;
        if (worker->poll
                .bound_ns) /* it will be answered, and who polls need not be woken for that */
            worker_activate(worker, ring);
        moderation_published(worker, ring);
    }
}

/* A token bucket in virtual time: one number. Where several workers serve the port it may give a
 * few more. */
static bool icmp_allowed(struct port *port, uint64_t now_ns)
{
    const uint64_t burst = PORT_ICMP_BURST * PORT_ICMP_INTERVAL;

    uint64_t due_ns = __atomic_load_n(&port->icmp_due_ns, __ATOMIC_RELAXED);

    if (due_ns + burst < now_ns)
        due_ns = now_ns - burst;
    if (due_ns > now_ns)
        return false;
    __atomic_store_n(&port->icmp_due_ns, due_ns + PORT_ICMP_INTERVAL, __ATOMIC_RELAXED);
    return true;
}

#define ICMP_QUOTE_IPV4  548  /* bytes: RFC 1812 section 4.3.2.3, no longer than 576 in all */
#define ICMP_QUOTE_IPV6  1232 /* RFC 4443 section 2.4(c): within the minimum MTU of 1,280 */
#define ICMP_PACKET_MAX  1280
#define ICMP_DEFAULT_TTL 64

/* Both write a packet from the sender to itself: the switch has no address of its own. */
static uint32_t write_icmp_v4(uint8_t *out, const uint8_t *packet, uint32_t length, uint32_t mtu)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)out;
    struct wire_icmp *icmp = (struct wire_icmp *)(out + IPV4_HEADER_MIN);
    const struct wire_ipv4 *quoted = (const struct wire_ipv4 *)packet;
    uint32_t quote = length < ICMP_QUOTE_IPV4 ? length : ICMP_QUOTE_IPV4;
    uint32_t total = IPV4_HEADER_MIN + ICMP_HEADER_SIZE + quote;

    *ip = (struct wire_ipv4){
        .version_ihl = 0x45,
        .total_length = htons((uint16_t)total),
        .ttl = ICMP_DEFAULT_TTL,
        .protocol = IP_PROTOCOL_ICMP,
    };
    memcpy(ip->source, quoted->source, 4);
    memcpy(ip->destination, quoted->source, 4);
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    *icmp = (struct wire_icmp){
        .type = ICMP_DESTINATION_UNREACHABLE,
        .code = ICMP_FRAGMENTATION_NEEDED,
        .rest = htonl(mtu),
    };
    memcpy(icmp + 1, packet, quote);
    icmp->checksum = checksum_finish(checksum_add(0, icmp, ICMP_HEADER_SIZE + quote));
    return total;
}

static uint32_t write_icmp_v6(uint8_t *out, const uint8_t *packet, uint32_t length, uint32_t mtu)
{
    struct wire_ipv6 *ip = (struct wire_ipv6 *)out;
    struct wire_icmp *icmp = (struct wire_icmp *)(out + IPV6_HEADER_SIZE);
    const struct wire_ipv6 *quoted = (const struct wire_ipv6 *)packet;
    uint32_t quote = length < ICMP_QUOTE_IPV6 ? length : ICMP_QUOTE_IPV6;
    uint32_t payload = ICMP_HEADER_SIZE + quote;
    uint64_t pseudo;

    *ip = (struct wire_ipv6){
        .version_class_flow = htonl(0x60000000),
        .payload_length = htons((uint16_t)payload),
        .next_header = IP_PROTOCOL_ICMPV6,
        .hop_limit = ICMP_DEFAULT_TTL,
    };
    memcpy(ip->source, quoted->source, 16);
    memcpy(ip->destination, quoted->source, 16);
    *icmp = (struct wire_icmp){.type = ICMPV6_PACKET_TOO_BIG, .rest = htonl(mtu)};
    memcpy(icmp + 1, packet, quote);
    pseudo = checksum_pseudo_header(ip->source, ip->destination, 16, IP_PROTOCOL_ICMPV6, payload);
    icmp->checksum = checksum_finish(checksum_add(pseudo, icmp, payload));
    return IPV6_HEADER_SIZE + payload;
}

void deliver_too_big(struct worker *worker, struct port *port, const uint8_t *packet,
                     const struct packet_view *view, uint32_t mtu)
{
    uint8_t out[ICMP_PACKET_MAX];
    struct nic_frame frame = {.data = out};
    struct packet_view error = *view; /* the flow that it is about chooses the ring */
    struct delivery delivery = {.frame = &frame, .view = &error};

    if (!icmp_allowed(port, worker->now_ns))
        return;
    delivery.ring = namespace_ring(&worker->names, &view->local, port);
    error.length = view->family == 4 ? write_icmp_v4(out, packet, view->length, mtu)
                                     : write_icmp_v6(out, packet, view->length, mtu);
    frame.head_length = frame.length = error.length;
    deliver(worker, port, &delivery);
}
