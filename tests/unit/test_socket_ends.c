/* SPDX-License-Identifier: BSD-2-Clause */
/* How connections of sockets end and begin again, and what calls say before, between and after. What is expected is
 * what the manual pages say, and what Linux 6.18 answered to the same calls under packetdrill. */
#include <poll.h>
#include <sys/ioctl.h>

#include "sockets_world.h"

#include <linux/sockios.h>

static int nonblocking(struct world *world)
{
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    return fd;
}

static int dissolve(struct world *world, int fd)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    return sockets_connect(world->sockets, fd, &nobody, sizeof(nobody));
}

static uint16_t port_of(struct world *world, int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof(name);

    assert_int_equal(sockets_getsockname(world->sockets, fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.sin_port);
}

static void an_attempt_whose_error_was_told_ends_once_more(void **state)
{
    struct world *world = *state;
    int fd = nonblocking(world);
    uint16_t first;
    char byte = 0;

    assert_int_equal(connect_to(world, fd, 9), -EINPROGRESS);
    first = port_of(world, fd);
    assert_true(poll_one(world, fd, POLLOUT) & POLLERR);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
    assert_int_equal(receive(world, fd, &byte, 1, 0), 0);
    assert_int_equal(connect_to(world, fd, 9), -ECONNABORTED);
    listener(world);
    assert_int_equal(connect_to(world, fd, PORT), -EINPROGRESS);
    assert_int_not_equal(port_of(world, fd), first); /* nobody had bound it */
    assert_int_equal(connect_to(world, fd, PORT), 0);
}

static void a_bound_port_stays_for_the_next_attempt(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(5555)};
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);

    assert_int_equal(sockets_bind(world->sockets, fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(connect_to(world, fd, 9), -ECONNREFUSED);
    assert_int_equal(port_of(world, fd), 5555);
    listener(world);
    assert_int_equal(connect_to(world, fd, PORT), 0);
}

static int bind_to(struct world *world, int fd, uint32_t address, uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};

    return sockets_bind(world->sockets, fd, (struct sockaddr *)&name, sizeof(name));
}

static void a_name_is_one_sockets_unless_both_say_so(void **state)
{
    struct world *world = *state;
    int first = listener(world), fds[3];

    for (int i = 0; i < 3; i++)
        fds[i] = nonblocking(world);
    assert_int_equal(bind_to(world, fds[0], 0x0a000001, PORT), -EADDRINUSE);
    assert_int_equal(bind_to(world, fds[0], INADDR_ANY, PORT), -EADDRINUSE);
    set_int(world, fds[0], SOL_SOCKET, SO_REUSEADDR, 1);
    assert_int_equal(bind_to(world, fds[0], INADDR_ANY, PORT), -EADDRINUSE);
    set_int(world, first, SOL_SOCKET, SO_REUSEADDR, 1);
    assert_int_equal(bind_to(world, fds[0], INADDR_ANY, PORT), -EADDRINUSE); /* it listens */
    assert_int_equal(bind_to(world, fds[0], 0x0a000003, PORT), 0);
    set_int(world, fds[1], SOL_SOCKET, SO_REUSEADDR, 1);
    assert_int_equal(bind_to(world, fds[1], 0x0a000003, PORT),
                     0); /* which may listen, whoever is first */
    assert_int_equal(sockets_close(world->sockets, first), 0);
    assert_int_equal(bind_to(world, fds[2], 0x0a000001, PORT), 0);
}

static void a_connection_is_dissolved_by_an_unspecified_name(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char byte = 0;

    assert_int_equal(dissolve(world, pair.client), 0);
    assert_int_equal(receive(world, pair.server, &byte, 1, 0), -ECONNRESET);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_ERROR), ECONNRESET);
    assert_int_equal(receive(world, pair.client, &byte, 1, 0), -ENOTCONN);
    assert_int_equal(connect_to(world, pair.client, PORT), 0);
    assert_int_equal(dissolve(world, pair.listener), 0);
    assert_int_equal(sockets_accept(world->sockets, pair.listener, NULL, NULL, 0), -EINVAL);
}

static void shutdown_says_whether_there_is_a_connection(void **state)
{
    struct world *world = *state;
    struct pair pair;
    int fd = nonblocking(world);
    char byte = 0;

    assert_int_equal(sockets_shutdown(world->sockets, fd, SHUT_RD), -ENOTCONN);
    assert_int_equal(receive(world, fd, &byte, 1, 0), 0); /* it holds all the same */
    assert_int_equal(poll_one(world, fd, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP | POLLHUP);

    pair = connected(world);
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_WR), 0);
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_WR), 0);
    assert_int_equal(sockets_shutdown(world->sockets, pair.server, SHUT_WR), 0);
    assert_int_equal(sockets_shutdown(world->sockets, pair.server, SHUT_WR),
                     -ENOTCONN); /* CLOSED */
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_RD),
                     -ENOTCONN); /* TIME-WAIT */
}

static void shutdown_in_the_handshake_is_its_end(void **state)
{
    struct world *world = *state;
    int fd = nonblocking(world);

    listener(world);
    world->cut = true;
    assert_int_equal(connect_to(world, fd, PORT), -EINPROGRESS);
    assert_int_equal(sockets_shutdown(world->sockets, fd, SHUT_RDWR), 0);
    assert_int_equal(poll_one(world, fd, POLLIN | POLLOUT), POLLOUT | POLLERR | POLLHUP);
    assert_int_equal(get_int(world, fd, SOL_SOCKET, SO_ERROR), ECONNRESET);
    world->cut = false;
    assert_int_equal(connect_to(world, fd, PORT), -EINPROGRESS);
}

static void a_reset_behind_the_peers_end_is_a_broken_pipe(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char byte = 0;

    assert_int_equal(send_text(world, pair.client, "x", 0), 1);
    assert_int_equal(sockets_shutdown(world->sockets, pair.client, SHUT_WR), 0);
    assert_int_equal(receive(world, pair.server, &byte, 1, 0), 1);
    assert_int_equal(receive(world, pair.server, &byte, 1, 0), 0);
    assert_int_equal(dissolve(world, pair.client), 0);
    assert_true(poll_one(world, pair.server, POLLIN) & POLLERR);
    assert_int_equal(get_int(world, pair.server, SOL_SOCKET, SO_ERROR), EPIPE);
    assert_int_equal(receive(world, pair.server, &byte, 1, 0), 0);
}

static void close_lingers_for_the_last_acknowledgment(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    const struct linger patient = {1, 3};
    uint64_t before;

    sockets_setsockopt(world->sockets, pair.client, SOL_SOCKET, SO_LINGER, &patient,
                       sizeof(patient));
    before = world->now;
    assert_int_equal(sockets_close(world->sockets, pair.client), 0);
    assert_in_range(world->now - before, 0, 200000); /* it is there soon */
    world->cut = true;
    sockets_setsockopt(world->sockets, pair.server, SOL_SOCKET, SO_LINGER, &patient,
                       sizeof(patient));
    before = world->now;
    assert_int_equal(sockets_close(world->sockets, pair.server), 0);
    assert_in_range(world->now - before, 3000000, 3000001);
}

static void a_peek_sees_all_that_is_there(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    static char data[10000], seen[sizeof(data)];
    const struct iovec piece = {data, sizeof(data)};

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 256);
    assert_int_equal(sockets_send(world->sockets, pair.client, &piece, 1, 0), sizeof(data));
    while (get_int(world, pair.server, SOL_SOCKET, SO_ERROR) == 0 &&
           receive(world, pair.server, seen, sizeof(seen), MSG_PEEK) < (ssize_t)sizeof(seen))
        assert_true(wait_within(world, UINT64_MAX));
    assert_memory_equal(seen, data, sizeof(data));
    memset(seen, 0, sizeof(seen));
    assert_int_equal(receive(world, pair.server, seen, sizeof(seen), MSG_PEEK | MSG_WAITALL),
                     sizeof(seen));
    assert_int_equal(receive(world, pair.server, seen, sizeof(seen), 0), sizeof(seen));
    assert_memory_equal(seen, data, sizeof(data));
}

static void a_blocking_read_waits_for_the_low_water_mark(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    const struct timeval limit = {.tv_sec = 1};
    char buffer[16];

    set_int(world, pair.server, SOL_SOCKET, SO_RCVLOWAT, 4);
    sockets_setsockopt(world->sockets, pair.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    send_text(world, pair.client, "ab", 0);
    assert_int_equal(receive(world, pair.server, buffer, 2, 0), 2); /* no more was asked for */
    send_text(world, pair.client, "abc", 0);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_DONTWAIT), 1);
    assert_int_equal(receive(world, pair.server, buffer, 16, 0), 2); /* by its time limit */
    assert_int_equal(receive(world, pair.server, buffer, 0, MSG_DONTWAIT), -EAGAIN);
    send_text(world, pair.client, "d", 0);
    assert_int_equal(receive(world, pair.server, buffer, 0, MSG_DONTWAIT), 0);
}

static void calls_without_a_connection_and_flags_that_mean_nothing(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = server_address(PORT);
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0), number = -1;
    const struct iovec piece = {"x", 1};
    struct pair pair;
    char byte = 0;

    assert_int_equal(sockets_send_to(world->sockets, fd, &piece, 1, 0, (struct sockaddr *)&address,
                                     sizeof(address)),
                     -EPIPE);
    assert_int_equal(sockets_send(world->sockets, fd, &piece, 0, 0), -EPIPE);
    assert_int_equal(sockets_ioctl(world->sockets, fd, SIOCINQ, &number), 0);
    assert_int_equal(number, 0);
    pair = connected(world);
    assert_int_equal(sockets_ioctl(world->sockets, pair.listener, SIOCINQ, &number), -EINVAL);
    assert_int_equal(send_text(world, pair.client, "x", MSG_DONTROUTE | MSG_CONFIRM | MSG_PEEK), 1);
    assert_int_equal(receive(world, pair.server, &byte, 1, MSG_CONFIRM | MSG_MORE), 1);
    assert_int_equal(sockets_send_to(world->sockets, pair.client, &piece, 1, MSG_FASTOPEN,
                                     (struct sockaddr *)&address, sizeof(address)),
                     -EISCONN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_attempt_whose_error_was_told_ends_once_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_bound_port_stays_for_the_next_attempt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_one_sockets_unless_both_say_so, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connection_is_dissolved_by_an_unspecified_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(shutdown_says_whether_there_is_a_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(shutdown_in_the_handshake_is_its_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reset_behind_the_peers_end_is_a_broken_pipe, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(close_lingers_for_the_last_acknowledgment, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_peek_sees_all_that_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_blocking_read_waits_for_the_low_water_mark, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(calls_without_a_connection_and_flags_that_mean_nothing,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
