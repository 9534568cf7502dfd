/* SPDX-License-Identifier: BSD-2-Clause */
/* port.h: the memory of ports, their beginning and their end. */
#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "core.h"
#include "huge_map.h"

int port_table_init(struct port_table *table, uint32_t capacity)
{
    *table = (struct port_table){.capacity = capacity,
                                 .next_number = 1,
                                 .free_binding = BINDING_NONE,
                                 .first_notice = BINDING_NONE,
                                 .deadline_ns = UINT64_MAX};
    table->slots = calloc(capacity, sizeof(struct port *));
    /* Only what is used is ever touched, so only that becomes memory. */
    table->bindings = calloc(NAMESPACE_BINDINGS_MAX, sizeof(struct binding));
    if (table->slots && table->bindings)
        return 0;
    port_table_dispose(table);
    return -ENOMEM;
}

void port_table_dispose(struct port_table *table)
{
    free(table->slots);
    free(table->bindings);
    *table = (struct port_table){.slots = NULL};
}

void port_ring_wake(const struct port_ring *ring)
{
    const uint64_t edge = 0; /* see port.h */

    if (write(ring->rx_fd, &edge, sizeof(edge)) < 0) {
        /* a write of 0 cannot fail for want of room; nothing else is ours to mend */
    }
}

/* A region of zeros that is wholly there, and whose size nobody can change. Huge pages come first,
 * while the file is empty; fallocate() then makes what is missing, or says that there is no memory,
 * which touching a page would say by SIGBUS. */
static int make_region(struct port *port)
{
    int fd = memfd_create("multistack-port", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    port->memory_fd = fd;
    if (ftruncate(fd, (off_t)port->region_size))
        return -errno;
    port->region = huge_map(fd, port->region_size);
    if (port->region == MAP_FAILED) {
        port->region = NULL;
        return -errno;
    }
    port->huge_bytes = huge_fill(port->region, port->region_size);
    if (fallocate(fd, 0, 0, (off_t)port->region_size) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return errno == ENOSPC ? -ENOMEM : -errno;
    /* So that no packet meets a page fault; where the kernel is too old, some do. */
    madvise(port->region, port->region_size, MADV_POPULATE_WRITE);
    *(struct port_region *)port->region = (struct port_region){
        .magic = PORT_REGION_MAGIC,
        .version = PORT_REGION_VERSION,
        .ring_count = port->ring_count,
        .rx_size = port->rx_size,
        .tx_size = port->tx_size,
        .rings_offset = (uint32_t)port_layout_rings_offset(),
        .data_offset = port_layout_data_offset(port->ring_count),
        .region_size = port->region_size,
    };
    return 0;
}

static int make_ring(struct port *port, uint32_t index)
{
    struct port_ring *ring = &port->rings[index];
    uint8_t *region = port->region;

    ring->rx_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    ring->tx_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ring->rx_fd < 0 || ring->tx_fd < 0)
        return -errno;
    ring_producer_init(
        &ring->rx, (struct ring_control *)(region + port_layout_rx_control(index)),
        region + port_layout_rx_data(port->ring_count, port->rx_size, port->tx_size, index),
        port->rx_size);
    ring_consumer_init(
        &ring->tx, (struct ring_control *)(region + port_layout_tx_control(index)),
        region + port_layout_tx_data(port->ring_count, port->rx_size, port->tx_size, index),
        port->tx_size);
    return 0;
}

int port_make(struct port *port)
{
    int status = make_region(port);

    for (uint32_t i = 0; !status && i < port->ring_count; i++)
        status = make_ring(port, i);
    return status;
}

void port_unmake(struct port *port)
{
    for (uint32_t i = 0; i < port->ring_count; i++) {
        if (port->rings[i].rx_fd >= 0)
            close(port->rings[i].rx_fd);
        if (port->rings[i].tx_fd >= 0)
            close(port->rings[i].tx_fd);
    }
    if (port->region)
        munmap(port->region, port->region_size);
    if (port->memory_fd >= 0)
        close(port->memory_fd);
    free(port->capture);
    free(port);
}

void port_free(struct switch_core *core, struct port *port)
{
    core->ports.memory -= port->region_size;
    memory_thread_unmake(core, port);
}

static struct port *allocate_port(const struct port_request *request)
{
    size_t size = sizeof(struct port) + request->ring_count * sizeof(struct port_ring);
    struct port *port = aligned_alloc(64, (size + 63) & ~(size_t)63);

    if (!port)
        return NULL;
    memset(port, 0, size);
    memcpy(port->name, request->name, sizeof(port->name));
    port->ring_count = request->ring_count;
    port->merged_rx = request->merged_rx;
    port->inspected = request->inspected;
    port->pid = request->pid;
    port->uid = request->uid;
    port->rx_size = request->rx_size;
    port->tx_size = request->tx_size;
    port->region_size =
        port_layout_region_size(request->ring_count, request->rx_size, request->tx_size);
    port->memory_fd = -1;
    port->first_binding = BINDING_NONE;
    for (uint32_t i = 0; i < port->ring_count; i++) {
        port->rings[i].port = port;
        port->rings[i].index = (uint8_t)i;
        port->rings[i].rx_fd = port->rings[i].tx_fd = -1;
    }
    return port;
}

static void limit_rings(const struct switch_core *core, struct port *port)
{
    for (uint32_t i = 0; i < port->ring_count; i++)
        port->rings[i].limited =
            port_rates_limit(&core->port_rates, port->uid, port->ring_count, &port->rings[i].limit);
}

static uint32_t free_slot(const struct port_table *table)
{
    uint32_t slot = 0;

    while (slot < table->capacity && table->slots[slot])
        slot++;
    return slot;
}

int port_begin(struct switch_core *core, const struct port_request *request, struct port **begun)
{
    struct port_table *table = &core->ports;
    struct port *port;

    if (table->count + table->opening >= table->capacity)
        return -ENOSPC;
    port = allocate_port(request);
    if (!port)
        return -ENOMEM;
    limit_rings(core, port);
    crew_retire(core); /* of ports closed lately, whose memory counts */
    if (port->region_size > PORT_MEMORY_MAX ||
        table->memory + port->region_size > SWITCH_MEMORY_MAX) {
        free(port);
        return -ENOSPC;
    }
    table->memory += port->region_size;
    table->opening++;
    *begun = port;
    return 0;
}

int port_finish(struct switch_core *core, struct port *port)
{
    struct port_table *table = &core->ports;
    const struct change change = {.kind = CHANGE_PORT_JOIN, .port = port};
    int status = 0;

    port->slot = free_slot(table);
    port->number = table->next_number;
    port->opened_ns = core_clock();
    /* a number is never used again, even if it comes to nothing: events name it */
    if (++table->next_number == 0)
        table->next_number = 1;
    for (uint32_t i = 0; !status && i < port->ring_count; i++) {
        struct port_ring *ring = &port->rings[i];

        ring->worker = &core->workers[(port->number + i) % core->worker_count];
        status = worker_watch_ring(ring->worker, ring);
    }
    if (!status)
        status = core_change(core, &change);
    table->opening--;
    if (status) {
        port_free(core, port); /* with its descriptors, which nobody else has yet, the watches go */
        return status;
    }
    table->slots[port->slot] = port;
    table->count++;
    return 0;
}

int port_open(struct switch_core *core, const struct port_request *request, struct port **opened)
{
    int status = port_begin(core, request, opened);

    if (status)
        return status;
    status = port_make(*opened);
    if (!status)
        return port_finish(core, *opened);
    core->ports.opening--;
    port_free(core, *opened);
    return status;
}

/* The end of a port. Who could still refer to it, and why nobody does:
 *
 *   1. Packets on their way from the NIC. Its bindings leave the eBPF map first: the mux stops
 *      redirecting. Then the switch's own tables: what the mux redirected before finds no owner and
 *      is counted rx_not_bound. Then the placeholder closes, and the kernel may give the address to
 *      somebody else; a worker that has not come round since may move packets of ours for the rest
 *      of its round, as packets on the wire do.
 *   2. The workers' lists: ports, active, touched, served. CHANGE_PORT_LEAVE takes it and its rings
 *      out of them, on each worker's own thread between two of its rounds, so no batch holds one.
 *   3. Other workers' namespaces. They are sent the end of each binding before CHANGE_PORT_LEAVE, and
 *      make changes in that order. In the middle of a round (crew_catch_up()) they take changes of
 *      the namespace alone and stop at the first other one.
 *   4. Packets in a lane between two workers (handover.h). They name slot and number of the port.
 *      Whoever takes them out looks in its own list of ports, which 2. has changed; a slot that is
 *      used again has another number.
 *   5. Descriptors in the epoll sets. worker_leave() takes the TX eventfd out; an event that was
 *      fetched before names slot and number, too (worker.c, on_ring).
 *   6. Packets that wait for a next hop: worker_leave() drops them.
 *   7. The application. It may go on reading and writing its mapping of the region; nobody looks
 *      there any more, and the memory is given back with its last mapping.
 *
 * So when every worker has applied CHANGE_PORT_LEAVE, the memory can be unmapped and the struct
 * freed, by the memory thread: port_free(), at once where there is one worker, else by
 * crew_retire(). */
void port_close(struct switch_core *core, struct port *port)
{
    const struct change change = {.kind = CHANGE_PORT_LEAVE, .port = port};
    struct port_table *table = &core->ports;

    while (port->first_binding != BINDING_NONE)
        binding_close(core, &table->bindings[port->first_binding]);
    table->slots[port->slot] = NULL;
    table->count--;
    capture_port_gone(core, port);
    if (!core_change(core, &change) && core->worker_count == 1)
        port_free(core, port);
}
