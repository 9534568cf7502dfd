/* SPDX-License-Identifier: BSD-2-Clause */
/* The n-th allocation of the switch fails, for each n that there is: a clean error, nothing is left
 * behind, and the same thing works at the next try. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "sharing.h"
#include "switch_bench.h"

#define FAULTS_MAX 4096 /* far more than any of these allocates */

/* Runs `scenario` on a new bench each time, with the n-th of its allocations failing. */
static void each_fails(int (*scenario)(struct bench *bench), unsigned at_least)
{
    for (unsigned n = 1; n < FAULTS_MAX; n++) {
        long live_before = faults_live();
        unsigned fds_before = faults_descriptors();
        struct bench *bench = bench_open();
        int status;
        bool failed;

        faults_arm(n);
        status = scenario(bench);
        failed = faults_disarm();
        if (failed)
            assert_true(status == 0 || status == -ENOMEM || status == -ENOSPC);
        else
            assert_int_equal(status, 0);
        assert_int_equal(bench->core->ports.count, 0);
        assert_int_equal(scenario(bench), 0);
        bench_close(bench);
        if (faults_live() != live_before)
            fail_msg("allocation %u: %ld are left behind", n, faults_live() - live_before);
        if (faults_descriptors() != fds_before)
            fail_msg("allocation %u: %u descriptors, not %u", n, faults_descriptors(), fds_before);
        if (!failed) {
            assert_true(n > at_least);
            return;
        }
    }
    fail_msg("there is no end to it");
}

static int open_port(struct bench *bench, struct port **port)
{
    const struct port_request request = {
        .name = "app", .ring_count = 2, .rx_size = RING_SIZE_MIN, .tx_size = RING_SIZE_MIN};

    return port_open(bench->core, &request, port);
}

static int open_and_close(struct bench *bench)
{
    struct port *port = NULL;
    int status = open_port(bench, &port);

    if (!status)
        port_close(bench->core, port);
    return status;
}

static void test_a_port(void **state)
{
    (void)state;
    each_fails(open_and_close, 1);
}

/* So many bindings that the tables grow. */
static int bind_many(struct bench *bench)
{
    const struct binding_terms terms = {.cookie = 0};
    const uint8_t any[16] = {0};
    struct port *port = NULL;
    int status = open_port(bench, &port);

    if (status)
        return status;
    for (unsigned i = 1; !status && i <= 300; i++) {
        struct tuple tuple = tuple_make(any, 4, IP_PROTOCOL_TCP, htons((uint16_t)i));
        int placeholder = dup(bench->keeper);
        uint32_t number;

        status = binding_add(bench->core, port, &tuple, placeholder, &terms, &number);
        if (status) /* it is still ours */
            close(placeholder);
    }
    port_close(bench->core, port);
    return status;
}

static void test_bindings(void **state)
{
    (void)state;
    each_fails(bind_many, 1);
}

/* Each of some ports shares one 3-tuple and connects so many flows that the tables grow. */
static int join(struct bench *bench, struct port *port, uint32_t flows)
{
    const struct binding_terms terms = {.shared = true};
    const uint8_t address[16] = {192, 0, 2, 1};
    struct tuple tuple = tuple_make(address, 4, IP_PROTOCOL_TCP, htons(80));
    struct control_flow flow = {.local = {192, 0, 2, 1}, .remote = {198, 51, 100, 1}};
    int status, placeholder = dup(bench->keeper);
    struct binding *binding;
    uint32_t number, taken;

    status = binding_add(bench->core, port, &tuple, placeholder, &terms, &number);
    if (status) {
        close(placeholder);
        return status;
    }
    for (uint32_t i = 0; i < flows && !status; i++) {
        flow.remote_port = htons((uint16_t)(port->number * 1000 + i + 1));
        binding = binding_find(&bench->core->ports, port, number);
        status = sharing_connect(bench->core, binding, &flow, 1, false, &taken);
    }
    return status;
}

static int share_and_connect(struct bench *bench)
{
    struct port *ports[3];
    unsigned count = 0;
    int status = 0;

    while (!status && count < 3) {
        status = open_port(bench, &ports[count]);
        if (!status)
            status = join(bench, ports[count++], 200);
    }
    while (count > 0)
        port_close(bench->core, ports[--count]);
    return status;
}

static void test_shared_and_connected(void **state)
{
    (void)state;
    each_fails(share_and_connect, 5);
}

/* A core of its own: what is there after a failure is disposed of as after a success. */
static int set_up_core(struct bench *bench)
{
    struct switch_core *core = calloc(1, sizeof(*core));
    int status;

    if (!core)
        return -ENOMEM;
    core->config = bench->core->config;
    status = core_init(core, -1, -1, -1);
    core_dispose(core);
    free(core);
    return status;
}

static void test_a_core(void **state)
{
    (void)state;
    each_fails(set_up_core, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port),
        cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_shared_and_connected),
        cmocka_unit_test(test_a_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
