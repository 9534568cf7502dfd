/* SPDX-License-Identifier: BSD-2-Clause */
/* What owners of a 3-tuple may do to each other, in any order.
 *
 * An input is a list of steps of four bytes: which step, which port, which of three 3-tuples (one is
 * the wildcard address of the others), and what else it needs. After each step everything must fit
 * together: counts, states, and whom the data path finds, with the ring of whose binding it is. */
#include "fuzz.h"

#include "../unit/switch_bench.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "sharing.h"

#define PORTS  4
#define TUPLES 3
#define FLOWS  8

enum step {
    STEP_BIND,
    STEP_BIND_SHARED,
    STEP_TAKEOVER,
    STEP_BIND_AGAIN,
    STEP_UNBIND,
    STEP_DRAIN,
    STEP_CONNECT,
    STEP_DISCONNECT,
    STEP_LET_IN,
    STEP_WAIT,
    STEP_CLOSE_PORT,
    STEPS,
};

#define STEP(step, port, tuple, more) (char)(step), (char)(port), (char)(tuple), (char)(more)

static const char takeover_example[] = {
    STEP(STEP_BIND, 0, 0, 0),    STEP(STEP_LET_IN, 1, 0, 0), STEP(STEP_TAKEOVER, 1, 0, 0),
    STEP(STEP_CONNECT, 0, 0, 3), STEP(STEP_DRAIN, 0, 0, 0),  STEP(STEP_CLOSE_PORT, 1, 0, 0),
    STEP(STEP_WAIT, 0, 0, 9),    STEP(STEP_UNBIND, 0, 0, 0),
};
static const char shared_example[] = {
    STEP(STEP_BIND_SHARED, 0, 1, 0), STEP(STEP_BIND_SHARED, 1, 1, 0),
    STEP(STEP_CONNECT, 1, 1, 7),     STEP(STEP_BIND_SHARED, 2, 0, 0),
    STEP(STEP_DRAIN, 1, 1, 0),       STEP(STEP_DISCONNECT, 1, 1, 2),
    STEP(STEP_CLOSE_PORT, 0, 0, 0),  STEP(STEP_WAIT, 0, 0, 200),
};
static const char again_example[] = {
    STEP(STEP_BIND_AGAIN, 0, 0, 0x2a), STEP(STEP_BIND_AGAIN, 1, 0, 0x12),
    STEP(STEP_CONNECT, 0, 0, 1),       STEP(STEP_WAIT, 0, 0, 5),
    STEP(STEP_TAKEOVER, 2, 0, 0),      STEP(STEP_WAIT, 0, 0, 255),
};

const struct fuzz_example fuzz_examples[] = {
    {takeover_example, sizeof(takeover_example)},
    {shared_example, sizeof(shared_example)},
    {again_example, sizeof(again_example)},
    {NULL, 0},
};

static struct bench *bench;
static struct bench_app apps[PORTS];
static struct tuple tuples[TUPLES];

static struct tuple tuple_at(const char *address)
{
    uint8_t bytes[16] = {0};

    assert(inet_pton(AF_INET, address, bytes) == 1);
    return tuple_make(bytes, 4, IP_PROTOCOL_TCP, htons(80));
}

static void open_bench(void)
{
    bench = bench_open();
    tuples[0] = tuple_at("10.0.0.1");
    tuples[1] = tuple_at("10.0.0.5");
    tuples[2] = tuple_at("0.0.0.0");
    for (int i = 0; i < 2; i++)
        assert(namespace_set_address(&bench->core->workers[0].names, &tuples[i], true) == 0);
    for (int i = 0; i < PORTS; i++)
        apps[i] = bench_app_open(bench, false, 4096);
}

/* The port's binding of a 3-tuple, or NULL. */
static struct binding *binding_of(const struct port *port, const struct tuple *tuple)
{
    struct port_table *table = &bench->core->ports;
    uint32_t slot = port->first_binding;

    while (slot != BINDING_NONE && !tuple_equal(&table->bindings[slot].tuple, tuple))
        slot = table->bindings[slot].next;
    return slot == BINDING_NONE ? NULL : &table->bindings[slot];
}

/* Another one for each port; nothing is delivered here, so it need not be there. */
static uint8_t ring_of(const struct port *port)
{
    return (uint8_t)(port->number % 3);
}

static void bind_one(struct port *port, const struct tuple *tuple, enum step step, uint8_t more)
{
    struct binding_terms terms = {.cookie = 1000u + port->number, .ring = ring_of(port)};
    int fd = dup(bench->keeper);
    uint32_t number;

    terms.shared = step == STEP_BIND_SHARED || (step == STEP_BIND_AGAIN && (more & 0x80));
    terms.takeover = step == STEP_TAKEOVER;
    if (step == STEP_BIND_AGAIN) {
        terms.expected_members = more & 3;
        terms.expected_connected = more >> 2 & 3;
        terms.draining = more & 0x20;
    }
    if (binding_add(bench->core, port, tuple, fd, &terms, &number))
        close(fd);
}

static void connect_some(struct port *port, const struct tuple *tuple, bool remove, uint8_t more)
{
    struct binding *binding = binding_of(port, tuple);
    struct control_address local = tuple_to_address(&tuples[more & 1]);
    struct control_flow flows[FLOWS];
    uint32_t count = more >> 2 & (FLOWS - 1), taken;

    if (!binding)
        return;
    for (uint32_t i = 0; i <= count; i++) {
        flows[i] = (struct control_flow){.remote = {10, 0, 0, 9},
                                         .remote_port = htons((uint16_t)(i + (more & 2)))};
        memcpy(flows[i].local, local.bytes, 4);
    }
    sharing_connect(bench->core, binding, flows, count + 1, remove, &taken);
    assert(taken <= count + 1);
}

static void take_step(const uint8_t bytes[4])
{
    struct port *port = apps[bytes[1] % PORTS].port;
    const struct tuple *tuple = &tuples[bytes[2] % TUPLES];
    struct binding *binding = binding_of(port, tuple);
    enum step step = (enum step)(bytes[0] % STEPS);

    switch (step) {
    case STEP_BIND:
    case STEP_BIND_SHARED:
    case STEP_TAKEOVER:
    case STEP_BIND_AGAIN: bind_one(port, tuple, step, bytes[3]); break;
    case STEP_UNBIND:
        if (binding)
            binding_close(bench->core, binding);
        break;
    case STEP_DRAIN:
        if (binding)
            sharing_drain(bench->core, binding);
        break;
    case STEP_CONNECT:
    case STEP_DISCONNECT: connect_some(port, tuple, step == STEP_DISCONNECT, bytes[3]); break;
    case STEP_LET_IN: sharing_let_in(bench->core, tuple, bytes[3] & 1 ? 1 : port->uid); break;
    case STEP_WAIT:
        bench->worker->now_ns += bytes[3] * 20000000ULL;
        sharing_housekeep(bench->core, bench->worker->now_ns);
        break;
    default:
        bench_app_close(bench, &apps[bytes[1] % PORTS]);
        apps[bytes[1] % PORTS] = bench_app_open(bench, false, 4096);
        break;
    }
    sharing_tell(bench->core);
}

/* Of one 3-tuple; returns its connected bindings. */
static uint32_t check_owners(const struct tuple *tuple)
{
    struct owner_member members[OWNER_MEMBERS_MAX];
    uint32_t count = namespace_members(&bench->core->workers[0].names, tuple, members);
    uint32_t connected = 0, successors = 0, plain_active = 0, active = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct binding *binding = binding_of(members[i].port, tuple);

        assert(binding && binding->number == members[i].binding);
        assert(binding->state == members[i].state);
        assert(binding->connected_count == members[i].connected_count || count == 1);
        connected += binding->connected_count;
        successors += binding->successor;
        active += binding->state == MEMBER_ACTIVE;
        plain_active += binding->state == MEMBER_ACTIVE && !binding->shared;
        /* nobody waits without an end to it */
        assert(binding->state != MEMBER_WAITING || bench->core->ports.deadline_ns != UINT64_MAX);
    }
    assert(successors <= 1);
    assert(plain_active == 0 || active == 1);
    return connected;
}

static void check(void)
{
    const struct namespace_table *names = &bench->core->workers[0].names;
    uint32_t connected = 0;

    for (int t = 0; t < TUPLES; t++)
        connected += check_owners(&tuples[t]);
    assert(connected == names->connected.used);
    for (uint16_t i = 0; i < 2 * FLOWS; i++) {
        struct packet_view view = {.local = tuples[i & 1], .remote_port = htons(i / 2)};
        struct owner owner;
        bool known = false;

        tuple_load_address(view.remote, (const uint8_t[4]){10, 0, 0, 9}, 4);
        owner = namespace_owner(names, &view, tuple_hash(&names->bindings.key, &view.local));
        for (int p = 0; p < PORTS; p++)
            known |= owner.port == apps[p].port;
        assert(!owner.port || known);
        if (owner.port)
            assert((namespace_may_send(names, &view.local, owner.port) ||
                    namespace_may_send_connected(names, &view, owner.port)) &&
                   owner.ring == ring_of(owner.port));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!bench)
        open_bench();
    for (; size >= 4; data += 4, size -= 4) {
        take_step(data);
        check();
    }
    for (int i = 0; i < PORTS; i++) {
        struct port *port = apps[i].port;

        while (port->first_binding != BINDING_NONE)
            binding_close(bench->core, &bench->core->ports.bindings[port->first_binding]);
        assert(port->connected_count == 0 && port->binding_count == 0);
    }
    sharing_tell(bench->core);
    assert(bench->core->workers[0].names.bindings.used == 0 &&
           bench->core->workers[0].names.connected.used == 0);
    assert(bench->core->ports.binding_count == 0);
    return 0;
}
