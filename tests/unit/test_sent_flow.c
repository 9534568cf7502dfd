/* SPDX-License-Identifier: BSD-2-Clause */
/* What a ring remembers of its last packet (sent_flow.h) changes nothing but the cost: whatever follows
 * that packet goes, or is dropped for the reason for which it would have been dropped alone. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <string.h>

#include "checksum.h"
#include "sent_flow.h"

/* What became of one packet. */
struct fate {
    uint32_t frames, length;
    uint8_t frame[BENCH_FRAME_SIZE];
    uint64_t packets, bytes;
    struct drop_counters drops;
};

/* Sends the flow's packet, and then another, with the memory of the first or without. */
static struct fate fate_of(struct bench *bench, struct bench_app *app, bool remembers,
                           const struct ring_record *record, const uint8_t *packet)
{
    struct port_ring *ring = &app->port->rings[0];
    struct ring_record first = {0};
    struct channel_resolve question;
    struct fate fate = {0};
    uint8_t bytes[2048];

    first.length = bench_packet(bytes, &bench_to_peer);
    bench_send(app, &first, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_true(ring->flow.known);
    ring->flow.known = remembers;
    memset(&ring->drops, 0, sizeof(ring->drops));
    memset(&ring->traffic, 0, sizeof(ring->traffic));
    bench_send(app, record, packet);
    worker_round(bench->worker);
    while (bench_asked(bench, &question)) { /* where another destination is */
    }
    forward_forget(bench->worker, app->port); /* which the packet waits for */
    fate.frames = bench->tx_count - 1;
    fate.packets = ring->traffic.tx_packets;
    fate.bytes = ring->traffic.tx_bytes;
    fate.drops = ring->drops;
    if (fate.frames) {
        fate.length = bench->tx[1].length;
        memcpy(fate.frame, bench->tx[1].bytes, fate.length);
    }
    bench->tx_count = 0;
    bench->tx_room = BENCH_FRAMES_MAX;
    return fate;
}

static void assert_same_fate(struct bench *bench, struct bench_app *app, uint32_t length,
                             uint16_t flags, const uint8_t *packet)
{
    struct ring_record record = {.length = length, .flags = flags};
    struct fate with = fate_of(bench, app, true, &record, packet);
    struct fate without = fate_of(bench, app, false, &record, packet);

    assert_memory_equal(&with, &without, sizeof(with));
}

static void fix_checksum(uint8_t *packet)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
}

static void each_bit_of_the_headers_counts_as_it_does_in_a_first_packet(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048], changed[2048];
    uint32_t length = bench_packet(bytes, &bench_to_peer);

    bench_resolve(bench);
    for (uint32_t bit = 0; bit < 40 * 8; bit++) {
        memcpy(changed, bytes, length);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_same_fate(bench, &app, length, 0, changed);
        fix_checksum(changed);
        assert_same_fate(bench, &app, length, 0, changed);
    }
    bench_app_close(bench, &app);
}

static void lengths_and_flags_count_too(void **state)
{
    const uint32_t payloads[] = {0, 1, 5, 6, 7, 8, 9, 24, 72, 73, 500, 1459, 1460, 1461, 1500};
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[2048];

    bench_resolve(bench);
    for (uint32_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        uint32_t length;

        packet.payload = payloads[i];
        length = bench_packet(bytes, &packet);
        assert_same_fate(bench, &app, length, 0, bytes);
        assert_same_fate(bench, &app, length, RECORD_CHECKSUM_PARTIAL, bytes);
        assert_same_fate(bench, &app, length, RECORD_SEGMENT, bytes);
        assert_same_fate(bench, &app, length - 1, 0, bytes);
        assert_same_fate(bench, &app, length + 1, 0, bytes);
    }
    for (uint32_t length = 1; length < 41; length++)
        assert_same_fate(bench, &app, length, 0, bytes);
    bench_app_close(bench, &app);
}

/* The packet like the one before is really taken the short way: as long as it is the same flow. */
static void what_was_noted_ends_with_its_reasons(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct port_ring *ring = &app.port->rings[0];
    struct tuple address = {.rest = tuple_rest(4, 0, 0)};
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    struct channel_resolve question;
    uint32_t own = htonl(0x0a000001);

    bench_resolve(bench);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_true(sent_flow_holds(&ring->flow, bench->worker->names.version, ring->hop,
                                bench->worker->now_ns));
    /* the next hop is to be asked for again */
    ring->hop->ask_at_ns = bench->worker->now_ns;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_true(bench_asked(bench, &question));
    assert_int_equal(bench->tx_count, 2);
    /* there is none any more */
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_UNREACHABLE, 0);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NO_ROUTE), 1);
    /* a smaller MTU */
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, record.length - 1);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_TOO_BIG), 1);
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, BENCH_MTU);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3);
    assert_true(ring->flow.known);
    /* the address is the host's no more */
    address.low = tuple_make((const uint8_t *)&own, 4, 0, 0).low;
    assert_int_equal(namespace_set_address(&bench->worker->names, &address, false), 0);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 1);
    /* the NIC goes down, and has no room */
    assert_int_equal(namespace_set_address(&bench->worker->names, &address, true), 0);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 4);
    bench->tx_room = 0;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 4);
    assert_int_equal(ring->traffic.tx_packets, 4);
    bench->nic->up = false;
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_DOWN), 1);
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(each_bit_of_the_headers_counts_as_it_does_in_a_first_packet),
        BENCH_TEST(lengths_and_flags_count_too),
        BENCH_TEST(what_was_noted_ends_with_its_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
