/* SPDX-License-Identifier: BSD-2-Clause */
/* isolation.h: libcap-ng for capabilities, libseccomp for the filter. */
#include "isolation.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "isolation_syscalls.h"
#include "log.h"

/* The sanitizers look into /proc, and the leak checker traces its own process. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ISOLATION_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ISOLATION_SANITIZED 1
#endif
#endif
#ifndef ISOLATION_SANITIZED
#define ISOLATION_SANITIZED 0
#endif

#define ISOLATION_EXIT_STATUS 70 /* EX_SOFTWARE */
#define DESCRIPTORS_WISHED    (1 << 17)

/* What the keeper cannot do without, and why. */
static const struct {
    unsigned capability;
    const char *name;
    const char *reason;
    bool for_devices; /* wires need it not */
    bool at_start;    /* and not any more when it serves */
} keeper_powers[] = {
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", "attach XDP, ask for neighbours", true},
    {CAP_NET_RAW, "CAP_NET_RAW", "open AF_XDP sockets", true},
    {CAP_BPF, "CAP_BPF", "load the mux", true},
    {CAP_PERFMON, "CAP_PERFMON", "let the mux compute with packet pointers", true, true},
    {CAP_IPC_LOCK, "CAP_IPC_LOCK", "pin packet memory", true},
    {CAP_SETUID, "CAP_SETUID", "run the switch as another user"},
    {CAP_SETGID, "CAP_SETGID", "and group"},
    {CAP_SETPCAP, "CAP_SETPCAP", "take its capabilities away for good"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "take its files away"},
    {CAP_KILL, "CAP_KILL", "end a switch that hangs, though it is another user's"},
};
#define KEEPER_POWER_COUNT (sizeof(keeper_powers) / sizeof(keeper_powers[0]))

enum powers { POWERS_ALL, POWERS_WITHOUT_DEVICES, POWERS_FOR_DEVICES };

/* Fills `missing` with the names of those that this process lacks, or with "". */
static void list_missing_powers(enum powers which, char missing[256])
{
    *missing = '\0';
    capng_get_caps_process();
    for (size_t i = 0; i < KEEPER_POWER_COUNT; i++) {
        if (which == (keeper_powers[i].for_devices ? POWERS_WITHOUT_DEVICES : POWERS_FOR_DEVICES))
            continue;
        if (!capng_have_capability(CAPNG_EFFECTIVE, keeper_powers[i].capability))
            snprintf(missing + strlen(missing), 256 - strlen(missing), "%s%s", *missing ? ", " : "",
                     keeper_powers[i].name);
    }
}

bool isolation_may_look(void)
{
    char missing[256];

    list_missing_powers(POWERS_FOR_DEVICES, missing);
    if (*missing)
        log_notice("what this kernel has is not looked at: that takes %s", missing);
    return !*missing;
}

bool isolation_has_power(bool devices)
{
    char missing[256];

    list_missing_powers(devices ? POWERS_ALL : POWERS_WITHOUT_DEVICES, missing);
    if (!*missing)
        return true;
    log_error("not enough privileges: %s missing; run it as root (sudo), or under systemd with "
              "these capabilities. It gives away what it does not need",
              missing);
    return false;
}

static int find_user(struct isolation *isolation, const char *name)
{
    const struct passwd *user;

    if (!*name)
        name = getpwnam("multistack") ? "multistack" : "nobody";
    user = getpwnam(name);
    if (!user) {
        log_error("user: there is no user '%s'; create it (useradd --system multistack) or name "
                  "another with --user",
                  name);
        return -1;
    }
    if (user->pw_uid == 0 || user->pw_gid == 0) {
        log_error("user: the switch must not run as '%s', which is root; that is its point", name);
        return -1;
    }
    isolation->uid = user->pw_uid;
    isolation->gid = user->pw_gid;
    snprintf(isolation->user, sizeof(isolation->user), "%s", name);
    return 0;
}

/* A directory that was removed while we hold it open: nothing is in it, and nothing can be created
 * in it any more. */
static int create_empty_root(void)
{
    char path[] = "/tmp/multistackd-root-XXXXXX";
    int fd;

    if (!mkdtemp(path)) {
        log_error("cannot make the switch's empty root: %s: %s", path, strerror(errno));
        return -1;
    }
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        log_error("cannot make the switch's empty root: %s: %s", path, strerror(errno));
    if (rmdir(path)) {
        log_error("cannot remove the switch's empty root: %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* Every binding is a placeholder socket in the switch, so many bindings need many descriptors. */
static void raise_descriptors(void)
{
    struct rlimit limit, higher = {DESCRIPTORS_WISHED, DESCRIPTORS_WISHED};

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS_WISHED ||
        !setrlimit(RLIMIT_NOFILE, &higher))
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        log_notice("the limit of open files stays as it is: %s", strerror(errno));
    else
        log_notice("at most %llu open files, not the %u that all ports and bindings may need "
                   "(RLIMIT_NOFILE)",
                   (unsigned long long)limit.rlim_max, (unsigned)DESCRIPTORS_WISHED);
}

int isolation_prepare(struct isolation *isolation, const struct config *config)
{
    char error[CONFIG_ERROR_SIZE];

    *isolation = (struct isolation){.root_fd = -1, .keeper = getpid()};
    if (find_user(isolation, config->user))
        return -1;
    if (config->cpus[0]) {
        isolation->pinned = true;
        if (config_parse_cpus(config->cpus, isolation->cpus, sizeof(isolation->cpus) * 8, error)) {
            log_error("%s", error);
            return -1;
        }
    }
    raise_descriptors();
    isolation->root_fd = create_empty_root();
    return isolation->root_fd < 0 ? -1 : 0;
}

int isolation_limit_keeper(bool shares, bool devices)
{
    capng_clear(CAPNG_SELECT_BOTH);
    for (size_t i = 0; i < KEEPER_POWER_COUNT; i++) {
        if (!keeper_powers[i].at_start && (devices || !keeper_powers[i].for_devices))
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                         keeper_powers[i].capability);
    }
    /* libxdp looks programs up by id when it leaves the dispatcher. */
    if (shares)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
                     CAP_SYS_ADMIN);
    if (capng_apply(CAPNG_SELECT_BOTH) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        log_error("the keeper cannot give away what it does not need: %s", strerror(errno));
        return -1;
    }
    return 0;
}

__attribute__((noreturn)) static void stage_failed(int stage, const char *what)
{
    log_error("isolation stage %d: %s: %s; the switch does not start without it", stage, what,
              strerror(errno));
    _exit(ISOLATION_EXIT_STATUS);
}

static void need(bool done, int stage, const char *what)
{
    if (!done)
        stage_failed(stage, what);
}

/* Stage 1. Signals: those for the whole foreground group or control group reach the switch too, but
 * the keeper decides when it ends. */
static void leave_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for SIGKILL and SIGSTOP, as it should */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    need(!sigprocmask(SIG_SETMASK, &none, NULL), 1, "unblocking signals");
}

/* Stage 2. Processors, while it still may choose. */
static void choose_processors(const struct isolation *isolation)
{
    cpu_set_t set;

    if (!isolation->pinned)
        return;
    CPU_ZERO(&set);
    for (size_t cpu = 0; cpu < sizeof(isolation->cpus) * 8 && cpu < CPU_SETSIZE; cpu++) {
        if (isolation->cpus[cpu / 64] >> (cpu % 64) & 1)
            CPU_SET(cpu, &set);
    }
    need(!sched_setaffinity(0, sizeof(set), &set), 2, "running on the processors of --cpus");
}

/* Stage 3. Files: an empty root. A path means nothing any more. */
static void leave_files(int root_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    need(null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0, 3,
         "opening /dev/null");
    if (!ISOLATION_SANITIZED)
        need(!fchdir(root_fd) && !chroot("."), 3, "entering the empty root");
}

/* Stage 4. Descriptors: the link that holds the mux on the NIC must die with the keeper, and
 * nothing that the keeper has open is for the switch but what comes over the channel. */
static void leave_descriptors(int keep_fd)
{
    need(keep_fd == ISOLATION_CHANNEL_FD || dup2(keep_fd, ISOLATION_CHANNEL_FD) >= 0, 4,
         "keeping the channel");
    need(!close_range(ISOLATION_CHANNEL_FD + 1, ~0U, 0), 4, "closing the keeper's descriptors");
}

/* Stage 5. Capabilities that an exec could bring back: none is left in the bounding set. Needs
 * CAP_SETPCAP, so it comes before the user changes. */
static void leave_bounding_set(void)
{
    capng_clear(CAPNG_SELECT_BOTH);
    need(!capng_apply(CAPNG_SELECT_BOUNDS), 5, "emptying the bounding set");
    need(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 5, "emptying the ambient set");
}

/* Stage 6. Identity: a user who owns nothing, in no group but its own. */
static void leave_identity(const struct isolation *isolation)
{
    need(!setgroups(0, NULL), 6, "leaving the supplementary groups");
    need(!setresgid(isolation->gid, isolation->gid, isolation->gid), 6, "changing the group");
    need(!setresuid(isolation->uid, isolation->uid, isolation->uid), 6, "changing the user");
}

/* Stage 7. The capabilities themselves. Changing the user took them; make sure of it. */
static void leave_capabilities(void)
{
    capng_clear(CAPNG_SELECT_CAPS);
    need(!capng_apply(CAPNG_SELECT_CAPS), 7, "dropping capabilities");
    capng_get_caps_process();
    errno = EPERM;
    need(capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE, 7, "being without capabilities");
}

/* Stage 8. The process: nothing that it executes gains anything; its memory, which holds
 * everybody's packets, is for nobody (no core, no tracer); it ends when the keeper does. The death
 * signal comes after the user changed, which clears it, and the keeper may have died before. */
static void bind_process(pid_t keeper)
{
    struct rlimit no_core = {0, 0};

    need(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 8, "giving up new privileges");
    need(!setrlimit(RLIMIT_CORE, &no_core), 8, "forbidding core files");
    need(!prctl(PR_SET_DUMPABLE, ISOLATION_SANITIZED, 0, 0, 0), 8, "forbidding tracers");
    /* 50 us by default, and some ports count on less (moderation.h) */
    need(!prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0), 8, "waking in time");
    need(!prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), 8, "ending with the keeper");
    if (getppid() != keeper)
        _exit(ISOLATION_EXIT_STATUS);
}

static int add_rules(scmp_filter_ctx filter)
{
    static const int calls[] = {
#define SYSCALL_NUMBER(name) SCMP_SYS(name),
        ISOLATION_SYSCALLS(SYSCALL_NUMBER)
#undef SYSCALL_NUMBER
    };
    static const unsigned bpf_commands[] = {
#define BPF_COMMAND(name) name,
        ISOLATION_BPF_COMMANDS(BPF_COMMAND)
#undef BPF_COMMAND
    };
    int status = 0;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]) && !status; i++) {
        /* Negative: a call that this architecture does not have (poll on arm64). */
        if (calls[i] >= 0)
            status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    /* A thread of this process, and no other process. What clone3() is asked lies in memory, where
     * the filter cannot look: without it the C library uses clone(). */
    if (!status)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!status)
        status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (!status) /* the threads' names */
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    for (size_t i = 0; i < sizeof(bpf_commands) / sizeof(bpf_commands[0]) && !status; i++)
        status = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
                                  SCMP_A0(SCMP_CMP_EQ, bpf_commands[i]));
    return status;
}

/* Stage 9. System calls: those of isolation_syscalls.h. Last, since the stages before need others.
 * The workers' threads begin later, so they inherit all of this. */
static void leave_system_calls(void)
{
    scmp_filter_ctx filter;
    int status = -ENOMEM;

    if (ISOLATION_SANITIZED) {
        log_notice("built with a sanitizer: no empty root and no filter of system calls");
        return;
    }
    filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter) {
        /* The kernel's log then names the call that was refused. */
        status = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
        if (!status || status == -EOPNOTSUPP)
            status = add_rules(filter);
        if (!status)
            status = seccomp_load(filter);
        seccomp_release(filter);
    }
    errno = -status;
    need(!status, 9, "filtering system calls");
}

void isolation_enter(const struct isolation *isolation, int keep_fd)
{
    leave_signals();
    choose_processors(isolation);
    leave_files(isolation->root_fd);
    leave_descriptors(keep_fd);
    leave_bounding_set();
    leave_identity(isolation);
    leave_capabilities();
    bind_process(isolation->keeper);
    leave_system_calls();
}
