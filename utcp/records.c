/* SPDX-License-Identifier: BSD-2-Clause */
/* Records: ends that the application puts into its stream of bytes, which no segment goes across, be it
 * sent for the first time or again. TCP itself has none, and a peer may find two of them in one read;
 * but who looks at segments (a device that handles messages, a time stamp of a message's last byte) finds
 * one message in each, as behind Linux's MSG_EOR.
 *
 * The ends are offsets of the stream in a ring, the oldest first. What lies below snd_una is taken off
 * when the ring is looked at next, so acknowledgments cost a connection with records nothing; and one
 * without has no ring. */
#include <errno.h>
#include <stdlib.h>

#include "utcp_internal.h"

#define CAPACITY_FIRST 16

struct utcp_records {
    uint32_t first, count, capacity; /* capacity: a power of two */
    uint64_t end[];
};

static uint64_t *place(struct utcp_records *records, uint32_t index)
{
    return &records->end[(records->first + index) & (records->capacity - 1)];
}

static size_t size_of(uint32_t capacity)
{
    return sizeof(struct utcp_records) + capacity * sizeof(uint64_t);
}

static void drop_acknowledged(const struct utcp_conn *conn, struct utcp_records *records)
{
    while (records->count && *place(records, 0) <= conn->send.una) {
        records->first++;
        records->count--;
    }
}

size_t utcp__records_size(const struct utcp_conn *conn)
{
    return conn->more && conn->more->records ? size_of(conn->more->records->capacity) : 0;
}

void utcp__records_dispose(struct utcp_conn *conn)
{
    utcp__pool_count(&conn->stack->pool, utcp__records_size(conn), 0);
    if (conn->more) {
        free(conn->more->records);
        conn->more->records = NULL;
    }
}

bool utcp__records_full(const struct utcp_conn *conn)
{
    struct utcp_records *records = conn->more ? conn->more->records : NULL;

    if (records == NULL)
        return false;
    drop_acknowledged(conn, records);
    return records->count == UTCP_RECORDS_MAX;
}

int utcp__records_make_room(struct utcp_conn *conn)
{
    struct utcp_more *more = utcp__more(conn);
    struct utcp_records *before, *records;
    uint32_t capacity;

    if (more == NULL)
        return -ENOMEM;
    if (utcp__records_full(conn))
        return -EAGAIN;
    before = more->records;
    if (before && before->count < before->capacity)
        return 0;
    capacity = before ? 2 * before->capacity : CAPACITY_FIRST;
    records = utcp__pool_full(&conn->stack->pool) ? NULL : malloc(size_of(capacity));
    if (records == NULL)
        return -ENOMEM;
    *records = (struct utcp_records){.capacity = capacity};
    for (; before && records->count < before->count; records->count++)
        records->end[records->count] = *place(before, records->count);
    utcp__records_dispose(conn);
    utcp__pool_count(&conn->stack->pool, 0, size_of(capacity));
    more->records = records;
    return 0;
}

void utcp__record_end(struct utcp_conn *conn)
{
    struct utcp_records *records = conn->more->records;

    *place(records, records->count++) = conn->send.end;
}

uint32_t utcp__record_left(struct utcp_conn *conn, uint32_t seq)
{
    struct utcp_records *records = conn->more->records;
    uint64_t offset = conn->send.una + (seq - conn->snd_una), left;
    uint32_t low = 0, high;

    drop_acknowledged(conn, records);
    high = records->count;
    while (low < high) { /* the first end behind `offset` */
        uint32_t middle = low + (high - low) / 2;

        if (*place(records, middle) <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == records->count)
        return UINT32_MAX;
    left = *place(records, low) - offset;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}
