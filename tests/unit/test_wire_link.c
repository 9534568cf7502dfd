/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a wire in one process: how they meet, what they carry, and what one end may do to the
 * other (common/wire_meeting.h, switch/nic/wire_driver.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "nic/wire_driver.h"

/* The left end is the driver of a switch, the right one bare memory, as a generator has it. */
struct world {
    char directory[32], path[64];
    struct wire_meeting left, right;
    struct nic nic;
    struct nic_queue queue;
    struct wire_half half;
    uint64_t now_ns;
};

static void meet(struct world *world)
{
    enum wire_event left = WIRE_NOTHING, right = WIRE_NOTHING;

    for (int i = 0; i < 100 && (left != WIRE_UP || right != WIRE_UP); i++) {
        world->now_ns += 10000000;
        if (left != WIRE_UP)
            left = wire_meeting_step(&world->left, world->now_ns);
        if (right != WIRE_UP)
            right = wire_meeting_step(&world->right, world->now_ns);
    }
    assert_int_equal(left, WIRE_UP);
    assert_int_equal(right, WIRE_UP);
}

static void give_link(struct world *world)
{
    const struct wire_link *left = &world->left.link, *right = &world->right.link;
    const struct channel_wire_link message = {
        .end = left->geometry.end,
        .queues = left->geometry.queues,
        .ring_size = left->geometry.ring_size,
    };
    const int fds[CHANNEL_WIRE_LINK_FDS] = {dup(left->control), dup(left->tx_data),
                                            dup(left->rx_data), dup(left->own_wake[0]),
                                            dup(left->peer_wake[0])};
    struct nic_frame frames[NIC_BATCH];

    assert_int_equal(wire_set_link(&world->queue, &message, fds), 0);
    wire_half_unmap(&world->half);
    assert_int_equal(wire_half_map(&world->half, &right->geometry, 0, right->control,
                                   right->tx_data, right->rx_data),
                     0);
    assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 0);
}

static int set_up(void **state)
{
    static const struct impairment none;
    struct world *world = calloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/wire-XXXXXX");
    if (!mkdtemp(world->directory)) {
        free(world);
        return -1;
    }
    snprintf(world->path, sizeof(world->path), "%s/link", world->directory);
    world->nic = (struct nic){.mtu = 1500};
    world->queue = (struct nic_queue){.nic = &world->nic};
    if (wire_open(&world->queue, &none) || wire_meeting_init(&world->left, world->path, 1) ||
        wire_meeting_init(&world->right, world->path, 1))
        return -1;
    *state = world;
    meet(world);
    give_link(world);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    world->queue.ops->close(&world->queue);
    wire_half_unmap(&world->half);
    wire_meeting_dispose(&world->left);
    wire_meeting_dispose(&world->right);
    if (rmdir(world->directory)) /* whoever listened has taken the socket away */
        return -1;
    free(world);
    return 0;
}

/* From the right end: `length` bytes that count up from `first`. */
static bool right_sends(struct world *world, uint8_t first, uint32_t length)
{
    static _Alignas(64) uint8_t bytes[2048];
    struct wire_record *record = (struct wire_record *)bytes;

    record->header = length;
    for (uint32_t i = 0; i < length; i++)
        record->frame[i] = (uint8_t)(first + i);
    if (!wire_put(&world->half.tx, record)) {
        assert_true(ring_producer_refresh(&world->half.tx));
        if (!wire_put(&world->half.tx, record))
            return false;
    }
    ring_producer_publish(&world->half.tx);
    return true;
}

static void check_frame(const struct nic_frame *frame, uint8_t first, uint32_t length)
{
    assert_int_equal(frame->length, length);
    for (uint32_t i = 0; i < frame->head_length; i++)
        assert_int_equal(frame->data[i], (uint8_t)(first + i));
    if (frame->head_length == length)
        return;
    assert_int_equal(frame->piece_count, 1);
    assert_int_equal(frame->head_length + frame->pieces[0].length, length);
    for (uint32_t i = 0; i < frame->pieces[0].length; i++)
        assert_int_equal(frame->pieces[0].data[i], (uint8_t)(first + frame->head_length + i));
}

static void frames_of_each_length_arrive_whole(void **state)
{
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    for (uint32_t length = 14; length <= 1514; length++) {
        assert_true(right_sends(world, (uint8_t)length, length));
        assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 1);
        check_frame(&frames[0], (uint8_t)length, length);
        ops->release(&world->queue);
    }
    assert_int_equal(world->queue.counters.rx_packets, 1501);
}

static void what_the_switch_sends_arrives_in_order_until_the_ring_is_full(void **state)
{
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    uint32_t sent = 0, received = 0, length;
    const uint8_t *frame;

    for (uint32_t round = 0; round < 5; round++) {
        uint8_t *place;

        while ((place = ops->reserve(&world->queue, 60 + sent % 1400))) {
            memcpy(place, &sent, sizeof(sent));
            ops->commit(&world->queue, 60 + sent % 1400, NULL);
            sent++;
        }
        assert_true(ops->room(&world->queue) < 2);
        ops->flush(&world->queue);
        assert_true(ring_consumer_refresh(&world->half.rx));
        while (wire_next(&world->half.rx, &length, &frame) == RING_NEXT_PACKET) {
            assert_int_equal(length, 60 + received % 1400);
            assert_memory_equal(frame, &received, sizeof(received));
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
    struct world *world = *state;
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
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 0);
    assert_true(ops->sleep(&world->queue));
    assert_int_equal(world->half.tx.control->consumer_sleeps, 1);
    assert_true(right_sends(world, 0, 60)); /* takes the flag down */
    assert_int_equal(world->half.tx.control->consumer_sleeps, 0);
    assert_false(ops->sleep(&world->queue));
    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 1);
    ops->release(&world->queue);
    assert_true(ops->sleep(&world->queue));
}

static void nobody_can_write_the_others_frames(void **state)
{
    struct world *world = *state;
    int fd = world->right.link.rx_data;

    assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(ftruncate(world->right.link.tx_data, 0), -1);
    assert_int_equal(ftruncate(world->right.link.control, 0), -1);
}

/* Each way to break the rules; the link must be given up, and nothing else may happen. */
static void check_broken(struct world *world)
{
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    while (ops->receive(&world->queue, frames, NIC_BATCH))
        ops->release(&world->queue);
    while (ops->reserve(&world->queue, 1514)) /* until it looks at the other end's index */
        ops->commit(&world->queue, 1514, NULL);
    ops->room(&world->queue);
    assert_true(wire_is_broken(&world->queue));
    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 0);
    assert_null(ops->reserve(&world->queue, 60));
    ops->flush(&world->queue);
    world->half.tx.control->tail = 0;
    world->half.rx.control->head = 0;
    give_link(world); /* a new link is a new beginning */
    assert_false(wire_is_broken(&world->queue));
}

static void indices_that_no_honest_end_has_break_the_link(void **state)
{
    static const uint32_t tails[] = {1, 63, WIRE_RING_SIZE + 64, 0x80000000, 0u - 64};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        world->half.tx.control->tail = tails[i];
        world->half.rx.control->head = 0;
        check_broken(world);
    }
    world->half.rx.control->head = 64; /* of frames that were never sent */
    check_broken(world);
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
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        check_broken(world);
    }
}

static void the_link_comes_back_after_either_end_went(void **state)
{
    struct world *world = *state;
    struct nic_frame frames[NIC_BATCH];

    for (int i = 0; i < 4; i++) {
        struct wire_meeting *goes = i % 2 ? &world->left : &world->right;
        struct wire_meeting *stays = i % 2 ? &world->right : &world->left;

        wire_meeting_drop(goes);
        assert_int_equal(wire_meeting_step(stays, world->now_ns), WIRE_DOWN);
        meet(world);
        give_link(world);
        assert_true(right_sends(world, 7, 60));
        assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 1);
        check_frame(&frames[0], 7, 60);
        world->queue.ops->release(&world->queue);
    }
}

static void a_third_end_is_sent_away(void **state)
{
    struct world *world = *state;
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
    struct world *world = *state;

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
    struct world *world = *state;
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
    meet(world);
}

static void the_socket_is_its_owners_alone(void **state)
{
    struct world *world = *state;
    struct stat stat_of;

    assert_int_equal(stat(world->path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        TEST(a_third_end_is_sent_away),
        TEST(ends_with_other_numbers_of_queues_do_not_meet),
        TEST(garbage_at_the_path_is_refused),
        TEST(the_socket_is_its_owners_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
