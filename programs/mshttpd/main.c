/* SPDX-License-Identifier: BSD-2-Clause */
/* mshttpd: the joint of servers and transports.
 *
 * Each thread has a server with a transport of its own: loop, stack, port, connections, files and
 * log. They share the addresses, as several mshttpd with --shared would, and nothing else. The first
 * runs in the main thread, which also hears the signals. */
#include "cli.h"
#include "options.h"
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static atomic_bool stop;

struct service {
    struct server server;
    struct transport *transport; /* NULL: not open */
    struct program_thread thread;
    int error; /* that ended it */
};

static struct service *services; /* also for the signal handler: all are open before it is set */
static unsigned service_count;

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

static bool listen_everywhere(struct transport *transport, const struct options *options)
{
    char address[CLI_ENDPOINT_SIZE];

    for (unsigned i = 0; i < options->listener_count; i++) {
        const struct sockaddr *to = (const struct sockaddr *)&options->listeners[i].address;
        int error = transport->ops->listen(transport, to, options->listeners[i].size);

        if (error) {
            cli_endpoint_text(to, address);
            explain_listen(address, error);
            return false;
        }
    }
    return true;
}

static void say_serving(const struct options *options)
{
    char address[CLI_ENDPOINT_SIZE], count[32] = "";

    if (options->threads > 1)
        snprintf(count, sizeof(count), ", %u threads", options->threads);
    for (unsigned i = 0; i < options->listener_count; i++) {
        cli_endpoint_text((const struct sockaddr *)&options->listeners[i].address, address);
        printf("mshttpd: serving %s on %s (%s%s)\n", options->server.root, address, options->stack,
               count);
    }
    fflush(stdout);
}

static bool service_open(struct service *service, const struct options *options)
{
    const struct transport_ops *ops =
        strcmp(options->stack, "utcp") == 0 ? &transport_utcp : &transport_kernel;
    const struct transport_handler handler = {.events = server_events,
                                              .handed_over = server_handed_over,
                                              .suspended = server_suspended,
                                              .guarded = server_guarded,
                                              .context = &service->server};

    if (!server_init(&service->server, &options->server))
        return false;
    service->transport = ops->open(&options->transport, &handler);
    if (!service->transport)
        return false;
    service->server.transport = service->transport;
    service->server.ops = ops;
    return listen_everywhere(service->transport, options);
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
    int error = 0;

    for (unsigned i = 1; i < service_count && !error; i++)
        error = thread_start(&services[i].thread, service_run, &services[i]);
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
        thread_join(&services[i].thread);
        if (services[i].error) {
            cli_error("%s: %s", stack, strerror(-services[i].error));
            status = CLI_FAILURE;
        }
    }
    return status;
}

static int serve(const struct options *options)
{
    int status = CLI_FAILURE;
    unsigned open = 0;

    services = calloc(options->threads, sizeof(*services));
    if (!services) {
        cli_error("%s", strerror(ENOMEM));
        return CLI_FAILURE;
    }
    while (open < options->threads && service_open(&services[open], options))
        open++;
    if (open == options->threads) {
        service_count = open;
        say_serving(options);
        catch_signals();
        status = run_all(options->stack);
        service_count = 0; /* no signal finds what is being closed */
    } else {
        service_close(&services[open]);
    }
    for (unsigned i = 0; i < open; i++)
        service_close(&services[i]);
    free(services);
    return status;
}

int main(int argc, char **argv)
{
    const struct options *options = options_parse(argc, argv);

    allow_descriptors();
    return serve(options);
}
