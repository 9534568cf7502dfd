/* SPDX-License-Identifier: BSD-2-Clause */
/* msrings RINGS ADDRESS:PORT[@RING]…: answers UDP datagrams, with a thread for each ring of one port.
 *
 * An answer is the first bytes of the datagram (ANSWER_MAX), the first of which becomes a letter: 'A'
 * for what came to ring 0, 'B' for ring 1, and so on. With @RING a binding belongs to that ring. IPv4
 * alone. Ends when it is killed. */
#include "checksum.h"
#include "multistack.h"
#include "wire.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX 64
#define RINGS_MAX  16
#define BATCH      32

struct server {
    struct ms_port *port;
    unsigned ring;
};

/* Swaps the ends; a UDP checksum of 0 says that there is none (RFC 768). */
static void answer(const struct server *server, const struct ms_packet *packet)
{
    const struct wire_ipv4 *from = (const struct wire_ipv4 *)packet->data;
    const struct wire_udp *asked = (const struct wire_udp *)(from + 1);
    uint32_t heads = sizeof(*from) + sizeof(*asked);
    uint32_t size = packet->length < heads ? 0 : packet->length - heads;
    struct wire_ipv4 ip = {.version_ihl = 0x45, .ttl = 64, .protocol = IP_PROTOCOL_UDP};
    struct wire_udp udp;
    uint8_t *place;

    if (!size || from->version_ihl != 0x45 || from->protocol != IP_PROTOCOL_UDP)
        return;
    if (size > ANSWER_MAX)
        size = ANSWER_MAX;
    place = ms_reserve(server->port, server->ring, heads + size);
    if (!place)
        return;
    ip.total_length = htons((uint16_t)(heads + size));
    memcpy(ip.source, from->destination, 4);
    memcpy(ip.destination, from->source, 4);
    ip.checksum = checksum_finish(checksum_add(0, &ip, sizeof(ip)));
    udp = (struct wire_udp){.source_port = asked->destination_port,
                            .destination_port = asked->source_port,
                            .length = htons((uint16_t)(sizeof(udp) + size))};
    memcpy(place, &ip, sizeof(ip));
    memcpy(place + sizeof(ip), &udp, sizeof(udp));
    memcpy(place + heads, asked + 1, size);
    place[heads] = (uint8_t)('A' + server->ring);
    ms_commit(server->port, server->ring, heads + size, NULL);
}

static void *serve(void *argument)
{
    const struct server *server = argument;
    struct pollfd wanted = {.fd = ms_ring_fd(server->port, server->ring), .events = POLLIN};
    struct ms_packet packets[BATCH];

    for (;;) {
        unsigned count = ms_receive(server->port, server->ring, packets, BATCH);

        for (unsigned i = 0; i < count; i++)
            answer(server, &packets[i]);
        ms_receive_done(server->port, server->ring);
        ms_flush(server->port, server->ring);
        if (!count && ms_ring_wait(server->port, server->ring, 0))
            poll(&wanted, 1, -1);
    }
    return NULL;
}

/* "10.0.0.1:7" or "10.0.0.1:7@2". Returns what ms_bind_with() says. */
static int bind_one(struct ms_port *port, const char *text)
{
    struct ms_bind_options options = {.size = sizeof(options)};
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    unsigned number;

    if (sscanf(text, "%15[0-9.]:%u@%u", host, &number, &options.ring) == 3)
        options.flags = MS_BIND_RING;
    else if (sscanf(text, "%15[0-9.]:%u", host, &number) != 2)
        exit(2);
    inet_pton(AF_INET, host, &address.sin_addr);
    address.sin_port = htons((uint16_t)number);
    return ms_bind_with(port, IPPROTO_UDP, (struct sockaddr *)&address, sizeof(address), &options);
}

int main(int argc, char **argv)
{
    static struct server servers[RINGS_MAX];
    struct ms_port_options options = {.size = sizeof(options), .name = "msrings"};
    struct ms_port *port;
    int status;

    if (argc < 3)
        return 2;
    options.rings = (unsigned)strtoul(argv[1], NULL, 10);
    status = ms_port_open(&port, &options);
    for (int i = 2; i < argc && status >= 0; i++)
        status = bind_one(port, argv[i]);
    if (status < 0) {
        fprintf(stderr, "msrings: %s\n", strerror(-status));
        return 1;
    }
    for (unsigned i = 0; i < options.rings; i++) {
        pthread_t thread;

        servers[i] = (struct server){.port = port, .ring = i};
        if (ms_ring_fd(port, i) < 0 || pthread_create(&thread, NULL, serve, &servers[i]))
            return 1;
    }
    printf("bound\n");
    fflush(stdout);
    for (;;) {
        struct pollfd wanted = {.fd = ms_port_fd(port), .events = POLLIN};

        poll(&wanted, 1, -1);
        ms_dispatch(port);
    }
}
