/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets on UTCP: what recvmsg(2) tells beside data, and a writer that waits for what was not sent. */
#include <time.h> /* errqueue.h needs it */

#include <linux/errqueue.h>
#include <linux/tcp.h>

#include "sockets_world.h"

/* What recvmsg() gives beside data: the control message is copied to `control`. Returns its result. */
static ssize_t receive_message(struct world *world, int fd, size_t size, int flags, void *control,
                               size_t control_size, struct msghdr *message)
{
    static char buffer[4096];
    static struct iovec piece;

    piece = (struct iovec){buffer, size};
    *message = (struct msghdr){
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = control_size};
    return sockets_receive_message(world->sockets, fd, message, flags);
}

static struct sock_extended_err note_of(struct world *world, int fd)
{
    uint8_t control[256];
    struct msghdr message;
    struct sock_extended_err error;
    const struct cmsghdr *header;

    assert_int_equal(
        receive_message(world, fd, 0, MSG_ERRQUEUE, control, sizeof(control), &message), 0);
    assert_true(message.msg_flags & MSG_ERRQUEUE);
    header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    assert_int_equal(header ? header->cmsg_type : 0, IP_RECVERR);
    memcpy(&error, control + CMSG_LEN(0), sizeof(error));
    return error;
}

static void zero_copy_sends_are_noted(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    int fresh = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    uint8_t control[64];
    struct msghdr message;
    struct sock_extended_err note;

    assert_int_equal(send_text(world, pair.client, "without leave", MSG_ZEROCOPY), 13);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), POLLOUT);
    assert_int_equal(set_int(world, fresh, SOL_SOCKET, SO_ZEROCOPY, 1), 0);
    assert_int_equal(send_text(world, fresh, "nowhere", MSG_ZEROCOPY), -EPIPE);
    assert_int_equal(receive_message(world, fresh, 0, MSG_ERRQUEUE, control, 64, &message),
                     -EAGAIN);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_ZEROCOPY, 1), 0);
    assert_int_equal(send_text(world, pair.client, "one", MSG_ZEROCOPY), 3);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), POLLOUT | POLLERR);
    assert_int_equal(send_text(world, pair.client, "two", MSG_ZEROCOPY), 3);
    note = note_of(world, pair.client);
    assert_int_equal(note.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    assert_int_equal(note.ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
    assert_int_equal(note.ee_info, 0);
    assert_int_equal(note.ee_data, 1);
    assert_int_equal(send_text(world, pair.client, "three", MSG_ZEROCOPY), 5);
    assert_int_equal(note_of(world, pair.client).ee_info, 2);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), POLLOUT);
    assert_int_equal(send_text(world, pair.client, "four", MSG_ZEROCOPY), 4);
    /* no room for the note: it is said so */
    assert_int_equal(receive_message(world, pair.client, 0, MSG_ERRQUEUE, control, 8, &message), 0);
    assert_true(message.msg_flags & MSG_CTRUNC);
    assert_int_equal(message.msg_controllen, 0);
}

static int left_after(struct world *world, int fd, size_t size)
{
    uint8_t control[CMSG_SPACE(sizeof(int))];
    const struct cmsghdr *header;
    struct msghdr message;
    int left;

    assert_int_equal(receive_message(world, fd, size, 0, control, sizeof(control), &message),
                     (int)size);
    assert_int_equal(message.msg_controllen, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    assert_non_null(header);
    assert_int_equal(header ? header->cmsg_type : 0, TCP_CM_INQ);
    memcpy(&left, control + CMSG_LEN(0), sizeof(left));
    return left;
}

static void a_read_tells_what_is_left(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);

    assert_int_equal(set_int(world, pair.server, IPPROTO_TCP, TCP_INQ, 1), 0);
    assert_int_equal(send_text(world, pair.client, "ten bytes.", 0), 10);
    assert_int_equal(left_after(world, pair.server, 4), 6);
    assert_int_equal(left_after(world, pair.server, 3), 3);
    sockets_close(world->sockets, pair.client);
    assert_int_equal(left_after(world, pair.server, 3), 1); /* the end is something to read, too */
}

static void a_writer_may_wait_for_what_was_not_sent(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    static char data[60000];
    const struct iovec piece = {data, sizeof(data)};
    ssize_t done;

    assert_int_equal(get_int(world, pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0);
    assert_int_equal(set_int(world, pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 4000), 0);
    assert_int_equal(get_int(world, pair.client, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 4000);
    world->cut = true;
    done = sockets_send(world->sockets, pair.client, &piece, 1, MSG_DONTWAIT);
    assert_in_range(done, 4000, sizeof(data) - 1);
    assert_int_equal(poll_one(world, pair.client, POLLOUT), 0);
    world->cut = false;
    while (!poll_one(world, pair.client, POLLOUT))
        assert_true(wait_within(world, UINT64_MAX));
    assert_true(utcp_output_wanted(world->stack) == false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(zero_copy_sends_are_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_read_tells_what_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_may_wait_for_what_was_not_sent, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
