/* SPDX-License-Identifier: BSD-2-Clause */
/* When it pays to have SYNs answered at the NIC, and when no longer. Arithmetic alone: no clock, no calls.
 *
 * UTCP answers a SYN that finds no room by a cookie, with all options and for little; what it has no time
 * for is lost, an honest client's SYN like any other, and comes again a second later. The NIC answers at a
 * fraction of the price, but out of the processor time of whoever takes its packets, and it cannot tell for
 * which SYNs there is room. So what counts is how much of a core the SYNs take from the stack, and what is
 * too much is all that the NIC is asked to answer: as many as are the stack's share go on to it.
 *
 *   SYNs × price  ─►  bucket, which `share` of a core drains  ─► full: ask for what is beyond `share`
 *   answered at the NIC × price  <  an eighth of `share`, for all of `hold`  ─► ask no more
 *
 * The bucket holds `share` of BUCKET_US: a flood that takes all of a core fills it within 20 ms, one that
 * takes hardly more than its share needs seconds, and a burst of honest clients that all come back at once
 * passes. Between asking and not asking there is no step at the threshold, since the NIC answers the excess
 * alone; `hold` doubles each time that the flood is there again soon, so that it is not asked for too often.
 *
 * `share` is small because it is the stack's part alone. Where switch and kernel work on the same core, to
 * bring a SYN to the stack and its answer out takes two to three times as long again, which the stack does
 * not see: a tenth of a core is a third with all that, and the other two are the honest clients'.
 *
 * With a share of nothing (`percent` 0) the NIC answers all while there is a flood.
 *
 * The price is measured, where nearly all packets are such SYNs: what is too much is a matter of the
 * machine, and of who else wants its cores. Times are µs, but for the price. */
#ifndef MS_SYN_PRESSURE_H
#define MS_SYN_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#define SYN_PRESSURE_SHARE_PERCENT 10 /* of a core, which SYNs may take from the stack */
#define SYN_PRESSURE_PRICE_NS      1000

/* What a SYN costs a stack; one for all of its listeners. */
struct syn_price {
    uint64_t ns;
};

/* Of one listener. Zero is how it begins. */
struct syn_pressure {
    uint64_t level_ps, drained_at; /* the bucket */
    uint64_t syns;                 /* as counted when it was looked at last */
    uint64_t answered, looked_at;  /* the same, of the NIC's */
    uint64_t hold;                 /* 0: there was no pressure lately */
    uint64_t ends_at, ended_at;
};

void syn_price_init(struct syn_price *price);
/* `packets` took `busy_us`; `syns` of them found no room. */
void syn_price_learn(struct syn_price *price, uint64_t packets, uint64_t syns, uint64_t busy_us);

/* `syns`: how many found no room, since ever. True: it pays to ask. `percent` of a core is theirs. */
bool syn_pressure_rises(struct syn_pressure *pressure, uint64_t now, uint64_t syns,
                        const struct syn_price *price, unsigned percent);
/* How many SYNs a second go on to the stack while the NIC answers the others; 0: none. */
uint32_t syn_pressure_left(const struct syn_price *price, unsigned percent);
/* The NIC answers from now on, and has answered `answered` before. True: there was no pressure lately. */
bool syn_pressure_begun(struct syn_pressure *pressure, uint64_t now, uint64_t answered);
/* `answered`: at the NIC, since ever. True: the flood is over, and the stack may answer again. */
bool syn_pressure_falls(struct syn_pressure *pressure, uint64_t now, uint64_t answered,
                        const struct syn_price *price, unsigned percent);
/* The stack answers again. */
void syn_pressure_ended(struct syn_pressure *pressure, uint64_t now);
/* When the end counts as the end: until then a flood that is there again is the same one. UINT64_MAX: there
 * was none. */
uint64_t syn_pressure_calm_at(const struct syn_pressure *pressure);

#endif
