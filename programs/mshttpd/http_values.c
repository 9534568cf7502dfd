/* SPDX-License-Identifier: BSD-2-Clause */
/* http_values.h */
#include "http_values.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without white space at both ends. */
static void trim(const char **at, const char **end)
{
    while (*at < *end && is_blank(**at))
        (*at)++;
    while (*at < *end && is_blank((*end)[-1]))
        (*end)--;
}

/* ── Range, section 14 ───────────────────────────────────────────────────────────────────────── */

/* Digits, at least one, up to whatever is none. More than 2^63 counts as that: no file is as long. */
static bool take_number(const char **at, const char *end, uint64_t *number)
{
    const char *begin = *at;

    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        if (*number > (INT64_MAX - 9) / 10)
            *number = INT64_MAX / 10 - 1;
        *number = *number * 10 + (uint64_t)(**at - '0');
    }
    return *at > begin;
}

enum http_range http_range_parse(const char *value, size_t value_size, uint64_t size,
                                 uint64_t *first, uint64_t *length)
{
    static const char unit[] = "bytes=";
    const char *at = value, *end = value + value_size;
    uint64_t from, to;
    bool is_suffix;

    if (value_size < sizeof(unit) || strncasecmp(at, unit, sizeof(unit) - 1) != 0)
        return HTTP_RANGE_WHOLE;
    at += sizeof(unit) - 1;
    trim(&at, &end);
    is_suffix = !take_number(&at, end, &from);
    if (at == end || *at++ != '-')
        return HTTP_RANGE_WHOLE;
    if (!take_number(&at, end, &to)) {
        if (is_suffix)
            return HTTP_RANGE_WHOLE;
        to = INT64_MAX; /* up to the end */
    }
    if (at != end)
        return HTTP_RANGE_WHOLE;
    if (is_suffix) { /* the last `to` bytes */
        if (to == 0)
            return HTTP_RANGE_UNSATISFIABLE;
        if (to >= size)
            return HTTP_RANGE_WHOLE;
        *first = size - to;
        *length = to;
        return HTTP_RANGE_PART;
    }
    if (from > to)
        return HTTP_RANGE_WHOLE; /* malformed */
    if (from >= size)
        return HTTP_RANGE_UNSATISFIABLE;
    *first = from;
    *length = (to < size ? to + 1 : size) - from;
    return HTTP_RANGE_PART;
}

/* ── Entity tags, section 8.8.3 ──────────────────────────────────────────────────────────────── */

bool http_tags_match(const char *list, size_t list_size, const char *tag, size_t tag_size,
                     bool weak)
{
    const char *at = list, *end = list + list_size;

    if (list_size == 1 && *list == '*')
        return true;
    while (at < end) {
        bool is_weak = false;
        const char *close;

        if (is_blank(*at) || *at == ',') {
            at++;
            continue;
        }
        if (end - at > 2 && at[0] == 'W' && at[1] == '/') {
            is_weak = true;
            at += 2;
        }
        close = *at == '"' ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
        if (!close)
            return false; /* what follows is no list of tags */
        if ((weak || !is_weak) && (size_t)(close + 1 - at) == tag_size &&
            memcmp(at, tag, tag_size) == 0)
            return true;
        at = close + 1;
    }
    return false;
}

/* ── Accept-Encoding, section 12.5.3 ─────────────────────────────────────────────────────────── */

/* Of ";q=0.000" and the like, whether the weight is zero. Without one it is 1. */
static bool weighs_nothing(const char *at, const char *end)
{
    trim(&at, &end);
    if (at == end || *at++ != ';')
        return false;
    trim(&at, &end);
    if (end - at < 3 || (at[0] != 'q' && at[0] != 'Q') || at[1] != '=' || at[2] != '0')
        return false;
    for (at += 3; at < end; at++) {
        if (*at != '.' && *at != '0')
            return false;
    }
    return true;
}

bool http_accepts_gzip(const char *value, size_t size)
{
    const char *at = value, *end = value + size;
    bool any = false;

    while (at < end) {
        const char *stop = memchr(at, ',', (size_t)(end - at)), *name, *rest;
        size_t length;

        if (!stop)
            stop = end;
        name = at;
        rest = stop;
        trim(&name, &rest);
        for (length = 0; name + length < rest && name[length] != ';' && !is_blank(name[length]);)
            length++;
        if ((length == 4 && strncasecmp(name, "gzip", 4) == 0) ||
            (length == 6 && strncasecmp(name, "x-gzip", 6) == 0))
            return !weighs_nothing(name + length, rest);
        if (length == 1 && *name == '*')
            any = !weighs_nothing(name + length, rest);
        at = stop < end ? stop + 1 : end;
    }
    return any;
}
