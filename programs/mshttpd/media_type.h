/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MEDIA_TYPE_H
#define MEDIA_TYPE_H

/* The media type (RFC 9110 section 8.3.1) that the suffix of a file's name stands for. */
const char *media_type(const char *path);

#endif
