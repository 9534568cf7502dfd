/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking the power away: from the switch all of it, from the keeper what it does not need
 * (design.md, D10).
 *
 * The kind of bug that has been found in every user-level stack and virtual switch, a length
 * believed or an index not checked, must find a process that owns nothing: no capability, no file,
 * no other process, and only the system calls that moving packets takes. isolation_enter() does it
 * in numbered stages; each names its reason. */
#ifndef MULTISTACK_ISOLATION_H
#define MULTISTACK_ISOLATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"

/* What has to be found while names and files can still be looked up. */
struct isolation {
    uid_t uid;
    gid_t gid;
    char user[CONFIG_NAME_SIZE];
    int root_fd; /* a directory that is empty and has no name any more */
    pid_t keeper;
    bool pinned; /* `cpus` says where to run */
    uint64_t cpus[16];
};

/* False, after it has logged which are missing, where this process lacks capabilities that
 * multistackd needs; more of them with `devices`, where some NIC is a device of the kernel's. */
bool isolation_has_power(bool devices);
/* Whether this process may try what the kernel takes; false after it has logged what is missing. */
bool isolation_may_look(void);

/* Returns 0, or -1 after it has logged why. */
int isolation_prepare(struct isolation *isolation, const struct config *config);

/* In the keeper, once everything that needs more is done. `shares` leaves what libxdp's dispatcher
 * needs at the end. Returns 0, or -1 after it has logged why. */
int isolation_limit_keeper(bool shares, bool devices);

/* In the new process that becomes the switch. Leaves `keep_fd` open as descriptor 3, standard error
 * as it is, and nothing else. Does not return when a stage fails. */
void isolation_enter(const struct isolation *isolation, int keep_fd);

#define ISOLATION_CHANNEL_FD 3

#endif
