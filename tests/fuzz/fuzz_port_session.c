/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack before a hostile switch: its answers, the descriptors that come with them, and the memory
 * that they bring. An input is a list of steps, each behind two bytes of length and one of what it is:
 * a message with some kind of descriptors, or bytes for the port's memory. Whatever comes, the port is
 * in one of its states, nothing is read outside of its memory, and no descriptor is left behind. */
#include "fuzz.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "control_protocol.h"
#include "port_internal.h"

#define STEPS_MAX   16
#define REGION_SIZE (PORT_PAGE_SIZE * 2 + 2 * RING_SIZE_MIN)

/* What comes with a message, or that it is none. */
enum step_kind { PLAIN, WITH_REGION, WITH_UNSEALED, WITH_ODD_HEADER, WITH_EVENTFDS, INTO_MEMORY };
#define STEP_KINDS 6

struct step {
    uint8_t length[2]; /* of the message; big-endian */
    uint8_t kind;
} __attribute__((packed));

#define STEP(message, what)                                                                        \
    {                                                                                              \
        {0, sizeof(message)}, (what)                                                               \
    }
#define HEADER(what, message, number)                                                              \
    {                                                                                              \
        .type = (what), .size = sizeof(message), .request = (number)                               \
    }
#define HELLO_REQUEST 1 /* the port counts on from here */

#define OPENING                                                                                    \
    struct step first;                                                                             \
    struct control_welcome welcome;                                                                \
    struct step second;                                                                            \
    struct control_port_opened opened;
#define OPENED                                                                                     \
    .first = STEP(struct control_welcome, PLAIN),                                                  \
    .welcome = {.header = HEADER(CONTROL_WELCOME, struct control_welcome, HELLO_REQUEST),          \
                .magic = CONTROL_MAGIC,                                                            \
                .version = CONTROL_VERSION},                                                       \
    .second = STEP(struct control_port_opened, WITH_REGION),                                       \
    .opened = {.header =                                                                           \
                   HEADER(CONTROL_PORT_OPENED, struct control_port_opened, HELLO_REQUEST + 1),     \
               .port = 1,                                                                          \
               .ring_count = 1,                                                                    \
               .rx_size = RING_SIZE_MIN,                                                           \
               .tx_size = RING_SIZE_MIN,                                                           \
               .region_size = REGION_SIZE,                                                         \
               .mtu = 1500}

static const struct {
    OPENING
    struct step third;
    struct control_bound bound;
    struct step fourth;
    uint32_t tail, head;
    struct ring_record record;
} __attribute__((packed)) bound = {
    OPENED,
    .third = STEP(struct control_bound, PLAIN),
    .bound = {.header = HEADER(CONTROL_BOUND, struct control_bound, HELLO_REQUEST + 2),
              .binding = 1},
    .fourth = {{0, 8 + sizeof(struct ring_record)}, INTO_MEMORY},
    .tail = 64,
    .record = {.length = 40},
};
static const struct {
    OPENING
    struct step third;
    struct control_event event;
} __attribute__((packed)) event = {
    OPENED,
    .third = STEP(struct control_event, PLAIN),
    .event = {.header = HEADER(CONTROL_EVENT, struct control_event, 0),
              .kind = CONTROL_EVENT_DETACHED,
              .value = 3},
};
static const struct {
    OPENING
    struct step third;
    struct control_connected connected;
} __attribute__((packed)) connected = {
    OPENED,
    .third = STEP(struct control_connected, WITH_EVENTFDS),
    .connected = {.header = HEADER(CONTROL_CONNECTED, struct control_connected, HELLO_REQUEST + 3),
                  .count = 1},
};

const struct fuzz_example fuzz_examples[] = {
    {&bound, sizeof(bound)}, {&event, sizeof(event)}, {&connected, sizeof(connected)}, {NULL, 0}};

/* ── the switch ── */

static int fill_region(int fd, bool odd)
{
    const struct port_region header = {
        .magic = PORT_REGION_MAGIC,
        .version = PORT_REGION_VERSION,
        .ring_count = 1,
        .rx_size = odd ? RING_SIZE_MAX : RING_SIZE_MIN,
        .tx_size = RING_SIZE_MIN,
        .rings_offset = (uint32_t)port_layout_rings_offset(),
        .data_offset = port_layout_data_offset(1),
        .region_size = port_layout_region_size(1, RING_SIZE_MIN, RING_SIZE_MIN),
    };

    assert(header.region_size == REGION_SIZE);
    assert(!ftruncate(fd, REGION_SIZE));
    assert(pwrite(fd, &header, sizeof(header), 0) == sizeof(header));
    return fd;
}

static int make_first(enum step_kind kind)
{
    int fd;

    if (kind == WITH_EVENTFDS)
        return eventfd(0, EFD_NONBLOCK);
    fd = fill_region(memfd_create("region", MFD_ALLOW_SEALING), kind == WITH_ODD_HEADER);
    if (kind != WITH_UNSEALED)
        assert(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    return fd;
}

static void say(int socket_fd, const void *message, size_t size, enum step_kind kind)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct iovec part = {.iov_base = (void *)message, .iov_len = size};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
    int fds[3] = {-1, -1, -1};

    if (kind != PLAIN) {
        struct cmsghdr *head;

        fds[0] = make_first(kind);
        fds[1] = eventfd(0, EFD_NONBLOCK);
        fds[2] = eventfd(0, EFD_NONBLOCK);
        whole.msg_control = control;
        whole.msg_controllen = sizeof(control);
        head = CMSG_FIRSTHDR(&whole);
        *head = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fds))};
        memcpy(CMSG_DATA(head), fds, sizeof(fds));
    }
    assert(sendmsg(socket_fd, &whole, MSG_NOSIGNAL) == (ssize_t)size || errno == EPIPE);
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* What the port says is of no interest, and closed. */
static void hear(int socket_fd)
{
    char bytes[CONTROL_MESSAGE_MAX];

    while (recv(socket_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
}

/* ── the port ── */

static struct ms_port port;

/* As ms_port_open() makes it, but for the connection. */
static void open_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};

    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_mutex_init(&port.lock, NULL);
    port.control_path = (char *)"/nonexistent/control.sock";
    port.ring_count = 1;
    port.timeout_ms = 1;
    port.epoll_fd = epoll_create1(0);
    port.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    port.alarm_fd = eventfd(0, EFD_NONBLOCK);
    port.news_fd = eventfd(0, EFD_NONBLOCK);
    port.session.fd = -1;
    assert(!ring__init(&port));
    ms_bind(&port, IPPROTO_UDP, (struct sockaddr *)&any, sizeof(any)); /* kept for the switch */
}

/* The memory is the switch's, too: an index of each of its sides, and the bytes of the first records. */
static void scribble(const uint8_t *data, size_t size)
{
    struct region *region = port.region;
    struct ring_control *rx, *tx;
    uint32_t indices[2] = {0};

    if (!region || size < sizeof(indices))
        return;
    memcpy(indices, data, sizeof(indices));
    rx = (struct ring_control *)(region->memory + port_layout_rx_control(0));
    tx = (struct ring_control *)(region->memory + port_layout_tx_control(0));
    rx->tail = indices[0];
    tx->head = indices[1];
    data += sizeof(indices);
    size -= sizeof(indices);
    if (size > RING_SIZE_MIN)
        size = RING_SIZE_MIN;
    memcpy(region->memory + port_layout_data_offset(1), data, size);
}

static void use_rings(void)
{
    struct ms_packet packets[8];
    volatile uint8_t sum = 0;
    uint8_t *place;
    unsigned count = ms_receive(&port, 0, packets, 8);

    assert(count <= 8);
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *bytes = packets[i].data;

        assert(packets[i].length <= RING_SIZE_MIN);
        for (uint32_t at = 0; at < packets[i].length; at++)
            sum = (uint8_t)(sum + bytes[at]);
    }
    ms_receive_done(&port, 0);
    place = ms_reserve(&port, 0, 1000);
    if (place) {
        memset(place, 0, 1000);
        ms_commit(&port, 0, 1000, NULL);
    }
    ms_flush(&port, 0);
    session__alarm_handler(&port);
}

static unsigned descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void run_steps(int switch_fd, const uint8_t *data, size_t size)
{
    for (unsigned i = 0; i < STEPS_MAX && size > sizeof(struct step); i++) {
        size_t length = (size_t)(data[0] << 8 | data[1]);
        enum step_kind kind = data[2] % STEP_KINDS;

        data += sizeof(struct step);
        size -= sizeof(struct step);
        if (length > size)
            length = size;
        if (kind == INTO_MEMORY)
            scribble(data, length);
        else if (length)
            say(switch_fd, data, length, kind);
        if (port.session.state != SESSION_AWAY)
            session__control_handler(&port);
        hear(switch_fd);
        use_rings();
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned descriptors_before, run;
    int ends[2];

    if (!port.control_path)
        open_port();
    assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends));
    port.session.fd = ends[0];
    port.session.state = SESSION_HELLO;
    port.session.request = HELLO_REQUEST;
    run_steps(ends[1], data, size);
    close(ends[1]);
    while (port.session.state != SESSION_AWAY)
        session__control_handler(&port);
    use_rings(); /* lets go of the memory */
    assert(port.session.fd == -1 && !port.region);
    if (run++ % 64 == 1) {
        unsigned now = descriptors();

        assert(!descriptors_before || now == descriptors_before);
        descriptors_before = now;
    }
    return 0;
}
