/* SPDX-License-Identifier: BSD-2-Clause */
/* next_hop.h */
#include "next_hop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUCKETS     (NEXT_HOPS_MAX / NEXT_HOP_WAYS)
#define ASK_COST_NS (1000000000ULL / NEXT_HOP_ASKS_PER_SECOND)
#define ASK_FULL_NS (NEXT_HOP_ASKS_BURST * ASK_COST_NS)
#define USED_GRAIN  100000000ULL /* ns: how exactly used_ns is kept */

static_assert((BUCKETS & (BUCKETS - 1)) == 0, "a mask picks the bucket");

static uint32_t index_of(const struct next_hops *hops, const struct next_hop *hop)
{
    return (uint32_t)(hop - hops->entries);
}

static bool is_used(const struct next_hops *hops, uint32_t index)
{
    return hops->used[index / 64] >> (index % 64) & 1;
}

static struct channel_ip channel_ip_of(const uint64_t words[2], uint8_t family)
{
    struct channel_ip ip = {.family = family};

    memcpy(ip.bytes, words, sizeof(ip.bytes));
    return ip;
}

static bool may_ask(struct next_hops *hops, uint64_t now_ns)
{
    hops->tokens_ns += now_ns - hops->refilled_ns;
    hops->refilled_ns = now_ns;
    if (hops->tokens_ns > ASK_FULL_NS)
        hops->tokens_ns = ASK_FULL_NS;
    if (hops->tokens_ns < ASK_COST_NS)
        return false;
    hops->tokens_ns -= ASK_COST_NS;
    return true;
}

void next_hop_ask(struct next_hops *hops, struct next_hop *hop, uint64_t now_ns)
{
    struct channel_resolve message = {
        .header = {.type = CHANNEL_RESOLVE, .size = sizeof(message)},
        .destination = channel_ip_of(hop->destination, hop->family),
        .source = channel_ip_of(hop->source, hop->family),
    };

    if (now_ns < hop->ask_at_ns || !may_ask(hops, now_ns))
        return;
    /* A full channel loses the question; the next packet after the retry time asks again. */
    if (send(hops->channel_fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        stats_add(&hops->asked, 1);
    hop->ask_at_ns = now_ns + NEXT_HOP_RETRY_NS;
}

/* A free entry of the bucket, or the one used least lately that nobody waits for. */
static struct next_hop *choose_entry(struct next_hop *bucket)
{
    struct next_hop *oldest = NULL;

    for (uint32_t way = 0; way < NEXT_HOP_WAYS; way++) {
        struct next_hop *hop = &bucket[way];

        if (hop->state == NEXT_HOP_FREE)
            return hop;
        if (!hop->parked && (!oldest || hop->used_ns < oldest->used_ns))
            oldest = hop;
    }
    return oldest;
}

/* NULL: not there; then *bucket is where it belongs. */
static struct next_hop *find_in_bucket(const struct next_hops *hops, const struct packet_view *view,
                                       struct next_hop **bucket)
{
    struct next_hop *entries;

    entries = hops->entries + (hash_words(&hops->key, view->remote[0] ^ view->local.high,
                                          view->remote[1], view->local.low) &
                               (BUCKETS - 1)) *
                                  NEXT_HOP_WAYS;
    if (bucket)
        *bucket = entries;
    for (uint32_t way = 0; way < NEXT_HOP_WAYS; way++) {
        if (entries[way].state != NEXT_HOP_FREE && next_hop_matches(&entries[way], view))
            return &entries[way];
    }
    return NULL;
}

/* ── answers for prefixes ── */

static bool shares_prefix(const uint64_t a[2], const uint64_t b[2], uint8_t prefix)
{
    const uint8_t *left = (const uint8_t *)a, *right = (const uint8_t *)b;
    uint32_t whole = prefix / 8, rest = prefix % 8;

    return memcmp(left, right, whole) == 0 &&
           (!rest || (left[whole] ^ right[whole]) >> (8 - rest) == 0);
}

static bool covers(const struct wide_hop *wide, uint8_t family, const uint64_t destination[2],
                   uint64_t source_low, uint64_t source_high)
{
    return wide->until_ns && wide->hop.family == family && wide->hop.source[0] == source_low &&
           wide->hop.source[1] == source_high &&
           shares_prefix(wide->hop.destination, destination, wide->prefix);
}

/* Keeps the answer that `hop` has just had. */
static void widen(struct next_hops *hops, const struct next_hop *hop, uint8_t prefix,
                  uint64_t now_ns)
{
    struct wide_hop *place = &hops->wide[0];

    if (prefix >= (hop->family == 4 ? 32 : 128))
        return; /* no keeper of ours says so */
    for (uint32_t i = 0; i < NEXT_HOPS_WIDE; i++) {
        struct wide_hop *wide = &hops->wide[i];

        if (covers(wide, hop->family, hop->destination, hop->source[0], hop->source[1])) {
            place = wide;
            break;
        }
        if (wide->until_ns < place->until_ns)
            place = wide;
    }
    *place =
        (struct wide_hop){.hop = *hop, .prefix = prefix, .until_ns = now_ns + NEXT_HOP_REFRESH_NS};
    place->hop.parked = 0;
}

/* Fills in a new entry from an answer for its prefix. */
static void take_from_wide(const struct next_hops *hops, struct next_hop *hop, uint64_t now_ns)
{
    for (uint32_t i = 0; i < NEXT_HOPS_WIDE; i++) {
        const struct wide_hop *wide = &hops->wide[i];

        if (now_ns >= wide->until_ns ||
            !covers(wide, hop->family, hop->destination, hop->source[0], hop->source[1]))
            continue;
        hop->state = NEXT_HOP_READY;
        hop->nic = wide->hop.nic;
        hop->by_nic = true;
        hop->mtu = wide->hop.mtu;
        memcpy(hop->mac, wide->hop.mac, sizeof(hop->mac));
        memcpy(hop->gateway, wide->hop.gateway, sizeof(hop->gateway));
        hop->ask_at_ns = now_ns + NEXT_HOP_REFRESH_NS;
        return;
    }
}

/* Those through a gateway that has changed, or (NULL) all. */
static void forget_wide(struct next_hops *hops, const struct channel_ip *gateway)
{
    for (uint32_t i = 0; i < NEXT_HOPS_WIDE; i++) {
        if (!gateway || memcmp(hops->wide[i].hop.gateway, gateway->bytes, 16) == 0)
            hops->wide[i].until_ns = 0;
    }
}

struct next_hop *next_hop_find(struct next_hops *hops, const struct packet_view *view,
                               uint64_t now_ns)
{
    struct next_hop *bucket, *hop = find_in_bucket(hops, view, &bucket);

    if (!hop) {
        hop = choose_entry(bucket);
        if (!hop)
            return NULL;
        *hop = (struct next_hop){
            .source = {view->local.low, view->local.high},
            .family = view->family,
            .state = NEXT_HOP_ASKED,
        };
        memcpy(hop->destination, view->remote, sizeof(hop->destination));
        hops->used[index_of(hops, hop) / 64] |= 1ULL << (index_of(hops, hop) % 64);
        take_from_wide(hops, hop, now_ns);
    }
    if (now_ns - hop->used_ns > USED_GRAIN)
        hop->used_ns = now_ns;
    if (now_ns >= hop->ask_at_ns)
        next_hop_ask(hops, hop, now_ns);
    return hop;
}

static void take_answer(struct next_hop *hop, const struct channel_next_hop *answer,
                        uint64_t now_ns)
{
    hop->ask_at_ns = now_ns + NEXT_HOP_REFRESH_NS;
    if (answer->kind == CHANNEL_HOP_NIC || answer->kind == CHANNEL_HOP_RESOLVING) {
        hop->nic = answer->nic;
        hop->by_nic = true;
    } else if (answer->kind != CHANNEL_HOP_UNREACHABLE) {
        hop->by_nic = false;
    }
    hop->mtu = answer->mtu;
    memcpy(hop->mac, answer->mac, sizeof(hop->mac));
    memcpy(hop->gateway, answer->gateway.bytes, sizeof(hop->gateway));
    switch (answer->kind) {
    case CHANNEL_HOP_NIC: hop->state = NEXT_HOP_READY; break;
    case CHANNEL_HOP_LOCAL: hop->state = NEXT_HOP_LOCAL; break;
    case CHANNEL_HOP_RESOLVING:
        /* asked again soon: should the notification get lost, the answer will not */
        hop->state = NEXT_HOP_RESOLVING;
        hop->ask_at_ns = now_ns + NEXT_HOP_RETRY_NS;
        break;
    default:
        hop->state = NEXT_HOP_UNREACHABLE;
        hop->ask_at_ns = now_ns + NEXT_HOP_RETRY_NS;
        break;
    }
}

struct next_hop *next_hops_answer(struct next_hops *hops, const struct channel_next_hop *answer,
                                  uint64_t now_ns)
{
    struct packet_view asked = {.family = (uint8_t)answer->destination.family};
    struct next_hop *hop;

    memcpy(asked.remote, answer->destination.bytes, sizeof(asked.remote));
    memcpy(&asked.local.low, answer->source.bytes, 8);
    memcpy(&asked.local.high, answer->source.bytes + 8, 8);
    hop = find_in_bucket(hops, &asked, NULL);
    if (hop)
        take_answer(hop, answer, now_ns);
    if (hop && hop->state == NEXT_HOP_READY && answer->prefix)
        widen(hops, hop, answer->prefix, now_ns);
    return hop;
}

struct next_hop *next_hops_neighbor(struct next_hops *hops, const struct channel_neighbor *neighbor,
                                    uint32_t nic, uint32_t *cursor)
{
    if (*cursor == 0)
        forget_wide(hops, &neighbor->address);
    for (; *cursor < NEXT_HOPS_MAX; (*cursor)++) {
        struct next_hop *hop = &hops->entries[*cursor];

        if (*cursor % 64 == 0 && !hops->used[*cursor / 64]) {
            *cursor += 63;
            continue;
        }
        if (!is_used(hops, *cursor) || hop->family != neighbor->address.family || hop->nic != nic ||
            (hop->state != NEXT_HOP_READY && hop->state != NEXT_HOP_RESOLVING) ||
            memcmp(hop->gateway, neighbor->address.bytes, 16) != 0)
            continue;
        hop->state = neighbor->valid ? NEXT_HOP_READY : NEXT_HOP_RESOLVING;
        if (neighbor->valid)
            memcpy(hop->mac, neighbor->mac, sizeof(hop->mac));
        else
            hop->ask_at_ns = 0; /* the kernel looks for it again when it is asked again */
        (*cursor)++;
        return hop;
    }
    return NULL;
}

void next_hops_doubt(struct next_hops *hops)
{
    forget_wide(hops, NULL);
    for (uint32_t word = 0; word < NEXT_HOPS_MAX / 64; word++) {
        for (uint64_t bits = hops->used[word]; bits; bits &= bits - 1)
            hops->entries[word * 64 + (uint32_t)__builtin_ctzll(bits)].ask_at_ns = 0;
    }
}

uint32_t next_hops_count(const struct next_hops *hops)
{
    uint32_t count = 0;

    for (uint32_t word = 0; word < NEXT_HOPS_MAX / 64; word++)
        count += (uint32_t)__builtin_popcountll(hops->used[word]);
    return count;
}

int next_hops_init(struct next_hops *hops, const struct hash_key *key, int channel_fd)
{
    *hops = (struct next_hops){.key = *key, .channel_fd = channel_fd, .tokens_ns = ASK_FULL_NS};
    hops->entries = calloc(NEXT_HOPS_MAX, sizeof(struct next_hop));
    return hops->entries ? 0 : -ENOMEM;
}

void next_hops_dispose(struct next_hops *hops)
{
    free(hops->entries);
    hops->entries = NULL;
}
