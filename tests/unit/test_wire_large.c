/* SPDX-License-Identifier: BSD-2-Clause */
/* Large sends and checksums that are left to the other end of a wire, and marks that lie
 * (switch/nic/wire_driver.h). */
#include "wire_world.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int set_up_late(void **state)
{
    static const struct impairment late = {.delay_ns = 1};

    return wire_world_set_up_with(state, &late, WIRE_WORLD_BOTH);
}

static int set_up_lossy(void **state)
{
    static const struct impairment lossy = {.loss = 1};

    return wire_world_set_up_with(state, &lossy, WIRE_WORLD_BOTH);
}

#define LARGE_SIZE 32834 /* bytes of a frame: 32 KB and headers */

/* From the right end: a frame of `length` bytes that count up from `first`, with these marks. */
static void right_sends_large(struct wire_world *world, uint8_t first, uint32_t length,
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
    wire_publish(&world->half.tx);
}

/* What the right end finds in its ring, with the flags of its header. */
static uint32_t right_receives(struct wire_world *world, const uint8_t **record)
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
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct nic_frame frames[NIC_BATCH];

    for (uint32_t i = 0; i < 160; i++) {
        uint32_t length = i % 4 ? LARGE_SIZE + i : WIRE_LARGE_FRAME_MAX;

        right_sends_large(world, (uint8_t)i, length, &marks);
        assert_true(wire_world_right_sends(world, 1, 60)); /* a small one behind it is not marked */
        assert_int_equal(ops->receive(&world->queue, frames, NIC_BATCH), 2);
        wire_world_check_frame(&frames[0], (uint8_t)i, length);
        assert_int_equal(frames[0].segment_size, 1448);
        assert_true(frames[0].checksum_partial);
        wire_world_check_frame(&frames[1], 1, 60);
        assert_int_equal(frames[1].segment_size, 0);
        assert_false(frames[1].checksum_partial);
        ops->release(&world->queue);
    }
}

/* One large send, whose payload lies elsewhere, one frame whose checksum is left, one that is finished. */
static void send_three(struct wire_world *world, uint8_t first)
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

static void check_three(struct wire_world *world, uint8_t first)
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
    struct wire_world *world = *state;

    assert_int_equal(world->nic.capabilities,
                     NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_CHECKSUM_ANY | NIC_CAN_REFER);
    for (uint32_t round = 0; round < 200; round++) { /* the ring goes round six times */
        send_three(world, (uint8_t)round);
        check_three(world, (uint8_t)round);
    }
    assert_int_equal(world->queue.counters.tx_packets, 600);
}

static void a_wire_with_a_delay_carries_large_sends(void **state)
{
    struct wire_world *world = *state;
    struct pollfd ready = {.fd = world->queue.ops->fd(&world->queue), .events = POLLIN};

    for (uint32_t round = 0; round < 80; round++) {
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
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    struct pollfd ready = {.fd = ops->fd(&world->queue), .events = POLLIN};
    const uint8_t *record;
    uint32_t sent = 0;

    for (; ops->reserve(&world->queue, LARGE_SIZE); sent++)
        ops->commit(&world->queue, LARGE_SIZE, &offload);
    assert_int_equal(sent, 31); /* what is sent while the other end wakes up, some times over */
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
    struct wire_world *world = *state;
    const struct nic_ops *ops = world->queue.ops;
    const uint8_t *record;
    uint8_t *place;

    for (uint32_t i = 0; i < 1400; i++) { /* the ring goes round twice */
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
    struct wire_world *world = *state;
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
    struct wire_world *world = *state;
    struct nic_frame frames[NIC_BATCH];

    assert_int_equal(world->left.link.geometry.abilities, WIRE_WORLD_BOTH);
    assert_int_equal(world->nic.capabilities, 0);
    assert_null(world->queue.ops->reserve(&world->queue, 1515));
    right_sends_large(world, 0, LARGE_SIZE, &marks);
    assert_int_equal(world->queue.ops->receive(&world->queue, frames, NIC_BATCH), 1);
    assert_int_equal(frames[0].segment_size, 1448);
}

static void meet_again(struct wire_world *world, uint32_t left, uint32_t right)
{
    wire_meeting_drop(&world->left);
    wire_meeting_drop(&world->right);
    world->left.abilities = left;
    world->right.abilities = right;
    wire_world_meet(world);
}

/* Whichever of them is end 0. */
static void the_ends_agree_on_what_both_are_able_to(void **state)
{
    static const uint32_t cases[][3] = {
        {WIRE_WORLD_BOTH, WIRE_WORLD_BOTH, WIRE_WORLD_BOTH},
        {WIRE_WORLD_BOTH, WIRE_CAN_CHECKSUM, WIRE_CAN_CHECKSUM},
        {WIRE_CAN_CHECKSUM, WIRE_WORLD_BOTH, WIRE_CAN_CHECKSUM},
        {WIRE_WORLD_BOTH, WIRE_CAN_SEGMENT, 0}, /* nothing is cut without a checksum left */
        {WIRE_WORLD_BOTH, 0, 0},
        {0, WIRE_WORLD_BOTH, 0},
        {WIRE_WORLD_BOTH, UINT32_MAX, WIRE_WORLD_BOTH}, /* what is not known does not count */
    };
    struct wire_world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        meet_again(world, cases[i][0], cases[i][1]);
        assert_int_equal(world->left.link.geometry.abilities, cases[i][2]);
        assert_int_equal(world->right.link.geometry.abilities, cases[i][2]);
    }
    assert_int_equal(wire_abilities_fit(WIRE_WORLD_BOTH, WIRE_RING_SIZE_MIN), WIRE_CAN_CHECKSUM);
    assert_int_equal(wire_abilities_fit(WIRE_WORLD_BOTH, WIRE_LARGE_RING_MIN), WIRE_WORLD_BOTH);
}

/* What the other end writes there after the ends have met is nobody's concern; and of what it writes before,
 * a version that is not ours says nothing. */
static void abilities_of_another_version_are_none(void **state)
{
    const struct wire_abilities other = {.version = WIRE_ABILITIES_VERSION + 1,
                                         .bits = WIRE_WORLD_BOTH};
    struct wire_world *world = *state;
    const struct wire_geometry *geometry = &world->right.link.geometry;
    uint32_t end;

    meet_again(world, WIRE_WORLD_BOTH, WIRE_WORLD_BOTH);
    end = geometry->end;
    assert_int_equal(pwrite(world->right.link.control, &other, sizeof(other),
                            (off_t)wire_abilities_offset(geometry, end)),
                     sizeof(other));
    assert_int_equal(world->left.link.geometry.abilities, WIRE_WORLD_BOTH);
    wire_world_give_link(world);
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
    wire_world_meet(world);
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
    struct wire_world *world = *state;
    const uint8_t *record, *sent;
    uint8_t *place, frame[100];

    wire_meeting_drop(&world->right);
    wire_meeting_step(&world->left, world->now_ns);
    world->right.abilities = 0;
    wire_world_meet(world);
    wire_world_give_link(world);
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
    struct wire_world *world = *state;
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
    wire_world_check_frame(&frames[0], 3, LARGE_SIZE);
    assert_int_equal(ops->extras(&world->queue, extras), 3);
    assert_string_equal(extras[1].name, "wire_rx_large");
    assert_int_equal(extras[1].value, 1);
    assert_string_equal(extras[2].name, "wire_rx_unusable");
    assert_int_equal(extras[2].value, count);
}

static void a_ring_full_of_lies_is_looked_at_a_batch_at_a_time(void **state)
{
    const struct wire_marks marks = {0};
    struct wire_world *world = *state;
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
    struct wire_world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        wire_world_check_broken(world);
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
    struct wire_world *world = *state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        *(uint32_t *)world->half.tx.data = headers[i];
        world->half.tx.control->tail = 64;
        wire_world_check_broken(world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_world_set_up, wire_world_tear_down)
#define LARGE(name)                                                                                \
    cmocka_unit_test_setup_teardown(name, wire_world_set_up_large, wire_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LARGE(large_sends_arrive_whole_with_their_marks),
        LARGE(what_the_switch_leaves_to_the_other_end_is_marked),
        cmocka_unit_test_setup_teardown(a_wire_with_a_delay_carries_large_sends, set_up_late,
                                        wire_world_tear_down),
        LARGE(a_large_send_that_finds_no_room_waits_for_it),
        LARGE(a_reservation_that_is_not_used_leaves_the_ring_whole),
        TEST(nothing_is_left_to_an_end_that_does_not_ask_for_it),
        cmocka_unit_test_setup_teardown(single_frames_are_sent_where_some_of_them_are_to_be_lost,
                                        set_up_lossy, wire_world_tear_down),
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
