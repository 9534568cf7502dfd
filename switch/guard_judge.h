/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard in the switch, for NICs in front of which no program runs: wires.
 *
 * The decision is that of the programs, compiled once more (bpf/guard.h); only the tables are others:
 *
 *   whose it is      what each worker has a copy of (change.h): policies, prefixes, whose 3-tuple has which
 *                    policy. So nothing changes while a worker looks, and nobody waits
 *   in common        buckets, of policies and of sources: a limit is one, however many workers there are.
 *                    Taken from by compare and swap, as the programs do
 *   each its own     counters; in the store (guard_rules.h), so that they outlive the switch
 *
 * A packet comes here when its owner has been found, so the host's own traffic never does. It is looked
 * up a second time, for its policy, and only where there are rules for some binding. A datagram that came in
 * fragments is judged when it is whole.
 *
 * SYNs are not answered: that takes the place of the stack where it costs nothing, which is the NIC.
 *
 * Prefixes are a hash table of prefixes, which is asked for each length that the policy has: at most 33 or
 * 129 times, for packets to the binding of him who has made so many. */
#ifndef MULTISTACK_SWITCH_GUARD_JUDGE_H
#define MULTISTACK_SWITCH_GUARD_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "guard_maps.h"
#include "tuple.h"

struct nic_frame;
struct packet_view;
struct switch_core;
struct worker;
struct worker_queue;

/* A policy, and the lengths of its prefixes: bits. */
struct guard_judged {
    struct guard_policy policy;
    uint64_t lengths4;
    uint64_t lengths6[3];
};

/* Buckets of sources, by a keyed hash of who it is: sets of a few, where the one that was full first makes
 * room. */
#define GUARD_SOURCE_WAYS 4

struct guard_bucket {
    __u64 tag; /* 0: nobody's */
    __u64 due_ns;
};

/* What workers have in common. */
struct guard_buckets {
    struct hash_key key;
    struct guard_budget budgets[GUARD_POLICIES_MAX];
    struct guard_bucket sources[GUARD_SOURCES_MAX];
};

/* A worker's own. */
struct guard_judge {
    struct guard_buckets *buckets;
    struct guard_counts *counts; /* by slot */
    struct guard_judged *policies;
    uint32_t armed;                /* policies that say anything */
    struct tuple_table prefixes;   /* policy, prefix → struct guard_entry, which it owns */
    struct tuple_table policy_ids; /* 3-tuple, or a range's first → id */
};

/* From now on the switch judges what some NIC receives. 0 or -ENOMEM. */
int guard_judge_begin(struct switch_core *core);
void guard_judge_end(struct switch_core *core);

/* The changes of a worker's copy (change.h). An entry that is all zero but for its length, an id of 0: it is
 * no more. 0, or -ENOMEM, -ENOSPC. */
int guard_judge_set_policy(struct worker *worker, const struct guard_judged *judged);
int guard_judge_set_prefix(struct worker *worker, const struct guard_prefix *key,
                           const struct guard_entry *entry);
int guard_judge_refer(struct worker *worker, const struct tuple *tuple, uint32_t policy);

/* What other workers add to: a policy's buckets are full again. */
void guard_judge_fill(struct guard_buckets *buckets, uint32_t slot);

/* Whether packets of the queue are judged at all, now. */
bool guard_judge_is_on(const struct worker *worker, const struct worker_queue *queue);
/* False: rules refuse the packet, and that is counted. It starts at byte `offset` of the frame, whose first
 * piece holds all of its headers; its owner was found. */
bool guard_judge_lets(struct worker *worker, struct worker_queue *queue,
                      const struct nic_frame *frame, uint32_t offset,
                      const struct packet_view *view);

#endif
