/* SPDX-License-Identifier: BSD-2-Clause */
/* mshttpd: the command line, and the joint of servers and transports.
 *
 * Each thread has a server with a transport of its own: loop, stack, port, connections, files and
 * log. They share the addresses, as several mshttpd with --shared would, and nothing else. The first
 * runs in the main thread, which also hears the signals. */
#include "cli.h"
#include "runtime.h"
#include "server.h"
#include "utcp.h"
#include "work.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#define CONNECTIONS_MAX 65536

static struct {
    struct sockaddr_storage address;
    socklen_t size;
} listeners[TRANSPORT_LISTENERS_MAX];
static unsigned listener_count;

static atomic_bool stop;

#define THREADS_MAX 1024

struct service {
    struct server server;
    struct transport *transport; /* NULL: not open */
    pthread_t thread;
    bool has_thread;
    int error; /* that ended it */
};

static struct service *services; /* also for the signal handler: all are open before it is set */
static unsigned service_count;

static const char *add_listener(const char *text)
{
    const char *wrong;

    if (listener_count == TRANSPORT_LISTENERS_MAX)
        return "too many of them";
    wrong = cli_endpoint(text, &listeners[listener_count].address, &listeners[listener_count].size);
    if (!wrong)
        listener_count++;
    return wrong;
}

static void end_all(void)
{
    atomic_store(&stop, true);
    for (unsigned i = 0; i < service_count; i++)
        services[i].transport->ops->wake(services[i].transport);
}

static void on_signal(int number)
{
    (void)number;
    end_all();
}

static void catch_signals(void)
{
    struct sigaction end = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* A connection on the kernel's stack is a descriptor, an open file is one, too. */
static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void explain_listen(const char *address, int error)
{
    cli_error("--listen %s: %s", address, strerror(-error));
    switch (-error) {
    case EADDRINUSE: cli_hint("`ss -ltnp` and `multistack bindings` show who has that port"); break;
    case EACCES:
        cli_hint("ports below 1024 need CAP_NET_BIND_SERVICE: run as root, or choose a higher one");
        break;
    case EADDRNOTAVAIL: cli_hint("`ip address` shows the addresses of this host"); break;
    case EBUSY: cli_hint("another successor is just taking over; try again"); break;
    case ENOTCONN: cli_hint("the switch has just gone; try again"); break;
    case EXDEV: cli_hint("run it in the network namespace of the switch's NIC"); break;
    }
}

static bool listen_everywhere(struct transport *transport)
{
    char address[CLI_ENDPOINT_SIZE];

    for (unsigned i = 0; i < listener_count; i++) {
        const struct sockaddr *to = (const struct sockaddr *)&listeners[i].address;
        int error = transport->ops->listen(transport, to, listeners[i].size);

        if (error) {
            cli_endpoint_text(to, address);
            explain_listen(address, error);
            return false;
        }
    }
    return true;
}

static void say_serving(const char *root, const char *stack, unsigned threads)
{
    char address[CLI_ENDPOINT_SIZE], count[32] = "";

    if (threads > 1)
        snprintf(count, sizeof(count), ", %u threads", threads);
    for (unsigned i = 0; i < listener_count; i++) {
        cli_endpoint_text((const struct sockaddr *)&listeners[i].address, address);
        printf("mshttpd: serving %s on %s (%s%s)\n", root, address, stack, count);
    }
    fflush(stdout);
}

static bool service_open(struct service *service, const struct server_options *options,
                         const struct transport_ops *ops,
                         const struct transport_options *transport_options)
{
    const struct transport_handler handler = {.events = server_events,
                                              .handed_over = server_handed_over,
                                              .suspended = server_suspended,
                                              .context = &service->server};

    if (!server_init(&service->server, options))
        return false;
    service->transport = ops->open(transport_options, &handler);
    if (!service->transport)
        return false;
    service->server.transport = service->transport;
    service->server.ops = ops;
    return listen_everywhere(service->transport);
}

static void service_close(struct service *service)
{
    if (service->transport)
        service->transport->ops->close(service->transport);
    server_dispose(&service->server);
}

/* One that fails takes the others along: whoever started the program is to notice. */
static void *service_run(void *argument)
{
    struct service *service = argument;

    service->error = server_run(&service->server, &stop);
    if (service->error)
        end_all();
    return NULL;
}

/* Signals are the main thread's. False: there are not as many threads to be had. */
static bool start_threads(void)
{
    sigset_t all, before;
    int error = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; i < service_count && !error; i++) {
        error = pthread_create(&services[i].thread, NULL, service_run, &services[i]);
        services[i].has_thread = !error;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        cli_error("--threads %u: %s", service_count, strerror(error));
    return !error;
}

static int run_all(const char *stack)
{
    bool started = start_threads();
    int status = started ? CLI_OK : CLI_FAILURE;

    if (started)
        service_run(&services[0]);
    else
        end_all();
    for (unsigned i = 0; i < service_count; i++) {
        if (services[i].has_thread)
            pthread_join(services[i].thread, NULL);
        if (services[i].error) {
            cli_error("%s: %s", stack, strerror(-services[i].error));
            status = CLI_FAILURE;
        }
    }
    return status;
}

static int serve(unsigned threads, const struct server_options *options,
                 const struct transport_ops *ops, const char *stack,
                 const struct transport_options *transport_options)
{
    int status = CLI_FAILURE;
    unsigned open = 0;

    services = calloc(threads, sizeof(*services));
    if (!services) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_FAILURE;
    }
    while (open < threads && service_open(&services[open], options, ops, transport_options))
        open++;
    if (open == threads) {
        service_count = threads;
        say_serving(options->root, stack, threads);
        catch_signals();
        status = run_all(stack);
        service_count = 0; /* no signal finds what is being closed */
    } else {
        service_close(&services[open]);
    }
    for (unsigned i = 0; i < open; i++)
        service_close(&services[i]);
    free(services);
    return status;
}

static bool can_take_over(const struct transport_options *options, const char *stack)
{
    if (!options->takeover || strcmp(stack, "utcp") == 0)
        return true;
    cli_error("--takeover: the kernel's stack hands no listener over");
    cli_hint("`--shared` for both, and SIGTERM for the first, comes close");
    return false;
}

static uint32_t busy_poll_us(const char *text, const char *stack)
{
    uint64_t us = 0;

    if (!text)
        return 0;
    if (strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--busy-poll: of the kernel's stack, net.core.busy_poll decides");
    if (strcmp(text, "always") == 0)
        return MS_RUNTIME_POLL_ALWAYS;
    if (!cli_number(text, 0, 1000000, &us))
        cli_wrong_usage("--busy-poll %s: microseconds, 0 to 1000000, or always", text);
    return (uint32_t)us;
}

static uint32_t cookie_flags(const char *when, const char *stack)
{
    if (strcmp(when, "full") == 0)
        return 0;
    if (strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--syn-cookies: of the kernel's stack, net.ipv4.tcp_syncookies decides");
    return strcmp(when, "always") == 0 ? UTCP_ALWAYS_SYN_COOKIES : UTCP_NO_SYN_COOKIES;
}

/* Several threads share what they listen to, which has to be possible. */
static void check_threads(uint64_t threads, struct transport_options *options)
{
    if (threads == 1)
        return;
    if (options->takeover)
        cli_wrong_usage(
            "--takeover: is for one thread; with several, let both say --shared and end the "
            "first by SIGTERM");
    for (unsigned i = 0; i < listener_count; i++) {
        /* sin_port and sin6_port lie in the same place */
        if (((const struct sockaddr_in *)&listeners[i].address)->sin_port == 0)
            cli_wrong_usage("--listen: each thread would get a port number of its own for 0");
    }
    options->stays = !options->shared;
    options->shared = true;
}

int main(int argc, char **argv)
{
    static const char *const stacks[] = {"utcp", "kernel", NULL};
    static const char *const cookie_choices[] = {"full", "always", "never", NULL};
    const char *stack = "utcp", *cookies = "full", *busy_poll = NULL;
    struct server_options options = {0};
    struct transport_options transport_options = {0};
    uint64_t threads = 1, connections_max = CONNECTIONS_MAX, work_us = 0;
    const struct cli_option table[] = {
        {.name = "root",
         .argument = "DIR",
         .help = "folder whose files are served",
         .kind = CLI_STRING,
         .value = &options.root},
        {.name = "listen",
         .argument = "ADDR:PORT",
         .help = "where to listen, for example 0.0.0.0:80 or [::]:80; may be repeated",
         .kind = CLI_CALL,
         .call = add_listener},
        {.name = "stack",
         .argument = "utcp|kernel",
         .help = "whose TCP (utcp)",
         .kind = CLI_CHOICE,
         .value = &stack,
         .choices = stacks},
        {.name = "cc",
         .argument = "NAME",
         .help = "congestion control",
         .kind = CLI_STRING,
         .value = &transport_options.congestion},
        {.name = "syn-cookies",
         .argument = "WHEN",
         .help =
             "full, always or never: when the handshake keeps no state (full: when the queue is)",
         .kind = CLI_CHOICE,
         .value = &cookies,
         .choices = cookie_choices},
        {.name = "fast-open",
         .argument = "N",
         .help = "requests that come with the SYN (RFC 7413), from so many at once; 0: none (0)",
         .kind = CLI_NUMBER,
         .value = &transport_options.fast_open,
         .most = 65536},
        {.name = "threads",
         .argument = "N",
         .help = "threads that serve, each with a stack of its own (1)",
         .kind = CLI_NUMBER,
         .value = &threads,
         .least = 1,
         .most = THREADS_MAX},
        {.name = "max-connections",
         .argument = "N",
         .help = "connections served at once (65536)",
         .kind = CLI_NUMBER,
         .value = &connections_max,
         .least = 1,
         .most = 10000000},
        {.name = "access-log",
         .argument = "FILE",
         .help = "a line for each response; - is standard output",
         .kind = CLI_STRING,
         .value = &options.access_log},
        {.name = "busy-poll",
         .argument = "USEC|always",
         .help = "where it pays, poll so long before sleeping; always: never sleep (0)",
         .kind = CLI_STRING,
         .value = &busy_poll},
        {.name = "work",
         .argument = "USEC",
         .help = "compute so long for each request, as an application would (0)",
         .kind = CLI_NUMBER,
         .value = &work_us,
         .most = WORK_MOST},
        {.name = "takeover",
         .help = "succeed the mshttpd that listens there: it finishes what it has and ends",
         .kind = CLI_FLAG,
         .value = &transport_options.takeover},
        {.name = "shared",
         .help = "share the address with others that say so, too",
         .kind = CLI_FLAG,
         .value = &transport_options.shared},
        CLI_CONTROL_OPTION(&transport_options.control),
        {0}};
    const struct cli_program program = {
        .name = "mshttpd",
        .arguments = "--root DIR --listen ADDR:PORT [OPTIONS]",
        .summary = "Serves files by HTTP/1.1, on a TCP of its own (UTCP) or on the kernel's.",
        .options = table};

    if (cli_parse(&program, argc, argv) < argc)
        cli_wrong_usage("unexpected argument");
    if (!options.root)
        cli_wrong_usage("--root is missing");
    if (!listener_count)
        cli_wrong_usage("--listen is missing");
    if (!can_take_over(&transport_options, stack))
        return CLI_FAILURE;
    transport_options.busy_poll_us = busy_poll_us(busy_poll, stack);
    transport_options.stack_flags = cookie_flags(cookies, stack);
    check_threads(threads, &transport_options);
    if (getrandom(transport_options.fast_open_key, sizeof(transport_options.fast_open_key), 0) <
        0) {
        cli_error("no random key: %s", strerror(errno));
        return CLI_FAILURE;
    }
    allow_descriptors();
    options.work_rounds = work_rounds(work_us);
    options.connections_max = (unsigned)((connections_max + threads - 1) / threads);
    transport_options.connections_max = options.connections_max;
    return serve((unsigned)threads, &options,
                 strcmp(stack, "utcp") == 0 ? &transport_utcp : &transport_kernel, stack,
                 &transport_options);
}
