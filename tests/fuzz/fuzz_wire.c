/* SPDX-License-Identifier: BSD-2-Clause */
/* The far end of a wire, hostile, against the driver of a switch: how far it says that it has written and
 * read, and the bytes of its ring from where the driver looks next. Either the driver gives the link up,
 * or every byte of the frames that it hands on can be read and no more than a wire carries, and large ones say
 * how to cut them so that it can be done; and what it sends itself stays within its ring. */
#include "fuzz.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nic/wire_driver.h"

#define HEAD 4 /* bytes of an input before those of the ring */
#define MTU  1500

/* the tail moves by so many units of 64 bytes, lies by so many bytes; the same for the head of the
 * other ring */
#define LIES(units, tail, head, more) units tail head more
#define RECORD(header)                header "\0\0"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(LIES("\1", "\0", "\0", "\0") RECORD("\x3c\0") "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\2", "\0", "\1", "\0") RECORD("\x6e\0") "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\x18", "\0", "\0", "\0") RECORD("\xdc\5") "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\1", "\1", "\0", "\0") RECORD("\xff\xff") "x"),
    FUZZ_TEXT(LIES("\4", "\0", "\0", "\1") RECORD("\x3c\x80") "x"),
    FUZZ_TEXT(LIES("\1", "\0", "\0", "\0") "\x3c\0\0\x40"
                                           "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\x18", "\0", "\0", "\0") "\xdc\5\0\x20"
                                             "\xb4\5\0\0"
                                             "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\1", "\0", "\0", "\0") "\x3c\0\0\x20"
                                           "\1\0\0\0"
                                           "\2\0\0\0\0\1"),
    FUZZ_TEXT(LIES("\1", "\0", "\0", "\0") "\2\0\0\x20"
                                           "\xb4\5\1\0"
                                           "\2\0\0\0\0\1"),
    {NULL, 0},
};

static struct wire_meeting left, right;
static struct nic nic = {.mtu = MTU};
static struct nic_queue queue = {.nic = &nic};
static struct wire_half half; /* the hostile one */

static void meet(const char *path)
{
    enum wire_event at_left = WIRE_NOTHING, at_right = WIRE_NOTHING;
    uint64_t now_ns = 0;

    assert(!wire_meeting_init(&left, path, 1) && !wire_meeting_init(&right, path, 1));
    left.abilities = right.abilities = WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT;
    while (at_left != WIRE_UP || at_right != WIRE_UP) {
        now_ns += 10000000;
        assert(now_ns < 10000000000);
        if (at_left != WIRE_UP)
            at_left = wire_meeting_step(&left, now_ns);
        if (at_right != WIRE_UP)
            at_right = wire_meeting_step(&right, now_ns);
    }
    assert(!wire_half_map(&half, &right.link.geometry, 0, right.link.control, right.link.tx_data,
                          right.link.rx_data));
}

/* A new link in the same memory, with both rings empty. */
static void give_link(void)
{
    const struct wire_link *link = &left.link;
    const struct channel_wire_link message = {
        .end = link->geometry.end,
        .queues = link->geometry.queues,
        .ring_size = link->geometry.ring_size,
        .abilities = link->geometry.abilities,
    };
    const int fds[CHANNEL_WIRE_LINK_FDS] = {dup(link->control), dup(link->tx_data),
                                            dup(link->rx_data), dup(link->own_wake[0]),
                                            dup(link->peer_wake[0])};
    struct nic_frame frames[NIC_BATCH];

    *half.tx.control = (struct ring_control){0};
    *half.rx.control = (struct ring_control){0};
    assert(!wire_set_link(&queue, &message, fds));
    assert(queue.ops->receive(&queue, frames, NIC_BATCH) == 0);
    assert(!wire_is_broken(&queue));
}

static void open_wire(void)
{
    static const struct impairment none;
    char directory[] = "/tmp/wire-XXXXXX", path[64];

    assert(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/link", directory);
    assert(!wire_open(&queue, &none));
    meet(path);
    unlink(path);
    rmdir(directory);
    give_link();
}

static void check_frame(const struct nic_frame *frame)
{
    volatile uint8_t sum = 0;
    uint32_t length = frame->head_length;

    for (uint32_t i = 0; i < frame->head_length; i++)
        sum = (uint8_t)(sum + frame->data[i]);
    for (uint32_t piece = 0; piece < frame->piece_count; piece++) {
        length += frame->pieces[piece].length;
        for (uint32_t i = 0; i < frame->pieces[piece].length; i++)
            sum = (uint8_t)(sum + frame->pieces[piece].data[i]);
    }
    assert(length == frame->length && length <= half.tx.size);
    assert(!frame->segment_size || (frame->checksum_partial && length <= WIRE_LARGE_FRAME_MAX &&
                                    frame->segment_size >= 48 && frame->segment_size < MTU));
}

static void receive_all(void)
{
    struct nic_frame frames[NIC_BATCH];
    uint32_t count, turns = 0;

    while ((count = queue.ops->receive(&queue, frames, NIC_BATCH)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            check_frame(&frames[i]);
        queue.ops->release(&queue);
        turns++;
        assert(turns <= half.tx.size / 64); /* no ring holds more records */
    }
}

/* Small frames, and large ones where there is room for them. */
static void send_some(void)
{
    static const struct nic_offload cut = {.segment_size = 1448, .header_length = 66};

    for (uint32_t i = 0; i < 8 && queue.ops->room(&queue); i++) {
        uint32_t length = i % 4 == 3 ? 7000 * (i + 1) : 60 + 200 * i;
        uint8_t *place = queue.ops->reserve(&queue, length);

        if (!place)
            break;
        memset(place, (int)i, length);
        queue.ops->commit(&queue, length, length > MTU + 14 ? &cut : NULL);
    }
    queue.ops->flush(&queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t place;

    if (!queue.ops)
        open_wire();
    if (size < HEAD || size - HEAD > half.tx.size)
        return 0;
    place = half.tx.control->head;
    for (size_t i = HEAD; i < size; i++)
        half.tx.data[(place + i - HEAD) & (half.tx.size - 1)] = data[i];
    half.tx.control->tail = place + data[0] * RING_ALIGN + data[1];
    half.rx.control->head = half.rx.control->tail - data[2] * RING_ALIGN - data[3];
    receive_all();
    send_some();
    if (wire_is_broken(&queue))
        give_link();
    return 0;
}
