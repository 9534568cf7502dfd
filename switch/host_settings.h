/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keeper changes about the host, so that nobody has to do it by hand, and puts back.
 *
 * The host stack takes what the switch sends into lo, from own addresses to own addresses, only with
 *
 *   net.ipv4.conf.lo.accept_local = 1      else own addresses as sources are martians
 *   net.ipv4.conf.lo.route_localnet = 1    the same for 127.0.0.0/8 (for http://127.0.0.1)
 *   net.ipv4.conf.lo.rp_filter = 2         only where it is 1, there or for all: 2 is still a check
 *
 * and a NIC whose sockets prefer busy polling (Documentation/networking/napi.rst) leaves the packets to
 * whoever polls only with
 *
 *   /sys/class/net/DEV/napi_defer_hard_irqs = 2      only where it is 0
 *   /sys/class/net/DEV/gro_flush_timeout = 200000    the same; ns, after which the kernel polls itself
 *
 * and a NIC that takes VLAN tags off keeps them beside the frame, where the mux does not see them: a packet of
 * any VLAN would be taken for an untagged one. So while it is served by XDP
 *
 *   ethtool -K DEV rxvlan off              then frames come as they were sent
 *
 * lo's are lo's alone: nothing from a wire comes by it, and the kernel's own packets on lo are not
 * routed a second time. IPv6 needs none. A value that is good already is not touched.
 *
 * The values before are in a file beside the control socket, one for each device, named after the network
 * namespace, and everybody who serves the device there holds a shared lock on it:
 *
 *   at start   alone (the lock can be had exclusively)? then what the file says is what a keeper that
 *              was killed left behind, and the old values in it are the true ones
 *   at the end alone? then each value that is still what we made it goes back to the old one, and the
 *              file goes. What an administrator has changed meanwhile is left as it is.
 *
 * A keeper that is killed cannot do that: a small process does, which waits for its end and does
 * nothing else. Should that be killed as well, the next start does. */
#ifndef MULTISTACK_HOST_SETTINGS_H
#define MULTISTACK_HOST_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_SETTINGS_MAX 3

struct host_setting {
    uint32_t what; /* in its kind's table */
    uint32_t before, ours;
};

struct host_settings {
    const struct host_settings_kind *kind;
    char device[16];
    char path[192];
    int fd;       /* of the file, with the lock; -1: not applied */
    int guard_fd; /* its closing lets the process go that restores; -1: none */
    pid_t guard;  /* that process; 0: none */
    bool may_guard;
    struct host_setting changed[HOST_SETTINGS_MAX];
    uint32_t changed_count;
};

/* `control`: the path of the control socket. `netns`: a number of the network namespace. */
void host_settings_init(struct host_settings *settings, const char *control, uint64_t netns);
/* Those of a NIC. */
void host_settings_init_napi(struct host_settings *settings, const char *device,
                             const char *control, uint64_t netns);
/* That a NIC leaves VLAN tags in its frames, where XDP sees them. */
void host_settings_init_vlan(struct host_settings *settings, const char *device,
                             const char *control, uint64_t netns);
/* Whether there is anything to change or to put back. */
bool host_settings_are_wanted(const struct host_settings *settings);
/* Makes the settings; logs what it changed, and what cannot be had. May be repeated. */
void host_settings_apply(struct host_settings *settings);
/* Nothing, where they were not applied. */
void host_settings_restore(struct host_settings *settings);

#endif
