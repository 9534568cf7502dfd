/* SPDX-License-Identifier: BSD-2-Clause */
/* Several owners of one 3-tuple: who may join, how a successor takes over, and how they find
 * together again when the switch was restarted. All of it is control: the data path sees nothing but
 * the states of members (owner_group.h).
 *
 * Hand-over. The successor asks that its placeholder be let in (CONTROL_SHARE), binds, and waits:
 *
 *   successor     switch                          owners
 *     │ SHARE ──────►│ same user? their placeholders get SO_REUSEPORT, for a while
 *     │ BIND ───────►│ WAITING                      │
 *     │              │ EVENT_HANDOVER ─────────────►│ each: connects its live flows,
 *     │              │◄───────────── CONNECT, DRAIN │
 *     │              │ DRAINING, ACTIVE             │
 *     │◄────── BOUND │ DRAINED ────────────────────►│ finishes its connections
 *
 * Packets that are not connected go to the owners until the last has drained, and from then on, from
 * one packet to the next, to the successor. Owners that say nothing for SHARING_HANDOVER_NS have
 * drained as they are (EVENT_DRAINED). When the successor dies, before or after, those that drained
 * for it are active again (EVENT_RESUME).
 *
 * Restart. A switch that was started anew knows nobody, and the first owner to come back would get
 * the packets of the others, and answer them with RST. So owners say how many they were and how many
 * connected bindings they had (both are told, or known, to the application), and nobody is active
 * until all are there, or SHARING_ASSEMBLY_NS is over. Whatever is connected flows already.
 *
 * sharing_settle() is the one function that moves states: it looks at all owners of a 3-tuple and
 * takes every step that is due. What owners must hear is put on a list and sent at the end of the
 * turn (sharing_tell()), because sending may end a connection, and with it change the list. */
#ifndef MULTISTACK_SWITCH_SHARING_H
#define MULTISTACK_SWITCH_SHARING_H

#include "port.h"

#define SHARING_HANDOVER_NS        2000000000ULL
#define SHARING_ASSEMBLY_NS        1000000000ULL
#define SHARING_CONNECTED_PORT_MAX 131072 /* connected bindings of one port */

/* What the owner of a binding is to be told. */
#define SHARING_TELL_HANDOVER 0x01
#define SHARING_TELL_DRAINED  0x02
#define SHARING_TELL_RESUME   0x04
#define SHARING_TELL_MEMBERS  0x08
#define SHARING_TELL_BOUND    0x10

/* Whether a binding on these terms may stand beside those there are. 0, -EADDRINUSE, -EBUSY (a
 * hand-over is under way). */
int sharing_admit(const struct switch_core *core, const struct tuple *tuple,
                  const struct port *port, const struct binding_terms *terms);
/* The state in which it begins, and what else its terms mean. */
enum member_state sharing_begin(struct switch_core *core, struct binding *binding,
                                const struct binding_terms *terms);
/* Takes every step that is due among the owners of `tuple`. */
void sharing_settle(struct switch_core *core, const struct tuple *tuple);
/* A binding is gone; its fields still hold. */
void sharing_left(struct switch_core *core, const struct binding *gone);

/* 0, -ENOENT, -EACCES: see struct control_share. */
int sharing_let_in(struct switch_core *core, const struct tuple *tuple, uid_t uid);
/* 0, -EBUSY: nobody else is there. */
int sharing_drain(struct switch_core *core, struct binding *binding);
/* Connects (or disconnects) the first flows of `flows`, as many as *taken says then. 0, -EINVAL,
 * -EADDRNOTAVAIL, or what namespace_connect() says. */
int sharing_connect(struct switch_core *core, struct binding *binding,
                    const struct control_flow *flows, uint32_t count, bool remove, uint32_t *taken);

/* What is due by time. */
void sharing_housekeep(struct switch_core *core, uint64_t now_ns);
/* Sends what owners must hear. Connections may be closed meanwhile. */
void sharing_tell(struct switch_core *core);

#endif
