/* SPDX-License-Identifier: BSD-2-Clause */
/* A UTCP that listens, for the tests of what answers SYNs in its place (bpf/guard_cookie.h): packets go in, the
 * last that comes out is kept. What fails aborts, for a fuzz target is among them. */
#ifndef COOKIE_SERVER_H
#define COOKIE_SERVER_H

#include "guard_cookie_maps.h"
#include "utcp.h"

#include <stdlib.h>
#include <string.h>

#define COOKIE_SERVER_ROOM 2048 /* bytes of a packet */

struct cookie_server {
    struct utcp *stack;
    struct utcp_listener *listener;
    uint8_t out[COOKIE_SERVER_ROOM];
    uint32_t out_size; /* of the last packet */
    uint32_t packets;  /* since cookie_server_give() */
};

static uint8_t *cookie_server_reserve(void *context, uint32_t length)
{
    struct cookie_server *server = context;

    return length <= sizeof(server->out) ? server->out : NULL;
}

static void cookie_server_commit(void *context, uint32_t length, const struct utcp_offload *offload)
{
    struct cookie_server *server = context;

    (void)offload;
    server->out_size = length;
    server->packets++;
}

static inline void cookie_server_flush(struct cookie_server *server, uint64_t now)
{
    struct utcp_sink sink = {cookie_server_reserve, cookie_server_commit, server};

    if (!utcp_output(server->stack, now, &sink))
        abort();
}

/* An IP packet, in memory that ends where it does; and what is answered. */
static inline void cookie_server_give(struct cookie_server *server, uint64_t now,
                                      const uint8_t *packet, uint32_t size)
{
    uint8_t *copy = malloc(size);

    memcpy(copy, packet, size);
    server->packets = 0;
    utcp_input(server->stack, now, copy, size, UTCP_INPUT_CHECKSUM_PARTIAL);
    cookie_server_flush(server, now);
    free(copy);
}

/* What it would have the NIC answer with. */
static inline struct guard_cookie cookie_server_terms(const struct cookie_server *server)
{
    struct utcp_cookie_terms wanted = {.size = sizeof(wanted)};
    struct guard_cookie terms;

    if (utcp_listener_cookie_terms(server->listener, &wanted))
        abort();
    terms = (struct guard_cookie){.mss = wanted.mss,
                                  .window = wanted.window,
                                  .window_scale = wanted.window_scale,
                                  .hop_limit = wanted.hop_limit,
                                  .dscp = wanted.dscp,
                                  .options = wanted.options};
    memcpy(terms.key, wanted.key, sizeof(terms.key));
    return terms;
}

#endif
