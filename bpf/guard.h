/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* guard: judges what has been claimed for a stack, before it leaves the kernel.
 *
 * It sees a packet only when the mux (or the tap) has found its 3-tuple bound and the switch alive: the
 * host's own traffic never comes here. A packet is judged by the rules for all bindings, which only an
 * administrator sets, then by those of its own binding; the first that refuses it decides.
 *
 *   claimed ─► lists ─► strict ─► source's ─► binding's ─► (who answers ─► connections ─► to the stack
 *                │        │       limit       limit        SYNs itself)    limit
 *             blocked  malformed    │           │                            │
 *                └────────┴─────────┴───────────┴────────────────────────────┴──► counted, dropped
 *
 * packet_answer(ctx, terms, family, now_ns), which the including file has, turns a SYN into its answer,
 * where that can be done: MUX_GUARD_COOKIE. MUX_CLAIMED: it cannot be, and the frame is as it was.
 *
 * Lists: the longest prefix that has not expired decides; where the same prefix is on both lists, allow
 * does. Who is allowed is not asked for anything behind the lists of the same rules. A list without a
 * matching prefix says nothing: "only these" is a block of /0 beside what is allowed.
 *
 * Strict and the limits are about TCP; the limits about SYNs alone. An ICMP error and a later fragment
 * have no header of their own to look at: for them lists are all there is.
 *
 * Everything that follows from a rule costs its look-ups; no rules cost none (guard_maps.h).
 *
 * This is the decision alone, and the same for all who make it: the programs at the NICs, whose tables are
 * maps (guard_tables.h), and the switch, for NICs without such a program, by tables of its own
 * (switch/guard_judge.c). The including file has packet_load(), and before this:
 *
 *   packet_load_at()    packet_load() at an offset that the compiler knows
 *   guard_repeat()      calls a function so many times, or until it says 1
 *   guard_now()         CLOCK_MONOTONIC, ns; guard_now_coarse(): as it was at the last tick
 *   guard_policy_at()   of a slot; NULL: none
 *   guard_entry_of()    the longest prefix that holds the key's address and is not longer than the key's
 *   guard_budget_at()   of a slot; others take from it at the same time
 *   guard_source_of()   a source's bucket; NULL: not known. guard_source_begin() makes it known
 *   guard_due()         reads a bucket
 *   guard_count_at()    one packet more
 *   guard_terms_at()    of a slot; for packet_answer() */
#ifndef MULTISTACK_GUARD_H
#define MULTISTACK_GUARD_H

#include "guard_cookie_maps.h"
#include "guard_maps.h"
#include "transport.h"

#define GUARD_TCP_FIN 0x01
#define GUARD_TCP_SYN 0x02
#define GUARD_TCP_RST 0x04
#define GUARD_TCP_PSH 0x08
#define GUARD_TCP_ACK 0x10
#define GUARD_TCP_URG 0x20

#define GUARD_LENGTHS_MAX 129 /* of prefixes */
#define GUARD_TRIES_MAX   4   /* to take from a bucket that other processors take from as well */

/* What the rules ask about. */
struct guard_packet {
    __u64 now_ns;
    __u32 family;
    __u8 source[16];
    bool exempt; /* the binding's list allows it */
    bool tcp;    /* and then: */
    __u8 flags;
    __be16 source_port;
};

static __always_inline const struct guard_policy *guard_policy_of(PACKET_CONTEXT *ctx, __u32 id)
{
    const struct guard_policy *policy = guard_policy_at(ctx, guard_slot(id));

    return policy && policy->id == id ? policy : NULL;
}

static __always_inline void guard_count(PACKET_CONTEXT *ctx, __u32 id, enum mux_verdict verdict)
{
    guard_count_at(ctx, guard_slot(id), verdict - MUX_GUARD_FIRST);
}

/* Nearly always at one of two places. */
static __always_inline bool guard_read_tcp(PACKET_CONTEXT *ctx, __u32 offset, struct tcphdr *tcp)
{
    if (offset == AT_IP + sizeof(struct iphdr))
        return !packet_load_at(ctx, AT_IP + sizeof(struct iphdr), tcp, sizeof(*tcp));
    if (offset == AT_IP + sizeof(struct ipv6hdr))
        return !packet_load_at(ctx, AT_IP + sizeof(struct ipv6hdr), tcp, sizeof(*tcp));
    return !packet_load(ctx, offset, tcp, sizeof(*tcp));
}

static __always_inline bool guard_read(PACKET_CONTEXT *ctx, const struct transport *transport,
                                       struct guard_packet *packet)
{
    const __u32 at4 = AT_IP + __builtin_offsetof(struct iphdr, saddr);
    const __u32 at6 = AT_IP + __builtin_offsetof(struct ipv6hdr, saddr);
    struct tcphdr tcp;

    packet->family = transport->family;
    if (transport->family == 4 ? packet_load_at(ctx, at4, packet->source, 4)
                               : packet_load_at(ctx, at6, packet->source, 16))
        return false;
    packet->tcp = transport->protocol == IPPROTO_TCP && !transport->headless;
    if (!packet->tcp)
        return true;
    if (!guard_read_tcp(ctx, transport->offset, &tcp))
        return false;
    packet->flags = ((const __u8 *)&tcp)[13];
    packet->source_port = tcp.source;
    return true;
}

enum guard_listed { GUARD_UNLISTED, GUARD_ALLOWED, GUARD_BLOCKED };

/* Who is looked for, from which length on, and what was found. */
struct guard_search {
    PACKET_CONTEXT *ctx;
    __u64 now_ns;
    struct guard_prefix key;
    int listed; /* enum guard_listed */
};

/* One prefix. 1: no more are asked. */
static long guard_look_step(__u64 index, void *context)
{
    struct guard_search *search = context;
    const struct guard_entry *entry = guard_entry_of(search->ctx, &search->key);

    (void)index;
    if (!entry)
        return 1;
    if (entry->allow_until_ns > search->now_ns)
        search->listed = GUARD_ALLOWED;
    else if (entry->block_until_ns > search->now_ns)
        search->listed = GUARD_BLOCKED;
    if (search->listed != GUARD_UNLISTED || !entry->length)
        return 1;
    search->key.length = GUARD_PREFIX_HEAD + entry->length - 1;
    return 0;
}

/* An entry that has expired hides shorter ones until the switch takes it out: then they are asked,
 * as many as there may be, since the switch takes its time with many rules. */
static __noinline int guard_look_up(PACKET_CONTEXT *ctx, const struct guard_packet *packet,
                                    __u32 id)
{
    struct guard_search search = {.ctx = ctx, .key = {.policy = id}, .listed = GUARD_UNLISTED};

    if (!packet)
        return GUARD_UNLISTED;
    search.now_ns = packet->now_ns;
    search.key.length = GUARD_PREFIX_HEAD + (packet->family == 4 ? 32 : 128);
    search.key.family = packet->family;
    __builtin_memcpy(search.key.address, packet->source, sizeof(search.key.address));
    guard_repeat(GUARD_LENGTHS_MAX, guard_look_step, &search);
    return search.listed;
}

/* Combinations of flags that no TCP sends: RFC 9293 section 3.10.7 takes none of them further, but
 * they cost a look-up, and scanners tell stacks apart by them. Port 0 is nobody's (RFC 6335). */
static __always_inline bool guard_malformed(const struct guard_packet *packet)
{
    __u8 flags = packet->flags;
    __u8 opening = flags & (GUARD_TCP_SYN | GUARD_TCP_FIN | GUARD_TCP_RST);

    if (!packet->source_port)
        return true;
    if (opening & (opening - 1)) /* more than one of them */
        return true;
    return !(flags & (GUARD_TCP_SYN | GUARD_TCP_RST | GUARD_TCP_ACK)); /* NULL, FIN alone, XMAS */
}

static __always_inline bool guard_is_opening(const struct guard_packet *packet)
{
    return packet->tcp && (packet->flags & (GUARD_TCP_SYN | GUARD_TCP_ACK | GUARD_TCP_RST |
                                            GUARD_TCP_FIN)) == GUARD_TCP_SYN;
}

/* The limit of this kind that holds now: false: none does. */
static __always_inline bool guard_limit_of(const struct guard_policy *policy,
                                           enum guard_limit_kind kind, __u64 now_ns,
                                           struct guard_limit *limit)
{
    for (int i = 0; i < GUARD_LIMIT_STEPS; i++) {
        *limit = policy->limits[kind][i];
        if (!limit->until_ns) /* and none behind it */
            return false;
        if (limit->until_ns > now_ns)
            return true;
    }
    return false;
}

static __always_inline bool guard_has_room(__u64 due_ns, __u64 now_ns,
                                           const struct guard_limit *limit)
{
    return due_ns <= now_ns || due_ns - now_ns <= limit->tolerance_ns;
}

/* Takes one opening from a bucket that all processors share. Who loses the race again and again is
 * let through: the limit is exceeded by less than one opening for each processor. */
static __always_inline bool guard_take(__u64 *due_ns, __u64 now_ns, const struct guard_limit *limit)
{
    __u64 known = guard_due(due_ns);

    for (int i = 0; i < GUARD_TRIES_MAX; i++) {
        __u64 next = (known > now_ns ? known : now_ns) + limit->interval_ns, found;

        if (!guard_has_room(known, now_ns, limit))
            return false;
        found = __sync_val_compare_and_swap(due_ns, known, next);
        if (found == known)
            return true;
        known = found;
    }
    return true;
}

/* The same from the bucket of one source. A source that is not known has a full one: a flood from many
 * addresses makes others forgotten sooner, and is the binding's limit's to stop. */
static __noinline int guard_take_of_source(PACKET_CONTEXT *ctx, const struct guard_packet *packet,
                                           const struct guard_policy *policy)
{
    struct guard_source key = {};
    struct guard_limit limit;
    __u64 *due_ns, first;

    if (!packet || !policy || !guard_limit_of(policy, GUARD_LIMIT_SOURCE, packet->now_ns, &limit))
        return 1;
    key.policy = policy->id;
    key.family = packet->family;
    __builtin_memcpy(key.address, packet->source, 8);
    due_ns = guard_source_of(ctx, &key);
    if (due_ns)
        return guard_take(due_ns, packet->now_ns, &limit);
    first = packet->now_ns + limit.interval_ns;
    guard_source_begin(ctx, &key, &first);
    return 1;
}

static __always_inline bool guard_limit_holds(const struct guard_policy *policy,
                                              struct guard_budget *budget,
                                              enum guard_limit_kind kind, __u64 now_ns)
{
    struct guard_limit limit;

    return !guard_limit_of(policy, kind, now_ns, &limit) ||
           guard_take(&budget->due_ns[kind], now_ns, &limit);
}

/* A SYN, by the limits of one policy. A binding that has had its share already is asked first, and
 * costs no more: that is where a flood from made-up addresses ends. */
static __always_inline enum mux_verdict guard_limit_opening(PACKET_CONTEXT *ctx,
                                                            const struct guard_packet *packet,
                                                            const struct guard_policy *policy,
                                                            __u32 id)
{
    struct guard_budget *budget = guard_budget_at(ctx, guard_slot(id));
    struct guard_limit total;
    bool limited;

    if (!budget)
        return MUX_CLAIMED;
    limited = guard_limit_of(policy, GUARD_LIMIT_SYN, packet->now_ns, &total);
    if (limited &&
        !guard_has_room(guard_due(&budget->due_ns[GUARD_LIMIT_SYN]), packet->now_ns, &total))
        return MUX_GUARD_SYN;
    if (policy->limits[GUARD_LIMIT_SOURCE][0].until_ns &&
        !guard_take_of_source(ctx, packet, policy))
        return MUX_GUARD_SYN_SOURCE;
    if (limited && !guard_take(&budget->due_ns[GUARD_LIMIT_SYN], packet->now_ns, &total))
        return MUX_GUARD_SYN;
    return MUX_CLAIMED;
}

/* What goes on to the stack as a new connection: a SYN that nobody has answered on its behalf. (Those
 * that come of answers are known to the stack alone: its backlog bounds them.) */
static __always_inline enum mux_verdict guard_limit_connection(PACKET_CONTEXT *ctx,
                                                               const struct guard_packet *packet,
                                                               const struct guard_policy *policy,
                                                               __u32 id)
{
    struct guard_budget *budget = guard_budget_at(ctx, guard_slot(id));

    if (!budget || guard_limit_holds(policy, budget, GUARD_LIMIT_CONNECTIONS, packet->now_ns))
        return MUX_CLAIMED;
    return MUX_GUARD_CONNECTIONS;
}

/* By the rules of one policy, but for how many connections there may be. */
static __noinline int guard_apply(PACKET_CONTEXT *ctx, struct guard_packet *packet, __u32 id)
{
    const struct guard_policy *policy = guard_policy_of(ctx, id);
    enum mux_verdict verdict = MUX_CLAIMED;
    int listed = GUARD_UNLISTED;
    __u32 flags;

    if (!packet || !policy)
        return MUX_CLAIMED;
    flags = policy->flags;
    if (flags & (packet->family == 4 ? GUARD_HAS_LIST_V4 : GUARD_HAS_LIST_V6))
        listed = guard_look_up(ctx, packet, id);
    packet->exempt = listed == GUARD_ALLOWED;
    if (packet->exempt)
        return MUX_CLAIMED;
    if (listed == GUARD_BLOCKED)
        verdict = MUX_GUARD_BLOCKED;
    else if (flags & GUARD_HAS_STRICT && packet->tcp && policy->strict_until_ns > packet->now_ns &&
             guard_malformed(packet))
        verdict = MUX_GUARD_MALFORMED;
    else if (flags & GUARD_HAS_LIMITS && guard_is_opening(packet))
        verdict = guard_limit_opening(ctx, packet, policy, id);
    if (verdict != MUX_CLAIMED)
        guard_count(ctx, id, verdict);
    return verdict;
}

/* A SYN that goes on to the stack, unless the policy's connections are too many. */
static __noinline int guard_admit(PACKET_CONTEXT *ctx, const struct guard_packet *packet, __u32 id)
{
    const struct guard_policy *policy = guard_policy_of(ctx, id);
    enum mux_verdict verdict;

    if (!packet || !policy || !(policy->flags & GUARD_HAS_LIMITS))
        return MUX_CLAIMED;
    verdict = guard_limit_connection(ctx, packet, policy, id);
    if (verdict != MUX_CLAIMED)
        guard_count(ctx, id, verdict);
    return verdict;
}

/* Of the SYNs that might be answered here the stack takes as many as it can spare the time for, an honest
 * client's as often as another's: nobody is answered here who need not be. */
static __always_inline bool guard_leaves_opening(PACKET_CONTEXT *ctx,
                                                 const struct guard_packet *packet,
                                                 const struct guard_cookie *terms, __u32 id)
{
    const struct guard_limit limit = {.interval_ns = terms->left_ns,
                                      .tolerance_ns = GUARD_COOKIE_LEFT_BURST_NS};
    struct guard_budget *budget;

    if (!limit.interval_ns)
        return false;
    budget = guard_budget_at(ctx, guard_slot(id));
    return budget && guard_take(&budget->left_due_ns, packet->now_ns, &limit);
}

/* A SYN, for whose binding somebody may want it answered here. */
static __always_inline enum mux_verdict
guard_answer_opening(PACKET_CONTEXT *ctx, const struct guard_packet *packet, __u32 id)
{
    const struct guard_policy *policy = guard_policy_of(ctx, id);
    const struct guard_cookie *terms;
    enum mux_verdict verdict;

    if (!policy || !(policy->flags & GUARD_HAS_COOKIES))
        return MUX_CLAIMED;
    terms = guard_terms_at(ctx, guard_slot(id));
    if (!terms || guard_leaves_opening(ctx, packet, terms, id))
        return MUX_CLAIMED;
    verdict = packet_answer(ctx, terms, packet->family, packet->now_ns);
    if (verdict != MUX_CLAIMED)
        guard_count(ctx, id, verdict);
    return verdict;
}

/* What all rules let through so far and opens a connection. `everywhere`: there are rules for all, and
 * they do not exempt it. */
static __always_inline enum mux_verdict guard_pass_opening(PACKET_CONTEXT *ctx,
                                                           const struct guard_packet *packet,
                                                           __u32 id, bool everywhere)
{
    bool own = id && !packet->exempt;
    enum mux_verdict verdict = own ? guard_answer_opening(ctx, packet, id) : MUX_CLAIMED;

    if (verdict == MUX_CLAIMED && everywhere)
        verdict = guard_admit(ctx, packet, GUARD_EVERYWHERE);
    if (verdict == MUX_CLAIMED && own)
        verdict = guard_admit(ctx, packet, id);
    return verdict;
}

/* MUX_CLAIMED: it may go on. `everywhere`: whether there are rules for all bindings. */
static __noinline int guard_judge(PACKET_CONTEXT *ctx, const struct transport *transport,
                                  __u32 everywhere)
{
    struct guard_packet packet = {};
    int verdict = MUX_CLAIMED;
    __u32 policy;

    if (!transport || !guard_read(ctx, transport, &packet))
        return MUX_CLAIMED;
    /* Buckets are for openings alone; ends of rules may be a tick late. */
    packet.now_ns = guard_is_opening(&packet) ? guard_now(ctx) : guard_now_coarse(ctx);
    policy = transport->policy;
    if (everywhere) {
        verdict = guard_apply(ctx, &packet, GUARD_EVERYWHERE);
        everywhere = !packet.exempt;
        packet.exempt = false;
    }
    if (verdict == MUX_CLAIMED && policy)
        verdict = guard_apply(ctx, &packet, policy);
    if (verdict == MUX_CLAIMED && guard_is_opening(&packet))
        verdict = guard_pass_opening(ctx, &packet, policy, everywhere);
    return verdict;
}

#endif
