/* SPDX-License-Identifier: BSD-2-Clause */
/* What the keeper and the switch say to each other (design.md, D10).
 *
 * A SOCK_SEQPACKET socket pair; one struct is one message of exactly its size. The keeper has the
 * privileges and knows no packet; the switch handles every packet and has no privileges. So the
 * keeper checks what the switch asks (the switch might have been taken over), though it may only
 * ask for few things.
 *
 *   keeper                    switch
 *   CHANNEL_CONFIG          →            + listening socket, mux_bindings, mux_shared, and a socket
 *                                        filter that drops everything
 *   CHANNEL_NIC             →            once for each NIC: + mux_verdicts
 *   CHANNEL_QUEUE           →            once for each of its queues: + AF_XDP socket, UMEM memfd,
 *                                        and a packet socket for large sends where there is one
 *   CHANNEL_ADDRESS         →            each address of the host, then as they come and go
 *   CHANNEL_GROUPS          →            + groups_ring, the filter that fills it; or it is left out
 *   CHANNEL_GUARD           →            + the maps of the guard that the switch writes, and memory for
 *                                        rules that outlive it, in the order of
 *                                        CHANNEL_GUARD_*; where no NIC has a mux, the latter
 *   CHANNEL_PROTOCOL        →            each line of [protocols] in the configuration
 *   CHANNEL_PORT_RATE       →            --port-rate, and each line of [port-rates]
 *   CHANNEL_START           →
 *                           ←  CHANNEL_READY      serving; the keeper tells systemd
 *                           ←  CHANNEL_RESOLVE    where does this destination go?
 *   CHANNEL_NEXT_HOP        →
 *   CHANNEL_NEIGHBOR        →            the kernel learnt or lost a neighbour
 *   CHANNEL_ROUTES_CHANGED  →            whatever was resolved may be wrong now
 *   CHANNEL_LINK            →            MTU, MAC or state of a NIC changed
 *   CHANNEL_STOP            →            end in order
 *   CHANNEL_WIRE            →            of a NIC that is a wire, behind its NIC: what it does to
 *                                        frames
 *   CHANNEL_WIRE_LINK       →            for each of its queues, when its other end is there: + the
 *                                        link's memory and wake-ups
 *                           ←  CHANNEL_WIRE_BROKEN   its other end broke the rules
 *                           ←  CHANNEL_RANGE      a block of ports is wanted (range.h)
 *   CHANNEL_RANGE_ANSWER    →
 *                           ←  CHANNEL_RANGE_RELEASE
 *                           ←  CHANNEL_NAPI       whether frames of a NIC can be polled for
 *   CHANNEL_PACKET          →            once for each queue of a NIC of the packet driver, behind its
 *                                        NIC: + packet socket
 *
 * Either side's death closes the pair: the switch then ends, the keeper then starts another switch.
 */
#ifndef MULTISTACK_CHANNEL_H
#define MULTISTACK_CHANNEL_H

#include <stdint.h>

#define CHANNEL_MESSAGE_MAX 512
#define CHANNEL_FDS_MAX     8
#define CHANNEL_WORKERS_MAX 16

enum channel_type {
    CHANNEL_CONFIG = 1,
    CHANNEL_NIC,
    CHANNEL_QUEUE,
    CHANNEL_ADDRESS,
    CHANNEL_START,
    CHANNEL_READY,
    CHANNEL_RESOLVE,
    CHANNEL_NEXT_HOP,
    CHANNEL_NEIGHBOR,
    CHANNEL_ROUTES_CHANGED,
    CHANNEL_LINK,
    CHANNEL_STOP,
    CHANNEL_WIRE,
    CHANNEL_WIRE_LINK,
    CHANNEL_WIRE_BROKEN,
    CHANNEL_PROTOCOL,
    CHANNEL_PACKET,
    CHANNEL_GROUPS,
    CHANNEL_PORT_RATE,
    CHANNEL_GUARD,
    CHANNEL_RANGE,
    CHANNEL_RANGE_ANSWER,
    CHANNEL_RANGE_RELEASE,
    CHANNEL_NAPI,
};

struct channel_header {
    uint32_t type;
    uint32_t size; /* of the whole message, bytes */
};

/* The addresses of the whole project: IPv4 in the first four bytes, the rest zero. */
struct channel_ip {
    uint8_t bytes[16];
    uint32_t family; /* 4 or 6 */
};

struct channel_config {
    struct channel_header header;
    uint64_t netns_cookie;
    uint64_t instance;   /* random, for CONTROL_WELCOME */
    uint64_t started_ns; /* CLOCK_MONOTONIC of the keeper's start */
    uint64_t absent;     /* FEATURE_BIT()s of what the kernel lacks, kernel_features.h */
    uint32_t keeper_pid;
    uint32_t restarts; /* of the switch, so far */
    uint32_t workers;
    uint32_t
        busy_poll_us; /* at most so long (adaptive_poll.h); 0: sleep as soon as there is nothing
                            * to do; ADAPTIVE_POLL_ALWAYS: never sleep */
    uint32_t ports_max;
    uint32_t ports_per_uid_max;
    uint32_t ring_size_default;
    uint32_t rejected_max; /* misuse.h: in a second; 0: nobody is detached */
    uint32_t
        admin_gid; /* whose members may capture, and set the guard's rules for all; 0: root alone */
    uint32_t zero;
    uint64_t hash_key[4]; /* of the namespace and of flows: the same for each switch of this keeper,
                           * so that a restart moves no flow to another ring or port */
    uint8_t secret[16];   /* of which the keys of users are made; as long as hash_key */
    uint32_t cpus[CHANNEL_WORKERS_MAX]; /* of each worker: its processor + 1; 0: any */
};

struct channel_nic {
    struct channel_header header;
    char driver[16]; /* nic_ops.name */
    char name[32];
    char xdp_mode[16];
    char copy_mode[16];
    uint32_t index;
    uint32_t ifindex;
    uint32_t mtu;
    uint32_t up;
    uint32_t is_virtual;
    uint32_t answers; /* SYNs can be answered there */
    uint32_t queue_count;
    uint32_t verdict_cpus; /* values in one element of mux_verdicts; 0: this NIC has no mux */
    uint32_t is_loopback;  /* 1: it is lo */
    uint8_t mac[6];
    uint8_t zero[2];
};

/* An AF_XDP ring: where it is in the memory that the switch has from its keeper (xsk_open.h), and the
 * offsets in it, as XDP_MMAP_OFFSETS gives them. */
struct channel_xsk_ring {
    uint64_t mapped; /* an address, never 0 */
    uint64_t producer;
    uint64_t consumer;
    uint64_t desc;
    uint64_t flags;
    uint32_t entries; /* a power of two */
    uint32_t zero;
};

struct channel_queue {
    struct channel_header header;
    uint32_t nic;
    uint32_t queue;
    uint32_t chunk_size; /* bytes of a UMEM frame */
    uint32_t chunk_count;
    uint64_t umem_size;
    uint32_t need_wakeup;  /* 1: bound with XDP_USE_NEED_WAKEUP */
    uint32_t multi_buffer; /* 1: bound with XDP_USE_SG: frames may come as chains */
    struct channel_xsk_ring rx, tx, fill, completion;
    uint32_t zero_copy; /* 1: the driver sends from the packet memory, when it likes */
    uint32_t metadata;  /* bytes before each frame to be sent, for nic/tx_metadata.h; or 0 */
    uint32_t
        frame_chunks; /* that a frame to be sent may take; more than 1: with multi_buffer and without
                            * metadata */
    uint32_t busy_poll; /* 1: the socket prefers busy polling: recvfrom() has the kernel look */
};

#define CHANNEL_FRAME_CHUNKS_MAX 8

struct channel_address {
    struct channel_header header;
    struct channel_ip address;
    uint32_t ifindex;
    uint32_t present; /* 1: is there, 0: went away */
};

/* GROUPS, START, READY, ROUTES_CHANGED, STOP */
struct channel_plain {
    struct channel_header header;
};

struct channel_resolve {
    struct channel_header header;
    struct channel_ip destination;
    struct channel_ip source;
};

enum channel_next_hop_kind {
    CHANNEL_HOP_UNREACHABLE = 0, /* no route, or a route that forbids */
    CHANNEL_HOP_NIC,       /* through one of the switch's NICs, gateway resolved: mac is set */
    CHANNEL_HOP_RESOLVING, /* the same, the kernel is asking for the MAC: a NEIGHBOR will follow */
    CHANNEL_HOP_LOCAL,     /* an address of this host */
    CHANNEL_HOP_OTHER,     /* through a device that is not the switch's */
};

enum {
    CHANNEL_GUARD_POLICIES,
    CHANNEL_GUARD_PREFIXES,
    CHANNEL_GUARD_BUDGETS,
    CHANNEL_GUARD_COUNTS,
    CHANNEL_GUARD_COOKIES,
    CHANNEL_GUARD_MAPS,
    CHANNEL_GUARD_STORE = CHANNEL_GUARD_MAPS, /* memory: struct guard_store */
    CHANNEL_GUARD_FDS
};

struct channel_guard {
    struct channel_header header;
    uint32_t cpus;    /* values in one element of guard_counts */
    uint32_t may_ask; /* 1: stacks may have SYNs answered at the NIC */
};

#define CHANNEL_PROTOCOLS_MAX 256

enum channel_who { CHANNEL_WHO_NOBODY, CHANNEL_WHO_ANYBODY, CHANNEL_WHO_USER, CHANNEL_WHO_GROUP };

/* Who besides root may bind an IP protocol without a placeholder; one message for each of them. */
struct channel_protocol {
    struct channel_header header;
    uint32_t protocol;
    uint32_t has_ports; /* 1: in its first four bytes */
    uint32_t in_kernel; /* 1: the kernel has sockets of it, so a placeholder is asked for */
    uint32_t who;       /* enum channel_who */
    uint32_t id;        /* of the user or group */
    uint32_t zero;
};

#define CHANNEL_PORT_RATES_MAX 256

/* How much each port of a user, or of everybody for whom there is no line, may send. */
struct channel_port_rate {
    struct channel_header header;
    uint64_t packets_s; /* 0: as many as it likes */
    uint64_t bits_s;    /* as they take time on the wire; 0: as many as it likes */
    uint32_t who;       /* enum channel_who: CHANNEL_WHO_ANYBODY or CHANNEL_WHO_USER */
    uint32_t id;        /* of the user */
};

/* Ports in host order. */
struct channel_range {
    struct channel_header header;
    uint32_t id; /* repeated in the answer; not 0 */
    uint32_t uid;
    uint32_t protocol;
    uint32_t first;      /* a multiple of port_count; 0: any block */
    uint32_t port_count; /* a power of two */
    uint32_t zero;
};

struct channel_range_answer {
    struct channel_header header;
    uint32_t id;
    uint32_t error; /* 0 or a positive errno */
    uint32_t first;
    uint32_t zero;
};

struct channel_range_release {
    struct channel_header header;
    uint32_t protocol;
    uint32_t first;
    uint32_t port_count;
    uint32_t zero;
};

struct channel_next_hop {
    struct channel_header header;
    struct channel_ip destination; /* as in RESOLVE */
    struct channel_ip source;      /* as in RESOLVE */
    struct channel_ip gateway; /* who is asked for by ARP or ND: the gateway, or the destination */
    uint32_t kind;
    uint32_t nic;
    uint32_t mtu; /* of the route, bytes of IP packet */
    uint8_t mac[6];
    uint8_t
        prefix; /* kind NIC: it holds for all destinations with as many leading bits in common; 0:
                     * for this one alone (keeper_reach.c) */
    uint8_t zero;
};

struct channel_neighbor {
    struct channel_header header;
    struct channel_ip address;
    uint32_t ifindex;
    uint32_t valid; /* 1: mac is its address; 0: gone or failed */
    uint8_t mac[6];
    uint8_t zero[2];
};

struct channel_link {
    struct channel_header header;
    uint32_t nic;
    uint32_t mtu;
    uint32_t up;
    uint8_t mac[6];
    uint8_t zero[2];
};

/* As struct impairment has them (nic/wire_impair.h). */
struct channel_wire {
    struct channel_header header;
    uint32_t nic;
    uint32_t loss, reorder, duplicate, corrupt;
    uint32_t pad;
    uint64_t rate;
    uint64_t delay_ns;
    uint64_t seed;
};

struct channel_packet {
    struct channel_header header;
    uint32_t nic;
    uint32_t queue;
};

#define CHANNEL_WIRE_LINK_FDS 5 /* control, data to write, data to read, our wake-up, the other's */

/* As struct wire_geometry has them (wire_link.h). */
struct channel_wire_link {
    struct channel_header header;
    uint32_t nic;
    uint32_t queue;
    uint32_t end;
    uint32_t queues;
    uint32_t ring_size;
    uint32_t abilities;
};

/* Of a NIC whose sockets prefer busy polling, when its first frames have come. */
struct channel_napi {
    struct channel_header header;
    uint32_t nic;
    uint32_t found; /* 1: they came by a NAPI, which the kernel polls when it is called */
};

struct channel_wire_broken {
    struct channel_header header;
    uint32_t nic;
    uint32_t zero;
};

#endif
