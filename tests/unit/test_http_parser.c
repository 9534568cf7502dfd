/* SPDX-License-Identifier: BSD-2-Clause */
/* The grammar of requests: what is taken, what is refused and as what, in one piece or byte by byte. */
#include "http_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

static struct http_parser parser;

/* Parses all at once; the bytes lie at the end of an allocation, so that sanitizers see reads behind
 * them. */
static enum http_result parse_bytes(const char *text, size_t size)
{
    char *copy = malloc(size ? size : 1);
    enum http_result result;

    memcpy(copy, text, size);
    http_parser_reset(&parser);
    result = http_parse(&parser, copy, size);
    free(copy);
    return result;
}

/* The same, byte by byte, each time in another place. */
static enum http_result parse_slowly(const char *text, size_t size)
{
    enum http_result result = HTTP_MORE;

    http_parser_reset(&parser);
    for (size_t have = 1; have <= size && result == HTTP_MORE; have++) {
        char *copy = malloc(have);

        memcpy(copy, text, have);
        result = http_parse(&parser, copy, have);
        free(copy);
    }
    return result;
}

/* Both ways come to the same; 0 stands for a request that is taken, 1 for one that is not complete.
 */
static int parse_sized(const char *text, size_t size)
{
    enum http_result slowly = parse_slowly(text, size);
    uint16_t status = parser.status;
    enum http_result result = parse_bytes(text, size);

    assert_int_equal(result, slowly);
    if (result == HTTP_ERROR) {
        assert_int_equal(status, parser.status);
        return parser.status;
    }
    return result == HTTP_MORE;
}

static int parse(const char *text)
{
    return parse_sized(text, strlen(text));
}

static void takes_a_simple_request(void **state)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: example.org:80\r\n\r\nnext";

    (void)state;
    assert_int_equal(parse(text), 0);
    assert_int_equal(parser.request.method, HTTP_GET);
    assert_int_equal(parser.request.minor, 1);
    assert_true(parser.request.keep_alive);
    assert_int_equal(parser.request.size, sizeof(text) - 1 - strlen("next"));
    assert_int_equal(parser.request.target.size, 6);
    assert_memory_equal(text + parser.request.target.at, "/a?b=c", 6);
    assert_int_equal(parser.request.method_name.at, 0);
    assert_int_equal(parser.request.method_name.size, 3);
}

static void wants_the_whole_head(void **state)
{
    (void)state;
    assert_int_equal(parse(""), 1);
    assert_int_equal(parse("GET / HT"), 1);
    assert_int_equal(parse(LINE HOST), 1);
    assert_int_equal(parse(LINE HOST "\r"), 1);
}

static void takes_one_empty_line_before_a_request(void **state)
{
    (void)state;
    assert_int_equal(parse("\r\n" LINE HOST "\r\n"), 0);
    assert_int_equal(parse("\r\n\r\n" LINE HOST "\r\n"), 400);
}

static void refuses_request_lines_that_are_none(void **state)
{
    static const char *const lines[] = {
        "nonsense\r\n",
        "GET /\r\n",              /* HTTP/0.9 */
        "GET  / HTTP/1.1\r\n",    /* two spaces */
        "GET /  HTTP/1.1\r\n",    /* two spaces */
        "GET / HTTP/1.1 \r\n",    /* behind it */
        " GET / HTTP/1.1\r\n",    /* before it */
        "GET\t/ HTTP/1.1\r\n",    /* a tab */
        "GET / http/1.1\r\n",     /* case matters */
        "GET / HTTP/1.\r\n",      /* no digit */
        "GET / HTTP/1.11\r\n",    /* two */
        "GET / HTTP/11\r\n",      /* no dot */
        "GET / HTTP/1.1\n",       /* bare LF */
        "GET / HTTP/1.1\r\r\n",   /* CR in the line */
        "GET /\x01 HTTP/1.1\r\n", /* control */
        "GET /\x80 HTTP/1.1\r\n", /* not ASCII */
        "GET /#a HTTP/1.1\r\n",   /* fragment */
        "GET /a|b HTTP/1.1\r\n",  /* not of a URI */
        "G@T / HTTP/1.1\r\n",     /* no token */
        "\n",
        "\x16\x03\x01\x02", /* TLS, without any line end */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        assert_int_equal(parse(lines[i]), 400);
    assert_int_equal(parse_sized("GET /\0 HTTP/1.1\r\n", 18), 400);
}

static void refuses_other_versions(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/2.0\r\n\r\n"), 505);
    assert_int_equal(parse("GET / HTTP/0.9\r\n\r\n"), 505);
    assert_int_equal(parse("GET / HTTP/1.7\r\n" HOST "\r\n"), 0);
    assert_int_equal(parser.request.minor, 1);
}

static void tells_methods_apart(void **state)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET},         {"HEAD", HTTP_HEAD},    {"POST", HTTP_KNOWN},
                   {"PUT", HTTP_KNOWN},       {"DELETE", HTTP_KNOWN}, {"OPTIONS", HTTP_KNOWN},
                   {"CONNECT", HTTP_KNOWN},   {"TRACE", HTTP_KNOWN},  {"PATCH", HTTP_KNOWN},
                   {"get", HTTP_UNKNOWN},     {"BREW", HTTP_UNKNOWN}, {"GETS", HTTP_UNKNOWN},
                   {"M-SEARCH", HTTP_UNKNOWN}};

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
        char text[64];

        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\n" HOST "\r\n", methods[i].name);
        assert_int_equal(parse(text), 0);
        assert_int_equal(parser.request.method, methods[i].method);
    }
}

static void refuses_fields_that_are_none(void **state)
{
    static const char *const fields[] = {
        "Name : v\r\n",   /* space before the colon */
        "Name\t: v\r\n",  /* tab before the colon */
        "Name\r\n",       /* no colon */
        ": v\r\n",        /* no name */
        "Na me: v\r\n",   /* space in the name */
        "N\xc3: v\r\n",   /* not a token */
        "N: v\n",         /* bare LF */
        "N: a\rb\r\n",    /* bare CR */
        "N: v\r\n w\r\n", /* folded */
        " N: v\r\n",      /* folded onto the request line */
        "N: \x7f\r\n",    /* DEL */
        "N: \x01\r\n",    /* control */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        char text[128];

        snprintf(text, sizeof(text), LINE HOST "%s\r\n", fields[i]);
        assert_int_equal(parse(text), 400);
    }
    assert_int_equal(parse_sized(LINE HOST "N: \0\r\n\r\n", sizeof(LINE HOST "N: \0\r\n\r\n") - 1),
                     400);
}

static void takes_values_with_white_space_around_them(void **state)
{
    (void)state;
    assert_int_equal(parse(LINE "Host:a\r\n\r\n"), 0);
    assert_int_equal(parse(LINE "Host: \t a \t\r\n\r\n"), 0);
    assert_int_equal(parse(LINE "HOST: a\r\nX:\r\nY: \xc3\xa4 \"(){}\r\n\r\n"), 0);
    assert_int_equal(parse(LINE HOST "Content-Length: \t 7 \r\n\r\n"), 0);
    assert_int_equal(parser.request.content_length, 7);
}

static void wants_one_host(void **state)
{
    (void)state;
    assert_int_equal(parse(LINE "\r\n"), 400);
    assert_int_equal(parse(LINE HOST HOST "\r\n"), 400);
    assert_int_equal(parse(LINE "Host: a b\r\n\r\n"), 400);
    assert_int_equal(parse(LINE "Host: a/b\r\n\r\n"), 400);
    assert_int_equal(parse(LINE "Host: [fd00::1]:80\r\n\r\n"), 0);
    assert_int_equal(parse(LINE "Host:\r\n\r\n"), 0);
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n"), 0);
}

static void believes_one_length_only(void **state)
{
    static const char *const wrong[] = {
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551617\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char text[256];

        snprintf(text, sizeof(text), LINE HOST "%s\r\n", wrong[i]);
        assert_int_equal(parse(text), 400);
    }
    assert_int_equal(parse(LINE HOST "Content-Length: 9223372036854775799\r\n\r\n"), 0);
    assert_true(parser.request.content_length == UINT64_C(9223372036854775799));
}

static void knows_the_chunked_coding_alone(void **state)
{
    (void)state;
    assert_int_equal(parse(LINE HOST "Transfer-Encoding: Chunked\r\n\r\n"), 0);
    assert_true(parser.request.chunked);
    assert_int_equal(parse(LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
    assert_int_equal(parse(LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501);
    assert_int_equal(parse(LINE HOST "Transfer-Encoding: xchunked\r\n\r\n"), 501);
    assert_int_equal(parse(LINE HOST "Transfer-Encoding:\r\n\r\n"), 501);
    assert_int_equal(parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

static void knows_who_wants_to_go_on(void **state)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {LINE HOST "\r\n", true},
        {LINE HOST "Connection: close\r\n\r\n", false},
        {LINE HOST "Connection: Foo, CLOSE ,bar\r\n\r\n", false},
        {LINE HOST "Connection: foo\r\nConnection: close\r\n\r\n", false},
        {LINE HOST "Connection: keep-alive, close\r\n\r\n", false},
        {LINE HOST "Connection: closed\r\n\r\n", true},
        {LINE HOST "Connection: ,, ,\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(parse(cases[i].text), 0);
        assert_int_equal(parser.request.keep_alive, cases[i].keep_alive);
    }
}

static void bounds_the_request_line(void **state)
{
    static char text[HTTP_HEAD_MAX + 100];
    size_t size = HTTP_REQUEST_LINE_MAX - strlen("GET / HTTP/1.1\r\n");

    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        char *at = text + sprintf(text, "GET /");

        memset(at, 'a', size + extra);
        strcpy(at + size + extra, " HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(parse_bytes(text, strlen(text)), extra ? HTTP_ERROR : HTTP_DONE);
        if (extra)
            assert_int_equal(parser.status, 414);
    }
    /* also when it never ends */
    memset(text, 'a', sizeof(text));
    assert_int_equal(parse_bytes(text, sizeof(text)), HTTP_ERROR);
    assert_int_equal(parser.status, 414);
}

static void bounds_the_fields(void **state)
{
    static char text[HTTP_HEAD_MAX + 100];
    size_t size = HTTP_HEADER_MAX - strlen(HOST "X: \r\n\r\n");
    char *at;

    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        at = text + sprintf(text, LINE HOST "X: ");
        memset(at, 'a', size + extra);
        strcpy(at + size + extra, "\r\n\r\n");
        assert_int_equal(parse_bytes(text, strlen(text)), extra ? HTTP_ERROR : HTTP_DONE);
        if (extra)
            assert_int_equal(parser.status, 431);
    }
    at = text + sprintf(text, LINE HOST);
    for (unsigned i = 1; i < HTTP_FIELDS_MAX; i++)
        at += sprintf(at, "X: y\r\n");
    strcpy(at, "\r\n");
    assert_int_equal(parse(text), 0);
    strcpy(at, "X: y\r\n\r\n");
    assert_int_equal(parse(text), 431);
    /* a head that fills the buffer to the last byte is never "more" */
    at = text + sprintf(text, LINE HOST "X: ");
    memset(at, 'a', sizeof(text) - (at - text));
    assert_int_equal(parse_bytes(text, HTTP_HEAD_MAX + 1), HTTP_ERROR);
}

static void finds_conditions_and_expectations(void **state)
{
    static const char text[] = LINE HOST "If-None-Match: \"x\"\r\nIf-Modified-Since: y\r\n"
                                         "Expect: 100-Continue\r\n\r\n";

    (void)state;
    assert_int_equal(parse(text), 0);
    assert_memory_equal(text + parser.request.if_none_match.at, "\"x\"", 3);
    assert_int_equal(parser.request.if_none_match.size, 3);
    assert_memory_equal(text + parser.request.if_modified_since.at, "y", 1);
    assert_true(parser.request.expects_continue);
    assert_int_equal(parser.request.range.at, 0);
    assert_int_equal(parse(LINE HOST "Expect: more\r\n\r\n"), 0);
    assert_true(parser.request.expects_other);
}

static void finds_ranges_and_codings(void **state)
{
    static const char text[] = LINE HOST "range: r\r\nIf-Range: i\r\nIf-Match: m\r\n"
                                         "If-Unmodified-Since: u\r\naccept-encoding: a\r\n\r\n";
    const struct http_request *request = &parser.request;

    (void)state;
    assert_int_equal(parse(text), 0);
    assert_int_equal(text[request->range.at], 'r');
    assert_int_equal(text[request->if_range.at], 'i');
    assert_int_equal(text[request->if_match.at], 'm');
    assert_int_equal(text[request->if_unmodified_since.at], 'u');
    assert_int_equal(text[request->accept_encoding.at], 'a');
}

/* Skips a chunked body in pieces of `step` bytes; -1: refused, -2: not complete, else bytes used. */
static int skip_chunks(const char *text, size_t step)
{
    struct http_chunks chunks;
    size_t size = strlen(text), at = 0;

    http_chunks_reset(&chunks);
    while (at < size) {
        size_t used = 0, piece = size - at < step ? size - at : step;
        enum http_result result = http_chunks_skip(&chunks, text + at, piece, &used);

        at += used;
        if (result != HTTP_MORE)
            return result == HTTP_DONE ? (int)at : -1;
        assert_int_equal(used, piece);
    }
    return -2;
}

static void skips_chunks_strictly(void **state)
{
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"0\r\n\r\nGET", 5},
        {"3\r\nabc\r\n0\r\n\r\nGET", 13},
        {"00A\r\n0123456789\r\n0\r\n\r\n", 22},
        {"3;a=\"b\";c\r\nabc\r\n0\r\nT: v\r\nU:\r\n\r\n", 31},
        {"3\r\nabc\r\n", -2},
        {"3\r\nabcd\r\n0\r\n\r\n", -1},
        {"3\r\nabc0\r\n\r\n", -1},
        {"3\nabc\r\n0\r\n\r\n", -1},
        {"3 \r\nabc\r\n0\r\n\r\n", -1},
        {"\r\nabc", -1},
        {";a\r\n", -1},
        {"-1\r\n", -1},
        {"0x3\r\nabc\r\n", -1},
        {"10000000000000000\r\n", -1}, /* 17 digits: 2^64 */
        {"ffffffffffffffff\r\n", -1},
        {"0\r\nT v\r\n\r\n", -1},
        {"0\r\n: v\r\n\r\n", -1},
        {"0\r\nT: v\n\r\n", -1},
        {"0\r\n T: v\r\n\r\n", -1},
        {"0\r\n\n", -1},
        {"3;\x01\r\n", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (size_t step = 1; step < 40; step++)
            assert_int_equal(skip_chunks(cases[i].text, step), cases[i].result);
    }
}

static void bounds_what_surrounds_chunks(void **state)
{
    static char text[16384];
    char *at = text;

    (void)state;
    at += sprintf(at, "1;");
    memset(at, 'x', 8000);
    strcpy(at + 8000, "\r\na\r\n0\r\n\r\n");
    assert_int_equal(skip_chunks(text, sizeof(text)), -1);
    at = text + sprintf(text, "0\r\n");
    for (unsigned i = 0; i < 2000; i++)
        at += sprintf(at, "T: v\r\n");
    assert_int_equal(skip_chunks(text, sizeof(text)), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_simple_request),
        cmocka_unit_test(wants_the_whole_head),
        cmocka_unit_test(takes_one_empty_line_before_a_request),
        cmocka_unit_test(refuses_request_lines_that_are_none),
        cmocka_unit_test(refuses_other_versions),
        cmocka_unit_test(tells_methods_apart),
        cmocka_unit_test(refuses_fields_that_are_none),
        cmocka_unit_test(takes_values_with_white_space_around_them),
        cmocka_unit_test(wants_one_host),
        cmocka_unit_test(believes_one_length_only),
        cmocka_unit_test(knows_the_chunked_coding_alone),
        cmocka_unit_test(knows_who_wants_to_go_on),
        cmocka_unit_test(bounds_the_request_line),
        cmocka_unit_test(bounds_the_fields),
        cmocka_unit_test(finds_conditions_and_expectations),
        cmocka_unit_test(finds_ranges_and_codings),
        cmocka_unit_test(skips_chunks_strictly),
        cmocka_unit_test(bounds_what_surrounds_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
