/* SPDX-License-Identifier: BSD-2-Clause */
/* How far an answer about a next hop holds, over tables that the test makes. */
#include "keeper_internal.h"
#include "switch.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The keeper's objects refer to it; no switch is started here. */
int switch_main(int channel_fd)
{
    (void)channel_fd;
    abort();
}

static struct channel_ip ip(const char *text)
{
    struct channel_ip ip = {.family = strchr(text, ':') ? 6 : 4};

    assert_int_equal(inet_pton(ip.family == 4 ? AF_INET : AF_INET6, text, ip.bytes), 1);
    return ip;
}

static void add(struct keeper *keeper, const char *prefix, uint8_t bits, const char *gateway)
{
    struct netlink_prefix line = {.ip = ip(prefix), .bits = bits, .route.ifindex = 3};
    struct keeper_reach *reach = &keeper->reach[line.ip.family == 6];

    if (gateway) {
        line.route.has_gateway = true;
        line.route.gateway = ip(gateway);
    }
    reach->prefixes[reach->count++] = line;
    reach->known = reach->usable = true;
}

static int set_up(void **state)
{
    struct keeper *keeper = calloc(1, sizeof(*keeper));

    for (int i = 0; i < 2; i++)
        keeper->reach[i].prefixes = calloc(64, sizeof(struct netlink_prefix));
    *state = keeper;
    return 0;
}

static int tear_down(void **state)
{
    keeper__free_reach(*state);
    free(*state);
    return 0;
}

static uint8_t reach(struct keeper *keeper, const char *destination, const char *gateway)
{
    struct channel_ip to = ip(destination);
    struct netlink_route route = {.ifindex = 3};

    if (gateway) {
        route.has_gateway = true;
        route.gateway = ip(gateway);
    }
    return keeper__reach(keeper, &to, &route);
}

static void it_ends_where_another_line_begins(void **state)
{
    struct keeper *keeper = *state;

    add(keeper, "0.0.0.0", 0, "10.0.0.254");
    add(keeper, "10.0.0.0", 24, NULL);
    add(keeper, "10.0.0.1", 32, NULL);
    add(keeper, "192.168.0.0", 16, "10.0.0.9");
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"),
                     6); /* 192 is 110000.., 198 110001.. */
    assert_int_equal(reach(keeper, "64.1.1.1", "10.0.0.254"), 2);
    assert_int_equal(reach(keeper, "10.0.1.1", "10.0.0.254"), 24);
    assert_int_equal(reach(keeper, "192.168.7.7", "10.0.0.9"), 16);
    add(keeper, "192.168.8.0", 24, NULL);
    assert_int_equal(reach(keeper, "192.168.7.7", "10.0.0.9"), 21);
    assert_int_equal(reach(keeper, "192.168.9.1", "10.0.0.9"), 24);
}

static void it_is_the_destination_alone_where_anything_is_not_plain(void **state)
{
    struct keeper *keeper = *state;
    struct channel_ip to = ip("198.18.5.5");
    struct netlink_route route = {
        .ifindex = 3, .has_gateway = true, .gateway = ip("10.0.0.254"), .mtu = 1400};

    add(keeper, "0.0.0.0", 0, "10.0.0.254");
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"), 1);
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.253"), 0); /* redirected */
    assert_int_equal(reach(keeper, "198.18.5.5", NULL), 0);         /* on the link */
    assert_int_equal(keeper__reach(keeper, &to, &route), 0);        /* an MTU of its own */
    keeper->host.routes_dirty = true;
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"), 0);
    keeper->host.routes_dirty = false;
    keeper->reach[0].prefixes[0].several = true;
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"), 0);
    keeper->reach[0].prefixes[0].several = false;
    add(keeper, "0.0.0.0", 0, "10.0.0.253"); /* with another metric */
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"), 0);
    keeper->reach[0].count = 1;
    keeper->reach[0].usable = false; /* rules, or too many lines */
    assert_int_equal(reach(keeper, "198.18.5.5", "10.0.0.254"), 0);
}

static void ipv6_likewise(void **state)
{
    struct keeper *keeper = *state;

    add(keeper, "::", 0, "fe80::1");
    add(keeper, "fe80::", 64, NULL);
    add(keeper, "ff00::", 8, NULL);
    add(keeper, "2001:db8::", 32, NULL);
    assert_int_equal(reach(keeper, "2001:db9::1", "fe80::1"), 32);
    assert_int_equal(reach(keeper, "8000::1", "fe80::1"), 2);
    add(keeper, "2001:db9::1", 128, "fe80::1");
    assert_int_equal(reach(keeper, "2001:db9::1", "fe80::1"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_ends_where_another_line_begins),
        TEST(it_is_the_destination_alone_where_anything_is_not_plain),
        TEST(ipv6_likewise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
