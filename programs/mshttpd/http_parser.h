/* SPDX-License-Identifier: BSD-2-Clause */
/* The head of an HTTP/1.1 request, and the framing of its body (RFC 9112), by one strict grammar.
 *
 * Pure and incremental: bytes come in as an argument, nothing is allocated, nothing is kept but
 * positions. The caller gathers the bytes of a head in one place and calls again when there are
 * more; nothing is scanned twice.
 *
 * Strict means: whatever two implementations might read differently is refused, because that is
 * what request smuggling lives on. Lines end in CRLF and never in a bare LF; a field name is
 * followed directly by its colon; no folded lines (RFC 9112 section 5.2); no control characters;
 * one way only to say how long the body is. The tolerances are two: one empty line before the
 * request (section 2.2), and white space around a field's value (section 5.1). */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, line ends included. RFC 9112 section 3 asks for at least 8,000 of a request line. */
#define HTTP_REQUEST_LINE_MAX 8002
#define HTTP_HEADER_MAX       8192 /* all fields together, with the empty line */
#define HTTP_FIELDS_MAX       100
#define HTTP_HEAD_MAX         (2 + HTTP_REQUEST_LINE_MAX + HTTP_HEADER_MAX)

enum http_result {
    HTTP_MORE,  /* so far it is right, and not complete */
    HTTP_DONE,  /* complete */
    HTTP_ERROR, /* refused: `status` says as what */
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_KNOWN,   /* of RFC 9110 or 5789, but not served: 405 */
    HTTP_UNKNOWN, /* 501 */
};

/* A piece of the head, by its place. */
struct http_slice {
    uint16_t at;
    uint16_t size;
};

struct http_request {
    enum http_method method;
    uint8_t minor;         /* of HTTP/1.minor: 0, or 1 for all that are higher */
    bool keep_alive;       /* the client would go on with this connection (RFC 9112 section 9.3) */
    bool chunked;          /* the body is framed by chunks, else it has content_length bytes */
    bool expects_continue; /* RFC 9110 section 10.1.1 */
    bool expects_other;    /* an expectation that nobody knows */
    uint64_t content_length;
    struct http_slice method_name, target;
    /* Fields as they came; at = 0: not there. */
    struct http_slice if_modified_since, if_unmodified_since, if_none_match, if_match, if_range,
        range, accept_encoding;
    uint32_t size; /* bytes of the head, that is where the body begins */
};

struct http_parser {
    struct http_request request;
    uint16_t status; /* with HTTP_ERROR: 400, 414, 431, 501 or 505 */
    uint16_t fields;
    uint32_t line;    /* where the line begins that is not complete */
    uint32_t scanned; /* up to here it has no LF */
    uint32_t header;  /* where the fields begin; 0: the request line is not complete */
    uint8_t seen;     /* fields that may come once only */
};

/* Before each request. */
void http_parser_reset(struct http_parser *parser);

/* `data` is all that has come of the head so far, from its first byte on: between calls it may move
 * and grow, but not change. Bytes behind the head are not looked at. */
enum http_result http_parse(struct http_parser *parser, const char *data, size_t size);

/* The chunked coding of a body (RFC 9112 section 7.1), which is only skipped here. */
struct http_chunks {
    uint8_t state;
    uint8_t digits;
    uint16_t extra; /* bytes of chunk extensions and trailers, which are limited */
    uint64_t left;  /* bytes of this chunk */
    uint64_t total; /* bytes of all chunks so far */
};

void http_chunks_reset(struct http_chunks *chunks);

/* Takes as much of `data` as belongs to the body; *used says how much that was. Unlike a head the
 * bytes need not come again. */
enum http_result http_chunks_skip(struct http_chunks *chunks, const char *data, size_t size,
                                  size_t *used);

#endif
