/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.h */
#include "thread.h"

#include <signal.h>

int thread_start(struct program_thread *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* it begins with ours */
    error = pthread_create(&thread->thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->started = !error;
    return error;
}

void thread_join(struct program_thread *thread)
{
    if (thread->started)
        pthread_join(thread->thread, NULL);
    thread->started = false;
}
