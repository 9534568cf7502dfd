/* SPDX-License-Identifier: BSD-2-Clause */
/* One line for each response, in the Common Log Format:
 *
 *   10.0.0.2 - - [06/Nov/1994:08:49:37 +0000] "GET /page HTTP/1.1" 200 1234
 *
 * Lines are gathered and written when the buffer is full or a second old. A reader that does not
 * keep up, or a full disk, loses lines, which are counted and told; the server never waits. */
#ifndef ACCESS_LOG_H
#define ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct access_log;

/* `path` is appended to; "-" is standard output. NULL: errno says why. */
struct access_log *access_log_open(const char *path);
void access_log_close(struct access_log *log);

/* `line` is a request line or a part of it, any bytes: what could mislead a reader is escaped. */
void access_log_add(struct access_log *log, const struct sockaddr_storage *peer, const char *line,
                    size_t line_size, unsigned status, uint64_t bytes, uint64_t now);

/* Writes what is old enough. Returns when to call again (µs), UINT64_MAX: nothing waits. */
uint64_t access_log_flush(struct access_log *log, uint64_t now);

#endif
