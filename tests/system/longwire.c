/* SPDX-License-Identifier: BSD-2-Clause */
/* longwire [--delay MS] [--rate MBIT] [--queue BYTES] [--loss PERCENT] [--seed N] SERVER CLIENT
 *
 * A path of some length between two devices of this network namespace: what one receives leaves by
 * the other after a queue of limited size before a link of limited rate, --delay ms of flight, and
 * the loss of some at random; the same in both directions. It prints "ready", and when it is ended
 * what became of how many packets, as JSON.
 *
 * netem(8) would do, but the test machines have none, nor any queueing discipline that holds packets
 * back for a time: hence a program, with packet sockets. A packet's fate is known when it comes: how
 * long it waits follows from when the link will be free. Loss befalls IP alone, as in lossy.bpf.c,
 * and behind the bottleneck, so that it is not the queue's. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SLOTS  8192 /* packets in flight in one direction; a power of two */
#define FRAME  2048
#define BATCH  64
#define SECOND UINT64_C(1000000000) /* ns */

struct slot {
    uint64_t due; /* ns */
    uint32_t length;
    uint8_t data[FRAME];
};

/* What goes from one device to the other. */
struct direction {
    const char *name;
    int from, to; /* sockets */
    struct slot *slots;
    uint32_t head, tail; /* the next to leave, the next to come; they count on and on */
    uint64_t free_at;    /* when the link has sent what waits for it, ns */
    uint64_t packets, lost, dropped, longest; /* longest: bytes that waited at a time, at most */
};

static struct {
    uint64_t delay; /* ns */
    uint64_t rate;  /* bytes per second; 0: no limit */
    uint64_t queue; /* bytes */
    double loss;    /* probability */
    uint64_t random;
} path = {.queue = 1 << 20, .random = 1};

static volatile sig_atomic_t ended;

static void die(const char *what)
{
    fprintf(stderr, "longwire: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

/* Whether this one is lost: SplitMix64 (Steele, Lea, Flood, 2014). */
static bool loses(void)
{
    uint64_t z = path.random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) / (double)(UINT64_C(1) << 53) < path.loss;
}

static bool is_ip(const struct slot *slot)
{
    uint16_t type = (uint16_t)(slot->data[12] << 8 | slot->data[13]);

    return type == ETH_P_IP || type == ETH_P_IPV6;
}

/* A packet came. False: it goes no further. */
static bool pass(struct direction *way, struct slot *slot, uint64_t now)
{
    uint64_t waiting;

    way->packets++;
    if (path.rate) {
        if (way->free_at < now)
            way->free_at = now;
        waiting = (way->free_at - now) * path.rate / SECOND;
        if (waiting + slot->length > path.queue) {
            way->dropped++;
            return false;
        }
        if (waiting + slot->length > way->longest)
            way->longest = waiting + slot->length;
        way->free_at += slot->length * SECOND / path.rate;
    }
    if (is_ip(slot) && loses()) {
        way->lost++;
        return false;
    }
    slot->due = (path.rate ? way->free_at : now) + path.delay;
    return true;
}

static void take(struct direction *way)
{
    struct mmsghdr messages[BATCH];
    struct iovec pieces[BATCH];
    uint32_t room = SLOTS - (way->tail - way->head), first = way->tail;
    unsigned count = room < BATCH ? room : BATCH;
    uint64_t now;
    int got;

    memset(messages, 0, sizeof(messages));
    for (unsigned i = 0; i < count; i++) {
        pieces[i] = (struct iovec){way->slots[(way->tail + i) % SLOTS].data, FRAME};
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    got = recvmmsg(way->from, messages, count, MSG_DONTWAIT, NULL);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        die("receiving");
    now = now_ns();
    for (int i = 0; i < got; i++) {
        struct slot *to = &way->slots[way->tail % SLOTS];
        struct slot *came = &way->slots[(first + (unsigned)i) % SLOTS];

        if (messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
            fprintf(stderr, "longwire: a packet of more than %d bytes: offloads are to be off\n",
                    FRAME);
            exit(1);
        }
        came->length = messages[i].msg_len;
        if (!pass(way, came, now))
            continue;
        if (to != came)
            memcpy(to, came, offsetof(struct slot, data) + came->length);
        way->tail++;
    }
}

/* Sends what is due. */
static void give(struct direction *way, uint64_t now)
{
    struct mmsghdr messages[BATCH];
    struct iovec pieces[BATCH];
    unsigned count = 0;

    memset(messages, 0, sizeof(messages));
    while (count < BATCH && way->head + count != way->tail) {
        struct slot *slot = &way->slots[(way->head + count) % SLOTS];

        if (slot->due > now)
            break;
        pieces[count] = (struct iovec){slot->data, slot->length};
        messages[count].msg_hdr.msg_iov = &pieces[count];
        messages[count].msg_hdr.msg_iovlen = 1;
        count++;
    }
    if (count && sendmmsg(way->to, messages, count, 0) != (int)count)
        die("sending");
    way->head += count;
}

static uint64_t next_due(const struct direction *way)
{
    return way->head == way->tail ? UINT64_MAX : way->slots[way->head % SLOTS].due;
}

static void run(struct direction ways[2], const sigset_t *waiting)
{
    while (!ended) {
        struct pollfd sockets[2];
        struct timespec timeout;
        uint64_t now = now_ns(), next = UINT64_MAX;

        for (int i = 0; i < 2; i++) {
            give(&ways[i], now);
            /* A full wire takes nothing more: the socket's buffer is next. */
            sockets[i] = (struct pollfd){
                .fd = ways[i].tail - ways[i].head < SLOTS ? ways[i].from : -1, .events = POLLIN};
            if (next_due(&ways[i]) < next)
                next = next_due(&ways[i]);
        }
        next = next == UINT64_MAX ? SECOND : next > now ? next - now : 0;
        timeout = (struct timespec){(time_t)(next / SECOND), (long)(next % SECOND)};
        if (ppoll(sockets, 2, &timeout, waiting) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < 2; i++)
            if (sockets[i].revents)
                take(&ways[i]);
    }
}

static int device(const char *name)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1, size = 16 << 20;

    if (fd < 0 || address.sll_ifindex == 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die(name);
    return fd;
}

static double number(const char *text, double most)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= 0 && value <= most)) {
        fprintf(stderr, "longwire: %s: not a number from 0 to %.0f\n", text, most);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"delay", required_argument, NULL, 'd'}, {"rate", required_argument, NULL, 'r'},
        {"queue", required_argument, NULL, 'q'}, {"loss", required_argument, NULL, 'l'},
        {"seed", required_argument, NULL, 's'},  {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd': path.delay = (uint64_t)(number(optarg, 10000) * 1e6); break;
        case 'r': path.rate = (uint64_t)(number(optarg, 100000) * 1e6 / 8); break;
        case 'q': path.queue = (uint64_t)number(optarg, 1e9); break;
        case 'l': path.loss = number(optarg, 100) / 100; break;
        case 's': path.random = strtoull(optarg, NULL, 0); break;
        default: exit(2);
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "usage: longwire [--delay MS] [--rate MBIT] [--queue BYTES] "
                        "[--loss PERCENT] [--seed N] SERVER CLIENT\n");
        exit(2);
    }
}

static void on_signal(int signal)
{
    (void)signal;
    ended = 1;
}

int main(int argc, char **argv)
{
    struct direction ways[2] = {{.name = "server"}, {.name = "client"}};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ends, before;
    int sockets[2];

    parse(argc, argv);
    for (int i = 0; i < 2; i++) {
        sockets[i] = device(argv[optind + i]);
        ways[i].slots = calloc(SLOTS, sizeof(struct slot));
        if (ways[i].slots == NULL)
            die("memory");
    }
    for (int i = 0; i < 2; i++) {
        ways[i].from = sockets[i];
        ways[i].to = sockets[!i];
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, &before);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1UL); /* ns */
    printf("ready\n");
    fflush(stdout);
    run(ways, &before);
    for (int i = 0; i < 2; i++)
        printf("{\"from\": \"%s\", \"packets\": %ju, \"lost\": %ju, \"dropped\": %ju, "
               "\"longest_queue\": %ju}\n",
               ways[i].name, (uintmax_t)ways[i].packets, (uintmax_t)ways[i].lost,
               (uintmax_t)ways[i].dropped, (uintmax_t)ways[i].longest);
    return 0;
}
