/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings on the bench: what a full NIC does to them, rings that lie, and which of them is looked at. */
#include "switch_bench.h"

#include <arpa/inet.h>

/* ---- a full NIC */

static void a_full_nic_holds_the_ring_back_and_loses_nothing(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {0};

    bench_resolve(bench);
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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
    bench->tx_room = 0;
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 0);
    bench->worker->now_ns += 101000000;
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 1);
    bench_app_close(bench, &app);
}

static void a_slow_nic_is_not_a_stuck_one(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
    for (uint32_t i = 0; i < 40; i++)
        bench_send(&app, &record, bytes);
    /* always full, and yet a frame leaves every 10 ms */
    for (uint32_t i = 1; i <= 40; i++) {
        bench->tx_room = 1;
        worker_round(bench->worker);
        assert_int_equal(bench->tx_count, i);
        bench->worker->now_ns += 10000000;
    }
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NIC_FULL), 0);
    bench_app_close(bench, &app);
}

/* One record into the application's ring, and on to the switch. */
static void send_one(struct bench_app *app, const struct bench_packet *packet)
{
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, packet)};

    bench_send(app, &record, bytes);
}

/* Many rings wait for a full NIC; a round is short all the same, and whoever needs no NIC is served. */
static void who_waits_for_a_full_nic_is_in_nobodys_way(void **state)
{
    enum { WAITING = 40 }; /* more than a round looks at */
    struct bench *bench = *state;
    const struct bench_packet to_host = {.source = BENCH_HOST4,
                                         .destination = BENCH_HOST4,
                                         .source_port = 9999,
                                         .destination_port = 80,
                                         .protocol = IP_PROTOCOL_TCP};
    struct bench_app server = bench_server(bench), client;
    struct bench_app waiting[WAITING];
    struct bench_packet packet = bench_to_peer;
    struct ring_record record;
    uint32_t rounds = 0;

    bench_resolve(bench);
    for (uint32_t i = 0; i < WAITING; i++) {
        waiting[i] = bench_app_open(bench, false, 16384);
        packet.source_port = (uint16_t)(1000 + i);
        bench_bind(bench, &waiting[i], IP_PROTOCOL_TCP, BENCH_HOST4, packet.source_port);
        send_one(&waiting[i], &packet); /* from now on the NIC is the one it uses */
        send_one(&waiting[i], &packet);
    }
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 2 * WAITING);
    client = bench_app_open(bench, false, 0);
    bench_bind(bench, &client, IP_PROTOCOL_TCP, BENCH_HOST4, to_host.source_port);
    send_one(&client, &to_host);
    worker_round(bench->worker);
    bench_answer(bench, BENCH_HOST4, BENCH_HOST4, CHANNEL_HOP_LOCAL, 65536);
    assert_non_null(bench_receive(&server, &record));
    bench->tx_room = 0;
    for (uint32_t i = 0; i < WAITING; i++) {
        packet.source_port = (uint16_t)(1000 + i);
        send_one(&waiting[i], &packet);
    }
    for (uint32_t i = 0; i < 5; i++) { /* whatever ring the rounds have come to */
        send_one(&client, &to_host);
        for (rounds = 0; rounds < 8; rounds++) {
            worker_round(bench->worker);
            if (bench_receive(&server, &record))
                break;
        }
        assert_in_range(rounds, 0, WAITING / RINGS_BESIDE + 1);
    }
    assert_int_equal(bench->tx_count, 2 * WAITING);
    bench->tx_room = 1000;
    worker_round(bench->worker);
    assert_int_equal(bench->tx_count, 3 * WAITING);
    for (uint32_t i = 0; i < WAITING; i++)
        bench_app_close(bench, &waiting[i]);
    bench_app_close(bench, &client);
    bench_app_close(bench, &server);
}

/* ---- rings that lie */

static void a_ring_that_lies_breaks_its_own_port_alone(void **state)
{
    struct bench *bench = *state;
    static const struct {
        uint32_t tail;
        enum detach_reason reason;
    } lies[] = {
        {BENCH_RING_SIZE + 64, DETACH_RING_INDEX}, /* more than the ring holds */
        {0u - 64, DETACH_RING_INDEX},              /* backwards */
        {32, DETACH_RING_INDEX},                   /* not aligned */
        {UINT32_MAX, DETACH_RING_INDEX},
        {0x80000000, DETACH_RING_INDEX},
    };
    struct bench_app honest = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_resolve(bench);
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
        struct bench_app app = bench_server(bench);

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
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    uint32_t length = bench_packet(bytes, &bench_from_peer);

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
    struct bench_app honest = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    uint32_t random = 12345;

    bench_resolve(bench);
    for (int round = 0; round < 300; round++) {
        struct bench_app rubbish = bench_app_open(bench, round & 1, 0);

        bench_bind(bench, &rubbish, IP_PROTOCOL_UDP, "0.0.0.0", 7);
        for (uint32_t i = 0; i < BENCH_RING_SIZE; i += 2) {
            random = random * 1664525 + 1013904223;
            /* small numbers now and then, so that records get past the first checks */
            rubbish.tx.data[i] = (uint8_t)(random >> 24);
            rubbish.tx.data[i + 1] = random & 0x700 ? 0 : (uint8_t)(random >> 16);
        }
        rubbish.tx.control->tail = (random >> 8) % (BENCH_RING_SIZE / RING_ALIGN + 1) * RING_ALIGN;
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
    struct bench_app flood = bench_server(bench), modest = bench_app_open(bench, false, 0);
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[2048], other[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)}, single = {0};

    bench_resolve(bench);
    bench_bind(bench, &modest, IP_PROTOCOL_TCP, "0.0.0.0", 81);
    packet.source_port = 81;
    single.length = bench_packet(other, &packet);
    for (int i = 0; i < 200; i++)
        bench_send(&flood, &record, bytes);
    bench_send(&modest, &single, other);
    worker_round(bench->worker);
    assert_int_equal(modest.port->rings[0].traffic.tx_packets, 1);
    /* turns until the round has enough, and not all of them */
    assert_in_range(flood.port->rings[0].traffic.tx_packets, ROUND_ENOUGH - 1,
                    ROUND_ENOUGH + RING_QUANTUM / record.length);
    bench_app_close(bench, &flood);
    bench_app_close(bench, &modest);
}

static void an_idle_ring_leaves_the_round_and_a_wake_up_brings_it_back(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};
    struct port_ring *ring = &app.port->rings[0];

    bench_resolve(bench);
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
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_full_nic_holds_the_ring_back_and_loses_nothing),
        BENCH_TEST(a_stuck_nic_does_not_hold_it_for_ever),
        BENCH_TEST(a_slow_nic_is_not_a_stuck_one),
        BENCH_TEST(who_waits_for_a_full_nic_is_in_nobodys_way),
        BENCH_TEST(a_ring_that_lies_breaks_its_own_port_alone),
        BENCH_TEST(a_record_beyond_what_was_published_breaks_the_port),
        BENCH_TEST(a_consumer_index_that_lies_breaks_the_port),
        BENCH_TEST(rubbish_in_a_ring_harms_nobody_else),
        BENCH_TEST(a_flood_gets_no_more_than_its_turn),
        BENCH_TEST(an_idle_ring_leaves_the_round_and_a_wake_up_brings_it_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
