/* SPDX-License-Identifier: BSD-2-Clause */
/* One stack against a script. The test is the peer: it injects segments and says what must come
 * out, and when nothing must.
 *
 *     struct tcp_test *t = tcp_established(4);
 *     peer(t, .flags = ACK, .seq = 1, .ack = 1, .length = 100);
 *     silent_for(t, 39 * MS);
 *     pass(t, 2 * MS);
 *     expect(t, .flags = ACK, .seq = 1, .ack = 101);
 *
 * Sequence numbers are counted from each side's SYN, which is 0: `seq` of the peer from the peer's,
 * its `ack` from ours, and the other way round in what is expected. Payload is a pattern that
 * follows from the sequence number, and is checked. Time is virtual. */
#ifndef TCP_TEST_H
#define TCP_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "utcp.h"
#include "wire.h"

#define MS     UINT64_C(1000)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)

enum {
    FIN = TCP_FIN,
    SYN = TCP_SYN,
    RST = TCP_RST,
    PSH = TCP_PSH,
    ACK = TCP_ACK,
    URG = TCP_URG,
    ECE = TCP_ECE,
    CWR = TCP_CWR,
    AE = TCP_AE
};

#define ANY_WINDOW 0 /* of an expected segment: whatever it is */

/* A segment, in or out. */
struct seg {
    unsigned flags;
    uint32_t seq, ack;
    uint32_t window; /* header field; in: 0 means 65535, NO_WINDOW means 0. Out: 0 means any */
    uint32_t length; /* of payload */
    uint16_t mss;    /* option; 0: none */
    uint8_t scale;   /* option; 0: none, else shift + 1 */
    bool timestamps;
    uint32_t ts_value, ts_echo;
    bool sack_permitted;
    unsigned sacks; /* blocks of a SACK option */
    struct {
        uint32_t start, end; /* counted as `ack` is */
    } sack[4];
    uint8_t fast_open; /* option: 0: none, else 1 + the cookie's bytes */
    bool experimental; /* its old number */
    uint8_t cookie[16];
    const uint8_t *options; /* raw, instead of those above; in only */
    unsigned options_length;
    uint8_t fill;       /* in: added to the pattern, so that the payload differs */
    uint16_t urgent;    /* the pointer; of an expected segment: see tcp_test.last */
    uint8_t accecn;     /* option of Accurate ECN: 0: none, else 1 + its fields, … */
    bool accecn_order1; /* … in the order of kind 174 */
    uint32_t accecn_field[3];
    uint16_t user_timeout; /* option of an expected segment, see tcp_test.last; 0: none */
    uint8_t reserved;      /* in: the four bits behind the data offset */
    uint8_t ecn;           /* IP_ECN_*; of an expected segment: see tcp_test.last */
};

#define NO_WINDOW UINT32_MAX

struct tcp_test {
    struct utcp *stack;
    uint64_t now;
    uint8_t family;
    struct utcp_endpoint us, them;
    uint32_t iss, isn; /* ours (when seen), theirs */
    bool iss_known;
    struct utcp_listener *listener;
    struct utcp_conn *conn;
    struct seg out[512]; /* sent and not yet expected */
    unsigned out_first, out_count;
    struct seg last;    /* what expect() matched last */
    unsigned sink_room; /* packets that the sink takes */
    struct utcp_offload last_offload;
    uint8_t packet[65536];
    uint32_t packet_length; /* of the last packet that was sent */
    bool many;              /* what goes to other ports of the peer is not looked at */
    bool peer_sack;         /* the peer's SYN permits SACK */
    bool peer_timestamps;   /* peer() adds the option by itself */
    uint32_t peer_ts;       /* its value; 1 more for each millisecond */
};

#define TCP_TEST(name) static void name(void **state __attribute__((unused)))

/* ── Beginning ─────────────────────────────────────────────────────────────────────────────── */

/* A stack with nothing on it. `config` may be NULL. Unless it names another, congestion control is
 * NewReno. Freed by tcp_free(), in every test's end. */
struct tcp_test *tcp_new(uint8_t family, const struct utcp_config *config);
void tcp_free(struct tcp_test *t);
void tcp_listen(struct tcp_test *t, unsigned backlog);
void tcp_connect(struct tcp_test *t);

/* Handshakes without options but MSS 1460 (1440 with IPv6), the peer's window 65535. */
struct tcp_test *tcp_established(uint8_t family); /* passive */
struct tcp_test *tcp_connected(uint8_t family);   /* active */
void tcp_handshake(struct tcp_test *t, struct seg syn);
/* With timestamps, which the peer adds to all it sends from then on. */
struct tcp_test *tcp_established_timestamps(uint8_t family);
/* With SACK, and with timestamps or without. */
struct tcp_test *tcp_established_sack(uint8_t family, bool timestamps);

/* A connection that has come to `state` in the usual way, nothing outstanding. What a segment must
 * have as seq and ack to be in order follows in *seq and *ack. */
struct tcp_test *tcp_in_state(uint8_t family, enum utcp_state state, uint32_t *seq, uint32_t *ack);

/* ── Doing ─────────────────────────────────────────────────────────────────────────────────── */

#define peer(t, ...) tcp_peer(t, (struct seg){__VA_ARGS__})
void tcp_peer(struct tcp_test *t, struct seg segment);
/* The segment as a packet, for those that want to spoil it; returns its length. */
size_t tcp_build(struct tcp_test *t, struct seg segment, uint8_t *packet);
void tcp_inject(struct tcp_test *t, const void *packet, size_t length, unsigned flags);
/* ICMP says (by IPv4) that the packet that was sent last is unreachable, with this code and MTU. */
void tcp_unreachable(struct tcp_test *t, uint8_t code, uint16_t mtu);
/* ICMP says, with either family, that the packet that was sent last is too big: `mtu` bytes pass. */
void tcp_too_big(struct tcp_test *t, uint32_t mtu);
/* Recomputes both checksums of a packet that tcp_build() made. */
void tcp_fix_checksums(uint8_t *packet, size_t length);

void tcp_write(struct tcp_test *t, uint32_t offset, uint32_t size); /* all of it must be taken */
ptrdiff_t tcp_write_some(struct tcp_test *t, uint32_t offset, uint32_t size); /* as utcp_write() */
ptrdiff_t tcp_write_record(struct tcp_test *t, uint32_t offset, uint32_t size); /* the same */
/* Reads all that is there, checks that it is the pattern from `offset` on; returns how much. */
uint32_t tcp_read(struct tcp_test *t, uint32_t offset);
uint32_t tcp_events(struct tcp_test *t); /* of the connection, since the last call */

/* Time goes on, timers run, what is sent is kept for expect(). */
void pass(struct tcp_test *t, uint64_t us);

/* ── Expecting ─────────────────────────────────────────────────────────────────────────────── */

#define expect(t, ...)     tcp_expect(t, (struct seg){__VA_ARGS__}, __FILE__, __LINE__)
#define expect_nothing(t)  tcp_expect_nothing(t, __FILE__, __LINE__)
#define silent_for(t, us)  tcp_silent_for(t, us, __FILE__, __LINE__)
#define expect_state(t, s) tcp_expect_state(t, s, __FILE__, __LINE__)
/* Nothing until `us` from now, within two ticks of the wheel, and then that segment. */
#define expect_after(t, us, ...)                                                                   \
    tcp_expect_after(t, us, (struct seg){__VA_ARGS__}, __FILE__, __LINE__)

void tcp_expect_after(struct tcp_test *t, uint64_t us, struct seg segment, const char *file,
                      int line);
void tcp_expect(struct tcp_test *t, struct seg segment, const char *file, int line);
void tcp_expect_nothing(struct tcp_test *t, const char *file, int line);
void tcp_silent_for(struct tcp_test *t, uint64_t us, const char *file, int line);
void tcp_expect_state(struct tcp_test *t, enum utcp_state state, const char *file, int line);
struct utcp_stats tcp_stats(struct tcp_test *t);
struct utcp_info tcp_info(struct tcp_test *t);
/* The connection of the script's endpoints has gone from the stack. */
bool tcp_gone(struct tcp_test *t);

#endif
