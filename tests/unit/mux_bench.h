/* SPDX-License-Identifier: BSD-2-Clause */
/* The mux on a bench: loaded, with a host and bindings that the tests know, and run by the kernel
 * (BPF_PROG_TEST_RUN) on frames that are made here. */
#ifndef MULTISTACK_MUX_BENCH_H
#define MULTISTACK_MUX_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "mux.skel.h"
#include "mux_maps.h"
#include "reasons.h"

#define FRAME_SIZE  2048
#define GOOD_FRAMES 6

#define IP4 14
#define IP6 14
#define L4  34 /* transport header behind IPv4 */
#define L6  54 /* and behind IPv6 */

struct frame {
    uint8_t bytes[FRAME_SIZE];
    uint32_t size;
    uint32_t transport; /* offset of the transport header */
};

extern struct mux_bpf *mux;
extern const uint8_t our_mac[6], our_ip4[4], peer_ip4[4], our_ip6[16], peer_ip6[16];
extern void (*const good_frames[GOOD_FRAMES])(struct frame *);

const char *verdict_name(enum mux_verdict verdict);
void bind_tuple(uint8_t family, uint8_t protocol, const uint8_t *address, uint16_t port);
void bind_range(uint8_t family, uint8_t protocol, const uint8_t *address, uint16_t first,
                uint32_t port_count);
void add_address(uint8_t family, const uint8_t *address);
void set_heartbeat(uint64_t ns);
/* A heartbeat that is an hour ahead, as it may be: however long the machine keeps a test from running,
 * its switch does not seem to hang. So it is at first. */
void keep_switch_alive(void);
/* Whether there are rules for all bindings. */
void set_guard(uint32_t flags);
uint64_t now_ns(void);
/* A new socket for the first queue; its descriptor, or -1. */
int socket_in_map(void);

/* `linear` bytes lie in the linear part, the rest in a fragment. The verdict that was counted, or -1
 * where the kernel cannot do that in a test. */
int run_split(const uint8_t *bytes, uint32_t size, uint32_t linear);
enum mux_verdict run(const uint8_t *bytes, uint32_t size);

/* Good frames, whole and in parts, one part behind the other. */
void put_ether(struct frame *frame, uint16_t type);
void put_ipv4(struct frame *frame, uint8_t protocol, uint16_t payload);
void put_ipv6(struct frame *frame, uint8_t protocol, uint16_t payload);
void put_udp(struct frame *frame, uint16_t payload);
void tcp4(struct frame *frame);
void tcp6(struct frame *frame);
void udp4(struct frame *frame);
void udp6(struct frame *frame);
void icmp4(struct frame *frame);
void icmp6(struct frame *frame);

/* Loads the mux and runs the tests. The process's exit status; 77 where it may not be loaded. */
int mux_bench_run(const char *name, const struct CMUnitTest *tests, size_t count);

#endif
