/* SPDX-License-Identifier: BSD-2-Clause */
/* msecho, as a whole, on a port of a fake switch: what it answers, and what it does not.
 *
 * That something is not answered is seen by what comes next: each datagram that is to be dropped is
 * followed by a good one, whose answer must be the next packet that msecho sends. */
#include "checksum.h"
#include "fake_switch.h"
#include "wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char *msecho;

struct fixture {
    struct fake_switch *fake;
    pid_t pid;
    int output;
    uint16_t port; /* that it answers on, network order */
};

/* An IP and UDP header and up to 2000 bytes, for both families. */
struct packet {
    uint8_t bytes[2100];
    uint32_t length;
    uint32_t header; /* bytes of the IP header */
};

static struct wire_ipv4 *ipv4(struct packet *packet)
{
    return (struct wire_ipv4 *)packet->bytes;
}

static struct wire_ipv6 *ipv6(struct packet *packet)
{
    return (struct wire_ipv6 *)packet->bytes;
}

static struct wire_udp *udp(struct packet *packet)
{
    return (struct wire_udp *)(packet->bytes + packet->header);
}

static uint64_t pseudo_sum(struct packet *packet)
{
    bool six = packet->header == IPV6_HEADER_SIZE;

    return checksum_pseudo_header(six ? ipv6(packet)->source : ipv4(packet)->source,
                                  six ? ipv6(packet)->destination : ipv4(packet)->destination,
                                  six ? 16 : 4, IP_PROTOCOL_UDP, ntohs(udp(packet)->length));
}

static void set_checksums(struct packet *packet)
{
    if (packet->header == IPV4_HEADER_MIN) {
        ipv4(packet)->checksum = 0;
        ipv4(packet)->checksum = checksum_finish(checksum_add(0, packet->bytes, IPV4_HEADER_MIN));
    }
    udp(packet)->checksum = 0;
    udp(packet)->checksum =
        checksum_finish(checksum_add(pseudo_sum(packet), udp(packet), ntohs(udp(packet)->length)));
}

static struct packet datagram(const struct fixture *fixture, bool six, const void *payload,
                              uint32_t length)
{
    struct packet packet = {.header = six ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN};

    packet.length = packet.header + UDP_HEADER_SIZE + length;
    if (six) {
        *ipv6(&packet) = (struct wire_ipv6){
            .version_class_flow = htonl(6U << 28),
            .payload_length = htons((uint16_t)(UDP_HEADER_SIZE + length)),
            .next_header = IP_PROTOCOL_UDP,
            .hop_limit = 3,
            .source = {0xfd, 1, [15] = 2},
            .destination = {0xfd, 1, [15] = 1},
        };
    } else {
        *ipv4(&packet) = (struct wire_ipv4){
            .version_ihl = 0x45,
            .total_length = htons((uint16_t)packet.length),
            .ttl = 3,
            .protocol = IP_PROTOCOL_UDP,
            .source = {10, 0, 0, 2},
            .destination = {10, 0, 0, 1},
        };
    }
    *udp(&packet) = (struct wire_udp){
        .source_port = htons(5555),
        .destination_port = fixture->port,
        .length = htons((uint16_t)(UDP_HEADER_SIZE + length)),
    };
    memcpy(packet.bytes + packet.header + UDP_HEADER_SIZE, payload, length);
    set_checksums(&packet);
    return packet;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void put(struct fixture *fixture, const struct packet *packet, uint16_t flags)
{
    while (!fake_switch_put(fixture->fake, 0, packet->bytes, packet->length, flags))
        nap();
}

static struct packet next_answer(struct fixture *fixture)
{
    struct packet packet = {0};
    struct ring_record record;
    ssize_t length = 0;

    for (int i = 0; i < 10000 && length == 0; i++) {
        length = fake_switch_take(fixture->fake, 0, packet.bytes, sizeof(packet.bytes), &record);
        if (length == 0)
            nap();
    }
    assert_true(length > 0);
    packet.length = (uint32_t)length;
    packet.header = packet.bytes[0] >> 4 == 6 ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN;
    return packet;
}

/* The next packet that msecho sends must be the answer to `asked`. */
static void expect_answer(struct fixture *fixture, struct packet *asked)
{
    struct packet answer = next_answer(fixture);
    uint32_t length = ntohs(udp(asked)->length);

    assert_int_equal(answer.header, asked->header);
    assert_int_equal(answer.length, asked->header + length);
    if (answer.header == IPV4_HEADER_MIN) {
        assert_int_equal(ipv4(&answer)->version_ihl, 0x45);
        assert_int_equal(ntohs(ipv4(&answer)->total_length), answer.length);
        assert_int_equal(ipv4(&answer)->ttl, 64);
        assert_int_equal(checksum_finish(checksum_add(0, answer.bytes, IPV4_HEADER_MIN)), 0);
        assert_memory_equal(ipv4(&answer)->source, ipv4(asked)->destination, 4);
        assert_memory_equal(ipv4(&answer)->destination, ipv4(asked)->source, 4);
    } else {
        assert_int_equal(ntohs(ipv6(&answer)->payload_length), length);
        assert_int_equal(ipv6(&answer)->next_header, IP_PROTOCOL_UDP);
        assert_memory_equal(ipv6(&answer)->source, ipv6(asked)->destination, 16);
        assert_memory_equal(ipv6(&answer)->destination, ipv6(asked)->source, 16);
    }
    assert_int_equal(udp(&answer)->source_port, udp(asked)->destination_port);
    assert_int_equal(udp(&answer)->destination_port, udp(asked)->source_port);
    assert_int_equal(ntohs(udp(&answer)->length), length);
    assert_int_not_equal(udp(&answer)->checksum, 0);
    assert_int_equal(checksum_finish(checksum_add(pseudo_sum(&answer), udp(&answer), length)), 0);
    assert_memory_equal(udp(&answer) + 1, udp(asked) + 1, length - UDP_HEADER_SIZE);
}

static void expect_dropped(struct fixture *fixture, const struct packet *packet, uint16_t flags)
{
    static unsigned marks;
    struct packet good = datagram(fixture, false, &marks, sizeof(marks));

    marks++;
    put(fixture, packet, flags);
    put(fixture, &good, 0);
    expect_answer(fixture, &good);
}

/* ── msecho, started and stopped ── */

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    int ends[2];

    fixture->fake = fake_switch_new();
    assert_int_equal(pipe(ends), 0);
    fixture->pid = fork();
    if (fixture->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(msecho, "msecho", "--listen", "127.0.0.1:0", "--control", fixture->fake->path, NULL);
        _exit(127);
    }
    close(ends[1]);
    fixture->output = ends[0];
    for (int i = 0; i < 10000 && !fake_switch_count(fixture->fake, &fixture->fake->binding_count);
         i++)
        nap();
    pthread_mutex_lock(&fixture->fake->lock);
    fixture->port = fixture->fake->bindings[0].address.port;
    pthread_mutex_unlock(&fixture->fake->lock);
    *state = fixture;
    return fixture->port ? 0 : -1;
}

/* Ends msecho; what it has printed is in `text`. */
static void stop(struct fixture *fixture, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    int status;

    kill(fixture->pid, SIGTERM);
    while (length + 1 < size && (got = read(fixture->output, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
    fixture->pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->pid > 0) {
        kill(fixture->pid, SIGKILL);
        waitpid(fixture->pid, NULL, 0);
    }
    close(fixture->output);
    fake_switch_free(fixture->fake);
    free(fixture);
    return 0;
}

/* ── the tests ── */

static void test_datagrams_of_all_sizes_come_back(void **state)
{
    static const uint32_t sizes[] = {0, 1, 2, 17, 512, 1472, 2000};
    struct fixture *fixture = *state;
    uint8_t payload[2000];

    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct packet packet = datagram(fixture, i % 2, payload, sizes[i / 2]);

        put(fixture, &packet, 0);
        expect_answer(fixture, &packet);
    }
}

static void test_batches_come_back_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct packet packets[100];

    for (uint32_t i = 0; i < 100; i++) {
        packets[i] = datagram(fixture, i % 3 == 0, &i, sizeof(i));
        put(fixture, &packets[i], 0);
    }
    for (uint32_t i = 0; i < 100; i++)
        expect_answer(fixture, &packets[i]);
}

static void test_no_checksum_is_for_ipv4_alone(void **state)
{
    struct fixture *fixture = *state;
    struct packet four = datagram(fixture, false, "four", 4);
    struct packet six = datagram(fixture, true, "six", 3);

    udp(&four)->checksum = 0;
    put(fixture, &four, 0);
    expect_answer(fixture, &four);
    udp(&six)->checksum = 0;
    expect_dropped(fixture, &six, 0);
}

static void test_partial_checksum_is_taken_when_it_is_flagged(void **state)
{
    struct fixture *fixture = *state;

    for (int six = 0; six < 2; six++) {
        struct packet packet = datagram(fixture, six, "partial", 7);

        put(fixture, &packet, RECORD_CHECKSUM_PARTIAL); /* whole all the same */
        expect_answer(fixture, &packet);
        udp(&packet)->checksum = checksum_fold(pseudo_sum(&packet));
        put(fixture, &packet, RECORD_CHECKSUM_PARTIAL);
        expect_answer(fixture, &packet);
        expect_dropped(fixture, &packet, 0);
        udp(&packet)->checksum ^= 1;
        expect_dropped(fixture, &packet, RECORD_CHECKSUM_PARTIAL);
    }
}

static void test_broken_packets_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct packet good = datagram(fixture, false, "datagram", 8), bad;

    bad = good;
    bad.bytes[30] ^= 1;
    expect_dropped(fixture, &bad, 0);
    for (uint32_t length = 1; length < good.length; length++) {
        bad = good;
        bad.length = length;
        expect_dropped(fixture, &bad, 0);
    }
    for (uint16_t length = 0; length < 40; length++) { /* of UDP, with all else right */
        if (length == UDP_HEADER_SIZE + 8)
            continue;
        bad = good;
        udp(&bad)->length = htons(length);
        if (length >= UDP_HEADER_SIZE && length < UDP_HEADER_SIZE + 8)
            continue; /* shorter than the packet, with padding behind it, is allowed */
        expect_dropped(fixture, &bad, 0);
    }
    bad = good;
    ipv4(&bad)->version_ihl = 0x44;
    expect_dropped(fixture, &bad, 0);
    bad = good;
    ipv4(&bad)->version_ihl = 0x4f;
    expect_dropped(fixture, &bad, 0);
    bad = good;
    ipv4(&bad)->fragment = htons(IPV4_MORE_FRAGMENTS);
    expect_dropped(fixture, &bad, 0);
    bad = good;
    ipv4(&bad)->protocol = IP_PROTOCOL_ICMP;
    expect_dropped(fixture, &bad, 0);
    bad = datagram(fixture, true, "six", 3);
    ipv6(&bad)->payload_length = htons(2000);
    expect_dropped(fixture, &bad, 0);
    bad = datagram(fixture, true, "six", 3);
    ipv6(&bad)->next_header = 0; /* hop-by-hop options */
    expect_dropped(fixture, &bad, 0);
}

static void test_padding_behind_the_packet_is_not_echoed(void **state)
{
    struct fixture *fixture = *state;
    struct packet packet = datagram(fixture, false, "x", 1);

    packet.length = 46; /* the least that Ethernet carries */
    put(fixture, &packet, 0);
    expect_answer(fixture, &packet);
}

static void test_what_cannot_be_answered_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    struct packet good = datagram(fixture, false, "datagram", 8), bad;

    bad = good;
    udp(&bad)->source_port = 0;
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
    bad = good;
    udp(&bad)->source_port = fixture->port; /* another echo service */
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
    bad = good;
    memcpy(ipv4(&bad)->source, "\xff\xff\xff\xff", 4);
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
    bad = good;
    memset(ipv4(&bad)->source, 0, 4);
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
    bad = good;
    memcpy(ipv4(&bad)->destination, "\xe0\0\0\1", 4);
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
    bad = datagram(fixture, true, "six", 3);
    ipv6(&bad)->destination[0] = 0xff;
    set_checksums(&bad);
    expect_dropped(fixture, &bad, 0);
}

static void test_random_packets_do_not_stop_it(void **state)
{
    struct fixture *fixture = *state;
    struct packet good = datagram(fixture, false, "datagram", 8);

    srandom(1);
    for (int i = 0; i < 2000; i++) {
        struct packet packet = datagram(fixture, i % 2, "datagram", 8);
        int changes = 1 + (int)(random() % 8);

        while (changes--)
            packet.bytes[random() % 60] = (uint8_t)random();
        packet.length = 1 + (uint32_t)random() % 80;
        put(fixture, &packet, (uint16_t)(random() % 8) & ~RECORD_PAD);
        while (fake_switch_take(fixture->fake, 0, packet.bytes, sizeof(packet.bytes),
                                &(struct ring_record){0}) > 0)
            ;
    }
    put(fixture, &good, 0);
    for (;;) {
        struct packet answer = next_answer(fixture);

        if (answer.length == good.length && memcmp(udp(&answer) + 1, "datagram", 8) == 0)
            break;
    }
}

static void test_it_goes_on_after_a_restart_and_says_what_it_counted(void **state)
{
    struct fixture *fixture = *state;
    struct packet packet = datagram(fixture, false, "before", 6);
    char text[1000];

    put(fixture, &packet, 0);
    expect_answer(fixture, &packet);
    fake_switch_kill(fixture->fake);
    fake_switch_start(fixture->fake);
    while (!fake_switch_count(fixture->fake, &fixture->fake->binding_count))
        nap();
    packet = datagram(fixture, false, "after", 5);
    put(fixture, &packet, 0);
    expect_answer(fixture, &packet);
    udp(&packet)->checksum ^= 5;
    expect_dropped(fixture, &packet, 0);
    stop(fixture, text, sizeof(text));
    assert_non_null(strstr(text, "answering on udp 127.0.0.1:"));
    assert_non_null(strstr(text, "answered 3 datagrams, 15 bytes\n"));
    assert_non_null(strstr(text, "dropped 1 with a wrong checksum\n"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_datagrams_of_all_sizes_come_back),
        TEST(test_batches_come_back_in_order),
        TEST(test_no_checksum_is_for_ipv4_alone),
        TEST(test_partial_checksum_is_taken_when_it_is_flagged),
        TEST(test_broken_packets_are_dropped),
        TEST(test_padding_behind_the_packet_is_not_echoed),
        TEST(test_what_cannot_be_answered_is_dropped),
        TEST(test_random_packets_do_not_stop_it),
        TEST(test_it_goes_on_after_a_restart_and_says_what_it_counted),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test_msecho PATH-OF-MSECHO\n");
        return 2;
    }
    msecho = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
