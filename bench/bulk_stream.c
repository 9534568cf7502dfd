/* SPDX-License-Identifier: BSD-2-Clause */
/* bulk_stream: one TCP connection as fast as it goes, on UTCP or on the kernel's stack (bench/bulk).
 *
 *   usage: bulk_stream send|receive --listen|--connect ADDR:PORT [--stack utcp|kernel]
 *                      [--by-reference] [--cc NAME] [--seconds N] [--control PATH]
 *
 * The sender stops after N seconds, the receiver when the sender does. The last line is JSON:
 * {"bytes": …, "seconds": …, "cpu_seconds": …} and, of what was sent, "retransmitted" (segments),
 * "timeouts" and "spurious" (UTCP alone). A listener first prints "listening". */
#include "cli.h"
#include "json.h"
#include "stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CHUNK      (128 * 1024) /* bytes of one call, as iperf3 does it */
#define TIMEOUT_MS 10000

static struct sockaddr_storage address;
static socklen_t address_length;
static bool listening;
static uint8_t chunk[CHUNK];

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double cpu_time(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int send_for(struct stream *stream, double seconds, uint64_t *bytes)
{
    double until = now() + seconds;
    int error = 0;

    while (!error && now() < until) {
        error = stream_write(stream, chunk, CHUNK);
        *bytes += CHUNK;
    }
    if (!error)
        error = stream_finish(stream);
    /* The receiver ends the connection when it has all. */
    return error ? error : (int)stream_read(stream, chunk, 1);
}

static int receive_all(struct stream *stream, uint64_t *bytes)
{
    for (;;) {
        ptrdiff_t got = stream_read(stream, chunk, CHUNK);

        if (got <= 0)
            return (int)got;
        *bytes += (uint64_t)got;
    }
}

static void say_listening(void)
{
    printf("listening\n");
    fflush(stdout);
}

static const char *take_listen(const char *text)
{
    listening = true;
    return cli_endpoint(text, &address, &address_length);
}

static const char *take_connect(const char *text)
{
    return cli_endpoint(text, &address, &address_length);
}

static void report(const struct stream *stream, uint64_t bytes, double seconds, double cpu_seconds)
{
    struct stream_info info;
    struct json json = json_begin(stdout, false);

    json_object(&json, NULL);
    json_number(&json, "bytes", bytes);
    json_real(&json, "seconds", seconds);
    json_real(&json, "cpu_seconds", cpu_seconds);
    stream_info(stream, &info);
    json_number(&json, "retransmitted", info.retransmitted);
    json_number(&json, "timeouts", info.timeouts);
    json_number(&json, "spurious", info.spurious);
    json_end(&json);
    json_finish(&json);
}

static int run(const struct stream_options *options, bool sends, uint64_t seconds)
{
    struct stream *stream;
    double began, used;
    uint64_t bytes = 0;
    int error;

    if (stream_open(&stream, options) != 0)
        return CLI_FAILURE;
    if (listening)
        error = stream_accept(stream, (struct sockaddr *)&address, address_length, say_listening);
    else
        error = stream_connect(stream, (struct sockaddr *)&address, address_length);
    began = now();
    used = cpu_time();
    if (!error)
        error = sends ? send_for(stream, (double)seconds, &bytes) : receive_all(stream, &bytes);
    if (error)
        cli_error("after %ju bytes: %s", (uintmax_t)bytes, strerror(-error));
    else
        report(stream, bytes, now() - began, cpu_time() - used);
    stream_close(stream);
    return error ? CLI_FAILURE : CLI_OK;
}

int main(int argc, char **argv)
{
    const char *stack = "utcp", *control = NULL, *congestion = NULL;
    uint64_t seconds = 5;
    bool by_reference = false;
    const struct cli_option table[] = {{.name = "listen",
                                        .argument = "ADDR:PORT",
                                        .help = "wait for the peer there",
                                        .kind = CLI_CALL,
                                        .call = take_listen},
                                       {.name = "connect",
                                        .argument = "ADDR:PORT",
                                        .help = "the peer is there",
                                        .kind = CLI_CALL,
                                        .call = take_connect},
                                       CLI_STACK_OPTION(&stack),
                                       {.name = "seconds",
                                        .argument = "N",
                                        .help = "how long the sender sends (5)",
                                        .kind = CLI_NUMBER,
                                        .value = &seconds,
                                        .least = 1,
                                        .most = 3600},
                                       {.name = "by-reference",
                                        .help = "UTCP sends without a copy of its own",
                                        .kind = CLI_FLAG,
                                        .value = &by_reference},
                                       CLI_CONGESTION_OPTION(&congestion),
                                       CLI_CONTROL_OPTION(&control),
                                       {0}};
    const struct cli_program program = {.name = "bulk_stream",
                                        .arguments =
                                            "send|receive --listen|--connect ADDR:PORT [OPTIONS]",
                                        .summary = "One TCP connection as fast as it goes.",
                                        .options = table};
    int first = cli_parse(&program, argc, argv);
    struct stream_options options = {.name = "bulk_stream", .timeout_ms = TIMEOUT_MS};

    if (first != argc - 1 ||
        (strcmp(argv[first], "send") != 0 && strcmp(argv[first], "receive") != 0))
        cli_wrong_usage("send or receive?");
    if (!address_length)
        cli_wrong_usage("--listen or --connect is missing");
    options.kernel = strcmp(stack, "kernel") == 0;
    options.control = control;
    options.by_reference = by_reference;
    options.congestion = congestion;
    return run(&options, strcmp(argv[first], "send") == 0, seconds);
}
