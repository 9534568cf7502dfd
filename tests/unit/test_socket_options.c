/* SPDX-License-Identifier: BSD-2-Clause */
/* setsockopt, getsockopt and ioctl of sockets on UTCP (adapters/sockets/options.c), beside what
 * test_sockets.c has of them. What is expected is what socket(7), tcp(7) and ip(7) say. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checksum.h"
#include "sockets_world.h"
#include "wire.h"

#define SECOND     UINT64_C(1000000)
#define WHEEL_TICK 1024 /* µs: a timer is late by so much at most */

static void assert_congestion(struct world *world, int fd, const char *expected)
{
    char name[64] = "";
    socklen_t length = sizeof(name);

    assert_int_equal(
        sockets_getsockopt(world->sockets, fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
    assert_string_equal(name, expected);
    assert_int_equal(length, 16);
}

static int set_congestion(struct world *world, int fd, const char *name)
{
    return sockets_setsockopt(world->sockets, fd, IPPROTO_TCP, TCP_CONGESTION, name,
                              (socklen_t)strlen(name));
}

static void a_socket_has_the_congestion_control_that_it_asks_for(void **state)
{
    struct world *world = *state;
    struct pair pair;

    pair.listener = listener(world);
    pair.client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_congestion(world, pair.client, "cubic");
    assert_int_equal(set_congestion(world, pair.client, "no such"), -ENOENT);
    assert_int_equal(set_congestion(world, pair.client, ""), -EINVAL);
    assert_int_equal(set_congestion(world, pair.client, "reno"), 0);
    assert_int_equal(set_congestion(world, pair.listener, "bbr"), 0);
    assert_int_equal(connect_to(world, pair.client, PORT), 0);
    pair.server = sockets_accept(world->sockets, pair.listener, NULL, NULL, 0);
    assert_congestion(world, pair.client, "reno");
    assert_congestion(world, pair.server, "bbr");
    assert_int_equal(set_congestion(world, pair.server, "dctcp"), 0);
    assert_congestion(world, pair.server, "dctcp");
    assert_int_equal(set_congestion(world, pair.server, "no such"), -ENOENT);
    assert_congestion(world, pair.server, "dctcp");
}

static void sockets_that_say_nothing_have_the_hosts_congestion_control(void **state)
{
    struct world *world = *state;

    sockets_set_congestion(world->sockets, "newreno");
    assert_congestion(world, sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0), "reno");
}

static void what_makes_no_difference_here_is_kept(void **state)
{
    static const struct {
        int level, name, value, wrong;
    } options[] = {
        {SOL_SOCKET, SO_BUSY_POLL, 50, -1},
        {IPPROTO_TCP, TCP_INQ, 1, 2},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, -1},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_PMTUDISC_OMIT + 1},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, IPV6_PMTUDISC_OMIT + 1},
    };
    struct world *world = *state;
    int fd = sockets_socket(world->sockets, AF_INET6, SOCK_STREAM, 0);

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int level = options[i].level, name = options[i].name;

        assert_int_equal(set_int(world, fd, level, name, options[i].wrong), -EINVAL);
        assert_int_equal(set_int(world, fd, level, name, options[i].value), 0);
        assert_int_equal(get_int(world, fd, level, name), options[i].value);
    }
    assert_int_equal(set_int(world, fd, SOL_SOCKET, SO_PRIORITY, 7), 0);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_PRIORITY), 7);
    assert_int_equal(set_int(world, fd, IPPROTO_TCP, TCP_THIN_DUPACK, 1), 0);
    assert_int_equal(get_int(world, fd, IPPROTO_TCP, TCP_THIN_DUPACK), 0); /* as told by Linux */
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_SNDLOWAT), 1);
    assert_int_equal(set_int(world, fd, SOL_SOCKET, SO_SNDLOWAT, 2), -ENOPROTOOPT);
    assert_int_equal(set_int(world, fd, SOL_SOCKET, SO_RCVBUFFORCE, 20000), 0);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_RCVBUF), 40000);
}

static void what_is_not_nought_is_one(void **state)
{
    static const struct {
        int level, name;
    } flags[] = {
        {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_REUSEPORT},  {SOL_SOCKET, SO_KEEPALIVE},
        {SOL_SOCKET, SO_BROADCAST}, {SOL_SOCKET, SO_DONTROUTE},  {SOL_SOCKET, SO_OOBINLINE},
        {SOL_SOCKET, SO_NO_CHECK},  {SOL_SOCKET, SO_TIMESTAMP},  {IPPROTO_TCP, TCP_NODELAY},
        {IPPROTO_TCP, TCP_CORK},    {IPPROTO_TCP, TCP_QUICKACK}, {IPPROTO_IP, IP_FREEBIND},
        {IPPROTO_IP, IP_RECVERR},   {IPPROTO_IPV6, IPV6_V6ONLY},
    };
    struct world *world = *state;
    int fd = sockets_socket(world->sockets, AF_INET6, SOCK_STREAM, 0);

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        for (int value = -1; value <= 2; value++) {
            assert_int_equal(set_int(world, fd, flags[i].level, flags[i].name, value), 0);
            assert_int_equal(get_int(world, fd, flags[i].level, flags[i].name), value != 0);
        }
    }
}

static void assert_becomes(struct world *world, int fd, int level, int name, int value,
                           int expected)
{
    assert_int_equal(set_int(world, fd, level, name, value), 0);
    assert_int_equal(get_int(world, fd, level, name), expected);
}

static void numbers_become_what_linux_makes_of_them(void **state)
{
    struct world *world = *state;
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    uint64_t first, second;

    assert_becomes(world, fd, SOL_SOCKET, SO_RCVBUF, 1, 2304);
    assert_becomes(world, fd, SOL_SOCKET, SO_SNDBUF, 1, 4608);
    assert_becomes(world, fd, SOL_SOCKET, SO_SNDBUF, -1, 8388608);
    assert_becomes(world, fd, SOL_SOCKET, SO_RCVBUF, INT32_MAX, 8388608);
    assert_int_equal(set_int(world, fd, SOL_SOCKET, SO_RCVBUFFORCE, 5000000), 0);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_RCVBUF), 10000000);
    assert_becomes(world, fd, SOL_SOCKET, SO_RCVLOWAT, -1, INT32_MAX);
    assert_becomes(world, fd, IPPROTO_IP, IP_TOS, 7, 4);
    assert_becomes(world, fd, IPPROTO_IP, IP_TOS, 1000, 232);
    assert_becomes(world, fd, IPPROTO_IP, IP_TTL, 9, 9);
    assert_becomes(world, fd, IPPROTO_IP, IP_TTL, -1, 64);
    assert_int_equal(set_int(world, fd, IPPROTO_IP, IP_TTL, 0), -EINVAL);
    assert_int_equal(get_int(world, fd, IPPROTO_TCP, TCP_MAXSEG), 536);
    assert_becomes(world, fd, IPPROTO_TCP, TCP_MAXSEG, 1000, 1000);
    assert_becomes(world, fd, IPPROTO_TCP, TCP_MAXSEG, 0, 536);
    assert_becomes(world, fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 1, 1152);
    assert_becomes(world, fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 0, 0);
    assert_becomes(world, fd, IPPROTO_TCP, TCP_FASTOPEN, 70000, SOMAXCONN);
    assert_int_equal(get_int(world, fd, IPPROTO_TCP, TCP_QUICKACK), 1);
    assert_int_equal(
        sockets_getsockopt(world->sockets, fd, SOL_SOCKET, SO_PEERNAME, &name, &length), -ENOTCONN);
    length = sizeof(first);
    assert_int_equal(sockets_getsockopt(world->sockets, fd, SOL_SOCKET, SO_COOKIE, &first, &length),
                     0);
    assert_int_equal(
        sockets_getsockopt(world->sockets, fd, SOL_SOCKET, SO_COOKIE, &second, &length), 0);
    assert_true(first == second && first != 0);
    length = 4;
    assert_int_equal(
        sockets_getsockopt(world->sockets, fd, SOL_SOCKET, SO_COOKIE, &second, &length), -EINVAL);
}

static void quickack_hurries_the_acknowledgment_that_waits(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    struct utcp_stats before = {.size = sizeof(before)}, after = before;

    assert_int_equal(set_int(world, pair.server, IPPROTO_TCP, TCP_QUICKACK, 0), 0);
    send_text(world, pair.client, "one", 0);
    utcp_stats(world->stack, &before);
    assert_int_equal(set_int(world, pair.server, IPPROTO_TCP, TCP_QUICKACK, 1), 0);
    utcp_stats(world->stack, &after);
    assert_int_equal(after.packets_out - before.packets_out, 1);
    send_text(world, pair.client, "two", 0);
    utcp_stats(world->stack, &before);
    assert_int_equal(before.packets_out - after.packets_out, 2); /* the data, and its ACK */
}

static void data_that_come_before_accept_are_acknowledged_at_once(void **state)
{
    struct world *world = *state;
    int fd = listener(world), client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    uint64_t before;
    struct tcp_info info;
    socklen_t length = sizeof(info);

    assert_int_equal(connect_to(world, client, PORT), 0);
    before = world->now;
    send_text(world, client, "early", 0);
    assert_int_equal(
        sockets_getsockopt(world->sockets, client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_unacked, 0);
    assert_int_equal(world->now - before, 0);
    sockets_close(world->sockets, fd);
}

static void a_clamp_is_a_limit_of_the_window(void **state)
{
    struct world *world = *state;
    int fd = listener(world), client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    union {
        struct tcp_info info;
        uint8_t room[512];
    } told;
    socklen_t length = sizeof(told);

    set_int(world, fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, 4000);
    assert_int_equal(connect_to(world, client, PORT), 0);
    assert_int_equal(
        sockets_getsockopt(world->sockets, client, IPPROTO_TCP, TCP_INFO, &told, &length), 0);
    assert_in_range(told.info.tcpi_snd_wnd, 1, 4000);
}

static void a_rate_may_be_a_limit(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    static char data[30000];
    const struct iovec piece = {data, sizeof(data)};
    struct tcp_info info;
    socklen_t length = sizeof(info);
    uint64_t before = world->now;
    size_t got = 0;

    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_MAX_PACING_RATE), -1);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_MAX_PACING_RATE, 100000), 0);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_MAX_PACING_RATE), 100000);
    assert_int_equal(
        sockets_getsockopt(world->sockets, pair.client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_max_pacing_rate, 100000);
    assert_int_equal(info.tcpi_pacing_rate, 100000);
    assert_int_equal(sockets_send(world->sockets, pair.client, &piece, 1, 0), sizeof(data));
    while (got < sizeof(data)) {
        static char buffer[sizeof(data)];

        got += (size_t)receive(world, pair.server, buffer, sizeof(buffer), 0);
    }
    assert_in_range(world->now - before, 250000, 400000); /* 300 ms at that rate */
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_MAX_PACING_RATE, -1), 0);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_MAX_PACING_RATE), -1);
}

static void a_low_water_mark_beyond_the_window_does_not_stop_the_stream(void **state)
{
    struct world *world = *state;
    struct pair pair;
    static char data[20000];
    const struct iovec piece = {data, sizeof(data)};
    size_t got = 0;

    pair.listener = listener(world);
    set_int(world, pair.listener, SOL_SOCKET, SO_RCVBUF, 2500);
    pair.client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, pair.client, PORT), 0);
    pair.server = sockets_accept(world->sockets, pair.listener, NULL, NULL, 0);
    set_int(world, pair.server, SOL_SOCKET, SO_RCVLOWAT, 100000);
    assert_int_equal(sockets_send(world->sockets, pair.client, &piece, 1, 0), sizeof(data));
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_WR), 0);
    while (got < sizeof(data)) {
        static char buffer[sizeof(data)];

        while (!(poll_one(world, pair.server, POLLIN) & POLLIN))
            assert_true(wait_within(world, UINT64_MAX));
        got += (size_t)receive(world, pair.server, buffer, sizeof(buffer), MSG_DONTWAIT);
    }
}

static uint64_t connections(struct world *world)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(world->stack, &stats);
    return stats.connections;
}

static void wait_until(struct world *world, uint64_t time)
{
    while (world->now < time)
        wait_within(world, time);
}

static void linger2_says_how_long_an_orphan_waits_for_the_peers_fin(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint64_t closed;

    assert_int_equal(get_int(world, pair.client, IPPROTO_TCP, TCP_LINGER2), 60);
    assert_int_equal(set_int(world, pair.client, IPPROTO_TCP, TCP_LINGER2, 1000), 0);
    assert_int_equal(get_int(world, pair.client, IPPROTO_TCP, TCP_LINGER2), 120);
    assert_int_equal(set_int(world, pair.client, IPPROTO_TCP, TCP_LINGER2, 2), 0);
    sockets_close(world->sockets, pair.client);
    closed = world->now;
    wait_until(world, closed + 2 * SECOND - 1);
    assert_int_equal(connections(world), 2);
    wait_until(world, closed + 2 * SECOND + WHEEL_TICK);
    assert_int_equal(connections(world), 1); /* the other end does not know */
}

static int accept_now(struct world *world, int fd)
{
    return sockets_accept(world->sockets, fd, NULL, NULL, 0);
}

static void a_deferred_connection_is_shown_with_its_first_data(void **state)
{
    struct world *world = *state;
    int server = listener(world), first, second, accepted;
    char buffer[8];

    assert_int_equal(set_int(world, server, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5), 0);
    assert_int_equal(get_int(world, server, IPPROTO_TCP, TCP_DEFER_ACCEPT), 7); /* 1 + 2 + 4 */
    assert_int_equal(sockets_fcntl(world->sockets, server, F_SETFL, O_NONBLOCK), 0);
    first = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    second = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, first, PORT), 0);
    assert_int_equal(connect_to(world, second, PORT), 0);
    assert_int_equal(poll_one(world, server, POLLIN), 0);
    assert_int_equal(accept_now(world, server), -EAGAIN);
    send_text(world, second, "second", 0);
    assert_int_equal(poll_one(world, server, POLLIN), POLLIN);
    accepted = accept_now(world, server);
    assert_true(accepted >= 0);
    assert_int_equal(receive(world, accepted, buffer, sizeof(buffer), 0), 6);
    assert_int_equal(accept_now(world, server), -EAGAIN);
    sockets_close(world->sockets, first); /* there will be no data */
    assert_true(accept_now(world, server) >= 0);
}

static void a_deferred_connection_is_shown_when_its_time_is_over(void **state)
{
    struct world *world = *state;
    int server = listener(world), client, epoll, waits;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    uint64_t began = world->now;

    assert_int_equal(set_int(world, server, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3), 0);
    client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    epoll = sockets_epoll_create(world->sockets);
    sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_ADD, server, &event);
    assert_int_equal(connect_to(world, client, PORT), 0);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, &event, 1, -1), 1);
    assert_int_equal(world->now, began + 3 * SECOND);
    assert_true(accept_now(world, server) >= 0);
    waits = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, waits, PORT), 0);
    assert_true(accept_now(world, server) >= 0);
    assert_int_equal(world->now, began + 6 * SECOND);
}

static void closing_the_listener_resets_deferred_connections(void **state)
{
    struct world *world = *state;
    int server = listener(world), client;

    assert_int_equal(set_int(world, server, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3), 0);
    client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, client, PORT), 0);
    assert_int_equal(poll_one(world, server, POLLIN), 0);
    sockets_close(world->sockets, server);
    assert_int_equal(get_int(world, client, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

static void buffers_tell_the_hosts_settings_until_they_are_set(void **state)
{
    struct world *world = *state;
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);

    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_RCVBUF), 131072);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_SNDBUF), 16384);
    sockets_set_buffers(world->sockets, 10000, 20000);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_RCVBUF), 10000);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_SNDBUF), 20000);
    assert_int_equal(set_int(world, fd, SOL_SOCKET, SO_SNDBUF, 30000), 0);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_SNDBUF), 60000);
}

static void the_mtu_is_known_of_a_connection(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    int mtu;
    socklen_t length = sizeof(mtu);

    assert_int_equal(get_int(world, pair.client, IPPROTO_IP, IP_MTU), 1500);
    assert_int_equal(
        sockets_getsockopt(world->sockets, pair.listener, IPPROTO_IP, IP_MTU, &mtu, &length),
        -ENOTCONN);
}

/* A router says of the last packet that its host can't be reached. */
static void host_unreachable(struct world *world)
{
    const struct packet *last = &world->packets[(world->tail - 1) % PACKETS_MAX];
    const struct wire_ipv4 *quoted = (const struct wire_ipv4 *)last->bytes;
    struct {
        struct wire_ipv4 ip;
        uint8_t icmp[8], quote[28];
    } packet = {
        .ip = {.version_ihl = 0x45,
               .total_length = htons(sizeof(packet)),
               .ttl = 64,
               .protocol = IP_PROTOCOL_ICMP,
               .source = {10, 0, 0, 254}},
        .icmp = {3, 1},
    };
    uint16_t sum;

    memcpy(packet.ip.destination, quoted->source, sizeof(quoted->source));
    memcpy(packet.quote, last->bytes, sizeof(packet.quote));
    sum = (uint16_t)~checksum_fold(
        checksum_add(0, packet.icmp, sizeof(packet.icmp) + sizeof(packet.quote)));
    memcpy(packet.icmp + 2, &sum, sizeof(sum));
    sum = (uint16_t)~checksum_fold(checksum_add(0, (uint8_t *)&packet.ip, sizeof(packet.ip)));
    packet.ip.checksum = sum;
    utcp_input(world->stack, world->now, &packet, sizeof(packet), 0);
    wait_within(world, world->now);
}

static void icmp_errors_are_told_at_once_to_who_wants_them(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);

    world->cut = true;
    assert_int_equal(send_text(world, pair.client, "lost", 0), 4);
    host_unreachable(world);
    assert_int_equal(poll_one(world, pair.client, POLLIN), 0);
    /* who asks is told of what is no end, too: socket(7) */
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(set_int(world, pair.client, IPPROTO_IP, IP_RECVERR, 1), 0);
    host_unreachable(world);
    assert_int_equal(poll_one(world, pair.client, POLLIN) & POLLERR, POLLERR);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_ERROR), EHOSTUNREACH);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_ERROR), 0);
    world->cut = false; /* it was no end */
    assert_int_equal(receive(world, pair.server, (char[8]){0}, 8, 0), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_has_the_congestion_control_that_it_asks_for,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_that_say_nothing_have_the_hosts_congestion_control,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_makes_no_difference_here_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_nought_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_become_what_linux_makes_of_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quickack_hurries_the_acknowledgment_that_waits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(data_that_come_before_accept_are_acknowledged_at_once,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clamp_is_a_limit_of_the_window, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rate_may_be_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_low_water_mark_beyond_the_window_does_not_stop_the_stream,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(linger2_says_how_long_an_orphan_waits_for_the_peers_fin,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deferred_connection_is_shown_with_its_first_data, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_deferred_connection_is_shown_when_its_time_is_over,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_the_listener_resets_deferred_connections, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(buffers_tell_the_hosts_settings_until_they_are_set, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_mtu_is_known_of_a_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(icmp_errors_are_told_at_once_to_who_wants_them, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
