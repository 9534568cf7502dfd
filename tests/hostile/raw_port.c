/* SPDX-License-Identifier: BSD-2-Clause */
/* See raw_port.h. */
#include "raw_port.h"

#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pass_fds.h"

_Noreturn void raw_fail(const char *what, int error)
{
    fprintf(stderr, "hostile_port: %s: %s\n", what, strerror(error));
    exit(1);
}

/* ── the control socket ── */

void raw_connect(struct raw_port *port, const char *control)
{
    *port = (struct raw_port){.rx_fd = -1, .tx_fd = -1, .placeholder = -1};
    port->fd = control_client__connect(control);
    if (port->fd < 0)
        raw_fail("connect", -port->fd);
}

static int await_message(struct raw_port *port, struct control_message *message, int patience_ms)
{
    int64_t deadline = control_client__now_ms() + patience_ms;
    int error;

    while ((error = control_client__receive(port->fd, message)) == -EAGAIN) {
        error = control_client__wait(port->fd, POLLIN, deadline);
        if (error)
            return error;
    }
    return error;
}

/* The answer to the last request, which must be a good one. */
static void await_answer(struct raw_port *port, struct control_message *message, uint32_t type,
                         const char *what)
{
    int error = await_message(port, message, RAW_PATIENCE_MS);

    if (error)
        raw_fail(what, -error);
    if (message->header.type != type || message->header.request != port->request)
        raw_fail(what, EPROTO);
    if (message->header.error)
        raw_fail(what, message->header.error);
}

void raw_hello(struct raw_port *port)
{
    struct control_message message;
    int error = control_client__hello(port->fd, ++port->request);

    if (error)
        raw_fail("hello", -error);
    await_answer(port, &message, CONTROL_WELCOME, "hello");
}

void raw_open(struct raw_port *port)
{
    struct control_port_open open = {
        .header = {CONTROL_PORT_OPEN, sizeof(open), ++port->request, 0},
        .name = "hostile",
        .ring_count = 1,
        .rx_size = RING_SIZE_MIN,
        .tx_size = RING_SIZE_MIN,
    };
    struct control_message message;
    uint8_t *memory;

    raw_send(port, &open, sizeof(open), NULL, 0);
    await_answer(port, &message, CONTROL_PORT_OPENED, "open");
    if (message.fd_count != 3)
        raw_fail("open: descriptors", EPROTO);
    port->number = message.port_opened.port;
    port->size = message.port_opened.region_size;
    port->rx_size = message.port_opened.rx_size;
    port->tx_size = message.port_opened.tx_size;
    memory = mmap(NULL, port->size, PROT_READ | PROT_WRITE, MAP_SHARED, message.fds[0], 0);
    if (memory == MAP_FAILED)
        raw_fail("mmap", errno);
    close(message.fds[0]);
    port->memory = memory;
    port->rx = (struct ring_control *)(memory + port_layout_rx_control(0));
    port->tx = (struct ring_control *)(memory + port_layout_tx_control(0));
    port->tx_data = memory + port_layout_tx_data(1, port->rx_size, port->tx_size, 0);
    port->rx_fd = message.fds[1];
    port->tx_fd = message.fds[2];
}

int raw_placeholder(int protocol, struct sockaddr_in *address)
{
    struct sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = 1, .filter = drop_all};
    socklen_t length = sizeof(*address);
    int type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
    int yes = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, protocol);

    if (fd < 0)
        raw_fail("socket", errno);
    /* Newer kernels let only CAP_NET_ADMIN do this on TCP; the switch does it then. */
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
        setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof(yes));
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        raw_fail("bind", errno);
    if (protocol == IPPROTO_TCP && listen(fd, 0) < 0)
        raw_fail("listen", errno);
    getsockname(fd, (struct sockaddr *)address, &length);
    return fd;
}

void raw_send_bind(struct raw_port *port, int protocol, const struct sockaddr_in *address,
                   const int *fds, unsigned fd_count)
{
    struct control_bind bind = {
        .header = {CONTROL_BIND, sizeof(bind), ++port->request, 0},
        .address = {.family = 4, .protocol = (uint8_t)protocol, .port = address->sin_port},
        .port_count = 1,
    };

    memcpy(bind.address.bytes, &address->sin_addr, 4);
    raw_send(port, &bind, sizeof(bind), fds, fd_count);
}

void raw_bind(struct raw_port *port, int protocol, const struct sockaddr_in *address)
{
    struct control_message message;

    port->bound = *address;
    port->placeholder = raw_placeholder(protocol, &port->bound);
    raw_send_bind(port, protocol, &port->bound, &port->placeholder, 1);
    await_answer(port, &message, CONTROL_BOUND, "bind");
    port->binding = message.bound.binding;
}

void raw_close(struct raw_port *port)
{
    if (port->memory)
        munmap(port->memory, port->size);
    if (port->rx_fd >= 0)
        close(port->rx_fd);
    if (port->tx_fd >= 0)
        close(port->tx_fd);
    if (port->placeholder >= 0)
        close(port->placeholder);
    close(port->fd);
}

int raw_send(struct raw_port *port, const void *bytes, size_t size, const int *fds,
             unsigned fd_count)
{
    return pass_fds(port->fd, bytes, size, fds, fd_count, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno
                                                                                           : 0;
}

/* ── what became of us ── */

/* The next message that says something about us; `type`: an answer of that type ends the wait. */
static struct raw_outcome watch(struct raw_port *port, uint32_t type)
{
    struct control_message message;

    for (;;) {
        int error = await_message(port, &message, RAW_PATIENCE_MS);

        if (error == -ETIMEDOUT)
            return (struct raw_outcome){.fate = RAW_ALIVE};
        if (error)
            return (struct raw_outcome){.fate = RAW_CLOSED};
        control_client__close_fds(&message);
        if (message.header.type == CONTROL_EVENT) {
            if (message.event.kind == CONTROL_EVENT_DETACHED)
                return (struct raw_outcome){.fate = RAW_DETACHED, .reason = message.event.value};
            continue;
        }
        if (message.header.error)
            return (struct raw_outcome){.fate = RAW_REFUSED, .error = message.header.error};
        if (type == 0 || message.header.type == type)
            return (struct raw_outcome){.fate = RAW_ALIVE};
    }
}

struct raw_outcome raw_outcome(struct raw_port *port)
{
    return watch(port, 0);
}

struct raw_outcome raw_ask(struct raw_port *port)
{
    struct control_query query = {
        .header = {CONTROL_QUERY, sizeof(query), ++port->request, 0},
        .subject = CONTROL_SUBJECT_STATUS,
    };

    raw_send(port, &query, sizeof(query), NULL, 0); /* if it fails, the reason is there to read */
    return watch(port, CONTROL_RECORDS);
}

/* Adds those of one page that are ours. */
static void add_counters(const struct raw_port *port, const struct control_message *message,
                         char *text, size_t size)
{
    const struct control_records *page = &message->records;

    for (uint32_t i = 0;
         i < page->count && page->record_size >= sizeof(struct control_counter_record); i++) {
        struct control_counter_record counter;
        size_t length = strlen(text);

        memcpy(&counter, message->bytes + sizeof(*page) + (size_t)i * page->record_size,
               sizeof(counter));
        counter.name[sizeof(counter.name) - 1] = '\0';
        if (counter.scope == CONTROL_SCOPE_PORT && counter.id == port->number && counter.value)
            snprintf(text + length, size - length, " %s=%ju", counter.name,
                     (uintmax_t)counter.value);
    }
}

void raw_counters(struct raw_port *port, char *text, size_t size)
{
    struct control_query query = {
        .header = {CONTROL_QUERY, sizeof(query), 0, 0},
        .subject = CONTROL_SUBJECT_COUNTERS,
    };
    struct control_message message;

    text[0] = '\0';
    do {
        query.header.request = ++port->request;
        if (raw_send(port, &query, sizeof(query), NULL, 0) ||
            await_message(port, &message, RAW_PATIENCE_MS))
            return;
        control_client__close_fds(&message);
        if (message.header.type != CONTROL_RECORDS || message.header.error)
            return;
        add_counters(port, &message, text, size);
        query.cursor = message.records.cursor;
    } while (query.cursor);
}

bool raw_switch_lives(const char *control)
{
    int64_t deadline = control_client__now_ms() + RAW_PATIENCE_MS;

    while (control_client__now_ms() < deadline) {
        struct raw_port port = {.fd = control_client__connect(control)};
        struct control_message message;
        bool lives;

        if (port.fd == -EAGAIN) { /* its queue is full of our own connections */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        if (port.fd < 0)
            return false;
        lives = control_client__hello(port.fd, ++port.request) == 0 &&
                await_message(&port, &message, RAW_PATIENCE_MS) == 0 &&
                control_client__check_welcome(&message) == 0 && raw_ask(&port).fate == RAW_ALIVE;
        close(port.fd);
        if (lives)
            return true;
    }
    return false;
}

/* ── the TX ring ── */

void raw_record(struct raw_port *port, const struct ring_record *record, const void *packet,
                size_t length, uint32_t advance)
{
    uint8_t *place = port->tx_data + (port->tail & (port->tx_size - 1));

    memcpy(place, record, sizeof(*record));
    if (length)
        memcpy(place + sizeof(*record), packet, length);
    port->tail += advance ? advance : ring_record_stride(record->length);
}

void raw_publish(struct raw_port *port, uint32_t tail)
{
    __atomic_store_n(&port->tx->tail, tail, __ATOMIC_RELEASE);
    eventfd_write(port->tx_fd, 1);
}

void raw_await_consumed(struct raw_port *port)
{
    int64_t deadline = control_client__now_ms() + RAW_PATIENCE_MS;

    while (__atomic_load_n(&port->tx->head, __ATOMIC_ACQUIRE) != port->tail &&
           control_client__now_ms() < deadline) {
        struct pollfd wanted = {.fd = port->fd, .events = POLLIN};

        if (poll(&wanted, 1, 1) != 0) /* it has something to say, or has closed */
            return;
    }
}
