/* SPDX-License-Identifier: BSD-2-Clause */
/* range_load.h */
#include "range_load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <mntent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "mux_load.h"
#include "ranges.skel.h"

/* Where nobody has mounted it for us (ip-netns(8) hides what was), a mount without a place, which ends
 * with its descriptor. Needs CAP_SYS_ADMIN, as the keeper has it at its start under root. */
static int mount_cgroup(void)
{
    int context = fsopen("cgroup2", FSOPEN_CLOEXEC), mount = -1, fd;

    if (context < 0)
        return -1;
    if (!fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
        mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
    close(context);
    if (mount < 0)
        return -1;
    fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(mount);
    return fd;
}

/* The whole second hierarchy, wherever it is mounted: programs in any group of it are under it. -1:
 * there is none. */
static int open_cgroup(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *entry;
    int fd = -1;

    if (!mounts)
        return -1;
    while (fd < 0 && (entry = getmntent(mounts))) {
        if (!strcmp(entry->mnt_type, "cgroup2"))
            fd = open(entry->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    endmntent(mounts);
    return fd < 0 ? mount_cgroup() : fd;
}

int range_programs_load(struct range_programs *programs, uint64_t netns_cookie)
{
    *programs = (struct range_programs){.cgroup_fd = open_cgroup()};
    for (uint32_t i = 0; i < RANGE_MUTES; i++)
        programs->mutes[i] = -1;
    if (programs->cgroup_fd < 0) {
        log_notice("stacks cannot bind ranges of ports: there is no cgroup2: %s", strerror(errno));
        return -1;
    }
    programs->skeleton = ranges_bpf__open();
    if (programs->skeleton)
        programs->skeleton->rodata->range_netns = netns_cookie;
    if (!programs->skeleton || ranges_bpf__load(programs->skeleton)) {
        log_notice("stacks cannot bind ranges of ports: the kernel does not load the programs: %s",
                   mux_library_reason());
        range_programs_unload(programs);
        return -1;
    }
    return 0;
}

void range_programs_unload(struct range_programs *programs)
{
    range_programs_detach(programs);
    ranges_bpf__destroy(programs->skeleton);
    if (programs->cgroup_fd > 0)
        close(programs->cgroup_fd);
    *programs = (struct range_programs){0};
}

static int bind_loopback(int fd, bool is_ipv6)
{
    const struct sockaddr_in in = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

    return is_ipv6 ? bind(fd, (const struct sockaddr *)&in6, sizeof(in6))
                   : bind(fd, (const struct sockaddr *)&in, sizeof(in));
}

/* A socket that takes what is sent to it and does not answer: for TCP a listener, since the kernel
 * accepts no other; it drops everything before it would. It needs some port of its own, on the
 * loopback address, where nobody is disturbed. */
static int open_mute(bool is_udp, bool is_ipv6)
{
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &drop_all};
    const int yes = 1;
    int fd =
        socket(is_ipv6 ? AF_INET6 : AF_INET, (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* whether lo is up or not */
    if (setsockopt(fd, is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, is_ipv6 ? IPV6_FREEBIND : IP_FREEBIND,
                   &yes, sizeof(yes)) ||
        (is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes))) ||
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
        bind_loopback(fd, is_ipv6) || (!is_udp && listen(fd, 0))) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

static int open_mutes(struct range_programs *programs)
{
    for (uint32_t i = 0; i < RANGE_MUTES; i++) {
        bool is_udp = i / 2, is_ipv6 = i % 2;
        uint32_t key = range_mute(is_udp, is_ipv6);
        uint64_t value;

        programs->mutes[i] = open_mute(is_udp, is_ipv6);
        if (is_ipv6 && programs->mutes[i] == -EAFNOSUPPORT)
            continue; /* a kernel without IPv6 receives none either */
        if (programs->mutes[i] < 0)
            return programs->mutes[i];
        value = (uint64_t)programs->mutes[i];
        if (bpf_map_update_elem(bpf_map__fd(programs->skeleton->maps.range_mutes), &key, &value,
                                BPF_ANY))
            return -errno;
    }
    return 0;
}

static int attach_lookup(struct range_programs *programs)
{
    int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (netns < 0)
        return -errno;
    programs->lookup =
        bpf_program__attach_netns(programs->skeleton->progs.multistack_range_lookup, netns);
    close(netns);
    return programs->lookup ? 0 : -errno;
}

int range_programs_attach(struct range_programs *programs)
{
    struct ranges_bpf *skeleton = programs->skeleton;
    int status;

    if (!skeleton || programs->lookup)
        return 0;
    status = open_mutes(programs);
    if (!status) {
        programs->bind4 =
            bpf_program__attach_cgroup(skeleton->progs.multistack_range_bind4, programs->cgroup_fd);
        programs->bind6 =
            bpf_program__attach_cgroup(skeleton->progs.multistack_range_bind6, programs->cgroup_fd);
        status = programs->bind4 && programs->bind6 ? attach_lookup(programs) : -errno;
    }
    if (status) {
        log_warning("ranges of ports cannot be kept: %s: %s", strerror(-status),
                    mux_library_reason());
        range_programs_detach(programs);
    }
    return status;
}

void range_programs_detach(struct range_programs *programs)
{
    bpf_link__destroy(programs->bind4);
    bpf_link__destroy(programs->bind6);
    bpf_link__destroy(programs->lookup);
    programs->bind4 = programs->bind6 = programs->lookup = NULL;
    for (uint32_t i = 0; programs->skeleton && i < RANGE_MUTES; i++) {
        if (programs->mutes[i] >= 0)
            close(programs->mutes[i]);
        programs->mutes[i] = -1;
    }
}

void range_programs_mark(const struct range_programs *programs, bool is_udp, uint32_t first,
                         uint32_t port_count, bool taken)
{
    for (uint32_t port = first; programs->skeleton && port < first + port_count;
         port += RANGE_PORTS_MIN) {
        uint32_t unit = range_unit(is_udp, port);
        uint8_t value = taken;

        /* An element of an array: always there. */
        bpf_map_update_elem(bpf_map__fd(programs->skeleton->maps.range_units), &unit, &value,
                            BPF_ANY);
    }
}

/* To the program it is the keeper's own. */
static void name_trial(const struct range_programs *programs, int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    if (programs->skeleton && !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size))
        __atomic_store_n(&programs->skeleton->bss->range_trial, cookie, __ATOMIC_RELEASE);
}

/* bind(2) itself is asked: it alone knows every socket, also one that is bound and nothing else. A
 * socket of IPv6 that takes IPv4 as well is in the way of both. */
bool range_port_is_free(const struct range_programs *programs, bool is_udp, uint32_t port)
{
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int type = (is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
    int fd = socket(AF_INET6, type, 0), both = 0, status;
    bool is_ipv6 = fd >= 0;

    if (!is_ipv6)
        fd = socket(AF_INET, type, 0);
    if (fd < 0)
        return false;
    name_trial(programs, fd);
    if (is_ipv6)
        status = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &both, sizeof(both)) ||
                 bind(fd, (const struct sockaddr *)&in6, sizeof(in6));
    else
        status = bind(fd, (const struct sockaddr *)&in, sizeof(in));
    close(fd);
    return !status;
}
