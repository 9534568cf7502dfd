/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a wire in one process: how they meet, what they carry, and what one end may do to the
 * other (common/wire_meeting.h, switch/nic/wire_driver.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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
        .abilities = left->geometry.abilities,
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

#define BOTH (WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT)

/* Abilities as told to whoever comes to the path. */
static int set_up_with(void **state, const struct impairment *impairment, uint32_t abilities)
{
    struct world *world = calloc(1, sizeof(*world));

    strcpy(world->directory, "/tmp/wire-XXXXXX");
    if (!mkdtemp(world->directory)) {
        free(world);
        return -1;
    }
    snprintf(world->path, sizeof(world->path), "%s/link", world->directory);
    world->nic = (struct nic){.mtu = 1500};
    world->queue = (struct nic_queue){.nic = &world->nic};
    if (wire_open(&world->queue, impairment) || wire_meeting_init(&world->left, world->path, 1) ||
        wire_meeting_init(&world->right, world->path, 1))
        return -1;
    world->left.abilities = world->right.abilities = abilities;
    *state = world;
    meet(world);
    give_link(world);
    return 0;
}

static int set_up(void **state)
{
    static const struct impairment none;

    return set_up_with(state, &none, 0);
}

static int set_up_large(void **state)
{
    static const struct impairment none;

    return set_up_with(state, &none, BOTH);
}

static int set_up_late(void **state)
{
    static const struct impairment late = {.delay_ns = 1};

    return set_up_with(state, &late, BOTH);
}

static int set_up_lossy(void **state)
{
    static const struct impairment lossy = {.loss = 1};

    return set_up_with(state, &lossy, BOTH);
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

/* ── large sends ── */

#define LARGE_SIZE 32834 /* bytes of a frame: 32 KB and headers */

/* From the right end: a frame of `length` bytes that count up from `first`, with these marks. */
static void right_sends_large(struct world *world, uint8_t first, uint32_t length,
                              const struct wire_marks *marks)
{
    uint32_t behind = (uint32_t)sizeof(*marks) + length;
    uint8_t *place;

    assert_true(ring_producer_refresh(&world->half.tx));
    place = wire_reserve(&world->half.tx, behind);
    assert_non_null(place);
    ((struct wire_record *)place)->header = behind | WIRE_RECORD_LARGE;
    memcpy(place + WIRE_HEADER_SIZE, marks, sizeof(*marks));
    for (uint32_t i = 0; i < length; i++)
        place[WIRE_HEADER_SIZE + sizeof(*marks) + i] = (uint8_t)(first + i);
    wire_commit(&world->half.tx, behind);
    ring_producer_publish(&world->half.tx);
}

/* What the right end finds in its ring, with the flags of its header. */
static uint32_t right_receives(struct world *world, const uint8_t **record)
{
    uint32_t header = 0;

    *record = world->half.rx.data;
    assert_true(ring_consumer_refresh(&world->half.rx));
    assert_int_equal(wire_next_marked(&world->half.rx, &header, record), RING_NEXT_PACKET);
    return header;
}

static void large_sends_arrive_whole_with_their_marks(void **state)
{
    const struct wire_marks marks = {.segment_size = 1448};
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    for (uint32_t i = 0; i < 40; i++) {
        uint32_t length = i % 4 ? LARGE_SIZE + i : WIRE_LARGE_FRAME_MAX;

        right_sends_large(world, (uint8_t)i, length, &marks);
        assert_true(right_sends(world, 1, 60)); /* a small one behind it is not marked */
        assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 2);
        check_frame(&frames[0], (uint8_t)i, length);
        assert_int_equal(frames[0].segment_size, 1448);
        assert_true(frames[0].checksum_partial);
        check_frame(&frames[1], 1, 60);
        assert_int_equal(frames[1].segment_size, 0);
        assert_false(frames[1].checksum_partial);
        ops->release(&world->queue);
    }
}

/* One large send, whose payload lies elsewhere, one frame whose checksum is left, one that is finished. */
static void send_three(struct world *world, uint8_t first)
{
    static uint8_t bytes[LARGE_SIZE];
    const uint32_t head = 100 + first % 64; /* so that the rest begins anywhere in a line */
    uint8_t *rest = bytes + head;
    const struct nic_offload offload = {.segment_size = 1448, .header_length = 66};
    const struct nic_offload checksum = {.checksum_start = 34, .checksum_offset = 16};
    const struct nic_ops *ops = world->queue.ops;
    const struct {
        uint32_t length;
        const struct nic_offload *offload;
    } three[] = {{100, &checksum}, {LARGE_SIZE, &offload}, {60, NULL}};

    assert_true(ops->room(&world->queue) > 0);
    for (size_t at = 0; at < 3; at++) {
        uint8_t *place = ops->reserve(&world->queue, three[at].length);

        assert_non_null(place);
        for (uint32_t i = 0; i < three[at].length; i++)
            (i < head ? place : bytes)[i] = (uint8_t)(first + i);
        if (three[at].length > head)
            ops->commit_referring(&world->queue, head, rest, three[at].length - head,
                                  three[at].offload);
        else
            ops->commit(&world->queue, three[at].length, three[at].offload);
    }
    ops->flush(&world->queue);
}

static void check_bytes(const uint8_t *bytes, uint8_t first, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], (uint8_t)(first + i));
}

static void check_three(struct world *world, uint8_t first)
{
    struct wire_marks marks;
    const uint8_t *record;

    assert_int_equal(right_receives(world, &record), 100 | WIRE_RECORD_PARTIAL);
    check_bytes(record + WIRE_HEADER_SIZE, first, 100);
    assert_int_equal(right_receives(world, &record),
                     (LARGE_SIZE + sizeof(marks)) | WIRE_RECORD_LARGE);
    memcpy(&marks, record + WIRE_HEADER_SIZE, sizeof(marks));
    assert_int_equal(marks.segment_size, 1448);
    assert_int_equal(marks.zero, 0);
    check_bytes(record + WIRE_HEADER_SIZE + sizeof(marks), first, LARGE_SIZE);
    assert_int_equal(right_receives(world, &record), 60);
    check_bytes(record + WIRE_HEADER_SIZE, first, 60);
    ring_consumer_release(&world->half.rx);
}

static void what_the_switch_leaves_to_the_other_end_is_marked(void **state)
{
    struct world *world = *state;

    assert_int_equal(world->nic.capabilities,
                     NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_CHECKSUM_ANY | NIC_CAN_REFER);
    for (uint32_t round = 0; round < 50; round++) { /* the ring goes round six times */
        send_three(world, (uint8_t)round);
        check_three(world, (uint8_t)round);
    }
    assert_int_equal(world->queue.counters.tx_packets, 150);
}

static void a_wire_with_a_delay_carries_large_sends(void **state)
{
    struct world *world = *state;
    struct pollfd ready = {.fd = world->queue.ops->fd(&world->queue), .events = POLLIN};

    for (uint32_t round = 0; round < 20; round++) {
        send_three(world, (uint8_t)round);
        while (!ring_consumer_refresh(&world->half.rx) ||
               world->half.rx.tail - world->half.rx.head <
                   wire_stride(LARGE_SIZE + sizeof(struct wire_marks)) + wire_stride(100) +
                       wire_stride(60)) {
            if (world->queue.ops->sleep(&world->queue))
                poll(&ready, 1, -1);
            world->queue.ops->flush(&world->queue);
        }
        check_three(world, (uint8_t)round);
    }
}

static void a_large_send_that_finds_no_room_waits_for_it(void **state)
{
    const struct nic_offload offload = {.segment_size = 1448, .header_length = 66};
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct pollfd ready = {.fd = ops->fd(&world->queue), .events = POLLIN};
    const uint8_t *record;
    uint32_t sent = 0;

    for (; ops->reserve(&world->queue, LARGE_SIZE); sent++)
        ops->commit(&world->queue, LARGE_SIZE, &offload);
    assert_int_equal(sent, 7);
    assert_true(ops->room(&world->queue) > 0); /* small ones find some yet */
    ops->flush(&world->queue);
    assert_true(ops->sleep(&world->queue));
    assert_int_equal(world->half.rx.control->producer_waits, 1);
    while (sent--)
        right_receives(world, &record);
    assert_true(ring_consumer_release(&world->half.rx)); /* it is to be woken */
    eventfd_write(world->right.link.peer_wake[0], 0);
    assert_int_equal(poll(&ready, 1, -1), 1);
    assert_non_null(ops->reserve(&world->queue, LARGE_SIZE));
}

static void a_reservation_that_is_not_used_leaves_the_ring_whole(void **state)
{
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    const uint8_t *record;
    uint8_t *place;

    for (uint32_t i = 0; i < 100; i++) {
        assert_non_null(ops->reserve(&world->queue, WIRE_LARGE_FRAME_MAX));
        place = ops->reserve(&world->queue, 1514);
        assert_non_null(place);
        memset(place, (int)i, 1514);
        ops->commit(&world->queue, 1514, NULL);
        ops->flush(&world->queue);
        assert_int_equal(right_receives(world, &record), 1514);
        assert_int_equal(record[WIRE_HEADER_SIZE + 1513], (uint8_t)i);
        ring_consumer_release(&world->half.rx);
    }
}

static void nothing_is_left_to_an_end_that_does_not_ask_for_it(void **state)
{
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;

    assert_int_equal(world->left.link.geometry.abilities, 0);
    assert_int_equal(world->nic.capabilities, 0);
    assert_int_equal(world->nic.frame_max, 1514);
    assert_null(ops->reserve(&world->queue, 1515));
}

/* An impairment that picks frames is about what this end sends. */
static void single_frames_are_sent_where_some_of_them_are_to_be_lost(void **state)
{
    const struct wire_marks marks = {.segment_size = 1448};
    struct world *world = *state;
    struct nic_frame frames[NIC_BATCH];

    assert_int_equal(world->left.link.geometry.abilities, BOTH);
    assert_int_equal(world->nic.capabilities, 0);
    assert_null(world->queue.ops->reserve(&world->queue, 1515));
    right_sends_large(world, 0, LARGE_SIZE, &marks);
    assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 1);
    assert_int_equal(frames[0].segment_size, 1448);
}

static void meet_again(struct world *world, uint32_t left, uint32_t right)
{
    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->left.abilities = left;
    world->right.abilities = right;
    meet(world);
}

/* Whichever of them is end 0. */
static void the_ends_agree_on_what_both_are_able_to(void **state)
{
    static const uint32_t cases[][3] = {
        {BOTH, BOTH, BOTH},
        {BOTH, WIRE_CAN_CHECKSUM, WIRE_CAN_CHECKSUM},
        {WIRE_CAN_CHECKSUM, BOTH, WIRE_CAN_CHECKSUM},
        {BOTH, WIRE_CAN_SEGMENT, 0}, /* nothing is cut without a checksum left */
        {BOTH, 0, 0},
        {0, BOTH, 0},
        {BOTH, UINT32_MAX, BOTH}, /* what is not known does not count */
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        meet_again(world, cases[i][0], cases[i][1]);
        assert_int_equal(world->left.link.geometry.abilities, cases[i][2]);
        assert_int_equal(world->right.link.geometry.abilities, cases[i][2]);
    }
    assert_int_equal(wire_abilities_fit(BOTH, WIRE_RING_SIZE_MIN), WIRE_CAN_CHECKSUM);
    assert_int_equal(wire_abilities_fit(BOTH, WIRE_LARGE_RING_MIN), BOTH);
}

/* What the other end writes there after the ends have met is nobody's concern; and of what it writes before,
 * a version that is not ours says nothing. */
static void abilities_of_another_version_are_none(void **state)
{
    const struct wire_abilities other = {.version = WIRE_ABILITIES_VERSION + 1, .bits = BOTH};
    struct world *world = *state;
    const struct wire_geometry *geometry = &world->right.link.geometry;
    uint32_t end;

    meet_again(world, BOTH, BOTH);
    end = geometry->end;
    assert_int_equal(pwrite(world->right.link.control, &other, sizeof(other),
                            (off_t)wire_abilities_offset(geometry, end)),
                     sizeof(other));
    assert_int_equal(world->left.link.geometry.abilities, BOTH);
    give_link(world);
    assert_int_equal(world->nic.capabilities,
                     NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_CHECKSUM_ANY | NIC_CAN_REFER);

    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->now_ns += 1000000000;
    wire_meeting_step(&world->right, world->now_ns); /* comes first, and so is end 0 */
    wire_meeting_step(&world->left, world->now_ns);
    wire_meeting_step(&world->right, world->now_ns);
    assert_int_equal(world->right.state, WIRE_OFFERED);
    assert_int_equal(pwrite(world->right.link.control, &other, sizeof(other),
                            (off_t)wire_abilities_offset(&world->right.link.geometry, 0)),
                     sizeof(other));
    meet(world);
    assert_int_equal(world->left.link.geometry.abilities, 0);
}

/* The ones' complement sum of the frame from its 34th byte on. */
static uint16_t sum_of(const uint8_t *frame, uint32_t length)
{
    uint32_t sum = 0;

    for (uint32_t i = 34; i < length; i += 2)
        sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* A link whose other end was able to, and that is followed by one whose other end is not. */
static void a_checksum_left_under_the_last_agreement_is_filled_in(void **state)
{
    const struct nic_offload offload = {.checksum_start = 34, .checksum_offset = 16};
    struct world *world = *state;
    const uint8_t *record, *sent;
    uint8_t *place, frame[100];

    wire_meeting_drop(&world->right);
    wire_meeting_step(&world->left, world->now_ns);
    world->right.abilities = 0;
    meet(world);
    give_link(world);
    for (uint32_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)i;
    place = world->queue.ops->reserve(&world->queue, sizeof(frame));
    assert_non_null(place);
    memcpy(place, frame, sizeof(frame));
    world->queue.ops->commit(&world->queue, sizeof(frame), &offload);
    assert_null(world->queue.ops->reserve(&world->queue, LARGE_SIZE));
    world->queue.ops->flush(&world->queue);
    assert_int_equal(right_receives(world, &record), sizeof(frame));
    sent = record + WIRE_HEADER_SIZE;
    assert_int_equal(sent[50] << 8 | sent[51], 0xffff - sum_of(frame, sizeof(frame)));
    assert_memory_equal(sent, frame, 50);
    assert_memory_equal(sent + 52, frame + 52, sizeof(frame) - 52);
}

/* Frames that are no more than unusable, and are counted. */
static void marks_that_lie_cost_their_frame_alone(void **state)
{
    static const struct {
        uint32_t length;
        struct wire_marks marks;
    } lies[] = {
        {LARGE_SIZE, {.segment_size = 0}},
        {LARGE_SIZE, {.segment_size = 47}},
        {LARGE_SIZE, {.segment_size = 1461}},
        {LARGE_SIZE, {.segment_size = 65535}},
        {LARGE_SIZE, {.segment_size = 1448, .zero = 1}},
        {WIRE_LARGE_FRAME_MAX + 1, {.segment_size = 1448}},
        {100, {.segment_size = 0}},
        {0, {.segment_size = 0}},
    };
    const uint32_t count = sizeof(lies) / sizeof(lies[0]);
    const struct wire_marks marks = {.segment_size = 1460};
    struct world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];
    struct nic_extra extras[NIC_EXTRAS_MAX];

    for (uint32_t i = 0; i < count; i++) {
        right_sends_large(world, 0, lies[i].length, &lies[i].marks);
        assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 0);
        assert_int_equal(world->half.tx.control->head, world->half.tx.tail); /* given back */
    }
    right_sends_large(world, 3, LARGE_SIZE, &marks);
    assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 1);
    check_frame(&frames[0], 3, LARGE_SIZE);
    assert_int_equal(ops->extras(&world->queue, extras), 3);
    assert_string_equal(extras[1].name, "wire_rx_large");
    assert_int_equal(extras[1].value, 1);
    assert_string_equal(extras[2].name, "wire_rx_unusable");
    assert_int_equal(extras[2].value, count);
}

static void a_ring_full_of_lies_is_looked_at_a_batch_at_a_time(void **state)
{
    const struct wire_marks marks = {0};
    struct world *world = *state;
    struct nic_frame frames[NIC_BATCH];

    for (uint32_t i = 0; i < 3 * NIC_BATCH; i++)
        right_sends_large(world, 0, 14, &marks);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 0);
        assert_int_equal(world->half.tx.control->head, i * NIC_BATCH * RING_ALIGN);
        if (i < 3)
            assert_false(world->queue.ops->sleep(&world->queue));
    }
}

static void flags_that_were_not_agreed_break_the_link(void **state)
{
    static const uint32_t headers[] = {
        60 | WIRE_RECORD_PARTIAL,
        60 | WIRE_RECORD_LARGE,
        60 | 0x00040000,
        60 | 0x10000000,
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        check_broken(world);
    }
}

static void records_too_short_for_their_marks_break_the_link(void **state)
{
    static const uint32_t headers[] = {
        0 | WIRE_RECORD_LARGE,
        3 | WIRE_RECORD_LARGE,
        60 | WIRE_RECORD_LARGE | WIRE_RECORD_PARTIAL,
        60 | WIRE_RECORD_LARGE | 0x00080000,
        60 | WIRE_RECORD_PARTIAL | 0x00040000,
        61 | WIRE_RECORD_LARGE,
        WIRE_LENGTH_MASK | WIRE_RECORD_LARGE,
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        check_broken(world);
    }
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LARGE(name) cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)

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
        LARGE(large_sends_arrive_whole_with_their_marks),
        LARGE(what_the_switch_leaves_to_the_other_end_is_marked),
        cmocka_unit_test_setup_teardown(a_wire_with_a_delay_carries_large_sends, set_up_late,
                                        tear_down),
        LARGE(a_large_send_that_finds_no_room_waits_for_it),
        LARGE(a_reservation_that_is_not_used_leaves_the_ring_whole),
        TEST(nothing_is_left_to_an_end_that_does_not_ask_for_it),
        cmocka_unit_test_setup_teardown(single_frames_are_sent_where_some_of_them_are_to_be_lost,
                                        set_up_lossy, tear_down),
        TEST(the_ends_agree_on_what_both_are_able_to),
        TEST(abilities_of_another_version_are_none),
        LARGE(a_checksum_left_under_the_last_agreement_is_filled_in),
        LARGE(marks_that_lie_cost_their_frame_alone),
        LARGE(a_ring_full_of_lies_is_looked_at_a_batch_at_a_time),
        TEST(flags_that_were_not_agreed_break_the_link),
        LARGE(records_too_short_for_their_marks_break_the_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
