/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests from strangers: the parser, the chunked coding, targets and dates.
 *
 * Besides crashes it looks for what a parser must never do: come to another result when the bytes come
 * in pieces, point outside of the head, take a head with a bare LF or NUL in it, or take a path that
 * leads out of the root. */
#include "fuzz.h"
#include "http_date.h"
#include "http_parser.h"
#include "http_target.h"
#include "http_values.h"

#include <assert.h>
#include <string.h>

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    FUZZ_TEXT("\r\nHEAD /a/%2e%2e/b?c HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
    FUZZ_TEXT("POST http://a.org/./x//y%20z HTTP/1.1\r\nHost: a.org:80\r\nContent-Length: 17\r\n"
              "Expect: 100-continue\r\n\r\nbody"),
    FUZZ_TEXT("GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3;x=\"y\"\r\nabc\r\nfF\r\n0\r\nT: v\r\n\r\n"),
    FUZZ_TEXT("GET /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"1-2\", W/\"3\"\r\n"
              "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
    FUZZ_TEXT(
        "GET /a HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n\r\n"),
    FUZZ_TEXT("GET /a HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Sun Nov  6 08:49:37 1994\r\n\r\n"),
    FUZZ_TEXT("GET /a HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9\r\nIf-Range: \"1-2\"\r\n"
              "If-Match: W/\"3\", *\r\nAccept-Encoding: br;q=1, gzip;q=0.5, *;q=0\r\n\r\n"),
    {NULL, 0},
};

static void check_slice(const struct http_request *request, struct http_slice slice)
{
    assert((uint32_t)slice.at + slice.size <= request->size);
}

/* A range lies within the file, whatever was asked for. */
static void check_values(const struct http_request *request, const char *data)
{
    static const uint64_t sizes[] = {0, 1, 10, 1ULL << 40};
    struct http_slice range = request->range, tags = request->if_match,
                      codings = request->accept_encoding;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t first, length;

        if (http_range_parse(data + range.at, range.size, sizes[i], &first, &length) ==
            HTTP_RANGE_PART)
            assert(length > 0 && first < sizes[i] && length <= sizes[i] - first);
    }
    http_tags_match(data + tags.at, tags.size, "\"1-2\"", 5, false);
    http_accepts_gzip(data + codings.at, codings.size);
}

static void check_target(const char *target, size_t size)
{
    char path[HTTP_PATH_MAX], encoded[3 * HTTP_PATH_MAX];
    size_t path_size;

    if (http_target_path(target, size, path, &path_size) != 0)
        return;
    assert(path_size < HTTP_PATH_MAX && strlen(path) == path_size);
    assert(path[0] != '/' && !strstr(path, "//"));
    assert(strncmp(path, "../", 3) != 0 && !strstr(path, "/../") && strcmp(path, "..") != 0);
    assert(path_size < 3 || strcmp(path + path_size - 3, "/..") != 0);
    assert(http_path_encode(path, path_size, encoded, sizeof(encoded)) <= sizeof(encoded));
}

static void check_body(const struct http_request *request, const char *data, size_t size)
{
    struct http_chunks whole, slow;
    enum http_result result, step = HTTP_MORE;
    size_t used, at, one;

    if (!request->chunked)
        return;
    http_chunks_reset(&whole);
    result = http_chunks_skip(&whole, data, size, &used);
    assert(used <= size);
    http_chunks_reset(&slow);
    for (at = 0; at < size && step == HTTP_MORE; at += one)
        step = http_chunks_skip(&slow, data + at, 1, &one);
    assert(step == result && at == used);
}

static void check_head(const struct http_request *request, const char *data, size_t size)
{
    time_t when;

    assert(request->size <= size && request->size <= HTTP_HEAD_MAX);
    assert(!memchr(data, '\0', request->size));
    for (const char *feed = data; (feed = memchr(feed, '\n', data + request->size - feed)); feed++)
        assert(feed > data && feed[-1] == '\r');
    assert(!request->chunked || request->content_length == 0);
    check_slice(request, request->method_name);
    check_slice(request, request->target);
    check_slice(request, request->if_none_match);
    check_slice(request, request->if_modified_since);
    check_slice(request, request->if_unmodified_since);
    check_slice(request, request->if_match);
    check_slice(request, request->if_range);
    check_slice(request, request->range);
    check_slice(request, request->accept_encoding);
    check_values(request, data);
    http_date_parse(data + request->if_modified_since.at, request->if_modified_since.size, &when);
    check_target(data + request->target.at, request->target.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    struct http_parser whole, slow;
    enum http_result result, step = HTTP_MORE;
    size_t have = 0, stride = size < 512 ? 1 : 97;

    http_parser_reset(&whole);
    result = http_parse(&whole, data, size);
    http_parser_reset(&slow);
    while (step == HTTP_MORE && have < size) {
        have = size - have < stride ? size : have + stride;
        step = http_parse(&slow, data, have);
    }
    assert(step == result);
    if (result == HTTP_ERROR) {
        assert(whole.status == 400 || whole.status == 414 || whole.status == 431 ||
               whole.status == 501 || whole.status == 505);
    } else if (result == HTTP_DONE) {
        assert(memcmp(&whole.request, &slow.request, sizeof(whole.request)) == 0);
        check_head(&whole.request, data, size);
        check_body(&whole.request, data + whole.request.size, size - whole.request.size);
    } else {
        assert(size <= HTTP_HEAD_MAX);
    }
    return 0;
}
