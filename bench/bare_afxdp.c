/* SPDX-License-Identifier: BSD-2-Clause */
/* bare_afxdp tx|rx DEV SECONDS SIZE [TO-MAC TO-ADDRESS PORT]: an AF_XDP socket and nothing else.
 *
 * What bench/afxdp compares the switch with: the least that any program has to do to send or receive
 * frames through AF_XDP, with libxdp's own functions, in the mode that the switch uses on veth
 * (generic XDP, copy mode, need_wakeup). It touches no packet: what it sends was written once at the
 * start, what it receives it only counts.
 *
 * SIZE counts the frame check sequence, as the wire does. Prints one JSON object: packets, seconds,
 * and the CPU time of this process in nanoseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <xdp/xsk.h>

#include "checksum.h"
#include "wire.h"

#define CHUNK_SIZE  2048
#define CHUNK_COUNT 8192 /* half for the fill ring, half to be sent */
#define RING_SIZE   4096
#define BATCH       64
#define FCS_SIZE    4
#define SOURCE_PORT 9999

struct bench {
    struct xsk_ring_prod fill, tx;
    struct xsk_ring_cons completion, rx;
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    uint8_t *memory;
    uint32_t length; /* of a frame, without its check sequence */
    uint64_t packets;
    uint32_t outstanding;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "bare_afxdp: %s: %s\n", what, strerror(error));
    exit(1);
}

/* A TCP segment that fills the frame, from a neighbour of the address that it goes to. */
static void write_frame(uint8_t *frame, uint32_t length, char **to)
{
    struct wire_ether *ether = (struct wire_ether *)frame;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)(ether + 1);
    struct wire_tcp *tcp = (struct wire_tcp *)(ip + 1);
    uint32_t segment = length - ETHER_HEADER_SIZE - IPV4_HEADER_MIN;
    struct ether_addr *mac = ether_aton(to[0]);
    uint64_t sum;

    memset(frame, 0, length);
    *ip = (struct wire_ipv4){
        .version_ihl = 0x45,
        .total_length = htons((uint16_t)(segment + IPV4_HEADER_MIN)),
        .ttl = 64,
        .protocol = IP_PROTOCOL_TCP,
    };
    if (!mac || inet_pton(AF_INET, to[1], ip->destination) != 1)
        die("destination", EINVAL);
    memcpy(ether->destination, mac, ETHER_ADDRESS_SIZE);
    ether->source[0] = 0x02; /* locally administered */
    ether->type = htons(ETHER_TYPE_IPV4);
    memcpy(ip->source, ip->destination, 4);
    ip->source[3] ^= 3;
    ip->checksum = checksum_finish(checksum_add(0, ip, sizeof(*ip)));
    tcp->source_port = htons(SOURCE_PORT);
    tcp->destination_port = htons((uint16_t)atoi(to[2]));
    tcp->data_offset = 0x50;
    tcp->flags = TCP_ACK;
    sum = checksum_pseudo_header(ip->source, ip->destination, 4, IP_PROTOCOL_TCP, segment);
    tcp->checksum = checksum_finish(checksum_add(sum, tcp, segment));
}

static void open_socket(struct bench *bench, const char *device, bool receive)
{
    struct xsk_umem_config umem = {
        .fill_size = RING_SIZE,
        .comp_size = RING_SIZE,
        .frame_size = CHUNK_SIZE,
    };
    struct xsk_socket_config config = {
        .rx_size = RING_SIZE,
        .tx_size = RING_SIZE,
        .xdp_flags = XDP_FLAGS_SKB_MODE,
        .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
        .libbpf_flags = receive ? 0 : XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD,
    };
    int status;

    bench->memory = mmap(NULL, (size_t)CHUNK_SIZE * CHUNK_COUNT, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bench->memory == MAP_FAILED)
        die("memory", errno);
    status = xsk_umem__create(&bench->umem, bench->memory, (uint64_t)CHUNK_SIZE * CHUNK_COUNT,
                              &bench->fill, &bench->completion, &umem);
    if (status)
        die("UMEM", -status);
    status = xsk_socket__create(&bench->socket, device, 0, bench->umem, receive ? &bench->rx : NULL,
                                receive ? NULL : &bench->tx, &config);
    if (status)
        die(device, -status);
}

static void send_batch(struct bench *bench)
{
    uint32_t first, done;

    done = xsk_ring_cons__peek(&bench->completion, RING_SIZE, &first);
    xsk_ring_cons__release(&bench->completion, done);
    bench->outstanding -= done;
    bench->packets += done;
    /* every frame is the same, so which chunk is free does not matter, only how many are */
    if (bench->outstanding + BATCH <= RING_SIZE &&
        xsk_ring_prod__reserve(&bench->tx, BATCH, &first) == BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            struct xdp_desc *desc = xsk_ring_prod__tx_desc(&bench->tx, first + i);

            *desc = (struct xdp_desc){.addr = (uint64_t)((first + i) % CHUNK_COUNT) * CHUNK_SIZE,
                                      .len = bench->length};
        }
        xsk_ring_prod__submit(&bench->tx, BATCH);
        bench->outstanding += BATCH;
    }
    if (xsk_ring_prod__needs_wakeup(&bench->tx))
        sendto(xsk_socket__fd(bench->socket), NULL, 0, MSG_DONTWAIT, NULL, 0);
}

static void give_chunks(struct bench *bench, uint64_t *chunks, uint32_t count)
{
    uint32_t first;

    if (xsk_ring_prod__reserve(&bench->fill, count, &first) != count)
        die("fill ring", ENOSPC);
    for (uint32_t i = 0; i < count; i++)
        *xsk_ring_prod__fill_addr(&bench->fill, first + i) = chunks[i];
    xsk_ring_prod__submit(&bench->fill, count);
}

static void receive_batch(struct bench *bench)
{
    uint64_t chunks[BATCH];
    uint32_t first, count = xsk_ring_cons__peek(&bench->rx, BATCH, &first);
    struct pollfd ready = {.fd = xsk_socket__fd(bench->socket), .events = POLLIN};

    if (!count) {
        poll(&ready, 1, 10);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        chunks[i] = xsk_ring_cons__rx_desc(&bench->rx, first + i)->addr & ~(CHUNK_SIZE - 1ULL);
    xsk_ring_cons__release(&bench->rx, count);
    give_chunks(bench, chunks, count);
    bench->packets += count;
}

int main(int argc, char **argv)
{
    bool receive = argc > 1 && !strcmp(argv[1], "rx");
    struct bench bench = {0};
    uint64_t start, end;

    if (argc != (receive ? 5 : 8)) {
        fprintf(stderr, "usage: bare_afxdp rx DEV SECONDS SIZE\n"
                        "       bare_afxdp tx DEV SECONDS SIZE TO-MAC TO-ADDRESS PORT\n");
        return 2;
    }
    bench.length = (uint32_t)atoi(argv[4]) - FCS_SIZE;
    if (bench.length < ETHER_HEADER_SIZE + IPV4_HEADER_MIN + TCP_HEADER_MIN ||
        bench.length > CHUNK_SIZE)
        die("size", ERANGE);
    open_socket(&bench, argv[2], receive);
    if (receive) {
        /* half of the ring: the kernel tells late what it has taken */
        for (uint64_t chunk = 0; chunk < RING_SIZE / 2; chunk++)
            give_chunks(&bench, &(uint64_t){chunk * CHUNK_SIZE}, 1);
    } else {
        for (uint32_t chunk = 0; chunk < CHUNK_COUNT; chunk++)
            write_frame(bench.memory + (size_t)chunk * CHUNK_SIZE, bench.length, &argv[5]);
    }
    start = clock_ns(CLOCK_MONOTONIC);
    end = start + strtoull(argv[3], NULL, 10) * 1000000000;
    while (clock_ns(CLOCK_MONOTONIC) < end) {
        for (int i = 0; i < 16; i++)
            receive ? receive_batch(&bench) : send_batch(&bench);
    }
    printf("{\"packets\": %lu, \"seconds\": %.3f, \"cpu_ns\": %lu}\n", bench.packets,
           (double)(clock_ns(CLOCK_MONOTONIC) - start) / 1e9, clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    xsk_socket__delete(bench.socket);
    xsk_umem__delete(bench.umem);
    return 0;
}
