/* SPDX-License-Identifier: BSD-2-Clause */
/* Challenge ACKs (RFC 5961): the answer to a segment that may be forged. A peer that is in earnest
 * proves itself by what it says next.
 *
 * How many of them are sent is limited (sections 7 and 10), for a flood of forged segments should not
 * make as many ACKs, and for two ends that disagree would answer each other forever. The limit is
 * that of the connection: only its peer sees how much is left of it. A limit for all connections
 * together is a side channel. Whoever has a connection of its own uses the limit up there and counts
 * what it gets: one less, and a segment that it forged in another's name has met a connection, and
 * its window (CVE-2016-5696; Cao et al., 2016). Linux first made its limit larger and different from
 * second to second (4.7), so that counting takes longer, and has none by default since 6.0. A
 * challenge is no larger than what asked for it, so nothing is amplified. So here, too, there is none
 * unless the program asks for it, and then it differs, by a keyed hash of the second. The connection
 * is asked first, so that a flood at one connection uses up little of the limit of all. */
#include "utcp_internal.h"

#define UTCP_CHALLENGE_PERIOD 5000 /* ms; RFC 5961 section 10: 10 in 5 seconds */
#define UTCP_CHALLENGE_MAX    10

/* The connection has one left. */
static bool conn_allows(const struct utcp *stack, uint32_t *until, uint8_t *used)
{
    uint32_t now = (uint32_t)(stack->now / UTCP_MS);

    /* Not in a period, whenever the last was: the difference is that of a clock that wraps. */
    if (*until - now - 1 >= UTCP_CHALLENGE_PERIOD) {
        *until = now + UTCP_CHALLENGE_PERIOD;
        *used = 0;
    }
    if (*used >= UTCP_CHALLENGE_MAX)
        return false;
    ++*used;
    return true;
}

/* All of them in this second: half of the limit, and up to as much again as the limit. */
static uint32_t limit_in(const struct utcp *stack, uint64_t second)
{
    uint64_t words[2] = {second, 'c'};
    uint64_t drawn = siphash(stack->key, words, sizeof(words)) % (stack->challenges_max + 1);

    return stack->challenges_max / 2 + (uint32_t)drawn;
}

static bool stack_allows(struct utcp *stack)
{
    uint64_t second = stack->now / UTCP_SECOND + 1;

    if (stack->challenges_max == 0)
        return true;
    if (second != stack->challenge_second) {
        stack->challenge_second = second;
        stack->challenges_left = limit_in(stack, second);
    }
    if (stack->challenges_left == 0)
        return false;
    stack->challenges_left--;
    return true;
}

bool utcp__challenge_allowed(struct utcp *stack, uint32_t *until, uint8_t *used)
{
    if (!conn_allows(stack, until, used)) {
        stack->stats.challenges_withheld++;
        return false;
    }
    if (!stack_allows(stack)) {
        stack->stats.challenges_over_limit++;
        return false;
    }
    stack->stats.challenge_acks++;
    return true;
}

void utcp__challenge_ack(struct utcp_conn *conn)
{
    uint8_t used = conn->challenges;
    bool allowed = utcp__challenge_allowed(conn->stack, &conn->challenge_until, &used);

    conn->challenges = used & 0xf;
    if (!allowed)
        return;
    conn->ack_now = true;
    utcp__want_output(conn);
}
