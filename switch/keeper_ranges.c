/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of ports: which block belongs to whom, and that nobody else gets it.
 *
 * What the switch asks for (switch/range.h) waits in a queue, whose head is worked on a part at a time,
 * because trying thousands of ports takes a while:
 *
 *   request ──► a block: the one that is named, or the next that is nobody's
 *                 │  marked first: from here on bind(2) refuses its ports (range_load.h)
 *                 ▼
 *               each port is tried by bind(2) ── one is somebody's ──► not this block: the next, or EADDRINUSE
 *                 │ all are free
 *                 ▼
 *               kept, and answered
 *
 * Blocks lie within --range-ports, are never what connect(2) may choose (ip_local_port_range without
 * ip_local_reserved_ports), and are counted for each user. A block belongs to no address: whoever has it has the ports of all.
 *
 * When the switch dies, its blocks are kept for a while: those who had them ask the next switch, and
 * get the same. Whatever ends this process ends all of it, for nothing but its descriptors holds
 * anything. Where there are only wires, whose addresses the host does not have, nobody has to be kept
 * off and the programs are not needed. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "keeper_internal.h"

#define PORTS_PER_TURN 256
#define RETURN_TIMEOUT (5 * NS_PER_SEC) /* of whoever had a block, once there is a switch again */

static struct keeper_range *find(struct keeper_ranges *ranges, bool is_udp, uint32_t first)
{
    for (uint32_t i = 0; i < ranges->count; i++) {
        if (ranges->list[i].is_udp == is_udp && ranges->list[i].first == first)
            return &ranges->list[i];
    }
    return NULL;
}

static uint32_t ports_of(const struct keeper_ranges *ranges, uint32_t uid)
{
    uint32_t ports = 0;

    for (uint32_t i = 0; i < ranges->count; i++)
        ports += ranges->list[i].uid == uid ? ranges->list[i].port_count : 0;
    return ports;
}

static bool is_anybodys(const struct keeper_ranges *ranges, bool is_udp, uint32_t first,
                        uint32_t port_count)
{
    for (uint32_t i = 0; i < ranges->count; i++) {
        const struct keeper_range *other = &ranges->list[i];

        if (other->is_udp == is_udp && first < other->first + other->port_count &&
            other->first < first + port_count)
            return true;
    }
    return false;
}

static void forget(struct keeper *keeper, struct keeper_range *range)
{
    struct keeper_ranges *ranges = &keeper->ranges;

    range_programs_mark(&ranges->programs, range->is_udp, range->first, range->port_count, false);
    *range = ranges->list[--ranges->count];
    if (!ranges->count && !ranges->trial.port_count)
        range_programs_detach(&ranges->programs);
}

static void choose(struct keeper_ranges *ranges, uint32_t first, uint32_t last, bool chosen)
{
    for (uint32_t port = first; port <= last && port <= UINT16_MAX; port++) {
        uint64_t bit = 1ULL << (port % 64);

        ranges->chosen[port / 64] =
            chosen ? ranges->chosen[port / 64] | bit : ranges->chosen[port / 64] & ~bit;
    }
}

/* A line of numbers and ranges, such as "32768 60999" and "8080,9000-9100"; or an empty one. */
static char *read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    char *read = file ? fgets(line, (int)size, file) : NULL;

    if (file)
        fclose(file);
    return read;
}

/* The ports that the host chooses by itself: with them a block would be in the way of connect(2). Those
 * that the administrator has reserved it does not choose. */
static void read_local_ports(struct keeper_ranges *ranges)
{
    static char line[65536]; /* a list of ports may be long */
    char *at = read_line("/proc/sys/net/ipv4/ip_local_port_range", line, sizeof(line));
    uint32_t first = 32768, last = 60999; /* the kernel's own choice */

    if (at) {
        first = (uint32_t)strtoul(at, &at, 10);
        last = (uint32_t)strtoul(at, NULL, 10);
    }
    memset(ranges->chosen, 0, sizeof(ranges->chosen));
    choose(ranges, first, last, true);
    at = read_line("/proc/sys/net/ipv4/ip_local_reserved_ports", line, sizeof(line));
    while (at && *at >= '0' && *at <= '9') {
        first = last = (uint32_t)strtoul(at, &at, 10);
        if (*at == '-')
            last = (uint32_t)strtoul(at + 1, &at, 10);
        choose(ranges, first, last, false);
        at += *at == ',';
    }
}

/* Blocks are made of whole words of the bits. */
static bool is_chosen(const struct keeper_ranges *ranges, uint32_t first, uint32_t port_count)
{
    uint64_t any = 0;

    for (uint32_t word = first / 64; word < (first + port_count) / 64; word++)
        any |= ranges->chosen[word];
    return any != 0;
}

static bool may_be_given(const struct keeper *keeper, bool is_udp, uint32_t first,
                         uint32_t port_count)
{
    const struct keeper_ranges *ranges = &keeper->ranges;
    uint32_t last = first + port_count - 1;

    if (first < keeper->config->range_first || last > keeper->config->range_last)
        return false;
    if (ranges->needs_programs && is_chosen(ranges, first, port_count))
        return false;
    return !is_anybodys(ranges, is_udp, first, port_count);
}

/* Whoever does not hear it has gone, or asks again. */
static void answer(struct keeper *keeper, const struct channel_range *request, uint32_t first,
                   int error)
{
    const struct channel_range_answer message = {
        .header = {.type = CHANNEL_RANGE_ANSWER, .size = sizeof(message)},
        .id = request->id,
        .error = (uint32_t)error,
        .first = first,
    };

    if (!keeper__send(keeper, &message, NULL, 0) || error)
        return;
    forget(keeper, find(&keeper->ranges, request->protocol == IPPROTO_UDP, first));
}

static void next_request(struct keeper_ranges *ranges)
{
    ranges->head = (ranges->head + 1) % KEEPER_RANGE_QUEUE;
    ranges->queued--;
    ranges->trial = (struct keeper_trial){0};
}

static void refuse(struct keeper *keeper, int error)
{
    struct keeper_ranges *ranges = &keeper->ranges;
    struct channel_range request = ranges->queue[ranges->head];

    next_request(ranges);
    if (!ranges->count)
        range_programs_detach(&ranges->programs);
    answer(keeper, &request, request.first, error);
}

/* The block that is to be tried next: the named one, once; otherwise all of its size, beginning
 * somewhere. 0: none is left. */
static uint32_t next_block(const struct keeper *keeper, const struct channel_range *request)
{
    const struct keeper_trial *trial = &keeper->ranges.trial;
    uint32_t blocks = 65536 / request->port_count;

    for (uint32_t i = trial->tried; i < blocks; i++) {
        uint32_t first =
            request->first ? request->first : (trial->offset + i) % blocks * request->port_count;

        if (request->first && i)
            break;
        if (may_be_given(keeper, request->protocol == IPPROTO_UDP, first, request->port_count))
            return i + 1;
    }
    return 0;
}

/* Any of those that --range-ports has, so that not everybody asks for the same ones. */
static uint32_t some_block(const struct config *config, const struct channel_range *request)
{
    uint32_t span = (config->range_last - config->range_first) / request->port_count + 1;
    uint32_t random = request->id;

    if (getrandom(&random, sizeof(random), 0) < 0)
        random = request->id;
    return config->range_first / request->port_count + random % span;
}

/* False: it is answered. */
static bool begin_trial(struct keeper *keeper, const struct channel_range *request)
{
    struct keeper_ranges *ranges = &keeper->ranges;
    struct keeper_trial *trial = &ranges->trial;
    uint32_t blocks = 65536 / request->port_count, tried;
    int status;

    if (!trial->tried)
        trial->offset = some_block(keeper->config, request);
    tried = next_block(keeper, request);
    status = tried ? range_programs_attach(&ranges->programs) : -EADDRINUSE;
    if (ports_of(ranges, request->uid) + request->port_count > keeper->config->range_ports_per_user)
        status = -EDQUOT;
    if (status) {
        refuse(keeper, -status);
        return false;
    }
    trial->tried = tried;
    trial->is_udp = request->protocol == IPPROTO_UDP;
    trial->first = request->first ? request->first
                                  : (trial->offset + tried - 1) % blocks * request->port_count;
    trial->port_count = request->port_count;
    trial->port = trial->first;
    range_programs_mark(&ranges->programs, trial->is_udp, trial->first, trial->port_count, true);
    return true;
}

static void grant(struct keeper *keeper)
{
    struct keeper_ranges *ranges = &keeper->ranges;
    struct channel_range request = ranges->queue[ranges->head];
    struct keeper_trial trial = ranges->trial;

    ranges->list[ranges->count++] = (struct keeper_range){
        .uid = request.uid,
        .first = trial.first,
        .port_count = trial.port_count,
        .is_udp = trial.is_udp,
    };
    next_request(ranges);
    answer(keeper, &request, trial.first, 0);
}

static void end_trial(struct keeper_ranges *ranges)
{
    struct keeper_trial *trial = &ranges->trial;

    range_programs_mark(&ranges->programs, trial->is_udp, trial->first, trial->port_count, false);
    trial->port_count = 0;
}

/* A part of what the head of the queue asks for. */
static void work(struct keeper *keeper)
{
    struct keeper_ranges *ranges = &keeper->ranges;
    struct keeper_trial *trial = &ranges->trial;

    if (!trial->port_count && !begin_trial(keeper, &ranges->queue[ranges->head]))
        return;
    for (uint32_t i = 0; i < PORTS_PER_TURN && trial->port < trial->first + trial->port_count;
         i++) {
        if (!range_port_is_free(&ranges->programs, trial->is_udp, trial->port)) {
            end_trial(ranges); /* the next turn looks for another block */
            return;
        }
        trial->port++;
    }
    if (trial->port == trial->first + trial->port_count)
        grant(keeper);
}

/* What the switch checks as well: but it may have been taken over. */
static int check(const struct keeper *keeper, const struct channel_range *request)
{
    const struct keeper_ranges *ranges = &keeper->ranges;
    uint32_t count = request->port_count;

    if ((request->protocol != IPPROTO_TCP && request->protocol != IPPROTO_UDP) || !request->id ||
        count < RANGE_PORTS_MIN || count > RANGE_PORTS_MAX || (count & (count - 1)) ||
        (request->first & (count - 1)) || request->first > 65536 - count ||
        (request->first && request->first < 1024))
        return EINVAL;
    if (!keeper->config->range_last ||
        (ranges->needs_programs && !range_programs_are_there(&ranges->programs)))
        return EOPNOTSUPP;
    return ranges->queued == KEEPER_RANGE_QUEUE ? EBUSY : 0;
}

/* Whoever had it before the switch died. */
static bool adopt(struct keeper *keeper, const struct channel_range *request)
{
    struct keeper_range *range =
        find(&keeper->ranges, request->protocol == IPPROTO_UDP, request->first);

    if (!range || !range->is_orphan || range->uid != request->uid ||
        range->port_count != request->port_count)
        return false;
    range->is_orphan = false;
    answer(keeper, request, range->first, 0);
    return true;
}

void keeper__want_range(struct keeper *keeper, const struct channel_range *request)
{
    struct keeper_ranges *ranges = &keeper->ranges;
    int error;

    if (adopt(keeper, request))
        return;
    error = check(keeper, request);
    if (error) {
        answer(keeper, request, request->first, error);
        return;
    }
    if (!ranges->queued)
        read_local_ports(ranges);
    ranges->queue[(ranges->head + ranges->queued++) % KEEPER_RANGE_QUEUE] = *request;
}

void keeper__release_range(struct keeper *keeper, const struct channel_range_release *message)
{
    struct keeper_range *range =
        find(&keeper->ranges, message->protocol == IPPROTO_UDP, message->first);

    if (range && !range->is_orphan && range->port_count == message->port_count)
        forget(keeper, range);
}

void keeper__open_ranges(struct keeper *keeper, bool needs_programs)
{
    keeper->ranges.needs_programs = needs_programs;
    if (needs_programs && keeper->config->range_last)
        range_programs_load(&keeper->ranges.programs, keeper->netns_cookie);
}

void keeper__close_ranges(struct keeper *keeper)
{
    if (range_programs_are_there(&keeper->ranges.programs))
        range_programs_unload(&keeper->ranges.programs);
    keeper->ranges.count = keeper->ranges.queued = 0;
}

void keeper__orphan_ranges(struct keeper *keeper)
{
    struct keeper_ranges *ranges = &keeper->ranges;

    if (ranges->trial.port_count)
        end_trial(ranges);
    ranges->trial = (struct keeper_trial){0};
    ranges->queued = 0;
    for (uint32_t i = 0; i < ranges->count; i++)
        ranges->list[i].is_orphan = true;
    ranges->orphans_until_ns = 0;
    if (!ranges->count)
        range_programs_detach(&ranges->programs);
}

void keeper__await_ranges(struct keeper *keeper)
{
    keeper->ranges.orphans_until_ns = keeper->ranges.count ? keeper__now() + RETURN_TIMEOUT : 0;
}

uint64_t keeper__serve_ranges(struct keeper *keeper, uint64_t now)
{
    struct keeper_ranges *ranges = &keeper->ranges;

    if (ranges->orphans_until_ns && now >= ranges->orphans_until_ns) {
        ranges->orphans_until_ns = 0;
        for (uint32_t i = ranges->count; i-- > 0;) {
            if (ranges->list[i].is_orphan)
                forget(keeper, &ranges->list[i]);
        }
    }
    if (ranges->queued)
        work(keeper);
    if (ranges->queued)
        return now;
    return ranges->orphans_until_ns ? ranges->orphans_until_ns : UINT64_MAX;
}
