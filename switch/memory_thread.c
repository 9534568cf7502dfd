/* SPDX-License-Identifier: BSD-2-Clause */
/* memory_thread.h */
#include "memory_thread.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control_open.h"
#include "core.h"
#include "log.h"

static void append(struct port_list *list, struct port *port)
{
    port->next = NULL;
    if (list->first)
        list->last->next = port;
    else
        list->first = port;
    list->last = port;
}

static struct port *take_first(struct port_list *list)
{
    struct port *port = list->first;

    if (port)
        list->first = port->next;
    return port;
}

/* NULL: the end. */
static struct port *next_to_do(struct memory_thread *memory)
{
    struct port *port;

    pthread_mutex_lock(&memory->lock);
    while (!(port = take_first(&memory->to_do)) && !memory->stop)
        pthread_cond_wait(&memory->called, &memory->lock);
    pthread_mutex_unlock(&memory->lock);
    return port;
}

static void hand_back(struct memory_thread *memory, struct port *port)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&memory->lock);
    append(&memory->made, port);
    pthread_mutex_unlock(&memory->lock);
    if (write(memory->made_fd, &one, sizeof(one)) < 0) {
        /* it is full, and so readable */
    }
}

static void *run(void *argument)
{
    struct memory_thread *memory = argument;
    struct port *port;

    pthread_setname_np(pthread_self(), "memory");
    while ((port = next_to_do(memory))) {
        if (port->ending) {
            port_unmake(port);
        } else {
            port->status = port_make(port);
            hand_back(memory, port);
        }
    }
    return NULL;
}

/* The processors that --cpus gives to workers are theirs, unless there are no others. */
static void keep_away(const struct switch_core *core, pthread_t thread)
{
    cpu_set_t set;

    if (pthread_getaffinity_np(thread, sizeof(set), &set))
        return;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        if (core->config.cpus[i])
            CPU_CLR(core->config.cpus[i] - 1, &set);
    }
    if (CPU_COUNT(&set) > 0)
        pthread_setaffinity_np(thread, sizeof(set), &set);
}

int memory_thread_start(struct switch_core *core)
{
    struct memory_thread *memory = &core->memory;
    struct event_tag tag = {.kind = EVENT_MEMORY};
    int status;

    *memory = (struct memory_thread){.made_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (memory->made_fd < 0) {
        log_error("the memory thread has nothing to report by: %s", strerror(errno));
        return -errno;
    }
    pthread_mutex_init(&memory->lock, NULL);
    pthread_cond_init(&memory->called, NULL);
    status = worker_watch(&core->workers[0], memory->made_fd, EPOLLIN, tag);
    if (!status)
        status = -pthread_create(&memory->thread, NULL, run, memory);
    if (status) {
        log_error("the memory thread does not start: %s", strerror(-status));
        close(memory->made_fd);
        return status;
    }
    keep_away(core, memory->thread);
    memory->running = true;
    return 0;
}

void memory_thread_stop(struct switch_core *core)
{
    struct memory_thread *memory = &core->memory;
    struct port *port;

    if (!memory->running)
        return;
    pthread_mutex_lock(&memory->lock);
    memory->stop = true;
    pthread_cond_signal(&memory->called);
    pthread_mutex_unlock(&memory->lock);
    pthread_join(memory->thread, NULL);
    memory->running = false;
    while ((port = take_first(&memory->made)))
        port_free(core, port);
    pthread_cond_destroy(&memory->called);
    pthread_mutex_destroy(&memory->lock);
    close(memory->made_fd);
}

static void order(struct memory_thread *memory, struct port *port)
{
    pthread_mutex_lock(&memory->lock);
    append(&memory->to_do, port);
    pthread_cond_signal(&memory->called);
    pthread_mutex_unlock(&memory->lock);
}

void memory_thread_make(struct switch_core *core, struct port *port)
{
    order(&core->memory, port);
}

void memory_thread_unmake(struct switch_core *core, struct port *port)
{
    port->ending = true;
    if (core->memory.running)
        order(&core->memory, port);
    else
        port_unmake(port);
}

void memory_thread_serve(struct switch_core *core)
{
    struct memory_thread *memory = &core->memory;
    struct port_list made;
    struct port *port;
    uint64_t count;

    if (read(memory->made_fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&memory->lock);
    made = memory->made;
    memory->made = (struct port_list){.first = NULL};
    pthread_mutex_unlock(&memory->lock);
    while ((port = take_first(&made)))
        control_port_made(core, port);
}
