/* SPDX-License-Identifier: BSD-2-Clause */
/* Selective acknowledgments, RFC 2018, with reports of duplicates, RFC 2883: two options and one
 * module each, SACK-permitted in the SYNs and SACK in what follows. What a report says is decided
 * here, from the receive buffer; what one that arrives means, in sack.c.
 *
 * Reports go into every segment that leaves room for them: all without data, and those with data
 * that are not full. What has to be told at once is told by a segment without data. */
#include "options.h"
#include "utcp_internal.h"

#define BLOCK_SIZE       8
#define QUICK_AFTER_LOSS 16 /* acknowledgments */

/* ── SACK-permitted ────────────────────────────────────────────────────────────────────────── */

static void parse_permitted(const uint8_t *value, uint32_t size,
                            struct utcp_segment_options *options)
{
    (void)value;
    (void)size;
    options->sack_permitted = true;
}

static void negotiate_permitted(struct utcp_conn *conn, const struct utcp_segment_options *peer)
{
    conn->sack = conn->sack && peer->sack_permitted;
}

static uint8_t *write_permitted(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room,
                                uint8_t *at)
{
    (void)room;
    if (!(tcp_flags & TCP_SYN) || !conn->sack)
        return at;
    if (!conn->timestamps) { /* which fill the word up otherwise */
        *at++ = TCP_OPTION_NOP;
        *at++ = TCP_OPTION_NOP;
    }
    *at++ = TCP_OPTION_SACK_PERMITTED;
    *at++ = TCP_OPTION_SACK_PERMITTED_LENGTH;
    return at;
}

/* ── SACK ──────────────────────────────────────────────────────────────────────────────────── */

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    if (size == 0 || size % BLOCK_SIZE || size / BLOCK_SIZE > UTCP_SACK_BLOCKS)
        return;
    options->sacks = (uint8_t)(size / BLOCK_SIZE);
    for (uint8_t i = 0; i < options->sacks; i++, value += BLOCK_SIZE)
        options->sack[i] =
            (struct utcp_sack_block){utcp__get_be32(value), utcp__get_be32(value + 4)};
}

/* Of something that is pending, so it lies within a window of what comes next. */
static uint64_t offset_of(const struct utcp_conn *conn, uint32_t sequence)
{
    return conn->receive.next + (sequence - (conn->irs + 1 + (uint32_t)conn->receive.next));
}

/* RFC 2018 section 4: first the range that changed last, then those that were told of before; RFC
 * 2883 section 4: before all of them what came twice. */
static uint8_t choose(const struct utcp_conn *conn, struct utcp_sack_block *blocks, uint32_t max)
{
    const struct utcp_sack_report *report = &conn->report;
    const struct utcp_ranges *pending = &conn->receive.pending;
    uint32_t first = conn->irs + 1;
    uint8_t count = 0;

    if (report->duplicate_due)
        blocks[count++] = report->duplicate;
    for (uint8_t i = 0; i < report->count && count < max; i++) {
        struct utcp_range range;

        if (utcp__ranges_find(pending, offset_of(conn, report->recent[i]), &range))
            blocks[count++] = (struct utcp_sack_block){first + (uint32_t)range.start,
                                                       first + (uint32_t)range.end};
    }
    return count;
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    struct utcp_sack_block blocks[UTCP_SACK_BLOCKS];
    uint8_t count;

    if (!conn->sack || tcp_flags & (TCP_SYN | TCP_RST) || room < 4 + BLOCK_SIZE ||
        (conn->report.count == 0 && !conn->report.duplicate_due))
        return at;
    count = choose(conn, blocks, min_u32((room - 4) / BLOCK_SIZE, UTCP_SACK_BLOCKS));
    if (count == 0)
        return at;
    *at++ = TCP_OPTION_NOP;
    *at++ = TCP_OPTION_NOP;
    *at++ = TCP_OPTION_SACK;
    *at++ = (uint8_t)(2 + count * BLOCK_SIZE);
    for (uint8_t i = 0; i < count; i++) {
        at = utcp__put_be32(at, blocks[i].start);
        at = utcp__put_be32(at, blocks[i].end);
    }
    return at;
}

/* ── What is to be reported ────────────────────────────────────────────────────────────────── */

/* Something was lost or late: the peer has little in flight now, and probes with single segments. What
 * it learned 40 ms later would make its round trips look long, and might cost it a timeout. */
static void acknowledge_quickly(struct utcp_conn *conn)
{
    if (conn->quick_acks < QUICK_AFTER_LOSS)
        conn->quick_acks = QUICK_AFTER_LOSS;
}

void utcp__sack_arrived(struct utcp_conn *conn, uint64_t offset)
{
    struct utcp_sack_report *report = &conn->report;
    uint32_t first = conn->irs + 1, recent[UTCP_SACK_BLOCKS] = {first + (uint32_t)offset};
    struct utcp_range range;
    uint8_t count = 1;

    acknowledge_quickly(conn);
    if (!conn->sack || !utcp__ranges_find(&conn->receive.pending, offset, &range))
        return;
    for (uint8_t i = 0; i < report->count && count < UTCP_SACK_BLOCKS; i++)
        if (report->recent[i] - (first + (uint32_t)range.start) >= range.end - range.start)
            recent[count++] = report->recent[i];
    for (uint8_t i = 0; i < count; i++)
        report->recent[i] = recent[i];
    report->count = count;
}

void utcp__sack_advanced(struct utcp_conn *conn)
{
    struct utcp_sack_report *report = &conn->report;
    uint8_t kept = 0;

    for (uint8_t i = 0; i < report->count; i++)
        if (!seq_before(report->recent[i], conn->irs + 1 + (uint32_t)conn->receive.next))
            report->recent[kept++] = report->recent[i];
    report->count = kept;
}

void utcp__sack_duplicate(struct utcp_conn *conn, uint32_t start, uint32_t end)
{
    if (start == end)
        return;
    acknowledge_quickly(conn);
    if (!conn->sack)
        return;
    conn->report.duplicate = (struct utcp_sack_block){start, end};
    conn->report.duplicate_due = true;
    utcp__want_output(conn);
}

const struct utcp_option_module utcp__option_sack_permitted = {
    .name = "SACK permitted",
    .kind = TCP_OPTION_SACK_PERMITTED,
    .length = TCP_OPTION_SACK_PERMITTED_LENGTH,
    .parse = parse_permitted,
    .negotiate = negotiate_permitted,
    .write = write_permitted,
};

const struct utcp_option_module utcp__option_sack = {
    .name = "SACK",
    .kind = TCP_OPTION_SACK,
    .parse = parse,
    .write = write,
};
