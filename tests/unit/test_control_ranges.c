/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of ports at the control socket, with a keeper whose part the test plays. */
#include "control_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "range.h"

#define FIRST 16384

static struct control_bind wish(uint32_t first, uint32_t port_count)
{
    return (struct control_bind){
        .header = HEADER(CONTROL_BIND, struct control_bind),
        .address = {.family = 4, .protocol = IP_PROTOCOL_TCP, .port = htons((uint16_t)first)},
        .port_count = (uint16_t)port_count,
    };
}

static void ask(struct bench *bench, int client, const struct control_bind *bind)
{
    send_with_fds(client, bind, sizeof(*bind), NULL, 0);
    serve(bench);
}

/* The error of the answer that is there, or -1: there is none. */
static int answered(int client, struct control_bound *bound)
{
    struct control_bound answer = {0};
    ssize_t size = receive(client, &answer, sizeof(answer), NULL);

    if (size < 0)
        return -1;
    assert_int_equal(size, sizeof(answer));
    assert_int_equal(answer.header.type, CONTROL_BOUND);
    assert_int_equal(answer.header.request, 7);
    if (bound)
        *bound = answer;
    return answer.header.error;
}

static int refused(struct bench *bench, int client, const struct control_bind *bind)
{
    struct channel_range asked;

    ask(bench, client, bind);
    assert_int_equal(recv(bench->keeper, &asked, sizeof(asked), MSG_DONTWAIT), -1);
    return answered(client, NULL);
}

static struct channel_range keeper_hears(struct bench *bench)
{
    struct channel_range asked = {0};

    assert_int_equal(recv(bench->keeper, &asked, sizeof(asked), MSG_DONTWAIT), sizeof(asked));
    assert_int_equal(asked.header.type, CHANNEL_RANGE);
    return asked;
}

static void keeper_says(struct bench *bench, uint32_t id, uint32_t first, uint32_t error)
{
    const struct channel_range_answer answer = {
        .header = {.type = CHANNEL_RANGE_ANSWER, .size = sizeof(answer)},
        .id = id,
        .first = first,
        .error = error,
    };

    assert_int_equal(send(bench->keeper, &answer, sizeof(answer), 0), sizeof(answer));
    core_hear_keeper(bench->core);
}

/* The first port of what the keeper is given back, or 0: nothing. */
static uint32_t released(struct bench *bench)
{
    struct channel_range_release release = {0};

    if (recv(bench->keeper, &release, sizeof(release), MSG_DONTWAIT) < 0)
        return 0;
    assert_int_equal(release.header.type, CHANNEL_RANGE_RELEASE);
    return release.first;
}

static uint32_t bind_range(struct bench *bench, int client, uint32_t port_count)
{
    struct control_bind bind = wish(0, port_count);
    struct control_bound bound = {0};

    ask(bench, client, &bind);
    keeper_says(bench, keeper_hears(bench).id, FIRST, 0);
    assert_int_equal(answered(client, &bound), 0);
    assert_int_equal(ntohs(bound.address.port), FIRST);
    return bound.binding;
}

static struct port *owner(struct bench *bench, uint16_t port)
{
    struct packet_view view = {
        .local = tuple_make((const uint8_t *)"\x7f\0\0\1", 4, IP_PROTOCOL_TCP, htons(port))};
    const struct namespace_table *names = core_names(bench->core);

    return namespace_owner(names, &view, tuple_hash(&names->bindings.key, &view.local)).port;
}

static void the_keeper_chooses_and_the_switch_enters_it(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_bind bind = wish(0, 64);
    struct control_bound bound = {0};
    struct channel_range asked;

    ask(bench, client, &bind);
    asked = keeper_hears(bench);
    assert_int_equal(asked.first, 0);
    assert_int_equal(asked.port_count, 64);
    assert_int_equal(asked.protocol, IP_PROTOCOL_TCP);
    assert_int_equal(asked.uid, getuid());
    assert_int_equal(answered(client, NULL), -1); /* not before the keeper has said it */
    keeper_says(bench, asked.id, FIRST, 0);
    assert_int_equal(answered(client, &bound), 0);
    assert_int_equal(ntohs(bound.address.port), FIRST);
    assert_null(owner(bench, FIRST - 1));
    assert_non_null(owner(bench, FIRST));
    assert_non_null(owner(bench, FIRST + 63));
    assert_null(owner(bench, FIRST + 64));
    assert_int_equal(bench->core->ports.binding_count, 1);
    close(client);
    serve(bench);
    assert_int_equal(released(bench), FIRST);
    assert_null(owner(bench, FIRST));
}

static void what_the_keeper_refuses_is_refused(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_bind bind = wish(FIRST, 64);

    ask(bench, client, &bind);
    keeper_says(bench, keeper_hears(bench).id, FIRST, EDQUOT);
    assert_int_equal(answered(client, NULL), EDQUOT);
    assert_int_equal(bench->core->ports.binding_count, 0);
    keeper_says(bench, 4711, FIRST, 0); /* nobody asked */
    assert_int_equal(bench->core->ports.binding_count, 0);
    close(client);
    serve(bench);
}

static void wrong_wishes_do_not_reach_the_keeper(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    static const struct {
        uint32_t first, port_count;
        int error;
    } cases[] = {
        {0, 0, EINVAL},      {0, 2, EINVAL},         {0, 63, EINVAL},   {0, 65, EINVAL},
        {0, 32768, EINVAL},  {0, 65535, EINVAL},     {32, 64, EINVAL},  {16385, 64, EINVAL},
        {65535, 64, EINVAL}, {24576, 16384, EINVAL}, {960, 64, EACCES}, {512, 512, EACCES},
    };
    struct control_bind bind;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bind = wish(cases[i].first, cases[i].port_count);
        if (refused(bench, client, &bind) != cases[i].error)
            fail_msg("case %zu", i);
    }
    bind = wish(0, 64);
    bind.flags = CONTROL_BIND_SHARED;
    assert_int_equal(refused(bench, client, &bind), EINVAL);
    bind.flags = CONTROL_BIND_TAKEOVER;
    assert_int_equal(refused(bench, client, &bind), EINVAL);
    bind.flags = CONTROL_BIND_RING;
    bind.ring = 1;
    assert_int_equal(refused(bench, client, &bind), EINVAL);
    bind = wish(0, 64);
    bind.members = 1;
    assert_int_equal(refused(bench, client, &bind), EINVAL);
    bind = wish(0, 64);
    bind.address.protocol = IP_PROTOCOL_SCTP;
    assert_int_equal(refused(bench, client, &bind), EPROTONOSUPPORT);
    bind = wish(0, 64);
    bind.address.bytes[0] = 10;
    assert_int_equal(refused(bench, client, &bind), EADDRNOTAVAIL);
    bind.address.bytes[0] = 224;
    assert_int_equal(refused(bench, client, &bind), EADDRNOTAVAIL);
    close(client);
    serve(bench);
}

static void a_placeholder_has_no_place_at_a_range(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_bind bind = wish(0, 64);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    send_with_fds(client, &bind, sizeof(bind), &fd, 1);
    serve(bench);
    assert_int_equal(answered(client, NULL), EINVAL);
    close(fd);
    close(client);
    serve(bench);
}

static void a_range_and_single_bindings_exclude_each_other(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench), other = client_with_port(bench);
    struct control_address address;
    int fd = placeholder(&address);
    struct control_bind bind;
    uint32_t block = ntohs(address.port) & ~63u;

    assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
    bind = wish(block, 64);
    bind.address.protocol = IP_PROTOCOL_UDP;
    ask(bench, other, &bind);
    keeper_says(bench, keeper_hears(bench).id, block, 0); /* who could not know */
    assert_int_equal(answered(other, NULL), EADDRINUSE);
    assert_int_equal(released(bench), block);

    close(client);
    serve(bench);
    ask(bench, other, &bind);
    keeper_says(bench, keeper_hears(bench).id, block, 0);
    assert_int_equal(answered(other, NULL), 0);
    client = client_with_port(bench);
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EADDRINUSE);
    close(fd);
    close(client);
    close(other);
    serve(bench);
}

static void who_has_gone_before_the_answer_leaves_nothing(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_bind bind = wish(0, 64);
    uint32_t id;

    ask(bench, client, &bind);
    id = keeper_hears(bench).id;
    close(client);
    serve(bench);
    client = client_with_port(bench); /* in the same slot */
    keeper_says(bench, id, FIRST, 0);
    assert_int_equal(released(bench), FIRST);
    assert_int_equal(answered(client, NULL), -1);
    assert_int_equal(bench->core->ports.binding_count, 0);
    close(client);
    serve(bench);
}

static void a_user_waits_for_so_many_answers_and_no_more(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_bind bind = wish(0, 64);

    for (uint32_t i = 0; i < RANGE_WAITS_PER_UID; i++) {
        ask(bench, client, &bind);
        assert_int_equal(answered(client, NULL), -1);
        keeper_hears(bench);
    }
    assert_int_equal(refused(bench, client, &bind), EBUSY);
    close(client);
    serve(bench);
}

static void nobody_connects_to_a_range_or_drains_it(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    uint32_t number = bind_range(bench, client, 64);
    struct control_drain drain = {.header = HEADER(CONTROL_DRAIN, drain), .binding = number};
    struct {
        struct control_connect head;
        struct control_flow flow;
    } connect = {
        .head = {.header = HEADER(CONTROL_CONNECT, connect), .binding = number, .count = 1},
        .flow = {.local = {127, 0, 0, 1}, .remote = {10, 0, 0, 9}, .remote_port = 1}};
    struct control_drained drained = {0};
    struct control_connected connected = {0};

    send_with_fds(client, &drain, sizeof(drain), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &drained, sizeof(drained), NULL), sizeof(drained));
    assert_int_equal(drained.header.error, EOPNOTSUPP);
    send_with_fds(client, &connect, sizeof(connect), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &connected, sizeof(connected), NULL), sizeof(connected));
    assert_int_equal(connected.header.error, EOPNOTSUPP);
    close(client);
    serve(bench);
}

static void another_client_cannot_give_it_back(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench), other = client_with_port(bench);
    struct control_unbind unbind = {.header = HEADER(CONTROL_UNBIND, unbind),
                                    .binding = bind_range(bench, client, 64)};
    struct control_unbound unbound = {0};

    send_with_fds(other, &unbind, sizeof(unbind), NULL, 0);
    serve(bench);
    assert_int_equal(receive(other, &unbound, sizeof(unbound), NULL), sizeof(unbound));
    assert_int_equal(unbound.header.error, ENOENT);
    assert_non_null(owner(bench, FIRST));
    send_with_fds(client, &unbind, sizeof(unbind), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &unbound, sizeof(unbound), NULL), sizeof(unbound));
    assert_int_equal(unbound.header.error, 0);
    assert_null(owner(bench, FIRST));
    assert_int_equal(released(bench), FIRST);
    close(client);
    close(other);
    serve(bench);
}

/* The channel takes no more; the housekeeping says it later. */
static void a_keeper_that_does_not_read_is_told_later(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct channel_range filler = {.header = {.type = CHANNEL_RANGE, .size = sizeof(filler)}};
    uint32_t fillers = 0;

    bind_range(bench, client, 4096);
    while (send(bench->core->channel_fd, &filler, sizeof(filler), MSG_DONTWAIT) > 0)
        fillers++;
    close(client);
    serve(bench);
    assert_int_equal(bench->core->ranges.leaving_count, 1);
    range_housekeep(bench->core);
    assert_int_equal(bench->core->ranges.leaving_count, 1);
    while (fillers--)
        recv(bench->keeper, &filler, sizeof(filler), MSG_DONTWAIT);
    range_housekeep(bench->core);
    assert_int_equal(bench->core->ranges.leaving_count, 0);
    assert_int_equal(released(bench), FIRST);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, control_bench_set_up, control_bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_keeper_chooses_and_the_switch_enters_it),
        TEST(what_the_keeper_refuses_is_refused),
        TEST(wrong_wishes_do_not_reach_the_keeper),
        TEST(a_placeholder_has_no_place_at_a_range),
        TEST(a_range_and_single_bindings_exclude_each_other),
        TEST(who_has_gone_before_the_answer_leaves_nothing),
        TEST(a_user_waits_for_so_many_answers_and_no_more),
        TEST(nobody_connects_to_a_range_or_drains_it),
        TEST(another_client_cannot_give_it_back),
        TEST(a_keeper_that_does_not_read_is_told_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
