/* SPDX-License-Identifier: BSD-2-Clause */
#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define DEFAULT_FOLDER "/run/multistack"
#define DEFAULT_GROUP  "multistack"
#define BACKLOG        128

static void report_other(const struct control_socket *control)
{
    char text[32] = "";
    ssize_t size = pread(control->lock_fd, text, sizeof(text) - 1, 0);

    text[size > 0 ? strcspn(text, "\n") : 0] = '\0';
    log_error("%s: another multistackd (process %s) serves it; end that one, or give this one "
              "another --control PATH",
              control->path, *text ? text : "unknown");
}

/* Whether the locked file is still the one that has the name: its last holder may have removed it
 * between our open() and our flock(). */
static bool lock_is_current(const struct control_socket *control)
{
    struct stat ours, named;

    return !fstat(control->lock_fd, &ours) && !stat(control->lock_path, &named) &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

static int take_lock(struct control_socket *control)
{
    do {
        if (control->lock_fd >= 0)
            close(control->lock_fd);
        control->lock_fd =
            open(control->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (control->lock_fd < 0) {
            log_error("%s: cannot be opened: %s", control->lock_path, strerror(errno));
            return -1;
        }
        if (flock(control->lock_fd, LOCK_EX | LOCK_NB)) {
            if (errno == EWOULDBLOCK)
                report_other(control);
            else
                log_error("%s: cannot be locked: %s", control->lock_path, strerror(errno));
            close(control->lock_fd);
            control->lock_fd = -1; /* so that nobody removes it who has it not locked */
            return -1;
        }
    } while (!lock_is_current(control));
    if (ftruncate(control->lock_fd, 0) || dprintf(control->lock_fd, "%d\n", (int)getpid()) < 0)
        log_notice("%s: cannot be written: %s", control->lock_path, strerror(errno));
    return 0;
}

/* With the lock in hand, a socket of that name is what a dead process left. */
static int remove_stale(const char *path)
{
    struct stat status;

    if (lstat(path, &status))
        return 0;
    if (!S_ISSOCK(status.st_mode)) {
        log_error("%s: is there and is not a socket; it is left alone. Name another path with "
                  "--control",
                  path);
        return -1;
    }
    if (unlink(path)) {
        log_error("%s: a socket that nobody serves cannot be removed: %s", path, strerror(errno));
        return -1;
    }
    return 0;
}

/* Gives the socket to the group of those who may open ports. */
static int give_to_group(const struct control_socket *control, const char *wished)
{
    const struct group *group = getgrnam(*wished ? wished : DEFAULT_GROUP);

    if (!group && *wished) {
        log_error("group: there is no group '%s'; create it (groupadd --system %s) or name another",
                  wished, wished);
        return -1;
    }
    if (!group) {
        log_notice("only root may open ports, since there is no group '" DEFAULT_GROUP
                   "'; create it (groupadd --system " DEFAULT_GROUP ") or name one with --group");
        return 0;
    }
    if (chown(control->path, (uid_t)-1, group->gr_gid) || chmod(control->path, 0660)) {
        log_error("%s: cannot be given to the group %s: %s", control->path, group->gr_name,
                  strerror(errno));
        return -1;
    }
    return 0;
}

static int find_administrators(struct control_socket *control, const char *wished)
{
    const struct group *group = *wished ? getgrnam(wished) : NULL;

    if (*wished && !group) {
        log_error("admin-group: there is no group '%s'; create it (groupadd --system %s) or name "
                  "another",
                  wished, wished);
        return -1;
    }
    control->admin_gid = group ? group->gr_gid : 0;
    return 0;
}

static int listen_at(struct control_socket *control)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int status;

    memcpy(address.sun_path, control->path, strlen(control->path) + 1);
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mask = umask(0177); /* nobody's until it is given to its group */
    status = control->fd < 0 ? -1 : bind(control->fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (status || listen(control->fd, BACKLOG)) {
        log_error("%s: cannot listen: %s", control->path, strerror(errno));
        return -1;
    }
    return 0;
}

int control_socket_open(struct control_socket *control, const struct config *config)
{
    *control = (struct control_socket)CONTROL_SOCKET_INIT;
    snprintf(control->path, sizeof(control->path), "%s", config->control);
    snprintf(control->lock_path, sizeof(control->lock_path), "%s.lock", config->control);
    if (!strncmp(control->path, DEFAULT_FOLDER "/", strlen(DEFAULT_FOLDER) + 1) &&
        mkdir(DEFAULT_FOLDER, 0755) && errno != EEXIST) {
        log_error("%s: cannot be created: %s", DEFAULT_FOLDER, strerror(errno));
        return -1;
    }
    if (take_lock(control) || remove_stale(control->path) || listen_at(control) ||
        give_to_group(control, config->group) ||
        find_administrators(control, config->admin_group)) {
        control_socket_close(control);
        return -1;
    }
    return 0;
}

void control_socket_close(struct control_socket *control)
{
    if (control->fd >= 0) {
        if (unlink(control->path) && errno != ENOENT)
            log_notice("%s: stays behind: %s", control->path, strerror(errno));
        close(control->fd);
    }
    if (control->lock_fd >= 0) {
        if (unlink(control->lock_path)) /* while it is ours: it is locked */
            log_notice("%s: stays behind: %s", control->lock_path, strerror(errno));
        close(control->lock_fd);
    }
    control->fd = control->lock_fd = -1;
}
