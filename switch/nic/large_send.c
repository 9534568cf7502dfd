/* SPDX-License-Identifier: BSD-2-Clause */
/* large_send.h */
#include "nic/large_send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "nic/vnet_header.h"
#include "stats.h"

/* Few, so that the next frame lies where the last one was and the cache still holds it: they are
 * free again as soon as sendmmsg() returns. */
#define BUFFERS 16

/* The IP packet, 14 bytes into the frame, starts a cache line. */
#define FRAME_OFFSET  (64 - 14)
#define HEADER_OFFSET (FRAME_OFFSET - sizeof(struct virtio_net_hdr))
#define BUFFER_SIZE   ((FRAME_OFFSET + LARGE_FRAME_MAX + 63) / 64 * 64)

/* Up to this length the kernel is asked to keep a frame in one piece of memory, which is 16 KiB with
 * what it adds. Of pages it takes several, looks at each while it copies, and gives each back: a
 * twentieth to a tenth of what a frame of 4 to 9 KB costs over a veth. Longer pieces may be hard to
 * find in memory that is in use. */
#define LINEAR_MAX 15872

struct large_send {
    int fd;
    uint32_t waiting; /* of `messages`, from the first on */
    uint32_t free_count;
    uint8_t *free[BUFFERS]; /* a stack */
    struct mmsghdr messages[BUFFERS];
    struct iovec pieces[BUFFERS][2]; /* of each message: in its buffer, and elsewhere */
    uint8_t *memory;
    uint64_t stuck_since_ns; /* nothing was taken since; 0: something was */
    uint64_t sent, referred, later, dropped;
};

int large_send_open(struct large_send **opened, int fd)
{
    struct large_send *large = calloc(1, sizeof(*large));
    uint8_t *memory = aligned_alloc(64, (size_t)BUFFERS * BUFFER_SIZE);

    if (!large || !memory) {
        free(large);
        free(memory);
        close(fd);
        return -ENOMEM;
    }
    large->fd = fd;
    large->memory = memory;
    for (; large->free_count < BUFFERS; large->free_count++)
        large->free[large->free_count] = memory + (size_t)large->free_count * BUFFER_SIZE;
    *opened = large;
    return 0;
}

void large_send_close(struct large_send *large)
{
    if (!large)
        return;
    close(large->fd);
    free(large->memory);
    free(large);
}

uint8_t *large_send_reserve(struct large_send *large)
{
    return large->free_count ? large->free[large->free_count - 1] + FRAME_OFFSET : NULL;
}

/* The kernel takes a single piece by a shorter way. */
static void count_pieces(struct large_send *large, uint32_t at)
{
    large->messages[at].msg_hdr.msg_iovlen = large->pieces[at][1].iov_len ? 2 : 1;
}

/* A message's length comes from its pieces: the second is empty where all is in the buffer. */
static void put(struct large_send *large, uint32_t head, const uint8_t *rest, uint32_t rest_length,
                const struct nic_offload *offload)
{
    uint8_t *buffer = large->free[--large->free_count];
    struct virtio_net_hdr *header = (struct virtio_net_hdr *)(buffer + HEADER_OFFSET);
    uint32_t at = large->waiting++;

    vnet_header_write(header, offload);
    /* what a packet socket reads out of this is how much it is to keep in one piece */
    if (head + rest_length <= LINEAR_MAX)
        header->hdr_len = (uint16_t)(head + rest_length);
    large->pieces[at][0] = (struct iovec){.iov_base = buffer + HEADER_OFFSET,
                                          .iov_len = sizeof(struct virtio_net_hdr) + head};
    large->pieces[at][1] = (struct iovec){.iov_base = (void *)rest, .iov_len = rest_length};
    large->messages[at] = (struct mmsghdr){.msg_hdr = {.msg_iov = large->pieces[at]}};
    count_pieces(large, at);
}

void large_send_commit(struct large_send *large, uint32_t length, const struct nic_offload *offload)
{
    put(large, length, NULL, 0, offload);
}

void large_send_commit_referring(struct large_send *large, uint32_t head, const uint8_t *rest,
                                 uint32_t rest_length, const struct nic_offload *offload)
{
    put(large, head, rest, rest_length, offload);
    stats_add(&large->referred, 1);
}

void large_send_settle(struct large_send *large)
{
    for (uint32_t i = 0; i < large->waiting; i++) {
        struct iovec *head = &large->pieces[i][0], *rest = &large->pieces[i][1];

        if (!rest->iov_len)
            continue;
        memcpy((uint8_t *)head->iov_base + head->iov_len, rest->iov_base, rest->iov_len);
        head->iov_len += rest->iov_len;
        rest->iov_len = 0;
    }
}

uint32_t large_send_waiting(const struct large_send *large)
{
    return large->waiting;
}

/* The first `count` of those that wait are done with. */
static void finish(struct large_send *large, uint32_t count)
{
    for (uint32_t i = count; i--;)
        large->free[large->free_count++] = (uint8_t *)large->pieces[i][0].iov_base - HEADER_OFFSET;
    large->waiting -= count;
    /* each message goes on pointing to the pieces of its own number */
    memmove(large->pieces, large->pieces + count, large->waiting * sizeof(large->pieces[0]));
    for (uint32_t i = 0; i < large->waiting; i++)
        count_pieces(large, i);
}

void large_send_drop(struct large_send *large)
{
    stats_add(&large->dropped, large->waiting);
    large->stuck_since_ns = 0;
    finish(large, large->waiting);
}

/* The kernel takes nothing now: true while it may do so soon. */
static bool be_patient(struct large_send *large)
{
    struct timespec now;
    uint64_t now_ns;

    clock_gettime(CLOCK_MONOTONIC, &now);
    now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    stats_add(&large->later, 1);
    if (!large->stuck_since_ns)
        large->stuck_since_ns = now_ns;
    return now_ns - large->stuck_since_ns < LARGE_PATIENCE_NS;
}

void large_send_flush(struct large_send *large)
{
    while (large->waiting) {
        int sent = sendmmsg(large->fd, large->messages, large->waiting, MSG_DONTWAIT);

        if (sent > 0) {
            large->stuck_since_ns = 0;
            stats_add(&large->sent, (uint32_t)sent);
            finish(large, (uint32_t)sent);
        } else if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            if (!be_patient(large))
                large_send_drop(large);
            return;
        } else if (sent == 0 || errno != EINTR) {
            stats_add(&large->dropped, 1);
            finish(large, 1);
        }
    }
}

uint32_t large_send_extras(const struct large_send *large, struct nic_extra *extras)
{
    extras[0] = (struct nic_extra){"tx_large", stats_read(&large->sent)};
    extras[1] = (struct nic_extra){"tx_large_later", stats_read(&large->later)};
    extras[2] = (struct nic_extra){"tx_large_dropped", stats_read(&large->dropped)};
    extras[3] = (struct nic_extra){"tx_large_referred", stats_read(&large->referred)};
    return 4;
}
