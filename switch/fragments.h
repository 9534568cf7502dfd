/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments, put together again before a stack sees them (RFC 791, RFC 8200 section 4.5).
 *
 * Why here and not in the stacks: every stack would need it, few would have it (UTCP has not), and
 * here it is bounded once for all of them. A stack then sees whole packets only, longer than the MTU
 * now and then.
 *
 * What comes here was let through by the mux because a first fragment was claimed (mux.bpf.c); who
 * gets the whole is looked up when it is whole.
 *
 * A device may spread the fragments of a datagram over its queues: only the first of them has ports. So
 * where there are several workers, a hash of <source, destination, protocol, id> says which of them
 * puts the datagram together, and the others hand its fragments over to it (handover.h).
 *
 * One table for each worker:
 *
 *   FRAGMENT_DATAGRAMS   datagrams at a time, found by comparing <source, destination, protocol, id>;
 *                        one more pushes out the oldest
 *   FRAGMENT_TIMEOUT_NS  from a datagram's first fragment to its end
 *
 * A bit for each 8 bytes says what is there. What is sent twice with the same bytes is ignored; what
 * overlaps otherwise ends the whole datagram, as RFC 5722 wants it for IPv6 and as is wise for IPv4
 * (hostile.md, W5). So does whatever contradicts: two ends, bytes behind the end, more than 65,535
 * bytes, a fragment that is not the last and is no multiple of 8. */
#ifndef MULTISTACK_SWITCH_FRAGMENTS_H
#define MULTISTACK_SWITCH_FRAGMENTS_H

#include "nic.h"
#include "packet.h"

#define FRAGMENT_DATAGRAMS  64
#define FRAGMENT_TIMEOUT_NS (30 * 1000000000ULL)

struct datagram; /* of which fragments are here */

struct fragments {
    struct datagram *datagrams; /* FRAGMENT_DATAGRAMS */
    uint32_t count;             /* in use */
};

/* 0 or -ENOMEM. The memory is touched as it is used. */
int fragments_init(struct fragments *fragments);
void fragments_dispose(struct fragments *fragments);

/* Takes the fragment whose IP header starts `offset` bytes into the frame. DROP_NONE: it is kept, and
 * where it made its datagram whole, *whole is an IP packet without fragmentation of *length bytes,
 * valid until the next call; otherwise *whole is NULL. Else why it was dropped; what was kept of the
 * same datagram is then counted in `drops`. So is later what is lost, so `drops` has to stay. */
enum drop_reason fragments_take(struct fragments *fragments, const struct nic_frame *frame,
                                uint32_t offset, uint64_t now_ns, struct drop_counters *drops,
                                const uint8_t **whole, uint32_t *length);

/* The hash that says which worker the fragment's datagram belongs to; the same for all of its
 * fragments, but by chance for no others. DROP_NONE and *hash and *length (of the IP packet), or why
 * fragments_take() would not take it. */
enum drop_reason fragments_hash(const struct hash_key *key, const struct nic_frame *frame,
                                uint32_t offset, uint64_t *hash, uint32_t *length);

/* Gives up what waits too long. */
void fragments_expire(struct fragments *fragments, uint64_t now_ns);

#endif
