/* SPDX-License-Identifier: BSD-2-Clause */
/* Proportional rate reduction, RFC 9937: while a loss is repaired the window follows what is
 * delivered, so that at the end there is as much in flight as congestion control wants, neither a
 * pause before nor a burst after. */
#include "utcp_internal.h"

static uint32_t growth(uint32_t delivered, uint32_t ssthresh, uint32_t flight)
{
    return (uint32_t)(((uint64_t)delivered * ssthresh + flight - 1) / flight);
}

void utcp__prr_start(struct utcp_conn *conn, uint32_t delivered, uint32_t advanced)
{
    uint32_t flight = conn->snd_max - conn->snd_una, before = conn->board.sacked;

    /* What was SACKed before will not be delivered any more, what came with this one will. */
    flight -= min_u32(flight, before - min_u32(before, delivered));
    flight += advanced;
    conn->prr = (struct utcp_prr){.flight = max_u32(flight, 1)};
}

/* Section 6.2. `lost`: this acknowledgment has shown another loss. */
void utcp__prr_acked(struct utcp_conn *conn, uint32_t delivered, bool advanced, bool lost)
{
    struct utcp_prr *prr = &conn->prr;
    struct utcp_cc *cc = &conn->cc;
    uint32_t pipe = utcp__pipe(conn), out;

    if (cc->ops->own_window)
        return;
    prr->delivered += delivered;
    if (pipe > cc->ssthresh) {
        uint32_t allowed = growth(prr->delivered, cc->ssthresh, prr->flight);

        out = allowed > prr->out ? allowed - prr->out : 0;
    } else {
        out = prr->delivered > prr->out ? prr->delivered - prr->out : 0;
        out = max_u32(out, delivered); /* the conservative bound (PRR-CRB) … */
        if (advanced && !lost)
            out += conn->mss; /* … and where things go well, slow start (PRR-SSRB) */
        out = min_u32(out, cc->ssthresh - pipe);
    }
    if (prr->out == 0 && out < conn->mss)
        out = conn->mss; /* the fast retransmit itself */
    cc->cwnd = max_u32(pipe + out, conn->mss);
}
