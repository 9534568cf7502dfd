/* SPDX-License-Identifier: BSD-2-Clause */
/* Offers this thread's core to whoever wants it, between two looks of a poll (adaptive_poll.h). */
#ifndef MULTISTACK_CORE_OFFER_H
#define MULTISTACK_CORE_OFFER_H

#include <sched.h>
#include <sys/resource.h>

#include "adaptive_poll.h"

/* How often this thread has left its core though it could have gone on. Needs _GNU_SOURCE. */
static inline uint64_t core_switches(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) ? 0 : (uint64_t)usage.ru_nivcsw;
}

/* After ADAPTIVE_POLL_OFFER. True: somebody has taken it, and has given it back. The kernel counts a
 * yield only if there was another one to run. What happened before this idle time does not count. */
static inline bool core_offer(struct adaptive_poll *poll)
{
    uint64_t before = poll->offered ? poll->switches : core_switches();

    poll->offered = true;
    sched_yield();
    poll->switches = core_switches();
    return poll->switches != before;
}

#endif
