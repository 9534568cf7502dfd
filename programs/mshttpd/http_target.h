/* SPDX-License-Identifier: BSD-2-Clause */
/* From the target of a request (RFC 9112 section 3.2) to a path below the root, and back. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <stddef.h>

#define HTTP_PATH_MAX 2048 /* bytes, with the terminating NUL */

/* Takes the path out of `target`, in origin form or absolute form, decodes it, and brings it into
 * the one form that it has as a key: no leading slash, no empty and no "." segments; a slash at its
 * end means a directory; the root is "". ".." is refused even where it would not lead out, as are
 * NUL and an encoded slash: no honest client sends them. Returns 0, 400, 404 or 414; on 0 `path` is
 * terminated and *size its length. */
int http_target_path(const char *target, size_t target_size, char path[HTTP_PATH_MAX],
                     size_t *size);

/* Encodes a path for a Location field, with a leading slash. Returns the length, or 0 when it does
 * not fit. */
size_t http_path_encode(const char *path, size_t size, char *to, size_t room);

#endif
