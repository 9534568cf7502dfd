/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of Accurate ECN, RFC 9768 section 3.2.3: bytes of payload that came as ECT(0), CE and ECT(1), or
 * in the opposite order, 24 bits each; fields at the end may be missing. What they are for, and when one
 * is due: ../accecn.c.
 *
 * There are two kinds, and a module for each, of which the first writes. A SYN-ACK tells all, for the client
 * to see whether options pass; then what has ever changed is told, or, where there is no room for that, what has
 * changed since the last. SACK's first two blocks come first (section 3.2.3.3). */
#include "options.h"
#include "utcp_internal.h"

#define FIELD_SIZE 3

const uint8_t utcp__accecn_order[2][UTCP_ACCECN_FIELDS] = {{IP_ECN_0, IP_ECN_CE, IP_ECN_1},
                                                           {IP_ECN_1, IP_ECN_CE, IP_ECN_0}};

/* Which of the two orders, and how many fields: two take no more than one, as options are whole words. */
struct form {
    bool order1;
    uint8_t fields;
};

static void parse(const uint8_t *value, uint32_t size, struct utcp_segment_options *options,
                  bool order1)
{
    if (options->has_accecn)
        return;
    options->has_accecn = true;
    options->accecn_order1 = order1;
    options->accecn_fields = (uint8_t)min_u32(size / FIELD_SIZE, UTCP_ACCECN_FIELDS);
    for (uint8_t i = 0; i < options->accecn_fields; i++, value += FIELD_SIZE)
        options->accecn[i] = (uint32_t)value[0] << 16 | (uint32_t)value[1] << 8 | value[2];
}

static void parse0(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    parse(value, size, options, false);
}

static void parse1(const uint8_t *value, uint32_t size, struct utcp_segment_options *options)
{
    parse(value, size, options, true);
}

static uint32_t size_of(uint8_t fields)
{
    return (2u + fields * FIELD_SIZE + 3) / 4 * 4;
}

/* The least that has these fields. */
static struct form form_for(bool ect0, bool ect1)
{
    return (struct form){.order1 = ect1 && !ect0, .fields = ect0 && ect1 ? 3 : 2};
}

/* False: nothing fits that says enough. */
static bool choose(const struct utcp_conn *conn, uint32_t room, bool syn, struct form *form)
{
    const struct utcp_ecn_bytes *bytes = conn->ecn.bytes;
    const uint64_t initial[] = UTCP_ECN_BYTES_INITIAL;

    *form = (struct form){.fields = UTCP_ACCECN_FIELDS};
    if (bytes && bytes->begun)
        *form = form_for(bytes->in[IP_ECN_0] != initial[IP_ECN_0],
                         bytes->in[IP_ECN_1] != initial[IP_ECN_1]);
    if (size_of(form->fields) > room && bytes)
        *form = form_for(bytes->in[IP_ECN_0] != bytes->in_told[IP_ECN_0],
                         bytes->in[IP_ECN_1] != bytes->in_told[IP_ECN_1]);
    if (size_of(form->fields) > room && syn)
        form->fields = 0;
    return size_of(form->fields) <= room;
}

/* What is left of `room` when SACK has its share. */
static uint32_t room_beside_sack(const struct utcp_conn *conn, uint32_t room)
{
    uint32_t blocks = conn->report.count + (uint32_t)conn->report.duplicate_due;
    uint32_t sack = conn->sack && blocks ? 4 + 8 * min_u32(blocks, 2) : 0;

    return room - min_u32(room, sack);
}

static bool is_due(const struct utcp_conn *conn, bool syn, uint8_t tcp_flags)
{
    if (!conn->accurate || tcp_flags & TCP_RST)
        return false;
    if (syn) /* of the SYN-ACKs the first: what does not pass may be the option */
        return tcp_flags & TCP_ACK && conn->retries == 0 && !conn->ecn.syn_again;
    /* What was lost goes again without: section 3.2.3.2.2. */
    return conn->ecn.options_left && conn->retries == 0 && !conn->recovery.active;
}

static uint8_t *write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at)
{
    const uint64_t initial[] = UTCP_ECN_BYTES_INITIAL;
    const uint64_t *in = conn->ecn.bytes ? conn->ecn.bytes->in : initial;
    bool syn = tcp_flags & TCP_SYN;
    uint8_t *start = at;
    struct form form;

    if (!is_due(conn, syn, tcp_flags) ||
        !choose(conn, syn ? room : room_beside_sack(conn, room), syn, &form))
        return at;
    *at++ = form.order1 ? TCP_OPTION_ACCECN1 : TCP_OPTION_ACCECN0;
    *at++ = (uint8_t)(2 + form.fields * FIELD_SIZE);
    for (uint8_t i = 0; i < form.fields; i++) {
        uint64_t value = in[utcp__accecn_order[form.order1][i]];

        *at++ = (uint8_t)(value >> 16);
        *at++ = (uint8_t)(value >> 8);
        *at++ = (uint8_t)value;
    }
    while ((at - start) % 4)
        *at++ = TCP_OPTION_NOP;
    return at;
}

/* All that has changed was in it. */
static void sent(struct utcp_conn *conn)
{
    struct utcp_ecn_bytes *bytes = conn->ecn.bytes;

    conn->ecn.options_left -= conn->ecn.options_left > 0;
    if (bytes == NULL)
        return;
    bytes->begun = true;
    for (unsigned i = 0; i < sizeof(bytes->in) / sizeof(bytes->in[0]); i++)
        bytes->in_told[i] = bytes->in[i];
}

static bool due(const struct utcp_conn *conn)
{
    return conn->accurate && conn->ecn.options_left;
}

const struct utcp_option_module utcp__option_accecn0 = {
    .name = "Accurate ECN",
    .kind = TCP_OPTION_ACCECN0,
    .parse = parse0,
    .write = write,
    .sent = sent,
    .due = due,
};

const struct utcp_option_module utcp__option_accecn1 = {
    .name = "Accurate ECN (opposite order)",
    .kind = TCP_OPTION_ACCECN1,
    .parse = parse1,
    .sent = sent,
};
