/* SPDX-License-Identifier: BSD-2-Clause */
/* See cli.h. getopt_long(3) does the parsing; this makes its tables, converts and checks. */
#include "cli.h"
#include "control_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 64
#define LONG_ONLY   0x100 /* getopt's values of options without a letter begin here */

const char *const cli_stacks[] = {"utcp", "kernel", NULL};

static const char *program_name = "multistack";

static void print_line(const char *before, const char *format, va_list arguments)
{
    char line[1024];

    /* one write for the line, so that lines of several processes do not mix */
    vsnprintf(line, sizeof(line), format, arguments);
    fprintf(stderr, "%s: %s%s\n", program_name, before, line);
}

void cli_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

void cli_hint(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("hint: ", format, arguments);
    va_end(arguments);
}

void cli_no_such_congestion(const char *name, const char *(*name_of)(unsigned index))
{
    char known[256] = "";

    for (unsigned i = 0; name_of(i); i++) {
        size_t used = strlen(known);

        snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", name_of(i));
    }
    cli_error("--cc %s: no such congestion control", name);
    cli_hint("there are %s", known);
}

_Noreturn void cli_wrong_usage(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
    cli_hint("`%s --help` shows what it takes", program_name);
    exit(CLI_USAGE);
}

void cli_switch_error(const char *control, int error)
{
    const char *path = control ? control : secure_getenv(CONTROL_PATH_VARIABLE);
    bool named = path && *path;

    if (!named)
        path = CONTROL_PATH_DEFAULT;
    cli_error("%s: %s", path, strerror(-error));
    switch (-error) {
    case ENOENT:
    case ECONNREFUSED:
        cli_hint("the switch is not running there; start it with `multistackd --nic DEV%s%s`",
                 named ? " --control " : "", named ? path : "");
        break;
    case EACCES:
    case EPERM:
        cli_hint("only root and members of the switch's group may use it: `adduser USER "
                 "multistack`, then log in again");
        break;
    case EPROTONOSUPPORT:
        cli_hint("the switch speaks another version of the protocol than this program (%s): "
                 "restart multistackd after an upgrade",
                 MULTISTACK_VERSION);
        break;
    case EPROTO: cli_hint("what answers there does not speak as a MultiStack switch does"); break;
    case ENOSPC: cli_hint("the switch has as many ports as it may; `multistack ports`"); break;
    case ECONNRESET:
    case EPIPE:
        cli_hint("the switch closed the connection: it is being restarted, or has too many");
        break;
    case ETIMEDOUT: cli_hint("the switch does not answer; is multistackd stopped?"); break;
    }
}

/* ── values ── */

bool cli_number(const char *text, uint64_t least, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *text - '0', &value))
            return false;
    }
    if (value < least || value > most)
        return false;
    *number = value;
    return true;
}

const char *cli_endpoint(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN] = "";
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool brackets = size >= 2 && text[0] == '[' && colon[-1] == ']';
    uint64_t port;

    if (!colon)
        return "no port: ADDR:PORT is wanted";
    if (!cli_number(colon + 1, 0, 65535, &port))
        return "the port is not a number of 0 to 65535";
    if (brackets) {
        text++;
        size -= 2;
    }
    if (size >= sizeof(host))
        return "not an IP address";
    memcpy(host, text, size);
    memset(address, 0, sizeof(*address));
    if (brackets) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *length = sizeof(*in6);
        return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? NULL : "not an IPv6 address";
    }
    if (strchr(host, ':'))
        return "an IPv6 address needs brackets: [ADDR]:PORT";

    struct sockaddr_in *in = (struct sockaddr_in *)address;

    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    *length = sizeof(*in);
    if (size && inet_pton(AF_INET, host, &in->sin_addr) != 1)
        return "not an IP address (names are not looked up)";
    return NULL;
}

void cli_say_suspended(const struct sockaddr *address, int error)
{
    char text[CLI_ENDPOINT_SIZE];

    cli_endpoint_text(address, text);
    if (!error)
        printf("%s: %s is served again\n", program_name, text);
    else if (error == -EADDRNOTAVAIL)
        printf("%s: %s is suspended: the address is not this host's any more\n", program_name,
               text);
    else
        printf("%s: %s is suspended: the switch refuses it for now: %s\n", program_name, text,
               strerror(-error));
    fflush(stdout);
}

const char *cli_endpoint_text(const struct sockaddr *address, char text[CLI_ENDPOINT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, CLI_ENDPOINT_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, CLI_ENDPOINT_SIZE, "%s:%u", host, ntohs(in->sin_port));
    }
    return text;
}

/* ── options ── */

static void print_option(const struct cli_option *option)
{
    char left[64];

    snprintf(left, sizeof(left), "%c%c%s --%s%s%s", option->letter ? '-' : ' ',
             option->letter ? option->letter : ' ', option->letter ? "," : " ", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
    printf("  %-28s%s%s\n", left, strlen(left) >= 28 ? "\n                              " : "",
           option->help);
}

static void print_help(const struct cli_program *program)
{
    const char *arguments = program->arguments + (*program->arguments == '+');

    printf("Usage: %s %s\n\n%s\n\nOptions:\n", program->name, arguments, program->summary);
    for (const struct cli_option *option = program->options; option->name; option++)
        print_option(option);
    printf("  %-28s%s\n  %-28s%s\n", "-h, --help", "show this", "    --version",
           "show the version");
    if (program->more)
        printf("\n%s\n", program->more);
}

static void take_choice(const struct cli_option *option, const char *argument)
{
    char all[256] = "";

    for (const char *const *choice = option->choices; *choice; choice++) {
        if (strcmp(*choice, argument) == 0) {
            *(const char **)option->value = *choice;
            return;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? ", " : "", *choice);
    }
    cli_wrong_usage("--%s %s: must be one of %s", option->name, argument, all);
}

static void take_option(const struct cli_option *option, const char *argument)
{
    uint64_t most = option->most ? option->most : UINT64_MAX;
    const char *wrong;

    switch (option->kind) {
    case CLI_FLAG: *(bool *)option->value = true; break;
    case CLI_STRING: *(const char **)option->value = argument; break;
    case CLI_NUMBER:
        if (cli_number(argument, option->least, most, option->value))
            break;
        if (option->most)
            cli_wrong_usage("--%s %s: must be a number of %ju to %ju", option->name, argument,
                            (uintmax_t)option->least, (uintmax_t)option->most);
        cli_wrong_usage("--%s %s: must be a number of at least %ju", option->name, argument,
                        (uintmax_t)option->least);
    case CLI_CHOICE: take_choice(option, argument); break;
    case CLI_CALL:
        wrong = option->call(argument);
        if (wrong)
            cli_wrong_usage("--%s %s: %s", option->name, argument ? argument : "", wrong);
        break;
    }
}

int cli_parse(const struct cli_program *program, int argc, char **argv)
{
    enum { HELP = LONG_ONLY + OPTIONS_MAX, VERSION };
    struct option table[OPTIONS_MAX + 3] = {0};
    char letters[2 * OPTIONS_MAX + 4] = "";
    char *letter = letters;
    int count = 0, found;

    program_name = program->name;
    if (*program->arguments == '+')
        *letter++ = '+';
    *letter++ = 'h';
    for (; count < OPTIONS_MAX && program->options[count].name; count++) {
        const struct cli_option *option = &program->options[count];

        table[count] =
            (struct option){.name = option->name,
                            .has_arg = option->argument ? required_argument : no_argument,
                            .val = LONG_ONLY + count};
        if (option->letter) {
            *letter++ = option->letter;
            if (option->argument)
                *letter++ = ':';
        }
    }
    table[count] = (struct option){.name = "help", .val = HELP};
    table[count + 1] = (struct option){.name = "version", .val = VERSION};
    optind = 0; /* glibc: begin anew, also for the options of a subcommand */
    while ((found = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        int index = found - LONG_ONLY;

        if (found == 'h' || found == HELP) {
            print_help(program);
            exit(fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE);
        }
        if (found == VERSION) {
            printf("%s (MultiStack) %s\n", program->name, MULTISTACK_VERSION);
            exit(fflush(stdout) == 0 ? CLI_OK : CLI_FAILURE);
        }
        if (found == '?') {
            cli_hint("`%s --help` shows what it takes", program_name);
            exit(CLI_USAGE);
        }
        for (int i = 0; found < LONG_ONLY && i < count; i++)
            if (program->options[i].letter == found)
                index = i;
        take_option(&program->options[index], optarg);
    }
    return optind;
}
