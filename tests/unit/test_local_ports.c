/* SPDX-License-Identifier: BSD-2-Clause */
/* Outgoing connections with local ports out of a range (runtime/local_ports.h), at a switch that the test
 * makes, in a network namespace of its own. */
#include "fake_switch.h"
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

#include <cmocka.h>

#define PORTS 64

struct world {
    struct fake_switch *fake;
    struct ms_runtime *runtime;
    struct utcp_conn *conns[2 * PORTS];
    unsigned ports[2 * PORTS], count;
};

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    (void)context;
    (void)events;
    (void)count;
}

static int set_up_with(void **state, unsigned ports)
{
    struct world *world = calloc(1, sizeof(*world));
    struct ms_runtime_options options = {.name = "test",
                                         .local_ports = ports,
                                         .connections_max = 1024,
                                         .events = on_events,
                                         .context = world};

    world->fake = fake_switch_new();
    options.control_path = world->fake->path;
    assert_int_equal(runtime_open(&world->runtime, &options), 0);
    *state = world;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, PORTS);
}

static int set_up_more(void **state)
{
    return set_up_with(state, 4 * PORTS);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    runtime_close(world->runtime);
    fake_switch_free(world->fake);
    free(world);
    return 0;
}

static unsigned binds(struct world *world)
{
    return fake_switch_count(world->fake, &world->fake->binds);
}

static void refuse(struct world *world, int error, unsigned times)
{
    pthread_mutex_lock(&world->fake->lock);
    world->fake->bind_error = error;
    world->fake->bind_errors = times;
    pthread_mutex_unlock(&world->fake->lock);
}

/* Its local port. */
static unsigned connect_to(struct world *world, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct utcp_info info = {.size = sizeof(info)};
    struct utcp_conn **conn = &world->conns[world->count];

    inet_pton(AF_INET, "10.99.0.9", &to.sin_addr);
    assert_int_equal(
        runtime_connect(world->runtime, (struct sockaddr *)&to, sizeof(to), world, conn), 0);
    utcp_info(*conn, &info);
    assert_memory_equal(info.local.address, "\x0a\x63\0\1", 4);
    return world->ports[world->count++] = info.local.port;
}

static bool is_in_range(unsigned port)
{
    return port >= FAKE_RANGE_FIRST && port < FAKE_RANGE_FIRST + PORTS;
}

static void abort_all(struct world *world)
{
    while (world->count)
        utcp_abort(world->conns[--world->count], runtime_now(world->runtime));
    runtime_step(world->runtime);
}

static void a_range_is_bound_once_for_all_connections(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < PORTS; i++) {
        unsigned port = connect_to(world, 80);

        assert_true(is_in_range(port));
        for (unsigned j = 0; j < i; j++)
            assert_int_not_equal(world->ports[j], port);
    }
    assert_int_equal(binds(world), 1);
    /* to another peer they are free */
    for (unsigned i = 0; i < PORTS; i++)
        assert_true(is_in_range(connect_to(world, 81)));
    assert_int_equal(binds(world), 1);
}

static void a_connection_that_finds_none_has_a_binding_of_its_own(void **state)
{
    struct world *world = *state;

    for (unsigned i = 0; i < PORTS; i++)
        connect_to(world, 80);
    assert_false(is_in_range(connect_to(world, 80)));
    assert_int_equal(binds(world), 2);
    abort_all(world);
    assert_true(is_in_range(connect_to(world, 80)));
    assert_int_equal(binds(world), 2);
}

static void ports_are_used_again_in_turn(void **state)
{
    struct world *world = *state;
    unsigned seen[PORTS] = {0};

    for (unsigned i = 0; i < 4 * PORTS; i++) {
        seen[connect_to(world, 80) - FAKE_RANGE_FIRST]++;
        abort_all(world);
    }
    for (unsigned i = 0; i < PORTS; i++)
        assert_int_equal(seen[i], 4);
}

static void where_ranges_are_unknown_they_are_asked_for_once(void **state)
{
    struct world *world = *state;

    refuse(world, EOPNOTSUPP, 1);
    for (unsigned i = 0; i < 3; i++)
        assert_false(is_in_range(connect_to(world, 80)));
    assert_int_equal(binds(world), 4);
}

static void less_is_asked_for_where_it_is_too_much(void **state)
{
    struct world *world = *state;

    refuse(world, EDQUOT, 2);
    for (unsigned i = 0; i < PORTS; i++)
        assert_true(is_in_range(connect_to(world, 80)));
    assert_int_equal(binds(world), 3);
    assert_int_equal(fake_switch_count(world->fake, &world->fake->bindings[0].port_count), PORTS);
}

static void without_the_option_there_is_none(void **state)
{
    struct world *world = *state;

    assert_false(is_in_range(connect_to(world, 80)));
    assert_int_equal(world->fake->bindings[0].port_count, 1);
}

static int set_up_none(void **state)
{
    return set_up_with(state, 0);
}

#define TEST(name, begin) cmocka_unit_test_setup_teardown(name, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_range_is_bound_once_for_all_connections, set_up),
        TEST(a_connection_that_finds_none_has_a_binding_of_its_own, set_up),
        TEST(ports_are_used_again_in_turn, set_up),
        TEST(where_ranges_are_unknown_they_are_asked_for_once, set_up),
        TEST(less_is_asked_for_where_it_is_too_much, set_up_more),
        TEST(without_the_option_there_is_none, set_up_none),
    };

    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link set lo up && ip address add 10.99.0.1/24 dev lo && "
               "ip route add 10.99.0.9 dev lo src 10.99.0.1") != 0) {
        printf("skip needs root, for a network namespace\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
