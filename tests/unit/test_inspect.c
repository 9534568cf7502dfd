/* SPDX-License-Identifier: BSD-2-Clause */
/* CONTROL_INSPECT at the switch: who may ask whom, and what becomes of the socket. */
#include "control_bench.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inspect.h"

#define STRANGER 4000000

/* A port that tells, or does not; the last connection made is its own. */
static int client_that_tells(struct bench *bench, uint32_t flags, uint32_t *port)
{
    struct control_port_open open = {
        .header = HEADER(CONTROL_PORT_OPEN, open), .ring_count = 1, .flags = flags};
    struct control_port_opened opened = {.port = 0};
    int client = greeted_client(bench);

    send_with_fds(client, &open, sizeof(open), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &opened, sizeof(opened), NULL), sizeof(opened));
    assert_int_equal(opened.header.error, 0);
    *port = opened.port;
    return client;
}

/* What the switch says to one who hands `fd` over for the port. */
static int ask(struct bench *bench, int asker, uint32_t port, int fd)
{
    struct control_inspect inspect = {.header = HEADER(CONTROL_INSPECT, inspect), .port = port};
    struct control_inspected inspected = {.header = {0}};

    send_with_fds(asker, &inspect, sizeof(inspect), &fd, 1);
    serve(bench);
    assert_int_equal(receive(asker, &inspected, sizeof(inspected), NULL), sizeof(inspected));
    assert_int_equal(inspected.header.type, CONTROL_INSPECTED);
    return -inspected.header.error;
}

static void a_socket_is_handed_on_to_the_ports_process(void **state)
{
    struct bench *bench = *state;
    uint32_t port, fds = 0, before = open_descriptors();
    int owner = client_that_tells(bench, CONTROL_PORT_INSPECTED, &port);
    int asker = greeted_client(bench), pair[2];
    struct control_event event = {.kind = 0};
    char byte;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(ask(bench, asker, port, pair[1]), 0);
    close(pair[1]);
    assert_int_equal(receive(owner, &event, sizeof(event), &fds), sizeof(event));
    assert_int_equal(event.kind, CONTROL_EVENT_INSPECT);
    assert_int_equal(fds, 1);
    assert_int_equal(recv(pair[0], &byte, 1, MSG_DONTWAIT), 0); /* nobody else has a copy */
    close(pair[0]);
    close(asker);
    close(owner);
    serve(bench);
    assert_int_equal(open_descriptors(), before);
}

static void who_may_not_ask_is_refused_and_nothing_leaks(void **state)
{
    struct bench *bench = *state;
    uint32_t port, mute, before;
    int owner = client_that_tells(bench, CONTROL_PORT_INSPECTED, &port);
    int other = client_that_tells(bench, 0, &mute), asker = greeted_client(bench), pair[2];
    struct control_event event = {.kind = 0};

    before = open_descriptors();
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(ask(bench, asker, port + 77, pair[1]), -ENOENT);
    assert_int_equal(ask(bench, asker, mute, pair[1]), -EOPNOTSUPP);
    assert_int_equal(ask(bench, asker, port, STDIN_FILENO), -EINVAL);
    bench->core->control.connections[2].uid = STRANGER;
    assert_int_equal(ask(bench, asker, port, pair[1]), -EACCES);
    bench->core->ports.slots[0]->uid = STRANGER;
    assert_int_equal(ask(bench, asker, port, pair[1]), 0);
    assert_int_equal(receive(owner, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(receive(owner, &event, sizeof(event), NULL), -1);
    close(pair[0]);
    close(pair[1]);
    assert_int_equal(open_descriptors(), before);
    close(owner);
    close(other);
    close(asker);
    serve(bench);
}

static void who_asks_without_end_does_not_get_the_port_cut_off(void **state)
{
    struct bench *bench = *state;
    uint32_t port, asked = 0;
    int owner = client_that_tells(bench, CONTROL_PORT_INSPECTED, &port);
    int asker = greeted_client(bench), pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    for (int second = 0; second < 100; second++) {
        for (int i = 0; i < 2 * INSPECT_MOST; i++)
            asked += ask(bench, asker, port, pair[1]) == 0;
        bench->core->workers[0].now_ns += INSPECT_WINDOW_NS;
    }
    assert_in_range(asked, 1, 100 * INSPECT_MOST);
    assert_int_equal(bench->core->ports.count, 1);
    close(pair[0]);
    close(pair[1]);
    close(asker);
    close(owner);
    serve(bench);
}

static void a_question_without_a_socket_closes_the_connection(void **state)
{
    struct bench *bench = *state;
    struct control_inspect inspect = {.header = HEADER(CONTROL_INSPECT, inspect), .port = 1};
    int asker = greeted_client(bench);

    send_with_fds(asker, &inspect, sizeof(inspect), NULL, 0);
    serve(bench);
    assert_true(is_closed(asker));
    close(asker);
}

int main(void)
{
#define INSPECT_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, control_bench_set_up, control_bench_tear_down)
    const struct CMUnitTest tests[] = {
        INSPECT_TEST(a_socket_is_handed_on_to_the_ports_process),
        INSPECT_TEST(who_may_not_ask_is_refused_and_nothing_leaks),
        INSPECT_TEST(who_asks_without_end_does_not_get_the_port_cut_off),
        INSPECT_TEST(a_question_without_a_socket_closes_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
