/* SPDX-License-Identifier: BSD-2-Clause */
/* mspktgen.h: what was told, and whether it makes sense. */
#include "mspktgen.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const char *options_parse_endpoints(const char *text, struct endpoints *endpoints)
{
    const char *colon = strrchr(text, ':'), *dash;
    char one[CLI_ENDPOINT_SIZE];
    struct sockaddr_storage address;
    socklen_t length;
    uint64_t last = 0;
    const char *why;

    *endpoints = (struct endpoints){0};
    if (strlen(text) >= sizeof(one))
        return "too long: ADDR:PORT or ADDR:FIRST-LAST is wanted";
    memcpy(one, text, strlen(text) + 1);
    dash = colon ? strchr(colon, '-') : NULL;
    if (dash) {
        if (!cli_number(dash + 1, 1, 65535, &last))
            return "the last port is not a number from 1 to 65535";
        one[dash - text] = '\0';
    }
    why = cli_endpoint(one, &address, &length);
    if (why)
        return why;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;

        endpoints->family = 4;
        endpoints->first = ntohs(in->sin_port);
        memcpy(endpoints->bytes, &in->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;

        endpoints->family = 6;
        endpoints->first = ntohs(in6->sin6_port);
        memcpy(endpoints->bytes, &in6->sin6_addr, 16);
    }
    endpoints->last = dash ? (uint16_t)last : endpoints->first;
    if (endpoints->first == 0)
        return "port 0 cannot be sent from or to";
    if (endpoints->last < endpoints->first)
        return "the range of ports runs backwards";
    return NULL;
}

const char *options_parse_cpus(const char *text, int cpus[THREADS_MAX], uint64_t *count)
{
    char words[256], *rest = words, *word;

    *count = 0;
    if (strlen(text) >= sizeof(words))
        return "the list is too long";
    memcpy(words, text, strlen(text) + 1);
    while ((word = strsep(&rest, ","))) {
        char *dash = strchr(word, '-');
        uint64_t first, last;

        if (dash)
            *dash++ = '\0';
        if (!cli_number(word, 0, CPU_SETSIZE - 1, &first) ||
            !cli_number(dash ? dash : word, 0, CPU_SETSIZE - 1, &last) || last < first)
            return "not a list of processors such as 0-2,5";
        for (; first <= last; first++) {
            if (*count == THREADS_MAX)
                return "more processors than threads there may be (64)";
            cpus[(*count)++] = (int)first;
        }
    }
    return NULL;
}

static uint32_t range_of(const struct endpoints *endpoints)
{
    return endpoints->family ? (uint32_t)endpoints->last - endpoints->first + 1 : 0;
}

/* A single port stands for as many as are needed. */
static const char *widen(struct endpoints *endpoints, uint64_t ports)
{
    if (range_of(endpoints) == 1 && ports > 1) {
        if (endpoints->first + ports - 1 > 65535)
            return "so many ports do not fit above the first port number";
        endpoints->last = (uint16_t)(endpoints->first + ports - 1);
    }
    return range_of(endpoints) < ports ? "the range has fewer port numbers than there are --ports"
                                       : NULL;
}

static uint64_t outlets_of(const struct options *options)
{
    return options->rings * (options_ports_send(options) ? options->ports : 1);
}

static const char *check_addresses(struct options *options)
{
    bool sends = options->work != WORK_RX;

    if (sends && !options->from.family)
        return "--from is missing: which address and port packets come from";
    if ((sends || !options->wire) && !options->to.family)
        return "--to is missing: which address and port packets go to";
    if (sends && options->from.family != options->to.family)
        return "--from and --to are of different families";
    if (options_ports_receive(options) || options_ports_send(options)) {
        struct endpoints *own = options_ports_send(options) ? &options->from : &options->to;
        const char *why = widen(own, options->ports);

        if (why)
            return why;
        if (range_of(own) % options->ports)
            return "the range of port numbers cannot be dealt out evenly to --ports";
    }
    if (sends && range_of(&options->from) < outlets_of(options) &&
        range_of(&options->to) < outlets_of(options))
        return "--rings: a range of as many port numbers is wanted in --from or --to, so that each "
               "ring has a flow of its own";
    return NULL;
}

/* One thread, with one packet of one flow under way. */
static const char *check_latency(const struct options *options)
{
    if (options->work != WORK_LOOP)
        return "--latency: of loop alone, which has both ends of a round trip";
    if (!options->loop_sends_by_ports)
        return "--latency: a packet goes from a port to the wire and back; --direction rx does not";
    if (options->ports > 1 || options->rings > 1 || options->threads > 1)
        return "--latency: one packet at a time: no more than one of --ports, --rings, --threads";
    if (options->burst > 1)
        return "--latency: one packet at a time: --burst has no meaning";
    if (range_of(&options->from) != 1 || range_of(&options->to) != 1)
        return "--latency: one flow: --from and --to are a single port number each";
    return NULL;
}

static const char *check_numbers(struct options *options)
{
    uint32_t family = options->to.family ? options->to.family : 4;
    uint64_t lanes;

    if (!options->size)
        options->size = packet_size_min((uint8_t)family);
    if (options->size < packet_size_min((uint8_t)family))
        return "--size: IPv6 needs a frame of 79 bytes at least";
    if (options->ring_size & (options->ring_size - 1))
        return "--ring-size: is not a power of two";
    lanes = options->rings * (options->wire && options->work != WORK_LOOP ? 1 : options->ports);
    if (!options->threads)
        options->threads = options->cpu_count ? options->cpu_count : 1;
    if (options->threads > lanes)
        return "--threads: more than there are rings to serve; say --rings or --ports";
    if (options->cpu_count && options->cpu_count != options->threads)
        return "--cpus: one processor for each of --threads is wanted";
    return NULL;
}

const char *options_complete(struct options *options)
{
    const char *why;

    if (options->work == WORK_LOOP && !options->wire)
        return "loop: --wire is missing: one side is the wire, the other the switch's ports";
    if (options->wire && options->work != WORK_LOOP && (options->ports > 1 || options->idle_ports))
        return "--wire: has no ports of the switch; --rings says how many queues it has";
    if (options->wire && *options->wire != '/')
        return "--wire: an absolute path is wanted";
    why = check_addresses(options);
    if (!why && options->latency)
        why = check_latency(options);
    return why ? why : check_numbers(options);
}
