/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments on the bench: what is put together, what is given up (hostile.md, W5). */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define DATAGRAM 3000 /* bytes of UDP payload */

static const struct bench_packet datagram4 = {BENCH_PEER4,     BENCH_HOST4, 5000, 7,
                                              IP_PROTOCOL_UDP, 0,           0,    DATAGRAM};
static const struct bench_packet datagram6 = {BENCH_PEER6,     BENCH_HOST6, 5000, 7,
                                              IP_PROTOCOL_UDP, 0,           0,    DATAGRAM};

static struct bench_app echo_server(struct bench *bench)
{
    struct bench_app app = bench_app_open(bench, false, 1 << 20);

    bench_bind(bench, &app, IP_PROTOCOL_UDP, "0.0.0.0", 7);
    bench_bind(bench, &app, IP_PROTOCOL_UDP, "::", 7);
    return app;
}

/* Sends the bytes from `offset` to `end` of a packet's payload as a fragment of datagram `id`; `more`
 * as it is told. */
static void arrive_fragment(struct bench *bench, const uint8_t *packet, uint16_t id,
                            uint32_t offset, uint32_t end, bool more)
{
    uint8_t bytes[2048] = {0};
    uint32_t size = end - offset;

    if (packet[0] >> 4 == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;

        memcpy(bytes, packet, IPV4_HEADER_MIN);
        memcpy(bytes + IPV4_HEADER_MIN, packet + IPV4_HEADER_MIN + offset, size);
        size += IPV4_HEADER_MIN;
        ip->total_length = htons((uint16_t)size);
        ip->id = htons(id);
        ip->fragment = htons((uint16_t)(offset / 8 | (more ? IPV4_MORE_FRAGMENTS : 0)));
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, IPV4_HEADER_MIN));
    } else {
        struct wire_ipv6 *ip = (struct wire_ipv6 *)bytes;
        struct wire_fragment *fragment = (struct wire_fragment *)(bytes + IPV6_HEADER_SIZE);

        memcpy(bytes, packet, IPV6_HEADER_SIZE);
        *fragment = (struct wire_fragment){.next_header = ip->next_header,
                                           .offset = htons((uint16_t)(offset | more)),
                                           .id = htonl(id)};
        ip->next_header = IPV6_FRAGMENT;
        memcpy(fragment + 1, packet + IPV6_HEADER_SIZE + offset, size);
        size += sizeof(*fragment);
        ip->payload_length = htons((uint16_t)size);
        size += IPV6_HEADER_SIZE;
    }
    bench_arrive(bench, bytes, size);
    worker_round(bench->worker);
}

static uint32_t payload_of(const uint8_t *packet, uint32_t length)
{
    return length - (packet[0] >> 4 == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE);
}

/* The record must be the packet, but for what fragmentation changes in an IPv4 header. */
static void expect_whole(struct bench_app *app, const uint8_t *packet, uint32_t length)
{
    struct ring_record record;
    const uint8_t *got = bench_receive(app, &record);
    uint32_t header = length - payload_of(packet, length);

    assert_non_null(got);
    assert_int_equal(record.length, length);
    assert_memory_equal(got + header, packet + header, length - header);
    assert_true(bench_checksum_good(got, length));
    if (header == IPV6_HEADER_SIZE)
        assert_memory_equal(got, packet, header);
    else
        assert_int_equal(((const struct wire_ipv4 *)got)->fragment, 0);
    assert_null(bench_receive(app, &record));
}

static void expect_nothing(struct bench_app *app)
{
    struct ring_record record;

    assert_null(bench_receive(app, &record));
}

/* The pieces that a wire of 1,000 bytes makes of it, in the order that `order` says. */
static void arrive_in_order(struct bench *bench, const uint8_t *packet, uint32_t length,
                            uint16_t id, const int order[4])
{
    uint32_t size = payload_of(packet, length);

    for (int i = 0; i < 4; i++) {
        uint32_t offset = (uint32_t)order[i] * 800;
        uint32_t end = offset + 800 < size ? offset + 800 : size;

        arrive_fragment(bench, packet, id, offset, end, end < size);
    }
}

static void fragments_become_a_packet_in_any_order(void **state)
{
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {0, 3, 1, 2}};
    const struct bench_packet *const kinds[] = {&datagram4, &datagram6};
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096];
    uint16_t id = 0;

    for (int kind = 0; kind < 2; kind++) {
        uint32_t length = bench_packet(bytes, kinds[kind]);

        for (size_t i = 0; i < 4; i++) {
            arrive_in_order(bench, bytes, length, id++, orders[i]);
            expect_whole(&app, bytes, length);
        }
    }
    assert_int_equal(bench->worker->fragments.count, 0);
    bench_app_close(bench, &app);
}

static void what_is_sent_twice_alike_does_no_harm(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096];
    uint32_t length = bench_packet(bytes, &datagram4);

    arrive_fragment(bench, bytes, 1, 0, 800, true);
    arrive_fragment(bench, bytes, 1, 0, 800, true);
    arrive_fragment(bench, bytes, 1, 800, 1600, true);
    arrive_fragment(bench, bytes, 1, 800, 1600, true);
    arrive_fragment(bench, bytes, 1, 1600, 2400, true);
    expect_nothing(&app);
    arrive_fragment(bench, bytes, 1, 2400, payload_of(bytes, length), false);
    expect_whole(&app, bytes, length);
    bench_app_close(bench, &app);
}

static void overlaps_and_contradictions_end_the_datagram(void **state)
{
    static const struct {
        uint32_t offset, end;
        bool more;
    } second[] = {
        {792, 1592, true},   /* overlaps the first by 8 bytes */
        {8, 16, true},       /* within the first, with other bytes */
        {0, 808, true},      /* covers it */
        {800, 1601, true},   /* has more behind it and is no multiple of 8 */
        {8, 400, false},     /* ends before what is here */
        {792, 800, false},   /* the end of what is here, but overlaps */
        {3008, 3008, false}, /* empty */
    };
    const struct bench_packet *const kinds[] = {&datagram4, &datagram6};
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096], other[4096];

    for (size_t i = 0; i < 2 * sizeof(second) / sizeof(second[0]); i++) {
        uint32_t length = bench_packet(bytes, kinds[i % 2]);
        uint64_t before = bench_nic_drops(bench, DROP_RX_FRAGMENT_BAD);

        memcpy(other, bytes, sizeof(other));
        for (uint32_t at = length - payload_of(bytes, length) + 8; at < length; at++)
            other[at] ^= 0x55;
        arrive_fragment(bench, bytes, (uint16_t)i, 0, 800, true);
        arrive_fragment(bench, other, (uint16_t)i, second[i / 2].offset, second[i / 2].end,
                        second[i / 2].more);
        assert_int_equal(bench_nic_drops(bench, DROP_RX_FRAGMENT_BAD), before + 2);
        assert_int_equal(bench->worker->fragments.count, 0);
        expect_nothing(&app);
    }
    bench_app_close(bench, &app);
}

static void no_more_than_a_packet_holds_is_put_together(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096];
    struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;

    bench_packet(bytes, &datagram4);
    arrive_fragment(bench, bytes, 3, 0, 800, true);
    /* the ping of death: 65,528 + 800 bytes */
    memmove(bytes + IPV4_HEADER_MIN, bytes + IPV4_HEADER_MIN + 800, 800);
    ip->total_length = htons(IPV4_HEADER_MIN + 800);
    ip->id = htons(3);
    ip->fragment = htons(8191);
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, IPV4_HEADER_MIN));
    bench_arrive(bench, bytes, IPV4_HEADER_MIN + 800);
    worker_round(bench->worker);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_FRAGMENT_BAD), 2);
    expect_nothing(&app);
    bench_app_close(bench, &app);
}

/* By numbers, not by names: this is what is promised (doc/hostile.md), whatever the source says. */
static void a_flood_pushes_out_the_oldest_and_time_the_rest(void **state)
{
    enum { DATAGRAMS = 64, SECONDS = 30 };
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096];
    uint32_t length = bench_packet(bytes, &datagram4);

    for (uint16_t id = 0; id < 3 * DATAGRAMS; id++) {
        bench->worker->now_ns++;
        arrive_fragment(bench, bytes, id, 0, 800, true);
    }
    assert_int_equal(bench->worker->fragments.count, DATAGRAMS);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_FRAGMENT_LOST), 2 * DATAGRAMS);
    /* the youngest can still be finished */
    arrive_fragment(bench, bytes, 3 * DATAGRAMS - 1, 800, 1600, true);
    arrive_fragment(bench, bytes, 3 * DATAGRAMS - 1, 1600, 2400, true);
    arrive_fragment(bench, bytes, 3 * DATAGRAMS - 1, 2400, payload_of(bytes, length), false);
    expect_whole(&app, bytes, length);
    /* the oldest of them is as many nanoseconds older */
    fragments_expire(&bench->worker->fragments,
                     bench->worker->now_ns + SECONDS * 1000000000ULL - DATAGRAMS);
    assert_int_equal(bench->worker->fragments.count, DATAGRAMS - 1);
    fragments_expire(&bench->worker->fragments, bench->worker->now_ns + SECONDS * 1000000000ULL);
    assert_int_equal(bench->worker->fragments.count, 0);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_FRAGMENT_LOST), 3 * DATAGRAMS - 1);
    bench_app_close(bench, &app);
}

static void extension_headers_around_a_fragment_keep_their_places(void **state)
{
    /* hop-by-hop options before the fragment header stay, destination options behind it too */
    static const uint8_t options[8] = {0, 0, 1, 4};
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    struct bench_packet small = datagram6;
    struct ring_record record;
    uint8_t plain[2048], bytes[2048];
    struct wire_ipv6 *ip = (struct wire_ipv6 *)bytes;
    uint32_t length, at = IPV6_HEADER_SIZE;
    const uint8_t *got;

    small.payload = 104;
    length = bench_packet(plain, &small);
    memcpy(bytes, plain, IPV6_HEADER_SIZE);
    ip->next_header = IPV6_HOP_BY_HOP;
    for (int i = 0; i < 3; i++, at += 8)
        memcpy(bytes + at, options, 8);
    bytes[40] = IPV6_FRAGMENT;
    memcpy(bytes + 48, (uint8_t[]){IPV6_DESTINATION_OPTIONS, 0, 0, 1, 0, 0, 0, 9}, 8);
    bytes[56] = IP_PROTOCOL_UDP;
    memcpy(bytes + at, plain + 40, 64);
    ip->payload_length = htons((uint16_t)(at - 40 + 64));
    bench_arrive(bench, bytes, at + 64);
    memcpy(bytes + 48, (uint8_t[]){IPV6_DESTINATION_OPTIONS, 0, 0, 72, 0, 0, 0, 9}, 8);
    memcpy(bytes + 56, plain + 40 + 64, 48);
    ip->payload_length = htons(16 + 48);
    bench_arrive(bench, bytes, 56 + 48);
    worker_round(bench->worker);
    got = bench_receive(&app, &record);
    assert_non_null(got);
    assert_int_equal(record.length, length + 16);
    assert_int_equal(got[6], IPV6_HOP_BY_HOP);
    assert_int_equal(got[40], IPV6_DESTINATION_OPTIONS);
    assert_int_equal(got[48], IP_PROTOCOL_UDP);
    assert_memory_equal(got + 56, plain + 40, length - 40);
    assert_true(bench_checksum_good(got, record.length));
    bench_app_close(bench, &app);
}

static void the_whole_goes_to_whoever_has_bound_it_then(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = echo_server(bench);
    uint8_t bytes[4096];
    uint32_t length = bench_packet(bytes, &datagram4);
    static const int order[4] = {0, 1, 2, 3};

    arrive_fragment(bench, bytes, 1, 0, 800, true);
    bench_app_close(bench, &app);
    arrive_in_order(bench, bytes, length, 1, order);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_NOT_BOUND), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(fragments_become_a_packet_in_any_order),
        BENCH_TEST(what_is_sent_twice_alike_does_no_harm),
        BENCH_TEST(overlaps_and_contradictions_end_the_datagram),
        BENCH_TEST(no_more_than_a_packet_holds_is_put_together),
        BENCH_TEST(a_flood_pushes_out_the_oldest_and_time_the_rest),
        BENCH_TEST(extension_headers_around_a_fragment_keep_their_places),
        BENCH_TEST(the_whole_goes_to_whoever_has_bound_it_then),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
