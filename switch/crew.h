/* SPDX-License-Identifier: BSD-2-Clause */
/* Several workers: their threads, and how a change reaches each of them.
 *
 *   worker 0    the main thread: control socket, channel, heartbeat, its share of the packets
 *   worker i    a thread that does nothing but its share of the packets
 *
 * Changes. Worker 0 applies a change to itself and appends it to a log, which each other worker reads
 * at its own pace, at the start of its round, and then says how far it is (`changes_applied`). A
 * worker that sleeps is woken. An entry is freed by worker 0 when all are past it, and so is a port,
 * when all have applied its CHANGE_PORT_LEAVE (crew_retire()).
 *
 * Pause. What is rare and touches what all share (a link's state, a NIC's descriptors) is done while
 * the others stand still: between crew_pause() and crew_resume().
 *
 * The heartbeat says that every worker goes round: worker 0 moves it only while each other worker's
 * own beat is fresh. With one worker all of this is nothing. */
#ifndef MULTISTACK_SWITCH_CREW_H
#define MULTISTACK_SWITCH_CREW_H

#include <pthread.h>
#include <stdbool.h>

#include "change.h"

struct change_entry;

struct crew {
    bool running; /* there are threads */
    /* the log: worker 0's, but for the entries' `next`, which all read */
    struct change_entry *first, *last;
    uint64_t sequence; /* of the last entry */
    /* pause */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint32_t standing; /* workers that stand still */
    uint64_t resumed;  /* pauses that are over */
    uint64_t pauses;
};

/* Before any change. 0 or -ENOMEM. */
int crew_init(struct switch_core *core);
/* Starts the threads of the workers but the first. 0 or a negative errno; then none runs. */
int crew_start(struct switch_core *core);
/* Ends the threads. */
void crew_stop(struct switch_core *core);
/* And later, when all ports are closed: what still waits for the others is done for them. */
void crew_dispose(struct switch_core *core);

/* Room for one more entry, before the change is made. NULL: out of memory. */
struct change_entry *crew_entry_new(const struct change *change);
/* Appends it; the others make the change. */
void crew_post(struct switch_core *core, struct change_entry *entry);
/* At the start of a round: what the log holds. */
void crew_apply(struct worker *worker);
/* Whether the log holds something. */
bool crew_has_news(const struct worker *worker);
/* In the middle of a round: what only adds to or takes from the namespace, and nothing that would
 * free what the round holds. True: there was something. */
bool crew_catch_up(struct worker *worker);
/* Frees what every worker is past. */
void crew_retire(struct switch_core *core);

void crew_pause(struct switch_core *core);
void crew_resume(struct switch_core *core);

/* Whether every other worker goes round. */
bool crew_is_alive(const struct switch_core *core, uint64_t now_ns);

#endif
