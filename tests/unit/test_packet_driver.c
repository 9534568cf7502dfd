/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet driver over a socket pair instead of a packet socket: what is in front of each frame
 * (struct virtio_net_hdr, hostile.md, P12), what leaves, and what a full socket does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/packet_driver.h"

#define FRAME_SIZE 200

static struct nic nic;
static struct nic_queue queue;
static int far_end;

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    nic = (struct nic){.up = true};
    queue = (struct nic_queue){.nic = &nic};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) || packet_open(&queue, ends[0]))
        return -1;
    far_end = ends[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    queue.ops->close(&queue);
    close(far_end);
    return 0;
}

static void arrive(struct virtio_net_hdr header, uint32_t length)
{
    uint8_t bytes[PACKET_HEADER_SIZE + FRAME_SIZE] = {0};

    memcpy(bytes, &header, sizeof(header));
    assert_int_equal(send(far_end, bytes, length, 0), length);
    queue.readable = true;
}

static uint64_t dropped(void)
{
    queue.ops->refresh(&queue);
    return queue.counters.rx_dropped;
}

static void what_stands_before_a_frame_is_believed_within_bounds(void **state)
{
    const struct {
        struct virtio_net_hdr header;
        bool taken;
        uint16_t segment_size;
    } cases[] = {
        {{0}, true, 0},
        {{.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
         true,
         0},
        {{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448}, true, 1448},
        {{.gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN, .gso_size = 1428},
         true,
         1428},
        {{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 65535}, true, 65535},
        {{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 0}, false, 0},
        {{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1}, false, 0},
        {{.gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 1400}, false, 0},
        {{.gso_type = 5 /* UDP_L4 */, .gso_size = 1400}, false, 0},
        {{.gso_type = 0x7f, .gso_size = 1400}, false, 0},
        {{.hdr_len = 0xffff}, true, 0},
    };
    uint64_t bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nic_frame frame;

        arrive(cases[i].header, PACKET_HEADER_SIZE + FRAME_SIZE);
        assert_int_equal(queue.ops->receive(&queue, &frame, 1), cases[i].taken);
        bad += !cases[i].taken;
        assert_int_equal(dropped(), bad);
        if (!cases[i].taken)
            continue;
        assert_int_equal(frame.length, FRAME_SIZE);
        assert_int_equal(frame.head_length, FRAME_SIZE);
        assert_int_equal(frame.segment_size, cases[i].segment_size);
        assert_int_equal(frame.checksum_partial,
                         cases[i].header.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
    }
}

static void what_is_shorter_than_its_headers_is_dropped(void **state)
{
    struct nic_frame frame;

    (void)state;
    arrive((struct virtio_net_hdr){0}, 1);
    arrive((struct virtio_net_hdr){0}, PACKET_HEADER_SIZE);
    arrive((struct virtio_net_hdr){0}, PACKET_HEADER_SIZE + 13);
    for (int i = 0; i < 3; i++)
        assert_int_equal(queue.ops->receive(&queue, &frame, 1), 0);
    assert_int_equal(dropped(), 3);
}

static void the_socket_is_asked_only_when_it_is_said_to_be_readable(void **state)
{
    struct nic_frame frames[4];

    (void)state;
    arrive((struct virtio_net_hdr){0}, PACKET_HEADER_SIZE + FRAME_SIZE);
    queue.readable = false;
    assert_int_equal(queue.ops->receive(&queue, frames, 4), 0);
    assert_true(queue.ops->sleep(&queue));
    queue.readable = true;
    assert_false(queue.ops->sleep(&queue));
    assert_int_equal(queue.ops->receive(&queue, frames, 4), 1);
    assert_true(queue.ops->sleep(&queue));
}

static void frames_leave_in_order_with_what_is_left_to_be_done(void **state)
{
    const struct nic_offload offload = {
        .segment_size = 1448,
        .header_length = 66,
        .checksum_start = 34,
        .checksum_offset = 16,
        .family = 4,
        .congestion_reduced = true,
    };
    uint8_t bytes[1024];
    struct virtio_net_hdr header;

    (void)state;
    memset(queue.ops->reserve(&queue, 100), 1, 100);
    queue.ops->commit(&queue, 100, NULL);
    memset(queue.ops->reserve(&queue, 200), 2, 200);
    queue.ops->commit(&queue, 200, &offload);
    queue.ops->flush(&queue);
    assert_false(queue.tx_pending);

    assert_int_equal(recv(far_end, bytes, sizeof(bytes), 0), PACKET_HEADER_SIZE + 100);
    memcpy(&header, bytes, sizeof(header));
    assert_int_equal(header.flags, 0);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
    assert_int_equal(bytes[PACKET_HEADER_SIZE], 1);

    assert_int_equal(recv(far_end, bytes, sizeof(bytes), 0), PACKET_HEADER_SIZE + 200);
    memcpy(&header, bytes, sizeof(header));
    assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
    assert_int_equal(header.gso_size, 1448);
    assert_int_equal(header.hdr_len, 66);
    assert_int_equal(header.csum_start, 34);
    assert_int_equal(header.csum_offset, 16);
}

static void a_full_socket_holds_frames_back_and_loses_none(void **state)
{
    uint8_t bytes[2048];
    uint32_t sent = 0, came = 0;

    (void)state;
    while (queue.ops->room(&queue)) {
        uint8_t *frame = queue.ops->reserve(&queue, 1500);

        if (!frame)
            break;
        memcpy(frame, &sent, sizeof(sent));
        queue.ops->commit(&queue, 1500, NULL);
        sent++;
        if (sent % 7 == 0)
            queue.ops->flush(&queue);
    }
    assert_true(sent > 64); /* the pair took some, the buffers hold the rest */
    assert_null(queue.ops->reserve(&queue, 1500));
    assert_true(queue.tx_pending);
    while (came < sent) {
        uint32_t number;

        assert_int_equal(recv(far_end, bytes, sizeof(bytes), 0), PACKET_HEADER_SIZE + 1500);
        memcpy(&number, bytes + PACKET_HEADER_SIZE, sizeof(number));
        assert_int_equal(number, came++);
        queue.ops->flush(&queue);
    }
    assert_false(queue.tx_pending);
    assert_null(queue.ops->reserve(&queue, 14 + 65535 + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_stands_before_a_frame_is_believed_within_bounds,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_shorter_than_its_headers_is_dropped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_socket_is_asked_only_when_it_is_said_to_be_readable,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_leave_in_order_with_what_is_left_to_be_done, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_socket_holds_frames_back_and_loses_none, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
