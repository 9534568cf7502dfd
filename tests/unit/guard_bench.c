/* SPDX-License-Identifier: BSD-2-Clause */
#include "guard_bench.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard_rules.h"

int guard_bench_maps[CHANNEL_GUARD_MAPS];
int guard_bench_store = -1;
static uint32_t cpus;

static int make_map(enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t count,
                    uint32_t flags)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);

    return bpf_map_create(type, NULL, key, value, count, &options);
}

static void make_maps(void)
{
    int possible = libbpf_num_possible_cpus();

    cpus = possible > 0 ? (uint32_t)possible : 1;
    guard_bench_maps[CHANNEL_GUARD_POLICIES] =
        make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct guard_policy), GUARD_POLICIES_MAX, 0);
    guard_bench_maps[CHANNEL_GUARD_PREFIXES] =
        make_map(BPF_MAP_TYPE_LPM_TRIE, sizeof(struct guard_prefix), sizeof(struct guard_entry),
                 GUARD_PREFIXES_MAX, BPF_F_NO_PREALLOC);
    guard_bench_maps[CHANNEL_GUARD_BUDGETS] =
        make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct guard_budget), GUARD_POLICIES_MAX, 0);
    guard_bench_maps[CHANNEL_GUARD_COUNTS] =
        make_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct guard_counts), GUARD_POLICIES_MAX, 0);
    guard_bench_maps[CHANNEL_GUARD_COOKIES] =
        make_map(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct guard_cookie), GUARD_POLICIES_MAX, 0);
    if (guard_bench_maps[CHANNEL_GUARD_PREFIXES] >= 0)
        return;
    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++) {
        if (guard_bench_maps[i] >= 0)
            close(guard_bench_maps[i]);
        guard_bench_maps[i] = -1;
    }
}

int guard_bench_open(struct bench *bench)
{
    struct channel_guard message = {.cpus = cpus};
    int fds[CHANNEL_GUARD_FDS];

    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++)
        fds[i] = guard_bench_maps[i] < 0 ? -1 : dup(guard_bench_maps[i]);
    fds[CHANNEL_GUARD_STORE] = dup(guard_bench_store);
    return guard_open(bench->core, &message, fds);
}

int guard_bench_set_up(void **state)
{
    control_bench_set_up(state);
    make_maps();
    guard_bench_store = memfd_create("guard", MFD_CLOEXEC);
    assert_int_equal(ftruncate(guard_bench_store, sizeof(struct guard_store)), 0);
    return guard_bench_open(*state);
}

int guard_bench_tear_down(void **state)
{
    control_bench_tear_down(state);
    for (uint32_t i = 0; i < CHANNEL_GUARD_MAPS; i++) {
        if (guard_bench_maps[i] >= 0)
            close(guard_bench_maps[i]);
    }
    close(guard_bench_store);
    return 0;
}

bool have_maps(void)
{
    return guard_bench_maps[0] >= 0;
}

struct client come(struct bench *bench, bool with_port, uid_t uid)
{
    struct client client = {.connection = bench->core->control.connections};

    while (client.connection->fd >= 0) /* the first free one is taken */
        client.connection++;
    client.fd = with_port ? client_with_port(bench) : greeted_client(bench);
    client.connection->uid = uid;
    if (with_port)
        client.connection->port->uid = uid;
    return client;
}

void leave(struct bench *bench, const struct client *client)
{
    close(client->fd);
    serve(bench);
    assert_int_equal(client->connection->fd, -1);
}

/* Without a placeholder, which is not what is tried here. */
uint32_t bind_port(struct bench *bench, const struct client *client, uint8_t protocol,
                   uint16_t port, bool shared)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple tuple = tuple_make(loopback, 4, protocol, htons(port));
    const struct binding_terms terms = {.shared = shared};
    uint32_t number;

    assert_int_equal(
        binding_add(bench->core, client->connection->port, &tuple, -1, &terms, &number), 0);
    return number;
}

struct control_guarded guard_bench_answer;

int ask(struct bench *bench, const struct client *client, const struct control_guard *wish)
{
    struct control_guard request = *wish;
    uint8_t bytes[CONTROL_MESSAGE_MAX];

    request.header = (struct control_header)HEADER(CONTROL_GUARD, request);
    send_with_fds(client->fd, &request, sizeof(request), NULL, 0);
    serve(bench);
    do {
        assert_true(receive(client->fd, bytes, sizeof(bytes), NULL) > 0);
        memcpy(&guard_bench_answer, bytes, sizeof(guard_bench_answer));
    } while (guard_bench_answer.header.type ==
             CONTROL_EVENT); /* about others that share the 3-tuple */
    assert_int_equal(guard_bench_answer.header.type, CONTROL_GUARDED);
    return -guard_bench_answer.header.error;
}

uint32_t rules(const struct bench *bench)
{
    return bench->core->guard.count;
}

uint32_t slot_of(const struct bench *bench, uint32_t binding)
{
    return guard_place_of(&bench->core->guard,
                          &bench->core->ports.bindings[binding % NAMESPACE_BINDINGS_MAX].tuple);
}
