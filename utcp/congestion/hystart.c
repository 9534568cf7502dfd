/* SPDX-License-Identifier: BSD-2-Clause */
/* HyStart++, RFC 9406: slow start that ends when round-trip times begin to grow, before a queue
 * overflows and half a window of segments is lost at once.
 *
 * When the least round-trip time of a round is clearly above that of the last one, the window opens
 * at a quarter of the speed for up to five rounds (conservative slow start). If round-trip times
 * fall below where they were when that began, it was a false alarm and slow start goes on; else it
 * is over. Below eight samples in a round nothing is concluded: that is what a path without
 * timestamps gives, and there slow start is that of RFC 5681. */
#include "congestion.h"

/* RFC 9406 section 4.3. */
#define MIN_RTT_THRESHOLD  4000 /* µs */
#define MAX_RTT_THRESHOLD  16000
#define MIN_RTT_DIVISOR    8
#define SAMPLES            8
#define CSS_GROWTH_DIVISOR 4
#define CSS_ROUNDS         5
/* Most that one ACK opens the window by: RFC 9406 recommends 8 segments. But who merges segments before
 * TCP sees them acknowledges once for a packet of up to 64 KiB, and that is then what goes out again
 * as one packet: with 8 segments for it slow start would be hardly faster than what follows it. */
#define SEGMENTS_NOT_PACED 8
#define BYTES_NOT_PACED    65535

void utcp__hystart_init(struct utcp_hystart *hystart)
{
    *hystart = (struct utcp_hystart){.last_min_rtt = UINT32_MAX, .min_rtt = UINT32_MAX};
}

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

static void new_round(struct utcp_hystart *hystart, struct utcp_cc *cc)
{
    hystart->last_min_rtt = hystart->min_rtt;
    hystart->min_rtt = UINT32_MAX;
    hystart->samples = 0;
    if (hystart->rounds && ++hystart->rounds > CSS_ROUNDS)
        cc->ssthresh = cc->cwnd;
}

static void take_sample(struct utcp_hystart *hystart, uint32_t rtt)
{
    if (rtt < hystart->min_rtt)
        hystart->min_rtt = rtt;
    if (hystart->samples < SAMPLES - 1) { /* of those before this one */
        hystart->samples++;
        return;
    }
    if (hystart->rounds) {
        if (hystart->min_rtt < hystart->baseline)
            hystart->rounds = 0;
    } else if (hystart->last_min_rtt != UINT32_MAX &&
               hystart->min_rtt >=
                   hystart->last_min_rtt + clamp(hystart->last_min_rtt / MIN_RTT_DIVISOR,
                                                 MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD)) {
        hystart->baseline = hystart->min_rtt;
        hystart->rounds = 1;
    }
}

/* Bytes are counted, not acknowledgments (RFC 3465), so that dividing them gains a receiver
 * nothing; and a receiver that acknowledges once for a batch loses little. */
void utcp__hystart_acked(struct utcp_hystart *hystart, struct utcp_cc *cc,
                         const struct utcp_cc_ack *ack)
{
    uint32_t bytes, burst;

    if (ack->round)
        new_round(hystart, cc);
    if (ack->rtt_us)
        take_sample(hystart, (uint32_t)ack->rtt_us);
    if (!ack->grow || cc->cwnd >= cc->ssthresh)
        return;
    bytes = ack->acked;
    burst = SEGMENTS_NOT_PACED * cc->mss;
    if (!cc->pacing_rate)
        bytes = clamp(bytes, 0, burst > BYTES_NOT_PACED ? burst : BYTES_NOT_PACED);
    if (hystart->rounds)
        bytes /= CSS_GROWTH_DIVISOR;
    cc->cwnd = bytes < UTCP_CC_CWND_MAX - cc->cwnd ? cc->cwnd + bytes : UTCP_CC_CWND_MAX;
}
