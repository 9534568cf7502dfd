/* SPDX-License-Identifier: BSD-2-Clause */
/* packet.h */
#include "packet.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define TTL           64
#define WINDOW        65535
#define FILL          0x5a /* every byte of the payload */
#define SEQUENCE_ZERO 1
#define PROBES_MAX    32

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

static struct packet_field field_at(uint32_t byte)
{
    return (struct packet_field){(uint8_t)(byte / 8), (uint8_t)(byte % 8 * 8)};
}

void packet_template_init(struct packet_template *template, const struct endpoints *from,
                          const struct endpoints *to, uint32_t size, const void *ahead,
                          uint32_t ahead_size)
{
    uint32_t length = size - FRAME_CHECK_SIZE - ETHER_HEADER_SIZE;
    uint32_t header = from->family == 4 ? IPV4_HEADER_MIN : IPV6_HEADER_SIZE;
    uint32_t ip = ahead_size, tcp = ip + header, end = ip + length;
    uint8_t *bytes = (uint8_t *)template->words;
    struct wire_tcp segment = {
        .data_offset = TCP_HEADER_MIN / 4 << 4, .flags = TCP_ACK, .window = htons(WINDOW)};

    *template = (struct packet_template){
        .length = length,
        .ip = ip,
        .payload = length - header - TCP_HEADER_MIN,
        .head = (tcp + TCP_HEADER_MIN + 7) / 8,
        .id = field_at(ip + offsetof(struct wire_ipv4, id)),
        .ip_checksum = field_at(ip + offsetof(struct wire_ipv4, checksum)),
        .ports = {field_at(tcp + offsetof(struct wire_tcp, source_port)),
                  field_at(tcp + offsetof(struct wire_tcp, destination_port))},
        .sequence = field_at(tcp + offsetof(struct wire_tcp, sequence)),
        .checksum = field_at(tcp + offsetof(struct wire_tcp, checksum)),
        .family = from->family,
    };
    template->pieces = end > template->head * 8 ? (end - template->head * 8 + 15) / 16 : 0;
    memcpy(bytes, ahead, ahead_size);
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

/* Puts bytes, given as they lie in memory, into words that hold zeros there. */
static inline void put(uint64_t *words, struct packet_field field, uint64_t value)
{
    words[field.word] |= value << field.shift;
}

/* The same for four bytes, which may reach into the next word. */
static inline void put_long(uint64_t *words, struct packet_field field, uint64_t value)
{
    put(words, field, value);
    if (field.shift > 32)
        words[field.word + 1] |= value >> (64 - field.shift);
}

/* All in words of 8 bytes: a wider read of what was just written in pieces would have to wait for
 * every write before it, those into the ring too. */
void packet_write(void *out, const struct packet_template *template, struct flow *flow, uint16_t id)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes ascend as words shift");
    volatile uint64_t *to = out;
    const uint64_t *rest;
    uint64_t words[PACKET_HEAD_WORDS + 1];
    uint32_t sequence = htonl(flow->sequence);

    for (uint32_t i = 0; i < template->head; i++)
        words[i] = ((const volatile uint64_t *)template->words)[i];
    if (template->family == 4) {
        put(words, template->id, htons(id));
        put(words, template->ip_checksum, checksum_finish(template->ip_sum + htons(id)));
    }
    put(words, template->ports[0], flow->source_port);
    put(words, template->ports[1], flow->destination_port);
    put_long(words, template->sequence, sequence);
    put(words, template->checksum, checksum_finish(template->tcp_sum + flow->sum + sequence));
    for (uint32_t i = 0; i < template->head; i++)
        to[i] = words[i];
    rest = template->words + template->head;
    to += template->head;
    for (uint32_t i = 0; i < template->pieces; i++) {
        to[2 * i] = rest[2 * i];
        to[2 * i + 1] = rest[2 * i + 1];
    }
    flow->sequence += template->payload;
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
