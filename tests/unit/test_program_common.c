/* SPDX-License-Identifier: BSD-2-Clause */
/* What all programs share: JSON that every reader takes, and values of the command line. */
#include "cli.h"
#include "json.h"

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct output {
    char *text;
    size_t size;
    struct json json;
};

static void begin(struct output *output, bool spread)
{
    output->json = json_begin(open_memstream(&output->text, &output->size), spread);
}

static void expect(struct output *output, const char *text)
{
    assert_true(json_finish(&output->json));
    assert_string_equal(output->text, text);
    fclose(output->json.out);
    free(output->text);
}

static void test_json_of_all_kinds_on_one_line(void **state)
{
    struct output output;

    (void)state;
    begin(&output, false);
    json_object(&output.json, NULL);
    json_string(&output.json, "name", "a stack");
    json_number(&output.json, "most", UINT64_MAX);
    json_signed(&output.json, "least", INT64_MIN);
    json_real(&output.json, "half", 0.5);
    json_bool(&output.json, "yes", true);
    json_null(&output.json, "none");
    json_array(&output.json, "list");
    json_number(&output.json, NULL, 1);
    json_number(&output.json, NULL, 2);
    json_end(&output.json);
    json_object(&output.json, "empty");
    json_end(&output.json);
    json_end(&output.json);
    expect(&output, "{\"name\": \"a stack\", \"most\": 18446744073709551615, \"least\": "
                    "-9223372036854775808, \"half\": 0.5, \"yes\": true, \"none\": null, "
                    "\"list\": [1, 2], \"empty\": {}}\n");
}

static void test_json_spread_over_lines(void **state)
{
    struct output output;

    (void)state;
    begin(&output, true);
    json_object(&output.json, NULL);
    json_array(&output.json, "ports");
    json_object(&output.json, NULL);
    json_number(&output.json, "port", 7);
    json_end(&output.json);
    json_end(&output.json);
    json_array(&output.json, "none");
    json_end(&output.json);
    json_end(&output.json);
    expect(&output,
           "{\n  \"ports\": [\n    {\n      \"port\": 7\n    }\n  ],\n  \"none\": []\n}\n");
}

static void test_json_strings_are_escaped(void **state)
{
    static const struct {
        const char *text, *json;
    } strings[] = {
        {"", "\"\"\n"},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\"\n"},
        {"\n\t\x01\x1f", "\"\\u000a\\u0009\\u0001\\u001f\"\n"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"\n"},
        /* not UTF-8: cut, overlong, a surrogate, beyond the last code point, alone */
        {"\xe2\x82", "\"\\ufffd\\ufffd\"\n"},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\"\n"},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"\n"},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"\n"},
        {"\x80x\xff", "\"\\ufffdx\\ufffd\"\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct output output;

        begin(&output, false);
        json_string(&output.json, NULL, strings[i].text);
        expect(&output, strings[i].json);
    }
}

static void test_json_numbers_that_are_none_are_null(void **state)
{
    struct output output;

    (void)state;
    begin(&output, false);
    json_array(&output.json, NULL);
    json_real(&output.json, NULL, NAN);
    json_real(&output.json, NULL, INFINITY);
    json_real(&output.json, NULL, 1e300);
    json_end(&output.json);
    expect(&output, "[null, null, 1e+300]\n");
}

static void test_failed_stream_is_told(void **state)
{
    FILE *full = fopen("/dev/full", "w");
    struct json json;

    (void)state;
    assert_non_null(full);
    json = json_begin(full, false);
    json_number(&json, NULL, 1);
    assert_false(json_finish(&json));
    fclose(full);
}

static void test_numbers_are_decimal_and_bounded(void **state)
{
    uint64_t number = 42;

    (void)state;
    assert_true(cli_number("0", 0, 10, &number));
    assert_int_equal(number, 0);
    assert_true(cli_number("18446744073709551615", 0, UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
    assert_false(cli_number("18446744073709551616", 0, UINT64_MAX, &number));
    assert_false(cli_number("", 0, 10, &number));
    assert_false(cli_number("-1", 0, 10, &number));
    assert_false(cli_number(" 1", 0, 10, &number));
    assert_false(cli_number("1k", 0, 10, &number));
    assert_false(cli_number("0x1", 0, 10, &number));
    assert_false(cli_number("11", 0, 10, &number));
    assert_false(cli_number("4", 5, 10, &number));
}

static void test_endpoints_read_back_as_written(void **state)
{
    static const char *const good[][2] = {{"10.0.0.1:80", "10.0.0.1:80"},
                                          {"0.0.0.0:0", "0.0.0.0:0"},
                                          {":65535", "0.0.0.0:65535"},
                                          {"[::]:443", "[::]:443"},
                                          {"[fd00::0:1]:7", "[fd00::1]:7"}};
    static const char *const bad[] = {"",
                                      ":",
                                      "80",
                                      "10.0.0.1",
                                      "10.0.0.1:",
                                      ":65536",
                                      ":-1",
                                      "::1:80",
                                      "[::1]",
                                      "[::1:80",
                                      "[10.0.0.1]:80",
                                      "host:80",
                                      "10.0.0:80",
                                      "[]:80",
                                      "1.2.3.4:80x",
                                      "[::1]80:90",
                                      "1111111111111111111111111111111111111111111111111:80"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sockaddr_storage address;
        char text[CLI_ENDPOINT_SIZE];
        socklen_t length;

        assert_null(cli_endpoint(good[i][0], &address, &length));
        assert_string_equal(cli_endpoint_text((struct sockaddr *)&address, text), good[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sockaddr_storage address;
        socklen_t length;

        assert_non_null(cli_endpoint(bad[i], &address, &length));
    }
}

/* ── options, in a process of their own because wrong usage ends it ── */

static bool flag;
static const char *string, *choice;
static uint64_t number;

static const char *only_even(const char *argument)
{
    return atoi(argument) % 2 ? "odd" : NULL;
}

static int parse(int argc, const char *const *arguments)
{
    static const char *const choices[] = {"one", "two", NULL};
    const struct cli_option options[] = {
        {"flag", 'f', NULL, "a flag", CLI_FLAG, &flag},
        {"string", 0, "TEXT", "a string", CLI_STRING, &string},
        {"number", 'n', "N", "a number", CLI_NUMBER, &number, .least = 1, .most = 9},
        {"choice", 'c', "WORD", "a choice", CLI_CHOICE, &choice, .choices = choices},
        {"even", 'e', "N", "an even number", CLI_CALL, .call = only_even},
        {0}};
    const struct cli_program program = {"test", "[OPTIONS] FILE", "Tests.", options, NULL};
    char *argv[16] = {(char *)"test"};

    for (int i = 0; i < argc; i++)
        argv[1 + i] = (char *)arguments[i];
    return cli_parse(&program, argc + 1, argv);
}

static int exit_status(int argc, const char *const *arguments)
{
    pid_t child;
    int status;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(99);
        parse(argc, arguments);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_options_are_taken_in_any_order(void **state)
{
    const char *arguments[] = {"-n",           "7",  "file", "--string", "text", "-f",
                               "--choice=two", "-e", "2"};

    (void)state;
    assert_int_equal(parse(9, arguments), 9); /* the operand has moved behind the options */
    assert_true(flag);
    assert_string_equal(string, "text");
    assert_int_equal(number, 7);
    assert_string_equal(choice, "two");
}

static void test_wrong_usage_ends_with_2(void **state)
{
    static const char *const wrong[][2] = {
        {"--unknown", NULL}, {"-x", NULL},          {"--number", "0"}, {"--number", "10"},
        {"-n", "x"},         {"--choice", "three"}, {"--even", "3"},   {"--string", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(exit_status(wrong[i][1] ? 2 : 1, wrong[i]), CLI_USAGE);
    assert_int_equal(exit_status(1, (const char *[]){"--help"}), CLI_OK);
    assert_int_equal(exit_status(1, (const char *[]){"-h"}), CLI_OK);
    assert_int_equal(exit_status(1, (const char *[]){"--version"}), CLI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_of_all_kinds_on_one_line),
        cmocka_unit_test(test_json_spread_over_lines),
        cmocka_unit_test(test_json_strings_are_escaped),
        cmocka_unit_test(test_json_numbers_that_are_none_are_null),
        cmocka_unit_test(test_failed_stream_is_told),
        cmocka_unit_test(test_numbers_are_decimal_and_bounded),
        cmocka_unit_test(test_endpoints_read_back_as_written),
        cmocka_unit_test(test_options_are_taken_in_any_order),
        cmocka_unit_test(test_wrong_usage_ends_with_2),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
