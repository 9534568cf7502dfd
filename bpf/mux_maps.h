/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The maps that the mux program shares with multistackd: layouts and who writes what.
 *
 *   map            key               value            written by           read by
 *   mux_bindings   struct mux_key    __u32 guard id   switch (bind/unbind) mux
 *                                                     keeper (clears it when a switch dies)
 *   mux_addresses  struct mux_addr   __u32 ifindex    keeper (netlink)     mux
 *   mux_shared     0                 struct mux_shared  switch (mmap)      mux
 *   mux_nic        0                 struct mux_nic   keeper               mux; one per NIC
 *   mux_sockets    queue             AF_XDP socket    keeper               mux; one per NIC
 *   mux_fragments  struct mux_fragment  struct mux_first  mux              mux; one per NIC
 *   mux_verdicts   enum mux_verdict  __u64 per CPU    mux                  switch; one per NIC
 *
 * The first three are shared by the programs on all NICs, the others belong to one NIC. The guard's own
 * maps are in guard_maps.h; the value in mux_bindings is the id of the 3-tuple's rules, 0 where it has
 * none. */
#ifndef MULTISTACK_MUX_MAPS_H
#define MULTISTACK_MUX_MAPS_H

#include <linux/types.h>

#define MUX_BINDINGS_MAX                                                                           \
    131072 /* 65,536 bindings, and as many again so that the hash stays short */
#define MUX_ADDRESSES_MAX 4096
#define MUX_QUEUES_MAX    64
#define MUX_FRAGMENTS_MAX 2048 /* fragmented datagrams whose later fragments are known */

/* How long a first fragment claims the others of its datagram: what Linux waits for them. */
#define MUX_FRAGMENT_TIMEOUT_NS (30 * 1000 * 1000 * 1000ULL)

/* IPv6 extension headers that are walked; a packet with more, or with longer ones, passes. The
 * switch walks as far (packet.c). */
#define MUX_EXTENSIONS_MAX      6
#define MUX_EXTENSION_BYTES_MAX 160 /* of all together */

/* A switch that has not moved its heartbeat for so long is taken to hang: claimed packets then pass
 * to the host stack, where the placeholders swallow them. */
#define MUX_HEARTBEAT_TIMEOUT_NS (500 * 1000 * 1000ULL)

/* A range of 2^n ports is an element as well: its key has the first port, which is a multiple of its
 * size, and n in the upper half of the family. The guard has no rules for it alone. */
#define MUX_RANGE_BITS_MIN 6 /* 64 ports */
#define MUX_RANGE_BITS_MAX 14
#define MUX_RANGE_SHIFT    4

/* A 3-tuple. IPv4 addresses stand in the first four bytes, the rest is zero; the wildcard address
 * is all zero. Ports are in network order. No padding: the kernel hashes every byte. */
struct mux_key {
    __u8 family;   /* 4 or 6, and of ranges more */
    __u8 protocol; /* IP protocol number */
    __be16 port;
    __u8 address[16];
};

/* An address of this host, in the same notation. */
struct mux_addr {
    __u8 family;
    __u8 zero[3];
    __u8 address[16];
};

/* What is bound of a protocol at all: most look-ups need not be made. Shifted left by MUX_BOUND_IPV6
 * for IPv6, but for MUX_BOUND_PORTS. */
#define MUX_BOUND_EXACT    0x1
#define MUX_BOUND_WILDCARD 0x2
#define MUX_BOUND_IPV6     2
#define MUX_BOUND_PORTS    0x10 /* the protocol has ports in its first four bytes */
#define MUX_BOUND_RANGE    0x20 /* ranges of ports */

/* Lives in a BPF_F_MMAPABLE array of one element, so that a heartbeat is one store and no system
 * call. Written by the switch, `bound` cleared by the keeper when a switch dies. */
struct mux_shared {
    __u64 heartbeat_ns; /* CLOCK_MONOTONIC when the switch last went round its loop; 0: no switch */
    __u8 bound[256];    /* MUX_BOUND_* by protocol */
    __u32 guard;        /* 0: the guard has no rules for all bindings */
    __u32 range_sizes;  /* bit n: there are ranges of 2^n ports */
};

/* A fragmented datagram: RFC 791 section 3.2, RFC 8200 section 4.5 (whose id is of 32 bits, and
 * which leaves the protocol out). Addresses in the notation above. */
struct mux_fragment {
    __u8 source[16], destination[16];
    __u32 id; /* as it stands in the packet */
    __u8 family;
    __u8 protocol; /* IPv4 alone */
    __u8 zero[2];
};

/* What is known of its first fragment. */
struct mux_first {
    __u64 seen_ns;
    __u32 policy; /* as in mux_bindings */
    __u32 zero;
};

/* What becomes of a frame that the program sends back (XDP_TX). */
#define MUX_WAY_NONE    0 /* it may be lost: nothing is sent */
#define MUX_WAY_NATIVE  1
#define MUX_WAY_GENERIC 2 /* the kernel sends it as it does any packet of its own */

struct mux_nic {
    __u8 mac[6];
    __u8 way; /* MUX_WAY_* */
    __u8 zero;
};

#endif
