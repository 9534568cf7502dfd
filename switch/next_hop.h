/* SPDX-License-Identifier: BSD-2-Clause */
/* Where packets go: which NIC, which MAC, which MTU (design.md, D3). The kernel knows; the keeper
 * asks it (CHANNEL_RESOLVE); here is a cache of its answers, by destination and source.
 *
 *              first packet                    answer: NIC
 *      FREE ─────────────────► ASKED ─────────────────────────► READY ◄──┐
 *                                │  answer: NIC, MAC unknown      │      │ NEIGHBOR brings the MAC
 *                                ├───────────────────────► RESOLVING ◄───┘ or takes it
 *                                │  answer: this host
 *                                ├───────────────────────► LOCAL
 *                                │  no route, or through a device that is not ours
 *                                └───────────────────────► UNREACHABLE
 *
 *   state         packets for it
 *   ASKED         are parked (parking.h)
 *   RESOLVING     are parked
 *   READY         are sent
 *   LOCAL         are delivered to the stack that has bound the destination, or dropped
 *   UNREACHABLE   are dropped
 *
 * Every state but FREE is asked about again: in use, each 5 s, which also keeps the kernel's own
 * neighbour entry alive; at once when the keeper says that routes changed; a lost question after 1
 * s. Until the answer comes the old one is used. An answer may hold for a whole prefix: for five seconds
 * destinations in it, met for the first time, are READY without a question, so a flood of packets from
 * random addresses, which the stacks answer, does not use up the questions of others. The table is bounded and eight-way associative:
 * whoever sends to many destinations pushes out what was used least lately. */
#ifndef MULTISTACK_SWITCH_NEXT_HOP_H
#define MULTISTACK_SWITCH_NEXT_HOP_H

#include "channel.h"
#include "packet.h"

#define NEXT_HOPS_MAX 16384
#define NEXT_HOP_WAYS 8

#define NEXT_HOPS_WIDE 8 /* answers for prefixes */

#define NEXT_HOP_REFRESH_NS (5 * 1000000000ULL)
#define NEXT_HOP_RETRY_NS   (1 * 1000000000ULL)

/* The keeper answers 4,000 questions a second; staying below it keeps the queue short. */
#define NEXT_HOP_ASKS_PER_SECOND 3000
#define NEXT_HOP_ASKS_BURST      512

enum next_hop_state {
    NEXT_HOP_FREE = 0,
    NEXT_HOP_ASKED,
    NEXT_HOP_RESOLVING,
    NEXT_HOP_READY,
    NEXT_HOP_LOCAL,
    NEXT_HOP_UNREACHABLE,
};

struct next_hop {
    uint64_t destination[2], source[2]; /* addresses as struct tuple has them */
    uint8_t family;
    uint8_t state;
    uint8_t mac[6];
    uint32_t nic;
    uint32_t mtu;
    uint64_t ask_at_ns; /* when it is time to ask (again) */
    uint64_t used_ns;   /* lately, to a tenth of a second */
    uint8_t gateway[16];
    uint32_t parked; /* packets that wait for it */
    bool by_nic;     /* `nic` is where it leads, or led before it was UNREACHABLE */
};

/* An answer that holds for all destinations with the first `prefix` bits of hop.destination, for the same
 * source. A destination that is met first gets an entry of its own from it, without a question. */
struct wide_hop {
    struct next_hop hop;
    uint8_t prefix;
    uint64_t until_ns; /* then somebody is to be asked again; 0: there is none */
};

struct next_hops {
    struct wide_hop wide[NEXT_HOPS_WIDE];
    struct next_hop *entries;          /* buckets of NEXT_HOP_WAYS */
    uint64_t used[NEXT_HOPS_MAX / 64]; /* which entries are not FREE */
    struct hash_key key;
    int channel_fd;
    uint64_t tokens_ns; /* of questions, in the time that refills them */
    uint64_t refilled_ns;
    uint64_t asked; /* questions, for the statistics */
};

static inline bool next_hop_matches(const struct next_hop *hop, const struct packet_view *view)
{
    return ((hop->destination[0] ^ view->remote[0]) | (hop->destination[1] ^ view->remote[1]) |
            (hop->source[0] ^ view->local.low) | (hop->source[1] ^ view->local.high) |
            (uint64_t)(hop->family ^ view->family)) == 0;
}

/* 0 or -ENOMEM. */
int next_hops_init(struct next_hops *hops, const struct hash_key *key, int channel_fd);
void next_hops_dispose(struct next_hops *hops);

/* The entry for a packet about to be sent; made where there is none. NULL: no room, every entry
 * that would have to go has packets waiting. Asks the keeper where it is time. */
struct next_hop *next_hop_find(struct next_hops *hops, const struct packet_view *view,
                               uint64_t now_ns);

/* To be called when now_ns >= hop->ask_at_ns (next_hop_find() does it by itself). */
void next_hop_ask(struct next_hops *hops, struct next_hop *hop, uint64_t now_ns);

/* The keeper's answer. Returns the entry that it changed, or NULL. */
struct next_hop *next_hops_answer(struct next_hops *hops, const struct channel_next_hop *answer,
                                  uint64_t now_ns);

/* A neighbour changed: gives each entry that goes through it, one for each call, from *cursor (0 at
 * first) on; NULL at the end. */
struct next_hop *next_hops_neighbor(struct next_hops *hops, const struct channel_neighbor *neighbor,
                                    uint32_t nic, uint32_t *cursor);

/* Everything may be wrong: ask again when next used. */
void next_hops_doubt(struct next_hops *hops);

uint32_t next_hops_count(const struct next_hops *hops);

#endif
