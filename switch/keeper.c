/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper: the half of multistackd that has privileges and sees no packet (design.md, D10).
 *
 * Once, at start, in this order: is there enough power; is the control socket ours; what has to be
 * looked up by name for the isolation; the mux on each NIC; the host's addresses; and then give
 * away every privilege that the rest does not need. From there on it is one loop that waits for
 *
 *   signals       SIGINT, SIGTERM: end; SIGCHLD: the switch died
 *   the channel   the switch is ready, or asks for a next hop      keeper_switch.c, keeper_resolve.c
 *   netlink       links, addresses, routes, neighbours changed     keeper_host.c
 *   time          start the switch again; does it hang; systemd's watchdog
 *
 * Nothing in it waits long, but for opening AF_XDP sockets when a switch starts (xsk_open.c).
 *
 * Whatever ends this process takes the mux off the NICs with it: links have no other holder
 * (mux_load.h). The switch ends too: by the death signal, and because its channel closes. */
#include "keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "keeper_internal.h"
#include "kernel_features.h"
#include "kernel_probe.h"
#include "xsk_open.h"

#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

#define LOOK_INTERVAL  (2 * NS_PER_SEC)
#define RETRY_INTERVAL (10 * NS_PER_SEC)

uint64_t keeper__now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* The signals wait in a descriptor; so a switch that dies before the loop runs is not missed. */
static int open_events(struct keeper *keeper)
{
    struct epoll_event event = {.events = EPOLLIN};

    sigemptyset(&keeper->signals);
    sigaddset(&keeper->signals, SIGINT);
    sigaddset(&keeper->signals, SIGTERM);
    sigaddset(&keeper->signals, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a closed terminal is no reason to stop serving */
    sigprocmask(SIG_BLOCK, &keeper->signals, NULL);
    keeper->signal_fd = signalfd(-1, &keeper->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    keeper->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (keeper->signal_fd < 0 || keeper->epoll_fd < 0)
        goto failed;
    event.data.fd = keeper->signal_fd;
    if (epoll_ctl(keeper->epoll_fd, EPOLL_CTL_ADD, keeper->signal_fd, &event))
        goto failed;
    event.data.fd = netlink_fd(&keeper->netlink);
    if (epoll_ctl(keeper->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event))
        goto failed;
    return 0;

failed:
    log_error("cannot wait for events: %s", strerror(errno));
    return -1;
}

static int open_netlink(struct keeper *keeper)
{
    struct netlink_events events = keeper__events;
    socklen_t size = sizeof(keeper->netns_cookie);
    int status;

    events.context = keeper;
    status = netlink_open(&keeper->netlink, &events);
    if (status) {
        log_error("no netlink to the kernel: %s", strerror(-status));
        return -1;
    }
    if (getsockopt(netlink_fd(&keeper->netlink), SOL_SOCKET, SO_NETNS_COOKIE, &keeper->netns_cookie,
                   &size)) {
        log_error("the kernel does not name its network namespace: %s; it needs Linux 5.14 or "
                  "later",
                  strerror(errno));
        return -1;
    }
    return 0;
}

static void fill_nics(struct keeper *keeper)
{
    keeper->nic_count = keeper->config->nic_count;
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        keeper->nics[i].spec = keeper->config->nics[i];
        keeper->nics[i].index = i;
    }
}

static bool some_nic_shares(const struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper->nics[i].spec.share)
            return true;
    }
    return false;
}

/* Wires need no device, and no privilege for one. */
static bool some_nic_is_kernels(const struct config *config)
{
    for (uint32_t i = 0; i < config->nic_count; i++) {
        if (config->nics[i].driver != NIC_DRIVER_WIRE)
            return true;
    }
    return false;
}

static bool some_nic_is_afxdp(const struct config *config)
{
    for (uint32_t i = 0; i < config->nic_count; i++) {
        if (config->nics[i].driver == NIC_DRIVER_AFXDP)
            return true;
    }
    return false;
}

/* XDP does not see the VLAN tags of such a device's frames, and would take those of every VLAN for untagged
 * ones: who names no driver gets the one that does. Whether the device is there is asked again. */
static void choose_driver(struct netlink *netlink, struct nic_spec *spec)
{
    struct device device = {0};

    if (!spec->any_driver || netlink_get_link(netlink, spec->device, &device.link) ||
        !device_needs_packet_socket(&device))
        return;
    spec->driver = NIC_DRIVER_PACKET;
    log_notice("%s: is a %s, where XDP does not see VLAN tags: served by packet sockets, as "
               "packet:%s; where there are no VLANs afxdp:%s may be said",
               spec->device, device.link.kind, spec->device, spec->device);
}

/* Where the kernel cannot be asked, whoever asks it next says so. */
static void choose_drivers(struct config *config)
{
    struct netlink_events events = keeper__events;
    struct netlink netlink;

    if (!some_nic_is_afxdp(config) || netlink_open(&netlink, &events))
        return;
    for (uint32_t i = 0; i < config->nic_count; i++)
        choose_driver(&netlink, &config->nics[i]);
    netlink_close(&netlink);
}

/* What the kernel has not, and what that means; once, before anything is opened. */
static void look_at_kernel(struct keeper *keeper)
{
    keeper->absent = kernel_probe(some_nic_is_afxdp(keeper->config));
    kernel_report(keeper->absent);
}

/* What the kernel did not load; why stands in the log by now. */
static void note_programs(struct keeper *keeper)
{
    const struct keeper_ranges *ranges = &keeper->ranges;

    if (keeper->maps.bindings >= 0 && keeper->maps.groups_filter < 0)
        keeper->absent |= FEATURE_BIT(FEATURE_GROUPS);
    if (ranges->needs_programs && keeper->config->range_last &&
        !range_programs_are_there(&ranges->programs))
        keeper->absent |= FEATURE_BIT(FEATURE_PORT_RANGES);
}

static int start(struct keeper *keeper)
{
    uint64_t watchdog_us = 0;

    if (!isolation_has_power(some_nic_is_kernels(keeper->config)) || open_netlink(keeper) ||
        open_events(keeper) || control_socket_open(&keeper->control, keeper->config) ||
        isolation_prepare(&keeper->isolation, keeper->config))
        return -1;
    look_at_kernel(keeper);
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        if (keeper__open_nic(keeper, &keeper->nics[i]))
            return -1;
    }
    if (keeper->config->local && some_nic_is_kernels(keeper->config))
        keeper__add_local(keeper);
    if (!some_nic_is_kernels(keeper->config) && keeper__do_without_mux(keeper))
        return -1;
    keeper__open_protocols(keeper);
    keeper__open_ranges(keeper, some_nic_is_kernels(keeper->config));
    note_programs(keeper);
    if (isolation_limit_keeper(some_nic_shares(keeper), some_nic_is_kernels(keeper->config)))
        return -1;
    keeper__prepare_host(keeper);
    if (getrandom(&keeper->instance, sizeof(keeper->instance), 0) < 0)
        keeper->instance = keeper__now();
    if (getrandom(keeper->hash_key, sizeof(keeper->hash_key), 0) != sizeof(keeper->hash_key) ||
        getrandom(keeper->secret, sizeof(keeper->secret), 0) != sizeof(keeper->secret)) {
        log_error("no random numbers to be had: %s", strerror(errno));
        return -1;
    }
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        keeper->watchdog_ns = watchdog_us * 1000 / 2;
    keeper__dump_host(keeper);
    return keeper__start_switch(keeper);
}

static void stop(struct keeper *keeper)
{
    keeper->stopping = true;
    if (keeper->announced)
        sd_notify(0, "STOPPING=1\nSTATUS=Detaching from the NICs");
    keeper__stop_switch(keeper);
    for (uint32_t i = 0; i < keeper->nic_count; i++)
        keeper__close_nic(&keeper->nics[i]);
    host_settings_restore(&keeper->settings);
    keeper__close_protocols(keeper);
    keeper__close_ranges(keeper);
    control_socket_close(&keeper->control);
    mux_close_maps(&keeper->maps);
    netlink_close(&keeper->netlink);
    keeper__free_reach(keeper);
    if (keeper->guard_store >= 0)
        close(keeper->guard_store);
    if (keeper->isolation.root_fd >= 0)
        close(keeper->isolation.root_fd);
    if (keeper->epoll_fd >= 0)
        close(keeper->epoll_fd);
    if (keeper->signal_fd >= 0)
        close(keeper->signal_fd);
}

/* Returns whether to end. */
static bool hear_signals(struct keeper *keeper)
{
    struct signalfd_siginfo info;
    bool end = false;

    while (read(keeper->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue; /* looked for below: several deaths may have come as one signal */
        log_notice("ending: %s", strsignal((int)info.ssi_signo));
        end = true;
    }
    if (keeper->child.pid) {
        siginfo_t ended = {0};

        if (!waitid(P_PID, (id_t)keeper->child.pid, &ended, WEXITED | WNOHANG | WNOWAIT) &&
            ended.si_pid)
            keeper__switch_died(keeper);
    }
    return end;
}

static void hear_netlink(struct keeper *keeper)
{
    int status = netlink_read(&keeper->netlink);

    if (status == -ENOBUFS) {
        log_debug("the kernel had more to tell than fitted; asking for everything");
        keeper__dump_host(keeper);
    } else if (status) {
        log_warning("netlink: %s", strerror(-status));
    }
}

/* A device that is there and could not be opened may do so later, whatever was in the way. */
static bool try_again(const struct keeper_nic *nic, uint64_t now)
{
    return nic->gone && nic->opened_at_ns && now - nic->opened_at_ns >= RETRY_INTERVAL;
}

static bool open_returned(struct keeper *keeper, struct keeper_nic *nic, uint64_t now)
{
    nic->returned = false;
    nic->opened_at_ns = now;
    if (keeper__open_nic(keeper, nic))
        return false;
    keeper__keep_tags(keeper, nic);
    return true;
}

/* What a switch cannot be told, only given: a device of the name is back, as another device to the
 * kernel, and the mux goes onto it; or a device has other queues. A new switch gets sockets on it.
 * Applications see a restart, connections survive it. */
static void serve_changed(struct keeper *keeper, uint64_t now)
{
    bool look = now >= keeper->look_at_ns;
    bool changed = false;

    if (look)
        keeper->look_at_ns = now + LOOK_INTERVAL;
    for (uint32_t i = 0; i < keeper->nic_count; i++) {
        struct keeper_nic *nic = &keeper->nics[i];

        if (keeper__is_wire(nic))
            continue;
        if (nic->returned || (look && try_again(nic, now))) {
            changed |= open_returned(keeper, nic, now);
        } else if (keeper__is_packet(nic)) {
            changed |= keeper__may_spread_now(nic);
        } else if (look && !nic->gone) {
            keeper__watch_mux(keeper, nic);
            changed |= keeper__queues_changed(nic) || keeper__outgrew_frames(nic);
        }
    }
    if (changed)
        keeper__replace_switch(keeper, "a NIC changed and has to be handed over anew");
}

static uint64_t feed_watchdog(struct keeper *keeper, uint64_t now)
{
    if (!keeper->watchdog_ns)
        return UINT64_MAX;
    if (now >= keeper->watchdog_at_ns) {
        sd_notify(0, "WATCHDOG=1");
        keeper->watchdog_at_ns = now + keeper->watchdog_ns;
    }
    return keeper->watchdog_at_ns;
}

static int run_timers(struct keeper *keeper)
{
    uint64_t now = keeper__now();
    uint64_t next = keeper__switch_timers(keeper, now);
    uint64_t watchdog = feed_watchdog(keeper, now);
    uint64_t wires = keeper__serve_wires(keeper, now);
    uint64_t ranges = keeper__serve_ranges(keeper, now);

    if (watchdog < next)
        next = watchdog;
    if (wires < next)
        next = wires;
    if (ranges < next)
        next = ranges;
    now = keeper__now();
    return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void run(struct keeper *keeper)
{
    while (!keeper->failed) {
        struct epoll_event events[8];
        int timeout = run_timers(keeper);
        int count;

        serve_changed(keeper, keeper__now());
        keeper__sync(keeper);
        count = epoll_wait(keeper->epoll_fd, events, 8, timeout);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == keeper->signal_fd) {
                if (hear_signals(keeper))
                    return;
            } else if (events[i].data.fd == netlink_fd(&keeper->netlink)) {
                hear_netlink(keeper);
            } else if (events[i].data.fd == keeper->child.channel) {
                keeper__hear_switch(keeper);
            }
        }
    }
}

/* Large, mostly for its table of addresses. */
static struct keeper *create(const struct config *config)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    if (!keeper) {
        log_error("out of memory");
        return NULL;
    }
    keeper->config = config;
    keeper->maps = (struct mux_maps)MUX_MAPS_INIT;
    keeper->control = (struct control_socket)CONTROL_SOCKET_INIT;
    keeper->isolation.root_fd = -1;
    keeper->settings.fd = keeper->settings.guard_fd = -1;
    keeper->child.channel = -1;
    keeper->epoll_fd = keeper->signal_fd = keeper->guard_store = -1;
    keeper->started_ns = keeper__now();
    return keeper;
}

int keeper_run(const struct config *told)
{
    struct config config = *told;
    struct keeper *keeper = create(&config);
    bool failed;

    if (!keeper)
        return EXIT_FAILURE;
    mux_log_init();
    choose_drivers(&config);
    fill_nics(keeper);
    failed = start(keeper) != 0;
    if (!failed)
        run(keeper);
    failed |= keeper->failed;
    stop(keeper);
    free(keeper);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void warn_of_vlans(const struct nic_spec *spec, const struct device *device)
{
    if (spec->driver != NIC_DRIVER_AFXDP)
        return;
    if (device_strips_vlan_tags(spec->device) > 0)
        log_notice(
            "%s: takes VLAN tags off; while it is served it does not (ethtool -K %s rxvlan off)",
            spec->device, spec->device);
    keeper__warn_of_hidden_tags(device);
}

/* Whether the kernel takes the programs and the sockets, of which none stays. The first is enough: what
 * it takes for one NIC it takes for another. */
static int try_kernel(const struct config *config)
{
    struct mux_maps maps = MUX_MAPS_INIT;
    struct range_programs ranges = {0};
    bool mux = false, tap = false;
    int status = 0;

    mux_log_init();
    for (uint32_t i = 0; i < config->nic_count && !status; i++) {
        const struct nic_spec *spec = &config->nics[i];

        if (spec->driver == NIC_DRIVER_AFXDP && !mux) {
            mux = true;
            status = !xsk_kernel_has_afxdp(spec->device) || mux_try(&maps, spec->device) ? -1 : 0;
        } else if (spec->driver == NIC_DRIVER_PACKET && !tap) {
            struct tap_program program = {0};

            tap = true;
            status = tap_load(&program, &maps, spec->device, false);
            tap_unload(&program);
        }
    }
    mux_close_maps(&maps);
    if (!status && config->range_last && !range_programs_load(&ranges, 0))
        range_programs_unload(&ranges);
    return status;
}

static int check_kernel(const struct config *config)
{
    if (!some_nic_is_kernels(config)) {
        kernel_report(kernel_probe(false));
        return 0;
    }
    if (!isolation_may_look())
        return 0;
    kernel_report(kernel_probe(some_nic_is_afxdp(config)));
    return try_kernel(config);
}

int keeper_check(const struct config *told)
{
    struct config config = *told;
    struct netlink netlink;
    struct netlink_events events = keeper__events;
    int status = netlink_open(&netlink, &events);

    if (status) {
        log_error("no netlink to the kernel: %s", strerror(-status));
        return EXIT_FAILURE;
    }
    choose_drivers(&config);
    for (uint32_t i = 0; i < config.nic_count; i++) {
        struct device device;

        if (config.nics[i].driver == NIC_DRIVER_WIRE) {
            status |= keeper__check_wire(&config.nics[i]);
            continue;
        }
        if (device_probe(&netlink, config.nics[i].device, &device) ||
            keeper__check_nic(&config.nics[i], &device))
            status = -1;
        else
            warn_of_vlans(&config.nics[i], &device);
    }
    netlink_close(&netlink);
    if (!status)
        status = check_kernel(&config);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
