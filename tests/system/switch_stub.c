/* SPDX-License-Identifier: BSD-2-Clause */
/* A switch that moves no packet, for tests of the keeper: takes what it is handed, says what it
 * got, answers READY, keeps the heartbeat. What else it does is asked for by a word, which it finds
 * in the environment since it is forked and not executed:
 *
 *   SWITCH_STUB=crash    ends with status 1 as soon as it is ready
 *   SWITCH_STUB=deaf     does not hear CHANNEL_STOP
 *   SWITCH_STUB=rude     sends a message that makes no sense
 *   SWITCH_STUB=open     makes a system call that is not for it
 *   SWITCH_STUB=resolve:DESTINATION,SOURCE   asks for next hops and says what it is told
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "log.h"
#include "mux_maps.h"
#include "switch.h"

#define BEAT_MS 50

struct stub {
    int channel;
    const char *wish;
    struct mux_shared *shared;
    unsigned nics, queues, addresses;
    bool asked;
};

static void beat(struct stub *stub)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (stub->shared)
        stub->shared->heartbeat_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static void take_config(struct stub *stub, const struct channel_config *config, const int *fds)
{
    struct mux_key key = {.family = 4, .protocol = 6, .port = htons(80)};
    uint32_t one = 1;
    union bpf_attr update = {
        .map_fd = (uint32_t)fds[1], .key = (uintptr_t)&key, .value = (uintptr_t)&one};

    stub->shared = mmap(NULL, sizeof(*stub->shared), PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
    if (stub->shared == MAP_FAILED)
        stub->shared = NULL;
    log_notice("config: restarts %u, heartbeat %s, binding %s", config->restarts,
               stub->shared ? "mapped" : strerror(errno),
               syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &update, sizeof(update)) ? strerror(errno)
                                                                              : "set");
}

static void take_nic(struct stub *stub, const struct channel_nic *nic, const int *fds)
{
    uint64_t values[1024] = {0};
    uint32_t verdict = 0;
    union bpf_attr lookup = {
        .map_fd = (uint32_t)fds[0], .key = (uintptr_t)&verdict, .value = (uintptr_t)values};

    log_notice("NIC %u: verdicts %s", nic->index,
               nic->verdict_cpus && nic->verdict_cpus <= 1024 &&
                       !syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &lookup, sizeof(lookup))
                   ? "read"
                   : strerror(errno));
    stub->nics++;
}

static void take_queue(struct stub *stub, const struct channel_queue *queue, const int *fds)
{
    void *rx = mmap(NULL, queue->rx.desc + queue->rx.entries * 16ULL, PROT_READ | PROT_WRITE,
                    MAP_SHARED, fds[0], 0 /* XDP_PGOFF_RX_RING */);
    void *memory = mmap(NULL, queue->umem_size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);

    log_notice("queue %u of NIC %u: rings %s, memory %s, truncation %s", queue->queue, queue->nic,
               rx == MAP_FAILED ? "failed" : "mapped", memory == MAP_FAILED ? "failed" : "mapped",
               ftruncate(fds[1], 4096) ? "refused" : "possible");
    stub->queues++;
}

static void send_plain(struct stub *stub, uint32_t type)
{
    struct channel_plain message = {.header = {.type = type, .size = sizeof(message)}};

    send(stub->channel, &message, sizeof(message), MSG_NOSIGNAL);
}

static void parse_ip(const char *text, struct channel_ip *ip)
{
    ip->family = strchr(text, ':') ? 6 : 4;
    inet_pton(ip->family == 4 ? AF_INET : AF_INET6, text, ip->bytes);
}

static void ask(struct stub *stub)
{
    struct channel_resolve request = {.header = {.type = CHANNEL_RESOLVE, .size = sizeof(request)}};
    char words[128], *comma;

    snprintf(words, sizeof(words), "%s", stub->wish + strlen("resolve:"));
    comma = strchr(words, ',');
    if (!comma)
        return;
    *comma++ = '\0';
    parse_ip(words, &request.destination);
    parse_ip(comma, &request.source);
    send(stub->channel, &request, sizeof(request), MSG_NOSIGNAL);
}

static void on_start(struct stub *stub)
{
    log_notice("started with %u NICs, %u queues, %u addresses", stub->nics, stub->queues,
               stub->addresses);
    if (!strcmp(stub->wish, "open"))
        syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
    send_plain(stub, CHANNEL_READY);
    if (!strcmp(stub->wish, "rude"))
        send_plain(stub, 4711);
    if (!strcmp(stub->wish, "crash"))
        exit(1);
    if (!strncmp(stub->wish, "resolve:", 8))
        ask(stub);
}

static void say_next_hop(const struct channel_next_hop *hop)
{
    static const char *const kinds[] = {"unreachable", "nic", "resolving", "local", "other"};
    char gateway[INET6_ADDRSTRLEN];

    inet_ntop(hop->gateway.family == 4 ? AF_INET : AF_INET6, hop->gateway.bytes, gateway,
              sizeof(gateway));
    log_notice("next hop: %s by %s mtu %u mac %02x:%02x:%02x:%02x:%02x:%02x",
               hop->kind < 5 ? kinds[hop->kind] : "?", gateway, hop->mtu, hop->mac[0], hop->mac[1],
               hop->mac[2], hop->mac[3], hop->mac[4], hop->mac[5]);
}

static void say_neighbor(const struct channel_neighbor *neighbor)
{
    char address[INET6_ADDRSTRLEN];

    inet_ntop(neighbor->address.family == 4 ? AF_INET : AF_INET6, neighbor->address.bytes, address,
              sizeof(address));
    log_notice("neighbor %s is %s", address, neighbor->valid ? "there" : "not there");
}

/* Returns whether to go on. */
static bool take(struct stub *stub, const void *bytes, const int *fds)
{
    const struct channel_header *header = bytes;

    switch (header->type) {
    case CHANNEL_CONFIG: take_config(stub, bytes, fds); break;
    case CHANNEL_NIC: take_nic(stub, bytes, fds); break;
    case CHANNEL_QUEUE: take_queue(stub, bytes, fds); break;
    case CHANNEL_ADDRESS:
        stub->addresses++;
        log_debug("address %s", ((const struct channel_address *)bytes)->present ? "came" : "went");
        break;
    case CHANNEL_START: on_start(stub); break;
    case CHANNEL_NEXT_HOP: say_next_hop(bytes); break;
    case CHANNEL_NEIGHBOR: say_neighbor(bytes); break;
    case CHANNEL_LINK:
        log_notice("link: mtu %u, %s", ((const struct channel_link *)bytes)->mtu,
                   ((const struct channel_link *)bytes)->up ? "up" : "down");
        break;
    case CHANNEL_ROUTES_CHANGED: log_debug("routes changed"); break;
    case CHANNEL_STOP: return !strcmp(stub->wish, "deaf");
    }
    return true;
}

static bool receive(struct stub *stub)
{
    _Alignas(8) char bytes[CHANNEL_MESSAGE_MAX];
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
    int fds[CHANNEL_FDS_MAX] = {-1, -1, -1, -1};
    struct iovec piece = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *cmsg;

    if (recvmsg(stub->channel, &message, MSG_CMSG_CLOEXEC) <= 0)
        return false;
    cmsg = CMSG_FIRSTHDR(&message);
    if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(cmsg), cmsg->cmsg_len - CMSG_LEN(0));
    return take(stub, bytes, fds);
}

int switch_main(int channel_fd)
{
    const char *wish = getenv("SWITCH_STUB");
    struct stub stub = {.channel = channel_fd, .wish = wish ? wish : ""};
    struct pollfd readable = {.fd = channel_fd, .events = POLLIN};

    for (;;) {
        int ready = poll(&readable, 1, BEAT_MS);

        beat(&stub);
        if (ready > 0 && !receive(&stub))
            return 0;
    }
}
