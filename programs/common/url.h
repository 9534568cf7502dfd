/* SPDX-License-Identifier: BSD-2-Clause */
/* URLs of our clients: http, an address in figures, a path (RFC 3986). */
#ifndef MULTISTACK_URL_H
#define MULTISTACK_URL_H

#include <sys/socket.h>

#define URL_PATH_MAX 4096

struct url {
    struct sockaddr_storage address;
    socklen_t length;
    char authority[128]; /* for the Host field */
    char path[URL_PATH_MAX];
};

/* NULL, or why `text` is none. Nothing in it can end the line of a request. */
const char *url_parse(const char *text, struct url *url);

#endif
