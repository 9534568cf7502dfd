/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection, and the structures that it is made of. The part of utcp_internal.h, by which it is included,
 * that says what one costs. */
#ifndef UTCP_CONN_H
#define UTCP_CONN_H

/* A connection has some timers, and one place on the wheel: that of the first of them. */
enum utcp_timer {
    TIMER_LOSS,       /* the reordering window is over, or a tail loss probe is due (rack.c) */
    TIMER_RETRANSMIT, /* oldest segment unacknowledged; with nothing in flight: window probe */
    TIMER_ACK,        /* delayed acknowledgment */
    TIMER_LIFE,       /* keep-alive, FIN-WAIT-2, TIME-WAIT: whichever the state calls for */
    TIMER_USER,       /* user timeout */
    TIMER_PACE,       /* the next segment may leave */
    TIMER_TRIM,       /* what an idle connection does not need is given back */
    TIMERS,
};

#define TIMER_IDLE UINT64_MAX

#define UTCP_PROBE_WINDOW 1 /* of a closed window, or what a cork has held back for long enough */
#define UTCP_PROBE_MTU    2 /* of the path (mtu.c), when the time is right */

struct utcp_rtt {
    uint32_t srtt, rttvar, rto; /* µs; srtt 0: no sample yet */
    uint32_t timed_seq;         /* end of the segment being timed */
    uint64_t timed_at : 56;     /* when it was sent; 0: none is */
    uint64_t backoff : 8;       /* doublings of rto */
};

/* Loss recovery, RFC 5681 section 3.2, RFC 6582. */
struct utcp_recovery {
    uint32_t recover; /* snd_max when the last recovery or timeout began */
    uint16_t duplicates;
    bool active : 1;
    bool after_timeout : 1;  /* … and `recover` is not acknowledged yet */
    bool partial_seen : 1;   /* the retransmission timer was restarted for the first partial ACK */
    bool retransmit_due : 1; /* the segment at snd_una is to be sent again, now */
    uint32_t extra; /* bytes beyond cwnd that duplicates allow: segments that left the net */
};

#define UTCP_ECN_FLIPS 4

#define UTCP_ACE_INITIAL                                                                           \
    5 /* what both counts of marked packets begin with: RFC 9768 section 3.2.1 */
#define UTCP_ACE_CLASSIC 3 /* the flags of a SYN that asks for RFC 3168's ECN */
/* And those of bytes, by IP_ECN_*. */
#define UTCP_ECN_BYTES_INITIAL                                                                     \
    {                                                                                              \
        [IP_ECN_1] = 1, [IP_ECN_0] = 1, [IP_ECN_CE] = 0                                            \
    }

/* What Accurate ECN counts besides marked packets; made with the first segment behind the handshake. */
struct utcp_ecn_bytes {
    uint64_t in[4], in_told[4]; /* that came, by IP_ECN_*; as the last option has told them */
    uint64_t out[4];            /* that the peer has told of, or was believed to mean */
    uint32_t told[UTCP_ACCECN_FIELDS]; /* by the segment being processed, which has so many … */
    uint8_t fields;
    bool order1;  /* … in this order */
    bool begun;   /* an option of ours has told all */
    bool exact;   /* out[IP_ECN_CE] is what the peer has told, and no estimate since */
    uint8_t last; /* the field that moved last */
};

/* ecn.c; from asked_accurate on accecn.c alone */
struct utcp_ecn {
    bool asked : 1;   /* by our SYN */
    bool on : 1;      /* both agreed, … */
    bool capable : 1; /* … and new data are sent as capable */
    bool cwr_due : 1; /* the next new data carry CWR */
    bool echoed : 1;  /* the segment being processed has ECE, or may tell of marks */
    uint8_t flips : 3;
    bool asked_accurate : 1;
    bool deaf : 1;            /* what the peer tells of marks is not believed */
    bool reaction_due : 1;    /* it has told of marks that congestion control has not heard of */
    bool judged : 1;          /* a segment behind the handshake was looked at */
    bool option_seen : 1;     /* options arrive here, … */
    bool option_void : 1;     /* … with fields that were zeroed */
    bool syn_again : 1;       /* the peer's SYN came more than once */
    bool confirming : 1;      /* the segment being processed is the pure ACK of our SYN-ACK */
    uint8_t handshake : 2;    /* IP_ECN_* of the peer's last SYN */
    uint8_t marks_unsaid : 3; /* since the last segment out, up to 7 */
    uint8_t ace : 3;          /* of the segment being processed */
    uint8_t options_left : 2; /* options to be sent, as soon as there is room */
    uint32_t recover;         /* no further reaction before this is acknowledged */
    union {
        uint32_t
            flip_at[UTCP_ECN_FLIPS]; /* ends of what is to be acknowledged before a change of ce */
        struct {
            struct utcp_ecn_bytes *bytes; /* NULL: not yet, or no memory */
            uint32_t told; /* marked packets, as the peer counts them, UTCP_ACE_INITIAL more */
        };
    };
    uint32_t marked_in, reductions;
};

/* Between the connection and its congestion control: control.c. */
struct utcp_control {
    uint64_t delivered;     /* bytes */
    uint32_t round_end;     /* snd_max when this round trip began */
    uint32_t flight_max;    /* bytes, the most since then */
    struct utcp_rate *rate; /* rate.c; NULL: the module wants none */
};

/* What SACK tells the peer next: options/sack.c. */
struct utcp_sack_report {
    uint32_t recent[UTCP_SACK_BLOCKS]; /* a sequence number in each range, the newest first */
    uint8_t count;
    bool duplicate_due;
    struct utcp_sack_block duplicate; /* what came twice */
};

/* Dynamic right-sizing of the receive window: memory.c. */
struct utcp_drs {
    uint32_t round_at;       /* when this round trip began; µs, low bits of the clock */
    uint32_t rtt : 31;       /* µs, as a receiver sees it; 0: not known */
    uint32_t sample_due : 1; /* the next segment's echo is one */
    uint32_t seen;           /* bytes that the application took in this round */
    uint32_t before;         /* and in the last one */
};

/* By use: first what each segment touches, in the order in which it does, then what loss and rare
 * things need. An idle connection is this and 8 bytes of the allocator's, less than 1 KiB, and with
 * the up to 16 that the table has for each no more: a server has a million. */
struct utcp_conn {
    /* Whose segment is it? */
    struct utcp_conn *chain; /* in the table */
    struct utcp *stack;
    struct utcp_endpoint local, remote;
    uint32_t hash;                         /* where in the table */
    uint8_t state;                         /* enum utcp_state; moved by utcp__conn_enter() alone */
    bool timestamps : 1, window_scale : 1; /* offered, then negotiated, … */
    bool sack : 1;                         /* … like this */
    bool options_due : 1;                  /* a module of options/ waits for a segment with room */
    bool uncut : 1;                        /* nothing is sent that will be cut: accecn.c */
    /* What header prediction wants to know at once: nothing of it, as a rule. */
    union {
        struct {
            bool traced : 1, timed : 1, arrivals : 1; /* trace.c, times.c */
            bool restless : 1;                        /* not utcp__calm(): recovery.c */
            bool uncommon : 1;                        /* not as most are: utcp__conn_compare() */
            bool fin_queued : 1;                      /* no more will be written */
            bool peer_fin_taken : 1;                  /* rcv_nxt counts it */
            bool
                ce : 1; /* what ECE says now (RFC 3168), or of what came last (RFC 8257, 9768): ecn.c */
            bool accurate : 1; /* ECN is that of RFC 9768: accecn.c */
        };
        uint16_t unusual;
    };

    /* RFC 9293 section 3.3.1, RFC 7323 */
    uint32_t snd_una, snd_nxt, snd_max, snd_wl1, snd_wl2;
    uint32_t snd_wnd, snd_wnd_max; /* bytes, scaled */
    uint32_t irs;
    uint32_t rcv_adv;  /* right edge of the window that was told to the peer */
    uint32_t last_ack; /* Last.ACK.sent, RFC 7323 section 4.3 */
    uint32_t ts_recent, ts_offset;
    uint64_t ts_recent_at;
    uint8_t send_scale, receive_scale;
    bool ack_now;             /* an ACK must go out with this output */
    uint8_t quick_acks;       /* acknowledgments that are not delayed */
    uint8_t segments_unacked; /* full segments that came since the last ACK */
    uint8_t duplicate_acks_due;
    uint8_t retries;       /* timeouts since anything was acknowledged */
    uint16_t segment_seen; /* largest payload of a segment that came, up to receive_mss */
    uint16_t mss;          /* payload of a full segment: utcp__conn_update_mss() */
    uint16_t receive_mss;  /* options not counted */
    uint16_t ip_id;

    struct utcp_recvbuf receive;
    uint32_t receive_limit; /* bytes of receive buffer */
    struct utcp_drs drs;
    uint32_t events;   /* UTCP_* that utcp_poll() has not delivered */
    uint8_t probe_due; /* UTCP_PROBE_* */
    bool fin_acked;
    bool peer_fin_known; /* peer_fin holds */
    uint32_t ports;      /* as they stand in the headers of its segments: remote, local */
    struct list output_link;
    /* Owned: on the stack's list of events. Else on the listener's list, that of TIME-WAIT (until there
     * is an entry in its stead), or that of the dead. */
    struct list link;
    void *user;
    uint64_t heard_at; /* when the last acceptable segment came */
    /* What came and went, without payload and with. */
    uint64_t segments_in[2], segments_out[2];

    struct utcp_sendbuf send;
    uint64_t deadline[TIMERS];
    struct utcp_wheel_timer wheel_timer;
    struct utcp_rtt rtt;
    uint64_t waiting_since; /* since when snd_una stands while something is to be acknowledged */
    uint64_t sent_at;       /* when the last data went out */
    uint64_t pace_at;       /* when the next segment may leave, in ns */
    uint32_t small_end;     /* end of the last segment sent that was not full (Nagle) */
    uint32_t send_max;      /* bytes that the send buffer may hold; 0: as many as the path needs */
    struct utcp_listener *listener; /* until accepted */

    struct utcp_control control;
    struct utcp_cc cc;
    struct utcp_scoreboard board; /* with SACK; else empty */
    struct utcp_rack rack;
    struct utcp_recovery recovery;
    uint32_t segments_retransmitted;
    struct utcp_undo undo;
    struct utcp_prr prr;
    uint32_t receive_max; /* what the receive_limit may grow to */
    struct utcp_ecn ecn;
    struct utcp_sack_report report;
    struct utcp_fast fast;

    bool syn_due : 1; /* SYN or SYN-ACK is to be sent (again) */
    bool held : 1;    /* no SYN-ACK before the listener lets it go */
    bool passive : 1; /* came by a listener */
    bool owned : 1;   /* the application holds it */
    bool in_table : 1;
    bool acceptable : 1; /* the listener counts it so */
    bool nodelay : 1, cork : 1, pacing : 1;
    bool keepalive_due : 1; /* a keep-alive probe */
    bool write_blocked : 1; /* a write was cut short: UTCP_WRITABLE is owed */
    uint8_t limit : 2;      /* enum utcp_limit */
    bool urgent_in : 1, urgent_out : 1;
    bool unfinished : 1; /* prediction.c: there is more to do for this acknowledgment */
    uint8_t dscp, hop_limit;
    uint8_t probes; /* keep-alive probes not answered */
    uint8_t probes_max;
    uint8_t syn_retries;      /* at most; 0: UTCP_RETRIES_SYN */
    uint8_t challenges : 4;   /* challenge ACKs in this period */
    bool timeout_due : 1;     /* RFC 5482: the next segment tells the peer … */
    bool timeout_adopted : 1; /* user_timeout_ms is the peer's */
    bool knocked : 1;         /* in TIME-WAIT: somebody has tried to open it anew */
    bool reports : 1;         /* UTCP_TROUBLE is wanted */
    uint16_t peer_mss;        /* options not counted */
    uint16_t path_mtu;
    uint16_t mss_max; /* what the application allows, options counted; 0: what the path has */
    int16_t error;
    uint16_t timeout_told; /* … this, as it stands in the option; 0: nothing */
    int16_t soft_error;    /* what ICMP said, for the day the connection times out */
    uint32_t iss;
    uint32_t challenge_until; /* end of this period of challenge ACKs, in ms */
    uint32_t data_at;         /* when the last data came, in 1024 µs */
    uint32_t keepalive_ms, keepalive_interval_ms, user_timeout_ms;
    uint32_t peer_fin;       /* sequence number of the peer's FIN */
    uint32_t snd_up, rcv_up; /* ends of urgent data, while urgent_out, urgent_in (urgent.c) */
    struct utcp_fast_queue *fast_queue; /* a child counts there until its handshake is done */
    struct list scattered_link; /* on the stack's list of connections with data out of order */
    struct list all_link;       /* on the stack's list of all */

    /* What is only told (info.c): times in µs of the stack's clock where nothing else is said. */
    uint64_t busy_since;    /* since when `limit` is what it is */
    uint64_t busy_us;       /* under LIMIT_NETWORK, before that */
    struct utcp_more *more; /* NULL: nothing of that has happened, or there is no memory */
};

static_assert(sizeof(struct utcp_conn) <= 1000, "an idle connection costs less than 1 KiB");

#endif
