/* SPDX-License-Identifier: BSD-2-Clause */
/* How a process tells of the connections of its stack, to who sent it a socket by CONTROL_INSPECT: as pages,
 * each one message of a SOCK_SEQPACKET socket, the last one marked. A reader takes of each record what it
 * knows; numbers are only ever appended. It believes nothing: sizes are checked, texts end where it says,
 * and a process that stops half-way is given up. */
#ifndef MULTISTACK_CONNECTION_LIST_H
#define MULTISTACK_CONNECTION_LIST_H

#include <stdint.h>

#define CONNECTION_LIST_MAGIC 0x4c4e4e43 /* "CNNL" */
#define CONNECTION_PAGE_MAX   16384      /* bytes */

/* X(name, field of struct utcp_info): as in `multistack connections --json`. */
#define CONNECTION_NUMBERS(X)                                                                      \
    X(bytes_sent, bytes_sent)                                                                      \
    X(bytes_acked, bytes_out)                                                                      \
    X(bytes_received, bytes_in)                                                                    \
    X(bytes_retransmitted, bytes_retransmitted)                                                    \
    X(bytes_delivered, bytes_delivered)                                                            \
    X(bytes_delivered_marked, bytes_delivered_marked)                                              \
    X(unsent_bytes, unsent)                                                                        \
    X(outstanding_bytes, outstanding)                                                              \
    X(outstanding_again_bytes, outstanding_again)                                                  \
    X(in_flight_bytes, in_flight)                                                                  \
    X(sacked_bytes, sacked)                                                                        \
    X(lost_bytes, lost)                                                                            \
    X(readable_bytes, readable)                                                                    \
    X(out_of_order_bytes, out_of_order_bytes)                                                      \
    X(segments_in, segments_in)                                                                    \
    X(segments_out, segments_out)                                                                  \
    X(data_segments_in, data_segments_in)                                                          \
    X(data_segments_out, data_segments_out)                                                        \
    X(segments_retransmitted, segments_retransmitted)                                              \
    X(segments_out_of_order_in, out_of_order_in)                                                   \
    X(fast_retransmits, fast_retransmits)                                                          \
    X(timeouts, timeouts)                                                                          \
    X(timeout_recoveries, timeout_recoveries)                                                      \
    X(timeout_time_us, timeout_time_us)                                                            \
    X(tail_probes, tail_probes)                                                                    \
    X(spurious_recoveries, spurious_recoveries)                                                    \
    X(duplicates_reported, duplicates_reported)                                                    \
    X(reordered, reordered)                                                                        \
    X(reordering_bytes, reordering_bytes)                                                          \
    X(ecn_marked_in, ecn_marked_in)                                                                \
    X(ecn_reductions, ecn_reductions)                                                              \
    X(mss_bytes, mss)                                                                              \
    X(receive_mss_bytes, receive_mss)                                                              \
    X(path_mtu_bytes, path_mtu)                                                                    \
    X(cwnd_bytes, cwnd)                                                                            \
    X(ssthresh_bytes, ssthresh)                                                                    \
    X(send_window_bytes, send_window)                                                              \
    X(send_scale, send_scale)                                                                      \
    X(receive_window_bytes, receive_window)                                                        \
    X(receive_scale, receive_scale)                                                                \
    X(receive_buffer_bytes, receive_buffer)                                                        \
    X(srtt_us, srtt_us)                                                                            \
    X(rttvar_us, rttvar_us)                                                                        \
    X(min_rtt_us, min_rtt_us)                                                                      \
    X(rto_us, rto_us)                                                                              \
    X(receive_round_us, receive_round_us)                                                          \
    X(backoff, backoff)                                                                            \
    X(retries, retries)                                                                            \
    X(keepalive_probes, keepalive_probes)                                                          \
    X(busy_us, busy_us)                                                                            \
    X(window_limited_us, window_limited_us)                                                        \
    X(buffer_limited_us, buffer_limited_us)                                                        \
    X(delivery_rate_bytes_per_second, delivery_rate)                                               \
    X(pacing_rate_bytes_per_second, pacing_rate)                                                   \
    X(data_sent_ago_us, data_sent_ago_us)                                                          \
    X(data_received_ago_us, data_received_ago_us)                                                  \
    X(heard_ago_us, heard_ago_us)                                                                  \
    X(ecn_marked_told, ecn_marked_told)                                                            \
    X(ecn_ect0_bytes_in, ecn_ect0_in)                                                              \
    X(ecn_ect1_bytes_in, ecn_ect1_in)                                                              \
    X(ecn_ce_bytes_in, ecn_ce_in)                                                                  \
    X(ecn_ect0_bytes_told, ecn_ect0_told)                                                          \
    X(ecn_ect1_bytes_told, ecn_ect1_told)                                                          \
    X(ecn_ce_bytes_told, ecn_ce_told)

/* X(name, field): bits, in their order. */
#define CONNECTION_FLAGS(X)                                                                        \
    X(timestamps, timestamps)                                                                      \
    X(window_scale, window_scale)                                                                  \
    X(sack, sack)                                                                                  \
    X(ecn, ecn)                                                                                    \
    X(reordering, reordering)                                                                      \
    X(recovering, recovering)                                                                      \
    X(after_timeout, after_timeout)                                                                \
    X(reduced, reduced)                                                                            \
    X(delivery_rate_limited, delivery_rate_limited)                                                \
    X(ecn_accurate, ecn_accurate)                                                                  \
    X(ecn_options, ecn_options)

enum connection_number {
#define X(name, field) CONNECTION_##name,
    CONNECTION_NUMBERS(X) CONNECTION_NUMBER_COUNT
#undef X
};

enum connection_flag {
#define X(name, field) CONNECTION_FLAG_##name,
    CONNECTION_FLAGS(X) CONNECTION_FLAG_COUNT
#undef X
};

/* UINT64_MAX: not known. */
struct connection_record {
    uint8_t local[16], remote[16];    /* network order; IPv4 in the first four bytes */
    uint16_t local_port, remote_port; /* host order */
    uint8_t family;                   /* 4 or 6 */
    uint8_t state;                    /* enum utcp_state */
    uint16_t flags;
    char congestion[16];
    uint64_t numbers[CONNECTION_NUMBER_COUNT];
};

struct connection_page {
    uint32_t magic;
    uint32_t size; /* of the message */
    uint32_t record_size;
    uint32_t count;
    uint32_t last; /* 1: nothing follows */
    uint32_t zero;
    /* count records of record_size bytes follow */
};

#endif
