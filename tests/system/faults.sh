# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# The n-th system call fails: strace makes it (test_faults_start.sh, test_faults_serving.sh). Source it
# after lab_begin.
#
# FAULTS=all: each call of each kind, which takes some minutes. Otherwise one of every second kind, others
# with another FAULTS_SEED.

readonly EVERY=${FAULTS:-few} SEED=${FAULTS_SEED:-1} LIMIT=20 # seconds; under load everything is slow
strace -qq -e trace=none true 2>/dev/null || skip 'strace cannot trace here'
! nm "$(command -v multistackd)" | grep -Eq '__[at]san_init' ||
    skip 'a sanitizer makes system calls of its own, and dies of their failure'

# What fails how, as it may in a kernel that is short of something, refuses or is interrupted. Left out:
# close() and the like, which free something; futex() and signals, on which the C library depends.
declare -A error_of=(
    [accept4]=EMFILE [bind]=ENOMEM [bpf]=ENOMEM [capset]=EPERM [chmod]=EPERM [chown]=EPERM
    [chroot]=EPERM [clone]=EAGAIN [clone3]=EAGAIN [close_range]=ENOMEM [connect]=EAGAIN [dup2]=EMFILE
    [epoll_create1]=EMFILE [epoll_ctl]=ENOMEM [epoll_wait]=EINTR [eventfd2]=EMFILE [fallocate]=ENOSPC
    [fcntl]=EPERM [fchdir]=EPERM [flock]=ENOLCK [ftruncate]=ENOMEM [getpeername]=ENOBUFS
    [getrandom]=EINTR [getsockname]=ENOBUFS [getsockopt]=ENOBUFS [ioctl]=EPERM [listen]=EADDRINUSE
    [madvise]=ENOMEM [memfd_create]=ENFILE [mkdir]=ENOSPC [mmap]=ENOMEM [mprotect]=ENOMEM
    [openat]=EMFILE [pipe2]=EMFILE [poll]=EINTR [prctl]=EPERM [prlimit64]=EPERM [pwrite64]=EPERM
    [read]=EINTR [recvfrom]=ENOBUFS [recvmmsg]=ENOBUFS [recvmsg]=EINTR [rmdir]=EROFS
    [sched_setaffinity]=EPERM [seccomp]=ENOMEM [sendmmsg]=ENOBUFS [sendmsg]=ENOBUFS [sendto]=ENOBUFS
    [setgroups]=EPERM [setresgid]=EAGAIN [setresuid]=EAGAIN [setsid]=EPERM [setsockopt]=ENOMEM
    [signalfd4]=EMFILE [socket]=EMFILE [socketpair]=ENFILE [timerfd_create]=EMFILE
    [timerfd_settime]=EPERM [unlink]=EROFS [waitid]=EINTR [write]=EPERM [writev]=EINTR)

# fault CALL N ERROR: strace's words for it. The call becomes a getpid(), which the switch's filter of
# system calls knows.
fault() {
    printf -- '--trace=%s --inject=%s:error=%s:syscall=getpid:when=%s' "$1" "$1" "$3" "$2"
}
# injected: whether the fault has come to pass.
injected() {
    grep -q INJECTED "$lab_dir/trace"
}
# crashed: somebody died of a signal that nobody sent. (The keeper kills a switch that it gives up.)
crashed() {
    grep -E '\+\+\+ killed by SIG|--- SIG(SEGV|BUS|ABRT|SYS|FPE|ILL)' "$lab_dir/trace" |
        grep -v 'killed by SIGKILL'
}
# complaint LOG: its last line, if it is one that says why the program ended.
complaint() {
    grep -Ev ' is 1 now,|RLIMIT_NOFILE|: afxdp, |ready: |see above|with status|hint:|signal 9' \
        "$(log_of "$1")" | tail -n 1 | cut -d : -f 2- | cut -c 1-110
}
# counts FROM: how often each kind of call is in the trace, from the first line that matches on.
counts() {
    sed -n "/$1/,\$p" "$lab_dir/trace" | sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' | sort | uniq -c
}
# cases FROM: those that are to be tried, a line each: "CALL N ERROR"; of few, every second kind. Calls
# before the line that matches FROM are the loader's.
cases() {
    local count call before n kind=$SEED
    while read -r count call; do
        [ -n "${error_of[$call]:-}" ] || continue
        kind=$((kind + 1))
        [ "$EVERY" = all ] || [ $((kind % 2)) = 0 ] || continue
        before=$(sed "/$1/,\$d" "$lab_dir/trace" | grep -c " $call(")
        for ((n = 1; n <= count; n++)); do
            [ "$EVERY" = all ] || [ $((n % count)) = $((SEED % count)) ] || continue
            printf '%s %d %s\n' "$call" $((before + n)) "${error_of[$call]}"
        done
    done < <(counts "$1")
}
