/* SPDX-License-Identifier: BSD-2-Clause */
/* What packetdrill asks of a stack under test: a table of functions that packetdrill_interface_init()
 * fills in. The order and the types of the fields are the interface of
 * https://github.com/google/packetdrill (packetdrill.h there); the calls mean what their namesakes
 * do, with errno and -1. */
#ifndef MS_PACKETDRILL_INTERFACE_H
#define MS_PACKETDRILL_INTERFACE_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

struct packetdrill_interface {
    void *userdata; /* given to each of them */
    void (*free)(void *drill);
    int (*socket)(void *drill, int domain, int type, int protocol);
    int (*bind)(void *drill, int fd, const struct sockaddr *address, socklen_t length);
    int (*listen)(void *drill, int fd, int backlog);
    int (*accept)(void *drill, int fd, struct sockaddr *address, socklen_t *length);
    int (*connect)(void *drill, int fd, const struct sockaddr *address, socklen_t length);
    ssize_t (*read)(void *drill, int fd, void *buffer, size_t size);
    ssize_t (*readv)(void *drill, int fd, const struct iovec *pieces, int count);
    ssize_t (*recv)(void *drill, int fd, void *buffer, size_t size, int flags);
    ssize_t (*recvfrom)(void *drill, int fd, void *buffer, size_t size, int flags,
                        struct sockaddr *address, socklen_t *length);
    ssize_t (*recvmsg)(void *drill, int fd, struct msghdr *message, int flags);
    ssize_t (*write)(void *drill, int fd, const void *data, size_t size);
    ssize_t (*writev)(void *drill, int fd, const struct iovec *pieces, int count);
    ssize_t (*send)(void *drill, int fd, const void *data, size_t size, int flags);
    ssize_t (*sendto)(void *drill, int fd, const void *data, size_t size, int flags,
                      const struct sockaddr *address, socklen_t length);
    ssize_t (*sendmsg)(void *drill, int fd, const struct msghdr *message, int flags);
    int (*fcntl)(void *drill, int fd, int command, ...);
    int (*ioctl)(void *drill, int fd, unsigned long request, ...);
    int (*close)(void *drill, int fd);
    int (*shutdown)(void *drill, int fd, int how);
    int (*getsockopt)(void *drill, int fd, int level, int name, void *value, socklen_t *length);
    int (*setsockopt)(void *drill, int fd, int level, int name, const void *value,
                      socklen_t length);
    int (*poll)(void *drill, struct pollfd *fds, nfds_t count, int timeout_ms);
    /* A packet for the stack, from its IP header on. */
    int (*netdev_send)(void *drill, const void *packet, size_t size);
    /* The next packet that the stack sends: *size is the room in `buffer`, then the length, 0: none
     * came. */
    int (*netdev_receive)(void *drill, void *buffer, size_t *size, long long *time_us);
    int (*usleep)(void *drill, useconds_t time);
    int (*gettimeofday)(void *drill, struct timeval *time, struct timezone *zone);
    int (*epoll_create)(void *drill, int size);
    int (*epoll_ctl)(void *drill, int epoll, int operation, int fd, struct epoll_event *event);
    int (*epoll_wait)(void *drill, int epoll, struct epoll_event *events, int max, int timeout_ms);
    int (*pipe)(void *drill, int fds[2]);
    int (*splice)(void *drill, int in, loff_t *in_offset, int out, loff_t *out_offset, size_t size,
                  unsigned int flags);
};

#endif
