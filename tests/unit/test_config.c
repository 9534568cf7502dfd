/* SPDX-License-Identifier: BSD-2-Clause */
/* multistackd's words: NIC specifications, options, the configuration file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adaptive_poll.h"
#include "config.h"
#include "control_protocol.h"
#include "port_layout.h"

static char error[CONFIG_ERROR_SIZE];

static void a_nic_may_be_named_in_short_and_in_full(void **state)
{
    struct nic_spec spec;

    (void)state;
    assert_int_equal(config_parse_nic("eth1", &spec, error), 0);
    assert_string_equal(spec.device, "eth1");
    assert_int_equal(spec.queues, 0);
    assert_int_equal(spec.copy, COPY_AUTO);
    assert_int_equal(spec.xdp, XDP_AUTO);
    assert_false(spec.share);
    assert_int_equal(config_parse_nic("afxdp:enp1s0f0np0,queues=4,mode=zerocopy,xdp=native,"
                                      "share=yes",
                                      &spec, error),
                     0);
    assert_string_equal(spec.device, "enp1s0f0np0");
    assert_int_equal(spec.queues, 4);
    assert_int_equal(spec.copy, COPY_ZEROCOPY);
    assert_int_equal(spec.xdp, XDP_NATIVE);
    assert_true(spec.share);
    assert_int_equal(spec.busy_poll_budget, 0);
    assert_int_equal(config_parse_nic("eth1,prefer-busy-poll=yes", &spec, error), 0);
    assert_int_equal(spec.busy_poll_budget, 64);
    assert_int_equal(config_parse_nic("eth1,busy-poll-budget=8,prefer-busy-poll=yes", &spec, error),
                     0);
    assert_int_equal(spec.busy_poll_budget, 8);
    assert_int_equal(config_parse_nic("eth1,busy-poll-budget=8,prefer-busy-poll=no", &spec, error),
                     0);
    assert_int_equal(spec.busy_poll_budget, 0);
    assert_int_equal(config_parse_nic("eth1,mode=copy,xdp=generic,share=no", &spec, error), 0);
    assert_int_equal(spec.copy, COPY_COPY);
    assert_int_equal(spec.xdp, XDP_GENERIC);
    assert_false(spec.share);
}

static void who_names_no_driver_takes_any(void **state)
{
    struct nic_spec spec;

    (void)state;
    assert_int_equal(config_parse_nic("br0", &spec, error), 0);
    assert_int_equal(spec.driver, NIC_DRIVER_AFXDP);
    assert_true(spec.any_driver);
    assert_int_equal(config_parse_nic("afxdp:br0", &spec, error), 0);
    assert_false(spec.any_driver);
    assert_int_equal(config_parse_nic("br0,large=yes", &spec, error), 0);
    assert_false(spec.any_driver);
    assert_int_equal(config_parse_nic("packet:br0", &spec, error), 0);
    assert_false(spec.any_driver);
}

static void a_wire_is_told_all_that_it_can_be_told(void **state)
{
    struct nic_spec spec;

    (void)state;
    assert_int_equal(config_parse_nic("wire:/run/ms/left,rate=2.5G,delay=1.5ms,loss=1%,reorder=50,"
                                      "duplicate=100%,corrupt=0,seed=7,queues=2,mtu=9000,"
                                      "ring-size=4194304,"
                                      "address=10.9.0.1/24,address=fd00::1/64",
                                      &spec, error),
                     0);
    assert_int_equal(spec.driver, NIC_DRIVER_WIRE);
    assert_string_equal(spec.device, "left");
    assert_string_equal(spec.wire.path, "/run/ms/left");
    assert_int_equal(spec.wire.queues, 2);
    assert_int_equal(spec.wire.mtu, 9000);
    assert_int_equal(spec.wire.ring_size, 4194304);
    assert_int_equal(spec.wire.impairment.rate, 2500000000);
    assert_int_equal(spec.wire.impairment.delay_ns, 1500000);
    assert_int_equal(spec.wire.impairment.loss, 42949672); /* of 2^32 - 1 */
    assert_int_equal(spec.wire.impairment.reorder, UINT32_MAX / 2);
    assert_int_equal(spec.wire.impairment.duplicate, UINT32_MAX);
    assert_int_equal(spec.wire.impairment.corrupt, 0);
    assert_int_equal(spec.wire.impairment.seed, 7);
    assert_int_equal(spec.wire.address_count, 2);
    assert_int_equal(spec.wire.addresses[0].prefix, 24);
    assert_int_equal(spec.wire.addresses[1].ip.family, 6);

    assert_int_equal(config_parse_nic("wire:/run/x", &spec, error), 0);
    assert_false(impairment_any(&spec.wire.impairment));
    assert_int_equal(spec.wire.queues, 1);
    assert_int_equal(spec.wire.mtu, 1500);
    assert_int_equal(spec.wire.ring_size, WIRE_RING_SIZE);
    assert_int_equal(spec.wire.abilities, WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT);

    assert_int_equal(config_parse_nic("wire:/run/x,tso=off", &spec, error), 0);
    assert_int_equal(spec.wire.abilities, WIRE_CAN_CHECKSUM);
    assert_int_equal(config_parse_nic("wire:/run/x,tso=off,tx=off,tso=on", &spec, error), 0);
    assert_int_equal(spec.wire.abilities,
                     WIRE_CAN_SEGMENT); /* worth nothing: wire_abilities_fit() */
}

static void a_wrong_nic_is_refused_and_the_reason_names_it(void **state)
{
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        {"", "no device"},
        {"afxdp:", "no device"},
        {"eth1,prefer-busy-poll=20", "no or yes"},
        {"eth1,busy-poll-budget=0", "from 1 to"},
        {",queues=1", "no device"},
        {"a-name-of-17-byte", "longer"},
        {"eth0/1", "not the name"},
        {"eth1,", "''"},
        {"eth1,queues", "'queues'"},
        {"eth1,queues=", "queues"},
        {"eth1,queues=0", "1 to 64"},
        {"eth1,queues=65", "1 to 64"},
        {"eth1,queues=-1", "1 to 64"},
        {"eth1,queues= 4", "1 to 64"},
        {"eth1,queues=4x", "1 to 64"},
        {"eth1,queues=99999999999999999999", "1 to 64"},
        {"eth1,mode=fast", "auto, zerocopy or copy"},
        {"eth1,xdp=hardware", "auto, native or generic"},
        {"eth1,share=maybe", "no or yes"},
        {"eth1,colour=red", "no option 'colour'"},
        {"eth1,mode=zerocopy,xdp=generic", "excludes"},
        {"packet:eth1,queues=2", "no options"},
        {"packet:", "no device"},
        {"wire:x", "absolute path"},
        {"wire:/run/a-name-of-17-byte", "longer"},
        {"wire:/run/", "no device"},
        {"wire:/run/x,", "option=value"},
        {"wire:/run/x,rate=10", "rate"},
        {"wire:/run/x,rate=10Gbit", "bits per second"},
        {"wire:/run/x,rate=-1G", "bits per second"},
        {"wire:/run/x,delay=10", "10ms"},
        {"wire:/run/x,delay=2h", "10ms"},
        {"wire:/run/x,delay=61s", "10ms"},
        {"wire:/run/x,loss=101%", "percentage"},
        {"wire:/run/x,corrupt=1x", "percentage"},
        {"wire:/run/x,reorder=1.2.3", "percentage"},
        {"wire:/run/x,seed=x", "seed"},
        {"wire:/run/x,tso=yes", "neither on nor off"},
        {"wire:/run/x,tx=", "neither on nor off"},
        {"wire:/run/x,queues=17", "1 to 16"},
        {"wire:/run/x,mtu=100", "576 to"},
        {"wire:/run/x,ring-size=32768", "65536 to"},
        {"wire:/run/x,ring-size=33554432", "to 16777216"},
        {"wire:/run/x,ring-size=100000", "power of two"},
        {"wire:/run/x,ring-size=1M", "65536 to"},
        {"wire:/run/x,address=10.0.0.1", "ADDR/LENGTH"},
        {"wire:/run/x,address=10.0.0.1/33", "0 to 32"},
        {"wire:/run/x,address=fd00::1/129", "0 to 128"},
        {"wire:/run/x,colour=red", "no option 'colour'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct nic_spec spec;

        error[0] = '\0';
        assert_int_equal(config_parse_nic(wrong[i].text, &spec, error), -1);
        if (!strstr(error, wrong[i].reason))
            fail_msg("'%s': '%s' does not say '%s'", wrong[i].text, error, wrong[i].reason);
    }
}

static void options_take_what_makes_sense(void **state)
{
    struct config config;

    (void)state;
    config_init(&config);
    assert_int_equal(config_check(&config, error), -1);
    assert_non_null(strstr(error, "--nic"));
    assert_int_equal(config_set(&config, CONFIG_NIC, "eth1", error), 0);
    assert_int_equal(config_check(&config, error), 0);
    assert_int_equal(config_set(&config, CONFIG_NIC, "eth1,queues=2", error), -1);
    assert_non_null(strstr(error, "twice"));
    assert_int_equal(config_set(&config, CONFIG_WORKERS, "1", error), 0);
    assert_int_equal(config_set(&config, CONFIG_WORKERS, "16", error), 0);
    assert_int_equal(config_set(&config, CONFIG_WORKERS, "17", error), -1);
    assert_int_equal(config_set(&config, CONFIG_WORKERS, "0", error), -1);
    assert_int_equal(config_set(&config, CONFIG_BUSY_POLL, "50", error), 0);
    assert_int_equal(config.busy_poll_us, 50);
    assert_int_equal(config_set(&config, CONFIG_BUSY_POLL, "always", error), 0);
    assert_int_equal(config.busy_poll_us, ADAPTIVE_POLL_ALWAYS);
    assert_int_equal(config_set(&config, CONFIG_BUSY_POLL, "1000001", error), -1);
    assert_int_equal(config_set(&config, CONFIG_BUSY_POLL, "sometimes", error), -1);
    assert_non_null(strstr(error, "always"));
    assert_int_equal(config_set(&config, CONFIG_RING_SIZE, "1048576", error), 0);
    assert_int_equal(config_set(&config, CONFIG_RING_SIZE, "1000000", error), -1);
    assert_int_equal(config.ring_size, 1048576);
    assert_int_equal(config_set(&config, CONFIG_PORTS_MAX, "8", error), 0);
    assert_int_equal(config_check(&config, error), -1); /* 256 for each user */
    assert_int_equal(config_set(&config, CONFIG_CPUS, "0-1,3", error), 0);
    assert_int_equal(config_set(&config, CONFIG_CPUS, "3-1", error), -1);
    assert_int_equal(config_set(&config, CONFIG_CPUS, "1,,2", error), -1);
}

static void a_path_that_does_not_fit_a_socket_is_refused(void **state)
{
    char path[200];
    struct config config;

    (void)state;
    config_init(&config);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[CONFIG_PATH_SIZE] = '\0';
    assert_int_equal(config_set(&config, CONFIG_CONTROL, path, error), -1);
    path[CONFIG_PATH_SIZE - 1] = '\0';
    assert_int_equal(config_set(&config, CONFIG_CONTROL, path, error), 0);
}

static void the_environment_names_the_control_socket(void **state)
{
    struct config config;

    (void)state;
    unsetenv(CONTROL_PATH_VARIABLE);
    config_init(&config);
    assert_string_equal(config.control, CONTROL_PATH_DEFAULT);
    setenv(CONTROL_PATH_VARIABLE, "/tmp/other.sock", 1);
    config_init(&config);
    assert_string_equal(config.control, "/tmp/other.sock");
    unsetenv(CONTROL_PATH_VARIABLE);
}

static void processors_are_listed_as_for_taskset(void **state)
{
    uint64_t mask[2];

    (void)state;
    assert_int_equal(config_parse_cpus("0-2,5,64-65", mask, 128, error), 0);
    assert_int_equal(mask[0], 0x27);
    assert_int_equal(mask[1], 0x3);
    assert_int_equal(config_parse_cpus("128", mask, 128, error), -1);
    assert_int_equal(config_parse_cpus("", mask, 128, error), -1);
    assert_int_equal(config_parse_cpus("1-", mask, 128, error), -1);
}

/* Reads `text` as a file; returns what config_read_file() does. */
static int read_text(struct config *config, const char *text)
{
    char path[] = "/tmp/test_config-XXXXXX";
    int fd = mkstemp(path);
    int status;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    config_init(config);
    status = config_read_file(config, path, error);
    unlink(path);
    return status;
}

static void a_file_has_the_names_of_the_command_line(void **state)
{
    struct config config;

    (void)state;
    assert_int_equal(read_text(&config, "# comment\n[multistackd]\nnic = eth1,queues=2\n"
                                        "nic = eth2\nbusy-poll = 20 ; why not\n"
                                        "control = /run/x.sock\nrejected-max = 0\n"),
                     0);
    assert_int_equal(config.rejected_max, 0);
    assert_int_equal(config.nic_count, 2);
    assert_string_equal(config.nics[1].device, "eth2");
    assert_int_equal(config.busy_poll_us, 20);
    assert_string_equal(config.control, "/run/x.sock");
}

static void range_ports_are_taken(void **state)
{
    struct config config;

    (void)state;
    config_init(&config);
    assert_int_equal(config.range_first, 16384);
    assert_int_equal(config.range_last, 28671);
    assert_int_equal(read_text(&config, "[multistackd]\nrange-ports = 61440-65535\n"
                                        "range-ports-per-user = 64\n"),
                     0);
    assert_int_equal(config.range_first, 61440);
    assert_int_equal(config.range_last, 65535);
    assert_int_equal(config.range_ports_per_user, 64);
    assert_int_equal(read_text(&config, "[multistackd]\nrange-ports = none\n"), 0);
    assert_int_equal(config.range_last, 0);
    assert_int_not_equal(read_text(&config, "[multistackd]\nrange-ports = 2000\n"), 0);
    assert_int_not_equal(read_text(&config, "[multistackd]\nrange-ports = 1000-2000\n"), 0);
    assert_int_not_equal(read_text(&config, "[multistackd]\nrange-ports = 2000-1999\n"), 0);
    assert_int_not_equal(read_text(&config, "[multistackd]\nrange-ports = 2000-65536\n"), 0);
    assert_int_not_equal(read_text(&config, "[multistackd]\nrange-ports = 2000-\n"), 0);
}

static void port_rates_are_taken(void **state)
{
    struct config config;

    (void)state;
    assert_int_equal(read_text(&config, "[multistackd]\nnic = eth1\nport-rate = bits=10M\n"
                                        "[port-rates]\nroot = none\n"
                                        "nobody = packets=5k,bits=1G\n"),
                     0);
    assert_int_equal(config.port_rate_count, 3);
    assert_int_equal(config.port_rates[0].who, CHANNEL_WHO_ANYBODY);
    assert_int_equal(config.port_rates[0].bits_s, 10000000);
    assert_int_equal(config.port_rates[0].packets_s, 0);
    assert_int_equal(config.port_rates[1].who, CHANNEL_WHO_USER);
    assert_int_equal(config.port_rates[1].id, 0);
    assert_int_equal(config.port_rates[1].bits_s, 0);
    assert_int_equal(config.port_rates[2].packets_s, 5000);
    assert_int_equal(config.port_rates[2].bits_s, 1000000000);
    /* the command line's takes the place of the file's */
    assert_int_equal(config_set(&config, CONFIG_PORT_RATE, "packets=1M", error), 0);
    assert_int_equal(config.port_rate_count, 3);
    assert_int_equal(config.port_rates[0].packets_s, 1000000);
    assert_int_equal(config.port_rates[0].bits_s, 0);
}

static void a_wrong_port_rate_is_refused_and_the_reason_says_why(void **state)
{
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        {"", "empty"},
        {"10M", "packets=N, bits=N or none"},
        {"packets=", "100 to 1000000000"},
        {"packets=99", "100 to 1000000000"},
        {"packets=2G", "100 to 1000000000"},
        {"packets=-1", "100 to 1000000000"},
        {"packets=1.5k", "100 to 1000000000"},
        {"packets=1kk", "100 to 1000000000"},
        {"bits=9999", "10000 to 1000000000000"},
        {"bits=1001G", "10000 to 1000000000000"},
        {"bits=99999999999999999999", "10000 to"},
        {"bits=1M,bits=2M", "bits is there twice"},
        {"bits=1M,", "''"},
        {"none,bits=1M", "'none'"},
        {"speed=1M", "'speed=1M'"},
    };
    struct config config;

    (void)state;
    config_init(&config);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error[0] = '\0';
        assert_int_equal(config_set(&config, CONFIG_PORT_RATE, wrong[i].text, error), -1);
        if (!strstr(error, wrong[i].reason))
            fail_msg("'%s': '%s' does not say '%s'", wrong[i].text, error, wrong[i].reason);
    }
    assert_int_equal(config.port_rate_count, 0);
    assert_int_equal(config_set_port_rate(&config, "no-such-user", "none", error), -1);
    assert_non_null(strstr(error, "no user 'no-such-user'"));
    assert_int_equal(config_set_port_rate(&config, "root", "bits=1M", error), 0);
    assert_int_equal(config_set_port_rate(&config, "root", "bits=1M", error), -1);
    assert_non_null(strstr(error, "has a rate already"));
}

static void a_wrong_file_is_refused_with_the_line(void **state)
{
    struct config config;

    (void)state;
    assert_int_equal(read_text(&config, "[multistackd]\nnic = eth1\nspeed = 9\n"), -1);
    assert_non_null(strstr(error, ":3: there is no setting 'speed'"));
    assert_int_equal(read_text(&config, "nic = eth1\n"), -1);
    assert_non_null(strstr(error, ":1:"));
    assert_int_equal(read_text(&config, "[multistackd]\nrubbish\nnic = eth1\n"), -1);
    assert_non_null(strstr(error, ":2:"));
    assert_int_equal(read_text(&config, "[multistackd]\nnic = eth1,queues=0\nspeed = 9\n"), -1);
    assert_non_null(strstr(error, ":2: nic eth1,queues=0: queues"));
    config_init(&config);
    assert_int_equal(config_read_file(&config, "/nonexistent/file", error), -1);
    assert_non_null(strstr(error, "No such file"));
}

static void protocols_say_who_may_bind_them(void **state)
{
    static const char *const wrong[][2] = {
        {"tcp", "*"},
        {"6", "*"},
        {"17", "*"},
        {"136", "*"},
        {"0", "*"},
        {"256", "*"},
        {"253/port", "*"},
        {"253/", "*"},
        {"", "*"},
        {"-1", "*"},
        {"253", "no-such-user-anywhere"},
        {"253", "@no-such-group-anywhere"},
        {"0123456789012345678901234567890123", "*"},
    };
    struct config config;

    (void)state;
    config_init(&config);
    assert_int_equal(config_set_protocol(&config, "sctp", "root @root", error), 0);
    assert_int_equal(config_set_protocol(&config, "253", "", error), 0);
    assert_int_equal(config_set_protocol(&config, "254/ports", " * ", error), 0);
    assert_int_equal(config.protocol_count, 4);
    assert_int_equal(config.protocols[0].protocol, 132);
    assert_true(config.protocols[0].has_ports);
    assert_int_equal(config.protocols[0].who, CHANNEL_WHO_USER);
    assert_int_equal(config.protocols[1].who, CHANNEL_WHO_GROUP);
    assert_int_equal(config.protocols[2].who, CHANNEL_WHO_NOBODY);
    assert_false(config.protocols[2].has_ports);
    assert_int_equal(config.protocols[3].who, CHANNEL_WHO_ANYBODY);
    assert_true(config.protocols[3].has_ports);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(config_set_protocol(&config, wrong[i][0], wrong[i][1], error), -1);
    assert_int_equal(config.protocol_count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_nic_may_be_named_in_short_and_in_full),
        cmocka_unit_test(who_names_no_driver_takes_any),
        cmocka_unit_test(a_wire_is_told_all_that_it_can_be_told),
        cmocka_unit_test(a_wrong_nic_is_refused_and_the_reason_names_it),
        cmocka_unit_test(options_take_what_makes_sense),
        cmocka_unit_test(a_path_that_does_not_fit_a_socket_is_refused),
        cmocka_unit_test(the_environment_names_the_control_socket),
        cmocka_unit_test(processors_are_listed_as_for_taskset),
        cmocka_unit_test(a_file_has_the_names_of_the_command_line),
        cmocka_unit_test(protocols_say_who_may_bind_them),
        cmocka_unit_test(a_wrong_file_is_refused_with_the_line),
        cmocka_unit_test(range_ports_are_taken),
        cmocka_unit_test(port_rates_are_taken),
        cmocka_unit_test(a_wrong_port_rate_is_refused_and_the_reason_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
