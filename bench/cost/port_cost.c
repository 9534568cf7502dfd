/* SPDX-License-Identifier: BSD-2-Clause */
/* What a port costs, its client and everybody else: a storm of clients that open a port, bind it and
 * close it, one behind the other, beside a switch that never stops looking at its NIC.
 *
 *   port_cost thread|inline [bytes of each ring] [seconds]
 *
 * The switch is the real one, on the first processor that we may use; the clients and the memory
 * thread have the others. "inline": without the memory thread. The NIC is empty, and notes when it is
 * looked at: the time between two looks is how long a packet could have waited. CPU time of the
 * switch's thread is what it did itself; the clock on the wall also has the machine's pauses, so both
 * are printed for a while without and a while with the storm. One JSON object: medians and maxima in
 * microseconds, and the share of the time in gaps above 20 µs. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control_protocol.h"
#include "core.h"
#include "pass_fds.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define SAMPLES_MAX 1000000
#define STALL_NS    20000 /* looks further apart than this are counted */

struct series {
    uint32_t *ns;
    uint32_t count;
};

/* Written by the switch's thread; the phase by ours. */
struct looks {
    uint64_t count, stalls, longest_ns, stalled_ns; /* CPU time */
    uint64_t longest_wall_ns;
};

static struct switch_core *core;
static struct looks looks[2];
static uint64_t looked_ns, looked_cpu_ns;
static int phase = -1; /* 0: calm, 1: storm */

static void fail(const char *what)
{
    fprintf(stderr, "port_cost: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ── a NIC that nothing comes from ── */

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static uint32_t empty_receive(struct nic_queue *queue, struct nic_frame *out, uint32_t max)
{
    int now = __atomic_load_n(&phase, __ATOMIC_RELAXED);
    uint64_t ns = core_clock(), cpu = cpu_ns();
    uint64_t wall = looked_ns ? ns - looked_ns : 0, gap = looked_ns ? cpu - looked_cpu_ns : 0;

    (void)queue;
    (void)out;
    (void)max;
    looked_ns = ns;
    looked_cpu_ns = cpu;
    if (now < 0)
        return 0;
    looks[now].count++;
    if (wall > looks[now].longest_wall_ns)
        looks[now].longest_wall_ns = wall;
    if (gap > looks[now].longest_ns)
        looks[now].longest_ns = gap;
    if (gap > STALL_NS) {
        looks[now].stalls++;
        looks[now].stalled_ns += gap;
    }
    return 0;
}

static void empty_nothing(struct nic_queue *queue)
{
    (void)queue;
}

static uint32_t empty_room(struct nic_queue *queue)
{
    (void)queue;
    return 0;
}

static int empty_fd(const struct nic_queue *queue)
{
    (void)queue;
    return -1;
}

static bool empty_sleep(struct nic_queue *queue)
{
    (void)queue;
    return true;
}

static const struct nic_ops empty_ops = {
    .name = "empty",
    .receive = empty_receive,
    .release = empty_nothing,
    .room = empty_room,
    .flush = empty_nothing,
    .fd = empty_fd,
    .sleep = empty_sleep,
    .close = empty_nothing,
};

/* ── the switch ── */

static void *run_switch(void *unused)
{
    worker_pin(&core->workers[0]);
    worker_run(&core->workers[0]);
    return unused;
}

static uint32_t first_cpu(void)
{
    cpu_set_t all;
    uint32_t cpu = 0;

    sched_getaffinity(0, sizeof(all), &all);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    return cpu;
}

/* Returns where to connect to. */
static struct sockaddr_un make_switch(bool thread)
{
    uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple host = tuple_make(loopback, 4, 0, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(uint64_t);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0), ends[2];
    int any = socket(AF_INET, SOCK_DGRAM, 0);
    struct nic *nic;

    /* an abstract name of ours */
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "port_cost-%d", (int)getpid());
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
        listen(listener, 16) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends))
        fail("the control socket");
    core = calloc(1, sizeof(*core));
    core->config = (struct channel_config){.ports_max = 64,
                                           .ports_per_uid_max = 64,
                                           .busy_poll_us = ADAPTIVE_POLL_ALWAYS,
                                           .ring_size_default = RING_SIZE_DEFAULT};
    core->config.cpus[0] = first_cpu() + 1;
    if (getsockopt(any, SOL_SOCKET, SO_NETNS_COOKIE, &core->config.netns_cookie, &size))
        fail("the namespace");
    close(any);
    if (core_init(core, ends[0], listener, -1))
        fail("the switch");
    nic = &core->nics[0];
    *nic = (struct nic){.ops = &empty_ops,
                        .name = "empty",
                        .mtu = 1500,
                        .up = true,
                        .queue_count = 1,
                        .verdicts_fd = -1};
    nic->queues = calloc(1, sizeof(struct nic_queue));
    nic->queues[0] = (struct nic_queue){.ops = &empty_ops, .nic = nic};
    core->nic_count = 1;
    worker_add_queue(&core->workers[0], &nic->queues[0]);
    namespace_set_address(&core->workers[0].names, &host, true);
    if (thread && memory_thread_start(core))
        fail("the memory thread");
    return address;
}

/* ── a client ── */

static void ask(int fd, const void *request, size_t size, int with, void *answer, size_t room)
{
    struct iovec piece = {answer, room};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))] = {0};
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    const struct control_header *header = answer;
    struct cmsghdr *cmsg;

    if (pass_fds(fd, request, size, &with, with >= 0, MSG_NOSIGNAL) != (ssize_t)size)
        fail("a request");
    if (recvmsg(fd, &msg, 0) != (ssize_t)room)
        fail("an answer");
    for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        for (size_t i = 0; i < (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int got;

            memcpy(&got, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            close(got);
        }
    }
    errno = header->error;
    if (header->error)
        fail("refused");
}

static void note(struct series *series, uint64_t since)
{
    if (series->count < SAMPLES_MAX)
        series->ns[series->count++] = (uint32_t)(core_clock() - since);
}

static int greeted(const struct sockaddr_un *address)
{
    struct control_hello hello = {.header = {.type = CONTROL_HELLO, .size = sizeof(hello)},
                                  .magic = CONTROL_MAGIC,
                                  .version = CONTROL_VERSION};
    struct control_welcome welcome = {0};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)))
        fail("connect");
    ask(fd, &hello, sizeof(hello), -1, &welcome, sizeof(welcome));
    return fd;
}

static void one_port(const struct sockaddr_un *address, uint32_t ring, struct series *opens,
                     struct series *binds)
{
    struct control_port_open open = {.header = {.type = CONTROL_PORT_OPEN, .size = sizeof(open)},
                                     .name = "cost",
                                     .ring_count = 1,
                                     .rx_size = ring,
                                     .tx_size = ring};
    struct control_bind bind_it = {.header = {.type = CONTROL_BIND, .size = sizeof(bind_it)},
                                   .port_count = 1};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct control_port_opened opened = {0};
    struct control_bound bound = {0};
    socklen_t size = sizeof(name);
    int fd = greeted(address), placeholder = socket(AF_INET, SOCK_DGRAM, 0);
    uint64_t begin = core_clock();

    ask(fd, &open, sizeof(open), -1, &opened, sizeof(opened));
    note(opens, begin);
    if (bind(placeholder, (struct sockaddr *)&name, size) ||
        getsockname(placeholder, (struct sockaddr *)&name, &size))
        fail("a placeholder");
    bind_it.address = (struct control_address){
        .bytes = {127, 0, 0, 1}, .port = name.sin_port, .family = 4, .protocol = IPPROTO_UDP};
    begin = core_clock();
    ask(fd, &bind_it, sizeof(bind_it), placeholder, &bound, sizeof(bound));
    note(binds, begin);
    close(placeholder);
    close(fd);
}

/* ── what is printed ── */

static int compare(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

    return one < other ? -1 : one > other;
}

static void print_series(const char *name, struct series *series)
{
    uint32_t middle = series->count / 2;

    if (!series->count)
        return;
    qsort(series->ns, series->count, sizeof(uint32_t), compare);
    printf(", \"%s_us\": %.1f, \"%s_worst_us\": %.1f", name, series->ns[middle] / 1e3, name,
           series->ns[series->count - 1] / 1e3);
}

static void print_looks(const char *name, const struct looks *of, double seconds)
{
    printf(", \"%s\": {\"looks\": %lu, \"longest_us\": %.1f, \"longest_wall_us\": %.1f, "
           "\"above_20_us\": %lu, "
           "\"above_20_us_share\": %.5f}",
           name, (unsigned long)of->count, (double)of->longest_ns / 1e3,
           (double)of->longest_wall_ns / 1e3, (unsigned long)of->stalls,
           (double)of->stalled_ns / 1e9 / seconds);
}

int main(int argc, char **argv)
{
    uint32_t ring = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : RING_SIZE_DEFAULT;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    bool thread = argc > 1 && !strcmp(argv[1], "thread");
    struct series opens = {NULL, 0}, binds = {NULL, 0};
    struct sockaddr_un address;
    pthread_t worker;
    cpu_set_t others;
    uint64_t until;

    if (argc < 2 || (!thread && strcmp(argv[1], "inline") != 0)) {
        fprintf(stderr, "usage: port_cost thread|inline [bytes of each ring] [seconds]\n");
        return 2;
    }
    opens.ns = calloc(SAMPLES_MAX, sizeof(uint32_t));
    binds.ns = calloc(SAMPLES_MAX, sizeof(uint32_t));
    if (!opens.ns || !binds.ns)
        fail("memory");
    address = make_switch(thread);
    if (pthread_create(&worker, NULL, run_switch, NULL))
        fail("a thread");
    sched_getaffinity(0, sizeof(others), &others);
    CPU_CLR(core->config.cpus[0] - 1, &others);
    if (CPU_COUNT(&others))
        sched_setaffinity(0, sizeof(others), &others);
    one_port(&address, ring, &opens, &binds); /* the first of everything */
    opens.count = binds.count = 0;
    __atomic_store_n(&phase, 0, __ATOMIC_RELAXED);
    usleep((useconds_t)(seconds * 1e6));
    __atomic_store_n(&phase, 1, __ATOMIC_RELAXED);
    until = core_clock() + (uint64_t)(seconds * 1e9);
    while (core_clock() < until)
        one_port(&address, ring, &opens, &binds);
    __atomic_store_n(&phase, -1, __ATOMIC_RELAXED);
    __atomic_store_n(&core->stop, true, __ATOMIC_RELAXED);
    pthread_join(worker, NULL);
    printf("{\"memory\": \"%s\", \"ring_bytes\": %u, \"ports\": %u", argv[1], ring, opens.count);
    print_series("open", &opens);
    print_series("bind", &binds);
    print_looks("calm", &looks[0], seconds);
    print_looks("storm", &looks[1], seconds);
    printf("}\n");
    free(opens.ns);
    free(binds.ns);
    core_dispose(core);
    free(core);
    return 0;
}
