/* SPDX-License-Identifier: BSD-2-Clause */
/* From the ports to the NIC, on the bench: next hops and what waits for them, offloads, local
 * delivery, each reason for a drop. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "checksum.h"

static void the_first_packet_waits_for_the_answer_and_then_goes(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
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
    bench->worker->cpu = 3;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 2);
    assert_false(bench_asked(bench, &question));
    assert_int_equal(ring_load_relaxed(&app.tx.control->consumer_cpu), 3); /* ms_fill() asks */
    bench_app_close(bench, &app);
}

static void ipv6_goes_the_same_way(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct bench_packet packet = bench_to_peer;
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
    struct bench_app app = bench_server(bench), other = bench_app_open(bench, false, 0);
    struct bench_packet packets[] = {bench_to_peer, bench_to_peer, bench_to_peer};
    uint8_t bytes[2048];
    struct ring_record record = {0};

    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    uint32_t number = bench->core->ports.bindings[app.port->first_binding].number;

    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {
        .flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = IPV4_HEADER_MIN, .checksum_offset = 16};

    bench_resolve(bench);
    record.length = bench_packet(bytes, &bench_to_peer);
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
    struct bench_packet packet = bench_to_peer;
    struct ring_record record = {.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
                                 .segment_size = 1460,
                                 .checksum_start = IPV4_HEADER_MIN,
                                 .checksum_offset = 16};
    uint32_t offset = 0;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[4096];
    struct ring_record record = {0};
    struct packet_view view;
    const uint8_t *error;

    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
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
        struct bench_packet packet = bench_to_peer;
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
    bench->nic->up = false;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_DOWN), 1);
    bench_app_close(bench, &app);
}

/* Of what the kernel says then: no route (the administrator), or no neighbour (the carrier). */
static void a_nic_that_is_down_is_the_reason_why_there_is_no_route(void **state)
{
    static const enum channel_next_hop_kind kinds[] = {CHANNEL_HOP_UNREACHABLE,
                                                       CHANNEL_HOP_RESOLVING};
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
    for (uint32_t i = 0; i < 2; i++) {
        bench->nic->up = false;
        bench_answer(bench, BENCH_PEER4, BENCH_HOST4, kinds[i], BENCH_MTU);
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
        assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_DOWN), i + 1);
        bench->nic->up = true;
        bench_answer(bench, BENCH_PEER4, BENCH_HOST4, CHANNEL_HOP_UNREACHABLE, 0);
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
        assert_int_equal(bench_ring_drops(&app, DROP_TX_NO_ROUTE), i + 1);
    }
    assert_int_equal(bench->tx_count, 0);
    bench_app_close(bench, &app);
}

static void few_packets_wait_and_not_for_long(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

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
        struct bench_packet packet = bench_to_peer;
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
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
    struct bench_app app = bench_server(bench);
    struct channel_plain changed = {
        .header = {.type = CHANNEL_ROUTES_CHANGED, .size = sizeof(changed)}};
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
    struct channel_resolve question;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
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

/* One packet to `destination`; whether it left at once. */
static bool leaves_at_once(struct bench *bench, struct bench_app *app, const char *destination)
{
    struct bench_packet packet = bench_to_peer;
    uint32_t before = bench->tx_count;
    uint8_t bytes[2048];
    struct ring_record record;

    packet.destination = destination;
    record = (struct ring_record){.length = bench_packet(bytes, &packet)};
    bench_send(app, &record, bytes);
    worker_round(bench->worker);
    return bench->tx_count > before;
}

static void an_answer_may_hold_for_a_whole_prefix(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct channel_resolve question;
    const struct channel_plain changed = {
        .header = {.type = CHANNEL_ROUTES_CHANGED, .size = sizeof(changed)}};

    bench->tx_room = 1000;
    assert_false(leaves_at_once(bench, &app, "198.18.0.1"));
    assert_true(bench_asked(bench, &question));
    bench_answer_prefix(bench, "198.18.0.1", BENCH_HOST4, "10.0.0.254", 9);
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 1);
    /* 198.0.0.0/9 is known, and nobody is asked about it */
    assert_true(leaves_at_once(bench, &app, "198.18.200.7"));
    assert_true(leaves_at_once(bench, &app, "198.127.255.255"));
    assert_true(leaves_at_once(bench, &app, "198.0.0.1"));
    assert_false(bench_asked(bench, &question));
    /* what is outside of it is not */
    assert_false(leaves_at_once(bench, &app, "198.128.0.1"));
    assert_true(bench_asked(bench, &question));
    assert_false(leaves_at_once(bench, &app, "199.18.0.1"));
    assert_true(bench_asked(bench, &question));
    /* nor what is new when routes have changed, or five seconds have passed */
    assert_int_equal(send(bench->keeper, &changed, sizeof(changed), 0), sizeof(changed));
    core_hear_keeper(bench->core);
    assert_false(leaves_at_once(bench, &app, "198.18.0.9"));
    assert_true(bench_asked(bench, &question));
    bench_answer_prefix(bench, "198.18.0.9", BENCH_HOST4, "10.0.0.254", 9);
    assert_true(leaves_at_once(bench, &app, "198.18.0.10"));
    bench->worker->now_ns += NEXT_HOP_REFRESH_NS;
    assert_false(leaves_at_once(bench, &app, "198.18.0.11"));
    bench_app_close(bench, &app);
}

static void an_answer_for_a_prefix_ends_with_its_gateway(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct channel_resolve question;
    struct channel_neighbor gone = {.header = {.type = CHANNEL_NEIGHBOR, .size = sizeof(gone)},
                                    .address = {.bytes = {10, 0, 0, 254}, .family = 4}};

    bench->tx_room = 1000;
    leaves_at_once(bench, &app, "198.18.0.1");
    assert_true(bench_asked(bench, &question));
    bench_answer_prefix(bench, "198.18.0.1", BENCH_HOST4, "10.0.0.254", 1);
    assert_true(leaves_at_once(bench, &app, "200.1.1.1"));
    gone.ifindex = bench->nic->ifindex;
    assert_int_equal(send(bench->keeper, &gone, sizeof(gone), 0), sizeof(gone));
    core_hear_keeper(bench->core);
    assert_false(leaves_at_once(bench, &app, "200.1.1.2"));
    bench_app_close(bench, &app);
}

static void one_stack_talks_to_another_on_the_same_host(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench), client = bench_app_open(bench, false, 0);
    struct bench_packet packet = bench_to_peer;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(the_first_packet_waits_for_the_answer_and_then_goes),
        BENCH_TEST(ipv6_goes_the_same_way),
        BENCH_TEST(a_port_cannot_send_from_what_it_has_not_bound),
        BENCH_TEST(an_unbound_port_stops_sending_at_once),
        BENCH_TEST(a_checksum_left_to_the_switch_is_filled_in),
        BENCH_TEST(a_long_record_is_cut_into_segments),
        BENCH_TEST(what_is_too_big_is_dropped_and_the_sender_told_as_a_router_would),
        BENCH_TEST(destinations_have_their_fates),
        BENCH_TEST(a_nic_that_is_down_drops),
        BENCH_TEST(a_nic_that_is_down_is_the_reason_why_there_is_no_route),
        BENCH_TEST(few_packets_wait_and_not_for_long),
        BENCH_TEST(a_neighbour_that_is_found_releases_what_waits_for_it),
        BENCH_TEST(routes_that_changed_are_asked_for_again_and_used_until_the_answer),
        BENCH_TEST(a_route_in_use_is_confirmed_every_five_seconds),
        BENCH_TEST(an_answer_may_hold_for_a_whole_prefix),
        BENCH_TEST(an_answer_for_a_prefix_ends_with_its_gateway),
        BENCH_TEST(one_stack_talks_to_another_on_the_same_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
