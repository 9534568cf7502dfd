/* SPDX-License-Identifier: BSD-2-Clause */
/* Several flows through one bottleneck, in virtual time, by seed.
 *
 *   sender 0 ─┐                                      ┌─ receiver 0
 *   sender 1 ─┼─▶ queue ═══ rate, loss, reorder ═══▶ ─┼─ receiver 1      each flow with a delay
 *   …        ─┘   (bytes, marks above a threshold)   └─ …               of its own
 *             ◀──────────────── ACKs: delay, jitter, loss ───────────
 *
 * Each end is a stack of its own. Senders have always more to send, receivers read at once. The
 * queue is first in, first out, and drops what does not fit. */
#ifndef DUMBBELL_H
#define DUMBBELL_H

#include "utcp.h"

#define DUMBBELL_FLOWS 8

struct dumbbell_flow {
    const char *congestion;
    uint64_t rtt_us;                        /* without the queue */
    uint64_t start_us;                      /* when it connects */
    uint64_t pause_from_us, pause_until_us; /* its application writes nothing; 0: no pause */
    bool pacing;
};

struct dumbbell {
    uint64_t seed;
    uint64_t rate;          /* bits per second */
    uint32_t queue;         /* bytes */
    uint32_t mark;          /* bytes in the queue above which capable packets are marked; 0: none */
    unsigned loss, reorder; /* of 10,000 packets */
    unsigned loss_back;     /* of 10,000 ACKs */
    unsigned batch_us; /* packets that arrive within so long are seen, and acknowledged, together */
    bool default_buffers;             /* else wider than any of this needs */
    uint32_t stack_flags;             /* UTCP_NO_*, UTCP_ASK_* */
    const struct utcp_cc_ops *module; /* for flows that name it */
    unsigned flows;
    struct dumbbell_flow flow[DUMBBELL_FLOWS];
    uint64_t measure_from_us, end_us;
    const struct utcp_tracer *tracer; /* of the senders; NULL: none */
};

struct dumbbell_result {
    uint64_t bytes[DUMBBELL_FLOWS];        /* of payload that came from measure_from_us on */
    struct utcp_info info[DUMBBELL_FLOWS]; /* of the sender, at the end */
    uint64_t dropped, marked, packets;     /* by the queue, from the beginning */
    uint64_t queue_us;                     /* mean wait in the queue, of measured packets */
};

void dumbbell_run(const struct dumbbell *config, struct dumbbell_result *result);

/* The payload that the bottleneck can carry in the time that is measured. */
uint64_t dumbbell_capacity(const struct dumbbell *config);

#endif
