/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls that programs know from sockets, on a UTCP stack: descriptors of their own numbers, a
 * blocking and a non-blocking mode, options, poll and epoll. What they mean is what socket(7), tcp(7),
 * ip(7), poll(2) and epoll(7) say of Linux.
 *
 * It is a library without system calls, as UTCP is: time, sleep and the way out for packets are the
 * host's (struct sockets_host). So it works in virtual time as well as in a real program.
 *
 *      calls of the program
 *              │
 *   ┌──────────┴───────────────────────────────────────────────┐
 *   │ socket.c    descriptors, names, connect, accept, close   │
 *   │ transfer.c  read and write in all their forms            │
 *   │ urgent.c    the byte that is out of band                 │
 *   │ notes.c     control messages, the error queue            │
 *   │ timestamps.c  when data left and arrived                 │
 *   │ options.c   getsockopt, setsockopt, ioctl, fcntl         │
 *   │ fastopen.c  data with the SYN                            │
 *   │ defer.c     connections shown with their first data      │
 *   │ readiness.c poll, epoll                                  │
 *   └──────────┬───────────────────────────────▲───────────────┘
 *         utcp_…()                      sockets_happened()  what utcp_poll() gave
 *
 * A call that has to wait asks the host to, again and again until what it waits for is there: the
 * host lets packets and timers in meanwhile. One thread at a time may be inside; wait() is where it
 * may leave the place to another.
 *
 * Calls return what their namesakes do, but a negative errno instead of -1. Pointers are believed, but
 * for a read or write of NULL, which is -EFAULT. */
#ifndef MS_SOCKETS_H
#define MS_SOCKETS_H

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "utcp.h"

struct sockets;

struct sockets_host {
    uint64_t (*now)(void *context); /* µs, of the stack's clock */
    /* Something was asked of the stack that may want packets to be sent. */
    void (*kick)(void *context);
    /* Until something has happened to the stack, or `until` has come. False: that will never be. */
    bool (*wait)(void *context, uint64_t until);
    /* The address that packets to `remote` come from; its port, not 0, is one that is free. Also with
     * a local address that is chosen already (family not 0) and a port that is not. 0 or an errno. */
    int (*source)(void *context, const struct utcp_endpoint *remote, struct utcp_endpoint *local);
    /* A number for a new descriptor, or a negative errno, that nobody else has until it is given back. */
    int (*take_number)(void *context);
    void (*give_number_back)(void *context, int number);
    void *context;
};

/* `stack` must live longer. NULL: no memory. */
struct sockets *sockets_new(struct utcp *stack, const struct sockets_host *host);
/* TCP_NOTSENT_LOWAT of sockets that do not say: bytes, as net.ipv4.tcp_notsent_lowat; 0: UTCP's default. */
void sockets_set_not_sent_low(struct sockets *sockets, uint32_t bytes);
/* TCP_CONGESTION of sockets that do not say: the stack's, by its name in UTCP, which is not copied; else the
 * first there is. */
void sockets_set_congestion(struct sockets *sockets, const char *name);
/* What SO_RCVBUF and SO_SNDBUF of sockets tell that were not told: bytes, the second numbers of
 * net.ipv4.tcp_rmem and tcp_wmem. Buffers grow as they have to, all the same. */
void sockets_set_buffers(struct sockets *sockets, uint32_t receive, uint32_t send);
/* Acknowledgments at the start of connections from now on that are not delayed; else 16, as Linux has. */
void sockets_set_quick_acks(struct sockets *sockets, unsigned count);
/* Closes all that is open, at once. */
void sockets_free(struct sockets *sockets);

/* Fast open (RFC 7413): what the sysctl net.ipv4.tcp_fastopen is to Linux, and as it begins there: the
 * client may, the server may not. For listeners from now on. */
#define SOCKETS_FAST_OPEN_CLIENT           0x1
#define SOCKETS_FAST_OPEN_SERVER           0x2
#define SOCKETS_FAST_OPEN_CLIENT_NO_COOKIE 0x4
#define SOCKETS_FAST_OPEN_SERVER_NO_COOKIE 0x200
#define SOCKETS_FAST_OPEN_EVERY_LISTENER   0x400 /* not only those with TCP_FASTOPEN */
void sockets_set_fast_open(struct sockets *sockets, unsigned settings);

/* What utcp_poll() gave: call before anybody who waits goes on. */
void sockets_happened(struct sockets *sockets, const struct utcp_event *events, unsigned count);

/* Whether it is a descriptor of ours. */
bool sockets_owns(const struct sockets *sockets, int fd);

int sockets_socket(struct sockets *sockets, int domain, int type, int protocol);
int sockets_bind(struct sockets *sockets, int fd, const struct sockaddr *address, socklen_t length);
int sockets_listen(struct sockets *sockets, int fd, int backlog);
int sockets_accept(struct sockets *sockets, int fd, struct sockaddr *address, socklen_t *length,
                   int flags);
int sockets_connect(struct sockets *sockets, int fd, const struct sockaddr *address,
                    socklen_t length);
int sockets_shutdown(struct sockets *sockets, int fd, int how);
int sockets_close(struct sockets *sockets, int fd);
int sockets_getsockname(struct sockets *sockets, int fd, struct sockaddr *address,
                        socklen_t *length);
int sockets_getpeername(struct sockets *sockets, int fd, struct sockaddr *address,
                        socklen_t *length);

ssize_t sockets_receive(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                        int flags);
/* recvmsg(2): with MSG_ERRQUEUE also notes on what was sent. */
ssize_t sockets_receive_message(struct sockets *sockets, int fd, struct msghdr *message, int flags);
ssize_t sockets_send(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                     int flags);
/* As sockets_send(), to whom: for TCP a name is of use only with MSG_FASTOPEN. */
ssize_t sockets_send_to(struct sockets *sockets, int fd, const struct iovec *pieces, size_t count,
                        int flags, const struct sockaddr *address, socklen_t length);

/* sendmsg(2): its control message may be SO_TIMESTAMPING, for this send alone. */
ssize_t sockets_send_message(struct sockets *sockets, int fd, const struct msghdr *message,
                             int flags);

int sockets_getsockopt(struct sockets *sockets, int fd, int level, int name, void *value,
                       socklen_t *length);
int sockets_setsockopt(struct sockets *sockets, int fd, int level, int name, const void *value,
                       socklen_t length);
/* `argument`: the int or the pointer of the call. */
int sockets_fcntl(struct sockets *sockets, int fd, int command, long argument);
int sockets_ioctl(struct sockets *sockets, int fd, unsigned long request, void *argument);

int sockets_poll(struct sockets *sockets, struct pollfd *fds, nfds_t count, int timeout_ms);
int sockets_epoll_create(struct sockets *sockets);
int sockets_epoll_ctl(struct sockets *sockets, int epoll, int operation, int fd,
                      const struct epoll_event *event);
int sockets_epoll_wait(struct sockets *sockets, int epoll, struct epoll_event *events, int max,
                       int timeout_ms);

#endif
