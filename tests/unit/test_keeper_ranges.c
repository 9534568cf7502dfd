/* SPDX-License-Identifier: BSD-2-Clause */
/* Which block of ports the keeper gives to whom: without its programs, which the system tests try, but
 * with the kernel's bind(2). */
#include "keeper_internal.h"
#include "switch.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 1
#define OTHER  2
/* Ports that this host does not choose by itself, nor anything on it is likely to listen at. */
#define FIRST 61440

/* The keeper's objects refer to it; no switch is started here. */
int switch_main(int channel_fd)
{
    (void)channel_fd;
    abort();
}

struct fixture {
    struct keeper keeper;
    struct config config;
    int end;
    uint32_t id;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    config_init(&fixture->config);
    fixture->config.range_first = FIRST;
    fixture->config.range_last = 65535;
    fixture->config.range_ports_per_user = 2048;
    fixture->keeper.config = &fixture->config;
    fixture->keeper.child.channel = ends[0];
    fixture->end = ends[1];
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    keeper__close_ranges(&fixture->keeper);
    close(fixture->keeper.child.channel);
    close(fixture->end);
    free(fixture);
    return 0;
}

static void want(struct fixture *fixture, uint32_t uid, uint32_t first, uint32_t port_count)
{
    const struct channel_range request = {
        .id = ++fixture->id,
        .uid = uid,
        .protocol = IPPROTO_TCP,
        .first = first,
        .port_count = port_count,
    };

    keeper__want_range(&fixture->keeper, &request);
}

/* Works it all off. The error of the last answer; *first as it says. */
static int answered(struct fixture *fixture, uint32_t *first)
{
    struct channel_range_answer answer = {.error = UINT32_MAX};

    while (fixture->keeper.ranges.queued)
        keeper__serve_ranges(&fixture->keeper, 1);
    while (recv(fixture->end, &answer, sizeof(answer), MSG_DONTWAIT) == sizeof(answer)) {
    }
    if (first)
        *first = answer.first;
    return (int)answer.error;
}

static int get(struct fixture *fixture, uint32_t uid, uint32_t first, uint32_t port_count)
{
    want(fixture, uid, first, port_count);
    return answered(fixture, NULL);
}

static void release(struct fixture *fixture, uint32_t first, uint32_t port_count)
{
    const struct channel_range_release message = {
        .protocol = IPPROTO_TCP, .first = first, .port_count = port_count};

    keeper__release_range(&fixture->keeper, &message);
}

static void a_block_is_given_once(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), 0);
    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), EADDRINUSE);
    assert_int_equal(get(fixture, OTHER, FIRST + 512, 64), EADDRINUSE);
    assert_int_equal(get(fixture, OTHER, FIRST, 2048), EADDRINUSE);
    assert_int_equal(get(fixture, OTHER, FIRST + 1024, 64), 0);
    release(fixture, FIRST, 64); /* not as it was given */
    assert_int_equal(get(fixture, OTHER, FIRST, 1024), EADDRINUSE);
    release(fixture, FIRST, 1024);
    assert_int_equal(get(fixture, OTHER, FIRST, 1024), 0);
}

static void any_block_is_found_as_long_as_there_is_one(void **state)
{
    struct fixture *fixture = *state;
    uint32_t seen = 0;

    fixture->config.range_ports_per_user = 65536;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t first;

        want(fixture, NOBODY, 0, 1024);
        assert_int_equal(answered(fixture, &first), 0);
        assert_int_equal(first % 1024, 0);
        assert_true(first >= FIRST);
        seen |= 1u << (first - FIRST) / 1024;
    }
    assert_int_equal(seen, 0xf);
    assert_int_equal(get(fixture, NOBODY, 0, 64), EADDRINUSE);
}

static void a_block_with_a_port_of_somebody_is_not_given(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(FIRST + 700),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t first;

    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), EADDRINUSE);
    want(fixture, NOBODY, 0, 2048);
    assert_int_equal(answered(fixture, &first), 0);
    assert_int_equal(first, FIRST + 2048);
    assert_int_equal(get(fixture, OTHER, 0, 2048), EADDRINUSE);
    close(fd);
    assert_int_equal(get(fixture, OTHER, 0, 2048), 0);
}

static void a_user_gets_so_many_ports_and_no_more(void **state)
{
    struct fixture *fixture = *state;

    want(fixture, NOBODY, 0, 1024);
    want(fixture, NOBODY, 0, 1024);
    want(fixture, NOBODY, 0, 1024); /* asked before the others were given */
    assert_int_equal(answered(fixture, NULL), EDQUOT);
    assert_int_equal(fixture->keeper.ranges.count, 2);
    assert_int_equal(get(fixture, NOBODY, 0, 64), EDQUOT);
    assert_int_equal(get(fixture, OTHER, 0, 64), 0);
}

static void nonsense_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t cases[][2] = {
        {0, 0},      {0, 63},      {0, 32768},       {FIRST + 1, 64}, {64, 64},
        {65536, 64}, {131072, 64}, {0xffffffc0, 64}, {61440, 96},     {61440, 1u << 31}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(get(fixture, NOBODY, cases[i][0], cases[i][1]), EINVAL);
    assert_int_equal(get(fixture, NOBODY, 16384, 64), EADDRINUSE); /* outside of --range-ports */
    fixture->config.range_last = 0;
    assert_int_equal(get(fixture, NOBODY, 0, 64), EOPNOTSUPP);
    assert_int_equal(fixture->keeper.ranges.count, 0);
}

static void the_hosts_own_choice_of_ports_is_never_given(void **state)
{
    struct fixture *fixture = *state;
    uint8_t never_looked_into;

    fixture->config.range_first = 1024;
    fixture->keeper.ranges.needs_programs = true;
    assert_int_equal(get(fixture, NOBODY, FIRST, 64), EOPNOTSUPP); /* nothing could keep it */
    fixture->keeper.ranges.programs.skeleton = (struct ranges_bpf *)&never_looked_into;
    memset(fixture->keeper.ranges.programs.mutes, 0xff, sizeof(int[RANGE_MUTES]));
    want(fixture, NOBODY, 49152, 1024);
    fixture->keeper.ranges.chosen[(49152 + 1023) / 64] |= 1ULL << 63;
    assert_int_equal(answered(fixture, NULL), EADDRINUSE);
    fixture->keeper.ranges.programs = (struct range_programs){0};
}

static void who_had_it_gets_it_again_from_the_next_switch(void **state)
{
    struct fixture *fixture = *state;

    fixture->config.range_ports_per_user = 4096;
    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), 0);
    assert_int_equal(get(fixture, NOBODY, FIRST + 1024, 1024), 0);
    want(fixture, OTHER, 0, 64); /* nobody will be there to hear it */
    keeper__orphan_ranges(&fixture->keeper);
    assert_int_equal(fixture->keeper.ranges.queued, 0);
    assert_int_equal(get(fixture, OTHER, FIRST, 1024), EADDRINUSE);
    assert_int_equal(get(fixture, NOBODY, FIRST, 512), EADDRINUSE);
    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), 0);
    assert_int_equal(get(fixture, NOBODY, FIRST, 1024), EADDRINUSE); /* once */

    keeper__await_ranges(&fixture->keeper);
    keeper__serve_ranges(&fixture->keeper, fixture->keeper.ranges.orphans_until_ns - 1);
    assert_int_equal(fixture->keeper.ranges.count, 2);
    keeper__serve_ranges(&fixture->keeper, fixture->keeper.ranges.orphans_until_ns);
    assert_int_equal(fixture->keeper.ranges.count, 1);
    assert_int_equal(get(fixture, OTHER, FIRST + 1024, 1024), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_block_is_given_once),
        TEST(any_block_is_found_as_long_as_there_is_one),
        TEST(a_block_with_a_port_of_somebody_is_not_given),
        TEST(a_user_gets_so_many_ports_and_no_more),
        TEST(nonsense_is_refused),
        TEST(the_hosts_own_choice_of_ports_is_never_given),
        TEST(who_had_it_gets_it_again_from_the_next_switch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
