/* SPDX-License-Identifier: BSD-2-Clause */
#include "response.h"

#include <string.h>
#include <strings.h>

/* "HTTP/1.x NNN reason", RFC 9112 section 4. */
static bool parse_status_line(const char *line, size_t size, struct response_head *head)
{
    size_t at = 0;

    if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ')
        return false;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return false;
        head->status = head->status * 10 + (line[i] - '0');
    }
    for (size_t i = 13; i < size && at < sizeof(head->reason) - 1; i++)
        head->reason[at++] = (char)(line[i] >= ' ' && line[i] < 0x7f ? line[i] : '?');
    head->reason[at] = '\0';
    head->closes = line[7] == '0'; /* unless the Connection field says otherwise */
    return head->status >= 100;
}

static bool parse_length(const char *value, size_t size, struct response_head *head)
{
    uint64_t length = 0;

    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9' || length > (INT64_MAX - 9) / 10)
            return false;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    if (head->has_length && head->length != length)
        return false;
    head->has_length = true;
    head->length = length;
    return true;
}

/* A list of words, of which two are about the connection's end; "close" beats the other. */
static void parse_connection(const char *at, const char *end, struct response_head *head)
{
    bool close = false, keep = false;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        const char *word = at, *last = stop;

        while (word < last && (*word == ' ' || *word == '\t'))
            word++;
        while (last > word && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        close |= last - word == 5 && strncasecmp(word, "close", 5) == 0;
        keep |= last - word == 10 && strncasecmp(word, "keep-alive", 10) == 0;
        at = comma ? comma + 1 : end;
    }
    if (close || keep)
        head->closes = close;
}

static bool parse_field(const char *line, size_t size, struct response_head *head)
{
    const char *colon = memchr(line, ':', size), *value, *end = line + size;
    size_t name;

    if (!colon || colon == line)
        return false;
    name = (size_t)(colon - line);
    for (value = colon + 1; value < end && (*value == ' ' || *value == '\t');)
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (name == 10 && strncasecmp(line, "Connection", name) == 0)
        parse_connection(value, end, head);
    if (name == 14 && strncasecmp(line, "Content-Length", name) == 0)
        return parse_length(value, (size_t)(end - value), head);
    if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0) {
        head->chunked = end - value == 7 && strncasecmp(value, "chunked", 7) == 0;
        return head->chunked;
    }
    return true;
}

bool response_head_parse(const char *data, size_t size, struct response_head *head)
{
    const char *end = data + size, *line = data;
    bool first = true;

    memset(head, 0, sizeof(*head));
    while (line < end) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        size_t length;

        if (!feed || feed == line || feed[-1] != '\r')
            return false;
        length = (size_t)(feed - 1 - line);
        if (length == 0)
            return !first && feed + 1 == end && !(head->chunked && head->has_length);
        if (first ? !parse_status_line(line, length, head) : !parse_field(line, length, head))
            return false;
        first = false;
        line = feed + 1;
    }
    return false;
}

enum dechunk_state { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, END };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte that is not of the body. False: it is wrong. */
static bool take_framing(struct dechunker *dechunker, char c)
{
    switch ((enum dechunk_state)dechunker->state) {
    case SIZE:
        if (hex(c) >= 0) {
            dechunker->left = dechunker->left << 4 | (unsigned)hex(c);
            return ++dechunker->digits <= 15;
        }
        dechunker->state = c == ';' ? EXTENSION : SIZE_LF;
        return dechunker->digits && (c == ';' || c == '\r');
    case EXTENSION:
        if (c == '\r')
            dechunker->state = SIZE_LF;
        return c != '\n';
    case SIZE_LF: dechunker->state = dechunker->left ? DATA : TRAILER; return c == '\n';
    case DATA_CR: dechunker->state = DATA_LF; return c == '\r';
    case DATA_LF:
        dechunker->state = SIZE;
        dechunker->digits = 0;
        return c == '\n';
    case TRAILER: dechunker->state = c == '\r' ? END : TRAILER_LINE; return c != '\n';
    case TRAILER_LINE:
        if (c == '\n')
            dechunker->state = TRAILER;
        return true;
    case END: dechunker->last = true; return c == '\n';
    default: return false;
    }
}

ptrdiff_t dechunk(struct dechunker *dechunker, char *data, size_t size, bool *done)
{
    size_t at = 0, kept = 0;

    while (at < size && !dechunker->last) {
        if (dechunker->state == DATA) {
            size_t step = size - at < dechunker->left ? size - at : dechunker->left;

            memmove(data + kept, data + at, step);
            kept += step;
            at += step;
            dechunker->left -= step;
            if (dechunker->left == 0)
                dechunker->state = DATA_CR;
        } else if (!take_framing(dechunker, data[at++])) {
            return -1;
        }
    }
    *done = dechunker->last;
    return (ptrdiff_t)kept;
}
