/* SPDX-License-Identifier: BSD-2-Clause */
/* Several workers: hand-over between them in order and by hand, then in threads while ports come and
 * go (run under ThreadSanitizer, too). The NICs are rings of memory: what is sent comes back. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"
#include "handover.h"
#include "switch_bench.h"

#define WORKERS     3
#define LOOP_FRAMES 256
#define FLOWS       64
#define RINGS       3

#define AHEAD     16 /* datagrams of which the one queue may have sent its part before the other */
#define FRAGMENT  32 /* bytes of a datagram that the first fragment carries */
#define DATAGRAMS 3000

/* Which fragments a queue makes, if any. */
enum part { PART_WHOLE, PART_FIRST, PART_SECOND };

/* A queue whose device sends back what it is given, as if from the peer; and makes packets itself. */
struct loop {
    enum part part;
    struct loop *other; /* which makes the other fragment of each datagram; NULL: nobody does */
    uint8_t frames[NIC_BATCH][256]; /* being received */
    uint32_t count;                 /* frames for each receive(); 0: none */
    uint32_t made;
    uint32_t flow;
    uint8_t out[2048];
    uint32_t sent; /* committed; read by the test */
};

/* One of the two fragments of a datagram of UDP, by which alone nobody could tell whose it is. */
static uint32_t make_fragment(uint8_t *to, enum part part, uint32_t number)
{
    struct bench_packet packet = bench_from_peer;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)to;
    uint8_t whole[256];
    uint32_t length, skip = part == PART_FIRST ? 0 : FRAGMENT;

    packet.protocol = IP_PROTOCOL_UDP;
    packet.source_port = (uint16_t)(1000 + number % FLOWS);
    packet.payload = 60;
    length = bench_packet(whole, &packet) - IPV4_HEADER_MIN - skip;
    if (part == PART_FIRST)
        length = FRAGMENT;
    memcpy(to, whole, IPV4_HEADER_MIN);
    memcpy(to + IPV4_HEADER_MIN, whole + IPV4_HEADER_MIN + skip, length);
    ip->total_length = htons((uint16_t)(IPV4_HEADER_MIN + length));
    ip->id = htons((uint16_t)number);
    ip->fragment = htons((uint16_t)(part == PART_FIRST ? IPV4_MORE_FRAGMENTS : FRAGMENT / 8));
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    return IPV4_HEADER_MIN + length;
}

static uint32_t loop_receive_fragments(struct loop *loop, struct nic_frame *frames, uint32_t count)
{
    uint32_t made = loop->made;
    uint32_t other = loop->other ? __atomic_load_n(&loop->other->made, __ATOMIC_RELAXED) : made;
    uint32_t room = other + AHEAD - made;

    if (count > room)
        count = room;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_ether *ether = (struct wire_ether *)loop->frames[i];
        uint32_t length = make_fragment(loop->frames[i] + ETHER_HEADER_SIZE, loop->part, made + i);

        ether->type = htons(ETHER_TYPE_IPV4);
        length += ETHER_HEADER_SIZE;
        frames[i] =
            (struct nic_frame){.data = loop->frames[i], .head_length = length, .length = length};
    }
    __atomic_store_n(&loop->made, made + count, __ATOMIC_RELAXED);
    return count;
}

static uint32_t loop_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct loop *loop = queue->driver;
    uint32_t count = __atomic_load_n(&loop->count, __ATOMIC_RELAXED);

    if (count > max)
        count = max;
    if (loop->part != PART_WHOLE)
        return loop_receive_fragments(loop, frames, count);
    for (uint32_t i = 0; i < count; i++) {
        struct bench_packet packet = bench_from_peer;
        struct wire_ether *ether = (struct wire_ether *)loop->frames[i];
        uint32_t length;

        packet.source_port = (uint16_t)(1000 + loop->flow++ % FLOWS);
        packet.sequence = loop->made++;
        packet.payload = 20;
        ether->type = htons(ETHER_TYPE_IPV4);
        length = bench_packet(loop->frames[i] + ETHER_HEADER_SIZE, &packet) + ETHER_HEADER_SIZE;
        frames[i] =
            (struct nic_frame){.data = loop->frames[i], .head_length = length, .length = length};
    }
    return count;
}

static void loop_release(struct nic_queue *queue)
{
    (void)queue;
}

static uint32_t loop_room(struct nic_queue *queue)
{
    (void)queue;
    return LOOP_FRAMES;
}

static uint8_t *loop_reserve(struct nic_queue *queue, uint32_t length)
{
    struct loop *loop = queue->driver;

    return length <= sizeof(loop->out) ? loop->out : NULL;
}

static void loop_commit(struct nic_queue *queue, uint32_t length, const struct nic_offload *offload)
{
    struct loop *loop = queue->driver;

    (void)offload, (void)length;
    assert_int_equal(loop->out[ETHER_HEADER_SIZE], 0x45);
    __atomic_fetch_add(&loop->sent, 1, __ATOMIC_RELAXED);
}

static int loop_fd(const struct nic_queue *queue)
{
    (void)queue;
    return -1;
}

static bool loop_sleep(struct nic_queue *queue)
{
    return !__atomic_load_n(&((struct loop *)queue->driver)->count, __ATOMIC_RELAXED);
}

static const struct nic_ops loop_ops = {
    .name = "loop",
    .receive = loop_receive,
    .release = loop_release,
    .room = loop_room,
    .reserve = loop_reserve,
    .commit = loop_commit,
    .flush = loop_release,
    .fd = loop_fd,
    .sleep = loop_sleep,
    .close = loop_release,
};

struct many {
    struct switch_core *core;
    struct loop loops[2];
    int ends[2];
};

static struct tuple host_of(uint8_t protocol, uint16_t port)
{
    const uint8_t bytes[16] = {10, 0, 0, 1};

    return tuple_make(bytes, 4, protocol, htons(port));
}

static struct tuple host(uint16_t port)
{
    return host_of(port ? IP_PROTOCOL_TCP : 0, port);
}

/* Three workers; a NIC with two queues, of the first two. */
static struct many *many_open(void)
{
    struct many *many = calloc(1, sizeof(*many));
    struct switch_core *core = calloc(1, sizeof(*core));
    struct change address = {.kind = CHANGE_ADDRESS, .tuple = host(0), .present = true};
    struct nic *nic = &core->nics[0];

    many->core = core;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, many->ends), 0);
    core->config = (struct channel_config){.workers = WORKERS,
                                           .ports_max = 64,
                                           .ports_per_uid_max = 64,
                                           .ring_size_default = BENCH_RING_SIZE};
    assert_int_equal(core_init(core, many->ends[0], -1, -1), 0);
    *nic = (struct nic){.ops = &loop_ops,
                        .mtu = BENCH_MTU,
                        .frame_max = 2048,
                        .up = true,
                        .queue_count = 2,
                        .verdicts_fd = -1};
    nic->queues = calloc(2, sizeof(struct nic_queue));
    core->nic_count = 1;
    for (uint32_t i = 0; i < 2; i++) {
        nic->queues[i] =
            (struct nic_queue){.ops = &loop_ops, .nic = nic, .index = i, .driver = &many->loops[i]};
        many->loops[i].flow = i * 7;
        worker_add_queue(&core->workers[i], &nic->queues[i]);
    }
    assert_int_equal(handover_init(core), 0);
    assert_int_equal(core_change(core, &address), 0);
    return many;
}

static void many_close(struct many *many)
{
    core_dispose(many->core);
    close(many->ends[0]);
    close(many->ends[1]);
    free(many->core);
    free(many);
}

static void rounds(struct many *many)
{
    for (uint32_t i = 0; i < 2 * WORKERS; i++)
        worker_round(&many->core->workers[i % WORKERS]);
}

static struct port *open_port(struct many *many, uint32_t rings)
{
    const struct port_request request = {
        .name = "app", .ring_count = rings, .rx_size = BENCH_RING_SIZE, .tx_size = BENCH_RING_SIZE};
    struct port *port;

    assert_int_equal(port_open(many->core, &request, &port), 0);
    return port;
}

/* `ring` as in struct owner. */
static void bind_tuple(struct many *many, struct port *port, struct tuple tuple, uint8_t ring)
{
    const struct binding_terms terms = {.ring = ring};
    uint32_t binding;

    assert_int_equal(binding_add(many->core, port, &tuple, dup(many->ends[1]), &terms, &binding),
                     0);
}

static void bind_ring(struct many *many, struct port *port, uint16_t number, uint8_t ring)
{
    bind_tuple(many, port, host(number), ring);
}

static void bind_port(struct many *many, struct port *port, uint16_t number)
{
    bind_ring(many, port, number, 0);
}

static uint64_t received(const struct port *port, uint32_t ring)
{
    return stats_read(&port->rings[ring].traffic.rx_packets);
}

static void each_ring_gets_its_flows_from_whatever_queue(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, RINGS);
    uint64_t first[RINGS], total = 0;

    (void)state;
    bind_port(many, port, 80);
    many->loops[0].count = FLOWS;
    rounds(many);
    many->loops[0].count = 0;
    rounds(many);
    for (uint32_t i = 0; i < RINGS; i++) {
        first[i] = received(port, i);
        total += first[i];
        assert_true(first[i] > 0);
        assert_ptr_equal(port->rings[i].worker, &many->core->workers[(port->number + i) % WORKERS]);
    }
    assert_int_equal(total, 2 * FLOWS);
    /* the same flows by the other queue: the same rings */
    many->loops[1].count = FLOWS;
    rounds(many);
    many->loops[1].count = 0;
    rounds(many);
    for (uint32_t i = 0; i < RINGS; i++)
        assert_int_equal(received(port, i), 2 * first[i]);
    assert_true(stats_read(&many->core->workers[0].handed_over) > 0);
    many_close(many);
}

static void a_binding_of_one_ring_gets_everything_there(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, RINGS);

    (void)state;
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        uint64_t before[RINGS];

        for (uint32_t i = 0; i < RINGS; i++)
            before[i] = received(port, i);
        bind_ring(many, port, 80, (uint8_t)(ring + 1));
        for (uint32_t queue = 0; queue < 2; queue++) {
            many->loops[queue].count = FLOWS;
            rounds(many);
            many->loops[queue].count = 0;
            rounds(many);
        }
        for (uint32_t i = 0; i < RINGS; i++)
            assert_int_equal(received(port, i) - before[i], i == ring ? 4 * FLOWS : 0);
        assert_int_equal(binding_remove(many->core, port,
                                        many->core->ports.bindings[port->first_binding].number),
                         0);
    }
    many_close(many);
}

static void a_binding_is_known_to_a_worker_that_has_not_come_round(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, 1);
    struct worker *late = &many->core->workers[1];

    (void)state;
    rounds(many);
    bind_port(many, port, 80);
    many->loops[1].count = 8;
    forward_receive(late, &late->queues[0]); /* in the middle of its round */
    many->loops[1].count = 0;
    rounds(many);
    assert_int_equal(received(port, 0), 8);
    many_close(many);
}

static void what_is_on_its_way_to_a_port_that_closes_is_dropped(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, RINGS);
    struct worker *first = &many->core->workers[0];

    (void)state;
    bind_port(many, port, 80);
    rounds(many);
    many->loops[0].count = FLOWS;
    forward_receive(first, &first->queues[0]);
    many->loops[0].count = 0;
    port_close(many->core, port); /* its packets are in the lanes */
    rounds(many);
    assert_int_equal(stats_read(&first->handed_over),
                     stats_read(&many->core->workers[1].handed_over_late) +
                         stats_read(&many->core->workers[2].handed_over_late));
    crew_retire(many->core);
    assert_int_equal(many->core->ports.memory, 0);
    many_close(many);
}

static void a_port_outlives_its_end_while_a_worker_stands(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, RINGS);

    (void)state;
    rounds(many);
    port_close(many->core, port);
    worker_round(&many->core->workers[0]);
    worker_round(&many->core->workers[1]);
    crew_retire(many->core);
    assert_true(many->core->ports.memory > 0);
    worker_round(&many->core->workers[2]);
    crew_retire(many->core);
    assert_int_equal(many->core->ports.memory, 0);
    many_close(many);
}

/* A packet into TX ring 0 of a port, as its application does. */
static void send_packet(struct port *port, struct ring_producer *tx)
{
    struct bench_packet packet = bench_to_peer;
    struct ring_record record;
    uint8_t bytes[256];
    uint8_t *place;

    packet.payload = 20;
    record = (struct ring_record){.length = bench_packet(bytes, &packet)};
    assert_true(ring_producer_refresh(tx));
    place = ring_producer_reserve(tx, record.length);
    if (!place)
        return;
    memcpy(place, bytes, record.length);
    ring_producer_commit(tx, &record);
    if (ring_producer_publish(tx)) {
        const uint64_t one = 1;

        assert_int_equal(write(port->rings[0].tx_fd, &one, sizeof(one)), sizeof(one));
    }
}

static struct ring_producer tx_of(struct port *port)
{
    struct ring_producer tx;

    ring_producer_init(&tx, (struct ring_control *)(port->region + port_layout_tx_control(0)),
                       port->region +
                           port_layout_tx_data(port->ring_count, port->rx_size, port->tx_size, 0),
                       port->tx_size);
    return tx;
}

static void make_way_known(struct many *many, uint32_t mtu)
{
    struct change answer = {.kind = CHANGE_NEXT_HOP};

    answer.next_hop = (struct channel_next_hop){.kind = CHANNEL_HOP_NIC,
                                                .mtu = mtu,
                                                .destination = {{10, 0, 0, 2}, 4},
                                                .source = {{10, 0, 0, 1}, 4},
                                                .gateway = {{10, 0, 0, 2}, 4}};
    core_change(many->core, &answer);
}

static void a_worker_without_a_queue_sends_by_another(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, 2); /* number 1: ring 1 is the third worker's */
    struct port *lone;
    struct ring_producer tx;

    (void)state;
    lone = open_port(many, 1); /* number 2: the third worker's */
    assert_ptr_equal(lone->rings[0].worker, &many->core->workers[2]);
    port_close(many->core, port);
    bind_port(many, lone, 80);
    tx = tx_of(lone);
    rounds(many);
    send_packet(lone, &tx);
    rounds(many); /* the question */
    make_way_known(many, BENCH_MTU);
    rounds(many);
    assert_int_equal(many->loops[0].sent, 1); /* was parked */
    for (int i = 0; i < 10; i++)
        send_packet(lone, &tx);
    rounds(many);
    assert_int_equal(many->loops[0].sent, 11);
    many_close(many);
}

static void an_error_about_what_was_sent_comes_to_the_ring_of_its_binding(void **state)
{
    struct many *many = many_open();
    struct port *port = open_port(many, RINGS);
    struct ring_producer tx = tx_of(port);

    (void)state;
    bind_port(many, port, 80);
    rounds(many);
    send_packet(port, &tx);
    rounds(many); /* the question */
    make_way_known(many, BENCH_MTU);
    make_way_known(many, 40);
    binding_close(many->core, &many->core->ports.bindings[port->first_binding]);
    for (uint32_t ring = 0; ring < RINGS; ring++) {
        bind_ring(many, port, 80, (uint8_t)(ring + 1));
        rounds(many);
        send_packet(port, &tx); /* from ring 0 */
        rounds(many);
        for (uint32_t i = 0; i < RINGS; i++)
            assert_int_equal(received(port, i), i <= ring);
        binding_close(many->core, &many->core->ports.bindings[port->first_binding]);
    }
    many_close(many);
}

/* The NIC's first queue, which is of worker 0, gets the first fragment of each datagram; the other, of
 * worker 1, the second. */
static struct port *open_for_fragments(struct many *many)
{
    struct port *port = open_port(many, RINGS);

    bind_tuple(many, port, host_of(IP_PROTOCOL_UDP, 80), 0);
    many->loops[0].part = PART_FIRST;
    many->loops[1].part = PART_SECOND;
    return port;
}

static uint64_t received_in_all(const struct port *port)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < port->ring_count; i++)
        sum += received(port, i);
    return sum;
}

static uint64_t dropped(const struct many *many, enum drop_reason reason)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < WORKERS; i++) {
        for (uint32_t at = 0; at < many->core->workers[i].queue_count; at++)
            sum += many->core->workers[i].queues[at].drops.count[reason];
    }
    return sum;
}

static void fragments_of_different_queues_meet(void **state)
{
    struct many *many = many_open();
    struct port *port = open_for_fragments(many);
    const struct worker *workers = many->core->workers;

    (void)state;
    for (uint32_t turn = 0; turn < 4; turn++) {
        many->loops[0].count = many->loops[1].count = AHEAD;
        rounds(many);
        many->loops[0].count = many->loops[1].count = 0;
        rounds(many);
    }
    assert_int_equal(many->loops[0].made, many->loops[1].made);
    assert_int_equal(received_in_all(port), many->loops[0].made);
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].fragments.count, 0);
        assert_true(received(port, i) > 0);
    }
    assert_true(stats_read(&workers[0].handed_over) > 0);
    assert_true(stats_read(&workers[1].handed_over) > 0);
    assert_int_equal(dropped(many, DROP_RX_FRAGMENT_LOST), 0);
    many_close(many);
}

/* Of first fragments alone each worker keeps so many; what it gives up is counted at the NIC, also by
 * the worker that has no queue of it. */
static void fragments_that_meet_nobody_are_bounded(void **state)
{
    struct many *many = many_open();
    const struct worker *workers = many->core->workers;
    uint64_t kept = 0;

    (void)state;
    open_for_fragments(many);
    many->loops[0].count = AHEAD;
    while (many->loops[0].made < 20 * FRAGMENT_DATAGRAMS)
        rounds(many);
    many->loops[0].count = 0;
    rounds(many);
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_int_equal(workers[i].fragments.count, FRAGMENT_DATAGRAMS);
        assert_true(workers[i].queues[0].drops.count[DROP_RX_FRAGMENT_LOST] > 0);
        kept += FRAGMENT_DATAGRAMS;
    }
    assert_int_equal(dropped(many, DROP_RX_FRAGMENT_LOST) + kept, many->loops[0].made);
    assert_ptr_equal(handover_queue(workers[1].queues[0].queue), &many->core->nics[0].queues[1]);
    assert_ptr_equal(handover_queue(workers[2].queues[0].queue), &many->core->nics[0].queues[0]);
    many_close(many);
}

static void fragments_meet_while_the_workers_run(void **state)
{
    struct many *many = many_open();
    struct port *port = open_for_fragments(many);
    uint64_t whole = 0;

    (void)state;
    many->loops[0].other = &many->loops[1];
    many->loops[1].other = &many->loops[0];
    many->loops[0].count = many->loops[1].count = AHEAD;
    assert_int_equal(crew_start(many->core), 0);
    while (whole < DATAGRAMS) {
        worker_round(&many->core->workers[0]);
        whole = received_in_all(port);
        for (uint32_t i = 0; i < RINGS; i++) /* full rings lose it, too */
            whole += stats_read(&port->rings[i].drops.count[DROP_RX_PORT_FULL]);
    }
    crew_stop(many->core);
    assert_int_equal(dropped(many, DROP_RX_FRAGMENT_LOST), 0);
    assert_int_equal(dropped(many, DROP_RX_FRAGMENT_BAD), 0);
    many_close(many);
}

/* Ports open, bind, send and close while three threads move packets and standing still is asked for.
 * What is to be seen is that nothing is touched after its end, nor by two at once. */
static void ports_come_and_go_under_traffic(void **state)
{
    struct many *many = many_open();
    struct switch_core *core = many->core;
    uint32_t served = 0;

    (void)state;
    __atomic_store_n(&many->loops[0].count, 16, __ATOMIC_RELAXED);
    __atomic_store_n(&many->loops[1].count, 16, __ATOMIC_RELAXED);
    assert_int_equal(crew_start(core), 0);
    for (uint32_t turn = 0; turn < 40 || (!served && turn < 4000); turn++) {
        struct port *port = open_port(many, RINGS);
        struct ring_producer tx = tx_of(port);

        bind_port(many, port, 80);
        make_way_known(many, BENCH_MTU);
        for (int i = 0; i < 20; i++) {
            send_packet(port, &tx);
            worker_round(&core->workers[0]);
        }
        for (uint32_t ring = 0; ring < RINGS; ring++)
            served += received(port, ring) > 0;
        if (turn % 8 == 0) {
            crew_pause(core);
            core->nics[0].mtu = BENCH_MTU - turn % 3;
            crew_resume(core);
        }
        port_close(core, port);
        crew_retire(core);
    }
    assert_true(served > 0);
    many_close(many);
}

static int ask_guard(struct many *many, const struct control_guard *wish)
{
    const struct connection root = {.uid = 0};

    return guard_request(many->core, &root, wish);
}

static uint64_t refused(struct many *many, uint32_t worker)
{
    const struct worker_queue *queue = &many->core->workers[worker].queues[0];

    return __atomic_load_n(&queue->refused.count[MUX_GUARD_BLOCKED - MUX_GUARD_FIRST],
                           __ATOMIC_RELAXED);
}

/* The switch's own guard: rules are set and taken back while workers judge by them. */
static void rules_come_and_go_under_traffic(void **state)
{
    static const int no_maps[CHANNEL_GUARD_FDS] = {-1, -1, -1, -1, -1, -1};
    const struct channel_guard guard = {.cpus = 1};
    struct many *many = many_open();
    struct switch_core *core = many->core;
    struct port *port = open_port(many, RINGS);
    struct control_guard block = {.kind = CONTROL_GUARD_BLOCK, .prefix = {.family = 4}};
    struct control_guard limit = {.kind = CONTROL_GUARD_SYN_SOURCE, .rate = 1000};
    struct guard_counts sum;

    (void)state;
    core->nics[0].judged = true;
    assert_int_equal(guard_open(core, &guard, no_maps), 0);
    assert_int_equal(guard_judge_nics(core), 0);
    bind_port(many, port, 80);
    limit.binding = core->ports.bindings[port->first_binding].number;
    __atomic_store_n(&many->loops[0].count, 16, __ATOMIC_RELAXED);
    __atomic_store_n(&many->loops[1].count, 16, __ATOMIC_RELAXED);
    assert_int_equal(crew_start(core), 0);
    for (uint32_t turn = 0; turn < 40 || ((!refused(many, 0) || !refused(many, 1)) && turn < 40000);
         turn++) {
        block.action = limit.action = turn % 4 == 3 ? CONTROL_GUARD_REMOVE : CONTROL_GUARD_SET;
        limit.rate = limit.action == CONTROL_GUARD_SET ? 1000 : 0;
        block.binding = turn % 8 < 4 ? 0 : limit.binding;
        assert_int_equal(ask_guard(many, &block), 0);
        assert_int_equal(ask_guard(many, &limit), 0);
        worker_round(&core->workers[0]);
        crew_retire(core);
    }
    assert_true(refused(many, 0) && refused(many, 1));
    assert_true(guard_read_counts(core, GUARD_EVERYWHERE, &sum));
    port_close(core, port);
    many_close(many);
}

static void a_worker_that_stands_stops_the_heart(void **state)
{
    struct many *many = many_open();
    struct switch_core *core = many->core;
    uint64_t now_ns = core_clock();

    (void)state;
    core->crew.running = true;
    core->workers[1].beat_ns = core->workers[2].beat_ns = now_ns;
    assert_true(crew_is_alive(core, now_ns + 1));
    assert_false(crew_is_alive(core, now_ns + 1000000000));
    core->workers[1].beat_ns = now_ns + 1000000000;
    assert_false(crew_is_alive(core, now_ns + 1000000000));
    core->crew.running = false;
    many_close(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ring_gets_its_flows_from_whatever_queue),
        cmocka_unit_test(a_binding_of_one_ring_gets_everything_there),
        cmocka_unit_test(a_binding_is_known_to_a_worker_that_has_not_come_round),
        cmocka_unit_test(what_is_on_its_way_to_a_port_that_closes_is_dropped),
        cmocka_unit_test(a_port_outlives_its_end_while_a_worker_stands),
        cmocka_unit_test(a_worker_without_a_queue_sends_by_another),
        cmocka_unit_test(an_error_about_what_was_sent_comes_to_the_ring_of_its_binding),
        cmocka_unit_test(fragments_of_different_queues_meet),
        cmocka_unit_test(fragments_that_meet_nobody_are_bounded),
        cmocka_unit_test(fragments_meet_while_the_workers_run),
        cmocka_unit_test(ports_come_and_go_under_traffic),
        cmocka_unit_test(rules_come_and_go_under_traffic),
        cmocka_unit_test(a_worker_that_stands_stops_the_heart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
