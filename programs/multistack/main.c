/* SPDX-License-Identifier: BSD-2-Clause */
/* multistack: what the operator asks the switch. */
#include "cli.h"
#include "multistack.h"

#include <string.h>

struct command {
    const char *name;
    int (*run)(const struct request *request);
    bool watches;
};

static const struct command commands[] = {
    {"status", status_command, false}, /* the first one is the default */
    {"ports", ports_command, false},   {"bindings", bindings_command, false},
    {"stats", stats_command, true},    {"connections", connections_command, false},
};

static struct request request = {.interval_s = 1};

static const struct cli_option options[] = {
    {"json", 'j', NULL, "print JSON", CLI_FLAG, &request.json},
    {"watch", 'w', NULL, "stats: print again and again, as rates", CLI_FLAG, &request.watch},
    {"interval", 'i', "SECONDS", "time between two prints of --watch (1)", CLI_NUMBER,
     &request.interval_s, .least = 1, .most = 86400},
    CLI_CONTROL_OPTION(&request.control),
    {0}};

static const struct cli_program program = {
    "multistack", "[OPTIONS] [COMMAND]", "Shows what the MultiStack switch is doing.", options,
    "Commands:\n"
    "  status      the switch, its NICs and their modes (without a command: this)\n"
    "  ports       open ports: which programs bring their own stack\n"
    "  bindings    protocols, addresses and ports that go to those stacks and not to the kernel's\n"
    "  stats       packets, bytes and drops by reason, of each NIC and port\n"
    "  connections TCP connections of those stacks, with what their processes know of each\n"
    "  capture     their packets, as pcapng (`multistack capture --help`)"};

int main(int argc, char **argv)
{
    const char *name;
    int first;

    /* has options of its own, some of them by the same letters */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "capture") == 0)
            return capture_command(argc, argv, i);
        if (strcmp(argv[i], "--control") == 0)
            i++;
        else if (argv[i][0] != '-')
            break;
    }
    first = cli_parse(&program, argc, argv);
    name = first < argc ? argv[first] : commands[0].name;
    if (argc - first > 1)
        cli_wrong_usage("%s: unexpected argument `%s`", name, argv[first + 1]);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (request.watch && !commands[i].watches)
            cli_wrong_usage("%s: --watch is for stats", name);
        return commands[i].run(&request);
    }
    cli_wrong_usage("%s: no such command", name);
}
