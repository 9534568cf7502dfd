/* SPDX-License-Identifier: BSD-2-Clause */
/* What a stack and a connection tell about themselves. */
#include <string.h>

#include "utcp_internal.h"

const char *utcp_state_name(enum utcp_state state)
{
    static const char *const names[] = {
        [UTCP_CLOSED] = "CLOSED",           [UTCP_LISTEN] = "LISTEN",
        [UTCP_SYN_SENT] = "SYN-SENT",       [UTCP_SYN_RECEIVED] = "SYN-RECEIVED",
        [UTCP_ESTABLISHED] = "ESTABLISHED", [UTCP_FIN_WAIT_1] = "FIN-WAIT-1",
        [UTCP_FIN_WAIT_2] = "FIN-WAIT-2",   [UTCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [UTCP_CLOSING] = "CLOSING",         [UTCP_LAST_ACK] = "LAST-ACK",
        [UTCP_TIME_WAIT] = "TIME-WAIT",
    };

    if ((unsigned)state >= sizeof(names) / sizeof(names[0]))
        return "?";
    return names[state];
}

/* Copies as much of a struct as the caller knows; its first field keeps the caller's size. */
static void give(void *to, const void *from, size_t known, size_t size)
{
    if (size > known)
        size = known;
    if (size > sizeof(size_t))
        memcpy((uint8_t *)to + sizeof(size_t), (const uint8_t *)from + sizeof(size_t),
               size - sizeof(size_t));
}

void utcp_stats(const struct utcp *stack, struct utcp_stats *stats)
{
    struct utcp_stats now = stack->stats;

    now.connections = stack->connections;
    give(stats, &now, sizeof(now), stats->size);
}

void utcp_info(const struct utcp_conn *conn, struct utcp_info *info)
{
    uint32_t next = utcp__rcv_nxt(conn);
    struct utcp_info now = {
        .state = (enum utcp_state)conn->state,
        .local = conn->local,
        .remote = conn->remote,
        .congestion = conn->cc.ops->name,
        .mss = conn->mss,
        .send_window = conn->snd_wnd,
        .receive_window = seq_before(next, conn->rcv_adv) ? conn->rcv_adv - next : 0,
        .send_scale = conn->send_scale,
        .receive_scale = conn->receive_scale,
        .timestamps = conn->timestamps,
        .window_scale = conn->window_scale,
        .cwnd = conn->cc.cwnd,
        .ssthresh = conn->cc.ssthresh,
        .in_flight = utcp__pipe(conn),
        .srtt_us = conn->rtt.srtt,
        .rttvar_us = conn->rtt.rttvar,
        .rto_us = utcp__rtt_timeout(&conn->rtt),
        .bytes_in = conn->receive.next,
        .bytes_out = conn->send.una,
        .segments_in = conn->segments_in,
        .segments_out = conn->segments_out,
        .segments_retransmitted = conn->segments_retransmitted,
        .fast_retransmits = conn->fast_retransmits,
        .timeouts = conn->timeouts,
        .pacing_rate = utcp__pacing_rate(conn),
        .ecn = conn->ecn.on,
        .ecn_marked_in = conn->ecn.marked_in,
        .ecn_reductions = conn->ecn.reductions,
        .sack = conn->sack,
        .reordering = conn->rack.reordering,
        .sacked = conn->board.sacked,
        .lost = conn->board.lost,
        .min_rtt_us = conn->rack.min_rtt,
        .recovering = conn->recovery.active,
        .after_timeout = conn->recovery.after_timeout,
        .receive_mss = conn->receive_mss,
        .spurious_recoveries = conn->spurious,
        .tail_probes = conn->probes_sent,
        .duplicates_reported = conn->duplicates_told,
        .out_of_order_bytes = (uint32_t)conn->receive.pending.size,
    };

    give(info, &now, sizeof(now), info->size);
}
