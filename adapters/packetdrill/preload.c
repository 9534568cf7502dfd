/* SPDX-License-Identifier: BSD-2-Clause */
/* What packetdrill asks libc and the kernel for behind a shared object's back. Where this object is
 * preloaded as well (LD_PRELOAD), it is asked instead, and passes on what is not its own. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drill.h"
#include "settings.h"

/* For TCP_INFO, in blocks of code in scripts. */
__attribute__((visibility("default"))) int getsockopt(int fd, int level, int name, void *value,
                                                      socklen_t *length)
{
    int (*next)(int, int, int, void *, socklen_t *);

    if (drill_preloaded && drill_preloaded->sockets && sockets_owns(drill_preloaded->sockets, fd))
        return drill_getsockopt(drill_preloaded, fd, level, name, value, length);
    *(void **)&next = dlsym(RTLD_NEXT, "getsockopt");
    return next(fd, level, name, value, length);
}

/* ── Commands of scripts ───────────────────────────────────────────────────────────────────── */

struct counter {
    const char *name; /* as nstat(8) has it */
    size_t place;     /* in struct utcp_stats */
};

static uint64_t value_of(const struct utcp_stats *stats, const struct counter *counter)
{
    uint64_t value;

    memcpy(&value, (const uint8_t *)stats + counter->place, sizeof(value));
    return value;
}

/* A shell function in nstat(8)'s place: it tells those of UTCP's counters that are the kernel's as well,
 * and have changed since the last time. With arguments it is the kernel's. */
static void write_nstat(struct drill *drill, FILE *to)
{
    static const struct counter counters[] = {
        {"TcpActiveOpens", offsetof(struct utcp_stats, connections_opened)},
        {"TcpPassiveOpens", offsetof(struct utcp_stats, connections_accepted)},
        {"TcpRetransSegs", offsetof(struct utcp_stats, segments_retransmitted)},
        {"TcpOutRsts", offsetof(struct utcp_stats, resets_out)},
        {"TcpExtSyncookiesSent", offsetof(struct utcp_stats, syn_cookies_sent)},
        {"TcpExtSyncookiesRecv", offsetof(struct utcp_stats, syn_cookies_accepted)},
        {"TcpExtSyncookiesFailed", offsetof(struct utcp_stats, syn_cookies_failed)},
        {"TcpExtTCPChallengeACK", offsetof(struct utcp_stats, challenge_acks)},
        {"TcpExtTCPFastOpenActive", offsetof(struct utcp_stats, fast_opens_out)},
        {"TcpExtTCPFastOpenPassive", offsetof(struct utcp_stats, fast_opens_in)},
        {"TcpExtTCPFastOpenListenOverflow", offsetof(struct utcp_stats, fast_open_overflows)},
    };
    struct utcp_stats stats = {.size = sizeof(stats)};

    utcp_stats(drill->stack, &stats);
    fprintf(to, "nstat() {\n[ $# = 0 ] || { command nstat \"$@\"; return; }\ncat <<END\n#kernel\n");
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        uint64_t more = value_of(&stats, &counters[i]) - value_of(&drill->told, &counters[i]);

        if (more)
            fprintf(to, "%s %" PRIu64 " 0.0\n", counters[i].name, more);
    }
    if (drill->icmp_unacceptable > drill->told_icmp)
        fprintf(to, "TcpExtOutOfWindowIcmps %" PRIu64 " 0.0\n",
                drill->icmp_unacceptable - drill->told_icmp);
    fprintf(to, "END\n}\n");
    drill->told = stats;
    drill->told_icmp = drill->icmp_unacceptable;
}

/* The same in sysctl(8)'s: what of ECN the kernel does not know is UTCP's alone (settings.c), and no error. */
static void write_sysctl(FILE *to)
{
    fprintf(to,
            "sysctl() {\ncase $* in\n*net.ipv4.tcp_ecn*) command sysctl \"$@\" 2>/dev/null || :;;\n"
            "*) command sysctl \"$@\";;\nesac\n}\n");
}

/* What is to be run in the command's place, on the heap; NULL: the command as it is. `drill`: NULL, where there is no
 * stack yet. */
static char *replacement(struct drill *drill, const char *command)
{
    bool counters = drill && strstr(command, "nstat"), ecn = settings_take_command(command);
    char *text = NULL;
    size_t size;
    FILE *to;

    if (drill &&
        strstr(command, "tcp_metrics flush")) /* scripts that begin anew let cookies be forgotten */
        utcp_forget_fast_open(drill->stack);
    if (!counters && !ecn)
        return NULL;
    to = open_memstream(&text, &size);
    if (!to)
        return NULL;
    if (counters)
        write_nstat(drill, to);
    if (ecn)
        write_sysctl(to);
    fprintf(to, "%s\n", command);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

__attribute__((visibility("default"))) int system(const char *command)
{
    struct drill *drill = drill_preloaded;
    int (*next)(const char *), status;
    char *instead = NULL;

    *(void **)&next = dlsym(RTLD_NEXT, "system");
    if (drill && command) {
        pthread_mutex_lock(&drill->lock);
        instead = replacement(drill->stack ? drill : NULL, command);
        pthread_mutex_unlock(&drill->lock);
    }
    status = next(instead ? instead : command);
    free(instead);
    return status;
}

/* ── Calls that packetdrill has no entry for ───────────────────────────────────────────────── */

/* sendfile(2) is not among what packetdrill asks a shared object for. Its header is not included:
 * it would give this the name that goes with large files only, and packetdrill calls the other. */
ssize_t sendfile(int out, int in, off_t *offset, size_t count);
__attribute__((visibility("default"))) ssize_t sendfile(int out, int in, off_t *offset,
                                                        size_t count)
{
    ssize_t (*next)(int, int, off_t *, size_t);
    char piece[65536];
    ssize_t got, sent;

    if (!drill_preloaded || !drill_preloaded->sockets ||
        !sockets_owns(drill_preloaded->sockets, out)) {
        *(void **)&next = dlsym(RTLD_NEXT, "sendfile");
        return next(out, in, offset, count);
    }
    if (count > sizeof(piece))
        count = sizeof(piece);
    got = offset ? pread(in, piece, count, *offset) : read(in, piece, count);
    if (got <= 0)
        return got;
    sent = drill_write(drill_preloaded, out, piece, (size_t)got);
    if (sent > 0 && offset)
        *offset += sent;
    return sent;
}
