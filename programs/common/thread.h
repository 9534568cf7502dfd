/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads of a program whose main thread is the first of its workers, and takes its signals. */
#ifndef MULTISTACK_THREAD_H
#define MULTISTACK_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* All zero: not started. */
struct program_thread {
    pthread_t thread;
    bool started;
};

/* Has another thread call `run(argument)`, with all signals blocked. 0 or a positive errno. */
int thread_start(struct program_thread *thread, void *(*run)(void *), void *argument);
/* Waits for its end; where it was not started, for nothing. */
void thread_join(struct program_thread *thread);

#endif
