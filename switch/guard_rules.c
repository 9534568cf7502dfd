/* SPDX-License-Identifier: BSD-2-Clause */
/* guard_rules.h: rules, and who may set them. */
#include "guard_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

void guard_init(struct guard *guard)
{
    *guard = (struct guard){.free = GUARD_NONE, .due_ns = GUARD_FOR_EVER};
    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++)
        guard->fds[i] = -1;
}

void guard_dispose(struct guard *guard)
{
    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++) {
        if (guard->fds[i] >= 0)
            close(guard->fds[i]);
    }
    free(guard->counts);
    if (guard->store)
        munmap(guard->store, sizeof(*guard->store));
    guard_init(guard);
}

/* ---- rules and policies */

static struct guard_rule *rule_at(const struct guard *guard, uint32_t index)
{
    return index == GUARD_NONE ? NULL : &guard->rules[index];
}

static bool is_cookies(uint32_t kind)
{
    return kind >= CONTROL_GUARD_COOKIES && kind <= CONTROL_GUARD_COOKIES_NEVER;
}

static bool is_list(uint32_t kind)
{
    return kind == CONTROL_GUARD_BLOCK || kind == CONTROL_GUARD_ALLOW;
}

uint32_t guard_place_of(const struct guard *guard, const struct tuple *tuple)
{
    for (uint32_t slot = 1; guard->places && slot < GUARD_POLICIES_MAX; slot++) {
        if (guard->places[slot].used && tuple_equal(&guard->places[slot].tuple, tuple))
            return slot;
    }
    return GUARD_NONE;
}

static struct guard_rule *find_rule(const struct guard *guard, uint32_t slot, uint32_t binding,
                                    uint32_t kind, const struct control_prefix *prefix)
{
    struct guard_rule *rule = rule_at(guard, guard->places[slot].first_rule);

    for (; rule; rule = rule_at(guard, rule->next)) {
        if (rule->binding == binding && rule->kind == kind &&
            !memcmp(&rule->prefix, prefix, sizeof(*prefix)))
            return rule;
    }
    return NULL;
}

static struct guard_rule *new_rule(struct guard *guard, uint32_t slot)
{
    struct guard_place *place = &guard->places[slot];
    uint32_t index = guard->free;

    if (index == GUARD_NONE && guard->made == GUARD_RULES_MAX)
        return NULL;
    if (index == GUARD_NONE)
        index = guard->made++;
    else
        guard->free = guard->rules[index].next;
    guard->store->made = guard->made;
    guard->rules[index] = (struct guard_rule){.next = place->first_rule, .slot = slot};
    place->first_rule = index;
    guard->count++;
    return &guard->rules[index];
}

/* A binding that is there, by its number. */
static struct binding *binding_of(const struct switch_core *core, uint32_t number)
{
    struct binding *binding = &core->ports.bindings[number % NAMESPACE_BINDINGS_MAX];

    return number && binding->port && binding->number == number ? binding : NULL;
}

void guard__count_rule(struct switch_core *core, uint32_t number, bool more)
{
    struct binding *binding = binding_of(core, number);

    if (!binding)
        return;
    binding->guard_rules += more ? 1 : UINT32_MAX;
    binding->port->guard_rules += more ? 1 : UINT32_MAX;
}

void guard__leave_place(struct switch_core *core, uint32_t slot)
{
    struct guard_place *place = &core->guard.places[slot];

    if (slot == GUARD_EVERYWHERE || place->first_rule != GUARD_NONE || !place->used)
        return;
    guard__write_id(core, slot, 0);
    place->used = false;
}

int guard__refer(struct switch_core *core, uint32_t slot)
{
    const struct guard_place *place = &core->guard.places[slot];

    return slot == GUARD_EVERYWHERE || !place->used
               ? 0
               : guard__write_id(core, slot, place->flags ? place->id : 0);
}

void guard_owners_changed(struct switch_core *core, const struct tuple *tuple)
{
    uint32_t slot = core->guard.cookie_rules ? guard_place_of(&core->guard, tuple) : GUARD_NONE;

    if (slot == GUARD_NONE)
        return;
    guard__write_policy(core, slot);
    guard__refer(core, slot);
}

/* Out of the list; the maps are written behind it, by what is left. Taking away never fails but when
 * the element is not there, which is what is wanted. */
void guard__end_rule(struct switch_core *core, struct guard_rule *rule)
{
    struct guard *guard = &core->guard;
    const struct guard_rule ended = *rule;
    uint32_t index = (uint32_t)(rule - guard->rules);
    uint32_t *link = &guard->places[ended.slot].first_rule;

    while (*link != index)
        link = &guard->rules[*link].next;
    *link = rule->next;
    *rule = (struct guard_rule){.next = guard->free};
    guard->free = index;
    guard->count--;
    guard->cookie_rules -= ended.kind == CONTROL_GUARD_COOKIES;
    guard__count_rule(core, ended.binding, false);
    guard__leave_place(core, ended.slot);
    if (is_list(ended.kind))
        guard__write_prefix(core, ended.slot, &ended.prefix);
    guard__write_policy(core, ended.slot);
    guard__refer(core, ended.slot);
}

static uint32_t rules_of_uid(const struct switch_core *core, uid_t uid)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < core->ports.capacity; i++) {
        const struct port *port = core->ports.slots[i];

        count += port && port->uid == uid ? port->guard_rules : 0;
    }
    return count;
}

static int may_have_more(const struct switch_core *core, const struct binding *binding)
{
    const struct guard *guard = &core->guard;
    uint32_t everywhere = 0;

    if (guard->count >= GUARD_RULES_MAX)
        return -ENOSPC;
    for (const struct guard_rule *rule = rule_at(guard, guard->places[0].first_rule); rule;
         rule = rule_at(guard, rule->next))
        everywhere++;
    if (!binding)
        return everywhere < GUARD_RULES_EVERYWHERE ? 0 : -ENOSPC;
    if (guard->count - everywhere >= GUARD_RULES_MAX - GUARD_RULES_EVERYWHERE ||
        binding->port->guard_rules >= GUARD_RULES_PER_PORT)
        return -ENOSPC;
    return binding->port->uid && rules_of_uid(core, binding->port->uid) >= GUARD_RULES_PER_UID
               ? -ENOSPC
               : 0;
}

/* The policy of the binding's 3-tuple, which is made where there is none. A slot's id moves on with each
 * use. */
static int take_place(struct switch_core *core, const struct binding *binding, uint32_t *slot)
{
    struct guard *guard = &core->guard;
    uint32_t own = 0, unused = GUARD_NONE;
    int status;

    *slot = binding ? guard_place_of(guard, &binding->tuple) : GUARD_EVERYWHERE;
    if (*slot != GUARD_NONE)
        return 0;
    for (uint32_t i = GUARD_POLICIES_MAX - 1; i > 0; i--) {
        if (!guard->places[i].used)
            unused = i;
        else
            own += guard->places[i].uid == binding->port->uid;
    }
    if (unused == GUARD_NONE || (binding->port->uid && own >= GUARD_POLICIES_PER_UID))
        return -ENOSPC;
    *slot = unused;
    guard->places[unused] = (struct guard_place){
        .tuple = binding->tuple,
        .id =
            ((guard->places[unused].id & ~(GUARD_POLICIES_MAX - 1u)) + GUARD_POLICIES_MAX) | unused,
        .first_rule = GUARD_NONE,
        .uid = binding->port->uid,
        .port_count = binding->port_count,
        .used = true,
    };
    status = guard__write_new(core, unused);
    if (status)
        guard->places[unused].used = false;
    return status;
}

static int write_rule(struct switch_core *core, const struct guard_rule *rule)
{
    int status = is_list(rule->kind) ? guard__write_prefix(core, rule->slot, &rule->prefix) : 0;

    return status ? status : guard__write_policy(core, rule->slot);
}

static uint64_t end_of(uint64_t now_ns, uint64_t duration_ns)
{
    return duration_ns ? now_ns + duration_ns : GUARD_FOR_EVER;
}

static int set_rule(struct switch_core *core, struct binding *binding,
                    const struct control_guard *wish, bool by_hand)
{
    struct guard *guard = &core->guard;
    uint32_t number = binding ? binding->number : 0, slot;
    struct guard_rule *rule, before;
    int status = take_place(core, binding, &slot);
    bool known;

    if (status)
        return status;
    rule = find_rule(guard, slot, number, wish->kind, &wish->prefix);
    known = rule != NULL;
    if (!rule) {
        status = may_have_more(core, binding);
        rule = status ? NULL : new_rule(guard, slot);
        if (!rule) {
            guard__leave_place(core, slot);
            return status ? status : -ENOMEM;
        }
        rule->binding = number;
        rule->kind = wish->kind;
        rule->prefix = wish->prefix;
        guard__count_rule(core, number, true);
        guard->cookie_rules += wish->kind == CONTROL_GUARD_COOKIES;
    }
    before = *rule;
    rule->rate = wish->rate;
    rule->burst = wish->burst || wish->kind == CONTROL_GUARD_COOKIES ? wish->burst : wish->rate;
    rule->until_ns = end_of(core_clock(), wish->duration_ns);
    rule->cookie = wish->cookie;
    rule->pid = binding ? (uint32_t)binding->port->pid : 0;
    rule->by_hand = by_hand;
    status = write_rule(core, rule);
    if (!status)
        status = guard__refer(core, slot);
    if (status && known) {
        *rule = before;
        write_rule(core, rule);
    } else if (status) {
        guard__end_rule(core, rule);
    } else if (rule->until_ns < guard->due_ns) {
        guard->due_ns = rule->until_ns;
    }
    return status;
}

static void end_rules(struct switch_core *core, uint32_t slot, uint32_t binding)
{
    struct guard *guard = &core->guard;
    uint32_t index = guard->places[slot].first_rule;

    while (index != GUARD_NONE) {
        struct guard_rule *rule = &guard->rules[index];

        index = rule->next;
        if (rule->binding == binding)
            guard__end_rule(core, rule);
    }
}

void guard_forget(struct switch_core *core, struct binding *binding)
{
    uint32_t slot = GUARD_NONE;

    if (binding->guard_rules || core->guard.awaiting_ns)
        slot = guard_place_of(&core->guard, &binding->tuple);
    if (slot == GUARD_NONE)
        return;
    end_rules(core, slot, binding->number);
    guard__leave_place(core, slot);
}

void guard_housekeep(struct switch_core *core, uint64_t now_ns)
{
    struct guard *guard = &core->guard;
    uint32_t swept = 0;

    if (guard->awaiting_ns && now_ns >= guard->awaiting_ns)
        guard__end_awaiting(core);
    if (now_ns < guard->due_ns)
        return;
    guard->due_ns = GUARD_FOR_EVER;
    for (uint32_t i = 0; i < guard->made; i++) {
        struct guard_rule *rule = &guard->rules[i];

        if (!rule->kind)
            continue;
        if (rule->until_ns <= now_ns && swept < GUARD_SWEPT_PER_TICK) {
            swept++;
            guard__end_rule(core, rule);
        } else if (rule->until_ns < guard->due_ns) {
            guard->due_ns = rule->until_ns; /* of those that were too many: at once */
        }
    }
}

/* ---- requests */

static bool prefix_is_sane(const struct control_prefix *prefix)
{
    uint32_t bits = prefix->family == 4 ? 32 : 128;

    if ((prefix->family != 4 && prefix->family != 6) || prefix->length > bits || prefix->zero)
        return false;
    for (uint32_t i = prefix->length; i < 128; i++) {
        if (prefix->bytes[i / 8] >> (7 - i % 8) & 1)
            return false;
    }
    return true;
}

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++) {
        if (at[i])
            return false;
    }
    return true;
}

bool guard__is_sane(const struct control_guard *wish)
{
    bool set = wish->action == CONTROL_GUARD_SET;
    bool limit = wish->kind >= CONTROL_GUARD_SYN_SOURCE && wish->kind <= CONTROL_GUARD_CONNECTIONS;

    if (wish->zero[0] || wish->zero[1])
        return false;
    if (set && wish->kind == CONTROL_GUARD_COOKIES)
        return guard__cookie_is_sane(wish) && is_zero(&wish->prefix, sizeof(wish->prefix));
    if (!is_zero(&wish->cookie, sizeof(wish->cookie)))
        return false;
    if (wish->action == CONTROL_GUARD_FLUSH)
        return !wish->kind && !wish->rate && !wish->burst && !wish->duration_ns &&
               is_zero(&wish->prefix, sizeof(wish->prefix));
    if ((!set && wish->action != CONTROL_GUARD_REMOVE) || !wish->kind ||
        wish->kind >= CONTROL_GUARD_KINDS)
        return false;
    if (is_list(wish->kind) ? !prefix_is_sane(&wish->prefix)
                            : !is_zero(&wish->prefix, sizeof(wish->prefix)))
        return false;
    if (!set || !limit)
        return !wish->rate && !wish->burst && (set || !wish->duration_ns) &&
               wish->duration_ns <= CONTROL_GUARD_DURATION_MAX;
    return wish->rate && wish->rate <= CONTROL_GUARD_RATE_MAX &&
           wish->burst <= CONTROL_GUARD_RATE_MAX && wish->duration_ns <= CONTROL_GUARD_DURATION_MAX;
}

/* Whether the client may speak for the binding (NULL: for all). */
static int may_rule(struct switch_core *core, const struct connection *connection, uint32_t number,
                    struct binding **binding)
{
    *binding = NULL;
    if (!number)
        return control_is_administrator(core, connection) ? 0 : -EPERM;
    *binding = binding_of(core, number);
    if (!*binding)
        return -ENOENT;
    if (connection->port)
        return (*binding)->port == connection->port ? 0 : -EPERM;
    return connection->uid == 0 || connection->uid == (*binding)->port->uid ? 0 : -EPERM;
}

static int fits_binding(const struct binding *binding, const struct control_guard *wish)
{
    if (!binding)
        return is_cookies(wish->kind) ? -EINVAL : 0;
    if (groups_has_address(&binding->tuple))
        return -EOPNOTSUPP;
    return is_list(wish->kind) || tuple_protocol(&binding->tuple) == IP_PROTOCOL_TCP ? 0
                                                                                     : -EPROTOTYPE;
}

int guard_request(struct switch_core *core, const struct connection *connection,
                  const struct control_guard *wish)
{
    struct guard *guard = &core->guard;
    struct binding *binding;
    struct guard_rule *rule;
    int status = may_rule(core, connection, wish->binding, &binding);
    uint32_t slot;

    if (status)
        return status;
    if (!guard__is_sane(wish))
        return -EINVAL;
    if (!guard->ready)
        return -EOPNOTSUPP;
    if (wish->action == CONTROL_GUARD_SET) {
        status = fits_binding(binding, wish);
        if (!status)
            status = guard__cookies_available(core, wish);
        if (!status && wish->kind == CONTROL_GUARD_COOKIES && !connection->port)
            status = -EPERM;
        return status ? status : set_rule(core, binding, wish, !connection->port);
    }
    slot = binding ? guard_place_of(guard, &binding->tuple) : GUARD_EVERYWHERE;
    if (wish->action == CONTROL_GUARD_FLUSH) {
        if (slot != GUARD_NONE)
            end_rules(core, slot, wish->binding);
        return 0;
    }
    rule = slot == GUARD_NONE ? NULL
                              : find_rule(guard, slot, wish->binding, wish->kind, &wish->prefix);
    if (!rule)
        return -ENOENT;
    guard__end_rule(core, rule);
    return 0;
}

uint64_t guard_answered(const struct switch_core *core, const struct control_guard *wish)
{
    const struct binding *binding = binding_of(core, wish->binding);
    struct guard_counts sum;
    uint32_t slot;

    if (!binding || wish->action != CONTROL_GUARD_SET || wish->kind != CONTROL_GUARD_COOKIES)
        return 0;
    slot = guard_place_of(&core->guard, &binding->tuple);
    if (slot == GUARD_NONE || !guard_read_counts(core, slot, &sum))
        return 0;
    return sum.count[MUX_GUARD_COOKIE - MUX_GUARD_FIRST];
}

/* ---- at the start */

static int write_everywhere(struct switch_core *core)
{
    struct guard *guard = &core->guard;
    int status = 0;

    for (uint32_t i = 0; !status && i < guard->made; i++) {
        const struct guard_rule *rule = &guard->rules[i];

        if (rule->kind && rule->until_ns < guard->due_ns)
            guard->due_ns = rule->until_ns;
        if (is_list(rule->kind) && rule->slot == GUARD_EVERYWHERE)
            status = guard__write_prefix(core, GUARD_EVERYWHERE, &rule->prefix);
    }
    return status ? status : guard__write_policy(core, GUARD_EVERYWHERE);
}

int guard_open(struct switch_core *core, const struct channel_guard *message, const int *fds)
{
    struct guard *guard = &core->guard;
    int status;

    memcpy(guard->fds, fds, sizeof(guard->fds));
    guard->cpus = message->cpus;
    guard->may_ask = message->may_ask;
    guard->counts = calloc(message->cpus + 1, sizeof(*guard->counts));
    status = guard__open_store(guard, fds[CHANNEL_GUARD_STORE]);
    if (!status && !guard->counts)
        status = -ENOMEM;
    if (!status)
        status = guard__clear_maps(core);
    if (!status)
        status = write_everywhere(core);
    guard->ready = !status;
    return status;
}

int guard_judge_nics(struct switch_core *core)
{
    if (core->guard.buckets || !core->guard.places)
        return 0;
    return guard_judge_begin(core) ? -ENOMEM : write_everywhere(core);
}
