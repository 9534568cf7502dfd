/* SPDX-License-Identifier: BSD-2-Clause */
/* A response as a client reads it (RFC 9112): its head, and how its body is framed. Pure. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct response_head {
    int status;
    bool chunked;
    bool has_length;
    bool closes; /* the server ends the connection behind this response (RFC 9112 section 9.3) */
    uint64_t length; /* of the body */
    char reason[64]; /* printable */
};

/* Reads the head of `size` bytes at `data`, which ends with its empty line. False: it is none. */
bool response_head_parse(const char *data, size_t size, struct response_head *head);

/* The chunked coding. */
struct dechunker {
    uint64_t left; /* of this chunk */
    uint8_t state;
    uint8_t digits;
    bool last;
};

/* Takes the coding out of `size` bytes at `data`, in place. Returns how many bytes of body are left at
 * its beginning, or -1: it is wrong. *done: the body is complete. */
ptrdiff_t dechunk(struct dechunker *dechunker, char *data, size_t size, bool *done);

#endif
