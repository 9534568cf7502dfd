/* SPDX-License-Identifier: BSD-2-Clause */
/* The timer wheel. Theory of operation: wheel.h. */
#include "wheel.h"

static unsigned level_of(const struct utcp_wheel *wheel, uint64_t tick)
{
    uint64_t difference = tick ^ wheel->hand;

    return difference ? (63 - (unsigned)__builtin_clzll(difference)) / WHEEL_LEVEL_BITS : 0;
}

static void insert(struct utcp_wheel *wheel, struct utcp_wheel_timer *timer)
{
    unsigned level = level_of(wheel, timer->tick);
    unsigned slot = (timer->tick >> (level * WHEEL_LEVEL_BITS)) & (WHEEL_SLOTS - 1);

    struct list *head = &wheel->slots[level][slot];

    list_append(head, &timer->link);
    wheel->occupied[level] |= UINT64_C(1) << slot;
    wheel->levels |= 1u << level;
}

/* Nothing is left in the slot. */
static void vacate(struct utcp_wheel *wheel, size_t level, size_t slot)
{
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    if (!wheel->occupied[level])
        wheel->levels &= ~(1u << level);
}

/* The first occupied slot and the tick at which it begins. */
static struct list *first_slot(struct utcp_wheel *wheel, unsigned *level, unsigned *slot,
                               uint64_t *tick)
{
    unsigned shift;
    uint64_t block;

    if (!wheel->levels)
        return NULL;
    *level = (unsigned)__builtin_ctz(wheel->levels);
    *slot = (unsigned)__builtin_ctzll(wheel->occupied[*level]);
    shift = *level * WHEEL_LEVEL_BITS;
    block = shift + WHEEL_LEVEL_BITS < 64 ? wheel->hand >> (shift + WHEEL_LEVEL_BITS) : 0;
    *tick = (block << WHEEL_LEVEL_BITS | *slot) << shift;
    return &wheel->slots[*level][*slot];
}

/* Moves the timers of a slot above level 0, at whose beginning the hand stands, down. */
static void cascade(struct utcp_wheel *wheel, unsigned level, unsigned slot)
{
    struct list *timers = &wheel->slots[level][slot];

    vacate(wheel, level, slot);
    while (!list_empty(timers)) {
        struct utcp_wheel_timer *timer = list_member(timers->next, struct utcp_wheel_timer, link);

        list_remove(&timer->link);
        insert(wheel, timer);
    }
}

void utcp__wheel_init(struct utcp_wheel *wheel, uint64_t now)
{
    wheel->hand = now >> WHEEL_TICK_BITS;
    wheel->levels = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&wheel->slots[level][slot]);
    }
}

void utcp__wheel_timer_init(struct utcp_wheel_timer *timer)
{
    list_init(&timer->link);
    timer->tick = WHEEL_IDLE;
}

void utcp__wheel_stop(struct utcp_wheel *wheel, struct utcp_wheel_timer *timer)
{
    struct list *neighbour = timer->link.next;

    if (timer->tick == WHEEL_IDLE)
        return;
    timer->tick = WHEEL_IDLE;
    list_remove(&timer->link);
    if (list_empty(neighbour)) { /* it was the slot's head, and nothing is left in it */
        size_t index = (size_t)(neighbour - &wheel->slots[0][0]);

        vacate(wheel, index / WHEEL_SLOTS, index % WHEEL_SLOTS);
    }
}

void utcp__wheel_start(struct utcp_wheel *wheel, struct utcp_wheel_timer *timer, uint64_t when)
{
    uint64_t tick = (when >> WHEEL_TICK_BITS) + ((when & ((1 << WHEEL_TICK_BITS) - 1)) != 0);

    utcp__wheel_stop(wheel, timer);
    timer->tick = tick > wheel->hand ? tick : wheel->hand + 1;
    insert(wheel, timer);
}

struct utcp_wheel_timer *utcp__wheel_due(struct utcp_wheel *wheel, uint64_t now)
{
    uint64_t target = now >> WHEEL_TICK_BITS;
    unsigned level, slot;
    uint64_t tick;

    for (;;) {
        struct list *timers = first_slot(wheel, &level, &slot, &tick);
        struct utcp_wheel_timer *timer;

        if (timers == NULL || tick > target)
            break;
        if (tick > wheel->hand)
            wheel->hand = tick;
        if (level > 0) {
            cascade(wheel, level, slot);
            continue;
        }
        timer = list_member(timers->next, struct utcp_wheel_timer, link);
        utcp__wheel_stop(wheel, timer);
        return timer;
    }
    /* All that is left is due after `target`, in the same blocks as before: levels stay right. */
    if (target > wheel->hand)
        wheel->hand = target;
    return NULL;
}

uint64_t utcp__wheel_next(const struct utcp_wheel *wheel)
{
    unsigned level, slot;
    uint64_t tick;

    if (first_slot((struct utcp_wheel *)wheel, &level, &slot, &tick) == NULL)
        return UINT64_MAX;
    return tick << WHEEL_TICK_BITS;
}
