/* SPDX-License-Identifier: BSD-2-Clause */
/* A stack with connections in every state, and whatever a stranger, the network, the clock and the
 * application do to it.
 *
 * An input is a sequence of steps. Some are raw packets; most are segments for one of the connections
 * that are right but for what the input changes, so that they reach beyond the first check. After each
 * step all that must hold between two calls is asserted (tests/tcp/consistency.c), and in the end
 * every reference must have been released once. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "consistency.h"
#include "utcp.h"
#include "wire.h"

#define CONNECTIONS 6
#define STEPS_MAX   400

enum step {
    STEP_SEGMENT,
    STEP_PACKET,
    STEP_TIME,
    STEP_WRITE,
    STEP_REFER,
    STEP_READ,
    STEP_SHUTDOWN,
    STEP_CLOSE,
    STEP_ABORT,
    STEP_OUTPUT,
    STEP_OUTPUT_LITTLE,
    STEP_OPTION,
    STEP_ICMP,
    STEP_CONNECT,
    STEP_MTU,
    STEPS,
};

/* The peer of a connection, as it sees the numbers: from the last segment that came out. */
struct peer {
    uint16_t port;
    uint32_t next;   /* its own next sequence number */
    uint32_t expect; /* ours that it expects */
    struct utcp_conn *conn;
};

struct world {
    struct utcp *stack;
    struct utcp_listener *listener;
    enum utcp_option fast_open; /* 0: nobody asks for it */
    uint64_t now;
    struct peer peers[CONNECTIONS];
    uint8_t out[65536];
    unsigned room;
    int referred, released;
};

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *input, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes-- > 0 && input->left > 0) {
        value = value << 8 | *input->at++;
        input->left--;
    }
    return value;
}

/* Mostly small differences, sometimes any. */
static uint32_t take_offset(struct input *input)
{
    int8_t small = (int8_t)take(input, 1);

    if (small == 127)
        return take(input, 4);
    if (small > 64)
        return (uint32_t)(small - 64) * 700;
    return (uint32_t)small;
}

static struct utcp_endpoint endpoint(uint8_t last, uint16_t port)
{
    return (struct utcp_endpoint){.family = 4, .port = port, .address = {192, 0, 2, last}};
}

static struct peer *peer_by_port(struct world *world, uint16_t port)
{
    for (int i = 0; i < CONNECTIONS; i++)
        if (world->peers[i].port == port)
            return &world->peers[i];
    return NULL;
}

/* ── The sink: peers learn from what they receive ─────────────────────────────────────────────── */

static uint8_t *sink_reserve(void *context, uint32_t length)
{
    struct world *world = context;

    assert(length <= sizeof(world->out));
    return world->room ? world->out : NULL;
}

static void sink_commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct world *world = context;
    const struct wire_tcp *tcp = (const struct wire_tcp *)(world->out + IPV4_HEADER_MIN);
    struct peer *peer = peer_by_port(world, ntohs(tcp->destination_port));
    uint32_t payload = length - IPV4_HEADER_MIN - (uint32_t)(tcp->data_offset >> 4) * 4;

    (void)offload;
    world->room--;
    if (peer == NULL || tcp->flags & TCP_RST)
        return;
    peer->expect =
        ntohl(tcp->sequence) + payload + !!(tcp->flags & TCP_SYN) + !!(tcp->flags & TCP_FIN);
    if (tcp->flags & TCP_ACK)
        peer->next = ntohl(tcp->acknowledgment);
}

static void output(struct world *world, unsigned room)
{
    struct utcp_sink sink = {sink_reserve, sink_commit, world};

    world->room = room;
    utcp_output(world->stack, world->now, &sink);
}

/* ── Packets ──────────────────────────────────────────────────────────────────────────────────── */

static void put_ip(uint8_t *packet, uint8_t protocol, size_t length)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

    *ip = (struct wire_ipv4){.version_ihl = 0x45,
                             .total_length = htons((uint16_t)length),
                             .ttl = 64,
                             .protocol = protocol,
                             .source = {192, 0, 2, 2},
                             .destination = {192, 0, 2, 1}};
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
}

static void inject(struct world *world, const uint8_t *packet, size_t length, unsigned flags)
{
    uint8_t *exact = malloc(length ? length : 1);

    memcpy(exact, packet, length);
    utcp_input(world->stack, world->now, exact, length, flags);
    free(exact);
}

static void send_segment(struct world *world, struct peer *peer, uint8_t flags, uint32_t seq,
                         uint32_t ack, uint16_t window, uint32_t payload, struct input *options,
                         unsigned options_size)
{
    static uint8_t packet[IPV4_HEADER_MIN + TCP_HEADER_MAX + 20000];
    uint32_t header = TCP_HEADER_MIN + options_size;
    struct wire_tcp *tcp = (struct wire_tcp *)(packet + IPV4_HEADER_MIN);

    *tcp = (struct wire_tcp){.source_port = htons(peer->port),
                             .destination_port = htons(80),
                             .sequence = htonl(seq),
                             .acknowledgment = htonl(ack),
                             .data_offset = (uint8_t)(header / 4 << 4),
                             .flags = flags,
                             .window = htons(window)};
    for (unsigned i = 0; i < options_size; i++)
        packet[IPV4_HEADER_MIN + TCP_HEADER_MIN + i] = (uint8_t)take(options, 1);
    memset(packet + IPV4_HEADER_MIN + header, 0x55, payload);
    put_ip(packet, IP_PROTOCOL_TCP, IPV4_HEADER_MIN + header + payload);
    inject(world, packet, IPV4_HEADER_MIN + header + payload, UTCP_INPUT_CHECKSUM_OK);
}

static void step_segment(struct world *world, struct input *input, struct peer *peer)
{
    uint8_t flags = (uint8_t)take(input, 1), shape = (uint8_t)take(input, 1);
    uint32_t seq = peer->next + (shape & 1 ? take_offset(input) : 0);
    uint32_t ack = peer->expect + (shape & 2 ? take_offset(input) : 0);
    uint16_t window = shape & 4 ? (uint16_t)take(input, 2) : 65535;
    uint32_t payload = shape & 8 ? take(input, 2) % 20000 : 0;
    unsigned options = shape & 16 ? take(input, 1) % 11 * 4 : 0;

    send_segment(world, peer, shape & 32 ? flags : flags & 0x3b, seq, ack, window, payload, input,
                 options);
}

static void step_packet(struct world *world, struct input *input)
{
    uint8_t packet[256];
    size_t length = take(input, 1);

    for (size_t i = 0; i < length; i++)
        packet[i] = (uint8_t)take(input, 1);
    inject(world, packet, length, length & 3);
}

static void step_icmp(struct world *world, struct input *input, struct peer *peer)
{
    uint8_t packet[IPV4_HEADER_MIN + ICMP_HEADER_SIZE + IPV4_HEADER_MIN + 8];
    uint8_t *inner = packet + IPV4_HEADER_MIN + ICMP_HEADER_SIZE;
    struct wire_icmp *icmp = (struct wire_icmp *)(packet + IPV4_HEADER_MIN);
    struct wire_ports ports = {htons(80), htons(peer->port)};
    be32 seq = htonl(peer->expect - 1 - take(input, 1));

    put_ip(inner, IP_PROTOCOL_TCP, 1500);
    memcpy(((struct wire_ipv4 *)inner)->source, (uint8_t[]){192, 0, 2, 1}, 4);
    memcpy(((struct wire_ipv4 *)inner)->destination, (uint8_t[]){192, 0, 2, 2}, 4);
    memcpy(inner + IPV4_HEADER_MIN, &ports, sizeof(ports));
    memcpy(inner + IPV4_HEADER_MIN + 4, &seq, sizeof(seq));
    *icmp = (struct wire_icmp){.type = ICMP_DESTINATION_UNREACHABLE,
                               .code = (uint8_t)(take(input, 1) % 16),
                               .rest = htonl(take(input, 2))};
    put_ip(packet, IP_PROTOCOL_ICMP, sizeof(packet));
    inject(world, packet, sizeof(packet), UTCP_INPUT_CHECKSUM_OK);
}

/* ── The application ──────────────────────────────────────────────────────────────────────────── */

static void released(void *owner)
{
    ((struct world *)owner)->released++;
}

static void collect(struct world *world)
{
    struct utcp_event events[4];
    struct utcp_conn *conn;

    while (utcp_poll(world->stack, events, 4) > 0)
        continue;
    while ((conn = utcp_accept(world->listener, world->now)) != NULL) {
        struct utcp_info info = {.size = sizeof(info)};
        struct peer *peer;

        utcp_info(conn, &info);
        peer = peer_by_port(world, info.remote.port);
        if (peer == NULL || peer->conn)
            utcp_abort(conn, world->now);
        else
            peer->conn = conn;
    }
}

static void connect_peer(struct world *world, struct peer *peer)
{
    struct utcp_endpoint local = endpoint(1, 80), remote = endpoint(2, peer->port);

    if (peer->conn == NULL &&
        utcp_connect(world->stack, world->now, &local, &remote, peer, &peer->conn) == 0 &&
        world->fast_open)
        (void)utcp_set_option(peer->conn, world->fast_open, 1);
}

static void step_application(struct world *world, struct input *input, enum step step,
                             struct peer *peer)
{
    static uint8_t data[20000];
    size_t size = take(input, 2) % sizeof(data);

    if (peer->conn == NULL)
        return;
    switch (step) {
    case STEP_WRITE:
        if (size % 4 == 1)
            (void)utcp_write_record(peer->conn, world->now, data, size);
        else
            (void)utcp_write(peer->conn, world->now, data, size);
        break;
    case STEP_REFER:
        if (utcp_write_ref(peer->conn, world->now, data, size, released, world) == 0)
            world->referred++;
        break;
    case STEP_READ: (void)utcp_read(peer->conn, world->now, data, size); break;
    case STEP_SHUTDOWN: utcp_shutdown(peer->conn, world->now); break;
    case STEP_CLOSE:
        utcp_close(peer->conn, world->now);
        peer->conn = NULL;
        break;
    case STEP_ABORT:
        utcp_abort(peer->conn, world->now);
        peer->conn = NULL;
        break;
    default: (void)utcp_set_option(peer->conn, (enum utcp_option)(size % 5), take(input, 3)); break;
    }
}

static void run_step(struct world *world, struct input *input)
{
    uint8_t what = (uint8_t)take(input, 1);
    struct peer *peer = &world->peers[what / 16 % CONNECTIONS];
    enum step step = (enum step)(what % 16 % STEPS);

    switch (step) {
    case STEP_SEGMENT: step_segment(world, input, peer); break;
    case STEP_PACKET: step_packet(world, input); break;
    case STEP_TIME:
        world->now += (uint64_t)take(input, 2) << take(input, 1) % 24;
        utcp_advance(world->stack, world->now);
        break;
    case STEP_OUTPUT: output(world, 10000); break;
    case STEP_OUTPUT_LITTLE: output(world, take(input, 1) % 4); break;
    case STEP_ICMP: step_icmp(world, input, peer); break;
    case STEP_CONNECT: connect_peer(world, peer); break;
    case STEP_MTU: utcp_set_mtu(world->stack, take(input, 2)); break;
    default: step_application(world, input, step, peer); break;
    }
    collect(world);
    assert_consistent(world->stack);
}

/* A handshake, by which connections 0 to 3 exist before the input begins. */
static void establish(struct world *world, struct peer *peer)
{
    struct input none = {NULL, 0};

    send_segment(world, peer, TCP_SYN, peer->next, 0, 65535, 0, &none, 0);
    output(world, 10);
    send_segment(world, peer, TCP_ACK, peer->next, peer->expect, 65535, 0, &none, 0);
    collect(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world world;
    struct input input = {data, size};
    struct utcp_config config = {.size = sizeof(config), .connections_max = 5};
    struct utcp_endpoint local = endpoint(1, 80);
    uint8_t shape = (uint8_t)take(&input, 1);

    world = (struct world){.now = 1000000};
    config.offloads = shape & 3;
    config.receive_buffer_max = shape & 4 ? 5000 : 0;
    config.memory_max = shape & 8 ? 30000 : 0;
    config.send_buffer_max = shape & 16 ? 3000 : 0;
    world.stack = utcp_new(&config, world.now);
    utcp_listen(world.stack, &local, 3, NULL, &world.listener);
    if (shape & 32) {
        world.fast_open = shape & 64 ? UTCP_OPTION_FAST_OPEN_NO_COOKIE : UTCP_OPTION_FAST_OPEN;
        utcp_listener_set_option(world.listener, UTCP_OPTION_FAST_OPEN, 2);
        utcp_listener_set_option(world.listener, UTCP_OPTION_FAST_OPEN_NO_COOKIE, shape & 64);
    }
    if (shape & 128)
        utcp_listener_set_option(world.listener, UTCP_OPTION_SYN_COOKIES, UTCP_SYN_COOKIES_ALWAYS);
    for (uint16_t i = 0; i < CONNECTIONS; i++) {
        world.peers[i].port = (uint16_t)(5000 + i);
        world.peers[i].next = 0xfffffff0;
        if (i < 4)
            establish(&world, &world.peers[i]);
    }
    for (int step = 0; step < STEPS_MAX && input.left > 0; step++)
        run_step(&world, &input);
    /* Whatever was done: time ends all that nobody owns. */
    for (int i = 0; i < CONNECTIONS; i++)
        if (world.peers[i].conn)
            utcp_close(world.peers[i].conn, world.now);
    utcp_listener_close(world.listener);
    for (int i = 0; i < 2000; i++) {
        output(&world, 10000);
        if (utcp_deadline(world.stack) == UINT64_MAX)
            break;
        world.now += 1000000; /* a second at a time: a keep-alive may be set to far less */
        utcp_advance(world.stack, world.now);
    }
    assert_consistent(world.stack);
    assert(world.referred == world.released);
    utcp_free(world.stack);
    return 0;
}

/* Steps by hand: 0x_0 is a segment for connection _, flags and shape follow. */
const struct fuzz_example fuzz_examples[] = {
    /* data in order, read, answer, FIN */
    FUZZ_TEXT("\x00\x00\x10\x08\x03\xe8\x05\x10\x00\x03\x01\x00\x09\x06\x00\x00\x09"
              "\x00\x11\x00\x09\x07\x00\x00\x09"),
    /* out of order, hole filled, window closed, probe */
    FUZZ_TEXT("\x00\x10\x10\x09\x50\x01\x00\x10\x10\x09\x60\x01\x00\x09\x10\x10\x08\x09\x00\x09"
              "\x13\x20\x00\x10\x10\x04\x00\x00\x02\xff\xff\x10\x09"),
    /* duplicates and a timeout, large segments */
    FUZZ_TEXT("\x03\x23\x40\x00\x09\x20\x10\x02\x80\x20\x10\x02\x80\x20\x10\x02\x80\x09\x02\xff\xff"
              "\x0a\x09\x20\x10\x00\x09"),
    /* connect, SYN-ACK with options, RST, close */
    FUZZ_TEXT("\x00\x4d\x09\x40\x12\x10\x05\x02\x04\x05\xb4\x01\x03\x03\x07\x08\x0a\x00\x00\x00\x01"
              "\x00\x00\x00\x00\x01\x01\x09\x40\x04\x00\x47\x00\x00\x09"),
    /* ICMP, aborts, options, references */
    FUZZ_TEXT("\x04\x04\x20\x00\x09\x0c\x00\x04\x02\x58\x09\x0b\x00\x02\x00\x10\x00\x1c\x00\x03\x00"
              "\x00\x18\x00\x00\x09\x02\xff\xff\x10"),
    /* fast open without cookies: taken, answered, acknowledged; connect, data, SYN-ACK */
    FUZZ_TEXT("\x60\x40\x02\x08\x03\xe8\x43\x01\x00\x09\x40\x10\x00\x09\x5d\x53\x01\x00\x09\x50"
              "\x12\x00\x09"),
    /* by cookies: asked for, reset before it is accepted, timeouts */
    FUZZ_TEXT("\x20\x40\x02\x18\x03\xe8\x01\x22\x02\x00\x00\x09\x02\xff\xff\x0a\x09\x40\x04\x00"
              "\x5d\x53\x01\x00\x09\x02\xff\xff\x0a\x09"),
    /* by cookies: reset, SYN with all options, final ACK with data that knows the timestamp or not */
    FUZZ_TEXT("\x80\x00\x04\x00\x09\x00\x02\x10\x05\x02\x04\x05\xb4\x01\x03\x03\x07\x08\x0a"
              "\x00\x00\x00\x01\x00\x00\x00\x00\x04\x02\x01\x01\x09\x00\x10\x08\x00\x20\x09"
              "\x00\x02\x00\x09\x00\x10\x08\x00\x64\x09"),
    {NULL, 0},
};
