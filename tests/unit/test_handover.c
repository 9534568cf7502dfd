/* SPDX-License-Identifier: BSD-2-Clause */
/* Owners that share a 3-tuple, hand it over, and find together again at another switch: what is said
 * on the control socket, in whatever order, and who gets the packets then. */
#include "control_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sharing.h"

#define CLIENTS_MAX 4

/* The host's address and port that all of them want. */
static struct control_address wanted;
static int clients[CLIENTS_MAX];

static int set_up(void **state)
{
    int first = placeholder(&wanted);

    close(first); /* just to learn of a free port */
    for (int i = 0; i < CLIENTS_MAX; i++)
        clients[i] = -1;
    return control_bench_set_up(state);
}

static int tear_down(void **state)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (clients[i] >= 0)
            close(clients[i]);
    }
    return control_bench_tear_down(state);
}

/* A placeholder beside others. */
static int beside(bool shared)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), yes = shared;
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = wanted.port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)), 0);
    if (bind(fd, (struct sockaddr *)&name, sizeof(name))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void send_bind(struct bench *bench, int client, int fd, const struct control_bind *terms)
{
    struct control_bind request = *terms;

    request.header = (struct control_header)HEADER(CONTROL_BIND, request);
    request.address = wanted;
    request.port_count = 1;
    send_with_fds(client, &request, sizeof(request), &fd, 1);
    serve(bench);
}

/* The next answer of a kind; events of other kinds before it are skipped. -1: there is none. */
static int answer(int client, uint32_t type, uint32_t *number)
{
    uint8_t bytes[CONTROL_MESSAGE_MAX] = {0};
    const struct control_header *header = (const struct control_header *)bytes;

    while (receive(client, bytes, sizeof(bytes), NULL) > 0) {
        if (header->type != type)
            continue;
        if (type == CONTROL_BOUND && number)
            *number = ((const struct control_bound *)bytes)->binding;
        if (type == CONTROL_CONNECTED && number)
            *number = ((const struct control_connected *)bytes)->count;
        return header->error;
    }
    return -1;
}

/* The last event of a kind that has come; its detail, or -1. Drops everything else. */
static int heard(int client, uint32_t kind)
{
    uint8_t bytes[CONTROL_MESSAGE_MAX] = {0};
    const struct control_event *event = (const struct control_event *)bytes;
    int found = -1;

    while (receive(client, bytes, sizeof(bytes), NULL) > 0) {
        if (event->header.type == CONTROL_EVENT && event->kind == kind)
            found = (int)event->detail;
    }
    return found;
}

/* Opens the port of client `i` and binds. Returns the number of the binding; *error as told. */
static uint32_t join(struct bench *bench, int i, int fd, const struct control_bind *terms,
                     int *error)
{
    uint32_t number = 0;

    clients[i] = client_with_port(bench);
    send_bind(bench, clients[i], fd, terms);
    close(fd);
    *error = answer(clients[i], CONTROL_BOUND, &number);
    return number;
}

static uint32_t join_well(struct bench *bench, int i, bool shared)
{
    const struct control_bind terms = {.flags = shared ? CONTROL_BIND_SHARED : 0};
    int error;
    uint32_t number = join(bench, i, beside(shared), &terms, &error);

    assert_int_equal(error, 0);
    return number;
}

static int share(struct bench *bench, int client)
{
    struct control_share request = {.header = HEADER(CONTROL_SHARE, request), .address = wanted};

    send_with_fds(client, &request, sizeof(request), NULL, 0);
    serve(bench);
    return answer(client, CONTROL_SHARED, NULL);
}

static int drain(struct bench *bench, int client, uint32_t number)
{
    struct control_drain request = {.header = HEADER(CONTROL_DRAIN, request), .binding = number};

    send_with_fds(client, &request, sizeof(request), NULL, 0);
    serve(bench);
    return answer(client, CONTROL_DRAINED, NULL);
}

static struct control_flow flow_number(uint16_t number)
{
    return (struct control_flow){
        .local = {127, 0, 0, 1}, .remote = {10, 0, 0, 9}, .remote_port = htons(number)};
}

static int connect_flows(struct bench *bench, int client, uint32_t number, uint16_t first,
                         uint32_t count, bool remove, uint32_t *taken)
{
    struct {
        struct control_connect head;
        struct control_flow flows[CONTROL_FLOWS_MAX];
    } request = {.head = {.binding = number, .count = count, .remove = remove}};
    size_t size = sizeof(request.head) + count * sizeof(struct control_flow);

    for (uint32_t i = 0; i < count; i++)
        request.flows[i] = flow_number((uint16_t)(first + i));
    request.head.header =
        (struct control_header){.type = CONTROL_CONNECT, .size = (uint32_t)size, .request = 7};
    send_with_fds(client, &request, size, NULL, 0);
    serve(bench);
    return answer(client, CONTROL_CONNECTED, taken);
}

/* Number of the client whose port gets packets of a flow; -1: nobody. */
static int receiver(const struct bench *bench, uint16_t flow)
{
    struct packet_view view = {.local = tuple_from_address(&wanted), .remote_port = htons(flow)};
    const uint8_t remote[4] = {10, 0, 0, 9};
    const struct port *port;

    tuple_load_address(view.remote, remote, 4);
    port = namespace_owner(&bench->core->workers[0].names, &view,
                           tuple_hash(&bench->core->workers[0].names.bindings.key, &view.local))
               .port;
    return port ? (int)port->number - 1 : -1; /* ports are numbered in the order of opening */
}

static void later(struct bench *bench, uint64_t ns)
{
    bench->worker->now_ns += ns;
    control_housekeep(bench->core);
}

static const struct control_bind plain = {.flags = 0};
static const struct control_bind takeover = {.flags = CONTROL_BIND_TAKEOVER};

/* Client 0 has the binding, client 1 asks to succeed. */
static uint32_t begin_handover(struct bench *bench)
{
    uint32_t number = join_well(bench, 0, false);
    int error;

    clients[1] = client_with_port(bench);
    assert_int_equal(beside(true), -1); /* exclusive */
    assert_int_equal(share(bench, clients[1]), 0);
    close(clients[1]);
    serve(bench);
    join(bench, 1, beside(true), &takeover, &error);
    assert_int_equal(error, -1); /* it has to wait */
    assert_int_equal(heard(clients[0], CONTROL_EVENT_HANDOVER), 0);
    return number;
}

static void a_successor_gets_what_is_not_connected_once_the_owner_has_drained(void **state)
{
    struct bench *bench = *state;
    uint32_t number = begin_handover(bench), taken;

    assert_int_equal(receiver(bench, 1), 0);
    assert_int_equal(connect_flows(bench, clients[0], number, 1, CONTROL_FLOWS_MAX, false, &taken),
                     0);
    assert_int_equal(taken, CONTROL_FLOWS_MAX);
    assert_int_equal(drain(bench, clients[0], number), 0);
    assert_int_equal(drain(bench, clients[0], number), 0); /* twice is once */
    assert_int_equal(answer(clients[1], CONTROL_BOUND, NULL), 0);
    assert_int_equal(receiver(bench, 1), 0);
    assert_int_equal(receiver(bench, 5000), 2);
    assert_int_equal(beside(true), -1); /* exclusive again */
    assert_int_equal(connect_flows(bench, clients[0], number, 1, 1, true, &taken), 0);
    assert_int_equal(receiver(bench, 1), 2);
    close(clients[0]);
    clients[0] = -1;
    serve(bench);
    assert_int_equal(receiver(bench, 2), 2);
    assert_int_equal(bench->core->workers[0].names.connected.used, 0);
}

static void an_owner_that_says_nothing_has_drained_after_a_while(void **state)
{
    struct bench *bench = *state;

    begin_handover(bench);
    later(bench, SHARING_HANDOVER_NS - 1);
    assert_int_equal(answer(clients[1], CONTROL_BOUND, NULL), -1);
    later(bench, 1);
    assert_int_equal(answer(clients[1], CONTROL_BOUND, NULL), 0);
    assert_int_not_equal(heard(clients[0], CONTROL_EVENT_DRAINED), -1);
    assert_int_equal(receiver(bench, 1), 2);
}

static void the_owner_is_active_again_when_its_successor_dies(void **state)
{
    struct bench *bench = *state;
    uint32_t number = begin_handover(bench);

    assert_int_equal(drain(bench, clients[0], number), 0);
    assert_int_equal(receiver(bench, 1), 2);
    close(clients[1]);
    clients[1] = -1;
    serve(bench);
    assert_int_not_equal(heard(clients[0], CONTROL_EVENT_RESUME), -1);
    assert_int_equal(receiver(bench, 1), 0);
    assert_int_equal(drain(bench, clients[0], number), EBUSY); /* to nobody */
}

static void a_successor_that_dies_while_it_waits_leaves_all_as_it_was(void **state)
{
    struct bench *bench = *state;
    uint32_t number = begin_handover(bench);

    close(clients[1]);
    clients[1] = -1;
    serve(bench);
    assert_int_equal(drain(bench, clients[0], number), EBUSY);
    assert_int_equal(receiver(bench, 1), 0);
    assert_int_equal(beside(true), -1); /* exclusive again */
}

static void the_door_closes_by_itself(void **state)
{
    struct bench *bench = *state;

    join_well(bench, 0, false);
    clients[1] = client_with_port(bench);
    assert_int_equal(share(bench, clients[1]), 0);
    later(bench, SHARING_HANDOVER_NS);
    assert_int_equal(beside(true), -1);
}

static void nobody_takes_over_from_another_user(void **state)
{
    struct bench *bench = *state;
    int error, fd;

    join_well(bench, 0, false);
    clients[1] = client_with_port(bench);
    bench->core->ports.slots[0]->uid++;
    assert_int_equal(share(bench, clients[1]), EACCES);
    fd = beside(true);
    assert_int_equal(fd, -1);
    /* without a placeholder of its own it has nothing to show */
    fd = placeholder(&(struct control_address){{0}, 0, 0, 0});
    join(bench, 2, fd, &takeover, &error);
    assert_int_equal(error, EINVAL);
    assert_int_equal(receiver(bench, 1), 0);
}

static void one_successor_at_a_time(void **state)
{
    struct bench *bench = *state;
    int error;

    begin_handover(bench);
    join(bench, 2, beside(true), &takeover, &error);
    assert_int_equal(error, EBUSY);
    join(bench, 3, beside(true), &(struct control_bind){.flags = CONTROL_BIND_SHARED}, &error);
    assert_int_equal(error, EADDRINUSE);
}

static void a_binding_may_belong_to_a_ring_that_there_is(void **state)
{
    static const struct {
        uint32_t flags;
        uint16_t ring;
        int error;
    } cases[] = {
        {CONTROL_BIND_RING, 3, EINVAL},
        {CONTROL_BIND_RING, UINT16_MAX, EINVAL},
        {0, 1, EINVAL}, /* without the flag it says nothing */
        {CONTROL_BIND_RING, 2, 0},
    };
    struct bench *bench = *state;
    const struct binding *binding = &bench->core->ports.bindings[0];

    clients[0] = greeted_client(bench);
    open_port(bench, clients[0], 3, NULL);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct control_bind terms = {.flags = cases[i].flags, .ring = cases[i].ring};
        int fd = beside(false);

        send_bind(bench, clients[0], fd, &terms);
        close(fd);
        assert_int_equal(answer(clients[0], CONTROL_BOUND, NULL), cases[i].error);
    }
    assert_int_equal(binding->ring, 3);
}

static void with_nobody_to_succeed_it_waits_for_those_who_may_come_back(void **state)
{
    struct bench *bench = *state;
    int error;

    clients[3] = client_with_port(bench);
    assert_int_equal(share(bench, clients[3]), ENOENT);
    join(bench, 0, beside(true), &takeover, &error);
    assert_int_equal(error, -1);
    assert_int_equal(receiver(bench, 1), -1);
    later(bench, SHARING_HANDOVER_NS);
    assert_int_equal(answer(clients[0], CONTROL_BOUND, NULL), 0);
    assert_int_equal(receiver(bench, 1), 1);
}

static void those_who_share_all_get_flows_and_can_leave_one_by_one(void **state)
{
    struct bench *bench = *state;
    uint32_t numbers[3], counts[3] = {0};

    for (int i = 0; i < 3; i++)
        numbers[i] = join_well(bench, i, true);
    assert_int_equal(heard(clients[0], CONTROL_EVENT_MEMBERS), 3);
    for (uint16_t flow = 1; flow <= 300; flow++)
        counts[receiver(bench, flow)]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 60, 140);
    assert_int_equal(drain(bench, clients[0], numbers[0]), 0);
    for (uint16_t flow = 1; flow <= 300; flow++)
        assert_int_not_equal(receiver(bench, flow), 0);
    assert_int_equal(drain(bench, clients[1], numbers[1]), 0);
    assert_int_equal(drain(bench, clients[2], numbers[2]), EBUSY); /* the last one stays */
    assert_int_equal(receiver(bench, 1), 2);
}

static void sharing_is_for_those_who_all_ask_for_it(void **state)
{
    struct bench *bench = *state;
    const struct control_bind shared = {.flags = CONTROL_BIND_SHARED};
    int error, no = 0, fd;

    join_well(bench, 0, true);
    join(bench, 1, beside(true), &plain, &error);
    assert_int_equal(error, EADDRINUSE); /* its placeholder shares, and it does not say so */
    fd = beside(true);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &no, sizeof(no)), 0);
    join(bench, 2, fd, &shared, &error);
    assert_int_equal(error, EINVAL); /* the other way round */
    join(bench, 3, beside(true), &(struct control_bind){.flags = 0x80}, &error);
    assert_int_equal(error, EINVAL);
}

/* ---- the next switch */

static void owners_of_an_earlier_switch_wait_for_each_other(void **state)
{
    struct bench *bench = *state;
    const struct control_bind again = {.flags = CONTROL_BIND_SHARED, .members = 2};
    int error;

    join(bench, 0, beside(true), &again, &error);
    assert_int_equal(error, 0);
    assert_int_equal(receiver(bench, 1), -1); /* it may be the other's flow */
    join(bench, 1, beside(true), &again, &error);
    assert_int_equal(error, 0);
    assert_int_not_equal(receiver(bench, 1), -1);
}

static void but_not_for_ever(void **state)
{
    struct bench *bench = *state;
    const struct control_bind again = {.flags = CONTROL_BIND_SHARED, .members = 2};
    int error;

    join(bench, 0, beside(true), &again, &error);
    later(bench, SHARING_ASSEMBLY_NS);
    assert_int_equal(receiver(bench, 1), 0);
}

/* The old one drains with 3 connections, the new one is active, the switch is restarted; they come
 * back in either order. */
static void come_back(struct bench *bench, bool old_first)
{
    const struct control_bind old = {.flags = CONTROL_BIND_DRAINING, .members = 2, .connected = 3};
    const struct control_bind new = {.members = 2};
    int fds[2] = {beside(true), beside(true)}, error, no = 0;
    uint32_t number = 0, taken;

    for (int i = 0; i < 2; i++)
        assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &no, sizeof(no)), 0);
    if (old_first)
        number = join(bench, 0, fds[0], &old, &error);
    else
        join(bench, 0, fds[0], &new, &error);
    assert_int_equal(error, 0);
    assert_int_equal(receiver(bench, 1), -1);
    if (old_first)
        join(bench, 1, fds[1], &new, &error);
    else
        number = join(bench, 1, fds[1], &old, &error);
    assert_int_equal(error, 0);
    assert_int_equal(receiver(bench, 1), -1); /* not before its connections are told */
    assert_int_equal(connect_flows(bench, clients[!old_first], number, 1, 3, false, &taken), 0);
    assert_int_equal(receiver(bench, 1), !old_first);
    assert_int_equal(receiver(bench, 4), old_first);
}

static void a_handover_that_is_done_stays_done_the_old_one_first(void **state)
{
    come_back(*state, true);
}

static void a_handover_that_is_done_stays_done_the_new_one_first(void **state)
{
    come_back(*state, false);
}

static void a_handover_that_is_under_way_goes_on_the_new_one_first(void **state)
{
    struct bench *bench = *state;
    int error;
    uint32_t number;

    join(bench, 0, beside(true), &takeover, &error);
    assert_int_equal(error, -1);
    number = join(bench, 1, beside(true), &(struct control_bind){.members = 1}, &error);
    assert_int_equal(error, EADDRINUSE); /* its library takes SO_REUSEPORT off before */
    close(clients[1]);
    serve(bench);
    {
        int fd = beside(true), no = 0;

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &no, sizeof(no)), 0);
        number = join(bench, 1, fd, &(struct control_bind){.members = 1}, &error);
    }
    assert_int_equal(error, 0);
    assert_int_equal(receiver(bench, 1), 2);
    assert_int_equal(drain(bench, clients[1], number), 0);
    assert_int_equal(answer(clients[0], CONTROL_BOUND, NULL), 0);
    assert_int_equal(receiver(bench, 1), 0);
}

static void an_old_one_that_comes_back_alone_serves_again(void **state)
{
    struct bench *bench = *state;
    int error;

    join(bench, 0, beside(false),
         &(struct control_bind){.flags = CONTROL_BIND_DRAINING, .members = 2}, &error);
    assert_int_equal(error, 0);
    assert_int_equal(receiver(bench, 1), -1);
    later(bench, SHARING_ASSEMBLY_NS);
    assert_int_not_equal(heard(clients[0], CONTROL_EVENT_RESUME), -1);
    assert_int_equal(receiver(bench, 1), 0);
}

/* ---- connected bindings */

static void only_flows_of_ones_own_binding_can_be_connected(void **state)
{
    struct bench *bench = *state;
    uint32_t first = join_well(bench, 0, true), second = join_well(bench, 1, true), taken;
    struct {
        struct control_connect head;
        struct control_flow flow;
    } request;
    struct control_flow wrong[6];

    assert_int_equal(connect_flows(bench, clients[0], second, 1, 1, false, &taken), ENOENT);
    assert_int_equal(connect_flows(bench, clients[0], first, 1, 5, false, &taken), 0);
    assert_int_equal(connect_flows(bench, clients[1], second, 5, 5, false, &taken), EADDRINUSE);
    assert_int_equal(taken, 0);
    assert_int_equal(connect_flows(bench, clients[1], second, 4, 1, true, &taken), 0);
    assert_int_equal(receiver(bench, 4), 0); /* not the second's to end */
    for (int i = 0; i < 6; i++)
        wrong[i] = flow_number(99);
    wrong[0].local[0] = 126;        /* another address than is bound */
    wrong[1].local[7] = 1;          /* beyond IPv4's four bytes */
    wrong[2].remote[15] = 1;        /* the same */
    wrong[3].remote_port = 0;       /* no port */
    wrong[4].zero = 1;              /* not zero */
    memset(wrong[5].remote, 0, 16); /* no address */
    for (int i = 0; i < 6; i++) {
        request.head = (struct control_connect){
            .header = HEADER(CONTROL_CONNECT, request), .binding = first, .count = 1};
        request.flow = wrong[i];
        send_with_fds(clients[0], &request, sizeof(request), NULL, 0);
        serve(bench);
        assert_int_equal(answer(clients[0], CONTROL_CONNECTED, &taken), EINVAL);
        assert_int_equal(taken, 0);
    }
    assert_int_equal(bench->core->workers[0].names.connected.used, 5);
}

static void connected_bindings_are_limited_for_each_port(void **state)
{
    struct bench *bench = *state;
    uint32_t number = join_well(bench, 0, false), taken;

    bench->core->ports.slots[0]->connected_count = SHARING_CONNECTED_PORT_MAX - 2;
    assert_int_equal(connect_flows(bench, clients[0], number, 1, 5, false, &taken), ENOSPC);
    assert_int_equal(taken, 2);
    bench->core->ports.slots[0]->connected_count -= SHARING_CONNECTED_PORT_MAX - 2;
}

static void a_count_that_does_not_fit_closes_the_connection(void **state)
{
    static const struct {
        uint32_t count;
        size_t flows;
    } wrong[] = {{0, 0}, {2, 1}, {1, 2}, {UINT32_MAX, 1}, {0x71c71c8, 1}};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct {
            struct control_connect head;
            struct control_flow flows[2];
        } request = {.head = {.count = wrong[i].count}};
        size_t size = sizeof(request.head) + wrong[i].flows * sizeof(struct control_flow);
        int client = client_with_port(bench);

        request.head.header =
            (struct control_header){.type = CONTROL_CONNECT, .size = (uint32_t)size, .request = 7};
        send_with_fds(client, &request, size, NULL, 0);
        serve(bench);
        assert_true(is_closed(client));
        close(client);
    }
}

static void without_a_port_there_is_nothing_to_share(void **state)
{
    struct bench *bench = *state;
    struct control_share share_it = {.header = HEADER(CONTROL_SHARE, share_it)};
    struct control_drain drain_it = {.header = HEADER(CONTROL_DRAIN, drain_it)};
    struct control_connect connect_it = {.header = HEADER(CONTROL_CONNECT, connect_it)};
    const struct control_header *messages[] = {&share_it.header, &drain_it.header,
                                               &connect_it.header};

    for (int i = 0; i < 3; i++) {
        int client = greeted_client(bench);

        send_with_fds(client, messages[i], messages[i]->size, NULL, 0);
        serve(bench);
        assert_true(is_closed(client));
        close(client);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_successor_gets_what_is_not_connected_once_the_owner_has_drained),
        TEST(an_owner_that_says_nothing_has_drained_after_a_while),
        TEST(the_owner_is_active_again_when_its_successor_dies),
        TEST(a_successor_that_dies_while_it_waits_leaves_all_as_it_was),
        TEST(the_door_closes_by_itself),
        TEST(nobody_takes_over_from_another_user),
        TEST(one_successor_at_a_time),
        TEST(a_binding_may_belong_to_a_ring_that_there_is),
        TEST(with_nobody_to_succeed_it_waits_for_those_who_may_come_back),
        TEST(those_who_share_all_get_flows_and_can_leave_one_by_one),
        TEST(sharing_is_for_those_who_all_ask_for_it),
        TEST(owners_of_an_earlier_switch_wait_for_each_other),
        TEST(but_not_for_ever),
        TEST(a_handover_that_is_done_stays_done_the_old_one_first),
        TEST(a_handover_that_is_done_stays_done_the_new_one_first),
        TEST(a_handover_that_is_under_way_goes_on_the_new_one_first),
        TEST(an_old_one_that_comes_back_alone_serves_again),
        TEST(only_flows_of_ones_own_binding_can_be_connected),
        TEST(connected_bindings_are_limited_for_each_port),
        TEST(a_count_that_does_not_fit_closes_the_connection),
        TEST(without_a_port_there_is_nothing_to_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
