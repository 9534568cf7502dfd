/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole state of the switch process. There is nothing global: tests make as many as they like.
 */
#ifndef MULTISTACK_SWITCH_CORE_H
#define MULTISTACK_SWITCH_CORE_H

#include "change.h"
#include "channel.h"
#include "control.h"
#include "crew.h"
#include "groups.h"
#include "guard_rules.h"
#include "memory_thread.h"
#include "mux_maps.h"
#include "namespace.h"
#include "nic.h"
#include "port.h"
#include "protocols.h"
#include "range.h"
#include "rate_limit.h"
#include "worker.h"

#define SWITCH_NICS_MAX    17 /* those that are configured, and lo */
#define SWITCH_WORKERS_MAX CHANNEL_WORKERS_MAX

struct switch_core {
    struct channel_config config;
    uint64_t misuse_due_ns; /* misuse_housekeep() looks again */
    int channel_fd;
    struct mux_shared *shared; /* where the heartbeat goes; never NULL */
    struct mux_shared own_shared;
    int bindings_map_fd; /* mux_bindings, -1: none */
    int silencer_fd;     /* the socket filter that drops everything; -1: none */
    struct hash_key key;
    struct nic nics[SWITCH_NICS_MAX];
    uint32_t nic_count;
    struct protocols protocols;
    struct groups groups;
    struct guard guard;
    struct port_rates port_rates;
    struct ranges ranges;
    struct port_table ports;
    struct control control;
    struct worker workers[SWITCH_WORKERS_MAX];
    uint32_t worker_count;
    struct crew crew;
    struct memory_thread memory;
    uint32_t capture_count;                 /* ports that receive copies (capture.h) */
    bool broken;                            /* a worker but the first found a broken port */
    uint64_t detached[DETACH_REASON_COUNT]; /* ports that ended, by reason */
    bool stop;                              /* any worker may set it */
    int status;                             /* of the process, when it stops */
};

/* From core->config, with the descriptors of CHANNEL_CONFIG (-1: none), which it takes over. 0 or a
 * negative errno; then nothing is left behind but the descriptors. */
int core_init(struct switch_core *core, int channel_fd, int listen_fd, int bindings_map_fd);
/* From now on the heartbeat goes to `shared`, and what is bound of each protocol. */
void core_share(struct switch_core *core, struct mux_shared *shared);
/* Ends connections, ports, NICs, in that order. */
void core_dispose(struct switch_core *core);

/* The smallest MTU of the NICs but lo; 1,500 where there is none. */
uint32_t core_mtu(const struct switch_core *core);

/* channel_client.c: receives everything up to CHANNEL_START. 0 or a negative errno, logged. */
int core_set_up(struct switch_core *core);
/* CHANNEL_READY. 0 or a negative errno. */
int core_say_ready(struct switch_core *core);
/* The channel is readable: takes what is there. */
void core_hear_keeper(struct switch_core *core);

/* Tells the keeper of wires whose other end broke the rules; now and then. */
void core_report_wires(struct switch_core *core);
/* Tells the keeper of NICs whose frames can be polled for, or cannot, when the first have come. */
void core_report_napi(struct switch_core *core);

/* May be asked by every worker. */
static inline bool core_stops(const struct switch_core *core)
{
    return __atomic_load_n(&core->stop, __ATOMIC_RELAXED);
}

/* The copy of the namespace that decides: the first worker's. It is changed by core_change(). */
static inline const struct namespace_table *core_names(const struct switch_core *core)
{
    return &core->workers[0].names;
}

uint64_t core_clock(void); /* CLOCK_MONOTONIC, ns */

#endif
