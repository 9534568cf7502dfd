/* SPDX-License-Identifier: BSD-2-Clause */
/* msload: the command line, the threads, and the report. */
#include "cli.h"
#include "engine.h"
#include "json.h"
#include "thread.h"
#include "url.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX     1024
#define CONNECTIONS_MAX 10000000
#define DURATION_S      10
#define TIMEOUT_S       10
/* Twice as many as are in use at once, and so many that a pair of endpoints comes back late. More than
 * the latter a user does not get, as multistackd has it by default. */
#define LOCAL_PORTS_MIN 4096
#define LOCAL_PORTS_MAX 8192
#define RANGE_MIN       64 /* of ms_bind_range() */
#define RANGE_MAX       16384

static atomic_bool stop;

struct worker {
    struct engine engine;
    struct program_thread thread;
    int error;
};

static struct worker *workers; /* also for the signal handler: all are open before it is set */
static unsigned worker_count;

/* What the command line says. */
struct request {
    char *const *urls;
    unsigned url_count;
    const char *stack;
    struct client_options client;
    uint64_t connections, threads, duration_s, warm_up_s, requests, rate, timeout_s;
    uint64_t local_ports; /* UINT64_MAX: as many as make sense */
    bool keep_alive, json;
};

static void end_all(void)
{
    atomic_store(&stop, true);
    for (unsigned i = 0; i < worker_count; i++)
        workers[i].engine.client->ops->wake(workers[i].engine.client);
}

static void on_signal(int number)
{
    (void)number;
    end_all();
}

static void catch_signals(void)
{
    struct sigaction end = {.sa_handler = on_signal};

    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
}

/* A connection on the kernel's stack is a descriptor; on UTCP one whose port is not out of a range has one. */
static bool allow_descriptors(const struct request *request)
{
    bool each = strcmp(request->stack, "kernel") == 0 || request->local_ports == 0;
    uint64_t connections = request->connections;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!each || limit.rlim_max == RLIM_INFINITY || connections + 64 <= limit.rlim_max)
        return true;
    cli_error("--connections %ju: at most %ju open files are allowed", (uintmax_t)connections,
              (uintmax_t)limit.rlim_max);
    cli_hint("`ulimit -n` raises the limit");
    return false;
}

/* ── The threads ──────────────────────────────────────────────────────────────────────────────── */

/* The `index`-th part of `all` things that `count` share. */
static uint64_t share(uint64_t all, uint64_t count, uint64_t index)
{
    return all / count + (index < all % count);
}

/* How large a range each thread binds; 0: none. */
static uint32_t local_ports(const struct request *request)
{
    uint64_t all = request->local_ports, ports = RANGE_MAX;

    if (all == UINT64_MAX)
        all = 2 * request->connections > LOCAL_PORTS_MIN ? LOCAL_PORTS_MAX : LOCAL_PORTS_MIN;
    if (all == 0)
        return 0;
    while (ports > RANGE_MIN && ports * request->threads > all)
        ports /= 2;
    return (uint32_t)ports;
}

/* `dealt`: the sessions of the workers before this one. */
static bool worker_open(struct worker *worker, const struct request *request,
                        const struct load *load, unsigned index, unsigned *dealt)
{
    struct client_options options = request->client;
    struct engine *engine = &worker->engine;

    assert(load->target_count && request->threads); /* main() has seen to it */
    engine->load = load;
    engine->stop = &stop;
    engine->sessions_max = (unsigned)share(request->connections, request->threads, index);
    engine->first_target = *dealt % load->target_count;
    *dealt += engine->sessions_max;
    engine->requests =
        request->requests ? share(request->requests, request->threads, index) : UINT64_MAX;
    engine->rate = (double)request->rate / (double)request->threads;
    options.connections = engine->sessions_max;
    options.local_ports = local_ports(request);
    options.events = engine_events;
    options.context = engine;
    engine->client =
        (strcmp(request->stack, "utcp") == 0 ? &client_utcp : &client_kernel)->open(&options);
    if (!engine->client)
        return false;
    if (engine_init(engine))
        return true;
    cli_error("%s", strerror(ENOMEM));
    engine->client->ops->close(engine->client);
    return false;
}

static void worker_close(struct worker *worker)
{
    engine_dispose(&worker->engine);
    worker->engine.client->ops->close(worker->engine.client);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;

    worker->error = engine_run(&worker->engine);
    if (worker->error)
        end_all();
    return NULL;
}

/* Signals are the main thread's, which is the first worker. */
static int run_all(void)
{
    int error = 0;

    for (unsigned i = 1; i < worker_count && !error; i++)
        error = thread_start(&workers[i].thread, worker_run, &workers[i]);
    if (error)
        end_all();
    else
        worker_run(&workers[0]);
    for (unsigned i = 0; i < worker_count; i++) {
        thread_join(&workers[i].thread);
        if (!error)
            error = workers[i].error;
    }
    return error;
}

/* ── The report ───────────────────────────────────────────────────────────────────────────────── */

struct report {
    double seconds;
    uint64_t completed, bytes, connections, failed, errors[LOAD_ERRORS];
    uint64_t unanswered, longest_wait_ns;
    struct histogram latency;
};

static void add_up(struct report *report)
{
    for (unsigned i = 0; i < worker_count; i++) {
        const struct engine *engine = &workers[i].engine;
        double seconds = (double)(engine->ended_ns - engine->measured_ns) * 1e-9;

        if (seconds > report->seconds)
            report->seconds = seconds;
        report->completed += engine->completed;
        report->bytes += engine->bytes;
        report->connections += engine->connections;
        report->unanswered += engine->unanswered;
        if (engine->longest_wait_ns > report->longest_wait_ns)
            report->longest_wait_ns = engine->longest_wait_ns;
        for (unsigned error = 0; error < LOAD_ERRORS; error++) {
            report->errors[error] += engine->errors[error];
            report->failed += engine->errors[error];
        }
        histogram_merge(&report->latency, &engine->latency);
    }
}

static double per_second(uint64_t count, const struct report *report)
{
    return report->seconds > 0 ? (double)count / report->seconds : 0;
}

static const struct {
    const char *name, *text;
    double percent;
} percentiles[] = {{"p50_us", "50 %", 50},
                   {"p90_us", "90 %", 90},
                   {"p99_us", "99 %", 99},
                   {"p999_us", "99.9 %", 99.9},
                   {"max_us", "most", 100}};

static double latency_us(const struct report *report, double percent)
{
    uint64_t ns =
        percent < 100 ? histogram_percentile(&report->latency, percent) : report->latency.most;

    return (double)ns / 1000;
}

static bool print_json(const struct request *request, const struct report *report)
{
    struct json json = json_begin(stdout, true);

    json_object(&json, NULL);
    json_string(&json, "url", request->urls[0]);
    json_number(&json, "urls", request->url_count);
    json_string(&json, "stack", request->stack);
    json_number(&json, "connections", request->connections);
    json_number(&json, "threads", request->threads);
    json_bool(&json, "keep_alive", request->keep_alive);
    json_number(&json, "rate", request->rate);
    json_real(&json, "seconds", report->seconds);
    json_number(&json, "requests", report->completed);
    json_number(&json, "connections_opened", report->connections);
    json_real(&json, "requests_per_second", per_second(report->completed, report));
    json_number(&json, "bytes", report->bytes);
    json_real(&json, "bytes_per_second", per_second(report->bytes, report));
    json_number(&json, "unanswered", report->unanswered);
    json_real(&json, "unanswered_longest_us", (double)report->longest_wait_ns / 1000);
    json_number(&json, "failed", report->failed);
    json_object(&json, "errors");
    for (unsigned error = 0; error < LOAD_ERRORS; error++)
        json_number(&json, load_error_name((enum load_error)error), report->errors[error]);
    json_end(&json);
    json_object(&json, "latency_us");
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
        json_real(&json, percentiles[i].name, latency_us(report, percentiles[i].percent));
    json_end(&json);
    json_end(&json);
    return json_finish(&json);
}

static bool print_text(const struct report *report)
{
    printf("%" PRIu64 " requests in %.2f s, %.0f requests/s, %.2f MB/s, %" PRIu64 " connections\n",
           report->completed, report->seconds, per_second(report->completed, report),
           per_second(report->bytes, report) / 1e6, report->connections);
    if (report->completed) {
        printf("latency");
        for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
            printf("%s %s %.0f us", i ? "," : "", percentiles[i].text,
                   latency_us(report, percentiles[i].percent));
        printf("\n");
    }
    for (unsigned error = 0; error < LOAD_ERRORS; error++) {
        if (report->errors[error])
            printf("failed: %" PRIu64 " %s\n", report->errors[error],
                   load_error_name((enum load_error)error));
    }
    /* Some are under way at each end. What has waited longer than any answer took is news. */
    if (report->unanswered && report->longest_wait_ns >= report->latency.most)
        printf("unanswered at the end: %" PRIu64 ", the longest for %.0f us\n", report->unanswered,
               (double)report->longest_wait_ns / 1000);
    return fflush(stdout) == 0;
}

/* ── The command line ─────────────────────────────────────────────────────────────────────────── */

static int load_with(const struct request *request, const struct load *load)
{
    struct report *report = calloc(1, sizeof(*report));
    int status = CLI_FAILURE, error;
    unsigned open = 0, dealt = 0;

    workers = calloc(request->threads, sizeof(*workers));
    if (!workers || !report) {
        cli_error("%s", strerror(ENOMEM));
        free(workers);
        free(report);
        return CLI_FAILURE;
    }
    while (open < request->threads && worker_open(&workers[open], request, load, open, &dealt))
        open++;
    if (open == request->threads) {
        worker_count = open;
        catch_signals();
        error = run_all();
        add_up(report);
        worker_count = 0; /* no signal finds what is being closed */
        if (error)
            cli_error("%s: %s", request->stack, strerror(-error));
        if ((request->json ? print_json(request, report) : print_text(report)) && !error &&
            report->completed && !report->failed)
            status = CLI_OK;
    }
    while (open)
        worker_close(&workers[--open]);
    free(workers);
    free(report);
    return status;
}

static void check(const struct request *request)
{
    if (request->threads > request->connections)
        cli_wrong_usage("--threads: more than there are connections");
    if (request->url_count > request->connections)
        cli_wrong_usage("more URLs than --connections");
}

static bool target_of(const char *text, const struct request *request, struct target *target)
{
    struct url url;
    const char *wrong = url_parse(text, &url);
    char *line = NULL;
    int size;

    if (wrong)
        cli_wrong_usage("%s: %s", text, wrong);
    size = asprintf(&line,
                    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: msload/%s\r\nAccept: */*\r\n%s\r\n",
                    url.path, url.authority, MULTISTACK_VERSION,
                    request->keep_alive ? "" : "Connection: close\r\n");
    if (size < 0)
        return false;
    *target = (struct target){.address = url.address,
                              .address_size = url.length,
                              .request = line,
                              .request_size = (size_t)size};
    return true;
}

static int run(const struct request *request)
{
    const bool endless = !request->duration_s && request->requests;
    struct target *targets = calloc(request->url_count, sizeof(*targets));
    struct load load = {
        .targets = targets,
        .keep_alive = request->keep_alive,
        .warm_up_us = request->warm_up_s * 1000000,
        .duration_us = endless ? UINT64_MAX
                               : (request->duration_s ? request->duration_s : DURATION_S) * 1000000,
        .timeout_us = request->timeout_s * 1000000,
    };
    int status = CLI_FAILURE;

    while (targets && load.target_count < request->url_count &&
           target_of(request->urls[load.target_count], request, &targets[load.target_count]))
        load.target_count++;
    if (load.target_count < request->url_count)
        cli_error("%s", strerror(ENOMEM));
    else if (allow_descriptors(request))
        status = load_with(request, &load);
    while (load.target_count)
        free((char *)targets[--load.target_count].request);
    free(targets);
    return status;
}

/* What the command line says; with the defaults. */
static struct request chosen = {.stack = "utcp",
                                .connections = 10,
                                .threads = 1,
                                .timeout_s = TIMEOUT_S,
                                .local_ports = UINT64_MAX};

static const struct cli_option table[] = {
    CLI_STACK_OPTION(&chosen.stack),
    {.name = "connections",
     .letter = 'c',
     .argument = "N",
     .help = "connections at the same time (10)",
     .kind = CLI_NUMBER,
     .value = &chosen.connections,
     .least = 1,
     .most = CONNECTIONS_MAX},
    {.name = "duration",
     .letter = 'd',
     .argument = "S",
     .help = "seconds to measure (10, or until --requests are made)",
     .kind = CLI_NUMBER,
     .value = &chosen.duration_s,
     .least = 1,
     .most = 86400},
    {.name = "warm-up",
     .argument = "S",
     .help = "seconds before that, which do not count (0)",
     .kind = CLI_NUMBER,
     .value = &chosen.warm_up_s,
     .least = 1,
     .most = 3600},
    {.name = "requests",
     .letter = 'n',
     .argument = "N",
     .help = "requests in all",
     .kind = CLI_NUMBER,
     .value = &chosen.requests,
     .least = 1,
     .most = 1000000000000},
    {.name = "rate",
     .letter = 'r',
     .argument = "N",
     .help = "open loop: requests/s that are due, whatever becomes of those before",
     .kind = CLI_NUMBER,
     .value = &chosen.rate,
     .least = 1,
     .most = 1000000000},
    {.name = "keep-alive",
     .letter = 'k',
     .help = "many requests on each connection",
     .kind = CLI_FLAG,
     .value = &chosen.keep_alive},
    {.name = "threads",
     .letter = 't',
     .argument = "N",
     .help = "threads, each with a stack of its own (1)",
     .kind = CLI_NUMBER,
     .value = &chosen.threads,
     .least = 1,
     .most = THREADS_MAX},
    {.name = "local-ports",
     .argument = "N",
     .help = "local ports in ranges that are bound once (4096); 0: bind them one by one",
     .kind = CLI_NUMBER,
     .value = &chosen.local_ports,
     .least = 0,
     .most = 65536},
    {.name = "timeout",
     .argument = "S",
     .help = "seconds that a request may take (10)",
     .kind = CLI_NUMBER,
     .value = &chosen.timeout_s,
     .least = 1,
     .most = 3600},
    CLI_CONGESTION_OPTION(&chosen.client.congestion),
    {.name = "json", .letter = 'j', .help = "print JSON", .kind = CLI_FLAG, .value = &chosen.json},
    CLI_CONTROL_OPTION(&chosen.client.control),
    {0}};

int main(int argc, char **argv)
{
    const struct cli_program program = {
        .name = "msload",
        .arguments = "[OPTIONS] URL [URL…]",
        .summary =
            "Loads HTTP servers, on a TCP of its own (UTCP) or on the kernel's, and measures.",
        .options = table};
    int first = cli_parse(&program, argc, argv);

    if (argc == first)
        cli_wrong_usage("the URL is missing");
    chosen.urls = argv + first;
    chosen.url_count = (unsigned)(argc - first);
    check(&chosen);
    return run(&chosen);
}
