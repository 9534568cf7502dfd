/* SPDX-License-Identifier: BSD-2-Clause */
/* ms_bind_range(): what libmultistack says to the switch, and again to the next one. */
#include "port_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static int set_up(void **state)
{
    return port_fixture_open(state, 2);
}

static int bind_range(struct ms_port *port, uint16_t first, unsigned port_count, unsigned flags)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(first)};
    const struct ms_bind_options options = {.size = sizeof(options), .flags = flags, .ring = 1};

    return ms_bind_range(port, IPPROTO_TCP, (const struct sockaddr *)&any, sizeof(any), port_count,
                         &options);
}

static uint16_t first_of(const struct ms_port *port, int binding)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);

    assert_int_equal(ms_binding_address(port, binding, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

static struct fake_binding last_binding(struct fake_switch *fake)
{
    struct fake_binding binding = {0};
    unsigned count;

    pthread_mutex_lock(&fake->lock);
    count = fake->binding_count;
    if (count)
        binding = fake->bindings[count - 1];
    pthread_mutex_unlock(&fake->lock);
    assert_true(
        count >
        0); /* whoever fails with the lock held ends never: the switch could not be closed */
    return binding;
}

static void a_range_is_bound_without_a_socket(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_range(fixture->port, 0, 4096, MS_BIND_RING);
    struct fake_binding heard;

    assert_true(binding >= 0);
    assert_int_equal(first_of(fixture->port, binding), FAKE_RANGE_FIRST);
    heard = last_binding(fixture->fake);
    assert_int_equal(heard.port_count, 4096);
    assert_int_equal(heard.placeholder, -1);
    assert_int_equal(heard.flags, CONTROL_BIND_RING);
    assert_int_equal(heard.ring, 1);
    assert_int_equal(ms_drain(fixture->port, binding), -EOPNOTSUPP);
    assert_int_equal(ms_bind_connected(fixture->port, binding, NULL, 0), -EOPNOTSUPP);
    assert_int_equal(ms_unbind(fixture->port, binding), 0);
}

static void wrong_ranges_are_not_asked_for(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = fixture->fake->binds;

    assert_int_equal(bind_range(fixture->port, 0, 0, 0), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 0, 1, 0), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 0, 96, 0), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 0, 32768, 0), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 1000, 64, 0), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 0, 64, MS_BIND_SHARED), -EINVAL);
    assert_int_equal(bind_range(fixture->port, 0, 64, MS_BIND_TAKEOVER), -EINVAL);
    assert_int_equal(ms_bind_range(fixture->port, IPPROTO_SCTP, NULL, 0, 64, NULL),
                     -EPROTONOSUPPORT);
    assert_int_equal(ms_bind_range(fixture->port, IPPROTO_TCP, NULL, 0, 64, NULL), -EINVAL);
    assert_int_equal(fixture->fake->binds, before);
}

static void what_the_switch_refuses_is_no_binding(void **state)
{
    struct fixture *fixture = *state;

    pthread_mutex_lock(&fixture->fake->lock);
    fixture->fake->bind_errors = 1;
    fixture->fake->bind_error = EOPNOTSUPP;
    pthread_mutex_unlock(&fixture->fake->lock);
    assert_int_equal(bind_range(fixture->port, 0, 64, 0), -EOPNOTSUPP);
    assert_int_equal(port_info(fixture->port).bindings_waiting, 0);
}

static void the_next_switch_is_asked_for_the_same_ports(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_range(fixture->port, 0, 64, 0);
    struct fake_binding heard;

    assert_true(binding >= 0);
    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false);
    assert_int_equal(bind_range(fixture->port, 0, 64, 0), -ENOTCONN);
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, true);
    heard = last_binding(fixture->fake);
    assert_int_equal(ntohs(heard.address.port), FAKE_RANGE_FIRST);
    assert_int_equal(heard.port_count, 64);
    assert_int_equal(heard.members, 0);
    assert_int_equal(first_of(fixture->port, binding), FAKE_RANGE_FIRST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, port_fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_range_is_bound_without_a_socket),
        TEST(wrong_ranges_are_not_asked_for),
        TEST(what_the_switch_refuses_is_no_binding),
        TEST(the_next_switch_is_asked_for_the_same_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
