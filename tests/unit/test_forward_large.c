/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets longer than a frame, to a NIC that segments and to one that does not. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <string.h>

#include "checksum.h"

static uint8_t bytes[65536];

static const struct bench_packet large4 = {BENCH_HOST4,     BENCH_PEER4,       80,   5000,
                                           IP_PROTOCOL_TCP, TCP_ACK | TCP_PSH, 1000, 60000};
static const struct bench_packet large6 = {BENCH_HOST6,     BENCH_PEER6,       80,   5000,
                                           IP_PROTOCOL_TCP, TCP_ACK | TCP_CWR, 1000, 50000};

static struct bench_app server(struct bench *bench)
{
    struct bench_app app = bench_app_open(bench, false, 512 * 1024);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench_bind(bench, &app, IP_PROTOCOL_TCP, "::", 80);
    bench_resolve(bench);
    return app;
}

/* The same where the NIC segments; who settles what it sent sees how far the ring was given back then. */
static struct bench_app server_of_segments(struct bench *bench)
{
    struct bench_app app = server(bench);

    bench_segments(bench);
    bench->looked = app.tx.control;
    bench->head_seen = UINT32_MAX;
    return app;
}

static struct ring_record record_of(const struct bench_packet *packet)
{
    bool v6 = strchr(packet->source, ':');

    return (struct ring_record){
        .length = bench_packet(bytes, packet),
        .flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
        .segment_size = 1400,
        .checksum_start = v6 ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN,
        .checksum_offset = 16,
    };
}

static uint16_t checksum_at(const uint8_t *packet, uint32_t offset)
{
    uint16_t field;

    memcpy(&field, packet + offset, sizeof(field));
    return field;
}

static void a_nic_that_segments_gets_the_whole_packet(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record record = record_of(&large4);
    const struct bench_large *large;
    const uint8_t *packet;

    large = &bench->large[0];
    packet = large->bytes + ETHER_HEADER_SIZE;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 0);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(large->length, ETHER_HEADER_SIZE + record.length);
    assert_true(large->offloaded);
    assert_int_equal(large->offload.segment_size, 1400);
    assert_int_equal(large->offload.header_length, ETHER_HEADER_SIZE + 40);
    assert_int_equal(large->offload.checksum_start, ETHER_HEADER_SIZE + 20);
    assert_int_equal(large->offload.checksum_offset, 16);
    assert_int_equal(large->offload.family, 4);
    assert_false(large->offload.congestion_reduced);
    assert_int_equal(checksum_at(packet, 36),
                     checksum_fold(checksum_pseudo_header(packet + 12, packet + 16, 4,
                                                          IP_PROTOCOL_TCP, record.length - 20)));
    assert_memory_equal(packet + 40, bytes + 40, record.length - 40);
    assert_int_equal(app.port->rings[0].traffic.tx_packets, 1);
    assert_int_equal(app.port->rings[0].traffic.tx_bytes, record.length);
    bench_app_close(bench, &app);
}

/* What the NIC has of IPv4 packets like `bytes`, of that length, left in one call and while the ring held all of it. */
static void assert_left_together(const struct bench *bench, const struct bench_app *app,
                                 uint32_t length)
{
    assert_int_equal(bench->settled, 1);
    assert_int_equal(bench->head_seen, 0);
    assert_int_equal(ring_load_acquire(&app->tx.control->head), app->tx.tail);
    for (unsigned i = 0; i < bench->large_count; i++)
        assert_memory_equal(bench->large[i].bytes + ETHER_HEADER_SIZE + 40, bytes + 40,
                            length - 40);
}

/* It is read while the ring still is the switch's, and no copy of it is made before. */
static void the_payload_of_a_long_packet_stays_in_the_ring_until_it_has_left(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record record = record_of(&large4);

    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->large[0].head, ETHER_HEADER_SIZE + WORKER_HEAD_SIZE);
    assert_left_together(bench, &app, record.length);
    bench_app_close(bench, &app);
}

/* Two segments in one: the kernel's copy is the only one of these as well. */
static void a_packet_of_two_segments_stays_in_the_ring_too(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct bench_packet packet = large4;
    struct ring_record record;

    bench_segments(bench);
    packet.payload = 2300;
    record = record_of(&packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->settled, 1);
    assert_int_equal(bench->large[0].head, ETHER_HEADER_SIZE + WORKER_HEAD_SIZE);
    assert_memory_equal(bench->large[0].bytes + ETHER_HEADER_SIZE + 40, bytes + 40,
                        record.length - 40);
    bench_app_close(bench, &app);
}

/* Such a NIC copies at once, and short packets are as cheap written where they leave from. */
static void a_nic_that_leaves_nothing_for_later_is_given_long_packets_alone(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct nic_queue *queue = bench->worker->queues[0].queue;
    const struct nic_ops *usual = queue->ops;
    struct nic_ops ops = *usual;
    struct bench_packet packet = large4;
    struct ring_record record;

    bench_segments(bench);
    ops.settle = NULL;
    queue->ops = &ops;
    packet.payload = 2300;
    record = record_of(&packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->large[0].head, 0);
    assert_int_equal(bench->large[0].length, ETHER_HEADER_SIZE + record.length);
    queue->ops = usual;
    bench_app_close(bench, &app);
}

/* One system call then sends both. */
static void long_packets_of_a_round_leave_together(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record record = record_of(&large4);

    bench_send(&app, &record, bytes);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 2);
    assert_left_together(bench, &app, record.length);
    bench_app_close(bench, &app);
}

/* Not so many that whoever writes into the ring has to wait for them. */
static void a_quarter_of_the_ring_is_given_back_at_once(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 128 * 1024);
    struct ring_record record = record_of(&large4);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench_resolve(bench);
    bench_segments(bench);
    bench->looked = app.tx.control;
    bench_send(&app, &record, bytes);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 2);
    assert_int_equal(bench->settled, 2);
    assert_true(bench->head_seen > 0); /* the first was given back before the second had left */
    assert_int_equal(ring_load_acquire(&app.tx.control->head), app.tx.tail);
    bench_app_close(bench, &app);
}

/* Where the checksum is the switch's to fill, or the packet goes another way, it needs all of it. */
static void a_long_packet_that_has_to_be_looked_at_is_copied(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct bench_packet packet = large4;
    struct ring_record record = record_of(&large4);

    bench->nic->capabilities &= ~(uint32_t)NIC_CAN_CHECKSUM;
    bench->nic->mtu = 9000;
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, 9000);
    packet.payload = 8960;
    record = record_of(&packet);
    record.flags = RECORD_CHECKSUM_PARTIAL;
    record.segment_size = 0;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->settled, 0);
    assert_false(bench->large[0].offloaded);
    assert_true(bench_checksum_good(bench->large[0].bytes + ETHER_HEADER_SIZE, 9000));
    bench_app_close(bench, &app);
}

static void ipv6_and_a_reduced_congestion_window_are_told(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record record = record_of(&large6);
    const struct bench_large *large;
    const uint8_t *packet;

    large = &bench->large[0];
    packet = large->bytes + ETHER_HEADER_SIZE;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_PEER6, BENCH_HOST6, CHANNEL_HOP_NIC, BENCH_MTU);
    assert_int_equal(bench->large_count, 0); /* too long to be parked */
    assert_int_equal(bench_ring_drops(&app, DROP_TX_UNRESOLVED), 1);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(large->offload.header_length, ETHER_HEADER_SIZE + 60);
    assert_int_equal(large->offload.checksum_start, ETHER_HEADER_SIZE + 40);
    assert_int_equal(large->offload.family, 6);
    assert_true(large->offload.congestion_reduced);
    assert_int_equal(checksum_at(packet, 56),
                     checksum_fold(checksum_pseudo_header(packet + 8, packet + 24, 16,
                                                          IP_PROTOCOL_TCP, record.length - 40)));
    bench_app_close(bench, &app);
}

static void frames_keep_their_order(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record large = record_of(&large4), small = {0};
    uint8_t little[2048];

    small.length = bench_packet(little, &bench_to_peer);
    bench_send(&app, &small, little);
    bench_send(&app, &large, bytes);
    bench_send(&app, &small, little);
    bench_send(&app, &small, little);
    bench_send(&app, &large, bytes);
    for (int i = 0; i < 3; i++)
        worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3);
    assert_int_equal(bench->large_count, 2);
    assert_int_equal(bench->large[0].after, 1);
    assert_int_equal(bench->large[1].after, 3);
    bench_app_close(bench, &app);
}

static void a_nic_without_room_for_it_holds_the_ring_back(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct ring_record large = record_of(&large4), small = {0};
    uint8_t little[2048];

    bench->large_room = 1;
    small.length = bench_packet(little, &bench_to_peer);
    bench_send(&app, &large, bytes);
    bench_send(&app, &large, bytes);
    bench_send(&app, &small, little);
    for (int i = 0; i < 3; i++)
        worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->tx_count, 0);
    assert_true(bench->worker->tx_pending);
    bench->large_room = 2;
    for (int i = 0; i < 3; i++)
        worker_round(bench->worker);
    assert_int_equal(bench->large_count, 2);
    assert_int_equal(bench->tx_count, 1);
    assert_false(bench->worker->tx_pending);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 0);
    bench_app_close(bench, &app);
}

static void what_fits_a_frame_is_still_cut(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct bench_packet packet = large4;
    struct ring_record record;

    packet.payload = 1500;
    record = record_of(&packet);
    record.segment_size = 1000;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 0);
    assert_int_equal(bench->tx_count, 2);
    for (int i = 0; i < 2; i++)
        assert_true(bench_checksum_good(bench->tx[i].bytes + ETHER_HEADER_SIZE,
                                        bench->tx[i].length - ETHER_HEADER_SIZE));
    bench_app_close(bench, &app);
}

/* hostile.md, P12: what the device is asked to do fits the packet, or is not asked at all. */
static void offload_fields_that_lie_reach_no_nic(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct bench_packet packet = large4;
    struct ring_record good = record_of(&large4), record;

    record = good;
    record.checksum_start = 34;
    bench_send(&app, &record, bytes);
    record = good;
    record.checksum_offset = 60000;
    bench_send(&app, &record, bytes);
    record = good;
    record.segment_size = 1;
    bench_send(&app, &record, bytes);
    for (int i = 0; i < 4; i++)
        worker_round(bench->worker);
    packet.flags = TCP_SYN;
    record = record_of(&packet);
    bench_send(&app, &record, bytes);
    for (int i = 0; i < 4; i++)
        worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_BAD_OFFLOAD), 4);
    record = good;
    record.segment_size = 1461; /* a segment longer than the way is wide */
    bench_packet(bytes, &large4);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_TOO_BIG), 1);
    assert_int_equal(bench->large_count, 0);
    assert_int_equal(bench->tx_count, 0);
    bench_app_close(bench, &app);
}

static void a_jumbo_frame_goes_as_one(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server_of_segments(bench);
    struct bench_packet packet = large4;
    struct ring_record record;

    bench->nic->mtu = 9000;
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, 9000);
    packet.payload = 8960;
    record = record_of(&packet);
    record.segment_size = 8960;
    bench_send(&app, &record, bytes);
    record.flags = 0;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 2);
    assert_int_equal(bench->large[0].length, ETHER_HEADER_SIZE + 9000);
    assert_true(bench->large[0].offloaded);
    assert_int_equal(bench->large[0].offload.segment_size, 0);
    assert_false(bench->large[1].offloaded);
    assert_true(bench_checksum_good(bench->large[1].bytes + ETHER_HEADER_SIZE, 9000));
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_nic_that_segments_gets_the_whole_packet),
        BENCH_TEST(the_payload_of_a_long_packet_stays_in_the_ring_until_it_has_left),
        BENCH_TEST(a_packet_of_two_segments_stays_in_the_ring_too),
        BENCH_TEST(a_nic_that_leaves_nothing_for_later_is_given_long_packets_alone),
        BENCH_TEST(long_packets_of_a_round_leave_together),
        BENCH_TEST(a_quarter_of_the_ring_is_given_back_at_once),
        BENCH_TEST(a_long_packet_that_has_to_be_looked_at_is_copied),
        BENCH_TEST(ipv6_and_a_reduced_congestion_window_are_told),
        BENCH_TEST(frames_keep_their_order),
        BENCH_TEST(a_nic_without_room_for_it_holds_the_ring_back),
        BENCH_TEST(what_fits_a_frame_is_still_cut),
        BENCH_TEST(offload_fields_that_lie_reach_no_nic),
        BENCH_TEST(a_jumbo_frame_goes_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
