/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of fields that choose what is sent: conditions, ranges, codings (RFC 9110). Pure. */
#ifndef HTTP_VALUES_H
#define HTTP_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_range {
    HTTP_RANGE_WHOLE,         /* no range that is served: all of it is sent (section 14.2) */
    HTTP_RANGE_PART,          /* *first and *length say which bytes */
    HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/* The value of Range, for a representation of `size` bytes. Other units than bytes, several ranges,
 * and what is malformed mean the whole, as the RFC lets a server do: who wants pieces far apart may
 * ask for them one by one, and nobody can have the same bytes sent a hundred times by one request. */
enum http_range http_range_parse(const char *value, size_t value_size, uint64_t size,
                                 uint64_t *first, uint64_t *length);

/* Whether a list of entity tags (If-Match, If-None-Match) is "*" or has `tag`, which is a strong one
 * with its quotes. `weak`: compared weakly, so that W/"x" matches "x" (section 8.8.3.2). */
bool http_tags_match(const char *list, size_t list_size, const char *tag, size_t tag_size,
                     bool weak);

/* Whether the value of Accept-Encoding allows gzip (section 12.5.3). */
bool http_accepts_gzip(const char *value, size_t size);

#endif
