/* SPDX-License-Identifier: BSD-2-Clause */
/* UTCP under packetdrill: its scripts run against this stack in virtual time, without root, network
 * or clock (doc/packetdrill.md).
 *
 *   packetdrill, main thread           packetdrill, thread for calls that block
 *      netdev_send()  netdev_receive()        accept() connect() read() write() …
 *      usleep()       gettimeofday                         │
 *            └───────────────┬─────────────────────────────┘
 *                     one lock, one virtual clock
 *                            │
 *                  sockets.h ── utcp.h
 *
 * Time stands still but for three: usleep() moves it, timer by timer; netdev_receive() moves it to the
 * packet that it waits for; and each look at it costs a microsecond, for packetdrill spins before an
 * event. A thread in a call that blocks goes on when what it waits for is there, and
 * before time moves on it has been given the chance to: so what it did has the right time. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "checksum.h"
#include "drill.h"
#include "interface.h"
#include "settings.h"
#include "wire.h"

struct drill *drill_preloaded;

#define EVENTS_PER_POLL 64
#define PACKET_SIZE     65536
#define SPLICE_MAX      4096                      /* that an empty pipe takes, however it is set */
#define PIECES_MAX      1024                      /* UIO_MAXIOV of the kernel */
#define LOOK_US         1                         /* what a look at the clock costs */
#define PATIENCE_US     (UINT64_C(600) * 1000000) /* how long netdev_receive() waits for a packet */
#define RETURN_WAIT_MS  1000 /* real time that a thread has to come back from a call */
#define NAP_NS          1000000
#define START_US        (UINT64_C(1000) * 1000000)
#define PORT_FIRST      32768 /* of those that we choose */

/* ── The stack's surroundings ──────────────────────────────────────────────────────────────── */

static uint8_t *reserve(void *context, uint32_t length)
{
    struct drill *drill = context;

    free(drill->reserved);
    drill->reserved = malloc(sizeof(*drill->reserved) + length);
    return drill->reserved ? drill->reserved->bytes : NULL;
}

/* The field holds the sum of the pseudo-header, as for a device that fills the rest in. */
static void fill_checksum(uint8_t *packet, size_t length, const struct utcp_offload *offload)
{
    size_t start = offload->checksum_start;
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet + start, length - start));

    memcpy(packet + start + offload->checksum_offset, &sum, sizeof(sum));
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct drill *drill = context;
    struct queued_packet *packet = drill->reserved;

    drill->reserved = NULL;
    packet->next = NULL;
    packet->at = drill->now;
    packet->length = length;
    if (offload->checksum || offload->segment_size)
        fill_checksum(packet->bytes, length, offload);
    *drill->end = packet;
    drill->end = &packet->next;
}

/* Lets all that is due at this moment happen. */
static void settle(struct drill *drill)
{
    const struct utcp_sink sink = {reserve, commit, drill};
    struct utcp_event events[EVENTS_PER_POLL];
    unsigned count;

    if (!drill->stack)
        return;
    do { /* output may make room for a writer */
        utcp_output(drill->stack, drill->now, &sink);
        count = utcp_poll(drill->stack, events, EVENTS_PER_POLL);
        sockets_happened(drill->sockets, events, count);
        drill->happened += count;
    } while (count || utcp_output_wanted(drill->stack));
}

static uint64_t now(void *context)
{
    return ((struct drill *)context)->now;
}

static void kick(void *context)
{
    settle(context);
}

/* ── Time ──────────────────────────────────────────────────────────────────────────────────── */

static struct timespec real_time_in(int ms)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000L;
    }
    return time;
}

static bool all_have_looked(const struct drill *drill)
{
    for (const struct waiter *waiter = drill->waiters; waiter; waiter = waiter->next) {
        if (waiter->seen != drill->happened || waiter->until <= drill->now)
            return false;
    }
    return drill->returning == 0;
}

/* Lets threads in calls that block do at this time what they can do at this time. Gives up on one that
 * packetdrill itself holds up. */
static void let_others_go_on(struct drill *drill)
{
    struct timespec limit = real_time_in(RETURN_WAIT_MS);

    if (all_have_looked(drill))
        return;
    pthread_cond_broadcast(&drill->changed);
    while (!all_have_looked(drill)) {
        if (pthread_cond_clockwait(&drill->changed, &drill->lock, CLOCK_MONOTONIC, &limit))
            break;
    }
    settle(drill);
}

static uint64_t next_deadline(const struct drill *drill)
{
    uint64_t next = drill->stack ? utcp_deadline(drill->stack) : UINT64_MAX;

    for (const struct waiter *waiter = drill->waiters; waiter; waiter = waiter->next) {
        if (waiter->until < next)
            next = waiter->until;
    }
    return next;
}

/* One step towards `until`, not over a timer. False: it has come. */
static bool step_towards(struct drill *drill, uint64_t until)
{
    uint64_t next = next_deadline(drill);

    if (drill->now >= until)
        return false;
    if (next > until)
        next = until;
    if (next > drill->now)
        drill->now = next;
    if (drill->stack)
        utcp_advance(drill->stack, drill->now);
    settle(drill);
    return true;
}

static void move_time_to(struct drill *drill, uint64_t until)
{
    let_others_go_on(drill);
    while (step_towards(drill, until))
        let_others_go_on(drill);
}

static __thread bool has_waited; /* counted in drill->returning */

static void is_back(struct drill *drill)
{
    if (!has_waited)
        return;
    has_waited = false;
    drill->came_back = true;
    drill->returning--;
    pthread_cond_broadcast(&drill->changed);
}

/* Within a call: the thread for such calls waits for the main thread to let something happen. The main
 * thread has nobody to wait for, so it lets the time go by. */
static bool wait_within(void *context, uint64_t until)
{
    struct drill *drill = context;
    struct waiter waiter = {.next = drill->waiters, .until = until, .seen = drill->happened}, **at;

    if (pthread_equal(pthread_self(), drill->main_thread)) {
        uint64_t before = drill->happened;
        uint64_t limit = drill->now + PATIENCE_US < until ? drill->now + PATIENCE_US : until;

        while (drill->happened == before && step_towards(drill, limit))
            ;
        return drill->happened != before || drill->now >= until;
    }
    drill->waiters = &waiter;
    is_back(drill); /* to wait again */
    pthread_cond_broadcast(&drill->changed);
    while (waiter.seen == drill->happened && drill->now < until)
        pthread_cond_wait(&drill->changed, &drill->lock);
    for (at = &drill->waiters; *at != &waiter; at = &(*at)->next)
        ;
    *at = waiter.next;
    has_waited = true;
    drill->returning++;
    return true;
}

/* ── Calls ─────────────────────────────────────────────────────────────────────────────────── */

static int source(void *context, const struct utcp_endpoint *remote, struct utcp_endpoint *local)
{
    static const uint8_t address4[4] = {192, 168, 0, 1};
    static const uint8_t address6[16] = {0xfd, 0x3d, 0x0a, 0x0b, 0x17, 0xd6, [15] = 1};
    static const uint8_t zero[16];
    struct drill *drill = context;

    local->family = remote->family;
    if (!memcmp(local->address, zero, sizeof(zero)) && remote->port)
        memcpy(local->address, remote->family == 4 ? address4 : address6,
               remote->family == 4 ? sizeof(address4) : sizeof(address6));
    if (!local->port)
        local->port = drill->next_port++;
    return 0;
}

/* packetdrill closes descriptors that it finds open at the end by close(2) itself, so they have to be
 * real ones. */
static int take_number(void *context)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)context;
    return fd < 0 ? -errno : fd;
}

static void give_number_back(void *context, int number)
{
    (void)context;
    close(number);
}

static bool make_stack(struct drill *drill)
{
    const struct sockets_host host = {
        now, kick, wait_within, source, take_number, give_number_back, drill};
    /* scripts for Linux know the size of its large sends */
    struct utcp_config config = {
        .size = sizeof(config), .offloads = UTCP_OFFLOAD_SEGMENT, .flags = UTCP_HALF_WINDOWS};

    if (drill->sockets)
        return true;
    if (getrandom(config.secret, sizeof(config.secret), 0) != (ssize_t)sizeof(config.secret))
        return false;
    settings_read(&config);
    if (drill->congestion[0])
        config.congestion = drill->congestion;
    drill->stack = utcp_new(&config, drill->now);
    if (!drill->stack && config.congestion) {
        fprintf(stderr, "packetdrill: UTCP has no congestion control %s, takes its default\n",
                config.congestion);
        config.congestion = NULL;
        drill->stack = utcp_new(&config, drill->now);
    }
    if (drill->stack)
        drill->sockets = sockets_new(drill->stack, &host);
    if (!drill->sockets)
        return false;
    if (config.congestion)
        sockets_set_congestion(drill->sockets, config.congestion);
    if (drill->quick_acks >= 0)
        sockets_set_quick_acks(drill->sockets, (unsigned)drill->quick_acks);
    settings_read_keys(drill->stack);
    sockets_set_not_sent_low(drill->sockets, settings_not_sent_low());
    settings_tell_buffers(drill->sockets);
    drill->config = config;
    return true;
}

/* Each call is between these two: under the lock, with all its consequences, and with errno. */
static struct drill *enter(void *userdata)
{
    struct drill *drill = userdata;

    pthread_mutex_lock(&drill->lock);
    if (!make_stack(drill)) {
        fprintf(stderr, "packetdrill: no memory for UTCP\n");
        abort();
    }
    settings_follow(drill->stack, drill->sockets, &drill->config);
    return drill;
}

static long leave(struct drill *drill, long result)
{
    settle(drill);
    pthread_mutex_unlock(&drill->lock);
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int drill_socket(void *userdata, int domain, int type, int protocol)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_socket(drill->sockets, domain, type, protocol));
}

static int drill_bind(void *userdata, int fd, const struct sockaddr *address, socklen_t length)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_bind(drill->sockets, fd, address, length));
}

static int drill_listen(void *userdata, int fd, int backlog)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_listen(drill->sockets, fd, backlog));
}

static int drill_accept(void *userdata, int fd, struct sockaddr *address, socklen_t *length)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_accept(drill->sockets, fd, address, length, 0));
}

static int drill_connect(void *userdata, int fd, const struct sockaddr *address, socklen_t length)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_connect(drill->sockets, fd, address, length));
}

static ssize_t receive(void *userdata, int fd, const struct iovec *pieces, size_t count, int flags)
{
    struct drill *drill = enter(userdata);

    return leave(drill, sockets_receive(drill->sockets, fd, pieces, count, flags));
}

static ssize_t drill_recv(void *userdata, int fd, void *buffer, size_t size, int flags)
{
    const struct iovec piece = {buffer, size};

    return receive(userdata, fd, &piece, 1, flags);
}

static ssize_t drill_read(void *userdata, int fd, void *buffer, size_t size)
{
    return drill_recv(userdata, fd, buffer, size, 0);
}

/* As many pieces as a call takes; else errno. */
static bool valid_count(size_t count, int error)
{
    if (count > PIECES_MAX)
        errno = error;
    return count <= PIECES_MAX;
}

static ssize_t drill_readv(void *userdata, int fd, const struct iovec *pieces, int count)
{
    if (!valid_count((size_t)count, EINVAL))
        return -1;
    return receive(userdata, fd, pieces, (size_t)count, 0);
}

/* A connection's data come from its peer: no name is given, as by the kernel. */
static ssize_t drill_recvfrom(void *userdata, int fd, void *buffer, size_t size, int flags,
                              struct sockaddr *address, socklen_t *length)
{
    (void)address;
    if (length)
        *length = 0;
    return drill_recv(userdata, fd, buffer, size, flags);
}

static ssize_t drill_recvmsg(void *userdata, int fd, struct msghdr *message, int flags)
{
    struct drill *drill;

    if (!valid_count(message->msg_iovlen, EMSGSIZE))
        return -1;
    drill = enter(userdata);
    return leave(drill, sockets_receive_message(drill->sockets, fd, message, flags));
}

static ssize_t send_pieces(void *userdata, int fd, const struct iovec *pieces, size_t count,
                           int flags, const struct sockaddr *address, socklen_t length)
{
    struct drill *drill = enter(userdata);

    return leave(drill, sockets_send_to(drill->sockets, fd, pieces, count, flags, address, length));
}

static ssize_t drill_sendto(void *userdata, int fd, const void *data, size_t size, int flags,
                            const struct sockaddr *address, socklen_t length)
{
    const struct iovec piece = {(void *)(uintptr_t)data, size};

    return send_pieces(userdata, fd, &piece, 1, flags, address, length);
}

static ssize_t drill_send(void *userdata, int fd, const void *data, size_t size, int flags)
{
    return drill_sendto(userdata, fd, data, size, flags, NULL, 0);
}

ssize_t drill_write(void *userdata, int fd, const void *data, size_t size)
{
    return drill_sendto(userdata, fd, data, size, 0, NULL, 0);
}

static ssize_t drill_writev(void *userdata, int fd, const struct iovec *pieces, int count)
{
    if (!valid_count((size_t)count, EINVAL))
        return -1;
    return send_pieces(userdata, fd, pieces, (size_t)count, 0, NULL, 0);
}

static ssize_t drill_sendmsg(void *userdata, int fd, const struct msghdr *message, int flags)
{
    struct drill *drill;

    if (!valid_count(message->msg_iovlen, EMSGSIZE))
        return -1;
    drill = enter(userdata);
    return leave(drill, sockets_send_message(drill->sockets, fd, message, flags));
}

static int drill_fcntl(void *userdata, int fd, int command, ...)
{
    struct drill *drill = enter(userdata);
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, int); /* those that we know take an int, or nothing */
    va_end(arguments);
    return (int)leave(drill, sockets_fcntl(drill->sockets, fd, command, argument));
}

static int drill_ioctl(void *userdata, int fd, unsigned long request, ...)
{
    struct drill *drill = enter(userdata);
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    return (int)leave(drill, sockets_ioctl(drill->sockets, fd, request, argument));
}

static int drill_close(void *userdata, int fd)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_close(drill->sockets, fd));
}

static int drill_shutdown(void *userdata, int fd, int how)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_shutdown(drill->sockets, fd, how));
}

int drill_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *length)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_getsockopt(drill->sockets, fd, level, name, value, length));
}

static int drill_setsockopt(void *userdata, int fd, int level, int name, const void *value,
                            socklen_t length)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_setsockopt(drill->sockets, fd, level, name, value, length));
}

static int drill_poll(void *userdata, struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_poll(drill->sockets, fds, count, timeout_ms));
}

static int drill_epoll_create(void *userdata, int size)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, size > 0 ? sockets_epoll_create(drill->sockets) : -EINVAL);
}

static int drill_epoll_ctl(void *userdata, int epoll, int operation, int fd,
                           struct epoll_event *event)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_epoll_ctl(drill->sockets, epoll, operation, fd, event));
}

static int drill_epoll_wait(void *userdata, int epoll, struct epoll_event *events, int max,
                            int timeout_ms)
{
    struct drill *drill = enter(userdata);

    return (int)leave(drill, sockets_epoll_wait(drill->sockets, epoll, events, max, timeout_ms));
}

/* A pipe is the kernel's: what comes from a socket of ours into one is a copy, the other way is not
 * offered, for what finds no room in the socket would be lost. */
static int drill_pipe(void *userdata, int fds[2])
{
    (void)userdata;
    return pipe(fds);
}

static bool at_mark(void *userdata, int fd)
{
    int mark = 0;

    return drill_ioctl(userdata, fd, SIOCATMARK, &mark) == 0 && mark;
}

static int drill_splice(void *userdata, int in, loff_t *in_offset, int out, loff_t *out_offset,
                        size_t size, unsigned int flags)
{
    struct drill *drill = userdata;
    uint8_t piece[SPLICE_MAX];
    ssize_t got;

    /* packetdrill has a pointer to 0 for NULL */
    if (!drill->sockets || !sockets_owns(drill->sockets, in) || *in_offset || *out_offset) {
        errno = EINVAL;
        return -1;
    }
    /* urgent data end it, and are left where they are */
    if (at_mark(userdata, in))
        return 0;
    got = drill_recv(userdata, in, piece, size < sizeof(piece) ? size : sizeof(piece),
                     flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0);
    return (int)(got > 0 ? write(out, piece, (size_t)got) : got);
}

/* ── Packets and the clock, for the main thread ────────────────────────────────────────────── */

static uint64_t unacceptable(const struct drill *drill)
{
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(drill->stack, &stats);
    return stats.dropped_unacceptable;
}

static bool is_icmp(const uint8_t *packet, size_t size)
{
    if (size >= IPV4_HEADER_MIN && packet[0] >> 4 == 4)
        return ((const struct wire_ipv4 *)packet)->protocol == IP_PROTOCOL_ICMP;
    return size >= IPV6_HEADER_SIZE &&
           ((const struct wire_ipv6 *)packet)->next_header == IP_PROTOCOL_ICMPV6;
}

static int drill_netdev_send(void *userdata, const void *packet, size_t size)
{
    struct drill *drill = enter(userdata);
    uint64_t before;

    let_others_go_on(drill);
    before = unacceptable(drill);
    utcp_input(drill->stack, drill->now, packet, size, 0);
    if (is_icmp(packet, size))
        drill->icmp_unacceptable += unacceptable(drill) - before;
    settle(drill);
    let_others_go_on(drill);
    return (int)leave(drill, 0);
}

static int drill_netdev_receive(void *userdata, void *buffer, size_t *size, long long *time_us)
{
    struct drill *drill = enter(userdata);
    uint64_t limit = drill->now + PATIENCE_US;
    struct queued_packet *packet;

    let_others_go_on(drill);
    while (!drill->first && step_towards(drill, limit))
        let_others_go_on(drill);
    packet = drill->first;
    if (!packet) {
        fprintf(stderr, "packetdrill: UTCP sent nothing for %d s\n", (int)(PATIENCE_US / 1000000));
        *size = 0;
        return (int)leave(drill, 0);
    }
    drill->first = packet->next;
    if (!drill->first)
        drill->end = &drill->first;
    if (packet->length < *size)
        *size = packet->length;
    memcpy(buffer, packet->bytes, *size);
    *time_us = (long long)packet->at;
    free(packet);
    return (int)leave(drill, 0);
}

static int drill_usleep(void *userdata, useconds_t time)
{
    static const struct timespec nap = {.tv_nsec = NAP_NS};
    struct drill *drill = userdata;

    if (drill
            ->came_back) /* a thread, which wants packetdrill's own lock while the main one sleeps */
        nanosleep(&nap, NULL);
    pthread_mutex_lock(&drill->lock);
    drill->came_back = false;
    move_time_to(drill, drill->now + time);
    pthread_mutex_unlock(&drill->lock);
    return 0;
}

static int look_at_clock(void *userdata, struct timeval *time, struct timezone *zone)
{
    struct drill *drill = userdata;

    (void)zone;
    pthread_mutex_lock(&drill->lock);
    is_back(drill); /* this is what a thread does right after a call that waited */
    step_towards(drill, drill->now + LOOK_US);
    time->tv_sec = (time_t)(drill->now / 1000000);
    time->tv_usec = (suseconds_t)(drill->now % 1000000);
    pthread_mutex_unlock(&drill->lock);
    return 0;
}

/* ── The table ─────────────────────────────────────────────────────────────────────────────── */

static void drill_free(void *userdata)
{
    struct drill *drill = userdata;

    drill_preloaded = NULL;
    sockets_free(drill->sockets);
    utcp_free(drill->stack);
    while (drill->first) {
        struct queued_packet *next = drill->first->next;

        free(drill->first);
        drill->first = next;
    }
    free(drill->reserved);
    pthread_cond_destroy(&drill->changed);
    pthread_mutex_destroy(&drill->lock);
    free(drill);
}

/* What --so_flags said: cc=NAME and quickacks=NUMBER, with a comma between. False: something else. */
static bool take_flags(struct drill *drill, const char *flags)
{
    while (*flags) {
        size_t length = strcspn(flags, ",");
        char *end;

        if (strncmp(flags, "cc=", 3) == 0 && length - 3 < sizeof(drill->congestion)) {
            memcpy(drill->congestion, flags + 3, length - 3);
            drill->congestion[length - 3] = '\0';
        } else if (strncmp(flags, "quickacks=", 10) == 0 && length > 10) {
            drill->quick_acks = strtol(flags + 10, &end, 10);
            if (end != flags + length || drill->quick_acks < 0 || drill->quick_acks > UINT8_MAX)
                return false;
        } else {
            return false;
        }
        flags += length + (flags[length] == ',');
    }
    return true;
}

/* What packetdrill looks for in a shared object. `flags`: what --so_flags said, or NULL. */
__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface);

void packetdrill_interface_init(const char *flags, struct packetdrill_interface *interface)
{
    struct drill *drill = calloc(1, sizeof(*drill));

    if (!drill) {
        fprintf(stderr, "packetdrill: no memory for UTCP\n");
        exit(EXIT_FAILURE);
    }
    drill->quick_acks = -1;
    if (flags && !take_flags(drill, flags)) {
        fprintf(stderr,
                "packetdrill: --so_flags=%s: UTCP knows cc=NAME and quickacks=NUMBER, with a comma "
                "between\n",
                flags);
        exit(EXIT_FAILURE);
    }
    pthread_mutex_init(&drill->lock, NULL);
    pthread_cond_init(&drill->changed, NULL);
    drill->main_thread = pthread_self();
    drill->now = START_US;
    drill->end = &drill->first;
    drill->next_port = PORT_FIRST;
    drill_preloaded = drill;
    *interface = (struct packetdrill_interface){
        .userdata = drill,
        .free = drill_free,
        .socket = drill_socket,
        .bind = drill_bind,
        .listen = drill_listen,
        .accept = drill_accept,
        .connect = drill_connect,
        .read = drill_read,
        .readv = drill_readv,
        .recv = drill_recv,
        .recvfrom = drill_recvfrom,
        .recvmsg = drill_recvmsg,
        .write = drill_write,
        .writev = drill_writev,
        .send = drill_send,
        .sendto = drill_sendto,
        .sendmsg = drill_sendmsg,
        .fcntl = drill_fcntl,
        .ioctl = drill_ioctl,
        .close = drill_close,
        .shutdown = drill_shutdown,
        .getsockopt = drill_getsockopt,
        .setsockopt = drill_setsockopt,
        .poll = drill_poll,
        .netdev_send = drill_netdev_send,
        .netdev_receive = drill_netdev_receive,
        .usleep = drill_usleep,
        .gettimeofday = look_at_clock,
        .epoll_create = drill_epoll_create,
        .epoll_ctl = drill_epoll_ctl,
        .epoll_wait = drill_epoll_wait,
        .pipe = drill_pipe,
        .splice = drill_splice,
    };
}
