/* SPDX-License-Identifier: BSD-2-Clause */
/* Congestion controls as modules: a file with the hooks below, and a line in the table of
 * congestion.c.
 *
 * A congestion control says how much may be in flight (`cwnd`); which segments are lost and when
 * they are sent again is loss recovery's business (recovery.c), which calls the hooks. All amounts
 * are bytes. */
#ifndef UTCP_CONGESTION_H
#define UTCP_CONGESTION_H

#include <stdint.h>

struct utcp_cc {
    const struct utcp_cc_ops *ops;
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t mss;     /* of a full segment now */
    uint64_t priv[6]; /* the module's own */
};

struct utcp_cc_ack {
    uint64_t now;
    uint32_t acked;     /* bytes newly acknowledged */
    uint32_t in_flight; /* before this acknowledgment */
    uint64_t rtt_us;    /* sample, or 0 */
};

struct utcp_cc_ops {
    const char *name;
    /* The connection is established; cwnd and ssthresh have their initial values. */
    void (*start)(struct utcp_cc *cc);
    /* New data were acknowledged outside of recovery, and cwnd had been used. */
    void (*acked)(struct utcp_cc *cc, const struct utcp_cc_ack *ack);
    /* A loss was found by duplicate acknowledgments: sets ssthresh, and cwnd to what is to be in
     * flight from now on. Called once for each window of data. */
    void (*lost)(struct utcp_cc *cc, uint32_t in_flight, uint64_t now);
    /* The retransmission timer ran out for the first time for this data: sets ssthresh; cwnd is
     * set to one segment by the caller. */
    void (*timed_out)(struct utcp_cc *cc, uint32_t in_flight, uint64_t now);
};

extern const struct utcp_cc_ops utcp__newreno;

/* By name; NULL names the default. NULL: unknown. */
const struct utcp_cc_ops *utcp__congestion_find(const char *name);

/* The initial window for segments of `mss` bytes: RFC 6928 section 2. */
uint32_t utcp__initial_window(uint32_t mss);

#endif
