/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_world.h */
#include "wire_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void wire_world_meet(struct wire_world *world)
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

void wire_world_give_link(struct wire_world *world)
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

int wire_world_set_up_with(void **state, const struct impairment *impairment, uint32_t abilities)
{
    struct wire_world *world = calloc(1, sizeof(*world));

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
    wire_world_meet(world);
    wire_world_give_link(world);
    return 0;
}

int wire_world_set_up(void **state)
{
    static const struct impairment none;

    return wire_world_set_up_with(state, &none, 0);
}

int wire_world_set_up_large(void **state)
{
    static const struct impairment none;

    return wire_world_set_up_with(state, &none, WIRE_WORLD_BOTH);
}

int wire_world_tear_down(void **state)
{
    struct wire_world *world = *state;

    world->queue.ops->close(&world->queue);
    wire_half_unmap(&world->half);
    wire_meeting_dispose(&world->left);
    wire_meeting_dispose(&world->right);
    if (rmdir(world->directory)) /* whoever listened has taken the socket away */
        return -1;
    free(world);
    return 0;
}

bool wire_world_right_sends(struct wire_world *world, uint8_t first, uint32_t length)
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
    wire_publish(&world->half.tx);
    return true;
}

void wire_world_check_frame(const struct nic_frame *frame, uint8_t first, uint32_t length)
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

void wire_world_check_broken(struct wire_world *world)
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
    wire_world_give_link(world); /* a new link is a new beginning */
    assert_false(wire_is_broken(&world->queue));
}
