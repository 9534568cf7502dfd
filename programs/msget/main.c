/* SPDX-License-Identifier: BSD-2-Clause */
/* msget: fetches one file by HTTP/1.1, on UTCP or on the kernel's stack, and says what came. */
#include "cli.h"
#include "json.h"
#include "response.h"
#include "stream.h"
#include "url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)
#define HEAD_MAX    65536
#define TIMEOUT_MS  30000
#define NO_OUTPUT   (-1)

struct transfer {
    struct stream *stream;
    int output;
    struct response_head head;
    struct dechunker dechunker;
    uint64_t bytes; /* of the body */
    size_t held;    /* bytes in the buffer */
    char buffer[BUFFER_SIZE];
};

/* ── The transfer ─────────────────────────────────────────────────────────────────────────────── */

static int send_request(struct transfer *transfer, const struct url *url)
{
    int size = snprintf(transfer->buffer, sizeof(transfer->buffer),
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: msget/%s\r\nAccept: */*\r\n"
                        "Connection: close\r\n\r\n",
                        url->path, url->authority, MULTISTACK_VERSION);

    return stream_write(transfer->stream, transfer->buffer, (size_t)size);
}

/* One head, of which some, or all, may be in the buffer already. What follows it stays there. */
static int receive_one_head(struct transfer *transfer)
{
    char *end;
    size_t size;

    while (!(end = memmem(transfer->buffer, transfer->held, "\r\n\r\n", 4))) {
        ptrdiff_t got;

        if (transfer->held >= HEAD_MAX)
            return -EPROTO;
        got = stream_read(transfer->stream, transfer->buffer + transfer->held,
                          sizeof(transfer->buffer) - transfer->held);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return -EPROTO;
        transfer->held += (size_t)got;
    }
    size = (size_t)(end + 4 - transfer->buffer);
    if (!response_head_parse(transfer->buffer, size, &transfer->head))
        return -EPROTO;
    transfer->held -= size;
    memmove(transfer->buffer, end + 4, transfer->held);
    return 0;
}

/* Up to the head that has a body; what came of that stays in the buffer. */
static int receive_head(struct transfer *transfer)
{
    int error;

    /* 1xx are followed by another head (RFC 9110 section 15.2); these have no body. */
    do
        error = receive_one_head(transfer);
    while (!error && transfer->head.status < 200);
    if (error)
        return error;
    if (transfer->head.status == 204 || transfer->head.status == 304) {
        transfer->head.has_length = true;
        transfer->head.length = 0;
    }
    return 0;
}

static int write_out(const struct transfer *transfer, const char *data, size_t size)
{
    while (size && transfer->output != NO_OUTPUT) {
        ssize_t done = write(transfer->output, data, size);

        if (done < 0 && errno != EINTR) {
            cli_error("output: %s", strerror(errno));
            return -errno;
        }
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
    return 0;
}

/* What is in the buffer. 1: the body is complete; 0: more is to come; or an error. */
static int take_body(struct transfer *transfer)
{
    size_t size = transfer->held;
    bool done = false;
    int error;

    if (transfer->head.chunked) {
        ptrdiff_t left = dechunk(&transfer->dechunker, transfer->buffer, size, &done);

        if (left < 0)
            return -EPROTO;
        size = (size_t)left;
    } else if (transfer->head.has_length) {
        if (size > transfer->head.length - transfer->bytes)
            size = transfer->head.length - transfer->bytes;
        done = transfer->bytes + size == transfer->head.length;
    }
    error = write_out(transfer, transfer->buffer, size);
    transfer->bytes += size;
    transfer->held = 0;
    return error ? error : done;
}

static int receive_body(struct transfer *transfer)
{
    int result = take_body(transfer);

    while (result == 0) {
        ptrdiff_t got = stream_read(transfer->stream, transfer->buffer, sizeof(transfer->buffer));

        if (got < 0)
            return (int)got;
        /* Without a length the end is the end (RFC 9112 section 6.3). */
        if (got == 0)
            return transfer->head.chunked || transfer->head.has_length ? -ECONNRESET : 0;
        transfer->held = (size_t)got;
        result = take_body(transfer);
    }
    return result < 0 ? result : 0;
}

static int run(struct transfer *transfer, const struct url *url)
{
    int error =
        stream_connect(transfer->stream, (const struct sockaddr *)&url->address, url->length);

    if (!error)
        error = send_request(transfer, url);
    if (!error)
        error = receive_head(transfer);
    return error ? error : receive_body(transfer);
}

/* ── The command ──────────────────────────────────────────────────────────────────────────────── */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const struct transfer *transfer, double seconds, bool as_json, FILE *out)
{
    if (as_json) {
        struct json json = json_begin(out, false);

        json_object(&json, NULL);
        json_number(&json, "status", (uint64_t)transfer->head.status);
        json_number(&json, "bytes", transfer->bytes);
        json_real(&json, "seconds", seconds);
        json_end(&json);
        json_finish(&json);
    } else {
        fprintf(out, "%d %s, %ju bytes in %.3f s, %.1f Mbit/s\n", transfer->head.status,
                transfer->head.reason, (uintmax_t)transfer->bytes, seconds,
                (double)transfer->bytes * 8e-6 / (seconds > 0 ? seconds : 1e-6));
    }
}

static int open_output(const char *path)
{
    if (!path)
        return NO_OUTPUT;
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static int get(const char *text, const struct url *url, const struct stream_options *options,
               const char *output, bool as_json)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    double began = seconds_now();
    int error;

    if (!transfer) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_FAILURE;
    }
    transfer->output = open_output(output);
    if (output && transfer->output < 0) {
        cli_error("%s: %s", output, strerror(errno));
        free(transfer);
        return CLI_FAILURE;
    }
    if (stream_open(&transfer->stream, options) != 0) {
        free(transfer);
        return CLI_FAILURE;
    }
    error = run(transfer, url);
    if (error)
        cli_error("%s: %s", text, strerror(-error));
    else
        report(transfer, seconds_now() - began, as_json,
               transfer->output == STDOUT_FILENO ? stderr : stdout);
    if (error == -ECONNREFUSED)
        cli_hint("nobody listens there");
    stream_close(transfer->stream);
    error = error || transfer->head.status >= 400;
    free(transfer);
    return error ? CLI_FAILURE : CLI_OK;
}

int main(int argc, char **argv)
{
    const char *stack = "utcp", *output = NULL, *control = NULL, *wrong;
    bool as_json = false;
    const struct cli_option table[] = {
        {.name = "output",
         .letter = 'o',
         .argument = "FILE",
         .help = "where the body goes; - is standard output (nowhere)",
         .kind = CLI_STRING,
         .value = &output},
        CLI_STACK_OPTION(&stack),
        {.name = "json",
         .letter = 'j',
         .help = "report as JSON",
         .kind = CLI_FLAG,
         .value = &as_json},
        CLI_CONTROL_OPTION(&control),
        {0}};
    const struct cli_program program = {
        .name = "msget",
        .arguments = "[OPTIONS] http://ADDR[:PORT]/PATH",
        .summary = "Fetches a file by HTTP/1.1, on a TCP of its own (UTCP) or on the kernel's.",
        .options = table};
    int first = cli_parse(&program, argc, argv);
    struct stream_options options = {.name = "msget", .timeout_ms = TIMEOUT_MS};
    static struct url url;

    if (first != argc - 1)
        cli_wrong_usage(first == argc ? "the URL is missing" : "more than one URL");
    wrong = url_parse(argv[first], &url);
    if (wrong)
        cli_wrong_usage("%s: %s", argv[first], wrong);
    options.kernel = strcmp(stack, "kernel") == 0;
    options.control = control;
    return get(argv[first], &url, &options, output, as_json);
}
