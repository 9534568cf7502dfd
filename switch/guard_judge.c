/* SPDX-License-Identifier: BSD-2-Clause */
/* guard_judge.h: tables, and the guard's decision upon them. */
#include "guard_judge.h"

#include <errno.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "guard_cookie_maps.h"
#include "handover.h"

#define PACKET_CONTEXT struct guard_context
#define __noinline     /* as the compiler likes */

/* The packet that is being judged, as guard.h sees it. */
struct guard_context {
    struct guard_judge *judge;
    const uint8_t *packet;
    uint32_t available;
    uint64_t now_ns;
};

/* ---- tables */

/* A prefix as a tuple: of the policy's id, family and length, and whose bits are the address. */
static struct tuple prefix_tuple(uint32_t policy, uint32_t family, uint32_t length,
                                 const uint8_t address[16])
{
    struct tuple tuple;

    memcpy(&tuple.low, address, 8);
    memcpy(&tuple.high, address + 8, 8);
    tuple.rest = guard_slot(policy) | length << 16 | (uint32_t)(family == 6) << 31;
    return tuple;
}

static_assert(GUARD_POLICIES_MAX <= 1 << 16, "a slot and a length fit a tuple");

/* Bits beyond `length` are cleared. */
static void cut(uint8_t address[16], uint32_t length)
{
    if (length >= 128)
        return;
    address[length / 8] &= (uint8_t)(0xff00 >> length % 8);
    memset(address + length / 8 + 1, 0, 15 - length / 8);
}

int guard_judge_set_prefix(struct worker *worker, const struct guard_prefix *key,
                           const struct guard_entry *entry)
{
    struct guard_judge *judge = worker->judge;
    struct tuple tuple = prefix_tuple(key->policy, key->family, entry->length, key->address);
    const struct tuple_slot *slot;
    struct guard_entry *own;
    int status;

    if (!judge)
        return 0;
    slot = tuple_table_find(&judge->prefixes, &tuple);
    if (!entry->allow_until_ns && !entry->block_until_ns) {
        own = slot ? slot->value : NULL;
        tuple_table_remove(&judge->prefixes, &tuple);
        free(own);
        return 0;
    }
    if (slot) {
        *(struct guard_entry *)slot->value = *entry;
        return 0;
    }
    own = malloc(sizeof(*own));
    if (!own)
        return -ENOMEM;
    *own = *entry;
    status = tuple_table_add(&judge->prefixes, &tuple, own, 0);
    if (status)
        free(own);
    return status;
}

int guard_judge_set_policy(struct worker *worker, const struct guard_judged *judged)
{
    struct guard_judge *judge = worker->judge;
    struct guard_judged *own;

    if (!judge)
        return 0;
    own = &judge->policies[guard_slot(judged->policy.id)];
    judge->armed -= own->policy.flags != 0;
    *own = *judged;
    judge->armed += own->policy.flags != 0;
    return 0;
}

int guard_judge_refer(struct worker *worker, const struct tuple *tuple, uint32_t policy)
{
    struct guard_judge *judge = worker->judge;

    if (!judge)
        return 0;
    tuple_table_remove(&judge->policy_ids, tuple);
    return policy ? tuple_table_add(&judge->policy_ids, tuple, (void *)(uintptr_t)policy, 0) : 0;
}

void guard_judge_fill(struct guard_buckets *buckets, uint32_t slot)
{
    for (uint32_t kind = 0; kind < GUARD_LIMIT_COUNT; kind++)
        __atomic_store_n(&buckets->budgets[slot].due_ns[kind], 0, __ATOMIC_RELAXED);
    __atomic_store_n(&buckets->budgets[slot].left_due_ns, 0, __ATOMIC_RELAXED);
}

/* Has one writer, as all counters (stats.h). */
static inline void guard_counts_add(struct guard_counts *counts, uint32_t index)
{
    if (index < GUARD_COUNTS_MAX)
        __atomic_store_n(&counts->count[index], counts->count[index] + 1, __ATOMIC_RELAXED);
}

/* ---- what guard.h asks for */

static inline uint64_t guard_now(struct guard_context *context)
{
    return context->now_ns;
}

static inline uint64_t guard_now_coarse(struct guard_context *context)
{
    return context->now_ns;
}

static inline const struct guard_policy *guard_policy_at(struct guard_context *context,
                                                         uint32_t slot)
{
    return &context->judge->policies[slot].policy;
}

/* The longest first. */
static const struct guard_entry *guard_entry_of(struct guard_context *context,
                                                const struct guard_prefix *key)
{
    const struct guard_judge *judge = context->judge;
    const struct guard_judged *judged = &judge->policies[guard_slot(key->policy)];
    const uint64_t *lengths = key->family == 4 ? &judged->lengths4 : judged->lengths6;
    uint32_t most = key->length - GUARD_PREFIX_HEAD;
    uint8_t address[16];

    memcpy(address, key->address, sizeof(address));
    for (uint32_t word = most / 64 + 1; word-- > 0;) {
        uint64_t left = lengths[word];

        if (word == most / 64 && most % 64 < 63)
            left &= (2ULL << most % 64) - 1;
        while (left) {
            uint32_t bit = 63 - (uint32_t)__builtin_clzll(left), length = word * 64 + bit;
            const struct tuple_slot *slot;
            struct tuple tuple;

            left ^= 1ULL << bit;
            cut(address, length);
            tuple = prefix_tuple(key->policy, key->family, length, address);
            slot = tuple_table_find(&judge->prefixes, &tuple);
            if (slot)
                return slot->value;
        }
    }
    return NULL;
}

static inline struct guard_budget *guard_budget_at(struct guard_context *context, uint32_t slot)
{
    return &context->judge->buckets->budgets[slot];
}

static uint64_t tag_of(const struct guard_buckets *buckets, const struct guard_source *key)
{
    uint64_t address, tag;

    memcpy(&address, key->address, sizeof(address));
    tag = hash_mix(hash_words(&buckets->key, address, key->policy, key->family));
    return tag ? tag : 1;
}

static struct guard_bucket *set_of(struct guard_buckets *buckets, uint64_t tag)
{
    return &buckets->sources[(tag >> 32) % (GUARD_SOURCES_MAX / GUARD_SOURCE_WAYS) *
                             GUARD_SOURCE_WAYS];
}

static __u64 *guard_source_of(struct guard_context *context, const struct guard_source *key)
{
    uint64_t tag = tag_of(context->judge->buckets, key);
    struct guard_bucket *set = set_of(context->judge->buckets, tag);

    for (uint32_t i = 0; i < GUARD_SOURCE_WAYS; i++) {
        if (__atomic_load_n(&set[i].tag, __ATOMIC_RELAXED) == tag)
            return &set[i].due_ns;
    }
    return NULL;
}

/* Another worker may do the same: then one of the two sources is known a little later. */
static void guard_source_begin(struct guard_context *context, const struct guard_source *key,
                               const __u64 *due_ns)
{
    uint64_t tag = tag_of(context->judge->buckets, key), oldest = UINT64_MAX;
    struct guard_bucket *set = set_of(context->judge->buckets, tag), *chosen = set;

    for (uint32_t i = 0; i < GUARD_SOURCE_WAYS; i++) {
        uint64_t due = __atomic_load_n(&set[i].due_ns, __ATOMIC_RELAXED);

        if (due < oldest) {
            oldest = due;
            chosen = &set[i];
        }
    }
    __atomic_store_n(&chosen->tag, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&chosen->due_ns, *due_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&chosen->tag, tag, __ATOMIC_RELAXED);
}

static inline __u64 guard_due(const __u64 *due_ns)
{
    return __atomic_load_n(due_ns, __ATOMIC_RELAXED);
}

static inline void guard_count_at(struct guard_context *context, uint32_t slot, uint32_t index)
{
    guard_counts_add(&context->judge->counts[slot], index);
}

static inline const struct guard_cookie *guard_terms_at(struct guard_context *context,
                                                        uint32_t slot)
{
    (void)context;
    (void)slot;
    return NULL;
}

static inline enum mux_verdict packet_answer(struct guard_context *context,
                                             const struct guard_cookie *terms, uint32_t family,
                                             uint64_t now_ns)
{
    (void)context;
    (void)terms;
    (void)family;
    (void)now_ns;
    return MUX_CLAIMED;
}

/* Offsets are those of an Ethernet frame. */
static inline long packet_load(struct guard_context *context, uint32_t offset, void *to,
                               uint32_t size)
{
    offset -= ETHER_HEADER_SIZE;
    if (offset > context->available || size > context->available - offset)
        return -EFAULT;
    memcpy(to, context->packet + offset, size);
    return 0;
}

#define packet_load_at packet_load

static inline void guard_repeat(uint32_t times, long (*step)(__u64 index, void *context),
                                void *context)
{
    for (uint32_t i = 0; i < times && !step(i, context); i++)
        ;
}

#include "guard.h"

/* ---- packets */

/* The policy of the binding that has it: found as its owner is (namespace.h). 0: none. */
static uint32_t policy_of(const struct worker *worker, const struct packet_view *view)
{
    const struct namespace_table *names = &worker->names;
    const struct tuple_table *ids = &worker->judge->policy_ids;
    struct tuple tuple = view->local;
    const struct tuple_slot *slot;

    if (!ids->used)
        return 0;
    if (!tuple_table_find(&names->bindings, &tuple)) {
        tuple = tuple_wildcard(&view->local);
        if (!tuple_table_find(&names->bindings, &tuple)) {
            slot = names->range_sizes ? namespace__find_range(names, &view->local) : NULL;
            if (!slot)
                return 0;
            tuple = (struct tuple){slot->low, slot->high, slot->rest};
        }
    }
    slot = tuple_table_find(ids, &tuple);
    return slot ? (uint32_t)(uintptr_t)slot->value : 0;
}

bool guard_judge_is_on(const struct worker *worker, const struct worker_queue *queue)
{
    return worker->judge && worker->judge->armed && queue->queue->nic->judged;
}

bool guard_judge_lets(struct worker *worker, struct worker_queue *queue,
                      const struct nic_frame *frame, uint32_t offset,
                      const struct packet_view *view)
{
    struct guard_judge *judge = worker->judge;
    struct guard_context context = {.judge = judge,
                                    .packet = frame->data + offset,
                                    .available = frame->head_length - offset,
                                    .now_ns = worker->now_ns};
    const struct transport transport = {
        .offset = (uint32_t)ETHER_HEADER_SIZE + view->transport,
        .family = view->family,
        .protocol = tuple_protocol(&view->local),
        .headless = view->protocol != tuple_protocol(&view->local), /* an ICMP error about it */
        .policy = policy_of(worker, view),
    };
    int verdict = guard_judge(&context, &transport, judge->policies[GUARD_EVERYWHERE].policy.flags);

    if (verdict == MUX_CLAIMED)
        return true;
    guard_counts_add(&queue->refused, (uint32_t)verdict - MUX_GUARD_FIRST);
    return false;
}

/* ---- begin and end */

static struct guard_judge *judge_new(struct switch_core *core, uint32_t index)
{
    struct guard_judge *judge = calloc(1, sizeof(*judge));

    if (!judge)
        return NULL;
    judge->buckets = core->guard.buckets;
    judge->counts = core->guard.store->counts[index];
    judge->policies = calloc(GUARD_POLICIES_MAX, sizeof(*judge->policies));
    core->workers[index].judge = judge;
    if (!judge->policies || tuple_table_init(&judge->prefixes, &core->key, GUARD_PREFIXES_MAX) ||
        tuple_table_init(&judge->policy_ids, &core->key, GUARD_POLICIES_MAX))
        return NULL; /* guard_judge_end() takes what there is */
    return judge;
}

int guard_judge_begin(struct switch_core *core)
{
    struct guard *guard = &core->guard;

    guard->buckets = calloc(1, sizeof(*guard->buckets));
    if (!guard->buckets)
        return -ENOMEM;
    guard->buckets->key = core->key;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        if (!judge_new(core, i))
            return -ENOMEM;
    }
    return 0;
}

static void judge_free(struct guard_judge *judge)
{
    for (uint32_t i = 0; judge->prefixes.slots && i <= judge->prefixes.mask; i++)
        free(judge->prefixes.slots[i].value);
    tuple_table_dispose(&judge->prefixes);
    tuple_table_dispose(&judge->policy_ids);
    free(judge->policies);
    free(judge);
}

void guard_judge_end(struct switch_core *core)
{
    for (uint32_t i = 0; i < core->worker_count; i++) {
        if (core->workers[i].judge)
            judge_free(core->workers[i].judge);
        core->workers[i].judge = NULL;
    }
    free(core->guard.buckets);
    core->guard.buckets = NULL;
}
