/* SPDX-License-Identifier: BSD-2-Clause */
/* Protocols besides TCP and UDP: who may bind them, and packets of them on the bench. */
#include "switch_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"

static struct channel_protocol rule(uint32_t protocol, enum channel_who who, uint32_t id)
{
    return (struct channel_protocol){.protocol = protocol, .who = who, .id = id};
}

static void the_host_keeps_what_it_lives_by(void **state)
{
    static const uint8_t hosts[] = {0,  1,  2,  4,  6,   17,  41,  43,  44,  50, 51,
                                    58, 59, 60, 89, 103, 112, 135, 139, 140, 255};
    struct protocols protocols;

    (void)state;
    protocols_init(&protocols);
    for (size_t i = 0; i < sizeof(hosts); i++) {
        struct channel_protocol anybody = rule(hosts[i], CHANNEL_WHO_ANYBODY, 0);

        assert_int_equal(protocols_add(&protocols, &anybody), 0);
        assert_int_equal(protocols_allow(&protocols, hosts[i], 0, -1), -EPROTONOSUPPORT);
        assert_int_equal(protocols_allow(&protocols, hosts[i], 1000, -1), -EPROTONOSUPPORT);
    }
}

static void the_policy_says_who_may_bind(void **state)
{
    struct protocols protocols;
    struct channel_protocol rules[] = {
        rule(IP_PROTOCOL_SCTP, CHANNEL_WHO_USER, 1000),
        rule(253, CHANNEL_WHO_GROUP, getgid()),
        rule(254, CHANNEL_WHO_ANYBODY, 0),
        rule(IP_PROTOCOL_DCCP, CHANNEL_WHO_USER, 1000),
        rule(252, CHANNEL_WHO_NOBODY, 0),
    };
    int ends[2];

    (void)state;
    protocols_init(&protocols);
    rules[3].in_kernel = 1;
    rules[4].has_ports = 1;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        assert_int_equal(protocols_add(&protocols, &rules[i]), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    assert_int_equal(protocols_allow(&protocols, IP_PROTOCOL_SCTP, 1000, ends[0]), 0);
    assert_int_equal(protocols_allow(&protocols, IP_PROTOCOL_SCTP, 1001, ends[0]), -EACCES);
    assert_int_equal(protocols_allow(&protocols, 253, 1001, ends[0]), 0); /* by its group */
    assert_int_equal(protocols_allow(&protocols, 254, 1001, ends[0]), 0);
    assert_int_equal(protocols_allow(&protocols, 252, 1001, ends[0]), -EACCES);
    assert_int_equal(protocols_allow(&protocols, 251, 1001, ends[0]), -EACCES); /* not named */
    assert_int_equal(protocols_allow(&protocols, 251, 0, ends[0]), 0);
    assert_int_equal(protocols_allow(&protocols, IP_PROTOCOL_DCCP, 0, ends[0]), -EDESTADDRREQ);
    assert_int_equal(protocols_allow(&protocols, IP_PROTOCOL_UDPLITE, 0, ends[0]), -EDESTADDRREQ);
    assert_true(protocols_have_ports(&protocols, 252));
    assert_false(protocols_have_ports(&protocols, 253));
    rules[0].protocol = 256;
    assert_int_equal(protocols_add(&protocols, &rules[0]), -EINVAL);
    close(ends[0]);
    close(ends[1]);
}

/* A packet of some protocol whose first four bytes behind the IP header are given. */
static uint32_t make(uint8_t *out, bool to_us, uint8_t protocol, uint16_t source, uint16_t port,
                     uint32_t payload)
{
    struct bench_packet packet = bench_to_peer;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)out;
    struct wire_ports ports = {htons(source), htons(port)};
    uint32_t length;

    if (to_us)
        packet = bench_from_peer;
    packet.payload = 100;
    length = IPV4_HEADER_MIN + payload;
    bench_packet(out, &packet);
    memcpy(out + IPV4_HEADER_MIN, &ports, sizeof(ports));
    ip->protocol = protocol;
    ip->total_length = htons((uint16_t)length);
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    return length;
}

static void packets_reach_the_port_or_the_protocols_owner(void **state)
{
    struct bench *bench = *state;
    struct bench_app sctp = bench_app_open(bench, false, 0),
                     whole = bench_app_open(bench, false, 0);
    struct ring_record record;
    uint8_t bytes[2048];

    bench_bind(bench, &sctp, IP_PROTOCOL_SCTP, "0.0.0.0", 80);
    bench_bind(bench, &whole, 253, BENCH_HOST4, 0);
    bench_arrive(bench, bytes, make(bytes, true, IP_PROTOCOL_SCTP, 5000, 80, 12));
    bench_arrive(bench, bytes, make(bytes, true, IP_PROTOCOL_SCTP, 5000, 81, 12));
    bench_arrive(bench, bytes, make(bytes, true, 253, 1, 2, 4));
    bench_arrive(bench, bytes, make(bytes, true, 253, 3, 4, 60));
    bench_arrive(bench, bytes, make(bytes, true, 253, 3, 4, 3)); /* less than is asked for */
    worker_round(bench->worker);
    assert_non_null(bench_receive(&sctp, &record));
    assert_int_equal(record.length, IPV4_HEADER_MIN + 12);
    assert_null(bench_receive(&sctp, &record));
    assert_non_null(bench_receive(&whole, &record));
    assert_non_null(bench_receive(&whole, &record));
    assert_int_equal(record.length, IPV4_HEADER_MIN + 60);
    assert_null(bench_receive(&whole, &record));
    assert_int_equal(bench_nic_drops(bench, DROP_RX_NOT_BOUND), 1);
    assert_int_equal(bench_nic_drops(bench, DROP_RX_UNPARSED), 1);
    bench_app_close(bench, &sctp);
    bench_app_close(bench, &whole);
}

static void transmit(struct bench *bench, struct bench_app *app, const uint8_t *bytes,
                     uint32_t length, uint16_t flags)
{
    struct ring_record record = {
        .length = length, .flags = flags, .checksum_start = IPV4_HEADER_MIN, .checksum_offset = 8};

    bench_send(app, &record, bytes);
    worker_round(bench->worker);
}

static void a_port_sends_what_it_has_bound_and_nothing_else(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    uint8_t bytes[2048];

    bench_resolve(bench);
    bench_bind(bench, &app, IP_PROTOCOL_SCTP, "0.0.0.0", 80);
    bench_bind(bench, &app, 253, BENCH_HOST4, 0);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_SCTP, 80, 5000, 12), 0);
    transmit(bench, &app, bytes, make(bytes, false, 253, 7, 8, 12), 0);
    transmit(bench, &app, bytes, make(bytes, false, 253, 9, 10, 4), 0);
    assert_int_equal(bench->tx_count, 3);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_SCTP, 81, 5000, 12), 0);
    transmit(bench, &app, bytes, make(bytes, false, 254, 7, 8, 12), 0);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_ICMP, 0x0303, 0, 12), 0);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_TCP, 80, 5000, 40), 0);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_NOT_BOUND), 4);
    transmit(bench, &app, bytes, make(bytes, false, 253, 7, 8, 3), 0);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_BAD_LENGTH), 1);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_SCTP, 80, 5000, 12),
             RECORD_CHECKSUM_PARTIAL);
    transmit(bench, &app, bytes, make(bytes, false, IP_PROTOCOL_SCTP, 80, 5000, 80),
             RECORD_SEGMENT);
    assert_int_equal(bench_ring_drops(&app, DROP_TX_BAD_OFFLOAD), 2);
    assert_int_equal(bench->tx_count, 3);
    bench_app_close(bench, &app);
}

static void an_icmp_error_goes_to_the_protocols_owner(void **state)
{
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct ring_record record;
    uint8_t bytes[2048], quote[256];
    struct wire_icmp icmp = {.type = ICMP_DESTINATION_UNREACHABLE};
    uint32_t length;

    bench_bind(bench, &app, 253, "0.0.0.0", 0);
    length = make(quote, false, 253, 7, 8, 12);
    make(bytes, true, IP_PROTOCOL_ICMP, 0, 0, ICMP_HEADER_SIZE + length);
    memcpy(bytes + IPV4_HEADER_MIN, &icmp, sizeof(icmp));
    memcpy(bytes + IPV4_HEADER_MIN + sizeof(icmp), quote, length);
    bench_arrive(bench, bytes, IPV4_HEADER_MIN + ICMP_HEADER_SIZE + length);
    worker_round(bench->worker);
    assert_non_null(bench_receive(&app, &record));
    bench_app_close(bench, &app);
}

static void extension_headers_are_walked_as_the_mux_walks_them(void **state)
{
    static const struct {
        uint8_t protocol, header[4];
        bool walked;
    } cases[] = {
        {IPV6_HOP_BY_HOP, {0, 0, 1, 4}, true},
        {IPV6_DESTINATION_OPTIONS, {0, 0, 1, 4}, true},
        {IPV6_ROUTING, {0, 0, 4, 0}, true},
        {IPV6_ROUTING, {0, 0, 4, 1}, false},
        {IPV6_ROUTING, {0, 0, 0, 0}, false},
        {IPV6_DESTINATION_OPTIONS, {0, 200, 1, 4}, false},
        {51, {0, 0, 0, 0}, false},
    };
    struct bench *bench = *state;
    struct bench_app app = bench_app_open(bench, false, 0);
    struct bench_packet packet = bench_from_peer;
    struct ring_record record;
    uint64_t dropped = 0;

    packet.source = BENCH_PEER6;
    packet.destination = BENCH_HOST6;
    bench_bind(bench, &app, IP_PROTOCOL_TCP, "::", 80);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t plain[512], bytes[512];
        uint32_t length = bench_packet(plain, &packet);
        struct wire_ipv6 *ip = (struct wire_ipv6 *)bytes;

        memcpy(bytes, plain, IPV6_HEADER_SIZE);
        memset(bytes + 40, 0, 8);
        memcpy(bytes + 40, cases[i].header, 4);
        bytes[40] = IP_PROTOCOL_TCP;
        ip->next_header = cases[i].protocol;
        ip->payload_length = htons((uint16_t)(length - 32));
        memcpy(bytes + 48, plain + 40, length - 40);
        bench_arrive(bench, bytes, length + 8);
        worker_round(bench->worker);
        dropped += !cases[i].walked;
        if (cases[i].walked) {
            const uint8_t *got = bench_receive(&app, &record);

            assert_non_null(got);
            assert_int_equal(record.length, length + 8);
            assert_memory_equal(got, bytes, length + 8);
        }
        assert_null(bench_receive(&app, &record));
        assert_int_equal(bench_nic_drops(bench, DROP_RX_UNPARSED) +
                             bench_nic_drops(bench, DROP_RX_NOT_BOUND),
                         dropped);
    }
    bench_app_close(bench, &app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_keeps_what_it_lives_by),
        cmocka_unit_test(the_policy_says_who_may_bind),
        BENCH_TEST(packets_reach_the_port_or_the_protocols_owner),
        BENCH_TEST(a_port_sends_what_it_has_bound_and_nothing_else),
        BENCH_TEST(an_icmp_error_goes_to_the_protocols_owner),
        BENCH_TEST(extension_headers_are_walked_as_the_mux_walks_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
