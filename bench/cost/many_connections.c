/* SPDX-License-Identifier: BSD-2-Clause */
/* Very many established connections in one process: what each costs, idle and in use, in memory and
 * time. Two stacks in virtual time, with nothing but a queue between them; so each connection is
 * there twice, and figures are for one end.
 *
 *   many_connections COUNT [SAMPLE]
 *
 * opens COUNT connections from as many addresses and ports as that takes, lets time pass with no
 * timer and with one on each connection of the server, lets those fire (keep-alive: a probe and its
 * answer), and has SAMPLE (10,000) of them, chosen at random, carry a request and its answer. Prints one
 * JSON object. Fails when a connection costs more than 1 KiB, its place in the table included, when one is lost, when data are not what
 * was sent, or when an idle connection holds a buffer. */
#include <inttypes.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "utcp.h"

#define SECOND         UINT64_C(1000000)
#define HOUR           (3600 * SECOND)
#define TICK           UINT64_C(256) /* of the wheel */
#define TICKS          1000000
#define STEP           100000 /* in which timers that fire are gathered */
#define QUEUE          4096
#define PACKET_MAX     2048
#define BATCH          64
#define PORTS          50000 /* of each address */
#define PORT_FIRST     10000
#define REQUEST        1000
#define KEEPALIVE      (2 * HOUR)
#define KEEPALIVE_SPAN (10 * 60 * SECOND) /* over which they are spread */

struct side {
    struct utcp *stack;
    struct utcp_conn **conns;
    uint32_t count;
    uint8_t (*packets)[PACKET_MAX];
    uint32_t lengths[QUEUE];
    uint32_t queued;
};

struct figures {
    double bytes, rss, open_ns, tick_idle_ns, arm_ns, tick_armed_ns, fire_ns, exchange_ns;
};

static struct side client, server;
static struct utcp_listener *listener;
static uint64_t now = SECOND;
static uint32_t connected;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "many_connections: %s\n", what);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        fail("out of memory");
    return memory;
}

static uint64_t cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Bytes that the allocator has given away, with its own headers. */
static uint64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return (uint64_t)info.uordblks + (uint64_t)info.hblkhd;
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    char line[256] = "", *second;

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = 0;
    fclose(file);
    second = strchr(line, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* ── The queue between the stacks ──────────────────────────────────────────────────────────── */

static uint8_t *reserve(void *context, uint32_t length)
{
    struct side *side = context;

    return side->queued < QUEUE && length <= PACKET_MAX ? side->packets[side->queued] : NULL;
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct side *side = context;

    (void)offload;
    side->lengths[side->queued++] = length;
}

static void take_events(struct side *side)
{
    struct utcp_event events[64];
    unsigned count;

    while ((count = utcp_poll(side->stack, events, 64)) > 0) {
        for (unsigned i = 0; i < count; i++) {
            if (events[i].events & UTCP_ERROR)
                fail("a connection is lost");
            connected += (events[i].events & UTCP_CONNECTED) != 0;
        }
    }
}

/* One way: what is sent, arrives. True: there was something. */
static bool carry(struct side *from, struct side *to)
{
    struct utcp_sink sink = {reserve, commit, from};

    from->queued = 0;
    utcp_output(from->stack, now, &sink);
    for (uint32_t i = 0; i < from->queued; i++)
        utcp_input(to->stack, now, from->packets[i], from->lengths[i], UTCP_INPUT_CHECKSUM_OK);
    return from->queued > 0;
}

static void pump(void)
{
    bool busy;

    do {
        busy = carry(&client, &server);
        busy |= carry(&server, &client);
        take_events(&client);
        take_events(&server);
    } while (busy);
}

static void pass(uint64_t us)
{
    now += us;
    utcp_advance(client.stack, now);
    utcp_advance(server.stack, now);
    pump();
}

/* ── What is measured ──────────────────────────────────────────────────────────────────────── */

static void begin(struct side *side, uint32_t count, const char *secret)
{
    struct utcp_config config = {
        .size = sizeof(config), .connections_max = count, .offloads = UTCP_OFFLOAD_CHECKSUM};

    memcpy(config.secret, secret, sizeof(config.secret));
    side->stack = utcp_new(&config, now);
    if (side->stack == NULL)
        fail("no stack");
    side->conns = allocate(count, sizeof(struct utcp_conn *));
    memset(side->conns, 1, count * sizeof(struct utcp_conn *)); /* resident from now on */
    side->packets = allocate(QUEUE, PACKET_MAX);
    memset(side->packets, 1, (size_t)QUEUE * PACKET_MAX);
}

static void open_all(uint32_t count)
{
    const struct utcp_endpoint to = {.family = 4, .port = 80, .address = {10, 255, 0, 1}};
    struct utcp_conn *conn;

    if (utcp_listen(server.stack, &to, BATCH, NULL, &listener) != 0)
        fail("no listener");
    while (client.count < count) {
        for (unsigned i = 0; i < BATCH && client.count < count; i++) {
            uint32_t host = client.count / PORTS;
            struct utcp_endpoint from = {
                .family = 4,
                .port = (uint16_t)(PORT_FIRST + client.count % PORTS),
                .address = {10, (uint8_t)(host >> 8), (uint8_t)host, 1},
            };

            if (utcp_connect(client.stack, now, &from, &to, NULL, &conn) != 0)
                fail("cannot connect");
            client.conns[client.count++] = conn;
        }
        now += 50;
        pump();
        while ((conn = utcp_accept(listener, now)) != NULL)
            server.conns[server.count++] = conn;
    }
    if (connected != count || server.count != count)
        fail("not all connections are established");
}

static double ticks(void)
{
    uint64_t start = cpu_ns();

    for (unsigned i = 0; i < TICKS; i++)
        utcp_advance(server.stack, now += TICK);
    return (double)(cpu_ns() - start) / TICKS;
}

static double arm(uint32_t count)
{
    uint64_t start = cpu_ns();

    for (uint32_t i = 0; i < count; i++)
        if (utcp_set_option(server.conns[i], UTCP_OPTION_KEEPALIVE_US,
                            KEEPALIVE + (uint64_t)i * 7919 % KEEPALIVE_SPAN) != 0)
            fail("no keep-alive");
    return (double)(cpu_ns() - start) / count;
}

/* All of them, each with a probe and its answer: the server's calls for timers alone are timed. */
static double fire(uint32_t count)
{
    uint64_t end = now + KEEPALIVE + KEEPALIVE_SPAN, spent = 0;
    struct utcp_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};

    utcp_stats(server.stack, &before);
    while (now < end) {
        uint64_t next = utcp_deadline(server.stack), start;

        now = next > now + STEP ? next : now + STEP;
        start = cpu_ns();
        utcp_advance(server.stack, now);
        spent += cpu_ns() - start;
        pump();
    }
    utcp_stats(server.stack, &after);
    if (after.packets_out - before.packets_out < count)
        fail("not all keep-alive timers have fired");
    return (double)spent / count;
}

static void expect(struct utcp_conn *conn, const uint8_t *data)
{
    uint8_t got[REQUEST + 1];

    if (utcp_read(conn, now, got, sizeof(got)) != REQUEST || memcmp(got, data, REQUEST) != 0)
        fail("data are not what was sent");
}

static uint32_t port_of(const struct utcp_conn *conn, bool remote)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn, &info);
    return remote ? info.remote.port : info.local.port;
}

static double exchange(uint32_t count, uint32_t sample)
{
    uint64_t random = 1, spent = 0;
    uint8_t data[REQUEST];

    for (uint32_t i = 0; i < sample; i++) {
        uint64_t start;
        uint32_t which;

        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        which = (uint32_t)((random >> 32) % count);
        if (port_of(client.conns[which], false) != port_of(server.conns[which], true))
            fail("connections were not accepted in their order");
        for (unsigned n = 0; n < REQUEST; n++)
            data[n] = (uint8_t)(random >> n % 56);
        start = cpu_ns();
        now += 10;
        if (utcp_write(client.conns[which], now, data, REQUEST) != REQUEST)
            fail("cannot write");
        pump();
        expect(server.conns[which], data);
        if (utcp_write(server.conns[which], now, data, REQUEST) != REQUEST)
            fail("cannot answer");
        pump();
        expect(client.conns[which], data);
        spent += cpu_ns() - start;
    }
    return (double)spent / sample;
}

static uint64_t buffers(void)
{
    struct utcp_stats ours = {.size = sizeof(ours)}, theirs = {.size = sizeof(theirs)};

    utcp_stats(client.stack, &ours);
    utcp_stats(server.stack, &theirs);
    return ours.memory_used + theirs.memory_used;
}

static void print(uint32_t count, const struct figures *figures)
{
    printf("{\"connections\": %" PRIu32 ", \"bytes_per_connection\": %.1f, "
           "\"resident_bytes_per_connection\": %.1f, \"open_ns\": %.0f, \"tick_ns_idle\": %.2f, "
           "\"arm_ns\": %.1f, \"tick_ns_armed\": %.2f, \"fire_ns\": %.1f, \"exchange_ns\": %.0f}\n",
           count, figures->bytes, figures->rss, figures->open_ns, figures->tick_idle_ns,
           figures->arm_ns, figures->tick_armed_ns, figures->fire_ns, figures->exchange_ns);
}

int main(int argc, char **argv)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    uint32_t sample = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10000;
    struct figures figures;
    uint64_t heap, resident, start;

    if (count == 0 || count > 2000000 || sample == 0) {
        fprintf(stderr, "usage: many_connections COUNT [SAMPLE], COUNT up to 2,000,000\n");
        return 2;
    }
    begin(&client, count, "the first secret");
    begin(&server, count, "the other secret");
    heap = heap_bytes();
    resident = resident_bytes();

    start = cpu_ns();
    open_all(count);
    figures.open_ns = (double)(cpu_ns() - start) / (2.0 * count);
    pass(3 * SECOND); /* the timers of the handshake are gone */
    figures.bytes = (double)(heap_bytes() - heap) / (2.0 * count);
    figures.rss = (double)(resident_bytes() - resident) / (2.0 * count);
    if (figures.bytes > 1024)
        fail("a connection takes more than 1 KiB");
    if (buffers() != 0)
        fail("idle connections hold buffers");

    figures.tick_idle_ns = ticks();
    figures.arm_ns = arm(count);
    figures.tick_armed_ns = ticks();
    figures.fire_ns = fire(count);
    figures.exchange_ns = exchange(count, sample);
    for (int i = 0; i < 5; i++)
        pass(SECOND);
    if (buffers() != 0)
        fail("connections hold buffers after their data are gone");
    print(count, &figures);
    utcp_free(client.stack);
    utcp_free(server.stack);
    free(client.conns);
    free(server.conns);
    free(client.packets);
    free(server.packets);
    return 0;
}
