/* SPDX-License-Identifier: BSD-2-Clause */
/* The afxdp driver over rings that the test plays the kernel for: how frames of a jumbo MTU leave as chains of
 * chunks, when a run of chunks is free again, where frames are that come, and which descriptions of a queue are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/afxdp.h"

#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1U << 0) /* Linux 6.6 */
#endif

#define CHUNK      2048u
#define CHUNKS     32u /* half of them for sending */
#define START      (CHUNKS / 2 * CHUNK)
#define ENTRIES    16u
#define RING_SIZE  4096u
#define DESCRIBED  64u /* bytes from the start of a ring to its descriptors */
#define RUN_CHUNKS 5u

enum { RX, TX, FILL, COMPLETION, RINGS };

static struct nic nic;
static struct nic_queue queue;
static struct channel_queue message;
static uint8_t *rings[RINGS], *umem;

static uint32_t *producer(int ring)
{
    return (uint32_t *)rings[ring];
}

static uint32_t *consumer(int ring)
{
    return (uint32_t *)(rings[ring] + 4);
}

/* The driver unmaps them. */
static void make_rings(void)
{
    struct channel_xsk_ring *places[RINGS] = {&message.rx, &message.tx, &message.fill,
                                              &message.completion};

    for (int i = 0; i < RINGS; i++) {
        rings[i] =
            mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(rings[i], MAP_FAILED);
        *places[i] = (struct channel_xsk_ring){.mapped = (uintptr_t)rings[i],
                                               .consumer = 4,
                                               .flags = 8,
                                               .desc = DESCRIBED,
                                               .entries = ENTRIES};
    }
}

static int open_with(uint32_t chunk_size, uint32_t frame_chunks, int large)
{
    struct afxdp_descriptors descriptors = {.large = large};

    nic = (struct nic){.up = true, .mtu = 9000};
    queue = (struct nic_queue){.nic = &nic};
    message = (struct channel_queue){.chunk_size = chunk_size,
                                     .chunk_count = CHUNKS,
                                     .umem_size = (uint64_t)CHUNKS * chunk_size,
                                     .need_wakeup = 1,
                                     .multi_buffer = 1,
                                     .frame_chunks = frame_chunks};
    descriptors.xsk = eventfd(0, EFD_CLOEXEC);
    descriptors.umem = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(ftruncate(descriptors.umem, (off_t)message.umem_size), 0);
    /* the mapping stays until the test ends: the driver has one of its own */
    umem = mmap(NULL, message.umem_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors.umem, 0);
    assert_ptr_not_equal(umem, MAP_FAILED);
    make_rings();
    return afxdp_open(&queue, &message, &descriptors);
}

static int open_queue(uint32_t frame_chunks)
{
    return open_with(CHUNK, frame_chunks, -1);
}

static const struct xdp_desc *sent(uint32_t at)
{
    return (const struct xdp_desc *)(rings[TX] + DESCRIBED) + at % ENTRIES;
}

static void send_frame(uint32_t length)
{
    uint8_t *frame = queue.ops->reserve(&queue, length);

    assert_non_null(frame);
    memset(frame, 0x5a, length);
    queue.ops->commit(&queue, length, NULL);
    queue.ops->flush(&queue);
}

/* The kernel has sent the descriptor, and gives its chunk back. */
static void complete(uint32_t at)
{
    uint64_t *addresses = (uint64_t *)(rings[COMPLETION] + DESCRIBED);

    addresses[(*producer(COMPLETION))++ % ENTRIES] = sent(at)->addr;
    (*consumer(TX))++;
}

static void a_jumbo_frame_is_a_chain_of_full_chunks(void **state)
{
    (void)state;
    assert_int_equal(open_queue(RUN_CHUNKS), 0);
    assert_int_equal(nic.frame_max, RUN_CHUNKS * CHUNK);
    assert_null(queue.ops->reserve(&queue, RUN_CHUNKS * CHUNK + 1));
    send_frame(9014);
    assert_int_equal(*producer(TX), 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(sent(i)->addr, sent(0)->addr + (uint64_t)i * CHUNK);
        assert_int_equal(sent(i)->len, i < 4 ? CHUNK : 9014 - 4 * CHUNK);
        assert_int_equal(sent(i)->options, i < 4 ? XDP_PKT_CONTD : 0);
    }
    assert_true(sent(0)->addr >= START && sent(0)->addr % CHUNK == 0);
    queue.ops->close(&queue);
}

static void a_frame_of_just_a_chunk_is_not_chained(void **state)
{
    (void)state;
    assert_int_equal(open_queue(RUN_CHUNKS), 0);
    send_frame(CHUNK);
    assert_int_equal(*producer(TX), 1);
    assert_int_equal(sent(0)->len, CHUNK);
    assert_int_equal(sent(0)->options, 0);
    queue.ops->close(&queue);
}

static void a_run_is_free_when_all_its_chunks_are(void **state)
{
    (void)state;
    assert_int_equal(open_queue(RUN_CHUNKS), 0);
    assert_int_equal(queue.ops->room(&queue), 3); /* 16 chunks */
    send_frame(9014);
    send_frame(60);
    send_frame(4000);
    assert_int_equal(queue.ops->room(&queue), 0);
    assert_null(queue.ops->reserve(&queue, 60));
    for (uint32_t i = 0; i < 4; i++)
        complete(i);
    assert_int_equal(queue.ops->room(&queue), 0);
    complete(4);
    assert_int_equal(queue.ops->room(&queue), 1);
    for (uint32_t i = 5; i < 8; i++)
        complete(i);
    assert_int_equal(queue.ops->room(&queue), 3);
    for (uint32_t round = 0; round < 100; round++) { /* none is lost, none is there twice */
        uint32_t first = *producer(TX);

        send_frame(9014);
        while (first != *producer(TX))
            complete(first++);
        assert_int_equal(queue.ops->room(&queue), 3);
    }
    queue.ops->close(&queue);
}

static void frames_of_one_chunk_use_each_of_them(void **state)
{
    (void)state;
    assert_int_equal(open_queue(1), 0);
    assert_int_equal(nic.frame_max, CHUNK);
    assert_int_equal(queue.ops->room(&queue), CHUNKS / 2);
    assert_null(queue.ops->reserve(&queue, CHUNK + 1));
    send_frame(1514);
    assert_int_equal(sent(0)->options, 0);
    assert_int_equal(queue.ops->room(&queue), CHUNKS / 2 - 1);
    complete(0);
    assert_int_equal(queue.ops->room(&queue), CHUNKS / 2);
    queue.ops->close(&queue);
}

/* Two segments in one packet, which the device may cut, though one of the larger chunks would hold them. */
static void what_may_be_cut_goes_by_large_sends_whatever_a_chunk_holds(void **state)
{
    uint8_t bytes[4096];
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(open_with(2 * CHUNK, 1, pair[0]), 0);
    assert_true(nic.large_min >= 1514 && nic.large_min < CHUNK);
    send_frame(nic.large_min);
    assert_int_equal(*producer(TX), 1);
    assert_int_equal(recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT), -1);
    complete(0);
    send_frame(2 * 1448 + 66);
    assert_int_equal(*producer(TX), 1);
    assert_int_equal(recv(pair[1], bytes, sizeof(bytes), MSG_DONTWAIT),
                     sizeof(struct virtio_net_hdr) + 2 * 1448 + 66);
    queue.ops->close(&queue);
    close(pair[1]);
}

/* The kernel fills the next chunk, from `offset` on; returns what it says of the frame's address. */
static uint64_t fill(uint32_t offset, uint32_t length, uint8_t byte, bool unaligned, bool more)
{
    const uint64_t *addresses = (uint64_t *)(rings[FILL] + DESCRIBED);
    struct xdp_desc *received = (struct xdp_desc *)(rings[RX] + DESCRIBED);
    uint64_t chunk = addresses[(*consumer(FILL))++ % ENTRIES];

    memset(umem + chunk + offset, byte, length);
    received[(*producer(RX))++ % ENTRIES] = (struct xdp_desc){
        .addr =
            unaligned ? chunk | (uint64_t)offset << XSK_UNALIGNED_BUF_OFFSET_SHIFT : chunk + offset,
        .len = length,
        .options = more ? XDP_PKT_CONTD : 0};
    return chunk;
}

/* Frames of one and of two chunks, as often as it takes for each chunk to have come round. */
static void receive_from(bool unaligned)
{
    struct nic_frame frames[2];

    assert_int_equal(open_queue(1), 0);
    assert_int_equal(*producer(FILL), CHUNKS / 2);
    for (uint32_t round = 0; round < CHUNKS; round++) {
        uint64_t first = fill(256, 60, (uint8_t)round, unaligned, false);

        fill(256, CHUNK - 256, 0xaa, unaligned, true);
        fill(0, 100, 0xbb, unaligned, false);
        assert_int_equal(queue.ops->receive(&queue, frames, 2), 2);
        assert_int_equal(frames[0].length, 60);
        assert_int_equal(frames[0].data[0], (uint8_t)round);
        assert_int_equal(frames[0].data[59], (uint8_t)round);
        assert_int_equal(frames[1].piece_count, 1);
        assert_int_equal(frames[1].length, CHUNK - 256 + 100);
        assert_int_equal(frames[1].data[CHUNK - 257], 0xaa);
        assert_int_equal(frames[1].pieces[0].data[0], 0xbb);
        assert_int_equal(frames[1].pieces[0].data[99], 0xbb);
        queue.ops->release(&queue);
        assert_int_equal(*consumer(RX), *producer(RX));
        assert_int_equal(*producer(FILL) - *consumer(FILL), CHUNKS / 2); /* all are there again */
        for (uint32_t at = *consumer(FILL); at != *producer(FILL); at++)
            assert_int_equal(((uint64_t *)(rings[FILL] + DESCRIBED))[at % ENTRIES] % CHUNK, 0);
        assert_true(first < START);
    }
    queue.ops->close(&queue);
}

static void a_frame_is_where_its_offset_says_it_is_in_its_chunk(void **state)
{
    (void)state;
    receive_from(false);
}

static void an_offset_may_stand_in_the_upper_bits_of_the_address(void **state)
{
    (void)state;
    receive_from(true);
}

static void runs_that_no_kernel_takes_are_refused(void **state)
{
    (void)state;
    assert_int_equal(open_queue(0), -EINVAL);
    assert_int_equal(open_queue(CHANNEL_FRAME_CHUNKS_MAX + 1), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jumbo_frame_is_a_chain_of_full_chunks),
        cmocka_unit_test(a_frame_of_just_a_chunk_is_not_chained),
        cmocka_unit_test(a_run_is_free_when_all_its_chunks_are),
        cmocka_unit_test(frames_of_one_chunk_use_each_of_them),
        cmocka_unit_test(what_may_be_cut_goes_by_large_sends_whatever_a_chunk_holds),
        cmocka_unit_test(a_frame_is_where_its_offset_says_it_is_in_its_chunk),
        cmocka_unit_test(an_offset_may_stand_in_the_upper_bits_of_the_address),
        cmocka_unit_test(runs_that_no_kernel_takes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
