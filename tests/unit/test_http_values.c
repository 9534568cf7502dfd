/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges, entity tags and codings, by the grammar of RFC 9110. */
#include "http_values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ranges_choose_bytes(void **state)
{
    static const struct {
        const char *value;
        uint64_t size;
        enum http_range result;
        uint64_t first, length;
    } cases[] = {
        {"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
        {"bytes=0-9", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=2-5", 10, HTTP_RANGE_PART, 2, 4},
        {"bytes=9-", 10, HTTP_RANGE_PART, 9, 1},
        {"bytes=5-1000", 10, HTTP_RANGE_PART, 5, 5},
        {"Bytes= 5-6 ", 10, HTTP_RANGE_PART, 5, 2},
        {"bytes=-3", 10, HTTP_RANGE_PART, 7, 3},
        {"bytes=0-99999999999999999999999", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=-10", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=-99999999999999999999999", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=10-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=10-12", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999-", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 10, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-5", 0, HTTP_RANGE_WHOLE, 0, 0},
        /* not served as ranges */
        {"bytes=0-1,3-4", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=5-2", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"lines=0-1", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=3", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=1-2x", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=--2", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"bytes=+1-2", 10, HTTP_RANGE_WHOLE, 0, 0},
        {"", 10, HTTP_RANGE_WHOLE, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t first = 0, length = 0;

        assert_int_equal(http_range_parse(cases[i].value, strlen(cases[i].value), cases[i].size,
                                          &first, &length),
                         cases[i].result);
        if (cases[i].result == HTTP_RANGE_PART) {
            assert_int_equal(first, cases[i].first);
            assert_int_equal(length, cases[i].length);
        }
    }
}

static bool match(const char *list, bool weak)
{
    return http_tags_match(list, strlen(list), "\"a-1\"", 5, weak);
}

static void tags_are_compared_whole(void **state)
{
    (void)state;
    for (int weak = 0; weak < 2; weak++) {
        assert_true(match("*", weak));
        assert_true(match("\"a-1\"", weak));
        assert_true(match(" \"x\" , \"a-1\"", weak));
        assert_true(match("W/\"y\",\"a-1\"", weak));
        assert_int_equal(match("W/\"a-1\"", weak), weak);
        assert_false(match("\"a-1", weak));
        assert_false(match("a-1", weak));
        assert_false(match("\"xa-1\"", weak));
        assert_false(match("\"x\"a-1\"", weak)); /* no list: what follows counts for nothing */
        assert_false(match("\"*\"", weak));
        assert_false(match("", weak));
        assert_false(match(",,W/", weak));
    }
}

static void gzip_is_sent_to_who_takes_it(void **state)
{
    static const char *const yes[] = {"gzip",       "br, gzip",    "GZIP;q=0.5",
                                      "*",          "identity, *", "x-gzip",
                                      "gzip ; q=1", "*;q=0,gzip",  "gzip;q=0.001"};
    static const char *const no[] = {
        "",      "identity", "br",      "gzip;q=0", "gzip; q=0.000", "*, gzip;q=0",
        "*;q=0", "gzipped",  "br;gzip", ";gzip"};

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        assert_true(http_accepts_gzip(yes[i], strlen(yes[i])));
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        assert_false(http_accepts_gzip(no[i], strlen(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_choose_bytes),
        cmocka_unit_test(tags_are_compared_whole),
        cmocka_unit_test(gzip_is_sent_to_who_takes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
