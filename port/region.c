/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory that the switch hands over with PORT_OPENED (common/port_layout.h).
 *
 * The switch computes offsets by the same functions as we do, so the numbers in the message and in
 * the region's first page have just one right value each. They are compared and then not used. */
#include "port_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "huge_map.h"

static bool ring_size_fits(uint32_t size)
{
    return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0;
}

static bool message_fits(const struct control_message *message, unsigned ring_count)
{
    const struct control_port_opened *opened = &message->port_opened;

    return message->fd_count == 1 + 2 * ring_count && opened->ring_count == ring_count &&
           ring_size_fits(opened->rx_size) && ring_size_fits(opened->tx_size) &&
           opened->region_size ==
               port_layout_region_size(ring_count, opened->rx_size, opened->tx_size);
}

/* Memory that can shrink would mean SIGBUS. */
static bool memory_fits(int fd, uint64_t size)
{
    struct stat about;
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &about) == 0 &&
           (uint64_t)about.st_size == size;
}

static bool header_fits(const struct region *region)
{
    const struct port_region *header = (const struct port_region *)region->memory;

    return header->magic == PORT_REGION_MAGIC && header->version == PORT_REGION_VERSION &&
           header->ring_count == region->ring_count && header->rx_size == region->rx_size &&
           header->tx_size == region->tx_size &&
           header->rings_offset == port_layout_rings_offset() &&
           header->data_offset == port_layout_data_offset(region->ring_count) &&
           header->region_size == region->size;
}

int region__open(struct region **out, struct control_message *message, unsigned ring_count)
{
    const struct control_port_opened *opened = &message->port_opened;
    struct region *region;
    void *memory;

    if (!message_fits(message, ring_count) || !memory_fits(message->fds[0], opened->region_size))
        return -EPROTO;
    region = calloc(1, sizeof(*region));
    if (!region)
        return -ENOMEM;
    memory = huge_map(message->fds[0], opened->region_size);
    if (memory == MAP_FAILED) {
        free(region);
        return -ENOMEM;
    }
    /* A forked child has no business in the rings. */
    madvise(memory, opened->region_size, MADV_DONTFORK);
    region->memory = memory;
    region->size = opened->region_size;
    region->ring_count = ring_count;
    region->rx_size = opened->rx_size;
    region->tx_size = opened->tx_size;
    if (!header_fits(region)) {
        munmap(memory, opened->region_size);
        free(region);
        return -EPROTO;
    }
    for (unsigned i = 0; i < ring_count; i++) {
        region->rings[i].rx_fd = message->fds[1 + 2 * i];
        region->rings[i].tx_fd = message->fds[2 + 2 * i];
    }
    close(message->fds[0]);
    message->fd_count = 0;
    atomic_init(&region->users, 1);
    *out = region;
    return 0;
}

struct region *region__use(struct region *region)
{
    if (region)
        atomic_fetch_add_explicit(&region->users, 1, memory_order_relaxed);
    return region;
}

void region__drop(struct region *region)
{
    /* acquire and release: what others did with the memory comes before it goes */
    if (!region || atomic_fetch_sub_explicit(&region->users, 1, memory_order_acq_rel) != 1)
        return;
    munmap(region->memory, region->size);
    for (unsigned i = 0; i < region->ring_count; i++) {
        close(region->rings[i].rx_fd);
        close(region->rings[i].tx_fd);
    }
    free(region);
}

struct ring_control *region__rx_control(const struct region *region, unsigned ring)
{
    return (struct ring_control *)(region->memory + port_layout_rx_control(ring));
}

struct ring_control *region__tx_control(const struct region *region, unsigned ring)
{
    return (struct ring_control *)(region->memory + port_layout_tx_control(ring));
}

uint8_t *region__rx_data(const struct region *region, unsigned ring)
{
    return region->memory +
           port_layout_rx_data(region->ring_count, region->rx_size, region->tx_size, ring);
}

uint8_t *region__tx_data(const struct region *region, unsigned ring)
{
    return region->memory +
           port_layout_tx_data(region->ring_count, region->rx_size, region->tx_size, ring);
}
