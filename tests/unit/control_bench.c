/* SPDX-License-Identifier: BSD-2-Clause */
/* control_bench.h */
#include "control_bench.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pass_fds.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static uint64_t netns_cookie(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size), 0);
    close(fd);
    return cookie;
}

int control_bench_set_up(void **state)
{
    struct bench *bench = bench_open();
    uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple address = tuple_make(loopback, 4, 0, 0);

    namespace_set_address(&bench->core->workers[0].names, &address, true);
    bench->core->config.netns_cookie = netns_cookie();
    *state = bench;
    return 0;
}

int control_bench_tear_down(void **state)
{
    bench_close(*state);
    return 0;
}

uint32_t open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint32_t count = 0;

    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

int connect_client(struct bench *bench)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    control_adopt(bench->core, ends[0]);
    return ends[1];
}

/* Lets the switch take what its clients have sent. */
void serve(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->core->control.capacity; i++) {
        const struct connection *connection = &bench->core->control.connections[i];

        if (connection->fd >= 0)
            control_serve(bench->core, i, connection->generation, 0);
    }
}

void send_with_fds(int client, const void *message, size_t size, const int *fds, uint32_t count)
{
    (void)!pass_fds(client, message, size, fds, count, MSG_NOSIGNAL);
}

/* Receives one message; closes what came along. The size, or 0 at the end, or -1: nothing. */
ssize_t receive(int client, void *message, size_t size, uint32_t *fd_count)
{
    struct iovec piece = {message, size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
    struct msghdr msg = {.msg_iov = &piece,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t received = recvmsg(client, &msg, MSG_DONTWAIT);
    struct cmsghdr *cmsg = received >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    uint32_t count = 0;

    if (cmsg) {
        count = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (uint32_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            close(fd);
        }
    }
    if (fd_count)
        *fd_count = count;
    return received;
}

bool is_closed(int client)
{
    uint8_t bytes[CONTROL_MESSAGE_MAX] = {0};
    ssize_t size;

    while ((size = receive(client, bytes, sizeof(bytes), NULL)) > 0) {
    }
    return size == 0 || (size < 0 && errno == ECONNRESET);
}

int greeted_client(struct bench *bench)
{
    int client = connect_client(bench);
    struct control_hello hello = {
        .header = HEADER(CONTROL_HELLO, hello), .magic = CONTROL_MAGIC, .version = CONTROL_VERSION};
    struct control_welcome welcome = {0};

    send_with_fds(client, &hello, sizeof(hello), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &welcome, sizeof(welcome), NULL), sizeof(welcome));
    assert_int_equal(welcome.header.type, CONTROL_WELCOME);
    assert_int_equal(welcome.header.error, 0);
    assert_int_equal(welcome.header.request, 7);
    return client;
}

struct control_port_opened open_port(struct bench *bench, int client, uint32_t rings, uint32_t *fds)
{
    struct control_port_open request = {
        .header = HEADER(CONTROL_PORT_OPEN, request), .name = "test", .ring_count = rings};
    struct control_port_opened opened = {0};

    send_with_fds(client, &request, sizeof(request), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &opened, sizeof(opened), fds), sizeof(opened));
    assert_int_equal(opened.header.type, CONTROL_PORT_OPENED);
    return opened;
}

int client_with_port(struct bench *bench)
{
    int client = greeted_client(bench);

    assert_int_equal(open_port(bench, client, 1, NULL).header.error, 0);
    return client;
}

/* A UDP placeholder: whoever runs the tests may silence it. */
int placeholder(struct control_address *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name);

    assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    *address = (struct control_address){
        .bytes = {127, 0, 0, 1}, .port = name.sin_port, .family = 4, .protocol = IP_PROTOCOL_UDP};
    return fd;
}

struct control_bound bind_address(struct bench *bench, int client, int fd,
                                  const struct control_address *address)
{
    struct control_bind request = {
        .header = HEADER(CONTROL_BIND, request), .address = *address, .port_count = 1};
    struct control_bound bound = {0};

    send_with_fds(client, &request, sizeof(request), &fd, 1);
    serve(bench);
    assert_int_equal(receive(client, &bound, sizeof(bound), NULL), sizeof(bound));
    assert_int_equal(bound.header.type, CONTROL_BOUND);
    return bound;
}
