/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes JSON (RFC 8259) to a stream, value after value.
 *
 *   struct json json = json_begin(stdout, true);
 *   json_object(&json, NULL);
 *   json_number(&json, "ports", 3);
 *   json_array(&json, "nics");
 *   json_string(&json, NULL, "eth0");
 *   json_end(&json);
 *   json_end(&json);
 *   json_finish(&json)                    {"ports": 3, "nics": ["eth0"]}
 *
 * `key` is NULL inside an array and for the outermost value. */
#ifndef MULTISTACK_JSON_H
#define MULTISTACK_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

struct json {
    FILE *out;
    bool spread; /* a line for each value, indented; else all on one line */
    int depth;
    bool empty[JSON_DEPTH_MAX]; /* nothing yet in the container at that depth */
    char close[JSON_DEPTH_MAX];
};

struct json json_begin(FILE *out, bool spread);
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end(struct json *json); /* of the innermost object or array */
/* `text` is UTF-8; bytes that are not are written as U+FFFD. */
void json_string(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t number);
void json_signed(struct json *json, const char *key, int64_t number);
void json_real(struct json *json, const char *key, double number); /* null when not finite */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* Ends the line and flushes. False: the stream failed. */
bool json_finish(struct json *json);

#endif
