/* SPDX-License-Identifier: BSD-2-Clause */
/* mux_bench.h */
#include "mux_bench.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define EXIT_SKIP  77
#define FRAME_SIZE 2048
#define CPUS_MAX   1024

struct mux_bpf *mux;
static int mux_fd;

const char *verdict_name(enum mux_verdict verdict)
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

const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t our_ip4[4] = {10, 0, 0, 1}, peer_ip4[4] = {10, 0, 0, 2};
const uint8_t our_ip6[16] = {0xfd, [15] = 1}, peer_ip6[16] = {0xfd, [15] = 2};

static struct mux_shared shared; /* as the switch keeps it */

void bind_tuple(uint8_t family, uint8_t protocol, const uint8_t *address, uint16_t port)
{
    struct mux_key key = {.family = family, .protocol = protocol, .port = htons(port)};
    uint32_t no_rules = 0;

    if (address)
        memcpy(key.address, address, family == 4 ? 4 : 16);
    shared.bound[protocol] |= (uint8_t)((address ? MUX_BOUND_EXACT : MUX_BOUND_WILDCARD)
                                        << (family == 6 ? MUX_BOUND_IPV6 : 0));
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key, &no_rules, BPF_ANY), 0);
}

void bind_range(uint8_t family, uint8_t protocol, const uint8_t *address, uint16_t first,
                uint32_t port_count)
{
    struct mux_key key = {.family =
                              (uint8_t)(family | __builtin_ctz(port_count) << MUX_RANGE_SHIFT),
                          .protocol = protocol,
                          .port = htons(first)};
    uint32_t no_rules = 0;

    if (address)
        memcpy(key.address, address, family == 4 ? 4 : 16);
    shared.bound[protocol] |= family == 6 ? MUX_BOUND_RANGE << MUX_BOUND_IPV6 : MUX_BOUND_RANGE;
    shared.range_sizes |= port_count;
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.mux_bindings), &key, &no_rules, BPF_ANY), 0);
}

void add_address(uint8_t family, const uint8_t *address)
{
    struct mux_addr key = {.family = family};
    uint32_t one = 1;

    memcpy(key.address, address, family == 4 ? 4 : 16);
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(mux->maps.mux_addresses), &key, &one, BPF_ANY),
                     0);
}

void set_heartbeat(uint64_t ns)
{
    uint32_t zero = 0;

    shared.heartbeat_ns = ns;
    assert_int_equal(
        bpf_map_update_elem(bpf_map__fd(mux->maps.mux_shared), &zero, &shared, BPF_ANY), 0);
}

void keep_switch_alive(void)
{
    set_heartbeat(now_ns() + 3600 * 1000000000ULL);
}

void set_guard(uint32_t flags)
{
    shared.guard = flags;
    set_heartbeat(shared.heartbeat_ns);
}

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* A socket in the map is what makes a redirect succeed; it need not be bound to a device. */
int socket_in_map(void)
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
    struct mux_nic nic = {.way = MUX_WAY_NATIVE};
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
    keep_switch_alive();
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
int run_split(const uint8_t *bytes, uint32_t size, uint32_t linear)
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
    if (verdict >= MUX_GUARD_FIRST)
        assert_int_equal(options.retval, verdict == MUX_GUARD_COOKIE ? XDP_TX : XDP_DROP);
    else
        assert_int_equal(options.retval, verdict == MUX_CLAIMED ? XDP_REDIRECT : XDP_PASS);
    return verdict;
}

enum mux_verdict run(const uint8_t *bytes, uint32_t size)
{
    int verdict = run_split(bytes, size, size);

    assert_true(verdict >= 0);
    return (enum mux_verdict)verdict;
}

/* ---- good frames */

static void put(struct frame *frame, const void *bytes, size_t size)
{
    memcpy(frame->bytes + frame->size, bytes, size);
    frame->size += (uint32_t)size;
}

void put_ether(struct frame *frame, uint16_t type)
{
    struct wire_ether ether = {.source = {2, 0, 0, 0, 0, 2}, .type = htons(type)};

    *frame = (struct frame){0};
    memcpy(ether.destination, our_mac, 6);
    put(frame, &ether, sizeof(ether));
}

void put_ipv4(struct frame *frame, uint8_t protocol, uint16_t payload)
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

void put_ipv6(struct frame *frame, uint8_t protocol, uint16_t payload)
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

void put_udp(struct frame *frame, uint16_t payload)
{
    struct wire_udp udp = {.source_port = htons(40000),
                           .destination_port = htons(7),
                           .length = htons((uint16_t)(8 + payload))};

    put(frame, &udp, sizeof(udp));
    frame->size += payload;
}

void tcp4(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_TCP, 20);
    put_tcp(frame);
}

void tcp6(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_TCP, 20);
    put_tcp(frame);
}

void udp4(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV4);
    put_ipv4(frame, IP_PROTOCOL_UDP, 12);
    put_udp(frame, 4);
}

void udp6(struct frame *frame)
{
    put_ether(frame, ETHER_TYPE_IPV6);
    put_ipv6(frame, IP_PROTOCOL_UDP, 12);
    put_udp(frame, 4);
}

/* A router tells that a segment of ours, from port 80, was too big. */
void icmp4(struct frame *frame)
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

void icmp6(struct frame *frame)
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

void (*const good_frames[GOOD_FRAMES])(struct frame *) = {tcp4, tcp6, udp4, udp6, icmp4, icmp6};

int mux_bench_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
    int status;

    libbpf_set_print(NULL);
    mux = mux_bpf__open_and_load();
    if (!mux || socket_in_map() < 0) {
        fprintf(stderr, "%s: the mux cannot be loaded here: %s\n", name, strerror(errno));
        if (geteuid() != 0 || errno == EPERM || errno == EAFNOSUPPORT)
            return EXIT_SKIP;
        return EXIT_FAILURE;
    }
    mux_fd = bpf_program__fd(mux->progs.multistack_mux);
    status = _cmocka_run_group_tests(name, tests, count, set_up, NULL);
    mux_bpf__destroy(mux);
    return status;
}
