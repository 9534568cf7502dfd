/* SPDX-License-Identifier: BSD-2-Clause */
/* url.h */
#include "url.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

const char *url_parse(const char *text, struct url *url)
{
    static const char scheme[] = "http://";
    char endpoint[sizeof(url->authority) + 8];
    const char *authority = text + sizeof(scheme) - 1, *path, *colon;
    size_t size;

    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return "not a URL that begins with http://";
    path = strchr(authority, '/');
    size = path ? (size_t)(path - authority) : strlen(authority);
    if (size == 0 || size >= sizeof(url->authority))
        return "no address";
    if (path && strlen(path) >= sizeof(url->path))
        return "too long";
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c >= 0x7f)
            return "it has a character that must be written as %XX";
    }
    memcpy(url->authority, authority, size);
    url->authority[size] = '\0';
    snprintf(url->path, sizeof(url->path), "%s", path ? path : "/");
    url->path[strcspn(url->path, "#")] = '\0'; /* a fragment is the reader's, not the server's */
    colon = strrchr(url->authority, ':');
    if (colon && !strchr(colon, ']'))
        snprintf(endpoint, sizeof(endpoint), "%s", url->authority);
    else
        snprintf(endpoint, sizeof(endpoint), "%s:%d", url->authority, 80);
    return cli_endpoint(endpoint, &url->address, &url->length);
}
