/* SPDX-License-Identifier: BSD-2-Clause */
/* TCP options as modules: each has a file with its hooks and a line in the table of
 * options.c. doc/options.md tells what else could hang there.
 *
 *   parse      takes the option out of a segment that came in
 *   negotiate  a SYN of the peer was taken: decides what holds for the connection
 *   received   a segment of an established connection has it, and is acceptable
 *   write      puts the option into a segment that goes out
 *   sent       it is in a segment that has gone out
 *   due        whether it still waits for a segment with room
 *
 * What arrives is first only noted (struct utcp_segment_options); it means something when it was
 * negotiated. A module writes a multiple of four bytes, so that no padding is needed; but in a SYN
 * SACK-permitted and timestamps, which it stands before, are such a multiple together. */
#ifndef UTCP_OPTIONS_H
#define UTCP_OPTIONS_H

#include <stdint.h>

#include "packet.h"

struct utcp_conn;

#define UTCP_OPTIONS_USUAL 12 /* timestamps, RFC 7323 appendix A: two NOPs, and … */
/* … what these options begin with, as a word. */
#define UTCP_TIMESTAMPS_USUAL                                                                      \
    ((uint32_t)TCP_OPTION_NOP << 24 | (uint32_t)TCP_OPTION_NOP << 16 |                             \
     (uint32_t)TCP_OPTION_TIMESTAMPS << 8 | (uint32_t)TCP_OPTION_TIMESTAMPS_LENGTH)

struct utcp_option_module {
    const char *name;
    uint8_t kind;
    uint8_t length; /* of the whole option; one of another length is ignored. 0: any */
    /* `value` are the `size` bytes behind kind and length. */
    void (*parse)(const uint8_t *value, uint32_t size, struct utcp_segment_options *options);
    /* In SYN-SENT, and for the new connection when a listener takes a SYN. NULL: nothing is decided then
     * (fast open has to look before there is a connection). */
    void (*negotiate)(struct utcp_conn *conn, const struct utcp_segment_options *peer);
    /* NULL: it says nothing but in SYNs, or what it says is asked for where it matters. Called when
     * `parse` has set `later`: after the sequence number and the acknowledgment were found good,
     * before the text is taken. */
    void (*received)(struct utcp_conn *conn, const struct utcp_segment_options *options);
    /* `tcp_flags` are those of the segment. `room`: bytes that may be written if that can be
     * chosen; what goes into every segment may be written without asking, for the segment's size
     * counts it in already. Returns the end of what was written. NULL: a module of another kind writes it. */
    uint8_t *(*write)(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room, uint8_t *at);
    /* NULL: it is never waited for. Called for segments that were written while conn->options_due, which
     * a module sets when it has something to tell that is not in every segment; then that is whether one is
     * still due. */
    void (*sent)(struct utcp_conn *conn);
    bool (*due)(const struct utcp_conn *conn);
};

extern const struct utcp_option_module utcp__option_mss, utcp__option_window_scale,
    utcp__option_timestamps, utcp__option_sack_permitted, utcp__option_sack, utcp__option_fast_open,
    utcp__option_fast_open_experimental, utcp__option_user_timeout, utcp__option_accecn0,
    utcp__option_accecn1;

/* IP_ECN_* of the fields of Accurate ECN's options, in the order of each kind. */
extern const uint8_t utcp__accecn_order[2][UTCP_ACCECN_FIELDS];

/* Writes UTCP_OPTIONS_USUAL bytes, for a segment with ACK and without SYN or RST of a connection that has
 * timestamps: its clock, and what it echoes. */
static inline void utcp__timestamps_put(uint8_t *at, uint32_t clock, uint32_t echo)
{
    at = utcp__put_be32(at, UTCP_TIMESTAMPS_USUAL);
    at = utcp__put_be32(at, clock);
    utcp__put_be32(at, echo);
}
/* Options of that form are taken at once; false: these are others. */
bool utcp__timestamps_alone(const uint8_t *at, uint32_t size, struct utcp_segment_options *options);

/* Walks `size` bytes of options. Where they make no sense the walk ends, and what was found so far
 * holds. Of an option that comes twice the first counts. */
void utcp__options_parse(const uint8_t *at, uint32_t size, struct utcp_segment_options *options);
void utcp__options_negotiate(struct utcp_conn *conn, const struct utcp_segment_options *peer);

/* Calls `received` of all; for segments whose options have `later`. */
void utcp__options_received(struct utcp_conn *conn, const struct utcp_segment_options *options);

/* A module whose option may wait for room has something to write: only then are all asked. */
bool utcp__options_wanted(const struct utcp_conn *conn);

/* Writes the options of a segment, those that may be left out within `room` bytes for all; returns
 * their size, a multiple of four up to UTCP_OPTIONS_MAX. */
uint8_t utcp__options_write(const struct utcp_conn *conn, uint8_t tcp_flags, uint32_t room,
                            uint8_t *at);

/* These options have gone out while conn->options_due. */
void utcp__options_sent(struct utcp_conn *conn, const uint8_t *at, uint32_t size);

/* RFC 5482: seconds, or minutes rounded up where seconds do not fit. */
uint16_t utcp__timeout_encode(uint64_t seconds);

/* What options take away from the payload of every data segment. */
uint8_t utcp__options_size(const struct utcp_conn *conn);

#endif
