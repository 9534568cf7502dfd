/* SPDX-License-Identifier: BSD-2-Clause */
/* packet.h */
#include "packet.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define TTL    64
#define WINDOW 65535
#define FILL   0x5a /* every byte of the payload */
static_assert(offsetof(struct wire_ipv4, id) == 4 && offsetof(struct wire_ipv4, checksum) == 10,
              "RFC 791; write_words() knows them");
static_assert(offsetof(struct wire_tcp, sequence) == 4 && offsetof(struct wire_tcp, checksum) == 16,
              "RFC 9293");

#define SEQUENCE_ZERO 1
#define PROBES_MAX    32
#define LOOP_MOST     24 /* words that are copied one by one: for more memcpy(3) is worth its call */

uint32_t packet_size_min(uint8_t family)
{
    uint32_t size = ETHER_HEADER_SIZE + TCP_HEADER_MIN + FRAME_CHECK_SIZE +
                    (family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE) + 1;

    return size < FRAME_SIZE_MIN ? FRAME_SIZE_MIN : size;
}

static uint64_t write_ipv4(uint8_t *out, const struct endpoints *from, const struct endpoints *to,
                           uint32_t length)
{
    struct wire_ipv4 ip = {
        .version_ihl = 0x45,
        .total_length = htons((uint16_t)length),
        .fragment = htons(IPV4_DONT_FRAGMENT),
        .ttl = TTL,
        .protocol = IP_PROTOCOL_TCP,
    };

    memcpy(ip.source, from->bytes, 4);
    memcpy(ip.destination, to->bytes, 4);
    memcpy(out, &ip, sizeof(ip));
    return checksum_add(0, &ip, sizeof(ip));
}

static void write_ipv6(uint8_t *out, const struct endpoints *from, const struct endpoints *to,
                       uint32_t length)
{
    struct wire_ipv6 ip = {
        .version_class_flow = htonl(6U << 28),
        .payload_length = htons((uint16_t)(length - IPV6_HEADER_SIZE)),
        .next_header = IP_PROTOCOL_TCP,
        .hop_limit = TTL,
    };

    memcpy(ip.source, from->bytes, 16);
    memcpy(ip.destination, to->bytes, 16);
    memcpy(out, &ip, sizeof(ip));
}

void packet_template_init(struct packet_template *template, const struct endpoints *from,
                          const struct endpoints *to, uint32_t size, const void *ahead)
{
    uint32_t length = size - FRAME_CHECK_SIZE - ETHER_HEADER_SIZE;
    uint32_t header = from->family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
    uint32_t ip = ahead ? PACKET_AHEAD : 0, tcp = ip + header, end = ip + length;
    uint8_t *bytes = (uint8_t *)template->words;
    struct wire_tcp segment = {
        .data_offset = TCP_HEADER_MIN / 4 << 4, .flags = TCP_ACK, .window = htons(WINDOW)};

    *template = (struct packet_template){
        .length = length,
        .ip = ip,
        .payload = length - header - TCP_HEADER_MIN,
        .word_count = (end + 7) / 8,
        .family = from->family,
    };
    if (ahead)
        memcpy(bytes, ahead, PACKET_AHEAD);
    if (from->family == 4)
        template->ip_sum = write_ipv4(bytes + ip, from, to, length);
    else
        write_ipv6(bytes + ip, from, to, length);
    memcpy(bytes + tcp, &segment, sizeof(segment));
    memset(bytes + tcp + TCP_HEADER_MIN, FILL, template->payload);
    template->tcp_sum = checksum_pseudo_header(from->bytes, to->bytes, from->family == 4 ? 4 : 16,
                                               IP_PROTOCOL_TCP, length - header);
    template->tcp_sum = checksum_add(template->tcp_sum, bytes + tcp, length - header);
}

void flow_init(struct flow *flow, uint16_t source_port, uint16_t destination_port)
{
    *flow = (struct flow){
        .sequence = SEQUENCE_ZERO,
        .source_port = htons(source_port),
        .destination_port = htons(destination_port),
    };
    flow->sum = (uint32_t)flow->source_port + flow->destination_port;
}

/* What of a field at `byte` of the record, given as it lies in memory, belongs to word `word`. */
static inline uint64_t part_of(uint32_t word, uint32_t byte, uint64_t field)
{
    uint32_t shift = byte % 8 * 8;

    if (word == byte / 8)
        return field << shift;
    return word == byte / 8 + 1 && shift > 32 ? field >> (64 - shift) : 0;
}

/* What moves in one packet, as it lies in memory. */
struct moving {
    uint16_t id, ip_checksum, source_port, destination_port, checksum;
    uint32_t sequence;
};

/* Writes word after word, each of them once, out of registers: `ip` and `header` are constants where
 * this is inlined. Whoever copies the packet on by words need not wait for any of them. */
static inline __attribute__((always_inline)) void
write_words(volatile uint64_t *to, const struct packet_template *template,
            const struct moving *moving, uint32_t ip, uint32_t header)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes ascend as words shift");
    const uint32_t tcp = ip + header, head = (tcp + TCP_HEADER_MIN + 7) / 8;
    const uint64_t *from = template->words;

#pragma GCC unroll 10
    for (uint32_t i = 0; i < head; i++) {
        uint64_t word = from[i] | part_of(i, tcp, moving->source_port) |
                        part_of(i, tcp + 2, moving->destination_port) |
                        part_of(i, tcp + 4, moving->sequence) |
                        part_of(i, tcp + 16, moving->checksum);

        if (header == IPV4_HEADER_MIN)
            word |= part_of(i, ip + 4, moving->id) | part_of(i, ip + 10, moving->ip_checksum);
        to[i] = word;
    }
    if (template->word_count > LOOP_MOST) {
        memcpy((uint64_t *)to + head, from + head, (template->word_count - head) * sizeof(*from));
        return;
    }
    for (uint32_t i = head; i < template->word_count; i++)
        to[i] = from[i];
}

void packet_write(void *out, const struct packet_template *template, struct flow *flow, uint16_t id)
{
    const uint32_t sequence = htonl(flow->sequence);
    const struct moving moving = {
        .id = htons(id),
        .ip_checksum = checksum_finish(template->ip_sum + htons(id)),
        .source_port = flow->source_port,
        .destination_port = flow->destination_port,
        .sequence = sequence,
        .checksum = checksum_finish(template->tcp_sum + flow->sum + sequence),
    };

    flow->sequence += template->payload;
    if (template->family == 4 && template->ip)
        write_words(out, template, &moving, PACKET_AHEAD, IPV4_HEADER_MIN);
    else if (template->family == 4)
        write_words(out, template, &moving, 0, IPV4_HEADER_MIN);
    else if (template->ip)
        write_words(out, template, &moving, PACKET_AHEAD, IPV6_HEADER_SIZE);
    else
        write_words(out, template, &moving, 0, IPV6_HEADER_SIZE);
}

/* Finds the TCP segment; *rest is its length. NULL: there is none. */
static const uint8_t *find_tcp(const uint8_t *ip, uint32_t length, uint32_t *rest, uint64_t *sum)
{
    const struct wire_ipv4 *ipv4 = (const struct wire_ipv4 *)ip;
    const struct wire_ipv6 *ipv6 = (const struct wire_ipv6 *)ip;
    uint32_t header = IPV4_HEADER_MIN, total;

    if (length < IPV4_HEADER_MIN)
        return NULL;
    if (ip[0] == 0x45) {
        total = ntohs(ipv4->total_length);
        if (ipv4->protocol != IP_PROTOCOL_TCP ||
            checksum_finish(checksum_add(0, ip, IPV4_HEADER_MIN)))
            return NULL;
    } else {
        header = IPV6_HEADER_SIZE;
        if (length < header || ip[0] >> 4 != 6 || ipv6->next_header != IP_PROTOCOL_TCP)
            return NULL;
        total = header + ntohs(ipv6->payload_length);
    }
    if (total > length || total < header + TCP_HEADER_MIN)
        return NULL;
    *rest = total - header;
    *sum =
        ip[0] == 0x45
            ? checksum_pseudo_header(ipv4->source, ipv4->destination, 4, IP_PROTOCOL_TCP, *rest)
            : checksum_pseudo_header(ipv6->source, ipv6->destination, 16, IP_PROTOCOL_TCP, *rest);
    return ip + header;
}

bool packet_verify(const uint8_t *ip, uint32_t length, bool partial, struct packet_facts *facts)
{
    const struct wire_tcp *tcp;
    uint64_t sum, addresses;
    uint32_t rest;

    tcp = (const struct wire_tcp *)find_tcp(ip, length, &rest, &sum);
    if (!tcp || tcp->data_offset != TCP_HEADER_MIN / 4 << 4)
        return false;
    if (!(partial && tcp->checksum == checksum_fold(sum)) &&
        checksum_finish(checksum_add(sum, tcp, rest)))
        return false;
    facts->sequence = ntohl(tcp->sequence);
    facts->payload = rest - TCP_HEADER_MIN;
    /* the source address is enough to tell generators apart */
    memcpy(&addresses, ip + (ip[0] == 0x45 ? 12 : 16), sizeof(addresses));
    facts->flow =
        (addresses * 0x9e3779b97f4a7c15ULL) ^
        (((uint64_t)tcp->source_port << 16 | tcp->destination_port) * 0xbf58476d1ce4e5b9ULL);
    facts->flow |= 1; /* 0 is an empty place */
    return true;
}

static void exchange(uint8_t *a, uint8_t *b, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = a[i];

        a[i] = b[i];
        b[i] = byte;
    }
}

void packet_exchange_ends(uint8_t *ip)
{
    bool ipv4 = ip[0] >> 4 == 4;
    uint32_t size = ipv4 ? 4 : 16;
    uint8_t *source = ip + (ipv4 ? 12 : 8);
    uint8_t *ports = ip + (ipv4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE);

    exchange(source, source + size, size);
    exchange(ports, ports + 2, 2);
}

int tracker_init(struct tracker *tracker)
{
    *tracker = (struct tracker){.flows = calloc(TRACKER_FLOWS, sizeof(*tracker->flows))};
    return tracker->flows ? 0 : -ENOMEM;
}

void tracker_dispose(struct tracker *tracker)
{
    free(tracker->flows);
    tracker->flows = NULL;
}

void tracker_note(struct tracker *tracker, const struct packet_facts *facts)
{
    uint32_t place = (uint32_t)(facts->flow >> 40) & (TRACKER_FLOWS - 1);
    int32_t ahead;

    for (uint32_t probes = 0; tracker->flows[place].flow != facts->flow; probes++) {
        if (!tracker->flows[place].flow) {
            tracker->flows[place].flow = facts->flow;
            tracker->flows[place].next = facts->sequence;
            break;
        }
        if (probes == PROBES_MAX) {
            tracker->untracked++;
            return;
        }
        place = (place + 1) & (TRACKER_FLOWS - 1);
    }
    ahead = (int32_t)(facts->sequence - tracker->flows[place].next);
    if (ahead < 0) {
        tracker->late++;
        if (tracker->lost)
            tracker->lost--;
        return;
    }
    if (facts->payload)
        tracker->lost += (uint32_t)ahead / facts->payload;
    tracker->flows[place].next = facts->sequence + facts->payload;
}
