/* SPDX-License-Identifier: BSD-2-Clause */
/* What a frame costs at the NIC: the mux, and the guard with rules of each kind, as the kernel runs them
 * (BPF_PROG_TEST_RUN), without a driver around them. As root; prints a line for each case, in
 * nanoseconds: the best of RUNS runs of REPEAT frames, since whatever disturbs makes it longer. A SYN that
 * is answered is another frame then, so these are run one by one; what the clock costs is taken off, by what
 * "claimed" costs in both ways. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "checksum.h"
#include "guard_cookie_maps.h"
#include "guard_maps.h"
#include "mux.skel.h"
#include "mux_maps.h"
#include "wire.h"

#define RUNS     7
#define REPEAT   300000
#define SINGLES  100000
#define PREFIXES 1000
#define POLICY   (GUARD_POLICIES_MAX | 1) /* id: the first slot */
#define LONG_NS  (1000ULL * 1000000000)

/* A SYN from 10.0.0.2 to 10.0.0.1, port 80, which is bound. */
static uint8_t frame[74] = {2, 0,  0,    0,    0, 1,  2,  0, 0, 0, 0,  2, 8, 0, 0x45, 0,
                            0, 40, 0,    0,    0, 0,  64, 6, 0, 0, 10, 0, 0, 2, 10,   0,
                            0, 1,  0x9c, 0x40, 0, 80, 0,  0, 0, 0, 0,  0, 0, 0, 0x50, 2};
#define PORT_LOW 37
#define AT_IP    14
#define AT_TCP   34

static uint32_t size = 60;
static struct mux_bpf *mux;

static int set(const struct bpf_map *map, const void *key, const void *value)
{
    int status = bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY);

    if (status)
        fprintf(stderr, "mux_cost: %s: %s\n", bpf_map__name(map), strerror(-status));
    return status;
}

/* The switch is alive, for long enough. */
static int beat(void)
{
    struct mux_shared shared = {.bound[IPPROTO_TCP] = MUX_BOUND_EXACT};
    struct timespec now;
    uint32_t zero = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    shared.heartbeat_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + LONG_NS;
    return set(mux->maps.mux_shared, &zero, &shared);
}

static int bind_to(uint32_t policy)
{
    struct mux_key key = {
        .family = 4, .protocol = IPPROTO_TCP, .port = htons(80), .address = {10, 0, 0, 1}};

    return set(mux->maps.mux_bindings, &key, &policy);
}

static int set_up(void)
{
    struct mux_nic nic = {.mac = {2, 0, 0, 0, 0, 1}, .way = MUX_WAY_NATIVE};
    struct mux_addr address = {.family = 4, .address = {10, 0, 0, 1}};
    uint32_t zero = 0, one = 1;
    int xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

    return xsk < 0 || set(mux->maps.mux_nic, &zero, &nic) || bind_to(0) || beat() ||
           set(mux->maps.mux_addresses, &address, &one) || set(mux->maps.mux_sockets, &zero, &xsk);
}

/* The one source, or others. */
static int block(bool own)
{
    struct guard_prefix key = {
        .length = GUARD_PREFIX_HEAD + 32, .policy = POLICY, .family = 4, .address = {10, 0, 0, 2}};
    struct guard_entry entry = {.block_until_ns = GUARD_FOR_EVER, .length = 32};

    for (uint32_t i = 0; i < (own ? 1 : PREFIXES); i++) {
        if (!own)
            memcpy(key.address + 1, (uint8_t[3]){(uint8_t)(i >> 4), (uint8_t)(i * 37), (uint8_t)i},
                   3);
        if (set(mux->maps.guard_prefixes, &key, &entry))
            return -1;
    }
    return 0;
}

static int rule(uint32_t flags, enum guard_limit_kind kind, uint64_t interval_ns)
{
    struct guard_policy policy = {.id = POLICY, .flags = flags, .strict_until_ns = GUARD_FOR_EVER};
    uint32_t slot = guard_slot(POLICY);

    if (interval_ns)
        policy.limits[kind][0] =
            (struct guard_limit){interval_ns, interval_ns == 1 ? LONG_NS : 0, GUARD_FOR_EVER};
    return set(mux->maps.guard_policies, &slot, &policy) || bind_to(POLICY);
}

/* `action`: what the frame must come to. */
static int measure(const char *what, uint32_t action)
{
    uint32_t best = UINT32_MAX;

    for (int i = 0; i < RUNS; i++) {
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = size,
                    .repeat = REPEAT);

        if (bpf_prog_test_run_opts(bpf_program__fd(mux->progs.multistack_mux), &options) ||
            options.retval != action) {
            fprintf(stderr, "mux_cost: %s: action %u\n", what, options.retval);
            return -1;
        }
        if (options.duration < best)
            best = options.duration;
    }
    printf("%-34s %4u ns\n", what, best);
    return 0;
}

/* Of SINGLES the fastest; 0: it came to something else. */
static uint32_t fastest_single(uint32_t action)
{
    uint32_t best = UINT32_MAX;

    for (int i = 0; i < SINGLES; i++) {
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = size,
                    .repeat = 1);

        if (bpf_prog_test_run_opts(bpf_program__fd(mux->progs.multistack_mux), &options) ||
            options.retval != action)
            return 0;
        if (options.duration < best)
            best = options.duration;
    }
    return best;
}

/* The frame as Linux sends it, with all of its options. */
static void put_options(void)
{
    static const uint8_t options[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, [16] = 1, 3, 3, 7};
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(frame + AT_IP);
    struct wire_tcp *tcp = (struct wire_tcp *)(frame + AT_TCP);
    const uint16_t segment = sizeof(*tcp) + sizeof(options);

    size = AT_TCP + segment;
    memcpy(tcp + 1, options, sizeof(options));
    ip->total_length = htons((uint16_t)(sizeof(*ip) + segment));
    ip->checksum = 0;
    ip->checksum = checksum_ipv4_make(ip);
    tcp->data_offset = (uint8_t)(segment / 4 << 4);
    tcp->checksum = 0;
    tcp->checksum = checksum_finish(checksum_add(
        checksum_pseudo_header(ip->source, ip->destination, 4, IP_PROTOCOL_TCP, segment), tcp,
        segment));
}

static int answer(uint64_t left_ns)
{
    const struct guard_cookie terms = {.key = {1, 2},
                                       .left_ns = left_ns,
                                       .mss = 1460,
                                       .window = 65535,
                                       .window_scale = 7,
                                       .hop_limit = 64,
                                       .options = 0xf};
    uint32_t slot = guard_slot(POLICY);

    return set(mux->maps.guard_cookies, &slot, &terms) || rule(GUARD_HAS_COOKIES, 0, 0);
}

static int measure_answer(void)
{
    uint32_t claimed, answered;

    put_options();
    if (answer(1) || measure("left to the stack, of the answered", XDP_REDIRECT) || bind_to(0))
        return -1;
    claimed = fastest_single(XDP_REDIRECT);
    answered = answer(0) ? 0 : fastest_single(XDP_TX);
    if (!claimed || !answered)
        return -1;
    printf("%-34s %4d ns more than claimed, no rules\n", "answered", (int)(answered - claimed));
    return 0;
}

static int measure_all(void)
{
    int failed = 0;

    frame[PORT_LOW] = 81;
    failed |= measure("the host's, passed", XDP_PASS);
    frame[PORT_LOW] = 80;
    failed |= measure("claimed, no rules", XDP_REDIRECT);
    failed |= block(false) || rule(GUARD_HAS_LIST_V4, 0, 0);
    failed |= measure("1,000 prefixes, none matches", XDP_REDIRECT);
    failed |= rule(GUARD_HAS_STRICT, 0, 0) || measure("strict", XDP_REDIRECT);
    failed |= rule(GUARD_HAS_LIMITS, GUARD_LIMIT_SYN, 1);
    failed |= measure("SYNs limited, passes", XDP_REDIRECT);
    failed |= rule(GUARD_HAS_LIMITS, GUARD_LIMIT_SOURCE, 1);
    failed |= measure("SYNs of a source limited, passes", XDP_REDIRECT);
    failed |= block(true) || rule(GUARD_HAS_LIST_V4, 0, 0) || measure("blocked", XDP_DROP);
    failed |= measure_answer();
    return failed;
}

int main(void)
{
    int status;

    mux = mux_bpf__open_and_load();
    if (!mux || set_up()) {
        fprintf(stderr, "mux_cost: the mux cannot be loaded: %s\n", strerror(errno));
        return 1;
    }
    status = measure_all();
    mux_bpf__destroy(mux);
    return status ? 1 : 0;
}
