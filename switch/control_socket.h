/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket's file: who else has it, what an earlier life left of it, who may connect.
 *
 * The keeper holds the listening socket, so that applications can go on connecting while one switch
 * is replaced by the next: they wait in its queue. A lock file beside it says that somebody serves
 * it; the kernel drops the lock with the process, however that ends. */
#ifndef MULTISTACK_CONTROL_SOCKET_H
#define MULTISTACK_CONTROL_SOCKET_H

#include "config.h"

struct control_socket {
    int fd;
    int lock_fd;
    uint32_t admin_gid; /* 0: root alone administers */
    char path[CONFIG_PATH_SIZE];
    char lock_path[CONFIG_PATH_SIZE + 8];
};

#define CONTROL_SOCKET_INIT                                                                        \
    {                                                                                              \
        .fd = -1, .lock_fd = -1                                                                    \
    }

/* Returns 0, or -1 after it has logged why. */
int control_socket_open(struct control_socket *control, const struct config *config);
/* Takes the file away as well. */
void control_socket_close(struct control_socket *control);

#endif
