/* SPDX-License-Identifier: BSD-2-Clause */
#include "http_date.h"

#include <string.h>

static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static char *put_digits(char *to, int number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + digits;
}

static char *put_text(char *to, const char *text, size_t size)
{
    memcpy(to, text, size);
    return to + size;
}

void http_date_format(time_t when, char to[HTTP_DATE_SIZE])
{
    struct tm tm;

    if (!gmtime_r(&when, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
        when = 0;
        gmtime_r(&when, &tm);
    }
    to = put_text(to, days[tm.tm_wday], 3);
    to = put_text(to, ", ", 2);
    to = put_digits(to, tm.tm_mday, 2);
    *to++ = ' ';
    to = put_text(to, months[tm.tm_mon], 3);
    *to++ = ' ';
    to = put_digits(to, tm.tm_year + 1900, 4);
    *to++ = ' ';
    to = put_digits(to, tm.tm_hour, 2);
    *to++ = ':';
    to = put_digits(to, tm.tm_min, 2);
    *to++ = ':';
    to = put_digits(to, tm.tm_sec, 2);
    put_text(to, " GMT", 4);
}

/* Reads `text` by a pattern: 0 stands for a digit and _ for a digit or a blank, which go to
 * numbers[], one number for each run of them; @ for the three letters of a month; anything else for
 * itself. */
static bool match(const char *text, size_t size, const char *pattern, int numbers[], int *month)
{
    size_t at = 0;
    int count = -1;
    bool in_number = false;

    for (; *pattern; pattern++) {
        bool digit = *pattern == '0' || *pattern == '_';

        if (*pattern == '@') {
            for (*month = 0; *month < 12; (*month)++) {
                if (size - at >= 3 && memcmp(text + at, months[*month], 3) == 0)
                    break;
            }
            if (*month == 12)
                return false;
            at += 3;
        } else if (at >= size) {
            return false;
        } else if (digit) {
            int value = text[at] == ' ' && *pattern == '_' ? 0 : text[at] - '0';

            if (value < 0 || value > 9)
                return false;
            if (!in_number)
                numbers[++count] = 0;
            numbers[count] = numbers[count] * 10 + value;
            at++;
        } else if (text[at++] != *pattern) {
            return false;
        }
        in_number = digit;
    }
    return at == size;
}

/* RFC 9110 section 5.6.7: a year of two digits that seems more than 50 years ahead is past. */
static int full_year(int year)
{
    time_t now = time(NULL);
    struct tm tm;
    int century;

    if (!gmtime_r(&now, &tm))
        return 1900 + year;
    century = (tm.tm_year + 1900) / 100 * 100;
    return century + year > tm.tm_year + 1900 + 50 ? century - 100 + year : century + year;
}

bool http_date_parse(const char *text, size_t size, time_t *when)
{
    const char *comma = memchr(text, ',', size);
    struct tm tm = {0};
    int n[6];
    size_t rest;

    /* The name of the day says nothing that the date does not. */
    if (comma) {
        rest = size - (comma - text);
        if (match(comma, rest, ", 00 @ 0000 00:00:00 GMT", n, &tm.tm_mon)) {
            tm.tm_year = n[1];
        } else if (match(comma, rest, ", 00-@-00 00:00:00 GMT", n, &tm.tm_mon)) {
            tm.tm_year = full_year(n[1]);
        } else {
            return false;
        }
        tm.tm_mday = n[0];
        tm.tm_hour = n[2];
        tm.tm_min = n[3];
        tm.tm_sec = n[4];
    } else {
        if (size < 4 || !match(text + 3, size - 3, " @ _0 00:00:00 0000", n, &tm.tm_mon))
            return false;
        tm.tm_mday = n[0];
        tm.tm_hour = n[1];
        tm.tm_min = n[2];
        tm.tm_sec = n[3];
        tm.tm_year = n[4];
    }
    if (tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    *when = timegm(&tm);
    return true;
}
