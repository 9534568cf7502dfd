/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack's conversation with the switch: opening, binding, and living on when the switch
 * goes away, against a fake switch that can be made to misbehave (fake_switch.h). */
#include "port_fixture.h"
#include "reasons.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Descriptors of this process, while the fake switch is between two messages. */
static unsigned open_fds(struct fake_switch *fake)
{
    unsigned count = 0;
    DIR *directory;

    pthread_mutex_lock(&fake->lock);
    directory = opendir("/proc/self/fd");
    while (readdir(directory))
        count++;
    closedir(directory);
    pthread_mutex_unlock(&fake->lock);
    return count;
}

static int open_port(struct fake_switch *fake, struct ms_port **port, int timeout_ms)
{
    struct ms_port_options options = {
        .size = sizeof(options), .control_path = fake->path, .open_timeout_ms = timeout_ms};

    return ms_port_open(port, &options);
}

static struct sockaddr_in ipv4(const char *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

    inet_pton(AF_INET, address, &in.sin_addr);
    return in;
}

static int bind_ipv4(struct ms_port *port, int protocol, uint16_t number)
{
    struct sockaddr_in address = ipv4("127.0.0.1", number);

    return ms_bind(port, protocol, (struct sockaddr *)&address, sizeof(address));
}

static uint16_t bound_port(const struct ms_port *port, int binding)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof(address);

    assert_int_equal(ms_binding_address(port, binding, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin_port);
}

/* What a legacy program gets that asks for 127.0.0.1:number. */
static int legacy_bind(int type, uint16_t number)
{
    struct sockaddr_in address = ipv4("127.0.0.1", number);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    int error = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;

    close(fd);
    return error;
}

static int set_up(void **state)
{
    *state = fake_switch_new();
    return 0;
}

static int tear_down(void **state)
{
    fake_switch_free(*state);
    return 0;
}

/* ── opening ── */

static void test_no_switch_is_enoent(void **state)
{
    struct ms_port_options options = {.size = sizeof(options),
                                      .control_path = "/nonexistent/control.sock"};
    struct ms_port *port;

    (void)state;
    assert_int_equal(ms_port_open(&port, &options), -ENOENT);
}

static void test_dead_switch_is_econnrefused(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    fake_switch_kill(fake);
    assert_int_equal(open_port(fake, &port, 0), -ECONNREFUSED);
}

static void test_plain_file_is_econnrefused(void **state)
{
    char path[] = "/tmp/ms-file-XXXXXX";
    struct ms_port_options options = {.size = sizeof(options), .control_path = path};
    struct ms_port *port;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(ms_port_open(&port, &options), -ECONNREFUSED);
    unlink(path);
}

static void test_path_in_the_environment_is_used(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    setenv("MULTISTACK_CONTROL", fake->path, 1);
    assert_int_equal(ms_port_open(&port, NULL), 0);
    ms_port_close(port);
    unsetenv("MULTISTACK_CONTROL");
    assert_string_equal(fake->open.name, program_invocation_short_name);
}

static void test_options_reach_the_switch(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port_options options = {.size = sizeof(options),
                                      .control_path = fake->path,
                                      .name = "a stack",
                                      .rings = 3,
                                      .rx_bytes = 100000,
                                      .tx_bytes = 1,
                                      .flags = MS_PORT_MERGED_RX};
    struct ms_port *port;
    struct ms_port_info info;

    assert_int_equal(ms_port_open(&port, &options), 0);
    info = port_info(port);
    assert_string_equal(fake->open.name, "a stack");
    assert_int_equal(fake->open.flags, CONTROL_PORT_MERGED_RX);
    assert_true(info.connected);
    assert_int_equal(info.port, 7);
    assert_int_equal(info.rings, 3);
    assert_int_equal(info.rx_bytes, 128 * 1024);
    assert_int_equal(info.tx_bytes, RING_SIZE_MIN);
    assert_int_equal(info.mtu, 1500);
    assert_int_equal(info.offloads, MS_OFFLOAD_CHECKSUM);
    assert_int_equal(info.generation, 1);
    assert_int_equal(info.last_error, 0);
    assert_null(info.detached);
    ms_port_close(port);
}

static void test_wrong_options_are_einval(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port_options good = {.size = sizeof(good), .control_path = fake->path};
    struct ms_port_options wrong[7];
    struct {
        struct ms_port_options known;
        uint64_t later;
    } larger = {.known = good};
    struct ms_port *port;
    char long_path[300];

    for (size_t i = 0; i < 7; i++)
        wrong[i] = good;
    wrong[0].size = 0;
    wrong[1].rings = PORT_RINGS_MAX + 1;
    wrong[2].rx_bytes = RING_SIZE_MAX + 1;
    wrong[3].tx_bytes = UINT32_MAX;
    wrong[4].flags = 0x80;
    wrong[5].open_timeout_ms = -1;
    wrong[6].name = "a name of thirty-two characters.";
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(ms_port_open(&port, &wrong[i]), -EINVAL);
    /* A caller built with a later header: its options are taken as long as they are not used. */
    larger.known.size = sizeof(larger);
    assert_int_equal(ms_port_open(&port, &larger.known), 0);
    ms_port_close(port);
    larger.later = 1;
    assert_int_equal(ms_port_open(&port, &larger.known), -EINVAL);
    memset(long_path, 'x', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    good.control_path = long_path;
    assert_int_equal(ms_port_open(&port, &good), -ENAMETOOLONG);
}

static void test_refusals_are_told(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    fake->welcome_error = EACCES;
    assert_int_equal(open_port(fake, &port, 0), -EACCES);
    fake->welcome_error = 0;
    fake->version = CONTROL_VERSION + 1;
    assert_int_equal(open_port(fake, &port, 0), -EPROTONOSUPPORT);
    fake->welcome_error = EPROTONOSUPPORT;
    assert_int_equal(open_port(fake, &port, 0), -EPROTONOSUPPORT);
    fake->welcome_error = 0;
    fake->version = CONTROL_VERSION;
    fake->open_error = ENOSPC;
    assert_int_equal(open_port(fake, &port, 0), -ENOSPC);
}

static void test_silent_switch_is_etimedout(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    int timeout_ms = 50;
    unsigned before, tries;

    fake->manner = FAKE_SILENT;
    assert_int_equal(open_port(fake, &port, timeout_ms), -ETIMEDOUT);
    fake->manner = FAKE_CLOSES_AFTER_HELLO;
    do { /* it tries more than once, where the machine lets it in so short a time */
        before = fake_switch_count(fake, &fake->hellos);
        assert_int_equal(open_port(fake, &port, timeout_ms), -ETIMEDOUT);
        tries = fake_switch_count(fake, &fake->hellos) - before;
        timeout_ms *= 2;
    } while (tries < 2 && timeout_ms < 20000);
    assert_true(tries >= 2);
}

static void test_rubbish_is_eproto_and_leaks_nothing(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    for (int manner = FAKE_SHORT_WELCOME; manner <= FAKE_ODD_RING_SIZE; manner++) {
        unsigned before;

        pthread_mutex_lock(&fake->lock);
        fake->manner = manner;
        pthread_mutex_unlock(&fake->lock);
        before = open_fds(fake);
        assert_int_equal(open_port(fake, &port, 0), -EPROTO);
        while (fake_switch_count(fake, (unsigned *)&fake->connection) != (unsigned)-1)
            ; /* until it, too, has closed its end */
        assert_int_equal(open_fds(fake), before);
    }
}

static void test_rubbish_later_means_a_new_connection(void **state)
{
    static const uint8_t rubbish[][40] = {{0}, {1, 2, 3}, {CONTROL_WELCOME, 0, 0, 0, 40}};
    struct fake_switch *fake = *state;
    struct ms_port *port;

    assert_int_equal(open_port(fake, &port, 0), 0);
    for (unsigned i = 0; i < 3; i++) {
        fake_switch_say(fake, rubbish[i], sizeof(rubbish[i]));
        port_await_connected(port, false);
        assert_int_equal(port_info(port).last_error, -EPROTO);
        port_await_connected(port, true);
        assert_int_equal(port_info(port).generation, 2 + i);
    }
    ms_port_close(port);
}

static void test_answers_not_asked_for_mean_a_new_connection(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    fake->manner = FAKE_UNASKED_BOUND;
    if (open_port(fake, &port, 0) == 0) {
        port_await_connected(port, false);
        assert_int_equal(port_info(port).last_error, -EPROTO);
        ms_port_close(port);
    }
    fake->manner = FAKE_UNASKED_RECORDS;
    if (open_port(fake, &port, 0) == 0) {
        port_await_connected(port, false);
        ms_port_close(port);
    }
}

/* ── binding ── */

static void test_port_0_is_chosen_by_the_kernel(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    int binding;

    assert_int_equal(open_port(fake, &port, 0), 0);
    binding = bind_ipv4(port, IPPROTO_UDP, 0);
    assert_true(binding >= 0);
    assert_true(bound_port(port, binding) > 0);
    assert_int_equal(fake->binding_count, 1);
    assert_int_equal(ntohs(fake->bindings[0].address.port), bound_port(port, binding));
    assert_int_equal(fake->bindings[0].address.family, 4);
    assert_int_equal(fake->bindings[0].address.protocol, IPPROTO_UDP);
    assert_memory_equal(fake->bindings[0].address.bytes, "\x7f\0\0\1", 4);
    ms_port_close(port);
}

/* Whether a filter that drops everything is on the socket, and locked. */
static bool is_deaf(int fd, bool lock)
{
    struct sock_filter filter[4] = {{0}};
    int locked = 0;
    socklen_t size = sizeof(locked), instructions = 4;

    return getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, &size) == 0 && (locked || !lock) &&
           getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, filter, &instructions) == 0 &&
           instructions == 1 && filter[0].code == (BPF_RET | BPF_K) && filter[0].k == 0;
}

static void test_placeholder_reserves_and_stays_deaf(void **state)
{
    struct fake_switch *fake = *state;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int yes, binding;
    socklen_t length = sizeof(yes);
    struct ms_port *port;

    assert_int_equal(open_port(fake, &port, 0), 0);
    binding = bind_ipv4(port, IPPROTO_TCP, 0);
    assert_true(binding >= 0);
    assert_int_equal(legacy_bind(SOCK_STREAM, bound_port(port, binding)), EADDRINUSE);
    getsockopt(fake->bindings[0].placeholder, SOL_SOCKET, SO_REUSEADDR, &yes, &length);
    assert_false(yes);
    getsockopt(fake->bindings[0].placeholder, SOL_SOCKET, SO_ACCEPTCONN, &yes, &length);
    assert_int_equal(yes,
                     is_deaf(fake->bindings[0].placeholder, true)); /* one only with the other */

    assert_true(bind_ipv4(port, IPPROTO_UDP, 0) >= 0);
    /* the switch is to put its own there */
    assert_true(is_deaf(fake->bindings[1].placeholder, false));
    binding = ms_bind(port, IPPROTO_UDP, (struct sockaddr *)&in6, sizeof(in6));
    if (binding >= 0) { /* there may be no IPv6 here */
        length = sizeof(yes);
        getsockopt(fake->bindings[2].placeholder, IPPROTO_IPV6, IPV6_V6ONLY, &yes, &length);
        assert_true(yes);
        assert_int_equal(fake->bindings[2].address.family, 6);
    }
    ms_port_close(port);
}

static void test_the_kernels_errors_come_through(void **state)
{
    struct fake_switch *fake = *state;
    struct sockaddr_in foreign = ipv4("192.0.2.1", 0), address = ipv4("127.0.0.1", 0);
    struct sockaddr_in legacy = address;
    socklen_t length = sizeof(legacy);
    struct ms_port *port;
    unsigned before;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&legacy, length), 0);
    getsockname(fd, (struct sockaddr *)&legacy, &length);
    assert_int_equal(open_port(fake, &port, 0), 0);
    before = open_fds(fake);
    assert_int_equal(bind_ipv4(port, IPPROTO_UDP, ntohs(legacy.sin_port)), -EADDRINUSE);
    /* an address of no device might be one of the switch's wires: the switch knows */
    fake->bind_error = EADDRNOTAVAIL;
    fake->bind_errors = 1;
    assert_int_equal(ms_bind(port, IPPROTO_UDP, (struct sockaddr *)&foreign, sizeof(foreign)),
                     -EADDRNOTAVAIL);
    /* a protocol that the kernel has no sockets of is for the switch to judge */
    fake->bind_error = EPROTONOSUPPORT;
    fake->bind_errors = 1;
    assert_int_equal(ms_bind(port, IPPROTO_ICMP, (struct sockaddr *)&address, sizeof(address)),
                     -EPROTONOSUPPORT);
    assert_int_equal(ms_bind(port, 0, (struct sockaddr *)&address, sizeof(address)),
                     -EPROTONOSUPPORT);
    assert_int_equal(ms_bind(port, 256 + IPPROTO_UDP, (struct sockaddr *)&address, sizeof(address)),
                     -EPROTONOSUPPORT);
    assert_int_equal(ms_bind(port, IPPROTO_UDP, (struct sockaddr *)&address, 4), -EINVAL);
    assert_int_equal(ms_bind(port, IPPROTO_UDP, NULL, 0), -EINVAL);
    address.sin_family = AF_UNIX;
    assert_int_equal(ms_bind(port, IPPROTO_UDP, (struct sockaddr *)&address, sizeof(address)),
                     -EAFNOSUPPORT);
    assert_int_equal(open_fds(fake), before);
    assert_int_equal(fake->binds, 2);
    ms_port_close(port);
    close(fd);
}

static void test_refused_binding_leaves_nothing(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    unsigned before;
    int binding;

    assert_int_equal(open_port(fake, &port, 0), 0);
    before = open_fds(fake);
    fake->bind_error = EXDEV;
    fake->bind_errors = 1;
    assert_int_equal(bind_ipv4(port, IPPROTO_TCP, 0), -EXDEV);
    assert_int_equal(open_fds(fake), before);
    assert_int_equal(port_info(port).last_error, 0);
    assert_int_equal(port_info(port).bindings_waiting, 0);
    binding = bind_ipv4(port, IPPROTO_TCP, 0);
    assert_int_equal(binding, 0);
    ms_port_close(port);
}

static void test_unbound_port_can_be_bound_again_at_once(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    uint16_t number;
    int binding;

    assert_int_equal(open_port(fake, &port, 0), 0);
    binding = bind_ipv4(port, IPPROTO_TCP, 0);
    number = bound_port(port, binding);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ms_unbind(port, binding), 0);
        assert_int_equal(ms_unbind(port, binding), -ENOENT);
        assert_int_equal(legacy_bind(SOCK_STREAM, number), 0);
        binding = bind_ipv4(port, IPPROTO_TCP, number);
        assert_true(binding >= 0);
    }
    assert_int_equal(ms_unbind(port, -1), -ENOENT);
    assert_int_equal(ms_unbind(port, 1000), -ENOENT);
    assert_int_equal(fake->binding_count, 1);
    ms_port_close(port);
}

static void test_source_address_is_what_the_kernel_would_use(void **state)
{
    struct sockaddr_in remote = ipv4("127.0.0.5", 80), *local;
    struct sockaddr_storage found;
    socklen_t length;

    (void)state;
    assert_int_equal(ms_source_address((struct sockaddr *)&remote, sizeof(remote), &found, &length),
                     0);
    local = (struct sockaddr_in *)&found;
    assert_int_equal(local->sin_family, AF_INET);
    assert_int_equal(ntohl(local->sin_addr.s_addr) >> 24, 127);
    assert_int_equal(local->sin_port, 0);
    assert_int_equal(ms_source_address(NULL, 0, &found, &length), -EINVAL);
}

/* ── restarts ── */

static void test_bindings_come_back_after_a_restart(void **state)
{
    enum { BINDINGS = 200 }; /* more than may be on the way at a time */
    struct fake_switch *fake = *state;
    struct ms_port *port;
    uint16_t numbers[BINDINGS];

    assert_int_equal(open_port(fake, &port, 0), 0);
    for (int i = 0; i < BINDINGS; i++) {
        assert_int_equal(bind_ipv4(port, i % 2 ? IPPROTO_TCP : IPPROTO_UDP, 0), i);
        numbers[i] = bound_port(port, i);
    }
    fake_switch_kill(fake);
    port_await_connected(port, false);
    assert_int_equal(port_info(port).bindings_waiting, BINDINGS);
    for (int i = 0; i < BINDINGS; i++) /* the kernel goes on reserving them */
        assert_int_equal(legacy_bind(i % 2 ? SOCK_STREAM : SOCK_DGRAM, numbers[i]), EADDRINUSE);
    fake_switch_start(fake);
    port_await_connected(port, true);
    assert_int_equal(port_info(port).bindings_waiting, 0);
    assert_int_equal(port_info(port).generation, 2);
    assert_int_equal(fake_switch_count(fake, &fake->binding_count), BINDINGS);
    for (int i = 0; i < BINDINGS; i++)
        assert_int_equal(bound_port(port, i), numbers[i]);
    ms_port_close(port);
}

static void test_binding_while_the_switch_is_away_is_claimed_later(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    int kept, given_back, binding;

    assert_int_equal(open_port(fake, &port, 0), 0);
    kept = bind_ipv4(port, IPPROTO_UDP, 0);
    given_back = bind_ipv4(port, IPPROTO_UDP, 0);
    fake_switch_kill(fake);
    port_await_connected(port, false);
    assert_int_equal(ms_unbind(port, given_back), 0);
    binding = bind_ipv4(port, IPPROTO_TCP, 0);
    assert_true(binding >= 0 && binding != kept);
    assert_int_equal(legacy_bind(SOCK_STREAM, bound_port(port, binding)), EADDRINUSE);
    fake_switch_start(fake);
    port_await_connected(port, true);
    assert_int_equal(fake_switch_count(fake, &fake->binding_count), 2);
    ms_port_close(port);
}

static void test_binding_refused_after_a_restart_is_tried_again(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    assert_int_equal(open_port(fake, &port, 0), 0);
    assert_int_equal(bind_ipv4(port, IPPROTO_UDP, 0), 0);
    assert_int_equal(bind_ipv4(port, IPPROTO_UDP, 0), 1);
    fake_switch_kill(fake);
    port_await_connected(port, false);
    fake->bind_error = EADDRINUSE;
    fake->bind_errors = 2;
    fake_switch_start(fake);
    port_await_connected(port, true);
    assert_int_equal(port_info(port).last_error, -EADDRINUSE);
    assert_int_equal(port_info(port).bindings_waiting, 2);
    while (port_info(port).bindings_waiting)
        assert_true(port_wait(port, 50) >= 0);
    assert_int_equal(port_info(port).last_error, 0);
    assert_int_equal(port_info(port).generation, 2);
    ms_port_close(port);
}

static void test_detached_port_says_why_and_comes_back(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    assert_int_equal(open_port(fake, &port, 0), 0);
    assert_int_equal(bind_ipv4(port, IPPROTO_UDP, 0), 0);
    fake_switch_event(fake, CONTROL_EVENT_DETACHED, DETACH_RING_INDEX);
    port_await_connected(port, false);
    assert_string_equal(port_info(port).detached, "ring_index");
    assert_int_equal(port_info(port).last_error, -EPROTO);
    port_await_connected(port, true);
    assert_int_equal(port_info(port).generation, 2);
    assert_int_equal(port_info(port).last_error, 0);
    assert_string_equal(port_info(port).detached, "ring_index");
    fake_switch_event(fake, CONTROL_EVENT_DETACHED, 4711);
    port_await_connected(port, false);
    assert_string_equal(port_info(port).detached, "unknown");
    ms_port_close(port);
}

static void test_new_mtu_is_told(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;

    assert_int_equal(open_port(fake, &port, 0), 0);
    fake_switch_event(fake, 4711, 1); /* of a later switch */
    fake_switch_event(fake, CONTROL_EVENT_MTU, 9000);
    while (port_info(port).mtu != 9000)
        port_hear(port);
    assert_true(port_info(port).connected);
    ms_port_close(port);
}

static void test_twenty_restarts_leak_nothing(void **state)
{
    struct fake_switch *fake = *state;
    struct ms_port *port;
    unsigned before;

    assert_int_equal(open_port(fake, &port, 0), 0);
    assert_int_equal(bind_ipv4(port, IPPROTO_UDP, 0), 0);
    fake_switch_kill(fake);
    port_await_connected(port, false);
    before = open_fds(fake);
    for (unsigned i = 0; i < 20; i++) {
        fake_switch_start(fake);
        port_await_connected(port, true);
        fake_switch_kill(fake);
        port_await_connected(port, false);
        ms_receive_done(port, 0); /* its thread follows */
        ms_flush(port, 0);
    }
    assert_int_equal(open_fds(fake), before);
    ms_port_close(port);
    ms_port_close(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_switch_is_enoent),
        TEST(test_dead_switch_is_econnrefused),
        TEST(test_plain_file_is_econnrefused),
        TEST(test_path_in_the_environment_is_used),
        TEST(test_options_reach_the_switch),
        TEST(test_wrong_options_are_einval),
        TEST(test_refusals_are_told),
        TEST(test_silent_switch_is_etimedout),
        TEST(test_rubbish_is_eproto_and_leaks_nothing),
        TEST(test_rubbish_later_means_a_new_connection),
        TEST(test_answers_not_asked_for_mean_a_new_connection),
        TEST(test_port_0_is_chosen_by_the_kernel),
        TEST(test_placeholder_reserves_and_stays_deaf),
        TEST(test_the_kernels_errors_come_through),
        TEST(test_refused_binding_leaves_nothing),
        TEST(test_unbound_port_can_be_bound_again_at_once),
        TEST(test_source_address_is_what_the_kernel_would_use),
        TEST(test_bindings_come_back_after_a_restart),
        TEST(test_binding_while_the_switch_is_away_is_claimed_later),
        TEST(test_binding_refused_after_a_restart_is_tried_again),
        TEST(test_detached_port_says_why_and_comes_back),
        TEST(test_new_mtu_is_told),
        TEST(test_twenty_restarts_leak_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
