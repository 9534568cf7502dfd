/* SPDX-License-Identifier: BSD-2-Clause */
/* Two stacks and the wire between them, in virtual time, by seed.
 *
 *   application 0 ─ stack 0 ═══ link 0 ══▶ ═══ stack 1 ─ application 1
 *                           ◀══ link 1 ═══
 *
 * Each link has a rate, a delay and a short queue (beyond it the sink is full), and loses,
 * reorders, duplicates and corrupts packets as it is told. Each application sends a number of bytes
 * of a pattern, checks every byte that it receives, and closes as it is told. */
#ifndef SIMULATOR_H
#define SIMULATOR_H

#include "utcp.h"

struct sim_link {
    unsigned loss, reorder, duplicate, corrupt; /* of 1000 packets */
    unsigned mark;                              /* of 1000 that are capable of ECN; IPv4 */
    uint64_t delay_us;
    uint64_t rate;      /* bytes per ms; 0: without limit */
    uint64_t queue_us;  /* how long a packet may have to wait; beyond it the sink is full */
    uint32_t mtu;       /* packets above it get an ICMP error; 0: none */
    uint32_t hole;      /* packets above it are lost without a word; 0: none */
    bool cut;           /* large segments arrive as full ones (else merged, checksum partial) */
    bool verified;      /* somebody looks at checksums, as a switch does, and drops what is wrong */
    unsigned lose_next; /* so many packets are lost */
};

enum sim_close {
    SIM_SHUTDOWN,      /* when all is written; close when the peer has finished, too */
    SIM_CLOSE,         /* close as soon as all is written and all that is awaited was read */
    SIM_WAIT_FOR_PEER, /* shut down only after the peer has finished */
};

struct sim_app {
    uint64_t to_send, to_receive; /* bytes */
    enum sim_close close;
    bool by_reference;      /* write_ref() instead of write() */
    bool by_record;         /* write_record() */
    uint64_t read_pause_us; /* between reads; 0: reads at once */
    size_t read_size;       /* most bytes in a read; 0: without limit */
    size_t write_size;      /* most bytes in a write; 0: without limit */

    struct utcp_conn *conn;
    uint64_t sent, received;
    bool connected, finished, shut, closed, failed;
    int error;
    uint64_t read_again_at;
    uint64_t released, referred; /* bytes of references */
};

struct sim;

struct sim_config {
    uint64_t seed, start; /* start: first value of the clock, µs */
    uint8_t family;
    struct utcp_config stack[2];
    struct sim_link link[2]; /* link[i] leads away from stack i */
    struct sim_app app[2];   /* 0 connects, 1 listens */
    bool both_connect;       /* simultaneous open */
    bool fast_open;          /* data go with the SYN (RFC 7413, without cookies) */
    /* NULL, or called with each packet that a stack has taken. */
    void (*watch)(void *context, const struct utcp *stack);
    void *watch_context;
};

struct sim *sim_new(const struct sim_config *config);
void sim_free(struct sim *sim);

/* Goes on until both applications have closed and nothing is left to happen before TIME-WAIT is
 * over, or until `limit` of virtual time has gone by. True: both closed. */
bool sim_run(struct sim *sim, uint64_t limit_us);

uint64_t sim_now(const struct sim *sim);
struct sim_app *sim_app(struct sim *sim, int side);
struct utcp *sim_stack(struct sim *sim, int side);
struct sim_link *sim_link(struct sim *sim, int side);

/* The start of the clock with which side 0's first sequence number is `iss`. */
uint64_t sim_start_for_iss(const struct sim_config *config, uint32_t iss);

#endif
