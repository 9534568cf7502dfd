/* SPDX-License-Identifier: BSD-2-Clause */
/* From the ports to NICs, and to other ports of this host.
 *
 *   record ─► copy ─► validate ─► may this port send so? ─► next hop ─┬─► NIC (whole, or in segments)
 *                                                                     ├─► a port of this host
 *                                                                     ├─► parked
 *                                                                     └─► dropped, with a reason
 *
 * The packet of a flow that has just sent one takes a shorter way (sent_flow.h): what was found out for
 * the one before is not found out again. A ring whose packets come from ever other bindings of a large
 * namespace has the slots of the next ones asked for while one is served.
 *
 * Copied to where it will be sent from, when that is clear: into a frame of the NIC that this ring
 * used last. Otherwise (another NIC, segments to be cut, a NIC that is full or down) into the
 * worker's scratch memory, which is as private. Of a long packet that its NIC takes whole, with the checksum
 * left to others, only the head is copied and validated; nobody here looks at the rest, which the kernel
 * copies out of the port's memory before the ring has it back (commit_referring(), settle()). A ring has such
 * records back at the end of the round, or as soon as they are a quarter of it: so that several leave in one
 * system call, and whoever writes into the ring meanwhile finds room.
 *
 * Shares. Each ring has its turn in each round, and in each turn may send RING_QUANTUM bytes, as they
 * take time on the wire: with headers, check sequences and gaps, however many packets that is. What it
 * sent beyond, because its last packet was longer, it owes to its next turns (deficit round robin,
 * Shreedhar and Varghese 1995, with debts, so that nobody has to know the length before). A ring that
 * is empty saves nothing up. A round has several turns for each where few use theirs. Where a full NIC
 * (or the end of the budget of a round) interrupts a turn, the next round goes on with it. So all rings
 * that always have something get equal shares, whatever the length of their packets. While a NIC holds a
 * turn up, a round looks at a few of the other rings only, for most of them wait for the same NIC: were a
 * thousand asked, it would have run empty before it is filled again.
 *
 * Rates. A port that the administrator has limited sends no more than that (rate_limit.h): what its
 * ring may send of it is looked up once in a turn, and the turn ends there. The records stay in the
 * ring, the ring leaves the round until it may send again, and a worker with nothing else to do
 * sleeps till then.
 *
 * A full NIC holds rings back: their records stay where they are, and the stacks feel it as rings
 * that fill up, as a socket does when the device's queue is full. After NIC_PATIENCE_NS without any
 * progress they are dropped, so that a device that is stuck does not hold the packets for others. */
#include "capture.h"
#include "core.h"
#include "forward.h"
#include "send.h"
#include "sent_flow.h"
#include "validate.h"

#define NIC_PATIENCE_NS 100000000ULL
#define SOURCES_AHEAD   8    /* records: 400 ns */
#define RECORD_LONG     192  /* bytes: the next ones are asked for as well … */
#define AHEAD           4096 /* … up to there */

#define WIRE_OVERHEAD 38 /* bytes: Ethernet's header, check sequence, preamble and gap */

/* What a record costs its ring: its time on the wire. What was dropped is not for nothing. */
static int32_t cost_of(const struct outgoing *out, enum drop_reason reason)
{
    uint32_t frames = out->frames ? out->frames : 1;
    uint32_t copies = reason == DROP_NONE ? (frames - 1) * (uint32_t)out->view.headers : 0;

    return (int32_t)(out->record.length + copies + frames * WIRE_OVERHEAD);
}

/* A ring's turn begins, or goes on. False: it still pays for what it sent before. */
static bool begin_turn(struct port_ring *ring)
{
    if (!ring->in_turn)
        ring->credit += RING_QUANTUM;
    ring->in_turn = ring->credit > 0;
    return ring->in_turn;
}

/* It has nothing more to send. */
static void end_turn(struct port_ring *ring)
{
    ring->in_turn = false;
    if (ring->credit > 0)
        ring->credit = 0;
}

static_assert(WORKER_HEAD_SIZE >= IPV6_HEADER_SIZE + TCP_HEADER_MAX, "all that is validated");
static_assert(WORKER_HEAD_SIZE % 16 == 0, "copied in blocks");

typedef sent_block block;

/* The first `length` bytes of a block, from registers, fewer than 16. */
static void store_part(uint8_t *to, block from, uint32_t length)
{
    uint64_t word = from[0];

    if (length & 8) {
        memcpy(to, &word, 8);
        to += 8;
        word = from[1];
    }
    if (length & 4) {
        memcpy(to, &word, 4);
        to += 4;
        word >>= 32;
    }
    if (length & 2) {
        memcpy(to, &word, 2);
        to += 2;
        word >>= 16;
    }
    if (length & 1)
        *to = (uint8_t)word;
}

static bool owns_source(const struct worker *worker, struct port_ring *ring,
                        const struct packet_view *view)
{
    const struct namespace_table *names = &worker->names;

    if (ring->source_version == names->version && tuple_equal(&ring->source, &view->local))
        return true;
    if (!namespace_may_send(names, &view->local, ring->port))
        return namespace_may_send_connected(names, view, ring->port);
    ring->source = view->local;
    ring->source_version = names->version;
    ring->source_varies = true;
    return true;
}

/* Whoever was told that it has bound may send, though this worker has not come round since. */
static bool may_send(struct worker *worker, struct port_ring *ring, const struct packet_view *view)
{
    return owns_source(worker, ring, view) ||
           (crew_catch_up(worker) && owns_source(worker, ring, view));
}

/* Remembers the packet where the next one of its flow may go the short way. */
static void note_flow(const struct worker *worker, const struct outgoing *out)
{
    struct port_ring *ring = out->ring;

    ring->flow.known = false;
    if (ring->hop->state == NEXT_HOP_READY && ring->source_version == worker->names.version &&
        tuple_equal(&ring->source, &out->view.local))
        sent_flow_note(&ring->flow, worker->names.version, &out->view, out->head);
}

/* The packet lies in private memory. */
static enum drop_reason send_copy(struct worker *worker, struct outgoing *out)
{
    struct port_ring *ring = out->ring;
    enum drop_reason reason = validate_packet(out->head, &out->record, &out->view);

    if (reason != DROP_NONE)
        return reason;
    protocols_fit(&worker->core->protocols, &out->view);
    if (!may_send(worker, ring, &out->view))
        return DROP_TX_NOT_BOUND;
    if (!ring->hop || !next_hop_matches(ring->hop, &out->view) ||
        worker->now_ns >= ring->hop->ask_at_ns) {
        ring->hop = next_hop_find(&worker->hops, &out->view, worker->now_ns);
        if (!ring->hop)
            return DROP_TX_UNRESOLVED;
    }
    reason = send_by_hop(worker, ring->hop, out);
    if (reason == DROP_NONE)
        note_flow(worker, out);
    return reason;
}

static void count(struct port_ring *ring, enum drop_reason reason, const struct outgoing *out)
{
    ring->credit -= cost_of(out, reason);
    if (reason != DROP_NONE) {
        stats_drop(&ring->drops, reason);
        return;
    }
    if (!out->frames)
        return; /* parked: counted when it goes on */
    ring->limit.more_frames += out->frames - 1;
    stats_add(&ring->traffic.tx_packets, 1);
    stats_add(&ring->traffic.tx_bytes, out->view.length);
}

/* Copies the packet into its frame, and on the way, out of the same registers, its headers into the
 * worker's own memory, where they are validated: so what is validated are the very bytes of the
 * frame. Were they read back from the frame, each packet would wait until the frame's cache line has
 * come from whoever received the frame before, 60 ns and more; and so it would where a load wants
 * bytes of two stores. Hence aligned blocks, and no memcpy() of a variable length. */
static void copy_packet(uint8_t *head, uint8_t *packet, const uint8_t *shared, uint32_t length)
{
    for (uint32_t at = 0; at < WORKER_HEAD_SIZE; at += sizeof(block)) {
        /* a record is whole cache lines: the last block ends within it */
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has data */
        block bytes = *(const volatile block *)(shared + at);

        *(block *)(head + at) = bytes;
        if (at + sizeof(block) >= length) {
            if (at + sizeof(block) == length)
                *(block *)(packet + at) = bytes;
            else
                store_part(packet + at, bytes, length - at);
            return;
        }
        *(block *)(packet + at) = bytes;
    }
    memcpy(packet + WORKER_HEAD_SIZE, shared + WORKER_HEAD_SIZE, length - WORKER_HEAD_SIZE);
}

/* The one copy, out of the application's reach. `shared` is record->length bytes, and stays until the end of
 * the turn. */
static void forward_record(struct worker *worker, struct worker_queue *queue, struct outgoing *out,
                           const uint8_t *shared)
{
    uint32_t length = out->record.length;
    uint8_t *frame = NULL;

    if (length == 0 || length > IP_PACKET_MAX) {
        stats_drop(&out->ring->drops, DROP_TX_BAD_LENGTH);
        out->ring->credit -= WIRE_OVERHEAD;
        return;
    }
    /* A record to be cut here must not lie in the frame that its first segment would take. */
    if (queue && send_goes_whole(queue, &out->record))
        frame = send_reserve(queue, ETHER_HEADER_SIZE + length);
    out->queue = frame ? queue : NULL;
    out->packet = (frame ? frame : worker->scratch) + ETHER_HEADER_SIZE;
    out->head = worker->head;
    out->rest = frame && send_may_refer(queue, &out->record) ? shared + WORKER_HEAD_SIZE : NULL;
    copy_packet(worker->head, out->packet, shared, out->rest ? WORKER_HEAD_SIZE : length);
    count(out->ring, send_copy(worker, out), out);
}

/* A ring's turn, or a part of it. */
struct turn {
    struct port_ring *ring;
    struct worker_queue *queue; /* that its packets most likely leave by; NULL: there is none */
    bool up;
    uint32_t longest; /* packet that may take the short way; 0: none may */
    uint32_t most;    /* records that the ring's rate allows */
    int32_t withheld; /* credit that its rate does not let it use */
};

/* Whether, and up to which length, packets may go the short way. */
static void find_short_way(const struct worker *worker, struct turn *turn)
{
    const struct next_hop *hop = turn->ring->hop;
    const struct nic *nic;
    uint32_t longest;

    turn->longest = 0;
    if (!turn->up ||
        !sent_flow_holds(&turn->ring->flow, worker->names.version, hop, worker->now_ns))
        return;
    nic = turn->queue->queue->nic;
    if (nic->index != hop->nic)
        return;
    longest = nic->frame_max;
    if (nic->capabilities && nic->large_min < longest)
        longest = nic->large_min;
    longest -= ETHER_HEADER_SIZE;
    turn->longest = longest < hop->mtu ? longest : hop->mtu;
}

/* A packet like the one before it: what is compared in registers is what is stored into the frame.
 * False: it is not like it, and nothing was done; the ordinary way copies it again, and looks at that
 * copy. */
static bool forward_alike(const struct turn *turn, const uint8_t *shared, uint32_t length)
{
    struct port_ring *ring = turn->ring;
    struct nic_queue *queue = turn->queue->queue;
    /* a record is whole cache lines: the third block ends within the first */
    const block first = *(const volatile block *)shared;
    const block second = *(const volatile block *)(shared + 16);
    const block third = *(const volatile block *)(shared + 32);
    uint8_t *frame;

    if (!sent_flow_is_like(&ring->flow, first, second, third, length))
        return false;
    frame = queue->ops->reserve(queue, ETHER_HEADER_SIZE + length);
    if (!frame)
        return false;
    send_write_ether(frame, ring->hop, queue->nic);
    frame += ETHER_HEADER_SIZE;
    *(block *)frame = first;
    *(block *)(frame + 16) = second;
    if (length >= 48) {
        *(block *)(frame + 32) = third;
        memcpy(frame + 48, shared + 48, length - 48);
    } else {
        store_part(frame + 32, third, length - 32);
    }
    queue->ops->commit(queue, ETHER_HEADER_SIZE + length, NULL);
    turn->queue->room--;
    ring->credit -= (int32_t)(length + WIRE_OVERHEAD);
    stats_add(&ring->traffic.tx_packets, 1);
    stats_add(&ring->traffic.tx_bytes, length);
    return true;
}

/* Whether a ring may go on although its NIC gives no more room. */
static bool lost_patience(struct worker *worker, struct worker_queue *queue)
{
    worker->tx_pending = true;
    if (!queue->stuck_since_ns)
        queue->stuck_since_ns = worker->now_ns;
    return worker->now_ns - queue->stuck_since_ns > NIC_PATIENCE_NS;
}

/* Has the namespace's slot come for the next record of a ring that sends from many bindings: in a large
 * table it would be waited for, which costs more than all the rest of a packet. What lies in shared
 * memory is believed as far as this goes: it chooses a slot to ask for, and nothing else. */
static void prefetch_source(const struct worker *worker, struct ring_consumer *ahead)
{
    const struct tuple_table *bindings = &worker->names.bindings;
    struct ring_record record;
    struct tuple source;
    const uint8_t *ip;
    uint32_t header;
    be16 port;

    if (ring_consumer_next(ahead, &record, &ip) != RING_NEXT_PACKET)
        return;
    header = ip[0] >> 4 == 6 ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN;
    if (record.length < header + sizeof(port))
        return;
    memcpy(&port, ip + header, sizeof(port));
    if (header == IPV4_HEADER_MIN)
        source = tuple_make(ip + offsetof(struct wire_ipv4, source), 4,
                            ip[offsetof(struct wire_ipv4, protocol)], port);
    else
        source = tuple_make(ip + offsetof(struct wire_ipv6, source), 6,
                            ip[offsetof(struct wire_ipv6, next_header)], port);
    tuple_table_prefetch(bindings, tuple_hash(&bindings->key, &source));
}

/* Takes one record. False: it stays where it is, for want of room. */
static bool serve_record(struct worker *worker, struct turn *turn, const struct ring_record *record,
                         const uint8_t *shared)
{
    struct worker_queue *queue = turn->queue;
    struct outgoing out; /* filled step by step: clearing it would cost as much as a step */

    if (record->length <= turn->longest && record->length >= SENT_FLOW_LENGTH && !record->flags &&
        queue->room && forward_alike(turn, shared, record->length))
        return true;
    if (turn->up && !send_has_room(queue, record) && !lost_patience(worker, queue)) {
        turn->ring->interrupted = queue->interrupted = true;
        return false;
    }
    out.ring = turn->ring;
    out.frames = 0;
    out.record = *record;
    forward_record(worker, queue, &out, shared);
    find_short_way(worker, turn);
    return true;
}

/* A limited ring has something to send and may not. */
static void hold_back(struct worker *worker, struct port_ring *ring)
{
    end_turn(ring);
    ring->held = true; /* stays() takes it out of the round */
    ring->held_until_ns = rate_limit_due(&ring->limit, worker->now_ns);
    stats_add(&ring->tx_limited, 1);
}

/* What the ring's rate leaves of its turn. False: nothing. */
static bool begin_limited(struct worker *worker, struct turn *turn)
{
    struct port_ring *ring = turn->ring;
    uint64_t bytes;

    rate_limit_fill(&ring->limit, worker->now_ns);
    if (!rate_limit_allows(&ring->limit)) {
        if (ring->tx.head != ring->tx.tail)
            hold_back(worker, ring);
        return false;
    }
    if (!begin_turn(ring))
        return false;
    turn->most = rate_limit_packets(&ring->limit);
    bytes = rate_limit_bytes(&ring->limit);
    if ((uint64_t)ring->credit > bytes) {
        turn->withheld = ring->credit - (int32_t)bytes;
        ring->credit = (int32_t)bytes;
    }
    return true;
}

/* Pays for the turn, `taken` records and `bytes` on the wire. */
static void end_limited(struct worker *worker, const struct turn *turn, uint32_t taken,
                        int32_t bytes)
{
    struct port_ring *ring = turn->ring;

    rate_limit_take(&ring->limit, taken, bytes);
    ring->credit += turn->withheld;
    if (!rate_limit_allows(&ring->limit) && ring->tx.head != ring->tx.tail)
        hold_back(worker, ring);
}

/* Takes records while there are some, the ring may send, and there is room. Returns how many; `*empty`:
 * it took all. */
static uint32_t take_records(struct worker *worker, struct turn *turn, bool *empty)
{
    struct port_ring *ring = turn->ring;
    bool looks_ahead = ring->source_varies && ring->tx.head != ring->tx.tail &&
                       tuple_table_is_large(&worker->names.bindings);
    struct ring_consumer ahead;
    uint32_t taken = 0;

    if (looks_ahead) {
        ring->source_varies = false; /* until it is seen again */
        ahead = ring->tx;
        for (uint32_t i = 0; i < SOURCES_AHEAD; i++)
            prefetch_source(worker, &ahead);
    }
    while (ring->credit > 0 && taken < turn->most) {
        uint32_t before = ring->tx.head;
        struct ring_record record;
        const uint8_t *shared;
        enum ring_next next;

        if (looks_ahead)
            prefetch_source(worker, &ahead);
        next = ring_consumer_next(&ring->tx, &record, &shared);
        if (next == RING_NEXT_EMPTY) {
            *empty = true;
            break;
        }
        if (next == RING_NEXT_BROKEN) {
            port_break(ring->port, DETACH_RING_RECORD);
            break;
        }
        if (record.length >= RECORD_LONG)
            ring_consumer_ask(&ring->tx, ring->tx.head - ring_record_stride(record.length), AHEAD);
        if (!serve_record(worker, turn, &record, shared)) {
            ring->tx.head = before; /* it keeps its place until the NIC has room */
            break;
        }
        taken++;
    }
    return taken;
}

#define REFERRED_PART 4 /* of a ring: what frames refer to at most, before it is given back */

/* Nothing refers to the memory of rings after this. */
static void settle(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        struct worker_queue *queue = &worker->queues[i];

        if (queue->refers) {
            queue->refers = false;
            queue->queue->ops->settle(queue->queue);
        }
    }
}

/* The ring has its room back, unless frames refer to it that had better leave with others. */
static void give_back(struct worker *worker, struct port_ring *ring)
{
    if (ring->refers && ring->tx.head - ring->tx.released >= ring->tx.size / REFERRED_PART) {
        settle(worker);
        ring->refers = false;
    }
    if (!ring->refers)
        ring_consumer_give_back(&ring->tx);
    if (!ring->served) { /* an interrupted ring has two turns in a round */
        ring->served = true;
        ring->served_next = worker->served;
        worker->served = ring;
    }
}

/* One turn of one ring, or a part. Returns the records taken. */
static uint32_t serve_ring(struct worker *worker, struct port_ring *ring)
{
    struct turn turn = {.ring = ring, .queue = send_likely_queue(worker, ring), .most = UINT32_MAX};
    struct worker_queue *queue = turn.queue;
    bool empty = false;
    uint32_t taken, before = ring->tx.head;
    int32_t credit;

    turn.up = queue && queue->queue->nic->up;
    ring->interrupted = false;
    if (!ring_consumer_refresh(&ring->tx)) {
        port_break(ring->port, DETACH_RING_INDEX);
        return 0;
    }
    /* Where a turn was interrupted nobody has his before it goes on: not even who pays for one, or
     * whose packets are shorter. */
    if (queue && queue->interrupted)
        ring->interrupted = true;
    if (ring->interrupted || !(ring->limited ? begin_limited(worker, &turn) : begin_turn(ring)))
        return 0;
    find_short_way(worker, &turn);
    credit = ring->credit;
    taken = take_records(worker, &turn, &empty);
    if (__builtin_expect(ring->captured, 0))
        capture_sent(worker, ring, before);
    if (ring->limited)
        end_limited(worker, &turn, taken, credit - ring->credit);
    if (empty)
        end_turn(ring);
    if (ring->credit <= 0)
        ring->in_turn = false;
    if (ring->tx.released != ring->tx.head) {
        if (ring_load_relaxed(&ring->tx.control->consumer_cpu) != worker->cpu)
            ring_store_relaxed(&ring->tx.control->consumer_cpu, worker->cpu);
        give_back(worker, ring);
        __builtin_prefetch(&ring->tx.control->producer_waits);
    }
    return taken;
}

/* The rings that frames referred to have their room back, too. */
static void give_back_referred(struct worker *worker)
{
    settle(worker);
    for (struct port_ring *ring = worker->served; ring; ring = ring->served_next) {
        if (ring->refers) {
            ring->refers = false;
            ring_consumer_give_back(&ring->tx);
        }
    }
}

/* Asks the rings that were given room, once their indices are visible, who waits for it. */
static void wake_served(struct worker *worker)
{
    struct port_ring *ring = worker->served;

    worker->served = NULL;
    if (ring)
        ring_fence();
    for (; ring; ring = ring->served_next) {
        ring->served = false;
        if (ring_consumer_must_wake(&ring->tx))
            port_ring_wake(ring);
    }
}

/* What the turns to come will read: the struct of one ring, the index and the port of another, the
 * records of a third. */
static void prefetch_turns(const struct worker *worker, uint32_t at)
{
    const struct port_ring *ring;

    if (at + 6 >= worker->active_count)
        return;
    __builtin_prefetch(worker->active[at + 6]);
    __builtin_prefetch(&worker->active[at + 6]->tx);
    __builtin_prefetch(&worker->active[at + 4]->tx.control->tail);
    __builtin_prefetch(&worker->active[at + 4]->port->detach);
    ring = worker->active[at + 2];
    __builtin_prefetch(ring->tx.data + (ring->tx.head & (ring->tx.size - 1)));
    __builtin_prefetch(ring->tx.data + (ring->tx.head & (ring->tx.size - 1)) + RING_ALIGN);
}

static void begin_round(struct worker *worker)
{
    worker->tx_pending = false;
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        struct worker_queue *queue = &worker->queues[i];
        uint32_t room = queue->queue->ops->room(queue->queue);

        if (room > queue->room) /* it has taken something since, however little */
            queue->stuck_since_ns = 0;
        queue->room = room;
        queue->interrupted = false;
    }
}

static void end_round(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        struct nic_queue *queue = worker->queues[i].queue;

        queue->ops->flush(queue);
        worker->tx_pending |= queue->tx_pending;
    }
    give_back_referred(worker);
    deliver_publish(worker);
    wake_served(worker);
}

/* Whether a ring that had nothing for a while may leave the round: whoever puts something into it wakes us. */
static bool falls_asleep(const struct worker *worker, struct port_ring *ring)
{
    return !worker->idle && ++ring->idle_rounds >= RING_IDLE_ROUNDS &&
           ring_consumer_sleep(&ring->tx);
}

/* After its turn: whether it stays in the round. Where it leaves, another ring stands in its place. */
static bool stays(struct worker *worker, uint32_t at, uint32_t taken)
{
    struct port_ring *ring = worker->active[at];

    if (!ring->held && (taken || ring->tx.head != ring->tx.tail || !falls_asleep(worker, ring)))
        return true;
    ring->active = false;
    worker->active[at] = worker->active[--worker->active_count];
    if (ring->held)
        worker_hold(worker, ring, ring->held_until_ns);
    return false;
}

/* Whether only the end of its turn has stopped it. */
static bool wants_more(const struct port_ring *ring)
{
    return !ring->held && !ring->interrupted && ring->tx.head != ring->tx.tail &&
           ring->port->detach == DETACH_NONE;
}

static uint32_t give_turn(struct worker *worker, struct port_ring *ring)
{
    uint32_t taken = 0;

    if (port_broken(ring->port) == DETACH_NONE)
        taken = serve_ring(worker, ring);
    worker->broken |= port_broken(ring->port) != DETACH_NONE;
    if (taken)
        ring->idle_rounds = 0;
    return taken;
}

/* A turn for each ring. `again`: somebody wants more. Returns the records taken. */
static uint32_t give_turns(struct worker *worker, bool *again)
{
    uint32_t total = 0, left = worker->active_count; /* turns */
    uint32_t at = worker->active_first < left ? worker->active_first : 0;
    bool held_up = false; /* a full NIC has interrupted a turn */

    /* What is left of an interrupted turn belongs to the round before. */
    if (left && worker->active[at]->in_turn)
        left++;
    /* Another one begins each time (hostile.md, P11), unless one was interrupted. */
    worker->active_first = at + 1;
    for (; left && worker->active_count; left--) {
        struct port_ring *ring = worker->active[at];
        bool holds_up;
        uint32_t taken;

        if (total >= ROUND_BUDGET && !held_up) {
            worker->active_first = at;
            break;
        }
        prefetch_turns(worker, at);
        taken = give_turn(worker, ring);
        total += taken;
        *again |= wants_more(ring);
        holds_up = ring->interrupted && ring->in_turn && !held_up;
        if (holds_up) { /* the next round begins with what is left of it */
            held_up = true;
            worker->active_first = at;
        }
        if (stays(worker, at, taken))
            at++;
        if (holds_up && left > RINGS_BESIDE) { /* only a few of the others, each time others */
            left = RINGS_BESIDE + 1;
            at = worker->beside_first;
        }
        if (at >= worker->active_count)
            at = 0;
    }
    if (held_up)
        worker->beside_first = at;
    return total;
}

uint32_t forward_transmit(struct worker *worker)
{
    uint32_t total = 0, passes = 0;
    bool again;

    if (worker->held_count && worker->now_ns >= worker->held_until_ns)
        worker_unhold(worker);
    begin_round(worker);
    do {
        again = false;
        total += give_turns(worker, &again);
    } while (again && total < ROUND_ENOUGH && ++passes < ROUND_PASSES);
    end_round(worker);
    return total + again;
}

/* Sends, delivers or drops one packet that was parked. */
static void resume(struct worker *worker, const struct parked_packet *parked)
{
    struct outgoing out = {
        .ring = parked->ring,
        .record = {.length = parked->view.length},
        .view = parked->view,
        .packet = worker->scratch + ETHER_HEADER_SIZE,
    };
    enum drop_reason reason = DROP_TX_NOT_BOUND;

    memcpy(out.packet, parking_bytes(&worker->parking, parked), parked->view.length);
    /* the binding may have gone meanwhile */
    if (may_send(worker, parked->ring, &parked->view))
        reason = send_by_hop(worker, parked->hop, &out);
    count(parked->ring, reason, &out);
}

void forward_unpark(struct worker *worker, struct next_hop *hop)
{
    uint32_t i = 0;

    if (!hop->parked || hop->state == NEXT_HOP_ASKED || hop->state == NEXT_HOP_RESOLVING)
        return;
    begin_round(worker);
    while (i < worker->parking.count) {
        struct parked_packet parked;

        if (worker->parking.packets[i].hop != hop) {
            i++;
            continue;
        }
        parking_take(&worker->parking, i, &parked);
        resume(worker, &parked);
    }
    end_round(worker);
}

/* Drops what `wanted` picks. */
static void drop_parked(struct worker *worker,
                        bool (*wanted)(const struct parked_packet *parked, const void *what),
                        const void *what)
{
    uint32_t i = 0;

    while (i < worker->parking.count) {
        struct parked_packet parked;

        if (!wanted(&worker->parking.packets[i], what)) {
            i++;
            continue;
        }
        parking_take(&worker->parking, i, &parked);
        stats_drop(&parked.ring->drops, DROP_TX_UNRESOLVED);
    }
}

static bool waits_for(const struct parked_packet *parked, const void *hop)
{
    return parked->hop == hop;
}

static bool is_from(const struct parked_packet *parked, const void *port)
{
    return parked->ring->port == port;
}

static bool is_older(const struct parked_packet *parked, const void *limit_ns)
{
    return parked->since_ns < *(const uint64_t *)limit_ns;
}

void forward_give_up(struct worker *worker, struct next_hop *hop)
{
    drop_parked(worker, waits_for, hop);
}

void forward_forget(struct worker *worker, const struct port *port)
{
    drop_parked(worker, is_from, port);
}

void forward_expire(struct worker *worker)
{
    uint64_t limit;

    if (!worker->parking.count || worker->now_ns < PARKING_PATIENCE_NS)
        return;
    limit = worker->now_ns - PARKING_PATIENCE_NS;
    drop_parked(worker, is_older, &limit);
}
