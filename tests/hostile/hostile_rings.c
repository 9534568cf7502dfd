/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes that break the rules of the shared memory, and those that send what a port may not. */
#include "checksum.h"
#include "hostile.h"
#include "wire.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ── packets to start from ── */

/* A UDP datagram that the port may send. */
struct packet {
    struct wire_ipv4 ip;
    struct wire_udp udp;
    uint8_t payload[64];
} WIRE_PACKED;

static void set_checksum(struct packet *packet)
{
    packet->ip.checksum = 0;
    packet->ip.checksum = checksum_finish(checksum_add(0, &packet->ip, sizeof(packet->ip)));
}

static struct packet good_packet(const struct raw_port *port)
{
    struct packet packet = {
        .ip = {.version_ihl = 0x45,
               .total_length = htons(sizeof(packet)),
               .ttl = 64,
               .protocol = IP_PROTOCOL_UDP},
        .udp = {.source_port = port->bound.sin_port,
                .destination_port = htons(9),
                .length = htons(sizeof(packet) - IPV4_HEADER_MIN)},
    };

    memcpy(packet.ip.source, &port->bound.sin_addr, 4);
    memcpy(packet.ip.destination, &peer.sin_addr, 4);
    set_checksum(&packet);
    return packet;
}

/* Sends one packet with the given record, and looks whether the connection outlives it. */
static struct raw_outcome send_one(struct raw_port *port, const struct ring_record *record,
                                   const void *packet, size_t length)
{
    raw_record(port, record, packet, length, 0);
    raw_publish(port, port->tail);
    raw_await_consumed(port);
    return raw_ask(port);
}

static struct raw_outcome send_packet(struct raw_port *port, const struct packet *packet)
{
    struct ring_record record = {.length = sizeof(*packet)};

    return send_one(port, &record, packet, sizeof(*packet));
}

/* ── rings ── */

static struct raw_outcome bad_tail(struct raw_port *port)
{
    raw_publish(port, port->tail + port->tx_size + RING_ALIGN);
    return raw_outcome(port);
}

static struct raw_outcome tail_unaligned(struct raw_port *port)
{
    raw_publish(port, port->tail + 1);
    return raw_outcome(port);
}

static struct raw_outcome tail_backwards(struct raw_port *port)
{
    struct packet packet = good_packet(port);
    struct raw_outcome outcome = send_packet(port, &packet);

    if (outcome.fate != RAW_ALIVE)
        return outcome;
    raw_publish(port, port->tail - RING_ALIGN);
    return raw_outcome(port);
}

static struct raw_outcome long_record(struct raw_port *port)
{
    struct ring_record record = {.length = 0x10000000};

    raw_record(port, &record, NULL, 0, RING_ALIGN);
    raw_publish(port, port->tail);
    return raw_outcome(port);
}

static struct raw_outcome wrapping_record(struct raw_port *port)
{
    struct ring_record record = {.length = UINT32_MAX - 8}; /* its stride wraps 32 bits */

    raw_record(port, &record, NULL, 0, RING_ALIGN);
    raw_publish(port, port->tail);
    return raw_outcome(port);
}

static struct raw_outcome pad_midway(struct raw_port *port)
{
    struct ring_record record = {.length = 48, .flags = RECORD_PAD};

    raw_record(port, &record, NULL, 0, RING_ALIGN);
    raw_publish(port, port->tail);
    return raw_outcome(port);
}

static struct raw_outcome bad_rx_head(struct raw_port *port)
{
    __atomic_store_n(&port->rx->head, 0x7fffffc0, __ATOMIC_RELEASE);
    eventfd_write(port->tx_fd, 1);
    return raw_ask(port); /* the switch notices when it has something for us, or never */
}

static struct raw_outcome scribble(struct raw_port *port, size_t from, size_t to)
{
    int64_t end = end_of_duration();

    while (control_client__now_ms() < end) {
        for (size_t at = from; at + 4096 <= to; at += 4096) {
            random_fill(port->memory + at + random_next() % 4032, 64);
            if (random_next() % 8 == 0)
                random_fill((uint8_t *)port->tx, sizeof(*port->tx));
            eventfd_write(port->tx_fd, 1);
        }
    }
    return raw_ask(port);
}

static struct raw_outcome scribble_everything(struct raw_port *port)
{
    return scribble(port, 0, port->size);
}

/* Indices that look right over data that does not. */
static struct raw_outcome scribble_records(struct raw_port *port)
{
    int64_t end = end_of_duration();
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    while (control_client__now_ms() < end && outcome.fate == RAW_ALIVE) {
        random_fill(port->tx_data, port->tx_size);
        for (uint32_t at = 0; at < port->tx_size; at += RING_ALIGN)
            *(uint32_t *)(port->tx_data + at) &= 0xff;
        port->tail += RING_ALIGN * (uint32_t)(1 + random_next() % 64);
        raw_publish(port, port->tail);
        raw_await_consumed(port);
        outcome = raw_ask(port);
    }
    return outcome;
}

/* Changes the packet while the switch looks at it: what it checks must be what it sends. */
static struct raw_outcome change_after_check(struct raw_port *port)
{
    int64_t end = end_of_duration();
    struct packet good = good_packet(port), bad = good;
    struct ring_record record = {.length = sizeof(good)};

    memcpy(bad.ip.source, "\x08\x08\x08\x08", 4);
    set_checksum(&bad);
    while (control_client__now_ms() < end) {
        uint8_t *place = port->tx_data + (port->tail & (port->tx_size - 1)) + sizeof(record);

        raw_record(port, &record, &good, sizeof(good), 0);
        raw_publish(port, port->tail);
        for (int i = 0;
             i < 2000 && __atomic_load_n(&port->tx->head, __ATOMIC_ACQUIRE) != port->tail; i++)
            memcpy(place, i % 2 ? &good : &bad, sizeof(good));
        raw_await_consumed(port);
        if (port->tx_size - (port->tail & (port->tx_size - 1)) <
            2 * ring_record_stride(record.length))
            break; /* no need for the end of the ring */
    }
    return raw_ask(port);
}

static struct raw_outcome eventfd_storm(struct raw_port *port)
{
    int64_t end = end_of_duration();

    while (control_client__now_ms() < end)
        for (int i = 0; i < 1000; i++)
            eventfd_write(port->tx_fd, 1);
    return raw_ask(port);
}

/* Says "wake me" for room and packets all the time, and reads neither. */
static struct raw_outcome flag_storm(struct raw_port *port)
{
    int64_t end = end_of_duration();

    while (control_client__now_ms() < end) {
        __atomic_store_n(&port->tx->producer_waits, (uint32_t)random_next(), __ATOMIC_RELAXED);
        __atomic_store_n(&port->rx->consumer_sleeps, (uint32_t)random_next(), __ATOMIC_RELAXED);
        eventfd_write(port->tx_fd, 1);
    }
    return raw_ask(port);
}

/* The test sends traffic to `port=`; nobody reads it. */
static struct raw_outcome unread_rx(struct raw_port *port)
{
    printf("unread_rx port=%u\n", ntohs(port->bound.sin_port));
    fflush(stdout);
    usleep((useconds_t)(duration_ms * 1000));
    return raw_ask(port);
}

static struct raw_outcome vanish(struct raw_port *port)
{
    struct packet packet = good_packet(port);
    struct ring_record record = {.length = sizeof(packet)};

    for (int i = 0; i < 100; i++)
        raw_record(port, &record, &packet, sizeof(packet), 0);
    raw_publish(port, port->tail);
    close(port->fd); /* with work on the way */
    raw_connect(port, control);
    raw_hello(port);
    return raw_ask(port);
}

const struct mode ring_modes[] = {
    MODE(bound, bad_tail),
    MODE(bound, tail_unaligned),
    MODE(bound, tail_backwards),
    MODE(bound, long_record),
    MODE(bound, wrapping_record),
    MODE(bound, pad_midway),
    MODE(bound, bad_rx_head),
    MODE(bound, scribble_everything),
    MODE(bound, scribble_records),
    MODE(bound, change_after_check),
    MODE(bound, eventfd_storm),
    MODE(bound, flag_storm),
    MODE(bound, unread_rx),
    MODE(bound, vanish),
    {0},
};

/* ── packets ── */

static struct raw_outcome honest(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    return send_packet(port, &packet);
}

static struct raw_outcome zero_length(struct raw_port *port)
{
    struct ring_record record = {.length = 0};

    return send_one(port, &record, NULL, 0);
}

static struct raw_outcome short_packet(struct raw_port *port)
{
    struct packet packet = good_packet(port);
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    for (uint32_t length = 1; length < IPV4_HEADER_MIN + UDP_HEADER_SIZE; length++) {
        struct ring_record record = {.length = length};

        outcome = send_one(port, &record, &packet, length);
        if (outcome.fate != RAW_ALIVE)
            break;
    }
    return outcome;
}

static struct raw_outcome long_total_length(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    packet.ip.total_length = htons(1400);
    set_checksum(&packet);
    return send_packet(port, &packet);
}

static struct raw_outcome bad_version(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    packet.ip.version_ihl = 0x55;
    set_checksum(&packet);
    return send_packet(port, &packet);
}

static struct raw_outcome spoof_source(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    memcpy(packet.ip.source, "\x08\x08\x08\x08", 4);
    set_checksum(&packet);
    return send_packet(port, &packet);
}

static struct raw_outcome spoof_port(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    packet.udp.source_port = htons(53);
    return send_packet(port, &packet);
}

static struct raw_outcome other_protocol(struct raw_port *port)
{
    static const uint8_t protocols[] = {IP_PROTOCOL_ICMP, IP_PROTOCOL_TCP, 2, 41, 47, 50, 89, 132};
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    for (size_t i = 0; i < sizeof(protocols) && outcome.fate == RAW_ALIVE; i++) {
        struct packet packet = good_packet(port);

        packet.ip.protocol = protocols[i];
        set_checksum(&packet);
        outcome = send_packet(port, &packet);
    }
    return outcome;
}

static struct raw_outcome fragment(struct raw_port *port)
{
    struct packet packet = good_packet(port);
    struct raw_outcome outcome;

    packet.ip.fragment = htons(IPV4_MORE_FRAGMENTS);
    set_checksum(&packet);
    outcome = send_packet(port, &packet);
    if (outcome.fate != RAW_ALIVE)
        return outcome;
    packet.ip.fragment = htons(8);
    set_checksum(&packet);
    return send_packet(port, &packet);
}

static struct raw_outcome ip_options(struct raw_port *port)
{
    /* loose source routing (RFC 791), right behind the header that it makes longer */
    static const uint8_t route[] = {131, 7, 4, 8, 8, 8, 8, 0};
    struct packet packet = good_packet(port);
    uint8_t bytes[sizeof(packet) + sizeof(route)];
    struct ring_record record = {.length = sizeof(bytes)};
    struct wire_ipv4 *ip = (struct wire_ipv4 *)bytes;

    memcpy(bytes, &packet, IPV4_HEADER_MIN);
    memcpy(bytes + IPV4_HEADER_MIN, route, sizeof(route));
    memcpy(bytes + IPV4_HEADER_MIN + sizeof(route), &packet.udp, sizeof(packet) - IPV4_HEADER_MIN);
    ip->version_ihl = 0x47;
    ip->total_length = htons(sizeof(bytes));
    ip->checksum = 0;
    ip->checksum = checksum_finish(checksum_add(0, bytes, IPV4_HEADER_MIN + sizeof(route)));
    return send_one(port, &record, bytes, sizeof(bytes));
}

static struct raw_outcome bad_checksum(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    packet.ip.checksum ^= 0x5555;
    return send_packet(port, &packet);
}

static struct raw_outcome ttl_zero(struct raw_port *port)
{
    struct packet packet = good_packet(port);

    packet.ip.ttl = 0;
    set_checksum(&packet);
    return send_packet(port, &packet);
}

static struct raw_outcome bad_offload(struct raw_port *port)
{
    static const struct ring_record lies[] = {
        {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 60000, .checksum_offset = 6},
        {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 60000},
        {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 65535, .checksum_offset = 65535},
        {.flags = RECORD_CHECKSUM_PARTIAL, .checksum_start = 0, .checksum_offset = 12},
        {.flags = RECORD_SEGMENT, .segment_size = 0},
        {.flags = RECORD_SEGMENT, .segment_size = 1},
        {.flags = RECORD_SEGMENT | RECORD_CHECKSUM_PARTIAL,
         .segment_size = 65535,
         .checksum_start = 91,
         .checksum_offset = 1},
    };
    struct packet packet = good_packet(port);
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]) && outcome.fate == RAW_ALIVE; i++) {
        struct ring_record record = lies[i];

        record.length = sizeof(packet);
        outcome = send_one(port, &record, &packet, sizeof(packet));
    }
    return outcome;
}

/* Every field of the header, one after the other, at random. */
static struct raw_outcome random_headers(struct raw_port *port)
{
    int64_t end = end_of_duration();
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    while (control_client__now_ms() < end && outcome.fate == RAW_ALIVE) {
        for (int i = 0; i < 64; i++) {
            struct packet packet = good_packet(port);
            struct ring_record record = {.length = sizeof(packet)};

            if (port->tx_size - (port->tail & (port->tx_size - 1)) < 256) {
                record.length = port->tx_size - (port->tail & (port->tx_size - 1)) - 16;
                record.flags = RECORD_PAD;
                raw_record(port, &record, NULL, 0, 0);
                continue;
            }
            ((uint8_t *)&packet)[random_next() % 28] = (uint8_t)random_next();
            if (random_next() % 2)
                set_checksum(&packet);
            raw_record(port, &record, &packet, sizeof(packet), 0);
        }
        raw_publish(port, port->tail);
        raw_await_consumed(port);
        outcome = raw_ask(port);
    }
    return outcome;
}

/* Spoofed packets as fast as they are taken, until the switch has had enough of it. */
static struct raw_outcome spoof_flood(struct raw_port *port)
{
    int64_t end = control_client__now_ms() + 10000;
    struct packet packet = good_packet(port);
    const struct ring_record record = {.length = sizeof(packet)};
    struct raw_outcome outcome = {.fate = RAW_ALIVE};

    packet.udp.source_port = htons(53);
    while (control_client__now_ms() < end && outcome.fate == RAW_ALIVE) {
        uint32_t room = port->tx_size - (port->tail & (port->tx_size - 1));

        if (room < sizeof(packet) + 2 * RING_ALIGN) {
            const struct ring_record pad = {.length = room - sizeof(pad), .flags = RECORD_PAD};

            raw_record(port, &pad, NULL, 0, 0);
        }
        for (int i = 0; i < 64 && (port->tail & (port->tx_size - 1)) + RING_ALIGN < port->tx_size;
             i++)
            raw_record(port, &record, &packet, sizeof(packet), 0);
        raw_publish(port, port->tail);
        raw_await_consumed(port);
        outcome = raw_ask(port);
    }
    return outcome;
}

const struct mode packet_modes[] = {
    MODE(bound, honest),       MODE(bound, zero_length),
    MODE(bound, short_packet), MODE(bound, long_total_length),
    MODE(bound, bad_version),  MODE(bound, spoof_source),
    MODE(bound, spoof_port),   MODE(bound, other_protocol),
    MODE(bound, fragment),     MODE(bound, ip_options),
    MODE(bound, bad_checksum), MODE(bound, ttl_zero),
    MODE(bound, bad_offload),  MODE(bound, random_headers),
    MODE(bound, spoof_flood),  {0},
};
