/* SPDX-License-Identifier: BSD-2-Clause */
/* Modes that break the rules of the control socket, and those with placeholders that reserve
 * nothing. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ── the control socket ── */

static struct raw_outcome control_garbage(struct raw_port *port)
{
    uint8_t bytes[512];

    random_fill(bytes, sizeof(bytes));
    raw_send(port, bytes, sizeof(bytes), NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_truncated(struct raw_port *port)
{
    struct control_port_open open = {.header = {CONTROL_PORT_OPEN, sizeof(open), 5, 0},
                                     .ring_count = 1};

    raw_send(port, &open, sizeof(open) / 2, NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_empty(struct raw_port *port)
{
    raw_send(port, "", 0, NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_huge(struct raw_port *port)
{
    static uint8_t bytes[100000];

    random_fill(bytes, sizeof(bytes));
    raw_send(port, bytes, sizeof(bytes), NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_many_fds(struct raw_port *port)
{
    int fds[253];

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        fds[i] = port->fd;
    raw_send_bind(port, IPPROTO_UDP, &address, fds, sizeof(fds) / sizeof(fds[0]));
    return raw_outcome(port);
}

static struct raw_outcome control_unexpected_fd(struct raw_port *port)
{
    struct control_query query = {.header = {CONTROL_QUERY, sizeof(query), ++port->request, 0},
                                  .subject = CONTROL_SUBJECT_STATUS};

    raw_send(port, &query, sizeof(query), &port->fd, 1);
    return raw_outcome(port);
}

static struct raw_outcome control_wrong_order(struct raw_port *port)
{
    struct control_port_open open = {
        .header = {CONTROL_PORT_OPEN, sizeof(open), ++port->request, 0}, .ring_count = 1};

    raw_send(port, &open, sizeof(open), NULL, 0); /* before HELLO */
    return raw_outcome(port);
}

static struct raw_outcome control_bind_first(struct raw_port *port)
{
    int fd = raw_placeholder(IPPROTO_UDP, &address);

    raw_send_bind(port, IPPROTO_UDP, &address, &fd, 1); /* before PORT_OPEN */
    return raw_outcome(port);
}

static struct raw_outcome control_two_ports(struct raw_port *port)
{
    struct control_port_open open = {
        .header = {CONTROL_PORT_OPEN, sizeof(open), ++port->request, 0}, .ring_count = 1};

    raw_send(port, &open, sizeof(open), NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_absurd_port(struct raw_port *port)
{
    struct control_port_open open = {
        .header = {CONTROL_PORT_OPEN, sizeof(open), ++port->request, 0},
        .ring_count = UINT32_MAX,
        .rx_size = UINT32_MAX,
        .tx_size = 1,
        .flags = UINT32_MAX,
    };

    memset(open.name, 'x', sizeof(open.name)); /* no NUL */
    raw_send(port, &open, sizeof(open), NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_absurd_query(struct raw_port *port)
{
    struct control_query query = {.header = {CONTROL_QUERY, sizeof(query), ++port->request, 0},
                                  .subject = 4711,
                                  .cursor = UINT64_MAX};

    raw_send(port, &query, sizeof(query), NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome control_unread(struct raw_port *port)
{
    struct control_query query = {.header = {CONTROL_QUERY, sizeof(query), 0, 0},
                                  .subject = CONTROL_SUBJECT_COUNTERS};
    int64_t end = control_client__now_ms() + RAW_PATIENCE_MS;
    unsigned sent = 0;
    int error = 0;

    while (sent < 100000 && control_client__now_ms() < end) {
        query.header.request = ++port->request;
        error = raw_send(port, &query, sizeof(query), NULL, 0);
        if (error == -EAGAIN) {
            if (control_client__wait(port->fd, POLLOUT, control_client__now_ms() + 1000))
                break;
            continue;
        }
        if (error)
            break;
        sent++;
    }
    snprintf(more, sizeof(more), " sent=%u", sent);
    return (struct raw_outcome){.fate = error && error != -EAGAIN ? RAW_CLOSED : RAW_ALIVE};
}

static struct raw_outcome half_hello(struct raw_port *port)
{
    struct control_hello hello = {.header = {CONTROL_HELLO, sizeof(hello), 1, 0},
                                  .magic = CONTROL_MAGIC};

    raw_send(port, &hello, sizeof(hello.header) + 4, NULL, 0);
    return raw_outcome(port);
}

static struct raw_outcome wrong_version(struct raw_port *port)
{
    struct control_hello hello = {.header = {CONTROL_HELLO, sizeof(hello), 1, 0},
                                  .magic = CONTROL_MAGIC,
                                  .version = CONTROL_VERSION + 41};

    raw_send(port, &hello, sizeof(hello), NULL, 0);
    return raw_outcome(port);
}

/* Connections that never say hello, as many as there may be. They are given back at the end. */
static struct raw_outcome connections_flood(struct raw_port *port)
{
    enum { MOST = 900 };
    static int fds[MOST];
    unsigned count = 0;
    int error = 0, patience = 2000;

    while (count < MOST) {
        int fd = control_client__connect(control);

        if (fd == -EAGAIN && patience-- > 0) { /* its queue is full: let it work */
            usleep(1000);
            continue;
        }
        if (fd < 0) {
            error = -fd;
            break;
        }
        fds[count++] = fd;
    }
    snprintf(more, sizeof(more), " connections=%u last_errno=%s", count,
             error ? strerrorname_np(error) : "0");
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return raw_ask(port);
}

/* ── placeholders ── */

/* Claims `fd` as a placeholder of `claimed`. */
static struct raw_outcome claim(struct raw_port *port, int protocol,
                                const struct sockaddr_in *claimed, int fd)
{
    raw_send_bind(port, protocol, claimed, &fd, fd >= 0 ? 1 : 0);
    return raw_outcome(port);
}

static struct raw_outcome claim_foreign_socket(struct raw_port *port)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd;

    if (unshare(CLONE_NEWNET) < 0)
        raw_fail("unshare", errno);
    fd = raw_placeholder(IPPROTO_UDP, &any);
    return claim(port, IPPROTO_UDP, &any, fd);
}

static struct raw_outcome claim_unbound_socket(struct raw_port *port)
{
    struct sockaddr_in wanted = address;

    wanted.sin_port = htons(4242);
    return claim(port, IPPROTO_UDP, &wanted, socket(AF_INET, SOCK_DGRAM, 0));
}

static struct raw_outcome claim_connected_socket(struct raw_port *port)
{
    struct sockaddr_in mine = address, remote = address;
    int fd = raw_placeholder(IPPROTO_UDP, &mine);

    remote.sin_port = htons(9);
    if (connect(fd, (struct sockaddr *)&remote, sizeof(remote)) < 0)
        raw_fail("connect", errno);
    return claim(port, IPPROTO_UDP, &mine, fd);
}

static struct raw_outcome claim_other_address(struct raw_port *port)
{
    struct sockaddr_in mine = address, other;
    int fd = raw_placeholder(IPPROTO_UDP, &mine);

    other = mine;
    other.sin_port ^= htons(1);
    return claim(port, IPPROTO_UDP, &other, fd);
}

static struct raw_outcome claim_other_protocol(struct raw_port *port)
{
    struct sockaddr_in mine = address;
    int fd = raw_placeholder(IPPROTO_UDP, &mine);

    return claim(port, IPPROTO_TCP, &mine, fd);
}

static struct raw_outcome claim_not_a_socket(struct raw_port *port)
{
    return claim(port, IPPROTO_UDP, &address, open("/dev/null", O_RDWR | O_CLOEXEC));
}

static struct raw_outcome claim_without_socket(struct raw_port *port)
{
    return claim(port, IPPROTO_UDP, &address, -1);
}

static struct raw_outcome claim_not_listening(struct raw_port *port)
{
    struct sockaddr_in mine = address;
    socklen_t length = sizeof(mine);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&mine, sizeof(mine)) < 0)
        raw_fail("bind", errno);
    getsockname(fd, (struct sockaddr *)&mine, &length);
    return claim(port, IPPROTO_TCP, &mine, fd);
}

static struct raw_outcome claim_shared_socket(struct raw_port *port)
{
    struct sockaddr_in mine = address;
    socklen_t length = sizeof(mine);
    int yes = 1, fd = socket(AF_INET, SOCK_DGRAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&mine, sizeof(mine)) < 0)
        raw_fail("bind", errno);
    getsockname(fd, (struct sockaddr *)&mine, &length);
    return claim(port, IPPROTO_UDP, &mine, fd);
}

/* A claim in order, and then the reservation is undone behind the switch's back. */
static struct raw_outcome release_placeholder(struct raw_port *port)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    if (connect(port->placeholder, &none, sizeof(none)) < 0)
        raw_fail("connect", errno);
    return raw_outcome(port);
}

static struct raw_outcome connect_placeholder(struct raw_port *port)
{
    struct sockaddr_in remote = port->bound;

    remote.sin_port = htons(9);
    if (connect(port->placeholder, (struct sockaddr *)&remote, sizeof(remote)) < 0)
        raw_fail("connect", errno);
    return raw_outcome(port);
}

static struct raw_outcome shutdown_placeholder(struct raw_port *port)
{
    raw_bind(port, IPPROTO_TCP, &address);
    if (shutdown(port->placeholder, SHUT_RDWR) < 0)
        raw_fail("shutdown", errno);
    return raw_outcome(port);
}

const struct mode control_modes[] = {
    MODE(greeted, control_garbage),       MODE(greeted, control_truncated),
    MODE(greeted, control_empty),         MODE(greeted, control_huge),
    MODE(opened, control_many_fds),       MODE(greeted, control_unexpected_fd),
    MODE(connected, control_wrong_order), MODE(greeted, control_bind_first),
    MODE(opened, control_two_ports),      MODE(greeted, control_absurd_port),
    MODE(greeted, control_absurd_query),  MODE(greeted, control_unread),
    MODE(connected, half_hello),          MODE(connected, wrong_version),
    MODE(greeted, connections_flood),     MODE(opened, claim_foreign_socket),
    MODE(opened, claim_unbound_socket),   MODE(opened, claim_connected_socket),
    MODE(opened, claim_other_address),    MODE(opened, claim_other_protocol),
    MODE(opened, claim_not_a_socket),     MODE(opened, claim_without_socket),
    MODE(opened, claim_not_listening),    MODE(opened, claim_shared_socket),
    MODE(bound, release_placeholder),     MODE(bound, connect_placeholder),
    MODE(opened, shutdown_placeholder),   {0},
};
