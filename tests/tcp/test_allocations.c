/* SPDX-License-Identifier: BSD-2-Clause */
/* The n-th allocation of UTCP fails, for each n: whoever asked is told (-ENOMEM), or what was to be
 * stored is dropped and comes again; nothing is left behind, and the next transfer works. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "faults.h"
#include "simulator.h"

#define MINUTE     UINT64_C(60000000)
#define FAULTS_MAX 4096 /* far more than any of these allocates */

static const struct sim_config bad_wire = {
    .seed = 7,
    .family = 4,
    .link = {{.delay_us = 1000, .rate = 20000, .queue_us = 5000, .loss = 30, .reorder = 100},
             {.delay_us = 1000, .rate = 20000, .queue_us = 5000, .loss = 30, .reorder = 100}},
    .app = {{.to_send = 400000, .to_receive = 200000, .by_reference = true, .read_pause_us = 3000},
            {.to_send = 200000, .to_receive = 400000}},
};

/* An application closes what reports an error; its peer sees a reset, or an end before its time. */
static void check(struct sim *sim, bool failed)
{
    const struct sim_app *apps[2] = {sim_app(sim, 0), sim_app(sim, 1)};
    bool well = !apps[0]->error && !apps[1]->error;

    assert_true(well || failed);
    for (int side = 0; side < 2; side++) {
        const struct sim_app *app = apps[side];

        assert_true(app->closed);
        assert_int_equal(app->released, app->referred);
        if (well)
            assert_int_equal(app->received, app->to_receive);
        else
            assert_true(app->error == 0 || app->error == -ENOMEM || app->error == -ECONNRESET);
    }
}

/* A transfer whose n-th allocation fails. Whether there was one. */
static bool transfer(unsigned n)
{
    struct sim *sim = sim_new(&bad_wire);
    bool failed, closed;

    if (n)
        faults_arm(n);
    closed = sim_run(sim, 60 * MINUTE);
    failed = faults_disarm();
    assert_true(closed);
    check(sim, failed);
    sim_free(sim);
    return failed;
}

static void a_transfer_ends_well_or_says_why(void **state)
{
    unsigned n = 0;

    (void)state;
    transfer(0); /* what is made once is there now */
    do {
        long before = faults_live();

        n++;
        assert_true(n < FAULTS_MAX);
        if (!transfer(n))
            break;
        if (faults_live() != before)
            fail_msg("allocation %u: %ld are left behind", n, faults_live() - before);
    } while (true);
    print_message("%u allocations\n", n - 1);
    assert_true(n > 20);
}

/* A stack, a listener and a connection. */
static int begin(void)
{
    const struct utcp_config config = {.size = sizeof(config)};
    const struct utcp_endpoint us = {.family = 4, .port = 80, .address = {192, 0, 2, 1}};
    const struct utcp_endpoint them = {.family = 4, .port = 80, .address = {192, 0, 2, 2}};
    struct utcp_endpoint other = us;
    struct utcp *stack = utcp_new(&config, 0);
    struct utcp_listener *listener;
    struct utcp_conn *conn;
    int status;

    if (!stack)
        return -ENOMEM;
    other.port = 81;
    status = utcp_listen(stack, &other, 8, NULL, &listener);
    if (!status)
        status = utcp_connect(stack, 0, &us, &them, NULL, &conn);
    if (!status) {
        ptrdiff_t written = utcp_write_record(conn, 0, "hello", 5);

        status = written < 0 ? (int)written : 0;
    }
    utcp_free(stack);
    return status;
}

static void a_stack_is_made_whole_or_not_at_all(void **state)
{
    bool failed;

    (void)state;
    for (unsigned n = 1; n < FAULTS_MAX; n++) {
        long before = faults_live();
        int status;

        faults_arm(n);
        status = begin();
        failed = faults_disarm();
        assert_int_equal(faults_live(), before);
        assert_int_equal(status, failed ? -ENOMEM : 0);
        if (!failed) {
            assert_true(n > 4);
            return;
        }
    }
    fail_msg("there is no end to it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stack_is_made_whole_or_not_at_all),
        cmocka_unit_test(a_transfer_ends_well_or_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
