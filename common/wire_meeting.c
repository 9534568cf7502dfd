/* SPDX-License-Identifier: BSD-2-Clause */
/* wire_meeting.h */
#include "wire_meeting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pass_fds.h"

#define MAGIC       0x52495753u /* "SWIR" */
#define VERSION     1
#define FDS_MAX     (2 + WIRE_QUEUES_MAX)
#define RETRY_NS    100000000ULL  /* look at the path again */
#define LOCKED_NS   2000000ULL    /* another is looking at it just now */
#define PATIENCE_NS 2000000000ULL /* for an answer */
#define NEVER_NS    UINT64_MAX
#define SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

enum { MESSAGE_OFFER = 1, MESSAGE_ACCEPT };

struct message {
    uint32_t magic;
    uint32_t version;
    uint32_t type;
    uint32_t queues;
    uint32_t ring_size;
    uint8_t mac[2][WIRE_MAC_SIZE]; /* of end 0 and end 1 */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_link(struct wire_link *link)
{
    close_fd(&link->control);
    close_fd(&link->tx_data);
    close_fd(&link->rx_data);
    for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++) {
        close_fd(&link->own_wake[i]);
        close_fd(&link->peer_wake[i]);
    }
}

static void empty_link(struct wire_link *link)
{
    *link = (struct wire_link){.control = -1, .tx_data = -1, .rx_data = -1};
    for (uint32_t i = 0; i < WIRE_QUEUES_MAX; i++)
        link->own_wake[i] = link->peer_wake[i] = -1;
}

int wire_meeting_init(struct wire_meeting *meeting, const char *path, uint32_t queues)
{
    *meeting = (struct wire_meeting){
        .queues = queues, .epoll_fd = -1, .listen_fd = -1, .peer_fd = -1, .state = WIRE_AWAY};
    empty_link(&meeting->link);
    if (strlen(path) >= sizeof(meeting->path))
        return -ENAMETOOLONG;
    memcpy(meeting->path, path, strlen(path) + 1);
    meeting->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return meeting->epoll_fd < 0 ? -errno : 0;
}

static void hang_up(struct wire_meeting *meeting)
{
    close_fd(&meeting->peer_fd); /* the epoll set forgets it with that */
    forget_link(&meeting->link);
}

/* Back to where another may come, or to look for another. */
static void begin_again(struct wire_meeting *meeting, uint64_t due_ns)
{
    hang_up(meeting);
    meeting->state = meeting->listen_fd >= 0 ? WIRE_LISTENING : WIRE_AWAY;
    meeting->due_ns = meeting->listen_fd >= 0 ? NEVER_NS : due_ns;
}

void wire_meeting_drop(struct wire_meeting *meeting)
{
    if (meeting->listen_fd >= 0)
        unlink(meeting->path);
    close_fd(&meeting->listen_fd);
    begin_again(meeting, 0);
}

void wire_meeting_dispose(struct wire_meeting *meeting)
{
    wire_meeting_drop(meeting);
    close_fd(&meeting->epoll_fd);
}

/* ── memory ── */

/* A memfd of `size` bytes that cannot change its size. */
static int make_memory(const char *name, uint64_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) || fchmod(fd, 0400) || fcntl(fd, F_ADD_SEALS, SEALS)) {
        int status = -errno;

        close(fd);
        return status;
    }
    return fd;
}

/* Another descriptor of the same memory, by which it cannot be mapped to write. */
static int reopen_to_read(int fd)
{
    char path[64];
    int again;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

/* Our rings and our wake-ups. The count of 1 makes each write an edge (doc/protocol.md). */
static int make_own(struct wire_link *link)
{
    link->tx_data = make_memory("wire-data", wire_data_size(&link->geometry));
    if (link->tx_data < 0)
        return link->tx_data;
    for (uint32_t i = 0; i < link->geometry.queues; i++) {
        link->own_wake[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        if (link->own_wake[i] < 0)
            return -errno;
    }
    return 0;
}

static bool has_size(int fd, uint64_t size)
{
    struct stat stat;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) && !fstat(fd, &stat) &&
           (uint64_t)stat.st_size == size;
}

static int map(void **place, int fd, uint64_t size, int rights, uint64_t offset)
{
    void *at = mmap(NULL, size, rights, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);

    if (at == MAP_FAILED)
        return -errno;
    *place = at;
    return 0;
}

int wire_half_map(struct wire_half *half, const struct wire_geometry *geometry, uint32_t queue,
                  int control, int tx_data, int rx_data)
{
    uint32_t own = geometry->end & 1, size = geometry->ring_size;
    uint8_t *controls;
    int status;

    *half = (struct wire_half){.data_size = size};
    if (!geometry->queues || geometry->queues > WIRE_QUEUES_MAX || queue >= geometry->queues ||
        size < WIRE_RING_SIZE_MIN || size > WIRE_RING_SIZE_MAX || (size & (size - 1)))
        return -EPROTO;
    if (!has_size(control, wire_control_size(geometry->queues)) ||
        !has_size(tx_data, wire_data_size(geometry)) ||
        !has_size(rx_data, wire_data_size(geometry)))
        return -EPROTO;
    half->control_size = wire_control_size(geometry->queues);
    status = map(&half->control_map, control, half->control_size, PROT_READ | PROT_WRITE, 0);
    if (!status)
        status = map(&half->tx_map, tx_data, size, PROT_READ | PROT_WRITE, (uint64_t)queue * size);
    if (!status)
        status = map(&half->rx_map, rx_data, size, PROT_READ, (uint64_t)queue * size);
    if (status) {
        wire_half_unmap(half);
        return status;
    }
    controls = half->control_map;
    ring_producer_init(
        &half->tx, (struct ring_control *)(controls + wire_control_offset(geometry, own, queue)),
        half->tx_map, size);
    ring_consumer_init(
        &half->rx, (struct ring_control *)(controls + wire_control_offset(geometry, !own, queue)),
        half->rx_map, size);
    return 0;
}

void wire_half_unmap(struct wire_half *half)
{
    if (half->control_map)
        munmap(half->control_map, half->control_size);
    if (half->tx_map)
        munmap(half->tx_map, half->data_size);
    if (half->rx_map)
        munmap(half->rx_map, half->data_size);
    *half = (struct wire_half){0};
}

/* ── abilities ── */

/* Before the other end looks. That it did not get there costs nothing but time: nothing is agreed. */
static void tell_abilities(const struct wire_meeting *meeting)
{
    const struct wire_geometry *geometry = &meeting->link.geometry;
    const struct wire_abilities own = {.version = WIRE_ABILITIES_VERSION,
                                       .bits = meeting->abilities};

    (void)!pwrite(meeting->link.control, &own, sizeof(own),
                  (off_t)wire_abilities_offset(geometry, geometry->end));
}

/* Once: what the other end writes there later does not count. */
static void agree(struct wire_meeting *meeting)
{
    struct wire_geometry *geometry = &meeting->link.geometry;
    struct wire_abilities peer = {0};

    geometry->abilities = 0;
    if (pread(meeting->link.control, &peer, sizeof(peer),
              (off_t)wire_abilities_offset(geometry, !geometry->end)) != (ssize_t)sizeof(peer) ||
        peer.version != WIRE_ABILITIES_VERSION)
        return;
    geometry->abilities = wire_abilities_fit(meeting->abilities & peer.bits, geometry->ring_size);
}

/* ── messages ── */

static int send_message(int fd, const struct message *message, const int *fds, uint32_t fd_count)
{
    return pass_fds(fd, message, sizeof(*message), fds, fd_count, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
               ? -errno
               : 0;
}

/* 1: *message and `*fd_count` descriptors; 0: nothing yet; negative: the other end is gone or broke
 * the rules, and no descriptor is left open. */
static int receive_message(int fd, struct message *message, int fds[FDS_MAX], uint32_t *fd_count)
{
    struct iovec piece = {.iov_base = message, .iov_len = sizeof(*message)};
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    struct msghdr msg = {
        .msg_iov = &piece,
        .msg_iovlen = 1,
        .msg_control = space,
        .msg_controllen = sizeof(space),
    };
    struct cmsghdr *cmsg;
    ssize_t size = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *fd_count = 0;
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    cmsg = CMSG_FIRSTHDR(&msg);
    if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
        *fd_count = (uint32_t)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(cmsg), *fd_count * sizeof(int));
    }
    if (size == sizeof(*message) && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
        message->magic == MAGIC && message->version == VERSION)
        return 1;
    while (*fd_count)
        close(fds[--*fd_count]);
    return size ? -EPROTO : -ECONNRESET;
}

static int watch(struct wire_meeting *meeting, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return epoll_ctl(meeting->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* ── end 0 ── */

/* Locally administered addresses (IEEE 802 section 8.2.2) that differ between links: two hosts may
 * have several to each other. */
static void choose_macs(struct message *message, const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619u;
    for (uint32_t end = 0; end < 2; end++) {
        const uint8_t mac[WIRE_MAC_SIZE] = {
            0x02,
            0x77, /* 'w' */
            (uint8_t)(hash >> 16),
            (uint8_t)(hash >> 8),
            (uint8_t)hash,
            (uint8_t)end,
        };

        memcpy(message->mac[end], mac, sizeof(mac));
    }
}

static int offer(struct wire_meeting *meeting)
{
    struct wire_link *link = &meeting->link;
    struct message message = {.magic = MAGIC, .version = VERSION, .type = MESSAGE_OFFER};
    int fds[FDS_MAX], status, readable;

    link->geometry = (struct wire_geometry){
        .end = 0,
        .queues = meeting->queues ? meeting->queues : 1,
        .ring_size = meeting->ring_size ? meeting->ring_size : WIRE_RING_SIZE,
    };
    link->control = make_memory("wire-control", wire_control_size(link->geometry.queues));
    if (link->control < 0)
        return link->control;
    status = make_own(link);
    if (status)
        return status;
    tell_abilities(meeting);
    readable = reopen_to_read(link->tx_data);
    if (readable < 0)
        return readable;
    message.queues = link->geometry.queues;
    message.ring_size = link->geometry.ring_size;
    choose_macs(&message, meeting->path);
    memcpy(link->mac, message.mac[0], WIRE_MAC_SIZE);
    memcpy(link->peer_mac, message.mac[1], WIRE_MAC_SIZE);
    fds[0] = link->control;
    fds[1] = readable;
    memcpy(fds + 2, link->own_wake, link->geometry.queues * sizeof(int));
    status = send_message(meeting->peer_fd, &message, fds, 2 + link->geometry.queues);
    close(readable);
    return status;
}

/* A third one, while there are two, finds its connection closed. */
static void welcome(struct wire_meeting *meeting, uint64_t now_ns)
{
    int fd = accept4(meeting->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), status;

    if (fd < 0)
        return;
    if (meeting->state != WIRE_LISTENING) {
        close(fd);
        return;
    }
    meeting->peer_fd = fd;
    status = watch(meeting, fd);
    if (!status)
        status = offer(meeting);
    if (status) {
        meeting->problem = strerror(-status);
        begin_again(meeting, 0);
        return;
    }
    meeting->state = WIRE_OFFERED;
    meeting->due_ns = now_ns + PATIENCE_NS;
}

/* Takes the descriptors that follow `skip` others as the other end's wake-ups. */
static void take_wakes(struct wire_link *link, const int *fds, uint32_t skip)
{
    memcpy(link->peer_wake, fds + skip, link->geometry.queues * sizeof(int));
}

static enum wire_event take_accept(struct wire_meeting *meeting, uint64_t now_ns)
{
    struct wire_link *link = &meeting->link;
    struct message message;
    int fds[FDS_MAX] = {-1};
    uint32_t fd_count;
    int status = receive_message(meeting->peer_fd, &message, fds, &fd_count);

    if (status == 0 && now_ns < meeting->due_ns)
        return WIRE_NOTHING;
    if (status == 1 && message.type == MESSAGE_ACCEPT && fd_count == 1 + link->geometry.queues) {
        link->rx_data = fds[0];
        take_wakes(link, fds, 1);
        if (has_size(link->rx_data, wire_data_size(&link->geometry))) {
            agree(meeting);
            meeting->state = WIRE_IS_UP;
            meeting->due_ns = NEVER_NS;
            meeting->problem = NULL;
            return WIRE_UP;
        }
        fd_count = 0;
    }
    while (status == 1 && fd_count)
        close(fds[--fd_count]);
    if (status != -ECONNRESET) /* it looked and went: that is its right */
        meeting->problem = "the other end does not speak as the end of a wire does";
    begin_again(meeting, 0);
    return WIRE_NOTHING;
}

/* ── end 1 ── */

static enum wire_event take_offer(struct wire_meeting *meeting, uint64_t now_ns)
{
    struct wire_link *link = &meeting->link;
    struct message message, answer = {.magic = MAGIC, .version = VERSION, .type = MESSAGE_ACCEPT};
    int fds[FDS_MAX] = {-1}, status, readable = -1;
    uint32_t fd_count;

    status = receive_message(meeting->peer_fd, &message, fds, &fd_count);
    if (status == 0 && now_ns < meeting->due_ns)
        return WIRE_NOTHING;
    if (status != 1 || message.type != MESSAGE_OFFER || !message.queues ||
        message.queues > WIRE_QUEUES_MAX || fd_count != 2 + message.queues ||
        message.ring_size < WIRE_RING_SIZE_MIN || message.ring_size > WIRE_RING_SIZE_MAX ||
        (message.ring_size & (message.ring_size - 1))) {
        meeting->problem = status == -ECONNRESET
                               ? "the link has two ends already"
                               : "who listens there does not speak as the end of a wire does";
        while (status == 1 && fd_count)
            close(fds[--fd_count]);
        goto failed;
    }
    link->geometry =
        (struct wire_geometry){.end = 1, .queues = message.queues, .ring_size = message.ring_size};
    link->control = fds[0];
    link->rx_data = fds[1];
    take_wakes(link, fds, 2);
    memcpy(link->mac, message.mac[1], WIRE_MAC_SIZE);
    memcpy(link->peer_mac, message.mac[0], WIRE_MAC_SIZE);
    if (meeting->queues && meeting->queues != message.queues) {
        meeting->problem = "the other end has another number of queues; say the same queues=N "
                           "at both";
        goto failed;
    }
    if (!has_size(link->control, wire_control_size(message.queues)) ||
        !has_size(link->rx_data, wire_data_size(&link->geometry))) {
        meeting->problem = "the other end's memory has the wrong size, or could shrink";
        goto failed;
    }
    agree(meeting);
    tell_abilities(meeting);
    status = make_own(link);
    if (!status)
        status = readable = reopen_to_read(link->tx_data);
    if (readable >= 0) {
        fds[0] = readable;
        memcpy(fds + 1, link->own_wake, message.queues * sizeof(int));
        status = send_message(meeting->peer_fd, &answer, fds, 1 + message.queues);
        close(readable);
    }
    if (status < 0) {
        meeting->problem = strerror(-status);
        goto failed;
    }
    meeting->state = WIRE_IS_UP;
    meeting->due_ns = NEVER_NS;
    meeting->problem = NULL;
    return WIRE_UP;

failed:
    begin_again(meeting, now_ns + RETRY_NS);
    return WIRE_NOTHING;
}

/* ── coming to the path ── */

static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* 0: connected; a negative errno. */
static int try_connect(struct wire_meeting *meeting, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), status = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
        status = -errno;
    else if (!is_trusted(fd))
        status = -EACCES;
    else
        status = watch(meeting, fd);
    if (status) {
        close(fd);
        return status;
    }
    meeting->peer_fd = fd;
    return 0;
}

static int try_listen(struct wire_meeting *meeting, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), status = 0;

    if (fd < 0)
        return -errno;
    unlink(meeting->path); /* nobody listens: it was left behind */
    if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)address, sizeof(*address)) ||
        listen(fd, 4))
        status = -errno;
    else
        status = watch(meeting, fd);
    if (status) {
        close(fd);
        return status;
    }
    meeting->listen_fd = fd;
    return 0;
}

/* The directory that holds the path, locked; -EAGAIN where another has it locked. */
static int lock_place(const char *path)
{
    char directory[WIRE_PATH_SIZE] = ".";
    const char *slash = strrchr(path, '/');
    int fd;

    if (slash)
        snprintf(directory, sizeof(directory), "%.*s", (int)(slash == path ? 1 : slash - path),
                 path);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        return fd;
    close(fd);
    return -EAGAIN;
}

static void come(struct wire_meeting *meeting, uint64_t now_ns)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int lock = lock_place(meeting->path), status = lock;

    memcpy(address.sun_path, meeting->path, strlen(meeting->path));
    if (lock >= 0) {
        status = try_connect(meeting, &address);
        if (status == -ENOENT || status == -ECONNREFUSED)
            status = try_listen(meeting, &address);
        close(lock);
    }
    meeting->due_ns = now_ns + RETRY_NS;
    if (status == -EAGAIN)
        meeting->due_ns = now_ns + LOCKED_NS;
    else if (status < 0)
        meeting->problem = strerror(-status);
    if (meeting->listen_fd >= 0) {
        meeting->state = WIRE_LISTENING;
        meeting->due_ns = NEVER_NS;
        meeting->problem = NULL;
    } else if (meeting->peer_fd >= 0) {
        meeting->state = WIRE_CONNECTED;
        meeting->due_ns = now_ns + PATIENCE_NS;
    }
}

/* Up, there is nothing to be said any more: whatever is readable is the end. */
static enum wire_event look_for_end(struct wire_meeting *meeting)
{
    char byte;

    if (recv(meeting->peer_fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
        return WIRE_NOTHING;
    begin_again(meeting, 0);
    return WIRE_DOWN;
}

enum wire_event wire_meeting_step(struct wire_meeting *meeting, uint64_t now_ns)
{
    if (meeting->listen_fd >= 0 && meeting->state != WIRE_LISTENING)
        welcome(meeting, now_ns); /* a third */
    switch (meeting->state) {
    case WIRE_AWAY:
        if (now_ns >= meeting->due_ns)
            come(meeting, now_ns);
        return WIRE_NOTHING;
    case WIRE_LISTENING: welcome(meeting, now_ns); return WIRE_NOTHING;
    case WIRE_OFFERED: return take_accept(meeting, now_ns);
    case WIRE_CONNECTED: return take_offer(meeting, now_ns);
    case WIRE_IS_UP: return look_for_end(meeting);
    }
    return WIRE_NOTHING;
}
