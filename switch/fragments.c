/* SPDX-License-Identifier: BSD-2-Clause */
/* fragments.h */
#include "fragments.h"

#include <errno.h>
#include <stdlib.h>

#include "checksum.h"
#include "forward.h"

#define HEADER_ROOM (IPV6_HEADER_SIZE + PACKET_EXTENSION_BYTES_MAX)
#define BLOCK       8 /* bytes: what offsets are counted in */
#define BLOCKS      ((IP_PACKET_MAX + 1) / BLOCK)

struct datagram_key {
    uint64_t source[2], destination[2]; /* addresses as struct tuple has them */
    uint32_t id;
    uint8_t family;
    uint8_t protocol; /* IPv4 alone */
};

struct datagram {
    uint32_t fragments; /* that are here; 0: the slot is free */
    uint32_t received;  /* bytes of payload that are here */
    uint32_t total;     /* bytes of payload; 0: the last fragment is not here */
    uint32_t highest;   /* end of what is here */
    uint32_t header;    /* bytes of header; 0: the first fragment is not here */
    uint64_t born_ns;
    struct drop_counters *drops;
    struct datagram_key key;
    uint64_t present[BLOCKS / 64];
    uint8_t bytes[HEADER_ROOM + IP_PACKET_MAX + 1]; /* the header ends at HEADER_ROOM */
};

static struct datagram_key key_of(const struct packet_network *network)
{
    struct datagram_key key = {.id = network->id, .family = network->family};

    tuple_load_address(key.source, network->source, network->family);
    tuple_load_address(key.destination, network->destination, network->family);
    if (network->family == 4)
        key.protocol = network->protocol;
    return key;
}

static bool key_equals(const struct datagram_key *a, const struct datagram_key *b)
{
    return a->source[0] == b->source[0] && a->source[1] == b->source[1] &&
           a->destination[0] == b->destination[0] && a->destination[1] == b->destination[1] &&
           a->id == b->id && a->family == b->family && a->protocol == b->protocol;
}

/* The slot is free from here on. */
static void give_up(struct fragments *fragments, struct datagram *datagram, enum drop_reason reason)
{
    if (reason != DROP_NONE)
        stats_add(&datagram->drops->count[reason], datagram->fragments);
    datagram->fragments = 0;
    fragments->count--;
}

static struct datagram *find(struct fragments *fragments, const struct datagram_key *key)
{
    for (uint32_t i = 0; i < FRAGMENT_DATAGRAMS && fragments->count; i++) {
        struct datagram *datagram = &fragments->datagrams[i];

        if (datagram->fragments && key_equals(&datagram->key, key))
            return datagram;
    }
    return NULL;
}

static struct datagram *begin(struct fragments *fragments, const struct datagram_key *key,
                              uint64_t now_ns, struct drop_counters *drops)
{
    struct datagram *chosen = NULL;

    for (uint32_t i = 0; i < FRAGMENT_DATAGRAMS; i++) {
        struct datagram *datagram = &fragments->datagrams[i];

        if (!datagram->fragments) {
            chosen = datagram;
            break;
        }
        if (!chosen || datagram->born_ns < chosen->born_ns)
            chosen = datagram;
    }
    if (chosen->fragments)
        give_up(fragments, chosen, DROP_RX_FRAGMENT_LOST);
    chosen->received = chosen->total = chosen->highest = chosen->header = 0;
    chosen->born_ns = now_ns;
    chosen->drops = drops;
    chosen->key = *key;
    memset(chosen->present, 0, sizeof(chosen->present));
    fragments->count++;
    return chosen;
}

/* How many of the blocks are there already. */
static uint32_t count_present(const struct datagram *datagram, uint32_t first, uint32_t blocks)
{
    uint32_t count = 0;

    for (uint32_t i = first; i < first + blocks; i++)
        count += datagram->present[i / 64] >> (i % 64) & 1;
    return count;
}

static void set_present(struct datagram *datagram, uint32_t first, uint32_t blocks)
{
    for (uint32_t i = first; i < first + blocks; i++)
        datagram->present[i / 64] |= 1ULL << (i % 64);
}

/* Whether the fragment agrees with itself, and with what is known of the end. */
static bool fits(const struct datagram *datagram, const struct packet_network *network,
                 uint32_t size)
{
    uint32_t end = network->offset + size;
    uint32_t fixed =
        network->family == 4 ? network->header : 0; /* IPv6 does not count its header */

    if (size == 0 || end + fixed > IP_PACKET_MAX || (network->more && size % BLOCK))
        return false;
    if (datagram->total)
        return end <= datagram->total && (network->more || end == datagram->total);
    return network->more || end >= datagram->highest;
}

/* The part of the header that each fragment repeats, without what makes it a fragment. */
static void keep_header(struct datagram *datagram, const struct packet_network *network,
                        const uint8_t *bytes)
{
    uint32_t size = network->family == 4 ? network->header : network->fragment_header;
    uint8_t *header = datagram->bytes + HEADER_ROOM - size;

    memcpy(header, bytes, size);
    if (network->family == 6)
        header[network->announced_at] = bytes[network->fragment_header];
    datagram->header = size;
}

/* Lengths and checksum of the whole. False: it is longer than a packet may be. */
static bool finish_header(struct datagram *datagram)
{
    uint8_t *header = datagram->bytes + HEADER_ROOM - datagram->header;
    uint32_t length = datagram->header + datagram->total;

    if (datagram->key.family == 4) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)header;

        ip->total_length = htons((uint16_t)length);
        ip->fragment = 0;
        ip->checksum = 0;
        ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    } else {
        ((struct wire_ipv6 *)header)->payload_length = htons((uint16_t)(length - IPV6_HEADER_SIZE));
        length -= IPV6_HEADER_SIZE;
    }
    return length <= IP_PACKET_MAX;
}

/* The fragment's payload, from `at` in the frame. False: it contradicts what is there. */
static bool keep_payload(struct datagram *datagram, const struct nic_frame *frame, uint32_t at,
                         const struct packet_network *network, uint32_t size)
{
    uint32_t first = network->offset / BLOCK, blocks = (size + BLOCK - 1) / BLOCK;
    uint32_t present = count_present(datagram, first, blocks);
    uint8_t *place = datagram->bytes + HEADER_ROOM + network->offset;

    if (present) {
        uint8_t again[IP_PACKET_MAX + 1];

        if (present != blocks)
            return false;
        frame_gather(again, frame, at, size);
        return memcmp(place, again, size) == 0;
    }
    frame_gather(place, frame, at, size);
    set_present(datagram, first, blocks);
    datagram->received += size;
    if (network->offset + size > datagram->highest)
        datagram->highest = network->offset + size;
    if (!network->more)
        datagram->total = network->offset + size;
    return true;
}

/* What the headers are, as far as they lie in the first piece. */
static enum drop_reason parse(const struct nic_frame *frame, uint32_t offset,
                              struct packet_network *network, uint32_t *size)
{
    const uint8_t *bytes = frame->data + offset;
    uint32_t available = frame->head_length - offset, behind;

    if (packet_parse_network(bytes, available, network) != DROP_NONE || !network->fragmented ||
        network->length > frame->length - offset)
        return DROP_RX_FRAGMENT_BAD;
    if (network->family == 4 && checksum_finish(checksum_add(0, bytes, IPV4_HEADER_MIN)) != 0)
        return DROP_RX_BAD_HEADER_CHECKSUM;
    /* Behind the fragment header everything is payload, be it extension headers. */
    behind = network->family == 4 ? network->header
                                  : network->fragment_header + (uint32_t)IPV6_EXTENSION_MIN;
    *size = network->length - behind;
    return DROP_NONE;
}

enum drop_reason fragments_hash(const struct hash_key *key, const struct nic_frame *frame,
                                uint32_t offset, uint64_t *hash, uint32_t *length)
{
    struct packet_network network;
    struct datagram_key datagram;
    uint32_t size;
    enum drop_reason reason = parse(frame, offset, &network, &size);

    if (reason != DROP_NONE)
        return reason;
    datagram = key_of(&network);
    *hash = hash_words(key, datagram.source[0], datagram.source[1],
                       (uint64_t)datagram.id << 16 | datagram.family << 8 | datagram.protocol);
    *hash = hash_mix(hash_words(key, datagram.destination[0], datagram.destination[1], *hash));
    *length = network.length;
    return DROP_NONE;
}

enum drop_reason fragments_take(struct fragments *fragments, const struct nic_frame *frame,
                                uint32_t offset, uint64_t now_ns, struct drop_counters *drops,
                                const uint8_t **whole, uint32_t *length)
{
    struct packet_network network;
    struct datagram *datagram;
    struct datagram_key key;
    uint32_t size;
    enum drop_reason reason = parse(frame, offset, &network, &size);

    *whole = NULL;
    if (reason != DROP_NONE)
        return reason;
    key = key_of(&network);
    datagram = find(fragments, &key);
    if (!datagram)
        datagram = begin(fragments, &key, now_ns, drops);
    if (!fits(datagram, &network, size) ||
        !keep_payload(datagram, frame, offset + network.length - size, &network, size))
        goto bad;
    datagram->fragments++;
    if (network.offset == 0 && !datagram->header)
        keep_header(datagram, &network, frame->data + offset);
    if (!datagram->header || datagram->received != datagram->total)
        return DROP_NONE;
    if (!finish_header(datagram))
        goto bad;
    *whole = datagram->bytes + HEADER_ROOM - datagram->header;
    *length = datagram->header + datagram->total;
    give_up(fragments, datagram, DROP_NONE);
    return DROP_NONE;

bad:
    give_up(fragments, datagram, DROP_RX_FRAGMENT_BAD);
    return DROP_RX_FRAGMENT_BAD;
}

void fragments_expire(struct fragments *fragments, uint64_t now_ns)
{
    for (uint32_t i = 0; i < FRAGMENT_DATAGRAMS && fragments->count; i++) {
        struct datagram *datagram = &fragments->datagrams[i];

        if (datagram->fragments && now_ns - datagram->born_ns > FRAGMENT_TIMEOUT_NS)
            give_up(fragments, datagram, DROP_RX_FRAGMENT_LOST);
    }
}

int fragments_init(struct fragments *fragments)
{
    *fragments =
        (struct fragments){.datagrams = calloc(FRAGMENT_DATAGRAMS, sizeof(struct datagram))};
    return fragments->datagrams ? 0 : -ENOMEM;
}

void fragments_dispose(struct fragments *fragments)
{
    free(fragments->datagrams);
    *fragments = (struct fragments){.datagrams = NULL};
}
