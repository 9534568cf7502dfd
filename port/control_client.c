/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket, seen from the client: see control_client.h.
 *
 * The switch is trusted with packets, but not believed in what it sends here: a socket at the given
 * path may be anybody's (an old file, another program), and its answer must not make us read beyond
 * a message or keep descriptors that we did not ask for. */
#include "control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "pass_fds.h"

const char *control_client__path(const char *path)
{
    if (!path || !*path)
        path = secure_getenv(CONTROL_PATH_VARIABLE);
    return path && *path ? path : CONTROL_PATH_DEFAULT;
}

int64_t control_client__now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int control_client__connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length;
    int fd, error;

    path = control_client__path(path);
    length = strlen(path);
    if (length >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno;
    close(fd);
    /* Not a socket, or one of another type: as good as nobody there. */
    return error == EPROTOTYPE || error == ENOTSOCK ? -ECONNREFUSED : -error;
}

int control_client__send(int socket_fd, const void *message, int passed_fd)
{
    const struct control_header *header = message;
    ssize_t sent;

    do
        sent = pass_fds(socket_fd, message, header->size, &passed_fd, passed_fd >= 0,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int control_client__hello(int socket_fd, uint32_t request)
{
    struct control_hello hello = {
        .header = {.type = CONTROL_HELLO, .size = sizeof(hello), .request = request},
        .magic = CONTROL_MAGIC,
        .version = CONTROL_VERSION,
        .features = CONTROL_FEATURES,
    };

    return control_client__send(socket_fd, &hello, -1);
}

void control_client__close_fds(struct control_message *message)
{
    for (uint32_t i = 0; i < message->fd_count; i++)
        close(message->fds[i]);
    message->fd_count = 0;
}

static void take_fds(struct control_message *message, struct msghdr *whole)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(whole); part; part = CMSG_NXTHDR(whole, part)) {
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        /* The buffer holds CONTROL_FDS_MAX, so the kernel gave no more than that in all. */
        for (size_t i = 0; i < count && message->fd_count < CONTROL_FDS_MAX; i++)
            memcpy(&message->fds[message->fd_count++], CMSG_DATA(part) + i * sizeof(int),
                   sizeof(int));
    }
}

/* Whether the size of the message is that of its type. */
static bool size_fits(const struct control_message *message)
{
    const struct control_records *records = &message->records;
    uint32_t size = message->header.size;

    switch (message->header.type) {
    case CONTROL_WELCOME: return size == sizeof(struct control_welcome);
    case CONTROL_PORT_OPENED: return size == sizeof(struct control_port_opened);
    case CONTROL_BOUND: return size == sizeof(struct control_bound);
    case CONTROL_UNBOUND: return size == sizeof(struct control_unbound);
    case CONTROL_EVENT: return size == sizeof(struct control_event);
    case CONTROL_SHARED: return size == sizeof(struct control_shared);
    case CONTROL_CONNECTED: return size == sizeof(struct control_connected);
    case CONTROL_DRAINED: return size == sizeof(struct control_drained);
    case CONTROL_INSPECTED: return size == sizeof(struct control_inspected);
    case CONTROL_GUARDED: return size == sizeof(struct control_guarded);
    case CONTROL_CAPTURED: return size == sizeof(struct control_captured);
    case CONTROL_RECORDS:
        return size >= sizeof(*records) &&
               (uint64_t)records->count * records->record_size == size - sizeof(*records);
    default: return false;
    }
}

/* Whether a message of this kind may bring descriptors. */
static bool fds_fit(const struct control_message *message)
{
    return message->header.type == CONTROL_PORT_OPENED ||
           (message->header.type == CONTROL_EVENT && message->event.kind == CONTROL_EVENT_INSPECT &&
            message->fd_count == 1);
}

int control_client__receive(int socket_fd, struct control_message *message)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = message->bytes, .iov_len = sizeof(message->bytes)};
    struct msghdr whole = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.space,
                           .msg_controllen = sizeof(control.space)};
    bool reset = false;
    int error = 0;
    ssize_t size;

    message->fd_count = 0;
    /* A switch that closes with a request of ours unread leaves ECONNRESET, which the kernel tells
     * before the messages that came first: among them why it closes. It is told once. */
    do {
        size = recvmsg(socket_fd, &whole, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (size < 0 && errno == ECONNRESET && !reset) {
            reset = true;
            errno = EINTR;
        }
    } while (size < 0 && errno == EINTR);
    if (size < 0)
        return -errno;
    take_fds(message, &whole);
    if (size == 0)
        error = -ECONNRESET;
    else if (whole.msg_flags & MSG_CTRUNC)
        error = -EMFILE;
    else if ((whole.msg_flags & MSG_TRUNC) || (size_t)size < sizeof(message->header) ||
             message->header.size != (size_t)size || !size_fits(message) ||
             message->header.error < 0 || (message->fd_count && !fds_fit(message)))
        error = -EPROTO;
    if (error)
        control_client__close_fds(message);
    return error;
}

int control_client__check_welcome(const struct control_message *message)
{
    const struct control_welcome *welcome = &message->welcome;

    if (message->header.type != CONTROL_WELCOME || welcome->magic != CONTROL_MAGIC)
        return -EPROTO;
    if (message->header.error)
        return -message->header.error;
    if (welcome->version != CONTROL_VERSION)
        return -EPROTONOSUPPORT;
    return 0;
}

int control_client__wait(int socket_fd, short events, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd wanted = {.fd = socket_fd, .events = events};
        int64_t left = deadline_ms - control_client__now_ms();
        int found;

        if (left <= 0)
            return -ETIMEDOUT;
        found = poll(&wanted, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (found > 0)
            return 0;
        if (found < 0 && errno != EINTR)
            return -errno;
    }
}
