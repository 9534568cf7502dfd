/* SPDX-License-Identifier: BSD-2-Clause */
/* A hierarchical timer wheel (Varghese and Lauck, 1987, scheme 7): starting, stopping and running a
 * timer cost the same however many there are.
 *
 * Time is cut into ticks of 256 µs. Level 0 has a slot for each of the 64 ticks of the block of 64
 * ticks that the wheel's hand stands in; level 1 one for each of the 64 such blocks of the
 * block of 64 * 64 ticks, and so on. A timer lies on the level of the highest group of six bits in
 * which its tick differs from the hand. Hence all occupied slots of a level are ahead of the hand,
 * and everything on a level is due before anything on the level above it: the first timer is found
 * with one bit scan. When the hand comes to a slot above level 0, the slot's timers move down. */
#ifndef UTCP_WHEEL_H
#define UTCP_WHEEL_H

#include <stdint.h>

#include "list.h"

#define WHEEL_TICK_BITS  8 /* 256 µs */
#define WHEEL_LEVEL_BITS 6
#define WHEEL_SLOTS      (1 << WHEEL_LEVEL_BITS)
#define WHEEL_LEVELS     10 /* 60 bits: more than the 56 that are left of 64 bits of µs */

struct utcp_wheel_timer {
    struct list link;
    uint64_t tick; /* when it is due; WHEEL_IDLE: not running */
};

#define WHEEL_IDLE UINT64_MAX

struct utcp_wheel {
    uint64_t hand; /* the last tick that was run */
    uint64_t occupied[WHEEL_LEVELS];
    uint32_t levels; /* those with occupied slots */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void utcp__wheel_init(struct utcp_wheel *wheel, uint64_t now);
void utcp__wheel_timer_init(struct utcp_wheel_timer *timer);

/* Starts `timer`, or moves it. It is due at the first tick that is not before `when`, and not
 * before the next one. */
void utcp__wheel_start(struct utcp_wheel *wheel, struct utcp_wheel_timer *timer, uint64_t when);
void utcp__wheel_stop(struct utcp_wheel *wheel, struct utcp_wheel_timer *timer);

/* Stops and returns a timer that is due at `now`, or NULL when there are none left. */
struct utcp_wheel_timer *utcp__wheel_due(struct utcp_wheel *wheel, uint64_t now);

/* A time not after the tick of the first timer; UINT64_MAX when none runs. */
uint64_t utcp__wheel_next(const struct utcp_wheel *wheel);

#endif
