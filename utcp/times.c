/* SPDX-License-Identifier: BSD-2-Clause */
/* When bytes left and arrived, for programs that measure: Linux's SO_TIMESTAMPING.
 *
 *   out   the program marks the last byte that it has written. When that was sent for the first time,
 *         and when it was acknowledged, is told. A mark is reserved room for all that it will tell when
 *         it is made, so nothing is allocated, and nothing lost, later
 *   in    each moment at which data came to be readable, with where in the stream they end, until they
 *         are read
 *
 * Who asks for neither pays for two bits that lie beside others that are looked at anyway. */
#include <errno.h>
#include <stdlib.h>

#include "utcp_internal.h"

#define MARKS_MAX    256  /* powers of two, all three */
#define TOLD_MAX     1024 /* more than all marks together need */
#define ARRIVALS_MAX 256

struct mark {
    uint64_t end; /* offset of the stream behind the byte */
    uint32_t tag;
    uint8_t wanted; /* UTCP_TIME_* */
};

struct utcp_times {
    struct mark mark[MARKS_MAX];
    struct utcp_time told[TOLD_MAX];
    /* Free-running: marks from `first` on are not acknowledged, from `unsent` on not sent, either. */
    uint32_t first, unsent, end;
    uint32_t told_first, told_end;
};

struct arrival {
    uint64_t end, at;
};

struct utcp_arrivals {
    struct arrival arrival[ARRIVALS_MAX];
    uint32_t first, end; /* free-running */
    uint64_t from;       /* offset of the stream: what came before was not looked at */
    uint64_t last;       /* when the byte that was read last had come; 0: not known */
};

size_t utcp__times_size(const struct utcp_conn *conn)
{
    return (conn->timed ? sizeof(struct utcp_times) : 0) +
           (conn->arrivals ? sizeof(struct utcp_arrivals) : 0);
}

void utcp__times_dispose(struct utcp_conn *conn)
{
    utcp__pool_count(&conn->stack->pool, utcp__times_size(conn), 0);
    if (conn->timed)
        free(conn->more->times);
    if (conn->arrivals)
        free(conn->more->arrivals);
    conn->timed = conn->arrivals = false;
}

/* ── Out ───────────────────────────────────────────────────────────────────────────────────── */

static void tell(struct utcp_conn *conn, const struct mark *mark, enum utcp_time_kind kind)
{
    struct utcp_times *times = conn->more->times;

    if (!(mark->wanted & kind))
        return;
    times->told[times->told_end++ % TOLD_MAX] = (struct utcp_time){
        .kind = kind, .tag = mark->tag, .at = conn->stack->now, .end = mark->end};
    utcp__event(conn, UTCP_TIMES);
}

void utcp__times_sent(struct utcp_conn *conn)
{
    struct utcp_times *times = conn->more->times;
    uint32_t una = conn->iss + 1 + (uint32_t)conn->send.una;
    uint64_t sent = conn->send.una + (conn->snd_max - una); /* a FIN makes no difference */

    for (; times->unsent != times->end; times->unsent++) {
        const struct mark *mark = &times->mark[times->unsent % MARKS_MAX];

        if (mark->end > sent)
            break;
        tell(conn, mark, UTCP_TIME_SENT);
    }
}

void utcp__times_acknowledged(struct utcp_conn *conn)
{
    struct utcp_times *times = conn->more->times;

    for (; times->first != times->unsent; times->first++) {
        const struct mark *mark = &times->mark[times->first % MARKS_MAX];

        if (mark->end > conn->send.una)
            break;
        tell(conn, mark, UTCP_TIME_ACKNOWLEDGED);
    }
}

/* Each mark tells two times at most. */
static bool has_room(const struct utcp_times *times)
{
    uint32_t marks = times->end - times->first, told = times->told_end - times->told_first;

    return marks < MARKS_MAX && told + 2 * (marks + 1) <= TOLD_MAX;
}

int utcp_mark_times(struct utcp_conn *conn, uint64_t now, unsigned kinds, uint32_t tag)
{
    struct utcp_more *more = utcp__more(conn);

    utcp__set_now(conn->stack, now);
    if (!kinds || kinds & ~(unsigned)(UTCP_TIME_SENT | UTCP_TIME_ACKNOWLEDGED) ||
        conn->send.end == conn->send.una)
        return -EINVAL;
    if (more == NULL)
        return -ENOMEM;
    if (!conn->timed) {
        more->times = utcp__pool_full(&conn->stack->pool) ? NULL : calloc(1, sizeof(*more->times));
        if (more->times == NULL)
            return -ENOMEM;
        conn->timed = true;
        utcp__pool_count(&conn->stack->pool, 0, sizeof(*more->times));
    }
    if (!has_room(more->times))
        return -ENOBUFS;
    more->times->mark[more->times->end++ % MARKS_MAX] =
        (struct mark){.end = conn->send.end, .tag = tag, .wanted = (uint8_t)kinds};
    utcp__times_sent(conn);
    return 0;
}

unsigned utcp_take_times(struct utcp_conn *conn, struct utcp_time *times, unsigned max)
{
    struct utcp_times *from = conn->timed ? conn->more->times : NULL;
    unsigned count = 0;

    while (from && count < max && from->told_first != from->told_end)
        times[count++] = from->told[from->told_first++ % TOLD_MAX];
    return count;
}

/* ── In ────────────────────────────────────────────────────────────────────────────────────── */

int utcp__arrivals_watch(struct utcp_conn *conn, bool on)
{
    struct utcp_more *more = utcp__more(conn);

    if (on == conn->arrivals)
        return 0;
    if (more == NULL)
        return -ENOMEM;
    if (!on) {
        free(more->arrivals);
        more->arrivals = NULL;
        conn->arrivals = false;
        utcp__pool_count(&conn->stack->pool, sizeof(*more->arrivals), 0);
        return 0;
    }
    more->arrivals =
        utcp__pool_full(&conn->stack->pool) ? NULL : calloc(1, sizeof(*more->arrivals));
    if (more->arrivals == NULL)
        return -ENOMEM;
    more->arrivals->from = conn->receive.next;
    conn->arrivals = true;
    utcp__pool_count(&conn->stack->pool, 0, sizeof(*more->arrivals));
    return 0;
}

void utcp__arrived(struct utcp_conn *conn)
{
    struct utcp_arrivals *arrivals = conn->more->arrivals;
    uint32_t count = arrivals->end - arrivals->first;
    struct arrival *last = &arrivals->arrival[(arrivals->end - 1) % ARRIVALS_MAX];

    if (count && (last->at == conn->stack->now || count == ARRIVALS_MAX))
        last->at = conn->stack->now; /* where room is scarce the later time holds */
    else
        last = &arrivals->arrival[arrivals->end++ % ARRIVALS_MAX];
    *last = (struct arrival){.end = conn->receive.next, .at = conn->stack->now};
}

void utcp__arrivals_read(struct utcp_conn *conn)
{
    struct utcp_arrivals *arrivals = conn->more->arrivals;
    uint64_t read = conn->receive.read;

    arrivals->last = 0;
    while (read > arrivals->from && arrivals->first != arrivals->end) {
        const struct arrival *first = &arrivals->arrival[arrivals->first % ARRIVALS_MAX];

        if (first->end >= read) {
            arrivals->last = first->at;
            break;
        }
        arrivals->first++;
    }
}

uint64_t utcp_arrived_at(const struct utcp_conn *conn)
{
    return conn->arrivals ? conn->more->arrivals->last : 0;
}
