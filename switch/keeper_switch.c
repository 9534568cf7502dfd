/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch's life, as its keeper sees it.
 *
 *              fork, hand over         CHANNEL_READY
 *     (none) ───────────────► starting ─────────────► serving
 *        ▲                       │                       │
 *        │   exit, signal, a broken message, a hang      │
 *        └───────────────────────┴───────────────────────┘
 *
 * What it is given is made for it alone: AF_XDP sockets and packet memory are new for each. What
 * outlives it is in the keeper: the mux on the NIC, the maps, the listening socket. A dead switch
 * is followed by another at once; when they die fast, by waits that grow. One that never served
 * since the program was started is a fault of the set-up that waiting does not heal: the program
 * ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "guard_rules.h"
#include "keeper_internal.h"
#include "pass_fds.h"
#include "switch.h"

#define SEND_PATIENCE_MS    2000
#define START_TIMEOUT       (10 * NS_PER_SEC) /* from fork to CHANNEL_READY */
#define HANG_TIMEOUT        (10 * NS_PER_SEC) /* without a heartbeat; the mux passes long before */
#define STOP_TIMEOUT_MS     3000
#define STARTS_PER_WINDOW   10
#define START_WINDOW        (10 * NS_PER_SEC)
#define WAIT_FIRST          (100 * NS_PER_MS)
#define WAIT_MAX            (5 * NS_PER_SEC)
#define MESSAGES_PER_TURN   64
#define CHANNEL_SPACE       (1024 * 1024) /* bytes */
#define REQUESTS_PER_SECOND 4000
#define REQUEST_COST        (NS_PER_SEC / REQUESTS_PER_SECOND)
#define REQUESTS_BURST      1000
#define RANGE_COST          (10 * REQUEST_COST)

int keeper__send(struct keeper *keeper, const void *message, const int *fds, uint32_t fd_count)
{
    const struct channel_header *header = message;

    if (pass_fds(keeper->child.channel, message, header->size, fds, fd_count,
                 MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

int keeper__send_patiently(struct keeper *keeper, const void *message, const int *fds,
                           uint32_t fd_count)
{
    struct pollfd writable = {.fd = keeper->child.channel, .events = POLLOUT};
    int status;

    while ((status = keeper__send(keeper, message, fds, fd_count)) == -EAGAIN) {
        if (poll(&writable, 1, SEND_PATIENCE_MS) == 0)
            break;
    }
    return status;
}

static int send_config(struct keeper *keeper)
{
    uint32_t cpus[CHANNEL_WORKERS_MAX];
    uint32_t cpu_count = config_list_cpus(keeper->config->cpus, cpus, CHANNEL_WORKERS_MAX);
    const int fds[] = {keeper->control.fd, keeper->maps.bindings, keeper->maps.shared_fd,
                       keeper->maps.silencer};
    const int without_mux[] = {keeper->control.fd, keeper->maps.shared_fd};
    struct channel_config message = {
        .header = {.type = CHANNEL_CONFIG, .size = sizeof(message)},
        .netns_cookie = keeper->netns_cookie,
        .instance = keeper->instance + keeper->child.restarts,
        .started_ns = keeper->started_ns,
        .absent = keeper->absent,
        .keeper_pid = (uint32_t)getpid(),
        .restarts = keeper->child.restarts,
        .workers = keeper->config->workers,
        .busy_poll_us = keeper->config->busy_poll_us,
        .ports_max = keeper->config->ports_max,
        .ports_per_uid_max = keeper->config->ports_per_user_max,
        .ring_size_default = keeper->config->ring_size,
        .rejected_max = keeper->config->rejected_max,
        .admin_gid = keeper->control.admin_gid,
    };

    for (uint32_t i = 0; i < cpu_count; i++)
        message.cpus[i] = cpus[i] + 1;
    memcpy(message.hash_key, keeper->hash_key, sizeof(message.hash_key));
    memcpy(message.secret, keeper->secret, sizeof(message.secret));
    if (keeper->maps.bindings < 0)
        return keeper__send_patiently(keeper, &message, without_mux, 2);
    return keeper__send_patiently(keeper, &message, fds, 4);
}

static int send_groups(struct keeper *keeper)
{
    const int fds[] = {keeper->maps.groups_ring, keeper->maps.groups_filter};
    struct channel_plain groups = {.header = {.type = CHANNEL_GROUPS, .size = sizeof(groups)}};

    return fds[0] < 0 || fds[1] < 0 ? 0 : keeper__send_patiently(keeper, &groups, fds, 2);
}

/* Memory that no switch can shrink under the next one. */
static int make_guard_store(struct keeper *keeper)
{
    if (keeper->guard_store >= 0)
        return 0;
    keeper->guard_store = memfd_create("multistack-guard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (keeper->guard_store >= 0 && !ftruncate(keeper->guard_store, sizeof(struct guard_store)) &&
        !fcntl(keeper->guard_store, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return 0;
    log_error("no memory for the guard's rules: %s", strerror(errno));
    return -1;
}

static int send_guard(struct keeper *keeper)
{
    struct channel_guard guard = {.header = {.type = CHANNEL_GUARD, .size = sizeof(guard)},
                                  .cpus = mux_verdict_cpus(),
                                  .may_ask = keeper->config->asked_cookies};
    int fds[CHANNEL_GUARD_FDS];

    if (make_guard_store(keeper))
        return -1;
    if (keeper->maps.guard[0] < 0) /* there are wires alone */
        return keeper__send_patiently(keeper, &guard, &keeper->guard_store, 1);
    memcpy(fds, keeper->maps.guard, CHANNEL_GUARD_MAPS * sizeof(int));
    fds[CHANNEL_GUARD_STORE] = keeper->guard_store;
    return keeper__send_patiently(keeper, &guard, fds, CHANNEL_GUARD_FDS);
}

static int send_port_rates(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->config->port_rate_count; i++) {
        const struct config_port_rate *line = &keeper->config->port_rates[i];
        struct channel_port_rate message = {
            .header = {.type = CHANNEL_PORT_RATE, .size = sizeof(message)},
            .packets_s = line->packets_s,
            .bits_s = line->bits_s,
            .who = line->who,
            .id = line->id,
        };
        int status = keeper__send_patiently(keeper, &message, NULL, 0);

        if (status)
            return status;
    }
    return 0;
}

static int hand_over(struct keeper *keeper)
{
    struct channel_plain start = {.header = {.type = CHANNEL_START, .size = sizeof(start)}};

    if (send_config(keeper) || send_groups(keeper) || send_guard(keeper))
        return -1;
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper__send_nic(keeper, &keeper->nics[i]))
            return -1;
    }
    if (keeper__send_protocols(keeper) || send_port_rates(keeper))
        return -1;
    keeper__forget_sync(keeper);
    keeper__sync(keeper);
    return keeper__send_patiently(keeper, &start, NULL, 0);
}

/* fork() without exec(): what it inherits, isolation_enter() takes away. */
static pid_t spawn(struct keeper *keeper, int channel)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    log_set_part("switch");
    isolation_enter(&keeper->isolation, channel);
    exit(switch_main(ISOLATION_CHANNEL_FD));
}

static void close_channel(struct keeper_switch *child)
{
    if (child->channel >= 0)
        close(child->channel); /* epoll forgets it with that */
    child->channel = -1;
    child->ready = false;
}

/* Whatever the dead switch was trusted with is taken back before the next comes. */
static void clean_up_after(struct keeper *keeper)
{
    *keeper->maps.shared = (struct mux_shared){0}; /* at once: the mux passes everything */
    close_channel(&keeper->child);
    if (keeper->maps.bindings >= 0)
        mux_clear_bindings(&keeper->maps);
    keeper__orphan_ranges(keeper);
}

static int prepare_nics(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper__prepare_nic(&keeper->nics[i]))
            return -1;
    }
    return 0;
}

static void release_nics(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->nic_count; i++)
        keeper__release_queues(&keeper->nics[i]);
}

int keeper__start_switch(struct keeper *keeper)
{
    struct keeper_switch *child = &keeper->child;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = -1};
    int ends[2], space = CHANNEL_SPACE, unprepared;

    child->start_at_ns = 0;
    child->started_ns = keeper__now();
    child->refilled_ns = child->started_ns;
    child->tokens_ns = REQUESTS_BURST * REQUEST_COST;
    child->muted = false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
        log_error("no channel to the switch: %s", strerror(errno));
        return -1;
    }
    unprepared = prepare_nics(keeper); /* what the child cannot do without is told below */
    child->pid = spawn(keeper, ends[1]);
    close(ends[1]);
    child->channel = ends[0];
    if (child->pid < 0) {
        log_error("the switch cannot be started: %s", strerror(errno));
        release_nics(keeper);
        child->pid = 0;
        close_channel(child);
        return -1;
    }
    setsockopt(child->channel, SOL_SOCKET, SO_SNDBUFFORCE, &space, sizeof(space));
    event.data.fd = child->channel;
    if (epoll_ctl(keeper->epoll_fd, EPOLL_CTL_ADD, child->channel, &event)) {
        log_error("the channel cannot be watched: %s", strerror(errno));
        kill(child->pid, SIGKILL);
    } else if (unprepared || hand_over(keeper)) {
        log_error("the switch could not be given what it needs");
        kill(child->pid, SIGKILL);
    }
    release_nics(keeper);
    return 0;
}

static void report_death(const struct keeper *keeper, int status)
{
    const char *what = keeper->stopping ? "end" : "death";

    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        log_error("switch: used a system call that is not in its list and was ended; the kernel's "
                  "log names it (dmesg, 'seccomp'), switch/isolation_syscalls.h is the list");
    else if (WIFSIGNALED(status) && keeper->child.replaced)
        log_debug("switch: ended, to be replaced");
    else if (WIFSIGNALED(status))
        log_error("switch: %s by signal %d (%s)", what, WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) || !keeper->stopping)
        log_error("switch: ended with status %d", WEXITSTATUS(status));
}

/* At once, unless they die fast. */
static void plan_start(struct keeper *keeper, uint64_t now)
{
    struct keeper_switch *child = &keeper->child;

    if (now - child->window_ns > START_WINDOW) {
        child->window_ns = now;
        child->window_starts = 0;
        if (now - child->started_ns > START_WINDOW)
            child->wait_ns = 0;
    }
    child->restarts++;
    if (++child->window_starts <= STARTS_PER_WINDOW && !child->wait_ns) {
        child->start_at_ns = now;
        return;
    }
    child->wait_ns = child->wait_ns ? child->wait_ns * 2 : WAIT_FIRST;
    if (child->wait_ns > WAIT_MAX)
        child->wait_ns = WAIT_MAX;
    child->start_at_ns = now + child->wait_ns;
    log_warning("switch: dies too often (%u times); the next start is in %llu ms", child->restarts,
                (unsigned long long)(child->wait_ns / NS_PER_MS));
}

void keeper__switch_died(struct keeper *keeper)
{
    struct keeper_switch *child = &keeper->child;
    int status = 0;
    pid_t pid;

    if (!child->pid)
        return;
    do
        pid = waitpid(child->pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    child->pid = 0;
    child->died_ns = keeper__now();
    clean_up_after(keeper);
    report_death(keeper, status);
    child->replaced = false;
    if (keeper->stopping)
        return;
    if (!keeper->announced) {
        log_error("the switch did not come up; see above");
        keeper->failed = true;
        return;
    }
    plan_start(keeper, child->died_ns);
}

void keeper__kill_switch(struct keeper *keeper, const char *why)
{
    if (!keeper->child.pid)
        return;
    log_error("switch: %s; ending it", why);
    kill(keeper->child.pid, SIGKILL);
    keeper__switch_died(keeper);
}

void keeper__replace_switch(struct keeper *keeper, const char *why)
{
    if (!keeper->child.pid)
        return;
    log_notice("switch: %s; replacing it", why);
    keeper->child.replaced = true;
    kill(keeper->child.pid, SIGKILL);
    keeper__switch_died(keeper);
}

void keeper__stop_switch(struct keeper *keeper)
{
    struct channel_plain stop = {.header = {.type = CHANNEL_STOP, .size = sizeof(stop)}};
    struct timespec tick = {.tv_nsec = 5 * (long)NS_PER_MS};
    siginfo_t info = {0};

    if (!keeper->child.pid)
        return;
    keeper__send(keeper, &stop, NULL, 0);
    for (int waited = 0; waited < STOP_TIMEOUT_MS; waited += 5) {
        sigset_t child_ended;

        if (!waitid(P_PID, (id_t)keeper->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
            info.si_pid)
            break;
        /* SIGCHLD is blocked, so this wakes at once when it ends. */
        sigemptyset(&child_ended);
        sigaddset(&child_ended, SIGCHLD);
        sigtimedwait(&child_ended, NULL, &tick);
    }
    if (info.si_pid)
        keeper__switch_died(keeper);
    else
        keeper__kill_switch(keeper, "does not stop");
}

static void announce(struct keeper *keeper)
{
    char names[256] = "";

    for (uint32_t i = 0; i < keeper->config->nic_count; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i ? ", " : "",
                 keeper->nics[i].spec.device);
    log_notice("ready: serving %s, applications at %s", names, keeper->control.path);
    sd_notifyf(0, "READY=1\nSTATUS=Serving %s", names);
    keeper->announced = true;
}

static void on_ready(struct keeper *keeper)
{
    struct keeper_switch *child = &keeper->child;

    child->ready = true;
    keeper__await_ranges(keeper);
    if (!keeper->announced)
        announce(keeper);
    if (child->died_ns)
        log_notice("switch: serving again as process %d, %.0f ms after the last one ended (%u "
                   "restarts)",
                   (int)child->pid, (double)(keeper__now() - child->died_ns) / NS_PER_MS,
                   child->restarts);
}

static int answer(struct keeper *keeper, const struct channel_resolve *request)
{
    struct channel_next_hop next_hop;

    keeper__resolve(keeper, request, &next_hop);
    /* A switch that does not read its answers asks again, when it reads. */
    return keeper__send(keeper, &next_hop, NULL, 0) == -EAGAIN ? 0 : 1;
}

static void spend(struct keeper_switch *child, uint64_t cost)
{
    child->tokens_ns -= cost < child->tokens_ns ? cost : child->tokens_ns;
}

/* The switch may have been taken over: its messages are checked like anybody's. Returns whether to
 * go on. */
static bool take_message(struct keeper *keeper, const char *bytes, size_t size)
{
    struct channel_header header;
    struct channel_resolve resolve;
    struct channel_wire_broken broken;
    struct channel_range range;
    struct channel_range_release release;
    struct channel_napi napi;

    if (size >= sizeof(header)) {
        memcpy(&header, bytes, sizeof(header));
        if (header.size == size && header.type == CHANNEL_READY &&
            size == sizeof(struct channel_plain)) {
            on_ready(keeper);
            return true;
        }
        if (header.size == size && header.type == CHANNEL_RESOLVE && size == sizeof(resolve)) {
            memcpy(&resolve, bytes, sizeof(resolve));
            keeper->child.tokens_ns -= REQUEST_COST;
            answer(keeper, &resolve);
            return true;
        }
        if (header.size == size && header.type == CHANNEL_WIRE_BROKEN && size == sizeof(broken)) {
            memcpy(&broken, bytes, sizeof(broken));
            keeper->child.tokens_ns -= REQUEST_COST;
            keeper__wire_broken(keeper, broken.nic);
            return true;
        }
        if (header.size == size && header.type == CHANNEL_NAPI && size == sizeof(napi)) {
            memcpy(&napi, bytes, sizeof(napi));
            keeper->child.tokens_ns -= REQUEST_COST;
            keeper__napi_told(keeper, &napi);
            return true;
        }
        if (header.size == size && header.type == CHANNEL_RANGE && size == sizeof(range)) {
            memcpy(&range, bytes, sizeof(range));
            spend(&keeper->child, RANGE_COST);
            keeper__want_range(keeper, &range);
            return true;
        }
        if (header.size == size && header.type == CHANNEL_RANGE_RELEASE &&
            size == sizeof(release)) {
            memcpy(&release, bytes, sizeof(release));
            spend(&keeper->child, REQUEST_COST);
            keeper__release_range(keeper, &release);
            return true;
        }
    }
    keeper__kill_switch(keeper, "sent a message that makes no sense");
    return false;
}

/* The bucket: a switch that asks without end (or was made to, by packets to many destinations) must
 * not keep the keeper and the kernel's netlink busy. */
static void refill(struct keeper_switch *child, uint64_t now)
{
    child->tokens_ns += now - child->refilled_ns;
    child->refilled_ns = now;
    if (child->tokens_ns > REQUESTS_BURST * REQUEST_COST)
        child->tokens_ns = REQUESTS_BURST * REQUEST_COST;
}

static void mute(struct keeper *keeper, bool muted)
{
    struct epoll_event event = {.events = muted ? 0 : EPOLLIN, .data.fd = keeper->child.channel};

    if (keeper->child.muted == muted || keeper->child.channel < 0)
        return;
    keeper->child.muted = muted;
    epoll_ctl(keeper->epoll_fd, EPOLL_CTL_MOD, keeper->child.channel, &event);
}

void keeper__hear_switch(struct keeper *keeper)
{
    _Alignas(8) char bytes[CHANNEL_MESSAGE_MAX];

    refill(&keeper->child, keeper__now());
    for (int i = 0; i < MESSAGES_PER_TURN; i++) {
        ssize_t size;

        if (keeper->child.tokens_ns < REQUEST_COST) {
            mute(keeper, true);
            return;
        }
        /* Descriptors that come along are closed by the kernel: there is no room for them. */
        size = recv(keeper->child.channel, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0) { /* it ended, or is about to */
            if (size < 0 && errno != ECONNRESET)
                log_error("the switch cannot be heard: %s", strerror(errno));
            kill(keeper->child.pid, SIGKILL);
            keeper__switch_died(keeper);
            return;
        }
        if ((size_t)size > sizeof(bytes))
            size = 0; /* no message is so long */
        if (!take_message(keeper, bytes, (size_t)size))
            return;
    }
}

static uint64_t watch_serving(struct keeper *keeper, uint64_t now)
{
    struct keeper_switch *child = &keeper->child;
    uint64_t heartbeat = *(volatile uint64_t *)&keeper->maps.shared->heartbeat_ns;

    if (child->muted) {
        refill(child, now);
        if (child->tokens_ns >= REQUESTS_BURST * REQUEST_COST / 10)
            mute(keeper, false);
    }
    if (!child->ready && now - child->started_ns > START_TIMEOUT)
        keeper__kill_switch(keeper, "does not get ready");
    else if (child->ready && heartbeat && now > heartbeat && now - heartbeat > HANG_TIMEOUT)
        keeper__kill_switch(keeper, "hangs");
    return now + (child->muted ? 20 * NS_PER_MS : NS_PER_SEC);
}

uint64_t keeper__switch_timers(struct keeper *keeper, uint64_t now)
{
    struct keeper_switch *child = &keeper->child;

    if (child->pid)
        return watch_serving(keeper, now);
    if (child->start_at_ns && now >= child->start_at_ns) {
        if (keeper__start_switch(keeper))
            plan_start(keeper, now);
        return now;
    }
    return child->start_at_ns ? child->start_at_ns : now + NS_PER_SEC;
}
