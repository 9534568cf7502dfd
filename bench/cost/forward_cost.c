/* SPDX-License-Identifier: BSD-2-Clause */
/* What a packet costs in the switch's data path, and nothing else: the real core between a NIC made of
 * arrays and applications on another core. doc/performance.md says how to read it.
 *
 *   forward_cost rx|tx [ports] [idle ports] [IP bytes] [seconds | packets with "alone"]
 *                [alone|beside] [bytes of each ring] [ordinary] [bindings] [bindings used]
 *
 * Two threads: the switch on the first processor that we may use, all applications on the second.
 * "alone": one thread does both in turns, and only the switch's turns are timed; for callgrind, with
 * --toggle-collect=forward_receive or forward_transmit. "ordinary" (else "huge"): without huge pages.
 * "bindings": so many of the only port, instead of one; each packet is of one of the first so many of them
 * that are used (64,512 at most), chosen at random; for rx the choice is made within the time that is
 * taken. Prints one JSON object. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"
#include "core.h"
#include "forward.h"

#define FRAMES    4096 /* that the NIC receives, over and over, so that each port has its turn */
#define FEW       256  /* of a single port: as many as a second-level cache holds of any length */
#define TX_FRAMES 256
#define FRAME_MAX 1600
#define PORT_BASE 1024
#define APP_BATCH 64
#define HOST      0x0a000001 /* 10.0.0.1 */
#define PEER      0x0a000002
#define USED_MAX  (65536 - PORT_BASE) /* bindings of our address */

struct app {
    struct ring_consumer rx;
    struct ring_producer tx;
    uint8_t packet[FRAME_MAX] __attribute__((aligned(64)));
};

static struct {
    bool sending, alone, choose;
    uint32_t ports, idle, length, ring;
    uint32_t bindings, used; /* of the first port; of which packets are, where they choose */
    double seconds;
    uint64_t packets;
} wish = {.ports = 1, .length = 50, .ring = 256 * 1024, .seconds = 1, .bindings = 1, .used = 1};

static struct switch_core *core;
static struct nic_queue *nic_queue;
static struct app *apps;
static uint8_t *frames, *tx_frames;
static uint32_t frame_count, frame_stride, next_frame, next_tx;
static uint64_t sent;
static int stop;

static void fail(const char *what, int status)
{
    fprintf(stderr, "forward_cost: %s: %s\n", what, strerror(-status));
    exit(1);
}

/* ── many bindings ── */

/* Makes the packet one of a binding chosen at random; `own`: where its port number stands that is ours. */
static void choose_binding(uint8_t *packet, uint32_t own)
{
    static uint32_t random = 1;
    be16 number;

    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    number = htons((uint16_t)(PORT_BASE + (uint32_t)((uint64_t)random * wish.used >> 32)));
    memcpy(packet + IPV4_HEADER_MIN + own, &number, sizeof(number));
}

/* ── a NIC made of arrays ── */

static uint32_t array_receive(struct nic_queue *queue, struct nic_frame *out, uint32_t max)
{
    (void)queue;
    for (uint32_t i = 0; i < max; i++) {
        if (wish.choose)
            choose_binding(frames + (size_t)next_frame * frame_stride + ETHER_HEADER_SIZE,
                           offsetof(struct wire_tcp, destination_port));
        out[i] = (struct nic_frame){.data = frames + (size_t)next_frame * frame_stride,
                                    .head_length = ETHER_HEADER_SIZE + wish.length,
                                    .length = ETHER_HEADER_SIZE + wish.length};
        next_frame = next_frame + 1 == frame_count ? 0 : next_frame + 1;
    }
    return max;
}

static void array_nothing(struct nic_queue *queue)
{
    (void)queue;
}

static uint32_t array_room(struct nic_queue *queue)
{
    (void)queue;
    return UINT32_MAX / 2;
}

static uint8_t *array_reserve(struct nic_queue *queue, uint32_t length)
{
    (void)queue;
    (void)length;
    return tx_frames + (size_t)next_tx * frame_stride;
}

static void array_commit(struct nic_queue *queue, uint32_t length,
                         const struct nic_offload *offload)
{
    (void)offload;
    next_tx = (next_tx + 1) % TX_FRAMES;
    queue->counters.tx_packets++;
    queue->counters.tx_bytes += length;
    sent++;
}

static int array_fd(const struct nic_queue *queue)
{
    (void)queue;
    return -1;
}

static bool array_sleep(struct nic_queue *queue)
{
    (void)queue;
    return true;
}

static const struct nic_ops array_ops = {
    .name = "array",
    .receive = array_receive,
    .release = array_nothing,
    .room = array_room,
    .reserve = array_reserve,
    .commit = array_commit,
    .flush = array_nothing,
    .fd = array_fd,
    .sleep = array_sleep,
    .close = array_nothing,
};

/* ── packets ── */

static void write_packet(uint8_t *out, uint32_t from, uint32_t to, uint16_t local, bool incoming)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)out;
    struct wire_tcp *tcp = (struct wire_tcp *)(ip + 1);
    uint32_t source = htonl(from), destination = htonl(to);

    memset(out, 0, wish.length);
    *ip = (struct wire_ipv4){.version_ihl = 0x45,
                             .total_length = htons((uint16_t)wish.length),
                             .ttl = 64,
                             .protocol = IP_PROTOCOL_TCP};
    memcpy(ip->source, &source, 4);
    memcpy(ip->destination, &destination, 4);
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    tcp->source_port = htons(incoming ? 40000 : local);
    tcp->destination_port = htons(incoming ? local : 40000);
    tcp->data_offset = 0x50;
    tcp->flags = TCP_ACK;
}

static void make_frames(void)
{
    frame_stride = (FRAME_MAX > ETHER_HEADER_SIZE + wish.length
                        ? (ETHER_HEADER_SIZE + wish.length + 127) & ~127U
                        : FRAME_MAX);
    frame_count = wish.ports == 1 && !wish.choose ? FEW : FRAMES;
    frames = aligned_alloc(128, (size_t)frame_count * frame_stride);
    tx_frames = aligned_alloc(128, (size_t)TX_FRAMES * frame_stride);
    srandom(1);
    for (uint32_t i = 0; i < frame_count; i++) {
        uint8_t *frame = frames + (size_t)i * frame_stride;
        struct wire_ether *ether = (struct wire_ether *)frame;

        memset(frame, 2, ETHER_HEADER_SIZE);
        ether->type = htons(ETHER_TYPE_IPV4);
        write_packet(frame + ETHER_HEADER_SIZE, PEER, HOST,
                     (uint16_t)(PORT_BASE + (uint32_t)random() % wish.ports), true);
    }
}

/* ── the switch ── */

/* `host`: 0 is our address, others are 256 apart. */
static struct tuple local_tuple(uint32_t host, uint32_t port)
{
    uint32_t address = htonl(HOST + (host << 8));

    return tuple_make((const uint8_t *)&address, 4, IP_PROTOCOL_TCP, htons((uint16_t)port));
}

static void answer_resolve(int keeper)
{
    uint32_t address = htonl(PEER), host = htonl(HOST);
    struct channel_next_hop answer = {
        .header = {.type = CHANNEL_NEXT_HOP, .size = sizeof(answer)},
        .kind = CHANNEL_HOP_NIC,
        .mtu = 1500,
        .mac = {2, 0, 0, 0, 0, 2},
    };

    answer.destination.family = answer.source.family = 4;
    memcpy(answer.destination.bytes, &address, 4);
    memcpy(answer.source.bytes, &host, 4);
    answer.gateway = answer.destination;
    if (send(keeper, &answer, sizeof(answer), 0) != sizeof(answer))
        fail("channel", -errno);
    core_hear_keeper(core);
}

static void bind_one(struct port *port, uint32_t host, uint32_t number)
{
    const struct binding_terms terms = {.request = 0};
    struct tuple tuple = local_tuple(host, number);
    uint32_t binding;
    int status = binding_add(core, port, &tuple, -1, &terms, &binding);

    if (status)
        fail("a binding", status);
}

static void open_port(uint32_t index)
{
    struct port_request request = {
        .name = "cost", .ring_count = 1, .rx_size = wish.ring, .tx_size = wish.ring};
    struct app *app = &apps[index];
    struct port *port;
    int status = port_open(core, &request, &port);

    if (status)
        fail("a port", status);
    for (uint32_t i = 0; i < (index ? 1 : wish.bindings); i++)
        bind_one(port, i / USED_MAX, PORT_BASE + index + i % USED_MAX);
    ring_consumer_init(&app->rx, (struct ring_control *)(port->region + port_layout_rx_control(0)),
                       port->region + port_layout_rx_data(1, wish.ring, wish.ring, 0), wish.ring);
    ring_producer_init(&app->tx, (struct ring_control *)(port->region + port_layout_tx_control(0)),
                       port->region + port_layout_tx_data(1, wish.ring, wish.ring, 0), wish.ring);
    write_packet(app->packet, HOST, PEER, (uint16_t)(PORT_BASE + index), false);
}

static int make_switch(void)
{
    struct tuple host = local_tuple(0, 0);
    struct nic *nic;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends))
        fail("socketpair", -errno);
    core = calloc(1, sizeof(*core));
    apps = aligned_alloc(64, (wish.ports + wish.idle) * sizeof(struct app));
    core->config = (struct channel_config){.ports_max = wish.ports + wish.idle,
                                           .ports_per_uid_max = wish.ports + wish.idle};
    if (core_init(core, ends[0], -1, -1))
        fail("core", -ENOMEM);
    nic = &core->nics[0];
    *nic = (struct nic){.ops = &array_ops,
                        .name = "array",
                        .mtu = 1500,
                        .frame_max = FRAME_MAX,
                        .up = true,
                        .queue_count = 1,
                        .verdicts_fd = -1};
    nic->queues = calloc(1, sizeof(struct nic_queue));
    nic->queues[0] = (struct nic_queue){.ops = &array_ops, .nic = nic};
    nic_queue = &nic->queues[0];
    core->nic_count = 1;
    worker_add_queue(&core->workers[0], nic_queue);
    namespace_set_address(&core->workers[0].names, &host, true);
    for (uint32_t i = 0; i < wish.ports + wish.idle; i++)
        open_port(i);
    return ends[1];
}

/* ── the applications ── */

/* Returns the packets seen. */
static uint32_t app_receive(struct app *app)
{
    struct ring_record record;
    const uint8_t *packet;
    uint32_t count = 0;

    if (!ring_consumer_refresh(&app->rx))
        fail("the ring is broken", -EPROTO);
    while (ring_consumer_next(&app->rx, &record, &packet) == RING_NEXT_PACKET)
        count++;
    ring_consumer_release(&app->rx);
    return count;
}

static void app_send(struct app *app)
{
    struct ring_record record = {.length = wish.length};
    uint32_t stride = ring_record_stride(wish.length);

    ring_producer_refresh(&app->tx);
    for (uint32_t i = 0; i < APP_BATCH && ring_producer_room(&app->tx) >= 2 * stride; i++) {
        uint8_t *place = ring_producer_reserve(&app->tx, wish.length);

        memcpy(place, app->packet, wish.length);
        if (wish.choose)
            choose_binding(place, offsetof(struct wire_tcp, source_port));
        ring_producer_commit(&app->tx, &record);
    }
    ring_producer_publish(&app->tx);
}

static void app_round(void)
{
    for (uint32_t i = 0; i < wish.ports; i++) {
        if (wish.sending)
            app_send(&apps[i]);
        else
            app_receive(&apps[i]);
    }
}

/* To the first or second processor that the process began with. */
static void pin(int which)
{
    static cpu_set_t all;
    cpu_set_t one;
    int cpu = 0;

    if (!CPU_COUNT(&all))
        sched_getaffinity(0, sizeof(all), &all);
    for (; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && which-- == 0)
            break;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

static void *app_thread(void *unused)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        app_round();
    return unused;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static uint64_t received(uint64_t *full)
{
    uint64_t count = 0;

    *full = 0;
    for (uint32_t i = 0; i < wish.ports; i++) {
        const struct port_ring *ring = &core->ports.slots[i]->rings[0];

        count += ring->traffic.rx_packets;
        *full += ring->drops.count[DROP_RX_PORT_FULL];
    }
    return count;
}

static uint64_t done(void)
{
    uint64_t full;

    return wish.sending ? sent : received(&full);
}

/* Stands in for the wake-ups, which are not what is measured here. */
static void activate_all(struct worker *worker)
{
    for (uint32_t i = 0; wish.sending && i < wish.ports; i++)
        worker_activate(worker, &core->ports.slots[i]->rings[0]);
}

static void switch_round(struct worker *worker)
{
    if (!wish.sending)
        forward_receive(worker, &worker->queues[0]);
    forward_transmit(worker);
}

static uint64_t run_alone(struct worker *worker)
{
    uint64_t spent = 0;

    while (done() < wish.packets) {
        uint64_t begin;

        if (wish.sending)
            app_round();
        activate_all(worker);
        begin = cpu_ns();
        for (uint32_t i = 0; i < (wish.sending ? 2 : 64); i++)
            switch_round(worker);
        spent += cpu_ns() - begin;
        if (!wish.sending)
            app_round();
    }
    return spent;
}

static uint64_t run_beside(struct worker *worker)
{
    uint64_t begin, until = core_clock() + (uint64_t)(wish.seconds * 1e9);
    pthread_t thread;

    pin(1); /* the thread inherits it */
    pthread_create(&thread, NULL, app_thread, NULL);
    pin(0);
    begin = cpu_ns();
    while (worker->now_ns < until) {
        for (uint32_t i = 0; i < 64; i++)
            switch_round(worker);
        activate_all(worker);
        worker->now_ns = core_clock();
    }
    begin = cpu_ns() - begin;
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return begin;
}

int main(int argc, char **argv)
{
    struct rlimit files = {1 << 17, 1 << 17};
    struct worker *worker;
    int keeper;
    uint64_t before, spent, count, full;

    if (argc < 2 || (strcmp(argv[1], "rx") != 0 && strcmp(argv[1], "tx") != 0)) {
        fprintf(stderr, "usage: forward_cost rx|tx [ports] [idle ports] [IP bytes] "
                        "[seconds | packets, alone] [alone|beside] [bytes of each ring] "
                        "[ordinary|huge] [bindings] [bindings used]\n");
        return 2;
    }
    wish.sending = argv[1][0] == 't';
    wish.ports = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    wish.idle = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
    wish.length = argc > 4 ? (uint32_t)atoi(argv[4]) : 46;
    wish.seconds = argc > 5 ? atof(argv[5]) : 1;
    wish.packets = (uint64_t)wish.seconds;
    wish.alone = argc > 6 && !strcmp(argv[6], "alone");
    if (argc > 7)
        wish.ring = (uint32_t)atoi(argv[7]);
    if (argc > 8 && !strcmp(argv[8], "ordinary"))
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    wish.choose = argc > 9;
    if (wish.choose)
        wish.bindings = (uint32_t)atoi(argv[9]);
    wish.used = argc > 10 ? (uint32_t)atoi(argv[10]) : wish.bindings;
    if (wish.used > USED_MAX)
        wish.used = USED_MAX;
    if (!wish.bindings || wish.used > wish.bindings || (wish.choose && wish.ports > 1) ||
        wish.bindings > NAMESPACE_BINDINGS_MAX) {
        fprintf(stderr, "forward_cost: up to %d bindings, of one port, of which some are used\n",
                NAMESPACE_BINDINGS_MAX);
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &files);
    make_frames();
    keeper = make_switch();
    worker = &core->workers[0];
    worker->now_ns = core_clock();
    if (wish.sending) { /* the first packet asks for the way */
        app_round();
        switch_round(worker);
        answer_resolve(keeper);
    }
    before = done();
    spent = wish.alone ? run_alone(worker) : run_beside(worker);
    count = done() - before;
    received(&full);
    printf("{\"direction\": \"%s\", \"ring_bytes\": %u, \"huge_bytes\": %llu, \"ports\": %u, "
           "\"idle_ports\": %u, \"bindings\": %u, \"bindings_used\": %u, \"size\": %u, "
           "\"packets\": %llu, \"port_full\": %llu, \"cpu_ns_per_packet\": %.1f, "
           "\"packets_per_second\": %.0f}\n",
           argv[1], wish.ring, (unsigned long long)core->ports.slots[0]->huge_bytes, wish.ports,
           wish.idle, wish.bindings, wish.used, wish.length + ETHER_HEADER_SIZE + 4,
           (unsigned long long)count, (unsigned long long)full,
           (double)spent / (double)(count + full), (double)count * 1e9 / (double)spent);
    core_dispose(core);
    return 0;
}
