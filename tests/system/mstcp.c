/* SPDX-License-Identifier: BSD-2-Clause */
/* mstcp: sends or receives a stream of pseudo-random bytes over one TCP connection, on UTCP or on the
 * kernel's stack, in any of the four ways to combine that with connecting and listening. The receiver
 * knows the seed, too, and compares byte for byte: what is wrong is seen, and where.
 *
 *   usage: mstcp send|receive --listen|--connect ADDR:PORT [--stack utcp|kernel] [--bytes N]
 *                [--seed N] [--cc NAME] [--without FEATURE] [--ask-ecn] [--ask-accurate-ecn]
 *                [--control PATH]
 *
 * The last line is JSON: {"bytes": …, "seconds": …, "ok": true, what was agreed on: "timestamps",
 * "window_scale", "sack", "ecn", "ecn_accurate" with its counters "marked_in", "marked_told", "ce_in",
 * "ce_told" (on UTCP), and of what was sent "retransmitted", "timeouts", "spurious"}. A
 * listener first prints "listening". Exit status 0: all N bytes, right, and the end of the stream after
 * them. */
#include "cli.h"
#include "json.h"
#include "stream.h"
#include "utcp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK      (64 * 1024) /* a multiple of 8 */
#define TIMEOUT_MS 60000

static struct sockaddr_storage address;
static socklen_t address_length;
static bool listening;
static uint32_t stack_flags;

/* splitmix64 (Vigna): every position of the stream has its own value, so that bytes that were lost,
 * doubled or exchanged do not fit. */
static uint64_t word_at(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* CHUNK bytes of the stream from `offset` on, a multiple of CHUNK. */
static void fill(uint8_t *to, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < CHUNK / 8; i++) {
        uint64_t word = word_at(seed, offset / 8 + i);

        memcpy(to + i * 8, &word, 8);
    }
}

static int send_all(struct stream *stream, uint64_t seed, uint64_t bytes, uint64_t *done)
{
    static uint8_t chunk[CHUNK];
    uint8_t end;
    ptrdiff_t got;

    while (*done < bytes) {
        size_t size = bytes - *done < CHUNK ? (size_t)(bytes - *done) : CHUNK;
        int error;

        fill(chunk, seed, *done);
        error = stream_write(stream, chunk, size);
        if (error)
            return error;
        *done += size;
    }
    stream_finish(stream);
    /* The receiver ends the connection when it has seen all. */
    got = stream_read(stream, &end, 1);
    return got > 0 ? -EPROTO : (int)got;
}

static int receive_all(struct stream *stream, uint64_t seed, uint64_t bytes, uint64_t *done)
{
    static uint8_t chunk[CHUNK], expected[CHUNK];
    uint64_t have = UINT64_MAX; /* which chunk `expected` holds */

    for (;;) {
        size_t at = *done % CHUNK;
        ptrdiff_t got = stream_read(stream, chunk, CHUNK - at);

        if (got <= 0)
            return got < 0 ? (int)got : *done == bytes ? 0 : -ENODATA;
        if (*done + (size_t)got > bytes)
            return -EMSGSIZE;
        if (have != *done - at) {
            have = *done - at;
            fill(expected, seed, have);
        }
        for (ptrdiff_t i = 0; i < got; i++) {
            if (chunk[i] != expected[at + (size_t)i]) {
                cli_error("byte %ju is wrong", (uintmax_t)(*done + (uint64_t)i));
                return -EBADMSG;
            }
        }
        *done += (size_t)got;
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

/* --without may come several times. */
static const char *take_without(const char *text)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } features[] = {{"timestamps", UTCP_NO_TIMESTAMPS},
                    {"window_scaling", UTCP_NO_WINDOW_SCALE},
                    {"sack", UTCP_NO_SACK},
                    {"accurate_ecn", UTCP_NO_ACCURATE_ECN},
                    {"ecn", UTCP_NO_ECN}};

    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (strcmp(text, features[i].name) == 0) {
            stack_flags |= features[i].flag;
            return NULL;
        }
    }
    return "timestamps, window_scaling, sack, ecn or accurate_ecn";
}

static void report(const struct stream_info *info, uint64_t bytes, double seconds, bool ok)
{
    struct json json = json_begin(stdout, false);

    json_object(&json, NULL);
    json_number(&json, "bytes", bytes);
    json_real(&json, "seconds", seconds);
    json_bool(&json, "ok", ok);
    json_bool(&json, "timestamps", info->timestamps);
    json_bool(&json, "window_scale", info->window_scale);
    json_bool(&json, "sack", info->sack);
    json_bool(&json, "ecn", info->ecn);
    json_bool(&json, "ecn_accurate", info->ecn_accurate);
    json_number(&json, "marked_in", info->ecn_marked_in);
    json_number(&json, "marked_told", info->ecn_marked_told);
    json_number(&json, "ce_in", info->ecn_ce_in);
    json_number(&json, "ce_told", info->ecn_ce_told);
    json_number(&json, "retransmitted", info->retransmitted);
    json_number(&json, "timeouts", info->timeouts);
    json_number(&json, "spurious", info->spurious);
    json_number(&json, "rtt_us", info->rtt_us);
    json_end(&json);
    json_finish(&json);
}

static int transfer(const struct stream_options *options, bool sends, uint64_t seed, uint64_t bytes)
{
    struct stream *stream;
    struct stream_info info;
    struct timespec began, ended;
    uint64_t done = 0;
    int error;

    if (stream_open(&stream, options) != 0)
        return CLI_FAILURE;
    if (listening)
        error = stream_accept(stream, (struct sockaddr *)&address, address_length, say_listening);
    else
        error = stream_connect(stream, (struct sockaddr *)&address, address_length);
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (!error)
        error =
            sends ? send_all(stream, seed, bytes, &done) : receive_all(stream, seed, bytes, &done);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    if (error)
        cli_error("after %ju bytes: %s", (uintmax_t)done, strerror(-error));
    stream_info(stream, &info);
    stream_close(stream);
    report(&info, done,
           (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
           !error);
    return error ? CLI_FAILURE : CLI_OK;
}

int main(int argc, char **argv)
{
    const char *stack = "utcp", *control = NULL, *congestion = NULL;
    bool ask_ecn = false, ask_accurate_ecn = false;
    uint64_t bytes = 1000000, seed = 1;
    const struct cli_option table[] = {
        {.name = "listen",
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
        {.name = "bytes",
         .argument = "N",
         .help = "how many (1000000)",
         .kind = CLI_NUMBER,
         .value = &bytes},
        {.name = "seed",
         .argument = "N",
         .help = "which stream (1)",
         .kind = CLI_NUMBER,
         .value = &seed},
        CLI_CONGESTION_OPTION(&congestion),
        {.name = "without",
         .argument = "FEATURE",
         .help = "UTCP shall not have: timestamps, sack …",
         .kind = CLI_CALL,
         .call = take_without},
        {.name = "ask-ecn", .help = "UTCP shall ask for ECN", .kind = CLI_FLAG, .value = &ask_ecn},
        {.name = "ask-accurate-ecn",
         .help = "UTCP shall ask for Accurate ECN",
         .kind = CLI_FLAG,
         .value = &ask_accurate_ecn},
        CLI_CONTROL_OPTION(&control),
        {0}};
    const struct cli_program program = {
        .name = "mstcp",
        .arguments = "send|receive --listen|--connect ADDR:PORT [OPTIONS]",
        .summary = "Sends or checks a stream of pseudo-random bytes over TCP.",
        .options = table};
    int first = cli_parse(&program, argc, argv);
    struct stream_options options = {.name = "mstcp", .timeout_ms = TIMEOUT_MS};

    if (first != argc - 1 ||
        (strcmp(argv[first], "send") != 0 && strcmp(argv[first], "receive") != 0))
        cli_wrong_usage("send or receive?");
    if (!address_length)
        cli_wrong_usage("--listen or --connect is missing");
    options.kernel = strcmp(stack, "kernel") == 0;
    options.control = control;
    options.congestion = congestion;
    options.stack_flags =
        stack_flags | (ask_ecn ? UTCP_ASK_ECN : 0) | (ask_accurate_ecn ? UTCP_ASK_ACCURATE_ECN : 0);
    return transfer(&options, strcmp(argv[first], "send") == 0, seed, bytes);
}
