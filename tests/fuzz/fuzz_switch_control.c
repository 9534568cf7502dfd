/* SPDX-License-Identifier: BSD-2-Clause */
/* What a client may say on the control socket.
 *
 * An input is a conversation: for each message the size of it, how many descriptors go along, and its
 * bytes, of which the size in the header is made right unless the descriptor count says not to. When
 * the client is gone nothing of it may be left. */
#include "fuzz.h"

#include "../unit/switch_bench.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pass_fds.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define FDS_MAX     3
#define WRONG_SIZE  0x80 /* in the byte that says how many descriptors */
#define RIGHT_PLACE 0x40 /* there, too: the message names the placeholder's address or binding */
#define MESSAGE_MAX 255

/* size, descriptors; then type, size (made right), request, error */
#define MESSAGE(size, fds, type) size fds type "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
#define HELLO                    MESSAGE("\x20", "\0", "\1") "MSTK\1\0\0\0\0\0\0\0\0\0\0\0"
#define NAME                     "fuzz\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define PORT_OPEN                MESSAGE("\x40", "\0", "\3") NAME "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define BIND                                                                                       \
    MESSAGE("\x34", "\x41", "\5")                                                                  \
    ADDRESS "\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0"
#define ADDRESS "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\x13\x88\4\x11"
#define SHARE   MESSAGE("\x28", "\x40", "\x0c") ADDRESS "\0\0\0\0"
#define CONNECT(remove)                                                                            \
    MESSAGE("\x44", "\x40", "\x0e")                                                                \
    "\0\0\1\0\1\0\0\0" remove "\0\0\0\0\0\0\0"                                                     \
    "\x7f\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\1\2\0\0"
#define DRAIN   MESSAGE("\x18", "\x40", "\x10") "\0\0\1\0\0\0\0\0"
#define UNBIND  MESSAGE("\x18", "\0", "\7") "\0\0\1\0\0\0\0\0"
#define CAPTURE MESSAGE("\x20", "\0", "\x16") "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
#define GUARD(action, kind)                                                                        \
    MESSAGE("\x68", "\x40", "\x14")                                                                \
    "\0\0\1\0" action "\0\0\0" kind "\0\0\0\0\0\0\0\0\0\0\0"                                       \
    "\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4\x08\0\0"                                                 \
    "\0\xca\x9a\x3b\0\0\0\0\0\0\0\0\0\0\0\0"                                                       \
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define QUERY(subject) MESSAGE("\x20", "\0", "\x09") subject "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

const struct fuzz_example fuzz_examples[] = {
    FUZZ_TEXT(HELLO QUERY("\1") QUERY("\2") QUERY("\3") QUERY("\4") QUERY("\5")),
    FUZZ_TEXT(HELLO PORT_OPEN BIND UNBIND QUERY("\3")),
    FUZZ_TEXT(HELLO PORT_OPEN BIND BIND QUERY("\4") UNBIND UNBIND),
    FUZZ_TEXT(HELLO PORT_OPEN BIND SHARE CONNECT("\0") CONNECT("\0") CONNECT("\1") DRAIN UNBIND),
    FUZZ_TEXT(HELLO PORT_OPEN CAPTURE CAPTURE BIND QUERY("\7")),
    FUZZ_TEXT(HELLO PORT_OPEN BIND GUARD("\1", "\1") GUARD("\1", "\2") GUARD("\2", "\1")
                  QUERY("\6")),
    FUZZ_TEXT(HELLO PORT_OPEN BIND GUARD("\1", "\1") GUARD("\1", "\5") GUARD("\3", "\0") UNBIND),
    FUZZ_TEXT(HELLO HELLO),
    FUZZ_TEXT(HELLO PORT_OPEN PORT_OPEN),
    {NULL, 0},
};

static struct bench *bench;
static int placeholder_fd;
static struct control_address place; /* of the placeholder */

static void open_bench(void)
{
    const struct channel_guard guard = {.cpus = 1};
    const int no_maps[CHANNEL_GUARD_FDS] = {-1, -1, -1, -1, -1, -1};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(name), cookie_size = sizeof(uint64_t);
    struct tuple address;

    bench = bench_open();
    assert(guard_open(bench->core, &guard, no_maps) == 0);
    placeholder_fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert(bind(placeholder_fd, (struct sockaddr *)&name, size) == 0);
    assert(getsockname(placeholder_fd, (struct sockaddr *)&name, &size) == 0);
    place = (struct control_address){
        .bytes = {127, 0, 0, 1}, .port = name.sin_port, .family = 4, .protocol = IP_PROTOCOL_UDP};
    address = tuple_make(place.bytes, 4, 0, 0);
    assert(namespace_set_address(&bench->core->workers[0].names, &address, true) == 0);
    getsockopt(placeholder_fd, SOL_SOCKET, SO_NETNS_COOKIE, &bench->core->config.netns_cookie,
               &cookie_size);
}

static void serve(void)
{
    for (uint32_t i = 0; i < bench->core->control.capacity; i++) {
        const struct connection *connection = &bench->core->control.connections[i];

        if (connection->fd >= 0)
            control_serve(bench->core, i, connection->generation, 0);
    }
}

static void say(int client, uint8_t *message, uint8_t size, uint8_t how)
{
    const int fds[FDS_MAX] = {placeholder_fd, placeholder_fd, placeholder_fd};
    uint32_t count = (how & 0x3f) % (FDS_MAX + 1);

    if (!(how & WRONG_SIZE) && size >= 8)
        memcpy(message + 4, (uint32_t[]){size}, 4);
    if ((how & RIGHT_PLACE) && size >= sizeof(struct control_header) + sizeof(place)) {
        if (message[0] == CONTROL_BIND || message[0] == CONTROL_SHARE)
            memcpy(message + sizeof(struct control_header), &place, sizeof(place));
    }
    if ((how & RIGHT_PLACE) && size >= sizeof(struct control_unbind)) {
        if (message[0] == CONTROL_UNBIND || message[0] == CONTROL_CONNECT ||
            message[0] == CONTROL_DRAIN || message[0] == CONTROL_GUARD)
            memcpy(message + sizeof(struct control_header), &bench->core->ports.bindings[0].number,
                   sizeof(uint32_t));
    }
    (void)!pass_fds(client, message, size, fds, count, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void read_all(int client)
{
    static uint8_t bytes[CONTROL_MESSAGE_MAX];

    while (recv(client, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
        /* descriptors that come along are closed by the kernel: there is no room for them */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];

    if (!bench)
        open_bench();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends))
        return 0;
    control_adopt(bench->core, ends[0]);
    while (size >= 2) {
        uint8_t message[MESSAGE_MAX], length = data[0], how = data[1];

        data += 2;
        size -= 2;
        if (length > size)
            length = (uint8_t)size;
        memcpy(message, data, length);
        data += length;
        size -= length;
        say(ends[1], message, length, how);
        serve();
        read_all(ends[1]);
    }
    worker_round(bench->worker);
    close(ends[1]);
    serve();
    assert(bench->core->control.count == 0);
    assert(bench->core->ports.count == 0 && bench->core->ports.binding_count == 0);
    for (uint32_t i = 0; i < bench->core->guard.made; i++)
        assert(!bench->core->guard.rules[i].kind || !bench->core->guard.rules[i].binding);
    assert(bench->core->workers[0].names.bindings.used == 0 && bench->worker->ring_count == 0);
    return 0;
}
