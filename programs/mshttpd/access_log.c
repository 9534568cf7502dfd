/* SPDX-License-Identifier: BSD-2-Clause */
#include "access_log.h"

#include "cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_SIZE    65536
#define LINE_SIZE   1024    /* bytes of a line; a longer request line is cut */
#define FLUSH_AFTER 1000000 /* µs */

struct access_log {
    int fd;
    bool is_file;   /* never makes us wait longer than a disk does */
    uint64_t first; /* µs: when the oldest line in the buffer was added */
    uint64_t lost;
    time_t second; /* what `when` says */
    char when[32];
    size_t size;
    char buffer[LOG_SIZE];
};

/* A pipe that says it is writable takes PIPE_BUF bytes without waiting, and no more for sure. */
static bool write_some(struct access_log *log, const char **at, size_t *left)
{
    struct pollfd writable = {.fd = log->fd, .events = POLLOUT};
    size_t step = log->is_file || *left < PIPE_BUF ? *left : PIPE_BUF;
    ssize_t done;

    if (!log->is_file && (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT)))
        return false;
    done = write(log->fd, *at, step);
    if (done < 0)
        return errno == EINTR;
    *at += done;
    *left -= (size_t)done;
    return true;
}

/* What nobody takes stays, and keeps later lines out when it is too much. */
static void write_out(struct access_log *log)
{
    const char *at = log->buffer;
    size_t left = log->size;

    while (left && write_some(log, &at, &left))
        ;
    memmove(log->buffer, at, left);
    log->size = left;
    if (left == 0 && log->lost) {
        cli_error("access log: %ju lines lost: nobody took them in time", (uintmax_t)log->lost);
        log->lost = 0;
    }
}

static size_t put_escaped(char *to, size_t room, const char *text, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < size && room - at >= 4; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            to[at++] = (char)c;
        } else {
            static const char digits[] = "0123456789abcdef";

            to[at++] = '\\';
            to[at++] = 'x';
            to[at++] = digits[c >> 4];
            to[at++] = digits[c & 15];
        }
    }
    return at;
}

static const char *time_text(struct access_log *log)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != log->second && gmtime_r(&now.tv_sec, &tm)) {
        log->second = now.tv_sec;
        strftime(log->when, sizeof(log->when), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    }
    return log->when;
}

struct access_log *access_log_open(const char *path)
{
    struct access_log *log = calloc(1, sizeof(*log));
    struct stat status;

    if (!log)
        return NULL;
    if (strcmp(path, "-") == 0)
        log->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (log->fd < 0) {
        int error = errno;

        free(log);
        errno = error;
        return NULL;
    }
    log->is_file = fstat(log->fd, &status) == 0 && S_ISREG(status.st_mode);
    return log;
}

void access_log_close(struct access_log *log)
{
    write_out(log);
    close(log->fd);
    free(log);
}

void access_log_add(struct access_log *log, const struct sockaddr_storage *peer, const char *line,
                    size_t line_size, unsigned status, uint64_t bytes, uint64_t now)
{
    char address[INET6_ADDRSTRLEN] = "-", *to;
    const void *raw = peer->ss_family == AF_INET6
                          ? (const void *)&((const struct sockaddr_in6 *)peer)->sin6_addr
                          : (const void *)&((const struct sockaddr_in *)peer)->sin_addr;

    if (LOG_SIZE - log->size < LINE_SIZE)
        write_out(log);
    if (LOG_SIZE - log->size < LINE_SIZE) {
        log->lost++;
        return;
    }
    if (log->size == 0)
        log->first = now;
    inet_ntop(peer->ss_family, raw, address, sizeof(address));
    to = log->buffer + log->size;
    to += sprintf(to, "%s - - [%s] \"", address, time_text(log));
    to += put_escaped(to, LINE_SIZE - 160, line, line_size);
    to += sprintf(to, "\" %u %ju\n", status, (uintmax_t)bytes);
    log->size = (size_t)(to - log->buffer);
}

uint64_t access_log_flush(struct access_log *log, uint64_t now)
{
    if (log->size && now - log->first >= FLUSH_AFTER) {
        write_out(log);
        log->first = now;
    }
    return log->size ? log->first + FLUSH_AFTER : UINT64_MAX;
}
