/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket, from the client's end: order, sizes, descriptors, placeholders, limits, and
 * that nothing is left when a client goes. Placeholders are real sockets on 127.0.0.1. */
#include "control_bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suspension.h"

/* ---- the protocol */

static void another_version_is_told_ours_and_closed(void **state)
{
    struct bench *bench = *state;
    int client = connect_client(bench);
    struct control_hello hello = {
        .header = HEADER(CONTROL_HELLO, hello), .magic = CONTROL_MAGIC, .version = 99};
    struct control_welcome welcome = {0};

    send_with_fds(client, &hello, sizeof(hello), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &welcome, sizeof(welcome), NULL), sizeof(welcome));
    assert_int_equal(welcome.header.error, EPROTONOSUPPORT);
    assert_int_equal(welcome.version, CONTROL_VERSION);
    assert_true(is_closed(client));
    close(client);
}

static void what_does_not_fit_closes_the_connection(void **state)
{
    struct bench *bench = *state;
    struct control_hello hello = {
        .header = HEADER(CONTROL_HELLO, hello), .magic = CONTROL_MAGIC, .version = CONTROL_VERSION};
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query), .subject = 1};
    struct control_bind bind = {.header = HEADER(CONTROL_BIND, bind)};
    struct control_unbind unbind = {.header = HEADER(CONTROL_UNBIND, unbind)};
    struct control_welcome welcome = {.header = HEADER(CONTROL_WELCOME, welcome)};
    struct control_query unknown = {.header = {.type = 999, .size = sizeof(unknown)}};
    struct control_query with_error = {
        .header = {.type = CONTROL_QUERY, .size = sizeof(with_error), .error = 5}};
    uint8_t noise[300] = {0xa5};
    const struct {
        bool greeted;
        const void *message;
        size_t size;
        uint32_t fds;
    } wrong[] = {
        {false, &query, sizeof(query), 0},     /* before hello */
        {false, &hello, sizeof(hello) - 1, 0}, /* short */
        {false, &hello, sizeof(hello), 1},     /* with a descriptor */
        {false, noise, sizeof(noise), 0},      /* longer than any request */
        {false, noise, 3, 0},                  /* shorter than a header */
        {true, &hello, sizeof(hello), 0},      /* twice */
        {true, &welcome, sizeof(welcome), 0},  /* the switch's */
        {true, &unknown, sizeof(unknown), 0},  /* no such message */
        {true, &with_error, sizeof(with_error), 0},
        {true, &query, sizeof(query), 40},  /* many descriptors */
        {true, &bind, sizeof(bind), 0},     /* without a descriptor */
        {true, &bind, sizeof(bind), 1},     /* without a port */
        {true, &bind, sizeof(bind), 2},     /* with two */
        {true, &unbind, sizeof(unbind), 0}, /* without a port */
    };
    uint32_t before = open_descriptors();
    int fds[64];

    for (int i = 0; i < 64; i++)
        fds[i] = STDIN_FILENO;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int client = wrong[i].greeted ? greeted_client(bench) : connect_client(bench);

        send_with_fds(client, wrong[i].message, wrong[i].size, fds, wrong[i].fds);
        serve(bench);
        assert_true(is_closed(client));
        close(client);
        assert_int_equal(bench->core->control.count, 0);
        assert_int_equal(open_descriptors(), before);
    }
}

static void random_bytes_close_the_connection_and_leak_nothing(void **state)
{
    struct bench *bench = *state;
    uint32_t random = 99, before = open_descriptors();

    for (int i = 0; i < 3000; i++) {
        int client = i % 2 ? greeted_client(bench) : connect_client(bench);
        uint32_t words[64];
        struct control_header *header = (struct control_header *)words;
        size_t size;
        int fd = STDIN_FILENO;

        for (size_t w = 0; w < 64; w++)
            words[w] = random = random * 1664525 + 1013904223;
        size = (random >> 16) % sizeof(words) + 1;
        header->type = (random >> 8) % (CONTROL_CAPTURED + 3);
        header->size = (uint32_t)size;
        header->error = 0;
        send_with_fds(client, words, size, &fd, random >> 30 & 1);
        serve(bench);
        close(client);
        serve(bench);
    }
    assert_int_equal(bench->core->control.count, 0);
    assert_int_equal(bench->core->ports.count, 0);
    assert_int_equal(open_descriptors(), before);
}

static void who_does_not_say_hello_is_closed_after_a_while(void **state)
{
    struct bench *bench = *state;
    int client = connect_client(bench);

    control_housekeep(bench->core);
    assert_int_equal(bench->core->control.count, 1);
    bench->worker->now_ns += CONTROL_HELLO_NS;
    control_housekeep(bench->core);
    assert_true(is_closed(client));
    close(client);
}

static void who_does_not_read_is_cut_off(void **state)
{
    struct bench *bench = *state;
    int client = greeted_client(bench);
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query),
                                  .subject = CONTROL_SUBJECT_COUNTERS};

    for (int i = 0; i < 5000 && bench->core->control.count; i++) {
        send_with_fds(client, &query, sizeof(query), NULL, 0);
        serve(bench);
    }
    assert_int_equal(bench->core->control.count, 0);
    close(client);
}

/* ---- ports */

static void a_port_comes_with_sealed_memory_and_two_descriptors_for_each_ring(void **state)
{
    struct bench *bench = *state;
    int client = greeted_client(bench);
    uint32_t fds;
    struct control_port_opened opened = open_port(bench, client, 3, &fds);
    const struct port *port = bench->core->ports.slots[0];
    const struct port_region *region = (const struct port_region *)port->region;

    assert_int_equal(opened.header.error, 0);
    assert_int_equal(fds, 7);
    assert_int_equal(opened.ring_count, 3);
    assert_int_equal(opened.region_size,
                     port_layout_region_size(3, BENCH_RING_SIZE, BENCH_RING_SIZE));
    assert_int_equal(opened.mtu, BENCH_MTU);
    assert_int_equal(region->magic, PORT_REGION_MAGIC);
    assert_int_equal(fcntl(port->memory_fd, F_GET_SEALS),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(ftruncate(port->memory_fd, 0), -1);
    for (uint64_t i = sizeof(*region); i < port->region_size; i++) {
        if (port->region[i])
            fail_msg("byte %lu is not zero", (unsigned long)i);
    }
    close(client);
    serve(bench);
    assert_int_equal(bench->core->ports.count, 0);
}

static void wrong_wishes_are_refused_without_a_trace(void **state)
{
    struct bench *bench = *state;
    static const struct control_port_open wishes[] = {
        {.ring_count = 0},
        {.ring_count = 17},
        {.ring_count = UINT32_MAX},
        {.ring_count = 1, .rx_size = 1000},
        {.ring_count = 1, .rx_size = RING_SIZE_MIN + 64},
        {.ring_count = 1, .tx_size = RING_SIZE_MAX * 2u},
        {.ring_count = 1, .flags = 0x80},
    };
    int client = greeted_client(bench);
    uint32_t before = open_descriptors();

    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
        struct control_port_open request = wishes[i];
        struct control_port_opened opened = {0};
        uint32_t fds;

        request.header = (struct control_header)HEADER(CONTROL_PORT_OPEN, request);
        send_with_fds(client, &request, sizeof(request), NULL, 0);
        serve(bench);
        assert_int_equal(receive(client, &opened, sizeof(opened), &fds), sizeof(opened));
        assert_int_equal(opened.header.error, EINVAL);
        assert_int_equal(fds, 0);
    }
    /* too much memory in all */
    {
        struct control_port_open request = {.header = HEADER(CONTROL_PORT_OPEN, request),
                                            .ring_count = 16,
                                            .rx_size = RING_SIZE_MAX,
                                            .tx_size = RING_SIZE_MAX};
        struct control_port_opened opened = {0};

        send_with_fds(client, &request, sizeof(request), NULL, 0);
        serve(bench);
        assert_int_equal(receive(client, &opened, sizeof(opened), NULL), sizeof(opened));
        assert_int_equal(opened.header.error, ENOSPC);
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(open_port(bench, client, 1, NULL).header.error, 0); /* and it may try again */
    close(client);
    serve(bench);
}

static void a_second_port_on_a_connection_closes_it(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_port_open request = {.header = HEADER(CONTROL_PORT_OPEN, request),
                                        .ring_count = 1};

    send_with_fds(client, &request, sizeof(request), NULL, 0);
    serve(bench);
    assert_true(is_closed(client));
    assert_int_equal(bench->core->ports.count, 0);
    close(client);
}

static void a_user_may_open_so_many_ports(void **state)
{
    struct bench *bench = *state;
    int clients[8];

    bench->core->config.ports_per_uid_max = 7;
    for (int i = 0; i < 8; i++) {
        clients[i] = greeted_client(bench);
        assert_int_equal(open_port(bench, clients[i], 1, NULL).header.error, i < 7 ? 0 : ENOSPC);
    }
    close(clients[0]);
    serve(bench);
    assert_int_equal(open_port(bench, clients[7], 1, NULL).header.error, 0);
    for (int i = 1; i < 8; i++)
        close(clients[i]);
    serve(bench);
    assert_int_equal(bench->core->ports.count, 0);
    assert_int_equal(bench->core->ports.memory, 0);
}

/* A connection of another user's, where we may be one. */
static int connect_as(struct bench *bench, uid_t uid)
{
    uid_t own = geteuid();
    int client;

    assert_int_equal(own == uid ? 0 : seteuid(uid), 0);
    client = connect_client(bench);
    assert_int_equal(own == uid ? 0 : seteuid(own), 0);
    return client;
}

/* Opens connections until one is refused; returns how many were not. */
static uint32_t connect_many(struct bench *bench, uid_t uid, int *clients)
{
    uint32_t count = 0;

    for (;; count++) {
        clients[count] = connect_as(bench, uid);
        if (is_closed(clients[count])) {
            close(clients[count]);
            return count;
        }
    }
}

static void a_user_may_have_so_many_connections_and_some_places_are_roots(void **state)
{
    enum { USER = 4711, OTHER = 4712 };
    struct bench *bench = *state;
    struct control *control = &bench->core->control;
    bool root = geteuid() == 0;
    int clients[1024];
    uint32_t count;

    bench->core->config.ports_per_uid_max = 4;
    count = connect_many(bench, root ? USER : geteuid(), clients);
    assert_int_equal(count, 4 + CONTROL_SPARE_PER_UID);
    if (root) {
        count += connect_many(bench, OTHER, clients + count);
        assert_int_equal(count, 2 * (4 + CONTROL_SPARE_PER_UID));
        bench->core->config.ports_per_uid_max = 1000;
        count += connect_many(bench, OTHER, clients + count);
        assert_int_equal(count, control->capacity - CONTROL_ROOT_CONNECTIONS);
        count += connect_many(bench, 0, clients + count);
    }
    assert_int_equal(control->count, root ? control->capacity : count);
    while (count)
        close(clients[--count]);
    serve(bench);
    assert_int_equal(control->count, 0);
}

static void all_ports_of_a_user_have_one_key_and_others_another(void **state)
{
    struct bench *bench = *state;
    uint8_t keys[3][16];
    int clients[3];

    for (int i = 0; i < 3; i++) {
        struct control_port_opened opened;

        clients[i] = greeted_client(bench);
        if (i == 2)
            bench->core->control.connections[2].uid += 1;
        opened = open_port(bench, clients[i], 1, NULL);
        assert_int_equal(opened.header.error, 0);
        memcpy(keys[i], opened.user_key, sizeof(keys[i]));
    }
    assert_memory_equal(keys[0], keys[1], sizeof(keys[0]));
    assert_memory_not_equal(keys[0], keys[2], 8);
    assert_memory_not_equal(keys[0] + 8, keys[2] + 8, 8);
    assert_memory_not_equal(keys[0], keys[0] + 8, 8);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    serve(bench);
}

/* ---- bindings */

static struct port *owner(const struct namespace_table *names, const struct tuple *tuple)
{
    struct packet_view view = {.local = *tuple};

    return namespace_owner(names, &view, tuple_hash(&names->bindings.key, tuple)).port;
}

static void a_binding_is_in_force_until_it_is_undone(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_address address;
    int fd = placeholder(&address);
    struct tuple tuple = tuple_from_address(&address);
    const struct namespace_table *names = &bench->core->workers[0].names;
    struct control_bound bound = bind_address(bench, client, fd, &address);
    struct control_unbind unbind = {.header = HEADER(CONTROL_UNBIND, unbind)};
    struct control_unbound unbound = {0};
    struct sock_filter filter[4] = {{0}};
    socklen_t instructions = 4;

    assert_int_equal(bound.header.error, 0);
    assert_ptr_equal(owner(names, &tuple), bench->core->ports.slots[0]);
    /* the switch has silenced it */
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, filter, &instructions), 0);
    assert_int_equal(instructions, 1);
    assert_int_equal(filter[0].k, 0);
    unbind.binding = bound.binding + 1;
    send_with_fds(client, &unbind, sizeof(unbind), NULL, 0);
    unbind.binding = bound.binding;
    send_with_fds(client, &unbind, sizeof(unbind), NULL, 0);
    send_with_fds(client, &unbind, sizeof(unbind), NULL, 0);
    serve(bench);
    assert_int_equal(receive(client, &unbound, sizeof(unbound), NULL), sizeof(unbound));
    assert_int_equal(unbound.header.error, ENOENT);
    assert_int_equal(receive(client, &unbound, sizeof(unbound), NULL), sizeof(unbound));
    assert_int_equal(unbound.header.error, 0);
    assert_int_equal(receive(client, &unbound, sizeof(unbound), NULL), sizeof(unbound));
    assert_int_equal(unbound.header.error, ENOENT);
    assert_null(owner(names, &tuple));
    close(fd);
    close(client);
    serve(bench);
}

static void bindings_go_with_their_connection(void **state)
{
    struct bench *bench = *state;
    uint32_t before = open_descriptors();
    int client = client_with_port(bench);

    for (int i = 0; i < 100; i++) {
        struct control_address address;
        int fd = placeholder(&address);

        assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
        close(fd);
    }
    assert_int_equal(bench->core->workers[0].names.bindings.used, 100);
    close(client);
    serve(bench);
    assert_int_equal(bench->core->workers[0].names.bindings.used, 0);
    assert_int_equal(bench->core->ports.binding_count, 0);
    assert_int_equal(open_descriptors(), before);
}

static void twice_the_same_is_in_use(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench), other = client_with_port(bench);
    struct control_address address;
    int fd = placeholder(&address);

    assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EADDRINUSE);
    assert_int_equal(bind_address(bench, other, fd, &address).header.error, EADDRINUSE);
    close(fd);
    close(client);
    close(other);
    serve(bench);
}

static void a_socket_that_is_no_placeholder_is_refused(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_address address, changed;
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sock_filter pass_all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
    struct sock_fprog program = {.len = 1, .filter = &pass_all};
    int fd = placeholder(&address), yes = 1, no = 0;
    int pipes[2];

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(bind_address(bench, client, pipes[0], &address).header.error, ENOTSOCK);
    changed = address;
    changed.port ^= 1;
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    changed = address;
    changed.bytes[3] = 2;
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    changed = address;
    changed.bytes[9] = 1; /* not the notation */
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    changed = address;
    changed.protocol = IP_PROTOCOL_TCP;
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    changed.protocol = IP_PROTOCOL_SCTP;
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    changed.protocol = 253; /* no socket can stand for it */
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EPROTONOSUPPORT);
    changed = address;
    changed.family = 6;
    assert_int_equal(bind_address(bench, client, fd, &changed).header.error, EINVAL);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EADDRINUSE);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &no, sizeof(no));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EADDRINUSE);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &no, sizeof(no));
    bench->core->config.netns_cookie++;
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EXDEV);
    bench->core->config.netns_cookie--;
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes));
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EINVAL);
    close(fd);
    fd = placeholder(&address);
    assert_int_equal(connect(fd, (struct sockaddr *)&peer, sizeof(peer)), 0);
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EINVAL);
    assert_int_equal(bench->core->workers[0].names.bindings.used, 0);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
    close(client);
    serve(bench);
}

static void an_address_that_is_not_the_hosts_is_not_available(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_address address;
    int fd = placeholder(&address);
    struct tuple tuple = tuple_from_address(&address);

    namespace_set_address(&bench->core->workers[0].names, &tuple, false);
    assert_int_equal(bind_address(bench, client, fd, &address).header.error, EADDRNOTAVAIL);
    close(fd);
    close(client);
    serve(bench);
}

static struct tuple set_loopback(struct bench *bench, bool present)
{
    const uint8_t loopback[16] = {127, 0, 0, 1};
    struct tuple address = tuple_make(loopback, 4, 0, 0);

    namespace_set_address(&bench->core->workers[0].names, &address, present);
    suspension_tell(bench->core, &address);
    return address;
}

static void an_address_that_goes_is_told_once_to_each_port_there(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench), other = client_with_port(bench);
    struct control_event event = {0};
    struct control_address address;

    for (int i = 0; i < 3; i++) {
        int fd = placeholder(&address);

        assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
        close(fd);
    }
    set_loopback(bench, true); /* no news */
    set_loopback(bench, false);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.header.type, CONTROL_EVENT);
    assert_int_equal(event.kind, CONTROL_EVENT_SUSPENDED);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), -1);
    set_loopback(bench, false);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), -1);
    set_loopback(bench, true);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.kind, CONTROL_EVENT_RESTORED);
    assert_int_equal(receive(other, &event, sizeof(event), NULL), -1); /* it has nothing there */
    close(client);
    close(other);
    serve(bench);
}

static void who_does_not_read_of_addresses_is_told_the_last_of_them_later(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_event event = {0};
    struct control_address address;
    int fd = placeholder(&address);
    uint32_t events = 0, last = 0;

    assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
    close(fd);
    for (uint32_t i = 0; i < 5001; i++)
        set_loopback(bench, i % 2);
    control_housekeep(bench->core);
    assert_int_equal(bench->core->ports.count, 1); /* that is no reason to be cut off */
    for (; receive(client, &event, sizeof(event), NULL) > 0; events++) {
        assert_int_not_equal(event.kind, last);
        last = event.kind;
    }
    assert_in_range(events, 2, SUSPENSION_UNREAD_MAX / sizeof(event));
    control_housekeep(bench->core); /* the rest, now that there is room */
    while (receive(client, &event, sizeof(event), NULL) > 0)
        last = event.kind;
    assert_int_equal(last, CONTROL_EVENT_SUSPENDED);
    set_loopback(bench, true);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.kind, CONTROL_EVENT_RESTORED);
    close(client);
    serve(bench);
}

static void a_placeholder_that_lets_go_detaches_its_port(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench), other = client_with_port(bench);
    struct control_address address;
    struct control_event event = {0};
    int fd = placeholder(&address), yes = 1;

    assert_int_equal(bind_address(bench, client, fd, &address).header.error, 0);
    control_housekeep(bench->core);
    assert_int_equal(bench->core->ports.count, 2);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    control_housekeep(bench->core);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.header.type, CONTROL_EVENT);
    assert_int_equal(event.kind, CONTROL_EVENT_DETACHED);
    assert_int_equal(event.value, DETACH_PLACEHOLDER);
    assert_true(is_closed(client));
    assert_int_equal(bench->core->ports.count, 1);
    assert_int_equal(bench->core->detached[DETACH_PLACEHOLDER], 1);
    close(fd);
    close(client);
    close(other);
    serve(bench);
}

static void a_broken_ring_is_told_and_closed(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct control_event event = {0};
    struct port *port = bench->core->ports.slots[0];

    port->rings[0].tx.control->tail = 7;
    worker_round(bench->worker);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.value, DETACH_RING_INDEX);
    assert_true(is_closed(client));
    assert_int_equal(bench->core->ports.count, 0);
    close(client);
}

static void a_change_of_the_mtu_is_told(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    struct channel_link link = {
        .header = {.type = CHANNEL_LINK, .size = sizeof(link)}, .mtu = 1400, .up = 1};
    struct control_event event = {0};

    assert_int_equal(send(bench->keeper, &link, sizeof(link), 0), sizeof(link));
    core_hear_keeper(bench->core);
    assert_int_equal(receive(client, &event, sizeof(event), NULL), sizeof(event));
    assert_int_equal(event.kind, CONTROL_EVENT_MTU);
    assert_int_equal(event.value, 1400);
    close(client);
    serve(bench);
}

/* ---- queries */

static uint32_t count_records(struct bench *bench, int client, uint32_t subject, uint32_t *pages)
{
    struct control_query query = {.header = HEADER(CONTROL_QUERY, query), .subject = subject};
    uint32_t total = 0;

    *pages = 0;
    do {
        static uint8_t page[CONTROL_MESSAGE_MAX];
        const struct control_records *head = (const struct control_records *)page;
        ssize_t size;

        send_with_fds(client, &query, sizeof(query), NULL, 0);
        serve(bench);
        size = receive(client, page, sizeof(page), NULL);
        assert_true(size >= (ssize_t)sizeof(*head));
        assert_int_equal(head->header.error, 0);
        assert_int_equal(head->header.size, size);
        assert_int_equal(size, sizeof(*head) + (size_t)head->count * head->record_size);
        total += head->count;
        query.cursor = head->cursor;
        assert_true(++*pages < 1000);
    } while (query.cursor);
    return total;
}

static void lists_come_whole_over_their_pages(void **state)
{
    struct bench *bench = *state;
    int clients[20], asker = greeted_client(bench);
    uint32_t pages;

    bench->core->config.ports_max = 64;
    for (int i = 0; i < 20; i++)
        clients[i] = client_with_port(bench);
    for (int i = 0; i < 500; i++) {
        struct control_address address;
        int fd = placeholder(&address);

        assert_int_equal(bind_address(bench, clients[i % 20], fd, &address).header.error, 0);
        close(fd);
    }
    assert_int_equal(count_records(bench, asker, CONTROL_SUBJECT_STATUS, &pages), 1);
    assert_int_equal(count_records(bench, asker, CONTROL_SUBJECT_NICS, &pages), 1);
    assert_int_equal(count_records(bench, asker, CONTROL_SUBJECT_PORTS, &pages), 20);
    assert_int_equal(count_records(bench, asker, CONTROL_SUBJECT_BINDINGS, &pages), 500);
    assert_true(pages > 1);
    assert_int_equal(count_records(bench, asker, CONTROL_SUBJECT_COUNTERS, &pages),
                     (5 + DROP_REASON_COUNT) + 20 * (5 + DROP_REASON_COUNT) +
                         (2 + DETACH_REASON_COUNT) + 5 /* of its one worker */);
    assert_true(pages > 1);
    for (int i = 0; i < 20; i++)
        close(clients[i]);
    close(asker);
    serve(bench);
}

static void an_unknown_subject_and_an_odd_cursor_harm_nothing(void **state)
{
    struct bench *bench = *state;
    int client = client_with_port(bench);
    static uint8_t page[CONTROL_MESSAGE_MAX];
    const struct control_records *head = (const struct control_records *)page;

    for (uint32_t subject = 0; subject < 10; subject++) {
        static const uint64_t cursors[] = {0, 1, 77, 65536, 1ULL << 32, UINT64_MAX};

        for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
            struct control_query query = {
                .header = HEADER(CONTROL_QUERY, query), .subject = subject, .cursor = cursors[i]};

            send_with_fds(client, &query, sizeof(query), NULL, 0);
            serve(bench);
            assert_true(receive(client, page, sizeof(page), NULL) >= (ssize_t)sizeof(*head));
            assert_int_equal(head->header.error,
                             subject >= 1 && subject <= CONTROL_SUBJECT_CAPTURES ? 0 : EINVAL);
        }
    }
    close(client);
    serve(bench);
}

int main(void)
{
#define CONTROL_TEST(name)                                                                         \
    cmocka_unit_test_setup_teardown(name, control_bench_set_up, control_bench_tear_down)
    const struct CMUnitTest tests[] = {
        CONTROL_TEST(another_version_is_told_ours_and_closed),
        CONTROL_TEST(what_does_not_fit_closes_the_connection),
        CONTROL_TEST(random_bytes_close_the_connection_and_leak_nothing),
        CONTROL_TEST(who_does_not_say_hello_is_closed_after_a_while),
        CONTROL_TEST(who_does_not_read_is_cut_off),
        CONTROL_TEST(a_port_comes_with_sealed_memory_and_two_descriptors_for_each_ring),
        CONTROL_TEST(wrong_wishes_are_refused_without_a_trace),
        CONTROL_TEST(a_second_port_on_a_connection_closes_it),
        CONTROL_TEST(a_user_may_open_so_many_ports),
        CONTROL_TEST(a_user_may_have_so_many_connections_and_some_places_are_roots),
        CONTROL_TEST(all_ports_of_a_user_have_one_key_and_others_another),
        CONTROL_TEST(a_binding_is_in_force_until_it_is_undone),
        CONTROL_TEST(bindings_go_with_their_connection),
        CONTROL_TEST(twice_the_same_is_in_use),
        CONTROL_TEST(a_socket_that_is_no_placeholder_is_refused),
        CONTROL_TEST(an_address_that_is_not_the_hosts_is_not_available),
        CONTROL_TEST(an_address_that_goes_is_told_once_to_each_port_there),
        CONTROL_TEST(who_does_not_read_of_addresses_is_told_the_last_of_them_later),
        CONTROL_TEST(a_placeholder_that_lets_go_detaches_its_port),
        CONTROL_TEST(a_broken_ring_is_told_and_closed),
        CONTROL_TEST(a_change_of_the_mtu_is_told),
        CONTROL_TEST(lists_come_whole_over_their_pages),
        CONTROL_TEST(an_unknown_subject_and_an_odd_cursor_harm_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
