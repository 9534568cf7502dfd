/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections in TIME-WAIT that nobody holds: timewait.c. A part of utcp_internal.h, by which it is
 * included. */
#ifndef UTCP_TIMEWAIT_H
#define UTCP_TIMEWAIT_H

/* The entry between these two; NULL: there is none. */
struct utcp_time_wait *utcp__find_waiting(const struct utcp *stack,
                                          const struct utcp_endpoint *local,
                                          const struct utcp_endpoint *remote);

/* True: an entry has taken the connection's place, which is gone. False: it is not in TIME-WAIT, not an
 * orphan, has more to say, or there is no place. */
bool utcp__time_wait_take(struct utcp_conn *conn);

enum utcp_last_words {
    LAST_WORDS_OTHERS, /* it is not in TIME-WAIT, or has more to say than a plain ACK: as any other */
    LAST_WORDS_SAID,   /* the ACK has gone out, and an entry has taken the connection's place */
    LAST_WORDS_FULL,   /* the sink has no room; nothing was done */
};

/* What most have left to say when the peer's FIN comes, for a connection of the output list. */
enum utcp_last_words utcp__time_wait_last_words(struct utcp_conn *conn,
                                                const struct utcp_sink *sink);
void utcp__time_wait_input(struct utcp *stack, struct utcp_time_wait *wait,
                           struct utcp_segment *segment);
/* Ends it, or all whose time is over. */
void utcp__time_wait_end(struct utcp *stack, struct utcp_time_wait *wait);
void utcp__time_wait_expire(struct utcp *stack);
/* Fills in an answer that is to leave. False: nothing is to be answered any more. */
bool utcp__time_wait_answer(struct utcp *stack, struct utcp_reply *reply);
void utcp__time_wait_answered(struct utcp *stack, const struct utcp_reply *reply);
/* Makes a connection to look at: in no table, on no list, and nothing is to be done with it. */
void utcp__time_wait_show(const struct utcp *stack, const struct utcp_time_wait *wait,
                          struct utcp_conn *conn);

#endif
