/* SPDX-License-Identifier: BSD-2-Clause */
/* Congestion controls for libutcp, as modules; doc/congestion.md tells how to write one.
 *
 * A module says how much may be in flight (`cwnd`) and, when it wants to, how fast (`pacing_rate`).
 * Which segments are lost and when they are sent again is loss recovery's business, which calls the
 * hooks below. A module keeps what it knows of a connection in `priv`, must not allocate, and
 * bounds its own loops: the hooks run once for each acknowledgment. Amounts are bytes, times
 * microseconds of the stack's clock, rates bytes per second.
 *
 * A module is compiled against the header of the library that it is used with: struct and hooks may
 * grow with a release. */
#ifndef UTCP_CONGESTION_H
#define UTCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UTCP_CC_CWND_MAX (UINT32_C(1) << 30) /* TCP's largest window, RFC 7323 section 2.3 */

struct utcp_cc {
    const struct utcp_cc_ops *ops;
    uint32_t cwnd;     /* at least one mss, at most UTCP_CC_CWND_MAX (the library sees to both) */
    uint32_t ssthresh; /* below it the window opens fast; at first without limit */
    uint32_t mss;      /* payload of a full segment now */
    uint32_t prior_cwnd, prior_ssthresh; /* before the last reduction; the library's */
    uint64_t pacing_rate;                /* 0: segments leave as soon as cwnd lets them */
    uint64_t priv[12];                   /* the module's own, zero at first */
};

/* An acknowledgment of new data. */
struct utcp_cc_ack {
    uint64_t now;
    uint32_t acked;     /* bytes that it says were delivered */
    uint32_t marked;    /* how many of them, by ECN's echo, met congestion (RFC 8257: exact) */
    uint32_t in_flight; /* before it came */
    uint64_t rtt_us;  /* round-trip time of what it acknowledges, a minute at most; 0: not known */
    uint64_t srtt_us; /* smoothed; 0: nothing was measured yet */
    uint64_t delivered; /* bytes delivered since the connection began */
    uint64_t rate;      /* delivery rate since what it acknowledges was sent; 0: not known. Only */
                        /* for modules with `wants_rate` */
    bool rate_limited;  /* … but the application had not written enough to fill the window */
    bool round;         /* the first of a new round trip: what was sent in the last one is back */
    bool recovering;    /* losses are being repaired, by fast retransmit or after a timeout */
    bool grow;          /* no fast recovery, and the window had been used: a reason to open it */
};

struct utcp_cc_ops {
    const char *name;
    bool wants_ecn;  /* asks for ECN whatever the configuration says, with the exact echo of 8257 */
    bool wants_rate; /* delivery rates are measured */
    bool own_window; /* cwnd in and after recovery is the module's alone */
    bool in_range;   /* acked() leaves cwnd and ssthresh in their ranges: nobody has to look */

    /* The connection is established, or changes to this module: cwnd and ssthresh have values.
     * srtt_us may be 0: not known yet. */
    void (*init)(struct utcp_cc *cc, uint64_t srtt_us, uint64_t now);
    void (*acked)(struct utcp_cc *cc, const struct utcp_cc_ack *ack);
    /* A loss was found by acknowledgments, at most once for each window of data. Sets ssthresh, and
     * cwnd to what is to be in flight from now on. */
    void (*lost)(struct utcp_cc *cc, uint32_t in_flight, uint64_t now);
    /* The retransmission timer ran out for the first time for this data. Sets ssthresh; cwnd
     * becomes one segment behind it. */
    void (*timed_out)(struct utcp_cc *cc, uint32_t in_flight, uint64_t now);

    /* The rest may be NULL. */

    /* The receiver has told of congestion (ECN), at most once for each window of data. NULL: as
     * lost(), RFC 3168 section 6.1.2. */
    void (*ecn)(struct utcp_cc *cc, uint32_t in_flight, uint64_t now);
    /* What lost() or timed_out() was called for last had not been lost. cwnd and ssthresh are back
     * already. */
    void (*undo)(struct utcp_cc *cc);
    /* Something is to be sent again after more than a retransmission timeout of silence. NULL: cwnd
     * falls to the initial window (RFC 5681 section 4.1); of a paced connection, by half for each
     * such timeout, and no lower than that (RFC 2861). */
    void (*idle)(struct utcp_cc *cc, uint64_t idle_us, uint64_t now);
};

#ifdef __cplusplus
}
#endif

#endif
