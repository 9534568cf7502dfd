/* SPDX-License-Identifier: BSD-2-Clause */
/* query.h. A cursor is the place in the subject's list where the next page begins; places are slots
 * of tables, which keep their number while records come and go. */
#include "query.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "core.h"
#include "handover.h"
#include "suspension.h"

#define MUX_CPUS_MAX 1024 /* values of one element of mux_verdicts that are added up */

/* The message being written. */
struct page {
    struct control_records *head;
    uint8_t *records;
    uint32_t room; /* bytes */
};

static void *page_add(struct page *page)
{
    uint32_t size = page->head->record_size;
    uint8_t *record = page->records + (size_t)page->head->count * size;

    page->head->count++;
    page->room -= size;
    memset(record, 0, size);
    return record;
}

static bool page_has_room(const struct page *page, uint32_t records)
{
    return page->room >= records * page->head->record_size;
}

static void put_status(struct switch_core *core, struct page *page)
{
    struct control_status_record *record = page_add(page);

    snprintf(record->version, sizeof(record->version), "%s", MULTISTACK_VERSION);
    record->instance = core->config.instance;
    record->uptime_ns = core_clock() - core->config.started_ns;
    record->switch_pid = (uint32_t)getpid();
    record->keeper_pid = core->config.keeper_pid;
    record->restarts = core->config.restarts;
    record->nics = core->nic_count;
    record->ports = core->ports.count;
    record->bindings = core->ports.binding_count;
    record->workers = core->worker_count;
    record->absent = core->config.absent;
}

static void put_nics(struct switch_core *core, struct page *page, uint64_t from)
{
    for (uint64_t i = from; i < core->nic_count; i++) {
        const struct nic *nic = &core->nics[i];
        struct control_nic_record *record;

        if (!page_has_room(page, 1)) {
            page->head->cursor = i;
            return;
        }
        record = page_add(page);
        snprintf(record->name, sizeof(record->name), "%s", nic->name);
        snprintf(record->driver, sizeof(record->driver), "%s", nic->ops->name);
        snprintf(record->xdp_mode, sizeof(record->xdp_mode), "%s", nic->xdp_mode);
        snprintf(record->copy_mode, sizeof(record->copy_mode), "%s", nic->copy_mode);
        record->index = nic->index;
        record->ifindex = nic->ifindex;
        record->queues = nic->queue_count;
        record->mtu = nic->mtu;
        record->up = nic->up;
        memcpy(record->mac, nic->mac, sizeof(record->mac));
    }
}

static void put_ports(struct switch_core *core, struct page *page, uint64_t from)
{
    uint64_t now_ns = core_clock();

    for (uint64_t slot = from; slot < core->ports.capacity; slot++) {
        const struct port *port = core->ports.slots[slot];
        struct control_port_record *record;

        if (!port)
            continue;
        if (!page_has_room(page, 1)) {
            page->head->cursor = slot;
            return;
        }
        record = page_add(page);
        memcpy(record->name, port->name, sizeof(record->name));
        record->port = port->number;
        record->pid = (uint32_t)port->pid;
        record->uid = port->uid;
        record->ring_count = port->ring_count;
        record->rx_size = port->rx_size;
        record->tx_size = port->tx_size;
        record->bindings = port->binding_count;
        record->age_ns = now_ns - port->opened_ns;
        record->huge_bytes = port->huge_bytes;
    }
}

static_assert((int)CONTROL_BINDING_ACTIVE == MEMBER_ACTIVE &&
                  (int)CONTROL_BINDING_WAITING == MEMBER_WAITING &&
                  (int)CONTROL_BINDING_DRAINING == MEMBER_DRAINING,
              "one is told as the other");

static void put_bindings(struct switch_core *core, struct page *page, uint64_t from)
{
    for (uint64_t slot = from; slot < core->ports.bindings_made; slot++) {
        const struct binding *binding = &core->ports.bindings[slot];
        struct control_binding_record *record;

        if (!binding->port)
            continue;
        if (!page_has_room(page, 1)) {
            page->head->cursor = slot;
            return;
        }
        record = page_add(page);
        record->address = tuple_to_address(&binding->tuple);
        record->binding = binding->number;
        record->port = binding->port->number;
        record->flags =
            (binding->shared ? CONTROL_BIND_SHARED : 0) | (binding->ring ? CONTROL_BIND_RING : 0);
        record->ring = binding->ring ? binding->ring - 1u : 0;
        record->state = binding->state == MEMBER_ACTIVE && suspension_holds(core, &binding->tuple)
                            ? CONTROL_BINDING_SUSPENDED
                            : binding->state;
        record->connected = binding->connected_count;
        record->port_count = binding->port_count;
    }
}

static void put_guard(struct switch_core *core, struct page *page, uint64_t from)
{
    const struct guard *guard = &core->guard;
    uint64_t now_ns = core_clock();

    for (uint64_t i = from; i < guard->made; i++) {
        const struct guard_rule *rule = &guard->rules[i];
        struct control_guard_record *record;

        if (!rule->kind || (!rule->binding && rule->slot != GUARD_EVERYWHERE)) /* it waits */
            continue;
        if (!page_has_room(page, 1)) {
            page->head->cursor = i;
            return;
        }
        record = page_add(page);
        if (rule->binding) {
            record->address = tuple_to_address(&guard->places[rule->slot].tuple);
            record->binding = rule->binding;
            record->port_count = guard->places[rule->slot].port_count;
            record->port =
                core->ports.bindings[rule->binding % NAMESPACE_BINDINGS_MAX].port->number;
        }
        record->prefix = rule->prefix;
        record->kind = rule->kind;
        record->rate = rule->rate;
        record->burst = rule->burst;
        if (rule->until_ns != GUARD_FOR_EVER) /* 0 would be for ever */
            record->left_ns = rule->until_ns > now_ns ? rule->until_ns - now_ns : 1;
    }
}

/* Whose counters are being written. */
struct counter_owner {
    struct page *page;
    enum control_scope scope;
    uint32_t id, ring;
};

static void put_counter(const struct counter_owner *owner, const char *prefix, const char *name,
                        uint64_t value)
{
    struct control_counter_record *record = page_add(owner->page);

    snprintf(record->name, sizeof(record->name), "%s%s", prefix, name);
    record->scope = owner->scope;
    record->id = owner->id;
    record->ring = owner->ring;
    record->value = value;
}

static void put_traffic(const struct counter_owner *owner, uint64_t rx_packets, uint64_t rx_bytes,
                        uint64_t tx_packets, uint64_t tx_bytes)
{
    put_counter(owner, "", "rx_packets", rx_packets);
    put_counter(owner, "", "rx_bytes", rx_bytes);
    put_counter(owner, "", "tx_packets", tx_packets);
    put_counter(owner, "", "tx_bytes", tx_bytes);
}

/* Every reason, also those that never happened: a script finds what it looks for. */
static void put_drops(const struct counter_owner *owner, const struct drop_counters *drops)
{
    for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++)
        put_counter(owner, "", drop_reason_name((enum drop_reason)reason),
                    stats_read(&drops->count[reason]));
}

/* What its worker has dropped, and those that use the queue by a relay. */
static struct drop_counters queue_drops(const struct switch_core *core,
                                        const struct nic_queue *queue)
{
    struct drop_counters sum = {{0}};

    for (uint32_t i = 0; i < core->worker_count; i++) {
        for (uint32_t at = 0; at < core->workers[i].queue_count; at++) {
            const struct worker_queue *each = &core->workers[i].queues[at];

            if (handover_queue(each->queue) != queue)
                continue;
            for (uint32_t reason = 0; reason < DROP_REASON_COUNT; reason++)
                sum.count[reason] += stats_read(&each->drops.count[reason]);
        }
    }
    return sum;
}

static const char *mux_verdict_name(enum mux_verdict verdict)
{
    static const char *const names[] = {
#define NAME(symbol, name, text) [MUX_##symbol] = (name),
        MUX_VERDICTS(NAME)
#undef NAME
    };

    return names[verdict];
}

static void put_verdicts(const struct counter_owner *owner, const struct nic *nic)
{
    uint64_t values[MUX_CPUS_MAX];

    for (uint32_t verdict = 0; verdict < MUX_VERDICT_COUNT; verdict++) {
        uint64_t sum = 0;

        if (nic->verdicts_fd < 0 || nic->verdict_cpus > MUX_CPUS_MAX ||
            bpf_map_lookup_elem(nic->verdicts_fd, &verdict, values))
            return;
        for (uint32_t cpu = 0; cpu < nic->verdict_cpus; cpu++)
            sum += values[cpu];
        put_counter(owner, "", mux_verdict_name((enum mux_verdict)verdict), sum);
    }
}

/* What the switch's own guard refused there (guard_judge.h). */
static void put_refused(const struct counter_owner *owner, const struct switch_core *core,
                        const struct nic_queue *queue)
{
    for (uint32_t index = 0; index < MUX_VERDICT_COUNT - MUX_GUARD_FIRST; index++) {
        uint64_t sum = 0;

        for (uint32_t i = 0; i < core->worker_count; i++) {
            for (uint32_t at = 0; at < core->workers[i].queue_count; at++) {
                const struct worker_queue *each = &core->workers[i].queues[at];

                if (handover_queue(each->queue) == queue)
                    sum += __atomic_load_n(&each->refused.count[index], __ATOMIC_RELAXED);
            }
        }
        put_counter(owner, "", mux_verdict_name((enum mux_verdict)(MUX_GUARD_FIRST + index)), sum);
    }
}

static void put_queue_counters(struct switch_core *core, struct page *page, struct nic_queue *queue)
{
    struct counter_owner owner = {page, CONTROL_SCOPE_NIC, queue->nic->index, queue->index};
    const struct drop_counters drops = queue_drops(core, queue);

    if (queue->ops->refresh)
        queue->ops->refresh(queue);
    put_traffic(&owner, stats_read(&queue->counters.rx_packets),
                stats_read(&queue->counters.rx_bytes), stats_read(&queue->counters.tx_packets),
                stats_read(&queue->counters.tx_bytes));
    put_counter(&owner, "", "rx_nic_dropped", queue->counters.rx_dropped);
    if (queue->ops->extras) {
        struct nic_extra extras[NIC_EXTRAS_MAX];
        uint32_t count = queue->ops->extras(queue, extras);

        for (uint32_t i = 0; i < count; i++)
            put_counter(&owner, "", extras[i].name, extras[i].value);
    }
    put_drops(&owner, &drops);
    if (queue->nic->judged)
        put_refused(&owner, core, queue);
    if (queue->index == 0) /* the mux counts for the whole NIC */
        put_verdicts(&owner, queue->nic);
}

static void put_ring_counters(struct page *page, const struct port *port, uint32_t index)
{
    const struct port_ring *ring = &port->rings[index];
    struct counter_owner owner = {page, CONTROL_SCOPE_PORT, port->number, index};

    put_traffic(&owner, stats_read(&ring->traffic.rx_packets), stats_read(&ring->traffic.rx_bytes),
                stats_read(&ring->traffic.tx_packets), stats_read(&ring->traffic.tx_bytes));
    put_counter(&owner, "", "tx_limited", stats_read(&ring->tx_limited));
    put_drops(&owner, &ring->drops);
}

/* What the rules of a policy refused. */
static void put_guard_counts(const struct counter_owner *owner, const struct switch_core *core,
                             uint32_t slot)
{
    struct guard_counts sum;

    if (slot == GUARD_NONE || !guard_read_counts(core, slot, &sum))
        return;
    for (uint32_t verdict = MUX_GUARD_FIRST; verdict < MUX_VERDICT_COUNT; verdict++)
        put_counter(owner, "", mux_verdict_name((enum mux_verdict)verdict),
                    sum.count[verdict - MUX_GUARD_FIRST]);
}

static_assert(MUX_VERDICT_COUNT - MUX_GUARD_FIRST <= GUARD_COUNTS_MAX, "room for each");

/* Of a 3-tuple, as one of its bindings has it. */
static void put_binding_counters(struct switch_core *core, struct page *page,
                                 const struct binding *binding)
{
    struct counter_owner owner = {page, CONTROL_SCOPE_BINDING, binding->number, 0};

    put_guard_counts(&owner, core, guard_place_of(&core->guard, &binding->tuple));
}

static void put_switch_counters(struct switch_core *core, struct page *page)
{
    struct counter_owner owner = {page, CONTROL_SCOPE_SWITCH, 0, 0};
    uint64_t asked = 0, handed_over = 0, late = 0;

    for (uint32_t i = 0; i < core->worker_count; i++) {
        asked += stats_read(&core->workers[i].hops.asked);
        handed_over += stats_read(&core->workers[i].handed_over);
        late += stats_read(&core->workers[i].handed_over_late);
    }
    put_counter(&owner, "", "next_hops_asked", asked);
    put_counter(&owner, "", "handed_over", handed_over);
    put_counter(&owner, "", "handed_over_late", late);
    for (uint32_t reason = DETACH_NONE + 1; reason < DETACH_REASON_COUNT; reason++)
        put_counter(&owner, "ports_detached_", detach_reason_name((enum detach_reason)reason),
                    core->detached[reason]);
    put_guard_counts(&owner, core, GUARD_EVERYWHERE);
}

/* Processor time of its thread; 0: it has none (any more). */
static uint64_t worker_cpu_ns(const struct worker *worker)
{
    struct timespec used;
    clockid_t clock = CLOCK_THREAD_CPUTIME_ID; /* the first one's thread answers */

    if (worker->index &&
        (!worker->has_thread || pthread_getcpuclockid(worker->thread, &clock) != 0))
        return 0;
    if (clock_gettime(clock, &used))
        return 0;
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void put_worker_counters(struct page *page, const struct worker *worker)
{
    struct counter_owner owner = {page, CONTROL_SCOPE_WORKER, worker->index, 0};

    put_counter(&owner, "", "cpu_ns", worker_cpu_ns(worker));
    put_counter(&owner, "", "sleeps", stats_read(&worker->sleeps));
    put_counter(&owner, "", "next_hops_asked", stats_read(&worker->hops.asked));
    put_counter(&owner, "", "handed_over", stats_read(&worker->handed_over));
    put_counter(&owner, "", "handed_over_late", stats_read(&worker->handed_over_late));
}

/* The counters' list: queues of NICs, then rings of ports, then the switch, then its workers, then
 * bindings that have rules of the guard. Each of these has its place, and a page holds whole ones. */
#define QUEUES_PER_NIC   1024ULL
#define PLACE_OF_PORTS   (SWITCH_NICS_MAX * QUEUES_PER_NIC)
#define COUNTERS_AT_ONCE 64

static_assert(4 + 1 + NIC_EXTRAS_MAX + DROP_REASON_COUNT + MUX_VERDICT_COUNT <= COUNTERS_AT_ONCE,
              "the counters of a queue, the longest list");
static_assert(COUNTERS_AT_ONCE * sizeof(struct control_counter_record) <=
                  CONTROL_MESSAGE_MAX - sizeof(struct control_records),
              "a page holds at least one of them");

static void put_counters(struct switch_core *core, struct page *page, uint64_t from)
{
    uint64_t place_of_switch = PLACE_OF_PORTS + (uint64_t)core->ports.capacity * PORT_RINGS_MAX;
    uint64_t place_of_workers = place_of_switch + 1;
    uint64_t place_of_bindings = place_of_workers + core->worker_count;
    uint64_t end = place_of_bindings + (core->guard.count ? core->ports.bindings_made : 0);

    for (uint64_t place = from; place < end; place++) {
        const struct binding *binding = NULL;
        struct nic_queue *queue = NULL;
        const struct port *port = NULL;
        uint32_t ring = (uint32_t)(place - PLACE_OF_PORTS) % PORT_RINGS_MAX;

        if (place < PLACE_OF_PORTS) {
            const struct nic *nic = &core->nics[place / QUEUES_PER_NIC];

            if (place % QUEUES_PER_NIC >= nic->queue_count)
                continue;
            queue = &nic->queues[place % QUEUES_PER_NIC];
        } else if (place < place_of_switch) {
            port = core->ports.slots[(place - PLACE_OF_PORTS) / PORT_RINGS_MAX];
            if (!port || ring >= port->ring_count)
                continue;
        } else if (place >= place_of_bindings) {
            binding = &core->ports.bindings[place - place_of_bindings];
            if (!binding->port || !binding->guard_rules)
                continue;
        }
        if (!page_has_room(page, COUNTERS_AT_ONCE)) {
            page->head->cursor = place;
            return;
        }
        if (queue)
            put_queue_counters(core, page, queue);
        else if (port)
            put_ring_counters(page, port, ring);
        else if (place == place_of_switch)
            put_switch_counters(core, page);
        else if (binding)
            put_binding_counters(core, page, binding);
        else
            put_worker_counters(page, &core->workers[place - place_of_workers]);
    }
}

static void put_captures(struct switch_core *core, struct page *page, uint64_t from)
{
    const uint64_t end = (uint64_t)core->ports.capacity * CAPTURE_SOURCES_MAX;

    for (uint64_t place = from; place < end; place++) {
        const struct port *port = core->ports.slots[place / CAPTURE_SOURCES_MAX];
        uint32_t source = (uint32_t)(place % CAPTURE_SOURCES_MAX);

        if (!port || !port->capture || source >= port->capture->source_count) {
            place |= CAPTURE_SOURCES_MAX - 1;
            continue;
        }
        if (!page_has_room(page, 1)) {
            page->head->cursor = place;
            return;
        }
        capture_describe(port, source, page_add(page));
    }
}

void query_answer(struct switch_core *core, const struct control_query *query, uint8_t *bytes)
{
    static const uint32_t record_sizes[] = {
        [CONTROL_SUBJECT_STATUS] = sizeof(struct control_status_record),
        [CONTROL_SUBJECT_NICS] = sizeof(struct control_nic_record),
        [CONTROL_SUBJECT_PORTS] = sizeof(struct control_port_record),
        [CONTROL_SUBJECT_BINDINGS] = sizeof(struct control_binding_record),
        [CONTROL_SUBJECT_COUNTERS] = sizeof(struct control_counter_record),
        [CONTROL_SUBJECT_GUARD] = sizeof(struct control_guard_record),
        [CONTROL_SUBJECT_CAPTURES] = sizeof(struct control_capture_record),
    };
    struct control_records *head = (struct control_records *)bytes;
    struct page page = {
        .head = head,
        .records = bytes + sizeof(*head),
        .room = CONTROL_MESSAGE_MAX - sizeof(*head),
    };

    *head = (struct control_records){
        .header = {.type = CONTROL_RECORDS, .request = query->header.request},
        .subject = query->subject,
    };
    if (query->subject < sizeof(record_sizes) / sizeof(record_sizes[0]))
        head->record_size = record_sizes[query->subject];
    switch (query->subject) {
    case CONTROL_SUBJECT_STATUS: put_status(core, &page); break;
    case CONTROL_SUBJECT_NICS: put_nics(core, &page, query->cursor); break;
    case CONTROL_SUBJECT_PORTS: put_ports(core, &page, query->cursor); break;
    case CONTROL_SUBJECT_BINDINGS: put_bindings(core, &page, query->cursor); break;
    case CONTROL_SUBJECT_COUNTERS: put_counters(core, &page, query->cursor); break;
    case CONTROL_SUBJECT_GUARD: put_guard(core, &page, query->cursor); break;
    case CONTROL_SUBJECT_CAPTURES: put_captures(core, &page, query->cursor); break;
    default: head->header.error = EINVAL; break;
    }
    head->header.size = (uint32_t)(sizeof(*head) + (size_t)head->count * head->record_size);
}
