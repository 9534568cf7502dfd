/* SPDX-License-Identifier: BSD-2-Clause */
/* A NIC as the switch sees it: the small interface behind which the drivers stand (design.md, D7).
 *
 * A driver has two halves, because multistackd is two processes. The keeper's half opens
 * descriptors with privileges (channel.h carries them over); the switch's half, described here,
 * moves frames and has no privilege at all. It works on queues: one receive and one transmit queue
 * each, served by one worker, never by two.
 *
 *   receive:   n = receive(queue, frames, max)     frames lie in the driver's memory
 *              … forward them …
 *              release(queue)                      all of them go back to the NIC
 *   transmit:  buffer = reserve(queue, length)     memory of the driver, not visible to any
 * application … copy, validate, add the Ethernet header … commit(queue, length, offload)      or
 * cancel, by reserving again flush(queue)                        once for the batch
 *
 * That `reserve` gives private memory is what makes the switch's one copy also its protection: a
 * packet is copied out of the application's reach into the frame, and validated there. Of a long one
 * that is its headers, which are all that is validated: see commit_referring(). */
#ifndef MULTISTACK_NIC_H
#define MULTISTACK_NIC_H

#include <stdbool.h>
#include <stdint.h>

#define NIC_NAME_SIZE 32
#define NIC_BATCH     64

/* A received frame: one or more pieces (several where the driver delivers merged segments,
 * XDP_USE_SG). */
#define NIC_FRAME_PIECES_MAX 40 /* 64 KB in pieces of 2 KiB, and some */

struct nic_piece {
    const uint8_t *data;
    uint32_t length;
};

struct nic_frame {
    const uint8_t
        *data; /* the first piece: holds at least the headers, from the Ethernet header on */
    uint32_t head_length; /* bytes in the first piece */
    uint32_t length;      /* bytes in all pieces */
    uint32_t piece_count; /* of further pieces */
    const struct nic_piece *pieces;
    uint16_t segment_size; /* TCP payload of each segment that it was merged from; 0: not known */
    bool checksum_partial; /* its checksum may be that of the pseudo-header alone */
};

/* What is left to be done to a frame to be sent. The transport checksum holds the sum of the
 * pseudo-header (over the whole frame's payload), not inverted. */
struct nic_offload {
    uint16_t segment_size;    /* cut into TCP segments of that payload; 0: do not */
    uint16_t header_length;   /* Ethernet, IP and TCP: what each segment begins with */
    uint16_t checksum_start;  /* from the start of the frame */
    uint16_t checksum_offset; /* from there to the field */
    uint8_t family;           /* 4 or 6 */
    bool congestion_reduced;  /* TCP's CWR is set: for the first segment alone */
};

#define NIC_EXTRAS_MAX 8

struct nic_extra {
    const char *name;
    uint64_t value;
};

struct nic;
struct nic_queue;

struct nic_ops {
    const char *name; /* "afxdp", "packet", "wire" */

    /* Fills up to `max` frames; 0 when there are none. What they point to is valid until release().
     */
    uint32_t (*receive)(struct nic_queue *queue, struct nic_frame *frames, uint32_t max);
    void (*release)(struct nic_queue *queue);

    /* Frames of at most nic->large_min bytes that reserve() could give now, in a row. */
    uint32_t (*room)(struct nic_queue *queue);
    /* NULL: no room now, or longer than nic->frame_max. */
    uint8_t *(*reserve)(struct nic_queue *queue, uint32_t length);
    /* `offload`: NULL, or what a NIC that can is to do, for a frame that was reserved with more than
     * nic->large_min bytes (a checksum alone: see NIC_CAN_CHECKSUM_ANY). Frames leave in the order of their commits. */
    void (*commit)(struct nic_queue *queue, uint32_t length, const struct nic_offload *offload);
    /* As commit(), of a frame longer than nic->large_min of which only the first `head` bytes are in
     * what was reserved; `rest_length` more lie at `rest`, and stay there until settle(). What `rest` holds
     * may change meanwhile: it is read once. NULL without NIC_CAN_REFER. */
    void (*commit_referring)(struct nic_queue *queue, uint32_t head, const uint8_t *rest,
                             uint32_t rest_length, const struct nic_offload *offload);
    /* Hands over what was committed, and copies what it refers to where that can't be now: after this
     * the driver refers to nothing. NULL where commit_referring() leaves nothing to refer to. */
    void (*settle)(struct nic_queue *queue);
    /* Hands over what was committed. Where the device does not take all of it now, `tx_pending` says
     * so: call again soon. */
    void (*flush)(struct nic_queue *queue);

    /* The descriptor that becomes readable when frames arrive; -1: only polling helps. */
    int (*fd)(const struct nic_queue *queue);
    /* While anybody waits on fd() the kernel asks for each frame, of either way, whether to wake him: the
     * worker waits only while it sleeps. */
    bool waiting_costs;
    /* About to sleep on fd(). False: there is work already. */
    bool (*sleep)(struct nic_queue *queue);
    /* fd() reports an error. True: it was taken, and the descriptor goes on. NULL: it does not. */
    bool (*heal)(struct nic_queue *queue);
    /* Brings those counters up to date that only the kernel knows; may cost a system call. NULL:
     * none. */
    void (*refresh)(struct nic_queue *queue);
    /* Counters that this driver alone has, at most NIC_EXTRAS_MAX; returns how many. NULL: none. */
    uint32_t (*extras)(const struct nic_queue *queue, struct nic_extra *extras);
    void (*close)(struct nic_queue *queue);
};

enum nic_capability {
    NIC_CAN_SEGMENT = 0x1,      /* commit() takes segment_size: frames up to 64 KB */
    NIC_CAN_CHECKSUM = 0x2,     /* commit() takes a checksum without it */
    NIC_CAN_CHECKSUM_ANY = 0x4, /* and that with frames of any length */
    NIC_CAN_REFER = 0x8,        /* commit_referring() */
};

struct nic_counters {
    uint64_t rx_packets, rx_bytes;
    uint64_t tx_packets, tx_bytes;
    uint64_t rx_dropped; /* by the driver or the kernel before the switch saw them */
};

struct nic_queue {
    const struct nic_ops *ops;
    struct nic *nic;
    uint32_t index;
    void *driver;    /* the driver's own state of this queue */
    bool tx_pending; /* see flush() */
    bool readable;   /* fd() was, lately; for drivers to whom a look costs a system call */
    struct nic_counters counters;
};

struct nic {
    const struct nic_ops *ops;
    char name[NIC_NAME_SIZE];
    char xdp_mode[16];  /* "native", "generic" or "", for people */
    char copy_mode[16]; /* "zero-copy", "copy" or "" */
    uint32_t index;     /* in the switch's table */
    uint32_t ifindex;   /* 0: not a device of the kernel's (wire) */
    uint32_t mtu;       /* bytes of IP packet */
    uint32_t frame_max; /* longest frame that reserve() gives, bytes from the Ethernet header on */
    uint32_t large_min; /* frames longer than this may be cut, and are not counted by room() */
    bool up;
    bool answers;     /* SYNs can be answered there (guard_rules.h) */
    bool judged;      /* the switch does what a program in front does elsewhere (guard_judge.h) */
    bool is_virtual;  /* frames may carry partial checksums (design.md, section 7) */
    bool is_loopback; /* lo: the way to the stack of the host itself, and from it */
    uint32_t capabilities;
    uint8_t mac[6];
    uint32_t queue_count;
    uint32_t queue_wanted; /* room in `queues` */
    struct nic_queue *queues;
    int verdicts_fd;       /* the map mux_verdicts, -1: no mux */
    uint32_t verdict_cpus; /* values in each of its elements */
};

#endif
