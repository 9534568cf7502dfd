/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch on a bench: its real core and data path, between a NIC made of arrays, a keeper made of
 * one end of a socket pair, and applications in this process that map their port's memory a second
 * time, as an application does. Time stands still unless a test moves it. */
#ifndef MULTISTACK_TESTS_SWITCH_BENCH_H
#define MULTISTACK_TESTS_SWITCH_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core.h"
#include "forward.h"

#define BENCH_FRAMES_MAX 2048
#define BENCH_FRAME_SIZE 2048
#define BENCH_MTU        1500
#define BENCH_RING_SIZE  (64 * 1024)
#define BENCH_LARGE_MAX  8
#define BENCH_LARGE_SIZE (ETHER_HEADER_SIZE + IP_PACKET_MAX)

/* A frame on the bench's wire. */
struct bench_frame {
    uint8_t bytes[BENCH_FRAME_SIZE];
    uint32_t length;
};

/* A frame that a NIC that can segment was given, longer than BENCH_FRAME_SIZE. */
struct bench_large {
    uint8_t bytes[BENCH_LARGE_SIZE];
    uint32_t length;
    bool offloaded;
    struct nic_offload offload;
    uint32_t after;      /* ordinary frames that were committed before it */
    uint32_t head;       /* bytes that were in the frame when it was committed; 0: all */
    const uint8_t *rest; /* the others; NULL: none, or settled */
};

struct bench {
    struct switch_core *core;
    struct worker *worker;
    struct nic *nic;
    int keeper; /* the keeper's end of the channel */
    /* receiving: frames that wait, each in pieces of piece_size */
    uint8_t *rx_bytes[NIC_BATCH];
    uint32_t rx_lengths[NIC_BATCH];
    struct nic_piece rx_pieces[NIC_BATCH][NIC_FRAME_PIECES_MAX];
    uint32_t rx_count, rx_taken;
    uint32_t piece_size;
    /* sending */
    struct bench_frame *tx; /* what was committed */
    uint32_t tx_count;
    uint32_t tx_room; /* frames that the NIC takes until it is full */
    uint32_t flushes;
    struct bench_large *large; /* NULL: the NIC cannot */
    uint32_t large_count, large_room;
    uint32_t settled;                  /* calls of settle() */
    const struct ring_control *looked; /* a ring whose head settle() notes: NULL, none */
    uint32_t head_seen;
};

/* An application's side of one ring. */
struct bench_app {
    struct port *port;
    uint8_t *region;
    struct ring_consumer rx;
    struct ring_producer tx;
};

struct bench *bench_open(void);
void bench_close(struct bench *bench);

/* A port of one ring; sizes 0: BENCH_RING_SIZE. */
struct bench_app bench_app_open(struct bench *bench, bool merged, uint32_t size);
/* Binds "1.2.3.4" or "::1", port in host order, to the application's port. */
void bench_bind(struct bench *bench, struct bench_app *app, uint8_t protocol, const char *address,
                uint16_t port);
void bench_app_close(struct bench *bench, struct bench_app *app);

/* Puts a record into the TX ring and publishes it. True: an application would now wake the switch. */
bool bench_send(struct bench_app *app, const struct ring_record *record, const void *packet);
/* The next record of the RX ring; NULL: none. */
const uint8_t *bench_receive(struct bench_app *app, struct ring_record *record);

/* Puts a frame on the wire towards the NIC: an Ethernet header and `packet`. */
void bench_arrive(struct bench *bench, const void *packet, uint32_t length);

/* From now on the NIC segments and fills in checksums. */
void bench_segments(struct bench *bench);

/* The keeper's answer: every destination goes through the NIC, or as said. */
void bench_answer(struct bench *bench, const char *destination, const char *source,
                  enum channel_next_hop_kind kind, uint32_t mtu);
/* The same by NIC, through a gateway, for all destinations with as many leading bits in common. */
void bench_answer_prefix(struct bench *bench, const char *destination, const char *source,
                         const char *gateway, uint8_t prefix);
/* Whether the switch has asked the keeper; takes the question. */
bool bench_asked(struct bench *bench, struct channel_resolve *question);

/* Packets, whole and right, written to `out`; return their length. Addresses as text; IPv4 or IPv6
 * by their look. */
struct bench_packet {
    const char *source, *destination;
    uint16_t source_port, destination_port;
    uint8_t protocol;
    uint8_t flags; /* TCP's */
    uint32_t sequence;
    uint32_t payload; /* bytes, counting up */
};

uint32_t bench_packet(uint8_t *out, const struct bench_packet *packet);
/* Whether the transport checksum of a packet is right. */
bool bench_checksum_good(const uint8_t *packet, uint32_t length);

/* For cmocka: each test has a bench of its own in *state. */
int bench_set_up(void **state);
int bench_tear_down(void **state);
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

/* A segment of TCP from the peer to port 80, and one of the answer. */
extern const struct bench_packet bench_from_peer, bench_to_peer;
/* An application that has bound TCP port 80 of the wildcard address. */
struct bench_app bench_server(struct bench *bench);
/* Makes the way to the peer known. */
void bench_resolve(struct bench *bench);

uint64_t bench_ring_drops(const struct bench_app *app, enum drop_reason reason);
uint64_t bench_nic_drops(const struct bench *bench, enum drop_reason reason);

#define BENCH_HOST4 "10.0.0.1"
#define BENCH_HOST6 "fd00::1"
#define BENCH_PEER4 "10.0.0.2"
#define BENCH_PEER6 "fd00::2"

#endif
