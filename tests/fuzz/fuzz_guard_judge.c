/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard's decision in the switch (switch/guard_judge.c, bpf/guard.h) upon packets from the
 * wire, under rules that come and go, beside a model of it that is slow and says what the rules
 * mean, one after the other.
 *
 * An input is a sequence of steps: rules are set and taken away at the control socket's entry,
 * time passes, what has ended is swept out or not yet, packets arrive whole or in two
 * fragments. A packet's bytes are the input's, but for lengths and the IPv4 checksum, which are
 * made right. For each packet that comes to the guard, both must say the same, and the counters
 * of the policy that refused it, and no others, must have moved by one. */
#include "fuzz.h"

#include "../unit/switch_bench.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "control.h"
#include "guard_rules.h"

#define SECOND     1000000000ULL
#define UNIT       (1000 * SECOND) /* of how long rules last; the test itself takes much less */
#define EXPIRED    4 /* entries of lists that have ended and that a packet looks past */
#define RULES_MAX  64
#define BUCKETS    256
#define PACKET_MAX 255

/* ---- what there is to be ruled: bindings by their place in this list, policies by what they
 * share */

enum { EVERYWHERE, WEB, DATAGRAMS, OTHER, WEB6, SHARED_A, SHARED_B, RANGE, BINDINGS };

#define POLICIES 7
static const uint8_t policy_of[BINDINGS] = {0, 1, 2, 3, 4, 5, 5, 6};

static struct bench *bench;
static struct bench_app apps[2];
static struct connection root; /* a client of the administrator's, without a port */
static uint32_t numbers[BINDINGS];
static uint64_t start_ns; /* of this input */

static uint32_t bind_to(struct bench_app *app, uint8_t protocol, const char *text, uint16_t port,
                        const struct binding_terms *terms)
{
    uint8_t family = strchr(text, ':') ? 6 : 4, address[16] = {0};
    struct tuple tuple;
    uint32_t number;

    assert(inet_pton(family == 6 ? AF_INET6 : AF_INET, text, address) == 1);
    tuple = tuple_make(address, family, protocol, htons(port));
    assert(!binding_add(bench->core, app->port, &tuple, -1, terms, &number));
    return number;
}

static void open_bench(void)
{
    static const struct binding_terms alone, shared = {.shared = true}, range = {.port_count = 64};
    static const int no_maps[CHANNEL_GUARD_FDS] = {-1, -1, -1, -1, -1, -1};
    const struct channel_guard message = {.cpus = 1};
    struct tuple second;

    bench = bench_open();
    assert(!guard_open(bench->core, &message, no_maps));
    assert(!guard_judge_nics(bench->core));
    bench->nic->judged = true;
    second = tuple_make((const uint8_t[16]){10, 0, 0, 9}, 4, 0, 0);
    assert(!namespace_set_address(&bench->worker->names, &second, true));
    apps[0] = bench_app_open(bench, false, 0);
    apps[1] = bench_app_open(bench, false, 0);
    numbers[WEB] = bind_to(&apps[0], IP_PROTOCOL_TCP, "0.0.0.0", 80, &alone);
    numbers[DATAGRAMS] = bind_to(&apps[0], IP_PROTOCOL_UDP, "0.0.0.0", 80, &alone);
    numbers[OTHER] = bind_to(&apps[0], IP_PROTOCOL_TCP, "0.0.0.0", 81, &alone);
    numbers[WEB6] = bind_to(&apps[0], IP_PROTOCOL_TCP, "::", 80, &alone);
    numbers[SHARED_A] = bind_to(&apps[0], IP_PROTOCOL_TCP, BENCH_HOST4, 80, &shared);
    numbers[SHARED_B] = bind_to(&apps[1], IP_PROTOCOL_TCP, BENCH_HOST4, 80, &shared);
    numbers[RANGE] = bind_to(&apps[0], IP_PROTOCOL_TCP, "0.0.0.0", 16384, &range);
}

/* ---- the model */

struct rule {
    uint32_t binding; /* its place in the list */
    uint32_t kind;
    struct control_prefix prefix;
    uint64_t interval_ns, burst, until_ns;
};

/* What openings have taken more than has come back: 0 of a bucket that is full. */
struct debt {
    uint32_t policy, family;
    uint8_t address[8];
    uint64_t debt_ns, at_ns;
};

static struct rule rules[RULES_MAX];
static uint32_t rule_count;
static struct debt debts[BUCKETS]; /* of sources */
static uint32_t debt_count;
static struct debt totals[POLICIES][CONTROL_GUARD_KINDS];

struct arrived {
    uint32_t policy; /* 0: that of a binding that has none of its own */
    uint32_t family;
    uint8_t source[16];
    bool tcp;
    uint8_t flags;
    uint16_t source_port;
};

static bool is_list(uint32_t kind)
{
    return kind == CONTROL_GUARD_BLOCK || kind == CONTROL_GUARD_ALLOW;
}

static bool is_limit(uint32_t kind)
{
    return kind >= CONTROL_GUARD_SYN_SOURCE && kind <= CONTROL_GUARD_CONNECTIONS;
}

static bool in_prefix(const struct control_prefix *prefix, const struct arrived *packet)
{
    for (uint32_t bit = 0; bit < prefix->length; bit++) {
        if ((prefix->bytes[bit / 8] ^ packet->source[bit / 8]) >> (7 - bit % 8) & 1)
            return false;
    }
    return prefix->family == packet->family;
}

/* Until when the prefix of `length` is on a list; 0: it never was. */
static uint64_t listed_until(uint32_t policy, uint32_t kind, uint32_t length,
                             const struct arrived *packet)
{
    uint64_t until = 0;

    for (uint32_t i = 0; i < rule_count; i++) {
        const struct rule *rule = &rules[i];

        if (policy_of[rule->binding] == policy && rule->kind == kind &&
            rule->prefix.length == length && in_prefix(&rule->prefix, packet) &&
            rule->until_ns > until)
            until = rule->until_ns;
    }
    return until;
}

/* The kind of list that the source is on, or 0. */
static uint32_t model_lists(uint32_t policy, const struct arrived *packet, uint64_t now_ns)
{
    uint32_t ended = 0;

    for (uint32_t length = 129; length-- > 0 && ended < EXPIRED;) {
        uint64_t allowed = listed_until(policy, CONTROL_GUARD_ALLOW, length, packet);
        uint64_t blocked = listed_until(policy, CONTROL_GUARD_BLOCK, length, packet);

        if (allowed > now_ns)
            return CONTROL_GUARD_ALLOW;
        if (blocked > now_ns)
            return CONTROL_GUARD_BLOCK;
        ended += allowed || blocked;
    }
    return 0;
}

static bool model_strict(uint32_t policy, const struct arrived *packet, uint64_t now_ns)
{
    bool syn = packet->flags & 2, fin = packet->flags & 1, reset = packet->flags & 4;
    bool on = false;

    for (uint32_t i = 0; i < rule_count; i++)
        on |= policy_of[rules[i].binding] == policy && rules[i].kind == CONTROL_GUARD_STRICT &&
              rules[i].until_ns > now_ns;
    return on && packet->tcp &&
           (!packet->source_port || syn + fin + reset > 1 ||
            !(syn || reset || packet->flags & 0x10));
}

/* The lowest of the policy's limits of this kind, the one that has ended among them until it is
 * swept. */
static const struct rule *model_limit(uint32_t policy, uint32_t kind, uint64_t now_ns)
{
    const struct rule *lowest = NULL;

    for (uint32_t i = 0; i < rule_count; i++) {
        const struct rule *rule = &rules[i];

        if (policy_of[rule->binding] != policy || rule->kind != kind)
            continue;
        if (!lowest || rule->interval_ns > lowest->interval_ns ||
            (rule->interval_ns == lowest->interval_ns && rule->burst < lowest->burst) ||
            (rule->interval_ns == lowest->interval_ns && rule->burst == lowest->burst &&
             rule->until_ns > lowest->until_ns))
            lowest = rule;
    }
    return lowest && lowest->until_ns > now_ns ? lowest : NULL;
}

static bool has_room(struct debt *debt, const struct rule *limit, uint64_t now_ns)
{
    uint64_t passed = now_ns - debt->at_ns;

    debt->debt_ns = passed < debt->debt_ns ? debt->debt_ns - passed : 0;
    debt->at_ns = now_ns;
    return debt->debt_ns <= limit->interval_ns * (limit->burst - 1);
}

static bool take(struct debt *debt, const struct rule *limit, uint64_t now_ns)
{
    bool room = has_room(debt, limit, now_ns);

    debt->debt_ns += room ? limit->interval_ns : 0;
    return room;
}

static struct debt *debt_of(uint32_t policy, const struct arrived *packet)
{
    struct debt *debt = debts;

    while (debt < debts + debt_count &&
           (debt->policy != policy || debt->family != packet->family ||
            memcmp(debt->address, packet->source, sizeof(debt->address)) != 0))
        debt++;
    if (debt == debts + debt_count) {
        assert(debt_count < BUCKETS);
        debt_count++;
        *debt = (struct debt){.policy = policy, .family = packet->family};
        memcpy(debt->address, packet->source, sizeof(debt->address));
    }
    return debt;
}

static bool is_opening(const struct arrived *packet)
{
    return packet->tcp && (packet->flags & 0x17) == 2;
}

static enum mux_verdict model_openings(uint32_t policy, const struct arrived *packet,
                                       uint64_t now_ns)
{
    const struct rule *each = model_limit(policy, CONTROL_GUARD_SYN_SOURCE, now_ns);
    const struct rule *all = model_limit(policy, CONTROL_GUARD_SYN, now_ns);
    struct debt *total = &totals[policy][CONTROL_GUARD_SYN];

    if (all && !has_room(total, all, now_ns))
        return MUX_GUARD_SYN;
    if (each && !take(debt_of(policy, packet), each, now_ns))
        return MUX_GUARD_SYN_SOURCE;
    if (all)
        take(total, all, now_ns);
    return MUX_CLAIMED;
}

static bool model_connections(uint32_t policy, uint64_t now_ns)
{
    const struct rule *limit = model_limit(policy, CONTROL_GUARD_CONNECTIONS, now_ns);

    return !limit || take(&totals[policy][CONTROL_GUARD_CONNECTIONS], limit, now_ns);
}

/* By one policy, but for its connections. */
static enum mux_verdict model_rules(uint32_t policy, const struct arrived *packet, uint64_t now_ns,
                                    bool *exempt)
{
    uint32_t list = model_lists(policy, packet, now_ns);

    *exempt = list == CONTROL_GUARD_ALLOW;
    if (*exempt)
        return MUX_CLAIMED;
    if (list)
        return MUX_GUARD_BLOCKED;
    if (model_strict(policy, packet, now_ns))
        return MUX_GUARD_MALFORMED;
    return is_opening(packet) ? model_openings(policy, packet, now_ns) : MUX_CLAIMED;
}

/* *refuser: the policy that refuses it. */
static enum mux_verdict model_judge(const struct arrived *packet, uint64_t now_ns,
                                    uint32_t *refuser)
{
    bool exempt[2] = {false, false};
    enum mux_verdict verdict = model_rules(0, packet, now_ns, &exempt[0]);

    *refuser = 0;
    if (verdict != MUX_CLAIMED)
        return verdict;
    *refuser = packet->policy;
    verdict = model_rules(packet->policy, packet, now_ns, &exempt[1]);
    if (verdict != MUX_CLAIMED || !is_opening(packet))
        return verdict;
    *refuser = 0;
    if (!exempt[0] && !model_connections(0, now_ns))
        return MUX_GUARD_CONNECTIONS;
    *refuser = packet->policy;
    return exempt[1] || model_connections(packet->policy, now_ns) ? MUX_CLAIMED
                                                                  : MUX_GUARD_CONNECTIONS;
}

/* The model's own look at a packet: without options of IPv4, without fragments. False: it is
 * none that a binding can have. */
static bool read_arrived(const uint8_t *bytes, uint32_t size, struct arrived *packet)
{
    bool four = bytes[0] >> 4 == 4;
    uint32_t at = four ? 20 : 40;
    uint8_t protocol = bytes[four ? 9 : 6];
    uint16_t port;

    *packet = (struct arrived){.family = four ? 4 : 6};
    memcpy(packet->source, bytes + (four ? 12 : 8), four ? 4 : 16);
    while (!four && at + 8 <= size &&
           (protocol == IPV6_HOP_BY_HOP || protocol == IPV6_ROUTING ||
            protocol == IPV6_DESTINATION_OPTIONS)) {
        protocol = bytes[at];
        at += 8 + 8u * bytes[at + 1];
    }
    if (at + 8 > size)
        return false;
    port = (uint16_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    if (four && protocol == IP_PROTOCOL_UDP && port == 80) {
        packet->policy = policy_of[DATAGRAMS];
        return true;
    }
    if (protocol != IP_PROTOCOL_TCP || at + 20 > size)
        return false;
    packet->tcp = true;
    packet->flags = bytes[at + 13];
    packet->source_port = (uint16_t)(bytes[at] << 8 | bytes[at + 1]);
    if (port == 80 && !four)
        packet->policy = policy_of[WEB6];
    else if (port == 80 && memcmp(bytes + 16, "\x0a\0\0\1", 4) == 0)
        packet->policy = policy_of[SHARED_A];
    else if (port == 80)
        packet->policy = policy_of[WEB];
    else if (port == 81 && four)
        packet->policy = policy_of[OTHER];
    else if (port >= 16384 && port < 16384 + 64 && four)
        packet->policy = policy_of[RANGE];
    return packet->policy != 0;
}

/* ---- steps */

/* A policy without a rule is nobody's; the next that has rules begins with full buckets. */
static void forget_policy(uint32_t policy)
{
    for (uint32_t i = 0; i < rule_count; i++) {
        if (policy_of[rules[i].binding] == policy)
            return;
    }
    if (!policy)
        return;
    memset(totals[policy], 0, sizeof(totals[policy]));
    for (uint32_t i = 0; i < debt_count; i++) {
        if (debts[i].policy == policy)
            debts[i--] = debts[--debt_count];
    }
}

static void remove_rule(uint32_t index)
{
    uint32_t policy = policy_of[rules[index].binding];

    rules[index] = rules[--rule_count];
    forget_policy(policy);
}

static uint32_t model_find(uint32_t binding, uint32_t kind, const struct control_prefix *prefix)
{
    uint32_t i = 0;

    while (i < rule_count && (rules[i].binding != binding || rules[i].kind != kind ||
                              memcmp(&rules[i].prefix, prefix, sizeof(*prefix)) != 0))
        i++;
    return i;
}

/* action, binding, kind, length of the prefix, which of its bytes is not the peer's, rate or
 * which bit of it, burst, how long it lasts */
#define RULE_SIZE 8

static struct control_guard wish_of(const uint8_t *data)
{
    static const uint8_t peers[2][16] = {{10, 0, 0, 2}, {0xfd, [15] = 2}};
    static const uint32_t rates[] = {1, 2, 3, 7, 1000, 1000000, CONTROL_GUARD_RATE_MAX, 1};
    struct control_guard wish = {.action = data[0] % 8 < 5 ? CONTROL_GUARD_SET : data[0] % 8 - 3u,
                                 .binding = numbers[data[1] % BINDINGS],
                                 .kind = data[2] % CONTROL_GUARD_COOKIES};
    bool six = data[3] & 0x80;
    uint32_t bits = six ? 128 : 32, length = data[4] & 1 ? bits : data[3] % 129;

    if (is_list(wish.kind)) {
        wish.prefix.family = six ? 6 : 4;
        wish.prefix.length = (uint8_t)length;
        memcpy(wish.prefix.bytes, peers[six], 16);
        if (!(data[4] & 0x80))
            wish.prefix.bytes[data[4] / 2 % (bits / 8)] ^= (uint8_t)(1 << data[5] % 8);
        for (uint32_t bit = length; bit < 128; bit++)
            wish.prefix.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    } else if (is_limit(wish.kind) && wish.action == CONTROL_GUARD_SET) {
        wish.rate = rates[data[5] % 8];
        wish.burst = data[6] & 0x80 ? data[6] * 4096u : data[6] % 8;
    }
    if (wish.action == CONTROL_GUARD_SET)
        wish.duration_ns = data[7] % 8 * UNIT;
    if (wish.action == CONTROL_GUARD_FLUSH)
        wish.kind = 0, wish.prefix = (struct control_prefix){.zero = 0};
    return wish;
}

static int model_request(uint32_t binding, const struct control_guard *wish)
{
    uint32_t i = model_find(binding, wish->kind, &wish->prefix);

    if (wish->action == CONTROL_GUARD_FLUSH) {
        for (i = rule_count; i-- > 0;) {
            if (rules[i].binding == binding)
                remove_rule(i);
        }
        return 0;
    }
    if (wish->action > CONTROL_GUARD_FLUSH || !wish->kind ||
        (is_list(wish->kind) && wish->prefix.family == 4 && wish->prefix.length > 32))
        return -EINVAL;
    if (wish->action == CONTROL_GUARD_REMOVE) {
        if (i == rule_count)
            return -ENOENT;
        remove_rule(i);
        return 0;
    }
    if (binding == DATAGRAMS && !is_list(wish->kind))
        return -EPROTOTYPE;
    rule_count += i == rule_count;
    rules[i] = (struct rule){
        .binding = binding,
        .kind = wish->kind,
        .prefix = wish->prefix,
        .interval_ns = wish->rate ? SECOND / wish->rate : 0,
        .burst = wish->burst ? wish->burst : wish->rate,
        .until_ns = wish->duration_ns ? start_ns + wish->duration_ns : GUARD_FOR_EVER,
    };
    return 0;
}

static void ask(const uint8_t *data)
{
    struct control_guard wish = wish_of(data);
    int answer, expected;

    if (wish.action == CONTROL_GUARD_SET && rule_count == RULES_MAX)
        return;
    answer = guard_request(bench->core, &root, &wish);
    expected = model_request(data[1] % BINDINGS, &wish);
    assert(answer == expected);
    assert(bench->core->guard.count == rule_count);
}

/* Never near the end of a rule: those are counted from when they were set, a little later than
 * start_ns. */
static void let_time_pass(uint8_t count, uint8_t shift)
{
    uint64_t passed, *now_ns = &bench->worker->now_ns;

    *now_ns += (uint64_t)count << shift % 36;
    passed = (*now_ns - start_ns) % UNIT;
    if (passed < 100 * SECOND)
        *now_ns += 100 * SECOND - passed;
}

static void sweep(void)
{
    uint64_t now_ns = bench->worker->now_ns;

    for (uint32_t i = rule_count; i-- > 0;) {
        if (rules[i].until_ns <= now_ns)
            remove_rule(i);
    }
    guard_housekeep(bench->core, now_ns);
    assert(bench->core->guard.count == rule_count);
}

struct counted {
    struct guard_counts policies[POLICIES], nic;
};

static struct counted count_all(void)
{
    struct counted counted = {.nic = bench->worker->queues[0].refused};

    for (uint32_t i = 0; i < BINDINGS; i++) {
        const struct binding *binding =
            &bench->core->ports.bindings[numbers[i] % NAMESPACE_BINDINGS_MAX];
        uint32_t slot = i ? guard_place_of(&bench->core->guard, &binding->tuple) : GUARD_EVERYWHERE;

        if (slot != GUARD_NONE)
            assert(guard_read_counts(bench->core, slot, &counted.policies[policy_of[i]]));
    }
    return counted;
}

/* Everything but fragments of its own is made so that it may be a packet. */
static bool repair(uint8_t *packet, uint32_t size)
{
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;

    if (size >= sizeof(*ip) && packet[0] == 0x45) {
        ip->total_length = htons((uint16_t)size);
        ip->fragment = 0;
        ip->checksum = 0;
        ip->checksum = checksum_ipv4_make(ip);
        return true;
    }
    if (size < IPV6_HEADER_SIZE || packet[0] >> 4 != 6)
        return false;
    ((struct wire_ipv6 *)packet)->payload_length = htons((uint16_t)(size - IPV6_HEADER_SIZE));
    return true;
}

static void receive(const uint8_t *packet, uint32_t size)
{
    bench_arrive(bench, packet, size);
    forward_receive(bench->worker, &bench->worker->queues[0]);
}

/* In two, if it is long enough. */
static void receive_fragments(uint8_t *packet, uint32_t size)
{
    static uint16_t id;
    struct wire_ipv4 *ip = (struct wire_ipv4 *)packet;
    uint8_t second[PACKET_MAX];

    if (packet[0] != 0x45 || size <= sizeof(*ip) + 24) {
        receive(packet, size);
        return;
    }
    ip->id = htons(++id);
    memcpy(second, packet, sizeof(*ip));
    memcpy(second + sizeof(*ip), packet + sizeof(*ip) + 24, size - sizeof(*ip) - 24);
    ip->total_length = htons(sizeof(*ip) + 24);
    ip->fragment = htons(IPV4_MORE_FRAGMENTS);
    ip->checksum = 0;
    ip->checksum = checksum_ipv4_make(ip);
    receive(packet, sizeof(*ip) + 24);
    ip = (struct wire_ipv4 *)second;
    ip->total_length = htons((uint16_t)(size - 24));
    ip->fragment = htons(3);
    ip->checksum = 0;
    ip->checksum = checksum_ipv4_make(ip);
    receive(second, size - 24);
}

static uint32_t delivered(void)
{
    struct ring_record record;
    uint32_t count = 0;

    for (uint32_t i = 0; i < 2; i++) {
        while (bench_receive(&apps[i], &record))
            count++;
    }
    return count;
}

static void arrive(const uint8_t *data, uint32_t size, bool in_fragments)
{
    uint8_t packet[PACKET_MAX] = {0};
    struct counted before = count_all(), after;
    uint32_t refuser = 0, came;
    struct arrived arrived;
    bool known;

    memcpy(packet, data, size);
    if (!repair(packet, size))
        return;
    known = read_arrived(packet, size, &arrived);
    if (in_fragments)
        receive_fragments(packet, size);
    else
        receive(packet, size);
    came = delivered();
    after = count_all();
    assert(came <= 1);
    if (came || memcmp(&before.nic, &after.nic, sizeof(after.nic)) != 0) {
        enum mux_verdict verdict;

        assert(known);
        verdict = model_judge(&arrived, bench->worker->now_ns, &refuser);
        assert((verdict == MUX_CLAIMED) == came);
        if (!came) {
            before.nic.count[verdict - MUX_GUARD_FIRST]++;
            before.policies[refuser].count[verdict - MUX_GUARD_FIRST]++;
        }
    }
    assert(memcmp(&before, &after, sizeof(after)) == 0);
}

static void begin(void)
{
    struct guard_buckets *buckets;

    if (!bench)
        open_bench();
    buckets = bench->core->guard.buckets;
    memset(buckets->budgets, 0, sizeof(buckets->budgets));
    memset(buckets->sources, 0, sizeof(buckets->sources));
    memset(totals, 0, sizeof(totals));
    rule_count = debt_count = 0;
    start_ns = core_clock();
    bench->worker->now_ns = start_ns + 100 * SECOND;
}

static void end(void)
{
    for (uint32_t i = 0; i < BINDINGS; i++) {
        const struct control_guard flush = {.action = CONTROL_GUARD_FLUSH, .binding = numbers[i]};

        assert(!guard_request(bench->core, &root, &flush));
    }
    assert(!bench->core->guard.count && !bench->worker->judge->armed);
    assert(!bench->worker->judge->prefixes.used && !bench->worker->judge->policy_ids.used);
}

/* ---- inputs */

enum { STEP_PACKET, STEP_FRAGMENTS, STEP_RULE, STEP_TIME, STEP_SWEEP, STEPS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    while (size > RULE_SIZE) {
        uint32_t step = *data++ % STEPS, used;

        size--;
        switch (step) {
        case STEP_RULE:
            ask(data);
            used = RULE_SIZE;
            break;
        case STEP_TIME:
            let_time_pass(data[0], data[1]);
            used = 2;
            break;
        case STEP_SWEEP:
            sweep();
            used = 0;
            break;
        default:
            used = data[0] < size - 1 ? data[0] : (uint32_t)size - 1;
            arrive(data + 1, used, step == STEP_FRAGMENTS);
            used++;
            break;
        }
        data += used;
        size -= used;
    }
    end();
    return 0;
}

#define SET(binding, kind, length, differs, rate, burst, lasts)                                    \
    "\2\0" binding kind length differs rate burst lasts
#define REMOVE(binding, kind, length, differs, rate) "\2\5" binding kind length differs rate "\0\0"
#define FLUSH(binding)                               "\2\6" binding "\0\0\0\0\0\0"

#define LIST(binding, kind, length, lasts) SET(binding, kind, length, "\x80", "\0", "\0", lasts)
#define LIMIT(binding, kind, rate, burst)  SET(binding, kind, "\0", "\0", rate, burst, "\0")

#define BLOCK   "\1"
#define ALLOW   "\2"
#define STRICT  "\3"
#define SOURCE  "\4"
#define ALL     "\5"
#define ADMIT   "\6"
#define TIME    "\3"
#define LONG    TIME "\xff\x23" /* over 1000 s */
#define SWEEP   "\4"
#define HOST4   "\x0a\0\0\1"
#define HOST9   "\x0a\0\0\x09"
#define PEER4   "\x0a\0\0\2"
#define PREFIX6 "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

#define IPV4(next) "\x45\0\0\x28\0\0\0\0\x40" next "\0\0" PEER4

#define TCP(source, port, flags) source port "\0\0\3\xe8\0\0\0\0\x50" flags "\3\xe8\0\0\0\0"

#define SEGMENT(host, source, port, flags) "\0\x28" IPV4("\6") host TCP(source, port, flags)

#define SYN(host, port) SEGMENT(host, "\x0f\xa0", port, "\2")

#define ACK SEGMENT(HOST9, "\x0f\xa0", WEB_PORT, "\x10")

#define CUT_SYN "\1\x2c" IPV4("\6") HOST4 TCP("\x0f\xa0", WEB_PORT, "\2") "data"

#define SYN6(last)                                                                                 \
    "\0\x3c\x60\0\0\0\0\x14\6\x40" PREFIX6 last PREFIX6 "\1" TCP("\x0f\xa0", WEB_PORT, "\2")

#define BEHIND_OPTIONS                                                                             \
    "\0\x44\x60\0\0\0\0\x1c\0\x40" PREFIX6 "\2" PREFIX6 "\1"                                       \
    "\6\0\1\4\0\0\0\0" TCP("\x0f\xa0", WEB_PORT, "\2")

#define UDP      "\0\x1c" IPV4("\x11") HOST9 "\x0f\xa0\0\x50\0\x08\0\0"
#define WEB_PORT "\0\x50"
#define END      "\4\4\4\4\4\4\4\4\4"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(LIST("\1", BLOCK, "\x18", "\0") ACK LIST("\1", ALLOW, "\x20", "\1") ACK LIST(
        "\1", ALLOW, "\x1f", "\1") LIST("\1", ALLOW, "\x1e", "\1") LONG ACK SWEEP ACK END),
    FUZZ_TEXT(LIST("\0", BLOCK, "\x08", "\0") ACK UDP LIST("\2", ALLOW, "\x20", "\0")
                  UDP REMOVE("\0", BLOCK, "\x08", "\x80", "\0") UDP ACK END),
    FUZZ_TEXT(LIMIT("\5", SOURCE, "\1", "\2") LIMIT("\6", ALL, "\0", "\3") SYN(HOST4, WEB_PORT)
                  SYN(HOST4, WEB_PORT) SYN(HOST4, WEB_PORT) TIME "\x10\x1e" SYN(HOST4, WEB_PORT)
                      FLUSH("\5") CUT_SYN END),
    FUZZ_TEXT(LIMIT("\5", ALL, "\0", "\3") LIMIT("\6", ALL, "\0", "\2") SYN(HOST4, WEB_PORT)
                  SYN(HOST4, WEB_PORT) SYN(HOST4, WEB_PORT) FLUSH("\5") FLUSH("\6")
                      LIMIT("\5", ALL, "\0", "\1") SYN(HOST4, WEB_PORT) SYN(HOST4, WEB_PORT) END),
    FUZZ_TEXT(LIMIT("\7", ADMIT, "\0", "\1") SYN(HOST9, "\x40\x01") SYN(HOST9, "\x40\x02") LIMIT(
        "\0", STRICT, "\0", "\0") SYN(HOST9, "\x40\x03") SEGMENT(HOST9, "\0\0", "\x40\x03", "\x10")
                  SEGMENT(HOST9, "\1\1", "\x40\x03", "\x29")
                      SEGMENT(HOST9, "\1\1", "\x40\x03", "\x10") END),
    FUZZ_TEXT(LIST("\0", ALLOW, "\x20", "\0") LIMIT("\0", ADMIT, "\0", "\1") SYN(HOST9, "\0\x51")
                  SYN(HOST9, "\0\x51") LIMIT("\3", ADMIT, "\0", "\1") SYN(HOST9, "\0\x51")
                      SYN(HOST9, "\0\x51") FLUSH("\0") SYN(HOST9, "\0\x51") END),
    FUZZ_TEXT(LIST("\4", BLOCK, "\xf8", "\1") LIST("\4", ALLOW, "\xc1", "\2")
                  LIST("\4", BLOCK, "\xbf", "\0") LIMIT("\4", SOURCE, "\0", "\2") SYN6("\2")
                      LONG SYN6("\2") LONG SYN6("\3") SWEEP SYN6("\3") FLUSH("\4") SYN6("\3") END),
    FUZZ_TEXT(LIMIT("\4", SOURCE, "\0", "\2") SYN6("\3") SYN6("\4") BEHIND_OPTIONS SYN6("\5") END),
    {NULL, 0},
};
