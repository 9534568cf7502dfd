/* SPDX-License-Identifier: BSD-2-Clause */
/* fastopen.h: a hash table with chains over a fixed array of entries, which are also on a list in the
 * order of their last use. What is known of a server is under its address with port 0, how often it
 * failed under the address and port (RFC 7413 section 4.1.3.1: another service may be behind another
 * firewall). */
#include <stdlib.h>
#include <string.h>

#include "fastopen.h"

#define ENTRIES      256
#define BUCKETS      256                /* a power of two */
#define FAILURES_MAX 10                 /* beyond which the time grows no more: 17 hours */
#define PAUSE        (60 * UTCP_SECOND) /* doubled for each failure */

struct entry {
    struct list used;
    struct entry *chain;
    uint64_t hash;
    struct utcp_endpoint local, remote; /* local.port is 0 */
    struct fast_path path;
    uint64_t paused_until;
    uint8_t failures; /* in a row */
};

struct utcp_fast_cache {
    struct entry *buckets[BUCKETS];
    struct list used; /* all entries, that of the last use at the end; free ones first */
    struct entry entries[ENTRIES];
};

bool utcp__fast_cache_prepare(struct utcp *stack)
{
    struct utcp_fast_cache *cache;

    if (stack->fast_cache)
        return true;
    cache = calloc(1, sizeof(*cache));
    if (cache == NULL)
        return false;
    list_init(&cache->used);
    for (int i = 0; i < ENTRIES; i++)
        list_append(&cache->used, &cache->entries[i].used);
    stack->fast_cache = cache;
    return true;
}

void utcp__fast_cache_free(struct utcp *stack)
{
    free(stack->fast_cache);
    stack->fast_cache = NULL;
}

struct key {
    struct utcp_endpoint local, remote;
    uint64_t hash;
};

static struct key key_for(const struct utcp_conn *conn, uint16_t port)
{
    struct key key = {.local = conn->local, .remote = conn->remote};

    key.local.port = 0;
    key.remote.port = port;
    key.hash = utcp__endpoints_hash(conn->stack, &key.local, &key.remote, 'f');
    return key;
}

static struct entry **bucket(struct utcp_fast_cache *cache, uint64_t hash)
{
    return &cache->buckets[hash % BUCKETS];
}

static struct entry *find(const struct utcp_conn *conn, uint16_t port)
{
    struct utcp_fast_cache *cache = conn->stack->fast_cache;
    struct key key;
    struct entry *entry;

    if (cache == NULL)
        return NULL;
    key = key_for(conn, port);
    for (entry = *bucket(cache, key.hash); entry; entry = entry->chain)
        if (memcmp(&entry->local, &key.local, sizeof(key.local)) == 0 &&
            memcmp(&entry->remote, &key.remote, sizeof(key.remote)) == 0)
            return entry;
    return NULL;
}

static void unlink_entry(struct utcp_fast_cache *cache, const struct entry *entry)
{
    struct entry **at = bucket(cache, entry->hash);

    while (*at && *at != entry)
        at = &(*at)->chain;
    if (*at)
        *at = entry->chain;
}

static void touch(struct utcp_fast_cache *cache, struct entry *entry)
{
    list_remove(&entry->used);
    list_append(&cache->used, &entry->used);
}

/* Finds it, or makes it in the place of the oldest. NULL: all was forgotten, and there is no memory. */
static struct entry *obtain(struct utcp_conn *conn, uint16_t port)
{
    struct entry *entry = find(conn, port), **head;
    struct utcp_fast_cache *cache;
    struct key key;

    if (!utcp__fast_cache_prepare(conn->stack))
        return NULL;
    cache = conn->stack->fast_cache;
    if (entry == NULL) {
        entry = list_member(cache->used.next, struct entry, used);
        unlink_entry(cache, entry);
        list_remove(&entry->used);
        key = key_for(conn, port);
        *entry = (struct entry){.hash = key.hash, .local = key.local, .remote = key.remote};
        list_init(&entry->used);
        head = bucket(cache, key.hash);
        entry->chain = *head;
        *head = entry;
    }
    touch(cache, entry);
    return entry;
}

const struct fast_path *utcp__fast_cache_find(const struct utcp_conn *conn)
{
    const struct entry *entry = find(conn, 0);

    return entry ? &entry->path : NULL;
}

void utcp__fast_cache_learn(struct utcp_conn *conn, const struct utcp_segment_options *cookie)
{
    struct entry *entry = obtain(conn, 0);
    struct fast_path *path;

    if (entry == NULL)
        return;
    path = &entry->path;
    path->mss = conn->peer_mss;
    if (cookie) {
        memcpy(path->cookie, cookie->cookie, cookie->cookie_size);
        path->cookie_size = cookie->cookie_size;
        path->experimental = cookie->fast_open_experimental;
    } else if (conn->fast.option == FAST_OPTION_REQUEST && conn->retries == 0 &&
               path->cookie_size == 0 && path->tried != FAST_TRY_STANDARD_ONLY) {
        path->tried = conn->fast.experimental ? FAST_TRY_STANDARD_ONLY : FAST_TRY_EXPERIMENTAL;
    }
}

bool utcp__fast_cache_failing(const struct utcp_conn *conn)
{
    const struct entry *entry = find(conn, conn->remote.port);

    return entry && conn->stack->now < entry->paused_until;
}

void utcp__fast_cache_failed(struct utcp_conn *conn, bool surely)
{
    struct entry *entry = obtain(conn, conn->remote.port);

    if (entry == NULL)
        return;
    if (entry->failures < FAILURES_MAX)
        entry->failures++;
    if (surely && entry->failures < 2)
        entry->failures = 2;
    if (entry->failures >= 2)
        entry->paused_until = conn->stack->now + (PAUSE << entry->failures);
}

void utcp__fast_cache_worked(struct utcp_conn *conn)
{
    struct entry *entry = find(conn, conn->remote.port);

    if (entry == NULL)
        return;
    entry->failures = 0;
    entry->paused_until = 0;
}
