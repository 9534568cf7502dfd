/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum against the worked example of RFC 1071 and a naive oracle. */
#include "checksum.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 1071 section 1, word by word. */
static uint16_t oracle(const uint8_t *data, size_t size)
{
    uint32_t sum = 0;

    for (size_t at = 0; at < size; at += 2) {
        sum += (uint32_t)data[at] << 8 | (at + 1 < size ? data[at + 1] : 0);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static void the_example_of_rfc_1071(void **state)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    (void)state;
    assert_int_equal(checksum_fold(checksum_add(0, data, sizeof(data))), htons(0xddf2));
}

static void every_length_and_alignment_agrees_with_the_oracle(void **state)
{
    uint8_t data[300];
    uint32_t random = 1;

    (void)state;
    for (size_t at = 0; at < sizeof(data); at++) {
        random = random * 1664525 + 1013904223;
        data[at] = (uint8_t)(random >> 24);
    }
    for (size_t from = 0; from < 8; from++)
        for (size_t size = 0; size + from <= sizeof(data); size++)
            assert_int_equal(checksum_finish(checksum_add(0, data + from, size)),
                             oracle(data + from, size));
}

static void the_largest_sums_do_not_overflow(void **state)
{
    static uint8_t data[65535];

    (void)state;
    memset(data, 0xff, sizeof(data));
    assert_int_equal(checksum_finish(checksum_add(0, data, sizeof(data))),
                     oracle(data, sizeof(data)));
}

/* Random words with the field that makes them right, one beside it on either side, and extremes. */
static void ipv4_headers_are_judged_as_by_the_oracle(void **state)
{
    uint32_t random = 7;

    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t header[20];
        uint16_t field = 0;

        for (size_t at = 0; at < sizeof(header); at++) {
            random = random * 1664525 + 1013904223;
            header[at] = round % 3 == 0 ? 0xff : round % 3 == 1 ? (uint8_t)(random >> 24) : 0;
        }
        header[0] = 0x45;
        memcpy(header + 10, &field, sizeof(field));
        field = oracle(header, sizeof(header));
        assert_int_equal(checksum_ipv4_make(header), field);
        for (int off = -1; off <= 1; off++) {
            uint16_t wrong = (uint16_t)(field + off);

            memcpy(header + 10, &wrong, sizeof(wrong));
            assert_int_equal(checksum_ipv4_good(header), oracle(header, sizeof(header)) == 0);
        }
    }
}

static void a_packet_with_its_checksum_sums_to_zero(void **state)
{
    uint8_t segment[20] = {0x12, 0x34, 0x00, 0x50};
    static const uint8_t source[4] = {192, 0, 2, 1}, destination[4] = {192, 0, 2, 2};
    uint64_t pseudo = checksum_pseudo_header(source, destination, 4, 6, sizeof(segment));
    uint16_t checksum = checksum_finish(checksum_add(pseudo, segment, sizeof(segment)));

    (void)state;
    memcpy(segment + 16, &checksum, sizeof(checksum));
    assert_int_equal(checksum_finish(checksum_add(pseudo, segment, sizeof(segment))), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_1071),
        cmocka_unit_test(every_length_and_alignment_agrees_with_the_oracle),
        cmocka_unit_test(the_largest_sums_do_not_overflow),
        cmocka_unit_test(ipv4_headers_are_judged_as_by_the_oracle),
        cmocka_unit_test(a_packet_with_its_checksum_sums_to_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
