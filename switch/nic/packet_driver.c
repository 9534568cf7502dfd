/* SPDX-License-Identifier: BSD-2-Clause */
/* packet_driver.h
 *
 *   RX  recvmmsg(2), a batch at a time, into private buffers that hold the longest packet. The kernel
 *       hands large sends over as they are (on lo and veth) or as it has merged them (GRO): in front
 *       of each frame stands a struct virtio_net_hdr that says how it was or would be cut.
 *   TX  frames are put together in private buffers and leave by sendmmsg(2), with such a header: the
 *       kernel or the device cuts at segment_size and fills in the checksum.
 *
 * The host's stack sees every frame too; its placeholders swallow what is claimed (design.md, D2).
 *
 * A look at the socket costs a system call, unlike at a ring. So it is looked at only when epoll has
 * said that there is something: a device that is quiet costs the others nothing.
 *
 * Of the header only how to cut is believed, and that only within bounds: where the checksum starts
 * is not, since a stack finds that by itself (hostile.md, P12). */
#include "nic/packet_driver.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nic/vnet_header.h"
#include "stats.h"
#include "wire.h"

#define FRAME_MAX     (ETHER_HEADER_SIZE + 65535) /* the longest IP packet */
#define BUFFER_COUNT  NIC_BATCH                   /* in each direction */
#define BUFFER_SIZE   (66 * 1024)
#define HEADER_OFFSET 8  /* of the header in a buffer: the IP header is then aligned */
#define SEGMENT_MIN   48 /* bytes; no Linux sends smaller ones (TCP_MIN_SND_MSS) */
#define FRAME_OFFSET  (HEADER_OFFSET + PACKET_HEADER_SIZE)

static_assert(sizeof(struct virtio_net_hdr) == PACKET_HEADER_SIZE,
              "what PACKET_VNET_HDR puts there");
static_assert(FRAME_OFFSET + FRAME_MAX <= BUFFER_SIZE, "the longest frame fits");
static_assert((FRAME_OFFSET + ETHER_HEADER_SIZE) % 4 == 0, "the IP header is aligned");

struct packet_socket {
    int fd;
    uint8_t *rx, *tx; /* BUFFER_COUNT buffers each */
    struct iovec rx_pieces[BUFFER_COUNT], tx_pieces[BUFFER_COUNT];
    struct mmsghdr rx_messages[BUFFER_COUNT], tx_messages[BUFFER_COUNT];
    uint32_t tx_head, tx_tail; /* sent, committed: they only grow */
    uint64_t rx_lost;          /* for which the kernel had no room; of whoever asks for counters */
    uint64_t rx_bad;           /* that no stack could be given */
    uint64_t tx_refused;       /* that the kernel will never take */
};

bool packet_take_frame(const uint8_t *bytes, uint32_t length, struct nic_frame *frame)
{
    struct virtio_net_hdr header;

    if (length < PACKET_HEADER_SIZE + ETHER_HEADER_SIZE)
        return false;
    memcpy(&header, bytes, sizeof(header));
    *frame = (struct nic_frame){
        .data = bytes + PACKET_HEADER_SIZE,
        .head_length = length - PACKET_HEADER_SIZE,
        .length = length - PACKET_HEADER_SIZE,
        .checksum_partial = header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
    };
    switch (header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE: return true;
    case VIRTIO_NET_HDR_GSO_TCPV4:
    case VIRTIO_NET_HDR_GSO_TCPV6:
        if (header.gso_size < SEGMENT_MIN)
            return false;
        frame->segment_size = header.gso_size;
        return true;
    }
    return false; /* several datagrams in one, which only the kernel can take apart */
}

static uint32_t packet_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct packet_socket *packet = queue->driver;
    uint32_t count = 0;
    int got;

    if (!queue->readable)
        return 0;
    if (max > BUFFER_COUNT)
        max = BUFFER_COUNT;
    got = recvmmsg(packet->fd, packet->rx_messages, max, MSG_DONTWAIT, NULL);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        stats_add(&packet->rx_bad,
                  1); /* that frame is gone: the kernel cannot describe how it was cut */
    queue->readable = got == (int)max; /* or epoll says so again */
    for (int i = 0; i < got; i++) {
        const struct mmsghdr *message = &packet->rx_messages[i];
        const uint8_t *bytes = packet->rx_pieces[i].iov_base;

        if ((message->msg_hdr.msg_flags & MSG_TRUNC) ||
            !packet_take_frame(bytes, message->msg_len, &frames[count])) {
            stats_add(&packet->rx_bad, 1);
            continue;
        }
        stats_add(&queue->counters.rx_packets, 1);
        stats_add(&queue->counters.rx_bytes, frames[count].length);
        count++;
    }
    return count;
}

/* The buffers are ours until the next receive(). */
static void packet_release(struct nic_queue *queue)
{
    (void)queue;
}

static uint32_t packet_room(struct nic_queue *queue)
{
    const struct packet_socket *packet = queue->driver;

    return BUFFER_COUNT - (packet->tx_tail - packet->tx_head);
}

static uint8_t *packet_reserve(struct nic_queue *queue, uint32_t length)
{
    struct packet_socket *packet = queue->driver;

    if (length > FRAME_MAX)
        return NULL;
    if (!packet_room(queue))
        queue->ops->flush(queue);
    if (!packet_room(queue))
        return NULL;
    return packet->tx + (size_t)(packet->tx_tail % BUFFER_COUNT) * BUFFER_SIZE + FRAME_OFFSET;
}

static void packet_commit(struct nic_queue *queue, uint32_t length,
                          const struct nic_offload *offload)
{
    struct packet_socket *packet = queue->driver;
    uint32_t at = packet->tx_tail++ % BUFFER_COUNT;

    vnet_header_write(packet->tx_pieces[at].iov_base, offload);
    packet->tx_pieces[at].iov_len = PACKET_HEADER_SIZE + length;
    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
}

/* What the kernel does not take now (its memory for us is full, the device's queue is) stays, in
 * order. What it will never take (the device is down or away, its MTU has shrunk) is dropped: TCP
 * sends it again. */
static void packet_flush(struct nic_queue *queue)
{
    struct packet_socket *packet = queue->driver;

    while (packet->tx_head != packet->tx_tail) {
        uint32_t at = packet->tx_head % BUFFER_COUNT;
        uint32_t run = packet->tx_tail - packet->tx_head;
        int sent;

        if (run > BUFFER_COUNT - at)
            run = BUFFER_COUNT - at;
        sent = sendmmsg(packet->fd, &packet->tx_messages[at], run, MSG_DONTWAIT);
        if (sent > 0) {
            packet->tx_head += (uint32_t)sent;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            break;
        } else if (errno != EINTR) {
            stats_add(&packet->tx_refused, 1);
            packet->tx_head++;
        }
    }
    queue->tx_pending = packet->tx_head != packet->tx_tail;
}

static int packet_fd(const struct nic_queue *queue)
{
    return ((const struct packet_socket *)queue->driver)->fd;
}

static bool packet_sleep(struct nic_queue *queue)
{
    return !queue->readable; /* what comes later makes the descriptor readable */
}

/* A device that goes down says so once, as an error of the socket. */
static bool packet_heal(struct nic_queue *queue)
{
    const struct packet_socket *packet = queue->driver;
    int error = 0;
    socklen_t size = sizeof(error);

    return !getsockopt(packet->fd, SOL_SOCKET, SO_ERROR, &error, &size) && error;
}

static void packet_refresh(struct nic_queue *queue)
{
    struct packet_socket *packet = queue->driver;
    struct tpacket_stats statistics = {0}; /* since the last look */
    socklen_t size = sizeof(statistics);

    if (!getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size))
        packet->rx_lost += statistics.tp_drops;
    queue->counters.rx_dropped = packet->rx_lost + stats_read(&packet->rx_bad);
}

static uint32_t packet_extras(const struct nic_queue *queue, struct nic_extra *extras)
{
    const struct packet_socket *packet = queue->driver;

    extras[0] = (struct nic_extra){"packet_rx_unusable", stats_read(&packet->rx_bad)};
    extras[1] = (struct nic_extra){"packet_tx_refused", stats_read(&packet->tx_refused)};
    return 2;
}

static void packet_close(struct nic_queue *queue)
{
    struct packet_socket *packet = queue->driver;

    if (!packet)
        return;
    close(packet->fd);
    free(packet->rx);
    free(packet->tx);
    free(packet);
    queue->driver = NULL;
}

const struct nic_ops packet_ops = {
    .name = "packet",
    .receive = packet_receive,
    .release = packet_release,
    .room = packet_room,
    .reserve = packet_reserve,
    .commit = packet_commit,
    .flush = packet_flush,
    .fd = packet_fd,
    .sleep = packet_sleep,
    .heal = packet_heal,
    .refresh = packet_refresh,
    .extras = packet_extras,
    .close = packet_close,
};

static void point(struct mmsghdr *messages, struct iovec *pieces, uint8_t *buffers)
{
    for (uint32_t i = 0; i < BUFFER_COUNT; i++) {
        pieces[i] = (struct iovec){
            .iov_base = buffers + (size_t)i * BUFFER_SIZE + HEADER_OFFSET,
            .iov_len = PACKET_HEADER_SIZE + FRAME_MAX,
        };
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
}

int packet_open(struct nic_queue *queue, int fd)
{
    struct packet_socket *packet = calloc(1, sizeof(*packet));

    if (!packet) {
        close(fd);
        return -ENOMEM;
    }
    packet->fd = fd;
    queue->driver = packet;
    /* only the pages that packets reach become memory */
    packet->rx = calloc(BUFFER_COUNT, BUFFER_SIZE);
    packet->tx = calloc(BUFFER_COUNT, BUFFER_SIZE);
    if (!packet->rx || !packet->tx) {
        packet_close(queue);
        return -ENOMEM;
    }
    point(packet->rx_messages, packet->rx_pieces, packet->rx);
    point(packet->tx_messages, packet->tx_pieces, packet->tx);
    queue->ops = &packet_ops;
    queue->readable = true;
    queue->nic->frame_max = FRAME_MAX;
    queue->nic->large_min = 0;
    queue->nic->capabilities = NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM;
    return 0;
}
