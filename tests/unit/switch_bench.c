/* SPDX-License-Identifier: BSD-2-Clause */
/* switch_bench.h */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"

static uint32_t bench_nic_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct bench *bench = queue->driver;
    uint32_t count = bench->rx_count < max ? bench->rx_count : max;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = bench->rx_lengths[i];
        uint32_t first = left < bench->piece_size ? left : bench->piece_size;
        uint32_t pieces = 0;

        for (left -= first; left; pieces++) {
            uint32_t part = left < bench->piece_size ? left : bench->piece_size;

            bench->rx_pieces[i][pieces] =
                (struct nic_piece){bench->rx_bytes[i] + bench->rx_lengths[i] - left, part};
            left -= part;
        }
        frames[i] = (struct nic_frame){bench->rx_bytes[i], first, bench->rx_lengths[i], pieces,
                                       bench->rx_pieces[i]};
    }
    bench->rx_taken = count;
    return count;
}

static void bench_nic_release(struct nic_queue *queue)
{
    struct bench *bench = queue->driver;

    for (uint32_t i = 0; i < bench->rx_taken; i++)
        free(bench->rx_bytes[i]);
    bench->rx_count -= bench->rx_taken;
    memmove(bench->rx_bytes, bench->rx_bytes + bench->rx_taken,
            bench->rx_count * sizeof(bench->rx_bytes[0]));
    memmove(bench->rx_lengths, bench->rx_lengths + bench->rx_taken,
            bench->rx_count * sizeof(bench->rx_lengths[0]));
    bench->rx_taken = 0;
}

static uint32_t bench_nic_room(struct nic_queue *queue)
{
    return ((struct bench *)queue->driver)->tx_room;
}

static uint8_t *bench_nic_reserve(struct nic_queue *queue, uint32_t length)
{
    struct bench *bench = queue->driver;

    if (length > queue->nic->frame_max)
        return NULL;
    if (length > BENCH_FRAME_SIZE)
        return bench->large_count < bench->large_room ? bench->large[bench->large_count].bytes
                                                      : NULL;
    if (!bench->tx_room)
        return NULL;
    assert_true(bench->tx_count < BENCH_FRAMES_MAX);
    return bench->tx[bench->tx_count].bytes;
}

static void bench_nic_commit(struct nic_queue *queue, uint32_t length,
                             const struct nic_offload *offload)
{
    struct bench *bench = queue->driver;

    if (length > BENCH_FRAME_SIZE) {
        struct bench_large *large = &bench->large[bench->large_count++];

        assert_true(bench->large_count <= bench->large_room);
        large->length = length;
        large->after = bench->tx_count;
        large->offloaded = offload;
        if (offload)
            large->offload = *offload;
        return;
    }
    assert_null(offload);
    assert_true(bench->tx_room);
    bench->tx[bench->tx_count++].length = length;
    bench->tx_room--;
}

static void bench_nic_commit_referring(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                                       uint32_t rest_length, const struct nic_offload *offload)
{
    struct bench *bench = queue->driver;
    struct bench_large *large = &bench->large[bench->large_count];

    assert_true(head + rest_length > BENCH_FRAME_SIZE);
    assert_non_null(offload);
    bench_nic_commit(queue, head + rest_length, offload);
    large->head = head;
    large->rest = rest;
}

/* Only now is it read: before, the NIC was as busy as can be. */
static void bench_nic_settle(struct nic_queue *queue)
{
    struct bench *bench = queue->driver;

    for (uint32_t i = 0; i < bench->large_count; i++) {
        struct bench_large *large = &bench->large[i];

        if (large->rest)
            memcpy(large->bytes + large->head, large->rest, large->length - large->head);
        large->rest = NULL;
    }
    bench->settled++;
    if (bench->looked)
        bench->head_seen = ring_load_acquire(&bench->looked->head);
}

static void bench_nic_flush(struct nic_queue *queue)
{
    ((struct bench *)queue->driver)->flushes++;
}

static int bench_nic_fd(const struct nic_queue *queue)
{
    (void)queue;
    return -1;
}

static bool bench_nic_sleep(struct nic_queue *queue)
{
    return ((struct bench *)queue->driver)->rx_count == 0;
}

static void bench_nic_close(struct nic_queue *queue)
{
    (void)queue;
}

static const struct nic_ops bench_ops = {
    .name = "bench",
    .receive = bench_nic_receive,
    .release = bench_nic_release,
    .room = bench_nic_room,
    .reserve = bench_nic_reserve,
    .commit = bench_nic_commit,
    .commit_referring = bench_nic_commit_referring,
    .settle = bench_nic_settle,
    .flush = bench_nic_flush,
    .fd = bench_nic_fd,
    .sleep = bench_nic_sleep,
    .close = bench_nic_close,
};

static uint8_t parse_ip(const char *text, uint8_t bytes[16])
{
    memset(bytes, 0, 16);
    if (strchr(text, ':')) {
        assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
        return 6;
    }
    assert_int_equal(inet_pton(AF_INET, text, bytes), 1);
    return 4;
}

static struct tuple tuple_of(const char *address, uint8_t protocol, uint16_t port)
{
    uint8_t bytes[16];
    uint8_t family = parse_ip(address, bytes);

    return tuple_make(bytes, family, protocol, htons(port));
}

static void add_nic(struct bench *bench)
{
    struct switch_core *core = bench->core;
    struct nic *nic = &core->nics[0];

    *nic = (struct nic){
        .ops = &bench_ops,
        .name = "bench0",
        .ifindex = 7,
        .mtu = BENCH_MTU,
        .frame_max = BENCH_FRAME_SIZE,
        .large_min = BENCH_FRAME_SIZE,
        .up = true,
        .mac = {2, 0, 0, 0, 0, 1},
        .queue_count = 1,
        .verdicts_fd = -1,
    };
    nic->queues = calloc(1, sizeof(struct nic_queue));
    nic->queues[0] = (struct nic_queue){.ops = &bench_ops, .nic = nic, .driver = bench};
    core->nic_count = 1;
    bench->nic = nic;
    worker_add_queue(bench->worker, &nic->queues[0]);
}

struct bench *bench_open(void)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct tuple host4 = tuple_of(BENCH_HOST4, 0, 0), host6 = tuple_of(BENCH_HOST6, 0, 0);
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    bench->keeper = ends[1];
    bench->core = calloc(1, sizeof(struct switch_core));
    bench->core->config = (struct channel_config){
        .ports_max = 64, .ports_per_uid_max = 48, .ring_size_default = BENCH_RING_SIZE};
    assert_int_equal(core_init(bench->core, ends[0], -1, -1), 0);
    bench->worker = &bench->core->workers[0];
    bench->tx = calloc(BENCH_FRAMES_MAX, sizeof(struct bench_frame));
    bench->tx_room = BENCH_FRAMES_MAX;
    bench->piece_size = BENCH_FRAME_SIZE;
    add_nic(bench);
    assert_int_equal(namespace_set_address(&bench->core->workers[0].names, &host4, true), 0);
    assert_int_equal(namespace_set_address(&bench->core->workers[0].names, &host6, true), 0);
    return bench;
}

void bench_close(struct bench *bench)
{
    int channel = bench->core->channel_fd;

    while (bench->rx_count)
        free(bench->rx_bytes[--bench->rx_count]);
    core_dispose(bench->core);
    free(bench->core);
    close(channel);
    close(bench->keeper);
    free(bench->tx);
    free(bench->large);
    free(bench);
}

void bench_segments(struct bench *bench)
{
    bench->large = calloc(BENCH_LARGE_MAX, sizeof(*bench->large));
    bench->large_room = BENCH_LARGE_MAX;
    bench->nic->capabilities = NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_REFER;
    bench->nic->frame_max = BENCH_LARGE_SIZE;
}

struct bench_app bench_app_open(struct bench *bench, bool merged, uint32_t size)
{
    struct port_request request = {.name = "app", .ring_count = 1, .merged_rx = merged};
    struct bench_app app = {0};

    request.rx_size = request.tx_size = size ? size : BENCH_RING_SIZE;
    assert_int_equal(port_open(bench->core, &request, &app.port), 0);
    app.region = mmap(NULL, app.port->region_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                      app.port->memory_fd, 0);
    assert_ptr_not_equal(app.region, MAP_FAILED);
    ring_consumer_init(&app.rx, (struct ring_control *)(app.region + port_layout_rx_control(0)),
                       app.region + port_layout_rx_data(1, request.rx_size, request.tx_size, 0),
                       request.rx_size);
    ring_producer_init(&app.tx, (struct ring_control *)(app.region + port_layout_tx_control(0)),
                       app.region + port_layout_tx_data(1, request.rx_size, request.tx_size, 0),
                       request.tx_size);
    return app;
}

void bench_bind(struct bench *bench, struct bench_app *app, uint8_t protocol, const char *address,
                uint16_t port)
{
    const struct binding_terms terms = {.cookie = 0};
    struct tuple tuple = tuple_of(address, protocol, port);
    uint32_t number;

    assert_int_equal(
        binding_add(bench->core, app->port, &tuple, dup(bench->keeper), &terms, &number), 0);
}

void bench_app_close(struct bench *bench, struct bench_app *app)
{
    munmap(app->region, app->port->region_size);
    port_close(bench->core, app->port);
    app->port = NULL;
}

bool bench_send(struct bench_app *app, const struct ring_record *record, const void *packet)
{
    uint8_t *place = NULL;

    assert_true(ring_producer_refresh(&app->tx));
    place = ring_producer_reserve(&app->tx, record->length);
    assert_non_null(place);
    memcpy(place, packet, record->length);
    ring_producer_commit(&app->tx, record);
    return ring_producer_publish(&app->tx);
}

const uint8_t *bench_receive(struct bench_app *app, struct ring_record *record)
{
    const uint8_t *packet = NULL;

    ring_consumer_release(&app->rx);
    assert_true(ring_consumer_refresh(&app->rx));
    switch (ring_consumer_next(&app->rx, record, &packet)) {
    case RING_NEXT_PACKET: return packet;
    case RING_NEXT_EMPTY: return NULL;
    case RING_NEXT_BROKEN: break;
    }
    fail_msg("the switch wrote a broken record");
    return NULL;
}

void bench_arrive(struct bench *bench, const void *packet, uint32_t length)
{
    uint8_t *frame = malloc(ETHER_HEADER_SIZE + length);
    struct wire_ether *ether = (struct wire_ether *)frame;
    bool ipv6 = length && (*(const uint8_t *)packet >> 4) == 6;

    assert_true(bench->rx_count < NIC_BATCH);
    memset(frame, 2, ETHER_HEADER_SIZE);
    ether->type = htons(ipv6 ? ETHER_TYPE_IPV6 : ETHER_TYPE_IPV4);
    memcpy(frame + ETHER_HEADER_SIZE, packet, length);
    bench->rx_bytes[bench->rx_count] = frame;
    bench->rx_lengths[bench->rx_count++] = ETHER_HEADER_SIZE + length;
}

void bench_answer_prefix(struct bench *bench, const char *destination, const char *source,
                         const char *gateway, uint8_t prefix)
{
    struct channel_next_hop answer = {
        .header = {.type = CHANNEL_NEXT_HOP, .size = sizeof(answer)},
        .kind = CHANNEL_HOP_NIC,
        .mtu = BENCH_MTU,
        .mac = {2, 0, 0, 0, 0, 2},
        .prefix = prefix,
    };

    answer.destination.family = parse_ip(destination, answer.destination.bytes);
    answer.source.family = parse_ip(source, answer.source.bytes);
    answer.gateway.family = parse_ip(gateway, answer.gateway.bytes);
    assert_int_equal(send(bench->keeper, &answer, sizeof(answer), 0), sizeof(answer));
    core_hear_keeper(bench->core);
    assert_false(bench->core->stop);
}

void bench_answer(struct bench *bench, const char *destination, const char *source,
                  enum channel_next_hop_kind kind, uint32_t mtu)
{
    struct channel_next_hop answer = {
        .header = {.type = CHANNEL_NEXT_HOP, .size = sizeof(answer)},
        .kind = kind,
        .mtu = mtu,
        .mac = {2, 0, 0, 0, 0, 2},
    };

    answer.destination.family = parse_ip(destination, answer.destination.bytes);
    answer.source.family = parse_ip(source, answer.source.bytes);
    answer.gateway = answer.destination;
    assert_int_equal(send(bench->keeper, &answer, sizeof(answer), 0), sizeof(answer));
    core_hear_keeper(bench->core);
    assert_false(bench->core->stop);
}

bool bench_asked(struct bench *bench, struct channel_resolve *question)
{
    return recv(bench->keeper, question, sizeof(*question), MSG_DONTWAIT) == sizeof(*question);
}

static uint32_t write_transport(uint8_t *out, const struct bench_packet *packet)
{
    uint32_t header = packet->protocol == IP_PROTOCOL_TCP ? TCP_HEADER_MIN : UDP_HEADER_SIZE;

    if (packet->protocol == IP_PROTOCOL_TCP)
        *(struct wire_tcp *)out = (struct wire_tcp){
            .source_port = htons(packet->source_port),
            .destination_port = htons(packet->destination_port),
            .sequence = htonl(packet->sequence),
            .data_offset = 0x50,
            .flags = packet->flags,
            .window = htons(1000),
        };
    else
        *(struct wire_udp *)out = (struct wire_udp){
            .source_port = htons(packet->source_port),
            .destination_port = htons(packet->destination_port),
            .length = htons((uint16_t)(header + packet->payload)),
        };
    for (uint32_t i = 0; i < packet->payload; i++)
        out[header + i] = (uint8_t)(i * 7 + i / 256);
    return header + packet->payload;
}

uint32_t bench_packet(uint8_t *out, const struct bench_packet *packet)
{
    uint8_t source[16], destination[16];
    uint8_t family = parse_ip(packet->source, source);
    uint32_t network = family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
    struct packet_view view = {
        .family = family, .protocol = packet->protocol, .transport = (uint8_t)network};

    assert_int_equal(parse_ip(packet->destination, destination), family);
    view.length = network + write_transport(out + network, packet);
    if (family == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)out;

        *ip = (struct wire_ipv4){
            .version_ihl = 0x45,
            .total_length = htons((uint16_t)view.length),
            .id = htons(77),
            .fragment = htons(IPV4_DONT_FRAGMENT),
            .ttl = 64,
            .protocol = packet->protocol,
        };
        memcpy(ip->source, source, 4);
        memcpy(ip->destination, destination, 4);
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    } else {
        struct wire_ipv6 *ip = (struct wire_ipv6 *)out;

        *ip = (struct wire_ipv6){
            .version_class_flow = htonl(0x60000000),
            .payload_length = htons((uint16_t)(view.length - IPV6_HEADER_SIZE)),
            .next_header = packet->protocol,
            .hop_limit = 64,
        };
        memcpy(ip->source, source, 16);
        memcpy(ip->destination, destination, 16);
    }
    packet_fill_checksum(out, &view);
    return view.length;
}

bool bench_checksum_good(const uint8_t *packet, uint32_t length)
{
    struct packet_view view;
    uint64_t sum;

    if (packet_parse(packet, length, length, &view) != DROP_NONE || view.length != length)
        return false;
    sum = packet_pseudo_header(packet, &view, length - view.transport);
    return checksum_finish(checksum_add(sum, packet + view.transport, length - view.transport)) ==
           0;
}

uint64_t bench_ring_drops(const struct bench_app *app, enum drop_reason reason)
{
    return app->port->rings[0].drops.count[reason];
}

uint64_t bench_nic_drops(const struct bench *bench, enum drop_reason reason)
{
    return bench->worker->queues[0].drops.count[reason];
}

int bench_set_up(void **state)
{
    *state = bench_open();
    return 0;
}

int bench_tear_down(void **state)
{
    bench_close(*state);
    return 0;
}

const struct bench_packet bench_from_peer = {BENCH_PEER4,     BENCH_HOST4,       5000, 80,
                                             IP_PROTOCOL_TCP, TCP_ACK | TCP_PSH, 1000, 100};
const struct bench_packet bench_to_peer = {BENCH_HOST4,     BENCH_PEER4,       80,   5000,
                                           IP_PROTOCOL_TCP, TCP_ACK | TCP_PSH, 1000, 100};

struct bench_app bench_server(struct bench *bench)
{
    struct bench_app app = bench_app_open(bench, false, 0);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    return app;
}

void bench_resolve(struct bench *bench)
{
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    struct bench_app app = bench_app_open(bench, false, 0);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, BENCH_HOST4, 80);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_true(bench_asked(bench, &question));
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, BENCH_MTU);
    assert_int_equal(bench->tx_count, 1);
    bench->tx_count = 0;
    bench_app_close(bench, &app);
}
