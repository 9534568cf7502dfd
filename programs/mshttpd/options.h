/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of mshttpd. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "server.h"
#include "transport.h"

#include <sys/socket.h>

struct listener {
    struct sockaddr_storage address;
    socklen_t size;
};

struct options {
    const char *stack; /* "utcp" or "kernel" */
    unsigned threads;
    struct server_options server; /* of each thread, as is `transport` */
    struct transport_options transport;
    struct listener listeners[TRANSPORT_LISTENERS_MAX];
    unsigned listener_count;
};

/* Ends the process where there is nothing to be served, or the options make no sense. The result
 * lives as long as the process, and its strings in argv. */
const struct options *options_parse(int argc, char **argv);

#endif
