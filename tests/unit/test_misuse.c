/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is cut off for what it sends, on the bench: a second passes when the test says so. */
#include "switch_bench.h"

#define REJECTED_MAX 100

/* A bench whose wire takes everything, and an application that has bound TCP port 80. */
static struct bench_app begin(struct bench *bench)
{
    struct bench_app app = bench_server(bench);

    bench_resolve(bench);
    bench->core->config.rejected_max = REJECTED_MAX;
    misuse_housekeep(bench->core, bench->worker->now_ns);
    return app;
}

/* `count` packets from `port`, and a second later somebody looks. Whether the port is still served. */
static bool a_second_with(struct bench *bench, struct bench_app *app, uint32_t count, uint16_t port)
{
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {0};

    packet.source_port = port;
    record.length = bench_packet(bytes, &packet);
    for (uint32_t i = 0; i < count; i++) {
        bench_send(app, &record, bytes);
        worker_round(bench->worker);
    }
    bench->worker->now_ns += MISUSE_WINDOW_NS;
    misuse_housekeep(bench->core, bench->worker->now_ns);
    return port_broken(app->port) == DETACH_NONE;
}

static void spoofed_packets_without_end_detach_the_port(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = begin(bench), other = bench_app_open(bench, false, 0);

    assert_false(a_second_with(bench, &app, REJECTED_MAX, 81));
    assert_int_equal(port_broken(app.port), DETACH_REJECTED);
    assert_int_equal(port_broken(other.port), DETACH_NONE);
    bench_app_close(bench, &other);
    bench_app_close(bench, &app);
}

static void a_few_in_each_second_do_not(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = begin(bench);

    for (int i = 0; i < 5; i++)
        assert_true(a_second_with(bench, &app, REJECTED_MAX - 1, 81));
    bench_app_close(bench, &app);
}

static void who_sends_more_good_ones_is_left_alone(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = begin(bench);
    struct bench_packet packet = bench_to_peer;
    uint8_t bytes[2048];
    struct ring_record record = {.length = bench_packet(bytes, &packet)};

    bench->tx_room = 1000;
    for (uint32_t i = 0; i < 2 * REJECTED_MAX; i++) {
        bench_send(&app, &record, bytes);
        worker_round(bench->worker);
    }
    assert_true(a_second_with(bench, &app, 2 * REJECTED_MAX, 81));
    assert_false(
        a_second_with(bench, &app, 2 * REJECTED_MAX, 81)); /* the good ones are of before */
    bench_app_close(bench, &app);
}

static void an_owner_whose_address_has_gone_is_not_blamed(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = begin(bench);
    const uint8_t host[16] = {10, 0, 0, 1};
    struct tuple address = tuple_make(host, 4, 0, 0);

    bench_bind(bench, &app, IP_PROTOCOL_TCP, BENCH_HOST4, 90);
    namespace_set_address(&bench->worker->names, &address, false);
    assert_true(a_second_with(bench, &app, 2 * REJECTED_MAX, 90));
    namespace_set_address(&bench->worker->names, &address, true);
    assert_false(a_second_with(bench, &app, 2 * REJECTED_MAX, 91));
    bench_app_close(bench, &app);
}

static void nobody_is_where_the_limit_is_zero(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = begin(bench);

    bench->core->config.rejected_max = 0;
    assert_true(a_second_with(bench, &app, 2 * REJECTED_MAX, 81));
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(spoofed_packets_without_end_detach_the_port),
        BENCH_TEST(a_few_in_each_second_do_not),
        BENCH_TEST(who_sends_more_good_ones_is_left_alone),
        BENCH_TEST(an_owner_whose_address_has_gone_is_not_blamed),
        BENCH_TEST(nobody_is_where_the_limit_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
