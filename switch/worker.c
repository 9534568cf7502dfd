/* SPDX-License-Identifier: BSD-2-Clause */
/* worker.h: the loop, and how rings and descriptors join and leave it. */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core.h"
#include "core_offer.h"
#include "forward.h"
#include "handover.h"
#include "log.h"
#include "moderation.h"

#define EVENTS_MAX       64
#define POLL_INTERVAL_NS 50000ULL     /* how often a busy worker looks at its descriptors */
#define IDLE_INTERVAL_NS 5000ULL      /* while there is nothing else to do */
#define HOUSEKEEPING_NS  100000000ULL /* and after what is due by time */
#define SLEEP_MS         150          /* longest sleep: the heartbeat must move (mux_maps.h) */
#define PENDING_SLEEP_MS 1            /* a NIC has not taken everything */

static_assert(WAKE_DELAY_MOST_US < 1000000, "fits tv_nsec");
static_assert(SLEEP_MS * 1000000ULL * 3 < MUX_HEARTBEAT_TIMEOUT_NS + 1,
              "one late wake-up is harmless");

static uint64_t tag_bits(struct event_tag tag)
{
    uint64_t bits;

    memcpy(&bits, &tag, sizeof(bits));
    return bits;
}

int worker_watch(struct worker *worker, int fd, uint32_t events, struct event_tag tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag_bits(tag)};

    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int worker_rewatch(struct worker *worker, int fd, uint32_t events, struct event_tag tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag_bits(tag)};

    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, fd, &event) ? -errno : 0;
}

void worker_unwatch(struct worker *worker, int fd)
{
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void worker_activate(struct worker *worker, struct port_ring *ring)
{
    if (ring->active || ring->held)
        return;
    ring_consumer_wake(&ring->tx);
    ring->active = true;
    ring->idle_rounds = 0;
    ring->credit = 0; /* who slept has paid */
    ring->in_turn = false;
    worker->active[worker->active_count++] = ring;
}

void worker_hold(struct worker *worker, struct port_ring *ring, uint64_t until_ns)
{
    ring->active = false;
    ring->held = true;
    ring->held_until_ns = until_ns;
    if (!worker->held_count || until_ns < worker->held_until_ns)
        worker->held_until_ns = until_ns;
    worker->held[worker->held_count++] = ring;
}

void worker_unhold(struct worker *worker)
{
    uint64_t next = UINT64_MAX;
    uint32_t i = 0;

    while (i < worker->held_count) {
        struct port_ring *ring = worker->held[i];

        if (ring->held_until_ns > worker->now_ns) {
            next = ring->held_until_ns < next ? ring->held_until_ns : next;
            i++;
            continue;
        }
        worker->held[i] = worker->held[--worker->held_count];
        ring->held = false;
        worker_activate(worker, ring);
    }
    worker->held_until_ns = next;
}

int worker_watch_ring(struct worker *worker, struct port_ring *ring)
{
    struct event_tag tag = {
        .kind = EVENT_RING,
        .ring = ring->index,
        .index = (uint16_t)ring->port->slot,
        .generation = ring->port->number,
    };

    return worker_watch(worker, ring->tx_fd, EPOLLIN | EPOLLET, tag);
}

void worker_join(struct worker *worker, struct port *port)
{
    worker->ports[port->slot] = port;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        if (port->rings[i].worker != worker)
            continue;
        worker->ring_count++;
        worker_activate(worker, &port->rings[i]);
    }
}

static void leave(struct worker *worker, struct port_ring *ring)
{
    /* Closing alone would not do: the application has the same open file. */
    worker_unwatch(worker, ring->tx_fd);
    for (uint32_t i = 0; ring->active && i < worker->active_count; i++) {
        if (worker->active[i] == ring) {
            worker->active[i] = worker->active[--worker->active_count];
            ring->active = false;
        }
    }
    for (uint32_t i = 0; ring->held && i < worker->held_count; i++) {
        if (worker->held[i] == ring) {
            worker->held[i] = worker->held[--worker->held_count];
            ring->held = false;
        }
    }
    for (struct port_ring **at = &worker->touched; *at; at = &(*at)->touched_next) {
        if (*at == ring) {
            *at = ring->touched_next;
            break;
        }
    }
    moderation_leave(worker, ring);
    worker->ring_count--;
}

void worker_leave(struct worker *worker, struct port *port)
{
    worker->ports[port->slot] = NULL;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        if (port->rings[i].worker == worker)
            leave(worker, &port->rings[i]);
    }
    capture_detach(worker, port);
    forward_forget(worker, port);
}

void worker_ring(const struct worker *worker)
{
    const uint64_t one = 1;

    if (write(worker->bell_fd, &one, sizeof(one)) < 0) {
        /* it is full, and so readable */
    }
}

void worker_pin(const struct worker *worker)
{
    uint32_t cpu = worker->core->config.cpus[worker->index];
    cpu_set_t set;

    if (!cpu)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu - 1, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        log_warning("worker %u does not run on processor %u alone: %s", worker->index, cpu - 1,
                    strerror(errno));
}

void worker_add_queue(struct worker *worker, struct nic_queue *queue)
{
    struct worker_queue *own = &worker->queues[worker->queue_count];
    struct event_tag tag = {.kind = EVENT_NIC, .index = (uint16_t)worker->queue_count};
    int fd = queue->ops->fd(queue);

    own->queue = queue;
    if (fd >= 0 && queue->ops->waiting_costs) {
        worker->sleepers[worker->sleeper_count] = (struct pollfd){.fd = fd, .events = POLLIN};
        worker->sleeper_queues[worker->sleeper_count++] = tag.index;
        own->watched = true;
    } else if (fd >= 0) {
        own->watched = worker_watch(worker, fd, EPOLLIN, tag) == 0;
    }
    worker->queue_count++;
}

/* poll(2) passes over what is negative. */
static void ignore_queue(struct worker *worker, const struct worker_queue *queue)
{
    int fd = queue->queue->ops->fd(queue->queue);

    if (!queue->queue->ops->waiting_costs)
        worker_unwatch(worker, fd);
    for (uint32_t i = 1; i < worker->sleeper_count; i++) {
        if (worker->sleepers[i].fd == fd)
            worker->sleepers[i].fd = -1;
    }
}

/* A NIC's descriptor that only reports errors would wake us for ever. */
static void on_nic(struct worker *worker, uint32_t index, uint32_t events)
{
    struct worker_queue *own = &worker->queues[index];
    const struct nic_ops *ops = own->queue->ops;

    own->queue->readable = true;
    if (!(events & (EPOLLERR | EPOLLHUP)) || !own->watched)
        return;
    if (ops->heal && ops->heal(own->queue))
        return;
    log_warning("%s: queue %u reports an error; the device may be gone", own->queue->nic->name,
                own->queue->index);
    ignore_queue(worker, own);
    own->watched = false;
}

static void on_ring(struct worker *worker, struct event_tag tag)
{
    struct port *port = tag.index < worker->core->ports.capacity ? worker->ports[tag.index] : NULL;

    if (port && port->number == tag.generation && tag.ring < port->ring_count)
        worker_activate(worker, &port->rings[tag.ring]);
}

static void handle(struct worker *worker, const struct epoll_event *event)
{
    struct event_tag tag;

    memcpy(&tag, &event->data.u64, sizeof(tag));
    switch ((enum event_kind)tag.kind) {
    case EVENT_CHANNEL: core_hear_keeper(worker->core); break;
    case EVENT_LISTENER: control_accept(worker->core); break;
    case EVENT_CONNECTION:
        control_serve(worker->core, tag.index, tag.generation, event->events);
        break;
    case EVENT_RING: on_ring(worker, tag); break;
    case EVENT_GROUPS: groups_serve(worker); break;
    case EVENT_NIC: on_nic(worker, tag.index, event->events); break;
    case EVENT_MEMORY: memory_thread_serve(worker->core); break;
    case EVENT_BELL: break; /* awake is all */
    }
}

static void hear_queues(struct worker *worker)
{
    static_assert(POLLERR == EPOLLERR && POLLHUP == EPOLLHUP, "on_nic() is told either");

    for (uint32_t i = 1; i < worker->sleeper_count; i++) {
        if (worker->sleepers[i].revents)
            on_nic(worker, worker->sleeper_queues[i], (uint32_t)worker->sleepers[i].revents);
    }
}

/* At most `timeout_ms`, and until somebody is to be woken, if that comes first: to the microsecond, where
 * milliseconds do otherwise. */
static void sleep_on_all(struct worker *worker, int timeout_ms)
{
    uint64_t due_ns = moderation_due(worker), left_ns = (uint64_t)timeout_ms * 1000000;
    struct timespec left;

    if (due_ns < worker->now_ns + left_ns)
        left_ns = due_ns > worker->now_ns ? due_ns - worker->now_ns : 0;
    left = (struct timespec){.tv_nsec = (long)left_ns}; /* SLEEP_MS is below a second */
    if (ppoll(worker->sleepers, worker->sleeper_count, &left, NULL) > 0)
        hear_queues(worker);
}

static void poll_descriptors(struct worker *worker, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = 0;

    if (timeout_ms)
        sleep_on_all(worker, timeout_ms);
    if (!timeout_ms || worker->sleepers[0].revents)
        count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, 0);
    __atomic_store_n(&worker->asleep, 0, __ATOMIC_RELAXED);
    worker->now_ns = core_clock();
    worker->polled_ns = worker->now_ns;
    worker->cpu = (uint32_t)(sched_getcpu() + 1);
    for (int i = 0; i < count; i++)
        handle(worker, &events[i]);
}

static void housekeep(struct worker *worker)
{
    worker->housekept_ns = worker->now_ns;
    /* who never sleeps hears of errors here */
    if (worker->sleeper_count > 1 && poll(worker->sleepers, worker->sleeper_count, 0) > 0)
        hear_queues(worker);
    forward_expire(worker);
    fragments_expire(&worker->fragments, worker->now_ns);
    if (worker->index == 0) {
        control_housekeep(worker->core);
        core_report_wires(worker->core);
        core_report_napi(worker->core);
        crew_retire(worker->core);
    }
}

bool worker_round(struct worker *worker)
{
    struct switch_core *core = worker->core;
    uint32_t work = 0;

    crew_apply(worker);
    if (worker->lane_count)
        work += handover_take(worker);
    for (uint32_t i = 0; i < worker->queue_count; i++)
        work += forward_receive(worker, &worker->queues[i]);
    work += forward_transmit(worker);
    moderation_run(worker);
    if (worker->broken && worker->index) {
        worker->broken = false;
        __atomic_store_n(&core->broken, true, __ATOMIC_RELEASE);
        ring_fence();
        worker_wake(&core->workers[0]);
    }
    if (!worker->index && (worker->broken || __atomic_load_n(&core->broken, __ATOMIC_RELAXED))) {
        worker->broken = false;
        __atomic_store_n(&core->broken, false, __ATOMIC_RELAXED);
        control_reap(core);
    }
    return work != 0;
}

/* Says that others must wake this worker, and then looks whether they have something for it. */
static bool may_sleep(struct worker *worker)
{
    ring_store_relaxed(&worker->asleep, 1);
    ring_fence();
    return !handover_waits(worker) && !crew_has_news(worker) && !core_stops(worker->core) &&
           (worker->index || !__atomic_load_n(&worker->core->broken, __ATOMIC_RELAXED));
}

/* A ring was held back for want of room, and the NIC has more by now: nobody would wake us for that, since
 * it was there before it was asked to. */
static bool has_more_room(const struct worker_queue *queue)
{
    return queue->interrupted && queue->queue->ops->room(queue->queue) > queue->room;
}

/* Parks every ring and asks every NIC. False: somebody has work after all. */
static bool prepare_sleep(struct worker *worker)
{
    uint32_t i = 0;

    while (i < worker->active_count) {
        struct port_ring *ring = worker->active[i];

        /* one that a full NIC holds back stays in the round, which then goes on by time */
        if (ring->tx.head != ring->tx.tail) {
            i++;
            continue;
        }
        if (!ring_consumer_sleep(&ring->tx))
            return false;
        ring->active = false;
        worker->active[i] = worker->active[--worker->active_count];
    }
    for (i = 0; i < worker->queue_count; i++) {
        struct worker_queue *queue = &worker->queues[i];

        if (!queue->queue->ops->sleep(queue->queue) || has_more_room(queue))
            return false;
    }
    return worker->core->worker_count == 1 || may_sleep(worker);
}

/* Until the first ring that is held may send again, but not longer than `longest`. */
static int held_time(const struct worker *worker, int longest)
{
    uint64_t left_ms = 0;

    if (!worker->held_count)
        return longest;
    if (worker->held_until_ns > worker->now_ns)
        left_ms = (worker->held_until_ns - worker->now_ns + 999999) / 1000000;
    return left_ms < (uint64_t)longest ? (int)left_ms : longest;
}

/* 0: do not sleep. */
static int sleep_time(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        if (!worker->queues[i].watched && worker->queues[i].queue->nic->up)
            return PENDING_SLEEP_MS; /* a driver that can only be polled */
    }
    if (worker->tx_pending || worker->active_count || handover_is_stuck(worker))
        return held_time(worker, PENDING_SLEEP_MS);
    return held_time(worker, SLEEP_MS);
}

/* Nothing to do: whether to go on looking. */
static bool polls_on(struct worker *worker)
{
    enum adaptive_poll_advice advice = adaptive_poll_idle(&worker->poll, worker->now_ns);

    if (advice == ADAPTIVE_POLL_OFFER && core_offer(&worker->poll)) {
        worker->now_ns = core_clock();
        adaptive_poll_contended(&worker->poll, worker->now_ns);
        return false;
    }
    return advice != ADAPTIVE_POLL_SLEEP;
}

static void step(struct worker *worker)
{
    bool worked = worker_round(worker);

    worker->now_ns = core_clock();
    __atomic_store_n(&worker->beat_ns, worker->now_ns, __ATOMIC_RELAXED);
    if (worker->index == 0 && crew_is_alive(worker->core, worker->now_ns))
        __atomic_store_n(&worker->core->shared->heartbeat_ns, worker->now_ns, __ATOMIC_RELAXED);
    if (worker->now_ns - worker->housekept_ns >= HOUSEKEEPING_NS)
        housekeep(worker);
    if (worked)
        adaptive_poll_worked(&worker->poll, worker->now_ns);
    worker->idle = !worked;
    if (worked || polls_on(worker)) {
        if (worker->now_ns - worker->polled_ns >= (worked ? POLL_INTERVAL_NS : IDLE_INTERVAL_NS))
            poll_descriptors(worker, 0);
    } else {
        bool sleeps = prepare_sleep(worker);

        if (sleeps)
            stats_add(&worker->sleeps, 1);
        poll_descriptors(worker, sleeps ? sleep_time(worker) : 0);
    }
}

void worker_run(struct worker *worker)
{
    worker->now_ns = core_clock();
    worker->housekept_ns = worker->now_ns;
    while (!core_stops(worker->core))
        step(worker);
}

/* The eBPF map is written once for all, by the first worker's table. */
static int init_names(struct worker *worker)
{
    struct switch_core *core = worker->core;

    return namespace_init(&worker->names, &core->key,
                          worker->index == 0 ? core->bindings_map_fd : -1);
}

int worker_init(struct worker *worker, struct switch_core *core, uint32_t index)
{
    const struct event_tag bell = {.kind = EVENT_BELL};
    int status;

    *worker = (struct worker){.core = core, .index = index, .epoll_fd = -1, .bell_fd = -1};
    worker->now_ns = core_clock();
    adaptive_poll_init(&worker->poll, core->config.busy_poll_us);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll_fd < 0)
        return -errno;
    worker->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->bell_fd < 0 || worker_watch(worker, worker->bell_fd, EPOLLIN | EPOLLET, bell)) {
        status = -errno;
        worker_dispose(worker);
        return status;
    }
    worker->sleepers[0] = (struct pollfd){.fd = worker->epoll_fd, .events = POLLIN};
    worker->sleeper_count = 1;
    worker->ports = calloc(core->config.ports_max, sizeof(struct port *));
    worker->active = calloc((size_t)core->config.ports_max * PORT_RINGS_MAX, sizeof(void *));
    worker->held = calloc((size_t)core->config.ports_max * PORT_RINGS_MAX, sizeof(void *));
    worker->scratch = calloc(2, WORKER_SCRATCH_SIZE);
    if (!worker->ports || !worker->active || !worker->held || !worker->scratch ||
        init_names(worker) || next_hops_init(&worker->hops, &core->key, core->channel_fd) ||
        parking_init(&worker->parking) || fragments_init(&worker->fragments)) {
        worker_dispose(worker);
        return -ENOMEM;
    }
    worker->scratch_cut = worker->scratch + WORKER_SCRATCH_SIZE;
    return 0;
}

void worker_dispose(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++)
        worker->queues[i].queue->ops->close(worker->queues[i].queue);
    fragments_dispose(&worker->fragments);
    parking_dispose(&worker->parking);
    next_hops_dispose(&worker->hops);
    namespace_dispose(&worker->names);
    free(worker->scratch);
    free(worker->held);
    free(worker->active);
    free(worker->ports);
    if (worker->bell_fd >= 0)
        close(worker->bell_fd);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    *worker = (struct worker){.epoll_fd = -1, .bell_fd = -1};
}
