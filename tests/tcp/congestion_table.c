/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the table of throughput and fairness of every congestion control over simulated
 * bottlenecks (dumbbell.h). All arithmetic is in integers and virtual time, so the table is the same
 * everywhere: tests/tcp/congestion_table.txt keeps it, test_congestion_table.sh compares, and
 * `ninja -C build congestion-table` makes it anew.
 *
 *   usage: congestion_table [WORD]    only scenarios whose name begins with WORD */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dumbbell.h"

#define SECOND UINT64_C(1000000)
#define MBIT   UINT64_C(1000000)

struct scenario {
    const char *name, *what;
    const char *congestion[DUMBBELL_FLOWS]; /* a flow each */
    uint64_t rate, rtt_us;                  /* bits/s */
    unsigned queue_percent;                 /* of the bandwidth-delay product */
    uint32_t mark;                          /* bytes */
    unsigned loss, reorder;                 /* of 10,000 */
    unsigned loss_back, batch_us;
    uint32_t flags;
    unsigned from, to; /* seconds that are measured */
};

#define FAT                                                                                        \
    .what = "1 Gbit/s, 50 ms, queue 1 BDP", .rate = 1000 * MBIT, .rtt_us = 50000,                  \
    .queue_percent = 100, .from = 5, .to = 20
#define PLAIN                                                                                      \
    .what = "100 Mbit/s, 20 ms, queue 1 BDP", .rate = 100 * MBIT, .rtt_us = 20000,                 \
    .queue_percent = 100, .from = 20, .to = 80
#define DEEP                                                                                       \
    .what = "100 Mbit/s, 20 ms, queue 8 BDP", .rate = 100 * MBIT, .rtt_us = 20000,                 \
    .queue_percent = 800, .from = 20, .to = 80
/* A loss in ten seconds, so it takes a hundred until the first has given up what it had before the second
 * came. */
#define DEEP_LONG                                                                                  \
    .what = "100 Mbit/s, 20 ms, queue 8 BDP", .rate = 100 * MBIT, .rtt_us = 20000,                 \
    .queue_percent = 800, .from = 100, .to = 400
#define SHALLOW                                                                                    \
    .what = "100 Mbit/s, 20 ms, queue 0.1 BDP", .rate = 100 * MBIT, .rtt_us = 20000,               \
    .queue_percent = 10, .from = 10, .to = 40
#define LOSSY                                                                                      \
    .what = "100 Mbit/s, 20 ms, 1 % lost", .rate = 100 * MBIT, .rtt_us = 20000,                    \
    .queue_percent = 100, .loss = 100, .from = 5, .to = 40
#define MARKED                                                                                     \
    .what = "1 Gbit/s, 0.5 ms, marks from 30 KB", .rate = 1000 * MBIT, .rtt_us = 500,              \
    .queue_percent = 400, .mark = 30000, .flags = UTCP_ASK_ECN, .from = 1, .to = 4
/* The same, where each mark is counted and told (RFC 9768), not only that there was one in a round trip. */
#define COUNTED                                                                                    \
    .what = "the same, by Accurate ECN", .rate = 1000 * MBIT, .rtt_us = 500, .queue_percent = 400, \
    .mark = 30000, .flags = UTCP_ASK_ACCURATE_ECN, .from = 1, .to = 4

/* Data and ACKs are lost at random. */
#define RANDOM(PERCENT, HUNDREDTHS)                                                                \
    .what = "100 Mbit/s, 20 ms, " PERCENT " % lost", .rate = 100 * MBIT, .rtt_us = 20000,          \
    .queue_percent = 100, .loss = (HUNDREDTHS), .loss_back = (HUNDREDTHS), .from = 5, .to = 35
/* Many losses in a round trip. */
#define RANDOM_FAT                                                                                 \
    .what = "1 Gbit/s, 50 ms, 5 % lost", .rate = 1000 * MBIT, .rtt_us = 50000,                     \
    .queue_percent = 100, .loss = 500, .loss_back = 500, .from = 5, .to = 15
/* Round trips of very different lengths beside the least retransmission timeout. */
#define SHORT(WHAT, RATE, US)                                                                      \
    .what = WHAT ", 5 % lost", .rate = (RATE)*MBIT, .rtt_us = (US), .queue_percent = 200,          \
    .loss = 500, .loss_back = 500, .from = 1, .to = 11
/* The receiver sees what came in 50 us at once, and acknowledges a narrow window by one ACK. */
#define SHORT_ONCE(WHAT, RATE, US)                                                                 \
    .what = WHAT ", 5 %, one ACK", .rate = (RATE)*MBIT, .rtt_us = (US), .queue_percent = 200,      \
    .loss = 500, .loss_back = 500, .batch_us = 50, .from = 1, .to = 11
#define EACH(NAME, ...)                                                                            \
    {NAME "-cubic", .congestion = {"cubic"}, __VA_ARGS__},                                         \
        {NAME "-newreno", .congestion = {"newreno"}, __VA_ARGS__},                                 \
    {                                                                                              \
        NAME "-bbr", .congestion = {"bbr"}, __VA_ARGS__                                            \
    }

static const struct scenario scenarios[] = {
    {"fat-cubic", .congestion = {"cubic"}, FAT},
    {"fat-newreno", .congestion = {"newreno"}, FAT},
    {"fat-bbr", .congestion = {"bbr"}, FAT},
    {"fair-bbr", .congestion = {"bbr", "bbr"}, PLAIN},
    {"pair-cubic-bbr", .congestion = {"cubic", "bbr"}, PLAIN},
    {"deep-bbr", .congestion = {"bbr"}, DEEP},
    {"deep-bbr-2", .congestion = {"bbr", "bbr"}, DEEP},
    {"deep-cubic-2", .congestion = {"cubic", "cubic"}, DEEP_LONG},
    {"shallow-bbr", .congestion = {"bbr"}, SHALLOW},
    {"lossy-bbr", .congestion = {"bbr"}, LOSSY},
    {"fair-cubic", .congestion = {"cubic", "cubic"}, PLAIN},
    {"fair-newreno", .congestion = {"newreno", "newreno"}, PLAIN},
    {"four-cubic", .congestion = {"cubic", "cubic", "cubic", "cubic"}, PLAIN},
    {"pair-cubic-newreno", .congestion = {"cubic", "newreno"}, PLAIN},
    {"shallow-cubic", .congestion = {"cubic"}, SHALLOW},
    {"shallow-newreno", .congestion = {"newreno"}, SHALLOW},
    {"lossy-cubic", .congestion = {"cubic"}, LOSSY},
    {"lossy-newreno", .congestion = {"newreno"}, LOSSY},
    {"marked-dctcp", .congestion = {"dctcp"}, MARKED},
    {"marked-dctcp-2", .congestion = {"dctcp", "dctcp"}, MARKED},
    {"marked-cubic-2", .congestion = {"cubic", "cubic"}, MARKED},
    {"marked-newreno-2", .congestion = {"newreno", "newreno"}, MARKED},
    {"marked-a-dctcp", .congestion = {"dctcp"}, COUNTED},
    {"marked-a-dctcp-2", .congestion = {"dctcp", "dctcp"}, COUNTED},
    {"marked-a-cubic-2", .congestion = {"cubic", "cubic"}, COUNTED},
    {"marked-a-newreno-2", .congestion = {"newreno", "newreno"}, COUNTED},
    EACH("random-0", RANDOM("0", 0)),
    EACH("random-0.1", RANDOM("0.1", 10)),
    EACH("random-1", RANDOM("1", 100)),
    EACH("random-5", RANDOM("5", 500)),
    EACH("random-f", RANDOM_FAT),
    EACH("short-0.1", SHORT("1 Gbit/s, 0.1 ms", 1000, 100)),
    EACH("short-o", SHORT_ONCE("1 Gbit/s, 0.1 ms", 1000, 100)),
    EACH("short-1", SHORT("1 Gbit/s, 1 ms", 1000, 1000)),
    EACH("short-5", SHORT("100 Mbit/s, 5 ms", 100, 5000)),
    EACH("short-50", SHORT("10 Mbit/s, 50 ms", 10, 50000)),
};

static void build(const struct scenario *scenario, struct dumbbell *config)
{
    uint64_t product = scenario->rate / 8 * scenario->rtt_us / 1000000;

    *config = (struct dumbbell){
        .seed = 1,
        .rate = scenario->rate,
        .queue = (uint32_t)(product * scenario->queue_percent / 100),
        .mark = scenario->mark,
        .loss = scenario->loss,
        .reorder = scenario->reorder,
        .loss_back = scenario->loss_back,
        .batch_us = scenario->batch_us,
        .stack_flags = scenario->flags,
        .measure_from_us = scenario->from * SECOND,
        .end_us = scenario->to * SECOND,
    };
    while (config->flows < DUMBBELL_FLOWS && scenario->congestion[config->flows]) {
        config->flow[config->flows] =
            (struct dumbbell_flow){.congestion = scenario->congestion[config->flows],
                                   .rtt_us = scenario->rtt_us,
                                   .start_us = config->flows * 7 * scenario->rtt_us};
        config->flows++;
    }
}

/* The whole in percent of what the link can carry, then each flow in percent of an equal share. */
static void print(const struct scenario *scenario, const struct dumbbell *config,
                  const struct dumbbell_result *result)
{
    uint64_t all = 0, capacity = dumbbell_capacity(config), again = 0, timeouts = 0;
    char shares[64] = "";

    for (unsigned i = 0; i < config->flows; i++) {
        all += result->bytes[i];
        again += result->info[i].segments_retransmitted;
        timeouts += result->info[i].timeouts;
    }
    for (unsigned i = 0; i < config->flows; i++)
        snprintf(shares + strlen(shares), sizeof(shares) - strlen(shares), "%s%" PRIu64,
                 i ? " " : "", all ? result->bytes[i] * config->flows * 100 / all : 0);
    printf("%-18s %-35s %5" PRIu64 ".%" PRIu64 " %-18s %6" PRIu64 ".%03" PRIu64 " %8" PRIu64
           " %8" PRIu64 " %8" PRIu64 " %4" PRIu64 "\n",
           scenario->name, scenario->what, all * 100 / capacity, all * 1000 / capacity % 10,
           config->flows > 1 ? shares : "-", result->queue_us / 1000, result->queue_us % 1000,
           result->dropped, result->marked, again, timeouts);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    printf("# Throughput and fairness over a simulated bottleneck: doc/congestion.md.\n");
    printf("# flows: the name has one control for all, or one for each\n");
    printf("%-18s %-35s %7s %-18s %10s %8s %8s %8s %4s\n", "# name", "bottleneck", "link %",
           "flows, % of share", "queue ms", "dropped", "marked", "resent", "RTO");
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        struct dumbbell config;
        struct dumbbell_result result;

        if (argc > 1 && strncmp(scenarios[i].name, argv[1], strlen(argv[1])) != 0)
            continue;
        build(&scenarios[i], &config);
        dumbbell_run(&config, &result);
        print(&scenarios[i], &config, &result);
    }
    return 0;
}
