/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share; packetdrill.c has the theory. */
#ifndef MS_PACKETDRILL_DRILL_H
#define MS_PACKETDRILL_DRILL_H

#include <pthread.h>

#include "sockets.h"
#include "utcp.h"

struct queued_packet {
    struct queued_packet *next;
    uint64_t at;
    size_t length;
    uint8_t bytes[];
};

/* A thread that waits within a call. */
struct waiter {
    struct waiter *next;
    uint64_t until;
    uint64_t seen; /* drill->happened, when it last looked */
};

struct drill {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* for waiters: something happened; for the main thread: they looked */
    pthread_t main_thread;
    uint64_t now;
    uint64_t happened; /* counts all that a waiter may wait for */
    struct waiter *waiters;
    _Atomic bool came_back; /* one of them has, since the main thread slept last */
    uint32_t returning; /* threads that have waited, and have not come back from their call yet */
    struct utcp_config config; /* as the script's settings have it by now */
    struct utcp *stack;        /* made at the first socket: after the script's settings */
    struct sockets *sockets;
    char congestion[32]; /* what --so_flags said; "": what the script's settings say */
    long quick_acks;     /* the same; -1: as it is */
    struct queued_packet *first, **end;
    struct queued_packet *reserved;
    uint16_t next_port;
    uint64_t icmp_unacceptable; /* ICMP errors that quoted nothing in flight */
    struct utcp_stats told;     /* counters that nstat(8) was asked for before, … */
    uint64_t told_icmp;         /* … and that one */
};

/* The one that there is, for what takes the place of calls of libc: preload.c. NULL: none. */
extern struct drill *drill_preloaded;

/* Calls as packetdrill makes them: -1 and errno. */
int drill_getsockopt(void *userdata, int fd, int level, int name, void *value, socklen_t *length);
ssize_t drill_write(void *userdata, int fd, const void *data, size_t size);

#endif
