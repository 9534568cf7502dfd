/* SPDX-License-Identifier: BSD-2-Clause */
/* BBR, version 1: draft-cardwell-iccrg-bbr-congestion-control-00. A model of the path instead of
 * losses: the bottleneck's bandwidth is the highest delivery rate of about ten round trips, the
 * path's own delay the least round-trip time of ten seconds. It sends at that bandwidth, with about
 * two bandwidth-delay products in flight at most, and tries a quarter more once in eight round trips.
 *
 *   STARTUP ──(no faster for 3 round trips)──▶ DRAIN ──(queue empty)──▶ PROBE_BW
 *      any ──(least round-trip time 10 s old)──▶ PROBE_RTT: four segments for 200 ms ──▶ back
 *
 * Known of this version: it takes no heed of losses short of recovery, so in a shallow queue it
 * loses much and crowds others out; in a deep one it gives way to them. */
#include <assert.h>

#include "congestion.h"

#define UNIT       256 /* of gains */
#define HIGH_GAIN  739 /* 2 / ln 2 */
#define DRAIN_GAIN 88
#define CWND_GAIN  512

#define FULL_ROUNDS    3
#define PHASES         8
#define MIN_RTT_WINDOW UINT64_C(10000000) /* µs */
#define PROBE_RTT_TIME UINT64_C(200000)
#define SLOTS          3 /* the filter of bandwidth: the highest of SLOTS * SLOT_ROUNDS rounds */
#define SLOT_ROUNDS    4
#define MIN_SEGMENTS   4
#define MARGIN         99 /* percent of the bandwidth that is paced for, so that no queue stays */
#define RATE_MAX       (UINT64_C(1) << 40)
#define RTT_UNKNOWN    UINT32_MAX
#define RTT_GUESS      1000 /* µs, where nothing was measured yet */

enum mode { STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

struct bbr {
    uint64_t bandwidth[SLOTS]; /* bytes/s; [0] is being filled */
    uint64_t full_bandwidth;
    uint64_t min_rtt_at, phase_at, probe_rtt_until; /* µs; the last 0: not there yet */
    uint64_t delivered;                             /* bytes */
    uint64_t conserve_until;                        /* so many are */
    uint32_t min_rtt;                               /* µs */
    uint32_t before;                                /* cwnd before recovery or PROBE_RTT */
    uint8_t mode, phase, slot_rounds, full_rounds;
    bool full, conserve, recovering, probe_round, restart, round_open;
};

static_assert(sizeof(struct bbr) <= sizeof(((struct utcp_cc *)0)->priv), "private state");

static struct bbr *bbr(const struct utcp_cc *cc)
{
    return (struct bbr *)cc->priv;
}

static uint64_t bandwidth(const struct bbr *model)
{
    uint64_t most = 0;

    for (int i = 0; i < SLOTS; i++)
        if (model->bandwidth[i] > most)
            most = model->bandwidth[i];
    return most;
}

/* Bandwidth times delay, times `gain`. Below 2^40 bytes/s, 2^32 µs and 2^10 it needs care: the
 * product of the first two is cut off before the third comes in. */
static uint32_t product(const struct utcp_cc *cc, unsigned gain)
{
    const struct bbr *model = bbr(cc);
    uint64_t bytes;

    if (model->min_rtt == RTT_UNKNOWN || bandwidth(model) == 0)
        return utcp__initial_window(cc->mss);
    bytes = (uint64_t)((unsigned __int128)bandwidth(model) * model->min_rtt / 1000000);
    if (bytes > UTCP_CC_CWND_MAX)
        bytes = UTCP_CC_CWND_MAX;
    bytes = bytes * gain / UNIT;
    return bytes < UTCP_CC_CWND_MAX ? (uint32_t)bytes : UTCP_CC_CWND_MAX;
}

static unsigned pacing_gain(const struct bbr *model)
{
    static const unsigned phases[PHASES] = {320, 192, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT};

    switch ((enum mode)model->mode) {
    case STARTUP: return HIGH_GAIN;
    case DRAIN: return DRAIN_GAIN;
    case PROBE_BW: return model->restart ? UNIT : phases[model->phase];
    default: return UNIT;
    }
}

static uint64_t paced(uint64_t rate, unsigned gain)
{
    rate = rate < RATE_MAX ? rate : RATE_MAX;
    rate = rate * gain / UNIT * MARGIN / 100;
    return rate ? rate : 1;
}

static void init(struct utcp_cc *cc, uint64_t srtt_us, uint64_t now)
{
    *bbr(cc) = (struct bbr){.min_rtt = RTT_UNKNOWN, .min_rtt_at = now, .mode = STARTUP};
    cc->pacing_rate =
        paced((uint64_t)cc->cwnd * 1000000 / (srtt_us ? srtt_us : RTT_GUESS), HIGH_GAIN);
}

/* Round trips without a sample that counts do not age the filter: those in which the application had
 * too little to send, or only what had been lost was sent again. */
static void update_bandwidth(struct bbr *model, const struct utcp_cc_ack *ack)
{
    uint64_t rate = ack->rate < RATE_MAX ? ack->rate : RATE_MAX;

    model->round_open |= ack->round;
    if (rate == 0 || (ack->rate_limited && rate <= bandwidth(model)))
        return;
    if (model->round_open && model->mode != PROBE_RTT && ++model->slot_rounds >= SLOT_ROUNDS) {
        for (int i = SLOTS - 1; i > 0; i--)
            model->bandwidth[i] = model->bandwidth[i - 1];
        model->bandwidth[0] = 0;
        model->slot_rounds = 0;
    }
    model->round_open = false;
    if (rate > model->bandwidth[0])
        model->bandwidth[0] = rate;
}

/* Section 4.3.2.2: the pipe is full when three round trips made it no faster by a quarter. */
static void check_full(struct bbr *model, const struct utcp_cc_ack *ack)
{
    uint64_t now = bandwidth(model);

    if (model->full || !ack->round || ack->rate_limited)
        return;
    if (now >= model->full_bandwidth + model->full_bandwidth / 4) {
        model->full_bandwidth = now;
        model->full_rounds = 0;
        return;
    }
    model->full = ++model->full_rounds >= FULL_ROUNDS;
}

static void enter_probe_bw(struct bbr *model, uint64_t now)
{
    model->mode = PROBE_BW;
    /* Any phase but the one that empties the queue; which, so that flows do not go in step. */
    model->phase = (uint8_t)((2 + now / 64 % (PHASES - 1)) % PHASES);
    model->phase_at = now;
}

static void next_phase(struct utcp_cc *cc, const struct utcp_cc_ack *ack, uint32_t in_flight)
{
    struct bbr *model = bbr(cc);
    bool full_length = ack->now - model->phase_at > model->min_rtt, over = full_length;

    if (model->phase == 0)
        over = full_length && (ack->recovering || ack->in_flight >= product(cc, 320));
    else if (model->phase == 1)
        over = full_length || in_flight <= product(cc, UNIT);
    if (!over)
        return;
    model->phase = (uint8_t)((model->phase + 1) % PHASES);
    model->phase_at = ack->now;
}

static void update_mode(struct utcp_cc *cc, const struct utcp_cc_ack *ack, uint32_t in_flight)
{
    struct bbr *model = bbr(cc);

    if (model->mode == STARTUP && model->full)
        model->mode = DRAIN;
    if (model->mode == DRAIN && in_flight <= product(cc, UNIT))
        enter_probe_bw(model, ack->now);
    else if (model->mode == PROBE_BW)
        next_phase(cc, ack, in_flight);
}

static uint32_t least_window(const struct utcp_cc *cc)
{
    return MIN_SEGMENTS * cc->mss;
}

static void leave_probe_rtt(struct utcp_cc *cc, uint64_t now)
{
    struct bbr *model = bbr(cc);

    model->min_rtt_at = now;
    cc->cwnd = cc->cwnd > model->before ? cc->cwnd : model->before;
    if (model->full)
        enter_probe_bw(model, now);
    else
        model->mode = STARTUP;
}

/* Section 4.3.4. */
static void update_min_rtt(struct utcp_cc *cc, const struct utcp_cc_ack *ack, uint32_t in_flight)
{
    struct bbr *model = bbr(cc);
    bool old = ack->now > model->min_rtt_at + MIN_RTT_WINDOW;

    if (ack->rtt_us && (ack->rtt_us <= model->min_rtt || old)) {
        model->min_rtt = ack->rtt_us < RTT_UNKNOWN ? (uint32_t)ack->rtt_us : RTT_UNKNOWN - 1;
        model->min_rtt_at = ack->now;
    }
    if (old && !model->restart && model->mode != PROBE_RTT) {
        model->mode = PROBE_RTT;
        model->before = cc->cwnd;
        model->probe_rtt_until = 0;
    }
    model->restart = false;
    if (model->mode != PROBE_RTT)
        return;
    if (model->probe_rtt_until == 0) {
        if (in_flight <= least_window(cc)) {
            model->probe_rtt_until = ack->now + PROBE_RTT_TIME;
            model->probe_round = false;
        }
        return;
    }
    /* By the clock as well: round trips are counted by sequence numbers, of which none is passed while a
     * window of four segments has many losses to repair. */
    model->probe_round |=
        ack->round || ack->now > model->probe_rtt_until - PROBE_RTT_TIME + ack->srtt_us;
    if (model->probe_round && ack->now > model->probe_rtt_until)
        leave_probe_rtt(cc, ack->now);
}

/* Section 4.2.3.4. For a round trip of fast recovery as much is sent as is delivered, which is
 * recovery's doing as long as cwnd stays what was in flight. After it the window grows again, or where
 * there are losses in each round trip it never would; at the end it is what it was before. */
static void end_recovery(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct bbr *model = bbr(cc);

    model->delivered = ack->delivered;
    if (ack->delivered >= model->conserve_until)
        model->conserve = false;
    if (!model->recovering || ack->recovering)
        return;
    model->recovering = model->conserve = false;
    cc->cwnd = cc->cwnd > model->before ? cc->cwnd : model->before;
}

static void set_window(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct bbr *model = bbr(cc);
    unsigned gain = model->full ? CWND_GAIN : HIGH_GAIN;
    uint32_t target = product(cc, model->mode == PROBE_BW ? CWND_GAIN : gain) + 3 * cc->mss;
    uint32_t more = cc->cwnd + (ack->acked < UTCP_CC_CWND_MAX ? ack->acked : UTCP_CC_CWND_MAX);

    if (model->conserve)
        more = cc->cwnd;
    if (model->full)
        cc->cwnd = more < target ? more : target;
    else if (cc->cwnd < target || ack->delivered < 2 * utcp__initial_window(cc->mss))
        cc->cwnd = more;
    if (cc->cwnd < least_window(cc))
        cc->cwnd = least_window(cc);
    if (model->mode == PROBE_RTT && cc->cwnd > least_window(cc))
        cc->cwnd = least_window(cc);
}

static void set_pacing(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct bbr *model = bbr(cc);
    uint64_t rate;

    if (bandwidth(model) == 0) { /* the first round-trip time says what the first window means */
        if (ack->srtt_us)
            cc->pacing_rate = paced((uint64_t)cc->cwnd * 1000000 / ack->srtt_us, HIGH_GAIN);
        return;
    }
    rate = paced(bandwidth(model), pacing_gain(model));
    if (model->full || rate > cc->pacing_rate)
        cc->pacing_rate = rate;
}

static void acked(struct utcp_cc *cc, const struct utcp_cc_ack *ack)
{
    struct bbr *model = bbr(cc);
    uint32_t in_flight = ack->in_flight > ack->acked ? ack->in_flight - ack->acked : 0;

    update_bandwidth(model, ack);
    check_full(model, ack);
    update_mode(cc, ack, in_flight);
    end_recovery(cc, ack);
    update_min_rtt(cc, ack, in_flight);
    set_pacing(cc, ack);
    set_window(cc, ack);
}

static void lost(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    struct bbr *model = bbr(cc);

    (void)now;
    if (!model->recovering && model->mode != PROBE_RTT)
        model->before = cc->cwnd;
    model->recovering = model->conserve = true;
    model->conserve_until = model->delivered + in_flight;
    cc->cwnd = in_flight > least_window(cc) ? in_flight : least_window(cc);
}

static void timed_out(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    lost(cc, in_flight, now);
    bbr(cc)->conserve = false; /* from one segment on, doubling */
}

/* A mark is no loss, and the model has its own idea of a queue: nothing follows. */
static void ecn(struct utcp_cc *cc, uint32_t in_flight, uint64_t now)
{
    (void)cc;
    (void)in_flight;
    (void)now;
}

static void undo(struct utcp_cc *cc)
{
    bbr(cc)->recovering = bbr(cc)->conserve = false;
}

/* Section 4.3.4.4: from the model at once, at the bandwidth that it knows. */
static void idle(struct utcp_cc *cc, uint64_t idle_us, uint64_t now)
{
    struct bbr *model = bbr(cc);

    (void)idle_us;
    (void)now;
    model->restart = true;
    if (model->mode == PROBE_BW && bandwidth(model))
        cc->pacing_rate = paced(bandwidth(model), UNIT);
}

const struct utcp_cc_ops utcp__bbr = {
    .name = "bbr",
    .wants_rate = true,
    .own_window = true,
    .init = init,
    .acked = acked,
    .lost = lost,
    .timed_out = timed_out,
    .ecn = ecn,
    .undo = undo,
    .idle = idle,
};
