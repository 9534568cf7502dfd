/* SPDX-License-Identifier: BSD-2-Clause */
/* multistack: what the operator asks the switch. */
#include "cli.h"
#include "multistack.h"

#include <string.h>

struct command {
    const char *name;
    int (*run)(const struct request *request);
    bool watches;
    bool takes_operands;
};

static const struct command commands[] = {
    {"status", status_command, false}, /* the first one is the default */
    {"ports", ports_command, false},       {"bindings", bindings_command, false},
    {"stats", stats_command, true},        {"connections", connections_command, false},
    {"guard", guard_command, false, true},
};

static struct request request = {.interval_s = 1};

static const struct cli_option options[] = {
    {"json", 'j', NULL, "print JSON", CLI_FLAG, &request.json},
    {"watch", 'w', NULL, "stats: print again and again, as rates", CLI_FLAG, &request.watch},
    {"interval", 'i', "SECONDS", "time between two prints of --watch (1)", CLI_NUMBER,
     &request.interval_s, .least = 1, .most = 86400},
    {"binding", 'b', "ID", "guard: which binding: its number, ADDR:PORT or udp:ADDR:PORT",
     CLI_STRING, &request.binding},
    {"all", 'a', NULL, "guard: rules for all bindings", CLI_FLAG, &request.all},
    {"for", 'f', "SECONDS", "guard: until a rule ends by itself (never)", CLI_NUMBER,
     &request.for_s, .least = 1, .most = CONTROL_GUARD_DURATION_MAX / 1000000000},
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
    "  capture     their packets, as pcapng (`multistack capture --help`)\n"
    "  guard       rules that drop packets for those stacks at the NIC, and what they dropped:\n"
    "              guard [list]\n"
    "              guard block|allow PREFIX ... | strict | limit syn-source|syn|connections "
    "RATE[/BURST]\n"
    "              guard syn-cookies-on | syn-cookies-off\n"
    "              guard remove block|allow PREFIX ... | strict | limit "
    "syn-source|syn|connections\n"
    "              guard remove syn-cookies-on | syn-cookies-off\n"
    "              guard flush"};

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
    if (first < argc) {
        request.operands = argv + first + 1;
        request.operand_count = (size_t)(argc - first - 1);
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (request.watch && !commands[i].watches)
            cli_wrong_usage("%s: --watch is for stats", name);
        if (request.operand_count && !commands[i].takes_operands)
            cli_wrong_usage("%s: unexpected argument `%s`", name, request.operands[0]);
        if ((request.binding || request.all || request.for_s) && !commands[i].takes_operands)
            cli_wrong_usage("%s: --binding, --all and --for are for guard", name);
        return commands[i].run(&request);
    }
    cli_wrong_usage("%s: no such command", name);
}
