/* SPDX-License-Identifier: BSD-2-Clause */
/* mspktgen's packets, and what its options must make sense as (programs/mspktgen). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "mspktgen.h"

static const struct endpoints from4 = {4, {10, 9, 0, 2}, 1000, 1000};
static const struct endpoints to4 = {4, {10, 9, 0, 1}, 80, 80};
static const struct endpoints from6 = {6, {0xfd, [15] = 2}, 1000, 1000};
static const struct endpoints to6 = {6, {0xfd, [15] = 1}, 80, 80};

static void each_size_is_right_to_the_last_bit(void **state)
{
    static struct packet_template template;
    static _Alignas(64) uint8_t out[2048];
    static const uint8_t ahead[PACKET_AHEAD] = {1, 2, 3, [17] = 0x55};

    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        bool ipv6 = variant & 1, wire = variant & 2;

        for (uint32_t size = packet_size_min(ipv6 ? 6 : 4); size <= 1518; size++) {
            struct packet_facts facts, next;
            struct flow flow;

            flow_init(&flow, 1000, 65535);
            flow.sequence = 0xfffffff0; /* it wraps */
            packet_template_init(&template, ipv6 ? &from6 : &from4, ipv6 ? &to6 : &to4, size,
                                 wire ? ahead : NULL);
            assert_int_equal(template.length, size - 18);
            packet_write(out, &template, &flow, 0xffff);
            assert_memory_equal(out, ahead, wire ? PACKET_AHEAD : 0);
            assert_true(packet_verify(out + template.ip, template.length, false, &facts));
            assert_int_equal(facts.sequence, 0xfffffff0);
            assert_int_equal(facts.payload, size - 18 - 20 - (ipv6 ? 40 : 20));
            packet_write(out, &template, &flow, 0);
            assert_true(packet_verify(out + template.ip, template.length, false, &next));
            assert_int_equal(next.sequence, (uint32_t)(facts.sequence + facts.payload));
            assert_true(next.flow == facts.flow);
        }
    }
}

static void a_flipped_bit_anywhere_is_seen(void **state)
{
    static struct packet_template template;
    static _Alignas(64) uint8_t out[128];
    struct packet_facts facts;
    struct flow flow;

    (void)state;
    flow_init(&flow, 1000, 80);
    packet_template_init(&template, &from4, &to4, 64, NULL);
    packet_write(out, &template, &flow, 7);
    for (uint32_t bit = 0; bit < template.length * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(packet_verify(out, template.length, false, &facts));
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (uint32_t length = 0; length < template.length; length++)
        assert_false(packet_verify(out, length, false, &facts));
    assert_true(packet_verify(out, template.length, false, &facts));
}

static void the_tracker_tells_lost_from_late(void **state)
{
    static const uint32_t sequences[] = {1, 7, 19, 25, 13, 31, 31, 61};
    struct tracker tracker;

    (void)state;
    assert_int_equal(tracker_init(&tracker), 0);
    for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
        struct packet_facts facts = {.flow = 1, .sequence = sequences[i], .payload = 6};
        struct packet_facts other = {
            .flow = 3, .sequence = sequences[0] + 6 * (uint32_t)i, .payload = 6};

        tracker_note(&tracker, &facts);
        tracker_note(&tracker, &other); /* in order */
    }
    /* 13 was late, the second 31 came twice, 37 to 55 (four) are lost, less the one that came twice:
     * a duplicate looks like one that was late, unless nothing is missing */
    assert_int_equal(tracker.late, 2);
    assert_int_equal(tracker.lost, 4);
    tracker_dispose(&tracker);
}

static void endpoints_are_an_address_and_a_range(void **state)
{
    static const char *const wrong[] = {
        "",           "10.0.0.1",       "10.0.0.1:", "10.0.0.1:0",  "10.0.0.1:80-79",
        "10.0.0.1:x", "10.0.0.1:80-",   "host:80",   "[fd00::1:80", "10.0.0.1:1-65536",
        "fd00::1-2",  "10.0.0.1:1-2-3",
    };
    struct endpoints endpoints;

    (void)state;
    assert_null(options_parse_endpoints("10.0.0.1:80", &endpoints));
    assert_int_equal(endpoints.first, 80);
    assert_int_equal(endpoints.last, 80);
    assert_null(options_parse_endpoints("[fd00::1]:80-1103", &endpoints));
    assert_int_equal(endpoints.family, 6);
    assert_int_equal(endpoints.last, 1103);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (!options_parse_endpoints(wrong[i], &endpoints))
            fail_msg("'%s' is taken", wrong[i]);
    }
}

static void processors_are_a_list(void **state)
{
    int cpus[THREADS_MAX];
    uint64_t count;

    (void)state;
    assert_null(options_parse_cpus("0-2,5", cpus, &count));
    assert_int_equal(count, 4);
    assert_int_equal(cpus[3], 5);
    assert_non_null(options_parse_cpus("", cpus, &count));
    assert_non_null(options_parse_cpus("2-1", cpus, &count));
    assert_non_null(options_parse_cpus("0-64", cpus, &count));
    assert_non_null(options_parse_cpus("99999999", cpus, &count));
}

static struct options good(enum work work)
{
    return (struct options){
        .work = work, .from = from4, .to = to4, .rings = 1, .ports = 1, .burst = 1};
}

static void options_that_do_not_fit_together_are_refused(void **state)
{
    struct options options = good(WORK_TX);

    (void)state;
    assert_null(options_complete(&options));
    assert_int_equal(options.size, 64);
    assert_int_equal(options.threads, 1);

    options = good(WORK_TX);
    options.from.family = 0;
    assert_non_null(strstr(options_complete(&options), "--from"));
    options = good(WORK_RX);
    options.to.family = 0;
    assert_non_null(strstr(options_complete(&options), "--to"));
    options.wire = "/run/w"; /* counts whatever comes */
    assert_null(options_complete(&options));
    options = good(WORK_TX);
    options.to = to6;
    assert_non_null(strstr(options_complete(&options), "families"));
    options = good(WORK_LOOP);
    assert_non_null(strstr(options_complete(&options), "--wire"));
    options.wire = "w";
    assert_non_null(strstr(options_complete(&options), "absolute"));
    options = good(WORK_TX);
    options.wire = "/run/w";
    options.ports = 2;
    assert_non_null(strstr(options_complete(&options), "--rings"));
    options = good(WORK_TX);
    options.threads = 2;
    assert_non_null(strstr(options_complete(&options), "--threads"));
    options = good(WORK_TX);
    options.rings = 2; /* for one flow */
    assert_non_null(strstr(options_complete(&options), "--rings"));
    options = good(WORK_TX);
    options.from = from6;
    options.to = to6;
    options.size = 64;
    assert_non_null(strstr(options_complete(&options), "79"));
}

static struct options round_trips(void)
{
    struct options options = good(WORK_LOOP);

    options.wire = "/run/w";
    options.loop_sends_by_ports = true;
    options.latency = true;
    return options;
}

static void round_trips_are_of_one_packet_of_one_flow(void **state)
{
    struct options options = round_trips();

    (void)state;
    assert_null(options_complete(&options));
    options = round_trips();
    options.work = WORK_TX;
    assert_non_null(strstr(options_complete(&options), "of loop alone"));
    options = round_trips();
    options.loop_sends_by_ports = false;
    assert_non_null(strstr(options_complete(&options), "--direction rx"));
    options = round_trips();
    options.ports = 2;
    assert_non_null(strstr(options_complete(&options), "one packet at a time"));
    options = round_trips();
    options.threads = 2;
    assert_non_null(strstr(options_complete(&options), "one packet at a time"));
    options = round_trips();
    options.rings = 2;
    options.to.last = 81;
    assert_non_null(strstr(options_complete(&options), "one packet at a time"));
    options = round_trips();
    options.burst = 2;
    assert_non_null(strstr(options_complete(&options), "--burst"));
    options = round_trips();
    options.to.last = 81;
    assert_non_null(strstr(options_complete(&options), "one flow"));
}

/* A packet from 10.9.0.2:1000 is then one from 10.9.0.1:80, and its checksums are still right. */
static void a_packet_with_its_ends_exchanged_is_right(void **state)
{
    static const struct {
        const struct endpoints *from, *to;
    } ways[] = {{&from4, &to4}, {&from6, &to6}};

    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        uint8_t packets[2][128] __attribute__((aligned(64)));
        struct packet_template template = {0};
        struct packet_facts facts, answer;
        struct flow flow;

        for (int back = 0; back < 2; back++) {
            const struct endpoints *from = back ? ways[i].to : ways[i].from;
            const struct endpoints *to = back ? ways[i].from : ways[i].to;

            packet_template_init(&template, from, to, 96, NULL);
            flow_init(&flow, from->first, to->first);
            packet_write(packets[back], &template, &flow, 7);
        }
        assert_true(packet_verify(packets[0], template.length, false, &facts));
        packet_exchange_ends(packets[0]);
        assert_memory_equal(packets[0], packets[1], template.length);
        assert_true(packet_verify(packets[0], template.length, false, &answer));
        assert_int_equal(answer.sequence, facts.sequence);
        assert_int_not_equal(answer.flow, facts.flow);
    }
}

static void a_single_port_number_stands_for_all_ports(void **state)
{
    struct options options = good(WORK_TX);

    (void)state;
    options.ports = 64;
    assert_null(options_complete(&options));
    assert_int_equal(options.from.last, 1063);
    options = good(WORK_RX);
    options.ports = 64;
    assert_null(options_complete(&options));
    assert_int_equal(options.to.last, 143);
    options = good(WORK_TX);
    options.from.first = options.from.last = 65530;
    options.ports = 64;
    assert_non_null(strstr(options_complete(&options), "fit"));
    options = good(WORK_TX);
    options.from.last = 1004;
    options.ports = 2; /* five port numbers */
    assert_non_null(strstr(options_complete(&options), "evenly"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_size_is_right_to_the_last_bit),
        cmocka_unit_test(a_flipped_bit_anywhere_is_seen),
        cmocka_unit_test(the_tracker_tells_lost_from_late),
        cmocka_unit_test(endpoints_are_an_address_and_a_range),
        cmocka_unit_test(round_trips_are_of_one_packet_of_one_flow),
        cmocka_unit_test(a_packet_with_its_ends_exchanged_is_right),
        cmocka_unit_test(processors_are_a_list),
        cmocka_unit_test(options_that_do_not_fit_together_are_refused),
        cmocka_unit_test(a_single_port_number_stands_for_all_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
