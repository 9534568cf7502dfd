/* SPDX-License-Identifier: BSD-2-Clause */
/* What the program at the NIC answers in a stack's place (bpf/guard_cookie.h), compiled once more,
 * for this process: the kernel's helpers are functions here, which check what the kernel's check.
 *
 * An input is terms of cookies and a frame, to addresses and a port of ours unless the input
 * forbids it, whose lengths and checksums are made right where it says so. A frame that is left
 * to the stack is as it was. An answer is what UTCP itself makes of the SYN, byte by byte, and
 * a UTCP that has seen no SYN takes the client's ACK for the same connection. What is dropped
 * as damaged, UTCP drops as well. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checksum.h"
#include "utcp.h"
#include "wire.h"

/* ---- the kernel's part */

#define ROOM 2048

static uint8_t *frame_bytes; /* ROOM of them, where a pointer has 32 bits */
static uint32_t tail_room;   /* how much longer the frame may become */
static uint64_t clock_ns;
static void *own_memory; /* the map's only element */

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
    (void)map;
    (void)key;
    return own_memory;
}

static uint64_t bpf_xdp_get_buff_len(const struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data;
}

static uint8_t *part_of(const struct xdp_md *ctx, uint32_t offset, uint32_t size)
{
    uint64_t length = bpf_xdp_get_buff_len(ctx);

    return offset > length || size > length - offset ? NULL : frame_bytes + offset;
}

static long bpf_xdp_load_bytes(const struct xdp_md *ctx, uint32_t offset, void *to, uint32_t size)
{
    const uint8_t *from = part_of(ctx, offset, size);

    if (!from)
        return -EINVAL;
    memcpy(to, from, size);
    return 0;
}

static long bpf_xdp_store_bytes(const struct xdp_md *ctx, uint32_t offset, const void *from,
                                uint32_t size)
{
    uint8_t *to = part_of(ctx, offset, size);

    if (!to)
        return -EINVAL;
    memcpy(to, from, size);
    return 0;
}

static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
    int64_t length = (int64_t)bpf_xdp_get_buff_len(ctx) + delta;

    if (length < ETH_HLEN || delta > (int64_t)tail_room)
        return -EINVAL;
    if (delta > 0)
        memset(frame_bytes + length - delta, 0, (uint32_t)delta);
    ctx->data_end = ctx->data + (uint32_t)length;
    return 0;
}

static long bpf_loop(uint32_t count, long (*step)(__u64, void *), void *context, uint64_t flags)
{
    (void)flags;
    for (uint32_t i = 0; i < count; i++) {
        if (step(i, context))
            return i + 1;
    }
    return count;
}

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* they are clang's */
#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __noinline
#define bpf_htons          htons
#define bpf_htonl          htonl
#define bpf_ntohs          ntohs
#define bpf_ntohl          ntohl
#define IPV4_FRAGMENT_BITS 0x3fff /* as in classify.h */
#define AT_IP              ETH_HLEN
#define AT_IPV4            (AT_IP + sizeof(struct iphdr))
#define AT_IPV6            (AT_IP + sizeof(struct ipv6hdr))

#include "guard_cookie.h"

#include "cookie_server.h"

/* ---- UTCP's part */

static struct cookie_server servers[2]; /* who sees the SYN; who does not */
static struct guard_cookie terms;

static uint64_t now_us(void)
{
    return clock_ns / 1000;
}

static void open_server(struct cookie_server *server, uint32_t flags, const uint8_t *options)
{
    struct utcp_config config = {
        .size = sizeof(config), .mtu = 1500, .flags = flags, .secret = {1, 2, 3, 4, 5, 6, 7, 8}};
    struct utcp_endpoint local = {.family = options[0] & 1 ? 6 : 4, .port = 80};

    server->stack = utcp_new(&config, now_us());
    assert(server->stack);
    assert(!utcp_listen(server->stack, &local, 16, NULL, &server->listener));
    utcp_listener_set_option(server->listener, UTCP_OPTION_HOP_LIMIT, options[1]);
    utcp_listener_set_option(server->listener, UTCP_OPTION_DSCP, options[2] % 64);
    if (options[3])
        utcp_listener_set_option(server->listener, UTCP_OPTION_MAX_SEGMENT, 500 + options[3]);
    if (options[4])
        utcp_listener_set_option(server->listener, UTCP_OPTION_RECEIVE_BUFFER,
                                 512u * options[4] * options[4]);
}

/* ---- frames */

static const uint8_t hosts[2][16] = {{10, 0, 0, 1}, {0xfd, [15] = 1}};
static const uint8_t peers[2][16] = {{10, 0, 0, 2}, {0xfd, 9, [15] = 2}};

struct frame {
    uint8_t bytes[ROOM];
    uint32_t size;
};

static uint32_t ip_size(bool six)
{
    return six ? sizeof(struct wire_ipv6) : sizeof(struct wire_ipv4);
}

static struct wire_tcp *tcp_of(struct frame *frame, bool six)
{
    return (struct wire_tcp *)(frame->bytes + ETHER_HEADER_SIZE + ip_size(six));
}

/* The sum of the segment and its pseudo-header. */
static uint64_t sum_of(struct frame *frame, bool six, bool pseudo)
{
    uint32_t length = frame->size - ETHER_HEADER_SIZE - ip_size(six);
    uint8_t *addresses = frame->bytes + ETHER_HEADER_SIZE + (six ? 8 : 12);
    uint64_t sum = checksum_pseudo_header(addresses, addresses + (six ? 16 : 4), six ? 16 : 4,
                                          IP_PROTOCOL_TCP, length);

    return pseudo ? sum : checksum_add(sum, tcp_of(frame, six), length);
}

static void seal(struct frame *frame, bool six, bool partial)
{
    struct wire_tcp *tcp = tcp_of(frame, six);

    tcp->checksum = 0;
    tcp->checksum = partial ? checksum_fold(sum_of(frame, six, true))
                            : checksum_finish(sum_of(frame, six, false));
}

#define KEEP_IP     0x02 /* lengths, fragments and protocol stay as they are */
#define KEEP_TCP    0x04 /* so does the TCP checksum */
#define PARTIAL     0x08 /* the checksum is what a peer on this machine leaves */
#define GENERIC_WAY 0x10
#define PADDED      0x20
#define KEEP_SUM    0x40 /* and that of IPv4 */

/* To us, from the peer: what has been claimed when the program is asked (classify.h). */
static void repair(struct frame *frame, bool six, uint8_t how)
{
    uint8_t *ip = frame->bytes + ETHER_HEADER_SIZE;
    struct wire_ipv4 *header = (struct wire_ipv4 *)ip;
    uint32_t length = frame->size - ETHER_HEADER_SIZE;

    memcpy(ip + (six ? 8 : 12), peers[six], six ? 16 : 4);
    memcpy(ip + (six ? 24 : 16), hosts[six], six ? 16 : 4);
    tcp_of(frame, six)->destination_port = htons(80);
    ip[0] = (uint8_t)((six ? 0x60 : 0x40) | (ip[0] & 0xf));
    if (six && !(how & KEEP_IP)) {
        ((struct wire_ipv6 *)ip)->payload_length = htons((uint16_t)(length - IPV6_HEADER_SIZE));
        ((struct wire_ipv6 *)ip)->next_header = IP_PROTOCOL_TCP;
    } else if (!six && !(how & KEEP_IP)) {
        header->version_ihl = 0x45;
        header->total_length = htons((uint16_t)length);
        header->fragment &= htons(IPV4_DONT_FRAGMENT);
        header->protocol = IP_PROTOCOL_TCP;
    }
    if (!six && !(how & KEEP_SUM)) {
        header->checksum = 0;
        header->checksum = checksum_ipv4_make(header);
    }
    if (!(how & KEEP_TCP))
        seal(frame, six, how & PARTIAL);
    if (how & PADDED && frame->size < ETHER_MIN_SIZE)
        frame->size = ETHER_MIN_SIZE;
}

/* The client's ACK of the SYN-ACK in the frame. */
static void acknowledge(struct frame *frame, bool six)
{
    struct wire_tcp *tcp = tcp_of(frame, six), answer = *tcp;
    uint8_t *ip = frame->bytes + ETHER_HEADER_SIZE, *options = (uint8_t *)(tcp + 1);
    bool timestamps = answer.data_offset >> 4 > 6; /* they are at 6 then: guard_put_options() */
    uint8_t echo[12] = {1, 1, 8, 10, 0, 0, 0, 99};
    uint32_t segment = sizeof(*tcp) + (timestamps ? sizeof(echo) : 0);

    memcpy(echo + 8, options + 8, 4);
    memcpy(options, echo, segment - sizeof(*tcp));
    *tcp = (struct wire_tcp){.source_port = answer.destination_port,
                             .destination_port = answer.source_port,
                             .sequence = answer.acknowledgment,
                             .acknowledgment = htonl(ntohl(answer.sequence) + 1),
                             .data_offset = (uint8_t)(segment / 4 << 4),
                             .window = htons(1000),
                             .flags = TCP_ACK};
    frame->size = ETHER_HEADER_SIZE + ip_size(six) + segment;
    if (!six)
        ((struct wire_ipv4 *)ip)->ttl = 64;
    repair(frame, six, 0);
}

static int answer(struct frame *frame, bool six, uint32_t way)
{
    struct xdp_md ctx = {.data = (uint32_t)(uintptr_t)frame_bytes};
    int done;

    memcpy(frame_bytes, frame->bytes, frame->size);
    ctx.data_end = ctx.data + frame->size;
    done = guard_answer(&ctx, &terms, six ? 6 : 4, way, clock_ns);
    frame->size = ctx.data_end - ctx.data;
    memcpy(frame->bytes, frame_bytes, frame->size);
    return done;
}

/* Bytes of the packet, as it says itself. */
static uint32_t length_of(const struct frame *frame, bool six)
{
    const uint8_t *ip = frame->bytes + ETHER_HEADER_SIZE;

    return six ? IPV6_HEADER_SIZE + ntohs(((const struct wire_ipv6 *)ip)->payload_length)
               : ntohs(((const struct wire_ipv4 *)ip)->total_length);
}

/* A segment with data, of whose checksum the program knows nothing. */
static bool damage_unseen(struct frame *syn, bool six)
{
    const struct wire_tcp *tcp = tcp_of(syn, six);

    syn->size = ETHER_HEADER_SIZE + length_of(syn, six);
    return length_of(syn, six) > ip_size(six) + (tcp->data_offset >> 4) * 4u &&
           checksum_fold(sum_of(syn, six, false)) != 0xffff &&
           tcp->checksum != checksum_fold(sum_of(syn, six, true));
}

/* What was agreed on, and what follows from it. */
static bool is_same(const struct utcp_info *a, const struct utcp_info *b)
{
    return a->state == b->state && a->mss == b->mss && a->send_window == b->send_window &&
           a->receive_window == b->receive_window && a->send_scale == b->send_scale &&
           a->receive_scale == b->receive_scale && a->timestamps == b->timestamps &&
           a->window_scale == b->window_scale && a->ecn == b->ecn && a->sack == b->sack &&
           a->cwnd == b->cwnd && a->rto_us == b->rto_us && a->receive_mss == b->receive_mss &&
           a->receive_buffer == b->receive_buffer;
}

static void expect_connection(struct frame *frame, bool six)
{
    struct utcp_info infos[2] = {{.size = sizeof(infos[0])}, {.size = sizeof(infos[1])}};

    acknowledge(frame, six);
    for (uint32_t i = 0; i < 2; i++) {
        struct utcp_conn *conn;

        cookie_server_give(&servers[i], now_us(), frame->bytes + ETHER_HEADER_SIZE,
                           frame->size - ETHER_HEADER_SIZE);
        conn = utcp_accept(servers[i].listener, now_us());
        assert(conn);
        utcp_info(conn, &infos[i]);
    }
    assert(is_same(&infos[0], &infos[1]));
}

static void expect_same(struct frame *syn, struct frame *out, bool six, uint8_t how)
{
    struct cookie_server *server = &servers[0];

    assert(!(syn->bytes[0] & 1) && !(syn->bytes[6] & 1)); /* stations, both */
    cookie_server_give(server, now_us(), syn->bytes + ETHER_HEADER_SIZE,
                       syn->size - ETHER_HEADER_SIZE);
    if (!server->packets) {
        bool unseen = damage_unseen(syn, six);

        assert(unseen);
        return;
    }
    if (how & GENERIC_WAY && tcp_of(out, six)->checksum == checksum_fold(sum_of(out, six, true)))
        seal(out, six, false); /* the kernel completes it */
    assert(server->packets == 1 && out->size == ETHER_HEADER_SIZE + server->out_size);
    assert(!memcmp(out->bytes, syn->bytes + 6, 6) && !memcmp(out->bytes + 6, syn->bytes, 6));
    assert(!memcmp(out->bytes + ETHER_HEADER_SIZE, server->out, server->out_size));
    expect_connection(out, six);
}

/* ---- inputs: how it is made right, flags of the stack, five options of the listener, room
 * behind the frame */

#define HEAD 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool six;
    struct frame syn, out;
    int done;

    if (!data || !size)
        return 0;
    six = data[0] & 1;
    if (size < HEAD + ETHER_HEADER_SIZE + ip_size(six) + sizeof(struct wire_tcp) ||
        size - HEAD > ROOM / 2)
        return 0;
    if (!frame_bytes) {
        frame_bytes = mmap(NULL, ROOM, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        own_memory = calloc(1, sizeof(struct guard_syn));
        assert(frame_bytes != MAP_FAILED && own_memory);
        clock_ns = 1000000000000;
    }
    clock_ns += 1234567890;
    memset(&syn, 0, sizeof(syn));
    syn.size = (uint32_t)size - HEAD;
    memcpy(syn.bytes, data + HEAD, syn.size);
    repair(&syn, six, data[0]);
    if (length_of(&syn, six) > syn.size - ETHER_HEADER_SIZE)
        return 0; /* nor has that been claimed */
    tail_room = data[7] & 1 ? data[7] : 128;
    for (uint32_t i = 0; i < 2; i++)
        open_server(&servers[i],
                    UTCP_ALWAYS_SYN_COOKIES |
                        UTCP_NO_ACCURATE_ECN | /* the guard knows RFC 3168's alone */
                        (data[1] & 1 ? UTCP_NO_TIMESTAMPS : 0) | (data[1] & 2 ? UTCP_NO_SACK : 0) |
                        (data[1] & 4 ? UTCP_NO_WINDOW_SCALE : 0) | (data[1] & 8 ? UTCP_NO_ECN : 0),
                    (const uint8_t[]){six, data[2], data[3], data[4], data[5]});
    terms = cookie_server_terms(&servers[1]);
    utcp_listener_cookies_elsewhere(servers[1].listener, now_us(), true);
    out = syn;
    done = answer(&out, six, data[0] & GENERIC_WAY ? GUARD_WAY_GENERIC : 0);
    if (done == GUARD_ANSWER_NONE) {
        assert(out.size == syn.size && !memcmp(out.bytes, syn.bytes, syn.size));
    } else if (done == GUARD_ANSWER_SENT) {
        expect_same(&syn, &out, six, data[0]);
    } else {
        assert(done == GUARD_ANSWER_DAMAGED);
        cookie_server_give(&servers[0], now_us(), syn.bytes + ETHER_HEADER_SIZE,
                           syn.size - ETHER_HEADER_SIZE);
        assert(!servers[0].packets);
    }
    utcp_free(servers[0].stack);
    utcp_free(servers[1].stack);
    return 0;
}

#define HOW(how, flags) how flags "\0\0\0\0\0\0"
#define ETHER(type)     "\2\0\0\0\0\1\2\0\0\0\0\2" type
#define IPV4            ETHER("\x08\0") "\x45\x28\0\0\x1e\x61\x40\0\x11\6\0\0\0\0\0\0\0\0\0\0"
#define IPV6                                                                                       \
    ETHER("\x86\xdd")                                                                              \
    "\x62\x81\0\0\0\0\6\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define TCP(offset, flags) "\x9c\x40\0\0\0\0\3\xe8\0\0\0\0" offset flags "\xfa\xf0\0\0\0\0"
#define LINUX              "\2\4\5\xb4\4\2\x08\x0a\1\2\3\4\0\0\0\0\1\3\3\7"
#define WINDOWS            "\2\4\5\xb4\1\3\3\x08\1\1\4\2"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(HOW("\0", "\0") IPV4 TCP("\xa0", "\2") LINUX),
    FUZZ_TEXT(HOW("\1", "\0") IPV6 TCP("\xa0", "\xc2") LINUX),
    FUZZ_TEXT(HOW("\x20", "\0") IPV4 TCP("\x80", "\2") WINDOWS),
    FUZZ_TEXT(HOW("\x18", "\0") IPV4 TCP("\xa0", "\2") LINUX),
    FUZZ_TEXT(HOW("\x19", "\2") IPV6 TCP("\xa0", "\2") LINUX "data"),
    FUZZ_TEXT(HOW("\4", "\1") IPV4 TCP("\x50", "\2")),
    FUZZ_TEXT(HOW("\0", "\0") IPV4 TCP("\x90", "\2") "\2\4\5\xb4\2\4\1\1\3\3\7\3\3\4\1\1"),
    FUZZ_TEXT(HOW("\x08", "\4") IPV4 TCP("\xa0", "\2") LINUX),
    FUZZ_TEXT(HOW("\x42", "\0") IPV4 TCP("\xa0", "\2") LINUX),
    FUZZ_TEXT(HOW("\2", "\0") ETHER("\x08\0") "\x45\0\0\x30\0\0\0\0\x40\6\0\0\0\0\0\0\0\0\0\0" TCP(
        "\xa0", "\2") LINUX),
    FUZZ_TEXT(HOW("\2", "\0") ETHER("\x08\0") "\x46\0\0\x40\0\0\0\0\x40\6\0\0\0\0\0\0\0\0\0\0" TCP(
        "\xa0", "\2") LINUX "data"),
    {NULL, 0},
};
