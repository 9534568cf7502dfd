/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack may send: a right packet, and what one change makes of it. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <string.h>

#include "checksum.h"
#include "validate.h"

#define RIGHT DROP_NONE

static const struct bench_packet tcp4 = {BENCH_HOST4,     BENCH_PEER4, 80, 5000,
                                         IP_PROTOCOL_TCP, TCP_ACK,     1,  200};
static const struct bench_packet tcp6 = {BENCH_HOST6,     BENCH_PEER6, 80, 5000,
                                         IP_PROTOCOL_TCP, TCP_ACK,     1,  200};
static const struct bench_packet udp4 = {BENCH_HOST4,     BENCH_PEER4, 80, 5000,
                                         IP_PROTOCOL_UDP, 0,           0,  200};

/* Sets bytes of a packet; IPv4's header checksum is made right again unless it is what changes. */
struct alteration {
    const char *what;
    const struct bench_packet *packet;
    int32_t length; /* added to the record's */
    uint32_t at;
    uint8_t to;
    uint8_t size; /* bytes from `at` on that become `to`; 0: nothing changes */
    uint8_t expected;
};

static const struct alteration changes[] = {
    {"nothing, TCP over IPv4", &tcp4, 0, 0, 0, 0, RIGHT},
    {"nothing, TCP over IPv6", &tcp6, 0, 0, 0, 0, RIGHT},
    {"nothing, UDP", &udp4, 0, 0, 0, 0, RIGHT},
    {"a shorter record", &tcp4, -1, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"a longer record", &tcp4, 1, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"a shorter record, IPv6", &tcp6, -1, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"a longer record, IPv6", &tcp6, 1, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"one byte", &tcp4, -239, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"half a header", &tcp4, -230, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"half a header, IPv6", &tcp6, -230, 0, 0, 0, DROP_TX_BAD_LENGTH},
    {"version 5", &tcp4, 0, 0, 0x55, 1, DROP_TX_BAD_VERSION},
    {"version 0", &tcp4, 0, 0, 0x05, 1, DROP_TX_BAD_VERSION},
    {"a header of 16 bytes", &tcp4, 0, 0, 0x44, 1, DROP_TX_BAD_HEADER},
    {"a header of no bytes", &tcp4, 0, 0, 0x40, 1, DROP_TX_BAD_HEADER},
    {"options", &tcp4, 0, 0, 0x46, 1, DROP_TX_OPTIONS},
    {"total length 0", &tcp4, 0, 2, 0, 2, DROP_TX_BAD_LENGTH},
    {"total length 65535", &tcp4, 0, 2, 0xff, 2, DROP_TX_BAD_LENGTH},
    {"payload length 0", &tcp6, 0, 4, 0, 2, DROP_TX_BAD_LENGTH},
    {"more fragments", &tcp4, 0, 6, 0x20, 1, DROP_TX_FRAGMENT},
    {"a fragment's offset", &tcp4, 0, 7, 1, 1, DROP_TX_FRAGMENT},
    {"the reserved bit", &tcp4, 0, 6, 0x80, 1, DROP_TX_BAD_HEADER},
    {"TTL 0", &tcp4, 0, 8, 0, 1, DROP_TX_BAD_HEADER},
    {"hop limit 0", &tcp6, 0, 7, 0, 1, DROP_TX_BAD_HEADER},
    {"ICMP, which nobody can bind (the namespace says so)", &tcp4, 0, 9, 1, 1, RIGHT},
    {"a tunnel", &tcp4, 0, 9, 4, 1, RIGHT},
    {"SCTP, whose owner the namespace knows", &tcp4, 0, 9, 132, 1, RIGHT},
    {"ICMPv6", &tcp6, 0, 6, 58, 1, RIGHT},
    {"hop-by-hop options", &tcp6, 0, 6, 0, 1, DROP_TX_OPTIONS},
    {"a routing header", &tcp6, 0, 6, 43, 1, DROP_TX_OPTIONS},
    {"destination options", &tcp6, 0, 6, 60, 1, DROP_TX_OPTIONS},
    {"a fragment header", &tcp6, 0, 6, 44, 1, DROP_TX_FRAGMENT},
    {"a header checksum", &tcp4, 0, 10, 0x77, 2, DROP_TX_BAD_HEADER_CHECKSUM},
    {"a TCP header of 16 bytes", &tcp4, 0, 32, 0x40, 1, DROP_TX_BAD_LENGTH},
    {"a TCP header of 60 bytes", &tcp4, 0, 32, 0xf0, 1, RIGHT},
    {"a UDP length too short", &udp4, 0, 24, 0, 2, DROP_TX_BAD_LENGTH},
    {"a UDP length too long", &udp4, 0, 24, 1, 2, DROP_TX_BAD_LENGTH},
};

static void each_change_has_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct alteration *change = &changes[i];
        uint8_t bytes[2048] = {0};
        struct ring_record record = {.length = bench_packet(bytes, change->packet)};
        struct packet_view view;
        enum drop_reason reason;

        memset(bytes + change->at, change->to, change->size);
        if (bytes[0] >> 4 == 4 && change->at != 10) {
            struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;

            ip->checksum = 0;
            ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
        }
        record.length += (uint32_t)change->length;
        reason = validate_packet(bytes, &record, &view);
        if (reason != change->expected)
            fail_msg("%s: %s", change->what,
                     reason == DROP_NONE ? "passes" : drop_reason_name(reason));
    }
}

static void the_view_says_what_the_packet_is(void **state)
{
    uint8_t bytes[2048], host[16];
    struct ring_record record = {.length = bench_packet(bytes, &tcp6)};
    struct packet_view view;
    struct tuple source;

    (void)state;
    inet_pton(AF_INET6, BENCH_HOST6, host);
    source = tuple_make(host, 6, IP_PROTOCOL_TCP, htons(80));
    assert_int_equal(validate_packet(bytes, &record, &view), DROP_NONE);
    assert_true(tuple_equal(&view.local, &source));
    inet_pton(AF_INET6, BENCH_PEER6, host);
    assert_memory_equal(view.remote, host, 16);
    assert_int_equal(ntohs(view.remote_port), 5000);
    assert_int_equal(view.length, record.length);
    assert_int_equal(view.headers, 60);
    assert_int_equal(view.transport, 40);
}

static void offload_fields_must_fit_the_packet(void **state)
{
    static const struct {
        const struct bench_packet *packet;
        uint8_t tcp_flags;
        struct ring_record record;
        enum drop_reason expected;
    } cases[] = {
        {&tcp4,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 16},
         RIGHT},
        {&udp4,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6},
         RIGHT},
        {&tcp6,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 40, .checksum_offset = 16},
         RIGHT},
        {&tcp4, 0, {.flags = RECORD_CHECKSUM_PARTIAL}, DROP_TX_BAD_OFFLOAD},
        {&tcp4,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 12, .checksum_offset = 0},
         DROP_TX_BAD_OFFLOAD},
        {&tcp4,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 65530},
         DROP_TX_BAD_OFFLOAD},
        {&udp4,
         0,
         {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 16},
         DROP_TX_BAD_OFFLOAD},
        {&tcp4, TCP_ACK, {.flags = RECORD_SEGMENT, .segment_size = 100}, RIGHT},
        {&tcp4, TCP_ACK, {.flags = RECORD_SEGMENT, .segment_size = 0}, DROP_TX_BAD_OFFLOAD},
        {&tcp4,
         TCP_ACK,
         {.flags = RECORD_SEGMENT, .segment_size = VALIDATE_SEGMENT_MIN - 1},
         DROP_TX_BAD_OFFLOAD},
        {&tcp4, TCP_SYN, {.flags = RECORD_SEGMENT, .segment_size = 100}, DROP_TX_BAD_OFFLOAD},
        {&tcp4, TCP_RST, {.flags = RECORD_SEGMENT, .segment_size = 100}, DROP_TX_BAD_OFFLOAD},
        {&tcp4, TCP_URG, {.flags = RECORD_SEGMENT, .segment_size = 100}, DROP_TX_BAD_OFFLOAD},
        {&udp4, 0, {.flags = RECORD_SEGMENT, .segment_size = 100}, DROP_TX_BAD_OFFLOAD},
        /* fields without their flags mean nothing */
        {&tcp4, 0, {.checksum_start = 9999, .checksum_offset = 9999, .segment_size = 1}, RIGHT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench_packet packet = *cases[i].packet;
        struct ring_record record = cases[i].record;
        struct packet_view view;
        uint8_t bytes[2048];

        packet.flags = cases[i].tcp_flags;
        record.length = bench_packet(bytes, &packet);
        assert_int_equal(validate_packet(bytes, &record, &view), cases[i].expected);
    }
}

static void frames_are_counted_as_they_will_be_cut(void **state)
{
    struct ring_record record = {.flags = RECORD_SEGMENT, .segment_size = 100};
    uint8_t bytes[2048];
    struct packet_view view;

    (void)state;
    for (uint32_t payload = 1; payload <= 500; payload++) {
        struct bench_packet packet = tcp4;

        packet.payload = payload;
        record.length = bench_packet(bytes, &packet);
        assert_int_equal(validate_packet(bytes, &record, &view), DROP_NONE);
        assert_int_equal(validate_frame_count(&view, &record), (payload + 99) / 100);
        assert_true(validate_frame_bound(&record) >= validate_frame_count(&view, &record));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_has_its_reason),
        cmocka_unit_test(the_view_says_what_the_packet_is),
        cmocka_unit_test(offload_fields_must_fit_the_packet),
        cmocka_unit_test(frames_are_counted_as_they_will_be_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
