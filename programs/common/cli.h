/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of all our programs: options as a table, --help and --version from it, and
 * errors as `program: what: why` with a hint (contract.md).
 *
 *   static const struct cli_option options[] = {
 *       {"listen", 'l', "ADDR:PORT", "where to answer", CLI_STRING, &listen},
 *       {"threads", 't', "N", "worker threads", CLI_NUMBER, &threads, .least = 1, .most = 16},
 *       {"json", 'j', NULL, "print JSON", CLI_FLAG, &json},
 *       CLI_CONTROL_OPTION(&control), {0}};
 *   static const struct cli_program program = {"name", "[OPTIONS]", "What it does.", options};
 *
 *   int first = cli_parse(&program, argc, argv);      argv[first] is the first operand
 *
 * Exit status: CLI_OK, CLI_FAILURE, CLI_USAGE. */
#ifndef MULTISTACK_CLI_H
#define MULTISTACK_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define CLI_OK      0
#define CLI_FAILURE 1
#define CLI_USAGE   2

enum cli_kind {
    CLI_FLAG = 1, /* bool *: set to true */
    CLI_STRING,   /* const char **: points into argv */
    CLI_NUMBER,   /* uint64_t *: decimal, between `least` and `most` (0: no limit) */
    CLI_CHOICE,   /* const char **: one of `choices` */
    CLI_CALL,     /* `call` gets the argument; NULL, or why it is wrong */
};

struct cli_option {
    const char *name;     /* long name, without dashes; NULL ends the table */
    char letter;          /* or 0 */
    const char *argument; /* its name in the help; NULL: it takes none */
    const char *help;
    enum cli_kind kind;
    void *value;
    uint64_t least, most;
    const char *const *choices; /* ends with NULL */
    const char *(*call)(const char *argument);
};

#define CLI_CONTROL_OPTION(variable)                                                               \
    {                                                                                              \
        .name = "control", .argument = "PATH",                                                     \
        .help = "control socket of the switch ($MULTISTACK_CONTROL)", .kind = CLI_STRING,          \
        .value = (variable)                                                                        \
    }

/* Options of the programs that bring a TCP: whose ("utcp" or "kernel"), and how it controls congestion. */
extern const char *const cli_stacks[];

#define CLI_STACK_OPTION(variable)                                                                 \
    {                                                                                              \
        .name = "stack", .argument = "utcp|kernel", .help = "whose TCP (utcp)",                    \
        .kind = CLI_CHOICE, .value = (variable), .choices = cli_stacks                             \
    }

#define CLI_CONGESTION_OPTION(variable)                                                            \
    {                                                                                              \
        .name = "cc", .argument = "NAME", .help = "congestion control, by the stack's own name",   \
        .kind = CLI_STRING, .value = (variable)                                                    \
    }

struct cli_program {
    const char *name;
    const char *arguments; /* behind the name in the usage line */
    const char *summary;   /* what it does: a line or a few */
    const struct cli_option *options;
    const char *more; /* printed below the options; or NULL */
};

/* Parses options up to the first operand that begins no option, or to `--`. Prints and ends the
 * process for --help and --version (CLI_OK) and for wrong usage (CLI_USAGE). Returns the index of
 * the first operand, argc when there is none. Options may stand behind operands too, unless
 * `arguments` begins with '+' (which is not printed): then the first operand ends the options, as a
 * program with subcommands needs it. */
int cli_parse(const struct cli_program *program, int argc, char **argv);

/* Prints `program: …`. Names the program as cli_parse() knows it. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A second line that says what to do about it. */
void cli_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, then CLI_USAGE with a pointer to --help. */
_Noreturn void cli_wrong_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why the switch at `control` (NULL: the default) could not be used, with a hint. `error`:
 * negative errno, as ms_port_open() gives it. */
void cli_switch_error(const char *control, int error);

/* Says that there is no congestion control `name`, and which there are: `name_of` is
 * utcp_congestion_name(). */
void cli_no_such_congestion(const char *name, const char *(*name_of)(unsigned index));

/* A decimal number between `least` and `most`, nothing else. */
bool cli_number(const char *text, uint64_t least, uint64_t most, uint64_t *number);

/* "ADDR:PORT", "[ADDR6]:PORT" or ":PORT" (the IPv4 wildcard); numeric only. NULL, or why it is
 * wrong. */
const char *cli_endpoint(const char *text, struct sockaddr_storage *address, socklen_t *length);

/* "10.0.0.1:80" or "[fd00::1]:80"; returns `text`. */
#define CLI_ENDPOINT_SIZE 64
/* Says in one line on standard output that nothing comes to a server's address for now, because of
 * `error` (a negative errno: MS_EVENT_SUSPENDED), or (0) that it does again. */
void cli_say_suspended(const struct sockaddr *address, int error);
const char *cli_endpoint_text(const struct sockaddr *address, char text[CLI_ENDPOINT_SIZE]);

#endif
