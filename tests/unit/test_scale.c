/* SPDX-License-Identifier: BSD-2-Clause */
/* Many at once: bindings up to the limit, and the shares that ports get which all want everything. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define PORTS    64 /* that the bench has room for */
#define OVERHEAD 38 /* bytes on the wire beside a packet, see forward_tx.c */

static void test_65536_bindings_fit_and_go(void **state)
{
    const struct binding_terms terms = {.request = 0};
    struct bench *bench = *state;
    struct bench_app apps[PORTS];
    uint8_t bytes[2048], address[4] = {10, 0, 0, 1};
    struct bench_packet packet = bench_from_peer;
    struct ring_record record;
    struct tuple tuple;
    uint32_t number;

    for (uint32_t i = 0; i < PORTS; i++)
        apps[i] = bench_app_open(bench, false, 0);
    for (uint32_t i = 0; i < NAMESPACE_BINDINGS_MAX; i++) {
        /* every port number of TCP but 0, and one of UDP */
        tuple = tuple_make(address, 4, i ? IP_PROTOCOL_TCP : IP_PROTOCOL_UDP,
                           htons((uint16_t)(i ? i : 1)));
        assert_int_equal(
            binding_add(bench->core, apps[i % PORTS].port, &tuple, -1, &terms, &number), 0);
    }
    assert_int_equal(bench->core->ports.binding_count, NAMESPACE_BINDINGS_MAX);
    tuple = tuple_make(address, 4, IP_PROTOCOL_UDP, htons(2));
    assert_int_equal(binding_add(bench->core, apps[0].port, &tuple, -1, &terms, &number), -ENOSPC);
    for (uint32_t i = 1; i < NAMESPACE_BINDINGS_MAX; i += 997) {
        packet.destination_port = (uint16_t)i;
        bench_arrive(bench, bytes, bench_packet(bytes, &packet));
        worker_round(bench->worker);
        assert_non_null(bench_receive(&apps[i % PORTS], &record));
    }
    for (uint32_t i = 0; i < PORTS; i++)
        bench_app_close(bench, &apps[i]);
    assert_int_equal(bench->core->ports.binding_count, 0);
    assert_int_equal(bench->worker->names.bindings.used, 0);
}

#define MANY 5000 /* bindings, of which a table is large */

/* A ring that sends from many bindings has their slots asked for ahead, by what stands in shared memory:
 * each packet is judged by itself all the same, whatever lies before and behind it. */
static void test_each_of_many_sources_is_checked(void **state)
{
    static const struct {
        uint16_t port; /* from which it is sent: bound from 1000 on */
        uint16_t length;
        uint8_t version;
        bool goes;
    } sent[] = {{1000, 0, 4, true},  {5999, 0, 4, true}, {6000, 0, 4, false}, {999, 0, 4, false},
                {1234, 1, 4, false}, {4321, 0, 4, true}, {1000, 0, 6, false}, {2000, 22, 6, false},
                {2000, 0, 4, true},  {3000, 0, 0, false}};
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct bench_packet packet = bench_to_peer;
    uint32_t goes = 0;

    bench_resolve(bench);
    for (uint32_t i = 0; i < MANY; i++)
        bench_bind(bench, &app, IP_PROTOCOL_TCP, BENCH_HOST4, (uint16_t)(1000 + i));
    assert_true(tuple_table_is_large(&bench->worker->names.bindings));
    bench->tx_count = 0;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t which = i % (sizeof(sent) / sizeof(sent[0]));
        struct ring_record record = {0};
        uint8_t bytes[2048];

        packet.source_port = sent[which].port;
        record.length = bench_packet(bytes, &packet);
        if (sent[which].length)
            record.length = sent[which].length;
        bytes[0] = (uint8_t)(sent[which].version << 4 | 5);
        goes += sent[which].goes;
        bench_send(&app, &record, bytes);
        if (i % 25 == 24) { /* several records to a turn */
            worker_round(bench->worker);
            worker_round(bench->worker);
            assert_int_equal(bench->tx_count, goes);
            bench->tx_count = 0;
            goes = 0;
        }
    }
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 20);
    assert_true(app.port->rings[0].source_varies);
    bench_app_close(bench, &app);
}

/* An application that never has nothing to send. */
struct greedy {
    struct bench_app app;
    struct ring_record record;
    uint8_t packet[IP_PACKET_MAX];
};

static void greedy_open(struct bench *bench, struct greedy *greedy, uint32_t index)
{
    static const uint32_t payloads[] = {0, 200, 600, 1460, 20000};
    struct bench_packet packet = bench_to_peer;

    packet.payload = payloads[index % (sizeof(payloads) / sizeof(payloads[0]))];
    packet.source_port = (uint16_t)(1000 + index);
    greedy->app = bench_app_open(bench, false, 0);
    bench_bind(bench, &greedy->app, IP_PROTOCOL_TCP, "0.0.0.0", packet.source_port);
    greedy->record = (struct ring_record){.length = bench_packet(greedy->packet, &packet)};
    if (packet.payload > BENCH_MTU) {
        greedy->record.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL;
        greedy->record.segment_size = 1400;
        greedy->record.checksum_start = IPV4_HEADER_MIN;
        greedy->record.checksum_offset = 16;
    }
}

static void greedy_fill(struct greedy *greedy)
{
    uint32_t stride = ring_record_stride(greedy->record.length);

    assert_true(ring_producer_refresh(&greedy->app.tx));
    while (ring_producer_room(&greedy->app.tx) > 2 * stride)
        bench_send(&greedy->app, &greedy->record, greedy->packet);
}

/* All frames on the bench's wire, to the ring that sent them. */
static void add_shares(const struct bench *bench, uint64_t shares[PORTS])
{
    for (uint32_t i = 0; i < bench->tx_count; i++) {
        const struct wire_ports *ports =
            (const struct wire_ports *)(bench->tx[i].bytes + ETHER_HEADER_SIZE + IPV4_HEADER_MIN);

        shares[ntohs(ports->source_port) - 1000] +=
            bench->tx[i].length - ETHER_HEADER_SIZE + OVERHEAD;
    }
}

static void test_greedy_ports_get_equal_shares(void **state)
{
    static const uint32_t rooms[] = {BENCH_FRAMES_MAX, 97, 37};
    struct bench *bench = *state;
    struct greedy *all = calloc(PORTS, sizeof(*all));

    bench_resolve(bench);
    for (uint32_t i = 0; i < PORTS; i++)
        greedy_open(bench, &all[i], i);
    /* frames that the NIC takes in a round: all there are, and two that end in mid-turn */
    for (uint32_t r = 0; r < sizeof(rooms) / sizeof(rooms[0]); r++) {
        uint64_t shares[PORTS] = {0}, least = UINT64_MAX, most = 0, sum = 0;

        while (sum < (uint64_t)PORTS * RING_QUANTUM * 200) {
            for (uint32_t i = 0; i < PORTS; i++)
                greedy_fill(&all[i]);
            bench->tx_count = 0;
            bench->tx_room = rooms[r];
            worker_round(bench->worker);
            add_shares(bench, shares);
            sum = 0;
            for (uint32_t i = 0; i < PORTS; i++)
                sum += shares[i];
        }
        for (uint32_t i = 0; i < PORTS; i++) {
            least = shares[i] < least ? shares[i] : least;
            most = shares[i] > most ? shares[i] : most;
        }
        print_message("room %u: shares from %.2f to %.2f %% of the mean\n", rooms[r],
                      100.0 * PORTS * (double)least / (double)sum,
                      100.0 * PORTS * (double)most / (double)sum);
        assert_true(least * PORTS >= sum - sum / 40); /* within 5 % of each other */
        assert_true(most * PORTS <= sum + sum / 40);
    }
    for (uint32_t i = 0; i < PORTS; i++)
        bench_app_close(bench, &all[i].app);
    free(all);
}

/* One large record puts a ring into debt; nobody else is there, so it does not wait. */
static void test_a_debt_does_not_put_the_worker_to_sleep(void **state)
{
    struct bench *bench = *state;
    struct greedy *one = calloc(1, sizeof(*one));

    bench_resolve(bench);
    greedy_open(bench, one, 4);
    bench_send(&one->app, &one->record, one->packet);
    bench_send(&one->app, &one->record, one->packet);
    bench->tx_count = 0;
    for (uint32_t i = 0; i < 10 && bench->tx_count < 30; i++)
        assert_true(worker_round(bench->worker));
    assert_int_equal(bench->tx_count, 30); /* 15 segments each */
    bench_app_close(bench, &one->app);
    free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_65536_bindings_fit_and_go),
        BENCH_TEST(test_each_of_many_sources_is_checked),
        BENCH_TEST(test_greedy_ports_get_equal_shares),
        BENCH_TEST(test_a_debt_does_not_put_the_worker_to_sleep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
