/* SPDX-License-Identifier: BSD-2-Clause */
/* sharing.h: states of bindings that are not alone. */
#include "sharing.h"

#include <errno.h>

#include "control.h"
#include "core.h"
#include "placeholder.h"

/* The owners of a 3-tuple, as sharing_settle() looks at them. */
struct owners {
    struct binding *list[OWNER_MEMBERS_MAX];
    uint32_t count;
    uint32_t active, draining;
    struct binding *successor;
    bool assembling; /* some are expected, and there is still time */
};

static uint64_t now(const struct switch_core *core)
{
    return core->workers[0].now_ns;
}

static bool is_satisfied(const struct binding *binding, uint32_t count)
{
    return binding->expected_members <= count &&
           binding->connected_count >= binding->expected_connected;
}

static struct owners owners_of(const struct switch_core *core, const struct tuple *tuple)
{
    struct owner_member members[OWNER_MEMBERS_MAX];
    struct owners owners = {.count = namespace_members(core_names(core), tuple, members)};

    for (uint32_t i = 0; i < owners.count; i++) {
        struct binding *binding =
            &core->ports.bindings[members[i].binding % NAMESPACE_BINDINGS_MAX];

        owners.list[i] = binding;
        owners.active += binding->state == MEMBER_ACTIVE;
        owners.draining += binding->state == MEMBER_DRAINING;
        if (binding->successor)
            owners.successor = binding;
        if (!binding->successor && binding->deadline_ns > now(core) &&
            !is_satisfied(binding, owners.count))
            owners.assembling = true;
    }
    return owners;
}

static void tell(struct switch_core *core, struct binding *binding, uint8_t what)
{
    struct port_table *table = &core->ports;

    binding->notices |= what;
    if (binding->notices_listed)
        return;
    binding->notices_listed = true;
    binding->next_notice = table->first_notice;
    table->first_notice = (uint32_t)(binding - table->bindings);
}

static void look_again(struct switch_core *core, uint64_t when_ns)
{
    if (when_ns < core->ports.deadline_ns)
        core->ports.deadline_ns = when_ns;
}

/* The data path's tables first: when they have no memory for it, nothing has changed. */
static bool set_state(struct switch_core *core, struct binding *binding, enum member_state state)
{
    const struct change change = {
        .kind = CHANGE_STATE,
        .tuple = binding->tuple,
        .member = {.port = binding->port, .state = (uint8_t)state},
    };

    if (core_change(core, &change))
        return false;
    binding->state = (uint8_t)state;
    return true;
}

static void close_door(struct binding *binding)
{
    binding->open_until_ns = 0;
    if (!binding->shared)
        placeholder_let_in(binding->placeholder_fd, false);
}

int sharing_admit(const struct switch_core *core, const struct tuple *tuple,
                  const struct port *port, const struct binding_terms *terms)
{
    struct owners owners = owners_of(core, tuple);
    bool new = !terms->expected_members;

    for (uint32_t i = 0; i < owners.count; i++) {
        const struct binding *other = owners.list[i];

        if (other->port == port)
            return -EADDRINUSE;
        if (terms->draining || terms->takeover || other->successor ||
            other->state == MEMBER_DRAINING)
            continue;
        if (!terms->shared || !other->shared)
            return -EADDRINUSE;
    }
    /* One at a time; and who is presented again was there before. */
    if (owners.successor && (terms->takeover || new))
        return -EBUSY;
    return 0;
}

enum member_state sharing_begin(struct switch_core *core, struct binding *binding,
                                const struct binding_terms *terms)
{
    bool alone = terms->expected_members < 2 && !terms->expected_connected;

    binding->shared = terms->shared;
    binding->cookie = terms->cookie;
    binding->successor = terms->takeover;
    binding->request = terms->request;
    binding->expected_members = terms->expected_members;
    binding->expected_connected = terms->expected_connected;
    binding->asked = false;
    binding->notices = 0;
    binding->members_told = 1;
    binding->connected_count = 0;
    binding->epoch = 0;
    binding->open_until_ns = 0;
    binding->deadline_ns = 0;
    if (terms->takeover) {
        binding->epoch = ++core->ports.handovers;
        binding->deadline_ns = now(core) + SHARING_HANDOVER_NS;
    } else if (!alone) {
        binding->deadline_ns = now(core) + SHARING_ASSEMBLY_NS;
    }
    if (binding->deadline_ns)
        look_again(core, binding->deadline_ns);
    if (terms->draining)
        return MEMBER_DRAINING;
    if (terms->takeover || !alone || owners_of(core, &binding->tuple).assembling)
        return MEMBER_WAITING;
    return MEMBER_ACTIVE;
}

/* Everybody is there, or time is over: those who wait for nothing else are active. */
static void assemble(struct switch_core *core, struct owners *owners)
{
    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        if (binding->successor)
            continue;
        binding->deadline_ns = 0;
        binding->expected_members = binding->expected_connected = 0;
        if (binding->state == MEMBER_WAITING && set_state(core, binding, MEMBER_ACTIVE))
            owners->active++;
    }
}

static void ask(struct switch_core *core, struct owners *owners)
{
    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        if (binding->state != MEMBER_ACTIVE || binding->asked)
            continue;
        binding->asked = true;
        tell(core, binding, SHARING_TELL_HANDOVER);
    }
}

/* From here on the successor is the owner. */
static void complete(struct switch_core *core, struct owners *owners)
{
    struct binding *successor = owners->successor;

    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        close_door(binding);
        if (binding->state != MEMBER_ACTIVE || !set_state(core, binding, MEMBER_DRAINING))
            continue;
        binding->epoch = successor->epoch;
        tell(core, binding, SHARING_TELL_DRAINED);
    }
    set_state(core, successor, MEMBER_ACTIVE);
    successor->successor = false;
    successor->deadline_ns = 0;
    tell(core, successor, SHARING_TELL_BOUND);
}

/* Whether it may be active beside those who are. */
static bool may_resume(const struct owners *owners, const struct binding *binding)
{
    for (uint32_t i = 0; i < owners->count; i++) {
        if (owners->list[i]->state == MEMBER_ACTIVE &&
            !(binding->shared && owners->list[i]->shared))
            return false;
    }
    return binding->state == MEMBER_DRAINING;
}

/* Those who drained for one successor are active again. */
static void resume(struct switch_core *core, struct owners *owners, uint32_t epoch)
{
    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        if (binding->epoch != epoch || !may_resume(owners, binding) ||
            !set_state(core, binding, MEMBER_ACTIVE))
            continue;
        binding->asked = false;
        tell(core, binding, SHARING_TELL_RESUME);
    }
}

/* Who drained last has the newest successor's place; of those that drained at an earlier switch,
 * which are all of epoch 0, who made its placeholder last. */
static void resume_last(struct switch_core *core, struct owners *owners)
{
    struct binding *last = NULL;

    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        if (binding->state == MEMBER_DRAINING &&
            (!last || binding->epoch > last->epoch ||
             (binding->epoch == last->epoch && binding->cookie > last->cookie)))
            last = binding;
    }
    if (!last || !set_state(core, last, MEMBER_ACTIVE))
        return;
    last->asked = false;
    tell(core, last, SHARING_TELL_RESUME);
    resume(core, owners, last->epoch);
}

static void tell_members(struct switch_core *core, const struct owners *owners)
{
    for (uint32_t i = 0; i < owners->count; i++) {
        struct binding *binding = owners->list[i];

        if (binding->members_told == owners->count || binding->successor)
            continue; /* a successor hears of it with its BOUND */
        binding->members_told = owners->count;
        tell(core, binding, SHARING_TELL_MEMBERS);
    }
}

void sharing_settle(struct switch_core *core, const struct tuple *tuple)
{
    struct owners owners = owners_of(core, tuple);
    bool late;

    if (!owners.count)
        return;
    if (!owners.assembling)
        assemble(core, &owners);
    late = owners.successor && owners.successor->deadline_ns <= now(core);
    if (owners.successor) {
        if (late || (!owners.active && owners.draining && !owners.assembling))
            complete(core, &owners);
        else
            ask(core, &owners);
    } else if (!owners.active && !owners.assembling) {
        resume_last(core, &owners);
    }
    tell_members(core, &owners);
}

void sharing_left(struct switch_core *core, const struct binding *gone)
{
    struct owners owners = owners_of(core, &gone->tuple);

    for (uint32_t i = 0; gone->successor && i < owners.count; i++) {
        struct binding *binding = owners.list[i];

        binding->asked = false;
        close_door(binding);
    }
    if (gone->successor)
        resume(core, &owners, gone->epoch);
    sharing_settle(core, &gone->tuple);
}

int sharing_let_in(struct switch_core *core, const struct tuple *tuple, uid_t uid)
{
    struct owners owners = owners_of(core, tuple);
    uint64_t until_ns = now(core) + SHARING_HANDOVER_NS;

    if (!owners.count)
        return -ENOENT;
    for (uint32_t i = 0; i < owners.count; i++) {
        if (owners.list[i]->port->uid != uid)
            return -EACCES;
    }
    for (uint32_t i = 0; i < owners.count; i++) {
        owners.list[i]->open_until_ns = until_ns;
        placeholder_let_in(owners.list[i]->placeholder_fd, true);
    }
    look_again(core, until_ns);
    return 0;
}

int sharing_drain(struct switch_core *core, struct binding *binding)
{
    struct owners owners = owners_of(core, &binding->tuple);
    uint32_t others = owners.active - (binding->state == MEMBER_ACTIVE);

    if (binding->state == MEMBER_DRAINING)
        return 0;
    if (binding->successor || (!others && !owners.successor))
        return -EBUSY;
    if (!set_state(core, binding, MEMBER_DRAINING))
        return -ENOMEM;
    binding->epoch = owners.successor ? owners.successor->epoch : 0;
    sharing_settle(core, &binding->tuple);
    return 0;
}

static bool is_zero(const uint8_t *bytes, uint32_t count)
{
    uint8_t all = 0;

    for (uint32_t i = 0; i < count; i++)
        all |= bytes[i];
    return all == 0;
}

/* The flow as a packet of it would have it. */
static int view_of(const struct switch_core *core, const struct binding *binding,
                   const struct control_flow *flow, struct packet_view *view)
{
    struct control_address address = tuple_to_address(&binding->tuple);
    uint32_t size = address.family == 4 ? 4 : 16;

    if (flow->zero || !flow->remote_port || is_zero(flow->remote, size) ||
        !is_zero(flow->local + size, 16 - size) || !is_zero(flow->remote + size, 16 - size))
        return -EINVAL;
    *view = (struct packet_view){
        .local = tuple_make(flow->local, address.family, address.protocol, address.port),
        .remote_port = flow->remote_port,
    };
    tuple_load_address(view->remote, flow->remote, address.family);
    if (tuple_is_wildcard(&binding->tuple))
        return namespace_is_local(core_names(core), &view->local) ? 0 : -EADDRNOTAVAIL;
    return tuple_equal(&view->local, &binding->tuple) ? 0 : -EINVAL;
}

int sharing_connect(struct switch_core *core, struct binding *binding,
                    const struct control_flow *flows, uint32_t count, bool remove, uint32_t *taken)
{
    const struct namespace_table *names = core_names(core);
    struct port *port = binding->port;
    uint32_t before = names->connected.used;
    int status = 0;

    for (*taken = 0; *taken < count; ++*taken) {
        struct change change = {
            .kind = remove ? CHANGE_DISCONNECT : CHANGE_CONNECT,
            .tuple = binding->tuple,
            .member = {.port = port},
        };

        status = view_of(core, binding, &flows[*taken], &change.view);
        if (remove && status != -EINVAL) {
            core_change(core, &change); /* gone is gone */
            status = 0;
        } else if (!status) {
            status =
                port->connected_count + names->connected.used - before >= SHARING_CONNECTED_PORT_MAX
                    ? -ENOSPC
                    : core_change(core, &change);
        }
        if (status)
            break;
    }
    port->connected_count += names->connected.used - before;
    binding->connected_count += names->connected.used - before;
    if (binding->expected_connected)
        sharing_settle(core, &binding->tuple);
    return status;
}

void sharing_housekeep(struct switch_core *core, uint64_t now_ns)
{
    struct port_table *table = &core->ports;

    if (now_ns < table->deadline_ns)
        return;
    table->deadline_ns = UINT64_MAX;
    for (uint32_t i = 0; i < table->bindings_made; i++) {
        struct binding *binding = &table->bindings[i];

        if (!binding->port)
            continue;
        if (binding->deadline_ns && binding->deadline_ns <= now_ns)
            sharing_settle(core, &binding->tuple);
        if (binding->open_until_ns && binding->open_until_ns <= now_ns)
            close_door(binding);
        if (binding->deadline_ns)
            look_again(core, binding->deadline_ns);
        if (binding->open_until_ns)
            look_again(core, binding->open_until_ns);
    }
}

static void tell_one(struct switch_core *core, const struct binding *binding, uint8_t notices)
{
    static const struct {
        uint8_t notice;
        uint32_t kind;
    } events[] = {
        {SHARING_TELL_MEMBERS, CONTROL_EVENT_MEMBERS},
        {SHARING_TELL_HANDOVER, CONTROL_EVENT_HANDOVER},
        {SHARING_TELL_DRAINED, CONTROL_EVENT_DRAINED},
        {SHARING_TELL_RESUME, CONTROL_EVENT_RESUME},
    };
    uint32_t number = binding->number;

    if (notices & SHARING_TELL_BOUND)
        control_send_bound(core, binding);
    for (uint32_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        uint32_t detail = events[i].notice == SHARING_TELL_MEMBERS ? binding->members_told : 0;

        /* a client that does not read is gone by now, and its binding with it */
        if ((notices & events[i].notice) && binding->port && binding->number == number)
            control_send_binding_event(core, binding, events[i].kind, detail);
    }
}

void sharing_tell(struct switch_core *core)
{
    struct port_table *table = &core->ports;

    while (table->first_notice != BINDING_NONE) {
        struct binding *binding = &table->bindings[table->first_notice];
        uint8_t notices = binding->notices;

        table->first_notice = binding->next_notice;
        binding->notices_listed = false;
        binding->notices = 0;
        if (binding->port && notices)
            tell_one(core, binding, notices);
    }
}
