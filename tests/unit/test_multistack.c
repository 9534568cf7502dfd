/* SPDX-License-Identifier: BSD-2-Clause */
/* The operator's command, as a whole, before a fake switch: what it prints of what it is told. */
#include "fake_switch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *command;

static const struct control_status_record status = {
    .version = "0.1.0",
    .instance = 0xfedcba9876543210,
    .uptime_ns = 192500000000,
    .switch_pid = 4711,
    .keeper_pid = 4710,
    .restarts = 2,
    .nics = 1,
    .ports = 3,
    .bindings = 2,
    .workers = 1,
};

static const struct control_nic_record nics[] = {
    {.name = "eth1",
     .driver = "afxdp",
     .xdp_mode = "generic",
     .copy_mode = "copy",
     .ifindex = 3,
     .queues = 2,
     .mtu = 1500,
     .up = 1,
     .mac = {2, 0, 0, 0, 0, 1}},
    {.name = "eth2\xc2\x9b\x7f", .driver = "af\x1b[1m", .xdp_mode = "\x1b[2J", .copy_mode = "\n"},
};

static const struct control_port_record ports[] = {
    {.name = "mshttpd",
     .port = 1,
     .pid = 100,
     .uid = 0,
     .ring_count = 1,
     .rx_size = 524288,
     .tx_size = 524288,
     .bindings = 1,
     .age_ns = 5000000000},
    {.name = "ms\x1b[2J\"\xff", .port = 2, .pid = 101, .uid = 4000000000, .ring_count = 2},
    {.name = "a name that is not ended, and lo", .port = 3, .pid = 102},
};

static const struct control_binding_record bindings[] = {
    {.address = {.bytes = {10, 0, 0, 1}, .family = 4, .protocol = IPPROTO_TCP},
     .binding = 1,
     .port = 1},
    {.address = {.bytes = {0xfd, [15] = 1}, .family = 6, .protocol = IPPROTO_UDP},
     .binding = 2,
     .port = 9},
};

static const struct control_counter_record counters[] = {
    {"rx_packets", CONTROL_SCOPE_NIC, 0, 0, 0, 1234567},
    {"rx_bytes", CONTROL_SCOPE_NIC, 0, 0, 0, 18446744073709551615ULL},
    {"mux_pass_unclaimed", CONTROL_SCOPE_NIC, 0, 0, 0, 77},
    {"tx_large_referred", CONTROL_SCOPE_NIC, 0, 0, 0, 4},
    {"rx_packets", CONTROL_SCOPE_NIC, 0, 1, 0, 5},
    {"tx_packets", CONTROL_SCOPE_PORT, 1, 0, 0, 42},
    {"tx_not_bound", CONTROL_SCOPE_PORT, 1, 0, 0, 9},
    {"tx_options", CONTROL_SCOPE_PORT, 1, 0, 0, 0},
    {"of_a_later_switch", CONTROL_SCOPE_PORT, 1, 0, 0, 3},
    {"rx_port_full", CONTROL_SCOPE_PORT, 2, 1, 0, 8},
    {"next_hops_asked", CONTROL_SCOPE_SWITCH, 0, 0, 0, 6},
    {"guard_syn", CONTROL_SCOPE_SWITCH, 0, 0, 0, 1234},
    {"cpu_ns", CONTROL_SCOPE_WORKER, 1, 0, 0, 12345},
    {"guard_blocked", CONTROL_SCOPE_BINDING, 1, 0, 0, 55},
    {"guard_syn", CONTROL_SCOPE_BINDING, 1, 0, 0, 0},
};

static const struct control_guard_record guard_rules[] = {
    {.address = {.bytes = {10, 0, 0, 1}, .family = 4, .protocol = IPPROTO_TCP, .port = 0x5000},
     .prefix = {.bytes = {192, 0, 2}, .family = 4, .length = 24},
     .binding = 1,
     .port = 1,
     .kind = CONTROL_GUARD_BLOCK,
     .left_ns = 90000000000},
    {.kind = CONTROL_GUARD_SYN, .rate = 1000, .burst = 50},
    {.kind = 4711, .binding = 2, .address = {.family = 6, .protocol = IPPROTO_UDP}},
};

struct result {
    char text[20000]; /* both outputs */
    int status;
};

/* Runs the command with up to four arguments. */
static struct result run(struct fake_switch *fake, const char *const arguments[4])
{
    const char *argv[8] = {"multistack", "--control", fake->path};
    struct result result = {.status = -1};
    size_t length = 0;
    ssize_t got;
    int ends[2], status_word;
    pid_t child;

    for (int i = 0; i < 4; i++)
        argv[3 + i] = arguments[i];
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command, (char **)argv);
        _exit(127);
    }
    close(ends[1]);
    while (length + 1 < sizeof(result.text) &&
           (got = read(ends[0], result.text + length, sizeof(result.text) - 1 - length)) > 0)
        length += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status_word, 0), child);
    assert_true(WIFEXITED(status_word));
    result.status = WEXITSTATUS(status_word);
    return result;
}

#define RUN(fake, ...) run(fake, (const char *const[4]){__VA_ARGS__})

static void assert_has(const struct result *result, const char *text)
{
    if (!strstr(result->text, text))
        fail_msg("`%s` is not in:\n%s", text, result->text);
}

static void assert_has_not(const struct result *result, const char *text)
{
    if (strstr(result->text, text))
        fail_msg("`%s` is in:\n%s", text, result->text);
}

static int set_up(void **state)
{
    struct fake_switch *fake = fake_switch_new();

#define ANSWER(subject, list)                                                                      \
    fake->answers[subject].records = (list);                                                       \
    fake->answers[subject].size = sizeof((list)[0]);                                               \
    fake->answers[subject].count = sizeof(list) / sizeof((list)[0])
    fake->answers[CONTROL_SUBJECT_STATUS].records = &status;
    fake->answers[CONTROL_SUBJECT_STATUS].size = sizeof(status);
    fake->answers[CONTROL_SUBJECT_STATUS].count = 1;
    ANSWER(CONTROL_SUBJECT_NICS, nics);
    ANSWER(CONTROL_SUBJECT_PORTS, ports);
    ANSWER(CONTROL_SUBJECT_BINDINGS, bindings);
    ANSWER(CONTROL_SUBJECT_COUNTERS, counters);
    ANSWER(CONTROL_SUBJECT_GUARD, guard_rules);
    *state = fake;
    return 0;
}

static int tear_down(void **state)
{
    fake_switch_free(*state);
    return 0;
}

static void test_no_argument_means_status(void **state)
{
    struct result bare = RUN(*state, NULL), named = RUN(*state, "status");

    assert_int_equal(bare.status, 0);
    assert_string_equal(bare.text, named.text);
    assert_has(&bare, "MultiStack 0.1.0, up 3 min 12 s");
    assert_has(&bare, "process 4711 with 1 worker, restarted 2 times");
    assert_has(&bare, "eth1");
    assert_has(&bare, "02:00:00:00:00:01");
}

static void test_status_as_json(void **state)
{
    struct result result = RUN(*state, "status", "-j");

    assert_int_equal(result.status, 0);
    assert_has(&result, "\"instance\": \"fedcba9876543210\"");
    assert_has(&result, "\"uptime_s\": 192.5");
    assert_has(&result, "\"switch_pid\": 4711");
    assert_has(&result, "\"ports\": 3");
    assert_has(&result, "\"mtu_bytes\": 1500");
    assert_has(&result, "\"up\": true");
}

static void test_names_cannot_write_to_the_terminal(void **state)
{
    struct result text = RUN(*state, "ports"), json = RUN(*state, "ports", "-j");

    assert_int_equal(text.status, 0);
    assert_has_not(&text, "\x1b");
    assert_has(&text, "4000000000");
    assert_has(&text, "512 KiB");
    assert_has_not(&json, "\x1b");
    assert_has(&json, "\"name\": \"ms\\u001b[2J\\\"\\ufffd\"");
    assert_has(&json, "\"name\": \"a name that is not ended, and l\"");
    text = RUN(*state, "status");
    json = RUN(*state, "status", "-j");
    assert_has_not(&text, "\x1b");
    assert_has(&text, "af?[1m");
    assert_has_not(&json, "\x7f");
    assert_has(&json, "\"name\": \"eth2\\u009b\\u007f\"");
}

static void test_bindings_name_their_owners(void **state)
{
    struct result text = RUN(*state, "bindings"), json = RUN(*state, "-j", "bindings");

    assert_has(&text, "10.0.0.1");
    assert_has(&text, "fd00::1");
    assert_has(&text, "mshttpd");
    assert_has(&json, "\"protocol\": \"tcp\"");
    assert_has(&json, "\"local_address\": \"fd00::1\"");
    assert_has(&json, "\"name\": \"mshttpd\"");
}

static void test_stats_by_nic_port_ring_and_reason(void **state)
{
    struct result text = RUN(*state, "stats"), json = RUN(*state, "stats", "--json");

    assert_has(&text, "NIC eth1 queue 0");
    assert_has(&text, "1,234,567");
    assert_has(&text, "18.4 EB");
    assert_has(&text, "port 1 mshttpd ring 0");
    assert_has(&text, "not bound by this port"); /* what the reason means */
    assert_has(&text, "not copied by the switch");
    assert_has_not(&text, "tx_options"); /* never happened */
    assert_has(&json, "\"rx_bytes\": 18446744073709551615");
    assert_has(&json, "\"tx_not_bound\": 9");
    assert_has(&json, "\"tx_options\": 0");
    assert_has(&json, "\"of_a_later_switch\": 3");
    assert_has(&json, "\"pass_unclaimed\": 77");
    assert_has(&json, "\"next_hops_asked\": 6");
    assert_has(&text, "worker 1");
    assert_has(&json, "\"worker\": 1");
    assert_has(&json, "\"cpu_ns\": 12345");
}

static void test_pages_and_longer_records_make_no_difference(void **state)
{
    static const char *const commands[] = {"status", "ports", "bindings"};
    struct fake_switch *fake = *state;
    struct result whole[3];
    unsigned queries;

    for (int i = 0; i < 3; i++)
        whole[i] = RUN(fake, commands[i], "-j");
    queries = fake_switch_count(fake, &fake->queries);
    fake->page = 1;
    fake->later_bytes = 24;
    for (int i = 0; i < 3; i++)
        assert_string_equal(RUN(fake, commands[i], "-j").text, whole[i].text);
    assert_true(fake_switch_count(fake, &fake->queries) - queries > queries);
}

static void test_empty_tables_say_what_that_means(void **state)
{
    struct fake_switch *fake = *state;

    fake->answers[CONTROL_SUBJECT_PORTS].count = 0;
    fake->answers[CONTROL_SUBJECT_BINDINGS].count = 0;
    assert_non_null(strstr(RUN(fake, "ports").text, "No ports are open"));
    assert_non_null(strstr(RUN(fake, "bindings").text, "Nothing is bound"));
    assert_non_null(strstr(RUN(fake, "ports", "-j").text, "\"ports\": []"));
}

static void test_without_a_switch_it_says_how_to_start_one(void **state)
{
    struct fake_switch *fake = *state;
    struct result result;

    fake_switch_kill(fake);
    result = RUN(fake, "status");
    assert_int_equal(result.status, 1);
    assert_has(&result, "Connection refused");
    assert_has(&result, "start it with `multistackd --nic DEV");
    fake_switch_start(fake);
    fake->version++;
    result = RUN(fake, "stats", "-j");
    assert_int_equal(result.status, 1);
    assert_has(&result, "another version");
    fake->version--;
    fake->welcome_error = EACCES;
    result = RUN(fake, "ports");
    assert_int_equal(result.status, 1);
    assert_has(&result, "group");
}

static void test_rubbish_is_an_error(void **state)
{
    struct fake_switch *fake = *state;

    for (int manner = FAKE_CLOSES_AFTER_HELLO; manner <= FAKE_WELCOME_WITH_FD; manner++) {
        struct result result;

        pthread_mutex_lock(&fake->lock);
        fake->manner = manner;
        pthread_mutex_unlock(&fake->lock);
        if (manner == FAKE_WRONG_REQUEST) /* it asks one thing at a time */
            continue;
        result = RUN(fake, "status");
        assert_int_equal(result.status, 1);
        assert_has(&result, "multistack: ");
        assert_has(&result, "hint: ");
    }
}

static void test_rules_of_the_guard_are_listed(void **state)
{
    struct result result = RUN(*state, "guard");

    assert_int_equal(result.status, 0);
    assert_has(&result, "tcp 10.0.0.1:80");
    assert_has(&result, "192.0.2.0/24");
    assert_has(&result, "1 min 30 s");
    assert_has(&result, "1000/s, 50 at once");
    assert_has(&result, "unknown");
    assert_has(&result, "1,234");
    assert_has(&result, "guard_blocked");
    assert_has(&result, "its source is on a block list");
    result = RUN(*state, "guard", "list", "-j");
    assert_int_equal(result.status, 0);
    assert_has(&result, "\"prefix\": \"192.0.2.0/24\"");
    assert_has(&result, "\"left_s\": 90");
    assert_has(&result, "\"rate\": 1000");
    assert_has(&result, "\"guard_syn\": 1234");
    result = RUN(*state, "stats", "-j");
    assert_has(&result, "\"guard_blocked\": 55");
}

static void test_rules_of_the_guard_are_set(void **state)
{
    struct fake_switch *fake = *state;
    const struct control_guard *rules = fake->rules;

    assert_int_equal(RUN(fake, "guard", "block", "10.0.0.0/8", "--all").status, 0);
    assert_int_equal(RUN(fake, "guard", "strict", "-b7", "-f60").status, 0);
    assert_int_equal(RUN(fake, "-b10.0.0.1:0", "guard", "allow", "fd00::1").status, 0);
    assert_int_equal(RUN(fake, "-b2", "guard", "limit", "syn-source").status, 2);
    assert_int_equal(fake_switch_count(fake, &fake->rule_count), 3);
    assert_true(rules[0].kind == CONTROL_GUARD_BLOCK && rules[0].binding == 0);
    assert_true(rules[0].prefix.length == 8 && rules[0].prefix.bytes[0] == 10);
    assert_true(rules[1].kind == CONTROL_GUARD_STRICT && rules[1].binding == 7);
    assert_true(rules[1].duration_ns == 60000000000);
    assert_true(rules[2].kind == CONTROL_GUARD_ALLOW && rules[2].binding == 1);
    assert_true(rules[2].prefix.family == 6 && rules[2].prefix.length == 128);
    assert_int_equal(RUN(fake, "guard", "flush", "--all").status, 0);
    assert_int_equal(rules[3].action, CONTROL_GUARD_FLUSH);
    fake->guard_error = ENOSPC;
    assert_int_equal(RUN(fake, "guard", "strict", "-b7").status, 1);
    fake->no_guard = true;
    assert_int_equal(RUN(fake, "guard", "strict", "-b7").status, 1);
}

static void test_wrong_words_for_the_guard(void **state)
{
    static const char *const wrong[][4] = {
        {"guard", "nonsense", "--all"},
        {"guard", "block", "--all"},
        {"guard", "block", "10.0.0.0/8"}, /* for whom? */
        {"guard", "block", "10.0.0.1/8", "--all"},
        {"guard", "block", "10.0.0.0/33", "--all"},
        {"guard", "block", "10.0.0/8", "--all"},
        {"guard", "block", "fd00::/129", "--all"},
        {"guard", "strict", "-ab7"},
        {"guard", "strict", "now", "--all"},
        {"guard", "syn", "--all"},
        {"guard", "remove", "--all"},
        {"guard", "flush", "all", "--all"},
        {"guard", "flush", "-af9"},
        {"guard", "strict", "-f0", "-a"},
        {"guard", "list", "--all"},
        {"guard", "list", "all"},
        {"guard", "strict", "-a", "-j"},
        {"ports", "--all"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(run(*state, wrong[i]).status, 2);
}

static void test_wrong_usage_ends_with_2(void **state)
{
    assert_int_equal(RUN(*state, "nonsense").status, 2);
    assert_int_equal(RUN(*state, "status", "ports").status, 2);
    assert_int_equal(RUN(*state, "status", "--watch").status, 2);
    assert_int_equal(RUN(*state, "stats", "--interval", "0").status, 2);
    assert_int_equal(RUN(*state, "--nonsense").status, 2);
    assert_int_equal(RUN(*state, "--help").status, 0);
    assert_int_equal(RUN(*state, "--version").status, 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_argument_means_status),
        TEST(test_status_as_json),
        TEST(test_names_cannot_write_to_the_terminal),
        TEST(test_bindings_name_their_owners),
        TEST(test_stats_by_nic_port_ring_and_reason),
        TEST(test_pages_and_longer_records_make_no_difference),
        TEST(test_empty_tables_say_what_that_means),
        TEST(test_without_a_switch_it_says_how_to_start_one),
        TEST(test_rubbish_is_an_error),
        TEST(test_rules_of_the_guard_are_listed),
        TEST(test_rules_of_the_guard_are_set),
        TEST(test_wrong_words_for_the_guard),
        TEST(test_wrong_usage_ends_with_2),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: test_multistack PATH-OF-MULTISTACK\n");
        return 2;
    }
    command = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
