/* SPDX-License-Identifier: BSD-2-Clause */
/* flood_sender DEVICE MAC OWN-MAC ADDRESS PORT syn|ack RATE: sends TCP segments from random addresses of
 * 198.18.0.0/15, whom nobody answers for, to ADDRESS (IPv4) at MAC until it is ended, RATE in a second or
 * (0) as many as there can be; then says how many in a second it were. They come from OWN-MAC, and what is
 * answered at the NIC goes there. SYNs look like Linux's. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "checksum.h"
#include "wire.h"

#define BATCH   64
#define OPTIONS 20

struct frame {
    struct wire_ether ether;
    struct wire_ipv4 ip;
    struct wire_tcp tcp;
    uint8_t options[OPTIONS];
} WIRE_PACKED;

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint32_t chance(void)
{
    static uint64_t state = 88172645463325252ULL; /* xorshift64 */

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static int open_device(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_ifindex = (int)if_nametoindex(name)};

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
        return -1;
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
    return fd;
}

static void make(struct frame *frame, bool syn)
{
    static const uint8_t options[OPTIONS] = {2, 4, 5, 180, 4, 2, 8, 10, [16] = 1, 3, 3, 7};
    static const uint8_t stamp[12] = {1, 1, 8, 10};
    uint32_t source = htonl(0xc6120000 | (chance() & 0x1ffff));
    uint16_t size = (uint16_t)(sizeof(frame->tcp) + (syn ? OPTIONS : sizeof(stamp)));
    uint64_t sum;

    memcpy(frame->ip.source, &source, 4);
    frame->ip.total_length = htons((uint16_t)(sizeof(frame->ip) + size));
    frame->ip.checksum = 0;
    frame->ip.checksum = checksum_ipv4_make(&frame->ip);
    frame->tcp.source_port = htons((uint16_t)(1024 + chance() % 64512));
    frame->tcp.sequence = chance();
    frame->tcp.acknowledgment = syn ? 0 : chance();
    frame->tcp.data_offset = (uint8_t)(size / 4 << 4);
    frame->tcp.flags = syn ? TCP_SYN : TCP_ACK;
    memcpy(frame->options, syn ? options : stamp, syn ? OPTIONS : sizeof(stamp));
    frame->tcp.checksum = 0;
    sum = checksum_pseudo_header(frame->ip.source, frame->ip.destination, 4, IP_PROTOCOL_TCP, size);
    frame->tcp.checksum = checksum_finish(checksum_add(sum, &frame->tcp, size));
}

/* Not before its time; what was missed is not caught up with. */
static void pace(uint64_t *due_ns, uint64_t rate)
{
    uint64_t now = clock_ns();
    struct timespec until = {.tv_sec = (time_t)(*due_ns / 1000000000),
                             .tv_nsec = (long)(*due_ns % 1000000000)};

    if (!rate)
        return;
    if (now < *due_ns)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    else
        *due_ns = now;
    *due_ns += (uint64_t)BATCH * 1000000000 / rate;
}

static uint64_t send_all(int fd, struct frame *frames, bool syn, uint64_t rate)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    uint64_t sent = 0, due_ns = clock_ns();

    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){&frames[i], sizeof(struct frame) - (syn ? 0 : OPTIONS - 12)};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    while (!ended) {
        int count;

        for (unsigned i = 0; i < BATCH; i++)
            make(&frames[i], syn);
        count = sendmmsg(fd, messages, BATCH, 0);
        if (count > 0)
            sent += (uint64_t)count;
        else if (errno != EINTR && errno != ENOBUFS && errno != EAGAIN)
            break;
        pace(&due_ns, rate);
    }
    return sent;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    const struct ether_addr *address = ether_aton(text);

    if (address)
        memcpy(mac, address, 6);
    return address;
}

int main(int argc, char **argv)
{
    static struct frame frames[BATCH];
    struct sigaction action = {.sa_handler = end};
    uint8_t own[6], other[6];
    uint64_t begun, sent;
    struct frame *first = &frames[0];
    int fd;

    if (argc != 8 || !parse_mac(argv[2], other) || !parse_mac(argv[3], own)) {
        fprintf(stderr, "usage: flood_sender DEVICE MAC OWN-MAC ADDRESS PORT syn|ack RATE\n");
        return 2;
    }
    fd = open_device(argv[1]);
    if (fd < 0) {
        fprintf(stderr, "flood_sender: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    memcpy(first->ether.destination, other, 6);
    memcpy(first->ether.source, own, 6);
    first->ether.type = htons(ETHER_TYPE_IPV4);
    first->ip = (struct wire_ipv4){.version_ihl = 0x45, .ttl = 64, .protocol = IP_PROTOCOL_TCP};
    inet_pton(AF_INET, argv[4], first->ip.destination);
    first->tcp.destination_port = htons((uint16_t)strtoul(argv[5], NULL, 10));
    first->tcp.window = htons(64240);
    for (unsigned i = 1; i < BATCH; i++)
        frames[i] = frames[0];
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    begun = clock_ns();
    sent = send_all(fd, frames, strcmp(argv[6], "syn") == 0, strtoull(argv[7], NULL, 10));
    printf("%.0f\n", (double)sent * 1e9 / (double)(clock_ns() - begun));
    return ended ? 0 : 1;
}
