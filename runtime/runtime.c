/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing, the step, and sleeping. Listening and connecting is in endpoints.c. */
#include "runtime_internal.h"

#include "core_offer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH_PACKETS  128 /* taken from the ring until the application hears of them */
#define BATCH_EVENTS   128
#define STEP_BATCHES   16    /* until runtime_step() gives the application's own timers a turn */
#define DISPATCH_EVERY 10000 /* µs: looking at the control socket while there is no sleep */

/* Room for what arrives while the application is busy or not scheduled. Windows are measured in
 * megabytes, and what finds no room is lost. */
#define RX_BYTES (2 * 1024 * 1024)

static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ── The port's facts ────────────────────────────────────────────────────────────────────────── */

static uint32_t stack_offloads(uint32_t port_offloads)
{
    uint32_t offloads = 0;

    if (port_offloads & MS_OFFLOAD_CHECKSUM)
        offloads |= UTCP_OFFLOAD_CHECKSUM;
    if (port_offloads & MS_OFFLOAD_SEGMENT)
        offloads |= UTCP_OFFLOAD_SEGMENT;
    return offloads;
}

/* They change when the switch comes back, or when the NIC's MTU is changed; while the switch is
 * away the old ones hold. */
static void take_port_info(struct ms_runtime *runtime)
{
    struct ms_port_info info = {.size = sizeof(info)};

    ms_port_info(runtime->port, &info);
    if (!info.connected && !runtime->switch_away)
        runtime__switch_lost(runtime);
    runtime->switch_away = !info.connected;
    if (!info.connected)
        return;
    if (info.mtu && info.mtu != runtime->mtu)
        utcp_set_mtu(runtime->stack, info.mtu);
    if (info.offloads != runtime->offloads)
        utcp_set_offloads(runtime->stack, stack_offloads(info.offloads));
    runtime->mtu = info.mtu;
    runtime->offloads = info.offloads;
    runtime->waits_up_to = info.tx_bytes / 4;
}

static void dispatch(struct ms_runtime *runtime)
{
    runtime->dispatch_at = runtime->now + DISPATCH_EVERY;
    ms_dispatch(runtime->port);
    runtime__take_askers(runtime);
    if (runtime->trace)
        runtime__flush_trace(runtime);
    take_port_info(runtime);
    runtime__binding_events(runtime);
    runtime__watch_pressure(runtime);
}

/* ── Packets ─────────────────────────────────────────────────────────────────────────────────── */

unsigned runtime__take_packets(struct ms_runtime *runtime)
{
    struct ms_packet packets[BATCH_PACKETS];
    unsigned count = ms_receive(runtime->port, 0, packets, BATCH_PACKETS);

    for (unsigned i = 0; i < count; i++) {
        const struct ms_packet *packet = &packets[i];
        unsigned flags = packet->flags & MS_RX_CHECKSUM_PARTIAL ? UTCP_INPUT_CHECKSUM_PARTIAL : 0;

        /* What is not in the cache is memory of another core; the next packet is fetched while this
         * one is worked on. */
        if (i + 1 < count)
            __builtin_prefetch(packets[i + 1].data);
        utcp_input(runtime->stack, runtime->now, packet->data, packet->length, flags);
    }
    if (count) {
        runtime->packets += count;
        adaptive_poll_worked(&runtime->poll, runtime->now * 1000);
        ms_receive_done(runtime->port, 0);
    }
    return count;
}

/* Nothing smaller takes the room that a packet waits for. Otherwise the stack would send, of a large send that
 * finds none, a segment, and another as soon as there is room for one; each costs the switch, the kernel and the
 * peer as much as a large send. What a ring might never have room for, it sends so. */
static uint8_t *sink_reserve(void *context, uint32_t length)
{
    struct ms_runtime *runtime = context;
    uint8_t *packet;

    if (runtime->no_room_for && runtime->no_room_for <= runtime->waits_up_to)
        return NULL;
    packet = ms_reserve(runtime->port, 0, length);
    if (!packet)
        runtime->no_room_for = length;
    return packet;
}

static void sink_commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct ms_runtime *runtime = context;
    struct ms_offload asked;

    if (!offload || (!offload->checksum && !offload->segment_size)) {
        ms_commit(runtime->port, 0, length, NULL);
        return;
    }
    asked = (struct ms_offload){.flags = offload->checksum ? MS_TX_CHECKSUM : 0,
                                .segment_size = offload->segment_size,
                                .checksum_start = offload->checksum_start,
                                .checksum_offset = offload->checksum_offset};
    if (offload->segment_size)
        asked.flags |= MS_TX_SEGMENT;
    ms_commit(runtime->port, 0, length, &asked);
}

static void sink_fill(void *context, uint8_t *to, const uint8_t *from, uint32_t length)
{
    struct ms_runtime *runtime = context;

    ms_fill(runtime->port, 0, to, from, length);
}

static void send_packets(struct ms_runtime *runtime)
{
    const struct utcp_sink sink = {
        .reserve = sink_reserve, .commit = sink_commit, .context = runtime, .fill = sink_fill};

    runtime->no_room_for = 0;
    if (!utcp_output_wanted(runtime->stack))
        return;
    utcp_output(runtime->stack, runtime->now, &sink);
    ms_flush(runtime->port, 0);
}

/* True: there may be more events. */
static bool deliver_events(struct ms_runtime *runtime)
{
    struct utcp_event events[BATCH_EVENTS];
    unsigned count = utcp_poll(runtime->stack, events, BATCH_EVENTS);

    if (count)
        runtime->deliver(runtime->context, events, count);
    return count == BATCH_EVENTS;
}

/* ── Sleeping ────────────────────────────────────────────────────────────────────────────────── */

/* The timer is moved only when it would ring too late: TCP's deadlines move away with every
 * acknowledgment, and one that rings too early costs less than to follow them. */
static void arm_timer(struct ms_runtime *runtime, uint64_t deadline)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline / 1000000),
                                           .tv_nsec = (long)(deadline % 1000000) * 1000}};

    if (deadline >= runtime->armed)
        return;
    timerfd_settime(runtime->timer, TFD_TIMER_ABSTIME, &when, NULL);
    runtime->armed = deadline;
}

/* Takes what epoll has to tell, after waiting for it. 0 or an error. */
static int collect(struct ms_runtime *runtime, int timeout_ms)
{
    struct epoll_event events[4];
    int count = epoll_wait(runtime->epoll, events, 4, timeout_ms);

    runtime->prepared = false;
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == SOURCE_PORT)
            runtime->dispatch_at = 0;
        else if (events[i].data.u64 == SOURCE_TIMER)
            runtime->armed = UINT64_MAX;
        else if (events[i].data.u64 == SOURCE_ASKER)
            runtime__askers_ready(runtime);
    }
    return 0;
}

/* Nothing to do: whether the caller should go round all the same. Descriptors are looked at as seldom as
 * while there is work. */
static bool polls_on(struct ms_runtime *runtime)
{
    enum adaptive_poll_advice advice = adaptive_poll_idle(&runtime->poll, runtime->now * 1000);

    if (advice == ADAPTIVE_POLL_SLEEP)
        return false;
    if (advice == ADAPTIVE_POLL_OFFER && core_offer(&runtime->poll)) {
        adaptive_poll_contended(&runtime->poll, clock_us() * 1000);
        return false;
    }
    if (runtime->now >= runtime->collect_at) {
        runtime->collect_at = runtime->now + DISPATCH_EVERY;
        collect(runtime, 0);
    }
    return true;
}

static bool watch(const struct ms_runtime *runtime, int fd, uint32_t events, enum source source)
{
    struct epoll_event event = {.events = events, .data.u64 = source};

    return fd >= 0 && epoll_ctl(runtime->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* ── Opening ─────────────────────────────────────────────────────────────────────────────────── */

/* A window that the ring could not hold would have one sender overrun it, and lose hundreds of
 * packets at a time. Half of it is the window: the rest is for the records' headers and for others. */
static uint32_t rx_bytes(const struct ms_runtime_options *options)
{
    return options->rx_bytes ? options->rx_bytes : RX_BYTES;
}

static int open_stack(struct ms_runtime *runtime, const struct ms_runtime_options *options)
{
    struct utcp_config config = {.size = sizeof(config),
                                 .connections_max = options->connections_max,
                                 .receive_buffer_max = options->receive_buffer_max
                                                           ? options->receive_buffer_max
                                                           : rx_bytes(options) / 2,
                                 .send_buffer_max = options->send_buffer_max,
                                 .memory_max = options->memory_max,
                                 .congestion = options->congestion,
                                 .time_wait_us = options->time_wait_us,
                                 .stall_max_us = options->stall_max_us,
                                 .stall_spared_us = options->stall_spared_us,
                                 .challenge_acks_max = options->challenge_acks_max,
                                 .flags = options->stack_flags,
                                 .gone = runtime__connection_gone,
                                 .gone_context = runtime};

    if (getrandom(config.secret, sizeof(config.secret), 0) != sizeof(config.secret))
        return -EIO;
    runtime->now = clock_us();
    runtime->stack = utcp_new(&config, runtime->now);
    if (!runtime->stack)
        return options->congestion ? -ENOPROTOOPT : -ENOMEM;
    return 0;
}

/* All stacks of a user have one clock of timestamps: a port number may pass from one to the next while
 * the peer still remembers the former's connection (RFC 6191), and may be shared. */
static void share_user_key(struct ms_runtime *runtime)
{
    struct ms_port_info info = {.size = sizeof(info)};

    ms_port_info(runtime->port, &info);
    static_assert(sizeof(info.user_key) == UTCP_COOKIE_KEY_SIZE, "one is the other");
    utcp_set_cookie_key(runtime->stack, info.user_key);
}

static int open_port(struct ms_runtime *runtime, const struct ms_runtime_options *options)
{
    struct ms_port_options port_options = {.size = sizeof(port_options),
                                           .control_path = options->control_path,
                                           .name = options->name,
                                           .rings = 1,
                                           .rx_bytes = rx_bytes(options),
                                           .tx_bytes = options->tx_bytes,
                                           .flags = MS_PORT_MERGED_RX | MS_PORT_INSPECTED};
    int error = ms_port_open(&runtime->port, &port_options);

    if (error)
        return error;
    share_user_key(runtime);
    take_port_info(runtime);
    return ms_ring_moderate(runtime->port, 0, options->wake_packets, options->wake_delay_us);
}

/* The timer and the wake-up are edge-triggered: nobody needs to read them. So is the ring, which is told apart
 * from the rest of the port: most wake-ups are for its packets, and call for nothing else. */
static int open_loop(struct ms_runtime *runtime)
{
    runtime->epoll = epoll_create1(EPOLL_CLOEXEC);
    runtime->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    runtime->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (runtime->epoll < 0 || !watch(runtime, ms_port_fd(runtime->port), EPOLLIN, SOURCE_PORT) ||
        !watch(runtime, runtime->timer, EPOLLIN | EPOLLET, SOURCE_TIMER) ||
        !watch(runtime, runtime->wake, EPOLLIN | EPOLLET, SOURCE_WAKE))
        return -errno;
    return ms_ring_watch(runtime->port, 0, runtime->epoll, SOURCE_RING);
}

/* ── Entry points ────────────────────────────────────────────────────────────────────────────── */

int runtime_open(struct ms_runtime **opened, const struct ms_runtime_options *options)
{
    struct ms_runtime *runtime = calloc(1, sizeof(*runtime));
    int error;

    if (!runtime)
        return -ENOMEM;
    assert(options->events);
    runtime->deliver = options->events;
    runtime->context = options->context;
    runtime->handed_over = options->handed_over;
    runtime->suspended = options->suspended;
    runtime->guarded = options->guarded;
    runtime->nic_cookies = options->nic_cookies;
    syn_price_init(&runtime->syn_price);
    runtime->time_wait_us = options->time_wait_us;
    runtime->armed = UINT64_MAX;
    adaptive_poll_init(&runtime->poll, options->busy_poll_us);
    runtime->epoll = runtime->timer = runtime->wake = -1;
    error = local_ports_init(&runtime->local_ports, options->local_ports);
    if (!error)
        error = open_stack(runtime, options);
    if (!error)
        error = open_port(runtime, options);
    if (!error)
        error = open_loop(runtime);
    if (!error)
        error = runtime__open_trace(runtime);
    if (error) {
        runtime_close(runtime);
        return error;
    }
    *opened = runtime;
    return 0;
}

void runtime_close(struct ms_runtime *runtime)
{
    if (!runtime)
        return;
    if (runtime->stack)
        utcp_free(runtime->stack);
    runtime__free_endpoints(runtime);
    runtime__forget_askers(runtime);
    runtime__close_trace(runtime);
    ms_port_close(runtime->port);
    if (runtime->wake >= 0)
        close(runtime->wake);
    if (runtime->timer >= 0)
        close(runtime->timer);
    if (runtime->epoll >= 0)
        close(runtime->epoll);
    free(runtime);
}

uint64_t runtime_now(const struct ms_runtime *runtime)
{
    return runtime->now;
}

struct utcp *runtime_stack(struct ms_runtime *runtime)
{
    return runtime->stack;
}

struct ms_port *runtime_port(struct ms_runtime *runtime)
{
    return runtime->port;
}

bool runtime_step(struct ms_runtime *runtime)
{
    bool more = true;
    uint64_t last = UINT64_MAX;

    if (runtime->prepared)
        collect(runtime, 0);
    for (unsigned batch = 0; more && batch < STEP_BATCHES; batch++) {
        runtime->now = clock_us();
        if (runtime->now > last)
            runtime->busy_us += runtime->now - last;
        last = runtime->now;
        if (runtime->now >= runtime->dispatch_at)
            dispatch(runtime);
        more = runtime__take_packets(runtime) > 0;
        utcp_advance(runtime->stack, runtime->now);
        more |= deliver_events(runtime);
        send_packets(runtime);
        more |= utcp_poll_wanted(runtime->stack);
    }
    if (runtime->asking)
        more |= runtime__serve_askers(runtime);
    runtime__unbind_gone(runtime);
    if (runtime->away_count)
        runtime__disconnect_gone(runtime);
    return more;
}

bool runtime_prepare(struct ms_runtime *runtime, uint64_t until)
{
    uint64_t deadline =
        earlier(earlier(utcp_deadline(runtime->stack), until), runtime__pressure_deadline(runtime));

    if (deadline <= runtime->now || (utcp_output_wanted(runtime->stack) && !runtime->no_room_for))
        return false;
    if (polls_on(runtime) || !ms_ring_wait(runtime->port, 0, runtime->no_room_for))
        return false;
    arm_timer(runtime, deadline);
    runtime->prepared = true;
    return true;
}

int runtime_wait(struct ms_runtime *runtime, uint64_t until)
{
    if (!runtime_prepare(runtime, until))
        return 0;
    return collect(runtime, -1);
}

int runtime_fd(const struct ms_runtime *runtime)
{
    return runtime->epoll;
}

void runtime_wake(struct ms_runtime *runtime)
{
    uint64_t one = 1;
    int error = errno;

    /* When it cannot be written it is set already. */
    if (write(runtime->wake, &one, sizeof(one)) < 0)
        errno = error;
}
