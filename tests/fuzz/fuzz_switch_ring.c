/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared memory of a hostile application, through the whole data path on the bench.
 *
 * An input is what such an application leaves behind: how far it says that it has written, what it
 * says it has read, and the bytes of its TX ring from where the switch looks next. Beside it an honest
 * one sends a packet each time, which must go out. */
#include "fuzz.h"

#include "../unit/switch_bench.h"

#include <assert.h>
#include <string.h>

#define HEAD 4 /* bytes of an input before those of the ring */

/* tail moves by so many units of 64 bytes, lies by so many bytes, the same for RX head */
#define LIES(units, tail, head) units tail head "\0"
#define RECORD(length)          length "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(LIES("\1", "\0", "\0") RECORD("\x20") "\x45\0\0\x20\0\0\0\0\x40\x11"),
    FUZZ_TEXT(LIES("\2", "\0", "\0") RECORD("\x70") "\x60\0\0\0\0\x48\6\x40"),
    FUZZ_TEXT(LIES("\1", "\1", "\0") RECORD("\x20") "x"),
    FUZZ_TEXT(LIES("\4", "\0", "\1") RECORD("\xff") "x"),
    {NULL, 0},
};

static struct bench *bench;
static struct bench_app honest, hostile;

static void open_hostile(void)
{
    hostile = bench_app_open(bench, true, 0);
    bench_bind(bench, &hostile, IP_PROTOCOL_UDP, "0.0.0.0", 7);
}

static void open_bench(void)
{
    bench = bench_open();
    honest = bench_app_open(bench, false, 0);
    bench_bind(bench, &honest, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    open_hostile();
}

static void send_honestly(void)
{
    static const struct bench_packet packet = {BENCH_HOST4,     BENCH_PEER4, 80, 5000,
                                               IP_PROTOCOL_TCP, TCP_ACK,     1,  10};
    uint8_t bytes[128];
    struct ring_record record = {.length = bench_packet(bytes, &packet)};
    uint64_t before = honest.port->rings[0].traffic.tx_packets;
    struct channel_resolve question;

    bench_send(&honest, &record, bytes);
    worker_round(bench->worker);
    while (bench_asked(bench, &question)) {
        if (memcmp(question.destination.bytes, "\x0a\0\0\2", 4) == 0)
            bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, BENCH_MTU);
    }
    assert(honest.port->rings[0].traffic.tx_packets == before + 1);
    assert(honest.port->detach == DETACH_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct port_ring *ring;
    uint32_t place;

    if (size < HEAD || size - HEAD > BENCH_RING_SIZE)
        return 0;
    if (!bench)
        open_bench();
    ring = &hostile.port->rings[0];
    place = ring->tx.head & (BENCH_RING_SIZE - 1);
    for (size_t i = HEAD; i < size; i++)
        hostile.tx.data[(place + i - HEAD) & (BENCH_RING_SIZE - 1)] = data[i];
    hostile.tx.control->tail = ring->tx.head + data[0] * RING_ALIGN + data[1];
    hostile.rx.control->head = ring->rx.tail - data[2] * RING_ALIGN;
    worker_activate(bench->worker, ring);
    bench->tx_count = 0;
    bench->tx_room = BENCH_FRAMES_MAX;
    send_honestly();
    if (hostile.port->detach != DETACH_NONE) {
        bench_app_close(bench, &hostile);
        open_hostile();
    }
    return 0;
}
