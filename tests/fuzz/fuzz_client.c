/* SPDX-License-Identifier: BSD-2-Clause */
/* What our clients read: responses of a hostile server (msget, msload), and the URLs and endpoints of
 * command lines. The first byte of an input says which.
 *
 * A head is read within its bytes, and its reason can be printed. A chunked body comes out the same in
 * one piece and in pieces, is no longer than what came, and nothing of it is kept beyond its end. A
 * URL that was taken cannot end the line of a request, nor add a field to it. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "response.h"
#include "url.h"

#define A_HEAD       "\0"
#define A_BODY       "\1"
#define A_URL        "\2"
#define AN_ENDPOINT  "\3"
#define KINDS        4
#define PIECES(size) size /* of a body: how many bytes come at once */

static void read_head(const char *data, size_t size)
{
    struct response_head head;

    if (!response_head_parse(data, size, &head))
        return;
    assert(head.status >= 100 && head.status <= 999);
    assert(!(head.chunked && head.has_length) && head.length <= INT64_MAX);
    assert(memchr(head.reason, 0, sizeof(head.reason)));
    for (const char *at = head.reason; *at; at++)
        assert(*at >= ' ' && *at < 0x7f);
    assert(size >= 4 && !memcmp(data + size - 4, "\r\n\r\n", 4));
    /* without its end it is none */
    assert(!response_head_parse(data, size - 1, &head));
}

/* The body of all that comes, `step` bytes at once. Returns its length, or -1. */
static ptrdiff_t read_body(const char *data, size_t size, size_t step, char *body, bool *done)
{
    struct dechunker dechunker = {0};
    size_t length = 0;

    *done = false;
    for (size_t at = 0; at < size && !*done; at += step) {
        size_t left = size - at < step ? size - at : step;
        char *piece = malloc(left);
        ptrdiff_t kept;

        memcpy(piece, data + at, left);
        kept = dechunk(&dechunker, piece, left, done);
        assert(kept <= (ptrdiff_t)left);
        if (kept > 0)
            memcpy(body + length, piece, (size_t)kept);
        free(piece);
        if (kept < 0)
            return -1;
        length += (size_t)kept;
    }
    return (ptrdiff_t)length;
}

static void read_bodies(const char *data, size_t size)
{
    char *whole = malloc(size), *pieces = malloc(size);
    bool whole_done, pieces_done;
    ptrdiff_t length = read_body(data + 1, size - 1, size, whole, &whole_done);
    ptrdiff_t same = read_body(data + 1, size - 1, (uint8_t)*data % 64 + 1u, pieces, &pieces_done);

    assert(length == same && (length < 0 || whole_done == pieces_done));
    assert(length <= 0 || !memcmp(whole, pieces, (size_t)length));
    free(whole);
    free(pieces);
}

static void read_url(const char *text)
{
    struct url url;

    if (url_parse(text, &url))
        return;
    assert(*url.path == '/' && memchr(url.path, 0, sizeof(url.path)));
    assert(memchr(url.authority, 0, sizeof(url.authority)));
    for (const char *at = url.path; *at; at++)
        assert(*at > ' ' && *at < 0x7f && *at != '#');
    for (const char *at = url.authority; *at; at++)
        assert(*at > ' ' && *at < 0x7f);
    assert(url.address.ss_family == AF_INET || url.address.ss_family == AF_INET6);
}

/* What was taken is what is printed for it. */
static void read_endpoint(const char *text)
{
    struct sockaddr_storage address, again;
    socklen_t length, length_again;
    char printed[CLI_ENDPOINT_SIZE];

    if (cli_endpoint(text, &address, &length))
        return;
    assert(length <= sizeof(address));
    cli_endpoint_text((const struct sockaddr *)&address, printed);
    assert(!cli_endpoint(printed, &again, &length_again) && length == length_again);
    assert(!memcmp(&address, &again, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size < 2)
        return 0;
    text = malloc(size); /* of its own, so that a sanitizer sees the end */
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    switch (*data % KINDS) {
    case 0: read_head(text, size - 1); break;
    case 1: read_bodies(text, size - 1); break;
    case 2: read_url(text); break;
    default: read_endpoint(text); break;
    }
    free(text);
    return 0;
}

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(A_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nServer:x\r\n\r\n"),
    FUZZ_TEXT(A_HEAD "HTTP/1.0 404 Not\x1b[1m found\r\nTransfer-Encoding: \t chunked \r\n\r\n"),
    FUZZ_TEXT(A_HEAD "HTTP/1.1 999 \r\nContent-Length: 9223372036854775807\r\n"
                     "content-length: 9223372036854775807\r\n\r\n"),
    FUZZ_TEXT(A_BODY PIECES("\0") "3;x=\"y\"\r\nabc\r\nfF\r\n0\r\nT: v\r\n\r\n"),
    FUZZ_TEXT(A_BODY PIECES("\3") "4\r\nwiki\r\n00005\r\npedia\r\n0\r\n\r\nmore"),
    FUZZ_TEXT(A_BODY PIECES("\1") "fffffffffffffff\r\nx"),
    FUZZ_TEXT(A_URL "http://10.0.0.1:8080/a/b?c=%20#d"),
    FUZZ_TEXT(A_URL "http://[fd00::1]/"),
    FUZZ_TEXT(A_URL "http://10.0.0.1"),
    FUZZ_TEXT(AN_ENDPOINT "10.0.0.1:80"),
    FUZZ_TEXT(AN_ENDPOINT "[fd00::1]:65535"),
    FUZZ_TEXT(AN_ENDPOINT ":0"),
    {NULL, 0},
};
