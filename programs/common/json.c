/* SPDX-License-Identifier: BSD-2-Clause */
/* See json.h. */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

struct json json_begin(FILE *out, bool spread)
{
    return (struct json){.out = out, .spread = spread, .empty[0] = true};
}

static void new_line(struct json *json)
{
    if (json->spread)
        fprintf(json->out, "\n%*s", 2 * json->depth, "");
}

/* Bytes of the UTF-8 sequence at `text` (RFC 3629), or 0 when it is none. */
static int sequence_length(const unsigned char *text)
{
    int length = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;

    if (*text > 0xf4 || (*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f) ||
        (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f))
        return 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) /* the NUL at the end is none either */
            return 0;
    return length;
}

static void write_string(struct json *json, const char *string)
{
    const unsigned char *text = (const unsigned char *)string;

    fputc('"', json->out);
    while (*text) {
        int length = sequence_length(text);

        if (length == 0) {
            fputs("\\ufffd", json->out);
            length = 1;
        } else if (*text == '"' || *text == '\\') {
            fprintf(json->out, "\\%c", *text);
        } else if (*text < 0x20 || *text == 0x7f) {
            fprintf(json->out, "\\u%04x", *text);
        } else if (*text == 0xc2 && text[1] < 0xa0) { /* C1: a terminal obeys them as well */
            fprintf(json->out, "\\u%04x", text[1]);
        } else {
            fwrite(text, 1, (size_t)length, json->out);
        }
        text += length;
    }
    fputc('"', json->out);
}

/* What stands before each value: comma, line, key. */
static void begin_value(struct json *json, const char *key)
{
    if (json->depth) {
        if (!json->empty[json->depth])
            fputs(json->spread ? "," : ", ", json->out);
        new_line(json);
    }
    json->empty[json->depth] = false;
    if (key) {
        write_string(json, key);
        fputs(": ", json->out);
    }
}

static void open_container(struct json *json, const char *key, char open, char close)
{
    begin_value(json, key);
    fputc(open, json->out);
    json->depth++;
    assert(json->depth < JSON_DEPTH_MAX);
    json->empty[json->depth] = true;
    json->close[json->depth] = close;
}

void json_object(struct json *json, const char *key)
{
    open_container(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
    open_container(json, key, '[', ']');
}

void json_end(struct json *json)
{
    bool empty = json->empty[json->depth];
    char close = json->close[json->depth];

    assert(json->depth > 0);
    json->depth--;
    if (!empty)
        new_line(json);
    fputc(close, json->out);
}

void json_string(struct json *json, const char *key, const char *text)
{
    begin_value(json, key);
    write_string(json, text);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void json_signed(struct json *json, const char *key, int64_t number)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRId64, number);
}

void json_real(struct json *json, const char *key, double number)
{
    if (!isfinite(number)) {
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    fprintf(json->out, "%.10g", number);
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->out);
}

bool json_finish(struct json *json)
{
    assert(json->depth == 0);
    fputc('\n', json->out);
    return fflush(json->out) == 0 && !ferror(json->out);
}
