/* SPDX-License-Identifier: BSD-2-Clause */
/* Protocols that have no placeholder (protocols.h): what the switch is told of them, and who keeps the
 * host stack quiet about them.
 *
 * The kernel answers a packet of a protocol that nobody knows with "protocol unreachable", which ends
 * associations. While the mux claims such packets the kernel does not see them; while the switch is
 * away it does. So the keeper holds a raw socket of each protocol that [protocols] names, with a
 * filter that drops everything: to the kernel there is somebody, and nobody is answered. */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper_internal.h"
#include "wire.h"

#ifndef SOCK_DCCP
#define SOCK_DCCP 6
#endif

/* Asked of those alone that the configuration names: asking may load a module. */
static bool kernel_knows(uint8_t protocol)
{
    int type = protocol == IP_PROTOCOL_DCCP ? (int)SOCK_DCCP : SOCK_STREAM;
    int fd;

    if (protocol == IP_PROTOCOL_UDPLITE)
        return true;
    if (protocol != IP_PROTOCOL_SCTP && protocol != IP_PROTOCOL_DCCP)
        return false;
    fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void mute(struct keeper *keeper, int family, uint8_t protocol)
{
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop_all};
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))) {
        log_warning("protocol %u: the host stack may answer while the switch is away: %s", protocol,
                    strerror(errno));
        if (fd >= 0)
            close(fd);
        return;
    }
    keeper->mutes[keeper->mute_count++] = fd;
}

void keeper__open_protocols(struct keeper *keeper)
{
    const struct config *config = keeper->config;

    for (uint32_t i = 0; i < config->protocol_count; i++) {
        uint8_t protocol = config->protocols[i].protocol;
        bool known = keeper->known[protocol / 64] >> (protocol % 64) & 1;

        if (known || (i && config->protocols[i - 1].protocol == protocol))
            continue;
        if (kernel_knows(protocol)) {
            keeper->known[protocol / 64] |= 1ULL << (protocol % 64);
            continue;
        }
        mute(keeper, AF_INET, protocol);
        mute(keeper, AF_INET6, protocol);
    }
}

void keeper__close_protocols(struct keeper *keeper)
{
    while (keeper->mute_count)
        close(keeper->mutes[--keeper->mute_count]);
}

int keeper__send_protocols(struct keeper *keeper)
{
    for (uint32_t i = 0; i < keeper->config->protocol_count; i++) {
        const struct config_protocol *line = &keeper->config->protocols[i];
        struct channel_protocol message = {
            .header = {.type = CHANNEL_PROTOCOL, .size = sizeof(message)},
            .protocol = line->protocol,
            .has_ports = line->has_ports,
            .in_kernel = keeper->known[line->protocol / 64] >> (line->protocol % 64) & 1,
            .who = line->who,
            .id = line->id,
        };
        int status = keeper__send_patiently(keeper, &message, NULL, 0);

        if (status)
            return status;
    }
    return 0;
}
