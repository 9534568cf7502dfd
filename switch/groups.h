/* SPDX-License-Identifier: BSD-2-Clause */
/* Groups: multicast and broadcast, to every port whose placeholder the host stack delivers them to.
 *
 * The kernel decides (bpf/groups.bpf.c tells how): membership, interfaces, sources. The filter on each
 * placeholder of a datagram protocol puts a copy into one ring, with the socket's cookie; here it is
 * looked up which port that is. Several placeholders, several copies. A binding of a group's own
 * address is in no table of the namespace, for nothing is sent from it and the mux lets groups pass.
 *
 * The ring is a BPF_MAP_TYPE_RINGBUF, one for all placeholders; where it is full the datagram is lost
 * and counted as rx_group_lost. Its memory is written by the kernel alone. */
#ifndef MULTISTACK_SWITCH_GROUPS_H
#define MULTISTACK_SWITCH_GROUPS_H

#include "tuple.h"

struct binding;
struct switch_core;
struct worker;

struct groups {
    int ring_fd, filter_fd;  /* -1: there are none; the filter is for the placeholders */
    uint8_t *consumer_page;  /* where we say how far we are */
    uint8_t *producer_pages; /* where the kernel says how far it is, and behind that the records */
    struct tuple_table members; /* cookie → port, and its ring as in struct owner; empty where
                                 * there is no ring */
    uint64_t lost;
};

/* A multicast address, or 255.255.255.255. */
static inline bool groups_has_address(const struct tuple *tuple)
{
    struct control_address address = tuple_to_address(tuple);

    if (address.family == 6)
        return address.bytes[0] == 0xff;
    return address.bytes[0] >> 4 == 0xe ||
           tuple->low == tuple_make((const uint8_t *)"\xff\xff\xff\xff", 4, 0, 0).low;
}

/* Nothing is received yet. */
void groups_init(struct groups *groups);
/* Takes the descriptors over. 0 or a negative errno. */
int groups_open(struct switch_core *core, int ring_fd, int filter_fd);
void groups_dispose(struct groups *groups);

/* A binding with a placeholder comes or goes. 0 or -ENOMEM, -ENOSPC. */
int groups_enter(struct switch_core *core, const struct binding *binding);
void groups_leave(struct switch_core *core, const struct binding *binding);

/* The ring has something: delivers it, a bounded part at a time. */
void groups_serve(struct worker *worker);

#endif
