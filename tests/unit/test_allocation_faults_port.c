/* SPDX-License-Identifier: BSD-2-Clause */
/* The n-th allocation of an application fails, for each n: of libmultistack while it opens a port, binds,
 * shares and connects flows, of the runtime and UTCP while a connection is made and carries data. Each
 * call says so, or goes on; nothing is left behind. Before a switch that the test makes. */
#include "fake_switch.h"
#include "faults.h"
#include "runtime.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ADDRESS    "10.99.0.1"
#define FAULTS_MAX 1000    /* far more than any of these allocates */
#define PATIENCE   5000000 /* µs until a connection is given up */
#define FLOWS      300

static struct fake_switch *fake;

static struct sockaddr_in address(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    inet_pton(AF_INET, ADDRESS, &in.sin_addr);
    return in;
}

/* Runs `scenario` with the n-th allocation failing, for each n, and then whole. */
static void each_fails(int (*scenario)(void), unsigned at_least)
{
    assert_int_equal(scenario(), 0); /* what is made once is there now */
    for (unsigned n = 1; n < FAULTS_MAX; n++) {
        long before = faults_live();
        unsigned fds = faults_descriptors();
        int status;
        bool failed;

        faults_arm(n);
        status = scenario();
        failed = faults_disarm();
        if (!failed)
            assert_int_equal(status, 0);
        else if (status != 0 && status != -ENOMEM)
            fail_msg("allocation %u: %s", n, strerror(-status));
        if (faults_live() != before)
            fail_msg("allocation %u: %ld are left behind", n, faults_live() - before);
        assert_int_equal(scenario(), 0);
        /* The switch closes its ends a moment later. */
        for (int i = 0; faults_descriptors() > fds && i < 2000; i++)
            usleep(1000);
        if (faults_descriptors() > fds)
            fail_msg("allocation %u: %u descriptors, not %u", n, faults_descriptors(), fds);
        if (!failed) {
            print_message("%u allocations\n", n - 1);
            assert_true(n > at_least);
            return;
        }
    }
    fail_msg("there is no end to it");
}

/* ── libmultistack ── */

static int use_port(struct ms_port *port)
{
    const struct ms_bind_options options = {.size = sizeof(options), .flags = MS_BIND_SHARED};
    struct sockaddr_in local = address(0);
    struct ms_flow flow = {.remote = {10, 0, 0, 9}};
    int status = 0, binding;

    binding = ms_bind_with(port, IPPROTO_UDP, (struct sockaddr *)&local, sizeof(local), &options);
    if (binding < 0)
        return binding;
    memcpy(flow.local, &local.sin_addr, 4);
    for (uint16_t i = 1; i <= FLOWS && !status; i++) {
        flow.remote_port = htons(i);
        status = ms_bind_connected(port, binding, &flow, 1);
    }
    return status;
}

static int open_and_bind(void)
{
    const struct ms_port_options options = {
        .size = sizeof(options), .control_path = fake->path, .open_timeout_ms = 2000};
    struct ms_port *port;
    int status = ms_port_open(&port, &options);

    if (status)
        return status;
    status = use_port(port);
    ms_port_close(port);
    return status;
}

static void test_a_port(void **state)
{
    (void)state;
    each_fails(open_and_bind, 4);
}

/* ── the runtime, with UTCP on it ── */

struct world {
    struct ms_runtime *runtime;
    struct ms_runtime_listener *listener;
    struct utcp_conn *client, *server;
    uint32_t client_events, listener_events;
    bool error;
};

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct world *world = context;

    for (unsigned i = 0; i < count; i++) {
        if (events[i].listener)
            world->listener_events |= events[i].events;
        else if (events[i].conn == world->client)
            world->client_events |= events[i].events;
        world->error |= events[i].events & UTCP_ERROR;
    }
}

/* Gives all packets back, with what has happened to their checksums. */
static unsigned give_back(void)
{
    static uint8_t packet[65536];
    struct ring_record record;
    unsigned count = 0;
    ssize_t length;

    while ((length = fake_switch_take(fake, 0, packet, sizeof(packet), &record)) > 0) {
        uint16_t flags = record.flags & MS_TX_CHECKSUM ? MS_RX_CHECKSUM_PARTIAL : 0;

        fake_switch_put(fake, 0, packet, (uint32_t)length, flags);
        count++;
    }
    return count;
}

/* Until the connection stands at both ends. 0, or why it does not. */
static int shake_hands(struct world *world)
{
    uint64_t limit = runtime_now(world->runtime) + PATIENCE;

    while (!world->server || !(world->client_events & UTCP_CONNECTED)) {
        bool more = runtime_step(world->runtime);

        if (world->error)
            return utcp_error(world->client);
        if (runtime_now(world->runtime) >= limit)
            return -ETIMEDOUT;
        if (!world->server && world->listener_events & UTCP_ACCEPTABLE)
            world->server =
                utcp_accept(runtime_listener(world->listener), runtime_now(world->runtime));
        if (give_back() == 0 && !more)
            runtime_wait(world->runtime, runtime_now(world->runtime) + 1000);
    }
    return 0;
}

static int say_hello(struct world *world)
{
    uint64_t limit = runtime_now(world->runtime) + PATIENCE;
    ptrdiff_t did = utcp_write(world->client, runtime_now(world->runtime), "hello", 5);
    char text[8];

    if (did < 0)
        return (int)did;
    while ((did = utcp_read(world->server, runtime_now(world->runtime), text, sizeof(text))) ==
           -EAGAIN) {
        bool more = runtime_step(world->runtime);

        if (runtime_now(world->runtime) >= limit)
            return -ETIMEDOUT;
        if (give_back() == 0 && !more)
            runtime_wait(world->runtime, runtime_now(world->runtime) + 1000);
    }
    return did < 0 ? (int)did : 0;
}

static int talk(struct world *world)
{
    struct sockaddr_in where = address(0);
    socklen_t length = sizeof(where);
    int status;

    status = runtime_listen(world->runtime, (struct sockaddr *)&where, length, 16, world,
                            &world->listener);
    if (status)
        return status;
    status = runtime_listener_address(world->listener, (struct sockaddr *)&where, &length);
    if (!status)
        status = runtime_connect(world->runtime, (struct sockaddr *)&where, length, world,
                                 &world->client);
    if (!status)
        status = shake_hands(world);
    return status ? status : say_hello(world);
}

static int open_and_talk(void)
{
    struct world world = {0};
    const struct ms_runtime_options options = {.control_path = fake->path,
                                               .name = "test",
                                               .time_wait_us = 1000,
                                               .events = on_events,
                                               .context = &world};
    int status = runtime_open(&world.runtime, &options);

    if (status)
        return status;
    status = talk(&world);
    runtime_close(world.runtime);
    return status;
}

static void test_a_runtime(void **state)
{
    (void)state;
    each_fails(open_and_talk, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port),
        cmocka_unit_test(test_a_runtime),
    };
    int status;

    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link set lo up && ip address add " ADDRESS "/32 dev lo") != 0) {
        printf("skip needs root, for a network namespace\n");
        return 77;
    }
    fake = fake_switch_new();
    status = cmocka_run_group_tests(tests, NULL, NULL);
    fake_switch_free(fake);
    return status;
}
