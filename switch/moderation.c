/* SPDX-License-Identifier: BSD-2-Clause */
/* moderation.h */
#include "moderation.h"

void moderation_leave(struct worker *worker, struct port_ring *ring)
{
    if (!ring->deferred)
        return;
    ring->deferred = false;
    if (ring->deferred_next)
        ring->deferred_next->deferred_previous = ring->deferred_previous;
    if (ring->deferred_previous)
        ring->deferred_previous->deferred_next = ring->deferred_next;
    else
        worker->deferred = ring->deferred_next;
}

static void defer(struct worker *worker, struct port_ring *ring, uint64_t due_ns)
{
    ring->deferred = true;
    ring->due_ns = due_ns;
    ring->deferred_previous = NULL;
    ring->deferred_next = worker->deferred;
    if (worker->deferred)
        worker->deferred->deferred_previous = ring;
    if (!worker->deferred || due_ns < worker->deferred_due_ns)
        worker->deferred_due_ns = due_ns;
    worker->deferred = ring;
}

static void wake(struct worker *worker, struct port_ring *ring)
{
    moderation_leave(worker, ring);
    ring->told_packets = stats_read(&ring->traffic.rx_packets);
    if (ring_producer_must_wake(&ring->rx))
        port_ring_wake(ring);
}

/* How long the consumer may be let wait; it writes there when it likes, and anything. */
static uint64_t delay_ns(const struct ring_control *control)
{
    uint32_t us = ring_load_relaxed(&control->wake_delay_us);

    return (us < WAKE_DELAY_MOST_US ? us : WAKE_DELAY_MOST_US) * 1000ULL;
}

static bool half_full(const struct port_ring *ring)
{
    /* As the consumer says, since what is known of it may be old; a lie gets it woken early. */
    return ring->rx.published - ring_load_relaxed(&ring->rx.control->head) > ring->rx.size / 2;
}

void moderation_published(struct worker *worker, struct port_ring *ring)
{
    const struct ring_control *control = ring->rx.control;
    uint64_t packets = stats_read(&ring->traffic.rx_packets), delay;
    uint32_t enough;

    if (!ring_load_relaxed(&control->consumer_sleeps)) {
        ring->told_packets = packets;
        return;
    }
    delay = delay_ns(control);
    enough = ring_load_relaxed(&control->wake_packets);
    if (!delay || (enough && packets - ring->told_packets >= enough) || half_full(ring))
        wake(worker, ring);
    else if (!ring->deferred)
        defer(worker, ring, worker->now_ns + delay);
}

void moderation_run(struct worker *worker)
{
    struct port_ring *ring = worker->deferred, *next;
    uint64_t due_ns = UINT64_MAX;

    if (!ring || worker->now_ns < worker->deferred_due_ns)
        return;
    for (; ring; ring = next) {
        next = ring->deferred_next;
        if (ring->due_ns > worker->now_ns)
            due_ns = ring->due_ns < due_ns ? ring->due_ns : due_ns;
        else if (ring_load_acquire(&ring->rx.control->head) == ring->rx.published)
            moderation_leave(worker, ring); /* it has woken by itself */
        else
            wake(worker, ring);
    }
    worker->deferred_due_ns = due_ns;
}
