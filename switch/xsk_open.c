/* SPDX-License-Identifier: BSD-2-Clause */
/* xsk_open.h: socket, packet memory, rings, bind, with every fall-back that a kernel or a driver
 * may make necessary. */
#include "xsk_open.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "huge_map.h"
#include "log.h"

/* Linux 5.11, asm-generic/socket.h */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

#define XSK_BUSY_POLL_US 20

#define UMEM_SIZE ((size_t)XSK_CHUNK_SIZE * XSK_CHUNK_COUNT)

static int open_socket(const char *device)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd < 0 && errno == EAFNOSUPPORT)
        log_error("%s: this kernel has no AF_XDP sockets: it needs CONFIG_XDP_SOCKETS=y, as Linux "
                  "5.11 and later of all distributions have",
                  device);
    else if (fd < 0)
        log_error("%s: cannot open an AF_XDP socket: %s", device, strerror(errno));
    return fd;
}

bool xsk_kernel_has_afxdp(const char *device)
{
    int fd = open_socket(device);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool xsk_kernel_has_multi_buffer(void)
{
    /* The kernel looks at the flags first and then for the device, which cannot exist. */
    struct sockaddr_xdp nowhere = {
        .sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_SG, .sxdp_ifindex = INT_MAX};
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    bool has;

    if (fd < 0)
        return false;
    has = bind(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) < 0 && errno == ENODEV;
    close(fd);
    return has;
}

/* Memory that can neither shrink nor grow, nor lose these properties. */
static int create_umem(const char *device)
{
    int fd = memfd_create("multistack-umem", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, UMEM_SIZE) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        log_error("%s: no packet memory of %zu KiB: %s", device, UMEM_SIZE / 1024, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* struct xdp_umem_reg as of Linux 6.11; before, its last field was padding. */
struct umem_registration {
    uint64_t address, length;
    uint32_t chunk_size, headroom, flags;
    uint32_t tx_metadata_length;
};

static_assert(sizeof(struct umem_registration) == sizeof(struct xdp_umem_reg), "as the kernel's");

/* `flags`: of the bind(2) to come. Chunks are said to lie anywhere ("unaligned", Linux 5.4) where the kernel
 * copies, though they do not: then its own structure for a chunk that it fills is the one that it used last, and
 * in the cache. Otherwise each chunk has one, and all of them come round before the first again: 2 to 3 % of the
 * processor time of a short connection over a veth. Of a driver with zero-copy it would ask more. */
static int register_umem(const char *device, int fd, int umem_fd, uint16_t flags, bool *metadata)
{
    const uint32_t unaligned = flags & XDP_COPY ? XDP_UMEM_UNALIGNED_CHUNK_FLAG : 0;
    void *memory = huge_map(umem_fd, UMEM_SIZE);
    struct umem_registration umem = {.address = (uintptr_t)memory,
                                     .length = UMEM_SIZE,
                                     .chunk_size = XSK_CHUNK_SIZE,
                                     .flags = unaligned};
    int status, error;

    if (memory == MAP_FAILED) {
        log_error("%s: cannot map the packet memory: %s", device, strerror(errno));
        return -1;
    }
    huge_fill(memory, UMEM_SIZE);
    if (*metadata) {
        umem.flags |= XDP_UMEM_TX_METADATA_LEN;
        umem.tx_metadata_length = XSK_TX_METADATA_SIZE;
    }
    status = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem));
    if (status && *metadata &&
        errno == EINVAL) { /* an older kernel: the switch fills checksums in */
        *metadata = false;
        umem.flags = unaligned;
        umem.tx_metadata_length = 0;
        status = setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem));
    }
    error = errno;
    munmap(memory, UMEM_SIZE); /* the kernel has pinned the pages */
    if (status)
        log_error("%s: cannot register %zu KiB of packet memory: %s%s", device, UMEM_SIZE / 1024,
                  strerror(error),
                  error == ENOBUFS ? "; CAP_IPC_LOCK is missing and RLIMIT_MEMLOCK too low" : "");
    return status;
}

bool xsk_kernel_has_tx_metadata(void)
{
    const size_t size = 2 * XSK_CHUNK_SIZE;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct umem_registration umem = {.address = (uintptr_t)memory,
                                     .length = size,
                                     .chunk_size = XSK_CHUNK_SIZE,
                                     .flags = XDP_UMEM_TX_METADATA_LEN,
                                     .tx_metadata_length = XSK_TX_METADATA_SIZE};
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && memory != MAP_FAILED &&
               !setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem));

    if (fd >= 0)
        close(fd);
    if (memory != MAP_FAILED)
        munmap(memory, size);
    return has;
}

static int size_ring(const char *device, int fd, int option, uint32_t entries)
{
    int number = (int)entries;

    if (!setsockopt(fd, SOL_XDP, option, &number, sizeof(number)))
        return 0;
    log_error("%s: cannot size a ring of %u entries: %s", device, entries, strerror(errno));
    return -1;
}

struct ring_kind {
    int option; /* of setsockopt() */
    uint32_t entries;
    size_t entry_size;
    off_t page; /* of mmap() */
};

static const struct ring_kind kinds[XSK_RINGS] = {
    {XDP_RX_RING, XSK_RING_RX, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING},
    {XDP_TX_RING, XSK_RING_TX, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING},
    {XDP_UMEM_FILL_RING, XSK_RING_FILL, sizeof(uint64_t), (off_t)XDP_UMEM_PGOFF_FILL_RING},
    {XDP_UMEM_COMPLETION_RING, XSK_RING_COMPLETION, sizeof(uint64_t),
     (off_t)XDP_UMEM_PGOFF_COMPLETION_RING},
};

static int map_ring(const char *device, int fd, const struct ring_kind *kind,
                    const struct xdp_ring_offset *offset, struct xsk_mapping *mapping,
                    struct channel_xsk_ring *ring)
{
    size_t length = offset->desc + kind->entries * kind->entry_size;
    void *address =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, kind->page);

    if (address == MAP_FAILED) {
        log_error("%s: cannot map a ring of %u entries: %s", device, kind->entries,
                  strerror(errno));
        return -1;
    }
    *mapping = (struct xsk_mapping){address, length};
    *ring = (struct channel_xsk_ring){.mapped = (uintptr_t)address,
                                      .producer = offset->producer,
                                      .consumer = offset->consumer,
                                      .desc = offset->desc,
                                      .flags = offset->flags,
                                      .entries = kind->entries};
    return 0;
}

static int make_rings(const char *device, struct xsk *xsk)
{
    struct xdp_mmap_offsets offsets;
    const struct xdp_ring_offset *places[XSK_RINGS] = {&offsets.rx, &offsets.tx, &offsets.fr,
                                                       &offsets.cr};
    struct channel_xsk_ring *rings[XSK_RINGS] = {&xsk->message.rx, &xsk->message.tx,
                                                 &xsk->message.fill, &xsk->message.completion};
    socklen_t size = sizeof(offsets);

    if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) ||
        size != sizeof(offsets)) {
        log_error("%s: the kernel does not tell where the rings are; it needs Linux 5.4 or later",
                  device);
        return -1;
    }
    for (size_t i = 0; i < XSK_RINGS; i++) {
        if (size_ring(device, xsk->fd, kinds[i].option, kinds[i].entries) ||
            map_ring(device, xsk->fd, &kinds[i], places[i], &xsk->rings[i], rings[i]))
            return -1;
    }
    return 0;
}

static void describe(const struct xsk_request *request, struct xsk *xsk)
{
    struct xdp_options options = {0};
    socklen_t size = sizeof(options);
    struct channel_queue *message = &xsk->message;

    if (!getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &options, &size))
        xsk->zero_copy = options.flags & XDP_OPTIONS_ZEROCOPY;
    message->header =
        (struct channel_header){.type = CHANNEL_QUEUE, .size = sizeof(struct channel_queue)};
    message->queue = request->queue;
    message->chunk_size = XSK_CHUNK_SIZE;
    message->chunk_count = XSK_CHUNK_COUNT;
    message->umem_size = UMEM_SIZE;
    message->need_wakeup = xsk->need_wakeup;
    message->multi_buffer = xsk->multi_buffer;
    message->zero_copy = xsk->zero_copy;
    message->busy_poll = xsk->busy_poll;
    message->metadata = xsk->metadata ? XSK_TX_METADATA_SIZE : 0;
}

/* A socket that was just closed gives its queue free from a work item of the kernel's, later: EBUSY
 * until then. It is also what another program's socket on the queue says, hence the limit. */
static int bind_patiently(int fd, const struct xsk_request *request, uint16_t flags)
{
    struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                   .sxdp_flags = flags,
                                   .sxdp_ifindex = request->ifindex,
                                   .sxdp_queue_id = request->queue};
    struct timespec pause = {.tv_nsec = XSK_BUSY_INTERVAL_MS * 1000000L};

    for (int waited = 0;; waited += XSK_BUSY_INTERVAL_MS) {
        if (!bind(fd, (struct sockaddr *)&address, sizeof(address)))
            return 0;
        if (errno != EBUSY || waited >= XSK_BUSY_TIMEOUT_MS)
            return -errno;
        nanosleep(&pause, NULL);
    }
}

/* Frames are then taken off the NIC within our own calls, on our own processor, instead of in softirqs
 * (Documentation/networking/napi.rst): Linux 5.11. The time only has to be there, since AF_XDP never waits
 * in it. The budget may be raised by CAP_NET_ADMIN alone. 0 or a negative errno. */
static int prefer_busy_poll(int fd, uint32_t budget)
{
    int yes = 1, time_us = XSK_BUSY_POLL_US, packets = (int)budget;

    if (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &yes, sizeof(yes)) ||
        setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &time_us, sizeof(time_us)) ||
        setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &packets, sizeof(packets)))
        return -errno;
    return 0;
}

int xsk_try_busy_poll(uint32_t budget)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), status;

    if (fd < 0)
        return -errno;
    status = prefer_busy_poll(fd, budget);
    close(fd);
    return status;
}

/* One attempt, with a socket of its own: a refused bind() leaves traces of its flags behind.
 * Returns 0, a negative errno of bind(), or 1 after it has logged why nothing can work. */
static int try_flags(const struct xsk_request *request, uint16_t flags, struct xsk *xsk)
{
    int status = 1;

    *xsk = (struct xsk){.fd = -1, .umem_fd = -1, .large_fd = -1, .flags = flags};
    /* With zero-copy it is the driver that would have to know them, and few do. */
    xsk->metadata = request->metadata && (flags & XDP_COPY);
    xsk->fd = open_socket(request->device);
    if (xsk->fd < 0)
        return 1;
    xsk->umem_fd = create_umem(request->device);
    if (xsk->umem_fd < 0 ||
        register_umem(request->device, xsk->fd, xsk->umem_fd, flags, &xsk->metadata) ||
        make_rings(request->device, xsk))
        goto failed;
    status = bind_patiently(xsk->fd, request, flags);
    if (status)
        goto failed;
    xsk->multi_buffer = flags & XDP_USE_SG;
    xsk->need_wakeup = flags & XDP_USE_NEED_WAKEUP;
    if (request->busy_poll_budget)
        xsk->busy_poll = !prefer_busy_poll(xsk->fd, request->busy_poll_budget);
    describe(request, xsk);
    return 0;

failed:
    xsk_close(xsk);
    return status;
}

static void report_bind_failure(const struct xsk_request *request, int error)
{
    const char *device = request->device;

    if (error == EBUSY)
        log_error("%s: another program's AF_XDP socket has queue %u; end that program, or take "
                  "fewer queues with queues=N",
                  device, request->queue);
    else if (request->copy == COPY_ZEROCOPY)
        log_error("%s: no zero-copy on queue %u: %s; the driver may lack it, mode=auto takes what "
                  "there is",
                  device, request->queue, strerror(error));
    else
        log_error("%s: cannot bind an AF_XDP socket to queue %u: %s", device, request->queue,
                  strerror(error));
}

/* Best first. The last bits go first: need-wakeup is Linux 5.4, multi-buffer 6.6. */
static const uint16_t flag_choices[] = {
    XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP | XDP_USE_SG,
    XDP_ZEROCOPY | XDP_USE_NEED_WAKEUP,
    XDP_COPY | XDP_USE_NEED_WAKEUP | XDP_USE_SG,
    XDP_COPY | XDP_USE_NEED_WAKEUP,
    XDP_COPY,
};

static bool flags_fit(const struct xsk_request *request, uint16_t flags)
{
    if (flags & XDP_ZEROCOPY && (request->copy == COPY_COPY || !request->native))
        return false;
    return !(flags & XDP_COPY && request->copy == COPY_ZEROCOPY);
}

int xsk_open(const struct xsk_request *request, struct xsk *xsk)
{
    int status = -EOPNOTSUPP;

    if (request->flags) {
        status = try_flags(request, request->flags, xsk);
    } else {
        for (size_t i = 0; i < sizeof(flag_choices) / sizeof(flag_choices[0]); i++) {
            if (!flags_fit(request, flag_choices[i]))
                continue;
            status = try_flags(request, flag_choices[i], xsk);
            if (status >= 0 || status == -EBUSY)
                break;
            log_debug("%s: queue %u refuses flags %#x: %s", request->device, request->queue,
                      flag_choices[i], strerror(-status));
        }
    }
    if (status < 0)
        report_bind_failure(request, -status);
    return status ? -1 : 0;
}

int xsk_open_large(const char *device, uint32_t ifindex)
{
    /* Protocol 0: it receives nothing. Without PACKET_QDISC_BYPASS, which would drop whatever the
     * device cannot cut by itself. */
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)ifindex};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    int one = 1, size = XSK_LARGE_BUFFER;

    if (fd >= 0 && !setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) &&
        !setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) &&
        !bind(fd, (struct sockaddr *)&address, sizeof(address)))
        return fd;
    log_warning("%s: no packet socket for large sends: %s; the switch cuts them itself, and frames "
                "end at %d bytes",
                device, strerror(errno), XSK_CHUNK_SIZE);
    if (fd >= 0)
        close(fd);
    return -1;
}

void xsk_close(struct xsk *xsk)
{
    for (size_t i = 0; i < XSK_RINGS; i++) {
        if (xsk->rings[i].address)
            munmap(xsk->rings[i].address, xsk->rings[i].length);
        xsk->rings[i] = (struct xsk_mapping){NULL, 0};
    }
    if (xsk->fd >= 0)
        close(xsk->fd);
    if (xsk->umem_fd >= 0)
        close(xsk->umem_fd);
    if (xsk->large_fd >= 0)
        close(xsk->large_fd);
    xsk->fd = xsk->umem_fd = xsk->large_fd = -1;
}
