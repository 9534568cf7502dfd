/* SPDX-License-Identifier: BSD-2-Clause */
/* libmultistack and rules of the guard: what it says to the switch, and again to the next one. */
#include "port_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define SECOND 1000000000ULL

static int bind_somewhere(struct ms_port *port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int binding = ms_bind(port, IPPROTO_UDP, (const struct sockaddr *)&address, sizeof(address));

    assert_true(binding >= 0);
    return binding;
}

static int set_up(void **state)
{
    int status = port_fixture_open(state, 1);
    struct fixture *fixture = *state;

    if (!status)
        fixture->binding = bind_somewhere(fixture->port);
    return status;
}

static void come_back(struct fixture *fixture, unsigned generation)
{
    fake_switch_start(fixture->fake);
    port_await_generation(fixture->port, generation);
}

/* Until the port has noticed. */
static void go_away(struct fixture *fixture)
{
    fake_switch_kill(fixture->fake);
    fixture->fake->rule_count = 0; /* it is dead: nobody else looks */
    port_await_connected(fixture->port, false);
}

static struct sockaddr_in source;
static struct sockaddr_in6 source6;

static struct ms_guard_rule list(int kind, const char *address, unsigned prefix)
{
    source = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = 99};
    assert_int_equal(inet_pton(AF_INET, address, &source.sin_addr), 1);
    return (struct ms_guard_rule){.size = sizeof(struct ms_guard_rule),
                                  .kind = kind,
                                  .source = (struct sockaddr *)&source,
                                  .source_length = sizeof(source),
                                  .prefix = prefix};
}

static struct ms_guard_rule limit(int kind, unsigned rate)
{
    return (struct ms_guard_rule){.size = sizeof(struct ms_guard_rule), .kind = kind, .rate = rate};
}

static unsigned told(struct fixture *fixture)
{
    return fake_switch_count(fixture->fake, &fixture->fake->rule_count);
}

static void a_rule_is_told_as_it_is_wanted(void **state)
{
    struct fixture *fixture = *state;
    const struct control_guard *rules = fixture->fake->rules;
    struct ms_guard_rule rule = list(MS_GUARD_BLOCK, "192.0.2.77", 26);

    rule.seconds = 60;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    assert_int_equal(told(fixture), 1);
    assert_int_equal(rules[0].action, CONTROL_GUARD_SET);
    assert_int_equal(rules[0].kind, CONTROL_GUARD_BLOCK);
    assert_int_equal(rules[0].binding, fixture->fake->bindings[0].number);
    assert_int_equal(rules[0].prefix.family, 4);
    assert_int_equal(rules[0].prefix.length, 26);
    assert_memory_equal(rules[0].prefix.bytes, ((uint8_t[16]){192, 0, 2, 64}), 16);
    assert_in_range(rules[0].duration_ns, 50 * SECOND, 60 * SECOND);

    rule = limit(MS_GUARD_SYN_SOURCE, 10);
    rule.burst = 3;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    assert_int_equal(rules[1].kind, CONTROL_GUARD_SYN_SOURCE);
    assert_int_equal(rules[1].rate, 10);
    assert_int_equal(rules[1].burst, 3);
    assert_int_equal(rules[1].duration_ns, 0);
    assert_int_equal(rules[1].prefix.family, 0);

    assert_int_equal(ms_guard_remove(fixture->port, fixture->binding, &rule), 0);
    assert_int_equal(rules[2].action, CONTROL_GUARD_REMOVE);
    assert_int_equal(rules[2].kind, CONTROL_GUARD_SYN_SOURCE);
    assert_true(rules[2].rate == 0 && rules[2].burst == 0);
    assert_int_equal(ms_guard_remove(fixture->port, fixture->binding, &rule), -ENOENT);
    assert_int_equal(told(fixture), 3);
}

static void ipv6_has_longer_prefixes(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = list(MS_GUARD_ALLOW, "0.0.0.0", 33);

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    source6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::ffff", &source6.sin6_addr), 1);
    rule.source = (struct sockaddr *)&source6;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL); /* too short */
    rule.source_length = sizeof(source6);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    assert_int_equal(fixture->fake->rules[0].prefix.family, 6);
    assert_int_equal(fixture->fake->rules[0].prefix.bytes[15], 0);
    rule.prefix = 129;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
}

static void nonsense_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = limit(MS_GUARD_SYN, 10);

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding + 1, &rule), -ENOENT);
    assert_int_equal(ms_guard_flush(fixture->port, -1), -ENOENT);
    rule.rate = 0;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule.rate = 10000001;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = limit(MS_GUARD_SYN, 10);
    rule.seconds = MS_GUARD_SECONDS_MAX + 1;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = limit(MS_GUARD_CONNECTIONS + 1, 10);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = limit(MS_GUARD_STRICT, 1);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = limit(MS_GUARD_SYN, 10);
    rule.size--;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = list(MS_GUARD_BLOCK, "10.0.0.0", 8);
    rule.source = NULL;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EINVAL);
    rule = list(MS_GUARD_BLOCK, "10.0.0.0", 8);
    source.sin_family = AF_UNIX;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EAFNOSUPPORT);
    assert_int_equal(told(fixture), 0);
}

static void rules_are_presented_to_the_next_switch(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = list(MS_GUARD_BLOCK, "10.1.0.0", 16);
    unsigned generation;

    rule.seconds = 1000;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    rule = limit(MS_GUARD_SYN, 100);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    rule.rate = 200;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0); /* changed */
    generation = port_info(fixture->port).generation;
    go_away(fixture);
    come_back(fixture, generation + 1);
    assert_int_equal(told(fixture), 2);
    assert_int_equal(fixture->fake->rules[0].kind, CONTROL_GUARD_BLOCK);
    assert_int_equal(fixture->fake->rules[0].prefix.length, 16);
    assert_in_range(fixture->fake->rules[0].duration_ns, 900 * SECOND, 1000 * SECOND);
    assert_int_equal(fixture->fake->rules[1].kind, CONTROL_GUARD_SYN);
    assert_int_equal(fixture->fake->rules[1].rate, 200);
    assert_int_equal(fixture->fake->rules[1].binding, fixture->fake->bindings[0].number);
}

static void the_switch_tells_how_many_were_answered(void **state)
{
    struct fixture *fixture = *state;
    const struct ms_guard_cookie cookie = {.mss = 1460, .hop_limit = 64};
    struct ms_guard_rule rule = {
        .size = sizeof(rule), .kind = MS_GUARD_COOKIES, .rate = 1, .cookie = &cookie};
    uint64_t answered = 1;

    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding + 1, &answered), -ENOENT);
    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding, &answered), -ENOENT);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    fixture->fake->answered = 0x123456789aULL;
    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding, &answered), 0);
    assert_true(answered == 0x123456789aULL);
    assert_int_equal(told(fixture), 2);
    assert_memory_equal(&fixture->fake->rules[1].cookie, &fixture->fake->rules[0].cookie,
                        sizeof(struct control_cookie));
    assert_int_equal(fixture->fake->rules[1].rate, 1);
    fixture->fake->guard_error = ENOSPC; /* it is nobody's then */
    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding, &answered), -ENOSPC);
    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding, &answered), -ENOENT);
    fixture->fake->guard_error = 0;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    go_away(fixture);
    assert_int_equal(ms_guard_answered(fixture->port, fixture->binding, &answered), -ENOTCONN);
}

static void what_is_said_while_it_is_away_is_told_then(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule kept = limit(MS_GUARD_SYN, 100), gone = limit(MS_GUARD_STRICT, 0);
    unsigned generation = port_info(fixture->port).generation;

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &gone), 0);
    go_away(fixture);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &kept), 0);
    assert_int_equal(ms_guard_remove(fixture->port, fixture->binding, &gone), 0);
    come_back(fixture, generation + 1);
    assert_int_equal(told(fixture), 1);
    assert_int_equal(fixture->fake->rules[0].kind, CONTROL_GUARD_SYN);
}

static void a_rule_that_is_refused_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = limit(MS_GUARD_SYN, 100);
    unsigned generation = port_info(fixture->port).generation;

    fixture->fake->guard_error = ENOSPC;
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -ENOSPC);
    assert_int_equal(port_info(fixture->port).last_error, 0);
    go_away(fixture);
    come_back(fixture, generation + 1);
    assert_int_equal(told(fixture), 0);
}

/* The next switch has no room for what this one took: packets flow, the error is told, and a third
 * one is asked again. */
static void a_later_switch_may_refuse(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = limit(MS_GUARD_SYN, 100);
    unsigned generation = port_info(fixture->port).generation;

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    go_away(fixture);
    fixture->fake->guard_error = ENOSPC;
    come_back(fixture, generation + 1);
    assert_int_equal(port_info(fixture->port).last_error, -ENOSPC);
    go_away(fixture);
    fixture->fake->guard_error = 0;
    come_back(fixture, generation + 2);
    assert_int_equal(port_info(fixture->port).last_error, 0);
    assert_int_equal(told(fixture), 1);
}

static void an_older_switch_is_not_asked(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = limit(MS_GUARD_SYN, 100);
    unsigned generation = port_info(fixture->port).generation;

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    go_away(fixture);
    fixture->fake->no_guard = true;
    come_back(fixture, generation + 1);
    assert_int_equal(port_info(fixture->port).last_error, -EOPNOTSUPP);
    rule = limit(MS_GUARD_STRICT, 0);
    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), -EOPNOTSUPP);
}

static void rules_go_with_their_binding(void **state)
{
    struct fixture *fixture = *state;
    struct ms_guard_rule rule = limit(MS_GUARD_SYN, 100);
    unsigned generation = port_info(fixture->port).generation;
    int other = bind_somewhere(fixture->port);

    assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    assert_int_equal(ms_guard_set(fixture->port, other, &rule), 0);
    assert_int_equal(ms_unbind(fixture->port, fixture->binding), 0);
    go_away(fixture);
    come_back(fixture, generation + 1);
    assert_int_equal(told(fixture), 1);
}

static void many_are_told_and_taken_back(void **state)
{
    struct fixture *fixture = *state;
    unsigned generation = port_info(fixture->port).generation;
    struct ms_guard_rule rule;
    char address[32];

    for (unsigned i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "10.0.0.%u", i);
        rule = list(MS_GUARD_BLOCK, address, 32);
        assert_int_equal(ms_guard_set(fixture->port, fixture->binding, &rule), 0);
    }
    go_away(fixture);
    come_back(fixture, generation + 1); /* more than may be on the way */
    assert_int_equal(told(fixture), 100);
    assert_int_equal(ms_guard_flush(fixture->port, fixture->binding), 0);
    assert_int_equal(told(fixture), 200);
    for (unsigned i = 100; i < 200; i++)
        assert_int_equal(fixture->fake->rules[i].action, CONTROL_GUARD_REMOVE);
    go_away(fixture);
    come_back(fixture, generation + 2);
    assert_int_equal(told(fixture), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, port_fixture_close)
    const struct CMUnitTest tests[] = {
        TEST(a_rule_is_told_as_it_is_wanted),
        TEST(ipv6_has_longer_prefixes),
        TEST(nonsense_is_refused_at_once),
        TEST(rules_are_presented_to_the_next_switch),
        TEST(the_switch_tells_how_many_were_answered),
        TEST(what_is_said_while_it_is_away_is_told_then),
        TEST(a_rule_that_is_refused_is_nobodys),
        TEST(a_later_switch_may_refuse),
        TEST(an_older_switch_is_not_asked),
        TEST(rules_go_with_their_binding),
        TEST(many_are_told_and_taken_back),
    };

    return cmocka_run_group_tests_name("port_guard", tests, NULL, NULL);
}
