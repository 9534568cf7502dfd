/* SPDX-License-Identifier: BSD-2-Clause */
/* #syscalls: every system call that the switch may make, and what for. This list is the filter
 * (isolation.c); a call that is not here ends the process with SIGSYS. Whoever adds a call to the
 * switch adds it here. */
#ifndef MULTISTACK_ISOLATION_SYSCALLS_H
#define MULTISTACK_ISOLATION_SYSCALLS_H

#define ISOLATION_SYSCALLS(X)                                                                      \
    /* control socket, channel, AF_XDP kicks */                                                    \
    X(listen) /* placeholders, once they are silent */                                             \
    X(accept4)                                                                                     \
    X(recvmsg)                                                                                     \
    X(recvfrom)                                                                                    \
    X(recvmmsg)                                                                                    \
    X(sendmsg)                                                                                     \
    X(sendto)                                                                                      \
    X(sendmmsg)                                                                                    \
    X(getsockname)                                                                                 \
    X(getpeername)                                                                                 \
    X(getsockopt)                                                                                  \
    X(setsockopt)                                                                                  \
    X(shutdown)                                                                                    \
    /* eventfds, timers, lines for the log */                                                      \
    X(read)                                                                                        \
    X(readv)                                                                                       \
    X(write)                                                                                       \
    X(writev)                                                                                      \
    X(eventfd2)                                                                                    \
    X(timerfd_create)                                                                              \
    X(timerfd_settime)                                                                             \
    X(timerfd_gettime)                                                                             \
    X(epoll_create1)                                                                               \
    X(epoll_ctl)                                                                                   \
    X(epoll_wait)                                                                                  \
    X(epoll_pwait)                                                                                 \
    X(epoll_pwait2)                                                                                \
    X(poll)                                                                                        \
    X(ppoll)                                                                                       \
    X(close)                                                                                       \
    X(fcntl)                                                                                       \
    X(fstat)                                                                                       \
    X(newfstatat) /* how newer C libraries spell fstat() */                                        \
    /* port memory: created, sized and sealed here */                                              \
    X(memfd_create)                                                                                \
    X(ftruncate)                                                                                   \
    X(fallocate)                                                                                   \
    X(mmap)                                                                                        \
    X(munmap)                                                                                      \
    X(mremap)                                                                                      \
    X(madvise)                                                                                     \
    X(mprotect)                                                                                    \
    X(brk)                                                                                         \
    /* the process itself */                                                                       \
    X(clock_gettime)                                                                               \
    X(clock_getres)                                                                                \
    X(clock_nanosleep)                                                                             \
    X(nanosleep)                                                                                   \
    X(gettimeofday)                                                                                \
    X(getrandom)                                                                                   \
    X(futex)                                                                                       \
    X(membarrier)                                                                                  \
    X(sched_yield)                                                                                 \
    X(getrusage)         /* whether others want the core: core_offer.h */                          \
    X(sched_setaffinity) /* a worker stays on its processor of --cpus */                           \
    X(sched_getaffinity) /* the C library counts processors */                                     \
    X(sysinfo)           /* and pages, for qsort() */                                              \
    X(getpid)                                                                                      \
    X(gettid)                                                                                      \
    X(tgkill) /* abort() */                                                                        \
    X(rseq)                                                                                        \
    X(set_robust_list)                                                                             \
    X(rt_sigaction)                                                                                \
    X(rt_sigprocmask)                                                                              \
    X(rt_sigreturn)                                                                                \
    X(restart_syscall) /* after SIGSTOP and SIGCONT */                                             \
    X(exit)                                                                                        \
    X(exit_group)

/* bpf(2) for these commands alone: the elements of maps whose descriptors the keeper gave. */
#define ISOLATION_BPF_COMMANDS(X)                                                                  \
    X(BPF_MAP_LOOKUP_ELEM)                                                                         \
    X(BPF_MAP_UPDATE_ELEM)                                                                         \
    X(BPF_MAP_DELETE_ELEM)                                                                         \
    X(BPF_MAP_GET_NEXT_KEY)

#endif
