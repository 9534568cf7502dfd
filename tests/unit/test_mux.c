/* SPDX-License-Identifier: BSD-2-Clause */
/* The mux as the kernel runs it (BPF_PROG_TEST_RUN): what goes in is a frame, what comes out is the
 * verdict that it counted. Tables of small changes to good frames; hostile.md, W1 to W8.
 *
 * Needs the privilege to load XDP programs; exits 77 where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mux.skel.h"
#include "mux_maps.h"
#include "reasons.h"
#include "wire.h"

#define EXIT_SKIP  77
#define FRAME_SIZE 2048
#define CPUS_MAX   1024

static struct mux_bpf *mux;
static int mux_fd;

static const char *verdict_name(enum mux_verdict verdict)
{
    static const char *const names[] = {
#define VERDICT_NAME(symbol, name, text) name,
        MUX_VERDICTS(VERDICT_NAME)
#undef VERDICT_NAME
    };

    return names[verdict];
}

/* ---- the host: MAC 02:00:00:00:00:01, 10.0.0.1 and fd00::1; bound are TCP port 80 on each of the
 * two addresses, UDP port 7 and SCTP port 7 on any, and protocol 253, which has no ports, on any */

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t our_ip4[4] = {10, 0, 0, 1}, peer_ip4[4] = {10, 0, 0, 2};
static const uint8_t our_ip6[16] = {0xfd, [15] = 1}, peer_ip6[16] = {0xfd, [15] = 2};

static struct mux_shared shared; /* as the switch keeps it */

static void bind_tuple(uint8_t family, uint8_t protocol, const uint8_t *address, uint16_t port)
{
    struct mux_key key = {.family = family, .protocol = protocol, .port = htons(port)};
    uint32_t one = 1;

    if (address)
        memcpy(key.address, address, family == 4 ? 4 : 16);
    shared.bound[protocol] |= (uint8_t)((address ? MUX_BOUND_EXACT : MUX_BOUND_WILDCARD)
                                        << (family == 6 ? MUX_BOUND_IPV6 : 0));
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key, &one, BPF_ANY),
                     0);
}

static void add_address(uint8_t family, const uint8_t *address)
{
    struct mux_addr key = {.family = family};
    uint32_t one = 1;

    memcpy(key.address, address, family == 4 ? 4 : 16);
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(mux->maps.mux_addresses), &key, &one, BPF_ANY),
                     0);
}

static void set_heartbeat(uint64_t ns)
{
    uint32_t zero = 0;

    shared.heartbeat_ns = ns;
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.mux_shared), &zero, &shared, BPF_ANY), 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* A socket in the map is what makes a redirect succeed; it need not be bound to a device. */
static int socket_in_map(void)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    uint32_t zero = 0;

    if (fd >= 0 && bpf_map_update_elem(bpf_map__fd(mux->maps.mux_sockets), &zero, &fd, BPF_ANY)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int set_up(void **state)
{
    struct mux_nic nic = {0};
    uint32_t zero = 0;

    (void)state;
    memcpy(nic.mac, our_mac, 6);
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(mux->maps.mux_nic), &zero, &nic, BPF_ANY), 0);
    add_address(4, our_ip4);
    add_address(6, our_ip6);
    bind_tuple(4, IP_PROTOCOL_TCP, our_ip4, 80);
    bind_tuple(6, IP_PROTOCOL_TCP, our_ip6, 80);
    bind_tuple(4, IP_PROTOCOL_UDP, NULL, 7);
    bind_tuple(6, IP_PROTOCOL_UDP, NULL, 7);
    bind_tuple(4, IP_PROTOCOL_SCTP, NULL, 7);
    bind_tuple(6, IP_PROTOCOL_SCTP, NULL, 7);
    bind_tuple(4, 253, NULL, 0);
    bind_tuple(6, 253, NULL, 0);
    shared.bound[IP_PROTOCOL_SCTP] |= MUX_BOUND_PORTS;
    shared.bound[IP_PROTOCOL_DCCP] |= MUX_BOUND_PORTS;
    return 0;
}

/* ---- running a frame */

static void read_counters(uint64_t sums[MUX_VERDICT_COUNT])
{
    static uint64_t values[CPUS_MAX];

    for (uint32_t verdict = 0; verdict < MUX_VERDICT_COUNT; verdict++) {
        memset(values, 0, sizeof(values));
        assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(mux->maps.mux_verdicts), &verdict, values),
                         0);
        sums[verdict] = 0;
        for (size_t cpu = 0; cpu < CPUS_MAX; cpu++)
            sums[verdict] += values[cpu];
    }
}

/* `linear` bytes lie in the linear part, the rest in a fragment. Returns -1 where the kernel cannot
 * do that in a test. */
static int run_split(const uint8_t *bytes, uint32_t size, uint32_t linear)
{
    uint64_t before[MUX_VERDICT_COUNT], after[MUX_VERDICT_COUNT];
    struct xdp_md context = {.data_end = linear};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = bytes, .data_size_in = size, .repeat = 1);
    int verdict = -1;

    if (linear < size) {
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
    }
    read_counters(before);
    if (bpf_prog_test_run_opts(mux_fd, &options))
        return -1;
    read_counters(after);
    for (int i = 0; i < MUX_VERDICT_COUNT; i++) {
        if (after[i] == before[i])
            continue;
        assert_int_equal(after[i], before[i] + 1);
        assert_int_equal(verdict, -1); /* counted once, under one name */
        verdict = i;
    }
    assert_true(verdict >= 0);
    assert_int_equal(options.retval, verdict == MUX_CLAIMED ? XDP_REDIRECT : XDP_PASS);
    return verdict;
}

static enum mux_verdict run(const uint8_t *bytes, uint32_t size)
{
    int verdict = run_split(bytes, size, size);

    assert_true(verdict >= 0);
    return (enum mux_verdict)verdict;
}

/* ---- good frames */

struct frame {
    uint8_t bytes[FRAME_SIZE];
    uint32_t size;
    uint32_t transport; /* offset of the transport header */
};

static void put(struct frame *frame, const void *bytes, size_t size)
{
    memcpy(frame->bytes + frame->size, bytes, size);
    frame->size += (uint32_t)size;
}

static void put_ether(struct frame *frame, uint16_t type)
{
    struct wire_ether ether = {.source = {2, 0, 0, 0, 0, 2}, .type = htons(type)};

    *frame = (struct frame){0};
    memcpy(ether.destination, our_mac, 6);
    put(frame, &ether, sizeof(ether));
}

static void put_ipv4(struct frame *frame, uint8_t protocol, uint16_t payload)
{
    struct wire_ipv4 ip = {.version_ihl = 0x45,
                           .total_length = htons((uint16_t)(20 + payload)),
                           .fragment = htons(IPV4_DONT_FRAGMENT),
                           .ttl = 64,
                           .protocol = protocol};

    memcpy(ip.source, peer_ip4, 4);
    memcpy(ip.destination, our_ip4, 4);
    put(frame, &ip, sizeof(ip));
    frame->transport = frame->size;
}

static void put_ipv6(struct frame *frame, uint8_t protocol, uint16_t payload)
{
    struct wire_ipv6 ip = {.version_class_flow = htonl(0x60000000),
                           .payload_length = htons(payload),
                           .next_header = protocol,
                           .hop_limit = 64};

    memcpy(ip.source, peer_ip6, 16);
    memcpy(ip.destination, our_ip6, 16);
    put(frame, &ip, sizeof(ip));
    frame->transport = frame->size;
}

static void put_tcp(struct frame *frame)
{
    struct wire_tcp tcp = {.source_port = htons(40000),
                           .destination_port = htons(80),
                           .data_offset = 5 << 4,
                           .flags = TCP_SYN};

    put(frame, &tcp, sizeof(tcp));
}

static void put_udp(struct frame *frame, uint16_t payload)
{
    struct wire_udp udp = {.source_port = htons(40000),
                           .destination_port = htons(7),
                           .length = htons((uint16_t)(8 + payload))};

    put(frame, &udp, sizeof(udp));
    frame->size += payload;
}

static void tcp4(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_TCP, 20);
    put_tcp(frame);
}

static void tcp6(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_TCP, 20);
    put_tcp(frame);
}

static void udp4(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_UDP, 12);
    put_udp(frame, 4);
}

static void udp6(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_UDP, 12);
    put_udp(frame, 4);
}

/* A router tells that a segment of ours, from port 80, was too big. */
static void icmp4(struct frame *frame)
{
    struct wire_icmp icmp = {.type = ICMP_DESTINATION_UNREACHABLE,
                             .code = ICMP_FRAGMENTATION_NEEDED,
                             .rest = htonl(1400)};
    struct wire_ipv4 quoted = {
        .version_ihl = 0x45, .total_length = htons(1500), .ttl = 60, .protocol = IP_PROTOCOL_TCP};
    const be16 ports[4] = {htons(80), htons(40000), 0, 0};

    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_ICMP, 8 + 20 + 8);
    put(frame, &icmp, sizeof(icmp));
    memcpy(quoted.source, our_ip4, 4);
    memcpy(quoted.destination, peer_ip4, 4);
    put(frame, &quoted, sizeof(quoted));
    put(frame, ports, sizeof(ports));
}

static void icmp6(struct frame *frame)
{
    struct wire_icmp icmp = {.type = ICMPV6_PACKET_TOO_BIG, .rest = htonl(1400)};
    struct wire_ipv6 quoted = {.version_class_flow = htonl(0x60000000),
                               .payload_length = htons(1460),
                               .next_header = IP_PROTOCOL_TCP};
    const be16 ports[4] = {htons(80), htons(40000), 0, 0};

    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_ICMPV6, 8 + 40 + 8);
    put(frame, &icmp, sizeof(icmp));
    memcpy(quoted.source, our_ip6, 16);
    memcpy(quoted.destination, peer_ip6, 16);
    put(frame, &quoted, sizeof(quoted));
    put(frame, ports, sizeof(ports));
}

static void (*const good_frames[])(struct frame *) = {tcp4, tcp6, udp4, udp6, icmp4, icmp6};
#define GOOD_FRAMES (sizeof(good_frames) / sizeof(good_frames[0]))

/* ---- the tests */

struct change {
    const char *what;
    void (*good)(struct frame *);
    uint32_t offset;
    uint8_t size;
    uint8_t bytes[16];
    enum mux_verdict verdict;
};

#define IP4 14
#define IP6 14
#define L4  34 /* transport header behind IPv4 */
#define L6  54 /* and behind IPv6 */

/* clang-format off */
static const struct change changes[] = {
    {"TCP over IPv4, as it is", tcp4, 0, 0, {0}, MUX_CLAIMED},
    {"TCP over IPv6, as it is", tcp6, 0, 0, {0}, MUX_CLAIMED},
    {"UDP to a wildcard binding", udp4, 0, 0, {0}, MUX_CLAIMED},
    {"UDP over IPv6 to a wildcard binding", udp6, 0, 0, {0}, MUX_CLAIMED},
    {"ICMP about a packet of ours", icmp4, 0, 0, {0}, MUX_CLAIMED},
    {"ICMPv6 about a packet of ours", icmp6, 0, 0, {0}, MUX_CLAIMED},

    {"another's MAC", tcp4, 5, 1, {9}, MUX_PASS_NOT_OURS},
    {"broadcast MAC", udp4, 0, 6, {255, 255, 255, 255, 255, 255}, MUX_CLAIMED},
    {"group MAC", udp6, 0, 2, {0x33, 0x33}, MUX_CLAIMED},
    {"ARP", tcp4, 12, 2, {0x08, 0x06}, MUX_PASS_OTHER},
    {"VLAN tag (W7)", tcp4, 12, 2, {0x81, 0x00}, MUX_PASS_OTHER},
    {"QinQ tag (W7)", tcp4, 12, 2, {0x88, 0xa8}, MUX_PASS_OTHER},
    {"802.3 length", tcp4, 12, 2, {0x00, 0x40}, MUX_PASS_OTHER},

    {"port not bound", tcp4, L4 + 2, 2, {0, 81}, MUX_PASS_UNCLAIMED},
    {"protocol not bound at this port", udp4, L4 + 2, 2, {0, 80}, MUX_PASS_UNCLAIMED},
    {"port not bound, IPv6", tcp6, L6 + 2, 2, {0, 81}, MUX_PASS_UNCLAIMED},
    {"exact binding, other address", tcp4, IP4 + 19, 1, {3}, MUX_PASS_UNCLAIMED},
    {"wildcard, but not an address of ours: forwarded", udp4, IP4 + 19, 1, {3}, MUX_PASS_NOT_OURS},
    {"the same, IPv6", udp6, IP6 + 39, 1, {3}, MUX_PASS_NOT_OURS},
    {"multicast to a wildcard", udp4, IP4 + 16, 4, {224, 0, 0, 251}, MUX_PASS_NOT_OURS},
    {"broadcast to a wildcard", udp4, IP4 + 16, 4, {255, 255, 255, 255}, MUX_PASS_NOT_OURS},
    {"multicast to a wildcard, IPv6", udp6, IP6 + 24, 2, {0xff, 0x02}, MUX_PASS_NOT_OURS},

    {"version 5 (W2)", tcp4, IP4, 1, {0x55}, MUX_PASS_UNPARSED},
    {"version 6 in an IPv4 frame", tcp4, IP4, 1, {0x65}, MUX_PASS_UNPARSED},
    {"header length 0 (W2)", tcp4, IP4, 1, {0x40}, MUX_PASS_UNPARSED},
    {"header length 4 (W2)", tcp4, IP4, 1, {0x44}, MUX_PASS_UNPARSED},
    {"options (W4)", tcp4, IP4, 1, {0x46}, MUX_PASS_UNPARSED},
    {"header beyond the frame (W2)", tcp4, IP4, 1, {0x4f}, MUX_PASS_UNPARSED},
    {"version 4 in an IPv6 frame", tcp6, IP6, 1, {0x40}, MUX_PASS_UNPARSED},
    {"total length 0 (W3)", tcp4, IP4 + 2, 2, {0, 0}, MUX_PASS_UNPARSED},
    {"total length below the header (W3)", tcp4, IP4 + 2, 2, {0, 19}, MUX_PASS_UNPARSED},
    {"total length beyond the frame (W3)", tcp4, IP4 + 2, 2, {0, 41}, MUX_PASS_UNPARSED},
    {"total length 65535 (W3)", tcp4, IP4 + 2, 2, {255, 255}, MUX_PASS_UNPARSED},
    {"total length cuts the TCP header (W3)", tcp4, IP4 + 2, 2, {0, 39}, MUX_PASS_UNPARSED},
    {"payload length beyond the frame (W3)", tcp6, IP6 + 4, 2, {0, 21}, MUX_PASS_UNPARSED},
    {"payload length cuts the TCP header", tcp6, IP6 + 4, 2, {0, 19}, MUX_PASS_UNPARSED},
    {"jumbogram (W6)", tcp6, IP6 + 4, 2, {0, 0}, MUX_PASS_UNPARSED},

    {"first fragment (W5)", tcp4, IP4 + 6, 2, {0x20, 0}, MUX_PASS_FRAGMENT},
    {"middle fragment (W5)", tcp4, IP4 + 6, 2, {0x20, 1}, MUX_PASS_FRAGMENT},
    {"last fragment (W5)", tcp4, IP4 + 6, 2, {0x1f, 0xff}, MUX_PASS_FRAGMENT},
    {"no flag at all", tcp4, IP4 + 6, 2, {0, 0}, MUX_CLAIMED},
    {"fragment header, IPv6 (W6)", tcp6, IP6 + 6, 1, {44}, MUX_PASS_FRAGMENT},
    {"hop-by-hop options (W6)", tcp6, IP6 + 6, 1, {0}, MUX_PASS_UNPARSED},
    {"routing header (W6)", tcp6, IP6 + 6, 1, {43}, MUX_PASS_UNPARSED},
    {"destination options (W6)", tcp6, IP6 + 6, 1, {60}, MUX_PASS_UNPARSED},
    {"no next header", tcp6, IP6 + 6, 1, {59}, MUX_PASS_OTHER},
    {"protocol that nobody has bound", tcp4, IP4 + 9, 1, {47}, MUX_PASS_OTHER},
    {"SCTP to its port", udp4, IP4 + 9, 1, {132}, MUX_CLAIMED},
    {"SCTP to its port, IPv6", udp6, IP6 + 6, 1, {132}, MUX_CLAIMED},
    {"SCTP to another port", tcp4, IP4 + 9, 1, {132}, MUX_PASS_UNCLAIMED},
    {"DCCP, that nobody has bound", udp4, IP4 + 9, 1, {33}, MUX_PASS_OTHER},
    {"a protocol without ports, bound whole", tcp4, IP4 + 9, 1, {253}, MUX_CLAIMED},
    {"the same, IPv6", tcp6, IP6 + 6, 1, {253}, MUX_CLAIMED},
    {"the same, to another's address", tcp4, IP4 + 9, 11,
     {253, 0, 0, 10, 0, 0, 2, 10, 0, 0, 9}, MUX_PASS_NOT_OURS},
    {"ICMPv6 in IPv4", tcp4, IP4 + 9, 1, {58}, MUX_PASS_OTHER},
    {"ICMP in IPv6", tcp6, IP6 + 6, 1, {1}, MUX_PASS_OTHER},

    {"source is the destination (W8)", tcp4, IP4 + 12, 4, {10, 0, 0, 1}, MUX_PASS_UNPARSED},
    {"source 127/8 (W8)", tcp4, IP4 + 12, 4, {127, 0, 0, 1}, MUX_PASS_UNPARSED},
    {"source 0.0.0.0 (W8)", tcp4, IP4 + 12, 4, {0, 0, 0, 0}, MUX_PASS_UNPARSED},
    {"source multicast (W8)", tcp4, IP4 + 12, 4, {224, 0, 0, 1}, MUX_PASS_UNPARSED},
    {"source broadcast (W8)", tcp4, IP4 + 12, 4, {255, 255, 255, 255}, MUX_PASS_UNPARSED},
    {"source unspecified, IPv6", tcp6, IP6 + 8, 16, {0}, MUX_PASS_UNPARSED},
    {"source loopback, IPv6", tcp6, IP6 + 8, 16, {[15] = 1}, MUX_PASS_UNPARSED},
    {"source IPv4-mapped", tcp6, IP6 + 8, 16, {[10] = 255, 255, 10, 0, 0, 2}, MUX_PASS_UNPARSED},
    {"source multicast, IPv6", tcp6, IP6 + 8, 1, {0xff}, MUX_PASS_UNPARSED},
    {"source is the destination, IPv6", tcp6, IP6 + 8, 16, {0xfd, [15] = 1}, MUX_PASS_UNPARSED},

    {"TCP data offset 0 (W12)", tcp4, L4 + 12, 1, {0x00}, MUX_PASS_UNPARSED},
    {"TCP data offset 4 (W12)", tcp4, L4 + 12, 1, {0x40}, MUX_PASS_UNPARSED},
    {"TCP data offset beyond the segment", tcp4, L4 + 12, 1, {0x60}, MUX_PASS_UNPARSED},
    {"TCP data offset beyond, IPv6", tcp6, L6 + 12, 1, {0xf0}, MUX_PASS_UNPARSED},
    {"UDP length 0", udp4, L4 + 4, 2, {0, 0}, MUX_PASS_UNPARSED},
    {"UDP length 7", udp4, L4 + 4, 2, {0, 7}, MUX_PASS_UNPARSED},
    {"UDP length of the header alone", udp4, L4 + 4, 2, {0, 8}, MUX_CLAIMED},
    {"UDP length beyond the packet", udp4, L4 + 4, 2, {0, 13}, MUX_PASS_UNPARSED},
    {"UDP length beyond, IPv6", udp6, L6 + 4, 2, {255, 255}, MUX_PASS_UNPARSED},

    {"ICMP time exceeded", icmp4, L4, 2, {11, 0}, MUX_CLAIMED},
    {"ICMP parameter problem", icmp4, L4, 2, {12, 0}, MUX_CLAIMED},
    {"ICMP echo request", icmp4, L4, 2, {8, 0}, MUX_PASS_OTHER},
    {"ICMP redirect", icmp4, L4, 2, {5, 0}, MUX_PASS_OTHER},
    {"ICMP about a port that is not bound", icmp4, L4 + 28, 2, {0, 81}, MUX_PASS_UNCLAIMED},
    {"ICMP about another's packet", icmp4, L4 + 20, 4, {10, 0, 0, 9}, MUX_PASS_UNPARSED},
    {"ICMP about a protocol that nobody has bound", icmp4, L4 + 17, 1, {47}, MUX_PASS_OTHER},
    {"ICMP about a protocol without ports, bound whole", icmp4, L4 + 17, 1, {253}, MUX_CLAIMED},
    {"ICMP about SCTP from another port", icmp4, L4 + 17, 1, {132}, MUX_PASS_UNCLAIMED},
    {"ICMPv6 about a protocol bound whole", icmp6, L6 + 8 + 6, 1, {253}, MUX_CLAIMED},
    {"ICMP about a packet with options", icmp4, L4 + 8, 1, {0x46}, MUX_PASS_UNPARSED},
    {"ICMP about a later fragment", icmp4, L4 + 14, 2, {0, 5}, MUX_PASS_UNPARSED},
    {"ICMP about a first fragment", icmp4, L4 + 14, 2, {0x20, 0}, MUX_CLAIMED},
    {"ICMP whose quote is padding", icmp4, IP4 + 2, 2, {0, 55}, MUX_PASS_UNPARSED},
    {"ICMPv6 unreachable", icmp6, L6, 2, {1, 4}, MUX_CLAIMED},
    {"ICMPv6 time exceeded", icmp6, L6, 2, {3, 0}, MUX_CLAIMED},
    {"ICMPv6 parameter problem", icmp6, L6, 2, {4, 0}, MUX_CLAIMED},
    {"ICMPv6 echo request", icmp6, L6, 2, {128, 0}, MUX_PASS_OTHER},
    {"neighbour solicitation", icmp6, L6, 2, {135, 0}, MUX_PASS_OTHER},
    {"ICMPv6 about a port that is not bound", icmp6, L6 + 48, 2, {0, 81}, MUX_PASS_UNCLAIMED},
    {"ICMPv6 about another's packet", icmp6, L6 + 8 + 8 + 15, 1, {9}, MUX_PASS_UNPARSED},
    {"ICMPv6 about IPv4", icmp6, L6 + 8, 1, {0x45}, MUX_PASS_UNPARSED},
};
/* clang-format on */

/* ---- extension headers (W6) */

static uint8_t *next_header_of(struct frame *frame)
{
    return frame->bytes + IP6 + 6;
}

/* Puts one in front of what is there; the frame grows by its `size` bytes. */
static void extend(struct frame *frame, uint8_t protocol, const uint8_t *bytes, uint32_t size)
{
    uint16_t payload;

    memmove(frame->bytes + L6 + size, frame->bytes + L6, frame->size - L6);
    memcpy(frame->bytes + L6, bytes, size);
    frame->bytes[L6] = *next_header_of(frame);
    *next_header_of(frame) = protocol;
    frame->size += size;
    frame->transport += size;
    payload = htons((uint16_t)(frame->size - L6));
    memcpy(frame->bytes + IP6 + 4, &payload, 2);
}

#define PADN4                                                                                      \
    {                                                                                              \
        0, 0, 1, 4, 0, 0, 0, 0                                                                     \
    }

struct extension_case {
    const char *what;
    uint32_t count; /* headers, from the packet's end to its front */
    struct {
        uint8_t protocol;
        uint8_t size;
        uint8_t bytes[16];
    } headers[2];
    enum mux_verdict verdict;
};

static const struct extension_case extensions[] = {
    {"destination options", 1, {{60, 8, PADN4}}, MUX_CLAIMED},
    {"hop-by-hop options", 1, {{0, 8, PADN4}}, MUX_CLAIMED},
    {"both", 2, {{60, 8, PADN4}, {0, 8, PADN4}}, MUX_CLAIMED},
    {"hop-by-hop options that are not the first",
     2,
     {{0, 8, PADN4}, {60, 8, PADN4}},
     MUX_PASS_UNPARSED},
    {"six times Pad1", 1, {{60, 8, {0}}}, MUX_CLAIMED},
    {"an unknown option to skip", 1, {{60, 8, {0, 0, 0x1e, 4}}}, MUX_CLAIMED},
    {"an option that must be known", 1, {{60, 8, {0, 0, 0x5e, 4}}}, MUX_PASS_UNPARSED},
    {"an option that must be answered", 1, {{60, 8, {0, 0, 0x9e, 4}}}, MUX_PASS_UNPARSED},
    {"a jumbogram", 1, {{0, 8, {0, 0, 0xc2, 4, 0, 1, 0, 0}}}, MUX_PASS_UNPARSED},
    {"an option beyond its header", 1, {{60, 8, {0, 0, 1, 5}}}, MUX_PASS_UNPARSED},
    {"a header beyond the packet", 1, {{60, 8, {0, 9, 1, 4}}}, MUX_PASS_UNPARSED},
    {"sixteen bytes", 1, {{60, 16, {0, 1, 1, 12}}}, MUX_CLAIMED},
    {"routing header, type 0 (RFC 5095)", 1, {{43, 8, {0, 0, 0, 0}}}, MUX_PASS_UNPARSED},
    {"routing header, type 0, segments left", 1, {{43, 8, {0, 0, 0, 1}}}, MUX_PASS_UNPARSED},
    {"routing header, type 4, segments left", 1, {{43, 8, {0, 0, 4, 1}}}, MUX_PASS_UNPARSED},
    {"routing header, type 4, all used", 1, {{43, 8, {0, 0, 4, 0}}}, MUX_CLAIMED},
    {"authentication header", 1, {{51, 8, {0}}}, MUX_PASS_OTHER},
    {"fragment header of a whole packet (RFC 6946)", 1, {{44, 8, {0}}}, MUX_CLAIMED},
    {"two fragment headers", 2, {{44, 8, {0}}, {44, 8, {0}}}, MUX_PASS_UNPARSED},
};

static void extension_headers_are_walked_where_they_may_be(void **state)
{
    void (*const good[])(struct frame *) = {tcp6, udp6};
    int failed = 0;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(extensions) / sizeof(extensions[0]); i++) {
        const struct extension_case *one = &extensions[i / 2];
        struct frame frame;
        enum mux_verdict verdict;

        good[i % 2](&frame);
        for (uint32_t j = 0; j < one->count; j++)
            extend(&frame, one->headers[j].protocol, one->headers[j].bytes, one->headers[j].size);
        set_heartbeat(now_ns());
        verdict = run(frame.bytes, frame.size);
        if (verdict != one->verdict) {
            print_error("%s: %s, expected %s\n", one->what, verdict_name(verdict),
                        verdict_name(one->verdict));
            failed++;
        }
        /* and nothing is read beyond a cut, whatever the header says */
        for (uint32_t size = L6; size < frame.size; size++) {
            uint16_t payload = htons((uint16_t)(size - L6));

            memcpy(frame.bytes + IP6 + 4, &payload, 2);
            assert_true(run(frame.bytes, size) != MUX_CLAIMED);
        }
    }
    assert_int_equal(failed, 0);
}

static void too_many_extension_headers_pass(void **state)
{
    static const uint8_t small[8] = PADN4, large[96] = {0, 11, 1, 92};
    struct frame frame;

    (void)state;
    set_heartbeat(now_ns());
    tcp6(&frame);
    for (int count = 1; count <= MUX_EXTENSIONS_MAX + 2; count++) {
        extend(&frame, 60, small, sizeof(small));
        assert_int_equal(run(frame.bytes, frame.size),
                         count <= MUX_EXTENSIONS_MAX ? MUX_CLAIMED : MUX_PASS_UNPARSED);
    }
    tcp6(&frame);
    extend(&frame, 60, large, sizeof(large));
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    extend(&frame, 60, large, sizeof(large)); /* 192 bytes of them */
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_UNPARSED);
}

/* ---- fragments (W5) */

/* What a table of small things is filled with until it forgets. */
static void forget_fragments(void)
{
    struct mux_fragment key;

    while (!bpf_map_get_next_key(bpf_map__fd(mux->maps.mux_fragments), NULL, &key))
        bpf_map_delete_elem(bpf_map__fd(mux->maps.mux_fragments), &key);
}

/* A fragment of a UDP datagram to port 7, of 16 bytes; `offset` in units of 8. */
static void fragment4(struct frame *frame, uint16_t id, uint16_t offset, bool more)
{
    uint16_t fields[2] = {htons(id), htons((uint16_t)(offset | (more ? 0x2000 : 0)))};

    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_UDP, 16);
    put_udp(frame, 8);
    memcpy(frame->bytes + IP4 + 4, fields, 4);
    if (!offset)
        frame->bytes[L4 + 4] = 4; /* the whole is of 1,040 bytes */
}

static void fragment6(struct frame *frame, uint16_t id, uint16_t offset, bool more)
{
    uint8_t header[8] = {0, 0, (uint8_t)(offset >> 5), (uint8_t)(offset << 3 | more),
                         0, 0, (uint8_t)(id >> 8),     (uint8_t)id};

    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_UDP, 16);
    put_udp(frame, 8);
    if (!offset)
        frame->bytes[L6 + 4] = 4;
    extend(frame, 44, header, sizeof(header));
}

static void (*const fragments[])(struct frame *, uint16_t, uint16_t, bool) = {fragment4, fragment6};

static enum mux_verdict run_fragment(size_t kind, uint16_t id, uint16_t offset, bool more)
{
    struct frame frame;

    fragments[kind](&frame, id, offset, more);
    set_heartbeat(now_ns());
    return run(frame.bytes, frame.size);
}

static void a_claimed_first_fragment_claims_the_rest(void **state)
{
    (void)state;
    forget_fragments();
    for (size_t kind = 0; kind < 2; kind++) {
        assert_int_equal(run_fragment(kind, 77, 2, true), MUX_PASS_FRAGMENT);
        assert_int_equal(run_fragment(kind, 77, 0, true), MUX_CLAIMED);
        assert_int_equal(run_fragment(kind, 77, 2, true), MUX_CLAIMED);
        assert_int_equal(run_fragment(kind, 77, 4, false), MUX_CLAIMED);
        assert_int_equal(run_fragment(kind, 78, 2, true), MUX_PASS_FRAGMENT); /* another id */
    }
}

static void later_fragments_are_known_by_addresses_and_protocol(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        const uint32_t source = kind ? IP6 + 23 : IP4 + 15;
        struct frame frame;

        forget_fragments();
        assert_int_equal(run_fragment(kind, 5, 0, true), MUX_CLAIMED);
        fragments[kind](&frame, 5, 2, false);
        frame.bytes[source] = 9;
        assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_FRAGMENT);
        fragments[kind](&frame, 5, 2, false);
        frame.bytes[source + (kind ? 16 : 4)] = 9;
        assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_FRAGMENT);
        if (kind == 0) {
            fragments[kind](&frame, 5, 2, false);
            frame.bytes[IP4 + 9] = IP_PROTOCOL_TCP;
            assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_FRAGMENT);
        }
    }
}

static void first_fragments_that_are_not_claimed_claim_nothing(void **state)
{
    (void)state;
    forget_fragments();
    for (size_t kind = 0; kind < 2; kind++) {
        const uint32_t transport = kind ? L6 + 8 : L4;
        struct frame frame;
        uint16_t length;

        fragments[kind](&frame, 6, 0, true);
        frame.bytes[transport + 3] = 81; /* a port that is not bound */
        assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_UNCLAIMED);
        assert_int_equal(run_fragment(kind, 6, 2, false), MUX_PASS_FRAGMENT);
        fragments[kind](&frame, 6, 0, true); /* no multiple of 8 */
        length = htons((uint16_t)(frame.size - (kind ? L6 : IP4) - 1));
        memcpy(frame.bytes + (kind ? IP6 + 4 : IP4 + 2), &length, 2);
        assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_FRAGMENT);
        /* tiny: the transport header is not in it */
        tcp4(&frame);
        memcpy(frame.bytes + IP4 + 2, (uint8_t[]){0, 36, 0, 6, 0x20, 0}, 6);
        assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_UNPARSED);
    }
}

static void a_first_fragment_is_forgotten_in_time(void **state)
{
    struct mux_fragment key;
    const int map = bpf_map__fd(mux->maps.mux_fragments);
    uint64_t long_ago = now_ns() - MUX_FRAGMENT_TIMEOUT_NS - 1;

    (void)state;
    forget_fragments();
    assert_int_equal(run_fragment(0, 7, 0, true), MUX_CLAIMED);
    assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
    assert_int_equal(bpf_map_update_elem(map, &key, &long_ago, BPF_EXIST), 0);
    assert_int_equal(run_fragment(0, 7, 2, false), MUX_PASS_FRAGMENT);
}

static void a_flood_of_first_fragments_fills_no_more_than_the_table(void **state)
{
    struct mux_fragment key, *last = NULL;
    uint32_t count = 0;

    (void)state;
    for (uint32_t id = 0; id < 3 * MUX_FRAGMENTS_MAX; id++)
        assert_int_equal(run_fragment(0, (uint16_t)id, 0, true), MUX_CLAIMED);
    while (!bpf_map_get_next_key(bpf_map__fd(mux->maps.mux_fragments), last, &key)) {
        last = &key;
        count++;
    }
    assert_true(count <= MUX_FRAGMENTS_MAX);
    assert_int_equal(run_fragment(0, 3 * MUX_FRAGMENTS_MAX - 1, 2, false), MUX_CLAIMED);
    forget_fragments();
}

static void each_change_of_a_good_frame_gets_its_verdict(void **state)
{
    int failed = 0;

    (void)state;
    set_heartbeat(now_ns());
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *change = &changes[i];
        struct frame frame;
        enum mux_verdict verdict;

        change->good(&frame);
        memcpy(frame.bytes + change->offset, change->bytes, change->size);
        set_heartbeat(now_ns());
        verdict = run(frame.bytes, frame.size);
        if (verdict != change->verdict) {
            print_error("%s: %s, expected %s\n", change->what, verdict_name(verdict),
                        verdict_name(change->verdict));
            failed++;
        }
    }
    assert_int_equal(failed, 0);
}

/* The kernel itself refuses test frames below an Ethernet header. */
static void a_frame_cut_anywhere_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD_FRAMES; i++) {
        struct frame frame;

        good_frames[i](&frame);
        set_heartbeat(now_ns());
        for (uint32_t size = ETHER_HEADER_SIZE; size < frame.size; size++)
            assert_int_equal(run(frame.bytes, size), MUX_PASS_UNPARSED);
        assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    }
}

/* The same with an IP header that tells the truth about the cut: now the transport header lacks. */
static void a_packet_cut_anywhere_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD_FRAMES; i++) {
        struct frame frame;

        good_frames[i](&frame);
        set_heartbeat(now_ns());
        for (uint32_t size = frame.transport; size < frame.size; size++) {
            const uint16_t v4 = htons((uint16_t)(size - IP4));
            const uint16_t v6 = htons((uint16_t)(size - L6));

            if (frame.transport == L4)
                memcpy(frame.bytes + IP4 + 2, &v4, 2);
            else
                memcpy(frame.bytes + IP6 + 4, &v6, 2);
            assert_int_equal(run(frame.bytes, size), MUX_PASS_UNPARSED);
            /* Ethernet padding does not make it whole (W3). */
            assert_int_equal(run(frame.bytes, frame.size + 8), MUX_PASS_UNPARSED);
        }
    }
}

static void padding_and_payload_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD_FRAMES; i++) {
        struct frame frame;

        good_frames[i](&frame);
        set_heartbeat(now_ns());
        assert_int_equal(run(frame.bytes, frame.size + 46), MUX_CLAIMED);
    }
}

/* Multi-buffer frames: wherever the linear part ends, the verdict is the same. */
static void headers_beyond_the_linear_part_are_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOOD_FRAMES; i++) {
        struct frame frame;

        good_frames[i](&frame);
        set_heartbeat(now_ns());
        for (uint32_t linear = ETHER_HEADER_SIZE; linear < frame.size; linear++) {
            int verdict = run_split(frame.bytes, frame.size, linear);

            if (verdict < 0) {
                print_message("this kernel cannot split test frames (Linux 6.18)\n");
                skip();
            }
            assert_int_equal(verdict, MUX_CLAIMED);
        }
        /* And a frame that is cut in its fragment is cut. */
        assert_int_equal(run_split(frame.bytes, frame.size - 1, ETHER_HEADER_SIZE),
                         MUX_PASS_UNPARSED);
    }
}

static void any_byte_may_be_wrong(void **state)
{
    unsigned seed = 20261121;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct frame frame;

        good_frames[(unsigned)rand_r(&seed) % GOOD_FRAMES](&frame);
        for (int i = 0; i < 4; i++)
            frame.bytes[(unsigned)rand_r(&seed) % frame.size] = (uint8_t)rand_r(&seed);
        run(frame.bytes,
            ETHER_HEADER_SIZE + (unsigned)rand_r(&seed) % (frame.size - ETHER_HEADER_SIZE + 1));
    }
}

static void claimed_frames_pass_while_the_switch_is_away_or_hangs(void **state)
{
    struct frame frame;

    (void)state;
    tcp4(&frame);
    set_heartbeat(0);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    set_heartbeat(now_ns() - MUX_HEARTBEAT_TIMEOUT_NS - 1);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    set_heartbeat(now_ns() + 1000000000);
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    set_heartbeat(now_ns());
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
}

static void claimed_frames_pass_on_a_queue_without_a_socket(void **state)
{
    struct frame frame;
    uint32_t zero = 0;
    int fd;

    (void)state;
    tcp4(&frame);
    set_heartbeat(now_ns());
    bpf_map_delete_elem(bpf_map__fd(mux->maps.mux_sockets), &zero);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    fd = socket_in_map();
    set_heartbeat(now_ns());
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
    close(fd); /* the map forgets a socket that closes; the next test has its own */
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    assert_true(socket_in_map() >= 0);
}

static void an_address_that_goes_away_is_not_claimed(void **state)
{
    struct mux_addr key = {.family = 4};
    struct frame frame;

    (void)state;
    tcp4(&frame);
    memcpy(key.address, our_ip4, 4);
    set_heartbeat(now_ns());
    bpf_map_delete_elem(bpf_map__fd(mux->maps.mux_addresses), &key);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NOT_OURS);
    add_address(4, our_ip4);
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_of_a_good_frame_gets_its_verdict),
        cmocka_unit_test(a_frame_cut_anywhere_passes),
        cmocka_unit_test(a_packet_cut_anywhere_passes),
        cmocka_unit_test(padding_and_payload_do_not_matter),
        cmocka_unit_test(headers_beyond_the_linear_part_are_found),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(claimed_frames_pass_while_the_switch_is_away_or_hangs),
        cmocka_unit_test(claimed_frames_pass_on_a_queue_without_a_socket),
        cmocka_unit_test(an_address_that_goes_away_is_not_claimed),
        cmocka_unit_test(extension_headers_are_walked_where_they_may_be),
        cmocka_unit_test(too_many_extension_headers_pass),
        cmocka_unit_test(a_claimed_first_fragment_claims_the_rest),
        cmocka_unit_test(later_fragments_are_known_by_addresses_and_protocol),
        cmocka_unit_test(first_fragments_that_are_not_claimed_claim_nothing),
        cmocka_unit_test(a_first_fragment_is_forgotten_in_time),
        cmocka_unit_test(a_flood_of_first_fragments_fills_no_more_than_the_table),
    };
    int status;

    libbpf_set_print(NULL);
    mux = mux_bpf__open_and_load();
    if (!mux || socket_in_map() < 0) {
        fprintf(stderr, "test_mux: the mux cannot be loaded here: %s\n", strerror(errno));
        if (geteuid() != 0 || errno == EPERM || errno == EAFNOSUPPORT)
            return EXIT_SKIP;
        return EXIT_FAILURE;
    }
    mux_fd = bpf_program__fd(mux->progs.multistack_mux);
    status = cmocka_run_group_tests(tests, set_up, NULL);
    mux_bpf__destroy(mux);
    return status;
}
