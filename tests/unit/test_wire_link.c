/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a wire in one process: how they meet, what they carry, and what one end may do to the
 * other (common/wire_meeting.h, switch/nic/wire_driver.h). */
#include "wire_world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void frames_of_each_length_arrive_whole(void **state)
{
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    for (uint32_t length = 14; length <= 1514; length++) {
        assert_true(wire_world_right_sends(world, (uint8_t)length, length));
        assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 1);
        wire_world_check_frame(&frames[0], (uint8_t)length, length);
        ops->release(&world->queue);
    }
    assert_int_equal(world->queue.counters.rx_packets, 1501);
}

/* Bytes that differ from frame to frame, and from byte to byte. */
static void fill_frame(uint8_t *frame, uint32_t number, uint32_t length)
{
    memcpy(frame, &number, sizeof(number));
    for (uint32_t i = sizeof(number); i < length; i++)
        frame[i] = (uint8_t)(number * 7 + i + i / 256);
}

/* Short ones by the stage, long ones there or right into the ring, as trials say (ring_near.h): the order is kept. */
static void what_the_switch_sends_arrives_in_order_until_the_ring_is_full(void **state)
{
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    uint32_t sent = 0, received = 0, length;
    uint8_t expected[1514];
    const uint8_t *frame;

    for (uint32_t round = 0; round < 5; round++) {
        uint8_t *place;

        while ((place = ops->reserve(&world->queue, 60 + sent * 17 % 1400))) {
            fill_frame(place, sent, 60 + sent * 17 % 1400);
            ops->commit(&world->queue, 60 + sent * 17 % 1400, NULL);
            sent++;
        }
        assert_true(ops->room(&world->queue) < 2);
        ops->flush(&world->queue);
        assert_true(ring_consumer_refresh(&world->half.rx));
        while (wire_next(&world->half.rx, &length, &frame) == RING_NEXT_PACKET) {
            assert_int_equal(length, 60 + received * 17 % 1400);
            fill_frame(expected, received, length);
            assert_memory_equal(frame, expected, length);
            received++;
        }
        ring_consumer_release(&world->half.rx);
        assert_int_equal(sent, received);
    }
    assert_true(sent > 1000);
    assert_int_equal(world->queue.counters.tx_packets, sent);
}

static void room_is_what_can_be_reserved(void **state)
{
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    uint32_t room = ops->room(&world->queue);

    assert_true(room > 100);
    while (room--) {
        assert_non_null(ops->reserve(&world->queue, world->nic.frame_max));
        ops->commit(&world->queue, world->nic.frame_max, NULL);
    }
    assert_null(ops->reserve(&world->queue, world->nic.frame_max + 1));
}

static void a_sleeper_is_woken_once(void **state)
{
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 0);
    assert_true(ops->sleep(&world->queue));
    assert_int_equal(world->half.tx.control->consumer_sleeps, 1);
    assert_true(wire_world_right_sends(world, 0, 60)); /* takes the flag down */
    assert_int_equal(world->half.tx.control->consumer_sleeps, 0);
    assert_false(ops->sleep(&world->queue));
    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 1);
    ops->release(&world->queue);
    assert_true(ops->sleep(&world->queue));
}

static void nobody_can_write_the_others_frames(void **state)
{
    struct wire_world *world = *state;
    int fd = world->right.link.rx_data;

    assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(ftruncate(world->right.link.tx_data, 0), -1);
    assert_int_equal(ftruncate(world->right.link.control, 0), -1);
}

static void indices_that_no_honest_end_has_break_the_link(void **state)
{
    static const uint32_t tails[] = {1, 63, WIRE_RING_SIZE + 64, 0x80000000, 0u - 64};
    struct wire_world *world = *state;

    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        world->half.tx.control->tail = tails[i];
        world->half.rx.control->head = 0;
        wire_world_check_broken(world);
    }
    world->half.rx.control->head = 64; /* of frames that were never sent */
    wire_world_check_broken(world);
}

static void records_that_reach_too_far_break_the_link(void **state)
{
    static const uint32_t headers[] = {
        61,
        WIRE_LENGTH_MASK,
        WIRE_RECORD_PAD | 60,
        WIRE_RECORD_PAD | WIRE_LENGTH_MASK,
        WIRE_RECORD_PAD,
    };
    struct wire_world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        wire_world_check_broken(world);
    }
}

static void the_link_comes_back_after_either_end_went(void **state)
{
    struct wire_world *world = *state;
    struct nic_frame frames[NIC_BATCH];

    for (int i = 0; i < 4; i++) {
        struct wire_meeting *goes = i % 2 ? &world->left : &world->right;
        struct wire_meeting *stays = i % 2 ? &world->right : &world->left;

        wire_meeting_drop(goes);
        assert_int_equal(wire_meeting_step(stays, world->now_ns), WIRE_DOWN);
        wire_world_meet(world);
        wire_world_give_link(world);
        assert_true(wire_world_right_sends(world, 7, 60));
        assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 1);
        wire_world_check_frame(&frames[0], 7, 60);
        world->queue.ops->release(&world->queue);
    }
}

/* Left comes first, so it is left's size that both have. */
static void who_comes_first_says_how_long_the_rings_are(void **state)
{
    struct wire_world *world = *state;
    struct nic_frame frames[NIC_BATCH];
    uint32_t sent = 0;

    assert_int_equal(world->half.tx.size, WIRE_RING_SIZE);
    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->left.ring_size = WIRE_RING_SIZE_MIN;
    world->right.ring_size = WIRE_RING_SIZE_MAX;
    wire_world_meet(world);
    wire_world_give_link(world);
    assert_int_equal(world->left.link.geometry.end, 0);
    assert_int_equal(world->half.tx.size, WIRE_RING_SIZE_MIN);
    assert_int_equal(world->half.rx.size, WIRE_RING_SIZE_MIN);
    while (sent < WIRE_RING_SIZE_MIN && wire_world_right_sends(world, 7, 60))
        sent++;
    assert_int_equal(sent, WIRE_RING_SIZE_MIN / RING_ALIGN);
    assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), NIC_BATCH);
    wire_world_check_frame(&frames[0], 7, 60);
    world->queue.ops->release(&world->queue);
}

static void a_third_end_is_sent_away(void **state)
{
    struct wire_world *world = *state;
    struct wire_meeting third;

    assert_int_equal(wire_meeting_init(&third, world->path, 1), 0);
    for (int i = 0; i < 10; i++) {
        world->now_ns += 200000000;
        assert_int_equal(wire_meeting_step(&third, world->now_ns), WIRE_NOTHING);
        assert_int_equal(wire_meeting_step(&world->left, world->now_ns), WIRE_NOTHING);
        assert_int_equal(wire_meeting_step(&world->right, world->now_ns), WIRE_NOTHING);
    }
    assert_non_null(third.problem);
    assert_non_null(strstr(third.problem, "two ends already"));
    wire_meeting_dispose(&third);
}

static void ends_with_other_numbers_of_queues_do_not_meet(void **state)
{
    struct wire_world *world = *state;

    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->right.queues = 2;
    for (int i = 0; i < 10; i++) {
        world->now_ns += 200000000;
        assert_int_equal(wire_meeting_step(&world->left, world->now_ns), WIRE_NOTHING);
        assert_int_equal(wire_meeting_step(&world->right, world->now_ns), WIRE_NOTHING);
    }
    assert_non_null(strstr(world->right.problem, "queues"));
}

/* Whoever connects and does not speak as an end does is hung up on, and another may come. */
static void garbage_at_the_path_is_refused(void **state)
{
    static const char garbage[] = "GET / HTTP/1.1\r\n";
    struct wire_world *world = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->now_ns += 1000000000;
    wire_meeting_step(&world->left, world->now_ns);
    assert_int_equal(world->left.state, WIRE_LISTENING);
    strcpy(address.sun_path, world->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
    wire_meeting_step(&world->left, world->now_ns);
    assert_int_equal(world->left.state, WIRE_OFFERED);
    wire_meeting_step(&world->left, world->now_ns);
    assert_int_equal(world->left.state, WIRE_LISTENING);
    close(fd);
    wire_world_meet(world);
}

/* Says ACCEPT to what `left` offers, with memory of the right size. Returns the state that follows. */
static enum wire_state accept_by_hand(struct wire_world *world, int seals)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), fds[8], data;
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(fds))];
    uint32_t message[32] = {0};
    struct iovec piece = {message, sizeof(message)};
    struct msghdr msg = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = space};
    struct stat offered;
    ssize_t size;
    uint32_t count;

    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->now_ns += 1000000000;
    wire_meeting_step(&world->left, world->now_ns);
    strcpy(address.sun_path, world->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    wire_meeting_step(&world->left, world->now_ns);
    msg.msg_controllen = sizeof(space);
    size = recvmsg(fd, &msg, 0);
    assert_true(size > 0);
    count = (uint32_t)((CMSG_FIRSTHDR(&msg)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), count * sizeof(int));
    assert_int_equal(fstat(fds[1], &offered), 0); /* control, data, a wake-up for each queue */
    data = memfd_create("data", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(data, offered.st_size), 0);
    assert_int_equal(fcntl(data, F_ADD_SEALS, seals), 0);
    message[2] = 2; /* ACCEPT, in the place of OFFER */
    piece.iov_len = (size_t)size;
    msg.msg_controllen = CMSG_SPACE((count - 1) * sizeof(int));
    CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN((count - 1) * sizeof(int));
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &data, sizeof(int));
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)) + sizeof(int), fds + 2, (count - 2) * sizeof(int));
    assert_int_equal(sendmsg(fd, &msg, 0), size);
    wire_meeting_step(&world->left, world->now_ns);
    while (count)
        close(fds[--count]);
    close(data);
    close(fd);
    return world->left.state;
}

static void memory_that_could_shrink_is_refused(void **state)
{
    struct wire_world *world = *state;

    assert_int_equal(accept_by_hand(world, F_SEAL_GROW), WIRE_LISTENING);
    assert_int_equal(accept_by_hand(world, F_SEAL_SHRINK), WIRE_IS_UP);
    wire_meeting_drop(&world->left);
    wire_world_meet(world);
}

static void the_socket_is_its_owners_alone(void **state)
{
    struct wire_world *world = *state;
    struct stat stat_of;

    assert_int_equal(stat(world->path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_world_set_up, wire_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_of_each_length_arrive_whole),
        TEST(what_the_switch_sends_arrives_in_order_until_the_ring_is_full),
        TEST(room_is_what_can_be_reserved),
        TEST(a_sleeper_is_woken_once),
        TEST(nobody_can_write_the_others_frames),
        TEST(indices_that_no_honest_end_has_break_the_link),
        TEST(records_that_reach_too_far_break_the_link),
        TEST(the_link_comes_back_after_either_end_went),
        TEST(who_comes_first_says_how_long_the_rings_are),
        TEST(a_third_end_is_sent_away),
        TEST(ends_with_other_numbers_of_queues_do_not_meet),
        TEST(garbage_at_the_path_is_refused),
        TEST(memory_that_could_shrink_is_refused),
        TEST(the_socket_is_its_owners_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
