/* SPDX-License-Identifier: BSD-2-Clause */
/* Connected bindings: 5-tuples <protocol, local address, local port, remote address, remote port>.
 *
 * A table of its own beside that of the 3-tuples: an element is found by a chained hash, and stands
 * in a list of the member (owner_group.h) that it belongs to, so that it goes with it. Elements are
 * numbered and never move, so lists and chains are numbers. The data path looks here only for a
 * 3-tuple that says so. */
#ifndef MULTISTACK_SWITCH_CONNECTED_H
#define MULTISTACK_SWITCH_CONNECTED_H

#include "packet.h"

#define CONNECTED_MAX  524288 /* in the whole switch */
#define CONNECTED_NONE UINT32_MAX

/* Who gets a packet. */
struct owner {
    struct port *port; /* NULL: nobody */
    uint32_t ring;     /* counted from 1: of the port, the one that the binding belongs to; 0: the
                        * flow's own */
    uint32_t by_flow;  /* not 0: other flows of the 3-tuple may be another's */
};

struct connected {
    struct tuple local;
    uint64_t remote[2];
    struct port *port;
    uint32_t chain;          /* next with the same hash, or next free one */
    uint32_t next, previous; /* of the same member */
    be16 remote_port;
    uint8_t ring; /* as in struct owner */
};

struct connected_table {
    struct connected *elements;
    uint32_t *heads; /* of the chains; NULL as long as there never was an element */
    uint32_t mask;   /* chains - 1 */
    uint32_t made;   /* elements that were ever used */
    uint32_t capacity;
    uint32_t used;
    uint32_t free;
    struct hash_key key;
};

void connected_table_init(struct connected_table *table, const struct hash_key *key);
void connected_table_dispose(struct connected_table *table);

/* The element for the flow of `view` (local, remote, remote_port), or CONNECTED_NONE. */
uint32_t connected_find(const struct connected_table *table, const struct packet_view *view);

/* Enters a flow that is not there, for `owner`, at the head of the list *first. 0, -ENOSPC (the
 * limit), -ENOMEM. */
int connected_add(struct connected_table *table, const struct packet_view *view,
                  const struct owner *owner, uint32_t *first);
/* Takes an element out, of the list *first as well. */
void connected_remove(struct connected_table *table, uint32_t element, uint32_t *first);

#endif
