/* SPDX-License-Identifier: BSD-2-Clause */
/* guard_rules.h: what outlives a switch, and how it finds its bindings again. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"
#include "guard_rules.h"
#include "log.h"

#define RETURN_TIMEOUT (60 * 1000000000ULL) /* ns for a binding to come back */

static bool lives_on(const struct guard_store *store, const struct guard_rule *rule,
                     uint64_t now_ns)
{
    bool limit = rule->kind >= CONTROL_GUARD_SYN_SOURCE && rule->kind <= CONTROL_GUARD_CONNECTIONS;
    const struct control_guard wish = {.action = CONTROL_GUARD_SET,
                                       .kind = rule->kind,
                                       .rate = rule->rate,
                                       .burst = rule->burst,
                                       .prefix = rule->prefix};

    if (rule->kind == CONTROL_GUARD_COOKIES || rule->until_ns <= now_ns ||
        rule->slot >= GUARD_POLICIES_MAX || !guard__is_sane(&wish) || (limit && !rule->burst))
        return false;
    if (rule->slot == GUARD_EVERYWHERE)
        return rule->kind < CONTROL_GUARD_COOKIES && !rule->binding;
    return rule->by_hand == 1 && store->places[rule->slot].used;
}

static void take_place(struct guard_place *place, uint32_t slot)
{
    place->id = (place->id & ~(GUARD_POLICIES_MAX - 1u)) | slot;
    place->first_rule = GUARD_NONE;
    place->flags = 0;
    if (place->port_count < RANGE_PORTS_MIN || place->port_count > RANGE_PORTS_MAX ||
        (place->port_count & (place->port_count - 1)))
        place->port_count = 1;
    place->used = slot == GUARD_EVERYWHERE || place->used == 1;
    if (slot == GUARD_EVERYWHERE)
        *place = (struct guard_place){.first_rule = GUARD_NONE, .used = 1};
}

/* Rules stay where they are, and each step leaves what can be taken again: the switch may die here. */
static void take_over(struct guard *guard)
{
    struct guard_store *store = guard->store;
    uint64_t now_ns = core_clock();

    guard->made = store->made <= GUARD_RULES_MAX ? store->made : GUARD_RULES_MAX;
    for (uint32_t slot = 0; slot < GUARD_POLICIES_MAX; slot++) {
        take_place(&store->places[slot], slot);
        if (slot && store->places[slot].used)
            guard->awaiting_ns = now_ns + RETURN_TIMEOUT;
    }
    for (uint32_t i = 0; i < guard->made; i++) {
        struct guard_rule *rule = &store->rules[i];
        uint32_t *list = &guard->free;

        if (lives_on(store, rule, now_ns)) {
            list = &store->places[rule->slot].first_rule;
            guard->count++;
            if (rule->binding)
                rule->was = rule->binding;
            rule->binding = 0;
        } else {
            *rule = (struct guard_rule){.kind = 0};
        }
        rule->next = *list;
        *list = i;
    }
}

int guard__open_store(struct guard *guard, int fd)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *store = mmap(NULL, sizeof(*guard->store), PROT_READ | PROT_WRITE, flags, fd, 0);
    int status = store == MAP_FAILED ? -errno : 0;

    if (fd >= 0)
        close(fd);
    if (status)
        return status;
    guard->store = store;
    guard->rules = guard->store->rules;
    guard->places = guard->store->places;
    take_over(guard);
    return 0;
}

/* Number that the process's next binding had: rules of one go to one again. 0: none waits. */
static uint32_t awaited(const struct guard *guard, uint32_t slot, uint32_t pid)
{
    for (uint32_t i = guard->places[slot].first_rule; i != GUARD_NONE; i = guard->rules[i].next) {
        if (!guard->rules[i].binding && guard->rules[i].pid == pid)
            return guard->rules[i].was;
    }
    return 0;
}

static void end_awaited(struct switch_core *core, uint32_t slot)
{
    const struct guard *guard = &core->guard;
    uint32_t index = guard->places[slot].first_rule;

    while (index != GUARD_NONE) {
        struct guard_rule *rule = &guard->rules[index];

        index = rule->next;
        if (!rule->binding)
            guard__end_rule(core, rule);
    }
    guard__leave_place(core, slot);
}

/* 0 or what the maps said. */
static int put_in_force(struct switch_core *core, uint32_t slot, uint32_t was,
                        const struct binding *binding)
{
    const struct guard *guard = &core->guard;
    int status = 0;

    for (uint32_t i = guard->places[slot].first_rule; i != GUARD_NONE; i = guard->rules[i].next) {
        struct guard_rule *rule = &guard->rules[i];

        if (rule->binding || rule->was != was || rule->pid != (uint32_t)binding->port->pid)
            continue;
        rule->binding = binding->number;
        guard__count_rule(core, binding->number, true);
        if (!status && (rule->kind == CONTROL_GUARD_BLOCK || rule->kind == CONTROL_GUARD_ALLOW))
            status = guard__write_prefix(core, slot, &rule->prefix);
    }
    if (!status)
        status = guard__write_policy(core, slot);
    return status ? status : guard__refer(core, slot);
}

void guard_adopt(struct switch_core *core, struct binding *binding)
{
    struct guard *guard = &core->guard;
    uint32_t slot = guard->awaiting_ns ? guard_place_of(guard, &binding->tuple) : GUARD_NONE, was;
    int status;

    if (slot == GUARD_NONE)
        return;
    if (guard->places[slot].uid != binding->port->uid ||
        guard->places[slot].port_count != binding->port_count) { /* something else by now */
        end_awaited(core, slot);
        return;
    }
    was = awaited(guard, slot, (uint32_t)binding->port->pid);
    if (!was)
        return;
    status = put_in_force(core, slot, was, binding);
    if (!status)
        return;
    log_error("rules of the guard for binding %u cannot be kept: %s", binding->number,
              strerror(-status));
    guard_forget(core, binding);
}

void guard__end_awaiting(struct switch_core *core)
{
    core->guard.awaiting_ns = 0;
    for (uint32_t slot = 1; slot < GUARD_POLICIES_MAX; slot++) {
        if (core->guard.places[slot].used)
            end_awaited(core, slot);
    }
}
