/* SPDX-License-Identifier: BSD-2-Clause */
/* A message with file descriptors, by a UNIX-domain socket (unix(7), SCM_RIGHTS). */
#ifndef MULTISTACK_PASS_FDS_H
#define MULTISTACK_PASS_FDS_H

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PASS_FDS_MAX 253 /* SCM_MAX_FD of the kernel */

/* As sendmsg(2), and -1 with EINVAL for more than PASS_FDS_MAX descriptors. They stay the caller's. */
static inline ssize_t pass_fds(int socket, const void *message, size_t size, const int *fds,
                               size_t count, int flags)
{
    struct iovec piece = {.iov_base = (void *)message, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASS_FDS_MAX * sizeof(int))];
    struct msghdr whole = {.msg_iov = &piece, .msg_iovlen = 1};
    struct cmsghdr *rights;

    if (count > PASS_FDS_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (count) {
        memset(control, 0, CMSG_SPACE(count * sizeof(int)));
        whole.msg_control = control;
        whole.msg_controllen = CMSG_SPACE(count * sizeof(int));
        rights = CMSG_FIRSTHDR(&whole);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    return sendmsg(socket, &whole, flags);
}

#endif
