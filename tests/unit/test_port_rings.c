/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack's packets: rings, wake-ups, and what happens to them when the switch goes away. */
#include "port_fixture.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define RING_SIZE (64 * 1024)

static void open_rings_of(struct fixture *fixture, unsigned rings, uint32_t bytes)
{
    struct ms_port_options options = {.size = sizeof(options),
                                      .control_path = fixture->fake->path,
                                      .rings = rings,
                                      .rx_bytes = bytes,
                                      .tx_bytes = bytes};

    assert_int_equal(ms_port_open(&fixture->port, &options), 0);
}

static void open_rings(struct fixture *fixture, unsigned rings)
{
    open_rings_of(fixture, rings, RING_SIZE);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    fixture->fake = fake_switch_new();
    open_rings(fixture, 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    ms_port_close(fixture->port);
    fake_switch_free(fixture->fake);
    free(fixture);
    return 0;
}

static bool is_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};

    return poll(&wanted, 1, 0) == 1;
}

static bool put(struct fixture *fixture, uint8_t fill, uint32_t length)
{
    uint8_t packet[65536];

    memset(packet, fill, length);
    return fake_switch_put(fixture->fake, 0, packet, length, 0);
}

static bool send_packet(struct ms_port *port, unsigned ring, uint8_t fill, uint32_t length)
{
    uint8_t *packet = ms_reserve(port, ring, length);

    if (!packet)
        return false;
    memset(packet, fill, length);
    ms_commit(port, ring, length, NULL);
    return true;
}

/* ── receiving ── */

static void test_packets_come_in_order_and_whole(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[8];

    assert_int_equal(ms_receive(fixture->port, 0, packets, 8), 0);
    assert_true(fake_switch_put(fixture->fake, 0, "\x45xxxx", 5, RECORD_CHECKSUM_PARTIAL));
    assert_true(put(fixture, 2, 1500));
    assert_true(put(fixture, 3, 20000));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 8), 3);
    assert_int_equal(packets[0].length, 5);
    assert_memory_equal(packets[0].data, "\x45xxxx", 5);
    assert_int_equal(packets[0].flags, MS_RX_CHECKSUM_PARTIAL);
    assert_int_equal(packets[1].length, 1500);
    assert_int_equal(packets[1].data[1499], 2);
    assert_int_equal(packets[1].flags, 0);
    assert_int_equal(packets[2].length, 20000);
    assert_int_equal(packets[2].data[19999], 3);
    ms_receive_done(fixture->port, 0);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 8), 0);
}

static void test_a_second_receive_goes_on_behind_the_first(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet first[2], second[8];

    for (uint8_t i = 0; i < 5; i++)
        assert_true(put(fixture, i, 100));
    assert_int_equal(ms_receive(fixture->port, 0, first, 2), 2);
    assert_int_equal(ms_receive(fixture->port, 0, second, 8), 3);
    for (uint8_t i = 0; i < 2; i++)
        assert_int_equal(first[i].data[50], i);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(second[i].data[50], 2 + i);
    ms_receive_done(fixture->port, 0);
}

static void test_memory_is_given_back_by_done_alone(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[256];
    unsigned count = 0;

    while (put(fixture, (uint8_t)count, 1000))
        count++;
    assert_true(count > 50);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 256), count);
    assert_false(put(fixture, 0, 1000));
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(packets[i].data[999], (uint8_t)i);
    ms_receive_done(fixture->port, 0);
    assert_true(put(fixture, 0, 1000));
}

static void test_broken_ring_is_given_up_and_made_anew(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[4];

    assert_true(put(fixture, 1, 64));
    ring_store_release(&fixture->fake->rx[0].control->tail, 0x7fffffc0);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0);
    port_await_connected(fixture->port, false);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0);
    port_await_connected(fixture->port, true);
    assert_true(put(fixture, 2, 64));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 1);
    assert_int_equal(packets[0].data[0], 2);
    ms_receive_done(fixture->port, 0);
}

static void test_broken_record_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[4];
    uint32_t *length = (uint32_t *)fixture->fake->rx[0].data;

    assert_true(put(fixture, 1, 64));
    *length = 100000;
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0);
    port_await_connected(fixture->port, false);
    port_await_connected(fixture->port, true);
}

/* ── sending ── */

static void test_packets_go_out_at_flush(void **state)
{
    struct fixture *fixture = *state;
    const struct ms_offload offload = {
        .flags = MS_TX_CHECKSUM | 0x8001, .checksum_start = 20, .checksum_offset = 16};
    struct ring_record record;
    uint8_t packet[65536];
    uint8_t *place = ms_reserve(fixture->port, 0, 2000);

    memset(place, 7, 2000);
    ms_commit(fixture->port, 0, 700, &offload); /* shorter than was reserved */
    assert_true(send_packet(fixture->port, 0, 8, 1));
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 700);
    assert_int_equal(packet[699], 7);
    assert_int_equal(record.flags, RECORD_CHECKSUM_PARTIAL); /* other flags are not passed on */
    assert_int_equal(record.checksum_start, 20);
    assert_int_equal(record.checksum_offset, 16);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 1);
    assert_int_equal(record.flags, 0);
}

static void test_packets_of_ones_own_go_out_at_flush(void **state)
{
    struct fixture *fixture = *state;
    const struct ms_offload offload = {
        .flags = MS_TX_CHECKSUM | 0x8001, .checksum_start = 20, .checksum_offset = 16};
    static uint8_t own[65536], packet[65536];
    struct ring_record record;
    unsigned sent = 0;

    memset(own, 7, sizeof(own));
    assert_non_null(ms_reserve(fixture->port, 0, 100)); /* forgotten by what follows */
    assert_true(ms_send(fixture->port, 0, own, 701, &offload));
    ms_commit(fixture->port, 0, 100, NULL);
    assert_true(send_packet(fixture->port, 0, 8, 100));
    assert_true(ms_send(fixture->port, 0, own, 1, NULL));
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 701);
    assert_memory_equal(packet, own, 701);
    assert_int_equal(record.flags, RECORD_CHECKSUM_PARTIAL);
    assert_int_equal(record.checksum_start, 20);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 100);
    assert_int_equal(packet[99], 8);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 1);
    assert_int_equal(record.flags, 0);

    assert_false(ms_send(fixture->port, 0, own, 0, NULL));
    assert_false(ms_send(fixture->port, 0, own, 65536, NULL));
    assert_false(ms_send(fixture->port, 0, own, RING_SIZE / 2, NULL));
    assert_false(ms_send(fixture->port, 1, own, 100, NULL)); /* no such ring */
    while (ms_send(fixture->port, 0, own, 1000, NULL))
        assert_true(++sent < 1000);
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 1000);
    assert_true(ms_send(fixture->port, 0, own, 1000, NULL)); /* there is room again */
}

/* As usual or past the cache, as trials say (common/ring_near.h), and around the end of the ring. */
static void test_packets_in_a_large_ring_are_whole_however_they_are_stored(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t bytes = 1024 * 1024;
    static uint8_t own[8192], packet[65536];
    struct ring_record record;
    uint32_t sent = 0;

    ms_port_close(fixture->port);
    open_rings_of(fixture, 1, bytes);
    for (uint32_t i = 0; i < sizeof(own); i++)
        own[i] = (uint8_t)(i * 7 + i / 256);
    for (uint32_t i = 0; sent < 3 * bytes; i++) {
        uint32_t length = 1 + i * 17 % 2000;

        assert_true(ms_send(fixture->port, 0, own + i % 256, length, NULL));
        ms_flush(fixture->port, 0);
        assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record),
                         length);
        assert_memory_equal(packet, own + i % 256, length);
        assert_int_equal(record.flags, 0);
        sent += length;
    }
}

/* Wherever the switch runs, the packet is the same. */
static void test_what_a_packet_is_filled_with_arrives(void **state)
{
    struct fixture *fixture = *state;
    struct ring_control *control = fixture->fake->tx[0].control;
    const uint32_t somewhere_else = 100000, sizes[] = {1, 63, 1023, 1024, 1025, 4001};
    static uint8_t own[8192], packet[65536];
    struct ring_record record;

    for (uint32_t i = 0; i < sizeof(own); i++)
        own[i] = (uint8_t)(i * 7 + i / 256);
    for (unsigned far = 0; far < 2; far++) {
        ring_store_relaxed(&control->consumer_cpu, far ? somewhere_else : 0);
        ms_flush(fixture->port, 0); /* now it is known */
        for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            for (uint32_t head = 40; head < 140; head += 33) {
                uint8_t *place = ms_reserve(fixture->port, 0, head + sizes[i] + 1);

                assert_non_null(place);
                memset(place, 1, head + sizes[i] + 1);
                ms_fill(fixture->port, 0, place + head, own + i, sizes[i]);
                ms_commit(fixture->port, 0, head + sizes[i] + 1, NULL);
                ms_flush(fixture->port, 0);
                assert_int_equal(
                    fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record),
                    head + sizes[i] + 1);
                assert_memory_equal(packet + head, own + i, sizes[i]);
                assert_int_equal(packet[head - 1], 1);
                assert_int_equal(packet[head + sizes[i]], 1);
            }
        }
    }
}

static void test_the_switch_is_told_on_which_processor_packets_are_read(void **state)
{
    struct fixture *fixture = *state;
    const struct ring_control *control = fixture->fake->rx[0].control;
    struct ms_packet packets[8];

    assert_int_equal(ring_load_relaxed(&control->consumer_cpu), 0);
    assert_true(put(fixture, 2, 100));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 8), 1);
    assert_in_range(ring_load_relaxed(&control->consumer_cpu), 1, sysconf(_SC_NPROCESSORS_CONF));
    ms_receive_done(fixture->port, 0);
}

static void test_forgotten_reservations_are_not_sent(void **state)
{
    struct fixture *fixture = *state;
    struct ring_record record;
    uint8_t packet[2048];

    assert_non_null(ms_reserve(fixture->port, 0, 100));
    assert_non_null(ms_reserve(fixture->port, 0, 200));
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
    ms_commit(fixture->port, 0, 201, NULL); /* longer than reserved: not sent */
    ms_commit(fixture->port, 0, 0, NULL);
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
    assert_true(send_packet(fixture->port, 0, 1, 300));
    ms_commit(fixture->port, 0, 300, NULL); /* committed already */
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 300);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
}

static void test_impossible_lengths_are_not_reserved(void **state)
{
    struct fixture *fixture = *state;

    assert_null(ms_reserve(fixture->port, 0, 0));
    assert_null(ms_reserve(fixture->port, 0, 65536));
    assert_null(ms_reserve(fixture->port, 0, UINT32_MAX));
    assert_null(ms_reserve(fixture->port, 1, 100)); /* no such ring */
    assert_non_null(ms_reserve(fixture->port, 0, RING_SIZE / 2 - 16));
    assert_null(ms_reserve(fixture->port, 0, RING_SIZE / 2));
}

static void test_full_ring_wakes_when_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    struct ring_record record;
    struct ms_ring_stats stats = {.size = sizeof(stats)};
    uint8_t packet[2048];
    unsigned count = 0;

    while (send_packet(fixture->port, 0, (uint8_t)count, 1500))
        count++;
    ms_flush(fixture->port, 0);
    ms_ring_stats(fixture->port, 0, &stats);
    assert_int_equal(stats.tx_packets, count);
    assert_int_equal(stats.tx_bytes, count * 1500);
    assert_int_equal(stats.tx_full, 1);
    assert_true(ms_ring_wait(fixture->port, 0, 1500));
    assert_false(is_readable(ms_port_fd(fixture->port)));
    while (fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record) > 0)
        ;
    assert_true(is_readable(ms_port_fd(fixture->port)));
    ms_dispatch(fixture->port);
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_false(ms_ring_wait(fixture->port, 0, 1500)); /* there is room now */
    assert_true(send_packet(fixture->port, 0, 1, 1500));
}

/* ── waking ── */

static void test_port_becomes_readable_only_when_it_asked(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[4];

    assert_true(put(fixture, 1, 100)); /* nobody asked to be woken */
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_false(ms_ring_wait(fixture->port, 0, 0)); /* there is something to do */
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 1);
    ms_receive_done(fixture->port, 0);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_true(put(fixture, 2, 100));
    assert_true(is_readable(ms_port_fd(fixture->port)));
    ms_dispatch(fixture->port);
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 1);
    ms_receive_done(fixture->port, 0);
}

static void test_wait_returns_packets_and_timeouts(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(port_wait(fixture->port, 0), 0);
    assert_int_equal(port_wait(fixture->port, 5), 0);
    assert_true(put(fixture, 1, 100));
    assert_int_equal(port_wait(fixture->port, -1), 1);
}

static void test_switch_is_woken_only_when_it_sleeps(void **state)
{
    struct fixture *fixture = *state;
    struct ms_ring_stats stats = {.size = sizeof(stats)};

    assert_true(send_packet(fixture->port, 0, 1, 100));
    ms_flush(fixture->port, 0);
    assert_false(fake_switch_woken(fixture->fake, 0));
    fake_switch_echo(fixture->fake);
    assert_true(fake_switch_sleep(fixture->fake, 0));
    assert_true(send_packet(fixture->port, 0, 1, 100));
    assert_false(fake_switch_woken(fixture->fake, 0)); /* not before the batch is whole */
    ms_flush(fixture->port, 0);
    assert_true(fake_switch_woken(fixture->fake, 0));
    assert_true(send_packet(fixture->port, 0, 1, 100));
    ms_flush(fixture->port, 0);
    assert_false(fake_switch_woken(fixture->fake, 0)); /* once is enough */
    ms_ring_stats(fixture->port, 0, &stats);
    assert_int_equal(stats.wakeups_sent, 1);
}

/* ── restarts ── */

static void test_packets_held_over_a_restart_stay_readable(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet held[4], packets[4];

    assert_true(put(fixture, 5, 1000));
    assert_int_equal(ms_receive(fixture->port, 0, held, 4), 1);
    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false);
    assert_int_equal(held[0].data[999], 5);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0);
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, true);
    assert_true(put(fixture, 6, 1000));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0); /* not while it holds some */
    assert_int_equal(held[0].data[999], 5);
    ms_receive_done(fixture->port, 0);
    assert_false(ms_ring_wait(fixture->port, 0, 0));
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 1);
    assert_int_equal(packets[0].data[999], 6);
    ms_receive_done(fixture->port, 0);
}

static void test_reservation_over_a_restart_is_harmless(void **state)
{
    struct fixture *fixture = *state;
    struct ring_record record;
    uint8_t packet[2048];
    uint8_t *place = ms_reserve(fixture->port, 0, 1000);

    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false);
    memset(place, 1, 1000);
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, true);
    memset(place, 2, 1000);
    ms_commit(fixture->port, 0, 1000, NULL);
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 0);
    assert_true(send_packet(fixture->port, 0, 3, 1000));
    ms_flush(fixture->port, 0);
    assert_int_equal(fake_switch_take(fixture->fake, 0, packet, sizeof(packet), &record), 1000);
    assert_int_equal(packet[0], 3);
}

static void test_nothing_goes_in_or_out_while_the_switch_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct ms_packet packets[4];

    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false);
    assert_null(ms_reserve(fixture->port, 0, 100));
    ms_commit(fixture->port, 0, 100, NULL);
    ms_flush(fixture->port, 0);
    assert_int_equal(ms_receive(fixture->port, 0, packets, 4), 0);
    assert_true(ms_ring_wait(fixture->port, 0, 100)); /* sleep: ms_port_fd() will tell */
    assert_int_equal(port_wait(fixture->port, 50), 0);
    fake_switch_start(fixture->fake);
    while (!port_info(fixture->port).connected)
        assert_true(port_wait(fixture->port, 20) >= 0);
    assert_true(send_packet(fixture->port, 0, 1, 100));
}

/* ── threads ── */

static void test_ring_with_its_own_descriptor_leaves_the_ports(void **state)
{
    struct fixture *fixture = *state;
    int fd = ms_ring_fd(fixture->port, 0);

    assert_true(fd >= 0);
    assert_int_equal(ms_ring_fd(fixture->port, 0), fd);
    assert_int_equal(ms_ring_fd(fixture->port, 1), -EINVAL);
    ms_dispatch(fixture->port);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_false(is_readable(fd));
    assert_true(put(fixture, 1, 64));
    assert_true(is_readable(fd));
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_false(ms_ring_wait(fixture->port, 0, 0));
    assert_false(is_readable(fd)); /* taken back */
    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false);
    assert_true(is_readable(fd)); /* the news */
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, true);
    assert_true(is_readable(fd));
    assert_int_equal(ms_ring_fd(fixture->port, 0), fd);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_true(put(fixture, 1, 64));
    assert_true(is_readable(fd));
}

/* What the set has to tell: one event, the ring's. */
static void assert_tells_of_the_ring(int set)
{
    struct epoll_event events[4];

    assert_int_equal(epoll_wait(set, events, 4, 0), 1);
    assert_int_equal(events[0].data.u64, 0x1234567890);
    assert_int_equal(epoll_wait(set, events, 4, 0), 0); /* an edge: nobody takes it back */
}

static void test_ring_is_told_to_a_set_of_the_callers(void **state)
{
    struct fixture *fixture = *state;
    int set = epoll_create1(EPOLL_CLOEXEC);

    ms_dispatch(fixture->port);
    assert_int_equal(ms_ring_watch(fixture->port, 0, -1, 1), -EBADF); /* and nothing has changed */
    assert_int_equal(ms_ring_watch(fixture->port, 0, set, 0x1234567890), 0);
    assert_int_equal(ms_ring_watch(fixture->port, 0, set, 1), -EBUSY);
    assert_int_equal(ms_ring_fd(fixture->port, 0), -EBUSY);
    assert_int_equal(ms_ring_watch(fixture->port, 1, set, 1), -EINVAL);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_false(is_readable(set));
    assert_true(put(fixture, 1, 64));
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_false(ms_ring_wait(fixture->port, 0, 0));
    assert_tells_of_the_ring(set);

    fake_switch_kill(fixture->fake);
    port_await_connected(fixture->port, false); /* told by ms_port_fd(), as ever */
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, true);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_false(is_readable(set));
    assert_true(put(fixture, 1, 64));
    assert_false(is_readable(ms_port_fd(fixture->port)));
    assert_tells_of_the_ring(set);

    ms_port_close(fixture->port);
    fixture->port = NULL;
    assert_int_equal(close(set), 0);
}

static void test_who_has_a_descriptor_has_no_set(void **state)
{
    struct fixture *fixture = *state;
    int set = epoll_create1(EPOLL_CLOEXEC);

    assert_true(ms_ring_fd(fixture->port, 0) >= 0);
    assert_int_equal(ms_ring_watch(fixture->port, 0, set, 1), -EBUSY);
    close(set);
}

struct worker {
    struct ms_port *port;
    unsigned ring;
    unsigned wanted; /* packets to get back */
    unsigned received;
    unsigned wrong;
    atomic_bool done;
};

/* Sends packets with its own number in them and takes the echoes, until it has seen enough. What is
 * lost in a restart is sent again, as a protocol would. */
static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pollfd wanted = {.fd = ms_ring_fd(worker->port, worker->ring), .events = POLLIN};

    while (worker->received < worker->wanted) {
        struct ms_packet packets[16];
        unsigned count;

        for (int i = 0; i < 4; i++)
            send_packet(worker->port, worker->ring, (uint8_t)(0x40 + worker->ring), 200);
        ms_flush(worker->port, worker->ring);
        if (ms_ring_wait(worker->port, worker->ring, 0))
            poll(&wanted, 1, 20);
        count = ms_receive(worker->port, worker->ring, packets, 16);
        for (unsigned i = 0; i < count; i++)
            worker->wrong +=
                packets[i].length != 200 || packets[i].data[199] != 0x40 + worker->ring;
        worker->received += count;
        ms_receive_done(worker->port, worker->ring);
    }
    atomic_store(&worker->done, true);
    return NULL;
}

static void test_rings_of_two_threads_are_independent(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[2];
    pthread_t threads[2];
    unsigned rounds = 0;

    ms_port_close(fixture->port);
    open_rings(fixture, 2);
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){.port = fixture->port, .ring = i, .wanted = 2000};
        pthread_create(&threads[i], NULL, work, &workers[i]);
    }
    while (!atomic_load(&workers[0].done) || !atomic_load(&workers[1].done)) {
        struct ms_ring_stats stats = {.size = sizeof(stats)};

        fake_switch_echo(fixture->fake);
        ms_dispatch(fixture->port);
        ms_ring_stats(fixture->port, rounds % 2, &stats);
        rounds++;
        if (rounds % 500 == 0 && rounds <= 1500) {
            fake_switch_kill(fixture->fake);
            fake_switch_start(fixture->fake);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(workers[i].received >= workers[i].wanted);
        assert_int_equal(workers[i].wrong, 0);
    }
}

/* What the fake switch reads where wake-ups are moderated. */
static void assert_moderation(const struct fixture *fixture, uint32_t packets, uint32_t delay_us)
{
    const struct ring_control *control = fixture->fake->rx[0].control;

    assert_int_equal(ring_load_relaxed(&control->wake_packets), packets);
    assert_int_equal(ring_load_relaxed(&control->wake_delay_us), delay_us);
}

static void test_moderation_is_told_to_each_switch(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(ms_ring_moderate(fixture->port, 1, 8, 50), -EINVAL);
    assert_int_equal(ms_ring_moderate(fixture->port, 0, 8, 100001), -EINVAL);
    assert_moderation(fixture, 0, 0);
    assert_int_equal(ms_ring_moderate(fixture->port, 0, 8, 50), 0);
    assert_moderation(fixture, 8, 50);
    fake_switch_kill(fixture->fake);
    fake_switch_start(fixture->fake);
    port_await_connected(fixture->port, false);
    port_await_connected(fixture->port, true);
    assert_true(ms_ring_wait(fixture->port, 0, 0));
    assert_moderation(fixture, 8, 50);
    assert_int_equal(ms_ring_moderate(fixture->port, 0, 0, 0), 0);
    assert_moderation(fixture, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_packets_come_in_order_and_whole),
        TEST(test_a_second_receive_goes_on_behind_the_first),
        TEST(test_memory_is_given_back_by_done_alone),
        TEST(test_broken_ring_is_given_up_and_made_anew),
        TEST(test_broken_record_is_given_up),
        TEST(test_packets_go_out_at_flush),
        TEST(test_packets_of_ones_own_go_out_at_flush),
        TEST(test_packets_in_a_large_ring_are_whole_however_they_are_stored),
        TEST(test_what_a_packet_is_filled_with_arrives),
        TEST(test_the_switch_is_told_on_which_processor_packets_are_read),
        TEST(test_forgotten_reservations_are_not_sent),
        TEST(test_impossible_lengths_are_not_reserved),
        TEST(test_full_ring_wakes_when_there_is_room),
        TEST(test_port_becomes_readable_only_when_it_asked),
        TEST(test_wait_returns_packets_and_timeouts),
        TEST(test_switch_is_woken_only_when_it_sleeps),
        TEST(test_packets_held_over_a_restart_stay_readable),
        TEST(test_reservation_over_a_restart_is_harmless),
        TEST(test_nothing_goes_in_or_out_while_the_switch_is_away),
        TEST(test_ring_with_its_own_descriptor_leaves_the_ports),
        TEST(test_ring_is_told_to_a_set_of_the_callers),
        TEST(test_who_has_a_descriptor_has_no_set),
        TEST(test_moderation_is_told_to_each_switch),
        TEST(test_rings_of_two_threads_are_independent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
