/* SPDX-License-Identifier: BSD-2-Clause */
/* The SYN cookie, as numbers: who sends it (utcp/syncookie.c, or bpf/guard_cookie.h at the NIC) and who
 * takes it (utcp/syncookie.c) compute it by the functions below, so that a stack takes over what was
 * answered for it without a word from whoever answered. Compiled for eBPF, too.
 *
 * The cookie, of 32 bits, is the initial sequence number of the SYN-ACK:
 *
 *     place(endpoints) + the SYN's sequence number
 *         + minute << 24                                              when: modulo 256
 *         + (seal(endpoints, SYN's sequence number, minute, options) + MSS) modulo 2^24
 *
 * place() and seal() are keyed hashes. Without them nobody can tell which eighth bit is what; of the 2^32
 * numbers 16 are good at a time: 8 sizes of segments, 2 minutes. What seals is new each minute, so a
 * cookie is good for one to two minutes. As the minutes are in its highest bits, and the client's numbers
 * in all, sequence numbers of connections that follow one another tend upwards as others do.
 *
 * What else was agreed on goes into the six lowest bits of the timestamp, which comes back with every
 * segment; they are sealed, too: who answers without the timestamp that was sent, or with other bits,
 * has no cookie. The timestamp that carries them is at most 63 ms older than the clock's, never newer:
 * those that follow it do not go backwards (PAWS, RFC 7323 section 5). Its offset, the same for all
 * connections of two endpoints, comes from the cookie's key, since whoever sends a cookie has to know
 * it. What it makes of two endpoints is hashed anew, by a key of the stack's own, for the sequence numbers of
 * other connections (utcp/state.c), so that it says nothing of them. */
#ifndef MULTISTACK_SYNCOOKIE_H
#define MULTISTACK_SYNCOOKIE_H

#include "siphash.h"

#ifdef __bpf__ /* where functions have five arguments at most */
#define SYNCOOKIE_INLINE static inline __attribute__((always_inline))
#else
#define SYNCOOKIE_INLINE static inline
#endif

#define SYNCOOKIE_MINUTE_US 60000000ULL
#define SYNCOOKIE_MINUTES   2 /* that a cookie is good for: this one, and the one before */
#define SYNCOOKIE_SEAL_BITS 24
#define SYNCOOKIE_SEAL_MASK ((1U << SYNCOOKIE_SEAL_BITS) - 1)

/* In the timestamp. */
#define SYNCOOKIE_SCALE_MASK   0xfU
#define SYNCOOKIE_SCALE_NONE   0xfU
#define SYNCOOKIE_SACK         0x10U
#define SYNCOOKIE_ECN          0x20U
#define SYNCOOKIE_OPTIONS_MASK 0x3fU
#define SYNCOOKIE_TIMESTAMPS   0x40U /* in no timestamp, but sealed: there is one */

/* Of segments, options not counted: what Ethernet, tunnels over it, PPPoE and jumbo frames carry. A
 * cookie has the greatest that the peer's is not below, or the first. */
#define SYNCOOKIE_SIZES(X)   X(88) X(536) X(1220) X(1360) X(1440) X(1452) X(1460) X(8940)
#define SYNCOOKIE_SIZE_COUNT 8

SYNCOOKIE_INLINE uint32_t syncookie_size_index(uint16_t mss)
{
#define SYNCOOKIE_AT_LEAST(size) +(mss >= (size))
    uint32_t count = 0 SYNCOOKIE_SIZES(SYNCOOKIE_AT_LEAST);
#undef SYNCOOKIE_AT_LEAST

    return count ? count - 1 : 0;
}

/* What the key makes of two endpoints. Addresses are 4 or 16 bytes as words that lie as they do in the
 * packet; ports in the order of the host. Of IPv4 each end is a word, and what the key makes of the first
 * can be kept, for a server has one local end for all its connections (utcp/syncookie.c). */
SYNCOOKIE_INLINE uint64_t syncookie_local_v4(uint32_t local, uint16_t local_port)
{
    return 4ULL << 48 | (uint64_t)local_port << 32 | local;
}

SYNCOOKIE_INLINE uint64_t syncookie_remote_v4(uint32_t remote, uint16_t remote_port)
{
    return (uint64_t)remote_port << 32 | remote;
}

SYNCOOKIE_INLINE uint64_t syncookie_ends_v4(struct siphash_key key, uint32_t local, uint32_t remote,
                                            uint16_t local_port, uint16_t remote_port)
{
    return siphash_second(siphash_first(key, syncookie_local_v4(local, local_port)),
                          syncookie_remote_v4(remote, remote_port));
}

SYNCOOKIE_INLINE uint64_t syncookie_ends_v6(struct siphash_key key, const uint64_t local[2],
                                            const uint64_t remote[2], uint16_t local_port,
                                            uint16_t remote_port)
{
    const uint64_t words[5] = {local[0], local[1], remote[0], remote[1],
                               6ULL << 32 | (uint64_t)local_port << 16 | remote_port};

    return siphash_fixed(key, words, 5);
}

SYNCOOKIE_INLINE uint32_t syncookie_place(uint64_t ends)
{
    return (uint32_t)ends;
}

SYNCOOKIE_INLINE uint32_t syncookie_timestamp_offset(uint64_t ends)
{
    return (uint32_t)(ends >> 32);
}

/* The last time not after `timestamp` with these low bits. */
SYNCOOKIE_INLINE uint32_t syncookie_timestamp(uint32_t timestamp, uint8_t options)
{
    return timestamp - ((timestamp - options) & SYNCOOKIE_OPTIONS_MASK);
}

SYNCOOKIE_INLINE uint32_t syncookie_seal(struct siphash_key key, uint64_t ends, uint32_t irs,
                                         uint64_t minute, uint8_t options)
{
    const uint64_t words[3] = {ends, minute, (uint64_t)irs << 8 | options};

    return (uint32_t)siphash_fixed(key, words, 3) & SYNCOOKIE_SEAL_MASK;
}

/* `irs`: the SYN's sequence number. `mss`: the peer's, or what counts for its. */
SYNCOOKIE_INLINE uint32_t syncookie_make(struct siphash_key key, uint64_t ends, uint32_t irs,
                                         uint64_t minute, uint8_t options, uint16_t mss)
{
    return syncookie_place(ends) + irs + (uint32_t)(minute << SYNCOOKIE_SEAL_BITS) +
           ((syncookie_seal(key, ends, irs, minute, options) + syncookie_size_index(mss)) &
            SYNCOOKIE_SEAL_MASK);
}

#endif
