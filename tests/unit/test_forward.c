/* SPDX-License-Identifier: BSD-2-Clause */
/* The data path on the bench: packets both ways, each reason for a drop, hostile rings. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

static int set_up(void **state)
{
    *state = bench_open();
    return 0;
}

static int tear_down(void **state)
{
    bench_close(*state);
    return 0;
}

static const struct bench_packet from_peer = {BENCH_PEER4,     BENCH_HOST4,       5000, 80,
                                              IP_PROTOCOL_TCP, TCP_ACK | TCP_PSH, 1000, 100};
static const struct bench_packet to_peer = {BENCH_HOST4,     BENCH_PEER4,       80,   5000,
                                            IP_PROTOCOL_TCP, TCP_ACK | TCP_PSH, 1000, 100};

static struct bench_app server(struct bench *bench)
{
    struct bench_app app = bench_app_open(bench, false, 0);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    return app;
}

/* The route to the peer is known. */
static void resolve(struct bench *bench)
{
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
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

/* ---- in */

static void a_packet_arrives_at_the_port_that_bound_it(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench), other = bench_app_open(bench, false, 0);
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &from_peer);
    const uint8_t *packet;

    bench_bind(bench, &other, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    bench_arrive(bench, bytes, length);
    assert_true(worker_round(bench->worker));
    packet = bench_receive(&app, &record);
    assert_non_null(packet);
    assert_int_equal(record.length, length);
    assert_int_equal(record.flags, 0);
    assert_memory_equal(packet, bytes, length);
    assert_null(bench_receive(&app, &record));
    assert_null(bench_receive(&other, &record));
    assert_int_equal(app.port->rings[0].traffic.rx_packets, 1);
    bench_app_close(bench, &app);
    bench_app_close(bench, &other);
}

static void ethernet_padding_is_no_part_of_the_packet(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct bench_packet small = from_peer;
    struct ring_record record;
    uint8_t bytes[2048] = {0};
    uint32_t length;

    small.payload = 0;
    length = bench_packet(bytes, &small);
    bench_arrive(bench, bytes, 46); /* the least that Ethernet carries */
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.length, length);
    bench_app_close(bench, &app);
}

static void what_cannot_be_delivered_is_counted_at_the_nic(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &from_peer);

    for (uint32_t cut = 0; cut < 40; cut++) { /* at every byte of the headers */
        bench_arrive(bench, bytes, cut);
        worker_round(bench->worker);
    }
    assert_int_equal(bench_nic_drops(bench, DROP_RX_UNPARSED), 40);
    bytes[8]--; /* TTL, which the checksum covers */
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_BAD_HEADER_CHECKSUM), 1);
    bytes[8]++;
    bytes[IPV4_HEADER_MIN + 3] = 81; /* another destination port */
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_NOT_BOUND), 1);
    assert_null(bench_receive(&app, &record));
    bench_app_close(bench, &app);
}

static void a_full_ring_drops_its_own_packets_alone(void **state)
{
    struct bench *bench = *state;
    struct bench_app full = server(bench), other = bench_app_open(bench, false, 0);
    struct bench_packet to_other = from_peer;
    struct ring_record record;
    uint8_t bytes[2048], bytes_other[2048];
    uint32_t length = bench_packet(bytes, &from_peer), length_other;

    bench_bind(bench, &other, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    to_other.destination_port = 81;
    length_other = bench_packet(bytes_other, &to_other);
    for (int i = 0; i < 1000; i++) {
        bench_arrive(bench, bytes, length);
        bench_arrive(bench, bytes_other, length_other);
        worker_round(bench->worker);
        assert_non_null(bench_receive(&other, &record));
    }
    assert_true(bench_ring_drops(&full, DROP_RX_PORT_FULL) > 0);
    assert_int_equal(bench_ring_drops(&other, DROP_RX_PORT_FULL), 0);
    while (bench_receive(&full, &record)) {
    }
    bench_receive(&full, &record); /* gives the room back */
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_non_null(bench_receive(&full, &record));
    bench_app_close(bench, &full);
    bench_app_close(bench, &other);
}

static void a_virtual_nic_marks_checksums_as_maybe_partial(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct ring_record record;
    uint8_t bytes[2048];

    bench->nic->is_virtual = true;
    bench_arrive(bench, bytes, bench_packet(bytes, &from_peer));
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.flags, RECORD_CHECKSUM_PARTIAL);
    bench_app_close(bench, &app);
}

static uint32_t merged_packet(uint8_t *bytes, uint32_t payload, bool partial)
{
    struct bench_packet merged = from_peer;
    struct packet_view view;
    uint32_t length;

    merged.payload = payload;
    merged.flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR;
    length = bench_packet(bytes, &merged);
    if (partial) {
        uint16_t sum;

        assert_int_equal(packet_parse(bytes, length, length, &view), DROP_NONE);
        sum = checksum_fold(packet_pseudo_header(bytes, &view, length - view.transport));
        memcpy(bytes + packet_checksum_offset(&view), &sum, 2);
    }
    return length;
}

static void a_merged_packet_in_pieces_is_one_record_for_whoever_wants_it(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, true, 256 * 1024);
    static uint8_t bytes[65536];
    struct ring_record record;
    uint32_t length = merged_packet(bytes, 60000, true);
    const uint8_t *packet;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench->nic->is_virtual = true;
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    packet = bench_receive(&app, &record);
    assert_non_null(packet);
    assert_int_equal(record.length, length);
    assert_int_equal(record.flags, RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL);
    assert_int_equal(record.segment_size, BENCH_MTU - 40);
    assert_memory_equal(packet, bytes, length);
    bench_app_close(bench, &app);
}

static void expect_segments(struct bench_app *app, const uint8_t *whole, uint32_t payload,
                            bool partial)
{
    struct ring_record record;
    const uint8_t *packet;
    uint32_t offset = 0, index = 0;

    while ((packet = bench_receive(app, &record))) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)packet;
        const struct wire_tcp *tcp = (const struct wire_tcp *)(packet + IPV4_HEADER_MIN);
        uint32_t size = record.length - 40;
        bool last = offset + size == payload;

        assert_true(record.length <= BENCH_MTU);
        assert_int_equal(record.flags & RECORD_SEGMENT, 0);
        assert_int_equal(ntohs(ip->total_length), record.length);
        assert_int_equal(ntohs(ip->id), 77 + index);
        assert_int_equal(ntohl(tcp->sequence), 1000 + offset);
        assert_int_equal(tcp->flags,
                         TCP_ACK | (index == 0 ? TCP_CWR : 0) | (last ? TCP_PSH | TCP_FIN : 0));
        assert_memory_equal(packet + 40, whole + 40 + offset, size);
        if (partial)
            assert_int_equal(tcp->checksum, checksum_fold(checksum_pseudo_header(
                                                ip->source, ip->destination, 4, IP_PROTOCOL_TCP,
                                                record.length - 20)));
        else
            assert_true(bench_checksum_good(packet, record.length));
        offset += size;
        index++;
    }
    assert_int_equal(offset, payload);
}

static void a_merged_packet_is_cut_for_whoever_wants_none(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 256 * 1024);
    static uint8_t bytes[65536];
    uint32_t length;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench->nic->is_virtual = true;
    for (int partial = 0; partial < 2; partial++) {
        length = merged_packet(bytes, 30001, partial);
        bench_arrive(bench, bytes, length);
        worker_round(bench->worker);
        expect_segments(&app, bytes, 30001, partial);
    }
    bytes[100]++; /* a damaged one must not become good segments */
    bytes[IPV4_HEADER_MIN + 16] ^= 0x55;
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_RX_UNPARSED), 1);
    bench_app_close(bench, &app);
}

static void a_datagram_longer_than_the_wire_carries_is_dropped(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, true, 0);
    struct bench_packet datagram = from_peer;
    uint8_t bytes[8192];

    datagram.protocol = IP_PROTOCOL_UDP;
    datagram.payload = 4000;
    bench_bind(bench, &app, IP_PROTOCOL_UDP, "0.0.0.0", 80);
    bench_arrive(bench, bytes, bench_packet(bytes, &datagram));
    worker_round(bench->worker);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_TOO_BIG), 1);
    bench_app_close(bench, &app);
}

static void an_icmp_error_goes_to_the_port_whose_packet_it_quotes(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct ring_record record;
    uint8_t bytes[2048] = {0}, *quote = bytes + IPV4_HEADER_MIN + ICMP_HEADER_SIZE;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;
    struct wire_icmp *icmp = (struct wire_icmp *)(ip + 1);
    uint32_t length = IPV4_HEADER_MIN + ICMP_HEADER_SIZE + 28;

    bench_packet(quote, &to_peer);
    memcpy(bytes, quote, IPV4_HEADER_MIN);
    memcpy(ip->destination, quote + 12, 4);
    memcpy(ip->source, quote + 16, 4);
    ip->protocol = IP_PROTOCOL_ICMP;
    ip->total_length = htons((uint16_t)length);
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    icmp->type = ICMP_DESTINATION_UNREACHABLE;
    icmp->code = ICMP_FRAGMENTATION_NEEDED;
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.length, length);
    quote[12] ^= 1; /* quotes a packet of another host */
    bench_arrive(bench, bytes, length);
    icmp->type = 8; /* an echo request is the host's */
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_null(bench_receive(&app, &record));
    assert_int_equal(bench_nic_drops(bench, DROP_RX_UNPARSED), 2);
    bench_app_close(bench, &app);
}

static void one_batch_wakes_a_sleeping_application_once(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &from_peer);

    assert_true(ring_consumer_sleep(&app.rx));
    for (int i = 0; i < 10; i++)
        bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_int_equal(ring_load_relaxed(&app.rx.control->consumer_sleeps), 0);
    bench_app_close(bench, &app);
}

/* ---- out */

static void the_first_packet_waits_for_the_answer_and_then_goes(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
    const struct wire_ether *ether = (const struct wire_ether *)bench->tx[0].bytes;
    const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};

    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 0);
    assert_int_equal(app.port->rings[0].traffic.tx_packets, 0);
    assert_true(bench_asked(bench, &question));
    assert_int_equal(question.header.type, CHANNEL_RESOLVE);
    assert_memory_equal(question.destination.bytes, "\x0a\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_memory_equal(question.source.bytes, "\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_NIC, BENCH_MTU);
    assert_int_equal(bench->tx_count, 1);
    assert_int_equal(bench->tx[0].length, ETHER_HEADER_SIZE + record.length);
    assert_memory_equal(bench->tx[0].bytes + ETHER_HEADER_SIZE, bytes, record.length);
    assert_memory_equal(ether->destination, peer_mac, 6);
    assert_memory_equal(ether->source, bench->nic->mac, 6);
    assert_int_equal(ntohs(ether->type), ETHER_TYPE_IPV4);
    assert_int_equal(app.port->rings[0].traffic.tx_packets, 1);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 2);
    assert_false(bench_asked(bench, &question));
    bench_app_close(bench, &app);
}

static void ipv6_goes_the_same_way(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct bench_packet packet = to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {0};

    packet.source = BENCH_HOST6;
    packet.destination = BENCH_PEER6;
    record.length = bench_packet(bytes, &packet);
    bench_bind(bench, &app, IP_PROTOCOL_TCP, "::", 80);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_PEER6, BENCH_HOST6, CHANNEL_HOP_NIC, BENCH_MTU);
    assert_int_equal(bench->tx_count, 1);
    assert_int_equal(bench->tx[0].bytes[12], 0x86);
    bench_app_close(bench, &app);
}

static void a_port_cannot_send_from_what_it_has_not_bound(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench), other = bench_app_open(bench, false, 0);
    struct bench_packet packets[] = {to_peer, to_peer, to_peer};
    uint8_t bytes[2048];
    struct ring_record record = {0};

    resolve(bench);
    bench_bind(bench, &other, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    packets[0].source_port = 81;    /* another's */
    packets[1].source_port = 82;    /* nobody's */
    packets[2].source = "10.0.0.9"; /* another host's */
    for (int i = 0; i < 3; i++) {
        record.length = bench_packet(bytes, &packets[i]);
        bench_send(&app, &record, bytes);
    }
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 0);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 3);
    bench_app_close(bench, &other);
    bench_app_close(bench, &app);
}

static void an_unbound_port_stops_sending_at_once(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
    uint32_t number = bench->core->ports.bindings[app.port->first_binding].number;

    resolve(bench);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_int_equal(binding_remove(bench->core, app.port, number), 0);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 1);
    bench_app_close(bench, &app);
}

static void a_checksum_left_to_the_switch_is_filled_in(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {
        .flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = IPV4_HEADER_MIN, .checksum_offset = 16};

    resolve(bench);
    record.length = bench_packet(bytes, &to_peer);
    memset(bytes + IPV4_HEADER_MIN + 16, 0xee, 2); /* whatever stands there */
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_true(bench_checksum_good(bench->tx[0].bytes + ETHER_HEADER_SIZE, record.length));
    bench_app_close(bench, &app);
}

static void a_long_record_is_cut_into_segments(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 256 * 1024);
    static uint8_t bytes[65536];
    struct bench_packet packet = to_peer;
    struct ring_record record = {.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
                                 .segment_size = 1460,
                                 .checksum_start = IPV4_HEADER_MIN,
                                 .checksum_offset = 16};
    uint32_t offset = 0;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    resolve(bench);
    packet.payload = 60000;
    record.length = bench_packet(bytes, &packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, (60000 + 1459) / 1460);
    for (uint32_t i = 0; i < bench->tx_count; i++) {
        const uint8_t *segment = bench->tx[i].bytes + ETHER_HEADER_SIZE;
        uint32_t length = bench->tx[i].length - ETHER_HEADER_SIZE;
        const struct wire_tcp *tcp = (const struct wire_tcp *)(segment + IPV4_HEADER_MIN);

        assert_true(length <= BENCH_MTU);
        assert_true(bench_checksum_good(segment, length));
        assert_int_equal(ntohl(tcp->sequence), 1000 + offset);
        assert_memory_equal(segment + 40, bytes + 40 + offset, length - 40);
        offset += length - 40;
    }
    assert_int_equal(offset, 60000);
    bench_app_close(bench, &app);
}

static void what_is_too_big_is_dropped_and_the_sender_told_as_a_router_would(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct bench_packet packet = to_peer;
    uint8_t bytes[4096];
    struct ring_record record = {0};
    struct packet_view view;
    const uint8_t *error;

    resolve(bench);
    packet.payload = 1600;
    record.length = bench_packet(bytes, &packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 0);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_TOO_BIG), 1);
    error = bench_receive(&app, &record);
    assert_non_null(error);
    assert_int_equal(packet_parse(error, record.length, record.length, &view), DROP_NONE);
    assert_int_equal(view.protocol, IP_PROTOCOL_ICMP);
    assert_int_equal(error[IPV4_HEADER_MIN], ICMP_DESTINATION_UNREACHABLE);
    assert_int_equal(error[IPV4_HEADER_MIN + 1], ICMP_FRAGMENTATION_NEEDED);
    assert_int_equal(error[26] << 8 | error[27], BENCH_MTU);
    assert_int_equal(checksum_finish(checksum_add(0, error + 20, record.length - 20)), 0);
    /* and not more often than is good for anybody */
    record.length = bench_packet(bytes, &packet);
    for (int i = 0; i < 500; i++) {
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
    }
    assert_int_equal(bench_ring_drops(&app, DROP_TX_TOO_BIG), 501);
    assert_true(app.port->rings[0].traffic.rx_packets <= PORT_ICMP_BURST + 1);
    bench_app_close(bench, &app);
}

static void destinations_have_their_fates(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    static const struct {
        const char *destination;
        enum channel_next_hop_kind kind;
        enum drop_reason reason;
    } fates[] = {
        {"10.9.0.1", CHANNEL_HOP_UNREACHABLE, DROP_TX_NO_ROUTE},
        {"10.9.0.2", CHANNEL_HOP_OTHER, DROP_TX_NO_ROUTE},
        {"10.9.0.3", CHANNEL_HOP_LOCAL, DROP_TX_LOCAL},
    };

    for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
        struct bench_packet packet = to_peer;
        uint8_t bytes[2048];
        struct ring_record record = {0};
        uint64_t before = bench_ring_drops(&app, fates[i].reason);

        packet.destination = fates[i].destination;
        record.length = bench_packet(bytes, &packet);
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
        bench_answer(bench, packet.destination, BENCH_HOST4, fates[i].kind, BENCH_MTU);
        assert_int_equal(bench_ring_drops(&app, fates[i].reason), before + 1);
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
        assert_int_equal(bench_ring_drops(&app, fates[i].reason), before + 2);
    }
    assert_int_equal(bench->tx_count, 0);
    bench_app_close(bench, &app);
}

static void a_nic_that_is_down_drops(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    resolve(bench);
    bench->nic->up = false;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_DOWN), 1);
    bench_app_close(bench, &app);
}

static void few_packets_wait_and_not_for_long(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    for (int i = 0; i < 20; i++)
        bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->worker->parking.count, PARKING_PER_HOP);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_UNRESOLVED), 20 - PARKING_PER_HOP);
    bench->worker->now_ns += PARKING_PATIENCE_NS + 1;
    forward_expire(bench->worker);
    assert_int_equal(bench->worker->parking.count, 0);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_UNRESOLVED), 20);
    /* in all */
    for (int i = 0; i < 400; i++) {
        struct bench_packet packet = to_peer;
        char destination[16];

        snprintf(destination, sizeof(destination), "10.1.%d.%d", i / 200, i % 200 + 1);
        packet.destination = destination;
        record.length = bench_packet(bytes, &packet);
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
    }
    assert_int_equal(bench->worker->parking.count, PARKING_MAX);
    bench_app_close(bench, &app);
    assert_int_equal(bench->worker->parking.count, 0); /* they went with their port */
}

static void a_neighbour_that_is_found_releases_what_waits_for_it(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
    struct channel_neighbor neighbor = {
        .header = {.type = CHANNEL_NEIGHBOR, .size = sizeof(neighbor)},
        .address = {.bytes = {10, 0, 0, 2}, .family = 4},
        .ifindex = 7,
        .valid = 1,
        .mac = {2, 9, 9, 9, 9, 9},
    };

    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_RESOLVING, BENCH_MTU);
    assert_int_equal(bench->tx_count, 0);
    send(bench->keeper, &neighbor, sizeof(neighbor), 0);
    core_hear_keeper(bench->core);
    assert_int_equal(bench->tx_count, 1);
    assert_memory_equal(bench->tx[0].bytes, neighbor.mac, 6);
    /* it moves to another MAC */
    neighbor.mac[5] = 8;
    send(bench->keeper, &neighbor, sizeof(neighbor), 0);
    core_hear_keeper(bench->core);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_memory_equal(bench->tx[1].bytes, neighbor.mac, 6);
    /* it is gone, and cannot be found */
    neighbor.valid = 0;
    send(bench->keeper, &neighbor, sizeof(neighbor), 0);
    core_hear_keeper(bench->core);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 2);
    send(bench->keeper, &neighbor, sizeof(neighbor), 0);
    core_hear_keeper(bench->core);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_UNRESOLVED), 1);
    bench_app_close(bench, &app);
}

static void routes_that_changed_are_asked_for_again_and_used_until_the_answer(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct channel_plain changed = {
        .header = {.type = CHANNEL_ROUTES_CHANGED, .size = sizeof(changed)}};
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    resolve(bench);
    send(bench->keeper, &changed, sizeof(changed), 0);
    core_hear_keeper(bench->core);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_true(bench_asked(bench, &question));
    bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_UNREACHABLE, 0);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NO_ROUTE), 1);
    bench_app_close(bench, &app);
}

static void a_route_in_use_is_confirmed_every_five_seconds(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    resolve(bench);
    bench->worker->now_ns += NEXT_HOP_REFRESH_NS - 1;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_false(bench_asked(bench, &question));
    bench->worker->now_ns += 1;
    for (int i = 0; i < 3; i++) {
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
    }
    assert_int_equal(bench->tx_count, 4);
    assert_true(bench_asked(bench, &question));
    assert_false(bench_asked(bench, &question));
    bench_app_close(bench, &app);
}

static void one_stack_talks_to_another_on_the_same_host(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench), client = bench_app_open(bench, false, 0);
    struct bench_packet packet = to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {
        .flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = IPV4_HEADER_MIN, .checksum_offset = 16};
    const uint8_t *received;

    bench_bind(bench, &client, IP_PROTOCOL_TCP, BENCH_HOST4, 9999);
    packet.destination = BENCH_HOST4;
    packet.source_port = 9999;
    packet.destination_port = 80;
    record.length = bench_packet(bytes, &packet);
    bench_send(&client, &record, bytes);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_HOST4, BENCH_HOST4, CHANNEL_HOP_LOCAL, 65536);
    received = bench_receive(&app, &record);
    assert_non_null(received);
    assert_true(bench_checksum_good(received, record.length)); /* it was parked whole */
    record.flags = RECORD_CHECKSUM_PARTIAL;
    record.checksum_start = IPV4_HEADER_MIN;
    record.checksum_offset = 16;
    bench_send(&client, &record, bytes);
    worker_round(bench->worker);
    received = bench_receive(&app, &record);
    assert_non_null(received);
    assert_int_equal(record.flags, RECORD_CHECKSUM_PARTIAL);
    assert_int_equal(*(const uint16_t *)(received + 36),
                     checksum_fold(checksum_pseudo_header(received + 12, received + 16, 4, 6,
                                                          record.length - 20)));
    assert_memory_equal(received + 40, bytes + 40, record.length - 40);
    assert_int_equal(client.port->rings[0].traffic.tx_packets, 2);
    assert_int_equal(bench->tx_count, 0);
    bench_app_close(bench, &client);
    bench_app_close(bench, &app);
}

/* ---- a full NIC */

static void a_full_nic_holds_the_ring_back_and_loses_nothing(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    struct bench_packet packet = to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {0};

    resolve(bench);
    bench->tx_room = 3;
    for (uint32_t i = 0; i < 10; i++) {
        packet.sequence = i;
        record.length = bench_packet(bytes, &packet);
        bench_send(&app, &record, bytes);
    }
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3);
    assert_true(bench->worker->tx_pending);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3);
    bench->tx_room = 100;
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 10);
    assert_false(bench->worker->tx_pending);
    for (uint32_t i = 0; i < 10; i++) {
        const struct wire_tcp *tcp =
            (const struct wire_tcp *)(bench->tx[i].bytes + ETHER_HEADER_SIZE + IPV4_HEADER_MIN);

        assert_int_equal(ntohl(tcp->sequence), i);
    }
    bench_app_close(bench, &app);
}

static void a_stuck_nic_does_not_hold_it_for_ever(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    resolve(bench);
    bench->tx_room = 0;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 0);
    bench->worker->now_ns += 101000000;
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 1);
    bench_app_close(bench, &app);
}

/* ---- rings that lie */

static void a_ring_that_lies_breaks_its_own_port_alone(void **state)
{
    struct bench *bench = *state;
    static const struct {
        uint32_t tail;
        enum detach_reason reason;
    } lies[] = {
        {RING_SIZE_MIN + 64, DETACH_RING_INDEX}, /* more than the ring holds */
        {0u - 64, DETACH_RING_INDEX},            /* backwards */
        {32, DETACH_RING_INDEX},                 /* not aligned */
        {UINT32_MAX, DETACH_RING_INDEX},
        {0x80000000, DETACH_RING_INDEX},
    };
    struct bench_app honest = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};

    resolve(bench);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct bench_app liar = bench_app_open(bench, false, 0);

        liar.tx.control->tail = lies[i].tail;
        bench_send(&honest, &record, bytes);
        worker_round(bench->worker);
        assert_int_equal(liar.port->detach, lies[i].reason);
        assert_int_equal(bench->tx_count, i + 1);
        bench_app_close(bench, &liar);
    }
    assert_int_equal(honest.port->detach, DETACH_NONE);
    bench_app_close(bench, &honest);
}

static void a_record_beyond_what_was_published_breaks_the_port(void **state)
{
    struct bench *bench = *state;
    static const uint32_t lengths[] = {64, 1 << 20, UINT32_MAX, UINT32_MAX - 15, 0x7fffffff};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct bench_app app = server(bench);

        *(struct ring_record *)app.tx.data = (struct ring_record){.length = lengths[i]};
        app.tx.control->tail = 64;
        worker_round(bench->worker);
        assert_int_equal(app.port->detach, DETACH_RING_RECORD);
        bench_app_close(bench, &app);
    }
}

static void a_consumer_index_that_lies_breaks_the_port(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &from_peer);

    app.rx.control->head = 1 << 20; /* so much was never published */
    for (int i = 0; i < 1000 && !app.port->detach; i++) {
        bench_arrive(bench, bytes, length);
        worker_round(bench->worker);
    }
    assert_int_equal(app.port->detach, DETACH_RING_INDEX);
    bench_app_close(bench, &app);
}

/* Random bytes where the application may write: whatever the switch makes of it, it reads and
 * writes nothing outside (the sanitizers watch) and the others go on. */
static void rubbish_in_a_ring_harms_nobody_else(void **state)
{
    struct bench *bench = *state;
    struct bench_app honest = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
    uint32_t random = 12345;

    resolve(bench);
    for (int round = 0; round < 300; round++) {
        struct bench_app rubbish = bench_app_open(bench, round & 1, 0);

        bench_bind(bench, &rubbish, IP_PROTOCOL_UDP, "0.0.0.0", 7);
        for (uint32_t i = 0; i < RING_SIZE_MIN; i += 2) {
            random = random * 1664525 + 1013904223;
            /* small numbers now and then, so that records get past the first checks */
            rubbish.tx.data[i] = (uint8_t)(random >> 24);
            rubbish.tx.data[i + 1] = random & 0x700 ? 0 : (uint8_t)(random >> 16);
        }
        rubbish.tx.control->tail = (random >> 8) % (RING_SIZE_MIN / RING_ALIGN + 1) * RING_ALIGN;
        rubbish.rx.control->head = random & 0x10000 ? random : 0;
        bench->tx_count = 0;
        bench_send(&honest, &record, bytes);
        worker_round(bench->worker);
        worker_round(bench->worker);
        assert_int_equal(bench->tx_count, 1);
        bench_app_close(bench, &rubbish);
    }
    assert_int_equal(honest.port->detach, DETACH_NONE);
    bench_app_close(bench, &honest);
}

/* ---- who is looked at */

static void a_flood_gets_no_more_than_its_turn(void **state)
{
    struct bench *bench = *state;
    struct bench_app flood = server(bench), modest = bench_app_open(bench, false, 0);
    struct bench_packet packet = to_peer;
    uint8_t bytes[2048], other[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)}, single = {0};

    resolve(bench);
    bench_bind(bench, &modest, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    packet.source_port = 81;
    single.length = bench_packet(other, &packet);
    for (int i = 0; i < 200; i++)
        bench_send(&flood, &record, bytes);
    bench_send(&modest, &single, other);
    worker_round(bench->worker);
    assert_int_equal(modest.port->rings[0].traffic.tx_packets, 1);
    assert_int_equal(flood.port->rings[0].traffic.tx_packets, RING_BUDGET);
    bench_app_close(bench, &flood);
    bench_app_close(bench, &modest);
}

static void an_idle_ring_leaves_the_round_and_a_wake_up_brings_it_back(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &to_peer)};
    struct port_ring *ring = &app.port->rings[0];

    resolve(bench);
    assert_true(ring->active);
    for (uint32_t i = 0; i < RING_IDLE_ROUNDS; i++)
        worker_round(bench->worker);
    assert_false(ring->active);
    assert_int_equal(bench->worker->active_count, 0);
    assert_int_equal(ring_load_relaxed(&app.tx.control->consumer_sleeps), 1);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 0); /* nobody looks */
    worker_activate(bench->worker, ring); /* what the event does */
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    bench_app_close(bench, &app);
}

int main(void)
{
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_packet_arrives_at_the_port_that_bound_it),
        BENCH_TEST(ethernet_padding_is_no_part_of_the_packet),
        BENCH_TEST(what_cannot_be_delivered_is_counted_at_the_nic),
        BENCH_TEST(a_full_ring_drops_its_own_packets_alone),
        BENCH_TEST(a_virtual_nic_marks_checksums_as_maybe_partial),
        BENCH_TEST(a_merged_packet_in_pieces_is_one_record_for_whoever_wants_it),
        BENCH_TEST(a_merged_packet_is_cut_for_whoever_wants_none),
        BENCH_TEST(a_datagram_longer_than_the_wire_carries_is_dropped),
        BENCH_TEST(an_icmp_error_goes_to_the_port_whose_packet_it_quotes),
        BENCH_TEST(one_batch_wakes_a_sleeping_application_once),
        BENCH_TEST(the_first_packet_waits_for_the_answer_and_then_goes),
        BENCH_TEST(ipv6_goes_the_same_way),
        BENCH_TEST(a_port_cannot_send_from_what_it_has_not_bound),
        BENCH_TEST(an_unbound_port_stops_sending_at_once),
        BENCH_TEST(a_checksum_left_to_the_switch_is_filled_in),
        BENCH_TEST(a_long_record_is_cut_into_segments),
        BENCH_TEST(what_is_too_big_is_dropped_and_the_sender_told_as_a_router_would),
        BENCH_TEST(destinations_have_their_fates),
        BENCH_TEST(a_nic_that_is_down_drops),
        BENCH_TEST(few_packets_wait_and_not_for_long),
        BENCH_TEST(a_neighbour_that_is_found_releases_what_waits_for_it),
        BENCH_TEST(routes_that_changed_are_asked_for_again_and_used_until_the_answer),
        BENCH_TEST(a_route_in_use_is_confirmed_every_five_seconds),
        BENCH_TEST(one_stack_talks_to_another_on_the_same_host),
        BENCH_TEST(a_full_nic_holds_the_ring_back_and_loses_nothing),
        BENCH_TEST(a_stuck_nic_does_not_hold_it_for_ever),
        BENCH_TEST(a_ring_that_lies_breaks_its_own_port_alone),
        BENCH_TEST(a_record_beyond_what_was_published_breaks_the_port),
        BENCH_TEST(a_consumer_index_that_lies_breaks_the_port),
        BENCH_TEST(rubbish_in_a_ring_harms_nobody_else),
        BENCH_TEST(a_flood_gets_no_more_than_its_turn),
        BENCH_TEST(an_idle_ring_leaves_the_round_and_a_wake_up_brings_it_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
