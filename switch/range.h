/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of ports: one binding, thousands of ports.
 *
 *   client             switch                     keeper
 *   BIND, port_count → checks, remembers ───────► which block is free? tries each port of it, and
 *                                                 keeps it from the host (keeper_ranges.c)
 *   BOUND            ◄ enters it ◄─────────────── this one, or an error
 *   UNBIND, the end  → takes it out ────────────► free again
 *
 * There is no placeholder: the keeper holds the ports. It holds them for the range, not for an
 * address: no single binding and no other range of the protocol may have one of them, whatever its
 * address. A switch that is new is asked for the same block again by who had it.
 *
 * What the keeper cannot be told at once (it does not read) is told by the housekeeping. */
#ifndef MULTISTACK_SWITCH_RANGE_H
#define MULTISTACK_SWITCH_RANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "range_maps.h"
#include "tuple.h"

#define RANGE_WAITS_MAX     256 /* requests that the keeper has not answered */
#define RANGE_WAITS_PER_UID 64

struct binding;
struct channel_range_answer;
struct connection;
struct control_bind;
struct switch_core;

/* A BIND that waits for the keeper. */
struct range_wait {
    uint32_t id; /* 0: free */
    uint32_t connection, generation;
    uint32_t request;
    uint32_t port_count;
    uid_t uid;
    uint8_t ring; /* as in struct owner */
    struct tuple tuple;
};

struct ranges {
    struct range_wait waits[RANGE_WAITS_MAX];
    uint32_t next_id;
    uint32_t leaving_count;
    uint8_t taken[RANGE_PROTOCOLS * RANGE_UNITS];   /* by range_unit(): some range has it */
    uint8_t leaving[RANGE_PROTOCOLS * RANGE_UNITS]; /* by the first: log2 of the ports that the
                                                     * keeper is to be told of; 0: none */
};

/* A BIND of a range; `ring` as in struct owner. 0: its answer will be sent when the keeper has
 * answered; or what to answer now: -EINVAL, -EPROTONOSUPPORT, -EADDRNOTAVAIL, -EBUSY (too many wait). */
int range_bind(struct switch_core *core, const struct connection *connection,
               const struct control_bind *wish, uint8_t ring);
void range_answered(struct switch_core *core, const struct channel_range_answer *answer);
/* Whether the port belongs to some range, at whatever address. */
bool range_has(const struct switch_core *core, const struct tuple *tuple);
/* A binding of a range is entered, or is no more. */
void range_enter(struct switch_core *core, const struct binding *binding);
void range_leave(struct switch_core *core, const struct binding *binding);
void range_housekeep(struct switch_core *core);

#endif
