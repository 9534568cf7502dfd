/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules of the guard in memory that outlives the switch (switch/guard_store.c): a switch dies, at
 * any time, and the next one makes lists of what it finds.
 *
 * An input is the life of several switches: rules are set by hand, by ports, for all; bindings
 * come and go; words of the memory are overwritten; the switch dies, and another opens the same
 * memory. Lists are sound after each step. While nothing was overwritten, what was set by hand
 * is found again, in force once its binding is back, and no rule of a port is. */
#include "fuzz.h"

#include "../unit/switch_bench.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "guard_rules.h"

#define SECOND   1000000000ULL
#define BINDINGS 3 /* two ports share the first two's 3-tuple */
#define TOUCHED  64

static struct bench *bench;
static int store_fd;
static struct guard_store *store; /* as whoever dies in the midst of writing leaves it */
static struct bench_app apps[2];
static uint32_t numbers[BINDINGS]; /* 0: not bound */
static bool spoiled;

/* ---- a switch that comes and goes */

static void bind_one(uint32_t which)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    const struct binding_terms terms = {.shared = which < 2};
    struct tuple tuple = tuple_make(loopback, 4, IP_PROTOCOL_TCP, htons(which < 2 ? 80 : 81));

    if (!numbers[which])
        assert(
            !binding_add(bench->core, apps[which == 1].port, &tuple, -1, &terms, &numbers[which]));
}

static void unbind_one(uint32_t which)
{
    if (numbers[which])
        assert(!binding_remove(bench->core, apps[which == 1].port, numbers[which]));
    numbers[which] = 0;
}

static void begin_switch(void)
{
    const struct channel_guard message = {.cpus = 1};
    const int fds[CHANNEL_GUARD_FDS] = {-1, -1, -1, -1, -1, dup(store_fd)};

    assert(!guard_open(bench->core, &message, fds));
    assert(!guard_judge_nics(bench->core));
}

/* It takes nothing out of what it shares with the next one. */
static void end_switch(void)
{
    guard_judge_end(bench->core);
    guard_dispose(&bench->core->guard);
    for (uint32_t i = 0; i < BINDINGS; i++)
        unbind_one(i);
    apps[0].port->guard_rules = apps[1].port->guard_rules = 0;
}

static void open_bench(void)
{
    bench = bench_open();
    store_fd = memfd_create("store", MFD_CLOEXEC);
    assert(store_fd >= 0 && !ftruncate(store_fd, sizeof(*store)));
    store = mmap(NULL, sizeof(*store), PROT_READ | PROT_WRITE, MAP_SHARED, store_fd, 0);
    assert(store != MAP_FAILED);
    for (uint32_t i = 0; i < 2; i++)
        apps[i] = bench_app_open(bench, false, 0);
}

/* ---- what must hold */

static uint32_t rules_of(uint32_t number)
{
    const struct guard *guard = &bench->core->guard;
    uint32_t count = 0;

    for (uint32_t i = 0; i < guard->made; i++)
        count += guard->rules[i].kind && guard->rules[i].binding == number;
    return count;
}

static void expect_sound(void)
{
    const struct guard *guard = &bench->core->guard;
    uint32_t listed = 0, unused = 0;

    for (uint32_t slot = 0; slot < GUARD_POLICIES_MAX; slot++) {
        for (uint32_t i = guard->places[slot].first_rule; i != GUARD_NONE;
             i = guard->rules[i].next) {
            const struct guard_rule *rule = &guard->rules[i];

            assert(i < guard->made && rule->slot == slot && guard->places[slot].used == 1);
            assert(rule->kind && rule->kind < CONTROL_GUARD_KINDS);
            assert(slot != GUARD_EVERYWHERE || !rule->binding);
            assert(guard_slot(guard->places[slot].id) == slot);
            assert(rule->kind < CONTROL_GUARD_SYN_SOURCE ||
                   rule->kind > CONTROL_GUARD_CONNECTIONS || (rule->rate && rule->burst));
            listed++;
            assert(listed <= guard->count);
        }
    }
    for (uint32_t i = guard->free; i != GUARD_NONE; i = guard->rules[i].next) {
        unused++;
        assert(i < guard->made && !guard->rules[i].kind && unused <= guard->made);
    }
    assert(listed == guard->count && listed + unused == guard->made);
    assert(guard->made <= GUARD_RULES_MAX);
    for (uint32_t i = 0; i < BINDINGS; i++) {
        if (numbers[i])
            assert(bench->core->ports.bindings[numbers[i] % NAMESPACE_BINDINGS_MAX].guard_rules ==
                   rules_of(numbers[i]));
    }
}

/* No rule waits for its binding. */
static void expect_in_force(void)
{
    const struct guard *guard = &bench->core->guard;

    expect_sound();
    for (uint32_t i = 0; i < guard->made; i++)
        assert(!guard->rules[i].kind || !guard->rules[i].slot || guard->rules[i].binding);
}

static uint32_t lasting(void)
{
    const struct guard *guard = &bench->core->guard;
    uint32_t count = 0;

    for (uint32_t i = 0; i < guard->made; i++)
        count += guard->rules[i].kind &&
                 (guard->rules[i].slot == GUARD_EVERYWHERE || guard->rules[i].by_hand);
    return count;
}

static void die(void)
{
    uint32_t expected = lasting();

    end_switch();
    begin_switch();
    expect_sound();
    assert(spoiled || bench->core->guard.count == expected);
}

/* All come back in the order in which they were; a minute later nothing waits. */
static void return_all(void)
{
    struct guard *guard = &bench->core->guard;

    for (uint32_t i = 0; i < BINDINGS; i++)
        bind_one(i);
    expect_sound();
    guard_housekeep(bench->core, core_clock() + 61 * SECOND);
    expect_sound();
    assert(!guard->awaiting_ns);
    expect_in_force();
}

/* ---- steps of two or eight bytes */

/* which binding (BINDINGS: for all) and who asks, action, kind, prefix, rate */
static void ask(const uint8_t *data)
{
    uint32_t which = data[0] % (BINDINGS + 1);
    struct connection client = {.port = data[0] & 0x80 && which < BINDINGS ? apps[which == 1].port
                                                                           : NULL};
    struct control_guard wish = {.binding = which < BINDINGS ? numbers[which] : 0,
                                 .action = data[1] % 8 < 6 ? CONTROL_GUARD_SET : data[1] % 8 - 4u,
                                 .kind = data[2] % CONTROL_GUARD_KINDS};
    int status;

    if (which < BINDINGS && !numbers[which])
        return;
    if (wish.action == CONTROL_GUARD_FLUSH) {
        wish.kind = 0;
    } else if (wish.kind == CONTROL_GUARD_BLOCK || wish.kind == CONTROL_GUARD_ALLOW) {
        wish.prefix = (struct control_prefix){.family = 4, .length = 32};
        memcpy(wish.prefix.bytes, data + 3, 3);
    } else if (wish.action == CONTROL_GUARD_SET && wish.kind >= CONTROL_GUARD_SYN_SOURCE &&
               wish.kind <= CONTROL_GUARD_CONNECTIONS) {
        wish.rate = data[3] + 1u;
        wish.burst = data[4];
    }
    if (wish.action == CONTROL_GUARD_SET && data[5] & 1)
        wish.duration_ns = 1000 * SECOND;
    status = guard_request(bench->core, &client, &wish);
    assert(status == 0 || status == -EINVAL || status == -ENOENT || status == -EOPNOTSUPP ||
           status == -EPERM || status == -ENOSPC);
    expect_sound();
}

/* A word of a place, of a rule, or how many rules there are. */
static void spoil(const uint8_t *data)
{
    static const uint32_t words[] = {0, 1, 2, 3, 8, GUARD_NONE, UINT32_MAX - 1, 1023};
    uint32_t word = data[3], value = data[4] & 0x80 ? words[data[4] % 8] : data[4];
    uint32_t *at = &store->made;

    if (data[0] % 4 == 1)
        at = (uint32_t *)&store->places[data[1] % TOUCHED] + word % (sizeof(*store->places) / 4);
    else if (data[0] % 4 > 1)
        at = (uint32_t *)&store->rules[data[1] % TOUCHED] + word % (sizeof(*store->rules) / 4);
    if (data[5] & 1)
        memcpy(&value, data + 2, sizeof(value));
    *at = value;
    spoiled = true;
    end_switch(); /* the one that wrote it does not look at it again */
    begin_switch();
    expect_sound();
}

/* What earlier inputs have left of the memory. */
static void begin(void)
{
    uint32_t made;

    if (!bench)
        open_bench();
    made = store->made < GUARD_RULES_MAX ? store->made : GUARD_RULES_MAX;
    if (made < TOUCHED)
        made = TOUCHED;
    memset(store->places, 0, sizeof(store->places));
    memset(store->rules, 0, made * sizeof(*store->rules));
    store->made = store->zero = 0;
    spoiled = false;
    begin_switch();
    for (uint32_t i = 0; i < BINDINGS; i++)
        bind_one(i);
}

enum { STEP_ASK, STEP_SPOIL, STEP_DIE, STEP_RETURN, STEP_BIND, STEP_UNBIND, STEP_COUNT };
#define STEP_SIZE 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    for (; size > STEP_SIZE; data += STEP_SIZE + 1, size -= STEP_SIZE + 1) {
        switch (data[0] % STEP_COUNT) {
        case STEP_ASK: ask(data + 1); break;
        case STEP_SPOIL: spoil(data + 1); break;
        case STEP_DIE: die(); break;
        case STEP_RETURN: return_all(); break;
        case STEP_BIND: bind_one(data[1] % BINDINGS); break;
        default: unbind_one(data[1] % BINDINGS); break;
        }
        expect_sound();
    }
    die();
    if (!spoiled) {
        uint32_t expected = bench->core->guard.count;

        for (uint32_t i = 0; i < BINDINGS; i++)
            bind_one(i);
        expect_in_force();
        assert(bench->core->guard.count == expected);
    }
    return_all();
    end_switch();
    return 0;
}

#define ASK(which, kind, prefix) "\0" which "\0" kind prefix
#define SPOIL(what, index, more) "\1" what index more
#define DIE                      "\2\0\0\0\0\0\0"
#define RETURN                   "\3\0\0\0\0\0\0"
#define UNBIND(which)            "\5" which "\0\0\0\0\0"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(ASK("\0", "\1", "\x0a\0\1") ASK("\1", "\2", "\x0a\1\0") ASK("\2", "\5", "\7\3\0")
                  ASK("\3", "\1", "\x0b\0\1") DIE RETURN DIE),
    FUZZ_TEXT(ASK("\x80", "\1", "\x0a\0\1") ASK("\1", "\1", "\x0a\0\1") DIE DIE RETURN),
    FUZZ_TEXT(ASK("\2", "\1", "\x0a\0\1") UNBIND("\2") DIE ASK("\3", "\6", "\x0b\1\1") DIE),
    FUZZ_TEXT(ASK("\0", "\1", "\x0a\0\1") ASK("\3", "\3", "\0\0\0") SPOIL("\0", "\0", "\0\0\x85\0")
                  SPOIL("\1", "\1", "\0\7\2\0") SPOIL("\2", "\0", "\0\2\x85\0") RETURN),
    FUZZ_TEXT(ASK("\0", "\4", "\1\1\0") ASK("\1", "\5", "\1\1\0") SPOIL("\2", "\1", "\0\3\4\0")
                  SPOIL("\2", "\0", "\0\x09\0\0") SPOIL("\2", "\1", "\0\x0a\0\0") RETURN DIE),
    {NULL, 0},
};
