/* SPDX-License-Identifier: BSD-2-Clause */
/* CUBIC, RFC 9438. After a loss the window comes back to where the loss was (w_max) along
 *
 *     W(t) = C (t - K)^3 + w_max,   C = 0.4 segments/s^3,   W(0) = what was left of the window,
 *
 * fast at first, flat around w_max, and then fast again to find what else there is: in time, not in
 * round trips, so that long paths are not at a disadvantage. Where NewReno would be faster (short
 * paths, narrow ones) the window follows an estimate of that instead (w_est).
 *
 * Time is in milliseconds and windows are in bytes. A cube of 20 bits of time fits 60 bits, which
 * is why t - K is cut off at 2^20 ms; the window does not grow by more than half in a round trip
 * anyway. What a division leaves over is kept for the next acknowledgment, or wide windows would
 * not grow at all. */
#include <assert.h>
#include <stdlib.h>

#include "congestion.h"

#define BETA         700                      /* thousandths of the window that a loss leaves */
#define TIME_MAX     ((INT64_C(1) << 20) - 1) /* ms */
#define ALPHA        529                      /* thousandths: 3 (1 - beta) / (1 + beta) */
#define CUBE_DIVISOR 2500000 /* C d^3 in thousandths of a segment, d in ms: 1e6 / 0.4 */

struct curve {
    uint64_t epoch;  /* when this course of congestion avoidance began; 0: it has not */
    uint32_t w_max;  /* where the last loss was */
    uint32_t origin; /* where the curve is flat: w_max, or where congestion avoidance began */
    uint32_t k;      /* ms from the epoch until there */
    uint32_t w_est;  /* what NewReno would have */
    uint32_t prior;  /* cwnd at the last loss */
    uint32_t rest, rest_est; /* of divisions by cwnd */
    bool flat;               /* slow start ended without a loss, or by a timeout: K is 0 */
};

struct cubic {
    struct utcp_hystart hystart;
    struct curve curve;
    uint32_t undo_w_max;
    uint64_t last; /* the last acknowledgment, µs */
};

static_assert(sizeof(struct cubic) <= sizeof(((struct utcp_cc *)0)->priv), "private state");

static struct cubic *cubic(struct utcp_cc *cc)
{
    return (struct cubic *)cc->priv;
}

static void init(struct utcp_cc *cc, uint64_t srtt_us, uint64_t now)
{
    (void)srtt_us;
    *cubic(cc) = (struct cubic){.last = now, .curve.flat = true};
    utcp__hystart_init(&cubic(cc)->hystart);
}

static uint32_t cube_root(uint64_t value)
{
    uint64_t root = 0;

    for (int bit = 20; bit >= 0; bit--) {
        uint64_t next = root | UINT64_C(1) << bit;

        if (next * next * next <= value)
            root = next;
    }
    return (uint32_t)root;
}

/* Section 4.2, figure 2: K, from the distance between cwnd and where the curve is flat. */
static void begin_epoch(struct curve *curve, const struct utcp_cc *cc, uint64_t now)
{
    curve->epoch = now ? now : 1;
    curve->w_est = cc->cwnd;
    curve->rest = curve->rest_est = 0;
    curve->origin = curve->flat || curve->w_max < cc->cwnd ? cc->cwnd : curve->w_max;
    curve->flat = false;
    /* K^3 = (w_max - cwnd) / (0.4 mss) in s^3: below 2^30 * 2.5e9, which fits. */
    curve->k =
        cube_root((uint64_t)(curve->origin - cc->cwnd) * (1000 * (uint64_t)CUBE_DIVISOR) / cc->mss);
}

/* W(t), figure 1; t in ms. */
static uint64_t window_at(const struct curve *curve, const struct utcp_cc *cc, uint64_t t)
{
    int64_t d = (int64_t)(t < (uint64_t)TIME_MAX ? t : (uint64_t)TIME_MAX) - curve->k;
    uint64_t size = (uint64_t)(d < 0 ? -d : d);
    uint64_t bytes = size * size * size / CUBE_DIVISOR * cc->mss / 1000;

    if (d < 0)
        return bytes < curve->origin ? curve->origin - bytes : cc->mss;
    return curve->origin + bytes;
}

/* Section 4.3, figure 4. */
static void grow_estimate(struct curve *curve, const struct utcp_cc *cc, uint32_t acked)
{
    uint32_t alpha = curve->w_est >= curve->prior ? 1000 : ALPHA;
    uint64_t sum = curve->rest_est + (uint64_t)acked * cc->mss * alpha / 1000;

    curve->w_est += (uint32_t)(sum / cc->cwnd);
    curve->rest_est = (uint32_t)(sum % cc->cwnd);
    if (curve->w_est > UTCP_CC_CWND_MAX)
        curve->w_est = UTCP_CC_CWND_MAX;
}

/* Not inlined, that slow start need not save what this needs. */
static __attribute__((noinline)) void avoid_congestion(struct utcp_cc *cc,
                                                       const struct utcp_cc_ack *ack)
{
    struct curve *curve = &cubic(cc)->curve;
    uint64_t t, target, most = cc->cwnd + cc->cwnd / 2, sum;

    if (curve->epoch == 0)
        begin_epoch(curve, cc, ack->now);
    t = (ack->now - curve->epoch) / 1000;
    grow_estimate(curve, cc, ack->acked);
    if (window_at(curve, cc, t) < curve->w_est) { /* section 4.3 */
        if (curve->w_est > cc->cwnd)
            cc->cwnd = curve->w_est;
        return;
    }
    /* Sections 4.4 and 4.5: to be there after one more round trip. */
    target = window_at(curve, cc, t + ack->srtt_us / 1000);
    if (target > most)
        target = most;
    if (target <= cc->cwnd)
        return;
    sum = curve->rest + (uint64_t)ack->acked * (target - cc->cwnd);
    curve->rest = (uint32_t)(sum % cc->cwnd);
    cc->cwnd += (uint32_t)(sum / cc->cwnd);
    if (cc->cwnd > UTCP_CC_CWND_MAX)
        cc->cwnd = UTCP_CC_CWND_MAX;
}

static void acked(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct cubic *state = cubic(cc);
    uint64_t passed;

    if (cc->cwnd < cc->ssthresh) {
        state->last = ack->now;
        utcp__hystart_acked(&state->hystart, cc, ack);
        return;
    }
    passed = ack->now - state->last;
    state->last = ack->now;
    if (ack->grow)
        avoid_congestion(cc, ack);
    else if (!ack->recovering && state->curve.epoch)
        state->curve.epoch += passed; /* section 5.8: time that did not try the path is no time */
}

/* Sections 4.6 and 4.7. */
static void reduce(struct utcp_cc *cc, uint32_t in_flight)
{
    struct curve *curve = &cubic(cc)->curve;

    cubic(cc)->undo_w_max = curve->w_max;
    /* Fast convergence: who lost earlier than the last time makes room for others. */
    curve->w_max =
        cc->cwnd < curve->w_max ? utcp__reduced(cc, cc->cwnd, (1000 + BETA) / 2) : cc->cwnd;
    curve->prior = cc->cwnd;
    curve->epoch = 0;
    cc->ssthresh = utcp__reduced(cc, in_flight, BETA);
    utcp__hystart_init(&cubic(cc)->hystart);
}

static void lost(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    (void)now;
    reduce(cc, in_flight);
    cubic(cc)->curve.flat = false;
    cc->cwnd = cc->ssthresh;
}

/* Section 4.8: what follows the slow start after a timeout begins where that ended. */
static void timed_out(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    (void)now;
    reduce(cc, in_flight);
    cubic(cc)->curve.flat = true;
}

/* Section 4.9. A new epoch, from a window as wide as before. */
static void undo(struct utcp_cc *cc)
{
    struct curve *curve = &cubic(cc)->curve;

    curve->w_max = cubic(cc)->undo_w_max;
    curve->epoch = 0;
    curve->flat = cc->cwnd >= curve->w_max;
}

const struct utcp_cc_ops utcp__cubic = {
    .name = "cubic",
    .in_range = true,
    .init = init,
    .acked = acked,
    .lost = lost,
    .timed_out = timed_out,
    .undo = undo,
};
