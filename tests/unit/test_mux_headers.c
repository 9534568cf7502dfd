/* SPDX-License-Identifier: BSD-2-Clause */
/* The mux on its bench, as test_mux.c: IPv6 extension headers and fragments (hostile.md, W5, W6). */
#include "mux_bench.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "wire.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extension_headers_are_walked_where_they_may_be),
        cmocka_unit_test(too_many_extension_headers_pass),
        cmocka_unit_test(a_claimed_first_fragment_claims_the_rest),
        cmocka_unit_test(later_fragments_are_known_by_addresses_and_protocol),
        cmocka_unit_test(first_fragments_that_are_not_claimed_claim_nothing),
        cmocka_unit_test(a_first_fragment_is_forgotten_in_time),
        cmocka_unit_test(a_flood_of_first_fragments_fills_no_more_than_the_table),
    };

    return mux_bench_run("mux_headers", tests, sizeof(tests) / sizeof(tests[0]));
}
