/* SPDX-License-Identifier: BSD-2-Clause */
/* afxdp.h.
 *
 * Four rings, shared with the kernel (Documentation/networking/af_xdp.rst), and a memory of chunks:
 *
 *            fill: chunks that may be filled      rx: frames that came
 *   rx_free ───────────────────────► kernel ───────────────────────► receive() … release() ─► rx_free
 *
 *            tx: frames to be sent                completion: chunks that were sent
 *   tx_free ─► reserve(), commit() ─► kernel ─────────────────────► reap() ─► tx_free
 *
 * The first half of the chunks is for receiving, the second for sending, so that neither can starve
 * the other. Each ring has one producer and one consumer; what we write of it stands in private
 * copies and is published by a store with release, what the kernel writes is read with acquire.
 *
 * The address of a frame that came is that of its chunk and, where chunks are registered as unaligned (xsk_open.c),
 * in its upper bits the frame's offset in it: received_at() takes both kinds.
 *
 * In copy mode the kernel sends within our sendto(), at most 32 frames a call; with need_wakeup it
 * says in the ring's flags whether it wants to be called. A socket that prefers busy polling is called
 * whenever nothing is there: the kernel takes frames off the NIC within the call, up to its budget. A frame that was merged from segments
 * comes as a chain of descriptors (multi-buffer, XDP_USE_SG), of which all but the last carry
 * XDP_PKT_CONTD.
 *
 * Without large sends, frames of a jumbo MTU leave as chains as well: then the memory for sending is cut into
 * runs of adjacent chunks (`frame_chunks`), of which each holds one frame, in one piece to whoever writes it
 * and with a descriptor for each of its chunks. A run is free again when the kernel has given back all of them.
 *
 * Before a frame that is sent may stand what is left to be done to it: tx_metadata.h, the checksum of
 * a segment that needs no cutting. What is longer than LARGE_MIN goes out through a packet socket
 * (large_send.h), where the keeper could open one: segments for the kernel or the device to cut, and
 * the frames of a jumbo MTU. Frames leave in the order of their commits, whichever way: what waits
 * is at most two runs, one of each kind, of which `large_first` says which is older; a third would
 * begin behind the second, so the first has to be gone before. (With zero-copy the NIC's two queues
 * decide; there TCP has to bear that a small segment overtakes.) */
#include "nic/afxdp.h"

#include "nic/large_send.h"
#include "nic/tx_metadata.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "huge_map.h"
#include "stats.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1U << 0) /* Linux 6.6 */
#endif

#define PIECES_PER_BATCH 512
#define KICKS_PER_FLUSH  64 /* of at most 32 frames each */

/* Bytes: what is longer goes by large sends, if there are any, though a chunk would hold more: two segments in
 * one packet are to be cut by the device, as more are. */
#define LARGE_MIN (2048 - TX_METADATA_OFFSET)

struct ring {
    uint32_t *producer, *consumer; /* shared */
    const uint32_t *flags;         /* shared */
    void *descriptors;             /* shared */
    uint32_t mask, size;
    uint32_t ours;   /* our index, published or not */
    uint32_t theirs; /* the kernel's, as last read */
    void *map;
    size_t map_size;
};

struct afxdp {
    struct ring rx, tx, fill, completion;
    uint8_t *umem;
    uint64_t umem_size;
    int fd, umem_fd;
    uint32_t chunk_size;
    uint32_t frame_chunks; /* that a frame to be sent may take */
    uint64_t tx_start;     /* of the memory for sending */
    uint8_t *tx_left;      /* chunks of each run that the kernel has; NULL: frames take one */
    uint32_t tx_offset; /* of a frame to be sent in its chunk; what stands before: tx_metadata.h */
    bool need_wakeup;
    uint64_t *rx_free, *tx_free; /* stacks of chunk addresses */
    uint32_t rx_free_count, tx_free_count;
    uint32_t rx_taken; /* descriptors that release() will give back */
    uint32_t tx_published;
    bool zero_copy;
    bool busy_poll;           /* the kernel looks when it is called */
    bool napi_known;          /* that was told */
    struct large_send *large; /* NULL: none */
    bool large_first;         /* what waits there is older than what waits in the TX ring */
    uint64_t busy_polls;
    uint64_t checksums_left; /* frames that the kernel or the device filled in */
    uint64_t dropped;        /* frames that receive() could not take */
    struct nic_piece pieces[PIECES_PER_BATCH];
};

static uint32_t load_acquire(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static void store_release(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

static bool wants_wakeup(const struct afxdp *afxdp, const struct ring *ring)
{
    return !afxdp->need_wakeup ||
           (__atomic_load_n(ring->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP);
}

static struct xdp_desc *descriptor(const struct ring *ring, uint32_t index)
{
    return &((struct xdp_desc *)ring->descriptors)[index & ring->mask];
}

static uint64_t *address(const struct ring *ring, uint32_t index)
{
    return &((uint64_t *)ring->descriptors)[index & ring->mask];
}

/* Chunks for the kernel to fill, as many as there are and fit. */
static void refill(struct afxdp *afxdp)
{
    struct ring *fill = &afxdp->fill;
    uint32_t room;

    if (!afxdp->rx_free_count)
        return;
    fill->theirs = load_acquire(fill->consumer);
    room = fill->size - (fill->ours - fill->theirs);
    while (room-- && afxdp->rx_free_count)
        *address(fill, fill->ours++) = afxdp->rx_free[--afxdp->rx_free_count];
    store_release(fill->producer, fill->ours);
}

/* The descriptors of the frame that starts at `from`; 0: not wholly there. */
static uint32_t chain_length(const struct ring *rx, uint32_t from, uint32_t available)
{
    for (uint32_t i = 0; i < available; i++) {
        if (!(descriptor(rx, from + i)->options & XDP_PKT_CONTD))
            return i + 1;
    }
    return 0;
}

static uint8_t *received_at(const struct afxdp *afxdp, const struct xdp_desc *desc)
{
    return afxdp->umem + (desc->addr & XSK_UNALIGNED_BUF_ADDR_MASK) +
           (desc->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
}

static void fill_frame(struct afxdp *afxdp, struct nic_frame *frame, uint32_t from, uint32_t count,
                       struct nic_piece *pieces)
{
    const struct xdp_desc *first = descriptor(&afxdp->rx, from);

    *frame = (struct nic_frame){
        .data = received_at(afxdp, first),
        .head_length = first->len,
        .length = first->len,
        .piece_count = count - 1,
        .pieces = pieces,
    };
    for (uint32_t i = 1; i < count; i++) {
        const struct xdp_desc *desc = descriptor(&afxdp->rx, from + i);

        pieces[i - 1] = (struct nic_piece){received_at(afxdp, desc), desc->len};
        frame->length += desc->len;
    }
}

static uint32_t arrived(struct ring *rx)
{
    rx->theirs = load_acquire(rx->producer);
    return rx->theirs - rx->ours;
}

static uint32_t afxdp_receive(struct nic_queue *queue, struct nic_frame *frames, uint32_t max)
{
    struct afxdp *afxdp = queue->driver;
    struct ring *rx = &afxdp->rx;
    uint32_t available = arrived(rx), at = 0, piece = 0, count = 0;

    if (!available && __atomic_load_n(&afxdp->busy_poll, __ATOMIC_RELAXED)) {
        stats_add(&afxdp->busy_polls, 1);
        recvfrom(afxdp->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
        available = arrived(rx);
    }
    while (count < max && at < available) {
        uint32_t length = chain_length(rx, rx->ours + at, available - at);

        if (!length || (piece + length > PIECES_PER_BATCH && count))
            break;
        if (length - 1 > NIC_FRAME_PIECES_MAX) {
            stats_add(&afxdp->dropped, 1);
        } else {
            fill_frame(afxdp, &frames[count], rx->ours + at, length, &afxdp->pieces[piece]);
            stats_add(&queue->counters.rx_packets, 1);
            stats_add(&queue->counters.rx_bytes, frames[count].length);
            piece += length - 1;
            count++;
        }
        at += length;
    }
    afxdp->rx_taken = at;
    /* The kernel may wait for chunks, and wants to be told where they come late. */
    if (!available && afxdp->need_wakeup && wants_wakeup(afxdp, &afxdp->fill))
        recvfrom(afxdp->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
    return count;
}

static void afxdp_release(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;
    struct ring *rx = &afxdp->rx;
    uint64_t chunk_mask = XSK_UNALIGNED_BUF_ADDR_MASK & ~(uint64_t)(afxdp->chunk_size - 1);

    for (uint32_t i = 0; i < afxdp->rx_taken; i++)
        afxdp->rx_free[afxdp->rx_free_count++] = descriptor(rx, rx->ours + i)->addr & chunk_mask;
    rx->ours += afxdp->rx_taken;
    afxdp->rx_taken = 0;
    store_release(rx->consumer, rx->ours);
    refill(afxdp);
}

/* Another chunk of a run was sent: free with the last of them. */
static void give_back(struct afxdp *afxdp, uint64_t addr)
{
    uint32_t run_size = afxdp->chunk_size * afxdp->frame_chunks;
    uint64_t run = (addr - afxdp->tx_start) / run_size;

    if (--afxdp->tx_left[run] == 0)
        afxdp->tx_free[afxdp->tx_free_count++] = afxdp->tx_start + run * run_size;
}

/* Takes back the chunks that were sent. */
static void reap(struct afxdp *afxdp)
{
    struct ring *completion = &afxdp->completion;

    completion->theirs = load_acquire(completion->producer);
    if (completion->ours == completion->theirs)
        return;
    while (completion->ours != completion->theirs) {
        uint64_t addr = *address(completion, completion->ours++);

        if (afxdp->tx_left)
            give_back(afxdp, addr);
        else
            afxdp->tx_free[afxdp->tx_free_count++] = addr;
    }
    store_release(completion->consumer, completion->ours);
}

static uint32_t tx_ring_room(const struct ring *tx)
{
    return tx->size - (tx->ours - tx->theirs);
}

static uint32_t afxdp_room(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;
    struct ring *tx = &afxdp->tx;

    reap(afxdp);
    tx->theirs = load_acquire(tx->consumer);
    return tx_ring_room(tx) < afxdp->tx_free_count ? tx_ring_room(tx) : afxdp->tx_free_count;
}

/* Has the kernel send until it has taken everything, or takes no more. EAGAIN may mean that the
 * call's budget was used up, so progress decides; all other errors (EBUSY, ENOBUFS: later; ENETDOWN,
 * ENXIO: the device is down or away) leave the rest for another time. */
static void kick(struct afxdp *afxdp)
{
    struct ring *tx = &afxdp->tx;

    for (int i = 0; i < KICKS_PER_FLUSH; i++) {
        uint32_t before = load_acquire(tx->consumer);
        ssize_t sent;

        if (before == tx->ours || !wants_wakeup(afxdp, tx))
            break;
        sent = sendto(afxdp->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (load_acquire(tx->consumer) == before)
            break;
    }
    tx->theirs = load_acquire(tx->consumer);
}

/* Whether frames in the TX ring have not been handed over. */
static bool ring_waits(const struct afxdp *afxdp)
{
    return afxdp->tx.ours != (afxdp->zero_copy ? afxdp->tx_published : afxdp->tx.theirs);
}

static bool large_waits(const struct afxdp *afxdp)
{
    return afxdp->large && large_send_waiting(afxdp->large);
}

static void send_ring(struct afxdp *afxdp)
{
    if (afxdp->tx.ours != afxdp->tx_published) {
        afxdp->tx_published = afxdp->tx.ours;
        store_release(afxdp->tx.producer, afxdp->tx.ours);
    }
    kick(afxdp);
}

/* Hands over all that waits, the older kind first; the younger only when that is gone. */
static void send_all(struct afxdp *afxdp)
{
    if (large_waits(afxdp) && afxdp->large_first)
        large_send_flush(afxdp->large);
    if (large_waits(afxdp) && afxdp->large_first)
        return;
    send_ring(afxdp);
    if (large_waits(afxdp) && !ring_waits(afxdp))
        large_send_flush(afxdp->large);
}

/* The longest frame that goes by the TX ring. */
static uint32_t tx_frame_max(const struct afxdp *afxdp)
{
    return afxdp->chunk_size * afxdp->frame_chunks - afxdp->tx_offset;
}

static uint8_t *reserve_large(struct afxdp *afxdp)
{
    uint8_t *frame;

    if (ring_waits(afxdp) && large_waits(afxdp) && afxdp->large_first) {
        large_send_flush(afxdp->large);
        if (large_waits(afxdp))
            return NULL;
    }
    frame = large_send_reserve(afxdp->large);
    if (frame)
        return frame;
    send_all(afxdp);
    return large_send_reserve(afxdp->large);
}

static uint8_t *afxdp_reserve(struct nic_queue *queue, uint32_t length)
{
    struct afxdp *afxdp = queue->driver;

    if (length > queue->nic->frame_max)
        return NULL;
    if (length > queue->nic->large_min)
        return afxdp->large ? reserve_large(afxdp) : NULL;
    /* the ring has an entry for each chunk, so one for each of a run */
    if ((!afxdp->tx_free_count || !tx_ring_room(&afxdp->tx)) && !afxdp_room(queue))
        return NULL;
    if (large_waits(afxdp) && !afxdp->large_first && ring_waits(afxdp)) {
        send_ring(afxdp);
        if (ring_waits(afxdp))
            return NULL;
    }
    return afxdp->umem + afxdp->tx_free[afxdp->tx_free_count - 1];
}

/* A frame in a run of chunks, all of them but the last full. */
static void put_chain(struct afxdp *afxdp, uint64_t addr, uint32_t length)
{
    uint64_t run = (addr - afxdp->tx_start) / (afxdp->chunk_size * afxdp->frame_chunks);

    for (afxdp->tx_left[run] = 1; length > afxdp->chunk_size; afxdp->tx_left[run]++) {
        *descriptor(&afxdp->tx, afxdp->tx.ours++) =
            (struct xdp_desc){.addr = addr, .len = afxdp->chunk_size, .options = XDP_PKT_CONTD};
        addr += afxdp->chunk_size;
        length -= afxdp->chunk_size;
    }
    *descriptor(&afxdp->tx, afxdp->tx.ours++) = (struct xdp_desc){.addr = addr, .len = length};
}

static void count_sent(struct nic_queue *queue, uint32_t length)
{
    stats_add(&queue->counters.tx_packets, 1);
    stats_add(&queue->counters.tx_bytes, length);
}

/* Of one more frame that goes the large way. */
static void note_large(struct afxdp *afxdp)
{
    if (!large_waits(afxdp))
        afxdp->large_first = false;
}

static void afxdp_commit_referring(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                                   uint32_t rest_length, const struct nic_offload *offload)
{
    struct afxdp *afxdp = queue->driver;

    count_sent(queue, head + rest_length);
    note_large(afxdp);
    large_send_commit_referring(afxdp->large, head, rest, rest_length, offload);
}

static void afxdp_commit(struct nic_queue *queue, uint32_t length,
                         const struct nic_offload *offload)
{
    struct afxdp *afxdp = queue->driver;
    uint64_t addr;

    count_sent(queue, length);
    if (length > queue->nic->large_min) {
        note_large(afxdp);
        large_send_commit(afxdp->large, length, offload);
        return;
    }
    if (!ring_waits(afxdp))
        afxdp->large_first = true;
    addr = afxdp->tx_free[--afxdp->tx_free_count];
    if (afxdp->tx_left) {
        put_chain(afxdp, addr, length);
        return;
    }
    if (offload) {
        tx_metadata_write(afxdp->umem + addr, offload);
        stats_add(&afxdp->checksums_left, 1);
    }
    *descriptor(&afxdp->tx, afxdp->tx.ours++) =
        (struct xdp_desc){.addr = addr, .len = length, .options = offload ? XDP_TX_METADATA : 0};
}

static void afxdp_flush(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;

    if (afxdp->tx.ours == afxdp->tx_published && !large_waits(afxdp) && !queue->tx_pending)
        return;
    /* what a device that is down holds back would wake us for nothing, and be old when it is up */
    if (large_waits(afxdp) && !queue->nic->up)
        large_send_drop(afxdp->large);
    send_all(afxdp);
    queue->tx_pending = afxdp->tx.theirs != afxdp->tx.ours || large_waits(afxdp);
}

static void afxdp_settle(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;

    afxdp_flush(queue);
    if (afxdp->large)
        large_send_settle(afxdp->large);
}

/* Linux 4.12. A kernel that does not know is not asked twice. */
enum afxdp_napi afxdp_look_for_napi(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;
    unsigned id = 0;
    socklen_t size = sizeof(id);

    if (!afxdp->busy_poll || afxdp->napi_known || !stats_read(&queue->counters.rx_packets))
        return AFXDP_NAPI_NOTHING_NEW;
    afxdp->napi_known = true;
    if (!getsockopt(afxdp->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &size) && id)
        return AFXDP_NAPI_FOUND;
    __atomic_store_n(&afxdp->busy_poll, false, __ATOMIC_RELAXED);
    return AFXDP_NAPI_NONE;
}

static uint32_t afxdp_extras(const struct nic_queue *queue, struct nic_extra *extras)
{
    const struct afxdp *afxdp = queue->driver;

    extras[0] = (struct nic_extra){"tx_checksum_left", stats_read(&afxdp->checksums_left)};
    extras[1] = (struct nic_extra){"busy_polls", stats_read(&afxdp->busy_polls)};
    return 2 + (afxdp->large ? large_send_extras(afxdp->large, extras + 2) : 0);
}

static int afxdp_fd(const struct nic_queue *queue)
{
    return ((const struct afxdp *)queue->driver)->fd;
}

static bool afxdp_sleep(struct nic_queue *queue)
{
    const struct afxdp *afxdp = queue->driver;

    /* what comes after this look makes the descriptor readable */
    return load_acquire(afxdp->rx.producer) == afxdp->rx.ours;
}

static void afxdp_refresh(struct nic_queue *queue)
{
    const struct afxdp *afxdp = queue->driver;
    struct xdp_statistics statistics = {0};
    socklen_t size = sizeof(statistics);

    if (getsockopt(afxdp->fd, SOL_XDP, XDP_STATISTICS, &statistics, &size))
        return;
    queue->counters.rx_dropped =
        stats_read(&afxdp->dropped) + statistics.rx_dropped + statistics.rx_ring_full;
}

static void unmap_ring(struct ring *ring)
{
    if (ring->map)
        munmap(ring->map, ring->map_size);
}

static void afxdp_close(struct nic_queue *queue)
{
    struct afxdp *afxdp = queue->driver;

    if (!afxdp)
        return;
    unmap_ring(&afxdp->rx);
    unmap_ring(&afxdp->tx);
    unmap_ring(&afxdp->fill);
    unmap_ring(&afxdp->completion);
    if (afxdp->umem)
        munmap(afxdp->umem, afxdp->umem_size);
    large_send_close(afxdp->large);
    close(afxdp->fd);
    close(afxdp->umem_fd);
    free(afxdp->rx_free);
    free(afxdp->tx_free);
    free(afxdp->tx_left);
    free(afxdp);
    queue->driver = NULL;
}

/* Takes over what the keeper has mapped for us. `produced`: we are the ring's producer. */
static int take_ring(struct ring *ring, const struct channel_xsk_ring *where,
                     size_t descriptor_size, bool produced)
{
    uint8_t *map = (void *)(uintptr_t)where->mapped;

    if (!map || where->entries == 0 || (where->entries & (where->entries - 1)))
        return -EINVAL;
    ring->map_size = where->desc + where->entries * descriptor_size;
    ring->map = map;
    ring->producer = (uint32_t *)(map + where->producer);
    ring->consumer = (uint32_t *)(map + where->consumer);
    ring->flags = (uint32_t *)(map + where->flags);
    ring->descriptors = map + where->desc;
    ring->size = where->entries;
    ring->mask = where->entries - 1;
    ring->ours = load_acquire(produced ? ring->producer : ring->consumer);
    ring->theirs = load_acquire(produced ? ring->consumer : ring->producer);
    return 0;
}

static int take_rings(struct afxdp *afxdp, const struct channel_queue *message)
{
    int status = take_ring(&afxdp->rx, &message->rx, sizeof(struct xdp_desc), false);

    if (!status)
        status = take_ring(&afxdp->tx, &message->tx, sizeof(struct xdp_desc), true);
    if (!status)
        status = take_ring(&afxdp->fill, &message->fill, sizeof(uint64_t), true);
    if (!status)
        status = take_ring(&afxdp->completion, &message->completion, sizeof(uint64_t), false);
    return status;
}

/* The kernel wants room for metadata before every chunk of a chain, and then a run is not in one piece. */
static bool describes_memory(const struct channel_queue *message)
{
    uint32_t receiving = message->chunk_count / 2;

    if (message->chunk_size <= TX_METADATA_OFFSET ||
        (message->chunk_size & (message->chunk_size - 1)) ||
        (uint64_t)message->chunk_size * message->chunk_count > message->umem_size || !receiving)
        return false;
    if (message->frame_chunks == 1)
        return true;
    return message->frame_chunks && message->frame_chunks <= CHANNEL_FRAME_CHUNKS_MAX &&
           message->multi_buffer && !message->metadata &&
           message->tx.entries >= message->chunk_count - receiving;
}

static int map_memory(struct afxdp *afxdp, const struct channel_queue *message)
{
    uint32_t receiving = message->chunk_count / 2;
    uint32_t runs;
    void *umem;

    if (!describes_memory(message))
        return -EINVAL;
    umem = huge_map(afxdp->umem_fd, message->umem_size);
    if (umem == MAP_FAILED)
        return -errno;
    madvise(umem, message->umem_size, MADV_POPULATE_WRITE);
    afxdp->umem = umem;
    afxdp->umem_size = message->umem_size;
    afxdp->rx_free = calloc(message->chunk_count, sizeof(uint64_t));
    afxdp->tx_free = calloc(message->chunk_count, sizeof(uint64_t));
    if (!afxdp->rx_free || !afxdp->tx_free)
        return -ENOMEM;
    while (afxdp->rx_free_count < receiving) {
        afxdp->rx_free[afxdp->rx_free_count] = (uint64_t)afxdp->rx_free_count * message->chunk_size;
        afxdp->rx_free_count++;
    }
    afxdp->tx_start = (uint64_t)receiving * message->chunk_size;
    runs = (message->chunk_count - receiving) / message->frame_chunks;
    if (message->frame_chunks > 1) {
        afxdp->tx_left = calloc(runs, sizeof(*afxdp->tx_left));
        if (!afxdp->tx_left)
            return -ENOMEM;
    }
    while (afxdp->tx_free_count < runs) {
        afxdp->tx_free[afxdp->tx_free_count] =
            afxdp->tx_start + afxdp->tx_offset +
            (uint64_t)afxdp->tx_free_count * message->chunk_size * message->frame_chunks;
        afxdp->tx_free_count++;
    }
    return 0;
}

const struct nic_ops afxdp_ops = {
    .name = "afxdp",
    .receive = afxdp_receive,
    .release = afxdp_release,
    .room = afxdp_room,
    .reserve = afxdp_reserve,
    .commit = afxdp_commit,
    .commit_referring = afxdp_commit_referring,
    .settle = afxdp_settle,
    .flush = afxdp_flush,
    .fd = afxdp_fd,
    .waiting_costs = true,
    .sleep = afxdp_sleep,
    .refresh = afxdp_refresh,
    .extras = afxdp_extras,
    .close = afxdp_close,
};

/* The NIC can what each of its queues can: the first sets it, a later one may take from it. */
static int set_up_sending(struct afxdp *afxdp, struct nic *nic, int large_fd)
{
    if (nic->queue_count == 0) {
        nic->frame_max = LARGE_FRAME_MAX;
        nic->large_min = tx_frame_max(afxdp) < LARGE_MIN ? tx_frame_max(afxdp) : LARGE_MIN;
        nic->capabilities =
            NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_CHECKSUM_ANY | NIC_CAN_REFER;
    }
    if (!afxdp->tx_offset) /* none for a chain, too: put_chain() */
        nic->capabilities &= ~(uint32_t)NIC_CAN_CHECKSUM_ANY;
    if (large_fd >= 0)
        return large_send_open(&afxdp->large, large_fd);
    nic->frame_max = nic->large_min = tx_frame_max(afxdp);
    nic->capabilities &= ~(uint32_t)(NIC_CAN_SEGMENT | NIC_CAN_CHECKSUM | NIC_CAN_REFER);
    return 0;
}

int afxdp_open(struct nic_queue *queue, const struct channel_queue *message,
               const struct afxdp_descriptors *descriptors)
{
    struct afxdp *afxdp = calloc(1, sizeof(*afxdp));
    int status;

    if (!afxdp) {
        close(descriptors->xsk);
        close(descriptors->umem);
        if (descriptors->large >= 0)
            close(descriptors->large);
        return -ENOMEM;
    }
    *afxdp = (struct afxdp){
        .fd = descriptors->xsk,
        .umem_fd = descriptors->umem,
        .chunk_size = message->chunk_size,
        .frame_chunks = message->frame_chunks,
        .tx_offset = message->metadata ? TX_METADATA_OFFSET : 0,
        .need_wakeup = message->need_wakeup,
        .zero_copy = message->zero_copy,
        .busy_poll = message->busy_poll,
    };
    queue->driver = afxdp;
    status = set_up_sending(afxdp, queue->nic, descriptors->large);
    if (!status)
        status = take_rings(afxdp, message);
    if (!status)
        status = map_memory(afxdp, message);
    if (status) {
        afxdp_close(queue);
        return status;
    }
    queue->ops = &afxdp_ops;
    afxdp->tx_published = afxdp->tx.ours;
    refill(afxdp);
    return 0;
}
