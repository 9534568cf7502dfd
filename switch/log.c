/* SPDX-License-Identifier: BSD-2-Clause */
/* log.h: one line is one writev(), so that lines of the two processes do not mix. */
#include "log.h"

#include <errno.h>
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

void log_line_va(enum log_level level, const char *format, va_list arguments)
{
    char head[64], text[LINE_MAX_SIZE];
    struct iovec pieces[3];
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
    pieces[0] = (struct iovec){.iov_base = head, .iov_len = strlen(head)};
    pieces[1] = (struct iovec){.iov_base = text, .iov_len = (size_t)length};
    pieces[2] = (struct iovec){.iov_base = (void *)"\n", .iov_len = 1};
    if (writev(STDERR_FILENO, pieces, 3) < 0) {
        /* nobody is left to tell */
    }
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
