/* SPDX-License-Identifier: BSD-2-Clause */
/* tap_load.h */
#include "tap_load.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "tap.skel.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* Linux 4.20 */
#endif

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000 /* Linux 5.15 */
#endif

#define RECEIVE_BUFFER (8 * 1024 * 1024) /* bytes; what waits for a switch that is busy */
#define SEND_BUFFER    (4 * 1024 * 1024)

int tap_load(struct tap_program *tap, struct mux_maps *maps, const char *device, bool local)
{
    struct tap_bpf *skeleton = tap_bpf__open();
    int status;

    if (!skeleton) {
        log_error("%s: the tap cannot be opened: %s", device, strerror(errno));
        return -1;
    }
    skeleton->rodata->tap_local = local;
    status = mux_share_maps(maps, skeleton->obj);
    if (!status)
        status = tap_bpf__load(skeleton);
    if (status) {
        log_error("%s: the kernel does not load the tap: %s: %s", device, strerror(-status),
                  mux_library_reason());
    } else {
        status = mux_adopt_maps(maps, skeleton->obj);
    }
    if (status) {
        tap_bpf__destroy(skeleton);
        return -1;
    }
    tap->skeleton = skeleton;
    return 0;
}

void tap_unload(struct tap_program *tap)
{
    if (tap->skeleton)
        tap_bpf__destroy(tap->skeleton);
    tap->skeleton = NULL;
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value));
}

/* Bound, with `filter` in place before the first frame comes: a socket of protocol 0 receives nothing. The
 * descriptor or a negative errno. */
static int open_socket(const struct netlink_link *link, int filter)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)link->ifindex,
    };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int status;

    if (fd >= 0 && !set(fd, SOL_SOCKET, SO_ATTACH_BPF, filter) &&
        !set(fd, SOL_PACKET, PACKET_VNET_HDR, 1) &&
        !set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) &&
        !set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1) &&
        !set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) &&
        !set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER) &&
        !bind(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    status = -errno;
    if (fd >= 0)
        close(fd);
    return status;
}

/* Into the group *group, or a new one where it is negative. Its number is the kernel's choice, so no other
 * program's group is met. 0 or a negative errno. */
static int join(int fd, int *group)
{
    uint32_t wish = PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    uint32_t there;
    socklen_t size = sizeof(there);

    if (*group < 0)
        wish |= PACKET_FANOUT_FLAG_UNIQUEID;
    if (set(fd, SOL_PACKET, PACKET_FANOUT, (int)(wish << 16 | (*group < 0 ? 0 : (uint32_t)*group))))
        return -errno;
    if (*group >= 0)
        return 0;
    if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &there, &size))
        return -errno;
    *group = (int)(there & 0xffff);
    return 0;
}

/* A socket that is bound and has yet to join gets every frame, beside the others: so it hears nothing
 * before. The descriptor or a negative errno. */
static int open_member(const struct mux_maps *maps, const struct netlink_link *link, int filter,
                       int *group)
{
    int fd = open_socket(link, maps->silencer);
    int status = fd < 0 ? fd : join(fd, group);

    if (!status && set(fd, SOL_SOCKET, SO_ATTACH_BPF, filter))
        status = -errno;
    if (!status)
        return fd;
    if (fd >= 0)
        close(fd);
    return status;
}

uint32_t tap_open_sockets(const struct tap_program *tap, const struct mux_maps *maps,
                          const struct netlink_link *link, uint32_t wanted, int *fds, bool *later)
{
    int filter = bpf_program__fd(tap->skeleton->progs.multistack_tap);
    int group = -1, fd = 0;
    uint32_t count = 0;

    while (wanted > 1 && count < wanted) {
        fd = open_member(maps, link, filter, &group);
        if (fd < 0)
            break;
        fds[count++] = fd;
    }
    *later = fd == -EINVAL && !link->up;
    if (fd < 0)
        log_warning("%s: %u of %u workers receive%s, for the kernel does not spread its frames: %s",
                    link->name, count ? count : 1, wanted, *later ? " until it is up" : "",
                    strerror(-fd));
    if (!count) {
        fd = open_socket(link, filter);
        if (fd < 0)
            log_error("%s: no packet socket on it: %s", link->name, strerror(-fd));
        else
            fds[count++] = fd;
    }
    for (uint32_t i = 0; i < count; i++)
        set(fds[i], SOL_SOCKET, SO_LOCK_FILTER, 1);
    return count;
}

int tap_verdicts_fd(const struct tap_program *tap)
{
    return bpf_map__fd(tap->skeleton->maps.mux_verdicts);
}
