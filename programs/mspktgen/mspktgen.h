/* SPDX-License-Identifier: BSD-2-Clause */
/* mspktgen as a whole: what it was told, and what it opened for that.
 *
 *   main.c     the command line; runs lanes and says each second what they did
 *   options.c  checks what belongs together, and ranges of ports
 *   setup.c    opens ports or the wire, and deals their rings out to lanes
 *   lane.c     a thread: makes packets, counts packets
 *   latency.c  a thread: sends one packet round at a time, and records how long it takes
 *   packet.c   one packet */
#ifndef MULTISTACK_MSPKTGEN_H
#define MULTISTACK_MSPKTGEN_H

#include "lane.h"

#define PORTS_MAX   4096
#define THREADS_MAX 64

enum work { WORK_TX, WORK_RX, WORK_LOOP };

struct options {
    enum work work;
    bool loop_sends_by_ports; /* WORK_LOOP: else by the wire */
    const char *wire;         /* NULL: ports alone */
    const char *control;
    const char *name; /* of the ports */
    struct endpoints from, to;
    uint64_t size;
    uint64_t rings;
    uint64_t ports, idle_ports;
    uint64_t threads;
    uint64_t ring_size; /* bytes; 0: the switch's default */
    uint64_t rate, count, duration_s, burst;
    int cpus[THREADS_MAX];
    uint64_t cpu_count;
    bool latency; /* WORK_LOOP: round trips of single packets */
    bool poll, verify, json;
};

/* Whatever is wrong with the options as a whole: NULL, or one line of why. Fills in what was left
 * out. */
const char *options_complete(struct options *options);
/* "ADDR:PORT" or "ADDR:FIRST-LAST", IPv6 addresses in brackets. NULL, or why it is wrong. */
const char *options_parse_endpoints(const char *text, struct endpoints *endpoints);
/* "0", "0-3,5": at most THREADS_MAX. NULL, or why it is wrong. */
const char *options_parse_cpus(const char *text, int cpus[THREADS_MAX], uint64_t *count);

static inline bool options_ports_send(const struct options *options)
{
    return (options->work == WORK_TX && !options->wire) ||
           (options->work == WORK_LOOP && options->loop_sends_by_ports);
}

static inline bool options_ports_receive(const struct options *options)
{
    return (options->work == WORK_RX && !options->wire) ||
           (options->work == WORK_LOOP && !options->loop_sends_by_ports);
}

static inline bool options_wire_sends(const struct options *options)
{
    return options->wire && !options_ports_send(options) && options->work != WORK_RX;
}

/* Everything that is open. */
struct setup {
    const struct options *options;
    struct ms_port **ports; /* those that work, then those that idle */
    uint32_t port_count;
    struct wire_meeting meeting;
    struct wire_half halves[WIRE_QUEUES_MAX];
    uint32_t queue_count;
    struct packet_template *template; /* NULL: nothing is sent */
    struct outlet *outlets;
    struct inlet *inlets;
    uint32_t outlet_count, inlet_count;
    struct lane *lanes;
    uint32_t lane_count;
};

/* Each returns CLI_OK, or CLI_FAILURE after it has said why. */
int setup_open(struct setup *setup, const struct options *options);
/* Once the wire is up (or there is none): maps it, and deals everything out to the lanes. Also after
 * it came back: counters and flows go on. */
int setup_deal(struct setup *setup);
/* What setup_deal() mapped. */
void setup_take_back(struct setup *setup);
void setup_close(struct setup *setup);

#endif
