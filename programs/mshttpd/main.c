/* SPDX-License-Identifier: BSD-2-Clause */
/* mshttpd: the command line, and the joint of server and transport. */
#include "cli.h"
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CONNECTIONS_MAX 65536

static struct {
    struct sockaddr_storage address;
    socklen_t size;
} listeners[TRANSPORT_LISTENERS_MAX];
static unsigned listener_count;

static volatile sig_atomic_t stop;
static struct transport *transport; /* for the signal handler */

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

static void on_signal(int number)
{
    (void)number;
    stop = 1;
    transport->ops->wake(transport);
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

static bool listen_everywhere(const char *root, const char *stack)
{
    char address[CLI_ENDPOINT_SIZE];

    for (unsigned i = 0; i < listener_count; i++) {
        const struct sockaddr *to = (const struct sockaddr *)&listeners[i].address;
        int error = transport->ops->listen(transport, to, listeners[i].size);

        cli_endpoint_text(to, address);
        if (error) {
            explain_listen(address, error);
            return false;
        }
        printf("mshttpd: serving %s on %s (%s)\n", root, address, stack);
    }
    fflush(stdout);
    return true;
}

static int serve(struct server *server, const struct server_options *options,
                 const struct transport_ops *ops, const char *stack,
                 const struct transport_options *transport_options)
{
    const struct transport_handler handler = {.events = server_events,
                                              .handed_over = server_handed_over,
                                              .suspended = server_suspended,
                                              .context = server};
    int error;

    if (!server_init(server, options))
        return CLI_FAILURE;
    transport = ops->open(transport_options, &handler);
    if (!transport)
        return CLI_FAILURE;
    server->transport = transport;
    server->ops = ops;
    if (!listen_everywhere(options->root, stack))
        return CLI_FAILURE;
    catch_signals();
    error = server_run(server, &stop);
    if (error)
        cli_error("%s: %s", stack, strerror(-error));
    return error ? CLI_FAILURE : CLI_OK;
}

int main(int argc, char **argv)
{
    static const char *const stacks[] = {"utcp", "kernel", NULL};
    const char *stack = "utcp";
    struct server_options options = {0};
    struct transport_options transport_options = {0};
    uint64_t threads = 1, connections_max = CONNECTIONS_MAX;
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
        {.name = "threads",
         .argument = "N",
         .help = "threads that serve (1)",
         .kind = CLI_NUMBER,
         .value = &threads,
         .least = 1,
         .most = 1024},
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
    struct server *server;
    int status;

    if (cli_parse(&program, argc, argv) < argc)
        cli_wrong_usage("unexpected argument");
    if (!options.root)
        cli_wrong_usage("--root is missing");
    if (!listener_count)
        cli_wrong_usage("--listen is missing");
    if (transport_options.takeover && strcmp(stack, "kernel") == 0) {
        cli_error("--takeover: the kernel's stack hands no listener over");
        cli_hint("`--shared` for both, and SIGTERM for the first, comes close");
        return CLI_FAILURE;
    }
    if (threads > 1) {
        cli_error("--threads %ju: only one thread is supported", (uintmax_t)threads);
        cli_hint("start several mshttpd, each with a port of its own");
        return CLI_FAILURE;
    }
    allow_descriptors();
    options.connections_max = (unsigned)connections_max;
    transport_options.connections_max = options.connections_max;
    server = calloc(1, sizeof(*server));
    if (!server) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_FAILURE;
    }
    status =
        serve(server, &options, strcmp(stack, "utcp") == 0 ? &transport_utcp : &transport_kernel,
              stack, &transport_options);
    if (transport)
        transport->ops->close(transport);
    server_dispose(server);
    free(server);
    return status;
}
