/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection tells of itself and TCP does without: counters (info.c), what held a sender back
 * (busy.c), traces (trace.c). The last part of utcp_internal.h, by which it is included. */
#ifndef UTCP_TOLD_H
#define UTCP_TOLD_H

#include "path.h"

/* What keeps a connection from sending more: busy.c. */
enum utcp_limit {
    LIMIT_NOTHING_TO_SEND,
    LIMIT_NETWORK, /* congestion control, loss recovery, pacing */
    LIMIT_WINDOW,  /* the peer's */
    LIMIT_BUFFER,  /* a writer waits for room, and all that is in the send buffer was sent */
    LIMITS,
};

/* The search for a larger path MTU (mtu.c). Sizes are bytes of IP packet. */
struct utcp_mtu_search {
    uint16_t low, high;     /* passes; is not known not to. high 0: nothing is searched for */
    uint16_t probe;         /* what is out; 0: nothing, or its fate is known */
    bool high_first;        /* the next one is `high` */
    bool too_large;         /* start to end are no probe: path_mtu was lowered behind their back */
    uint32_t start, end;    /* sequence numbers of the last probe; equal: all of that is over */
    uint32_t retransmitted; /* segments_retransmitted when it was sent */
    uint64_t next_at;       /* no probe before */
};

/* What is counted of things that do not happen to each connection: memory that an idle one goes
 * without. Made when the first of them happens (utcp__more()). */
struct utcp_more {
    uint64_t bytes_retransmitted;
    uint64_t delivered_marked; /* bytes acknowledged with ECN's echo */
    uint64_t limited_us[2]; /* under LIMIT_WINDOW and LIMIT_BUFFER, but for the time since then */
    uint32_t fast_retransmits, spurious, probes, duplicates_told;
    uint32_t timeouts, timeout_recoveries;
    uint32_t timeout_ms;          /* from a first timeout until something was acknowledged */
    uint32_t timeout_since;       /* ms of the stack's clock; 0: nothing has timed out */
    uint32_t out_of_order;        /* segments that came before what precedes them */
    uint32_t reordered;           /* ranges that arrived behind what was sent later */
    uint32_t reordering_distance; /* most bytes between those two */

    /* Of a sender: how much was delivered in a round trip. */
    uint64_t round_at;         /* when this one began, 0: not known … */
    uint64_t round_from;       /* … and what had been delivered by then */
    uint64_t last_round_us;    /* how long the one before took; 0: there was none */
    uint64_t last_round_bytes; /* what was delivered in it */
    bool last_round_limited;   /* for which the application had written too little */

    uint32_t not_sent_low;        /* UTCP_OPTION_NOT_SENT_LOW */
    uint64_t pacing_most;         /* bytes/s; 0: no limit */
    uint32_t fin_wait_ms;         /* UTCP_OPTION_FIN_WAIT_US; 0: UTCP_FIN_WAIT_2_LIMIT */
    struct utcp_records *records; /* records.c; NULL: there are none */
    struct utcp_times *times;     /* times.c; while `timed` */
    struct utcp_arrivals *arrivals;

    struct utcp_mtu_search mtu;

    /* A window that stays closed (stall.c): since when, snd_una then, and when it was last seen. */
    uint32_t stalled_una;
    uint64_t stalled_at, stall_seen_at;
};

/* ── info.c ────────────────────────────────────────────────────────────────────────────────── */

/* Made if it is not there; NULL: no memory. */
struct utcp_more *utcp__more(struct utcp_conn *conn);
/* What is counted for lack of memory is not counted. */
#define UTCP_COUNT(conn, field, amount)                                                            \
    do {                                                                                           \
        struct utcp_more *more_ = utcp__more(conn);                                                \
        if (more_)                                                                                 \
            more_->field += (amount);                                                              \
    } while (0)
void utcp__count_reordered(struct utcp_conn *conn, uint32_t distance);
void utcp__count_timeout(struct utcp_conn *conn);
/* Something was acknowledged: that ends what timeouts began. */
void utcp__count_timeouts_over(struct utcp_conn *conn);
/* Something is sent after a pause, which is no part of a round trip. */
void utcp__count_flight(struct utcp_conn *conn);
/* A round trip is over; what was in flight in it had used the window. */
void utcp__count_round(struct utcp_conn *conn, bool window_used);

/* ── stall.c ────────────────────────────────────────────────────────────────────────────────── */

/* A probe is due: whether the window has been closed for too long, so that the connection is ended. */
bool utcp__stalled_too_long(struct utcp_conn *conn);

/* ── mtu.c ──────────────────────────────────────────────────────────────────────────────────── */

/* Data in flight have timed out; `retries` counts that already. True: they were too large, as was found
 * out since, and are sent again: it is no congestion. */
bool utcp__mtu_timed_out(struct utcp_conn *conn);
/* ICMP has lowered path_mtu. */
void utcp__mtu_lowered(struct utcp_conn *conn);
/* Another connection has found out that the path passes `mtu`, less than path_mtu, and no more; a search
 * may begin at `again_at`. */
void utcp__mtu_told(struct utcp_conn *conn, uint32_t mtu, uint64_t again_at);
/* Whether what was sent at `seq` was larger than what that has told since; says so once. */
bool utcp__mtu_too_large(struct utcp_conn *conn, uint32_t seq);
/* ICMP says that the packet at `seq` was larger than `mtu` (0: it does not say). True: it was a probe,
 * and that is all. */
bool utcp__mtu_refused(struct utcp_conn *conn, uint32_t seq, uint32_t mtu);
/* While more->mtu.high: a round trip is over. */
void utcp__mtu_round(struct utcp_conn *conn);
/* While UTCP_PROBE_MTU is due: whether a probe is sent, of *length bytes of payload; or nothing new
 * until the congestion window has room for it. */
enum utcp_mtu_turn { MTU_NOT_NOW, MTU_WAIT, MTU_SEND };
enum utcp_mtu_turn utcp__mtu_turn(struct utcp_conn *conn, uint32_t *length);
void utcp__mtu_probe_sent(struct utcp_conn *conn, uint32_t seq, uint32_t length);
/* Something was lost: true when it was a probe alone, which is no sign of congestion. */
bool utcp__mtu_probe_lost(struct utcp_conn *conn);

/* ── records.c ─────────────────────────────────────────────────────────────────────────────── */

#define UTCP_RECORDS_MAX 4096 /* that end in what is not acknowledged */

/* For one more: 0, -EAGAIN (there are as many as there may be) or -ENOMEM. */
int utcp__records_make_room(struct utcp_conn *conn);
/* After that: a record ends with what was written last. */
void utcp__record_end(struct utcp_conn *conn);
bool utcp__records_full(const struct utcp_conn *conn);
/* While more->records: bytes from `seq`, which is snd_una or later, to the end of its record;
 * UINT32_MAX: it has none yet. */
uint32_t utcp__record_left(struct utcp_conn *conn, uint32_t seq);
/* Bytes of memory that they take. */
size_t utcp__records_size(const struct utcp_conn *conn);
void utcp__records_dispose(struct utcp_conn *conn);

/* ── times.c ───────────────────────────────────────────────────────────────────────────────── */

/* While `timed`: snd_max has moved; send.una has. */
void utcp__times_sent(struct utcp_conn *conn);
void utcp__times_acknowledged(struct utcp_conn *conn);
/* 0 or -ENOMEM. */
int utcp__arrivals_watch(struct utcp_conn *conn, bool on);
/* While `arrivals`: receive.next has moved; receive.read has. */
void utcp__arrived(struct utcp_conn *conn);
void utcp__arrivals_read(struct utcp_conn *conn);
/* Bytes of memory that they take. */
size_t utcp__times_size(const struct utcp_conn *conn);
void utcp__times_dispose(struct utcp_conn *conn);

/* ── busy.c ────────────────────────────────────────────────────────────────────────────────── */

/* What holds back something that was never sent, `unsent` bytes. */
enum utcp_limit utcp__held_by(const struct utcp_conn *conn, uint64_t unsent);
void utcp__busy_changed(struct utcp_conn *conn, enum utcp_limit limit);
/* All was sent that may be sent now. */
static inline void utcp__busy_update(struct utcp_conn *conn)
{
    uint64_t buffered = conn->send.end - conn->send.una;
    enum utcp_limit limit = LIMIT_NOTHING_TO_SEND;

    if (buffered > utcp__in_flight(conn))
        limit = utcp__held_by(conn, buffered - utcp__in_flight(conn));
    else if (buffered)
        limit = conn->write_blocked ? LIMIT_BUFFER : LIMIT_NETWORK;
    if (limit != conn->limit)
        utcp__busy_changed(conn, limit);
}
/* Time under a limit, the present one included; µs. */
uint64_t utcp__busy_time(const struct utcp_conn *conn, enum utcp_limit limit);

/* ── trace.c ───────────────────────────────────────────────────────────────────────────────── */

/* Of a new connection, where there is a tracer. */
void utcp__trace_begin(struct utcp_conn *conn);
/* The others only for connections that are traced. Not inlined, for whoever has such an event needs a stack for it. */
__attribute__((cold, noinline)) void utcp__trace(const struct utcp_conn *conn,
                                                 struct utcp_trace_event event);
void utcp__trace_received(const struct utcp_conn *conn, const struct utcp_segment *segment);
/* What stands in its header, and how much payload. */
void utcp__trace_sent(const struct utcp_conn *conn, uint32_t seq, uint32_t ack, uint16_t window,
                      uint32_t length, uint16_t flags);

static inline void utcp__trace_reason(const struct utcp_conn *conn, enum utcp_trace_kind kind,
                                      const char *reason)
{
    if (conn && conn->traced)
        utcp__trace(conn, (struct utcp_trace_event){.kind = kind, .reason = reason});
}

#endif
