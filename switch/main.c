/* SPDX-License-Identifier: BSD-2-Clause */
/* multistackd: its command line (contract.md, doc/man/multistackd.8.scd). */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "keeper.h"
#include "log.h"

#define EXIT_USAGE     2
#define OPTIONS_MAX    32
#define OPTION_LETTERS ":c:nvhV"

enum { OPTION_CONFIG = 'c', OPTION_CHECK = 'n', OPTION_VERBOSE = 'v' };
enum { OPTION_HELP = 'h', OPTION_VERSION = 'V' };

static const struct option own_options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"check-config", no_argument, NULL, OPTION_CHECK},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
};
#define OWN_OPTION_COUNT (sizeof(own_options) / sizeof(own_options[0]))

static void print_option(const char *name, const char *argument, const char *help)
{
    char left[40];

    snprintf(left, sizeof(left), "%s%s%s", name, argument ? " " : "", argument ? argument : "");
    printf("  --%-22s ", left);
    for (const char *at = help; *at; at++) {
        putchar(*at);
        if (*at == '\n')
            printf("%27s", "");
    }
    putchar('\n');
}

static void print_help(void)
{
    puts("usage: multistackd --nic SPEC [--nic SPEC …] [option …]\n\n"
         "The switch of MultiStack: shares NICs between the host's stack and the stacks of\n"
         "applications. Stays in the foreground; SIGTERM ends it.\n");
    for (size_t i = 0; i < config_option_count; i++)
        print_option(config_options[i].name, config_options[i].argument, config_options[i].help);
    print_option("config", "FILE",
                 "read these options from FILE first; what stands on the\n"
                 "command line counts more (-c)");
    print_option("check-config", NULL, "look whether all of this makes sense here, and end (-n)");
    print_option("verbose", NULL, "say more (-v)");
    print_option("help", NULL, "this (-h)");
    print_option("version", NULL, "the version (-V)");
    puts("\nSee multistackd(8).");
}

/* getopt_long(3)'s table: ours and those that the configuration file knows too. */
static void fill_options(struct option *options)
{
    size_t count = 0;

    for (size_t i = 0; i < config_option_count; i++)
        options[count++] = (struct option){config_options[i].name, required_argument, NULL,
                                           (int)config_options[i].id};
    memcpy(options + count, own_options, sizeof(own_options));
}

struct request {
    struct config config;
    bool check;
};

__attribute__((noreturn)) static void wrong_usage(const char *why)
{
    log_error("%s\nTry 'multistackd --help'.", why);
    exit(EXIT_USAGE);
}

/* The file first, wherever it stands on the command line. */
static void read_files(int argc, char **argv, const struct option *options, struct config *config)
{
    char error[CONFIG_ERROR_SIZE];
    int id;

    opterr = 0;
    while ((id = getopt_long(argc, argv, OPTION_LETTERS, options, NULL)) != -1) {
        if (id == '?' || id == ':') {
            snprintf(error, sizeof(error), "%.100s: %s", argv[optind - 1],
                     id == ':' ? "lacks its value" : "there is no such option");
            wrong_usage(error);
        }
        if (id == OPTION_CONFIG && config_read_file(config, optarg, error))
            wrong_usage(error);
    }
    if (optind < argc) {
        snprintf(error, sizeof(error), "%.100s: belongs to no option", argv[optind]);
        wrong_usage(error);
    }
    optind = 1;
}

static void read_command_line(int argc, char **argv, struct request *request)
{
    struct option options[OPTIONS_MAX] = {0};
    char error[CONFIG_ERROR_SIZE];
    bool nics_named = false;
    int id;

    fill_options(options);
    config_init(&request->config);
    read_files(argc, argv, options, &request->config);
    while ((id = getopt_long(argc, argv, OPTION_LETTERS, options, NULL)) != -1) {
        switch (id) {
        case OPTION_CONFIG: break;
        case OPTION_CHECK: request->check = true; break;
        case OPTION_VERBOSE: request->config.verbose = true; break;
        case OPTION_HELP: print_help(); exit(EXIT_SUCCESS);
        case OPTION_VERSION: puts("multistackd " MULTISTACK_VERSION); exit(EXIT_SUCCESS);
        default:
            if (id == CONFIG_NIC && !nics_named) {
                nics_named = true; /* NICs of the command line replace the file's */
                request->config.nic_count = 0;
            }
            if (config_set(&request->config, (enum config_option_id)id, optarg, error))
                wrong_usage(error);
        }
    }
    if (config_check(&request->config, error))
        wrong_usage(error);
}

/* Whoever starts us without one of these three would have the next descriptor that we open (a socket
 * of the kernel's, say) take its number, and our lines go there. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    static struct request request;

    fill_standard_descriptors();
    log_init(false);
    read_command_line(argc, argv, &request);
    log_init(request.config.verbose);
    if (request.check) {
        int status = keeper_check(&request.config);

        if (!status)
            puts("multistackd: the configuration is good");
        return status;
    }
    return keeper_run(&request.config);
}
