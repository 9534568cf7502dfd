/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls of sockets on UTCP (adapters/sockets): two programs on one stack, which hears its own
 * packets, in virtual time. What is expected is what socket(7), tcp(7), poll(2) and epoll(7) say. */
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
#include <sys/ioctl.h>

#include <cmocka.h>

#include "sockets_world.h"

static void a_conversation_and_its_end(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    struct sockaddr_in name;
    socklen_t length = sizeof(name);
    char buffer[64];

    assert_int_equal(send_text(world, pair.client, "question", 0), 8);
    assert_int_equal(receive(world, pair.server, buffer, 3, MSG_PEEK), 3);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 8);
    assert_memory_equal(buffer, "question", 8);
    assert_int_equal(
        sockets_getpeername(world->sockets, pair.client, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(ntohs(name.sin_port), PORT);
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_WR), 0);
    assert_int_equal(send_text(world, pair.client, "more", 0), -EPIPE);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(send_text(world, pair.server, "answer", 0), 6);
    assert_int_equal(sockets_close(world->sockets, pair.server), 0);
    assert_int_equal(receive(world, pair.client, buffer, sizeof(buffer), 0), 6);
    assert_int_equal(receive(world, pair.client, buffer, sizeof(buffer), 0), 0);
    assert_int_equal(sockets_close(world->sockets, pair.client), 0);
    assert_int_equal(sockets_close(world->sockets, pair.client), -EBADF);
}

static void without_blocking_every_call_says_what_it_waits_for(void **state)
{
    struct world *world = *state;
    int server = listener(world), client, accepted, status;
    char buffer[4];

    assert_int_equal(sockets_fcntl(world->sockets, server, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(sockets_fcntl(world->sockets, server, F_GETFL, 0), O_RDWR | O_NONBLOCK);
    assert_int_equal(sockets_accept(world->sockets, server, NULL, NULL, 0), -EAGAIN);
    client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    world->cut = true;
    assert_int_equal(connect_to(world, client, PORT), -EINPROGRESS);
    assert_int_equal(connect_to(world, client, PORT), -EALREADY);
    assert_int_equal(send_text(world, client, "early", 0), -EAGAIN);
    assert_int_equal(poll_one(world, client, POLLIN | POLLOUT), 0);
    world->cut = false;
    while (!poll_one(world, client, POLLOUT)) /* the SYN is sent again */
        assert_true(wait_within(world, UINT64_MAX));
    assert_int_equal(poll_one(world, client, POLLIN | POLLOUT), POLLOUT);
    assert_int_equal(get_int(world, client, SOL_SOCKET, SO_ERROR), 0);
    assert_int_equal(connect_to(world, client, PORT), 0);
    status = connect_to(world, client, PORT);
    assert_int_equal(status, -EISCONN);
    accepted = sockets_accept(world->sockets, server, NULL, NULL, SOCK_NONBLOCK);
    assert_true(accepted >= 0);
    assert_int_equal(receive(world, accepted, buffer, sizeof(buffer), 0), -EAGAIN);
}

static void errors_are_told_once(void **state)
{
    struct world *world = *state;
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    struct pair pair;
    struct linger at_once = {1, 0};
    char buffer[4];

    assert_int_equal(connect_to(world, fd, 9), -ECONNREFUSED);
    assert_int_equal(receive(world, fd, buffer, 1, 0), -ENOTCONN);
    assert_int_equal(send_text(world, fd, "x", 0), -EPIPE);
    pair = connected(world);
    assert_int_equal(sockets_setsockopt(world->sockets, pair.server, SOL_SOCKET, SO_LINGER,
                                        &at_once, sizeof(at_once)),
                     0);
    sockets_close(world->sockets, pair.server);
    assert_true(poll_one(world, pair.client, POLLIN) & POLLERR);
    assert_int_equal(receive(world, pair.client, buffer, 1, 0), -ECONNRESET);
    assert_int_equal(receive(world, pair.client, buffer, 1, 0), 0);
    assert_true(poll_one(world, pair.client, POLLIN) & POLLHUP);
    assert_int_equal(send_text(world, pair.client, "x", 0), -EPIPE);
}

static void wrong_arguments_are_refused(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    struct sockaddr_in6 other = {.sin6_family = AF_INET6};
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    const struct iovec nowhere = {NULL, 5};

    assert_int_equal(sockets_socket(world->sockets, AF_UNIX, SOCK_STREAM, 0), -EAFNOSUPPORT);
    assert_int_equal(sockets_socket(world->sockets, AF_INET, SOCK_DGRAM, 0), -ESOCKTNOSUPPORT);
    assert_int_equal(sockets_bind(world->sockets, fd, (struct sockaddr *)&other, sizeof(other)),
                     -EAFNOSUPPORT);
    assert_int_equal(sockets_bind(world->sockets, fd, NULL, 16), -EFAULT);
    assert_int_equal(sockets_accept(world->sockets, pair.client, NULL, NULL, 0), -EINVAL);
    assert_int_equal(sockets_shutdown(world->sockets, fd, SHUT_WR), -ENOTCONN);
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, 7), -EINVAL);
    assert_int_equal(sockets_send(world->sockets, pair.client, &nowhere, 1, 0), -EFAULT);
    assert_int_equal(sockets_receive(world->sockets, pair.client, &nowhere, 1, 0), -EFAULT);
    assert_int_equal(set_int(world, fd, IPPROTO_TCP, TCP_KEEPCNT, 0), -EINVAL);
    assert_int_equal(set_int(world, fd, IPPROTO_TCP, 9999, 1), -ENOPROTOOPT);
    assert_int_equal(sockets_listen(world->sockets, 99, 1), -EBADF);
}

static void a_listener_without_a_name_gets_a_port(void **state)
{
    struct world *world = *state;
    int server = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    int client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name;
    socklen_t length = sizeof(name);

    assert_int_equal(sockets_listen(world->sockets, server, 1), 0);
    assert_int_equal(sockets_getsockname(world->sockets, server, (struct sockaddr *)&name, &length),
                     0);
    assert_int_not_equal(name.sin_port, 0);
    assert_int_equal(connect_to(world, client, ntohs(name.sin_port)), 0);
}

static void a_blocking_write_waits_for_room(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    static char data[200000];
    const struct iovec piece = {data, sizeof(data)};
    struct timeval limit = {.tv_sec = 2};
    uint64_t before;
    ssize_t done;

    /* nobody reads: the buffers of both sides fill up, and the time that it may take passes */
    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_RCVBUF, 16384), 0);
    assert_int_equal(sockets_setsockopt(world->sockets, pair.client, SOL_SOCKET, SO_SNDTIMEO,
                                        &limit, sizeof(limit)),
                     0);
    before = world->now;
    done = sockets_send(world->sockets, pair.client, &piece, 1, 0);
    assert_in_range(done, 1, sizeof(data) - 1);
    assert_true(world->now - before >= 2000000);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), 0);
    assert_int_equal(sockets_send(world->sockets, pair.client, &piece, 1, MSG_DONTWAIT), -EAGAIN);
    while (receive(world, pair.server, data, sizeof(data), MSG_DONTWAIT) > 0)
        wait_within(world, UINT64_MAX);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), POLLOUT);
}

static void a_read_ends_by_its_time_limit_and_waits_for_all(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    struct timeval limit = {.tv_usec = 300000};
    uint64_t before = world->now;
    char buffer[8];

    sockets_setsockopt(world->sockets, pair.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(receive(world, pair.server, buffer, 8, 0), -EAGAIN);
    assert_int_equal(world->now - before, 300000);
    send_text(world, pair.client, "half", 0);
    assert_int_equal(receive(world, pair.server, buffer, 8, MSG_WAITALL), 4);
}

static void more_holds_a_small_segment_back(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint64_t before = world->now;
    char buffer[16];

    send_text(world, pair.client, "head ", MSG_MORE);
    assert_int_equal(receive(world, pair.server, buffer, 16, MSG_DONTWAIT), -EAGAIN);
    send_text(world, pair.client, "body", 0);
    assert_int_equal(receive(world, pair.server, buffer, 16, MSG_DONTWAIT), 9);
    send_text(world, pair.client, "tail", MSG_MORE);
    set_int(world, pair.client, SOL_SOCKET, SO_KEEPALIVE, 1); /* which has nothing to do with it */
    assert_int_equal(receive(world, pair.server, buffer, 16, MSG_DONTWAIT), -EAGAIN);
    assert_int_equal(receive(world, pair.server, buffer, 16, 0), 4); /* by its time limit */
    assert_in_range(world->now - before, 100000, 1000000);
}

static void epoll_tells_edges_and_levels(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    int epoll = sockets_epoll_create(world->sockets);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLET, .data.u32 = 7}, got[4];
    char buffer[16];

    assert_int_equal(sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_ADD, pair.server, &wanted),
                     0);
    assert_int_equal(sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_ADD, pair.server, &wanted),
                     -EEXIST);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 0);
    send_text(world, pair.client, "one", 0);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 1000), 1);
    assert_int_equal(got[0].events, EPOLLIN);
    assert_int_equal(got[0].data.u32, 7);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 0);
    send_text(world, pair.client, "two", 0);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 1);
    wanted.events = EPOLLIN | EPOLLONESHOT;
    sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_MOD, pair.server, &wanted);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 1);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 0);
    wanted.events = EPOLLIN;
    sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_MOD, pair.server, &wanted);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 1);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 1);
    receive(world, pair.server, buffer, 16, 0);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 5), 0);
    sockets_close(world->sockets, pair.server); /* and nobody watches it any more */
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, got, 4, 0), 0);
    assert_int_equal(sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_DEL, pair.server, NULL),
                     -EBADF);
}

static void options_and_what_is_known(void **state)
{
    struct world *world = *state;
    struct pair pair;
    struct tcp_info info;
    socklen_t length = sizeof(info);
    int waiting = -1;

    pair.listener = listener(world);
    assert_int_equal(set_int(world, pair.listener, IPPROTO_TCP, TCP_MAXSEG, 1000), 0);
    pair.client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, pair.client, PORT), 0);
    pair.server = sockets_accept(world->sockets, pair.listener, NULL, NULL, 0);
    assert_in_range(get_int(world, pair.client, IPPROTO_TCP, TCP_MAXSEG), 900, 1000);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_SNDBUF, 20000), 0);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_SNDBUF), 40000);
    assert_int_equal(get_int(world, pair.client, IPPROTO_TCP, TCP_KEEPIDLE), 7200);
    assert_int_equal(get_int(world, pair.listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    send_text(world, pair.client, "four", 0);
    assert_int_equal(sockets_ioctl(world->sockets, pair.server, SIOCINQ, &waiting), 0);
    assert_int_equal(waiting, 4);
    assert_int_equal(
        sockets_getsockopt(world->sockets, pair.client, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_state, 1 /* TCP_ESTABLISHED */);
    assert_true(info.tcpi_snd_cwnd > 0);
    assert_int_equal(info.tcpi_ca_state, TCP_CA_Open);
    assert_int_equal(info.tcpi_snd_ssthresh, 0x7fffffff);
    assert_int_equal(info.tcpi_unacked, 0);
    assert_int_equal(info.tcpi_bytes_sent, 4);
    assert_int_equal(info.tcpi_bytes_retrans, 0);
    assert_int_equal(info.tcpi_data_segs_out, 1);
    assert_int_equal(info.tcpi_segs_out, 3);  /* SYN, ACK, data */
    assert_int_equal(info.tcpi_delivered, 2); /* with the SYN */
    assert_int_equal(info.tcpi_pmtu, 1500);
    assert_int_equal(info.tcpi_reordering, 3);
    length = sizeof(info);
    assert_int_equal(
        sockets_getsockopt(world->sockets, pair.server, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    assert_int_equal(info.tcpi_bytes_received, 4);
    assert_int_equal(info.tcpi_data_segs_in, 1);
    assert_int_equal(info.tcpi_segs_in, 3);
    assert_int_equal(info.tcpi_ato, 40000);
    assert_int_equal(info.tcpi_busy_time, 0);
}

/* Programs built for a kernel with more than Debian's header has ask for more. */
static void what_newer_kernels_know_too(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint8_t room[512];
    socklen_t length = sizeof(room);
    uint32_t rcv_wnd;

    memset(room, 0xff, sizeof(room));
    assert_int_equal(
        sockets_getsockopt(world->sockets, pair.client, IPPROTO_TCP, TCP_INFO, room, &length), 0);
    assert_int_equal(length, sizeof(room));
    memcpy(&rcv_wnd, room + 232, sizeof(rcv_wnd)); /* tcpi_rcv_wnd */
    assert_true(rcv_wnd >= 60000 && rcv_wnd < 1 << 30);
    for (size_t i = 236; i < sizeof(room); i++) /* nothing timed out, nothing else is known */
        assert_int_equal(room[i], 0);
}

static uint32_t known(struct world *world, int fd, size_t place)
{
    uint8_t room[280];
    socklen_t length = sizeof(room);
    uint32_t value;

    assert_int_equal(sockets_getsockopt(world->sockets, fd, IPPROTO_TCP, TCP_INFO, room, &length),
                     0);
    memcpy(&value, room + place, sizeof(value));
    return value;
}

static void accurate_ecn_is_known(void **state)
{
    enum {
        delivered_e0 = 256,
        received_e0 = 268,
        how = 276
    }; /* of struct tcp_info since Linux 6.18 */
    struct world *world = *state;
    struct pair pair;

    utcp_set_flags(world->stack, UTCP_ASK_ACCURATE_ECN);
    pair = connected(world);
    send_text(world, pair.client, "four", 0);
    assert_int_equal(known(world, pair.server, received_e0), 4);
    send_text(world, pair.server, "seven", 0);
    assert_int_equal(known(world, pair.client, received_e0), 5);
    assert_int_equal(known(world, pair.client, delivered_e0), 4);
    assert_int_equal(known(world, pair.client, how), 2 | 2 << 2); /* with options that arrive */
    for (size_t place = 248; place < how; place += 4)             /* nothing was marked */
        if (place != delivered_e0 && place != received_e0)
            assert_int_equal(known(world, pair.client, place), 0);
}

static void what_ip_carries_can_be_chosen(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    const uint8_t *bytes;

    assert_int_equal(get_int(world, pair.client, IPPROTO_IP, IP_TTL), 64);
    assert_int_equal(set_int(world, pair.client, IPPROTO_IP, IP_TTL, 256), -EINVAL);
    assert_int_equal(set_int(world, pair.client, IPPROTO_IP, IP_TTL, 9), 0);
    assert_int_equal(set_int(world, pair.client, IPPROTO_IP, IP_TOS, 0xb8), 0);
    bytes = world->packets[world->tail % PACKETS_MAX].bytes;
    send_text(world, pair.client, "four", 0);
    assert_int_equal(bytes[1], 0xb8);
    assert_int_equal(bytes[8], 9);
}

static void a_keepalive_gives_a_dead_peer_up(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint64_t before = world->now;
    char buffer[4];

    set_int(world, pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 5);
    set_int(world, pair.client, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_int(world, pair.client, IPPROTO_TCP, TCP_KEEPCNT, 3);
    set_int(world, pair.client, SOL_SOCKET, SO_KEEPALIVE, 1);
    world->cut = true;
    assert_int_equal(receive(world, pair.client, buffer, 4, 0), -ETIMEDOUT);
    assert_in_range(world->now - before, 7900000, 8200000);
}

static int fast_listener(struct world *world)
{
    int fd = listener(world);

    sockets_set_fast_open(world->sockets, SOCKETS_FAST_OPEN_CLIENT | SOCKETS_FAST_OPEN_SERVER);
    assert_int_equal(set_int(world, fd, IPPROTO_TCP, TCP_FASTOPEN, 8), 0);
    return fd;
}

static ssize_t send_fast(struct world *world, int fd, const char *text, int flags)
{
    const struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};
    struct sockaddr_in address = server_address(PORT);

    return sockets_send_to(world->sockets, fd, &piece, 1, MSG_FASTOPEN | flags,
                           (struct sockaddr *)&address, sizeof(address));
}

/* Whether the SYN's data were taken. */
static bool went_with_the_syn(struct world *world, int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    assert_int_equal(sockets_getsockopt(world->sockets, fd, IPPROTO_TCP, TCP_INFO, &info, &length),
                     0);
    return info.tcpi_options & 32; /* TCPI_OPT_SYN_DATA */
}

static void data_go_with_the_syn_when_there_is_a_cookie(void **state)
{
    struct world *world = *state;
    int listening = fast_listener(world);
    char buffer[16];

    for (unsigned i = 0; i < 3; i++) {
        int client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0), server;
        int flags = i == 2 ? 0 : MSG_DONTWAIT;

        assert_int_equal(send_fast(world, client, "hello", flags), i == 0 ? -EINPROGRESS : 5);
        server = sockets_accept(world->sockets, listening, NULL, NULL, 0);
        assert_true(server >= 0);
        if (i == 0)
            assert_int_equal(send_text(world, client, "hello", 0), 5);
        assert_int_equal(receive(world, server, buffer, sizeof(buffer), 0), 5);
        assert_int_equal(went_with_the_syn(world, client), i > 0);
        assert_int_equal(went_with_the_syn(world, server), i > 0);
        /* who waited was told that it is connected, the others are so by this */
        assert_int_equal(send_fast(world, client, "again", flags), i == 2 ? -EISCONN : 5);
        sockets_close(world->sockets, client);
        sockets_close(world->sockets, server);
    }
}

static void a_connect_is_put_off_to_the_first_write(void **state)
{
    struct world *world = *state;
    int listening = fast_listener(world);
    char buffer[16];

    for (unsigned i = 0; i < 2; i++) {
        int client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int server;

        assert_int_equal(set_int(world, client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), 0);
        assert_int_equal(connect_to(world, client, PORT), i ? 0 : -EINPROGRESS);
        if (i) {
            assert_int_equal(connect_to(world, client, PORT), -EISCONN);
            assert_int_equal(poll_one(world, client, POLLIN | POLLOUT), POLLOUT);
            assert_int_equal(receive(world, client, buffer, 4, 0), -EAGAIN);
            assert_int_equal(set_int(world, client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EINVAL);
        }
        assert_int_equal(send_text(world, client, "hello", 0), 5);
        server = sockets_accept(world->sockets, listening, NULL, NULL, 0);
        assert_int_equal(receive(world, server, buffer, sizeof(buffer), 0), 5);
        assert_int_equal(went_with_the_syn(world, server), i);
    }
}

static void an_accepted_socket_may_be_in_its_handshake_and_be_reset(void **state)
{
    struct world *world = *state;
    int listening = fast_listener(world), client, server;
    const struct linger at_once = {.l_onoff = 1};
    char buffer[16];

    for (unsigned i = 0; i < 2; i++) {
        client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
        send_fast(world, client, "hello", MSG_DONTWAIT);
    }
    server = sockets_accept(world->sockets, listening, NULL, NULL, 0);
    sockets_close(world->sockets, server);
    assert_int_equal(sockets_setsockopt(world->sockets, client, SOL_SOCKET, SO_LINGER, &at_once,
                                        sizeof(at_once)),
                     0);
    sockets_close(world->sockets, client);
    server = sockets_accept(world->sockets, listening, NULL, NULL, 0);
    assert_true(server >= 0);
    assert_int_equal(receive(world, server, buffer, sizeof(buffer), 0), 5);
    assert_int_equal(receive(world, server, buffer, sizeof(buffer), 0), -ECONNRESET);
    assert_int_equal(receive(world, server, buffer, sizeof(buffer), 0), 0);
}

static void fast_open_is_for_whom_it_was_allowed(void **state)
{
    struct world *world = *state;
    int client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    uint8_t key[32] = {1, 2, 3}, got[32];
    socklen_t length = sizeof(got);
    struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
    struct pair pair = connected(world);

    sockets_set_fast_open(world->sockets, 0);
    assert_int_equal(set_int(world, client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1), -EOPNOTSUPP);
    assert_int_equal(send_fast(world, client, "x", 0), -EOPNOTSUPP);
    sockets_set_fast_open(world->sockets, SOCKETS_FAST_OPEN_CLIENT);
    assert_int_equal(sockets_send_to(world->sockets, client, NULL, 0, MSG_FASTOPEN, &unspecified,
                                     sizeof(unspecified)),
                     -EOPNOTSUPP);
    assert_int_equal(set_int(world, client, IPPROTO_TCP, TCP_FASTOPEN, -1), -EINVAL);
    assert_int_equal(set_int(world, pair.client, IPPROTO_TCP, TCP_FASTOPEN, 1), -EINVAL);
    assert_int_equal(set_int(world, pair.listener, IPPROTO_TCP, TCP_FASTOPEN, 7), 0);
    assert_int_equal(get_int(world, pair.listener, IPPROTO_TCP, TCP_FASTOPEN), 7);
    for (socklen_t size = 0; size <= sizeof(key); size++)
        assert_int_equal(sockets_setsockopt(world->sockets, pair.listener, IPPROTO_TCP,
                                            TCP_FASTOPEN_KEY, key, size),
                         size == 16 || size == 32 ? 0 : -EINVAL);
    assert_int_equal(sockets_getsockopt(world->sockets, pair.listener, IPPROTO_TCP,
                                        TCP_FASTOPEN_KEY, got, &length),
                     0);
    assert_int_equal(length, 32);
    assert_memory_equal(got, key, 32);
}

static uint32_t unacknowledged(struct world *world, int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    assert_int_equal(sockets_getsockopt(world->sockets, fd, IPPROTO_TCP, TCP_INFO, &info, &length),
                     0);
    return info.tcpi_unacked;
}

static void let_pass(struct world *world, uint64_t us)
{
    uint64_t until = world->now + us;

    while (world->now < until)
        assert_true(wait_within(world, until));
}

/* Each sends when the other has: then an answer brings the acknowledgment, and none is hurried. */
static void who_answers_soon_delays_its_acknowledgments(void **state)
{
    struct world *world = *state;
    char buffer[16];

    for (unsigned soon = 0; soon < 2; soon++) {
        struct pair pair = connected(world);

        assert_int_equal(send_text(world, pair.client, "ask", 0), 3);
        assert_int_equal(unacknowledged(world, pair.client), 0); /* hurried, as at every start */
        assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 3);
        let_pass(world, soon ? 20000 : 60000);
        assert_int_equal(send_text(world, pair.server, "answer", 0), 6);
        assert_int_equal(send_text(world, pair.client, "again", 0), 5);
        assert_int_equal(unacknowledged(world, pair.client), soon);
        let_pass(world, 50000);
        assert_int_equal(unacknowledged(world, pair.client), 0);
        sockets_close(world->sockets, pair.client);
        sockets_close(world->sockets, pair.server);
        sockets_close(world->sockets, pair.listener);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_conversation_and_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_blocking_every_call_says_what_it_waits_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(errors_are_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_arguments_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_listener_without_a_name_gets_a_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_blocking_write_waits_for_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_ends_by_its_time_limit_and_waits_for_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_holds_a_small_segment_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(epoll_tells_edges_and_levels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(options_and_what_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_newer_kernels_know_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accurate_ecn_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_ip_carries_can_be_chosen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_keepalive_gives_a_dead_peer_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_go_with_the_syn_when_there_is_a_cookie, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connect_is_put_off_to_the_first_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_accepted_socket_may_be_in_its_handshake_and_be_reset,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_answers_soon_delays_its_acknowledgments, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(fast_open_is_for_whom_it_was_allowed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
