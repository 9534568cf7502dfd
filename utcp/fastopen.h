/* SPDX-License-Identifier: BSD-2-Clause */
/* What a client remembers for fast open (RFC 7413 section 4.1.3): of each server the cookie and the
 * MSS, of each path that does not let it through how often and until when it is not tried. A bounded
 * number of entries for a stack; the one that was not used for longest makes room. */
#ifndef UTCP_FASTOPEN_H
#define UTCP_FASTOPEN_H

#include "utcp_internal.h"

struct utcp_fast_cache;

/* The number of the option that cookies are asked for with. */
enum fast_try {
    FAST_TRY_STANDARD,
    FAST_TRY_EXPERIMENTAL, /* the next time: the standard one got none */
    FAST_TRY_STANDARD_ONLY,
};

/* Between two addresses: cookies are for all ports of a server. */
struct fast_path {
    uint16_t mss; /* as the server told it */
    uint8_t cookie_size;
    uint8_t cookie[UTCP_COOKIE_MAX];
    bool experimental; /* the option that the cookie came in */
    uint8_t tried;     /* enum fast_try */
};

/* Makes the cache; false: no memory. */
bool utcp__fast_cache_prepare(struct utcp *stack);
void utcp__fast_cache_free(struct utcp *stack);

/* What is known between the addresses of the connection; NULL: nothing. */
const struct fast_path *utcp__fast_cache_find(const struct utcp_conn *conn);
/* Its SYN-ACK came, with this cookie, or NULL. */
void utcp__fast_cache_learn(struct utcp_conn *conn, const struct utcp_segment_options *cookie);

/* Whether fast open is not to be tried to the connection's server now: it failed twice in a row, or more
 * often, and the time that it is then left alone for, twice as long with each failure, is not over. */
bool utcp__fast_cache_failing(const struct utcp_conn *conn);
/* `surely`: once is enough. */
void utcp__fast_cache_failed(struct utcp_conn *conn, bool surely);
void utcp__fast_cache_worked(struct utcp_conn *conn);

#endif
