/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets from the wire and packets from applications, through the switch's two parsers.
 *
 * An input is a record's header and a packet, whose lengths and header checksum are made right unless
 * the lowest bit of the header's reserved field is set. What passes must keep its word: headers lie within the
 * packet, what was valid stays valid when it is cut into segments, and the segments hold every byte
 * once. The packet lies in memory of exactly its size, so that the sanitizers see a step beyond. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "fragments.h"
#include "segment.h"
#include "validate.h"

#define RECORD_SIZE sizeof(struct ring_record)

/* length (taken from the input's size), flags, segment size, checksum start and offset, 0 */
#define RECORD(flags, segment, start, offset)                                                      \
    "\0\0\0\0" flags "\0" segment "\0" start "\0" offset "\0\0\0\0\0"
#define HOST4 "\x0a\0\0\1"
#define PEER4 "\x0a\0\0\2"
#define HOST6 "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define PEER6 "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"
#define IPV4(protocol, source, destination)                                                        \
    "\x45\0\0\x14\0\x4d\x40\0\x40" protocol "\0\0" source destination
#define IPV6(next, source, destination) "\x60\0\0\0\0\0" next "\x40" source destination
#define TCP                             "\0\x50\x13\x88\0\0\3\xe8\0\0\0\0\x50\x18\3\xe8\0\0\0\0"
#define UDP(length)                     "\0\x50\x13\x88\0" length "\0\0"
#define PORTS                           "\0\x50\x13\x88\0\0\3\xe8"
#define FIFTY                           "01234567890123456789012345678901234567890123456789"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(RECORD("\2", "\0", "\x14", "\x10") IPV4("\6", HOST4, PEER4) TCP "text"),
    FUZZ_TEXT(RECORD("\4", "\x30", "\0", "\0") IPV4("\6", HOST4, PEER4) TCP FIFTY FIFTY),
    FUZZ_TEXT(RECORD("\4", "\x30", "\0", "\0") IPV6("\6", HOST6, PEER6) TCP FIFTY FIFTY),
    FUZZ_TEXT(RECORD("\2", "\0", "\x14", "\6") IPV4("\x11", HOST4, PEER4) UDP("\x0c") "text"),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0") IPV6("\6", HOST6, PEER6) TCP "text"),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0") IPV6("\x11", HOST6, PEER6) UDP("\x0c") "text"),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0")
                  IPV4("\1", PEER4, HOST4) "\3\4\0\0\0\0\5\xdc" IPV4("\6", HOST4, PEER4) PORTS),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0")
                  IPV6("\x3a", PEER6, HOST6) "\2\0\0\0\0\0\5\0" IPV6("\6", HOST6, PEER6) PORTS),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0") IPV6("\0", PEER6, HOST6) "\x3c\0\1\4\0\0\0\0"
                                                                      "\x2b\0\1\4\0\0\0\0"
                                                                      "\6\0\4\0\0\0\0\0" TCP
                                                                      "text"),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0") IPV6("\x2c", PEER6, HOST6) "\x11\0\0\1\0\0\0\7" PORTS),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0")
                  IPV6("\x2c", PEER6, HOST6) "\x11\0\0\x8\0\0\0\7" PORTS),
    FUZZ_TEXT(RECORD("\0", "\0", "\0", "\0") IPV4("\x84", PEER4, HOST4) PORTS),
    {NULL, 0},
};

static void receive(const uint8_t *packet, uint32_t size)
{
    /* the first piece may be shorter than the frame */
    for (uint32_t available = size;; available /= 2) {
        struct packet_view view = {0}, plain = {0};
        uint8_t *piece = malloc(available ? available : 1);
        enum drop_reason reason;

        memcpy(piece, packet, available);
        reason = packet_parse(piece, available, size, &view);
        if (packet_parse_plain(piece, available, size, &plain)) {
            assert(reason == DROP_NONE);
            assert(memcmp(&plain, &view, sizeof(view)) == 0);
        }
        if (reason == DROP_NONE) {
            assert(view.length <= size && view.headers <= view.length);
            assert(view.transport <= view.headers && view.headers <= available);
            assert(view.family == 4 || view.family == 6);
        }
        free(piece);
        if (!available)
            return;
    }
}

/* As a fragment, among those that earlier inputs left: what becomes whole is a packet. */
static void assemble(const uint8_t *packet, uint32_t size)
{
    static struct fragments fragments;
    static struct drop_counters drops;
    static uint64_t now_ns;
    const struct nic_frame frame = {.data = packet, .head_length = size, .length = size};
    const struct hash_key key = {{1, 2, 3, 5}};
    struct packet_network network;
    const uint8_t *whole;
    uint64_t hash;
    uint32_t length;

    /* what is handed over to another worker lies in the frame */
    if (fragments_hash(&key, &frame, 0, &hash, &length) == DROP_NONE)
        assert(length <= size);
    if (!fragments.datagrams && fragments_init(&fragments))
        abort();
    now_ns += FRAGMENT_TIMEOUT_NS / 1000;
    fragments_expire(&fragments, now_ns);
    if (fragments_take(&fragments, &frame, 0, now_ns, &drops, &whole, &length) == DROP_NONE &&
        whole) {
        assert(packet_parse_network(whole, length, &network) != DROP_NONE || !network.fragmented);
        assert(packet_parse_network(whole, length, &network) != DROP_NONE ||
               network.length == length);
    }
    assert(fragments.count <= FRAGMENT_DATAGRAMS);
}

static void cut(const uint8_t *packet, const struct ring_record *record,
                const struct packet_view *view)
{
    struct segment_cursor cursor = {.whole = packet, .view = view, .size = record->segment_size};
    uint32_t length, payload = 0, count = 0;

    while ((length = segment_next_length(&cursor)) != 0) {
        uint8_t *out = malloc(length);
        struct ring_record own = {.length = length};
        struct packet_view segment;
        uint32_t offset = cursor.offset;

        segment_write(&cursor, out, false);
        assert(validate_packet(out, &own, &segment) == DROP_NONE);
        assert(tuple_equal(&segment.local, &view->local));
        assert(memcmp(out + view->headers, packet + view->headers + offset,
                      length - view->headers) == 0);
        payload += length - view->headers;
        count++;
        free(out);
    }
    assert(payload == view->length - view->headers);
    assert(count == validate_frame_count(view, record));
    assert(count <= validate_frame_bound(record));
}

static void transmit(uint8_t *packet, const struct ring_record *record)
{
    struct packet_view view;

    if (validate_packet(packet, record, &view) != DROP_NONE)
        return;
    assert(view.length == record->length && view.headers <= view.length);
    if (record->flags & (RECORD_CHECKSUM_PARTIAL | RECORD_SEGMENT))
        assert(packet_has_checksum(&view));
    if (validate_frame_count(&view, record) > 1)
        cut(packet, record, &view);
    if (record->flags & RECORD_CHECKSUM_PARTIAL) {
        struct packet_view received;

        packet_fill_checksum(packet, &view);
        /* what we send, we would take */
        assert(packet_parse(packet, view.length, view.length, &received) == DROP_NONE);
        assert(received.headers == view.headers);
    }
}

/* Otherwise hardly any mutation would get past the first checks. */
static void repair(uint8_t *packet, uint32_t size)
{
    if (packet[0] >> 4 == 4 && size >= IPV4_HEADER_MIN) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        ip->total_length = htons((uint16_t)size);
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    } else if (packet[0] >> 4 == 6 && size >= IPV6_HEADER_SIZE) {
        ((struct wire_ipv6 *)packet)->payload_length = htons((uint16_t)(size - IPV6_HEADER_SIZE));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ring_record record;
    uint8_t *packet;

    if (size <= RECORD_SIZE || size > RECORD_SIZE + IP_PACKET_MAX)
        return 0;
    memcpy(&record, data, RECORD_SIZE);
    record.length = (uint32_t)(size - RECORD_SIZE);
    packet = malloc(record.length);
    memcpy(packet, data + RECORD_SIZE, record.length);
    if (!(record.reserved & 1))
        repair(packet, record.length);
    receive(packet, record.length);
    assemble(packet, record.length);
    transmit(packet, &record);
    free(packet);
    return 0;
}
