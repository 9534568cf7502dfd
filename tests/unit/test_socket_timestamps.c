/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets on UTCP: SO_TIMESTAMPING and its older kin. */
#include <sys/time.h>
#include <time.h> /* errqueue.h needs it */

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "sockets_world.h"

#define SENT_AND_ACKED                                                                             \
    (SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |          \
     SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID)

/* What a recvmsg() has given. */
struct given {
    ssize_t result;
    int flags;
    bool stamped, noted;
    struct scm_timestamping stamp;
    struct sock_extended_err note;
    struct timeval coarse;
    struct timespec fine;
};

static struct given receive_message(struct world *world, int fd, size_t size, int flags)
{
    uint8_t control[512];
    char buffer[100];
    struct iovec piece = {buffer, size};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct given given = {.result = sockets_receive_message(world->sockets, fd, &message, flags)};

    if (given.result < 0)
        return given;
    given.flags = message.msg_flags;
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_TIMESTAMPING) {
            given.stamped = true;
            memcpy(&given.stamp, CMSG_DATA(at), sizeof(given.stamp));
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_TIMESTAMP) {
            memcpy(&given.coarse, CMSG_DATA(at), sizeof(given.coarse));
        } else if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&given.fine, CMSG_DATA(at), sizeof(given.fine));
        } else {
            assert_int_equal(at->cmsg_type, IP_RECVERR);
            given.noted = true;
            memcpy(&given.note, CMSG_DATA(at), sizeof(given.note));
        }
    }
    return given;
}

static uint64_t us_of(struct timespec time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void expect_note(struct world *world, int fd, uint32_t what, uint32_t number, uint64_t at)
{
    struct given given = receive_message(world, fd, 0, MSG_ERRQUEUE);

    assert_int_equal(given.result, 0);
    assert_int_equal(given.flags, MSG_ERRQUEUE | MSG_TRUNC);
    assert_true(given.stamped && given.noted);
    assert_int_equal(us_of(given.stamp.ts[0]), at);
    assert_int_equal(given.note.ee_errno, ENOMSG);
    assert_int_equal(given.note.ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
    assert_int_equal(given.note.ee_info, what);
    assert_int_equal(given.note.ee_data, number);
}

static void expect_no_note(struct world *world, int fd)
{
    assert_int_equal(receive_message(world, fd, 0, MSG_ERRQUEUE).result, -EAGAIN);
}

static void a_send_is_stamped_when_it_leaves_and_is_acknowledged(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint64_t sent;

    assert_int_equal(send_text(world, pair.client, "not asked", 0), 9);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, SENT_AND_ACKED), 0);
    assert_int_equal(get_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING), SENT_AND_ACKED);
    while (utcp_deadline(world->stack) != UINT64_MAX && sockets_owns(world->sockets, pair.client) &&
           world->now < 2000000)
        assert_true(wait_within(world, 2000000)); /* until all is acknowledged */
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, 0), 0);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, SENT_AND_ACKED), 0);
    sent = world->now;
    assert_int_equal(send_text(world, pair.client, "hello", 0), 5);
    assert_int_equal(poll_one(world, pair.client, POLLIN), POLLERR);
    expect_note(world, pair.client, SCM_TSTAMP_SCHED, 4, sent);
    expect_note(world, pair.client, SCM_TSTAMP_SND, 4, sent);
    while (!poll_one(world, pair.client, 0))
        assert_true(wait_within(world, UINT64_MAX));
    expect_note(world, pair.client, SCM_TSTAMP_ACK, 4, world->now);
    expect_no_note(world, pair.client);
    assert_int_equal(poll_one(world, pair.client, POLLIN), 0);
}

static void what_is_reported_follows_the_options(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    struct given given;

    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, 1 << 30), -EINVAL);
    assert_int_equal(
        set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_OPT_STATS),
        -EINVAL);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, 1 << 16), -EINVAL);
    assert_int_equal(set_int(world, pair.listener, SOL_SOCKET, SO_TIMESTAMPING, SENT_AND_ACKED),
                     -EINVAL);
    assert_int_equal(set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING,
                             SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY),
                     0);
    assert_int_equal(send_text(world, pair.client, "hello", 0), 5);
    given = receive_message(world, pair.client, 0, MSG_ERRQUEUE);
    assert_int_equal(given.flags, MSG_ERRQUEUE);
    assert_false(given.stamped); /* nobody has said which clock */
    assert_int_equal(given.note.ee_info, SCM_TSTAMP_SND);
    assert_int_equal(given.note.ee_data, 0);
    expect_no_note(world, pair.client);
}

/* For one send, by its control message. */
static void a_single_send_may_be_stamped(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(uint32_t))];
    } control = {.header = {CMSG_LEN(sizeof(uint32_t)), SOL_SOCKET, SO_TIMESTAMPING}};
    uint32_t flags = SOF_TIMESTAMPING_TX_SCHED;
    struct iovec piece = {(char[]){"hello"}, 5};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    assert_int_equal(
        set_int(world, pair.client, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_SOFTWARE), 0);
    memcpy(CMSG_DATA(&control.header), &flags, sizeof(flags));
    assert_int_equal(sockets_send_message(world->sockets, pair.client, &message, 0), 5);
    expect_note(world, pair.client, SCM_TSTAMP_SCHED, 0, world->now);
    assert_int_equal(send_text(world, pair.client, "again", 0), 5);
    expect_no_note(world, pair.client);
    flags = SOF_TIMESTAMPING_OPT_ID;
    memcpy(CMSG_DATA(&control.header), &flags, sizeof(flags));
    assert_int_equal(sockets_send_message(world->sockets, pair.client, &message, 0), -EINVAL);
    control.header.cmsg_len = 1;
    assert_int_equal(sockets_send_message(world->sockets, pair.client, &message, 0), -EINVAL);
    control.header = (struct cmsghdr){CMSG_LEN(sizeof(flags)), SOL_SOCKET, SO_ERROR};
    assert_int_equal(sockets_send_message(world->sockets, pair.client, &message, 0), -EINVAL);
    control.header.cmsg_level = IPPROTO_IP; /* of others nothing is known, and nothing wanted */
    assert_int_equal(sockets_send_message(world->sockets, pair.client, &message, 0), 5);
}

static void what_is_read_has_a_stamp(void **state)
{
    struct world *world = *state;
    struct pair pair = connected(world);
    uint64_t came;
    struct given given;

    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_TIMESTAMPING,
                             SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE),
                     0);
    came = world->now;
    assert_int_equal(send_text(world, pair.client, "twelve bytes", 0), 12);
    world->now += 5000;
    given = receive_message(world, pair.server, 4, MSG_PEEK);
    assert_int_equal(given.result, 4);
    assert_false(given.stamped);
    given = receive_message(world, pair.server, 4, 0);
    assert_int_equal(given.result, 4);
    assert_int_equal(us_of(given.stamp.ts[0]), came);
    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_TIMESTAMPING, 0), 0);
    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_TIMESTAMPNS, 1), 0);
    assert_int_equal(send_text(world, pair.client, "and more", 0), 8);
    given = receive_message(world, pair.server, 100, 0);
    assert_int_equal(given.result, 16);
    assert_int_equal(us_of(given.fine), world->now);
    assert_false(given.stamped);
    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_TIMESTAMPNS, 0), 0);
    assert_int_equal(set_int(world, pair.server, SOL_SOCKET, SO_TIMESTAMP, 1), 0);
    assert_int_equal(send_text(world, pair.client, "and more", 0), 8);
    given = receive_message(world, pair.server, 100, 0);
    assert_int_equal((uint64_t)given.coarse.tv_sec * 1000000 + (uint64_t)given.coarse.tv_usec,
                     world->now);
    sockets_close(world->sockets, pair.client);
    given = receive_message(world, pair.server, 100, 0);
    assert_int_equal(given.result, 0);
    assert_int_equal(given.coarse.tv_sec, 0); /* the end is no data */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_send_is_stamped_when_it_leaves_and_is_acknowledged,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_reported_follows_the_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_single_send_may_be_stamped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_read_has_a_stamp, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
