/* SPDX-License-Identifier: BSD-2-Clause */
/* From a request to the bytes of its response. What does not change is put together beforehand: the
 * status line with Server and Date once a second, a file's own fields when it is read; for a 200
 * two copies remain. */
#include "http_date.h"
#include "http_target.h"
#include "http_values.h"
#include "server.h"
#include "work.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *reason_of(uint16_t status)
{
    switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

/* ── Putting bytes together ──────────────────────────────────────────────────────────────────── */

/* Writes into server->response, whose size is above all that is ever put together here. */
struct writer {
    char *at, *end;
};

static void put(struct writer *writer, const char *text, size_t size)
{
    assert((size_t)(writer->end - writer->at) >= size);
    memcpy(writer->at, text, size);
    writer->at += size;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* "HTTP/1.1 …", Server, Date. */
static void put_begin(const struct server *server, struct writer *writer, uint16_t status)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\n";
    char line[64];

    if (status == 200) {
        put(writer, server->begin, server->begin_size);
        return;
    }
    snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status, reason_of(status));
    put_text(writer, line);
    put(writer, server->begin + sizeof(ok) - 1, server->begin_size - (sizeof(ok) - 1));
}

/* The last fields and the empty line. HTTP/1.0 clients must be told that a connection goes on. */
static void put_end(struct writer *writer, const struct http_request *request, bool keep_alive)
{
    if (!keep_alive)
        put_text(writer, "Connection: close\r\n\r\n");
    else if (request && request->minor == 0)
        put_text(writer, "Connection: keep-alive\r\n\r\n");
    else
        put(writer, "\r\n", 2);
}

static struct writer begin_writing(struct server *server)
{
    return (struct writer){server->response, server->response + sizeof(server->response)};
}

static uint32_t written(const struct server *server, const struct writer *writer)
{
    return (uint32_t)(writer->at - server->response);
}

/* A response that says no more than its status; `field` is one more field with its CRLF, or NULL.
 */
static void build_short(struct server *server, const struct http_request *request, uint16_t status,
                        const char *field, bool keep_alive, struct response *response)
{
    struct writer writer = begin_writing(server);
    char body[64], line[96];
    int size = snprintf(body, sizeof(body), "%u %s\n", status, reason_of(status));

    put_begin(server, &writer, status);
    if (field)
        put_text(&writer, field);
    snprintf(line, sizeof(line),
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n", size);
    put_text(&writer, line);
    put_end(&writer, request, keep_alive);
    if (!request || request->method != HTTP_HEAD) {
        put(&writer, body, (size_t)size);
        response->body = (uint32_t)size;
    }
    response->status = status;
    response->size = written(server, &writer);
}

/* ── Conditions, RFC 9110 section 13 ─────────────────────────────────────────────────────────── */

static bool lists_tag(const char *data, struct http_slice list, const struct file *file, bool weak)
{
    return http_tags_match(data + list.at, list.size, file->etag, file->etag_size, weak);
}

/* Whether the field is a date, and the file has not changed since. What is no date is as no field. */
static bool is_since(const char *data, struct http_slice date, const struct file *file,
                     bool otherwise)
{
    time_t when;

    if (!date.at || !http_date_parse(data + date.at, date.size, &when))
        return otherwise;
    return file->modified <= when;
}

/* In the order of section 13.2.2. 0: the request is to be done. */
static uint16_t judge(const struct http_request *request, const char *data, const struct file *file)
{
    if (request->if_match.at ? !lists_tag(data, request->if_match, file, false)
                             : !is_since(data, request->if_unmodified_since, file, true))
        return 412;
    if (request->if_none_match.at ? lists_tag(data, request->if_none_match, file, true)
                                  : is_since(data, request->if_modified_since, file, false))
        return 304;
    return 0;
}

/* Which part is wanted. If-Range with a date is as if the date were another: a second in which a
 * file changed twice could not be told apart (section 13.1.5), and a whole file is never wrong. */
static enum http_range wanted_range(const struct http_request *request, const char *data,
                                    const struct file *file, struct response *response)
{
    const struct http_slice *condition = &request->if_range, *range = &request->range;

    if (request->method != HTTP_GET || !range->at ||
        (condition->at && (condition->size != file->etag_size ||
                           memcmp(data + condition->at, file->etag, file->etag_size) != 0)))
        return HTTP_RANGE_WHOLE;
    return http_range_parse(data + range->at, range->size, file->size, &response->offset,
                            &response->length);
}

/* ── Files ───────────────────────────────────────────────────────────────────────────────────── */

static void build_file(struct server *server, const struct http_request *request, const char *data,
                       struct file *file, bool keep_alive, struct response *response)
{
    struct writer writer = begin_writing(server);
    uint16_t status = judge(request, data, file);
    enum http_range range = HTTP_RANGE_WHOLE;
    char line[128];

    if (status == 0) {
        response->length = file->size;
        range = wanted_range(request, data, file, response);
    }
    if (status == 412 || range == HTTP_RANGE_UNSATISFIABLE) {
        snprintf(line, sizeof(line), "Content-Range: bytes */%ju\r\n", (uintmax_t)file->size);
        file_release(file);
        response->length = 0;
        build_short(server, request, status ? status : 416, status ? NULL : line, keep_alive,
                    response);
        return;
    }
    response->status = status ? status : range == HTTP_RANGE_PART ? 206 : 200;
    put_begin(server, &writer, response->status);
    if (range == HTTP_RANGE_PART) {
        put(&writer, file->head, file->type_size);
        snprintf(line, sizeof(line), "Content-Range: bytes %ju-%ju/%ju\r\nContent-Length: %ju\r\n",
                 (uintmax_t)response->offset, (uintmax_t)(response->offset + response->length - 1),
                 (uintmax_t)file->size, (uintmax_t)response->length);
        put_text(&writer, line);
    } else {
        put(&writer, file->head, status ? file->validators_size : file->head_size);
    }
    put_end(&writer, request, keep_alive);
    response->size = written(server, &writer);
    if (status || request->method == HTTP_HEAD || file->size == 0) {
        file_release(file);
        response->length = 0;
    } else {
        response->file = file;
    }
}

/* To the folder's own name, with its slash, and with the query if there was one. The path is the
 * one that was understood, so that "//other.example" does not become another host. */
static void build_redirect(struct server *server, const struct http_request *request,
                           const char *data, const char *path, size_t path_size, bool keep_alive,
                           struct response *response)
{
    const char *target = data + request->target.at;
    const char *query = memchr(target, '?', request->target.size);
    size_t query_size = query ? (size_t)(target + request->target.size - query) : 0, length;
    char location[2048], field[2048];
    int size;

    length = http_path_encode(path, path_size, location, sizeof(location));
    size = snprintf(field, sizeof(field), "Location: %.*s/%.*s\r\n", (int)length, location,
                    (int)query_size, query ? query : "");
    if (length == 0 || size < 0 || (size_t)size >= sizeof(field)) {
        build_short(server, request, 414, NULL, keep_alive, response);
        return;
    }
    build_short(server, request, 301, field, keep_alive, response);
}

static uint16_t status_of(int error)
{
    switch (-error) {
    case ENOENT: return 404;
    case EACCES: return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EBUSY: return 503;
    default: return 500;
    }
}

/* ── Entry points ────────────────────────────────────────────────────────────────────────────── */

void response_set_date(struct server *server, uint64_t now)
{
    struct timespec wall;
    char date[HTTP_DATE_SIZE];

    if (now < server->date_until)
        return;
    clock_gettime(CLOCK_REALTIME, &wall);
    server->date_until = now + 1000000 - (uint64_t)wall.tv_nsec / 1000;
    http_date_format(wall.tv_sec, date);
    server->begin_size = (uint32_t)snprintf(
        server->begin, sizeof(server->begin),
        "HTTP/1.1 200 OK\r\nServer: " RESPONSE_NAME "\r\nDate: %.*s\r\n", HTTP_DATE_SIZE, date);
}

void response_build_status(struct server *server, const struct http_request *request,
                           uint16_t status, bool keep_alive, struct response *response)
{
    *response = (struct response){0};
    build_short(server, request, status, status == 405 ? "Allow: GET, HEAD\r\n" : NULL, keep_alive,
                response);
}

void response_build(struct server *server, const struct http_request *request, const char *data,
                    bool keep_alive, struct response *response)
{
    const struct http_slice codings = request->accept_encoding;
    char path[HTTP_PATH_MAX];
    struct file *file;
    size_t size;
    int error;

    if (server->work_rounds)
        server->work_result = work_do(server->work_rounds, server->work_result);
    *response = (struct response){0};
    error = http_target_path(data + request->target.at, request->target.size, path, &size);
    if (error) {
        build_short(server, request, (uint16_t)error, NULL, keep_alive, response);
        return;
    }
    error = file_cache_get(server->files, path, size,
                           codings.at && http_accepts_gzip(data + codings.at, codings.size),
                           server->transport->now, &file);
    if (error == -EISDIR)
        build_redirect(server, request, data, path, size, keep_alive, response);
    else if (error)
        build_short(server, request, status_of(error), NULL, keep_alive, response);
    else
        build_file(server, request, data, file, keep_alive, response);
}
