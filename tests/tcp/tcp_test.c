/* SPDX-License-Identifier: BSD-2-Clause */
/* The script's harness: tcp_test.h. It builds and takes apart packets with code of its own. */
#include "tcp_test.h"
#include "checksum.h"
#include "consistency.h"

#define PEER_ISN 0xfffffff0 /* so that the peer's numbers wrap in every test */

static uint8_t pattern(uint32_t sequence)
{
    return (uint8_t)(sequence * 31 + (sequence >> 8));
}

static uint32_t ip_header(uint8_t family)
{
    return family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (uint8_t)(value >> shift);
    return at;
}

/* ── Packets ───────────────────────────────────────────────────────────────────────────────── */

static uint16_t tcp_sum(const uint8_t *packet, size_t length)
{
    bool v4 = packet[0] >> 4 == 4;
    uint32_t header = v4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE, size = v4 ? 4 : 16;
    const uint8_t *addresses = packet + header - 2 * size;
    uint64_t sum = checksum_pseudo_header(addresses, addresses + size, size, IP_PROTOCOL_TCP,
                                          (uint32_t)length - header);

    return checksum_finish(checksum_add(sum, packet + header, length - header));
}

void tcp_fix_checksums(uint8_t *packet, size_t length)
{
    struct wire_tcp *tcp;

    if (packet[0] >> 4 == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    }
    tcp = (struct wire_tcp *)(packet + ip_header(packet[0] >> 4));
    tcp->checksum = 0;
    tcp->checksum = tcp_sum(packet, length);
}

static unsigned put_options(const struct tcp_test *t, const struct seg *segment, uint8_t *at)
{
    uint8_t *start = at;

    if (segment->options) {
        memcpy(at, segment->options, segment->options_length);
        at += segment->options_length;
    }
    if (segment->mss) {
        *at++ = TCP_OPTION_MSS;
        *at++ = 4;
        *at++ = (uint8_t)(segment->mss >> 8);
        *at++ = (uint8_t)segment->mss;
    }
    if (segment->scale) {
        *at++ = TCP_OPTION_WINDOW_SCALE;
        *at++ = 3;
        *at++ = (uint8_t)(segment->scale - 1);
    }
    if (segment->timestamps || (t->peer_timestamps && !segment->options)) {
        *at++ = TCP_OPTION_TIMESTAMPS;
        *at++ = 10;
        at = put32(at,
                   segment->timestamps ? segment->ts_value : t->peer_ts + (uint32_t)(t->now / MS));
        at = put32(at, segment->ts_echo);
    }
    if (segment->sack_permitted || (t->peer_sack && segment->flags & SYN)) {
        *at++ = TCP_OPTION_SACK_PERMITTED;
        *at++ = 2;
    }
    if (segment->fast_open) {
        uint8_t size = (uint8_t)(segment->fast_open - 1);

        *at++ = segment->experimental ? TCP_OPTION_EXPERIMENTAL : TCP_OPTION_FAST_OPEN;
        *at++ = (uint8_t)(2 + 2 * segment->experimental + size);
        if (segment->experimental) {
            *at++ = 0xf9;
            *at++ = 0x89;
        }
        memcpy(at, segment->cookie, size);
        at += size;
    }
    if (segment->accecn) {
        *at++ = segment->accecn_order1 ? TCP_OPTION_ACCECN1 : TCP_OPTION_ACCECN0;
        *at++ = (uint8_t)(2 + 3 * (segment->accecn - 1));
        for (unsigned i = 0; i + 1u < segment->accecn; i++, at += 3) {
            at[0] = (uint8_t)(segment->accecn_field[i] >> 16);
            at[1] = (uint8_t)(segment->accecn_field[i] >> 8);
            at[2] = (uint8_t)segment->accecn_field[i];
        }
    }
    if (segment->sacks) {
        *at++ = TCP_OPTION_SACK;
        *at++ = (uint8_t)(2 + 8 * segment->sacks);
        for (unsigned i = 0; i < segment->sacks; i++) {
            at = put32(at, t->iss + segment->sack[i].start);
            at = put32(at, t->iss + segment->sack[i].end);
        }
    }
    while ((at - start) % 4)
        *at++ = TCP_OPTION_END;
    return (unsigned)(at - start);
}

size_t tcp_build(struct tcp_test *t, struct seg segment, uint8_t *packet)
{
    uint32_t header = ip_header(t->family);
    struct wire_tcp *tcp = (struct wire_tcp *)(packet + header);
    unsigned options = put_options(t, &segment, packet + header + TCP_HEADER_MIN);
    uint32_t tcp_length = TCP_HEADER_MIN + options + segment.length;

    if (t->family == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        *ip = (struct wire_ipv4){
            .version_ihl = 0x45, .tos = segment.ecn, .ttl = 64, .protocol = IP_PROTOCOL_TCP};
        ip->total_length = htons((uint16_t)(header + tcp_length));
        memcpy(ip->source, t->them.address, 4);
        memcpy(ip->destination, t->us.address, 4);
    } else {
        struct wire_ipv6 *ip = (struct wire_ipv6 *)packet;

        *ip = (struct wire_ipv6){.version_class_flow =
                                     htonl(UINT32_C(6) << 28 | (uint32_t)segment.ecn << 20),
                                 .payload_length = htons((uint16_t)tcp_length),
                                 .next_header = IP_PROTOCOL_TCP,
                                 .hop_limit = 64};
        memcpy(ip->source, t->them.address, 16);
        memcpy(ip->destination, t->us.address, 16);
    }
    *tcp = (struct wire_tcp){
        .source_port = htons(t->them.port),
        .destination_port = htons(t->us.port),
        .sequence = htonl(t->isn + segment.seq),
        .acknowledgment = segment.flags & ACK ? htonl(t->iss + segment.ack) : 0,
        .data_offset = (uint8_t)((TCP_HEADER_MIN + options) / 4 << 4 | segment.reserved |
                                 (segment.flags & AE ? 1 : 0)),
        .flags = (uint8_t)segment.flags,
        .window = htons(segment.window == NO_WINDOW ? 0
                        : segment.window            ? (uint16_t)segment.window
                                                    : 65535),
        .urgent = htons(segment.urgent),
    };
    for (uint32_t i = 0; i < segment.length; i++)
        packet[header + TCP_HEADER_MIN + options + i] =
            (uint8_t)(pattern(segment.seq + !!(segment.flags & SYN) + i) + segment.fill);
    tcp_fix_checksums(packet, header + tcp_length);
    return header + tcp_length;
}

void tcp_inject(struct tcp_test *t, const void *packet, size_t length, unsigned flags)
{
    uint8_t *exact = malloc(length ? length : 1); /* so that AddressSanitizer sees its end */

    memcpy(exact, packet, length);
    utcp_input(t->stack, t->now, exact, length, flags);
    free(exact);
    if (t->listener && t->conn == NULL)
        t->conn = utcp_accept(t->listener, t->now);
}

void tcp_unreachable(struct tcp_test *t, uint8_t code, uint16_t mtu)
{
    uint8_t packet[IPV4_HEADER_MIN + ICMP_HEADER_SIZE + 40];
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    struct wire_icmp *icmp = (struct wire_icmp *)(packet + IPV4_HEADER_MIN);

    *ip = (struct wire_ipv4){.version_ihl = 0x45, .ttl = 64, .protocol = IP_PROTOCOL_ICMP};
    ip->total_length = htons(sizeof(packet));
    memcpy(ip->source, t->them.address, 4);
    memcpy(ip->destination, t->us.address, 4);
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    *icmp =
        (struct wire_icmp){.type = ICMP_DESTINATION_UNREACHABLE, .code = code, .rest = htonl(mtu)};
    memcpy(icmp + 1, t->packet, 40);
    icmp->checksum = checksum_finish(checksum_add(0, icmp, ICMP_HEADER_SIZE + 40));
    tcp_inject(t, packet, sizeof(packet), 0);
}

static void too_big_ipv6(struct tcp_test *t, uint32_t mtu)
{
    uint8_t packet[IPV6_HEADER_SIZE + ICMP_HEADER_SIZE + 60];
    struct wire_ipv6 *ip = (struct wire_ipv6 *)packet;
    struct wire_icmp *icmp = (struct wire_icmp *)(packet + IPV6_HEADER_SIZE);
    const uint32_t size = sizeof(packet) - IPV6_HEADER_SIZE;

    *ip = (struct wire_ipv6){.version_class_flow = htonl(UINT32_C(6) << 28),
                             .payload_length = htons((uint16_t)size),
                             .next_header = IP_PROTOCOL_ICMPV6,
                             .hop_limit = 64};
    memcpy(ip->source, (uint8_t[]){0x20, 1, 0xd, 0xb8, [15] = 0xfe}, 16);
    memcpy(ip->destination, t->us.address, 16);
    *icmp = (struct wire_icmp){.type = ICMPV6_PACKET_TOO_BIG, .rest = htonl(mtu)};
    memcpy(icmp + 1, t->packet, 60);
    icmp->checksum = checksum_finish(checksum_add(
        checksum_pseudo_header(ip->source, ip->destination, 16, IP_PROTOCOL_ICMPV6, size), icmp,
        size));
    tcp_inject(t, packet, sizeof(packet), 0);
}

void tcp_too_big(struct tcp_test *t, uint32_t mtu)
{
    if (t->family == 4)
        tcp_unreachable(t, ICMP_FRAGMENTATION_NEEDED, (uint16_t)mtu);
    else
        too_big_ipv6(t, mtu);
}

void tcp_peer(struct tcp_test *t, struct seg segment)
{
    static uint8_t packet[65536];
    size_t length = tcp_build(t, segment, packet);

    tcp_inject(t, packet, length, 0);
}

static void take_sack(struct seg *segment, uint32_t isn, const uint8_t *at)
{
    segment->sacks = (at[1] - 2u) / 8;
    assert_in_range(segment->sacks, 1, 4);
    assert_int_equal((at[1] - 2) % 8, 0);
    for (unsigned i = 0; i < segment->sacks; i++) {
        segment->sack[i].start = get32(at + 2 + 8 * i) - isn;
        segment->sack[i].end = get32(at + 6 + 8 * i) - isn;
    }
}

static void take_fast_open(struct seg *segment, const uint8_t *at)
{
    uint32_t before = *at == TCP_OPTION_EXPERIMENTAL ? 4 : 2;

    assert_in_range(at[1], before, before + sizeof(segment->cookie));
    segment->experimental = *at == TCP_OPTION_EXPERIMENTAL;
    if (segment->experimental)
        assert_int_equal(at[2] << 8 | at[3], 0xf989);
    segment->fast_open = (uint8_t)(1 + at[1] - before);
    memcpy(segment->cookie, at + before, at[1] - before);
}

static void take_accecn(struct seg *segment, const uint8_t *at)
{
    segment->accecn_order1 = *at == TCP_OPTION_ACCECN1;
    assert_int_equal((at[1] - 2) % 3, 0);
    assert_in_range(at[1], 2, 11);
    segment->accecn = (uint8_t)(1 + (at[1] - 2) / 3);
    for (unsigned i = 0; i + 1u < segment->accecn; i++)
        segment->accecn_field[i] = get32(at + 2 + 3 * i) >> 8; /* the byte behind is the packet's */
}

static void take_options(struct seg *segment, uint32_t isn, const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != TCP_OPTION_END) {
        if (*at == TCP_OPTION_NOP) {
            at++;
            continue;
        }
        if (*at == TCP_OPTION_MSS)
            segment->mss = (uint16_t)(at[2] << 8 | at[3]);
        if (*at == TCP_OPTION_SACK_PERMITTED)
            segment->sack_permitted = true;
        if (*at == TCP_OPTION_USER_TIMEOUT)
            segment->user_timeout = (uint16_t)(at[2] << 8 | at[3]);
        if (*at == TCP_OPTION_SACK)
            take_sack(segment, isn, at);
        if (*at == TCP_OPTION_FAST_OPEN || *at == TCP_OPTION_EXPERIMENTAL)
            take_fast_open(segment, at);
        if (*at == TCP_OPTION_ACCECN0 || *at == TCP_OPTION_ACCECN1)
            take_accecn(segment, at);
        if (*at == TCP_OPTION_WINDOW_SCALE)
            segment->scale = (uint8_t)(at[2] + 1);
        if (*at == TCP_OPTION_TIMESTAMPS) {
            segment->timestamps = true;
            segment->ts_value = get32(at + 2);
            segment->ts_echo = get32(at + 6);
        }
        at += at[1];
    }
}

static uint8_t *sink_reserve(void *context, uint32_t length)
{
    struct tcp_test *t = context;

    assert_true(length <= sizeof(t->packet));
    return t->sink_room ? t->packet : NULL;
}

/* Every packet that leaves must be right in all its parts. */
static void sink_commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct tcp_test *t = context;
    uint32_t header = ip_header(t->family), data;
    const struct wire_tcp *tcp = (const struct wire_tcp *)(t->packet + header);
    struct seg *segment = &t->out[t->out_first + t->out_count];

    assert_true(t->out_first + t->out_count < sizeof(t->out) / sizeof(t->out[0]));
    t->sink_room--;
    t->packet_length = length;
    t->last_offload = *offload;
    if (t->family == 4) {
        const struct wire_ipv4 *ip = (const struct wire_ipv4 *)t->packet;

        assert_int_equal(checksum_finish(checksum_add(0, ip, sizeof(*ip))), 0);
        assert_int_equal(ntohs(ip->total_length), length);
        assert_int_equal(ntohs(ip->fragment), IPV4_DONT_FRAGMENT);
        assert_memory_equal(ip->source, t->us.address, 4);
        assert_memory_equal(ip->destination, t->them.address, 4);
    } else {
        const struct wire_ipv6 *ip = (const struct wire_ipv6 *)t->packet;

        assert_int_equal(ntohs(ip->payload_length) + IPV6_HEADER_SIZE, length);
        assert_memory_equal(ip->source, t->us.address, 16);
        assert_memory_equal(ip->destination, t->them.address, 16);
    }
    if (!offload->checksum)
        assert_int_equal(tcp_sum(t->packet, length), 0);
    assert_int_equal(ntohs(tcp->source_port), t->us.port);
    if (t->many && ntohs(tcp->destination_port) != t->them.port)
        return;
    assert_int_equal(ntohs(tcp->destination_port), t->them.port);
    data = header + (uint32_t)(tcp->data_offset >> 4) * 4;
    if (tcp->flags & SYN && !t->iss_known) {
        t->iss = ntohl(tcp->sequence);
        t->iss_known = true;
    }
    *segment = (struct seg){
        .flags = tcp->flags | (tcp->data_offset & 1u) << 8,
        .seq = ntohl(tcp->sequence) - t->iss,
        .ack = tcp->flags & ACK ? ntohl(tcp->acknowledgment) - t->isn : 0,
        .window = ntohs(tcp->window),
        .urgent = ntohs(tcp->urgent),
        .length = length - data,
        .ecn = t->family == 4 ? t->packet[1] & 3 : t->packet[1] >> 4 & 3,
    };
    take_options(segment, t->isn, t->packet + header + TCP_HEADER_MIN, t->packet + data);
    for (uint32_t i = 0; i < segment->length; i++)
        assert_int_equal(t->packet[data + i], pattern(segment->seq + !!(segment->flags & SYN) + i));
    t->out_count++;
}

static void flush(struct tcp_test *t)
{
    struct utcp_sink sink = {sink_reserve, sink_commit, t};

    assert_consistent(t->stack);
    utcp_output(t->stack, t->now, &sink);
    assert_consistent(t->stack);
}

/* ── Time ──────────────────────────────────────────────────────────────────────────────────── */

void pass(struct tcp_test *t, uint64_t us)
{
    uint64_t end = t->now + us;

    flush(t);
    while (utcp_deadline(t->stack) <= end) {
        uint64_t next = utcp_deadline(t->stack);

        t->now = next > t->now ? next : t->now;
        utcp_advance(t->stack, t->now);
        flush(t);
    }
    t->now = end;
    utcp_advance(t->stack, t->now);
    flush(t);
}

/* ── Expecting ─────────────────────────────────────────────────────────────────────────────── */

static const char *describe(const struct seg *segment, char *text, size_t size)
{
    static const char letters[] = "FSRPAUECN";
    char flags[10] = {0};
    int count = 0;

    for (int i = 0; i < 9; i++)
        if (segment->flags & 1u << i)
            flags[count++] = letters[i];
    snprintf(text, size, "[%s] seq %u ack %u length %u window %u", flags, segment->seq,
             segment->ack, segment->length, segment->window);
    return text;
}

static void complain(const char *what, const struct seg *segment)
{
    char text[128];

    print_error("%s: %s\n", what, describe(segment, text, sizeof(text)));
}

void tcp_expect_nothing(struct tcp_test *t, const char *file, int line)
{
    flush(t);
    if (t->out_count == 0)
        return;
    complain("unexpected", &t->out[t->out_first]);
    _fail(file, line);
}

void tcp_expect(struct tcp_test *t, struct seg segment, const char *file, int line)
{
    const struct seg *seen = &t->out[t->out_first];

    flush(t);
    if (t->out_count == 0) {
        complain("missing", &segment);
        _fail(file, line);
    }
    if ((seen->flags & ~(unsigned)PSH) != (segment.flags & ~(unsigned)PSH) ||
        seen->seq != segment.seq || seen->ack != segment.ack || seen->length != segment.length ||
        (segment.window && seen->window != (segment.window == NO_WINDOW ? 0 : segment.window))) {
        complain("seen", seen);
        complain("expected", &segment);
        _fail(file, line);
    }
    t->last = *seen;
    t->out_first++;
    if (--t->out_count == 0)
        t->out_first = 0;
}

void tcp_silent_for(struct tcp_test *t, uint64_t us, const char *file, int line)
{
    tcp_expect_nothing(t, file, line);
    pass(t, us);
    tcp_expect_nothing(t, file, line);
}

void tcp_expect_after(struct tcp_test *t, uint64_t us, struct seg segment, const char *file,
                      int line)
{
    const uint64_t tick = 256;
    uint64_t start = t->now;

    tcp_expect_nothing(t, file, line);
    while (t->out_count == 0 && utcp_deadline(t->stack) <= start + us + 2 * tick) {
        uint64_t next = utcp_deadline(t->stack);

        t->now = next > t->now ? next : t->now;
        utcp_advance(t->stack, t->now);
        flush(t);
    }
    if (t->out_count && t->now < start + us)
        print_error("after %lu us, not %lu\n", (unsigned long)(t->now - start), (unsigned long)us);
    _assert_true(t->out_count == 0 || t->now >= start + us, "too early", file, line);
    tcp_expect(t, segment, file, line);
}

void tcp_expect_state(struct tcp_test *t, enum utcp_state state, const char *file, int line)
{
    enum utcp_state is = tcp_info(t).state;

    if (is != state)
        print_error("in %s, not %s\n", utcp_state_name(is), utcp_state_name(state));
    _assert_int_equal((uint64_t)is, (uint64_t)state, file, line);
}

struct utcp_stats tcp_stats(struct tcp_test *t)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(t->stack, &stats);
    return stats;
}

struct utcp_info tcp_info(struct tcp_test *t)
{
    struct utcp_info info = {.size = sizeof(info)};

    assert_non_null(t->conn);
    utcp_info(t->conn, &info);
    return info;
}

bool tcp_gone(struct tcp_test *t)
{
    return tcp_stats(t).connections == 0;
}

/* ── The application ───────────────────────────────────────────────────────────────────────── */

typedef ptrdiff_t write_function(struct utcp_conn *conn, uint64_t now, const void *data,
                                 size_t size);

static ptrdiff_t write_by(write_function *function, struct tcp_test *t, uint32_t offset,
                          uint32_t size)
{
    uint8_t *data = malloc(size);
    ptrdiff_t taken;

    assert_non_null(data);
    for (uint32_t i = 0; i < size; i++)
        data[i] = pattern(1 + offset + i);
    taken = function(t->conn, t->now, data, size);
    free(data);
    return taken;
}

ptrdiff_t tcp_write_some(struct tcp_test *t, uint32_t offset, uint32_t size)
{
    return write_by(utcp_write, t, offset, size);
}

ptrdiff_t tcp_write_record(struct tcp_test *t, uint32_t offset, uint32_t size)
{
    return write_by(utcp_write_record, t, offset, size);
}

void tcp_write(struct tcp_test *t, uint32_t offset, uint32_t size)
{
    assert_int_equal(tcp_write_some(t, offset, size), size);
}

uint32_t tcp_read(struct tcp_test *t, uint32_t offset)
{
    uint8_t buffer[4096];
    uint32_t total = 0;
    ptrdiff_t got;

    while ((got = utcp_read(t->conn, t->now, buffer, sizeof(buffer))) > 0) {
        for (ptrdiff_t i = 0; i < got; i++)
            assert_int_equal(buffer[i], pattern(1 + offset + total + (uint32_t)i));
        total += (uint32_t)got;
    }
    return total;
}

uint32_t tcp_events(struct tcp_test *t)
{
    struct utcp_event events[8];
    uint32_t seen = 0;
    unsigned count;

    while ((count = utcp_poll(t->stack, events, 8)) > 0)
        for (unsigned i = 0; i < count; i++)
            if (events[i].conn == t->conn)
                seen |= events[i].events;
    return seen;
}

/* ── Beginning ─────────────────────────────────────────────────────────────────────────────── */

struct tcp_test *tcp_new(uint8_t family, const struct utcp_config *config)
{
    struct tcp_test *t = calloc(1, sizeof(*t));
    struct utcp_config stack = config ? *config : (struct utcp_config){0};

    stack.size = sizeof(stack);
    if (stack.congestion == NULL && stack.congestion_module == NULL)
        stack.congestion = "newreno"; /* whose windows are easy to tell */
    t->family = family;
    t->now = 1000 * SECOND;
    t->isn = PEER_ISN;
    t->sink_room = UINT32_MAX;
    t->us = (struct utcp_endpoint){.family = family, .port = 80};
    t->them = (struct utcp_endpoint){.family = family, .port = 40000};
    if (family == 4) {
        memcpy(t->us.address, (uint8_t[]){192, 0, 2, 1}, 4);
        memcpy(t->them.address, (uint8_t[]){198, 51, 100, 2}, 4);
    } else {
        memcpy(t->us.address, (uint8_t[]){0x20, 1, 0xd, 0xb8, [15] = 1}, 16);
        memcpy(t->them.address, (uint8_t[]){0x20, 1, 0xd, 0xb8, [15] = 2}, 16);
    }
    t->stack = utcp_new(&stack, t->now);
    assert_non_null(t->stack);
    return t;
}

void tcp_free(struct tcp_test *t)
{
    utcp_free(t->stack);
    free(t);
}

void tcp_listen(struct tcp_test *t, unsigned backlog)
{
    assert_int_equal(utcp_listen(t->stack, &t->us, backlog, t, &t->listener), 0);
}

void tcp_connect(struct tcp_test *t)
{
    assert_int_equal(utcp_connect(t->stack, t->now, &t->us, &t->them, t, &t->conn), 0);
}

static uint16_t usual_mss(const struct tcp_test *t)
{
    return t->family == 4 ? 1460 : 1440;
}

void tcp_handshake(struct tcp_test *t, struct seg syn)
{
    syn.flags = SYN;
    tcp_peer(t, syn);
    expect(t, .flags = SYN | ACK, .ack = 1);
    peer(t, .flags = ACK, .seq = 1, .ack = 1);
    assert_non_null(t->conn);
    expect_state(t, UTCP_ESTABLISHED);
    expect_nothing(t);
    tcp_events(t);
}

struct tcp_test *tcp_established(uint8_t family)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_listen(t, 8);
    tcp_handshake(t, (struct seg){.mss = usual_mss(t)});
    return t;
}

struct tcp_test *tcp_established_timestamps(uint8_t family)
{
    struct tcp_test *t = tcp_new(family, NULL);

    t->peer_timestamps = true;
    t->peer_ts = 0xfff00000; /* it wraps, too */
    tcp_listen(t, 8);
    tcp_handshake(t, (struct seg){.mss = usual_mss(t)});
    assert_true(tcp_info(t).timestamps);
    return t;
}

struct tcp_test *tcp_established_sack(uint8_t family, bool timestamps)
{
    struct tcp_test *t = tcp_new(family, NULL);

    t->peer_sack = true;
    t->peer_timestamps = timestamps;
    t->peer_ts = 0xfff00000;
    tcp_listen(t, 8);
    tcp_handshake(t, (struct seg){.mss = usual_mss(t)});
    return t;
}

struct tcp_test *tcp_connected(uint8_t family)
{
    struct tcp_test *t = tcp_new(family, NULL);

    tcp_connect(t);
    expect(t, .flags = SYN);
    peer(t, .flags = SYN | ACK, .ack = 1, .mss = usual_mss(t));
    expect(t, .flags = ACK, .seq = 1, .ack = 1);
    expect_state(t, UTCP_ESTABLISHED);
    assert_int_equal(tcp_events(t), UTCP_CONNECTED);
    return t;
}

struct tcp_test *tcp_in_state(uint8_t family, enum utcp_state state, uint32_t *seq, uint32_t *ack)
{
    struct tcp_test *t;

    *seq = *ack = 1;
    if (state == UTCP_SYN_SENT || state == UTCP_SYN_RECEIVED) {
        t = tcp_new(family, NULL);
        tcp_connect(t);
        expect(t, .flags = SYN);
        if (state == UTCP_SYN_RECEIVED) {
            peer(t, .flags = SYN, .mss = usual_mss(t));
            expect(t, .flags = SYN | ACK, .ack = 1);
        }
        expect_state(t, state);
        return t;
    }
    t = tcp_established(family);
    if (state == UTCP_CLOSE_WAIT || state == UTCP_LAST_ACK) {
        peer(t, .flags = FIN | ACK, .seq = 1, .ack = 1);
        expect(t, .flags = ACK, .seq = 1, .ack = 2);
        *seq = 2;
    }
    if (state != UTCP_ESTABLISHED && state != UTCP_CLOSE_WAIT) {
        utcp_shutdown(t->conn, t->now);
        expect(t, .flags = FIN | ACK, .seq = 1, .ack = *seq);
    }
    if (state == UTCP_FIN_WAIT_2 || state == UTCP_TIME_WAIT) {
        peer(t, .flags = ACK, .seq = 1, .ack = 2);
        *ack = 2;
    }
    if (state == UTCP_CLOSING || state == UTCP_TIME_WAIT) {
        peer(t, .flags = FIN | ACK, .seq = 1, .ack = *ack);
        expect(t, .flags = ACK, .seq = 2, .ack = 2);
        *seq = 2;
    }
    if (state == UTCP_FIN_WAIT_1 || state == UTCP_CLOSING || state == UTCP_LAST_ACK)
        *ack = 1;
    expect_state(t, state);
    expect_nothing(t);
    tcp_events(t);
    return t;
}
