/* SPDX-License-Identifier: BSD-2-Clause */
/* Dates as HTTP writes them (RFC 9110 section 5.6.7). */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define HTTP_DATE_SIZE 29 /* bytes: "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes exactly HTTP_DATE_SIZE bytes, without a NUL; years 0 to 9999. */
void http_date_format(time_t when, char to[HTTP_DATE_SIZE]);

/* Reads any of the three forms that a recipient must understand: IMF-fixdate, RFC 850 and asctime.
 * False: it is none of them. */
bool http_date_parse(const char *text, size_t size, time_t *when);

#endif
