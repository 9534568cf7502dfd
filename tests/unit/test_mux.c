/* SPDX-License-Identifier: BSD-2-Clause */
/* The mux as the kernel runs it (BPF_PROG_TEST_RUN): what goes in is a frame, what comes out is the
 * verdict that it counted. Tables of small changes to good frames; hostile.md, W1 to W8.
 *
 * Needs the privilege to load XDP programs; exits 77 where there is none. */
#include "mux_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

/* ---- the tests */

struct change {
    const char *what;
    void (*good)(struct frame *);
    uint32_t offset;
    uint8_t size;
    uint8_t bytes[16];
    enum mux_verdict verdict;
};

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
    {"VLAN tag (W7)", tcp4, 12, 2, {0x81, 0x00}, MUX_PASS_VLAN},
    {"QinQ tag (W7)", tcp4, 12, 2, {0x88, 0xa8}, MUX_PASS_VLAN},
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
    {"ICMP about a packet shorter than its header", icmp4, L4 + 10, 2, {0, 19}, MUX_PASS_UNPARSED},
    {"ICMP about a packet without data", icmp4, L4 + 10, 2, {0, 20}, MUX_CLAIMED},
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

static void each_change_of_a_good_frame_gets_its_verdict(void **state)
{
    int failed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *change = &changes[i];
        struct frame frame;
        enum mux_verdict verdict;

        change->good(&frame);
        memcpy(frame.bytes + change->offset, change->bytes, change->size);
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

/* The verdict while the heartbeat is behind the clock, but not by too much: this test, too, may be kept
 * from running for longer than that, and then it is asked again. */
static enum mux_verdict run_beside_a_heartbeat(const struct frame *frame)
{
    enum mux_verdict verdict;
    uint64_t before;

    do {
        before = now_ns();
        set_heartbeat(before);
        verdict = run(frame->bytes, frame->size);
    } while (verdict != MUX_CLAIMED && now_ns() - before >= MUX_HEARTBEAT_TIMEOUT_NS);
    return verdict;
}

static void claimed_frames_pass_while_the_switch_is_away_or_hangs(void **state)
{
    struct frame frame;

    (void)state;
    tcp4(&frame);
    set_heartbeat(0);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    set_heartbeat(now_ns() - MUX_HEARTBEAT_TIMEOUT_NS -
                  20000000); /* and ticks of the coarse clock */
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    assert_int_equal(run_beside_a_heartbeat(&frame), MUX_CLAIMED);
    keep_switch_alive();
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
}

static void claimed_frames_pass_on_a_queue_without_a_socket(void **state)
{
    struct frame frame;
    uint32_t zero = 0;
    int fd;

    (void)state;
    tcp4(&frame);
    bpf_map_delete_elem(bpf_map__fd(mux->maps.mux_sockets), &zero);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NO_SWITCH);
    fd = socket_in_map();
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
    bpf_map_delete_elem(bpf_map__fd(mux->maps.mux_addresses), &key);
    assert_int_equal(run(frame.bytes, frame.size), MUX_PASS_NOT_OURS);
    add_address(4, our_ip4);
    assert_int_equal(run(frame.bytes, frame.size), MUX_CLAIMED);
}

/* Two ranges that begin at the same port, one in each family, are of different lengths: neither has the
 * other's. */
static void a_range_of_ports_is_one_element(void **state)
{
    static const struct {
        void (*make)(struct frame *);
        uint16_t port;
        enum mux_verdict verdict;
    } cases[] = {
        {tcp4, 16383, MUX_PASS_UNCLAIMED}, {tcp4, 16384, MUX_CLAIMED},
        {tcp4, 16400, MUX_CLAIMED},        {tcp4, 16447, MUX_CLAIMED},
        {tcp4, 16448, MUX_PASS_UNCLAIMED}, {tcp4, 80, MUX_CLAIMED},
        {tcp6, 16383, MUX_PASS_UNCLAIMED}, {tcp6, 16384, MUX_CLAIMED},
        {tcp6, 16448, MUX_CLAIMED},        {tcp6, 20479, MUX_CLAIMED},
        {tcp6, 20480, MUX_PASS_UNCLAIMED}, {udp4, 16400, MUX_PASS_UNCLAIMED},
        {udp6, 49151, MUX_PASS_UNCLAIMED}, {udp6, 49152, MUX_CLAIMED},
        {udp6, 65535, MUX_CLAIMED},
    };

    (void)state;
    bind_range(4, IP_PROTOCOL_TCP, NULL, 16384, 64);
    bind_range(6, IP_PROTOCOL_TCP, our_ip6, 16384, 4096);
    bind_range(6, IP_PROTOCOL_UDP, NULL, 49152, 16384);
    keep_switch_alive();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame frame;

        cases[i].make(&frame);
        frame.bytes[frame.transport + 2] = (uint8_t)(cases[i].port >> 8);
        frame.bytes[frame.transport + 3] = (uint8_t)cases[i].port;
        if (run(frame.bytes, frame.size) != cases[i].verdict)
            fail_msg("case %zu: port %u", i, cases[i].port);
    }
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
        cmocka_unit_test(a_range_of_ports_is_one_element),
    };

    return mux_bench_run("mux", tests, sizeof(tests) / sizeof(tests[0]));
}
