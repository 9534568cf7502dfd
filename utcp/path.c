/* SPDX-License-Identifier: BSD-2-Clause */
/* The MTU of paths, where it is less than that of the NIC (RFC 1191 sections 5.2 and 6.3, RFC 8201
 * sections 5.2 and 5.3, RFC 4821 section 5.2): what one connection was told by ICMP (icmp.c) or has found
 * out by packets (mtu.c) is used by those that come after it, and by those that there are.
 *
 *   path         a pair of addresses, ours and the peer's. With several networks, which of them a packet
 *                takes may follow from either
 *   table        of a fixed size, made when there is a first entry; sets of eight places, chosen by a
 *                keyed hash. In a set that is full the entry whose time is over makes room, else the
 *                one that was not used for longest
 *   who writes   only what a connection believes of itself: ICMP that quotes what is in flight, and the
 *                outcome of probes. So a stranger has no way to it; and a peer, who can make its own
 *                connections believe anything, gets smaller packets to its own address for it, down to
 *                the floor that icmp.c has, and the place of others in one set
 *   reading      when a connection begins, and not again: segments cost nothing
 *   age          ten minutes (RFC 1191 section 6.3). A connection that begins then has the NIC's MTU, one
 *                that is established probes upward (mtu.c). A black hole is remembered for a minute, for
 *                it may have been an outage; the search that follows confirms it
 *   the others   that are established to the same address get smaller segments, too: all connections
 *                are looked at, a few every millisecond, for there may be a million.
 *                What they have in flight is sent again when ICMP or the lack of an acknowledgment asks
 *                for it, and not before (RFC 1191 section 6.4, RFC 8201 section 5.4), but it is
 *                no congestion then
 *
 * The MSS that our SYN tells is that of the NIC: it is about the way to us. */
#include <stdlib.h>
#include <string.h>

#include "utcp_internal.h"

#define SETS      64 /* a power of two */
#define WAYS      8
#define LIFE      (600 * UTCP_SECOND)
#define SUSPICION (60 * UTCP_SECOND)

#define VISITS       64 /* buckets of the stack's table, at most every */
#define VISITS_EVERY UTCP_MS

struct path {
    uint8_t local[16], remote[16];
    uint64_t until; /* then it is forgotten; 0: there is none */
    uint64_t used;
    uint16_t mtu;
    uint8_t family;
    bool suspected; /* nothing but a black hole says so */
};

struct utcp_paths {
    struct path entries[SETS][WAYS];
    /* Who is told: `left` buckets, from `next` on; in a table of this size, else all anew. */
    uint32_t next, left, table_size;
    uint64_t visit_at;
};

static struct path *set_of(const struct utcp_conn *conn)
{
    const struct utcp *stack = conn->stack;
    uint64_t words[4];

    if (conn->local.family == 4) {
        memcpy(words, conn->local.address, 4);
        memcpy((uint8_t *)words + 4, conn->remote.address, 4);
        return stack->paths->entries[siphash_table(stack->key, words, 1) & (SETS - 1)];
    }
    memcpy(words, conn->local.address, 16);
    memcpy(words + 2, conn->remote.address, 16);
    return stack->paths->entries[siphash_table(stack->key, words, 4) & (SETS - 1)];
}

/* NULL: nothing is known. */
static struct path *find(const struct utcp_conn *conn)
{
    struct path *set;

    if (conn->stack->paths == NULL)
        return NULL;
    set = set_of(conn);
    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].until > conn->stack->now && set[i].family == conn->local.family &&
            memcmp(set[i].remote, conn->remote.address, sizeof(set[i].remote)) == 0 &&
            memcmp(set[i].local, conn->local.address, sizeof(set[i].local)) == 0)
            return &set[i];
    return NULL;
}

static bool is_older(const struct path *a, const struct path *b, uint64_t now)
{
    if ((a->until > now) != (b->until > now))
        return a->until <= now;
    return a->used < b->used;
}

/* Finds it, or makes it; NULL: no memory. */
static struct path *obtain(struct utcp_conn *conn)
{
    struct utcp *stack = conn->stack;
    struct path *path = find(conn), *set;

    if (path)
        return path;
    if (stack->paths == NULL)
        stack->paths = calloc(1, sizeof(*stack->paths));
    if (stack->paths == NULL)
        return NULL;
    path = set = set_of(conn);
    for (unsigned i = 1; i < WAYS; i++)
        if (is_older(&set[i], path, stack->now))
            path = &set[i];
    *path = (struct path){.family = conn->local.family, .mtu = UINT16_MAX};
    memcpy(path->local, conn->local.address, sizeof(path->local));
    memcpy(path->remote, conn->remote.address, sizeof(path->remote));
    return path;
}

/* ── Who is to know ────────────────────────────────────────────────────────────────────────── */

static void visit(struct utcp_conn *conn)
{
    struct path *path = find(conn);

    if (path && !path->suspected && path->mtu < conn->path_mtu)
        utcp__mtu_told(conn, path->mtu, path->until);
}

static void visit_buckets(struct utcp *stack)
{
    struct utcp_paths *paths = stack->paths;
    uint32_t count = VISITS;

    if (paths->table_size != stack->table_size) { /* it has grown */
        paths->left = paths->table_size = stack->table_size;
        paths->next = 0;
    }
    for (; paths->left && count; paths->left--, count--) {
        for (struct utcp_conn *conn = stack->table[paths->next]; conn; conn = conn->chain)
            visit(conn);
        paths->next = (paths->next + 1) & (stack->table_size - 1);
    }
    paths->visit_at = stack->now + VISITS_EVERY;
}

void utcp__paths_advance(struct utcp *stack)
{
    if (stack->paths->left && stack->now >= stack->paths->visit_at)
        visit_buckets(stack);
}

/* A few at once, which in a small stack are all, unless some were just now: who has ICMP come for
 * connections of its own makes no more work by that. */
static void tell_others(struct utcp *stack)
{
    stack->paths->left = stack->table_size;
    utcp__paths_advance(stack);
}

uint64_t utcp__paths_deadline(const struct utcp *stack)
{
    return stack->paths->left ? stack->paths->visit_at : UINT64_MAX;
}

/* ── What is known ─────────────────────────────────────────────────────────────────────────── */

static void keep(struct utcp_conn *conn, uint32_t mtu, bool suspected)
{
    struct path *path = obtain(conn);
    bool lowered;

    if (path == NULL)
        return;
    lowered = mtu < path->mtu || path->suspected;
    path->mtu = (uint16_t)mtu;
    path->suspected = suspected;
    path->until = conn->stack->now + (suspected ? SUSPICION : LIFE);
    path->used = conn->stack->now;
    if (lowered && !suspected)
        tell_others(conn->stack);
}

uint32_t utcp__path_refused(struct utcp_conn *conn, uint32_t mtu)
{
    const struct path *path = find(conn);

    if (path && path->mtu < mtu && !path->suspected)
        return path->mtu;
    conn->path_mtu = (uint16_t)mtu; /* it is told itself by the caller */
    keep(conn, mtu, false);
    return mtu;
}

void utcp__path_searched(struct utcp_conn *conn, uint32_t mtu)
{
    keep(conn, mtu, false);
}

void utcp__path_suspected(struct utcp_conn *conn, uint32_t mtu)
{
    const struct path *path = find(conn);

    if (path == NULL || path->suspected)
        keep(conn, mtu, true);
}

void utcp__path_passed(struct utcp_conn *conn, uint32_t mtu)
{
    struct path *path = find(conn);

    if (path == NULL || path->mtu >= mtu)
        return;
    path->mtu = (uint16_t)mtu;
    if (mtu >= conn->stack->mtu)
        path->until = 0;
}

void utcp__path_begin(struct utcp_conn *conn)
{
    struct path *path = find(conn);

    if (path == NULL || path->mtu >= conn->path_mtu)
        return;
    path->used = conn->stack->now;
    conn->stack->stats.mtu_remembered++;
    utcp__mtu_told(conn, path->mtu, path->suspected ? conn->stack->now : path->until);
}

void utcp__paths_free(struct utcp *stack)
{
    free(stack->paths);
    stack->paths = NULL;
}
