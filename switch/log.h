/* SPDX-License-Identifier: BSD-2-Clause */
/* What multistackd says to people: lines on standard error, `multistackd: what: why`.
 *
 * Under systemd each line carries its level (sd-daemon(3), "<3>"), elsewhere none. Both halves use
 * it; the switch needs only writev(2) for it. What can be caused by a packet or an application goes
 * through log_limited(), so that nobody can fill a disk (hostile.md, H16). */
#ifndef MULTISTACK_LOG_H
#define MULTISTACK_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR = 3, /* the numbers of syslog(3), which sd-daemon's prefixes are */
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_DEBUG = 7,
};

#define LOG_PRINTF(at, arguments) __attribute__((__format__(__printf__, at, arguments)))

/* Finds out whether systemd reads the lines. `verbose` lets log_debug() through. */
void log_init(bool verbose);
/* Put between the program's name and the text, such as "switch"; NULL: nothing. Kept, not copied.
 */
void log_set_part(const char *part);

void log_line(enum log_level level, const char *format, ...) LOG_PRINTF(2, 3);
void log_line_va(enum log_level level, const char *format, va_list arguments) LOG_PRINTF(2, 0);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* One for each kind of line that may come often; zero-initialised. */
struct log_limit {
    uint64_t second;   /* CLOCK_MONOTONIC second that `lines` counts */
    uint32_t lines;    /* written in that second */
    uint32_t withheld; /* since the last line that was written */
};

#define LOG_LINES_PER_SECOND 5

/* Writes at most LOG_LINES_PER_SECOND lines a second; the next line that passes says how many were
 * withheld. */
void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
    LOG_PRINTF(3, 4);

#endif
