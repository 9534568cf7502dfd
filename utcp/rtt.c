/* SPDX-License-Identifier: BSD-2-Clause */
/* The retransmission timeout, RFC 6298 section 2. Which samples may be used (Karn's algorithm,
 * section 3) is decided where acknowledgments come in. */
#include "utcp_internal.h"

void utcp__rtt_init(struct utcp_rtt *rtt)
{
    *rtt = (struct utcp_rtt){.rto = UTCP_RTO_INITIAL};
}

static void set_timeout(struct utcp_rtt *rtt)
{
    uint64_t spread;

    /* The minimum is one of the spread: a steady path of 250 ms needs room above it, too. */
    spread = UINT64_C(4) * rtt->rttvar;
    spread = rtt->srtt + (spread > UTCP_RTO_MIN ? spread : UTCP_RTO_MIN);
    rtt->rto = (uint32_t)(spread < UTCP_RTO_MAX ? spread : UTCP_RTO_MAX);
}

/* A round trip beyond the longest timeout says no more than that one. */
static uint32_t bounded(uint64_t sample)
{
    if (sample == 0)
        return 1;
    return (uint32_t)(sample < UTCP_RTO_MAX ? sample : UTCP_RTO_MAX);
}

void utcp__rtt_sample(struct utcp_rtt *rtt, uint64_t sample_us)
{
    uint32_t sample = bounded(sample_us);

    if (rtt->srtt == 0) {
        rtt->srtt = sample;
        rtt->rttvar = sample / 2;
    } else {
        uint32_t error = sample > rtt->srtt ? sample - rtt->srtt : rtt->srtt - sample;

        rtt->rttvar = (3 * rtt->rttvar + error) / 4;
        rtt->srtt = (7 * rtt->srtt + sample) / 8;
    }
    set_timeout(rtt);
}

void utcp__rtt_spurious(struct utcp_rtt *rtt, uint64_t sample_us)
{
    uint32_t sample = bounded(sample_us);

    rtt->srtt = sample > rtt->srtt ? sample : rtt->srtt;
    rtt->rttvar = sample / 2 > rtt->rttvar ? sample / 2 : rtt->rttvar;
    rtt->backoff = 0;
    set_timeout(rtt);
}
