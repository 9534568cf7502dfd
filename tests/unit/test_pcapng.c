/* SPDX-License-Identifier: BSD-2-Clause */
/* What `multistack capture` writes: blocks as draft-ietf-opsawg-pcapng has them, whole whatever happens to
 * the file; and what it makes of packets, which may be cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture_packet.h"
#include "checksum.h"
#include "pcapng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct pcapng file;

static uint32_t load_32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint16_t load_16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* The option of a block whose options begin `from` bytes into it; NULL: it has none. */
static const uint8_t *option(const uint8_t *block, uint32_t from, uint16_t code)
{
    uint32_t end = load_32(block + 4) - 4, at = from;

    while (at < end && load_16(block + at)) {
        if (load_16(block + at) == code)
            return block + at;
        at += 4 + ((load_16(block + at + 2) + 3u) & ~3u);
    }
    return NULL;
}

/* Whether blocks follow each other to the end; how many. */
static uint32_t count_blocks(const uint8_t *bytes, size_t size)
{
    uint32_t count = 0;
    size_t at = 0;

    while (at < size) {
        uint32_t length;

        assert_true(size - at >= 12);
        length = load_32(bytes + at + 4);
        assert_true(length >= 12 && length % 4 == 0 && length <= size - at);
        assert_int_equal(load_32(bytes + at + length - 4), length);
        at += length;
        count++;
    }
    return count;
}

static int put_packet(uint32_t length, uint64_t time_ns, uint32_t flags)
{
    const struct pcapng_packet packet = {
        .flags = flags, .time_ns = time_ns, .captured = length, .length = length + 1};
    int error;
    uint8_t *bytes = pcapng_reserve(&file, &packet, &error);

    if (!bytes)
        return error;
    memset(bytes, 0xab, length);
    pcapng_commit(&file, &packet);
    return 0;
}

static void blocks_are_as_the_format_has_them(void **state)
{
    const struct pcapng_interface interface = {
        .link_type = PCAPNG_RAW, .snap = 1500, .name = "nic0", .filter = "port 80"};
    const struct pcapng_statistics statistics = {.begin_ns = 1,
                                                 .end_ns = 0x1122334455667788,
                                                 .received = 5,
                                                 .dropped = 3,
                                                 .accepted = PCAPNG_COUNT_UNSET,
                                                 .delivered = 2};
    const uint8_t *at = file.buffer, *found;
    (void)state;

    pcapng_begin(&file, -1, "test 1", NULL);
    assert_int_equal(load_32(at), 0x0a0d0d0a);
    assert_int_equal(load_32(at + 8), 0x1a2b3c4d);
    assert_int_equal(load_16(at + 12), 1);
    assert_memory_equal(option(at, 24, 4) + 4, "test 1", 6);
    at += load_32(at + 4);

    assert_int_equal(pcapng_interface(&file, &interface), 0);
    assert_int_equal(load_32(at), 1);
    assert_int_equal(load_16(at + 8), 101);
    assert_int_equal(load_32(at + 12), 1500);
    assert_memory_equal(option(at, 16, 2) + 4, "nic0", 4);
    assert_int_equal(option(at, 16, 9)[4], 9);
    assert_null(option(at, 16, 3));
    assert_memory_equal(option(at, 16, 11) + 4, "\0port 80", 8);
    at += load_32(at + 4);

    assert_int_equal(put_packet(13, 0x0102030405060708, PCAPNG_OUTBOUND), 0);
    assert_int_equal(load_32(at), 6);
    assert_int_equal(load_32(at + 12), 0x01020304);
    assert_int_equal(load_32(at + 16), 0x05060708);
    assert_int_equal(load_32(at + 20), 13);
    assert_int_equal(load_32(at + 24), 14);
    assert_memory_equal(at + 28, "\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\0\0\0", 16);
    assert_int_equal(load_32(option(at, 28 + 16, 2) + 4), 2);
    at += load_32(at + 4);

    assert_int_equal(pcapng_statistics(&file, 0, &statistics), 0);
    assert_int_equal(load_32(at), 5);
    found = option(at, 20, 3);
    assert_int_equal(load_32(found + 4), 0x11223344);
    assert_int_equal(load_32(option(at, 20, 4) + 4), 5);
    assert_int_equal(load_32(option(at, 20, 5) + 4), 3);
    assert_null(option(at, 20, 6));
    assert_int_equal(load_32(option(at, 20, 8) + 4), 2);
    assert_int_equal(count_blocks(file.buffer, file.used), 4);
}

static void any_length_makes_whole_blocks(void **state)
{
    int fd = memfd_create("pcapng", MFD_CLOEXEC);
    uint32_t packets = 0;
    uint8_t *bytes;
    off_t size;
    (void)state;

    pcapng_begin(&file, fd, NULL, NULL);
    for (uint32_t length = 0; length < 70000; length += length < 64 ? 1 : 7919, packets++)
        assert_int_equal(put_packet(length, length, PCAPNG_INBOUND), 0);
    assert_int_equal(put_packet(PCAPNG_PACKET_MAX, 0, 0), 0);
    assert_int_equal(put_packet(PCAPNG_PACKET_MAX + 1, 0, 0), -EMSGSIZE);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(put_packet(65535, 0, 0), 0);
    assert_int_equal(pcapng_flush(&file), 0);
    size = lseek(fd, 0, SEEK_END);
    bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    assert_int_equal(count_blocks(bytes, (size_t)size), packets + 102);
    munmap(bytes, (size_t)size);
    close(fd);
}

static void a_long_name_is_cut(void **state)
{
    struct pcapng_interface interface = {.link_type = PCAPNG_ETHERNET};
    char text[9000];
    (void)state;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    interface.name = interface.description = interface.filter = text;
    pcapng_begin(&file, -1, text, NULL);
    assert_int_equal(pcapng_interface(&file, &interface), 0);
    assert_int_equal(count_blocks(file.buffer, file.used), 2);
}

/* A limit of the file's size stands in for a disk. */
static void what_does_not_fit_is_not_begun(void **state)
{
    int fd = memfd_create("pcapng", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error = 0;
    uint8_t *bytes;
    off_t size;
    (void)state;

    assert_int_equal(ftruncate(fd, 3000000), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    pcapng_begin(&file, fd, NULL, NULL);
    while (!error)
        error = put_packet(1500, 0, 0);
    assert_int_equal(error, -EPERM); /* what a seal says */
    size = lseek(fd, 0, SEEK_END);
    assert_true(size > 0 && size <= 3000000);
    bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(count_blocks(bytes, (size_t)size) > 1000);
    munmap(bytes, (size_t)size);
    close(fd);
}

static void a_reader_that_has_gone_is_an_error(void **state)
{
    int ends[2];
    (void)state;

    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    pcapng_begin(&file, ends[1], NULL, NULL);
    assert_int_equal(pcapng_flush(&file), -EPIPE);
    close(ends[1]);
}

/* ---- packets */

/* An IPv4 header and a TCP SYN from 10.0.0.1:80 to 10.0.0.2:4660, right but for the TCP checksum. */
static const uint8_t syn[] = {0x45, 0, 0,  41, 0,    0, 0x40, 0,  64,   6,    0x26, 0xcd, 10, 0,
                              0,    1, 10, 0,  0,    2, 0,    80, 0x12, 0x34, 0,    0,    0,  1,
                              0,    0, 0,  0,  0x50, 2, 1,    0,  0,    0,    0,    0,    'x'};

static uint16_t whole_sum(const uint8_t *packet)
{
    uint64_t sum = checksum_pseudo_header(packet + 12, packet + 16, 4, 6, 21);

    return checksum_finish(checksum_add(sum, packet + 20, 21));
}

static void a_packet_is_told_in_a_line(void **state)
{
    struct capture_view view;
    char line[CAPTURE_LINE_SIZE];
    (void)state;

    capture_parse(syn, sizeof(syn), false, &view);
    assert_string_equal(capture_line(syn, &view, line), "10.0.0.1.80 > 10.0.0.2.4660 TCP [S]");
    capture_parse(syn, sizeof(syn), true, &view);
    assert_string_equal(capture_line(syn, &view, line), "not IP");
}

static void checksums_left_to_others_are_filled_in(void **state)
{
    struct capture_view view;
    uint8_t packet[sizeof(syn)];
    uint16_t pseudo;
    (void)state;

    memcpy(packet, syn, sizeof(syn));
    capture_parse(packet, sizeof(packet), false, &view);
    capture_fill_checksum(packet, sizeof(packet), &view, CAPTURE_OUTBOUND);
    assert_memory_equal(packet, syn, sizeof(syn));
    capture_fill_checksum(packet, sizeof(packet), &view, CAPTURE_CHECKSUM_PARTIAL);
    assert_memory_equal(packet, syn,
                        sizeof(syn)); /* is not the pseudo-header's sum: wrong it was */
    pseudo = checksum_fold(checksum_pseudo_header(packet + 12, packet + 16, 4, 6, 21));
    memcpy(packet + 36, &pseudo, 2);
    capture_fill_checksum(packet, sizeof(packet) - 1, &view, CAPTURE_CHECKSUM_PARTIAL);
    assert_memory_equal(packet + 36, &pseudo, 2); /* cut: it cannot be known */
    capture_fill_checksum(packet, sizeof(packet), &view, CAPTURE_CHECKSUM_PARTIAL);
    assert_int_equal(whole_sum(packet), 0);
    memcpy(packet, syn, sizeof(syn));
    capture_fill_checksum(packet, sizeof(packet), &view, CAPTURE_CHECKSUM_LEFT);
    assert_int_equal(whole_sum(packet), 0);
}

/* Bytes at random, in memory of exactly their size, so that a sanitizer sees a byte too many. */
static void nothing_is_read_beyond_the_end(void **state)
{
    struct capture_view view;
    char line[CAPTURE_LINE_SIZE];
    uint32_t seed = 1;
    (void)state;

    for (uint32_t round = 0; round < 200000; round++) {
        size_t size = round % 90;
        uint8_t *packet = malloc(size ? size : 1);
        bool ethernet = round & 1;

        for (size_t i = 0; i < size; i++)
            packet[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
        if (ethernet && size > 14) {
            packet[12] = round & 2 ? 0x08 : 0x86;
            packet[13] = round & 2 ? 0x00 : 0xdd;
        }
        if (size > 14)
            packet[ethernet ? 14 : 0] = round & 2 ? 0x45 : 0x60;
        if (size > 23)
            packet[ethernet ? 23 : 9] = round & 4 ? 6 : 17;
        if (size > 17) /* a length that may be right */
            packet[ethernet ? 16 : 2] = 0;
        capture_parse(packet, size, ethernet, &view);
        capture_line(packet, &view, line);
        capture_fill_checksum(packet, size, &view, CAPTURE_CHECKSUM_LEFT);
        free(packet);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_as_the_format_has_them),
        cmocka_unit_test(any_length_makes_whole_blocks),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(what_does_not_fit_is_not_begun),
        cmocka_unit_test(a_reader_that_has_gone_is_an_error),
        cmocka_unit_test(a_packet_is_told_in_a_line),
        cmocka_unit_test(checksums_left_to_others_are_filled_in),
        cmocka_unit_test(nothing_is_read_beyond_the_end),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
