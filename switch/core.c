/* SPDX-License-Identifier: BSD-2-Clause */
/* core.h: the switch's parts put together, and taken apart in the opposite order. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "handover.h"

#define MTU_DEFAULT 1500

uint64_t core_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

uint32_t core_mtu(const struct switch_core *core)
{
    uint32_t mtu = 0;

    for (uint32_t i = 0; i < core->nic_count; i++) {
        uint32_t own = core->nics[i].mtu;

        if (core->nics[i].is_loopback)
            continue; /* far more than any wire carries; large sends make use of it */
        if (core->nics[i].frame_max && own > core->nics[i].frame_max - ETHER_HEADER_SIZE)
            own = core->nics[i].frame_max - ETHER_HEADER_SIZE;
        if (!mtu || own < mtu)
            mtu = own;
    }
    return mtu ? mtu : MTU_DEFAULT;
}

void core_share(struct switch_core *core, struct mux_shared *shared)
{
    core->shared = core->workers[0].names.mux_shared = shared;
    for (uint32_t protocol = 0; protocol < 256; protocol++)
        shared->bound[protocol] =
            protocols_have_ports(&core->protocols, (uint8_t)protocol) ? MUX_BOUND_PORTS : 0;
}

int core_init(struct switch_core *core, int channel_fd, int listen_fd, int bindings_map_fd)
{
    uint32_t wanted = core->config.workers ? core->config.workers : 1;
    int status;

    if (wanted > SWITCH_WORKERS_MAX)
        return -EINVAL;
    core->channel_fd = channel_fd;
    core->control.listen_fd = core->control.spare_fd = -1;
    core->shared = &core->own_shared;
    core->silencer_fd = -1;
    static_assert(sizeof(core->key) == sizeof(core->config.hash_key), "one is the other");
    memcpy(&core->key, core->config.hash_key, sizeof(core->key));
    /* tests have no keeper */
    if (!core->key.word[3] && getrandom(&core->key, sizeof(core->key), 0) != sizeof(core->key))
        return -EIO;
    protocols_init(&core->protocols);
    groups_init(&core->groups);
    guard_init(&core->guard);
    core->bindings_map_fd = bindings_map_fd;
    status = port_table_init(&core->ports, core->config.ports_max);
    for (uint32_t i = 0; !status && i < wanted; i++) {
        status = worker_init(&core->workers[i], core, i);
        core->worker_count += !status;
    }
    if (!status)
        status = crew_init(core);
    if (status)
        return status;
    return control_init(core, listen_fd);
}

void core_dispose(struct switch_core *core)
{
    crew_stop(core);
    if (core->control.connections)
        control_dispose(core);
    for (uint32_t slot = 0; slot < core->ports.capacity && core->ports.slots; slot++) {
        if (core->ports.slots[slot]) /* of tests, which have no connection */
            port_close(core, core->ports.slots[slot]);
    }
    crew_dispose(core);
    memory_thread_stop(core);
    port_table_dispose(&core->ports);
    handover_dispose(core);
    guard_judge_end(core); /* workers have parts of it */
    for (uint32_t i = 0; i < core->worker_count; i++)
        worker_dispose(&core->workers[i]);
    for (uint32_t i = 0; i < core->nic_count; i++) {
        if (core->nics[i].verdicts_fd >= 0)
            close(core->nics[i].verdicts_fd);
        free(core->nics[i].queues);
    }
    groups_dispose(&core->groups);
    guard_dispose(&core->guard);
    if (core->shared != &core->own_shared) {
        core->shared->heartbeat_ns = 0; /* the mux passes everything from now on */
        munmap(core->shared, sizeof(struct mux_shared));
    }
    if (core->silencer_fd >= 0)
        close(core->silencer_fd);
    if (core->bindings_map_fd >= 0)
        close(core->bindings_map_fd);
}
