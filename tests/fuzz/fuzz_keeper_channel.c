/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper, which has the privileges, before a switch that was taken over: whatever that says on
 * their channel (switch/keeper_switch.c).
 *
 * An input is messages: how long, how, and their bytes, of which the size in the header is made right
 * unless it says not to. Between them the keeper goes on with the ranges that were wanted, or a switch
 * dies and the next one comes. The keeper has two wires, no program and no range of anybody's. It
 * answers in whole messages, gives no port away twice nor any that it may not, and ends a switch that
 * makes no sense: which here is a process that cannot be. */
#include "fuzz.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper_internal.h"
#include "switch.h"

#define NO_PROCESS  0x3fffffff /* beyond any pid_max */
#define RANGE_FIRST 61440
#define RANGE_LAST  62463
#define MESSAGE_MAX 128

static struct keeper keeper;
static struct config config;
static struct mux_shared shared;
static int far_end; /* the switch's */
static uint32_t ended;

/* The keeper's objects refer to it; no switch is started here. */
int switch_main(int channel_fd)
{
    (void)channel_fd;
    abort();
}

/* A line for each switch that is ended: nobody reads as many. */
void __wrap_log_line(enum log_level level, const char *format, ...);
void __wrap_log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
    ended++;
}

static void open_wire(uint32_t index, const char *text)
{
    struct keeper_nic *nic = &keeper.nics[index];
    char error[CONFIG_ERROR_SIZE];

    assert(!config_parse_nic(text, &nic->spec, error));
    nic->index = index;
    assert(!keeper__open_nic(&keeper, nic));
    keeper.nic_count = index + 1;
}

static void open_keeper(void)
{
    config_init(&config);
    config.range_first = RANGE_FIRST;
    config.range_last = RANGE_LAST;
    config.range_ports_per_user = 512;
    keeper.config = &config;
    keeper.maps.bindings = -1;
    keeper.maps.shared = &shared;
    keeper.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    keeper.child.channel = -1;
    keeper.announced = true;
    assert(keeper.epoll_fd >= 0 && !netlink_open(&keeper.netlink, &keeper__events));
    open_wire(0, "wire:/tmp/fuzz-keeper-a,queues=1,address=10.9.0.1/24");
    open_wire(1, "wire:/tmp/fuzz-keeper-b,queues=2,address=fd09::1/64");
}

static void begin_switch(void)
{
    struct keeper_switch *child = &keeper.child;
    int ends[2];

    if (child->pid)
        return;
    if (far_end)
        close(far_end);
    assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
    *child = (struct keeper_switch){.pid = NO_PROCESS, .channel = ends[0]};
    far_end = ends[1];
}

/* Answers are whole, and about what was asked. */
static void read_answers(void)
{
    uint8_t bytes[CHANNEL_MESSAGE_MAX];
    struct channel_header header;
    struct channel_next_hop hop;
    ssize_t size;

    while ((size = recv(far_end, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        assert((size_t)size >= sizeof(header));
        memcpy(&header, bytes, sizeof(header));
        assert(header.size == (size_t)size);
        if (header.type == CHANNEL_RANGE_ANSWER) {
            assert(size == sizeof(struct channel_range_answer));
            continue;
        }
        assert(header.type == CHANNEL_NEXT_HOP && size == sizeof(hop));
        memcpy(&hop, bytes, sizeof(hop));
        assert(hop.kind <= CHANNEL_HOP_OTHER && hop.nic < keeper.nic_count);
    }
}

static void expect_sound(void)
{
    const struct keeper_ranges *ranges = &keeper.ranges;
    uint8_t taken[RANGE_LAST + 1 - RANGE_FIRST] = {0};

    assert(ranges->queued <= KEEPER_RANGE_QUEUE && ranges->count <= KEEPER_RANGES_MAX);
    for (uint32_t i = 0; i < ranges->count; i++) {
        const struct keeper_range *range = &ranges->list[i];
        uint32_t ports = 0;

        assert(range->first >= RANGE_FIRST && range->port_count);
        assert(range->first + range->port_count - 1 <= RANGE_LAST);
        for (uint32_t k = 0; k < range->port_count; k++) {
            uint8_t *port = &taken[range->first - RANGE_FIRST + k], bit = range->is_udp ? 2 : 1;

            assert(!(*port & bit));
            *port |= bit;
        }
        for (uint32_t k = 0; k < ranges->count; k++)
            ports += ranges->list[k].uid == range->uid ? ranges->list[k].port_count : 0;
        assert(ports <= config.range_ports_per_user);
    }
}

/* ---- steps: how much, what */

#define WRONG_SIZE 0x80
#define DIES       0x40
#define GOES_ON    0x3f /* so many turns for the ranges, of which each looks at some ports */

static void say(const uint8_t *data, uint32_t size, uint8_t how)
{
    uint8_t message[MESSAGE_MAX] = {0};
    uint32_t before = ended;

    memcpy(message, data, size);
    if (!(how & WRONG_SIZE) && size >= sizeof(struct channel_header))
        memcpy(message + offsetof(struct channel_header, size), &size, sizeof(size));
    if (send(far_end, message, size, MSG_NOSIGNAL) < 0)
        return;
    keeper.child.refilled_ns = 0; /* it has not asked for long */
    keeper__hear_switch(&keeper);
    assert(keeper.child.pid || ended > before);
    for (uint32_t i = 0; i < (how & GOES_ON) && keeper.ranges.queued; i++)
        keeper__serve_ranges(&keeper, 1);
    read_answers();
    if (how & DIES && keeper.child.pid)
        keeper__kill_switch(&keeper, "has had its time");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!keeper.config)
        open_keeper();
    while (size >= 2) {
        uint32_t length = data[0] % MESSAGE_MAX;
        uint8_t how = data[1];

        data += 2;
        size -= 2;
        if (length > size)
            length = (uint32_t)size;
        begin_switch();
        say(data, length, how);
        expect_sound();
        data += length;
        size -= length;
    }
    keeper__close_ranges(&keeper);
    memset(&keeper.ranges, 0, sizeof(keeper.ranges));
    if (keeper.child.pid)
        keeper__kill_switch(&keeper, "has had its time");
    assert(keeper.child.channel < 0 && !keeper.child.ready);
    return 0;
}

/* ---- examples */

struct step {
    uint8_t length, how;
} __attribute__((packed));

#define STEP(message, what)                                                                        \
    {                                                                                              \
        sizeof(message), what                                                                      \
    }
#define HEADER(message, kind)                                                                      \
    {                                                                                              \
        .type = (kind), .size = sizeof(message)                                                    \
    }

static const struct {
    struct step step;
    struct channel_plain ready;
    struct step again;
    struct channel_resolve resolve;
    struct step later;
    struct channel_wire_broken broken;
    struct step last;
    struct channel_napi napi;
} __attribute__((packed)) usual = {
    STEP(struct channel_plain, 0),
    {.header = HEADER(struct channel_plain, CHANNEL_READY)},
    STEP(struct channel_resolve, 0),
    {.header = HEADER(struct channel_resolve, CHANNEL_RESOLVE),
     .destination = {{10, 9, 0, 2}, 4},
     .source = {{10, 9, 0, 1}, 4}},
    STEP(struct channel_wire_broken, 0),
    {.header = HEADER(struct channel_wire_broken, CHANNEL_WIRE_BROKEN), .nic = 1},
    STEP(struct channel_napi, 0),
    {.header = HEADER(struct channel_napi, CHANNEL_NAPI), .nic = 1, .found = 1},
};

#define WANT(number, who, port, count)                                                             \
    {                                                                                              \
        .header = HEADER(struct channel_range, CHANNEL_RANGE), .id = (number), .uid = (who),       \
        .protocol = IPPROTO_TCP, .first = (port), .port_count = (count)                            \
    }

static const struct {
    struct step step;
    struct channel_range range;
    struct step again;
    struct channel_range second;
    struct step later;
    struct channel_range third;
    struct step last;
    struct channel_range_release release;
} __attribute__((packed)) wants = {
    STEP(struct channel_range, 8),
    WANT(1, 7, 0, 64),
    STEP(struct channel_range, 8 | DIES),
    WANT(2, 7, RANGE_FIRST, 128),
    STEP(struct channel_range, 8),
    WANT(3, 7, RANGE_FIRST, 128),
    STEP(struct channel_range_release, 0),
    {.header = HEADER(struct channel_range_release, CHANNEL_RANGE_RELEASE),
     .protocol = IPPROTO_TCP,
     .first = RANGE_FIRST,
     .port_count = 128},
};

static const struct {
    struct step step;
    struct channel_wire_broken broken;
} __attribute__((packed)) nowhere = {
    STEP(struct channel_wire_broken, 0),
    {.header = HEADER(struct channel_wire_broken, CHANNEL_WIRE_BROKEN), .nic = UINT32_MAX},
};

const struct fuzz_example fuzz_examples[] = {
    {&usual, sizeof(usual)},
    {&nowhere, sizeof(nowhere)},
    {&wants, sizeof(wants)},
    {NULL, 0},
};
