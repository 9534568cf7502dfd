/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack and bindings that are shared, handed over, connected: what it says to the switch, and
 * again to the next one. */
#include "port_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static int set_up(void **state)
{
    return port_fixture_open(state, 1);
}

/* UDP: whoever runs the tests may silence it. Port 0: the kernel chooses. */
static int bind_udp(struct ms_port *port, uint16_t *number, unsigned flags)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(*number),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ms_bind_options options = {.size = sizeof(options), .flags = flags};
    socklen_t length = sizeof(address);
    int binding = ms_bind_with(port, IPPROTO_UDP, (struct sockaddr *)&address, length, &options);

    if (binding >= 0) {
        assert_int_equal(ms_binding_address(port, binding, (struct sockaddr *)&address, &length),
                         0);
        *number = ntohs(address.sin_port);
    }
    return binding;
}

static int bind_somewhere(struct ms_port *port, unsigned flags)
{
    uint16_t number = 0;
    int binding = bind_udp(port, &number, flags);

    assert_true(binding >= 0);
    return binding;
}

static void restart(struct fixture *fixture)
{
    unsigned before = port_info(fixture->port).generation;

    fake_switch_kill(fixture->fake);
    fixture->fake->flow_count = 0; /* it is dead: nobody else looks */
    fake_switch_start(fixture->fake);
    port_await_generation(fixture->port, before + 1);
}

static bool shares(const struct fake_binding *binding)
{
    int value = 0;
    socklen_t size = sizeof(value);

    assert_int_equal(getsockopt(binding->placeholder, SOL_SOCKET, SO_REUSEPORT, &value, &size), 0);
    return value;
}

static struct ms_flow flow_number(unsigned number)
{
    return (struct ms_flow){.local = {127, 0, 0, 1},
                            .remote = {10, 0, (uint8_t)(number >> 8), (uint8_t)number},
                            .remote_port = htons(1000)};
}

static int connect_some(struct ms_port *port, int binding, unsigned first, unsigned count)
{
    static struct ms_flow flows[FAKE_FLOWS_MAX];

    for (unsigned i = 0; i < count; i++)
        flows[i] = flow_number(first + i);
    return ms_bind_connected(port, binding, flows, count);
}

static unsigned flows_of(struct fake_switch *fake)
{
    return fake_switch_count(fake, &fake->flow_count);
}

/* The next event, within the patience of the test; its kind. */
static int next_event(struct ms_port *port, int *binding)
{
    struct ms_event event = {.size = sizeof(event)};

    while (!ms_next_event(port, &event))
        port_hear(port);
    *binding = event.binding;
    return event.kind;
}

static void a_shared_binding_has_a_placeholder_that_shares(void **state)
{
    struct fixture *fixture = *state;

    bind_somewhere(fixture->port, MS_BIND_SHARED);
    bind_somewhere(fixture->port, 0);
    assert_int_equal(fixture->fake->bindings[0].flags, CONTROL_BIND_SHARED);
    assert_true(shares(&fixture->fake->bindings[0]));
    assert_int_equal(fixture->fake->bindings[1].flags, 0);
    assert_false(shares(&fixture->fake->bindings[1]));
    assert_int_equal(fixture->fake->bindings[0].members, 0); /* it is new */
    restart(fixture);
    assert_int_equal(fixture->fake->bindings[0].flags, CONTROL_BIND_SHARED);
    assert_int_equal(fixture->fake->bindings[0].members, 1);
}

static void flags_that_nobody_knows_are_refused(void **state)
{
    struct fixture *fixture = *state;
    uint16_t number = 0;

    assert_int_equal(bind_udp(fixture->port, &number, 0x80), -EINVAL);
}

/* The fixture's port, with other options. */
static void open_anew(struct fixture *fixture, const struct ms_port_options *wanted)
{
    struct ms_port_options options = *wanted;

    options.size = sizeof(options);
    options.control_path = fixture->fake->path;
    ms_port_close(fixture->port);
    assert_int_equal(ms_port_open(&fixture->port, &options), 0);
}

static void the_ring_of_a_binding_is_told_to_each_switch(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ms_bind_options options = {.size = sizeof(options), .flags = MS_BIND_RING, .ring = 4};
    const struct fake_binding *told = fixture->fake->bindings;

#define BIND()                                                                                     \
    ms_bind_with(fixture->port, IPPROTO_UDP, (struct sockaddr *)&address, sizeof(address), &options)
    open_anew(fixture, &(struct ms_port_options){.rings = 4});
    assert_int_equal(BIND(), -EINVAL);
    options.ring = 3;
    assert_true(BIND() >= 0);
    options.flags = 0; /* then it means nothing */
    assert_true(BIND() >= 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(told[0].flags, CONTROL_BIND_RING);
        assert_int_equal(told[0].ring, 3);
        assert_int_equal(told[1].flags, 0);
        assert_int_equal(told[1].ring, 0);
        restart(fixture);
    }
    /* an application built before there was a ring */
    options.size = offsetof(struct ms_bind_options, ring);
    assert_true(BIND() >= 0);
    options.flags = MS_BIND_RING;
    assert_int_equal(BIND(), -EINVAL);
#undef BIND
}

static void thousands_of_flows_are_told_in_a_few_messages(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0);

    assert_int_equal(connect_some(fixture->port, binding, 0, 4000), 0);
    assert_int_equal(flows_of(fixture->fake), 4000);
    assert_int_equal(fake_switch_count(fixture->fake, &fixture->fake->connects),
                     (4000 + CONTROL_FLOWS_MAX - 1) / CONTROL_FLOWS_MAX);
    assert_int_equal(connect_some(fixture->port, binding, 3990, 20), 0); /* ten are new */
    assert_int_equal(flows_of(fixture->fake), 4010);
}

static void flows_are_presented_again_to_the_next_switch(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0);
    struct ms_flow gone = flow_number(7);

    assert_int_equal(connect_some(fixture->port, binding, 0, 500), 0);
    fake_switch_kill(fixture->fake);
    fixture->fake->flow_count = 0;
    assert_int_equal(ms_unbind_connected(fixture->port, binding, &gone, 1), 0);
    port_await_connected(fixture->port, false);
    assert_int_equal(connect_some(fixture->port, binding, 500, 10), 0); /* kept for later */
    fake_switch_start(fixture->fake);
    port_await_generation(fixture->port, 2);
    assert_int_equal(flows_of(fixture->fake), 509);
    assert_int_equal(fixture->fake->bindings[0].connected, 509);
}

static void flows_that_the_switch_does_not_take_are_told_and_forgotten(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0);

    fixture->fake->connect_error = ENOSPC;
    fixture->fake->connect_room = 300;
    assert_int_equal(connect_some(fixture->port, binding, 0, 1000), -ENOSPC);
    assert_int_equal(flows_of(fixture->fake), 300);
    fixture->fake->connect_error = 0;
    restart(fixture);
    assert_int_equal(flows_of(fixture->fake), 300);
    assert_int_equal(ms_bind_connected(fixture->port, binding + 1, NULL, 0), -ENOENT);
}

static void flows_go_with_their_binding(void **state)
{
    struct fixture *fixture = *state;
    int first = bind_somewhere(fixture->port, 0), second = bind_somewhere(fixture->port, 0);

    assert_int_equal(connect_some(fixture->port, first, 0, 100), 0);
    assert_int_equal(connect_some(fixture->port, second, 100, 100), 0);
    assert_int_equal(ms_unbind(fixture->port, first), 0);
    restart(fixture);
    assert_int_equal(flows_of(fixture->fake), 100);
}

static void flows_that_come_and_go_end_up_as_they_should(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0);
    bool wanted[64] = {false};
    unsigned count = 0, random = 1;

    for (unsigned step = 0; step < 3000; step++) {
        struct ms_flow flow;
        unsigned which;

        random = random * 1664525 + 1013904223;
        which = random >> 8 & 63;
        flow = flow_number(which);
        if (random >> 31) /* answers are not waited for: the next step meets it under way */
            assert_int_equal(ms_unbind_connected(fixture->port, binding, &flow, 1), 0);
        else
            assert_int_equal(ms_bind_connected(fixture->port, binding, &flow, 1), 0);
        wanted[which] = !(random >> 31);
        if (step == 1500)
            restart(fixture);
    }
    for (unsigned i = 0; i < 64; i++)
        count += wanted[i];
    while (flows_of(fixture->fake) != count) {
        struct pollfd readable = {.fd = ms_port_fd(fixture->port), .events = POLLIN};

        poll(&readable, 1, 10);
        ms_dispatch(fixture->port);
    }
    for (unsigned i = 0; i < count; i++)
        assert_true(wanted[fixture->fake->flows[i].remote[3]]);
}

static void a_hand_over_is_an_event_and_draining_is_remembered(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0), about = -1;

    fake_switch_event(fixture->fake, CONTROL_EVENT_HANDOVER, fixture->fake->bindings[0].number);
    assert_int_equal(next_event(fixture->port, &about), MS_EVENT_HANDOVER);
    assert_int_equal(about, binding);
    fixture->fake->drain_error = EBUSY;
    assert_int_equal(ms_drain(fixture->port, binding), -EBUSY);
    restart(fixture);
    assert_int_equal(fixture->fake->bindings[0].flags, 0);
    fixture->fake->drain_error = 0;
    assert_int_equal(ms_drain(fixture->port, binding), 0);
    restart(fixture);
    assert_int_equal(fixture->fake->bindings[0].flags, CONTROL_BIND_DRAINING);
    fake_switch_event(fixture->fake, CONTROL_EVENT_RESUME, fixture->fake->bindings[0].number);
    assert_int_equal(next_event(fixture->port, &about), MS_EVENT_RESUME);
    restart(fixture);
    assert_int_equal(fixture->fake->bindings[0].flags, 0);
    assert_int_equal(ms_drain(fixture->port, binding + 1), -ENOENT);
}

static void draining_while_the_switch_is_away_counts_when_it_is_back(void **state)
{
    struct fixture *fixture = *state;
    int binding = bind_somewhere(fixture->port, 0);

    fake_switch_kill(fixture->fake);
    assert_int_equal(ms_drain(fixture->port, binding), 0);
    fake_switch_start(fixture->fake);
    port_await_generation(fixture->port, 2);
    assert_int_equal(fixture->fake->bindings[0].flags, CONTROL_BIND_DRAINING);
}

static void events_about_nothing_are_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct ms_event event = {.size = sizeof(event)};

    fake_switch_event(fixture->fake, CONTROL_EVENT_HANDOVER, 4711);
    bind_somewhere(fixture->port, 0); /* whose answer comes behind it */
    assert_false(ms_next_event(fixture->port, &event));
}

static void expect_event(struct ms_port *port, int kind, int binding, int error)
{
    struct ms_event event = {.size = sizeof(event)};

    assert_true(ms_next_event(port, &event));
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.binding, binding);
    assert_int_equal(event.error, error);
}

static int bind_wildcard(struct ms_port *port)
{
    struct sockaddr_in any = {.sin_family = AF_INET};

    return ms_bind(port, IPPROTO_UDP, (struct sockaddr *)&any, sizeof(any));
}

static void an_address_that_goes_suspends_all_bindings_there(void **state)
{
    struct fixture *fixture = *state;
    struct ms_event event = {.size = sizeof(event)};
    int first = bind_somewhere(fixture->port, 0), wildcard = bind_wildcard(fixture->port);
    int second = bind_somewhere(fixture->port, 0);

    assert_true(wildcard >= 0);
    fake_switch_event(fixture->fake, CONTROL_EVENT_SUSPENDED, fixture->fake->bindings[2].number);
    bind_somewhere(fixture->port, 0); /* whose answer comes behind it: made when all was well */
    expect_event(fixture->port, MS_EVENT_SUSPENDED, first, -EADDRNOTAVAIL);
    expect_event(fixture->port, MS_EVENT_SUSPENDED, second, -EADDRNOTAVAIL);
    assert_false(ms_next_event(fixture->port, &event));
    fake_switch_event(fixture->fake, CONTROL_EVENT_RESTORED, fixture->fake->bindings[0].number);
    bind_somewhere(fixture->port, 0);
    expect_event(fixture->port, MS_EVENT_RESTORED, first, 0);
    expect_event(fixture->port, MS_EVENT_RESTORED, second, 0);
    assert_false(ms_next_event(fixture->port, &event));
}

static void what_came_and_went_unseen_is_no_event(void **state)
{
    struct fixture *fixture = *state;
    struct ms_event event = {.size = sizeof(event)};
    int binding = bind_somewhere(fixture->port, 0);

    fake_switch_event(fixture->fake, CONTROL_EVENT_SUSPENDED, fixture->fake->bindings[0].number);
    fake_switch_event(fixture->fake, CONTROL_EVENT_RESTORED, fixture->fake->bindings[0].number);
    bind_somewhere(fixture->port, 0);
    assert_false(ms_next_event(fixture->port, &event));
    fake_switch_event(fixture->fake, CONTROL_EVENT_SUSPENDED, fixture->fake->bindings[0].number);
    ms_unbind(fixture->port, bind_somewhere(fixture->port, 0));
    assert_int_equal(ms_unbind(fixture->port, binding), 0); /* with an event that nobody took */
    while (ms_next_event(fixture->port, &event))
        assert_int_not_equal(event.binding, binding);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void a_binding_that_the_next_switch_refuses_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    struct ms_port_info info = {.size = sizeof(info)};
    int binding = bind_somewhere(fixture->port, 0), found;
    uint64_t before = now_ms();

    fake_switch_kill(fixture->fake);
    fixture->fake->bind_error = EXDEV;
    fixture->fake->bind_errors = 2;
    fake_switch_start(fixture->fake);
    assert_int_equal(next_event(fixture->port, &found), MS_EVENT_SUSPENDED);
    assert_int_equal(found, binding);
    assert_int_equal(next_event(fixture->port, &found), MS_EVENT_RESTORED);
    assert_true(now_ms() - before >= 700); /* 250 ms and 500: a timer is never early */
    assert_int_equal(fake_switch_count(fixture->fake, &fixture->fake->bind_errors), 0);
    ms_port_info(fixture->port, &info);
    assert_int_equal(info.bindings_waiting, 0);
    assert_int_equal(info.last_error, 0);
}

static void an_application_without_the_error_field_gets_its_events(void **state)
{
    struct fixture *fixture = *state;
    struct {
        struct ms_event event;
        int guard;
    } old = {.event.size = offsetof(struct ms_event, error), .event.error = 4711};

    bind_somewhere(fixture->port, 0);
    fake_switch_event(fixture->fake, CONTROL_EVENT_SUSPENDED, fixture->fake->bindings[0].number);
    bind_somewhere(fixture->port, 0);
    assert_true(ms_next_event(fixture->port, &old.event));
    assert_int_equal(old.event.kind, MS_EVENT_SUSPENDED);
    assert_int_equal(old.event.error, 4711);
}

static void a_successor_asks_to_be_let_in(void **state)
{
    struct fixture *fixture = *state;
    uint16_t number = 0;
    int first = bind_udp(fixture->port, &number, 0);

    assert_true(first >= 0);
    assert_true(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER) >= 0);
    assert_int_equal(fixture->fake->shares, 1);
    assert_int_equal(fixture->fake->bindings[1].flags, CONTROL_BIND_TAKEOVER);
    assert_true(shares(&fixture->fake->bindings[1]));
    restart(fixture); /* it has succeeded: the next switch needs no placeholder that shares */
    assert_int_equal(fixture->fake->bindings[1].flags, 0);
    assert_false(shares(&fixture->fake->bindings[1]));
}

static void a_successor_that_is_not_let_in_hears_why(void **state)
{
    struct fixture *fixture = *state;
    uint16_t number = 0;

    assert_true(bind_udp(fixture->port, &number, 0) >= 0);
    fixture->fake->share_error = EACCES;
    assert_int_equal(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER), -EACCES);
    /* the kernel knows somebody, the switch does not: a legacy program */
    fixture->fake->share_error = ENOENT;
    assert_int_equal(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER), -EADDRINUSE);
    number = 0;
    assert_true(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER) >= 0); /* nobody at all */
    assert_int_equal(fixture->fake->bindings[1].flags, 0);
}

static void a_successor_without_a_switch_is_told_so(void **state)
{
    struct fixture *fixture = *state;
    uint16_t number = 0;

    open_anew(fixture, &(struct ms_port_options){.open_timeout_ms = 200});
    assert_true(bind_udp(fixture->port, &number, 0) >= 0);
    fake_switch_kill(fixture->fake);
    assert_int_equal(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER), -ENOTCONN);
    fake_switch_start(fixture->fake);
}

static void a_successor_waits_for_a_switch_that_is_being_restarted(void **state)
{
    struct fixture *fixture = *state;
    uint16_t number = 0;

    fake_switch_kill(fixture->fake);
    fake_switch_start(fixture->fake); /* of which the port has heard nothing yet */
    assert_true(bind_udp(fixture->port, &number, MS_BIND_TAKEOVER) >= 0);
    assert_int_equal(fixture->fake->bindings[0].flags, CONTROL_BIND_TAKEOVER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, port_fixture_close)
    const struct CMUnitTest tests[] = {
        TEST(a_shared_binding_has_a_placeholder_that_shares),
        TEST(flags_that_nobody_knows_are_refused),
        TEST(the_ring_of_a_binding_is_told_to_each_switch),
        TEST(thousands_of_flows_are_told_in_a_few_messages),
        TEST(flows_are_presented_again_to_the_next_switch),
        TEST(flows_that_the_switch_does_not_take_are_told_and_forgotten),
        TEST(flows_go_with_their_binding),
        TEST(flows_that_come_and_go_end_up_as_they_should),
        TEST(a_hand_over_is_an_event_and_draining_is_remembered),
        TEST(draining_while_the_switch_is_away_counts_when_it_is_back),
        TEST(events_about_nothing_are_nothing),
        TEST(an_address_that_goes_suspends_all_bindings_there),
        TEST(what_came_and_went_unseen_is_no_event),
        TEST(a_binding_that_the_next_switch_refuses_is_told_once),
        TEST(an_application_without_the_error_field_gets_its_events),
        TEST(a_successor_asks_to_be_let_in),
        TEST(a_successor_that_is_not_let_in_hears_why),
        TEST(a_successor_without_a_switch_is_told_so),
        TEST(a_successor_waits_for_a_switch_that_is_being_restarted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
