/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP_INFO, tcp(7): what utcp_info() tells, in the kernel's units. The kernel counts segments where UTCP
 * counts bytes: they are as many as the bytes would fill, rounded up. */
#include <string.h>

#include "internal.h"

#define INFINITE_SSTHRESH 0x7fffffff /* TCP_INFINITE_SSTHRESH */
#define REORDERING_LEAST  3          /* net.ipv4.tcp_reordering */
#define SSTHRESH_UNSET    (1u << 30) /* bytes: UTCP's, before any loss */

/* enum tcp states of the kernel (net/tcp_states.h), by enum utcp_state. */
static uint8_t kernel_state(enum utcp_state state)
{
    static const uint8_t states[] = {
        [UTCP_CLOSED] = 7,       [UTCP_LISTEN] = 10,     [UTCP_SYN_SENT] = 2,
        [UTCP_SYN_RECEIVED] = 3, [UTCP_ESTABLISHED] = 1, [UTCP_FIN_WAIT_1] = 4,
        [UTCP_FIN_WAIT_2] = 5,   [UTCP_CLOSE_WAIT] = 8,  [UTCP_CLOSING] = 11,
        [UTCP_LAST_ACK] = 9,     [UTCP_TIME_WAIT] = 6,
    };

    return states[state];
}

static uint8_t congestion_state(const struct utcp_info *info)
{
    if (info->after_timeout)
        return TCP_CA_Loss;
    if (info->recovering)
        return TCP_CA_Recovery;
    if (info->ecn && info->reduced)
        return TCP_CA_CWR;
    return info->sacked ? TCP_CA_Disorder : TCP_CA_Open;
}

static uint8_t options_in_use(const struct utcp_info *info)
{
    return (uint8_t)((info->timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
                     (info->window_scale ? TCPI_OPT_WSCALE : 0) | (info->sack ? TCPI_OPT_SACK : 0) |
                     (info->ecn ? TCPI_OPT_ECN : 0) | (info->syn_data ? TCPI_OPT_SYN_DATA : 0) |
                     (info->ecn_marked_in ? TCPI_OPT_ECN_SEEN : 0));
}

static uint32_t limited(uint64_t number)
{
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static uint32_t segments(const struct utcp_info *info, uint64_t bytes)
{
    uint32_t mss = info->mss ? info->mss : 1;

    return (uint32_t)((bytes + mss - 1) / mss);
}

static uint32_t ms_ago(uint64_t us)
{
    return us == UINT64_MAX ? 0 : limited(us / 1000);
}

static void fill_state(const struct utcp_info *info, struct tcp_info *to)
{
    to->tcpi_state = kernel_state(info->state);
    to->tcpi_ca_state = congestion_state(info);
    to->tcpi_retransmits = info->outstanding ? info->retries : 0;
    /* without anything in flight what the timer repeats are probes of the window */
    to->tcpi_probes = info->outstanding ? info->keepalive_probes : info->retries;
    if (info->keepalive_probes > to->tcpi_probes)
        to->tcpi_probes = info->keepalive_probes;
    to->tcpi_backoff = info->backoff;
    to->tcpi_options = options_in_use(info);
    to->tcpi_snd_wscale = info->send_scale & 15;
    to->tcpi_rcv_wscale = info->receive_scale & 15;
    to->tcpi_delivery_rate_app_limited = info->delivery_rate_limited;
    to->tcpi_fastopen_client_fail = info->fast_open_failure & 3;
    to->tcpi_last_data_sent = ms_ago(info->data_sent_ago_us);
    to->tcpi_last_data_recv = ms_ago(info->data_received_ago_us);
    to->tcpi_last_ack_recv = ms_ago(info->heard_ago_us);
    to->tcpi_pmtu = info->path_mtu;
    to->tcpi_advmss = info->receive_mss;
    to->tcpi_snd_mss = info->mss;
    to->tcpi_rcv_mss = info->receive_segment;
}

static void fill_sender(const struct utcp_info *info, struct tcp_info *to)
{
    to->tcpi_rto = limited(info->rto_us);
    to->tcpi_rtt = limited(info->srtt_us);
    to->tcpi_rttvar = limited(info->rttvar_us);
    to->tcpi_min_rtt = info->min_rtt_us ? limited(info->min_rtt_us) : UINT32_MAX;
    to->tcpi_unacked = segments(info, info->outstanding);
    to->tcpi_sacked = segments(info, info->sacked);
    /* the kernel's are lost until they are acknowledged, sent again or not */
    to->tcpi_lost = segments(info, info->lost) + segments(info, info->outstanding_again);
    to->tcpi_retrans = segments(info, info->outstanding_again);
    to->tcpi_snd_cwnd = info->mss ? info->cwnd / info->mss : 0;
    to->tcpi_snd_ssthresh =
        info->ssthresh >= SSTHRESH_UNSET ? INFINITE_SSTHRESH : info->ssthresh / info->mss;
    to->tcpi_reordering = segments(info, info->reordering_bytes);
    if (to->tcpi_reordering < REORDERING_LEAST)
        to->tcpi_reordering = REORDERING_LEAST;
    to->tcpi_reord_seen = info->reordered;
    to->tcpi_dsack_dups = limited(info->duplicates_reported);
    to->tcpi_total_retrans = (uint32_t)info->segments_retransmitted;
    to->tcpi_pacing_rate = info->pacing_rate ? info->pacing_rate : UINT64_MAX;
    to->tcpi_delivery_rate = info->delivery_rate;
    /* the kernel counts the SYN, with what it brought */
    if (info->state >= UTCP_ESTABLISHED)
        to->tcpi_delivered = 1 + segments(info, info->bytes_delivered > info->syn_data_bytes
                                                    ? info->bytes_delivered - info->syn_data_bytes
                                                    : 0);
    to->tcpi_delivered_ce = info->ecn_accurate ? limited(info->ecn_marked_told)
                                               : segments(info, info->bytes_delivered_marked);
    to->tcpi_bytes_acked = info->bytes_out;
    to->tcpi_bytes_sent = info->bytes_sent;
    to->tcpi_bytes_retrans = info->bytes_retransmitted;
    to->tcpi_notsent_bytes = limited(info->unsent);
    to->tcpi_segs_out = (uint32_t)info->segments_out;
    to->tcpi_data_segs_out = (uint32_t)info->data_segments_out;
    to->tcpi_busy_time = info->busy_us;
    to->tcpi_rwnd_limited = info->window_limited_us;
    to->tcpi_sndbuf_limited = info->buffer_limited_us;
    to->tcpi_snd_wnd = info->send_window;
}

static void fill_receiver(const struct utcp_info *info, struct tcp_info *to)
{
    to->tcpi_ato = limited(info->delayed_ack_us);
    to->tcpi_rcv_ssthresh = info->receive_buffer;
    to->tcpi_rcv_space = info->receive_buffer;
    to->tcpi_rcv_rtt = limited(info->receive_round_us);
    to->tcpi_bytes_received = info->bytes_in;
    to->tcpi_segs_in = (uint32_t)info->segments_in;
    to->tcpi_data_segs_in = (uint32_t)info->data_segments_in;
    to->tcpi_rcv_ooopack = limited(info->out_of_order_in);
}

static void fill_ecn(const struct utcp_info *info, struct tcp_info_now *to)
{
    to->received_ce = limited(info->ecn_marked_in);
    to->delivered_ect1_bytes = (uint32_t)info->ecn_ect1_told;
    to->delivered_ect0_bytes = (uint32_t)info->ecn_ect0_told;
    to->delivered_ce_bytes = (uint32_t)info->ecn_ce_told;
    to->received_ect1_bytes = (uint32_t)info->ecn_ect1_in;
    to->received_ect0_bytes = (uint32_t)info->ecn_ect0_in;
    to->received_ce_bytes = (uint32_t)info->ecn_ce_in;
    to->ecn_mode = info->ecn_accurate ? TCP_INFO_ECN_ACCURATE
                   : info->ecn        ? TCP_INFO_ECN_CLASSIC
                                      : TCP_INFO_ECN_NONE;
    to->accecn_opt_seen = info->ecn_options ? 2 : 0;
}

void sockets__tcp_info(const struct socket *socket, union sockets_tcp_info *filled)
{
    struct utcp_info info = {.size = sizeof(info)};
    struct tcp_info_now *now = &filled->now;

    memset(filled, 0, sizeof(*filled));
    if (!socket->conn) {
        now->before.tcpi_state =
            kernel_state(socket->kind == SOCKET_LISTENS ? UTCP_LISTEN : UTCP_CLOSED);
        return;
    }
    utcp_info(socket->conn, &info);
    fill_state(&info, &now->before);
    fill_sender(&info, &now->before);
    fill_receiver(&info, &now->before);
    now->before.tcpi_max_pacing_rate = socket->options.max_pacing;
    fill_ecn(&info, now);
    now->rcv_wnd = info.receive_window;
    now->total_rto = (uint16_t)info.timeouts;
    now->total_rto_recoveries = (uint16_t)info.timeout_recoveries;
    now->total_rto_time = limited(info.timeout_time_us / 1000);
}
