/* SPDX-License-Identifier: BSD-2-Clause */
/* Urgent data as programs with sockets know them, adapters/sockets/urgent.c. What is expected is what tcp(7), send(2) and
 * recv(2) say, and what Linux 6.18 answered to the same calls under packetdrill. */
#include <poll.h>
#include <sys/ioctl.h>

#include "sockets_world.h"

#include <linux/sockios.h>

static int ask(struct world *world, int fd, unsigned long what)
{
    int number = -1;

    assert_int_equal(sockets_ioctl(world->sockets, fd, what, &number), 0);
    return number;
}

static void the_last_urgent_byte_is_out_of_band(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char buffer[64];

    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), -EINVAL);
    assert_int_equal(send_text(world, pair.client, "abc!", MSG_OOB), 4);
    assert_int_equal(send_text(world, pair.client, "def", 0), 3);
    assert_int_equal(poll_one(world, pair.server, POLLIN | POLLPRI), POLLIN | POLLPRI);
    assert_int_equal(ask(world, pair.server, SIOCINQ), 3);
    assert_int_equal(ask(world, pair.server, SIOCATMARK), 0);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), MSG_PEEK), 3);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), MSG_WAITALL), 3);
    assert_memory_equal(buffer, "abc", 3);
    assert_int_equal(ask(world, pair.server, SIOCATMARK), 1);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), MSG_PEEK), 3);
    assert_memory_equal(buffer, "def", 3);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB | MSG_PEEK), 1);
    assert_int_equal(receive(world, pair.server, buffer, 8, MSG_OOB), 1);
    assert_int_equal(buffer[0], '!');
    assert_int_equal(receive(world, pair.server, buffer, 8, MSG_OOB), -EINVAL);
    assert_int_equal(poll_one(world, pair.server, POLLIN | POLLPRI), POLLIN);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 3);
    assert_memory_equal(buffer, "def", 3);
    assert_int_equal(receive(world, pair.server, buffer, 8, MSG_DONTWAIT), -EAGAIN);
}

static void who_reads_beyond_it_has_lost_it(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char buffer[64];

    send_text(world, pair.client, "ab!", MSG_OOB);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 2);
    assert_int_equal(poll_one(world, pair.server, POLLIN | POLLPRI), POLLPRI);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), MSG_DONTWAIT), -EAGAIN);
    send_text(world, pair.client, "cd", 0);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 2);
    assert_memory_equal(buffer, "cd", 2);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), -EINVAL);
}

static void in_line_it_is_read_with_the_stream_up_to_the_mark_first(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char buffer[64];

    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_OOBINLINE, 1), 0);
    send_text(world, pair.client, "ab!", MSG_OOB);
    send_text(world, pair.client, "cd", 0);
    assert_int_equal(poll_one(world, pair.server, POLLIN | POLLPRI), POLLIN | POLLPRI);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), -EINVAL);
    assert_int_equal(ask(world, pair.server, SIOCINQ), 5);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 2);
    assert_int_equal(ask(world, pair.server, SIOCATMARK), 1);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 3);
    assert_memory_equal(buffer, "!cd", 3);
    assert_int_equal(poll_one(world, pair.server, POLLIN | POLLPRI), 0);
}

static void a_second_one_takes_the_firsts_place(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char buffer[64];

    send_text(world, pair.client, "a1", MSG_OOB);
    send_text(world, pair.client, "b2", MSG_OOB);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), 1);
    assert_int_equal(buffer[0], '2');
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0),
                     3); /* it is data now */
    assert_memory_equal(buffer, "a1b", 3);
    /* but not where the stream was read up to it */
    send_text(world, pair.client, "c", 0);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 1);
    send_text(world, pair.client, "3", MSG_OOB);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), 1);
    send_text(world, pair.client, "d4", MSG_OOB);
    assert_int_equal(receive(world, pair.server, buffer, sizeof(buffer), 0), 1);
    assert_int_equal(buffer[0], 'd');
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), 1);
    assert_int_equal(buffer[0], '4');
}

static void it_may_be_told_of_before_it_comes(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    char buffer[64], text[3001];

    memset(text, 'x', 3000);
    text[3000] = '\0';
    world->cut = true;
    send_text(world, pair.client, text, MSG_OOB);
    world->cut = false;
    while (receive(world, pair.server, buffer, 1, MSG_OOB) != 1)
        assert_true(wait_within(world, UINT64_MAX));
    assert_int_equal(ask(world, pair.server, SIOCINQ), 2999);
    assert_int_equal(sockets_close(world->sockets, pair.client), 0);
    assert_int_equal(receive(world, pair.server, buffer, 1, MSG_OOB), -EINVAL);
}

static void edges_tell_of_it(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    int epoll = sockets_epoll_create(world->sockets);
    struct epoll_event wanted = {.events = EPOLLPRI | EPOLLET}, got = {0};
    char byte = 0;

    assert_int_equal(sockets_epoll_ctl(world->sockets, epoll, EPOLL_CTL_ADD, pair.server, &wanted),
                     0);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, &got, 1, 0), 0);
    send_text(world, pair.client, "!", MSG_OOB);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, &got, 1, 0), 1);
    assert_int_equal(got.events, EPOLLPRI);
    assert_int_equal(receive(world, pair.server, &byte, 1, MSG_OOB), 1);
    assert_int_equal(sockets_epoll_wait(world->sockets, epoll, &got, 1, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_urgent_byte_is_out_of_band, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_reads_beyond_it_has_lost_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_line_it_is_read_with_the_stream_up_to_the_mark_first,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_one_takes_the_firsts_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_may_be_told_of_before_it_comes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(edges_tell_of_it, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
