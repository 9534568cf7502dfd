/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets that are not what they seem: lengths, checksums, addresses, protocols, ICMP errors. Each
 * is counted under its reason, none does harm. */
#include "checksum.h"
#include "tcp_test.h"

static uint8_t packet[2048];

/* A segment with 100 bytes that would be in order. */
static size_t good(struct tcp_test *t)
{
    return tcp_build(t, (struct seg){.flags = ACK, .seq = 1, .ack = 1, .length = 100}, packet);
}

TCP_TEST(a_packet_cut_at_any_byte_is_malformed)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established(family);
        size_t length = good(t);

        for (size_t cut = 0; cut < length; cut++)
            tcp_inject(t, packet, cut, 0);
        assert_int_equal(tcp_stats(t).dropped_malformed, length);
        assert_int_equal(utcp_readable(t->conn), 0);
        expect_nothing(t);
        tcp_free(t);
    }
}

TCP_TEST(a_packet_whose_length_field_cuts_it_anywhere_is_dropped)
{
    struct tcp_test *t = tcp_established(4);
    size_t length = good(t);

    for (size_t total = 0; total < length; total++) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        ip->total_length = htons((uint16_t)total);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
        tcp_inject(t, packet, length, 0);
    }
    assert_int_equal(utcp_readable(t->conn), 0);
    assert_int_equal(tcp_stats(t).dropped_malformed + tcp_stats(t).dropped_checksum, length);
    tcp_free(t);
}

/* Header prediction looks at a segment before anything else does, and at a checksum that was verified
 * it does not. */
TCP_TEST(a_usual_segment_that_ends_before_its_options_is_read_no_further)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established_timestamps(family);
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
        struct wire_ipv6 *ip6 = (struct wire_ipv6 *)packet;
        size_t header = family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
        size_t fixed = header + TCP_HEADER_MIN, whole = fixed + 12;

        good(t);
        assert_int_equal(packet[header + 12] >> 4, 8); /* timestamps and nothing else */
        for (size_t there = fixed; there < whole; there++) {
            for (size_t total = 0; total <= there; total++) {
                if (family == 4) {
                    ip->total_length = htons((uint16_t)total);
                    ip->checksum = 0;
                    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
                } else {
                    ip6->payload_length = htons((uint16_t)total);
                }
                tcp_inject(t, packet, there, UTCP_INPUT_CHECKSUM_OK);
            }
            tcp_inject(t, packet, there, 0);
        }
        assert_int_equal(utcp_readable(t->conn), 0);
        tcp_free(t);
    }
}

TCP_TEST(padding_behind_the_packet_is_not_payload)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established(family);
        size_t length = good(t);

        memset(packet + length, 0xee, 40);
        tcp_inject(t, packet, length + 40, 0);
        assert_int_equal(utcp_readable(t->conn), 100);
        tcp_free(t);
    }
}

TCP_TEST(wrong_versions_and_header_lengths_are_malformed)
{
    static const uint8_t first[] = {0x05, 0x15, 0x55, 0x75, 0xf5, 0x40, 0x44, 0x4f};
    struct tcp_test *t = tcp_established(4);

    for (unsigned i = 0; i < sizeof(first); i++) {
        size_t length = good(t);

        packet[0] = first[i];
        tcp_inject(t, packet, length, 0);
    }
    assert_int_equal(tcp_stats(t).dropped_malformed + tcp_stats(t).dropped_checksum, sizeof(first));
    assert_int_equal(utcp_readable(t->conn), 0);
    tcp_free(t);
}

TCP_TEST(wrong_data_offsets_are_malformed)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 1);
    for (unsigned words = 0; words < 16; words++) {
        size_t length = tcp_build(t, (struct seg){.flags = SYN}, packet);

        packet[IPV4_HEADER_MIN + 12] = (uint8_t)(words << 4);
        tcp_fix_checksums(packet, length);
        tcp_inject(t, packet, length, 0);
    }
    assert_int_equal(tcp_stats(t).dropped_malformed, 15);
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

TCP_TEST(ipv4_options_are_stepped_over)
{
    struct tcp_test *t = tcp_established(4);
    size_t length = good(t);
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

    memmove(packet + 24, packet + 20, length - 20);
    memset(packet + 20, 1, 4);
    ip->version_ihl = 0x46;
    ip->total_length = htons((uint16_t)(length + 4));
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, packet, 24));
    tcp_inject(t, packet, length + 4, 0);
    assert_int_equal(utcp_readable(t->conn), 100);
    tcp_free(t);
}

TCP_TEST(fragments_are_not_ours)
{
    static const uint16_t fields[] = {0x2000, 0x0001, 0x1fff, 0x2001};
    struct tcp_test *t = tcp_established(4);

    for (unsigned i = 0; i < 4; i++) {
        size_t length = good(t);

        ((struct wire_ipv4 *)packet)->fragment = htons(fields[i]);
        tcp_fix_checksums(packet, length);
        tcp_inject(t, packet, length, 0);
    }
    assert_int_equal(tcp_stats(t).dropped_not_tcp, 4);
    tcp_free(t);
}

TCP_TEST(ipv6_extension_headers_are_walked_within_bounds)
{
    for (unsigned headers = 1; headers <= 12; headers++) {
        struct tcp_test *t = tcp_established(6);
        size_t length = good(t);
        uint8_t *at = packet + IPV6_HEADER_SIZE;

        memmove(at + 8 * headers, at, length - IPV6_HEADER_SIZE);
        memset(at, 0, (size_t)8 * headers);
        packet[6] = 60;
        for (unsigned i = 0; i < headers; i++)
            at[8 * i] = i + 1 < headers ? 60 : IP_PROTOCOL_TCP;
        ((struct wire_ipv6 *)packet)->payload_length =
            htons((uint16_t)(length - IPV6_HEADER_SIZE + 8 * headers));
        tcp_inject(t, packet, length + 8 * headers, 0);
        assert_int_equal(utcp_readable(t->conn), headers <= 8 ? 100 : 0);
        tcp_free(t);
    }
}

TCP_TEST(ipv6_extension_headers_that_lie_are_malformed)
{
    struct tcp_test *t = tcp_established(6);
    size_t length = good(t);

    packet[6] = 0; /* the TCP header as hop-by-hop options: 40000 >> 8 is its next header */
    packet[IPV6_HEADER_SIZE] = IP_PROTOCOL_TCP;
    packet[IPV6_HEADER_SIZE + 1] = 255;
    tcp_inject(t, packet, length, 0);
    packet[6] = 43; /* source routing with segments left */
    packet[IPV6_HEADER_SIZE + 1] = 0;
    packet[IPV6_HEADER_SIZE + 3] = 1;
    tcp_inject(t, packet, length, 0);
    assert_int_equal(tcp_stats(t).dropped_malformed, 1);
    assert_int_equal(tcp_stats(t).dropped_not_tcp, 1);
    tcp_free(t);
}

TCP_TEST(other_protocols_are_not_ours)
{
    struct tcp_test *t = tcp_established(4);

    for (unsigned protocol = 0; protocol < 256; protocol++) {
        size_t length = good(t);

        if (protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_ICMP)
            continue;
        ((struct wire_ipv4 *)packet)->protocol = (uint8_t)protocol;
        tcp_fix_checksums(packet, length);
        tcp_inject(t, packet, length, 0);
    }
    assert_int_equal(tcp_stats(t).dropped_not_tcp, 254);
    tcp_free(t);
}

TCP_TEST(a_flipped_bit_anywhere_is_dropped)
{
    struct tcp_test *t = tcp_established(4);
    size_t length = good(t);

    for (size_t bit = 0; bit < length * 8; bit++) {
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
        tcp_inject(t, packet, length, 0);
        packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(utcp_readable(t->conn), 0);
    assert_int_equal(tcp_stats(t).dropped_checksum + tcp_stats(t).dropped_malformed, length * 8);
    expect_nothing(t);
    tcp_free(t);
}

static void make_partial(struct tcp_test *t, size_t length)
{
    bool v4 = t->family == 4;
    uint32_t header = v4 ? 20 : 40, size = v4 ? 4 : 16;
    struct wire_tcp *tcp = (struct wire_tcp *)(packet + header);

    tcp->checksum =
        checksum_fold(checksum_pseudo_header(packet + header - 2 * size, packet + header - size,
                                             size, IP_PROTOCOL_TCP, (uint32_t)length - header));
}

TCP_TEST(a_partial_checksum_is_taken_only_where_it_may_be)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_established(family);
        size_t length = good(t);

        make_partial(t, length);
        tcp_inject(t, packet, length, 0);
        assert_int_equal(tcp_stats(t).dropped_checksum, 1);
        assert_int_equal(utcp_readable(t->conn), 0);
        tcp_inject(t, packet, length, UTCP_INPUT_CHECKSUM_PARTIAL);
        assert_int_equal(utcp_readable(t->conn), 100);
        tcp_free(t);
    }
}

TCP_TEST(where_partial_checksums_may_be_whole_ones_are_taken_and_wrong_ones_not)
{
    struct tcp_test *t = tcp_established(4);
    size_t length = good(t);

    packet[36] ^= 1;
    tcp_inject(t, packet, length, UTCP_INPUT_CHECKSUM_PARTIAL);
    assert_int_equal(tcp_stats(t).dropped_checksum, 1);
    packet[36] ^= 1;
    tcp_inject(t, packet, length, UTCP_INPUT_CHECKSUM_PARTIAL);
    assert_int_equal(utcp_readable(t->conn), 100);
    tcp_free(t);
}

TCP_TEST(a_checksum_that_somebody_verified_is_not_looked_at)
{
    struct tcp_test *t = tcp_established(4);
    size_t length = good(t);

    packet[36] ^= 1;
    tcp_inject(t, packet, length, UTCP_INPUT_CHECKSUM_OK);
    assert_int_equal(utcp_readable(t->conn), 100);
    tcp_free(t);
}

static void assert_address_dropped(uint8_t family, bool source, const uint8_t *address)
{
    struct tcp_test *t = tcp_new(family, NULL);
    struct utcp_endpoint any = {.family = family, .port = 80};
    struct utcp_endpoint *end = source ? &t->them : &t->us;

    assert_int_equal(utcp_listen(t->stack, &any, 4, NULL, &t->listener), 0);
    memcpy(end->address, address, family == 4 ? 4 : 16);
    peer(t, .flags = SYN);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    peer(t, .flags = RST, .seq = 1);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_bad_address, 3);
    assert_true(tcp_gone(t));
    tcp_free(t);
}

TCP_TEST(addresses_that_tcp_may_not_answer_are_dropped_silently)
{
    static const uint8_t v4[][4] = {{0, 0, 0, 0},        {0, 1, 2, 3},   {127, 0, 0, 1},
                                    {127, 9, 9, 9},      {224, 0, 0, 1}, {239, 255, 255, 255},
                                    {255, 255, 255, 255}};
    static const uint8_t v6[][16] = {
        {0}, {[15] = 1}, {0xff, 2, [15] = 1}, {[10] = 0xff, 0xff, 192, 0, 2, 9}};

    for (int source = 0; source < 2; source++) {
        for (unsigned i = 0; i < sizeof(v4) / sizeof(v4[0]); i++)
            assert_address_dropped(4, source, v4[i]);
        for (unsigned i = 0; i < sizeof(v6) / sizeof(v6[0]); i++)
            assert_address_dropped(6, source, v6[i]);
    }
}

TCP_TEST(a_segment_from_its_own_destination_is_dropped)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    t->them = t->us;
    peer(t, .flags = SYN);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_bad_address, 1);
    tcp_free(t);
}

TCP_TEST(a_host_may_talk_to_itself_by_another_port)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    t->them = t->us;
    t->them.port = 5555;
    peer(t, .flags = SYN);
    expect(t, .flags = SYN | ACK, .ack = 1);
    tcp_free(t);
}

TCP_TEST(port_zero_is_dropped)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_listen(t, 4);
    t->them.port = 0;
    peer(t, .flags = SYN);
    t->them.port = 1;
    t->us.port = 0;
    peer(t, .flags = SYN);
    expect_nothing(t);
    assert_int_equal(tcp_stats(t).dropped_bad_address, 2);
    tcp_free(t);
}

/* ── ICMP ──────────────────────────────────────────────────────────────────────────────────── */

/* An ICMP error about our segment at `seq`, `quoted` bytes of it quoted. */
static size_t icmp_about(struct tcp_test *t, uint8_t type, uint8_t code, uint32_t rest,
                         uint32_t seq, size_t quoted)
{
    bool v4 = t->family == 4;
    uint32_t header = v4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
    uint8_t *inner = packet + header + ICMP_HEADER_SIZE;
    struct wire_icmp *icmp = (struct wire_icmp *)(packet + header);
    size_t length = header + ICMP_HEADER_SIZE + quoted;
    struct tcp_test ours = *t;

    ours.us = t->them;
    ours.them = t->us;
    ours.isn = t->iss;
    ours.peer_timestamps = false;
    tcp_build(&ours, (struct seg){.flags = ACK, .seq = seq, .length = 100}, inner);
    memcpy(packet, inner, header);
    *icmp = (struct wire_icmp){.type = type, .code = code, .rest = htonl(rest)};
    if (v4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        memcpy(ip->destination, t->us.address, 4);
        memcpy(ip->source, (uint8_t[]){203, 0, 113, 9}, 4);
        ip->protocol = IP_PROTOCOL_ICMP;
        ip->total_length = htons((uint16_t)length);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
        icmp->checksum = checksum_finish(checksum_add(0, icmp, length - header));
    } else {
        struct wire_ipv6 *ip = (struct wire_ipv6 *)packet;

        memcpy(ip->destination, t->us.address, 16);
        ip->next_header = IP_PROTOCOL_ICMPV6;
        ip->payload_length = htons((uint16_t)(length - header));
        icmp->checksum = checksum_finish(
            checksum_add(checksum_pseudo_header(ip->source, ip->destination, 16, IP_PROTOCOL_ICMPV6,
                                                (uint32_t)(length - header)),
                         icmp, length - header));
    }
    return length;
}

static void inject_icmp(struct tcp_test *t, uint8_t type, uint8_t code, uint32_t rest, uint32_t seq)
{
    size_t quoted = t->family == 4 ? 28 : 48;

    tcp_inject(t, packet, icmp_about(t, type, code, rest, seq, quoted), 0);
}

static void inject_too_big(struct tcp_test *t, uint32_t mtu, uint32_t seq)
{
    if (t->family == 4)
        inject_icmp(t, ICMP_DESTINATION_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, mtu, seq);
    else
        inject_icmp(t, ICMPV6_PACKET_TOO_BIG, 0, mtu, seq);
}

TCP_TEST(too_big_lowers_the_path_mtu_and_sends_again)
{
    static const uint32_t headers[] = {40, 60};

    for (unsigned i = 0; i < 2; i++) {
        struct tcp_test *t = tcp_established((uint8_t)(4 + 2 * i));
        uint32_t full = 1500 - headers[i], less = 1400 - headers[i];
        uint32_t cwnd = tcp_info(t).cwnd;

        tcp_write(t, 0, full);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = full);
        inject_too_big(t, 1400, 1);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = less);
        expect(t, .flags = ACK, .seq = 1 + less, .ack = 1, .length = 100);
        assert_int_equal(tcp_info(t).mss, less);
        assert_int_equal(tcp_info(t).cwnd, cwnd);
        tcp_free(t);
    }
}

TCP_TEST(the_path_mtu_has_a_floor)
{
    static const uint32_t floors[] = {576 - 40, 1280 - 60};

    for (unsigned i = 0; i < 2; i++) {
        struct tcp_test *t = tcp_established((uint8_t)(4 + 2 * i));

        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        inject_too_big(t, 68, 1);
        assert_int_equal(tcp_info(t).mss, floors[i]);
        tcp_free(t);
    }
}

TCP_TEST(too_big_never_raises_the_path_mtu)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    inject_too_big(t, 9000, 1);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).mss, 1460);
    tcp_free(t);
}

TCP_TEST(a_router_that_tells_no_mtu_gets_the_next_plateau)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    inject_too_big(t, 0, 1);
    assert_int_equal(tcp_info(t).mss, 1492 - 40);
    tcp_free(t);
}

TCP_TEST(an_icmp_error_must_quote_what_is_in_flight)
{
    struct tcp_test *t = tcp_established(4);

    inject_too_big(t, 600, 1); /* nothing is in flight */
    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    inject_too_big(t, 600, 0);
    inject_too_big(t, 600, 101);
    inject_too_big(t, 600, 0x80000000);
    expect_nothing(t);
    assert_int_equal(tcp_info(t).mss, 1460);
    assert_int_equal(tcp_stats(t).dropped_unacceptable, 4);
    tcp_free(t);
}

TCP_TEST(unreachable_ends_an_attempt_to_connect)
{
    static const struct {
        uint8_t family, type, code;
        int error;
    } cases[] = {
        {4, 3, 0, -ENETUNREACH},  {4, 3, 1, -EHOSTUNREACH},  {4, 3, 2, -ECONNREFUSED},
        {4, 3, 3, -ECONNREFUSED}, {4, 3, 13, -EHOSTUNREACH}, {6, 1, 0, -ENETUNREACH},
        {6, 1, 3, -EHOSTUNREACH}, {6, 1, 4, -ECONNREFUSED},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tcp_test *t = tcp_new(cases[i].family, NULL);

        tcp_connect(t);
        expect(t, .flags = SYN);
        inject_icmp(t, cases[i].type, cases[i].code, 0, 0);
        assert_int_equal(utcp_error(t->conn), cases[i].error);
        assert_int_equal(tcp_events(t), UTCP_ERROR);
        tcp_free(t);
    }
}

/* RFC 9293 section 3.9.2.2; also in SYN-SENT. */
TCP_TEST(must_56_exceeded_time_and_bad_parameters_end_nothing)
{
    static const uint8_t types[2][2] = {{11, 12}, {3, 4}};

    for (unsigned i = 0; i < 4; i++) {
        struct tcp_test *t = tcp_new((uint8_t)(4 + 2 * (i / 2)), NULL);

        tcp_connect(t);
        expect(t, .flags = SYN);
        inject_icmp(t, types[i / 2][i % 2], 0, 0, 0);
        expect_state(t, UTCP_SYN_SENT);
        assert_int_equal(tcp_events(t), 0);
        assert_int_equal(utcp_trouble(t->conn), i % 2 ? -EPROTO : -EHOSTUNREACH);
        expect_nothing(t);
        tcp_free(t);
    }
}

TCP_TEST(must_47_soft_errors_are_told_to_who_wants_to_know)
{
    for (unsigned wanted = 0; wanted < 2; wanted++) {
        struct tcp_test *t = tcp_established(4);

        utcp_set_option(t->conn, UTCP_OPTION_REPORTS, wanted);
        tcp_write(t, 0, 100);
        expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
        inject_icmp(t, 3, 1, 0, 1);
        assert_int_equal(tcp_events(t), wanted ? UTCP_TROUBLE : 0);
        assert_int_equal(utcp_trouble(t->conn), -EHOSTUNREACH);
        peer(t, .flags = ACK, .seq = 1, .ack = 101);
        assert_int_equal(utcp_trouble(t->conn), 0);
        tcp_free(t);
    }
}

/* RFC 6633: ICMP type 4 is history. */
TCP_TEST(must_55_source_quench_is_nothing)
{
    struct tcp_test *t = tcp_established(4);
    uint32_t cwnd = tcp_info(t).cwnd;

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    inject_icmp(t, 4, 0, 0, 1);
    assert_int_equal(tcp_info(t).cwnd, cwnd);
    assert_int_equal(tcp_events(t), 0);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(unreachable_with_a_wrong_sequence_number_does_not)
{
    struct tcp_test *t = tcp_new(4, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    inject_icmp(t, 3, 3, 0, 1);
    inject_icmp(t, 3, 3, 0, 0x1234567);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(unreachable_is_remembered_on_an_established_connection_and_no_more)
{
    struct tcp_test *t = tcp_established(4);

    tcp_write(t, 0, 100);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
    inject_icmp(t, 3, 1, 0, 1);
    expect_state(t, UTCP_ESTABLISHED);
    pass(t, 20 * MINUTE);
    assert_int_equal(utcp_error(t->conn), -EHOSTUNREACH); /* instead of ETIMEDOUT */
    tcp_free(t);
}

TCP_TEST(icmp_errors_that_quote_too_little_are_ignored)
{
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct tcp_test *t = tcp_new(family, NULL);
        size_t enough = family == 4 ? 28 : 48;

        tcp_connect(t);
        expect(t, .flags = SYN);
        for (size_t quoted = 0; quoted < enough; quoted++)
            tcp_inject(t, packet,
                       icmp_about(t, family == 4 ? 3 : 1, family == 4 ? 3 : 4, 0, 0, quoted), 0);
        expect_state(t, UTCP_SYN_SENT);
        tcp_free(t);
    }
}

TCP_TEST(icmp_errors_with_wrong_checksums_are_dropped)
{
    struct tcp_test *t = tcp_new(4, NULL);
    size_t length;

    tcp_connect(t);
    expect(t, .flags = SYN);
    length = icmp_about(t, 3, 3, 0, 0, 28);
    packet[IPV4_HEADER_MIN + 2] ^= 1;
    tcp_inject(t, packet, length, 0);
    assert_int_equal(tcp_stats(t).dropped_checksum, 1);
    expect_state(t, UTCP_SYN_SENT);
    tcp_free(t);
}

TCP_TEST(pings_and_errors_about_nobody_are_counted)
{
    struct tcp_test *t = tcp_established(4);

    inject_icmp(t, 8, 0, 0, 1);
    assert_int_equal(tcp_stats(t).dropped_not_tcp, 1);
    t->them.port++;
    inject_icmp(t, 3, 3, 0, 1);
    assert_int_equal(tcp_stats(t).dropped_no_connection, 1);
    expect_nothing(t);
    tcp_free(t);
}

TCP_TEST(a_lower_mtu_of_the_nic_holds_for_connections_that_exist)
{
    struct tcp_test *t = tcp_established(4);

    utcp_set_mtu(t->stack, 1000);
    assert_int_equal(tcp_info(t).mss, 960);
    tcp_write(t, 0, 1000);
    expect(t, .flags = ACK, .seq = 1, .ack = 1, .length = 960);
    tcp_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_cut_at_any_byte_is_malformed),
        cmocka_unit_test(a_packet_whose_length_field_cuts_it_anywhere_is_dropped),
        cmocka_unit_test(a_usual_segment_that_ends_before_its_options_is_read_no_further),
        cmocka_unit_test(padding_behind_the_packet_is_not_payload),
        cmocka_unit_test(wrong_versions_and_header_lengths_are_malformed),
        cmocka_unit_test(wrong_data_offsets_are_malformed),
        cmocka_unit_test(ipv4_options_are_stepped_over),
        cmocka_unit_test(fragments_are_not_ours),
        cmocka_unit_test(ipv6_extension_headers_are_walked_within_bounds),
        cmocka_unit_test(ipv6_extension_headers_that_lie_are_malformed),
        cmocka_unit_test(other_protocols_are_not_ours),
        cmocka_unit_test(a_flipped_bit_anywhere_is_dropped),
        cmocka_unit_test(a_partial_checksum_is_taken_only_where_it_may_be),
        cmocka_unit_test(where_partial_checksums_may_be_whole_ones_are_taken_and_wrong_ones_not),
        cmocka_unit_test(a_checksum_that_somebody_verified_is_not_looked_at),
        cmocka_unit_test(addresses_that_tcp_may_not_answer_are_dropped_silently),
        cmocka_unit_test(a_segment_from_its_own_destination_is_dropped),
        cmocka_unit_test(a_host_may_talk_to_itself_by_another_port),
        cmocka_unit_test(port_zero_is_dropped),
        cmocka_unit_test(too_big_lowers_the_path_mtu_and_sends_again),
        cmocka_unit_test(the_path_mtu_has_a_floor),
        cmocka_unit_test(too_big_never_raises_the_path_mtu),
        cmocka_unit_test(a_router_that_tells_no_mtu_gets_the_next_plateau),
        cmocka_unit_test(an_icmp_error_must_quote_what_is_in_flight),
        cmocka_unit_test(unreachable_ends_an_attempt_to_connect),
        cmocka_unit_test(must_56_exceeded_time_and_bad_parameters_end_nothing),
        cmocka_unit_test(must_47_soft_errors_are_told_to_who_wants_to_know),
        cmocka_unit_test(must_55_source_quench_is_nothing),
        cmocka_unit_test(unreachable_with_a_wrong_sequence_number_does_not),
        cmocka_unit_test(unreachable_is_remembered_on_an_established_connection_and_no_more),
        cmocka_unit_test(icmp_errors_that_quote_too_little_are_ignored),
        cmocka_unit_test(icmp_errors_with_wrong_checksums_are_dropped),
        cmocka_unit_test(pings_and_errors_about_nobody_are_counted),
        cmocka_unit_test(a_lower_mtu_of_the_nic_holds_for_connections_that_exist),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
