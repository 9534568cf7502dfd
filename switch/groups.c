/* SPDX-License-Identifier: BSD-2-Clause */
/* groups.h */
#include "groups.h"

#include "../bpf/groups.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "forward.h"
#include "placeholder.h"

#define RECORDS_PER_TURN 64

static struct tuple key_of(uint64_t cookie)
{
    return (struct tuple){.low = cookie};
}

void groups_init(struct groups *groups)
{
    *groups = (struct groups){.ring_fd = -1, .filter_fd = -1};
}

int groups_open(struct switch_core *core, int ring_fd, int filter_fd)
{
    struct groups *groups = &core->groups;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct event_tag tag = {.kind = EVENT_GROUPS};
    void *consumer, *producer;

    if (groups->ring_fd >= 0)
        return -EEXIST;
    groups->ring_fd = ring_fd;
    groups->filter_fd = filter_fd;
    consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
    if (consumer == MAP_FAILED)
        return -errno;
    groups->consumer_page = consumer;
    /* The records are mapped twice in a row, so that each is in one piece. */
    producer = mmap(NULL, page + 2 * (size_t)GROUPS_RING_SIZE, PROT_READ, MAP_SHARED, ring_fd,
                    (off_t)page);
    if (producer == MAP_FAILED)
        return -errno;
    groups->producer_pages = producer;
    if (tuple_table_init(&groups->members, &core->key, NAMESPACE_BINDINGS_MAX))
        return -ENOMEM;
    return worker_watch(&core->workers[0], ring_fd, EPOLLIN, tag);
}

void groups_dispose(struct groups *groups)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (groups->members.slots)
        tuple_table_dispose(&groups->members);
    if (groups->producer_pages)
        munmap(groups->producer_pages, page + 2 * (size_t)GROUPS_RING_SIZE);
    if (groups->consumer_page)
        munmap(groups->consumer_page, page);
    if (groups->ring_fd >= 0)
        close(groups->ring_fd);
    if (groups->filter_fd >= 0)
        close(groups->filter_fd);
    groups_init(groups);
}

int groups_enter(struct switch_core *core, const struct binding *binding)
{
    struct groups *groups = &core->groups;
    struct tuple key = key_of(binding->cookie);
    int status;

    /* a range has no placeholder */
    if (!groups->members.slots || binding->port_count > 1 ||
        !placeholder_takes_datagrams(tuple_protocol(&binding->tuple)))
        return 0;
    status = tuple_table_add(&groups->members, &key, binding->port, binding->number);
    if (!status)
        ((struct tuple_slot *)tuple_table_find(&groups->members, &key))->detail = binding->ring;
    return status == -EEXIST ? -EADDRINUSE : status; /* the same socket twice */
}

void groups_leave(struct switch_core *core, const struct binding *binding)
{
    struct tuple_table *members = &core->groups.members;
    struct tuple key = key_of(binding->cookie);
    const struct tuple_slot *slot = members->slots ? tuple_table_find(members, &key) : NULL;

    if (slot && slot->number == binding->number)
        tuple_table_remove(members, &key);
}

/* Where drops are counted: at the NIC that it came by, or at the first. */
static struct worker_queue *queue_of(struct worker *worker, uint32_t ifindex)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        if (worker->queues[i].queue->nic->ifindex == ifindex)
            return &worker->queues[i];
    }
    return worker->queue_count ? &worker->queues[0] : NULL;
}

static enum drop_reason deliver_copy(struct worker *worker, const struct group_record *record,
                                     const struct worker_queue *queue)
{
    struct nic_frame frame = {.data = (const uint8_t *)(record + 1),
                              .head_length = record->length,
                              .length = record->length};
    struct tuple key = key_of(record->cookie);
    const struct tuple_slot *slot = tuple_table_find(&worker->core->groups.members, &key);
    struct packet_view view;
    struct delivery delivery = {.frame = &frame, .view = &view};
    enum drop_reason reason;

    if (!slot)
        return DROP_RX_NOT_BOUND;
    delivery.ring = slot->detail;
    reason = packet_parse(frame.data, frame.length, frame.length, &view);
    if (reason != DROP_NONE)
        return reason;
    if (!queue || queue->queue->nic->ifindex != record->ifindex || queue->queue->nic->is_virtual)
        delivery.flags = RECORD_CHECKSUM_PARTIAL;
    deliver(worker, slot->value, &delivery); /* counts at the port */
    return DROP_NONE;
}

static void take_record(struct worker *worker, const struct group_record *record)
{
    struct groups *groups = &worker->core->groups;
    struct worker_queue *queue = queue_of(worker, record->ifindex);
    enum drop_reason reason = deliver_copy(worker, record, queue);

    if (queue && reason != DROP_NONE)
        stats_drop(&queue->drops, reason);
    if (queue && record->lost > groups->lost)
        stats_add(&queue->drops.count[DROP_RX_GROUP_LOST], record->lost - groups->lost);
    groups->lost = record->lost;
}

void groups_serve(struct worker *worker)
{
    const struct groups *groups = &worker->core->groups;
    uint64_t *consumer = (uint64_t *)groups->consumer_page;
    const uint8_t *records = groups->producer_pages + sysconf(_SC_PAGESIZE);
    uint64_t at = *consumer;

    for (uint32_t i = 0; i < RECORDS_PER_TURN; i++) {
        const uint8_t *header = records + (at & (GROUPS_RING_SIZE - 1));
        uint32_t length;

        /* pairs with the kernel's releases: positions before headers, headers before bytes */
        if (at >= __atomic_load_n((const uint64_t *)groups->producer_pages, __ATOMIC_ACQUIRE))
            break;
        length = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
        if (length & BPF_RINGBUF_BUSY_BIT)
            break;
        if (!(length & BPF_RINGBUF_DISCARD_BIT))
            take_record(worker, (const struct group_record *)(header + BPF_RINGBUF_HDR_SZ));
        length &= ~(uint32_t)(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        at += (length + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
        __atomic_store_n(consumer, at, __ATOMIC_RELEASE);
    }
    deliver_publish(worker);
}
