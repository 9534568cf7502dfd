/* SPDX-License-Identifier: BSD-2-Clause */
/* host_settings.h */
#include "host_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "log.h"

#define TEXT_MAX 256

/* When a value has to be changed. */
enum host_wrong {
    WRONG_IF_OTHER,  /* than the one wanted */
    WRONG_IF_LOWEST, /* the larger of the device's and everybody's counts: only 1 has to go */
    WRONG_IF_ZERO,
};

struct host_settings_kind {
    const char *file;    /* its name begins so */
    const char *root;    /* of the settings: ROOT/DEVICE/NAME */
    const char *shown;   /* what the names begin with in messages; printed with the device */
    const char *reason;  /* why it is changed */
    const char *without; /* what it means that it cannot be */
    const char *process; /* that waits for the keeper's end */
    struct {
        const char *name;
        uint32_t wanted;
        enum host_wrong wrong;
    } table[HOST_SETTINGS_MAX];
};

static const struct host_settings_kind local = {
    "host-settings",
    "/proc/sys/net/ipv4/conf",
    "net.ipv4.conf",
    "programs of this host that talk to stacks",
    "programs of this host may not reach the stacks by IPv4",
    "multistack-lo",
    {{"accept_local", 1, WRONG_IF_OTHER},
     {"route_localnet", 1, WRONG_IF_OTHER},
     {"rp_filter", 2, WRONG_IF_LOWEST}},
};

static const struct host_settings_kind napi = {
    "napi-settings",
    "/sys/class/net",
    "/sys/class/net",
    "preferred busy polling",
    "its interrupts come between while the switch polls",
    "multistack-napi",
    {{"napi_defer_hard_irqs", 2, WRONG_IF_ZERO}, {"gro_flush_timeout", 200000, WRONG_IF_ZERO}},
};

/* No file of the kernel's, but the ethtool ioctl: read_setting(), write_setting(). */
static const struct host_settings_kind vlan = {
    "vlan-settings",
    NULL,
    "ethtool -K",
    "VLAN tags that XDP sees, in the frames",
    "packets of every VLAN look untagged to stacks; where VLANs are in use, serve it as packet:",
    "multistack-vlan",
    {{"rxvlan", 0, WRONG_IF_OTHER}},
};

/* The value, or -1. /proc/sys/net shows the network namespace of whoever looks. */
static int64_t read_setting(const struct host_settings *settings, const char *device,
                            const char *name)
{
    char path[256], text[32] = "";
    int fd;
    ssize_t size;

    if (settings->kind == &vlan)
        return device_strips_vlan_tags(device);
    snprintf(path, sizeof(path), "%s/%s/%s", settings->kind->root, device, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    return size > 0 ? strtol(text, NULL, 10) : -1;
}

static int write_setting(const struct host_settings *settings, const char *name, uint32_t value)
{
    char path[256], text[16];
    int length = snprintf(text, sizeof(text), "%u\n", value);
    int fd, status;

    if (settings->kind == &vlan)
        return device_strip_vlan_tags(settings->device, value != 0);
    snprintf(path, sizeof(path), "%s/%s/%s", settings->kind->root, settings->device, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    status = write(fd, text, (size_t)length) == length ? 0 : -errno;
    close(fd);
    return status;
}

static uint32_t settings_of(const struct host_settings *settings)
{
    uint32_t count = 0;

    while (count < HOST_SETTINGS_MAX && settings->kind->table[count].name)
        count++;
    return count;
}

/* A file of lines "NAME BEFORE OURS". What makes no sense in it is not ours. False: it cannot be
 * read. */
static bool read_file(struct host_settings *settings)
{
    char text[TEXT_MAX + 1] = "", *rest = text, *line;
    ssize_t size = pread(settings->fd, text, TEXT_MAX, 0);

    settings->changed_count = 0;
    if (size < 0)
        return false;
    while ((line = strsep(&rest, "\n")) && settings->changed_count < HOST_SETTINGS_MAX) {
        const char *name = strsep(&line, " "), *before = strsep(&line, " ");
        struct host_setting setting;

        if (!before || !line)
            continue;
        setting.before = (uint32_t)strtoul(before, NULL, 10);
        setting.ours = (uint32_t)strtoul(line, NULL, 10);
        for (setting.what = 0; setting.what < settings_of(settings); setting.what++) {
            if (!strcmp(settings->kind->table[setting.what].name, name))
                settings->changed[settings->changed_count++] = setting;
        }
    }
    return true;
}

static int write_file(const struct host_settings *settings)
{
    char text[TEXT_MAX] = "";
    size_t length;

    for (uint32_t i = 0; i < settings->changed_count; i++) {
        const struct host_setting *setting = &settings->changed[i];

        length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s %u %u\n",
                 settings->kind->table[setting->what].name, setting->before, setting->ours);
    }
    length = strlen(text);
    /* In this order, so that a failure leaves what was there. */
    if (pwrite(settings->fd, text, length, 0) != (ssize_t)length ||
        ftruncate(settings->fd, (off_t)length))
        return -errno;
    return 0;
}

static struct host_setting *find_changed(struct host_settings *settings, uint32_t what)
{
    for (uint32_t i = 0; i < settings->changed_count; i++) {
        if (settings->changed[i].what == what)
            return &settings->changed[i];
    }
    return NULL;
}

/* Whether a setting has to be changed from what it is now. */
static bool is_wrong(const struct host_settings *settings, uint32_t what, int64_t now)
{
    const char *name = settings->kind->table[what].name;

    switch (settings->kind->table[what].wrong) {
    case WRONG_IF_ZERO: return now == 0;
    case WRONG_IF_LOWEST: return now <= 1 && (now == 1 || read_setting(settings, "all", name) == 1);
    case WRONG_IF_OTHER: break;
    }
    return now != settings->kind->table[what].wanted;
}

/* Each change is in the file before it is made. */
static void make_settings(struct host_settings *settings)
{
    const struct host_settings_kind *kind = settings->kind;

    for (uint32_t what = 0; what < settings_of(settings); what++) {
        const char *name = kind->table[what].name;
        int64_t now = read_setting(settings, settings->device, name);
        int status;

        if (now < 0 || !is_wrong(settings, what, now))
            continue;
        if (!find_changed(settings, what))
            settings->changed[settings->changed_count++] =
                (struct host_setting){.what = what, .before = (uint32_t)now};
        find_changed(settings, what)->before = (uint32_t)now;
        find_changed(settings, what)->ours = kind->table[what].wanted;
        status = write_file(settings);
        if (!status)
            status = write_setting(settings, name, kind->table[what].wanted);
        if (status)
            log_warning("%s %s: %s stays %lld: %s; %s", kind->shown, settings->device, name,
                        (long long)now, strerror(-status), kind->without);
        else
            log_notice("%s %s: %s is %u now, for %s (it was %lld, and will be again)", kind->shown,
                       settings->device, name, kind->table[what].wanted, kind->reason,
                       (long long)now);
    }
}

/* What is not ours any more, since somebody has changed it, is forgotten. */
static void forget_changed(struct host_settings *settings)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < settings->changed_count; i++) {
        const struct host_setting *setting = &settings->changed[i];
        int64_t now =
            read_setting(settings, settings->device, settings->kind->table[setting->what].name);

        if (now < 0 || now == setting->ours)
            settings->changed[kept++] = *setting;
    }
    settings->changed_count = kept;
}

static bool is_removed(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) || stat.st_nlink == 0;
}

/* With the lock that is ours alone. Once: who comes second finds the file removed; but where
 * something could not be put back it stays, for the guard or the next start to try again. */
static void put_back(struct host_settings *settings)
{
    bool done;

    if (is_removed(settings->fd))
        return;
    done = read_file(settings);
    forget_changed(settings);
    for (uint32_t i = 0; i < settings->changed_count; i++) {
        const struct host_setting *setting = &settings->changed[i];
        const char *name = settings->kind->table[setting->what].name;
        int status = write_setting(settings, name, setting->before);

        if (!status || status == -ENOENT ||
            status == -ENODEV) /* the device has gone, and its settings with it */
            continue;
        done = false;
        log_warning("%s %s: %s stays %u for now: %s", settings->kind->shown, settings->device, name,
                    setting->ours, strerror(-status));
    }
    if (done && unlink(settings->path))
        log_notice("%s: stays behind: %s", settings->path, strerror(errno));
}

static void warn_unguarded(const struct host_settings *settings)
{
    log_warning("%s %s: settings will not be put back if this process is killed: %s",
                settings->kind->shown, settings->device, strerror(errno));
}

/* What the guard does. It must hold nothing of the keeper's but the file: the other end of its pipe
 * would keep it here for ever, and the link that holds the mux would keep that on the NIC. */
__attribute__((noreturn)) static void stand_guard(struct host_settings *settings, int pipe_end)
{
    char byte;

    prctl(PR_SET_NAME, settings->kind->process);
    setsid(); /* what ends the keeper's group does not end it */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    if (dup2(pipe_end, 0) < 0 || dup2(settings->fd, 1) < 0 || close_range(2, ~0U, 0))
        _exit(1);
    settings->fd = 1;
    while (read(0, &byte, 1) < 0 && errno == EINTR)
        ;
    if (!flock(settings->fd, LOCK_EX | LOCK_NB))
        put_back(settings);
    _exit(0);
}

/* A process of its own: after the keeper's end, however it came, it has the file's lock left. */
static void guard(struct host_settings *settings)
{
    int ends[2];
    pid_t child;

    if (!settings->may_guard)
        return;
    if (pipe2(ends, O_CLOEXEC)) {
        warn_unguarded(settings);
        return;
    }
    child = fork();
    if (child == 0)
        stand_guard(settings, ends[0]);
    close(ends[0]);
    if (child < 0) {
        warn_unguarded(settings);
        close(ends[1]);
        return;
    }
    settings->guard_fd = ends[1];
    settings->guard = child;
}

static void init(struct host_settings *settings, const struct host_settings_kind *kind,
                 const char *device, const char *control, uint64_t netns)
{
    const char *slash = strrchr(control, '/');
    int directory = slash ? (int)(slash - control) : 0;

    *settings = (struct host_settings){.kind = kind, .fd = -1, .guard_fd = -1, .may_guard = true};
    snprintf(settings->device, sizeof(settings->device), "%s", device);
    snprintf(settings->path, sizeof(settings->path), "%.*s%s%s-%s%s%llu", directory, control,
             slash ? "/" : "", kind->file, kind == &local ? "" : device, kind == &local ? "" : "-",
             (unsigned long long)netns);
}

void host_settings_init(struct host_settings *settings, const char *control, uint64_t netns)
{
    init(settings, &local, "lo", control, netns);
}

void host_settings_init_napi(struct host_settings *settings, const char *device,
                             const char *control, uint64_t netns)
{
    init(settings, &napi, device, control, netns);
}

void host_settings_init_vlan(struct host_settings *settings, const char *device,
                             const char *control, uint64_t netns)
{
    init(settings, &vlan, device, control, netns);
}

bool host_settings_are_wanted(const struct host_settings *settings)
{
    for (uint32_t what = 0; what < settings_of(settings); what++) {
        int64_t now = read_setting(settings, settings->device, settings->kind->table[what].name);

        if (now >= 0 && is_wrong(settings, what, now))
            return true;
    }
    return !access(settings->path, F_OK); /* of a keeper that was killed */
}

/* The file, locked: `*alone` says how. -1: it cannot be had. */
static int open_locked(const struct host_settings *settings, bool *alone)
{
    for (;;) {
        int fd = open(settings->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return -1;
        *alone = !flock(fd, LOCK_EX | LOCK_NB);
        if (!*alone)
            flock(fd, LOCK_SH);
        if (!is_removed(fd))
            return fd;
        close(fd); /* whoever removed it was just ending */
    }
}

void host_settings_apply(struct host_settings *settings)
{
    bool alone;

    if (settings->fd >= 0) {
        make_settings(settings); /* another device may have the name by now */
        return;
    }
    settings->fd = open_locked(settings, &alone);
    if (settings->fd < 0) {
        log_warning("%s: %s; settings of %s stay as they are, and %s", settings->path,
                    strerror(errno), settings->device, settings->kind->without);
        return;
    }
    read_file(settings);
    if (alone)
        forget_changed(settings);
    make_settings(settings);
    flock(settings->fd, LOCK_SH);
    guard(settings);
}

void host_settings_restore(struct host_settings *settings)
{
    if (settings->fd < 0)
        return;
    if (!flock(settings->fd, LOCK_EX | LOCK_NB))
        put_back(settings);
    close(settings->fd);
    settings->fd = -1;
    if (settings->guard_fd >= 0)
        close(settings->guard_fd);
    settings->guard_fd = -1;
    if (settings->guard > 0)
        waitpid(settings->guard, NULL, 0);
    settings->guard = 0;
}
