/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of the guard: who may set them, how many there may be, when they end. What they do is told
 * in bpf/guard.h, what a request looks like in control_protocol.h.
 *
 *   CONTROL_GUARD ─► may he? ─► rules, in lists by policy ─► guard_write.c: the maps ─► mux, tap
 *                                  ▲              │            └─► changes ─► workers (guard_judge.h)
 *      binding closed, time over ──┘              └─► CONTROL_SUBJECT_GUARD
 *
 * A rule is a binding's, and ends with it. A policy is what the program looks at: that of a 3-tuple is
 * made of the rules of all its bindings (several ports of one user may share it): on a list is what one
 * of them has put there, and of limits the lowest counts. Slot GUARD_EVERYWHERE has the administrator's
 * rules, which are no binding's.
 *
 * Those, and what was set by hand for a binding, are in no application that could present them again. So
 * rules stand in memory of the keeper's, where the next switch finds them (guard_store.c): of its maps it
 * empties what has rules, and writes them anew.
 *
 *   switch died ─► next one ─┬─► for all: at once
 *                            ├─► by hand: waits ─┬─► the same process of the same user has bound the same
 *                            │                   │   3-tuple again: in force; its counters go on
 *                            │                   └─► a minute later: gone
 *                            └─► by its port: gone; libmultistack presents it with its binding
 *
 * Only the first worker touches any of this, when the control socket or the clock asks for it: no packet
 * waits for it. */
#ifndef MULTISTACK_SWITCH_GUARD_RULES_H
#define MULTISTACK_SWITCH_GUARD_RULES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "control_protocol.h"
#include "guard_cookie_maps.h"
#include "guard_judge.h"
#include "guard_maps.h"
#include "tuple.h"

#define GUARD_RULES_MAX        GUARD_PREFIXES_MAX
#define GUARD_RULES_EVERYWHERE 4096 /* of those, which ports cannot use up */
#define GUARD_RULES_PER_PORT   1024
#define GUARD_RULES_PER_UID    4096
#define GUARD_POLICIES_PER_UID 256
#define GUARD_SWEPT_PER_TICK   64 /* rules that ended, taken out in one housekeeping */
#define GUARD_NONE             UINT32_MAX

struct binding;
struct connection;
struct port;
struct switch_core;

struct guard_rule {
    uint32_t next;    /* in its policy's list, or in that of free ones */
    uint32_t binding; /* number; 0: everywhere */
    uint32_t slot;
    uint32_t kind; /* enum control_guard_kind; 0: free */
    struct control_prefix prefix;
    uint32_t rate, burst;
    uint64_t until_ns; /* CLOCK_MONOTONIC, or GUARD_FOR_EVER */
    struct control_cookie cookie;
    uint32_t by_hand; /* 1: set by a client without a port, which will not present it again */
    uint32_t was; /* while it waits (`binding` is 0): its binding's number at an earlier switch */
    uint32_t pid; /* of the binding's process */
};

/* A policy. */
struct guard_place {
    struct tuple tuple;
    uint32_t id; /* with the generation of its last use */
    uint32_t first_rule;
    uint32_t flags; /* of the policy as it was written */
    uint32_t uid;
    uint32_t port_count; /* more than 1: of a range, from the tuple's port on */
    uint32_t used;       /* 1 */
};

/* In memory of the keeper's, so that the next switch finds it. What it finds it checks: the one before
 * may have died in the midst of anything, or have been taken over. */
struct guard_store {
    uint32_t made; /* rules that were ever used */
    uint32_t zero;
    struct guard_place places[GUARD_POLICIES_MAX];
    struct guard_rule rules[GUARD_RULES_MAX];
    struct guard_counts
        counted_before[GUARD_POLICIES_MAX]; /* of the next, for the slot's last user */
    struct guard_counts counts[CHANNEL_WORKERS_MAX][GUARD_POLICIES_MAX]; /* guard_judge.h */
};

struct guard {
    int fds[CHANNEL_GUARD_MAPS]; /* -1: none */
    bool ready;                  /* somebody enforces rules */
    bool may_ask;                /* stacks may have SYNs answered */
    uint32_t cookie_rules;       /* CONTROL_GUARD_COOKIES */
    uint32_t cpus;
    struct guard_counts *counts; /* room for one element */
    struct guard_store *store;
    struct guard_buckets
        *buckets;               /* the switch judges as well (guard_judge.h); NULL: it does not */
    struct guard_rule *rules;   /* in the store, both */
    struct guard_place *places; /* GUARD_POLICIES_MAX; NULL: not opened yet */
    uint32_t made, free, count;
    uint64_t due_ns;      /* the first rule ends; GUARD_FOR_EVER: none does */
    uint64_t awaiting_ns; /* until then rules wait for bindings to come back; 0: none do */
};

void guard_init(struct guard *guard);
void guard_dispose(struct guard *guard);
/* Takes the descriptors over (-1: none; without a store nothing outlives the switch), and what an earlier
 * switch has left in the store. 0 or a negative errno. */
int guard_open(struct switch_core *core, const struct channel_guard *message, const int *fds);

/* There is a NIC with no program in front: from now on the switch judges what comes there. 0 or -ENOMEM. */
int guard_judge_nics(struct switch_core *core);

/* CONTROL_GUARD of a client: 0 or a negative errno, as there. */
int guard_request(struct switch_core *core, const struct connection *connection,
                  const struct control_guard *wish);
/* The binding is there, perhaps again: rules that wait for it are its own from now on. */
void guard_adopt(struct switch_core *core, struct binding *binding);
/* How many SYNs have been answered for the 3-tuple of a rule that was just set; of others 0. */
uint64_t guard_answered(const struct switch_core *core, const struct control_guard *wish);
/* The binding is about to go: its rules go before. */
void guard_forget(struct switch_core *core, struct binding *binding);
/* There is one owner of the 3-tuple more, or one less: whether SYNs are answered for it is another
 * question then. */
void guard_owners_changed(struct switch_core *core, const struct tuple *tuple);
/* Takes out what has ended. */
void guard_housekeep(struct switch_core *core, uint64_t now_ns);

/* The rules of a 3-tuple: its policy's slot, or GUARD_NONE. */
uint32_t guard_place_of(const struct guard *guard, const struct tuple *tuple);
/* Packets that a policy refused, by reason. False: nobody counts. */
bool guard_read_counts(const struct switch_core *core, uint32_t slot, struct guard_counts *sum);

/* guard_cookies.c: what a request about cookies must look like, whether the switch can do it (0 or a
 * negative errno), and whether a policy has it done, by which terms. */
bool guard__cookie_is_sane(const struct control_guard *wish);
int guard__cookies_available(const struct switch_core *core, const struct control_guard *wish);
bool guard__cookies_wanted(const struct switch_core *core, uint32_t slot,
                           struct guard_cookie *terms);

/* guard_write.c: each makes the maps say what the rules say. 0 or a negative errno. */
int guard__write_prefix(struct switch_core *core, uint32_t slot,
                        const struct control_prefix *prefix);
int guard__write_policy(struct switch_core *core, uint32_t slot);
/* A policy that nobody has had: its counters and buckets are those of nobody. */
int guard__write_new(const struct switch_core *core, uint32_t slot);
/* Packets of the slot's 3-tuple are judged by the policy of that id; 0: by none. */
int guard__write_id(struct switch_core *core, uint32_t slot, uint32_t id);
/* Forgets the prefixes of an earlier switch. */
int guard__clear_maps(const struct switch_core *core);

/* guard_store.c: maps the store (-1: memory of its own), and makes lists of what is to live on. */
int guard__open_store(struct guard *guard, int fd);
/* guard_rules.c: whether a client may ask for that. */
bool guard__is_sane(const struct control_guard *wish);
/* Takes the rule out, and out of the maps. */
void guard__end_rule(struct switch_core *core, struct guard_rule *rule);
/* The last rule of a 3-tuple went: nobody looks at its policy any more. */
void guard__leave_place(struct switch_core *core, uint32_t slot);
/* Packets of the 3-tuple are judged by its policy, or, where that has nothing to say, by none. */
int guard__refer(struct switch_core *core, uint32_t slot);
void guard__count_rule(struct switch_core *core, uint32_t number, bool more);
/* guard_store.c: no more waiting. */
void guard__end_awaiting(struct switch_core *core);

#endif
