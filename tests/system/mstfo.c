/* SPDX-License-Identifier: BSD-2-Clause */
/* mstfo: fast open on UTCP (RFC 7413), one connection after the other, each with a question of a few
 * bytes that comes back.
 *
 *   usage: mstfo --listen|--connect ADDR:PORT [--count N] [--key TEXT] [--control PATH]
 *
 * For each it prints "syn_data 1" when the question went with the SYN and was taken, else
 * "syn_data 0". A listener first prints "listening", and ends after N. */
#include "cli.h"
#include "runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_US (UINT64_C(10) * 1000000)
#define QUESTION   "How far is it to Tipperary?"

struct test {
    struct ms_runtime *runtime;
    uint32_t events; /* UTCP_*, not looked at yet */
};

static struct sockaddr_storage address;
static socklen_t address_length;
static bool listening;

static void on_events(void *context, const struct utcp_event *events, unsigned count)
{
    struct test *test = context;

    for (unsigned i = 0; i < count; i++)
        test->events |= events[i].events;
}

static uint64_t now(const struct test *test)
{
    return runtime_now(test->runtime);
}

/* Until something has happened: false: it takes too long. */
static bool await(struct test *test)
{
    uint64_t until = now(test) + TIMEOUT_US;

    while (!test->events) {
        if (now(test) >= until)
            return false;
        if (!runtime_step(test->runtime) && !test->events && runtime_wait(test->runtime, until))
            return false;
    }
    test->events = 0;
    return true;
}

/* Up to `size` bytes, or the end. */
static ptrdiff_t read_all(struct test *test, struct utcp_conn *conn, char *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ptrdiff_t got = utcp_read(conn, now(test), buffer + done, size - done);

        if (got > 0)
            done += (size_t)got;
        else if (got != -EAGAIN)
            return got ? got : (ptrdiff_t)done;
        else if (!await(test))
            return -ETIMEDOUT;
    }
    return (ptrdiff_t)done;
}

static void tell(const struct utcp_conn *conn)
{
    struct utcp_info info = {.size = sizeof(info)};

    utcp_info(conn, &info);
    printf("syn_data %d\n", info.syn_data);
    fflush(stdout);
}

static int answer(struct test *test, struct utcp_conn *conn)
{
    char buffer[sizeof(QUESTION) - 1];
    ptrdiff_t got = read_all(test, conn, buffer, sizeof(buffer));

    if (got > 0)
        got = utcp_write(conn, now(test), buffer, (size_t)got);
    tell(conn);
    utcp_close(conn, now(test));
    return got > 0 ? 0 : (int)got;
}

static int ask(struct test *test)
{
    char buffer[sizeof(QUESTION)];
    struct utcp_conn *conn;
    ptrdiff_t got;
    int error =
        runtime_connect(test->runtime, (struct sockaddr *)&address, address_length, test, &conn);

    if (error)
        return error;
    utcp_set_option(conn, UTCP_OPTION_FAST_OPEN, 1);
    utcp_write(conn, now(test), QUESTION, sizeof(QUESTION) - 1);
    got = read_all(test, conn, buffer, sizeof(buffer));
    tell(conn);
    utcp_close(conn, now(test));
    if (got < 0)
        return (int)got;
    return got == sizeof(QUESTION) - 1 && !memcmp(buffer, QUESTION, (size_t)got) ? 0 : -EBADMSG;
}

static int serve(struct test *test, uint64_t count, const char *key)
{
    struct ms_runtime_listener *listener;
    int error = runtime_listen(test->runtime, (struct sockaddr *)&address, address_length, 16, test,
                               &listener);

    if (error)
        return error;
    utcp_listener_set_option(runtime_listener(listener), UTCP_OPTION_FAST_OPEN, 16);
    if (key)
        utcp_listener_set_fast_open_keys(runtime_listener(listener), (const uint8_t *)key, NULL);
    printf("listening\n");
    fflush(stdout);
    while (count > 0 && !error) {
        struct utcp_conn *conn = utcp_accept(runtime_listener(listener), now(test));

        if (conn) {
            utcp_set_user(conn, test);
            error = answer(test, conn);
            count--;
        } else if (!await(test)) {
            error = -ETIMEDOUT;
        }
    }
    return error;
}

/* What was written goes out, before the port goes. */
static void finish(struct test *test)
{
    struct utcp_stats stats = {.size = sizeof(stats)};
    uint64_t until = now(test) + TIMEOUT_US;

    for (;;) {
        bool busy = runtime_step(test->runtime);

        utcp_stats(runtime_stack(test->runtime), &stats);
        if (stats.connections <= stats.time_wait || now(test) >= until ||
            (!busy && runtime_wait(test->runtime, until)))
            break;
    }
    runtime_close(test->runtime);
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

int main(int argc, char **argv)
{
    const char *key = NULL, *control = NULL;
    uint64_t count = 1;
    const struct cli_option table[] = {{.name = "listen",
                                        .argument = "ADDR:PORT",
                                        .help = "answer there",
                                        .kind = CLI_CALL,
                                        .call = take_listen},
                                       {.name = "connect",
                                        .argument = "ADDR:PORT",
                                        .help = "ask there",
                                        .kind = CLI_CALL,
                                        .call = take_connect},
                                       {.name = "count",
                                        .argument = "N",
                                        .help = "connections (1)",
                                        .kind = CLI_NUMBER,
                                        .value = &count},
                                       {.name = "key",
                                        .argument = "TEXT",
                                        .help = "of cookies, 16 letters",
                                        .kind = CLI_STRING,
                                        .value = &key},
                                       CLI_CONTROL_OPTION(&control),
                                       {0}};
    const struct cli_program program = {.name = "mstfo",
                                        .arguments = "--listen|--connect ADDR:PORT [OPTIONS]",
                                        .summary = "Asks or answers with the SYN, on UTCP.",
                                        .options = table};
    struct test test = {0};
    const struct ms_runtime_options options = {
        .control_path = control, .name = "mstfo", .events = on_events, .context = &test};
    int error;

    if (cli_parse(&program, argc, argv) != argc || !address_length ||
        (key && strlen(key) != UTCP_FAST_OPEN_KEY_SIZE))
        cli_wrong_usage("--listen or --connect, and a key of 16 letters or none");
    error = runtime_open(&test.runtime, &options);
    if (error) {
        cli_error("%s", strerror(-error));
        return CLI_FAILURE;
    }
    if (listening)
        error = serve(&test, count, key);
    for (; !listening && count > 0 && !error; count--)
        error = ask(&test);
    if (error)
        cli_error("%s", strerror(-error));
    finish(&test);
    return error ? CLI_FAILURE : CLI_OK;
}
