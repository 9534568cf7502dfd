/* SPDX-License-Identifier: BSD-2-Clause */
/* Placeholders: ordinary kernel sockets that reserve a 3-tuple (design decision D2).
 *
 * The kernel checks privilege and conflicts when they are bound, and refuses the port to everybody
 * else for as long as they are open. Packets that reach one (while the switch is away) must be
 * swallowed, not answered: hence the filter that drops everything, in place before the bind so that
 * not one packet slips in, and locked; and for TCP a listener, because a socket that is only bound
 * makes the kernel answer RST.
 *
 * Newer kernels let only CAP_NET_ADMIN attach a classic filter to a TCP socket. Without it the
 * switch attaches one, when it gets the placeholder, and then has it listen. Until then the socket
 * is bound but must not listen: it would accept connections that nobody serves. */
#include "port_internal.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

static int set(int fd, int level, int option, const void *value, socklen_t size)
{
    return setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
}

/* Sets *deaf, or leaves it to the switch where this process may not. */
static int make_deaf(int fd, int protocol, bool *deaf)
{
    struct sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = drop_all};
    int error, yes = 1, nothing = 0;

    error = set(fd, SOL_SOCKET, SO_RCVBUF, &nothing, sizeof(nothing)); /* raised to the minimum */
    if (!error)
        error = set(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
    if (error == -EPERM)
        return 0;
    /* The switch puts its own in place of it, by which it hears what is sent to groups. */
    if (!error && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE))
        return 0;
    if (!error)
        error = set(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes));
    *deaf = !error;
    return error;
}

int placeholder__address(int protocol, const struct sockaddr *address, socklen_t length,
                         struct control_address *wanted)
{
    *wanted = (struct control_address){.protocol = (uint8_t)protocol};
    if (!address || length < sizeof(address->sa_family))
        return -EINVAL;
    if ((address->sa_family == AF_INET6 && length < sizeof(struct sockaddr_in6)) ||
        (address->sa_family == AF_INET && length < sizeof(struct sockaddr_in)))
        return -EINVAL;
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        wanted->family = 6;
        wanted->port = in6->sin6_port;
        memcpy(wanted->bytes, &in6->sin6_addr, 16);
        return 0;
    }
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        wanted->family = 4;
        wanted->port = in->sin_port;
        memcpy(wanted->bytes, &in->sin_addr, 4);
        return 0;
    }
    return -EAFNOSUPPORT;
}

static int describe(int fd, uint8_t protocol, struct control_address *bound)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)&name, &size) < 0)
        return -errno;
    return placeholder__address(protocol, (struct sockaddr *)&name, size, bound);
}

/* bind(2), and listen(2) when it may. Connections of an earlier program that stand in TIME-WAIT do
 * not keep the port from a new one: servers say SO_REUSEADDR for that, and so does this, but only
 * where it is needed, and only until the socket listens; from then on nobody else can have the port.
 * For UDP the option would mean sharing. */
static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t length, int protocol,
                           bool deaf)
{
    int error = bind(fd, address, length) < 0 ? -errno : 0;
    int yes = 1, no = 0;

    /* An address that the switch has on a wire is on no device. It knows which those are. */
    if (error == -EADDRNOTAVAIL) {
        error = address->sa_family == AF_INET6
                    ? set(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof(yes))
                    : set(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes));
        if (!error && bind(fd, address, length) < 0)
            error = -errno;
    }
    if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
        return error;
    if (error == -EADDRINUSE) {
        error = set(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (!error && bind(fd, address, length) < 0)
            error = -errno;
        deaf = true; /* it has to listen now, and is silent as soon as the switch has it */
    }
    /* one: SCTP takes none for an end of listening */
    if (!error && deaf && listen(fd, 1) < 0)
        error = -errno;
    return error ? error : set(fd, SOL_SOCKET, SO_REUSEADDR, &no, sizeof(no));
}

static bool is_group(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET6)
        return ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr[0] == 0xff;
    return IN_MULTICAST(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
}

int placeholder__join(int fd, const struct sockaddr *group, socklen_t length, unsigned interface,
                      bool join)
{
    struct group_req request = {.gr_interface = interface};
    bool is_ipv6;

    if (!group || length < (socklen_t)sizeof(struct sockaddr_in) ||
        length > sizeof(request.gr_group))
        return -EINVAL;
    is_ipv6 = group->sa_family == AF_INET6;
    if (is_ipv6 && length < (socklen_t)sizeof(struct sockaddr_in6))
        return -EINVAL;
    if (is_ipv6 && !interface)
        request.gr_interface = ((const struct sockaddr_in6 *)group)->sin6_scope_id;
    memcpy(&request.gr_group, group, length);
    return set(fd, is_ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP,
               &request, sizeof(request));
}

void placeholder__share(int fd, bool shared)
{
    int value = shared;

    /* Of a socket that is gone or strange the switch has its own opinion. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}

#ifndef SOCK_DCCP
#define SOCK_DCCP 6
#endif

/* A socket that can reserve the protocol's ports; PLACEHOLDER_NONE where there are none, or the
 * protocol has no ports. */
static int open_socket(int family, int protocol)
{
    int type, fd;

    switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_SCTP: type = SOCK_STREAM; break;
    case IPPROTO_DCCP: type = (int)SOCK_DCCP; break;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE: type = SOCK_DGRAM; break;
    default: return PLACEHOLDER_NONE;
    }
    fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (fd >= 0)
        return fd;
    return errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT ? PLACEHOLDER_NONE : -errno;
}

int placeholder__open(int protocol, const struct sockaddr *address, socklen_t length, bool shared,
                      struct control_address *bound)
{
    bool deaf = false;
    int fd, error = 0, yes = 1;

    if (protocol <= 0 || protocol > UINT8_MAX)
        return -EPROTONOSUPPORT;
    error = placeholder__address(protocol, address, length, bound);
    if (error)
        return error;
    fd = open_socket(address->sa_family, protocol);
    if (fd < 0)
        return fd;
    /* Without it the wildcard address of IPv6 would reserve IPv4 as well. */
    if (address->sa_family == AF_INET6)
        error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    /* Everybody who binds a group gets a copy, so others may bind it too. */
    if (!error && is_group(address))
        error = set(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (!error && shared)
        error = set(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (!error)
        error = make_deaf(fd, protocol, &deaf);
    if (!error)
        error = bind_and_listen(fd, address, length, protocol, deaf);
    if (!error && is_group(address))
        error = placeholder__join(fd, address, length, 0, true);
    if (!error)
        error = describe(fd, (uint8_t)protocol, bound);
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}
