/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection and a listener keep for fast open (RFC 7413): theory of operation in fastopen.c. */
#ifndef UTCP_FASTOPEN_STATE_H
#define UTCP_FASTOPEN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "siphash.h"

#define UTCP_FAST_TIMEOUTS 3 /* in a row behind a SYN with data, and the path does not take them */

struct utcp_fast_keys {
    struct siphash_key key[2]; /* the first makes cookies, both are accepted */
    uint8_t count;
};

/* Children of a listener whose data were taken before the handshake was done. */
struct utcp_fast_queue {
    uint32_t users; /* the listener, and each such child */
    uint32_t limit, pending;
    uint32_t resets[2]; /* of children, in this period and the one before */
    uint64_t period;
    bool no_cookie;             /* data are taken from everybody */
    struct utcp_fast_keys keys; /* count 0: those of the stack */
};

/* What to do about a SYN. */
enum utcp_fast_verdict {
    FAST_PLAIN,  /* as without fast open */
    FAST_COOKIE, /* the same, and give it a cookie */
    FAST_TAKE,   /* its data, at once */
    FAST_TAKE_AND_COOKIE,
};

enum utcp_fast_option { FAST_OPTION_NONE, FAST_OPTION_REQUEST, FAST_OPTION_COOKIE };

struct utcp_fast {
    uint16_t sent;         /* bytes of data that went with our SYN */
    uint8_t option : 2;    /* of our first SYN, or SYN-ACK: enum utcp_fast_option */
    uint8_t failure : 2;   /* enum utcp_fast_open_failure */
    bool experimental : 1; /* the number of that option */
    bool wanted : 1;       /* the client asked for it … */
    bool data_allowed : 1; /* … and has what it needs */
    bool answered : 1;     /* the child's SYN-ACK has been sent */
    bool data_taken : 1;   /* of our SYN, or from the peer's */
};

#endif
