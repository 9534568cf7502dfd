/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections in TIME-WAIT, as little of each as there is to know (timewait.c tells what for): a table
 * by endpoints and by time. It knows nothing of TCP, and has its own unit tests.
 *
 * A server that closes first leaves one of these behind for each request, and has as many as it answers
 * requests in 2 MSL: they are the most numerous and the coldest of its connections. So each is two cache
 * lines, and what is done to it touches no others:
 *
 *   places   64 to a slab, numbered through all slabs. A slab whose places are all free is given back, but
 *            for the one that the next entry goes to. Entries that begin one after the other mostly end
 *            so, and lie so.
 *   index    open addressing with linear probing, 12 to 22 bytes for each entry: the hash and the number,
 *            so that an entry is read only when its hash is the one that is looked for. Keyed by the
 *            caller's hash, or strangers choose where it is crowded. Removing closes the gap, so nothing
 *            is left behind that would have to be swept.
 *   queues   by the time at which they end. All stay for as long as each other, so who comes last ends
 *            last, and no wheel is needed: a queue is joined and left at its ends. When that time is
 *            changed, the order is that of another queue, of which there are a few; what fits none is not
 *            taken. */
#ifndef UTCP_TIMEWAIT_TABLE_H
#define UTCP_TIMEWAIT_TABLE_H

#include <stddef.h>

#include "packet.h"

#define TIME_WAIT_NONE   UINT32_MAX
#define TIME_WAIT_SLAB   64 /* places */
#define TIME_WAIT_QUEUES 4

struct utcp_time_wait {
    struct utcp_endpoint local, remote;
    uint64_t expires;        /* µs */
    uint32_t hash;           /* in the index */
    uint32_t number;         /* of its place */
    uint32_t next, previous; /* in its queue */

    /* What struct utcp_conn has under these names. */
    uint32_t snd_nxt; /* all before it is acknowledged */
    uint32_t rcv_nxt;
    uint32_t snd_wnd_max, irs, rcv_adv; /* as they lie there, so that they are copied by the word */
    uint32_t ts_recent, ts_offset;
    uint32_t iss, challenge_until;
    uint32_t ts_recent_at;                  /* s */
    struct utcp_sack_block duplicate;       /* with duplicate_due */
    uint16_t bytes_in_high, bytes_out_high; /* bits above those that the numbers tell */
    uint16_t window;                        /* as it stands in the header */
    uint16_t ip_id;
    uint8_t receive_scale, dscp, hop_limit;
    uint8_t challenges;
    uint8_t queue;
    bool timestamps, sack;
    uint8_t ace : 3;        /* ECE, or all of RFC 9768's ACE field, of what goes out */
    bool accurate : 1;      /* … the latter */
    bool knocked : 1;       /* somebody has tried to open it anew */
    bool duplicate_due : 1; /* the answer tells of what came twice */
    bool answer_due : 1;    /* it is among the stack's replies */
};

struct utcp_time_wait_queue {
    uint32_t first, last;
    uint64_t due, end; /* when these end; without any UINT64_MAX and 0 */
};

struct utcp_time_wait_place {
    uint32_t hash, number; /* TIME_WAIT_NONE: nothing is here */
};

struct utcp_time_wait_slab {
    struct utcp_time_wait *places; /* NULL: given back */
    uint64_t free;                 /* a bit for each place */
    uint32_t next;                 /* that has room; meaningful while `roomy` */
    bool roomy;                    /* on that list */
};

struct utcp_time_waits {
    uint32_t count;
    uint32_t slab_count, slab_max; /* slabs that there have been, and room in `slabs` */
    uint32_t room;                 /* the first slab with room; TIME_WAIT_NONE: there is none */
    uint32_t index_size;           /* a power of two, or 0 */
    struct utcp_time_wait_slab *slabs;
    struct utcp_time_wait_place *index;
    struct utcp_time_wait_queue queues[TIME_WAIT_QUEUES];
    uint64_t due; /* when the first ends; UINT64_MAX: there is none */
};

void utcp__waits_init(struct utcp_time_waits *waits);
void utcp__waits_dispose(struct utcp_time_waits *waits);

/* An entry that ends at `expires`, with local, remote, hash and that set; what struct utcp_conn has, too, is the
 * caller's to fill in. It must not be in the table. NULL: no memory, or there are no more than TIME_WAIT_QUEUES queues. Entries stay
 * where they are until they are removed. */
struct utcp_time_wait *utcp__waits_add(struct utcp_time_waits *waits,
                                       const struct utcp_endpoint *local,
                                       const struct utcp_endpoint *remote, uint32_t hash,
                                       uint64_t expires);
void utcp__waits_remove(struct utcp_time_waits *waits, struct utcp_time_wait *wait);
/* Ends at `expires` now, or, where there is no queue for that, as soon after it as there is one. */
void utcp__waits_put_off(struct utcp_time_waits *waits, struct utcp_time_wait *wait,
                         uint64_t expires);

/* NULL: there is none. The table to be searched is not empty. */
struct utcp_time_wait *utcp__waits_search(const struct utcp_time_waits *waits,
                                          const struct utcp_endpoint *local,
                                          const struct utcp_endpoint *remote, uint32_t hash);
static inline struct utcp_time_wait *utcp__waits_find(const struct utcp_time_waits *waits,
                                                      const struct utcp_endpoint *local,
                                                      const struct utcp_endpoint *remote,
                                                      uint32_t hash)
{
    return waits->count ? utcp__waits_search(waits, local, remote, hash) : NULL;
}
/* That number's; NULL: its place is free. */
struct utcp_time_wait *utcp__waits_at(const struct utcp_time_waits *waits, uint32_t number);
/* The one that ends first. */
struct utcp_time_wait *utcp__waits_first(const struct utcp_time_waits *waits);

/* Visits those whose hash belongs to this place of the index: hash & (index_size - 1). */
void utcp__waits_visit(const struct utcp_time_waits *waits, uint64_t place,
                       void (*visit)(void *context, const struct utcp_time_wait *wait),
                       void *context);

/* Bytes that the table takes. */
size_t utcp__waits_memory(const struct utcp_time_waits *waits);

#endif
