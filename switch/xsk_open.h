/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper's half of the afxdp driver: opens AF_XDP sockets, which takes CAP_NET_RAW, and hands
 * them over. It never touches their rings.
 *
 * Each queue has a packet memory of its own (a sealed memfd, so that nobody's ftruncate() becomes
 * somebody's SIGBUS), a socket bound to it, and four rings. All of it is made anew for each switch:
 * nothing of a dead one's packets is seen by the next.
 *
 * The rings are mapped here, before bind(), and the switch has the mapping by fork(): a kernel before
 * Linux 6.4 maps no ring of a socket that is bound. So the order is xsk_open(), fork(), xsk_close(). A
 * mapping keeps the socket alive: what the keeper does not unmap outlives the switch. */
#ifndef MULTISTACK_XSK_OPEN_H
#define MULTISTACK_XSK_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "config.h"

/* Linux 6.6; Debian 12's headers lack the name. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif

/* What may stand before a frame to be sent: Linux 6.11, linux/if_xdp.h; Debian 12's headers lack it. */
#ifndef XDP_UMEM_TX_METADATA_LEN
#define XDP_UMEM_TX_METADATA_LEN (1 << 2)
#endif
#define XSK_TX_METADATA_SIZE 24 /* bytes: struct xsk_tx_metadata, nic/tx_metadata.h */

/* Bytes; one frame, or a piece of one. The most that the kernel takes: each chunk of a merged packet costs it an
 * entry of two rings and a look at its own table of chunks, and the reader a run of lines that begins anew. */
#define XSK_CHUNK_SIZE       4096
#define XSK_CHUNK_COUNT      4096 /* per queue: 16 MiB, of which short frames touch a part */
#define XSK_RING_RX          2048
#define XSK_RING_TX          2048
#define XSK_RING_FILL        4096
#define XSK_RING_COMPLETION  2048
#define XSK_LARGE_BUFFER     (4 * 1024 * 1024) /* bytes that a device may hold of large sends */
#define XSK_HEADROOM         256 /* bytes that XDP keeps free before a frame, XDP_PACKET_HEADROOM */
#define XSK_BUSY_TIMEOUT_MS  5000 /* a socket just closed holds its queue for a while */
#define XSK_BUSY_INTERVAL_MS 5

/* The largest MTU whose frames (with a VLAN tag to spare) fit into one chunk. */
#define XSK_MTU_MAX (XSK_CHUNK_SIZE - XSK_HEADROOM - 14 - 4)

struct xsk_request {
    const char *device; /* for messages */
    uint32_t ifindex;
    uint32_t queue;
    enum copy_wish copy;
    bool metadata; /* the device may be given checksums to fill in, if the kernel can */
    bool native;   /* the XDP program is attached in native mode: zero-copy is possible */
    uint32_t busy_poll_budget; /* packets of one preferred busy poll; 0: none of it */
    uint16_t flags;            /* of bind(2), that worked last time; 0: find out */
};

#define XSK_RINGS 4

struct xsk {
    int fd;
    int umem_fd;
    int large_fd;   /* packet socket for large sends; -1: none */
    uint16_t flags; /* of bind(2), that worked */
    bool zero_copy; /* what the kernel says that it really is */
    bool multi_buffer;
    bool need_wakeup;
    bool metadata;
    bool busy_poll; /* the socket prefers it */
    struct xsk_mapping {
        void *address; /* NULL: none */
        size_t length;
    } rings[XSK_RINGS];
    struct channel_queue message; /* filled but for `nic` */
};

/* Whether this kernel has AF_XDP sockets; false after it has logged what is missing. */
bool xsk_kernel_has_afxdp(const char *device);
/* Whether this kernel delivers frames as chains of chunks. */
bool xsk_kernel_has_multi_buffer(void);
/* Whether it fills in checksums of frames that it is given. */
bool xsk_kernel_has_tx_metadata(void);

/* Returns 0, or -1 after it has logged why. The descriptors and mappings are the caller's. */
int xsk_open(const struct xsk_request *request, struct xsk *xsk);
/* A socket that sends what is longer than AF_XDP is to send (nic/afxdp.c), cut by the kernel or the device
 * (nic/large_send.h). -1 after it has logged why there is none: all can be done without. */
int xsk_open_large(const char *device, uint32_t ifindex);
/* Whether sockets may prefer busy polling with such a budget, tried on one that goes at once: 0 or a negative
 * errno. */
int xsk_try_busy_poll(uint32_t budget);
/* Closes and unmaps; what a forked child has of it stays. */
void xsk_close(struct xsk *xsk);

#endif
