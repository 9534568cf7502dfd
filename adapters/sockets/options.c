/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets.h: getsockopt, setsockopt, ioctl, fcntl. Most options are an int that is kept here and told
 * to the connection, now or when there is one; the table says which. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "internal.h"

/* The time and the number of probes of keep-alive until they are set, tcp(7). */
#define KEEPALIVE_IDLE     7200
#define KEEPALIVE_INTERVAL 75
#define KEEPALIVE_COUNT    9
#define SYN_COUNT          7
#define HOP_LIMIT          64
#define FIN_WAIT           60 /* s: net.ipv4.tcp_fin_timeout of most hosts */
#define FIN_WAIT_MAX       120
#define SEGMENT_UNTOLD     536  /* what TCP_MAXSEG tells without a connection */
#define SEND_LEAST         4608 /* what SO_SNDBUF and SO_RCVBUF tell at least, … */
#define RECEIVE_LEAST      2304 /* … */
#define BUFFER_MOST        4194304 /* … and take at most: net.core.wmem_max and rmem_max of Linux 6.17 */
#define CLAMP_LEAST        1152 /* TCP_WINDOW_CLAMP */
#define ECN_BITS           3    /* of IP_TOS: they are TCP's */

struct int_option {
    int level, name;
    size_t offset; /* in struct socket_options */
    int least, most, initial;
    bool flag; /* what is not 0 is 1 */
};

#define FLAG INT32_MIN, INT32_MAX, 0, true

#define OPTION(field) offsetof(struct socket_options, field)

static const struct int_option int_options[] = {
    {SOL_SOCKET, SO_REUSEADDR, OPTION(reuse_address), FLAG},
    {SOL_SOCKET, SO_REUSEPORT, OPTION(reuse_port), FLAG},
    {SOL_SOCKET, SO_KEEPALIVE, OPTION(keepalive), FLAG},
    {SOL_SOCKET, SO_RCVLOWAT, OPTION(low_water), INT32_MIN, INT32_MAX, 1},
    {SOL_SOCKET, SO_RCVBUF, OPTION(receive_buffer), INT32_MIN, INT32_MAX, 0},
    {SOL_SOCKET, SO_SNDBUF, OPTION(send_buffer), INT32_MIN, INT32_MAX, 0},
    {SOL_SOCKET, SO_ZEROCOPY, OPTION(zerocopy), 0, 1, 0},
    {SOL_SOCKET, SO_TIMESTAMP, OPTION(timestamp), FLAG},
    {SOL_SOCKET, SO_TIMESTAMPNS, OPTION(timestamp_ns), FLAG},
    {SOL_SOCKET, SO_MARK, OPTION(mark), INT32_MIN, INT32_MAX, 0},
    {SOL_SOCKET, SO_PRIORITY, OPTION(priority), INT32_MIN, INT32_MAX, 0},
    {SOL_SOCKET, SO_DEBUG, OPTION(debug), FLAG},
    {SOL_SOCKET, SO_DONTROUTE, OPTION(dont_route), FLAG},
    {SOL_SOCKET, SO_BROADCAST, OPTION(broadcast), FLAG},
    {SOL_SOCKET, SO_OOBINLINE, OPTION(urgent_inline), FLAG},
    {SOL_SOCKET, SO_NO_CHECK, OPTION(no_check), FLAG},
    {SOL_SOCKET, SO_BUSY_POLL, OPTION(busy_poll), 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, OPTION(window_clamp), 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPTION(not_sent_low), INT32_MIN, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_INQ, OPTION(tell_left), 0, 1, 0},
    {IPPROTO_TCP, TCP_FASTOPEN, OPTION(fast_open), 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, OPTION(fast_open_connect), 0, 1, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, OPTION(fast_open_no_cookie), 0, 1, 0},
    {IPPROTO_TCP, TCP_NODELAY, OPTION(nodelay), FLAG},
    {IPPROTO_TCP, TCP_CORK, OPTION(cork), FLAG},
    {IPPROTO_TCP, TCP_QUICKACK, OPTION(quickack), FLAG},
    {IPPROTO_TCP, TCP_MAXSEG, OPTION(max_segment), 88, 32767, SEGMENT_UNTOLD},
    {IPPROTO_TCP, TCP_KEEPIDLE, OPTION(keepalive_idle), 1, 32767, KEEPALIVE_IDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL, OPTION(keepalive_interval), 1, 32767, KEEPALIVE_INTERVAL},
    {IPPROTO_TCP, TCP_KEEPCNT, OPTION(keepalive_count), 1, 127, KEEPALIVE_COUNT},
    {IPPROTO_TCP, TCP_SYNCNT, OPTION(syn_count), 1, 127, SYN_COUNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, OPTION(user_timeout), 0, INT32_MAX, 0},
    {IPPROTO_TCP, TCP_LINGER2, OPTION(fin_wait), INT32_MIN, INT32_MAX, FIN_WAIT},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, OPTION(defer_accept), INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TOS, OPTION(type_of_service), INT32_MIN, INT32_MAX, 0},
    {IPPROTO_IP, IP_TTL, OPTION(hop_limit), -1, 255, HOP_LIMIT},
    {IPPROTO_IP, IP_FREEBIND, OPTION(free_bind), FLAG},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, OPTION(bind_no_port), FLAG},
    {IPPROTO_IP, IP_RECVERR, OPTION(receive_errors), FLAG},
    /* whichever it is: UTCP's segments fit the path, and are never cut */
    {IPPROTO_IP, IP_MTU_DISCOVER, OPTION(path_mtu_discovery), IP_PMTUDISC_DONT, IP_PMTUDISC_OMIT,
     0},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, OPTION(path_mtu_discovery), IPV6_PMTUDISC_DONT,
     IPV6_PMTUDISC_OMIT, 0},
    {IPPROTO_IPV6, IPV6_RECVERR, OPTION(receive_errors), FLAG},
    {IPPROTO_IPV6, IPV6_TCLASS, OPTION(type_of_service), -1, 255, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, OPTION(hop_limit), -1, 255, HOP_LIMIT},
    {IPPROTO_IPV6, IPV6_V6ONLY, OPTION(v6_only), FLAG},
};

static const struct int_option *find_option(int level, int name)
{
    for (size_t i = 0; i < sizeof(int_options) / sizeof(int_options[0]); i++) {
        if (int_options[i].level == level && int_options[i].name == name)
            return &int_options[i];
    }
    return NULL;
}

static int *field_of(struct socket *socket, const struct int_option *option)
{
    return (int *)((uint8_t *)&socket->options + option->offset);
}

static int or_default(int value, int initial)
{
    return value ? value : initial;
}

/* The kernel's name for it, and ours. */
static const char *our_name(const char *name)
{
    return strcmp(name, "reno") == 0 ? "newreno" : name;
}

static const char *kernels_name(const char *name)
{
    return strcmp(name, "newreno") == 0 ? "reno" : name;
}

/* Below 0: not at all, or as short as there is. */
static uint64_t fin_wait_us(int seconds)
{
    return seconds < 0 ? 1 : (uint64_t)seconds * 1000000;
}

void sockets__apply_congestion(const struct socket *socket, struct utcp_conn *conn)
{
    if (*socket->options.congestion)
        utcp_set_congestion(conn, our_name(socket->options.congestion));
}

/* Of the two that bound it the smaller; 0: it grows. */
static uint64_t receive_limit(const struct socket_options *options)
{
    int buffer = options->receive_buffer, clamp = options->window_clamp;

    return (uint64_t)(clamp && (!buffer || clamp < buffer) ? clamp : buffer);
}

/* TCP_QUICKACK: acknowledgments that are not delayed, from now on; Linux's is as little for ever. */
void sockets__apply_quick_acks(const struct sockets *sockets, const struct socket *socket,
                               struct utcp_conn *conn)
{
    utcp_set_option(conn, UTCP_OPTION_QUICK_ACKS,
                    socket->options.quickack ? sockets->quick_acks : 0);
}

void sockets__apply_options(const struct sockets *sockets, const struct socket *socket,
                            struct utcp_conn *conn)
{
    const struct socket_options *options = &socket->options;
    uint64_t idle = (uint64_t)or_default(options->keepalive_idle, KEEPALIVE_IDLE) * 1000000;

    utcp_set_option(conn, UTCP_OPTION_NODELAY, options->nodelay != 0);
    utcp_set_option(conn, UTCP_OPTION_CORK, options->cork || socket->more);
    utcp_set_option(conn, UTCP_OPTION_KEEPALIVE_US, options->keepalive ? idle : 0);
    utcp_set_option(conn, UTCP_OPTION_KEEPALIVE_INTERVAL_US,
                    (uint64_t)or_default(options->keepalive_interval, KEEPALIVE_INTERVAL) *
                        1000000);
    utcp_set_option(conn, UTCP_OPTION_KEEPALIVE_PROBES,
                    (uint64_t)or_default(options->keepalive_count, KEEPALIVE_COUNT));
    utcp_set_option(conn, UTCP_OPTION_SYN_RETRIES, (uint64_t)options->syn_count);
    utcp_set_option(conn, UTCP_OPTION_USER_TIMEOUT_US, (uint64_t)options->user_timeout * 1000);
    utcp_set_option(conn, UTCP_OPTION_SEND_BUFFER, (uint64_t)options->send_buffer);
    utcp_set_option(conn, UTCP_OPTION_NOT_SENT_LOW,
                    options->not_sent_low ? (uint32_t)options->not_sent_low
                                          : sockets->not_sent_low);
    utcp_set_option(conn, UTCP_OPTION_RECEIVE_BUFFER, receive_limit(options));
    /* The two bits of ECN in it are TCP's, as in Linux. */
    utcp_set_option(conn, UTCP_OPTION_DSCP, (uint64_t)options->type_of_service >> 2);
    utcp_set_option(conn, UTCP_OPTION_HOP_LIMIT, (uint64_t)options->hop_limit);
    sockets__apply_timestamps(socket, conn);
    utcp_set_option(conn, UTCP_OPTION_FIN_WAIT_US, fin_wait_us(options->fin_wait));
    utcp_set_option(conn, UTCP_OPTION_REPORTS, options->receive_errors != 0);
    utcp_set_option(conn, UTCP_OPTION_PACING_MOST,
                    options->max_pacing == UINT64_MAX ? 0 : options->max_pacing);
    if (options->max_segment)
        utcp_set_option(conn, UTCP_OPTION_MAX_SEGMENT, (uint64_t)options->max_segment);
}

void sockets__apply_listener_options(const struct sockets *sockets, const struct socket *socket)
{
    for (int i = 0; i < 2; i++) {
        if (!socket->listeners[i])
            continue;
        utcp_listener_set_option(socket->listeners[i], UTCP_OPTION_MAX_SEGMENT,
                                 (uint64_t)socket->options.max_segment);
        utcp_listener_set_option(socket->listeners[i], UTCP_OPTION_RECEIVE_BUFFER,
                                 receive_limit(&socket->options));
        utcp_listener_set_option(socket->listeners[i], UTCP_OPTION_QUICK_ACKS,
                                 socket->options.quickack ? sockets->quick_acks : 0);
        sockets__fast_open_listener(sockets, socket, socket->listeners[i]);
        utcp_listener_set_option(socket->listeners[i], UTCP_OPTION_DSCP,
                                 (uint64_t)socket->options.type_of_service >> 2);
        utcp_listener_set_option(socket->listeners[i], UTCP_OPTION_HOP_LIMIT,
                                 (uint64_t)socket->options.hop_limit);
    }
}

/* ── Setting ───────────────────────────────────────────────────────────────────────────────── */

static int set_linger(struct socket *socket, const void *value, socklen_t length)
{
    struct linger linger;

    if (length < sizeof(linger))
        return -EINVAL;
    memcpy(&linger, value, sizeof(linger));
    socket->options.linger_on = linger.l_onoff != 0;
    socket->options.linger_seconds = linger.l_linger;
    return 0;
}

static int set_timeout(uint64_t *timeout, const void *value, socklen_t length)
{
    struct timeval time;

    if (length < sizeof(time))
        return -EINVAL;
    memcpy(&time, value, sizeof(time));
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return -EDOM;
    *timeout = time.tv_sec < 0 ? 0 : (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
    return 0;
}

static bool known(const char *name)
{
    const char *there;

    for (unsigned i = 0; (there = utcp_congestion_name(i)) != NULL; i++) {
        if (strcmp(there, name) == 0)
            return true;
    }
    return false;
}

/* Without a connection, for those that it will have. */
static int set_congestion(struct socket *socket, const void *value, socklen_t length)
{
    char name[CONGESTION_NAME_SIZE] = "";
    const char *ours;

    if (length < 1)
        return -EINVAL;
    memcpy(name, value, length < sizeof(name) - 1 ? length : sizeof(name) - 1);
    ours = our_name(name);
    if (socket->conn ? utcp_set_congestion(socket->conn, ours) != 0 : !known(ours))
        return -ENOENT;
    memcpy(socket->options.congestion, name, sizeof(name));
    return 0;
}

/* TCP_NODELAY sends what waits even where there is a cork: tcp(7). */
static void push(const struct sockets *sockets, const struct socket *socket)
{
    if (!socket->conn)
        return;
    utcp_set_option(socket->conn, UTCP_OPTION_CORK, 0);
    utcp_set_option(socket->conn, UTCP_OPTION_NODELAY, 1);
    sockets__kick(sockets);
}

/* What the kernel makes of the number, socket(7), tcp(7), ip(7): 0 or a negative errno. `forced`: no limit above. */
static int adjust(const struct socket *socket, const struct int_option *option, bool forced,
                  int *number)
{
    if (option->level == SOL_SOCKET) {
        switch (option->name) {
        case SO_RCVBUF:
        case SO_SNDBUF: /* it keeps books beside the data, and tells double of what it was told */
            if (*number < 0)
                *number = forced ? 0 : BUFFER_MOST;
            if (!forced && *number > BUFFER_MOST)
                *number = BUFFER_MOST;
            *number = *number > INT32_MAX / 2 ? INT32_MAX : 2 * *number;
            if (*number < (option->name == SO_RCVBUF ? RECEIVE_LEAST : SEND_LEAST))
                *number = option->name == SO_RCVBUF ? RECEIVE_LEAST : SEND_LEAST;
            return 0;
        case SO_RCVLOWAT: *number = *number < 0 ? INT32_MAX : *number; return 0;
        default: return 0;
        }
    }
    if (option->level != IPPROTO_TCP) {
        if (option->offset == OPTION(type_of_service))
            *number =
                *number == -1 && option->level == IPPROTO_IPV6 ? 0 : *number & 0xff & ~ECN_BITS;
        if (option->offset == OPTION(hop_limit) && *number <= 0) {
            if (*number == 0)
                return -EINVAL;
            *number = 0; /* the usual one */
        }
        return 0;
    }
    switch (option->name) {
    case TCP_LINGER2:
        *number = *number < -1 ? -1 : *number > FIN_WAIT_MAX ? FIN_WAIT_MAX : *number;
        return 0;
    case TCP_DEFER_ACCEPT: *number = sockets__deferral_seconds(*number); return 0;
    case TCP_FASTOPEN: *number = *number < SOMAXCONN ? *number : SOMAXCONN; return 0;
    case TCP_WINDOW_CLAMP:
        if (!*number && socket->kind != SOCKET_NEW)
            return -EINVAL;
        *number = *number && *number < CLAMP_LEAST ? CLAMP_LEAST : *number;
        return 0;
    default: return 0;
    }
}

static int set_int(const struct sockets *sockets, struct socket *socket,
                   const struct int_option *option, bool forced, const void *value,
                   socklen_t length)
{
    bool unset;
    int number, status;

    if (length < sizeof(number)) { /* ip(7) takes a single byte as well */
        if (option->level != IPPROTO_IP || length < 1)
            return -EINVAL;
        number = *(const uint8_t *)value;
    } else {
        memcpy(&number, value, sizeof(number));
    }
    unset = option->level == IPPROTO_TCP && option->name == TCP_MAXSEG && number == 0;
    if (!unset && (number < option->least || number > option->most))
        return -EINVAL;
    if (option->flag)
        number = number != 0;
    status = adjust(socket, option, forced, &number);
    if (status)
        return status;
    *field_of(socket, option) = number;
    if (option->level == IPPROTO_TCP && option->name == TCP_NODELAY && number)
        push(sockets, socket);
    if (socket->conn)
        sockets__apply_options(sockets, socket, socket->conn);
    if (socket->conn && option->level == IPPROTO_TCP && option->name == TCP_QUICKACK)
        sockets__apply_quick_acks(sockets, socket, socket->conn);
    sockets__apply_listener_options(sockets, socket);
    sockets__kick(sockets);
    return 0;
}

/* On machines of 64 bits these are others' younger names; Debian's headers have them by their numbers alone. */
static int older_name(int level, int name)
{
    static const int names[][2] = {{SO_TIMESTAMP_NEW, SO_TIMESTAMP_OLD},
                                   {SO_TIMESTAMPNS_NEW, SO_TIMESTAMPNS_OLD},
                                   {SO_TIMESTAMPING_NEW, SO_TIMESTAMPING_OLD},
                                   {SO_RCVTIMEO_NEW, SO_RCVTIMEO_OLD},
                                   {SO_SNDTIMEO_NEW, SO_SNDTIMEO_OLD}};

    for (size_t i = 0; level == SOL_SOCKET && i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i][0] == name)
            return names[i][1];
    }
    return name;
}

/* Of 32 or of 64 bits: socket(7). */
static int set_max_pacing(const struct sockets *sockets, struct socket *socket, const void *value,
                          socklen_t length)
{
    uint64_t rate;
    uint32_t small;

    if (length < sizeof(small))
        return -EINVAL;
    memcpy(&small, value, sizeof(small));
    rate = small == UINT32_MAX ? UINT64_MAX : small;
    if (length >= sizeof(rate))
        memcpy(&rate, value, sizeof(rate));
    socket->options.max_pacing = rate;
    if (socket->conn)
        sockets__apply_options(sockets, socket, socket->conn);
    return 0;
}

static int set_nothing(const void *value, socklen_t length)
{
    int number;

    if (length < sizeof(number))
        return -EINVAL;
    memcpy(&number, value, sizeof(number));
    return number == 0 || number == 1 ? 0 : -EINVAL;
}

int sockets_setsockopt(struct sockets *sockets, int fd, int level, int name, const void *value,
                       socklen_t length)
{
    struct socket *socket = sockets__get(sockets, fd);
    bool forced = level == SOL_SOCKET && (name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE);
    const struct int_option *option;

    if (!socket)
        return -EBADF;
    if (!value)
        return -EFAULT;
    name = older_name(level, name);
    if (forced)
        name = name == SO_RCVBUFFORCE ? SO_RCVBUF : SO_SNDBUF;
    option = find_option(level, name);
    if (level == IPPROTO_TCP &&
        (name == TCP_FASTOPEN || name == TCP_FASTOPEN_CONNECT || name == TCP_FASTOPEN_NO_COOKIE)) {
        int status = sockets__may_set_fast_open(sockets, socket, name);

        if (status)
            return status;
    }
    if (level == IPPROTO_TCP && name == TCP_FASTOPEN_KEY)
        return sockets__set_fast_open_key(sockets, socket, value, length);
    if (option)
        return set_int(sockets, socket, option, forced, value, length);
    if (level == IPPROTO_TCP && name == TCP_THIN_DUPACK) /* of no effect in the kernel, too */
        return set_nothing(value, length);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(socket, value, length);
    if (level == SOL_SOCKET && name == SO_TIMESTAMPING)
        return sockets__set_timestamping(socket, value, length);
    if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE)
        return set_max_pacing(sockets, socket, value, length);
    if (level == SOL_SOCKET && name == SO_BSDCOMPAT) /* of no effect for long */
        return length < sizeof(int) ? -EINVAL : 0;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(socket, value, length);
    if (level == SOL_SOCKET && name == SO_RCVTIMEO)
        return set_timeout(&socket->options.receive_timeout, value, length);
    if (level == SOL_SOCKET && name == SO_SNDTIMEO)
        return set_timeout(&socket->options.send_timeout, value, length);
    return -ENOPROTOOPT;
}

/* ── Getting ───────────────────────────────────────────────────────────────────────────────── */

/* As much of it as the caller has room for. */
static int give(void *value, socklen_t *length, const void *from, size_t size)
{
    if (!value || !length)
        return -EFAULT;
    if (*length < size)
        size = *length;
    memcpy(value, from, size);
    *length = (socklen_t)size;
    return 0;
}

static int give_int(void *value, socklen_t *length, int number)
{
    return give(value, length, &number, sizeof(number));
}

static int receive_buffer(const struct sockets *sockets, const struct socket *socket)
{
    return or_default(socket->options.receive_buffer, sockets->receive_buffer);
}

static int send_buffer(const struct sockets *sockets, const struct socket *socket)
{
    return or_default(socket->options.send_buffer, sockets->send_buffer);
}

/* socket(7): what the kernel has in memory for it. Ours is the data. */
static int give_memory(const struct sockets *sockets, const struct socket *socket, void *value,
                       socklen_t *length)
{
    uint32_t memory[SK_MEMINFO_VARS] = {
        [SK_MEMINFO_RCVBUF] = (uint32_t)receive_buffer(sockets, socket),
        [SK_MEMINFO_SNDBUF] = (uint32_t)send_buffer(sockets, socket),
    };

    if (socket->conn) {
        memory[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)utcp_readable(socket->conn);
        memory[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)utcp_unacknowledged(socket->conn);
        memory[SK_MEMINFO_WMEM_ALLOC] = memory[SK_MEMINFO_WMEM_QUEUED];
    }
    return give(value, length, memory, sizeof(memory));
}

static int give_timeout(void *value, socklen_t *length, uint64_t timeout)
{
    struct timeval time = {.tv_sec = (time_t)(timeout / 1000000),
                           .tv_usec = (suseconds_t)(timeout % 1000000)};

    return give(value, length, &time, sizeof(time));
}

/* SO_ERROR: what ended the connection, else what the network has said of it since it was asked last. */
static int what_went_wrong(struct socket *socket)
{
    int error = -sockets__take_error(socket),
        trouble = socket->conn ? utcp_trouble(socket->conn) : 0;

    if (trouble == -ETIMEDOUT)
        trouble = 0;
    if (error || trouble == socket->trouble_told)
        return error;
    socket->trouble_told = trouble;
    return -trouble;
}

static int give_max_pacing(const struct socket *socket, void *value, socklen_t *length)
{
    uint64_t rate = socket->options.max_pacing;
    uint32_t small = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;

    return *length < sizeof(rate) ? give(value, length, &small, sizeof(small))
                                  : give(value, length, &rate, sizeof(rate));
}

/* A number that no other socket here has, nor has had. */
static int give_cookie(struct sockets *sockets, struct socket *socket, void *value,
                       socklen_t *length)
{
    if (*length < sizeof(socket->cookie))
        return -EINVAL;
    if (!socket->cookie)
        socket->cookie = ++sockets->cookies;
    return give(value, length, &socket->cookie, sizeof(socket->cookie));
}

static int get_socket_option(struct sockets *sockets, struct socket *socket, int name, void *value,
                             socklen_t *length)
{
    struct linger linger = {socket->options.linger_on, socket->options.linger_seconds};

    switch (name) {
    case SO_RCVBUF: return give_int(value, length, receive_buffer(sockets, socket));
    case SO_SNDBUF: return give_int(value, length, send_buffer(sockets, socket));
    case SO_ERROR: return give_int(value, length, what_went_wrong(socket));
    case SO_BSDCOMPAT: return give_int(value, length, 0);
    case SO_MAX_PACING_RATE: return give_max_pacing(socket, value, length);
    case SO_COOKIE: return give_cookie(sockets, socket, value, length);
    case SO_TYPE: return give_int(value, length, SOCK_STREAM);
    case SO_PROTOCOL: return give_int(value, length, IPPROTO_TCP);
    case SO_DOMAIN: return give_int(value, length, socket->family);
    case SO_ACCEPTCONN: return give_int(value, length, socket->kind == SOCKET_LISTENS);
    case SO_SNDLOWAT: return give_int(value, length, 1); /* as it is: socket(7) */
    case SO_TIMESTAMPING: return give_int(value, length, socket->options.timestamping);
    case SO_MEMINFO: return give_memory(sockets, socket, value, length);
    case SO_LINGER: return give(value, length, &linger, sizeof(linger));
    case SO_RCVTIMEO: return give_timeout(value, length, socket->options.receive_timeout);
    case SO_SNDTIMEO: return give_timeout(value, length, socket->options.send_timeout);
    default: return -ENOPROTOOPT;
    }
}

static int give_congestion(const struct sockets *sockets, const struct socket *socket, void *value,
                           socklen_t *length)
{
    struct utcp_info info = {.size = sizeof(info)};
    char name[CONGESTION_NAME_SIZE] = "";
    const char *in_use =
        *socket->options.congestion ? socket->options.congestion : sockets->congestion;

    if (socket->conn) {
        utcp_info(socket->conn, &info);
        in_use = info.congestion;
    }
    snprintf(name, sizeof(name), "%s", kernels_name(in_use));
    return give(value, length, name, sizeof(name));
}

/* ip(7): of a path that is known, and so of a connection. */
static int give_mtu(const struct socket *socket, void *value, socklen_t *length)
{
    struct utcp_info info = {.size = sizeof(info)};

    if (!socket->conn)
        return -ENOTCONN;
    utcp_info(socket->conn, &info);
    return give_int(value, length, info.path_mtu);
}

static int get_tcp_option(const struct sockets *sockets, const struct socket *socket, int name,
                          void *value, socklen_t *length)
{
    union sockets_tcp_info filled;

    switch (name) {
    case TCP_FASTOPEN_KEY:
        return give(value, length, socket->fast_key,
                    (size_t)socket->fast_keys * UTCP_FAST_OPEN_KEY_SIZE);
    case TCP_INFO:
        sockets__tcp_info(socket, &filled);
        return give(value, length, &filled, sizeof(filled));
    case TCP_THIN_DUPACK: return give_int(value, length, 0);
    case TCP_CC_INFO: /* of what the controls know, the kernel's have nothing that ours have, too */
        *length = 0;
        return 0;
    case TCP_CONGESTION: return give_congestion(sockets, socket, value, length);
    default: return -ENOPROTOOPT;
    }
}

int sockets_getsockopt(struct sockets *sockets, int fd, int level, int name, void *value,
                       socklen_t *length)
{
    struct socket *socket = sockets__get(sockets, fd);
    const struct int_option *option;
    struct utcp_info info = {.size = sizeof(info)};

    if (!socket)
        return -EBADF;
    if (!value || !length)
        return -EFAULT;
    if (*length > INT32_MAX)
        return -EINVAL;
    name = older_name(level, name);
    option = find_option(level, name);
    if (level == IPPROTO_TCP && name == TCP_MAXSEG && socket->conn) {
        utcp_info(socket->conn, &info);
        return give_int(value, length, (int)info.mss);
    }
    if (option && !(level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_SNDBUF)))
        return give_int(value, length, or_default(*field_of(socket, option), option->initial));
    if (level == SOL_SOCKET && name == SO_PEERNAME)
        return sockets_getpeername(sockets, fd, value, length);
    if (level == SOL_SOCKET)
        return get_socket_option(sockets, socket, name, value, length);
    if ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU))
        return give_mtu(socket, value, length);
    return level == IPPROTO_TCP ? get_tcp_option(sockets, socket, name, value, length)
                                : -ENOPROTOOPT;
}

/* ── ioctl, fcntl ──────────────────────────────────────────────────────────────────────────── */

int sockets_fcntl(struct sockets *sockets, int fd, int command, long argument)
{
    struct socket *socket = sockets__get(sockets, fd);

    if (!socket)
        return -EBADF;
    switch (command) {
    case F_GETFL: return O_RDWR | (socket->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL: socket->nonblocking = argument & O_NONBLOCK; return 0;
    case F_GETFD: return socket->close_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD: socket->close_on_exec = argument & FD_CLOEXEC; return 0;
    default: return -EINVAL;
    }
}

int sockets_ioctl(struct sockets *sockets, int fd, unsigned long request, void *argument)
{
    struct socket *socket = sockets__get(sockets, fd);
    struct utcp_info info = {.size = sizeof(info)};
    int number = 0;

    if (!socket)
        return -EBADF;
    if (!argument)
        return -EFAULT;
    if (request == FIONBIO) {
        memcpy(&number, argument, sizeof(number));
        socket->nonblocking = number != 0;
        return 0;
    }
    if (socket->kind == SOCKET_LISTENS || socket->kind == SOCKET_EPOLL)
        return -EINVAL;
    if (socket->conn)
        utcp_info(socket->conn, &info);
    switch (request) {
    case SIOCINQ: number = (int)sockets__readable_to_mark(socket); break;
    case SIOCOUTQ: number = socket->conn ? (int)utcp_unacknowledged(socket->conn) : 0; break;
    case SIOCATMARK: number = sockets__at_mark(socket); break;
    case SIOCOUTQNSD: number = (int)info.unsent; break;
    default: return -ENOTTY;
    }
    memcpy(argument, &number, sizeof(number));
    return 0;
}
