/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_cost OPERATION COUNT [KEPT]: what a segment costs UTCP, for callgrind to count (bench/tcp_cost).
 *
 * Two stacks in one process hand their packets to each other; collection is on only while the stack
 * under test works at the operation, COUNT times, after a warm-up. Without valgrind it does the same
 * and counts nothing. Prints how many operations were collected.
 *
 * With KEPT, which is for short_connection without valgrind, connections stay in TIME-WAIT, so many of
 * them, and make room for each other: caches miss as they do in a server. Then it prints the nanoseconds of
 * an operation, those of looking at the clock included. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <valgrind/callgrind.h>

#include "utcp.h"

#define PACKETS_MAX 4096
#define PACKET_SIZE 2048
#define SEGMENT     1448
#define WARM_UP     200

struct packet {
    uint32_t length;
    uint8_t bytes[PACKET_SIZE];
};

/* One end: its stack, and the packets that it has sent and the other has not taken. */
struct end {
    struct utcp *stack;
    struct utcp_conn *conn;
    struct utcp_listener *listener;
    struct packet *packets;
    uint32_t head, tail;
};

static struct end tested, other;
static uint64_t now = 1000000;
static bool collecting;
static uint64_t began, spent; /* ns */
static uint32_t kept;
static uint8_t data[64 * 1024];

/* ── What is measured is between these two ─────────────────────────────────────────────────── */

static uint64_t clock_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void begin(void)
{
    began = clock_ns();
    if (collecting)
        CALLGRIND_TOGGLE_COLLECT;
}

static void end(void)
{
    if (!collecting)
        return;
    CALLGRIND_TOGGLE_COLLECT;
    spent += clock_ns() - began;
}

/* ── The wire ──────────────────────────────────────────────────────────────────────────────── */

static uint8_t *reserve(void *context, uint32_t length)
{
    struct end *at = context;

    if (length > PACKET_SIZE || at->tail - at->head == PACKETS_MAX)
        return NULL;
    return at->packets[at->tail % PACKETS_MAX].bytes;
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct end *at = context;

    (void)offload;
    at->packets[at->tail++ % PACKETS_MAX].length = length;
}

static void output(struct end *at)
{
    const struct utcp_sink sink = {reserve, commit, at};

    utcp_output(at->stack, now, &sink);
}

/* One packet of `from` reaches `to`. False: there is none. */
static bool pass(struct end *from, struct end *to)
{
    const struct packet *packet = &from->packets[from->head % PACKETS_MAX];

    if (from->head == from->tail)
        return false;
    from->head++;
    utcp_input(to->stack, now, packet->bytes, packet->length, UTCP_INPUT_CHECKSUM_OK);
    return true;
}

static void forget_events(struct end *at)
{
    struct utcp_event events[16];

    while (utcp_poll(at->stack, events, 16))
        ;
}

/* Until both have nothing more to say, at this time. */
static void settle(void)
{
    bool more = true;

    while (more) {
        output(&tested);
        output(&other);
        more = false;
        while (pass(&tested, &other) || pass(&other, &tested))
            more = true;
        forget_events(&tested);
        forget_events(&other);
    }
}

/* ── Connections ───────────────────────────────────────────────────────────────────────────── */

static struct utcp_endpoint endpoint(uint8_t host, uint16_t port)
{
    return (struct utcp_endpoint){.family = 4, .port = port, .address = {10, 0, 0, host}};
}

static void make(struct end *at, const char *secret)
{
    /* checksums are left to the switch, as in the runtime */
    struct utcp_config config = {.size = sizeof(config),
                                 .offloads = UTCP_OFFLOAD_CHECKSUM,
                                 .send_buffer_max = 16 << 20,
                                 .receive_buffer_max = 16 << 20,
                                 .time_wait_us = kept ? 0 : 1000,
                                 .connections_max = kept};

    memcpy(config.secret, secret, sizeof(config.secret));
    at->stack = utcp_new(&config, now);
    at->packets = calloc(PACKETS_MAX, sizeof(struct packet));
    if (!at->stack || !at->packets)
        exit(1);
}

static void listen_at(struct end *at, uint8_t host)
{
    struct utcp_endpoint local = endpoint(host, 80);

    if (utcp_listen(at->stack, &local, 128, NULL, &at->listener))
        exit(1);
}

static void connect_both(uint16_t port)
{
    struct utcp_endpoint from = endpoint(2, port), to = endpoint(1, 80);

    if (utcp_connect(other.stack, now, &from, &to, NULL, &other.conn))
        exit(1);
    settle();
    tested.conn = utcp_accept(tested.listener, now);
    if (!tested.conn)
        exit(1);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tcp_cost: %s\n", what);
    exit(1);
}

/* All that the other end has sent reaches the stack under test. Returns how many packets. */
static uint32_t take_measured(void)
{
    uint32_t taken = 0;

    for (; other.head != other.tail; taken++) {
        const struct packet *packet = &other.packets[other.head++ % PACKETS_MAX];

        begin();
        utcp_input(tested.stack, now, packet->bytes, packet->length, UTCP_INPUT_CHECKSUM_OK);
        end();
    }
    return taken;
}

/* ── Operations: each returns how many were done ───────────────────────────────────────────── */

/* A full segment in order, from the packet to the receive buffer; every second one makes an ACK due. */
static uint32_t receive_data(void)
{
    uint32_t done;

    must(utcp_write(other.conn, now, data, 10 * SEGMENT) == 10 * SEGMENT, "no room to send");
    output(&other);
    done = take_measured();
    forget_events(&tested);
    while (utcp_read(tested.conn, now, data, sizeof(data)) > 0)
        ;
    now += 100;
    settle();
    return done;
}

/* An ACK of two full segments. */
static uint32_t receive_ack(void)
{
    uint32_t done;

    must(utcp_write(tested.conn, now, data, 10 * SEGMENT) == 10 * SEGMENT, "no room to send");
    output(&tested);
    now += 100;
    while (pass(&tested, &other))
        output(&other);
    done = take_measured();
    while (utcp_read(other.conn, now, data, sizeof(data)) > 0)
        ;
    settle();
    return done;
}

/* The ACK of two full segments that have come. */
static uint32_t send_ack(void)
{
    must(utcp_write(other.conn, now, data, 2 * SEGMENT) == 2 * SEGMENT, "no room to send");
    output(&other);
    while (pass(&other, &tested))
        ;
    begin();
    output(&tested);
    end();
    forget_events(&tested);
    while (utcp_read(tested.conn, now, data, sizeof(data)) > 0)
        ;
    now += 100;
    settle();
    return 1;
}

/* A full segment: written, and built in the sink. */
static uint32_t send_segment(void)
{
    begin();
    utcp_write(tested.conn, now, data, SEGMENT);
    output(&tested);
    end();
    now += 100;
    settle();
    while (utcp_read(other.conn, now, data, sizeof(data)) > 0)
        ;
    settle();
    return 1;
}

/* What the other end has to say reaches the stack under test. */
static void receive_measured(void)
{
    output(&other);
    take_measured();
}

static void answer_measured(void)
{
    struct utcp_event events[16];

    begin();
    utcp_poll(tested.stack, events, 16);
    output(&tested);
    end();
    while (pass(&tested, &other))
        ;
    forget_events(&other);
}

/* A server's whole connection: handshake, a request of 100 bytes, a response of 1 KB, both FINs, the end
 * of TIME-WAIT. */
static uint32_t short_connection(void)
{
    static uint16_t port = 10000;
    static uint8_t host = 2;
    struct utcp_endpoint from = endpoint(host, port), to = endpoint(1, 80);
    struct utcp_conn *server;
    uint8_t request[128];

    if (++port == 60000) {
        port = 10000;
        host = host < 200 ? host + 1 : 2;
    }
    must(!utcp_connect(other.stack, now, &from, &to, NULL, &other.conn), "connect");
    receive_measured();
    answer_measured(); /* SYN-ACK */
    utcp_write(other.conn, now, data, 100);
    receive_measured(); /* ACK, request */
    begin();
    server = utcp_accept(tested.listener, now);
    end();
    must(server, "nothing to accept");
    begin();
    utcp_read(server, now, request, sizeof(request));
    utcp_write(server, now, data, 1024);
    utcp_close(server, now);
    end();
    answer_measured(); /* response, FIN */
    while (utcp_read(other.conn, now, data, sizeof(data)) > 0)
        ;
    utcp_close(other.conn, now);
    receive_measured(); /* ACK, FIN */
    answer_measured();  /* the last ACK */
    now += kept ? 4 : 10000;
    begin();
    utcp_advance(tested.stack, now); /* TIME-WAIT is over, if it is to be */
    end();
    utcp_advance(other.stack, now);
    settle();
    return 1;
}

static const struct {
    const char *name;
    uint32_t (*run)(void);
    bool needs_connection;
} operations[] = {
    {"receive_data", receive_data, true},
    {"receive_ack", receive_ack, true},
    {"send_ack", send_ack, true},
    {"send_segment", send_segment, true},
    {"short_connection", short_connection, false},
};

int main(int argc, char **argv)
{
    uint32_t wanted = argc >= 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0, done = 0;
    size_t at = 0;

    kept = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    while (at < sizeof(operations) / sizeof(operations[0]) && argc >= 3 &&
           strcmp(argv[1], operations[at].name))
        at++;
    if (!wanted || at == sizeof(operations) / sizeof(operations[0])) {
        fprintf(stderr, "usage: tcp_cost receive_data|receive_ack|send_ack|send_segment|"
                        "short_connection COUNT [KEPT]\n");
        return 2;
    }
    make(&tested, "secret of server");
    make(&other, "secret of client");
    listen_at(&tested, 1);
    if (operations[at].needs_connection)
        connect_both(40000);
    for (uint32_t i = 0; i < WARM_UP + kept; i++)
        operations[at].run();
    collecting = true;
    while (done < wanted)
        done += operations[at].run();
    printf("%u\n", kept ? (unsigned)(spent / done) : (unsigned)done);
    return 0;
}
