/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_switch.h. */
#include "fake_switch.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "pass_fds.h"

/* ── descriptors and messages ── */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void send_message(struct fake_switch *fake, const void *message, size_t size, const int *fds,
                         unsigned fd_count)
{
    if (fake->connection >= 0)
        (void)!pass_fds(fake->connection, message, size, fds, fd_count, MSG_NOSIGNAL);
}

/* ── the port ── */

static void close_port(struct fake_switch *fake)
{
    for (unsigned i = 0; i < fake->ring_count; i++) {
        close_fd(&fake->rx_fds[i]);
        close_fd(&fake->tx_fds[i]);
    }
    fake->ring_count = 0;
    if (fake->memory)
        munmap(fake->memory, fake->size);
    fake->memory = NULL;
    for (unsigned i = 0; i < fake->binding_count; i++)
        close_fd(&fake->bindings[i].placeholder);
    fake->binding_count = 0;
}

static void close_connection(struct fake_switch *fake)
{
    close_port(fake);
    close_fd(&fake->connection);
}

static int make_region(struct fake_switch *fake, const struct control_port_opened *opened)
{
    struct port_region header = {
        .magic = PORT_REGION_MAGIC + (fake->manner == FAKE_WRONG_REGION_HEADER),
        .version = PORT_REGION_VERSION,
        .ring_count = opened->ring_count,
        .rx_size = opened->rx_size,
        .tx_size = opened->tx_size,
        .rings_offset = (uint32_t)port_layout_rings_offset(),
        .data_offset = port_layout_data_offset(opened->ring_count),
        .region_size = opened->region_size,
    };
    int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert(fd >= 0);
    fake->size = opened->region_size;
    assert(ftruncate(fd, (off_t)fake->size) == 0);
    fake->memory = mmap(NULL, fake->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert(fake->memory != MAP_FAILED);
    memcpy(fake->memory, &header, sizeof(header));
    if (fake->manner == FAKE_SMALL_REGION)
        assert(ftruncate(fd, PORT_PAGE_SIZE) == 0);
    if (fake->manner != FAKE_UNSEALED_REGION)
        assert(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    return fd;
}

static void make_rings(struct fake_switch *fake, const struct control_port_opened *opened)
{
    fake->ring_count = opened->ring_count;
    for (unsigned i = 0; i < fake->ring_count; i++) {
        uint8_t *memory = fake->memory;
        uint32_t rx = opened->rx_size, tx = opened->tx_size;

        fake->rx_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fake->tx_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        ring_producer_init(&fake->rx[i],
                           (struct ring_control *)(memory + port_layout_rx_control(i)),
                           memory + port_layout_rx_data(fake->ring_count, rx, tx, i), rx);
        ring_consumer_init(&fake->tx[i],
                           (struct ring_control *)(memory + port_layout_tx_control(i)),
                           memory + port_layout_tx_data(fake->ring_count, rx, tx, i), tx);
    }
}

static void send_opened(struct fake_switch *fake, struct control_port_opened *opened, int memory_fd)
{
    int fds[2 + 2 * PORT_RINGS_MAX + 1] = {memory_fd};
    unsigned count = 1, sent;

    for (unsigned i = 0; i < fake->ring_count; i++) {
        fds[count++] = fake->rx_fds[i];
        fds[count++] = fake->tx_fds[i];
    }
    sent = count;
    if (fake->manner == FAKE_NO_FDS)
        sent = 0;
    if (fake->manner == FAKE_TOO_MANY_FDS)
        fds[sent++] = memory_fd;
    if (fake->manner == FAKE_NOT_A_MEMFD)
        fds[0] = fake->rx_fds[0];
    if (fake->manner == FAKE_OTHER_RINGS)
        opened->ring_count++;
    send_message(fake, opened, sizeof(*opened), fds, sent);
}

static void on_open(struct fake_switch *fake, const struct control_port_open *open)
{
    struct control_port_opened opened = {
        .header = {CONTROL_PORT_OPENED, sizeof(opened), open->header.request, fake->open_error},
        .port = 7,
        .ring_count = open->ring_count,
        .rx_size = open->rx_size ? open->rx_size : FAKE_RING_SIZE,
        .tx_size = open->tx_size ? open->tx_size : FAKE_RING_SIZE,
        .mtu = 1500,
        .offloads = CONTROL_OFFLOAD_CHECKSUM,
    };
    struct control_bound bound = {.header = {CONTROL_BOUND, sizeof(bound), 99, 0}};
    struct control_records records = {.header = {CONTROL_RECORDS, sizeof(records), 99, 0}};
    int memory_fd;

    fake->opens++;
    fake->open = *open;
    if (fake->open_error) {
        send_message(fake, &opened, sizeof(opened), NULL, 0);
        return;
    }
    if (fake->manner == FAKE_ODD_RING_SIZE)
        opened.rx_size += 64;
    opened.region_size =
        port_layout_region_size(opened.ring_count, opened.rx_size, opened.tx_size) +
        (fake->manner == FAKE_WRONG_REGION_SIZE ? PORT_PAGE_SIZE : 0);
    memory_fd = make_region(fake, &opened);
    make_rings(fake, &opened);
    send_opened(fake, &opened, memory_fd);
    close(memory_fd);
    if (fake->manner == FAKE_UNASKED_BOUND)
        send_message(fake, &bound, sizeof(bound), NULL, 0);
    if (fake->manner == FAKE_UNASKED_RECORDS)
        send_message(fake, &records, sizeof(records), NULL, 0);
}

/* ── the conversation ── */

static void on_hello(struct fake_switch *fake, const struct control_hello *hello)
{
    struct control_welcome welcome[2] = {{
        .header = {CONTROL_WELCOME, sizeof(struct control_welcome), hello->header.request,
                   fake->welcome_error},
        .magic = CONTROL_MAGIC,
        .version = fake->version,
        .features = fake->no_guard ? 0 : CONTROL_FEATURE_GUARD,
        .instance = 1,
    }};
    struct control_port_opened opened = {
        .header = {CONTROL_PORT_OPENED, sizeof(opened), hello->header.request, 0}};

    fake->hellos++;
    switch (fake->manner) {
    case FAKE_SILENT: return;
    case FAKE_CLOSES_AFTER_HELLO: close_connection(fake); return;
    case FAKE_SHORT_WELCOME: send_message(fake, welcome, 5, NULL, 0); return;
    case FAKE_LONG_WELCOME: send_message(fake, welcome, sizeof(welcome), NULL, 0); return;
    case FAKE_WRONG_MAGIC: welcome->magic++; break;
    case FAKE_WRONG_REQUEST: welcome->header.request++; break;
    case FAKE_WRONG_ORDER: send_message(fake, &opened, sizeof(opened), NULL, 0); return;
    case FAKE_UNKNOWN_TYPE: welcome->header.type = 4711; break;
    case FAKE_NEGATIVE_ERROR: welcome->header.error = -EACCES; break;
    case FAKE_WELCOME_WITH_FD:
        send_message(fake, welcome, sizeof(*welcome), &fake->command, 1);
        return;
    default: break;
    }
    send_message(fake, welcome, sizeof(*welcome), NULL, 0);
}

static void on_bind(struct fake_switch *fake, const struct control_bind *bind, int placeholder)
{
    struct control_bound bound = {
        .header = {CONTROL_BOUND, sizeof(bound), bind->header.request, 0},
        .address = bind->address,
        .binding = ++fake->next_binding,
    };

    fake->binds++;
    if (bind->port_count > 1 && !bind->address.port)
        bound.address.port = htons(FAKE_RANGE_FIRST);
    if (fake->bind_errors) {
        fake->bind_errors--;
        bound.header.error = fake->bind_error;
        close(placeholder);
    } else {
        assert(fake->binding_count < FAKE_BINDINGS_MAX);
        fake->bindings[fake->binding_count++] =
            (struct fake_binding){bind->address, bound.binding, placeholder,     bind->flags,
                                  bind->ring,    bind->members, bind->connected, bind->port_count};
    }
    send_message(fake, &bound, sizeof(bound), NULL, 0);
}

static void on_unbind(struct fake_switch *fake, const struct control_unbind *unbind)
{
    struct control_unbound unbound = {
        .header = {CONTROL_UNBOUND, sizeof(unbound), unbind->header.request, ENOENT}};

    fake->unbinds++;
    for (unsigned i = 0; i < fake->binding_count; i++) {
        if (fake->bindings[i].number != unbind->binding)
            continue;
        close(fake->bindings[i].placeholder);
        fake->bindings[i] = fake->bindings[--fake->binding_count];
        unbound.header.error = 0;
        break;
    }
    send_message(fake, &unbound, sizeof(unbound), NULL, 0);
}

static void on_share(struct fake_switch *fake, const struct control_share *share)
{
    struct control_shared shared = {
        .header = {CONTROL_SHARED, sizeof(shared), share->header.request, fake->share_error}};
    int yes = 1;

    fake->shares++;
    for (unsigned i = 0; i < fake->binding_count && !fake->share_error; i++)
        setsockopt(fake->bindings[i].placeholder, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes));
    send_message(fake, &shared, sizeof(shared), NULL, 0);
}

static void on_drain(struct fake_switch *fake, const struct control_drain *drain)
{
    struct control_drained drained = {
        .header = {CONTROL_DRAINED, sizeof(drained), drain->header.request, fake->drain_error}};

    fake->drains++;
    send_message(fake, &drained, sizeof(drained), NULL, 0);
}

static void on_guard(struct fake_switch *fake, const struct control_guard *guard)
{
    struct control_guarded guarded = {
        .header = {CONTROL_GUARDED, sizeof(guarded), guard->header.request,
                   guard->action == CONTROL_GUARD_SET ? fake->guard_error : 0},
        .answered = fake->answered};

    fake->answered += fake->answered_more;
    assert(!fake->no_guard && fake->rule_count < FAKE_RULES_MAX);
    fake->rules[fake->rule_count++] = *guard;
    send_message(fake, &guarded, sizeof(guarded), NULL, 0);
}

static void on_connect(struct fake_switch *fake, const struct control_connect *connect)
{
    struct control_connected connected = {
        .header = {CONTROL_CONNECTED, sizeof(connected), connect->header.request, 0}};
    const struct control_flow *flows = (const struct control_flow *)(connect + 1);

    fake->connects++;
    assert(connect->count &&
           connect->header.size == sizeof(*connect) + connect->count * sizeof(struct control_flow));
    for (; connected.count < connect->count; connected.count++) {
        const struct control_flow *flow = &flows[connected.count];
        unsigned at = 0;

        while (at < fake->flow_count && memcmp(&fake->flows[at], flow, sizeof(*flow)) != 0)
            at++;
        if (connect->remove && at < fake->flow_count) {
            fake->flows[at] = fake->flows[--fake->flow_count];
        } else if (!connect->remove && at == fake->flow_count) {
            if (fake->connect_error && fake->flow_count >= fake->connect_room) {
                connected.header.error = fake->connect_error;
                break;
            }
            assert(fake->flow_count < FAKE_FLOWS_MAX);
            fake->flows[fake->flow_count++] = *flow;
        }
    }
    send_message(fake, &connected, sizeof(connected), NULL, 0);
}

static void on_query(struct fake_switch *fake, const struct control_query *query)
{
    uint8_t bytes[CONTROL_MESSAGE_MAX] = {0};
    struct control_records *page = (struct control_records *)bytes;
    uint32_t subject = query->subject, from = (uint32_t)query->cursor, size, left;

    assert(subject && subject <= CONTROL_SUBJECT_CAPTURES);
    fake->queries++;
    size = fake->answers[subject].size;
    left = fake->answers[subject].count - from;
    *page = (struct control_records){
        .header = {.type = CONTROL_RECORDS, .request = query->header.request},
        .subject = subject,
        .record_size = size + fake->later_bytes,
        .count = fake->page && left > fake->page ? fake->page : left,
    };
    page->cursor = page->count < left ? from + page->count : 0;
    page->header.size = (uint32_t)sizeof(*page) + page->count * page->record_size;
    assert(page->header.size <= sizeof(bytes));
    for (uint32_t i = 0; i < page->count; i++) {
        uint8_t *record = bytes + sizeof(*page) + (size_t)i * page->record_size;

        memcpy(record, (const uint8_t *)fake->answers[subject].records + (size_t)(from + i) * size,
               size);
        memset(record + size, 0xa5, fake->later_bytes);
    }
    send_message(fake, bytes, page->header.size, NULL, 0);
}

static void on_readable(struct fake_switch *fake)
{
    union {
        struct control_header header;
        struct control_hello hello;
        struct control_port_open open;
        struct control_bind bind;
        struct control_unbind unbind;
        struct control_query query;
        struct control_share share;
        struct control_connect connect;
        struct control_drain drain;
        struct control_guard guard;
        uint8_t bytes[CONTROL_MESSAGE_MAX];
    } message;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = &message, .iov_len = sizeof(message)};
    struct msghdr whole = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
    ssize_t size = recvmsg(fake->connection, &whole, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    int fd = -1;

    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        close_connection(fake);
        return;
    }
    if (CMSG_FIRSTHDR(&whole))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&whole)), sizeof(fd));
    assert((size_t)size == message.header.size);
    assert(fd < 0 || message.header.type == CONTROL_BIND);
    switch (message.header.type) {
    case CONTROL_HELLO: on_hello(fake, &message.hello); break;
    case CONTROL_PORT_OPEN: on_open(fake, &message.open); break;
    case CONTROL_BIND: on_bind(fake, &message.bind, fd); break;
    case CONTROL_QUERY: on_query(fake, &message.query); break;
    case CONTROL_UNBIND: on_unbind(fake, &message.unbind); break;
    case CONTROL_SHARE: on_share(fake, &message.share); break;
    case CONTROL_CONNECT: on_connect(fake, &message.connect); break;
    case CONTROL_DRAIN: on_drain(fake, &message.drain); break;
    case CONTROL_GUARD: on_guard(fake, &message.guard); break;
    default: assert(!"a message that no client sends");
    }
}

static void *serve(void *argument)
{
    struct fake_switch *fake = argument;
    uint64_t ignored;

    pthread_mutex_lock(&fake->lock);
    while (!fake->ending) {
        struct pollfd wanted[] = {
            {.fd = fake->command, .events = POLLIN},
            {.fd = fake->connection, .events = POLLIN},
            {.fd = fake->connection >= 0 ? -1 : fake->listener, .events = POLLIN}};

        pthread_mutex_unlock(&fake->lock);
        poll(wanted, 3, -1);
        pthread_mutex_lock(&fake->lock);
        if (wanted[0].revents) {
            (void)!read(fake->command, &ignored, sizeof(ignored));
            continue; /* the descriptors may be others now */
        }
        if (wanted[1].revents && fake->connection == wanted[1].fd)
            on_readable(fake);
        if (wanted[2].revents && fake->connection < 0 && fake->listener == wanted[2].fd)
            fake->connection = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    pthread_mutex_unlock(&fake->lock);
    return NULL;
}

/* ── what the test calls ── */

static void listen_again(struct fake_switch *fake)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    unlink(fake->path);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fake->path);
    fake->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    assert(listen(fake->listener, 16) == 0);
}

struct fake_switch *fake_switch_new(void)
{
    struct fake_switch *fake = calloc(1, sizeof(*fake));

    fake->connection = fake->listener = -1;
    fake->version = CONTROL_VERSION;
    fake->command = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&fake->lock, NULL);
    snprintf(fake->directory, sizeof(fake->directory), "/tmp/ms-fake-XXXXXX");
    assert(mkdtemp(fake->directory));
    snprintf(fake->path, sizeof(fake->path), "%s/control.sock", fake->directory);
    listen_again(fake);
    pthread_create(&fake->thread, NULL, serve, fake);
    return fake;
}

void fake_switch_free(struct fake_switch *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->ending = true;
    pthread_mutex_unlock(&fake->lock);
    eventfd_write(fake->command, 1);
    pthread_join(fake->thread, NULL);
    close_connection(fake);
    close_fd(&fake->listener);
    close_fd(&fake->command);
    unlink(fake->path);
    rmdir(fake->directory);
    pthread_mutex_destroy(&fake->lock);
    free(fake);
}

void fake_switch_kill(struct fake_switch *fake)
{
    pthread_mutex_lock(&fake->lock);
    close_connection(fake);
    /* Closing alone lets callers in until serve() leaves its poll(). */
    shutdown(fake->listener, SHUT_RDWR);
    close_fd(&fake->listener);
    pthread_mutex_unlock(&fake->lock);
    eventfd_write(fake->command, 1);
}

void fake_switch_start(struct fake_switch *fake)
{
    pthread_mutex_lock(&fake->lock);
    listen_again(fake);
    pthread_mutex_unlock(&fake->lock);
    eventfd_write(fake->command, 1);
}

void fake_switch_say(struct fake_switch *fake, const void *bytes, size_t size)
{
    pthread_mutex_lock(&fake->lock);
    send_message(fake, bytes, size, NULL, 0);
    pthread_mutex_unlock(&fake->lock);
}

void fake_switch_event(struct fake_switch *fake, uint32_t kind, uint32_t value)
{
    struct control_event event = {
        .header = {CONTROL_EVENT, sizeof(event), 0, 0}, .kind = kind, .value = value};

    fake_switch_say(fake, &event, sizeof(event));
}

static bool put(struct fake_switch *fake, unsigned ring, const void *packet, uint32_t length,
                uint16_t flags)
{
    struct ring_record record = {.length = length, .flags = flags};
    uint8_t *place;
    bool sane;

    if (ring >= fake->ring_count)
        return false;
    sane = ring_producer_refresh(&fake->rx[ring]);
    assert(sane);
    place = ring_producer_reserve(&fake->rx[ring], length);
    if (!place)
        return false;
    memcpy(place, packet, length);
    ring_producer_commit(&fake->rx[ring], &record);
    if (ring_producer_publish(&fake->rx[ring]))
        eventfd_write(fake->rx_fds[ring], 1);
    return true;
}

bool fake_switch_put(struct fake_switch *fake, unsigned ring, const void *packet, uint32_t length,
                     uint16_t flags)
{
    bool done;

    pthread_mutex_lock(&fake->lock);
    done = put(fake, ring, packet, length, flags);
    pthread_mutex_unlock(&fake->lock);
    return done;
}

static ssize_t take(struct fake_switch *fake, unsigned ring, void *packet, size_t room,
                    struct ring_record *record)
{
    const uint8_t *data;
    enum ring_next next;

    if (ring >= fake->ring_count)
        return 0;
    if (!ring_consumer_refresh(&fake->tx[ring]))
        return -1;
    next = ring_consumer_next(&fake->tx[ring], record, &data);
    if (next == RING_NEXT_PACKET) {
        assert(record->length <= room);
        memcpy(packet, data, record->length);
    }
    if (ring_consumer_release(&fake->tx[ring]))
        eventfd_write(fake->rx_fds[ring], 1);
    return next == RING_NEXT_PACKET ? (ssize_t)record->length : next == RING_NEXT_EMPTY ? 0 : -1;
}

ssize_t fake_switch_take(struct fake_switch *fake, unsigned ring, void *packet, size_t room,
                         struct ring_record *record)
{
    ssize_t length;

    pthread_mutex_lock(&fake->lock);
    length = take(fake, ring, packet, room, record);
    pthread_mutex_unlock(&fake->lock);
    return length;
}

bool fake_switch_sleep(struct fake_switch *fake, unsigned ring)
{
    bool asleep;

    pthread_mutex_lock(&fake->lock);
    asleep = ring < fake->ring_count && ring_consumer_sleep(&fake->tx[ring]);
    pthread_mutex_unlock(&fake->lock);
    return asleep;
}

bool fake_switch_woken(struct fake_switch *fake, unsigned ring)
{
    eventfd_t count = 0;

    pthread_mutex_lock(&fake->lock);
    if (ring < fake->ring_count)
        eventfd_read(fake->tx_fds[ring], &count);
    pthread_mutex_unlock(&fake->lock);
    return count > 0;
}

unsigned fake_switch_echo(struct fake_switch *fake)
{
    static uint8_t packet[65536];
    struct ring_record record;
    unsigned count = 0;
    ssize_t length;

    pthread_mutex_lock(&fake->lock);
    for (unsigned i = 0; i < fake->ring_count; i++) {
        while ((length = take(fake, i, packet, sizeof(packet), &record)) > 0) {
            if (!put(fake, i, packet, (uint32_t)length, 0))
                fake->lost_packets = true;
            count++;
        }
    }
    pthread_mutex_unlock(&fake->lock);
    return count;
}

unsigned fake_switch_count(struct fake_switch *fake, const unsigned *number)
{
    unsigned value;

    pthread_mutex_lock(&fake->lock);
    value = *number;
    pthread_mutex_unlock(&fake->lock);
    return value;
}
