/* SPDX-License-Identifier: BSD-2-Clause */
#include "http_target.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Absolute form: behind scheme and authority; the Host field then counts for nothing (RFC 9112
 * section 3.2.2). NULL: neither form. */
static const char *path_begin(const char *target, const char *end)
{
    static const char scheme[] = "http://";
    size_t size = sizeof(scheme) - 1;

    if (*target == '/')
        return target;
    if ((size_t)(end - target) <= size || strncasecmp(target, scheme, size) != 0)
        return NULL;
    for (target += size; target < end; target++) {
        if (*target == '/' || *target == '?')
            break;
    }
    return target;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes one character at *at. Returns it, or -1: it cannot be, -2: a slash or a NUL in disguise.
 */
static int decode(const char **at, const char *end)
{
    int high, low, c = (unsigned char)*(*at)++;

    if (c != '%')
        return c;
    if (end - *at < 2)
        return -1;
    high = hex_value((*at)[0]);
    low = hex_value((*at)[1]);
    *at += 2;
    if (high < 0 || low < 0 || (high == 0 && low == 0))
        return -1;
    c = high << 4 | low;
    return c == '/' ? -2 : c;
}

/* Ends a segment that began at `begin`: true when it is "" or ".", which count for nothing. */
static bool segment_is_void(const char *path, size_t begin, size_t end)
{
    return end == begin || (end == begin + 1 && path[begin] == '.');
}

static bool segment_is_parent(const char *path, size_t begin, size_t end)
{
    return end == begin + 2 && path[begin] == '.' && path[begin + 1] == '.';
}

int http_target_path(const char *target, size_t target_size, char path[HTTP_PATH_MAX], size_t *size)
{
    const char *end = target + target_size, *at = target_size ? path_begin(target, end) : NULL;
    size_t length = 0, segment = 0;

    if (!at)
        return 400;
    while (at < end && *at != '?') {
        int c;

        if (*at == '/') {
            at++;
            if (segment_is_parent(path, segment, length))
                return 400;
            if (segment_is_void(path, segment, length))
                length = segment;
            else
                path[length++] = '/';
            segment = length;
        } else {
            c = decode(&at, end);
            if (c < 0)
                return c == -2 ? 404 : 400;
            path[length++] = (char)c;
        }
        if (length >= HTTP_PATH_MAX - 1)
            return 414;
    }
    if (segment_is_parent(path, segment, length))
        return 400;
    if (segment_is_void(path, segment, length))
        length = segment;
    path[length] = '\0';
    *size = length;
    return 0;
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '/' ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

size_t http_path_encode(const char *path, size_t size, char *to, size_t room)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;

    if (room < 1)
        return 0;
    to[length++] = '/';
    for (size_t i = 0; i < size; i++) {
        unsigned char c = path[i];

        if (room - length < 3)
            return 0;
        if (is_plain(c)) {
            to[length++] = (char)c;
        } else {
            to[length++] = '%';
            to[length++] = digits[c >> 4];
            to[length++] = digits[c & 15];
        }
    }
    return length;
}
