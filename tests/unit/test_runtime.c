/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime: a stack that talks to itself over a switch that gives every packet back
 * (fake_switch.h), in a network namespace of its own, for it needs an address that is no loopback. */
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

#define ADDRESS        "10.99.0.1"
#define TIME_WAIT      5000     /* µs */
#define PATIENCE       60000000 /* µs: what has not come by then never comes */
#define ACK_LENGTH_MAX 120      /* bytes: what is longer has data */

struct world {
    struct fake_switch *fake;
    struct ms_runtime *runtime;
    struct ms_runtime_listener *listener;
    struct utcp_conn *client, *server;
    uint32_t client_events, server_events, listener_events;
    unsigned batches;
    unsigned guarded; /* times that SYNs were said to be answered at the NIC, or not */
    int guard_status; /* the last of them */
};

static struct sockaddr_in address(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    inet_pton(AF_INET, ADDRESS, &in.sin_addr);
    return in;
}

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct world *world = context;

    world->batches++;
    for (unsigned i = 0; i < count; i++) {
        if (events[i].listener)
            world->listener_events |= events[i].events;
        else if (events[i].conn == world->client)
            world->client_events |= events[i].events;
        else
            world->server_events |= events[i].events;
    }
}

static void on_guarded(void *context, struct ms_runtime_listener *listener, int status)
{
    struct world *world = context;

    assert_ptr_equal(listener, world->listener);
    world->guarded++;
    world->guard_status = status;
}

static int open_runtime(struct world *world, const char *congestion, uint32_t tx_bytes)
{
    struct ms_runtime_options options = {.control_path = world->fake->path,
                                         .name = "test",
                                         .congestion = congestion,
                                         .tx_bytes = tx_bytes,
                                         .time_wait_us = TIME_WAIT,
                                         .events = on_events,
                                         .guarded = on_guarded,
                                         .context = world};

    return runtime_open(&world->runtime, &options);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->fake = fake_switch_new();
    assert_int_equal(open_runtime(world, NULL, 0), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    runtime_close(world->runtime);
    fake_switch_free(world->fake);
    free(world);
    return 0;
}

/* Gives all packets back. A checksum that was left to the switch is then one that "may be partial". */
static unsigned give_back(struct world *world)
{
    static uint8_t packet[65536];
    struct ring_record record;
    unsigned count = 0;
    ssize_t length;

    while ((length = fake_switch_take(world->fake, 0, packet, sizeof(packet), &record)) > 0) {
        uint16_t flags = record.flags & MS_TX_CHECKSUM ? MS_RX_CHECKSUM_PARTIAL : 0;

        /* When there is no room it is lost, as packets may be. */
        fake_switch_put(world->fake, 0, packet, (uint32_t)length, flags);
        count++;
    }
    return count;
}

/* A round of everybody: packets go round, and the runtime sleeps for a moment when it says so. */
static void go_round(struct world *world)
{
    bool more = runtime_step(world->runtime);

    if (give_back(world) == 0 && !more)
        assert_int_equal(runtime_wait(world->runtime, runtime_now(world->runtime) + 1000), 0);
}

#define UNTIL(world, condition)                                                                    \
    do {                                                                                           \
        uint64_t limit = runtime_now((world)->runtime) + PATIENCE;                                 \
        while (!(condition)) {                                                                     \
            assert_true(runtime_now((world)->runtime) < limit);                                    \
            go_round(world);                                                                       \
        }                                                                                          \
    } while (0)

static void listen_somewhere(struct world *world, struct sockaddr_in *where)
{
    socklen_t length = sizeof(*where);

    *where = address(0);
    assert_int_equal(runtime_listen(world->runtime, (struct sockaddr *)where, sizeof(*where), 16,
                                    world, &world->listener),
                     0);
    assert_int_equal(runtime_listener_address(world->listener, (struct sockaddr *)where, &length),
                     0);
    assert_int_not_equal(where->sin_port, 0);
}

/* Both ends of a connection. */
static void connect_to_myself(struct world *world)
{
    struct sockaddr_in where;

    listen_somewhere(world, &where);
    assert_int_equal(runtime_connect(world->runtime, (struct sockaddr *)&where, sizeof(where),
                                     world, &world->client),
                     0);
    UNTIL(world, world->client_events & UTCP_CONNECTED);
    UNTIL(world, world->listener_events & UTCP_ACCEPTABLE);
    world->server = utcp_accept(runtime_listener(world->listener), runtime_now(world->runtime));
    assert_non_null(world->server);
}

static uint8_t byte_at(size_t position)
{
    return (uint8_t)((uint32_t)position * 2654435761u >> 13);
}

/* As much as the stack takes. */
static void write_some(struct world *world, size_t *sent, size_t bytes)
{
    uint8_t data[8192];
    ptrdiff_t did = 1;

    while (did > 0 && *sent < bytes) {
        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = byte_at(*sent + i);
        did = utcp_write(world->client, runtime_now(world->runtime), data, sizeof(data));
        if (did > 0)
            *sent += (size_t)did;
    }
}

static void read_some(struct world *world, size_t *received)
{
    uint8_t data[8192];
    ptrdiff_t did;

    while ((did = utcp_read(world->server, runtime_now(world->runtime), data, sizeof(data))) > 0) {
        for (ptrdiff_t i = 0; i < did; i++)
            assert_int_equal(data[i], byte_at(*received + (size_t)i));
        *received += (size_t)did;
    }
    assert_int_equal(did, -EAGAIN);
}

/* Sends at least `bytes` from client to server, and compares. */
static void transfer(struct world *world, size_t bytes)
{
    uint64_t limit = runtime_now(world->runtime) + PATIENCE;
    size_t sent = 0, received = 0;

    while (received < bytes || received < sent) {
        assert_true(runtime_now(world->runtime) < limit);
        write_some(world, &sent, bytes);
        read_some(world, &received);
        go_round(world);
    }
}

/* Until all that was sent has been read, and the sender knows. */
static void arrive(struct world *world, size_t sent, size_t *received)
{
    uint64_t limit = runtime_now(world->runtime) + PATIENCE;

    while (utcp_unacknowledged(world->client) || *received < sent) {
        assert_true(runtime_now(world->runtime) < limit);
        read_some(world, received);
        go_round(world);
    }
}

static void says_what_is_wrong(void **state)
{
    struct world *world = *state;
    struct ms_runtime *first = world->runtime;
    struct sockaddr_in elsewhere = address(0);
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct ms_runtime_options options = {.control_path = "/nonexistent", .events = on_events};

    assert_int_equal(open_runtime(world, "no-such-control", 0), -ENOPROTOOPT);
    world->runtime = first;
    assert_int_equal(runtime_open(&first, &options), -ENOENT);
    assert_int_equal(runtime_connect(world->runtime, &other, sizeof(other), NULL, &world->client),
                     -EAFNOSUPPORT);
    inet_pton(AF_INET, "10.99.0.2", &elsewhere.sin_addr);
    world->fake->bind_error = EADDRNOTAVAIL; /* nor on a wire of the switch */
    world->fake->bind_errors = 1;
    assert_int_equal(runtime_listen(world->runtime, (struct sockaddr *)&elsewhere,
                                    sizeof(elsewhere), 1, NULL, &world->listener),
                     -EADDRNOTAVAIL);
}

static void refuses_a_port_that_is_taken(void **state)
{
    struct world *world = *state;
    struct ms_runtime_listener *second;
    struct sockaddr_in where;

    listen_somewhere(world, &where);
    assert_int_equal(
        runtime_listen(world->runtime, (struct sockaddr *)&where, sizeof(where), 1, NULL, &second),
        -EADDRINUSE);
    runtime_listener_close(world->listener);
    assert_int_equal(runtime_listen(world->runtime, (struct sockaddr *)&where, sizeof(where), 1,
                                    NULL, &world->listener),
                     0);
}

static void carries_data(void **state)
{
    struct world *world = *state;

    connect_to_myself(world);
    transfer(world, 3000000);
}

static void goes_on_when_the_ring_was_full(void **state)
{
    struct world *world = *state;
    struct ms_ring_stats stats = {.size = sizeof(stats)};
    uint64_t limit;

    runtime_close(world->runtime);
    assert_int_equal(open_runtime(world, NULL, 65536), 0);
    connect_to_myself(world);
    limit = runtime_now(world->runtime) + PATIENCE;
    do { /* until the congestion window is wider than the ring: soon, where nothing delays us */
        assert_true(runtime_now(world->runtime) < limit);
        transfer(world, 1000000);
        ms_ring_stats(runtime_port(world->runtime), 0, &stats);
    } while (stats.tx_full == 0);
    transfer(world, 1000000);
}

/* Takes everything out of the ring; packets with data that are not longer than a segment. */
static unsigned take_and_count_short(struct world *world)
{
    static uint8_t packet[65536];
    struct ring_record record;
    unsigned found = 0;
    ssize_t length;

    while ((length = fake_switch_take(world->fake, 0, packet, sizeof(packet), &record)) > 0) {
        found += length > ACK_LENGTH_MAX && !(record.flags & MS_TX_SEGMENT);
        fake_switch_put(world->fake, 0, packet, (uint32_t)length, MS_RX_CHECKSUM_PARTIAL);
    }
    return found;
}

/* A large send waits for its room, instead of going segment by segment into what there is. All is sent in a
 * single step, with nothing in flight before: no timer is in it. */
static void a_large_send_waits_for_room(void **state)
{
    struct world *world = *state;
    struct ms_ring_stats stats = {.size = sizeof(stats)};
    uint64_t full_before, limit;
    size_t sent = 0, received = 0;

    runtime_close(world->runtime);
    assert_int_equal(open_runtime(world, NULL, 4 * 65536), 0);
    utcp_set_offloads(runtime_stack(world->runtime), UTCP_OFFLOAD_CHECKSUM | UTCP_OFFLOAD_SEGMENT);
    connect_to_myself(world);
    limit = runtime_now(world->runtime) + PATIENCE;
    do { /* until the window is wider than the ring */
        unsigned short_ones;

        assert_true(runtime_now(world->runtime) < limit);
        ms_ring_stats(runtime_port(world->runtime), 0, &stats);
        full_before = stats.tx_full;
        write_some(world, &sent, SIZE_MAX);
        runtime_step(world->runtime);
        ms_ring_stats(runtime_port(world->runtime), 0, &stats);
        short_ones = take_and_count_short(world);
        if (stats.tx_full > full_before)
            assert_int_equal(short_ones, 0);
        arrive(world, sent, &received);
    } while (stats.tx_full == full_before);
}

/* Who waits for it has it in the same step: he might sleep on it otherwise until an acknowledgment comes. */
static void tells_of_the_room_that_sending_has_made(void **state)
{
    struct world *world = *state;
    struct utcp_info info = {.size = sizeof(info)};
    uint64_t limit;
    size_t sent = 0, received = 0;

    runtime_close(world->runtime);
    assert_int_equal(open_runtime(world, NULL, 1 << 20), 0);
    connect_to_myself(world);
    assert_int_equal(utcp_set_option(world->client, UTCP_OPTION_NOT_SENT_LOW, 4096), 0);
    limit = runtime_now(world->runtime) + PATIENCE;
    do { /* until all goes out at once: the window is narrow after a delay of ours that looked like a loss */
        assert_true(runtime_now(world->runtime) < limit);
        arrive(world, sent, &received);
        write_some(world, &sent, SIZE_MAX);
        world->client_events = 0;
        runtime_step(world->runtime);
        utcp_info(world->client, &info);
    } while (info.unsent);
    assert_true(utcp_unacknowledged(world->client) > 0); /* no acknowledgment has come */
    assert_true(world->client_events & UTCP_WRITABLE);
}

static void survives_the_switch(void **state)
{
    struct world *world = *state;
    struct ms_port_info info = {.size = sizeof(info)};

    connect_to_myself(world);
    transfer(world, 100000);
    fake_switch_kill(world->fake);
    do {
        go_round(world);
        ms_port_info(runtime_port(world->runtime), &info);
    } while (info.connected);
    assert_true(utcp_write(world->client, runtime_now(world->runtime), "x", 1) == 1);
    fake_switch_start(world->fake);
    /* what was written meanwhile arrives, and the connection goes on */
    UNTIL(world, utcp_readable(world->server) == 1);
    assert_int_equal(utcp_error(world->client), 0);
}

static void gives_the_port_of_a_connection_back_after_time_wait(void **state)
{
    struct world *world = *state;
    struct utcp_stats stats = {.size = sizeof(stats)};
    unsigned before;

    connect_to_myself(world);
    before = fake_switch_count(world->fake, &world->fake->unbinds);
    utcp_close(world->client, runtime_now(world->runtime));
    UNTIL(world, world->server_events & UTCP_FINISHED);
    utcp_close(world->server, runtime_now(world->runtime));
    do {
        assert_int_equal(fake_switch_count(world->fake, &world->fake->unbinds), before);
        go_round(world);
        utcp_stats(runtime_stack(world->runtime), &stats);
    } while (stats.time_wait == 0);
    UNTIL(world, fake_switch_count(world->fake, &world->fake->unbinds) == before + 1);
    utcp_stats(runtime_stack(world->runtime), &stats);
    assert_int_equal(stats.connections, 0);
}

static void gives_the_port_back_when_nobody_answers(void **state)
{
    struct world *world = *state;
    struct sockaddr_in where = address(9); /* no listener there: a RST */

    assert_int_equal(runtime_connect(world->runtime, (struct sockaddr *)&where, sizeof(where),
                                     world, &world->client),
                     0);
    UNTIL(world, world->client_events & UTCP_ERROR);
    assert_int_equal(utcp_error(world->client), -ECONNREFUSED);
    utcp_close(world->client, runtime_now(world->runtime));
    UNTIL(world, fake_switch_count(world->fake, &world->fake->unbinds) == 1);
}

static void keeps_connections_when_a_listener_stops(void **state)
{
    struct world *world = *state;
    struct utcp_conn *late;
    struct sockaddr_in where;
    socklen_t length = sizeof(where);

    connect_to_myself(world);
    runtime_listener_address(world->listener, (struct sockaddr *)&where, &length);
    runtime_listener_stop(world->listener);
    transfer(world, 100000);
    assert_int_equal(
        runtime_connect(world->runtime, (struct sockaddr *)&where, sizeof(where), world, &late), 0);
    UNTIL(world, utcp_error(late) == -ECONNREFUSED);
    utcp_close(late, runtime_now(world->runtime));
}

static void wakes_when_told(void **state)
{
    struct world *world = *state;

    while (runtime_step(world->runtime))
        ;
    runtime_wake(world->runtime);
    /* would not return otherwise */
    assert_int_equal(runtime_wait(world->runtime, UINT64_MAX), 0);
}

static void wakes_when_time_is_up(void **state)
{
    struct world *world = *state;
    uint64_t until;

    runtime_step(world->runtime);
    until = runtime_now(world->runtime) + 2000;
    while (runtime_now(world->runtime) < until) {
        assert_int_equal(runtime_wait(world->runtime, until), 0);
        runtime_step(world->runtime);
    }
}

static void turns_addresses_to_and_fro(void **state)
{
    struct sockaddr_storage back;
    struct sockaddr_in in = address(80);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(81)};
    struct utcp_endpoint endpoint;

    (void)state;
    inet_pton(AF_INET6, "fd00::1", &in6.sin6_addr);
    assert_true(runtime_endpoint((struct sockaddr *)&in, &endpoint));
    assert_int_equal(endpoint.family, 4);
    assert_int_equal(endpoint.port, 80);
    assert_int_equal(runtime_sockaddr(&endpoint, &back), sizeof(in));
    assert_memory_equal(&back, &in, sizeof(in));
    assert_true(runtime_endpoint((struct sockaddr *)&in6, &endpoint));
    assert_int_equal(runtime_sockaddr(&endpoint, &back), sizeof(in6));
    assert_memory_equal(&back, &in6, sizeof(in6));
}

/* ── Traces ────────────────────────────────────────────────────────────────────────────────── */

#define CHECK_TRACE                                                                                \
    "import json, glob, sys\n"                                                                     \
    "[path] = glob.glob(sys.argv[1] + '*')\n"                                                      \
    "records = open(path).read().split('\x1e')\n"                                                  \
    "assert records[0] == '' and all(r[-2] == '}' for r in records[1:])\n"                         \
    "head, *events = [json.loads(r) for r in records[1:]]\n"                                       \
    "assert head['qlog_format'] == 'JSON-SEQ'\n"                                                   \
    "names = [e['name'] for e in events]\n"                                                        \
    "states = [e['data']['new'] for e in events if 'new' in e['data']]\n"                          \
    "assert names.count('transport:packet_sent') > 5, names\n"                                     \
    "assert names.count('transport:packet_received') > 5, names\n"                                 \
    "assert 'ESTABLISHED' in states, states\n"                                                     \
    "assert all(e['time'] >= f['time'] for e, f in zip(events[1:], events))\n"                     \
    "assert sum(e['data']['length'] for e in events if e['name'] == 'transport:packet_sent'\n"     \
    "           and not e['data']['again']) >= 100000\n"

static void writes_the_trace_of_a_peer_that_the_environment_names(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    char directory[] = "/tmp/ms-trace-XXXXXX", command[4096];

    (void)state;
    assert_non_null(mkdtemp(directory));
    world->fake = fake_switch_new();
    setenv("MULTISTACK_TRACE", directory, 1);
    setenv("MULTISTACK_TRACE_REMOTE", "10.99.0.1:x", 1);
    assert_int_equal(open_runtime(world, NULL, 0), -EINVAL);
    setenv("MULTISTACK_TRACE", "/nowhere/at/all", 1);
    setenv("MULTISTACK_TRACE_REMOTE", "[fd00::1]:80", 1);
    assert_int_equal(open_runtime(world, NULL, 0), -ENOENT);
    snprintf(command, sizeof(command), "%s/t", directory);
    setenv("MULTISTACK_TRACE", command, 1);
    setenv("MULTISTACK_TRACE_REMOTE", ADDRESS, 1);
    assert_int_equal(open_runtime(world, NULL, 0), 0);
    unsetenv("MULTISTACK_TRACE");
    unsetenv("MULTISTACK_TRACE_REMOTE");
    connect_to_myself(world);
    transfer(world, 100000);
    runtime_close(world->runtime);
    fake_switch_free(world->fake);
    free(world);
    snprintf(command, sizeof(command), "python3 -c \"%s\" %s/t && rm -r %s", CHECK_TRACE, directory,
             directory);
    assert_int_equal(system(command), 0);
}

static void open_again(struct world *world, const struct ms_runtime_options *options)
{
    runtime_close(world->runtime);
    world->runtime = NULL;
    assert_int_equal(runtime_open(&world->runtime, options), 0);
    while (runtime_step(world->runtime))
        ;
}

/* A world whose runtime may poll for so long. */
static void poll_for(struct world *world, uint32_t busy_poll_us)
{
    struct ms_runtime_options options = {.control_path = world->fake->path,
                                         .name = "test",
                                         .busy_poll_us = busy_poll_us,
                                         .events = on_events,
                                         .context = world};

    open_again(world, &options);
}

static void open_with(struct world *world, enum runtime_nic_cookies nic_cookies)
{
    struct ms_runtime_options options = {.control_path = world->fake->path,
                                         .name = "test",
                                         .nic_cookies = nic_cookies,
                                         .events = on_events,
                                         .guarded = on_guarded,
                                         .context = world};

    open_again(world, &options);
}

static void whoever_always_polls_never_sleeps(void **state)
{
    struct world *world = *state;

    poll_for(world, MS_RUNTIME_POLL_ALWAYS);
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(runtime_prepare(world->runtime, UINT64_MAX));
        assert_int_equal(runtime_wait(world->runtime, UINT64_MAX), 0);
        runtime_step(world->runtime);
    }
}

/* The bound is a second here, and nothing has come so far: nothing says that polling would pay. */
static void whoever_may_poll_sleeps_when_nothing_comes(void **state)
{
    struct world *world = *state;

    poll_for(world, 1000000);
    assert_true(runtime_prepare(world->runtime, UINT64_MAX));
}

static bool is_told(const struct world *world)
{
    return world->guarded > 0;
}

static bool has_overflowed(const struct world *world)
{
    return utcp_listener_overflows(runtime_listener(world->listener)) >= 32;
}

/* More SYNs than a new listener keeps, and again until `seen`: where a process waits long for its processor they
 * come in parts, none of which is a flood. */
static void flood_until(struct world *world, bool (*seen)(const struct world *world))
{
    struct sockaddr_in where;

    listen_somewhere(world, &where);
    for (unsigned floods = 0; floods < 10 && !seen(world); floods++) {
        uint64_t until = runtime_now(world->runtime) + 200000;
        struct utcp_conn *conn;

        for (unsigned i = 0; i < 60; i++)
            assert_int_equal(runtime_connect(world->runtime, (struct sockaddr *)&where,
                                             sizeof(where), NULL, &conn),
                             0);
        UNTIL(world, seen(world) || runtime_now(world->runtime) > until);
    }
    assert_true(seen(world));
}

static void a_flood_is_left_to_the_nic_for_a_while(void **state)
{
    struct world *world = *state;
    struct utcp_cookie_terms terms = {.size = sizeof(terms)};
    const struct control_guard *rules = world->fake->rules;
    uint64_t begun;

    open_with(world, RUNTIME_NIC_COOKIES_WHEN_FULL);
    world->fake->answered_more = 1000000;
    flood_until(world, is_told);
    begun = runtime_now(world->runtime);
    assert_int_equal(utcp_listener_cookie_terms(runtime_listener(world->listener), &terms), 0);
    assert_int_equal(world->guard_status, 1);
    assert_int_equal(rules[0].action, CONTROL_GUARD_SET);
    assert_int_equal(rules[0].kind, CONTROL_GUARD_COOKIES);
    assert_int_equal(rules[0].rate, 1);
    assert_memory_equal(rules[0].cookie.key, terms.key, sizeof(terms.key));
    assert_int_equal(rules[0].cookie.mss, terms.mss);
    assert_int_equal(rules[0].cookie.window_scale, terms.window_scale);
    assert_int_equal(rules[0].cookie.hop_limit, 64);
    assert_int_equal(rules[0].cookie.options, terms.options);
    /* The NIC tells of more and more, for longer than it would last without that. */
    UNTIL(world, world->fake->rule_count >= 12 && runtime_now(world->runtime) > begun + 3000000);
    for (unsigned i = 0; i < world->fake->rule_count; i++)
        assert_true(rules[i].kind == CONTROL_GUARD_COOKIES && rules[i].rate == 1);
    world->fake->answered_more = 0;
    UNTIL(world, world->guarded == 2); /* nobody comes any more */
    assert_int_equal(world->guard_status, 0);
    assert_int_equal(rules[world->fake->rule_count - 1].rate, 0);
    runtime_listener_stop(world->listener);
    assert_int_equal(rules[world->fake->rule_count - 1].action, CONTROL_GUARD_REMOVE);
}

static void where_the_nic_cannot_that_is_told_once(void **state)
{
    struct world *world = *state;
    uint64_t until;

    world->fake->guard_error = EOPNOTSUPP;
    open_with(world, RUNTIME_NIC_COOKIES_WHEN_FULL);
    flood_until(world, is_told);
    assert_int_equal(world->guard_status, -EOPNOTSUPP);
    until = runtime_now(world->runtime) + 300000;
    UNTIL(world, runtime_now(world->runtime) > until);
    assert_int_equal(world->guarded, 1);
    assert_int_equal(world->fake->rule_count, 1);
}

/* Sixty SYNs find no room, and cost next to nothing. */
static void what_costs_little_is_not_left_to_the_nic(void **state)
{
    struct world *world = *state;
    uint64_t until;

    flood_until(world, has_overflowed);
    until = runtime_now(world->runtime) + 300000;
    UNTIL(world, runtime_now(world->runtime) > until);
    assert_int_equal(world->guarded, 0);
    assert_int_equal(world->fake->rule_count, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(says_what_is_wrong),
        TEST(refuses_a_port_that_is_taken),
        TEST(carries_data),
        TEST(goes_on_when_the_ring_was_full),
        TEST(a_large_send_waits_for_room),
        TEST(tells_of_the_room_that_sending_has_made),
        TEST(survives_the_switch),
        TEST(gives_the_port_of_a_connection_back_after_time_wait),
        TEST(gives_the_port_back_when_nobody_answers),
        TEST(keeps_connections_when_a_listener_stops),
        TEST(wakes_when_told),
        TEST(wakes_when_time_is_up),
        TEST(whoever_always_polls_never_sleeps),
        TEST(whoever_may_poll_sleeps_when_nothing_comes),
        TEST(a_flood_is_left_to_the_nic_for_a_while),
        TEST(where_the_nic_cannot_that_is_told_once),
        TEST(what_costs_little_is_not_left_to_the_nic),
        cmocka_unit_test(turns_addresses_to_and_fro),
        cmocka_unit_test(writes_the_trace_of_a_peer_that_the_environment_names),
    };

    if (unshare(CLONE_NEWNET) != 0 ||
        system("ip link set lo up && ip address add " ADDRESS "/32 dev lo") != 0) {
        printf("skip needs root, for a network namespace\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
