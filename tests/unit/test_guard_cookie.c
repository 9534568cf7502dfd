/* SPDX-License-Identifier: BSD-2-Clause */
/* SYNs answered at the NIC (bpf/guard_cookie.h), as the kernel runs it (BPF_PROG_TEST_RUN): what comes
 * out is, byte by byte, what UTCP itself would have sent, and a UTCP that has seen no SYN takes the
 * connection over. Needs the privilege to load XDP programs; exits 77 where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <guard_cookie.skel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checksum.h"
#include "cookie_server.h"
#include "guard_cookie_maps.h"
#include "utcp.h"
#include "wire.h"

#define EXIT_SKIP  77
#define FRAME_SIZE 2048
#define TRIES      1000 /* until both ends of a run are in the same millisecond */

static struct guard_cookie_bpf *program;

struct frame {
    uint8_t bytes[FRAME_SIZE];
    uint32_t size;
};

/* ---- chance, the same in every run */

static uint64_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)((seed >> 33) % below);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- a server: a stack with one listener */

/* What a world is made of: both servers have it all, and the NIC what comes of it. */
struct setting {
    uint8_t family;
    uint8_t secret[16];
    uint32_t mtu, flags, receive_max, behind_us;
    uint64_t max_segment, receive_buffer, hop_limit, dscp;
};

static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
static const uint8_t addresses[2][2][16] = {{{10, 0, 0, 1}, {10, 0, 0, 2}},
                                            {{0xfd, [15] = 1}, {0xfd, 9, [15] = 2}}};

static const uint8_t *address(uint8_t family, int which)
{
    return addresses[family == 6][which];
}

static struct cookie_server open_server(const struct setting *setting, uint64_t now)
{
    struct utcp_config config = {.size = sizeof(config),
                                 .mtu = setting->mtu,
                                 /* whoever asks for more at the NIC is given RFC 3168's */
                                 .flags = setting->flags | UTCP_NO_ACCURATE_ECN,
                                 .receive_buffer_max = setting->receive_max};
    struct utcp_endpoint local = {.family = setting->family, .port = 80};
    struct cookie_server server = {0};

    memcpy(config.secret, setting->secret, sizeof(config.secret));
    server.stack = utcp_new(&config, now);
    assert_non_null(server.stack);
    assert_int_equal(utcp_listen(server.stack, &local, 4096, NULL, &server.listener), 0);
    utcp_listener_set_option(server.listener, UTCP_OPTION_MAX_SEGMENT, setting->max_segment);
    utcp_listener_set_option(server.listener, UTCP_OPTION_RECEIVE_BUFFER, setting->receive_buffer);
    utcp_listener_set_option(server.listener, UTCP_OPTION_HOP_LIMIT, setting->hop_limit);
    utcp_listener_set_option(server.listener, UTCP_OPTION_DSCP, setting->dscp);
    return server;
}

static void set_terms(const struct cookie_server *server, uint32_t behind_us)
{
    struct guard_cookie cookie = cookie_server_terms(server);
    uint32_t zero = 0;

    cookie.behind_us = behind_us;
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->maps.terms), &zero, &cookie, BPF_ANY),
                     0);
}

/* ---- segments of a client */

static uint32_t ip_size(uint8_t family)
{
    return family == 4 ? sizeof(struct wire_ipv4) : sizeof(struct wire_ipv6);
}

static struct wire_tcp *tcp_of(struct frame *frame, uint8_t family)
{
    return (struct wire_tcp *)(frame->bytes + ETHER_HEADER_SIZE + ip_size(family));
}

/* Both checksums; `partial`: of TCP's the pseudo-header's part alone. */
static void seal(struct frame *frame, uint8_t family, bool partial)
{
    uint8_t *ip = frame->bytes + ETHER_HEADER_SIZE;
    uint32_t length = frame->size - ETHER_HEADER_SIZE - ip_size(family);
    struct wire_tcp *tcp = tcp_of(frame, family);
    uint64_t sum = checksum_pseudo_header(address(family, 1), address(family, 0),
                                          family == 4 ? 4 : 16, IP_PROTOCOL_TCP, length);

    tcp->checksum = 0;
    tcp->checksum = partial ? checksum_fold(sum) : checksum_finish(checksum_add(sum, tcp, length));
    if (family == 4) {
        struct wire_ipv4 *header = (struct wire_ipv4 *)ip;

        header->checksum = 0;
        header->checksum = checksum_ipv4_make(header);
    }
}

static void put_headers(struct frame *frame, uint8_t family, const struct wire_tcp *tcp,
                        const void *options, uint32_t options_size, uint32_t payload)
{
    uint32_t length = sizeof(*tcp) + options_size + payload;
    uint8_t *at = frame->bytes + ETHER_HEADER_SIZE;

    *frame = (struct frame){.size = ETHER_HEADER_SIZE + ip_size(family) + length};
    memcpy(frame->bytes, macs[0], 6);
    memcpy(frame->bytes + 6, macs[1], 6);
    if (family == 4) {
        struct wire_ipv4 ip = {.version_ihl = 0x45,
                               .tos = 0x28,
                               .total_length = htons((uint16_t)(sizeof(ip) + length)),
                               .id = htons(7777),
                               .ttl = 17,
                               .protocol = IP_PROTOCOL_TCP};

        frame->bytes[12] = 0x08;
        memcpy(ip.source, address(4, 1), 4);
        memcpy(ip.destination, address(4, 0), 4);
        memcpy(at, &ip, sizeof(ip));
    } else {
        struct wire_ipv6 ip = {.version_class_flow = htonl(0x62812345),
                               .payload_length = htons((uint16_t)length),
                               .next_header = IP_PROTOCOL_TCP,
                               .hop_limit = 17};

        frame->bytes[12] = 0x86;
        frame->bytes[13] = 0xdd;
        memcpy(ip.source, address(6, 1), 16);
        memcpy(ip.destination, address(6, 0), 16);
        memcpy(at, &ip, sizeof(ip));
    }
    at += ip_size(family);
    memcpy(at, tcp, sizeof(*tcp));
    ((struct wire_tcp *)at)->data_offset = (uint8_t)((sizeof(*tcp) + options_size) / 4 << 4);
    memcpy(at + sizeof(*tcp), options, options_size);
    memset(at + sizeof(*tcp) + options_size, 'd', payload);
}

/* One option, sound or not, for which there is room. */
static uint32_t random_option(uint8_t *at)
{
    static const uint8_t lengths[9] = {[2] = 4, [3] = 3, [4] = 2, [8] = 10};
    static const uint8_t kinds[] = {1, 1, 2, 2, 3, 3, 4, 4, 8, 8, 8, 5, 34, 28, 254, 0};
    uint8_t kind = kinds[chance(chance(10) ? sizeof(kinds) - 1 : sizeof(kinds))];
    uint32_t length = kind < 9 && lengths[kind] ? lengths[kind] : 2 + chance(8);

    at[0] = kind;
    if (kind < 2)
        return 1;
    if (chance(20) == 0)
        length = chance(12);
    at[1] = (uint8_t)length;
    for (uint32_t i = 2; i < length; i++)
        at[i] = (uint8_t)chance(chance(2) ? 16 : 256);
    return length < 2 ? 2 : length;
}

/* As Linux has them, as Windows has them, or anything. */
static uint32_t random_options(uint8_t *options)
{
    static const uint8_t linux_syn[20] = {2, 4, 5, 180, 4, 2, 8, 10, 1, 2,
                                          3, 4, 0, 0,   0, 0, 1, 3,  3, 7};
    static const uint8_t windows_syn[12] = {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2};
    uint32_t size = 0, wanted = chance(8);

    memset(options, 0, 64);
    switch (chance(6)) {
    case 0: memcpy(options, linux_syn, 20); return 20;
    case 1: memcpy(options, windows_syn, 12); return 12;
    default: break;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        uint8_t option[64];
        uint32_t length = random_option(option);

        if (size + length > 40)
            break;
        memcpy(options + size, option, length);
        size += length;
    }
    return (size + 3) & ~3U;
}

static void random_syn(struct frame *frame, uint8_t family)
{
    static const uint8_t flags[] = {
        TCP_SYN,           TCP_SYN,           TCP_SYN | TCP_ECE | TCP_CWR,
        TCP_SYN | TCP_ECE, TCP_SYN | TCP_PSH, TCP_SYN | TCP_URG};
    uint8_t options[64];
    uint32_t size = random_options(options);
    struct wire_tcp tcp = {.source_port = htons((uint16_t)(1024 + chance(60000))),
                           .destination_port = htons(80),
                           .sequence = htonl(chance(UINT32_MAX)),
                           .window = htons((uint16_t)chance(65536)),
                           .flags = flags[chance(sizeof(flags))]};
    uint32_t before;

    put_headers(frame, family, &tcp, options, size, chance(5) ? 0 : chance(1200));
    seal(frame, family, chance(4) == 0);
    before = frame->size;
    if (chance(3) == 0 && frame->size < ETHER_MIN_SIZE) /* padded, as on a wire */
        frame->size = ETHER_MIN_SIZE;
    memset(frame->bytes + before, 0xee, frame->size - before);
}

/* ---- the NIC */

static int run(const struct frame *frame, struct frame *out)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->size,
                .data_out = out->bytes, .data_size_out = sizeof(out->bytes), .repeat = 1);

    assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program->progs.answer), &options), 0);
    out->size = options.data_size_out;
    return (int)options.retval;
}

/* Runs it at a time that is known to the millisecond, which is returned. */
static uint64_t answered(const struct frame *frame, struct frame *out, uint32_t behind_us)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = now_us() - behind_us;

        assert_int_equal(run(frame, out), XDP_TX);
        if (before / 1000 == (now_us() - behind_us) / 1000)
            return before;
    }
    fail_msg("no two looks at the clock within a millisecond");
    return 0;
}

/* ---- the tests */

static struct setting random_setting(void)
{
    static const uint32_t mtus[] = {1500, 1500, 1280, 9000, 576};
    struct setting setting = {.family = chance(2) ? 4 : 6,
                              .flags = UTCP_ALWAYS_SYN_COOKIES,
                              .receive_max = chance(2) ? 0 : 4096U << chance(14),
                              .behind_us = chance(2) ? 0 : 5000,
                              .max_segment = chance(3) ? 0 : 500 + chance(1000),
                              .receive_buffer = chance(3) ? 0 : 1000 + chance(100000),
                              .hop_limit = chance(3) ? 0 : 1 + chance(255),
                              .dscp = chance(3) ? 0 : chance(64)};
    static const uint32_t flags[] = {UTCP_NO_TIMESTAMPS, UTCP_NO_WINDOW_SCALE, UTCP_NO_SACK,
                                     UTCP_NO_ECN};

    setting.mtu = mtus[chance(sizeof(mtus) / sizeof(mtus[0]))];
    for (int i = 0; i < 4; i++)
        setting.flags |= chance(6) ? 0 : flags[i];
    for (int i = 0; i < 16; i++)
        setting.secret[i] = (uint8_t)chance(256);
    return setting;
}

/* The client takes the SYN-ACK in `frame`, and says so. */
static void acknowledge(struct frame *frame, uint8_t family)
{
    struct wire_tcp answer = *tcp_of(frame, family), tcp;
    const uint8_t *options = (const uint8_t *)(tcp_of(frame, family) + 1);
    bool timestamps = answer.data_offset >> 4 > 6; /* they are at 6 then: guard_put_options() */
    uint8_t echo[12] = {1, 1, 8, 10, 0, 0, 0, 99};

    if (timestamps)
        memcpy(echo + 8, options + 8, 4);
    tcp = (struct wire_tcp){.source_port = answer.destination_port,
                            .destination_port = answer.source_port,
                            .sequence = answer.acknowledgment,
                            .acknowledgment = htonl(ntohl(answer.sequence) + 1),
                            .window = htons(1000),
                            .flags = TCP_ACK};
    put_headers(frame, family, &tcp, echo, timestamps ? 12 : 0, 0);
    seal(frame, family, false);
}

static void check_equal(const struct frame *out, const struct cookie_server *own)
{
    assert_int_equal(own->packets, 1);
    assert_int_equal(out->size, ETHER_HEADER_SIZE + own->out_size);
    assert_memory_equal(out->bytes, macs[1], 6);
    assert_memory_equal(out->bytes + 6, macs[0], 6);
    assert_memory_equal(out->bytes + ETHER_HEADER_SIZE, own->out, own->out_size);
}

/* What UTCP made of its own SYN-ACK, and of the NIC's. */
static void check_same_connection(struct cookie_server *own, struct cookie_server *other,
                                  uint64_t now)
{
    struct utcp_conn *first = utcp_accept(own->listener, now);
    struct utcp_conn *second = utcp_accept(other->listener, now);
    struct utcp_info a = {.size = sizeof(a)}, b = {.size = sizeof(b)};

    assert_non_null(first);
    assert_non_null(second);
    utcp_info(first, &a);
    utcp_info(second, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    utcp_abort(first, now);
    utcp_abort(second, now);
    cookie_server_flush(own, now);
    cookie_server_flush(other, now);
}

static void the_answer_is_what_utcp_would_have_sent_and_utcp_takes_over(void **state)
{
    struct frame syn, out = {0};

    (void)state;
    seed = 1;
    for (int world = 0; world < 100; world++) {
        struct setting setting = random_setting();
        struct cookie_server own = open_server(&setting, now_us() - setting.behind_us);
        struct cookie_server other = open_server(&setting, now_us() - setting.behind_us);

        set_terms(&other, setting.behind_us);
        utcp_listener_cookies_elsewhere(other.listener, now_us() - setting.behind_us, true);
        for (int i = 0; i < 20; i++) {
            uint64_t now;

            random_syn(&syn, setting.family);
            now = answered(&syn, &out, setting.behind_us);
            cookie_server_give(&own, now, syn.bytes + ETHER_HEADER_SIZE,
                               syn.size - ETHER_HEADER_SIZE);
            check_equal(&out, &own);
            acknowledge(&out, setting.family);
            cookie_server_give(&own, now, out.bytes + ETHER_HEADER_SIZE,
                               out.size - ETHER_HEADER_SIZE);
            cookie_server_give(&other, now, out.bytes + ETHER_HEADER_SIZE,
                               out.size - ETHER_HEADER_SIZE);
            check_same_connection(&own, &other, now);
        }
        utcp_free(own.stack);
        utcp_free(other.stack);
    }
}

/* A server, its terms set, and a SYN with Linux's options. */
static struct cookie_server begin(uint8_t family, struct frame *syn)
{
    static const uint8_t options[20] = {2, 4, 5, 180, 4, 2, 8, 10, 1, 2,
                                        3, 4, 0, 0,   0, 0, 1, 3,  3, 7};
    struct setting setting = {.family = family};
    struct cookie_server server = open_server(&setting, now_us());
    struct wire_tcp tcp = {.source_port = htons(40000),
                           .destination_port = htons(80),
                           .sequence = htonl(1000),
                           .window = htons(64240),
                           .flags = TCP_SYN};

    set_terms(&server, 0);
    put_headers(syn, family, &tcp, options, sizeof(options), 0);
    seal(syn, family, false);
    return server;
}

static void what_is_no_plain_syn_is_left_as_it_is(void **state)
{
    static const struct {
        const char *what;
        uint8_t family;
        uint32_t offset;
        uint8_t value;
    } changes[] = {
        {"to a group", 4, 0, 3},
        {"from a group", 4, 6, 3},
        {"IPv4 options", 4, 14, 0x46},
        {"more fragments", 4, 20, 0x20},
        {"a later fragment", 4, 21, 1},
        {"UDP", 4, 23, 17},
        {"extension headers", 6, 20, 0},
        {"total length below the headers", 4, 17, 39},
        {"total length 0", 4, 17, 0},
        {"payload length 0", 6, 19, 0},
        {"data offset 4", 4, 14 + 20 + 12, 0x40},
        {"data offset beyond the segment", 4, 14 + 20 + 12, 0xb0},
        {"ACK", 4, 14 + 20 + 13, 0x10},
        {"SYN-ACK", 4, 14 + 20 + 13, 0x12},
        {"SYN and FIN", 4, 14 + 20 + 13, 0x03},
        {"SYN and RST", 6, 14 + 40 + 13, 0x06},
        {"RST", 6, 14 + 40 + 13, 0x04},
        {"no flags", 6, 14 + 40 + 13, 0},
    };
    struct frame syn, out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct cookie_server server = begin(changes[i].family, &syn);

        syn.bytes[changes[i].offset] = changes[i].value;
        if (run(&syn, &out) != XDP_PASS)
            fail_msg("%s: not left to the stack", changes[i].what);
        assert_int_equal(out.size, syn.size);
        assert_memory_equal(out.bytes, syn.bytes, syn.size);
        utcp_free(server.stack);
    }
}

/* The answer would keep what lies in the buffers behind the first one. */
static void a_syn_in_several_buffers_is_left_as_it_is(void **state)
{
    struct frame syn, out = {0};

    (void)state;
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct cookie_server server = begin(family, &syn);
        struct wire_tcp tcp = *tcp_of(&syn, family);
        uint8_t asked[20];

        memcpy(asked, tcp_of(&syn, family) + 1, sizeof(asked));
        put_headers(&syn, family, &tcp, asked, sizeof(asked), 1200);
        seal(&syn, family, false);
        for (uint32_t first = 200; first <= syn.size; first += (syn.size - first) / 2 + 1) {
            struct xdp_md context = {.data_end = first};
            LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = syn.bytes, .data_size_in = syn.size,
                        .data_out = out.bytes, .data_size_out = sizeof(out.bytes),
                        .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);

            assert_int_equal(
                bpf_prog_test_run_opts(bpf_program__fd(program->progs.answer), &options), 0);
            assert_int_equal(options.retval, first < syn.size ? XDP_PASS : XDP_TX);
            if (first == syn.size)
                continue;
            assert_int_equal(options.data_size_out, syn.size);
            assert_memory_equal(out.bytes, syn.bytes, syn.size);
        }
        utcp_free(server.stack);
    }
}

static void every_cut_frame_is_left_or_dropped(void **state)
{
    struct frame syn, out = {0};

    (void)state;
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct cookie_server server = begin(family, &syn);
        uint32_t whole = syn.size;

        for (syn.size = ETHER_HEADER_SIZE; syn.size < whole; syn.size++)
            assert_int_not_equal(run(&syn, &out), XDP_TX);
        utcp_free(server.stack);
    }
}

static void a_damaged_syn_is_dropped(void **state)
{
    struct frame syn, out = {0};

    (void)state;
    for (uint8_t family = 4; family <= 6; family += 2) {
        struct cookie_server server = begin(family, &syn);

        assert_int_equal(run(&syn, &out), XDP_TX);
        syn.bytes[syn.size - 1] ^= 4;
        assert_int_equal(run(&syn, &out), XDP_DROP);
        syn.bytes[syn.size - 1] ^= 4;
        if (family == 4) {
            syn.bytes[ETHER_HEADER_SIZE + 8]++; /* time to live */
            assert_int_equal(run(&syn, &out), XDP_DROP);
        }
        utcp_free(server.stack);
    }
}

static void without_terms_nothing_is_answered(void **state)
{
    const struct guard_cookie none = {0};
    uint32_t zero = 0;
    struct frame syn, out = {0};
    struct cookie_server server = begin(4, &syn);

    (void)state;
    assert_int_equal(bpf_map_update_elem(bpf_map__fd(program->maps.terms), &zero, &none, BPF_ANY),
                     0);
    assert_int_equal(run(&syn, &out), XDP_PASS);
    utcp_free(server.stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_what_utcp_would_have_sent_and_utcp_takes_over),
        cmocka_unit_test(what_is_no_plain_syn_is_left_as_it_is),
        cmocka_unit_test(a_syn_in_several_buffers_is_left_as_it_is),
        cmocka_unit_test(every_cut_frame_is_left_or_dropped),
        cmocka_unit_test(a_damaged_syn_is_dropped),
        cmocka_unit_test(without_terms_nothing_is_answered),
    };
    int status;

    libbpf_set_print(NULL);
    program = guard_cookie_bpf__open_and_load();
    if (!program) {
        fprintf(stderr, "guard_cookie: cannot be loaded here: %s\n", strerror(errno));
        return geteuid() != 0 || errno == EPERM ? EXIT_SKIP : EXIT_FAILURE;
    }
    status = cmocka_run_group_tests(tests, NULL, NULL);
    guard_cookie_bpf__destroy(program);
    return status;
}
