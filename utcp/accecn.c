/* SPDX-License-Identifier: BSD-2-Clause */
/* Accurate ECN, RFC 9768: the receiver counts the marks, and every segment tells the count, so that the sender
 * learns how many there were, and not only that there were some. Who asks for it, and when: ecn.c.
 *
 *   ACE     the flags AE, CWR and ECE as one number: the three low bits of the count of marked packets. Of a
 *           calm connection it stands still, and header prediction asks for no more than that. The ACK of a
 *           SYN-ACK alone tells something else, as what the SYN-ACK itself came (section 3.2.2.1)
 *   option  bytes that came as ECT(0), CE and ECT(1), modulo 2^24 (options/accecn.c), where there is room; it
 *           says whether ACE went round, and how much was marked where packets are not of one size
 *
 * Both are sums: what a lost ACK has told, the next tells again. An ACK that acknowledges nothing new may have
 * been overtaken, so what it tells is left for one that does (appendix A.1). Where options do not arrive and an ACK
 * covers more packets than ACE can count, the most that it can mean is assumed (section 3.2.2.5.2).
 *
 * What a path spoils is found out by the initial values, which are not zero, and by what the SYNs came as. Then
 * nothing is sent as capable of ECN any more, while the peer is told of its marks as before. */
#include <stdlib.h>

#include "options/options.h"
#include "utcp_internal.h"

#define ACE_MAX 7

#define MARKS_WITH_DATA 2 /* that are told at once, with data to acknowledge … */
#define MARKS_WITHOUT   3 /* … or without, section 3.2.2.5.1 */

/* Bytes of one field after which it is told again though nothing else has changed. Section 3.2.3.3 wants it
 * within 2^22, and "every n ACKs"; every one would cost the peer its header prediction. */
#define REPEAT_BYTES 65536

/* How a SYN came, told by the segment that answers it: tables 2 and 3. */
static const uint8_t reflections[] = {
    [IP_ECN_NOT] = 2,
    [IP_ECN_1] = 3,
    [IP_ECN_0] = 4,
    [IP_ECN_CE] = 6,
};

/* ── Handshake ─────────────────────────────────────────────────────────────────────────────── */

void utcp__accurate_begin(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    struct utcp_ecn *ecn = &conn->ecn;

    conn->accurate = true;
    conn->ce = true; /* until the first segment was looked at: nothing of that is predicted */
    ecn->on = ecn->capable = true;
    ecn->handshake = syn->ecn;
    ecn->told = UTCP_ACE_INITIAL;
}

/* Nothing of ours in the handshake is capable: what has become so on its way was mangled (section 3.2.2.3). */
static void check_reflection(struct utcp_ecn *ecn, uint8_t ace)
{
    if (ace == reflections[IP_ECN_1] || ace == reflections[IP_ECN_0] ||
        ace == reflections[IP_ECN_CE])
        ecn->capable = false;
    if (ace == reflections[IP_ECN_CE])
        ecn->reaction_due = true;
}

/* Section 3.2.3.2.3 and 3.2.3.2.4, by the first segment that may have the option. */
static void look_for_option(struct utcp_ecn *ecn, const struct utcp_segment_options *options,
                            bool first)
{
    if (!options->has_accecn)
        return;
    for (uint8_t i = 0; first && i < options->accecn_fields; i += 2)
        if (options->accecn[i] == 0)
            ecn->option_void = true;
    ecn->option_seen = true;
}

/* The peer's count of our marks is in `conn`'s hands from here on, and our count in the peer's. */
void utcp__accurate_answered(struct utcp_conn *conn, const struct utcp_segment *syn_ack)
{
    struct utcp_ecn *ecn = &conn->ecn;

    utcp__accurate_begin(conn, syn_ack);
    check_reflection(ecn, utcp__ace(syn_ack->flags));
    look_for_option(ecn, &syn_ack->options, true);
    utcp__accurate_reflect(conn, syn_ack);
    ecn->options_left = 2; /* the ACK, which may be lost, and the first data */
    conn->options_due = true;
}

void utcp__accurate_reflect(struct utcp_conn *conn, const struct utcp_segment *syn_ack)
{
    struct utcp_ecn *ecn = &conn->ecn;

    ecn->handshake = syn_ack->ecn;
    ecn->flips = 1; /* an ACK, before anything else */
    if (syn_ack->ecn != IP_ECN_CE || ecn->marked_in)
        return;
    ecn->marked_in = 1; /* once, however many there were: the server counts no more */
    utcp__accurate_counted(conn);
}

/* Table 4. The ACK of a SYN-ACK, if that is all it is; others have ACE already. */
void utcp__accurate_confirmed(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint8_t ace = utcp__ace(segment->flags);

    if (segment->length || segment->flags & TCP_FIN || segment->options.sacks)
        return;
    ecn->confirming = true;
    if (ace == 0) {
        ecn->capable = false;
        ecn->deaf = true;
    } else {
        check_reflection(ecn, ace);
        ecn->told += ace == reflections[IP_ECN_CE];
    }
}

uint16_t utcp__accurate_syn_ack(struct utcp_conn *conn)
{
    if (conn->retries >= 2) { /* section 3.2.3.2.2: it may be the flags that do not pass */
        conn->ecn.capable = false;
        return 0;
    }
    return (uint16_t)(reflections[conn->ecn.handshake] << TCP_ACE_SHIFT);
}

bool utcp__accurate_again(struct utcp_conn *conn, const struct utcp_segment *syn)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint8_t ace = utcp__ace(syn->flags);

    if (ace == UTCP_ACE_CLASSIC)
        return false;
    if (ace == 0)
        ecn->capable = false; /* section 3.1.5 */
    ecn->handshake = syn->ecn;
    ecn->syn_again = true;
    return true;
}

/* ── Receiver ──────────────────────────────────────────────────────────────────────────────── */

void utcp__accurate_counted(struct utcp_conn *conn)
{
    /* Whoever cuts a packet takes CWR off all segments but the first, as RFC 3168 has it. */
    conn->uncut = (UTCP_ACE_INITIAL + conn->ecn.marked_in) << TCP_ACE_SHIFT & TCP_CWR;
}

/* A segment that is larger than any may be was merged on its way, of segments that were marked alike. */
static uint32_t packets_of(const struct utcp_conn *conn, uint32_t length)
{
    uint32_t full = conn->segment_seen;

    if (length <= conn->receive_mss)
        return 1;
    if (full < UTCP_MSS_MIN || full > conn->receive_mss)
        full = conn->receive_mss;
    return (length + full - 1) / full;
}

/* Section 3.2.3.3: what has changed is told twice, as an ACK may be lost; then once in a while. */
static void want_option(struct utcp_conn *conn, uint8_t field)
{
    struct utcp_ecn *ecn = &conn->ecn;
    struct utcp_ecn_bytes *bytes = ecn->bytes;

    if (bytes->last != field)
        ecn->options_left = 2;
    else if (ecn->options_left == 0 &&
             (field == IP_ECN_CE || bytes->in[field] - bytes->in_told[field] >= REPEAT_BYTES))
        ecn->options_left = 1;
    bytes->last = field;
    if (ecn->options_left)
        conn->options_due = true;
}

void utcp__accurate_text(struct utcp_conn *conn, uint8_t field, uint32_t length)
{
    if (field == IP_ECN_NOT || conn->ecn.bytes == NULL)
        return;
    conn->ecn.bytes->in[field] += length;
    want_option(conn, field);
}

static void acknowledge_marks(struct utcp_conn *conn, const struct utcp_segment *segment,
                              bool changed)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t packets = packets_of(conn, segment->length);
    bool data = segment->length || conn->last_ack != utcp__rcv_nxt(conn);

    ecn->marked_in += packets;
    utcp__accurate_counted(conn);
    ecn->marks_unsaid = (uint8_t)min_u32(ecn->marks_unsaid + packets, ACE_MAX);
    if ((segment->length && changed) ||
        ecn->marks_unsaid >= (data ? MARKS_WITH_DATA : MARKS_WITHOUT)) {
        conn->ack_now = true;
        utcp__want_output(conn);
    }
}

/* An acceptable segment came. */
static void count(struct utcp_conn *conn, const struct utcp_segment *segment, bool first)
{
    struct utcp_ecn *ecn = &conn->ecn;
    bool marked = segment->ecn == IP_ECN_CE;

    if (ecn->bytes == NULL) {
        ecn->bytes = calloc(1, sizeof(*ecn->bytes)); /* NULL: there will be no options */
        if (ecn->bytes)
            *ecn->bytes = (struct utcp_ecn_bytes){
                .in = UTCP_ECN_BYTES_INITIAL,
                .in_told = UTCP_ECN_BYTES_INITIAL,
                .out = UTCP_ECN_BYTES_INITIAL,
                .exact = true,
            };
    }
    if (marked)
        acknowledge_marks(conn, segment, !conn->ce || first);
    if (segment->length)
        utcp__accurate_text(conn, segment->ecn, segment->length);
    conn->ce = marked || !ecn->judged;
}

uint16_t utcp__accurate_flags(struct utcp_conn *conn)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t ace = UTCP_ACE_INITIAL + ecn->marked_in;

    if (ecn->flips) { /* planned for this: nothing but an ACK */
        ecn->flips = 0;
        if (conn->report.count == 0 && !conn->report.duplicate_due)
            ace = reflections[ecn->handshake];
    }
    ecn->marks_unsaid = 0;
    return (uint16_t)((ace & ACE_MAX) << TCP_ACE_SHIFT);
}

/* ── Sender ────────────────────────────────────────────────────────────────────────────────── */

bool utcp__accurate_noted(struct utcp_conn *conn, const struct utcp_segment *segment)
{
    const struct utcp_segment_options *options = &segment->options;
    struct utcp_ecn *ecn = &conn->ecn;
    bool first = !ecn->judged, confirming = ecn->confirming;

    ecn->confirming = false;
    ecn->judged |= !confirming;
    ecn->ace = utcp__ace(segment->flags) & ACE_MAX;
    look_for_option(ecn, options, first && conn->passive && !ecn->option_seen);
    if (first && !confirming && ecn->ace == 0) { /* section 3.2.2.4: it was zeroed on its way */
        ecn->capable = false;
        ecn->deaf = true;
    }
    count(conn, segment, first);
    if (ecn->bytes) {
        ecn->bytes->fields = options->has_accecn && !ecn->option_void ? options->accecn_fields : 0;
        ecn->bytes->order1 = options->accecn_order1;
        for (uint8_t i = 0; i < ecn->bytes->fields; i++)
            ecn->bytes->told[i] = options->accecn[i];
    }
    return !confirming && !ecn->deaf;
}

/* The option's fields: bytes that were marked since it said so last, or -1: it does not say. */
static int64_t take_option(struct utcp_ecn_bytes *bytes)
{
    int64_t marked = -1;

    for (uint8_t i = 0; bytes && i < bytes->fields; i++) {
        uint8_t field = utcp__accecn_order[bytes->order1][i];
        uint32_t ahead = (bytes->told[i] - (uint32_t)bytes->out[field]) & 0xffffff;
        int64_t more = ahead < 0x800000 ? (int64_t)ahead : (int64_t)ahead - 0x1000000;

        bytes->out[field] += (uint64_t)more;
        if (field == IP_ECN_CE)
            marked = more > 0 ? more : 0;
    }
    if (bytes)
        bytes->fields = 0;
    return marked;
}

/* Marks that ACE has gone on by, being `ahead` or eight more, or … (appendix A.2). `marked` as from
 * take_option(). */
static uint32_t unwrap(const struct utcp_conn *conn, uint32_t ahead, uint32_t packets,
                       int64_t marked)
{
    const struct utcp_ecn *ecn = &conn->ecn;
    uint32_t most = packets - ((packets - ahead) & ACE_MAX), likely;

    if (packets <= ACE_MAX)
        return ahead;
    if (marked >= 0) { /* as many as the bytes are worth */
        likely = (uint32_t)((marked + conn->mss - 1) / conn->mss);
        likely = likely > ahead ? ahead + ((likely - ahead + ACE_MAX) & ~(uint32_t)ACE_MAX) : ahead;
        return min_u32(likely, max_u32(most, ahead));
    }
    if (ecn->option_seen && !ecn->option_void)
        return ahead; /* and that it would have told of more */
    if (ahead == 0 && seq_before(ecn->recover, conn->snd_una))
        return 0; /* no marks of late: eight at once, and no other number, are not likely */
    return most;
}

/* Section 3.2.3.2.5: marked bytes without a marked packet, and ACE cannot have gone round, as it might by packets that
 * are small, without Nagle's rule. */
static void check_consistency(struct utcp_conn *conn, uint32_t ahead, uint32_t packets,
                              int64_t marked)
{
    struct utcp_ecn_bytes *bytes = conn->ecn.bytes;

    if (marked > 0 && ahead == 0 && bytes->exact && packets <= ACE_MAX && !conn->nodelay)
        conn->ecn.capable = false;
    if (marked >= 0)
        bytes->exact = true;
}

uint32_t utcp__accurate_marked(struct utcp_conn *conn, uint32_t delivered)
{
    struct utcp_ecn *ecn = &conn->ecn;
    uint32_t ahead = (ecn->ace - ecn->told) & ACE_MAX;
    uint32_t packets = (delivered + conn->mss - 1) / conn->mss, marks;
    int64_t marked = take_option(ecn->bytes);

    marks = unwrap(conn, ahead, packets, marked);
    ecn->told += marks;
    check_consistency(conn, ahead, packets, marked);
    if (marked < 0) { /* appendix A.3; the next option takes back what was too much */
        marked = (int64_t)min_u32(marks * conn->mss, delivered);
        if (ecn->bytes && marks) {
            ecn->bytes->out[IP_ECN_CE] += (uint64_t)marked;
            ecn->bytes->exact = false;
        }
    }
    ecn->reaction_due |= marks || marked > 0;
    return marked < delivered ? (uint32_t)marked : delivered;
}
