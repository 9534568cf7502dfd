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

int tap_open_socket(const struct tap_program *tap, const char *device, uint32_t ifindex)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)ifindex,
    };
    /* protocol 0: it receives nothing before it is bound, and the filter is in place by then */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int filter = bpf_program__fd(tap->skeleton->progs.multistack_tap);

    if (fd >= 0 && !set(fd, SOL_SOCKET, SO_ATTACH_BPF, filter) &&
        !set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1) && !set(fd, SOL_PACKET, PACKET_VNET_HDR, 1) &&
        !set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) &&
        !set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1) &&
        !set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER) &&
        !set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER) &&
        !bind(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    log_error("%s: no packet socket on it: %s", device, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

int tap_verdicts_fd(const struct tap_program *tap)
{
    return bpf_map__fd(tap->skeleton->maps.mux_verdicts);
}
