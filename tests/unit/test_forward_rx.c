/* SPDX-License-Identifier: BSD-2-Clause */
/* From the NIC to the ports, on the bench: delivery, merged packets, ICMP errors, each reason for a drop. */
#include "ring_near.h"
#include "switch_bench.h"

#include <arpa/inet.h>
#include <string.h>

#include "checksum.h"

static void a_packet_arrives_at_the_port_that_bound_it(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench), other = bench_app_open(bench, false, 0);
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);
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

#define RUN_PACKETS 48 /* of a batch */

/* Who has the packet, if it is asked for by itself. */
static const struct port *owner_of(struct bench *bench, const uint8_t *packet, uint32_t length)
{
    const struct namespace_table *names = &bench->worker->names;
    struct packet_view view;

    if (packet_parse(packet, length, length, &view) != DROP_NONE)
        return NULL;
    return namespace_owner(names, &view, tuple_hash(&names->bindings.key, &view.local)).port;
}

/* In runs, of a batch: to ports of their own (80, 81), to one that both share (82), to one that one shares with
 * the connected flow of the other (83), to nobody's (84), and broken ones. */
static uint32_t arrive_in_runs(struct bench *bench, uint32_t *seed,
                               const struct port *owners[RUN_PACKETS])
{
    struct bench_packet sent = bench_from_peer;
    uint8_t bytes[2048];
    uint32_t nobodys = 0;

    sent.destination = BENCH_HOST4;
    for (uint32_t i = 0; i < RUN_PACKETS; i++) {
        uint32_t length;

        *seed = *seed * 1103515245 + 12345;
        if ((*seed >> 16) % 4 == 0)
            sent.destination_port = (uint16_t)(80 + (*seed >> 20) % 5);
        sent.source_port = (uint16_t)(1000 + (*seed >> 24) % 8);
        sent.sequence = i;
        length = bench_packet(bytes, &sent);
        if ((*seed >> 18) % 16 == 0)
            bytes[8]--; /* TTL, which the checksum covers */
        owners[i] = owner_of(bench, bytes, length);
        nobodys += !owners[i];
        bench_arrive(bench, bytes, length);
    }
    return nobodys;
}

static void expect_in_order(struct bench_app *app, const struct port *const owners[RUN_PACKETS])
{
    struct ring_record record;
    const uint8_t *packet;

    for (uint32_t i = 0; i < RUN_PACKETS; i++) {
        uint32_t sequence;

        if (owners[i] != app->port)
            continue;
        packet = bench_receive(app, &record);
        assert_non_null(packet);
        memcpy(&sequence, packet + IPV4_HEADER_MIN + 4, sizeof(sequence));
        assert_int_equal(ntohl(sequence), i);
    }
    assert_null(bench_receive(app, &record));
}

static void what_is_found_for_a_run_is_what_each_packet_would_find(void **state)
{
    struct bench *bench = *state;
    struct bench_app one = bench_app_open(bench, false, 0), two = bench_app_open(bench, false, 0);
    struct namespace_table *names = &bench->worker->names;
    struct owner_member first = {.port = one.port, .seed = 1},
                        second = {.port = two.port, .seed = 2};
    const uint8_t host[] = {10, 0, 0, 1};
    struct tuple shared = tuple_make(host, 4, IP_PROTOCOL_TCP, htons(82));
    struct tuple connected = tuple_make(host, 4, IP_PROTOCOL_TCP, htons(83));
    struct bench_packet flow = bench_from_peer;
    const struct port *owners[RUN_PACKETS];
    struct packet_view view;
    uint8_t bytes[2048];
    uint32_t seed = 1, nobodys = 0;

    bench_bind(bench, &one, IP_PROTOCOL_TCP, BENCH_HOST4, 80);
    bench_bind(bench, &two, IP_PROTOCOL_TCP, BENCH_HOST4, 81);
    assert_int_equal(namespace_join(names, &shared, &first), 0);
    assert_int_equal(namespace_join(names, &shared, &second), 0);
    second.state = MEMBER_WAITING;
    assert_int_equal(namespace_join(names, &connected, &first), 0);
    assert_int_equal(namespace_join(names, &connected, &second), 0);
    flow.destination_port = 83;
    flow.source_port = 1003;
    assert_int_equal(packet_parse(bytes, bench_packet(bytes, &flow), sizeof(bytes), &view),
                     DROP_NONE);
    assert_int_equal(namespace_connect(names, &connected, two.port, &view), 0);
    for (uint32_t batch = 0; batch < 200; batch++) {
        nobodys += arrive_in_runs(bench, &seed, owners);
        worker_round(bench->worker);
        expect_in_order(&one, owners);
        expect_in_order(&two, owners);
    }
    assert_int_equal(bench_nic_drops(bench, DROP_RX_NOT_BOUND) +
                         bench_nic_drops(bench, DROP_RX_BAD_HEADER_CHECKSUM),
                     nobodys);
    assert_int_equal(one.port->rings[0].traffic.rx_packets + two.port->rings[0].traffic.rx_packets,
                     200 * RUN_PACKETS - nobodys);
    for (const struct bench_app *app = &one; app; app = app == &one ? &two : NULL) {
        namespace_remove(names, &shared, app->port);
        namespace_remove(names, &connected, app->port);
    }
    bench_app_close(bench, &one);
    bench_app_close(bench, &two);
}

/* In batches, past the cache: by its content nobody can tell. Few at a time go as ever. */
static void a_reader_on_another_processor_gets_the_same(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct bench_packet sent = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length = 0;

    bench->worker->cpu = 1;
    for (uint32_t cpu = 0; cpu <= 2; cpu++) { /* unknown, the same, another */
        ring_store_relaxed(&app.rx.control->consumer_cpu, cpu);
        for (uint32_t batch = 1; batch <= 20; batch += 19) {
            for (uint32_t i = 0; i < batch; i++) {
                sent.payload = 3 * i;
                bench_arrive(bench, bytes, bench_packet(bytes, &sent));
            }
            worker_round(bench->worker);
            for (uint32_t i = 0; i < batch; i++) {
                const uint8_t *packet = bench_receive(&app, &record);

                sent.payload = 3 * i;
                length = bench_packet(bytes, &sent);
                assert_non_null(packet);
                assert_int_equal(record.length, length);
                assert_memory_equal(packet, bytes, length);
            }
            assert_null(bench_receive(&app, &record));
        }
        assert_int_equal(app.port->rings[0].far, cpu == 2);
        assert_false(bench->worker->streamed);
    }
    bench_app_close(bench, &app);
}

/* Past the cache, and as usual (ring_near.h). */
static void stored_either_way(struct bench *bench)
{
    struct bench_app app = bench_app_open(bench, false, 1024 * 1024);
    struct bench_packet sent = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench->worker->cpu = 1;
    ring_store_relaxed(&app.rx.control->consumer_cpu, 2);
    for (uint32_t batch = 0; batch < 40; batch++) {
        if (batch % 10 == 0)
            app.port->rings[0].rx.near_score = batch % 20 ? RING_NEAR_SCORE_MOST : 0;
        for (uint32_t i = 0; i < 20; i++) {
            sent.payload = 37 * (batch + i) % 1400;
            bench_arrive(bench, bytes, bench_packet(bytes, &sent));
        }
        worker_round(bench->worker);
        for (uint32_t i = 0; i < 20; i++) {
            const uint8_t *packet = bench_receive(&app, &record);
            uint32_t length;

            sent.payload = 37 * (batch + i) % 1400;
            length = bench_packet(bytes, &sent);
            assert_non_null(packet);
            assert_int_equal(record.length, length);
            assert_int_equal(record.flags, 0);
            assert_memory_equal(packet, bytes, length);
        }
        assert_false(bench->worker->streamed);
    }
    bench_app_close(bench, &app);
}

static void long_packets_are_stored_either_way(void **state)
{
    stored_either_way(*state);
}

/* As they come from a wire, among shorter ones that are in one piece. */
static void packets_in_two_pieces_keep_their_place(void **state)
{
    struct bench *bench = *state;

    bench->piece_size = 800;
    stored_either_way(bench);
}

/* A ring of 64 KiB takes some forty of these; the others are dropped, and counted, as packets in one piece are. */
static void packets_in_two_pieces_find_a_ring_full(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct bench_packet sent = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];
    const uint8_t *packet;
    uint32_t received[2] = {0};

    sent.payload = 1400;
    for (uint32_t round = 0; round < 2; round++) { /* in one piece, in two */
        uint64_t dropped = bench_ring_drops(&app, DROP_RX_PORT_FULL);

        bench->piece_size = round ? 256 + 1024 : BENCH_FRAME_SIZE;
        for (sent.sequence = 0; sent.sequence < NIC_BATCH; sent.sequence++)
            bench_arrive(bench, bytes, bench_packet(bytes, &sent));
        worker_round(bench->worker);
        for (; (packet = bench_receive(&app, &record)); received[round]++) {
            sent.sequence = received[round];
            assert_int_equal(record.length, bench_packet(bytes, &sent));
            assert_memory_equal(packet, bytes, record.length);
        }
        dropped = bench_ring_drops(&app, DROP_RX_PORT_FULL) - dropped;
        assert_int_equal(received[round] + dropped, NIC_BATCH);
    }
    assert_in_range(received[0], 40, NIC_BATCH - 1);
    assert_in_range(received[1], 40, NIC_BATCH - 1);
    bench_app_close(bench, &app);
}

static void ethernet_padding_is_no_part_of_the_packet(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct bench_packet small = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048] = {0};
    uint32_t length;

    small.payload = 0;
    length = bench_packet(bytes, &small);
    bench_arrive(bench, bytes, 46); /* the least that Ethernet carries */
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.length, length);

    bench->piece_size = 800; /* nothing but padding in the second piece */
    small.payload = 700;
    length = bench_packet(bytes, &small);
    bench_arrive(bench, bytes, 1000);
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.length, length);
    bench_app_close(bench, &app);
}

static void a_loopback_address_comes_by_lo_alone(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct channel_ip loopback = {.family = 4, .bytes = {127, 0, 0, 1}};
    struct tuple address = tuple_make(loopback.bytes, 4, 0, 0);
    struct bench_packet packet = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length;

    packet.source = "127.0.0.1";
    packet.destination = "127.0.0.1";
    length = bench_packet(bytes, &packet);
    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    assert_int_equal(namespace_set_address(&bench->worker->names, &address, true), 0);
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_null(bench_receive(&app, &record));
    assert_int_equal(bench->worker->queues[0].drops.count[DROP_RX_NOT_BOUND], 1);
    bench->nic->is_loopback = true;
    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    bench_app_close(bench, &app);
}

static void what_cannot_be_delivered_is_counted_at_the_nic(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct ring_record record;
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);

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
    struct bench_app full = bench_server(bench), other = bench_app_open(bench, false, 0);
    struct bench_packet to_other = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048], bytes_other[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer), length_other;

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
    struct bench_app app = bench_server(bench);
    struct ring_record record;
    uint8_t bytes[2048];

    bench->nic->is_virtual = true;
    bench_arrive(bench, bytes, bench_packet(bytes, &bench_from_peer));
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    assert_int_equal(record.flags, RECORD_CHECKSUM_PARTIAL);
    bench_app_close(bench, &app);
}

/* The short way through the parser takes nothing that the long one does not, and sees the same. */
static void a_plain_packet_is_parsed_the_short_way_to_the_same_end(void **state)
{
    const uint8_t protocols[] = {IP_PROTOCOL_TCP, IP_PROTOCOL_UDP};
    uint8_t bytes[2048];
    uint32_t taken = 0;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct bench_packet packet = bench_from_peer;
        uint32_t length;

        packet.protocol = protocols[i];
        length = bench_packet(bytes, &packet);
        for (uint32_t bit = 0; bit <= 48 * 8; bit++) {
            struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;

            bench_packet(bytes, &packet);
            if (bit < 48 * 8)
                bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            for (uint32_t fixed = 0; fixed < 2; fixed++) {
                for (uint32_t available = length; available; available -= 1) {
                    struct packet_view view = {0}, plain = {0};
                    enum drop_reason reason = packet_parse(bytes, available, length, &view);

                    if (!packet_parse_plain(bytes, available, length, &plain))
                        continue;
                    taken++;
                    assert_int_equal(reason, DROP_NONE);
                    assert_memory_equal(&plain, &view, sizeof(view));
                }
                ip->checksum = 0;
                ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
            }
        }
        assert_true(packet_parse_plain((bench_packet(bytes, &packet), bytes), length, length,
                                       &(struct packet_view){0}));
    }
    assert_true(taken > 1000);
}

static uint32_t merged_packet(uint8_t *bytes, uint32_t payload, bool partial)
{
    struct bench_packet merged = bench_from_peer;
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

static void merged_in_pieces_into(struct bench *bench, uint32_t ring_size)
{
    struct bench_app app = bench_app_open(bench, true, ring_size);
    static uint8_t bytes[65536];
    struct ring_record record;
    uint32_t length = merged_packet(bytes, 60000, true);
    const uint8_t *packet;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench->nic->is_virtual = true;
    bench->worker->cpu = 1;
    for (uint32_t cpu = 1; cpu <= 2; cpu++) { /* read on the same processor, on another */
        ring_store_relaxed(&app.rx.control->consumer_cpu, cpu);
        for (int i = 0; i < 2; i++) { /* the first one lets the switch look where */
            bench_arrive(bench, bytes, length);
            worker_round(bench->worker);
            packet = bench_receive(&app, &record);
            assert_non_null(packet);
            assert_int_equal(record.length, length);
            assert_int_equal(record.flags, RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL);
            assert_int_equal(record.segment_size, BENCH_MTU - 40);
            assert_memory_equal(packet, bytes, length);
        }
        assert_int_equal(app.port->rings[0].far, cpu == 2);
        assert_false(bench->worker->streamed);
    }
    bench_app_close(bench, &app);
}

static void a_merged_packet_in_pieces_is_one_record_for_whoever_wants_it(void **state)
{
    merged_in_pieces_into(*state, 256 * 1024);
    merged_in_pieces_into(*state, 1024 * 1024);
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
    struct bench_packet datagram = bench_from_peer;
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
    struct bench_app app = bench_server(bench);
    struct ring_record record;
    uint8_t bytes[2048] = {0}, *quote = bytes + IPV4_HEADER_MIN + ICMP_HEADER_SIZE;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;
    struct wire_icmp *icmp = (struct wire_icmp *)(ip + 1);
    uint32_t length = IPV4_HEADER_MIN + ICMP_HEADER_SIZE + 28;

    bench_packet(quote, &bench_to_peer);
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);

    assert_true(ring_consumer_sleep(&app.rx));
    for (int i = 0; i < 10; i++)
        bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    assert_int_equal(ring_load_relaxed(&app.rx.control->consumer_sleeps), 0);
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_packet_arrives_at_the_port_that_bound_it),
        BENCH_TEST(a_reader_on_another_processor_gets_the_same),
        BENCH_TEST(ethernet_padding_is_no_part_of_the_packet),
        BENCH_TEST(what_is_found_for_a_run_is_what_each_packet_would_find),
        BENCH_TEST(a_loopback_address_comes_by_lo_alone),
        BENCH_TEST(what_cannot_be_delivered_is_counted_at_the_nic),
        BENCH_TEST(a_full_ring_drops_its_own_packets_alone),
        BENCH_TEST(a_virtual_nic_marks_checksums_as_maybe_partial),
        BENCH_TEST(long_packets_are_stored_either_way),
        BENCH_TEST(packets_in_two_pieces_keep_their_place),
        BENCH_TEST(packets_in_two_pieces_find_a_ring_full),
        BENCH_TEST(a_merged_packet_in_pieces_is_one_record_for_whoever_wants_it),
        BENCH_TEST(a_merged_packet_is_cut_for_whoever_wants_none),
        BENCH_TEST(a_datagram_longer_than_the_wire_carries_is_dropped),
        BENCH_TEST(an_icmp_error_goes_to_the_port_whose_packet_it_quotes),
        cmocka_unit_test(a_plain_packet_is_parsed_the_short_way_to_the_same_end),
        BENCH_TEST(one_batch_wakes_a_sleeping_application_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
