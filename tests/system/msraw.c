/* SPDX-License-Identifier: BSD-2-Clause */
/* msraw PROTOCOL ADDRESS PORT [--send SOURCE DESTINATION HEX | --large SOURCE DESTINATION HEX]…: the
 * plainest stack there is.
 *
 * Binds one 3-tuple (port 0: the protocol has none) and prints a line for each packet that comes:
 * its length, then the packet in hexadecimal. What is to be sent is sent first, each as one packet
 * whose payload the caller has written out. With --large that is a TCP header of 20 bytes, and behind it
 * come LARGE_SIZE bytes, to be cut at LARGE_SEGMENT. Ends when it is killed. */
#include "checksum.h"
#include "multistack.h"
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_MAX   1400
#define LARGE_SIZE    32768
#define LARGE_SEGMENT 1460

static socklen_t make_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        return sizeof(*in);
    }
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
        exit(2);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    return sizeof(*in6);
}

static uint32_t read_hex(const char *text, uint8_t *bytes)
{
    uint32_t count = 0;

    for (; text[0] && text[1] && count < PAYLOAD_MAX; text += 2) {
        const char pair[3] = {text[0], text[1]};

        bytes[count++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return count;
}

static void transmit(struct ms_port *port, uint8_t protocol, const char *source,
                     const char *destination, const char *hex, bool large)
{
    static uint8_t payload[PAYLOAD_MAX + LARGE_SIZE];
    uint32_t size = read_hex(hex, payload);
    uint32_t header = strchr(source, ':') ? IPV6_HEADER_SIZE : IPV4_HEADER_MIN;
    const struct ms_offload offload = {
        .flags = MS_TX_SEGMENT | MS_TX_CHECKSUM,
        .segment_size = LARGE_SEGMENT,
        .checksum_start = (uint16_t)header,
        .checksum_offset = offsetof(struct wire_tcp, checksum),
    };
    struct wire_ipv4 ip4 = {.version_ihl = 0x45, .ttl = 8, .protocol = protocol};
    struct wire_ipv6 ip6 = {
        .version_class_flow = htonl(6U << 28), .next_header = protocol, .hop_limit = 8};
    uint8_t *place;

    for (uint32_t at = 0; large && at < LARGE_SIZE; at += 4, size += 4) {
        be32 word = htonl(at);

        memcpy(payload + size, &word, sizeof(word));
    }
    ip4.total_length = htons((uint16_t)(IPV4_HEADER_MIN + size));
    ip6.payload_length = htons((uint16_t)size);
    place = ms_reserve(port, 0, header + size);
    if (!place)
        exit(1);
    if (header == sizeof(ip6)) {
        inet_pton(AF_INET6, source, ip6.source);
        inet_pton(AF_INET6, destination, ip6.destination);
        memcpy(place, &ip6, header);
    } else {
        inet_pton(AF_INET, source, ip4.source);
        inet_pton(AF_INET, destination, ip4.destination);
        ip4.checksum = checksum_finish(checksum_add(0, &ip4, header));
        memcpy(place, &ip4, header);
    }
    memcpy(place + header, payload, size);
    ms_commit(port, 0, header + size, large ? &offload : NULL);
    ms_flush(port, 0);
}

static void print(const struct ms_packet *packet)
{
    printf("%u ", packet->length);
    for (uint32_t i = 0; i < packet->length && i < 128; i++)
        printf("%02x", packet->data[i]);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct ms_port *port;
    struct sockaddr_storage address;
    struct ms_packet packets[16];
    uint8_t protocol;
    int status;

    if (argc < 4)
        return 2;
    protocol = (uint8_t)strtoul(argv[1], NULL, 10);
    status = ms_port_open(&port, NULL);
    if (status < 0) {
        fprintf(stderr, "msraw: no port: %s\n", strerror(-status));
        return 1;
    }
    status = ms_bind(port, protocol, (struct sockaddr *)&address,
                     make_address(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), &address));
    if (status < 0) {
        fprintf(stderr, "msraw: no binding: %s\n", strerror(-status));
        return 1;
    }
    for (int i = 4; i + 3 < argc; i += 4)
        transmit(port, protocol, argv[i + 1], argv[i + 2], argv[i + 3],
                 !strcmp(argv[i], "--large"));
    printf("bound\n");
    fflush(stdout);
    while ((status = ms_wait(port, -1)) >= 0 || status == -EINTR) {
        unsigned count = ms_receive(port, 0, packets, 16);

        for (unsigned i = 0; i < count; i++)
            print(&packets[i]);
        ms_receive_done(port, 0);
    }
    fprintf(stderr, "msraw: %s\n", strerror(-status));
    return 1;
}
