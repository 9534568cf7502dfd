/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory thread: makes the memory of ports and takes it apart, so that no packet waits for it.
 *
 *   worker 0                                      memory thread
 *   port_begin(): limits, the struct
 *   memory_thread_make()      ── to do ──►        port_make(): memfd, pages, mapping, eventfds
 *   memory_thread_serve()     ◄── made, eventfd ──
 *     port_finish(): slot, rings, workers; the answer to the client
 *   ...
 *   port_free()               ── to do ──►        port_unmake(): mapping, descriptors, the struct
 *
 * A port belongs to whoever has it in hand; the lock of the lists hands it over. What is to be done
 * is done in its order: memory that was given up before a new port was asked for is free before that
 * port's is made, so worker 0 keeps the account of it (SWITCH_MEMORY_MAX) when it gives the order.
 * The lists need no room of their own, and are no longer than twice as many ports as there may be:
 * each of those that wait to be taken apart was open, or being opened, when the first of them came.
 *
 * Without a thread (tests, benches) all of it is done at once by the caller. */
#ifndef MULTISTACK_SWITCH_MEMORY_THREAD_H
#define MULTISTACK_SWITCH_MEMORY_THREAD_H

#include <pthread.h>
#include <stdbool.h>

struct port;
struct switch_core;

struct port_list {
    struct port *first, *last;
};

struct memory_thread {
    bool running; /* worker 0's */
    int made_fd;  /* in worker 0's epoll set; readable: some are made */
    pthread_t thread;
    /* with the lock */
    pthread_mutex_t lock;
    pthread_cond_t called;
    struct port_list to_do;
    struct port_list made;
    bool stop;
};

/* Before the workers' threads, whose processors it keeps away from where there are others. 0 or a
 * negative errno. */
int memory_thread_start(struct switch_core *core);
/* When all ports are closed: finishes what there is to do and ends. */
void memory_thread_stop(struct switch_core *core);

/* Only while it runs. The port comes back by memory_thread_serve() → control_port_made(). */
void memory_thread_make(struct switch_core *core, struct port *port);
/* At once, where no thread runs. */
void memory_thread_unmake(struct switch_core *core, struct port *port);
/* The eventfd is readable. */
void memory_thread_serve(struct switch_core *core);

#endif
