/* SPDX-License-Identifier: BSD-2-Clause */
/* Exact bindings whose address is not this host's for now.
 *
 * The binding stays, with its placeholder: nobody else may have it, and it is to work again when the
 * address is back. Meanwhile the mux claims nothing for the address and nothing may be sent from it
 * (namespace_is_local()). What is left to do is to tell the owner, which otherwise sees nothing but
 * silence.
 *
 *   address goes ──► each port with a binding there: EVENT suspended ──► address is back: EVENT restored
 *
 * One event stands for all bindings that the port has at the address, so a port with thousands of
 * them gets one message. What a port was told stands in its bindings (`away_told`) and is compared
 * with what is: an address that went and came before the port read of it makes no event. A port that
 * does not read is not sent more than SUSPENSION_UNREAD_MAX bytes of them; the rest waits for the
 * housekeeping, so that events never use up the room that answers need. */
#ifndef MULTISTACK_SWITCH_SUSPENSION_H
#define MULTISTACK_SWITCH_SUSPENSION_H

#include <stdbool.h>
#include <stdint.h>

#include "tuple.h"

#define SUSPENSION_UNREAD_MAX 16384 /* bytes in the client's socket, as the kernel counts them */
#define SUSPENSION_PER_TICK   16    /* events that waited, in each housekeeping */

struct switch_core;

/* Whether a binding of `tuple` is suspended now. */
bool suspension_holds(const struct switch_core *core, const struct tuple *tuple);
/* An address came or went; the namespace knows already. Connections may be closed. */
void suspension_tell(struct switch_core *core, const struct tuple *address);
/* Sends what waited. Connections may be closed. */
void suspension_housekeep(struct switch_core *core);

#endif
