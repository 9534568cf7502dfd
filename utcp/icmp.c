/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors about segments of ours (RFC 5927). Anybody can forge them, so one counts only when
 * the sequence number that it quotes is in flight; and what it can do is bounded. */
#include "utcp_internal.h"

/* RFC 1191 section 7: MTUs that networks have, for routers that do not tell theirs. */
static uint32_t plateau_below(uint32_t mtu)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};

    for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
        if (plateaus[i] < mtu)
            return plateaus[i];
    return UTCP_MTU_MIN_IPV4;
}

/* Path MTU discovery, RFC 1191 and RFC 8201. That the segment was too long says nothing about
 * congestion: it is cut and sent again, the window stays. `seq` is that of the segment. */
static void lower_path_mtu(struct utcp_conn *conn, uint32_t seq, uint32_t mtu)
{
    uint32_t floor = conn->local.family == 4 ? UTCP_MTU_MIN_IPV4 : UTCP_MTU_MIN_IPV6;

    if (utcp__mtu_refused(conn, seq, mtu))
        return;
    if (mtu == 0)
        mtu = plateau_below(conn->path_mtu);
    if (mtu < floor)
        mtu = floor;
    if (mtu < conn->path_mtu) {
        conn->path_mtu = (uint16_t)utcp__path_refused(conn, mtu);
        utcp__conn_update_mss(conn);
        utcp__mtu_lowered(conn);
    } else if (!utcp__mtu_too_large(conn, seq)) {
        return;
    }
    if (utcp__synchronized(conn)) {
        utcp__recovery_resend(conn);
    } else if (conn->fast.sent) { /* the SYN was too long for its data: again, without */
        conn->syn_due = true;
        conn->receive_mss = (uint16_t)min_u32(conn->receive_mss, utcp__mss_for_mtu(conn, mtu));
        utcp__want_output(conn);
    }
}

void utcp__input_icmp(struct utcp *stack, const struct utcp_icmp_error *error)
{
    struct utcp_conn *conn = utcp__find(stack, &error->local, &error->remote);

    if (conn == NULL) { /* in TIME-WAIT nothing is in flight */
        if (utcp__find_waiting(stack, &error->local, &error->remote))
            UTCP_DROP(stack, NULL, dropped_unacceptable);
        else
            UTCP_DROP(stack, NULL, dropped_no_connection);
        return;
    }
    if (seq_before(error->seq, conn->fast_queue ? conn->iss : conn->snd_una) ||
        !seq_before(error->seq, conn->snd_max)) {
        UTCP_DROP(stack, NULL, dropped_unacceptable);
        return;
    }
    if (error->too_big) {
        lower_path_mtu(conn, error->seq, error->mtu);
    } else if (error->error && !error->passing &&
               (conn->state == UTCP_SYN_SENT || conn->state == UTCP_SYN_RECEIVED)) {
        utcp__conn_end(conn, error->error);
    } else if (error->error) { /* RFC 5461: it may pass; if not, this is why */
        conn->soft_error = (int16_t)error->error;
        conn->restless = true;
        utcp__trouble(conn);
    }
}
