/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs at the NIC claim (bpf/classify.h), compiled once more for this process, beside
 * what the switch makes of the same packet (switch/packet.c): two parsers in two languages of
 * limits, and a packet that one claims and the other drops has no receiver at all.
 *
 * An input says how much of the frame is in its first piece and which protocols have ports;
 * then comes a packet, whose lengths and IPv4 checksum are made right unless it says otherwise.
 * Every 3-tuple is bound and every address ours. What is claimed, the switch finds the same
 * 3-tuple in, and the transport header at the same place; only fragments wait. */
#include "fuzz.h"

#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mux_maps.h"
#include "packet.h"
#include "reasons.h"

/* ---- the kernel's part */

struct context {
    const uint8_t *bytes;
    uint32_t size;
    bool is_local;
};

static struct context context;
static struct mux_key claimed;       /* the 3-tuple that was found last */
static struct mux_shared everything; /* that is bound */
static struct mux_fragment known;    /* the first fragment that was claimed last */
static struct mux_first known_first;

#define PACKET_CONTEXT struct context
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __noinline
#define bpf_htons(value)                            ((__u16)__builtin_bswap16(value))
#define bpf_htonl(value)                            __builtin_bswap32(value)
#define bpf_ntohs                                   bpf_htons
#define bpf_ntohl                                   bpf_htonl
#define bpf_map_lookup_elem                         look_up
#define bpf_map_update_elem(map, key, value, flags) remember(key, value)

static void *look_up(const void *map, const void *key);

static long remember(const struct mux_fragment *key, const struct mux_first *first)
{
    known = *key;
    known_first = *first;
    return 0;
}

static __u64 bpf_ktime_get_ns(void)
{
    return 1000;
}

static __u64 bpf_ktime_get_coarse_ns(void)
{
    return 1000;
}

static __always_inline __u64 packet_size(const struct context *ctx)
{
    return ctx->size;
}

static __always_inline long packet_load(const struct context *ctx, __u32 offset, void *to,
                                        __u32 size)
{
    if (offset > ctx->size || size > ctx->size - offset)
        return -EFAULT;
    memcpy(to, ctx->bytes + offset, size);
    return 0;
}

static __always_inline bool packet_is_local(void)
{
    return context.is_local;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare" /* in ways that clang does not mind */
#include "classify.h"
#pragma GCC diagnostic pop

static void *look_up(const void *map, const void *key)
{
    static __u32 policy = 7;
    static __u64 counter;

    if (map == (const void *)&mux_bindings) {
        memcpy(&claimed, key, sizeof(claimed));
        return &policy;
    }
    if (map == (const void *)&mux_addresses)
        return &policy;
    if (map == (const void *)&mux_shared)
        return &everything;
    if (map == (const void *)&mux_fragments)
        return memcmp(key, &known, sizeof(known)) != 0 ? NULL : (void *)&known_first;
    assert(map == (const void *)&mux_verdicts);
    return &counter;
}

/* ---- both beside each other */

#define LOCAL 0x01
#define KEEP  0x02 /* lengths and checksum stay as they are */
#define PORTS 0x04 /* other protocols have some */

static bool repair(uint8_t *packet, uint32_t size)
{
    if (packet[0] >> 4 == 4 && size >= IPV4_HEADER_MIN) {
        struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

        ip->total_length = htons((uint16_t)size);
        ip->checksum = 0;
        ip->checksum = checksum_ipv4_make(ip);
        return true;
    }
    if (packet[0] >> 4 == 6 && size >= IPV6_HEADER_SIZE)
        ((struct wire_ipv6 *)packet)->payload_length = htons((uint16_t)(size - IPV6_HEADER_SIZE));
    return packet[0] >> 4 == 6;
}

static void expect_same(const struct transport *transport, const struct packet_view *view)
{
    struct control_address local = tuple_to_address(&view->local);

    assert(claimed.family == local.family && claimed.protocol == local.protocol);
    assert(!memcmp(transport->local, local.bytes, sizeof(transport->local)));
    assert(claimed.port == local.port ||
           (claimed.port == 0 && !(everything.bound[local.protocol] & MUX_BOUND_PORTS)));
    assert(transport->headless == (view->protocol != local.protocol));
    assert(transport->headless || transport->offset == (uint32_t)AT_IP + view->transport);
}

static void look_at(const uint8_t *frame, uint32_t size, uint32_t linear)
{
    struct frame at_nic = {&context, frame, frame + linear};
    struct transport transport = {.offset = 0};
    const struct wire_ether *ether = (const struct wire_ether *)frame;
    struct packet_view view;
    enum drop_reason reason;

    memset(&claimed, 0xff, sizeof(claimed));
    context.bytes = frame;
    context.size = size;
    if (classify_ip(&at_nic, ether->type, &transport) != MUX_CLAIMED)
        return;
    reason = packet_parse(frame + AT_IP, size - AT_IP, size - AT_IP, &view);
    if (reason == DROP_RX_FRAGMENT_BAD || reason == DROP_RX_BAD_HEADER_CHECKSUM)
        return;
    assert(reason == DROP_NONE);
    expect_same(&transport, &view);
}

/* What nobody can bind (switch/protocols.c) and what the parsers walk over or look into. */
static const uint8_t nobodys[] = {IPPROTO_ICMP,    IPPROTO_ICMPV6,   IPPROTO_HOPOPTS,
                                  IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS};

#define HEAD 2
#define PAD  2 /* in front of the frame, as drivers have it: headers are aligned then */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t length = (uint32_t)size - HEAD + AT_IP, linear;
    struct wire_ether ether = {.destination = {2}};
    uint8_t *memory, *frame;

    if (size < HEAD + 1 || size > HEAD + IP_PACKET_MAX)
        return 0;
    memset(everything.bound, data[0] & PORTS ? 0x1f : 0x0f, sizeof(everything.bound));
    for (uint32_t i = 0; i < sizeof(nobodys); i++)
        everything.bound[nobodys[i]] = 0;
    context.is_local = data[0] & LOCAL;
    memory = malloc(PAD + length); /* that ends where the frame does */
    frame = memory + PAD;
    ether.type = htons(data[HEAD] >> 4 == 4 ? ETHER_TYPE_IPV4 : ETHER_TYPE_IPV6);
    memcpy(frame, &ether, sizeof(ether));
    memcpy(frame + AT_IP, data + HEAD, size - HEAD);
    if (!(data[0] & KEEP))
        repair(frame + AT_IP, length - AT_IP);
    linear = data[1] < 200 ? AT_IP + data[1] : length;
    look_at(frame, length, linear < length ? linear : length);
    free(memory);
    return 0;
}

#define HOW(how) how "\xff"
#define HOST4    "\x0a\0\0\1"
#define PEER4    "\x0a\0\0\2"
#define HOST6    "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define PEER6    "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2"
#define PORTS_OF "\x13\x88\0\x50"
#define TCP      PORTS_OF "\0\0\3\xe8\0\0\0\0\x50\x18\3\xe8\0\0\0\0"
#define UDP      PORTS_OF "\0\x0c\0\0"
#define OURS     "\0\x50\x13\x88\0\0\3\xe8"

#define IPV4(protocol, source, destination)                                                        \
    "\x45\0\0\x14\0\x4d\x40\0\x40" protocol "\0\0" source destination
#define SHORT4(source, destination) /* than its header */                                          \
    "\x45\0\0\x13\0\x4d\x40\0\x40\6\0\0" source destination
#define IPV6(next, source, destination) "\x60\0\0\0\0\0" next "\x40" source destination

#define ZEROS   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define LONGEST "\6\x13\1\x9c" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS /* 160 bytes of options */

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(HOW("\0") IPV4("\6", PEER4, HOST4) TCP "text"),
    FUZZ_TEXT("\0\x19" IPV4("\x11", PEER4, HOST4) UDP "text"),
    FUZZ_TEXT(HOW("\4") IPV4("\x84", PEER4, HOST4) OURS),
    FUZZ_TEXT(HOW("\0") IPV4("\1", PEER4, HOST4) "\3\4\0\0\0\0\5\xdc" IPV4("\6", HOST4, PEER4)
                  OURS),
    FUZZ_TEXT(HOW("\0") IPV4("\1", PEER4, HOST4) "\3\4\0\0\0\0\5\xdc" SHORT4(HOST4, PEER4) OURS),
    FUZZ_TEXT(HOW("\1") IPV6("\6", HOST6, HOST6) TCP "text"),
    FUZZ_TEXT(HOW("\0") IPV6("\x3a", PEER6, HOST6) "\2\0\0\0\0\0\5\0" IPV6("\6", HOST6, PEER6)
                  OURS),
    FUZZ_TEXT(HOW("\0") IPV6("\0", PEER6, HOST6) "\x3c\0\1\4\0\0\0\0"
                                                 "\x2b\0\1\4\0\0\0\0"
                                                 "\6\0\4\0\0\0\0\0" TCP "text"),
    FUZZ_TEXT(HOW("\0") IPV6("\x3c", PEER6, HOST6) LONGEST TCP "text"),
    FUZZ_TEXT(HOW("\0") IPV6("\x2c", PEER6, HOST6) "\x11\0\0\0\0\0\0\7" UDP "text"),
    FUZZ_TEXT(HOW("\0") IPV6("\x2c", PEER6, HOST6) "\6\0\0\1\0\0\0\7" TCP "text"),
    FUZZ_TEXT(HOW("\0") IPV6("\x2c", PEER6, HOST6) "\6\0\0\x28\0\0\0\7"
                                                   "text"),
    {NULL, 0},
};
