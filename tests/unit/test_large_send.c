/* SPDX-License-Identifier: BSD-2-Clause */
/* Large sends, through a pair of datagram sockets in place of a packet socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/large_send.h"

static uint8_t got[sizeof(struct virtio_net_hdr) + LARGE_FRAME_MAX];

static struct large_send *open_pair(int *peer)
{
    struct large_send *large;
    int ends[2], size = 1 << 20;

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    assert_int_equal(large_send_open(&large, ends[0]), 0);
    *peer = ends[1];
    return large;
}

static void send_one(struct large_send *large, uint8_t mark, uint32_t length,
                     const struct nic_offload *offload)
{
    uint8_t *frame = large_send_reserve(large);

    assert_non_null(frame);
    assert_ptr_equal(frame, large_send_reserve(large));
    memset(frame, mark, length);
    large_send_commit(large, length, offload);
}

static void the_header_says_what_is_left_to_do(void **state)
{
    const struct nic_offload both = {.segment_size = 1448,
                                     .header_length = 66,
                                     .checksum_start = 34,
                                     .checksum_offset = 16,
                                     .family = 4,
                                     .congestion_reduced = true};
    const struct nic_offload six = {
        .segment_size = 1428, .header_length = 86, .checksum_start = 54, .family = 6};
    const struct nic_offload sum = {.checksum_start = 34, .checksum_offset = 6, .family = 4};
    struct virtio_net_hdr header;
    struct large_send *large;
    int peer;

    (void)state;
    large = open_pair(&peer);
    send_one(large, 1, LARGE_FRAME_MAX, &both);
    send_one(large, 2, 3000, &six);
    send_one(large, 3, 3000, &sum);
    send_one(large, 4, 3000, NULL);
    assert_int_equal(large_send_waiting(large), 4);
    large_send_flush(large);
    assert_int_equal(large_send_waiting(large), 0);

    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(got));
    memcpy(&header, got, sizeof(header));
    assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN);
    assert_int_equal(header.gso_size, 1448);
    assert_int_equal(header.hdr_len, 66);
    assert_int_equal(header.csum_start, 34);
    assert_int_equal(header.csum_offset, 16);
    assert_int_equal(got[sizeof(got) - 1], 1);

    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(header) + 3000);
    memcpy(&header, got, sizeof(header));
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
    assert_int_equal(header.hdr_len, 3000); /* short enough to be kept in one piece */

    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(header) + 3000);
    memcpy(&header, got, sizeof(header));
    assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);

    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(header) + 3000);
    memcpy(&header, got, sizeof(header));
    assert_int_equal(header.flags, 0);
    large_send_close(large);
    close(peer);
}

static uint64_t extra(const struct large_send *large, const char *name)
{
    struct nic_extra extras[NIC_EXTRAS_MAX];
    uint32_t count = large_send_extras(large, extras);

    for (uint32_t i = 0; i < count; i++) {
        if (!strcmp(extras[i].name, name))
            return extras[i].value;
    }
    fail_msg("no counter %s", name);
    return 0;
}

static void what_is_not_taken_now_goes_later_in_order(void **state)
{
    struct large_send *large;
    uint32_t committed = 0, received = 0;
    int peer;

    (void)state;
    large = open_pair(&peer);
    /* until the socket is full and then all buffers are */
    for (;;) {
        if (!large_send_reserve(large)) {
            large_send_flush(large);
            if (!large_send_reserve(large))
                break;
        }
        send_one(large, (uint8_t)committed++, 60000, NULL);
        assert_true(committed < 1000);
    }
    assert_true(extra(large, "tx_large_later") > 0);
    while (received < committed) {
        assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(struct virtio_net_hdr) + 60000);
        assert_int_equal(got[sizeof(struct virtio_net_hdr)], (uint8_t)received);
        received++;
        large_send_flush(large);
    }
    assert_int_equal(large_send_waiting(large), 0);
    assert_int_equal(extra(large, "tx_large"), committed);
    assert_int_equal(extra(large, "tx_large_dropped"), 0);
    large_send_close(large);
    close(peer);
}

/* Returns how many, that one included. */
static uint32_t send_until_one_waits(struct large_send *large)
{
    uint32_t sent = 0;

    for (; !large_send_waiting(large); sent++) {
        assert_true(sent < 1000);
        send_one(large, 1, 60000, NULL);
        large_send_flush(large);
    }
    return sent;
}

#define HEAD_MARK 9
#define HEAD_SIZE 100

/* A frame whose payload, all `mark`, lies elsewhere. */
static void send_two_pieces(struct large_send *large, uint8_t mark, uint8_t *payload, uint32_t size,
                            const struct nic_offload *offload)
{
    memset(payload, mark, size);
    memset(large_send_reserve(large), HEAD_MARK, HEAD_SIZE);
    large_send_commit_referring(large, HEAD_SIZE, payload, size, offload);
}

static void expect_two_pieces(int peer, uint8_t mark, uint32_t size)
{
    const uint8_t *frame = got + sizeof(struct virtio_net_hdr);

    assert_int_equal(recv(peer, got, sizeof(got), 0),
                     sizeof(struct virtio_net_hdr) + HEAD_SIZE + size);
    assert_int_equal(frame[0], HEAD_MARK);
    assert_int_equal(frame[HEAD_SIZE - 1], HEAD_MARK);
    for (uint32_t i = 0; i < size; i++)
        assert_int_equal(frame[HEAD_SIZE + i], mark);
}

/* The ring that the payload lies in is its owner's again after settle(). */
static void what_lies_elsewhere_is_copied_when_it_cannot_leave(void **state)
{
    static uint8_t payload[60000];
    const struct nic_offload sum = {.checksum_start = 34, .checksum_offset = 16, .family = 4};
    struct large_send *large;
    uint32_t ahead;
    int peer;

    (void)state;
    large = open_pair(&peer);
    ahead = send_until_one_waits(large);
    for (uint8_t mark = 2; mark < 4; mark++) {
        send_two_pieces(large, mark, payload, sizeof(payload), &sum);
        large_send_flush(large);
        large_send_settle(large);
        memset(payload, 0xff, sizeof(payload));
    }
    assert_int_equal(large_send_waiting(large), 3);
    assert_int_equal(extra(large, "tx_large_referred"), 2);
    for (uint32_t i = 0; i < ahead; i++) {
        assert_true(recv(peer, got, sizeof(got), 0) > 0);
        large_send_flush(large);
    }
    for (uint8_t mark = 2; mark < 4; mark++) {
        large_send_flush(large);
        expect_two_pieces(peer, mark, sizeof(payload));
    }
    large_send_close(large);
    close(peer);
}

/* A frame in two pieces moves up into the place of one that was in one. */
static void what_waits_keeps_its_pieces(void **state)
{
    static uint8_t payload[60000];
    struct large_send *large;
    uint32_t ahead;
    int peer;

    (void)state;
    large = open_pair(&peer);
    ahead = send_until_one_waits(large);
    send_two_pieces(large, 2, payload, sizeof(payload), NULL);
    send_one(large, 3, 60000, NULL);
    for (uint32_t i = 0; i < ahead; i++) {
        assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(struct virtio_net_hdr) + 60000);
        large_send_flush(large);
    }
    expect_two_pieces(peer, 2, sizeof(payload));
    large_send_flush(large);
    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(struct virtio_net_hdr) + 60000);
    assert_int_equal(got[sizeof(struct virtio_net_hdr)], 3);
    large_send_close(large);
    close(peer);
}

/* And where it can, it goes from there. */
static void what_lies_elsewhere_is_sent_from_there(void **state)
{
    static uint8_t payload[30000];
    const struct nic_offload sum = {.checksum_start = 34, .checksum_offset = 16, .family = 4};
    struct large_send *large;
    int peer;

    (void)state;
    large = open_pair(&peer);
    send_two_pieces(large, 7, payload, sizeof(payload), &sum);
    send_one(large, 5, 200, NULL);
    large_send_flush(large);
    expect_two_pieces(peer, 7, sizeof(payload));
    assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(struct virtio_net_hdr) + 200);
    large_send_close(large);
    close(peer);
}

static void what_will_never_be_taken_is_dropped_and_counted(void **state)
{
    struct large_send *large;
    int peer;

    (void)state;
    large = open_pair(&peer);
    close(peer); /* ECONNREFUSED, as ENETDOWN of a device that is down */
    for (int i = 0; i < 5; i++)
        send_one(large, 0, 3000, NULL);
    large_send_flush(large);
    assert_int_equal(large_send_waiting(large), 0);
    assert_int_equal(extra(large, "tx_large_dropped"), 5);
    send_one(large, 0, 3000, NULL);
    large_send_drop(large);
    assert_int_equal(extra(large, "tx_large_dropped"), 6);
    large_send_close(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_says_what_is_left_to_do),
        cmocka_unit_test(what_is_not_taken_now_goes_later_in_order),
        cmocka_unit_test(what_lies_elsewhere_is_copied_when_it_cannot_leave),
        cmocka_unit_test(what_waits_keeps_its_pieces),
        cmocka_unit_test(what_lies_elsewhere_is_sent_from_there),
        cmocka_unit_test(what_will_never_be_taken_is_dropped_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
