/* SPDX-License-Identifier: BSD-2-Clause */
/* sockets_world.h */
#include "sockets_world.h"

static uint8_t *reserve(void *context, uint32_t length)
{
    struct world *world = context;

    assert_true(length <= sizeof(world->packets[0].bytes));
    assert_true(world->tail - world->head < PACKETS_MAX);
    return world->packets[world->tail % PACKETS_MAX].bytes;
}

static void commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct world *world = context;

    (void)offload;
    world->packets[world->tail++ % PACKETS_MAX].length = length;
}

static void tell(struct world *world)
{
    struct utcp_event events[16];
    unsigned count;

    while ((count = utcp_poll(world->stack, events, 16)) > 0)
        sockets_happened(world->sockets, events, count);
}

/* Everything that can happen at this time. */
static void settle(void *context)
{
    struct world *world = context;
    const struct utcp_sink sink = {reserve, commit, world};

    do {
        utcp_output(world->stack, world->now, &sink);
        if (world->head != world->tail) {
            const struct packet *packet = &world->packets[world->head++ % PACKETS_MAX];

            if (!world->cut)
                utcp_input(world->stack, world->now, packet->bytes, packet->length, 0);
        }
        tell(world);
    } while (world->head != world->tail || utcp_output_wanted(world->stack));
}

static uint64_t now(void *context)
{
    return ((struct world *)context)->now;
}

bool wait_within(void *context, uint64_t until)
{
    struct world *world = context;
    uint64_t next = utcp_deadline(world->stack);

    if (next > until)
        next = until;
    if (next > world->now + PATIENCE)
        return false;
    if (next > world->now)
        world->now = next;
    utcp_advance(world->stack, world->now);
    settle(world);
    return true;
}

static int source(void *context, const struct utcp_endpoint *remote, struct utcp_endpoint *local)
{
    struct world *world = context;

    local->family = remote->family;
    if (!local->address[0] && remote->port)
        memcpy(local->address, (uint8_t[]){10, 0, 0, 2}, 4);
    if (!local->port)
        local->port = world->next_port++;
    return 0;
}

static int take_number(void *context)
{
    return ((struct world *)context)->next_fd++;
}

static void give_number_back(void *context, int number)
{
    (void)context, (void)number;
}

int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct utcp_config config = {
        .size = sizeof(config), .secret = "sixteen letters", .send_buffer_max = 65536};
    const struct sockets_host host = {now,         settle,           wait_within, source,
                                      take_number, give_number_back, world};

    assert_non_null(world);
    world->next_fd = 3;
    world->next_port = 40000;
    world->now = 1000000;
    world->stack = utcp_new(&config, world->now);
    world->sockets = sockets_new(world->stack, &host);
    assert_non_null(world->sockets);
    *state = world;
    return 0;
}

int tear_down(void **state)
{
    struct world *world = *state;

    sockets_free(world->sockets);
    utcp_free(world->stack);
    free(world);
    return 0;
}

struct sockaddr_in server_address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a000001)};
}

int listener(struct world *world)
{
    struct sockaddr_in address = server_address(PORT);
    int fd = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(sockets_bind(world->sockets, fd, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(sockets_listen(world->sockets, fd, 8), 0);
    return fd;
}

int connect_to(struct world *world, int fd, uint16_t port)
{
    struct sockaddr_in address = server_address(port);

    return sockets_connect(world->sockets, fd, (struct sockaddr *)&address, sizeof(address));
}

struct pair connected(struct world *world)
{
    struct pair pair = {.listener = listener(world)};

    pair.client = sockets_socket(world->sockets, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect_to(world, pair.client, PORT), 0);
    pair.server = sockets_accept(world->sockets, pair.listener, NULL, NULL, 0);
    assert_true(pair.server >= 0);
    return pair;
}

ssize_t send_text(struct world *world, int fd, const char *text, int flags)
{
    const struct iovec piece = {(void *)(uintptr_t)text, strlen(text)};

    return sockets_send(world->sockets, fd, &piece, 1, flags);
}

ssize_t receive(struct world *world, int fd, char *buffer, size_t size, int flags)
{
    const struct iovec piece = {buffer, size};

    return sockets_receive(world->sockets, fd, &piece, 1, flags);
}

int set_int(struct world *world, int fd, int level, int name, int value)
{
    return sockets_setsockopt(world->sockets, fd, level, name, &value, sizeof(value));
}

int get_int(struct world *world, int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);

    assert_int_equal(sockets_getsockopt(world->sockets, fd, level, name, &value, &length), 0);
    return value;
}

short poll_one(struct world *world, int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};

    sockets_poll(world->sockets, &one, 1, 0);
    return one.revents;
}
