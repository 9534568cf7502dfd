/* SPDX-License-Identifier: BSD-2-Clause */
/* The sender's side of SACK: what is known of everything between snd_una and snd_max (the
 * scoreboard), and what loss detection, probes and undo keep.
 *
 * The scoreboard is an array of ranges that lie side by side, from snd_una to snd_max. What was
 * sent within a 32nd of the least round-trip time is one range with one time, so in-order traffic
 * needs some dozens however wide the window is, and nothing is kept for each segment. SACK splits
 * ranges, and what was reported side by side becomes one again.
 *
 * A receiver that reports crumbs (CVE-2019-11477, 11478) meets the limit of ranges: beyond it blocks
 * that would split one more are ignored, which costs a retransmission at worst. */
#ifndef UTCP_SACK_H
#define UTCP_SACK_H

#include <stdbool.h>
#include <stdint.h>

#define UTCP_SENT_MAX 2048 /* ranges, 16 bytes each */
#define UTCP_SENT_FEW 2    /* within the connection */

enum {
    SENT_SACKED = 1,
    SENT_LOST = 2,  /* and not sent again yet */
    SENT_AGAIN = 4, /* more than once */
};

struct utcp_sent {
    uint64_t at : 56, flags : 8; /* when it was sent last, µs */
    uint32_t start, end;
};

struct utcp_scoreboard {
    struct utcp_sent *many; /* NULL: `few` are enough */
    struct utcp_sent few[UTCP_SENT_FEW];
    uint32_t first, count, capacity;
    uint32_t sacked, lost; /* bytes */
    uint32_t lost_from;    /* below it nothing is lost */
    uint64_t again_at;     /* when something was sent again last */
};

/* RFC 8985, by its names. */
struct utcp_rack {
    uint64_t sent_at; /* of the last segment sent that was delivered: xmit_ts */
    uint64_t min_rtt_at;
    uint32_t end; /* … and its end */
    uint32_t rtt, min_rtt;
    uint32_t fack;               /* highest end that was delivered */
    uint32_t round_end;          /* until it is acknowledged, D-SACK widens the window no further */
    uint32_t probe_end;          /* when this was delivered, the probe is no longer out */
    uint8_t multiplier, persist; /* reo_wnd_mult, reo_wnd_persist */
    bool reordering : 1;
    bool round_seen : 1;
    bool timer_probes : 1; /* TIMER_LOSS is for a probe, not for the reordering window */
    bool probe_due : 1, probe_out : 1;
    bool probe_again : 1; /* it was a retransmission that may have hidden a loss */
    bool probe_new : 1;   /* it was new data */
    bool measured : 1;    /* a round-trip time was, since the last probe left */
    uint8_t patience;     /* a probe waits for 2^(this + 1) round trips */
};

/* RFC 9937. */
struct utcp_prr {
    uint32_t delivered, out, flight; /* since recovery began; RecoverFS */
};

#define UTCP_RESENT_MAX 64 /* ranges, 8 bytes each */

/* What was sent again and has not been told of as a duplicate, in the order in which it was sent: the
 * same twice is here twice. */
struct utcp_resent {
    uint16_t count, capacity;
    uint16_t earlier; /* so many belong to recoveries before this one */
    bool incomplete;  /* some of this recovery found no room */
    uint32_t first;   /* where the first retransmission of this recovery begins */
    struct utcp_sack_block at[];
};

/* RFC 3522, 5682, 2883: was what was sent again lost at all? */
struct utcp_undo {
    struct utcp_resent *resent; /* NULL: nothing was, or memory ran out */
    uint32_t timestamp;         /* of the first retransmission */
    bool possible, sent, judged;
    uint8_t frto; /* enum frto */
};

/* What one acknowledgment has told. */
struct utcp_delivery {
    uint32_t flight;    /* before it came */
    uint32_t delivered; /* bytes, for the first time, by either way */
    uint32_t fack;      /* before it came: the blocks of one are in no order */
    uint32_t ts_echo;
    uint64_t rtt_us;
    bool advanced;  /* snd_una moved */
    bool reported;  /* SACK told something new */
    bool duplicate; /* D-SACK of what was sent again */
    bool has_echo;
    bool original; /* sent once only, and before `recover` */
};

#endif
