/* SPDX-License-Identifier: BSD-2-Clause */
/* What a packet socket hands to the packet driver: frames with a struct virtio_net_hdr in front, which on
 * a hostile machine (or behind a hostile veth) may say anything. An input is some of them, each behind
 * two bytes of length. What the driver believes of it has to be true of the frame. */
#include "fuzz.h"

#include <assert.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/packet_driver.h"

#define FRAMES_MAX 16

struct example {
    uint8_t length[2]; /* of what follows; big-endian */
    struct virtio_net_hdr header;
    uint8_t frame[54];
};
#define LENGTH                                                                                     \
    {                                                                                              \
        0, sizeof(struct example) - 2                                                              \
    }

static const struct example plain = {.length = LENGTH, .frame = {[12] = 8, [14] = 0x45}};
static const struct example partial = {
    .length = LENGTH,
    .header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
    .frame = {[12] = 8, [14] = 0x45},
};
static const struct example large = {
    .length = LENGTH,
    .header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
               .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
               .gso_size = 1448,
               .hdr_len = 54,
               .csum_start = 34,
               .csum_offset = 16},
    .frame = {[12] = 8, [14] = 0x45},
};

const struct fuzz_example fuzz_examples[] = {
    {&plain, sizeof(plain)}, {&partial, sizeof(partial)}, {&large, sizeof(large)}, {NULL, 0}};

static struct nic nic;
static struct nic_queue queue;
static int far_end;

static void open_driver(void)
{
    int ends[2];

    nic = (struct nic){.up = true};
    queue = (struct nic_queue){.nic = &nic};
    assert(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) && !packet_open(&queue, ends[0]));
    far_end = ends[1];
}

/* Every byte that the frame is said to have can be read. */
static void check_frame(const struct nic_frame *frame)
{
    volatile uint8_t sum = 0;
    uint32_t length = frame->head_length;

    assert(frame->length >= 14 && frame->segment_size != 1);
    for (uint32_t i = 0; i < frame->head_length; i++)
        sum = (uint8_t)(sum + frame->data[i]);
    for (uint32_t piece = 0; piece < frame->piece_count; piece++) {
        length += frame->pieces[piece].length;
        for (uint32_t i = 0; i < frame->pieces[piece].length; i++)
            sum = (uint8_t)(sum + frame->pieces[piece].data[i]);
    }
    assert(length == frame->length);
}

static uint32_t take(void)
{
    struct nic_frame frames[FRAMES_MAX];
    uint32_t count = queue.ops->receive(&queue, frames, FRAMES_MAX);

    assert(count <= FRAMES_MAX);
    for (uint32_t i = 0; i < count; i++)
        check_frame(&frames[i]);
    queue.ops->release(&queue);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t before = queue.counters.rx_packets + queue.counters.rx_dropped;
    uint32_t sent = 0;

    if (!far_end)
        open_driver();
    while (size > 2 && sent < FRAMES_MAX) {
        size_t length = (size_t)(data[0] << 8 | data[1]);

        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        if (!length)
            break;
        assert(send(far_end, data, length, 0) == (ssize_t)length);
        data += length;
        size -= length;
        sent++;
    }
    for (uint32_t turn = 0; turn <= sent; turn++) {
        queue.readable = true;
        take();
    }
    queue.ops->refresh(&queue);
    assert(queue.counters.rx_packets + queue.counters.rx_dropped == before + sent);
    return 0;
}
