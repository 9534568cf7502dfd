/* SPDX-License-Identifier: BSD-2-Clause */
/* lossy [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] [--corrupt PERCENT] [--mark PERCENT]
 *       [--seed N] SERVER_SIDE CLIENT_SIDE LATE AGAIN
 *
 * Makes a bad wire of four devices in this network namespace (lossy.bpf.c says how), prints
 * "ready", and when it is ended prints what it did to how many packets, as JSON. */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "lossy.h"
#include "lossy.skel.h"

enum { SERVER_SIDE, CLIENT_SIDE, LATE, AGAIN, DEVICES };

static void die(const char *what, int error)
{
    fprintf(stderr, "lossy: %s: %s\n", what, strerror(error));
    exit(1);
}

/* A percentage as 1/10000. */
static __u32 probability(const char *text)
{
    char *end;
    double percent = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(percent >= 0 && percent <= 100)) {
        fprintf(stderr, "lossy: %s: not a percentage\n", text);
        exit(2);
    }
    return (__u32)(percent * LOSSY_SCALE / 100 + 0.5);
}

static void attach(int ifindex, struct bpf_program *program)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = 1, .priority = 1,
                .prog_fd = bpf_program__fd(program), .flags = BPF_TC_F_REPLACE);
    /* That the hook is there already is no news; libbpf would print it. */
    libbpf_print_fn_t print = libbpf_set_print(NULL);
    int error = bpf_tc_hook_create(&hook);

    libbpf_set_print(print);
    if (error != 0 && error != -EEXIST)
        die("clsact", -error);
    error = bpf_tc_attach(&hook, &options);
    if (error != 0)
        die("attaching", -error);
}

static void report(int map, const char *name, __u32 ifindex)
{
    struct lossy_link link;

    if (bpf_map_lookup_elem(map, &ifindex, &link) != 0)
        die("reading the counters", errno);
    printf("{\"device\": \"%s\", \"packets\": %llu, \"lost\": %llu, \"duplicated\": %llu, "
           "\"reordered\": %llu, \"corrupted\": %llu, \"marked\": %llu}\n",
           name, link.packets, link.lost, link.duplicated, link.reordered, link.corrupted,
           link.marked);
}

static struct lossy_link parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"loss", required_argument, NULL, 'l'},
        {"duplicate", required_argument, NULL, 'd'},
        {"reorder", required_argument, NULL, 'r'},
        {"corrupt", required_argument, NULL, 'c'},
        {"mark", required_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct lossy_link faults = {.random = 1};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l': faults.loss = probability(optarg); break;
        case 'd': faults.duplicate = probability(optarg); break;
        case 'r': faults.reorder = probability(optarg); break;
        case 'c': faults.corrupt = probability(optarg); break;
        case 'm': faults.mark = probability(optarg); break;
        case 's': faults.random = strtoull(optarg, NULL, 0); break;
        default: exit(2);
        }
    }
    if (argc - optind != DEVICES) {
        fprintf(stderr, "usage: lossy [faults] SERVER_SIDE CLIENT_SIDE LATE AGAIN\n");
        exit(2);
    }
    return faults;
}

int main(int argc, char **argv)
{
    struct lossy_link faults = parse(argc, argv);
    __u32 devices[DEVICES];
    struct lossy_bpf *skeleton;
    sigset_t ends;
    int map, ended;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);

    for (int at = 0; at < DEVICES; at++) {
        devices[at] = if_nametoindex(argv[optind + at]);
        if (devices[at] == 0)
            die(argv[optind + at], errno);
    }
    faults.late = devices[LATE];
    faults.again = devices[AGAIN];

    skeleton = lossy_bpf__open_and_load();
    if (skeleton == NULL)
        die("loading", errno);
    map = bpf_map__fd(skeleton->maps.lossy_links);
    for (int at = SERVER_SIDE; at <= CLIENT_SIDE; at++) {
        faults.random += (__u64)at << 32; /* another sequence for each */
        if (bpf_map_update_elem(map, &devices[at], &faults, BPF_ANY) != 0)
            die("map", errno);
        attach((int)devices[at], skeleton->progs.lossy);
    }
    printf("ready\n");
    fflush(stdout);

    sigwait(&ends, &ended);
    report(map, "client", devices[CLIENT_SIDE]);
    report(map, "server", devices[SERVER_SIDE]);
    /* The program stays on the devices: the wire goes on until the next one replaces it. */
    lossy_bpf__destroy(skeleton);
    return 0;
}
