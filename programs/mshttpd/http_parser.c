/* SPDX-License-Identifier: BSD-2-Clause */
/* Line by line: a line is found by its LF, checked and read whole, and never looked at again. */
#include "http_parser.h"

#include <string.h>
#include <strings.h>

/* ── Character classes ───────────────────────────────────────────────────────────────────────── */

#define TOKEN  0x1 /* tchar, RFC 9110 section 5.6.2 */
#define VALUE  0x2 /* field-vchar, SP, HTAB: RFC 9110 section 5.5 */
#define TARGET 0x4 /* pchar, "/", "?" and what an authority has besides: RFC 3986 */
#define HOST   0x8 /* uri-host, ":": RFC 3986 section 3.2.2 */

static const uint8_t classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['"'] = VALUE,
    ['('] = VALUE | TARGET | HOST,
    [')'] = VALUE | TARGET | HOST,
    [','] = VALUE | TARGET | HOST,
    ['/'] = VALUE | TARGET,
    [':'] = VALUE | TARGET | HOST,
    [';'] = VALUE | TARGET | HOST,
    ['<'] = VALUE,
    ['='] = VALUE | TARGET | HOST,
    ['>'] = VALUE,
    ['?'] = VALUE | TARGET,
    ['@'] = VALUE | TARGET,
    ['['] = VALUE | TARGET | HOST,
    ['\\'] = VALUE,
    [']'] = VALUE | TARGET | HOST,
    ['{'] = VALUE,
    ['}'] = VALUE,
    ['#'] = TOKEN | VALUE,
    ['^'] = TOKEN | VALUE,
    ['`'] = TOKEN | VALUE,
    ['|'] = TOKEN | VALUE,
    ['!'] = TOKEN | VALUE | TARGET | HOST,
    ['$'] = TOKEN | VALUE | TARGET | HOST,
    ['%'] = TOKEN | VALUE | TARGET | HOST,
    ['&'] = TOKEN | VALUE | TARGET | HOST,
    ['\''] = TOKEN | VALUE | TARGET | HOST,
    ['*'] = TOKEN | VALUE | TARGET | HOST,
    ['+'] = TOKEN | VALUE | TARGET | HOST,
    ['-'] = TOKEN | VALUE | TARGET | HOST,
    ['.'] = TOKEN | VALUE | TARGET | HOST,
    ['_'] = TOKEN | VALUE | TARGET | HOST,
    ['~'] = TOKEN | VALUE | TARGET | HOST,
    ['0' ... '9'] = TOKEN | VALUE | TARGET | HOST,
    ['A' ... 'Z'] = TOKEN | VALUE | TARGET | HOST,
    ['a' ... 'z'] = TOKEN | VALUE | TARGET | HOST,
    [0x80 ... 0xff] = VALUE, /* obs-text */
};

/* How many bytes at the beginning of `text` are of the class. */
static size_t span(const char *text, size_t size, uint8_t class)
{
    size_t at = 0;

    while (at < size && classes[(uint8_t)text[at]] & class)
        at++;
    return at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool same_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

/* ── Fields ──────────────────────────────────────────────────────────────────────────────────── */

enum once {
    SEEN_HOST = 0x1,
    SEEN_LENGTH = 0x2,
    SEEN_CODING = 0x4,
    SEEN_KEEP_ALIVE = 0x8,
    SEEN_CLOSE = 0x10,
    SEEN_EMPTY_LINE = 0x20, /* the one that may precede a request */
};

static enum http_result refuse(struct http_parser *parser, uint16_t status)
{
    parser->status = status;
    return HTTP_ERROR;
}

/* The next element of a comma-separated list (RFC 9110 section 5.6.1), empty ones skipped. */
static bool next_element(const char **at, const char *end, const char **element, size_t *size)
{
    const char *stop;

    while (*at < end && (**at == ',' || is_blank(**at)))
        (*at)++;
    if (*at == end)
        return false;
    *element = *at;
    stop = memchr(*at, ',', end - *at);
    if (!stop)
        stop = end;
    *at = stop;
    while (is_blank(stop[-1]))
        stop--;
    *size = stop - *element;
    return true;
}

/* Digits only, no sign, no list; more than 2^63 is nobody's body. */
static enum http_result take_content_length(struct http_parser *parser, const char *value,
                                            size_t size)
{
    uint64_t length = 0;

    if (size == 0)
        return refuse(parser, 400);
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9' || length > (INT64_MAX - 9) / 10)
            return refuse(parser, 400);
        length = length * 10 + (value[i] - '0');
    }
    /* RFC 9112 section 6.3 would allow the same number twice; there is no need for it. */
    if (parser->seen & SEEN_LENGTH)
        return refuse(parser, 400);
    parser->seen |= SEEN_LENGTH;
    parser->request.content_length = length;
    return HTTP_MORE;
}

static enum http_result take_transfer_encoding(struct http_parser *parser, const char *value,
                                               size_t size)
{
    if (parser->seen & SEEN_CODING)
        return refuse(parser, 400);
    parser->seen |= SEEN_CODING;
    if (!same_word(value, size, "chunked"))
        return refuse(parser, 501); /* RFC 9112 section 6.1 */
    parser->request.chunked = true;
    return HTTP_MORE;
}

static enum http_result take_connection(struct http_parser *parser, const char *value, size_t size)
{
    const char *at = value, *element;
    size_t length;

    while (next_element(&at, value + size, &element, &length)) {
        if (same_word(element, length, "close"))
            parser->seen |= SEEN_CLOSE;
        else if (same_word(element, length, "keep-alive"))
            parser->seen |= SEEN_KEEP_ALIVE;
    }
    return HTTP_MORE;
}

static enum http_result take_host(struct http_parser *parser, const char *value, size_t size)
{
    if (parser->seen & SEEN_HOST || span(value, size, HOST) != size)
        return refuse(parser, 400);
    parser->seen |= SEEN_HOST;
    return HTTP_MORE;
}

static enum http_result take_expect(struct http_parser *parser, const char *value, size_t size)
{
    if (same_word(value, size, "100-continue"))
        parser->request.expects_continue = true;
    else
        parser->request.expects_other = true;
    return HTTP_MORE;
}

/* The fields that mean something here are told apart by length first. */
static enum http_result take_field(struct http_parser *parser, const char *data, const char *name,
                                   size_t name_size, const char *value, size_t size)
{
    struct http_slice slice = {.at = value - data, .size = size};

    switch (name_size) {
    case 4:
        if (same_word(name, 4, "Host"))
            return take_host(parser, value, size);
        break;
    case 5:
        if (same_word(name, 5, "Range"))
            parser->request.range = slice;
        break;
    case 6:
        if (same_word(name, 6, "Expect"))
            return take_expect(parser, value, size);
        break;
    case 8:
        if (same_word(name, 8, "If-Match"))
            parser->request.if_match = slice;
        else if (same_word(name, 8, "If-Range"))
            parser->request.if_range = slice;
        break;
    case 10:
        if (same_word(name, 10, "Connection"))
            return take_connection(parser, value, size);
        break;
    case 13:
        if (same_word(name, 13, "If-None-Match"))
            parser->request.if_none_match = slice;
        break;
    case 14:
        if (same_word(name, 14, "Content-Length"))
            return take_content_length(parser, value, size);
        break;
    case 15:
        if (same_word(name, 15, "Accept-Encoding"))
            parser->request.accept_encoding = slice;
        break;
    case 17:
        if (same_word(name, 17, "Transfer-Encoding"))
            return take_transfer_encoding(parser, value, size);
        if (same_word(name, 17, "If-Modified-Since"))
            parser->request.if_modified_since = slice;
        break;
    case 19:
        if (same_word(name, 19, "If-Unmodified-Since"))
            parser->request.if_unmodified_since = slice;
        break;
    }
    return HTTP_MORE;
}

/* field-line = field-name ":" OWS field-value OWS, RFC 9112 section 5. A folded line begins with
 * white space, which no name does. */
static enum http_result parse_field(struct http_parser *parser, const char *data, const char *line,
                                    size_t size)
{
    size_t name_size = span(line, size, TOKEN);
    const char *value = line + name_size + 1, *end = line + size;

    if (name_size == 0 || name_size == size || line[name_size] != ':')
        return refuse(parser, 400);
    if (span(value, end - value, VALUE) != (size_t)(end - value))
        return refuse(parser, 400);
    if (++parser->fields > HTTP_FIELDS_MAX)
        return refuse(parser, 431);
    while (value < end && is_blank(*value))
        value++;
    while (value < end && is_blank(end[-1]))
        end--;
    return take_field(parser, data, line, name_size, value, end - value);
}

/* The empty line: what the fields say together. */
static enum http_result finish(struct http_parser *parser)
{
    struct http_request *request = &parser->request;

    if (request->minor >= 1 && !(parser->seen & SEEN_HOST))
        return refuse(parser, 400); /* RFC 9112 section 3.2 */
    /* RFC 9112 section 6.1: both, or chunks from an HTTP/1.0 client, are not to be trusted. */
    if (request->chunked && (parser->seen & SEEN_LENGTH || request->minor == 0))
        return refuse(parser, 400);
    if (parser->seen & SEEN_CLOSE)
        request->keep_alive = false;
    else
        request->keep_alive = request->minor >= 1 || parser->seen & SEEN_KEEP_ALIVE;
    return HTTP_DONE;
}

/* ── The request line ────────────────────────────────────────────────────────────────────────── */

static enum http_method method_of(const char *name, size_t size)
{
    static const char *const known[] = {"POST",    "PUT",   "DELETE", "CONNECT",
                                        "OPTIONS", "TRACE", "PATCH"};

    if (size == 3 && memcmp(name, "GET", 3) == 0)
        return HTTP_GET;
    if (size == 4 && memcmp(name, "HEAD", 4) == 0)
        return HTTP_HEAD;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (size == strlen(known[i]) && memcmp(name, known[i], size) == 0)
            return HTTP_KNOWN;
    }
    return HTTP_UNKNOWN;
}

/* HTTP-version, RFC 9112 section 2.3: "HTTP/" DIGIT "." DIGIT, case-sensitive. */
static enum http_result parse_version(struct http_parser *parser, const char *text, size_t size)
{
    if (size != 8 || memcmp(text, "HTTP/", 5) != 0 || text[6] != '.' || text[5] < '0' ||
        text[5] > '9' || text[7] < '0' || text[7] > '9')
        return refuse(parser, 400);
    if (text[5] != '1')
        return refuse(parser, 505);
    parser->request.minor = text[7] == '0' ? 0 : 1;
    return HTTP_MORE;
}

/* request-line = method SP request-target SP HTTP-version, RFC 9112 section 3. */
static enum http_result parse_request_line(struct http_parser *parser, const char *data,
                                           const char *line, size_t size)
{
    const char *end = line + size, *target, *version;
    size_t method_size = span(line, size, TOKEN), target_size;

    if (method_size == 0 || method_size == size || line[method_size] != ' ')
        return refuse(parser, 400);
    target = line + method_size + 1;
    target_size = span(target, end - target, TARGET);
    version = target + target_size + 1;
    if (target_size == 0 || version > end || version[-1] != ' ')
        return refuse(parser, 400);
    parser->request.method = method_of(line, method_size);
    parser->request.method_name =
        (struct http_slice){.at = (uint16_t)(line - data), .size = (uint16_t)method_size};
    parser->request.target =
        (struct http_slice){.at = (uint16_t)(target - data), .size = (uint16_t)target_size};
    return parse_version(parser, version, end - version);
}

/* ── The head ────────────────────────────────────────────────────────────────────────────────── */

/* A line without its CRLF, which ends at `next`. HTTP_MORE: go on with the next line. */
static enum http_result parse_line(struct http_parser *parser, const char *data, const char *line,
                                   size_t size, uint32_t next)
{
    enum http_result result;

    if (!parser->header) {
        if (size == 0 && !(parser->seen & SEEN_EMPTY_LINE)) {
            parser->seen |= SEEN_EMPTY_LINE;
            return HTTP_MORE;
        }
        result = parse_request_line(parser, data, line, size);
        parser->header = next;
        return result;
    }
    if (size == 0) {
        parser->request.size = next;
        return finish(parser);
    }
    return parse_field(parser, data, line, size);
}

/* Whether the line that begins at parser->line may have so many bytes. */
static bool within_limits(const struct http_parser *parser, uint32_t end)
{
    if (!parser->header)
        return end - parser->line <= HTTP_REQUEST_LINE_MAX;
    return end - parser->header <= HTTP_HEADER_MAX;
}

void http_parser_reset(struct http_parser *parser)
{
    *parser = (struct http_parser){0};
}

enum http_result http_parse(struct http_parser *parser, const char *data, size_t size)
{
    /* One byte more than a head may have is enough to refuse it. */
    if (size > HTTP_HEAD_MAX + 1)
        size = HTTP_HEAD_MAX + 1;
    for (;;) {
        const char *line = data + parser->line;
        const char *feed = memchr(data + parser->scanned, '\n', size - parser->scanned);
        uint32_t end = feed ? (uint32_t)(feed - data) + 1 : (uint32_t)size;
        enum http_result result;

        if (!within_limits(parser, end))
            return refuse(parser, parser->header ? 431 : 414);
        if (!feed) {
            parser->scanned = end;
            /* Whoever begins with no method will not get better: TLS at the wrong port, say. */
            if (!parser->header && size > parser->line && *line != '\r' &&
                span(line, 1, TOKEN) == 0)
                return refuse(parser, 400);
            return HTTP_MORE;
        }
        if (feed == line || feed[-1] != '\r')
            return refuse(parser, 400);
        result = parse_line(parser, data, line, feed - 1 - line, end);
        parser->line = end;
        parser->scanned = end;
        if (result != HTTP_MORE)
            return result;
    }
}

/* ── Chunks ──────────────────────────────────────────────────────────────────────────────────── */

#define CHUNK_EXTRA_MAX  4096 /* bytes of extensions and trailers that a body may have */
#define CHUNK_DIGITS_MAX 15   /* so that no size overflows */

enum chunk_state {
    CHUNK_SIZE,      /* hexadecimal digits */
    CHUNK_EXTENSION, /* behind ";", up to CR: read over, RFC 9112 section 7.1.1 */
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* the beginning of a trailer line, or the last CR */
    CHUNK_TRAILER_NAME,
    CHUNK_TRAILER_VALUE,
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool take_size_byte(struct http_chunks *chunks, char c)
{
    int digit = hex_value(c);

    if (digit >= 0) {
        chunks->left = chunks->left << 4 | (unsigned)digit;
        return ++chunks->digits <= CHUNK_DIGITS_MAX;
    }
    if (c == ';')
        chunks->state = CHUNK_EXTENSION;
    else
        chunks->state = CHUNK_SIZE_LF;
    return chunks->digits > 0 && (c == ';' || c == '\r');
}

/* A byte of a trailer line, whose grammar is that of a field. */
static bool take_trailer_byte(struct http_chunks *chunks, char c)
{
    uint8_t class = classes[(uint8_t)c];

    if (++chunks->extra > CHUNK_EXTRA_MAX)
        return false;
    switch (chunks->state) {
    case CHUNK_TRAILER:
        chunks->state = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_NAME;
        return c == '\r' || class & TOKEN;
    case CHUNK_TRAILER_NAME:
        if (c == ':')
            chunks->state = CHUNK_TRAILER_VALUE;
        return c == ':' || class & TOKEN;
    case CHUNK_TRAILER_VALUE:
        if (c == '\r')
            chunks->state = CHUNK_TRAILER_LF;
        return c == '\r' || class & VALUE;
    default: chunks->state = CHUNK_TRAILER; return c == '\n';
    }
}

/* One byte of framing. False: it cannot be. */
static bool take_chunk_byte(struct http_chunks *chunks, char c)
{
    switch (chunks->state) {
    case CHUNK_SIZE: return take_size_byte(chunks, c);
    case CHUNK_EXTENSION:
        if (c == '\r')
            chunks->state = CHUNK_SIZE_LF;
        return ++chunks->extra <= CHUNK_EXTRA_MAX && (c == '\r' || classes[(uint8_t)c] & VALUE);
    case CHUNK_SIZE_LF: chunks->state = chunks->left ? CHUNK_DATA : CHUNK_TRAILER; return c == '\n';
    case CHUNK_DATA_CR: chunks->state = CHUNK_DATA_LF; return c == '\r';
    case CHUNK_DATA_LF:
        chunks->state = CHUNK_SIZE;
        chunks->digits = 0;
        return c == '\n';
    default: return take_trailer_byte(chunks, c);
    }
}

void http_chunks_reset(struct http_chunks *chunks)
{
    *chunks = (struct http_chunks){.state = CHUNK_SIZE};
}

enum http_result http_chunks_skip(struct http_chunks *chunks, const char *data, size_t size,
                                  size_t *used)
{
    size_t at = 0;

    while (at < size) {
        if (chunks->state == CHUNK_DATA) {
            size_t step = size - at < chunks->left ? size - at : chunks->left;

            at += step;
            chunks->left -= step;
            chunks->total += step;
            if (chunks->left == 0)
                chunks->state = CHUNK_DATA_CR;
        } else if (chunks->state == CHUNK_LAST_LF) {
            *used = at + 1;
            return data[at] == '\n' ? HTTP_DONE : HTTP_ERROR;
        } else if (!take_chunk_byte(chunks, data[at++])) {
            *used = at;
            return HTTP_ERROR;
        }
    }
    *used = at;
    return HTTP_MORE;
}
