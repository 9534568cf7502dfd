/* SPDX-License-Identifier: BSD-2-Clause */
/* placeholder.h */
#include "placeholder.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "groups.h"
#include "wire.h"

#ifndef SO_ATTACH_BPF
#define SO_ATTACH_BPF 50
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

/* The option's value, or `missing` where it cannot be read. */
static int option(int fd, int level, int name, int missing)
{
    int value = missing;
    socklen_t size = sizeof(value);

    return getsockopt(fd, level, name, &value, &size) ? missing : value;
}

#ifndef SOCK_DCCP
#define SOCK_DCCP 6
#endif

/* The kind of socket that binds the protocol in kernels that know it; -1: there is none. */
static int type_of(uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTOCOL_TCP:
    case IP_PROTOCOL_SCTP: return SOCK_STREAM;
    case IP_PROTOCOL_DCCP: return (int)SOCK_DCCP;
    case IP_PROTOCOL_UDP:
    case IP_PROTOCOL_UDPLITE: return SOCK_DGRAM;
    default: return -1;
    }
}

bool placeholder_takes_datagrams(uint8_t protocol)
{
    return type_of(protocol) == SOCK_DGRAM;
}

static int check_kind(int fd, const struct control_address *address)
{
    int domain = address->family == 4 ? AF_INET : AF_INET6;
    int type = type_of(address->protocol);
    int value;
    socklen_t size = sizeof(value);

    if ((address->family != 4 && address->family != 6) || type < 0)
        return -EPROTONOSUPPORT;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size))
        return -errno;
    if (value != domain || option(fd, SOL_SOCKET, SO_TYPE, -1) != type ||
        option(fd, SOL_SOCKET, SO_PROTOCOL, -1) != address->protocol)
        return -EINVAL;
    if (address->family == 6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) != 1)
        return -EINVAL;
    return 0;
}

static bool name_equals(int fd, const struct control_address *address)
{
    struct control_address name = {.family = address->family, .protocol = address->protocol};
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } bound = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = sizeof(bound);

    if (address->port == 0 || getsockname(fd, &bound.any, &size))
        return false;
    if (address->family == 4 && bound.any.sa_family == AF_INET) {
        memcpy(name.bytes, &bound.in.sin_addr, 4);
        name.port = bound.in.sin_port;
    } else if (address->family == 6 && bound.any.sa_family == AF_INET6) {
        memcpy(name.bytes, &bound.in6.sin6_addr, 16);
        name.port = bound.in6.sin6_port;
    } else {
        return false;
    }
    return memcmp(&name, address, sizeof(name)) == 0;
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);

    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 || errno != ENOTCONN;
}

static int check_netns(int fd, uint64_t wanted)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size))
        return -errno;
    return cookie == wanted ? 0 : -EXDEV;
}

/* A program that was attached by its descriptor cannot be read back (EACCES). It was locked by a
 * switch before us, or by the application, which then has only its own port to answer on. */
static bool filter_drops_all(int fd)
{
    struct sock_filter code = {0};
    socklen_t instructions = 1; /* this option counts instructions, not bytes */

    if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, &code, &instructions))
        return errno == EACCES || errno == EPERM;
    return instructions == 1 && code.code == (BPF_RET | BPF_K) && code.k == 0;
}

static int attach(int fd, int silencer_fd)
{
    struct sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &drop_all};

    if (silencer_fd >= 0)
        return setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &silencer_fd, sizeof(silencer_fd));
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Not locked where groups come by it: the next keeper has another ring for them, so it must be able to
 * put its own filter there. What the application could let through is its own datagrams alone.
 * A filter that is locked cannot be replaced, by anyone; so either it drops everything, or ours goes
 * in before the lock. */
static int silence(int fd, int silencer_fd, bool lock)
{
    int yes = 1;

    if (option(fd, SOL_SOCKET, SO_LOCK_FILTER, 0) != 1) {
        if (attach(fd, silencer_fd))
            return -errno;
        if (lock && setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes)))
            return -errno;
    }
    return filter_drops_all(fd) ? 0 : -EINVAL;
}

/* Sockets of other users could stand beside it (SO_REUSEADDR), or, unless that is wanted, others of
 * the same user (SO_REUSEPORT). */
static bool is_exclusive(int fd, const struct control_address *address, bool shared)
{
    struct tuple tuple = tuple_from_address(address);
    int reuse = option(fd, SOL_SOCKET, SO_REUSEPORT, -1);

    if (groups_has_address(&tuple))
        return true; /* everybody who binds a group gets a copy: sharing takes nothing away */
    return option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 && (reuse == 0 || (shared && reuse == 1));
}

static bool listens(int fd, const struct control_address *address)
{
    return placeholder_takes_datagrams(address->protocol) ||
           option(fd, SOL_SOCKET, SO_ACCEPTCONN, 0) == 1;
}

int placeholder_verify(int fd, const struct control_address *address, uint64_t netns_cookie,
                       int silencer_fd, bool shared)
{
    int status = check_kind(fd, address);

    if (!status)
        status = check_netns(fd, netns_cookie);
    if (!status && (!name_equals(fd, address) || is_connected(fd)))
        status = -EINVAL;
    if (!status && !is_exclusive(fd, address, shared))
        status = -EADDRINUSE;
    if (!status && shared && option(fd, SOL_SOCKET, SO_REUSEPORT, 0) != 1)
        status = -EINVAL;
    if (silencer_fd == PLACEHOLDER_UNHEARD)
        return status;
    if (!status)
        status = silence(fd, silencer_fd, !placeholder_takes_datagrams(address->protocol));
    /* not before it is silent: it would accept connections that nobody serves */
    if (!status && !listens(fd, address) && listen(fd, 1)) /* SCTP: 0 means not to listen */
        status = -errno;
    return status;
}

bool placeholder_holds(int fd, const struct control_address *address, int silencer_fd, bool shared)
{
    return name_equals(fd, address) && !is_connected(fd) && is_exclusive(fd, address, shared) &&
           (silencer_fd == PLACEHOLDER_UNHEARD || listens(fd, address));
}

uint64_t placeholder_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) ? 0 : cookie;
}

void placeholder_let_in(int fd, bool others)
{
    int value = others;

    /* Should it fail, the successor's bind(2) does. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof(value));
}
