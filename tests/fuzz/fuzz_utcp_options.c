/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP options, and whole packets, as the parser sees them. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "options/options.h"
#include "packet.h"

static void check_options(const uint8_t *data, uint32_t size)
{
    struct utcp_segment_options first, second;

    memset(&first, 0, sizeof(first));
    memset(&second, 0xff, sizeof(second)); /* nothing may depend on what was there */
    utcp__options_parse(data, size, &first);
    utcp__options_parse(data, size, &second);
    assert(first.has_mss == second.has_mss && first.mss == second.mss);
    assert(first.ts_value == second.ts_value && first.ts_echo == second.ts_echo);
    assert(!first.has_mss || first.mss != 0);
    assert(first.window_scale <= 14);
    assert(first.accecn_fields <= UTCP_ACCECN_FIELDS &&
           first.accecn_fields == second.accecn_fields);
    assert(memcmp(first.accecn, second.accecn, sizeof(first.accecn)) == 0);
    assert(first.sacks <= UTCP_SACK_BLOCKS && first.sacks == second.sacks);
    assert(memcmp(first.sack, second.sack, first.sacks * sizeof(first.sack[0])) == 0);
    for (uint8_t i = 0; i < UTCP_ACCECN_FIELDS; i++)
        assert(first.accecn[i] <= 0xffffff);
}

static void check_packet(const uint8_t *data, size_t size, unsigned flags)
{
    struct utcp_packet packet;

    utcp__packet_parse(data, size, flags, &packet);
    if (packet.kind != PACKET_TCP)
        return;
    assert(packet.segment.payload >= data && packet.segment.payload <= data + size);
    assert(packet.segment.length <= (size_t)(data + size - packet.segment.payload));
    if (utcp__addresses_allowed(&packet.segment.remote, &packet.segment.local)) {
        assert(packet.segment.local.port && packet.segment.remote.port);
        assert(utcp__address_is_unicast(&packet.segment.remote));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_options(data, size < UTCP_OPTIONS_MAX ? (uint32_t)size : UTCP_OPTIONS_MAX);
    check_packet(data, size, 0);
    check_packet(data, size, UTCP_INPUT_CHECKSUM_PARTIAL);
    check_packet(data, size, UTCP_INPUT_CHECKSUM_OK);
    return 0;
}

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT("\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07"),
    FUZZ_TEXT("\xac\x0b\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01"),
    FUZZ_TEXT("\xae\x08\x00\x00\x01\x00\x05\xb4\xae\x02\xac\x05\xff\xff\xff"),
    FUZZ_TEXT("\x01\x01\x05\x12\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00\x09"),
    FUZZ_TEXT("\x01\x01\x08\x0a\xff\xff\xff\xff\x00\x00\x00\x02\x00"),
    FUZZ_TEXT("\x45\x00\x00\x2c\x00\x00\x40\x00\x40\x06\xb6\xc4\xc0\x00\x02\x02\xc0\x00\x02\x01"
              "\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00\x60\x02\xff\xff\x00\x00\x00\x00"
              "\x02\x04\x05\xb4"),
    FUZZ_TEXT("\x60\x00\x00\x00\x00\x1c\x00\x40\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00"
              "\x00\x00\x00\x02\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
              "\x06\x00\x00\x00\x00\x00\x00\x00\x9c\x40\x00\x50\x00\x00\x00\x01\x00\x00\x00\x00"
              "\x50\x02\xff\xff\x00\x00\x00\x00"),
    {NULL, 0},
};
