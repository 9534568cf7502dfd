/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h: one line is one writev(), so that lines of the two processes do not mix. Nothing here ever
 * waits: a line for which there is no room is lost, and the next one says so. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_SIZE 1024 /* bytes; longer lines are cut */

static struct {
    bool levels;
    bool verbose;
    const char *part;
    uint32_t lost; /* lines that nobody had room for */
} log_state;

void log_init(bool verbose)
{
    log_state.levels = getenv("JOURNAL_STREAM") != NULL;
    log_state.verbose = verbose;
}

void log_set_part(const char *part)
{
    log_state.part = part;
}

/* A pipe whose reader has stopped must not stop the switch. Where there is room at all there is room
 * for a line: a pipe says so when a page is free, a socket when three quarters are. */
static bool stderr_has_room(void)
{
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&writable, 1, 0) != 0;
}

static void write_line(const char *head, const char *text, size_t length)
{
    const struct iovec pieces[3] = {
        {.iov_base = (void *)head, .iov_len = strlen(head)},
        {.iov_base = (void *)text, .iov_len = length},
        {.iov_base = (void *)"\n", .iov_len = 1},
    };

    ssize_t written = -1;

    if (stderr_has_room()) {
        do
            written = writev(STDERR_FILENO, pieces, 3);
        while (written < 0 && errno == EINTR);
    }
    log_state.lost += written < 0; /* nobody is there to tell, now */
}

static void confess(const char *head)
{
    char text[64];
    uint32_t lost = log_state.lost;
    int length;

    if (!lost || !stderr_has_room())
        return;
    log_state.lost = 0;
    length = snprintf(text, sizeof(text), "%u lines were lost: nobody read them", lost);
    write_line(head, text, (size_t)length);
}

void log_line_va(enum log_level level, const char *format, va_list arguments)
{
    char head[64], text[LINE_MAX_SIZE];
    int saved = errno;
    int length;

    if (level == LOG_LEVEL_DEBUG && !log_state.verbose)
        return;
    if (log_state.levels)
        snprintf(head, sizeof(head), "<%d>multistackd: ", (int)level);
    else
        snprintf(head, sizeof(head), "multistackd: ");
    if (log_state.part) {
        size_t used = strlen(head);

        snprintf(head + used, sizeof(head) - used, "%s: ", log_state.part);
    }
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): each caller has started it */
    length = vsnprintf(text, sizeof(text), format, arguments);
    if (length < 0)
        return;
    if ((size_t)length >= sizeof(text))
        length = sizeof(text) - 1;
    confess(head);
    write_line(head, text, (size_t)length);
    errno = saved;
}

void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_line_va(level, format, arguments);
    va_end(arguments);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
    struct timespec now;
    va_list arguments;

    if (level == LOG_LEVEL_DEBUG && !log_state.verbose)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (limit->second != (uint64_t)now.tv_sec) {
        limit->second = (uint64_t)now.tv_sec;
        limit->lines = 0;
    }
    if (limit->lines >= LOG_LINES_PER_SECOND) {
        limit->withheld++;
        return;
    }
    limit->lines++;
    if (limit->withheld) {
        log_line(level, "%u lines like the next were withheld", limit->withheld);
        limit->withheld = 0;
    }
    va_start(arguments, format);
    log_line_va(level, format, arguments);
    va_end(arguments);
}
