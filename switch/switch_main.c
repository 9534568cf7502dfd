/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch process, from what the keeper hands over to its end. By now every privilege is gone
 * (isolation.h). In stages:
 *
 *   1  CONFIG to START     the keeper's gifts: sockets, maps, NIC queues, addresses
 *   2  heartbeat, READY    claimed packets may come to us now; the keeper tells systemd
 *   3  the workers' loops  until STOP, or until the keeper is gone
 *   4  taking apart        bindings leave the mux first, so that the host stack's placeholders
 *                          swallow what is on its way */
#include "switch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "log.h"

static int serve(struct switch_core *core)
{
    if (core_set_up(core))
        return EXIT_FAILURE;
    core->shared->heartbeat_ns = core_clock();
    if (memory_thread_start(core) || crew_start(core) || core_say_ready(core))
        return EXIT_FAILURE;
    worker_run(&core->workers[0]);
    return core->status;
}

int switch_main(int channel_fd)
{
    struct switch_core *core = calloc(1, sizeof(*core));
    int status;

    if (!core) {
        log_error("no memory for %zu bytes of state", sizeof(*core));
        return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    core->channel_fd = channel_fd;
    core->control.listen_fd = core->control.spare_fd = -1;
    core->bindings_map_fd = core->silencer_fd = -1;
    core->shared = &core->own_shared;
    groups_init(&core->groups);
    status = serve(core);
    core_dispose(core);
    free(core);
    return status;
}
