/* SPDX-License-Identifier: BSD-2-Clause */
/* The connected bindings of a port: remembered here, told to the switch in batches, and again after
 * each reconnection.
 *
 *                                CONNECT sent          CONNECTED
 *   ms_bind_connected → WAITING ─────────────► ASKED ────────────► CLAIMED
 *                          ▲                    │                     │ ms_unbind_connected
 *                          └──── lost ──────────┤ the same            ▼        sent
 *                                               ▼                  LEAVING ────────► REMOVING ─► FREE
 *                                           ABANDONED ─ CONNECTED ────▲
 *
 * What is to be told stands in a queue of its binding, in order; what was told in one message is a
 * batch, a list too, until the answer has come. */
#include "port_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FLOWS_FIRST 64

static_assert(sizeof(struct ms_flow) == sizeof(struct control_flow), "one is sent as the other");

/* Peers choose the addresses: the key is nobody's knowledge. */
static uint32_t hash(const struct flow_table *table, const struct control_flow *ends,
                     unsigned binding)
{
    uint64_t words[4], value = table->key[0] ^ binding ^ (uint64_t)ends->remote_port << 32;

    memcpy(words, ends, sizeof(words));
    for (unsigned i = 0; i < 4; i++) {
        unsigned __int128 product = (unsigned __int128)(value ^ words[i]) * (table->key[1] | 1);

        value = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return (uint32_t)(value ^ value >> 32);
}

static uint32_t *chain_of(const struct flow_table *table, const struct control_flow *ends,
                          unsigned binding)
{
    return &table->heads[hash(table, ends, binding) & (table->capacity - 1)];
}

/* Flows keep their places; only the chains are made anew. All places are in use. */
static int grow(struct flow_table *table)
{
    uint32_t capacity = table->capacity ? table->capacity * 2 : FLOWS_FIRST;
    struct flow *flows = reallocarray(table->flows, capacity, sizeof(*flows));
    uint32_t *heads;

    if (!flows)
        return -ENOMEM;
    table->flows = flows;
    heads = malloc(capacity * sizeof(*heads));
    if (!heads)
        return -ENOMEM;
    if (!table->capacity) {
        table->free = FLOW_NONE;
        if (getrandom(table->key, sizeof(table->key), GRND_NONBLOCK) < 0)
            table->key[0] = (uintptr_t)heads; /* better than nothing, early at boot */
    }
    memset(heads, 0xff, capacity * sizeof(*heads)); /* FLOW_NONE */
    free(table->heads);
    table->heads = heads;
    table->capacity = capacity;
    for (uint32_t i = 0; i < table->made; i++) {
        uint32_t *head = chain_of(table, &flows[i].ends, flows[i].binding);

        flows[i].chain = *head;
        *head = i;
    }
    return 0;
}

static uint32_t find(const struct flow_table *table, const struct control_flow *ends,
                     unsigned binding)
{
    uint32_t at = table->capacity ? *chain_of(table, ends, binding) : FLOW_NONE;

    while (at != FLOW_NONE && !(table->flows[at].binding == binding &&
                                memcmp(&table->flows[at].ends, ends, sizeof(*ends)) == 0))
        at = table->flows[at].chain;
    return at;
}

/* Wanted, and not the switch's yet. */
static bool is_pending(enum flow_state state)
{
    return state == FLOW_WAITING || state == FLOW_ASKED || state == FLOW_RETURNING;
}

static void set_state(struct ms_port *port, struct flow *flow, enum flow_state state)
{
    struct flow_table *table = &port->flows;
    struct binding *binding = &port->bindings[flow->binding];
    bool before = is_pending(flow->state), after = is_pending(state);

    table->pending += (unsigned)after - (unsigned)before;
    binding->flow_count += (unsigned)(after || state == FLOW_CLAIMED) -
                           (unsigned)(before || flow->state == FLOW_CLAIMED);
    flow->state = state;
}

static void queue(struct ms_port *port, uint32_t at)
{
    struct flow *flow = &port->flows.flows[at];
    struct binding *binding = &port->bindings[flow->binding];

    flow->todo_next = FLOW_NONE;
    if (binding->last_todo == FLOW_NONE)
        binding->first_todo = at;
    else
        port->flows.flows[binding->last_todo].todo_next = at;
    binding->last_todo = at;
}

/* Not in a queue or a batch any more. */
static void free_flow(struct ms_port *port, uint32_t at)
{
    struct flow_table *table = &port->flows;
    struct flow *flow = &table->flows[at];
    uint32_t *link = chain_of(table, &flow->ends, flow->binding);

    while (*link != at)
        link = &table->flows[*link].chain;
    *link = flow->chain;
    set_state(port, flow, FLOW_FREE);
    flow->chain = table->free;
    table->free = at;
}

static int add(struct ms_port *port, unsigned binding, const struct control_flow *ends)
{
    struct flow_table *table = &port->flows;
    uint32_t at = find(table, ends, binding), *head;

    if (at != FLOW_NONE) {
        switch (table->flows[at].state) {
        case FLOW_LEAVING: /* in the queue: it need not leave at all */
            set_state(port, &table->flows[at], FLOW_WAITING);
            break;
        case FLOW_ABANDONED: set_state(port, &table->flows[at], FLOW_ASKED); break;
        case FLOW_REMOVING: set_state(port, &table->flows[at], FLOW_RETURNING); break;
        default: break;
        }
        return 0;
    }
    if (table->free == FLOW_NONE || !table->capacity) {
        if (table->made == table->capacity && grow(table))
            return -ENOMEM;
        at = table->made++;
    } else {
        at = table->free;
        table->free = table->flows[at].chain;
    }
    head = chain_of(table, ends, binding);
    table->flows[at] = (struct flow){.ends = *ends, .binding = binding, .chain = *head};
    *head = at;
    set_state(port, &table->flows[at], FLOW_WAITING);
    queue(port, at);
    return 0;
}

static void take_away(struct ms_port *port, unsigned binding, const struct control_flow *ends)
{
    uint32_t at = find(&port->flows, ends, binding);
    struct flow *flow = at == FLOW_NONE ? NULL : &port->flows.flows[at];

    if (!flow)
        return;
    switch (flow->state) {
    case FLOW_WAITING: set_state(port, flow, FLOW_LEAVING); break; /* stays in the queue */
    case FLOW_ASKED: set_state(port, flow, FLOW_ABANDONED); break;
    case FLOW_RETURNING: set_state(port, flow, FLOW_REMOVING); break;
    case FLOW_CLAIMED:
        set_state(port, flow, FLOW_LEAVING);
        queue(port, at);
        break;
    default: break;
    }
}

static struct flow_batch *free_batch(struct flow_table *table)
{
    for (unsigned i = 0; i < CONTROL_PIPELINE_MAX; i++)
        if (!table->batches[i].request)
            return &table->batches[i];
    return NULL;
}

/* One message: flows from the head of the queue that go the same way. */
static int send_batch(struct ms_port *port, struct binding *binding, struct flow_batch *batch)
{
    union {
        struct control_connect connect;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    } message;
    struct control_flow *ends = (struct control_flow *)(&message.connect + 1);
    struct flow *flows = port->flows.flows;
    uint32_t at = binding->first_todo, last = at, count = 0;
    bool remove = flows[at].state == FLOW_LEAVING;
    int error;

    for (; at != FLOW_NONE && count < CONTROL_FLOWS_MAX; at = flows[at].todo_next) {
        if ((flows[at].state == FLOW_LEAVING) != remove)
            break;
        ends[count++] = flows[at].ends;
        last = at;
    }
    message.connect = (struct control_connect){
        .header = {.type = CONTROL_CONNECT,
                   .size = (uint32_t)(sizeof(message.connect) + count * sizeof(*ends)),
                   .request = port->session.request + 1},
        .binding = binding->number,
        .count = count,
        .remove = remove,
    };
    error = control_client__send(port->session.fd, &message, -1);
    if (error)
        return error;
    *batch = (struct flow_batch){
        .request = ++port->session.request, .first = binding->first_todo, .remove = remove};
    port->session.on_the_way++;
    flows[last].todo_next = FLOW_NONE;
    binding->first_todo = at;
    if (at == FLOW_NONE)
        binding->last_todo = FLOW_NONE;
    for (at = batch->first; at != FLOW_NONE; at = flows[at].todo_next)
        set_state(port, &flows[at], remove ? FLOW_REMOVING : FLOW_ASKED);
    return 0;
}

int connected__present(struct ms_port *port, unsigned index)
{
    struct binding *binding = &port->bindings[index];
    int error = 0;

    while (!error && binding->first_todo != FLOW_NONE) {
        struct flow_batch *batch = free_batch(&port->flows);

        if (!batch || port->session.on_the_way >= CONTROL_PIPELINE_MAX)
            break; /* goes on with the next answer */
        error = send_batch(port, binding, batch);
    }
    return error;
}

bool connected__answered(struct ms_port *port, const struct control_connected *answer)
{
    struct flow_table *table = &port->flows;
    struct flow_batch *batch = NULL;
    uint32_t at, next, index = 0;

    for (unsigned i = 0; i < CONTROL_PIPELINE_MAX; i++)
        if (table->batches[i].request && table->batches[i].request == answer->header.request)
            batch = &table->batches[i];
    if (!batch)
        return false;
    if (answer->header.error && !batch->remove && !table->error)
        table->error = -answer->header.error;
    batch->request = 0;
    for (at = batch->first; at != FLOW_NONE; at = next, index++) {
        struct flow *flow = &table->flows[at];

        next = flow->todo_next;
        if (flow->state == FLOW_RETURNING) {
            set_state(port, flow, FLOW_WAITING);
            queue(port, at);
        } else if (batch->remove || (answer->header.error && index >= answer->count)) {
            free_flow(port, at);
        } else if (flow->state == FLOW_ABANDONED) {
            set_state(port, flow, FLOW_LEAVING);
            queue(port, at);
        } else {
            set_state(port, flow, FLOW_CLAIMED);
        }
    }
    return true;
}

void connected__forget_claims(struct ms_port *port)
{
    struct flow_table *table = &port->flows;

    memset(table->batches, 0, sizeof(table->batches));
    for (unsigned i = 0; i < port->binding_count; i++)
        port->bindings[i].first_todo = port->bindings[i].last_todo = FLOW_NONE;
    for (uint32_t at = 0; at < table->made; at++) {
        switch (table->flows[at].state) {
        case FLOW_FREE: break;
        case FLOW_WAITING:
        case FLOW_ASKED:
        case FLOW_RETURNING:
        case FLOW_CLAIMED:
            set_state(port, &table->flows[at], FLOW_WAITING);
            queue(port, at);
            break;
        default: free_flow(port, at);
        }
    }
}

void connected__drop(struct ms_port *port, unsigned index)
{
    struct flow_table *table = &port->flows;
    struct binding *binding = &port->bindings[index];
    bool any = binding->flow_count || binding->first_todo != FLOW_NONE;

    for (unsigned i = 0; i < CONTROL_PIPELINE_MAX; i++) {
        struct flow_batch *batch = &table->batches[i];

        if (!batch->request || batch->first == FLOW_NONE ||
            table->flows[batch->first].binding != index)
            continue;
        batch->first = FLOW_NONE; /* its answer is awaited all the same */
        any = true;
    }
    for (uint32_t at = 0; any && at < table->made; at++)
        if (table->flows[at].state != FLOW_FREE && table->flows[at].binding == index)
            free_flow(port, at);
    binding->first_todo = binding->last_todo = FLOW_NONE;
}

void connected__dispose(struct ms_port *port)
{
    free(port->flows.flows);
    free(port->flows.heads);
}

int ms_bind_connected(struct ms_port *port, int handle, const struct ms_flow *flows, unsigned count)
{
    const struct binding *binding = binding__find(port, handle);
    int error = 0;

    if (!binding)
        return -ENOENT;
    if (binding->port_count > 1)
        return -EOPNOTSUPP;
    for (unsigned i = 0; i < count && !error; i++)
        error = add(port, (unsigned)handle, (const struct control_flow *)&flows[i]);
    port->flows.error = 0;
    session__await_flows(port);
    return error ? error : port->flows.error;
}

int ms_unbind_connected(struct ms_port *port, int handle, const struct ms_flow *flows,
                        unsigned count)
{
    if (!binding__find(port, handle))
        return -ENOENT;
    for (unsigned i = 0; i < count; i++)
        take_away(port, (unsigned)handle, (const struct control_flow *)&flows[i]);
    session__present_bindings(port);
    return 0;
}
