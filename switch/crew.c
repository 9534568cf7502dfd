/* SPDX-License-Identifier: BSD-2-Clause */
/* crew.h */
#include "crew.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core.h"
#include "log.h"

#define BEAT_FRESH_NS 350000000ULL /* twice the longest sleep, and some */

struct change_entry {
    struct change_entry *next;
    uint64_t sequence;
    struct change change;
};

int crew_init(struct switch_core *core)
{
    struct crew *crew = &core->crew;

    *crew = (struct crew){.running = false};
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->moved, NULL);
    if (core->worker_count < 2)
        return 0;
    crew->first = crew->last = calloc(1, sizeof(struct change_entry)); /* that all are past */
    if (!crew->first)
        return -ENOMEM;
    for (uint32_t i = 1; i < core->worker_count; i++)
        core->workers[i].change = crew->first;
    return 0;
}

struct change_entry *crew_entry_new(const struct change *change)
{
    struct change_entry *entry = malloc(sizeof(*entry));

    if (entry)
        *entry = (struct change_entry){.change = *change};
    return entry;
}

void crew_post(struct switch_core *core, struct change_entry *entry)
{
    struct crew *crew = &core->crew;

    entry->sequence = ++crew->sequence;
    __atomic_store_n(&crew->last->next, entry, __ATOMIC_RELEASE);
    crew->last = entry;
    ring_fence(); /* the log, then whether the other sleeps; it does it the other way round */
    for (uint32_t i = 1; i < core->worker_count; i++)
        worker_wake(&core->workers[i]);
    crew_retire(core);
}

static struct change_entry *next_entry(const struct worker *worker)
{
    return worker->change ? __atomic_load_n(&worker->change->next, __ATOMIC_ACQUIRE) : NULL;
}

static void stand_still(struct crew *crew, uint64_t pause)
{
    pthread_mutex_lock(&crew->lock);
    crew->standing++;
    pthread_cond_broadcast(&crew->moved);
    while (crew->resumed < pause)
        pthread_cond_wait(&crew->moved, &crew->lock);
    crew->standing--;
    pthread_cond_broadcast(&crew->moved);
    pthread_mutex_unlock(&crew->lock);
}

static void apply_entry(struct worker *worker, struct change_entry *entry)
{
    int status = 0;

    if (entry->change.kind == CHANGE_PAUSE)
        stand_still(&worker->core->crew, entry->change.pause);
    else
        status = change_apply(worker, &entry->change);
    worker->change = entry;
    if (status) { /* only memory is a reason: what is possible for one is so for all */
        log_error("worker %u cannot follow the first one: %s", worker->index, strerror(-status));
        __atomic_store_n(&worker->core->status, EXIT_FAILURE, __ATOMIC_RELAXED);
        __atomic_store_n(&worker->core->stop, true, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&worker->changes_applied, entry->sequence, __ATOMIC_RELEASE);
}

bool crew_has_news(const struct worker *worker)
{
    return next_entry(worker) != NULL;
}

void crew_apply(struct worker *worker)
{
    struct change_entry *entry;

    while ((entry = next_entry(worker)))
        apply_entry(worker, entry);
}

bool crew_catch_up(struct worker *worker)
{
    struct change_entry *entry;
    bool any = false;

    while ((entry = next_entry(worker)) && entry->change.kind <= CHANGE_ADDRESS) {
        apply_entry(worker, entry);
        any = true;
    }
    return any;
}

void crew_retire(struct switch_core *core)
{
    struct crew *crew = &core->crew;
    uint64_t passed = crew->sequence;
    struct change_entry *entry = crew->first;

    for (uint32_t i = 1; i < core->worker_count; i++) {
        uint64_t applied = __atomic_load_n(&core->workers[i].changes_applied, __ATOMIC_ACQUIRE);

        if (applied < passed)
            passed = applied;
    }
    while (entry && entry->sequence <= passed) {
        struct change_entry *next = entry->next;

        if (entry->change.kind == CHANGE_PORT_LEAVE && entry->change.port) {
            port_free(core, entry->change.port);
            entry->change.port = NULL;
        }
        if (entry->sequence == passed)
            break; /* somebody may stand on it, to see its `next` */
        free(entry);
        crew->first = entry = next;
    }
}

void crew_pause(struct switch_core *core)
{
    struct crew *crew = &core->crew;
    struct change change = {.kind = CHANGE_PAUSE};
    struct change_entry *entry;

    if (!crew->running)
        return;
    change.pause = ++crew->pauses;
    entry = crew_entry_new(&change);
    if (!entry) {
        log_error("no memory to make the workers stand still");
        abort();
    }
    crew_post(core, entry);
    pthread_mutex_lock(&crew->lock);
    while (crew->standing < core->worker_count - 1)
        pthread_cond_wait(&crew->moved, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

void crew_resume(struct switch_core *core)
{
    struct crew *crew = &core->crew;

    if (!crew->running)
        return;
    pthread_mutex_lock(&crew->lock);
    crew->resumed = crew->pauses;
    pthread_cond_broadcast(&crew->moved);
    while (crew->standing)
        pthread_cond_wait(&crew->moved, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

bool crew_is_alive(const struct switch_core *core, uint64_t now_ns)
{
    if (!core->crew.running)
        return true;
    for (uint32_t i = 1; i < core->worker_count; i++) {
        uint64_t beat = __atomic_load_n(&core->workers[i].beat_ns, __ATOMIC_RELAXED);

        if (beat + BEAT_FRESH_NS < now_ns)
            return false;
    }
    return true;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    char name[16];

    snprintf(name, sizeof(name), "worker-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    worker_pin(worker);
    worker_run(worker);
    return NULL;
}

int crew_start(struct switch_core *core)
{
    worker_pin(&core->workers[0]);
    core->crew.running = core->worker_count > 1;
    for (uint32_t i = 1; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];
        int status;

        worker->beat_ns = core_clock();
        status = pthread_create(&worker->thread, NULL, run, worker);
        if (status) {
            log_error("worker %u does not start: %s", i, strerror(status));
            return -status;
        }
        worker->has_thread = true;
    }
    return 0;
}

void crew_stop(struct switch_core *core)
{
    __atomic_store_n(&core->stop, true, __ATOMIC_RELAXED);
    for (uint32_t i = 1; i < core->worker_count; i++) {
        if (!core->workers[i].has_thread)
            continue;
        worker_ring(&core->workers[i]);
        pthread_join(core->workers[i].thread, NULL);
        core->workers[i].has_thread = false;
    }
    core->crew.running = false;
}

void crew_dispose(struct switch_core *core)
{
    struct crew *crew = &core->crew;

    if (!crew->first)
        return;
    for (uint32_t i = 1; i < core->worker_count; i++)
        crew_apply(&core->workers[i]);
    crew_retire(core);
    free(crew->first);
    crew->first = crew->last = NULL;
    for (uint32_t i = 1; i < core->worker_count; i++)
        core->workers[i].change = NULL;
}
