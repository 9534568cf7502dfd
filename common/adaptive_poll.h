/* SPDX-License-Identifier: BSD-2-Clause */
/* When a loop that has nothing to do should go on looking (poll), and when it should sleep: for a worker
 * of the switch and for a stack's runtime. No clock, no system call in here: the caller says what time it
 * is, and what it heard of its core.
 *
 *                     work came                              work came
 *          ┌───────────────────────────────┐   ┌──────────────────────────────────────────┐
 *          ▼                               │   ▼                                          │
 *      working ── nothing to do ──► worth it? ── yes ──► polls, for `bound` at most ──► bound is over
 *                                      │                   └─ somebody wants this core ─┐ │
 *                                      └── no ──────────────────────────────────────────┴─┴─► sleeps
 *
 * What is compared. Waking up costs: two system calls, a change of task, and on a core that has gone to
 * sleep some 50 us more. The operator's bound says how much polling it is worth to be spared that. An
 * idle time that ends within the bound is a hit: polling would cost its length and save the bound; any
 * other is a miss, and polling would cost the bound and save nothing. With the share of hits h of the
 * idle times lately, and their mean length m, polling pays if
 *
 *      h (bound - m) > (1 - h) bound
 *
 * so at low load, where next to every time is long, nobody polls at all. It is the reckoning of
 * ski rental, with the odds looked up.
 *
 * An idle time that was slept through seems longer than it was, by as long as it takes to wake. Up to
 * ADAPTIVE_POLL_WAKE_NS above the bound it says nothing, and after a few such doubts the next one is
 * polled through to find out.
 *
 * Sharing a core. Who polls on a core that others want takes it from those whose work he waits for. So
 * every ADAPTIVE_POLL_YIELD_NS the caller offers the core (sched_yield()) and says if somebody took it, by
 * the kernel's own count (ru_nivcsw: left the core while ready to run). Then there is no polling for a
 * while, longer each time, up to ADAPTIVE_POLL_AWAY_MOST_NS; then one idle time tells if that still holds. */
#ifndef MULTISTACK_ADAPTIVE_POLL_H
#define MULTISTACK_ADAPTIVE_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define ADAPTIVE_POLL_ALWAYS        UINT32_MAX /* us: as a bound: polls, whatever comes */
#define ADAPTIVE_POLL_WAKE_NS       100000ULL
#define ADAPTIVE_POLL_FIRST_NS      1000ULL /* until the core is offered first */
#define ADAPTIVE_POLL_YIELD_NS      5000ULL
#define ADAPTIVE_POLL_AWAY_LEAST_NS 1000000ULL
#define ADAPTIVE_POLL_AWAY_MOST_NS  1000000000ULL
#define ADAPTIVE_POLL_ONE           1024U /* a share of 1 */
#define ADAPTIVE_POLL_WEIGHT        8     /* of what was before against the latest idle time, + 1 */
#define ADAPTIVE_POLL_DOUBTS        8     /* before it is tried */

enum adaptive_poll_advice {
    ADAPTIVE_POLL_SLEEP,
    ADAPTIVE_POLL_AGAIN, /* look again */
    ADAPTIVE_POLL_OFFER, /* offer the core; if it was taken, adaptive_poll_contended() and sleep */
};

struct adaptive_poll {
    uint64_t bound_ns;      /* UINT64_MAX: always; 0: never */
    uint64_t idle_since_ns; /* while `idle` */
    uint64_t offer_ns;      /* when the core is offered next */
    uint64_t away_until_ns; /* others want the core: no polling until then */
    uint64_t away_ns;       /* how long the next such time is */
    uint64_t mean_ns;       /* of the hits */
    uint64_t switches;      /* core_offer.h */
    uint32_t hits;          /* their share, of ADAPTIVE_POLL_ONE */
    uint32_t doubts;
    bool idle;
    bool polls;   /* in this idle time */
    bool slept;   /* in this idle time */
    bool offered; /* in this idle time: `switches` is of it */
};

static inline void adaptive_poll_init(struct adaptive_poll *poll, uint32_t bound_us)
{
    *poll = (struct adaptive_poll){
        .bound_ns = bound_us == ADAPTIVE_POLL_ALWAYS ? UINT64_MAX : bound_us * 1000ULL,
        .away_ns = ADAPTIVE_POLL_AWAY_LEAST_NS,
    };
}

/* An idle time of this length has ended. */
static inline void adaptive_poll_learn(struct adaptive_poll *poll, uint64_t length_ns)
{
    if (!poll->slept) {
        poll->hits += (ADAPTIVE_POLL_ONE - poll->hits) / ADAPTIVE_POLL_WEIGHT;
        poll->mean_ns += length_ns / ADAPTIVE_POLL_WEIGHT - poll->mean_ns / ADAPTIVE_POLL_WEIGHT;
        if (poll->away_ns > ADAPTIVE_POLL_AWAY_LEAST_NS)
            poll->away_ns /= 2; /* polled to the end, and nobody minded */
    } else if (poll->polls || length_ns > poll->bound_ns + ADAPTIVE_POLL_WAKE_NS) {
        poll->hits -= poll->hits / ADAPTIVE_POLL_WEIGHT;
        poll->doubts = 0;
    } else {
        poll->doubts++;
    }
}

/* There was work. `now_ns`: when it was found, of any clock that does not go back. */
static inline void adaptive_poll_worked(struct adaptive_poll *poll, uint64_t now_ns)
{
    if (poll->idle)
        adaptive_poll_learn(poll, now_ns - poll->idle_since_ns);
    poll->idle = false;
}

static inline bool adaptive_poll_pays(struct adaptive_poll *poll, uint64_t now_ns)
{
    uint64_t bound = poll->bound_ns;

    if (now_ns < poll->away_until_ns)
        return false;
    if (poll->doubts >= ADAPTIVE_POLL_DOUBTS) {
        poll->doubts = 0;
        return true;
    }
    return poll->hits * (bound - poll->mean_ns) > (ADAPTIVE_POLL_ONE - poll->hits) * bound;
}

/* There is nothing to do. Asked in each round until there is. */
static inline enum adaptive_poll_advice adaptive_poll_idle(struct adaptive_poll *poll,
                                                           uint64_t now_ns)
{
    if (!poll->bound_ns)
        return ADAPTIVE_POLL_SLEEP;
    if (poll->bound_ns == UINT64_MAX)
        return ADAPTIVE_POLL_AGAIN;
    if (!poll->idle) {
        poll->idle = true;
        poll->idle_since_ns = now_ns;
        poll->offer_ns = now_ns + ADAPTIVE_POLL_FIRST_NS;
        poll->slept = poll->offered = false;
        poll->polls = adaptive_poll_pays(poll, now_ns);
    }
    if (!poll->polls || poll->slept || now_ns - poll->idle_since_ns >= poll->bound_ns) {
        poll->slept = true;
        return ADAPTIVE_POLL_SLEEP;
    }
    if (now_ns < poll->offer_ns)
        return ADAPTIVE_POLL_AGAIN;
    poll->offer_ns = now_ns + ADAPTIVE_POLL_YIELD_NS;
    return ADAPTIVE_POLL_OFFER;
}

/* Somebody else wanted the core. Says nothing of how long this idle time would have been. */
static inline void adaptive_poll_contended(struct adaptive_poll *poll, uint64_t now_ns)
{
    poll->away_until_ns = now_ns + poll->away_ns;
    poll->away_ns *= 2;
    if (poll->away_ns > ADAPTIVE_POLL_AWAY_MOST_NS)
        poll->away_ns = ADAPTIVE_POLL_AWAY_MOST_NS;
    poll->idle = poll->polls = false;
    poll->slept = true;
}

#endif
