/* SPDX-License-Identifier: BSD-2-Clause */
/* CONTROL_CAPTURE at the switch: what is copied, for whom, and what a capture that does not read, lies or
 * ends does to others: nothing. */
#include "control_bench.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "capture_format.h"

#define STRANGER 4000000

/* A capture, as its process has it. */
struct taker {
    struct bench *bench;
    int client;
    struct port *port;
    struct ring_consumer in;
};

static int ask(struct bench *bench, int client, const struct control_capture *wish,
               uint32_t *source)
{
    struct control_captured captured = {.header = {0}};

    send_with_fds(client, wish, sizeof(*wish), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &captured, sizeof(captured), NULL), sizeof(captured));
    assert_int_equal(captured.header.type, CONTROL_CAPTURED);
    if (source)
        *source = captured.source;
    return -captured.header.error;
}

static int ask_for(const struct taker *taker, uint32_t kind, uint32_t id, uint32_t snap)
{
    const struct control_capture wish = {
        .header = HEADER(CONTROL_CAPTURE, wish), .kind = kind, .id = id, .snap = snap};

    return ask(taker->bench, taker->client, &wish, NULL);
}

static struct port *port_of(const struct bench *bench, uint32_t number)
{
    for (uint32_t slot = 0; slot < bench->core->ports.capacity; slot++) {
        if (bench->core->ports.slots[slot] && bench->core->ports.slots[slot]->number == number)
            return bench->core->ports.slots[slot];
    }
    return NULL;
}

static struct connection *connection_of(const struct taker *taker)
{
    return control_connection_of(taker->bench->core, taker->port);
}

/* A port that captures nothing yet. */
static struct taker taker_open(struct bench *bench)
{
    struct taker taker = {.bench = bench, .client = greeted_client(bench)};
    struct control_port_opened opened = open_port(bench, taker.client, 1, NULL);

    taker.port = port_of(bench, opened.port);
    connection_of(&taker)->uid = 0; /* root's, whoever runs this test */
    ring_consumer_init(
        &taker.in, (struct ring_control *)(taker.port->region + port_layout_rx_control(0)),
        taker.port->region + port_layout_rx_data(1, opened.rx_size, opened.tx_size, 0),
        opened.rx_size);
    return taker;
}

static void taker_close(struct taker *taker)
{
    close(taker->client);
    serve(taker->bench);
}

/* The next copy; NULL: none. */
static const uint8_t *next(struct taker *taker, struct capture_head *head, uint32_t *captured)
{
    struct ring_record record;
    const uint8_t *bytes;

    assert_true(ring_consumer_refresh(&taker->in));
    if (ring_consumer_next(&taker->in, &record, &bytes) != RING_NEXT_PACKET)
        return NULL;
    assert_true(record.length >= sizeof(*head));
    memcpy(head, bytes, sizeof(*head));
    *captured = record.length - (uint32_t)sizeof(*head);
    ring_consumer_release(&taker->in);
    return bytes + sizeof(*head);
}

/* What the switch counts of the capture's first source. */
static struct control_capture_record counts_of(const struct taker *taker)
{
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query),
                                  .subject = CONTROL_SUBJECT_CAPTURES};
    struct {
        struct control_records head;
        struct control_capture_record records[64];
    } page = {.head = {.count = 0}};

    send_with_fds(taker->client, &query, sizeof(query), NULL, 0);
    serve(taker->bench);
    assert_true(receive(taker->client, &page, sizeof(page), NULL) > 0);
    assert_int_equal(page.head.header.type, CONTROL_RECORDS);
    assert_int_equal(page.head.record_size, sizeof(page.records[0]));
    assert_int_equal(page.head.cursor, 0);
    assert_true(page.head.count >= 1);
    return page.records[0];
}

static uint32_t arrive(struct bench *bench, uint8_t *bytes)
{
    uint32_t length = bench_packet(bytes, &bench_from_peer);

    bench_arrive(bench, bytes, length);
    worker_round(bench->worker);
    return length;
}

static uint32_t send_one(struct bench *bench, struct bench_app *app, uint8_t *bytes)
{
    struct ring_record record = {.length = bench_packet(bytes, &bench_to_peer)};

    bench_send(app, &record, bytes);
    worker_round(bench->worker);
    return record.length;
}

/* ---- what is copied */

static void a_nic_is_copied_both_ways(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    uint8_t bytes[2048];
    struct capture_head head;
    const uint8_t *copy;
    uint32_t length, captured;

    bench_resolve(bench);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 65535), 0);
    length = arrive(bench, bytes);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(captured, ETHER_HEADER_SIZE + length);
    assert_int_equal(head.length, captured);
    assert_int_equal(head.flags, 0);
    assert_int_equal(head.source, 0);
    assert_true(head.time_ns > 1700000000ULL * 1000000000);
    assert_memory_equal(copy + ETHER_HEADER_SIZE, bytes, length);

    length = send_one(bench, &app, bytes);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(head.flags, CAPTURE_OUTBOUND);
    assert_int_equal(captured, ETHER_HEADER_SIZE + length);
    assert_memory_equal(copy, bench->tx[0].bytes, captured);
    send_one(bench, &app, bytes); /* the short way of a second packet of a flow */
    assert_non_null(next(&taker, &head, &captured));
    assert_int_equal(head.flags, CAPTURE_OUTBOUND);
    assert_null(next(&taker, &head, &captured));
    assert_int_equal(counts_of(&taker).captured, 3);
    assert_int_equal(counts_of(&taker).dropped, 0);
    assert_string_equal(counts_of(&taker).name, "bench0");
    taker_close(&taker);
    bench_app_close(bench, &app);
}

static void a_port_is_copied_both_ways_and_nobody_elses(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench), other = bench_app_open(bench, false, 0);
    struct taker taker = taker_open(bench), others = taker_open(bench);
    uint8_t bytes[2048];
    struct capture_head head;
    const uint8_t *copy;
    uint32_t length, captured;

    bench_resolve(bench);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 65535), 0);
    assert_int_equal(ask_for(&others, CONTROL_CAPTURE_PORT, other.port->number, 65535), 0);
    length = arrive(bench, bytes);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(captured, length);
    assert_int_equal(head.flags, 0);
    assert_memory_equal(copy, bytes, length);
    length = send_one(bench, &app, bytes);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(captured, length);
    assert_int_equal(head.flags, CAPTURE_OUTBOUND);
    assert_memory_equal(copy, bytes, length);
    assert_null(next(&taker, &head, &captured));
    assert_null(next(&others, &head, &captured));
    taker_close(&taker);
    taker_close(&others);
    bench_app_close(bench, &app);
    bench_app_close(bench, &other);
}

static void what_the_switch_drops_of_a_port_is_seen_there(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    struct bench_packet packet = bench_to_peer;
    struct ring_record record = {0};
    struct capture_head head;
    uint8_t bytes[2048];
    uint32_t captured;

    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 65535), 0);
    packet.source_port = 81; /* not its own */
    record.length = bench_packet(bytes, &packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 1);
    assert_non_null(next(&taker, &head, &captured));
    taker_close(&taker);
    bench_app_close(bench, &app);
}

static void a_copy_is_cut_and_gathered(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    struct bench_packet packet = bench_from_peer;
    uint8_t bytes[2048];
    struct capture_head head;
    const uint8_t *copy;
    uint32_t captured;

    bench->piece_size = 256;
    packet.payload = 900;
    bench_arrive(bench, bytes, bench_packet(bytes, &packet));
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 700), 0);
    worker_round(bench->worker);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(captured, 700);
    assert_int_equal(head.length, ETHER_HEADER_SIZE + 40 + 900);
    assert_memory_equal(copy + ETHER_HEADER_SIZE, bytes, 700 - ETHER_HEADER_SIZE);
    taker_close(&taker);
    bench_app_close(bench, &app);
}

/* Whose payload the switch itself does not copy. */
static void a_large_send_is_copied_whole(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 512 * 1024);
    struct taker taker = taker_open(bench);
    struct bench_packet packet = bench_to_peer;
    static uint8_t bytes[65536];
    struct ring_record record = {.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
                                 .segment_size = 1400,
                                 .checksum_start = IPV4_HEADER_MIN,
                                 .checksum_offset = 16};
    struct capture_head head;
    const uint8_t *copy;
    uint32_t captured;

    bench_bind(bench, &app, IP_PROTOCOL_TCP, "0.0.0.0", 80);
    bench_resolve(bench);
    bench_segments(bench);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 65535), 0);
    packet.payload = 30000;
    record.length = bench_packet(bytes, &packet);
    bench_send(&app, &record, bytes);
    worker_round(bench->worker);
    assert_int_equal(bench->large_count, 1);
    assert_int_equal(bench->settled, 1);
    copy = next(&taker, &head, &captured);
    assert_non_null(copy);
    assert_int_equal(captured, ETHER_HEADER_SIZE + record.length);
    assert_int_equal(head.flags, CAPTURE_OUTBOUND | CAPTURE_CHECKSUM_LEFT);
    assert_memory_equal(copy + ETHER_HEADER_SIZE + 40, bytes + 40, record.length - 40);
    taker_close(&taker);
    bench_app_close(bench, &app);
}

/* ---- what it does to others */

static void a_capture_that_does_not_read_loses_its_own_packets_alone(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    struct bench_packet packet = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];

    packet.payload = 1400;
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 65535), 0);
    for (uint32_t i = 0; i < 500; i++) {
        bench_arrive(bench, bytes, bench_packet(bytes, &packet));
        worker_round(bench->worker);
        assert_non_null(bench_receive(&app, &record));
    }
    assert_int_equal(bench_ring_drops(&app, DROP_RX_PORT_FULL), 0);
    assert_int_equal(counts_of(&taker).captured + counts_of(&taker).dropped, 500);
    assert_true(counts_of(&taker).dropped > 400);
    assert_int_equal(taker.port->rings[0].drops.count[DROP_RX_PORT_FULL],
                     counts_of(&taker).dropped);
    taker_close(&taker);
    bench_app_close(bench, &app);
}

static void a_capture_that_ends_leaves_nothing_behind(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    const struct nic_ops *before = bench->nic->queues[0].ops;
    struct taker first = taker_open(bench), second = taker_open(bench);
    uint8_t bytes[2048];

    bench_resolve(bench);
    assert_int_equal(ask_for(&first, CONTROL_CAPTURE_NIC, 0, 100), 0);
    assert_int_equal(ask_for(&first, CONTROL_CAPTURE_PORT, app.port->number, 100), 0);
    assert_int_equal(ask_for(&second, CONTROL_CAPTURE_NIC, 0, 100), 0);
    assert_ptr_not_equal(bench->nic->queues[0].ops, before);
    assert_true(app.port->rings[0].captured);
    taker_close(&first);
    assert_ptr_not_equal(bench->nic->queues[0].ops, before);
    assert_false(app.port->rings[0].captured);
    taker_close(&second);
    assert_ptr_equal(bench->nic->queues[0].ops, before);
    assert_int_equal(bench->worker->tap_count, 0);
    assert_int_equal(bench->core->capture_count, 0);
    arrive(bench, bytes);
    send_one(bench, &app, bytes);
    assert_int_equal(bench->tx_count, 1);
    bench_app_close(bench, &app);
}

static void a_capture_that_lies_is_cut_off(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    const struct nic_ops *before = bench->nic->queues[0].ops;
    struct ring_control *control = taker.in.control;
    struct bench_packet packet = bench_from_peer;
    struct ring_record record;
    uint8_t bytes[2048];

    packet.payload = 1400;
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 65535), 0);
    ring_store_release(&control->head, 0x40000000); /* further than anything was written */
    memset((uint8_t *)control + 4, 0xff, 8);
    for (uint32_t i = 0; i < 100; i++) {
        bench_arrive(bench, bytes, bench_packet(bytes, &packet));
        worker_round(bench->worker);
        assert_non_null(bench_receive(&app, &record));
    }
    assert_true(is_closed(taker.client));
    assert_ptr_equal(bench->nic->queues[0].ops, before);
    assert_int_equal(bench->core->detached[DETACH_RING_INDEX], 1);
    close(taker.client);
    bench_app_close(bench, &app);
}

/* A port can write into its own receive ring as well; what it makes of it is bounded. */
static void a_port_that_scribbles_is_copied_within_bounds(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    struct ring_record lie = {.length = 0xfffffff0}, record;
    struct capture_head head;
    uint8_t bytes[2048];
    uint32_t captured;
    const uint8_t *packet;

    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 65535), 0);
    arrive(bench, bytes);
    assert_non_null(next(&taker, &head, &captured));
    /* between the worker's write and its look: what it would find */
    packet = bench_receive(&app, &record);
    memcpy((uint8_t *)(uintptr_t)packet - sizeof(lie), &lie, sizeof(lie));
    app.port->rings[0].rx.published -= ring_record_stride(record.length);
    app.port->rings[0].batch_packets = 1;
    app.port->rings[0].touched_next = bench->worker->touched;
    bench->worker->touched = &app.port->rings[0];
    deliver_publish(bench->worker);
    assert_null(next(&taker, &head, &captured));
    taker_close(&taker);
    bench_app_close(bench, &app);
}

/* ---- who may, and what */

static void who_may_not_capture_is_refused(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);

    connection_of(&taker)->uid = STRANGER;
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 100), -EACCES);
    app.port->uid = 0;
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 100), -EACCES);
    assert_null(taker.port->capture);
    app.port->uid = STRANGER;
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 100), 0);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 100), -EACCES);
    /* the test's own group, as that of the administrators */
    bench->core->config.admin_gid = getegid();
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 100), getegid() ? 0 : -EACCES);
    taker_close(&taker);
    bench_app_close(bench, &app);
}

static void nonsense_is_refused(void **state)
{
    struct bench *bench = *state;
    struct taker taker = taker_open(bench), other = taker_open(bench);
    struct control_capture wish = {.header = HEADER(CONTROL_CAPTURE, wish), .kind = 1, .snap = 9};
    int wide = greeted_client(bench);
    struct control_port_opened opened;
    struct control_address address;
    int fd;

    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 1, 100), -ENOENT);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, 77, 100), -ENOENT);
    assert_int_equal(ask_for(&taker, 3, 0, 100), -EINVAL);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 0), -EINVAL);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, taker.port->number, 100), -EINVAL);
    wish.zero = 1;
    assert_int_equal(ask(bench, taker.client, &wish, NULL), -EINVAL);
    wish.zero = 0;
    opened = open_port(bench, wide, 2, NULL);
    assert_int_equal(opened.header.error, 0);
    control_connection_of(bench->core, port_of(bench, opened.port))->uid = 0;
    assert_int_equal(ask(bench, wide, &wish, NULL), -EINVAL); /* rings without a worker */
    assert_int_equal(bench->worker->tap_count, 0);
    /* what captures cannot bind, what has bound cannot capture, and nobody captures captures */
    assert_int_equal(ask_for(&other, CONTROL_CAPTURE_NIC, 0, UINT32_MAX), 0);
    fd = placeholder(&address);
    assert_int_equal(bind_address(bench, other.client, fd, &address).header.error, EINVAL);
    assert_int_equal(bind_address(bench, taker.client, fd, &address).header.error, 0);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 100), -EINVAL);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, other.port->number, 100), -EINVAL);
    close(fd);
    close(wide);
    taker_close(&taker);
    taker_close(&other);
}

static void sources_are_limited(void **state)
{
    struct bench *bench = *state;
    struct taker takers[3] = {taker_open(bench), taker_open(bench), taker_open(bench)};
    struct control_capture wish = {.header = HEADER(CONTROL_CAPTURE, wish), .kind = 1, .snap = 9};
    uint32_t source;

    for (uint32_t i = 0; i < CAPTURE_TAPS_MAX; i++) {
        assert_int_equal(ask(bench, takers[i / CAPTURE_SOURCES_MAX].client, &wish, &source), 0);
        assert_int_equal(source, i % CAPTURE_SOURCES_MAX);
    }
    assert_int_equal(ask(bench, takers[0].client, &wish, NULL), -ENOSPC);
    assert_int_equal(ask(bench, takers[2].client, &wish, NULL), -ENOSPC);
    assert_int_equal(counts_of(&takers[0]).source, 0);
    for (uint32_t i = 0; i < 3; i++)
        taker_close(&takers[i]);
    assert_int_equal(bench->worker->tap_count, 0);
}

static void the_end_of_a_port_is_told(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_server(bench);
    struct taker taker = taker_open(bench);
    struct control_event event = {.kind = 0};
    uint8_t bytes[2048];

    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_NIC, 0, 100), 0);
    assert_int_equal(ask_for(&taker, CONTROL_CAPTURE_PORT, app.port->number, 100), 0);
    bench_app_close(bench, &app);
    assert_int_equal(receive(taker.client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.kind, CONTROL_EVENT_CAPTURE_GONE);
    assert_int_equal(event.value, 1);
    assert_int_equal(bench->worker->tap_count, 1);
    arrive(bench, bytes);
    assert_int_equal(counts_of(&taker).captured, 1);
    taker_close(&taker);
}

static void without_a_port_it_breaks_the_protocol(void **state)
{
    struct bench *bench = *state;
    struct control_capture wish = {.header = HEADER(CONTROL_CAPTURE, wish), .kind = 1, .snap = 9};
    int client = greeted_client(bench);

    send_with_fds(client, &wish, sizeof(wish), NULL, 0);
    serve(bench);
    assert_true(is_closed(client));
    close(client);
}

int main(void)
{
#define CAPTURE_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, control_bench_set_up, control_bench_tear_down)
    const struct CMUnitTest tests[] = {
        CAPTURE_TEST(a_nic_is_copied_both_ways),
        CAPTURE_TEST(a_large_send_is_copied_whole),
        CAPTURE_TEST(a_port_is_copied_both_ways_and_nobody_elses),
        CAPTURE_TEST(what_the_switch_drops_of_a_port_is_seen_there),
        CAPTURE_TEST(a_copy_is_cut_and_gathered),
        CAPTURE_TEST(a_capture_that_does_not_read_loses_its_own_packets_alone),
        CAPTURE_TEST(a_capture_that_ends_leaves_nothing_behind),
        CAPTURE_TEST(a_capture_that_lies_is_cut_off),
        CAPTURE_TEST(a_port_that_scribbles_is_copied_within_bounds),
        CAPTURE_TEST(who_may_not_capture_is_refused),
        CAPTURE_TEST(nonsense_is_refused),
        CAPTURE_TEST(sources_are_limited),
        CAPTURE_TEST(the_end_of_a_port_is_told),
        CAPTURE_TEST(without_a_port_it_breaks_the_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
