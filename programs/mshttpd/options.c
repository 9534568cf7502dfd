/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli.h"
#include "runtime.h"
#include "utcp.h"
#include "work.h"

#define THREADS_MAX 1024
#define TIMEOUT_MAX 86400 /* s */

/* What the table below fills in; with the defaults. */
static struct options chosen = {
    .server = {.header_timeout = 10, .body_timeout = 60, .idle_timeout = 60, .write_timeout = 30}};
static const char *stack = "utcp", *cookies = "full", *busy_poll;
static uint64_t threads = 1, connections_max = 65536, work_us, wake_packets, wake_delay_us;
static uint64_t memory_mib, stall_seconds, challenges; /* 0: UTCP's defaults */
static const char *nic_cookies = "auto";

static const char *add_listener(const char *text)
{
    struct listener *listener = &chosen.listeners[chosen.listener_count];
    const char *wrong;

    if (chosen.listener_count == TRANSPORT_LISTENERS_MAX)
        return "too many of them";
    wrong = cli_endpoint(text, &listener->address, &listener->size);
    if (!wrong)
        chosen.listener_count++;
    return wrong;
}

static const char *const cookie_choices[] = {"full", "always", "never", NULL};
static const char *const nic_cookie_choices[] = {"auto", "full", "always", "never", NULL};

static const struct cli_option table[] = {
    {.name = "root",
     .argument = "DIR",
     .help = "folder whose files are served",
     .kind = CLI_STRING,
     .value = &chosen.server.root},
    {.name = "listen",
     .argument = "ADDR:PORT",
     .help = "where to listen, for example 0.0.0.0:80 or [::]:80; may be repeated",
     .kind = CLI_CALL,
     .call = add_listener},
    CLI_STACK_OPTION(&stack),
    CLI_CONGESTION_OPTION(&chosen.transport.congestion),
    {.name = "syn-cookies",
     .argument = "WHEN",
     .help = "full, always or never: when the handshake keeps no state (full: when the queue is)",
     .kind = CLI_CHOICE,
     .value = &cookies,
     .choices = cookie_choices},
    {.name = "nic-cookies",
     .argument = "WHEN",
     .help = "auto, full, always or never: when the NIC answers SYNs (auto: those that cost too "
             "much; full: all while the queue is)",
     .kind = CLI_CHOICE,
     .value = &nic_cookies,
     .choices = nic_cookie_choices},
    {.name = "fast-open",
     .argument = "N",
     .help = "requests that come with the SYN (RFC 7413), from so many at once; 0: none (0)",
     .kind = CLI_NUMBER,
     .value = &chosen.transport.fast_open,
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
    {.name = "max-memory",
     .argument = "MIB",
     .help = "for the buffers of all connections (1024)",
     .kind = CLI_NUMBER,
     .value = &memory_mib,
     .least = 1,
     .most = 1048576},
    {.name = "max-stall",
     .argument = "SECONDS",
     .help = "that a client may keep its window closed; 0: as long as there is memory (0)",
     .kind = CLI_NUMBER,
     .value = &stall_seconds,
     .most = TIMEOUT_MAX},
    {.name = "max-challenges",
     .argument = "N",
     .help = "challenge ACKs (RFC 5961) a second, of all connections; 0: no limit (0)",
     .kind = CLI_NUMBER,
     .value = &challenges,
     .most = 1000000},
    {.name = "header-timeout",
     .argument = "SECONDS",
     .help = "for the head of a request to come whole (10)",
     .kind = CLI_NUMBER,
     .value = &chosen.server.header_timeout,
     .least = 1,
     .most = TIMEOUT_MAX},
    {.name = "body-timeout",
     .argument = "SECONDS",
     .help = "for its body (60)",
     .kind = CLI_NUMBER,
     .value = &chosen.server.body_timeout,
     .least = 1,
     .most = TIMEOUT_MAX},
    {.name = "idle-timeout",
     .argument = "SECONDS",
     .help = "that a connection is kept for its next request (60)",
     .kind = CLI_NUMBER,
     .value = &chosen.server.idle_timeout,
     .least = 1,
     .most = TIMEOUT_MAX},
    {.name = "write-timeout",
     .argument = "SECONDS",
     .help = "in which a client has to take something of its response (30)",
     .kind = CLI_NUMBER,
     .value = &chosen.server.write_timeout,
     .least = 1,
     .most = TIMEOUT_MAX},
    {.name = "access-log",
     .argument = "FILE",
     .help = "a line for each response; - is standard output",
     .kind = CLI_STRING,
     .value = &chosen.server.access_log},
    {.name = "busy-poll",
     .argument = "USEC|always",
     .help = "where it pays, poll so long before sleeping; always: never sleep (0)",
     .kind = CLI_STRING,
     .value = &busy_poll},
    {.name = "wake-delay",
     .argument = "USEC",
     .help = "when asleep, be woken so long after a packet, not at once (0)",
     .kind = CLI_NUMBER,
     .value = &wake_delay_us,
     .most = 100000},
    {.name = "wake-packets",
     .argument = "N",
     .help = "with --wake-delay: be woken earlier when there are so many (0: no)",
     .kind = CLI_NUMBER,
     .value = &wake_packets,
     .most = UINT32_MAX},
    {.name = "work",
     .argument = "USEC",
     .help = "compute so long for each request, as an application would (0)",
     .kind = CLI_NUMBER,
     .value = &work_us,
     .most = WORK_MOST},
    {.name = "takeover",
     .help = "succeed the mshttpd that listens there: it finishes what it has and ends",
     .kind = CLI_FLAG,
     .value = &chosen.transport.takeover},
    {.name = "shared",
     .help = "share the address with others that say so, too",
     .kind = CLI_FLAG,
     .value = &chosen.transport.shared},
    CLI_CONTROL_OPTION(&chosen.transport.control),
    {0}};

static void check_takeover(void)
{
    if (!chosen.transport.takeover || strcmp(stack, "utcp") == 0)
        return;
    cli_error("--takeover: the kernel's stack hands no listener over");
    cli_hint("`--shared` for both, and SIGTERM for the first, comes close");
    exit(CLI_FAILURE);
}

static uint32_t busy_poll_us(void)
{
    uint64_t us = 0;

    if (!busy_poll)
        return 0;
    if (strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--busy-poll: of the kernel's stack, net.core.busy_poll decides");
    if (strcmp(busy_poll, "always") == 0)
        return MS_RUNTIME_POLL_ALWAYS;
    if (!cli_number(busy_poll, 0, 1000000, &us))
        cli_wrong_usage("--busy-poll %s: microseconds, 0 to 1000000, or always", busy_poll);
    return (uint32_t)us;
}

static void set_wake(struct transport_options *options)
{
    if (wake_delay_us && strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--wake-delay: of the kernel's stack, `ethtool -C` decides for the device");
    if (wake_packets && !wake_delay_us)
        cli_wrong_usage("--wake-packets: --wake-delay must say how long the first may wait");
    options->wake_packets = (uint32_t)wake_packets;
    options->wake_delay_us = (uint32_t)wake_delay_us;
}

static uint32_t cookie_flags(const char *when)
{
    if (strcmp(when, "full") == 0)
        return 0;
    if (strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--syn-cookies: of the kernel's stack, net.ipv4.tcp_syncookies decides");
    return strcmp(when, "always") == 0 ? UTCP_ALWAYS_SYN_COOKIES : UTCP_NO_SYN_COOKIES;
}

/* Memory and challenge ACKs are divided by the threads, each of which has a stack. */
static void take_limits(struct transport_options *options)
{
    if (strcmp(stack, "kernel") == 0 && memory_mib)
        cli_wrong_usage("--max-memory: of the kernel's stack, net.ipv4.tcp_mem decides");
    if (strcmp(stack, "kernel") == 0 && (stall_seconds || challenges))
        cli_wrong_usage("--max-stall, --max-challenges: the kernel's stack has its own settings");
    options->memory_max = ((memory_mib << 20) + threads - 1) / threads;
    options->stall_max_us = stall_seconds * 1000000;
    options->challenge_acks_max = (uint32_t)((challenges + threads - 1) / threads);
}

static int nic_cookies_mode(const char *when)
{
    if (strcmp(when, "auto") == 0)
        return RUNTIME_NIC_COOKIES_AUTO;
    if (strcmp(stack, "kernel") == 0)
        cli_wrong_usage("--nic-cookies: the switch has nothing to do with the kernel's stack");
    if (strcmp(when, "full") == 0)
        return RUNTIME_NIC_COOKIES_WHEN_FULL;
    return strcmp(when, "always") == 0 ? RUNTIME_NIC_COOKIES_ALWAYS : RUNTIME_NIC_COOKIES_NEVER;
}

/* Several threads share what they listen to, which has to be possible. */
static void check_threads(struct transport_options *options)
{
    if (threads == 1)
        return;
    if (options->takeover)
        cli_wrong_usage(
            "--takeover: is for one thread; with several, let both say --shared and end the "
            "first by SIGTERM");
    for (unsigned i = 0; i < chosen.listener_count; i++) {
        /* sin_port and sin6_port lie in the same place */
        if (((const struct sockaddr_in *)&chosen.listeners[i].address)->sin_port == 0)
            cli_wrong_usage("--listen: each thread would get a port number of its own for 0");
    }
    options->stays = !options->shared;
    options->shared = true;
}

const struct options *options_parse(int argc, char **argv)
{
    const struct cli_program program = {
        .name = "mshttpd",
        .arguments = "--root DIR --listen ADDR:PORT [OPTIONS]",
        .summary = "Serves files by HTTP/1.1, on a TCP of its own (UTCP) or on the kernel's.",
        .options = table};

    int first = cli_parse(&program, argc, argv);

    if (first < argc)
        cli_wrong_usage("unexpected argument `%s`", argv[first]);
    if (!chosen.server.root)
        cli_wrong_usage("--root is missing");
    if (!chosen.listener_count)
        cli_wrong_usage("--listen is missing");
    check_takeover();
    chosen.transport.busy_poll_us = busy_poll_us();
    set_wake(&chosen.transport);
    chosen.transport.stack_flags = cookie_flags(cookies);
    take_limits(&chosen.transport);
    check_threads(&chosen.transport);
    chosen.transport.nic_cookies = nic_cookies_mode(nic_cookies);
    if (getrandom(chosen.transport.fast_open_key, sizeof(chosen.transport.fast_open_key), 0) < 0) {
        cli_error("no random key: %s", strerror(errno));
        exit(CLI_FAILURE);
    }
    chosen.stack = stack;
    chosen.server.work_rounds = work_rounds(work_us);
    chosen.threads = (unsigned)threads;
    chosen.server.connections_max = (unsigned)((connections_max + threads - 1) / threads);
    chosen.transport.connections_max = chosen.server.connections_max;
    return &chosen;
}
